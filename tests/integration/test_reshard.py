#!/usr/bin/env python3
"""A data directory over another number of shards: the same state, the same answers, no token twice."""
import shutil

import innkeep_client as ink
from innkeep_client import Status
from server import Case, Hotel, Server, StartFailed, checksums, main, tool, tool_json

SECOND = ink.SECOND
EPOCH = 2**40
PROPERTIES = range(1, 13)
SESSION = bytes([7] * 16)


class Resharding(Case):
    def setUp(self):
        self.server = self.serve(shards=2)
        self.client = self.server.connect()
        self.keys = {}
        self.tokens = {}
        for number in PROPERTIES:
            hotel = Hotel(self.client, property=number, rooms=(3, 1))
            self.keys[number] = [ink.new_key() for _ in range(5)]
            for index, key in enumerate(self.keys[number]):
                hold = 0 if index % 2 else 600 * SECOND
                self.client.call(hotel.reserve(key, offset=index % 3, nights=2, hold=hold))
            self.tokens[number] = self.client.call(ink.lease_acquire(number, SESSION, 5, 600 * SECOND)).token
        self.expect(self.client.call(ink.reserve(99, ink.new_key(), 1, ink.today(), 1)), Status.NO_SUCH_PROPERTY)
        self.out = self.server.data.parent / "out"

    def seen(self, client):
        """What the world can see of every reservation and lease, times and places in the log apart."""
        found = {}
        for number in PROPERTIES:
            for key in self.keys[number]:
                result = client.call(ink.lookup(number, key))
                found[number, key] = (result.status, result.state, result.arrival, result.version, result.rooms)
            lease = client.call(ink.lease_show(number, 5))
            found[number] = (lease.status, lease.token, lease.state)
            found[number, "nights"] = client.call(ink.calendar(number, ink.today(), 10)).types
        return found

    def reshard(self, shards, *arguments):
        return tool("innkeep-wal", "reshard", self.server.data, self.out, "--shards", shards, *arguments)

    def stop(self):
        self.server.close_connections()
        self.server.stop()

    def test_keeps_the_state_whatever_the_number(self):
        before = self.seen(self.client)
        self.stop()
        whole = tool_json("innkeep-wal", "replay", self.server.data, "--json")[0][0]["state_hash"]
        old = {name: content for name, (_, content) in checksums(self.server.data).items()}
        for shards in (1, 2, 3, 8):
            done = self.reshard(shards)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(f"state_hash={whole}, as before", done.stdout)
            with Server(shards=None, data=self.out, defaults=False) as server:
                self.assertEqual(server.shards, shards)
                client = server.connect()
                self.assertEqual(self.seen(client), before)
                for number in PROPERTIES:
                    self.expect(client.call(ink.lease_renew(number, 5, self.tokens[number], 600 * SECOND)), Status.OK)
                    token = self.expect(client.call(ink.lease_acquire(number, SESSION, 6, 60 * SECOND)), Status.OK).token
                    self.assertGreater(token, EPOCH)
                    again = client.call(ink.reserve(number, self.keys[number][1], 1, ink.today() + 1, 2))
                    self.assertTrue(again.replayed, again)
            verified = tool("innkeep-wal", "verify", self.out)
            self.assertEqual(verified.returncode, 0, verified.stdout)
            shutil.rmtree(self.out)
        self.assertEqual({name: content for name, (_, content) in checksums(self.server.data).items()}, old)

    def test_twice_begins_a_second_epoch_and_a_third_start_reads_it_all(self):
        self.stop()
        self.assertEqual(self.reshard(3).returncode, 0)
        with Server(shards=None, data=self.out, defaults=False) as server:
            client = server.connect()
            self.expect(client.call(ink.lease_acquire(1, SESSION, 6, 60 * SECOND)), Status.OK)
            server.close_connections()
            server.kill()
            server.start()
            self.assertTrue(all(lsn > EPOCH for lsn in server.lsns), server.lsns)

    def test_of_what_was_resharded_before_is_the_same_again(self):
        before = self.seen(self.client)
        self.stop()
        self.assertEqual(self.reshard(3).returncode, 0)
        again = self.server.data.parent / "again"
        done = tool("innkeep-wal", "reshard", self.out, again, "--shards", 2)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"goes on at LSN {2 * EPOCH}", done.stdout)
        with Server(shards=None, data=again, defaults=False) as server:
            self.assertEqual(self.seen(server.connect()), before)

    def test_of_a_live_directory_is_refused_and_so_is_a_target_in_use(self):
        done = self.reshard(3)
        self.assertEqual(done.returncode, 4)
        self.assertIn("in use by another process", done.stderr)
        self.stop()
        self.out.mkdir()
        (self.out / "mine").write_text("mine")
        done = self.reshard(3)
        self.assertEqual(done.returncode, 4)
        self.assertIn("not empty", done.stderr)
        self.assertEqual(tool("innkeep-wal", "reshard", self.server.data, self.out).returncode, 2)
        self.assertEqual(self.reshard(0).returncode, 2)
        self.assertEqual(self.reshard(65).returncode, 2)

    def test_without_its_snapshots_is_no_log_that_a_server_starts_on(self):
        self.stop()
        self.assertEqual(self.reshard(2).returncode, 0)
        for path in self.out.rglob("*.snapshot"):
            path.unlink()
        with self.assertRaises(StartFailed) as failed:
            with Server(shards=None, data=self.out, defaults=False):
                pass
        self.assertIn("EPOCH record names another last LSN", failed.exception.stderr)


if __name__ == "__main__":
    main()
