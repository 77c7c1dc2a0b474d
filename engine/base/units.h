/* Units and small arithmetic shared by every layer. Times are nanoseconds since 1970-01-01 UTC unless a name says
 * otherwise; sizes are bytes. */
#ifndef ENGINE_BASE_UNITS_H
#define ENGINE_BASE_UNITS_H

#include <stddef.h>
#include <stdint.h>

#define NS_PER_US ((uint64_t)1000)
#define NS_PER_MS ((uint64_t)1000 * NS_PER_US)
#define NS_PER_SECOND ((uint64_t)1000 * NS_PER_MS)
#define NS_PER_MINUTE ((uint64_t)60 * NS_PER_SECOND)
#define NS_PER_HOUR ((uint64_t)60 * NS_PER_MINUTE)

#define KIB ((size_t)1024)
#define MIB ((size_t)1024 * KIB)
#define GIB ((size_t)1024 * MIB)

#define NEVER_NS UINT64_MAX /* a deadline that does not come */

#define ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* `alignment` is a power of two. */
static inline size_t align_up(size_t value, size_t alignment)
{
    return (value + alignment - 1) & ~(alignment - 1);
}

#endif
