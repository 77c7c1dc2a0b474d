#include "wal/segment_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEQUENCE_DIGITS 16

int wal_file_path(char path[WAL_FILE_PATH_SIZE], const char *directory, uint64_t sequence, const char *suffix)
{
    int length = snprintf(path, WAL_FILE_PATH_SIZE, "%s/%016" PRIx64 "%s", directory, sequence, suffix);
    return length > 0 && length < WAL_FILE_PATH_SIZE ? 0 : -ENAMETOOLONG;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

bool wal_file_parse(const char *name, const char *suffix, uint64_t *sequence)
{
    uint64_t value = 0;
    for (size_t i = 0; i < SEQUENCE_DIGITS; i++) {
        int digit = hex_digit(name[i]); /* the terminator is no digit, so nothing behind it is read */
        if (digit < 0)
            return false;
        value = value * 16 + (uint64_t)digit;
    }
    if (value == 0 || strcmp(name + SEQUENCE_DIGITS, suffix) != 0)
        return false;
    *sequence = value;
    return true;
}

int wal_file_rename(struct io *io, const char *directory, uint64_t sequence, const char *from_suffix,
                    const char *to_suffix)
{
    char from[WAL_FILE_PATH_SIZE];
    char to[WAL_FILE_PATH_SIZE];
    int rc = wal_file_path(from, directory, sequence, from_suffix);
    if (rc == 0)
        rc = wal_file_path(to, directory, sequence, to_suffix);
    if (rc == 0)
        rc = io_rename(io, from, to);
    if (rc == 0)
        rc = io_sync_directory(io, directory);
    return rc;
}

int wal_file_create_filling(struct io *io, const char *directory, uint64_t sequence)
{
    char path[WAL_FILE_PATH_SIZE];
    int rc = wal_file_path(path, directory, sequence, WAL_SUFFIX_FILLING);
    if (rc != 0)
        return rc;
    rc = io_unlink(io, path);
    if (rc != 0 && rc != -ENOENT)
        return rc;
    return io_open(io, path, IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_DIRECT);
}

void wal_file_drop_filling(struct io *io, const char *directory, uint64_t sequence)
{
    char path[WAL_FILE_PATH_SIZE];
    int rc = wal_file_path(path, directory, sequence, WAL_SUFFIX_FILLING);
    if (rc == 0)
        rc = io_unlink(io, path);
    (void)rc; /* a file that stays is deleted at the next start */
}

static int file_fill(struct io *io, int file, uint64_t size_bytes, const void *zeros)
{
    for (uint64_t offset = 0; offset < size_bytes; offset += WAL_FILL_SIZE) {
        uint64_t left = size_bytes - offset;
        int rc = io_write_at(io, file, zeros, left < WAL_FILL_SIZE ? left : WAL_FILL_SIZE, offset);
        if (rc != 0)
            return rc;
    }
    return io_sync_file(io, file);
}

int wal_file_make_filled(struct io *io, const char *directory, uint64_t sequence, uint64_t segment_size,
                         const void *zeros)
{
    REQUIRE(segment_size % WAL_BLOCK_SIZE == 0);
    int file = wal_file_create_filling(io, directory, sequence);
    if (file < 0)
        return file;
    int rc = file_fill(io, file, segment_size, zeros);
    if (rc == 0)
        return file;
    io_close(io, file);
    wal_file_drop_filling(io, directory, sequence);
    return rc;
}

void wal_segment_header_lay(uint8_t *blocks, const struct wal_segment_header *header)
{
    memset(blocks, 0, WAL_SEGMENT_DATA_OFFSET);
    for (size_t i = 0; i < WAL_SEGMENT_HEADER_BLOCKS; i++)
        memcpy(blocks + i * WAL_BLOCK_SIZE, header, sizeof(*header));
}

int wal_segment_header_write(struct io *io, int file, uint8_t *blocks, const struct wal_segment_header *header)
{
    REQUIRE(wal_segment_header_check(header) == NULL);
    wal_segment_header_lay(blocks, header);
    int rc = io_write_at(io, file, blocks, WAL_SEGMENT_DATA_OFFSET, 0);
    return rc != 0 ? rc : io_sync_file(io, file);
}

int wal_segment_make_first(struct io *io, const char *directory, const struct wal_segment_header *header)
{
    REQUIRE(header->segment_sequence == 1);
    uint8_t *zeros = aligned_alloc(WAL_BLOCK_SIZE, WAL_FILL_SIZE);
    if (!zeros)
        return -ENOMEM;
    memset(zeros, 0, WAL_FILL_SIZE);
    int rc = wal_file_make_filled(io, directory, 1, header->segment_size, zeros);
    if (rc >= 0) {
        int file = rc;
        rc = wal_segment_header_write(io, file, zeros, header);
        io_close(io, file);
    }
    if (rc == 0)
        rc = wal_file_rename(io, directory, 1, WAL_SUFFIX_FILLING, WAL_SUFFIX_SEGMENT);
    free(zeros);
    return rc;
}
