#!/usr/bin/env python3
"""Keys and deadlines: a mutation takes effect at most once, and past its deadline definitely not, across retries and
crashes."""
import time

import innkeep_client as ink
from innkeep_client import Op, State, Status
from server import Case, Hotel, main, seeded

SECOND = ink.SECOND
UNSETTLED = 6


class Retries(Case):
    def setUp(self):
        self.server = self.serve()
        self.client = self.server.connect()
        self.hotels = [Hotel(self.client, number, (5, 1)) for number in (1, 2)]  # one on each of the two shards
        self.done = []  # (item, first result)

    def do(self, item, status=Status.OK):
        result = self.expect(self.client.call(item), status, original_lsn=0)
        self.assertEqual(result.flags, 0)
        self.done.append((item, result))
        return result

    def do_every_mutation(self, hotel):
        """Every mutation with every kind of outcome that is kept."""
        number, night = hotel.property, hotel.business_date
        fresh = 1000 + number
        self.do(ink.property_create(fresh, ink.new_key(), night))
        self.do(ink.property_create(fresh, ink.new_key(), night), Status.ALREADY_EXISTS)
        self.do(ink.room_type_create(number, ink.new_key(), 3, 1))
        self.do(ink.room_type_create(number, ink.new_key(), 3, 1), Status.ALREADY_EXISTS)
        self.do(ink.room_type_create(5000 + number, ink.new_key(), 3, 1), Status.NO_SUCH_PROPERTY)
        self.do(ink.rooms_set(number, ink.new_key(), 3, night, night + 5, 2))
        self.do(ink.rooms_set(number, ink.new_key(), 9, night, night, 2), Status.NO_SUCH_ROOM_TYPE)
        self.do(ink.rooms_set(number, ink.new_key(), 3, night - 1, night, 2), Status.BEFORE_BUSINESS_DATE)
        confirmed, held, released, cancelled, expired = (ink.new_key() for _ in range(5))
        self.do(hotel.reserve(confirmed, nights=3, reference=7))
        for name in (held, released, cancelled):
            self.do(hotel.reserve(name, hold=600 * SECOND))
        self.do(hotel.reserve(expired, hold=1))
        self.do(hotel.reserve(room_type=2))
        self.do(hotel.reserve(room_type=2), Status.SOLD_OUT)
        self.do(hotel.reserve(room_type=8), Status.NO_SUCH_ROOM_TYPE)
        self.do(hotel.reserve(offset=-3), Status.BEFORE_BUSINESS_DATE)
        self.do(hotel.reserve(offset=900, nights=900), Status.BEYOND_HORIZON)
        self.do(ink.release(number, ink.new_key(), released))
        self.do(ink.confirm(number, ink.new_key(), cancelled, 1))
        self.do(ink.cancel(number, ink.new_key(), cancelled, 2))
        self.do(ink.confirm(number, ink.new_key(), held, 4), Status.VERSION_CONFLICT)
        self.do(ink.confirm(number, ink.new_key(), confirmed), Status.STATE_CONFLICT)
        self.do(ink.cancel(number, ink.new_key(), held), Status.STATE_CONFLICT)
        self.do(ink.release(number, ink.new_key(), ink.new_key()), Status.NO_SUCH_RESERVATION)
        self.do(ink.confirm(number, ink.new_key(), expired), Status.HOLD_EXPIRED)
        self.do(ink.confirm(number, ink.new_key(), held))

    def expect_replays(self, client, redeadline=None):
        for item, first in self.done:
            if redeadline:
                item = item[:32] + redeadline.to_bytes(8, "little") + item[40:]
            again = client.call(item)
            self.assertEqual(again.answer, first.answer, f"{Op(ink.kind_of(item)).name} answered {first}, then {again}")
            self.assertEqual((again.flags, again.original_lsn), (ink.RESULT_REPLAYED, first.lsn), again)
            self.assertGreater(again.lsn, first.lsn)

    def test_every_mutation_sent_again_is_answered_byte_for_byte_before_and_after_a_crash(self):
        for hotel in self.hotels:
            self.do_every_mutation(hotel)
        before = [self.client.call(ink.calendar(hotel.property, hotel.business_date, 10)).types
                  for hotel in self.hotels]
        self.expect_replays(self.client)
        self.expect_replays(self.server.connect(shard=1))
        self.server.restart()
        client = self.server.connect()
        self.expect_replays(client)
        self.server.stop()
        self.server.start()
        client = self.server.connect()
        self.expect_replays(client, redeadline=ink.deadline(90))
        after = [client.call(ink.calendar(hotel.property, hotel.business_date, 10)).types for hotel in self.hotels]
        self.assertEqual(after, before)

    def test_the_same_item_twice_in_one_message_takes_effect_once(self):
        item = self.hotels[0].reserve()
        first, *others = self.client.call_many([item] * 50)
        self.expect(first, Status.OK)
        self.assertFalse(first.replayed)
        for other in others:
            self.assertEqual((other.answer, other.replayed, other.original_lsn), (first.answer, True, first.lsn))
        self.assertEqual(self.client.call(ink.calendar(1, self.hotels[0].business_date, 1, 1)).types[1][0],
                         (5, 1, 0, 4))

    def test_the_same_key_raced_from_many_connections_books_once(self):
        random = seeded(self.id())
        clients = [self.server.connect(shard=number % 2) for number in range(30)]
        for night in range(10):
            item = self.hotels[random.randrange(2)].reserve(offset=night)
            places = [(client, client.submit([item])) for client in clients]
            results = [client.collect(place)[0] for client, place in places]
            self.assertEqual(sorted(result.replayed for result in results), [False] + [True] * 29)
            first, = (result for result in results if not result.replayed)
            self.assertEqual({(result.answer, result.original_lsn or result.lsn) for result in results},
                             {(first.answer, first.lsn)})

    def test_a_key_with_other_content_is_reused(self):
        hotel = self.hotels[0]
        name, change = ink.new_key(), ink.new_key()
        made = self.expect(self.client.call(hotel.reserve(name, hold=600 * SECOND, reference=1)), Status.OK)
        done = self.expect(self.client.call(ink.confirm(1, change, name)), Status.OK)
        others = [(hotel.reserve(name, hold=600 * SECOND, reference=2), Op.RESERVE, made),
                  (hotel.reserve(name), Op.RESERVE, made),
                  (hotel.reserve(name, hold=600 * SECOND, reference=1, fence=(1, 1)), Op.RESERVE, made),
                  (ink.cancel(1, name, name), Op.RESERVE, made), (ink.cancel(1, change, name), Op.CONFIRM, done),
                  (hotel.reserve(change), Op.CONFIRM, done), (ink.confirm(1, change, name, 1), Op.CONFIRM, done),
                  (ink.room_type_create(1, change, 30, 1), Op.CONFIRM, done)]
        for restart in (False, True):
            if restart:
                self.server.restart()
                self.client = self.server.connect()
            for item, operation, first in others:
                result = self.expect(self.client.call(item), Status.KEY_REUSED, operation=operation,
                                     original_lsn=first.lsn, flags=0)
                expected = bytearray(40)
                expected[18] = operation
                self.assertEqual(result.body, bytes(expected))
        self.expect(self.client.call(ink.lookup(1, name)), Status.OK, state=State.CONFIRMED, version=2)

    def test_a_lookup_tells_what_became_of_a_key(self):
        hotel = self.hotels[0]
        refused, change, name = ink.new_key(), ink.new_key(), ink.new_key()
        self.expect(self.client.call(hotel.reserve(refused, rooms=6)), Status.SOLD_OUT)
        self.expect(self.client.call(hotel.reserve(name)), Status.OK)
        self.expect(self.client.call(ink.confirm(1, change, name)), Status.STATE_CONFLICT)
        found = self.client.call(ink.lookup(1, refused))
        self.expect(found, Status.OK, what=ink.WHAT_OUTCOME, outcome_operation=Op.RESERVE,
                    outcome_status=Status.SOLD_OUT, nights=0, rooms=0, arrival=0)
        self.expect(self.client.call(ink.lookup(1, change)), Status.OK, what=ink.WHAT_OUTCOME,
                    outcome_operation=Op.CONFIRM,
                    outcome_status=Status.STATE_CONFLICT, state=State.CONFIRMED, version=1)
        unknown = self.expect(self.client.call(ink.lookup(2, refused)), Status.NO_SUCH_KEY)
        self.assertEqual(unknown.body, bytes(40))


class Deadlines(Case):
    def setUp(self):
        self.server = self.serve()
        self.client = self.server.connect()
        self.hotel = Hotel(self.client, 1, (1,))

    def pass_deadline(self, moment, client=None):
        """Barriers until log time is past it."""
        client = client or self.client
        self.eventually(lambda: client.call(ink.barrier(1)).log_time_ns > moment, "log time passes the deadline")

    def test_the_late_duplicate_of_a_refused_reserve_is_too_late_and_never_a_booking(self):
        taken, key, until = ink.new_key(), ink.new_key(), ink.deadline(1.5)
        late = self.hotel.reserve(key, not_after=until)
        self.expect(self.client.call(self.hotel.reserve(taken)), Status.OK)
        self.expect(self.client.call(late), Status.SOLD_OUT)
        self.expect(self.client.call(late), Status.SOLD_OUT, flags=ink.RESULT_REPLAYED)
        self.expect(self.client.call(ink.cancel(1, ink.new_key(), taken)), Status.OK)
        self.expect(self.client.call(late), Status.SOLD_OUT, flags=ink.RESULT_REPLAYED)
        self.pass_deadline(until)
        self.expect(self.client.call(late), Status.TOO_LATE, flags=0, original_lsn=0)
        self.server.restart()
        client = self.server.connect()
        self.expect(client.call(late), Status.TOO_LATE)
        self.expect(client.call(ink.lookup(1, key)), Status.NO_SUCH_KEY)
        self.assertEqual(client.call(ink.calendar(1, self.hotel.business_date, 1, 1)).types[1][0], (1, 0, 0, 1))

    def test_an_accepted_reserve_is_replayed_even_past_its_deadline(self):
        until = ink.deadline(1)
        item = self.hotel.reserve(not_after=until)
        first = self.expect(self.client.call(item), Status.OK)
        self.pass_deadline(until)
        again = self.client.call(item)
        self.assertEqual((again.answer, again.replayed, again.original_lsn), (first.answer, True, first.lsn))

    def test_a_reserve_that_arrives_late_is_too_late(self):
        key = ink.new_key()
        self.client.call(ink.barrier(1))
        self.expect(self.client.call(self.hotel.reserve(key, not_after=ink.deadline(-1))), Status.TOO_LATE)
        self.expect(self.client.call(self.hotel.reserve(key, not_after=1)), Status.TOO_LATE)
        self.expect(self.client.call(ink.lookup(1, key)), Status.NO_SUCH_KEY)

    def test_a_deadline_too_far_ahead_is_refused_and_uses_no_key(self):
        key = ink.new_key()
        ahead = self.client.hello.deadline_ahead_max_ns
        self.assertEqual(ahead, 600 * SECOND)
        self.expect(self.client.call(self.hotel.reserve(key, not_after=ink.deadline(0) + ahead + 30 * SECOND)),
                    Status.DEADLINE_TOO_FAR)
        self.expect(self.client.call(self.hotel.reserve(key, not_after=ink.NEVER)), Status.DEADLINE_TOO_FAR)
        self.expect(self.client.call(self.hotel.reserve(key, not_after=ink.deadline(0) + ahead - 30 * SECOND)),
                    Status.OK, flags=0)

    def test_what_was_not_executed_uses_no_key(self):
        key = ink.new_key()
        self.expect(self.client.call(self.hotel.reserve(key, fence=(5, 1))), Status.TOKEN_INVALID)
        self.expect(self.client.call(self.hotel.reserve(key, fence=(5, 2**60))), Status.TOKEN_UNKNOWN)
        self.expect(self.client.call(self.hotel.reserve(key, not_after=1)), Status.TOO_LATE)
        self.expect(self.client.call(self.hotel.reserve(key, nights=0)), Status.ZERO_NIGHTS)
        self.expect(self.client.call(ink.lookup(1, key)), Status.NO_SUCH_KEY)
        self.expect(self.client.call(self.hotel.reserve(key)), Status.OK, flags=0)

    def send_and_crash(self, item, random, never_taken):
        """Leaves the outcome unknown: a kill close to the moment of the command, or of a server that never looked at
        it."""
        if never_taken:
            self.server.pause()
        self.client.submit([item])
        time.sleep(random.choice((0, 0, 0.001, 0.02)))
        self.server.restart()

    def test_an_unknown_outcome_is_settled_by_a_barrier_and_a_lookup(self):
        random = seeded(self.id())
        for attempt in range(UNSETTLED):
            key, until = ink.new_key(random), ink.deadline(2)
            item = self.hotel.reserve(key, offset=attempt, not_after=until)
            self.send_and_crash(item, random, never_taken=attempt % 2)
            self.client = self.server.connect()
            self.pass_deadline(until)
            settled = self.client.call(ink.lookup(1, key))
            self.assertIn(settled.status, (Status.OK, Status.NO_SUCH_KEY))
            again = self.client.call(item)
            night = self.client.call(ink.calendar(1, self.hotel.business_date + attempt, 1, 1)).types[1][0]
            if settled.status == Status.OK:
                self.assertEqual(attempt % 2, 0, "a server that was stopped took a command")
                self.expect(settled, Status.OK, what=ink.WHAT_RESERVATION, state=State.CONFIRMED)
                self.expect(again, Status.OK, flags=ink.RESULT_REPLAYED, original_lsn=settled.original_lsn)
                self.assertEqual(night, (1, 1, 0, 0))
            else:
                self.expect(again, Status.TOO_LATE)
                self.assertEqual(night, (1, 0, 0, 1))

    def test_an_unknown_outcome_is_settled_by_sending_again(self):
        random = seeded(self.id())
        for attempt in range(UNSETTLED):
            item = self.hotel.reserve(ink.new_key(random), offset=100 + attempt)
            self.send_and_crash(item, random, never_taken=attempt % 2)
            self.client = self.server.connect()
            self.expect(self.client.call(item), Status.OK, state=State.CONFIRMED)
            night = self.client.call(ink.calendar(1, self.hotel.business_date + 100 + attempt, 1, 1)).types[1][0]
            self.assertEqual(night, (1, 1, 0, 0))


if __name__ == "__main__":
    main()
