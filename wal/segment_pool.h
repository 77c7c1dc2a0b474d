/* Segments made ready ahead of need, so that a full segment never waits for one.
 *
 * A segment is written full of zeros before its first use: fallocate alone would leave unwritten extents, and each frame's write would
 * then pay for a metadata update. Steps, one io at a time, none of which blocks but the last (rare, and a millisecond):
 *
 *   IDLE --create .tmp--> WRITE_DUE --> WRITING --> (all zeros written) SYNC_DUE --> SYNCING --> RENAME_DUE --.ready--> IDLE
 *
 * A retired segment, one that nobody needs any more, is the cheaper material: its blocks are there, so making it ready allocates nothing
 * and works on a full disk. Instead of creating a file, the oldest retired one is renamed to the new number's .tmp, and that is made
 * durable before the first zero is written: no crash shows zeros under the old name. What is retired beyond spare_max is deleted.
 *
 * Zeros are written at the pace at which the log needs them, in small pieces, because each piece is in the way of the frames beside it: a
 * segment is to be full of zeros by the time the log has but one whole segment left. While the log rests, and when it has less than that,
 * as fast as it goes.
 *
 * No space at any step is no error: what is written stays, and the step is tried again a second later. Any other failure is one, and
 * ends the log: a disk that fails while it writes zeros is not one to trust with frames.
 *
 * Invariant: ready[] is sorted, each of its files is durable and full of zeros, and no frame was ever written under its number; their
 * numbers are above every segment in use. Retired segments leave the directory oldest first, each durably before the next, so that
 * after a crash the others still follow each other without a gap. */
#ifndef WAL_SEGMENT_POOL_H
#define WAL_SEGMENT_POOL_H

#include "wal/segment_file.h"

#define WAL_READY_MAX 16
#define WAL_SPARE_MAX 16
#define WAL_RETIRED_MAX 64 /* known at a time; there may be more */
#define WAL_SPACE_RETRY_NS NS_PER_SECOND
#define WAL_DELETE_PAUSE_NS (20 * NS_PER_MS) /* between deletions: each blocks for a directory sync */
#define WAL_REST_NS (2 * NS_PER_MS)          /* so long without a frame, and the log counts as resting */
#define WAL_PACED_FILL_SIZE (64 * KIB)       /* zeros written at a time while it does not */

static_assert(WAL_SPARE_MAX < WAL_RETIRED_MAX, "the spare ones are among those that are known");

/* How the log stands when the pool is tended. */
struct segment_pool_need {
    uint64_t left_bytes; /* that it can still write into segments which it has taken from the pool */
    uint64_t frame_ns;   /* when it last submitted a frame; 0: never */
};

enum segment_pool_state {
    SEGMENT_POOL_IDLE,
    SEGMENT_POOL_WRITE_DUE,
    SEGMENT_POOL_WRITING,
    SEGMENT_POOL_SYNC_DUE,
    SEGMENT_POOL_SYNCING,
    SEGMENT_POOL_RENAME_DUE,
};

struct segment_pool {
    struct io *io;
    const char *directory; /* borrowed from the log */
    uint64_t segment_size;
    uint32_t ready_min;
    uint32_t spare_max;   /* retired segments that are kept as material; at most WAL_SPARE_MAX */
    const uint8_t *zeros; /* WAL_FILL_SIZE aligned zero bytes in registered buffer `buffer` */
    uint32_t buffer;

    uint64_t next_sequence; /* of the next segment to make */
    uint64_t ready[WAL_READY_MAX];
    uint32_t ready_count;

    enum segment_pool_state state;
    struct io_request request;
    int file;             /* being filled; -1 while IDLE */
    uint64_t sequence;    /* of that file */
    uint64_t filled_size; /* zeros written so far */
    bool recycled;        /* it was a segment before: it has all its blocks */
    uint64_t begin_left;  /* what the log had left, ready segments included, when its filling began */

    struct segment_pool_need need; /* as of the last segment_pool_tend */

    uint64_t retired_below;            /* segments with smaller numbers are retired */
    uint64_t retired[WAL_RETIRED_MAX]; /* the oldest of them, sorted */
    uint32_t retired_count;
    bool look_due;           /* there may be more of them than retired[] says */
    uint64_t delete_ns;      /* the next deletion is not due before */
    uint64_t recycled_count; /* since segment_pool_open */
    uint64_t deleted_count;

    uint64_t retry_ns; /* no space: nothing is tried before; 0: there was space */
    bool blocked;      /* until retry_ns: not even the name of a ready segment could be changed */
    int error;         /* 0, or the negated errno that ends the log */
};

/* Finds what earlier runs left in the directory: takes over .ready files of the right size numbered from first_sequence on, deletes
 * all other .ready and .tmp files. The other fields are set. 0 or a negated errno. */
MUST_USE int segment_pool_open(struct segment_pool *pool, uint64_t first_sequence);

/* Segments numbered below `sequence` are no longer needed by anybody, and none of them is open. Never goes back: a smaller number than the
 * last changes nothing. segment_pool_tend recycles or deletes them. */
void segment_pool_retire_below(struct segment_pool *pool, uint64_t sequence);

/* Starts the next step, if one is due: keeps ready_min segments ready, and at most spare_max retired ones. At most one call that
 * changes the directory, and one io, a turn. */
void segment_pool_tend(struct segment_pool *pool, const struct segment_pool_need *need);

/* When segment_pool_tend is due without an io completing before: 0 for at once, NEVER_NS if nothing is. */
uint64_t segment_pool_due_ns(const struct segment_pool *pool);

/* True for the errors that mean a full disk. */
bool segment_pool_is_no_space(int error);

/* True from a failure for lack of space until a segment was made after all. */
bool segment_pool_lacks_space(const struct segment_pool *pool);

/* How many segments segment_pool_take could bring into use now. */
uint32_t segment_pool_ready_count(const struct segment_pool *pool);

/* True while an io of the pool is in flight. */
bool segment_pool_is_busy(const struct segment_pool *pool);

/* Brings one segment into use under its final name, durably: a ready one, else (may_make) one made on the spot, which blocks. Returns
 * its file, opened DIRECT for writing, and its sequence; -ENOENT if none is ready; or a negated errno. A directory needs space too for
 * a file's new name: where that is missing (-ENOSPC, -EDQUOT), the segment stays ready, and is blocked for a while. */
MUST_USE int segment_pool_take(struct segment_pool *pool, bool may_make, uint64_t *sequence);

/* Requires that the pool is not busy. */
void segment_pool_close(struct segment_pool *pool);

#endif
