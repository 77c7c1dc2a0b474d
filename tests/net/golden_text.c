#include "tests/net/golden_text.h"

#include "engine/base/civil_date.h"
#include "tools/innkeep-wal/fields.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define BYTES_WIDTH 24 /* columns of eight bytes; longer fields push their comment out */

static void write_value(FILE *out, const struct field *field, const uint8_t *bytes)
{
    if (field->kind == FIELD_RESERVED || field->kind == FIELD_KEY)
        return;
    if (field->kind == FIELD_TEXT) {
        fprintf(out, " = \"%.*s\"", (int)field->size, (const char *)bytes + field->offset);
        return;
    }
    if (field->kind == FIELD_HASH)
        return;
    uint64_t value = field_number(field, bytes);
    const char *name = field_value_name(field->kind, value);
    char date[CIVIL_DATE_TEXT_SIZE];
    if (field->kind == FIELD_BITS)
        fprintf(out, " = 0x%llx", (unsigned long long)value);
    else if (field->kind == FIELD_SIGNED || field->kind == FIELD_DATE)
        fprintf(out, " = %lld", (long long)value);
    else
        fprintf(out, " = %llu", (unsigned long long)value);
    if (name != NULL)
        fprintf(out, " %s", name);
    if (field->kind == FIELD_DATE && value != 0)
        fprintf(out, " (%s)", civil_date_format((int32_t)value, date));
}

static void write_field(FILE *out, const struct field *field, const uint8_t *bytes, uint32_t base)
{
    int width = 0;
    for (uint32_t i = 0; i < field->size; i++)
        width += fprintf(out, "%02x ", bytes[field->offset + i]);
    fprintf(out, "%*s# %3u %s", width < BYTES_WIDTH ? BYTES_WIDTH - width : 0, "", base + field->offset, field->name);
    write_value(out, field, bytes);
    fputc('\n', out);
}

/* The fields of one struct, those of nested ones in their place; `base` is where it begins in its item. */
static void write_fields(FILE *out, const struct field_table *table, const uint8_t *bytes, uint32_t base)
{
    for (uint32_t i = 0; i < table->fields_count; i++) {
        const struct field *field = &table->fields[i];
        if (field->kind == FIELD_NESTED)
            write_fields(out, field->nested, bytes + field->offset, base + field->offset);
        else
            write_field(out, field, bytes, base);
    }
}

static void write_calendar_tail(FILE *out, const uint8_t *part)
{
    const struct calendar_result *result = (const struct calendar_result *)(const void *)part;
    uint32_t at = sizeof *result;
    for (uint32_t type = 0; type < result->types_count; type++) {
        write_fields(out, field_table_find("calendar_type"), part + at, at);
        at += (uint32_t)sizeof(struct calendar_type);
        for (uint32_t night = 0; night < result->nights; night++, at += (uint32_t)sizeof(struct calendar_night))
            write_fields(out, field_table_find("calendar_night"), part + at, at);
    }
}

static uint32_t write_result(FILE *out, uint8_t operation, const uint8_t *part, uint32_t number)
{
    const struct result_header *result = (const struct result_header *)(const void *)part;
    const struct field_table *table = field_table_of_result(operation);
    if (table == NULL || result->size < table->size)
        table = field_table_find("result_header");
    fprintf(out, "# result %u: %s\n", number, table->name);
    write_fields(out, table, part, 0);
    if (strcmp(table->name, "calendar_result") == 0)
        write_calendar_tail(out, part);
    return result->size;
}

static uint32_t write_item(FILE *out, uint8_t operation, const uint8_t *part, uint32_t number)
{
    const struct field_table *table = field_table_of_item(operation);
    REQUIRE(table != NULL);
    fprintf(out, "# item %u: %s\n", number, table->name);
    write_fields(out, table, part, 0);
    return table->size;
}

void golden_text_write(FILE *out, const struct golden *golden)
{
    union golden_bytes message;
    golden_build(golden, &message);
    fprintf(out, "# %s\n# message header\n", golden->title);
    write_fields(out, field_table_find("message_header"), message.bytes, 0);
    uint32_t at = sizeof(struct message_header);
    for (uint32_t i = 0; i < message.header.items_count; i++) {
        const uint8_t *part = message.bytes + at;
        at +=
            golden->reply ? write_result(out, golden->operation, part, i) : write_item(out, golden->operation, part, i);
    }
    ENSURE(at == message.header.size);
}

char *golden_text(const struct golden *golden)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    REQUIRE(out != NULL);
    golden_text_write(out, golden);
    fclose(out);
    return text;
}

char *golden_appendix(void)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    REQUIRE(out != NULL);
    for (uint32_t i = 0; i < golden_messages_count; i++) {
        fprintf(out, "\n### %s\n\n```\n", golden_messages[i].name);
        golden_text_write(out, &golden_messages[i]);
        fprintf(out, "```\n");
    }
    fputc('\n', out);
    fclose(out);
    return text;
}

static const struct {
    const char *name;
    const char *says;
} exchange[] = {
    { "hello", "client: HELLO" },
    { "hello_reply", "server: version 1, two shards" },
    { "reserve", "client: RESERVE property 42, one room of type 2, three nights from 2026-11-23" },
    { "reserve_reply", "server: OK, confirmed at LSN 1000" },
    { "reserve", "client: the same bytes again, as after a lost reply" },
    { "reserve_replayed_reply", "server: LSN 1003 has the outcome of LSN 1000, flag REPLAYED" },
};

static const struct golden *golden_find(const char *name)
{
    for (uint32_t i = 0; i < golden_messages_count; i++)
        if (strcmp(golden_messages[i].name, name) == 0)
            return &golden_messages[i];
    REQUIRE(name == NULL);
    return NULL;
}

static void dump_write(FILE *out, const uint8_t *bytes, uint32_t size)
{
    for (uint32_t at = 0; at < size; at += 16) {
        fprintf(out, "    %04x ", at);
        for (uint32_t i = at; i < at + 16 && i < size; i++)
            fprintf(out, i % 8 == 0 ? "  %02x" : " %02x", bytes[i]);
        fputc('\n', out);
    }
}

char *golden_exchange(void)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    REQUIRE(out != NULL);
    for (uint32_t i = 0; i < ARRAY_COUNT(exchange); i++) {
        union golden_bytes message;
        golden_build(golden_find(exchange[i].name), &message);
        fprintf(out, "\n%u. %s ([field by field](#%s)), %u bytes:\n\n", i + 1, exchange[i].says, exchange[i].name,
                message.header.size);
        dump_write(out, message.bytes, message.header.size);
    }
    fputc('\n', out);
    fclose(out);
    return text;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t golden_parse(const char *text, uint8_t *bytes, size_t size_max)
{
    size_t size = 0;
    while (*text != '\0') {
        if (*text == '#') {
            text += strcspn(text, "\n");
        } else if (isspace((unsigned char)*text)) {
            text++;
        } else {
            if (hex_digit(text[0]) < 0 || hex_digit(text[1]) < 0 || size == size_max)
                return SIZE_MAX;
            bytes[size++] = (uint8_t)(hex_digit(text[0]) * 16 + hex_digit(text[1]));
            text += 2;
        }
    }
    return size;
}
