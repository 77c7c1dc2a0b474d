#include "bench/bookings.h"

#include "engine/base/civil_date.h"
#include "engine/command.h"
#include "tests/bench/temporary_file.h"

#include <string.h>

#define HEADER                                                                                                \
    "hotel,lead_time,arrival_date_year,arrival_date_month,arrival_date_day_of_month,stays_in_weekend_nights," \
    "stays_in_week_nights,reserved_room_type,reservation_status,reservation_status_date\n"

static struct table_error error;
static struct bookings bookings;
static struct capacity capacity;

static bool read_bookings(const char *rows)
{
    char text[1024];
    int size = snprintf(text, sizeof text, "%s%s", HEADER, rows);
    return bookings_read(temporary_file(text, (size_t)size), &bookings, &error);
}

static int32_t day(const char *text)
{
    int32_t number = 0;
    cr_assert(civil_date_parse(text, &number));
    return number;
}

Test(bookings, a_row_becomes_a_request_lead_time_days_before_arrival)
{
    cr_assert(read_bookings("Resort Hotel,5,2016,March,3,1,2,L,Check-Out,3/6/2016\n"), "%s", error.text);
    cr_assert_eq(bookings.count, 1);
    const struct booking *booking = &bookings.items[0];
    cr_expect_eq(booking->arrival, day("2016-03-03"));
    cr_expect_eq(booking->requested, day("2016-02-27"));
    cr_expect_eq(booking->cancelled, NOT_CANCELLED);
    cr_expect_eq(booking->nights, 3);
    cr_expect_eq(booking->hotel, HOTEL_RESORT);
    cr_expect_eq(booking->room_type, 12);
    cr_expect_eq(hotel_property((enum hotel)booking->hotel), 2);
}

Test(bookings, a_cancellation_is_never_earlier_than_its_request)
{
    cr_assert(read_bookings("City Hotel,3,2016,July,10,0,1,A,Canceled,7/9/2016\n"
                            "City Hotel,3,2016,July,10,0,1,A,Canceled,7/1/2016\n"
                            "City Hotel,3,2016,July,10,0,1,A,No-Show,7/10/2016\n"),
              "%s", error.text);
    cr_expect_eq(bookings.items[0].cancelled, day("2016-07-09"));
    cr_expect_eq(bookings.items[1].cancelled, day("2016-07-07"));
    cr_expect_eq(bookings.items[2].cancelled, NOT_CANCELLED);
}

Test(bookings, rows_without_a_night_are_only_counted)
{
    cr_assert(read_bookings("City Hotel,3,2016,July,10,0,0,A,Canceled,7/9/2016\n"
                            "City Hotel,3,2016,July,10,0,1,A,Check-Out,7/11/2016\n"));
    cr_expect_eq(bookings.count, 1);
    cr_expect_eq(bookings.skipped, 1);
}

Test(bookings, a_row_that_makes_no_sense_is_refused_with_its_line)
{
    cr_expect_not(read_bookings("City Hotel,3,2015,February,29,0,1,A,Check-Out,7/9/2016\n"));
    cr_expect(strstr(error.text, "line 2: the arrival date does not exist") != NULL, "%s", error.text);
    cr_expect_not(read_bookings("City Hotel,3,2016,July,10,0,1,A,Canceled,9.7.2016\n"));
    cr_expect_not(read_bookings("City Hotel,3,2016,July,10,0,1,A,Canceled,13/1/2016\n"));
    cr_expect_not(read_bookings("City Hotel,-3,2016,July,10,0,1,A,Check-Out,7/9/2016\n"));
    cr_expect_not(read_bookings("Grand Hotel,3,2016,July,10,0,1,A,Check-Out,7/9/2016\n"));
    cr_expect_not(read_bookings("City Hotel,3,2016,July,10,0,1,AB,Check-Out,7/9/2016\n"));
    cr_expect_not(read_bookings("City Hotel,3,2016,July,10,0,x,A,Check-Out,7/9/2016\n"));
}

static bool read_capacity(const char *text)
{
    return capacity_read(temporary_file(text, strlen(text)), &capacity, &error);
}

Test(capacity, pairs_not_named_have_no_rooms)
{
    cr_assert(read_capacity("hotel,room_type,rooms\nCity Hotel,A,217\nResort Hotel,Z,32767\nCity Hotel,B,0\n"));
    cr_expect_eq(capacity.rooms[HOTEL_CITY][1], 217);
    cr_expect_eq(capacity.rooms[HOTEL_RESORT][26], ROOMS_MAX);
    cr_expect_eq(capacity.rooms[HOTEL_RESORT][1], 0);
    cr_expect(capacity.named[HOTEL_CITY][2]);
    cr_expect_not(capacity.named[HOTEL_RESORT][1]);
}

Test(capacity, what_cannot_be_a_capacity_is_refused)
{
    cr_expect_not(read_capacity("hotel,room_type,rooms\nCity Hotel,A,32768\n"));
    cr_expect_not(read_capacity("hotel,room_type,rooms\nCity Hotel,A,-1\n"));
    cr_expect_not(read_capacity("hotel,room_type,rooms\nCity Hotel,a,1\n"));
    cr_expect_not(read_capacity("hotel,room_type,rooms\nNo Hotel,A,1\n"));
    cr_expect_not(read_capacity("hotel,room_type\nCity Hotel,A\n"));
    cr_expect_not(read_capacity("hotel,room_type,rooms\nCity Hotel,A,1\nCity Hotel,A,1\n"));
    cr_expect(strstr(error.text, "line 3") != NULL, "%s", error.text);
}
