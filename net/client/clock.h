/* The local monotonic clock, and what it tells of the server's: the newest time that came from the server plus the time
 * since. Up to the drift between the two clocks that is a lower bound, because an answer is read after it was written.
 */
#ifndef NET_CLIENT_CLOCK_H
#define NET_CLIENT_CLOCK_H

#include "engine/base/units.h"

#include <time.h>

struct server_clock {
    uint64_t server_ns; /* seen, at ... */
    uint64_t seen_ns;   /* ... this local time */
};

static inline uint64_t clock_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec * NS_PER_SECOND + (uint64_t)t.tv_nsec;
}

static inline uint64_t server_clock_at(const struct server_clock *clock, uint64_t now_ns)
{
    return clock->server_ns + (now_ns - clock->seen_ns);
}

/* A connection begins: hello told the server's clock. What was reckoned before is given up, because a server that was
 * restarted may have a clock that was set back; log time itself never goes back, so what was seen of it stays. */
static inline void server_clock_start(struct server_clock *clock, uint64_t hello_ns, uint64_t log_time_ns,
                                      uint64_t now_ns)
{
    *clock = (struct server_clock){ .server_ns = hello_ns > log_time_ns ? hello_ns : log_time_ns, .seen_ns = now_ns };
}

/* Some result carried log_time_ns. Older news than what is known changes nothing. */
static inline void server_clock_observe(struct server_clock *clock, uint64_t log_time_ns, uint64_t now_ns)
{
    if (log_time_ns > server_clock_at(clock, now_ns))
        *clock = (struct server_clock){ .server_ns = log_time_ns, .seen_ns = now_ns };
}

#endif
