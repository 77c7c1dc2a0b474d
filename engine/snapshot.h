/* Snapshots: an engine's state at one moment as a head of a few numbers and a stream of its pages, and an engine made of them again.
 *
 * The stream holds the pages of what cannot be computed from anything else: properties, room types, nights, reservations, outcomes,
 * leases, and what waits in the two heaps; of each table only as far as it was ever used. Indexes are built anew while the pages
 * come in. Both sides lay the stream out by the same pure function of the head, so the head alone says how long it is and where each byte belongs.
 *
 * Objects lie in a snapshot as they lie in memory; FORMAT.md, "Snapshot", lists them. A change of any of them is a new
 * SNAPSHOT_VERSION. */
#ifndef ENGINE_SNAPSHOT_H
#define ENGINE_SNAPSHOT_H

#include "engine/capture.h"
#include "engine/engine.h"

#define SNAPSHOT_VERSION 1

struct snapshot_table {
    uint32_t used;
    uint32_t free_first;
    uint32_t free_count;
};

struct snapshot_head {
    uint32_t version;      /* SNAPSHOT_VERSION */
    uint32_t engine_level; /* of the log's next frame; 0: the engine was never told */
    struct engine_limits limits;
    uint64_t log_time_ns;
    uint64_t last_lsn;
    uint64_t commit_p99_ns;
    uint64_t commit_ttl_factor;
    uint64_t reclaimed_token_max;
    uint32_t held_count;
    uint32_t confirmed_count;
    uint32_t due_count;
    uint32_t ended_count;
    struct snapshot_table properties;
    struct snapshot_table room_types;
    struct snapshot_table reservations;
    struct snapshot_table outcomes;
    struct snapshot_table leases;
    uint32_t reserved_end;
};

static_assert(sizeof(struct snapshot_head) == 168, "FORMAT.md: snapshot head");
static_assert(offsetof(struct snapshot_head, limits) == 8, "FORMAT.md: limits");
static_assert(offsetof(struct snapshot_head, log_time_ns) == 48, "FORMAT.md: log_time_ns");
static_assert(offsetof(struct snapshot_head, held_count) == 88, "FORMAT.md: held_count");
static_assert(offsetof(struct snapshot_head, properties) == 104, "FORMAT.md: properties");

/* NULL if a snapshot with this head can be loaded, else what is wrong with it (static storage). */
MUST_USE const char *snapshot_head_check(const struct snapshot_head *head);

/* Bytes of the stream, a multiple of the page size. Requires a head that passes the check. */
uint64_t snapshot_data_size(const struct snapshot_head *head);

/* ---- Taking one ------------------------------------------------------------------------------------------------------ */

/* Holds the state fast as it is now, between two frames: *head says what the stream will be, and capture_next and capture_fill of
 * snapshot_capture give its chunks in whatever order, while records are applied. Requires that none is being taken. */
void snapshot_begin(struct engine *engine, struct snapshot_head *head);

/* Lets go again, whether all of the stream was taken or not. Nothing happens where none is being taken. */
void snapshot_end(struct engine *engine);

struct capture *snapshot_capture(struct engine *engine);

/* ---- Loading one ----------------------------------------------------------------------------------------------------- */

struct snapshot_load {
    struct engine *engine;
    struct snapshot_head head;
    struct page_range ranges[CAPTURE_RANGES_MAX];
    uint32_t ranges_count;
    uint32_t properties_done; /* objects that were looked at, by table */
    uint32_t room_types_done;
    uint32_t reservations_done;
    uint32_t outcomes_done;
    uint32_t leases_done;
    uint32_t held;
    uint32_t confirmed;
    uint32_t ended;
    uint32_t free[CAPTURE_RANGES_MAX]; /* free places met, by range */
};

/* Prepares a fresh engine, made with the head's limits, to be filled. Until snapshot_load_finish says that all is well nothing else may be
 * done with it. Requires a head that passes the check. */
void snapshot_load_begin(struct snapshot_load *load, struct engine *engine, const struct snapshot_head *head);

/* Where the stream's byte at offset belongs, and how many bytes can be put there in one piece. */
void *snapshot_load_place(const struct snapshot_load *load, uint64_t offset, size_t *size);

/* The first `upto` bytes of the stream are in their places: builds the indexes over them. upto never goes back. NULL, or what no engine
 * would have written (static storage). */
MUST_USE const char *snapshot_load_reached(struct snapshot_load *load, uint64_t upto);

/* All is there: builds the rest. NULL: the engine is as it was when the snapshot was taken. Else what is wrong. */
MUST_USE const char *snapshot_load_finish(struct snapshot_load *load);

#endif
