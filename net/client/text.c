/* Names, keys and dates as text; nothing here touches a connection. */
#include "engine/base/civil_date.h"
#include "net/client/item.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

/* X(number, name, text): the verdicts of this library. */
#define VERDICT_MAP(X)                                                                                               \
    X(INN_UNKNOWN, "UNKNOWN",                                                                                        \
      "the request was sent and not answered: it may have taken effect, or may until its deadline; look its key up") \
    X(INN_NO_ANSWER, "NO_ANSWER", "nothing was sent, or a question was not answered; nothing has changed")           \
    X(INN_BAD_ARGUMENT, "BAD_ARGUMENT", "an argument cannot be read; nothing was sent")                              \
    X(INN_PROTOCOL_ERROR, "PROTOCOL_ERROR", "what came from the server is not the protocol")                         \
    X(INN_FULL, "FULL", "as many requests are under way as the pipeline was opened for")                             \
    X(INN_CLOSED, "CLOSED", "the connection is gone")                                                                \
    X(INN_NO_MEMORY, "NO_MEMORY", "out of memory")

const char *inn_verdict_name(int verdict)
{
    switch (verdict) {
#define VERDICT_NAME(number, name, text) \
    case number:                         \
        return name;
        VERDICT_MAP(VERDICT_NAME)
#undef VERDICT_NAME
    default:
        return verdict < 0 || verdict > UINT16_MAX ? "UNKNOWN_STATUS" : status_name((uint16_t)verdict);
    }
}

const char *inn_verdict_text(int verdict)
{
    switch (verdict) {
#define VERDICT_TEXT(number, name, text) \
    case number:                         \
        return text;
        VERDICT_MAP(VERDICT_TEXT)
#undef VERDICT_TEXT
    default:
        return verdict < 0 || verdict > UINT16_MAX ? "a verdict this version does not know"
                                                   : status_text((uint16_t)verdict);
    }
}

static const char *name_at(const char *const names[], size_t names_count, unsigned number)
{
    return number < names_count && names[number] != NULL ? names[number] : "unknown";
}

const char *inn_operation_name(unsigned operation)
{
    static const char *const names[] = {
        [INN_PROPERTY_CREATE] = "property_create",
        [INN_ROOM_TYPE_CREATE] = "room_type_create",
        [INN_ROOMS_SET] = "rooms_set",
        [INN_RESERVE] = "reserve",
        [INN_CONFIRM] = "confirm",
        [INN_RELEASE] = "release",
        [INN_CANCEL] = "cancel",
        [INN_LEASE_ACQUIRE] = "lease_acquire",
        [INN_LEASE_RENEW] = "lease_renew",
        [INN_LEASE_RELEASE] = "lease_release",
        [INN_BARRIER] = "barrier",
        [INN_RAISE_LEVEL] = "raise_level",
        [INN_LOOKUP] = "lookup",
        [INN_CALENDAR] = "calendar",
        [INN_LEASE_SHOW] = "lease_show",
        [INN_STATUS] = "status",
        [INN_SNAPSHOT] = "snapshot",
        [INN_HELLO] = "hello",
    };
    return name_at(names, ARRAY_COUNT(names), operation);
}

const char *inn_reservation_state_name(unsigned state)
{
    static const char *const names[] = { "none", "held", "confirmed", "released", "expired", "cancelled" };
    return name_at(names, ARRAY_COUNT(names), state);
}

const char *inn_lease_state_name(unsigned state)
{
    static const char *const names[] = { "none", "live", "expired", "released" };
    return name_at(names, ARRAY_COUNT(names), state);
}

const char *inn_limit_name(unsigned limit)
{
    static const char *const names[] = {
        [INN_LIMIT_NONE] = "none",
        [INN_LIMIT_TYPE] = "room type",
        [INN_LIMIT_HOUSE] = "house",
        [INN_LIMIT_PROPERTIES] = "properties",
        [INN_LIMIT_ROOM_TYPES] = "room types",
        [INN_LIMIT_RESERVATIONS] = "reservations",
        [INN_LIMIT_OUTCOMES] = "kept outcomes",
        [INN_LIMIT_LEASES] = "leases",
    };
    return name_at(names, ARRAY_COUNT(names), limit);
}

/* ---- Keys -------------------------------------------------------------------------------------------------------- */

struct inn_key inn_key_random(void)
{
    struct inn_key key;
    size_t filled = 0;
    while (filled < sizeof key) {
        ssize_t got = getrandom(key.bytes + filled, sizeof key - filled, 0);
        if (got < 0 && errno != EINTR)
            abort();
        if (got > 0)
            filled += (size_t)got;
    }
    key.bytes[6] = (uint8_t)((key.bytes[6] & 0x0fu) | 0x40u);
    key.bytes[8] = (uint8_t)((key.bytes[8] & 0x3fu) | 0x80u);
    return key;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool dash_before_byte(size_t byte)
{
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

int inn_key_parse(const char *text, struct inn_key *key)
{
    struct inn_key parsed;
    const char *at = text;
    for (size_t byte = 0; byte < sizeof parsed; byte++) {
        if (dash_before_byte(byte) && *at++ != '-')
            return INN_BAD_ARGUMENT;
        int high = hex_value(at[0]);
        int low = high < 0 ? -1 : hex_value(at[1]);
        if (low < 0)
            return INN_BAD_ARGUMENT;
        parsed.bytes[byte] = (uint8_t)(high << 4 | low);
        at += 2;
    }
    if (*at != '\0')
        return INN_BAD_ARGUMENT;
    *key = parsed;
    return INN_OK;
}

char *inn_key_format(struct inn_key key, char text[INN_KEY_TEXT_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    char *at = text;
    for (size_t byte = 0; byte < sizeof key; byte++) {
        if (dash_before_byte(byte))
            *at++ = '-';
        *at++ = digits[key.bytes[byte] >> 4];
        *at++ = digits[key.bytes[byte] & 0x0fu];
    }
    *at = '\0';
    return text;
}

/* ---- Dates and numbers ------------------------------------------------------------------------------------------- */

int inn_date_parse(const char *text, int32_t *day_number)
{
    return civil_date_parse(text, day_number) ? INN_OK : INN_BAD_ARGUMENT;
}

char *inn_date_format(int32_t day_number, char text[INN_DATE_TEXT_SIZE])
{
    static_assert(INN_DATE_TEXT_SIZE == CIVIL_DATE_TEXT_SIZE, "the same text");
    if (day_number < DAY_NUMBER_MIN || day_number > DAY_NUMBER_MAX)
        return memcpy(text, "?", 2);
    return civil_date_format(day_number, text);
}

uint64_t inn_resource_of_name(const char *name)
{
    uint64_t resource = hash64(name, strlen(name), 0);
    return resource != 0 ? resource : 1;
}

uint32_t inn_shard_of_property(uint64_t property, uint32_t shards)
{
    return shard_of_property(property, shards);
}
