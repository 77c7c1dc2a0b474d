/* The log on a disk that completes in any order, late, short or not at all. */
#include "tests/wal/fake_io.h"
#include "tests/wal/world.h"
#include "wal/segment_pool.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <string.h>

static struct world world;

static void setup(void)
{
    world_init(&world, "/data");
    world_start(&world);
}

/* Whatever a test left in flight completes, so that the log can be closed: closing waits for it. */
static void teardown(void)
{
    fake_io_hold(false);
    world_stop(&world);
}

TestSuite(log_faults, .init = setup, .fini = teardown);

/* Segments that are large enough for a test about frames alone. */
static void setup_roomy(void)
{
    world_init(&world, "/data");
    world.options.segment_size = MIB;
    world_start(&world);
}

TestSuite(log_order, .init = setup_roomy, .fini = teardown);

/* Runs until both segments are ready and nothing is in flight, so that what follows is frames alone; then holds. */
static void settle(void)
{
    for (int turn = 0; turn < 1000 && wal_tend_due_ns(world.wal) != NEVER_NS; turn++)
        world_turn(&world);
    while (fake_io_pending_count() > 0)
        world_turn(&world);
    cr_assert_eq(fake_io_count(".ready"), 2u);
    fake_io_hold(true);
}

static void run(void)
{
    cr_assert_eq(io_run(world.io, 0), 0);
}

/* Appends enough for the depth to grow at the next completion. */
static void fill_half(void)
{
    while (wal_state_of(world.wal).open_records < 5)
        (void)world_append(&world, 4000);
}

/* Raises the depth to its most: one frame more in flight each time a completion meets a half full open frame. */
static void deepen(void)
{
    while (wal_state_of(world.wal).depth < world.options.depth_max) {
        if (wal_may_seal(world.wal))
            wal_seal(world.wal, world.time_ns++, 1, false);
        fill_half();
        fake_io_complete(0, FAKE_ALL);
        run();
        while (wal_durable(world.wal))
            wal_release(world.wal);
    }
}

/* Four frames of a record each in flight; frame_index of the first. */
static uint64_t four_in_flight(void)
{
    settle();
    deepen();
    world_drain(&world);
    uint64_t first = wal_state_of(world.wal).next_index;
    cr_assert_eq(wal_state_of(world.wal).depth, 4u);
    for (int i = 0; i < 4; i++) {
        cr_assert(wal_may_seal(world.wal));
        if (i > 0)
            (void)world_append(&world, 96);
        wal_seal(world.wal, world.time_ns++, 1, false);
    }
    cr_assert_not(wal_may_seal(world.wal));
    cr_assert_eq(fake_io_pending_count(), 4u);
    return first;
}

Test(log_order, frames_are_handed_out_in_order_whatever_order_the_disk_finishes_them)
{
    uint64_t first = four_in_flight();
    fake_io_complete(3, FAKE_ALL);
    run();
    cr_assert_null(wal_durable(world.wal));
    fake_io_complete(1, FAKE_ALL);
    run();
    cr_assert_null(wal_durable(world.wal));
    cr_assert_eq(wal_state_of(world.wal).durable_index, first - 1);
    fake_io_complete(0, FAKE_ALL);
    run();
    for (uint64_t i = first; i < first + 2; i++) {
        const struct wal_frame_header *frame = wal_durable(world.wal);
        cr_assert_not_null(frame);
        cr_assert_eq(frame->index, i);
        cr_assert_eq(wal_durable(world.wal), frame); /* until it is released */
        wal_release(world.wal);
    }
    cr_assert_null(wal_durable(world.wal));
    cr_assert_eq(wal_state_of(world.wal).durable_index, first + 1);
    fake_io_complete(0, FAKE_ALL);
    run();
    cr_assert_eq(wal_state_of(world.wal).durable_index, first + 3);
    cr_assert_eq(wal_state_of(world.wal).in_flight, 2u);
}

Test(log_order, a_frame_says_which_frames_before_it_were_complete_without_a_gap)
{
    uint64_t first = four_in_flight();
    fill_half(); /* or the depth would shrink */
    fake_io_complete(0, FAKE_ALL);
    fake_io_complete(2, FAKE_ALL);
    run();
    wal_release(world.wal);
    cr_assert(wal_may_seal(world.wal));
    wal_seal(world.wal, world.time_ns++, 1, false);
    fake_io_hold(false);
    run();
    for (; wal_durable(world.wal)->index < first + 4; wal_release(world.wal))
        cr_assert_lt(wal_durable(world.wal)->durable_index, first);
    cr_assert_eq(wal_durable(world.wal)->durable_index, first); /* first + 2 was complete, first + 1 was not */
    cr_assert_eq(wal_durable(world.wal)->commit_index, first);
}

static void after_an_error_nothing_goes_on(int error)
{
    cr_assert_eq(wal_error(world.wal), error);
    cr_assert_null(wal_durable(world.wal));
    cr_assert_not(wal_may_seal(world.wal));
    fake_io_hold(false);
    world_turn(&world);
    cr_assert_null(wal_durable(world.wal));
    cr_assert_eq(wal_error(world.wal), error);
    cr_assert_eq(wal_tend_due_ns(world.wal), NEVER_NS);
}

Test(log_order, after_a_failed_write_no_frame_is_handed_out)
{
    four_in_flight();
    fake_io_complete(0, FAKE_ALL);
    fake_io_complete(1, -EIO);
    run();
    after_an_error_nothing_goes_on(-EIO);
}

Test(log_order, a_short_write_is_a_failed_write)
{
    four_in_flight();
    fake_io_complete(0, 512);
    run();
    after_an_error_nothing_goes_on(-EIO);
}

Test(log_order, a_write_that_lacks_space_ends_the_log_because_its_space_was_there)
{
    four_in_flight();
    fake_io_complete(2, -ENOSPC);
    run();
    after_an_error_nothing_goes_on(-ENOSPC);
}

Test(log_order, the_first_error_is_the_one_that_is_told)
{
    four_in_flight();
    fake_io_complete(1, -EIO);
    fake_io_complete(3, -EROFS);
    run();
    after_an_error_nothing_goes_on(-EIO);
}

/* Seals frames until the next one does not fit and the next segment's header is on its way. */
static void reach_the_end_of_the_segment(void)
{
    for (int i = 0; i < 100 && fake_io_pending_count() == 0; i++) {
        wal_tend(world.wal); /* brings the next segment in, in time */
        (void)world_append(&world, 8000);
        if (!wal_may_seal(world.wal))
            break;
        wal_seal(world.wal, world.time_ns++, 1, false);
        fake_io_complete(0, FAKE_ALL);
        run();
        wal_release(world.wal);
    }
}

static size_t pending_header(void)
{
    for (size_t i = 0; i < fake_io_pending_count(); i++)
        if (fake_io_pending(i).offset == 0 && strstr(fake_io_pending(i).path, ".wal"))
            return i;
    cr_assert_fail("no header is being written");
    return 0;
}

Test(log_faults, a_segments_header_is_durable_before_its_first_frame_is_submitted)
{
    settle();
    uint64_t sequence = wal_state_of(world.wal).segment_sequence;
    reach_the_end_of_the_segment();
    struct fake_pending header = fake_io_pending(pending_header());
    cr_assert_eq(header.size, (uint32_t)WAL_SEGMENT_DATA_OFFSET);
    cr_assert(header.durable);
    cr_assert_not(wal_may_seal(world.wal));
    cr_assert_eq(wal_state_of(world.wal).segment_sequence, sequence);
    fake_io_complete(pending_header(), FAKE_ALL);
    run();
    cr_assert(wal_may_seal(world.wal));
    cr_assert_gt(wal_state_of(world.wal).segment_sequence, sequence);
    size_t before = fake_io_pending_count();
    wal_seal(world.wal, world.time_ns++, 1, false);
    struct fake_pending frame = fake_io_pending(before);
    cr_assert_eq(frame.offset, (uint64_t)WAL_SEGMENT_DATA_OFFSET);
    cr_assert(frame.durable);
}

Test(log_faults, a_failed_header_write_ends_the_log)
{
    settle();
    reach_the_end_of_the_segment();
    fake_io_complete(pending_header(), -EIO);
    run();
    after_an_error_nothing_goes_on(-EIO);
}

Test(log_faults, a_short_header_write_ends_the_log)
{
    settle();
    reach_the_end_of_the_segment();
    fake_io_complete(pending_header(), WAL_BLOCK_SIZE);
    run();
    after_an_error_nothing_goes_on(-EIO);
}

Test(log_faults, a_segment_is_closed_when_its_last_frame_is_durable_and_not_before)
{
    /* The fake closes no file with an io in flight, and leaves none open at the end: frames of three segments at once. */
    settle();
    deepen();
    for (int i = 0; i < 12; i++) {
        while (wal_state_of(world.wal).open_records < 7 && wal_has_room(world.wal, 4000))
            (void)world_append(&world, 4000);
        fake_io_hold(i % 3 != 2);
        for (int turn = 0; !wal_may_seal(world.wal) && turn < 50; turn++) {
            wal_tend(world.wal);
            while (wal_durable(world.wal))
                wal_release(world.wal);
            if (fake_io_pending_count() > 0)
                fake_io_complete(fake_io_pending_count() - 1, FAKE_ALL); /* the youngest first */
            run();
        }
        cr_assert(wal_may_seal(world.wal));
        wal_seal(world.wal, world.time_ns++, 1, false);
    }
    fake_io_hold(false);
    world_drain(&world);
    struct wal_report report = world_read(&world);
    cr_assert_eq(report.verdict, WAL_CLEAN, "%s", report.stop_reason);
    cr_assert_eq(report.position.next_index, wal_state_of(world.wal).next_index);
}

/* ---- Depth -------------------------------------------------------------------------------------------------------------- */

Test(log_order, the_depth_grows_while_frames_fill_and_shrinks_when_there_is_nothing_to_do)
{
    settle();
    cr_assert_eq(wal_state_of(world.wal).depth, 1u);
    deepen();
    cr_assert_eq(wal_state_of(world.wal).depth, 4u);
    fake_io_hold(false);
    for (uint32_t depth = 4; depth > 1; depth--) {
        cr_assert_eq(wal_state_of(world.wal).depth, depth);
        world_seal(&world);
        world_drain(&world);
        cr_assert_eq(wal_state_of(world.wal).depth, depth - 1);
    }
    world_noop(&world);
    cr_assert_eq(wal_state_of(world.wal).depth, 1u);
}

Test(log_faults, a_small_open_frame_leaves_the_depth_alone)
{
    settle();
    for (int i = 0; i < 5; i++) {
        (void)world_append(&world, 96);
        wal_seal(world.wal, world.time_ns++, 1, false);
        (void)world_append(&world, 96);
        fake_io_complete(0, FAKE_ALL);
        run();
        wal_release(world.wal);
        cr_assert_eq(wal_state_of(world.wal).depth, 1u);
        wal_seal(world.wal, world.time_ns++, 1, false);
        (void)world_append(&world, 96);
        fake_io_complete(0, FAKE_ALL);
        run();
        wal_release(world.wal);
        cr_assert_eq(wal_state_of(world.wal).depth, 1u);
    }
}

/* ---- Counters ------------------------------------------------------------------------------------------------------------ */

Test(log_order, the_log_counts_what_it_writes_and_how_long_that_takes)
{
    cr_assert_eq(wal_write_latency(world.wal)->count, 0u);
    four_in_flight();
    uint64_t before = wal_write_latency(world.wal)->count;
    cr_assert_eq(wal_state_of(world.wal).depth_highest, 4u);
    fake_io_advance(3 * NS_PER_MS);
    fake_io_complete(1, FAKE_ALL); /* out of order counts when it comes, not when it is handed out */
    run();
    cr_assert_eq(wal_write_latency(world.wal)->count, before + 1);
    cr_assert_eq(wal_write_latency(world.wal)->max, 3 * NS_PER_MS);
    fake_io_advance(4 * NS_PER_MS);
    fake_io_hold(false);
    run();
    cr_assert_eq(wal_write_latency(world.wal)->count, before + 4);
    cr_assert_eq(wal_write_latency(world.wal)->max, 7 * NS_PER_MS);
    struct wal_state state = wal_state_of(world.wal);
    cr_assert_eq(state.frames, before + 4);
    uint64_t records = 0;
    uint64_t bytes = 0;
    for (size_t i = 0; i < world.frames_count; i++) {
        records += world.frames[i].records;
        bytes += world.frames[i].size;
    }
    cr_assert_geq(state.records, records);
    cr_assert_geq(state.bytes, bytes);
    cr_assert_lt(state.padding_bytes, state.bytes);
}

/* ---- Segments made ready ------------------------------------------------------------------------------------------------- */

Test(log_faults, segments_are_made_one_write_at_a_time_and_no_more_than_wanted)
{
    fake_io_hold(true);
    uint64_t expected = 0;
    for (int turn = 0; turn < 20; turn++) {
        wal_tend(world.wal);
        cr_assert_leq(fake_io_pending_count(), 1u);
        if (fake_io_pending_count() == 0)
            continue;
        struct fake_pending pending = fake_io_pending(0);
        cr_assert_not_null(strstr(pending.path, ".tmp"));
        if (pending.operation == FAKE_WRITE) {
            cr_assert_eq(pending.offset, expected);
            cr_assert_not(pending.durable); /* the sync behind it is enough */
        }
        fake_io_complete(0, FAKE_ALL);
        run();
    }
    cr_assert_eq(fake_io_count(".ready"), 2u);
    cr_assert_eq(fake_io_count(".tmp"), 0u);
    size_t size = 0;
    const uint8_t *bytes = fake_io_file("/data/shard-000/0000000000000002.ready", &size);
    cr_assert_not_null(bytes);
    cr_assert_eq(size, WORLD_SEGMENT_SIZE);
    for (size_t i = 0; i < size; i++)
        cr_assert_eq(bytes[i], 0);
}

Test(log_faults, ready_segments_of_the_last_run_are_used_and_half_made_ones_deleted)
{
    settle();
    fake_io_hold(false);
    (void)world_commit(&world, 96); /* segment 1 */
    world_stop(&world);
    int half = io_open(NULL, "/data/shard-000/0000000000000009.tmp", IO_OPEN_WRITE | IO_OPEN_CREATE);
    int small = io_open(NULL, "/data/shard-000/000000000000000a.ready", IO_OPEN_WRITE | IO_OPEN_CREATE);
    io_close(NULL, half);
    io_close(NULL, small);
    world_start(&world);
    cr_assert_eq(wal_state_of(world.wal).segment_sequence, 2u); /* which was ready: nothing had to be written */
    cr_assert_eq(fake_io_count(".ready"), 1u);                  /* 3; a, which is not full size, is gone */
    cr_assert_eq(fake_io_count(".tmp"), 0u);
}

/* A frame without records, durable while nothing but the log's own writes completes. */
static void seal_and_complete(void)
{
    for (int turn = 0; !wal_may_seal(world.wal) || wal_state_of(world.wal).in_flight > 0; turn++) {
        cr_assert_lt(turn, 10);
        wal_tend(world.wal);
        for (size_t i = 0; i < fake_io_pending_count(); i++)
            if (strstr(fake_io_pending(i).path, ".wal"))
                fake_io_complete(i, FAKE_ALL);
        run();
        while (wal_durable(world.wal))
            wal_release(world.wal);
    }
    wal_seal(world.wal, world.time_ns++, 1, false);
}

static size_t zeros_pending(void)
{
    size_t count = 0;
    for (size_t i = 0; i < fake_io_pending_count(); i++)
        count += strstr(fake_io_pending(i).path, ".tmp") != NULL;
    return count;
}

/* Each piece of zeros is in the way of the frames beside it. */
Test(log_order, zeros_are_written_at_the_pace_of_the_log_and_as_fast_as_it_goes_while_it_rests)
{
    settle();
    while (fake_io_count(".ready") == 2)
        seal_and_complete();
    seal_and_complete();
    wal_tend(world.wal);
    cr_assert_eq(fake_io_count(".tmp"), 1u);
    uint32_t pieces = 0;
    for (int frame = 0; frame < 100; frame++) {
        seal_and_complete();
        wal_tend(world.wal);
        cr_assert_leq(zeros_pending(), 1u);
        for (size_t i = 0; i < fake_io_pending_count(); i++) {
            if (!strstr(fake_io_pending(i).path, ".tmp"))
                continue;
            cr_assert_eq(fake_io_pending(i).size, (uint32_t)WAL_PACED_FILL_SIZE);
            fake_io_complete(i, FAKE_ALL);
            pieces++;
        }
        run();
    }
    cr_assert_geq(pieces, 4u); /* 400 KiB of frames, of 1.25 MiB that may be written until 1 MiB has to be full */
    cr_assert_leq(pieces, 7u);
    seal_and_complete();
    cr_assert_geq(wal_tend_due_ns(world.wal), io_now_ns(world.io));
    fake_io_advance(WAL_REST_NS);
    wal_tend(world.wal);
    bool large = false;
    for (size_t i = 0; i < fake_io_pending_count(); i++)
        large = large || (strstr(fake_io_pending(i).path, ".tmp") && fake_io_pending(i).size == WAL_FILL_SIZE);
    cr_assert(large);
}

static uint64_t space_of(int files)
{
    return (uint64_t)files * WORLD_SEGMENT_SIZE + 4096;
}

Test(log_faults, a_full_disk_is_told_and_tried_again_every_second)
{
    fake_io_limit_space(space_of(2) - 8192); /* segment 1, and nearly another */
    for (int turn = 0; turn < 10; turn++)
        world_turn(&world);
    cr_assert_eq(wal_error(world.wal), 0);
    cr_assert_eq(wal_space(world.wal), WAL_SPACE_LOW);
    cr_assert_eq(fake_io_count(".ready"), 0u);
    cr_assert_eq(fake_io_count(".tmp"), 1u);
    uint64_t due_ns = wal_tend_due_ns(world.wal);
    cr_assert(due_ns > io_now_ns(world.io) && due_ns <= io_now_ns(world.io) + NS_PER_SECOND);
    wal_tend(world.wal);
    cr_assert_eq(fake_io_pending_count(), 0u); /* not before the second is over */
    fake_io_limit_space(UINT64_MAX);
    for (int turn = 0; turn < 20; turn++)
        world_turn(&world);
    cr_assert_eq(fake_io_count(".ready"), 2u);
    fake_io_hold(true); /* the next segment is slow to come: that is no lack of space */
    for (int i = 0; i < 15; i++) {
        seal_and_complete();
        cr_assert_eq(wal_space(world.wal), WAL_SPACE_AMPLE);
    }
    cr_assert_eq(fake_io_count(".ready"), 1u);
}

Test(log_faults, one_ready_segment_is_less_than_wanted_when_no_other_can_be_made)
{
    fake_io_limit_space(space_of(2));
    for (int turn = 0; turn < 20; turn++)
        world_turn(&world);
    cr_assert_eq(wal_state_of(world.wal).segment_sequence, 1u);
    cr_assert_eq(fake_io_count("0000000000000002.wal"), 1u); /* at once, to see whether it can be had */
    for (int i = 0; i < 14; i++) {
        cr_assert_eq(wal_space(world.wal), WAL_SPACE_LOW, "frame %d", i); /* the other segment is untouched */
        world_noop(&world);
    }
    cr_assert_eq(wal_error(world.wal), 0);
}

/* A file's new name takes a place in the directory, and a full disk may lack even that. */
Test(log_faults, a_ready_segment_whose_name_cannot_change_for_lack_of_space_is_tried_again)
{
    settle();
    fake_io_hold(false);
    for (int i = 0; i < 10; i++)
        (void)world_commit(&world, 96);
    (void)fake_io_fail_from(1, -ENOSPC);
    for (int i = 0; i < 4; i++) {
        cr_assert(wal_has_room(world.wal, 96), "frame %d", i);
        (void)world_commit(&world, 96);
    }
    wal_tend(world.wal);
    cr_assert_eq(wal_error(world.wal), 0);
    cr_assert_eq(wal_space(world.wal), WAL_SPACE_NONE);
    cr_assert_not(wal_has_room(world.wal, 32));
    cr_assert_eq(fake_io_count(".ready"), 2u);
    uint64_t due_ns = wal_tend_due_ns(world.wal);
    cr_assert(due_ns > io_now_ns(world.io) && due_ns <= io_now_ns(world.io) + NS_PER_SECOND);
    (void)fake_io_fail_from(0, 0);
    (void)world_commit(&world, 96);
    cr_assert_eq(wal_state_of(world.wal).segment_sequence, 2u);
    for (int turn = 0; turn < 20; turn++)
        world_turn(&world);
    cr_assert_eq(wal_space(world.wal), WAL_SPACE_AMPLE);
    struct wal_report report = world_read(&world);
    cr_assert_eq(report.verdict, WAL_CLEAN, "%s", report.stop_reason);
}

Test(log_faults, a_short_write_of_zeros_goes_on_behind_what_was_written)
{
    fake_io_hold(true);
    wal_tend(world.wal);
    fake_io_complete(0, 3 * WAL_BLOCK_SIZE + 512);
    run();
    wal_tend(world.wal);
    cr_assert_eq(fake_io_pending(0).offset, (uint64_t)3 * WAL_BLOCK_SIZE);
    fake_io_complete(0, 512); /* not even a block: there is no space */
    run();
    cr_assert_neq(wal_tend_due_ns(world.wal), 0u);
    cr_assert_eq(wal_space(world.wal), WAL_SPACE_LOW);
    cr_assert_eq(wal_error(world.wal), 0);
}

Test(log_faults, a_failure_to_bring_the_next_segment_in_ends_the_log)
{
    settle();
    fake_io_hold(false);
    for (int i = 0; i < 10; i++)
        world_noop(&world);
    (void)fake_io_fail_from(1, -EIO);
    for (int i = 0; i < 4 && wal_error(world.wal) == 0; i++) {
        if (wal_may_seal(world.wal))
            wal_seal(world.wal, world.time_ns++, 1, false);
        world_turn(&world);
    }
    after_an_error_nothing_goes_on(-EIO);
    (void)fake_io_fail_from(0, 0);
}

Test(log_faults, a_failure_to_make_a_segment_ready_ends_the_log)
{
    fake_io_hold(true);
    wal_tend(world.wal); /* the file is there, its zeros are on the way */
    (void)fake_io_fail_from(1, -EIO);
    fake_io_hold(false);
    for (int turn = 0; turn < 5; turn++)
        world_turn(&world);
    after_an_error_nothing_goes_on(-EIO);
    (void)fake_io_fail_from(0, 0);
}

static void put_ready(const char *path)
{
    static const uint8_t zeros[WORLD_SEGMENT_SIZE];
    int file = io_open(NULL, path, IO_OPEN_WRITE | IO_OPEN_CREATE);
    cr_assert_geq(file, 0);
    cr_assert_eq(io_write_at(NULL, file, zeros, sizeof(zeros), 0), 0);
    io_close(NULL, file);
}

Test(log_faults, ready_segments_are_used_in_the_order_of_their_numbers)
{
    settle();
    fake_io_hold(false);
    (void)world_commit(&world, 96);
    world_stop(&world);
    put_ready("/data/shard-000/0000000000000020.ready");
    put_ready("/data/shard-000/0000000000000010.ready");
    world_start(&world);
    static const uint64_t expected[] = { 2, 3, 0x10, 0x20, 0x21 };
    for (size_t i = 0; i < ARRAY_COUNT(expected); i++) {
        cr_assert_eq(wal_state_of(world.wal).segment_sequence, expected[i]);
        for (int j = 0; j < 14; j++)
            world_noop(&world);
        for (int turn = 0; turn < 20 && wal_state_of(world.wal).segment_sequence == expected[i]; turn++)
            world_turn(&world);
    }
    struct wal_report report = world_read(&world);
    cr_assert_eq(report.verdict, WAL_CLEAN, "%s", report.stop_reason);
}

Test(log_faults, a_log_is_not_opened_under_the_numbers_it_used_before)
{
    /* A left-over .ready below the next number: of a copy that was put together by hand. It must not be used. */
    settle();
    fake_io_hold(false);
    for (int i = 0; i < 50; i++)
        world_noop(&world);
    world_stop(&world);
    put_ready("/data/shard-000/0000000000000002.ready");
    uint64_t used = world_read(&world).position.next_segment_sequence;
    world_start(&world);
    cr_assert_geq(wal_state_of(world.wal).segment_sequence, used);
    cr_assert_eq(fake_io_count("0000000000000002.ready"), 0u);
}

Test(log_faults, space_runs_out_by_steps_and_comes_back_by_itself)
{
    fake_io_limit_space(space_of(1));
    for (int turn = 0; turn < 5; turn++)
        world_turn(&world);
    enum wal_space before = WAL_SPACE_LOW;
    for (int i = 0; i < 14; i++) { /* 56 KiB of 4 KiB frames */
        enum wal_space space = wal_space(world.wal);
        cr_assert_geq((int)space, (int)before);
        cr_assert_eq(space, i < 11 ? WAL_SPACE_LOW : WAL_SPACE_CRITICAL, "frame %d: %d", i, (int)space);
        before = space;
        (void)world_commit(&world, 96);
    }
    cr_assert_eq(wal_space(world.wal), WAL_SPACE_NONE);
    cr_assert_not(wal_may_seal(world.wal));
    cr_assert_not(wal_has_room(world.wal, 96)); /* whatever is let in now would wait, and nobody knows for how long */
    wal_tend(world.wal);
    cr_assert_eq(wal_state_of(world.wal).stalls, 1u);
    cr_assert_eq(wal_error(world.wal), 0);
    fake_io_limit_space(UINT64_MAX);
    (void)world_append(&world, 96);
    world_seal(&world);
    world_drain(&world);
    cr_assert_eq(wal_state_of(world.wal).durable_index, 15u);
    struct wal_report report = world_read(&world);
    cr_assert_eq(report.verdict, WAL_CLEAN, "%s", report.stop_reason);
    cr_assert_eq(report.frames, 15u);
}

Test(log_faults, a_record_is_let_in_only_where_its_frame_has_a_place)
{
    fake_io_limit_space(space_of(1));
    for (int i = 0; i < 9; i++)
        (void)world_commit(&world, 96);
    while (wal_has_room(world.wal, 4000)) /* five blocks are left */
        (void)world_append(&world, 4000);
    cr_assert_eq(wal_state_of(world.wal).open_records, 5u);
    cr_assert(wal_has_room(world.wal, 5 * WAL_BLOCK_SIZE - sizeof(struct wal_frame_header) - 5 * 4000));
    cr_assert_not(wal_has_room(world.wal, 5 * WAL_BLOCK_SIZE - sizeof(struct wal_frame_header) - 5 * 4000 + 8));
    world_seal(&world);
    world_drain(&world);
    cr_assert_eq(wal_space(world.wal), WAL_SPACE_NONE);
    cr_assert_not(wal_has_room(world.wal, 32));
}

Test(log_faults, a_directory_that_is_gone_is_not_taken_for_a_segment_that_is_late)
{
    settle();
    fake_io_hold(false);
    for (int i = 0; i < 5; i++) /* half of the segment is left, so the next one is not brought in early */
        (void)world_commit(&world, 96);
    (void)fake_io_fail_from(1, -ENOENT);
    while (wal_state_of(world.wal).open_records < 12 && wal_error(world.wal) == 0)
        (void)world_append(&world, 4000);
    after_an_error_nothing_goes_on(-ENOENT);
    (void)fake_io_fail_from(0, 0);
}

Test(log_faults, a_disk_that_fails_to_write_zeros_is_not_trusted_with_frames)
{
    fake_io_fail_writes(".tmp", -EIO);
    for (int turn = 0; turn < 5; turn++)
        world_turn(&world);
    after_an_error_nothing_goes_on(-EIO);
}

Test(log_faults, a_failed_sync_of_zeros_ends_the_log)
{
    fake_io_fail_syncs(".tmp", -EIO);
    for (int turn = 0; turn < 5; turn++)
        world_turn(&world);
    after_an_error_nothing_goes_on(-EIO);
}

Test(log_faults, a_sync_that_lacks_space_is_not_tried_again_but_another_file_made)
{
    fake_io_fail_syncs("0000000000000002.tmp", -ENOSPC);
    for (int turn = 0; turn < 30; turn++)
        world_turn(&world);
    cr_assert_eq(wal_error(world.wal), 0);
    cr_assert_eq(fake_io_count("0000000000000002.ready"), 0u);
    cr_assert_eq(fake_io_count("0000000000000003.ready"), 1u);
    cr_assert_eq(fake_io_count("0000000000000004.ready"), 1u);
    cr_assert_eq(fake_io_count(".tmp"), 0u);
}

Test(log_faults, opening_on_a_full_disk_says_so)
{
    settle();
    fake_io_hold(false);
    (void)world_commit(&world, 96);
    world_stop(&world);
    cr_assert_eq(io_unlink(NULL, "/data/shard-000/0000000000000002.ready"), 0);
    cr_assert_eq(io_unlink(NULL, "/data/shard-000/0000000000000003.ready"), 0);
    fake_io_limit_space(space_of(1));
    struct io *io = NULL;
    const char *why = NULL;
    struct wal *wal = NULL;
    struct wal_report report = world_read(&world);
    cr_assert_eq(io_create(&(struct io_options){ .ring_entries = 8 }, &io, &why), 0);
    cr_assert_eq(wal_open(io, &world.options, &report.position, &wal, &why), -ENOSPC);
    cr_assert_not_null(why);
    cr_assert_eq(fake_io_count(".tmp"), 0u);
    fake_io_limit_space(UINT64_MAX);
    io_destroy(io);
    world_start(&world);
}

/* ---- Contracts ------------------------------------------------------------------------------------------------------------ */

Test(log_order, sealing_without_a_free_slot_is_a_bug, .signal = SIGABRT)
{
    four_in_flight();
    wal_seal(world.wal, world.time_ns, 1, false);
}

Test(log_order, releasing_what_was_not_handed_out_is_a_bug, .signal = SIGABRT)
{
    four_in_flight();
    wal_release(world.wal);
}
