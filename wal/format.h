/* The log's bytes on disk. FORMAT.md explains them and the reader's algorithm; this file is the same truth for the compiler.
 *
 * A segment is a file of fixed size: two copies of its header in blocks 0 and 1, then frames, each a whole number of blocks. A
 * frame is what one group commit wrote: a header, records, zero padding. Every checksum is seeded with the segment's salt, so
 * the old frames of a recycled file never verify. */
#ifndef WAL_FORMAT_H
#define WAL_FORMAT_H

#include "engine/base/contract.h"
#include "engine/base/hash.h"
#include "engine/base/record.h"
#include "engine/base/units.h"

#include <stdbool.h>

#define WAL_BLOCK_SIZE 4096
#define WAL_FORMAT_VERSION 1
#define WAL_FRAME_VERSION_FLAGS 2 /* of a frame that carries a flag; one without is of version 1 */

#define WAL_SEGMENT_MAGIC UINT64_C(0x4745535045454b49)   /* "IKEEPSEG" in memory order */
#define WAL_FRAME_MAGIC UINT32_C(0x4d524649)             /* "IFRM" */
#define WAL_DIRECTORY_MAGIC UINT64_C(0x5249445045454b49) /* "IKEEPDIR" */

#define WAL_SEGMENT_SIZE_DEFAULT (64 * MIB)
#define WAL_SEGMENT_SIZE_MIN (64 * KIB)
#define WAL_SEGMENT_HEADER_BLOCKS 2
#define WAL_SEGMENT_DATA_OFFSET 8192
#define WAL_FRAME_SIZE_MAX (1 * MIB) /* padded */

enum wal_frame_type {
    WAL_FRAME_DATA = 1,
    WAL_FRAME_NOOP = 2,   /* no records: moves log time, makes the last acknowledgement's durability visible */
    WAL_FRAME_CONFIG = 3, /* starts with a CONFIG record */
    WAL_FRAME_SEAL = 4,   /* no records: the segment ends here, the log goes on in the next one */
};

enum wal_frame_flag {
    WAL_FRAME_EPOCH = 1u << 0, /* first_lsn jumps: to a multiple of WAL_EPOCH_LSNS, past everything ever granted */
};

/* How many LSNs an epoch has at most: a log that was cut, restored or resharded goes on at the next multiple, so that no LSN, and with
 * it no token, is ever given out a second time. */
#define WAL_EPOCH_LSNS (UINT64_C(1) << 40)

/* Where the epoch behind `lsn` begins. Requires that there is one more (lsn < 2^64 - 2^41; at 10^6 records a second that is in half a
 * million years, or after 2^24 cuts). */
static inline uint64_t wal_epoch_behind(uint64_t lsn)
{
    REQUIRE(lsn < UINT64_MAX - 2 * WAL_EPOCH_LSNS);
    return (lsn / WAL_EPOCH_LSNS + 1) * WAL_EPOCH_LSNS;
}

/* Valid if and only if FORMAT.md, "Segment header", says so. Written twice. */
struct wal_segment_header {
    uint64_t magic;
    uint32_t version;
    uint32_t header_size; /* sizeof(struct wal_segment_header) */
    uint8_t uuid[16];     /* of the data directory */
    uint32_t shard;
    uint32_t shards_count;
    uint64_t segment_sequence; /* from 1; never reused */
    uint64_t segment_size;     /* bytes of the whole file */
    uint64_t first_frame_index;
    uint64_t first_lsn;
    uint64_t term;
    uint64_t time_ns;
    struct hash128 previous_hash; /* frame hash of the frame before the first; zero for the very first */
    uint8_t reserved[8];
    struct hash128 check; /* XXH3-128, seed 0, of everything before it */
};

struct wal_frame_header {
    uint32_t magic;
    uint8_t version;       /* 1, or WAL_FRAME_VERSION_FLAGS with flags */
    uint8_t type;          /* enum wal_frame_type */
    uint16_t flags;        /* enum wal_frame_flag */
    uint32_t frame_size;   /* bytes, header and padding included; a multiple of WAL_BLOCK_SIZE */
    uint32_t payload_size; /* bytes of records */
    uint32_t records_count;
    uint32_t engine_level;
    uint64_t segment_sequence;
    uint32_t block_number; /* where in the segment this frame begins */
    uint32_t shard;
    uint64_t index;     /* from 1, one more with each frame of the shard */
    uint64_t term;      /* 0 standalone */
    uint64_t first_lsn; /* of its first record; of the next record to come where it has none */
    uint64_t time_ns;
    uint64_t durable_index; /* the largest d such that every frame <= d was complete when this one was submitted */
    uint64_t commit_index;  /* standalone: the same as durable_index */
    struct hash128 previous_hash; /* frame hash of frame index - 1; zero for index 1 */
    uint64_t header_check;        /* XXH3-64, seed salt, of bytes 0..103 */
    struct hash128 hash;          /* XXH3-128, seed salt, of bytes 0..111 and the payload */
};

/* DIR/meta: what the data directory is. Its presence under that name means that the directory was made completely. */
struct wal_directory_header {
    uint64_t magic;
    uint32_t version;
    uint32_t shards_count;
    uint8_t uuid[16];
    uint64_t segment_size;
    uint64_t created_ns;
    struct hash128 check; /* XXH3-128, seed 0, of everything before it */
};

#define WAL_FIELD(type, field, offset) static_assert(offsetof(struct type, field) == (offset), "FORMAT.md: " #field)
static_assert(sizeof(struct wal_segment_header) == 128, "FORMAT.md: segment header");
WAL_FIELD(wal_segment_header, uuid, 16);
WAL_FIELD(wal_segment_header, shard, 32);
WAL_FIELD(wal_segment_header, segment_sequence, 40);
WAL_FIELD(wal_segment_header, first_frame_index, 56);
WAL_FIELD(wal_segment_header, previous_hash, 88);
WAL_FIELD(wal_segment_header, check, 112);
static_assert(sizeof(struct wal_frame_header) == 128, "FORMAT.md: frame header");
WAL_FIELD(wal_frame_header, frame_size, 8);
WAL_FIELD(wal_frame_header, records_count, 16);
WAL_FIELD(wal_frame_header, segment_sequence, 24);
WAL_FIELD(wal_frame_header, block_number, 32);
WAL_FIELD(wal_frame_header, index, 40);
WAL_FIELD(wal_frame_header, first_lsn, 56);
WAL_FIELD(wal_frame_header, durable_index, 72);
WAL_FIELD(wal_frame_header, commit_index, 80);
WAL_FIELD(wal_frame_header, previous_hash, 88);
WAL_FIELD(wal_frame_header, header_check, 104);
WAL_FIELD(wal_frame_header, hash, 112);
static_assert(sizeof(struct wal_directory_header) == 64, "FORMAT.md: directory header");
static_assert(WAL_SEGMENT_DATA_OFFSET == WAL_SEGMENT_HEADER_BLOCKS * WAL_BLOCK_SIZE,
              "frames begin behind the header's copies");
static_assert(WAL_FRAME_SIZE_MAX % WAL_BLOCK_SIZE == 0, "frames are whole blocks");
static_assert(sizeof(struct wal_frame_header) + RECORD_SIZE_MAX <= WAL_FRAME_SIZE_MAX, "a record fits a frame");

/* What seeds every checksum of a segment's frames: XXH3-64 (seed 0) of uuid, shard as u64, sequence as u64. */
uint64_t wal_salt(const uint8_t uuid[16], uint32_t shard, uint64_t segment_sequence);

/* Fills in a header's checks. For a frame, the payload lies right behind the header. */
void wal_segment_header_seal(struct wal_segment_header *header);
void wal_frame_seal(struct wal_frame_header *frame, uint64_t salt);
void wal_directory_header_seal(struct wal_directory_header *header);

/* NULL if valid, else what is wrong with it (static storage). The frame's header is checked before a byte of its payload is
 * read; available_bytes count from the header on. `expected` fields are checked by the reader, not here. A frame that passes
 * holds records_count records that tile its payload exactly, so that wal_record_first and wal_record_next stay inside. */
MUST_USE const char *wal_segment_header_check(const struct wal_segment_header *header);
MUST_USE const char *wal_frame_check(const struct wal_frame_header *frame, uint64_t salt, size_t available_bytes);
MUST_USE const char *wal_directory_header_check(const struct wal_directory_header *header);

/* NULL if the first 104 bytes are what the writer wrote, whatever became of the rest: magic and header_check only. That is enough
 * to believe the header's durable_index, and not enough to read the frame. */
MUST_USE const char *wal_frame_header_check(const struct wal_frame_header *frame, uint64_t salt);

/* True for a header or frame that is whole and of a version above this one's: not damage, and nothing this reader may judge. */
bool wal_segment_header_is_newer(const struct wal_segment_header *header);
bool wal_frame_is_newer(const struct wal_frame_header *frame, uint64_t salt);

/* The records of a frame that passes wal_frame_check: wal_record_first, then wal_record_next until NULL. */
const struct record_header *wal_record_first(const struct wal_frame_header *frame);
const struct record_header *wal_record_next(const struct wal_frame_header *frame, const struct record_header *record);

/* Bytes that a frame with this payload takes on disk. */
static inline size_t wal_frame_padded_size(size_t payload_size)
{
    return align_up(sizeof(struct wal_frame_header) + payload_size, WAL_BLOCK_SIZE);
}

#endif
