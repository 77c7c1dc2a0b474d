#include "net/server/commit_latency.h"

#include <criterion/criterion.h>

static struct commit_latency latency;

Test(commit_latency, nothing_recorded_is_nothing_known)
{
    cr_assert_eq(commit_latency_percentile(&latency, 990), 0);
}

Test(commit_latency, percentiles_are_within_a_hundredth)
{
    for (uint64_t us = 1; us <= 1000; us++)
        commit_latency_record(&latency, us * 1000);
    uint64_t p50 = commit_latency_percentile(&latency, 500);
    uint64_t p99 = commit_latency_percentile(&latency, 990);
    cr_assert(p50 >= 500000 && p50 <= 500000 + 500000 / 100, "p50 %lu", (unsigned long)p50);
    cr_assert(p99 >= 990000 && p99 <= 990000 + 990000 / 100, "p99 %lu", (unsigned long)p99);
}

Test(commit_latency, one_slow_commit_in_a_hundred_and_one_is_the_p99_and_none_below)
{
    for (int i = 0; i < 99; i++)
        commit_latency_record(&latency, 100);
    commit_latency_record(&latency, 1000000);
    cr_assert_leq(commit_latency_percentile(&latency, 990), 100);
    commit_latency_record(&latency, 1000000);
    cr_assert_geq(commit_latency_percentile(&latency, 990), 1000000);
}

Test(commit_latency, extremes_have_buckets)
{
    commit_latency_record(&latency, 0);
    cr_assert_eq(commit_latency_percentile(&latency, 1000), 0);
    commit_latency_record(&latency, UINT64_MAX);
    cr_assert_eq(commit_latency_percentile(&latency, 1000), UINT64_MAX);
}

Test(commit_latency, two_windows_later_the_past_is_forgotten)
{
    commit_latency_tend(&latency, 1);
    commit_latency_record(&latency, 5000);
    commit_latency_tend(&latency, 1 + COMMIT_LATENCY_WINDOW_NS);
    cr_assert_geq(commit_latency_percentile(&latency, 990), 5000, "the last window still counts");
    commit_latency_tend(&latency, 1 + 2 * COMMIT_LATENCY_WINDOW_NS);
    cr_assert_eq(commit_latency_percentile(&latency, 990), 0);
}

Test(commit_latency, a_p99_of_a_tenth_of_the_ttl_endangers_it)
{
    cr_assert(commit_latency_endangers(100, 1000, 10));
    cr_assert(!commit_latency_endangers(99, 1000, 10));
    cr_assert(!commit_latency_endangers(0, 1000, 10), "not known yet");
    cr_assert(!commit_latency_endangers(100, 0, 10), "no live lease");
}
