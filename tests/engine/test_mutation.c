/* engine/mutation.c: the order of judgement - key, deadline, fence, room, execution - and what is kept. */
#include "tests/engine/fixture.h"

#include <criterion/criterion.h>
#include <string.h>

static struct world *world;

static void begin(void)
{
    struct engine_limits limits = small_limits();
    world = world_with_rooms(&limits, 1);
}

static void end(void)
{
    world_free(world);
}

TestSuite(mutation, .init = begin, .fini = end);

/* Sends the same bytes again and compares the answers: all of the body, and the status. */
static void expect_replay(const void *mutation, const struct mutation_result *first)
{
    struct mutation_result again = world_mutate(world, mutation);
    cr_assert_eq(again.header.flags, RESULT_REPLAYED);
    cr_assert_eq(again.header.original_lsn, first->header.lsn);
    cr_assert_eq(again.header.status, first->header.status);
    cr_assert_gt(again.header.lsn, first->header.lsn);
    cr_assert_eq(memcmp((const uint8_t *)&again + sizeof(again.header), (const uint8_t *)first + sizeof(first->header),
                        sizeof(again) - sizeof(again.header)),
                 0);
}

static struct mutation_result send(const void *mutation)
{
    struct mutation_result result = world_mutate(world, mutation);
    cr_assert_eq(result.header.flags, 0);
    cr_assert_eq(result.header.original_lsn, 0);
    return result;
}

/* ---- 1 key --------------------------------------------------------------------------------------------------------- */

Test(mutation, a_retried_reserve_answers_as_first_even_after_the_reservation_went_on)
{
    struct reserve hold = make_hold(world, 1, NIGHT_0, 1, NS_PER_SECOND);
    struct mutation_result first = send(&hold);
    cr_assert_eq(first.state, RESERVATION_HELD);
    expect_replay(&hold, &first);
    struct reservation_change confirm = make_change(world, OPERATION_CONFIRM, 2, 1);
    struct mutation_result confirmed = send(&confirm);
    expect_replay(&hold, &first);
    expect_replay(&confirm, &confirmed);
    cr_assert_eq(world_counts(world).reservations_confirmed, 1);
    cr_assert_eq(world_night(world, NIGHT_0).sold, 1, "retries book nothing");
}

Test(mutation, a_retry_counts_after_the_deadline_and_under_another_token_too)
{
    struct reserve reserve = make_reserve(world, 1, NIGHT_0, 1);
    struct mutation_result first = send(&reserve);
    world_later(world, 2 * WITHIN_NS);
    expect_replay(&reserve, &first);
    reserve.mutation.not_after_ns += 3 * WITHIN_NS; /* neither deadline nor token is content */
    expect_replay(&reserve, &first);
}

Test(mutation, a_refusal_is_kept_and_comes_again_though_rooms_are_free_by_then)
{
    struct reserve winner = make_reserve(world, 1, NIGHT_0, 1);
    struct reserve loser = make_reserve(world, 2, NIGHT_0, 1);
    send(&winner);
    struct mutation_result refused = send(&loser);
    cr_assert_eq(refused.header.status, STATUS_SOLD_OUT);
    struct reservation_change cancel = make_change(world, OPERATION_CANCEL, 3, 1);
    cr_assert_eq(send(&cancel).header.status, STATUS_OK);
    expect_replay(&loser, &refused);
}

Test(mutation, a_refused_reserve_is_too_late_after_its_deadline_and_never_a_booking)
{
    struct reserve winner = make_reserve(world, 1, NIGHT_0, 1);
    struct reserve loser = make_reserve(world, 2, NIGHT_0, 1);
    send(&winner);
    struct mutation_result refused = send(&loser);
    struct reservation_change cancel = make_change(world, OPERATION_CANCEL, 3, 1);
    send(&cancel);
    world_at(world, loser.mutation.not_after_ns);
    expect_replay(&loser, &refused); /* kept until the deadline is past */
    world_later(world, 1);
    struct mutation_result late = send(&loser);
    cr_assert_eq(late.header.status, STATUS_TOO_LATE);
    cr_assert_eq(world_night(world, NIGHT_0).sold, 0);
}

Test(mutation, every_refusal_that_was_executed_is_kept)
{
    struct reserve nowhere = make_reserve(world, 1, NIGHT_0, 1);
    nowhere.mutation.header.property = 99;
    struct mutation_result first = send(&nowhere);
    cr_assert_eq(first.header.status, STATUS_NO_SUCH_PROPERTY);
    expect_replay(&nowhere, &first);
    struct reserve early = make_reserve(world, 2, NIGHT_0 - 3, 1);
    first = send(&early);
    cr_assert_eq(first.header.status, STATUS_BEFORE_BUSINESS_DATE);
    expect_replay(&early, &first);
    struct reservation_change confirm = make_change(world, OPERATION_CONFIRM, 3, 1000);
    first = send(&confirm);
    cr_assert_eq(first.header.status, STATUS_NO_SUCH_RESERVATION);
    expect_replay(&confirm, &first);
    struct property_create again = make_property(world, 4, PROPERTY);
    first = send(&again);
    cr_assert_eq(first.header.status, STATUS_ALREADY_EXISTS);
    expect_replay(&again, &first);
    cr_assert_eq(world_counts(world).outcomes, 4);
}

Test(mutation, a_refused_change_is_kept_with_what_it_said_of_the_reservation)
{
    struct reserve hold = make_hold(world, 1, NIGHT_0, 1, NS_PER_SECOND);
    send(&hold);
    struct reservation_change cancel = make_change(world, OPERATION_CANCEL, 2, 1);
    struct mutation_result refused = send(&cancel);
    cr_assert_eq(refused.header.status, STATUS_STATE_CONFLICT);
    cr_assert_eq(refused.state, RESERVATION_HELD);
    cr_assert_eq(refused.hold_deadline_ns, world->time_ns + NS_PER_SECOND);
    world_later(world, 2 * NS_PER_SECOND);
    expect_replay(&cancel, &refused);
}

Test(mutation, supply_commands_replay_too)
{
    struct room_type_create type = make_room_type(world, 1, 9, 4);
    struct mutation_result first = send(&type);
    cr_assert_eq(first.header.status, STATUS_OK);
    expect_replay(&type, &first);
    struct rooms_set set = make_rooms_set(world, 2, NIGHT_0 + 29, NIGHT_0 + 30, 4);
    first = send(&set);
    cr_assert_eq(first.header.status, STATUS_BEYOND_HORIZON);
    cr_assert_eq(first.night, NIGHT_0 + 30);
    expect_replay(&set, &first);
}

Test(mutation, the_same_key_with_other_content_is_reused_wherever_the_key_is_remembered)
{
    struct reserve hold = make_hold(world, 1, NIGHT_0, 1, NS_PER_SECOND);
    struct reservation_change confirm = make_change(world, OPERATION_CONFIRM, 2, 1);
    struct reserve refused = make_reserve(world, 3, NIGHT_0, 1);
    uint64_t lsn[] = { send(&hold).header.lsn, send(&confirm).header.lsn, send(&refused).header.lsn };
    enum operation operations[] = { OPERATION_RESERVE, OPERATION_CONFIRM, OPERATION_RESERVE };
    for (uint64_t key = 1; key <= 3; key++) {
        struct reserve other = make_reserve(world, key, NIGHT_0 + 7, 2);
        struct mutation_result result = world_mutate(world, &other);
        cr_assert_eq(result.header.status, STATUS_KEY_REUSED);
        cr_assert_eq(result.header.flags, 0);
        cr_assert_eq(result.header.original_lsn, lsn[key - 1]);
        cr_assert_eq(result.operation, operations[key - 1]);
        cr_assert_eq(result.room_type, 0);
        cr_assert_eq(result.version, 0);
    }
    cr_assert_eq(world_night(world, NIGHT_0 + 7).sold, 0);
}

Test(mutation, each_field_of_a_reserve_is_content_but_key_deadline_and_token)
{
    struct reserve first = make_reserve(world, 1, NIGHT_0, 1);
    send(&first);
    struct reserve others[7];
    for (size_t i = 0; i < ARRAY_COUNT(others); i++)
        others[i] = first;
    others[0].hold_ns = 1;
    others[1].external_reference = 1;
    others[2].arrival++;
    others[3].nights++;
    others[4].lines[0].room_type++;
    others[5].lines[0].rooms++;
    others[6].mutation.fence_resource = 5;
    others[6].mutation.fence_token = 1;
    for (size_t i = 0; i < ARRAY_COUNT(others); i++)
        cr_assert_eq(world_mutate(world, &others[i]).header.status, STATUS_KEY_REUSED, "field %zu", i);
}

Test(mutation, a_change_under_the_name_of_its_own_reservation_reuses_the_key)
{
    struct reserve reserve = make_reserve(world, 1, NIGHT_0, 1);
    send(&reserve);
    struct reservation_change cancel = make_change(world, OPERATION_CANCEL, 1, 1);
    cr_assert_eq(world_mutate(world, &cancel).header.status, STATUS_KEY_REUSED);
}

Test(mutation, a_latest_mutation_that_named_version_and_fence_replays_only_with_both)
{
    struct lease_acquire acquire = make_acquire(900, 5, NS_PER_MINUTE);
    uint64_t token = world_lease(world, &acquire).token;
    struct reserve hold = make_hold(world, 1, NIGHT_0, 1, NS_PER_MINUTE);
    send(&hold);
    struct reservation_change confirm = make_change(world, OPERATION_CONFIRM, 2, 1);
    confirm.expected_version = 1;
    fence(&confirm.mutation, 5, token);
    struct mutation_result first = send(&confirm);
    cr_assert_eq(first.header.status, STATUS_OK);
    expect_replay(&confirm, &first);
    struct reservation_change other = confirm;
    other.expected_version = 0;
    cr_assert_eq(world_mutate(world, &other).header.status, STATUS_KEY_REUSED);
    other = confirm;
    fence(&other.mutation, 6, token);
    cr_assert_eq(world_mutate(world, &other).header.status, STATUS_KEY_REUSED);
    other = confirm;
    other.mutation.header.kind = OPERATION_RELEASE;
    cr_assert_eq(world_mutate(world, &other).header.status, STATUS_KEY_REUSED);
}

/* ---- 2 deadline ---------------------------------------------------------------------------------------------------- */

Test(mutation, a_deadline_at_log_time_itself_may_still_be_met)
{
    struct reserve reserve = make_reserve(world, 1, NIGHT_0, 1);
    reserve.mutation.not_after_ns = world->time_ns - 1;
    struct mutation_result result = send(&reserve);
    cr_assert_eq(result.header.status, STATUS_TOO_LATE);
    cr_assert_eq(result.room_type, 0);
    reserve.mutation.not_after_ns = world->time_ns;
    cr_assert_eq(send(&reserve).header.status, STATUS_OK, "the same key: TOO_LATE was not kept");
}

Test(mutation, a_deadline_may_lie_as_far_ahead_as_the_limit_and_no_further)
{
    struct reserve reserve = make_reserve(world, 1, NIGHT_0, 1);
    reserve.mutation.not_after_ns = world->time_ns + world->limits.deadline_ahead_max_ns + 1;
    cr_assert_eq(send(&reserve).header.status, STATUS_DEADLINE_TOO_FAR);
    reserve.mutation.not_after_ns = UINT64_MAX;
    cr_assert_eq(send(&reserve).header.status, STATUS_DEADLINE_TOO_FAR);
    reserve.mutation.not_after_ns = world->time_ns + world->limits.deadline_ahead_max_ns;
    cr_assert_eq(send(&reserve).header.status, STATUS_OK);
}

/* ---- 3 fence: each row of the table -------------------------------------------------------------------------------- */

static uint64_t grant(uint64_t session, uint64_t ttl_ns)
{
    struct lease_acquire acquire = make_acquire(session, 5, ttl_ns);
    struct lease_result result = world_lease(world, &acquire);
    cr_assert_eq(result.header.status, STATUS_OK);
    return result.token;
}

/* Reserves under a token; the key is fresh each time. */
static struct mutation_result reserve_under(uint64_t token)
{
    static uint64_t key = 5000;
    key++;
    struct reserve reserve = make_reserve(world, key, NIGHT_0 + (int32_t)(key % 30), 1);
    fence(&reserve.mutation, 5, token);
    return send(&reserve);
}

Test(mutation, the_newest_live_token_goes_ahead_any_number_of_times)
{
    uint64_t token = grant(1, 5 * NS_PER_SECOND);
    world_later(world, 4900 * NS_PER_MS);
    cr_assert_eq(reserve_under(token).header.status, STATUS_OK);
    struct mutation_result second = reserve_under(token);
    cr_assert_eq(second.header.status, STATUS_OK);
    cr_assert_eq(second.token, 0);
}

Test(mutation, an_older_token_is_fenced_and_told_the_newest)
{
    uint64_t first = grant(1, 5 * NS_PER_SECOND);
    world_later(world, 6 * NS_PER_SECOND);
    uint64_t second = grant(2, 5 * NS_PER_SECOND);
    cr_assert_gt(second, first);
    struct mutation_result result = reserve_under(first);
    cr_assert_eq(result.header.status, STATUS_FENCED);
    cr_assert_eq(result.token, second);
    cr_assert_eq(world_counts(world).reservations_confirmed, 0);
    cr_assert_eq(world_counts(world).outcomes, 0, "a fenced write is not kept");
}

Test(mutation, an_older_token_is_fenced_though_the_newest_is_ended)
{
    uint64_t first = grant(1, NS_PER_SECOND);
    world_later(world, 2 * NS_PER_SECOND);
    uint64_t second = grant(2, NS_PER_SECOND);
    world_later(world, 2 * NS_PER_SECOND);
    struct mutation_result result = reserve_under(first);
    cr_assert_eq(result.header.status, STATUS_FENCED);
    cr_assert_eq(result.token, second);
}

Test(mutation, a_token_that_ran_out_is_expired_though_nobody_came_after)
{
    uint64_t token = grant(1, 5 * NS_PER_SECOND);
    world_later(world, 5 * NS_PER_SECOND);
    struct mutation_result result = reserve_under(token);
    cr_assert_eq(result.header.status, STATUS_LEASE_EXPIRED);
    cr_assert_eq(result.token, token);
}

Test(mutation, a_released_token_writes_no_more)
{
    uint64_t token = grant(1, 5 * NS_PER_SECOND);
    struct lease_release release = make_release(5, token);
    cr_assert_eq(world_lease(world, &release).header.status, STATUS_OK);
    struct mutation_result result = reserve_under(token);
    cr_assert_eq(result.header.status, STATUS_LEASE_RELEASED);
    cr_assert_eq(result.token, token);
}

Test(mutation, a_token_never_granted_is_invalid)
{
    cr_assert_eq(reserve_under(1).header.status, STATUS_TOKEN_INVALID, "the resource has no lease");
    uint64_t token = grant(1, 5 * NS_PER_SECOND);
    cr_assert_eq(reserve_under(1).header.status, STATUS_FENCED, "older than a grant");
    struct mutation_result result = reserve_under(token + 1);
    cr_assert_eq(result.header.status, STATUS_TOKEN_INVALID);
    cr_assert_eq(result.token, 0);
}

Test(mutation, a_token_from_beyond_the_log_is_unknown)
{
    grant(1, 5 * NS_PER_SECOND);
    cr_assert_eq(reserve_under(world->lsn + 1).header.status, STATUS_TOKEN_UNKNOWN, "its own LSN");
    cr_assert_eq(reserve_under(UINT64_MAX).header.status, STATUS_TOKEN_UNKNOWN);
    cr_assert_eq(reserve_under(world->lsn).header.status, STATUS_TOKEN_INVALID, "the LSN before its own");
}

Test(mutation, a_token_whose_slot_was_reclaimed_is_expired)
{
    uint64_t token = grant(1, NS_PER_SECOND);
    world_later(world, NS_PER_SECOND + ENGINE_LEASE_LINGER_NS);
    cr_assert_eq(world_counts(world).leases_ended, 0);
    struct mutation_result result = reserve_under(token);
    cr_assert_eq(result.header.status, STATUS_LEASE_EXPIRED);
    cr_assert_eq(result.token, 0, "nothing is known of it any more");
    cr_assert_eq(reserve_under(token + 1).header.status, STATUS_TOKEN_INVALID);
}

Test(mutation, a_retry_of_a_write_is_answered_though_its_lease_ran_out)
{
    uint64_t token = grant(1, 5 * NS_PER_SECOND);
    struct reserve reserve = make_reserve(world, 1, NIGHT_0, 1);
    fence(&reserve.mutation, 5, token);
    struct mutation_result first = send(&reserve);
    world_later(world, 6 * NS_PER_SECOND);
    grant(2, 5 * NS_PER_SECOND);
    expect_replay(&reserve, &first);
}

Test(mutation, the_deadline_is_judged_before_the_fence)
{
    struct reserve reserve = make_reserve(world, 1, NIGHT_0, 1);
    reserve.mutation.not_after_ns = world->time_ns - 1;
    fence(&reserve.mutation, 5, UINT64_MAX);
    cr_assert_eq(send(&reserve).header.status, STATUS_TOO_LATE);
}

/* ---- 4 room -------------------------------------------------------------------------------------------------------- */

static void fill_outcomes(void)
{
    for (uint64_t key = 200; world_counts(world).outcomes < world->limits.outcomes_max; key++) {
        struct reserve reserve = make_reserve(world, key, NIGHT_0 - 1, 1);
        cr_assert_eq(send(&reserve).header.status, STATUS_BEFORE_BUSINESS_DATE);
    }
}

Test(mutation, where_no_refusal_could_be_kept_nothing_new_is_executed)
{
    fill_outcomes();
    struct hash128 before = engine_state_hash(world->engine);
    struct reserve reserve = make_reserve(world, 1, NIGHT_0, 1);
    struct property_create property = make_property(world, 2, 77);
    struct room_type_create type = make_room_type(world, 3, 77, 1);
    struct rooms_set set = make_rooms_set(world, 4, NIGHT_0, NIGHT_0, 9);
    const void *commands[] = { &reserve, &property, &type, &set };
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
        struct mutation_result result = send(commands[i]);
        cr_assert_eq(result.header.status, STATUS_LIMIT_REACHED);
        cr_assert_eq(result.limit, LIMIT_OUTCOMES);
    }
    cr_assert(hash128_equal(before, engine_state_hash(world->engine)));
    world_later(world, WITHIN_NS + 1); /* the kept ones are forgotten */
    reserve.mutation.not_after_ns = world->time_ns;
    cr_assert_eq(send(&reserve).header.status, STATUS_OK);
}

Test(mutation, the_fence_is_judged_before_the_limits)
{
    fill_outcomes();
    cr_assert_eq(reserve_under(UINT64_MAX).header.status, STATUS_TOKEN_UNKNOWN);
}

Test(mutation, a_refused_change_that_finds_no_place_is_answered_and_flagged)
{
    struct reserve reserve = make_reserve(world, 1, NIGHT_0, 1);
    send(&reserve);
    fill_outcomes();
    struct reservation_change confirm = make_change(world, OPERATION_CONFIRM, 2, 1);
    struct mutation_result result = world_mutate(world, &confirm);
    cr_assert_eq(result.header.status, STATUS_STATE_CONFLICT);
    cr_assert_eq(result.header.flags, RESULT_NOT_KEPT);
    struct lookup lookup = make_lookup(2);
    struct lookup_result found;
    world_query(world, &lookup, &found);
    cr_assert_eq(found.header.status, STATUS_NO_SUCH_KEY);
    struct reservation_change cancel = make_change(world, OPERATION_CANCEL, 3, 1);
    struct mutation_result cancelled = send(&cancel);
    cr_assert_eq(cancelled.header.status, STATUS_OK);
    expect_replay(&cancel, &cancelled); /* kept by the reservation itself */
}

/* ---- Displaced outcomes -------------------------------------------------------------------------------------------- */

static struct reservation_change confirm_then_cancel(struct mutation_result *confirmed)
{
    struct reserve hold = make_hold(world, 1, NIGHT_0, 1, NS_PER_MINUTE);
    send(&hold);
    struct reservation_change confirm = make_change(world, OPERATION_CONFIRM, 2, 1);
    *confirmed = send(&confirm);
    struct reservation_change cancel = make_change(world, OPERATION_CANCEL, 3, 1);
    cr_assert_eq(send(&cancel).header.status, STATUS_OK);
    return confirm;
}

Test(mutation, an_outcome_displaced_by_a_newer_one_still_replays)
{
    struct mutation_result confirmed;
    struct reservation_change confirm = confirm_then_cancel(&confirmed);
    cr_assert_eq(world_counts(world).outcomes, 1);
    expect_replay(&confirm, &confirmed);
    world_at(world, confirm.mutation.not_after_ns + 1);
    cr_assert_eq(send(&confirm).header.status, STATUS_TOO_LATE);
}

Test(mutation, a_displaced_outcome_that_finds_no_place_answers_superseded_until_its_deadline)
{
    struct reserve hold = make_hold(world, 1, NIGHT_0, 1, NS_PER_MINUTE);
    send(&hold);
    struct reservation_change confirm = make_change(world, OPERATION_CONFIRM, 2, 1);
    confirm.expected_version = 1;
    send(&confirm);
    fill_outcomes();
    struct reservation_change cancel = make_change(world, OPERATION_CANCEL, 3, 1);
    send(&cancel);
    struct mutation_result result = world_mutate(world, &confirm);
    cr_assert_eq(result.header.status, STATUS_SUPERSEDED, "not VERSION_CONFLICT: it took effect");
    cr_assert_eq(result.state, RESERVATION_CANCELLED);
    cr_assert_eq(result.version, 3);
    cr_assert_eq(result.header.flags, RESULT_NOT_KEPT);
    struct reservation_change release = make_change(world, OPERATION_RELEASE, 4, 1);
    cr_assert_eq(world_mutate(world, &release).header.status, STATUS_STATE_CONFLICT, "no release was displaced");
    world_at(world, confirm.mutation.not_after_ns + 1);
    cr_assert_eq(send(&confirm).header.status, STATUS_TOO_LATE);
    struct reservation_change fresh = make_change(world, OPERATION_CONFIRM, 5, 1);
    cr_assert_eq(send(&fresh).header.status, STATUS_STATE_CONFLICT);
}

Test(mutation, an_outcome_displaced_at_its_deadline_itself_still_replays)
{
    struct reserve hold = make_hold(world, 1, NIGHT_0, 1, NS_PER_HOUR);
    send(&hold);
    struct reservation_change confirm = make_change(world, OPERATION_CONFIRM, 2, 1);
    struct mutation_result confirmed = send(&confirm);
    world_at(world, confirm.mutation.not_after_ns);
    struct reservation_change cancel = make_change(world, OPERATION_CANCEL, 3, 1);
    send(&cancel);
    expect_replay(&confirm, &confirmed);
}

Test(mutation, a_displaced_outcome_whose_deadline_is_past_takes_no_place)
{
    struct reserve hold = make_hold(world, 1, NIGHT_0, 1, NS_PER_MINUTE);
    send(&hold);
    struct reservation_change confirm = make_change(world, OPERATION_CONFIRM, 2, 1);
    send(&confirm);
    world_at(world, confirm.mutation.not_after_ns + 1);
    struct reservation_change cancel = make_change(world, OPERATION_CANCEL, 3, 1);
    send(&cancel);
    cr_assert_eq(world_counts(world).outcomes, 0);
    cr_assert_eq(send(&confirm).header.status, STATUS_TOO_LATE);
}
