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

/* Whether the segment is there that a log begins with. 0 or a negated errno. */
MUST_USE int log_segment_1_look(struct io *io, const char *directory, bool *there);

/* With segment 1 there, its beginning; else behind the oldest snapshot whose header verifies. 0 or a negated errno. */
MUST_USE int log_start_find(struct io *io, const struct wal_source *source, struct log_start *start);

#endif
