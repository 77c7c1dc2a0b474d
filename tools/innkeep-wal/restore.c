/* innkeep-wal restore: makes a directory that a server can start on out of a copy of one.
 *
 * The copy is verified as `verify` does, copied into DIR.restoring, read there once more, and goes on with an EPOCH frame in each shard; then
 * DIR.restoring becomes DIR in one rename. So there is never half a directory under a name that a server is given, and one that is started
 * on DIR.restoring refuses, because meta is copied last. The copy is only read. */
#include "tools/innkeep-wal/epoch.h"
#include "tools/innkeep-wal/log_start.h"
#include "tools/innkeep-wal/made_directory.h"
#include "tools/innkeep-wal/printer.h"
#include "tools/innkeep-wal/shard_files.h"
#include "tools/innkeep-wal/shard_replay.h"

#include "wal/segment_file.h"
#include "wal/snapshot_format.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COPY_SIZE (1 * MIB)
#define SEQUENCES_JUMP (UINT64_C(1) << 40)
#define PROGRESS_EVERY_NS (250 * NS_PER_MS)

struct restore {
    struct tool *tool;          /* looks at the copy */
    struct made_directory made; /* DIR.restoring */
    uint32_t engine_level;      /* of the last frame, shard by shard */
    uint8_t *buffer;            /* COPY_SIZE, aligned */
    uint64_t bytes;             /* copied */
    uint64_t bytes_all;
    uint64_t next_progress_ns;
};

/* ---- Before anything is made ---------------------------------------------------------------------------------------------------- */

/* As verify does; what it finds is said. A torn tail is what a copy of a live directory has, and was never acknowledged as far as the copy can tell. */
static enum tool_exit shard_verify(struct restore *restore, uint32_t shard)
{
    struct shard_replay replay = {
        .tool = restore->tool, .shard = shard, .apply = true, .check = true, .to_lsn = NEVER_NS, .to_ns = NEVER_NS
    };
    char hash[PRINTER_HASH_SIZE];
    shard_replay_run(&replay);
    shard_replay_explain(&replay, stderr);
    enum tool_exit verdict = shard_replay_exit(&replay);
    if (verdict <= TOOL_TORN_TAIL && replay.machine.engine == NULL)
        verdict = tool_refuse(
            "shard %u is empty: no server ever ran on this directory, so there is nothing to restore.", shard);
    else if (verdict <= TOOL_TORN_TAIL && !restore->tool->json)
        printf("shard %u: verified, up to LSN %" PRIu64 ", state hash %s\n", shard, replay.report.last_lsn,
               printer_hash(shard_replay_hash(&replay), hash));
    else if (verdict > TOOL_TORN_TAIL)
        verdict = tool_refuse("shard %u of the backup is not whole, so nothing was made.", shard);
    fflush(stdout);
    shard_replay_free(&replay);
    return verdict <= TOOL_TORN_TAIL ? TOOL_CLEAN : verdict;
}

/* ---- Copying -------------------------------------------------------------------------------------------------------------------- */

static void progress_show(struct restore *restore)
{
    uint64_t now_ns = io_now_ns(restore->tool->io);
    if (restore->next_progress_ns == 0)
        restore->next_progress_ns = isatty(STDERR_FILENO) ? now_ns + PROGRESS_EVERY_NS : NEVER_NS;
    if (now_ns < restore->next_progress_ns)
        return;
    restore->next_progress_ns = now_ns + PROGRESS_EVERY_NS;
    fprintf(stderr, "\rcopied %" PRIu64 " of %" PRIu64 " MiB ", restore->bytes / MIB, restore->bytes_all / MIB);
}

static void progress_clear(const struct restore *restore)
{
    if (restore->next_progress_ns != 0 && restore->next_progress_ns != NEVER_NS)
        fputs("\r\033[K", stderr);
}

static int bytes_copy(struct restore *restore, int from, int to)
{
    struct io *io = restore->tool->io;
    for (uint64_t offset = 0;; offset += COPY_SIZE) {
        ssize_t got = io_read_at(io, from, restore->buffer, COPY_SIZE, offset);
        if (got < 0)
            return (int)got;
        int error = got > 0 ? io_write_at(io, to, restore->buffer, (size_t)got, offset) : 0;
        if (error != 0)
            return error;
        restore->bytes += (uint64_t)got;
        progress_show(restore);
        if (got < (ssize_t)COPY_SIZE)
            return io_sync_file(io, to);
    }
}

static int file_copy(struct restore *restore, const char *from_directory, const char *to_directory, const char *name)
{
    char path[WAL_PATH_SIZE + SHARD_FILE_NAME_SIZE];
    struct io *io = restore->tool->io;
    snprintf(path, sizeof path, "%s/%s", from_directory, name);
    int from = io_open(io, path, IO_OPEN_READ);
    if (from < 0)
        return from;
    snprintf(path, sizeof path, "%s/%s", to_directory, name);
    int to = io_open(io, path, IO_OPEN_WRITE | IO_OPEN_CREATE);
    int error = to < 0 ? to : bytes_copy(restore, from, to);
    io_close(io, from);
    if (to >= 0)
        io_close(io, to);
    return error;
}

/* The log, its snapshots, and what says which of them there ought to be. Segments made ahead, what is half made and tails that were set aside are
 * no part of it. */
static bool is_part(const struct shard_file *file)
{
    uint64_t index = 0;
    return file->kind == SHARD_FILE_SEGMENT || wal_file_parse(file->name, WAL_SUFFIX_SNAPSHOT, &index) ||
           strcmp(file->name, WAL_MANIFEST_NAME) == 0;
}

static int shard_copy(struct restore *restore, uint32_t shard, bool count_only)
{
    struct io *io = restore->tool->io;
    char from[WAL_PATH_SIZE];
    char to[WAL_PATH_SIZE];
    struct shard_files files = { .files = NULL };
    wal_shard_path(&restore->made.directory, shard, to);
    int error = shard_files_list(io, wal_shard_path(&restore->tool->directory, shard, from), &files);
    if (error == 0 && !count_only)
        error = io_make_directory(io, to);
    for (size_t i = 0; i < files.count && error == 0; i++) {
        if (!is_part(&files.files[i]))
            continue;
        if (count_only)
            restore->bytes_all += files.files[i].size_bytes;
        else
            error = file_copy(restore, from, to, files.files[i].name);
    }
    shard_files_free(&files);
    return error == 0 && !count_only ? io_sync_directory(io, to) : error;
}

static enum tool_exit directory_copy(struct restore *restore)
{
    struct io *io = restore->tool->io;
    uint32_t shards = restore->tool->directory.header.shards_count;
    int error = 0;
    for (uint32_t shard = 0; shard < shards && error == 0; shard++)
        error = shard_copy(restore, shard, true);
    if (error == 0)
        error = io_make_directory(io, restore->made.directory.path);
    restore->made.begun = error == 0;
    for (uint32_t shard = 0; shard < shards && error == 0; shard++)
        error = shard_copy(restore, shard, false);
    progress_clear(restore);
    return error == 0 ? TOOL_CLEAN
                      : tool_refuse("cannot copy into %s: %s.", restore->made.directory.path, strerror(-error));
}

/* ---- Going on from it ----------------------------------------------------------------------------------------------------------- */

/* Numbers of segments that the original, which may be alive, and any other directory restored from this copy will hardly use: so a segment
 * that ends up in the wrong one of them verifies nowhere. */
static int sequence_jump(struct io *io, uint64_t next, uint64_t *sequence)
{
    uint32_t random = 0;
    int error = io_entropy(io, &random, sizeof random);
    *sequence = (next / SEQUENCES_JUMP + 1) * SEQUENCES_JUMP + random;
    return error;
}

static int level_note(void *context, const struct wal_frame_header *frame)
{
    struct restore *restore = context;
    restore->engine_level = frame->engine_level;
    return 0;
}

static enum tool_exit shard_go_on(struct restore *restore, uint32_t shard)
{
    char path[WAL_PATH_SIZE];
    struct io *io = restore->tool->io;
    const struct wal_directory_header *header = &restore->made.directory.header;
    struct wal_source source = { .directory = wal_shard_path(&restore->made.directory, shard, path),
                                 .shard = shard,
                                 .shards_count = header->shards_count,
                                 .segment_size = header->segment_size };
    memcpy(source.uuid, header->uuid, sizeof source.uuid);
    struct wal_report report = { .stop_reason = "it cannot be read" };
    struct log_start begin;
    int error = log_start_find(io, &source, &begin);
    source.start = begin.found ? &begin.start : NULL;
    restore->engine_level = begin.engine_level;
    if (error == 0)
        error = wal_read(io, &source, level_note, restore, &report);
    if (error != 0 || report.verdict == WAL_DAMAGED)
        return tool_refuse(
            "shard %u does not read in %s as it did in the backup (%s); was the backup written meanwhile?", shard,
            restore->made.directory.path, report.stop_reason);
    if (report.verdict == WAL_TORN_TAIL)
        error = wal_discard_tail(io, &source, &report);
    struct epoch_order order = { .directory = &restore->made.directory,
                                 .shard = shard,
                                 .position = report.position,
                                 .reason = EPOCH_RESTORE,
                                 .granted_lsn = report.last_lsn,
                                 .engine_level = restore->engine_level };
    if (report.stop_last_lsn > order.granted_lsn)
        order.granted_lsn = report.stop_last_lsn;
    uint64_t told = restore->tool->to.lsn[shard];
    if (told != NEVER_NS && told > order.granted_lsn)
        order.granted_lsn = told;
    const char *why = "the torn tail could not be set aside";
    if (error == 0)
        error = sequence_jump(io, report.position.next_segment_sequence, &order.position.next_segment_sequence);
    if (error == 0)
        error = epoch_write(&order, &why);
    if (error != 0)
        return tool_refuse("shard %u: %s: %s.", shard, why, strerror(-error));
    if (!restore->tool->json)
        printf("shard %u: goes on at LSN %" PRIu64 "\n", shard, wal_epoch_behind(order.granted_lsn));
    return TOOL_CLEAN;
}

static int target_appear(struct restore *restore)
{
    struct io *io = restore->tool->io;
    int error = file_copy(restore, restore->tool->directory.path, restore->made.directory.path, "meta");
    if (error == 0)
        error = io_sync_directory(io, restore->made.directory.path);
    return error == 0 ? made_directory_rename(&restore->made) : error;
}

static enum tool_exit restore_run(struct restore *restore)
{
    const struct tool *tool = restore->tool;
    uint32_t shards = tool->directory.header.shards_count;
    if (tool->directory.cutting)
        return tool_refuse("%s is in the middle of a cut; finish that first, or use another backup.", tool->path);
    enum tool_exit verdict = made_directory_check(&restore->made, tool->io, tool->other_path, "restoring");
    restore->made.directory.header = tool->directory.header; /* it goes on as the same house */
    for (uint32_t shard = 0; shard < shards && verdict == TOOL_CLEAN; shard++)
        verdict = shard_verify(restore, shard);
    if (verdict == TOOL_CLEAN)
        verdict = directory_copy(restore);
    for (uint32_t shard = 0; shard < shards && verdict == TOOL_CLEAN; shard++)
        verdict = shard_go_on(restore, shard);
    if (verdict != TOOL_CLEAN)
        return verdict;
    int error = target_appear(restore);
    if (error != 0)
        return tool_refuse("%s could not be made: %s.", restore->made.target, strerror(-error));
    if (tool->json)
        printf("{\"restored\":true,\"bytes\":%" PRIu64 "}\n", restore->bytes);
    else
        printf("%s: restored from %s, %" PRIu64 " MiB\n", restore->made.target, tool->path, restore->bytes / MIB);
    return TOOL_CLEAN;
}

enum tool_exit restore_command(struct tool *tool)
{
    struct restore restore = { .tool = tool, .made = { .io = tool->io, .directory = { .lock_file = -1 } } };
    restore.buffer = aligned_alloc(WAL_BLOCK_SIZE, COPY_SIZE);
    if (restore.buffer == NULL)
        return tool_refuse("there is too little memory.");
    enum tool_exit verdict = restore_run(&restore);
    made_directory_close(&restore.made, verdict == TOOL_CLEAN);
    free(restore.buffer);
    return verdict;
}
