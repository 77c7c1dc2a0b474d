/* A hash table of references into some array of objects: open addressing, linear probing, no tombstones.
 *
 * An entry is 8 bytes: 32 bits of the hash as a tag, and the reference. A look-up of something absent compares tags only
 * and so seldom touches more than one cache line; the caller compares the object behind a matching tag. The home of a
 * tag is (tag x capacity) >> 32, so any capacity will do. Deletion shifts later entries back.
 *
 * Invariant: between an entry's home and its slot there is no empty slot.
 * Source: Knuth, TAOCP vol. 3, 6.4, algorithms L and R; the range reduction is Lemire's. */
#ifndef ENGINE_HASH_INDEX_H
#define ENGINE_HASH_INDEX_H

#include "engine/base/contract.h"
#include "engine/base/units.h"

#include <stdbool.h>

struct hash_index {
    uint64_t *entries; /* tag << 32 | reference; 0 is empty */
    uint64_t capacity;
    uint64_t count;
};

/* Slots that an index of `entries_max` entries needs to stay at a load of at most 0.7. */
static inline uint64_t hash_index_capacity(uint64_t entries_max)
{
    return align_up((size_t)(entries_max * 10 / 7 + 1), 8);
}

static inline uint64_t hash_index_home(const struct hash_index *index, uint32_t tag)
{
    __extension__ unsigned __int128 product = (unsigned __int128)tag * index->capacity;
    return (uint64_t)(product >> 32);
}

static inline uint32_t hash_index_tag(uint64_t hash)
{
    return (uint32_t)(hash >> 32);
}

static inline uint64_t hash_index_after(const struct hash_index *index, uint64_t slot)
{
    return slot + 1 == index->capacity ? 0 : slot + 1;
}

/* A walk over the references whose tag matches a hash. */
struct hash_probe {
    uint64_t slot;
    uint32_t tag;
};

static inline struct hash_probe hash_index_probe(const struct hash_index *index, uint64_t hash)
{
    uint32_t tag = hash_index_tag(hash);
    return (struct hash_probe){ .slot = hash_index_home(index, tag), .tag = tag };
}

/* The next reference that may be the one sought, or 0 where there is none. Ends because a slot is always empty. */
static inline uint32_t hash_index_next(const struct hash_index *index, struct hash_probe *probe)
{
    for (;;) {
        uint64_t entry = index->entries[probe->slot];
        if (entry == 0)
            return 0;
        probe->slot = hash_index_after(index, probe->slot);
        if ((uint32_t)(entry >> 32) == probe->tag)
            return (uint32_t)entry;
    }
}

/* Asks the cache for the line where a look-up of `hash` begins. */
static inline void hash_index_prefetch(const struct hash_index *index, uint64_t hash)
{
    __builtin_prefetch(&index->entries[hash_index_home(index, hash_index_tag(hash))]);
}

/* An empty index over `capacity` zeroed slots. */
void hash_index_init(struct hash_index *index, uint64_t *entries, uint64_t capacity);

/* Adds a reference, which is not 0 and not yet there. Requires a load below 1. */
void hash_index_insert(struct hash_index *index, uint64_t hash, uint32_t reference);

/* Takes out a reference that is there. */
void hash_index_remove(struct hash_index *index, uint64_t hash, uint32_t reference);

/* True if the reference can be found under this hash. */
bool hash_index_contains(const struct hash_index *index, uint64_t hash, uint32_t reference);

/* NULL if the invariant and the count hold, else what is wrong (static storage). */
const char *hash_index_check(const struct hash_index *index);

#endif
