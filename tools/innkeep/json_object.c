/* jansson knows signed 64-bit integers only. A number beyond them is kept as a string that begins with a control
 * character, which no text of ours does, and becomes a number in the line that is printed. */
#include "tools/innkeep/json_object.h"
#include "tools/innkeep/values.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BIG_NUMBER_MARK "\x01"
#define BIG_NUMBER_DUMPED "\"\\u0001" /* how jansson writes the mark */

void json_put(json_t *object, const char *name, json_t *value)
{
    if (json_object_set_new(object, name, value) == 0)
        return;
    fputs("innkeep: out of memory\n", stderr);
    exit(3);
}

void json_put_u64(json_t *object, const char *name, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, BIG_NUMBER_MARK "%" PRIu64, value);
    json_put(object, name, value <= INT64_MAX ? json_integer((json_int_t)value) : json_string(text));
}

void json_put_i64(json_t *object, const char *name, int64_t value)
{
    json_put(object, name, json_integer(value));
}

void json_put_bool(json_t *object, const char *name, int value)
{
    json_put(object, name, json_boolean(value));
}

void json_put_null(json_t *object, const char *name)
{
    json_put(object, name, json_null());
}

void json_put_text(json_t *object, const char *name, const char *value)
{
    char *copy = strdup(value);
    if (copy == NULL) {
        json_put(object, name, NULL);
        return;
    }
    for (char *at = copy; *at != '\0'; at++)
        if ((unsigned char)*at < ' ' || *at == '\x7f')
            *at = '?';
    json_t *text = json_string(copy);
    for (char *at = copy; text == NULL && *at != '\0'; at++)
        if ((unsigned char)*at >= 0x80)
            *at = '?';
    json_put(object, name, text != NULL ? text : json_string(copy));
    free(copy);
}

void json_put_key(json_t *object, const char *name, struct inn_key key)
{
    char text[INN_KEY_TEXT_SIZE];
    json_put(object, name, json_string(inn_key_format(key, text)));
}

void json_put_date(json_t *object, const char *name, int32_t day_number)
{
    char text[INN_DATE_TEXT_SIZE];
    json_put(object, name, json_string(inn_date_format(day_number, text)));
}

void json_put_time(json_t *object, const char *name, uint64_t time_ns)
{
    char name_text[48];
    char text[VALUE_TIME_TEXT_SIZE];
    snprintf(name_text, sizeof name_text, "%s_text", name);
    if (time_ns == 0) {
        json_put_null(object, name);
        json_put_null(object, name_text);
        return;
    }
    json_put_u64(object, name, time_ns);
    json_put(object, name_text, json_string(value_time_text(time_ns, text)));
}

/* Prints the dump with the marked strings as the numbers they stand for. */
static void print_numbers_bare(const char *dump)
{
    const char *at = dump;
    for (const char *mark; (mark = strstr(at, BIG_NUMBER_DUMPED)) != NULL;) {
        const char *digits = mark + strlen(BIG_NUMBER_DUMPED);
        size_t digits_count = strspn(digits, "0123456789");
        fwrite(at, 1, (size_t)(mark - at), stdout);
        fwrite(digits, 1, digits_count, stdout);
        at = digits + digits_count + 1;
    }
    puts(at);
}

void json_print(json_t *object)
{
    char *dump = json_dumps(object, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(object);
    if (dump == NULL) {
        fputs("innkeep: out of memory\n", stderr);
        exit(3);
    }
    print_numbers_bare(dump);
    free(dump);
    fflush(stdout);
}
