#include "tools/innkeep-wal/made_directory.h"

#include "tools/innkeep-wal/epoch.h"

#include "net/engine_snapshot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RING_ENTRIES 32

/* ---- The directory -------------------------------------------------------------------------------------------------------------- */

static int entry_visit(void *context, const char *name)
{
    (void)context;
    (void)name;
    return 1;
}

enum tool_exit made_directory_check(struct made_directory *made, struct io *io, const char *target, const char *suffix)
{
    *made = (struct made_directory){ .io = io, .suffix = suffix, .directory = { .lock_file = -1 } };
    size_t length = strlen(target);
    while (length > 1 && target[length - 1] == '/')
        length--;
    if (length == 0 || length + strlen(suffix) + 64 > WAL_PATH_SIZE)
        return tool_refuse("the path of the new directory is empty or too long.");
    memcpy(made->target, target, length);
    memcpy(made->directory.path, target, length);
    made->directory.path[length] = '.';
    memcpy(made->directory.path + length + 1, suffix, strlen(suffix) + 1);
    int found = io_list(io, made->target, entry_visit, NULL);
    if (found == 1)
        return tool_refuse("%s is there already and not empty; name a new directory.", made->target);
    if (found != 0 && found != -ENOENT)
        return tool_refuse("%s cannot be looked at: %s.", made->target, strerror(-found));
    found = io_list(io, made->directory.path, entry_visit, NULL);
    if (found == 0 || found == 1)
        return tool_refuse("%s is there: making it was interrupted, or is under way. Remove it and run this again.",
                           made->directory.path);
    return found == -ENOENT ? TOOL_CLEAN
                            : tool_refuse("%s cannot be looked at: %s.", made->directory.path, strerror(-found));
}

/* Meta aside, or back in its place. */
static int meta_move(const struct made_directory *made, bool aside)
{
    char meta[WAL_PATH_SIZE + 32];
    char other[WAL_PATH_SIZE + 32];
    snprintf(meta, sizeof meta, "%s/meta", made->directory.path);
    snprintf(other, sizeof other, "%s/meta.%s", made->directory.path, made->suffix);
    int error = io_rename(made->io, aside ? meta : other, aside ? other : meta);
    return error == 0 ? io_sync_directory(made->io, made->directory.path) : error;
}

enum tool_exit made_directory_begin(struct made_directory *made, uint32_t shards, uint64_t segment_size)
{
    char why[512];
    char path[WAL_PATH_SIZE];
    memcpy(path, made->directory.path, sizeof path);
    if (wal_directory_open(made->io, path, shards, shards, segment_size, &made->directory, why, sizeof why) != 0)
        return tool_refuse("%s", why);
    made->begun = true;
    int error = meta_move(made, true);
    return error == 0 ? TOOL_CLEAN : tool_refuse("%s cannot be made: %s.", path, strerror(-error));
}

int made_directory_rename(const struct made_directory *made)
{
    char above[WAL_PATH_SIZE];
    int error = io_rename(made->io, made->directory.path, made->target);
    if (error != 0)
        return error;
    memcpy(above, made->target, sizeof above);
    char *slash = strrchr(above, '/');
    if (slash == NULL)
        memcpy(above, ".", 2);
    else
        slash[slash == above] = '\0';
    return io_sync_directory(made->io, above);
}

enum tool_exit made_directory_appear(struct made_directory *made)
{
    int error = meta_move(made, false);
    if (error == 0)
        error = made_directory_rename(made);
    return error == 0 ? TOOL_CLEAN : tool_refuse("%s could not be made: %s.", made->target, strerror(-error));
}

void made_directory_close(struct made_directory *made, bool appeared)
{
    if (made->begun && !appeared)
        fprintf(stderr, "innkeep-wal: %s was made only in part; remove it before the next try.\n",
                made->directory.path);
    wal_directory_close(made->io, &made->directory);
}

/* ---- A shard -------------------------------------------------------------------------------------------------------------------- */

struct fresh {
    const struct made_directory *made;
    uint32_t shard;
    struct engine *engine;
    struct wal_start start; /* behind the CONFIG frame */
};

static int config_write(struct fresh *fresh, struct io *io, struct wal *wal)
{
    struct config_record config = {
        .header = { .size = sizeof config, .kind = OPERATION_CONFIG, .version = 1 },
        .limits = *engine_limits_of(fresh->engine),
    };
    const struct wal_frame_header *frame = NULL;
    wal_append(wal, &config.header);
    wal_seal(wal, engine_log_time(fresh->engine), engine_log_level(fresh->engine), true);
    while ((frame = wal_durable(wal)) == NULL) {
        int error = wal_error(wal);
        if (error == 0)
            error = io_run(io, NEVER_NS);
        if (error != 0)
            return error;
    }
    fresh->start = wal_start_behind_frame(frame);
    wal_release(wal);
    return 0;
}

static int log_begin(struct fresh *fresh, const char **why)
{
    const struct io_options io_options = { .ring_entries = RING_ENTRIES, .fixed_buffers_count = 3 };
    const struct wal_directory_header *header = &fresh->made->directory.header;
    char path[WAL_PATH_SIZE];
    struct wal_options options = { .directory = wal_shard_path(&fresh->made->directory, fresh->shard, path),
                                   .shard = fresh->shard,
                                   .shards_count = header->shards_count,
                                   .segment_size = header->segment_size,
                                   .frame_size_max = WAL_BLOCK_SIZE,
                                   .depth_max = 1,
                                   .ready_min = 2 };
    memcpy(options.uuid, header->uuid, sizeof options.uuid);
    struct wal_position position = { .next_index = 1, .next_lsn = 1, .next_segment_sequence = 1 };
    struct io *io = NULL;
    struct wal *wal = NULL;
    int error = io_create(&io_options, &io, why);
    if (error != 0)
        return error;
    error = io_adopt(io);
    if (error == 0)
        error = wal_open(io, &options, &position, &wal, why);
    if (error == 0) {
        *why = "the new log's first frame could not be written";
        error = config_write(fresh, io, wal);
        wal_close(wal);
    }
    io_destroy(io);
    return error;
}

static int snapshot_run(struct fresh *fresh, struct io *io, struct wal_snapshot_writer *writer)
{
    engine_snapshot_begin(writer, fresh->engine, &fresh->start);
    int error = 0;
    while (error == 0 && wal_snapshot_state_of(writer).status == WAL_SNAPSHOT_RUNNING) {
        wal_snapshot_tend(writer, io_now_ns(io));
        if (wal_snapshot_state_of(writer).status == WAL_SNAPSHOT_RUNNING)
            error = io_run(io, wal_snapshot_due_ns(writer));
    }
    snapshot_end(fresh->engine);
    struct wal_snapshot_state state = wal_snapshot_state_of(writer);
    return error == 0 && state.status != WAL_SNAPSHOT_DONE ? state.error : error;
}

static int snapshot_make(struct fresh *fresh, struct io *io, uint8_t *bytes)
{
    char path[WAL_PATH_SIZE];
    const struct wal_directory_header *header = &fresh->made->directory.header;
    struct wal_snapshot_writer_options options = {
        .place = { .directory = wal_shard_path(&fresh->made->directory, fresh->shard, path),
                   .shard = fresh->shard,
                   .shards_count = header->shards_count },
        .data_size_max = align_up(engine_memory_size(engine_limits_of(fresh->engine)), WAL_BLOCK_SIZE),
        .bytes = bytes,
    };
    memcpy(options.place.uuid, header->uuid, sizeof options.place.uuid);
    struct iovec buffer = { .iov_base = bytes, .iov_len = WAL_SNAPSHOT_BUFFER_SIZE };
    struct wal_snapshot_writer *writer = NULL;
    int error = io_buffers_register(io, &buffer, 1);
    if (error == 0)
        error = wal_snapshot_writer_init(io, &options, &writer);
    if (error == 0)
        error = snapshot_run(fresh, io, writer);
    wal_snapshot_writer_free(writer);
    return error;
}

static int snapshot_take(struct fresh *fresh, const char **why)
{
    const struct io_options io_options = { .ring_entries = RING_ENTRIES, .fixed_buffers_count = 1 };
    struct io *io = NULL;
    uint8_t *bytes = aligned_alloc(WAL_BLOCK_SIZE, WAL_SNAPSHOT_BUFFER_SIZE);
    if (bytes == NULL)
        return -ENOMEM;
    fresh->start.position.next_lsn = engine_last_lsn(fresh->engine) + 1;
    int error = io_create(&io_options, &io, why);
    if (error == 0) {
        *why = "the snapshot could not be written";
        error = io_adopt(io);
        if (error == 0)
            error = snapshot_make(fresh, io, bytes);
        io_destroy(io);
    }
    free(bytes);
    return error;
}

enum tool_exit made_shard_write(const struct made_directory *made, uint32_t shard, struct engine *engine,
                                enum epoch_reason reason, uint64_t granted_lsn)
{
    struct fresh fresh = { .made = made, .shard = shard, .engine = engine };
    const char *why = "there is too little memory";
    int error = log_begin(&fresh, &why);
    if (error == 0)
        error = snapshot_take(&fresh, &why);
    struct epoch_order order = { .directory = &made->directory,
                                 .shard = shard,
                                 .position = fresh.start.position,
                                 .reason = reason,
                                 .granted_lsn = granted_lsn,
                                 .engine_level = engine_log_level(engine) };
    if (error == 0)
        error = epoch_write(&order, &why);
    return error == 0 ? TOOL_CLEAN : tool_refuse("shard %u: %s: %s.", shard, why, strerror(-error));
}
