#include "bench/clock.h"
#include "bench/probes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define BLOCK_SIZE ((size_t)4096)
#define FILE_SIZE (16 * MIB)
#define FILL_SIZE (1 * MIB)

/* Real zeros, and durable: a block that was only allocated costs a change of metadata at its first write. */
static int fill_with_zeros(int fd, void *zeros)
{
    for (size_t at = 0; at < FILE_SIZE; at += FILL_SIZE)
        if (pwrite(fd, zeros, FILL_SIZE, (off_t)at) != (ssize_t)FILL_SIZE)
            return -EIO;
    return fsync(fd) == 0 ? 0 : -errno;
}

static int write_for(int fd, void *block, uint64_t duration_ns, struct histogram *latency_ns)
{
    struct iovec iovec = { .iov_base = block, .iov_len = BLOCK_SIZE };
    uint64_t before_ns = clock_now_ns();
    uint64_t end_ns = before_ns + duration_ns;
    for (size_t at = 0; before_ns < end_ns; at = (at + BLOCK_SIZE) % FILE_SIZE) {
        ssize_t size = pwritev2(fd, &iovec, 1, (off_t)at, RWF_DSYNC);
        if (size != (ssize_t)BLOCK_SIZE)
            return size < 0 ? -errno : -EIO;
        uint64_t after_ns = clock_now_ns();
        histogram_add(latency_ns, after_ns - before_ns);
        before_ns = after_ns;
    }
    return 0;
}

bool probe_disk(const char *directory, uint64_t duration_ns, struct histogram *latency_ns, struct failure *failure)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/innkeep-bench-probe-%d", directory, (int)getpid()) >= (int)sizeof path)
        return failure_set(failure, EXIT_USAGE, "%s: the path is too long", directory);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_DIRECT | O_CLOEXEC, 0600);
    if (fd < 0)
        return failure_set(failure, EXIT_USAGE, "%s: %s (the probe needs a file system with O_DIRECT)", path,
                           strerror(errno));
    unlink(path);
    void *buffer = aligned_alloc(BLOCK_SIZE, FILL_SIZE);
    int error = -ENOMEM;
    if (buffer != NULL) {
        memset(buffer, 0, FILL_SIZE);
        error = fill_with_zeros(fd, buffer);
        error = error == 0 ? write_for(fd, buffer, duration_ns, latency_ns) : error;
    }
    free(buffer);
    close(fd);
    return error == 0 || failure_set(failure, EXIT_REFUSED, "probing the disk of %s: %s", directory, strerror(-error));
}
