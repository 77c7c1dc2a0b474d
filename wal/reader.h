/* A window over a shard's segment files, for those who read the log: recovery, discarding, tools. Constant memory. */
#ifndef WAL_READER_H
#define WAL_READER_H

#include "wal/segment_file.h"

/* A whole frame and what is read with it at a time. */
#define WAL_WINDOW_SIZE (WAL_FRAME_SIZE_MAX + 1 * MIB)

struct wal_reader {
    struct io *io;
    const char *directory; /* borrowed */
    const uint8_t *uuid;   /* borrowed */
    uint32_t shard;
    uint8_t *window; /* WAL_WINDOW_SIZE bytes, aligned to a block */
    uint64_t window_offset;
    size_t window_bytes;
    int file; /* the open segment; -1: none */
    uint64_t sequence;
    uint64_t salt;
    uint64_t size_bytes;
    char path[WAL_FILE_PATH_SIZE];
};

/* 0 or -ENOMEM. wal_reader_free may be called either way. */
MUST_USE int wal_reader_init(struct wal_reader *reader, struct io *io, const char *directory, const uint8_t uuid[16],
                             uint32_t shard);
void wal_reader_free(struct wal_reader *reader);

/* Opens a segment in place of the one that is open, with nothing read yet. 0 or a negated errno. */
MUST_USE int wal_reader_open(struct wal_reader *reader, uint64_t sequence);

/* Makes size_bytes (at most WAL_FRAME_SIZE_MAX) from offset (a multiple of the block size) addressable at *bytes until the next call.
 * Returns how many there are: fewer at the end of the file, none behind it; or a negated errno. */
MUST_USE ssize_t wal_reader_window(struct wal_reader *reader, uint64_t offset, size_t size_bytes,
                                   const uint8_t **bytes);

/* The frame at offset under this salt: *frame, good until the next call, and *wrong == NULL; else *wrong says what is there instead
 * (static storage). 0 or a negated errno. */
MUST_USE int wal_reader_frame(struct wal_reader *reader, uint64_t offset, uint64_t salt,
                              const struct wal_frame_header **frame, const char **wrong);

bool wal_bytes_are_zero(const uint8_t *bytes, size_t size_bytes);

/* The numbers of a shard's segments, ascending. Starts all zero; listing again replaces them. */
struct wal_segments {
    uint64_t *sequences;
    size_t count;
    size_t capacity;
};
MUST_USE int wal_segments_list(struct io *io, const char *directory, struct wal_segments *segments);
void wal_segments_free(struct wal_segments *segments);

#endif
