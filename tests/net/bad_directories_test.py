#!/usr/bin/env python3
"""Directories that are not what they should be, one row each, under every command that reads one: what is said, by which exit code, and
that nothing is ever written.

    INNKEEP_WAL=build/dev/bin/innkeep-wal SMALL_LOG=build/dev/bin/small_log INNKEEPD=build/dev/bin/innkeepd bad_directories_test.py
"""
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import unittest

import xxhash

TOOL = os.environ["INNKEEP_WAL"]
SMALL_LOG = os.environ["SMALL_LOG"]
SERVER = os.environ["INNKEEPD"]
CLEAN, TORN_TAIL, USAGE, DAMAGED, UNREADABLE = 0, 1, 2, 3, 4
BLOCK = 4096
NOBODY = 65534
META = struct.Struct("<8sII16sQQ")


def run(*arguments, wrapper=()):
    done = subprocess.run([*wrapper, TOOL, *map(str, arguments)], capture_output=True, text=True, timeout=120,
                          stdin=subprocess.DEVNULL)
    if "Sanitizer" in done.stderr or "broken contract" in done.stderr:
        raise AssertionError(done.stderr)
    return done


def start(data, *options, wrapper=(), accept_clock=True):
    """innkeepd on this directory, which is expected to refuse; one that does not is stopped, and exits 0."""
    command = [*wrapper, SERVER, "--data", data, "--listen", "127.0.0.1:0", *options]
    if accept_clock:  # the logs here have made-up times
        command.append("--accept-clock")
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               stdin=subprocess.DEVNULL)
    if process.stdout.readline():
        process.send_signal(signal.SIGTERM)
    out, said = process.communicate(timeout=60)
    if "Sanitizer" in said or "broken contract" in said:
        raise AssertionError(said)
    return subprocess.CompletedProcess(command, process.returncode, out, said)


def contents(folder):
    """All that a write would change, but for the lock: an empty file that a server makes before it looks at anything else."""
    return {str(path.relative_to(folder)): (path.lstat().st_mode, path.lstat().st_size, path.is_file() and (
                path.lstat().st_mtime_ns, path.read_bytes()))
            for path in sorted(folder.rglob("*")) if path.name != "lock"}


def segments_of(data, shard=0):
    return sorted((data / f"shard-{shard:03}").glob("*.wal"))


def frames_of(path):
    """Offsets of the frames in a segment."""
    data = path.read_bytes()
    at, offsets = 2 * BLOCK, []
    while data[at:at + 4] == b"IFRM":
        offsets.append(at)
        at += struct.unpack_from("<I", data, at + 8)[0]
    return offsets


def last_segment_of(data):
    """The last one with frames in it."""
    return [path for path in segments_of(data) if frames_of(path)][-1]


def patch(path, offset, new):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(new)


def block_of(path, offset):
    with open(path, "rb") as file:
        file.seek(offset)
        return file.read(BLOCK)


def exchange(one, other):
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


# ---- What is done to a directory ---------------------------------------------------------------------------------------------------


def make_empty(data, _):
    shutil.rmtree(data)
    data.mkdir()


def make_missing(data, _):
    shutil.rmtree(data)


def make_foreign(data, _):
    make_empty(data, _)
    (data / "letter.txt").write_text("dear innkeeper")


def make_file(data, _):
    shutil.rmtree(data)
    data.write_text("a file")


def make_newer(data, _):
    body = bytearray((data / "meta").read_bytes()[:META.size])
    struct.pack_into("<I", body, 8, 7)
    (data / "meta").write_bytes(body + xxhash.xxh3_128_intdigest(bytes(body)).to_bytes(16, "little"))


def make_newer_frame(data, _):
    """The last frame, as a newer version would have written it."""
    path = last_segment_of(data)
    offset = frames_of(path)[-1]
    uuid = (data / "meta").read_bytes()[16:32]
    salt = xxhash.xxh3_64_intdigest(uuid + struct.pack("<QQ", 0, int(path.stem, 16)))
    header = bytearray(block_of(path, offset)[:104])
    header[4] = 99
    patch(path, offset, bytes(header) + struct.pack("<Q", xxhash.xxh3_64_intdigest(bytes(header), seed=salt)))


def cut_in_half(data, _):
    path = last_segment_of(data)
    os.truncate(path, path.stat().st_size // 2)


def cut_to_nothing(data, _):
    os.truncate(segments_of(data)[1], 0)


def leave_out_a_shard(data, _):
    shutil.rmtree(data / "shard-000")


def leave_out_meta(data, _):
    (data / "meta").unlink()


def leave_out_first_segment(data, _):
    segments_of(data)[0].unlink()


def leave_out_middle_segment(data, _):
    segments_of(data)[2].unlink()


def leave_out_all_segments(data, _):
    for path in segments_of(data):
        path.unlink()


def empty_meta(data, _):
    (data / "meta").write_bytes(b"")


def swap_segments(data, _):
    exchange(segments_of(data)[1], segments_of(data)[2])


def swap_shards(data, _):
    exchange(data / "shard-000", data / "shard-001")


def segment_of_the_other_shard(data, _):
    shutil.copy2(segments_of(data, 1)[2], segments_of(data, 0)[2])


def segment_of_another_directory(data, other):
    shutil.copy2(segments_of(other)[2], segments_of(data)[2])


def first_segment_of_another_directory(data, other):
    shutil.copy2(segments_of(other)[0], segments_of(data)[0])


def stale_block_over_a_frame(data, _):
    """A write that never arrived: an older frame is still there."""
    paths = segments_of(data)
    patch(paths[3], frames_of(paths[3])[5], block_of(paths[0], frames_of(paths[0])[2]))


def misdirected_block(data, _):
    """A block of the same segment, in another one's place."""
    path = segments_of(data)[1]
    patch(path, frames_of(path)[4], block_of(path, frames_of(path)[3]))


def directory_for_a_segment(data, _):
    path = segments_of(data)[1]
    path.unlink()
    path.mkdir()


NOT_OURS = "not an Innkeep data directory"

# What is done; the exit code of a command that reads; what it says; what innkeepd says, None where it would make a new directory.
ROWS = [
    (make_missing, UNREADABLE, "No such file", None),
    (make_empty, UNREADABLE, NOT_OURS, None),
    (make_foreign, UNREADABLE, NOT_OURS, f"{NOT_OURS}.*letter.txt"),
    (make_file, UNREADABLE, "data", "data"),
    (make_newer, UNREADABLE, "newer Innkeep .format 7", "newer Innkeep .format 7"),
    (make_newer_frame, DAMAGED, "written by a newer Innkeep", "written by a newer Innkeep"),
    (empty_meta, UNREADABLE, "meta is damaged: it has the wrong size", "meta is damaged: it has the wrong size"),
    (leave_out_meta, UNREADABLE, "no meta file", "no meta file"),
    (cut_in_half, DAMAGED, "shorter than it was made", "shorter than it was made"),
    (cut_to_nothing, DAMAGED, "shorter than it was made", "shorter than it was made.*0000000000000002.wal at offset 0"),
    (leave_out_a_shard, UNREADABLE, "shard-000", "shard-000 cannot be opened, so part of this data directory is missing"),
    (leave_out_first_segment, DAMAGED, "segment 1, with which the log begins, is missing",
     "segment 1, with which the log begins, is missing"),
    (leave_out_middle_segment, DAMAGED, "the segment that begins with this frame is missing",
     "the segment that begins with this frame is missing"),
    (leave_out_all_segments, DAMAGED, "the shard has no segment", "the shard has no segment"),
    (swap_segments, DAMAGED, "renamed or swapped", "renamed or swapped"),
    (swap_shards, DAMAGED, "belongs to another shard", "belongs to another shard"),
    (segment_of_the_other_shard, DAMAGED, "belongs to another shard", "belongs to another shard"),
    (segment_of_another_directory, DAMAGED, "another data directory", "another data directory"),
    (first_segment_of_another_directory, DAMAGED, "another data directory", "another data directory"),
    (stale_block_over_a_frame, DAMAGED, "frame .*missing or bad", "0000000000000004.wal"),
    (misdirected_block, DAMAGED, "misdirected write", "misdirected write"),
    (directory_for_a_segment, UNREADABLE, "0000000000000002.wal", "0000000000000002.wal"),
]


class BadDirectories(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(dir=os.environ.get("SCRATCH"))
        cls.addClassCleanup(folder.cleanup)
        cls.good = pathlib.Path(folder.name) / "good"
        cls.other = pathlib.Path(folder.name) / "other"
        for path in (cls.good, cls.other):
            subprocess.run([SMALL_LOG, path, "2"], capture_output=True, check=True, timeout=120)
        assert len(segments_of(cls.good)) > 4

    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir=os.environ.get("SCRATCH"))
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.data = self.root / "data"

    def spoil(self, change):
        shutil.copytree(self.good, self.data)
        change(self.data, self.other)
        return contents(self.root)

    def reading_commands(self):
        """Each command that reads a directory, and whether it needs all of the log."""
        return [("info", self.data), ("verify", self.data), ("dump", self.data), ("dump", self.data, "--no-replay"),
                ("replay", self.data), ("timeline", self.data, "--property", 1), ("diff", self.data, self.good),
                ("diff", self.good, self.data), ("what-if", self.data, "--rooms", "1:7=+1")]

    def expect_nothing_written(self, before, what):
        self.assertEqual(contents(self.root), before, what)

    def test_every_reader_says_what_is_wrong_and_writes_nothing(self):
        for change, code, words, _ in ROWS:
            before = self.spoil(change)
            for arguments in self.reading_commands():
                with self.subTest(change=change.__name__, command=" ".join(map(str, arguments))):
                    done = run(*arguments)
                    said = done.stderr + (done.stdout if arguments[0] == "verify" else "")
                    self.assertEqual(done.returncode, code, done)
                    self.assertRegex(said, re.compile(words, re.S))
                    self.expect_nothing_written(before, arguments)
            self.clear()

    def test_nothing_is_restored_from_it_and_nothing_is_cut_without_a_yes(self):
        for change, _, words, _ in ROWS:
            before = self.spoil(change)
            with self.subTest(change=change.__name__):
                done = run("restore", self.data, self.root / "new")
                self.assertIn(done.returncode, (DAMAGED, UNREADABLE), done)
                self.assertRegex(done.stderr + done.stdout, re.compile(words, re.S))
                self.expect_nothing_written(before, "restore")
                done = run("cut", self.data, "--at-lsn", "0:5,1:5", "--backup", self.good)
                self.assertNotEqual(done.returncode, CLEAN, done)
                self.assertNotEqual(done.stderr, "")
                self.expect_nothing_written(before, "cut")
            self.clear()

    def test_a_server_says_what_is_wrong_and_writes_nothing(self):
        for change, _, _, words in ROWS:
            if words is None:
                continue
            before = self.spoil(change)
            with self.subTest(change=change.__name__):
                for _ in range(2):  # a second start finds the same
                    done = start(self.data)
                    self.assertEqual((done.returncode, done.stdout), (1, ""), done)
                    self.assertRegex(done.stderr, re.compile(words, re.S))
                    self.assertNotRegex(done.stderr, r"(frame|segment) 0\b")  # there is none of that number
                    self.expect_nothing_written(before, "innkeepd")
            self.clear()

    def clear(self):
        if self.data.is_dir():
            shutil.rmtree(self.data)
        else:
            self.data.unlink(missing_ok=True)


class DirectoriesThatOnlyLookBad(BadDirectories):
    """Nothing of what follows takes anything from the log."""

    def test_a_stale_frame_behind_the_end_is_nothing(self):
        expected = run("replay", self.good).stdout

        def change(data, _):
            paths = segments_of(data)
            last = last_segment_of(data)
            patch(last, frames_of(last)[-1] + BLOCK, block_of(paths[0], frames_of(paths[0])[2]))

        before = self.spoil(change)
        for command in ("verify", "replay", "info"):
            done = run(command, self.data)
            self.assertEqual(done.returncode, CLEAN, done)
        self.assertEqual(run("replay", self.data).stdout, expected)
        self.expect_nothing_written(before, "a stale frame")

    def nobody(self):
        if os.geteuid() != 0:
            return []
        wrapper = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        allowed = shutil.which("setpriv") and subprocess.run([*wrapper, TOOL, "--version"], capture_output=True,
                                                             check=False).returncode == 0
        visible = allowed and subprocess.run([*wrapper, "test", "-x", self.root.parent], check=False).returncode == 0
        if not visible:
            self.skipTest("root may write everywhere, and nobody may not run the programs or reach the files from here")
        return wrapper

    def test_a_read_only_directory_can_be_read_and_not_served(self):
        wrapper = self.nobody()
        self.spoil(lambda data, other: None)
        os.chmod(self.root, 0o755)
        for path in [self.data, *self.data.rglob("*")]:
            os.chmod(path, 0o555 if path.is_dir() else 0o444)
        before = contents(self.root)
        for arguments in self.reading_commands():
            if arguments[0] != "diff":
                self.assertEqual(run(*arguments, wrapper=wrapper).returncode, CLEAN, arguments)
        done = start(self.data, wrapper=wrapper)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done)
        self.assertRegex(done.stderr, "(?i)permission denied|read-only")
        self.expect_nothing_written(before, "read-only")
        for path in [self.data, *self.data.rglob("*")]:
            os.chmod(path, 0o755)

    def test_a_log_that_ends_long_ago_is_not_gone_on_with_unasked(self):
        before = self.spoil(lambda data, other: None)
        done = start(self.data, accept_clock=False)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done)
        self.assertRegex(done.stderr, "hours ahead of the log's last frame.*--accept-clock")
        self.expect_nothing_written(before, "the clock")

    def test_a_live_directory_can_be_read_and_not_served_twice_or_cut(self):
        self.spoil(lambda data, other: None)
        process = subprocess.Popen([SERVER, "--data", self.data, "--listen", "127.0.0.1:0", "--accept-clock"],
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        self.assertIn("ready", process.stdout.readline())
        for arguments in self.reading_commands():
            self.assertIn(run(*arguments).returncode, (CLEAN, TORN_TAIL), arguments)
        done = start(self.data)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(done.stderr, "in use|another")
        done = run("cut", self.data, "--at-lsn", "0:5,1:5", "--backup", self.good, "--yes")
        self.assertNotEqual(done.returncode, CLEAN)
        self.assertRegex(done.stderr, "in use|another|server|serv")


# A case that only lends its helpers: its tests have run under their own name.
for name in [name for name in dir(BadDirectories) if name.startswith("test_")]:
    setattr(DirectoriesThatOnlyLookBad, name, None)


if __name__ == "__main__":
    unittest.main()
