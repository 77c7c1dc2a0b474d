/* Making, recognising and locking a data directory. directory.h tells what makes one complete; the sentences here are what an
 * operator reads when it is not, so each says what is wrong and what to do about it.
 *
 * Creation, each step durable before the next: creating; for each shard its directory and segment 1; meta.tmp; meta (renamed);
 * creating goes. A crash before meta leaves `creating`, and the next start begins again: nothing can have been acknowledged. */
#include "wal/directory.h"

#include "wal/segment_file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_META "meta"
#define NAME_META_TMP "meta.tmp"
#define NAME_CREATING "creating"
#define NAME_LOCK "lock"

/* Where a sentence goes. */
struct why {
    char *text;
    size_t size;
};

__attribute__((format(printf, 3, 4))) static int complain(const struct why *why, int error, const char *format, ...)
{
    REQUIRE(error < 0);
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(why->text, why->size, format, arguments);
    va_end(arguments);
    return length < 0 ? -EINVAL : error;
}

static int complain_os(const struct why *why, int error, const char *path, const char *doing)
{
    char text[128];
    return complain(why, error, "Cannot %s %s: %s. Check that the directory exists and that this user may write there.",
                    doing, path, strerror_r(-error, text, sizeof(text)));
}

char *wal_shard_path(const struct wal_directory *directory, uint32_t shard, char path[WAL_PATH_SIZE])
{
    REQUIRE(shard < WAL_SHARDS_MAX);
    int length = snprintf(path, WAL_PATH_SIZE, "%s/shard-%03u", directory->path, shard);
    ENSURE(length > 0 && length < WAL_PATH_SIZE); /* directory_set keeps room for it */
    return path;
}

static const char *path_of(const struct wal_directory *directory, const char *name, char path[WAL_PATH_SIZE])
{
    int length = snprintf(path, WAL_PATH_SIZE, "%s/%s", directory->path, name);
    ENSURE(length > 0 && length < WAL_PATH_SIZE);
    return path;
}

/* Room behind the directory for the longest name below it: "/shard-NNN/<16 digits>.ready". */
#define PATH_ROOM 64

static int directory_set(struct wal_directory *directory, const char *path, const struct why *why)
{
    *directory = (struct wal_directory){ .lock_file = -1 };
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    if (length == 0 || length + PATH_ROOM > WAL_PATH_SIZE)
        return complain(why, -ENAMETOOLONG,
                        "The data directory's path is empty or longer than %d characters; choose a shorter one.",
                        WAL_PATH_SIZE - PATH_ROOM);
    memcpy(directory->path, path, length);
    return 0;
}

/* ---- What is there ------------------------------------------------------------------------------------------------------------ */

struct contents {
    bool meta;
    bool creating;
    bool shard;
    bool cutting;
    char foreign[256]; /* the first name that is none of ours; "" */
};

static bool is_shard_name(const char *name)
{
    static const char prefix[] = "shard-";
    size_t length = sizeof(prefix) - 1;
    return strncmp(name, prefix, length) == 0 && strlen(name) == length + 3 && strspn(name + length, "0123456789") == 3;
}

static int contents_visit(void *context, const char *name)
{
    struct contents *contents = context;
    if (strcmp(name, NAME_META) == 0)
        contents->meta = true;
    else if (strcmp(name, NAME_CREATING) == 0)
        contents->creating = true;
    else if (is_shard_name(name))
        contents->shard = true;
    else if (strcmp(name, WAL_NAME_CUTTING) == 0)
        contents->cutting = true;
    else if (strcmp(name, NAME_LOCK) != 0 && strcmp(name, NAME_META_TMP) != 0 && strcmp(name, "lost+found") != 0 &&
             contents->foreign[0] == '\0')
        snprintf(contents->foreign, sizeof(contents->foreign), "%s", name);
    return 0;
}

static int contents_look(struct io *io, const struct wal_directory *directory, struct contents *contents,
                         const struct why *why)
{
    *contents = (struct contents){ .meta = false };
    int rc = io_list(io, directory->path, contents_visit, contents);
    return rc == 0 ? 0 : complain_os(why, rc, directory->path, "read");
}

/* A directory without meta may be made into ours only if it is empty, or if making it was begun. */
static int contents_refuse_foreign(const struct wal_directory *directory, const struct contents *contents,
                                   const struct why *why)
{
    if (contents->meta)
        return 0;
    if (contents->foreign[0] != '\0')
        return complain(why, -ENOTEMPTY,
                        "%s is not an Innkeep data directory: it has no meta file and holds \"%s\". "
                        "Name an empty or new directory.",
                        directory->path, contents->foreign);
    if (contents->shard && !contents->creating)
        return complain(why, -ENOTEMPTY,
                        "%s holds shards but no meta file, so it has lost what says how to read them. "
                        "Restore meta from a copy of this directory, or name another directory.",
                        directory->path);
    return 0;
}

/* ---- meta ---------------------------------------------------------------------------------------------------------------------- */

static int meta_judge(const struct wal_directory *directory, const struct wal_directory_header *header, ssize_t got,
                      const struct why *why)
{
    const char *wrong = got == (ssize_t)sizeof(*header) ? wal_directory_header_check(header) : "it has the wrong size";
    if (!wrong && header->shards_count > WAL_SHARDS_MAX)
        wrong = "its shard count is impossible";
    if (!wrong)
        return 0;
    bool whole = got == (ssize_t)sizeof(*header) && header->magic == WAL_DIRECTORY_MAGIC &&
                 hash128_equal(header->check, hash128(header, offsetof(struct wal_directory_header, check), 0));
    if (whole && header->version > WAL_FORMAT_VERSION)
        return complain(why, -EPROTONOSUPPORT,
                        "%s was made by a newer Innkeep (format %u); this one reads format %d. Use the newer Innkeep.",
                        directory->path, header->version, WAL_FORMAT_VERSION);
    return complain(why, -EBADMSG,
                    "%s/" NAME_META
                    " is damaged: %s. Restore this file from a copy of the directory; nothing was changed.",
                    directory->path, wrong);
}

static int meta_read(struct io *io, struct wal_directory *directory, const struct why *why)
{
    char path[WAL_PATH_SIZE];
    int file = io_open(io, path_of(directory, NAME_META, path), IO_OPEN_READ);
    if (file < 0)
        return complain_os(why, file, path, "read");
    struct {
        struct wal_directory_header header;
        uint8_t more[8]; /* to see whether the file goes on */
    } bytes = { .header.magic = 0 };
    ssize_t got = io_read_at(io, file, &bytes, sizeof(bytes), 0);
    io_close(io, file);
    if (got < 0)
        return complain_os(why, (int)got, path, "read");
    int rc = meta_judge(directory, &bytes.header, got, why);
    if (rc == 0)
        directory->header = bytes.header;
    return rc;
}

/* tmp, fsync, rename, fsync of the directory. */
static int meta_write(struct io *io, const struct wal_directory *directory)
{
    char tmp[WAL_PATH_SIZE];
    char path[WAL_PATH_SIZE];
    int rc = io_unlink(io, path_of(directory, NAME_META_TMP, tmp));
    if (rc != 0 && rc != -ENOENT)
        return rc;
    int file = io_open(io, tmp, IO_OPEN_WRITE | IO_OPEN_CREATE);
    if (file < 0)
        return file;
    rc = io_write_at(io, file, &directory->header, sizeof(directory->header), 0);
    if (rc == 0)
        rc = io_sync_file(io, file);
    io_close(io, file);
    if (rc == 0)
        rc = io_rename(io, tmp, path_of(directory, NAME_META, path));
    return rc == 0 ? io_sync_directory(io, directory->path) : rc;
}

/* ---- Creation ------------------------------------------------------------------------------------------------------------------ */

struct shard_sweep {
    struct io *io;
    const char *path;
    char foreign[256];
};

/* Deletes what an interrupted creation made in a shard's directory, and nothing else. */
static int shard_visit(void *context, const char *name)
{
    struct shard_sweep *sweep = context;
    uint64_t sequence = 0;
    bool ours =
        (wal_file_parse(name, WAL_SUFFIX_FILLING, &sequence) || wal_file_parse(name, WAL_SUFFIX_SEGMENT, &sequence)) &&
        sequence == 1;
    if (!ours) {
        snprintf(sweep->foreign, sizeof(sweep->foreign), "%s", name);
        return -ENOTEMPTY;
    }
    char path[WAL_FILE_PATH_SIZE];
    int length = snprintf(path, sizeof(path), "%s/%s", sweep->path, name);
    return length > 0 && length < (int)sizeof(path) ? io_unlink(sweep->io, path) : -ENAMETOOLONG;
}

static int shard_make_directory(struct io *io, const char *path, const struct why *why)
{
    int rc = io_make_directory(io, path);
    if (rc == 0)
        return 0;
    if (rc != -EEXIST)
        return complain_os(why, rc, path, "make");
    struct shard_sweep sweep = { .io = io, .path = path };
    rc = io_list(io, path, shard_visit, &sweep);
    if (rc == -ENOTEMPTY)
        return complain(
            why, rc,
            "Making this data directory was interrupted, and %s holds \"%s\", which Innkeep did not put there. "
            "Move it away, or name another directory.",
            path, sweep.foreign);
    return rc == 0 ? 0 : complain_os(why, rc, path, "clear");
}

static int shard_make(struct io *io, const struct wal_directory *directory, uint32_t shard, const struct why *why)
{
    char path[WAL_PATH_SIZE];
    int rc = shard_make_directory(io, wal_shard_path(directory, shard, path), why);
    if (rc != 0)
        return rc;
    struct wal_segment_header header = {
        .magic = WAL_SEGMENT_MAGIC,
        .version = WAL_FORMAT_VERSION,
        .header_size = sizeof(header),
        .shard = shard,
        .shards_count = directory->header.shards_count,
        .segment_sequence = 1,
        .segment_size = directory->header.segment_size,
        .first_frame_index = 1,
        .first_lsn = 1,
        .time_ns = directory->header.created_ns,
    };
    memcpy(header.uuid, directory->header.uuid, sizeof(header.uuid));
    wal_segment_header_seal(&header);
    rc = wal_segment_make_first(io, path, &header);
    if (rc == -ENOSPC || rc == -EDQUOT)
        return complain(why, rc, "The disk is too full to make the log in %s: each shard starts with %llu MiB.", path,
                        (unsigned long long)(header.segment_size / MIB));
    return rc == 0 ? 0 : complain_os(why, rc, path, "make the first log segment in");
}

static int header_make(struct io *io, struct wal_directory *directory, uint32_t shards, uint64_t segment_size,
                       const struct why *why)
{
    directory->header = (struct wal_directory_header){
        .magic = WAL_DIRECTORY_MAGIC,
        .version = WAL_FORMAT_VERSION,
        .shards_count = shards,
        .segment_size = segment_size,
        .created_ns = io_wall_ns(io),
    };
    int rc = io_entropy(io, directory->header.uuid, sizeof(directory->header.uuid));
    if (rc != 0)
        return complain_os(why, rc, directory->path, "get random bytes for");
    wal_directory_header_seal(&directory->header);
    return 0;
}

static int marker_make(struct io *io, const struct wal_directory *directory)
{
    char path[WAL_PATH_SIZE];
    int file = io_open(io, path_of(directory, NAME_CREATING, path), IO_OPEN_WRITE | IO_OPEN_CREATE);
    if (file < 0 && file != -EEXIST)
        return file;
    if (file >= 0)
        io_close(io, file);
    return io_sync_directory(io, directory->path);
}

static int marker_drop(struct io *io, const struct wal_directory *directory)
{
    char path[WAL_PATH_SIZE];
    int rc = io_unlink(io, path_of(directory, NAME_CREATING, path));
    return rc == -ENOENT ? 0 : rc;
}

static int directory_make(struct io *io, struct wal_directory *directory, uint32_t shards, uint64_t segment_size,
                          const struct why *why)
{
    int rc = header_make(io, directory, shards, segment_size, why);
    if (rc != 0)
        return rc;
    rc = marker_make(io, directory);
    if (rc != 0)
        return complain_os(why, rc, directory->path, "make files in");
    for (uint32_t shard = 0; shard < shards; shard++) {
        rc = shard_make(io, directory, shard, why);
        if (rc != 0)
            return rc;
    }
    rc = meta_write(io, directory);
    if (rc == 0)
        rc = marker_drop(io, directory);
    if (rc != 0)
        return complain_os(why, rc, directory->path, "finish");
    directory->created = true;
    return 0;
}

/* ---- Opening ------------------------------------------------------------------------------------------------------------------- */

/* The directory itself, made durable in the one above it. */
static int directory_make_itself(struct io *io, const struct wal_directory *directory, const struct why *why)
{
    int rc = io_make_directory(io, directory->path);
    if (rc == -EEXIST)
        return 0;
    if (rc != 0)
        return complain_os(why, rc, directory->path, "make");
    char above[WAL_PATH_SIZE];
    memcpy(above, directory->path, sizeof(above));
    char *slash = strrchr(above, '/');
    if (!slash)
        memcpy(above, ".", 2);
    else
        slash[slash == above] = '\0';
    rc = io_sync_directory(io, above);
    return rc == 0 ? 0 : complain_os(why, rc, above, "sync");
}

static int lock_take(struct io *io, struct wal_directory *directory, const struct why *why)
{
    char path[WAL_PATH_SIZE];
    path_of(directory, NAME_LOCK, path);
    int file = io_open(io, path, IO_OPEN_READ | IO_OPEN_WRITE | IO_OPEN_CREATE);
    if (file == -EEXIST)
        file = io_open(io, path, IO_OPEN_READ | IO_OPEN_WRITE);
    if (file < 0)
        return complain_os(why, file, path, "open");
    int rc = io_lock(io, file);
    if (rc == 0) {
        directory->lock_file = file;
        return 0;
    }
    io_close(io, file);
    if (rc == -EWOULDBLOCK)
        return complain(why, rc,
                        "%s is in use by another process, which holds %s. Stop that server, or name another directory.",
                        directory->path, path);
    return complain_os(why, rc, path, "lock");
}

/* The lock file is there and ours: a good place to ask the file system what it can do. */
static int direct_try(struct io *io, const struct wal_directory *directory, const struct why *why)
{
    char path[WAL_PATH_SIZE];
    int file = io_open(io, path_of(directory, NAME_LOCK, path), IO_OPEN_READ | IO_OPEN_DIRECT);
    if (file == -EINVAL)
        return complain(
            why, file,
            "The file system that holds %s cannot write past the page cache (O_DIRECT), which the log needs. "
            "Put the data directory on ext4 or xfs.",
            directory->path);
    if (file < 0)
        return complain_os(why, file, path, "open");
    io_close(io, file);
    return 0;
}

static int shards_check(struct io *io, const struct wal_directory *directory, uint32_t shards, const struct why *why)
{
    uint32_t there = directory->header.shards_count;
    if (shards != 0 && shards != there)
        return complain(why, -EINVAL,
                        "%s has %u shards, and %u were asked for. The number is fixed when a data directory is made: "
                        "leave it out, or say %u.",
                        directory->path, there, shards, there);
    for (uint32_t shard = 0; shard < there; shard++) {
        char path[WAL_PATH_SIZE];
        int file = io_open(io, wal_shard_path(directory, shard, path), IO_OPEN_READ);
        if (file < 0)
            return complain(why, file, "%s cannot be opened, so part of this data directory is missing. %s", path,
                            "Restore it from a copy; nothing was changed.");
        io_close(io, file);
    }
    return 0;
}

static int directory_open_locked(struct io *io, struct wal_directory *directory, uint32_t shards,
                                 uint32_t shards_default, uint64_t segment_size, const struct why *why)
{
    struct contents contents;
    int rc = contents_look(io, directory, &contents, why); /* again: what another process made until we had the lock */
    if (rc == 0)
        rc = contents_refuse_foreign(directory, &contents, why);
    if (rc == 0)
        rc = direct_try(io, directory, why);
    if (rc != 0)
        return rc;
    if (!contents.meta)
        return directory_make(io, directory, shards != 0 ? shards : shards_default, segment_size, why);
    if (contents.cutting)
        return complain(
            why, -EBUSY,
            "A cut of the log in %s was interrupted, so it is between two states. Run the same innkeep-wal cut "
            "again to finish it; nothing was changed now.",
            directory->path);
    rc = meta_read(io, directory, why);
    if (rc == 0)
        rc = shards_check(io, directory, shards, why);
    if (rc != 0)
        return rc;
    rc = contents.creating ? marker_drop(io, directory) : 0;
    return rc == 0 ? 0 : complain_os(why, rc, directory->path, "clear up");
}

static int arguments_check(uint32_t shards, uint32_t shards_default, uint64_t segment_size, const struct why *why)
{
    REQUIRE(shards_default > 0 && shards_default <= WAL_SHARDS_MAX);
    if (shards > WAL_SHARDS_MAX)
        return complain(why, -EINVAL, "%u shards were asked for; a data directory has at most %d.", shards,
                        WAL_SHARDS_MAX);
    if (segment_size < WAL_SEGMENT_SIZE_MIN || segment_size % WAL_BLOCK_SIZE != 0 || segment_size > 64 * GIB)
        return complain(why, -EINVAL,
                        "A log segment has between 64 KiB and 64 GiB, a multiple of %d bytes; %llu were asked for.",
                        WAL_BLOCK_SIZE, (unsigned long long)segment_size);
    return 0;
}

int wal_directory_open(struct io *io, const char *path, uint32_t shards, uint32_t shards_default, uint64_t segment_size,
                       struct wal_directory *directory, char *why_text, size_t why_size)
{
    const struct why why = { .text = why_text, .size = why_size };
    int rc = directory_set(directory, path, &why);
    if (rc == 0)
        rc = arguments_check(shards, shards_default, segment_size, &why);
    if (rc == 0)
        rc = directory_make_itself(io, directory, &why);
    struct contents contents;
    if (rc == 0)
        rc = contents_look(io, directory, &contents, &why);
    if (rc == 0)
        rc = contents_refuse_foreign(directory, &contents, &why); /* before a lock file is put into somebody else's */
    if (rc == 0)
        rc = lock_take(io, directory, &why);
    if (rc != 0)
        return rc;
    rc = directory_open_locked(io, directory, shards, shards_default, segment_size, &why);
    if (rc != 0)
        wal_directory_close(io, directory);
    return rc;
}

int wal_directory_inspect(struct io *io, const char *path, struct wal_directory *directory, char *why_text,
                          size_t why_size)
{
    const struct why why = { .text = why_text, .size = why_size };
    int rc = directory_set(directory, path, &why);
    struct contents contents;
    if (rc == 0)
        rc = contents_look(io, directory, &contents, &why);
    if (rc != 0)
        return rc;
    if (!contents.meta)
        return complain(
            &why, -ENOENT, "%s is not an Innkeep data directory: it has no meta file%s.", directory->path,
            contents.creating ? ", because making it was interrupted; the next start of a server finishes it" : "");
    directory->cutting = contents.cutting;
    return meta_read(io, directory, &why);
}

int wal_directory_lock(struct io *io, struct wal_directory *directory, char *why_text, size_t why_size)
{
    REQUIRE(directory->lock_file < 0);
    const struct why why = { .text = why_text, .size = why_size };
    return lock_take(io, directory, &why);
}

void wal_directory_close(struct io *io, struct wal_directory *directory)
{
    if (directory->lock_file >= 0)
        io_close(io, directory->lock_file);
    directory->lock_file = -1;
}
