#!/usr/bin/env python3
"""Real faults below and around a running server: crashed, read-only and slow file systems, limits, pauses, a directory that goes away.

    test_disk_faults.py [--crashes N]        (default 10: crashes of the operating system; --kills N, default 25: of a starting server)

Root only. The common claim: the server either goes on or stops with a message and a non-zero exit, and whatever it had acknowledged
is there when it is started again.
"""
import os
import pathlib
import resource
import shutil
import socket
import sys
import tempfile
import threading
import time

import file_systems
import innkeep_client as ink
import server as servers
from acknowledged import Acknowledged
from innkeep_client import State, Status
from server import Case, Hotel, Server, StartFailed, seeded, tool, tool_json

SECOND = ink.SECOND
MIB = 1 << 20
CRASHES = 10
KILLS = 25
CLEAN, TORN_TAIL = 0, 1  # exit codes of innkeep-wal verify


class Fault(Case):
    def setUp(self):
        self.random = seeded(self.id())
        self.told = Acknowledged(self)

    def disk_of(self, size=16 * MIB, **named):
        return self.enterContext(file_systems.FileSystem(size, **named))

    def keep(self, *options, data, **named):
        """A server that may be stopped by what the test does; cleaned up, but not expected to be there at the end."""
        server = Server("--segment-size", "256K", *options, data=data, **{"shards": 1, **named})
        self.addCleanup(server.clean_up)
        self.addCleanup(server.check_stderr)
        return server

    def call(self, client, item, timeout=10):
        return self.told.call(client, item, timeout)

    def expect_stopped(self, server, message):
        """It ends by itself, non-zero, and says why."""
        code = server.process.wait(timeout=20)
        server.close_connections()
        server.kill()
        self.assertEqual(code, 1, server.stderr())
        self.assertRegex(server.stderr(), message)

    def load_until_it_ends(self, clients, items_of):
        """Pipelines commands on every connection until all are closed; takes down every answer that came."""
        under_way = {client: [] for client in clients}
        until = time.monotonic() + 30
        while under_way and time.monotonic() < until:
            for client in list(under_way):
                try:
                    waiting = under_way[client]
                    if len(waiting) < 100:
                        items = items_of()
                        waiting += [[None, item] for item in items]
                        for pair, place in zip(waiting[-len(items):], client.submit(items)):
                            pair[0] = place
                    client.take_available()
                    under_way[client] = self.take_answers(client, waiting)
                except (ink.ConnectionEnded, OSError):
                    self.drain(client)
                    self.take_answers(client, under_way.pop(client))
        self.assertFalse(under_way, "the server neither answers nor ends")

    @staticmethod
    def drain(client):
        try:
            client.drain()
        except OSError:
            pass

    def take_answers(self, client, waiting):
        """Notes what was answered; returns what was not."""
        left = []
        for place, item in waiting:
            result = place and client.result_of(place)
            if result is None:
                left.append([place, item])
            else:
                self.told.take(item, result)
        return left

    def expect_verdict(self, data, *codes):
        (verdict,), code = tool_json("innkeep-wal", "verify", data, "--json")
        self.assertIn(code, codes, verdict)

    def expect_everything(self, server):
        server.start()
        self.told.expect_all_of_it(server)

    def processor_seconds(self, server):
        fields = pathlib.Path(f"/proc/{server.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class OperatingSystem(Fault):
    """The file system goes away with all that was not synced, as in a crash of the machine."""

    def items(self, hotel):
        return [hotel.reserve(offset=self.random.randrange(100), hold=self.random.choice((0, 3600 * SECOND)), not_after=ink.deadline(590))
                for _ in range(self.random.randrange(1, 30))]

    def crash_under_load(self, disk, server, hotel):
        clients = [server.connect() for _ in range(3)]
        timer = threading.Timer(0.02 + self.random.random() * 0.2, disk.shut_down)
        timer.start()
        self.load_until_it_ends(clients, lambda: self.items(hotel))
        timer.join()
        self.expect_stopped(server, r"cannot go on: Input/output error")
        disk.after_crash()

    def test_everything_acknowledged_survives_crashes_of_the_operating_system(self):
        disk = self.disk_of((32 + 8 * CRASHES) * MIB)
        server = self.keep("--reservations", 20000 * CRASHES, "--outcomes", 20000 * CRASHES, "--memory", f"{128 + 16 * CRASHES}M",
                           data=disk.path / "data")
        server.start()
        hotel = Hotel(server.connect(), 1, (30000,))
        verdicts = []
        for _ in range(CRASHES):
            self.crash_under_load(disk, server, hotel)
            verdicts.append(tool("innkeep-wal", "verify", server.data).returncode)
            self.assertIn(verdicts[-1], (CLEAN, TORN_TAIL))
            server.start()
            for shard, lsn in self.told.newest_lsn.items():
                self.assertGreaterEqual(server.lsns[shard], lsn, "an acknowledged LSN is beyond the log")
        self.told.expect_all_of_it(server)
        print(f"{len(self.told.answers)} acknowledged, {verdicts.count(TORN_TAIL)} of {CRASHES} crashes left a torn tail", flush=True)
        self.assertGreater(len(self.told.answers), 50 * CRASHES)
        server.stop()
        self.expect_verdict(server.data, CLEAN)

    def test_a_crash_of_the_operating_system_during_the_first_start_leaves_nothing_in_the_way_of_the_next(self):
        for _ in range(CRASHES):
            disk = file_systems.FileSystem(16 * MIB)
            with disk:
                server = self.keep(data=disk.path / "data", shards=2)
                timer = threading.Timer(self.random.random() * 0.1, disk.shut_down)
                timer.start()
                try:
                    server.start()
                    server.kill()
                except StartFailed as failure:
                    self.assertEqual(failure.code, 1)
                timer.join()
                disk.after_crash()
                server.start()
                with ink.Connection(server.address) as client:
                    Hotel(client)
                server.stop()

    def test_on_a_file_system_that_turned_read_only_it_stops_says_so_and_has_everything_later(self):
        disk = self.disk_of(options=("errors=remount-ro",))
        server = self.keep(data=disk.path / "data")
        server.start()
        hotel = Hotel(server.connect(), 1, (30000,))
        clients = [server.connect() for _ in range(2)]
        timer = threading.Timer(0.1, disk.turn_read_only)
        timer.start()
        self.load_until_it_ends(clients, lambda: self.items(hotel))
        timer.join()
        self.expect_stopped(server, r"cannot go on: (Read-only file system|Input/output error)")
        self.expect_verdict(server.data, CLEAN, TORN_TAIL)
        with self.assertRaises(StartFailed) as caught:
            server.start()
        self.assertEqual(caught.exception.code, 1)
        self.assertRegex(caught.exception.stderr, "Read-only file system")
        disk.after_crash()
        self.expect_everything(server)


class Limits(Fault):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="innkeep.", dir=servers.TEST_DIR)))

    def test_a_file_size_limit_below_a_segment_ends_the_server_with_a_message(self):
        server = self.keep(data=self.folder / "data")
        server.start()
        client = server.connect()
        hotel = Hotel(client, 1, (30000,))
        self.eventually(lambda: len(list(server.data.glob("shard-*/*.ready"))) == 2, "two ready segments")
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (64 << 10, resource.RLIM_INFINITY))
        self.load_until_it_ends([client], lambda: [hotel.reserve() for _ in range(10)])
        # A segment that is being made is too large, or a frame ends short where the limit lies.
        self.expect_stopped(server, r"cannot go on: (File too large|Input/output error)")
        for ready in server.data.glob("shard-*/*.ready"):
            ready.unlink()
        limited = self.keep(data=server.data, wrapper=("prlimit", f"--fsize={64 << 10}"))
        with self.assertRaises(StartFailed) as caught:
            limited.start()
        self.assertEqual(caught.exception.code, 1)
        self.assertRegex(caught.exception.stderr, "File too large")
        self.expect_everything(server)

    def crowd_in(self, server):
        """More connections than the server has file numbers by the limit it was started under."""
        crowd = [self.enterContext(socket.create_connection(server.address, timeout=5)) for _ in range(100)]
        for newcomer in crowd:
            newcomer.sendall(ink.message([ink.hello()], 1))
        time.sleep(0.3)
        before = self.processor_seconds(server)
        time.sleep(0.5)
        self.assertLess(self.processor_seconds(server) - before, 0.2, "it turns on the spot")
        return crowd

    def expect_served(self, server, client, hotel, crowd, commands):
        for _ in range(commands):
            self.expect(self.call(client, hotel.reserve()), Status.OK)
        for newcomer in crowd:
            newcomer.close()
        with ink.Connection(server.address, timeout=20) as late:
            self.expect(self.call(late, hotel.reserve()), Status.OK)
        server.kill()
        self.expect_everything(server)

    def test_connections_leave_the_log_the_file_numbers_it_needs(self):
        """The limit that a shell hands down is the soft one; the server takes what it needs up to the hard one."""
        server = self.keep(data=self.folder / "data", wrapper=("prlimit", "--nofile=64:"))
        server.start()
        client = server.connect()
        hotel = Hotel(client, 1, (30000,))
        self.expect_served(server, client, hotel, self.crowd_in(server), commands=300)  # several segments

    def test_without_a_file_number_left_it_warned_and_clients_come_in_as_others_go(self):
        server = self.keep(data=self.folder / "data", wrapper=("prlimit", "--nofile=64:64"))
        server.start()
        self.assertRegex(server.stderr(), "WARNING: .*open files.*RLIMIT_NOFILE")
        client = server.connect()
        hotel = Hotel(client, 1, (30000,))
        self.eventually(lambda: len(list(server.data.glob("shard-*/*.ready"))) == 2, "two ready segments")
        self.expect_served(server, client, hotel, self.crowd_in(server), commands=5)  # no new segment is needed

    def test_a_directory_that_is_moved_away_is_the_same_data_elsewhere(self):
        server = self.keep(data=self.folder / "data")
        server.start()
        client = server.connect()
        hotel = Hotel(client, 1, (30000,))
        for _ in range(10):
            self.expect(self.call(client, hotel.reserve()), Status.OK)
        (self.folder / "data").rename(self.folder / "elsewhere")
        self.load_until_it_ends([client], lambda: [hotel.reserve() for _ in range(self.random.choice((1, 90)))])
        self.expect_stopped(server, r"cannot go on: No such file or directory")
        self.assertFalse((self.folder / "data").exists())
        self.expect_verdict(self.folder / "elsewhere", CLEAN, TORN_TAIL)
        self.expect_everything(self.keep(data=self.folder / "elsewhere"))

    def test_a_pause_longer_than_leases_and_holds_ends_them_before_anything_else_happens(self):
        server = self.serve("--segment-size", "256K", shards=1)
        client, other = server.connect(), server.connect()
        hotel = Hotel(client, 1, (10,))
        key = ink.new_key()
        lease = self.expect(client.call(ink.lease_acquire(1, os.urandom(16), 5, SECOND)), Status.OK)
        self.expect(client.call(hotel.reserve(key, hold=SECOND)), Status.OK)
        server.pause()
        waiting = client.submit([ink.lease_renew(1, 5, lease.token, SECOND), ink.confirm(1, ink.new_key(), key),
                                 hotel.reserve(fence=(5, lease.token)), hotel.reserve(not_after=ink.deadline(1))])
        time.sleep(2.5)
        server.resume()
        answers = [result.status for result in client.collect(waiting)]
        self.assertEqual(answers, [Status.LEASE_EXPIRED, Status.HOLD_EXPIRED, Status.LEASE_EXPIRED, Status.TOO_LATE])
        newer = self.expect(other.call(ink.lease_acquire(1, os.urandom(16), 5, 60 * SECOND)), Status.OK)
        self.assertGreater(newer.token, lease.token)
        self.expect(client.call(hotel.reserve(fence=(5, lease.token))), Status.FENCED, token=newer.token)
        self.expect(client.call(ink.lookup(1, key)), Status.OK, state=State.EXPIRED)


class Kills(Fault):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="innkeep.", dir=servers.TEST_DIR)))

    def start_and_kill(self, server, after_s):
        """True if it got as far as the ready line."""
        timer = threading.Timer(after_s, lambda: server.process and server.process.kill())
        timer.start()
        try:
            server.start()
            ready = True
            server.kill()
        except StartFailed as failure:
            self.assertEqual(failure.code, -9, failure.stderr)
            ready = False
        timer.join()
        return ready

    def seconds_to_start(self):
        server = self.keep(data=self.folder / "measure", shards=2)
        begin = time.monotonic()
        server.start()
        taken = time.monotonic() - begin
        server.kill()
        return taken

    def test_a_first_start_that_is_killed_anywhere_is_made_good_by_the_next(self):
        taken = self.seconds_to_start()
        unfinished = 0
        for number in range(KILLS):
            server = self.keep(data=self.folder / f"data{number}", shards=2)
            for _ in range(self.random.choice((1, 1, 3))):
                unfinished += not self.start_and_kill(server, self.random.random() * taken)
            server.start()
            with ink.Connection(server.address) as client:
                Hotel(client)
            server.kill()
            self.assertFalse((server.data / "creating").exists())
            shutil.rmtree(server.data)
        print(f"{unfinished} starts were killed before they were ready ({taken:.3f} s)", flush=True)
        self.assertGreater(unfinished, KILLS / 4)

    def tear(self, data):
        """Puts garbage behind the last frame, as frames that were torn by a crash; returns it."""
        segment = max(data.glob("shard-000/*.wal"))
        content = segment.read_bytes()
        end = -(-len(content.rstrip(b"\0")) // 4096) * 4096
        garbage = self.random.randbytes((len(content) - end) // 4096 * 4096)
        with open(segment, "r+b") as file:
            file.seek(end)
            file.write(garbage)
        return garbage

    def test_a_start_that_is_killed_while_it_drops_a_torn_tail_loses_neither_log_nor_tail(self):
        server = self.keep(data=self.folder / "data")
        server.start()
        hotel = Hotel(server.connect(), 1, (30000,))
        taken = self.seconds_to_start()
        for _ in range(3):
            client = server.connect()
            for item in [hotel.reserve(not_after=ink.deadline(590)) for _ in range(10)]:
                self.expect(self.call(client, item), Status.OK)
            server.close_connections()
            server.kill()
            garbage = self.tear(server.data)
            self.assertEqual(tool("innkeep-wal", "verify", server.data).returncode, TORN_TAIL)
            for _ in range(6):
                self.start_and_kill(server, self.random.random() * taken)
                self.expect_verdict_after_kill(server.data)
            self.expect_everything(server)
            saved = [path.read_bytes().ljust(len(garbage), b"\0") for path in server.data.glob("shard-000/torn-*.bin")]
            self.assertIn(garbage, saved, "the dropped bytes are not beside the log")

    def expect_verdict_after_kill(self, data):
        self.assertIn(tool("innkeep-wal", "verify", data).returncode, (CLEAN, TORN_TAIL))


class SlowDisk(Fault):
    def setUp(self):
        super().setUp()
        if file_systems.reason_without_throttle():
            self.skipTest(file_systems.reason_without_throttle())

    def commit_until(self, client, server, condition, what, timeout):
        until = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > until:
                self.fail(f"{what}: not within {timeout} s\n{server.stderr()}")
            for result in client.call_many([ink.lease_renew(1, 1, self.token, SECOND)] + [ink.barrier(1)] * 3):
                self.expect(result, Status.OK)
            time.sleep(0.02)  # or a fast disk would be full before the slow commits are forgotten

    def test_a_disk_too_slow_for_a_lease_raises_the_alarm_and_a_fast_one_ends_it(self):
        disk = self.disk_of(64 * MIB)
        throttle = self.enterContext(file_systems.Throttle(disk.device_number()))
        server = self.serve(shards=1, data=disk.path / "data")
        client = server.connect()
        Hotel(client, 1, (10,))
        self.token = self.expect(client.call(ink.lease_acquire(1, os.urandom(16), 1, SECOND)), Status.OK).token
        throttle.enter(server.process.pid)
        throttle.set(5)
        self.commit_until(client, server, lambda: "ALARM: shard 0: p99 commit latency" in server.stderr(), "the alarm", 20)
        self.assertEqual(server.status().alarm, 1)
        throttle.set(0)
        self.commit_until(client, server, lambda: "the commit latency alarm is over" in server.stderr(), "its end", 40)
        self.assertEqual(server.status().alarm, 0)
        self.assertLess(server.status().commit_p99_ns, SECOND // 10)
        server.close_connections()
        server.stop()


def take_number(name, default):
    """Takes `name N` from the arguments."""
    if name not in sys.argv:
        return default
    at = sys.argv.index(name)
    number = int(sys.argv[at + 1])
    del sys.argv[at:at + 2]
    return number


if __name__ == "__main__":
    CRASHES = take_number("--crashes", CRASHES)
    KILLS = take_number("--kills", KILLS)
    file_systems.main()
