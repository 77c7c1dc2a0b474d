/* Room types and their nights: how many rooms may be sold, are sold, are held.
 *
 * A room type's nights lie in a ring: night d in slot d modulo the ring's length, which is the horizon rounded up to a cache
 * line's eight cells. The ring shows the window [business date, business date + horizon); other slots are zero.
 *
 * Invariant: sold and held of a night equal the rooms of the confirmed and held reservations over it, and
 * sold + held <= ROOMS_MAX, because a reservation is only taken within sellable. */
#ifndef ENGINE_INVENTORY_H
#define ENGINE_INVENTORY_H

#include "engine/command.h"
#include "engine/property.h"

struct night {
    int16_t sellable;
    uint16_t sold;
    uint16_t held;
    uint16_t restrictions; /* index of an interned restriction set; 0 is none, and all there is in this version */
};

static_assert(sizeof(struct night) == 8, "eight nights share a cache line");
#define NIGHTS_PER_LINE 8

struct room_type {
    uint64_t property_number;
    uint32_t number;       /* the client's name for it within the property; never 0 */
    int32_t business_date; /* the property's, repeated so that a reserve reads one line less */
    uint32_t property;     /* index */
    uint32_t next_type;    /* the property's next room type in order of creation; 0: none */
    uint32_t ordinal;      /* 1 for the property's first room type, 2 for the second, ... */
    uint16_t rooms;        /* on nights that open */
    uint16_t reserved;
};

static_assert(sizeof(struct room_type) == 32, "two to a cache line");

struct inventory {
    struct property_table properties;
    struct pool types;
    struct hash_index type_index;
    struct night *nights; /* a ring for each place of `types`, place 0 included */
    uint32_t ring_nights;
    uint32_t horizon_nights;
    uint64_t hash_seed;
    struct capture *capture; /* that wants to know of writes into nights; NULL: none is running */
};

/* Length of the ring that serves a horizon. */
static inline uint32_t inventory_ring_nights(uint32_t horizon_nights)
{
    return (uint32_t)align_up(horizon_nights, NIGHTS_PER_LINE);
}

static inline const struct room_type *room_type_at(const struct inventory *inventory, uint32_t index)
{
    return pool_at(&inventory->types, index);
}

static inline struct room_type *room_type_edit(struct inventory *inventory, uint32_t index)
{
    return pool_edit(&inventory->types, index);
}

/* The index of a property's room type, or 0. One look-up answers for both in the usual case. */
uint32_t room_type_find(const struct inventory *inventory, uint64_t property_number, uint32_t number);

/* Ask the cache, one after the other, for where the look-up of a room type begins, for the type it probably leads to, and for the cells where a
 * stay begins and ends, should there be such a type and such nights. */
void inventory_prefetch_index(const struct inventory *inventory, uint64_t property_number, uint32_t number);
void inventory_prefetch_type(const struct inventory *inventory, uint64_t property_number, uint32_t number);
void inventory_prefetch_nights(const struct inventory *inventory, uint64_t property_number,
                               const struct reserve *reserve);

/* Adds a room type that is not there yet, its nights open with `rooms` each. Requires a free place. Returns its index. */
uint32_t room_type_add(struct inventory *inventory, uint32_t property, uint32_t number, uint16_t rooms);

/* Enters a room type into the index; for room_type_add, and for a copy whose pool was filled by other means. */
void room_type_index(struct inventory *inventory, uint32_t index);

/* The cell of a night within the room type's window; `edit`: to be written to until the next record is applied. */
const struct night *inventory_night(const struct inventory *inventory, uint32_t type, int32_t night);
struct night *inventory_night_edit(struct inventory *inventory, uint32_t type, int32_t night);

/* Nights of a room type, half open. */
struct stay {
    uint32_t type;
    int32_t arrival;
    int32_t departure;
};

/* Which count of a night a reservation is in. */
enum night_count { NIGHT_SOLD, NIGHT_HELD };

/* The first night of the stay with fewer than `rooms` rooms left, or its departure where every night has enough. Requires a
 * stay within the window. */
int32_t inventory_first_short(const struct inventory *inventory, struct stay stay, uint16_t rooms);

/* Adds rooms to every night of the stay, or takes them back. Requires a stay within the window, and never below zero. */
void inventory_take(struct inventory *inventory, struct stay stay, uint16_t rooms, enum night_count count);
void inventory_give_back(struct inventory *inventory, struct stay stay, uint16_t rooms, enum night_count count);

/* Rooms left on a night; below zero where supply was cut under what is booked. */
static inline int32_t night_available(const struct night *night)
{
    return (int32_t)night->sellable - (int32_t)night->sold - (int32_t)night->held;
}

#endif
