/* What people write on the command line, as numbers: weekdays, resources, fences (durations
 * and plain numbers: tools/quantity.h). Each reader takes exactly
 * its form and nothing else, and leaves *value alone where it says false. */
#ifndef TOOLS_INNKEEP_VALUES_H
#define TOOLS_INNKEEP_VALUES_H

#include "engine/base/contract.h"

#include <stdbool.h>
#include <stdint.h>

/* "mon,tue,sun" as a mask, bit 0 = Monday. */
MUST_USE bool value_weekdays(const char *text, uint8_t *value);

/* A number is taken as it is; any other text that is not empty becomes inn_resource_of_name of it. */
MUST_USE bool value_resource(const char *text, uint64_t *value);

struct fence {
    uint64_t resource;
    uint64_t token;
};

/* "RESOURCE:TOKEN", split at the last colon. */
MUST_USE bool value_fence(const char *text, struct fence *value);

#define VALUE_TIME_TEXT_SIZE 40
#define VALUE_DURATION_TEXT_SIZE 32

/* Nanoseconds since 1970 as RFC 3339: "2026-12-24T15:00:00.000000001Z". Returns text. */
char *value_time_text(uint64_t time_ns, char text[VALUE_TIME_TEXT_SIZE]);

/* "1.5 s", "103 us", "2 h 5 min": for people. Returns text. */
char *value_duration_text(uint64_t duration_ns, char text[VALUE_DURATION_TEXT_SIZE]);

#endif
