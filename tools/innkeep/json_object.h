/* JSON objects with what Innkeep's replies hold: unsigned 64-bit integers, dates, keys, times. Over jansson. */
#ifndef TOOLS_INNKEEP_JSON_OBJECT_H
#define TOOLS_INNKEEP_JSON_OBJECT_H

#include "net/include/innkeep/innkeep.h"

#include <jansson.h>

/* All of these put one member; running out of memory ends the program. */
void json_put_u64(json_t *object, const char *name, uint64_t value);
void json_put_i64(json_t *object, const char *name, int64_t value);
void json_put_bool(json_t *object, const char *name, int value);
void json_put_null(json_t *object, const char *name);
/* Bytes that are no printable ASCII and no valid UTF-8 come out as '?'. */
void json_put_text(json_t *object, const char *name, const char *value);
void json_put_key(json_t *object, const char *name, struct inn_key key);
void json_put_date(json_t *object, const char *name, int32_t day_number);
/* `name` as nanoseconds and `name`_text as RFC 3339; null both where time_ns is 0. */
void json_put_time(json_t *object, const char *name, uint64_t time_ns);
/* Takes over `value`. */
void json_put(json_t *object, const char *name, json_t *value);

/* Prints one line on stdout and frees the object. */
void json_print(json_t *object);

#endif
