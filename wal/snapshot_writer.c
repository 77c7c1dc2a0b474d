#include "wal/snapshot_writer.h"

#include "wal/segment_file.h"
#include "wal/snapshot_reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How much of a late turn is made up for: a rate is kept in the mean over this time. */
#define CATCH_UP_NS (20 * NS_PER_MS)

/* In this order. PAGES is many writes; every other step is one call, or one request that moves on when it completes. */
enum step {
    STEP_NONE,
    STEP_CREATE,
    STEP_PAGES, /* chunks, then their table */
    STEP_BLOCK,
    STEP_SYNC,
    STEP_RENAME,
    STEP_SYNC_NAME,
    STEP_MANIFEST_CREATE,
    STEP_MANIFEST_WRITE,
    STEP_MANIFEST_SYNC,
    STEP_MANIFEST_RENAME,
    STEP_MANIFEST_SYNC_NAME,
    STEP_FINISH,
    STEP_CLEAR_FILE, /* after a failure */
    STEP_CLEAR_NAME,
    STEP_CLEAR_MANIFEST,
};

/* One request and the chunk of registered memory that it writes from. */
struct slot {
    struct wal_snapshot_writer *writer;
    struct io_request request;
    uint8_t *bytes;
    uint32_t size; /* to be written; 0: a sync */
    bool busy;
};

/* Deleting a snapshot, which can take the kernel seconds: one at a time, of a file that is not open. */
struct deletion {
    struct wal_snapshot_writer *writer;
    struct io_request request;
    char path[WAL_FILE_PATH_SIZE];
    bool busy;
    bool clears; /* up after a failure; else it was an older snapshot */
};

/* A complete snapshot that the manifest names. */
struct kept {
    struct wal_manifest_entry entry;
    uint64_t created_wall_ns;
};

struct wal_snapshot_writer {
    struct io *io;
    struct wal_snapshot_writer_options options;
    char directory[WAL_FILE_PATH_SIZE];
    int directory_file;
    struct slot slots[WAL_SNAPSHOT_WRITES_MAX];
    uint32_t in_flight;

    enum step step;
    int file; /* the snapshot's or the manifest's tmp; -1: none */
    enum step failed_step;
    struct wal_snapshot_source source;
    struct wal_snapshot_block block; /* of the one that is being written */
    uint64_t salt;
    uint64_t chunks_count;
    uint64_t chunks_taken;
    uint64_t table_written;    /* bytes of the table handed to the io */
    struct hash128 *table;     /* room for options.data_size_max */
    uint8_t *taken;            /* a bit for each chunk */
    XXH3_state_t *table_state; /* the hash of what table_written counts */
    uint64_t rate;
    uint64_t next_write_ns; /* by the rate */

    struct kept kept[WAL_SNAPSHOTS_KEPT]; /* newest first */
    struct kept fresh;                    /* what the one being written becomes */
    uint64_t surplus;                     /* an older snapshot to unlink; 0: none known */
    bool look_due;                        /* there may be more */
    struct deletion deletion;
    struct wal_snapshot_state state;
};

/* ---- Names --------------------------------------------------------------------------------------------------------------- */

static int manifest_path(const struct wal_snapshot_writer *writer, const char *name, char path[WAL_FILE_PATH_SIZE])
{
    int length = snprintf(path, WAL_FILE_PATH_SIZE, "%s/%s", writer->directory, name);
    return length > 0 && length < WAL_FILE_PATH_SIZE ? 0 : -ENAMETOOLONG;
}

static int snapshot_path(const struct wal_snapshot_writer *writer, const char *suffix, char path[WAL_FILE_PATH_SIZE])
{
    return wal_file_path(path, writer->directory, writer->block.header.index, suffix);
}

/* What is not there is as good as unlinked. */
static int unlink_if_there(struct io *io, const char *path)
{
    int rc = io_unlink(io, path);
    return rc == -ENOENT ? 0 : rc;
}

/* A fresh file for direct writing. One that is there is left over from a snapshot that failed and could not be cleared up. */
static int file_create(struct wal_snapshot_writer *writer, const char *path)
{
    REQUIRE(writer->file < 0);
    int rc = unlink_if_there(writer->io, path);
    if (rc != 0)
        return rc;
    rc = io_open(writer->io, path, IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_DIRECT);
    if (rc < 0)
        return rc;
    writer->file = rc;
    return 0;
}

static void file_close(struct wal_snapshot_writer *writer)
{
    REQUIRE(writer->in_flight == 0);
    if (writer->file >= 0)
        io_close(writer->io, writer->file);
    writer->file = -1;
}

/* ---- Failures ------------------------------------------------------------------------------------------------------------ */

/* The first one counts; what is in flight is waited for. */
static void snapshot_fail(struct wal_snapshot_writer *writer, int error)
{
    REQUIRE(error < 0);
    if (writer->state.error != 0)
        return;
    writer->state.error = error;
    writer->state.chunks_taken = true;
    writer->failed_step = writer->step;
    writer->step = STEP_CLEAR_FILE;
}

/* ---- Requests ------------------------------------------------------------------------------------------------------------ */

static bool pages_are_left(const struct wal_snapshot_writer *writer)
{
    return writer->step == STEP_PAGES &&
           writer->table_written < wal_snapshot_table_size(writer->block.header.data_size);
}

/* A short write is a disk that runs full. A failed sync says nothing of what reached the disk, so nothing is tried again. */
static void slot_done(struct io_request *request, const struct io_completion *completion)
{
    struct slot *slot = request->context;
    struct wal_snapshot_writer *writer = slot->writer;
    REQUIRE(slot->busy && writer->in_flight > 0);
    slot->busy = false;
    writer->in_flight--;
    if (completion->result < 0) {
        snapshot_fail(writer, completion->result);
    } else if ((uint32_t)completion->result != slot->size) {
        snapshot_fail(writer, -ENOSPC);
    } else {
        if (writer->step == STEP_PAGES || writer->step == STEP_BLOCK)
            writer->state.bytes_written += slot->size;
        if (writer->state.error == 0 && writer->in_flight == 0 && !pages_are_left(writer))
            writer->step++;
    }
}

static struct slot *slot_take(struct wal_snapshot_writer *writer)
{
    struct slot *slot = writer->slots;
    while (slot->busy)
        slot++;
    ENSURE(slot < writer->slots + WAL_SNAPSHOT_WRITES_MAX);
    slot->busy = true;
    slot->request = (struct io_request){ .done = slot_done, .context = slot };
    writer->in_flight++;
    return slot;
}

static void slot_write(struct slot *slot, uint32_t size_bytes, uint64_t offset)
{
    struct wal_snapshot_writer *writer = slot->writer;
    slot->size = size_bytes;
    io_write_fixed(writer->io, &slot->request, writer->file, writer->options.buffer, slot->bytes, size_bytes, offset,
                   false);
}

static struct slot *slot_take_for_sync(struct wal_snapshot_writer *writer)
{
    struct slot *slot = slot_take(writer);
    slot->size = 0;
    return slot;
}

/* What cannot be deleted after a failure goes at the next start; older snapshots that cannot are tried again with the next one. */
static void deletion_done(struct io_request *request, const struct io_completion *completion)
{
    struct deletion *deletion = request->context;
    struct wal_snapshot_writer *writer = deletion->writer;
    REQUIRE(deletion->busy);
    deletion->busy = false;
    if (deletion->clears)
        writer->step++;
    else
        writer->look_due = completion->result == 0 || completion->result == -ENOENT;
}

static void deletion_start(struct wal_snapshot_writer *writer, uint64_t index, const char *suffix)
{
    struct deletion *deletion = &writer->deletion;
    REQUIRE(!deletion->busy && writer->file < 0);
    *deletion = (struct deletion){ .writer = writer, .clears = writer->step != STEP_NONE };
    int rc = wal_file_path(deletion->path, writer->directory, index, suffix);
    REQUIRE(rc == 0); /* it was made under such a name */
    deletion->busy = true;
    deletion->request = (struct io_request){ .done = deletion_done, .context = deletion };
    io_unlink_later(writer->io, &deletion->request, deletion->path);
}

/* ---- Pages and their table ----------------------------------------------------------------------------------------------- */

static void chunk_mark_taken(struct wal_snapshot_writer *writer, uint64_t chunk)
{
    uint8_t bit = (uint8_t)(1u << chunk % 8);
    REQUIRE(chunk < writer->chunks_count);
    REQUIRE((writer->taken[chunk / 8] & bit) == 0); /* each exactly once */
    writer->taken[chunk / 8] |= bit;
    writer->chunks_taken++;
}

/* Returns the bytes handed to the io; 0: the source has no more. */
static uint32_t chunk_write_next(struct wal_snapshot_writer *writer)
{
    uint64_t chunk = 0;
    if (!writer->source.next(writer->source.context, &chunk)) {
        REQUIRE(writer->chunks_taken == writer->chunks_count);
        return 0;
    }
    chunk_mark_taken(writer, chunk);
    uint32_t size = wal_snapshot_chunk_bytes(writer->block.header.data_size, chunk);
    struct slot *slot = slot_take(writer);
    writer->source.fill(writer->source.context, chunk, slot->bytes, size);
    writer->table[chunk] = wal_snapshot_chunk_hash(writer->salt, chunk, slot->bytes, size);
    slot_write(slot, size, WAL_BLOCK_SIZE + chunk * WAL_SNAPSHOT_CHUNK_SIZE);
    return size;
}

static void table_hash_add(struct wal_snapshot_writer *writer, const void *bytes, size_t size_bytes)
{
    XXH_errorcode rc = XXH3_128bits_update(writer->table_state, bytes, size_bytes);
    ENSURE(rc == XXH_OK);
}

static uint32_t table_write_next(struct wal_snapshot_writer *writer)
{
    uint64_t data_size = writer->block.header.data_size;
    uint64_t at = writer->table_written;
    uint64_t size = wal_snapshot_table_size(data_size) - at;
    if (size > WAL_SNAPSHOT_CHUNK_SIZE)
        size = WAL_SNAPSHOT_CHUNK_SIZE;
    uint64_t filled = writer->chunks_count * sizeof(struct hash128) - at;
    if (filled > size)
        filled = size;
    struct slot *slot = slot_take(writer);
    memcpy(slot->bytes, (const uint8_t *)writer->table + at, filled);
    memset(slot->bytes + filled, 0, size - filled);
    table_hash_add(writer, slot->bytes, filled);
    slot_write(slot, (uint32_t)size, wal_snapshot_table_offset(data_size) + at);
    writer->table_written += size;
    return (uint32_t)size;
}

static void rate_count(struct wal_snapshot_writer *writer, uint64_t now_ns, uint64_t size_bytes)
{
    if (writer->rate == 0)
        return;
    uint64_t earliest = now_ns > CATCH_UP_NS ? now_ns - CATCH_UP_NS : 0;
    if (writer->next_write_ns < earliest)
        writer->next_write_ns = earliest;
    writer->next_write_ns += size_bytes * NS_PER_SECOND / writer->rate;
}

static uint32_t in_flight_max(const struct wal_snapshot_writer *writer)
{
    return writer->rate == 0 ? WAL_SNAPSHOT_WRITES_MAX : 1;
}

static void pages_tend(struct wal_snapshot_writer *writer, uint64_t now_ns)
{
    for (uint32_t i = 0; i < WAL_SNAPSHOT_WRITES_MAX && pages_are_left(writer); i++) {
        bool due = writer->rate == 0 || now_ns >= writer->next_write_ns;
        if (!due || writer->in_flight >= in_flight_max(writer))
            return;
        uint32_t size = writer->state.chunks_taken ? 0 : chunk_write_next(writer);
        if (size == 0) {
            writer->state.chunks_taken = true;
            size = table_write_next(writer);
        }
        rate_count(writer, now_ns, size);
    }
}

/* ---- The other steps ----------------------------------------------------------------------------------------------------- */

static int step_create(struct wal_snapshot_writer *writer)
{
    char path[WAL_FILE_PATH_SIZE];
    int rc = snapshot_path(writer, WAL_SUFFIX_SNAPSHOT_TMP, path);
    return rc != 0 ? rc : file_create(writer, path);
}

static void fresh_set(struct wal_snapshot_writer *writer)
{
    const struct wal_snapshot_header *header = &writer->block.header;
    writer->fresh = (struct kept){
        .entry = {
            .index = header->index,
            .next_lsn = header->next_lsn,
            .segment_sequence = header->segment_sequence,
            .segment_offset = header->segment_offset,
            .file_size = wal_snapshot_file_size(header->data_size),
            .block_check = writer->block.check,
        },
        .created_wall_ns = header->created_wall_ns,
    };
}

static int step_write_block(struct wal_snapshot_writer *writer)
{
    XXH128_hash_t hash = XXH3_128bits_digest(writer->table_state);
    writer->block.header.table_hash = (struct hash128){ .low = hash.low64, .high = hash.high64 };
    wal_snapshot_block_seal(&writer->block);
    ENSURE(wal_snapshot_block_check(&writer->block) == NULL);
    fresh_set(writer);
    struct slot *slot = slot_take(writer);
    memcpy(slot->bytes, &writer->block, sizeof(writer->block));
    slot_write(slot, sizeof(writer->block), 0);
    return 0;
}

static int step_sync(struct wal_snapshot_writer *writer)
{
    io_sync(writer->io, &slot_take_for_sync(writer)->request, writer->file);
    return 0;
}

static int step_rename(struct wal_snapshot_writer *writer)
{
    file_close(writer);
    char from[WAL_FILE_PATH_SIZE];
    char to[WAL_FILE_PATH_SIZE];
    int rc = snapshot_path(writer, WAL_SUFFIX_SNAPSHOT_TMP, from);
    if (rc == 0)
        rc = snapshot_path(writer, WAL_SUFFIX_SNAPSHOT, to);
    return rc != 0 ? rc : io_rename(writer->io, from, to);
}

static int step_sync_name(struct wal_snapshot_writer *writer)
{
    io_sync_entries(writer->io, &slot_take_for_sync(writer)->request, writer->directory_file);
    return 0;
}

static int step_manifest_create(struct wal_snapshot_writer *writer)
{
    char path[WAL_FILE_PATH_SIZE];
    int rc = manifest_path(writer, WAL_MANIFEST_TMP_NAME, path);
    return rc != 0 ? rc : file_create(writer, path);
}

/* Without an older snapshot to fall back on, the whole log is what there is to fall back on. */
static int step_manifest_write(struct wal_snapshot_writer *writer)
{
    const struct wal_snapshot_place *place = &writer->options.place;
    struct slot *slot = slot_take(writer);
    struct wal_manifest *manifest = (void *)slot->bytes;
    *manifest = (struct wal_manifest){
        .count = writer->state.kept > 0 ? 2 : 1,
        .shard = place->shard,
        .shards_count = place->shards_count,
        .oldest_segment = writer->state.kept > 0 ? writer->kept[0].entry.segment_sequence : 1,
        .entries = { writer->fresh.entry },
    };
    memcpy(manifest->uuid, place->uuid, sizeof(manifest->uuid));
    if (writer->state.kept > 0)
        manifest->entries[1] = writer->kept[0].entry;
    wal_manifest_seal(manifest);
    ENSURE(wal_manifest_check(manifest) == NULL);
    slot_write(slot, sizeof(*manifest), 0);
    return 0;
}

static int step_manifest_rename(struct wal_snapshot_writer *writer)
{
    file_close(writer);
    char from[WAL_FILE_PATH_SIZE];
    char to[WAL_FILE_PATH_SIZE];
    int rc = manifest_path(writer, WAL_MANIFEST_TMP_NAME, from);
    if (rc == 0)
        rc = manifest_path(writer, WAL_MANIFEST_NAME, to);
    return rc != 0 ? rc : io_rename(writer->io, from, to);
}

/* ---- What is kept -------------------------------------------------------------------------------------------------------- */

static void kept_add_newest(struct wal_snapshot_writer *writer, const struct kept *newest)
{
    memmove(&writer->kept[1], &writer->kept[0], (WAL_SNAPSHOTS_KEPT - 1) * sizeof(*newest));
    writer->kept[0] = *newest;
    if (writer->state.kept < WAL_SNAPSHOTS_KEPT)
        writer->state.kept++;
}

static void kept_report(struct wal_snapshot_writer *writer)
{
    struct wal_snapshot_state *state = &writer->state;
    for (uint32_t i = 0; i < state->kept; i++)
        state->kept_indexes[i] = writer->kept[i].entry.index;
    if (state->kept == 0)
        return;
    const struct kept *newest = &writer->kept[0];
    state->newest_lsn = newest->entry.next_lsn - 1;
    state->newest_created_wall_ns = newest->created_wall_ns;
    state->newest_file_size = newest->entry.file_size;
    if (state->kept == WAL_SNAPSHOTS_KEPT)
        state->oldest_segment = writer->kept[WAL_SNAPSHOTS_KEPT - 1].entry.segment_sequence;
}

static int surplus_visit(void *context, const char *name)
{
    struct wal_snapshot_writer *writer = context;
    uint64_t index = 0;
    if (!wal_file_parse(name, WAL_SUFFIX_SNAPSHOT, &index) || index >= writer->kept[WAL_SNAPSHOTS_KEPT - 1].entry.index)
        return 0;
    const struct wal_snapshot_writer_options *options = &writer->options;
    if (options->keeps != NULL && options->keeps(options->keeps_context, index))
        return 0;
    writer->surplus = index;
    return 1;
}

/* Older ones only cost space. Where they cannot be found or unlinked, the next snapshot tries again. */
static void surplus_tend(struct wal_snapshot_writer *writer)
{
    if (writer->surplus == 0) {
        writer->look_due = io_list(writer->io, writer->directory, surplus_visit, writer) == 1;
        return;
    }
    deletion_start(writer, writer->surplus, WAL_SUFFIX_SNAPSHOT);
    writer->look_due = false;
    writer->surplus = 0;
}

/* ---- The end ------------------------------------------------------------------------------------------------------------- */

static void snapshot_end(struct wal_snapshot_writer *writer, enum wal_snapshot_status status)
{
    ENSURE(writer->in_flight == 0 && writer->file < 0);
    writer->step = STEP_NONE;
    writer->state.status = status;
    writer->state.ended_ns = io_now_ns(writer->io);
}

static int step_finish(struct wal_snapshot_writer *writer)
{
    kept_add_newest(writer, &writer->fresh);
    kept_report(writer);
    writer->look_due = writer->state.kept == WAL_SNAPSHOTS_KEPT;
    writer->state.done_count++;
    snapshot_end(writer, WAL_SNAPSHOT_DONE);
    return 0;
}

static int step_clear_file(struct wal_snapshot_writer *writer)
{
    file_close(writer);
    deletion_start(writer, writer->block.header.index, WAL_SUFFIX_SNAPSHOT_TMP);
    return 0;
}

/* Once the manifest may name it, the snapshot stays: it is complete and durable. */
static int step_clear_name(struct wal_snapshot_writer *writer)
{
    if (writer->failed_step > STEP_RENAME && writer->failed_step < STEP_MANIFEST_RENAME)
        deletion_start(writer, writer->block.header.index, WAL_SUFFIX_SNAPSHOT);
    return 0;
}

static int step_clear_manifest(struct wal_snapshot_writer *writer)
{
    char path[WAL_FILE_PATH_SIZE];
    bool created = writer->failed_step >= STEP_MANIFEST_CREATE;
    if (created && manifest_path(writer, WAL_MANIFEST_TMP_NAME, path) == 0)
        (void)!unlink_if_there(writer->io, path);
    writer->state.failed_count++;
    snapshot_end(writer, WAL_SNAPSHOT_FAILED);
    return 0;
}

/* ---- One step after the other ---------------------------------------------------------------------------------------------- */

static const struct {
    int (*run)(struct wal_snapshot_writer *writer); /* 0, or the negated errno it failed with */
    const char *doing;
} steps[] = {
    [STEP_NONE] = { NULL, NULL },
    [STEP_CREATE] = { step_create, "creating its file" },
    [STEP_PAGES] = { NULL, "writing pages" },
    [STEP_BLOCK] = { step_write_block, "writing its first block" },
    [STEP_SYNC] = { step_sync, "syncing its file" },
    [STEP_RENAME] = { step_rename, "renaming its file" },
    [STEP_SYNC_NAME] = { step_sync_name, "syncing the directory with its file's name" },
    [STEP_MANIFEST_CREATE] = { step_manifest_create, "creating the manifest" },
    [STEP_MANIFEST_WRITE] = { step_manifest_write, "writing the manifest" },
    [STEP_MANIFEST_SYNC] = { step_sync, "syncing the manifest" },
    [STEP_MANIFEST_RENAME] = { step_manifest_rename, "renaming the manifest" },
    [STEP_MANIFEST_SYNC_NAME] = { step_sync_name, "syncing the directory with the manifest's name" },
    [STEP_FINISH] = { step_finish, NULL },
    [STEP_CLEAR_FILE] = { step_clear_file, NULL },
    [STEP_CLEAR_NAME] = { step_clear_name, NULL },
    [STEP_CLEAR_MANIFEST] = { step_clear_manifest, NULL },
};

/* An older snapshot may be on its way out while the next one is written, but not while that is cleared up. */
static bool step_waits(const struct wal_snapshot_writer *writer)
{
    bool clears = writer->step == STEP_NONE || writer->step >= STEP_CLEAR_FILE;
    return writer->in_flight > 0 || (clears && writer->deletion.busy);
}

/* A step that asked the io for something goes on when that is done, any other at once. */
static void step_tend(struct wal_snapshot_writer *writer)
{
    enum step step = writer->step;
    int rc = steps[step].run(writer);
    if (rc != 0)
        snapshot_fail(writer, rc);
    else if (!step_waits(writer) && writer->step == step)
        writer->step++;
}

void wal_snapshot_tend(struct wal_snapshot_writer *writer, uint64_t now_ns)
{
    if (writer->step == STEP_PAGES)
        pages_tend(writer, now_ns);
    else if (step_waits(writer))
        return;
    else if (writer->step != STEP_NONE)
        step_tend(writer);
    else if (writer->look_due)
        surplus_tend(writer);
}

uint64_t wal_snapshot_due_ns(const struct wal_snapshot_writer *writer)
{
    if (writer->step == STEP_PAGES) {
        bool waits = !pages_are_left(writer) || writer->in_flight >= in_flight_max(writer);
        return waits ? NEVER_NS : writer->rate == 0 ? 0 : writer->next_write_ns;
    }
    if (step_waits(writer))
        return NEVER_NS;
    return writer->step != STEP_NONE || writer->look_due ? 0 : NEVER_NS;
}

void wal_snapshot_rate_set(struct wal_snapshot_writer *writer, uint64_t bytes_per_second)
{
    if (writer->rate == bytes_per_second)
        return;
    writer->rate = bytes_per_second;
    writer->next_write_ns = 0;
}

void wal_snapshot_abandon(struct wal_snapshot_writer *writer)
{
    if (writer->step != STEP_NONE && writer->step < STEP_MANIFEST_RENAME)
        snapshot_fail(writer, -ECANCELED);
}

struct wal_snapshot_state wal_snapshot_state_of(const struct wal_snapshot_writer *writer)
{
    struct wal_snapshot_state state = writer->state;
    state.deleting = writer->deletion.busy;
    if (state.status == WAL_SNAPSHOT_FAILED)
        state.doing = steps[writer->failed_step].doing;
    return state;
}

/* ---- Beginning one ------------------------------------------------------------------------------------------------------- */

static void block_begin(struct wal_snapshot_writer *writer, const struct wal_snapshot_header *what, const void *head,
                        uint32_t head_size)
{
    const struct wal_snapshot_place *place = &writer->options.place;
    writer->block = (struct wal_snapshot_block){
        .header = {
            .shard = place->shard,
            .shards_count = place->shards_count,
            .index = what->index,
            .next_lsn = what->next_lsn,
            .time_ns = what->time_ns,
            .previous_hash = what->previous_hash,
            .segment_sequence = what->segment_sequence,
            .segment_offset = what->segment_offset,
            .engine_level = what->engine_level,
            .head_size = head_size,
            .data_size = what->data_size,
            .created_wall_ns = io_wall_ns(writer->io),
        },
    };
    memcpy(writer->block.header.uuid, place->uuid, sizeof(place->uuid));
    if (head_size > 0)
        memcpy(writer->block.head, head, head_size);
}

static void table_begin(struct wal_snapshot_writer *writer)
{
    const struct wal_snapshot_header *header = &writer->block.header;
    writer->salt = wal_snapshot_salt(header->uuid, header->shard, header->index);
    writer->chunks_count = wal_snapshot_chunks_count(header->data_size);
    writer->chunks_taken = 0;
    writer->table_written = 0;
    memset(writer->taken, 0, writer->chunks_count / 8 + 1);
    XXH3_INITSTATE(writer->table_state); /* reset_withSeed looks at the seed that is there */
    XXH_errorcode rc = XXH3_128bits_reset_withSeed(writer->table_state, writer->salt);
    ENSURE(rc == XXH_OK);
}

static void state_begin(struct wal_snapshot_writer *writer)
{
    struct wal_snapshot_state *state = &writer->state;
    state->status = WAL_SNAPSHOT_RUNNING;
    state->chunks_taken = false;
    state->index = writer->block.header.index;
    state->bytes_written = 0;
    state->bytes_total = wal_snapshot_file_size(writer->block.header.data_size);
    state->began_ns = io_now_ns(writer->io);
    state->ended_ns = 0;
    state->error = 0;
}

void wal_snapshot_begin(struct wal_snapshot_writer *writer, const struct wal_snapshot_header *what, const void *head,
                        uint32_t head_size, const struct wal_snapshot_source *source)
{
    REQUIRE(writer->step == STEP_NONE && writer->in_flight == 0);
    REQUIRE(what->index > 0 && (writer->state.kept == 0 || what->index > writer->kept[0].entry.index));
    REQUIRE(what->data_size > 0 && what->data_size <= writer->options.data_size_max);
    REQUIRE(what->data_size % WAL_BLOCK_SIZE == 0 && head_size <= WAL_SNAPSHOT_HEAD_SIZE_MAX);
    writer->source = *source;
    block_begin(writer, what, head, head_size);
    table_begin(writer);
    state_begin(writer);
    writer->next_write_ns = 0;
    writer->surplus = 0;
    writer->look_due = false;
    writer->step = STEP_CREATE;
}

/* ---- Start and end of the writer ----------------------------------------------------------------------------------------- */

static int leftover_visit(void *context, const char *name)
{
    struct wal_snapshot_writer *writer = context;
    char path[WAL_FILE_PATH_SIZE];
    uint64_t index = 0;
    int rc = 0;
    if (wal_file_parse(name, WAL_SUFFIX_SNAPSHOT_TMP, &index))
        rc = wal_file_path(path, writer->directory, index, WAL_SUFFIX_SNAPSHOT_TMP);
    else if (strcmp(name, WAL_MANIFEST_TMP_NAME) == 0)
        rc = manifest_path(writer, WAL_MANIFEST_TMP_NAME, path);
    else
        return 0;
    return rc != 0 ? rc : unlink_if_there(writer->io, path);
}

/* Keeps the snapshot if it opens; one that does not, for whatever reason, is not relied on. */
static int kept_try(struct wal_snapshot_writer *writer, uint64_t index)
{
    struct wal_snapshot_reader reader;
    int rc = wal_snapshot_open(&reader, writer->io, &writer->options.place, index);
    if (rc == 0) {
        writer->block = *reader.block;
        fresh_set(writer);
        writer->kept[writer->state.kept++] = writer->fresh;
    }
    wal_snapshot_close(&reader);
    return rc == -ENOMEM ? rc : 0;
}

/* True if the manifest names what is kept: one that a crash left behind may still need what is not. */
static bool manifest_agrees(struct wal_snapshot_writer *writer)
{
    struct wal_manifest *manifest = malloc(sizeof(*manifest));
    char why[WAL_SNAPSHOT_WHY_SIZE];
    bool agrees = manifest != NULL && wal_manifest_read(writer->io, &writer->options.place, manifest, why) == 0 &&
                  manifest->count == writer->state.kept;
    for (uint32_t i = 0; agrees && i < manifest->count; i++)
        agrees = manifest->entries[i].index == writer->kept[i].entry.index;
    free(manifest);
    return agrees;
}

static int kept_find(struct wal_snapshot_writer *writer)
{
    struct wal_snapshots snapshots = { .indexes = NULL };
    int rc = wal_snapshots_list(writer->io, writer->directory, &snapshots);
    for (size_t i = 0; rc == 0 && i < snapshots.count && writer->state.kept < WAL_SNAPSHOTS_KEPT; i++)
        if (snapshots.indexes[i] <= writer->options.trusted_index)
            rc = kept_try(writer, snapshots.indexes[i]);
    wal_snapshots_free(&snapshots);
    kept_report(writer);
    bool agrees = rc == 0 && writer->state.kept == WAL_SNAPSHOTS_KEPT && manifest_agrees(writer);
    writer->look_due = agrees;
    if (!agrees)
        writer->state.oldest_segment = 0; /* nothing goes before the next manifest */
    return rc;
}

static int writer_allocate(struct wal_snapshot_writer *writer)
{
    uint64_t chunks = wal_snapshot_chunks_count(writer->options.data_size_max);
    writer->table = malloc(chunks * sizeof(*writer->table));
    writer->taken = malloc(chunks / 8 + 1);
    writer->table_state = aligned_alloc(_Alignof(XXH3_state_t), sizeof(*writer->table_state));
    return writer->table && writer->taken && writer->table_state ? 0 : -ENOMEM;
}

static int writer_open(struct wal_snapshot_writer *writer)
{
    const struct wal_snapshot_writer_options *options = &writer->options;
    int length = snprintf(writer->directory, sizeof(writer->directory), "%s", options->place.directory);
    if (length < 0 || length >= (int)sizeof(writer->directory))
        return -ENAMETOOLONG;
    writer->options.place.directory = writer->directory;
    char longest[WAL_FILE_PATH_SIZE];
    int rc = wal_file_path(longest, writer->directory, 1, WAL_SUFFIX_SNAPSHOT_TMP);
    if (rc != 0)
        return rc;
    for (uint32_t i = 0; i < WAL_SNAPSHOT_WRITES_MAX; i++) {
        writer->slots[i].writer = writer;
        writer->slots[i].bytes = options->bytes + (size_t)i * WAL_SNAPSHOT_CHUNK_SIZE;
    }
    rc = writer_allocate(writer);
    if (rc != 0)
        return rc;
    writer->directory_file = io_open(writer->io, writer->directory, IO_OPEN_READ);
    if (writer->directory_file < 0)
        return writer->directory_file;
    rc = io_list(writer->io, writer->directory, leftover_visit, writer);
    return rc != 0 ? rc : kept_find(writer);
}

int wal_snapshot_writer_init(struct io *io, const struct wal_snapshot_writer_options *options,
                             struct wal_snapshot_writer **writer_out)
{
    REQUIRE((uintptr_t)options->bytes % WAL_BLOCK_SIZE == 0);
    REQUIRE(options->data_size_max > 0 && options->data_size_max <= WAL_SNAPSHOT_DATA_SIZE_MAX);
    struct wal_snapshot_writer *writer = calloc(1, sizeof(*writer));
    *writer_out = NULL;
    if (!writer)
        return -ENOMEM;
    writer->io = io;
    writer->options = *options;
    writer->file = -1;
    writer->directory_file = -1;
    int rc = writer_open(writer);
    if (rc != 0)
        wal_snapshot_writer_free(writer);
    else
        *writer_out = writer;
    return rc;
}

/* An io that cannot be run any more has nothing in flight that could still come back. */
static void writer_end(struct wal_snapshot_writer *writer)
{
    wal_snapshot_abandon(writer);
    while (writer->step != STEP_NONE || writer->deletion.busy) {
        if (writer->step != STEP_NONE)
            wal_snapshot_tend(writer, io_now_ns(writer->io));
        if ((writer->in_flight > 0 || writer->deletion.busy) && io_run(writer->io, NEVER_NS) != 0)
            return;
    }
}

void wal_snapshot_writer_free(struct wal_snapshot_writer *writer)
{
    if (!writer)
        return;
    writer_end(writer);
    if (writer->file >= 0)
        io_close(writer->io, writer->file);
    if (writer->directory_file >= 0)
        io_close(writer->io, writer->directory_file);
    free(writer->table);
    free(writer->taken);
    free(writer->table_state);
    free(writer);
}

size_t wal_snapshot_writer_memory_size(uint64_t data_size_max)
{
    uint64_t chunks = wal_snapshot_chunks_count(data_size_max);
    return sizeof(struct wal_snapshot_writer) + chunks * sizeof(struct hash128) + chunks / 8 + 1 + sizeof(XXH3_state_t);
}
