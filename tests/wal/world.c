#include "tests/wal/world.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define TURNS_MAX 100000
#define TURN_NS (2 * NS_PER_SECOND)

void world_init(struct world *world, const char *path)
{
    *world = (struct world){ .time_ns = 1000 };
    cr_assert_lt(strlen(path), sizeof(world->path));
    memcpy(world->path, path, strlen(path) + 1);
    world->options = (struct wal_options){
        .segment_size = WORLD_SEGMENT_SIZE,
        .frame_size_max = 32 * KIB,
        .depth_max = 4,
        .ready_min = 2,
    };
}

static void io_start(struct world *world)
{
    struct io_options options = { .ring_entries = 64,
                                  .fixed_buffers_count = WAL_DEPTH_MAX + 2,
                                  .fixed_files_max = WAL_FILES_MAX };
    const char *why = NULL;
    cr_assert_eq(io_create(&options, &world->io, &why), 0, "%s", why);
    cr_assert_eq(io_adopt(world->io), 0);
}

static void source_set(struct world *world)
{
    wal_shard_path(&world->directory, 0, world->shard_path);
    world->source = (struct wal_source){
        .directory = world->shard_path,
        .shards_count = world->directory.header.shards_count,
        .segment_size = world->directory.header.segment_size,
    };
    memcpy(world->source.uuid, world->directory.header.uuid, sizeof(world->source.uuid));
    memcpy(world->options.uuid, world->directory.header.uuid, sizeof(world->options.uuid));
    world->options.directory = world->shard_path;
    world->options.shards_count = world->source.shards_count;
}

void world_start(struct world *world)
{
    char why[512] = "";
    io_start(world);
    int rc = wal_directory_open(world->io, world->path, 1, 1, world->options.segment_size, &world->directory, why,
                                sizeof(why));
    cr_assert_eq(rc, 0, "%s", why);
    source_set(world);
    struct wal_report report = world_read(world);
    cr_assert_neq(report.verdict, WAL_DAMAGED, "%s at %llu", report.stop_reason,
                  (unsigned long long)report.stop_offset);
    if (report.verdict == WAL_TORN_TAIL)
        cr_assert_eq(wal_discard_tail(world->io, &world->source, &report), 0);
    if (report.last_time_ns > world->time_ns)
        world->time_ns = report.last_time_ns;
    const char *reason = NULL;
    rc = wal_open(world->io, &world->options, &report.position, &world->wal, &reason);
    cr_assert_eq(rc, 0, "%d: %s", rc, reason);
}

void world_stop(struct world *world)
{
    if (world->wal)
        wal_close(world->wal);
    world->wal = NULL;
    wal_directory_close(world->io, &world->directory);
    io_destroy(world->io);
    world->io = NULL;
}

struct wal_report world_read(struct world *world)
{
    struct wal_report report;
    bool started = world->io != NULL;
    if (!started)
        io_start(world);
    cr_assert_eq(wal_read(world->io, &world->source, NULL, NULL, &report), 0, "%s", report.stop_path);
    if (!started) {
        io_destroy(world->io);
        world->io = NULL;
    }
    return report;
}

static void frames_take(struct world *world)
{
    for (const struct wal_frame_header *frame; (frame = wal_durable(world->wal)) != NULL; wal_release(world->wal)) {
        cr_assert_lt(world->frames_count, (size_t)WORLD_FRAMES_MAX);
        world->frames[world->frames_count++] = (struct world_frame){
            .index = frame->index,
            .first_lsn = frame->first_lsn,
            .time_ns = frame->time_ns,
            .durable_index = frame->durable_index,
            .segment_sequence = frame->segment_sequence,
            .offset = (uint64_t)frame->block_number * WAL_BLOCK_SIZE,
            .size = frame->frame_size,
            .records = frame->records_count,
            .hash = frame->hash,
        };
    }
}

void world_turn(struct world *world)
{
    wal_tend(world->wal);
    cr_assert_eq(io_run(world->io, io_now_ns(world->io) + TURN_NS), 0);
    frames_take(world);
}

uint64_t world_append(struct world *world, uint16_t size)
{
    static _Alignas(RECORD_ALIGNMENT) uint8_t bytes[RECORD_SIZE_MAX];
    struct record_header *record = (void *)bytes;
    memset(bytes, 0, size);
    *record = (struct record_header){ .size = size, .kind = 10, .version = 1, .property = 7 };
    uint64_t lsn = wal_state_of(world->wal).next_lsn;
    for (size_t i = sizeof(*record); i < size; i++)
        bytes[i] = (uint8_t)(lsn + i);
    for (int turn = 0; !wal_has_room(world->wal, size); turn++) {
        cr_assert_lt(turn, TURNS_MAX);
        if (wal_may_seal(world->wal))
            world_seal(world);
        else
            world_turn(world);
    }
    cr_assert_eq(wal_append(world->wal, record), lsn);
    return lsn;
}

void world_seal(struct world *world)
{
    for (int turn = 0; !wal_may_seal(world->wal); turn++) {
        cr_assert_lt(turn, TURNS_MAX);
        cr_assert_eq(wal_error(world->wal), 0);
        world_turn(world);
    }
    wal_seal(world->wal, world->time_ns++, 1, false);
}

void world_drain(struct world *world)
{
    for (int turn = 0; wal_state_of(world->wal).in_flight > 0; turn++) {
        cr_assert_lt(turn, TURNS_MAX);
        cr_assert_eq(wal_error(world->wal), 0);
        world_turn(world);
    }
}

uint64_t world_commit(struct world *world, uint16_t size)
{
    uint64_t lsn = world_append(world, size);
    world_seal(world);
    world_drain(world);
    return lsn;
}

void world_noop(struct world *world)
{
    world_seal(world);
    world_drain(world);
}

void world_segment_path(const struct world *world, uint64_t sequence, char path[WAL_PATH_SIZE])
{
    int length = snprintf(path, WAL_PATH_SIZE, "%s/%016llx.wal", world->shard_path, (unsigned long long)sequence);
    cr_assert(length > 0 && length < WAL_PATH_SIZE);
}
