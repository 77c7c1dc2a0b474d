#include "engine/reservation.h"

#include "engine/base/civil_date.h"

static_assert(DAY_NUMBER_MAX - DAY_NUMBER_MIN < 1 << 24, "arrival_days' width");

int32_t reservation_arrival(const struct reservation *reservation)
{
    return (int32_t)reservation->arrival_days + DAY_NUMBER_MIN;
}

void reservation_set_arrival(struct reservation *reservation, int32_t arrival)
{
    REQUIRE(arrival >= DAY_NUMBER_MIN);
    REQUIRE(arrival <= DAY_NUMBER_MAX);
    reservation->arrival_days = (uint32_t)(arrival - DAY_NUMBER_MIN) & 0xffffffu;
}

struct stay reservation_stay(const struct reservation *reservation)
{
    int32_t arrival = reservation_arrival(reservation);
    return (struct stay){ .type = reservation->type,
                          .arrival = arrival,
                          .departure = arrival + (int32_t)reservation->nights };
}

enum reservation_state reservation_state_at(const struct reservation *reservation, uint64_t log_time_ns)
{
    if (reservation->state == RESERVATION_HELD && reservation->hold_deadline_ns <= log_time_ns)
        return RESERVATION_EXPIRED;
    return (enum reservation_state)reservation->state;
}

enum night_count reservation_night_count(const struct reservation *reservation)
{
    REQUIRE(reservation->state == RESERVATION_HELD || reservation->state == RESERVATION_CONFIRMED);
    return reservation->state == RESERVATION_HELD ? NIGHT_HELD : NIGHT_SOLD;
}

#define STATE_BIT(name) (1u << RESERVATION_##name)

static const uint32_t reservation_moves[] = {
    [RESERVATION_NONE] = STATE_BIT(HELD) | STATE_BIT(CONFIRMED),
    [RESERVATION_HELD] = STATE_BIT(CONFIRMED) | STATE_BIT(RELEASED) | STATE_BIT(EXPIRED),
    [RESERVATION_CONFIRMED] = STATE_BIT(CANCELLED),
    [RESERVATION_RELEASED] = 0,
    [RESERVATION_EXPIRED] = 0,
    [RESERVATION_CANCELLED] = 0,
};

void reservation_move(struct reservation *reservation, enum reservation_state state)
{
    REQUIRE((reservation_moves[reservation->state] >> state & 1u) != 0);
    reservation->state = (uint32_t)state & 7u;
}

uint64_t reservation_keys_not_after(const struct reservation *reservation)
{
    uint64_t not_after_ns = reservation->not_after_ns;
    if (not_after_ns < reservation->latest_not_after_ns)
        not_after_ns = reservation->latest_not_after_ns;
    if (not_after_ns < reservation->dropped_not_after_ns)
        not_after_ns = reservation->dropped_not_after_ns;
    return not_after_ns;
}

struct hash128 reservation_latest_fingerprint(const struct reservation *reservation, uint64_t property_number)
{
    REQUIRE(reservation->latest_operation != OPERATION_NONE);
    struct reservation_change change = {
        .mutation = { .header = { .size = sizeof(change),
                                  .kind = (uint8_t)reservation->latest_operation,
                                  .version = 1,
                                  .property = property_number },
                      .fence_resource = reservation->latest_fence_resource },
        .reservation = reservation->key,
        .expected_version = reservation->latest_names_version ? reservation->version - 1 : 0,
    };
    return mutation_fingerprint(&change.mutation);
}

void reservation_remember(struct reservation *reservation, const struct reservation_change *change, uint64_t lsn)
{
    REQUIRE(change->expected_version == 0 || change->expected_version == reservation->version - 1);
    reservation->latest_operation = change->mutation.header.kind & 15u;
    reservation->latest_names_version = change->expected_version != 0;
    reservation->latest_key = change->mutation.header.key;
    reservation->latest_lsn = lsn;
    reservation->latest_not_after_ns = change->mutation.not_after_ns;
    reservation->latest_fence_resource = change->mutation.fence_resource;
}
