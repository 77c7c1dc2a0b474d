/* What people and scripts read: times, keys, hashes, numbers beyond JSON, and names that clients chose. */
#include "tools/innkeep-wal/printer.h"

#include "tests/net/frames.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

Test(printer, times_are_rfc_3339_with_nanoseconds)
{
    char text[PRINTER_TIME_SIZE];
    cr_assert_str_eq(printer_time(0, text), "1970-01-01T00:00:00.000000000Z");
    cr_assert_str_eq(printer_time(UINT64_C(1790000000000000001), text), "2026-09-21T14:13:20.000000001Z");
    cr_assert_str_eq(printer_time(UINT64_C(951782399999999999), text), "2000-02-28T23:59:59.999999999Z");
    cr_assert_str_eq(printer_time(NEVER_NS - 1, text), "2554-07-21T23:34:33.709551614Z");
    cr_assert_str_eq(printer_time(NEVER_NS, text), "never");
}

Test(printer, keys_are_their_bytes_in_order)
{
    char text[PRINTER_KEY_SIZE];
    static const uint8_t bytes[16] = { 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                                       0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff };
    cr_assert_str_eq(printer_key(bytes, text), "00112233-4455-6677-8899-aabbccddeeff");
}

Test(printer, hashes_are_one_number_high_half_first)
{
    char text[PRINTER_HASH_SIZE];
    cr_assert_str_eq(printer_hash((struct hash128){ .low = 1, .high = 0xab }, text),
                     "00000000000000ab0000000000000001");
}

Test(printer, numbers_beyond_what_json_readers_hold_are_strings)
{
    json_t *small = printer_json_number(INT64_MAX);
    json_t *large = printer_json_number(UINT64_MAX);
    cr_assert(json_is_integer(small));
    cr_assert_eq(json_integer_value(small), INT64_MAX);
    cr_assert_str_eq(json_string_value(large), "18446744073709551615");
    json_decref(small);
    json_decref(large);
}

/* The text of a record; the caller frees it. */
static char *text_of(const void *record)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    cr_assert_not_null(out);
    printer_record_text(out, record);
    fclose(out);
    return text;
}

static void expect_owner(const char owner[OWNER_SIZE], const char *shown)
{
    struct lease_acquire acquire = record_acquire(1, 2, 3, 4);
    char expected[256];
    memcpy(acquire.owner, owner, OWNER_SIZE);
    char *text = text_of(&acquire);
    snprintf(expected, sizeof expected, " owner=\"%s\"", shown);
    cr_assert_not_null(strstr(text, expected), "\"%s\" not in \"%s\"", expected, text);
    free(text);
    json_t *object = json_object();
    printer_record_json(object, &acquire.header);
    cr_assert_str_eq(json_string_value(json_object_get(object, "owner")), shown);
    json_decref(object);
}

Test(printer, an_owner_cannot_command_the_terminal)
{
    expect_owner((const char[OWNER_SIZE]){ "desk 3" }, "desk 3");
    expect_owner((const char[OWNER_SIZE]){ "\x1b[2J" }, "\\x1b[2J");
    expect_owner((const char[OWNER_SIZE]){ "a\nb\"c\\d\x7f" }, "a\\x0ab\\x22c\\x5cd\\x7f");
    expect_owner((const char[OWNER_SIZE]){ "Zimmermädchen" }, "Zimmermädchen");
    expect_owner((const char[OWNER_SIZE]){ "\xc2\x9b" }, "\\xc2\\x9b"); /* a control character of two bytes */
    expect_owner((const char[OWNER_SIZE]){ "\xff\xfe" }, "\\xff\\xfe");
    expect_owner((const char[OWNER_SIZE]){ "caf\xc3" }, "caf\\xc3"); /* cut off in the middle */
}

Test(printer, an_owner_may_fill_its_field)
{
    char owner[OWNER_SIZE];
    char shown[4 * OWNER_SIZE + 1] = "";
    memset(owner, '\t', sizeof owner);
    for (size_t i = 0; i < OWNER_SIZE; i++)
        memcpy(shown + 4 * i, "\\x09", 5);
    expect_owner(owner, shown);
}

Test(printer, zero_fields_are_left_out_of_text_and_kept_in_json)
{
    struct reserve reserve = record_reserve(1, 2, 0, 3, 0, 4, 0);
    char *text = text_of(&reserve);
    cr_assert_null(strstr(text, "hold_ns"));
    cr_assert_null(strstr(text, "arrival")); /* day 0 */
    free(text);
    json_t *object = json_object();
    printer_record_json(object, &reserve.mutation.header);
    cr_assert_eq(json_integer_value(json_object_get(object, "hold_ns")), 0);
    cr_assert_str_eq(json_string_value(json_object_get(object, "arrival")), "1970-01-01");
    cr_assert_eq(json_array_size(json_object_get(object, "lines")), 1);
    cr_assert_null(json_object_get(object, "reserved"));
    json_decref(object);
}

Test(printer, a_record_of_a_kind_unknown_here_shows_its_header)
{
    struct barrier strange = { .header = { .size = sizeof strange, .kind = 77, .version = 1, .property = 5 } };
    char *text = text_of(&strange);
    cr_assert_str_eq(text, " property=5");
    free(text);
}

Test(printer, a_date_that_is_none_is_shown_as_its_number)
{
    struct mutation_result result = { .header = { .size = sizeof result, .status = STATUS_SOLD_OUT },
                                      .night = INT32_MIN };
    json_t *object = printer_result_json(OPERATION_RESERVE, &result.header);
    cr_assert_eq(json_integer_value(json_object_get(object, "night")), INT32_MIN);
    json_decref(object);
}

Test(printer, a_bare_result_has_status_and_reason_and_nothing_more)
{
    struct result_header result = { .size = sizeof result, .status = STATUS_OVERLOADED };
    json_t *object = printer_result_json(OPERATION_RESERVE, &result);
    cr_assert_str_eq(json_string_value(json_object_get(object, "status")), "OVERLOADED");
    cr_assert_str_eq(json_string_value(json_object_get(object, "reason")), status_text(STATUS_OVERLOADED));
    cr_assert_null(json_object_get(object, "night"));
    json_decref(object);
}
