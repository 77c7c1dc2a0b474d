/* Reservations: rooms of a type for a stay, named by the key of the reserve that made them.
 *
 *              reserve with hold_ns            reserve without
 *                      |                              |
 *                      v          confirm             v
 *                    HELD ----------------------> CONFIRMED --cancel--> CANCELLED
 *                      |--release--> RELEASED
 *                      '--deadline-> EXPIRED
 *
 * A reservation also remembers its latest successful mutation, so that a retry of it gets the first outcome again even where every
 * other table is full. The content of such a mutation follows from the reservation but for the fence's resource and whether a
 * version was named, so its fingerprint is computed when it is asked for instead of being stored. */
#ifndef ENGINE_RESERVATION_H
#define ENGINE_RESERVATION_H

#include "engine/inventory.h"
#include "engine/key_index.h"

struct reservation {
    struct key key;
    struct hash128 fingerprint;        /* of the reserve */
    uint64_t lsn;                      /* of the reserve */
    uint64_t hold_deadline_ns;         /* of one that is or was held; 0 for one confirmed at once */
    uint32_t type;                     /* index */
    uint32_t arrival_days : 24;        /* days from DAY_NUMBER_MIN */
    uint32_t state : 3;                /* enum reservation_state; NONE: this place is free */
    uint32_t latest_operation : 4;     /* enum operation of the latest mutation; 0: none yet */
    uint32_t latest_names_version : 1; /* it expected a version, so the one before its own */
    uint16_t nights;
    uint16_t rooms;
    uint32_t version; /* 1, and one more with each successful mutation */

    uint64_t not_after_ns; /* of the reserve */
    uint64_t external_reference;
    struct key latest_key;
    uint64_t latest_lsn;
    uint64_t latest_not_after_ns;
    uint64_t latest_fence_resource;
    uint64_t
        dropped_not_after_ns; /* the latest deadline of an earlier mutation whose outcome found no place; 0: none */
};

static_assert(sizeof(struct reservation) == 128, "two cache lines");
static_assert(offsetof(struct reservation, not_after_ns) == 64, "the first line is what a reserve decides");
static_assert(OPERATION_CONFIRM < 16 && OPERATION_RELEASE < 16 && OPERATION_CANCEL < 16, "latest_operation's width");
static_assert(RESERVATION_CANCELLED < 8, "state's width");

static inline bool reservation_state_is_ended(enum reservation_state state)
{
    return state == RESERVATION_RELEASED || state == RESERVATION_EXPIRED || state == RESERVATION_CANCELLED;
}

int32_t reservation_arrival(const struct reservation *reservation);
void reservation_set_arrival(struct reservation *reservation, int32_t arrival);
struct stay reservation_stay(const struct reservation *reservation);

/* The state as log time has it: a hold that is due counts as expired before it is swept. */
enum reservation_state reservation_state_at(const struct reservation *reservation, uint64_t log_time_ns);

/* What its rooms are counted as in the nights. Requires a HELD or CONFIRMED reservation. */
enum night_count reservation_night_count(const struct reservation *reservation);

/* Moves to another state; only along the drawing's arrows. */
void reservation_move(struct reservation *reservation, enum reservation_state state);

/* The latest deadline of a key that only the reservation remembers: of its reserve, of its latest mutation, of one that was
 * dropped. Forgotten earlier, it would let a late duplicate meet a new reservation under the old name. */
uint64_t reservation_keys_not_after(const struct reservation *reservation);

/* The fingerprint of the latest mutation. Requires that there is one. */
struct hash128 reservation_latest_fingerprint(const struct reservation *reservation, uint64_t property_number);

/* Remembers a mutation as the latest. Requires that the version is already the one after it. */
void reservation_remember(struct reservation *reservation, const struct reservation_change *change, uint64_t lsn);

#endif
