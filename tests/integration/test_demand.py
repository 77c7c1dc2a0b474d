#!/usr/bin/env python3
"""`innkeep-bench demand` against the server, judged by the obvious model in demand_model.py.

    test_demand.py            small made-up demand under random capacities
    test_demand.py Shipped    all of the real bookings, where ../shared/data has them
"""
import csv
import datetime
import gzip
import itertools
import json
import pathlib
import tempfile

import demand_model
from server import SOURCE, TEST_DIR, TROUBLE, Case, main, seeded, tool

DATA = SOURCE.parent / "shared" / "data"
HOTELS = ("City Hotel", "Resort Hotel")
LETTERS = "ABCDEFGHL"
COLUMNS = ["hotel", "is_canceled", "lead_time", "arrival_date_year", "arrival_date_month", "arrival_date_week_number",
           "arrival_date_day_of_month", "stays_in_weekend_nights", "stays_in_week_nights", "country",
           "reserved_room_type", "assigned_room_type", "reservation_status", "reservation_status_date"]
EXPECTED = dict(requests=118675, accepted=118421, sold_out=254, cancelled=42866, skipped=715)
EXPECTED_ROWS = 9114
ROWS = 1500
CAPACITIES = 4


class Demand(Case):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="innkeep.", dir=TEST_DIR)))

    def replay(self, bookings, capacity, *options):
        """What innkeep-bench says and writes: its counts and the calendar's text."""
        server = self.serve("--memory", "256M", *options)
        calendar = self.folder / "calendar.csv"
        done = tool("innkeep-bench", "demand", "--server", server.listen(), "--csv", bookings, "--capacity", capacity,
                    "--calendar", calendar, "--json", timeout=280)
        self.assertNotRegex(done.stderr, TROUBLE)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout.splitlines()[-1]), calendar.read_text(encoding="utf-8"), server

    def judge(self, bookings, capacity):
        """Replays it on both sides; returns the model's counts and calendar, which the server's have to equal."""
        counts, calendar = demand_model.replay(demand_model.read_bookings(bookings),
                                               demand_model.read_capacity(capacity))
        expected = self.folder / "expected.csv"
        demand_model.write_calendar(expected, calendar)
        said, written, server = self.replay(bookings, capacity)
        self.assertEqual({name: said[name] for name in counts}, counts)
        self.assertEqual(written, expected.read_text(encoding="utf-8"))
        self.check_log(server, expected)
        return counts, calendar

    def check_log(self, server, expected):
        """A replay of the log arrives at the same calendar."""
        server.close_connections()
        server.stop()
        out = self.folder / "replayed.csv"
        done = tool("innkeep-wal", "replay", server.data, "--calendar", out, timeout=280)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(out.read_text(encoding="utf-8"), expected.read_text(encoding="utf-8"))
        server.start()


class MadeUp(Demand):
    def row(self, random):
        arrival = datetime.date(2016, 2, 20) + datetime.timedelta(days=random.randrange(60))
        lead = random.choice((0, 0, 1, random.randrange(90)))
        requested = arrival - datetime.timedelta(days=lead)
        status = random.choice(("Check-Out", "Check-Out", "Canceled", "Canceled", "No-Show"))
        # Some fall before the day of the request, many on it, some behind the arrival.
        ended = requested + datetime.timedelta(days=random.choice((-3, 0, 0, 1, random.randrange(lead + 5))))
        kind = random.choice(LETTERS[:4] if random.random() < 0.8 else LETTERS)
        return [random.choice(HOTELS), int(status == "Canceled"), lead, arrival.year,
                demand_model.MONTHS[arrival.month - 1],
                arrival.isocalendar()[1], arrival.day, random.randrange(3), random.choice((0, 1, 2, 5)), "PRT", kind,
                kind, status, f"{ended.month}/{ended.day}/{ended.year}"]

    def write_bookings(self, random, name):
        path = self.folder / name
        opener = gzip.open if name.endswith(".gz") else open
        with opener(path, "wt", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(self.row(random) for _ in range(ROWS))
        return path

    def write_capacity(self, random, number):
        """Most pairs, each with 0 to a good many rooms; what is not named has none."""
        path = self.folder / f"capacity-{number}.csv"
        with open(path, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["hotel", "room_type", "rooms"])
            for hotel, letter in itertools.product(HOTELS, LETTERS):
                if random.random() < 0.85:
                    writer.writerow([hotel, letter, random.choice((0, 1, 3, random.randrange(1, 40)))])
        return path

    def test_any_demand_under_any_capacity_comes_out_as_the_model_says(self):
        random = seeded(self.id())
        for number in range(CAPACITIES):
            bookings = self.write_bookings(random, f"bookings-{number}.csv" + (".gz" if number % 2 else ""))
            counts, _ = self.judge(bookings, self.write_capacity(random, number))
            self.assertTrue(all(counts.values()), counts)
            print(counts, flush=True)


class Shipped(Demand):
    def setUp(self):
        super().setUp()
        if not (DATA / "hotel_bookings.csv.gz").exists():
            self.skipTest(f"{DATA} has no hotel_bookings.csv.gz here")

    def test_the_real_demand_has_the_known_counts(self):
        said, calendar, server = self.replay(DATA / "hotel_bookings.csv.gz", DATA / "capacity-peak.csv",
                                             "--segment-size", "16M")
        self.assertEqual({name: said[name] for name in EXPECTED}, EXPECTED)
        self.assertEqual(len(calendar.splitlines()) - 1, EXPECTED_ROWS)
        self.check_log(server, self.folder / "calendar.csv")

    def test_the_real_demand_under_other_capacities_comes_out_as_the_model_says(self):
        random = seeded(self.id())
        for number, share in enumerate((0.8, 0.3)):
            capacity = self.folder / f"capacity-{number}.csv"
            with open(DATA / "capacity-peak.csv", encoding="utf-8", newline="") as source, \
                    open(capacity, "w", encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(source))
                writer = csv.DictWriter(file, ["hotel", "room_type", "rooms"])
                writer.writeheader()
                for row in rows:
                    writer.writerow({**row, "rooms": int(int(row["rooms"]) * share * random.uniform(0.7, 1.1))})
            counts, _ = self.judge(DATA / "hotel_bookings.csv.gz", capacity)
            self.assertGreater(counts["sold_out"], 1000)


if __name__ == "__main__":
    main()
