#!/usr/bin/env python3
"""The model of the demand replay, rule by rule, on cases small enough to work out by hand."""

import datetime
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "integration"))
import demand_model  # noqa: E402

ARRIVAL = datetime.date(2016, 3, 10)


def day(number):
    return datetime.date(2016, 3, number)


def booking(requested, cancelled=None, nights=1, arrival=ARRIVAL, room_type=1):
    return demand_model.Booking(1, room_type, arrival, nights, day(requested), None if cancelled is None else day(cancelled))


def replay(bookings, rooms=1):
    return demand_model.replay(bookings, {(1, 1): rooms})


class DemandModelTest(unittest.TestCase):
    def expect(self, outcome, **counts):
        for name, count in counts.items():
            self.assertEqual(outcome[0][name], count, name)

    def test_the_earlier_request_gets_the_room(self):
        outcome = replay([booking(5, nights=2), booking(4)])
        self.expect(outcome, requests=2, accepted=1, sold_out=1)
        self.assertEqual(outcome[1], [(1, 1, ARRIVAL, 1)])

    def test_of_one_day_the_first_in_the_file_gets_the_room(self):
        self.assertEqual(replay([booking(4, nights=2), booking(4)])[1],
                         [(1, 1, ARRIVAL, 1), (1, 1, day(11), 1)])

    def test_a_room_given_back_in_the_morning_is_sold_on_the_same_day(self):
        self.expect(replay([booking(6), booking(2, cancelled=6)]), accepted=2, cancelled=1)

    def test_a_room_given_back_on_the_day_of_its_request_serves_the_next_request_only(self):
        self.expect(replay([booking(6, cancelled=6), booking(6)]), accepted=2, cancelled=1, sold_out=0)
        self.expect(replay([booking(6), booking(6, cancelled=6)]), accepted=1, cancelled=0, sold_out=1)

    def test_a_stay_needs_a_room_on_every_night_and_takes_all_or_none(self):
        outcome = replay([booking(1, arrival=day(11)), booking(2, nights=3)])
        self.expect(outcome, accepted=1, sold_out=1)
        self.assertEqual(outcome[1], [(1, 1, day(11), 1)])

    def test_a_type_without_capacity_is_sold_out(self):
        self.expect(replay([booking(1, room_type=2), booking(1, room_type=2, cancelled=3)]), sold_out=2, cancelled=0)

    def test_a_row_without_nights_is_only_counted(self):
        self.expect(replay([booking(1, nights=0, cancelled=2)]), requests=0, cancelled=0, skipped=1)

    def test_a_row_of_the_file_is_read_as_defined(self):
        with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
            file.write("hotel,lead_time,arrival_date_year,arrival_date_month,arrival_date_day_of_month,stays_in_weekend_nights,"
                       "stays_in_week_nights,reserved_room_type,reservation_status,reservation_status_date\n"
                       "Resort Hotel,9,2016,March,10,1,2,L,Canceled,2/28/2016\n"
                       "City Hotel,9,2016,March,10,0,1,A,No-Show,3/10/2016\n")
            file.flush()
            first, second = demand_model.read_bookings(file.name)
        self.assertEqual(first, demand_model.Booking(2, 12, ARRIVAL, 3, day(1), day(1)))
        self.assertEqual(second, demand_model.Booking(1, 1, ARRIVAL, 1, day(1), None))


if __name__ == "__main__":
    unittest.main()
