/* Where the frames of a log that were not recycled can be read from, for whoever reads them without replaying: a rewrite that looks at
 * what it made. */
#ifndef TOOLS_INNKEEP_WAL_LOG_START_H
#define TOOLS_INNKEEP_WAL_LOG_START_H

#include "wal/recovery.h"
#include "wal/snapshot_reader.h"

struct log_start {
    bool found; /* false: the log's first frame is there, or nothing is */
    struct wal_start start;
    uint32_t engine_level; /* of the frame behind it; 0: unknown */
};

/* The lowest number of a segment that is there; 0: none is. They go in this order, lowest first. 0 or a negated errno. */
MUST_USE int log_segment_first(struct io *io, const char *directory, uint64_t *sequence);

/* With segment 1 there, its beginning; else behind the oldest snapshot whose header verifies and whose segment is there. 0 or a negated errno. */
MUST_USE int log_start_find(struct io *io, const struct wal_source *source, struct log_start *start);

#endif
