/* Why a run could not end well: an exit code and a sentence for the person who started it. */
#ifndef BENCH_FAILURE_H
#define BENCH_FAILURE_H

#include "engine/base/contract.h"

#include <stdbool.h>

enum exit_code {
    EXIT_DONE = 0,
    EXIT_REFUSED = 1,   /* the server answered what it should not have, or the run went wrong in another way */
    EXIT_USAGE = 2,     /* the arguments, or the files they name */
    EXIT_NO_ANSWER = 3, /* the server is gone, or some outcomes are unknown */
};

#define FAILURE_TEXT_SIZE 512

/* All zero: nothing failed. */
struct failure {
    int exit_code;
    char text[FAILURE_TEXT_SIZE];
};

/* Notes the first failure; later ones are consequences and are dropped. Returns false, for the convenience of callers whose result
 * says whether all went well. */
__attribute__((format(printf, 3, 4))) bool failure_set(struct failure *failure, int exit_code, const char *format, ...);

static inline bool failure_is_set(const struct failure *failure)
{
    return failure->exit_code != EXIT_DONE;
}

#endif
