/* The shard's write-ahead log while it is being written: open frame, frames in flight, durable frames in order.
 *
 * Happy path, all on the shard's thread:
 *   1. wal_append copies a record into the open frame and gives it its LSN.
 *   2. wal_seal, when wal_may_seal says a slot is free, stamps time, index, chain and checksums, and submits one durable write.
 *   3. The write completes; wal_durable hands frames out strictly in index order, whatever order the disk finished them in.
 *   4. The shard applies the frame's records where they lie, answers them, and wal_release gives the buffer back.
 * Failures: any error or short write sets wal_error for good: no frame is handed out any more, the process is to stop and recover from
 * the disk (a failed sync is never retried: Rebello et al., "Can Applications Recover from fsync Failures?", ATC'20).
 *
 * Invariant: durable_index <= submitted index <= durable_index + depth_max; LSNs and indexes have no gap. */
#ifndef WAL_LOG_H
#define WAL_LOG_H

#include "engine/base/histogram.h"
#include "wal/format.h"
#include "wal/io.h"

struct wal;

struct wal_options {
    const char *directory; /* the shard's own: DIR/shard-NNN */
    uint8_t uuid[16];
    uint32_t shard;
    uint32_t shards_count;
    uint64_t segment_size;
    uint32_t frame_size_max; /* padded bytes; at most WAL_FRAME_SIZE_MAX */
    uint32_t depth_max;      /* frames in flight, 1..WAL_DEPTH_MAX */
    uint32_t ready_min;      /* zero-filled segments kept ahead, at least 2 */
    uint32_t spare_max;      /* retired segments kept as material for ready ones, at most 16 */
    struct iovec guest; /* memory of the caller's that is registered along with the log's buffers; length 0: none */
};
#define WAL_DEPTH_MAX 8

/* Where the log goes on: behind the last good frame. All zero but next_* = 1 for a new shard. */
struct wal_position {
    uint64_t next_index;
    uint64_t next_lsn;
    uint64_t last_time_ns;
    uint64_t next_segment_sequence; /* above every one ever seen on disk */
    struct hash128 previous_hash;
    uint64_t retired_below; /* segments with smaller numbers are not needed any more; 0: all are */
};

/* The number under which the guest is registered: the io takes one set of buffers, and the log brings it. */
uint32_t wal_guest_buffer(const struct wal_options *options);

/* Bytes that a log of these options allocates; part of the server's memory bound. */
size_t wal_memory_size(const struct wal_options *options);

/* How many buffers wal_open registers with the io: io_options.fixed_buffers_count is at least this. */
uint32_t wal_buffers_count(const struct wal_options *options);

/* How many files the log keeps registered at a time, at most: io_options.fixed_files_max is this. With fewer it works as well. */
#define WAL_FILES_MAX (WAL_DEPTH_MAX + 2)

/* Opens the log for writing in a fresh segment at `position`; the first segment is prepared before it returns. A new shard (a position
 * whose next_segment_sequence is 1) goes on in the segment 1 that creating the directory made. `io` has been adopted. Frames are at most
 * what a segment holds, whatever frame_size_max says.
 * 0 or a negated errno (-ENOSPC, -EINVAL where O_DIRECT is missing, ...), with *why set (static storage). */
MUST_USE int wal_open(struct io *io, const struct wal_options *options, const struct wal_position *position,
                      struct wal **wal, const char **why);
/* Runs the io until no write of this log is in flight, then frees it. Frames that were not handed out are given up. */
void wal_close(struct wal *wal);

/* Starts what is due in the background (segments to zero-fill, the change to the next one); call once a turn of the loop. */
void wal_tend(struct wal *wal);

/* Segments whose number is below `sequence` are needed no more: no snapshot that is kept starts in one, and nobody is to read them. From
 * now on wal_tend recycles or deletes them at its own pace, oldest first, so that what is on the disk follows each other without a
 * gap whenever the process ends. Segments of frames that are not durable yet wait until they are. Never goes back. Requires
 * sequence <= wal_state.segment_sequence. Call it before or after any other call here, but from the shard's thread. */
void wal_retire_below(struct wal *wal, uint64_t sequence);

/* When wal_tend wants to be called even if nothing completes before: io_now_ns() time, NEVER_NS if no such call is needed. */
uint64_t wal_tend_due_ns(const struct wal *wal);

/* True while a write or sync of this log is under way, or wal_tend still has something to do: a log at rest has made everything ready. */
bool wal_is_busy(const struct wal *wal);

/* True if a record of size_bytes can be appended now: the open frame then has a place on the disk that is there already, so
 * that a disk that runs full leaves no record waiting. */
bool wal_has_room(const struct wal *wal, uint32_t size_bytes);
/* Copies a record into the open frame; returns its LSN. Requires wal_has_room. */
uint64_t wal_append(struct wal *wal, const struct record_header *record);

/* True if the open frame could be submitted now: a slot of the current depth is free and there is segment space. */
bool wal_may_seal(const struct wal *wal);
/* Seals and submits the open frame, empty or not; its time is time_ns, at least the last frame's. A frame without records is a
 * NOOP, one that starts with a CONFIG record (config == true) a CONFIG frame. Requires wal_may_seal. */
void wal_seal(struct wal *wal, uint64_t time_ns, uint32_t engine_level, bool config);

/* The next frame begins an epoch: its first record gets `lsn`, a multiple of WAL_EPOCH_LSNS that is not below the next LSN, and it says
 * so to its readers. Requires an open frame without records; the frame must get some. */
void wal_begin_epoch(struct wal *wal, uint64_t lsn);

/* The next durable frame in order, or NULL. Stays the same until wal_release. */
const struct wal_frame_header *wal_durable(struct wal *wal);
void wal_release(struct wal *wal);

int wal_error(const struct wal *wal); /* 0, or the negated errno that ended this log */

enum wal_space {
    WAL_SPACE_AMPLE, /* ready segments as wanted */
    WAL_SPACE_LOW, /* fewer than two ready segments, and making one fails for lack of space: only what finishes or frees something */
    WAL_SPACE_CRITICAL, /* the same, and less than a quarter segment left in all: only ticks */
    WAL_SPACE_NONE,     /* the same, and the open frame fits nowhere: nothing can be written */
};
enum wal_space wal_space(const struct wal *wal);

/* How far the log is; the counters are since wal_open. */
struct wal_state {
    uint64_t next_lsn;      /* of the next record appended */
    uint64_t next_index;    /* of the next frame sealed */
    uint64_t durable_index; /* every frame up to it is complete */
    uint64_t last_time_ns;  /* of the last frame sealed */
    uint64_t segment_sequence;
    uint32_t open_records;  /* in the open frame */
    uint32_t in_flight;     /* frames submitted and not yet released */
    uint32_t depth;         /* how many may be in flight now */
    uint32_t depth_highest; /* the most that were on their way to the disk at once */
    bool
        evidence_missing; /* the newest data frame's durability is not yet recorded by a later frame: a NOOP is due when idle */
    uint64_t frames;
    uint64_t records;
    uint64_t bytes;
    uint64_t padding_bytes;
    uint64_t stalls; /* times the segment was full and no other was ready */
    uint64_t segments_recycled;
    uint64_t segments_deleted;
};
struct wal_state wal_state_of(const struct wal *wal);

/* How long frames took since wal_open, in ns: from being handed to the io until this thread saw them complete. Lives as long as the log. */
const struct histogram *wal_write_latency(const struct wal *wal);

#endif
