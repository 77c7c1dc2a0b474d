#include "tools/innkeep-wal/tool.h"

#include <stdarg.h>
#include <stdio.h>

enum tool_exit tool_refuse(const char *format, ...)
{
    va_list arguments;
    fputs("innkeep-wal: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return TOOL_UNREADABLE;
}
