#include "bench/bookings.h"

#include "engine/base/civil_date.h"
#include "engine/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum column {
    COLUMN_HOTEL,
    COLUMN_LEAD_TIME,
    COLUMN_YEAR,
    COLUMN_MONTH,
    COLUMN_DAY,
    COLUMN_WEEKEND_NIGHTS,
    COLUMN_WEEK_NIGHTS,
    COLUMN_ROOM_TYPE,
    COLUMN_STATUS,
    COLUMN_STATUS_DATE,
    COLUMNS_COUNT,
};

static const char *const column_names[COLUMNS_COUNT] = {
    [COLUMN_HOTEL] = "hotel",
    [COLUMN_LEAD_TIME] = "lead_time",
    [COLUMN_YEAR] = "arrival_date_year",
    [COLUMN_MONTH] = "arrival_date_month",
    [COLUMN_DAY] = "arrival_date_day_of_month",
    [COLUMN_WEEKEND_NIGHTS] = "stays_in_weekend_nights",
    [COLUMN_WEEK_NIGHTS] = "stays_in_week_nights",
    [COLUMN_ROOM_TYPE] = "reserved_room_type",
    [COLUMN_STATUS] = "reservation_status",
    [COLUMN_STATUS_DATE] = "reservation_status_date",
};

static const char *const month_names[] = { "January", "February", "March",     "April",   "May",      "June",
                                           "July",    "August",   "September", "October", "November", "December" };

static bool month_parse(const char *text, uint32_t *month)
{
    for (uint32_t i = 0; i < ARRAY_COUNT(month_names); i++) {
        if (strcmp(text, month_names[i]) == 0) {
            *month = i + 1;
            return true;
        }
    }
    return false;
}

/* Goes by way of text, because civil_date_parse refuses dates that do not exist. */
static bool date_of(uint32_t year, uint32_t month, uint32_t day, int32_t *day_number)
{
    char text[32];
    if (year > 9999 || month > 12 || day > 31)
        return false;
    snprintf(text, sizeof text, "%04u-%02u-%02u", year, month, day);
    return civil_date_parse(text, day_number);
}

static bool arrival_parse(const char *const *fields, int32_t *arrival)
{
    uint32_t year;
    uint32_t month;
    uint32_t day;
    return count_parse(fields[COLUMN_YEAR], &year) && month_parse(fields[COLUMN_MONTH], &month) &&
           count_parse(fields[COLUMN_DAY], &day) && date_of(year, month, day, arrival);
}

/* month/day/year, without leading zeros. */
static bool status_date_parse(const char *text, int32_t *day_number)
{
    char copy[TABLE_FIELD_SIZE_MAX];
    snprintf(copy, sizeof copy, "%s", text);
    char *rest = copy;
    const char *parts[3];
    for (int i = 0; i < 3; i++)
        if ((parts[i] = strsep(&rest, "/")) == NULL)
            return false;
    uint32_t month;
    uint32_t day;
    uint32_t year;
    return rest == NULL && count_parse(parts[0], &month) && count_parse(parts[1], &day) &&
           count_parse(parts[2], &year) && date_of(year, month, day, day_number);
}

static const char *place_parse(const char *const *fields, struct booking *booking)
{
    enum hotel hotel;
    if (!hotel_parse(fields[COLUMN_HOTEL], &hotel))
        return "the hotel is neither City Hotel nor Resort Hotel";
    if (!room_type_parse(fields[COLUMN_ROOM_TYPE], &booking->room_type))
        return "the reserved room type is not a letter from A to Z";
    booking->hotel = (uint8_t)hotel;
    return NULL;
}

static const char *stay_parse(const char *const *fields, struct booking *booking)
{
    uint32_t weekend_nights;
    uint32_t week_nights;
    uint32_t lead_time;
    if (!arrival_parse(fields, &booking->arrival))
        return "the arrival date does not exist";
    if (!count_parse(fields[COLUMN_WEEKEND_NIGHTS], &weekend_nights) ||
        !count_parse(fields[COLUMN_WEEK_NIGHTS], &week_nights) || weekend_nights + week_nights > NIGHTS_MAX)
        return "the nights are not numbers, or more than 3650";
    if (!count_parse(fields[COLUMN_LEAD_TIME], &lead_time) || lead_time > 1000000)
        return "the lead time is not a number of days";
    booking->nights = (uint16_t)(weekend_nights + week_nights);
    booking->requested = booking->arrival - (int32_t)lead_time;
    return NULL;
}

static const char *cancellation_parse(const char *const *fields, struct booking *booking)
{
    booking->cancelled = NOT_CANCELLED;
    if (strcmp(fields[COLUMN_STATUS], "Canceled") != 0)
        return NULL;
    int32_t day;
    if (!status_date_parse(fields[COLUMN_STATUS_DATE], &day))
        return "the reservation status date is not a month/day/year that exists";
    booking->cancelled = day < booking->requested ? booking->requested : day;
    return NULL;
}

static const char *bookings_append(struct bookings *bookings, const struct booking *booking)
{
    if (bookings->count == bookings->count_max) {
        size_t count_max = bookings->count_max == 0 ? 4096 : 2 * bookings->count_max;
        struct booking *items = reallocarray(bookings->items, count_max, sizeof *items);
        if (items == NULL)
            return "out of memory";
        bookings->items = items;
        bookings->count_max = count_max;
    }
    bookings->items[bookings->count++] = *booking;
    return NULL;
}

static const char *bookings_take_row(void *context, const char *const *fields, size_t line)
{
    struct bookings *bookings = context;
    struct booking booking = { 0 };
    (void)line;
    const char *complaint = place_parse(fields, &booking);
    if (complaint == NULL)
        complaint = stay_parse(fields, &booking);
    if (complaint == NULL)
        complaint = cancellation_parse(fields, &booking);
    if (complaint != NULL)
        return complaint;
    if (booking.nights > 0)
        return bookings_append(bookings, &booking);
    bookings->skipped++;
    return NULL;
}

bool bookings_read(const char *path, struct bookings *bookings, struct table_error *error)
{
    *bookings = (struct bookings){ 0 };
    return table_read(path, column_names, COLUMNS_COUNT, bookings_take_row, bookings, error);
}

void bookings_free(struct bookings *bookings)
{
    free(bookings->items);
    *bookings = (struct bookings){ 0 };
}
