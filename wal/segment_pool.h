/* Segments made ready ahead of need, so that a full segment never waits for one.
 *
 * A segment is written full of zeros before its first use: fallocate alone would leave unwritten extents, and each frame's write would
 * then pay for a metadata update. Steps, one io at a time, none of which blocks but the last (rare, and a millisecond):
 *
 *   IDLE --create .tmp--> WRITE_DUE --> WRITING --> (all zeros written) SYNC_DUE --> SYNCING --> RENAME_DUE --.ready--> IDLE
 *
 * No space at any step is no error: what is written stays, and the step is tried again a second later. Any other failure is one, and
 * ends the log: a disk that fails while it writes zeros is not one to trust with frames.
 *
 * Invariant: ready[] is sorted, each of its files is durable, full of zeros and never held a frame; their numbers are above every
 * segment in use. */
#ifndef WAL_SEGMENT_POOL_H
#define WAL_SEGMENT_POOL_H

#include "wal/segment_file.h"

#define WAL_READY_MAX 16
#define WAL_SPACE_RETRY_NS NS_PER_SECOND

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
    uint64_t retry_ns;    /* no space: nothing is tried before; 0: there was space */
    bool blocked;         /* until retry_ns: not even the name of a ready segment could be changed */
    int error;            /* 0, or the negated errno that ends the log */
};

/* Finds what earlier runs left in the directory: takes over .ready files of the right size numbered from first_sequence on, deletes
 * all other .ready and .tmp files. The other fields are set. 0 or a negated errno. */
MUST_USE int segment_pool_open(struct segment_pool *pool, uint64_t first_sequence);

/* Starts the next step, if one is due: keeps ready_min segments ready. */
void segment_pool_tend(struct segment_pool *pool);

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
