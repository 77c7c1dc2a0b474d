#include "engine/objects.h"

#include "engine/state.h"

static bool reservation_show(const struct engine *engine, uint32_t index, struct engine_object *object)
{
    const struct reservation *reservation = engine_reservation(engine, index);
    if (reservation->state == RESERVATION_NONE)
        return false;
    *object = (struct engine_object){ .kind = ENGINE_OBJECT_RESERVATION,
                                      .property = engine_type_of(engine, reservation)->property_number,
                                      .key = reservation->key,
                                      .latest_key = reservation->latest_key };
    return true;
}

static bool lease_show(const struct engine *engine, uint32_t index, struct engine_object *object)
{
    const struct lease *lease = lease_at(&engine->leases, index);
    if (lease->state == LEASE_NONE)
        return false;
    *object = (struct engine_object){ .kind = ENGINE_OBJECT_LEASE,
                                      .property = lease->property_number,
                                      .resource = lease->resource };
    return true;
}

/* Places number the properties first, then the reservations, then the leases; some are free. */
bool engine_object_next(const struct engine *engine, uint64_t *place, struct engine_object *object)
{
    uint64_t properties = engine->inventory.properties.pool.used;
    uint64_t reservations = properties + engine->reservations.used;
    uint64_t leases = reservations + engine->leases.pool.used;
    while (*place < leases) {
        uint64_t at = ++*place;
        if (at <= properties) {
            *object =
                (struct engine_object){ .kind = ENGINE_OBJECT_PROPERTY,
                                        .property = property_at(&engine->inventory.properties, (uint32_t)at)->number };
            return true;
        }
        if (at <= reservations ? reservation_show(engine, (uint32_t)(at - properties), object)
                               : lease_show(engine, (uint32_t)(at - reservations), object))
            return true;
    }
    return false;
}

static uint16_t rooms_shifted(int32_t rooms, int32_t by, uint64_t *clamped)
{
    int32_t shifted = rooms + by;
    *clamped += shifted < 0 || shifted > ROOMS_MAX;
    if (shifted < 0)
        return 0;
    return (uint16_t)(shifted > ROOMS_MAX ? ROOMS_MAX : shifted);
}

void engine_rooms_shift(struct engine *engine, uint64_t property, uint32_t room_type, int32_t rooms, uint64_t *clamped)
{
    struct inventory *inventory = &engine->inventory;
    uint32_t index = room_type_find(inventory, property, room_type);
    if (index == 0)
        return;
    struct room_type *type = room_type_edit(inventory, index);
    uint64_t opening_clamped = 0; /* no night yet, so not counted */
    type->rooms = rooms_shifted(type->rooms, rooms, &opening_clamped);
    for (uint32_t i = 0; i < inventory->horizon_nights; i++) {
        struct night *night = inventory_night_edit(inventory, index, type->business_date + (int32_t)i);
        night->sellable = (int16_t)rooms_shifted(night->sellable, rooms, clamped);
    }
}
