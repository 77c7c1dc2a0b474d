#include "bench/arguments.h"

#include "bench/failure.h"
#include "engine/base/units.h"

#include <errno.h>
#include <stdlib.h>

uint64_t argument_number(const struct argp_state *state, const char *option, const char *text, struct bounds bounds)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    bool number = text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0;
    if (!number || value < bounds.min || value > bounds.max)
        argp_error(state, "--%s: '%s' is not a number from %llu to %llu", option, text, (unsigned long long)bounds.min,
                   (unsigned long long)bounds.max);
    return value;
}

uint64_t argument_seconds(const struct argp_state *state, const char *option, const char *text, struct bounds bounds)
{
    char *end = NULL;
    errno = 0;
    double value = strtod(text, &end);
    bool number = ((text[0] >= '0' && text[0] <= '9') || text[0] == '.') && *end == '\0' && errno == 0;
    if (!number || value < (double)bounds.min || value > (double)bounds.max)
        argp_error(state, "--%s: '%s' is not a number of seconds from %llu to %llu", option, text,
                   (unsigned long long)bounds.min, (unsigned long long)bounds.max);
    return (uint64_t)(value * (double)NS_PER_SECOND);
}
