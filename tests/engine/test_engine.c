/* engine/engine.c, layout.c, state_hash.c: birth, memory, frames, the hash over everything. */
#include "tests/engine/fixture.h"

#include "engine/layout.h"
#include "engine/state.h"
#include "engine/state_hash.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* ---- Limits and memory --------------------------------------------------------------------------------------------- */

Test(layout, limits_are_at_least_one_and_at_most_what_an_index_holds)
{
    struct engine_limits limits = small_limits();
    cr_assert(engine_limits_valid(&limits));
    uint32_t *tables[] = { &limits.properties_max, &limits.room_types_max, &limits.reservations_max,
                           &limits.outcomes_max, &limits.leases_max };
    for (size_t i = 0; i < ARRAY_COUNT(tables); i++) {
        uint32_t saved = *tables[i];
        *tables[i] = 0;
        cr_assert_not(engine_limits_valid(&limits));
        *tables[i] = (1u << 30) - 1;
        cr_assert(engine_limits_valid(&limits));
        *tables[i] = 1u << 30;
        cr_assert_not(engine_limits_valid(&limits));
        *tables[i] = saved;
    }
    limits.horizon_nights = 0;
    cr_assert_not(engine_limits_valid(&limits));
    limits.horizon_nights = NIGHTS_MAX;
    cr_assert(engine_limits_valid(&limits));
    limits.horizon_nights = NIGHTS_MAX + 1;
    cr_assert_not(engine_limits_valid(&limits));
    limits = small_limits();
    limits.deadline_ahead_max_ns = 0;
    cr_assert_not(engine_limits_valid(&limits));
    limits = small_limits();
    limits.keep_ended_ns = 0;
    cr_assert_not(engine_limits_valid(&limits));
}

Test(layout, sections_follow_each_other_and_the_parts_add_up)
{
    struct engine_limits limits = small_limits();
    struct layout layout = layout_of(&limits);
    size_t end = 0;
    for (int i = 0; i < SECTION_COUNT; i++) {
        cr_assert_eq(layout.offset[i], end);
        cr_assert_eq(layout.offset[i] % 128, 0);
        end += layout.size[i];
    }
    cr_assert_eq(engine_memory_size(&limits), end);
    struct engine_memory memory = engine_memory_of(&limits);
    cr_assert_eq(memory.nights_bytes + memory.reservations_bytes + memory.keys_bytes + memory.capture_bytes +
                     memory.other_bytes,
                 end);
}

Test(layout, the_largest_limits_there_are_do_not_overflow)
{
    uint32_t most = (1u << 30) - 1;
    struct engine_limits limits = { most, most, NIGHTS_MAX, most, most, most, 1, 1 };
    struct engine_memory memory = engine_memory_of(&limits);
    cr_assert_eq(memory.nights_bytes, (size_t)(most + 1) * 3656 * 8);
    cr_assert_gt(engine_memory_size(&limits), memory.nights_bytes);
}

Test(layout, a_night_costs_8_bytes_and_a_reservation_128)
{
    struct engine_limits limits = { 1000, 100000, 1000, 1000000, 1000, 100, 1, 1 };
    struct engine_memory memory = engine_memory_of(&limits);
    cr_assert_lt(memory.nights_bytes, (size_t)100000 * 1000 * 8 * 101 / 100);
    cr_assert_lt(memory.reservations_bytes, (size_t)1000000 * 128 * 101 / 100);
    /* A reservation with its two keys and its deadline. */
    cr_assert_lt(memory.reservations_bytes + memory.keys_bytes + memory.other_bytes, (size_t)1000000 * 185);
}

Test(engine, a_birth_touches_next_to_nothing_of_the_memory)
{
    struct engine_limits limits = { 1000, 100000, 1000, 1000000, 100000, 1000, 1, 1 };
    size_t size = engine_memory_size(&limits);
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    cr_assert_neq(memory, MAP_FAILED);
    madvise(memory, size, MADV_NOHUGEPAGE);
    engine_init(memory, size, &limits, 1);
    size_t pages = (size + 4095) / 4096;
    unsigned char *resident = malloc(pages);
    cr_assert_eq(mincore(memory, size, resident), 0);
    size_t touched = 0;
    for (size_t i = 0; i < pages; i++)
        touched += resident[i] & 1;
    cr_assert_leq(touched, 2, "%zu pages", touched);
    free(resident);
    munmap(memory, size);
}

Test(engine, nothing_is_written_behind_the_block)
{
    /* The block ends where the allocation ends; the address sanitizer watches it while every table is filled. */
    struct engine_limits limits = { 1, 1, 1, 2, 2, 1, NS_PER_HOUR, NS_PER_HOUR };
    struct world *world = world_with_rooms(&limits, 5);
    for (uint64_t key = 1; key <= 4; key++) {
        struct reserve reserve = make_hold(world, key, NIGHT_0, 1, NS_PER_MINUTE);
        world_mutate(world, &reserve);
    }
    for (uint64_t key = 11; key <= 14; key++) {
        struct reservation_change refused = make_change(world, OPERATION_CANCEL, key, 1);
        world_mutate(world, &refused);
    }
    struct lease_acquire acquire = make_acquire(1, 1, 1);
    world_lease(world, &acquire);
    struct engine_counts counts = world_counts(world);
    cr_assert_eq(counts.reservations_held, 2);
    cr_assert_eq(counts.outcomes, 2);
    cr_assert_eq(counts.leases_live, 1);
    world_later(world, 3 * NS_PER_HOUR);
    counts = world_counts(world);
    cr_assert_eq(counts.reservations_held + counts.reservations_ended + counts.outcomes + counts.leases_ended, 0);
    world_free(world);
}

/* ---- Frames and records -------------------------------------------------------------------------------------------- */

static struct world *world;

static void begin(void)
{
    struct engine_limits limits = small_limits();
    world = world_with_rooms(&limits, 5);
}

static void end(void)
{
    world_free(world);
}

TestSuite(frames, .init = begin, .fini = end);
TestSuite(state_hash, .init = begin, .fini = end);

Test(frames, a_barrier_answers_with_the_time_of_its_frame)
{
    struct barrier barrier = { { .size = sizeof(barrier), .kind = OPERATION_BARRIER, .version = 1, .property = 1 } };
    union apply_result result = world_apply(world, &barrier);
    cr_assert_eq(result.header.status, STATUS_OK);
    cr_assert_eq(result.header.size, sizeof(struct barrier_result));
    cr_assert_eq(result.header.log_time_ns, world->time_ns);
}

Test(frames, a_config_record_repeats_the_engine_own_limits)
{
    struct config_record config = { .header = { .size = sizeof(config), .kind = OPERATION_CONFIG, .version = 1 },
                                    .limits = world->limits };
    cr_assert_eq(world_apply(world, &config).header.status, STATUS_OK);
    cr_assert_eq(memcmp(engine_limits_of(world->engine), &world->limits, sizeof(world->limits)), 0);
}

Test(frames, a_config_record_of_other_limits_is_a_bug, .signal = SIGABRT)
{
    struct config_record config = { .header = { .size = sizeof(config), .kind = OPERATION_CONFIG, .version = 1 },
                                    .limits = world->limits };
    config.limits.leases_max++;
    world_apply(world, &config);
}

Test(frames, log_time_never_goes_back, .signal = SIGABRT)
{
    world_at(world, world->time_ns - 1);
}

Test(frames, an_lsn_is_never_used_twice, .signal = SIGABRT)
{
    struct barrier barrier = { { .size = sizeof(barrier), .kind = OPERATION_BARRIER, .version = 1, .property = 1 } };
    world_apply(world, &barrier);
    world->lsn--;
    world_apply(world, &barrier);
}

Test(frames, a_question_is_never_applied, .signal = SIGABRT)
{
    struct lookup lookup = make_lookup(1);
    union apply_result result;
    engine_apply(world->engine, &lookup.header, world->lsn + 1, &result);
}

Test(frames, lsns_may_jump)
{
    struct barrier barrier = { { .size = sizeof(barrier), .kind = OPERATION_BARRIER, .version = 1, .property = 1 } };
    world->lsn = UINT64_C(1) << 40;
    world_apply(world, &barrier);
    cr_assert_eq(engine_last_lsn(world->engine), (UINT64_C(1) << 40) + 1);
}

Test(frames, looking_ahead_changes_nothing)
{
    struct hash128 before = engine_state_hash(world->engine);
    struct reserve reserve = make_reserve(world, 1, NIGHT_0, 1);
    struct reservation_change confirm = make_change(world, OPERATION_CONFIRM, 2, 1);
    struct lease_acquire acquire = make_acquire(1, 1, 1);
    struct property_create property = make_property(world, 3, 9);
    prefetch_all(world->engine, &reserve.mutation.header);
    prefetch_all(world->engine, &confirm.mutation.header);
    prefetch_all(world->engine, &acquire.header);
    prefetch_all(world->engine, &property.mutation.header);
    cr_assert(hash128_equal(before, engine_state_hash(world->engine)));
    cr_assert_null(engine_check(world->engine));
}

/* ---- State hash ---------------------------------------------------------------------------------------------------- */

Test(state_hash, every_kind_of_object_changes_it_and_forgetting_changes_it_back)
{
    struct hash128 empty = engine_state_hash(world->engine);
    struct reserve refused = make_reserve(world, 1, NIGHT_0 - 1, 1);
    world_mutate(world, &refused);
    struct hash128 with_outcome = engine_state_hash(world->engine);
    cr_assert_not(hash128_equal(empty, with_outcome));
    struct lease_acquire acquire = make_acquire(1, 1, NS_PER_SECOND);
    world_lease(world, &acquire);
    struct hash128 with_lease = engine_state_hash(world->engine);
    cr_assert_not(hash128_equal(with_lease, with_outcome));
    struct reserve hold = make_hold(world, 2, NIGHT_0, 1, NS_PER_SECOND);
    world_mutate(world, &hold);
    cr_assert_not(hash128_equal(with_lease, engine_state_hash(world->engine)));
    world_later(world, NS_PER_SECOND);
    struct hash128 ended = engine_state_hash(world->engine);
    world_later(world, WITHIN_NS);
    cr_assert_not(hash128_equal(ended, engine_state_hash(world->engine)), "the outcome is gone");
    world_later(world, 2 * world->limits.keep_ended_ns);
    cr_assert(hash128_equal(empty, engine_state_hash(world->engine)));
}

Test(state_hash, the_order_of_independent_commands_and_the_shard_count_do_not_matter_to_the_sum)
{
    struct hash128 zero = { 0, 0 };
    struct engine_limits limits = small_limits();
    struct world *other = world_new(&limits);
    cr_assert(hash128_equal(engine_state_hash(other->engine), zero), "nothing sums to zero");
    struct property_create property = make_property(other, 1, 8);
    world_mutate(other, &property);
    world_later(other, WITHIN_NS + 1);
    struct hash128 apart = hash128_add(engine_state_hash(world->engine), engine_state_hash(other->engine));
    property = make_property(world, 1, 8);
    world_mutate(world, &property);
    world_later(world, WITHIN_NS + 1);
    cr_assert(hash128_equal(apart, engine_state_hash(world->engine)), "two shards add up to one");
    world_free(other);
}

/* A shard whose only reservation was cancelled a while after it was made. */
static struct hash128 hash_after_cancel(uint64_t while_ns)
{
    end();
    begin();
    struct reserve reserve = make_reserve(world, 1, NIGHT_0, 1);
    struct reservation_change cancel = make_change(world, OPERATION_CANCEL, 2, 1);
    world_mutate(world, &reserve);
    world_later(world, while_ns);
    cr_assert_eq(world_mutate(world, &cancel).header.status, STATUS_OK);
    return engine_state_hash(world->engine);
}

Test(state_hash, it_covers_when_a_reservation_will_be_forgotten)
{
    struct hash128 first = hash_after_cancel(5);
    cr_assert(hash128_equal(first, hash_after_cancel(5)));
    cr_assert_not(hash128_equal(first, hash_after_cancel(6)));
}

Test(state_hash, it_is_the_documented_sum)
{
    struct {
        struct canonical_room_type head;
        struct night nights[30];
    } type = { .head = { .tag = 2,
                         .room_type = ROOM_TYPE,
                         .property = PROPERTY,
                         .ordinal = 1,
                         .rooms = 5,
                         .first_night = NIGHT_0,
                         .nights_count = 30 } };
    for (size_t i = 0; i < ARRAY_COUNT(type.nights); i++)
        type.nights[i].sellable = 5;
    type.nights[4].sold = 1;
    struct canonical_property property = { .tag = 1, .business_date = NIGHT_0, .property = PROPERTY };
    struct reserve reserve = make_reserve(world, 1, NIGHT_0 + 4, 1);
    reserve.external_reference = 99;
    struct mutation_result result = world_mutate(world, &reserve);
    struct canonical_reservation reservation = { .tag = 3,
                                                 .room_type = ROOM_TYPE,
                                                 .property = PROPERTY,
                                                 .key = key_of(1),
                                                 .fingerprint = mutation_fingerprint(&reserve.mutation),
                                                 .lsn = result.header.lsn,
                                                 .not_after_ns = reserve.mutation.not_after_ns,
                                                 .external_reference = 99,
                                                 .arrival = NIGHT_0 + 4,
                                                 .nights = 1,
                                                 .rooms = 1,
                                                 .version = 1,
                                                 .state = RESERVATION_CONFIRMED };
    struct hash128 sum = hash128(&property, sizeof(property), 0);
    sum = hash128_add(sum, hash128(&type, sizeof(type), 0));
    sum = hash128_add(sum, hash128(&reservation, sizeof(reservation), 0));
    cr_assert(hash128_equal(sum, engine_state_hash(world->engine)));
}
