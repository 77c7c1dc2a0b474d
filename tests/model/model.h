/* An obvious model of the engine, written from the rules alone and never from the engine's code, so that an agreement
 * between the two means something.
 *
 * Everything is a list searched from front to back. Nothing that can be recomputed is stored: rooms sold and held, counts,
 * next deadlines are summed over the live objects whenever somebody asks. A first answer is kept as the whole result that
 * was given, so that giving it again is a copy. Slow on purpose.
 *
 * Source of the habit: RELIABILITY.md section 1; "Model-based testing" as in Hughes, "Experiences with QuickCheck". */
#ifndef TESTS_MODEL_MODEL_H
#define TESTS_MODEL_MODEL_H

#include "engine/command.h"
#include "engine/engine.h"

/* The largest limits a model can stand for. */
#define MODEL_PROPERTIES_MAX 64
#define MODEL_ROOM_TYPES_MAX 512
#define MODEL_OBJECTS_MAX 8192 /* reservations, outcomes, leases */

/* The answer a key was first given. */
struct model_outcome {
    uint64_t property;
    struct key key;
    struct hash128 fingerprint;
    uint64_t lsn; /* 0: there is none */
    uint64_t not_after_ns;
    uint64_t fence_resource;
    struct mutation_result result;
    uint8_t kind;
};

struct model_property {
    uint64_t number;
    int32_t business_date;
};

struct model_room_type {
    uint64_t property;
    uint32_t number;
    uint16_t rooms;                /* of nights that open later */
    uint16_t sellable[NIGHTS_MAX]; /* from the business date on; beyond the horizon: rooms */
};

struct model_reservation {
    struct model_outcome first;  /* of the reserve that made it */
    struct model_outcome latest; /* of the newest confirm, release or cancel that took effect; lsn 0: none */
    struct reserve request;
    uint8_t state;
    uint32_t version;
    uint64_t hold_deadline_ns;    /* 0: never held */
    uint64_t lingers_until_ns;    /* once ended: the end and the time to linger */
    uint64_t dropped_deadline_ns; /* not_after of an outcome that found no place; 0: none */
};

struct model_lease {
    uint64_t property;
    uint64_t resource;
    uint64_t token;
    struct key session;
    char owner[OWNER_SIZE];
    uint64_t ttl_ns;
    uint64_t deadline_ns;
    uint64_t end_ns; /* once ended */
    uint32_t state;
};

/* Rare turns of the state that no status tells of; counted so that a test can require them to have happened. */
#define MODEL_EVENT_MAP(X)                                                               \
    X(SWEEP_CAPPED, "a sweep stopped at ENGINE_SWEEP_MAX with more due")                 \
    X(HOLD_EXPIRED, "a hold ran out at a sweep")                                         \
    X(ENDED_FORGOTTEN, "an ended reservation was forgotten at a sweep")                  \
    X(ENDED_GAVE_WAY, "an ended reservation gave way early to a new one")                \
    X(ENDED_STAYED, "a full table's oldest ended reservation still had a live deadline") \
    X(OUTCOME_FORGOTTEN, "a kept outcome was forgotten at a sweep")                      \
    X(OUTCOME_DISPLACED, "a reservation's latest outcome moved to the table")            \
    X(OUTCOME_DROPPED, "a displaced outcome found the table full")                       \
    X(OUTCOME_OUTLIVED, "a displaced outcome's deadline was past already")               \
    X(LEASE_ENDED, "a lease ran out at a sweep")                                         \
    X(SLOT_RECLAIMED, "an ended lease's slot was reclaimed")                             \
    X(SLOT_TAKEN_OVER, "a new grant took an ended lease's slot")                         \
    X(LEASE_RECOVERED, "a restart gave a live lease a full time to live")                \
    X(RECLAIMED_TOKEN, "a token of a reclaimed slot was judged")                         \
    X(UNSWEPT_HOLD, "a command met a hold that was due but not yet swept")               \
    X(UNSWEPT_LEASE, "a command met a lease that was due but not yet swept")             \
    X(CHAIN_SWEEP, "an object that ended in a sweep was forgotten in the same one")      \
    X(CALENDAR_CUT, "a calendar had more types than fit a result")

enum model_event {
#define MODEL_EVENT_ENUM(name, text) MODEL_EVENT_##name,
    MODEL_EVENT_MAP(MODEL_EVENT_ENUM)
#undef MODEL_EVENT_ENUM
        MODEL_EVENTS_COUNT
};

struct model {
    struct engine_limits limits;
    uint64_t log_time_ns;
    uint64_t last_lsn;
    uint32_t level; /* of the log behind the last record; 0: nobody has raised it */
    uint64_t commit_p99_ns;
    uint64_t ttl_factor;
    uint64_t reclaimed_token_max;
    struct model_property properties[MODEL_PROPERTIES_MAX];
    size_t properties_count;
    struct model_room_type room_types[MODEL_ROOM_TYPES_MAX];
    size_t room_types_count;
    struct model_reservation reservations[MODEL_OBJECTS_MAX];
    size_t reservations_count;
    struct model_outcome outcomes[MODEL_OBJECTS_MAX];
    size_t outcomes_count;
    struct model_lease leases[MODEL_OBJECTS_MAX];
    size_t leases_count;
    uint64_t events[MODEL_EVENTS_COUNT];
};

/* Makes an empty model on the heap; model_free it. Requires limits within the MODEL_*_MAX. */
struct model *model_new(const struct engine_limits *limits);
void model_free(struct model *model);

/* The counterparts of engine_copy into a larger engine, engine_frame_begin, engine_apply, engine_query and so on;
 * contracts and results are theirs (engine/engine.h). */
void model_grow(struct model *model, const struct engine_limits *limits);
void model_frame_begin(struct model *model, uint64_t time_ns, const struct record_header *first);
void model_apply(struct model *model, const struct record_header *record, uint64_t lsn, union apply_result *result);
uint32_t model_query(struct model *model, const struct record_header *item, struct result_header *result);
uint64_t model_next_deadline(const struct model *model);
struct engine_counts model_counts(const struct model *model);

/* XXH3-128 over bytes 0..15 and 48..size-1 of a mutation. */
struct hash128 model_fingerprint(const struct mutation *mutation);

/* ---- Shared by the model's files ----------------------------------------------------------------------------------- */

/* What a key was used for. Both pointers NULL: the key is not known. */
struct model_key_use {
    const struct model_outcome *outcome;
    const struct model_reservation *reservation; /* set where the key is the reservation's name */
};
struct model_key_use model_find_key(const struct model *model, uint64_t property, struct key key);

struct model_property *model_find_property(struct model *model, uint64_t number);
struct model_room_type *model_find_room_type(struct model *model, uint64_t property, uint32_t number);
struct model_lease *model_find_lease(struct model *model, uint64_t property, uint64_t resource);

/* The state as of log time: a hold or lease that is due has ended, swept or not. */
uint8_t model_state_now(struct model *model, const struct model_reservation *reservation);
uint32_t model_lease_state_now(struct model *model, const struct model_lease *lease);

/* Rooms of the reservations in `state` on a night, for one type. */
int32_t model_rooms_in_state(const struct model *model, const struct model_room_type *type, int32_t night,
                             uint8_t state);

/* When an ended reservation may be forgotten. */
uint64_t model_forget_ns(const struct model_reservation *reservation);
/* The latest deadline of any key that only this reservation still answers for. */
uint64_t model_key_deadline_ns(const struct model_reservation *reservation);
void model_reservation_remove(struct model *model, size_t index);

uint64_t model_add_saturating(uint64_t a, uint64_t b);

/* DESIGN.md section 3, the table of tokens; `lease` is the resource's slot or NULL. */
enum status model_judge_token(struct model *model, const struct model_lease *lease, uint64_t token, uint64_t lsn);

void model_apply_mutation(struct model *model, const struct mutation *mutation, uint64_t lsn,
                          struct mutation_result *result);
void model_apply_lease(struct model *model, const struct record_header *record, uint64_t lsn,
                       struct lease_result *result);
void model_describe_lease(struct model *model, const struct model_lease *lease, struct lease_result *result);

#endif
