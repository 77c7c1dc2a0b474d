#!/usr/bin/env python3
"""Full tables, holds that end on an idle server, and the alarm that tells of leases too short for the log."""
import time

import innkeep_client as ink
from innkeep_client import LeaseState, Limit, State, Status
from server import Case, Hotel, main

SECOND = ink.SECOND
TINY = ["--reservations", 5, "--outcomes", 5, "--leases", 2, "--properties", 2, "--room-types", 3]
SESSION = bytes([1] * 16)
CROWD = 9000  # more than are ended in one frame


class FullTables(Case):
    def setUp(self):
        self.server = self.serve(*TINY, shards=1)
        self.client = self.server.connect()
        self.today = ink.today()
        # Its own outcomes are kept for a moment only, so that all five places are free again.
        until = ink.deadline(1)
        items = [ink.property_create(1, ink.new_key(), self.today, not_after=until),
                 ink.property_create(2, ink.new_key(), self.today, not_after=until),
                 ink.room_type_create(1, ink.new_key(), 1, 6, not_after=until),
                 ink.room_type_create(1, ink.new_key(), 2, 0, not_after=until)]
        self.assertEqual({result.status for result in self.client.call_many(items)}, {Status.OK})
        self.pass_deadline(until)

    def pass_deadline(self, moment):
        self.eventually(lambda: self.client.call(ink.barrier(1)).log_time_ns > moment, "log time passes the deadline")

    def reserve(self, key=None, room_type=1, **named):
        return self.client.call(ink.reserve(1, key or ink.new_key(), room_type, self.today, 1, **named))

    def change(self, kind, reservation, status=Status.OK, key=None, not_after=None, **fields):
        item = kind(1, key or ink.new_key(), reservation, not_after=not_after)
        return self.expect(self.client.call(item), status, **fields)

    def fill_outcomes(self, seconds=60):
        """Refusals take all places for outcomes: the deadline until which they do."""
        until = ink.deadline(seconds)
        for _ in range(5):
            if self.client.call(ink.status(0)).outcomes == 5:
                break
            self.expect(self.reserve(room_type=2, not_after=until), Status.SOLD_OUT)
        self.assertEqual(self.client.call(ink.status(0)).outcomes, 5)
        return until

    def test_properties_and_room_types_have_their_limits(self):
        self.expect(self.client.call(ink.property_create(3, ink.new_key(), self.today)), Status.LIMIT_REACHED,
                    limit=Limit.PROPERTIES)
        self.expect(self.client.call(ink.property_create(2, ink.new_key(), self.today)), Status.ALREADY_EXISTS)
        self.expect(self.client.call(ink.room_type_create(1, ink.new_key(), 3, 1)), Status.OK)
        self.expect(self.client.call(ink.room_type_create(2, ink.new_key(), 1, 1)), Status.LIMIT_REACHED,
                    limit=Limit.ROOM_TYPES)
        self.expect(self.client.call(ink.room_type_create(9, ink.new_key(), 1, 1)), Status.NO_SUCH_PROPERTY)

    def test_leases_have_their_limit(self):
        tokens = [self.expect(self.client.call(ink.lease_acquire(1, ink.new_key(), resource, 60 * SECOND)),
                              Status.OK).token
                  for resource in (1, 2)]
        self.expect(self.client.call(ink.lease_acquire(1, ink.new_key(), 3, SECOND)), Status.LIMIT_REACHED)
        self.expect(self.client.call(ink.lease_renew(1, 1, tokens[0], 60 * SECOND)), Status.OK)
        self.expect(self.client.call(ink.lease_acquire(1, ink.new_key(), 1, SECOND)), Status.LEASE_HELD)
        self.expect(self.client.call(ink.lease_release(1, 1, tokens[0])), Status.OK)
        newer = self.expect(self.client.call(ink.lease_acquire(1, ink.new_key(), 1, 60 * SECOND)), Status.OK)
        self.assertGreater(newer.token, tokens[1])

    def test_a_full_table_of_reservations_refuses_new_ones_only(self):
        held, confirmed, cancelled = ink.new_key(), ink.new_key(), ink.new_key()
        until = ink.deadline(2)
        for name, hold in ((held, 600 * SECOND), (confirmed, 600 * SECOND), (cancelled, 0)):
            self.expect(self.reserve(name, hold=hold, not_after=until), Status.OK)
        for _ in range(2):
            self.expect(self.reserve(not_after=until), Status.OK)
        refused = ink.new_key()
        self.expect(self.reserve(refused), Status.LIMIT_REACHED, limit=Limit.RESERVATIONS)
        # not kept, so no KEY_REUSED; and not tried
        self.expect(self.reserve(refused, room_type=2), Status.LIMIT_REACHED)
        self.expect(self.client.call(ink.lookup(1, refused)), Status.NO_SUCH_KEY)
        self.change(ink.confirm, confirmed, state=State.CONFIRMED, not_after=until)
        for kind, name in ((ink.cancel, cancelled), (ink.cancel, confirmed), (ink.release, held)):
            self.change(kind, name, not_after=until)
            # ended ones keep their keys
            self.expect(self.reserve(refused), Status.LIMIT_REACHED, limit=Limit.RESERVATIONS)
        self.pass_deadline(until)
        # Now the oldest ended one gives way, and only that.
        self.expect(self.reserve(refused), Status.OK, flags=0)
        self.expect(self.client.call(ink.lookup(1, cancelled)), Status.NO_SUCH_KEY)
        for name, state in ((confirmed, State.CANCELLED), (held, State.RELEASED), (refused, State.CONFIRMED)):
            self.expect(self.client.call(ink.lookup(1, name)), Status.OK, state=state)

    def test_a_full_table_of_outcomes_refuses_new_ones_only(self):
        held, confirmed, cancelled = ink.new_key(), ink.new_key(), ink.new_key()
        for name, hold in ((held, 600 * SECOND), (confirmed, 600 * SECOND), (cancelled, 0)):
            self.expect(self.reserve(name, hold=hold), Status.OK)
        until = self.fill_outcomes(3)
        refused = ink.new_key()
        self.expect(self.reserve(refused), Status.LIMIT_REACHED, limit=Limit.OUTCOMES)
        self.expect(self.client.call(ink.rooms_set(1, ink.new_key(), 1, self.today, self.today, 5)),
                    Status.LIMIT_REACHED, limit=Limit.OUTCOMES)
        self.expect(self.client.call(ink.room_type_create(1, ink.new_key(), 9, 5)), Status.LIMIT_REACHED,
                    limit=Limit.OUTCOMES)
        self.change(ink.confirm, confirmed, state=State.CONFIRMED)
        self.change(ink.release, held, state=State.RELEASED)
        self.change(ink.cancel, cancelled, state=State.CANCELLED)
        self.pass_deadline(until)
        self.expect(self.reserve(refused), Status.OK, flags=0)

    def test_a_refusal_that_cannot_be_kept_says_so_and_is_judged_anew(self):
        name, key = ink.new_key(), ink.new_key()
        self.expect(self.reserve(name, hold=600 * SECOND), Status.OK)
        self.fill_outcomes()
        self.change(ink.cancel, name, Status.STATE_CONFLICT, key, flags=ink.RESULT_NOT_KEPT, state=State.HELD)
        self.change(ink.confirm, name)
        self.change(ink.cancel, name, Status.OK, key, flags=0, state=State.CANCELLED)
        self.change(ink.cancel, name, Status.OK, key, flags=ink.RESULT_REPLAYED, state=State.CANCELLED)

    def test_a_change_whose_outcome_was_given_up_is_superseded(self):
        name, confirmation = ink.new_key(), ink.new_key()
        self.expect(self.reserve(name, hold=600 * SECOND), Status.OK)
        self.fill_outcomes()
        confirmed = self.change(ink.confirm, name, Status.OK, confirmation)
        again = self.change(ink.confirm, name, Status.OK, confirmation, flags=ink.RESULT_REPLAYED)
        self.assertEqual((again.answer, again.original_lsn), (confirmed.answer, confirmed.lsn))
        self.change(ink.cancel, name)
        self.change(ink.confirm, name, Status.SUPERSEDED, confirmation)

    def test_what_filled_the_tables_survives_a_crash(self):
        names = [ink.new_key() for _ in range(4)]
        for name in names:
            self.expect(self.reserve(name), Status.OK)
        self.fill_outcomes()
        self.server.restart()
        self.client = self.server.connect()
        self.expect(self.reserve(), Status.LIMIT_REACHED, limit=Limit.OUTCOMES)
        for name in names:
            self.change(ink.cancel, name)


class Idle(Case):
    def test_a_hold_returns_its_rooms_without_any_traffic(self):
        server = self.serve(shards=1)
        with ink.Connection(server.address) as client:
            hotel = Hotel(client, 1, (3,))
            self.expect(client.call(hotel.reserve(rooms=2, hold=SECOND)), Status.OK)
            self.expect(client.call(ink.lease_acquire(1, ink.new_key(), 1, SECOND)), Status.OK)
            self.assertEqual(client.call(ink.calendar(1, hotel.business_date, 1)).types[1][0], (3, 0, 2, 1))
            lsn = client.call(ink.status(0)).lsn
        time.sleep(2.5)
        with ink.Connection(server.address) as client:
            status = client.call(ink.status(0))
            self.assertEqual((status.lsn, status.reservations_held, status.reservations_ended, status.leases_live),
                             (lsn, 0, 1, 0))
            self.assertEqual(client.call(ink.calendar(1, hotel.business_date, 1)).types[1][0], (3, 0, 0, 3))

    def test_more_holds_than_one_frame_can_end_all_return_soon(self):
        server = self.serve("--reservations", CROWD + 100, "--outcomes", 1000, "--memory", "128M", shards=1)
        client = server.connect()
        hotel = Hotel(client, 1, (CROWD,))
        until = ink.deadline(60)
        results = client.call_many([hotel.reserve(hold=2 * SECOND, not_after=until) for _ in range(CROWD)], timeout=60)
        self.assertEqual({result.status for result in results}, {Status.OK})
        self.eventually(lambda: server.status().reservations_held == 0, "the holds end", timeout=15)
        self.assertEqual(client.call(ink.calendar(1, hotel.business_date, 1)).types[1][0], (CROWD, 0, 0, CROWD))
        self.assertEqual(server.status().reservations_ended, CROWD)

    def test_an_idle_server_writes_next_to_nothing(self):
        server = self.serve(shards=1)
        with ink.Connection(server.address) as client:
            Hotel(client)
        time.sleep(1)
        before = server.status().frames
        time.sleep(2)
        self.assertLessEqual(server.status().frames - before, 10)


class Alarm(Case):
    def lease(self, client, ttl, session):
        return self.expect(client.call(ink.lease_acquire(1, session, 1, ttl)), Status.OK, state=LeaseState.LIVE)

    def test_a_ttl_too_close_to_the_commit_latency_raises_the_alarm_everywhere(self):
        server = self.serve("--alarm-factor", 1000000, shards=1)
        client = server.connect()
        hotel = Hotel(client, 1, (3000,))
        session = ink.new_key()
        self.assertEqual(server.status().alarm, 0)  # no lease, no alarm

        def alarmed():
            client.call(hotel.reserve())
            granted = self.lease(client, 60 * SECOND, session)
            status = server.status()
            return granted.lease_flags & ink.LEASE_TTL_TOO_SHORT and status.alarm == 1 and (granted, status)

        granted, status = self.eventually(alarmed, "the alarm", timeout=30)
        self.assertGreater(granted.commit_p99_ns, 0)
        self.assertEqual((status.alarm_factor, status.shortest_ttl_ns), (1000000, 60 * SECOND))
        self.assertGreaterEqual(status.commit_p99_ns * status.alarm_factor, status.shortest_ttl_ns)
        self.assertRegex(server.stderr(), "(?i)shard 0.*(alarm|lease|TTL)")
        self.assertTrue(client.call(ink.lease_show(1, 1)).lease_flags & ink.LEASE_TTL_TOO_SHORT)
        long = self.lease(client, ink.TTL_MAX, session)
        self.assertEqual(long.lease_flags, 0)
        self.eventually(lambda: server.status().alarm == 0, "the alarm ends with its cause")

    def test_leases_of_a_millisecond_raise_it_by_default(self):
        server = self.serve(shards=1)
        client = server.connect()
        Hotel(client)
        session = ink.new_key()

        def alarmed():
            flagged = self.lease(client, SECOND // 1000, session).lease_flags & ink.LEASE_TTL_TOO_SHORT
            return flagged and "lease" in server.stderr().partition("memory bound")[2].partition("\n")[2]

        self.eventually(alarmed, "the alarm", timeout=30, pause=0)

    def test_long_leases_raise_none(self):
        server = self.serve(shards=1)
        client = server.connect()
        Hotel(client)
        for _ in range(200):
            self.assertEqual(self.lease(client, 3600 * SECOND, SESSION).lease_flags, 0)
        self.assertEqual(server.status().alarm, 0)


if __name__ == "__main__":
    main()
