#include "engine/state_hash.h"

#include <string.h>

enum canonical_tag { TAG_PROPERTY = 1, TAG_ROOM_TYPE = 2, TAG_RESERVATION = 3, TAG_OUTCOME = 4, TAG_LEASE = 5 };

static struct hash128 hash_property(const struct property *property)
{
    struct canonical_property canonical = { .tag = TAG_PROPERTY,
                                            .business_date = property->business_date,
                                            .property = property->number };
    return hash128(&canonical, sizeof(canonical), 0);
}

/* A room type with its nights is hashed in one piece; the longest horizon fits the stack. */
struct canonical_calendar {
    struct canonical_room_type head;
    struct night nights[NIGHTS_MAX];
};
static_assert(offsetof(struct canonical_calendar, nights) == sizeof(struct canonical_room_type), "no padding");

static struct hash128 hash_room_type(const struct engine *engine, uint32_t index, struct canonical_calendar *canonical)
{
    const struct room_type *type = room_type_at(&engine->inventory, index);
    uint32_t nights_count = engine->limits.horizon_nights;
    canonical->head = (struct canonical_room_type){
        .tag = TAG_ROOM_TYPE,
        .room_type = type->number,
        .property = type->property_number,
        .ordinal = type->ordinal,
        .rooms = type->rooms,
        .first_night = type->business_date,
        .nights_count = nights_count,
    };
    for (uint32_t i = 0; i < nights_count; i++)
        canonical->nights[i] = *inventory_night(&engine->inventory, index, type->business_date + (int32_t)i);
    return hash128(canonical, sizeof(canonical->head) + nights_count * sizeof(struct night), 0);
}

static struct hash128 hash_reservation(const struct engine *engine, uint32_t index)
{
    const struct reservation *reservation = engine_reservation(engine, index);
    const struct room_type *type = engine_type_of(engine, reservation);
    const struct deadline *end = deadline_heap_find(&engine->ended, engine_reservation_handle(engine, index));
    struct canonical_reservation canonical = {
        .tag = TAG_RESERVATION,
        .room_type = type->number,
        .property = type->property_number,
        .key = reservation->key,
        .fingerprint = reservation->fingerprint,
        .lsn = reservation->lsn,
        .not_after_ns = reservation->not_after_ns,
        .hold_deadline_ns = reservation->hold_deadline_ns,
        .external_reference = reservation->external_reference,
        .forget_ns = end != NULL ? end->due_ns : 0,
        .arrival = reservation_arrival(reservation),
        .nights = reservation->nights,
        .rooms = reservation->rooms,
        .version = reservation->version,
        .state = (uint8_t)reservation->state,
        .dropped_not_after_ns = reservation->dropped_not_after_ns,
    };
    if (reservation->latest_operation != OPERATION_NONE) {
        canonical.latest_operation = (uint8_t)reservation->latest_operation;
        canonical.latest_key = reservation->latest_key;
        canonical.latest_fingerprint = reservation_latest_fingerprint(reservation, type->property_number);
        canonical.latest_lsn = reservation->latest_lsn;
        canonical.latest_not_after_ns = reservation->latest_not_after_ns;
        canonical.latest_fence_resource = reservation->latest_fence_resource;
    }
    return hash128(&canonical, sizeof(canonical), 0);
}

static struct hash128 hash_outcome(const struct outcome *outcome)
{
    struct mutation_result result = { .header = { .status = STATUS_OK } };
    outcome_restore(outcome, &result);
    struct canonical_outcome canonical = {
        .tag = TAG_OUTCOME,
        .status = outcome->status,
        .operation = outcome->operation,
        .state = result.state,
        .property = outcome->property_number,
        .key = outcome->key,
        .fingerprint = outcome->fingerprint,
        .lsn = outcome->lsn,
        .not_after_ns = outcome->not_after_ns,
        .night = result.night,
        .room_type = result.room_type,
        .available = result.available,
        .version = result.version,
        .limit = result.limit,
        .hold_deadline_ns = result.hold_deadline_ns,
    };
    return hash128(&canonical, sizeof(canonical), 0);
}

static struct hash128 hash_lease(const struct engine *engine, uint32_t index)
{
    const struct lease *lease = lease_at(&engine->leases, index);
    const struct deadline *waits = deadline_heap_find(&engine->due, engine_lease_handle(engine, index));
    ENSURE(waits != NULL);
    struct canonical_lease canonical = {
        .tag = TAG_LEASE,
        .state = lease->state,
        .property = lease->property_number,
        .resource = lease->resource,
        .token = lease->token,
        .deadline_ns = lease->deadline_ns,
        .ttl_ns = lease->ttl_ns,
        .reclaim_ns = lease->state == LEASE_LIVE ? 0 : waits->due_ns,
        .session = lease->session,
    };
    memcpy(canonical.owner, lease->owner, OWNER_SIZE);
    return hash128(&canonical, sizeof(canonical), 0);
}

static struct hash128 hash_inventory(const struct engine *engine)
{
    const struct inventory *inventory = &engine->inventory;
    struct canonical_calendar canonical;
    struct hash128 sum = { .low = 0, .high = 0 };
    for (uint32_t i = 1; i <= inventory->properties.pool.used; i++)
        sum = hash128_add(sum, hash_property(property_at(&inventory->properties, i)));
    for (uint32_t i = 1; i <= inventory->types.used; i++)
        sum = hash128_add(sum, hash_room_type(engine, i, &canonical));
    return sum;
}

struct hash128 engine_state_hash(const struct engine *engine)
{
    struct hash128 sum = hash_inventory(engine);
    for (uint32_t i = 1; i <= engine->reservations.used; i++)
        if (engine_reservation(engine, i)->state != RESERVATION_NONE)
            sum = hash128_add(sum, hash_reservation(engine, i));
    for (uint32_t i = 1; i <= engine->outcomes.used; i++)
        if (engine_outcome(engine, i)->operation != OPERATION_NONE)
            sum = hash128_add(sum, hash_outcome(engine_outcome(engine, i)));
    for (uint32_t i = 1; i <= engine->leases.pool.used; i++)
        if (lease_at(&engine->leases, i)->state != LEASE_NONE)
            sum = hash128_add(sum, hash_lease(engine, i));
    return sum;
}
