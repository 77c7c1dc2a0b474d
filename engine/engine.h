/* The engine: one shard's inventory, reservations, keys and leases as a deterministic state machine.
 *
 * (state, frame time, record, LSN) -> (state, result). No clock, no I/O, no threads, no allocation after init, and nothing that
 * depends on an address: the same log gives the same state and the same results, byte for byte, live, in recovery and in
 * replay. What it needs to know of the world is in the log. Design: ARCHITECTURE.md, "Engine".
 *
 * Invariant, for every room type and night: sold and held equal the sums over confirmed and held reservations, and no
 * command but a cut of supply makes sold + held exceed sellable.
 *
 * All memory is one block that the caller gives; objects refer to each other by index. One thread owns an engine. */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "engine/command.h"

struct engine;

/* The level of behaviour this code implements; every frame names the level it was written under. */
#define ENGINE_LEVEL 1u

/* At most this many deadlines are swept at one frame; the rest wait for the next. */
#define ENGINE_SWEEP_MAX 4096

/* An ended lease's slot is reclaimed this long after its end. */
#define ENGINE_LEASE_LINGER_NS NS_PER_HOUR

/* True if every limit is within its bounds (at least 1, horizon <= NIGHTS_MAX, tables below 2^30). */
MUST_USE bool engine_limits_valid(const struct engine_limits *limits);

/* Bytes that an engine of these limits needs, and the alignment of the block. Requires valid limits. */
size_t engine_memory_size(const struct engine_limits *limits);
#define ENGINE_MEMORY_ALIGNMENT 4096

/* Where the memory goes, for the start-up message and `status`. Bytes; the sum is engine_memory_size. */
struct engine_memory {
    size_t nights_bytes;
    size_t reservations_bytes;
    size_t keys_bytes;    /* kept outcomes and the key index */
    size_t capture_bytes; /* copies of pages while a snapshot is written */
    size_t other_bytes;
};
struct engine_memory engine_memory_of(const struct engine_limits *limits);

/* Makes an empty engine in `memory`: engine_memory_size bytes, all zero, aligned. `hash_seed` (from the data directory's uuid)
 * keeps clients from choosing keys that collide; it changes no result and no state hash. Log time starts at 0. */
struct engine *engine_init(void *memory, size_t memory_size, const struct engine_limits *limits, uint64_t hash_seed);

/* Fills the fresh engine `to` with the state of `from`, whose limits are all at most as large. For a start with larger
 * limits; never while serving. */
void engine_copy(struct engine *to, const struct engine *from);

/* The level that the next frame of the log is written under; 0 for an engine that nobody has told. engine_begin_level tells it, before its first
 * frame: the level of that frame. From there on only a RAISE_LEVEL command changes it, for the frames behind its own. */
uint32_t engine_log_level(const struct engine *engine);
void engine_begin_level(struct engine *engine, uint32_t level);

/* Begins a frame: log time becomes time_ns (at least the last frame's), and everything due by then is ended in (deadline,
 * LSN) order, at most ENGINE_SWEEP_MAX. `first` is the frame's first record, or NULL in a frame without any: a
 * RECOVERED record there renews leases before the sweep. */
void engine_frame_begin(struct engine *engine, uint64_t time_ns, const struct record_header *first);

/* Big enough for the result of any logged operation. */
union apply_result {
    struct result_header header;
    struct mutation_result mutation;
    struct lease_result lease;
    struct barrier_result barrier;
    struct level_result level;
};

/* Applies one record at its LSN and writes the whole result but for item and shard, which are zero. Requires a record that
 * passes record_check, an LSN above the last one, and a frame begun. SYSTEM records give a bare header with STATUS_OK.
 * A CONFIG record must carry the engine's own limits: whoever drives the engine has resized it before. */
void engine_apply(struct engine *engine, const struct record_header *record, uint64_t lsn, union apply_result *result);

/* Warms the cache for a record that will be applied soon; changes nothing, and any record that passes record_check will do. What a record needs lies
 * behind two look-ups, so it takes three stages, each of which finds in the cache what the one before it asked for. Called about eight records
 * apart each, the first 24 records ahead of engine_apply.
 * Source: Chen, Ailamaki, Gibbons, Mowry, "Improving Hash Join Performance through Prefetching", ICDE 2004 (group prefetching). */
enum engine_prefetch_stage {
    ENGINE_PREFETCH_INDEXES, /* where the look-ups of key and room type begin */
    ENGINE_PREFETCH_OBJECTS, /* the room type */
    ENGINE_PREFETCH_NIGHTS,  /* the nights of the stay */
};
#define ENGINE_PREFETCH_STAGES 3
void engine_prefetch(const struct engine *engine, const struct record_header *record, enum engine_prefetch_stage stage);

/* Answers a QUERY that passes command_check into `result` (result_size_max(item) bytes, 8-byte aligned; item and shard
 * zero). Returns the result's size. */
uint32_t engine_query(const struct engine *engine, const struct record_header *item, struct result_header *result);

/* The earliest deadline that a frame has yet to sweep; NEVER_NS if there is none. */
uint64_t engine_next_deadline(const struct engine *engine);

uint64_t engine_log_time(const struct engine *engine);
uint64_t engine_last_lsn(const struct engine *engine);
const struct engine_limits *engine_limits_of(const struct engine *engine);

struct engine_counts {
    uint32_t properties;
    uint32_t room_types;
    uint32_t reservations_held;
    uint32_t reservations_confirmed;
    uint32_t reservations_ended;
    uint32_t outcomes;
    uint32_t leases_live;
    uint32_t leases_ended;
    uint64_t shortest_ttl_ns; /* of the live leases; 0: none */
};
struct engine_counts engine_counts(const struct engine *engine);

/* What belongs to one of so many shards. */
struct engine_share {
    uint32_t shard;
    uint32_t shards;
};

/* Adds to `to` those properties of `from` that belong to the share, with all there is of them: room types and nights, reservations, keys and their
 * outcomes, leases, and what comes due. For a change of the number of shards: of several engines one after the other, of which no two have a
 * property in common. Log time, the last LSN, the largest token reclaimed and the commit latency become the larger of both. Requires that `to` has
 * places for it (engine_share_counts), a horizon as long, and the same log level if it has any. */
void engine_copy_share(struct engine *to, const struct engine *from, struct engine_share share);

/* How many objects of each kind that is; shortest_ttl_ns is 0. */
struct engine_counts engine_share_counts(const struct engine *from, struct engine_share share);

/* The sum modulo 2^128 of XXH3-128 over each live object's canonical bytes (FORMAT.md, "State hash"): independent of layout, order
 * and shard count. Reads all live memory. */
struct hash128 engine_state_hash(const struct engine *engine);

/* Recomputes every counter from the live objects and checks every index against its table. NULL if all is well, else what is wrong
 * (static storage). Slow: for tests, and for innkeep-wal verify. */
const char *engine_check(const struct engine *engine);

#endif
