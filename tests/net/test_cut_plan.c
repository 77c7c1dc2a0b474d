/* A cut on a disk that gives up at every possible moment: run again, it comes to the same end; and in between no server starts. */
#include "tools/innkeep-wal/cut_plan.h"

#include "tests/wal/fake_io.h"
#include "tests/wal/world.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAMES 60
#define CUT_FRAME 20 /* the first that does not stay whole; it has RECORDS records, of which one stays */
#define RECORDS 3
#define RECORD_SIZE 1000

static struct world world;
static char why[1024];

/* Some segments of frames. The directory's name tells the runs apart. */
static void log_make(const char *path)
{
    world_init(&world, path);
    world_start(&world);
    for (int frame = 0; frame < FRAMES; frame++) {
        for (int record = 0; record < RECORDS; record++)
            (void)world_append(&world, RECORD_SIZE);
        world_seal(&world);
        world_drain(&world);
    }
    world_noop(&world);
    world_stop(&world);
    cr_assert_gt(world.frames[FRAMES].segment_sequence, world.frames[CUT_FRAME].segment_sequence + 2);
}

/* Inside frame CUT_FRAME (counted from 0), behind its first record. */
static struct cut_plan plan_make(void)
{
    const struct world_frame *before = &world.frames[CUT_FRAME - 1];
    const struct world_frame *cut = &world.frames[CUT_FRAME];
    struct cut_plan plan = { .shards_count = 1 };
    plan.shards[0] = (struct cut_shard){
        .engine_level = 1,
        .lsn = cut->first_lsn,
        .granted_lsn = world.frames[FRAMES - 1].first_lsn + RECORDS - 1,
        .segment_sequence = before->segment_sequence,
        .offset = before->offset + before->size,
        .next_index = cut->index,
        .next_lsn = cut->first_lsn,
        .last_time_ns = before->time_ns,
        .next_segment_sequence = world_read(&world).position.next_segment_sequence,
        .previous_hash = before->hash,
        .partial_time_ns = cut->time_ns,
        .partial_size_bytes = RECORD_SIZE,
    };
    char path[WAL_PATH_SIZE];
    size_t size = 0;
    world_segment_path(&world, cut->segment_sequence, path);
    const uint8_t *segment = fake_io_file(path, &size);
    plan.records[0] = malloc(RECORD_SIZE);
    memcpy(plan.records[0], segment + cut->offset + sizeof(struct wal_frame_header), RECORD_SIZE);
    return plan;
}

static void file_make(struct io *io, const char *name)
{
    char path[WAL_PATH_SIZE + 64];
    snprintf(path, sizeof(path), "%s/%s", world.shard_path, name);
    int file = io_open(io, path, IO_OPEN_WRITE | IO_OPEN_CREATE);
    cr_assert_geq(file, 0, "%s", path);
    cr_assert_eq(io_write_at(io, file, name, 1, 0), 0);
    io_close(io, file);
}

static bool file_is_there(const char *name)
{
    char path[WAL_PATH_SIZE + 64];
    size_t size = 0;
    snprintf(path, sizeof(path), "%s/%s", world.shard_path, name);
    return fake_io_file(path, &size) != NULL;
}

static struct io *io_make(void)
{
    struct io *io = NULL;
    const char *reason = NULL;
    cr_assert_eq(io_create(&(struct io_options){ .ring_entries = 0 }, &io, &reason), 0);
    return io;
}

/* The log ends as planned: whole frames, the partial one, the EPOCH frame, the noop. */
static void expect_cut(const struct cut_plan *plan)
{
    struct wal_report report = world_read(&world);
    cr_assert_eq(report.verdict, WAL_CLEAN, "%s", report.stop_reason);
    cr_assert_eq(report.frames, (uint64_t)CUT_FRAME + 3);
    cr_assert_eq(report.records, plan->shards[0].lsn + 1);
    cr_assert_eq(report.last_lsn, WAL_EPOCH_LSNS);
    cr_assert_eq(report.last_time_ns, plan->shards[0].partial_time_ns);
}

static void expect_no_start(struct io *io)
{
    struct wal_directory directory;
    int rc = wal_directory_open(io, world.path, 0, 1, WORLD_SEGMENT_SIZE, &directory, why, sizeof(why));
    cr_assert_eq(rc, -EBUSY, "%d", rc);
    cr_assert_not_null(strstr(why, "Run the same innkeep-wal cut again"), "%s", why);
}

static void expect_start(struct io *io)
{
    struct wal_directory directory;
    cr_assert_eq(wal_directory_open(io, world.path, 0, 1, WORLD_SEGMENT_SIZE, &directory, why, sizeof(why)), 0, "%s",
                 why);
    wal_directory_close(io, &directory);
}

/* As the command does it, but for the questions. Reads the plan from the disk, where it is there. */
static int cut_again(struct io *io, const struct cut_plan *plan)
{
    struct wal_directory directory;
    cr_assert_eq(wal_directory_inspect(io, world.path, &directory, why, sizeof(why)), 0, "%s", why);
    if (!directory.cutting) {
        int error = cut_plan_write(io, &directory, plan, why, sizeof(why));
        return error != 0 ? error : cut_plan_run(io, &directory, plan, why, sizeof(why));
    }
    struct cut_plan read;
    int error = cut_plan_read(io, &directory, &read, why, sizeof(why));
    cr_assert_eq(error, 0, "%s", why);
    cr_assert_eq(memcmp(read.shards, plan->shards, sizeof(read.shards[0])), 0);
    error = cut_plan_run(io, &directory, &read, why, sizeof(why));
    cut_plan_free(&read);
    return error;
}

Test(cut_plan, a_cut_can_end_at_any_step_and_comes_to_the_same_end_when_it_is_run_again)
{
    uint64_t steps = 0;
    uint64_t kept_out = 0;
    for (uint64_t step = 1; steps == 0; step++) {
        char path[] = "/data-0000";
        for (uint64_t digit = 0, left = step; digit < 4; digit++, left /= 10)
            path[9 - digit] = (char)('0' + left % 10);
        log_make(path);
        struct cut_plan plan = plan_make();
        struct io *io = io_make();
        (void)fake_io_fail_from(step, -EIO);
        int rc = cut_again(io, &plan);
        (void)fake_io_fail_from(0, 0);
        if (rc == 0)
            steps = step;
        else
            cr_assert_eq(rc, -EIO, "step %llu: %d: %s", (unsigned long long)step, rc, why);
        struct wal_report report = world_read(&world);
        bool untouched = report.frames == FRAMES + 1;
        struct wal_directory directory;
        cr_assert_eq(wal_directory_inspect(io, path, &directory, why, sizeof(why)), 0);
        if (directory.cutting) {
            expect_no_start(io);
            kept_out++;
        } else if (!untouched) {
            expect_cut(&plan);
        }
        if (directory.cutting || untouched)
            cr_assert_eq(cut_again(io, &plan), 0, "step %llu: %s", (unsigned long long)step, why);
        expect_cut(&plan);
        expect_start(io);
        cut_plan_free(&plan);
        io_destroy(io);
    }
    cr_assert_gt(steps, 10u);
    cr_assert_gt(kept_out, 8u);
}

Test(cut_plan, snapshots_of_what_is_cut_away_go_and_older_ones_stay)
{
    log_make("/data");
    struct cut_plan plan = plan_make();
    struct io *io = io_make();
    char names[2][64];
    for (uint64_t i = 0; i < 2; i++) /* of the last frame that stays, and of the one that is cut inside */
        snprintf(names[i], sizeof(names[i]), "%016llx.snapshot",
                 (unsigned long long)(plan.shards[0].next_index - 1 + i));
    file_make(io, names[0]);
    file_make(io, names[1]);
    file_make(io, "manifest");
    cr_assert_eq(cut_again(io, &plan), 0, "%s", why);
    cr_assert(file_is_there(names[0]));
    cr_assert_not(file_is_there(names[1]));
    cr_assert_not(file_is_there("manifest"));
    expect_cut(&plan);
    cut_plan_free(&plan);
    io_destroy(io);
}

Test(cut_plan, a_plan_that_is_damaged_is_refused)
{
    log_make("/data");
    struct cut_plan plan = plan_make();
    struct io *io = io_make();
    struct wal_directory directory;
    cr_assert_eq(wal_directory_inspect(io, "/data", &directory, why, sizeof(why)), 0);
    cr_assert_eq(cut_plan_write(io, &directory, &plan, why, sizeof(why)), 0);
    size_t size = 0;
    uint8_t *bytes = fake_io_file("/data/" WAL_NAME_CUTTING, &size);
    cr_assert_eq(size, 32 + sizeof(struct cut_shard) + RECORD_SIZE + 16);
    for (size_t byte = 0; byte < size; byte++) {
        struct cut_plan read;
        bytes[byte] ^= 4;
        cr_assert_eq(cut_plan_read(io, &directory, &read, why, sizeof(why)), -EBADMSG, "byte %zu", byte);
        cut_plan_free(&read);
        bytes[byte] ^= 4;
    }
    struct cut_plan read;
    fake_io_cut("/data/" WAL_NAME_CUTTING, size - 1);
    cr_assert_eq(cut_plan_read(io, &directory, &read, why, sizeof(why)), -EBADMSG);
    cut_plan_free(&read);
    cut_plan_free(&plan);
    io_destroy(io);
}
