/* The bytes of a snapshot's first block and of the manifest, against bytes made here by hand from FORMAT.md: only offsets, no struct.
 * A change that fails these makes old snapshots unreadable. */
#include "wal/snapshot_format.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

static uint8_t expected[WAL_BLOCK_SIZE];

static void put(size_t offset, uint64_t value, size_t size_bytes)
{
    for (size_t i = 0; i < size_bytes; i++)
        expected[offset + i] = (uint8_t)(value >> 8 * i);
}

static void put_hash(size_t offset, XXH128_hash_t hash)
{
    put(offset, hash.low64, 8);
    put(offset + 8, hash.high64, 8);
}

static void put_counting(size_t offset, uint8_t first, size_t size_bytes)
{
    for (size_t i = 0; i < size_bytes; i++)
        expected[offset + i] = (uint8_t)(first + i);
}

static struct hash128 counting_hash(uint8_t first)
{
    uint8_t bytes[16];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(first + i);
    struct hash128 hash;
    memcpy(&hash, bytes, sizeof(hash));
    return hash;
}

static struct wal_snapshot_block block_sample(void)
{
    struct wal_snapshot_block block = {
        .header = {
            .shard = 2,
            .shards_count = 5,
            .index = 0x1122334455667788,
            .next_lsn = 0x2233445566778899,
            .time_ns = 0x33445566778899aa,
            .previous_hash = counting_hash(0x40),
            .segment_sequence = 0x445566778899aabb,
            .segment_offset = 0x3000,
            .engine_level = 0x12345678,
            .head_size = 9,
            .data_size = 0x123000,
            .created_wall_ns = 0x5566778899aabbcc,
            .table_hash = counting_hash(0x60),
        },
        .head = "head head",
    };
    for (size_t i = 0; i < 16; i++)
        block.header.uuid[i] = (uint8_t)(0x80 + i);
    wal_snapshot_block_seal(&block);
    return block;
}

Test(snapshot_format, the_first_block_byte_for_byte)
{
    memset(expected, 0, sizeof(expected));
    memcpy(expected, "IKEEPSNP", 8);
    put(8, 1, 4);    /* version */
    put(12, 256, 4); /* header size */
    put_counting(16, 0x80, 16);
    put(32, 2, 4);
    put(36, 5, 4);
    put(40, 0x1122334455667788, 8);
    put(48, 0x2233445566778899, 8);
    put(56, 0x33445566778899aa, 8);
    put_counting(64, 0x40, 16);
    put(80, 0x445566778899aabb, 8);
    put(88, 0x3000, 8);
    put(96, 0x12345678, 4);
    put(100, 9, 4);
    put(104, 0x123000, 8);
    put(112, 65536, 4);
    put(120, 0x5566778899aabbcc, 8);
    put_counting(128, 0x60, 16);
    memcpy(expected + 256, "head head", 9);
    put_hash(4080, XXH3_128bits(expected, 4080));
    struct wal_snapshot_block block = block_sample();
    cr_assert_arr_eq(&block, expected, sizeof(expected));
    cr_assert_null(wal_snapshot_block_check(&block));
}

static struct wal_manifest manifest_sample(void)
{
    struct wal_manifest manifest = {
        .count = 2,
        .shard = 2,
        .shards_count = 5,
        .oldest_segment = 3,
        .entries = { { 0x1001, 0x2001, 7, 0x4000, 0x5000, { 0 } }, { 0x1000, 0x2000, 3, 0x3000, 0x3000, { 0 } } },
    };
    manifest.entries[0].block_check = counting_hash(0x20);
    manifest.entries[1].block_check = counting_hash(0x30);
    for (size_t i = 0; i < 16; i++)
        manifest.uuid[i] = (uint8_t)(0x80 + i);
    wal_manifest_seal(&manifest);
    return manifest;
}

Test(snapshot_format, the_manifest_byte_for_byte)
{
    memset(expected, 0, sizeof(expected));
    memcpy(expected, "IKEEPMAN", 8);
    put(8, 1, 4);  /* version */
    put(12, 2, 4); /* count */
    put_counting(16, 0x80, 16);
    put(32, 2, 4);
    put(36, 5, 4);
    put(40, 3, 8); /* oldest segment */
    put(48, 0x1001, 8);
    put(56, 0x2001, 8);
    put(64, 7, 8);
    put(72, 0x4000, 8);
    put(80, 0x5000, 8);
    put_counting(88, 0x20, 16);
    put(104, 0x1000, 8);
    put(112, 0x2000, 8);
    put(120, 3, 8);
    put(128, 0x3000, 8);
    put(136, 0x3000, 8);
    put_counting(144, 0x30, 16);
    put_hash(4080, XXH3_128bits(expected, 4080));
    struct wal_manifest manifest = manifest_sample();
    cr_assert_arr_eq(&manifest, expected, sizeof(expected));
    cr_assert_null(wal_manifest_check(&manifest));
}

Test(snapshot_format, a_chunk_is_hashed_under_its_snapshot_and_number)
{
    uint8_t seed[32] = { 0 };
    for (size_t i = 0; i < 16; i++)
        seed[i] = (uint8_t)(0x80 + i);
    seed[16] = 2;
    seed[24] = 77;
    uint64_t salt = wal_snapshot_salt(seed, 2, 77);
    cr_assert_eq(salt, XXH3_64bits(seed, sizeof(seed)));
    static uint8_t chunk[WAL_SNAPSHOT_CHUNK_SIZE] = { 1, 2, 3 };
    struct hash128 hash = wal_snapshot_chunk_hash(salt, 5, chunk, sizeof(chunk));
    XXH128_hash_t by_hand = XXH3_128bits_withSeed(chunk, sizeof(chunk), salt + 5);
    cr_assert(hash.low == by_hand.low64 && hash.high == by_hand.high64);
    cr_assert_not(hash128_equal(hash, wal_snapshot_chunk_hash(salt, 6, chunk, sizeof(chunk))));
}

Test(snapshot_format, sizes_follow_from_the_number_of_page_bytes)
{
    static const struct {
        uint64_t data;
        uint64_t chunks;
        uint64_t file;
        uint32_t last;
    } cases[] = {
        { 4096, 1, 4096 + 4096 + 4096, 4096 },
        { 65536, 1, 4096 + 65536 + 4096, 65536 },
        { 65536 + 4096, 2, 4096 + 65536 + 4096 + 4096, 4096 },
        { 256 * 65536, 256, 4096 + 256 * 65536 + 4096, 65536 },
        { 257 * 65536, 257, 4096 + 257 * 65536 + 8192, 65536 },
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        cr_assert_eq(wal_snapshot_chunks_count(cases[i].data), cases[i].chunks);
        cr_assert_eq(wal_snapshot_file_size(cases[i].data), cases[i].file);
        cr_assert_eq(wal_snapshot_chunk_bytes(cases[i].data, cases[i].chunks - 1), cases[i].last);
    }
}

Test(snapshot_format, a_chunk_behind_the_last_has_no_size, .signal = SIGABRT)
{
    (void)wal_snapshot_chunk_bytes(65536, 1);
}

/* ---- Valid if and only if -------------------------------------------------------------------------------------------------- */

#define WITH(field, value)                                                               \
    do {                                                                                 \
        struct wal_snapshot_block block = block_sample();                                \
        block.field = (value);                                                           \
        block.check = hash128(&block, offsetof(struct wal_snapshot_block, check), 0);    \
        cr_assert_not_null(wal_snapshot_block_check(&block), "%s = %s", #field, #value); \
        cr_assert_not(wal_snapshot_block_is_newer(&block));                              \
    } while (0)

Test(snapshot_format, a_first_block_that_was_written_wrongly_is_refused)
{
    WITH(header.magic, WAL_MANIFEST_MAGIC);
    WITH(header.version, 0);
    WITH(header.header_size, 255);
    WITH(header.shard, 5);
    WITH(header.shards_count, 2);
    WITH(header.index, 0);
    WITH(header.next_lsn, 0);
    WITH(header.segment_sequence, 0);
    WITH(header.segment_offset, 8192);
    WITH(header.segment_offset, 12289);
    WITH(header.head_size, 2049);
    WITH(header.head_size, 8);
    WITH(header.data_size, 0);
    WITH(header.data_size, 4095);
    WITH(header.data_size, WAL_SNAPSHOT_DATA_SIZE_MAX + WAL_BLOCK_SIZE);
    WITH(header.chunk_size, 4096);
    WITH(header.flags, 1);
    WITH(header.reserved[0], 1);
    WITH(header.reserved[111], 1);
    WITH(head[9], 1);
    WITH(head[2047], 1);
    WITH(padding[0], 1);
    WITH(padding[1775], 1);
}

Test(snapshot_format, a_head_may_be_empty_or_as_large_as_it_gets)
{
    struct wal_snapshot_block block = block_sample();
    memset(block.head, 0xff, sizeof(block.head));
    block.header.head_size = WAL_SNAPSHOT_HEAD_SIZE_MAX;
    wal_snapshot_block_seal(&block);
    cr_assert_null(wal_snapshot_block_check(&block));
    memset(block.head, 0, sizeof(block.head));
    block.header.head_size = 0;
    wal_snapshot_block_seal(&block);
    cr_assert_null(wal_snapshot_block_check(&block));
}

Test(snapshot_format, a_newer_version_is_told_from_damage)
{
    struct wal_snapshot_block block = block_sample();
    block.header.version = 2;
    cr_assert_not(wal_snapshot_block_is_newer(&block), "its check is the old one's");
    block.check = hash128(&block, offsetof(struct wal_snapshot_block, check), 0);
    cr_assert(wal_snapshot_block_is_newer(&block));
    cr_assert_not_null(wal_snapshot_block_check(&block));
    struct wal_manifest manifest = manifest_sample();
    manifest.version = 2;
    cr_assert_not(wal_manifest_is_newer(&manifest));
    manifest.check = hash128(&manifest, offsetof(struct wal_manifest, check), 0);
    cr_assert(wal_manifest_is_newer(&manifest));
    cr_assert_not_null(wal_manifest_check(&manifest));
}

#define MANIFEST_WITH(field, value)                                                   \
    do {                                                                              \
        struct wal_manifest manifest = manifest_sample();                             \
        manifest.field = (value);                                                     \
        manifest.check = hash128(&manifest, offsetof(struct wal_manifest, check), 0); \
        cr_assert_not_null(wal_manifest_check(&manifest), "%s = %s", #field, #value); \
    } while (0)

Test(snapshot_format, a_manifest_that_was_written_wrongly_is_refused)
{
    MANIFEST_WITH(magic, WAL_SNAPSHOT_MAGIC);
    MANIFEST_WITH(version, 0);
    MANIFEST_WITH(count, 3);
    MANIFEST_WITH(count, 1);
    MANIFEST_WITH(count, 0);
    MANIFEST_WITH(shard, 5);
    MANIFEST_WITH(oldest_segment, 0);
    MANIFEST_WITH(oldest_segment, 4);
    MANIFEST_WITH(entries[0].index, 0x1000);
    MANIFEST_WITH(entries[0].next_lsn, 0x1fff);
    MANIFEST_WITH(entries[0].segment_sequence, 2);
    MANIFEST_WITH(entries[1].index, 0);
    MANIFEST_WITH(entries[1].next_lsn, 0);
    MANIFEST_WITH(entries[1].segment_sequence, 0);
    MANIFEST_WITH(entries[1].segment_offset, 8192);
    MANIFEST_WITH(entries[1].file_size, 0x2000);
    MANIFEST_WITH(entries[1].file_size, 0x3001);
    MANIFEST_WITH(reserved[0], 1);
    MANIFEST_WITH(reserved[3919], 1);
}

Test(snapshot_format, a_manifest_may_name_one_or_none)
{
    struct wal_manifest manifest = manifest_sample();
    memset(&manifest.entries[1], 0, sizeof(manifest.entries[1]));
    manifest.count = 1;
    wal_manifest_seal(&manifest);
    cr_assert_null(wal_manifest_check(&manifest));
    memset(&manifest.entries[0], 0, sizeof(manifest.entries[0]));
    manifest.count = 0;
    wal_manifest_seal(&manifest);
    cr_assert_null(wal_manifest_check(&manifest));
}
