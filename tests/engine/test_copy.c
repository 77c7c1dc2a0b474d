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

/* ---- Shares ------------------------------------------------------------------------------------------------------------ */

#define SHARES_MAX 5
#define PROPERTIES 12

static struct engine_limits share_limits(void)
{
    return (struct engine_limits){ .properties_max = PROPERTIES,
                                   .room_types_max = 2 * PROPERTIES,
                                   .horizon_nights = 30,
                                   .reservations_max =
                                       100 * PROPERTIES, /* never full: what is full depends on the shares */
                                   .outcomes_max = 400 * PROPERTIES,
                                   .leases_max = 4 * PROPERTIES,
                                   .deadline_ahead_max_ns = NS_PER_HOUR,
                                   .keep_ended_ns = NS_PER_HOUR };
}

static struct engine *engine_make(void **memory)
{
    struct engine_limits limits = share_limits();
    size_t size = engine_memory_size(&limits);
    cr_assert_eq(posix_memalign(memory, ENGINE_MEMORY_ALIGNMENT, size), 0);
    memset(*memory, 0, size);
    return engine_init(*memory, size, &limits, 99);
}

/* Every kind of object for every property. The limits are those of the shares, so that one engine may hold it all. */
static struct world *world_of_properties(void)
{
    struct engine_limits limits = share_limits();
    struct world *many = world_new(&limits);
    for (uint64_t property = 1; property <= PROPERTIES; property++) {
        struct property_create create = make_property(many, 1, property);
        struct room_type_create types[] = { make_room_type(many, 2, ROOM_TYPE, 2), make_room_type(many, 3, 8, 1) };
        world_mutate(many, &create);
        for (int i = 0; i < 2; i++) {
            types[i].mutation.header.property = property;
            world_mutate(many, &types[i]);
        }
        for (uint64_t key = 10; key < 16; key++) {
            uint64_t hold_ns = key % 3 == 0 ? 0 : (key + property) * 20 * NS_PER_SECOND;
            struct reserve reserve = make_hold(many, key, NIGHT_0 + (int32_t)(key % 4), 2, hold_ns);
            reserve.mutation.header.property = property;
            world_mutate(many, &reserve);
        }
        struct reservation_change release = make_change(many, OPERATION_RELEASE, 20, 10);
        struct reservation_change confirm = make_change(many, OPERATION_CONFIRM, 21, 11);
        release.mutation.header.property = confirm.mutation.header.property = property;
        world_mutate(many, &release);
        world_mutate(many, &confirm);
        for (uint64_t resource = 1; resource <= 3; resource++) {
            struct lease_acquire acquire =
                make_acquire(resource, resource, resource * (property + 2) * NS_PER_MINUTE / 3);
            acquire.header.property = property;
            world_lease(many, &acquire);
        }
    }
    world_later(many, NS_PER_MINUTE);
    return many;
}

struct shares {
    struct engine *engines[SHARES_MAX];
    void *memory[SHARES_MAX];
    uint32_t count;
};

static void shares_make(struct shares *shares, uint32_t count, struct engine *const *from, uint32_t from_count)
{
    shares->count = count;
    for (uint32_t shard = 0; shard < count; shard++) {
        shares->engines[shard] = engine_make(&shares->memory[shard]);
        struct engine_counts expected = { .properties = 0 };
        for (uint32_t i = 0; i < from_count; i++) {
            struct engine_share share = { .shard = shard, .shards = count };
            struct engine_counts part = engine_share_counts(from[i], share);
            expected.properties += part.properties;
            expected.reservations_ended += part.reservations_ended;
            expected.outcomes += part.outcomes;
            expected.leases_live += part.leases_live;
            engine_copy_share(shares->engines[shard], from[i], share);
        }
        struct engine_counts counts = engine_counts(shares->engines[shard]);
        cr_assert_eq(counts.properties, expected.properties);
        cr_assert_eq(counts.reservations_ended, expected.reservations_ended);
        cr_assert_eq(counts.outcomes, expected.outcomes);
        cr_assert_eq(counts.leases_live, expected.leases_live);
        cr_assert_null(engine_check(shares->engines[shard]), "%s", engine_check(shares->engines[shard]));
    }
}

static void shares_free(struct shares *shares)
{
    for (uint32_t shard = 0; shard < shares->count; shard++)
        free(shares->memory[shard]);
}

static struct hash128 shares_hash(const struct shares *shares)
{
    struct hash128 sum = { .low = 0 };
    for (uint32_t shard = 0; shard < shares->count; shard++)
        sum = hash128_add(sum, engine_state_hash(shares->engines[shard]));
    return sum;
}

/* Both sides get the same command at the same LSN; whoever owns the property answers. */
static void expect_same_answer(struct world *many, struct shares *shares, const struct record_header *record)
{
    union apply_result expected;
    union apply_result result;
    memset(&expected, 0, sizeof(expected));
    memset(&result, 0, sizeof(result));
    many->lsn++;
    engine_apply(many->engine, record, many->lsn, &expected);
    engine_apply(shares->engines[shard_of_property(record->property, shares->count)], record, many->lsn, &result);
    cr_assert_eq(memcmp(&expected, &result, sizeof(result)), 0, "%s of property %d: %s, expected %s",
                 operation_name(record->kind), (int)record->property, status_name(result.header.status),
                 status_name(expected.header.status));
}

/* Retries of everything, new commands, renewals under right and wrong tokens. */
static void expect_same_answers(struct world *many, struct shares *shares, uint64_t round)
{
    for (uint64_t property = 1; property <= PROPERTIES; property++) {
        for (uint64_t key = 10; key < 24; key++) {
            struct reserve reserve = make_hold(many, key, NIGHT_0 + (int32_t)(key % 4), 2, NS_PER_MINUTE);
            struct reservation_change confirm = make_change(many, OPERATION_CONFIRM, key + 100 * round, key);
            reserve.mutation.header.property = confirm.mutation.header.property = property;
            expect_same_answer(many, shares, &reserve.mutation.header);
            expect_same_answer(many, shares, &confirm.mutation.header);
        }
        for (uint64_t token = 1; token < many->lsn; token += 1 + token / 4) {
            struct lease_renew renew = make_renew(1 + token % 3, token, NS_PER_MINUTE);
            renew.header.property = property;
            expect_same_answer(many, shares, &renew.header);
        }
        struct lease_acquire acquire = make_acquire(5, 1 + round % 3, NS_PER_MINUTE);
        acquire.header.property = property;
        expect_same_answer(many, shares, &acquire.header);
    }
}

Test(copy, shares_hold_together_what_the_whole_held_and_go_on_like_it)
{
    struct world *many = world_of_properties();
    struct shares shares;
    shares_make(&shares, SHARES_MAX, &many->engine, 1);
    cr_assert(hash128_equal(shares_hash(&shares), engine_state_hash(many->engine)));
    for (uint64_t round = 1; round < 12; round++) {
        expect_same_answers(many, &shares, round);
        many->time_ns += round * NS_PER_MINUTE; /* up to beyond keep_ended and the lingering of leases */
        engine_frame_begin(many->engine, many->time_ns, NULL);
        for (uint32_t shard = 0; shard < shares.count; shard++) {
            engine_frame_begin(shares.engines[shard], many->time_ns, NULL);
            cr_assert_null(engine_check(shares.engines[shard]), "%s", engine_check(shares.engines[shard]));
        }
        cr_assert(hash128_equal(shares_hash(&shares), engine_state_hash(many->engine)), "round %d", (int)round);
    }
    shares_free(&shares);
    world_free(many);
}

Test(copy, shares_of_shares_hold_what_the_whole_held)
{
    struct world *many = world_of_properties();
    struct shares five;
    struct shares two;
    struct shares one;
    shares_make(&five, 5, &many->engine, 1);
    shares_make(&two, 2, five.engines, 5);
    shares_make(&one, 1, two.engines, 2);
    struct hash128 whole = engine_state_hash(many->engine);
    cr_assert(hash128_equal(shares_hash(&five), whole));
    cr_assert(hash128_equal(shares_hash(&two), whole));
    cr_assert(hash128_equal(shares_hash(&one), whole));
    struct engine_counts counts = engine_counts(one.engines[0]);
    struct engine_counts before = engine_counts(many->engine);
    cr_assert_eq(memcmp(&counts, &before, sizeof(counts)), 0);
    cr_assert_eq(engine_next_deadline(one.engines[0]), engine_next_deadline(many->engine));
    cr_assert_eq(engine_log_time(one.engines[0]), engine_log_time(many->engine));
    shares_free(&five);
    shares_free(&two);
    shares_free(&one);
    world_free(many);
}
