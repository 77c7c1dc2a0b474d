/* Counts of durations, from which percentiles are read with an error below 1 %.
 *
 * Log-linear: each power of two is cut into 128 equal buckets, values below 256 have a bucket each. A percentile is the upper
 * end of its bucket, so it is never flattered, and at most 1/128 too large; the maximum is exact.
 * Source of the layout: Gil Tene, HdrHistogram. */
#ifndef ENGINE_BASE_HISTOGRAM_H
#define ENGINE_BASE_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BITS 7
#define HISTOGRAM_PER_POWER (1u << HISTOGRAM_BITS)
#define HISTOGRAM_BUCKETS ((64 - HISTOGRAM_BITS + 1) * HISTOGRAM_PER_POWER)

/* All zero is empty. */
struct histogram {
    uint64_t count;
    uint64_t max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

static inline uint32_t histogram_bucket(uint64_t value)
{
    uint32_t top = 63u - (uint32_t)__builtin_clzll(value | 1);
    uint32_t shift = top > HISTOGRAM_BITS ? top - HISTOGRAM_BITS : 0;
    return (shift << HISTOGRAM_BITS) + (uint32_t)(value >> shift);
}

static inline void histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram->count++;
    histogram->max = value > histogram->max ? value : histogram->max;
    histogram->buckets[histogram_bucket(value)]++;
}

/* The smallest bucket end that at least `share` of the values do not exceed; never above the maximum. 0 < share <= 1; 0 for an
 * empty histogram. */
uint64_t histogram_percentile(const struct histogram *histogram, double share);

/* Adds the counts of `from` to `to`. */
void histogram_merge(struct histogram *to, const struct histogram *from);

#endif
