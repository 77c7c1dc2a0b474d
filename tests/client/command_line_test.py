"""The command line's contract: exit codes, what is printed where, the JSON fields. Real binaries, a real server. And two
programs that use the library against the same server.

    command_line_test.py INNKEEP INNKEEPD SCRATCH_DIR LIVE_PIPELINE CONSUMER
"""
import datetime
import json
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import uuid

INNKEEP = INNKEEPD = SCRATCH = LIVE_PIPELINE = CONSUMER = ""
KEY = "3f0c7a52-9f3e-4d1b-8a64-5f0c1d2e3a4b"
NOBODY = "127.0.0.1:1"


def innkeep(*words, server=NOBODY, environment=None):
    env = dict(os.environ, INNKEEP_SERVER=server, **(environment or {}))
    done = subprocess.run([INNKEEP, *map(str, words)], env=env, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


COMMANDS = {
    "property create": ["1"],
    "room-type create": ["1", "2", "--rooms", "3"],
    "rooms set": ["1", "2", "--from", "2026-12-01", "--to", "2026-12-02", "--rooms", "1"],
    "reserve": ["1", "2", "--arrival", "2026-12-01", "--nights", "1"],
    "confirm": ["1", KEY], "release": ["1", KEY], "cancel": ["1", KEY], "lookup": ["1", KEY],
    "barrier": [], "calendar": ["1", "--from", "2026-12-01", "--nights", "1"],
    "lease acquire": ["1", "desk", "--owner", "a", "--ttl", "5s"], "lease renew": ["1", "desk", "7", "--ttl", "5s"],
    "lease release": ["1", "desk", "7"], "lease show": ["1", "desk"], "status": [],
}


class Usage(unittest.TestCase):
    def test_wrong_words_exit_2_with_a_reason_and_send_nothing(self):
        reserve = ["reserve", "1", "2", "--arrival", "2026-12-01", "--nights", "1"]
        wrong = [
            [], ["frob"], ["lease"], ["lease", "frob", "1", "2"], ["--frob", "status"], ["property"],
            ["property", "create"],
            ["property", "create", "x"], ["property", "create", "-1"], ["property", "create", "18446744073709551616"],
            ["property", "create", "1", "2"], ["property", "create", "1", "--business-date", "2026-02-29"],
            ["room-type", "create", "1", "2"], ["room-type", "create", "1", "4294967296", "--rooms", "1"],
            ["room-type", "create", "1", "2", "--rooms", "65536"], ["room-type", "create", "1", "2", "--rooms", ""],
            ["rooms", "set", "1", "2", "--from", "2026-12-01", "--rooms", "1"],
            ["rooms", "set", *COMMANDS["rooms set"], "--weekdays", "mon,"],
            ["rooms", "set", *COMMANDS["rooms set"], "--weekdays", "monday"],
            ["rooms", "set", *COMMANDS["rooms set"], "--weekdays", ""],
            ["reserve", "1"], ["reserve", "1", "2"], ["reserve", "1", "2", "--arrival", "2026-12-01"],
            ["reserve", "1", "2", "--arrival", "2026-13-01", "--nights", "1"],
            ["reserve", "1", "2", "--arrival", "20261201", "--nights", "1"],
            [*reserve, "--rooms", "1.5"], [*reserve, "--hold", "15x"], [*reserve, "--hold", ""],
            [*reserve, "--within", "-5s"],
            [*reserve, "--key", "abc"], [*reserve, "--fence", "desk"], [*reserve, "--fence", ":1"],
            [*reserve, "--fence", "desk:x"],
            ["confirm", "1"], ["confirm", "1", "not-a-key"], ["lookup", "1", KEY, "extra"], ["barrier", "x"],
            ["calendar", "1", "--from", "2026-12-01"], ["lease", "acquire", "1", "desk", "--ttl", "5s"],
            ["lease", "acquire", "1", "desk", "--owner", "a"],
            ["lease", "acquire", "1", "desk", "--owner", "x" * 33, "--ttl", "5s"],
            ["lease", "acquire", "1", "", "--owner", "a", "--ttl", "5s"],
            ["lease", "renew", "1", "desk", "--ttl", "5s"],
            ["lease", "show", "1", "18446744073709551616"], ["status", "1"], ["--timeout", "0", "status"],
            ["--server", "localhost", "status"], ["--server", "unix:", "status"], ["status", "--server", "host:99999"],
            ["status", "--rooms", "1"],
        ]
        for words in wrong:
            with self.subTest(words=words):
                code, out, err = innkeep(*words)
                self.assertEqual(code, 2, (out, err))
                self.assertIn("innkeep", err)
                self.assertEqual(out, "")

    def test_every_command_has_help_with_an_example(self):
        for command in COMMANDS:
            with self.subTest(command=command):
                code, out, _ = innkeep(*command.split(), "--help")
                self.assertEqual(code, 0)
                self.assertIn(f"Example: innkeep {command}", out.replace("\n", " "))
                self.assertIn("--json", out)
        code, out, _ = innkeep("--help")
        self.assertEqual(code, 0)
        for command in COMMANDS:
            self.assertIn(command.split()[0], out)

    def test_version(self):
        self.assertRegex(innkeep("--version")[1], r"^innkeep \d+\.\d+\.\d+\n$")

    def test_every_command_without_a_server_exits_3_and_says_what_to_do(self):
        for command, words in COMMANDS.items():
            with self.subTest(command=command):
                code, _, err = innkeep(*command.split(), *words)
                self.assertEqual(code, 3)
                self.assertIn(f"no server at {NOBODY}: Connection refused; is innkeepd running?", err)

    def test_without_a_server_json_says_so_too(self):
        code, out, _ = innkeep("--json", "status")
        answer = json.loads(out)
        self.assertEqual((code, answer["status"], answer["lsn"]), (3, "NO_ANSWER", None))
        self.assertIn("is innkeepd running", answer["error"])

    def test_the_option_wins_over_the_environment(self):
        self.assertIn("unix:/nowhere", innkeep("--server", "unix:/nowhere", "status")[2])
        self.assertIn("unix:/nowhere", innkeep("status", "--server", "unix:/nowhere")[2])
        self.assertIn(NOBODY, innkeep("status")[2])


class Server:
    """A real innkeepd on a port of its own choosing."""

    def __init__(self, *options):
        self.directory = tempfile.mkdtemp(dir=SCRATCH)
        with open(self.directory + "/stderr", "w", encoding="utf-8") as errors:
            self.process = subprocess.Popen(
                [INNKEEPD, "--data", self.directory + "/data", "--listen", "127.0.0.1:0", "--shards", "2",
                 "--memory", "128M", "--segment-size", "4M", *options],
                stdout=subprocess.PIPE, stderr=errors, text=True)
        ready, _, _ = select.select([self.process.stdout], [], [], 60)
        line = self.process.stdout.readline() if ready else ""
        found = re.match(r"innkeepd ready listen=(\S+) shards=2", line)
        if not found:
            with open(self.directory + "/stderr", encoding="utf-8") as errors:
                raise RuntimeError(f"no server: {line!r} {errors.read()}")
        self.address = found.group(1)

    def stop(self):
        self.process.terminate()
        try:
            code = self.process.wait(timeout=30)
        finally:
            self.process.kill()
            self.process.stdout.close()
            shutil.rmtree(self.directory, ignore_errors=True)
        return code


class Live(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.next_property = 1

    @classmethod
    def tearDownClass(cls):
        assert cls.server.stop() == 0

    def setUp(self):
        Live.next_property += 1
        self.property = Live.next_property
        self.run_(0, "property", "create", self.property, "--business-date", "2026-12-01")
        self.run_(0, "room-type", "create", self.property, 3, "--rooms", 2)

    def run_(self, expected, *words):
        code, out, err = innkeep(*words, server=self.server.address)
        self.assertEqual(code, expected, (words, out, err))
        return out

    def json_(self, expected, *words):
        code, out, err = innkeep("--json", *words, server=self.server.address)
        self.assertEqual(code, expected, (words, out, err))
        lines = out.splitlines()
        self.assertEqual(len(lines), 1, out)
        answer = json.loads(lines[0])
        for field in ("status", "shard", "lsn", "original_lsn", "replayed", "log_time", "log_time_text", "key"):
            self.assertIn(field, answer)
        return answer

    def reserve(self, expected, *more):
        return self.json_(expected, "reserve", self.property, 3, "--arrival", "2026-12-24", "--nights", 1, *more)

    def test_a_reserve_prints_its_key_first_and_the_key_finds_it(self):
        out = self.run_(0, "reserve", self.property, 3, "--arrival", "2026-12-24", "--nights", 2,
                        "--reference", 2**64 - 1)
        first, second = out.splitlines()
        key = re.fullmatch(r"key ([0-9a-f-]{36})", first).group(1)
        self.assertTrue(second.startswith("confirmed: "), second)
        found = self.json_(0, "lookup", self.property, key)
        self.assertEqual((found["what"], found["state"], found["arrival"], found["nights"], found["rooms"],
                          found["key"]),
                         ("reservation", "confirmed", "2026-12-24", 2, 1, key))
        self.assertEqual(found["external_reference"], 2**64 - 1)

    def test_json_prints_the_key_on_stderr_before_and_in_the_object(self):
        code, out, err = innkeep("--json", "reserve", self.property, 3, "--arrival", "2026-12-24", "--nights", 1,
                                 server=self.server.address)
        self.assertEqual(code, 0)
        self.assertEqual(err, f"key {json.loads(out)['key']}\n")

    def test_a_refusal_says_which_night_and_which_limit(self):
        self.reserve(0, "--rooms", 2)
        out = self.run_(1, "reserve", self.property, 3, "--arrival", "2026-12-23", "--nights", 2, "--rooms", 2)
        self.assertIn(f"refused: SOLD_OUT: property {self.property}, room type 3, night 2026-12-24: 0 of 2 rooms left "
                      "(limit: room type)", out)
        answer = self.reserve(1)
        self.assertEqual((answer["status"], answer["night"], answer["room_type"], answer["available"], answer["limit"]),
                         ("SOLD_OUT", "2026-12-24", 3, 0, "room type"))
        early = self.json_(1, "reserve", self.property, 3, "--arrival", "2026-11-30", "--nights", 1)
        self.assertEqual((early["status"], early["night"]), ("BEFORE_BUSINESS_DATE", "2026-11-30"))

    def test_the_same_key_books_once(self):
        key = str(uuid.uuid4())
        first = self.reserve(0, "--key", key)
        again = self.reserve(0, "--key", key)
        self.assertEqual((first["replayed"], again["replayed"], again["original_lsn"]), (False, True, first["lsn"]))
        reused = self.reserve(1, "--key", key, "--rooms", 2)
        self.assertEqual((reused["status"], reused["operation"], reused["original_lsn"]),
                         ("KEY_REUSED", "reserve", first["lsn"]))
        calendar = self.json_(0, "calendar", self.property, 3, "--from", "2026-12-24", "--nights", 1)
        self.assertEqual(calendar["types"][0]["nights"][0], {"night": "2026-12-24", "sellable": 2, "sold": 1, "held": 0, "available": 1})

    def test_an_exact_retry_of_a_refusal_is_replayed_and_a_late_one_never_books(self):
        self.reserve(0, "--rooms", 2)
        refused = self.reserve(1, "--within", "300ms")
        retry = ["--key", refused["key"], "--not-after", refused["not_after"]]
        again = self.reserve(1, *retry)
        self.assertEqual((again["status"], again["replayed"]), ("SOLD_OUT", True))
        time.sleep(0.5)
        self.run_(0, "rooms", "set", self.property, 3, "--from", "2026-12-24", "--to", "2026-12-24", "--rooms", 9)
        self.assertEqual(self.reserve(1, *retry)["status"], "TOO_LATE")

    def test_hold_confirm_cancel_release(self):
        held = self.reserve(0, "--hold", "15m")
        self.assertEqual((held["state"], held["hold_deadline_ns"] - held["log_time"]), ("held", 15 * 60 * 10**9))
        confirmed = self.json_(0, "confirm", self.property, held["key"])
        self.assertEqual((confirmed["state"], confirmed["version"], confirmed["reservation"]),
                         ("confirmed", 2, held["key"]))
        self.assertNotEqual(confirmed["key"], held["key"])
        conflict = self.json_(1, "release", self.property, held["key"])
        self.assertEqual((conflict["status"], conflict["state"]), ("STATE_CONFLICT", "confirmed"))
        change = str(uuid.uuid4())
        cancelled = self.json_(0, "cancel", self.property, held["key"], "--key", change)
        self.assertEqual((cancelled["state"], cancelled["key"]), ("cancelled", change))
        self.assertTrue(self.json_(0, "cancel", self.property, held["key"], "--key", change)["replayed"])
        other = self.reserve(0, "--hold", "1h30m")
        self.assertEqual(self.json_(0, "release", self.property, other["key"])["state"], "released")

    def test_rooms_set_takes_weekdays(self):
        self.run_(0, "rooms", "set", self.property, 3, "--from", "2026-12-21", "--to", "2026-12-27",
                  "--weekdays", "SAT,sun", "--rooms", 9)
        answer = self.json_(0, "calendar", self.property, "--from", "2026-12-21", "--nights", 7)
        self.assertEqual([n["sellable"] for n in answer["types"][0]["nights"]], [2, 2, 2, 2, 2, 9, 9])

    def test_a_calendar_of_many_types_follows_its_pages(self):
        for room_type in range(10, 30):
            self.run_(0, "room-type", "create", self.property, room_type, "--rooms", 5)
        answer = self.json_(0, "calendar", self.property, "--from", "2026-12-01", "--nights", 900)
        self.assertGreater(answer["pages"], 1)
        self.assertEqual([t["room_type"] for t in answer["types"]], [3, *range(10, 30)])
        self.assertEqual({len(t["nights"]) for t in answer["types"]}, {900})
        text = self.run_(0, "calendar", self.property, "--from", "2026-12-01", "--nights", 10)
        self.assertEqual(len(text.splitlines()), 211)

    def test_a_lease_fences_writes(self):
        granted = self.json_(0, "lease", "acquire", self.property, "desk", "--owner", "alice", "--ttl", "1m")
        self.assertEqual((granted["owner"], granted["state"], granted["ttl_ns"], granted["token"]),
                         ("alice", "live", 60 * 10**9, granted["lsn"]))
        same = self.json_(0, "lease", "acquire", self.property, "desk", "--owner", "alice", "--ttl", "90", "--session",
                          granted["session"])
        self.assertEqual((same["token"], same["ttl_ns"]), (granted["token"], 90 * 10**9))
        other = self.json_(1, "lease", "acquire", self.property, "desk", "--owner", "bob", "--ttl", "5s")
        self.assertEqual((other["status"], other["owner"]), ("LEASE_HELD", "alice"))
        token = granted["token"]
        self.assertEqual(self.json_(0, "lease", "renew", self.property, "desk", token, "--ttl", "5m")["token"], token)
        self.reserve(0, "--fence", f"desk:{token}")
        fenced = self.reserve(1, "--fence", f"desk:{token - 1}")
        self.assertEqual((fenced["status"], fenced["token"]), ("FENCED", token))
        self.assertEqual(self.json_(0, "lease", "release", self.property, "desk", token)["state"], "released")
        self.assertEqual(self.reserve(1, "--fence", f"desk:{token}")["status"], "LEASE_RELEASED")
        self.assertEqual(self.json_(0, "lease", "show", self.property, "desk")["state"], "released")
        # A number is taken as it is; "innkeep" is the known answer of PROTOCOL.md.
        self.assertEqual(self.json_(1, "lease", "show", self.property, "7")["resource"], 7)
        self.assertEqual(self.json_(1, "lease", "show", self.property, "innkeep")["resource"], 0xc6534031ff14f7a0)

    def test_bad_content_is_refused_precisely(self):
        cases = {
            "ZERO_NIGHTS": ["reserve", self.property, 3, "--arrival", "2026-12-24", "--nights", 0],
            "ZERO_ROOMS": ["reserve", self.property, 3, "--arrival", "2026-12-24", "--nights", 1, "--rooms", 0],
            "TOO_MANY_ROOMS": ["reserve", self.property, 3, "--arrival", "2026-12-24", "--nights", 1, "--rooms", 40000],
            "ZERO_KEY": ["reserve", self.property, 3, "--arrival", "2026-12-24", "--nights", 1, "--key",
                         "00000000-0000-0000-0000-000000000000"],
            "ZERO_PROPERTY": ["property", "create", 0],
            "ALREADY_EXISTS": ["property", "create", self.property],
            "NO_SUCH_PROPERTY": ["reserve", 999999, 3, "--arrival", "2026-12-24", "--nights", 1],
            "NO_SUCH_ROOM_TYPE": ["reserve", self.property, 99, "--arrival", "2026-12-24", "--nights", 1],
            "BEYOND_HORIZON": ["reserve", self.property, 3, "--arrival", "2036-12-24", "--nights", 1],
            "DEADLINE_TOO_FAR": ["reserve", self.property, 3, "--arrival", "2026-12-24", "--nights", 1,
                                 "--within", "1h"],
            "NO_SUCH_KEY": ["lookup", self.property, KEY],
            "NO_SUCH_RESERVATION": ["cancel", self.property, KEY],
            "ZERO_TTL": ["lease", "acquire", self.property, "x", "--owner", "a", "--ttl", "0s"],
            "REVERSED_RANGE": ["rooms", "set", self.property, 3, "--from", "2026-12-24", "--to", "2026-12-23",
                               "--rooms", 1],
        }
        for status, words in cases.items():
            with self.subTest(status=status):
                self.assertEqual(self.json_(1, *words)["status"], status)
                self.assertIn(f"refused: {status}: ", self.run_(1, *words))

    def test_programs_of_the_library_work_against_the_server(self):
        for program in (LIVE_PIPELINE, CONSUMER):
            done = subprocess.run([program, self.server.address], capture_output=True, text=True, timeout=120,
                                  check=False)
            self.assertEqual(done.returncode, 0, (program, done.stdout, done.stderr))

    def test_barrier_moves_every_shard(self):
        code, out, _ = innkeep("--json", "barrier", server=self.server.address)
        answers = [json.loads(line) for line in out.splitlines()]
        self.assertEqual((code, [a["shard"] for a in answers]), (0, [0, 1]))
        one = self.json_(0, "barrier", self.property)
        self.assertGreaterEqual(one["log_time"], answers[one["shard"]]["log_time"])
        text = datetime.datetime.fromisoformat(one["log_time_text"][:26] + "+00:00")
        self.assertAlmostEqual(text.timestamp(), one["log_time"] / 1e9, places=3)

    def test_status_shows_every_shard_and_sums_the_hashes(self):
        code, out, _ = innkeep("--json", "status", "--hash", server=self.server.address)
        *shards, total = [json.loads(line) for line in out.splitlines()]
        self.assertEqual((code, [s["shard"] for s in shards], total["shard"]), (0, [0, 1], None))
        self.assertEqual(sum(int(s["state_hash"], 16) for s in shards) % 2**128, int(total["state_hash"], 16))
        self.assertNotEqual(int(total["state_hash"], 16), 0)
        for field in ("lsn", "properties", "reservations_confirmed", "memory_bytes", "commit_p50_ns", "commit_p99_ns",
                      "alarm", "shortest_ttl_ns", "limits", "uuid"):
            self.assertIn(field, shards[0])
        text = self.run_(0, "status")
        for word in ("shard 0 of 2", "shard 1 of 2", "commit latency", "lease alarm", "memory"):
            self.assertIn(word, text)
        self.assertNotIn("state hash", text)


class Broken(unittest.TestCase):
    """A server that takes requests and never answers: what is known then, and what is said."""

    def setUp(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(8)
        self.upstream = Server()
        self.threads = []
        self.relayed = 0
        thread = threading.Thread(target=self.serve, daemon=True)
        thread.start()

    def tearDown(self):
        self.listener.close()
        self.upstream.stop()

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.relay, args=(client,), daemon=True).start()

    def relay(self, client):
        """Passes on hello; from the first other request on nothing comes back."""
        host, port = self.upstream.address.rsplit(":", 1)
        server = socket.create_connection((host, int(port)))
        with client, server:
            while True:
                request = client.recv(65536)
                if not request:
                    return
                server.sendall(request)
                if request[16] != 81:
                    self.relayed += 1
                    server.recv(65536)
                    return
                client.sendall(server.recv(65536))

    def address(self):
        return "127.0.0.1:%d" % self.listener.getsockname()[1]

    def test_a_lost_answer_is_unknown_and_the_key_settles_it(self):
        innkeep("property", "create", 1, "--business-date", "2026-12-01", server=self.upstream.address)
        innkeep("room-type", "create", 1, 3, "--rooms", 2, server=self.upstream.address)
        words = ["reserve", 1, 3, "--arrival", "2026-12-24", "--nights", 1, "--key", KEY]
        code, out, err = innkeep("--no-retry", *words, server=self.address())
        self.assertEqual((code, out), (3, f"key {KEY}\n"))
        self.assertIn("outcome unknown", err)
        self.assertIn(f"innkeep lookup 1 {KEY}", err)
        code, out, _ = innkeep("--json", "--timeout", "400ms", *words, server=self.address())
        answer = json.loads(out)
        self.assertEqual((code, answer["status"], answer["key"]), (3, "UNKNOWN", KEY))
        self.assertGreater(self.relayed, 2, "retries are on by default")
        code, out, _ = innkeep("--json", "lookup", 1, KEY, server=self.upstream.address)
        self.assertEqual((code, json.loads(out)["state"]), (0, "confirmed"))
        code, out, _ = innkeep("--json", *words, server=self.upstream.address)
        self.assertEqual((code, json.loads(out)["replayed"]), (0, True))


if __name__ == "__main__":
    INNKEEP, INNKEEPD, SCRATCH, LIVE_PIPELINE, CONSUMER = sys.argv[1:6]
    del sys.argv[1:6]
    unittest.main(verbosity=1)
