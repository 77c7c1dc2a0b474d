/* The two lanes that innkeep-wal-bench compares: the log as the server writes it, and the bare writes that it comes down to.
 *
 *   log   wal_open, wal_append, wal_seal, wal_durable: chained and checksummed frames into segments that are filled with zeros, changed and
 *         recycled meanwhile
 *   raw   writes of the same size and number under way on a ring with the same flags, registered buffer and file, O_DIRECT and
 *         RWF_DSYNC, one block behind the other into a file that was filled with zeros before
 *
 * Each lane runs alone, on the calling thread. */
#ifndef BENCH_WAL_LANES_H
#define BENCH_WAL_LANES_H

#include "bench/failure.h"
#include "engine/base/histogram.h"
#include "wal/log.h"

#include <stdint.h>

struct lane_shape {
    uint32_t frame_size; /* bytes of a frame, header included; a multiple of the block size */
    uint32_t depth;
    uint32_t record_size;
    uint64_t segment_size;
    uint32_t ready_min;
    bool plain_files; /* the log's segments are not registered with the ring */
};

/* What a round came to: frames that were complete when it ended, and how long it took. */
struct lane_round {
    uint64_t frames;
    uint64_t duration_ns;
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

struct raw_lane;

/* Makes a file of file_size bytes in `directory`, filled with zeros; its name is gone again when this returns. */
MUST_USE bool raw_lane_open(struct raw_lane **lane, const char *directory, uint64_t file_size, struct failure *failure);
/* Sets size and depth, and forgets the latencies so far. */
MUST_USE bool raw_lane_shape(struct raw_lane *lane, const struct lane_shape *shape, struct failure *failure);
MUST_USE bool raw_lane_run(struct raw_lane *lane, uint64_t duration_ns, struct lane_round *round,
                           struct failure *failure);
const struct histogram *raw_lane_latency(const struct raw_lane *lane);
void raw_lane_close(struct raw_lane *lane);

#endif
