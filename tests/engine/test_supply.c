/* engine/supply.c, property.c and inventory.c: what there is to sell. */
#include "tests/engine/fixture.h"

#include "engine/base/civil_date.h"
#include "engine/state.h"

#include <criterion/criterion.h>

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

TestSuite(supply, .init = begin, .fini = end);

Test(supply, a_property_exists_once)
{
    struct property_create create = make_property(world, 1, 8);
    cr_assert_eq(world_mutate(world, &create).header.status, STATUS_OK);
    create = make_property(world, 2, 8);
    cr_assert_eq(world_mutate(world, &create).header.status, STATUS_ALREADY_EXISTS);
    cr_assert_eq(world_counts(world).properties, 2);
}

Test(supply, a_full_table_of_properties_says_so_and_keeps_nothing)
{
    struct property_create create = make_property(world, 1, 8);
    world_mutate(world, &create);
    create = make_property(world, 2, 9);
    struct mutation_result result = world_mutate(world, &create);
    cr_assert_eq(result.header.status, STATUS_LIMIT_REACHED);
    cr_assert_eq(result.limit, LIMIT_PROPERTIES);
    cr_assert_eq(world_counts(world).outcomes, 1);
    create = make_property(world, 3, 8);
    cr_assert_eq(world_mutate(world, &create).header.status, STATUS_ALREADY_EXISTS, "that answer wins");
}

Test(supply, a_room_type_exists_once_in_its_property)
{
    struct room_type_create create = make_room_type(world, 1, ROOM_TYPE, 1);
    struct mutation_result result = world_mutate(world, &create);
    cr_assert_eq(result.header.status, STATUS_ALREADY_EXISTS);
    cr_assert_eq(result.room_type, ROOM_TYPE);
    create = make_room_type(world, 2, 4, 1);
    create.mutation.header.property = 99;
    result = world_mutate(world, &create);
    cr_assert_eq(result.header.status, STATUS_NO_SUCH_PROPERTY);
    cr_assert_eq(result.room_type, 0);
    create = make_room_type(world, 3, 4, 1);
    result = world_mutate(world, &create);
    cr_assert_eq(result.header.status, STATUS_OK);
    cr_assert_eq(result.room_type, 4);
}

Test(supply, a_full_table_of_room_types_says_so_after_the_other_answers)
{
    for (uint32_t type = 10; type < 13; type++) {
        struct room_type_create create = make_room_type(world, type, type, 1);
        cr_assert_eq(world_mutate(world, &create).header.status, STATUS_OK);
    }
    struct room_type_create create = make_room_type(world, 20, 20, 1);
    struct mutation_result result = world_mutate(world, &create);
    cr_assert_eq(result.header.status, STATUS_LIMIT_REACHED);
    cr_assert_eq(result.limit, LIMIT_ROOM_TYPES);
    create = make_room_type(world, 21, 10, 1);
    cr_assert_eq(world_mutate(world, &create).header.status, STATUS_ALREADY_EXISTS);
    create.mutation.header.key = key_of(22);
    create.mutation.header.property = 99;
    cr_assert_eq(world_mutate(world, &create).header.status, STATUS_NO_SUCH_PROPERTY);
}

Test(supply, a_new_room_type_opens_every_night_of_the_horizon_with_its_rooms)
{
    cr_assert_eq(world_night(world, NIGHT_0).sellable, 5);
    cr_assert_eq(world_night(world, NIGHT_0 + 29).sellable, 5);
}

Test(supply, rooms_are_set_on_the_weekdays_of_the_mask_only)
{
    struct rooms_set set = make_rooms_set(world, 1, NIGHT_0 + 1, NIGHT_0 + 14, 2);
    set.weekdays = 1u << 0 | 1u << 6; /* Monday and Sunday */
    struct mutation_result result = world_mutate(world, &set);
    cr_assert_eq(result.header.status, STATUS_OK);
    cr_assert_eq(result.room_type, ROOM_TYPE);
    for (int32_t night = NIGHT_0; night < NIGHT_0 + 30; night++) {
        int32_t weekday = weekday_of(night);
        bool set_here = night > NIGHT_0 && night <= NIGHT_0 + 14 && (weekday == 0 || weekday == 6);
        cr_assert_eq(world_night(world, night).sellable, set_here ? 2 : 5, "night %d", night - NIGHT_0);
    }
}

Test(supply, a_range_of_one_night_includes_it)
{
    struct rooms_set set = make_rooms_set(world, 1, NIGHT_0 + 29, NIGHT_0 + 29, 0);
    cr_assert_eq(world_mutate(world, &set).header.status, STATUS_OK);
    cr_assert_eq(world_night(world, NIGHT_0 + 28).sellable, 5);
    cr_assert_eq(world_night(world, NIGHT_0 + 29).sellable, 0);
}

Test(supply, rooms_are_set_within_the_window_and_a_refusal_sets_none)
{
    struct rooms_set set = make_rooms_set(world, 1, NIGHT_0 - 1, NIGHT_0 + 3, 9);
    struct mutation_result result = world_mutate(world, &set);
    cr_assert_eq(result.header.status, STATUS_BEFORE_BUSINESS_DATE);
    cr_assert_eq(result.night, NIGHT_0 - 1);
    cr_assert_eq(world_night(world, NIGHT_0).sellable, 5);
    set = make_rooms_set(world, 2, NIGHT_0 + 3, NIGHT_0 + 35, 9);
    result = world_mutate(world, &set);
    cr_assert_eq(result.header.status, STATUS_BEYOND_HORIZON);
    cr_assert_eq(result.night, NIGHT_0 + 30);
    set = make_rooms_set(world, 3, NIGHT_0 + 34, NIGHT_0 + 35, 9);
    cr_assert_eq(world_mutate(world, &set).night, NIGHT_0 + 34);
    cr_assert_eq(world_night(world, NIGHT_0 + 3).sellable, 5);
}

Test(supply, rooms_of_an_unknown_type_or_property_cannot_be_set)
{
    struct rooms_set set = make_rooms_set(world, 1, NIGHT_0, NIGHT_0, 9);
    set.room_type = 99;
    struct mutation_result result = world_mutate(world, &set);
    cr_assert_eq(result.header.status, STATUS_NO_SUCH_ROOM_TYPE);
    cr_assert_eq(result.room_type, 99);
    set = make_rooms_set(world, 2, NIGHT_0, NIGHT_0, 9);
    set.mutation.header.property = 99;
    result = world_mutate(world, &set);
    cr_assert_eq(result.header.status, STATUS_NO_SUCH_PROPERTY);
    cr_assert_eq(result.room_type, 0);
}

Test(supply, windows_before_1970_and_at_the_ends_of_the_calendar_work)
{
    static const int32_t dates[] = { DAY_NUMBER_MIN, -15, DAY_NUMBER_MAX - 3 };
    for (size_t i = 0; i < ARRAY_COUNT(dates); i++) {
        end();
        struct engine_limits limits = small_limits();
        world = world_new(&limits);
        struct property_create property = make_property(world, 1, PROPERTY);
        property.business_date = dates[i];
        world_mutate(world, &property);
        struct room_type_create type = make_room_type(world, 2, ROOM_TYPE, 1);
        world_mutate(world, &type);
        struct reserve reserve = make_reserve(world, 3, dates[i], 4);
        cr_assert_eq(world_mutate(world, &reserve).header.status, STATUS_OK);
        cr_assert_eq(world_night(world, dates[i] + 3).sold, 1);
        reserve = make_reserve(world, 4, dates[i] + 3, 1);
        cr_assert_eq(world_mutate(world, &reserve).night, dates[i] + 3);
    }
}

Test(supply, a_stay_around_the_ring_end_takes_its_own_nights)
{
    /* 20,000 lies at slot 0 of a ring of 32, so the window ends at slot 29; an odd business date wraps. */
    end();
    struct engine_limits limits = small_limits();
    world = world_new(&limits);
    struct property_create property = make_property(world, 1, PROPERTY);
    property.business_date = NIGHT_0 + 17;
    world_mutate(world, &property);
    struct room_type_create type = make_room_type(world, 2, ROOM_TYPE, 3);
    world_mutate(world, &type);
    struct reserve reserve = make_reserve(world, 3, NIGHT_0 + 17 + 10, 20);
    world_mutate(world, &reserve);
    for (int32_t i = 0; i < 30; i++)
        cr_assert_eq(world_night(world, NIGHT_0 + 17 + i).sold, i >= 10 ? 1 : 0);
}

Test(supply, numbers_that_differ_in_one_part_are_different_room_types)
{
    const struct inventory *inventory = &world->engine->inventory;
    cr_assert_neq(room_type_find(inventory, PROPERTY, ROOM_TYPE), 0);
    cr_assert_eq(room_type_find(inventory, ROOM_TYPE, PROPERTY), 0);
    cr_assert_eq(room_type_find(inventory, PROPERTY + 1, ROOM_TYPE), 0);
    cr_assert_eq(property_find(&inventory->properties, PROPERTY + 1), 0);
}
