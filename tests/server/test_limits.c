#include "net/server/limits.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static char why[512];

static struct engine_limits derived(uint64_t memory)
{
    struct engine_limits limits;
    cr_assert(limits_derive(memory, 365, &limits));
    return limits;
}

Test(limits, what_is_derived_fits_and_one_step_more_does_not_waste_it)
{
    for (uint64_t memory = 1 * MIB; memory <= 4 * GIB; memory *= 2) {
        struct engine_limits limits = derived(memory);
        cr_assert_leq(engine_memory_size(&limits), memory);
        cr_assert_gt(engine_memory_size(&limits), memory / 3,
                     "hash tables grow in powers of two; most of the rest is used");
    }
}

Test(limits, too_little_memory_is_refused)
{
    struct engine_limits limits;
    struct engine_limits given = { 0 };
    cr_assert(!limits_derive(1000, 365, &limits));
    cr_assert_eq(limits_settle(&given, 1000, NULL, &limits, why, sizeof why), -EINVAL);
    cr_assert(strstr(why, "--memory") != NULL);
}

Test(limits, what_is_named_wins_over_what_is_derived)
{
    struct engine_limits limits;
    struct engine_limits given = { .reservations_max = 5, .horizon_nights = 30 };
    cr_assert_eq(limits_settle(&given, 64 * MIB, NULL, &limits, why, sizeof why), 0);
    cr_assert_eq(limits.reservations_max, 5);
    cr_assert_eq(limits.horizon_nights, 30);
    cr_assert_gt(limits.room_types_max, 100);
}

Test(limits, what_is_not_named_stays_as_logged)
{
    struct engine_limits logged = derived(8 * MIB);
    struct engine_limits limits;
    struct engine_limits given = { 0 };
    cr_assert_eq(limits_settle(&given, 0, &logged, &limits, why, sizeof why), 0);
    cr_assert_eq(memcmp(&limits, &logged, sizeof limits), 0);
}

Test(limits, a_limit_never_shrinks)
{
    struct engine_limits logged = derived(8 * MIB);
    struct engine_limits limits;
    struct engine_limits given = { .leases_max = logged.leases_max - 1 };
    cr_assert_eq(limits_settle(&given, 0, &logged, &limits, why, sizeof why), -EINVAL);
    cr_assert(strstr(why, "--leases") != NULL);
    given.leases_max = logged.leases_max + 1;
    cr_assert_eq(limits_settle(&given, 0, &logged, &limits, why, sizeof why), 0);
    cr_assert_eq(limits.leases_max, logged.leases_max + 1);
    cr_assert_eq(limits.reservations_max, logged.reservations_max);
}

Test(limits, the_same_words_mean_the_same_at_every_start)
{
    struct engine_limits first;
    struct engine_limits second;
    struct engine_limits given = { .reservations_max = 1000000, .outcomes_max = 1000000 };
    cr_assert_eq(limits_settle(&given, 8 * MIB, NULL, &first, why, sizeof why), 0);
    cr_assert_gt(engine_memory_size(&first), 8 * MIB, "what is named may cost more than --memory");
    cr_assert_eq(limits_settle(&given, 8 * MIB, &first, &second, why, sizeof why), 0, "%s", why);
    cr_assert_eq(memcmp(&first, &second, sizeof first), 0);
}

Test(limits, more_memory_raises_every_limit_and_less_is_refused)
{
    struct engine_limits logged = derived(8 * MIB);
    struct engine_limits limits;
    struct engine_limits given = { 0 };
    cr_assert_eq(limits_settle(&given, 32 * MIB, &logged, &limits, why, sizeof why), 0);
    cr_assert_gt(limits.reservations_max, logged.reservations_max);
    cr_assert_eq(limits_settle(&given, 1 * MIB, &logged, &limits, why, sizeof why), -EINVAL);
}
