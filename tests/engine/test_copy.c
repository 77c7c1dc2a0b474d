/* engine/copy.c: a larger engine goes on where the smaller one stood. */
#include "tests/engine/fixture.h"

#include "engine/state.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct world *world;

static struct engine *grown(const struct engine_limits *limits, void **memory)
{
    size_t size = engine_memory_size(limits);
    cr_assert_eq(posix_memalign(memory, ENGINE_MEMORY_ALIGNMENT, size), 0);
    memset(*memory, 0, size);
    struct engine *to = engine_init(*memory, size, limits, 77);
    engine_copy(to, world->engine);
    const char *wrong = engine_check(to);
    cr_assert_null(wrong, "%s", wrong);
    return to;
}

/* One object of every kind in every state, and holes in every table. */
static void populate(void)
{
    struct engine_limits limits = small_limits();
    world = world_with_rooms(&limits, 6);
    struct room_type_create type = make_room_type(world, 1, 9, 4);
    world_mutate(world, &type);
    for (uint64_t key = 10; key < 14; key++) {
        struct reserve hold = make_hold(world, key, NIGHT_0 + 3, 2, key * NS_PER_SECOND);
        world_mutate(world, &hold);
    }
    struct reserve confirmed = make_reserve(world, 20, NIGHT_0 + 28, 2);
    world_mutate(world, &confirmed);
    struct reservation_change confirm = make_change(world, OPERATION_CONFIRM, 30, 10);
    struct reservation_change release = make_change(world, OPERATION_RELEASE, 31, 11);
    struct reservation_change cancel = make_change(world, OPERATION_CANCEL, 32, 10);
    world_mutate(world, &confirm);
    world_mutate(world, &release);
    world_mutate(world, &cancel);
    uint64_t token = 0;
    for (uint64_t resource = 1; resource <= 3; resource++) {
        struct lease_acquire acquire = make_acquire(resource, resource, resource * NS_PER_MINUTE);
        token = world_lease(world, &acquire).token;
    }
    struct lease_release end = make_release(3, token);
    world_lease(world, &end);
    world_later(world, 12 * NS_PER_SECOND);
}

static void end(void)
{
    world_free(world);
}

TestSuite(copy, .init = populate, .fini = end);

Test(copy, larger_tables_hold_the_same_state)
{
    struct engine_limits limits = world->limits;
    limits.properties_max *= 3;
    limits.room_types_max += 1;
    limits.reservations_max *= 5;
    limits.outcomes_max *= 7;
    limits.leases_max += 2;
    void *memory;
    struct engine *to = grown(&limits, &memory);
    cr_assert(hash128_equal(engine_state_hash(to), engine_state_hash(world->engine)));
    struct engine_counts counts = engine_counts(to);
    struct engine_counts before = world_counts(world);
    cr_assert_eq(memcmp(&counts, &before, sizeof(counts)), 0);
    cr_assert_eq(engine_next_deadline(to), engine_next_deadline(world->engine));
    cr_assert_eq(engine_log_time(to), engine_log_time(world->engine));
    cr_assert_eq(engine_last_lsn(to), engine_last_lsn(world->engine));
    free(memory);
}

Test(copy, the_copy_answers_and_sweeps_like_the_original)
{
    void *memory;
    struct engine_limits limits = world->limits;
    limits.reservations_max++;
    struct engine *to = grown(&limits, &memory);
    union apply_result expected;
    union apply_result result;
    for (uint64_t key = 10; key < 34; key++) {
        struct reservation_change confirm = make_change(world, OPERATION_CONFIRM, key, 12);
        memset(&result, 0, sizeof(result));
        memset(&expected, 0, sizeof(expected));
        world->lsn++;
        engine_apply(world->engine, &confirm.mutation.header, world->lsn, &expected);
        engine_apply(to, &confirm.mutation.header, world->lsn, &result);
        cr_assert_eq(memcmp(&expected, &result, sizeof(result)), 0, "key %d", (int)key);
    }
    for (int i = 0; i < 40; i++) {
        uint64_t time_ns = engine_log_time(to) + 20 * NS_PER_MINUTE * (uint64_t)(i % 10);
        engine_frame_begin(world->engine, time_ns, NULL);
        engine_frame_begin(to, time_ns, NULL);
        cr_assert_null(engine_check(to));
        cr_assert(hash128_equal(engine_state_hash(to), engine_state_hash(world->engine)));
    }
    free(memory);
}

Test(copy, a_longer_horizon_opens_nights_with_the_rooms_of_their_type)
{
    struct rooms_set set = make_rooms_set(world, 50, NIGHT_0 + 29, NIGHT_0 + 29, 3);
    world_mutate(world, &set);
    struct engine_limits limits = world->limits;
    limits.horizon_nights = 70;
    void *memory;
    struct engine *to = grown(&limits, &memory);
    uint32_t type = room_type_find(&to->inventory, PROPERTY, ROOM_TYPE);
    for (int32_t i = 0; i < 70; i++) {
        const struct night *night = inventory_night(&to->inventory, type, NIGHT_0 + i);
        cr_assert_eq(night->sellable, i == 29 ? 3 : 6);
        struct calendar_night before = { .sold = 0 };
        if (i < 30)
            before = world_night(world, NIGHT_0 + i);
        cr_assert_eq(night->sold, before.sold);
        cr_assert_eq(night->held, before.held);
    }
    free(memory);
}

Test(copy, reclaimed_tokens_and_commit_latency_come_along)
{
    struct commit_latency_record latency = {
        .header = { .size = sizeof(latency), .kind = OPERATION_COMMIT_LATENCY, .version = 1 },
        .p99_ns = 5,
        .ttl_factor = 6
    };
    world_apply(world, &latency);
    world_later(world, 3 * NS_PER_HOUR);
    void *memory;
    struct engine *to = grown(&world->limits, &memory);
    cr_assert_neq(world->engine->leases.reclaimed_token_max, 0);
    cr_assert_eq(to->leases.reclaimed_token_max, world->engine->leases.reclaimed_token_max);
    cr_assert_eq(to->commit_p99_ns, 5);
    cr_assert_eq(to->commit_ttl_factor, 6);
    free(memory);
}
