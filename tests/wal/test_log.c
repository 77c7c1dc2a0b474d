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
