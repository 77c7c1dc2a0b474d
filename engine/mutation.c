#include "engine/mutation.h"

#include "engine/booking.h"
#include "engine/supply.h"

/* The first use of a key: what it was for, and what was answered. */
struct first_use {
    struct hash128 fingerprint;
    uint64_t lsn;
    uint8_t operation;
};

/* A reserve that succeeded answers what held at that moment: a first version, held or confirmed at once. */
static struct first_use first_use_of_reservation(const struct engine *engine, uint32_t index,
                                                 struct mutation_result *result)
{
    const struct reservation *reservation = engine_reservation(engine, index);
    booking_describe(engine, reservation, reservation->hold_deadline_ns == 0 ? RESERVATION_CONFIRMED : RESERVATION_HELD,
                     result);
    result->version = 1;
    return (struct first_use){ .fingerprint = reservation->fingerprint,
                               .lsn = reservation->lsn,
                               .operation = OPERATION_RESERVE };
}

/* The latest mutation is the one that brought the reservation to where it is. */
static struct first_use first_use_of_latest(const struct engine *engine, uint32_t index, struct mutation_result *result)
{
    const struct reservation *reservation = engine_reservation(engine, index);
    booking_describe(engine, reservation, (enum reservation_state)reservation->state, result);
    uint64_t property_number = engine_type_of(engine, reservation)->property_number;
    return (struct first_use){ .fingerprint = reservation_latest_fingerprint(reservation, property_number),
                               .lsn = reservation->latest_lsn,
                               .operation = (uint8_t)reservation->latest_operation };
}

static struct first_use first_use_of(const struct engine *engine, uint32_t reference, struct mutation_result *result)
{
    uint32_t target = key_reference_target(reference);
    enum key_use use = key_reference_use(reference);
    if (use == KEY_RESERVATION)
        return first_use_of_reservation(engine, target, result);
    if (use == KEY_LATEST_MUTATION)
        return first_use_of_latest(engine, target, result);
    const struct outcome *outcome = engine_outcome(engine, target);
    outcome_restore(outcome, result);
    return (
        struct first_use){ .fingerprint = outcome->fingerprint, .lsn = outcome->lsn, .operation = outcome->operation };
}

/* Answers a key that is known. */
static void mutation_replay(const struct engine *engine, const struct request *request, uint32_t reference,
                            struct mutation_result *result)
{
    struct mutation_result first = *result;
    struct first_use use = first_use_of(engine, reference, &first);
    ENSURE(use.lsn < request->lsn);
    if (hash128_equal(use.fingerprint, request->fingerprint)) {
        *result = first;
        result->header.flags = RESULT_REPLAYED;
    } else {
        result->header.status = STATUS_KEY_REUSED;
        result->operation = use.operation;
    }
    result->header.original_lsn = use.lsn;
}

static enum status mutation_check_deadline(const struct engine *engine, const struct mutation *mutation)
{
    if (mutation->not_after_ns < engine->log_time_ns)
        return STATUS_TOO_LATE;
    if (mutation->not_after_ns > time_after(engine->log_time_ns, engine->limits.deadline_ahead_max_ns))
        return STATUS_DEADLINE_TOO_FAR;
    return STATUS_OK;
}

static enum status mutation_check_fence(const struct engine *engine, const struct request *request,
                                        struct mutation_result *result)
{
    const struct mutation *mutation = request->mutation;
    if (mutation->fence_token == 0)
        return STATUS_OK;
    uint32_t slot = lease_find(&engine->leases, mutation->header.property, mutation->fence_resource);
    enum status status =
        lease_judge(&engine->leases, slot,
                    (struct lease_claim){
                        .token = mutation->fence_token, .lsn = request->lsn, .log_time_ns = engine->log_time_ns });
    bool about_newest = status == STATUS_FENCED || status == STATUS_LEASE_EXPIRED || status == STATUS_LEASE_RELEASED;
    if (about_newest && slot != 0)
        result->token = lease_at(&engine->leases, slot)->token;
    return status;
}

/* Refuses a command that makes something new where its outcome could not be kept. */
static enum status mutation_check_room(struct engine *engine, const struct mutation *mutation,
                                       struct mutation_result *result)
{
    switch (mutation->header.kind) {
    case OPERATION_CONFIRM:
    case OPERATION_RELEASE:
    case OPERATION_CANCEL:
        return STATUS_OK;
    default:
        break;
    }
    if (pool_is_full(&engine->outcomes)) {
        result->limit = LIMIT_OUTCOMES;
        return STATUS_LIMIT_REACHED;
    }
    if (mutation->header.kind == OPERATION_RESERVE && !booking_make_room(engine)) {
        result->limit = LIMIT_RESERVATIONS;
        return STATUS_LIMIT_REACHED;
    }
    return STATUS_OK;
}

/* Steps 2 to 4: whether a mutation of a new key is executed at all. */
static enum status mutation_admit(struct engine *engine, const struct request *request, struct mutation_result *result)
{
    enum status status = mutation_check_deadline(engine, request->mutation);
    if (status == STATUS_OK)
        status = mutation_check_fence(engine, request, result);
    if (status == STATUS_OK)
        status = mutation_check_room(engine, request->mutation, result);
    return status;
}

static enum status mutation_execute(struct engine *engine, const struct request *request,
                                    struct mutation_result *result)
{
    const void *item = request->mutation;
    switch (request->mutation->header.kind) {
    case OPERATION_PROPERTY_CREATE:
        return supply_create_property(engine, item, result);
    case OPERATION_ROOM_TYPE_CREATE:
        return supply_create_room_type(engine, item, result);
    case OPERATION_ROOMS_SET:
        return supply_set_rooms(engine, item, result);
    case OPERATION_RESERVE:
        return booking_reserve(engine, request, result);
    default:
        return booking_change(engine, request, result);
    }
}

/* A reservation remembers what succeeded on it; everything else that was executed goes to the outcomes. */
static void mutation_keep(struct engine *engine, const struct request *request, struct mutation_result *result)
{
    bool by_reservation = request->mutation->header.kind >= OPERATION_RESERVE;
    enum status_class class = status_class(result->header.status);
    if (class == STATUS_CLASS_UNTOUCHED || (class == STATUS_CLASS_DONE && by_reservation))
        return;
    if (pool_is_full(&engine->outcomes))
        result->header.flags |= RESULT_NOT_KEPT;
    else
        booking_keep_outcome(engine, request, result);
}

void mutation_apply(struct engine *engine, const struct mutation *mutation, uint64_t lsn,
                    struct mutation_result *result)
{
    struct request request = { .mutation = mutation, .lsn = lsn, .fingerprint = mutation_fingerprint(mutation) };
    struct key_name name = { .property_number = mutation->header.property, .key = mutation->header.key };
    uint32_t reference = engine_key_find(engine, name, key_name_hash(name, engine->hash_seed));
    if (reference != 0) {
        mutation_replay(engine, &request, reference, result);
        return;
    }
    enum status status = mutation_admit(engine, &request, result);
    if (status == STATUS_OK) {
        status = mutation_execute(engine, &request, result);
        result->header.status = (uint16_t)status;
        mutation_keep(engine, &request, result);
    }
    result->header.status = (uint16_t)status;
}
