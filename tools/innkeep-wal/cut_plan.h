/* What a cut does, as it lies in DIR/cutting from before the first change until after the last one (FORMAT.md, "Cutting"). It holds all that
 * is needed, the records of a frame that is cut inside included, so that a cut that was interrupted anywhere can be done again from its
 * beginning: every step may be repeated.
 *
 *   1. DIR/cutting: tmp, fsync, rename, fsync of the directory. No server starts on the directory from here on.
 *   2. For each shard: its log ends at the place (wal_end_at).
 *   3. For each shard: the frames with which it goes on, in a fresh segment (epoch_write).
 *   4. DIR/cutting goes. */
#ifndef TOOLS_INNKEEP_WAL_CUT_PLAN_H
#define TOOLS_INNKEEP_WAL_CUT_PLAN_H

#include "tools/innkeep-wal/epoch.h"
#include "wal/recovery.h"

/* One shard's log, as it lies on disk; its records follow, all of a plan's behind its last shard. */
struct cut_shard {
    uint32_t shard;
    uint32_t engine_level;     /* of the last frame that stays */
    uint64_t lsn;              /* the last that stays */
    uint64_t granted_lsn;      /* the last known to have been given out */
    uint64_t segment_sequence; /* where the log is to end: behind the last frame that stays whole */
    uint64_t offset;
    uint64_t next_index; /* where it goes on */
    uint64_t next_lsn;
    uint64_t last_time_ns;
    uint64_t next_segment_sequence;
    struct hash128 previous_hash;
    uint64_t partial_time_ns;    /* of the frame that is cut inside */
    uint32_t partial_size_bytes; /* its records up to the cut; 0: the cut lies between two frames */
    uint32_t partial_config;
};
static_assert(sizeof(struct cut_shard) == 104, "FORMAT.md: cutting");
static_assert(offsetof(struct cut_shard, previous_hash) == 72, "FORMAT.md: cutting");
static_assert(offsetof(struct cut_shard, partial_size_bytes) == 96, "FORMAT.md: cutting");

struct cut_plan {
    struct cut_shard shards[WAL_SHARDS_MAX]; /* those that are cut, ascending */
    uint32_t shards_count;
    uint8_t *records[WAL_SHARDS_MAX]; /* partial_size_bytes each, allocated; NULL: none */
};

/* Reads DIR/cutting of a directory that was opened for reading. 0, or a negative value with a sentence in why[]. cut_plan_free may be called
 * either way. */
MUST_USE int cut_plan_read(struct io *io, const struct wal_directory *directory, struct cut_plan *plan, char *why,
                           size_t why_size);
/* Steps 1 to 4. Requires that the directory is locked by the caller. The same results. */
MUST_USE int cut_plan_write(struct io *io, const struct wal_directory *directory, const struct cut_plan *plan,
                            char *why, size_t why_size);
MUST_USE int cut_plan_run(struct io *io, const struct wal_directory *directory, const struct cut_plan *plan, char *why,
                          size_t why_size);
void cut_plan_free(struct cut_plan *plan);

#endif
