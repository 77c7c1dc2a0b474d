/* Leases; see model.h. */
#include "tests/model/model.h"

#include <string.h>

static bool ttl_too_short(const struct model *model, uint64_t ttl_ns)
{
    __extension__ unsigned __int128 wanted_ns = (unsigned __int128)model->ttl_factor * model->commit_p99_ns;
    return model->commit_p99_ns > 0 && ttl_ns < wanted_ns;
}

void model_describe_lease(struct model *model, const struct model_lease *lease, struct lease_result *result)
{
    result->token = lease->token;
    result->deadline_ns = lease->deadline_ns;
    result->ttl_ns = lease->ttl_ns;
    result->commit_p99_ns = model->commit_p99_ns;
    result->flags = ttl_too_short(model, lease->ttl_ns) ? LEASE_TTL_TOO_SHORT : 0;
    result->state = model_lease_state_now(model, lease);
    memcpy(result->owner, lease->owner, OWNER_SIZE);
}

static enum status answer(struct model *model, const struct model_lease *lease, enum status status,
                          struct lease_result *result)
{
    model_describe_lease(model, lease, result);
    return status;
}

static void lease_extend(const struct model *model, struct model_lease *lease, uint64_t ttl_ns)
{
    lease->ttl_ns = ttl_ns;
    lease->deadline_ns = model_add_saturating(model->log_time_ns, ttl_ns);
}

static enum status acquire(struct model *model, const struct lease_acquire *command, uint64_t lsn,
                           struct lease_result *result)
{
    uint64_t property = command->header.property;
    if (model_find_property(model, property) == NULL) {
        return STATUS_NO_SUCH_PROPERTY;
    }
    struct model_lease *lease = model_find_lease(model, property, command->resource);
    if (lease == NULL && model->leases_count >= model->limits.leases_max) {
        return STATUS_LIMIT_REACHED;
    }
    if (lease == NULL) {
        lease = &model->leases[model->leases_count++];
        memset(lease, 0, sizeof *lease);
    } else {
        bool live = model_lease_state_now(model, lease) == LEASE_LIVE;
        if (live && !key_equal(lease->session, command->header.key)) {
            return answer(model, lease, STATUS_LEASE_HELD, result);
        }
        model->events[MODEL_EVENT_SLOT_TAKEN_OVER] += !live;
        lsn = live ? lease->token : lsn;
    }
    lease->property = property;
    lease->resource = command->resource;
    lease->token = lsn;
    lease->session = command->header.key;
    lease->state = LEASE_LIVE;
    memcpy(lease->owner, command->owner, OWNER_SIZE);
    lease_extend(model, lease, command->ttl_ns);
    return answer(model, lease, STATUS_OK, result);
}

static enum status no_slot(struct model *model, uint64_t token, uint64_t lsn)
{
    if (token >= lsn) {
        return STATUS_TOKEN_UNKNOWN;
    }
    model->events[MODEL_EVENT_RECLAIMED_TOKEN] += token <= model->reclaimed_token_max;
    return token <= model->reclaimed_token_max ? STATUS_LEASE_EXPIRED : STATUS_NO_SUCH_LEASE;
}

static enum status renew(struct model *model, const struct lease_renew *command, uint64_t lsn,
                         struct lease_result *result)
{
    struct model_lease *lease = model_find_lease(model, command->header.property, command->resource);
    if (lease == NULL) {
        return no_slot(model, command->token, lsn);
    }
    enum status status = model_judge_token(model, lease, command->token, lsn);
    if (status == STATUS_OK) {
        lease_extend(model, lease, command->ttl_ns);
    }
    return answer(model, lease, status, result);
}

static enum status release(struct model *model, const struct lease_release *command, uint64_t lsn,
                           struct lease_result *result)
{
    struct model_lease *lease = model_find_lease(model, command->header.property, command->resource);
    if (lease == NULL) {
        return no_slot(model, command->token, lsn);
    }
    enum status status = model_judge_token(model, lease, command->token, lsn);
    if (status == STATUS_OK) {
        lease->state = LEASE_RELEASED;
        lease->end_ns = model->log_time_ns;
    }
    return answer(model, lease, status, result);
}

void model_apply_lease(struct model *model, const struct record_header *record, uint64_t lsn,
                       struct lease_result *result)
{
    enum status status;
    if (record->kind == OPERATION_LEASE_ACQUIRE) {
        status = acquire(model, (const void *)record, lsn, result);
    } else if (record->kind == OPERATION_LEASE_RENEW) {
        status = renew(model, (const void *)record, lsn, result);
    } else {
        status = release(model, (const void *)record, lsn, result);
    }
    result->header.status = (uint16_t)status;
}
