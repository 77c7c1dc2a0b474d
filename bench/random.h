/* Random numbers for keys and choices: fast, seeded from the kernel, repeatable where a seed is given.
 *
 * Source: David Blackman, Sebastiano Vigna, "Scrambled linear pseudorandom number generators" (xoshiro256++); the state is
 * filled by splitmix64, as they advise. Not for secrets. */
#ifndef BENCH_RANDOM_H
#define BENCH_RANDOM_H

#include "engine/base/record.h"

struct random_source {
    uint64_t word[4]; /* never all zero */
};

/* Equal seeds and streams give equal numbers; streams of one seed are independent of each other. */
void random_init(struct random_source *source, uint64_t seed, uint64_t stream);

/* 64 bits from getrandom(2). Aborts if the kernel gives none. */
uint64_t random_seed(void);

static inline uint64_t random_rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static inline uint64_t random_next(struct random_source *source)
{
    uint64_t *s = source->word;
    uint64_t result = random_rotate(s[0] + s[3], 23) + s[0];
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = random_rotate(s[3], 45);
    return result;
}

/* 0 .. bound - 1, bound >= 1. The bias is at most bound / 2^32, far below what a load could show.
 * Source: Daniel Lemire, "Fast random integer generation in an interval", 2019, without its rejection step. */
static inline uint32_t random_below(struct random_source *source, uint32_t bound)
{
    return (uint32_t)((random_next(source) >> 32) * bound >> 32);
}

/* 128 random bits; zero, which the protocol refuses, is turned into one. */
static inline struct key random_key(struct random_source *source)
{
    struct key key = { .word = { random_next(source), random_next(source) } };
    key.word[0] |= (uint64_t)key_is_zero(key);
    return key;
}

#endif
