/* Moving an engine's state into a larger block, where objects keep their indexes and what depends on the sizes of the tables (indexes,
 * handles, rings) is built anew; and moving the share of one shard into another engine, where they get new ones. */
#include "engine/state.h"

/* The same object in two engines. */
struct place {
    uint32_t to;
    uint32_t from;
};

static void copy_nights(struct engine *to, const struct engine *from, struct place index)
{
    const struct room_type *type = room_type_at(&from->inventory, index.from);
    for (uint32_t i = 0; i < to->limits.horizon_nights; i++) {
        int32_t date = type->business_date + (int32_t)i;
        struct night *night = inventory_night_edit(&to->inventory, index.to, date);
        if (i < from->limits.horizon_nights)
            *night = *inventory_night(&from->inventory, index.from, date);
        else
            night->sellable = (int16_t)type->rooms;
    }
}

static void copy_inventory(struct engine *to, const struct engine *from)
{
    pool_copy(&to->inventory.properties.pool, &from->inventory.properties.pool);
    for (uint32_t i = 1; i <= to->inventory.properties.pool.used; i++)
        property_index(&to->inventory.properties, i);
    pool_copy(&to->inventory.types, &from->inventory.types);
    for (uint32_t i = 1; i <= to->inventory.types.used; i++) {
        room_type_index(&to->inventory, i);
        copy_nights(to, from, (struct place){ i, i });
    }
}

static void copy_reference(struct engine *to, enum key_use use, uint32_t target)
{
    uint32_t reference = key_reference(use, target);
    engine_key_add(to, engine_key_name(to, reference), reference);
}

static void copy_deadline(struct deadline_heap *heap, const struct deadline *deadline, uint32_t handle)
{
    REQUIRE(deadline != NULL);
    deadline_heap_push(heap, (struct deadline){ .due_ns = deadline->due_ns, .lsn = deadline->lsn, .handle = handle });
}

/* What leads to a reservation that lies in its place already. */
static void copy_reservation(struct engine *to, const struct engine *from, struct place index)
{
    const struct reservation *reservation = engine_reservation(to, index.to);
    uint32_t handle_from = engine_reservation_handle(from, index.from);
    uint32_t handle_to = engine_reservation_handle(to, index.to);
    copy_reference(to, KEY_RESERVATION, index.to);
    if (reservation->latest_operation != OPERATION_NONE)
        copy_reference(to, KEY_LATEST_MUTATION, index.to);
    if (reservation->state == RESERVATION_HELD)
        copy_deadline(&to->due, deadline_heap_find(&from->due, handle_from), handle_to);
    else if (reservation->state != RESERVATION_CONFIRMED)
        copy_deadline(&to->ended, deadline_heap_find(&from->ended, handle_from), handle_to);
}

static void copy_outcome(struct engine *to, const struct engine *from, struct place index)
{
    copy_reference(to, KEY_OUTCOME, index.to);
    copy_deadline(&to->due, deadline_heap_find(&from->due, engine_outcome_handle(from, index.from)),
                  engine_outcome_handle(to, index.to));
}

static void copy_lease(struct engine *to, const struct engine *from, struct place index)
{
    lease_index(&to->leases, index.to);
    copy_deadline(&to->due, deadline_heap_find(&from->due, engine_lease_handle(from, index.from)),
                  engine_lease_handle(to, index.to));
    if (lease_at(&to->leases, index.to)->state == LEASE_LIVE)
        copy_deadline(&to->ttls, deadline_heap_find(&from->ttls, index.from), index.to);
}

static void copy_bookings(struct engine *to, const struct engine *from)
{
    pool_copy(&to->reservations, &from->reservations);
    for (uint32_t i = 1; i <= to->reservations.used; i++)
        if (engine_reservation(to, i)->state != RESERVATION_NONE)
            copy_reservation(to, from, (struct place){ i, i });
    pool_copy(&to->outcomes, &from->outcomes);
    for (uint32_t i = 1; i <= to->outcomes.used; i++) {
        if (engine_outcome(to, i)->operation == OPERATION_NONE)
            continue;
        copy_outcome(to, from, (struct place){ i, i });
    }
}

static void copy_leases(struct engine *to, const struct engine *from)
{
    pool_copy(&to->leases.pool, &from->leases.pool);
    to->leases.reclaimed_token_max = from->leases.reclaimed_token_max;
    for (uint32_t i = 1; i <= to->leases.pool.used; i++)
        if (lease_at(&to->leases, i)->state != LEASE_NONE)
            copy_lease(to, from, (struct place){ i, i });
}

void engine_copy(struct engine *to, const struct engine *from)
{
    REQUIRE(to->last_lsn == 0);
    REQUIRE(to->inventory.properties.pool.used == 0);
    REQUIRE(to->limits.horizon_nights >= from->limits.horizon_nights);
    to->log_time_ns = from->log_time_ns;
    to->last_lsn = from->last_lsn;
    to->level = from->level;
    to->log_level = from->log_level;
    to->commit_p99_ns = from->commit_p99_ns;
    to->commit_ttl_factor = from->commit_ttl_factor;
    to->held_count = from->held_count;
    to->confirmed_count = from->confirmed_count;
    copy_inventory(to, from);
    copy_bookings(to, from);
    copy_leases(to, from);
}

/* ---- The share of a shard ------------------------------------------------------------------------------------------------ */

static bool is_of_share(struct engine_share share, uint64_t property_number)
{
    return shard_of_property(property_number, share.shards) == share.shard;
}

static const struct property *owner_of(const struct engine *engine, const struct reservation *reservation)
{
    return property_at(&engine->inventory.properties, engine_type_of(engine, reservation)->property);
}

/* Room types keep their order in their property, and with it their ordinals. */
static void share_property(struct engine *to, const struct engine *from, uint32_t index)
{
    const struct property *property = property_at(&from->inventory.properties, index);
    uint32_t made = property_add(&to->inventory.properties, property->number, property->business_date);
    for (uint32_t i = property->first_type; i != 0; i = room_type_at(&from->inventory, i)->next_type) {
        const struct room_type *type = room_type_at(&from->inventory, i);
        uint32_t type_made = room_type_add(&to->inventory, made, type->number, type->rooms);
        ENSURE(room_type_at(&to->inventory, type_made)->ordinal == type->ordinal);
        copy_nights(to, from, (struct place){ .to = type_made, .from = i });
    }
}

static void share_reservation(struct engine *to, const struct engine *from, uint32_t index)
{
    const struct reservation *reservation = engine_reservation(from, index);
    const struct room_type *type = engine_type_of(from, reservation);
    struct place place = { .to = pool_take(&to->reservations), .from = index };
    struct reservation *made = pool_edit(&to->reservations, place.to);
    *made = *reservation;
    made->type = room_type_find(&to->inventory, type->property_number, type->number);
    ENSURE(made->type != 0);
    to->held_count += made->state == RESERVATION_HELD;
    to->confirmed_count += made->state == RESERVATION_CONFIRMED;
    copy_reservation(to, from, place);
}

static void share_bookings(struct engine *to, const struct engine *from, struct engine_share share)
{
    for (uint32_t i = 1; i <= from->reservations.used; i++) {
        const struct reservation *reservation = engine_reservation(from, i);
        if (reservation->state != RESERVATION_NONE && is_of_share(share, owner_of(from, reservation)->number))
            share_reservation(to, from, i);
    }
    for (uint32_t i = 1; i <= from->outcomes.used; i++) {
        const struct outcome *outcome = engine_outcome(from, i);
        if (outcome->operation == OPERATION_NONE || !is_of_share(share, outcome->property_number))
            continue;
        struct place place = { .to = pool_take(&to->outcomes), .from = i };
        *(struct outcome *)pool_edit(&to->outcomes, place.to) = *outcome;
        copy_outcome(to, from, place);
    }
}

static void share_leases(struct engine *to, const struct engine *from, struct engine_share share)
{
    for (uint32_t i = 1; i <= from->leases.pool.used; i++) {
        const struct lease *lease = lease_at(&from->leases, i);
        if (lease->state == LEASE_NONE || !is_of_share(share, lease->property_number))
            continue;
        struct place place = { .to = pool_take(&to->leases.pool), .from = i };
        *(struct lease *)pool_edit(&to->leases.pool, place.to) = *lease;
        copy_lease(to, from, place);
    }
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void engine_copy_share(struct engine *to, const struct engine *from, struct engine_share share)
{
    REQUIRE(share.shard < share.shards);
    REQUIRE(to->limits.horizon_nights >= from->limits.horizon_nights);
    REQUIRE(to->log_level == 0 || to->log_level == from->log_level);
    to->level = from->log_level;
    to->log_level = from->log_level;
    to->log_time_ns = larger(to->log_time_ns, from->log_time_ns);
    to->last_lsn = larger(to->last_lsn, from->last_lsn);
    to->commit_p99_ns = larger(to->commit_p99_ns, from->commit_p99_ns);
    to->commit_ttl_factor = larger(to->commit_ttl_factor, from->commit_ttl_factor);
    to->leases.reclaimed_token_max = larger(to->leases.reclaimed_token_max, from->leases.reclaimed_token_max);
    for (uint32_t i = 1; i <= from->inventory.properties.pool.used; i++)
        if (is_of_share(share, property_at(&from->inventory.properties, i)->number))
            share_property(to, from, i);
    share_bookings(to, from, share);
    share_leases(to, from, share);
}

struct engine_counts engine_share_counts(const struct engine *from, struct engine_share share)
{
    struct engine_counts counts = { .properties = 0 };
    for (uint32_t i = 1; i <= from->inventory.properties.pool.used; i++) {
        const struct property *property = property_at(&from->inventory.properties, i);
        bool ours = is_of_share(share, property->number);
        counts.properties += ours;
        counts.room_types += ours ? property->types_count : 0;
    }
    for (uint32_t i = 1; i <= from->reservations.used; i++) {
        const struct reservation *reservation = engine_reservation(from, i);
        if (reservation->state == RESERVATION_NONE || !is_of_share(share, owner_of(from, reservation)->number))
            continue;
        counts.reservations_held += reservation->state == RESERVATION_HELD;
        counts.reservations_confirmed += reservation->state == RESERVATION_CONFIRMED;
        counts.reservations_ended += reservation_state_is_ended((enum reservation_state)reservation->state);
    }
    for (uint32_t i = 1; i <= from->outcomes.used; i++) {
        const struct outcome *outcome = engine_outcome(from, i);
        counts.outcomes += outcome->operation != OPERATION_NONE && is_of_share(share, outcome->property_number);
    }
    for (uint32_t i = 1; i <= from->leases.pool.used; i++) {
        const struct lease *lease = lease_at(&from->leases, i);
        bool ours = lease->state != LEASE_NONE && is_of_share(share, lease->property_number);
        counts.leases_live += ours && lease->state == LEASE_LIVE;
        counts.leases_ended += ours && lease->state != LEASE_LIVE;
    }
    return counts;
}
