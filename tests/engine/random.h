/* Repeatable random numbers for tests: xorshift64*. The seed comes from INNKEEP_SEED or the clock and is printed, with the
 * command that runs the test again. */
#ifndef TESTS_ENGINE_RANDOM_H
#define TESTS_ENGINE_RANDOM_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct random {
    uint64_t state;
};

static inline struct random random_start(const char *test)
{
    const char *given = getenv("INNKEEP_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    printf("seed %llu; rerun: INNKEEP_SEED=%llu ctest -R %s -V\n", (unsigned long long)seed, (unsigned long long)seed,
           test);
    return (struct random){ seed * UINT64_C(0x9e3779b97f4a7c15) + 1 };
}

static inline uint64_t random_next(struct random *random)
{
    random->state ^= random->state >> 12;
    random->state ^= random->state << 25;
    random->state ^= random->state >> 27;
    return random->state * UINT64_C(0x2545f4914f6cdd1d);
}

/* 0..bound-1; near enough to uniform for small bounds. */
static inline uint64_t random_below(struct random *random, uint64_t bound)
{
    return (random_next(random) >> 11) % bound;
}

#endif
