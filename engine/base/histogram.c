#include "engine/base/histogram.h"

#include "engine/base/contract.h"

/* The largest value that falls into the bucket. */
static uint64_t bucket_end(uint32_t bucket)
{
    if (bucket < 2 * HISTOGRAM_PER_POWER)
        return bucket;
    uint32_t shift = (bucket >> HISTOGRAM_BITS) - 1;
    uint64_t first = (uint64_t)((bucket & (HISTOGRAM_PER_POWER - 1)) | HISTOGRAM_PER_POWER) << shift;
    return first + (((uint64_t)1 << shift) - 1);
}

uint64_t histogram_percentile(const struct histogram *histogram, double share)
{
    REQUIRE(share > 0);
    REQUIRE(share <= 1);
    double exact = share * (double)histogram->count;
    uint64_t wanted = (uint64_t)exact;
    wanted += (double)wanted < exact; /* rounded up */
    uint64_t seen = 0;
    for (uint32_t bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        seen += histogram->buckets[bucket];
        if (seen >= wanted && seen > 0)
            return bucket_end(bucket) < histogram->max ? bucket_end(bucket) : histogram->max;
    }
    return histogram->max;
}

void histogram_merge(struct histogram *to, const struct histogram *from)
{
    to->count += from->count;
    to->max = from->max > to->max ? from->max : to->max;
    for (uint32_t bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++)
        to->buckets[bucket] += from->buckets[bucket];
}
