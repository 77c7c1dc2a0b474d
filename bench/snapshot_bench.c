/* How fast a shard's snapshot is written, loaded and deleted, against what the disk gives to the same reads without any checking.
 *
 *   innkeep-snapshot-bench DIRECTORY [MIB]
 *
 * Writes a snapshot of MIB (2048) mebibytes in DIRECTORY, which is made and must not exist, loads it and reads the raw file in turns,
 * three times each, and deletes it again. Both read WAL_SNAPSHOT_READ_SIZE at a time, 8 in flight, direct, into memory that
 * was touched before. */
#include "engine/base/units.h"
#include "wal/snapshot_reader.h"
#include "wal/snapshot_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define READS_MAX 8
#define ROUNDS 3

struct bench {
    struct io *io;
    struct wal_snapshot_place place;
    uint8_t *pages;
    uint64_t size;
    uint64_t handed;
};

static void die_unless(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "innkeep-snapshot-bench: %s failed.\n", what);
    exit(1);
}

static double seconds_since(const struct bench *bench, uint64_t began_ns)
{
    return (double)(io_now_ns(bench->io) - began_ns) / 1e9;
}

static void say(const struct bench *bench, const char *what, uint64_t began_ns)
{
    double seconds = seconds_since(bench, began_ns);
    printf("%-34s %8.3f s %8.1f MB/s\n", what, seconds, (double)bench->size / 1e6 / seconds);
    fflush(stdout);
}

/* ---- Writing ------------------------------------------------------------------------------------------------------------- */

static bool next(void *context, uint64_t *chunk)
{
    struct bench *bench = context;
    *chunk = bench->handed++;
    return *chunk < wal_snapshot_chunks_count(bench->size);
}

static void fill(void *context, uint64_t chunk, void *bytes, size_t size_bytes)
{
    const struct bench *bench = context;
    memcpy(bytes, bench->pages + chunk * WAL_SNAPSHOT_CHUNK_SIZE, size_bytes);
}

static void snapshot_write(struct bench *bench, uint8_t *buffer)
{
    const struct wal_snapshot_writer_options options = {
        .place = bench->place,
        .data_size_max = bench->size,
        .bytes = buffer,
    };
    struct wal_snapshot_writer *writer = NULL;
    die_unless(wal_snapshot_writer_init(bench->io, &options, &writer) == 0, "making a writer");
    const struct wal_snapshot_header header = {
        .index = 1,
        .next_lsn = 1,
        .segment_sequence = 1,
        .segment_offset = 12288,
        .data_size = bench->size,
    };
    const struct wal_snapshot_source source = { .context = bench, .next = next, .fill = fill };
    uint64_t began_ns = io_now_ns(bench->io);
    wal_snapshot_begin(writer, &header, NULL, 0, &source);
    while (wal_snapshot_state_of(writer).status == WAL_SNAPSHOT_RUNNING) {
        wal_snapshot_tend(writer, io_now_ns(bench->io));
        if (wal_snapshot_state_of(writer).status == WAL_SNAPSHOT_RUNNING)
            die_unless(io_run(bench->io, wal_snapshot_due_ns(writer)) == 0, "running the ring");
    }
    die_unless(wal_snapshot_state_of(writer).status == WAL_SNAPSHOT_DONE, "writing a snapshot");
    say(bench, "write, no rate", began_ns);
    wal_snapshot_writer_free(writer);
}

/* ---- Reading ------------------------------------------------------------------------------------------------------------- */

static void *place(void *context, uint64_t offset, size_t *size_bytes)
{
    (void)size_bytes;
    return ((struct bench *)context)->pages + offset;
}

static void snapshot_read(struct bench *bench, uint32_t reads_max, const char *what)
{
    struct wal_snapshot_reader reader;
    const struct wal_snapshot_sink sink = { .context = bench, .place = place };
    uint64_t began_ns = io_now_ns(bench->io);
    int rc = wal_snapshot_open(&reader, bench->io, &bench->place, 1);
    if (rc == 0)
        rc = wal_snapshot_read(&reader, &sink, reads_max);
    say(bench, what, began_ns);
    if (rc != 0)
        fprintf(stderr, "%s\n", reader.why);
    die_unless(rc == 0, "reading the snapshot");
    wal_snapshot_close(&reader);
}

static struct io_request requests[READS_MAX];
static uint32_t in_flight;

static void read_done(struct io_request *request, const struct io_completion *completion)
{
    die_unless(completion->result > 0, "a raw read");
    request->done = NULL;
    in_flight--;
}

static void raw_read(struct bench *bench, const char *path)
{
    int file = io_open(bench->io, path, IO_OPEN_READ | IO_OPEN_DIRECT);
    die_unless(file >= 0, "opening the file");
    uint64_t began_ns = io_now_ns(bench->io);
    for (uint64_t asked = 0; asked < bench->size || in_flight > 0;) {
        for (int i = 0; i < READS_MAX && asked < bench->size; i++) {
            if (requests[i].done != NULL)
                continue;
            requests[i] = (struct io_request){ .done = read_done };
            io_read(bench->io, &requests[i], file, bench->pages + asked, WAL_SNAPSHOT_READ_SIZE,
                    WAL_BLOCK_SIZE + asked);
            in_flight++;
            asked += WAL_SNAPSHOT_READ_SIZE;
        }
        die_unless(io_run(bench->io, NEVER_NS) == 0, "running the ring");
    }
    say(bench, "read, raw", began_ns);
    io_close(bench->io, file);
}

/* ---- All of it ----------------------------------------------------------------------------------------------------------- */

static void bench_open(struct bench *bench, const char *directory, uint8_t *buffer)
{
    const struct io_options options = { .ring_entries = 64, .fixed_buffers_count = 1 };
    const struct iovec registered = { .iov_base = buffer, .iov_len = WAL_SNAPSHOT_BUFFER_SIZE };
    const char *why = NULL;
    die_unless(io_create(&options, &bench->io, &why) == 0 && io_adopt(bench->io) == 0, "making a ring");
    die_unless(io_buffers_register(bench->io, &registered, 1) == 0, "registering a buffer");
    die_unless(io_make_directory(bench->io, directory) == 0, "making the directory");
    bench->pages = aligned_alloc(2 * MIB, bench->size);
    die_unless(bench->pages != NULL, "allocating the pages");
    for (uint64_t at = 0; at < bench->size; at += sizeof(uint64_t)) {
        uint64_t word = at * UINT64_C(0x9e3779b97f4a7c15);
        memcpy(bench->pages + at, &word, sizeof(word));
    }
}

int main(int count, char **arguments)
{
    unsigned long mebibytes = count == 3 ? strtoul(arguments[2], NULL, 10) : 2048;
    if (count < 2 || count > 3 || mebibytes < 2 || mebibytes > 1u << 20) {
        fprintf(stderr,
                "innkeep-snapshot-bench DIRECTORY [MIB]: DIRECTORY is made, MIB is an even number from 2 on.\n");
        return 2;
    }
    struct bench bench = { .place = { .directory = arguments[1], .shards_count = 1 }, .size = mebibytes / 2 * 2 * MIB };
    uint8_t *buffer = aligned_alloc(WAL_BLOCK_SIZE, WAL_SNAPSHOT_BUFFER_SIZE);
    die_unless(buffer != NULL, "allocating a buffer");
    bench_open(&bench, arguments[1], buffer);
    snapshot_write(&bench, buffer);
    char path[512];
    snprintf(path, sizeof(path), "%s/%016x.snapshot", arguments[1], 1);
    for (int round = 0; round < ROUNDS; round++) {
        raw_read(&bench, path);
        snapshot_read(&bench, READS_MAX, "load, 8 reads in flight");
        snapshot_read(&bench, 0, "load, a read at a time");
    }
    uint64_t began_ns = io_now_ns(bench.io);
    die_unless(io_unlink(bench.io, path) == 0, "unlinking the snapshot");
    say(&bench, "unlink (the writer does not wait)", began_ns);
    snprintf(path, sizeof(path), "%s/%s", arguments[1], WAL_MANIFEST_NAME);
    (void)unlink(path);
    (void)rmdir(arguments[1]);
    io_destroy(bench.io);
    free(bench.pages);
    free(buffer);
    return 0;
}
