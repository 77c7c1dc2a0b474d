/* Discarding a torn tail: what a crash left behind the last good frame is first saved aside, then cleared.
 *
 * Order: 1. every segment's dropped bytes go to a file of their own: tmp, fsync, rename, directory fsync. 2. The segments are
 * cleared, the last one first, each synced before the next. Why a crash anywhere in it does no harm: the tail holds no frame that
 * proves an acknowledgement (that is what makes it a torn tail), and clearing only takes frames away. So whatever part of it is
 * left is a torn tail or nothing; never damage. A saved file that is there already was complete before the first byte was cleared,
 * so it is kept and not written anew from what is left. */
#include "wal/recovery.h"

#include "wal/reader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct discard {
    struct wal_reader reader;
    const struct wal_source *source;
    struct wal_place end; /* behind the last good frame */
    struct wal_segments segments;
};

struct extent {
    uint64_t begin;
    uint64_t end; /* 0: nothing there */
};

/* A later segment goes as a whole, header included; the one with the last good frame from behind that frame on. */
static uint64_t segment_begin(const struct discard *discard, uint64_t sequence)
{
    return sequence == discard->end.segment_sequence ? discard->end.offset : 0;
}

/* Opens a segment and finds the extent of its dropped bytes that are not zero. */
static int extent_find(struct discard *discard, uint64_t sequence, struct extent *extent)
{
    *extent = (struct extent){ 0, 0 };
    int rc = wal_reader_open(&discard->reader, sequence);
    if (rc != 0)
        return rc;
    uint64_t offset = segment_begin(discard, sequence);
    for (; offset < discard->reader.size_bytes; offset += WAL_BLOCK_SIZE) {
        const uint8_t *block = NULL;
        ssize_t got = wal_reader_window(&discard->reader, offset, WAL_BLOCK_SIZE, &block);
        if (got < 0)
            return (int)got;
        if (wal_bytes_are_zero(block, (size_t)got))
            continue;
        if (extent->end == 0)
            extent->begin = offset;
        extent->end = offset + (uint64_t)got;
    }
    return 0;
}

/* ---- Saving ---------------------------------------------------------------------------------------------------------------- */

static int saved_path(const struct discard *discard, uint64_t sequence, const char *suffix,
                      char path[WAL_FILE_PATH_SIZE])
{
    int length = snprintf(path, WAL_FILE_PATH_SIZE, "%s/torn-%016" PRIx64 "-%08" PRIx64 ".bin%s",
                          discard->source->directory, sequence, segment_begin(discard, sequence), suffix);
    return length > 0 && length < WAL_FILE_PATH_SIZE ? 0 : -ENAMETOOLONG;
}

static int extent_copy(struct discard *discard, const struct extent *extent, int to)
{
    uint64_t begin = segment_begin(discard, discard->reader.sequence);
    for (uint64_t offset = extent->begin; offset < extent->end; offset += WAL_BLOCK_SIZE) {
        const uint8_t *block = NULL;
        ssize_t got = wal_reader_window(&discard->reader, offset, WAL_BLOCK_SIZE, &block);
        if (got < 0)
            return (int)got;
        int rc = io_write_at(discard->reader.io, to, block, (size_t)got, offset - begin);
        if (rc != 0)
            return rc;
    }
    return io_sync_file(discard->reader.io, to);
}

static bool is_there(struct io *io, const char *path)
{
    int file = io_open(io, path, IO_OPEN_READ);
    if (file >= 0)
        io_close(io, file);
    return file >= 0;
}

static int extent_save(struct discard *discard, uint64_t sequence, const struct extent *extent)
{
    struct io *io = discard->reader.io;
    char path[WAL_FILE_PATH_SIZE];
    char tmp[WAL_FILE_PATH_SIZE];
    int rc = saved_path(discard, sequence, "", path);
    if (rc == 0)
        rc = saved_path(discard, sequence, ".tmp", tmp);
    if (rc != 0 || is_there(io, path))
        return rc;
    rc = io_unlink(io, tmp);
    if (rc != 0 && rc != -ENOENT)
        return rc;
    int file = io_open(io, tmp, IO_OPEN_WRITE | IO_OPEN_CREATE);
    if (file < 0)
        return file;
    rc = extent_copy(discard, extent, file);
    io_close(io, file);
    if (rc == 0)
        rc = io_rename(io, tmp, path);
    return rc;
}

/* ---- Clearing -------------------------------------------------------------------------------------------------------------- */

static int extent_clear(struct discard *discard, const struct extent *extent)
{
    struct io *io = discard->reader.io;
    int file = io_open(io, discard->reader.path, IO_OPEN_WRITE);
    if (file < 0)
        return file;
    memset(discard->reader.window, 0, WAL_FILL_SIZE);
    int rc = 0;
    for (uint64_t offset = extent->begin; rc == 0 && offset < extent->end; offset += WAL_FILL_SIZE) {
        uint64_t left = extent->end - offset;
        rc = io_write_at(io, file, discard->reader.window, left < WAL_FILL_SIZE ? left : WAL_FILL_SIZE, offset);
    }
    if (rc == 0)
        rc = io_sync_file(io, file);
    io_close(io, file);
    return rc;
}

enum discard_step { STEP_SAVE, STEP_CLEAR };

/* The last segment first. */
static int segments_walk(struct discard *discard, enum discard_step step)
{
    for (size_t i = discard->segments.count; i-- > 0;) {
        uint64_t sequence = discard->segments.sequences[i];
        if (sequence < discard->end.segment_sequence)
            break;
        struct extent extent;
        int rc = extent_find(discard, sequence, &extent);
        if (rc == 0 && extent.end > 0)
            rc = step == STEP_SAVE ? extent_save(discard, sequence, &extent) : extent_clear(discard, &extent);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int wal_discard_tail(struct io *io, const struct wal_source *source, const struct wal_report *report)
{
    REQUIRE(report->verdict == WAL_TORN_TAIL);
    REQUIRE(report->tail_segment_sequence > 0 && report->tail_offset >= WAL_SEGMENT_DATA_OFFSET);
    struct discard discard = {
        .source = source,
        .end = { .segment_sequence = report->tail_segment_sequence, .offset = report->tail_offset },
    };
    int rc = wal_reader_init(&discard.reader, io, source->directory, source->uuid, source->shard);
    if (rc == 0)
        rc = wal_segments_list(io, source->directory, &discard.segments);
    if (rc == 0)
        rc = segments_walk(&discard, STEP_SAVE);
    if (rc == 0)
        rc = io_sync_directory(io, source->directory);
    if (rc == 0)
        rc = segments_walk(&discard, STEP_CLEAR);
    wal_reader_free(&discard.reader);
    wal_segments_free(&discard.segments);
    return rc;
}

/* ---- Ending a log somewhere else ------------------------------------------------------------------------------------------- */

static int segment_remove(struct discard *discard, uint64_t sequence)
{
    char path[WAL_FILE_PATH_SIZE];
    int rc = wal_file_path(path, discard->source->directory, sequence, WAL_SUFFIX_SEGMENT);
    if (rc == 0)
        rc = io_unlink(discard->reader.io, path);
    return rc == 0 ? io_sync_directory(discard->reader.io, discard->source->directory) : rc;
}

/* What is left after a crash in between is never a log with a hole: the last goes first. */
static int segments_end(struct discard *discard)
{
    for (size_t i = discard->segments.count; i-- > 0;) {
        uint64_t sequence = discard->segments.sequences[i];
        if (sequence <= discard->end.segment_sequence)
            break;
        int rc = segment_remove(discard, sequence);
        if (rc != 0)
            return rc;
    }
    struct extent extent;
    int rc = extent_find(discard, discard->end.segment_sequence, &extent);
    return rc == 0 && extent.end > 0 ? extent_clear(discard, &extent) : rc;
}

int wal_end_at(struct io *io, const struct wal_source *source, struct wal_place place)
{
    REQUIRE(place.segment_sequence > 0);
    REQUIRE(place.offset >= WAL_SEGMENT_DATA_OFFSET && place.offset % WAL_BLOCK_SIZE == 0);
    struct discard discard = { .source = source, .end = place };
    int rc = wal_reader_init(&discard.reader, io, source->directory, source->uuid, source->shard);
    if (rc == 0)
        rc = wal_segments_list(io, source->directory, &discard.segments);
    if (rc == 0)
        rc = segments_end(&discard);
    wal_reader_free(&discard.reader);
    wal_segments_free(&discard.segments);
    return rc;
}
