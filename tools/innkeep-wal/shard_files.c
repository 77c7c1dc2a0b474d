#include "tools/innkeep-wal/shard_files.h"

#include "wal/segment_file.h"
#include "wal/snapshot_format.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEQUENCE_DIGITS 16

/* Exactly the 16 digits that a sequence is written with. */
static bool sequence_read(const char *text, uint64_t *sequence)
{
    if (strspn(text, "0123456789abcdef") < SEQUENCE_DIGITS)
        return false;
    char digits[SEQUENCE_DIGITS + 1] = "";
    memcpy(digits, text, SEQUENCE_DIGITS);
    *sequence = strtoull(digits, NULL, 16);
    return true;
}

static enum shard_file_kind kind_of(const char *name, uint64_t *sequence)
{
    static const struct {
        const char *suffix;
        enum shard_file_kind kind;
    } suffixes[] = { { WAL_SUFFIX_SEGMENT, SHARD_FILE_SEGMENT },
                     { WAL_SUFFIX_READY, SHARD_FILE_READY },
                     { WAL_SUFFIX_FILLING, SHARD_FILE_FILLING },
                     { WAL_SUFFIX_SNAPSHOT, SHARD_FILE_SNAPSHOT },
                     { WAL_SUFFIX_SNAPSHOT_TMP, SHARD_FILE_SNAPSHOT_TMP } };
    *sequence = 0;
    if (strcmp(name, WAL_MANIFEST_NAME) == 0 || strcmp(name, WAL_MANIFEST_TMP_NAME) == 0)
        return SHARD_FILE_MANIFEST;
    if (strncmp(name, "torn-", 5) == 0 && sequence_read(name + 5, sequence))
        return SHARD_FILE_TORN;
    for (size_t i = 0; i < ARRAY_COUNT(suffixes); i++)
        if (sequence_read(name, sequence) && strcmp(name + SEQUENCE_DIGITS, suffixes[i].suffix) == 0)
            return suffixes[i].kind;
    *sequence = 0;
    return SHARD_FILE_OTHER;
}

static int name_take(void *context, const char *name)
{
    struct shard_files *files = context;
    if (strlen(name) >= SHARD_FILE_NAME_SIZE)
        return 0; /* none of ours */
    if (files->count == files->capacity) {
        files->capacity = files->capacity == 0 ? 64 : 2 * files->capacity;
        struct shard_file *larger = reallocarray(files->files, files->capacity, sizeof *larger);
        if (larger == NULL)
            return -ENOMEM;
        files->files = larger;
    }
    struct shard_file *file = &files->files[files->count++];
    memset(file, 0, sizeof *file);
    file->kind = kind_of(name, &file->sequence);
    memcpy(file->name, name, strlen(name));
    return 0;
}

static int file_compare(const void *left, const void *right)
{
    const struct shard_file *a = left;
    const struct shard_file *b = right;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->sequence != b->sequence)
        return a->sequence < b->sequence ? -1 : 1;
    return strcmp(a->name, b->name);
}

/* False where it is gone. */
static int size_find(struct io *io, const char *directory, struct shard_file *file, bool *found)
{
    char path[WAL_FILE_PATH_SIZE + SHARD_FILE_NAME_SIZE];
    snprintf(path, sizeof path, "%s/%s", directory, file->name);
    int opened = io_open(io, path, IO_OPEN_READ);
    *found = opened != -ENOENT;
    if (opened < 0)
        return *found ? opened : 0;
    int64_t size = io_size_of(io, opened);
    io_close(io, opened);
    file->size_bytes = size < 0 ? 0 : (uint64_t)size;
    return size < 0 ? (int)size : 0;
}

int shard_files_list(struct io *io, const char *directory, struct shard_files *files)
{
    int error = io_list(io, directory, name_take, files);
    size_t kept = 0;
    for (size_t i = 0; i < files->count && error == 0; i++) {
        bool found;
        error = size_find(io, directory, &files->files[i], &found);
        if (error == 0 && found)
            files->files[kept++] = files->files[i];
    }
    files->count = error == 0 ? kept : 0;
    if (files->count > 0)
        qsort(files->files, files->count, sizeof *files->files, file_compare);
    return error;
}

void shard_files_free(struct shard_files *files)
{
    free(files->files);
    *files = (struct shard_files){ .files = NULL };
}
