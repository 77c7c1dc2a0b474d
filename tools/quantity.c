#include "tools/quantity.h"

#include "engine/base/units.h"

#include <string.h>

/* Reads digits at *text and moves it behind them; false if there is none or too many. */
static bool digits_parse(const char **text, uint64_t *number)
{
    const char *start = *text;
    *number = 0;
    for (; **text >= '0' && **text <= '9'; (*text)++) {
        if (__builtin_mul_overflow(*number, 10u, number) ||
            __builtin_add_overflow(*number, (uint64_t)(**text - '0'), number))
            return false;
    }
    return *text != start;
}

static const struct {
    const char *name;
    uint64_t ns;
} duration_units[] = {
    /* Two letters before one, or "ms" would be taken for minutes. */
    { "ns", 1 },
    { "us", NS_PER_US },
    { "ms", NS_PER_MS },
    { "s", NS_PER_SECOND },
    { "m", NS_PER_MINUTE },
    { "h", NS_PER_HOUR },
    { "d", 24 * NS_PER_HOUR },
};

static bool unit_parse(const char **text, uint64_t *ns)
{
    for (size_t i = 0; i < ARRAY_COUNT(duration_units); i++) {
        size_t length = strlen(duration_units[i].name);
        if (strncmp(*text, duration_units[i].name, length) != 0)
            continue;
        *ns = duration_units[i].ns;
        *text += length;
        return true;
    }
    return false;
}

bool quantity_parse_duration(const char *text, uint64_t *ns)
{
    uint64_t total = 0;
    if (*text == '\0')
        return false;
    while (*text != '\0') {
        uint64_t number;
        uint64_t unit_ns = NS_PER_SECOND;
        if (!digits_parse(&text, &number))
            return false;
        bool bare = *text == '\0' && total == 0;
        if (!bare && !unit_parse(&text, &unit_ns))
            return false;
        if (__builtin_mul_overflow(number, unit_ns, &number) || __builtin_add_overflow(total, number, &total))
            return false;
    }
    *ns = total;
    return true;
}

bool quantity_parse_size(const char *text, uint64_t *bytes)
{
    static const char units[] = "KMGT";
    uint64_t number;
    if (!digits_parse(&text, &number))
        return false;
    const char *unit = *text == '\0' ? NULL : strchr(units, *text);
    if (unit != NULL) {
        uint64_t factor = (uint64_t)1 << (10 * (unit - units + 1));
        if (__builtin_mul_overflow(number, factor, &number))
            return false;
        text++;
        if (text[0] == 'i' && text[1] == 'B')
            text++;
    }
    if (*text == 'B')
        text++;
    if (*text != '\0')
        return false;
    *bytes = number;
    return true;
}

bool quantity_parse_number(const char *text, uint64_t least, uint64_t most, uint64_t *number)
{
    uint64_t value;
    if (!digits_parse(&text, &value) || *text != '\0' || value < least || value > most)
        return false;
    *number = value;
    return true;
}
