#include "bench/failure.h"

#include <stdarg.h>
#include <stdio.h>

bool failure_set(struct failure *failure, int exit_code, const char *format, ...)
{
    REQUIRE(exit_code != EXIT_DONE);
    if (failure_is_set(failure))
        return false;
    failure->exit_code = exit_code;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(failure->text, sizeof failure->text, format, arguments);
    va_end(arguments);
    return false;
}
