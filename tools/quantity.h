/* Quantities as people write them on a command line: durations, sizes, plain numbers. */
#ifndef TOOLS_QUANTITY_H
#define TOOLS_QUANTITY_H

#include "engine/base/contract.h"

#include <stdbool.h>
#include <stdint.h>

/* "90" (seconds), "500ms", "15m", "1h30m", "2d": parts of number and unit (ns, us, ms, s, m, h, d), the largest first or not. False, and *ns
 * untouched, for anything else or what does not fit. */
MUST_USE bool quantity_parse_duration(const char *text, uint64_t *ns);

/* "4096", "64K", "512M", "2G", "1T": powers of 1,024, with or without "iB" or "B". False as above. */
MUST_USE bool quantity_parse_size(const char *text, uint64_t *bytes);

/* A whole number in decimal between least and most. False as above. */
MUST_USE bool quantity_parse_number(const char *text, uint64_t least, uint64_t most, uint64_t *number);

#endif
