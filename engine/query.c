#include "engine/query.h"

#include "engine/leasing.h"

#include <string.h>

/* ---- Lookup -------------------------------------------------------------------------------------------------------- */

static void lookup_reservation(const struct engine *engine, uint32_t index, struct lookup_result *result)
{
    const struct reservation *reservation = engine_reservation(engine, index);
    result->header.original_lsn = reservation->lsn;
    result->what = LOOKUP_RESERVATION;
    result->state = (uint8_t)reservation_state_at(reservation, engine->log_time_ns);
    result->outcome_operation = OPERATION_RESERVE;
    result->outcome_status = STATUS_OK;
    result->nights = reservation->nights;
    result->arrival = reservation_arrival(reservation);
    result->version = reservation->version;
    result->hold_deadline_ns = reservation->hold_deadline_ns;
    result->external_reference = reservation->external_reference;
    result->room_type = engine_type_of(engine, reservation)->number;
    result->rooms = reservation->rooms;
    result->lines_count = 1;
}

static void lookup_latest(const struct engine *engine, uint32_t index, struct lookup_result *result)
{
    const struct reservation *reservation = engine_reservation(engine, index);
    result->header.original_lsn = reservation->latest_lsn;
    result->what = LOOKUP_OUTCOME;
    result->state = (uint8_t)reservation->state;
    result->outcome_operation = (uint8_t)reservation->latest_operation;
    result->outcome_status = STATUS_OK;
    result->version = reservation->version;
}

static void lookup_outcome(const struct engine *engine, uint32_t index, struct lookup_result *result)
{
    const struct outcome *outcome = engine_outcome(engine, index);
    struct mutation_result answered = { .header = { .status = STATUS_OK } };
    outcome_restore(outcome, &answered);
    result->header.original_lsn = outcome->lsn;
    result->what = LOOKUP_OUTCOME;
    result->state = answered.state;
    result->outcome_operation = outcome->operation;
    result->outcome_status = outcome->status;
    result->version = answered.version;
}

uint32_t query_lookup(const struct engine *engine, const struct lookup *query, struct lookup_result *result)
{
    struct key_name name = { .property_number = query->header.property, .key = query->header.key };
    uint32_t reference = engine_key_find(engine, name, key_name_hash(name, engine->hash_seed));
    switch (key_reference_use(reference)) {
    case KEY_UNUSED:
        result->header.status = STATUS_NO_SUCH_KEY;
        break;
    case KEY_RESERVATION:
        lookup_reservation(engine, key_reference_target(reference), result);
        break;
    case KEY_LATEST_MUTATION:
        lookup_latest(engine, key_reference_target(reference), result);
        break;
    case KEY_OUTCOME:
        lookup_outcome(engine, key_reference_target(reference), result);
        break;
    }
    return sizeof(*result);
}

/* ---- Calendar ------------------------------------------------------------------------------------------------------ */

/* Appends one room type's nights behind what the result holds already; returns the bytes they take. */
static size_t calendar_append(const struct engine *engine, uint32_t type, const struct calendar_result *result,
                              uint8_t *end)
{
    struct calendar_type *head = (struct calendar_type *)(void *)end;
    struct calendar_night *nights = (struct calendar_night *)(void *)(head + 1);
    *head = (struct calendar_type){ .room_type = room_type_at(&engine->inventory, type)->number };
    for (uint16_t i = 0; i < result->nights; i++) {
        const struct night *night = inventory_night(&engine->inventory, type, result->first_night + i);
        int32_t available = night_available(night);
        ENSURE(available >= INT16_MIN); /* at worst nothing is sellable and ROOMS_MAX are booked */
        nights[i] = (struct calendar_night){
            .sellable = night->sellable,
            .sold = night->sold,
            .held = night->held,
            .available = (int16_t)available,
        };
    }
    return sizeof(*head) + result->nights * sizeof(*nights);
}

/* Cuts what was asked to the nights that the property has; first_night and nights stay zero where none is left. */
static void calendar_cut(const struct engine *engine, const struct property *property, const struct calendar *query,
                         struct calendar_result *result)
{
    int32_t window_end = property->business_date + (int32_t)engine->limits.horizon_nights;
    int32_t first = query->first_night > property->business_date ? query->first_night : property->business_date;
    int32_t end = query->first_night + (int32_t)query->nights;
    if (end > window_end)
        end = window_end;
    result->business_date = property->business_date;
    if (end <= first)
        return;
    result->first_night = first;
    result->nights = (uint16_t)(end - first);
}

/* Fills in as many types as fit, from `type` on; `one` stops behind the first. */
static uint32_t calendar_fill(const struct engine *engine, uint32_t type, bool one, struct calendar_result *result)
{
    size_t type_size = sizeof(struct calendar_type) + result->nights * sizeof(struct calendar_night);
    size_t size = sizeof(*result);
    uint32_t last = 0;
    while (type != 0 && size + type_size <= RESULT_SIZE_MAX && !(one && result->types_count == 1)) {
        size += calendar_append(engine, type, result, (uint8_t *)result + size);
        result->types_count++;
        last = type;
        type = room_type_at(&engine->inventory, type)->next_type;
    }
    if (type != 0 && !one)
        result->next_after_type = room_type_at(&engine->inventory, last)->number;
    return (uint32_t)size;
}

/* Where a calendar starts: the type named, or the one behind after_type, or the first. False if a named one is unknown. */
static bool calendar_first_type(const struct engine *engine, const struct property *property,
                                const struct calendar *query, uint32_t *type)
{
    uint32_t named = query->room_type != ROOM_TYPE_ALL ? query->room_type : query->after_type;
    *type = property->first_type;
    if (named == 0)
        return true;
    *type = room_type_find(&engine->inventory, property->number, named);
    if (*type == 0)
        return false;
    if (query->room_type == ROOM_TYPE_ALL)
        *type = room_type_at(&engine->inventory, *type)->next_type;
    return true;
}

uint32_t query_calendar(const struct engine *engine, const struct calendar *query, struct calendar_result *result)
{
    uint32_t index = property_find(&engine->inventory.properties, query->header.property);
    if (index == 0) {
        result->header.status = STATUS_NO_SUCH_PROPERTY;
        return sizeof(*result);
    }
    const struct property *property = property_at(&engine->inventory.properties, index);
    uint32_t type;
    if (!calendar_first_type(engine, property, query, &type)) {
        result->header.status = STATUS_NO_SUCH_ROOM_TYPE;
        return sizeof(*result);
    }
    calendar_cut(engine, property, query, result);
    if (result->nights == 0)
        return sizeof(*result);
    return calendar_fill(engine, type, query->room_type != ROOM_TYPE_ALL, result);
}

/* ---- Lease --------------------------------------------------------------------------------------------------------- */

uint32_t query_lease(const struct engine *engine, const struct lease_show *query, struct lease_result *result)
{
    uint32_t slot = lease_find(&engine->leases, query->header.property, query->resource);
    result->header.status = slot != 0 ? STATUS_OK : STATUS_NO_SUCH_LEASE;
    leasing_describe(engine, slot, result);
    return sizeof(*result);
}
