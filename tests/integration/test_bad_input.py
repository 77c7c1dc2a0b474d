#!/usr/bin/env python3
"""Bad input gets a precise status and nothing more: no crash, no leak, nothing lost for others."""
import os
import socket
import struct
import time

import innkeep_client as ink
from innkeep_client import Op, Status
from server import Case, Hotel, main, seeded

SECOND = ink.SECOND
MUTANTS = 4000
CONNECTS = 3000
CONNECTS_A_BATCH = 100
KEY = bytes(range(1, 17))
NAME = bytes(range(2, 18))


def patched(item, offset, form, *values):
    changed = bytearray(item)
    struct.pack_into("<" + form, changed, offset, *values)
    return bytes(changed)


def good_items():
    """One valid item of every kind, by operation."""
    today = ink.today()
    until = ink.deadline(500)
    items = [ink.property_create(77, KEY, today, not_after=until), ink.room_type_create(1, KEY, 7, 1, not_after=until),
             ink.rooms_set(1, KEY, 1, today, today, 5, not_after=until),
             ink.reserve(1, KEY, 1, today, 1, not_after=until),
             ink.confirm(1, KEY, NAME, not_after=until), ink.release(1, KEY, NAME, not_after=until),
             ink.cancel(1, KEY, NAME, not_after=until), ink.lease_acquire(1, KEY, 1, SECOND),
             ink.lease_renew(1, 1, 1, SECOND),
             ink.lease_release(1, 1, 1), ink.barrier(1), ink.lookup(1, KEY), ink.calendar(1, today, 1),
             ink.lease_show(1, 1), ink.status(0), ink.raise_level(0, 1)]
    return {Op(ink.kind_of(item)): item for item in items}


MUTATIONS = [Op.PROPERTY_CREATE, Op.ROOM_TYPE_CREATE, Op.ROOMS_SET, Op.RESERVE, Op.CONFIRM, Op.RELEASE, Op.CANCEL]
CHANGES = [Op.CONFIRM, Op.RELEASE, Op.CANCEL]
KEYLESS = [Op.LEASE_RENEW, Op.LEASE_RELEASE, Op.BARRIER, Op.CALENDAR, Op.LEASE_SHOW, Op.STATUS, Op.RAISE_LEVEL]
DATES = (-719163, 2932897, -2**31, 2**31 - 1)


def bad_items():
    """(what, item, the status it has to get): every status from 80 to 105 and every way to it that the document
    names."""
    good = good_items()
    for kind, item in good.items():
        yield f"{kind.name} one longer", patched(item + bytes(8), 0, "H", len(item) + 8), Status.BAD_ITEM_SIZE
        if len(item) > 32:
            yield f"{kind.name} one shorter", patched(item[:-8], 0, "H", len(item) - 8), Status.BAD_ITEM_SIZE
        for version in (0, 2, 255):
            yield f"{kind.name} version {version}", patched(item, 3, "B", version), Status.BAD_ITEM_VERSION
        for bit in range(1, 32, 6):
            flags, = struct.unpack_from("<I", item, 4)
            yield f"{kind.name} flag {bit}", patched(item, 4, "I", flags | 1 << bit), Status.BAD_ITEM_FLAGS
        if kind not in (Op.BARRIER, Op.STATUS, Op.RAISE_LEVEL):
            yield f"{kind.name} by shard", patched(item, 4, "I", 1), Status.BAD_ITEM_FLAGS
        if kind not in (Op.STATUS, Op.RAISE_LEVEL):
            yield f"{kind.name} property 0", patched(item, 8, "Q", 0), Status.ZERO_PROPERTY
    for kind in (Op.STATUS, Op.RAISE_LEVEL):
        yield f"{kind.name} not by shard", patched(good[kind], 4, "I", 0), Status.BAD_ITEM_FLAGS
    for kind in MUTATIONS:
        yield f"{kind.name} key 0", patched(good[kind], 16, "16s", bytes(16)), Status.ZERO_KEY
        yield f"{kind.name} not_after 0", patched(good[kind], 32, "Q", 0), Status.ZERO_DEADLINE
        yield f"{kind.name} token alone", patched(good[kind], 40, "Q", 1), Status.BAD_FENCE
        yield f"{kind.name} resource alone", patched(good[kind], 48, "Q", 1), Status.BAD_FENCE
    for kind in (Op.LEASE_ACQUIRE, Op.LOOKUP):
        yield f"{kind.name} key 0", patched(good[kind], 16, "16s", bytes(16)), Status.ZERO_KEY
    for kind in KEYLESS:
        yield f"{kind.name} with a key", patched(good[kind], 31, "B", 1), Status.UNEXPECTED_KEY
    for kind, offset, form in ((Op.PROPERTY_CREATE, 60, "I"), (Op.ROOM_TYPE_CREATE, 62, "H"), (Op.ROOMS_SET, 69, "B"),
                               (Op.RESERVE, 86, "H"), (Op.CALENDAR, 46, "H"), (Op.STATUS, 36, "I"),
                               (Op.RAISE_LEVEL, 36, "I"),
                               *((change, 76, "I") for change in CHANGES)):
        yield f"{kind.name} reserved", patched(good[kind], offset, form, 1), Status.RESERVED_NOT_ZERO
    for kind, offset in ((Op.ROOM_TYPE_CREATE, 56), (Op.ROOMS_SET, 56), (Op.RESERVE, 80)):
        yield f"{kind.name} type 0", patched(good[kind], offset, "I", 0), Status.ZERO_ROOM_TYPE
    for change in CHANGES:
        yield f"{change.name} reservation 0", patched(good[change], 56, "16s", bytes(16)), Status.ZERO_KEY
    for kind, offset in ((Op.RESERVE, 76), (Op.CALENDAR, 44)):
        yield f"{kind.name} no nights", patched(good[kind], offset, "H", 0), Status.ZERO_NIGHTS
        for nights in (3651, 65535):
            yield f"{kind.name} {nights} nights", patched(good[kind], offset, "H", nights), Status.TOO_MANY_NIGHTS
    yield "RESERVE no rooms", patched(good[Op.RESERVE], 84, "H", 0), Status.ZERO_ROOMS
    for kind, offset in ((Op.ROOM_TYPE_CREATE, 60), (Op.ROOMS_SET, 70), (Op.RESERVE, 84)):
        for rooms in (32768, 65535):
            yield f"{kind.name} {rooms} rooms", patched(good[kind], offset, "H", rooms), Status.TOO_MANY_ROOMS
    for lines in (0, 2, 65535):
        yield f"RESERVE {lines} lines", patched(good[Op.RESERVE], 78, "H", lines), Status.BAD_LINES
    for date in DATES:
        yield f"PROPERTY_CREATE {date}", patched(good[Op.PROPERTY_CREATE], 56, "i", date), Status.BAD_DATE
        yield f"ROOMS_SET {date}", patched(good[Op.ROOMS_SET], 60, "ii", date, date), Status.BAD_DATE
        yield f"RESERVE {date}", patched(good[Op.RESERVE], 72, "i", date), Status.BAD_DATE
        yield f"CALENDAR {date}", patched(good[Op.CALENDAR], 40, "i", date), Status.BAD_DATE
    yield "ROOMS_SET reversed", patched(good[Op.ROOMS_SET], 60, "ii", 20000, 19999), Status.REVERSED_RANGE
    for weekdays in (0, 0x80, 0xFF):
        yield f"ROOMS_SET weekdays {weekdays}", patched(good[Op.ROOMS_SET], 68, "B", weekdays), Status.BAD_WEEKDAYS
    for kind, offset in ((Op.LEASE_ACQUIRE, 40), (Op.LEASE_RENEW, 48)):
        yield f"{kind.name} no ttl", patched(good[kind], offset, "Q", 0), Status.ZERO_TTL
        for ttl in (ink.TTL_MAX + 1, ink.NEVER):
            yield f"{kind.name} ttl {ttl}", patched(good[kind], offset, "Q", ttl), Status.TTL_TOO_LONG
    for hold in (ink.TTL_MAX + 1, ink.NEVER):
        yield f"RESERVE hold {hold}", patched(good[Op.RESERVE], 56, "Q", hold), Status.TTL_TOO_LONG
    for kind in (Op.LEASE_ACQUIRE, Op.LEASE_RENEW, Op.LEASE_RELEASE, Op.LEASE_SHOW):
        yield f"{kind.name} resource 0", patched(good[kind], 32, "Q", 0), Status.ZERO_RESOURCE
    for kind in (Op.LEASE_RENEW, Op.LEASE_RELEASE):
        yield f"{kind.name} token 0", patched(good[kind], 40, "Q", 0), Status.ZERO_TOKEN
    for owner in (bytes(32), b"a\0b"):
        yield f"LEASE_ACQUIRE owner {owner}", patched(good[Op.LEASE_ACQUIRE], 48, "32s", owner), Status.BAD_OWNER
    for shard in (2, 2**32, 2**64 - 1):
        for kind in (Op.BARRIER, Op.STATUS, Op.RAISE_LEVEL):
            yield f"{kind.name} of shard {shard}", patched(good[kind], 4, "IQ", 1, shard), Status.NO_SUCH_SHARD
    for level in (0, 2, 2**32 - 1):
        yield f"RAISE_LEVEL to {level}", patched(good[Op.RAISE_LEVEL], 32, "I", level), Status.UNKNOWN_LEVEL
    for kind in (4, 14, 33, 42, 67, 83, 127, 128, 129, 200, 255):
        yield f"operation {kind}", ink.item(kind, bytes(24), 1, KEY), Status.UNKNOWN_OPERATION


class BadInput(Case):
    """Each test ends with proof that others were served all the time and that nothing is left behind."""

    server_options = ()

    def setUp(self):
        self.server = self.serve(*self.server_options)
        self.other = self.server.connect()
        self.hotel = Hotel(self.other, 1, (5000,))
        self.others = 0

    def serve_others(self):
        """A booking by somebody who did nothing wrong."""
        self.expect(self.other.call(self.hotel.reserve(offset=self.others % 500)), Status.OK)
        self.others += 1

    def expect_nothing_left(self, connections=1):
        """Only this many connections are left, and exactly the others' bookings were made."""
        self.eventually(lambda: self.connections_now() <= connections, "connections are given back")
        counts = [self.other.call(ink.status(shard)) for shard in range(2)]
        self.assertEqual(sum(each.reservations_confirmed for each in counts), self.others)
        self.assertEqual(sum(each.reservations_held for each in counts), 0)
        self.serve_others()

    def connections_now(self):
        return sum(self.other.call(ink.status(shard)).connections for shard in range(2))

    def farewell_of(self, *messages, handshake=True):
        with self.server.raw() as connection:
            if handshake:
                connection.send_bytes(ink.message([ink.hello()], 1))
                self.expect(connection.receive()[2][0], Status.OK)
            for each in messages:
                try:
                    connection.send_bytes(each)
                except OSError:
                    break
            return connection.farewell()


class BadItems(BadInput):
    def test_each_bad_item_gets_its_status_and_the_connection_goes_on(self):
        client = self.server.connect()
        reached = set()
        for what, item, expected in bad_items():
            with self.subTest(what):
                result = self.expect(client.call(item), expected, item=0, original_lsn=0)
                reached.add(result.status)
        self.assertEqual(reached, {Status(number) for number in range(80, 106)})
        self.serve_others()
        client.close()
        self.expect_nothing_left()

    def test_the_operation_of_nothing_is_unknown_too(self):
        # A reply to it has operation 0 like a last message, so a client cannot tell whether the connection goes on.
        with self.server.raw() as connection:
            connection.send_bytes(ink.message([ink.hello()], 1) + ink.message([ink.item(0, bytes(24), 1, KEY)], 2))
            connection.receive()
            operation, correlation, results = connection.receive()
            self.assertEqual((operation, correlation), (Op.NONE, 2))
            self.assertIn(results[0].status, (Status.UNKNOWN_OPERATION, Status.BAD_MESSAGE))
        self.expect_nothing_left()

    def test_a_bad_item_stops_nothing_next_to_it(self):
        random = seeded(self.id())
        bad = {}
        for _, item, expected in bad_items():
            bad.setdefault(ink.kind_of(item), []).append((item, expected))
        client = self.server.connect()
        for _ in range(40):
            item, expected = random.choice(bad[Op.RESERVE])
            good = [self.hotel.reserve(offset=random.randrange(500)) for _ in range(2)]
            results = client.call_many([good[0], item, good[1]])
            self.assertEqual([result.status for result in results], [Status.OK, expected, Status.OK])
            self.others += 2
        client.close()
        self.expect_nothing_left()

    def test_a_bad_item_is_not_kept_under_its_key(self):
        client = self.server.connect()
        item = self.hotel.reserve(KEY)
        self.expect(client.call(patched(item, 76, "H", 0)), Status.ZERO_NIGHTS)
        self.expect(client.call(ink.lookup(1, KEY)), Status.NO_SUCH_KEY)
        self.expect(client.call(item), Status.OK, flags=0)
        self.others += 1
        client.close()
        self.expect_nothing_left()

    def test_the_extremes_that_are_allowed_are_no_bad_input(self):
        client = self.server.connect()
        self.expect(client.call(self.hotel.reserve(nights=3650)), Status.BEYOND_HORIZON)
        self.expect(client.call(self.hotel.reserve(rooms=32767)), Status.SOLD_OUT, available=5000)
        self.expect(client.call(ink.calendar(1, -719162, 3650)), Status.OK, nights=0)
        self.expect(client.call(ink.calendar(1, 2932896, 1)), Status.OK, nights=0)
        for number, date in ((2, -719162), (3, 2932896)):
            made = client.call(ink.property_create(number, ink.new_key(), date))
            self.assertIn(made.status, (Status.OK,))
            self.expect(client.call(ink.room_type_create(number, ink.new_key(), 2**32 - 1, 32767)), Status.OK)
            self.expect(client.call(ink.calendar(number, date, 1)), Status.OK, first_night=date, nights=1,
                        types_count=1)
        self.expect(client.call(ink.property_create(2**64 - 1, ink.new_key(), 0)), Status.OK)
        granted = self.expect(client.call(ink.lease_acquire(1, KEY, 2**64 - 1, ink.TTL_MAX, b"x" * 32)), Status.OK)
        self.expect(client.call(ink.lease_renew(1, 2**64 - 1, granted.token, 1)), Status.OK)
        client.close()
        self.expect_nothing_left()


class BadMessages(BadInput):
    server_options = ("--partial-timeout", "1s", "--handshake-timeout", "1s")

    def bad_messages(self):
        barrier = ink.barrier(1)
        message = ink.message
        yield message([barrier], 5, magic=0), Status.BAD_MAGIC, 0
        yield message([barrier], 5, magic=0x504B4E4A), Status.BAD_MAGIC, 0
        yield b"GET / HTTP/1.1\r\nHost: innkeep\r\n\r\n", Status.BAD_MAGIC, 0
        for version in (0, 2, 255):
            yield message([barrier], 5, version=version), Status.BAD_PROTOCOL_VERSION, 5
        for size in (0, 8, 24, 31, 63, 65, 131080, 2**31, 0xFFFFFFF8, 0xFFFFFFFF):
            yield message([barrier], 5, size=size), Status.BAD_MESSAGE_SIZE, 5
        yield patched(message([barrier], 5), 0, "Q", 12345), Status.BAD_CHECKSUM, 5
        yield patched(message([barrier], 5), 40, "Q", 2), Status.BAD_CHECKSUM, 5
        for flags in (1, 2, 0x8000):
            yield message([barrier], 5, flags=flags), Status.BAD_MESSAGE, 5
        for count in (0, 2, 4097, 2**32 - 1):
            yield message([barrier], 5, items_count=count), Status.BAD_MESSAGE, 5
        yield message([barrier] * 2, 5, items_count=1), Status.BAD_MESSAGE, 5
        yield message([], 5, operation=Op.BARRIER), Status.BAD_MESSAGE, 5
        yield message([ink.lookup(1, KEY)], 5, operation=Op.BARRIER), Status.BAD_MESSAGE, 5
        yield message([barrier, ink.lookup(1, KEY)], 5), Status.BAD_MESSAGE, 5
        for size in (0, 8, 24, 33, 36, 40, 65528):
            yield message([patched(barrier, 0, "H", size)], 5), Status.BAD_MESSAGE, 5
        yield message([patched(barrier + bytes(8), 0, "H", 48)], 5), Status.BAD_MESSAGE, 5

    def test_a_message_that_makes_no_sense_ends_its_connection_with_its_status(self):
        for message, status, correlation in self.bad_messages():
            for handshake in (True, False):
                with self.subTest(message=message[:72].hex(" "), handshake=handshake):
                    found = self.farewell_of(message, handshake=handshake)
                    if handshake:
                        self.assertEqual(found, (status, correlation))
                    else:
                        self.assertIn(found, ((status, correlation), (Status.HELLO_EXPECTED, correlation)))
        self.serve_others()
        self.expect_nothing_left()

    def test_more_items_than_a_message_may_have_close_the_connection(self):
        # 4,097 of the smallest items do not fit into the largest message either; the count alone has to do.
        self.assertEqual(self.farewell_of(ink.message([ink.barrier(1)] * 4095, 6, items_count=4097)),
                         (Status.BAD_MESSAGE, 6))
        self.assertEqual(self.farewell_of(ink.message([ink.barrier(1)] * 4096, 6)), (Status.BAD_MESSAGE_SIZE, 6))
        client = self.server.connect()
        self.assertEqual({result.status for result in client.call_many([ink.lookup(1, KEY)] * 4095)},
                         {Status.NO_SUCH_KEY})
        client.close()
        self.expect_nothing_left()

    def test_a_huge_size_costs_nobody_memory(self):
        before = self.server.resident_bytes()
        for _ in range(200):
            header = ink.message([ink.barrier(1)], 7, size=0xFFFFFFFF)[:32]
            self.assertEqual(self.farewell_of(header), (Status.BAD_MESSAGE_SIZE, 7))
        self.assertLess(self.server.resident_bytes(), before + (32 << 20))
        self.expect_nothing_left()

    def test_commands_before_a_bad_message_take_their_course(self):
        with self.server.raw() as connection:
            connection.send_bytes(ink.message([ink.hello()], 1) + ink.message([self.hotel.reserve(KEY)], 2) +
                                  ink.message([ink.barrier(1)], 3, magic=1))
            try:
                while True:
                    connection.receive()
            except ink.ConnectionEnded:
                pass
        self.others += 1
        self.eventually(lambda: self.other.call(ink.lookup(1, KEY)).status == Status.OK, "the command takes its course")
        self.expect_nothing_left()

    def test_half_a_message_then_silence_ends_the_connection(self):
        whole = ink.message([self.hotel.reserve()], 9)
        hello = ink.message([ink.hello()], 1)
        started = time.monotonic()
        silent = []
        for sent in [hello + whole[:length] for length in (1, 31, 32, 60, len(whole) - 1)] + [b"", hello[:5],
                                                                                              hello[:-1]]:
            connection = self.server.raw()
            connection.send_bytes(sent)
            silent.append((sent, connection))
        for sent, connection in silent:
            if sent.startswith(hello):
                self.expect(connection.receive()[2][0], Status.OK)
            self.assertEqual(connection.farewell(), (Status.IDLE_TOO_LONG, 0), sent)
            connection.close()
        self.assertGreater(time.monotonic() - started, 0.8)
        self.serve_others()
        self.expect_nothing_left()

    def test_a_whole_message_in_single_bytes_is_a_message(self):
        with self.server.raw() as connection:
            for byte in ink.message([ink.hello()], 1) + ink.message([ink.barrier(1)] * 2, 2):
                connection.send_bytes(bytes([byte]))
            self.assertEqual(len(connection.receive()[2]), 1)
            self.assertEqual(len(connection.receive()[2]), 2)
        self.expect_nothing_left()


class Garbage(BadInput):
    server_options = ("--partial-timeout", "1s", "--handshake-timeout", "1s")

    def mutant(self, random, messages):
        """A valid message with a few bytes or bits changed, cut or doubled; its checksum often made right again."""
        data = bytearray(random.choice(messages))
        for _ in range(random.choice((1, 1, 1, 2, 4, 16))):
            at = random.randrange(len(data))
            draw = random.random()
            if draw < 0.4:
                data[at] ^= 1 << random.randrange(8)
            elif draw < 0.7:
                data[at] = random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)))
            elif draw < 0.8 and at + 8 <= len(data):
                data[at:at + 8] = random.randbytes(8)
            elif draw < 0.9:
                del data[at:at + random.randrange(1, 9)]
            else:
                data[at:at] = data[at:at + random.randrange(1, 64)]
            if not data:
                return b"\0"
        if random.random() < 0.7 and len(data) >= 32:
            if random.random() < 0.5:
                struct.pack_into("<I", data, 12, len(data))
            return ink.reseal(bytes(data))
        return bytes(data)

    def read_to_the_end(self, connection):
        """Whatever comes has to be well formed, whatever was sent."""
        try:
            while True:
                connection.receive(10)
        except ink.ConnectionEnded:
            pass

    def test_thousands_of_mutated_messages_harm_nobody(self):
        random = seeded(self.id())
        items = list(good_items().values())
        # Bookings by mutants are not counted, so they get a property of their own that nobody made.
        items = [patched(item, 8, "Q", 4000 + index) if item[4] == 0 else item for index, item in enumerate(items)]
        hello = ink.message([ink.hello()], 1)
        messages = [ink.message([item] * count, 9) for item in items for count in (1, 3, 40)] + [hello]
        sent = 0
        while sent < MUTANTS:
            with ink.RawConnection(self.server.address) as connection:
                run = random.randrange(1, 5)
                data = (hello if random.random() < 0.9 else b"") + b"".join(self.mutant(random, messages)
                                                                            for _ in range(run))
                sent += run
                try:
                    connection.send_bytes(data)
                    if random.random() < 0.5:
                        connection.socket.shutdown(socket.SHUT_WR)
                        self.read_to_the_end(connection)
                except OSError:
                    pass
            if sent % 5 == 0:
                self.serve_others()
        self.assertIsNone(self.server.process.poll())
        self.eventually(lambda: self.connections_now() <= 1, "connections are given back")
        self.serve_others()

    def test_random_bytes_end_the_connection(self):
        random = seeded(self.id())
        for _ in range(300):
            with ink.RawConnection(self.server.address) as connection:
                connection.send_bytes(random.randbytes(random.randrange(32, 3000)))
                status, correlation = connection.farewell() if random.random() < 0.5 else (Status.BAD_MAGIC, 0)
                self.assertEqual((status, correlation), (Status.BAD_MAGIC, 0))
        self.expect_nothing_left()

    def test_a_socket_closed_in_the_middle_leaves_nothing(self):
        random = seeded(self.id())
        # A batch for a property that nobody made: cut anywhere, none of it books anything.
        data = ink.message([ink.hello()], 1) + ink.message([ink.reserve(999, ink.new_key(), 1, ink.today(), 1)
                                                            for _ in range(100)], 2) * 3
        for round_number in range(300):
            connection = ink.RawConnection(self.server.address)
            connection.send_bytes(data[:random.randrange(len(data))])
            if random.random() < 0.5:
                connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
            connection.close()
            if round_number % 20 == 0:
                self.serve_others()
        self.expect_nothing_left()

    def test_a_client_that_never_reads_costs_nothing_beyond_its_buffers(self):
        before = self.server.resident_bytes()
        # Each request of 24 KB asks for 4 MB. What the kernel buffers of requests is far below 64 MB.
        request = ink.message([ink.calendar(1, self.hotel.business_date, 1000)] * 500, 2)
        greedy = []
        for _ in range(4):
            connection = self.server.raw()
            connection.send_bytes(ink.message([ink.hello()], 1))
            connection.socket.settimeout(0.5)
            with self.assertRaises(TimeoutError, msg="the server reads on though nobody takes its answers"):
                for _ in range((64 << 20) // len(request)):
                    connection.socket.sendall(request)
            greedy.append(connection)
            self.serve_others()
        self.assertLess(self.server.resident_bytes(), before + (64 << 20))
        for connection in greedy:
            connection.close()
        self.expect_nothing_left()


class Crowds(BadInput):
    server_options = ("--connections", "150")

    def test_thousands_of_connects_leave_nothing(self):
        descriptors = len(os.listdir(f"/proc/{self.server.process.pid}/fd"))
        warm = None
        for batch in range(CONNECTS // CONNECTS_A_BATCH):
            connections = [ink.RawConnection(self.server.address) for _ in range(CONNECTS_A_BATCH)]
            for connection in connections[::2]:
                connection.send_bytes(ink.message([ink.hello()], 1))
            for connection in connections[:10:2]:
                self.expect(connection.receive()[2][0], Status.OK)
            for connection in connections:
                connection.close()
            self.serve_others()
            warm = warm or (batch == 5 and self.server.resident_bytes())
        self.expect_nothing_left()
        self.assertLess(self.server.resident_bytes(), warm + (32 << 20))
        self.assertLessEqual(len(os.listdir(f"/proc/{self.server.process.pid}/fd")), descriptors + 8)

    def test_a_connection_too_many_is_told_so(self):
        kept, refused = [], 0
        for _ in range(400):
            connection = self.server.raw()
            try:
                connection.send_bytes(ink.message([ink.hello()], 1))
                operation, _, results = connection.receive()
            except (ink.ConnectionEnded, OSError):
                continue  # reset before the last message could be read
            if operation == Op.NONE:
                self.expect(results[0], Status.TOO_MANY_CONNECTIONS)
                refused += 1
            else:
                kept.append(connection)
        self.assertGreater(refused, 0)
        self.assertGreaterEqual(len(kept), 149)
        self.assertLessEqual(len(kept), 300)
        self.serve_others()
        for connection in self.server.connections:
            if connection is not self.other:
                connection.close()
        self.expect_nothing_left()


if __name__ == "__main__":
    main()
