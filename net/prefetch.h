/* Warms the cache for the records of a frame ahead of applying them: three pointers into the frame, one a stage, each running a fixed distance
 * ahead of the next. */
#ifndef NET_PREFETCH_H
#define NET_PREFETCH_H

#include "engine/engine.h"
#include "wal/format.h"

/* How far each stage runs ahead of the next, and the last of the record being applied: long enough for a miss to memory, short enough for
 * what was fetched to stay in the first level of the cache. */
#define PREFETCH_DISTANCE 8

struct prefetch {
    const struct wal_frame_header *frame;
    const struct record_header *ahead[ENGINE_PREFETCH_STAGES]; /* NULL: through */
};

/* Starts on a frame that wal_frame_check has passed and whose records have all passed record_check. */
void prefetch_begin(struct prefetch *prefetch, const struct engine *engine, const struct wal_frame_header *frame);

/* To be called once for each record, before it is applied; `engine` may have moved in the meantime. */
void prefetch_step(struct prefetch *prefetch, const struct engine *engine);

#endif
