/* engine/sweep.c: what is due ends in (due time, LSN) order, a bounded number a frame. */
#include "tests/engine/fixture.h"

#include <criterion/criterion.h>

static struct world *world;

static void begin(void)
{
    struct engine_limits limits = small_limits();
    world = world_with_rooms(&limits, 8);
}

static void end(void)
{
    world_free(world);
}

TestSuite(sweep, .init = begin, .fini = end);

Test(sweep, the_next_deadline_is_the_earliest_of_every_kind)
{
    uint64_t now_ns = world->time_ns;
    cr_assert_eq(engine_next_deadline(world->engine), NEVER_NS);
    struct reserve refused = make_reserve(world, 1, NIGHT_0 - 1, 1);
    world_mutate(world, &refused);
    cr_assert_eq(engine_next_deadline(world->engine), now_ns + WITHIN_NS + 1, "an outcome outlives its deadline");
    struct lease_acquire acquire = make_acquire(1, 1, 20 * NS_PER_SECOND);
    world_lease(world, &acquire);
    cr_assert_eq(engine_next_deadline(world->engine), now_ns + 20 * NS_PER_SECOND);
    struct reserve hold = make_hold(world, 2, NIGHT_0, 1, 10 * NS_PER_SECOND);
    world_mutate(world, &hold);
    cr_assert_eq(engine_next_deadline(world->engine), now_ns + 10 * NS_PER_SECOND);
    world_later(world, WITHIN_NS + 1);
    uint64_t reclaim_ns = now_ns + 20 * NS_PER_SECOND + ENGINE_LEASE_LINGER_NS;
    cr_assert_eq(engine_next_deadline(world->engine), reclaim_ns);
    world_at(world, reclaim_ns);
    uint64_t forget_ns = now_ns + 10 * NS_PER_SECOND + world->limits.keep_ended_ns;
    cr_assert_eq(engine_next_deadline(world->engine), forget_ns, "a hold ends at its deadline, not at its sweep");
    world_at(world, forget_ns);
    cr_assert_eq(engine_next_deadline(world->engine), NEVER_NS);
    cr_assert_eq(world_counts(world).reservations_ended, 0);
}

Test(sweep, an_expired_hold_returns_its_rooms_and_is_remembered_a_while)
{
    struct reserve hold = make_hold(world, 1, NIGHT_0, 2, NS_PER_SECOND);
    world_mutate(world, &hold);
    cr_assert_eq(world_night(world, NIGHT_0 + 1).held, 1);
    world_later(world, NS_PER_SECOND);
    cr_assert_eq(world_night(world, NIGHT_0 + 1).held, 0);
    cr_assert_eq(world_counts(world).reservations_held, 0);
    cr_assert_eq(world_counts(world).reservations_ended, 1);
    struct mutation_result again = world_mutate(world, &hold);
    cr_assert_eq(again.header.status, STATUS_OK);
    cr_assert_eq(again.header.flags, RESULT_REPLAYED);
    cr_assert_eq(again.state, RESERVATION_HELD, "as first answered");
}

Test(sweep, an_ended_reservation_is_forgotten_with_both_its_keys)
{
    struct reserve hold = make_hold(world, 1, NIGHT_0, 1, NS_PER_SECOND);
    world_mutate(world, &hold);
    struct reservation_change release = make_change(world, OPERATION_RELEASE, 2, 1);
    world_mutate(world, &release);
    world_later(world, world->limits.keep_ended_ns - 1);
    cr_assert_eq(world_counts(world).reservations_ended, 1);
    world_later(world, 1);
    cr_assert_eq(world_counts(world).reservations_ended, 0);
    for (uint64_t key = 1; key <= 2; key++) {
        struct lookup lookup = make_lookup(key);
        struct lookup_result result;
        world_query(world, &lookup, &result);
        cr_assert_eq(result.header.status, STATUS_NO_SUCH_KEY);
    }
}

Test(sweep, no_reservation_is_forgotten_before_the_deadlines_of_its_keys)
{
    struct engine_limits limits = small_limits();
    limits.keep_ended_ns = 1;
    end();
    world = world_with_rooms(&limits, 8);
    struct reserve hold = make_hold(world, 1, NIGHT_0, 1, NS_PER_SECOND);
    world_mutate(world, &hold);
    world_later(world, NS_PER_SECOND / 2);
    struct reservation_change release = make_change(world, OPERATION_RELEASE, 2, 1);
    world_mutate(world, &release);
    world_at(world, release.mutation.not_after_ns);
    cr_assert_eq(world_counts(world).reservations_ended, 1);
    world_later(world, 1);
    cr_assert_eq(world_counts(world).reservations_ended, 0);
}

/* More holds than one frame ends, all due at the same time. */
#define HOLDS (2 * ENGINE_SWEEP_MAX)

static struct reserve crowd_hold(uint64_t key)
{
    return make_hold(world, key, NIGHT_0, 1, NS_PER_SECOND);
}

static struct engine_limits crowd_limits;

static void crowd(void)
{
    if (crowd_limits.reservations_max == 0) {
        crowd_limits = small_limits();
        crowd_limits.reservations_max = HOLDS + 10;
    }
    end();
    world = world_with_rooms(&crowd_limits, HOLDS);
    union apply_result result;
    for (uint64_t key = 1; key <= HOLDS; key++) {
        struct reserve hold = crowd_hold(key);
        world->lsn++;
        engine_apply(world->engine, &hold.mutation.header, world->lsn, &result);
        cr_assert_eq(result.header.status, STATUS_OK);
        engine_apply(world->twin, &hold.mutation.header, world->lsn, &result);
    }
    cr_assert_eq(world_counts(world).reservations_held, HOLDS);
}

static uint8_t state_of(uint64_t key)
{
    struct lookup lookup = make_lookup(key);
    struct lookup_result result;
    world_query(world, &lookup, &result);
    cr_assert_eq(result.header.status, STATUS_OK);
    return result.state;
}

Test(sweep, a_frame_ends_a_bounded_number_and_the_next_one_goes_on)
{
    crowd();
    world_later(world, NS_PER_SECOND);
    cr_assert_eq(world_counts(world).reservations_held, HOLDS - ENGINE_SWEEP_MAX);
    cr_assert_eq(world_night(world, NIGHT_0).held, HOLDS - ENGINE_SWEEP_MAX);
    cr_assert_leq(engine_next_deadline(world->engine), world->time_ns, "the next frame is wanted at once");
    world_later(world, 0);
    cr_assert_eq(world_counts(world).reservations_held, 0);
    cr_assert_eq(world_night(world, NIGHT_0).held, 0);
}

Test(sweep, what_is_due_but_not_yet_swept_counts_as_expired)
{
    crowd();
    world_later(world, NS_PER_SECOND);
    cr_assert_eq(state_of(HOLDS), RESERVATION_EXPIRED);
    struct reservation_change confirm = make_change(world, OPERATION_CONFIRM, HOLDS + 1, HOLDS);
    struct mutation_result result = world_mutate(world, &confirm);
    cr_assert_eq(result.header.status, STATUS_HOLD_EXPIRED);
    cr_assert_eq(result.state, RESERVATION_EXPIRED);
    cr_assert_eq(world_counts(world).reservations_held, HOLDS - ENGINE_SWEEP_MAX, "it is still to be swept");
}

Test(sweep, of_equal_deadlines_the_older_command_ends_first)
{
    crowd();
    struct lease_acquire acquire = make_acquire(1, 1, NS_PER_SECOND);
    uint64_t token = world_lease(world, &acquire).token;
    world_later(world, NS_PER_SECOND);
    /* The lease is younger than every hold, so its turn did not come; and it is expired all the same. */
    cr_assert_eq(world_counts(world).leases_live, 1);
    struct lease_show show = make_show(1);
    struct lease_result result;
    world_query(world, &show, &result);
    cr_assert_eq(result.state, LEASE_EXPIRED);
    struct lease_renew renew = make_renew(1, token, NS_PER_SECOND);
    cr_assert_eq(world_lease(world, &renew).header.status, STATUS_LEASE_EXPIRED);
    acquire = make_acquire(2, 1, NS_PER_SECOND);
    cr_assert_gt(world_lease(world, &acquire).token, token, "another session takes the unswept slot");
    cr_assert_eq(world_counts(world).leases_live, 1);
}

/* A reservation that ended long ago, due to be forgotten at some time around that of the crowd's holds. */
static void crowd_and_one_ended(int64_t after_the_holds_ns)
{
    crowd();
    uint64_t holds_due_ns = world->time_ns + NS_PER_SECOND;
    struct reserve hold = make_reserve(world, HOLDS + 1, NIGHT_0 + 1, 1);
    hold.mutation.not_after_ns = holds_due_ns - 1 + (uint64_t)after_the_holds_ns;
    world_mutate(world, &hold);
    struct reservation_change cancel = make_change(world, OPERATION_CANCEL, HOLDS + 2, HOLDS + 1);
    cancel.mutation.not_after_ns = hold.mutation.not_after_ns;
    cr_assert_eq(world_mutate(world, &cancel).header.status, STATUS_OK);
}

static void short_memory(void)
{
    struct engine_limits limits = small_limits();
    limits.reservations_max = HOLDS + 10;
    limits.keep_ended_ns = 1;
    crowd_limits = limits;
}

Test(sweep, what_is_to_be_forgotten_takes_its_turn_among_what_ends)
{
    short_memory();
    crowd_and_one_ended(-1);
    world_later(world, NS_PER_SECOND);
    cr_assert_eq(world_counts(world).reservations_held, HOLDS - ENGINE_SWEEP_MAX + 1, "it was due first");
    cr_assert_eq(world_counts(world).reservations_ended, ENGINE_SWEEP_MAX - 1);
}

Test(sweep, what_is_to_be_forgotten_later_waits_for_what_ends_before)
{
    short_memory();
    crowd_and_one_ended(+1);
    world_later(world, NS_PER_SECOND + 1);
    cr_assert_eq(world_counts(world).reservations_held, HOLDS - ENGINE_SWEEP_MAX);
    cr_assert_eq(world_counts(world).reservations_ended, ENGINE_SWEEP_MAX + 1);
}

Test(sweep, a_restart_does_not_revive_a_lease_that_only_waits_for_its_sweep)
{
    crowd();
    struct lease_acquire acquire = make_acquire(1, 1, NS_PER_SECOND);
    world_lease(world, &acquire);
    world_later(world, NS_PER_SECOND);
    cr_assert_eq(world_counts(world).leases_live, 1);
    world_restart_at(world, world->time_ns);
    struct lease_show show = make_show(1);
    struct lease_result result;
    world_query(world, &show, &result);
    cr_assert_eq(result.state, LEASE_EXPIRED);
}

Test(sweep, a_long_silence_expires_and_forgets_in_one_frame)
{
    struct reserve hold = make_hold(world, 1, NIGHT_0, 1, NS_PER_SECOND);
    world_mutate(world, &hold);
    struct lease_acquire acquire = make_acquire(1, 1, NS_PER_SECOND);
    world_lease(world, &acquire);
    world_later(world, 2 * world->limits.keep_ended_ns);
    cr_assert_eq(world_counts(world).reservations_ended, 0);
    cr_assert_eq(world_counts(world).leases_ended, 0);
    cr_assert_eq(engine_next_deadline(world->engine), NEVER_NS);
}
