/* Data directories: made, recognised, refused, finished after an interruption, and locked. */
#include "tests/wal/scratch.h"
#include "wal/directory.h"
#include "wal/recovery.h"
#include "wal/segment_file.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEGMENT_SIZE (64 * KIB)

static char path[SCRATCH_PATH_SIZE];
static char why[512];
static struct io *io;
static struct wal_directory directory;

static void setup(void)
{
    const char *reason = NULL;
    scratch_path("directory", path);
    cr_assert_eq(io_create(&(struct io_options){ .ring_entries = 0 }, &io, &reason), 0, "%s", reason);
}

static void teardown(void)
{
    scratch_remove(path);
    io_destroy(io);
}

TestSuite(directory, .init = setup, .fini = teardown);

static int open_with(uint32_t shards)
{
    why[0] = '\0';
    return wal_directory_open(io, path, shards, 2, SEGMENT_SIZE, &directory, why, sizeof(why));
}

static void make(uint32_t shards)
{
    cr_assert_eq(open_with(shards), 0, "%s", why);
    cr_assert(directory.created);
    wal_directory_close(io, &directory);
}

static void expect_refusal(int error, const char *part)
{
    int rc = open_with(0);
    cr_assert_eq(rc, error, "%d: %s", rc, why);
    cr_assert_not_null(strstr(why, part), "%s", why);
    cr_assert_eq(why[strlen(why) - 1], '.', "a whole sentence: %s", why);
    cr_assert_eq(directory.lock_file, -1);
}

static const char *inside(const char *name)
{
    static char joined[SCRATCH_PATH_SIZE];
    cr_assert_lt(snprintf(joined, sizeof(joined), "%s/%s", path, name), (int)sizeof(joined));
    return joined;
}

static void put(const char *name, const void *bytes, size_t size_bytes)
{
    int file = open(inside(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    cr_assert_geq(file, 0, "%s", name);
    cr_assert_eq(write(file, bytes, size_bytes), (ssize_t)size_bytes);
    close(file);
}

static struct wal_report read_shard(uint32_t shard)
{
    char shard_path[WAL_PATH_SIZE];
    struct wal_source source = {
        .directory = wal_shard_path(&directory, shard, shard_path),
        .shard = shard,
        .shards_count = directory.header.shards_count,
        .segment_size = directory.header.segment_size,
    };
    memcpy(source.uuid, directory.header.uuid, sizeof(source.uuid));
    struct wal_report report;
    cr_assert_eq(wal_read(io, &source, NULL, NULL, &report), 0, "%s", report.stop_path);
    return report;
}

/* ---- Making and opening ---------------------------------------------------------------------------------------------- */

Test(directory, a_missing_directory_is_made_with_a_log_for_each_shard)
{
    cr_assert_eq(open_with(3), 0, "%s", why);
    cr_assert(directory.created);
    cr_assert_eq(directory.header.shards_count, 3u);
    cr_assert_eq(directory.header.segment_size, SEGMENT_SIZE);
    cr_assert_neq(directory.header.created_ns, 0u);
    for (uint32_t shard = 0; shard < 3; shard++) {
        struct wal_report report = read_shard(shard);
        cr_assert_eq(report.verdict, WAL_CLEAN, "%s", report.stop_reason);
        cr_assert_eq(report.segments, 1u);
    }
    cr_assert(scratch_is_there(inside("meta")) && !scratch_is_there(inside("creating")));
    wal_directory_close(io, &directory);
}

Test(directory, without_a_number_of_shards_the_default_is_taken)
{
    make(0);
    cr_assert_eq(open_with(0), 0, "%s", why);
    cr_assert_eq(directory.header.shards_count, 2u);
    wal_directory_close(io, &directory);
}

Test(directory, what_was_made_is_opened_again_as_it_was)
{
    make(2);
    struct wal_directory_header header = directory.header;
    cr_assert_eq(open_with(2), 0, "%s", why);
    cr_assert_not(directory.created);
    cr_assert_eq(memcmp(&directory.header, &header, sizeof(header)), 0);
    wal_directory_close(io, &directory);
    cr_assert_eq(wal_directory_open(io, path, 0, 5, MIB, &directory, why, sizeof(why)), 0, "%s", why);
    cr_assert_eq(directory.header.segment_size, SEGMENT_SIZE); /* what is asked for counts for new ones only */
    wal_directory_close(io, &directory);
}

Test(directory, two_directories_have_different_names_of_their_own)
{
    make(1);
    uint8_t uuid[16];
    memcpy(uuid, directory.header.uuid, sizeof(uuid));
    scratch_remove(path);
    make(1);
    cr_assert_neq(memcmp(uuid, directory.header.uuid, sizeof(uuid)), 0);
}

Test(directory, an_empty_directory_is_used_and_so_is_one_with_lost_and_found)
{
    cr_assert_eq(mkdir(path, 0755), 0);
    cr_assert_eq(mkdir(inside("lost+found"), 0755), 0);
    make(1);
}

Test(directory, a_slash_at_the_end_changes_nothing)
{
    make(1);
    size_t length = strlen(path);
    memcpy(path + length, "//", 3);
    cr_assert_eq(open_with(0), 0, "%s", why);
    path[length] = '\0';
    cr_assert_str_eq(directory.path, path);
    wal_directory_close(io, &directory);
}

/* ---- Refusals ---------------------------------------------------------------------------------------------------------- */

Test(directory, another_number_of_shards_is_refused_and_both_numbers_are_said)
{
    make(2);
    cr_assert_eq(open_with(3), -EINVAL);
    cr_assert_not_null(strstr(why, "has 2 shards, and 3 were asked for"), "%s", why);
}

Test(directory, too_many_shards_and_odd_segment_sizes_are_refused)
{
    cr_assert_eq(open_with(WAL_SHARDS_MAX + 1), -EINVAL);
    static const uint64_t sizes[] = { 0, 4096, 64 * KIB + 1, 128 * GIB };
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++)
        cr_assert_eq(wal_directory_open(io, path, 1, 1, sizes[i], &directory, why, sizeof(why)), -EINVAL);
    cr_assert_not(scratch_is_there(path));
}

Test(directory, somebody_elses_directory_is_refused_and_left_alone)
{
    cr_assert_eq(mkdir(path, 0755), 0);
    put("thesis.tex", "x", 1);
    expect_refusal(-ENOTEMPTY, "\"thesis.tex\"");
    put("creating", "", 0);
    expect_refusal(-ENOTEMPTY, "\"thesis.tex\"");
    cr_assert_not(scratch_is_there(inside("lock")));
    cr_assert_not(scratch_is_there(inside("shard-000")));
}

Test(directory, shards_without_meta_are_not_made_afresh)
{
    make(1);
    cr_assert_eq(unlink(inside("meta")), 0);
    expect_refusal(-ENOTEMPTY, "lost what says how to read them");
    cr_assert(scratch_is_there(inside("shard-000/0000000000000001.wal")));
}

static void change_meta(size_t offset, const void *bytes, size_t size_bytes, bool seal)
{
    struct wal_directory_header header;
    scratch_read(inside("meta"), 0, &header, sizeof(header));
    memcpy((uint8_t *)&header + offset, bytes, size_bytes);
    if (seal)
        wal_directory_header_seal(&header);
    scratch_write(inside("meta"), 0, &header, sizeof(header));
}

Test(directory, a_newer_format_is_named)
{
    make(1);
    change_meta(8, &(uint32_t){ 7 }, 4, true);
    expect_refusal(-EPROTONOSUPPORT, "made by a newer Innkeep (format 7); this one reads format 1");
    cr_assert_lt(wal_directory_inspect(io, path, &directory, why, sizeof(why)), 0);
    cr_assert_not_null(strstr(why, "format 7"));
}

Test(directory, every_damaged_byte_of_meta_is_noticed)
{
    make(1);
    for (uint64_t offset = 0; offset < sizeof(struct wal_directory_header); offset++) {
        scratch_flip(inside("meta"), offset, (uint8_t)(1u << (offset % 8)));
        expect_refusal(-EBADMSG, "meta is damaged");
        scratch_flip(inside("meta"), offset, (uint8_t)(1u << (offset % 8)));
    }
    scratch_truncate(inside("meta"), 63);
    expect_refusal(-EBADMSG, "wrong size");
    scratch_truncate(inside("meta"), 0);
    expect_refusal(-EBADMSG, "wrong size");
}

Test(directory, impossible_values_in_meta_are_noticed)
{
    make(1);
    change_meta(12, &(uint32_t){ 0 }, 4, true);
    expect_refusal(-EBADMSG, "shard count");
    change_meta(12, &(uint32_t){ WAL_SHARDS_MAX + 1 }, 4, true);
    expect_refusal(-EBADMSG, "shard count");
    change_meta(12, &(uint32_t){ 1 }, 4, true);
    change_meta(32, &(uint64_t){ 5000 }, 8, true);
    expect_refusal(-EBADMSG, "segment size");
    change_meta(32, &(uint64_t){ SEGMENT_SIZE }, 8, true);
    change_meta(8, &(uint32_t){ 0 }, 4, true);
    expect_refusal(-EBADMSG, "format version");
}

Test(directory, a_missing_shard_is_named)
{
    make(3);
    scratch_remove(inside("shard-001"));
    expect_refusal(-ENOENT, "shard-001");
}

Test(directory, a_file_in_place_of_the_directory_or_no_parent_is_refused)
{
    int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    close(file);
    expect_refusal(-ENOTDIR, path);
    cr_assert_eq(unlink(path), 0);
    size_t length = strlen(path);
    memcpy(path + length, "/a/b", 5);
    expect_refusal(-ENOENT, "Cannot make");
    path[length] = '\0';
}

Test(directory, a_path_that_is_too_long_or_empty_is_refused)
{
    char long_path[WAL_PATH_SIZE + 10];
    memset(long_path, 'x', sizeof(long_path) - 1);
    long_path[sizeof(long_path) - 1] = '\0';
    cr_assert_eq(wal_directory_open(io, long_path, 1, 1, SEGMENT_SIZE, &directory, why, sizeof(why)), -ENAMETOOLONG);
    cr_assert_eq(wal_directory_open(io, "", 1, 1, SEGMENT_SIZE, &directory, why, sizeof(why)), -ENAMETOOLONG);
}

/* Root may write anywhere, so an ordinary user tries. */
Test(directory, an_unwritable_directory_is_refused)
{
    cr_assert_eq(mkdir(path, 0555), 0);
    pid_t child = fork();
    if (child == 0) {
        bool ordinary = geteuid() != 0 || setuid(65534) == 0;
        int rc = open_with(1);
        _exit(ordinary && rc == -EACCES && strstr(why, "may write there") ? 0 : 1);
    }
    int status = 0;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- The lock ------------------------------------------------------------------------------------------------------------ */

Test(directory, a_directory_that_another_process_holds_is_refused)
{
    make(1);
    int ready[2];
    int release[2];
    char byte = 0;
    cr_assert(pipe(ready) == 0 && pipe(release) == 0);
    pid_t holder = fork();
    if (holder == 0) {
        struct wal_directory held;
        int rc = wal_directory_open(io, path, 0, 1, SEGMENT_SIZE, &held, why, sizeof(why));
        byte = rc == 0 ? 'y' : 'n';
        ssize_t written = write(ready[1], &byte, 1);
        close(release[1]);
        ssize_t got = read(release[0], &byte, 1); /* until the parent closes its end */
        _exit(written != 1 || got != 0);
    }
    cr_assert_eq(read(ready[0], &byte, 1), 1);
    cr_assert_eq(byte, 'y');
    expect_refusal(-EWOULDBLOCK, "in use by another process");
    cr_assert_eq(wal_directory_inspect(io, path, &directory, why, sizeof(why)), 0, "%s", why); /* reading is fine */
    close(release[1]);
    int status = 0;
    cr_assert_eq(waitpid(holder, &status, 0), holder);
    cr_assert_eq(open_with(0), 0, "%s", why); /* the lock went with the process */
    wal_directory_close(io, &directory);
}

Test(directory, inspecting_takes_no_lock_and_writes_nothing)
{
    make(1);
    cr_assert_eq(unlink(inside("lock")), 0);
    cr_assert_eq(chmod(path, 0555), 0);
    cr_assert_eq(wal_directory_inspect(io, path, &directory, why, sizeof(why)), 0, "%s", why);
    cr_assert_eq(directory.lock_file, -1);
    cr_assert_eq(directory.header.shards_count, 1u);
    cr_assert_not(scratch_is_there(inside("lock")));
    cr_assert_eq(chmod(path, 0755), 0);
}

Test(directory, inspecting_what_is_none_says_so)
{
    cr_assert_eq(wal_directory_inspect(io, path, &directory, why, sizeof(why)), -ENOENT);
    cr_assert_eq(mkdir(path, 0755), 0);
    cr_assert_eq(wal_directory_inspect(io, path, &directory, why, sizeof(why)), -ENOENT);
    cr_assert_not_null(strstr(why, "no meta file"), "%s", why);
    put("creating", "", 0);
    cr_assert_eq(wal_directory_inspect(io, path, &directory, why, sizeof(why)), -ENOENT);
    cr_assert_not_null(strstr(why, "interrupted"), "%s", why);
}

/* ---- Interrupted creation ---------------------------------------------------------------------------------------------------- */

/* What creation leaves when it stops after each of its steps; every one is finished by the next start. */
Test(directory, an_interrupted_creation_is_made_afresh)
{
    static const char *const left[] = { "shard-000/0000000000000001.tmp", "shard-000/0000000000000001.wal",
                                        "shard-001/0000000000000001.tmp", "shard-001/0000000000000001.wal",
                                        "meta.tmp" };
    for (size_t steps = 0; steps <= ARRAY_COUNT(left); steps++) {
        scratch_remove(path);
        cr_assert_eq(mkdir(path, 0755), 0);
        put("lock", "", 0);
        put("creating", "", 0);
        cr_assert(mkdir(inside("shard-000"), 0755) == 0 && mkdir(inside("shard-001"), 0755) == 0);
        for (size_t i = 0; i < steps; i++)
            put(left[i], "half of what it should be", 25);
        cr_assert_eq(open_with(2), 0, "%zu steps: %s", steps, why);
        cr_assert(directory.created);
        cr_assert_not(scratch_is_there(inside("creating")));
        cr_assert_not(scratch_is_there(inside("meta.tmp")));
        for (uint32_t shard = 0; shard < 2; shard++)
            cr_assert_eq(read_shard(shard).verdict, WAL_CLEAN);
        wal_directory_close(io, &directory);
    }
}

Test(directory, a_creation_that_only_left_its_marker_is_complete)
{
    make(1);
    put("creating", "", 0);
    cr_assert_eq(open_with(0), 0, "%s", why);
    cr_assert_not(directory.created);
    cr_assert_not(scratch_is_there(inside("creating")));
    wal_directory_close(io, &directory);
}

Test(directory, an_interrupted_creation_deletes_nothing_that_it_did_not_make)
{
    cr_assert_eq(mkdir(path, 0755), 0);
    put("creating", "", 0);
    cr_assert_eq(mkdir(inside("shard-000"), 0755), 0);
    put("shard-000/0000000000000002.wal", "a log!", 6);
    expect_refusal(-ENOTEMPTY, "\"0000000000000002.wal\"");
    cr_assert(scratch_is_there(inside("shard-000/0000000000000002.wal")));
}
