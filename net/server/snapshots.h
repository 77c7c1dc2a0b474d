/* When a shard takes snapshots, and how fast: after so much log, when it is asked to, and at the end.
 *
 * A snapshot begins between two frames and holds the engine's state fast from there on (engine/capture.h); its pages go to the disk through the
 * shard's own ring, in the pauses of the log as it were (wal/snapshot_writer.h). While more than half of the room for copies is taken it is
 * written as fast as it goes; where none is left for another record, frames wait to be applied, and with them those who sent them.
 * A snapshot that fails costs nothing but the next one: the older ones and the log behind them stay. */
#ifndef NET_SERVER_SNAPSHOTS_H
#define NET_SERVER_SNAPSHOTS_H

#include "net/server/log_history.h"
#include "wal/snapshot_writer.h"

struct shard;
struct snapshot_request;
struct snapshot_result;
struct status_result;
struct engine_limits;

struct shard_snapshots {
    struct wal_snapshot_writer *writer;
    char directory[512];      /* the shard's, absolute */
    uint8_t *buffer;          /* that the writer writes from */
    struct wal_start applied; /* behind the last frame that the engine has applied */
    struct wal_place newest;  /* where the log goes on behind the newest snapshot */
    struct wal_place taking;  /* and behind the one being taken */
    uint64_t taking_time_ns;  /* log time there */
    bool given_up;            /* on purpose: that is no failure to tell of */
    bool running;             /* the writer is at it, or its end was not looked at */
    bool wanted;              /* one was asked for */
    uint64_t wanted_lsn;      /* that it shall contain */
    uint64_t not_before_ns;   /* after a failure */
    uint64_t keep_until_ns;   /* somebody copies the files: only what was asked for is taken, nothing is given up */
    uint64_t oldest_segment;  /* that is needed, to be told to the log once nobody copies any more; 0: it was */
    struct log_history history;
    uint64_t next_progress_ns; /* at the end of the server */
};

/* Looks at the snapshots there are, once the engine's final limits are known; *guest is the memory that the log is to register. 0 or a negated
 * errno. */
MUST_USE int snapshots_open(struct shard *shard, const struct engine_limits *limits, const char *directory,
                            struct iovec *guest);
void snapshots_close(struct shard *shard);

/* A frame was applied whole. */
void snapshots_note(struct shard *shard, const struct wal_frame_header *frame);

/* Begins, goes on with, or ends a snapshot; once a turn, behind shard_apply. */
void snapshots_tend(struct shard *shard);
/* When it is due without an io completing before: io_now_ns() time, 0 for at once, NEVER_NS. */
uint64_t snapshots_due_ns(const struct shard *shard);

/* Answers SNAPSHOT, and remembers what it asks for. The header is filled in. */
void snapshots_answer(struct shard *shard, const struct snapshot_request *request, struct snapshot_result *result);
/* The fields of STATUS that are about snapshots. */
void snapshots_status(const struct shard *shard, struct status_result *result);

/* Gives a running snapshot up, as the end comes. */
void snapshots_give_up(struct shard *shard);

/* The last act: a snapshot of what there is at the end, so that the next start need not replay anything. 0, or a negated errno if the ring is
 * lost; a snapshot that fails is no failure. */
MUST_USE int snapshots_finish(struct shard *shard);

#endif
