/* Moments as people write them, and spans as they read them. */
#include "tools/innkeep-wal/moment.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static void expect_moment(const char *text, uint64_t expected_ns)
{
    uint64_t time_ns = 1;
    cr_assert(moment_parse(text, &time_ns), "%s", text);
    cr_assert_eq(time_ns, expected_ns, "%s", text);
}

Test(moment, rfc_3339_and_plain_nanoseconds_are_read)
{
    expect_moment("0", 0);
    expect_moment("1790000000000000001", UINT64_C(1790000000000000001));
    expect_moment("18446744073709551615", UINT64_MAX);
    expect_moment("1970-01-01T00:00:00Z", 0);
    expect_moment("2026-09-21T14:13:20.000000001Z", UINT64_C(1790000000000000001));
    expect_moment("2026-09-21 14:13:20.5z", UINT64_C(1790000000500000000));
    expect_moment("2026-09-21t16:13:20+02:00", UINT64_C(1790000000000000000));
    expect_moment("2026-09-21T10:43:20-03:30", UINT64_C(1790000000000000000));
    expect_moment("2000-02-29T00:00:00Z", UINT64_C(951782400000000000));
}

Test(moment, anything_else_is_refused_and_changes_nothing)
{
    static const char *const bad[] = { "",
                                       "now",
                                       "-1",
                                       "1x",
                                       "18446744073709551616",
                                       "2026-09-21",
                                       "2026-09-21T14:13:20",
                                       "2026-09-21T14:13Z",
                                       "2026-09-21T24:00:00Z",
                                       "2026-09-21T14:60:00Z",
                                       "2026-09-21T14:13:60Z",
                                       "2026-02-29T00:00:00Z",
                                       "2026-09-21T14:13:20.Z",
                                       "2026-09-21T14:13:20.1234567890Z",
                                       "2026-09-21T14:13:20Zx",
                                       "2026-09-21T14:13:20+2:00",
                                       "2026-09-21T14:13:20+24:00",
                                       "1969-12-31T23:59:59Z",
                                       "1970-01-01T00:00:00+00:01",
                                       "2700-01-01T00:00:00Z" };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        uint64_t time_ns = 42;
        cr_assert_not(moment_parse(bad[i], &time_ns), "%s", bad[i]);
        cr_assert_eq(time_ns, 42);
    }
}

Test(moment, a_clock_names_the_day_only_where_it_is_another)
{
    char text[MOMENT_CLOCK_SIZE];
    uint64_t time_ns = UINT64_C(1790000000123456789);
    cr_assert_str_eq(moment_clock(time_ns, moment_day(time_ns), text), "14:13:20.123456");
    cr_assert_str_eq(moment_clock(time_ns, moment_day(time_ns) - 1, text), "2026-09-21 14:13:20.123456");
    cr_assert_str_eq(moment_clock(NEVER_NS, 0, text), "never");
}

Test(moment, spans_are_short_and_never_in_powers_of_ten)
{
    static const struct {
        uint64_t span_ns;
        int digits;
        const char *text;
    } cases[] = { { 0, 2, "0 ns" },
                  { 999, 2, "999 ns" },
                  { 1500, 2, "1.5 us" },
                  { 250 * NS_PER_MS, 2, "250 ms" },
                  { 8940 * NS_PER_US, 2, "8.9 ms" },
                  { 2 * NS_PER_SECOND, 9, "2 s" },
                  { 2500 * NS_PER_MS, 9, "2.5 s" },
                  { NS_PER_MINUTE, 2, "1 min" },
                  { 200 * NS_PER_SECOND, 2, "3 min 20 s" },
                  { NS_PER_HOUR, 2, "1 h" },
                  { 90 * NS_PER_MINUTE, 2, "1 h 30 min" },
                  { 36 * NS_PER_HOUR, 2, "1 d 12 h" } };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char text[MOMENT_SPAN_SIZE];
        cr_assert_str_eq(moment_span(cases[i].span_ns, cases[i].digits, text), cases[i].text);
    }
}
