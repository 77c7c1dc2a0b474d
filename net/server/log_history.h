/* --keep-log: how much of the past can be replayed, and which snapshots and segments that takes.
 *
 * To replay to any point within the last so many bytes, or so much log time, there has to be a snapshot from before the first of these points,
 * and all of the log behind it. That snapshot is the base; what is older is of no use. Between the base and the newest
 * two some more are kept, an eighth of the span apart at least, so that the base can move on without all of it being needed twice.
 *
 * Pure: no disk, no clock. Entries are sorted by index. */
#ifndef NET_SERVER_LOG_HISTORY_H
#define NET_SERVER_LOG_HISTORY_H

#include "wal/recovery.h"

#define LOG_HISTORY_MAX 32

struct log_history_entry {
    uint64_t index; /* of the snapshot's last frame */
    uint64_t time_ns;
    struct wal_place place; /* where the log goes on behind it */
};

struct log_history {
    uint64_t keep_bytes; /* either or neither is set; neither: nothing is kept beyond what recovery needs */
    uint64_t keep_ns;
    uint64_t segment_size;
    bool whole; /* the log's beginning is there: every point can be replayed to, whatever snapshots there are */
    uint32_t count;
    struct log_history_entry entries[LOG_HISTORY_MAX];
};

/* Adds a snapshot that is newer than all others; where there is no room, the one behind the oldest is forgotten. */
void log_history_add(struct log_history *history, const struct log_history_entry *entry);

/* Forgets what is not needed any more, now that the log ends at `end` and log time is time_ns. */
void log_history_prune(struct log_history *history, struct wal_place end, uint64_t time_ns);

/* True if the snapshot of this index is to stay. */
bool log_history_keeps(const struct log_history *history, uint64_t index);

/* Below which segment nothing is needed, where recovery needs nothing below `recovery_segment` (0: it needs all). 0: all are needed. */
uint64_t log_history_oldest_segment(const struct log_history *history, uint64_t recovery_segment);

#endif
