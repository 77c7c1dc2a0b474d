#include "net/engine_snapshot.h"

static_assert(CAPTURE_CHUNK_SIZE == WAL_SNAPSHOT_CHUNK_SIZE, "what the engine hands out is what the file holds");
static_assert(sizeof(struct snapshot_head) <= WAL_SNAPSHOT_HEAD_SIZE_MAX, "the engine's head fits the file's block 0");

static bool chunk_next(void *context, uint64_t *chunk)
{
    return capture_next(context, chunk);
}

static void chunk_fill(void *context, uint64_t chunk, void *bytes, size_t size_bytes)
{
    capture_fill(context, chunk, bytes, size_bytes);
}

void engine_snapshot_begin(struct wal_snapshot_writer *writer, struct engine *engine, const struct wal_start *behind)
{
    struct snapshot_head head;
    snapshot_begin(engine, &head);
    struct wal_snapshot_header what = {
        .index = behind->position.next_index - 1,
        .next_lsn = behind->position.next_lsn,
        .time_ns = behind->position.last_time_ns,
        .previous_hash = behind->position.previous_hash,
        .segment_sequence = behind->place.segment_sequence,
        .segment_offset = behind->place.offset,
        .engine_level = head.engine_level,
        .data_size = snapshot_data_size(&head),
    };
    struct wal_snapshot_source source = { .context = snapshot_capture(engine), .next = chunk_next, .fill = chunk_fill };
    wal_snapshot_begin(writer, &what, &head, sizeof head, &source);
}
