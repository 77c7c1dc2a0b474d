/* A small shard to try commands on: an engine, its log time and its LSNs.
 *
 * Every command runs on two engines at different addresses and with different hash seeds; their results must be equal byte for
 * byte, their state hashes equal, and both must pass engine_check afterwards. So each test also tests that. */
#ifndef TESTS_ENGINE_FIXTURE_H
#define TESTS_ENGINE_FIXTURE_H

#include "engine/engine.h"

#define START_NS (1000 * NS_PER_SECOND)
#define WITHIN_NS (60 * NS_PER_SECOND) /* how far ahead the builders put not_after */
#define PROPERTY 7u
#define ROOM_TYPE 3u
#define NIGHT_0 20000 /* the property's business date; a Friday */

struct world {
    struct engine_limits limits;
    struct engine *engine;
    struct engine *twin;
    void *memory;
    void *twin_memory;
    uint64_t time_ns;
    uint64_t lsn;
};

/* properties 2, room types 4, horizon 30, reservations 8, outcomes 8, leases 3. */
struct engine_limits small_limits(void);

/* An empty shard at START_NS. */
struct world *world_new(const struct engine_limits *limits);
void world_free(struct world *world);

/* The same with PROPERTY and its ROOM_TYPE of `rooms` rooms, their outcomes already forgotten. */
struct world *world_with_rooms(const struct engine_limits *limits, uint16_t rooms);

/* Moves log time and begins a frame. */
void world_at(struct world *world, uint64_t time_ns);
void world_later(struct world *world, uint64_t span_ns);

/* A restart: the frame's first record is RECOVERED, which is applied too. */
void world_restart_at(struct world *world, uint64_t time_ns);

/* Applies a record at the next LSN. */
union apply_result world_apply(struct world *world, const void *record);
struct mutation_result world_mutate(struct world *world, const void *mutation);
struct lease_result world_lease(struct world *world, const void *command);

/* Asks; `result` has RESULT_SIZE_MAX bytes. */
uint32_t world_query(struct world *world, const void *query, void *result);

/* engine_check of both engines, and equal hashes. */
void world_check(struct world *world);

struct key key_of(uint64_t number);
struct engine_counts world_counts(const struct world *world);
struct calendar_night world_night(struct world *world, int32_t night);

/* Builders: PROPERTY, ROOM_TYPE, not_after WITHIN_NS ahead, no fence. */
struct property_create make_property(const struct world *world, uint64_t key, uint64_t property);
struct room_type_create make_room_type(const struct world *world, uint64_t key, uint32_t type, uint16_t rooms);
struct rooms_set make_rooms_set(const struct world *world, uint64_t key, int32_t first, int32_t last, uint16_t rooms);
struct reserve make_reserve(const struct world *world, uint64_t key, int32_t arrival, uint16_t nights);
struct reserve make_hold(const struct world *world, uint64_t key, int32_t arrival, uint16_t nights, uint64_t hold_ns);
struct reservation_change make_change(const struct world *world, enum operation operation, uint64_t key,
                                      uint64_t reservation);
struct lease_acquire make_acquire(uint64_t session, uint64_t resource, uint64_t ttl_ns);
struct lease_renew make_renew(uint64_t resource, uint64_t token, uint64_t ttl_ns);
struct lease_release make_release(uint64_t resource, uint64_t token);
struct lookup make_lookup(uint64_t key);
struct calendar make_calendar(uint32_t type, int32_t first_night, uint16_t nights);
struct lease_show make_show(uint64_t resource);

/* Puts a mutation under a token. */
static inline void fence(struct mutation *mutation, uint64_t resource, uint64_t token)
{
    mutation->fence_resource = resource;
    mutation->fence_token = token;
}

/* Every stage of warming the cache for a record. */
static inline void prefetch_all(const struct engine *engine, const struct record_header *record)
{
    for (int stage = 0; stage < ENGINE_PREFETCH_STAGES; stage++)
        engine_prefetch(engine, record, (enum engine_prefetch_stage)stage);
}

#endif
