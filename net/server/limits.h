/* From what the operator said to the limits an engine runs under.
 *
 * Limits live in the log (CONFIG records), so a replay runs under the same ones; a start may raise them, never lower them. What is not
 * said stays as the log has it; for a new directory it is derived from the memory to be used. */
#ifndef NET_SERVER_LIMITS_H
#define NET_SERVER_LIMITS_H

#include "engine/engine.h"

#include <stddef.h>

#define LIMITS_MEMORY_DEFAULT (1 * GIB) /* of all shards together */
#define LIMITS_HORIZON_DEFAULT 1000
#define LIMITS_DEADLINE_AHEAD_DEFAULT_NS (10 * NS_PER_MINUTE)
#define LIMITS_KEEP_ENDED_DEFAULT_NS (24 * NS_PER_HOUR)

/* The largest limits, in fixed proportions (a property for eight room types; forty reservations, sixteen kept outcomes and a lease for each room
 * type), whose engine fits memory_bytes with this horizon. False if not even the smallest fits. */
MUST_USE bool limits_derive(uint64_t memory_bytes, uint32_t horizon_nights, struct engine_limits *limits);

/* Settles one shard's limits. `given`: fields the operator named, 0 for the others. memory_bytes: of this shard's engine, 0: not named.
 * `logged`: what the log has, NULL for a new directory. 0, or -EINVAL with a whole sentence in why[]. */
MUST_USE int limits_settle(const struct engine_limits *given, uint64_t memory_bytes, const struct engine_limits *logged,
                           struct engine_limits *limits, char *why, size_t why_size);

#endif
