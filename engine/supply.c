#include "engine/supply.h"

#include "engine/base/civil_date.h"

enum status supply_create_property(struct engine *engine, const struct property_create *create,
                                   struct mutation_result *result)
{
    struct property_table *properties = &engine->inventory.properties;
    uint64_t number = create->mutation.header.property;
    if (property_find(properties, number) != 0)
        return STATUS_ALREADY_EXISTS;
    if (pool_is_full(&properties->pool)) {
        result->limit = LIMIT_PROPERTIES;
        return STATUS_LIMIT_REACHED;
    }
    property_add(properties, number, create->business_date);
    return STATUS_OK;
}

enum status supply_create_room_type(struct engine *engine, const struct room_type_create *create,
                                    struct mutation_result *result)
{
    struct inventory *inventory = &engine->inventory;
    uint64_t property_number = create->mutation.header.property;
    uint32_t property = property_find(&inventory->properties, property_number);
    if (property == 0)
        return STATUS_NO_SUCH_PROPERTY;
    if (room_type_find(inventory, property_number, create->room_type) != 0) {
        result->room_type = create->room_type;
        return STATUS_ALREADY_EXISTS;
    }
    if (pool_is_full(&inventory->types)) {
        result->limit = LIMIT_ROOM_TYPES;
        return STATUS_LIMIT_REACHED;
    }
    result->room_type = create->room_type;
    room_type_add(inventory, property, create->room_type, create->rooms);
    return STATUS_OK;
}

static void supply_set_nights(struct inventory *inventory, uint32_t type, const struct rooms_set *set)
{
    for (int32_t date = set->first_night; date <= set->last_night; date++)
        if ((set->weekdays >> weekday_of(date) & 1) != 0)
            inventory_night_edit(inventory, type, date)->sellable = (int16_t)set->rooms;
}

enum status supply_set_rooms(struct engine *engine, const struct rooms_set *set, struct mutation_result *result)
{
    struct inventory *inventory = &engine->inventory;
    uint64_t property_number = set->mutation.header.property;
    if (property_find(&inventory->properties, property_number) == 0)
        return STATUS_NO_SUCH_PROPERTY;
    result->room_type = set->room_type;
    uint32_t type = room_type_find(inventory, property_number, set->room_type);
    if (type == 0)
        return STATUS_NO_SUCH_ROOM_TYPE;
    int32_t window_first = room_type_at(inventory, type)->business_date;
    int32_t window_end = window_first + (int32_t)engine->limits.horizon_nights;
    if (set->first_night < window_first) {
        result->night = set->first_night;
        return STATUS_BEFORE_BUSINESS_DATE;
    }
    if (set->last_night >= window_end) {
        result->night = set->first_night > window_end ? set->first_night : window_end;
        return STATUS_BEYOND_HORIZON;
    }
    supply_set_nights(inventory, type, set);
    return STATUS_OK;
}
