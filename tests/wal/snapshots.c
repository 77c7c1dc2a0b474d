#include "tests/wal/snapshots.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#define HEAD "what is not in pages"

char snapshots_why[WAL_SNAPSHOT_WHY_SIZE];

void snapshots_init(struct snapshots *snapshots, const char *directory)
{
    *snapshots = (struct snapshots){ .place = { .shard = 2, .shards_count = 5 } };
    snprintf(snapshots->directory, sizeof(snapshots->directory), "%s", directory);
    snapshots->place.directory = snapshots->directory;
    for (size_t i = 0; i < sizeof(snapshots->place.uuid); i++)
        snapshots->place.uuid[i] = (uint8_t)(i * 37 + 11);
}

static void io_open_for(struct snapshots *snapshots)
{
    const struct io_options options = { .ring_entries = 64, .fixed_buffers_count = 1 };
    const char *why = NULL;
    cr_assert_eq(io_create(&options, &snapshots->io, &why), 0, "%s", why);
    cr_assert_eq(io_adopt(snapshots->io), 0);
}

void snapshots_open(struct snapshots *snapshots, uint64_t trusted_index)
{
    io_open_for(snapshots);
    snapshots->buffer = aligned_alloc(WAL_BLOCK_SIZE, WAL_SNAPSHOT_BUFFER_SIZE);
    cr_assert_not_null(snapshots->buffer);
    const struct iovec buffer = { .iov_base = snapshots->buffer, .iov_len = WAL_SNAPSHOT_BUFFER_SIZE };
    cr_assert_eq(io_buffers_register(snapshots->io, &buffer, 1), 0);
    const struct wal_snapshot_writer_options options = {
        .place = snapshots->place,
        .data_size_max = SNAPSHOTS_DATA_MAX,
        .bytes = snapshots->buffer,
        .trusted_index = trusted_index,
    };
    cr_assert_eq(wal_snapshot_writer_init(snapshots->io, &options, &snapshots->writer), 0);
}

void snapshots_close(struct snapshots *snapshots)
{
    wal_snapshot_writer_free(snapshots->writer);
    io_destroy(snapshots->io);
    free(snapshots->buffer);
    snapshots->writer = NULL;
    snapshots->io = NULL;
    snapshots->buffer = NULL;
}

/* ---- Pages --------------------------------------------------------------------------------------------------------------- */

/* Eight bytes of a snapshot's pages. */
static uint64_t word_at(uint64_t index, uint64_t offset)
{
    return (offset + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ index << 56;
}

static void page_bytes(uint64_t index, uint64_t offset, void *bytes, size_t size_bytes)
{
    uint64_t *words = bytes;
    for (size_t i = 0; i < size_bytes / sizeof(*words); i++)
        words[i] = word_at(index, offset + i * sizeof(*words));
}

static bool source_next(void *context, uint64_t *chunk)
{
    struct snapshots *snapshots = context;
    cr_assert_not(snapshots->closed, "the source is called after its end");
    if (snapshots->handed == snapshots->chunks_count)
        return false;
    snapshots->handed++;
    *chunk = (snapshots->handed * snapshots->stride + snapshots->chunks_count / 2) % snapshots->chunks_count;
    return true;
}

static void source_fill(void *context, uint64_t chunk, void *bytes, size_t size_bytes)
{
    const struct snapshots *snapshots = context;
    uint64_t offset = chunk * WAL_SNAPSHOT_CHUNK_SIZE;
    uint64_t left = snapshots->data_size - offset;
    cr_assert_not(snapshots->closed, "the source is called after its end");
    cr_assert_eq(size_bytes, left < WAL_SNAPSHOT_CHUNK_SIZE ? left : WAL_SNAPSHOT_CHUNK_SIZE);
    page_bytes(snapshots->index, offset, bytes, size_bytes);
}

/* A step that comes to every chunk. */
static uint64_t stride_for(uint64_t count)
{
    static const uint64_t primes[] = { 7, 5, 3, 2 };
    for (size_t i = 0; i < ARRAY_COUNT(primes); i++)
        if (count % primes[i] != 0)
            return primes[i];
    return 1;
}

/* ---- Writing ------------------------------------------------------------------------------------------------------------- */

struct wal_snapshot_header snapshots_header(uint64_t index, uint64_t data_size)
{
    return (struct wal_snapshot_header){
        .index = index,
        .next_lsn = 3 * index,
        .time_ns = 1000 * index,
        .previous_hash = { .low = 17 * index, .high = 19 * index },
        .segment_sequence = index / 10 + 1,
        .segment_offset = 12288,
        .engine_level = 1,
        .data_size = data_size,
    };
}

void snapshots_begin(struct snapshots *snapshots, uint64_t index, uint64_t data_size)
{
    snapshots->index = index;
    snapshots->data_size = data_size;
    snapshots->chunks_count = (data_size + WAL_SNAPSHOT_CHUNK_SIZE - 1) / WAL_SNAPSHOT_CHUNK_SIZE;
    snapshots->stride = stride_for(snapshots->chunks_count);
    snapshots->handed = 0;
    snapshots->closed = false;
    const struct wal_snapshot_header header = snapshots_header(index, data_size);
    const struct wal_snapshot_source source = { .context = snapshots, .next = source_next, .fill = source_fill };
    wal_snapshot_begin(snapshots->writer, &header, HEAD, sizeof(HEAD), &source);
}

void snapshots_turn(struct snapshots *snapshots)
{
    wal_snapshot_tend(snapshots->writer, io_now_ns(snapshots->io));
    uint64_t due_ns = wal_snapshot_due_ns(snapshots->writer);
    struct wal_snapshot_state state = wal_snapshot_state_of(snapshots->writer);
    if (due_ns != NEVER_NS || state.deleting || state.status == WAL_SNAPSHOT_RUNNING)
        cr_assert_eq(io_run(snapshots->io, due_ns), 0);
}

struct wal_snapshot_state snapshots_run(struct snapshots *snapshots)
{
    for (int turn = 0; turn < SNAPSHOTS_TURNS_MAX; turn++) {
        struct wal_snapshot_state state = wal_snapshot_state_of(snapshots->writer);
        if (state.status != WAL_SNAPSHOT_RUNNING && !state.deleting &&
            wal_snapshot_due_ns(snapshots->writer) == NEVER_NS)
            return state;
        snapshots_turn(snapshots);
    }
    cr_assert_fail("a snapshot never ends");
    return wal_snapshot_state_of(snapshots->writer);
}

void snapshots_make(struct snapshots *snapshots, uint64_t index, uint64_t data_size)
{
    snapshots_begin(snapshots, index, data_size);
    struct wal_snapshot_state state = snapshots_run(snapshots);
    cr_assert_eq(state.status, WAL_SNAPSHOT_DONE, "%d while %s", state.error, state.doing);
    cr_assert_eq(state.index, index);
    cr_assert(state.chunks_taken);
    cr_assert_eq(state.bytes_written, state.bytes_total);
}

/* ---- Reading ------------------------------------------------------------------------------------------------------------- */

static void *sink_place(void *context, uint64_t offset, size_t *size_bytes)
{
    struct snapshots *snapshots = context;
    uint64_t run_size = snapshots->run_size;
    if (run_size != 0 && *size_bytes > run_size - offset % run_size)
        *size_bytes = run_size - offset % run_size;
    return snapshots->memory + offset;
}

/* What is said to be loaded is there. */
static int sink_loaded(void *context, uint64_t upto)
{
    struct snapshots *snapshots = context;
    cr_assert_geq(upto, snapshots->loaded);
    for (uint64_t at = snapshots->loaded; at < upto; at += sizeof(uint64_t)) {
        uint64_t word = 0;
        memcpy(&word, snapshots->memory + at, sizeof(word));
        if (word != word_at(snapshots->index, at))
            cr_assert_fail("snapshot %" PRIu64 " holds other bytes at %" PRIu64, snapshots->index, at);
    }
    snapshots->loaded = upto;
    return snapshots->stop_with != 0 && upto >= snapshots->stop_at ? snapshots->stop_with : 0;
}

static void block_compare(const struct wal_snapshot_block *block, uint64_t index)
{
    struct wal_snapshot_header expected = snapshots_header(index, block->header.data_size);
    cr_assert_eq(block->header.index, index);
    cr_assert_eq(block->header.next_lsn, expected.next_lsn);
    cr_assert_eq(block->header.time_ns, expected.time_ns);
    cr_assert(hash128_equal(block->header.previous_hash, expected.previous_hash));
    cr_assert_eq(block->header.segment_sequence, expected.segment_sequence);
    cr_assert_eq(block->header.segment_offset, expected.segment_offset);
    cr_assert_eq(block->header.head_size, sizeof(HEAD));
    cr_assert_arr_eq(block->head, HEAD, sizeof(HEAD));
}

static int pages_read(struct snapshots *snapshots, struct wal_snapshot_reader *reader, uint32_t reads_max)
{
    uint64_t data_size = reader->block->header.data_size;
    snapshots->memory = aligned_alloc(WAL_BLOCK_SIZE, data_size);
    cr_assert_not_null(snapshots->memory);
    snapshots->loaded = 0;
    const struct wal_snapshot_sink sink = { .context = snapshots, .place = sink_place, .loaded = sink_loaded };
    int rc = wal_snapshot_read(reader, &sink, reads_max);
    cr_assert(rc != 0 || snapshots->loaded == data_size);
    free(snapshots->memory);
    return rc;
}

int snapshots_read(struct snapshots *snapshots, uint64_t index, uint32_t reads_max)
{
    bool opened = snapshots->io == NULL;
    if (opened)
        io_open_for(snapshots);
    struct wal_snapshot_reader reader;
    snapshots->index = index;
    int rc = wal_snapshot_open(&reader, snapshots->io, &snapshots->place, index);
    if (rc == 0) {
        block_compare(reader.block, index);
        rc = pages_read(snapshots, &reader, reads_max);
    }
    memcpy(snapshots_why, reader.why, sizeof(snapshots_why));
    wal_snapshot_close(&reader);
    if (opened) {
        io_destroy(snapshots->io);
        snapshots->io = NULL;
    }
    return rc;
}

/* ---- Paths --------------------------------------------------------------------------------------------------------------- */

char *snapshots_path(const struct snapshots *snapshots, uint64_t index, char path[SCRATCH_PATH_SIZE])
{
    int length = snprintf(path, SCRATCH_PATH_SIZE, "%s/%016" PRIx64 ".snapshot", snapshots->directory, index);
    cr_assert(length > 0 && length < SCRATCH_PATH_SIZE);
    return path;
}

char *snapshots_manifest_path(const struct snapshots *snapshots, char path[SCRATCH_PATH_SIZE])
{
    int length = snprintf(path, SCRATCH_PATH_SIZE, "%s/manifest", snapshots->directory);
    cr_assert(length > 0 && length < SCRATCH_PATH_SIZE);
    return path;
}
