/* Bare durable writes on a ring like the log's: what the log and the server are compared with.
 *
 * A ring with the flags of wal/io_uring.c, a registered buffer and file, O_DIRECT and RWF_DSYNC, one write behind the other into a file that
 * was filled with zeros before, round and round. All on the calling thread. */
#ifndef BENCH_RAW_LANE_H
#define BENCH_RAW_LANE_H

#include "bench/failure.h"
#include "engine/base/histogram.h"

#include <stdint.h>

#define RAW_DEPTH_MAX 8

/* What a round came to: writes that were complete when it ended, and how long it took. */
struct lane_round {
    uint64_t frames;
    uint64_t duration_ns;
};

struct raw_lane;

/* Makes a file of file_size bytes in `directory`, filled with zeros; its name is gone again when this returns. False with *failure filled
 * in; raw_lane_close then, too. */
MUST_USE bool raw_lane_open(struct raw_lane **lane, const char *directory, uint64_t file_size, struct failure *failure);
/* From now on writes of size_bytes, a multiple of 4 KiB, `depth` at a time (1..RAW_DEPTH_MAX); forgets the latencies so far. */
MUST_USE bool raw_lane_shape(struct raw_lane *lane, uint32_t size_bytes, uint32_t depth, struct failure *failure);
/* Writes for duration_ns, then waits for the last. */
MUST_USE bool raw_lane_run(struct raw_lane *lane, uint64_t duration_ns, struct lane_round *round,
                           struct failure *failure);
const struct histogram *raw_lane_latency(const struct raw_lane *lane);
/* NULL is nothing. */
void raw_lane_close(struct raw_lane *lane);

#endif
