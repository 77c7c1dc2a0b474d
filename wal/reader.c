#include "wal/reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int wal_reader_init(struct wal_reader *reader, struct io *io, const char *directory, const uint8_t uuid[16],
                    uint32_t shard)
{
    *reader = (struct wal_reader){
        .io = io,
        .directory = directory,
        .uuid = uuid,
        .shard = shard,
        .file = -1,
        .window = aligned_alloc(WAL_BLOCK_SIZE, WAL_WINDOW_SIZE),
    };
    return reader->window ? 0 : -ENOMEM;
}

static void reader_close(struct wal_reader *reader)
{
    if (reader->file >= 0)
        io_close(reader->io, reader->file);
    reader->file = -1;
    reader->window_offset = 0;
    reader->window_bytes = 0;
}

void wal_reader_free(struct wal_reader *reader)
{
    reader_close(reader);
    free(reader->window);
    reader->window = NULL;
}

int wal_reader_open(struct wal_reader *reader, uint64_t sequence)
{
    reader_close(reader);
    int rc = wal_file_path(reader->path, reader->directory, sequence, WAL_SUFFIX_SEGMENT);
    if (rc != 0)
        return rc;
    reader->file = io_open(reader->io, reader->path, IO_OPEN_READ);
    if (reader->file < 0)
        return reader->file;
    int64_t size = io_size_of(reader->io, reader->file);
    if (size < 0)
        return (int)size;
    reader->size_bytes = (uint64_t)size;
    reader->sequence = sequence;
    reader->salt = wal_salt(reader->uuid, reader->shard, sequence);
    return 0;
}

/* Keeps what the window already holds from offset on, and fills it up behind. */
static int window_move(struct wal_reader *reader, uint64_t offset)
{
    uint64_t end = reader->window_offset + reader->window_bytes;
    size_t kept = offset >= reader->window_offset && offset < end ? (size_t)(end - offset) : 0;
    if (kept > 0)
        memmove(reader->window, reader->window + (offset - reader->window_offset), kept);
    ssize_t got = io_read_at(reader->io, reader->file, reader->window + kept, WAL_WINDOW_SIZE - kept, offset + kept);
    reader->window_offset = offset;
    reader->window_bytes = kept;
    if (got < 0)
        return (int)got;
    reader->window_bytes += (size_t)got;
    ENSURE(reader->window_bytes <= WAL_WINDOW_SIZE);
    return 0;
}

ssize_t wal_reader_window(struct wal_reader *reader, uint64_t offset, size_t size_bytes, const uint8_t **bytes)
{
    REQUIRE(size_bytes <= WAL_FRAME_SIZE_MAX && offset % WAL_BLOCK_SIZE == 0);
    REQUIRE(reader->file >= 0);
    *bytes = reader->window;
    uint64_t end = reader->window_offset + reader->window_bytes;
    bool held = offset >= reader->window_offset && offset + size_bytes <= end;
    if (!held) {
        int rc = window_move(reader, offset);
        if (rc != 0)
            return rc;
        end = offset + reader->window_bytes;
    }
    *bytes = reader->window + (offset - reader->window_offset);
    uint64_t available = end - offset;
    return (ssize_t)(available < size_bytes ? available : size_bytes);
}

int wal_reader_frame(struct wal_reader *reader, uint64_t offset, uint64_t salt, const struct wal_frame_header **frame,
                     const char **wrong)
{
    const uint8_t *bytes = NULL;
    ssize_t got = wal_reader_window(reader, offset, WAL_BLOCK_SIZE, &bytes);
    if (got < 0)
        return (int)got;
    const struct wal_frame_header *header = (const void *)bytes;
    *wrong = got < WAL_BLOCK_SIZE ? "the segment ends here" : wal_frame_header_check(header, salt);
    if (*wrong)
        return 0;
    size_t size = header->frame_size <= WAL_FRAME_SIZE_MAX ? header->frame_size : WAL_BLOCK_SIZE;
    got = wal_reader_window(reader, offset, size, &bytes);
    if (got < 0)
        return (int)got;
    *frame = (const void *)bytes;
    *wrong = wal_frame_check(*frame, salt, (size_t)got);
    return 0;
}

bool wal_bytes_are_zero(const uint8_t *bytes, size_t size_bytes)
{
    return size_bytes == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size_bytes - 1) == 0);
}

static int sequence_add(struct wal_segments *segments, uint64_t sequence)
{
    if (segments->count == segments->capacity) {
        size_t capacity = segments->capacity == 0 ? 64 : 2 * segments->capacity;
        uint64_t *grown = realloc(segments->sequences, capacity * sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        segments->sequences = grown;
        segments->capacity = capacity;
    }
    segments->sequences[segments->count++] = sequence;
    return 0;
}

static int name_visit(void *context, const char *name)
{
    uint64_t sequence = 0;
    return wal_file_parse(name, WAL_SUFFIX_SEGMENT, &sequence) ? sequence_add(context, sequence) : 0;
}

static int sequence_order(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

int wal_segments_list(struct io *io, const char *directory, struct wal_segments *segments)
{
    segments->count = 0;
    int rc = io_list(io, directory, name_visit, segments);
    if (rc == 0 && segments->count > 1)
        qsort(segments->sequences, segments->count, sizeof(segments->sequences[0]), sequence_order);
    return rc;
}

void wal_segments_free(struct wal_segments *segments)
{
    free(segments->sequences);
    *segments = (struct wal_segments){ .sequences = NULL };
}
