/* engine/query.c: lookups, calendars, leases shown; nothing changes. */
#include "tests/engine/fixture.h"

#include <criterion/criterion.h>
#include <string.h>

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

TestSuite(query, .init = begin, .fini = end);

static struct lookup_result look_up(uint64_t key)
{
    struct lookup query = make_lookup(key);
    struct lookup_result result;
    cr_assert_eq(world_query(world, &query, &result), sizeof(result));
    return result;
}

Test(query, a_lookup_of_a_reservation_tells_all_of_it)
{
    struct reserve reserve = make_hold(world, 1, NIGHT_0 + 2, 3, NS_PER_SECOND);
    reserve.external_reference = 4711;
    reserve.lines[0].rooms = 2;
    struct mutation_result made = world_mutate(world, &reserve);
    struct lookup_result result = look_up(1);
    cr_assert_eq(result.header.status, STATUS_OK);
    cr_assert_eq(result.header.original_lsn, made.header.lsn);
    cr_assert_eq(result.what, LOOKUP_RESERVATION);
    cr_assert_eq(result.state, RESERVATION_HELD);
    cr_assert_eq(result.outcome_operation, OPERATION_RESERVE);
    cr_assert_eq(result.outcome_status, STATUS_OK);
    cr_assert_eq(result.arrival, NIGHT_0 + 2);
    cr_assert_eq(result.nights, 3);
    cr_assert_eq(result.version, 1);
    cr_assert_eq(result.hold_deadline_ns, made.hold_deadline_ns);
    cr_assert_eq(result.external_reference, 4711);
    cr_assert_eq(result.room_type, ROOM_TYPE);
    cr_assert_eq(result.rooms, 2);
    cr_assert_eq(result.lines_count, 1);
    world_later(world, NS_PER_SECOND);
    cr_assert_eq(look_up(1).state, RESERVATION_EXPIRED);
    cr_assert_eq(look_up(1).hold_deadline_ns, made.hold_deadline_ns);
}

Test(query, a_lookup_of_another_mutation_tells_what_came_of_it)
{
    struct reserve reserve = make_reserve(world, 1, NIGHT_0, 1);
    world_mutate(world, &reserve);
    struct reservation_change cancel = make_change(world, OPERATION_CANCEL, 2, 1);
    struct mutation_result cancelled = world_mutate(world, &cancel);
    struct lookup_result result = look_up(2);
    cr_assert_eq(result.header.original_lsn, cancelled.header.lsn);
    cr_assert_eq(result.what, LOOKUP_OUTCOME);
    cr_assert_eq(result.outcome_operation, OPERATION_CANCEL);
    cr_assert_eq(result.outcome_status, STATUS_OK);
    cr_assert_eq(result.state, RESERVATION_CANCELLED);
    cr_assert_eq(result.version, 2);
    cr_assert_eq(result.nights, 0);
    struct reservation_change again = make_change(world, OPERATION_CANCEL, 3, 1);
    struct mutation_result refused = world_mutate(world, &again);
    result = look_up(3);
    cr_assert_eq(result.header.original_lsn, refused.header.lsn);
    cr_assert_eq(result.what, LOOKUP_OUTCOME);
    cr_assert_eq(result.outcome_status, STATUS_STATE_CONFLICT);
    cr_assert_eq(result.state, RESERVATION_CANCELLED);
    cr_assert_eq(result.version, 2);
}

Test(query, a_key_that_is_unknown_leaves_the_answer_empty)
{
    struct lookup_result result = look_up(1);
    struct lookup_result empty = { .header = result.header };
    cr_assert_eq(result.header.status, STATUS_NO_SUCH_KEY);
    cr_assert_eq(memcmp(&result, &empty, sizeof(empty)), 0);
    struct lookup elsewhere = make_lookup(1);
    elsewhere.header.property = 99;
    world_query(world, &elsewhere, &result);
    cr_assert_eq(result.header.status, STATUS_NO_SUCH_KEY, "whether the property exists or not");
}

/* ---- Calendar ------------------------------------------------------------------------------------------------------ */

static union {
    struct calendar_result head;
    uint8_t bytes[RESULT_SIZE_MAX];
} answer;

static uint32_t ask(uint32_t type, int32_t first_night, uint16_t nights, uint32_t after_type)
{
    struct calendar query = make_calendar(type, first_night, nights);
    query.after_type = after_type;
    return world_query(world, &query, &answer);
}

static const struct calendar_type *type_at(uint32_t index)
{
    size_t size = sizeof(struct calendar_type) + answer.head.nights * sizeof(struct calendar_night);
    return (const void *)(answer.bytes + sizeof(answer.head) + index * size);
}

static const struct calendar_night *night_at(uint32_t index, uint32_t night)
{
    return (const struct calendar_night *)(const void *)(type_at(index) + 1) + night;
}

Test(query, a_calendar_shows_what_is_sold_held_and_left)
{
    struct reserve reserve = make_reserve(world, 1, NIGHT_0 + 1, 2);
    struct reserve hold = make_hold(world, 2, NIGHT_0 + 2, 1, NS_PER_MINUTE);
    world_mutate(world, &reserve);
    world_mutate(world, &hold);
    cr_assert_eq(ask(ROOM_TYPE, NIGHT_0, 4, 0), 56 + 8 + 4 * 8);
    cr_assert_eq(answer.head.first_night, NIGHT_0);
    cr_assert_eq(answer.head.nights, 4);
    cr_assert_eq(answer.head.types_count, 1);
    cr_assert_eq(answer.head.business_date, NIGHT_0);
    cr_assert_eq(answer.head.next_after_type, 0);
    cr_assert_eq(type_at(0)->room_type, ROOM_TYPE);
    static const struct calendar_night expected[] = { { 2, 0, 0, 2 }, { 2, 1, 0, 1 }, { 2, 1, 1, 0 }, { 2, 0, 0, 2 } };
    for (uint32_t i = 0; i < 4; i++)
        cr_assert_eq(memcmp(night_at(0, i), &expected[i], sizeof(expected[i])), 0, "night %u", i);
}

Test(query, a_calendar_is_cut_to_the_property_window)
{
    ask(ROOM_TYPE, NIGHT_0 - 5, 10, 0);
    cr_assert_eq(answer.head.first_night, NIGHT_0);
    cr_assert_eq(answer.head.nights, 5);
    ask(ROOM_TYPE, NIGHT_0 + 25, 10, 0);
    cr_assert_eq(answer.head.first_night, NIGHT_0 + 25);
    cr_assert_eq(answer.head.nights, 5);
    for (int32_t first = NIGHT_0 - 10; first <= NIGHT_0 + 30; first += 40) {
        cr_assert_eq(ask(ROOM_TYPE_ALL, first, 10, 0), sizeof(struct calendar_result));
        cr_assert_eq(answer.head.header.status, STATUS_OK);
        cr_assert_eq(answer.head.nights, 0);
        cr_assert_eq(answer.head.types_count, 0);
        cr_assert_eq(answer.head.first_night, 0);
    }
}

Test(query, all_types_come_in_order_of_creation)
{
    static const uint32_t types[] = { ROOM_TYPE, 90, 10, 50 };
    for (size_t i = 1; i < ARRAY_COUNT(types); i++) {
        struct room_type_create create = make_room_type(world, i, types[i], 1);
        world_mutate(world, &create);
    }
    ask(ROOM_TYPE_ALL, NIGHT_0, 2, 0);
    cr_assert_eq(answer.head.types_count, 4);
    for (uint32_t i = 0; i < 4; i++)
        cr_assert_eq(type_at(i)->room_type, types[i]);
    ask(ROOM_TYPE_ALL, NIGHT_0, 2, 90);
    cr_assert_eq(answer.head.types_count, 2);
    cr_assert_eq(type_at(0)->room_type, 10);
    ask(ROOM_TYPE_ALL, NIGHT_0, 2, 50);
    cr_assert_eq(answer.head.types_count, 0, "nothing follows the last");
    cr_assert_eq(answer.head.nights, 2);
}

Test(query, a_calendar_too_large_for_one_answer_goes_on_behind_the_last_type)
{
    end();
    struct engine_limits limits = small_limits();
    limits.horizon_nights = NIGHTS_MAX / 2;
    world = world_with_rooms(&limits, 2);
    static const uint32_t types[] = { ROOM_TYPE, 90, 10, 50 };
    for (size_t i = 1; i < ARRAY_COUNT(types); i++) {
        struct room_type_create create = make_room_type(world, i, types[i], 1);
        world_mutate(world, &create);
    }
    uint32_t after = 0;
    for (uint32_t i = 0; i < 4; i++) {
        cr_assert_leq(ask(ROOM_TYPE_ALL, NIGHT_0, NIGHTS_MAX, after), RESULT_SIZE_MAX);
        cr_assert_eq(answer.head.nights, NIGHTS_MAX / 2);
        cr_assert_eq(answer.head.types_count, 1);
        cr_assert_eq(type_at(0)->room_type, types[i]);
        cr_assert_eq(answer.head.next_after_type, i < 3 ? types[i] : 0);
        after = answer.head.next_after_type;
    }
    ask(ROOM_TYPE_ALL, NIGHT_0, 900, 0);
    cr_assert_eq(answer.head.types_count, 4, "four short ones fit");
}

Test(query, the_longest_calendar_of_one_type_fits)
{
    end();
    struct engine_limits limits = small_limits();
    limits.horizon_nights = NIGHTS_MAX;
    world = world_with_rooms(&limits, 2);
    cr_assert_eq(ask(ROOM_TYPE, NIGHT_0, NIGHTS_MAX, 0), RESULT_SIZE_MAX);
    cr_assert_eq(ask(ROOM_TYPE_ALL, NIGHT_0, NIGHTS_MAX, 0), RESULT_SIZE_MAX);
    cr_assert_eq(night_at(0, NIGHTS_MAX - 1)->available, 2);
}

Test(query, an_unknown_property_or_type_leaves_the_answer_empty)
{
    struct calendar query = make_calendar(99, NIGHT_0, 1);
    cr_assert_eq(world_query(world, &query, &answer), sizeof(struct calendar_result));
    cr_assert_eq(answer.head.header.status, STATUS_NO_SUCH_ROOM_TYPE);
    cr_assert_eq(answer.head.business_date, 0);
    ask(ROOM_TYPE_ALL, NIGHT_0, 1, 99);
    cr_assert_eq(answer.head.header.status, STATUS_NO_SUCH_ROOM_TYPE);
    query.header.property = 99;
    world_query(world, &query, &answer);
    cr_assert_eq(answer.head.header.status, STATUS_NO_SUCH_PROPERTY);
}

Test(query, questions_change_nothing)
{
    struct hash128 before = engine_state_hash(world->engine);
    struct lease_show show = make_show(1);
    struct lease_result lease;
    world_query(world, &show, &lease);
    look_up(1);
    ask(ROOM_TYPE_ALL, NIGHT_0, 30, 0);
    cr_assert(hash128_equal(before, engine_state_hash(world->engine)));
}
