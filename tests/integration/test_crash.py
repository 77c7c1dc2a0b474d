#!/usr/bin/env python3
"""SIGKILL at random moments under load: all that was acknowledged is there afterwards, with the same LSN and the same
outcome.

    test_crash.py [--kills N]        (default 12)

INNKEEP_SEED repeats a run's commands and pauses, not the kernel's timing.

Several pipelined connections reserve, hold, confirm, release and cancel in two small, nearly full hotels, some of it
under leases. After each kill and restart every command without an answer is sent again, and what the server says is
held against what it had said: LSNs, outcomes byte for byte, states of reservations, calendars recomputed from the
reservations, leases. At the end the log on disk is held against all of it, too.
"""
import collections
import sys
import threading
import time

import innkeep_client as ink
from innkeep_client import Op, State, Status
from server import Case, Hotel, main, seeded, tool_json

SECOND = ink.SECOND
KILLS = 12
WORKERS = 6
NIGHTS = 12
DEADLINE_S = 300
ROOMS = (6, 3)
UNDER_WAY_MAX = 120
RESOURCES = 4
LONG = 3600 * SECOND
SHORT = SECOND // 50
CHANGES = {Op.CONFIRM: ink.confirm, Op.RELEASE: ink.release, Op.CANCEL: ink.cancel}
STATE_AFTER = {Op.CONFIRM: State.CONFIRMED, Op.RELEASE: State.RELEASED, Op.CANCEL: State.CANCELLED}
MUTATIONS = {Op.RESERVE, *CHANGES}


def state_after_reserve(command):
    if command.hold == SHORT:
        return State.EXPIRED
    return State.HELD if command.hold else State.CONFIRMED


class Command:
    """One item that was sent, and the first answer it got; `lsn` is where it took effect."""

    def __init__(self, item, hotel, reservation=None, hold=0):
        self.item = item
        self.hotel = hotel
        self.kind = Op(ink.kind_of(item))
        self.key = item[16:32]
        self.reservation = reservation
        self.hold = hold
        self.result = None
        self.lsn = None

    def take(self, result):
        self.result = result
        self.lsn = result.original_lsn if result.replayed else result.lsn


class Worker:
    """One connection's part of the load. It changes its own reservations only, so their order is its own."""

    def __init__(self, number, hotels, random):
        self.random = random
        self.hotels = hotels
        self.session = random.randbytes(16)
        self.recent = collections.deque(maxlen=10)  # reservations just asked for, answered or not
        self.live = []  # reservations held or confirmed, as far as the answers say
        self.tokens = {}  # (property, resource) -> newest token granted to this session
        self.client = None
        self.under_way = []  # (place, command)
        self.number = number

    def connect(self, server):
        self.client = server.connect(shard=self.number % 2)
        self.under_way = []

    def _fence(self, hotel):
        resource = self.random.randrange(1, RESOURCES + 1)
        token = self.tokens.get((hotel.property, resource))
        return (resource, token) if token and self.random.random() < 0.2 else (0, 0)

    def _reserve(self, hotel):
        name = self.random.randbytes(16)
        hold = self.random.choice((0, LONG, LONG, SHORT))
        nights = self.random.randrange(1, 4)
        self.recent.append((hotel, name))
        return Command(hotel.reserve(name, self.random.randrange(1, 3), self.random.randrange(NIGHTS - nights + 1),
                                     nights, rooms=self.random.choice((1, 1, 2)), hold=hold,
                                     reference=self.random.getrandbits(60),
                                     not_after=ink.deadline(DEADLINE_S), fence=self._fence(hotel)), hotel, name, hold)

    def _change(self):
        hotel, name = self.random.choice(self.live if self.live and self.random.random() < 0.8 else self.recent)
        kind = self.random.choice((Op.CONFIRM, Op.CONFIRM, Op.RELEASE, Op.CANCEL, Op.CANCEL))
        return Command(CHANGES[kind](hotel.property, self.random.randbytes(16), name, self.random.choice((0, 0, 0, 1)),
                                     not_after=ink.deadline(DEADLINE_S), fence=self._fence(hotel)), hotel, name)

    def _lease(self, hotel):
        resource = self.random.randrange(1, RESOURCES + 1)
        token = self.tokens.get((hotel.property, resource))
        ttl = self.random.choice((SHORT, LONG))
        draw = self.random.random()
        if token and draw < 0.3:
            return Command(ink.lease_release(hotel.property, resource, token), hotel)
        if token and draw < 0.5:
            return Command(ink.lease_renew(hotel.property, resource, token, ttl), hotel)
        return Command(ink.lease_acquire(hotel.property, self.session, resource, ttl), hotel)

    def _command(self):
        hotel = self.random.choice(self.hotels)
        draw = self.random.random()
        if draw < 0.15:
            return self._lease(hotel)
        if draw < 0.55 or not self.recent:
            return self._reserve(hotel)
        return self._change()

    def send_some(self):
        if len(self.under_way) < UNDER_WAY_MAX:
            for _ in range(self.random.randrange(1, 12)):
                command = self._command()
                # Noted before it is sent: if the sending fails in the middle, it is a command without an answer.
                self.under_way.append([None, command])
                place, = self.client.submit([command.item])
                self.under_way[-1][0] = place
        self.client.take_available()

    def take_answers(self):
        """The commands that were answered since."""
        answered, open_still = [], []
        for place, command in self.under_way:
            result = place and self.client.result_of(place)
            if result is None:
                open_still.append([place, command])
                continue
            command.take(result)
            answered.append(command)
            self.learn(command)
        self.under_way = open_still
        return answered

    def learn(self, command):
        reservation = command.hotel, command.reservation
        if command.kind == Op.LEASE_ACQUIRE and command.result.status == Status.OK:
            resource = int.from_bytes(command.item[32:40], "little")
            self.tokens[command.hotel.property, resource] = command.result.token
        elif command.kind == Op.RESERVE and command.result.status == Status.OK:
            self.live.append(reservation)
        elif command.kind in CHANGES and reservation in self.live and (
                command.result.status == Status.HOLD_EXPIRED
                or getattr(command.result, "state", 0) in (State.RELEASED, State.CANCELLED)):
            self.live.remove(reservation)


class Crash(Case):
    def setUp(self):
        self.random = seeded(self.id())
        # A long campaign must not meet a full table: what is full answers NOT_KEPT and LIMIT_REACHED, as other tests
        # show.
        scale = 1 if KILLS <= 20 else 10
        self.server = self.serve("--reservations", 100000 * scale, "--outcomes", 100000 * scale, "--memory",
                                 f"{160 * scale}M", shards=2)
        client = self.server.connect()
        self.hotels = [Hotel(client, number, ROOMS) for number in (1, 2)]
        self.workers = [Worker(number, self.hotels, seeded(f"{self.id()} {number}")) for number in range(WORKERS)]
        self.answered = []
        self.newest_lsn = {0: 0, 1: 0}
        self.owner_of_lsn = {}  # (shard, lsn) -> command acknowledged there: each of them once, for ever

    def note(self, command):
        result = command.result
        self.assertNotIn(result.status, (Status.TOO_LATE, Status.LIMIT_REACHED, Status.KEY_REUSED, Status.OVERLOADED),
                         result)
        self.assertFalse(result.flags & ink.RESULT_NOT_KEPT)
        if result.status < 64:
            place = result.shard, result.lsn
            self.assertNotIn(place, self.owner_of_lsn, "an acknowledged LSN was used again")
            self.owner_of_lsn[place] = command
            self.newest_lsn[result.shard] = max(self.newest_lsn[result.shard], result.lsn)
        self.answered.append(command)

    def load_until_killed(self):
        for worker in self.workers:
            worker.connect(self.server)
        timer = threading.Timer(0.02 + self.random.random() ** 2 * 0.6, self.server.process.kill)
        timer.start()
        try:
            while True:
                for worker in self.workers:
                    worker.send_some()
                    for command in worker.take_answers():
                        self.note(command)
        except (ink.ConnectionEnded, OSError):
            timer.join()
        finally:
            timer.cancel()
        self.server.kill()
        for worker in self.workers:
            worker.client.drain()
            for command in worker.take_answers():
                self.note(command)

    def send_again(self, client):
        """Every mutation without an answer, in its order; then each has one."""
        unresolved = [command for worker in self.workers for _, command in worker.under_way
                      if command.kind in MUTATIONS]
        replayed = 0
        for command, result in zip(unresolved, client.call_many([command.item for command in unresolved])):
            command.take(result)
            replayed += result.replayed
            self.note(command)
        for worker in self.workers:
            for _, command in worker.under_way:
                if command.result:
                    worker.learn(command)
        return len(unresolved), replayed

    def expect_first_answers_again(self, client):
        """Of the newest and of some older mutations: the same bytes, from the same LSN."""
        soon = ink.deadline(30)
        kept = [command for command in self.answered if command.kind in MUTATIONS and command.result.status < 20
                and int.from_bytes(command.item[32:40], "little") > soon]
        chosen = kept[-300:] + self.random.sample(kept, min(len(kept), 200))
        for command, again in zip(chosen, client.call_many([command.item for command in chosen])):
            self.assertTrue(again.replayed, f"{command.kind.name} {command.result} became {again}")
            self.assertEqual((again.answer, again.original_lsn), (command.result.answer, command.lsn),
                             command.kind.name)

    def expected_reservations(self):
        """Each reservation that was made, by its key, and the state that the acknowledged commands leave it in."""
        made = {}
        for command in sorted((c for c in self.answered if c.result.status == Status.OK and c.kind in MUTATIONS),
                              key=lambda command: (command.result.shard, command.lsn)):
            name = command.hotel.property, command.reservation
            if command.kind == Op.RESERVE:
                made[name] = [command, state_after_reserve(command), 1]
            else:
                made[name][1] = STATE_AFTER[command.kind]
                made[name][2] += 1
        return made

    def expect_reservations_and_calendars(self, client):
        """Reservations stand as acknowledged, and the calendar is their sum: nothing lost, nothing sold twice."""
        made = self.expected_reservations()
        sold, held = collections.Counter(), collections.Counter()
        looked_up = client.call_many([ink.lookup(*name) for name in made])
        for (name, (command, state, version)), found in zip(made.items(), looked_up):
            self.expect(found, Status.OK, what=ink.WHAT_RESERVATION, original_lsn=command.lsn, state=state,
                        version=version)
            for night in range(found.arrival, found.arrival + found.nights):
                cell = name[0], found.room_type, night
                sold[cell] += found.rooms * (state == State.CONFIRMED)
                held[cell] += found.rooms * (state == State.HELD)
        for hotel in self.hotels:
            page = client.call(ink.calendar(hotel.property, hotel.business_date, NIGHTS))
            for room_type, nights in page.types.items():
                for offset, (sellable, cell_sold, cell_held, available) in enumerate(nights):
                    cell = hotel.property, room_type, hotel.business_date + offset
                    self.assertEqual((sellable, cell_sold, cell_held), (ROOMS[room_type - 1], sold[cell], held[cell]),
                                     cell)
                    self.assertEqual(available, sellable - cell_sold - cell_held)
                    self.assertGreaterEqual(available, 0, "sold twice")
        return len(made)

    def expect_leases(self, client):
        """No resource's newest token is below one that was acknowledged, and tokens are the LSNs of their grants."""
        newest = collections.Counter()
        for worker in self.workers:
            for place, token in worker.tokens.items():
                newest[place] = max(newest[place], token)
        for (property, resource), token in newest.items():
            shown = self.expect(client.call(ink.lease_show(property, resource)), Status.OK)
            self.assertGreaterEqual(shown.token, token)
            if shown.token > token:
                self.assertNotIn((shown.shard, shown.token), self.owner_of_lsn,
                                 "a token that somebody else's command has as LSN")

    def let_short_ones_expire(self, client):
        time.sleep(0.1)
        for shard in range(2):
            client.call(ink.barrier_of_shard(shard))

    def test_everything_acknowledged_survives_every_kill(self):
        for kill in range(KILLS):
            self.load_until_killed()
            self.server.start()
            for shard, lsn in enumerate(self.server.lsns):
                self.assertGreaterEqual(lsn, self.newest_lsn[shard], "an acknowledged LSN is beyond the log")
            client = self.server.connect()
            unresolved, replayed = self.send_again(client)
            self.expect_first_answers_again(client)
            self.let_short_ones_expire(client)
            reservations = self.expect_reservations_and_calendars(client)
            self.expect_leases(client)
            client.close()
            print(f"kill {kill + 1}: {len(self.answered)} answered, {reservations} reservations, "
                  f"{unresolved} without an answer, {replayed} of these had taken effect", flush=True)
        self.assertGreater(len(self.answered), 20 * KILLS)
        self.expect_the_log_to_agree()

    def expect_the_log_to_agree(self):
        """Verify is clean, replay has the server's state hash, and each acknowledged command is in the log at its
        LSN."""
        with ink.Connection(self.server.address) as client:
            self.let_short_ones_expire(client)
        state_hash = self.server.state_hash()
        self.server.close_connections()
        self.server.stop()
        (verdict,), code = tool_json("innkeep-wal", "verify", self.server.data, "--json")
        self.assertEqual((code, verdict["verdict"]), (0, "clean"))
        (replay,), code = tool_json("innkeep-wal", "replay", self.server.data, "--json")
        self.assertEqual((code, int(replay["state_hash"], 16)), (0, state_hash))
        records, code = tool_json("innkeep-wal", "dump", self.server.data, "--json")
        self.assertEqual(code, 0)
        log = {(record["shard"], record["lsn"]): record for record in records}
        self.assertEqual(len(log), len(records), "an LSN is in the log twice")
        for place, command in self.owner_of_lsn.items():
            record = log[place]
            self.assertEqual(record["operation"], command.kind.name.lower())
            self.assertEqual(record["key"].replace("-", ""), command.key.hex())
            self.assertEqual(record["outcome"]["status"], command.result.status.name, record)
            self.assertEqual(record["outcome"]["original_lsn"], command.result.original_lsn, record)


def take_kills(arguments):
    """Takes `--kills N` from the arguments."""
    if "--kills" not in arguments:
        return KILLS
    at = arguments.index("--kills")
    number = int(arguments[at + 1])
    del arguments[at:at + 2]
    return number


if __name__ == "__main__":
    KILLS = take_kills(sys.argv)
    main()
