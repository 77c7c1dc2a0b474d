/* engine/objects.c: what an engine holds comes once each, and nothing that is gone; supply that was never there. */
#include "tests/engine/fixture.h"

#include "engine/objects.h"

#include <criterion/criterion.h>

static struct world *world;

static void begin(void)
{
    struct engine_limits limits = small_limits();
    world = world_with_rooms(&limits, 6);
}

static void end(void)
{
    world_free(world);
}

TestSuite(objects, .init = begin, .fini = end);

/* Counts by kind; each reservation answers to its key and each lease to its resource. */
static void walk(uint32_t counts[3])
{
    struct engine_object object;
    counts[0] = counts[1] = counts[2] = 0;
    for (uint64_t place = 0; engine_object_next(world->engine, &place, &object);) {
        counts[object.kind]++;
        cr_assert_eq(object.property, PROPERTY);
        struct lookup query = make_lookup(0);
        struct lookup_result found;
        query.header.key = object.key;
        if (object.kind == ENGINE_OBJECT_RESERVATION) {
            world_query(world, &query, &found);
            cr_assert_eq(found.what, LOOKUP_RESERVATION);
        }
        struct lease_show show = make_show(object.resource);
        struct lease_result lease;
        if (object.kind == ENGINE_OBJECT_LEASE) {
            world_query(world, &show, &lease);
            cr_assert_neq(lease.state, LEASE_NONE);
        }
    }
}

Test(objects, each_comes_once_as_long_as_it_is_there)
{
    uint32_t counts[3];
    for (uint64_t key = 10; key < 14; key++) {
        struct reserve hold = make_hold(world, key, NIGHT_0 + 3, 2, key * NS_PER_SECOND);
        world_mutate(world, &hold);
    }
    for (uint64_t resource = 1; resource <= 3; resource++) {
        struct lease_acquire acquire = make_acquire(resource, resource, NS_PER_MINUTE);
        world_lease(world, &acquire);
    }
    walk(counts);
    cr_assert_eq(counts[ENGINE_OBJECT_PROPERTY], 1);
    cr_assert_eq(counts[ENGINE_OBJECT_RESERVATION], 4);
    cr_assert_eq(counts[ENGINE_OBJECT_LEASE], 3);
    world_later(world, engine_limits_of(world->engine)->keep_ended_ns + ENGINE_LEASE_LINGER_NS + NS_PER_HOUR);
    world_later(world, NS_PER_SECOND);
    struct reserve last = make_reserve(world, 99, NIGHT_0, 1);
    world_mutate(world, &last);
    walk(counts);
    cr_assert_eq(counts[ENGINE_OBJECT_RESERVATION], 1, "those that ended are forgotten, and their places free");
    cr_assert_eq(counts[ENGINE_OBJECT_LEASE], 0);
}

Test(objects, a_reservation_names_its_latest_change)
{
    struct reserve reserve = make_reserve(world, 1, NIGHT_0, 1);
    world_mutate(world, &reserve);
    struct engine_object object;
    struct reservation_change cancel = make_change(world, OPERATION_CANCEL, 2, 1);
    for (int changes = 0; changes < 2; changes++) {
        for (uint64_t place = 0; engine_object_next(world->engine, &place, &object);)
            if (object.kind == ENGINE_OBJECT_RESERVATION)
                break;
        cr_assert(key_equal(object.key, reserve.mutation.header.key));
        cr_assert(changes == 0 ? key_is_zero(object.latest_key)
                               : key_equal(object.latest_key, cancel.mutation.header.key));
        world_mutate(world, &cancel);
    }
}

/* On both engines, as everything is. */
static uint64_t shift(uint32_t room_type, int32_t rooms)
{
    uint64_t clamped = 0;
    uint64_t clamped_twin = 0;
    engine_rooms_shift(world->engine, PROPERTY, room_type, rooms, &clamped);
    engine_rooms_shift(world->twin, PROPERTY, room_type, rooms, &clamped_twin);
    cr_assert_eq(clamped, clamped_twin);
    return clamped;
}

Test(objects, rooms_are_shifted_on_every_night_and_kept_within)
{
    struct reserve reserve = make_reserve(world, 1, NIGHT_0, 1);
    world_mutate(world, &reserve);
    struct rooms_set set = make_rooms_set(world, 5, NIGHT_0 + 1, NIGHT_0 + 1, 1);
    world_mutate(world, &set);
    cr_assert_eq(shift(ROOM_TYPE, 2), 0);
    cr_assert_eq(world_night(world, NIGHT_0).sellable, 8);
    cr_assert_eq(world_night(world, NIGHT_0).sold, 1);
    cr_assert_eq(world_night(world, NIGHT_0 + 1).sellable, 3);
    cr_assert_eq(shift(ROOM_TYPE, -4), 1);
    cr_assert_eq(world_night(world, NIGHT_0 + 1).sellable, 0);
    cr_assert_eq(world_night(world, NIGHT_0 + 2).sellable, 4);
    cr_assert_eq(shift(ROOM_TYPE + 1, 1), 0);
    world_check(world);
}
