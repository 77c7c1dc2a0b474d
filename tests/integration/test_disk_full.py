#!/usr/bin/env python3
"""A real file system runs full under the server: refusals by steps, nothing hangs, nothing acknowledged is lost, and it resumes.

Root only: every test has a file system of its own on a small loop image (file_systems.py).
"""
import collections
import os
import signal
import time

import file_systems
import innkeep_client as ink
from acknowledged import Acknowledged
from innkeep_client import Op, State, Status
from server import Case, Hotel, Server, StartFailed

SECOND = ink.SECOND
ANSWER_WITHIN_S = 10  # of every request, however full the disk is
RESUMES_WITHIN_S = 10
IMAGE_SIZE = {"ext4": 16 << 20, "xfs": 320 << 20}  # sparse; the least that mkfs.xfs makes
AMPLE, LOW, CRITICAL, NONE = range(4)
# The last step at which an operation goes on.
GOES_ON_UNTIL = {Op.RESERVE: AMPLE, Op.LEASE_ACQUIRE: AMPLE, Op.CONFIRM: LOW, Op.RELEASE: LOW, Op.CANCEL: LOW, Op.LEASE_RENEW: LOW,
                 Op.LEASE_RELEASE: LOW, Op.BARRIER: CRITICAL}


class DiskFull(Case):
    def serve_on(self, disk, segment_size="64K", shards=1, options=()):
        """A server with a hotel for each shard on a file system of its own."""
        self.disk = disk
        self.server = self.serve("--segment-size", segment_size, *options, shards=shards, data=self.disk.path / "data")
        self.client = self.server.connect()
        self.told = Acknowledged(self)
        self.hotels = [Hotel(self.client, property, (30000,)) for property in ((1, 2)[:shards])]
        self.hotel = self.hotels[0]
        self.wait_for_ready_segments()

    def fill_up(self, **named):
        """Such a server, and no space on its disk but the segments that are ready."""
        self.serve_on(self.disk_of("ext4"), **named)
        self.disk.fill()

    def disk_of(self, kind, **named):
        return self.enterContext(file_systems.FileSystem(IMAGE_SIZE[kind], kind, **named))

    def wait_for_ready_segments(self):
        self.eventually(lambda: len(list((self.disk.path / "data").glob("shard-*/*.ready"))) == 2 * self.server.shards,
                        "two ready segments a shard")

    def call(self, item, timeout=ANSWER_WITHIN_S):
        return self.told.call(self.client, item, timeout)

    def call_until_refused(self, make_item, within=2000):
        """Sends new ones, one at a time, until the answer is DISK_FULL; returns how many went on before."""
        for done in range(within):
            if self.call(make_item()).status == Status.DISK_FULL:
                return done
        self.fail("the disk is full, and nothing is ever refused")

    def use_up_the_log(self):
        """To the step at which only reads go on."""
        self.call_until_refused(self.hotel.reserve)
        self.call_until_refused(lambda: ink.barrier(1))

    def resume(self):
        self.disk.free()
        self.expect_to_resume()

    def expect_to_resume(self):
        self.eventually(lambda: self.call(self.hotel.reserve()).status == Status.OK, "new reservations go on by themselves",
                        RESUMES_WITHIN_S, pause=0.1)

    def expect_all_after_a_crash(self):
        self.server.close_connections()
        self.server.restart()
        self.told.expect_all_of_it(self.server)

    def processor_seconds(self):
        with open(f"/proc/{self.server.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # ---- The steps

    def one_of_each(self, holds, sold, token):
        """Items of every logged operation that a client sends day by day, in no telling order."""
        return [self.hotel.reserve(hold=3600 * SECOND), ink.confirm(1, ink.new_key(), holds.pop()),
                ink.release(1, ink.new_key(), holds.pop()), ink.cancel(1, ink.new_key(), sold.pop()),
                ink.lease_acquire(1, os.urandom(16), int.from_bytes(os.urandom(6), "little") + 1, 3600 * SECOND),
                ink.lease_renew(1, 1, token, 3600 * SECOND), ink.barrier(1)]

    def walk_down_the_steps(self, holds, sold, token):
        """Until only reads go on; the steps in which answers fit, and how many commands each saw."""
        step, seen = AMPLE, collections.Counter()
        for _ in range(300):
            for item in self.one_of_each(holds, sold, token):
                result = self.call(item)
                last = GOES_ON_UNTIL[ink.kind_of(item)]
                if result.status == Status.DISK_FULL:
                    step = max(step, last + 1)
                else:
                    self.expect(result, Status.OK)
                    self.assertLessEqual(step, last, f"{Op(ink.kind_of(item)).name} goes on although the step before was worse")
                seen[step, Op(ink.kind_of(item)), result.status] += 1
            self.expect(self.client.call(ink.lookup(1, holds[0]), ANSWER_WITHIN_S), Status.OK, state=State.HELD)
            if step == NONE:
                return seen
        self.fail("the log never ends")

    def expect_the_steps(self, kind):
        self.serve_on(self.disk_of(kind))
        token = self.expect(self.call(ink.lease_acquire(1, os.urandom(16), 1, 3600 * SECOND)), Status.OK).token
        holds, sold = ([ink.new_key() for _ in range(count)] for count in (650, 310))
        items = [self.hotel.reserve(key, hold=3600 * SECOND) for key in holds] + [self.hotel.reserve(key) for key in sold]
        for item, result in zip(items, self.client.call_many(items)):
            self.expect(self.told.take(item, result), Status.OK)
        self.wait_for_ready_segments()
        self.disk.fill()
        seen = self.walk_down_the_steps(holds, sold, token)
        for step, goes_on, refused in ((LOW, Op.CONFIRM, Op.RESERVE), (CRITICAL, Op.BARRIER, Op.CONFIRM), (NONE, None, Op.BARRIER)):
            self.assertGreater(seen[step, refused, Status.DISK_FULL], 0, f"no step {step}: {seen}")
            if goes_on:
                self.assertGreater(seen[step, goes_on, Status.OK], 0, f"no step {step}: {seen}")
        for item in self.one_of_each(holds, sold, token):
            self.assertEqual(self.call(item).status, Status.DISK_FULL)
        self.expect(self.client.call(ink.calendar(1, self.hotel.business_date, 3), ANSWER_WITHIN_S), Status.OK)
        self.eventually(lambda: "only queries are answered" in self.server.stderr(), "the operator is told of the last step")
        self.assertNotIn("there is space", self.server.stderr())
        self.resume()
        self.eventually(lambda: "there is space on the disk again" in self.server.stderr(), "and of the end")
        told = [line for line in self.server.stderr().splitlines() if "the disk" in line]
        self.assertIn("innkeepd: shard 0: the disk is full: new commands get DISK_FULL", told[0])
        self.assertLess(len(told), 10, told)
        for item in self.one_of_each(holds, sold, token):
            self.expect(self.call(item), Status.OK)
        self.expect_all_after_a_crash()

    def test_commands_are_refused_by_steps_and_go_on_by_themselves_when_space_returns(self):
        for kind in file_systems.kinds():
            with self.subTest(kind):
                self.expect_the_steps(kind)

    def test_a_disk_that_is_full_again_and_again_loses_nothing(self):
        self.serve_on(self.disk_of("ext4"), segment_size="128K", shards=2)
        for _ in range(4):
            self.wait_for_ready_segments()
            self.disk.fill()
            for hotel in self.hotels:
                self.call_until_refused(hotel.reserve)
            for property in (1, 2):
                self.call_until_refused(lambda property=property: ink.barrier(property))
            self.resume()
            self.eventually(lambda: self.call(self.hotels[1].reserve()).status == Status.OK, "the other shard too", RESUMES_WITHIN_S)
        self.expect_all_after_a_crash()

    def test_no_file_left_is_a_full_disk_too(self):
        """Space there is, but no inode for another segment."""
        self.serve_on(self.disk_of("ext4", make=("-N", "48")))
        crumbs = self.disk.path / "crumbs"
        crumbs.mkdir()
        with self.assertRaises(OSError):
            for number in range(1000):
                (crumbs / str(number)).touch()
        self.use_up_the_log()
        for crumb in crumbs.iterdir():
            crumb.unlink()
        self.expect_to_resume()
        self.expect_all_after_a_crash()

    def test_no_place_left_in_the_directory_is_a_full_disk_too(self):
        """A file's new name may need another block of the directory: the ready segments are there, but cannot be brought in."""
        for crumbs in (69, 71, 73):  # with them, the directory's block of 1 KiB is full, give or take an entry
            with self.subTest(crumbs):
                self.serve_on(self.disk_of("ext4", make=("-b", "1024", "-O", "^dir_index,^has_journal")))
                for number in range(crumbs):
                    (self.server.data / "shard-000" / f"{number:02}").touch()
                self.disk.fill()
                self.use_up_the_log()
                self.resume()
                self.expect_all_after_a_crash()

    # ---- Nothing waits for ever

    def test_a_burst_into_the_last_blocks_is_answered_whole_while_the_disk_is_still_full(self):
        for before in (0, 14, 17, 20, 24):
            with self.subTest(commands_before=before):
                self.fill_up()
                self.call_until_refused(self.hotel.reserve)
                for _ in range(before):
                    self.call(ink.barrier(1))
                items = [ink.barrier(1) for _ in range(6000)] + [ink.calendar(1, self.hotel.business_date, 1)]
                answers = collections.Counter(result.status for result in self.client.call_many(items, ANSWER_WITHIN_S))
                self.assertLessEqual(set(answers), {Status.OK, Status.DISK_FULL})
                self.assertGreater(answers[Status.DISK_FULL], 1000, "the burst does not reach the end of the log")
                self.resume()

    def test_reservations_that_outrun_the_disk_are_all_answered_while_it_is_full(self):
        """The disk is slow, and the log is used up faster than the next segment is made; then it turns out that its end has no place."""
        if file_systems.reason_without_throttle():
            self.skipTest(file_systems.reason_without_throttle())
        self.fill_up(segment_size="1M", options=("--reservations", 60000, "--outcomes", 60000, "--memory", "96M"))
        throttle = self.enterContext(file_systems.Throttle(self.disk.device_number()))
        self.disk.free()
        self.disk.fill(self.disk.free_bytes_that_stay + (900 << 10))
        clients = [self.server.connect() for _ in range(10)]
        items = [self.hotel.reserve(hold=SECOND) for _ in range(15000)]
        throttle.enter(self.server.process.pid)
        throttle.set(100)
        places = [client.submit(items[number::10] * 4) for number, client in enumerate(clients)]
        answers = collections.Counter()
        for client, mine in zip(clients, places):
            answers.update(result.status for result in client.collect(mine, 20))
        self.assertLessEqual(set(answers), {Status.OK, Status.DISK_FULL, Status.OVERLOADED})
        self.assertGreater(answers[Status.DISK_FULL], 0, "the load does not reach the end of the log")
        throttle.set(0)
        self.resume()

    # ---- Time, starts and stops

    def test_a_hold_that_runs_out_on_a_full_disk_is_returned_as_soon_as_there_is_space(self):
        self.fill_up()
        key = ink.new_key()
        held = self.expect(self.call(self.hotel.reserve(key, offset=3, hold=2 * SECOND)), Status.OK)
        lease = self.expect(self.call(ink.lease_acquire(1, os.urandom(16), 7, 2 * SECOND)), Status.OK)
        self.use_up_the_log()
        time.sleep(max(0, held.hold_deadline_ns / SECOND - time.time()) + 0.5)
        self.expect(self.client.call(ink.lookup(1, key), ANSWER_WITHIN_S), Status.OK, state=State.HELD)
        self.resume()
        self.expect(self.call(ink.barrier(1)), Status.OK)
        self.expect(self.client.call(ink.lookup(1, key)), Status.OK, state=State.EXPIRED)
        self.expect(self.call(ink.confirm(1, ink.new_key(), key)), Status.HOLD_EXPIRED)
        self.expect(self.call(ink.lease_renew(1, 7, lease.token, SECOND)), Status.LEASE_EXPIRED)
        night, = self.client.call(ink.calendar(1, self.hotel.business_date + 3, 1)).types[1]
        self.assertEqual(night, (30000, 0, 0, 30000))
        self.expect_all_after_a_crash()

    def test_the_server_rests_on_a_full_disk_though_deadlines_pass(self):
        self.fill_up()
        self.expect(self.call(self.hotel.reserve(hold=SECOND // 10)), Status.OK)
        self.use_up_the_log()
        time.sleep(0.2)
        before = self.processor_seconds()
        time.sleep(1)
        self.assertLess(self.processor_seconds() - before, 0.3, "it turns on the spot")
        self.resume()

    def test_a_stop_on_a_full_disk_ends(self):
        for before in (0, 17):
            with self.subTest(commands_before=before):
                self.fill_up()
                self.call_until_refused(self.hotel.reserve)
                for _ in range(before):
                    self.call(ink.barrier(1))
                self.client.submit([ink.barrier(1)] * 6000)
                self.server.stop(signal.SIGTERM, timeout=15)
                self.disk.free()
                self.server.start()
                self.told.expect_all_of_it(self.server)

    def test_a_start_on_a_full_disk_says_so_and_a_later_one_has_everything(self):
        self.fill_up()
        self.use_up_the_log()
        self.server.kill()
        for _ in range(3):  # and trying again makes nothing worse
            with self.assertRaises(StartFailed) as caught:
                self.server.start()
            self.assertEqual(caught.exception.code, 1)
            self.assertRegex(caught.exception.stderr, r"No space left on device")
        self.disk.free()
        self.server.start()
        self.told.expect_all_of_it(self.server)

    def test_a_new_directory_needs_space_and_is_made_as_soon_as_there_is_some(self):
        disk = self.disk_of("ext4")
        disk.fill()
        server = Server("--segment-size", "1M", shards=2, data=disk.path / "data")
        self.addCleanup(server.clean_up)
        with self.assertRaises(StartFailed) as caught:
            server.start()
        self.assertEqual(caught.exception.code, 1)
        self.assertRegex(caught.exception.stderr, r"No space left on device")
        disk.free()
        server.start()
        with ink.Connection(server.address) as client:
            Hotel(client)
        server.stop()
        server.check_stderr()


if __name__ == "__main__":
    file_systems.main()
