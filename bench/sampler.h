/* Draws items 0..count-1 with given probabilities: uniform, or Zipf's law, by which a few room types get most of the demand.
 *
 * One table look-up a draw, exact for any weights, whatever their skew.
 * Source: Alastair Walker's alias method, with Michael Vose's linear-time table (1991); the skew 0.99 is that of the YCSB
 * workloads (Cooper et al., SoCC 2010). */
#ifndef BENCH_SAMPLER_H
#define BENCH_SAMPLER_H

#include "bench/random.h"
#include "engine/base/contract.h"

#include <stdbool.h>

#define SAMPLER_ZIPF_SKEW 0.99

struct sampler_cell {
    uint32_t threshold; /* a draw below it stays here, */
    uint32_t alias;     /* any other goes there */
};

struct sampler {
    struct sampler_cell *cells; /* owned */
    uint32_t count;
};

/* Item i gets the share weights[i] / sum. `count` >= 1, every weight >= 0 and finite, their sum > 0. 0 or -ENOMEM. */
MUST_USE int sampler_init(struct sampler *sampler, const double *weights, uint32_t count);

/* Every item alike, or item i in proportion to 1 / (i + 1)^0.99. 0 or -ENOMEM. */
MUST_USE int sampler_init_uniform(struct sampler *sampler, uint32_t count);
MUST_USE int sampler_init_zipf(struct sampler *sampler, uint32_t count);

void sampler_free(struct sampler *sampler);

static inline uint32_t sampler_draw(const struct sampler *sampler, struct random_source *source)
{
    uint64_t bits = random_next(source);
    uint32_t at = (uint32_t)((bits >> 32) * sampler->count >> 32);
    const struct sampler_cell *cell = &sampler->cells[at];
    return (uint32_t)bits < cell->threshold ? at : cell->alias;
}

#endif
