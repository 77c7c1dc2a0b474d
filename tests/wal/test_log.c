/* The log being written, on the real kernel: chain, order, rotation, bytes on disk. What only a faulty disk shows is in
 * test_log_faults.c. */
#include "tests/wal/scratch.h"
#include "tests/wal/world.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct world world;

static void setup(void)
{
    char path[SCRATCH_PATH_SIZE];
    world_init(&world, scratch_path("log", path));
}

static void teardown(void)
{
    scratch_remove(world.path);
}

TestSuite(log, .init = setup, .fini = teardown);

/* Every frame that was handed out follows from the one before it. */
static void frames_check(void)
{
    uint64_t lsn = 1;
    for (size_t i = 0; i < world.frames_count; i++) {
        const struct world_frame *frame = &world.frames[i];
        cr_assert_eq(frame->index, i + 1);
        cr_assert_eq(frame->first_lsn, lsn);
        cr_assert_lt(frame->durable_index, frame->index);
        cr_assert(i == 0 || frame->time_ns >= frame[-1].time_ns);
        lsn += frame->records;
    }
}

Test(log, lsns_and_indexes_run_without_a_gap_through_restarts_and_segments)
{
    for (uint32_t start = 0; start < 3; start++) {
        world_start(&world);
        for (uint32_t i = 0; i < 40; i++) {
            cr_assert_eq(world_append(&world, 96), start * 80 + 2 * i + 1);
            cr_assert_eq(world_append(&world, 200), start * 80 + 2 * i + 2);
            world_seal(&world);
        }
        world_drain(&world);
        frames_check();
        world_stop(&world);
    }
    struct wal_report report = world_read(&world);
    cr_assert_eq(report.verdict, WAL_CLEAN, "%s", report.stop_reason);
    cr_assert_eq(report.frames, 120);
    cr_assert_eq(report.records, 240);
    cr_assert_eq(report.first_lsn, 1);
    cr_assert_eq(report.last_lsn, 240);
    cr_assert_eq(report.position.next_lsn, 241);
    cr_assert_eq(report.position.next_index, 121);
    cr_assert(hash128_equal(report.position.previous_hash, world.frames[119].hash));
}

/* Both copies of its segment's header say what the first frame is and what it follows. */
static void header_check(const struct world_frame *first, struct hash128 previous_hash)
{
    for (uint64_t copy = 0; copy < WAL_SEGMENT_HEADER_BLOCKS; copy++) {
        struct wal_segment_header header;
        char path[WAL_PATH_SIZE];
        world_segment_path(&world, first->segment_sequence, path);
        cr_assert_eq(scratch_read(path, copy * WAL_BLOCK_SIZE, &header, sizeof(header)), sizeof(header));
        cr_assert_null(wal_segment_header_check(&header));
        cr_assert_eq(header.segment_sequence, first->segment_sequence);
        cr_assert_eq(header.first_frame_index, first->index);
        cr_assert_eq(header.first_lsn, first->first_lsn);
        cr_assert(hash128_equal(header.previous_hash, previous_hash));
        cr_assert_eq(memcmp(header.uuid, world.options.uuid, sizeof(header.uuid)), 0);
    }
}

/* Two frames to a segment, and one that leaves no room at all behind it. */
Test(log, a_frame_that_does_not_fit_begins_the_next_segment_and_the_rest_stays_zero)
{
    world_start(&world);
    for (int i = 0; i < 7; i++) {
        while (!wal_has_room(world.wal, 5 * 5000)) /* or world_append would seal what there is */
            world_turn(&world);
        for (int j = 0; j < 5; j++)
            (void)world_append(&world, i == 3 ? 5000 : 4000); /* 5000: to the last byte of the segment with frame 3 */
        world_seal(&world);
    }
    world_drain(&world);
    world_stop(&world);
    frames_check();
    for (size_t i = 0; i < world.frames_count; i++) {
        const struct world_frame *frame = &world.frames[i];
        bool first = i == 0 || frame->segment_sequence != frame[-1].segment_sequence;
        cr_assert_leq(frame->offset + frame->size, (uint64_t)WORLD_SEGMENT_SIZE);
        cr_assert_eq(frame->offset, first ? (uint64_t)WAL_SEGMENT_DATA_OFFSET : frame[-1].offset + frame[-1].size);
        if (first)
            header_check(frame, i == 0 ? (struct hash128){ 0, 0 } : frame[-1].hash);
        bool last = i + 1 == world.frames_count || frame[1].segment_sequence != frame->segment_sequence;
        if (!last)
            continue;
        static uint8_t rest[WORLD_SEGMENT_SIZE];
        static const uint8_t zeros[WORLD_SEGMENT_SIZE];
        char path[WAL_PATH_SIZE];
        world_segment_path(&world, frame->segment_sequence, path);
        uint64_t end = frame->offset + frame->size;
        cr_assert_eq(scratch_read(path, end, rest, sizeof(rest)), WORLD_SEGMENT_SIZE - end);
        cr_assert_eq(memcmp(rest, zeros, WORLD_SEGMENT_SIZE - end), 0);
    }
    cr_assert_eq(world.frames[6].segment_sequence, 4u);
    struct wal_report report = world_read(&world);
    cr_assert_eq(report.verdict, WAL_CLEAN, "%s", report.stop_reason);
    cr_assert_eq(report.records, 35u);
}

Test(log, a_segment_that_is_full_to_the_last_byte_is_followed_by_the_next)
{
    world_start(&world);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 14; j++) /* 14 blocks behind the header */
            world_noop(&world);
    cr_assert_eq(world.frames[13].offset + world.frames[13].size, (uint64_t)WORLD_SEGMENT_SIZE);
    cr_assert_eq(world.frames[14].offset, (uint64_t)WAL_SEGMENT_DATA_OFFSET);
    cr_assert_eq(world.frames[55].segment_sequence, 4u);
    world_stop(&world);
    struct wal_report report = world_read(&world);
    cr_assert_eq(report.verdict, WAL_CLEAN, "%s", report.stop_reason);
    cr_assert_eq(report.frames, 56u);
    world_start(&world); /* and at once after a start, too */
    world_noop(&world);
    frames_check();
    world_stop(&world);
}

Test(log, padding_reaches_the_disk_as_zeros_whatever_the_buffer_held_before)
{
    world_start(&world);
    for (int i = 0; i < 12; i++) { /* every buffer carries a full frame, then a small one */
        (void)world_commit(&world, i % 2 == 0 ? (uint16_t)(4000 - 16 * i) : 40);
    }
    world_stop(&world);
    for (size_t i = 0; i < world.frames_count; i++) {
        static uint8_t bytes[8 * KIB];
        static const uint8_t zeros[8 * KIB];
        const struct world_frame *frame = &world.frames[i];
        char path[WAL_PATH_SIZE];
        world_segment_path(&world, frame->segment_sequence, path);
        cr_assert_eq(scratch_read(path, frame->offset, bytes, frame->size), frame->size);
        const struct wal_frame_header *header = (const void *)bytes;
        size_t end = sizeof(*header) + header->payload_size;
        cr_assert_eq(memcmp(bytes + end, zeros, frame->size - end), 0, "frame %zu", i);
    }
}

Test(log, a_frame_is_full_before_it_overflows)
{
    world_start(&world);
    uint32_t room = world.options.frame_size_max - (uint32_t)sizeof(struct wal_frame_header);
    cr_assert(wal_has_room(world.wal, room));
    cr_assert_not(wal_has_room(world.wal, room + 8));
    (void)world_append(&world, (uint16_t)room);
    cr_assert_not(wal_has_room(world.wal, 32));
    world_seal(&world);
    world_drain(&world);
    cr_assert_eq(world.frames[0].size, world.options.frame_size_max);
    world_stop(&world);
}

Test(log, a_frame_is_never_larger_than_a_segment_holds)
{
    world.options.frame_size_max = WAL_FRAME_SIZE_MAX;
    world_start(&world);
    uint32_t room = WORLD_SEGMENT_SIZE - WAL_SEGMENT_DATA_OFFSET - (uint32_t)sizeof(struct wal_frame_header);
    cr_assert(wal_has_room(world.wal, room));
    cr_assert_not(wal_has_room(world.wal, room + 8));
    for (int i = 0; i < 3; i++)
        (void)world_commit(&world, (uint16_t)room);
    cr_assert_eq(world.frames[2].segment_sequence, 3u);
    world_stop(&world);
    cr_assert_eq(world_read(&world).records, 3u);
}

/* What world_append put into a record, by its LSN. */
static int content_check(void *context, const struct wal_frame_header *frame)
{
    uint64_t *lsn = context;
    cr_assert_eq(frame->first_lsn, *lsn);
    for (const struct record_header *record = wal_record_first(frame); record;
         record = wal_record_next(frame, record), ++*lsn) {
        const uint8_t *bytes = (const uint8_t *)record;
        for (size_t i = sizeof(*record); i < record->size; i++)
            cr_assert_eq(bytes[i], (uint8_t)(*lsn + i));
    }
    return 0;
}

Test(log, a_segment_larger_than_the_readers_window_is_read_as_it_was_written)
{
    world.options.segment_size = 8 * MIB;
    world.options.frame_size_max = WAL_FRAME_SIZE_MAX;
    world_start(&world);
    for (int i = 0; i < 24; i++) {
        for (int j = 0; j < 2 + i % 13; j++)
            (void)world_append(&world, (uint16_t)(60000 - 8 * i));
        world_seal(&world);
    }
    world_drain(&world);
    struct wal_report report;
    uint64_t lsn = 1;
    cr_assert_eq(wal_read(world.io, &world.source, content_check, &lsn, &report), 0);
    cr_assert_eq(report.verdict, WAL_CLEAN, "%s", report.stop_reason);
    cr_assert_eq(lsn, wal_state_of(world.wal).next_lsn);
    cr_assert_gt(wal_state_of(world.wal).segment_sequence, 1u);
    world_stop(&world);
}

Test(log, frames_count_what_they_carry)
{
    world_start(&world);
    (void)world_commit(&world, 96);
    (void)world_append(&world, 96);
    (void)world_commit(&world, 4000);
    world_noop(&world);
    struct wal_state state = wal_state_of(world.wal);
    cr_assert_eq(state.frames, 3u);
    cr_assert_eq(state.records, 3u);
    cr_assert_eq(state.bytes, 4096u + 8192 + 4096);
    cr_assert_eq(state.padding_bytes, state.bytes - 3 * sizeof(struct wal_frame_header) - 96 - 96 - 4000);
    cr_assert_eq(state.next_lsn, 4u);
    cr_assert_eq(state.next_index, 4u);
    cr_assert_eq(state.durable_index, 3u);
    cr_assert_eq(state.last_time_ns, world.time_ns - 1);
    cr_assert_eq(state.stalls, 0u);
    world_stop(&world);
}

Test(log, a_noop_is_due_until_a_later_frame_tells_of_the_last_data)
{
    world_start(&world);
    cr_assert_not(wal_state_of(world.wal).evidence_missing);
    (void)world_commit(&world, 96);
    cr_assert(wal_state_of(world.wal).evidence_missing);
    world_noop(&world);
    cr_assert_not(wal_state_of(world.wal).evidence_missing);
    world_noop(&world);
    cr_assert_not(wal_state_of(world.wal).evidence_missing); /* a noop needs no noop */
    (void)world_commit(&world, 96);
    (void)world_commit(&world, 96);
    cr_assert(wal_state_of(world.wal).evidence_missing);
    world_stop(&world);
    world_start(&world);
    cr_assert(wal_state_of(world.wal).evidence_missing); /* recovered frames, too */
    world_noop(&world);
    cr_assert_not(wal_state_of(world.wal).evidence_missing);
    world_stop(&world);
}

Test(log, log_time_never_goes_back)
{
    world_start(&world);
    (void)world_commit(&world, 96);
    uint64_t time_ns = wal_state_of(world.wal).last_time_ns;
    (void)world_append(&world, 96);
    wal_seal(world.wal, time_ns - 500, 1, false);
    world_drain(&world);
    cr_assert_eq(world.frames[1].time_ns, time_ns);
    world_stop(&world);
}

/* A crash is a log that was closed without being drained: what is on the disk is what had completed. */
Test(log, a_start_after_each_crash_goes_on_behind_what_was_acknowledged)
{
    uint64_t acknowledged = 0;
    for (int crash = 0; crash < 10; crash++) {
        world_start(&world);
        cr_assert_gt(wal_state_of(world.wal).next_lsn, acknowledged);
        for (int i = 0; i < 3 + crash; i++)
            acknowledged = world_commit(&world, 200);
        (void)world_append(&world, 200); /* never sealed */
        if (crash % 2 == 0)
            world_seal(&world); /* sealed and never waited for */
        world_stop(&world);
    }
    struct wal_report report = world_read(&world);
    cr_assert_eq(report.verdict, WAL_CLEAN, "%s", report.stop_reason);
    cr_assert_geq(report.last_lsn, acknowledged);
}

Test(log, its_memory_is_what_it_says)
{
    size_t size = wal_memory_size(&world.options);
    cr_assert_geq(size, (size_t)(world.options.depth_max + 1) * world.options.frame_size_max + WAL_BLOCK_SIZE);
    cr_assert_leq(size, (size_t)(world.options.depth_max + 1) * world.options.frame_size_max + MIB);
    cr_assert_eq(wal_buffers_count(&world.options), world.options.depth_max + 2);
}
