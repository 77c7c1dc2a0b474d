/* Leases and fencing: who may write under which token.
 *
 *      acquire          renew, acquire by the same session
 *         |                    .---.
 *         v                    |   v
 *        LIVE <----------------'---+--release--> RELEASED --.
 *         ^                        '--deadline-> EXPIRED  --+-- an hour --> (forgotten)
 *         '----------------- acquire ----------------------'
 *
 * A resource has one slot, which holds its newest grant. A token is the LSN of its grant, so tokens of a resource grow for ever and
 * a number that is not the newest is either an older grant, or none. Once slots were reclaimed, the largest token among
 * them tells a lease that ran out long ago from a token that was never granted.
 *
 * Source: Gray and Cheriton, "Leases", SOSP 1989; fencing tokens after Burrows, "The Chubby lock service", OSDI 2006
 * (sequencers). */
#ifndef ENGINE_LEASE_H
#define ENGINE_LEASE_H

#include "engine/command.h"
#include "engine/hash_index.h"
#include "engine/pool.h"

struct lease {
    uint64_t property_number;
    uint64_t resource;
    uint64_t token; /* LSN of the newest grant */
    uint64_t deadline_ns;
    uint64_t ttl_ns;
    struct key session;
    uint32_t state; /* enum lease_state; NONE: this place is free */
    uint32_t reserved;
    char owner[OWNER_SIZE];
};

static_assert(sizeof(struct lease) == 96, "memory is counted with this");

struct lease_table {
    struct pool pool;
    struct hash_index index;
    uint64_t hash_seed;
    uint64_t reclaimed_token_max; /* the largest token of any slot reclaimed; 0: none was */
};

static inline const struct lease *lease_at(const struct lease_table *table, uint32_t index)
{
    return pool_at(&table->pool, index);
}

static inline struct lease *lease_edit(struct lease_table *table, uint32_t index)
{
    return pool_edit(&table->pool, index);
}

/* The index of a resource's slot, or 0. */
uint32_t lease_find(const struct lease_table *table, uint64_t property_number, uint64_t resource);

/* Takes a slot for a resource that has none. Requires a free one. Returns its index; the grant is the caller's to fill in. */
uint32_t lease_add(struct lease_table *table, uint64_t property_number, uint64_t resource);

/* Enters a lease into the index; for lease_add, and for a copy whose pool was filled by other means. */
void lease_index(struct lease_table *table, uint32_t index);

/* Forgets an ended lease. */
void lease_reclaim(struct lease_table *table, uint32_t index);

/* The state as log time has it: a lease that is due counts as expired before it is swept. */
enum lease_state lease_state_at(const struct lease *lease, uint64_t log_time_ns);

/* A token as it came with a command. */
struct lease_claim {
    uint64_t token;
    uint64_t lsn;         /* of the command that carries it */
    uint64_t log_time_ns; /* its frame's time */
};

/* Judges a token against the resource's slot (0: it has none) by the table in ARCHITECTURE.md, "Fencing".
 *
 *   STATUS_OK              the newest grant, and live
 *   STATUS_FENCED          older than the newest grant
 *   STATUS_LEASE_EXPIRED   the newest grant, which ran out; or a slot reclaimed long ago
 *   STATUS_LEASE_RELEASED  the newest grant, which was released
 *   STATUS_TOKEN_INVALID   never granted for this resource
 *   STATUS_TOKEN_UNKNOWN   not below the command's own LSN: nothing in this log can have granted it */
MUST_USE enum status lease_judge(const struct lease_table *table, uint32_t slot, struct lease_claim claim);

#endif
