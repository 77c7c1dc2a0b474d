/* Properties: hotels, named by the client with a 64-bit number. */
#ifndef ENGINE_PROPERTY_H
#define ENGINE_PROPERTY_H

#include "engine/hash_index.h"
#include "engine/pool.h"

struct property {
    uint64_t number;       /* the client's name for it; never 0 */
    int32_t business_date; /* the first night that can be sold */
    uint32_t first_type;   /* its room types in order of creation, linked through room_type.next_type; 0: none */
    uint32_t last_type;
    uint32_t types_count;
    uint8_t reserved[8];
};

static_assert(sizeof(struct property) == 32, "two to a cache line");

struct property_table {
    struct pool pool;
    struct hash_index index;
    uint64_t hash_seed;
};

static inline const struct property *property_at(const struct property_table *table, uint32_t index)
{
    return pool_at(&table->pool, index);
}

static inline struct property *property_edit(struct property_table *table, uint32_t index)
{
    return pool_edit(&table->pool, index);
}

/* The index of the property of that number, or 0. */
uint32_t property_find(const struct property_table *table, uint64_t number);

/* Adds a property that is not there yet. Requires a free place. Returns its index. */
uint32_t property_add(struct property_table *table, uint64_t number, int32_t business_date);

/* Enters a property into the index; for property_add, and for a copy whose pool was filled by other means. */
void property_index(struct property_table *table, uint32_t index);

#endif
