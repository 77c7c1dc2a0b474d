/* A shard's snapshots in a world of their own, for the tests: a directory, a writer on a ring, pages whose bytes say where they belong,
 * handed out in an order that is not theirs. Stands on whatever io.h implementation the test links. */
#ifndef TESTS_WAL_SNAPSHOTS_H
#define TESTS_WAL_SNAPSHOTS_H

#include "tests/wal/scratch.h"
#include "wal/snapshot_reader.h"
#include "wal/snapshot_writer.h"

#define SNAPSHOTS_TURNS_MAX 1000000
#define SNAPSHOTS_DATA_MAX (512 * MIB)

struct snapshots {
    char directory[SCRATCH_PATH_SIZE];
    struct wal_snapshot_place place;
    struct io *io;
    uint8_t *buffer;
    struct wal_snapshot_writer *writer;
    /* The source. */
    uint64_t index;
    uint64_t data_size;
    uint64_t chunks_count;
    uint64_t stride;
    uint64_t handed;
    bool closed; /* must not be called any more */
    /* The sink. */
    uint8_t *memory;
    uint64_t run_size; /* place gives runs of at most this; 0: what is wanted */
    uint64_t loaded;
    int stop_with; /* what `loaded` returns from stop_at on */
    uint64_t stop_at;
};

/* A place in `directory`, which exists; nothing is opened. */
void snapshots_init(struct snapshots *snapshots, const char *directory);
/* Makes an io and a writer that relies on the snapshots up to trusted_index. */
void snapshots_open(struct snapshots *snapshots, uint64_t trusted_index);
/* Frees both. */
void snapshots_close(struct snapshots *snapshots);

/* Where the log was at frame `index`, as these tests have it. */
struct wal_snapshot_header snapshots_header(uint64_t index, uint64_t data_size);
void snapshots_begin(struct snapshots *snapshots, uint64_t index, uint64_t data_size);
/* A turn of the loop. */
void snapshots_turn(struct snapshots *snapshots);
/* Turns until it is over and older ones are cleared up. */
struct wal_snapshot_state snapshots_run(struct snapshots *snapshots);
/* Begins and runs one that must succeed. */
void snapshots_make(struct snapshots *snapshots, uint64_t index, uint64_t data_size);

/* Opens and reads a snapshot, and compares every page. 0 or the reader's error; why[] as it said. Works with the writer open or not. */
extern char snapshots_why[WAL_SNAPSHOT_WHY_SIZE];
int snapshots_read(struct snapshots *snapshots, uint64_t index, uint32_t reads_max);

char *snapshots_path(const struct snapshots *snapshots, uint64_t index, char path[SCRATCH_PATH_SIZE]);
char *snapshots_manifest_path(const struct snapshots *snapshots, char path[SCRATCH_PATH_SIZE]);

#endif
