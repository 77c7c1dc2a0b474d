/* Moving an engine's state into a larger block. Objects keep their indexes; what depends on the sizes of the tables (indexes,
 * handles, rings) is built anew. */
#include "engine/state.h"

static void copy_nights(struct engine *to, const struct engine *from, uint32_t index)
{
    const struct room_type *type = room_type_at(&from->inventory, index);
    for (uint32_t i = 0; i < to->limits.horizon_nights; i++) {
        int32_t date = type->business_date + (int32_t)i;
        struct night *night = inventory_night_edit(&to->inventory, index, date);
        if (i < from->limits.horizon_nights)
            *night = *inventory_night(&from->inventory, index, date);
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
        copy_nights(to, from, i);
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

static void copy_reservation(struct engine *to, const struct engine *from, uint32_t index)
{
    const struct reservation *reservation = engine_reservation(to, index);
    uint32_t handle_from = engine_reservation_handle(from, index);
    uint32_t handle_to = engine_reservation_handle(to, index);
    copy_reference(to, KEY_RESERVATION, index);
    if (reservation->latest_operation != OPERATION_NONE)
        copy_reference(to, KEY_LATEST_MUTATION, index);
    if (reservation->state == RESERVATION_HELD)
        copy_deadline(&to->due, deadline_heap_find(&from->due, handle_from), handle_to);
    else if (reservation->state != RESERVATION_CONFIRMED)
        copy_deadline(&to->ended, deadline_heap_find(&from->ended, handle_from), handle_to);
}

static void copy_bookings(struct engine *to, const struct engine *from)
{
    pool_copy(&to->reservations, &from->reservations);
    for (uint32_t i = 1; i <= to->reservations.used; i++)
        if (engine_reservation(to, i)->state != RESERVATION_NONE)
            copy_reservation(to, from, i);
    pool_copy(&to->outcomes, &from->outcomes);
    for (uint32_t i = 1; i <= to->outcomes.used; i++) {
        if (engine_outcome(to, i)->operation == OPERATION_NONE)
            continue;
        copy_reference(to, KEY_OUTCOME, i);
        copy_deadline(&to->due, deadline_heap_find(&from->due, engine_outcome_handle(from, i)),
                      engine_outcome_handle(to, i));
    }
}

static void copy_leases(struct engine *to, const struct engine *from)
{
    pool_copy(&to->leases.pool, &from->leases.pool);
    to->leases.reclaimed_token_max = from->leases.reclaimed_token_max;
    for (uint32_t i = 1; i <= to->leases.pool.used; i++) {
        const struct lease *lease = lease_at(&to->leases, i);
        if (lease->state == LEASE_NONE)
            continue;
        lease_index(&to->leases, i);
        copy_deadline(&to->due, deadline_heap_find(&from->due, engine_lease_handle(from, i)),
                      engine_lease_handle(to, i));
        if (lease->state == LEASE_LIVE)
            copy_deadline(&to->ttls, deadline_heap_find(&from->ttls, i), i);
    }
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
