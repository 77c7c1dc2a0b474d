#include "wal/snapshot_reader.h"

#include "wal/segment_file.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Saying why ---------------------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static int complain(char why[WAL_SNAPSHOT_WHY_SIZE], int rc, const char *format,
                                                          ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(why, WAL_SNAPSHOT_WHY_SIZE, format, arguments);
    va_end(arguments);
    ENSURE(length > 0);
    return rc;
}

static int complain_of_disk(char why[WAL_SNAPSHOT_WHY_SIZE], int rc, const char *path, const char *verb)
{
    return complain(why, rc, "%s cannot be %s: %s.", path, verb, strerror(-rc));
}

/* ---- Listing ------------------------------------------------------------------------------------------------------------- */

static int index_add(struct wal_snapshots *snapshots, uint64_t index)
{
    if (snapshots->count == snapshots->capacity) {
        size_t capacity = snapshots->capacity == 0 ? 8 : 2 * snapshots->capacity;
        uint64_t *grown = realloc(snapshots->indexes, capacity * sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        snapshots->indexes = grown;
        snapshots->capacity = capacity;
    }
    snapshots->indexes[snapshots->count++] = index;
    return 0;
}

static int name_visit(void *context, const char *name)
{
    uint64_t index = 0;
    return wal_file_parse(name, WAL_SUFFIX_SNAPSHOT, &index) ? index_add(context, index) : 0;
}

static int newest_first(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x < y) - (x > y);
}

int wal_snapshots_list(struct io *io, const char *directory, struct wal_snapshots *snapshots)
{
    snapshots->count = 0;
    int rc = io_list(io, directory, name_visit, snapshots);
    if (rc == 0 && snapshots->count > 1)
        qsort(snapshots->indexes, snapshots->count, sizeof(snapshots->indexes[0]), newest_first);
    return rc;
}

void wal_snapshots_free(struct wal_snapshots *snapshots)
{
    free(snapshots->indexes);
    *snapshots = (struct wal_snapshots){ .indexes = NULL };
}

/* ---- Whose it is --------------------------------------------------------------------------------------------------------- */

/* NULL if uuid, shard and shard count are the place's. */
static const char *place_compare(const struct wal_snapshot_place *place, const uint8_t uuid[16], uint32_t shard,
                                 uint32_t shards_count)
{
    if (memcmp(uuid, place->uuid, sizeof(place->uuid)) != 0)
        return "it belongs to another data directory (its uuid is another)";
    if (shard != place->shard)
        return "it belongs to another shard";
    if (shards_count != place->shards_count)
        return "it was made when there was another number of shards";
    return NULL;
}

/* ---- The manifest -------------------------------------------------------------------------------------------------------- */

static int manifest_judge(const struct wal_snapshot_place *place, const struct wal_manifest *manifest, const char *path,
                          char why[WAL_SNAPSHOT_WHY_SIZE])
{
    const char *wrong = wal_manifest_check(manifest);
    if (wrong && wal_manifest_is_newer(manifest))
        return complain(why, WAL_SNAPSHOT_NEWER, "%s was written by a newer Innkeep (version %" PRIu32 "). %s", path,
                        manifest->version, "Start that one, or a later one; nothing was changed.");
    if (wrong)
        return complain(why, WAL_SNAPSHOT_DAMAGED, "%s is damaged: %s.", path, wrong);
    wrong = place_compare(place, manifest->uuid, manifest->shard, manifest->shards_count);
    if (wrong)
        return complain(why, WAL_SNAPSHOT_FOREIGN, "%s does not belong here: %s.", path, wrong);
    return 0;
}

static int manifest_load(struct io *io, int file, const char *path, struct wal_manifest *manifest,
                         char why[WAL_SNAPSHOT_WHY_SIZE])
{
    int64_t size = io_size_of(io, file);
    if (size < 0)
        return complain_of_disk(why, (int)size, path, "measured");
    ssize_t got = io_read_at(io, file, manifest, sizeof(*manifest), 0);
    if (got < 0)
        return complain_of_disk(why, (int)got, path, "read");
    if ((uint64_t)size != sizeof(*manifest) || (size_t)got != sizeof(*manifest))
        return complain(why, WAL_SNAPSHOT_DAMAGED, "%s is damaged: it has %" PRId64 " bytes instead of %zu.", path,
                        size, sizeof(*manifest));
    return 0;
}

int wal_manifest_read(struct io *io, const struct wal_snapshot_place *place, struct wal_manifest *manifest,
                      char why[WAL_SNAPSHOT_WHY_SIZE])
{
    char path[WAL_FILE_PATH_SIZE];
    int length = snprintf(path, sizeof(path), "%s/%s", place->directory, WAL_MANIFEST_NAME);
    why[0] = '\0';
    if (length < 0 || length >= (int)sizeof(path))
        return complain_of_disk(why, -ENAMETOOLONG, place->directory, "opened");
    int file = io_open(io, path, IO_OPEN_READ);
    if (file < 0)
        return complain_of_disk(why, file, path, "opened");
    int rc = manifest_load(io, file, path, manifest, why);
    io_close(io, file);
    return rc != 0 ? rc : manifest_judge(place, manifest, path, why);
}

/* ---- Opening a snapshot -------------------------------------------------------------------------------------------------- */

static int damaged(struct wal_snapshot_reader *reader, const char *wrong)
{
    return complain(reader->why, WAL_SNAPSHOT_DAMAGED, "%s is damaged: %s.", reader->path, wrong);
}

/* Direct, because pages go straight where they belong; where a file system has no direct I/O, through its cache. */
static int reader_open_file(struct wal_snapshot_reader *reader)
{
    int file = io_open(reader->io, reader->path, IO_OPEN_READ | IO_OPEN_DIRECT);
    if (file == -EINVAL)
        file = io_open(reader->io, reader->path, IO_OPEN_READ);
    if (file < 0)
        return complain_of_disk(reader->why, file, reader->path, "opened");
    reader->file = file;
    return 0;
}

/* Whole or not at all: what a file is short of was said before, so a read that ends early is a disk's fault. */
static int reader_fetch(struct wal_snapshot_reader *reader, void *bytes, size_t size_bytes, uint64_t offset)
{
    ssize_t got = io_read_at(reader->io, reader->file, bytes, size_bytes, offset);
    if (got < 0)
        return complain_of_disk(reader->why, (int)got, reader->path, "read");
    if ((size_t)got != size_bytes)
        return complain(reader->why, WAL_SNAPSHOT_DAMAGED,
                        "%s is damaged: it ends at offset %" PRIu64 ", while it is being read.", reader->path,
                        offset + (uint64_t)got);
    return 0;
}

static int block_judge(struct wal_snapshot_reader *reader, const struct wal_snapshot_place *place, uint64_t index)
{
    const struct wal_snapshot_header *header = &reader->block->header;
    const char *wrong = wal_snapshot_block_check(reader->block);
    if (wrong && wal_snapshot_block_is_newer(reader->block))
        return complain(reader->why, WAL_SNAPSHOT_NEWER, "%s was written by a newer Innkeep (version %" PRIu32 "). %s",
                        reader->path, header->version, "Start that one, or a later one; nothing was changed.");
    if (wrong)
        return damaged(reader, wrong);
    wrong = place_compare(place, header->uuid, header->shard, header->shards_count);
    if (!wrong && header->index != index)
        wrong = "it was made at another frame than its name says";
    if (wrong)
        return complain(reader->why, WAL_SNAPSHOT_FOREIGN, "%s does not belong here: %s.", reader->path, wrong);
    return 0;
}

static int block_load(struct wal_snapshot_reader *reader, const struct wal_snapshot_place *place, uint64_t index)
{
    int64_t size = io_size_of(reader->io, reader->file);
    if (size < 0)
        return complain_of_disk(reader->why, (int)size, reader->path, "measured");
    if (size < WAL_BLOCK_SIZE)
        return damaged(reader, "it is shorter than its first block");
    int rc = reader_fetch(reader, reader->block, sizeof(*reader->block), 0);
    if (rc == 0)
        rc = block_judge(reader, place, index);
    if (rc != 0)
        return rc;
    uint64_t expected = wal_snapshot_file_size(reader->block->header.data_size);
    if ((uint64_t)size == expected)
        return 0;
    return complain(reader->why, WAL_SNAPSHOT_DAMAGED,
                    "%s is damaged: it has %" PRId64 " bytes and should have %" PRIu64 ".", reader->path, size,
                    expected);
}

static int table_load(struct wal_snapshot_reader *reader)
{
    const struct wal_snapshot_header *header = &reader->block->header;
    size_t size = wal_snapshot_table_size(header->data_size);
    size_t filled = wal_snapshot_chunks_count(header->data_size) * sizeof(struct hash128);
    reader->table = aligned_alloc(WAL_BLOCK_SIZE, size);
    if (!reader->table)
        return complain_of_disk(reader->why, -ENOMEM, reader->path, "read");
    int rc = reader_fetch(reader, reader->table, size, wal_snapshot_table_offset(header->data_size));
    if (rc != 0)
        return rc;
    if (!hash128_equal(hash128(reader->table, filled, reader->salt), header->table_hash))
        return damaged(reader, "the checksum of its chunk table does not match");
    const uint8_t *bytes = (const uint8_t *)reader->table;
    for (size_t i = filled; i < size; i++)
        if (bytes[i] != 0)
            return damaged(reader, "the bytes behind its chunk table are not zero");
    return 0;
}

int wal_snapshot_open(struct wal_snapshot_reader *reader, struct io *io, const struct wal_snapshot_place *place,
                      uint64_t index)
{
    *reader = (struct wal_snapshot_reader){ .io = io, .file = -1 };
    int rc = wal_file_path(reader->path, place->directory, index, WAL_SUFFIX_SNAPSHOT);
    if (rc != 0)
        return complain_of_disk(reader->why, rc, place->directory, "opened");
    reader->block = aligned_alloc(WAL_BLOCK_SIZE, sizeof(*reader->block));
    if (!reader->block)
        return complain_of_disk(reader->why, -ENOMEM, reader->path, "opened");
    reader->salt = wal_snapshot_salt(place->uuid, place->shard, index);
    rc = reader_open_file(reader);
    if (rc == 0)
        rc = block_load(reader, place, index);
    if (rc == 0)
        rc = table_load(reader);
    return rc;
}

void wal_snapshot_close(struct wal_snapshot_reader *reader)
{
    if (reader->file >= 0)
        io_close(reader->io, reader->file);
    free(reader->block);
    free(reader->table);
    reader->file = -1;
    reader->block = NULL;
    reader->table = NULL;
}

/* ---- Reading the pages ----------------------------------------------------------------------------------------------------
 *
 * The pages are read in pieces, each at most WAL_SNAPSHOT_READ_SIZE and one run of memory; a ring of pieces is in flight, and the
 * oldest is verified when it has come, whatever order the disk delivers them in. Pieces need not end where chunks do: a chunk's hash
 * goes on from one piece to the next. */

struct piece {
    struct read *read;
    struct io_request request;
    uint8_t *bytes;
    uint64_t offset; /* of the pages */
    uint32_t size;
    bool in_flight;
    int32_t result;
};

struct read {
    struct wal_snapshot_reader *reader;
    const struct wal_snapshot_sink *sink;
    uint32_t reads_max; /* 0: at once */
    uint64_t data_size;
    uint64_t asked;    /* bytes below it were asked for */
    uint64_t verified; /* bytes below it went into a hash */
    struct piece pieces[WAL_SNAPSHOT_READS_MAX];
    uint32_t oldest;   /* piece */
    uint32_t count;    /* of pieces, from the oldest on */
    XXH3_state_t hash; /* of the chunk that `verified` lies in */
};

static void piece_done(struct io_request *request, const struct io_completion *completion)
{
    struct piece *piece = request->context;
    REQUIRE(piece->in_flight);
    piece->in_flight = false;
    piece->result = completion->result;
}

static void piece_start(struct read *read, struct piece *piece)
{
    struct io *io = read->reader->io;
    int file = read->reader->file;
    uint64_t offset = WAL_BLOCK_SIZE + piece->offset;
    if (read->reads_max == 0) {
        piece->result = (int32_t)io_read_at(io, file, piece->bytes, piece->size, offset);
        return;
    }
    piece->in_flight = true;
    piece->request = (struct io_request){ .done = piece_done, .context = piece };
    io_read(io, &piece->request, file, piece->bytes, piece->size, offset);
}

static int piece_add(struct read *read)
{
    uint64_t left = read->data_size - read->asked;
    size_t wanted = left < WAL_SNAPSHOT_READ_SIZE ? (size_t)left : WAL_SNAPSHOT_READ_SIZE;
    size_t size = wanted;
    uint8_t *bytes = read->sink->place(read->sink->context, read->asked, &size);
    if (!bytes)
        return complain(read->reader->why, -ENOSPC,
                        "%s holds %" PRIu64 " bytes of pages, and there is no place for those from %" PRIu64 " on.",
                        read->reader->path, read->data_size, read->asked);
    REQUIRE(size >= WAL_BLOCK_SIZE && size <= wanted && size % WAL_BLOCK_SIZE == 0);
    REQUIRE((uintptr_t)bytes % WAL_BLOCK_SIZE == 0);
    struct piece *piece = &read->pieces[(read->oldest + read->count) % WAL_SNAPSHOT_READS_MAX];
    *piece = (struct piece){ .read = read, .bytes = bytes, .offset = read->asked, .size = (uint32_t)size };
    read->count++;
    read->asked += size;
    piece_start(read, piece);
    return 0;
}

static int ring_run(struct read *read, uint64_t wait_until_ns)
{
    int rc = io_run(read->reader->io, wait_until_ns);
    return rc == 0 ? 0 : complain_of_disk(read->reader->why, rc, read->reader->path, "read through the ring");
}

/* The ring is run without waiting, so that the disk reads on while the oldest piece is verified. */
static int pieces_add(struct read *read)
{
    uint32_t count_max = read->reads_max == 0 ? 1 : read->reads_max;
    while (read->count < count_max && read->asked < read->data_size) {
        int rc = piece_add(read);
        if (rc != 0)
            return rc;
    }
    return read->reads_max == 0 ? 0 : ring_run(read, 0);
}

static void chunk_hash_begin(struct read *read, uint64_t chunk)
{
    XXH3_INITSTATE(&read->hash); /* reset_withSeed looks at the seed that is there */
    XXH_errorcode rc = XXH3_128bits_reset_withSeed(&read->hash, read->reader->salt + chunk);
    ENSURE(rc == XXH_OK);
}

static int chunk_hash_end(struct read *read, uint64_t chunk)
{
    XXH128_hash_t hash = XXH3_128bits_digest(&read->hash);
    const struct hash128 *expected = &read->reader->table[chunk];
    if (hash.low64 == expected->low && hash.high64 == expected->high)
        return 0;
    return complain(read->reader->why, WAL_SNAPSHOT_DAMAGED,
                    "%s is damaged: the checksum of chunk %" PRIu64 ", at offset %" PRIu64 ", does not match.",
                    read->reader->path, chunk, WAL_BLOCK_SIZE + chunk * WAL_SNAPSHOT_CHUNK_SIZE);
}

/* Takes bytes in up to the end of their chunk, and tells how many. */
static int chunk_hash_add(struct read *read, const uint8_t *bytes, size_t available, size_t *taken)
{
    uint64_t chunk = read->verified / WAL_SNAPSHOT_CHUNK_SIZE;
    uint64_t begin = chunk * WAL_SNAPSHOT_CHUNK_SIZE;
    uint64_t end = begin + wal_snapshot_chunk_bytes(read->data_size, chunk);
    if (read->verified == begin)
        chunk_hash_begin(read, chunk);
    *taken = end - read->verified < available ? (size_t)(end - read->verified) : available;
    XXH_errorcode rc = XXH3_128bits_update(&read->hash, bytes, *taken);
    ENSURE(rc == XXH_OK);
    read->verified += *taken;
    return read->verified == end ? chunk_hash_end(read, chunk) : 0;
}

/* Up to where whole chunks were verified. */
static uint64_t verified_chunks_end(const struct read *read)
{
    if (read->verified == read->data_size)
        return read->verified;
    return read->verified - read->verified % WAL_SNAPSHOT_CHUNK_SIZE;
}

static int piece_verify(struct read *read, const struct piece *piece)
{
    REQUIRE(piece->offset == read->verified);
    for (size_t at = 0, taken = 0; at < piece->size; at += taken) {
        int rc = chunk_hash_add(read, piece->bytes + at, piece->size - at, &taken);
        if (rc != 0)
            return rc;
    }
    return read->sink->loaded ? read->sink->loaded(read->sink->context, verified_chunks_end(read)) : 0;
}

/* A read may come back short and leave the rest for another one. */
static int piece_complete(struct read *read, struct piece *piece)
{
    if (piece->result < 0)
        return complain_of_disk(read->reader->why, piece->result, read->reader->path, "read");
    size_t got = (size_t)piece->result / WAL_BLOCK_SIZE * WAL_BLOCK_SIZE;
    if (got == piece->size)
        return 0;
    return reader_fetch(read->reader, piece->bytes + got, piece->size - got, WAL_BLOCK_SIZE + piece->offset + got);
}

static int piece_wait(struct read *read, const struct piece *piece)
{
    int rc = 0;
    while (rc == 0 && piece->in_flight)
        rc = ring_run(read, NEVER_NS);
    return rc;
}

static int oldest_finish(struct read *read)
{
    struct piece *piece = &read->pieces[read->oldest];
    int rc = piece_wait(read, piece);
    if (rc == 0)
        rc = piece_complete(read, piece);
    if (rc == 0)
        rc = piece_verify(read, piece);
    read->oldest = (read->oldest + 1) % WAL_SNAPSHOT_READS_MAX;
    read->count--;
    return rc;
}

/* After a failure, the memory must not be read into any more. */
static void pieces_wait(struct read *read)
{
    for (; read->count > 0; read->count--) {
        const struct piece *piece = &read->pieces[read->oldest];
        while (piece->in_flight)
            if (io_run(read->reader->io, NEVER_NS) != 0)
                return;
        read->oldest = (read->oldest + 1) % WAL_SNAPSHOT_READS_MAX;
    }
}

int wal_snapshot_read(struct wal_snapshot_reader *reader, const struct wal_snapshot_sink *sink, uint32_t reads_max)
{
    REQUIRE(reader->file >= 0 && reader->table != NULL);
    REQUIRE(reads_max <= WAL_SNAPSHOT_READS_MAX);
    struct read *read = aligned_alloc(_Alignof(struct read), sizeof(*read));
    if (!read)
        return complain_of_disk(reader->why, -ENOMEM, reader->path, "read");
    memset(read, 0, sizeof(*read));
    read->reader = reader;
    read->sink = sink;
    read->reads_max = reads_max;
    read->data_size = reader->block->header.data_size;
    int rc = 0;
    while (rc == 0 && read->verified < read->data_size) {
        rc = pieces_add(read);
        if (rc == 0)
            rc = oldest_finish(read);
    }
    pieces_wait(read);
    ENSURE(IMPLIES(rc == 0, read->verified == read->data_size));
    free(read);
    return rc;
}
