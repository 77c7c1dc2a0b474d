#include "net/server/commit_latency.h"

#include "engine/base/contract.h"
#include "engine/base/units.h"

#include <string.h>

void commit_latency_record(struct commit_latency *latency, uint64_t duration_ns)
{
    histogram_add(&latency->windows[latency->current], duration_ns);
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
    REQUIRE(per_thousand > 0);
    REQUIRE(per_thousand <= 1000);
    struct histogram both = latency->windows[0];
    histogram_merge(&both, &latency->windows[1]);
    return histogram_percentile(&both, (double)per_thousand / 1000);
}

bool commit_latency_endangers(uint64_t p99_ns, uint64_t shortest_ttl_ns, uint64_t factor)
{
    if (p99_ns == 0 || shortest_ttl_ns == 0)
        return false;
    return p99_ns >= shortest_ttl_ns / factor;
}
