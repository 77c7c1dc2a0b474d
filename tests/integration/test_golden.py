#!/usr/bin/env python3
"""Data directories that earlier programs left, kept as text in golden/: each is read, replayed to the same state, dumped with the same
fields, served, and left by that as it was up to there. golden_directories.py makes further ones."""
import json
import pathlib
import tempfile
import time

import golden_directories as golden
import innkeep_client as ink
from innkeep_client import Status
from server import TEST_DIR, Case, Server, checksums, main, tool, tool_json


class Golden(Case):
    def directories(self):
        """(name, a fresh copy of the directory, what was read from it when it was made)"""
        found = golden.names()
        self.assertIn("format-1-log", found)
        self.assertIn("format-1-snapshots", found)
        for name in found:
            with tempfile.TemporaryDirectory(prefix="innkeep.", dir=TEST_DIR) as folder:
                data = pathlib.Path(folder) / name  # so that every failure tells which
                golden.unpack((golden.FOLDER / f"{name}.hex").read_text(), data)
                yield data, json.loads((golden.FOLDER / f"{name}.json").read_text())

    def expect_all_of(self, old, new, where):
        """Printers may say more than they did, and nothing else."""
        if not isinstance(old, dict):
            self.assertEqual(new, old, where)
            return
        for name, value in old.items():
            self.assertIn(name, new, where)
            self.expect_all_of(value, new[name], f"{where}.{name}")

    def test_the_text_holds_all_of_a_directory(self):
        for data, _ in self.directories():
            again = data.parent / "again"
            golden.unpack(golden.pack(data), again)
            self.assertEqual({name: content for name, (_, content) in checksums(again).items()},
                             {name: content for name, (_, content) in checksums(data).items()})

    def test_each_is_clean_and_keeps_its_promises(self):
        for data, _ in self.directories():
            before = checksums(data)
            for command in ("info", "verify"):
                done = tool("innkeep-wal", command, data)
                self.assertEqual(done.returncode, 0, done)
                self.assertRegex(done.stderr, r"\A(shard \d: begins at the snapshot of frame .*\n)*\Z", done)
            self.assertEqual(checksums(data), before)

    def test_each_replays_to_the_state_that_it_had(self):
        for data, expected in self.directories():
            found = golden.read(data)
            self.assertEqual(found["state_hash"], expected["state_hash"])
            self.assertEqual(found["shards"], expected["shards"])

    def test_each_is_dumped_with_the_fields_and_outcomes_that_it_had(self):
        for data, expected in self.directories():
            records = golden.read(data)["records"]
            self.assertEqual(len(records), len(expected["records"]))
            for old, new in zip(expected["records"], records):
                self.expect_all_of(old, new, f"LSN {old['lsn']}")

    def test_the_whole_log_holds_every_kind_of_record(self):
        kinds = {record["operation"]
                 for record in json.loads((golden.FOLDER / "format-1-log.json").read_text())["records"]}
        self.assertLessEqual({"property_create", "room_type_create", "rooms_set", "reserve", "confirm", "release", "cancel",
                              "lease_acquire", "lease_renew", "lease_release", "barrier", "config", "recovered",
                              "commit_latency", "epoch", "digest"}, kinds)

    def test_each_is_served_and_goes_on(self):
        for data, expected in self.directories():
            server = Server("--accept-clock", data=data, shards=None, defaults=False)
            self.addCleanup(server.clean_up)
            server.start()
            for lsn, shard in zip(server.lsns, expected["shards"]):
                self.assertGreater(lsn, shard["lsn"])
            with ink.Connection(server.address) as client:
                for record in expected["records"]:
                    if record["operation"] != "reserve" or record["outcome"]["state"] != "CONFIRMED":
                        continue
                    key = bytes.fromhex(record["key"].replace("-", ""))
                    self.expect(client.call(ink.lookup(record["property"], key)), Status.OK,
                                original_lsn=record["outcome"]["original_lsn"] or record["lsn"])
                for shard in range(server.shards):
                    self.expect(client.call(ink.barrier_of_shard(shard)), Status.OK)
            time.sleep(0.3)
            server.kill()
            server.check_stderr()
            upto = ",".join(f"{shard['shard']}:{shard['lsn']}" for shard in expected["shards"])
            (found,), code = tool_json("innkeep-wal", "replay", data, "--json", "--to-lsn", upto)
            self.assertEqual((code, found["state_hash"]), (0, expected["state_hash"]))
            self.assertEqual(tool("innkeep-wal", "verify", data).returncode, 0)


if __name__ == "__main__":
    main()
