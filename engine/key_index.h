/* One index over every key the engine remembers: where (property, key) leads.
 *
 * A key is remembered as the name of a reservation, as the latest mutation of a reservation, or as a kept outcome; one
 * look-up says which, and that nothing else uses the key. */
#ifndef ENGINE_KEY_INDEX_H
#define ENGINE_KEY_INDEX_H

#include "engine/base/hash.h"
#include "engine/base/record.h"
#include "engine/hash_index.h"

enum key_use { KEY_UNUSED = 0, KEY_RESERVATION = 1, KEY_LATEST_MUTATION = 2, KEY_OUTCOME = 3 };

/* A use of a key and the index of the reservation or outcome, packed into what the hash index keeps. */
#define KEY_USE_SHIFT 30
#define KEY_TARGETS_MAX ((UINT32_C(1) << KEY_USE_SHIFT) - 1)

static inline uint32_t key_reference(enum key_use use, uint32_t target)
{
    return (uint32_t)use << KEY_USE_SHIFT | target;
}

static inline enum key_use key_reference_use(uint32_t reference)
{
    return (enum key_use)(reference >> KEY_USE_SHIFT);
}

static inline uint32_t key_reference_target(uint32_t reference)
{
    return reference & KEY_TARGETS_MAX;
}

/* A key in its scope. */
struct key_name {
    uint64_t property_number;
    struct key key;
};

static_assert(sizeof(struct key_name) == 24, "hashed as bytes, so without padding");

static inline uint64_t key_name_hash(struct key_name name, uint64_t seed)
{
    return hash64(&name, sizeof(name), seed);
}

#endif
