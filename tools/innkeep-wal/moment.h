/* Moments and spans as people write and read them. */
#ifndef TOOLS_INNKEEP_WAL_MOMENT_H
#define TOOLS_INNKEEP_WAL_MOMENT_H

#include "engine/base/contract.h"
#include "engine/base/units.h"

#include <stdbool.h>

#define MOMENT_CLOCK_SIZE 32 /* "2026-11-23 06:19:19.123456" and its terminator */
#define MOMENT_SPAN_SIZE 32  /* "106751 d 23 h" and its terminator */

/* Reads RFC 3339 ("2026-11-23T06:19:19.5Z", "2026-11-23T07:19:19+01:00"; a space may stand for the T, and up to nine digits behind the
 * point) or plain nanoseconds since 1970. False, and *time_ns untouched, for anything else, and for what lies before 1970 or beyond 2554. */
MUST_USE bool moment_parse(const char *text, uint64_t *time_ns);

/* The day number of a moment, in UTC. */
int32_t moment_day(uint64_t time_ns);

/* "06:19:19.123456", in UTC and cut to microseconds; with the date in front unless the moment lies on `day`. "never" for NEVER_NS. */
char *moment_clock(uint64_t time_ns, int32_t day, char text[MOMENT_CLOCK_SIZE]);

/* "2 s", "1.25 ms", "3 min 20 s": so many digits at most, or two units from a minute on. */
char *moment_span(uint64_t span_ns, int digits, char text[MOMENT_SPAN_SIZE]);

#endif
