#!/usr/bin/env python3
"""Snapshots of a server that goes on serving, and restarts that begin with them: after a clean end, after a crash at any moment, with the newest
one damaged, with both damaged, with one that is missing or somebody else's. The state is always the one that was acknowledged."""
import shutil
import time

import innkeep_client as ink
from innkeep_client import Status
from server import Case, Hotel, Server, StartFailed, main, seeded, tool, tool_json

SMALL_LOG = ("--memory", "64M", "--segment-size", "256K", "--snapshot-every", "512K")
BATCH = 500


class Snapshots(Case):
    def setUp(self):
        self.server = self.serve(*SMALL_LOG, shards=1)
        self.random = seeded("snapshots")
        self.connect(make_hotel=True)
        self.keys = []

    def connect(self, make_hotel=False):
        self.client = self.server.connect()
        if make_hotel:
            self.hotel = Hotel(self.client, rooms=(30000,) * 4)

    @property
    def folder(self):
        return self.server.data / "shard-000"

    def snapshots(self):
        return sorted(self.folder.glob("*.snapshot"))

    def load(self, count=2000):
        """Reserves, holds, cancellations; remembers what was acknowledged."""
        while count > 0:
            keys = [ink.new_key() for _ in range(min(count, BATCH))]
            items = [self.hotel.reserve(key, room_type=self.random.randint(1, 4), offset=self.random.randint(0, 300),
                                        hold=self.random.choice([0, 0, 3600 * ink.SECOND])) for key in keys]
            for result in self.client.call_many(items):
                self.expect(result, Status.OK)
            self.keys += keys
            count -= len(keys)

    def load_until_snapshots(self, count):
        def more():
            self.load(BATCH)
            return self.server.status().snapshots_taken >= count
        self.eventually(more, f"{count} snapshots", timeout=60, pause=0)

    def judge(self, state_hash):
        self.connect()
        self.assertEqual(self.server.state_hash(), state_hash)
        for key in self.random.sample(self.keys, min(200, len(self.keys))):
            self.expect(self.client.call(ink.lookup(1, key)), Status.OK)

    def end(self, how):
        """Stops and returns the state hash that the next start has to come to."""
        state_hash = self.server.state_hash()
        self.server.close_connections()
        how()
        return state_hash

    def damage(self, path, where=0.5):
        with open(path, "r+b") as file:
            size = file.seek(0, 2)
            file.seek(int(size * where))
            byte = file.read(1)[0]
            file.seek(-1, 1)
            file.write(bytes([byte ^ 1 << self.random.randrange(8)]))

    def test_come_after_so_much_log_and_let_segments_go(self):
        self.load_until_snapshots(3)
        status = self.server.status()
        self.assertEqual(status.snapshots_kept, 2)
        self.assertGreater(status.snapshot_lsn, 0)
        self.assertFalse((self.folder / "0000000000000001.wal").exists() and status.segments_recycled == 0)
        self.eventually(lambda: len(self.snapshots()) <= 3, "the third snapshot goes")
        state_hash = self.end(self.server.kill)
        self.server.start()
        self.assertIn("loaded the snapshot", self.server.stderr())
        self.judge(state_hash)

    def test_are_taken_at_the_end_so_that_nothing_is_replayed(self):
        self.load()
        state_hash = self.end(self.server.stop)
        self.assertEqual(len(self.snapshots()), 1)
        self.server.start()
        self.judge(state_hash)
        state_hash = self.end(self.server.stop)
        self.assertEqual(len(self.snapshots()), 2)
        self.server.start()
        self.judge(state_hash)

    def test_are_taken_when_asked_for(self):
        self.load(BATCH)
        [done], code = tool_json("innkeep", "--json", "--server", self.server.listen(), "snapshot")
        self.assertEqual(code, 0)
        self.assertGreaterEqual(done["newest_lsn"], self.server.status().snapshot_lsn)
        self.assertEqual(len(self.snapshots()), 1)
        again = self.client.call(ink.snapshot(0, take=True))
        self.expect(again, Status.OK, running=0, newest_lsn=again.lsn)
        self.assertEqual(again.directory.rstrip(b"\0").decode(), str(self.folder.resolve()))

    def test_stay_while_somebody_copies_them(self):
        self.load_until_snapshots(2)
        self.expect(self.client.call(ink.snapshot(0, take=False, keep_ns=60 * ink.SECOND)), Status.OK)
        self.expect(self.client.call(ink.snapshot(0, take=False, keep_ns=1)), Status.OK)
        kept = self.snapshots()
        segments = sorted(self.folder.glob("*.wal"))[-2:]
        for _ in range(3):
            taken = self.server.status().snapshots_taken
            self.client.call(ink.snapshot(0, take=True))
            self.eventually(lambda: self.load(BATCH) or self.server.status().snapshots_taken > taken, "a snapshot")
        self.assertTrue(all(path.exists() for path in kept + segments))

    def test_survive_a_crash_at_any_moment(self):
        for _ in range(8):
            self.client.call(ink.snapshot(0, take=True))
            self.load(self.random.randint(1, 3) * BATCH)
            time.sleep(self.random.random() * 0.05)
            state_hash = self.end(self.server.kill)
            self.server.start()
            self.judge(state_hash)

    def test_that_are_damaged_are_passed_over(self):
        self.load_until_snapshots(2)
        self.load(BATCH)
        state_hash = self.end(self.server.kill)
        newest = self.snapshots()[-1]
        self.damage(newest, self.random.random())
        self.server.start()
        self.assertIn("WARNING", self.server.stderr())
        self.assertIn(newest.name, self.server.stderr())
        self.judge(state_hash)
        self.load_until_snapshots(2)
        state_hash = self.end(self.server.stop)
        self.server.start()
        self.judge(state_hash)

    def test_without_any_and_without_the_beginning_nothing_starts_and_nothing_is_changed(self):
        self.load_until_snapshots(3)
        self.eventually(lambda: self.load(BATCH) or not (self.folder / "0000000000000001.wal").exists(),
                        "segment 1 goes", timeout=60)
        self.end(self.server.kill)
        for path in self.snapshots():
            self.damage(path)
        before = {path.name: path.read_bytes() for path in self.folder.iterdir()}
        with self.assertRaises(StartFailed) as failed:
            self.server.start()
        self.assertIn("segment 1", failed.exception.stderr)
        self.assertEqual({path.name: path.read_bytes() for path in self.folder.iterdir()}, before)

    def test_that_are_missing_are_missed(self):
        self.load_until_snapshots(2)
        state_hash = self.end(self.server.kill)
        newest = self.snapshots()[-1]
        newest.unlink()
        self.server.start()
        self.assertIn("is missing", self.server.stderr())
        self.judge(state_hash)

    def test_of_another_directory_are_not_believed(self):
        self.load(BATCH)
        state_hash = self.end(self.server.stop)
        with Server(*SMALL_LOG, shards=1) as other:
            Hotel(other.connect(), rooms=(1,))
            other.close_connections()
            other.stop()
            foreign, = (other.data / "shard-000").glob("*.snapshot")
            shutil.copy(foreign, self.folder / "00000000000fffff.snapshot")
            other.start()
        self.server.start()
        self.assertIn("another data directory", self.server.stderr())
        self.judge(state_hash)

    def test_that_find_no_space_leave_the_older_ones(self):
        """A name that cannot be made stands for a disk that is full: see disk_full for real ones."""
        self.load_until_snapshots(1)
        self.load(BATCH)
        status = self.server.status()
        kept = self.snapshots()
        for index in range(status.frame_index - 5, status.frame_index + 200):
            (self.folder / f"{index:016x}.snapshot.tmp").mkdir(exist_ok=True)
        self.client.call(ink.snapshot(0, take=True))
        self.eventually(lambda: self.load(1) or self.server.status().snapshots_failed > 0, "a failed snapshot")
        self.assertEqual(self.snapshots()[-1], kept[-1])
        for path in self.folder.glob("*.snapshot.tmp"):
            if path.is_dir():
                path.rmdir()
        self.eventually(lambda: self.load(1) or self.server.status().snapshot_lsn >= status.lsn,
                        "what was asked for, by itself", timeout=40)
        state_hash = self.end(self.server.kill)
        self.server.start()
        self.judge(state_hash)


class KeptLog(Case):
    def test_can_be_replayed_to_any_point(self):
        server = self.serve(*SMALL_LOG, "--keep-log", "4M", shards=1)
        client = server.connect()
        hotel = Hotel(client, rooms=(30000,))
        points = {}
        for number in range(60):
            if number % 10 == 9:  # however slow the machine is, there are some
                taken = server.status().snapshots_taken
                client.call(ink.snapshot(0, take=True))
                self.eventually(lambda: server.status().snapshots_taken > taken, "a snapshot")
            results = client.call_many([hotel.reserve(offset=number) for _ in range(BATCH)])
            self.expect(results[-1], Status.OK)
            points[results[-1].lsn] = server.state_hash()
        folder = server.data / "shard-000"
        self.assertGreater(len(list(folder.glob("*.snapshot"))), 2)
        self.assertLess(sum(path.stat().st_size for path in folder.glob("*.wal")), 9 * 2**20)
        server.close_connections()
        server.kill()
        for lsn, state_hash in list(points.items())[-25::6]:
            done = tool("innkeep-wal", "replay", server.data, "--to-lsn", f"0:{lsn}")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(f"{state_hash:032x}", done.stdout)
        server.start()


if __name__ == "__main__":
    main()
