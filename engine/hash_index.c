#include "engine/hash_index.h"

void hash_index_init(struct hash_index *index, uint64_t *entries, uint64_t capacity)
{
    REQUIRE(entries != NULL);
    REQUIRE(capacity > 0);
    *index = (struct hash_index){ .entries = entries, .capacity = capacity };
}

void hash_index_insert(struct hash_index *index, uint64_t hash, uint32_t reference)
{
    REQUIRE(reference != 0);
    REQUIRE(index->count + 1 < index->capacity);
    uint32_t tag = hash_index_tag(hash);
    uint64_t slot = hash_index_home(index, tag);
    while (index->entries[slot] != 0)
        slot = hash_index_after(index, slot);
    index->entries[slot] = (uint64_t)tag << 32 | reference;
    index->count++;
}

/* The slot of an entry, or the capacity where it is not there. */
static uint64_t hash_index_find(const struct hash_index *index, uint64_t hash, uint32_t reference)
{
    uint32_t tag = hash_index_tag(hash);
    uint64_t sought = (uint64_t)tag << 32 | reference;
    uint64_t slot = hash_index_home(index, tag);
    while (index->entries[slot] != 0) {
        if (index->entries[slot] == sought)
            return slot;
        slot = hash_index_after(index, slot);
    }
    return index->capacity;
}

/* How many steps forward from `from` to `to`, around the end. */
static uint64_t hash_index_distance(const struct hash_index *index, uint64_t from, uint64_t to)
{
    return to >= from ? to - from : to + index->capacity - from;
}

void hash_index_remove(struct hash_index *index, uint64_t hash, uint32_t reference)
{
    uint64_t hole = hash_index_find(index, hash, reference);
    REQUIRE(hole < index->capacity);
    uint64_t slot = hash_index_after(index, hole);
    while (index->entries[slot] != 0) {
        uint64_t home = hash_index_home(index, (uint32_t)(index->entries[slot] >> 32));
        /* An entry whose home lies behind the hole could be found without passing it, so it stays. */
        if (hash_index_distance(index, home, slot) >= hash_index_distance(index, hole, slot)) {
            index->entries[hole] = index->entries[slot];
            hole = slot;
        }
        slot = hash_index_after(index, slot);
    }
    index->entries[hole] = 0;
    ENSURE(index->count > 0);
    index->count--;
}

bool hash_index_contains(const struct hash_index *index, uint64_t hash, uint32_t reference)
{
    return hash_index_find(index, hash, reference) < index->capacity;
}

const char *hash_index_check(const struct hash_index *index)
{
    uint64_t count = 0;
    for (uint64_t slot = 0; slot < index->capacity; slot++) {
        if (index->entries[slot] == 0)
            continue;
        count++;
        uint64_t home = hash_index_home(index, (uint32_t)(index->entries[slot] >> 32));
        for (uint64_t between = home; between != slot; between = hash_index_after(index, between))
            if (index->entries[between] == 0)
                return "an index entry cannot be reached from its home";
    }
    return count == index->count ? NULL : "an index counts another number of entries than it has";
}
