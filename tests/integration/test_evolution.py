#!/usr/bin/env python3
"""Logs and programs of different behaviour: a replay that would answer otherwise is caught by the digests in the log."""
import json
import struct

import xxhash

import innkeep_client as ink
from innkeep_client import Status
from server import Case, Hotel, StartFailed, checksums, main, tool, tool_json

BLOCK = 4096


class Frame:
    """One frame in a segment's bytes; FORMAT.md has the offsets."""

    def __init__(self, data, offset, salt):
        self.data, self.offset, self.salt = data, offset, salt
        self.payload_size, = struct.unpack_from("<I", data, offset + 12)
        self.index, = struct.unpack_from("<Q", data, offset + 40)

    def records(self):
        """(offset in the segment, kind) of each."""
        at = self.offset + 128
        while at < self.offset + 128 + self.payload_size:
            size, kind = struct.unpack_from("<HB", self.data, at)
            yield at, kind
            at += size

    def seal(self, previous_hash):
        """As the writer does it; returns the frame's hash."""
        at = self.offset
        self.data[at + 88:at + 104] = previous_hash
        struct.pack_into("<Q", self.data, at + 104, xxhash.xxh3_64_intdigest(bytes(self.data[at:at + 104]), seed=self.salt))
        covered = bytes(self.data[at:at + 112]) + bytes(self.data[at + 128:at + 128 + self.payload_size])
        digest = xxhash.xxh3_128_intdigest(covered, seed=self.salt).to_bytes(16, "little")
        self.data[at + 112:at + 128] = digest
        return digest


class Log:
    """A shard's log, to be changed and sealed again."""

    def __init__(self, data_directory, shard=0):
        uuid = (data_directory / "meta").read_bytes()[16:32]
        self.segments = {}
        self.frames = []
        for path in (data_directory / f"shard-{shard:03}").glob("*.wal"):
            data = bytearray(path.read_bytes())
            self.segments[path] = data
            salt = xxhash.xxh3_64_intdigest(uuid + struct.pack("<QQ", shard, int(path.stem, 16)))
            self.frames += [Frame(data, offset, salt) for offset in range(2 * BLOCK, len(data), BLOCK)
                            if data[offset:offset + 4] == b"IFRM"]
        self.frames.sort(key=lambda frame: frame.index)

    def write(self):
        previous_hash = bytes(16)
        for frame in self.frames:
            previous_hash = frame.seal(previous_hash)
        for path, data in self.segments.items():
            path.write_bytes(data)
            for snapshot in [*path.parent.glob("*.snapshot"), *path.parent.glob("manifest")]:
                snapshot.unlink()  # so that the log is replayed, and not what was made of it taken on trust


class Levels(Case):
    """Level 2 is one that servers only pretend to know; it behaves as level 1 does."""

    KNOWS_2 = ("--test-engine-level", 2)

    def setUp(self):
        self.server = self.serve(shards=2)
        self.hotel = Hotel(self.server.connect(), rooms=(3,))

    def raise_level(self, *arguments):
        return tool("innkeep", "--server", self.server.listen(), *arguments)

    def restart(self, *options):
        self.server.close_connections()
        self.server.stop()
        self.server.start(*options)

    def test_are_raised_from_the_command_line_and_stay(self):
        done = self.raise_level("raise-level")
        self.assertEqual((done.returncode, done.stdout.count("engine level 1 already")), (0, 2), done.stderr)
        done = self.raise_level("raise-level", 2)
        self.assertEqual(done.returncode, 1)
        self.assertIn("UNKNOWN_LEVEL", done.stdout + done.stderr)
        self.assertEqual(self.raise_level("raise-level", 0).returncode, 1)
        self.restart(*self.KNOWS_2)
        self.assertEqual([self.server.status(shard).engine_level for shard in range(2)], [1, 1])
        done = self.raise_level("raise-level", 2)
        self.assertEqual((done.returncode, done.stdout.count("at engine level 2 from now on")), (0, 2), done.stderr)
        done = self.raise_level("raise-level", 1, "--json")
        self.assertEqual([json.loads(line)["level"] for line in done.stdout.splitlines()], [2, 2])
        client = self.server.connect()
        self.expect(client.call(self.hotel.reserve()), Status.OK)
        self.restart(*self.KNOWS_2)
        self.assertEqual([self.server.status(shard).engine_level for shard in range(2)], [2, 2])
        self.expect(self.server.connect().call(self.hotel.reserve()), Status.OK)

    def test_that_are_unknown_stop_the_start_and_the_tools_and_say_what_is_needed(self):
        self.restart(*self.KNOWS_2)
        self.assertEqual(self.raise_level("raise-level", 2).returncode, 0)
        self.server.close_connections()
        self.server.stop()
        with self.assertRaises(StartFailed) as failed:
            self.server.start()
        for text in ("raised to engine level 2", "knows levels 1 to 1", "use the version that it was raised with"):
            self.assertIn(text, failed.exception.stderr)
        done = tool("innkeep-wal", "verify", self.server.data)
        self.assertEqual(done.returncode, 4)
        self.assertIn("raised to engine level 2", done.stdout + done.stderr)
        self.server.start(*self.KNOWS_2)

    def test_are_raised_under_load_between_frames(self):
        self.restart(*self.KNOWS_2)
        client = self.server.connect()
        places = []
        for i in range(400):
            places.append(client.submit([self.hotel.reserve()]))
            if i == 200:
                places.append(client.submit([ink.raise_level(0, 2)]))
        for place in places:
            client.collect(place)
        self.restart(*self.KNOWS_2)  # replays what was written
        self.assertEqual(self.server.status(0).engine_level, 2)


class Digests(Case):
    def setUp(self):
        self.server = self.serve(shards=1)
        self.client = self.server.connect()
        self.hotel = Hotel(self.client, rooms=(3,))

    def stop(self):
        self.server.close_connections()
        self.server.stop()

    def digests(self):
        return tool_json("innkeep-wal", "dump", self.server.data, "--kind", "digest", "--json")[0]

    def test_are_written_while_serving_and_at_the_end_and_agree(self):
        for _ in range(1500):  # one a frame, as each waits for the one before
            self.client.call(self.hotel.reserve())
        self.stop()
        spans = [(digest["first_index"], digest["last_index"]) for digest in self.digests()]
        self.assertEqual(spans[0], (1, 1024))
        self.assertGreaterEqual(spans[-1][1], 1500)
        self.assertEqual([first % 1024 for first, _ in spans], [1] * len(spans))
        self.assertEqual(tool("innkeep-wal", "verify", self.server.data).returncode, 0)
        self.server.start()

    def test_that_differ_stop_the_start_and_the_verification_and_say_where(self):
        self.expect(self.client.call(self.hotel.reserve()), Status.OK)
        self.stop()
        digest, = self.digests()
        log = Log(self.server.data)
        for frame in log.frames:
            for at, kind in frame.records():
                if kind == 132:
                    frame.data[at + 50] ^= 1
        log.write()
        before = checksums(self.server.data)
        done = tool("innkeep-wal", "verify", self.server.data)
        where = f"replaying frames 1 to {digest['last_index']} gives other outcomes"
        self.assertEqual(done.returncode, 3)
        self.assertIn(where, done.stdout)
        self.assertIn(f"at LSN {digest['lsn']}", done.stdout)
        with self.assertRaises(StartFailed) as failed:
            self.server.start()
        self.assertIn(where, failed.exception.stderr)
        self.assertIn(f"lsn {digest['lsn']}", failed.exception.stderr)
        self.assertEqual({name: content for name, (_, content) in checksums(self.server.data).items()},
                         {name: content for name, (_, content) in before.items()})

    def test_catch_a_program_that_behaves_otherwise(self):
        """The same as if it did: one room more in the log than when it was answered."""
        for _ in range(5):
            self.client.call(self.hotel.reserve())
        self.stop()
        log = Log(self.server.data)
        for frame in log.frames:
            for at, kind in frame.records():
                if kind == 2:  # ROOM_TYPE_CREATE: rooms
                    struct.pack_into("<H", frame.data, at + 60, 4)
        log.write()
        self.assertIn("gives other outcomes", tool("innkeep-wal", "verify", self.server.data).stdout)
        done = tool("innkeep-wal", "what-if", self.server.data, "--rooms", "1:1=-1")  # its first side stops there as well
        self.assertIn("gives other outcomes", done.stdout + done.stderr)


if __name__ == "__main__":
    main()
