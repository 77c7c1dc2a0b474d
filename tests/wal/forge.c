#include "tests/wal/forge.h"

#include "tests/wal/scratch.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void forge_begin(struct forge *forge, struct world *world)
{
    *forge = (struct forge){
        .world = world,
        .sequence = 1,
        .offset = WAL_SEGMENT_DATA_OFFSET,
        .next_index = 1,
        .next_lsn = 1,
        .time_ns = 1000,
    };
}

void forge_blank(const struct world *world, uint64_t sequence)
{
    char path[WAL_PATH_SIZE];
    world_segment_path(world, sequence, path);
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    cr_assert_geq(file, 0, "%s", path);
    cr_assert_eq(ftruncate(file, WORLD_SEGMENT_SIZE), 0);
    close(file);
}

struct wal_segment_header forge_header(const struct forge *forge, uint64_t sequence)
{
    struct wal_segment_header header = {
        .magic = WAL_SEGMENT_MAGIC,
        .version = WAL_FORMAT_VERSION,
        .header_size = sizeof(header),
        .shards_count = 1,
        .segment_sequence = sequence,
        .segment_size = WORLD_SEGMENT_SIZE,
        .first_frame_index = forge->next_index,
        .first_lsn = forge->next_lsn,
        .time_ns = forge->time_ns,
        .previous_hash = forge->previous_hash,
    };
    memcpy(header.uuid, forge->world->source.uuid, sizeof(header.uuid));
    wal_segment_header_seal(&header);
    return header;
}

void forge_header_write(const struct world *world, uint64_t sequence, const struct wal_segment_header *header)
{
    char path[WAL_PATH_SIZE];
    world_segment_path(world, sequence, path);
    scratch_write(path, 0, header, sizeof(*header));
    scratch_write(path, WAL_BLOCK_SIZE, header, sizeof(*header));
}

void forge_segment(struct forge *forge, uint64_t sequence)
{
    struct wal_segment_header header = forge_header(forge, sequence);
    forge_blank(forge->world, sequence);
    forge_header_write(forge->world, sequence, &header);
    forge->sequence = sequence;
    forge->offset = WAL_SEGMENT_DATA_OFFSET;
}

static uint64_t or_natural(uint64_t wanted, uint64_t natural)
{
    return wanted != 0 ? wanted : natural;
}

static void records_fill(uint8_t *payload, const struct forge_frame *wanted, uint64_t first_lsn)
{
    for (uint32_t i = 0; i < wanted->records; i++) {
        uint8_t *bytes = payload + (size_t)i * wanted->record_size;
        struct record_header record = { .size = wanted->record_size, .kind = 10, .version = 1, .property = 7 };
        memset(bytes, (int)(0x40 + (first_lsn + i) % 64), wanted->record_size);
        memcpy(bytes, &record, sizeof(record));
    }
}

struct world_frame forge_frame(struct forge *forge, struct forge_frame wanted)
{
    static _Alignas(WAL_BLOCK_SIZE) uint8_t bytes[WORLD_SEGMENT_SIZE];
    struct wal_frame_header *frame = (void *)bytes;
    memset(bytes, 0, sizeof(bytes));
    uint32_t payload_size = wanted.records * wanted.record_size;
    uint64_t sequence = or_natural(wanted.salt_sequence, forge->sequence);
    *frame = (struct wal_frame_header){
        .magic = WAL_FRAME_MAGIC,
        .version =
            (uint8_t)or_natural(wanted.version, wanted.flags != 0 ? WAL_FRAME_VERSION_FLAGS : WAL_FORMAT_VERSION),
        .type = wanted.records > 0 ? WAL_FRAME_DATA : WAL_FRAME_NOOP,
        .flags = wanted.flags,
        .frame_size = (uint32_t)wal_frame_padded_size(payload_size),
        .payload_size = payload_size,
        .records_count = wanted.records,
        .engine_level = 1,
        .segment_sequence = sequence,
        .block_number = (uint32_t)or_natural(wanted.block_number, forge->offset / WAL_BLOCK_SIZE),
        .index = or_natural(wanted.index, forge->next_index),
        .first_lsn = or_natural(wanted.first_lsn, forge->next_lsn),
        .time_ns = or_natural(wanted.time_ns, ++forge->time_ns),
        .durable_index = wanted.durable_index,
        .commit_index = wanted.durable_index,
        .previous_hash = forge->previous_hash,
    };
    frame->previous_hash.low ^= wanted.other_history;
    records_fill(bytes + sizeof(*frame), &wanted, frame->first_lsn);
    wal_frame_seal(frame, wal_salt(forge->world->source.uuid, 0, sequence));

    char path[WAL_PATH_SIZE];
    world_segment_path(forge->world, forge->sequence, path);
    cr_assert_leq(forge->offset + frame->frame_size, WORLD_SEGMENT_SIZE);
    scratch_write(path, forge->offset, bytes, frame->frame_size);
    struct world_frame made = {
        .index = frame->index,
        .first_lsn = frame->first_lsn,
        .time_ns = frame->time_ns,
        .durable_index = frame->durable_index,
        .segment_sequence = forge->sequence,
        .offset = forge->offset,
        .size = frame->frame_size,
        .records = frame->records_count,
        .hash = frame->hash,
    };
    forge->offset += frame->frame_size;
    forge->next_index++;
    forge->next_lsn = (wanted.flags != 0 ? frame->first_lsn : forge->next_lsn) + wanted.records;
    forge->previous_hash = frame->hash;
    return made;
}
