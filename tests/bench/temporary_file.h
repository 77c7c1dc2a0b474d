/* A file with given bytes that is gone when the test has ended. */
#ifndef TESTS_BENCH_TEMPORARY_FILE_H
#define TESTS_BENCH_TEMPORARY_FILE_H

#include <criterion/criterion.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Returns a path that stays readable in this process until the descriptor is closed at its end. */
static inline const char *temporary_file(const void *bytes, size_t size)
{
    static char path[64];
    char name[] = "/tmp/innkeep-bench-test-XXXXXX";
    int fd = mkstemp(name);
    cr_assert_geq(fd, 0);
    cr_assert_eq(unlink(name), 0);
    cr_assert_eq(write(fd, bytes, size), (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return path;
}

#endif
