/* The ordinary way to report a broken contract: one line on stderr, then abort. Lives outside the engine's archive,
 * which must not reach stdio. */
#include "engine/base/contract.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void contract_broken(const char *kind, const char *condition, const char *file, int line,
                               const char *function)
{
    fprintf(stderr, "innkeep: broken contract: %s:%d: %s: %s(%s)\n", file, line, function, kind, condition);
    abort();
}
