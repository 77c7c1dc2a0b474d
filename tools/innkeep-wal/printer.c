#include "tools/innkeep-wal/printer.h"

#include "engine/base/civil_date.h"
#include "tools/innkeep-wal/fields.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- Single values ----------------------------------------------------------------------------------------------------- */

char *printer_time(uint64_t time_ns, char text[PRINTER_TIME_SIZE])
{
    time_t seconds = (time_t)(time_ns / NS_PER_SECOND);
    struct tm utc;
    if (time_ns == NEVER_NS || gmtime_r(&seconds, &utc) == NULL) {
        snprintf(text, PRINTER_TIME_SIZE, "never");
        return text;
    }
    size_t length = strftime(text, PRINTER_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text + length, PRINTER_TIME_SIZE - length, ".%09" PRIu64 "Z", time_ns % NS_PER_SECOND);
    return text;
}

char *printer_key(const void *bytes, char text[PRINTER_KEY_SIZE])
{
    const uint8_t *b = bytes;
    char *at = text;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        snprintf(at, 3, "%02x", b[i]);
        at += 2;
    }
    return text;
}

char *printer_hash(struct hash128 hash, char text[PRINTER_HASH_SIZE])
{
    snprintf(text, PRINTER_HASH_SIZE, "%016" PRIx64 "%016" PRIx64, hash.high, hash.low);
    return text;
}

json_t *printer_json_number(uint64_t value)
{
    char digits[24];
    if (value <= INT64_MAX)
        return json_integer((json_int_t)value);
    snprintf(digits, sizeof digits, "%" PRIu64, value);
    return json_string(digits);
}

#define TEXT_SIZE PRINTER_TEXT_SIZE

/* Names come from clients: what is not plain is escaped, so that a terminal shows it and does not obey it. UTF-8 is kept whole or not
 * at all. */
char *printer_text(const char *bytes, size_t size, char text[PRINTER_TEXT_SIZE])
{
    size_t length = strnlen(bytes, size);
    json_t *probe = json_stringn(bytes, length);
    bool utf8 = probe != NULL;
    char *at = text;
    REQUIRE(size <= OWNER_SIZE);
    json_decref(probe);
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)bytes[i];
        /* Two bytes beginning with C2 80..9F are control characters as well. */
        bool c1 = c == 0xc2 && i + 1 < length && (unsigned char)bytes[i + 1] < 0xa0;
        bool plain = c >= 0x80 ? utf8 && !c1 : c >= 0x20 && c != 0x7f && c != '"' && c != '\\';
        if (plain)
            *at++ = bytes[i];
        else
            at += snprintf(at, 5, "\\x%02x", c);
        if (c1 && utf8)
            at += snprintf(at, 5, "\\x%02x", (unsigned char)bytes[++i]);
    }
    *at = '\0';
    return text;
}

static bool date_is_valid(int32_t day_number)
{
    return day_number >= DAY_NUMBER_MIN && day_number <= DAY_NUMBER_MAX;
}

static struct hash128 hash_at(const struct field *field, const void *bytes)
{
    struct hash128 hash;
    memcpy(&hash, (const uint8_t *)bytes + field->offset, sizeof hash);
    return hash;
}

/* What a reader already knows, or need not know. */
static bool field_is_dull(const struct field *field)
{
    return field->kind == FIELD_RESERVED || strcmp(field->name, "size") == 0 || strcmp(field->name, "kind") == 0 ||
           strcmp(field->name, "version") == 0;
}

static bool field_is_zero(const struct field *field, const void *bytes)
{
    const uint8_t *at = (const uint8_t *)bytes + field->offset;
    for (uint32_t i = 0; i < field->size; i++)
        if (at[i] != 0)
            return false;
    return true;
}

/* ---- Text ----------------------------------------------------------------------------------------------------------------- */

static void number_text(FILE *out, const struct field *field, const void *bytes)
{
    char text[PRINTER_TIME_SIZE];
    uint64_t value = field_number(field, bytes);
    const char *name = field_value_name(field->kind, value);
    if (name != NULL)
        fputs(name, out);
    else if (field->kind == FIELD_TIME)
        fputs(printer_time(value, text), out);
    else if (field->kind == FIELD_DATE && date_is_valid((int32_t)value))
        fputs(civil_date_format((int32_t)value, text), out);
    else if (field->kind == FIELD_BITS)
        fprintf(out, "0x%" PRIx64, value);
    else if (field->kind == FIELD_SIGNED || field->kind == FIELD_DATE)
        fprintf(out, "%" PRId64, (int64_t)value);
    else
        fprintf(out, "%" PRIu64, value);
}

static void field_text(FILE *out, const struct field *field, const void *bytes)
{
    char text[TEXT_SIZE];
    const uint8_t *at = (const uint8_t *)bytes + field->offset;
    fprintf(out, " %s=", field->name);
    if (field->kind == FIELD_KEY)
        fputs(printer_key(at, text), out);
    else if (field->kind == FIELD_HASH)
        fputs(printer_hash(hash_at(field, bytes), text), out);
    else if (field->kind == FIELD_TEXT)
        fprintf(out, "\"%s\"", printer_text((const char *)at, field->size, text));
    else
        number_text(out, field, bytes);
}

static void table_text(FILE *out, const struct field_table *table, const void *bytes)
{
    for (uint32_t i = 0; i < table->fields_count; i++) {
        const struct field *field = &table->fields[i];
        if (field->kind == FIELD_NESTED)
            table_text(out, field->nested, (const uint8_t *)bytes + field->offset);
        else if (!field_is_dull(field) && !field_is_zero(field, bytes))
            field_text(out, field, bytes);
    }
}

/* The record's table, or its header's where the kind is unknown or the record too short for it. */
static const struct field_table *record_table(const struct record_header *record)
{
    const struct field_table *table = field_table_of_item(record->kind);
    return table != NULL && record->size >= table->size ? table : field_table_find("record_header");
}

void printer_record_text(FILE *out, const struct record_header *record)
{
    table_text(out, record_table(record), record);
}

/* A result's own fields, without its header. NULL where the header is all there is. */
static const struct field_table *result_table(uint8_t operation, const struct result_header *result)
{
    const struct field_table *table = field_table_of_result(operation);
    return table != NULL && result->size >= table->size ? table : NULL;
}

void printer_result_text(FILE *out, uint8_t operation, const struct result_header *result)
{
    const struct field_table *table = result_table(operation, result);
    fputs(status_name(result->status), out);
    if ((result->flags & RESULT_REPLAYED) != 0)
        fputs(" replayed", out);
    if ((result->flags & RESULT_NOT_KEPT) != 0)
        fputs(" not_kept", out);
    if (result->original_lsn != 0)
        fprintf(out, " original_lsn=%" PRIu64, result->original_lsn);
    for (uint32_t i = 1; table != NULL && i < table->fields_count; i++)
        if (table->fields[i].kind != FIELD_RESERVED && !field_is_zero(&table->fields[i], result))
            field_text(out, &table->fields[i], result);
    if (result->status != STATUS_OK)
        fprintf(out, " (%s)", status_text(result->status));
}

/* ---- JSON ----------------------------------------------------------------------------------------------------------------- */

static void object_set(json_t *object, const char *name, json_t *value)
{
    int result = json_object_set_new(object, name, value);
    ENSURE(result == 0); /* memory ran out, or text that is not UTF-8 got past printer_text */
}

static json_t *number_json(const struct field *field, const void *bytes)
{
    char date[CIVIL_DATE_TEXT_SIZE];
    uint64_t value = field_number(field, bytes);
    const char *name = field_value_name(field->kind, value);
    if (name != NULL)
        return json_string(name);
    if (field->kind == FIELD_DATE && date_is_valid((int32_t)value))
        return json_string(civil_date_format((int32_t)value, date));
    if (field->kind == FIELD_SIGNED || field->kind == FIELD_DATE)
        return json_integer((json_int_t)value);
    return printer_json_number(value);
}

static json_t *field_json(const struct field *field, const void *bytes)
{
    char text[TEXT_SIZE];
    const uint8_t *at = (const uint8_t *)bytes + field->offset;
    if (field->kind == FIELD_KEY)
        return json_string(printer_key(at, text));
    if (field->kind == FIELD_HASH)
        return json_string(printer_hash(hash_at(field, bytes), text));
    if (field->kind == FIELD_TEXT)
        return json_string(printer_text((const char *)at, field->size, text));
    return number_json(field, bytes);
}

/* Headers and what mutations begin with lie flat in the object; a line or limits are objects of their own. */
static void table_json(json_t *object, const struct field_table *table, const void *bytes)
{
    for (uint32_t i = 0; i < table->fields_count; i++) {
        const struct field *field = &table->fields[i];
        const uint8_t *at = (const uint8_t *)bytes + field->offset;
        bool flat = strcmp(field->name, "header") == 0 || strcmp(field->name, "mutation") == 0;
        if (field->kind == FIELD_NESTED && flat) {
            table_json(object, field->nested, at);
        } else if (field->kind == FIELD_NESTED) {
            json_t *inner = json_object();
            table_json(inner, field->nested, at);
            object_set(object, field->name, inner);
        } else if (!field_is_dull(field)) {
            object_set(object, field->name, field_json(field, bytes));
        }
    }
}

/* In the protocol `lines` is an array, though this version's has one element. */
static void lines_to_array(json_t *object)
{
    json_t *line = json_object_get(object, "lines");
    if (line == NULL)
        return;
    json_t *array = json_array();
    int result = json_array_append(array, line);
    ENSURE(result == 0);
    object_set(object, "lines", array);
}

void printer_record_json(json_t *object, const struct record_header *record)
{
    table_json(object, record_table(record), record);
    lines_to_array(object);
}

json_t *printer_result_json(uint8_t operation, const struct result_header *result)
{
    const struct field_table *table = result_table(operation, result);
    json_t *object = json_object();
    object_set(object, "status", json_string(status_name(result->status)));
    object_set(object, "reason", json_string(status_text(result->status)));
    object_set(object, "replayed", json_boolean(result->flags & RESULT_REPLAYED));
    object_set(object, "not_kept", json_boolean(result->flags & RESULT_NOT_KEPT));
    object_set(object, "original_lsn", printer_json_number(result->original_lsn));
    for (uint32_t i = 1; table != NULL && i < table->fields_count; i++)
        if (table->fields[i].kind != FIELD_RESERVED)
            object_set(object, table->fields[i].name, field_json(&table->fields[i], result));
    return object;
}
