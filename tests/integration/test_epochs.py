#!/usr/bin/env python3
"""A server on a directory that was cut, or restored from a copy made while it served: what was before is there, what came after is gone,
and no token is given out a second time."""
import shutil

import innkeep_client as ink
from innkeep_client import Status
from server import Case, Hotel, Server, main, tool

SECOND = ink.SECOND
EPOCH = 2**40
SESSIONS = [bytes([number] * 16) for number in range(1, 5)]


class AnEpoch(Case):
    def setUp(self):
        self.server = self.serve(shards=1)
        self.client = self.server.connect()
        self.hotel = Hotel(self.client, rooms=(5,))
        self.early, self.late = ink.new_key(), ink.new_key()
        self.kept = self.acquire(7, 0)
        self.expect(self.client.call(self.hotel.reserve(self.early)), Status.OK)
        self.copy = self.server.data.parent / "copy"

    def acquire(self, resource, session):
        return self.expect(self.client.call(ink.lease_acquire(1, SESSIONS[session], resource, 3600 * SECOND)), Status.OK).token

    def go_on(self):
        """What will be lost."""
        self.lost = self.acquire(8, 1)
        last = self.expect(self.client.call(self.hotel.reserve(self.late)), Status.OK)
        self.server.close_connections()
        self.server.stop()
        return last.lsn

    def judge(self, server):
        self.client = client = server.connect()
        self.expect(client.call(ink.lookup(1, self.early)), Status.OK)
        self.expect(client.call(ink.lookup(1, self.late)), Status.NO_SUCH_KEY)
        self.expect(client.call(ink.lease_renew(1, 7, self.kept, 3600 * SECOND)), Status.OK)
        fenced = self.hotel.reserve(fence=(8, self.lost))
        self.expect(client.call(fenced), Status.TOKEN_INVALID)
        token = self.acquire(8, 2)
        self.assertGreater(token, EPOCH)
        self.expect(client.call(self.hotel.reserve(fence=(8, self.lost))), Status.FENCED)
        self.expect(client.call(self.hotel.reserve(fence=(8, token))), Status.OK)
        self.expect(client.call(self.hotel.reserve(self.late)), Status.OK)  # its key is free again
        server.close_connections()
        server.stop()
        done = tool("innkeep-wal", "verify", server.data)
        self.assertEqual(done.returncode, 0, done.stdout)
        server.start()

    def test_begins_behind_a_cut(self):
        keep = self.expect(self.client.call(self.hotel.reserve()), Status.OK).lsn
        self.go_on()
        shutil.copytree(self.server.data, self.copy, ignore=shutil.ignore_patterns("*.tmp"))
        done = tool("innkeep-wal", "cut", self.server.data, "--at-lsn", f"0:{keep}", "--backup", self.copy, "--yes")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("1 reservations made", done.stdout)
        self.server.start()
        self.judge(self.server)

    def test_begins_in_a_directory_restored_from_a_copy_of_a_live_one(self):
        shutil.copytree(self.server.data, self.copy, ignore=shutil.ignore_patterns("*.tmp"))
        self.go_on()
        made = self.server.data.parent / "made"
        done = tool("innkeep-wal", "restore", self.copy, made)
        self.assertEqual(done.returncode, 0, done.stderr)
        restored = Server(shards=1, data=made)
        self.enterContext(restored)
        self.judge(restored)
        self.server.start()

    def test_is_not_begun_under_a_running_server(self):
        shutil.copytree(self.server.data, self.copy, ignore=shutil.ignore_patterns("*.tmp"))
        done = tool("innkeep-wal", "cut", self.server.data, "--at-lsn", "0:2", "--backup", self.copy, "--yes")
        self.assertEqual(done.returncode, 4)
        self.assertIn("in use by another process", done.stderr)
        self.expect(self.client.call(self.hotel.reserve()), Status.OK)


if __name__ == "__main__":
    main()
