"""A client of Innkeep, written from net/PROTOCOL.md alone and shared with nothing in C, so that the tests judge the
server by its document and not by its own idea of it.

Items are built as bytes by the functions named after their operations; `Connection` sends them, blocking (`call`) or
pipelined (`submit`, `collect`), and holds every message that comes back to the rules of the document: checksum, sizes,
reserved bytes, and the order of the results of each shard. A broken rule raises ProtocolError.
"""
import datetime
import enum
import os
import select
import socket
import struct
import time

import xxhash

MAGIC = 0x504B4E49
HEADER_SIZE = 32
ITEM_HEADER_SIZE = 32
RESULT_HEADER_SIZE = 40
MESSAGE_SIZE_MAX = 131072
ITEMS_MAX = 4096
RESULT_SIZE_MAX = 29264
NEVER = 2**64 - 1
SECOND = 10**9
TTL_MAX = 3650 * 86400 * SECOND
NO_KEY = bytes(16)
ANY_SHARD = 0xFFFFFFFF
FLAG_REPLY = 1
ITEM_BY_SHARD = 1
RESULT_REPLAYED = 1
RESULT_NOT_KEPT = 2
LEASE_TTL_TOO_SHORT = 1
ALL_DAYS = 0x7F
MONDAY_OF_DAY_0 = 3  # (day + 3) mod 7 is the weekday, 0 being Monday


class Status(enum.IntEnum):
    OK = 0
    SOLD_OUT = 1
    NO_SUCH_PROPERTY = 2
    NO_SUCH_ROOM_TYPE = 3
    NO_SUCH_RESERVATION = 4
    ALREADY_EXISTS = 5
    BEFORE_BUSINESS_DATE = 6
    BEYOND_HORIZON = 7
    HOLD_EXPIRED = 8
    STATE_CONFLICT = 9
    VERSION_CONFLICT = 10
    SUPERSEDED = 11
    KEY_REUSED = 20
    TOO_LATE = 21
    DEADLINE_TOO_FAR = 22
    FENCED = 30
    LEASE_EXPIRED = 31
    LEASE_RELEASED = 32
    LEASE_HELD = 33
    TOKEN_INVALID = 34
    TOKEN_UNKNOWN = 35
    NO_SUCH_LEASE = 36
    NO_SUCH_KEY = 37
    LIMIT_REACHED = 40
    ALREADY_AT_LEVEL = 41
    OVERLOADED = 64
    DISK_FULL = 65
    SHUTTING_DOWN = 66
    UNKNOWN_OPERATION = 80
    BAD_ITEM_SIZE = 81
    BAD_ITEM_VERSION = 82
    BAD_ITEM_FLAGS = 83
    RESERVED_NOT_ZERO = 84
    ZERO_PROPERTY = 85
    ZERO_ROOM_TYPE = 86
    ZERO_KEY = 87
    UNEXPECTED_KEY = 88
    ZERO_NIGHTS = 89
    TOO_MANY_NIGHTS = 90
    ZERO_ROOMS = 91
    TOO_MANY_ROOMS = 92
    BAD_LINES = 93
    BAD_DATE = 94
    REVERSED_RANGE = 95
    BAD_WEEKDAYS = 96
    ZERO_DEADLINE = 97
    ZERO_TTL = 98
    TTL_TOO_LONG = 99
    BAD_FENCE = 100
    ZERO_RESOURCE = 101
    BAD_OWNER = 102
    ZERO_TOKEN = 103
    NO_SUCH_SHARD = 104
    UNKNOWN_LEVEL = 105
    BAD_MAGIC = 120
    BAD_PROTOCOL_VERSION = 121
    BAD_MESSAGE_SIZE = 122
    BAD_CHECKSUM = 123
    BAD_MESSAGE = 124
    HELLO_EXPECTED = 125
    TOO_MANY_CONNECTIONS = 126
    IDLE_TOO_LONG = 127


class Op(enum.IntEnum):
    NONE = 0
    PROPERTY_CREATE = 1
    ROOM_TYPE_CREATE = 2
    ROOMS_SET = 3
    RESERVE = 10
    CONFIRM = 11
    RELEASE = 12
    CANCEL = 13
    LEASE_ACQUIRE = 30
    LEASE_RENEW = 31
    LEASE_RELEASE = 32
    BARRIER = 40
    RAISE_LEVEL = 41
    LOOKUP = 64
    CALENDAR = 65
    LEASE_SHOW = 66
    STATUS = 80
    HELLO = 81
    SNAPSHOT = 82


class State(enum.IntEnum):
    NONE = 0
    HELD = 1
    CONFIRMED = 2
    RELEASED = 3
    EXPIRED = 4
    CANCELLED = 5


class LeaseState(enum.IntEnum):
    NONE = 0
    LIVE = 1
    EXPIRED = 2
    RELEASED = 3


class Limit(enum.IntEnum):
    NONE = 0
    TYPE = 1
    HOUSE = 2
    PROPERTIES = 16
    ROOM_TYPES = 17
    RESERVATIONS = 18
    OUTCOMES = 19
    LEASES = 20


WHAT_NOTHING, WHAT_RESERVATION, WHAT_OUTCOME = 0, 1, 2
FINAL = frozenset(range(1, 12))


class ProtocolError(Exception):
    """The server broke a rule of the document."""


class ConnectionEnded(Exception):
    """The server closed the connection; `status` is what its last message said, None if it said nothing."""

    def __init__(self, status, correlation=None):
        super().__init__("connection ended" + (f": {Status(status).name}" if status is not None else ""))
        self.status = status
        self.correlation = correlation


def check(condition, message):
    if not condition:
        raise ProtocolError(message)


def new_key(random=None):
    return random.randbytes(16) if random else os.urandom(16)


def day_number(date):
    return date.toordinal() - 719163


def date_of(day):
    return datetime.date.fromordinal(day + 719163)


def today():
    return day_number(datetime.date.today())


def deadline(seconds=60):
    """A moment that lies so many seconds ahead: server and test share a clock, so the local one is known to be good."""
    return time.time_ns() + int(seconds * SECOND)


def shard_of(number, shards):
    mask = 2**64 - 1
    x = number & mask
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
    x ^= x >> 31
    return (x * shards) >> 64


# Items


def item(kind, body, property, key=NO_KEY, flags=0, version=1, size=None):
    return struct.pack("<HBBIQ16s", ITEM_HEADER_SIZE + len(body) if size is None else size, kind, version, flags,
                       property, key) + body


def mutation(kind, body, property, key, not_after, fence):
    """`fence` is (resource, token)."""
    return item(kind, struct.pack("<QQQ", not_after, fence[1], fence[0]) + body, property, key)


def property_create(property, key, business_date, not_after=None, fence=(0, 0)):
    return mutation(Op.PROPERTY_CREATE, struct.pack("<iI", business_date, 0), property, key, not_after or deadline(),
                    fence)


def room_type_create(property, key, room_type, rooms, not_after=None, fence=(0, 0)):
    return mutation(Op.ROOM_TYPE_CREATE, struct.pack("<IHH", room_type, rooms, 0), property, key,
                    not_after or deadline(), fence)


def rooms_set(property, key, room_type, first_night, last_night, rooms, weekdays=ALL_DAYS, not_after=None,
              fence=(0, 0)):
    return mutation(Op.ROOMS_SET, struct.pack("<IiiBBH", room_type, first_night, last_night, weekdays, 0, rooms),
                    property, key, not_after or deadline(), fence)


def reserve(property, key, room_type, arrival, nights, rooms=1, hold=0, reference=0, not_after=None, fence=(0, 0),
            lines_count=1):
    return mutation(Op.RESERVE, struct.pack("<QQiHHIHH", hold, reference, arrival, nights, lines_count, room_type,
                                            rooms, 0),
                    property, key, not_after or deadline(), fence)


def change(kind, property, key, reservation, expected_version=0, not_after=None, fence=(0, 0)):
    return mutation(kind, struct.pack("<16sII", reservation, expected_version, 0), property, key,
                    not_after or deadline(), fence)


def confirm(*arguments, **named):
    return change(Op.CONFIRM, *arguments, **named)


def release(*arguments, **named):
    return change(Op.RELEASE, *arguments, **named)


def cancel(*arguments, **named):
    return change(Op.CANCEL, *arguments, **named)


def lease_acquire(property, session, resource, ttl, owner=b"a test"):
    return item(Op.LEASE_ACQUIRE, struct.pack("<QQ32s", resource, ttl, owner), property, session)


def lease_renew(property, resource, token, ttl):
    return item(Op.LEASE_RENEW, struct.pack("<QQQ", resource, token, ttl), property)


def lease_release(property, resource, token):
    return item(Op.LEASE_RELEASE, struct.pack("<QQ", resource, token), property)


def lease_show(property, resource):
    return item(Op.LEASE_SHOW, struct.pack("<Q", resource), property)


def barrier(property):
    return item(Op.BARRIER, b"", property)


def barrier_of_shard(shard):
    return item(Op.BARRIER, b"", shard, flags=ITEM_BY_SHARD)


def lookup(property, key):
    return item(Op.LOOKUP, b"", property, key)


def calendar(property, first_night, nights, room_type=0, after_type=0):
    return item(Op.CALENDAR, struct.pack("<IIiHH", room_type, after_type, first_night, nights, 0), property)


def snapshot(shard, take=True, keep_ns=0):
    return item(Op.SNAPSHOT, struct.pack("<QII", keep_ns, int(take), 0), shard, flags=ITEM_BY_SHARD)


def raise_level(shard, level):
    return item(Op.RAISE_LEVEL, struct.pack("<II", level, 0), shard, flags=ITEM_BY_SHARD)


def status(shard, with_hash=False):
    return item(Op.STATUS, struct.pack("<II", int(with_hash), 0), shard, flags=ITEM_BY_SHARD)


def hello(version_min=1, version_max=1, shard=ANY_SHARD, client=b"integration tests"):
    return item(Op.HELLO, struct.pack("<IIII32s", version_min, version_max, shard, 0, client), 0)


def kind_of(item_bytes):
    return item_bytes[2]


def message(items, correlation=0, operation=None, version=1, flags=0, magic=MAGIC, size=None, items_count=None):
    """A sealed message; what is named explicitly goes in as it is, wrong or not, under a right checksum."""
    body = b"".join(items)
    operation = kind_of(items[0]) if operation is None else operation
    rest = struct.pack("<IIBBHIQ", magic, HEADER_SIZE + len(body) if size is None else size, operation, version, flags,
                       len(items) if items_count is None else items_count, correlation) + body
    return struct.pack("<Q", xxhash.xxh3_64_intdigest(rest)) + rest


def reseal(message_bytes):
    """The message with its checksum made right again."""
    return struct.pack("<Q", xxhash.xxh3_64_intdigest(message_bytes[8:])) + message_bytes[8:]


# Results

RESULT_HEADER = ("size status flags item shard reserved lsn original_lsn log_time_ns", "<IHHHHIQQQ")
MUTATION_BODY = ("night room_type available version state limit operation reserved0 reserved1 hold_deadline_ns token",
                 "<iIiIBBBBIQQ")
LEASE_BODY = ("token deadline_ns ttl_ns commit_p99_ns lease_flags state owner", "<QQQQII32s")
LOOKUP_BODY = ("what state outcome_operation reserved0 outcome_status nights arrival version hold_deadline_ns "
               "external_reference room_type rooms lines_count", "<BBBBHHiIQQIHH")
LEVEL_BODY = ("level reserved0", "<II")
CALENDAR_BODY = ("first_night nights types_count next_after_type business_date", "<iHHIi")
STATUS_BODY = ("uptime_ns memory_bytes shards engine_level properties_max room_types_max horizon_nights "
               "reservations_max outcomes_max leases_max deadline_ahead_max_ns keep_ended_ns properties room_types "
               "reservations_held reservations_confirmed reservations_ended outcomes leases_live leases_ended "
               "shortest_ttl_ns commit_p50_ns commit_p99_ns alarm alarm_factor frames records log_bytes frame_index "
               "segment_sequence connections connections_max requests refused_overload state_hash uuid "
               "log_padding_bytes log_stalls log_depth log_depth_highest log_depth_max log_kernel_workers frame_p50_ns "
               "frame_p99_ns frame_p999_ns frame_max_ns segments_recycled segments_deleted "
               "snapshot_lsn snapshot_wall_ns snapshot_bytes snapshot_log_bytes snapshots_taken snapshots_failed "
               "snapshots_kept snapshot_running snapshot_written_bytes snapshot_total_bytes",
               "<QQ" "II" "6I2Q" "8I" "Q" "QQ" "II" "5Q" "II" "QQ" "16s16s" "QQ" "4I" "6Q" "6Q" "2I" "2Q")
SNAPSHOT_BODY = ("newest_lsn newest_index written_bytes total_bytes running failed directory", "<4Q2I512s")
HELLO_BODY = ("version shards owner hash_rule message_size_max items_max requests_max horizon_nights "
              "deadline_ahead_max_ns uuid server_time_ns", "<8IQ16sQ")
BODIES = {**dict.fromkeys([Op.PROPERTY_CREATE, Op.ROOM_TYPE_CREATE, Op.ROOMS_SET, Op.RESERVE, Op.CONFIRM, Op.RELEASE,
                           Op.CANCEL], MUTATION_BODY),
          **dict.fromkeys([Op.LEASE_ACQUIRE, Op.LEASE_RENEW, Op.LEASE_RELEASE, Op.LEASE_SHOW], LEASE_BODY),
          Op.RAISE_LEVEL: LEVEL_BODY, Op.LOOKUP: LOOKUP_BODY, Op.CALENDAR: CALENDAR_BODY, Op.STATUS: STATUS_BODY,
          Op.HELLO: HELLO_BODY, Op.SNAPSHOT: SNAPSHOT_BODY}


class Result:
    """One result; its fields are attributes of the document's names, `raw` its bytes, `body` those behind the
    header."""

    def __init__(self, operation, raw):
        self.operation_answered = operation
        self.raw = raw
        self.body = raw[RESULT_HEADER_SIZE:]
        self._take(RESULT_HEADER, raw)
        check(self.reserved == 0, "a reserved field of a result is not zero")
        try:
            self.status = Status(self.status)
        except ValueError:
            raise ProtocolError(f"status {self.status} is none of the document's") from None
        if self.status >= 64:
            check(len(raw) == RESULT_HEADER_SIZE, f"{self.status.name} comes with more than a header")
            check(self.lsn == 0, f"{self.status.name} was not logged but has an lsn")
        elif operation in BODIES:
            self._take(BODIES[operation], self.body)
        if operation in BODIES and BODIES[operation] is not CALENDAR_BODY and self.status < 64:
            check(len(self.body) == struct.calcsize(BODIES[operation][1]),
                  f"{Op(operation).name}: {len(raw)} bytes of result")
        for name in ("reserved0", "reserved1"):
            check(getattr(self, name, 0) == 0, f"{name} is not zero")
        if operation == Op.CALENDAR and self.status < 64:
            self._take_calendar()

    def _take(self, layout, data):
        names, form = layout
        check(len(data) >= struct.calcsize(form), "a result is shorter than its layout")
        for name, value in zip(names.split(), struct.unpack_from(form, data)):
            setattr(self, name, value)

    def _take_calendar(self):
        """types: {room type: [(sellable, sold, held, available) a night]}, in the order in which they came."""
        self.types = {}
        at = struct.calcsize(CALENDAR_BODY[1])
        for _ in range(self.types_count):
            room_type, reserved = struct.unpack_from("<II", self.body, at)
            check(reserved == 0, "a reserved field of calendar_type is not zero")
            check(room_type not in self.types, "a room type comes twice in one calendar")
            self.types[room_type] = [struct.unpack_from("<hHHh", self.body, at + 8 + 8 * night)
                                     for night in range(self.nights)]
            at += 8 + 8 * self.nights
        check(at == len(self.body), "a calendar's types and nights do not fill its result")

    @property
    def replayed(self):
        return bool(self.flags & RESULT_REPLAYED)

    @property
    def answer(self):
        """What "the same outcome byte for byte" means: the status and every byte behind the header."""
        return self.status, self.body

    def __repr__(self):
        names = (RESULT_HEADER[0] + " " + BODIES.get(self.operation_answered, ("", ""))[0]).split()
        return "Result(" + ", ".join(f"{name}={getattr(self, name)!r}" for name in names
                                     if getattr(self, name, 0)) + ")"


def check_message_header(data):
    """(size, operation, items_count, correlation) of a reply's header, held to the document."""
    _, magic, size, operation, version, flags, items_count, correlation = struct.unpack_from("<QIIBBHIQ", data)
    check(magic == MAGIC, "a reply's magic is wrong")
    check(version == 1, "a reply's version is not the one agreed on")
    check(HEADER_SIZE + RESULT_HEADER_SIZE <= size <= MESSAGE_SIZE_MAX and size % 8 == 0, f"a reply's size is {size}")
    check(flags == FLAG_REPLY, "a reply's flags are not REPLY alone")
    check(items_count >= 1, "a reply without results")
    return size, operation, items_count, correlation


def split_results(operation, items_count, data):
    """The results of a whole message."""
    checksum, = struct.unpack_from("<Q", data)
    check(checksum == xxhash.xxh3_64_intdigest(data[8:]), "a reply's checksum is wrong")
    results = []
    at = HEADER_SIZE
    for _ in range(items_count):
        check(at + RESULT_HEADER_SIZE <= len(data), "a reply's results go beyond it")
        size, = struct.unpack_from("<I", data, at)
        check(RESULT_HEADER_SIZE <= size <= RESULT_SIZE_MAX and size % 8 == 0 and at + size <= len(data),
              "a result's size is wrong")
        results.append(Result(operation, bytes(data[at:at + size])))
        at += size
    check(at == len(data), "results do not fill their reply")
    return results


class RawConnection:
    """Bytes out, whole messages in; says no HELLO of its own. For everything that is wrong on purpose."""

    def __init__(self, address, timeout=30):
        if isinstance(address, str):
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.socket.settimeout(timeout)
            self.socket.connect(address)
        else:
            self.socket = socket.create_connection(address, timeout=timeout)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.timeout = timeout
        self.have = bytearray()

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send_bytes(self, data):
        self.socket.sendall(data)

    def _whole_message(self):
        """Takes a whole message from what was received, or returns None."""
        if len(self.have) < HEADER_SIZE:
            return None
        size, operation, items_count, correlation = check_message_header(self.have)
        if len(self.have) < size:
            return None
        data = bytes(self.have[:size])
        del self.have[:size]
        return operation, correlation, split_results(operation, items_count, data)

    def receive(self, timeout=None):
        """(operation, correlation, results) of the next message; ConnectionEnded(None) at the end of the stream."""
        until = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            whole = self._whole_message()
            if whole:
                return whole
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError("no answer in time")
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(1 << 18)
            except (ConnectionResetError, BrokenPipeError):
                data = b""
            if not data:
                raise ConnectionEnded(None)  # within a message, perhaps, if the server was killed
            self.have += data

    def farewell(self, timeout=None):
        """The last message of a connection that the server closes: its (status, correlation); held to the document's
        form, and to the close that follows."""
        operation, correlation, results = self.receive(timeout)
        check(operation == Op.NONE, f"{Op(operation).name} instead of a last message")
        check(len(results) == 1 and len(results[0].raw) == RESULT_HEADER_SIZE, "a last message has one bare result")
        check(results[0].item == 0 and results[0].lsn == 0, "a last message's item and lsn are 0")
        try:
            self.receive(timeout)
        except ConnectionEnded:
            check(not self.have, "half a message behind the last message")
            return results[0].status, correlation
        raise ProtocolError("more came behind the last message")


class Connection(RawConnection):
    """A connection after its HELLO.

    Correlation ids count up, so (correlation, item) is the order in which items were sent; results of one shard have to
    come in that order, and each received message is held to it."""

    def __init__(self, address, shard=ANY_SHARD, timeout=30):
        super().__init__(address, timeout)
        self.correlation = 0
        self.waiting = {}  # correlation -> {item: kind} without a result so far
        self.results = {}  # correlation -> {item: result}
        self.newest = {}  # shard -> the (correlation, item) last answered by it
        try:
            self.hello = self.call(hello(shard=shard))
        except BaseException:
            self.close()
            raise

    def _take_message(self, operation, correlation, results):
        if operation == Op.NONE:
            raise ConnectionEnded(results[0].status, correlation)
        check(correlation in self.waiting, "an answer to nothing that was asked")
        for result in results:
            expected = self.waiting[correlation]
            check(result.item in expected, f"item {result.item} of {correlation} is answered twice or was never sent")
            check(expected.pop(result.item) == operation, "the operation of an answer is not that of its request")
            order = (correlation, result.item)
            check(order > self.newest.get(result.shard, (0, 0)),
                  f"shard {result.shard}: {order} came after {self.newest.get(result.shard)}")
            self.newest[result.shard] = order
            self.results[correlation][result.item] = result
        if not self.waiting[correlation]:
            del self.waiting[correlation]

    def submit_message(self, items):
        """Sends items of one operation as one message, reading meanwhile; returns its correlation id."""
        self.correlation += 1
        self.waiting[self.correlation] = {index: kind_of(each) for index, each in enumerate(items)}
        self.results[self.correlation] = {}
        data = memoryview(message(items, self.correlation))
        until = time.monotonic() + self.timeout
        while data:
            self.socket.settimeout(0)
            readable, writable, _ = select.select([self.socket], [self.socket], [], 1)
            if readable:
                self._read_available()
            if writable:
                try:
                    data = data[self.socket.send(data):]
                except BlockingIOError:
                    pass
                except (ConnectionResetError, BrokenPipeError):
                    raise ConnectionEnded(None) from None
            if time.monotonic() > until:
                raise TimeoutError("the server takes nothing")
        return self.correlation

    def _read_available(self):
        try:
            data = self.socket.recv(1 << 18)
        except BlockingIOError:
            return
        except (ConnectionResetError, BrokenPipeError):
            data = b""
        if not data:
            raise ConnectionEnded(None)
        self.have += data
        while whole := self._whole_message():
            self._take_message(*whole)

    def submit(self, items):
        """Sends items, runs of one operation as one message each; returns their (correlation, item)s."""
        places = []
        run = []
        size = HEADER_SIZE
        for each in [*items, None]:
            full = run and (each is None or kind_of(each) != kind_of(run[0]) or len(run) == ITEMS_MAX
                            or size + len(each) > MESSAGE_SIZE_MAX)
            if full:
                correlation = self.submit_message(run)
                places += [(correlation, index) for index in range(len(run))]
                run, size = [], HEADER_SIZE
            if each is not None:
                run.append(each)
                size += len(each)
        return places

    def result_of(self, place):
        """The result that came for a place returned by submit, or None."""
        correlation, index = place
        return self.results[correlation].get(index)

    def collect(self, places, timeout=None):
        """Waits for the results of these places and returns them in their order."""
        until = time.monotonic() + (self.timeout if timeout is None else timeout)
        for correlation, index in places:
            while index not in self.results[correlation]:
                self._take_message(*self.receive(max(0.001, until - time.monotonic())))
        found = [self.results[correlation][index] for correlation, index in places]
        for correlation in {correlation for correlation, _ in places}:
            if correlation not in self.waiting:
                del self.results[correlation]
        return found

    def call_many(self, items, timeout=None):
        return self.collect(self.submit(items), timeout)

    def call(self, each, timeout=None):
        return self.call_many([each], timeout)[0]

    def take_available(self):
        """Takes what has come, without waiting."""
        self.socket.settimeout(0)
        if select.select([self.socket], [], [], 0)[0]:
            self._read_available()

    def drain(self):
        """Takes whatever still comes until the connection ends."""
        try:
            while True:
                self._take_message(*self.receive())
        except ConnectionEnded:
            pass
