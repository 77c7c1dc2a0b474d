/* What lies where: every struct of engine/command.h and net/protocol.h as a table of named fields, for whatever prints or checks bytes
 * field by field (the record printer, the golden bytes, PROTOCOL.md's tables).
 *
 * Offsets and sizes come from the compiler, names are the structs' own. The fields of a table are in order and cover it without a gap;
 * tests/net/test_fields.c holds that against this table, and the tables of PROTOCOL.md as well. */
#ifndef TOOLS_INNKEEP_WAL_FIELDS_H
#define TOOLS_INNKEEP_WAL_FIELDS_H

#include "net/protocol.h"

/* How a field is to be read. Numbers are little-endian, of the field's size. */
enum field_kind {
    FIELD_UNSIGNED,
    FIELD_SIGNED,
    FIELD_BITS, /* flags, magic numbers, checksums: shown in hexadecimal */
    FIELD_KEY,  /* 16 bytes, shown as a UUID is */
    FIELD_HASH, /* struct hash128 */
    FIELD_TEXT, /* UTF-8, zero padded */
    FIELD_DATE, /* i32 day number */
    FIELD_TIME, /* nanoseconds since 1970 */
    FIELD_INTERVAL,
    FIELD_STATUS,
    FIELD_OPERATION,
    FIELD_STATE, /* enum reservation_state */
    FIELD_LIMIT,
    FIELD_LEASE_STATE,
    FIELD_WHAT,         /* enum lookup_what */
    FIELD_EPOCH_REASON, /* enum epoch_reason */
    FIELD_RESERVED,
    FIELD_NESTED, /* another table: a header in front, limits, lines */
};

struct field_table;

struct field {
    const char *name;
    uint16_t offset;
    uint16_t size;
    enum field_kind kind;
    const struct field_table *nested; /* FIELD_NESTED only */
};

struct field_table {
    const char *name; /* the struct's */
    uint16_t size;
    uint16_t fields_count;
    const struct field *fields;
};

/* Every table there is: `index` from 0; NULL behind the last one. */
const struct field_table *field_table_at(uint32_t index);

/* By the struct's name; NULL if there is none. */
const struct field_table *field_table_find(const char *name);

/* The item of an operation; NULL for an unknown one. */
const struct field_table *field_table_of_item(uint8_t operation);

/* The fixed part of an operation's result; NULL for an unknown one, and for records that are not answered. */
const struct field_table *field_table_of_result(uint8_t operation);

/* "HELD", "TYPE": the name of a number in a field of that kind. NULL where the kind has no names or the number none. Static storage. */
const char *field_value_name(enum field_kind kind, uint64_t value);

/* The field of `bytes` (which the table begins at) as a number; FIELD_SIGNED and FIELD_DATE are sign-extended. Requires a size of 1, 2, 4 or 8. */
uint64_t field_number(const struct field *field, const void *bytes);

#endif
