#!/usr/bin/env python3
"""innkeep-wal on directories that are missing, empty, foreign, whole, torn and damaged.

    INNKEEP_WAL=build/dev/bin/innkeep-wal SMALL_LOG=build/dev/bin/small_log wal_tool_test.py

INNKEEP_SEED=number reruns the randomised test that printed it.
"""
import csv
import json
import os
import pathlib
import random
import shutil
import struct
import subprocess
import tempfile
import unittest

TOOL = os.environ["INNKEEP_WAL"]
SMALL_LOG = os.environ["SMALL_LOG"]
CLEAN, TORN_TAIL, USAGE, DAMAGED, UNREADABLE = 0, 1, 2, 3, 4
BLOCK = 4096
FRAME_MAGIC = b"IFRM"


def run(*arguments):
    return subprocess.run([TOOL, *map(str, arguments)], capture_output=True, text=True, timeout=120)


def contents(folder):
    """All that a write would change: names, bytes, times."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in sorted(folder.rglob("*"))
    }


class Frame:
    """A frame header found in a segment file; FORMAT.md has the offsets."""

    def __init__(self, path, offset, header):
        self.path, self.offset = path, offset
        (self.size, self.payload_size, self.records_count) = struct.unpack_from("<III", header, 8)
        (self.index,) = struct.unpack_from("<Q", header, 40)
        (self.first_lsn,) = struct.unpack_from("<Q", header, 56)


def frames_of(shard_folder):
    frames = []
    for path in sorted(shard_folder.glob("*.wal")):
        data = path.read_bytes()
        for offset in range(2 * BLOCK, len(data), BLOCK):
            if data[offset:offset + 4] == FRAME_MAGIC:
                frames.append(Frame(path, offset, data[offset:offset + 128]))
    return sorted(frames, key=lambda frame: frame.index)


def flip(path, offset, bits=1):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ bits]))


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir=os.environ.get("SCRATCH"))
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)

    def assert_one_sentence(self, done, *words):
        self.assertEqual(done.stdout, "")
        self.assertTrue(done.stderr.startswith("innkeep-wal: "), done.stderr)
        self.assertNotIn("Sanitizer", done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)


class WhatIsNoDataDirectory(Case):
    def test_wrong_arguments_are_usage(self):
        for arguments in ([], ["verify"], ["polish", "x"], ["verify", "x", "y"], ["dump", "x", "--from-lsn", "-1"],
                          ["dump", "x", "--from-lsn", "1x"], ["dump", "x", "--shard", "64"], ["verify", "x", "--shard", "0"],
                          ["replay", "x", "--to-lsn", "0:"], ["replay", "x", "--to-lsn", "0:1,"],
                          ["replay", "x", "--to-lsn", "99:1"], ["replay", "x", "--no-replay"],
                          ["dump", "x", "--calendar", "y"], ["dump", "x", "--from-lsn", "99999999999999999999"],
                          ["verify", "x", "--bogus"]):
            done = run(*arguments)
            self.assertEqual(done.returncode, USAGE, (arguments, done))
            self.assertEqual(done.stdout, "", arguments)

    def test_help_has_examples_and_exit_codes(self):
        done = run("--help")
        self.assertEqual(done.returncode, 0)
        self.assertIn("innkeep-wal replay ./data --calendar out.csv", done.stdout)
        self.assertIn("Exit codes", done.stdout)

    def test_a_missing_directory_is_said_to_be_missing(self):
        for command in ("info", "verify", "dump", "replay"):
            done = run(command, self.root / "nowhere")
            self.assertEqual(done.returncode, UNREADABLE)
            self.assert_one_sentence(done, "nowhere", "No such file")

    def test_an_empty_directory_is_refused_and_stays_empty(self):
        for command in ("info", "verify", "dump", "replay"):
            done = run(command, self.root)
            self.assertEqual(done.returncode, UNREADABLE)
            self.assert_one_sentence(done, "not an Innkeep data directory")
        self.assertEqual(contents(self.root), {})

    def test_a_foreign_directory_is_refused_and_left_alone(self):
        (self.root / "letters.txt").write_text("to my aunt")
        before = contents(self.root)
        for command in ("info", "verify", "dump", "replay"):
            done = run(command, self.root)
            self.assertEqual(done.returncode, UNREADABLE)
            self.assert_one_sentence(done, "not an Innkeep data directory")
        self.assertEqual(contents(self.root), before)

    def test_a_file_in_the_place_of_a_directory_is_refused(self):
        path = self.root / "data"
        path.write_text("x")
        done = run("verify", path)
        self.assertEqual(done.returncode, UNREADABLE)
        self.assert_one_sentence(done)

    def test_a_meta_file_of_garbage_is_refused(self):
        for garbage in (b"", b"x", bytes(64), b"\xff" * 64, b"\xff" * 100000):
            (self.root / "meta").write_bytes(garbage)
            done = run("verify", self.root)
            self.assertEqual(done.returncode, UNREADABLE)
            self.assert_one_sentence(done, "damaged")


class OnASmallLog(Case):
    """Each test gets a copy of a directory that is written once."""

    shards = 1

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(dir=os.environ.get("SCRATCH"))
        cls.addClassCleanup(cls.folder.cleanup)
        cls.original = pathlib.Path(cls.folder.name) / "data"
        cls.written = subprocess.run([SMALL_LOG, cls.original, str(cls.shards)], capture_output=True, text=True, check=True,
                                     timeout=120).stdout

    def setUp(self):
        super().setUp()
        self.data = self.root / "data"
        shutil.copytree(self.original, self.data)

    def shard_folder(self, shard=0):
        return self.data / f"shard-{shard:03}"

    def last_lsn(self, shard=0):
        line = self.written.splitlines()[shard]
        return int(line.split("lsn=")[1].split()[0])

    def dump(self, *arguments):
        done = run("dump", self.data, "--json", *arguments)
        return done, [json.loads(line) for line in done.stdout.splitlines()]


class AWholeLog(OnASmallLog):
    def test_replay_gives_the_state_that_the_writer_had(self):
        done = run("replay", self.data)
        self.assertEqual((done.returncode, done.stdout), (CLEAN, self.written))
        self.assertRegex(done.stderr, r"\Ashard 0: %d records replayed in \d+\.\d{3} s, \d+\.\d\d million a second\n\Z"
                         % self.last_lsn())

    def test_verify_finds_it_clean(self):
        done = run("verify", self.data)
        self.assertEqual((done.returncode, done.stderr), (CLEAN, ""))
        self.assertIn("shard 0: clean", done.stdout)
        self.assertIn(f"LSN 1 to {self.last_lsn()}", done.stdout)
        found = json.loads(run("verify", self.data, "--json").stdout)
        self.assertEqual(found["verdict"], "clean")
        shard = found["shards"][0]
        self.assertEqual(shard["records"], self.last_lsn())
        self.assertEqual(shard["frames"], len(frames_of(self.shard_folder())))
        self.assertGreater(shard["segments"], 3)
        self.assertIn(shard["state_hash"], self.written)

    def test_replay_in_json_says_the_same(self):
        found = json.loads(run("replay", self.data, "--json").stdout)
        lines = self.written.splitlines()
        self.assertEqual(found["state_hash"], lines[-1].split("=")[1])
        self.assertEqual(found["shards"][0]["lsn"], self.last_lsn())

    def test_dump_has_a_line_for_each_record_in_order(self):
        done, records = self.dump()
        self.assertEqual(done.returncode, CLEAN)
        self.assertEqual([record["lsn"] for record in records], list(range(1, self.last_lsn() + 1)))
        self.assertEqual(len(run("dump", self.data).stdout.splitlines()), self.last_lsn())

    def test_dump_tells_what_came_of_each_record(self):
        _, records = self.dump()
        story = [(r["operation"], r["outcome"]["status"], r["outcome"]["replayed"]) for r in records[6:23]]
        self.assertEqual(story, [
            ("rooms_set", "OK", False), ("reserve", "OK", False), ("reserve", "SOLD_OUT", False), ("reserve", "OK", True),
            ("reserve", "KEY_REUSED", False), ("reserve", "OK", False), ("confirm", "OK", False), ("reserve", "OK", False),
            ("release", "OK", False), ("reserve", "OK", False), ("reserve", "OK", False), ("cancel", "OK", False),
            ("reserve", "NO_SUCH_PROPERTY", False), ("lease_acquire", "OK", False), ("confirm", "HOLD_EXPIRED", False),
            ("reserve", "FENCED", False), ("reserve", "TOO_LATE", False)])
        sold_out = records[8]
        self.assertEqual(sold_out["outcome"]["night"], "2026-11-25")
        self.assertEqual(sold_out["outcome"]["limit"], "TYPE")
        self.assertIn("too few rooms", sold_out["outcome"]["reason"])
        self.assertEqual(records[9]["outcome"]["original_lsn"], 8)
        self.assertEqual(records[7]["lines"], [{"room_type": 7, "rooms": 1}])
        self.assertEqual(records[7]["key"], "0a000000-0000-0000-0a00-000000000000")
        self.assertEqual(records[7]["arrival"], "2026-11-23")
        self.assertEqual(records[0]["limits"]["room_types_max"], 16)
        self.assertEqual(records[0]["time"], "2026-09-21T14:13:20.000000000Z")

    def test_dump_as_text_says_the_same(self):
        lines = run("dump", self.data).stdout.splitlines()
        self.assertIn("shard=0 lsn=9 time=2026-09-21T14:13:20.002000000Z frame=3 reserve", lines[8])
        self.assertIn(" arrival=2026-11-25 nights=2 lines_count=1 room_type=7 rooms=1 -> SOLD_OUT", lines[8])
        self.assertIn("night=2026-11-25 room_type=7 limit=TYPE", lines[8])
        self.assertIn("owner=\"desk\"", lines[19])

    def test_dump_can_leave_out_what_is_before_and_what_came_of_it(self):
        _, records = self.dump("--from-lsn", "20", "--no-replay")
        self.assertEqual(records[0]["lsn"], 20)
        self.assertEqual(len(records), self.last_lsn() - 19)
        self.assertNotIn("outcome", records[0])
        self.assertNotIn("->", run("dump", self.data, "--no-replay").stdout)

    def test_the_same_hash_comes_at_the_last_lsn_as_at_the_end(self):
        for argument in (str(self.last_lsn()), f"0:{self.last_lsn()}"):
            self.assertEqual(run("replay", self.data, "--to-lsn", argument).stdout, self.written)

    def test_replay_stops_where_it_is_told_to(self):
        hashes = set()
        for lsn in (1, 5, 9, 10, 21):
            done = run("replay", self.data, "--to-lsn", lsn)
            self.assertEqual(done.returncode, CLEAN)
            self.assertIn(f"shard=0 lsn={lsn} ", done.stdout)
            hashes.add(done.stdout.split("state_hash=")[1].split()[0])
        self.assertEqual(len(hashes), 4)  # LSN 10 is a replayed reserve, which changes nothing

    def test_an_lsn_that_was_never_written_is_not_pretended(self):
        done = run("replay", self.data, "--to-lsn", self.last_lsn() + 1)
        self.assertEqual(done.returncode, UNREADABLE)
        self.assertIn(f"the log ends at LSN {self.last_lsn()}", done.stderr)

    def test_the_calendar_is_what_the_outcomes_add_up_to(self):
        nights = {}
        stays = {}
        _, records = self.dump()
        for record in records:
            if record["outcome"]["status"] != "OK" or record["outcome"]["replayed"]:
                continue
            if record["operation"] == "reserve":
                stays[record["key"]] = record
            if record["operation"] in ("reserve", "confirm") and record["outcome"]["state"] == "CONFIRMED":
                self.add(nights, stays[record.get("reservation", record["key"])], 1)
            if record["operation"] == "cancel":
                self.add(nights, stays[record["reservation"]], -1)
        expected = sorted((key + (sold,) for key, sold in nights.items() if sold > 0))
        done = run("replay", self.data, "--calendar", self.root / "out.csv")
        self.assertEqual(done.returncode, CLEAN)
        with open(self.root / "out.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        self.assertEqual(rows[0], ["property", "room_type", "night", "sold"])
        self.assertEqual([(int(p), int(t), night, int(sold)) for p, t, night, sold in rows[1:]], expected)
        self.assertGreater(len(expected), 12)

    @staticmethod
    def add(nights, reserve, sign):
        import datetime
        arrival = datetime.date.fromisoformat(reserve["arrival"])
        for night in range(reserve["nights"]):
            key = (reserve["property"], reserve["lines"][0]["room_type"], str(arrival + datetime.timedelta(night)))
            nights[key] = nights.get(key, 0) + sign * reserve["lines"][0]["rooms"]

    def test_a_calendar_that_cannot_be_written_is_an_error(self):
        done = run("replay", self.data, "--calendar", self.root / "nowhere" / "out.csv")
        self.assertEqual(done.returncode, UNREADABLE)
        self.assertIn("cannot write", done.stderr)

    def test_output_that_does_not_arrive_is_an_error(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run([TOOL, "dump", self.data], stdout=full, stderr=subprocess.PIPE, text=True, timeout=120)
        self.assertEqual(done.returncode, UNREADABLE)

    def test_nothing_in_the_directory_is_ever_changed(self):
        before = contents(self.data)
        for arguments in (["verify"], ["verify", "--json"], ["dump"], ["dump", "--no-replay"], ["replay"]):
            run(arguments[0], self.data, *arguments[1:])
        self.assertEqual(contents(self.data), before)

    def test_a_shard_that_is_not_there_is_usage(self):
        self.assertEqual(run("dump", self.data, "--shard", "1").returncode, USAGE)
        self.assertEqual(run("replay", self.data, "--to-lsn", "1:5").returncode, USAGE)


class WhatIsThere(OnASmallLog):
    def test_is_listed_file_by_file(self):
        found = json.loads(run("info", self.data, "--json").stdout)
        shard, = found["shards"]
        files = {file["file"]: file for file in shard["files"]}
        self.assertEqual(sorted(files), sorted(path.name for path in self.shard_folder().iterdir()))
        for path in self.shard_folder().iterdir():
            self.assertEqual(files[path.name]["size"], path.stat().st_size)
        segments = [file for file in shard["files"] if file["file"].endswith(".wal")]
        self.assertEqual([file["state"] for file in segments], ["closed"] * (len(segments) - 1) + ["in use"])
        frames = frames_of(self.shard_folder())
        for file in segments:
            own = [frame for frame in frames if frame.path.name == file["file"]]
            self.assertEqual(file["frames"], len(own))
            if not own:
                continue
            self.assertEqual((file["first_frame"], file["last_frame"], file["frames"]),
                             (own[0].index, own[-1].index, len(own)))
            self.assertEqual(file["first_lsn"], own[0].first_lsn)
            self.assertEqual(file["records"], sum(frame.records_count for frame in own))
            self.assertEqual(file["used"], sum(frame.size for frame in own))
        self.assertEqual(shard["last_lsn"], self.last_lsn())
        self.assertEqual(found["format"], 1)
        meta = (self.data / "meta").read_bytes()
        self.assertEqual(found["uuid"].replace("-", ""), meta[16:32].hex())

    def test_is_counted_by_operation(self):
        shard, = json.loads(run("info", self.data, "--json").stdout)["shards"]
        _, records = self.dump("--no-replay")
        counts = {}
        for record in records:
            counts[record["operation"]] = counts.get(record["operation"], 0) + 1
        self.assertEqual(shard["operations"], counts)
        self.assertEqual(shard["limits"], records[0]["limits"])

    def test_includes_what_was_set_aside_and_what_is_being_made_and_what_is_foreign(self):
        (self.shard_folder() / "torn-0000000000000001-00003000.bin").write_bytes(b"x" * 5)
        (self.shard_folder() / "00000000000000ff.tmp").write_bytes(b"")
        (self.shard_folder() / "0000000000000001.WAL").write_bytes(b"")
        (self.shard_folder() / "not\nours").write_bytes(b"")
        shard, = json.loads(run("info", self.data, "--json").stdout)["shards"]
        states = {file["file"]: (file["state"], file["sequence"], file["size"]) for file in shard["files"]}
        self.assertEqual(states["torn-0000000000000001-00003000.bin"], ("torn tail, set aside", 1, 5))
        self.assertEqual(states["00000000000000ff.tmp"], ("being made", 255, 0))
        self.assertEqual(states["0000000000000001.WAL"], ("not Innkeep's", 0, 0))
        self.assertEqual(states["not\\x0aours"], ("not Innkeep's", 0, 0))
        done = run("info", self.data)
        self.assertEqual((done.returncode, done.stderr), (CLEAN, ""))
        self.assertIn("torn tail, set aside", done.stdout)
        self.assertIn("shards     1, with segments of 64 KiB", done.stdout)

    def test_is_told_as_far_as_it_is_good(self):
        frames = frames_of(self.shard_folder())
        victim = frames[len(frames) // 2]
        flip(victim.path, victim.offset + 130)
        before = contents(self.data)
        done = run("info", self.data)
        self.assertEqual(done.returncode, DAMAGED)
        self.assertIn(f"LSN        1 to {victim.first_lsn - 1}\n", done.stdout)
        self.assertIn(f"frame {victim.index} is missing or bad", done.stderr)
        self.assertEqual(contents(self.data), before)
        shutil.rmtree(self.shard_folder())
        done = run("info", self.data)
        self.assertIn(done.returncode, (DAMAGED, UNREADABLE))
        self.assertIn("shard-000", done.stderr)


class ThreeShards(OnASmallLog):
    shards = 3

    def test_hashes_of_shards_add_up(self):
        done = run("replay", self.data)
        self.assertEqual((done.returncode, done.stdout), (CLEAN, self.written))
        lines = done.stdout.splitlines()
        total = sum(int(line.split("state_hash=")[1], 16) for line in lines[:3])
        self.assertEqual(f"{total % 2**128:032x}", lines[3].split("=")[1])

    def test_a_bare_lsn_is_refused(self):
        done = run("replay", self.data, "--to-lsn", "5")
        self.assertEqual(done.returncode, USAGE)
        self.assertIn("3 shards", done.stderr)

    def test_each_shard_stops_at_its_own_lsn(self):
        done = run("replay", self.data, "--to-lsn", "2:7,0:12")
        lsns = [int(line.split("lsn=")[1].split()[0]) for line in done.stdout.splitlines()[:3]]
        self.assertEqual(lsns, [12, self.last_lsn(1), 7])

    def test_one_shard_can_be_dumped_alone(self):
        _, records = self.dump("--shard", "1")
        self.assertEqual({record["shard"] for record in records}, {1})
        self.assertEqual(len(records), self.last_lsn(1))

    def test_the_worst_shard_decides_the_verdict(self):
        frames = frames_of(self.shard_folder(1))
        flip(frames[20].path, frames[20].offset + 200)
        done = run("verify", self.data)
        self.assertEqual(done.returncode, DAMAGED)
        self.assertIn("shard 0: clean", done.stdout)
        self.assertIn("shard 1: DAMAGED", done.stdout)
        self.assertIn("shard 2: clean", done.stdout)

    def test_a_swapped_shard_is_noticed(self):
        os.rename(self.shard_folder(0), self.root / "aside")
        os.rename(self.shard_folder(1), self.shard_folder(0))
        os.rename(self.root / "aside", self.shard_folder(1))
        self.assertEqual(run("verify", self.data).returncode, DAMAGED)


class ALogThatSuffered(OnASmallLog):
    def test_a_damaged_last_frame_is_a_torn_tail(self):
        last = frames_of(self.shard_folder())[-1]
        flip(last.path, last.offset + 50)
        done = run("verify", self.data)
        self.assertEqual(done.returncode, TORN_TAIL, done.stdout)
        self.assertIn(f"frame {last.index}", done.stdout)
        found = json.loads(run("verify", self.data, "--json").stdout)
        self.assertEqual(found["shards"][0]["verdict"], "torn tail")
        self.assertEqual(found["shards"][0]["stop"]["frame"], last.index)
        self.assertEqual(found["shards"][0]["stop"]["offset"], last.offset)

    def test_a_damaged_middle_frame_is_damage_with_its_place_and_evidence(self):
        frames = frames_of(self.shard_folder())
        victim = frames[len(frames) // 2]
        flip(victim.path, victim.offset + 130)
        done = run("verify", self.data)
        self.assertEqual(done.returncode, DAMAGED)
        for word in (f"frame {victim.index} is missing or bad", f"offset {victim.offset}", victim.path.name, "evidence",
                     f"LSN {victim.first_lsn - 1}"):
            self.assertIn(word, done.stdout)
        shard = json.loads(run("verify", self.data, "--json").stdout)["shards"][0]
        self.assertEqual(shard["stop"]["frame"], victim.index)
        self.assertGreaterEqual(shard["evidence"]["durable_frame"], victim.index)
        for command in ("dump", "replay"):
            done = run(command, self.data)
            self.assertEqual(done.returncode, DAMAGED)
            self.assertIn("DAMAGED", done.stderr)
            self.assertIn(f"lsn={victim.first_lsn - 1} ", done.stdout)
            self.assertNotIn(f"lsn={victim.first_lsn} ", done.stdout)

    def test_damage_behind_the_lsn_asked_for_does_not_matter(self):
        frames = frames_of(self.shard_folder())
        flip(frames[50].path, frames[50].offset + 130)
        self.assertEqual(run("replay", self.data, "--to-lsn", "20").returncode, CLEAN)

    def test_a_missing_segment_is_damage(self):
        (sorted(self.shard_folder().glob("*.wal"))[1]).unlink()
        self.assertEqual(run("verify", self.data).returncode, DAMAGED)

    def test_a_missing_shard_is_said(self):
        shutil.rmtree(self.shard_folder())
        done = run("verify", self.data)
        self.assertIn(done.returncode, (DAMAGED, UNREADABLE))
        self.assertIn("shard", done.stdout + done.stderr)

    def test_flipped_bits_never_crash_and_never_change_the_verdict_to_something_else(self):
        seed = int(os.environ.get("INNKEEP_SEED", random.SystemRandom().randrange(2**32)))
        print(f"seed {seed}: rerun with INNKEEP_SEED={seed}", flush=True)
        dice = random.Random(seed)
        files = [path for path in self.data.rglob("*") if path.is_file() and path.stat().st_size > 0]
        clean = json.loads(run("verify", self.data, "--json").stdout)
        for _ in range(60):
            path = dice.choice(files)
            offset, bits = dice.randrange(path.stat().st_size), 1 << dice.randrange(8)
            flip(path, offset, bits)
            done = run("verify", self.data, "--json")
            where = f"{path} {offset} {bits}: {done}"
            self.assertIn(done.returncode, (CLEAN, TORN_TAIL, DAMAGED, UNREADABLE), where)
            self.assertNotIn("Sanitizer", done.stderr, where)
            if done.returncode == CLEAN:  # bytes that nothing depends on: the same records, then
                shard = json.loads(done.stdout)["shards"][0]
                self.assertEqual(shard["state_hash"], clean["shards"][0]["state_hash"], where)
            flip(path, offset, bits)

    def test_every_cut_of_a_segment_is_survived(self):
        path = sorted(self.shard_folder().glob("*.wal"))[1]
        whole = path.read_bytes()
        for size in (0, 1, 100, BLOCK, 2 * BLOCK, 2 * BLOCK + 64, 3 * BLOCK + 1, len(whole) - BLOCK, len(whole) - 1):
            path.write_bytes(whole[:size])
            done = run("verify", self.data)
            self.assertIn(done.returncode, (CLEAN, TORN_TAIL, DAMAGED, UNREADABLE), (size, done))
            self.assertNotIn("Sanitizer", done.stderr)


if __name__ == "__main__":
    unittest.main()
