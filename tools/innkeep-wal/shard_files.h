/* The files of a shard's directory, by what their names say they are (FORMAT.md, "The data directory"). */
#ifndef TOOLS_INNKEEP_WAL_SHARD_FILES_H
#define TOOLS_INNKEEP_WAL_SHARD_FILES_H

#include "wal/io.h"

enum shard_file_kind {
    SHARD_FILE_SEGMENT,
    SHARD_FILE_READY,   /* a segment made ahead */
    SHARD_FILE_FILLING, /* one being made */
    SHARD_FILE_TORN,    /* a torn tail that was set aside */
    SHARD_FILE_SNAPSHOT,
    SHARD_FILE_SNAPSHOT_TMP, /* one being written, or left over */
    SHARD_FILE_MANIFEST,     /* and one being written */
    SHARD_FILE_OTHER,
};

#define SHARD_FILE_NAME_SIZE 256

struct shard_file {
    enum shard_file_kind kind;
    uint64_t sequence; /* of segments, and of the segment that a torn tail is from; of snapshots: their frame's index */
    uint64_t size_bytes;
    char name[SHARD_FILE_NAME_SIZE];
};

/* Sorted by kind, then sequence, then name. Starts all zero. */
struct shard_files {
    struct shard_file *files;
    size_t count;
    size_t capacity;
};

/* Lists a directory; a file that goes while this looks is left out. 0 or a negated errno. Memory: some 300 bytes a file. */
MUST_USE int shard_files_list(struct io *io, const char *directory, struct shard_files *files);
void shard_files_free(struct shard_files *files);

#endif
