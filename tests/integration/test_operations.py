#!/usr/bin/env python3
"""Every operation over a real connection, the handshake in its variants, and the order of results under pipelining."""
import itertools
import time
import unittest

import innkeep_client as ink
from innkeep_client import LeaseState, Limit, Op, State, Status
from server import Case, Hotel, main, property_of_shard, seeded

SECOND = ink.SECOND


class GoldenBytes(unittest.TestCase):
    def test_this_client_seals_the_worked_exchange_of_the_document(self):
        hello = ink.message([ink.hello(client=b"golden 1.0")], 12648430)
        self.assertEqual(hello[:8].hex(" "), "e1 80 7e 03 29 89 5f db")
        reserve = ink.message([ink.reserve(42, bytes.fromhex("00112233445566778899aabbccddeeff"), 2, 20780, 3,
                                           reference=72623859790382856, not_after=0x18D75B921C3A5800)], 12648430)
        self.assertEqual(reserve[:8].hex(" "), "77 0a d1 0d 4a 47 f4 da")
        self.assertEqual((len(hello), len(reserve)), (112, 120))

    def test_this_client_finds_the_shards_of_the_document(self):
        for number, expected in ((1, [0, 1, 1, 2, 21]), (1000, [1, 2, 3, 6, 48]), (2**64 - 1, [1, 2, 2, 5, 45])):
            self.assertEqual([ink.shard_of(number, shards) for shards in (2, 3, 4, 8, 64)], expected)


class EveryOperation:
    """The same claims over one shard and over two."""

    shards = None

    def setUp(self):
        self.server = self.serve(shards=self.shards)
        self.client = self.server.connect()
        self.today = ink.today()
        self.property = property_of_shard(self.shards - 1, self.shards)
        self.shard = self.shards - 1

    def call(self, item, status=Status.OK, **fields):
        result = self.expect(self.client.call(item), status, **fields)
        self.assertEqual(result.shard, self.shard)
        return result

    def hotel(self, rooms=(10,)):
        return Hotel(self.client, self.property, rooms, self.today)

    def night(self, offset=0, room_type=1):
        result = self.client.call(ink.calendar(self.property, self.today + offset, 1, room_type))
        return result.types[room_type][0]

    def test_a_property_and_a_room_type_are_made_once(self):
        first = self.call(ink.property_create(self.property, ink.new_key(), self.today))
        again = self.call(ink.property_create(self.property, ink.new_key(), self.today), Status.ALREADY_EXISTS)
        made = self.call(ink.room_type_create(self.property, ink.new_key(), 7, 3), room_type=7)
        self.call(ink.room_type_create(self.property, ink.new_key(), 7, 3), Status.ALREADY_EXISTS)
        self.assertLess(first.lsn, again.lsn)
        self.assertLess(again.lsn, made.lsn)
        self.assertLessEqual(first.log_time_ns, made.log_time_ns)
        self.assertEqual(self.night(room_type=7), (3, 0, 0, 3))

    def test_nothing_is_made_in_a_property_that_does_not_exist(self):
        key = ink.new_key()
        missing = Status.NO_SUCH_PROPERTY
        self.call(ink.room_type_create(self.property, ink.new_key(), 1, 1), missing)
        self.call(ink.rooms_set(self.property, ink.new_key(), 1, self.today, self.today, 1), missing)
        self.call(ink.reserve(self.property, key, 1, self.today, 1), missing)
        for change in (ink.confirm, ink.release, ink.cancel):
            self.call(change(self.property, ink.new_key(), key), missing)
        self.call(ink.lease_acquire(self.property, ink.new_key(), 1, SECOND), missing)
        self.call(ink.calendar(self.property, self.today, 1), missing)
        self.call(ink.lookup(self.property, ink.new_key()), Status.NO_SUCH_KEY)

    def test_rooms_are_set_on_the_days_of_the_mask_in_an_inclusive_range(self):
        self.hotel()
        monday = self.today + (-(self.today + ink.MONDAY_OF_DAY_0)) % 7
        weekend = 0b1100000
        self.call(ink.rooms_set(self.property, ink.new_key(), 1, monday, monday + 13, 4, weekend), room_type=1)
        nights = self.client.call(ink.calendar(self.property, monday, 15, 1)).types[1]
        self.assertEqual([night[0] for night in nights], [10] * 5 + [4] * 2 + [10] * 5 + [4] * 2 + [10])
        self.call(ink.rooms_set(self.property, ink.new_key(), 1, self.today - 1, self.today, 4),
                  Status.BEFORE_BUSINESS_DATE, night=self.today - 1)
        horizon = self.client.hello.horizon_nights
        self.call(ink.rooms_set(self.property, ink.new_key(), 1, self.today, self.today + horizon, 4),
                  Status.BEYOND_HORIZON, night=self.today + horizon)
        self.call(ink.rooms_set(self.property, ink.new_key(), 9, self.today, self.today, 4), Status.NO_SUCH_ROOM_TYPE)

    def test_supply_below_what_is_sold_shows_as_negative(self):
        hotel = self.hotel()
        self.call(hotel.reserve(rooms=3))
        self.call(ink.rooms_set(self.property, ink.new_key(), 1, self.today, self.today, 1))
        self.assertEqual(self.night(), (1, 3, 0, -2))
        self.call(hotel.reserve(), Status.SOLD_OUT, night=self.today, room_type=1, available=0, limit=Limit.TYPE)

    def test_a_reserve_takes_all_its_nights_or_none(self):
        hotel = self.hotel((2,))
        self.call(hotel.reserve(offset=2, rooms=2), state=State.CONFIRMED, version=1, room_type=1, hold_deadline_ns=0)
        self.call(hotel.reserve(nights=4), Status.SOLD_OUT, night=self.today + 2, room_type=1, available=0,
                  limit=Limit.TYPE)
        self.call(hotel.reserve(nights=2, rooms=1))
        self.call(hotel.reserve(nights=2, rooms=2), Status.SOLD_OUT, night=self.today, available=1)
        nights = self.client.call(ink.calendar(self.property, self.today, 5, 1)).types[1]
        self.assertEqual([sold for _, sold, _, _ in nights], [1, 1, 2, 0, 0])

    def test_a_reserve_outside_the_calendar_names_the_night(self):
        hotel = self.hotel()
        horizon = self.client.hello.horizon_nights
        self.call(hotel.reserve(offset=-1), Status.BEFORE_BUSINESS_DATE, night=self.today - 1)
        self.call(hotel.reserve(offset=horizon - 1))
        self.call(hotel.reserve(offset=horizon - 1, nights=2), Status.BEYOND_HORIZON, night=self.today + horizon)
        self.call(hotel.reserve(room_type=5), Status.NO_SUCH_ROOM_TYPE)

    def test_a_hold_is_confirmed_then_cancelled_and_every_change_counts(self):
        hotel = self.hotel()
        name = ink.new_key()
        held = self.call(hotel.reserve(name, nights=2, hold=600 * SECOND, reference=77), state=State.HELD, version=1)
        self.assertEqual(held.hold_deadline_ns, held.log_time_ns + 600 * SECOND)
        self.assertEqual(self.night(), (10, 0, 1, 9))
        self.call(ink.cancel(self.property, ink.new_key(), name), Status.STATE_CONFLICT, state=State.HELD)
        self.call(ink.confirm(self.property, ink.new_key(), name, 5), Status.VERSION_CONFLICT, version=1,
                  state=State.HELD)
        self.call(ink.confirm(self.property, ink.new_key(), name, 1), state=State.CONFIRMED, version=2, room_type=1,
                  hold_deadline_ns=held.hold_deadline_ns)
        self.assertEqual(self.night(), (10, 1, 0, 9))
        self.call(ink.lookup(self.property, name), what=ink.WHAT_RESERVATION, state=State.CONFIRMED, version=2,
                  nights=2,
                  arrival=self.today, room_type=1, rooms=1, lines_count=1, external_reference=77, original_lsn=held.lsn,
                  outcome_operation=Op.RESERVE, outcome_status=Status.OK, hold_deadline_ns=held.hold_deadline_ns)
        self.call(ink.release(self.property, ink.new_key(), name), Status.STATE_CONFLICT, state=State.CONFIRMED)
        self.call(ink.cancel(self.property, ink.new_key(), name, 2), state=State.CANCELLED, version=3)
        self.assertEqual(self.night(), (10, 0, 0, 10))
        for change in (ink.confirm, ink.release, ink.cancel):
            self.call(change(self.property, ink.new_key(), name), Status.STATE_CONFLICT, state=State.CANCELLED)

    def test_a_released_hold_returns_its_rooms(self):
        hotel = self.hotel((1,))
        name, change = ink.new_key(), ink.new_key()
        self.call(hotel.reserve(name, hold=600 * SECOND))
        self.call(hotel.reserve(), Status.SOLD_OUT)
        released = self.call(ink.release(self.property, change, name), state=State.RELEASED, version=2)
        self.call(ink.lookup(self.property, change), what=ink.WHAT_OUTCOME, outcome_operation=Op.RELEASE,
                  outcome_status=Status.OK,
                  state=State.RELEASED, version=2, original_lsn=released.lsn, nights=0, room_type=0)
        self.call(hotel.reserve())

    def test_a_hold_of_no_reservation_is_none(self):
        self.hotel()
        for change in (ink.confirm, ink.release, ink.cancel):
            self.call(change(self.property, ink.new_key(), ink.new_key()), Status.NO_SUCH_RESERVATION)

    def test_an_expired_hold_says_so_and_returns_its_rooms(self):
        hotel = self.hotel((1,))
        name = ink.new_key()
        self.call(hotel.reserve(name, hold=SECOND // 5))
        self.eventually(lambda: self.client.call(hotel.reserve()).status == Status.OK, "the rooms come back")
        self.call(ink.confirm(self.property, ink.new_key(), name), Status.HOLD_EXPIRED)
        self.call(ink.release(self.property, ink.new_key(), name), Status.HOLD_EXPIRED)
        self.call(ink.cancel(self.property, ink.new_key(), name), Status.STATE_CONFLICT)
        self.call(ink.lookup(self.property, name), state=State.EXPIRED, version=1)

    def test_a_calendar_is_cut_to_what_is_open_and_pages_through_all_types(self):
        types = 40
        self.hotel([number + 1 for number in range(types)])
        horizon = self.client.hello.horizon_nights
        cut = self.call(ink.calendar(self.property, self.today - 5, 10, 1), first_night=self.today, nights=5,
                        business_date=self.today)
        self.assertEqual(cut.types[1], [(1, 0, 0, 1)] * 5)
        self.call(ink.calendar(self.property, self.today + horizon - 2, 10, 1), nights=2)
        for outside in (self.today - 10, self.today + horizon):
            self.call(ink.calendar(self.property, outside, 10), first_night=0, nights=0, types_count=0,
                      next_after_type=0)
        found, after = {}, 0
        for _ in range(types):
            page = self.call(ink.calendar(self.property, self.today, 900, after_type=after))
            self.assertGreaterEqual(page.types_count, 1)
            found.update(page.types)
            after = page.next_after_type
            if not after:
                break
        self.assertEqual({number: nights[0][0] for number, nights in found.items()},
                         {number: number for number in range(1, types + 1)})
        self.call(ink.calendar(self.property, self.today, 1, 99), Status.NO_SUCH_ROOM_TYPE)
        self.call(ink.calendar(self.property, self.today, 1, after_type=99), Status.NO_SUCH_ROOM_TYPE)

    def test_a_lease_is_granted_renewed_shown_and_released(self):
        self.hotel()
        mine, other = ink.new_key(), ink.new_key()
        self.call(ink.lease_show(self.property, 5), Status.NO_SUCH_LEASE, token=0, owner=bytes(32))
        granted = self.call(ink.lease_acquire(self.property, mine, 5, 60 * SECOND, b"desk 1"), ttl_ns=60 * SECOND,
                            state=LeaseState.LIVE, owner=b"desk 1".ljust(32, b"\0"))
        self.assertEqual(granted.token, granted.lsn)
        self.assertEqual(granted.deadline_ns, granted.log_time_ns + 60 * SECOND)
        self.call(ink.lease_acquire(self.property, other, 5, SECOND), Status.LEASE_HELD, token=granted.token,
                  owner=granted.owner, deadline_ns=granted.deadline_ns)
        renewed = self.call(ink.lease_renew(self.property, 5, granted.token, 90 * SECOND), token=granted.token)
        self.assertEqual(renewed.deadline_ns, renewed.log_time_ns + 90 * SECOND)
        again = self.call(ink.lease_acquire(self.property, mine, 5, 70 * SECOND, b"desk 2"), token=granted.token)
        self.assertEqual(again.owner.rstrip(b"\0"), b"desk 2")
        self.call(ink.lease_show(self.property, 5), token=granted.token, ttl_ns=70 * SECOND, owner=again.owner)
        self.call(ink.lease_release(self.property, 5, granted.token), state=LeaseState.RELEASED)
        self.call(ink.lease_renew(self.property, 5, granted.token, SECOND), Status.LEASE_RELEASED)
        newer = self.call(ink.lease_acquire(self.property, other, 5, 60 * SECOND))
        self.assertGreater(newer.token, granted.token)
        self.call(ink.lease_renew(self.property, 5, granted.token, SECOND), Status.FENCED, token=newer.token)

    def test_every_row_of_the_fence_table(self):
        hotel = self.hotel()
        old = self.call(ink.lease_acquire(self.property, ink.new_key(), 5, 60 * SECOND)).token
        self.call(ink.lease_release(self.property, 5, old))
        self.call(hotel.reserve(fence=(5, old)), Status.LEASE_RELEASED, token=old)
        token = self.call(ink.lease_acquire(self.property, ink.new_key(), 5, SECOND // 2)).token
        for _ in range(3):
            self.call(hotel.reserve(fence=(5, token)))
        self.call(hotel.reserve(fence=(5, old)), Status.FENCED, token=token)
        self.call(hotel.reserve(fence=(5, token + 1)), Status.TOKEN_INVALID)
        self.call(hotel.reserve(fence=(6, token)), Status.TOKEN_INVALID)
        self.call(hotel.reserve(fence=(5, 2**63)), Status.TOKEN_UNKNOWN)
        self.call(ink.lease_renew(self.property, 6, token, SECOND), Status.NO_SUCH_LEASE)
        self.call(ink.lease_renew(self.property, 5, token + 1, SECOND), Status.TOKEN_INVALID)
        self.call(ink.lease_release(self.property, 5, 2**63), Status.TOKEN_UNKNOWN)
        self.eventually(lambda: self.client.call(ink.barrier(self.property)) and
                        self.client.call(ink.lease_show(self.property, 5)).state == LeaseState.EXPIRED,
                        "the lease ends")
        self.call(hotel.reserve(fence=(5, token)), Status.LEASE_EXPIRED, token=token)
        self.call(ink.lease_renew(self.property, 5, token, SECOND), Status.LEASE_EXPIRED)

    def test_a_barrier_moves_log_time(self):
        first = self.call(ink.barrier(self.property))
        second = self.call(ink.barrier_of_shard(self.shard))
        self.assertGreater(second.lsn, first.lsn)
        self.assertGreater(second.log_time_ns, first.log_time_ns)
        self.assertLess(abs(second.log_time_ns - ink.deadline(0)), 30 * SECOND)

    def test_status_counts_what_is_there(self):
        hotel = self.hotel((5, 5))
        name = ink.new_key()
        self.call(hotel.reserve(name, hold=600 * SECOND))
        self.call(hotel.reserve())
        self.call(ink.lease_acquire(self.property, ink.new_key(), 5, 60 * SECOND))
        before = self.call(ink.status(self.shard, True), properties=1, room_types=2, reservations_held=1,
                           reservations_confirmed=1,
                           reservations_ended=0, leases_live=1, leases_ended=0, shortest_ttl_ns=60 * SECOND,
                           shards=self.shards,
                           uuid=self.client.hello.uuid, horizon_nights=self.client.hello.horizon_nights,
                           alarm_factor=10)
        self.assertNotEqual(before.state_hash, bytes(16))
        self.call(ink.release(self.property, ink.new_key(), name))
        after = self.call(ink.status(self.shard, True), reservations_held=0, reservations_ended=1)
        self.assertNotEqual(before.state_hash, after.state_hash)
        self.assertEqual(self.call(ink.status(self.shard)).state_hash, bytes(16))
        self.assertGreater(after.frames, 0)
        self.assertGreaterEqual(after.records, 7)
        self.assertGreater(after.log_bytes, 0)
        self.assertGreater(after.commit_p99_ns, 0)
        self.assertGreater(after.uptime_ns, before.uptime_ns)

    def test_keys_are_scoped_to_their_property(self):
        self.hotel()
        other = property_of_shard(self.shard, self.shards, self.property + 1)
        Hotel(self.client, other, (1,), self.today)
        key = ink.new_key()
        self.call(ink.reserve(self.property, key, 1, self.today, 1))
        result = self.call(ink.reserve(other, key, 1, self.today, 1))
        self.assertFalse(result.replayed)


class OverOneShard(EveryOperation, Case):
    shards = 1


class OverTwoShards(EveryOperation, Case):
    shards = 2


class Handshake(Case):
    def setUp(self):
        self.server = self.serve()

    def farewell_of(self, *messages):
        with self.server.raw() as connection:
            for each in messages:
                connection.send_bytes(each)
            return connection.farewell()

    def test_a_connection_may_choose_its_shard(self):
        for shard in range(self.server.shards):
            connection = self.server.connect(shard=shard)
            self.expect(connection.hello, Status.OK, version=1, shards=2, owner=shard, shard=shard, hash_rule=1,
                        message_size_max=131072, items_max=4096)
            for number in range(1, 9):
                self.expect(connection.call(ink.barrier(number)), Status.OK, shard=ink.shard_of(number, 2))
        self.assertLess(self.server.connect().hello.owner, 2)

    def test_hello_tells_the_clock_that_log_time_will_follow(self):
        client = self.server.connect()
        told = client.hello.server_time_ns
        self.assertGreaterEqual(told, client.hello.log_time_ns)
        self.assertLess(abs(told - time.time_ns()), 30 * SECOND)
        for shard in range(2):
            self.assertGreaterEqual(client.call(ink.barrier_of_shard(shard)).log_time_ns, told)

    def test_a_shard_that_is_none_is_refused(self):
        for shard in (2, 77, 0xFFFFFFFE):
            self.assertEqual(self.farewell_of(ink.message([ink.hello(shard=shard)], 9)), (Status.NO_SUCH_SHARD, 9))

    def test_versions_that_do_not_meet_are_refused(self):
        for least, most in ((0, 0), (2, 9), (5, 3), (1, 0)):
            self.assertEqual(self.farewell_of(ink.message([ink.hello(least, most)], 9)),
                             (Status.BAD_PROTOCOL_VERSION, 9))
        with ink.RawConnection(self.server.address) as connection:
            connection.send_bytes(ink.message([ink.hello(0, 99)], 9))
            _, correlation, results = connection.receive()
            self.expect(results[0], Status.OK, version=1)
            self.assertEqual(correlation, 9)

    def test_the_first_message_is_one_hello(self):
        one = ink.message([ink.hello()], 1)
        self.assertEqual(self.farewell_of(ink.message([ink.barrier(1)], 8)), (Status.HELLO_EXPECTED, 8))
        self.assertEqual(self.farewell_of(ink.message([ink.hello()] * 2, 8)), (Status.HELLO_EXPECTED, 8))
        with self.server.raw() as connection:
            connection.send_bytes(one)
            self.expect(connection.receive()[2][0], Status.OK)
            connection.send_bytes(ink.message([ink.hello()], 8))
            self.assertEqual(connection.farewell(), (Status.HELLO_EXPECTED, 8))

    def test_requests_may_follow_hello_without_waiting(self):
        with self.server.raw() as connection:
            connection.send_bytes(ink.message([ink.hello()], 1) + ink.message([ink.barrier(1)], 2))
            self.assertEqual([connection.receive()[1] for _ in range(2)], [1, 2])

    def test_hello_as_an_item_is_judged_like_one(self):
        bad = [(ink.item(Op.HELLO, ink.hello()[32:], 1), None),
               (ink.item(Op.HELLO, ink.hello()[32:], 0, ink.new_key()), None),
               (ink.hello()[:44] + b"\1\0\0\0" + ink.hello()[48:], Status.RESERVED_NOT_ZERO),
               (ink.item(Op.HELLO, ink.hello()[32:], 0, version=2), Status.BAD_ITEM_VERSION),
               (ink.item(Op.HELLO, ink.hello()[32:72], 0), Status.BAD_ITEM_SIZE),
               (ink.item(Op.HELLO, ink.hello()[32:], 0, flags=2), Status.BAD_ITEM_FLAGS)]
        for each, expected in bad:
            status, _ = self.farewell_of(ink.message([each], 3))
            self.assertIn(status, range(80, 105))
            if expected:
                self.assertEqual(status, expected)

    def test_a_half_closed_connection_is_answered_and_then_closed(self):
        with self.server.raw() as connection:
            connection.send_bytes(ink.message([ink.hello()], 1) + ink.message([ink.barrier(1)] * 100, 2))
            connection.socket.shutdown(1)
            results = 0
            while results < 101:
                results += len(connection.receive()[2])
            self.assertRaises(ink.ConnectionEnded, connection.receive)


class Order(Case):
    """The client itself holds every answer to the order of its shard; these tests give it something to hold."""

    def setUp(self):
        self.server = self.serve("--reservations", 60000, "--outcomes", 60000)
        self.random = seeded(self.id())

    def hotels(self, client, count=6, rooms=1000):
        today = ink.today()
        return [Hotel(client, number, (rooms, rooms), today) for number in range(1, count + 1)]

    def random_item(self, hotel):
        draw = self.random.random()
        if draw < 0.5:
            return hotel.reserve(room_type=self.random.choice((1, 2, 9)), offset=self.random.randrange(20))
        if draw < 0.6:
            return ink.calendar(hotel.property, hotel.business_date, 3)
        if draw < 0.7:
            return ink.lookup(hotel.property, ink.new_key())
        if draw < 0.8:
            return ink.barrier(hotel.property)
        if draw < 0.9:
            return hotel.reserve(nights=0)  # refused as an item, in its place in the order
        return ink.status(self.random.randrange(2))

    def test_results_of_a_shard_keep_their_order_across_many_pipelined_connections(self):
        clients = [self.server.connect() for _ in range(12)]
        hotels = self.hotels(clients[0])
        places = [[] for _ in clients]
        for _ in range(15):
            for number, client in enumerate(clients):
                operation = self.random.randrange(1, 60)
                places[number] += client.submit([self.random_item(self.random.choice(hotels))
                                                 for _ in range(operation)])
        for client, mine in zip(clients, places):
            lsns = {}
            for result in client.collect(mine):
                self.assertNotIn(result.status, (Status.OVERLOADED, Status.LIMIT_REACHED))
                if result.status < 64:
                    self.assertGreaterEqual(result.lsn, lsns.get(result.shard, 0))
                    lsns[result.shard] = result.lsn

    def test_one_message_of_the_largest_size_is_one_parcel(self):
        client = self.server.connect()
        hotels = self.hotels(client)
        each = (ink.MESSAGE_SIZE_MAX - 32) // 88
        results = client.call_many([self.random.choice(hotels).reserve(offset=index % 300) for index in range(each)])
        self.assertEqual({result.status for result in results}, {Status.OK})
        results = client.call_many([ink.lookup(self.random.randrange(1, 7), ink.new_key()) for _ in range(4000)])
        self.assertEqual({result.status for result in results}, {Status.NO_SUCH_KEY})

    def test_a_query_behind_a_command_sees_it(self):
        clients = [self.server.connect() for _ in range(4)]
        hotels = self.hotels(clients[0], rooms=30000)
        for _ in range(8):
            expected = {}
            for client in clients:
                places = []
                for _ in range(10):
                    hotel, key = self.random.choice(hotels), ink.new_key()
                    places.append(client.submit([hotel.reserve(key), ink.lookup(hotel.property, key),
                                                 ink.calendar(hotel.property, hotel.business_date, 1, 1)]))
                expected[client] = places
            for client, places in expected.items():
                for run in places:
                    reserved, seen, calendar = client.collect(run)
                    self.expect(reserved, Status.OK)
                    self.expect(seen, Status.OK, original_lsn=reserved.lsn, state=State.CONFIRMED)
                    self.assertGreaterEqual(calendar.lsn, reserved.lsn)
                    self.assertGreaterEqual(calendar.types[1][0][1], 1)

    def test_pipelined_commands_take_effect_in_the_order_in_which_they_were_sent(self):
        client = self.server.connect()
        hotel = self.hotels(client, 1)[0]
        items = []
        for _ in range(200):
            name = ink.new_key()
            items += [hotel.reserve(name, hold=600 * SECOND), ink.confirm(1, ink.new_key(), name, 1),
                      ink.cancel(1, ink.new_key(), name, 2)]
        self.assertEqual({result.status for result in client.call_many(items)}, {Status.OK})

    def test_what_was_answered_before_has_the_smaller_lsn(self):
        clients = [self.server.connect(shard=number % 2) for number in range(6)]
        self.hotels(clients[0], 2)
        last = {0: 0, 1: 0}
        for client, number in itertools.islice(itertools.cycle(itertools.product(clients, (1, 2))), 200):
            result = self.expect(client.call(ink.barrier(number)), Status.OK)
            self.assertGreater(result.lsn, last[result.shard])
            last[result.shard] = result.lsn

    def test_connections_of_the_other_shard_see_what_was_answered(self):
        writer, reader = self.server.connect(shard=0), self.server.connect(shard=1)
        hotels = self.hotels(writer, 2)
        for _ in range(50):
            for hotel in hotels:
                key = ink.new_key()
                self.expect(writer.call(hotel.reserve(key)), Status.OK)
                self.expect(reader.call(ink.lookup(hotel.property, key)), Status.OK)


if __name__ == "__main__":
    main()
