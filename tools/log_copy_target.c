/* A copy in the making, PATH.copying, and how it becomes PATH. */
#include "tools/log_copy.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SUFFIX ".copying"

__attribute__((format(printf, 3, 4))) static int fail(struct log_copy_target *target, int error, const char *format,
                                                      ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(target->why, sizeof target->why, format, arguments);
    va_end(arguments);
    return error;
}

static int entry_visit(void *context, const char *name)
{
    (void)context;
    (void)name;
    return 1;
}

/* ---- Removing ----------------------------------------------------------------------------------------------------------- */

struct removal {
    struct io *io;
    const char *path;
};

static int file_remove(void *context, const char *name)
{
    const struct removal *removal = context;
    char path[2 * WAL_PATH_SIZE];
    snprintf(path, sizeof path, "%s/%s", removal->path, name);
    return io_unlink(removal->io, path);
}

static int shard_remove(void *context, const char *name)
{
    const struct removal *removal = context;
    char path[WAL_PATH_SIZE + 256];
    if (strncmp(name, "shard-", 6) != 0)
        return file_remove(context, name);
    snprintf(path, sizeof path, "%s/%s", removal->path, name);
    struct removal inner = { .io = removal->io, .path = path };
    int error = io_list(removal->io, path, file_remove, &inner);
    return error == 0 && rmdir(path) != 0 ? -errno : error;
}

/* A directory of this shape; anything else in it stops the removal. */
static int made_remove(struct log_copy_target *target)
{
    struct removal removal = { .io = target->io, .path = target->made.path };
    int error = io_list(target->io, target->made.path, shard_remove, &removal);
    return error == 0 && rmdir(target->made.path) != 0 ? -errno : error;
}

void log_copy_target_drop(struct log_copy_target *target)
{
    if (target->begun && made_remove(target) != 0)
        fprintf(stderr, "%s could not be removed; remove it when there is time.\n", target->made.path);
    wal_directory_close(target->io, &target->made);
    target->begun = false;
}

/* ---- Making ------------------------------------------------------------------------------------------------------------- */

static int paths_set(struct log_copy_target *target, const char *path)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    if (length == 0 || length + sizeof SUFFIX + 64 > WAL_PATH_SIZE)
        return fail(target, -ENAMETOOLONG, "the path of the copy is empty, or too long.");
    memcpy(target->path, path, length);
    memcpy(target->made.path, path, length);
    memcpy(target->made.path + length, SUFFIX, sizeof SUFFIX);
    return 0;
}

static int path_check(struct log_copy_target *target)
{
    int found = io_list(target->io, target->path, entry_visit, NULL);
    if (found == 1)
        return fail(target, -EEXIST, "%s is there already and not empty; name a new directory.", target->path);
    if (found != 0 && found != -ENOENT)
        return fail(target, found, "%s cannot be looked at: %s.", target->path, strerror(-found));
    return 0;
}

/* Under its lock, so that whoever is at it is left alone. */
static int leftover_remove(struct log_copy_target *target)
{
    int error = wal_directory_lock(target->io, &target->made, target->why, sizeof target->why);
    if (error == -EWOULDBLOCK)
        return fail(target, error, "%s is being made by another process; wait for it, or name another directory.",
                    target->path);
    if (error == 0)
        error = made_remove(target);
    wal_directory_close(target->io, &target->made);
    return error == 0 ? 0
                      : fail(target, error, "%s is left from an interrupted copy and cannot be removed: %s.",
                             target->made.path, strerror(-error));
}

int log_copy_target_begin(struct log_copy_target *target, struct io *io, const char *path,
                          const struct wal_directory_header *header)
{
    *target = (struct log_copy_target){ .io = io, .made = { .header = *header, .lock_file = -1 } };
    int error = paths_set(target, path);
    if (error == 0)
        error = path_check(target);
    if (error != 0)
        return error;
    error = io_make_directory(io, target->made.path);
    if (error == -EEXIST) {
        error = leftover_remove(target);
        if (error != 0)
            return error;
        error = io_make_directory(io, target->made.path);
    }
    if (error != 0)
        return fail(target, error, "%s cannot be made: %s.", target->made.path, strerror(-error));
    target->begun = true;
    return wal_directory_lock(io, &target->made, target->why, sizeof target->why);
}

/* ---- Appearing ---------------------------------------------------------------------------------------------------------- */

static int meta_write(struct log_copy_target *target)
{
    char path[WAL_PATH_SIZE + 8];
    snprintf(path, sizeof path, "%s/meta", target->made.path);
    int file = io_open(target->io, path, IO_OPEN_WRITE | IO_OPEN_CREATE);
    if (file < 0)
        return file;
    int error = io_write_at(target->io, file, &target->made.header, sizeof target->made.header, 0);
    if (error == 0)
        error = io_sync_file(target->io, file);
    io_close(target->io, file);
    return error == 0 ? io_sync_directory(target->io, target->made.path) : error;
}

static int above_sync(struct log_copy_target *target)
{
    char above[WAL_PATH_SIZE];
    memcpy(above, target->path, sizeof above);
    char *slash = strrchr(above, '/');
    if (slash == NULL)
        memcpy(above, ".", 2);
    else
        slash[slash == above] = '\0';
    return io_sync_directory(target->io, above);
}

int log_copy_target_appear(struct log_copy_target *target)
{
    int error = io_sync_directory(target->io, target->made.path);
    if (error == 0)
        error = meta_write(target);
    if (error == 0)
        error = io_rename(target->io, target->made.path, target->path);
    if (error != 0)
        return fail(target, error, "%s could not be made: %s.", target->path, strerror(-error));
    memcpy(target->made.path, target->path, sizeof target->path);
    target->begun = false;
    error = above_sync(target);
    return error == 0 ? 0
                      : fail(target, error, "%s is there, but may not be durable: %s.", target->path, strerror(-error));
}
