#include "engine/property.h"

#include "engine/base/hash.h"

static uint64_t property_hash(const struct property_table *table, uint64_t number)
{
    return hash64(&number, sizeof(number), table->hash_seed);
}

uint32_t property_find(const struct property_table *table, uint64_t number)
{
    struct hash_probe probe = hash_index_probe(&table->index, property_hash(table, number));
    for (;;) {
        uint32_t index = hash_index_next(&table->index, &probe);
        if (index == 0 || property_at(table, index)->number == number)
            return index;
    }
}

void property_index(struct property_table *table, uint32_t index)
{
    REQUIRE(index != 0);
    hash_index_insert(&table->index, property_hash(table, property_at(table, index)->number), index);
}

uint32_t property_add(struct property_table *table, uint64_t number, int32_t business_date)
{
    REQUIRE(number != 0);
    REQUIRE(property_find(table, number) == 0);
    uint32_t index = pool_take(&table->pool);
    struct property *property = property_edit(table, index);
    property->number = number;
    property->business_date = business_date;
    property_index(table, index);
    return index;
}
