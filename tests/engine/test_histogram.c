#include "bench/random.h"
#include "engine/base/histogram.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct histogram histogram;
static struct histogram other;

Test(histogram, small_values_are_exact)
{
    for (uint64_t value = 1; value <= 200; value++)
        histogram_add(&histogram, value);
    cr_expect_eq(histogram_percentile(&histogram, 0.5), 100);
    cr_expect_eq(histogram_percentile(&histogram, 0.99), 198);
    cr_expect_eq(histogram_percentile(&histogram, 1.0), 200);
}

Test(histogram, an_empty_histogram_says_zero)
{
    cr_expect_eq(histogram_percentile(&histogram, 0.5), 0);
}

Test(histogram, buckets_follow_each_other_without_gap_or_overlap)
{
    for (uint64_t value = 1; value < 3000000; value++) {
        uint32_t step = histogram_bucket(value) - histogram_bucket(value - 1);
        cr_assert(step <= 1, "between %lu and its predecessor", (unsigned long)value);
    }
    cr_expect_lt(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS);
}

static int compare(const void *left, const void *right)
{
    uint64_t a;
    uint64_t b;
    memcpy(&a, left, sizeof a);
    memcpy(&b, right, sizeof b);
    return (a > b) - (a < b);
}

Test(histogram, a_percentile_is_never_below_the_true_one_and_at_most_one_percent_above)
{
    enum { COUNT = 100000 };
    static uint64_t values[COUNT];
    uint64_t seed = random_seed();
    struct random_source source;
    random_init(&source, seed, 0);
    for (int i = 0; i < COUNT; i++) {
        values[i] = random_next(&source) >> (random_next(&source) % 60);
        histogram_add(&histogram, values[i]);
    }
    qsort(values, COUNT, sizeof values[0], compare);
    static const double shares[] = { 0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0 };
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        uint64_t truth = values[(size_t)(shares[i] * COUNT + 0.999999) - 1];
        uint64_t told = histogram_percentile(&histogram, shares[i]);
        cr_expect_geq(told, truth, "share %f, seed %lu", shares[i], (unsigned long)seed);
        cr_expect_leq((double)told, (double)truth * 1.01, "share %f, seed %lu", shares[i], (unsigned long)seed);
    }
}

Test(histogram, the_maximum_is_exact)
{
    histogram_add(&histogram, 1000001);
    histogram_add(&histogram, 5);
    cr_expect_eq(histogram.max, 1000001);
    cr_expect_eq(histogram_percentile(&histogram, 0.999), 1000001);
}

Test(histogram, merging_is_the_same_as_counting_together)
{
    for (uint64_t value = 0; value < 1000; value++)
        histogram_add(value % 2 == 0 ? &histogram : &other, value * value);
    histogram_merge(&histogram, &other);
    static struct histogram together;
    for (uint64_t value = 0; value < 1000; value++)
        histogram_add(&together, value * value);
    cr_expect_eq(memcmp(&histogram, &together, sizeof together), 0);
}
