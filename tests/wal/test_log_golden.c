/* A segment as the writer leaves it, byte for byte, against bytes made here by hand from FORMAT.md: no struct of wal/format.h is used for
 * them, only offsets. A change that fails this test makes old logs unreadable. */
#include "tests/wal/fake_io.h"
#include "tests/wal/world.h"

#include <criterion/criterion.h>
#include <string.h>

static struct world world;
static uint8_t expected[WORLD_SEGMENT_SIZE];

static void put(size_t offset, uint64_t value, size_t size_bytes)
{
    for (size_t i = 0; i < size_bytes; i++)
        expected[offset + i] = (uint8_t)(value >> 8 * i);
}

static void put_text(size_t offset, const char *text)
{
    for (size_t i = 0; text[i] != '\0'; i++)
        expected[offset + i] = (uint8_t)text[i];
}

static void put_uuid(size_t offset)
{
    for (size_t i = 0; i < 16; i++)
        expected[offset + i] = (uint8_t)(i * 37 + 11); /* what the fake's entropy gives */
}

static void put_hash(size_t offset, XXH128_hash_t hash)
{
    put(offset, hash.low64, 8);
    put(offset + 8, hash.high64, 8);
}

static uint64_t salt_by_hand(void)
{
    uint8_t seed[32] = { 0 };
    memcpy(seed, expected + 16, 16); /* the uuid in the segment header */
    seed[24] = 1;
    return XXH3_64bits(seed, sizeof(seed));
}

/* A frame at `offset` whose records are already in place. */
static XXH128_hash_t finish_frame(size_t offset, uint64_t type, uint64_t payload_size, uint64_t records, uint64_t index,
                                  uint64_t first_lsn, uint64_t time_ns, const XXH128_hash_t *previous)
{
    uint64_t frame_size = (128 + payload_size + 4095) / 4096 * 4096;
    put_text(offset, "IFRM");
    put(offset + 4, expected[offset + 6] != 0 ? 2 : 1, 1); /* version: 2 with flags */
    put(offset + 5, type, 1);
    put(offset + 8, frame_size, 4);
    put(offset + 12, payload_size, 4);
    put(offset + 16, records, 4);
    put(offset + 20, 1, 4); /* engine level */
    put(offset + 24, 1, 8); /* segment sequence */
    put(offset + 32, offset / 4096, 4);
    put(offset + 40, index, 8);
    put(offset + 56, first_lsn, 8);
    put(offset + 64, time_ns, 8);
    put(offset + 72, index - 1, 8); /* each was drained before the next */
    put(offset + 80, index - 1, 8);
    if (previous)
        put_hash(offset + 88, *previous);
    put(offset + 104, XXH3_64bits_withSeed(expected + offset, 104, salt_by_hand()), 8);
    static uint8_t together[WORLD_SEGMENT_SIZE];
    memcpy(together, expected + offset, 112);
    memcpy(together + 112, expected + offset + 128, payload_size);
    XXH128_hash_t hash = XXH3_128bits_withSeed(together, 112 + payload_size, salt_by_hand());
    put_hash(offset + 112, hash);
    return hash;
}

static void put_record(size_t offset, uint64_t size, uint64_t lsn)
{
    put(offset, size, 2);
    put(offset + 2, 10, 1); /* kind */
    put(offset + 3, 1, 1);  /* version */
    put(offset + 8, 7, 8);  /* property */
    for (size_t i = 32; i < size; i++)
        expected[offset + i] = (uint8_t)(lsn + i);
}

static void make_expected(uint64_t created_ns)
{
    for (size_t copy = 0; copy < 8192; copy += 4096) {
        put_text(copy, "IKEEPSEG");
        put(copy + 8, 1, 4);    /* version */
        put(copy + 12, 128, 4); /* header size */
        put_uuid(copy + 16);
        put(copy + 36, 1, 4); /* shard count; the shard is 0 */
        put(copy + 40, 1, 8); /* sequence */
        put(copy + 48, WORLD_SEGMENT_SIZE, 8);
        put(copy + 56, 1, 8); /* first frame index */
        put(copy + 64, 1, 8); /* first LSN */
        put(copy + 80, created_ns, 8);
        put_hash(copy + 112, XXH3_128bits(expected + copy, 112));
    }
    put_record(8192 + 128, 96, 1);
    put_record(8192 + 128 + 96, 40, 2);
    XXH128_hash_t first = finish_frame(8192, 3, 136, 2, 1, 1, 1000, NULL);
    put_record(12288 + 128, 5000, 3);
    XXH128_hash_t second = finish_frame(12288, 1, 5000, 1, 2, 3, 1001, &first);
    (void)finish_frame(20480, 2, 0, 0, 3, 4, 1001, &second);
}

Test(log_golden, a_segment_is_written_exactly_as_the_format_says)
{
    world_init(&world, "/data");
    world_start(&world);
    (void)world_append(&world, 96);
    (void)world_append(&world, 40);
    wal_seal(world.wal, 1000, 1, true);
    world_drain(&world);
    (void)world_append(&world, 5000);
    wal_seal(world.wal, 1001, 1, false);
    world_drain(&world);
    wal_seal(world.wal, 999, 1, false); /* the clock went back: log time does not */
    world_drain(&world);
    uint64_t created_ns = world.directory.header.created_ns;
    world_stop(&world);

    make_expected(created_ns);
    size_t size = 0;
    const uint8_t *written = fake_io_file("/data/shard-000/0000000000000001.wal", &size);
    cr_assert_not_null(written);
    cr_assert_eq(size, sizeof(expected));
    for (size_t i = 0; i < size; i++)
        cr_assert_eq(written[i], expected[i], "byte %zu: %02x, expected %02x", i, written[i], expected[i]);
    /* And the hash of it all, so that this test cannot drift along with the code. */
    cr_assert_eq(XXH3_64bits(written, size), UINT64_C(0xafd988bccac33ec6), "%llx",
                 (unsigned long long)XXH3_64bits(written, size));
}

Test(log_golden, a_frame_that_begins_an_epoch_is_written_exactly_as_the_format_says)
{
    world_init(&world, "/data");
    world_start(&world);
    wal_begin_epoch(world.wal, UINT64_C(0x30000000000));
    (void)world_append(&world, 72);
    wal_seal(world.wal, 1000, 1, false);
    world_drain(&world);
    cr_assert_eq(world_read(&world).position.next_lsn, UINT64_C(0x30000000001));
    world_stop(&world);

    size_t size = 0;
    const uint8_t *written = fake_io_file("/data/shard-000/0000000000000001.wal", &size);
    memcpy(expected, written, 8192); /* the uuid that seeds the checksums */
    put_record(8192 + 128, 72, UINT64_C(0x30000000000));
    put(8192 + 6, 1, 2); /* flags */
    (void)finish_frame(8192, 1, 72, 1, 1, UINT64_C(0x30000000000), 1000, NULL);
    for (size_t i = 8192; i < size; i++)
        cr_assert_eq(written[i], expected[i], "byte %zu: %02x, expected %02x", i, written[i], expected[i]);
}

Test(log_golden, meta_is_written_exactly_as_the_format_says)
{
    world_init(&world, "/data");
    world_start(&world);
    uint64_t created_ns = world.directory.header.created_ns;
    world_stop(&world);
    put_text(0, "IKEEPDIR");
    put(8, 1, 4);
    put(12, 1, 4); /* shards */
    put_uuid(16);
    put(32, WORLD_SEGMENT_SIZE, 8);
    put(40, created_ns, 8);
    put_hash(48, XXH3_128bits(expected, 48));
    size_t size = 0;
    const uint8_t *written = fake_io_file("/data/meta", &size);
    cr_assert_eq(size, 64u);
    cr_assert_eq(memcmp(written, expected, size), 0);
}
