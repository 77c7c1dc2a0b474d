#include "bench/random.h"

#include "engine/base/contract.h"

#include <sys/random.h>

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void random_init(struct random_source *source, uint64_t seed, uint64_t stream)
{
    uint64_t stream_state = stream;
    uint64_t state = seed ^ splitmix64(&stream_state);
    for (int i = 0; i < 4; i++)
        source->word[i] = splitmix64(&state);
    ENSURE((source->word[0] | source->word[1] | source->word[2] | source->word[3]) != 0);
}

uint64_t random_seed(void)
{
    uint64_t seed = 0;
    ssize_t size = getrandom(&seed, sizeof seed, 0);
    ENSURE(size == (ssize_t)sizeof seed);
    return seed;
}
