#!/usr/bin/env python3
"""innkeep-wal timeline and dump's conditions, on a race whose times are made up: so the output is the same in each run, to the byte.

    INNKEEP_WAL=build/dev/bin/innkeep-wal SMALL_LOG=build/dev/bin/small_log wal_timeline_test.py

INNKEEP_GOLDEN=write renews the expected texts in tests/net/timeline/ after a deliberate change; INNKEEP_SEED=number reruns the
randomised test that printed it.
"""
import datetime
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
GOLDEN = pathlib.Path(__file__).parent / "timeline"
CLEAN, TORN_TAIL, USAGE, DAMAGED, UNREADABLE = 0, 1, 2, 3, 4
NIGHT = ["--property", "1", "--room-type", "101", "--night", "2026-11-28"]
BLOCK = 4096


def run(*arguments):
    return subprocess.run([TOOL, *map(str, arguments)], capture_output=True, text=True, timeout=120)


def key(number):
    word = struct.pack("<Q", number).hex()
    return f"{word[:8]}-{word[8:12]}-{word[12:]}-{word[:4]}-{word[4:]}"


def frame_offsets(path):
    data = path.read_bytes()
    return [at for at in range(2 * BLOCK, len(data), BLOCK) if data[at:at + 4] == b"IFRM"]


class OnARace(unittest.TestCase):
    story = ["race"]
    shards = "1"

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(dir=os.environ.get("SCRATCH"))
        cls.addClassCleanup(folder.cleanup)
        cls.root = pathlib.Path(folder.name)
        cls.data = cls.root / "data"
        subprocess.run([SMALL_LOG, cls.data, cls.shards, *cls.story], capture_output=True, check=True, timeout=120)

    def copy(self):
        folder = tempfile.TemporaryDirectory(dir=os.environ.get("SCRATCH"))
        self.addCleanup(folder.cleanup)
        data = pathlib.Path(folder.name) / "data"
        shutil.copytree(self.data, data)
        return data

    def good(self, *arguments):
        done = run(*arguments)
        self.assertEqual((done.returncode, done.stderr), (CLEAN, ""), arguments)
        return done.stdout

    def expect_golden(self, name, *arguments):
        found = self.good(*arguments)
        if os.environ.get("INNKEEP_GOLDEN") == "write":
            (GOLDEN / name).write_text(found)
        self.assertEqual(found, (GOLDEN / name).read_text())

    def events(self, *arguments):
        return [json.loads(line) for line in self.good("timeline", self.data, "--json", *arguments).splitlines()]

    def lsns(self, *arguments):
        return [json.loads(line)["lsn"] for line in self.good("dump", self.data, "--json", *arguments).splitlines()]


class ATimeline(OnARace):
    def test_of_a_night_reads_as_it_should(self):
        self.expect_golden("night.txt", "timeline", self.data, *NIGHT)

    def test_of_a_reservation_reads_as_it_should(self):
        self.expect_golden("key.txt", "timeline", self.data, "--property", "1", "--key", key(50), "--full-keys")

    def test_of_a_resource_reads_as_it_should(self):
        self.expect_golden("resource.txt", "timeline", self.data, "--property", "1", "--resource", "101")

    def test_of_a_property_reads_as_it_should(self):
        self.expect_golden("property.txt", "timeline", self.data, "--property", "1")

    def test_fits_a_wide_terminal(self):
        for line in self.good("timeline", self.data, *NIGHT).splitlines():
            self.assertLessEqual(len(line), 142, line)
            self.assertEqual(line, line.rstrip())

    def test_is_in_order_though_ends_have_no_record(self):
        events = self.events(*NIGHT)
        times = [event["time_ns"] for event in events]
        self.assertEqual(times, sorted(times))
        self.assertEqual([event["lsn"] for event in events if event["lsn"]], sorted(event["lsn"] for event in events if event["lsn"]))
        self.assertEqual([event["event"] for event in events if event["lsn"] is None], ["lease_ran_out", "hold_ran_out"])

    def test_says_when_a_lease_ran_out_though_it_was_renewed_once(self):
        events = self.events(*NIGHT)
        ran_out, = [event for event in events if event["event"] == "lease_ran_out"]
        renewed, = [event for event in events if event["event"] == "lease_renew"]
        self.assertEqual(ran_out["time_ns"], renewed["time_ns"] + 2_000_000_000)
        self.assertEqual((ran_out["who"], ran_out["token"], ran_out["durable_by"]), ("client-A", 8, None))

    def test_names_who_fenced_whom_off(self):
        fenced, = [e for e in self.events(*NIGHT) if e["said"].startswith("FENCED")]
        self.assertEqual((fenced["who"], fenced["token"]), ("client-A", 8))
        self.assertEqual(fenced["record"]["outcome"]["token"], 11)
        self.assertIn("client-B took token 11 at 14:13:24.018", fenced["said"])

    def test_says_by_which_frame_an_event_was_durable(self):
        events = self.events(*NIGHT)
        frames = {}
        for path in sorted((self.data / "shard-000").glob("*.wal")):
            data = path.read_bytes()
            for at in frame_offsets(path):
                index, = struct.unpack_from("<Q", data, at + 40)
                time_ns, durable = struct.unpack_from("<QQ", data, at + 64)
                frames[index] = (time_ns, durable)
        for event in events:
            if event["frame"] is None:
                continue
            shown = [index for index in sorted(frames) if frames[index][1] >= event["frame"]]
            if not shown:
                self.assertIsNone(event["durable_by"])
                continue
            self.assertEqual(event["durable_by"]["frame"], shown[0])
            self.assertEqual(event["durable_by"]["time_ns"], frames[shown[0]][0])
        self.assertIsNone(events[-1]["durable_by"])
        self.assertIsNotNone(events[0]["durable_by"])

    def test_keeps_to_the_range_asked_for_and_still_knows_what_was_before(self):
        whole = self.events(*NIGHT)
        fenced, = [event for event in whole if event["said"].startswith("FENCED")]
        for first, last in ((["--from-lsn", 13], ["--to-lsn", 13]), (["--from-time", fenced["time"]], ["--to-time", fenced["time_ns"]])):
            self.assertEqual(self.events(*NIGHT, *first, *last), [fenced])
        self.assertEqual(self.events(*NIGHT, "--to-lsn", 13) + self.events(*NIGHT, "--from-lsn", 14), whole)

    def test_of_a_change_s_key_is_that_of_its_reservation(self):
        own = self.events("--property", "1", "--key", key(55))
        named = self.events("--property", "1", "--key", key(50))
        self.assertEqual(own, named)
        self.assertEqual([e["event"] for e in own if e.get("booking") == key(50)], ["reserve", "hold_ran_out", "confirm"])

    def test_leaves_other_nights_and_other_leases_out(self):
        bookings = {event.get("booking") for event in self.events(*NIGHT)}
        self.assertNotIn(key(53), bookings)
        self.assertNotIn(key(54), bookings)
        events = self.events("--property", "1", "--room-type", "7", "--night", "2026-11-28")
        self.assertNotIn("lease_acquire", {event["event"] for event in events})

    def test_of_nothing_is_no_error(self):
        self.assertEqual([e["event"] for e in self.events("--property", "2")], ["server_started"] * 2)
        self.assertIn("Property 1, room type 9", self.good("timeline", self.data, "--property", "1", "--room-type", "9"))

    def test_of_a_damaged_log_tells_what_is_good_and_says_the_rest(self):
        data = self.copy()
        path, at = [(path, at) for path in sorted((data / "shard-000").glob("*.wal")) for at in frame_offsets(path)][-4]
        with open(path, "r+b") as file:
            file.seek(at + 130)
            file.write(b"\xff")
        before = {str(p): p.stat().st_mtime_ns for p in data.rglob("*")}
        done = run("timeline", data, *NIGHT)
        self.assertEqual(done.returncode, DAMAGED)
        self.assertIn("DAMAGED", done.stderr)
        self.assertIn("FENCED", done.stdout)
        self.assertNotIn("cancel", done.stdout)
        self.assertEqual({str(p): p.stat().st_mtime_ns for p in data.rglob("*")}, before)


class WhatComesAfter(OnARace):
    story = ["after"]

    def test_of_a_confirmed_hold_is_no_running_out(self):
        events = self.events("--property", "1", "--key", key(72))
        self.assertEqual([event["event"] for event in events if event.get("booking")], ["reserve", "confirm"])

    def test_of_a_lease_that_was_live_when_the_server_stopped_is_a_new_term(self):
        events = [event for event in self.events("--property", "1", "--resource", "101") if event["event"] != "server_started"]
        self.assertEqual([event["event"] for event in events], ["lease_acquire", "lease_extended", "lease_ran_out"])
        self.assertGreater(events[1]["time_ns"], events[0]["time_ns"] + 5_000_000_000)  # its first term was over by then
        self.assertEqual(events[2]["time_ns"], events[1]["time_ns"] + 2_000_000_000)

    def test_of_weekends_concerns_no_other_day(self):
        self.assertEqual(self.lsns("--night", "2026-11-28", "--kind", "rooms_set"), [7])
        self.assertEqual(self.lsns("--night", "2026-12-06", "--kind", "rooms_set"), [7])
        self.assertEqual(self.lsns("--night", "2026-12-04", "--kind", "rooms_set"), [])

    def test_of_nights_that_differ_otherwise_is_a_line_each(self):
        self.expect_golden("diff_after.txt", "diff", self.data, "--lsn", 6)
        self.expect_golden("diff_before.txt", "diff", self.data, "--lsn", 14, "--lsn", 6)

    def test_of_a_refusal_is_counted_once_though_it_was_asked_for_twice(self):
        found = json.loads(self.good("what-if", self.data, "--json", "--rooms", "1:7=+1"))
        self.assertEqual({name: found["room_types"][0][name] for name in ("refused", "gained", "gained_holds", "lost")},
                         {"refused": 1, "gained": 1, "gained_holds": 1, "lost": 0})


class FlippedBits(OnARace):
    def test_never_crash_and_never_make_another_story(self):
        seed = int(os.environ.get("INNKEEP_SEED", random.SystemRandom().randrange(2**32)))
        print(f"seed {seed}: rerun with INNKEEP_SEED={seed}", flush=True)
        dice = random.Random(seed)
        data = self.copy()
        whole = self.good("timeline", data, *NIGHT).splitlines()
        log = sorted(path for path in data.rglob("*.wal"))
        for _ in range(25):
            path = dice.choice(log + [data / "meta"])
            bytes_ = bytearray(path.read_bytes())
            used = max((at for at in range(len(bytes_)) if bytes_[at]), default=0) + 1
            offset, bit = dice.randrange(used), 1 << dice.randrange(8)
            bytes_[offset] ^= bit
            path.write_bytes(bytes_)
            where = f"{path} {offset} {bit}"
            for arguments in (["timeline", data, *NIGHT], ["info", data], ["diff", data, self.data], ["verify", data, "--every-record"],
                              ["what-if", data, "--rooms", "1:101=+1"], ["dump", data, "--night", "2026-11-28"]):
                done = run(*arguments)
                self.assertIn(done.returncode, (CLEAN, TORN_TAIL, DAMAGED, UNREADABLE), (where, done))
                self.assertNotIn("Sanitizer", done.stderr, where)
                if done.returncode != CLEAN:
                    self.assertNotEqual(done.stderr + done.stdout, "", where)
                elif arguments[0] == "timeline":
                    self.assertEqual(done.stdout.splitlines(), whole, where)
            bytes_[offset] ^= bit
            path.write_bytes(bytes_)


class Conditions(OnARace):
    def test_of_dump_read_as_they_should(self):
        self.expect_golden("dump_refused.txt", "dump", self.data, "--property", "1", "--refused")

    def test_of_dump_select_what_they_say(self):
        self.assertEqual(self.lsns("--kind", "room_type_create,lease_renew"), [5, 6, 7, 9])
        self.assertEqual(self.lsns("--kind", "reserve", "--refused"), [13, 14, 22])
        self.assertEqual(self.lsns("--resource", 101), [8, 9, 10, 11, 12, 13, 19, 20, 21, 22])
        self.assertEqual(self.lsns("--resource", 101, "--kind", "reserve"), [12, 13, 19, 20, 22])
        self.assertEqual(self.lsns("--key", key(50)), [12, 18])
        self.assertEqual(self.lsns("--key", key(58).upper()), [23])
        self.assertEqual(self.lsns("--night", "2026-11-29", "--room-type", 101), [7, 12, 13, 14, 18, 19, 20, 23])
        self.assertEqual(self.lsns("--night", "2026-11-28", "--room-type", 7), [5, 16])
        self.assertEqual(self.lsns("--property", 2), [])
        self.assertEqual(self.lsns("--from-lsn", 5, "--to-lsn", 7), [5, 6, 7])
        self.assertEqual(self.lsns("--from-time", "2026-09-21T14:13:24.018Z", "--to-time", "2026-09-21T14:13:24.12Z"),
                         list(range(11, 17)))
        self.assertEqual(self.lsns("--to-time", 1790000000001000000), [1, 2, 3, 4, 5, 6])
        self.assertEqual(self.lsns("--to-time", 0), [])

    def test_that_cannot_be_are_usage(self):
        for arguments in (["timeline", "x"], ["timeline", "x", "--property", "0"], ["timeline", "x", "--property", "1", "--night", "x"],
                          ["timeline", "x", "--property", "1", "--night", "2026-02-30"], ["timeline", "--property", "1"],
                          ["timeline", "x", "--property", "1", "--key", "12"], ["timeline", "x", "--property", "1", "--kind", "reserve"],
                          ["timeline", "x", "--property", "1", "--key", "00000000-0000-0000-0000-000000000000"],
                          ["dump", "x", "--kind", "reserv"], ["dump", "x", "--kind", "reserve,"], ["dump", "x", "--kind", ""],
                          ["dump", "x", "--refused", "--no-replay"], ["dump", "x", "--night", "2026-11-28", "--no-replay"],
                          ["dump", "x", "--from-time", "yesterday"], ["dump", "x", "--from-lsn", "5", "--to-lsn", "4"],
                          ["dump", "x", "--from-time", "5", "--to-time", "4"], ["dump", "x", "--resource", "0"],
                          ["dump", "x", "--resource", ""], ["dump", "x", "--room-type", "4294967296"]):
            done = run(*arguments)
            self.assertEqual((done.returncode, done.stdout), (USAGE, ""), arguments)
            self.assertNotEqual(done.stderr, "")

    def test_are_explained_with_examples(self):
        for command in ("info", "timeline", "dump", "replay", "verify", "diff", "what-if"):
            done = run(command, "--help")
            self.assertEqual(done.returncode, CLEAN)
            self.assertIn(f"innkeep-wal {command} ./data", done.stdout)

    def test_of_replay_stop_at_a_time(self):
        at = json.loads(self.good("replay", self.data, "--json", "--to-time", "2026-09-21T14:13:24.118Z"))
        self.assertEqual(at["shards"][0]["lsn"], 12)
        self.assertEqual(at["state_hash"], json.loads(self.good("replay", self.data, "--json", "--to-lsn", 12))["state_hash"])


class Differences(OnARace):
    def test_between_two_moments_read_as_they_should(self):
        self.expect_golden("diff.txt", "diff", self.data, "--lsn", 12)
        self.expect_golden("diff_none.txt", "diff", self.data, self.copy())

    def differences(self, *arguments):
        return [json.loads(line) for line in self.good("diff", "--json", *arguments).splitlines()]

    def test_turn_round_with_the_sides(self):
        there = self.differences(self.data, "--lsn", 8, "--lsn", 16)
        back = self.differences(self.data, "--lsn", 16, "--lsn", 8)
        turned = [dict(item, before=item["after"], after=item["before"]) for item in back]
        self.assertEqual(sorted(there, key=str), sorted(turned, key=str))
        self.assertGreater(len(there), 4)

    def test_are_none_where_nothing_changed(self):
        self.assertEqual(self.differences(self.data, self.data), [])
        self.assertEqual(self.differences(self.data, "--lsn", 19, "--lsn", 20), [])  # a replayed reserve
        self.assertEqual(self.differences(self.data, "--lsn", 16, "--time", "2026-09-21T14:13:24.120Z", "--lsn", 16), [])

    def test_that_no_query_shows_are_hinted_at(self):
        found = self.good("diff", self.data, "--lsn", 13, "--lsn", 14)  # a kept refusal
        self.assertIn("0 differences that a guest would notice; the state hashes differ", found)

    def test_of_a_moment_the_log_does_not_reach_are_not_made_up(self):
        for arguments in ([self.data, "--lsn", 24], [self.data, self.data, "--lsn", 1, "--lsn", 99]):
            done = run("diff", *arguments)
            self.assertEqual((done.returncode, done.stdout), (UNREADABLE, ""))
            self.assertIn("the log ends at LSN 23", done.stderr)
            self.assertIn("not complete", done.stderr)

    def test_want_two_sides(self):
        for arguments in ([self.data], [self.data, self.data, self.data], [self.data, "--lsn", "1", "--lsn", "2", "--lsn", "3"],
                          [self.data, "--lsn", "1:5"], [self.data, "--time", "x"]):
            self.assertEqual(run("diff", *arguments).returncode, USAGE, arguments)
        self.assertEqual(run("diff", self.data, self.root / "nowhere").returncode, UNREADABLE)

    def test_are_found_between_directories_of_different_shard_counts(self):
        other = self.root / "three"
        subprocess.run([SMALL_LOG, other, "3", "race"], capture_output=True, check=True, timeout=120)
        found = self.differences(self.data, other)
        self.assertNotIn(1, {item["property"] for item in found})
        self.assertEqual(len({item["property"] for item in found}), 2)
        self.assertEqual({item["before"] for item in found}, {None})


class OtherSupply(OnARace):
    story = []

    def gains(self, *deltas):
        found = json.loads(self.good("what-if", self.data, "--json", *(f"--rooms={delta}" for delta in deltas)))
        return {f"{item['property']}:{item['room_type']}": item for item in found["room_types"]}, found

    def booked(self, more):
        """Keys of type 7's reserves that find a room with so many more: a small model of what is refused for want of one."""
        capacity = {}
        booked = {}
        for line in self.good("dump", self.data, "--json").splitlines():
            record = json.loads(line)
            status = record["outcome"]["status"]
            if record["operation"] == "room_type_create" and record["room_type"] == 7:
                first = datetime.date(2026, 11, 23)
                capacity = {str(first + datetime.timedelta(day)): record["rooms"] + more for day in range(100)}
            elif record["operation"] == "rooms_set":
                for night in capacity:
                    if record["first_night"] <= night <= record["last_night"]:
                        capacity[night] += record["rooms"] - 1  # it was 1 before, and the difference is all that is set
            elif record["operation"] == "reserve" and status in ("OK", "SOLD_OUT") and not record["outcome"]["replayed"]:
                arrival = datetime.date.fromisoformat(record["arrival"])
                nights = [str(arrival + datetime.timedelta(night)) for night in range(record["nights"])]
                if record["lines"][0]["room_type"] == 7 and all(capacity[night] > 0 for night in nights):
                    booked[record["key"]] = nights
                    for night in nights:
                        capacity[night] -= 1
            elif record["operation"] == "cancel":
                for night in booked.get(record["reservation"], []):
                    capacity[night] += 1
        return booked

    def test_gains_what_a_model_of_it_gains(self):
        before, after = self.booked(0), self.booked(1)
        gained = set(after) - set(before)
        gains, found = self.gains("1:7=+1")
        self.assertEqual(gains["1:7"]["gained"], len(gained))
        self.assertEqual(gains["1:7"]["gained_room_nights"], sum(len(after[key_]) for key_ in gained))
        self.assertEqual(gains["1:7"]["lost"], 0)
        self.assertGreater(len(gained), 5)
        self.assertEqual(found["others"]["gained"], 0)

    def test_with_fewer_rooms_loses(self):
        gains, _ = self.gains("1:1=-2")
        reserves = [json.loads(line) for line in self.good("dump", self.data, "--json", "--kind", "reserve").splitlines()]
        ok = [r for r in reserves if r["lines"][0]["room_type"] == 1 and r["outcome"]["status"] == "OK" and not r["outcome"]["replayed"]]
        self.assertEqual(gains["1:1"]["lost"], len(ok))
        self.assertEqual(gains["1:1"]["lost_room_nights"], sum(r["nights"] for r in ok))

    def test_counts_refused_demand_once_a_key(self):
        gains, _ = self.gains("1:7=+1")
        refused = {json.loads(line)["key"] for line in self.good("dump", self.data, "--json", "--refused", "--room-type", "7").splitlines()
                   if "SOLD_OUT" in line}
        self.assertEqual(gains["1:7"]["refused"], len(refused))

    def test_says_what_it_does_not_know(self):
        found = self.good("what-if", self.data, "--rooms", "1:7=+1")
        self.assertIn("What this does not know", found)
        self.assertIn("1:7", found)

    def test_that_is_none_is_usage(self):
        for rooms in ("", "1:7", "1:7=2", "1:7=+0", "0:7=+1", "1:0=+1", "1:7=+1x", "1:7=+32768", "7=+1", "1:7=++1"):
            self.assertEqual(run("what-if", self.data, "--rooms", rooms).returncode, USAGE, rooms)
        self.assertEqual(run("what-if", self.data).returncode, USAGE)
        self.assertEqual(run("what-if", self.data, "--rooms", "1:7=+1", "--rooms", "1:7=+2").returncode, USAGE)


class ManyShards(OnARace):
    shards = "3"

    def test_of_one_property_are_read_in_its_shard_only(self):
        data = self.copy()
        shutil.rmtree(data / "shard-001")  # property 1 lives elsewhere
        story = [json.loads(line) for line in self.good("dump", self.data, "--json").splitlines()]
        properties = {record["property"]: record["shard"] for record in story if record["property"] != 0}
        property_, shard = next(item for item in properties.items() if item[1] != 1)
        done = run("timeline", data, "--property", property_, "--resource", 101, "--json")
        self.assertEqual(done.returncode, CLEAN, done)
        self.assertEqual({json.loads(line)["shard"] for line in done.stdout.splitlines()}, {shard})
        self.assertEqual(run("dump", data, "--property", property_).returncode, CLEAN)


if __name__ == "__main__":
    unittest.main()
