#include "tools/innkeep/values.h"

#include "engine/base/units.h"
#include "net/include/innkeep/innkeep.h"
#include "tools/quantity.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

bool value_weekdays(const char *text, uint8_t *value)
{
    static const char *const names[] = { "mon", "tue", "wed", "thu", "fri", "sat", "sun" };
    uint8_t mask = 0;
    for (const char *at = text;; at += 4) {
        uint8_t bit = 0;
        for (size_t day = 0; day < ARRAY_COUNT(names); day++)
            if (strncasecmp(at, names[day], 3) == 0)
                bit = (uint8_t)(1u << day);
        if (bit == 0 || (at[3] != ',' && at[3] != '\0'))
            return false;
        mask |= bit;
        if (at[3] == '\0')
            break;
    }
    *value = mask;
    return true;
}

bool value_resource(const char *text, uint64_t *value)
{
    if (text[0] == '\0')
        return false;
    if (text[strspn(text, "0123456789")] == '\0')
        return quantity_parse_number(text, 0, UINT64_MAX, value);
    *value = inn_resource_of_name(text);
    return true;
}

bool value_fence(const char *text, struct fence *value)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL || colon == text)
        return false;
    struct fence fence;
    char *resource = strndup(text, (size_t)(colon - text));
    bool good = resource != NULL && value_resource(resource, &fence.resource) &&
                quantity_parse_number(colon + 1, 0, UINT64_MAX, &fence.token);
    free(resource);
    if (good)
        *value = fence;
    return good;
}

char *value_time_text(uint64_t time_ns, char text[VALUE_TIME_TEXT_SIZE])
{
    time_t seconds = (time_t)(time_ns / NS_PER_SECOND);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    char front[24];
    strftime(front, sizeof front, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text, VALUE_TIME_TEXT_SIZE, "%s.%09" PRIu64 "Z", front, time_ns % NS_PER_SECOND);
    return text;
}

char *value_duration_text(uint64_t duration_ns, char text[VALUE_DURATION_TEXT_SIZE])
{
    if (duration_ns < NS_PER_MS)
        snprintf(text, VALUE_DURATION_TEXT_SIZE, "%" PRIu64 " us", duration_ns / NS_PER_US);
    else if (duration_ns < NS_PER_SECOND)
        snprintf(text, VALUE_DURATION_TEXT_SIZE, "%.3g ms", (double)duration_ns / (double)NS_PER_MS);
    else if (duration_ns < 2 * NS_PER_MINUTE)
        snprintf(text, VALUE_DURATION_TEXT_SIZE, "%.3g s", (double)duration_ns / (double)NS_PER_SECOND);
    else if (duration_ns < 2 * NS_PER_HOUR)
        snprintf(text, VALUE_DURATION_TEXT_SIZE, "%" PRIu64 " min %" PRIu64 " s", duration_ns / NS_PER_MINUTE,
                 duration_ns / NS_PER_SECOND % 60);
    else
        snprintf(text, VALUE_DURATION_TEXT_SIZE, "%" PRIu64 " h %" PRIu64 " min", duration_ns / NS_PER_HOUR,
                 duration_ns / NS_PER_MINUTE % 60);
    return text;
}
