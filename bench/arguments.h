/* What the parsers of all commands share: numbers with bounds, and how a usage error ends. */
#ifndef BENCH_ARGUMENTS_H
#define BENCH_ARGUMENTS_H

#include <argp.h>
#include <stdint.h>

struct bounds {
    uint64_t min;
    uint64_t max;
};

/* Reads a decimal number within the bounds; anything else is a usage error that names `option` and ends the process with
 * EXIT_USAGE. */
uint64_t argument_number(const struct argp_state *state, const char *option, const char *text, struct bounds bounds);

/* The same for a duration in seconds, with a fraction if wanted ("0.5"); gives nanoseconds. The bounds are seconds. */
uint64_t argument_seconds(const struct argp_state *state, const char *option, const char *text, struct bounds bounds);

#endif
