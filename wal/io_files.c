/* The functions at once of wal/io.h that know files, time and randomness: one or a few system calls each. */
#include "wal/io.h"

#include "engine/base/units.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h> /* rename */
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILE_MODE 0640 /* the log names guests' bookings: not for everyone */
#define DIRECTORY_MODE 0750

/* 0, or the negated errno of the call that just returned `result`. */
static int errno_unless(int result)
{
    return result < 0 ? -errno : 0;
}

/* ---- Time and randomness ----------------------------------------------------------------------------------------- */

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    int result = clock_gettime(clock, &now);
    ENSURE(result == 0);
    return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

uint64_t io_now_ns(struct io *io)
{
    (void)io;
    return clock_ns(CLOCK_BOOTTIME);
}

uint64_t io_wall_ns(struct io *io)
{
    (void)io;
    return clock_ns(CLOCK_REALTIME);
}

int io_entropy(struct io *io, void *bytes, size_t size_bytes)
{
    (void)io;
    uint8_t *at = bytes;
    while (size_bytes > 0) {
        ssize_t got = getrandom(at, size_bytes, 0);
        if (got < 0 && errno != EINTR) {
            return -errno;
        }
        if (got > 0) {
            at += got;
            size_bytes -= (size_t)got;
        }
    }
    return 0;
}

/* ---- Kernel threads ---------------------------------------------------------------------------------------------- */

/* Counts this task of the process if its name is `context->name`. One that has ended meanwhile has no name. */
struct worker_count {
    char name[32];
    int count;
};

static int worker_visit(void *context, const char *task)
{
    struct worker_count *workers = context;
    char path[64];
    char name[32] = "";
    int length = snprintf(path, sizeof(path), "/proc/self/task/%s/comm", task);
    int file = length > 0 && length < (int)sizeof(path) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) {
        return 0;
    }
    ssize_t got = read(file, name, sizeof(name) - 1);
    (void)close(file);
    workers->count += got > 0 && strcmp(name, workers->name) == 0;
    return 0;
}

int io_kernel_workers(struct io *io)
{
    struct worker_count workers = { .count = 0 };
    (void)snprintf(workers.name, sizeof(workers.name), "iou-wrk-%d\n", (int)gettid());
    int result = io_list(io, "/proc/self/task", worker_visit, &workers);
    return result < 0 ? result : workers.count;
}

/* ---- Files ------------------------------------------------------------------------------------------------------- */

static int open_flags(unsigned flags)
{
    int access = O_RDONLY;
    if ((flags & IO_OPEN_WRITE) != 0) {
        access = (flags & IO_OPEN_READ) != 0 ? O_RDWR : O_WRONLY;
    }
    return access | O_CLOEXEC | ((flags & IO_OPEN_CREATE) != 0 ? O_CREAT | O_EXCL : 0) |
           ((flags & IO_OPEN_DIRECT) != 0 ? O_DIRECT : 0);
}

int io_open(struct io *io, const char *path, unsigned flags)
{
    (void)io;
    REQUIRE((flags & (IO_OPEN_READ | IO_OPEN_WRITE)) != 0);
    int file = open(path, open_flags(flags), FILE_MODE);
    if (file >= 0) {
        return file;
    }
    int error = -errno;
    /* Linux makes the file before it finds that the file system has no direct I/O. It was not there before: O_EXCL says
     * -EEXIST. */
    if (error == -EINVAL && (flags & IO_OPEN_CREATE) != 0 && (flags & IO_OPEN_DIRECT) != 0) {
        (void)unlink(path);
    }
    return error;
}

void io_close(struct io *io, int file)
{
    REQUIRE(!io_file_is_registered(io, file));
    int result = close(file);
    ENSURE(result == 0 || errno != EBADF); /* closing twice would close somebody else's file one day */
}

ssize_t io_read_at(struct io *io, int file, void *bytes, size_t size_bytes, uint64_t offset)
{
    (void)io;
    uint8_t *at = bytes;
    size_t done = 0;
    while (done < size_bytes) {
        ssize_t got = pread(file, at + done, size_bytes - done, (off_t)(offset + done));
        if (got == 0) {
            break;
        }
        if (got > 0) {
            done += (size_t)got;
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return (ssize_t)done;
}

int io_write_at(struct io *io, int file, const void *bytes, size_t size_bytes, uint64_t offset)
{
    (void)io;
    const uint8_t *at = bytes;
    size_t done = 0;
    while (done < size_bytes) {
        ssize_t put = pwrite(file, at + done, size_bytes - done, (off_t)(offset + done));
        if (put == 0) {
            return -EIO;
        }
        if (put > 0) {
            done += (size_t)put;
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

/* Never tried again, whatever the error: the kernel may have dropped the pages that it could not write. */
int io_sync_file(struct io *io, int file)
{
    (void)io;
    return errno_unless(fsync(file));
}

int64_t io_size_of(struct io *io, int file)
{
    (void)io;
    struct stat status;
    return fstat(file, &status) < 0 ? -errno : (int64_t)status.st_size;
}

int io_lock(struct io *io, int file)
{
    (void)io;
    return errno_unless(flock(file, LOCK_EX | LOCK_NB));
}

/* ---- Directories ------------------------------------------------------------------------------------------------- */

int io_make_directory(struct io *io, const char *path)
{
    (void)io;
    return errno_unless(mkdir(path, DIRECTORY_MODE));
}

int io_sync_directory(struct io *io, const char *path)
{
    (void)io;
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) {
        return -errno;
    }
    int result = errno_unless(fsync(directory));
    (void)close(directory);
    return result;
}

int io_rename(struct io *io, const char *from, const char *to)
{
    (void)io;
    return errno_unless(rename(from, to));
}

int io_unlink(struct io *io, const char *path)
{
    (void)io;
    return errno_unless(unlink(path));
}

static int entries_visit(DIR *directory, int (*visit)(void *context, const char *name), void *context)
{
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(directory);
        if (entry == NULL) {
            return -errno;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        int result = visit(context, entry->d_name);
        if (result != 0) {
            return result;
        }
    }
}

int io_list(struct io *io, const char *path, int (*visit)(void *context, const char *name), void *context)
{
    (void)io;
    DIR *directory = opendir(path);
    if (directory == NULL) {
        return -errno;
    }
    int result = entries_visit(directory, visit, context);
    (void)closedir(directory);
    return result;
}
