#include "bench/sampler.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#define DRAWS 2000000

/* Draws, and asks that each item's count lies within 6 standard deviations of what its weight promises. */
static void expect_shares(struct sampler *sampler, const double *weights, uint32_t count)
{
    uint64_t seed = random_seed();
    struct random_source source;
    random_init(&source, seed, 0);
    uint32_t *seen = calloc(count, sizeof *seen);
    cr_assert_not_null(seen);
    cr_assert_eq(sampler->count, count);
    double sum = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += weights[i];
    for (int i = 0; i < DRAWS; i++) {
        uint32_t drawn = sampler_draw(sampler, &source);
        cr_assert_lt(drawn, count);
        seen[drawn]++;
    }
    for (uint32_t i = 0; i < count; i++) {
        double share = weights[i] / sum;
        double deviation = sqrt(DRAWS * share * (1 - share)) + 0.5;
        cr_expect_float_eq(seen[i], DRAWS * share, 6 * deviation, "item %u, seed %lu", i, (unsigned long)seed);
    }
    free(seen);
    sampler_free(sampler);
}

Test(sampler, zipf_gives_rank_r_its_share_of_one_over_r_to_the_skew)
{
    static double weights[1000];
    for (int i = 0; i < 1000; i++)
        weights[i] = 1 / pow(i + 1, SAMPLER_ZIPF_SKEW);
    struct sampler sampler;
    cr_assert_eq(sampler_init_zipf(&sampler, 1000), 0);
    expect_shares(&sampler, weights, 1000);
}

Test(sampler, uniform_gives_each_item_alike)
{
    static double weights[100];
    for (int i = 0; i < 100; i++)
        weights[i] = 1;
    struct sampler sampler;
    cr_assert_eq(sampler_init_uniform(&sampler, 100), 0);
    expect_shares(&sampler, weights, 100);
}

Test(sampler, an_item_of_weight_zero_is_never_drawn)
{
    static const double weights[] = { 0, 5, 0, 1, 0 };
    struct sampler sampler;
    cr_assert_eq(sampler_init(&sampler, weights, 5), 0);
    expect_shares(&sampler, weights, 5);
}

Test(sampler, a_single_item_is_always_drawn)
{
    static const double weights[] = { 3 };
    struct sampler sampler;
    cr_assert_eq(sampler_init(&sampler, weights, 1), 0);
    expect_shares(&sampler, weights, 1);
}

Test(sampler, equal_seeds_draw_equal_items_and_other_streams_others)
{
    struct random_source one;
    struct random_source same;
    struct random_source stream;
    random_init(&one, 42, 0);
    random_init(&same, 42, 0);
    random_init(&stream, 42, 1);
    int equal_to_stream = 0;
    for (int i = 0; i < 100; i++) {
        uint64_t drawn = random_next(&one);
        cr_assert_eq(drawn, random_next(&same));
        equal_to_stream += drawn == random_next(&stream);
    }
    cr_expect_eq(equal_to_stream, 0);
}
