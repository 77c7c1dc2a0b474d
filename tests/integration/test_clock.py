#!/usr/bin/env python3
"""Time across a restart: wall time that ran on, that ran too far, and that lies behind the log. A log whose end lies in the future is
made by one frame without records that is put behind it, sealed as FORMAT.md says."""
import struct
import time

import xxhash

import innkeep_client as ink
from innkeep_client import LeaseState, State, Status
from server import Case, Hotel, Server, StartFailed, checksums, main, tool_json

SECOND = 10**9
HOUR = 3600 * SECOND
BLOCK = 4096
SILENCE_S = 0.3  # until the noop behind the last command is on disk
FRAME = struct.Struct("<IBBHIIIIQIIQQQQQQ16sQ16s")
NOOP = 2


def last_frame(segment):
    """(offset, header fields) of the last frame in a segment."""
    data = segment.read_bytes()
    at, found = 2 * BLOCK, None
    while data[at:at + 4] == b"IFRM":
        found = at, FRAME.unpack_from(data, at)
        at += found[1][4]
    return found


def noop_append(data, time_ns, shard=0):
    """A frame without records behind the last one, with this log time."""
    segments = sorted((data / f"shard-{shard:03}").glob("*.wal"))
    segment = [path for path in segments if last_frame(path)][-1]
    offset, last = last_frame(segment)
    (magic, version, _, _, size, _, records, level, sequence, _, _, index, term, first_lsn, last_time, _, _, _, _,
     last_hash) = last
    assert time_ns > last_time and version == 1
    place = offset + size
    uuid = (data / "meta").read_bytes()[16:32]
    salt = xxhash.xxh3_64_intdigest(uuid + struct.pack("<QQ", shard, sequence))
    head = struct.pack("<IBBHIIIIQIIQQQQQQ16s", magic, 1, NOOP, 0, BLOCK, 0, 0, level, sequence, place // BLOCK, shard,
                       index + 1, term, first_lsn + records, time_ns, index, index, last_hash)
    head += struct.pack("<Q", xxhash.xxh3_64_intdigest(head, seed=salt))
    head += xxhash.xxh3_128_intdigest(head, seed=salt).to_bytes(16, "little")
    with open(segment, "r+b") as file:
        file.seek(place)
        file.write(head.ljust(BLOCK, b"\0"))


class Clock(Case):
    def setUp(self):
        self.server = self.serve(shards=1)
        self.client = self.server.connect()
        self.hotel = Hotel(self.client, 1, (10,))

    def call(self, item, status=Status.OK, **fields):
        return self.expect(self.client.call(item), status, **fields)

    def stop_silent(self):
        """Killed when everything, and the noop behind it, is on disk."""
        time.sleep(SILENCE_S)
        self.server.close_connections()
        self.server.kill()

    def start(self, *options):
        self.server.start(*options)
        self.client = self.server.connect()

    def expect_refused(self, *options):
        before = checksums(self.server.data)
        with self.assertRaises(StartFailed) as caught:
            self.server.start(*options)
        self.assertEqual(caught.exception.code, 1)
        self.assertEqual(checksums(self.server.data), before)
        return caught.exception.stderr

    def acquire(self, resource, ttl_ns):
        return self.call(ink.lease_acquire(1, ink.new_key(), resource, ttl_ns))

    def test_an_outage_longer_than_a_lease_costs_its_holder_nothing_and_brings_no_dead_one_back(self):
        live = self.acquire(1, 2 * SECOND)
        ended = self.acquire(2, SECOND // 2)
        released = self.acquire(3, 60 * SECOND)
        self.call(ink.lease_release(1, 3, released.token))
        hold = ink.new_key()
        self.call(self.hotel.reserve(hold, hold=2 * SECOND))
        time.sleep(0.6)
        self.call(ink.barrier(1))  # log time is behind the second lease's deadline now, and not behind the first one's
        self.stop_silent()
        time.sleep(3)
        self.start()
        shown = self.call(ink.lease_show(1, 1), token=live.token, state=LeaseState.LIVE)
        now_ns = self.call(ink.barrier(1)).log_time_ns
        self.assertGreater(shown.deadline_ns, live.deadline_ns)
        self.assertLessEqual(shown.deadline_ns, now_ns + 2 * SECOND)
        self.assertGreater(shown.deadline_ns, now_ns + SECOND)  # all of its time but what this test took since the start
        self.call(self.hotel.reserve(fence=(1, live.token)))
        self.call(ink.lease_renew(1, 2, ended.token, SECOND), Status.LEASE_EXPIRED)
        self.call(self.hotel.reserve(fence=(2, ended.token)), Status.LEASE_EXPIRED)
        self.call(ink.lease_renew(1, 3, released.token, SECOND), Status.LEASE_RELEASED)
        self.call(ink.confirm(1, ink.new_key(), hold), Status.HOLD_EXPIRED)  # a hold is no lease: its deadline stands
        time.sleep(2.2)
        self.call(self.hotel.reserve(fence=(1, live.token)), Status.LEASE_EXPIRED)  # one full time to live, not more

    def test_a_jump_beyond_what_is_allowed_is_refused_until_it_is_accepted(self):
        lease = self.acquire(1, 2 * SECOND)
        kept = ink.new_key()
        self.call(self.hotel.reserve(kept))
        self.stop_silent()
        time.sleep(1.5)
        for _ in range(2):
            said = self.expect_refused("--max-clock-jump", "1s")
            self.assertRegex(said, "wall clock is .* ahead of the log.*--max-clock-jump.*--accept-clock")
        self.start("--max-clock-jump", "1s", "--accept-clock")
        self.call(ink.lease_renew(1, 1, lease.token, SECOND))
        self.call(ink.lookup(1, kept), state=State.CONFIRMED)
        self.stop_silent()
        self.start("--max-clock-jump", "1h")  # and what was accepted once is the log's time from then on

    def test_wall_time_behind_the_log_lets_the_log_go_on_from_where_it_was(self):
        lease = self.acquire(1, 2 * HOUR)
        short = self.acquire(2, SECOND)
        hold = ink.new_key()
        self.call(self.hotel.reserve(hold, hold=60 * SECOND))
        self.stop_silent()
        ahead_ns = time.time_ns() + HOUR
        noop_append(self.server.data, ahead_ns)
        (verdict,), code = tool_json("innkeep-wal", "verify", self.server.data, "--json")
        self.assertEqual((code, verdict["verdict"]), (0, "clean"))
        self.start("--max-clock-jump", "1s")  # the wall is not ahead of anything
        told = self.client.hello.server_time_ns
        self.assertGreaterEqual(told, ahead_ns)
        first = self.call(ink.barrier(1)).log_time_ns
        self.assertGreaterEqual(first, ahead_ns)
        self.assertLess(first, ahead_ns + 60 * SECOND)
        shown = self.call(ink.lease_show(1, 1), token=lease.token, state=LeaseState.LIVE)
        self.assertGreater(shown.deadline_ns, first + 2 * HOUR - 60 * SECOND)
        self.call(ink.lease_renew(1, 2, short.token, SECOND), Status.LEASE_EXPIRED)
        self.call(ink.confirm(1, ink.new_key(), hold, not_after=first + 60 * SECOND), Status.HOLD_EXPIRED)
        self.call(self.hotel.reserve(), Status.TOO_LATE)  # the deadline was made by the wall, which is an hour behind
        self.call(self.hotel.reserve(not_after=first + 60 * SECOND))

    def test_log_time_runs_while_the_wall_lies_behind_and_never_goes_back(self):
        self.stop_silent()
        ahead_ns = time.time_ns() + HOUR
        noop_append(self.server.data, ahead_ns)
        before = ahead_ns
        for _ in range(3):
            self.start()
            first = self.call(ink.barrier(1)).log_time_ns
            self.assertGreaterEqual(first, before)
            lease = self.acquire(9, SECOND)
            time.sleep(1.2)
            before = self.call(ink.barrier(1)).log_time_ns
            self.assertGreater(before, first + SECOND)
            self.call(self.hotel.reserve(fence=(9, lease.token), not_after=before + 60 * SECOND), Status.LEASE_EXPIRED)
            self.stop_silent()
        (verdict,), code = tool_json("innkeep-wal", "verify", self.server.data, "--json")
        self.assertEqual((code, verdict["verdict"]), (0, "clean"))
        self.start()

    def test_one_shard_ahead_takes_the_other_with_it(self):
        server = Server(shards=2)
        self.addCleanup(server.clean_up)
        self.addCleanup(server.check_stderr)
        server.start()
        with ink.Connection(server.address) as client:
            for shard in range(2):
                client.call(ink.barrier_of_shard(shard))
        time.sleep(SILENCE_S)
        server.kill()
        ahead_ns = time.time_ns() + HOUR
        noop_append(server.data, ahead_ns, shard=1)
        server.start()
        with ink.Connection(server.address) as client:
            times = [client.call(ink.barrier_of_shard(shard)).log_time_ns for shard in range(2)]
        self.assertGreaterEqual(min(times), ahead_ns)
        self.assertLess(max(times) - min(times), 10 * SECOND)
        server.stop()


if __name__ == "__main__":
    main()
