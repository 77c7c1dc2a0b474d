#!/usr/bin/env python3
"""innkeep-bench against a real innkeepd: what it counts is what the model counts, and what happens when the server dies.

Bookings and capacities are made up at random, denser and nastier than real ones: sold-out nights, cancellations on the day of
the request, on the day of others, and of refused requests. Prints its seed; to run one again:
    innkeep_bench_test.py --innkeepd PATH --bench PATH --seed SEED
"""

import argparse
import csv
import datetime
import gzip
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "integration"))
import demand_model  # noqa: E402

COLUMNS = ["hotel", "is_canceled", "lead_time", "arrival_date_year", "arrival_date_month", "arrival_date_day_of_month",
           "stays_in_weekend_nights", "stays_in_week_nights", "country", "reserved_room_type", "reservation_status",
           "reservation_status_date"]
LETTERS = "ABCDL"
TIMEOUT_S = 60
arguments = None


def random_row(rng, first_day):
    arrival = first_day + datetime.timedelta(days=rng.randrange(40))
    lead_time = rng.choice([0, 0, 1, 2, 3, 10, 200])
    status = rng.choice(["Check-Out", "Check-Out", "Canceled", "Canceled", "No-Show"])
    status_date = arrival - datetime.timedelta(days=rng.randrange(-2, lead_time + 3))
    return [rng.choice(["City Hotel", "Resort Hotel"]), int(status == "Canceled"), lead_time, arrival.year,
            demand_model.MONTHS[arrival.month - 1], arrival.day, rng.choice([0, 0, 1, 2]), rng.choice([0, 1, 2, 5]),
            rng.choice(["PRT", 'a "quoted", one', "two\nlines"]), rng.choice(LETTERS), status,
            f"{status_date.month}/{status_date.day}/{status_date.year}"]


def write_table(path, header, rows, compressed):
    opener = gzip.open if compressed else open
    with opener(path, "wt", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def make_demand(rng, directory, rows_count):
    """Writes random bookings and capacities; returns their paths and what the model makes of them."""
    first_day = datetime.date(2015, 1, 1) + datetime.timedelta(days=rng.randrange(1000))
    bookings = directory / "bookings.csv"
    capacity = directory / "capacity.csv"
    write_table(bookings, COLUMNS, [random_row(rng, first_day) for _ in range(rows_count)], rng.random() < 0.5)
    pairs = [(hotel, letter, rng.choice([0, 1, 3, 20, 32767]))
             for hotel in demand_model.PROPERTY_OF_HOTEL for letter in LETTERS + "Q" if rng.random() < 0.8]
    write_table(capacity, ["hotel", "room_type", "rooms"], pairs, False)
    expected = demand_model.replay(demand_model.read_bookings(bookings), demand_model.read_capacity(capacity))
    return bookings, capacity, expected


class Server:
    """innkeepd on a data directory and a port of its own choice."""

    def __init__(self, data):
        self.errors = data.with_suffix(".err")
        with open(self.errors, "a", encoding="utf-8") as errors:
            self.process = subprocess.Popen([arguments.innkeepd, "--data", data, "--listen", "127.0.0.1:0", "--memory",
                                             "512M", "--segment-size", "1M"],
                                            stdout=subprocess.PIPE, stderr=errors, text=True)
        ready = self.process.stdout.readline()
        if not ready.startswith("innkeepd ready "):
            self.process.kill()
            raise AssertionError(f"innkeepd did not become ready: {ready!r}\n{self.errors.read_text()}")
        self.address = dict(word.split("=") for word in ready.split()[2:])["listen"]

    def end(self, how):
        """Ends it by a signal and returns its exit status: negative if it had to be killed."""
        self.process.send_signal(how)
        try:
            self.process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        return self.process.returncode


def bench(command, server, *options):
    return [arguments.bench, command, "--server", getattr(server, "address", server), "--json", *map(str, options)]


def run_bench(command, server, *options):
    """(exit status, report or None, stderr)"""
    done = subprocess.run(bench(command, server, *options), capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


class BenchTest(unittest.TestCase):
    def setUp(self):
        self.rng = random.Random(f"{arguments.seed} {self.id()}")
        self.temporary = tempfile.TemporaryDirectory(prefix="innkeep-bench-test-", dir=arguments.directory)
        self.directory = pathlib.Path(self.temporary.name)
        self.addCleanup(self.temporary.cleanup)
        self.server = None
        self.addCleanup(self.stop_server)

    def stop_server(self):
        if self.server is None or self.server.process.returncode is not None:
            return
        self.assertEqual(self.server.end(signal.SIGTERM), 0, self.server.errors.read_text())

    def start_server(self, data="data"):
        self.stop_server()
        self.server = Server(self.directory / data)
        return self.server

    def expect_model(self, report, calendar_path, expected):
        counts, calendar = expected
        self.assertEqual({name: report[name] for name in counts}, counts)
        self.assertEqual(report["calendar_rows"], len(calendar))
        by_model = self.directory / "model.csv"
        demand_model.write_calendar(by_model, calendar)
        self.assertEqual(calendar_path.read_text(), by_model.read_text())


class DemandTest(BenchTest):
    def test_counts_and_calendar_equal_the_models_for_any_capacity(self):
        server = self.start_server()
        out = self.directory / "calendar.csv"
        for turn in range(4):
            bookings, capacity, expected = make_demand(self.rng, self.directory, 1500)
            status, report, errors = run_bench("demand", server, "--csv", bookings, "--capacity", capacity, "--calendar", out,
                                               "--property-base", 100 * turn, "--window", self.rng.choice([1, 7, 5000]),
                                               "--batch", self.rng.choice([1, 3, 128]))
            self.assertEqual(status, 0, errors)
            self.assertTrue(report["complete"])
            self.expect_model(report, out, expected)

    def test_after_a_crash_a_second_run_with_the_same_seed_completes_the_first(self):
        bookings, capacity, expected = make_demand(self.rng, self.directory, 4000)
        out = self.directory / "calendar.csv"
        options = ["--csv", bookings, "--capacity", capacity, "--seed", self.rng.randrange(2**60), "--calendar", out]
        cut = 0
        acknowledged = 0
        while True:
            server = self.start_server()
            if cut == 3:
                break
            process = subprocess.Popen(bench("demand", server, *options, "--window", 8, "--batch", 2),
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            time.sleep(self.rng.uniform(0.02, 0.3))
            server.end(signal.SIGKILL)
            output, _ = process.communicate(timeout=TIMEOUT_S)
            report = json.loads(output)
            if process.returncode == 3:
                self.assertFalse(report["complete"])
                self.assertGreaterEqual(report["replayed"], 0)
            answered = report["requests"] + report["cancelled"] + report["cancellations_of_refused"]
            acknowledged = max(acknowledged, answered)
            cut += 1
        status, report, errors = run_bench("demand", server, *options)
        self.assertEqual(status, 0, errors)
        self.assertGreaterEqual(report["replayed"], acknowledged, "something acknowledged was lost")
        self.expect_model(report, out, expected)

    def test_hotels_that_exist_are_refused_with_advice(self):
        server = self.start_server()
        bookings, capacity, _ = make_demand(self.rng, self.directory, 50)
        self.assertEqual(run_bench("demand", server, "--csv", bookings, "--capacity", capacity)[0], 0)
        status, report, errors = run_bench("demand", server, "--csv", bookings, "--capacity", capacity)
        self.assertEqual(status, 1)
        self.assertEqual(report["requests"], 0)
        self.assertIn("ALREADY_EXISTS", errors)
        self.assertIn("--property-base", errors)

    def test_no_server_and_bad_files_have_their_own_exit_status(self):
        bookings, capacity, _ = make_demand(self.rng, self.directory, 50)
        self.assertEqual(run_bench("demand", "127.0.0.1:1", "--csv", bookings, "--capacity", capacity)[0], 3)
        status, report, errors = run_bench("demand", "127.0.0.1:1", "--csv", bookings, "--capacity", "/nonexistent")
        self.assertEqual((status, report), (2, None))
        self.assertIn("/nonexistent: No such file", errors)
        self.assertEqual(run_bench("demand", "127.0.0.1:1", "--csv", bookings)[0], 2)


class ReserveTest(BenchTest):
    def confirmed(self, report, when):
        return sum(shard[f"reservations_{when}"] for shard in report["shards"])

    def run_load(self, server, *options):
        status, report, errors = run_bench("reserve", server, "--seconds", 0.4, "--warmup", 0.1, "--properties", 20,
                                           "--room-types", 4, *options)
        self.assertEqual(status, 0, errors)
        self.assertEqual(report["errors"], 0)
        return report

    def test_every_accepted_reserve_is_a_reservation_at_the_server(self):
        for options in [["-c", 4], ["-c", 3, "-p", 64, "-b", 16, "--affinity"], ["-c", 4, "-p", 10, "-b", 4, "--threads", 2],
                        ["-c", 2, "-p", 300, "-b", 150, "--distribution", "zipf"], ["-c", 5, "--distribution", "hot"]]:
            report = self.run_load(self.start_server("data" + "".join(map(str, options))), *options)
            accepted = report["accepted"] + report["warmup"]["accepted"]
            self.assertGreater(report["accepted"], 0)
            self.assertEqual(self.confirmed(report, "after") - self.confirmed(report, "before"), accepted, options)
            self.assertEqual(report["unknown"], 0)
            self.assertLessEqual(report["p50_us"], report["p99_us"])
            self.assertLessEqual(report["p999_us"], report["max_us"])

    def test_rooms_that_run_out_are_refused_and_not_errors(self):
        report = self.run_load(self.start_server(), "-c", 4, "-p", 64, "-b", 16, "--rooms", 1, "--nights", 5)
        accepted = report["accepted"] + report["warmup"]["accepted"]
        self.assertLessEqual(accepted, 20 * 4 * 5 // 3)
        self.assertGreater(accepted, 20 * 4 // 2)
        self.assertEqual(set(report["statuses"]) - {"OK"}, {"SOLD_OUT"})

    def test_a_server_that_dies_leaves_counts_and_unknown_outcomes(self):
        server = self.start_server()
        process = subprocess.Popen(bench("reserve", server, "-c", 8, "-p", 32, "-b", 4, "--seconds", 30, "--warmup", 0),
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertIn("a second", process.stderr.readline(), "the first line of progress")
        server.end(signal.SIGKILL)
        output, errors = process.communicate(timeout=TIMEOUT_S)
        report = json.loads(output)
        self.assertEqual(process.returncode, 3, errors)
        self.assertFalse(report["complete"])
        self.assertGreater(report["accepted"], 0)
        self.assertGreater(report["unknown"], 0)
        self.assertLessEqual(report["unknown"] + report["unsent"], 8 * 32)

    def test_probes_are_reported_beside_the_figures(self):
        report = self.run_load(self.start_server(), "-c", 2, "--probe-disk", self.directory, "--probe-loopback",
                               "--probe-seconds", 0.1)
        self.assertNotIn("p50_to_raw", report)  # several under way wait for each other
        for probe in ["probe_disk", "probe_loopback"]:
            self.assertGreater(report[probe]["count"], 10)
            self.assertGreater(report[probe]["p50_us"], 0)

    def test_one_at_a_time_is_compared_with_what_it_cannot_be_less_than(self):
        report = self.run_load(self.start_server(), "-c", 1, "--probe-disk", self.directory, "--probe-loopback",
                               "--probe-seconds", 0.1)
        raw = report["probe_disk"]["p50_us"] + report["probe_loopback"]["p50_us"]
        self.assertAlmostEqual(report["p50_to_raw"], report["p50_us"] / raw, places=4)


def main():
    global arguments
    parser = argparse.ArgumentParser()
    parser.add_argument("--innkeepd", required=True)
    parser.add_argument("--bench", required=True)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--directory", default=os.getcwd(), help="for data directories; needs a file system with O_DIRECT")
    arguments, rest = parser.parse_known_args()
    print(f"seed {arguments.seed}: rerun with {sys.argv[0]} --innkeepd {arguments.innkeepd} --bench {arguments.bench} "
          f"--seed {arguments.seed}", flush=True)
    unittest.main(argv=sys.argv[:1] + rest, verbosity=2)


if __name__ == "__main__":
    main()
