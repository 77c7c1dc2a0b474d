/* The log as the server writes it, for innkeep-wal-bench: wal_open, wal_append, wal_seal, wal_durable; chained and checksummed frames into
 * segments that are filled with zeros, changed and recycled meanwhile. All on the calling thread. */
#ifndef BENCH_LOG_LANE_H
#define BENCH_LOG_LANE_H

#include "bench/raw_lane.h"
#include "wal/log.h"

struct lane_shape {
    uint32_t frame_size; /* bytes of a frame, header included; a multiple of the block size */
    uint32_t depth;
    uint32_t record_size;
    uint64_t segment_size;
    uint32_t ready_min;
    bool plain_files; /* the log's segments are not registered with the ring */
};

struct log_lane;

/* Makes a data directory of one shard at `directory`, which must not be there yet, and opens its log. False with *failure filled in. */
MUST_USE bool log_lane_open(struct log_lane **lane, const char *directory, const struct lane_shape *shape,
                            struct failure *failure);
/* Waits until everything that is made in the background is made, then writes full frames for duration_ns, as many under way as the log
 * allows, and waits for the last. */
MUST_USE bool log_lane_run(struct log_lane *lane, uint64_t duration_ns, struct lane_round *round,
                           struct failure *failure);
/* The log's own counters since it was opened. */
struct wal_state log_lane_state(const struct log_lane *lane);
const struct histogram *log_lane_latency(const struct log_lane *lane);
/* Closes the log and deletes the directory. NULL is nothing. */
void log_lane_close(struct log_lane *lane);

#endif
