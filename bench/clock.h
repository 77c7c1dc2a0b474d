/* The clocks of a measurement: the one that never jumps, and the processor time used. */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H

#include "engine/base/units.h"

#include <time.h>

/* Nanoseconds on a clock that only goes forward; its zero means nothing. */
static inline uint64_t clock_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

/* Processor time of the calling thread so far, user and system. */
static inline uint64_t clock_thread_cpu_ns(void)
{
    struct timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * NS_PER_SECOND + (uint64_t)used.tv_nsec;
}

static inline double clock_seconds(uint64_t duration_ns)
{
    return (double)duration_ns / (double)NS_PER_SECOND;
}

#endif
