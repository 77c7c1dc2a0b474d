/* The bytes of every message, held against tests/net/golden/ and against what PROTOCOL.md prints. Renew both with golden_write. */
#include "tests/net/golden_text.h"

#include "tests/net/text_file.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static char *golden_file_read(const struct golden *golden)
{
    char path[512];
    snprintf(path, sizeof path, "%s/tests/net/golden/%s.hex", INNKEEP_SOURCE_DIR, golden->name);
    return text_file_read(path);
}

Test(golden, every_message_is_built_from_its_structs_to_the_golden_bytes)
{
    for (uint32_t i = 0; i < golden_messages_count; i++) {
        const struct golden *golden = &golden_messages[i];
        union golden_bytes built;
        golden_build(golden, &built);
        char *text = golden_file_read(golden);
        uint8_t bytes[GOLDEN_SIZE_MAX];
        size_t size = golden_parse(text, bytes, sizeof bytes);
        cr_assert_eq(size, built.header.size, "%s: %zu bytes in the file, %u built", golden->name, size,
                     built.header.size);
        cr_assert_arr_eq(bytes, built.bytes, size, "%s", golden->name);
        free(text);
    }
}

Test(golden, the_comments_of_the_golden_files_are_right_too)
{
    for (uint32_t i = 0; i < golden_messages_count; i++) {
        char *file = golden_file_read(&golden_messages[i]);
        char *text = golden_text(&golden_messages[i]);
        cr_assert_str_eq(file, text, "%s", golden_messages[i].name);
        free(file);
        free(text);
    }
}

Test(golden, every_golden_message_passes_the_checks_of_whoever_receives_it)
{
    for (uint32_t i = 0; i < golden_messages_count; i++) {
        union golden_bytes built;
        golden_build(&golden_messages[i], &built);
        cr_assert_eq(message_header_check(&built.header, MESSAGE_SIZE_MAX), STATUS_OK, "%s", golden_messages[i].name);
        cr_assert_eq(message_check(&built.header), STATUS_OK, "%s", golden_messages[i].name);
    }
}

Test(golden, every_golden_item_is_one_that_a_server_takes)
{
    for (uint32_t i = 0; i < golden_messages_count; i++) {
        union golden_bytes built;
        golden_build(&golden_messages[i], &built);
        if (golden_messages[i].reply)
            continue;
        const struct record_header *item = message_item_first(&built.header);
        for (uint32_t n = 0; n < built.header.items_count; n++, item = message_item_next(item)) {
            enum status verdict = command_check(item, item->size);
            cr_assert_eq(verdict, STATUS_OK, "%s: %s", golden_messages[i].name, status_name((uint16_t)verdict));
        }
    }
}

Test(golden, every_operation_of_the_wire_has_a_golden_request_and_a_golden_reply)
{
#define COVERED(operation_name, number, item, class)                                          \
    if (OPERATION_CLASS_##class != OPERATION_CLASS_SYSTEM) {                                  \
        bool request = false;                                                                 \
        bool reply = false;                                                                   \
        for (uint32_t i = 0; i < golden_messages_count; i++) {                                \
            request |= golden_messages[i].operation == (number) && !golden_messages[i].reply; \
            reply |= golden_messages[i].operation == (number) && golden_messages[i].reply;    \
        }                                                                                     \
        cr_assert(request &&reply, "%s", #operation_name);                                    \
    }
    OPERATION_MAP(COVERED)
#undef COVERED
}

/* What PROTOCOL.md has between two markers, which stand alone in their lines; the caller frees it. */
static char *document_section(const char *begin_marker, const char *end_marker)
{
    char *document = text_file_read(INNKEEP_SOURCE_DIR "/net/PROTOCOL.md");
    char *begin = strstr(document, begin_marker);
    char *end = strstr(document, end_marker);
    cr_assert_not_null(begin);
    cr_assert_not_null(end);
    begin += strlen(begin_marker);
    char *section = strndup(begin, (size_t)(end - begin));
    free(document);
    return section;
}

Test(golden, the_appendix_of_the_protocol_document_shows_the_same_bytes)
{
    char *section = document_section(GOLDEN_BEGIN, GOLDEN_END);
    char *appendix = golden_appendix();
    cr_assert_str_eq(section, appendix);
    free(section);
    free(appendix);
}

Test(golden, the_worked_exchange_of_the_protocol_document_shows_the_same_bytes)
{
    char *section = document_section(EXCHANGE_BEGIN, EXCHANGE_END);
    char *exchange = golden_exchange();
    cr_assert_str_eq(section, exchange);
    free(section);
    free(exchange);
}

Test(golden, text_that_is_not_hexadecimal_is_not_taken_for_bytes)
{
    uint8_t bytes[4];
    cr_assert_eq(golden_parse("01 02 # 03\n04", bytes, sizeof bytes), 3);
    cr_assert_eq(golden_parse("0x", bytes, sizeof bytes), SIZE_MAX);
    cr_assert_eq(golden_parse("1", bytes, sizeof bytes), SIZE_MAX);
    cr_assert_eq(golden_parse("0102030405", bytes, sizeof bytes), SIZE_MAX);
}
