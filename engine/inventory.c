#include "engine/inventory.h"

struct room_type_name {
    uint64_t property_number;
    uint64_t number;
};

static uint64_t room_type_hash(const struct inventory *inventory, uint64_t property_number, uint32_t number)
{
    struct room_type_name name = { .property_number = property_number, .number = number };
    return hash64(&name, sizeof(name), inventory->hash_seed);
}

uint32_t room_type_find(const struct inventory *inventory, uint64_t property_number, uint32_t number)
{
    uint64_t hash = room_type_hash(inventory, property_number, number);
    struct hash_probe probe = hash_index_probe(&inventory->type_index, hash);
    for (;;) {
        uint32_t index = hash_index_next(&inventory->type_index, &probe);
        if (index == 0)
            return 0;
        const struct room_type *type = room_type_at(inventory, index);
        if (type->number == number && type->property_number == property_number)
            return index;
    }
}

void room_type_index(struct inventory *inventory, uint32_t index)
{
    REQUIRE(index != 0);
    const struct room_type *type = room_type_at(inventory, index);
    hash_index_insert(&inventory->type_index, room_type_hash(inventory, type->property_number, type->number), index);
}

/* Puts a room type at the end of its property's list. */
static void room_type_link(struct inventory *inventory, uint32_t index)
{
    struct room_type *type = room_type_edit(inventory, index);
    struct property *property = property_edit(&inventory->properties, type->property);
    if (property->last_type == 0)
        property->first_type = index;
    else
        room_type_edit(inventory, property->last_type)->next_type = index;
    property->last_type = index;
    type->ordinal = ++property->types_count;
}

static uint32_t ring_slot(const struct inventory *inventory, int32_t night)
{
    int32_t ring = (int32_t)inventory->ring_nights;
    int32_t slot = night % ring;
    return (uint32_t)(slot < 0 ? slot + ring : slot);
}

static struct night *inventory_ring(const struct inventory *inventory, uint32_t type)
{
    return inventory->nights + (size_t)type * inventory->ring_nights;
}

static struct night *night_find(const struct inventory *inventory, uint32_t type, int32_t night)
{
    const struct room_type *owner = room_type_at(inventory, type);
    REQUIRE(night >= owner->business_date);
    REQUIRE(night - owner->business_date < (int32_t)inventory->horizon_nights);
    return inventory_ring(inventory, type) + ring_slot(inventory, night);
}

const struct night *inventory_night(const struct inventory *inventory, uint32_t type, int32_t night)
{
    return night_find(inventory, type, night);
}

struct night *inventory_night_edit(struct inventory *inventory, uint32_t type, int32_t night)
{
    struct night *cell = night_find(inventory, type, night);
    capture_touch(inventory->capture, cell, sizeof(*cell));
    return cell;
}

/* A walk over a stay's cells: the ring's end is passed at most once, so one comparison a night replaces a division. */
struct night_walk {
    struct night *ring;
    uint32_t slot;
    uint32_t ring_nights;
};

static struct night_walk night_walk_start(const struct inventory *inventory, struct stay stay)
{
    const struct room_type *type = room_type_at(inventory, stay.type);
    REQUIRE(stay.arrival >= type->business_date);
    REQUIRE(stay.arrival < stay.departure);
    REQUIRE(stay.departure - type->business_date <= (int32_t)inventory->horizon_nights);
    return (struct night_walk){ .ring = inventory_ring(inventory, stay.type),
                                .slot = ring_slot(inventory, stay.arrival),
                                .ring_nights = inventory->ring_nights };
}

/* The walk of somebody who writes into the cells. */
static struct night_walk night_walk_edit(const struct inventory *inventory, struct stay stay)
{
    struct night_walk walk = night_walk_start(inventory, stay);
    uint32_t nights = (uint32_t)(stay.departure - stay.arrival);
    uint32_t to_end = walk.ring_nights - walk.slot;
    uint32_t first = nights < to_end ? nights : to_end;
    capture_touch(inventory->capture, &walk.ring[walk.slot], first * sizeof(struct night));
    if (first < nights)
        capture_touch(inventory->capture, walk.ring, (nights - first) * sizeof(struct night));
    return walk;
}

static struct night *night_walk_next(struct night_walk *walk)
{
    struct night *night = &walk->ring[walk->slot];
    walk->slot = walk->slot + 1 == walk->ring_nights ? 0 : walk->slot + 1;
    return night;
}

uint32_t room_type_add(struct inventory *inventory, uint32_t property, uint32_t number, uint16_t rooms)
{
    const struct property *owner = property_at(&inventory->properties, property);
    REQUIRE(number != 0);
    REQUIRE(rooms <= ROOMS_MAX);
    REQUIRE(room_type_find(inventory, owner->number, number) == 0);
    uint32_t index = pool_take(&inventory->types);
    struct room_type *type = room_type_edit(inventory, index);
    type->property_number = owner->number;
    type->number = number;
    type->business_date = owner->business_date;
    type->property = property;
    type->rooms = rooms;
    room_type_link(inventory, index);
    room_type_index(inventory, index);
    struct stay open = { .type = index,
                         .arrival = type->business_date,
                         .departure = type->business_date + (int32_t)inventory->horizon_nights };
    struct night_walk walk = night_walk_edit(inventory, open);
    for (uint32_t i = 0; i < inventory->horizon_nights; i++)
        night_walk_next(&walk)->sellable = (int16_t)rooms;
    return index;
}

void inventory_prefetch_index(const struct inventory *inventory, uint64_t property_number, uint32_t number)
{
    hash_index_prefetch(&inventory->type_index, room_type_hash(inventory, property_number, number));
}

void inventory_prefetch_type(const struct inventory *inventory, uint64_t property_number, uint32_t number)
{
    uint64_t hash = room_type_hash(inventory, property_number, number);
    struct hash_probe probe = hash_index_probe(&inventory->type_index, hash);
    uint32_t index = hash_index_next(&inventory->type_index, &probe);
    if (index != 0)
        __builtin_prefetch(room_type_at(inventory, index));
}

void inventory_prefetch_nights(const struct inventory *inventory, uint64_t property_number,
                               const struct reserve *reserve)
{
    uint32_t type = room_type_find(inventory, property_number, reserve->lines[0].room_type);
    if (type == 0)
        return;
    const struct night *ring = inventory_ring(inventory, type);
    __builtin_prefetch(&ring[ring_slot(inventory, reserve->arrival)], 1);
    __builtin_prefetch(&ring[ring_slot(inventory, reserve->arrival + (int32_t)reserve->nights - 1)], 1);
}

int32_t inventory_first_short(const struct inventory *inventory, struct stay stay, uint16_t rooms)
{
    struct night_walk walk = night_walk_start(inventory, stay);
    int32_t night = stay.arrival;
    while (night < stay.departure && night_available(night_walk_next(&walk)) >= (int32_t)rooms)
        night++;
    return night;
}

void inventory_take(struct inventory *inventory, struct stay stay, uint16_t rooms, enum night_count count)
{
    struct night_walk walk = night_walk_edit(inventory, stay);
    for (int32_t date = stay.arrival; date < stay.departure; date++) {
        struct night *night = night_walk_next(&walk);
        uint16_t *counter = count == NIGHT_SOLD ? &night->sold : &night->held;
        REQUIRE((uint32_t)night->sold + night->held + rooms <= ROOMS_MAX);
        *counter = (uint16_t)(*counter + rooms);
    }
}

void inventory_give_back(struct inventory *inventory, struct stay stay, uint16_t rooms, enum night_count count)
{
    struct night_walk walk = night_walk_edit(inventory, stay);
    for (int32_t date = stay.arrival; date < stay.departure; date++) {
        struct night *night = night_walk_next(&walk);
        uint16_t *counter = count == NIGHT_SOLD ? &night->sold : &night->held;
        REQUIRE(*counter >= rooms);
        *counter = (uint16_t)(*counter - rooms);
    }
}
