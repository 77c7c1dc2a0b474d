/* A copy on a disk that gives up at every possible moment, and under a power failure that loses any of the writes that were not durable: what is
 * left reads as a clean log or a torn tail, and the copy goes on from it.
 *
 * Writes and syncs of the copy's visible segments are watched on their way into the disk (the linker's --wrap). */
#include "tools/log_copy.h"

#include "tests/wal/fake_io.h"
#include "tests/wal/world.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FRAMES_BEFORE 12
#define FRAMES_MORE 40
#define RECORD_SIZE 1504
#define SYNCS_MAX 2 /* so few that segments are written anew, too */
#define UNSYNCED_MAX 256
#define FILES_MAX 65536

static struct world world;
static struct log_copy_pace pace;
static struct log_copy copy;
static char root[WAL_PATH_SIZE];

/* ---- The power failure -------------------------------------------------------------------------------------------------- */

struct write {
    uint64_t offset;
    size_t size;
};

static char paths[FILES_MAX][96]; /* by file number */
static struct write unsynced[UNSYNCED_MAX];
static size_t unsynced_count;
static int unsynced_file = -1;
static bool watched;
static uint64_t failures_tried;

int __real_io_open(struct io *io, const char *path, unsigned flags);
int __real_io_write_at(struct io *io, int file, const void *bytes, size_t size_bytes, uint64_t offset);
int __real_io_sync_file(struct io *io, int file);
int __wrap_io_open(struct io *io, const char *path, unsigned flags);
int __wrap_io_write_at(struct io *io, int file, const void *bytes, size_t size_bytes, uint64_t offset);
int __wrap_io_sync_file(struct io *io, int file);

int __wrap_io_open(struct io *where, const char *path, unsigned flags)
{
    int file = __real_io_open(where, path, flags);
    if (file >= 0 && file < FILES_MAX)
        snprintf(paths[file], sizeof paths[file], "%s", path);
    return file;
}

static struct io *io; /* one at a time, as in the world */

static uint64_t frames_there; /* as copy_verdict found it */

static enum wal_verdict copy_verdict(void)
{
    struct wal_source source = world.source;
    struct wal_report report;
    source.directory = copy.to;
    int error = wal_read(io, &source, NULL, NULL, &report);
    cr_assert_eq(error, 0);
    frames_there = report.frames;
    return report.verdict;
}

/* Each of the writes that are not durable is lost alone, the others kept. */
static void power_fail(const char *path)
{
    uint8_t lost[WAL_FRAME_SIZE_MAX];
    size_t size = 0;
    uint8_t *bytes = fake_io_file(path, &size);
    cr_assert_not_null(bytes);
    for (size_t i = 0; i < unsynced_count; i++) {
        memcpy(lost, bytes + unsynced[i].offset, unsynced[i].size);
        memset(bytes + unsynced[i].offset, 0, unsynced[i].size);
        cr_assert_neq(copy_verdict(), WAL_DAMAGED, "write %zu of %zu that were not durable is lost", i + 1,
                      unsynced_count);
        memcpy(bytes + unsynced[i].offset, lost, unsynced[i].size);
        failures_tried++;
    }
}

/* True for a segment of the copy that has its name by now; its path. */
static bool visible_path(int file, char path[96])
{
    size_t size = 0;
    memcpy(path, paths[file], 96);
    char *suffix = strrchr(path, '.');
    if (strncmp(path, root, strlen(root)) != 0 || suffix == NULL)
        return false;
    if (strcmp(suffix, ".tmp") == 0 && fake_io_file(path, &size) != NULL)
        return false;
    memcpy(suffix, ".wal", 5);
    return fake_io_file(path, &size) != NULL;
}

int __wrap_io_write_at(struct io *where, int file, const void *bytes, size_t size_bytes, uint64_t offset)
{
    int error = __real_io_write_at(where, file, bytes, size_bytes, offset);
    char path[sizeof paths[file]];
    if (!watched || error != 0 || !visible_path(file, path))
        return error;
    if (file != unsynced_file)
        unsynced_count = 0;
    cr_assert_lt(unsynced_count, (size_t)UNSYNCED_MAX);
    unsynced_file = file;
    unsynced[unsynced_count++] = (struct write){ .offset = offset, .size = size_bytes };
    power_fail(path);
    return 0;
}

int __wrap_io_sync_file(struct io *where, int file)
{
    int error = __real_io_sync_file(where, file);
    if (error == 0 && file == unsynced_file)
        unsynced_count = 0;
    return error;
}

/* ---- A log and its copy ------------------------------------------------------------------------------------------------- */

static int nothing_tend(void *context)
{
    (void)context;
    return 0;
}

static void frames_write(int count)
{
    world_start(&world);
    for (int i = 0; i < count; i++)
        (void)world_commit(&world, RECORD_SIZE);
    world_noop(&world);
    world_stop(&world);
}

static void copy_init(void)
{
    copy = (struct log_copy){ .io = io, .source = &world.directory, .pace = &pace, .tend = nothing_tend };
    cr_assert_eq(log_copy_init(&copy, root), 0);
    copy.syncs_max = SYNCS_MAX;
}

static void copy_open(void)
{
    const struct io_options options = { .ring_entries = 0 };
    const char *why = NULL;
    cr_assert_eq(io_create(&options, &io, &why), 0);
    copy_init();
}

static void copy_close(void)
{
    log_copy_free(&copy);
    io_destroy(io);
}

static void copy_resume(void)
{
    copy_open();
    cr_assert_eq(log_copy_resume(&copy), 0, "%s", copy.why);
}

/* A log, a copy of its first part, and the copy open to go on. `name` tells the runs apart. */
static void log_and_copy_make(const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "/%s", name);
    snprintf(root, sizeof root, "/%s-copy", name);
    world_init(&world, path);
    frames_write(FRAMES_BEFORE);
    copy_open();
    cr_assert_eq(io_make_directory(io, root), 0);
    cr_assert_eq(log_copy_begin(&copy), 0, "%s", copy.why);
    cr_assert_eq(log_copy_read_on(&copy, true), 0, "%s", copy.why);
    copy_close();
    frames_write(FRAMES_MORE);
    copy_resume();
}

static void expect_all_of_it(void)
{
    struct wal_source source = world.source;
    struct wal_report there;
    struct wal_report here;
    cr_assert_eq(wal_read(io, &source, NULL, NULL, &there), 0);
    source.directory = copy.to;
    cr_assert_eq(wal_read(io, &source, NULL, NULL, &here), 0);
    cr_assert_eq(here.verdict, WAL_CLEAN, "%s", here.stop_reason);
    cr_assert_eq(here.frames, there.frames);
    cr_assert(hash128_equal(here.position.previous_hash, there.position.previous_hash));
}

/* While the log is written: what came since goes into a segment that the copy has, a few frames at a time. */
Test(log_copy, a_power_failure_at_any_write_leaves_no_damage)
{
    snprintf(root, sizeof root, "/power-copy");
    world_init(&world, "/power");
    world_start(&world);
    io = world.io;
    cr_assert_eq(io_make_directory(io, root), 0);
    copy_init();
    (void)world_commit(&world, RECORD_SIZE);
    cr_assert_eq(log_copy_begin(&copy), 0, "%s", copy.why);
    watched = true;
    for (int i = 0; i < FRAMES_MORE; i++) {
        cr_assert_eq(log_copy_read_on(&copy, i % 2 == 0), 0, "%s", copy.why);
        for (int frame = 0; frame < 1 + i % 7; frame++)
            (void)world_commit(&world, RECORD_SIZE);
        if (i % 3 == 0)
            world_noop(&world);
    }
    cr_assert_eq(log_copy_read_on(&copy, true), 0, "%s", copy.why);
    watched = false;
    cr_assert_gt(failures_tried, (uint64_t)FRAMES_MORE);
    cr_assert_gt(copy.sequence, UINT64_C(2), "several segments are to be copied");
    expect_all_of_it();
    log_copy_free(&copy);
    world_stop(&world);
}

static int file_unlink(void *context, const char *name)
{
    char path[WAL_PATH_SIZE + 64];
    snprintf(path, sizeof path, "%s/%s", (const char *)context, name);
    cr_assert_eq(io_unlink(io, path), 0);
    return 0;
}

/* The fake disk is small. */
static void directory_clear(char *path)
{
    cr_assert_eq(io_list(io, path, file_unlink, path), 0);
    cr_assert_eq(io_sync_directory(io, path), 0);
}

Test(log_copy, a_crash_at_any_step_leaves_a_copy_that_goes_on)
{
    int result = -EIO;
    unsigned steps = 0;
    for (unsigned n = 1; result != 0; n++) {
        char name[32];
        snprintf(name, sizeof name, "crash%u", n);
        log_and_copy_make(name);
        (void)fake_io_fail_from(n, -EIO);
        result = log_copy_read_on(&copy, true);
        (void)fake_io_fail_from(0, 0);
        cr_assert_neq(copy_verdict(), WAL_DAMAGED, "step %u", n);
        copy_close();
        copy_resume();
        cr_assert_eq(log_copy_read_on(&copy, true), 0, "step %u: %s", n, copy.why);
        expect_all_of_it();
        directory_clear(copy.to);
        directory_clear(copy.from);
        copy_close();
        steps = n;
    }
    cr_assert_gt(steps, 10u);
}

/* A copy goes on in a segment that it has while the log is written, and the n-th change of a file fails once. */
static void log_while_copied(const char *name, unsigned n, int *result)
{
    char path[64];
    snprintf(path, sizeof path, "/%s", name);
    snprintf(root, sizeof root, "/%s-copy", name);
    world_init(&world, path);
    world_start(&world);
    io = world.io;
    cr_assert_eq(io_make_directory(io, root), 0);
    copy_init();
    (void)world_commit(&world, RECORD_SIZE);
    cr_assert_eq(log_copy_begin(&copy), 0, "%s", copy.why);
    cr_assert_eq(log_copy_read_on(&copy, true), 0, "%s", copy.why);
    for (int frame = 0; frame < FRAMES_MORE; frame++)
        (void)world_commit(&world, RECORD_SIZE);
    world_noop(&world);
    fake_io_fail_once(n, -ENOSPC);
    *result = log_copy_read_on(&copy, true);
    fake_io_fail_once(0, 0);
    cr_assert_neq(copy_verdict(), WAL_DAMAGED, "step %u", n);
    cr_assert_geq(frames_there, UINT64_C(1), "step %u: what was copied before is gone", n);
    log_copy_free(&copy);
    copy_init();
}

/* A fault that passes: what comes after it may succeed, and must not give its name to what is half made. */
Test(log_copy, a_fault_at_any_step_leaves_a_copy_that_goes_on)
{
    int result = -EIO;
    for (unsigned n = 1; result != 0; n++) {
        char name[32];
        snprintf(name, sizeof name, "fault%u", n);
        log_while_copied(name, n, &result);
        cr_assert_eq(log_copy_resume(&copy), 0, "step %u: %s", n, copy.why);
        cr_assert_eq(log_copy_read_on(&copy, true), 0, "step %u: %s", n, copy.why);
        expect_all_of_it();
        log_copy_free(&copy);
        directory_clear(copy.to);
        directory_clear(copy.from);
        world_stop(&world);
        cr_assert_lt(n, 1000u);
    }
}

Test(log_copy, a_log_that_went_on_otherwise_is_refused)
{
    log_and_copy_make("other");
    cr_assert_eq(log_copy_read_on(&copy, true), 0, "%s", copy.why);
    struct wal_place place = { .segment_sequence = world.frames[5].segment_sequence, .offset = world.frames[5].offset };
    cr_assert_eq(wal_end_at(io, &world.source, place), 0);
    copy_close();
    frames_write(3);
    copy_resume();
    cr_assert_eq(log_copy_read_on(&copy, true), LOG_COPY_OTHER_HISTORY);
    cr_assert_not_null(strstr(copy.why, "goes on otherwise"));
    cr_assert_eq(copy_verdict(), WAL_CLEAN);
    copy_close();
}
