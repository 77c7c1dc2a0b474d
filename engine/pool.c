#include "engine/pool.h"

#include <string.h>

void pool_init(struct pool *pool, void *memory, size_t object_size, uint32_t objects_max)
{
    REQUIRE(memory != NULL);
    REQUIRE(object_size >= sizeof(uint32_t));
    *pool = (struct pool){ .objects = memory, .object_size = (uint32_t)object_size, .objects_max = objects_max };
}

static uint32_t pool_link(const struct pool *pool, uint32_t index)
{
    uint32_t link;
    memcpy(&link, pool_at(pool, index), sizeof(link));
    return link;
}

uint32_t pool_take(struct pool *pool)
{
    uint32_t index = pool_next(pool);
    REQUIRE(index != 0);
    if (index == pool->free_first) {
        pool->free_first = pool_link(pool, index);
        pool->free_count--;
        memset(pool_edit(pool, index), 0, sizeof(uint32_t));
    } else {
        pool->used++;
    }
    return index;
}

void pool_give(struct pool *pool, uint32_t index)
{
    REQUIRE(index >= 1);
    REQUIRE(index <= pool->used);
    void *object = pool_edit(pool, index);
    memset(object, 0, pool->object_size);
    memcpy(object, &pool->free_first, sizeof(uint32_t));
    pool->free_first = index;
    pool->free_count++;
    ENSURE(pool->free_count <= pool->used);
}

void pool_copy(struct pool *to, const struct pool *from)
{
    REQUIRE(to->used == 0);
    REQUIRE(to->object_size == from->object_size);
    REQUIRE(to->objects_max >= from->objects_max);
    memcpy(pool_edit(to, 1), pool_at(from, 1), (size_t)from->used * from->object_size);
    to->used = from->used;
    to->free_first = from->free_first;
    to->free_count = from->free_count;
}

static bool pool_is_zero(const struct pool *pool, uint32_t index)
{
    const uint8_t *object = pool_at(pool, index);
    for (uint32_t i = sizeof(uint32_t); i < pool->object_size; i++)
        if (object[i] != 0)
            return false;
    return true;
}

const char *pool_check(const struct pool *pool)
{
    if (pool->used > pool->objects_max || pool->free_count > pool->used)
        return "a pool counts more objects than it has";
    uint32_t count = 0;
    for (uint32_t index = pool->free_first; index != 0; index = pool_link(pool, index)) {
        if (index > pool->used)
            return "a free list leaves its pool";
        if (++count > pool->free_count)
            return "a free list is longer than its count";
        if (!pool_is_zero(pool, index))
            return "a free object is not zero";
    }
    return count == pool->free_count ? NULL : "a free list is shorter than its count";
}
