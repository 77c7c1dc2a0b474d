/* A snapshot's bytes on disk, and the manifest's. FORMAT.md, "Snapshots" and "Manifest", explains them; this file is the same truth
 * for the compiler.
 *
 *   SHARD/%016x.snapshot      the image of a shard's pages right behind a frame; the number is that frame's index
 *   SHARD/%016x.snapshot.tmp  one that is being written; deleted at the next start
 *   SHARD/manifest            which snapshots ought to be there, and which segments they need
 *
 * A snapshot is block 0 (header, head), the pages in chunks, each at its fixed place, and a table with a hash of each chunk. Block 0
 * holds the table's hash, the table holds the chunks', and one check covers block 0: so every bit of the file is covered. The head is
 * the engine's and opaque here: what is not in pages. */
#ifndef WAL_SNAPSHOT_FORMAT_H
#define WAL_SNAPSHOT_FORMAT_H

#include "wal/format.h"

#define WAL_SNAPSHOT_MAGIC UINT64_C(0x504e535045454b49) /* "IKEEPSNP" in memory order */
#define WAL_MANIFEST_MAGIC UINT64_C(0x4e414d5045454b49) /* "IKEEPMAN" */
#define WAL_SNAPSHOT_VERSION 1
#define WAL_MANIFEST_VERSION 1

#define WAL_SUFFIX_SNAPSHOT ".snapshot"
#define WAL_SUFFIX_SNAPSHOT_TMP ".snapshot.tmp"
#define WAL_MANIFEST_NAME "manifest"
#define WAL_MANIFEST_TMP_NAME "manifest.tmp"

#define WAL_SNAPSHOT_CHUNK_SIZE (64 * KIB)
#define WAL_SNAPSHOT_HEAD_SIZE_MAX 2048
#define WAL_SNAPSHOT_DATA_SIZE_MAX (UINT64_C(1) << 44)
#define WAL_SNAPSHOTS_KEPT 2

/* Whose snapshots: a shard of a data directory. */
struct wal_snapshot_place {
    const char *directory; /* the shard's own: DIR/shard-NNN; borrowed */
    uint8_t uuid[16];
    uint32_t shard;
    uint32_t shards_count;
};

struct wal_snapshot_header {
    uint64_t magic;
    uint32_t version;
    uint32_t header_size; /* sizeof(struct wal_snapshot_header) */
    uint8_t uuid[16];     /* of the data directory */
    uint32_t shard;
    uint32_t shards_count;
    uint64_t index;               /* of the last frame contained */
    uint64_t next_lsn;            /* of the first record behind it */
    uint64_t time_ns;             /* log time of that frame */
    struct hash128 previous_hash; /* frame hash of that frame: the next frame's previous hash */
    uint64_t segment_sequence;    /* the segment that holds that frame */
    uint64_t segment_offset;      /* where in it the next frame would begin */
    uint32_t engine_level;
    uint32_t head_size;  /* bytes of the head */
    uint64_t data_size;  /* bytes of pages; a multiple of WAL_BLOCK_SIZE */
    uint32_t chunk_size; /* WAL_SNAPSHOT_CHUNK_SIZE */
    uint32_t flags;      /* 0 */
    uint64_t created_wall_ns;
    struct hash128 table_hash; /* XXH3-128, seed salt, of the chunk table without its padding */
    uint8_t reserved[112];
};

/* Block 0 of the file. */
struct wal_snapshot_block {
    struct wal_snapshot_header header;
    uint8_t head[WAL_SNAPSHOT_HEAD_SIZE_MAX]; /* head_size bytes of it, zeros behind */
    uint8_t padding[1776];
    struct hash128 check; /* XXH3-128, seed 0, of everything before it */
};

struct wal_manifest_entry {
    uint64_t index;
    uint64_t next_lsn;
    uint64_t segment_sequence;
    uint64_t segment_offset;
    uint64_t file_size;
    struct hash128 block_check; /* wal_snapshot_block.check: which file of that name is meant */
};

/* The whole file: one block. */
struct wal_manifest {
    uint64_t magic;
    uint32_t version;
    uint32_t count; /* of entries: 0..WAL_SNAPSHOTS_KEPT; those behind are zero */
    uint8_t uuid[16];
    uint32_t shard;
    uint32_t shards_count;
    uint64_t oldest_segment; /* no segment with a smaller number is needed any more; they may be there or not */
    struct wal_manifest_entry entries[WAL_SNAPSHOTS_KEPT]; /* newest first */
    uint8_t reserved[3920];
    struct hash128 check; /* XXH3-128, seed 0, of everything before it */
};

static_assert(sizeof(struct wal_snapshot_header) == 256, "FORMAT.md: snapshot header");
WAL_FIELD(wal_snapshot_header, magic, 0);
WAL_FIELD(wal_snapshot_header, version, 8);
WAL_FIELD(wal_snapshot_header, header_size, 12);
WAL_FIELD(wal_snapshot_header, uuid, 16);
WAL_FIELD(wal_snapshot_header, shard, 32);
WAL_FIELD(wal_snapshot_header, shards_count, 36);
WAL_FIELD(wal_snapshot_header, index, 40);
WAL_FIELD(wal_snapshot_header, next_lsn, 48);
WAL_FIELD(wal_snapshot_header, time_ns, 56);
WAL_FIELD(wal_snapshot_header, previous_hash, 64);
WAL_FIELD(wal_snapshot_header, segment_sequence, 80);
WAL_FIELD(wal_snapshot_header, segment_offset, 88);
WAL_FIELD(wal_snapshot_header, engine_level, 96);
WAL_FIELD(wal_snapshot_header, head_size, 100);
WAL_FIELD(wal_snapshot_header, data_size, 104);
WAL_FIELD(wal_snapshot_header, chunk_size, 112);
WAL_FIELD(wal_snapshot_header, flags, 116);
WAL_FIELD(wal_snapshot_header, created_wall_ns, 120);
WAL_FIELD(wal_snapshot_header, table_hash, 128);
WAL_FIELD(wal_snapshot_header, reserved, 144);
static_assert(sizeof(struct wal_snapshot_block) == WAL_BLOCK_SIZE, "FORMAT.md: block 0");
WAL_FIELD(wal_snapshot_block, head, 256);
WAL_FIELD(wal_snapshot_block, padding, 2304);
WAL_FIELD(wal_snapshot_block, check, 4080);
static_assert(sizeof(struct wal_manifest_entry) == 56, "FORMAT.md: manifest entry");
WAL_FIELD(wal_manifest_entry, index, 0);
WAL_FIELD(wal_manifest_entry, next_lsn, 8);
WAL_FIELD(wal_manifest_entry, segment_sequence, 16);
WAL_FIELD(wal_manifest_entry, segment_offset, 24);
WAL_FIELD(wal_manifest_entry, file_size, 32);
WAL_FIELD(wal_manifest_entry, block_check, 40);
static_assert(sizeof(struct wal_manifest) == WAL_BLOCK_SIZE, "FORMAT.md: manifest");
WAL_FIELD(wal_manifest, version, 8);
WAL_FIELD(wal_manifest, count, 12);
WAL_FIELD(wal_manifest, uuid, 16);
WAL_FIELD(wal_manifest, shard, 32);
WAL_FIELD(wal_manifest, shards_count, 36);
WAL_FIELD(wal_manifest, oldest_segment, 40);
WAL_FIELD(wal_manifest, entries, 48);
WAL_FIELD(wal_manifest, reserved, 160);
WAL_FIELD(wal_manifest, check, 4080);
static_assert(WAL_SNAPSHOT_CHUNK_SIZE % WAL_BLOCK_SIZE == 0, "chunks are whole blocks");

/* Sizes of a file with that many bytes of pages. */
uint64_t wal_snapshot_chunks_count(uint64_t data_size);
uint64_t wal_snapshot_table_offset(uint64_t data_size); /* of the chunk table: right behind the pages */
uint64_t wal_snapshot_table_size(uint64_t data_size);   /* of the chunk table: whole blocks */
uint64_t wal_snapshot_file_size(uint64_t data_size);
/* Bytes of chunk `chunk`: WAL_SNAPSHOT_CHUNK_SIZE but for the last. Requires that there is one. */
uint32_t wal_snapshot_chunk_bytes(uint64_t data_size, uint64_t chunk);

/* What seeds the hashes of one snapshot: XXH3-64 (seed 0) of uuid, shard as u64, index as u64. */
uint64_t wal_snapshot_salt(const uint8_t uuid[16], uint32_t shard, uint64_t index);
/* XXH3-128, seed salt + chunk, of a chunk's bytes: neither another snapshot's chunk nor another chunk of this one verifies. */
struct hash128 wal_snapshot_chunk_hash(uint64_t salt, uint64_t chunk, const void *bytes, size_t size_bytes);

/* Fills in magic, version, sizes that are fixed, and the check; the other fields are the caller's. */
void wal_snapshot_block_seal(struct wal_snapshot_block *block);
void wal_manifest_seal(struct wal_manifest *manifest);

/* NULL if valid, else what is wrong with it (static storage), to go on a sentence "X is damaged: ". Whose it is and whether it has
 * the file's size is the reader's to compare, see snapshot_reader.h. */
MUST_USE const char *wal_snapshot_block_check(const struct wal_snapshot_block *block);
MUST_USE const char *wal_manifest_check(const struct wal_manifest *manifest);

/* True for what is whole and of a version above this one's: not damage, and nothing this reader may judge. */
bool wal_snapshot_block_is_newer(const struct wal_snapshot_block *block);
bool wal_manifest_is_newer(const struct wal_manifest *manifest);

#endif
