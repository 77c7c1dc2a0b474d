/* Every invariant that spans tables, recomputed from the live objects. Slow; allocates nothing.
 *
 * Sold and held of every night are compared with the reservations by a fingerprint: each room on a night counts one
 * 128-bit hash of (room type, night), and the sum over the reservations must be the sum over the nights. A wrong count goes
 * unseen with a chance of about 2^-128. Source: multiset hashing after Clarke et al., ASIACRYPT 2003. */
#include "engine/state.h"

#include <string.h>

struct night_name {
    uint32_t type;
    int32_t night;
};

/* The sum grows by rooms times the night's hash, modulo 2^128. */
static struct hash128 count_rooms(struct hash128 sum, struct night_name name, uint32_t rooms)
{
    struct hash128 hash = hash128(&name, sizeof(name), 0);
    __extension__ unsigned __int128 product =
        ((unsigned __int128)hash.high << 64 | hash.low) * (unsigned __int128)rooms;
    return hash128_add(sum, (struct hash128){ .low = (uint64_t)product, .high = (uint64_t)(product >> 64) });
}

struct rooms_sums {
    struct hash128 sold;
    struct hash128 held;
};

static struct rooms_sums sum_reservations(const struct engine *engine)
{
    struct rooms_sums sums = { { 0, 0 }, { 0, 0 } };
    for (uint32_t i = 1; i <= engine->reservations.used; i++) {
        const struct reservation *reservation = engine_reservation(engine, i);
        if (reservation->state != RESERVATION_HELD && reservation->state != RESERVATION_CONFIRMED)
            continue;
        struct hash128 *sum = reservation->state == RESERVATION_HELD ? &sums.held : &sums.sold;
        struct stay stay = reservation_stay(reservation);
        for (int32_t night = stay.arrival; night < stay.departure; night++)
            *sum = count_rooms(*sum, (struct night_name){ stay.type, night }, reservation->rooms);
    }
    return sums;
}

/* Adds a room type's nights; NULL, or what is wrong with one of them. */
static const char *check_nights(const struct engine *engine, uint32_t index, struct rooms_sums *sums)
{
    const struct room_type *type = room_type_at(&engine->inventory, index);
    for (uint32_t i = 0; i < engine->limits.horizon_nights; i++) {
        struct night_name name = { index, type->business_date + (int32_t)i };
        const struct night *night = inventory_night(&engine->inventory, index, name.night);
        if (night->sellable < 0 || night->restrictions != 0)
            return "a night has a field that no command sets";
        if ((uint32_t)night->sold + night->held > ROOMS_MAX)
            return "a night counts more rooms than there can be";
        sums->sold = count_rooms(sums->sold, name, night->sold);
        sums->held = count_rooms(sums->held, name, night->held);
    }
    return NULL;
}

static const char *check_rooms(const struct engine *engine)
{
    struct rooms_sums nights = { { 0, 0 }, { 0, 0 } };
    for (uint32_t i = 1; i <= engine->inventory.types.used; i++) {
        const char *wrong = check_nights(engine, i, &nights);
        if (wrong != NULL)
            return wrong;
    }
    struct rooms_sums reservations = sum_reservations(engine);
    if (!hash128_equal(nights.sold, reservations.sold))
        return "rooms sold of some night are not those of the confirmed reservations";
    if (!hash128_equal(nights.held, reservations.held))
        return "rooms held of some night are not those of the held reservations";
    return NULL;
}

/* ---- Properties and room types ------------------------------------------------------------------------------------- */

static const char *check_room_type(const struct inventory *inventory, uint32_t index)
{
    const struct room_type *type = room_type_at(inventory, index);
    if (type->property == 0 || type->property > inventory->properties.pool.used)
        return "a room type has no property";
    const struct property *property = property_at(&inventory->properties, type->property);
    if (type->property_number != property->number || type->business_date != property->business_date)
        return "a room type repeats its property wrongly";
    if (room_type_find(inventory, type->property_number, type->number) != index)
        return "a room type is not found under its number";
    return NULL;
}

static const char *check_property(const struct inventory *inventory, uint32_t index)
{
    const struct property *property = property_at(&inventory->properties, index);
    if (property_find(&inventory->properties, property->number) != index)
        return "a property is not found under its number";
    uint32_t ordinal = 0;
    uint32_t last = 0;
    for (uint32_t i = property->first_type; i != 0; i = room_type_at(inventory, i)->next_type) {
        if (room_type_at(inventory, i)->property != index || room_type_at(inventory, i)->ordinal != ++ordinal)
            return "a property's list of room types is out of order";
        last = i;
    }
    return last == property->last_type && ordinal == property->types_count ? NULL
                                                                           : "a property counts its room types wrongly";
}

static const char *check_inventory(const struct engine *engine)
{
    const struct inventory *inventory = &engine->inventory;
    const char *wrong = NULL;
    uint64_t types = 0;
    for (uint32_t i = 1; i <= inventory->properties.pool.used && wrong == NULL; i++) {
        wrong = check_property(inventory, i);
        types += property_at(&inventory->properties, i)->types_count;
    }
    for (uint32_t i = 1; i <= inventory->types.used && wrong == NULL; i++)
        wrong = check_room_type(inventory, i);
    if (wrong == NULL && (inventory->properties.index.count != inventory->properties.pool.used ||
                          inventory->type_index.count != inventory->types.used || types != inventory->types.used))
        return "an inventory index has another number of entries than its table";
    return wrong;
}

/* ---- Reservations, outcomes, leases -------------------------------------------------------------------------------- */

static bool key_leads_to(const struct engine *engine, uint32_t reference)
{
    struct key_name name = engine_key_name(engine, reference);
    return engine_key_find(engine, name, key_name_hash(name, engine->hash_seed)) == reference;
}

static bool waits_until(const struct deadline_heap *heap, uint32_t handle, uint64_t due_ns, uint64_t lsn)
{
    const struct deadline *found = deadline_heap_find(heap, handle);
    return found != NULL && found->due_ns == due_ns && found->lsn == lsn;
}

static const char *check_waiting(const struct engine *engine, uint32_t index)
{
    const struct reservation *reservation = engine_reservation(engine, index);
    uint32_t handle = engine_reservation_handle(engine, index);
    const struct deadline *ended = deadline_heap_find(&engine->ended, handle);
    bool is_ended = reservation_state_is_ended((enum reservation_state)reservation->state);
    if (is_ended != (ended != NULL))
        return "an ended reservation does not wait to be forgotten, or another one does";
    if (is_ended &&
        (ended->due_ns < time_past(reservation_keys_not_after(reservation)) || ended->lsn != reservation->lsn))
        return "a reservation would be forgotten before the deadlines of its keys";
    if (reservation->state == RESERVATION_HELD)
        return waits_until(&engine->due, handle, reservation->hold_deadline_ns, reservation->lsn)
                   ? NULL
                   : "a hold does not wait for its deadline";
    return deadline_heap_find(&engine->due, handle) == NULL ? NULL : "a reservation waits for a hold it has not";
}

struct use_counts {
    uint64_t keys;
    uint32_t held;
    uint32_t confirmed;
    uint32_t ended;
    uint32_t outcomes;
    uint32_t leases_live;
    uint32_t leases_ended;
};

static const char *check_reservation(const struct engine *engine, uint32_t index, struct use_counts *counts)
{
    const struct reservation *reservation = engine_reservation(engine, index);
    if (reservation->state == RESERVATION_NONE)
        return NULL;
    counts->held += reservation->state == RESERVATION_HELD;
    counts->confirmed += reservation->state == RESERVATION_CONFIRMED;
    counts->ended += reservation_state_is_ended((enum reservation_state)reservation->state);
    counts->keys++;
    if (!key_leads_to(engine, key_reference(KEY_RESERVATION, index)))
        return "a reservation is not found under its key";
    if (reservation->latest_operation != OPERATION_NONE) {
        counts->keys++;
        if (!key_leads_to(engine, key_reference(KEY_LATEST_MUTATION, index)))
            return "a latest mutation is not found under its key";
    }
    return check_waiting(engine, index);
}

static const char *check_outcome(const struct engine *engine, uint32_t index, struct use_counts *counts)
{
    const struct outcome *outcome = engine_outcome(engine, index);
    if (outcome->operation == OPERATION_NONE)
        return NULL;
    counts->outcomes++;
    counts->keys++;
    if (!key_leads_to(engine, key_reference(KEY_OUTCOME, index)))
        return "an outcome is not found under its key";
    if (!waits_until(&engine->due, engine_outcome_handle(engine, index), time_past(outcome->not_after_ns),
                     outcome->lsn))
        return "an outcome does not wait for its deadline";
    return NULL;
}

static const char *check_lease(const struct engine *engine, uint32_t index, struct use_counts *counts)
{
    const struct lease *lease = lease_at(&engine->leases, index);
    uint32_t handle = engine_lease_handle(engine, index);
    if (lease->state == LEASE_NONE)
        return NULL;
    if (lease_find(&engine->leases, lease->property_number, lease->resource) != index)
        return "a lease is not found under its resource";
    if (lease->state != LEASE_LIVE) {
        counts->leases_ended++;
        return deadline_heap_find(&engine->due, handle) != NULL ? NULL : "an ended lease does not wait to be reclaimed";
    }
    counts->leases_live++;
    if (!waits_until(&engine->due, handle, lease->deadline_ns, lease->token))
        return "a live lease does not wait for its deadline";
    return waits_until(&engine->ttls, index, lease->ttl_ns, lease->token) ? NULL
                                                                          : "a live lease's time to live is not known";
}

static const char *check_counts(const struct engine *engine, const struct use_counts *counts)
{
    if (counts->held != engine->held_count || counts->confirmed != engine->confirmed_count ||
        counts->ended != engine->ended.count ||
        counts->held + counts->confirmed + counts->ended != pool_count(&engine->reservations))
        return "reservations are counted wrongly";
    if (counts->outcomes != pool_count(&engine->outcomes))
        return "outcomes are counted wrongly";
    if (counts->leases_live != engine->ttls.count ||
        counts->leases_live + counts->leases_ended != pool_count(&engine->leases.pool) ||
        engine->leases.index.count != pool_count(&engine->leases.pool))
        return "leases are counted wrongly";
    if (counts->keys != engine->keys.count)
        return "the key index has another number of entries than there are keys";
    if (engine->due.count != counts->held + counts->outcomes + counts->leases_live + counts->leases_ended)
        return "something waits that is not there";
    return NULL;
}

static const char *check_objects(const struct engine *engine)
{
    struct use_counts counts = { .keys = 0 };
    const char *wrong = NULL;
    for (uint32_t i = 1; i <= engine->reservations.used && wrong == NULL; i++)
        wrong = check_reservation(engine, i, &counts);
    for (uint32_t i = 1; i <= engine->outcomes.used && wrong == NULL; i++)
        wrong = check_outcome(engine, i, &counts);
    for (uint32_t i = 1; i <= engine->leases.pool.used && wrong == NULL; i++)
        wrong = check_lease(engine, i, &counts);
    return wrong != NULL ? wrong : check_counts(engine, &counts);
}

/* The tables' own invariants. */
static const char *check_structures(const struct engine *engine)
{
    const struct pool *pools[] = { &engine->inventory.properties.pool, &engine->inventory.types, &engine->reservations,
                                   &engine->outcomes, &engine->leases.pool };
    const struct hash_index *indexes[] = { &engine->inventory.properties.index, &engine->inventory.type_index,
                                           &engine->keys, &engine->leases.index };
    const struct deadline_heap *heaps[] = { &engine->due, &engine->ended, &engine->ttls };
    const char *wrong = NULL;
    for (size_t i = 0; i < ARRAY_COUNT(pools) && wrong == NULL; i++)
        wrong = pool_check(pools[i]);
    for (size_t i = 0; i < ARRAY_COUNT(indexes) && wrong == NULL; i++)
        wrong = hash_index_check(indexes[i]);
    for (size_t i = 0; i < ARRAY_COUNT(heaps) && wrong == NULL; i++)
        wrong = deadline_heap_check(heaps[i]);
    return wrong;
}

const char *engine_check(const struct engine *engine)
{
    const char *wrong = check_structures(engine);
    if (wrong == NULL)
        wrong = check_inventory(engine);
    if (wrong == NULL)
        wrong = check_objects(engine);
    return wrong != NULL ? wrong : check_rooms(engine);
}
