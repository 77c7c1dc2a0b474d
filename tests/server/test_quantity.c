#include "tools/quantity.h"

#include "engine/base/units.h"

#include <criterion/criterion.h>

Test(quantity, durations_read_as_people_write_them)
{
    static const struct {
        const char *text;
        uint64_t ns;
    } good[] = {
        { "90", 90 * NS_PER_SECOND },    { "0", 0 },
        { "500ms", 500 * NS_PER_MS },    { "15m", 15 * NS_PER_MINUTE },
        { "1h30m", 90 * NS_PER_MINUTE }, { "2d", 48 * NS_PER_HOUR },
        { "3us", 3 * NS_PER_US },        { "7ns", 7 },
    };
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        uint64_t ns = 0;
        cr_assert(quantity_parse_duration(good[i].text, &ns), "%s", good[i].text);
        cr_assert_eq(ns, good[i].ns, "%s", good[i].text);
    }
}

Test(quantity, other_durations_are_refused)
{
    static const char *bad[] = { "", "m", "1x", "-1s", "1.5h", "1h30", "99999999999d", "18446744073709551616", " 1s" };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        uint64_t ns = 42;
        cr_assert(!quantity_parse_duration(bad[i], &ns), "%s", bad[i]);
        cr_assert_eq(ns, 42);
    }
}

Test(quantity, sizes_are_powers_of_1024)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = { { "4096", 4096 },  { "64K", 64 * KIB }, { "1MiB", MIB },
                 { "2G", 2 * GIB }, { "3MB", 3 * MIB },  { "12B", 12 } };
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        uint64_t bytes = 0;
        cr_assert(quantity_parse_size(good[i].text, &bytes), "%s", good[i].text);
        cr_assert_eq(bytes, good[i].bytes, "%s", good[i].text);
    }
    static const char *bad[] = { "", "K", "1Q", "1KK", "-5", "99999999999999T", "1 M" };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        uint64_t bytes;
        cr_assert(!quantity_parse_size(bad[i], &bytes), "%s", bad[i]);
    }
}

Test(quantity, numbers_lie_between_their_bounds)
{
    uint64_t number = 0;
    cr_assert(quantity_parse_number("7", 7, 9, &number));
    cr_assert(quantity_parse_number("9", 7, 9, &number));
    cr_assert(!quantity_parse_number("6", 7, 9, &number));
    cr_assert(!quantity_parse_number("10", 7, 9, &number));
    cr_assert(!quantity_parse_number("8x", 7, 9, &number));
    cr_assert(!quantity_parse_number("", 0, 9, &number));
}
