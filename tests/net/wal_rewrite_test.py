#!/usr/bin/env python3
"""innkeep-wal cut and restore: what they keep, what they take, and what they refuse.

    INNKEEP_WAL=build/dev/bin/innkeep-wal SMALL_LOG=build/dev/bin/small_log INNKEEPD=build/dev/bin/innkeepd wal_rewrite_test.py

INNKEEP_SEED=number reruns the randomised test that printed it.
"""
import fcntl
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
SERVER = os.environ["INNKEEPD"]
CLEAN, TORN_TAIL, USAGE, DAMAGED, UNREADABLE = 0, 1, 2, 3, 4
BLOCK = 4096
EPOCH = 2**40


def run(*arguments, **options):
    return subprocess.run([TOOL, *map(str, arguments)], capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL, **options)


def contents(folder):
    """All that a write would change. An empty lock file may come."""
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
            for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "lock"}


def frames_of(shard_folder):
    """(path, offset, index, first LSN, records) of each frame that lies there, by index."""
    frames = []
    for path in shard_folder.glob("*.wal"):
        data = path.read_bytes()
        for offset in range(2 * BLOCK, len(data), BLOCK):
            if data[offset:offset + 4] == b"IFRM":
                records, = struct.unpack_from("<I", data, offset + 16)
                index, = struct.unpack_from("<Q", data, offset + 40)
                lsn, = struct.unpack_from("<Q", data, offset + 56)
                frames.append((path, offset, index, lsn, records))
    return sorted(frames, key=lambda frame: frame[2])


def flip(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


class OnALog(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(dir=os.environ.get("SCRATCH"))
        cls.addClassCleanup(folder.cleanup)
        cls.original = pathlib.Path(folder.name) / "data"
        subprocess.run([SMALL_LOG, cls.original, "2"], capture_output=True, check=True, timeout=120)

    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir=os.environ.get("SCRATCH"))
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.data = self.root / "data"
        self.backup = self.root / "backup"
        shutil.copytree(self.original, self.data)
        shutil.copytree(self.original, self.backup)

    def hashes(self, data, *arguments):
        done = run("replay", data, "--json", *arguments)
        self.assertIn(done.returncode, (CLEAN, TORN_TAIL), done.stderr)
        return [shard["state_hash"] for shard in json.loads(done.stdout)["shards"]]

    def last_lsns(self, data):
        return [shard["last_lsn"] for shard in json.loads(run("verify", data, "--json").stdout)["shards"]]

    def expect_clean(self, data):
        done = run("verify", data)
        self.assertEqual(done.returncode, CLEAN, done.stdout)

    def epochs(self, data):
        return [json.loads(line) for line in run("dump", data, "--kind", "epoch", "--json").stdout.splitlines()]


class ACut(OnALog):
    def cut(self, at, *arguments):
        return run("cut", self.data, "--at-lsn", at, "--backup", self.backup, "--yes", *arguments)

    def expect_refused(self, done, *words, data=None):
        self.assertEqual(done.returncode, UNREADABLE, done.stdout + done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertEqual(contents(self.data), data or self.before)

    def test_leaves_the_state_at_its_lsn_wherever_it_lies(self):
        seed = int(os.environ.get("INNKEEP_SEED", random.randrange(2**32)))
        print(f"INNKEEP_SEED={seed} ctest --preset dev -R '^net.wal_rewrite$'", flush=True)
        pick = random.Random(seed)
        last = self.last_lsns(self.data)
        lsns = [(1, 2), (3, 4), (last[0] - 1, 1)] + [tuple(pick.randrange(1, end) for end in last) for _ in range(8)]
        for first, second in lsns:
            shutil.rmtree(self.data)
            shutil.copytree(self.original, self.data)
            expected = self.hashes(self.original, "--to-lsn", f"0:{first},1:{second}")
            done = self.cut(f"0:{first},1:{second}")
            self.assertEqual(done.returncode, CLEAN, done.stderr)
            self.assertEqual(self.hashes(self.data), expected, (first, second))
            self.assertEqual(self.last_lsns(self.data), [EPOCH, EPOCH])
            self.expect_clean(self.data)
            for shard, lsn in enumerate((first, second)):
                record = self.epochs(self.data)[shard]
                self.assertEqual((record["reason"], record["number"]), ("CUT", 1))
                self.assertEqual((record["last_lsn"], record["granted_lsn"]), (lsn, last[shard]))

    def test_says_what_is_lost_by_operation_and_in_a_hotels_terms(self):
        dumped = [json.loads(line) for line in run("dump", self.data, "--shard", "0", "--from-lsn", "21", "--json").stdout.splitlines()]
        made = [d for d in dumped if d["operation"] == "reserve" and d["outcome"]["status"] == "OK" and not d["outcome"].get("replayed")]
        done = self.cut("0:20", "--json")
        shard = json.loads(done.stdout)["shards"][0]
        self.assertEqual((shard["lost_records"], shard["lost_first_lsn"], shard["lost_last_lsn"]), (len(dumped), 21, dumped[-1]["lsn"]))
        self.assertEqual(shard["lost_by_operation"]["cancel"], sum(d["operation"] == "cancel" for d in dumped))
        self.assertEqual(shard["lost_reservations"], len(made))

    def test_leaves_a_shard_alone_that_is_not_named_and_says_where_it_stood(self):
        before = contents(self.data / "shard-001")
        done = self.cut("0:20")
        self.assertEqual(done.returncode, CLEAN, done.stderr)
        self.assertIn("shard 1: stays whole", done.stdout)
        self.assertIn("this one stood at 1:20", done.stdout)
        self.assertEqual(contents(self.data / "shard-001"), before)

    def test_after_a_cut_begins_an_epoch_behind_that_ones(self):
        self.assertEqual(self.cut("0:200").returncode, CLEAN)
        shutil.rmtree(self.backup)
        shutil.copytree(self.data, self.backup)
        self.assertEqual(self.cut("0:100").returncode, CLEAN)
        self.assertEqual(self.last_lsns(self.data)[0], 2 * EPOCH)
        self.expect_clean(self.data)

    def test_in_a_gap_is_refused_with_what_lies_around_it(self):
        self.assertEqual(self.cut("0:200").returncode, CLEAN)
        shutil.rmtree(self.backup)
        shutil.copytree(self.data, self.backup)
        self.before = contents(self.data)
        self.expect_refused(self.cut("0:201"), "LSN 201 is not in the log", f"goes on at {EPOCH} behind 200")

    def test_is_refused_where_there_is_nothing_to_cut_at(self):
        self.before = contents(self.data)
        self.expect_refused(self.cut("0:100000"), "can be read up to 367")
        self.expect_refused(self.cut("0:0"), "nothing would stay")
        done = self.cut("0:367")
        self.assertEqual((done.returncode, contents(self.data)), (CLEAN, self.before))
        self.assertIn("nothing to cut", done.stdout)
        self.assertEqual(run("cut", self.data, "--at-lsn", "0:20", "--yes").returncode, USAGE)
        self.assertEqual(run("cut", self.data, "--backup", self.backup, "--yes").returncode, USAGE)

    def test_is_refused_without_a_yes(self):
        self.before = contents(self.data)
        done = run("cut", self.data, "--at-lsn", "0:20", "--backup", self.backup)
        self.expect_refused(done, "not confirmed")
        self.assertIn("lost     347 records", done.stdout)

    def test_of_a_live_directory_is_refused(self):
        self.before = contents(self.data)
        with open(self.data / "lock", "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.expect_refused(self.cut("0:20"), "in use by another process")

    def test_is_refused_unless_the_backup_holds_everything(self):
        self.before = contents(self.data)
        shard = self.backup / "shard-000"
        path, offset, index, _, _ = frames_of(shard)[-1]
        path.write_bytes(path.read_bytes()[:offset] + bytes(path.stat().st_size - offset))  # its last frame is gone
        self.expect_refused(self.cut("0:20"), "does not hold all that is here", f"lacks frame {index}")
        path, offset, *_ = frames_of(shard)[3]
        flip(path, offset + 200)
        self.expect_refused(self.cut("0:20"), "does not hold all that is here")
        shutil.rmtree(shard)
        self.expect_refused(self.cut("0:20"), "does not hold all that is here")
        shutil.rmtree(self.backup)
        self.expect_refused(self.cut("0:20"), "backup cannot be used")
        subprocess.run([SMALL_LOG, self.backup, "2"], capture_output=True, check=True, timeout=120)
        self.expect_refused(self.cut("0:20"), "no copy of")

    def test_is_refused_where_the_backup_is_the_same_files(self):
        self.before = contents(self.data)
        shutil.rmtree(self.backup)
        shutil.copytree(self.data, self.backup, copy_function=os.link)
        self.expect_refused(self.cut("0:20"), "hard link")
        self.expect_refused(run("cut", self.data, "--at-lsn", "0:20", "--backup", self.data, "--yes"), "hard link")

    def damage(self):
        """A frame in the middle of shard 0; returns the last LSN before it."""
        path, offset, index, lsn, records = frames_of(self.data / "shard-000")[100]
        self.assertGreater(records, 0)
        flip(path, offset + 130)
        self.assertEqual(run("verify", self.data).returncode, DAMAGED)
        return lsn - 1

    def test_takes_damage_away_and_with_it_all_behind(self):
        expected = self.hashes(self.original)
        lsn = self.damage()
        self.before = contents(self.data)
        self.expect_refused(self.cut(f"0:{lsn}"), "not the same there")  # the backup is whole: that is no copy of the damage
        shutil.rmtree(self.backup)
        shutil.copytree(self.data, self.backup)
        self.expect_refused(self.cut("1:20"), "damaged behind LSN", "name it too")
        self.expect_refused(self.cut(f"0:{lsn + 1}"), "can be read up to")
        done = self.cut(f"0:{lsn}")
        self.assertEqual(done.returncode, CLEAN, done.stderr)
        self.assertIn("all that lies behind the damage, up to LSN 367", done.stdout)
        self.expect_clean(self.data)
        self.assertEqual(self.hashes(self.data), [self.hashes(self.original, "--to-lsn", f"0:{lsn},1:1")[0], expected[1]])
        self.assertEqual(self.last_lsns(self.data)[0], EPOCH)

    def test_is_told_in_the_timeline(self):
        self.assertEqual(self.cut("0:20,1:20").returncode, CLEAN)
        told = run("timeline", self.data, "--property", self.property_of_shard_0()).stdout
        self.assertIn("the log is cut behind LSN 20", told)
        self.assertIn("LSNs to 367 were given out and are void", told)

    def property_of_shard_0(self):
        return json.loads(run("dump", self.data, "--shard", "0", "--kind", "property_create", "--json").stdout.splitlines()[0])["property"]

    def test_that_was_interrupted_keeps_every_server_out(self):
        (self.data / "cutting").write_bytes(b"whatever")
        done = subprocess.run([SERVER, "--data", self.data, "--listen", "127.0.0.1:0"], capture_output=True, text=True, timeout=60)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("cut of the log in", done.stderr)
        self.before = contents(self.data)
        self.expect_refused(self.cut("0:20"), "interrupted cut")  # not by this tool: it cannot know what was to be done
        self.assertIn("between two states", run("verify", self.data).stderr)


class ARestoredDirectory(OnALog):
    def setUp(self):
        super().setUp()
        self.made = self.root / "made"

    def test_has_the_state_of_the_backup_and_a_new_epoch(self):
        before = contents(self.backup)
        done = run("restore", self.backup, self.made)
        self.assertEqual(done.returncode, CLEAN, done.stderr)
        self.assertEqual(self.hashes(self.made), self.hashes(self.backup))
        self.assertEqual(self.last_lsns(self.made), [EPOCH, EPOCH])
        self.expect_clean(self.made)
        self.assertEqual(contents(self.backup), before)
        self.assertEqual([epoch["reason"] for epoch in self.epochs(self.made)], ["RESTORE", "RESTORE"])
        self.assertFalse((self.root / "made.restoring").exists())
        self.assertEqual((self.made / "meta").read_bytes(), (self.backup / "meta").read_bytes())

    def test_goes_on_behind_what_the_original_is_said_to_have_granted(self):
        self.assertEqual(run("restore", self.backup, self.made, "--granted-lsn", f"0:{3 * EPOCH + 5}").returncode, CLEAN)
        self.assertEqual(self.last_lsns(self.made), [4 * EPOCH, EPOCH])

    def test_may_take_the_place_of_an_empty_one_and_of_no_other(self):
        self.made.mkdir()
        (self.made / "mine").write_text("mine")
        done = run("restore", self.backup, self.made)
        self.assertEqual(done.returncode, UNREADABLE)
        self.assertIn("not empty", done.stderr)
        self.assertEqual([path.name for path in self.made.iterdir()], ["mine"])
        (self.made / "mine").unlink()
        self.assertEqual(run("restore", self.backup, self.made).returncode, CLEAN)

    def test_is_not_made_from_a_damaged_backup(self):
        path, offset, *_ = frames_of(self.backup / "shard-001")[5]
        flip(path, offset + 130)
        done = run("restore", self.backup, self.made)
        self.assertEqual(done.returncode, DAMAGED if done.returncode == DAMAGED else UNREADABLE)
        self.assertIn("not whole", done.stderr)
        self.assertEqual(sorted(path.name for path in self.root.iterdir()), ["backup", "data"])

    def test_drops_the_torn_tail_of_a_copy_that_was_made_live(self):
        path, offset, index, lsn, _ = frames_of(self.backup / "shard-000")[-1]
        flip(path, offset + 100)  # the last frame was on its way
        self.assertEqual(run("verify", self.backup).returncode, TORN_TAIL)
        done = run("restore", self.backup, self.made)
        self.assertEqual(done.returncode, CLEAN, done.stderr)
        self.assertIn("torn tail", done.stderr)
        self.expect_clean(self.made)

    def test_that_was_half_made_is_named_and_never_started(self):
        half = self.root / "made.restoring"
        shutil.copytree(self.backup, half)
        (half / "meta").unlink()
        done = run("restore", self.backup, self.made)
        self.assertEqual(done.returncode, UNREADABLE)
        self.assertIn("interrupted", done.stderr)
        done = subprocess.run([SERVER, "--data", half, "--listen", "127.0.0.1:0"], capture_output=True, text=True, timeout=60)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("no meta file", done.stderr)

    def test_never_takes_a_segment_of_its_original_for_its_own(self):
        """The original went on; one of its segments ends up among the restored ones."""
        self.assertEqual(run("restore", self.backup, self.made).returncode, CLEAN)
        last = frames_of(self.data / "shard-000")[-1][0]
        # The original as it was one segment earlier is the backup of the restored directory.
        shutil.rmtree(self.backup)
        shutil.copytree(self.data, self.backup)
        for path in (self.backup / "shard-000").glob("*.wal"):
            if path.name >= last.name:
                path.unlink()
        shutil.rmtree(self.made)
        self.assertEqual(run("restore", self.backup, self.made).returncode, CLEAN)
        shutil.copy(last, self.made / "shard-000" / last.name)
        done = run("verify", self.made)
        self.assertEqual(done.returncode, DAMAGED, done.stdout)
        self.assertIn("two histories are mixed", done.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
