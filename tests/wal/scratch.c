#include "tests/wal/scratch.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *scratch_path(const char *name, char path[SCRATCH_PATH_SIZE])
{
    if (mkdir(INNKEEP_TEST_SCRATCH, 0755) != 0)
        cr_assert_eq(errno, EEXIST);
    int length = snprintf(path, SCRATCH_PATH_SIZE, "%s/%s-%d", INNKEEP_TEST_SCRATCH, name, (int)getpid());
    cr_assert(length > 0 && length < SCRATCH_PATH_SIZE);
    scratch_remove(path);
    return path;
}

static int remove_visit(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

void scratch_remove(const char *path)
{
    if (nftw(path, remove_visit, 16, FTW_DEPTH | FTW_PHYS) != 0)
        cr_assert_eq(errno, ENOENT);
}

void scratch_copy_file(const char *from, const char *to)
{
    static uint8_t bytes[1 << 16];
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    cr_assert(in >= 0 && out >= 0, "%s -> %s", from, to);
    for (;;) {
        ssize_t got = read(in, bytes, sizeof(bytes));
        cr_assert_geq(got, 0);
        if (got == 0)
            break;
        cr_assert_eq(write(out, bytes, (size_t)got), got);
    }
    close(in);
    close(out);
}

void scratch_copy(const char *from, const char *to)
{
    cr_assert_eq(mkdir(to, 0755), 0, "%s", to);
    DIR *directory = opendir(from);
    cr_assert_not_null(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        char source[SCRATCH_PATH_SIZE];
        char target[SCRATCH_PATH_SIZE];
        cr_assert_lt(snprintf(source, sizeof(source), "%s/%s", from, entry->d_name), (int)sizeof(source));
        cr_assert_lt(snprintf(target, sizeof(target), "%s/%s", to, entry->d_name), (int)sizeof(target));
        struct stat status;
        cr_assert_eq(lstat(source, &status), 0);
        if (S_ISDIR(status.st_mode))
            scratch_copy(source, target);
        else
            scratch_copy_file(source, target);
    }
    closedir(directory);
}

static int file_open(const char *path, int flags)
{
    int file = open(path, flags | O_CLOEXEC);
    cr_assert_geq(file, 0, "%s: %s", path, strerror(errno));
    return file;
}

size_t scratch_read(const char *path, uint64_t offset, void *bytes, size_t size_bytes)
{
    int file = file_open(path, O_RDONLY);
    ssize_t got = pread(file, bytes, size_bytes, (off_t)offset);
    cr_assert_geq(got, 0);
    close(file);
    return (size_t)got;
}

void scratch_write(const char *path, uint64_t offset, const void *bytes, size_t size_bytes)
{
    int file = file_open(path, O_WRONLY);
    cr_assert_eq(pwrite(file, bytes, size_bytes, (off_t)offset), (ssize_t)size_bytes);
    close(file);
}

void scratch_zero(const char *path, uint64_t offset, size_t size_bytes)
{
    uint8_t *zeros = calloc(1, size_bytes);
    cr_assert_not_null(zeros);
    scratch_write(path, offset, zeros, size_bytes);
    free(zeros);
}

void scratch_flip(const char *path, uint64_t offset, uint8_t bits)
{
    uint8_t byte = 0;
    cr_assert_eq(scratch_read(path, offset, &byte, 1), 1u);
    byte = (uint8_t)(byte ^ bits);
    scratch_write(path, offset, &byte, 1);
}

void scratch_truncate(const char *path, uint64_t size_bytes)
{
    cr_assert_eq(truncate(path, (off_t)size_bytes), 0);
}

int scratch_is_there(const char *path)
{
    return access(path, F_OK) == 0;
}
