#!/usr/bin/env python3
"""innkeep backup and innkeep-wal follow on a server under load: what a copy holds, what is restored from it, what is refused, and what a crash
at any moment leaves."""
import os
import shutil
import signal
import subprocess
import threading
import time

import file_systems
import innkeep_client as ink
from acknowledged import Acknowledged
from innkeep_client import Status
from server import BIN, TROUBLE, Case, Hotel, Server, checksums, die_with_parent, main, property_of_shard, seeded, tool, tool_json

SECOND = ink.SECOND
CLEAN, TORN_TAIL, USAGE, DAMAGED, UNREADABLE = 0, 1, 2, 3, 4
DONE, REFUSED, NO_ANSWER = 0, 1, 3
NOT_KEPT = 2
SMALL_SNAPSHOTS = ("--snapshot-every", "256K", "--snapshot-rate", "0", "--properties", 8, "--room-types", 8, "--reservations", 600,
                   "--outcomes", 2500, "--leases", 16)


class Load:
    """Reservations on every shard, one client each, until the end of the `with`; what was acknowledged is kept."""

    def __init__(self, case, server, pause=0, hotels=None, until_killed=False):
        self.until_killed = until_killed  # the server is, while this goes on
        self.told = Acknowledged(case)
        self.lock = threading.Lock()
        self.server = server
        self.pause = pause
        self.over = threading.Event()
        self.threads = []
        self.hotels = hotels
        if hotels is None:
            with ink.Connection(server.address) as client:
                self.hotels = [Hotel(client, property=property_of_shard(shard, server.shards), rooms=(30000,))
                               for shard in range(server.shards)]

    def __enter__(self):
        self.threads = [threading.Thread(target=self.run, args=(hotel,)) for hotel in self.hotels]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def run(self, hotel):
        """A reserve that is cancelled at once keeps the tables small and the log growing."""
        try:
            with ink.Connection(self.server.address) as client:
                while not self.over.is_set():
                    keys = [ink.new_key() for _ in range(20)]
                    items = [item for key in keys
                             for item in (hotel.reserve(key), ink.cancel(hotel.property, ink.new_key(), key))]
                    for item, result in zip(items, client.call_many(items)):
                        self.take(item, result)
                    time.sleep(self.pause)
        except (OSError, ink.ConnectionEnded):
            if not self.until_killed:
                raise

    def take(self, item, result):
        with self.lock:
            if result.flags & NOT_KEPT:  # logged, but a full table of outcomes will not give the same answer again
                self.told.newest_lsn[result.shard] = max(self.told.newest_lsn.get(result.shard, 0), result.lsn)
            else:
                self.told.take(item, result)

    def acknowledged(self):
        with self.lock:
            return dict(self.told.newest_lsn)


class WithCopies(Case):
    def setUp(self):
        self.processes = []
        self.addCleanup(self.end_processes)

    def end_processes(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()

    def serve_small(self, *options, shards=2):
        server = self.serve("--segment-size", "128K", *SMALL_SNAPSHOTS, *options, shards=shards)
        self.copy = server.data.parent / "copy"
        return server

    def start(self, *arguments):
        process = subprocess.Popen([BIN / "innkeep-wal", *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, preexec_fn=die_with_parent)
        self.processes.append(process)
        return process

    def end(self, process, code=CLEAN, number=signal.SIGTERM):
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        self.assertIsNone(TROUBLE.search(err), err)
        self.assertEqual(process.returncode, code, err)
        return out, err

    def backup(self, server, target, *arguments, **named):
        done = tool("innkeep", "--server", server.listen(), "backup", target, *arguments, **named)
        self.assertIsNone(TROUBLE.search(done.stderr), done.stderr)
        return done

    def follow_once(self, source, copy, *arguments, code=CLEAN):
        done = tool("innkeep-wal", "follow", source, copy, "--once", "--rate", "0", *arguments)
        self.assertIsNone(TROUBLE.search(done.stderr), done.stderr)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def lsns_of(self, folder, verdicts=(CLEAN,)):
        """Of a directory that verifies: the last LSN of each shard."""
        objects, code = tool_json("innkeep-wal", "verify", folder, "--json")
        self.assertIn(code, verdicts, objects)
        return {shard["shard"]: shard["last_lsn"] for shard in objects[0]["shards"]}

    def replayed_hash(self, folder, lsns=None):
        arguments = ["--to-lsn", ",".join(f"{shard}:{lsn}" for shard, lsn in lsns.items())] if lsns else []
        objects, code = tool_json("innkeep-wal", "replay", folder, *arguments, "--json")
        self.assertEqual(code, CLEAN, objects)
        return objects[0]["state_hash"]

    def wait_for_snapshots(self, server, count):
        self.eventually(lambda: all(server.status(shard).snapshots_taken >= count for shard in range(server.shards)),
                        f"{count} snapshots", timeout=60, pause=0.1)


class Backup(WithCopies):
    def test_under_load_holds_all_that_was_acknowledged_and_the_same_state_at_its_lsn(self):
        server = self.serve_small()
        with Load(self, server) as load:
            self.wait_for_snapshots(server, 3)
            before = load.acknowledged()
            (report,), code = tool_json("innkeep", "--server", server.listen(), "backup", self.copy, "--json")
            self.assertEqual(code, DONE)
        lsns = self.lsns_of(self.copy)
        self.assertTrue(report["complete"])
        self.assertEqual({shard["shard"]: shard["lsn"] for shard in report["shards"]}, lsns)
        for shard, lsn in before.items():
            self.assertGreaterEqual(lsns[shard], lsn, "the backup lacks what was acknowledged before it began")
        self.assertFalse(list(self.copy.glob("shard-*/*.tmp")) + list(self.copy.glob("shard-*/*.ready")))
        self.assertFalse((self.copy / "shard-000/0000000000000001.wal").exists(), "the test is to cover a copy without the log's beginning")
        self.assertEqual(self.replayed_hash(self.copy), self.replayed_hash(server.data, lsns))

    def test_becomes_a_directory_to_serve_on(self):
        server = self.serve_small()
        with Load(self, server) as load:
            self.wait_for_snapshots(server, 3)
        done = self.backup(server, self.copy)
        self.assertEqual(done.returncode, DONE, done.stderr)
        self.assertIn(f"innkeep-wal restore {self.copy} NEW", done.stdout)
        made = self.copy.parent / "made"
        before = checksums(self.copy)
        done = tool("innkeep-wal", "restore", self.copy, made)
        self.assertEqual(done.returncode, CLEAN, done.stderr)
        self.assertEqual(checksums(self.copy), before)
        self.lsns_of(made)
        server.stop()
        restored = Server(shards=None, data=made, defaults=False)
        self.enterContext(restored)
        load.told.expect_all_of_it(restored)

    def test_of_a_server_that_has_no_snapshot_yet_and_of_one_whose_newest_is_damaged(self):
        server = self.serve_small("--snapshot-every", "0", shards=1)
        with ink.Connection(server.address) as client:
            Hotel(client)
        self.assertEqual(self.backup(server, self.copy).returncode, DONE)
        self.lsns_of(self.copy)
        newest = max((server.data / "shard-000").glob("*.snapshot"))
        content = bytearray(newest.read_bytes())
        content[len(content) // 2] ^= 1
        newest.write_bytes(content)
        second = self.copy.parent / "second"
        done = self.backup(server, second)
        self.assertEqual(done.returncode, DONE, done.stderr)
        self.assertIn("is damaged", done.stderr)
        self.lsns_of(second)

    def test_refuses_what_it_cannot_do_and_says_what_to_do(self):
        server = self.serve_small(shards=1)
        with ink.Connection(server.address) as client:
            Hotel(client)
        self.copy.mkdir()
        (self.copy / "letter").write_text("mine")
        done = self.backup(server, self.copy)
        self.assertEqual(done.returncode, REFUSED)
        self.assertIn("not empty; name a new directory", done.stderr)
        self.assertEqual((self.copy / "letter").read_text(), "mine")
        self.assertEqual(self.backup(server, self.copy.parent / "no" / "such").returncode, REFUSED)
        self.assertEqual(self.backup(server, self.copy, "--rate", "fast").returncode, USAGE)
        self.assertEqual(tool("innkeep", "--server", "127.0.0.1:1", "--no-retry", "backup", self.copy).returncode, NO_ANSWER)
        moved = server.data.parent / "moved"
        server.data.rename(moved)  # as in a container: the server has it open, and this side does not see it
        done = self.backup(server, self.copy.parent / "new")
        self.assertEqual(done.returncode, REFUSED)
        self.assertIn("Run this on the server's machine", done.stderr)
        other = self.serve(shards=1)
        shutil.copytree(other.data, server.data, ignore=shutil.ignore_patterns("*.tmp", "*.ready"))
        done = self.backup(server, self.copy.parent / "new")
        self.assertEqual(done.returncode, REFUSED)
        self.assertIn("another data directory is under that path", done.stderr)
        shutil.rmtree(server.data)
        moved.rename(server.data)
        self.assertEqual(self.backup(server, self.copy.parent / "new").returncode, DONE)

    def test_keeps_to_its_rate(self):
        server = self.serve_small("--memory", "96M", shards=1)
        with ink.Connection(server.address) as client:
            Hotel(client)
        began = time.monotonic()
        (report,), code = tool_json("innkeep", "--server", server.listen(), "backup", self.copy, "--json", "--rate", "1M")
        self.assertEqual(code, DONE)
        self.assertGreater(time.monotonic() - began, 0.8 * (report["bytes"] / 2**20 - 1))

    def test_interrupted_leaves_nothing_under_its_name_and_the_next_one_goes_through(self):
        server = self.serve_small(shards=1)
        with ink.Connection(server.address) as client:
            Hotel(client)
        process = subprocess.Popen([BIN / "innkeep", "--server", server.listen(), "backup", self.copy, "--rate", "64K"])
        self.processes.append(process)
        making = self.copy.parent / "copy.copying"
        self.eventually(lambda: (making / "shard-000").exists(), "it begins")
        second = self.backup(server, self.copy)
        self.assertEqual(second.returncode, REFUSED)
        self.assertIn("is being made by another process", second.stderr)
        process.kill()
        process.wait()
        self.assertFalse(self.copy.exists())
        self.assertEqual(tool("innkeep-wal", "verify", making).returncode, UNREADABLE)
        self.assertEqual(self.backup(server, self.copy).returncode, DONE)
        self.assertFalse(making.exists())
        self.lsns_of(self.copy)


class Follow(WithCopies):
    def test_stays_close_under_load_and_prunes_as_the_source_does(self):
        server = self.serve_small()
        with Load(self, server, pause=0.02) as load:
            process = self.start("follow", server.data, self.copy, "--interval", "50ms", "--json")
            self.eventually(lambda: (self.copy / "meta").exists(), "the first copy")
            self.wait_for_snapshots(server, 6)
            acknowledged = load.acknowledged()
            self.eventually(lambda: self.holds(acknowledged), "what was acknowledged arrives", timeout=20, pause=0.2)
        acknowledged = load.acknowledged()
        self.eventually(lambda: self.holds(acknowledged), "the last of it arrives, too", timeout=20, pause=0.2)
        out, _ = self.end(process)
        self.assertIn('"behind_seconds"', out)
        self.assertEqual(self.lsns_of(self.copy), self.lsns_of(server.data, (CLEAN, TORN_TAIL)))
        self.assertEqual(self.replayed_hash(self.copy), self.replayed_hash(server.data))
        for shard in range(server.shards):
            names = sorted(path.name for path in (self.copy / f"shard-{shard:03}").glob("*.snapshot"))
            self.assertEqual(len(names), 2)
            self.assertFalse((self.copy / f"shard-{shard:03}" / "0000000000000001.wal").exists(), "nothing was pruned")

    def holds(self, lsns):
        found = self.lsns_of(self.copy, (CLEAN, TORN_TAIL))
        return all(found[shard] >= lsn for shard, lsn in lsns.items())

    def test_killed_at_any_moment_leaves_a_copy_that_reads_and_goes_on(self):
        server = self.serve_small()
        random = seeded("follow killed")
        with Load(self, server, pause=0.01):
            for _ in range(12):
                process = self.start("follow", server.data, self.copy, "--interval", "1ms", "--rate", "0")
                time.sleep(random.uniform(0.02, 0.6))
                process.kill()
                process.communicate()
                if self.copy.exists():
                    self.lsns_of(self.copy, (CLEAN, TORN_TAIL))
        self.follow_once(server.data, self.copy)
        self.assertEqual(self.replayed_hash(self.copy), self.replayed_hash(server.data))

    def test_a_killed_server_goes_on_and_so_does_the_copy(self):
        server = self.serve_small(shards=1)
        process = self.start("follow", server.data, self.copy, "--interval", "20ms", "--rate", "0")
        hotels = None
        for _ in range(4):
            with Load(self, server, hotels=hotels, until_killed=True) as load:
                time.sleep(0.7)
                server.kill()
            hotels = load.hotels
            server.start()
            acknowledged = load.acknowledged()
            self.eventually(lambda: (self.copy / "meta").exists() and self.holds(acknowledged), "it is all in the copy", pause=0.2)
        self.end(process)
        made = self.copy.parent / "made"
        done = tool("innkeep-wal", "restore", self.copy, made)
        self.assertEqual(done.returncode, CLEAN, done.stderr)
        restored = Server(shards=None, data=made, defaults=False)
        self.enterContext(restored)
        load.told.expect_all_of_it(restored)

    def test_a_source_that_is_far_ahead_is_copied_anew(self):
        server = self.serve_small(shards=1)
        with ink.Connection(server.address) as client:
            Hotel(client, property=99)
        self.follow_once(server.data, self.copy)
        with Load(self, server):
            self.wait_for_snapshots(server, 4)
            self.eventually(lambda: not (server.data / "shard-000/0000000000000001.wal").exists(), "segment 1 goes", timeout=60)
        done = self.follow_once(server.data, self.copy)
        self.assertIn("has given up the segments", done.stderr)
        self.assertIn("copied anew", done.stderr)
        self.assertEqual(self.replayed_hash(self.copy), self.replayed_hash(server.data))
        self.assertEqual([path.name for path in self.copy.iterdir() if path.name.startswith("shard")], ["shard-000"])

    def test_a_copy_that_was_damaged_is_mended_where_the_source_has_it(self):
        server = self.serve_small("--snapshot-every", "0", shards=1)
        with Load(self, server):
            time.sleep(0.5)
        self.follow_once(server.data, self.copy)
        path = self.copy / "shard-000/0000000000000001.wal"
        content = bytearray(path.read_bytes())
        content[40960] ^= 1
        path.write_bytes(content)
        self.assertEqual(tool("innkeep-wal", "verify", self.copy).returncode, DAMAGED)
        done = self.follow_once(server.data, self.copy)
        self.assertIn("what lies behind is copied anew", done.stderr)
        self.assertEqual(self.lsns_of(self.copy), self.lsns_of(server.data, (CLEAN, TORN_TAIL)))

    def test_a_damaged_source_is_told_and_the_copy_keeps_what_is_good(self):
        server = self.serve_small("--snapshot-every", "0", shards=1)
        with Load(self, server):
            time.sleep(0.5)
        server.stop()
        path = server.data / "shard-000/0000000000000001.wal"
        content = bytearray(path.read_bytes())
        content[40960] ^= 1
        path.write_bytes(content)
        done = self.follow_once(server.data, self.copy, code=DAMAGED)
        self.assertIn("of the source is DAMAGED", done.stderr)

    def test_another_history_is_refused_and_the_copy_left_as_it_is(self):
        server = self.serve_small(shards=1)
        with ink.Connection(server.address) as client:
            hotel = Hotel(client)
            keep = self.expect(client.call(hotel.reserve()), Status.OK).lsn
            self.expect(client.call(hotel.reserve()), Status.OK)
        server.stop()
        self.follow_once(server.data, self.copy)
        before = checksums(self.copy)
        second = self.copy.parent / "second"
        shutil.copytree(server.data, second)
        done = tool("innkeep-wal", "cut", server.data, "--at-lsn", f"0:{keep}", "--backup", second, "--yes")
        self.assertEqual(done.returncode, CLEAN, done.stderr)
        done = self.follow_once(server.data, self.copy, code=UNREADABLE)
        self.assertIn("that log goes on otherwise", done.stderr)
        self.assertEqual(checksums(self.copy), before)

    def test_refuses_what_is_no_copy_of_it(self):
        server = self.serve_small(shards=1)
        other = self.serve(shards=1)
        other.stop()
        before = checksums(other.data)
        done = self.follow_once(server.data, other.data, code=UNREADABLE)
        self.assertIn("is no copy of", done.stderr)
        self.assertEqual(checksums(other.data), before)
        self.assertIn("cannot be its own copy", self.follow_once(server.data, server.data, code=UNREADABLE).stderr)
        self.copy.mkdir()
        (self.copy / "letter").write_text("mine")
        self.assertIn("not empty", self.follow_once(server.data, self.copy, code=UNREADABLE).stderr)
        self.assertEqual(os.listdir(self.copy), ["letter"])
        self.assertEqual(tool("innkeep-wal", "follow", server.data).returncode, USAGE)
        self.assertEqual(tool("innkeep-wal", "follow", server.data, self.copy, "--interval", "0").returncode, USAGE)
        (self.copy / "letter").unlink()
        process = self.start("follow", server.data, self.copy)
        self.eventually(lambda: (self.copy / "meta").exists(), "the first copy")
        self.assertIn("in use by another process", self.follow_once(server.data, self.copy, code=UNREADABLE).stderr)
        self.end(process, number=signal.SIGINT)


class OnADiskOfItsOwn(WithCopies):
    def setUp(self):
        super().setUp()
        reason = file_systems.reason_to_skip()
        if reason:
            self.skipTest(reason)
        try:
            file_systems.private_mounts()
        except OSError as error:
            self.skipTest(f"no mount namespace: {error}")
        self.server = self.serve_small(shards=1)
        with ink.Connection(self.server.address) as client:
            self.hotel = Hotel(client)

    def test_no_space_is_said_and_nothing_is_left_of_the_try(self):
        disk = self.enterContext(file_systems.FileSystem(8 << 20))
        disk.fill(64 << 10)
        done = self.backup(self.server, disk.path / "copy")
        self.assertEqual(done.returncode, REFUSED)
        self.assertIn("No space left on device", done.stderr)
        done = self.follow_once(self.server.data, disk.path / "copy", code=UNREADABLE)
        self.assertIn("No space left on device", done.stderr)
        self.assertEqual(sorted(path.name for path in disk.path.iterdir()), ["ballast", "lost+found"])

    def test_a_disk_that_fills_up_stops_the_copy_and_space_lets_it_go_on(self):
        disk = self.enterContext(file_systems.FileSystem(96 << 20))
        copy = disk.path / "copy"
        self.follow_once(self.server.data, copy)
        disk.fill()
        with Load(self, self.server, hotels=[self.hotel]):
            time.sleep(1)
        done = self.follow_once(self.server.data, copy, code=UNREADABLE)
        self.assertIn("No space left on device", done.stderr)
        self.lsns_of(copy, (CLEAN, TORN_TAIL))
        disk.free()
        self.follow_once(self.server.data, copy)
        self.assertEqual(self.replayed_hash(copy), self.replayed_hash(self.server.data))

    def test_a_target_that_cannot_be_written_is_said(self):
        disk = self.enterContext(file_systems.FileSystem(96 << 20))
        copy = disk.path / "copy"
        self.follow_once(self.server.data, copy)
        file_systems.run("mount", "-o", "remount,ro", disk.path)
        self.assertIn("Read-only file system", self.follow_once(self.server.data, copy, code=UNREADABLE).stderr)
        done = self.backup(self.server, disk.path / "second")
        self.assertEqual(done.returncode, REFUSED)
        self.assertIn("Read-only file system", done.stderr)


if __name__ == "__main__":
    main()
