/* A shard's log in a world of its own, for the tests: a fresh data directory, tiny segments, and short words for what tests do. It
 * stands on whatever io.h implementation the test links. */
#ifndef TESTS_WAL_WORLD_H
#define TESTS_WAL_WORLD_H

#include "wal/directory.h"
#include "wal/log.h"
#include "wal/recovery.h"

#define WORLD_SEGMENT_SIZE (64 * KIB)
#define WORLD_FRAMES_MAX 4096

/* A frame as it was handed out as durable. */
struct world_frame {
    uint64_t index;
    uint64_t first_lsn;
    uint64_t time_ns;
    uint64_t durable_index;
    uint64_t segment_sequence;
    uint64_t offset;
    uint32_t size;
    uint32_t records;
    struct hash128 hash;
};

struct world {
    char path[WAL_PATH_SIZE]; /* the data directory */
    char shard_path[WAL_PATH_SIZE];
    struct io *io;
    struct wal_directory directory;
    struct wal_options options;
    struct wal_source source;
    struct wal *wal;
    uint64_t time_ns;
    struct world_frame frames[WORLD_FRAMES_MAX]; /* handed out, in order */
    size_t frames_count;
};

/* A world of one shard whose data directory will be `path`; nothing is made yet. */
void world_init(struct world *world, const char *path);

/* Opens the data directory (making it the first time), recovers, and opens the log behind what was recovered. The log must be CLEAN, or
 * TORN_TAIL, which is discarded. */
void world_start(struct world *world);
/* Closes log, directory and io. What was not written is lost, as in a crash. */
void world_stop(struct world *world);
/* The log's report; changes nothing. Works whether the world is started or not. */
struct wal_report world_read(struct world *world);

/* Appends a record of `size` bytes whose body says its LSN; returns the LSN. Runs the log until there is room. */
uint64_t world_append(struct world *world, uint16_t size);
/* Seals the open frame as soon as the log allows. */
void world_seal(struct world *world);
/* Runs until every sealed frame was handed out. */
void world_drain(struct world *world);
/* world_append, world_seal, world_drain. */
uint64_t world_commit(struct world *world, uint16_t size);
/* A frame without records, drained. */
void world_noop(struct world *world);
/* One turn of the loop: tends, runs the io and hands out what is durable. */
void world_turn(struct world *world);

/* Files of the shard. */
void world_segment_path(const struct world *world, uint64_t sequence, char path[WAL_PATH_SIZE]);

#endif
