/* What becomes of segments that nobody needs any more: the next ready ones, or nothing; oldest first, whenever the process ends. */
#include "tests/wal/fake_io.h"
#include "tests/wal/world.h"
#include "wal/reader.h"
#include "wal/segment_pool.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define SHARD_PATH "/data/shard-000"
#define SEQUENCES_MAX 1000
#define SPARE_MAX 2u

static struct world world;

static void setup(void)
{
    world_init(&world, "/data");
    world.options.spare_max = SPARE_MAX;
    world_start(&world);
}

static void teardown(void)
{
    fake_io_hold(false);
    (void)fake_io_fail_from(0, 0);
    world_stop(&world);
}

TestSuite(recycling, .init = setup, .fini = teardown);

/* ---- Words ----------------------------------------------------------------------------------------------------------------- */

/* Writes frames until the log is in its `count`-th next segment. */
static void fill_segments(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t sequence = wal_state_of(world.wal).segment_sequence;
        while (wal_state_of(world.wal).segment_sequence == sequence)
            (void)world_commit(&world, 4000);
    }
}

static void settle(void)
{
    for (int turn = 0; turn < 2000 && wal_tend_due_ns(world.wal) != NEVER_NS; turn++)
        world_turn(&world);
    while (fake_io_pending_count() > 0)
        world_turn(&world);
    cr_assert_eq(wal_tend_due_ns(world.wal), NEVER_NS);
}

static uint64_t current_segment(void)
{
    return wal_state_of(world.wal).segment_sequence;
}

/* The path of a file of the shard. */
static const char *path_of(uint64_t sequence, const char *suffix)
{
    static char path[WAL_FILE_PATH_SIZE];
    cr_assert_eq(wal_file_path(path, SHARD_PATH, sequence, suffix), 0);
    return path;
}

static bool is_there(uint64_t sequence, const char *suffix)
{
    size_t size = 0;
    return fake_io_file(path_of(sequence, suffix), &size) != NULL;
}

/* The oldest segment there is; every later number up to `end` has its file. */
static uint64_t oldest_of_a_run(uint64_t end)
{
    uint64_t oldest = 1;
    while (oldest < end && !is_there(oldest, WAL_SUFFIX_SEGMENT))
        oldest++;
    for (uint64_t sequence = oldest; sequence < end; sequence++)
        cr_assert(is_there(sequence, WAL_SUFFIX_SEGMENT), "segment %llu is missing between others",
                  (unsigned long long)sequence);
    return oldest;
}

static uint64_t highest_number(const char *suffix)
{
    uint64_t highest = 0;
    for (uint64_t sequence = 1; sequence < SEQUENCES_MAX; sequence++)
        if (is_there(sequence, suffix))
            highest = sequence;
    return highest;
}

static void every_ready_segment_is_zero(void)
{
    for (uint64_t sequence = 1; sequence < SEQUENCES_MAX; sequence++) {
        size_t size = 0;
        const uint8_t *bytes = fake_io_file(path_of(sequence, WAL_SUFFIX_READY), &size);
        if (!bytes)
            continue;
        cr_assert_eq(size, WORLD_SEGMENT_SIZE);
        cr_assert(wal_bytes_are_zero(bytes, size), "%llu.ready holds old bytes", (unsigned long long)sequence);
        cr_assert_not(fake_io_is_dirty(path_of(sequence, WAL_SUFFIX_READY)));
    }
}

/* ---- Claims ------------------------------------------------------------------------------------------------------------------ */

Test(recycling, nothing_is_retired_unless_it_is_said)
{
    fill_segments(8);
    settle();
    cr_assert_eq(oldest_of_a_run(current_segment() + 1), 1u);
    cr_assert_eq(wal_state_of(world.wal).segments_recycled, 0u);
    cr_assert_eq(wal_state_of(world.wal).segments_deleted, 0u);
}

Test(recycling, retired_segments_are_deleted_oldest_first_down_to_the_spare_ones)
{
    fill_segments(9);
    settle();
    uint64_t current = current_segment();
    uint64_t oldest = 1;
    wal_retire_below(world.wal, current - 1);
    for (int turn = 0; turn < 50; turn++) {
        world_turn(&world);
        uint64_t now = oldest_of_a_run(current + 1);
        cr_assert(now == oldest || now == oldest + 1, "more than one file a turn");
        cr_assert_not(fake_io_is_dirty(SHARD_PATH)); /* each is durably gone before the next */
        oldest = now;
    }
    cr_assert_eq(oldest, current - 1 - SPARE_MAX);
    cr_assert_eq(wal_state_of(world.wal).segments_deleted, oldest - 1);
    cr_assert_eq(wal_state_of(world.wal).segments_recycled, 0u); /* enough were ready */
}

Test(recycling, deletions_keep_a_pause_between_them)
{
    fill_segments(9);
    settle();
    wal_retire_below(world.wal, current_segment());
    wal_tend(world.wal); /* looks */
    wal_tend(world.wal); /* deletes one */
    for (int i = 0; i < 5; i++)
        wal_tend(world.wal);
    cr_assert_eq(wal_state_of(world.wal).segments_deleted, 1u);
    cr_assert_eq(wal_tend_due_ns(world.wal), io_now_ns(world.io) + WAL_DELETE_PAUSE_NS);
    fake_io_advance(WAL_DELETE_PAUSE_NS);
    wal_tend(world.wal);
    cr_assert_eq(wal_state_of(world.wal).segments_deleted, 2u);
}

Test(recycling, a_log_that_retires_as_it_goes_lives_on_a_full_disk_and_makes_no_new_file)
{
    fill_segments(3);
    settle();
    size_t files = fake_io_count(".wal") + fake_io_count(".ready");
    fake_io_limit_space(files * WORLD_SEGMENT_SIZE + 8192); /* the meta file, and nothing more */
    for (int round = 0; round < 40; round++) {
        wal_retire_below(world.wal, current_segment());
        fill_segments(1);
        cr_assert_eq(wal_error(world.wal), 0);
        cr_assert_eq(wal_space(world.wal), WAL_SPACE_AMPLE, "round %d", round);
        cr_assert_leq(fake_io_count(".wal") + fake_io_count(".ready") + fake_io_count(".tmp"), files);
        every_ready_segment_is_zero();
        (void)oldest_of_a_run(current_segment() + 1);
    }
    cr_assert_geq(wal_state_of(world.wal).segments_recycled, 35u);
}

Test(recycling, the_old_name_is_durably_gone_before_the_first_zero_is_written)
{
    fill_segments(4);
    settle();
    fake_io_hold(true);
    wal_retire_below(world.wal, current_segment());
    unsigned seen = 0;
    bool recycled = false; /* and no zero written yet */
    for (int turn = 0; turn < 400; turn++) {
        if (wal_may_seal(world.wal))
            wal_seal(world.wal, world.time_ns++, 1, false);
        uint64_t before = wal_state_of(world.wal).segments_recycled;
        wal_tend(world.wal);
        recycled = recycled || wal_state_of(world.wal).segments_recycled > before;
        for (size_t i = 0; i < fake_io_pending_count(); i++) {
            struct fake_pending pending = fake_io_pending(i);
            bool first_zeros = recycled && pending.operation == FAKE_WRITE && strstr(pending.path, WAL_SUFFIX_FILLING);
            cr_assert(IMPLIES(first_zeros, pending.offset == 0 && !fake_io_is_dirty(SHARD_PATH)));
            recycled = recycled && !first_zeros;
            seen += first_zeros;
            fake_io_complete(i, FAKE_ALL);
        }
        cr_assert_eq(io_run(world.io, 0), 0);
        while (wal_durable(world.wal))
            wal_release(world.wal);
    }
    cr_assert_gt(seen, 0u);
}

/* Completes everything but frames of this segment. */
static void complete_all_but_frames_of(uint64_t sequence)
{
    for (size_t i = 0; i < fake_io_pending_count(); i++)
        if (strcmp(fake_io_pending(i).path, path_of(sequence, WAL_SUFFIX_SEGMENT)) != 0)
            fake_io_complete(i, FAKE_ALL);
    cr_assert_eq(io_run(world.io, 0), 0);
}

Test(recycling, a_segment_whose_last_frame_is_in_flight_is_not_touched)
{
    world_stop(&world);
    world.options.spare_max = 0; /* or it would be kept for that reason */
    world_start(&world);
    fill_segments(3);
    settle();
    uint64_t old = current_segment();
    for (int i = 0; i < 3; i++)
        (void)world_commit(&world, 4000); /* less than half of the segment is left */
    settle();
    fake_io_hold(true);
    (void)world_append(&world, 4000);
    wal_seal(world.wal, world.time_ns++, 1, false);
    for (int turn = 0; turn < 50 && current_segment() == old; turn++) { /* the open frame outgrows it */
        wal_tend(world.wal);
        if (wal_has_room(world.wal, 4000))
            (void)world_append(&world, 4000);
        complete_all_but_frames_of(old);
    }
    cr_assert_gt(current_segment(), old);
    cr_assert_eq(strcmp(fake_io_pending(0).path, path_of(old, WAL_SUFFIX_SEGMENT)), 0);
    wal_retire_below(world.wal, current_segment());
    for (int turn = 0; turn < 50; turn++) {
        fake_io_advance(NS_PER_SECOND);
        wal_tend(world.wal);
        complete_all_but_frames_of(old);
        cr_assert(is_there(old, WAL_SUFFIX_SEGMENT));
    }
    fake_io_hold(false);
    world_drain(&world);
    fill_segments(5);
    settle();
    cr_assert_not(is_there(old, WAL_SUFFIX_SEGMENT));
}

Test(recycling, half_a_new_file_gives_way_to_a_retired_one_when_the_disk_is_full)
{
    fill_segments(4);
    settle();
    size_t files = fake_io_count(".wal") + fake_io_count(".ready");
    fake_io_limit_space(files * WORLD_SEGMENT_SIZE + WORLD_SEGMENT_SIZE / 2);
    fill_segments(1);
    for (int turn = 0; turn < 20; turn++)
        world_turn(&world);
    cr_assert_eq(fake_io_count(".tmp"), 1u);
    cr_assert_eq(wal_space(world.wal), WAL_SPACE_LOW);
    wal_retire_below(world.wal, current_segment());
    cr_assert_leq(wal_tend_due_ns(world.wal), io_now_ns(world.io)); /* at once, not a second later */
    settle();
    cr_assert_eq(wal_space(world.wal), WAL_SPACE_AMPLE);
    cr_assert_geq(wal_state_of(world.wal).segments_recycled, 1u);
    cr_assert_eq(fake_io_count(".tmp"), 0u);
    every_ready_segment_is_zero();
}

Test(recycling, a_segment_of_another_size_is_deleted)
{
    fill_segments(4);
    settle();
    fake_io_cut(path_of(1, WAL_SUFFIX_SEGMENT), WORLD_SEGMENT_SIZE / 2);
    wal_retire_below(world.wal, 3); /* two, which are spare */
    settle();
    cr_assert(is_there(1, WAL_SUFFIX_SEGMENT));
    fill_segments(2);
    settle();
    cr_assert_eq(wal_state_of(world.wal).segments_deleted, 1u);
    cr_assert_eq(wal_state_of(world.wal).segments_recycled, 1u);
    every_ready_segment_is_zero();
}

Test(recycling, a_segment_that_somebody_deleted_is_done_with)
{
    fill_segments(6);
    settle();
    wal_retire_below(world.wal, current_segment());
    wal_tend(world.wal); /* looks */
    for (uint64_t sequence = 1; sequence < current_segment(); sequence++)
        cr_assert_eq(io_unlink(NULL, path_of(sequence, WAL_SUFFIX_SEGMENT)), 0);
    fill_segments(3);
    settle();
    cr_assert_eq(wal_error(world.wal), 0);
}

Test(recycling, more_segments_than_are_known_at_a_time_go_in_order)
{
    fill_segments(WAL_RETIRED_MAX + 20);
    settle();
    uint64_t current = current_segment();
    wal_retire_below(world.wal, current);
    uint64_t oldest = 1;
    for (int turn = 0; turn < 400; turn++) {
        world_turn(&world);
        uint64_t now = oldest_of_a_run(current + 1);
        cr_assert(now == oldest || now == oldest + 1);
        oldest = now;
    }
    cr_assert_eq(oldest, current - SPARE_MAX);
}

Test(recycling, a_failure_to_delete_ends_the_log_and_lack_of_space_does_not)
{
    fill_segments(6);
    settle();
    (void)fake_io_fail_from(1, -ENOSPC);
    wal_retire_below(world.wal, current_segment());
    for (int turn = 0; turn < 5; turn++)
        world_turn(&world);
    cr_assert_eq(wal_error(world.wal), 0);
    (void)fake_io_fail_from(1, -EIO);
    for (int turn = 0; turn < 5; turn++)
        world_turn(&world);
    cr_assert_eq(wal_error(world.wal), -EIO);
}

/* A sync of the directory that lacks space leaves open which of its names the file will have. */
Test(recycling, a_rename_that_may_not_be_durable_costs_the_segment_and_its_number)
{
    fill_segments(4);
    settle();
    wal_retire_below(world.wal, 3);
    settle();
    while (fake_io_count(".ready") == 2)
        world_noop(&world);
    uint64_t number = highest_number(WAL_SUFFIX_READY) + 1;
    (void)fake_io_fail_from(2, -ENOSPC);
    wal_tend(world.wal);
    cr_assert_eq(wal_error(world.wal), 0);
    cr_assert_not(is_there(1, WAL_SUFFIX_SEGMENT));
    cr_assert_eq(fake_io_pending_count(), 0u); /* no zero is written to what may still be segment 1 */
    (void)fake_io_fail_from(0, 0);
    settle();
    cr_assert_eq(fake_io_count(".ready"), 2u);
    cr_assert_not(is_there(number, WAL_SUFFIX_READY));
    cr_assert(is_there(number + 1, WAL_SUFFIX_READY));
    cr_assert_eq(wal_state_of(world.wal).segments_recycled, 1u);
    every_ready_segment_is_zero();
}

/* ---- Crashes ---------------------------------------------------------------------------------------------------------------- */

/* Where a writer goes on that has read everything; the reading itself is recovery's. */
static struct wal_position position_after(void)
{
    struct wal_state state = wal_state_of(world.wal);
    return (struct wal_position){
        .next_index = state.durable_index + 1,
        .next_lsn = world.frames[world.frames_count - 1].first_lsn + world.frames[world.frames_count - 1].records,
        .last_time_ns = state.last_time_ns,
        .previous_hash = world.frames[world.frames_count - 1].hash,
    };
}

static void end_here(void)
{
    wal_close(world.wal);
    world.wal = NULL;
    wal_directory_close(world.io, &world.directory);
    io_destroy(world.io);
    world.io = NULL;
    (void)fake_io_fail_from(0, 0);
}

static void start_again(struct wal_position *position)
{
    const char *why = NULL;
    char text[512];
    struct io_options options = { .ring_entries = 64, .fixed_buffers_count = WAL_DEPTH_MAX + 2 };
    cr_assert_eq(io_create(&options, &world.io, &why), 0);
    cr_assert_eq(io_adopt(world.io), 0);
    cr_assert_eq(wal_directory_open(world.io, "/data", 1, 1, WORLD_SEGMENT_SIZE, &world.directory, text, sizeof(text)),
                 0, "%s", text);
    int rc = wal_open(world.io, &world.options, position, &world.wal, &why);
    cr_assert_eq(rc, 0, "%d: %s", rc, why);
}

static bool known[SEQUENCES_MAX];

static void segments_remember(void)
{
    for (uint64_t sequence = 1; sequence < SEQUENCES_MAX; sequence++)
        known[sequence] = is_there(sequence, WAL_SUFFIX_SEGMENT);
}

/* Of the segments that were remembered, the oldest that is left; all that were behind it are there. */
static uint64_t oldest_left(void)
{
    uint64_t oldest = 0;
    for (uint64_t sequence = 1; sequence < SEQUENCES_MAX; sequence++) {
        bool there = is_there(sequence, WAL_SUFFIX_SEGMENT);
        cr_assert(IMPLIES(oldest != 0 && known[sequence], there), "%llu went before an older one",
                  (unsigned long long)sequence);
        if (there && oldest == 0)
            oldest = sequence;
    }
    return oldest;
}

/* Writes and retires until a failure, or until it is all done; returns where the log was. */
static struct wal_position run_on(void)
{
    struct wal_position position = position_after();
    for (int turn = 0; turn < 400 && wal_error(world.wal) == 0; turn++) {
        if (wal_may_seal(world.wal) && wal_state_of(world.wal).in_flight == 0 && turn < 60)
            wal_seal(world.wal, world.time_ns++, 1, false);
        world_turn(&world);
        position = position_after();
    }
    return position;
}

/* Every call that changes the directory, as the first one that does not happen. */
Test(recycling, after_a_crash_at_any_step_the_segments_follow_each_other_and_the_log_goes_on, .timeout = 100)
{
    unsigned crashes = 0;
    bool ended = true;
    for (uint64_t n = 1; ended; n++) {
        cr_assert_lt(n, 100u);
        world.frames_count = 0;
        fill_segments(5);
        settle();
        segments_remember();
        uint64_t retired_below = current_segment() - 1;
        wal_retire_below(world.wal, retired_below);
        (void)fake_io_fail_from(n, -EIO);
        struct wal_position position = run_on();
        ended = wal_error(world.wal) != 0;
        crashes += ended;
        uint64_t oldest = oldest_left();
        cr_assert_leq(oldest, retired_below);
        every_ready_segment_is_zero();
        uint64_t end = highest_number(WAL_SUFFIX_SEGMENT) + 1;
        end_here();
        position.next_segment_sequence = end;
        position.retired_below = oldest;
        start_again(&position);
        cr_assert_geq(current_segment(), end); /* no number is used twice */
        cr_assert_eq(fake_io_count(".tmp"), 0u);
        every_ready_segment_is_zero();
        wal_retire_below(world.wal, current_segment()); /* the fake disk has room for so many files */
        settle();
    }
    cr_assert_gt(crashes, 8u);
}

Test(recycling, a_start_on_a_full_disk_makes_room_from_what_is_retired)
{
    fill_segments(4);
    settle();
    struct wal_position position = position_after();
    position.next_segment_sequence = current_segment() + 1;
    end_here();
    for (uint64_t sequence = 1; sequence < SEQUENCES_MAX; sequence++)
        if (is_there(sequence, WAL_SUFFIX_READY))
            cr_assert_eq(io_unlink(NULL, path_of(sequence, WAL_SUFFIX_READY)), 0);
    fake_io_limit_space(fake_io_count(".wal") * WORLD_SEGMENT_SIZE + 8192);
    position.retired_below = 3;
    start_again(&position);
    cr_assert_not(is_there(1, WAL_SUFFIX_SEGMENT));
    cr_assert(is_there(3, WAL_SUFFIX_SEGMENT));
    fill_segments(1);
    cr_assert_eq(wal_error(world.wal), 0);
}

/* ---- Old bytes -------------------------------------------------------------------------------------------------------------- */

/* Zeros are there so that a clean end needs no look at old bytes. That old bytes are never taken for new ones does not rest on them. */
Test(recycling, no_frame_and_no_header_of_an_earlier_life_verifies_under_the_new_number)
{
    fill_segments(2);
    size_t size = 0;
    const uint8_t *bytes = fake_io_file(path_of(1, WAL_SUFFIX_SEGMENT), &size);
    uint64_t old_salt = wal_salt(world.options.uuid, 0, 1);
    unsigned frames = 0;
    for (size_t offset = 0; offset < size; offset += WAL_BLOCK_SIZE) {
        const struct wal_frame_header *frame = (const void *)(bytes + offset);
        frames += wal_frame_check(frame, old_salt, size - offset) == NULL;
        for (uint64_t sequence = 2; sequence < 300; sequence++) {
            uint64_t salt = wal_salt(world.options.uuid, 0, sequence);
            cr_assert_not_null(wal_frame_header_check(frame, salt));
            cr_assert_not_null(wal_frame_check(frame, salt, size - offset));
        }
    }
    cr_assert_gt(frames, 5u);
}

Test(recycling, retiring_the_segment_in_use_is_a_bug, .signal = SIGABRT)
{
    wal_retire_below(world.wal, current_segment() + 1);
}
