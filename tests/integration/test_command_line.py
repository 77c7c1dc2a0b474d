#!/usr/bin/env python3
"""`innkeep`, as scripts use it: exit codes, the fields of --json, and the key that is printed before anything is
sent."""
import datetime
import json
import os
import select
import socket
import struct
import subprocess
import time
import uuid

import innkeep_client as ink
from innkeep_client import Op, Status
from server import BIN, TROUBLE, Case, main, tool

DONE, REFUSED, USAGE, UNKNOWN = 0, 1, 2, 3
EVERY_REPLY = {"status", "shard", "lsn", "original_lsn", "replayed", "log_time", "key"}
MUTATION_FIELDS = {"night", "room_type", "available", "version", "state", "limit", "operation", "hold_deadline_ns",
                   "token"}
LEASE_FIELDS = {"token", "deadline_ns", "ttl_ns", "commit_p99_ns", "state", "owner"}
LOOKUP_FIELDS = {"what", "state", "outcome_operation", "outcome_status", "nights", "arrival", "version",
                 "hold_deadline_ns", "external_reference", "room_type", "rooms", "lines_count"}
STATUS_FIELDS = {"uptime_ns", "memory_bytes", "shards", "engine_level", "limits", "properties", "room_types",
                 "reservations_held",
                 "reservations_confirmed", "reservations_ended", "outcomes", "leases_live", "leases_ended",
                 "shortest_ttl_ns",
                 "commit_p50_ns", "commit_p99_ns", "alarm", "alarm_factor", "frames", "records", "log_bytes",
                 "frame_index",
                 "segment_sequence", "connections", "connections_max", "requests", "refused_overload", "state_hash",
                 "uuid", "log_padding_bytes", "log_stalls", "log_depth", "log_depth_highest", "log_depth_max",
                 "log_kernel_workers", "frame_p50_ns", "frame_p99_ns", "frame_p999_ns", "frame_max_ns",
                 "segments_recycled", "segments_deleted", "snapshot_lsn", "snapshot_wall_ns", "snapshot_bytes",
                 "snapshot_log_bytes", "snapshots_taken", "snapshots_failed", "snapshots_kept", "snapshot_running",
                 "snapshot_written_bytes", "snapshot_total_bytes"}
ARRIVAL = "2026-12-24"


class Shell(Case):
    def setUp(self):
        self.server = self.serve()

    def run_text(self, *arguments, code=DONE):
        done = tool("innkeep", "--server", self.server.listen(), *arguments)
        self.assertNotRegex(done.stderr, TROUBLE)
        self.assertEqual(done.returncode, code, f"{arguments}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def run_json(self, *arguments, code=DONE):
        """The one object that it prints."""
        done = tool("innkeep", "--server", self.server.listen(), "--json", *arguments)
        self.assertNotRegex(done.stderr, TROUBLE)
        self.assertEqual(done.returncode, code, f"{arguments}: {done.stdout}{done.stderr}")
        objects = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(len(objects), 1, done.stdout)
        self.assertLessEqual(EVERY_REPLY, objects[0].keys())
        return objects[0]

    def make_hotel(self, rooms=20):
        self.run_json("property", "create", 1, "--business-date", "2026-12-01")
        self.run_json("room-type", "create", 1, 3, "--rooms", rooms)

    def reserve(self, *arguments, code=DONE, nights=2):
        return self.run_json("reserve", 1, 3, "--arrival", ARRIVAL, "--nights", nights, *arguments, code=code)


class EveryCommand(Shell):
    def test_creating_what_is_there_is_refused(self):
        made = self.run_json("property", "create", 1, "--business-date", "2026-12-01")
        self.assertLessEqual(MUTATION_FIELDS, made.keys())
        self.assertEqual((made["status"], made["replayed"], made["original_lsn"], made["shard"]), ("OK", False, 0, 0))
        self.assertEqual(self.run_json("property", "create", 1, code=REFUSED)["status"], "ALREADY_EXISTS")
        self.assertGreater(self.run_json("room-type", "create", 1, 3, "--rooms", 5)["lsn"], made["lsn"])
        self.assertEqual(self.run_json("room-type", "create", 1, 3, "--rooms", 5, code=REFUSED)["status"],
                         "ALREADY_EXISTS")
        self.assertEqual(self.run_json("room-type", "create", 2, 3, "--rooms", 5, code=REFUSED)["status"],
                         "NO_SUCH_PROPERTY")

    def test_a_property_begins_today_unless_told_otherwise(self):
        days = {datetime.date.today().isoformat()}
        self.run_json("property", "create", 1)
        self.run_json("room-type", "create", 1, 1, "--rooms", 1)
        found = self.run_json("calendar", 1, "--from", min(days), "--nights", 1)["business_date"]
        self.assertIn(found, days | {datetime.date.today().isoformat()})

    def test_rooms_are_set_by_range_and_weekday(self):
        self.make_hotel()
        done = self.run_json("rooms", "set", 1, 3, "--from", "2026-12-21", "--to", "2026-12-27", "--weekdays",
                             "fri,sat", "--rooms", 18)
        self.assertEqual((done["status"], done["room_type"]), ("OK", 3))
        self.run_json("rooms", "set", 1, 3, "--from", "2026-12-22", "--to", "2026-12-22", "--rooms", 7)
        found = self.run_json("calendar", 1, 3, "--from", "2026-12-21", "--nights", 7)
        self.assertEqual([night["sellable"] for night in found["types"][0]["nights"]], [20, 7, 20, 20, 18, 18, 20])
        self.assertEqual(found["types"][0]["nights"][0], {"night": "2026-12-21", "sellable": 20, "sold": 0, "held": 0,
                                                          "available": 20})

    def test_a_hold_goes_its_way_to_a_cancellation(self):
        self.make_hotel()
        held = self.reserve("--hold", "15m", "--reference", 12345)
        key = held["key"]
        self.assertEqual((held["status"], held["state"], held["version"], held["room_type"]), ("OK", "held", 1, 3))
        self.assertEqual(held["hold_deadline_ns"], held["log_time"] + 900 * ink.SECOND)
        confirmed = self.run_json("confirm", 1, key, "--expected-version", 1)
        self.assertEqual((confirmed["state"], confirmed["version"], confirmed["reservation"]), ("confirmed", 2, key))
        self.assertNotEqual(confirmed["key"], key)
        self.assertEqual(self.run_json("release", 1, key, code=REFUSED)["status"], "STATE_CONFLICT")
        found = self.run_json("lookup", 1, key)
        self.assertLessEqual(LOOKUP_FIELDS, found.keys())
        self.assertEqual((found["what"], found["state"], found["version"], found["nights"], found["arrival"],
                          found["rooms"], found["external_reference"], found["original_lsn"]),
                         ("reservation", "confirmed", 2, 2, ARRIVAL, 1, 12345, held["lsn"]))
        self.assertEqual(self.run_json("cancel", 1, key, "--expected-version", 1, code=REFUSED)["status"],
                         "VERSION_CONFLICT")
        self.assertEqual(self.run_json("cancel", 1, key)["state"], "cancelled")
        other = self.reserve("--hold", "1h")["key"]
        self.assertEqual(self.run_json("release", 1, other)["state"], "released")
        self.assertEqual(self.run_json("lookup", 1, uuid.uuid4(), code=REFUSED)["status"], "NO_SUCH_KEY")

    def test_a_refusal_names_night_and_limit(self):
        self.make_hotel(2)
        self.reserve("--rooms", 1)
        refused = self.reserve("--rooms", 2, code=REFUSED)
        self.assertEqual((refused["status"], refused["night"], refused["room_type"], refused["available"]),
                         ("SOLD_OUT", ARRIVAL, 3, 1))
        self.assertRegex(refused["limit"], "type")
        self.assertRegex(self.run_text("reserve", 1, 3, "--arrival", ARRIVAL, "--nights", 1, "--rooms", 2,
                                       code=REFUSED),
                         f"SOLD_OUT.*{ARRIVAL}.*1 of 2")

    def test_the_same_key_again_books_nothing_twice(self):
        self.make_hotel()
        key = str(uuid.uuid4())
        first = self.reserve("--key", key)
        again = self.reserve("--key", key, "--within", "30s")
        self.assertEqual((again["replayed"], again["original_lsn"], again["key"]), (True, first["lsn"], key))
        reused = self.reserve("--key", key, "--rooms", 2, code=REFUSED)
        self.assertEqual((reused["status"], reused["original_lsn"]), ("KEY_REUSED", first["lsn"]))
        self.assertRegex(reused["operation"], "(?i)reserve")
        night = self.run_json("calendar", 1, 3, "--from", ARRIVAL, "--nights", 1)["types"][0]["nights"][0]
        self.assertEqual(night["sold"], 1)

    def test_within_sets_the_deadline(self):
        self.make_hotel()
        self.assertEqual(self.reserve("--within", "2h", code=REFUSED)["status"], "DEADLINE_TOO_FAR")
        before = time.time_ns()
        done = self.reserve("--within", "5m")
        self.assertLess(abs(done["not_after"] - before - 300 * ink.SECOND), 20 * ink.SECOND)

    def test_leases_are_taken_kept_shown_and_given_back(self):
        self.make_hotel()
        session = str(uuid.uuid4())
        taken = self.run_json("lease", "acquire", 1, 77, "--owner", "alice", "--ttl", "60s", "--session", session)
        self.assertLessEqual(LEASE_FIELDS, taken.keys())
        token = taken["token"]
        self.assertEqual((token, taken["owner"], taken["state"], taken["ttl_ns"]),
                         (taken["lsn"], "alice", "live", 60 * ink.SECOND))
        self.assertEqual(self.run_json("lease", "acquire", 1, 77, "--owner", "bob", "--ttl", "5s",
                                       code=REFUSED)["status"], "LEASE_HELD")
        same = self.run_json("lease", "acquire", 1, 77, "--owner", "alice", "--ttl", "60s", "--session", session)
        self.assertEqual(same["token"], token)
        self.assertEqual(self.reserve("--fence", f"77:{token}")["status"], "OK")
        self.assertEqual(self.run_json("lease", "renew", 1, 77, token, "--ttl", "90s")["ttl_ns"], 90 * ink.SECOND)
        self.assertEqual(self.run_json("lease", "show", 1, 77)["owner"], "alice")
        self.assertEqual(self.run_json("lease", "release", 1, 77, token)["state"], "released")
        self.assertEqual(self.reserve("--fence", f"77:{token}", code=REFUSED)["status"], "LEASE_RELEASED")
        self.assertEqual(self.run_json("lease", "show", 1, 78, code=REFUSED)["status"], "NO_SUCH_LEASE")

    def test_a_barrier_is_of_a_property_or_of_all_shards(self):
        one = self.run_json("barrier", 2)
        self.assertEqual((one["status"], one["shard"]), ("OK", 1))
        done = tool("innkeep", "--server", self.server.listen(), "--json", "barrier")
        self.assertEqual([json.loads(line)["shard"] for line in done.stdout.splitlines()], [0, 1])

    def test_status_tells_each_shard_and_the_hash_on_request(self):
        self.make_hotel()
        self.reserve()
        done = tool("innkeep", "--server", self.server.listen(), "--json", "status", "--hash")
        self.assertEqual(done.returncode, DONE)
        shards = {each["shard"]: each for each in map(json.loads, done.stdout.splitlines())}
        for shard in (0, 1):
            self.assertLessEqual(STATUS_FIELDS | EVERY_REPLY, shards[shard].keys())
        self.assertEqual((shards[0]["properties"], shards[0]["reservations_confirmed"], shards[1]["properties"]),
                         (1, 1, 0))
        total = sum(int(shards[shard]["state_hash"], 16) for shard in (0, 1)) % 2**128
        self.assertEqual(total, self.server.state_hash())
        self.assertEqual(int(shards[None]["state_hash"], 16), total)
        text = self.run_text("status")
        for word in ("lsn", "log time", "memory", "p50", "p99", "alarm", "connections"):
            self.assertIn(word, text)
        self.assertNotIn(f"{total:032x}", text)

    def test_commands_speak_to_people_without_json(self):
        for arguments in (["property", "create", 1], ["room-type", "create", 1, 3, "--rooms", 2],
                          ["calendar", 1, "--from", datetime.date.today(), "--nights", 3], ["barrier", 1],
                          ["lease", "acquire", 1, 5, "--owner", "a", "--ttl", "1m"]):
            self.assertTrue(self.run_text(*arguments).strip())


    def test_every_command_explains_itself(self):
        for command in ("property create", "room-type create", "rooms set", "reserve", "confirm", "release", "cancel",
                        "lookup", "barrier",
                        "calendar", "lease acquire", "lease renew", "lease release", "lease show", "status"):
            self.assertRegex(self.run_text(*command.split(), "--help"), f"Usage: innkeep {command}")
        self.assertRegex(self.run_text("--help"), "Usage: innkeep")


class ExitCodes(Shell):
    def test_wrong_usage_exits_2_and_reaches_no_server(self):
        key = uuid.uuid4()
        before = self.server.status().requests
        for arguments in ([], ["bogus"], ["property"], ["property", "create"], ["property", "create", "x"],
                          ["property", "create", 1, "--business-date", "yesterday"], ["room-type", "create", 1, 3],
                          ["room-type", "create", 1, 3, "--rooms", -1], ["rooms", "set", 1, 3, "--rooms", 5],
                          ["rooms", "set", 1, 3, "--from", ARRIVAL, "--to", ARRIVAL, "--rooms", 5, "--weekdays",
                           "fri,noday"],
                          ["reserve", 1], ["reserve", 1, 3],
                          ["reserve", 1, 3, "--arrival", "2026-13-01", "--nights", 1],
                          ["reserve", 1, 3, "--arrival", ARRIVAL, "--nights", "two"],
                          ["reserve", 1, 3, "--arrival", ARRIVAL, "--nights", 1, "--hold", "soon"],
                          ["reserve", 1, 3, "--arrival", ARRIVAL, "--nights", 1, "--key", "nonsense"],
                          ["reserve", 1, 3, "--arrival", ARRIVAL, "--nights", 1, "--fence", "5"],
                          ["confirm", 1], ["confirm", 1, "nonsense"], ["lookup", 1, key, "more"], ["calendar", 1],
                          ["lease"], ["lease", "acquire", 1, 5], ["lease", "renew", 1, 5, "--ttl", "5s"],
                          ["lease", "acquire", 1, 5, "--owner", "x" * 33, "--ttl", "5s"], ["status", "--bogus"]):
            for form in ([], ["--json"]):
                with self.subTest(arguments=arguments, form=form):
                    self.assertTrue(self.run_text(*form, *arguments, code=USAGE))
        self.assertLessEqual(self.server.status().requests - before, 4)

    def test_no_server_is_no_answer(self):
        self.server.kill()
        for arguments in (["barrier", 1], ["status"], ["lookup", 1, uuid.uuid4()], ["property", "create", 1]):
            self.run_text(*arguments, "--timeout", "1s", code=UNKNOWN)
            said = self.run_json(*arguments, "--timeout", "1s", code=UNKNOWN)
            self.assertNotEqual(said["status"], "OK")

    def test_a_server_that_does_not_answer_leaves_the_outcome_unknown(self):
        self.make_hotel()
        key = str(uuid.uuid4())
        self.server.pause()
        said = self.reserve("--key", key, "--within", "1s", "--timeout", "2s", code=UNKNOWN)
        self.assertNotIn(said["status"], Status.__members__)
        self.server.resume()
        self.assertIn(self.run_json("lookup", 1, key, code=REFUSED)["status"], ("NO_SUCH_KEY",))


class FakeServer(Case):
    """Against a server of our own, which can look at the client in the very moment when its command comes, and lose
    replies."""

    def answer(self, connection, operation, body):
        """A reply with one OK result."""
        result = struct.pack("<IHHHHIQQQ", 40 + len(body), 0, 0, 0, 0, 0, 1, 0, time.time_ns()) + body
        header = struct.pack("<IIBBHIQ", ink.MAGIC, 32 + len(result), operation, 1, ink.FLAG_REPLY, 1, self.correlation)
        connection.sendall(ink.reseal(bytes(8) + header + result))

    def next_item(self, connection):
        """The operation and the first item of the client's next message."""
        data = b""
        while len(data) < 32 or len(data) < struct.unpack_from("<I", data, 12)[0]:
            piece = connection.recv(65536)
            if not piece:
                return None, b""
            data += piece
        self.correlation, = struct.unpack_from("<Q", data, 24)
        return data[16], data[32:]

    def shake_hands_and_take_reserve(self, connection):
        """The reserve that arrives behind the handshake (and behind barriers, should it ask for the time by them)."""
        connection.settimeout(20)
        for _ in range(10):
            operation, item = self.next_item(connection)
            if operation == Op.HELLO:
                self.answer(connection, operation, struct.pack(ink.HELLO_BODY[1], 1, 1, 0, 1, 131072, 4096, 4096, 1000,
                                                               600 * ink.SECOND, bytes(range(16)), time.time_ns()))
            elif operation == Op.BARRIER:
                self.answer(connection, operation, b"")
            else:
                break
        self.assertEqual(operation, Op.RESERVE)
        return item

    def start_reserve(self, listener, *options):
        listener.settimeout(20)
        process = subprocess.Popen([BIN / "innkeep", "--server", "127.0.0.1:%d" % listener.getsockname()[1], "reserve",
                                    "1", "3", "--arrival", ARRIVAL, "--nights", "2", "--timeout", "20s", *options],
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_the_key_is_printed_before_the_reserve_is_sent(self):
        for options in ([], ["--json"]):
            with socket.create_server(("127.0.0.1", 0)) as listener:
                process = self.start_reserve(listener, "--no-retry", *options)
                with listener.accept()[0] as connection:
                    item = self.shake_hands_and_take_reserve(connection)
                    readable = select.select([process.stdout], [], [], 0)[0]
                    printed = os.read(process.stdout.fileno(), 4096).decode() if readable else ""
            self.assertIn(str(uuid.UUID(bytes=item[16:32])), printed)
            self.assertEqual(process.wait(timeout=30), UNKNOWN)  # it was sent and never answered

    def test_a_lost_reply_is_asked_for_again_under_the_same_key(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            process = self.start_reserve(listener, "--json")
            with listener.accept()[0] as connection:
                first = self.shake_hands_and_take_reserve(connection)
            with listener.accept()[0] as connection:
                again = self.shake_hands_and_take_reserve(connection)
                self.answer(connection, Op.RESERVE, struct.pack(ink.MUTATION_BODY[1], 0, 3, 0, 1, 2, 0, 0, 0, 0, 0, 0))
                self.assertEqual(process.wait(timeout=30), DONE)
        self.assertEqual(again[:32] + again[48:], first[:32] + first[48:])


if __name__ == "__main__":
    main()
