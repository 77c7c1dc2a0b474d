/* The whole state of an engine: its tables, its indexes, what comes due, and where its log stands. Private to engine/.
 *
 * Invariants across the tables, beside those the tables state themselves (engine_check verifies all):
 *   every HELD reservation stands in `due` under its hold's deadline, every ended one in `ended` under the time it is forgotten;
 *   every kept outcome stands in `due` under the first time past its deadline;
 *   every lease stands in `due`: a live one under its deadline, an ended one under the time its slot is reclaimed;
 *   every live lease stands in `ttls`. */
#ifndef ENGINE_STATE_H
#define ENGINE_STATE_H

#include "engine/deadline_heap.h"
#include "engine/engine.h"
#include "engine/inventory.h"
#include "engine/lease.h"
#include "engine/outcome.h"
#include "engine/reservation.h"

struct engine {
    struct engine_limits limits;
    uint64_t hash_seed;
    uint64_t log_time_ns;
    uint64_t last_lsn;
    uint32_t level;         /* of the frame that was begun; 0: nobody has said yet */
    uint32_t log_level;     /* of the next one: differs behind a RAISE_LEVEL */
    uint64_t commit_p99_ns; /* as last logged; 0: not known yet */
    uint64_t commit_ttl_factor;
    uint32_t held_count; /* reservations by state; the ended ones are those in `ended` */
    uint32_t confirmed_count;
    struct inventory inventory;
    struct pool reservations;
    struct pool outcomes;
    struct lease_table leases;
    struct hash_index keys;
    struct deadline_heap due;   /* handles of all kinds */
    struct deadline_heap ended; /* handles of reservations; shares its entries with `due`, growing from the other end */
    struct deadline_heap ttls;  /* indexes of live leases, under their time to live */
    struct capture capture;
};

static inline const struct reservation *engine_reservation(const struct engine *engine, uint32_t index)
{
    return pool_at(&engine->reservations, index);
}

static inline struct reservation *engine_reservation_edit(struct engine *engine, uint32_t index)
{
    return pool_edit(&engine->reservations, index);
}

static inline const struct outcome *engine_outcome(const struct engine *engine, uint32_t index)
{
    return pool_at(&engine->outcomes, index);
}

static inline struct outcome *engine_outcome_edit(struct engine *engine, uint32_t index)
{
    return pool_edit(&engine->outcomes, index);
}

/* What a command or a query says about a reservation's room type and property. */
static inline const struct room_type *engine_type_of(const struct engine *engine, const struct reservation *reservation)
{
    return room_type_at(&engine->inventory, reservation->type);
}

/* Handles number the objects that come due, kind by kind: reservations 1.., then outcomes, then leases. */
static inline uint32_t engine_reservation_handle(const struct engine *engine, uint32_t index)
{
    (void)engine;
    return index;
}

static inline uint32_t engine_outcome_handle(const struct engine *engine, uint32_t index)
{
    return engine->limits.reservations_max + index;
}

static inline uint32_t engine_lease_handle(const struct engine *engine, uint32_t index)
{
    return engine->limits.reservations_max + engine->limits.outcomes_max + index;
}

/* A time some span after another, never so late that it would not come. */
static inline uint64_t time_after(uint64_t time_ns, uint64_t span_ns)
{
    if (time_ns >= NEVER_NS - 1 || span_ns >= NEVER_NS - 1 - time_ns)
        return NEVER_NS - 1;
    return time_ns + span_ns;
}

/* The first time at which a deadline that may still be met at not_after_ns itself is past. */
static inline uint64_t time_past(uint64_t not_after_ns)
{
    return time_after(not_after_ns, 1);
}

/* Where a key leads: a reference (engine/key_index.h), or 0 for an unused key. `hash` is key_name_hash of `name`. */
uint32_t engine_key_find(const struct engine *engine, struct key_name name, uint64_t hash);

/* Enters or takes out a use of a key. */
void engine_key_add(struct engine *engine, struct key_name name, uint32_t reference);
void engine_key_remove(struct engine *engine, struct key_name name, uint32_t reference);

/* The name under which a reference is entered. */
struct key_name engine_key_name(const struct engine *engine, uint32_t reference);

#endif
