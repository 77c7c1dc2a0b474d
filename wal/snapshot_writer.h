/* Writing snapshots of one shard through its ring, beside the log and slowly enough not to disturb it.
 *
 * Happy path, all on the shard's thread, at most one change of the directory a turn:
 *   1. wal_snapshot_begin; wal_snapshot_tend creates INDEX.snapshot.tmp.
 *   2. For each chunk that the source names, in any order: its bytes are copied, hashed and written at the chunk's place. One write at a
 *      time, as fast as the rate says; without a rate, up to WAL_SNAPSHOT_WRITES_MAX at once.
 *   3. The chunk table, then block 0, then fsync: only now does the file verify.
 *   4. Rename to INDEX.snapshot, fsync of the directory: it is a snapshot, durably.
 *   5. The manifest: tmp, fsync, rename, fsync of the directory. DONE: the newest two are kept, and wal_snapshot_state.oldest_segment
 *      says which segments may go (wal_retire_below).
 *   6. Snapshots below the older one kept are deleted, through the ring and one at a time, since the kernel takes seconds for gigabytes.
 *      They only cost space, so failing here is no failure; and the next snapshot may begin meanwhile.
 * Failures: any error, a short write or wal_snapshot_abandon up to 5. ends it: once what is in flight has come back, both names of the file
 * are unlinked and the state is FAILED. The older snapshots and the manifest are as they were, and nothing was said that would let
 * a segment go. The log goes on: a snapshot that fails costs nothing but the next one. If the process ends meanwhile, the tmp is left
 * over and goes with the next wal_snapshot_writer_init, or the snapshot is complete and merely not in the manifest.
 *
 * Invariant: what the manifest names is durable and complete, and so is the log from its oldest_segment on. */
#ifndef WAL_SNAPSHOT_WRITER_H
#define WAL_SNAPSHOT_WRITER_H

#include "wal/io.h"
#include "wal/snapshot_format.h"

#define WAL_SNAPSHOT_WRITES_MAX 4
/* Of the caller's memory in a registered buffer that the writer writes from. */
#define WAL_SNAPSHOT_BUFFER_SIZE (WAL_SNAPSHOT_WRITES_MAX * WAL_SNAPSHOT_CHUNK_SIZE)

struct wal_snapshot_writer;

struct wal_snapshot_writer_options {
    struct wal_snapshot_place place;
    uint64_t data_size_max; /* of any snapshot: 16 bytes a chunk are allocated */
    uint32_t buffer;        /* the registered buffer that holds `bytes` */
    uint8_t *bytes;         /* WAL_SNAPSHOT_BUFFER_SIZE, aligned to a block; lives as long as the writer */
    /* The snapshot that recovery began with; 0: none, it read the whole log. Newer ones were found damaged and are not relied on. */
    uint64_t trusted_index;
    /* Older snapshots that are to stay beside the two that the manifest names, for whoever replays to a point in the past; NULL: none are. Asked
     * again after each snapshot. */
    bool (*keeps)(void *context, uint64_t index);
    void *keeps_context;
};

/* Where the pages come from. Called from within wal_snapshot_tend only, and no more after wal_snapshot_abandon or a failure. */
struct wal_snapshot_source {
    void *context;
    /* Which chunk next: *chunk set, each exactly once, in any order; false: all were handed out. */
    bool (*next)(void *context, uint64_t *chunk);
    /* Right behind `next`: copies the chunk's bytes (WAL_SNAPSHOT_CHUNK_SIZE, fewer for the last) out. Then the source may
     * give back what it kept for it. */
    void (*fill)(void *context, uint64_t chunk, void *bytes, size_t size_bytes);
};

/* Bytes that a writer allocates; part of the server's memory bound. */
size_t wal_snapshot_writer_memory_size(uint64_t data_size_max);

/* At start, before the log is served: deletes left-over tmp files, and finds the snapshots that are kept. Blocks a little: it lists
 * and reads a block of each. 0 or a negated errno. wal_snapshot_begin and the rest want an adopted io with the buffer registered. */
MUST_USE int wal_snapshot_writer_init(struct io *io, const struct wal_snapshot_writer_options *options,
                                      struct wal_snapshot_writer **writer);
/* Abandons what is running, runs the io until nothing of it is in flight, clears up and frees. NULL is fine. */
void wal_snapshot_writer_free(struct wal_snapshot_writer *writer);

/* Begins a snapshot. Of `what` counts: index, next_lsn, time_ns, previous_hash, segment_sequence, segment_offset, engine_level,
 * data_size; the writer fills in the rest. Head and header are copied. Requires that none is running, that frame `index` is durable,
 * above the newest snapshot's, data_size > 0 and <= data_size_max, head_size <= WAL_SNAPSHOT_HEAD_SIZE_MAX. */
void wal_snapshot_begin(struct wal_snapshot_writer *writer, const struct wal_snapshot_header *what, const void *head,
                        uint32_t head_size, const struct wal_snapshot_source *source);

/* Starts what is due; call it each turn of the loop, with io_now_ns(). Copies and hashes at most WAL_SNAPSHOT_WRITES_MAX chunks. */
void wal_snapshot_tend(struct wal_snapshot_writer *writer, uint64_t now_ns);
/* When wal_snapshot_tend is due without an io completing before: 0 for at once, NEVER_NS if nothing is. */
uint64_t wal_snapshot_due_ns(const struct wal_snapshot_writer *writer);

/* From now on: bytes of pages a second; 0: as fast as it goes. A writer begins with 0. */
void wal_snapshot_rate_set(struct wal_snapshot_writer *writer, uint64_t bytes_per_second);

/* Gives the running snapshot up, if any. The source is not called again. It is over (FAILED, -ECANCELED) when the state says
 * so: wal_snapshot_tend goes on being called. One whose manifest is durable and only lacks its name is finished
 * instead (DONE), in a few turns. */
void wal_snapshot_abandon(struct wal_snapshot_writer *writer);

enum wal_snapshot_status {
    WAL_SNAPSHOT_NONE, /* none was begun */
    WAL_SNAPSHOT_RUNNING,
    WAL_SNAPSHOT_DONE,
    WAL_SNAPSHOT_FAILED,
};

struct wal_snapshot_state {
    enum wal_snapshot_status status; /* of the last that was begun */
    bool chunks_taken;               /* its source is not called any more: all its chunks were copied, or it is over */
    uint64_t index;                  /* of it */
    uint64_t bytes_written;          /* of bytes_total, of the whole file */
    uint64_t bytes_total;
    uint64_t began_ns; /* io_now_ns time */
    uint64_t ended_ns; /* 0 while it runs */
    int error;         /* FAILED: a negated errno; -ECANCELED: abandoned */
    const char *doing; /* FAILED: what failed, to go on "the snapshot failed while "; static storage */
    uint32_t kept;     /* snapshots to rely on, 0..WAL_SNAPSHOTS_KEPT */
    uint64_t kept_indexes[WAL_SNAPSHOTS_KEPT]; /* newest first */
    uint64_t newest_lsn;                       /* the newest one's last record; 0: none */
    uint64_t newest_created_wall_ns;           /* 0: none */
    uint64_t newest_file_size;
    /* Segments below it are needed by no snapshot that is kept; 0: all are. What wal_retire_below wants. */
    uint64_t oldest_segment;
    bool deleting;       /* a file is being deleted: wal_snapshot_writer_free would wait for it */
    uint64_t done_count; /* since init */
    uint64_t failed_count;
};
struct wal_snapshot_state wal_snapshot_state_of(const struct wal_snapshot_writer *writer);

#endif
