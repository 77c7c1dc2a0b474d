/* The data directory: DIR/meta says what it is, DIR/lock keeps a second server out, DIR/shard-NNN/ holds a shard's log.
 *
 * Making one: DIR/creating, the shard directories, then meta by tmp + fsync + rename + directory fsync, then creating goes. So a
 * directory without meta but with `creating` was interrupted before anything could be acknowledged, and is made afresh; one with
 * other files and no meta is somebody else's and is refused. */
#ifndef WAL_DIRECTORY_H
#define WAL_DIRECTORY_H

#include "wal/format.h"
#include "wal/io.h"

#define WAL_SHARDS_MAX 64
#define WAL_PATH_SIZE 512

struct wal_directory {
    char path[WAL_PATH_SIZE];
    struct wal_directory_header header;
    int lock_file; /* -1: opened without the lock, for reading */
    bool created;  /* by this call: there is no log yet */
    bool cutting;  /* a cut of its log was begun and not finished: no server starts on it */
};

/* DIR/cutting: what a cut is about to do (innkeep-wal cut). While it is there, the log is between two states. */
#define WAL_NAME_CUTTING "cutting"

/* Opens a data directory for a server, making it if it is missing or empty, and takes its lock.
 * shards: 0 for what is there (or shards_default for a new one); otherwise it must be what is there.
 * 0, or a negative value with a whole sentence in why[] that says what is wrong and what to do: unwritable, foreign, newer, damaged,
 * of another shard count, locked by another process, without O_DIRECT. */
MUST_USE int wal_directory_open(struct io *io, const char *path, uint32_t shards, uint32_t shards_default,
                                uint64_t segment_size, struct wal_directory *directory, char *why, size_t why_size);

/* Opens for reading only: takes no lock, writes nothing, works on a copy and on a live directory. */
MUST_USE int wal_directory_inspect(struct io *io, const char *path, struct wal_directory *directory, char *why,
                                   size_t why_size);

/* Takes the lock of a directory that was opened for reading, for a tool that is to change it. 0, or a negative value with a sentence in
 * why[]: -EWOULDBLOCK while a server, or another such tool, has it. */
MUST_USE int wal_directory_lock(struct io *io, struct wal_directory *directory, char *why, size_t why_size);

void wal_directory_close(struct io *io, struct wal_directory *directory);

/* "DIR/shard-NNN" into path[WAL_PATH_SIZE]; returns path. */
char *wal_shard_path(const struct wal_directory *directory, uint32_t shard, char path[WAL_PATH_SIZE]);

#endif
