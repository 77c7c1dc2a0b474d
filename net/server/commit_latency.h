/* How long commits take: from the arrival of a command at its shard to the moment it is durable.
 *
 * Two histograms take turns, so that a percentile always speaks of the last window or two: recent enough to warn, old enough to mean
 * something. Compared with the shortest live lease TTL this is the alarm the whole project began with: a lease that a slow commit can
 * outlive is a lease that will be fenced. */
#ifndef NET_SERVER_COMMIT_LATENCY_H
#define NET_SERVER_COMMIT_LATENCY_H

#include "engine/base/histogram.h"

#include <stdbool.h>
#include <stdint.h>

#define COMMIT_LATENCY_WINDOW_NS UINT64_C(5000000000)

struct commit_latency {
    struct histogram windows[2];
    uint32_t current;
    uint64_t window_ends_ns;
};

/* What was last logged, and when; keeps the log from being told the same again and again. */
struct commit_latency_logged {
    uint64_t p99_ns;
    uint64_t logged_ns;
};

void commit_latency_record(struct commit_latency *latency, uint64_t duration_ns);

/* Turns to a fresh window when the current one is over; call about once a second. */
void commit_latency_tend(struct commit_latency *latency, uint64_t now_ns);

/* The latency that `per_thousand` of the recent commits did not exceed, in ns (at most 1 % too large); 0 if there were none. */
uint64_t commit_latency_percentile(const struct commit_latency *latency, uint32_t per_thousand);

/* True if a p99 is within 1/factor of the shortest TTL, so that a commit may outlast a lease. False while either is unknown (0). */
bool commit_latency_endangers(uint64_t p99_ns, uint64_t shortest_ttl_ns, uint64_t factor);

#endif
