/* A fixed number of equal objects in an array, taken and given back by index. Index 0 is never handed out and means none.
 *
 * A fresh array is not written before its objects are used: those never used lie behind `used`, those given back form a list
 * through their first four bytes. A free object is zero but for that link. */
#ifndef ENGINE_POOL_H
#define ENGINE_POOL_H

#include "engine/capture.h"

struct pool {
    uint8_t *objects; /* objects_max + 1 of them; number 0 stays unused */
    uint32_t object_size;
    uint32_t objects_max;
    uint32_t used; /* objects 1..used were taken at least once */
    uint32_t free_first;
    uint32_t free_count;
    struct capture *capture; /* that wants to know of writes; NULL: none is running */
};

/* Bytes that the array of a pool needs. */
static inline size_t pool_size(size_t object_size, uint32_t objects_max)
{
    return object_size * ((size_t)objects_max + 1);
}

static inline const void *pool_at(const struct pool *pool, uint32_t index)
{
    return pool->objects + (size_t)index * pool->object_size;
}

/* The same, to be written to until the next record is applied. */
static inline void *pool_edit(struct pool *pool, uint32_t index)
{
    void *object = pool->objects + (size_t)index * pool->object_size;
    capture_touch(pool->capture, object, pool->object_size);
    return object;
}

static inline uint32_t pool_count(const struct pool *pool)
{
    return pool->used - pool->free_count;
}

static inline bool pool_is_full(const struct pool *pool)
{
    return pool_count(pool) == pool->objects_max;
}

/* The index that pool_take would hand out next; 0 if full. */
static inline uint32_t pool_next(const struct pool *pool)
{
    if (pool->free_first != 0)
        return pool->free_first;
    return pool->used < pool->objects_max ? pool->used + 1 : 0;
}

/* An empty pool over pool_size bytes of zeroed memory. */
void pool_init(struct pool *pool, void *memory, size_t object_size, uint32_t objects_max);

/* Hands out a zeroed object. Requires a pool that is not full. */
MUST_USE uint32_t pool_take(struct pool *pool);

/* Takes an object back and zeroes it. Requires an index that is handed out. */
void pool_give(struct pool *pool, uint32_t index);

/* Fills the fresh pool `to`, which holds at least as many equal objects, with those of `from` under the same indexes. */
void pool_copy(struct pool *to, const struct pool *from);

/* NULL if the free list is whole and its objects are zero, else what is wrong (static storage). */
const char *pool_check(const struct pool *pool);

#endif
