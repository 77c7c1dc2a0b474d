#include "bench/sampler.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

/* A full cell's threshold cannot say 2^32, so it names itself as its alias. */
static void set_cell(struct sampler *sampler, uint32_t at, double share, uint32_t alias)
{
    double scaled = share * 4294967296.0;
    sampler->cells[at].threshold = scaled >= 4294967295.0 ? UINT32_MAX : (uint32_t)scaled;
    sampler->cells[at].alias = alias;
}

/* Vose: `order` holds the items below the average from the front and the others from the back; each poor item takes what it
 * lacks from a rich one, which may thereby become poor. */
static void fill_cells(struct sampler *sampler, double *shares, uint32_t *order)
{
    uint32_t poor_end = 0;
    uint32_t rich_begin = sampler->count;
    for (uint32_t i = 0; i < sampler->count; i++)
        order[shares[i] < 1.0 ? poor_end++ : --rich_begin] = i;
    for (uint32_t at = 0; at < poor_end && rich_begin < sampler->count; at++) {
        uint32_t poor = order[at];
        uint32_t rich = order[rich_begin];
        set_cell(sampler, poor, shares[poor], rich);
        shares[rich] -= 1.0 - shares[poor];
        if (shares[rich] < 1.0) {
            rich_begin++;
            order[poor_end++] = rich;
        }
        shares[poor] = -1.0;
    }
    for (uint32_t i = 0; i < sampler->count; i++)
        if (shares[i] >= 0)
            set_cell(sampler, i, 1.0, i);
}

static void scale(double *shares, const double *weights, uint32_t count)
{
    double sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        REQUIRE(isfinite(weights[i]));
        REQUIRE(weights[i] >= 0);
        sum += weights[i];
    }
    REQUIRE(sum > 0);
    for (uint32_t i = 0; i < count; i++)
        shares[i] = weights[i] / sum * count;
}

int sampler_init(struct sampler *sampler, const double *weights, uint32_t count)
{
    REQUIRE(count >= 1);
    sampler->cells = calloc(count, sizeof *sampler->cells);
    sampler->count = count;
    double *shares = calloc(count, sizeof *shares);
    uint32_t *order = calloc(count, sizeof *order);
    bool room = sampler->cells != NULL && shares != NULL && order != NULL;
    if (room) {
        scale(shares, weights, count);
        fill_cells(sampler, shares, order);
    } else {
        sampler_free(sampler);
    }
    free(shares);
    free(order);
    return room ? 0 : -ENOMEM;
}

static int init_by_rank(struct sampler *sampler, uint32_t count, double skew)
{
    double *weights = calloc(count, sizeof *weights);
    if (weights == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++)
        weights[i] = pow((double)i + 1, -skew);
    int error = sampler_init(sampler, weights, count);
    free(weights);
    return error;
}

int sampler_init_uniform(struct sampler *sampler, uint32_t count)
{
    return init_by_rank(sampler, count, 0);
}

int sampler_init_zipf(struct sampler *sampler, uint32_t count)
{
    return init_by_rank(sampler, count, SAMPLER_ZIPF_SKEW);
}

void sampler_free(struct sampler *sampler)
{
    free(sampler->cells);
    *sampler = (struct sampler){ 0 };
}
