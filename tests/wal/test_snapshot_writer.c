/* Writing snapshots on a disk that does what the test says. */
#include "tests/wal/fake_io.h"
#include "tests/wal/snapshots.h"
#include "wal/reader.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define DIRECTORY "/shard"
#define SMALL (3 * WAL_SNAPSHOT_CHUNK_SIZE + WAL_BLOCK_SIZE)

static struct snapshots world;

/* An empty shard directory that is durable. */
static void world_begin(void)
{
    fake_io_reset();
    struct io *io = NULL;
    const struct io_options options = { .ring_entries = 8 };
    const char *why = NULL;
    cr_assert_eq(io_create(&options, &io, &why), 0);
    cr_assert_eq(io_make_directory(io, DIRECTORY), 0);
    fake_io_crash(FAKE_CRASH_PROCESS);
    snapshots_init(&world, DIRECTORY);
}

static struct wal_snapshot_state state_now(void)
{
    return wal_snapshot_state_of(world.writer);
}

static bool snapshot_is_there(uint64_t index)
{
    char path[SCRATCH_PATH_SIZE];
    size_t size = 0;
    return fake_io_file(snapshots_path(&world, index, path), &size) != NULL;
}

static struct wal_manifest manifest_read(void)
{
    struct wal_manifest manifest;
    char why[WAL_SNAPSHOT_WHY_SIZE];
    cr_assert_eq(wal_manifest_read(world.io, &world.place, &manifest, why), 0, "%s", why);
    return manifest;
}

/* In place of the one that is there. */
static void manifest_write(const struct wal_manifest *manifest)
{
    char path[WAL_FILE_PATH_SIZE];
    size_t size = 0;
    snprintf(path, sizeof path, "%s/" WAL_MANIFEST_NAME, world.place.directory);
    uint8_t *bytes = fake_io_file(path, &size);
    cr_assert_eq(size, sizeof *manifest);
    memcpy(bytes, manifest, sizeof *manifest);
}

static void assert_reads(uint64_t index)
{
    int rc = snapshots_read(&world, index, 4);
    cr_assert_eq(rc, 0, "%s", snapshots_why);
}

/* ---- What it writes ------------------------------------------------------------------------------------------------------ */

Test(snapshot_writer, pages_come_back_as_they_were_given_whatever_their_number)
{
    static const uint64_t sizes[] = { WAL_BLOCK_SIZE,
                                      WAL_SNAPSHOT_CHUNK_SIZE,
                                      WAL_SNAPSHOT_CHUNK_SIZE + WAL_BLOCK_SIZE,
                                      2 * WAL_SNAPSHOT_CHUNK_SIZE - WAL_BLOCK_SIZE,
                                      256 * WAL_SNAPSHOT_CHUNK_SIZE, /* a block of table */
                                      257 * WAL_SNAPSHOT_CHUNK_SIZE, /* and one hash more */
                                      4097 * WAL_SNAPSHOT_CHUNK_SIZE /* a table of more than one write */ };
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        world_begin();
        snapshots_open(&world, 0);
        snapshots_make(&world, 10, sizes[i]);
        assert_reads(10);
        char path[SCRATCH_PATH_SIZE];
        size_t size = 0;
        cr_assert_not_null(fake_io_file(snapshots_path(&world, 10, path), &size));
        cr_assert_eq(size, wal_snapshot_file_size(sizes[i]));
        cr_assert_eq(size, state_now().newest_file_size);
        snapshots_close(&world);
    }
}

Test(snapshot_writer, a_snapshot_and_its_manifest_are_durable_when_it_is_done)
{
    world_begin();
    snapshots_open(&world, 0);
    snapshots_make(&world, 10, SMALL);
    snapshots_close(&world);
    fake_io_crash(FAKE_CRASH_ALL);
    snapshots_open(&world, 10);
    assert_reads(10);
    struct wal_manifest manifest = manifest_read();
    cr_assert_eq(manifest.count, 1u);
    cr_assert_eq(manifest.entries[0].index, 10u);
    cr_assert_eq(manifest.oldest_segment, 1u);
    snapshots_close(&world);
}

Test(snapshot_writer, the_two_newest_are_kept_and_say_which_segments_are_needed)
{
    world_begin();
    snapshots_open(&world, 0);
    cr_assert_eq(state_now().status, WAL_SNAPSHOT_NONE);
    snapshots_make(&world, 10, SMALL);
    cr_assert_eq(state_now().oldest_segment, 0u, "one snapshot lets no segment go");
    snapshots_make(&world, 25, SMALL);
    cr_assert_eq(state_now().oldest_segment, snapshots_header(10, SMALL).segment_sequence);
    snapshots_make(&world, 47, SMALL);
    struct wal_snapshot_state state = state_now();
    cr_assert_eq(state.kept, 2u);
    cr_assert_eq(state.kept_indexes[0], 47u);
    cr_assert_eq(state.kept_indexes[1], 25u);
    cr_assert_eq(state.newest_lsn, 3 * 47u - 1);
    cr_assert_eq(state.oldest_segment, snapshots_header(25, SMALL).segment_sequence);
    cr_assert_eq(state.done_count, 3u);
    cr_assert_not(snapshot_is_there(10));
    assert_reads(47);
    assert_reads(25);
    struct wal_manifest manifest = manifest_read();
    cr_assert_eq(manifest.count, 2u);
    cr_assert_eq(manifest.oldest_segment, state.oldest_segment);
    snapshots_close(&world);
}

Test(snapshot_writer, a_restart_knows_what_is_kept)
{
    world_begin();
    snapshots_open(&world, 0);
    snapshots_make(&world, 10, SMALL);
    snapshots_make(&world, 25, SMALL);
    struct wal_snapshot_state before = state_now();
    snapshots_close(&world);
    snapshots_open(&world, 25);
    struct wal_snapshot_state state = state_now();
    cr_assert_eq(state.kept, 2u);
    cr_assert_eq(state.oldest_segment, before.oldest_segment);
    cr_assert_eq(state.newest_lsn, before.newest_lsn);
    cr_assert_eq(state.newest_created_wall_ns, before.newest_created_wall_ns);
    snapshots_make(&world, 47, SMALL);
    cr_assert_not(snapshot_is_there(10));
    cr_assert_eq(manifest_read().entries[1].index, 25u);
    snapshots_close(&world);
}

/* As after a crash between the third's name and its manifest. */
Test(snapshot_writer, what_an_older_manifest_names_stays_until_the_next_is_durable)
{
    world_begin();
    snapshots_open(&world, 0);
    snapshots_make(&world, 10, SMALL);
    snapshots_make(&world, 25, SMALL);
    struct wal_manifest older = manifest_read();
    snapshots_make(&world, 47, SMALL);
    snapshots_close(&world);
    manifest_write(&older);
    snapshots_open(&world, 47);
    cr_assert_eq(state_now().kept, 2u);
    cr_assert_eq(state_now().oldest_segment, 0u, "the manifest needs what is in front of the second");
    snapshots_make(&world, 60, SMALL);
    cr_assert_eq(state_now().oldest_segment, snapshots_header(47, SMALL).segment_sequence);
    snapshots_close(&world);
}

Test(snapshot_writer, one_that_recovery_found_damaged_is_not_relied_on)
{
    world_begin();
    snapshots_open(&world, 0);
    snapshots_make(&world, 10, SMALL);
    snapshots_make(&world, 25, SMALL);
    snapshots_close(&world);
    snapshots_open(&world, 10);
    cr_assert_eq(state_now().kept, 1u);
    cr_assert_eq(state_now().oldest_segment, 0u);
    snapshots_make(&world, 47, SMALL);
    cr_assert_eq(manifest_read().entries[1].index, 10u);
    cr_assert_eq(state_now().oldest_segment, snapshots_header(10, SMALL).segment_sequence);
    assert_reads(10);
    snapshots_make(&world, 58, SMALL);
    cr_assert_not(snapshot_is_there(10));
    cr_assert_not(snapshot_is_there(25));
    snapshots_close(&world);
}

Test(snapshot_writer, a_damaged_one_is_replaced_by_one_of_the_same_frame)
{
    world_begin();
    snapshots_open(&world, 0);
    snapshots_make(&world, 10, SMALL);
    snapshots_close(&world);
    char path[SCRATCH_PATH_SIZE];
    size_t size = 0;
    fake_io_file(snapshots_path(&world, 10, path), &size)[WAL_BLOCK_SIZE] ^= 1;
    snapshots_open(&world, 0);
    cr_assert_eq(snapshots_read(&world, 10, 0), WAL_SNAPSHOT_DAMAGED);
    snapshots_make(&world, 10, SMALL);
    assert_reads(10);
    snapshots_close(&world);
}

Test(snapshot_writer, left_overs_go_at_the_start_and_nothing_else)
{
    static const char *const names[] = { DIRECTORY "/0000000000000007.snapshot.tmp", DIRECTORY "/manifest.tmp",
                                         DIRECTORY "/0000000000000007.tmp", DIRECTORY "/7.snapshot.tmp",
                                         DIRECTORY "/0000000000000001.wal" };
    world_begin();
    snapshots_open(&world, 0);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        io_close(world.io, io_open(world.io, names[i], IO_OPEN_WRITE | IO_OPEN_CREATE));
    snapshots_close(&world);
    snapshots_open(&world, 0);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        cr_assert_eq(fake_io_count(names[i]), i >= 2 ? 1u : 0u, "%s", names[i]);
    snapshots_close(&world);
}

Test(snapshot_writer, a_snapshot_is_no_segment)
{
    world_begin();
    snapshots_open(&world, 0);
    snapshots_make(&world, 10, SMALL);
    struct wal_segments segments = { .sequences = NULL };
    cr_assert_eq(wal_segments_list(world.io, DIRECTORY, &segments), 0);
    cr_assert_eq(segments.count, 0u);
    wal_segments_free(&segments);
    snapshots_close(&world);
}

Test(snapshot_writer, the_next_may_begin_while_an_older_one_is_being_deleted)
{
    for (uint64_t turns = 0; turns < 40; turns++) {
        world_begin();
        snapshots_open(&world, 0);
        snapshots_make(&world, 10, SMALL);
        snapshots_make(&world, 25, SMALL);
        snapshots_begin(&world, 47, SMALL);
        while (!state_now().deleting) {
            cr_assert_eq(io_run(world.io, 0), 0);
            wal_snapshot_tend(world.writer, io_now_ns(world.io));
        }
        cr_assert_eq(state_now().status, WAL_SNAPSHOT_DONE);
        cr_assert_eq(wal_snapshot_due_ns(world.writer), NEVER_NS);
        fake_io_hold(true);
        snapshots_begin(&world, 58, SMALL);
        for (uint64_t i = 0; i < turns; i++) { /* all but the deletion goes on */
            wal_snapshot_tend(world.writer, io_now_ns(world.io));
            for (size_t k = 1; k < fake_io_pending_count(); k++)
                fake_io_complete(k, FAKE_ALL);
            cr_assert_eq(io_run(world.io, 0), 0);
            cr_assert_eq(fake_io_pending(0).operation, FAKE_UNLINK);
        }
        if (turns % 2 == 0)
            wal_snapshot_abandon(world.writer);
        fake_io_hold(false);
        bool done = snapshots_run(&world).status == WAL_SNAPSHOT_DONE;
        cr_assert_not(snapshot_is_there(10));
        cr_assert_eq(snapshot_is_there(25), !done);
        cr_assert_eq(fake_io_count(".tmp"), 0u);
        assert_reads(47);
        snapshots_close(&world);
    }
}

/* ---- At its own pace ----------------------------------------------------------------------------------------------------- */

Test(snapshot_writer, without_a_rate_four_writes_are_in_flight_and_no_more)
{
    world_begin();
    snapshots_open(&world, 0);
    fake_io_hold(true);
    snapshots_begin(&world, 10, 100 * WAL_SNAPSHOT_CHUNK_SIZE);
    cr_assert_eq(wal_snapshot_due_ns(world.writer), 0u);
    for (int turn = 0; turn < 10; turn++)
        wal_snapshot_tend(world.writer, io_now_ns(world.io));
    cr_assert_eq(fake_io_pending_count(), 4u);
    cr_assert_eq(wal_snapshot_due_ns(world.writer), NEVER_NS);
    for (size_t i = 0; i < 4; i++)
        cr_assert_not(fake_io_pending(i).durable);
    fake_io_complete(2, FAKE_ALL);
    cr_assert_eq(io_run(world.io, 0), 0);
    cr_assert_eq(wal_snapshot_due_ns(world.writer), 0u);
    wal_snapshot_tend(world.writer, io_now_ns(world.io));
    cr_assert_eq(fake_io_pending_count(), 4u);
    fake_io_hold(false);
    cr_assert_eq(snapshots_run(&world).status, WAL_SNAPSHOT_DONE);
    assert_reads(10);
    snapshots_close(&world);
}

Test(snapshot_writer, a_turn_changes_the_directory_at_most_once_and_copies_at_most_four_chunks)
{
    world_begin();
    snapshots_open(&world, 0);
    snapshots_make(&world, 10, SMALL);
    snapshots_make(&world, 25, SMALL);
    snapshots_begin(&world, 47, 20 * WAL_SNAPSHOT_CHUNK_SIZE);
    for (int turn = 0; wal_snapshot_due_ns(world.writer) != NEVER_NS || fake_io_pending_count() > 0; turn++) {
        cr_assert_lt(turn, 1000);
        uint64_t handed = world.handed;
        (void)fake_io_fail_from(0, 0);
        wal_snapshot_tend(world.writer, io_now_ns(world.io));
        cr_assert_leq(fake_io_fail_from(0, 0), 1u);
        cr_assert_leq(world.handed - handed, 4u);
        cr_assert_eq(io_run(world.io, 0), 0);
    }
    cr_assert_eq(state_now().status, WAL_SNAPSHOT_DONE);
    cr_assert_not(snapshot_is_there(10));
    snapshots_close(&world);
}

Test(snapshot_writer, a_rate_is_kept_with_one_write_at_a_time)
{
    world_begin();
    snapshots_open(&world, 0);
    wal_snapshot_rate_set(world.writer, 10 * WAL_SNAPSHOT_CHUNK_SIZE);
    uint64_t began_ns = io_now_ns(world.io);
    snapshots_begin(&world, 10, 21 * WAL_SNAPSHOT_CHUNK_SIZE);
    while (state_now().status == WAL_SNAPSHOT_RUNNING) {
        wal_snapshot_rate_set(world.writer, 10 * WAL_SNAPSHOT_CHUNK_SIZE); /* said each turn, as a server does */
        wal_snapshot_tend(world.writer, io_now_ns(world.io));
        cr_assert_leq(fake_io_pending_count(), 1u);
        if (state_now().status == WAL_SNAPSHOT_RUNNING)
            cr_assert_eq(io_run(world.io, wal_snapshot_due_ns(world.writer)), 0);
    }
    uint64_t took_ns = io_now_ns(world.io) - began_ns;
    cr_assert(took_ns >= 2 * NS_PER_SECOND - 50 * NS_PER_MS && took_ns <= 2 * NS_PER_SECOND + 200 * NS_PER_MS,
              "20 chunks at 10 a second take two seconds, not %llu ms", (unsigned long long)(took_ns / NS_PER_MS));
    assert_reads(10);
    snapshots_close(&world);
}

Test(snapshot_writer, a_rate_may_change_while_it_writes)
{
    world_begin();
    snapshots_open(&world, 0);
    wal_snapshot_rate_set(world.writer, 1);
    snapshots_begin(&world, 10, SMALL);
    for (int turn = 0; turn < 5; turn++) {
        wal_snapshot_tend(world.writer, io_now_ns(world.io));
        cr_assert_eq(io_run(world.io, 0), 0);
    }
    uint64_t due_ns = wal_snapshot_due_ns(world.writer);
    cr_assert(due_ns != NEVER_NS && due_ns > io_now_ns(world.io) + 1000 * NS_PER_SECOND);
    wal_snapshot_rate_set(world.writer, 0);
    cr_assert_eq(wal_snapshot_due_ns(world.writer), 0u);
    uint64_t now_ns = io_now_ns(world.io);
    cr_assert_eq(snapshots_run(&world).status, WAL_SNAPSHOT_DONE);
    cr_assert_eq(io_now_ns(world.io), now_ns);
    snapshots_close(&world);
}

Test(snapshot_writer, progress_is_told)
{
    world_begin();
    snapshots_open(&world, 0);
    snapshots_begin(&world, 10, SMALL);
    struct wal_snapshot_state state = state_now();
    cr_assert(state.status == WAL_SNAPSHOT_RUNNING && state.bytes_written == 0 && state.ended_ns == 0);
    cr_assert_eq(state.bytes_total, wal_snapshot_file_size(SMALL));
    uint64_t written = 0;
    while (state_now().status == WAL_SNAPSHOT_RUNNING) {
        snapshots_turn(&world);
        cr_assert_geq(state_now().bytes_written, written);
        written = state_now().bytes_written;
    }
    cr_assert_eq(written, wal_snapshot_file_size(SMALL));
    cr_assert_neq(state_now().ended_ns, 0u);
    snapshots_close(&world);
}

/* ---- Failures ------------------------------------------------------------------------------------------------------------ */

/* Snapshots 10 and 25 are there, and the changes of a third are about to be counted. */
static void world_begin_with_two(void)
{
    world_begin();
    snapshots_open(&world, 0);
    snapshots_make(&world, 10, SMALL);
    snapshots_make(&world, 25, SMALL);
    fake_io_count_requests(true);
    (void)fake_io_fail_from(0, 0);
}

static uint64_t changes_of_a_third(void)
{
    world_begin_with_two();
    snapshots_make(&world, 47, SMALL);
    uint64_t changes = fake_io_fail_from(0, 0);
    snapshots_close(&world);
    return changes;
}

static void assert_failed_without_a_trace(int error, uint64_t n)
{
    struct wal_snapshot_state state = state_now();
    cr_assert_eq(state.error, error, "change %llu", (unsigned long long)n);
    cr_assert_not_null(state.doing);
    cr_assert_eq(state.kept_indexes[0], 25u);
    cr_assert_eq(state.kept_indexes[1], 10u);
    cr_assert_eq(state.oldest_segment, snapshots_header(10, SMALL).segment_sequence);
    cr_assert_eq(fake_io_count(".tmp"), 0u, "change %llu", (unsigned long long)n);
    cr_assert_eq(state.failed_count, 1u);
}

/* What the manifest names is there and whole; and there are always two to rely on. */
static void assert_two_to_rely_on(uint64_t n, enum fake_crash crash)
{
    struct wal_manifest manifest = manifest_read();
    cr_assert_eq(manifest.count, 2u);
    for (uint32_t i = 0; i < 2; i++)
        cr_assert_eq(snapshots_read(&world, manifest.entries[i].index, 4), 0, "change %llu, crash %d: %s",
                     (unsigned long long)n, (int)crash, snapshots_why);
    struct wal_snapshots list = { .indexes = NULL };
    cr_assert_eq(wal_snapshots_list(world.io, DIRECTORY, &list), 0);
    for (size_t i = 0; i < list.count; i++)
        assert_reads(list.indexes[i]);
    wal_snapshots_free(&list);
}

/* Whatever fails, the older two are as they were, and the next one succeeds. */
static void one_failure_is_survived(int error)
{
    uint64_t changes = changes_of_a_third();
    cr_assert_gt(changes, 12u);
    uint64_t failures = 0;
    for (uint64_t n = 1; n <= changes; n++) {
        world_begin_with_two();
        fake_io_fail_once(n, error);
        snapshots_begin(&world, 47, SMALL);
        bool failed = snapshots_run(&world).status == WAL_SNAPSHOT_FAILED;
        failures += failed;
        if (failed) {
            assert_failed_without_a_trace(error, n);
            assert_reads(10);
        }
        assert_reads(25);
        assert_two_to_rely_on(n, FAKE_CRASH_PROCESS);
        fake_io_fail_once(0, 0);
        snapshots_make(&world, 58, SMALL);
        cr_assert_eq(manifest_read().entries[1].index, failed ? 25u : 47u);
        assert_reads(58);
        snapshots_close(&world);
    }
    cr_assert_eq(failures, changes - 1, "every change but the last, the old one's end, matters");
}

Test(snapshot_writer, one_failed_operation_costs_one_snapshot_and_nothing_else, .timeout = 120)
{
    one_failure_is_survived(-EIO);
    one_failure_is_survived(-ENOSPC);
}

Test(snapshot_writer, a_short_write_fails_it)
{
    for (uint64_t turn = 0; turn < 12; turn++) {
        world_begin_with_two();
        snapshots_begin(&world, 47, SMALL);
        for (uint64_t i = 0; i < turn; i++)
            snapshots_turn(&world);
        fake_io_hold(true);
        wal_snapshot_tend(world.writer, io_now_ns(world.io));
        bool writes = fake_io_pending_count() > 0 && fake_io_pending(0).operation == FAKE_WRITE;
        if (writes)
            fake_io_complete(0, (int32_t)fake_io_pending(0).size - WAL_BLOCK_SIZE);
        fake_io_hold(false);
        struct wal_snapshot_state state = snapshots_run(&world);
        cr_assert_eq(state.status, writes ? WAL_SNAPSHOT_FAILED : WAL_SNAPSHOT_DONE);
        if (writes)
            assert_failed_without_a_trace(-ENOSPC, turn);
        snapshots_close(&world);
    }
}

Test(snapshot_writer, a_full_disk_fails_it_and_takes_nothing_from_what_is_there)
{
    world_begin_with_two();
    for (uint64_t room = 0; room < wal_snapshot_file_size(SMALL) + WAL_BLOCK_SIZE; room += WAL_BLOCK_SIZE) {
        fake_io_limit_space(2 * wal_snapshot_file_size(SMALL) + WAL_BLOCK_SIZE + room);
        snapshots_begin(&world, 47, SMALL);
        struct wal_snapshot_state state = snapshots_run(&world);
        cr_assert_eq(state.status, WAL_SNAPSHOT_FAILED, "with %llu bytes", (unsigned long long)room);
        cr_assert_eq(state.error, -ENOSPC);
        cr_assert_eq(fake_io_count(".tmp"), 0u);
        cr_assert_not(snapshot_is_there(47));
    }
    assert_reads(10);
    assert_reads(25);
    fake_io_limit_space(UINT64_MAX);
    snapshots_make(&world, 47, SMALL);
    assert_reads(47);
    snapshots_close(&world);
}

/* ---- Crashes ------------------------------------------------------------------------------------------------------------- */

static void crash_at(uint64_t n, enum fake_crash crash)
{
    world_begin_with_two();
    (void)fake_io_fail_from(n, -EIO);
    snapshots_begin(&world, 47, SMALL);
    (void)snapshots_run(&world);
    bool done = state_now().status == WAL_SNAPSHOT_DONE;
    snapshots_close(&world);
    fake_io_crash(crash);
    bool has_third = snapshot_is_there(47);
    cr_assert(IMPLIES(done, has_third));
    snapshots_open(&world, has_third ? 47 : 25);
    assert_two_to_rely_on(n, crash);
    cr_assert_eq(fake_io_count(".tmp"), 0u);
    cr_assert_eq(state_now().kept, 2u);
    snapshots_make(&world, 58, SMALL);
    assert_two_to_rely_on(n, crash);
    cr_assert_eq(manifest_read().entries[1].index, has_third ? 47u : 25u);
    snapshots_close(&world);
}

Test(snapshot_writer, a_crash_at_any_moment_leaves_two_snapshots_to_rely_on, .timeout = 120)
{
    uint64_t changes = changes_of_a_third();
    for (uint64_t n = 1; n <= changes + 1; n++) {
        crash_at(n, FAKE_CRASH_PROCESS);
        crash_at(n, FAKE_CRASH_DATA);
        crash_at(n, FAKE_CRASH_ALL);
        crash_at(n, FAKE_CRASH_ORDER);
    }
}

/* ---- Giving up ----------------------------------------------------------------------------------------------------------- */

static uint64_t turns_of_a_third(void)
{
    world_begin_with_two();
    snapshots_begin(&world, 47, SMALL);
    uint64_t turns = 0;
    for (; state_now().status == WAL_SNAPSHOT_RUNNING; turns++)
        snapshots_turn(&world);
    snapshots_close(&world);
    return turns;
}

/* `in_flight`: what was submitted has not come back when it is given up. */
static bool abandoned_after(uint64_t turns, bool in_flight)
{
    world_begin_with_two();
    snapshots_begin(&world, 47, SMALL);
    for (uint64_t i = 0; i < turns; i++)
        snapshots_turn(&world);
    if (in_flight)
        wal_snapshot_tend(world.writer, io_now_ns(world.io));
    wal_snapshot_abandon(world.writer);
    bool given_up = state_now().chunks_taken && state_now().error == -ECANCELED;
    world.closed = given_up;
    struct wal_snapshot_state state = snapshots_run(&world);
    cr_assert_eq(state.status, given_up ? WAL_SNAPSHOT_FAILED : WAL_SNAPSHOT_DONE);
    if (given_up) {
        assert_failed_without_a_trace(-ECANCELED, turns);
        cr_assert_not(snapshot_is_there(47));
        assert_reads(10);
    }
    assert_reads(25);
    snapshots_make(&world, 58, SMALL);
    assert_reads(58);
    snapshots_close(&world);
    return given_up;
}

Test(snapshot_writer, one_may_be_given_up_at_any_moment)
{
    uint64_t turns = turns_of_a_third();
    cr_assert_gt(turns, 10u);
    for (uint64_t n = 0; n < turns; n++) {
        bool early = n + 5 < turns;
        bool given_up = abandoned_after(n, false);
        cr_assert(IMPLIES(early, given_up), "turn %llu", (unsigned long long)n);
        given_up = abandoned_after(n, true);
        cr_assert(IMPLIES(early, given_up), "turn %llu", (unsigned long long)n);
    }
}

Test(snapshot_writer, giving_up_waits_for_what_is_in_flight)
{
    world_begin_with_two();
    snapshots_begin(&world, 47, SMALL);
    snapshots_turn(&world);
    fake_io_hold(true);
    wal_snapshot_tend(world.writer, io_now_ns(world.io));
    cr_assert_eq(fake_io_pending_count(), 4u);
    wal_snapshot_abandon(world.writer);
    wal_snapshot_tend(world.writer, io_now_ns(world.io));
    cr_assert_eq(state_now().status, WAL_SNAPSHOT_RUNNING);
    cr_assert_eq(fake_io_count(".snapshot.tmp"), 1u);
    cr_assert_eq(wal_snapshot_due_ns(world.writer), NEVER_NS);
    fake_io_hold(false);
    cr_assert_eq(snapshots_run(&world).status, WAL_SNAPSHOT_FAILED);
    cr_assert_eq(fake_io_count(".snapshot.tmp"), 0u);
    snapshots_close(&world);
}

Test(snapshot_writer, freeing_the_writer_gives_up_what_runs)
{
    uint64_t turns = turns_of_a_third();
    for (uint64_t n = 0; n <= turns; n++) {
        world_begin_with_two();
        snapshots_begin(&world, 47, SMALL);
        for (uint64_t i = 0; i < n; i++)
            snapshots_turn(&world);
        wal_snapshot_tend(world.writer, io_now_ns(world.io));
        snapshots_close(&world);
        cr_assert_eq(fake_io_count(".tmp"), 0u);
        fake_io_crash(FAKE_CRASH_ALL);
        snapshots_open(&world, 47);
        assert_two_to_rely_on(n, FAKE_CRASH_ALL);
        snapshots_close(&world);
    }
}

Test(snapshot_writer, giving_up_nothing_is_nothing)
{
    world_begin_with_two();
    wal_snapshot_abandon(world.writer);
    cr_assert_eq(state_now().status, WAL_SNAPSHOT_DONE);
    cr_assert_eq(wal_snapshot_due_ns(world.writer), NEVER_NS);
    snapshots_close(&world);
    wal_snapshot_writer_free(NULL);
}

/* ---- Contracts ----------------------------------------------------------------------------------------------------------- */

Test(snapshot_writer, two_at_once_are_a_bug, .signal = SIGABRT)
{
    world_begin_with_two();
    snapshots_begin(&world, 47, SMALL);
    snapshots_begin(&world, 48, SMALL);
}

Test(snapshot_writer, one_not_newer_than_the_newest_is_a_bug, .signal = SIGABRT)
{
    world_begin_with_two();
    snapshots_begin(&world, 25, SMALL);
}

Test(snapshot_writer, a_source_that_hands_out_too_little_is_a_bug, .signal = SIGABRT)
{
    world_begin_with_two();
    snapshots_begin(&world, 47, SMALL);
    world.chunks_count--;
    (void)snapshots_run(&world);
}

Test(snapshot_writer, a_source_that_hands_a_chunk_out_twice_is_a_bug, .signal = SIGABRT)
{
    world_begin_with_two();
    snapshots_begin(&world, 47, SMALL);
    world.stride = 0;
    (void)snapshots_run(&world);
}
