#include "engine/leasing.h"

#include <string.h>

static void leasing_wait(struct engine *engine, uint32_t index, uint64_t due_ns)
{
    deadline_heap_push(&engine->due, (struct deadline){ .due_ns = due_ns,
                                                        .lsn = lease_at(&engine->leases, index)->token,
                                                        .handle = engine_lease_handle(engine, index) });
}

/* Gives a live lease its time to live from now_ns on. */
static void leasing_extend(struct engine *engine, uint32_t index, uint64_t ttl_ns, uint64_t now_ns)
{
    struct lease *lease = lease_edit(&engine->leases, index);
    REQUIRE(lease->state == LEASE_LIVE);
    lease->ttl_ns = ttl_ns;
    lease->deadline_ns = time_after(now_ns, ttl_ns);
    leasing_wait(engine, index, lease->deadline_ns);
    deadline_heap_push(&engine->ttls, (struct deadline){ .due_ns = ttl_ns, .lsn = lease->token, .handle = index });
}

/* Takes a lease out of everything it waits in. */
static void leasing_stop_waiting(struct engine *engine, uint32_t index)
{
    deadline_heap_remove(&engine->due, engine_lease_handle(engine, index));
    if (lease_at(&engine->leases, index)->state == LEASE_LIVE)
        deadline_heap_remove(&engine->ttls, index);
}

static void leasing_renew(struct engine *engine, uint32_t index, uint64_t ttl_ns, uint64_t now_ns)
{
    leasing_stop_waiting(engine, index);
    leasing_extend(engine, index, ttl_ns, now_ns);
}

void leasing_end(struct engine *engine, uint32_t index, enum lease_state state, uint64_t end_ns)
{
    struct lease *lease = lease_edit(&engine->leases, index);
    REQUIRE(lease->state == LEASE_LIVE);
    REQUIRE(state == LEASE_EXPIRED || state == LEASE_RELEASED);
    leasing_stop_waiting(engine, index);
    lease->state = state;
    leasing_wait(engine, index, time_after(end_ns, ENGINE_LEASE_LINGER_NS));
}

void leasing_reclaim(struct engine *engine, uint32_t index)
{
    leasing_stop_waiting(engine, index);
    lease_reclaim(&engine->leases, index);
}

void leasing_renew_all(struct engine *engine, uint64_t last_time_ns, uint64_t now_ns)
{
    REQUIRE(now_ns >= last_time_ns);
    for (uint32_t place = 0; place < engine->ttls.count; place++) {
        uint32_t index = deadline_heap_at(&engine->ttls, place)->handle;
        struct lease *lease = lease_edit(&engine->leases, index);
        if (lease->deadline_ns <= last_time_ns)
            continue; /* it had run out before, only the sweep has not come to it */
        deadline_heap_remove(&engine->due, engine_lease_handle(engine, index));
        lease->deadline_ns = time_after(now_ns, lease->ttl_ns);
        leasing_wait(engine, index, lease->deadline_ns);
    }
}

/* True if a lease of this time to live is likely to run out while a write is on its way to the disk. */
static bool leasing_is_too_short(const struct engine *engine, uint64_t ttl_ns)
{
    uint64_t enough_ns;
    if (__builtin_mul_overflow(engine->commit_p99_ns, engine->commit_ttl_factor, &enough_ns))
        enough_ns = UINT64_MAX;
    return engine->commit_p99_ns > 0 && ttl_ns < enough_ns;
}

void leasing_describe(const struct engine *engine, uint32_t slot, struct lease_result *result)
{
    if (slot == 0)
        return;
    const struct lease *lease = lease_at(&engine->leases, slot);
    result->token = lease->token;
    result->deadline_ns = lease->deadline_ns;
    result->ttl_ns = lease->ttl_ns;
    result->commit_p99_ns = engine->commit_p99_ns;
    result->flags = leasing_is_too_short(engine, lease->ttl_ns) ? LEASE_TTL_TOO_SHORT : 0;
    result->state = lease_state_at(lease, engine->log_time_ns);
    memcpy(result->owner, lease->owner, OWNER_SIZE);
}

/* A new grant, in a fresh slot or in that of a lease that ended. */
static void leasing_grant(struct engine *engine, uint32_t index, const struct lease_acquire *acquire, uint64_t lsn)
{
    struct lease *lease = lease_edit(&engine->leases, index);
    REQUIRE(lease->token < lsn);
    lease->token = lsn;
    lease->session = acquire->header.key;
    lease->state = LEASE_LIVE;
    memcpy(lease->owner, acquire->owner, OWNER_SIZE);
    leasing_extend(engine, index, acquire->ttl_ns, engine->log_time_ns);
}

/* Acquires the lease of a resource that has had one. */
static enum status leasing_acquire_again(struct engine *engine, uint32_t slot, const struct lease_acquire *acquire,
                                         uint64_t lsn)
{
    struct lease *lease = lease_edit(&engine->leases, slot);
    if (lease_state_at(lease, engine->log_time_ns) != LEASE_LIVE) {
        leasing_stop_waiting(engine, slot);
        leasing_grant(engine, slot, acquire, lsn);
        return STATUS_OK;
    }
    if (!key_equal(lease->session, acquire->header.key))
        return STATUS_LEASE_HELD;
    memcpy(lease->owner, acquire->owner, OWNER_SIZE);
    leasing_renew(engine, slot, acquire->ttl_ns, engine->log_time_ns);
    return STATUS_OK;
}

static enum status leasing_acquire(struct engine *engine, const struct lease_acquire *acquire, uint64_t lsn,
                                   uint32_t *slot)
{
    if (property_find(&engine->inventory.properties, acquire->header.property) == 0)
        return STATUS_NO_SUCH_PROPERTY;
    if (*slot != 0)
        return leasing_acquire_again(engine, *slot, acquire, lsn);
    if (pool_is_full(&engine->leases.pool))
        return STATUS_LIMIT_REACHED;
    *slot = lease_add(&engine->leases, acquire->header.property, acquire->resource);
    leasing_grant(engine, *slot, acquire, lsn);
    return STATUS_OK;
}

/* Renewing and releasing a lease of which nothing is left is told apart from a token that was wrong; a token from beyond the log is
 * told apart from both, for it may mean that this log has lost something. */
static enum status leasing_judge(const struct engine *engine, uint32_t slot, struct lease_claim claim)
{
    if (slot == 0 && claim.token >= claim.lsn)
        return STATUS_TOKEN_UNKNOWN;
    if (slot == 0)
        return claim.token <= engine->leases.reclaimed_token_max ? STATUS_LEASE_EXPIRED : STATUS_NO_SUCH_LEASE;
    return lease_judge(&engine->leases, slot, claim);
}

static enum status leasing_execute(struct engine *engine, const struct record_header *record, uint64_t lsn,
                                   uint32_t *slot)
{
    const void *item = record;
    if (record->kind == OPERATION_LEASE_ACQUIRE)
        return leasing_acquire(engine, item, lsn, slot);
    /* Renew and release agree up to the token. */
    const struct lease_release *release = item;
    struct lease_claim claim = { .token = release->token, .lsn = lsn, .log_time_ns = engine->log_time_ns };
    enum status status = leasing_judge(engine, *slot, claim);
    if (status != STATUS_OK)
        return status;
    if (record->kind == OPERATION_LEASE_RELEASE)
        leasing_end(engine, *slot, LEASE_RELEASED, engine->log_time_ns);
    else
        leasing_renew(engine, *slot, ((const struct lease_renew *)item)->ttl_ns, engine->log_time_ns);
    return STATUS_OK;
}

static_assert(offsetof(struct lease_acquire, resource) == offsetof(struct lease_release, resource), "read as one");
static_assert(offsetof(struct lease_renew, resource) == offsetof(struct lease_release, resource), "read as one");
static_assert(offsetof(struct lease_renew, token) == offsetof(struct lease_release, token), "read as one");

void leasing_apply(struct engine *engine, const struct record_header *record, uint64_t lsn, struct lease_result *result)
{
    const struct lease_release *named = (const struct lease_release *)(const void *)record;
    uint32_t slot = lease_find(&engine->leases, record->property, named->resource);
    result->header.status = (uint16_t)leasing_execute(engine, record, lsn, &slot);
    leasing_describe(engine, slot, result);
}
