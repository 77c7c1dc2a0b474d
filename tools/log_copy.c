#include "tools/log_copy.h"

#include "wal/reader.h"
#include "wal/segment_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PAUSE_LEAST_NS (5 * NS_PER_MS)
#define PAUSE_MOST_NS (50 * NS_PER_MS)
#define SYNCS_MAX 128
#define PIECE_SIZE (1 * MIB)
#define SUFFIX_NEW ".new"
#define SUFFIX_OLD ".old"

/* ---- Failing ------------------------------------------------------------------------------------------------------------ */

__attribute__((format(printf, 3, 4))) static int fail(struct log_copy *copy, int error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(copy->why, sizeof copy->why, format, arguments);
    va_end(arguments);
    return error;
}

static int fail_on_disk(struct log_copy *copy, int error, const char *doing, const char *path)
{
    return error == 0 ? 0 : fail(copy, error, "cannot %s %s: %s.", doing, path, strerror(-error));
}

static void say(const struct log_copy *copy, const char *sentence)
{
    if (copy->say != NULL)
        copy->say(copy->context, sentence);
}

/* ---- Pace --------------------------------------------------------------------------------------------------------------- */

/* Counts bytes that were written; waits where that was faster than it may be, and looks up now and then either way. */
static int moved(struct log_copy *copy, uint64_t size_bytes)
{
    struct log_copy_pace *pace = copy->pace;
    copy->bytes += size_bytes;
    uint64_t now_ns = io_now_ns(copy->io);
    if (pace->due_ns < now_ns)
        pace->due_ns = now_ns;
    if (pace->rate != 0)
        pace->due_ns += size_bytes * NS_PER_SECOND / pace->rate;
    int stop = copy->tend(copy->context);
    while (stop == 0 && pace->due_ns > now_ns + PAUSE_LEAST_NS) {
        uint64_t left_ns = pace->due_ns - now_ns;
        struct timespec pause = { .tv_nsec = (long)(left_ns < PAUSE_MOST_NS ? left_ns : PAUSE_MOST_NS) };
        (void)nanosleep(&pause, NULL);
        now_ns = io_now_ns(copy->io);
        stop = copy->tend(copy->context);
    }
    return stop;
}

/* ---- Files -------------------------------------------------------------------------------------------------------------- */

static int unlink_if_there(struct io *io, const char *path)
{
    int error = io_unlink(io, path);
    return error == -ENOENT ? 0 : error;
}

static int write_and_sync(struct io *io, int file, const void *bytes, size_t size_bytes, uint64_t offset)
{
    int error = io_write_at(io, file, bytes, size_bytes, offset);
    return error == 0 ? io_sync_file(io, file) : error;
}

/* A small file, by tmp, sync, rename and sync of the directory. */
static int file_put(struct io *io, const char *directory, const char *name, const void *bytes, size_t size_bytes)
{
    char path[WAL_PATH_SIZE + 64];
    char tmp[WAL_PATH_SIZE + 64];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    snprintf(tmp, sizeof tmp, "%s/%s.tmp", directory, name);
    int error = unlink_if_there(io, tmp);
    int file = error != 0 ? error : io_open(io, tmp, IO_OPEN_WRITE | IO_OPEN_CREATE);
    if (file < 0)
        return file;
    error = write_and_sync(io, file, bytes, size_bytes, 0);
    io_close(io, file);
    if (error == 0)
        error = io_rename(io, tmp, path);
    return error == 0 ? io_sync_directory(io, directory) : error;
}

struct sweep {
    struct io *io;
    const char *directory;
    bool all; /* else only what is half made */
};

static bool is_half_made(const char *name)
{
    size_t length = strlen(name);
    return length > 4 && strcmp(name + length - 4, ".tmp") == 0;
}

static int sweep_visit(void *context, const char *name)
{
    const struct sweep *sweep = context;
    char path[WAL_PATH_SIZE + 256];
    if (!sweep->all && !is_half_made(name))
        return 0;
    snprintf(path, sizeof path, "%s/%s", sweep->directory, name);
    return unlink_if_there(sweep->io, path);
}

static int half_made_remove(struct io *io, const char *directory)
{
    struct sweep sweep = { .io = io, .directory = directory };
    return io_list(io, directory, sweep_visit, &sweep);
}

/* A shard's directory with the files in it; none is fine. */
static int directory_remove(struct io *io, const char *directory)
{
    struct sweep sweep = { .io = io, .directory = directory, .all = true };
    int error = io_list(io, directory, sweep_visit, &sweep);
    if (error == 0 && rmdir(directory) != 0)
        error = -errno;
    return error == -ENOENT ? 0 : error;
}

static int directory_above_sync(struct io *io, const char *path)
{
    char above[WAL_PATH_SIZE + 64];
    snprintf(above, sizeof above, "%s", path);
    char *slash = strrchr(above, '/');
    if (slash == NULL)
        snprintf(above, sizeof above, ".");
    else
        slash[slash == above] = '\0';
    return io_sync_directory(io, above);
}

/* ---- The segment that is being written ---------------------------------------------------------------------------------- */

static int segment_sync(struct log_copy *copy)
{
    if (copy->file < 0 || copy->unsynced_index == NEVER_NS)
        return 0;
    copy->unsynced_index = NEVER_NS;
    return fail_on_disk(copy, io_sync_file(copy->io, copy->file), "sync a segment in", copy->to);
}

/* Everything written so far is durable, and a segment that was new has its name. */
static int segment_settle(struct log_copy *copy)
{
    int error = segment_sync(copy);
    if (error != 0 || copy->file < 0 || !copy->is_new)
        return error;
    copy->is_new = false;
    error = wal_file_rename(copy->io, copy->to, copy->sequence, WAL_SUFFIX_FILLING, WAL_SUFFIX_SEGMENT);
    return fail_on_disk(copy, error, "name a segment in", copy->to);
}

static void segment_close(struct log_copy *copy)
{
    if (copy->file >= 0)
        io_close(copy->io, copy->file);
    copy->file = -1;
}

/* The header's blocks as they are in the source; a copy of it that is bad there is bad here, and does as little harm. */
static int header_fetch(struct log_copy *copy, uint64_t sequence)
{
    char path[WAL_FILE_PATH_SIZE];
    int error = wal_file_path(path, copy->from, sequence, WAL_SUFFIX_SEGMENT);
    int file = error != 0 ? error : io_open(copy->io, path, IO_OPEN_READ);
    if (file == -ENOENT)
        return fail(copy, LOG_COPY_GONE, "%s was given up while it was copied.", path);
    if (file < 0)
        return fail_on_disk(copy, file, "open", path);
    ssize_t got = io_read_at(copy->io, file, copy->block, WAL_SEGMENT_DATA_OFFSET, 0);
    io_close(copy->io, file);
    if (got < 0)
        return fail_on_disk(copy, (int)got, "read", path);
    return got == WAL_SEGMENT_DATA_OFFSET ? 0
                                          : fail(copy, LOG_COPY_SOURCE_DAMAGED, "%s is shorter than its header.", path);
}

/* Header and full size, before it gets its name. */
static int segment_fill(struct log_copy *copy)
{
    static const uint8_t zeros[WAL_BLOCK_SIZE];
    uint64_t size = copy->source->header.segment_size;
    int error = io_write_at(copy->io, copy->file, copy->block, WAL_SEGMENT_DATA_OFFSET, 0);
    if (error == 0)
        error = io_write_at(copy->io, copy->file, zeros, sizeof zeros, size - sizeof zeros);
    copy->unsynced_index = 0;
    return error;
}

static int segment_begin(struct log_copy *copy, uint64_t sequence)
{
    char path[WAL_FILE_PATH_SIZE];
    int error = segment_settle(copy);
    segment_close(copy);
    if (error == 0)
        error = header_fetch(copy, sequence);
    if (error != 0)
        return error;
    error = wal_file_path(path, copy->to, sequence, WAL_SUFFIX_FILLING);
    if (error == 0)
        error = unlink_if_there(copy->io, path);
    int file = error != 0 ? error : io_open(copy->io, path, IO_OPEN_WRITE | IO_OPEN_CREATE);
    if (file < 0)
        return fail_on_disk(copy, file, "make", path);
    copy->file = file;
    copy->sequence = sequence;
    copy->is_new = true;
    error = segment_fill(copy);
    if (error != 0)
        segment_close(copy); /* half made, it never gets its name */
    return fail_on_disk(copy, error, "write", path);
}

static int segment_reopen(struct log_copy *copy, uint64_t sequence)
{
    char path[WAL_FILE_PATH_SIZE];
    int error = wal_file_path(path, copy->to, sequence, WAL_SUFFIX_SEGMENT);
    int file = error != 0 ? error : io_open(copy->io, path, IO_OPEN_WRITE);
    if (file < 0)
        return fail_on_disk(copy, file, "write", path);
    copy->file = file;
    copy->sequence = sequence;
    copy->is_new = false;
    copy->unsynced_index = NEVER_NS;
    return 0;
}

static int bytes_move(struct io *io, int from, int to, uint64_t size_bytes)
{
    uint8_t *piece = malloc(PIECE_SIZE);
    int error = piece == NULL ? -ENOMEM : 0;
    for (uint64_t offset = 0; offset < size_bytes && error == 0; offset += PIECE_SIZE) {
        uint64_t left = size_bytes - offset;
        ssize_t got = io_read_at(io, from, piece, left < PIECE_SIZE ? left : PIECE_SIZE, offset);
        error = got < 0 ? (int)got : io_write_at(io, to, piece, (size_t)got, offset);
    }
    free(piece);
    return error;
}

/* Goes on in a copy of the segment up to `upto`, which takes its place when it is durable: so many frames cost one sync instead of one each, and
 * the bytes once more. What was written and not synced is in the copy as well. */
static int segment_renew(struct log_copy *copy, uint64_t upto)
{
    char path[WAL_FILE_PATH_SIZE];
    uint64_t sequence = copy->sequence;
    segment_close(copy);
    int error = segment_begin(copy, sequence);
    if (error == 0)
        error = fail_on_disk(copy, wal_file_path(path, copy->to, sequence, WAL_SUFFIX_SEGMENT), "name", copy->to);
    if (error != 0)
        return error;
    int from = io_open(copy->io, path, IO_OPEN_READ);
    error = from < 0 ? from : bytes_move(copy->io, from, copy->file, upto);
    if (from >= 0)
        io_close(copy->io, from);
    if (error != 0)
        segment_close(copy); /* the old one stays */
    return fail_on_disk(copy, error, "write again", path);
}

/* ---- Frame by frame ----------------------------------------------------------------------------------------------------- */

static void frame_note(struct log_copy *copy, const struct wal_frame_header *frame)
{
    copy->from_beginning = false;
    copy->at_frame = true;
    copy->start = (struct wal_start){
        .position = { .next_index = frame->index, .next_lsn = frame->first_lsn, .previous_hash = frame->previous_hash },
        .place = { .segment_sequence = frame->segment_sequence,
                   .offset = (uint64_t)frame->block_number * WAL_BLOCK_SIZE },
    };
    copy->last_hash = frame->hash;
    copy->last_index = frame->index;
    copy->last_lsn = frame->first_lsn + frame->records_count - 1;
    copy->last_time_ns = frame->time_ns;
}

/* In a segment that has its name, what a frame proves durable has to be so before the frame is there. */
static int frame_write(struct log_copy *copy, const struct wal_frame_header *frame)
{
    int error = 0;
    uint64_t offset = (uint64_t)frame->block_number * WAL_BLOCK_SIZE;
    if (copy->file < 0 || frame->segment_sequence != copy->sequence)
        error = segment_begin(copy, frame->segment_sequence);
    else if (!copy->is_new && frame->durable_index >= copy->unsynced_index)
        error = copy->syncs++ < copy->syncs_max ? segment_sync(copy) : segment_renew(copy, offset);
    if (error != 0)
        return error;
    if (copy->unsynced_index == NEVER_NS)
        copy->unsynced_index = frame->index;
    error = io_write_at(copy->io, copy->file, frame, frame->frame_size, offset);
    return fail_on_disk(copy, error, "write into", copy->to);
}

static int frame_visit(void *context, const struct wal_frame_header *frame)
{
    struct log_copy *copy = context;
    if (!copy->joined) {
        if (!hash128_equal(frame->hash, copy->last_hash))
            return LOG_COPY_OTHER_HISTORY;
        copy->joined = true;
        return 0;
    }
    int error = frame_write(copy, frame);
    if (error != 0)
        return error;
    frame_note(copy, frame);
    copy->frames++;
    return moved(copy, frame->frame_size);
}

/* ---- Reading on --------------------------------------------------------------------------------------------------------- */

static struct wal_source source_of(const struct log_copy *copy, const char *directory)
{
    struct wal_source source = { .directory = directory,
                                 .start = copy->from_beginning ? NULL : &copy->start,
                                 .shard = copy->shard,
                                 .shards_count = copy->source->header.shards_count,
                                 .segment_size = copy->source->header.segment_size };
    memcpy(source.uuid, copy->source->header.uuid, sizeof source.uuid);
    return source;
}

/* The oldest segment there is; 0: none. */
static int oldest_find(struct log_copy *copy, const char *directory, uint64_t *oldest)
{
    struct wal_segments segments = { .sequences = NULL };
    int error = wal_segments_list(copy->io, directory, &segments);
    *oldest = segments.count > 0 ? segments.sequences[0] : 0;
    wal_segments_free(&segments);
    return fail_on_disk(copy, error, "list", directory);
}

/* True where the source does not have the segment any more in which the reading goes on. */
static int gone_judge(struct log_copy *copy, bool *gone)
{
    uint64_t oldest = 0;
    uint64_t needed = copy->from_beginning ? 1 : copy->start.place.segment_sequence;
    int error = oldest_find(copy, copy->from, &oldest);
    *gone = error == 0 && oldest > needed;
    return error;
}

static int gone_say(struct log_copy *copy)
{
    return fail(copy, LOG_COPY_GONE,
                "shard %" PRIu32 ": %s has given up the segments behind frame %" PRIu64
                ", which the copy has not read.",
                copy->shard, copy->from, copy->last_index);
}

static int other_history_say(struct log_copy *copy)
{
    return fail(copy, LOG_COPY_OTHER_HISTORY,
                "shard %" PRIu32 ": frame %" PRIu64 " (LSN %" PRIu64
                "), the last in the copy, is not in %s: that log goes on otherwise (it was cut or restored, or lost "
                "what its disk had confirmed), or it is damaged there. Keep this copy, and make another one.",
                copy->shard, copy->last_index, copy->last_lsn, copy->from);
}

/* What came of the reading, for errors of the source; those of the copy have been told by whoever met them. */
static int source_judge(struct log_copy *copy, int result, const struct wal_report *report)
{
    bool gone = false;
    bool well = result == 0 && copy->joined && report->verdict != WAL_DAMAGED;
    if (well || result == LOG_COPY_STOPPED || (result < 0 && copy->why[0] != '\0'))
        return result;
    int error = gone_judge(copy, &gone);
    if (error != 0)
        return error;
    if (gone || result == -ENOENT)
        return gone_say(copy);
    if (result < 0)
        return fail(copy, result, "%s: %s: %s.", report->stop_path, report->stop_reason, strerror(-result));
    if (!copy->joined)
        return other_history_say(copy);
    return fail(copy, LOG_COPY_SOURCE_DAMAGED,
                "shard %" PRIu32 " of the source is DAMAGED: frame %" PRIu64
                " is missing or bad: %s (%s, offset %" PRIu64
                "). The copy ends in front of it; keep it, and see innkeep-wal verify.",
                copy->shard, report->stop_index, report->stop_reason, report->stop_path, report->stop_offset);
}

int log_copy_read_on(struct log_copy *copy, bool whole)
{
    struct wal_start start = copy->start; /* which moves with each frame */
    struct wal_source source = source_of(copy, copy->from);
    struct wal_report report;
    if (source.start != NULL)
        source.start = &start;
    source.glance = !whole;
    copy->joined = !copy->at_frame;
    copy->syncs = 0;
    copy->why[0] = '\0';
    int result = wal_read(copy->io, &source, frame_visit, copy, &report);
    if (result == LOG_COPY_OTHER_HISTORY)
        result = other_history_say(copy);
    result = source_judge(copy, result, &report);
    int error = segment_settle(copy);
    return result < 0 || error == 0 ? result : error;
}

/* ---- Snapshots ---------------------------------------------------------------------------------------------------------- */

struct snapshot_move {
    struct log_copy *copy;
    struct wal_snapshot_reader reader;
    uint8_t *piece; /* WAL_SNAPSHOT_READ_SIZE, aligned: what is read and not yet written */
    int file;
    uint64_t written; /* bytes of pages */
    int error;        /* of the copy's disk */
};

static void *piece_place(void *context, uint64_t offset, size_t *size_bytes)
{
    struct snapshot_move *move = context;
    REQUIRE(offset % WAL_SNAPSHOT_READ_SIZE == 0 && *size_bytes <= WAL_SNAPSHOT_READ_SIZE);
    return move->piece;
}

static int piece_write(void *context, uint64_t upto)
{
    struct snapshot_move *move = context;
    const uint8_t *bytes = move->piece + move->written % WAL_SNAPSHOT_READ_SIZE;
    size_t size = (size_t)(upto - move->written);
    if (size == 0)
        return 0;
    move->error = io_write_at(move->copy->io, move->file, bytes, size, WAL_BLOCK_SIZE + move->written);
    move->written = upto;
    return move->error != 0 ? move->error : moved(move->copy, size);
}

/* Behind the pages: the table with zeros up to the end of its last block, and block 0 last. */
static int table_write(struct snapshot_move *move)
{
    struct io *io = move->copy->io;
    uint64_t data_size = move->reader.block->header.data_size;
    uint64_t filled = wal_snapshot_chunks_count(data_size) * sizeof(struct hash128);
    uint64_t size = wal_snapshot_table_size(data_size);
    uint64_t offset = wal_snapshot_table_offset(data_size);
    static const uint8_t zeros[WAL_BLOCK_SIZE];
    int error = io_write_at(io, move->file, zeros, sizeof zeros, offset + size - sizeof zeros);
    if (error == 0)
        error = io_write_at(io, move->file, move->reader.table, (size_t)filled, offset);
    if (error == 0)
        error = write_and_sync(io, move->file, move->reader.block, WAL_BLOCK_SIZE, 0);
    return error;
}

static struct wal_snapshot_place place_of(const struct log_copy *copy, const char *directory)
{
    struct wal_snapshot_place place = { .directory = directory,
                                        .shard = copy->shard,
                                        .shards_count = copy->source->header.shards_count };
    memcpy(place.uuid, copy->source->header.uuid, sizeof place.uuid);
    return place;
}

static struct wal_manifest_entry entry_of(const struct wal_snapshot_reader *reader)
{
    const struct wal_snapshot_header *header = &reader->block->header;
    return (struct wal_manifest_entry){
        .index = header->index,
        .next_lsn = header->next_lsn,
        .segment_sequence = header->segment_sequence,
        .segment_offset = header->segment_offset,
        .file_size = wal_snapshot_file_size(header->data_size),
        .block_check = reader->block->check,
    };
}

static int move_write(struct snapshot_move *move, uint64_t index)
{
    struct log_copy *copy = move->copy;
    char path[WAL_FILE_PATH_SIZE];
    int error = wal_file_path(path, copy->to, index, WAL_SUFFIX_SNAPSHOT_TMP);
    if (error == 0)
        error = unlink_if_there(copy->io, path);
    move->file = error != 0 ? error : io_open(copy->io, path, IO_OPEN_WRITE | IO_OPEN_CREATE);
    if (move->file < 0)
        return fail_on_disk(copy, move->file, "make", path);
    const struct wal_snapshot_sink sink = { .context = move, .place = piece_place, .loaded = piece_write };
    int result = wal_snapshot_read(&move->reader, &sink, 0);
    if (result == 0)
        result = move->error = table_write(move);
    io_close(copy->io, move->file);
    if (result == 0)
        result = move->error = wal_file_rename(copy->io, copy->to, index, WAL_SUFFIX_SNAPSHOT_TMP, WAL_SUFFIX_SNAPSHOT);
    if (result == 0)
        return moved(copy, wal_snapshot_table_size(move->reader.block->header.data_size) + WAL_BLOCK_SIZE);
    int removed = io_unlink(copy->io, path);
    (void)removed; /* what stays goes at the next try */
    return move->error != 0 ? fail_on_disk(copy, move->error, "write", path) : result;
}

/* One that is damaged, or has just been deleted, is passed over: *entry has index 0. */
static int snapshot_copy(struct log_copy *copy, uint64_t index, struct wal_manifest_entry *entry)
{
    struct snapshot_move move = { .copy = copy, .reader = { .file = -1 }, .file = -1 };
    const struct wal_snapshot_place place = place_of(copy, copy->from);
    *entry = (struct wal_manifest_entry){ .index = 0 };
    move.piece = aligned_alloc(WAL_BLOCK_SIZE, WAL_SNAPSHOT_READ_SIZE);
    if (move.piece == NULL)
        return fail(copy, -ENOMEM, "there is too little memory.");
    int result = wal_snapshot_open(&move.reader, copy->io, &place, index);
    if (result == 0)
        result = move_write(&move, index);
    if (result == 0 || result == LOG_COPY_STOPPED)
        *entry = result == 0 ? entry_of(&move.reader) : *entry;
    else if (move.error == 0 && (result == -ENOENT || result == WAL_SNAPSHOT_DAMAGED)) {
        if (result == WAL_SNAPSHOT_DAMAGED)
            say(copy, move.reader.why);
        result = 0;
    } else if (move.error == 0 && move.reader.why[0] != '\0') {
        result = fail(copy, result, "%s", move.reader.why);
    }
    wal_snapshot_close(&move.reader);
    free(move.piece);
    return result;
}

static void kept_add_newest(struct log_copy *copy, const struct wal_manifest_entry *entry)
{
    memmove(copy->kept + 1, copy->kept, (WAL_SNAPSHOTS_KEPT - 1) * sizeof copy->kept[0]);
    copy->kept[0] = *entry;
    if (copy->kept_count < WAL_SNAPSHOTS_KEPT)
        copy->kept_count++;
}

/* What this copy needs; without a second snapshot all of its log, from its oldest segment on. */
static int manifest_write(struct log_copy *copy, uint64_t oldest_segment)
{
    struct wal_manifest manifest = { .count = copy->kept_count,
                                     .shard = copy->shard,
                                     .shards_count = copy->source->header.shards_count,
                                     .oldest_segment = oldest_segment };
    if (copy->kept_count == 0)
        return 0;
    if (copy->kept_count == WAL_SNAPSHOTS_KEPT)
        manifest.oldest_segment = copy->kept[WAL_SNAPSHOTS_KEPT - 1].segment_sequence;
    memcpy(manifest.uuid, copy->source->header.uuid, sizeof manifest.uuid);
    memcpy(manifest.entries, copy->kept, sizeof manifest.entries);
    wal_manifest_seal(&manifest);
    ENSURE(wal_manifest_check(&manifest) == NULL);
    int error = file_put(copy->io, copy->to, WAL_MANIFEST_NAME, &manifest, sizeof manifest);
    return fail_on_disk(copy, error, "write the manifest in", copy->to);
}

/* ---- Beginning ---------------------------------------------------------------------------------------------------------- */

static void start_behind(struct log_copy *copy, const struct wal_snapshot_header *header)
{
    copy->start = wal_start_behind_snapshot(header);
    copy->from_beginning = false;
    copy->at_frame = false;
    copy->last_index = header->index;
    copy->last_lsn = header->next_lsn - 1;
    copy->last_time_ns = header->time_ns;
}

static int start_at_snapshot(struct log_copy *copy, uint64_t index)
{
    struct wal_snapshot_reader reader = { .file = -1 };
    const struct wal_snapshot_place place = place_of(copy, copy->to);
    int error = wal_snapshot_open(&reader, copy->io, &place, index);
    if (error == 0)
        start_behind(copy, &reader.block->header);
    else
        error = fail(copy, LOG_COPY_COPY_DAMAGED, "%s", reader.why);
    wal_snapshot_close(&reader);
    return error;
}

/* A log whose state did not come from its frames has a snapshot of frame 1 (FORMAT.md, "Resharding"). Else a log that has segment 1 has all of
 * that, since readers go by it. */
static bool begins_at_frame_1(const struct log_copy *copy, uint64_t oldest_segment)
{
    const struct wal_manifest_entry *oldest = &copy->kept[copy->kept_count > 0 ? copy->kept_count - 1 : 0];
    if (oldest_segment != 1 || oldest->index == 1)
        return false;
    return copy->kept_count < WAL_SNAPSHOTS_KEPT || oldest->segment_sequence == 1;
}

static int start_choose(struct log_copy *copy)
{
    uint64_t oldest = 0;
    int error = oldest_find(copy, copy->from, &oldest);
    if (error != 0)
        return error;
    if (begins_at_frame_1(copy, oldest)) {
        copy->from_beginning = true;
        copy->last_index = copy->last_lsn = 0;
        return segment_begin(copy, 1);
    }
    if (copy->kept_count == 0)
        return fail(copy, LOG_COPY_SOURCE_DAMAGED,
                    "shard %" PRIu32 ": %s has neither its first segment nor a snapshot that is whole.", copy->shard,
                    copy->from);
    error = start_at_snapshot(copy, copy->kept[copy->kept_count - 1].index);
    return error == 0 ? segment_begin(copy, copy->start.place.segment_sequence) : error;
}

/* The two newest that are whole. */
static int snapshots_begin(struct log_copy *copy)
{
    struct wal_snapshots snapshots = { .indexes = NULL };
    int result = wal_snapshots_list(copy->io, copy->from, &snapshots);
    if (result != 0)
        result = fail_on_disk(copy, result, "list", copy->from);
    copy->kept_count = 0;
    memset(copy->kept, 0, sizeof copy->kept);
    for (size_t i = 0; i < snapshots.count && copy->kept_count < WAL_SNAPSHOTS_KEPT && result == 0; i++) {
        struct wal_manifest_entry *entry = &copy->kept[copy->kept_count];
        result = snapshot_copy(copy, snapshots.indexes[i], entry);
        copy->kept_count += result == 0 && entry->index != 0;
    }
    wal_snapshots_free(&snapshots);
    return result;
}

int log_copy_begin(struct log_copy *copy)
{
    copy->why[0] = '\0';
    int result = fail_on_disk(copy, io_make_directory(copy->io, copy->to), "make", copy->to);
    if (result == 0)
        result = snapshots_begin(copy);
    if (result == 0)
        result = start_choose(copy);
    return result == 0 ? manifest_write(copy, copy->sequence) : result;
}

/* ---- Going on with what is there ---------------------------------------------------------------------------------------- */

static int held_visit(void *context, const struct wal_frame_header *frame)
{
    struct log_copy *copy = context;
    frame_note(copy, frame);
    return copy->tend(copy->context);
}

static int held_snapshots(struct log_copy *copy)
{
    struct wal_snapshots snapshots = { .indexes = NULL };
    const struct wal_snapshot_place place = place_of(copy, copy->to);
    int error = wal_snapshots_list(copy->io, copy->to, &snapshots);
    copy->kept_count = 0;
    memset(copy->kept, 0, sizeof copy->kept);
    for (size_t i = 0; error == 0 && i < snapshots.count && copy->kept_count < WAL_SNAPSHOTS_KEPT; i++) {
        struct wal_snapshot_reader reader = { .file = -1 };
        if (wal_snapshot_open(&reader, copy->io, &place, snapshots.indexes[i]) == 0)
            copy->kept[copy->kept_count++] = entry_of(&reader);
        else
            say(copy, reader.why);
        wal_snapshot_close(&reader);
    }
    wal_snapshots_free(&snapshots);
    return fail_on_disk(copy, error, "list", copy->to);
}

/* Looks for the last frame of the copy in the source, and at nothing else. */
static int join_visit(void *context, const struct wal_frame_header *frame)
{
    struct log_copy *copy = context;
    copy->joined = hash128_equal(frame->hash, copy->last_hash);
    return 1;
}

static int join_try(struct log_copy *copy)
{
    struct wal_source source = source_of(copy, copy->from);
    struct wal_report report;
    source.glance = true;
    copy->joined = !copy->at_frame;
    int result = copy->at_frame ? wal_read(copy->io, &source, join_visit, copy, &report) : 0;
    return copy->joined ? 0 : source_judge(copy, result < 0 ? result : 0, &report);
}

/* A torn tail goes. Behind a frame that is missing or bad, what is left goes only if the source can give it once more. */
static int end_clear(struct log_copy *copy, const struct wal_report *report)
{
    char sentence[256];
    struct wal_place place = { .segment_sequence = report->tail_segment_sequence, .offset = report->tail_offset };
    struct wal_source source = source_of(copy, copy->to);
    if (report->verdict == WAL_CLEAN)
        return 0;
    int error = report->verdict == WAL_DAMAGED ? join_try(copy) : 0;
    if (error != 0)
        return error;
    snprintf(sentence, sizeof sentence,
             "shard %" PRIu32 ": the copy is whole up to frame %" PRIu64 "; what lies behind is copied anew.",
             copy->shard, copy->last_index);
    say(copy, sentence);
    return fail_on_disk(copy, wal_end_at(copy->io, &source, place), "clear the end of the log in", copy->to);
}

static int held_read(struct log_copy *copy, struct wal_report *report)
{
    struct wal_start start = copy->start;
    struct wal_source source = source_of(copy, copy->to);
    if (source.start != NULL)
        source.start = &start;
    int result = wal_read(copy->io, &source, held_visit, copy, report);
    if (result < 0)
        return fail(copy, result, "%s: %s: %s.", report->stop_path, report->stop_reason, strerror(-result));
    if (result == 0 && report->verdict == WAL_DAMAGED && report->evidence_index == 0)
        return fail(copy, LOG_COPY_COPY_DAMAGED,
                    "%s is no copy to go on with: %s (%s). Keep it if you need it, and name another directory.",
                    copy->to, report->stop_reason, report->stop_path);
    return result;
}

static int start_of_held(struct log_copy *copy)
{
    uint64_t oldest = 0;
    int error = held_snapshots(copy);
    if (error == 0)
        error = oldest_find(copy, copy->to, &oldest);
    if (error != 0)
        return error;
    copy->from_beginning = copy->kept_count == 0 || begins_at_frame_1(copy, oldest);
    return copy->from_beginning ? 0 : start_at_snapshot(copy, copy->kept[copy->kept_count - 1].index);
}

static int entry_visit(void *context, const char *name)
{
    (void)context;
    (void)name;
    return 1;
}

/* What a crash in log_copy_replace left: from its first rename on, the new one counts. */
static int replaced_finish(struct log_copy *copy)
{
    char fresh[WAL_PATH_SIZE + 8];
    char old[WAL_PATH_SIZE + 8];
    snprintf(fresh, sizeof fresh, "%s" SUFFIX_NEW, copy->to);
    snprintf(old, sizeof old, "%s" SUFFIX_OLD, copy->to);
    int error = io_list(copy->io, copy->to, entry_visit, NULL);
    if (error == -ENOENT)
        error = io_rename(copy->io, fresh, copy->to);
    if (error >= 0)
        error = directory_above_sync(copy->io, copy->to);
    if (error == 0)
        error = directory_remove(copy->io, fresh);
    if (error == 0)
        error = directory_remove(copy->io, old);
    return fail_on_disk(copy, error, "open", copy->to);
}

int log_copy_resume(struct log_copy *copy)
{
    struct wal_report report;
    copy->why[0] = '\0';
    int result = replaced_finish(copy);
    if (result == 0)
        result = fail_on_disk(copy, half_made_remove(copy->io, copy->to), "clear up", copy->to);
    if (result == 0)
        result = start_of_held(copy);
    if (result == 0)
        result = held_read(copy, &report);
    if (result == 0)
        result = end_clear(copy, &report);
    return result == 0 ? segment_reopen(copy, report.tail_segment_sequence) : result;
}

int log_copy_replace(struct log_copy *copy)
{
    char to[WAL_PATH_SIZE];
    char old[WAL_PATH_SIZE + 8];
    memcpy(to, copy->to, sizeof to);
    snprintf(old, sizeof old, "%s" SUFFIX_OLD, to);
    segment_close(copy);
    if (snprintf(copy->to, sizeof copy->to, "%s" SUFFIX_NEW, to) >= (int)sizeof copy->to)
        return fail(copy, -ENAMETOOLONG, "%s is too long a path.", to);
    int result = fail_on_disk(copy, directory_remove(copy->io, copy->to), "remove", copy->to);
    if (result == 0)
        result = log_copy_begin(copy);
    if (result == 0)
        result = log_copy_read_on(copy, false);
    if (result == 0)
        result = fail_on_disk(copy, io_rename(copy->io, to, old), "rename", to);
    if (result == 0)
        result = fail_on_disk(copy, io_rename(copy->io, copy->to, to), "rename", copy->to);
    if (result == 0)
        result = fail_on_disk(copy, directory_above_sync(copy->io, to), "sync", to);
    if (result == 0)
        result = fail_on_disk(copy, directory_remove(copy->io, old), "remove", old);
    memcpy(copy->to, to, sizeof to);
    return result;
}

/* ---- What the source has taken, and given up, since --------------------------------------------------------------------- */

static int prune_segments(struct log_copy *copy)
{
    struct wal_segments segments = { .sequences = NULL };
    uint64_t below = 0;
    int error = oldest_find(copy, copy->from, &below);
    uint64_t needed = copy->kept[WAL_SNAPSHOTS_KEPT - 1].segment_sequence;
    if (below > needed)
        below = needed;
    if (error == 0)
        error = fail_on_disk(copy, wal_segments_list(copy->io, copy->to, &segments), "list", copy->to);
    for (size_t i = 0; error == 0 && i < segments.count && segments.sequences[i] < below; i++) {
        char path[WAL_FILE_PATH_SIZE];
        error = wal_file_path(path, copy->to, segments.sequences[i], WAL_SUFFIX_SEGMENT);
        if (error == 0)
            error = io_unlink(copy->io, path);
        if (error == 0)
            error = io_sync_directory(copy->io, copy->to);
        error = fail_on_disk(copy, error, "give up a segment in", copy->to);
    }
    wal_segments_free(&segments);
    return error;
}

static int prune(struct log_copy *copy)
{
    struct wal_snapshots snapshots = { .indexes = NULL };
    if (copy->kept_count < WAL_SNAPSHOTS_KEPT)
        return 0;
    int error = fail_on_disk(copy, wal_snapshots_list(copy->io, copy->to, &snapshots), "list", copy->to);
    for (size_t i = 0; error == 0 && i < snapshots.count; i++) {
        char path[WAL_FILE_PATH_SIZE];
        if (snapshots.indexes[i] >= copy->kept[WAL_SNAPSHOTS_KEPT - 1].index)
            continue;
        error = wal_file_path(path, copy->to, snapshots.indexes[i], WAL_SUFFIX_SNAPSHOT);
        if (error == 0)
            error = io_unlink(copy->io, path);
        error = fail_on_disk(copy, error, "give up a snapshot in", copy->to);
    }
    wal_snapshots_free(&snapshots);
    return error == 0 ? prune_segments(copy) : error;
}

int log_copy_refresh(struct log_copy *copy)
{
    struct wal_snapshots snapshots = { .indexes = NULL };
    bool any = false;
    copy->why[0] = '\0';
    int result = fail_on_disk(copy, wal_snapshots_list(copy->io, copy->from, &snapshots), "list", copy->from);
    for (size_t i = snapshots.count; i-- > 0 && result == 0;) {
        struct wal_manifest_entry entry;
        uint64_t index = snapshots.indexes[i];
        if (index <= copy->kept[0].index || index > copy->last_index)
            continue;
        result = snapshot_copy(copy, index, &entry);
        if (result != 0 || entry.index == 0)
            continue;
        kept_add_newest(copy, &entry);
        any = true;
    }
    wal_snapshots_free(&snapshots);
    if (any && (result == 0 || result == LOG_COPY_STOPPED)) {
        uint64_t oldest = 0;
        int error = oldest_find(copy, copy->to, &oldest);
        if (error == 0)
            error = manifest_write(copy, oldest);
        result = error != 0 ? error : result;
    }
    return result == 0 && any ? prune(copy) : result;
}

/* ---- One shard's ------------------------------------------------------------------------------------------------------- */

int log_copy_init(struct log_copy *copy, const char *root)
{
    struct wal_directory directory;
    snprintf(directory.path, sizeof directory.path, "%s", root);
    wal_shard_path(copy->source, copy->shard, copy->from);
    wal_shard_path(&directory, copy->shard, copy->to);
    copy->file = -1;
    copy->unsynced_index = NEVER_NS;
    copy->syncs_max = SYNCS_MAX;
    copy->block = malloc(WAL_SEGMENT_DATA_OFFSET);
    return copy->block == NULL ? fail(copy, -ENOMEM, "there is too little memory.") : 0;
}

void log_copy_free(struct log_copy *copy)
{
    segment_close(copy);
    free(copy->block);
    copy->block = NULL;
}
