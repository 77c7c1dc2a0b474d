/* The field tables against the structs, and PROTOCOL.md's tables against the field tables. */
#include "tools/innkeep-wal/fields.h"

#include "tests/net/text_file.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Test(fields, the_fields_of_every_struct_cover_it_without_a_gap)
{
    for (uint32_t i = 0; field_table_at(i) != NULL; i++) {
        const struct field_table *table = field_table_at(i);
        uint32_t at = 0;
        for (uint32_t f = 0; f < table->fields_count; f++) {
            cr_assert_eq(table->fields[f].offset, at, "%s.%s", table->name, table->fields[f].name);
            at += table->fields[f].size;
        }
        cr_assert_eq(at, table->size, "%s", table->name);
    }
}

Test(fields, a_nested_table_is_as_large_as_its_field)
{
    for (uint32_t i = 0; field_table_at(i) != NULL; i++) {
        const struct field_table *table = field_table_at(i);
        for (uint32_t f = 0; f < table->fields_count; f++) {
            const struct field *field = &table->fields[f];
            cr_assert_eq(field->kind == FIELD_NESTED, field->nested != NULL, "%s.%s", table->name, field->name);
            if (field->nested != NULL)
                cr_assert_eq(field->size % field->nested->size, 0, "%s.%s", table->name, field->name);
        }
    }
}

Test(fields, numbers_are_read_with_their_sign)
{
    struct calendar_night night = { .sellable = -5, .sold = 65535, .held = 1, .available = -32768 };
    const struct field_table *table = field_table_find("calendar_night");
    cr_assert_eq((int64_t)field_number(&table->fields[0], &night), -5);
    cr_assert_eq(field_number(&table->fields[1], &night), 65535);
    cr_assert_eq((int64_t)field_number(&table->fields[3], &night), -32768);
}

Test(fields, names_of_numbers_are_those_of_the_protocol)
{
    cr_assert_str_eq(field_value_name(FIELD_STATE, RESERVATION_CANCELLED), "CANCELLED");
    cr_assert_str_eq(field_value_name(FIELD_LIMIT, LIMIT_LEASES), "LEASES");
    cr_assert_str_eq(field_value_name(FIELD_OPERATION, OPERATION_RESERVE), "RESERVE");
    cr_assert_str_eq(field_value_name(FIELD_STATUS, STATUS_SOLD_OUT), "SOLD_OUT");
    cr_assert_null(field_value_name(FIELD_STATE, 6));
    cr_assert_null(field_value_name(FIELD_LIMIT, 3));
    cr_assert_null(field_value_name(FIELD_UNSIGNED, 1));
}

/* ---- PROTOCOL.md ------------------------------------------------------------------------------------------------------ */

static const char *line_next(const char *line)
{
    const char *end = strchr(line, '\n');
    cr_assert_not_null(end, "the document ends inside a table");
    return end + 1;
}

/* Holds the table that `line` (a heading) begins with against the table: one row a field, no more. */
static void table_check(const struct field_table *table, const char *line)
{
    cr_assert(strncmp(line, "| offset | size | field |", 25) == 0, "%s: no table behind its marker", table->name);
    line = line_next(line_next(line));
    for (uint32_t f = 0; f < table->fields_count; f++, line = line_next(line)) {
        const struct field *field = &table->fields[f];
        char row[128];
        snprintf(row, sizeof row, "| %u | %u | `%s` |", field->offset, field->size, field->name);
        cr_assert(strncmp(line, row, strlen(row)) == 0, "%s: expected \"%s\", found \"%.60s\"", table->name, row, line);
    }
    cr_assert_neq(*line, '|', "%s: a row too many", table->name);
}

Test(protocol_document, every_table_of_fields_says_what_the_compiler_says)
{
    char *document = text_file_read(INNKEEP_SOURCE_DIR "/net/PROTOCOL.md");
    for (uint32_t i = 0; field_table_at(i) != NULL; i++) {
        const struct field_table *table = field_table_at(i);
        char marker[128];
        snprintf(marker, sizeof marker, "<!-- fields: %s -->\n", table->name);
        const char *found = strstr(document, marker);
        bool system = strstr(table->name, "_record") != NULL; /* in the log only: FORMAT.md */
        cr_assert_eq(found == NULL, system, "%s", table->name);
        if (found != NULL)
            table_check(table, found + strlen(marker));
    }
    free(document);
}

Test(protocol_document, the_table_of_statuses_is_complete_and_in_order)
{
    char *document = text_file_read(INNKEEP_SOURCE_DIR "/net/PROTOCOL.md");
    const char *line = strstr(document, "<!-- statuses -->\n");
    cr_assert_not_null(line);
    line = line_next(line_next(line_next(line)));
    static const char *const classes[] = { "done", "final", "untouched" };
    for (uint32_t number = 0; number <= UINT16_MAX; number++) {
        const char *name = status_name((uint16_t)number);
        if (strcmp(name, "UNKNOWN_STATUS") == 0)
            continue;
        char row[512];
        snprintf(row, sizeof row, "| %u | `%s` | %s | %s |\n", number, name, classes[status_class((uint16_t)number)],
                 status_text((uint16_t)number));
        cr_assert(strncmp(line, row, strlen(row)) == 0, "expected \"%s\", found \"%.80s\"", row, line);
        line = line_next(line);
    }
    cr_assert_neq(*line, '|', "a status too many");
    free(document);
}

Test(protocol_document, the_table_of_operations_is_complete_and_in_order)
{
    char *document = text_file_read(INNKEEP_SOURCE_DIR "/net/PROTOCOL.md");
    const char *line = strstr(document, "<!-- operations -->\n");
    cr_assert_not_null(line);
    line = line_next(line_next(line_next(line)));
#define OPERATION_ROW(operation, number, item_struct, class)                                            \
    if (OPERATION_CLASS_##class != OPERATION_CLASS_SYSTEM) {                                            \
        const struct field_table *item = field_table_of_item(number);                                   \
        const struct field_table *result = field_table_of_result(number);                               \
        char row[256];                                                                                  \
        char tail[64];                                                                                  \
        snprintf(row, sizeof row, "| %u | %s | ", (unsigned)(number), #operation);                      \
        snprintf(tail, sizeof tail, " | %u | `%s`, %u", item->size, result->name, result->size);        \
        cr_assert(strncmp(line, row, strlen(row)) == 0, "expected \"%s\", found \"%.60s\"", row, line); \
        const char *at = strstr(line, tail);                                                            \
        cr_assert(at != NULL && at < line_next(line), "expected \"%s\" in \"%.90s\"", tail, line);      \
        line = line_next(line);                                                                         \
    }
    OPERATION_MAP(OPERATION_ROW)
#undef OPERATION_ROW
    cr_assert_neq(*line, '|', "an operation too many");
    free(document);
}
