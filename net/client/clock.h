/* The local monotonic clock, and what it tells of the server's log time: the newest log time seen plus the time since
 * is a lower bound, because an answer is read after the frame it speaks of was sealed. */
#ifndef NET_CLIENT_CLOCK_H
#define NET_CLIENT_CLOCK_H

#include "engine/base/units.h"

#include <time.h>

struct server_clock {
    uint64_t log_time_ns; /* seen, at ... */
    uint64_t seen_ns;     /* ... this local time */
};

static inline uint64_t clock_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec * NS_PER_SECOND + (uint64_t)t.tv_nsec;
}

static inline uint64_t server_clock_at(const struct server_clock *clock, uint64_t now_ns)
{
    return clock->log_time_ns + (now_ns - clock->seen_ns);
}

/* Some result carried log_time_ns. Older news than what is known changes nothing. */
static inline void server_clock_observe(struct server_clock *clock, uint64_t log_time_ns, uint64_t now_ns)
{
    if (log_time_ns > server_clock_at(clock, now_ns))
        *clock = (struct server_clock){ .log_time_ns = log_time_ns, .seen_ns = now_ns };
}

#endif
