#include "tools/innkeep-wal/moment.h"

#include "engine/base/civil_date.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NS_PER_DAY (24 * NS_PER_HOUR)

/* ---- Reading -------------------------------------------------------------------------------------------------------------- */

/* Exactly `count` digits; moves *at behind them. */
static bool digits_take(const char **at, int count, uint64_t *value)
{
    *value = 0;
    for (int i = 0; i < count; i++, (*at)++) {
        if (**at < '0' || **at > '9')
            return false;
        *value = *value * 10 + (uint64_t)(**at - '0');
    }
    return true;
}

static bool char_take(const char **at, const char *any)
{
    if (**at == '\0' || strchr(any, **at) == NULL)
        return false;
    (*at)++;
    return true;
}

static bool plain_parse(const char *text, uint64_t *time_ns)
{
    uint64_t value = 0;
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++)
        if (*text < '0' || *text > '9' || __builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
            return false;
    *time_ns = value;
    return true;
}

/* ".123" behind the seconds, if there is a point. */
static bool fraction_take(const char **at, uint64_t *ns)
{
    uint64_t unit = NS_PER_SECOND;
    *ns = 0;
    if (!char_take(at, "."))
        return true;
    for (; **at >= '0' && **at <= '9'; (*at)++) {
        unit /= 10;
        if (unit == 0)
            return false;
        *ns += unit * (uint64_t)(**at - '0');
    }
    return unit < NS_PER_SECOND;
}

/* "Z" or "+01:00": what is to be subtracted. */
static bool offset_take(const char **at, int64_t *offset_s)
{
    uint64_t hours;
    uint64_t minutes;
    *offset_s = 0;
    if (char_take(at, "Zz"))
        return true;
    int64_t sign = **at == '-' ? -1 : 1;
    if (!char_take(at, "+-") || !digits_take(at, 2, &hours) || !char_take(at, ":") || !digits_take(at, 2, &minutes))
        return false;
    *offset_s = sign * (int64_t)(hours * 3600 + minutes * 60);
    return hours < 24 && minutes < 60;
}

static bool date_take(const char **at, int32_t *day)
{
    char date[CIVIL_DATE_TEXT_SIZE] = "";
    strncpy(date, *at, CIVIL_DATE_TEXT_SIZE - 1);
    if (!civil_date_parse(date, day))
        return false;
    *at += CIVIL_DATE_TEXT_SIZE - 1;
    return true;
}

static bool rfc3339_parse(const char *text, uint64_t *time_ns)
{
    int32_t day;
    uint64_t hour;
    uint64_t minute;
    uint64_t second;
    uint64_t fraction_ns;
    int64_t offset_s;
    bool good = date_take(&text, &day) && char_take(&text, "Tt ") && digits_take(&text, 2, &hour) &&
                char_take(&text, ":") && digits_take(&text, 2, &minute) && char_take(&text, ":") &&
                digits_take(&text, 2, &second) && fraction_take(&text, &fraction_ns) && offset_take(&text, &offset_s) &&
                *text == '\0' && hour < 24 && minute < 60 && second < 60;
    if (!good)
        return false;
    int64_t total_s = (int64_t)day * 86400 + (int64_t)(hour * 3600 + minute * 60 + second) - offset_s;
    uint64_t total_ns;
    if (total_s < 0 || __builtin_mul_overflow((uint64_t)total_s, NS_PER_SECOND, &total_ns) ||
        __builtin_add_overflow(total_ns, fraction_ns, &total_ns))
        return false;
    *time_ns = total_ns;
    return true;
}

bool moment_parse(const char *text, uint64_t *time_ns)
{
    return plain_parse(text, time_ns) || rfc3339_parse(text, time_ns);
}

/* ---- Writing -------------------------------------------------------------------------------------------------------------- */

int32_t moment_day(uint64_t time_ns)
{
    return (int32_t)(time_ns / NS_PER_DAY);
}

char *moment_clock(uint64_t time_ns, int32_t day, char text[MOMENT_CLOCK_SIZE])
{
    char date[CIVIL_DATE_TEXT_SIZE] = "";
    uint64_t of_day_ns = time_ns % NS_PER_DAY;
    bool elsewhere = moment_day(time_ns) != day;
    if (time_ns == NEVER_NS)
        return memcpy(text, "never", sizeof "never");
    if (elsewhere)
        civil_date_format(moment_day(time_ns), date);
    snprintf(text, MOMENT_CLOCK_SIZE, "%s%s%02u:%02u:%02u.%06u", date, elsewhere ? " " : "",
             (unsigned)(of_day_ns / NS_PER_HOUR), (unsigned)(of_day_ns / NS_PER_MINUTE % 60),
             (unsigned)(of_day_ns / NS_PER_SECOND % 60), (unsigned)(of_day_ns / NS_PER_US % 1000000));
    return text;
}

char *moment_span(uint64_t span_ns, int digits, char text[MOMENT_SPAN_SIZE])
{
    static const struct {
        uint64_t unit_ns;
        uint64_t below_ns;
        const char *name;
    } units[] = { { 1, NS_PER_US, "ns" },
                  { NS_PER_US, NS_PER_MS, "us" },
                  { NS_PER_MS, NS_PER_SECOND, "ms" },
                  { NS_PER_SECOND, NS_PER_MINUTE, "s" } };
    for (size_t i = 0; i < ARRAY_COUNT(units); i++) {
        if (span_ns >= units[i].below_ns)
            continue;
        /* Not %g alone, which would write 250 ms in two digits as 2.5e+02. */
        double value = (double)span_ns / (double)units[i].unit_ns;
        int before = value >= 100 ? 3 : value >= 10 ? 2 : 1;
        snprintf(text, MOMENT_SPAN_SIZE, "%.*g %s", before > digits ? before : digits, value, units[i].name);
        return text;
    }
    uint64_t small_ns = span_ns < NS_PER_HOUR ? NS_PER_SECOND : span_ns < NS_PER_DAY ? NS_PER_MINUTE : NS_PER_HOUR;
    uint64_t large_ns = span_ns < NS_PER_HOUR ? NS_PER_MINUTE : span_ns < NS_PER_DAY ? NS_PER_HOUR : NS_PER_DAY;
    const char *large = span_ns < NS_PER_HOUR ? "min" : span_ns < NS_PER_DAY ? "h" : "d";
    const char *small = span_ns < NS_PER_HOUR ? "s" : span_ns < NS_PER_DAY ? "min" : "h";
    int length = snprintf(text, MOMENT_SPAN_SIZE, "%" PRIu64 " %s", span_ns / large_ns, large);
    if (span_ns % large_ns / small_ns != 0)
        snprintf(text + length, (size_t)(MOMENT_SPAN_SIZE - length), " %" PRIu64 " %s", span_ns % large_ns / small_ns,
                 small);
    return text;
}
