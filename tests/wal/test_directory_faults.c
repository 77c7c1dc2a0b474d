/* Making and recovering on a disk that gives up at every possible moment. */
#include "tests/wal/fake_io.h"
#include "tests/wal/world.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <string.h>

#define SEGMENT_SIZE (64 * KIB)

static struct io *io;
static struct wal_directory directory;
static char why[512];

static void setup(void)
{
    const char *reason = NULL;
    cr_assert_eq(io_create(&(struct io_options){ .ring_entries = 0 }, &io, &reason), 0);
}

TestSuite(directory_faults, .init = setup);

static int open_two(void)
{
    why[0] = '\0';
    return wal_directory_open(io, "/data", 2, 2, SEGMENT_SIZE, &directory, why, sizeof(why));
}

Test(directory_faults, a_full_disk_is_said_in_a_sentence)
{
    fake_io_limit_space(SEGMENT_SIZE + 100);
    cr_assert_eq(open_two(), -ENOSPC);
    cr_assert_not_null(strstr(why, "too full to make the log in /data/shard-001"), "%s", why);
    cr_assert_eq(fake_io_count(".tmp"), 0u); /* what was begun does not keep the space */
    fake_io_limit_space(UINT64_MAX);
    cr_assert_eq(open_two(), 0, "%s", why);
    cr_assert(directory.created);
    wal_directory_close(io, &directory);
}

Test(directory_faults, a_file_system_without_o_direct_is_refused_and_named)
{
    fake_io_refuse_direct(true);
    cr_assert_eq(open_two(), -EINVAL);
    cr_assert_not_null(strstr(why, "The file system that holds /data cannot write past the page cache (O_DIRECT)"),
                       "%s", why);
    fake_io_refuse_direct(false);
    cr_assert_eq(open_two(), 0, "%s", why);
    wal_directory_close(io, &directory);
    fake_io_refuse_direct(true); /* moved there later */
    cr_assert_eq(open_two(), -EINVAL);
}

Test(directory_faults, making_a_directory_can_end_at_any_step_and_is_finished_by_the_next_start)
{
    uint64_t steps = 0;
    for (uint64_t step = 1;; step++) {
        char path[WAL_PATH_SIZE];
        memcpy(path, "/data-000", 10);
        path[7] = (char)('0' + step / 10 % 10);
        path[8] = (char)('0' + step % 10);
        (void)fake_io_fail_from(step, -EIO);
        int rc = wal_directory_open(io, path, 2, 2, SEGMENT_SIZE, &directory, why, sizeof(why));
        (void)fake_io_fail_from(0, 0);
        if (rc == 0) {
            wal_directory_close(io, &directory);
            steps = step - 1;
            break;
        }
        cr_assert_eq(rc, -EIO);
        cr_assert_eq(wal_directory_open(io, path, 2, 2, SEGMENT_SIZE, &directory, why, sizeof(why)), 0, "step %llu: %s",
                     (unsigned long long)step, why);
        for (uint32_t shard = 0; shard < 2; shard++) {
            char shard_path[WAL_PATH_SIZE];
            struct wal_source source = { .directory = wal_shard_path(&directory, shard, shard_path),
                                         .shard = shard,
                                         .shards_count = 2,
                                         .segment_size = SEGMENT_SIZE };
            memcpy(source.uuid, directory.header.uuid, sizeof(source.uuid));
            struct wal_report report;
            cr_assert_eq(wal_read(io, &source, NULL, NULL, &report), 0);
            cr_assert_eq(report.verdict, WAL_CLEAN, "%s", report.stop_reason);
        }
        wal_directory_close(io, &directory);
    }
    cr_assert_gt(steps, 20u);
    io_destroy(io);
}

/* ---- Discarding ------------------------------------------------------------------------------------------------------------ */

#define TORN_BEGIN ((size_t)3 * WAL_BLOCK_SIZE)
#define TORN_END ((size_t)9 * WAL_BLOCK_SIZE)

static struct world world;

/* A log of three frames of which the second never reached the disk and nobody was told of any but the first. */
static struct wal_report make_torn(void)
{
    world_init(&world, "/data");
    world_start(&world);
    (void)world_commit(&world, 96);
    size_t size = 0;
    uint8_t *bytes = fake_io_file("/data/shard-000/0000000000000001.wal", &size);
    cr_assert_not_null(bytes);
    for (size_t offset = TORN_BEGIN; offset < TORN_END; offset++)
        bytes[offset] = (uint8_t)(offset * 7 + 1);
    world_stop(&world);
    struct wal_report report = world_read(&world);
    cr_assert_eq(report.verdict, WAL_TORN_TAIL);
    return report;
}

Test(directory_faults, discarding_can_end_at_any_step_and_is_finished_by_the_next_start)
{
    struct wal_report report = make_torn();
    size_t size = 0;
    uint8_t *bytes = fake_io_file("/data/shard-000/0000000000000001.wal", &size);
    static uint8_t before[WORLD_SEGMENT_SIZE];
    memcpy(before, bytes, sizeof(before));
    uint64_t step = 1;
    for (;; step++) {
        (void)fake_io_fail_from(step, -EIO);
        int rc = wal_discard_tail(io, &world.source, &report);
        (void)fake_io_fail_from(0, 0);
        if (rc == 0)
            break;
        cr_assert_eq(rc, -EIO);
        struct wal_report after = world_read(&world);
        cr_assert_neq(after.verdict, WAL_DAMAGED, "step %llu: %s", (unsigned long long)step, after.stop_reason);
        cr_assert_eq(after.frames, 1u);
        if (after.verdict == WAL_TORN_TAIL)
            cr_assert_eq(wal_discard_tail(io, &world.source, &after), 0);
        cr_assert_eq(world_read(&world).verdict, WAL_CLEAN);
        size_t saved_size = 0;
        const uint8_t *saved = fake_io_file("/data/shard-000/torn-0000000000000001-00003000.bin", &saved_size);
        cr_assert_not_null(saved);
        cr_assert_eq(memcmp(saved, before + TORN_BEGIN, TORN_END - TORN_BEGIN), 0);
        memcpy(fake_io_file("/data/shard-000/0000000000000001.wal", &size), before, sizeof(before));
        cr_assert_eq(io_unlink(io, "/data/shard-000/torn-0000000000000001-00003000.bin"), 0);
    }
    cr_assert_gt(step, 8u);
    cr_assert_eq(world_read(&world).verdict, WAL_CLEAN);
}

Test(directory_faults, discarding_a_tail_that_is_none_is_a_bug, .signal = SIGABRT)
{
    world_init(&world, "/data");
    world_start(&world);
    world_stop(&world);
    struct wal_report report = world_read(&world);
    int rc = wal_discard_tail(io, &world.source, &report);
    cr_assert_fail("returned %d", rc);
}

/* ---- Opening the log --------------------------------------------------------------------------------------------------------- */

Test(directory_faults, opening_the_log_can_end_at_any_step_and_the_next_start_goes_on)
{
    world_init(&world, "/data");
    world_start(&world);
    uint64_t lsn = world_commit(&world, 96);
    world_stop(&world);
    uint64_t step = 1;
    for (;; step++) {
        struct wal_report report = world_read(&world);
        cr_assert_neq(report.verdict, WAL_DAMAGED, "%s", report.stop_reason);
        cr_assert_eq(report.last_lsn, lsn);
        const char *reason = NULL;
        struct wal *wal = NULL;
        cr_assert_eq(io_adopt(io), 0);
        (void)fake_io_fail_from(step, -EIO);
        int rc = wal_open(io, &world.options, &report.position, &wal, &reason);
        (void)fake_io_fail_from(0, 0);
        if (rc == 0)
            wal_close(wal);
        io_destroy(io);
        if (rc == 0)
            break;
        cr_assert_eq(rc, -EIO);
        cr_assert_not_null(reason);
    }
    cr_assert_gt(step, 4u);
    world_start(&world);
    cr_assert_eq(world_commit(&world, 96), lsn + 1);
    world_stop(&world);
    cr_assert_eq(world_read(&world).verdict, WAL_CLEAN);
}

Test(directory_faults, a_new_shard_without_its_first_segment_cannot_be_opened)
{
    world_init(&world, "/data");
    world_start(&world);
    world_stop(&world);
    cr_assert_eq(io_unlink(io, "/data/shard-000/0000000000000001.wal"), 0);
    struct wal_position position = { .next_index = 1, .next_lsn = 1, .next_segment_sequence = 1 };
    const char *reason = NULL;
    struct wal *wal = NULL;
    cr_assert_eq(io_adopt(io), 0);
    cr_assert_eq(wal_open(io, &world.options, &position, &wal, &reason), -ENOENT);
    cr_assert_not_null(strstr(reason, "segment 1"));
    io_destroy(io);
}

Test(directory_faults, options_outside_their_bounds_are_refused)
{
    world_init(&world, "/data");
    world_start(&world);
    world_stop(&world);
    struct wal_position position = { .next_index = 1, .next_lsn = 1, .next_segment_sequence = 1 };
    struct wal_options good = world.options;
    struct wal_options wrong[8] = { good, good, good, good, good, good, good, good };
    wrong[0].depth_max = 0;
    wrong[1].depth_max = WAL_DEPTH_MAX + 1;
    wrong[2].ready_min = 1;
    wrong[3].frame_size_max = 100;
    wrong[4].frame_size_max = WAL_FRAME_SIZE_MAX + WAL_BLOCK_SIZE;
    wrong[5].segment_size = WAL_BLOCK_SIZE;
    wrong[6].shard = good.shards_count;
    wrong[7].frame_size_max = 5000;
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        const char *reason = NULL;
        struct wal *wal = NULL;
        cr_assert_eq(wal_open(io, &wrong[i], &position, &wal, &reason), -EINVAL, "%zu", i);
        cr_assert_not_null(reason);
    }
}

/* ---- What the log stands on is durable ------------------------------------------------------------------------------------------ */

Test(directory_faults, a_new_data_directory_is_durable_before_it_is_used)
{
    cr_assert_eq(open_two(), 0, "%s", why);
    cr_assert_not(fake_io_is_dirty("/data/meta"));
    cr_assert_not(fake_io_is_dirty("/data/shard-001"));
    cr_assert_not(fake_io_is_dirty("/data/shard-001/0000000000000001.wal"));
    wal_directory_close(io, &directory);
}

Test(directory_faults, a_fresh_segment_is_durable_under_its_name_before_the_first_frame)
{
    world_init(&world, "/data");
    world_start(&world);
    (void)world_commit(&world, 96);
    world_stop(&world);
    world_start(&world); /* makes one on the spot, or takes a ready one */
    cr_assert_eq(wal_state_of(world.wal).segment_sequence, 2u);
    cr_assert_not(fake_io_is_dirty("/data/shard-000/0000000000000002.wal"));
    cr_assert_not(fake_io_is_dirty("/data/shard-000"));
    for (int turn = 0; turn < 20; turn++)
        world_turn(&world);
    cr_assert_eq(fake_io_count(".ready"), 2u);
    cr_assert_not(fake_io_is_dirty("/data/shard-000/0000000000000003.ready"));
    cr_assert_not(fake_io_is_dirty("/data/shard-000"));
    for (int i = 0; i < 14; i++)
        world_noop(&world);
    cr_assert_eq(wal_state_of(world.wal).segment_sequence, 3u);
    cr_assert_not(fake_io_is_dirty("/data/shard-000/0000000000000003.wal"));
    cr_assert_not(fake_io_is_dirty("/data/shard-000/0000000000000002.wal"));
    world_stop(&world);
}

Test(directory_faults, a_discarded_tail_is_durably_saved_and_durably_gone)
{
    struct wal_report report = make_torn();
    cr_assert_eq(wal_discard_tail(io, &world.source, &report), 0);
    cr_assert_not(fake_io_is_dirty("/data/shard-000/torn-0000000000000001-00003000.bin"));
    cr_assert_not(fake_io_is_dirty("/data/shard-000/0000000000000001.wal"));
    cr_assert_not(fake_io_is_dirty("/data/shard-000"));
}

/* ---- A disk that cannot be read ------------------------------------------------------------------------------------------------ */

Test(directory_faults, a_log_that_cannot_be_read_is_an_error_at_every_step_and_never_a_shorter_log)
{
    struct wal_report report = make_torn();
    uint64_t step = 1;
    for (;; step++) {
        struct wal_report read;
        fake_io_fail_looks_from(step, -EIO);
        int rc = wal_read(io, &world.source, NULL, NULL, &read);
        fake_io_fail_looks_from(0, 0);
        if (rc == 0)
            break;
        cr_assert_eq(rc, -EIO);
        cr_assert_not_null(strstr(read.stop_path, "/data/shard-000"), "%s", read.stop_path);
        cr_assert_not_null(read.stop_reason);
    }
    cr_assert_gt(step, 6u);
    for (step = 1;; step++) {
        fake_io_fail_looks_from(step, -EIO);
        int rc = wal_discard_tail(io, &world.source, &report);
        fake_io_fail_looks_from(0, 0);
        if (rc == 0)
            break;
        cr_assert_eq(rc, -EIO);
        cr_assert_neq(world_read(&world).verdict, WAL_DAMAGED);
    }
    cr_assert_gt(step, 6u);
    cr_assert_eq(world_read(&world).verdict, WAL_CLEAN);
}

Test(directory_faults, a_directory_that_cannot_be_read_is_an_error_at_every_step)
{
    cr_assert_eq(open_two(), 0, "%s", why);
    wal_directory_close(io, &directory);
    uint64_t step = 1;
    for (;; step++) {
        fake_io_fail_looks_from(step, -EIO);
        int rc = open_two();
        fake_io_fail_looks_from(0, 0);
        if (rc == 0)
            break;
        cr_assert_eq(rc, -EIO);
        cr_assert_eq(why[strlen(why) - 1], '.', "%s", why);
        cr_assert_eq(directory.lock_file, -1);
    }
    cr_assert_gt(step, 5u);
    wal_directory_close(io, &directory);
    io_destroy(io); /* nothing stays open */
}

Test(directory_faults, a_log_whose_directory_cannot_be_read_is_not_opened)
{
    world_init(&world, "/data");
    world_start(&world);
    for (int turn = 0; turn < 20; turn++)
        world_turn(&world); /* leaves ready segments to look at */
    world_stop(&world);
    struct wal_report report = world_read(&world);
    uint64_t step = 1;
    for (;; step++) {
        const char *reason = NULL;
        struct wal *wal = NULL;
        cr_assert_eq(io_adopt(io), 0);
        fake_io_fail_looks_from(step, -EIO);
        int rc = wal_open(io, &world.options, &report.position, &wal, &reason);
        fake_io_fail_looks_from(0, 0);
        if (rc == 0)
            wal_close(wal);
        io_destroy(io);
        if (rc == 0)
            break;
        cr_assert_eq(rc, -EIO);
        cr_assert_not_null(reason);
    }
    cr_assert_gt(step, 2u);
}

/* Another shard's segment 1 in place of this one's, before the first frame. */
Test(directory_faults, a_new_shard_with_another_shards_first_segment_is_refused)
{
    cr_assert_eq(open_two(), 0, "%s", why);
    size_t size = 0;
    uint8_t *first = fake_io_file("/data/shard-000/0000000000000001.wal", &size);
    const uint8_t *second = fake_io_file("/data/shard-001/0000000000000001.wal", &size);
    memcpy(first, second, size);
    struct wal_source source = { .directory = "/data/shard-000", .shards_count = 2 };
    memcpy(source.uuid, directory.header.uuid, sizeof(source.uuid));
    struct wal_report report;
    cr_assert_eq(wal_read(io, &source, NULL, NULL, &report), 0);
    cr_assert_eq(report.verdict, WAL_DAMAGED);
    cr_assert_not_null(strstr(report.stop_reason, "another shard"), "%s", report.stop_reason);
    struct wal_options options = { .directory = "/data/shard-000",
                                   .shards_count = 2,
                                   .segment_size = SEGMENT_SIZE,
                                   .frame_size_max = 8192,
                                   .depth_max = 1,
                                   .ready_min = 2 };
    memcpy(options.uuid, directory.header.uuid, sizeof(options.uuid));
    struct wal_position position = { .next_index = 1, .next_lsn = 1, .next_segment_sequence = 1 };
    const char *reason = NULL;
    struct wal *wal = NULL;
    cr_assert_eq(io_adopt(io), 0);
    cr_assert_eq(wal_open(io, &options, &position, &wal, &reason), -EBADMSG);
    cr_assert_not_null(strstr(reason, "not this shard's"), "%s", reason);
    wal_directory_close(io, &directory);
    io_destroy(io);
}

Test(directory_faults, without_meta_the_segments_headers_say_how_large_they_are)
{
    world_init(&world, "/data");
    world_start(&world);
    (void)world_commit(&world, 96);
    world_stop(&world);
    struct wal_source source = world.source;
    source.segment_size = 0;
    struct wal_report report;
    cr_assert_eq(wal_read(io, &source, NULL, NULL, &report), 0);
    cr_assert_eq(report.verdict, WAL_CLEAN);
    fake_io_cut("/data/shard-000/0000000000000001.wal", WORLD_SEGMENT_SIZE - WAL_BLOCK_SIZE);
    cr_assert_eq(wal_read(io, &source, NULL, NULL, &report), 0);
    cr_assert_eq(report.verdict, WAL_DAMAGED);
    cr_assert_not_null(strstr(report.stop_reason, "shorter"), "%s", report.stop_reason);
}
