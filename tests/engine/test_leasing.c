/* engine/leasing.c: grants, renewals, releases, ends; tokens only grow. */
#include "tests/engine/fixture.h"

#include <criterion/criterion.h>
#include <string.h>

#define TTL_NS (5 * NS_PER_SECOND)

static struct world *world;

static void begin(void)
{
    struct engine_limits limits = small_limits();
    world = world_with_rooms(&limits, 2);
}

static void end(void)
{
    world_free(world);
}

TestSuite(leasing, .init = begin, .fini = end);

static struct lease_result acquire(uint64_t session, uint64_t resource, uint64_t ttl_ns)
{
    struct lease_acquire command = make_acquire(session, resource, ttl_ns);
    return world_lease(world, &command);
}

static struct lease_result renew(uint64_t resource, uint64_t token, uint64_t ttl_ns)
{
    struct lease_renew command = make_renew(resource, token, ttl_ns);
    return world_lease(world, &command);
}

static struct lease_result release(uint64_t resource, uint64_t token)
{
    struct lease_release command = make_release(resource, token);
    return world_lease(world, &command);
}

static struct lease_result show(uint64_t resource)
{
    struct lease_show query = make_show(resource);
    struct lease_result result;
    cr_assert_eq(world_query(world, &query, &result), sizeof(result));
    return result;
}

/* Nothing but the header. */
static void expect_nothing(const struct lease_result *result, enum status status)
{
    struct lease_result empty = { .header = result->header };
    cr_assert_eq(result->header.status, status, "%s", status_name(result->header.status));
    cr_assert_eq(memcmp(result, &empty, sizeof(empty)), 0);
}

Test(leasing, a_grant_tells_token_deadline_and_owner)
{
    struct lease_result result = acquire(1, 5, TTL_NS);
    cr_assert_eq(result.header.status, STATUS_OK);
    cr_assert_eq(result.token, world->lsn, "a token is the LSN of its grant");
    cr_assert_eq(result.deadline_ns, world->time_ns + TTL_NS);
    cr_assert_eq(result.ttl_ns, TTL_NS);
    cr_assert_eq(result.state, LEASE_LIVE);
    cr_assert_eq(result.flags, 0);
    cr_assert_str_eq(result.owner, "someone");
    cr_assert_eq(world_counts(world).leases_live, 1);
}

Test(leasing, the_same_session_keeps_its_token_and_gets_a_new_deadline)
{
    uint64_t token = acquire(1, 5, TTL_NS).token;
    world_later(world, NS_PER_SECOND);
    struct lease_acquire again = make_acquire(1, 5, 2 * TTL_NS);
    memset(again.owner, 0, sizeof(again.owner));
    again.owner[0] = 'b';
    struct lease_result result = world_lease(world, &again);
    cr_assert_eq(result.header.status, STATUS_OK);
    cr_assert_eq(result.token, token);
    cr_assert_eq(result.deadline_ns, world->time_ns + 2 * TTL_NS);
    cr_assert_str_eq(result.owner, "b");
    cr_assert_eq(world_counts(world).shortest_ttl_ns, 2 * TTL_NS);
}

Test(leasing, another_session_is_told_who_holds_the_lease)
{
    struct lease_result held = acquire(1, 5, TTL_NS);
    struct lease_result result = acquire(2, 5, NS_PER_HOUR);
    cr_assert_eq(result.header.status, STATUS_LEASE_HELD);
    cr_assert_eq(result.token, held.token);
    cr_assert_eq(result.deadline_ns, held.deadline_ns);
    cr_assert_eq(result.ttl_ns, TTL_NS);
}

Test(leasing, a_lease_is_free_again_exactly_at_its_deadline)
{
    uint64_t first = acquire(1, 5, TTL_NS).token;
    world_later(world, TTL_NS - 1);
    cr_assert_eq(acquire(2, 5, TTL_NS).header.status, STATUS_LEASE_HELD);
    world_later(world, 1);
    cr_assert_eq(show(5).state, LEASE_EXPIRED);
    struct lease_result result = acquire(2, 5, TTL_NS);
    cr_assert_eq(result.header.status, STATUS_OK);
    cr_assert_gt(result.token, first);
    cr_assert_eq(world_counts(world).leases_live, 1);
}

Test(leasing, after_its_lease_ended_the_same_session_gets_a_new_token)
{
    uint64_t token = acquire(1, 5, TTL_NS).token;
    world_later(world, TTL_NS);
    cr_assert_gt(acquire(1, 5, TTL_NS).token, token);
}

Test(leasing, renewing_keeps_the_token_and_moves_the_deadline)
{
    uint64_t token = acquire(1, 5, TTL_NS).token;
    world_later(world, TTL_NS - 1);
    struct lease_result result = renew(5, token, 3 * TTL_NS);
    cr_assert_eq(result.header.status, STATUS_OK);
    cr_assert_eq(result.token, token);
    cr_assert_eq(result.deadline_ns, world->time_ns + 3 * TTL_NS);
    world_later(world, 3 * TTL_NS - 1);
    cr_assert_eq(show(5).state, LEASE_LIVE);
}

Test(leasing, a_lease_that_ran_out_cannot_be_renewed_or_released)
{
    uint64_t token = acquire(1, 5, TTL_NS).token;
    world_later(world, TTL_NS);
    struct lease_result result = renew(5, token, TTL_NS);
    cr_assert_eq(result.header.status, STATUS_LEASE_EXPIRED);
    cr_assert_eq(result.state, LEASE_EXPIRED);
    cr_assert_eq(release(5, token).header.status, STATUS_LEASE_EXPIRED);
}

Test(leasing, a_released_lease_cannot_be_renewed_or_released_again)
{
    struct lease_result granted = acquire(1, 5, TTL_NS);
    struct lease_result result = release(5, granted.token);
    cr_assert_eq(result.header.status, STATUS_OK);
    cr_assert_eq(result.state, LEASE_RELEASED);
    cr_assert_eq(result.deadline_ns, granted.deadline_ns);
    cr_assert_eq(renew(5, granted.token, TTL_NS).header.status, STATUS_LEASE_RELEASED);
    cr_assert_eq(release(5, granted.token).header.status, STATUS_LEASE_RELEASED);
    world_later(world, TTL_NS);
    cr_assert_eq(show(5).state, LEASE_RELEASED, "its deadline changes nothing");
    cr_assert_gt(acquire(2, 5, TTL_NS).token, granted.token);
}

Test(leasing, a_wrong_token_neither_renews_nor_releases)
{
    uint64_t first = acquire(1, 5, TTL_NS).token;
    world_later(world, TTL_NS);
    uint64_t second = acquire(2, 5, TTL_NS).token;
    struct lease_result result = renew(5, first, TTL_NS);
    cr_assert_eq(result.header.status, STATUS_FENCED);
    cr_assert_eq(result.token, second, "and tells the newest");
    cr_assert_eq(release(5, first).header.status, STATUS_FENCED);
    cr_assert_eq(renew(5, second + 1, TTL_NS).header.status, STATUS_TOKEN_INVALID);
    cr_assert_eq(release(5, UINT64_MAX).header.status, STATUS_TOKEN_UNKNOWN);
    cr_assert_eq(show(5).state, LEASE_LIVE);
}

Test(leasing, a_resource_without_a_lease_says_so)
{
    struct lease_result result = renew(5, 1, TTL_NS);
    expect_nothing(&result, STATUS_NO_SUCH_LEASE);
    result = release(5, 1);
    expect_nothing(&result, STATUS_NO_SUCH_LEASE);
    result = show(5);
    expect_nothing(&result, STATUS_NO_SUCH_LEASE);
}

Test(leasing, a_reclaimed_lease_is_expired_to_those_who_held_it)
{
    uint64_t token = acquire(1, 5, TTL_NS).token;
    world_later(world, TTL_NS + ENGINE_LEASE_LINGER_NS - 1);
    cr_assert_eq(show(5).state, LEASE_EXPIRED, "kept for an hour");
    world_later(world, 1);
    struct lease_result result = renew(5, token, TTL_NS);
    expect_nothing(&result, STATUS_LEASE_EXPIRED);
    result = release(5, token + 1);
    expect_nothing(&result, STATUS_NO_SUCH_LEASE);
}

Test(leasing, a_released_lease_is_reclaimed_an_hour_after_its_release)
{
    uint64_t token = acquire(1, 5, 3 * NS_PER_HOUR).token;
    release(5, token);
    world_later(world, ENGINE_LEASE_LINGER_NS - 1);
    cr_assert_eq(world_counts(world).leases_ended, 1);
    world_later(world, 1);
    cr_assert_eq(world_counts(world).leases_ended, 0);
}

Test(leasing, leases_belong_to_a_property_that_exists)
{
    struct lease_acquire nowhere = make_acquire(1, 5, TTL_NS);
    nowhere.header.property = 99;
    struct lease_result result = world_lease(world, &nowhere);
    expect_nothing(&result, STATUS_NO_SUCH_PROPERTY);
    struct property_create other = make_property(world, 1, 8);
    world_mutate(world, &other);
    acquire(1, 5, TTL_NS);
    nowhere.header.property = 8;
    nowhere.header.key = key_of(2);
    cr_assert_eq(world_lease(world, &nowhere).header.status, STATUS_OK,
                 "the same number elsewhere is another resource");
}

Test(leasing, a_full_table_grants_nothing_new_but_goes_on_with_what_it_has)
{
    uint64_t token = acquire(1, 1, TTL_NS).token;
    acquire(1, 2, TTL_NS);
    acquire(1, 3, TTL_NS);
    struct lease_result result = acquire(1, 4, TTL_NS);
    expect_nothing(&result, STATUS_LIMIT_REACHED);
    cr_assert_eq(renew(1, token, TTL_NS).header.status, STATUS_OK);
    release(1, token);
    cr_assert_eq(acquire(1, 4, TTL_NS).header.status, STATUS_LIMIT_REACHED, "an ended slot lingers");
    cr_assert_eq(acquire(1, 1, TTL_NS).header.status, STATUS_OK);
}

Test(leasing, a_restart_gives_each_live_lease_its_full_time_again)
{
    uint64_t live = acquire(1, 1, TTL_NS).token;
    uint64_t released = acquire(1, 2, TTL_NS).token;
    release(2, released);
    acquire(1, 3, NS_PER_SECOND);
    world_later(world, 2 * NS_PER_SECOND);
    world_restart_at(world, world->time_ns + NS_PER_HOUR / 2);
    struct lease_result result = show(1);
    cr_assert_eq(result.state, LEASE_LIVE);
    cr_assert_eq(result.token, live);
    cr_assert_eq(result.deadline_ns, world->time_ns + TTL_NS);
    cr_assert_eq(show(2).state, LEASE_RELEASED);
    cr_assert_eq(show(3).state, LEASE_EXPIRED, "it had run out before");
}

Test(leasing, without_a_restart_record_a_late_frame_ends_leases)
{
    acquire(1, 1, TTL_NS);
    world_later(world, NS_PER_HOUR / 2);
    cr_assert_eq(show(1).state, LEASE_EXPIRED);
}

Test(leasing, a_restart_does_not_prolong_holds)
{
    struct reserve hold = make_hold(world, 1, NIGHT_0, 1, TTL_NS);
    world_mutate(world, &hold);
    world_restart_at(world, world->time_ns + TTL_NS);
    cr_assert_eq(world_counts(world).reservations_held, 0);
}

Test(leasing, a_grant_flags_a_ttl_too_close_to_the_commit_latency)
{
    struct commit_latency_record latency = {
        .header = { .size = sizeof(latency), .kind = OPERATION_COMMIT_LATENCY, .version = 1, .flags = RECORD_BY_SHARD },
        .p99_ns = NS_PER_SECOND,
        .ttl_factor = 5
    };
    acquire(1, 1, TTL_NS);
    cr_assert_eq(show(1).flags, 0, "nothing is known of the latency yet");
    cr_assert_eq(world_apply(world, &latency).header.status, STATUS_OK);
    cr_assert_eq(show(1).commit_p99_ns, NS_PER_SECOND);
    cr_assert_eq(show(1).flags, 0, "just enough");
    cr_assert_eq(acquire(1, 2, TTL_NS - 1).flags, LEASE_TTL_TOO_SHORT);
    latency.ttl_factor = UINT64_MAX;
    world_apply(world, &latency);
    cr_assert_eq(show(1).flags, LEASE_TTL_TOO_SHORT, "the product saturates");
}

Test(leasing, the_shortest_time_to_live_is_that_of_the_live_leases)
{
    cr_assert_eq(world_counts(world).shortest_ttl_ns, 0);
    uint64_t tokens[] = { acquire(1, 1, 30 * NS_PER_SECOND).token, acquire(1, 2, 10 * NS_PER_SECOND).token,
                          acquire(1, 3, 20 * NS_PER_SECOND).token };
    cr_assert_eq(world_counts(world).shortest_ttl_ns, 10 * NS_PER_SECOND);
    release(2, tokens[1]);
    cr_assert_eq(world_counts(world).shortest_ttl_ns, 20 * NS_PER_SECOND);
    renew(1, tokens[0], 15 * NS_PER_SECOND);
    cr_assert_eq(world_counts(world).shortest_ttl_ns, 15 * NS_PER_SECOND);
    world_later(world, NS_PER_HOUR);
    cr_assert_eq(world_counts(world).shortest_ttl_ns, 0);
}
