/* engine/reservation.c, outcome.c, lease.c, key_index.h: what single objects know without the engine around them. */
#include "tests/engine/fixture.h"

#include "engine/base/civil_date.h"
#include "engine/lease.h"
#include "engine/outcome.h"
#include "engine/reservation.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

Test(reservation, arrival_is_kept_exactly_over_the_whole_calendar)
{
    static const int32_t dates[] = { DAY_NUMBER_MIN, -1, 0, 1, NIGHT_0, DAY_NUMBER_MAX };
    for (size_t i = 0; i < ARRAY_COUNT(dates); i++) {
        struct reservation reservation = { .state = RESERVATION_HELD, .nights = 3, .type = 5 };
        reservation_set_arrival(&reservation, dates[i]);
        cr_assert_eq(reservation_arrival(&reservation), dates[i]);
        cr_assert_eq(reservation.state, RESERVATION_HELD, "the fields beside it are untouched");
        struct stay stay = reservation_stay(&reservation);
        cr_assert_eq(stay.departure - stay.arrival, 3);
        cr_assert_eq(stay.type, 5);
    }
}

Test(reservation, a_hold_is_expired_from_its_deadline_on)
{
    struct reservation reservation = { .state = RESERVATION_HELD, .hold_deadline_ns = 100 };
    cr_assert_eq(reservation_state_at(&reservation, 99), RESERVATION_HELD);
    cr_assert_eq(reservation_state_at(&reservation, 100), RESERVATION_EXPIRED);
    reservation.state = RESERVATION_CONFIRMED;
    cr_assert_eq(reservation_state_at(&reservation, 100), RESERVATION_CONFIRMED);
}

Test(reservation, it_moves_along_the_drawing)
{
    struct reservation reservation = { .state = RESERVATION_NONE };
    reservation_move(&reservation, RESERVATION_HELD);
    cr_assert_eq(reservation_night_count(&reservation), NIGHT_HELD);
    reservation_move(&reservation, RESERVATION_CONFIRMED);
    cr_assert_eq(reservation_night_count(&reservation), NIGHT_SOLD);
    reservation_move(&reservation, RESERVATION_CANCELLED);
    cr_assert(reservation_state_is_ended((enum reservation_state)reservation.state));
}

Test(reservation, a_cancelled_reservation_cannot_be_confirmed, .signal = SIGABRT)
{
    struct reservation reservation = { .state = RESERVATION_CANCELLED };
    reservation_move(&reservation, RESERVATION_CONFIRMED);
}

Test(reservation, an_expired_hold_cannot_be_released, .signal = SIGABRT)
{
    struct reservation reservation = { .state = RESERVATION_EXPIRED };
    reservation_move(&reservation, RESERVATION_RELEASED);
}

Test(reservation, the_latest_mutation_has_the_fingerprint_of_the_command_it_came_from)
{
    static const struct world world = { .time_ns = START_NS };
    for (uint8_t kind = OPERATION_CONFIRM; kind <= OPERATION_CANCEL; kind++) {
        for (uint32_t named = 0; named <= 1; named++) {
            struct reservation reservation = { .key = key_of(9), .version = 3 };
            struct reservation_change change = make_change(&world, kind, 8, 9);
            change.expected_version = named * 2;
            fence(&change.mutation, named * 77, named * 5);
            reservation_remember(&reservation, &change, 1000);
            cr_assert(hash128_equal(reservation_latest_fingerprint(&reservation, PROPERTY),
                                    mutation_fingerprint(&change.mutation)));
            cr_assert_eq(reservation.latest_lsn, 1000);
        }
    }
}

Test(reservation, its_keys_are_past_with_the_last_of_their_deadlines)
{
    struct reservation reservation = { .not_after_ns = 3, .latest_not_after_ns = 2, .dropped_not_after_ns = 1 };
    cr_assert_eq(reservation_keys_not_after(&reservation), 3);
    reservation.latest_not_after_ns = 4;
    cr_assert_eq(reservation_keys_not_after(&reservation), 4);
    reservation.dropped_not_after_ns = 5;
    cr_assert_eq(reservation_keys_not_after(&reservation), 5);
}

static void expect_round_trip(enum operation operation, struct mutation_result result)
{
    static const struct world world = { .time_ns = START_NS };
    struct outcome outcome;
    memset(&outcome, 0, sizeof(outcome));
    struct reservation_change change = make_change(&world, operation, 1, 2);
    outcome_store(&outcome, &change.mutation, (struct hash128){ 1, 2 }, 33, &result);
    cr_assert_eq(outcome.lsn, 33);
    cr_assert_eq(outcome.operation, operation);
    struct mutation_result restored = { .header = { .lsn = result.header.lsn } };
    outcome_restore(&outcome, &restored);
    cr_assert_eq(memcmp(&restored, &result, sizeof(result)), 0);
}

Test(outcome, a_result_comes_back_byte_for_byte)
{
    struct mutation_result sold_out = { .header = { .lsn = 5, .status = STATUS_SOLD_OUT },
                                        .night = -7,
                                        .room_type = 3,
                                        .available = 2,
                                        .limit = LIMIT_TYPE };
    expect_round_trip(OPERATION_RESERVE, sold_out);
    expect_round_trip(OPERATION_ROOMS_SET, sold_out);
    struct mutation_result conflict = { .header = { .lsn = 5, .status = STATUS_STATE_CONFLICT },
                                        .room_type = UINT32_MAX,
                                        .version = 4,
                                        .state = RESERVATION_CANCELLED,
                                        .hold_deadline_ns = NEVER_NS - 1 };
    expect_round_trip(OPERATION_CONFIRM, conflict);
    expect_round_trip(OPERATION_RELEASE, conflict);
    expect_round_trip(OPERATION_CANCEL, conflict);
}

Test(outcome, what_was_not_executed_cannot_be_kept, .signal = SIGABRT)
{
    expect_round_trip(OPERATION_RESERVE, (struct mutation_result){ .header = { .status = STATUS_FENCED } });
}

Test(key_index, a_reference_keeps_use_and_target_apart)
{
    for (enum key_use use = KEY_RESERVATION; use <= KEY_OUTCOME; use++) {
        uint32_t reference = key_reference(use, KEY_TARGETS_MAX);
        cr_assert_eq(key_reference_use(reference), use);
        cr_assert_eq(key_reference_target(reference), KEY_TARGETS_MAX);
        cr_assert_neq(key_reference(use, 1), key_reference(KEY_UNUSED, 1));
    }
}

/* ---- The fence's table --------------------------------------------------------------------------------------------- */

struct row {
    uint64_t token;
    uint64_t log_time_ns;
    uint32_t state;
    bool has_slot;
    enum status status;
};

/* The newest grant is token 50 until 1000 ns; tokens up to 20 were reclaimed; the command's own LSN is 100. */
static const struct row rows[] = {
    { 49, 999, LEASE_LIVE, true, STATUS_FENCED },
    { 1, 999, LEASE_LIVE, true, STATUS_FENCED },
    { 49, 1000, LEASE_LIVE, true, STATUS_FENCED },
    { 49, 999, LEASE_RELEASED, true, STATUS_FENCED },
    { 49, 999, LEASE_EXPIRED, true, STATUS_FENCED },
    { 50, 999, LEASE_LIVE, true, STATUS_OK },
    { 50, 1000, LEASE_LIVE, true, STATUS_LEASE_EXPIRED },
    { 50, 1000, LEASE_EXPIRED, true, STATUS_LEASE_EXPIRED },
    { 50, 999, LEASE_RELEASED, true, STATUS_LEASE_RELEASED },
    { 50, 1000, LEASE_RELEASED, true, STATUS_LEASE_RELEASED },
    { 51, 999, LEASE_LIVE, true, STATUS_TOKEN_INVALID },
    { 99, 999, LEASE_LIVE, true, STATUS_TOKEN_INVALID },
    { 100, 999, LEASE_LIVE, true, STATUS_TOKEN_UNKNOWN },
    { UINT64_MAX, 999, LEASE_LIVE, true, STATUS_TOKEN_UNKNOWN },
    { 20, 999, LEASE_NONE, false, STATUS_LEASE_EXPIRED },
    { 1, 999, LEASE_NONE, false, STATUS_LEASE_EXPIRED },
    { 21, 999, LEASE_NONE, false, STATUS_TOKEN_INVALID },
    { 99, 999, LEASE_NONE, false, STATUS_TOKEN_INVALID },
    { 100, 999, LEASE_NONE, false, STATUS_TOKEN_UNKNOWN },
};

Test(lease, a_token_is_judged_by_the_table)
{
    struct lease leases[2] = { { .state = LEASE_NONE } };
    struct lease_table table = { .reclaimed_token_max = 20 };
    pool_init(&table.pool, leases, sizeof(struct lease), 1);
    uint32_t slot = pool_take(&table.pool);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        leases[slot] = (struct lease){ .token = 50, .deadline_ns = 1000, .state = rows[i].state };
        struct lease_claim claim = { .token = rows[i].token, .lsn = 100, .log_time_ns = rows[i].log_time_ns };
        enum status status = lease_judge(&table, rows[i].has_slot ? slot : 0, claim);
        cr_assert_eq(status, rows[i].status, "row %zu: %s", i, status_name((uint16_t)status));
    }
}
