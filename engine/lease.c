#include "engine/lease.h"

#include "engine/base/hash.h"

struct lease_name {
    uint64_t property_number;
    uint64_t resource;
};

static uint64_t lease_hash(const struct lease_table *table, uint64_t property_number, uint64_t resource)
{
    struct lease_name name = { .property_number = property_number, .resource = resource };
    return hash64(&name, sizeof(name), table->hash_seed);
}

uint32_t lease_find(const struct lease_table *table, uint64_t property_number, uint64_t resource)
{
    struct hash_probe probe = hash_index_probe(&table->index, lease_hash(table, property_number, resource));
    for (;;) {
        uint32_t index = hash_index_next(&table->index, &probe);
        if (index == 0)
            return 0;
        const struct lease *lease = lease_at(table, index);
        if (lease->resource == resource && lease->property_number == property_number)
            return index;
    }
}

void lease_index(struct lease_table *table, uint32_t index)
{
    REQUIRE(index != 0);
    const struct lease *lease = lease_at(table, index);
    hash_index_insert(&table->index, lease_hash(table, lease->property_number, lease->resource), index);
}

uint32_t lease_add(struct lease_table *table, uint64_t property_number, uint64_t resource)
{
    REQUIRE(lease_find(table, property_number, resource) == 0);
    uint32_t index = pool_take(&table->pool);
    struct lease *lease = lease_edit(table, index);
    lease->property_number = property_number;
    lease->resource = resource;
    lease_index(table, index);
    return index;
}

void lease_reclaim(struct lease_table *table, uint32_t index)
{
    const struct lease *lease = lease_at(table, index);
    REQUIRE(lease->state == LEASE_EXPIRED || lease->state == LEASE_RELEASED);
    if (lease->token > table->reclaimed_token_max)
        table->reclaimed_token_max = lease->token;
    hash_index_remove(&table->index, lease_hash(table, lease->property_number, lease->resource), index);
    pool_give(&table->pool, index);
}

enum lease_state lease_state_at(const struct lease *lease, uint64_t log_time_ns)
{
    if (lease->state == LEASE_LIVE && lease->deadline_ns <= log_time_ns)
        return LEASE_EXPIRED;
    return (enum lease_state)lease->state;
}

enum status lease_judge(const struct lease_table *table, uint32_t slot, struct lease_claim claim)
{
    REQUIRE(claim.token != 0);
    if (claim.token >= claim.lsn)
        return STATUS_TOKEN_UNKNOWN;
    if (slot == 0)
        return claim.token <= table->reclaimed_token_max ? STATUS_LEASE_EXPIRED : STATUS_TOKEN_INVALID;
    const struct lease *lease = lease_at(table, slot);
    if (claim.token > lease->token)
        return STATUS_TOKEN_INVALID;
    if (claim.token < lease->token)
        return STATUS_FENCED;
    switch (lease_state_at(lease, claim.log_time_ns)) {
    case LEASE_LIVE:
        return STATUS_OK;
    case LEASE_RELEASED:
        return STATUS_LEASE_RELEASED;
    case LEASE_EXPIRED:
    case LEASE_NONE:
    default:
        return STATUS_LEASE_EXPIRED;
    }
}
