/* Records and results for people and for scripts: fields by their protocol names, as text or as JSON.
 *
 * Numbers that JSON's readers commonly hold in 64 signed bits are written as such; larger ones, up to 2^64-1, as strings of digits. */
#ifndef TOOLS_INNKEEP_WAL_PRINTER_H
#define TOOLS_INNKEEP_WAL_PRINTER_H

#include "engine/engine.h"

#include <jansson.h>
#include <stdio.h>

#define PRINTER_TIME_SIZE 40 /* "2026-11-23T06:19:19.123456789Z" and its terminator */
#define PRINTER_KEY_SIZE 37  /* "00112233-4455-6677-8899-aabbccddeeff" and its terminator */
#define PRINTER_HASH_SIZE 33 /* 32 hexadecimal digits, high half first, and the terminator */

#define PRINTER_TEXT_SIZE (OWNER_SIZE * 4 + 1)

/* RFC 3339 with nanoseconds, UTC; "never" for NEVER_NS. Returns text. */
char *printer_time(uint64_t time_ns, char text[PRINTER_TIME_SIZE]);
/* 16 bytes in order, grouped as a UUID is. Returns text. */
char *printer_key(const void *bytes, char text[PRINTER_KEY_SIZE]);
char *printer_hash(struct hash128 hash, char text[PRINTER_HASH_SIZE]);

/* A name of at most OWNER_SIZE bytes that a client chose, zero padded, with everything escaped that a terminal might obey. Returns text. */
char *printer_text(const char *bytes, size_t size, char text[PRINTER_TEXT_SIZE]);

/* A u64 as JSON: an integer, or a string beyond INT64_MAX. Never NULL. */
json_t *printer_json_number(uint64_t value);

/* " name=value ..." for each field that is not zero, and neither size, kind nor version. A record of an unknown kind prints its header only. Requires
 * a record that lies wholly in memory. */
void printer_record_text(FILE *out, const struct record_header *record);

/* "STATUS name=value ... (reason)". `operation` is the record's. */
void printer_result_text(FILE *out, uint8_t operation, const struct result_header *result);

/* Every field but size, kind, version and reserved ones, into `object`. */
void printer_record_json(json_t *object, const struct record_header *record);

/* "status", "reason", "replayed", "not_kept", "original_lsn" and every field of the result's own, into a new object. */
json_t *printer_result_json(uint8_t operation, const struct result_header *result);

#endif
