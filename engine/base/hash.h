/* The one hash function of the project, XXH3, inlined so that a small key costs no call.
 *
 * Source: Yann Collet, xxHash (https://xxhash.com), the 0.8 series, whose XXH3 output is frozen. */
#ifndef ENGINE_BASE_HASH_H
#define ENGINE_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wundef"
#pragma GCC diagnostic ignored "-Wshadow"
#define XXH_INLINE_ALL
#include <xxhash.h>
#pragma GCC diagnostic pop

/* 128 bits in the byte order of memory and disk: low half first. */
struct hash128 {
    uint64_t low;
    uint64_t high;
};

static inline uint64_t hash64(const void *bytes, size_t size_bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes, size_bytes, seed);
}

static inline struct hash128 hash128(const void *bytes, size_t size_bytes, uint64_t seed)
{
    XXH128_hash_t h = XXH3_128bits_withSeed(bytes, size_bytes, seed);
    return (struct hash128){ .low = h.low64, .high = h.high64 };
}

static inline int hash128_equal(struct hash128 a, struct hash128 b)
{
    return a.low == b.low && a.high == b.high;
}

/* Adds modulo 2^128; a sum does not depend on the order of what is summed. */
static inline struct hash128 hash128_add(struct hash128 a, struct hash128 b)
{
    struct hash128 sum = { .low = a.low + b.low, .high = a.high + b.high };
    sum.high += sum.low < a.low;
    return sum;
}

#endif
