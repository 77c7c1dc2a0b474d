#!/usr/bin/env python3
"""innkeep-wal on directories with snapshots whose first segments were recycled: held against the whole log, and damaged in every way.

    INNKEEP_BIN=build/dev/bin /usr/bin/python3 tests/net/wal_snapshot_test.py

INNKEEP_SEED=number reruns the randomised test that printed it.
"""
import csv
import json
import pathlib
import shutil
import struct
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
# pylint: disable=wrong-import-position
import innkeep_client as ink
import server as srv
import xxhash

CLEAN, TORN_TAIL, USAGE, DAMAGED, UNREADABLE = 0, 1, 2, 3, 4
BLOCK, CHUNK = 4096, 65536
EPOCH = 2**40
REFERENCE = 0x5eed5eed0badcafe
OPTIONS = ["--segment-size", "64K", "--snapshot-every", "128K", "--snapshot-rate", "0"]
READING = [["info"], ["verify"], ["dump"], ["dump", "--no-replay"], ["replay"], ["timeline", "--property", "1"],
           ["what-if", "--rooms", "1:1=+1"]]


def run(command, data, *arguments):
    return srv.tool("innkeep-wal", command, data, *arguments)


def contents(folder):
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
            for path in sorted(folder.rglob("*")) if path.is_file()}


def flip(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


def frames_of(shard_folder):
    """(path, offset, index, first LSN, records, size) of each frame that lies there, by index."""
    frames = []
    for path in shard_folder.glob("*.wal"):
        data = path.read_bytes()
        for offset in range(2 * BLOCK, len(data), BLOCK):
            if data[offset:offset + 4] == b"IFRM":
                size, = struct.unpack_from("<I", data, offset + 8)
                records, = struct.unpack_from("<I", data, offset + 16)
                index, = struct.unpack_from("<Q", data, offset + 40)
                lsn, = struct.unpack_from("<Q", data, offset + 56)
                frames.append((path, offset, index, lsn, records, size))
    return sorted(frames, key=lambda frame: frame[2])


def snapshot_reseal(path, data):
    """Makes every checksum of a snapshot file right again, so that only its meaning is wrong."""
    uuid, shard, index = data[16:32], struct.unpack_from("<I", data, 32)[0], struct.unpack_from("<Q", data, 40)[0]
    salt = xxhash.xxh3_64_intdigest(uuid + struct.pack("<QQ", shard, index), 0)
    size, = struct.unpack_from("<Q", data, 104)
    pages, table = data[BLOCK:BLOCK + size], b""
    for chunk, at in enumerate(range(0, size, CHUNK)):
        digest = xxhash.xxh3_128_intdigest(pages[at:at + CHUNK], (salt + chunk) % 2**64)
        table += digest.to_bytes(16, "little")
    data[BLOCK + size:BLOCK + size + len(table)] = table
    data[128:144] = xxhash.xxh3_128_intdigest(table, salt).to_bytes(16, "little")
    data[BLOCK - 16:BLOCK] = xxhash.xxh3_128_intdigest(bytes(data[:BLOCK - 16]), 0).to_bytes(16, "little")
    path.write_bytes(bytes(data))


def history_make(data, whole, rounds, random):
    """Serves one shard until its first segments are recycled. `whole` gets each segment and snapshot that there ever was."""
    server = srv.Server(*OPTIONS, shards=1, data=data)
    shard = data / "shard-000"
    (whole / "shard-000").mkdir(parents=True)
    with server:
        connection = server.connect()
        hotel = srv.Hotel(connection, property=1, rooms=(30, 5))
        connection.call(ink.property_create(2, ink.new_key(), ink.today() - 3))
        booked = []
        for turn in range(rounds):
            keys = [ink.new_key() for _ in range(20)]
            connection.call_many([hotel.reserve(key, room_type=1 + random.randrange(2), offset=random.randrange(30),
                                                nights=1 + random.randrange(3), reference=REFERENCE,
                                                hold=random.choice([0, 0, 200_000_000, 60 * 10**9])) for key in keys])
            booked += keys
            connection.call_many([ink.cancel(1, ink.new_key(), random.choice(booked)),
                                  ink.confirm(1, ink.new_key(), random.choice(booked)),
                                  ink.lease_acquire(1, ink.new_key(), random.randrange(4) + 1, 150_000_000),
                                  ink.lease_acquire(1, ink.new_key(), 9, 60 * 10**9)])
            if turn == 2:
                mine = connection.call(ink.lease_acquire(1, ink.new_key(), 7, 60 * 10**9))
                connection.call(hotel.reserve(fence=(7, mine.token)))
            if turn > 2 and turn % 5 == 0:
                connection.call(hotel.reserve(fence=(7, mine.token - 1)))
            server.pause()
            for path in [*shard.glob("*.wal"), *shard.glob("*.snapshot")]:
                shutil.copyfile(path, whole / "shard-000" / path.name)
            server.resume()
        time.sleep(1)  # whatever runs out soon has run out: so the state is that of the log's end
        state_hash = server.state_hash()
        server.close_connections()
        server.stop()
    for path in [*shard.glob("*.wal"), *shard.glob("*.snapshot")]:
        shutil.copyfile(path, whole / "shard-000" / path.name)
    shutil.copyfile(data / "meta", whole / "meta")
    return state_hash


HISTORY = tempfile.TemporaryDirectory(dir=srv.TEST_DIR)  # of all tests; each gets a copy


class Case(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        root = pathlib.Path(HISTORY.name)
        cls.original, cls.whole = root / "data", root / "whole"
        if not hasattr(Case, "state_hash"):
            Case.state_hash = history_make(cls.original, cls.whole, 45, srv.seeded("history"))
        shard = json.loads(run("info", cls.original, "--json").stdout)["shards"][0]
        cls.begin_lsn, cls.last_lsn = shard["begins"].get("lsn"), shard["last_lsn"]
        cls.begin_frame = shard["begins"].get("frame")

    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir=srv.TEST_DIR)
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.data = self.root / "data"
        shutil.copytree(self.original, self.data)
        self.shard = self.data / "shard-000"

    def snapshots(self):
        """Oldest first."""
        return sorted(self.shard.glob("*.snapshot"))

    def good(self, command, data, *arguments):
        done = run(command, data, *arguments)
        self.assertEqual(done.returncode, CLEAN, (done.stdout[-2000:], done.stderr))
        self.assertIsNone(srv.TROUBLE.search(done.stderr), done.stderr)
        return done

    def lines(self, command, data, *arguments):
        return [json.loads(line) for line in self.good(command, data, "--json", *arguments).stdout.splitlines()]

    def hash_of(self, data, *arguments):
        return self.lines("replay", data, *arguments)[0]["state_hash"]

    def expect_damage(self, words, replay=CLEAN):
        """Of a snapshot, while the log gives the state all the same."""
        for command in ("info", "verify"):
            done = run(command, self.data)
            self.assertEqual(done.returncode, DAMAGED, done.stdout)
            self.assertRegex(done.stdout, words)
            found = json.loads(run(command, self.data, "--json").stdout)
            self.assertEqual((found["verdict"], found["shards"][0]["verdict"]), ("damaged", "damaged"))
            self.assertRegex(json.dumps(found["shards"][0]["snapshots"]), words)
        for command in READING[2:]:
            done = run(command[0], self.data, *command[1:])
            self.assertEqual(done.returncode, replay, (command, done.stderr))
        return run("verify", self.data).stdout


class ARecycledLog(Case):
    def test_is_what_these_tests_are_about(self):
        self.assertFalse((self.shard / "0000000000000001.wal").exists())
        self.assertTrue((self.whole / "shard-000" / "0000000000000001.wal").exists())
        self.assertGreaterEqual(len(self.snapshots()), 2)
        self.assertGreater(self.begin_lsn, 1)
        self.assertEqual(self.lines("dump", self.whole, "--no-replay", "--to-lsn", "3")[0]["lsn"], 1)

    def test_comes_to_the_state_that_the_server_had(self):
        self.assertEqual(self.hash_of(self.data), f"{self.state_hash:032x}")
        self.assertEqual(self.lines("verify", self.data)[0]["shards"][0]["state_hash"], f"{self.state_hash:032x}")

    def test_comes_to_the_state_of_the_whole_log_at_any_lsn(self):
        random = srv.seeded("lsns")
        alone = self.root / "alone"
        shutil.copytree(self.whole, alone)
        for path in (alone / "shard-000").glob("*.snapshot"):
            path.unlink()
        lsns = {self.begin_lsn, self.begin_lsn + 1, self.last_lsn, *(random.randint(self.begin_lsn, self.last_lsn) for _ in range(8))}
        for lsn in sorted(lsns):
            expected = self.good("replay", alone, "--to-lsn", lsn, "--calendar", self.root / "a.csv").stdout
            self.assertEqual(self.good("replay", self.data, "--to-lsn", lsn, "--calendar", self.root / "b.csv").stdout, expected)
            self.assertEqual((self.root / "a.csv").read_text(), (self.root / "b.csv").read_text())
        with open(self.root / "b.csv", newline="", encoding="utf-8") as file:
            self.assertGreater(len(list(csv.reader(file))), 10)
        time = self.lines("dump", alone, "--no-replay", "--from-lsn", self.last_lsn - 100, "--to-lsn", self.last_lsn - 100)[0]["time"]
        self.assertEqual(self.good("replay", self.data, "--to-time", time).stdout, self.good("replay", alone, "--to-time", time).stdout)

    def test_says_where_it_began(self):
        found = self.lines("replay", self.data, "--to-lsn", self.last_lsn)[0]["shards"][0]["begins"]
        self.assertEqual((found["at"], found["passed_over"]), ("snapshot", []))
        self.assertGreater(found["lsn"], self.begin_lsn)
        self.assertRegex(self.good("replay", self.data).stderr, rf"begins at the snapshot of frame \d+, LSN {found['lsn']}, .*newest")
        done = self.good("dump", self.data, "--from-lsn", self.last_lsn)
        self.assertRegex(done.stderr, rf"begins at the snapshot of frame \d+, LSN {self.begin_lsn}, .*recycled")

    def test_refuses_a_moment_in_front_of_everything_left(self):
        for arguments in (["--to-lsn", self.begin_lsn - 1], ["--to-time", "2001-01-01T00:00:00Z"]):
            done = run("replay", self.data, *arguments)
            self.assertEqual(done.returncode, UNREADABLE)
            self.assertRegex(done.stderr, rf"was asked for, but the log before LSN {self.begin_lsn}, .* was recycled")
            self.assertIn("state_hash=" + "0" * 32, done.stdout)
        self.assertEqual(run("diff", self.data, "--lsn", self.begin_lsn - 1).returncode, UNREADABLE)

    def test_is_dumped_from_there_on(self):
        for more in ([], ["--no-replay"]):
            expected = [line for line in self.lines("dump", self.whole, *more) if line["lsn"] > self.begin_lsn]
            self.assertEqual(self.lines("dump", self.data, *more), expected)

    def test_differs_as_the_whole_log_does(self):
        self.assertIn("0 differences; the state hashes are equal", self.good("diff", self.whole, self.data).stdout)
        first, second = self.begin_lsn + 5, self.last_lsn - 5
        found = self.good("diff", self.data, "--lsn", first, "--lsn", second).stdout
        self.assertEqual(found, self.good("diff", self.whole, "--lsn", first, "--lsn", second).stdout)
        self.assertGreater(len(found.splitlines()), 20)

    def events(self, data, *arguments):
        return [(e["event"], e["time_ns"], e["lsn"], e["frame"], e["who"], e["token"], e["what"], e.get("booking"), e["durable_by"])
                for e in self.lines("timeline", data, "--property", "1", *arguments)]

    def test_is_told_as_the_whole_log_is_from_there_on(self):
        night = str(ink.date_of(ink.today() + 10))
        for selection in ([], ["--resource", "9"], ["--resource", "2"], ["--resource", "7"], ["--room-type", "2", "--night", night]):
            found = self.events(self.data, *selection)
            self.assertEqual(found[0][0], "log_begins", selection)
            begin_ns = found[0][1]
            whole = [e for e in self.events(self.whole, *selection) if (e[2] or 0) > self.begin_lsn or (e[2] is None and e[1] > begin_ns)]
            self.assertEqual(found[1:], whole, selection)
            if not selection:
                self.assertLessEqual({"lease_ran_out", "hold_ran_out", "reserve", "confirm"}, {e[0] for e in whole})
        told = self.good("timeline", self.data, "--property", "1", "--resource", "7").stdout
        self.assertRegex(told, rf"the log begins here +events up to LSN {self.begin_lsn} are in segments that were recycled")
        self.assertRegex(told, r"FENCED: a test took token \d+ before the log begins")
        self.assertEqual(told.splitlines()[-1], self.good("timeline", self.whole, "--property", "1", "--resource", "7").stdout.splitlines()[-1])

    def test_what_if_counts_from_there_on(self):
        refused = [line for line in self.lines("dump", self.data, "--refused", "--kind", "reserve")
                   if line["outcome"]["status"] == "SOLD_OUT" and not line["outcome"]["replayed"] and line["lines"][0]["room_type"] == 2]
        found, = self.lines("what-if", self.data, "--rooms", "1:2=+1000")
        of_type, = found["room_types"]
        self.assertGreater(len(refused), 10)
        self.assertEqual((of_type["refused"], of_type["gained"], of_type["lost"]), (len(refused), len(refused), 0))
        self.assertEqual(found["begins"][0]["lsn"], self.begin_lsn)
        self.assertIn(f"Counted from LSN {self.begin_lsn + 1} on", self.good("what-if", self.data, "--rooms", "1:2=+1").stdout)

    def test_is_verified_with_each_snapshot_compared(self):
        found = self.lines("verify", self.whole)[0]["shards"][0]
        self.assertEqual(found["begins"]["at"], "log")
        self.assertEqual([s["compared"] for s in found["snapshots"]], [True] * len(list((self.whole / "shard-000").glob("*.snapshot"))))
        found = self.lines("verify", self.data)[0]["shards"][0]
        self.assertEqual([s["compared"] for s in found["snapshots"]], [False] + [True] * (len(self.snapshots()) - 1))
        self.assertIn("whole; the replay began with it", self.good("verify", self.data).stdout)
        self.assertEqual(found["manifest"], "clean")

    def test_lists_its_snapshots_and_what_needs_what(self):
        shard, = self.lines("info", self.data)[0]["shards"]
        self.assertEqual([s["frame"] for s in shard["snapshots"]], [int(path.name[:16], 16) for path in reversed(self.snapshots())])
        self.assertEqual([s["size"] for s in shard["snapshots"]], [path.stat().st_size for path in reversed(self.snapshots())])
        self.assertEqual(shard["manifest"]["snapshots"], [s["frame"] for s in shard["snapshots"][:2]])
        for file in shard["files"]:
            if file["file"].endswith(".wal"):
                needing = [s["frame"] for s in shard["snapshots"] if s["segment"] <= file["sequence"]]
                self.assertEqual(file["needed_by"], needing)
                self.assertEqual(file["state"] == "retired", file["sequence"] < shard["manifest"]["oldest_segment"])
        self.assertIsNotNone(shard["limits"])
        self.assertIn("in the manifest" if len(self.snapshots()) > 2 else "names 2", self.good("info", self.data).stdout)

    def test_is_never_changed_by_reading(self):
        before = contents(self.data)
        for command in READING:
            self.good(command[0], self.data, *command[1:])
        self.assertEqual(contents(self.data), before)

    def test_may_have_a_snapshot_left_over_whose_segments_are_gone(self):
        manifest = self.lines("info", self.data)[0]["shards"][0]["manifest"]
        for path in self.whole.glob("shard-000/*.snapshot"):
            shutil.copyfile(path, self.shard / path.name)
        for path in self.shard.glob("*.wal"):
            if int(path.name[:16], 16) < manifest["oldest_segment"]:
                path.unlink()
        for command in READING:
            self.good(command[0], self.data, *command[1:])
        self.assertIn("the replay did not come by it", self.good("verify", self.data).stdout)


class SnapshotsThatSuffered(Case):
    def test_the_newest_damaged(self):
        for offset in (20, BLOCK + 100, self.snapshots()[-1].stat().st_size - BLOCK + 3):
            flip(self.snapshots()[-1], offset)
            told = self.expect_damage(rf"{self.snapshots()[-1].name} is damaged")
            self.assertIn("a server passes over what is damaged", told)
            replay = run("replay", self.data, "--json")
            shard, = json.loads(replay.stdout)["shards"]
            self.assertEqual(shard["state_hash"], f"{self.state_hash:032x}")
            self.assertEqual(len(shard["begins"]["passed_over"]), 1)
            self.assertRegex(replay.stderr, rf"passed over: .*{self.snapshots()[-1].name} is damaged")
            flip(self.snapshots()[-1], offset)
        self.good("verify", self.data)

    def test_all_damaged(self):
        for path in self.snapshots():
            flip(path, BLOCK + 100)
        for command in READING + [["diff", "--lsn", "5"]]:
            done = run(command[0], self.data, *command[1:])
            self.assertEqual(done.returncode, DAMAGED, (command, done.stdout, done.stderr))
            self.assertIn("segment 1, with which the log begins, is missing", done.stdout + done.stderr, command)
            self.assertIn("there is neither; use a backup", done.stdout + done.stderr, command)
            self.assertEqual(done.stderr.count("passed over: "), len(self.snapshots()) * (2 if command[0] == "diff" else 1), command)
        with self.assertRaises(srv.StartFailed):
            srv.Server(*OPTIONS, shards=1, data=self.data).__enter__()

    def test_none_left_at_all(self):
        for path in self.snapshots():
            path.unlink()
        done = run("verify", self.data)
        self.assertEqual(done.returncode, DAMAGED)
        self.assertIn("missing, though the manifest names it", done.stdout)
        self.assertIn("there is neither; use a backup", done.stdout)

    def test_one_missing_that_the_manifest_names(self):
        self.snapshots()[-1].unlink()
        told = self.expect_damage("is missing, though the manifest names it")
        self.assertIn("the log gives the state all the same", told)
        self.assertEqual(self.hash_of(self.data), f"{self.state_hash:032x}")

    def test_one_of_another_directory(self):
        other = self.root / "other"
        history_make(other, self.root / "other-whole", 12, srv.seeded("other"))
        foreign = sorted(other.glob("shard-000/*.snapshot"))[-1]
        shutil.copyfile(foreign, self.shard / "00000000000fffff.snapshot")
        self.expect_damage("it belongs to another data directory")
        self.assertEqual(self.hash_of(self.data), f"{self.state_hash:032x}")

    def test_one_under_another_name(self):
        shutil.copyfile(self.snapshots()[0], self.shard / "00000000000fffff.snapshot")
        self.expect_damage("made at another frame than its name says")

    def test_one_that_holds_another_state(self):
        newest = self.snapshots()[-1]
        data = bytearray(newest.read_bytes())
        at = data.find(struct.pack("<Q", REFERENCE))
        self.assertGreater(at, BLOCK)
        data[at] ^= 1
        snapshot_reseal(newest, data)
        (self.shard / "manifest").unlink()
        done = run("verify", self.data)
        self.assertEqual(done.returncode, DAMAGED)
        self.assertRegex(done.stdout, r"DAMAGED: replaying the log comes to another state at frame \d+")
        self.assertIn("a server would begin with what is wrong", done.stdout)
        self.assertEqual(run("info", self.data).returncode, CLEAN)

    def test_one_that_contradicts_itself(self):
        newest = self.snapshots()[-1]
        data = bytearray(newest.read_bytes())
        at = data.find(struct.pack("<Q", REFERENCE))
        data[at - 72 + 62] ^= 0x40  # rooms of the reservation: a line further up, beside its nights
        snapshot_reseal(newest, data)
        (self.shard / "manifest").unlink()
        done = run("verify", self.data)
        self.assertEqual(done.returncode, DAMAGED, done.stdout)
        self.assertRegex(done.stdout, "contradicts itself|cannot be used|another state")

    def test_one_that_is_not_the_manifests(self):
        manifest = bytearray((self.shard / "manifest").read_bytes())
        manifest[48 + 40] ^= 1  # the first entry's block check
        manifest[BLOCK - 16:] = xxhash.xxh3_128_intdigest(bytes(manifest[:BLOCK - 16]), 0).to_bytes(16, "little")
        (self.shard / "manifest").write_bytes(bytes(manifest))
        self.expect_damage("the manifest means another file")

    def test_a_manifest_that_is_damaged(self):
        flip(self.shard / "manifest", 60)
        for command in ("info", "verify"):
            done = run(command, self.data)
            self.assertEqual(done.returncode, DAMAGED, done.stdout)
            self.assertIn("manifest is damaged", done.stdout)
        self.assertEqual(self.hash_of(self.data), f"{self.state_hash:032x}")

    def test_a_log_that_lost_what_a_snapshot_holds(self):
        frames = frames_of(self.shard)
        newest = int(self.snapshots()[-1].name[:16], 16)
        for path, offset, index, _, _, size in frames:
            if index >= newest:
                with open(path, "r+b") as file:
                    file.seek(offset)
                    file.write(bytes(size))
        done = run("verify", self.data)
        self.assertEqual(done.returncode, DAMAGED, done.stdout)
        self.assertRegex(done.stdout, rf"the log ends at frame {newest - 1}, in front of frame {newest}, of which there is a snapshot")


class ADirectoryMadeOfAState(Case):
    def test_holds_it_and_a_server_goes_on_from_it(self):
        for lsn in (self.begin_lsn, self.begin_lsn + 3, (self.begin_lsn + self.last_lsn) // 2, self.last_lsn):
            out = self.root / f"out-{lsn}"
            before = contents(self.data)
            done = self.good("replay", self.data, "--to-lsn", lsn, "--snapshot", out)
            self.assertEqual(contents(self.data), before)
            self.assertIn(f"{out}: a data directory of this state", done.stdout)
            self.assertEqual(self.hash_of(out), self.hash_of(self.data, "--to-lsn", lsn))
            for command in READING:
                self.good(command[0], out, *command[1:])
            self.assertEqual(self.lines("dump", out)[0]["operation"], "epoch")
        self.assertFalse((self.root / f"out-{lsn}.making").exists())
        with srv.Server(*OPTIONS, shards=None, data=out) as server:
            connection = server.connect()
            token = connection.call(ink.lease_acquire(1, ink.new_key(), 1234, 10**9)).token
            self.assertGreater(token, EPOCH)
            for _ in range(30):
                connection.call_many([ink.reserve(1, ink.new_key(), 1, ink.today() + 400 + i, 1) for i in range(20)])
            state_hash = f"{server.state_hash():032x}"
        self.assertEqual(self.hash_of(out), state_hash)
        self.good("verify", out)

    def test_is_not_made_over_anything(self):
        out = self.root / "out"
        out.mkdir()
        (out / "letter").write_text("to my aunt")
        done = run("replay", self.data, "--snapshot", out)
        self.assertEqual((done.returncode, done.stdout), (UNREADABLE, ""))
        self.assertIn("is there already and not empty", done.stderr)
        (out / "letter").unlink()
        self.good("replay", self.data, "--snapshot", out)
        made = self.root / "more.making"
        made.mkdir()
        done = run("replay", self.data, "--snapshot", self.root / "more")
        self.assertEqual(done.returncode, UNREADABLE)
        self.assertIn("was interrupted", done.stderr)

    def test_is_not_made_of_a_state_that_is_not_there(self):
        for lsn in (self.begin_lsn - 1, self.last_lsn + 1):
            done = run("replay", self.data, "--to-lsn", lsn, "--snapshot", self.root / "out")
            self.assertEqual(done.returncode, UNREADABLE, done.stdout)
            self.assertIn("no directory was made", done.stderr)
            self.assertEqual([path.name for path in self.root.iterdir()], ["data"])

    def test_cannot_do_without_its_snapshot(self):
        out = self.root / "out"
        self.good("replay", self.data, "--snapshot", out)
        flip(out / "shard-000" / "0000000000000001.snapshot", BLOCK + 1)
        for command in ("verify", "replay"):
            done = run(command, out)
            self.assertEqual(done.returncode, DAMAGED, done.stdout)
            self.assertIn("made of a state that only a snapshot holds", done.stdout + done.stderr)

    def test_has_as_many_shards(self):
        data = self.root / "three"
        with srv.Server(*OPTIONS, shards=3, data=data) as server:
            connection = server.connect()
            connection.call_many([ink.property_create(n, ink.new_key(), ink.today()) for n in range(1, 9)])
            state_hash = f"{server.state_hash():032x}"
        self.good("replay", data, "--snapshot", self.root / "out")
        self.assertEqual(self.hash_of(self.root / "out"), state_hash)
        with srv.Server(*OPTIONS, shards=None, data=self.root / "out") as server:
            self.assertEqual((server.shards, f"{server.state_hash():032x}"), (3, state_hash))


class ARewrite(Case):
    """cut and restore where segment 1 is gone."""

    def test_is_cut_between_its_snapshots(self):
        shutil.copytree(self.data, self.root / "backup")
        lsn = self.begin_lsn + 40
        expected = self.hash_of(self.data, "--to-lsn", lsn)
        self.good("cut", self.data, "--at-lsn", lsn, "--backup", self.root / "backup", "--yes")
        self.assertEqual(self.hash_of(self.data), expected)
        self.good("verify", self.data)
        with srv.Server(*OPTIONS, shards=None, data=self.data) as server:
            self.assertGreater(server.connect().call(ink.lease_acquire(1, ink.new_key(), 1234, 10**9)).token, EPOCH)

    def test_is_not_cut_in_front_of_what_is_left(self):
        shutil.copytree(self.data, self.root / "backup")
        before = contents(self.data)
        done = run("cut", self.data, "--at-lsn", self.begin_lsn - 1, "--backup", self.root / "backup", "--yes")
        self.assertEqual(done.returncode, UNREADABLE)
        self.assertRegex(done.stderr, rf"lies in segments that were recycled: .* LSN {self.begin_lsn}\b")
        self.assertEqual({n: c for n, c in contents(self.data).items() if n != "lock"}, {n: c for n, c in before.items() if n != "lock"})

    def test_is_restored(self):
        self.good("restore", self.data, self.root / "restored")
        self.assertEqual(self.hash_of(self.root / "restored"), f"{self.state_hash:032x}")
        self.good("verify", self.root / "restored")
        with srv.Server(*OPTIONS, shards=None, data=self.root / "restored") as server:
            self.assertGreater(server.connect().call(ink.lease_acquire(1, ink.new_key(), 1234, 10**9)).token, EPOCH)


if __name__ == "__main__":
    srv.main()
