/* engine/base/ and engine/status.c: dates, small arithmetic, names. */
#include "engine/base/civil_date.h"
#include "engine/base/hash.h"
#include "engine/base/units.h"
#include "engine/state.h"
#include "engine/status.h"

#include <criterion/criterion.h>
#include <string.h>

static int32_t day_of(const char *text)
{
    int32_t day = INT32_MIN;
    cr_assert(civil_date_parse(text, &day), "%s", text);
    return day;
}

Test(civil_date, known_days_have_their_numbers)
{
    cr_assert_eq(day_of("1970-01-01"), 0);
    cr_assert_eq(day_of("1969-12-31"), -1);
    cr_assert_eq(day_of("2000-03-01"), 11017);
    cr_assert_eq(day_of("2026-11-23"), 20780);
    cr_assert_eq(day_of("0001-01-01"), DAY_NUMBER_MIN);
    cr_assert_eq(day_of("9999-12-31"), DAY_NUMBER_MAX);
}

Test(civil_date, every_day_there_is_comes_back_and_follows_the_one_before)
{
    char text[CIVIL_DATE_TEXT_SIZE];
    int32_t weekday = weekday_of(DAY_NUMBER_MIN);
    cr_assert_eq(weekday, 0, "0001-01-01 was a Monday");
    for (int32_t day = DAY_NUMBER_MIN; day <= DAY_NUMBER_MAX; day++) {
        struct civil_date date = civil_date_of(day);
        if (day_number_of(date) != day || weekday_of(day) != weekday)
            cr_assert_fail("day %d", day);
        weekday = (weekday + 1) % 7;
        if (day % 100 == 0)
            cr_assert_eq(day_of(civil_date_format(day, text)), day);
    }
}

Test(civil_date, what_is_no_date_is_refused_and_leaves_the_number_alone)
{
    static const char *const wrong[] = { "",           "2023-02-29", "2024-02-30",  "2023-04-31", "1900-02-29",
                                         "2023-13-01", "2023-00-10", "2023-01-00",  "2023-01-32", "0000-01-01",
                                         "2023-1-01",  "2023/01/01", "2023-01-01 ", "+023-01-01", "2023-01-0x" };
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        int32_t day = 42;
        cr_assert_not(civil_date_parse(wrong[i], &day), "%s", wrong[i]);
        cr_assert_eq(day, 42);
    }
    cr_assert_eq(day_of("2024-02-29") + 1, day_of("2024-03-01"));
}

Test(units, a_time_after_stays_below_never)
{
    cr_assert_eq(time_after(1, 2), 3);
    cr_assert_eq(time_after(NEVER_NS - 3, 1), NEVER_NS - 2);
    cr_assert_eq(time_after(NEVER_NS - 3, 2), NEVER_NS - 1);
    cr_assert_eq(time_after(NEVER_NS - 3, 3), NEVER_NS - 1);
    cr_assert_eq(time_after(5, UINT64_MAX), NEVER_NS - 1);
    cr_assert_eq(time_after(UINT64_MAX, 1), NEVER_NS - 1);
    cr_assert_eq(time_past(9), 10);
}

Test(units, sizes_align_up)
{
    cr_assert_eq(align_up(0, 8), 0);
    cr_assert_eq(align_up(1, 8), 8);
    cr_assert_eq(align_up(8, 8), 8);
    cr_assert_eq(align_up(4097, 4096), 8192);
}

Test(hash, sums_carry_into_the_high_half)
{
    struct hash128 sum = hash128_add((struct hash128){ UINT64_MAX, 1 }, (struct hash128){ 2, 3 });
    cr_assert_eq(sum.low, 1);
    cr_assert_eq(sum.high, 5);
    cr_assert_not(hash128_equal((struct hash128){ 1, 2 }, (struct hash128){ 1, 3 }));
    cr_assert_not(hash128_equal((struct hash128){ 1, 2 }, (struct hash128){ 2, 2 }));
}

Test(status, names_texts_and_classes_follow_the_map)
{
    cr_assert_str_eq(status_name(STATUS_SOLD_OUT), "SOLD_OUT");
    cr_assert_str_eq(status_name(9999), "UNKNOWN_STATUS");
    cr_assert_neq(strstr(status_text(STATUS_FENCED), "newer lease"), NULL);
    cr_assert_neq(status_text(9999), NULL);
    cr_assert_eq(status_class(STATUS_OK), STATUS_CLASS_DONE);
    cr_assert_eq(status_class(STATUS_SOLD_OUT), STATUS_CLASS_FINAL);
    cr_assert_eq(status_class(STATUS_TOO_LATE), STATUS_CLASS_UNTOUCHED);
    cr_assert_eq(status_class(9999), STATUS_CLASS_UNTOUCHED);
}
