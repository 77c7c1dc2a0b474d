/* Sizes, checks and validity of snapshots and manifests. Everything here works on memory; FORMAT.md has the same rules in prose, and
 * each check below is one line of its "valid if and only if" lists. */
#include "wal/snapshot_format.h"

#include <string.h>

#define BLOCK_CHECKED_SIZE offsetof(struct wal_snapshot_block, check)
#define MANIFEST_CHECKED_SIZE offsetof(struct wal_manifest, check)

/* ---- Sizes --------------------------------------------------------------------------------------------------------------- */

uint64_t wal_snapshot_chunks_count(uint64_t data_size)
{
    REQUIRE(data_size <= WAL_SNAPSHOT_DATA_SIZE_MAX);
    return (data_size + WAL_SNAPSHOT_CHUNK_SIZE - 1) / WAL_SNAPSHOT_CHUNK_SIZE;
}

uint64_t wal_snapshot_table_offset(uint64_t data_size)
{
    REQUIRE(data_size % WAL_BLOCK_SIZE == 0);
    return WAL_BLOCK_SIZE + data_size;
}

uint64_t wal_snapshot_table_size(uint64_t data_size)
{
    return align_up(wal_snapshot_chunks_count(data_size) * sizeof(struct hash128), WAL_BLOCK_SIZE);
}

uint64_t wal_snapshot_file_size(uint64_t data_size)
{
    return wal_snapshot_table_offset(data_size) + wal_snapshot_table_size(data_size);
}

uint32_t wal_snapshot_chunk_bytes(uint64_t data_size, uint64_t chunk)
{
    REQUIRE(chunk < wal_snapshot_chunks_count(data_size));
    uint64_t left = data_size - chunk * WAL_SNAPSHOT_CHUNK_SIZE;
    return (uint32_t)(left < WAL_SNAPSHOT_CHUNK_SIZE ? left : WAL_SNAPSHOT_CHUNK_SIZE);
}

/* ---- Hashes -------------------------------------------------------------------------------------------------------------- */

uint64_t wal_snapshot_salt(const uint8_t uuid[16], uint32_t shard, uint64_t index)
{
    return wal_salt(uuid, shard, index);
}

struct hash128 wal_snapshot_chunk_hash(uint64_t salt, uint64_t chunk, const void *bytes, size_t size_bytes)
{
    return hash128(bytes, size_bytes, salt + chunk);
}

void wal_snapshot_block_seal(struct wal_snapshot_block *block)
{
    block->header.magic = WAL_SNAPSHOT_MAGIC;
    block->header.version = WAL_SNAPSHOT_VERSION;
    block->header.header_size = sizeof(block->header);
    block->header.chunk_size = WAL_SNAPSHOT_CHUNK_SIZE;
    block->check = hash128(block, BLOCK_CHECKED_SIZE, 0);
}

void wal_manifest_seal(struct wal_manifest *manifest)
{
    manifest->magic = WAL_MANIFEST_MAGIC;
    manifest->version = WAL_MANIFEST_VERSION;
    manifest->check = hash128(manifest, MANIFEST_CHECKED_SIZE, 0);
}

/* ---- Snapshots ----------------------------------------------------------------------------------------------------------- */

static bool bytes_are_zero(const uint8_t *bytes, size_t size_bytes)
{
    return size_bytes == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size_bytes - 1) == 0);
}

static bool block_is_whole(const struct wal_snapshot_block *block)
{
    return block->header.magic == WAL_SNAPSHOT_MAGIC &&
           hash128_equal(block->check, hash128(block, BLOCK_CHECKED_SIZE, 0));
}

bool wal_snapshot_block_is_newer(const struct wal_snapshot_block *block)
{
    return block_is_whole(block) && block->header.version > WAL_SNAPSHOT_VERSION;
}

static const char *snapshot_sizes_check(const struct wal_snapshot_header *header)
{
    if (header->chunk_size != WAL_SNAPSHOT_CHUNK_SIZE)
        return "its chunk size is none that was ever written";
    if (header->head_size > WAL_SNAPSHOT_HEAD_SIZE_MAX)
        return "its head is larger than a head may be";
    if (header->data_size == 0 || header->data_size % WAL_BLOCK_SIZE != 0 ||
        header->data_size > WAL_SNAPSHOT_DATA_SIZE_MAX)
        return "its number of page bytes is impossible";
    return NULL;
}

/* Frame `index` lies in the segment before segment_offset, and has at least a block. */
static bool position_is_possible(uint64_t segment_sequence, uint64_t segment_offset)
{
    return segment_sequence > 0 && segment_offset % WAL_BLOCK_SIZE == 0 &&
           segment_offset >= WAL_SEGMENT_DATA_OFFSET + WAL_BLOCK_SIZE;
}

static const char *snapshot_position_check(const struct wal_snapshot_header *header)
{
    if (header->shard >= header->shards_count)
        return "its shard is impossible";
    if (header->index == 0 || header->next_lsn == 0)
        return "its frame index or LSN is zero";
    if (!position_is_possible(header->segment_sequence, header->segment_offset))
        return "its place in the log is impossible";
    return NULL;
}

static bool block_rest_is_zero(const struct wal_snapshot_block *block)
{
    const struct wal_snapshot_header *header = &block->header;
    REQUIRE(header->head_size <= WAL_SNAPSHOT_HEAD_SIZE_MAX);
    return header->flags == 0 && bytes_are_zero(header->reserved, sizeof(header->reserved)) &&
           bytes_are_zero(block->head + header->head_size, WAL_SNAPSHOT_HEAD_SIZE_MAX - header->head_size) &&
           bytes_are_zero(block->padding, sizeof(block->padding));
}

const char *wal_snapshot_block_check(const struct wal_snapshot_block *block)
{
    if (block->header.magic != WAL_SNAPSHOT_MAGIC)
        return "it does not begin with a snapshot's mark";
    if (!block_is_whole(block))
        return "the checksum of its first block does not match";
    if (block->header.version > WAL_SNAPSHOT_VERSION)
        return "it was written by a newer Innkeep";
    if (block->header.version != WAL_SNAPSHOT_VERSION || block->header.header_size != sizeof(block->header))
        return "its version or header size is none that was ever written";
    const char *wrong = snapshot_sizes_check(&block->header);
    if (!wrong)
        wrong = snapshot_position_check(&block->header);
    if (!wrong && !block_rest_is_zero(block))
        wrong = "its flags or reserved bytes are not zero";
    return wrong;
}

/* ---- Manifests ----------------------------------------------------------------------------------------------------------- */

static bool manifest_is_whole(const struct wal_manifest *manifest)
{
    return manifest->magic == WAL_MANIFEST_MAGIC &&
           hash128_equal(manifest->check, hash128(manifest, MANIFEST_CHECKED_SIZE, 0));
}

bool wal_manifest_is_newer(const struct wal_manifest *manifest)
{
    return manifest_is_whole(manifest) && manifest->version > WAL_MANIFEST_VERSION;
}

static bool entry_is_possible(const struct wal_manifest_entry *entry)
{
    return entry->index > 0 && entry->next_lsn > 0 &&
           position_is_possible(entry->segment_sequence, entry->segment_offset) &&
           entry->file_size >= wal_snapshot_file_size(WAL_BLOCK_SIZE) && entry->file_size % WAL_BLOCK_SIZE == 0;
}

static bool entries_descend(const struct wal_manifest_entry *newer, const struct wal_manifest_entry *older)
{
    return newer->index > older->index && newer->next_lsn >= older->next_lsn &&
           newer->segment_sequence >= older->segment_sequence;
}

static const char *manifest_entries_check(const struct wal_manifest *manifest)
{
    for (uint32_t i = 0; i < manifest->count; i++) {
        const struct wal_manifest_entry *entry = &manifest->entries[i];
        if (!entry_is_possible(entry))
            return "an entry is impossible";
        if (i > 0 && !entries_descend(entry - 1, entry))
            return "its entries are not in order";
        if (manifest->oldest_segment > entry->segment_sequence)
            return "a snapshot needs a segment that it says is not needed";
    }
    return NULL;
}

const char *wal_manifest_check(const struct wal_manifest *manifest)
{
    if (manifest->magic != WAL_MANIFEST_MAGIC)
        return "it does not begin with a manifest's mark";
    if (!manifest_is_whole(manifest))
        return "its checksum does not match";
    if (manifest->version > WAL_MANIFEST_VERSION)
        return "it was written by a newer Innkeep";
    if (manifest->version != WAL_MANIFEST_VERSION)
        return "its version is none that was ever written";
    if (manifest->count > WAL_SNAPSHOTS_KEPT)
        return "it names more snapshots than are kept";
    if (manifest->shard >= manifest->shards_count || manifest->oldest_segment == 0)
        return "its shard or oldest segment is impossible";
    const char *wrong = manifest_entries_check(manifest);
    if (wrong)
        return wrong;
    const uint8_t *rest = (const uint8_t *)&manifest->entries[manifest->count];
    if (!bytes_are_zero(rest, (size_t)((const uint8_t *)&manifest->check - rest)))
        return "its reserved bytes are not zero";
    return NULL;
}
