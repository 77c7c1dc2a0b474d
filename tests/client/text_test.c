/* Keys, dates, names and the verdicts' texts. */
#include "net/include/innkeep/innkeep.h"

#include <criterion/criterion.h>
#include <string.h>

Test(text, a_key_is_its_uuid_byte_by_byte)
{
    struct inn_key key;
    char text[INN_KEY_TEXT_SIZE];
    cr_assert_eq(inn_key_parse("00112233-4455-6677-8899-AABBCCDDEEFF", &key), INN_OK);
    for (unsigned i = 0; i < 16; i++)
        cr_assert_eq(key.bytes[i], i * 0x11);
    cr_assert_str_eq(inn_key_format(key, text), "00112233-4455-6677-8899-aabbccddeeff");
}

Test(text, what_is_no_uuid_is_refused)
{
    static const char *const wrong[] = {
        "",
        "00112233-4455-6677-8899-aabbccddeef",
        "00112233-4455-6677-8899-aabbccddeeff0",
        "00112233-4455-6677-8899-aabbccddeefg",
        "001122334455-6677-8899-aabbccddeeff-",
        "00112233445566778899aabbccddeeff",
        "{0112233-4455-6677-8899-aabbccddeeff",
        " 0112233-4455-6677-8899-aabbccddeeff",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct inn_key key = { { 7 } };
        cr_assert_eq(inn_key_parse(wrong[i], &key), INN_BAD_ARGUMENT, "%s", wrong[i]);
        cr_assert_eq(key.bytes[0], 7);
    }
}

Test(text, random_keys_differ_and_are_version_4)
{
    struct inn_key a = inn_key_random();
    struct inn_key b = inn_key_random();
    cr_assert_neq(memcmp(&a, &b, sizeof a), 0);
    cr_assert_eq(a.bytes[6] >> 4, 4);
    cr_assert_eq(a.bytes[8] >> 6, 2);
}

Test(text, dates_are_exact)
{
    int32_t day = -1;
    char text[INN_DATE_TEXT_SIZE];
    cr_assert_eq(inn_date_parse("1970-01-02", &day), INN_OK);
    cr_assert_eq(day, 1);
    cr_assert_eq(inn_date_parse("2026-02-29", &day), INN_BAD_ARGUMENT);
    cr_assert_eq(day, 1);
    cr_assert_str_eq(inn_date_format(20811, text), "2026-12-24");
    cr_assert_str_eq(inn_date_format(INT32_MAX, text), "?");
    cr_assert_str_eq(inn_date_format(INT32_MIN, text), "?");
}

Test(text, a_named_resource_is_the_known_hash)
{
    /* The known answer of PROTOCOL.md, "Checksum". */
    cr_assert_eq(inn_resource_of_name("innkeep"), UINT64_C(0xc6534031ff14f7a0));
}

Test(text, properties_go_to_the_shards_of_the_protocol)
{
    cr_assert_eq(inn_shard_of_property(1, 2), 0);
    cr_assert_eq(inn_shard_of_property(2, 2), 1);
    cr_assert_eq(inn_shard_of_property(42, 64), 41);
    cr_assert_eq(inn_shard_of_property(UINT64_MAX, 8), 5);
}

Test(text, every_verdict_has_a_name_and_a_sentence)
{
    static const int own[] = { INN_UNKNOWN, INN_NO_ANSWER, INN_BAD_ARGUMENT, INN_PROTOCOL_ERROR,
                               INN_FULL,    INN_CLOSED,    INN_NO_MEMORY };
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        cr_assert_str_neq(inn_verdict_name(own[i]), "UNKNOWN_STATUS");
        cr_assert_gt(strlen(inn_verdict_text(own[i])), 5);
    }
    cr_assert_str_eq(inn_verdict_name(INN_SOLD_OUT), "SOLD_OUT");
    cr_assert_str_eq(inn_verdict_name(-100), "UNKNOWN_STATUS");
    cr_assert_str_eq(inn_verdict_name(70000), "UNKNOWN_STATUS");
    cr_assert_str_eq(inn_operation_name(INN_LEASE_SHOW), "lease_show");
    cr_assert_str_eq(inn_operation_name(9999), "unknown");
    cr_assert_str_eq(inn_reservation_state_name(INN_RESERVATION_EXPIRED), "expired");
    cr_assert_str_eq(inn_limit_name(INN_LIMIT_LEASES), "leases");
    cr_assert_str_eq(inn_limit_name(5), "unknown");
}
