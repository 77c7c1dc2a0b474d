#include "net/server/commit_latency.h"

#include "engine/base/contract.h"
#include "engine/base/units.h"

#include <string.h>

/* Log-linear buckets, as in HdrHistogram (Gil Tene): values below 16 have one each, every further power of two has 16. */
#define SUB_BUCKET_BITS 4
#define SUB_BUCKETS (1u << SUB_BUCKET_BITS)

static_assert(COMMIT_LATENCY_BUCKETS == (64 - SUB_BUCKET_BITS + 1) * SUB_BUCKETS, "every u64 has a bucket");

static uint32_t bucket_of(uint64_t value)
{
    if (value < SUB_BUCKETS)
        return (uint32_t)value;
    uint32_t exponent = 63 - (uint32_t)__builtin_clzll(value);
    uint32_t shift = exponent - SUB_BUCKET_BITS;
    return (shift + 1) * SUB_BUCKETS + (uint32_t)(value >> shift) - SUB_BUCKETS;
}

static uint64_t bucket_upper_edge(uint32_t bucket)
{
    if (bucket < SUB_BUCKETS)
        return bucket;
    uint32_t shift = bucket / SUB_BUCKETS - 1;
    uint64_t low = (uint64_t)(bucket % SUB_BUCKETS + SUB_BUCKETS) << shift;
    return low + ((uint64_t)1 << shift) - 1;
}

void commit_latency_record(struct commit_latency *latency, uint64_t duration_ns)
{
    struct commit_latency_histogram *window = &latency->windows[latency->current];
    window->buckets[bucket_of(duration_ns)]++;
    window->count++;
}

void commit_latency_tend(struct commit_latency *latency, uint64_t now_ns)
{
    if (now_ns < latency->window_ends_ns)
        return;
    latency->window_ends_ns = now_ns + COMMIT_LATENCY_WINDOW_NS;
    latency->current ^= 1;
    memset(&latency->windows[latency->current], 0, sizeof latency->windows[0]);
}

uint64_t commit_latency_percentile(const struct commit_latency *latency, uint32_t per_thousand)
{
    REQUIRE(per_thousand <= 1000);
    uint64_t count = latency->windows[0].count + latency->windows[1].count;
    uint64_t wanted = (count * per_thousand + 999) / 1000;
    uint64_t seen = 0;
    for (uint32_t b = 0; b < COMMIT_LATENCY_BUCKETS && count > 0; b++) {
        seen += (uint64_t)latency->windows[0].buckets[b] + latency->windows[1].buckets[b];
        if (seen >= wanted && seen > 0)
            return bucket_upper_edge(b);
    }
    return 0;
}

bool commit_latency_endangers(uint64_t p99_ns, uint64_t shortest_ttl_ns, uint64_t factor)
{
    if (p99_ns == 0 || shortest_ttl_ns == 0)
        return false;
    return p99_ns >= shortest_ttl_ns / factor;
}
