/* Segment files: their names, and making one at once. What is blocking here happens at start and at creation; while serving, the
 * pool (segment_pool.h) does the same in small steps through the ring.
 *
 *   DIR/%016x.wal    in use or retired; the number is the segment's sequence
 *   DIR/%016x.ready  zero-filled to full size and durable, waiting to be used
 *   DIR/%016x.tmp    being filled; deleted at the next start */
#ifndef WAL_SEGMENT_FILE_H
#define WAL_SEGMENT_FILE_H

#include "wal/format.h"
#include "wal/io.h"

#define WAL_FILE_PATH_SIZE 512
#define WAL_FILL_SIZE (256 * KIB) /* zeros written at a time */

#define WAL_SUFFIX_SEGMENT ".wal"
#define WAL_SUFFIX_READY ".ready"
#define WAL_SUFFIX_FILLING ".tmp"

/* "DIRECTORY/<sequence as 16 hex digits><suffix>". 0 or -ENAMETOOLONG. */
MUST_USE int wal_file_path(char path[WAL_FILE_PATH_SIZE], const char *directory, uint64_t sequence, const char *suffix);

/* True, and *sequence set, if name is exactly what wal_file_path gives with this suffix. */
MUST_USE bool wal_file_parse(const char *name, const char *suffix, uint64_t *sequence);

/* Renames the file of `sequence` within its directory and makes that durable. 0 or a negated errno. */
MUST_USE int wal_file_rename(struct io *io, const char *directory, uint64_t sequence, const char *from_suffix,
                             const char *to_suffix);

/* Creates the file under the filling suffix, opened DIRECT for writing, replacing a left-over one. A file number, or a negated errno. */
MUST_USE int wal_file_create_filling(struct io *io, const char *directory, uint64_t sequence);

/* Gives up a file that is being filled: what space it took is free again. */
void wal_file_drop_filling(struct io *io, const char *directory, uint64_t sequence);

/* Makes a zero-filled segment durable under WAL_SUFFIX_FILLING; returns it open, DIRECT for writing, or a negated errno.
 * `zeros` are WAL_FILL_SIZE aligned zero bytes. */
MUST_USE int wal_file_make_filled(struct io *io, const char *directory, uint64_t sequence, uint64_t segment_size,
                                  const void *zeros);

/* Lays both copies of a sealed header into `blocks` (WAL_SEGMENT_DATA_OFFSET bytes), zero behind each. */
void wal_segment_header_lay(uint8_t *blocks, const struct wal_segment_header *header);

/* Writes both copies durably from `blocks`, aligned scratch of WAL_SEGMENT_DATA_OFFSET bytes. 0 or a negated errno. */
MUST_USE int wal_segment_header_write(struct io *io, int file, uint8_t *blocks,
                                      const struct wal_segment_header *header);

/* Makes segment 1 of a new shard, header included, durable under its final name. 0 or a negated errno. */
MUST_USE int wal_segment_make_first(struct io *io, const char *directory, const struct wal_segment_header *header);

#endif
