/* engine/booking.c: reservations are made, confirmed, released, cancelled; nothing is sold twice. */
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

TestSuite(booking, .init = begin, .fini = end);

static enum status reserve_one(uint64_t key, int32_t arrival, uint16_t nights)
{
    struct reserve reserve = make_reserve(world, key, arrival, nights);
    return (enum status)world_mutate(world, &reserve).header.status;
}

static struct mutation_result change(enum operation operation, uint64_t key, uint64_t reservation)
{
    struct reservation_change command = make_change(world, operation, key, reservation);
    return world_mutate(world, &command);
}

static void expect_night(int32_t night, uint16_t sold, uint16_t held)
{
    struct calendar_night cell = world_night(world, night);
    cr_assert_eq(cell.sold, sold);
    cr_assert_eq(cell.held, held);
    cr_assert_eq(cell.available, cell.sellable - sold - held);
}

Test(booking, a_reserve_takes_every_night_of_its_stay_and_no_other)
{
    struct reserve reserve = make_reserve(world, 1, NIGHT_0 + 5, 3);
    struct mutation_result result = world_mutate(world, &reserve);
    cr_assert_eq(result.header.status, STATUS_OK);
    cr_assert_eq(result.header.flags, 0);
    cr_assert_eq(result.room_type, ROOM_TYPE);
    cr_assert_eq(result.state, RESERVATION_CONFIRMED);
    cr_assert_eq(result.version, 1);
    cr_assert_eq(result.hold_deadline_ns, 0);
    expect_night(NIGHT_0 + 4, 0, 0);
    for (int32_t night = NIGHT_0 + 5; night < NIGHT_0 + 8; night++)
        expect_night(night, 1, 0);
    expect_night(NIGHT_0 + 8, 0, 0);
    cr_assert_eq(world_counts(world).reservations_confirmed, 1);
}

Test(booking, the_last_room_is_sold_once_and_the_refusal_says_which_night_and_limit)
{
    cr_assert_eq(reserve_one(1, NIGHT_0 + 2, 1), STATUS_OK);
    cr_assert_eq(reserve_one(2, NIGHT_0 + 2, 1), STATUS_OK);
    struct reserve third = make_reserve(world, 3, NIGHT_0 + 1, 3);
    struct mutation_result result = world_mutate(world, &third);
    cr_assert_eq(result.header.status, STATUS_SOLD_OUT);
    cr_assert_eq(result.night, NIGHT_0 + 2);
    cr_assert_eq(result.room_type, ROOM_TYPE);
    cr_assert_eq(result.available, 0);
    cr_assert_eq(result.limit, LIMIT_TYPE);
    cr_assert_eq(result.state, RESERVATION_NONE);
    cr_assert_eq(result.version, 0);
    expect_night(NIGHT_0 + 1, 0, 0); /* all or nothing */
    expect_night(NIGHT_0 + 3, 0, 0);
}

Test(booking, several_rooms_are_taken_together_or_not_at_all)
{
    struct reserve two = make_reserve(world, 1, NIGHT_0, 2);
    two.lines[0].rooms = 2;
    cr_assert_eq(reserve_one(2, NIGHT_0 + 1, 1), STATUS_OK);
    struct mutation_result result = world_mutate(world, &two);
    cr_assert_eq(result.header.status, STATUS_SOLD_OUT);
    cr_assert_eq(result.night, NIGHT_0 + 1);
    cr_assert_eq(result.available, 1);
    two = make_reserve(world, 3, NIGHT_0 + 2, 2);
    two.lines[0].rooms = 2;
    cr_assert_eq(world_mutate(world, &two).header.status, STATUS_OK);
    expect_night(NIGHT_0 + 2, 2, 0);
}

Test(booking, a_night_cut_below_what_is_booked_shows_nothing_to_sell)
{
    cr_assert_eq(reserve_one(1, NIGHT_0, 1), STATUS_OK);
    cr_assert_eq(reserve_one(2, NIGHT_0, 1), STATUS_OK);
    struct rooms_set cut = make_rooms_set(world, 3, NIGHT_0, NIGHT_0, 1);
    cr_assert_eq(world_mutate(world, &cut).header.status, STATUS_OK);
    cr_assert_eq(world_night(world, NIGHT_0).available, -1);
    struct reserve reserve = make_reserve(world, 4, NIGHT_0, 1);
    struct mutation_result result = world_mutate(world, &reserve);
    cr_assert_eq(result.header.status, STATUS_SOLD_OUT);
    cr_assert_eq(result.available, 0, "never shown below zero");
    cr_assert_eq(change(OPERATION_CANCEL, 5, 1).header.status, STATUS_OK);
    cr_assert_eq(reserve_one(6, NIGHT_0, 1), STATUS_SOLD_OUT);
}

Test(booking, a_stay_must_lie_in_the_window_and_the_refusal_says_the_first_night_outside)
{
    struct reserve reserve = make_reserve(world, 1, NIGHT_0 - 1, 2);
    struct mutation_result result = world_mutate(world, &reserve);
    cr_assert_eq(result.header.status, STATUS_BEFORE_BUSINESS_DATE);
    cr_assert_eq(result.night, NIGHT_0 - 1);
    reserve = make_reserve(world, 2, NIGHT_0 + 29, 1);
    cr_assert_eq(world_mutate(world, &reserve).header.status, STATUS_OK, "the horizon's last night");
    reserve = make_reserve(world, 3, NIGHT_0 + 28, 3);
    result = world_mutate(world, &reserve);
    cr_assert_eq(result.header.status, STATUS_BEYOND_HORIZON);
    cr_assert_eq(result.night, NIGHT_0 + 30);
    reserve = make_reserve(world, 4, NIGHT_0 + 40, 1);
    result = world_mutate(world, &reserve);
    cr_assert_eq(result.header.status, STATUS_BEYOND_HORIZON);
    cr_assert_eq(result.night, NIGHT_0 + 40);
}

Test(booking, an_unknown_property_is_told_from_an_unknown_room_type)
{
    struct reserve reserve = make_reserve(world, 1, NIGHT_0, 1);
    reserve.mutation.header.property = 99;
    struct mutation_result result = world_mutate(world, &reserve);
    cr_assert_eq(result.header.status, STATUS_NO_SUCH_PROPERTY);
    cr_assert_eq(result.room_type, 0);
    reserve = make_reserve(world, 2, NIGHT_0, 1);
    reserve.lines[0].room_type = 99;
    result = world_mutate(world, &reserve);
    cr_assert_eq(result.header.status, STATUS_NO_SUCH_ROOM_TYPE);
    cr_assert_eq(result.room_type, 99);
}

Test(booking, a_hold_is_confirmed_and_then_cancelled)
{
    struct reserve hold = make_hold(world, 1, NIGHT_0, 2, NS_PER_MINUTE);
    struct mutation_result result = world_mutate(world, &hold);
    uint64_t deadline_ns = world->time_ns + NS_PER_MINUTE;
    cr_assert_eq(result.state, RESERVATION_HELD);
    cr_assert_eq(result.hold_deadline_ns, deadline_ns);
    expect_night(NIGHT_0, 0, 1);
    result = change(OPERATION_CONFIRM, 2, 1);
    cr_assert_eq(result.header.status, STATUS_OK);
    cr_assert_eq(result.state, RESERVATION_CONFIRMED);
    cr_assert_eq(result.version, 2);
    cr_assert_eq(result.room_type, ROOM_TYPE);
    cr_assert_eq(result.hold_deadline_ns, deadline_ns);
    expect_night(NIGHT_0 + 1, 1, 0);
    result = change(OPERATION_CANCEL, 3, 1);
    cr_assert_eq(result.header.status, STATUS_OK);
    cr_assert_eq(result.state, RESERVATION_CANCELLED);
    cr_assert_eq(result.version, 3);
    expect_night(NIGHT_0, 0, 0);
    cr_assert_eq(world_counts(world).reservations_ended, 1);
}

Test(booking, a_released_hold_gives_its_rooms_back)
{
    struct reserve hold = make_hold(world, 1, NIGHT_0, 2, NS_PER_MINUTE);
    world_mutate(world, &hold);
    struct mutation_result result = change(OPERATION_RELEASE, 2, 1);
    cr_assert_eq(result.header.status, STATUS_OK);
    cr_assert_eq(result.state, RESERVATION_RELEASED);
    cr_assert_eq(result.version, 2);
    expect_night(NIGHT_0, 0, 0);
    cr_assert_eq(world_counts(world).reservations_held, 0);
}

Test(booking, a_hold_ends_exactly_at_its_deadline)
{
    struct reserve hold = make_hold(world, 1, NIGHT_0, 1, NS_PER_MINUTE);
    uint64_t deadline_ns = world_mutate(world, &hold).hold_deadline_ns;
    hold = make_hold(world, 2, NIGHT_0, 1, NS_PER_MINUTE);
    world_mutate(world, &hold);
    world_at(world, deadline_ns - 1);
    cr_assert_eq(change(OPERATION_CONFIRM, 3, 1).header.status, STATUS_OK, "live until the last nanosecond");
    world_at(world, deadline_ns);
    struct mutation_result result = change(OPERATION_CONFIRM, 4, 2);
    cr_assert_eq(result.header.status, STATUS_HOLD_EXPIRED);
    cr_assert_eq(result.state, RESERVATION_EXPIRED);
    cr_assert_eq(result.version, 1, "expiry is no command");
    expect_night(NIGHT_0, 1, 0);
}

Test(booking, a_hold_longer_than_time_itself_stays_below_never)
{
    world_at(world, NEVER_NS - TTL_NS_MAX - 5);
    struct reserve hold = make_hold(world, 1, NIGHT_0, 1, TTL_NS_MAX);
    cr_assert_eq(world_mutate(world, &hold).hold_deadline_ns, NEVER_NS - 5);
    world_at(world, NEVER_NS - TTL_NS_MAX + 5);
    hold = make_hold(world, 2, NIGHT_0, 1, TTL_NS_MAX);
    hold.mutation.not_after_ns = world->time_ns;
    cr_assert_eq(world_mutate(world, &hold).hold_deadline_ns, NEVER_NS - 1);
}

/* Which change is possible in which state: the drawing in reservation.h. */
struct move {
    enum reservation_state state;
    enum operation operation;
    enum status status;
};

static const struct move moves[] = {
    { RESERVATION_HELD, OPERATION_CONFIRM, STATUS_OK },
    { RESERVATION_HELD, OPERATION_RELEASE, STATUS_OK },
    { RESERVATION_HELD, OPERATION_CANCEL, STATUS_STATE_CONFLICT },
    { RESERVATION_CONFIRMED, OPERATION_CONFIRM, STATUS_STATE_CONFLICT },
    { RESERVATION_CONFIRMED, OPERATION_RELEASE, STATUS_STATE_CONFLICT },
    { RESERVATION_CONFIRMED, OPERATION_CANCEL, STATUS_OK },
    { RESERVATION_RELEASED, OPERATION_CONFIRM, STATUS_STATE_CONFLICT },
    { RESERVATION_RELEASED, OPERATION_RELEASE, STATUS_STATE_CONFLICT },
    { RESERVATION_RELEASED, OPERATION_CANCEL, STATUS_STATE_CONFLICT },
    { RESERVATION_EXPIRED, OPERATION_CONFIRM, STATUS_HOLD_EXPIRED },
    { RESERVATION_EXPIRED, OPERATION_RELEASE, STATUS_HOLD_EXPIRED },
    { RESERVATION_EXPIRED, OPERATION_CANCEL, STATUS_STATE_CONFLICT },
    { RESERVATION_CANCELLED, OPERATION_CONFIRM, STATUS_STATE_CONFLICT },
    { RESERVATION_CANCELLED, OPERATION_RELEASE, STATUS_STATE_CONFLICT },
    { RESERVATION_CANCELLED, OPERATION_CANCEL, STATUS_STATE_CONFLICT },
};

static void bring_to(enum reservation_state state, uint64_t key)
{
    struct reserve reserve = make_reserve(world, key, NIGHT_0, 1);
    bool from_hold = state == RESERVATION_HELD || state == RESERVATION_RELEASED || state == RESERVATION_EXPIRED;
    reserve.hold_ns = from_hold ? NS_PER_SECOND : 0;
    cr_assert_eq(world_mutate(world, &reserve).header.status, STATUS_OK);
    if (state == RESERVATION_RELEASED)
        change(OPERATION_RELEASE, key + 1000, key);
    if (state == RESERVATION_CANCELLED)
        change(OPERATION_CANCEL, key + 1000, key);
    if (state == RESERVATION_EXPIRED)
        world_later(world, NS_PER_SECOND);
}

Test(booking, a_change_goes_ahead_only_in_the_states_that_allow_it)
{
    for (size_t i = 0; i < ARRAY_COUNT(moves); i++) {
        end(); /* each row in a world of its own */
        begin();
        bring_to(moves[i].state, 10);
        struct mutation_result result = change(moves[i].operation, 11, 10);
        cr_assert_eq(result.header.status, moves[i].status, "row %zu: %s", i, status_name(result.header.status));
        if (moves[i].status != STATUS_OK)
            cr_assert_eq(result.state, moves[i].state, "row %zu", i);
        cr_assert_eq(result.room_type, ROOM_TYPE);
    }
}

Test(booking, a_change_of_an_unknown_reservation_says_what_is_unknown)
{
    struct mutation_result result = change(OPERATION_CONFIRM, 1, 2);
    cr_assert_eq(result.header.status, STATUS_NO_SUCH_RESERVATION);
    cr_assert_eq(result.room_type, 0);
    struct reservation_change command = make_change(world, OPERATION_CANCEL, 3, 2);
    command.mutation.header.property = 99;
    cr_assert_eq(world_mutate(world, &command).header.status, STATUS_NO_SUCH_PROPERTY);
    cr_assert_eq(change(OPERATION_CONFIRM, 4, 1).header.status, STATUS_NO_SUCH_RESERVATION,
                 "the key of a refused confirm names no reservation");
}

Test(booking, the_same_key_in_another_property_is_another_reservation)
{
    struct property_create other = make_property(world, 1, 8);
    struct room_type_create type = make_room_type(world, 2, ROOM_TYPE, 5);
    type.mutation.header.property = 8;
    world_mutate(world, &other);
    world_mutate(world, &type);
    cr_assert_eq(reserve_one(50, NIGHT_0, 1), STATUS_OK);
    struct reserve elsewhere = make_reserve(world, 50, NIGHT_0, 1);
    elsewhere.mutation.header.property = 8;
    struct mutation_result result = world_mutate(world, &elsewhere);
    cr_assert_eq(result.header.status, STATUS_OK);
    cr_assert_eq(result.header.flags, 0);
    expect_night(NIGHT_0, 1, 0);
}

Test(booking, a_change_that_names_another_version_conflicts)
{
    cr_assert_eq(reserve_one(1, NIGHT_0, 1), STATUS_OK);
    struct reservation_change cancel = make_change(world, OPERATION_CANCEL, 2, 1);
    cancel.expected_version = 2;
    struct mutation_result result = world_mutate(world, &cancel);
    cr_assert_eq(result.header.status, STATUS_VERSION_CONFLICT);
    cr_assert_eq(result.version, 1);
    cr_assert_eq(result.state, RESERVATION_CONFIRMED);
    cancel = make_change(world, OPERATION_CANCEL, 3, 1);
    cancel.expected_version = 1;
    cr_assert_eq(world_mutate(world, &cancel).header.status, STATUS_OK);
}

/* ---- The reservation table's limit --------------------------------------------------------------------------------- */

static void fill_reservations(void)
{
    for (uint64_t key = 1; key <= 8; key++)
        cr_assert_eq(reserve_one(key, NIGHT_0 + (int32_t)key, 1), STATUS_OK);
}

Test(booking, a_full_table_takes_no_reserve_and_changes_nothing)
{
    fill_reservations();
    struct hash128 before = engine_state_hash(world->engine);
    struct reserve ninth = make_reserve(world, 9, NIGHT_0, 1);
    struct mutation_result result = world_mutate(world, &ninth);
    cr_assert_eq(result.header.status, STATUS_LIMIT_REACHED);
    cr_assert_eq(result.limit, LIMIT_RESERVATIONS);
    cr_assert(hash128_equal(before, engine_state_hash(world->engine)), "a refusal by a limit is not kept");
}

Test(booking, an_ended_reservation_gives_way_once_the_deadlines_of_its_keys_are_past)
{
    fill_reservations();
    cr_assert_eq(change(OPERATION_CANCEL, 100, 3).header.status, STATUS_OK);
    cr_assert_eq(reserve_one(9, NIGHT_0, 1), STATUS_LIMIT_REACHED, "its keys may still be retried");
    world_later(world, WITHIN_NS);
    cr_assert_eq(reserve_one(10, NIGHT_0, 1), STATUS_LIMIT_REACHED, "at the deadline itself, too");
    world_later(world, 1);
    cr_assert_eq(reserve_one(11, NIGHT_0, 1), STATUS_OK);
    cr_assert_eq(change(OPERATION_CANCEL, 101, 3).header.status, STATUS_NO_SUCH_RESERVATION);
    cr_assert_eq(world_counts(world).reservations_ended, 0);
}

Test(booking, only_the_reservation_to_be_forgotten_next_gives_way)
{
    fill_reservations();
    struct reservation_change cancel = make_change(world, OPERATION_CANCEL, 100, 5);
    cancel.mutation.not_after_ns = world->time_ns + 5 * NS_PER_MINUTE;
    world_mutate(world, &cancel);
    world_later(world, 1);
    cr_assert_eq(change(OPERATION_CANCEL, 101, 6).header.status, STATUS_OK);
    world_later(world, WITHIN_NS + 1);
    /* 6 could go, but 5 stands before it and may still be retried. */
    cr_assert_eq(reserve_one(9, NIGHT_0, 1), STATUS_LIMIT_REACHED);
    world_later(world, 4 * NS_PER_MINUTE);
    cr_assert_eq(reserve_one(10, NIGHT_0, 1), STATUS_OK);
    struct lookup lookup = make_lookup(5);
    struct lookup_result result;
    world_query(world, &lookup, &result);
    cr_assert_eq(result.header.status, STATUS_NO_SUCH_KEY);
    lookup = make_lookup(6);
    world_query(world, &lookup, &result);
    cr_assert_eq(result.state, RESERVATION_CANCELLED);
}

Test(booking, confirm_release_and_cancel_need_no_place)
{
    struct reserve hold = make_hold(world, 1, NIGHT_0, 1, NS_PER_MINUTE);
    world_mutate(world, &hold);
    hold = make_hold(world, 2, NIGHT_0, 1, NS_PER_MINUTE);
    world_mutate(world, &hold);
    for (uint64_t key = 10; key < 18; key++)
        cr_assert_eq(reserve_one(key, NIGHT_0, 1), STATUS_SOLD_OUT);
    cr_assert_eq(world_counts(world).outcomes, 8);
    cr_assert_eq(change(OPERATION_CONFIRM, 20, 1).header.status, STATUS_OK);
    cr_assert_eq(change(OPERATION_CANCEL, 21, 1).header.status, STATUS_OK);
    cr_assert_eq(change(OPERATION_RELEASE, 22, 2).header.status, STATUS_OK);
}
