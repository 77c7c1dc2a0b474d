#!/usr/bin/env python3
"""The failure Innkeep exists because of, played against the real server: a lease that runs out under its holder.

A has a lease and writes late; B may have come after. The numbers are those of RELIABILITY's founding story with shorter
leases.
"""
import resource
import time

import innkeep_client as ink
from innkeep_client import LeaseState, Limit, State, Status
from server import Case, Hotel, main, seeded

SECOND = ink.SECOND
RESOURCE = 101
CROWD = 1000
KILLS = 8


class Story(Case):
    def setUp(self):
        self.server = self.serve()
        self.a, self.b = self.server.connect(shard=0), self.server.connect(shard=1)
        self.hotel = Hotel(self.a, 1, (50,))

    def acquire(self, client, ttl_s, session=None):
        """Takes the lease, and returns its token."""
        result = client.call(ink.lease_acquire(1, session or ink.new_key(), RESOURCE, int(ttl_s * SECOND)))
        return self.expect(result, Status.OK, state=LeaseState.LIVE).token

    def acquire_when_free(self, client, ttl_s):
        """As B does: asks until A's lease has run out."""
        session = ink.new_key()

        def attempt():
            result = client.call(ink.lease_acquire(1, session, RESOURCE, int(ttl_s * SECOND)))
            self.assertIn(result.status, (Status.OK, Status.LEASE_HELD))
            return result.status == Status.OK and result.token

        return self.eventually(attempt, "A's lease runs out")

    def sold(self):
        return self.b.call(ink.calendar(1, self.hotel.business_date, 1, 1)).types[1][0][1]

    def test_i_a_late_write_is_fenced_off_once_another_took_the_lease(self):
        first = self.acquire(self.a, 1)
        second = self.acquire_when_free(self.b, 60)
        self.assertGreater(second, first)
        self.expect(self.a.call(self.hotel.reserve(fence=(RESOURCE, first))), Status.FENCED, token=second)
        self.expect(self.b.call(self.hotel.reserve(fence=(RESOURCE, second))), Status.OK)
        self.assertEqual(self.sold(), 1)

    def test_ii_a_late_write_is_refused_even_when_nobody_came_after(self):
        token = self.acquire(self.a, 1)
        time.sleep(1.2)
        key = ink.new_key()
        self.expect(self.a.call(self.hotel.reserve(key, fence=(RESOURCE, token))), Status.LEASE_EXPIRED, token=token)
        self.expect(self.b.call(ink.lookup(1, key)), Status.NO_SUCH_KEY)
        self.assertEqual(self.sold(), 0)

    def test_iii_a_write_in_time_is_accepted(self):
        token = self.acquire(self.a, 5)
        time.sleep(2)
        result = self.a.call(self.hotel.reserve(fence=(RESOURCE, token)))
        self.expect(result, Status.OK, state=State.CONFIRMED)
        self.assertEqual(self.sold(), 1)

    def stall(self, seconds):
        """Leaves a stopped server with what was queued; tells it to go on when the lease is over."""
        time.sleep(seconds)
        self.server.resume()

    def test_iv_a_stalled_server_judges_by_log_order_and_log_time(self):
        for b_first in (False, True, False, True):
            first = self.acquire(self.a, 1)
            self.server.pause()
            write = self.hotel.reserve(fence=(RESOURCE, first))
            acquire = ink.lease_acquire(1, ink.new_key(), RESOURCE, 60 * SECOND)
            places = {}
            for client, item in ((self.b, acquire), (self.a, write))[::1 if b_first else -1]:
                places[client] = client.submit([item])
            self.stall(1.3)
            written, = self.a.collect(places[self.a])
            granted, = self.b.collect(places[self.b])
            self.expect(granted, Status.OK, state=LeaseState.LIVE)
            self.assertEqual(granted.token, granted.lsn)
            self.assertGreater(granted.token, first)
            if written.lsn < granted.lsn:
                self.expect(written, Status.LEASE_EXPIRED, token=first)
            else:
                self.expect(written, Status.FENCED, token=granted.token)
            self.expect(self.b.call(ink.lease_release(1, RESOURCE, granted.token)), Status.OK)
        self.assertEqual(self.sold(), 0)

    def test_iv_a_stalled_server_keeps_the_order_of_one_connection(self):
        for write_first in (True, False):
            token = self.acquire(self.a, 1)
            self.server.pause()
            items = [self.hotel.reserve(fence=(RESOURCE, token)),
                     ink.lease_acquire(1, ink.new_key(), RESOURCE, 60 * SECOND)]
            places = self.a.submit(items if write_first else items[::-1])
            self.stall(1.3)
            results = self.a.collect(places)
            written, granted = results if write_first else results[::-1]
            self.expect(granted, Status.OK)
            self.expect(written, Status.LEASE_EXPIRED if write_first else Status.FENCED)
            self.expect(self.a.call(ink.lease_release(1, RESOURCE, granted.token)), Status.OK)

    def test_v_a_client_stopped_in_the_middle_of_its_write_is_fenced_off(self):
        first = self.acquire(self.a, 1)
        message = ink.message([self.hotel.reserve(fence=(RESOURCE, first))], 2)
        with ink.RawConnection(self.server.address) as slow:
            slow.send_bytes(ink.message([ink.hello()], 1))
            slow.receive()
            slow.send_bytes(message[:60])
            second = self.acquire_when_free(self.b, 60)
            slow.send_bytes(message[60:])
            self.expect(slow.receive()[2][0], Status.FENCED, token=second)
        self.assertEqual(self.sold(), 0)

    def test_v_a_write_that_arrived_whole_counts_from_its_arrival(self):
        token = self.acquire(self.a, 1)
        places = self.a.submit([self.hotel.reserve(fence=(RESOURCE, token))])
        self.acquire_when_free(self.b, 60)
        self.expect(self.a.collect(places)[0], Status.OK)
        self.assertEqual(self.sold(), 1)

    def test_vi_a_crash_around_a_grant_hands_no_token_out_twice(self):
        random = seeded(self.id())
        holders = {}  # token -> session that it was granted to

        def note(result, session):
            self.assertEqual(holders.setdefault(result.token, session), session, "one token for two sessions")

        newest = 0
        for kill in range(KILLS):
            session = ink.new_key(random)
            if kill % 4 == 0:
                self.server.pause()  # this grant never happens
            places = self.b.submit([ink.lease_acquire(1, session, RESOURCE, 3600 * SECOND)])
            answer = None
            if kill % 4 < 3:
                time.sleep(random.random() * 0.003)
            else:
                answer, = self.b.collect(places)
            self.server.restart()
            self.a, self.b = self.server.connect(), self.server.connect()
            shown = self.a.call(ink.lease_show(1, RESOURCE))
            if answer:
                self.expect(shown, Status.OK, token=answer.token, state=LeaseState.LIVE)
            # Whoever holds it now: the same session again gets the token that its lost grant had, or a new one.
            again = self.b.call(ink.lease_acquire(1, session, RESOURCE, 3600 * SECOND))
            self.expect(again, Status.OK)
            self.assertGreater(again.token, newest)
            if shown.status == Status.OK and shown.state == LeaseState.LIVE:
                self.assertEqual(again.token, shown.token)
            note(again, session)
            if newest:
                self.expect(self.a.call(self.hotel.reserve(fence=(RESOURCE, newest))), Status.FENCED, token=again.token)
            self.expect(self.a.call(self.hotel.reserve(fence=(RESOURCE, again.token))), Status.OK)
            newest = again.token
            self.expect(self.b.call(ink.lease_release(1, RESOURCE, newest)), Status.OK)
        self.assertEqual(len(holders), KILLS)

    def test_vi_a_lease_that_was_live_at_the_crash_gets_a_full_new_interval(self):
        token = self.acquire(self.a, 6)
        time.sleep(2)
        self.server.restart()
        a = self.server.connect()
        shown = self.expect(a.call(ink.lease_show(1, RESOURCE)), Status.OK, token=token, state=LeaseState.LIVE)
        self.assertGreaterEqual(shown.deadline_ns - shown.log_time_ns, 5 * SECOND)
        self.expect(a.call(self.hotel.reserve(fence=(RESOURCE, token))), Status.OK)

    def test_vii_a_retry_after_the_lease_ran_out_gets_the_first_answer(self):
        token = self.acquire(self.a, 1)
        key, until = ink.new_key(), ink.deadline(60)
        write = self.hotel.reserve(key, fence=(RESOURCE, token), not_after=until)
        self.a.submit([write])
        found = self.eventually(lambda: self.b.call(ink.lookup(1, key)).original_lsn, "A's write takes effect")
        self.a.close()  # the reply is lost
        newer = self.acquire_when_free(self.b, 60)
        self.a = self.server.connect()
        first = self.expect(self.a.call(write), Status.OK, original_lsn=found, state=State.CONFIRMED, version=1)
        self.assertTrue(first.replayed)
        under_newer = self.a.call(self.hotel.reserve(key, fence=(RESOURCE, newer), not_after=until))
        self.assertEqual(under_newer.answer, first.answer)
        self.expect(self.a.call(self.hotel.reserve(fence=(RESOURCE, token))), Status.FENCED)
        self.assertEqual(self.sold(), 1)


class LastRoom(Case):
    def test_viii_a_thousand_connections_fight_for_one_last_room(self):
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 4096) if most > 0 else 4096, most))
        random = seeded(self.id())
        server = self.serve()
        hotel = Hotel(server.connect(), 1, (1,))
        crowd = [server.connect(timeout=60) for _ in range(CROWD)]
        for night in range(5):
            random.shuffle(crowd)
            places = [(client, client.submit([hotel.reserve(offset=night)])) for client in crowd]
            results = [client.collect(place)[0] for client, place in places]
            won = [result for result in results if result.status == Status.OK]
            self.assertEqual(len(won), 1)
            for result in results:
                if result is not won[0]:
                    self.expect(result, Status.SOLD_OUT, night=hotel.business_date + night, room_type=1, available=0,
                                limit=Limit.TYPE)
                    self.assertGreater(result.lsn, won[0].lsn)
            self.assertEqual(len({result.lsn for result in results}), CROWD)
        calendar = crowd[0].call(ink.calendar(1, hotel.business_date, 6, 1))
        self.assertEqual(calendar.types[1], [(1, 1, 0, 0)] * 5 + [(1, 0, 0, 1)])


if __name__ == "__main__":
    main()
