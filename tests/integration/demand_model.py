#!/usr/bin/env python3
"""The demand replay, written down once more in the most obvious way: the judge of `innkeep-bench demand`.

Replays a hotel bookings CSV against a capacity CSV in plain dictionaries and gives the counts and the final calendar. It shares
no code with Innkeep and knows nothing of servers; it follows the definition of the demand replay word for word (bench/README.md):

    A row with at least one night is a request for one room, made `lead_time` days before arrival. A row with status
    "Canceled" is cancelled on its `reservation_status_date`, or on the day it was made if that lies earlier. Rows without a
    night are skipped. By day; on one day cancellations first, in file order, then requests, in file order; a cancellation on
    the day of its own request comes directly after it. A refused request's cancellation is skipped. Pairs of hotel and room
    type that the capacity file does not name have 0 rooms.

As a program:  demand_model.py BOOKINGS.csv[.gz] CAPACITY.csv [--calendar OUT.csv]      prints the counts as JSON
As a module:   counts, calendar = replay(read_bookings(path), read_capacity(path))
"""

import argparse
import collections
import csv
import datetime
import gzip
import json
import sys

PROPERTY_OF_HOTEL = {"City Hotel": 1, "Resort Hotel": 2}
MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
          "November", "December"]

Booking = collections.namedtuple("Booking", "property room_type arrival nights requested cancelled")


def open_text(path):
    """A CSV as text, gzipped or not (told by its first two bytes, not by its name)."""
    with open(path, "rb") as file:
        gzipped = file.read(2) == b"\x1f\x8b"
    opener = gzip.open if gzipped else open
    return opener(path, "rt", encoding="utf-8-sig", newline="")


def room_type_number(letter):
    if len(letter) != 1 or not "A" <= letter <= "Z":
        raise ValueError(f"room type {letter!r} is not a letter from A to Z")
    return ord(letter) - ord("A") + 1


def booking_of(row):
    arrival = datetime.date(int(row["arrival_date_year"]), MONTHS.index(row["arrival_date_month"]) + 1,
                            int(row["arrival_date_day_of_month"]))
    requested = arrival - datetime.timedelta(days=int(row["lead_time"]))
    cancelled = None
    if row["reservation_status"] == "Canceled":
        month, day, year = (int(part) for part in row["reservation_status_date"].split("/"))
        cancelled = max(datetime.date(year, month, day), requested)
    return Booking(PROPERTY_OF_HOTEL[row["hotel"]], room_type_number(row["reserved_room_type"]), arrival,
                   int(row["stays_in_weekend_nights"]) + int(row["stays_in_week_nights"]), requested, cancelled)


def read_bookings(path):
    with open_text(path) as file:
        return [booking_of(row) for row in csv.DictReader(file)]


def read_capacity(path):
    """{(property, room type): rooms}; a pair named twice is an error, since nothing says which line counts."""
    capacity = {}
    with open_text(path) as file:
        for row in csv.DictReader(file):
            pair = PROPERTY_OF_HOTEL[row["hotel"]], room_type_number(row["room_type"])
            if pair in capacity:
                raise ValueError(f"{path} names {row['hotel']}, {row['room_type']} twice")
            capacity[pair] = int(row["rooms"])
    return capacity


def ordered_events(bookings):
    """("request" | "cancel", index into bookings), in the order in which they happen."""
    requests_on = collections.defaultdict(list)
    cancellations_on = collections.defaultdict(list)
    for index, booking in enumerate(bookings):
        if booking.nights == 0:
            continue
        requests_on[booking.requested].append(index)
        if booking.cancelled is not None and booking.cancelled != booking.requested:
            cancellations_on[booking.cancelled].append(index)
    for day in sorted(requests_on.keys() | cancellations_on.keys()):
        for index in cancellations_on[day]:
            yield "cancel", index
        for index in requests_on[day]:
            yield "request", index
            if bookings[index].cancelled == day:
                yield "cancel", index


def nights_of(booking):
    return [booking.arrival + datetime.timedelta(days=n) for n in range(booking.nights)]


def replay(bookings, capacity):
    """(counts, calendar): counts as a dictionary, the calendar as a sorted list of (property, room type, night, sold)."""
    counts = dict(requests=0, accepted=0, sold_out=0, cancelled=0, skipped=sum(b.nights == 0 for b in bookings))
    sold = collections.Counter()
    accepted = set()
    for what, index in ordered_events(bookings):
        booking = bookings[index]
        cells = [(booking.property, booking.room_type, night) for night in nights_of(booking)]
        rooms = capacity.get((booking.property, booking.room_type), 0)
        if what == "request":
            counts["requests"] += 1
            if all(sold[cell] < rooms for cell in cells):
                sold.update(cells)
                accepted.add(index)
                counts["accepted"] += 1
            else:
                counts["sold_out"] += 1
        elif index in accepted:
            sold.subtract(cells)
            counts["cancelled"] += 1
    calendar = sorted((*cell, rooms_sold) for cell, rooms_sold in sold.items() if rooms_sold > 0)
    return counts, calendar


def write_calendar(path, calendar):
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["property", "room_type", "night", "sold"])
        writer.writerows(calendar)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bookings", help="the bookings, CSV or gzipped CSV")
    parser.add_argument("capacity", help="CSV with the columns hotel, room_type, rooms")
    parser.add_argument("--calendar", metavar="OUT.csv", help="write the final calendar there")
    arguments = parser.parse_args()
    counts, calendar = replay(read_bookings(arguments.bookings), read_capacity(arguments.capacity))
    if arguments.calendar:
        write_calendar(arguments.calendar, calendar)
    json.dump({**counts, "calendar_rows": len(calendar)}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
