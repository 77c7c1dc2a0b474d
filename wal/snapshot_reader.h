/* Finding, judging and loading the snapshots of a shard. Changes nothing on the disk.
 *
 * Recovery: wal_snapshots_list, then the newest that opens and reads; FORMAT.md, "Reading a snapshot", says why an older one with more log
 * is as good. Each function that finds something wrong says so in a whole sentence. */
#ifndef WAL_SNAPSHOT_READER_H
#define WAL_SNAPSHOT_READER_H

#include "wal/io.h"
#include "wal/snapshot_format.h"

#include <errno.h>

#define WAL_SNAPSHOT_WHY_SIZE 1024

/* What is wrong, where it is not the disk that fails. */
#define WAL_SNAPSHOT_DAMAGED (-EBADMSG)  /* no snapshot any more: rely on an older one, or on the log */
#define WAL_SNAPSHOT_FOREIGN (-EXDEV)    /* whole, but of another data directory, shard or shard count; or misnamed */
#define WAL_SNAPSHOT_NEWER (-EOPNOTSUPP) /* whole, but written by a newer Innkeep */

/* The indexes of a shard's snapshots, by their files' names, newest first. Starts all zero; listing again replaces them. */
struct wal_snapshots {
    uint64_t *indexes;
    size_t count;
    size_t capacity;
};
MUST_USE int wal_snapshots_list(struct io *io, const char *directory, struct wal_snapshots *snapshots);
void wal_snapshots_free(struct wal_snapshots *snapshots);

/* Reads the manifest. 0; -ENOENT: there is none (no snapshot was ever completed); WAL_SNAPSHOT_DAMAGED, _FOREIGN, _NEWER or a negated
 * errno of the disk: then why[] has a whole sentence. */
MUST_USE int wal_manifest_read(struct io *io, const struct wal_snapshot_place *place, struct wal_manifest *manifest,
                               char why[WAL_SNAPSHOT_WHY_SIZE]);

/* An open snapshot. Its fields are the reader's own but for block and why. */
struct wal_snapshot_reader {
    struct io *io;
    int file;                         /* -1: none */
    struct wal_snapshot_block *block; /* valid while open: header and head */
    struct hash128 *table;            /* of the chunks' hashes */
    uint64_t salt;
    char path[512];
    char why[WAL_SNAPSHOT_WHY_SIZE]; /* of the last failure: a whole sentence, with the file's path */
};

/* Opens the snapshot of that index and verifies everything about it but its pages: block 0, whose it is, the file's size, the chunk
 * table. 0; -ENOENT, WAL_SNAPSHOT_DAMAGED, _FOREIGN, _NEWER, -ENOMEM, or a negated errno of the disk, with reader->why set.
 * wal_snapshot_close may be called either way. */
MUST_USE int wal_snapshot_open(struct wal_snapshot_reader *reader, struct io *io,
                               const struct wal_snapshot_place *place, uint64_t index);
void wal_snapshot_close(struct wal_snapshot_reader *reader);

/* Where the pages go. */
struct wal_snapshot_sink {
    void *context;
    /* Where the bytes from `offset` of the pages on belong: memory for *size_bytes of them, which is set to at most what it was and at
     * least WAL_BLOCK_SIZE, a multiple of it. Aligned to a block. Asked in order, some MiB ahead of what is verified. NULL: there is
     * no place for so many pages (then the read ends with -ENOSPC). */
    void *(*place)(void *context, uint64_t offset, size_t *size_bytes);
    /* All bytes below `upto` are in their places and verified; called in order, about once a MiB. Non-zero stops the read, which returns it. May be
     * NULL. */
    int (*loaded)(void *context, uint64_t upto);
};

/* Reads and verifies all pages. reads_max: how many reads to keep in flight through the io's ring, at most WAL_SNAPSHOT_READS_MAX, by
 * running it: the io is adopted, and nothing else uses it meanwhile; 0: read at once, for an io without a ring. 0, what `loaded`
 * returned, WAL_SNAPSHOT_DAMAGED (why[] names the chunk and where it lies), or a negated errno; except on 0, what is in the
 * places is worthless. */
#define WAL_SNAPSHOT_READS_MAX 16
#define WAL_SNAPSHOT_READ_SIZE (1 * MIB)
MUST_USE int wal_snapshot_read(struct wal_snapshot_reader *reader, const struct wal_snapshot_sink *sink,
                               uint32_t reads_max);

#endif
