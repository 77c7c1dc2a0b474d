#include "tools/innkeep-wal/cut_plan.h"

#include "tools/innkeep-wal/log_start.h"

#include "wal/reader.h"
#include "wal/snapshot_format.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CUT_MAGIC UINT64_C(0x215455435045454b) /* "KEEPCUT!" in memory order */
#define CUT_VERSION 1
#define NAME_TMP WAL_NAME_CUTTING ".tmp"

/* What the file begins with; then the shards, then their records, then the XXH3-128 (seed 0) of it all. */
struct cut_header {
    uint64_t magic;
    uint32_t version;
    uint32_t shards_count;
    uint8_t uuid[16];
};
static_assert(sizeof(struct cut_header) == 32, "FORMAT.md: cutting");

static int complain(char *why, size_t why_size, int error, const char *what, const char *path)
{
    snprintf(why, why_size, "%s %s: %s", what, path, strerror(-error));
    return error;
}

static int path_of(const struct wal_directory *directory, const char *name, char path[WAL_PATH_SIZE])
{
    int length = snprintf(path, WAL_PATH_SIZE, "%s/%s", directory->path, name);
    return length > 0 && length < WAL_PATH_SIZE ? 0 : -ENAMETOOLONG;
}

void cut_plan_free(struct cut_plan *plan)
{
    for (uint32_t i = 0; i < WAL_SHARDS_MAX; i++) {
        free(plan->records[i]);
        plan->records[i] = NULL;
    }
}

/* ---- The file ------------------------------------------------------------------------------------------------------------------ */

static size_t plan_size(const struct cut_plan *plan)
{
    size_t size = sizeof(struct cut_header) + plan->shards_count * sizeof(struct cut_shard) + sizeof(struct hash128);
    for (uint32_t i = 0; i < plan->shards_count; i++)
        size += plan->shards[i].partial_size_bytes;
    return size;
}

static void plan_lay(const struct cut_plan *plan, const uint8_t uuid[16], uint8_t *bytes)
{
    struct cut_header header = { .magic = CUT_MAGIC, .version = CUT_VERSION, .shards_count = plan->shards_count };
    memcpy(header.uuid, uuid, sizeof header.uuid);
    uint8_t *at = bytes;
    memcpy(at, &header, sizeof header);
    at += sizeof header;
    memcpy(at, plan->shards, plan->shards_count * sizeof plan->shards[0]);
    at += plan->shards_count * sizeof plan->shards[0];
    for (uint32_t i = 0; i < plan->shards_count; i++) {
        if (plan->shards[i].partial_size_bytes > 0)
            memcpy(at, plan->records[i], plan->shards[i].partial_size_bytes);
        at += plan->shards[i].partial_size_bytes;
    }
    struct hash128 check = hash128(bytes, (size_t)(at - bytes), 0);
    memcpy(at, &check, sizeof check);
}

static int bytes_write(struct io *io, const struct wal_directory *directory, const uint8_t *bytes, size_t size)
{
    char tmp[WAL_PATH_SIZE];
    char path[WAL_PATH_SIZE];
    int error = path_of(directory, NAME_TMP, tmp);
    if (error == 0)
        error = path_of(directory, WAL_NAME_CUTTING, path);
    if (error == 0)
        error = io_unlink(io, tmp);
    if (error != 0 && error != -ENOENT)
        return error;
    int file = io_open(io, tmp, IO_OPEN_WRITE | IO_OPEN_CREATE);
    if (file < 0)
        return file;
    error = io_write_at(io, file, bytes, size, 0);
    if (error == 0)
        error = io_sync_file(io, file);
    io_close(io, file);
    if (error == 0)
        error = io_rename(io, tmp, path);
    return error == 0 ? io_sync_directory(io, directory->path) : error;
}

int cut_plan_write(struct io *io, const struct wal_directory *directory, const struct cut_plan *plan, char *why,
                   size_t why_size)
{
    size_t size = plan_size(plan);
    uint8_t *bytes = malloc(size);
    if (bytes == NULL)
        return complain(why, why_size, -ENOMEM, "cannot plan the cut of", directory->path);
    plan_lay(plan, directory->header.uuid, bytes);
    int error = bytes_write(io, directory, bytes, size);
    free(bytes);
    return error == 0 ? 0 : complain(why, why_size, error, "nothing was cut: cannot note the plan in", directory->path);
}

static int shard_take(struct cut_plan *plan, uint32_t i, const uint8_t **at, size_t *left)
{
    uint32_t size = plan->shards[i].partial_size_bytes;
    if (size > *left || size > WAL_FRAME_SIZE_MAX)
        return -EBADMSG;
    if (size == 0)
        return 0;
    plan->records[i] = malloc(size);
    if (plan->records[i] == NULL)
        return -ENOMEM;
    memcpy(plan->records[i], *at, size);
    *at += size;
    *left -= size;
    return 0;
}

/* `size` bytes whose checksum, which follows them, has been checked. */
static int plan_parse(struct cut_plan *plan, const struct wal_directory *directory, const uint8_t *bytes, size_t size)
{
    struct cut_header header;
    memcpy(&header, bytes, sizeof header);
    bool ours = header.magic == CUT_MAGIC && header.version == CUT_VERSION &&
                header.shards_count <= directory->header.shards_count && header.shards_count <= WAL_SHARDS_MAX &&
                memcmp(header.uuid, directory->header.uuid, sizeof header.uuid) == 0;
    size_t shards_size = ours ? header.shards_count * sizeof plan->shards[0] : 0;
    if (!ours || size < sizeof header + shards_size)
        return -EBADMSG;
    plan->shards_count = header.shards_count;
    memcpy(plan->shards, bytes + sizeof header, shards_size);
    const uint8_t *at = bytes + sizeof header + shards_size;
    size_t left = size - sizeof header - shards_size;
    int error = 0;
    for (uint32_t i = 0; i < plan->shards_count && error == 0; i++)
        error = shard_take(plan, i, &at, &left);
    return error == 0 && left != 0 ? -EBADMSG : error;
}

static int bytes_read(struct io *io, const char *path, uint8_t **bytes, size_t *size)
{
    int file = io_open(io, path, IO_OPEN_READ);
    if (file < 0)
        return file;
    int64_t there = io_size_of(io, file);
    int error = there < 0 ? (int)there : 0;
    if (error == 0 && (there < (int64_t)(sizeof(struct cut_header) + sizeof(struct hash128)) ||
                       (uint64_t)there > (uint64_t)WAL_SHARDS_MAX * 2 * WAL_FRAME_SIZE_MAX))
        error = -EBADMSG;
    *size = error == 0 ? (size_t)there : 0;
    *bytes = error == 0 ? malloc(*size) : NULL;
    if (error == 0 && *bytes == NULL)
        error = -ENOMEM;
    ssize_t got = error == 0 ? io_read_at(io, file, *bytes, *size, 0) : 0;
    io_close(io, file);
    if (error == 0 && got != (ssize_t)*size)
        error = got < 0 ? (int)got : -EBADMSG;
    return error;
}

int cut_plan_read(struct io *io, const struct wal_directory *directory, struct cut_plan *plan, char *why,
                  size_t why_size)
{
    char path[WAL_PATH_SIZE];
    uint8_t *bytes = NULL;
    size_t size = 0;
    *plan = (struct cut_plan){ .shards_count = 0 };
    int error = path_of(directory, WAL_NAME_CUTTING, path);
    if (error == 0)
        error = bytes_read(io, path, &bytes, &size);
    struct hash128 check;
    if (error == 0) {
        size -= sizeof check;
        memcpy(&check, bytes + size, sizeof check);
        error = hash128_equal(check, hash128(bytes, size, 0)) ? plan_parse(plan, directory, bytes, size) : -EBADMSG;
    }
    free(bytes);
    return error == 0 ? 0 : complain(why, why_size, error, "cannot read what the interrupted cut was to do from", path);
}

/* ---- Doing it ------------------------------------------------------------------------------------------------------------------ */

static struct wal_source source_of(const struct wal_directory *directory, uint32_t shard, char path[WAL_PATH_SIZE])
{
    struct wal_source source = { .directory = wal_shard_path(directory, shard, path),
                                 .shard = shard,
                                 .shards_count = directory->header.shards_count,
                                 .segment_size = directory->header.segment_size };
    memcpy(source.uuid, directory->header.uuid, sizeof source.uuid);
    return source;
}

/* Above every segment there is, so that also one that an interrupted run wrote never has its number used again. */
static int sequence_find(struct io *io, const struct wal_source *source, uint64_t planned, uint64_t *sequence)
{
    struct wal_segments segments = { .sequences = NULL };
    int error = wal_segments_list(io, source->directory, &segments);
    *sequence = planned;
    if (error == 0 && segments.count > 0 && segments.sequences[segments.count - 1] >= planned)
        *sequence = segments.sequences[segments.count - 1] + 1;
    wal_segments_free(&segments);
    return error;
}

struct snapshot_sweep {
    struct io *io;
    const char *directory;
    uint64_t next_index;
};

static int name_unlink(const struct snapshot_sweep *sweep, const char *name)
{
    char path[WAL_FILE_PATH_SIZE];
    int length = snprintf(path, sizeof path, "%s/%s", sweep->directory, name);
    int error = length > 0 && length < (int)sizeof path ? io_unlink(sweep->io, path) : -ENAMETOOLONG;
    return error == -ENOENT ? 0 : error;
}

static int snapshot_visit(void *context, const char *name)
{
    const struct snapshot_sweep *sweep = context;
    uint64_t index = 0;
    if (!wal_file_parse(name, WAL_SUFFIX_SNAPSHOT, &index) || index < sweep->next_index)
        return 0;
    return name_unlink(sweep, name);
}

/* Snapshots of frames that are cut away go, and before them what says that they ought to be there: those that stay are found without it. */
static int snapshots_drop(struct io *io, const char *directory, uint64_t next_index)
{
    struct snapshot_sweep sweep = { .io = io, .directory = directory, .next_index = next_index };
    int error = name_unlink(&sweep, WAL_MANIFEST_NAME);
    if (error == 0)
        error = io_list(io, directory, snapshot_visit, &sweep);
    return error == 0 ? io_sync_directory(io, directory) : error;
}

static int shard_run(struct io *io, const struct wal_directory *directory, const struct cut_plan *plan, uint32_t i,
                     const char **doing)
{
    const struct cut_shard *cut = &plan->shards[i];
    char path[WAL_PATH_SIZE];
    struct wal_source source = source_of(directory, cut->shard, path);
    struct epoch_partial partial = { .records = plan->records[i],
                                     .size_bytes = cut->partial_size_bytes,
                                     .engine_level = cut->engine_level,
                                     .time_ns = cut->partial_time_ns,
                                     .config = cut->partial_config != 0 };
    struct epoch_order order = {
        .directory = directory,
        .shard = cut->shard,
        .position = { .next_index = cut->next_index,
                      .next_lsn = cut->next_lsn,
                      .last_time_ns = cut->last_time_ns,
                      .previous_hash = cut->previous_hash },
        .partial = cut->partial_size_bytes > 0 ? &partial : NULL,
        .reason = EPOCH_CUT,
        .granted_lsn = cut->granted_lsn,
        .engine_level = cut->engine_level,
    };
    *doing = "what lies behind the cut could not be taken away";
    int error = sequence_find(io, &source, cut->next_segment_sequence, &order.position.next_segment_sequence);
    if (error == 0)
        error = snapshots_drop(io, source.directory, cut->next_index);
    struct wal_place end = { .segment_sequence = cut->segment_sequence, .offset = cut->offset };
    if (error == 0)
        error = wal_end_at(io, &source, end);
    return error == 0 ? epoch_write(&order, doing) : error;
}

/* The new end, read as a server will. */
static int shard_check(struct io *io, const struct wal_directory *directory, const struct cut_shard *cut,
                       const char **doing)
{
    char path[WAL_PATH_SIZE];
    struct wal_source source = source_of(directory, cut->shard, path);
    struct wal_report report;
    struct log_start begin;
    *doing = "the log does not read as it was written";
    int error = log_start_find(io, &source, &begin);
    source.start = begin.found ? &begin.start : NULL;
    if (error == 0)
        error = wal_read(io, &source, NULL, NULL, &report);
    bool good = error == 0 && report.verdict == WAL_CLEAN && report.last_lsn == wal_epoch_behind(cut->granted_lsn);
    return error == 0 && !good ? -EBADMSG : error;
}

int cut_plan_run(struct io *io, const struct wal_directory *directory, const struct cut_plan *plan, char *why,
                 size_t why_size)
{
    char path[WAL_PATH_SIZE];
    const char *doing = "its path is too long";
    int error = path_of(directory, WAL_NAME_CUTTING, path);
    uint32_t shard = 0;
    for (uint32_t i = 0; i < plan->shards_count && error == 0; i++) {
        shard = plan->shards[i].shard;
        error = shard_run(io, directory, plan, i, &doing);
        if (error == 0)
            error = shard_check(io, directory, &plan->shards[i], &doing);
    }
    if (error == 0) {
        doing = "the plan could not be taken away";
        error = io_unlink(io, path);
    }
    if (error == 0)
        error = io_sync_directory(io, directory->path);
    if (error != 0)
        snprintf(why, why_size,
                 "shard %u: %s: %s. The cut is not finished, and no server starts on %s; run the same command again.",
                 shard, doing, strerror(-error), directory->path);
    return error;
}
