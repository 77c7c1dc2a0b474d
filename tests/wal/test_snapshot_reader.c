/* Judging and loading snapshots that something happened to. */
#include "tests/wal/fake_io.h"
#include "tests/wal/snapshots.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define DIRECTORY "/shard"
#define SMALL (3 * WAL_SNAPSHOT_CHUNK_SIZE + WAL_BLOCK_SIZE)
#define INDEX 10

static struct snapshots world;
static char path[SCRATCH_PATH_SIZE];

/* One snapshot, and an io to read it with. */
static void world_begin(uint64_t data_size)
{
    fake_io_reset();
    struct io *io = NULL;
    const struct io_options options = { .ring_entries = 8 };
    const char *why = NULL;
    cr_assert_eq(io_create(&options, &io, &why), 0);
    cr_assert_eq(io_make_directory(io, DIRECTORY), 0);
    snapshots_init(&world, DIRECTORY);
    snapshots_open(&world, 0);
    snapshots_make(&world, INDEX, data_size);
    snapshots_path(&world, INDEX, path);
}

static uint8_t *bytes_of(const char *file)
{
    size_t size = 0;
    uint8_t *bytes = fake_io_file(file, &size);
    cr_assert_not_null(bytes, "%s", file);
    return bytes;
}

static struct wal_snapshot_block *block_of(const char *file)
{
    return (void *)bytes_of(file);
}

static void assert_damaged(const char *says)
{
    cr_assert_eq(snapshots_read(&world, INDEX, 4), WAL_SNAPSHOT_DAMAGED);
    cr_assert_not_null(strstr(snapshots_why, says), "%s", snapshots_why);
    cr_assert_not_null(strstr(snapshots_why, path), "%s", snapshots_why);
    cr_assert_eq(snapshots_read(&world, INDEX, 0), WAL_SNAPSHOT_DAMAGED);
}

static void file_write(const char *file, uint64_t offset, const void *bytes, size_t size_bytes, bool create)
{
    int number = io_open(world.io, file, IO_OPEN_WRITE | (create ? IO_OPEN_CREATE : 0));
    cr_assert_geq(number, 0);
    cr_assert_eq(io_write_at(world.io, number, bytes, size_bytes, offset), 0);
    io_close(world.io, number);
}

/* ---- Damage -------------------------------------------------------------------------------------------------------------- */

Test(snapshot_reader, every_bit_of_a_snapshot_matters, .timeout = 120)
{
    world_begin(WAL_BLOCK_SIZE);
    size_t size = 0;
    uint8_t *bytes = fake_io_file(path, &size);
    cr_assert_eq(size, 3u * WAL_BLOCK_SIZE);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert_eq(snapshots_read(&world, INDEX, 0), WAL_SNAPSHOT_DAMAGED, "bit %zu", bit);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    cr_assert_eq(snapshots_read(&world, INDEX, 0), 0);
    snapshots_close(&world);
}

Test(snapshot_reader, every_bit_of_a_manifest_matters, .timeout = 120)
{
    world_begin(WAL_BLOCK_SIZE);
    char manifest_path[SCRATCH_PATH_SIZE];
    uint8_t *bytes = bytes_of(snapshots_manifest_path(&world, manifest_path));
    struct wal_manifest manifest;
    char why[WAL_SNAPSHOT_WHY_SIZE];
    for (size_t bit = 0; bit < 8 * WAL_BLOCK_SIZE; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert_eq(wal_manifest_read(world.io, &world.place, &manifest, why), WAL_SNAPSHOT_DAMAGED, "bit %zu", bit);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    cr_assert_eq(wal_manifest_read(world.io, &world.place, &manifest, why), 0);
    snapshots_close(&world);
}

Test(snapshot_reader, a_damaged_chunk_is_named_with_its_offset)
{
    world_begin(SMALL);
    bytes_of(path)[WAL_BLOCK_SIZE + 2 * WAL_SNAPSHOT_CHUNK_SIZE + 5] ^= 4;
    assert_damaged("chunk 2, at offset 135168,");
    snapshots_close(&world);
}

Test(snapshot_reader, nothing_of_a_damaged_chunk_is_called_loaded)
{
    world_begin(100 * WAL_SNAPSHOT_CHUNK_SIZE);
    bytes_of(path)[WAL_BLOCK_SIZE + 37 * WAL_SNAPSHOT_CHUNK_SIZE] ^= 1;
    for (uint32_t reads_max = 0; reads_max <= WAL_SNAPSHOT_READS_MAX; reads_max += 4) {
        cr_assert_eq(snapshots_read(&world, INDEX, reads_max), WAL_SNAPSHOT_DAMAGED);
        cr_assert(world.loaded > 0 && world.loaded <= 37 * WAL_SNAPSHOT_CHUNK_SIZE);
    }
    snapshots_close(&world);
}

Test(snapshot_reader, chunks_in_each_others_places_are_damage)
{
    world_begin(SMALL);
    static uint8_t chunk[WAL_SNAPSHOT_CHUNK_SIZE];
    uint8_t *first = bytes_of(path) + WAL_BLOCK_SIZE;
    uint8_t *second = first + WAL_SNAPSHOT_CHUNK_SIZE;
    memcpy(chunk, first, sizeof(chunk));
    memcpy(first, second, sizeof(chunk));
    memcpy(second, chunk, sizeof(chunk));
    assert_damaged("chunk 0, at offset 4096,");
    /* Even with their hashes. */
    struct hash128 *table = (void *)(bytes_of(path) + wal_snapshot_table_offset(SMALL));
    struct hash128 hash = table[0];
    table[0] = table[1];
    table[1] = hash;
    struct wal_snapshot_block *block = block_of(path);
    block->header.table_hash = hash128(table, 4 * sizeof(hash), wal_snapshot_salt(world.place.uuid, 2, INDEX));
    wal_snapshot_block_seal(block);
    assert_damaged("chunk 0, at offset 4096,");
    snapshots_close(&world);
}

Test(snapshot_reader, a_chunk_and_a_table_of_another_snapshot_are_damage)
{
    world_begin(SMALL);
    snapshots_make(&world, INDEX + 1, SMALL);
    char other[SCRATCH_PATH_SIZE];
    snapshots_path(&world, INDEX + 1, other);
    memcpy(bytes_of(path) + WAL_BLOCK_SIZE, bytes_of(other) + WAL_BLOCK_SIZE, WAL_SNAPSHOT_CHUNK_SIZE);
    assert_damaged("chunk 0, at offset 4096,");
    uint64_t table = wal_snapshot_table_offset(SMALL);
    memcpy(bytes_of(path) + table, bytes_of(other) + table, WAL_BLOCK_SIZE);
    assert_damaged("the checksum of its chunk table does not match");
    snapshots_close(&world);
}

Test(snapshot_reader, bytes_behind_the_table_are_damage)
{
    world_begin(SMALL);
    bytes_of(path)[wal_snapshot_file_size(SMALL) - 1] = 1;
    assert_damaged("the bytes behind its chunk table are not zero");
    snapshots_close(&world);
}

Test(snapshot_reader, a_snapshot_of_another_size_is_damage)
{
    uint64_t whole = wal_snapshot_file_size(SMALL);
    world_begin(SMALL);
    static const uint8_t zero[WAL_BLOCK_SIZE];
    file_write(path, whole, zero, 1, false);
    assert_damaged("it has 208897 bytes and should have 208896");
    for (uint64_t size = whole; size-- > whole - 3;) {
        fake_io_cut(path, size);
        assert_damaged("bytes and should have 208896");
    }
    for (uint64_t size = whole / WAL_BLOCK_SIZE * WAL_BLOCK_SIZE - WAL_BLOCK_SIZE; size >= WAL_BLOCK_SIZE;
         size -= WAL_BLOCK_SIZE) {
        fake_io_cut(path, size);
        assert_damaged("bytes and should have 208896");
    }
    fake_io_cut(path, WAL_BLOCK_SIZE - 1);
    assert_damaged("it is shorter than its first block");
    fake_io_cut(path, 0);
    assert_damaged("it is shorter than its first block");
    snapshots_close(&world);
}

Test(snapshot_reader, a_manifest_of_another_size_is_damage)
{
    world_begin(WAL_BLOCK_SIZE);
    char manifest_path[SCRATCH_PATH_SIZE];
    snapshots_manifest_path(&world, manifest_path);
    struct wal_manifest manifest;
    char why[WAL_SNAPSHOT_WHY_SIZE];
    file_write(manifest_path, WAL_BLOCK_SIZE, "", 1, false);
    cr_assert_eq(wal_manifest_read(world.io, &world.place, &manifest, why), WAL_SNAPSHOT_DAMAGED);
    cr_assert_not_null(strstr(why, "it has 4097 bytes instead of 4096"), "%s", why);
    fake_io_cut(manifest_path, 100);
    cr_assert_eq(wal_manifest_read(world.io, &world.place, &manifest, why), WAL_SNAPSHOT_DAMAGED);
    snapshots_close(&world);
}

/* ---- Whole, but not ours --------------------------------------------------------------------------------------------------- */

static void assert_foreign(int error, const char *says)
{
    cr_assert_eq(snapshots_read(&world, INDEX, 0), error, "%s", snapshots_why);
    cr_assert_not_null(strstr(snapshots_why, says), "%s", snapshots_why);
    struct wal_manifest manifest;
    char why[WAL_SNAPSHOT_WHY_SIZE];
    cr_assert_eq(wal_manifest_read(world.io, &world.place, &manifest, why), error, "%s", why);
    cr_assert_not_null(strstr(why, says), "%s", why);
}

Test(snapshot_reader, a_snapshot_of_another_directory_or_shard_is_refused)
{
    world_begin(SMALL);
    world.place.uuid[15] ^= 1;
    assert_foreign(WAL_SNAPSHOT_FOREIGN, "it belongs to another data directory");
    world.place.uuid[15] ^= 1;
    world.place.shard = 3;
    assert_foreign(WAL_SNAPSHOT_FOREIGN, "it belongs to another shard");
    world.place.shard = 2;
    world.place.shards_count = 6;
    assert_foreign(WAL_SNAPSHOT_FOREIGN, "it was made when there was another number of shards");
    world.place.shards_count = 5;
    cr_assert_eq(snapshots_read(&world, INDEX, 0), 0);
    snapshots_close(&world);
}

Test(snapshot_reader, a_snapshot_under_another_name_is_refused)
{
    world_begin(SMALL);
    char other[SCRATCH_PATH_SIZE];
    cr_assert_eq(io_rename(world.io, path, snapshots_path(&world, INDEX + 1, other)), 0);
    cr_assert_eq(snapshots_read(&world, INDEX + 1, 0), WAL_SNAPSHOT_FOREIGN);
    cr_assert_not_null(strstr(snapshots_why, "another frame than its name says"), "%s", snapshots_why);
    snapshots_close(&world);
}

Test(snapshot_reader, a_newer_snapshot_is_refused_and_not_called_damaged)
{
    world_begin(SMALL);
    struct wal_snapshot_block *block = block_of(path);
    block->header.version = 2;
    block->check = hash128(block, offsetof(struct wal_snapshot_block, check), 0);
    char manifest_path[SCRATCH_PATH_SIZE];
    struct wal_manifest *manifest = (void *)bytes_of(snapshots_manifest_path(&world, manifest_path));
    manifest->version = 2;
    manifest->check = hash128(manifest, offsetof(struct wal_manifest, check), 0);
    assert_foreign(WAL_SNAPSHOT_NEWER, "newer Innkeep (version 2)");
    snapshots_close(&world);
}

/* ---- Listing ------------------------------------------------------------------------------------------------------------- */

Test(snapshot_reader, snapshots_are_listed_newest_first_and_nothing_else_is)
{
    world_begin(SMALL);
    static const char *const others[] = { "/0000000000000001.wal",       "/0000000000000099.snapshot.tmp",
                                          "/000000000000001F.snapshot",  "/00000000000000f.snapshot",
                                          "/0000000000000000.snapshot",  "/0000000000000012.snapshots",
                                          "/x0000000000000012.snapshot", "/00000000000000012.snapshot" };
    for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
        char other[SCRATCH_PATH_SIZE] = DIRECTORY;
        file_write(strcat(other, others[i]), 0, "x", 1, true);
    }
    for (uint64_t index = 11; index < 40; index += 7) {
        char other[SCRATCH_PATH_SIZE];
        file_write(snapshots_path(&world, index, other), 0, "x", 1, true);
    }
    struct wal_snapshots list = { .indexes = NULL };
    static const uint64_t expected[] = { 39, 32, 25, 18, 11, INDEX };
    for (int again = 0; again < 2; again++) {
        cr_assert_eq(wal_snapshots_list(world.io, DIRECTORY, &list), 0);
        cr_assert_eq(list.count, ARRAY_COUNT(expected));
        cr_assert_arr_eq(list.indexes, expected, sizeof(expected));
    }
    wal_snapshots_free(&list);
    cr_assert_eq(wal_snapshots_list(world.io, "/nowhere", &list), -ENOENT);
    wal_snapshots_free(&list);
    snapshots_close(&world);
}

Test(snapshot_reader, what_is_not_there_is_said_to_be_missing)
{
    world_begin(SMALL);
    cr_assert_eq(snapshots_read(&world, INDEX + 1, 0), -ENOENT);
    cr_assert_neq(snapshots_why[0], '\0');
    char manifest_path[SCRATCH_PATH_SIZE];
    cr_assert_eq(io_unlink(world.io, snapshots_manifest_path(&world, manifest_path)), 0);
    struct wal_manifest manifest;
    cr_assert_eq(wal_manifest_read(world.io, &world.place, &manifest, snapshots_why), -ENOENT);
    snapshots_close(&world);
}

/* ---- Reading ------------------------------------------------------------------------------------------------------------- */

Test(snapshot_reader, pages_come_in_runs_of_any_size_with_any_number_of_reads)
{
    static const uint64_t runs[] = {
        0, WAL_BLOCK_SIZE, 3 * WAL_BLOCK_SIZE, WAL_SNAPSHOT_CHUNK_SIZE, 17 * WAL_BLOCK_SIZE, 3 * MIB
    };
    world_begin(101 * WAL_SNAPSHOT_CHUNK_SIZE + 5 * WAL_BLOCK_SIZE);
    for (size_t i = 0; i < ARRAY_COUNT(runs); i++)
        for (uint32_t reads_max = 0; reads_max <= WAL_SNAPSHOT_READS_MAX; reads_max++) {
            world.run_size = runs[i];
            cr_assert_eq(snapshots_read(&world, INDEX, reads_max), 0, "%s", snapshots_why);
        }
    snapshots_close(&world);
}

Test(snapshot_reader, whoever_takes_the_pages_may_stop)
{
    world_begin(100 * WAL_SNAPSHOT_CHUNK_SIZE);
    world.stop_with = -EINTR;
    world.stop_at = 2 * MIB;
    cr_assert_eq(snapshots_read(&world, INDEX, 8), -EINTR);
    cr_assert_eq(fake_io_pending_count(), 0u);
    cr_assert_lt(world.loaded, 4 * MIB);
    snapshots_close(&world);
}

static void *no_place(void *context, uint64_t offset, size_t *size_bytes)
{
    (void)size_bytes;
    return offset < MIB ? (uint8_t *)context + offset : NULL;
}

Test(snapshot_reader, pages_without_a_place_are_an_error_that_says_so)
{
    world_begin(100 * WAL_SNAPSHOT_CHUNK_SIZE);
    struct wal_snapshot_reader reader;
    cr_assert_eq(wal_snapshot_open(&reader, world.io, &world.place, INDEX), 0);
    uint8_t *memory = aligned_alloc(WAL_BLOCK_SIZE, MIB);
    const struct wal_snapshot_sink sink = { .context = memory, .place = no_place };
    for (uint32_t reads_max = 0; reads_max < 4; reads_max++) {
        cr_assert_eq(wal_snapshot_read(&reader, &sink, reads_max), -ENOSPC);
        cr_assert_not_null(strstr(reader.why, "no place for those from 1048576 on"), "%s", reader.why);
        cr_assert_eq(fake_io_pending_count(), 0u);
    }
    free(memory);
    wal_snapshot_close(&reader);
    snapshots_close(&world);
}

/* A failing look at anything is an error of the disk, never damage and never success. */
static void read_with_failures(uint32_t reads_max)
{
    int rc = -EIO;
    uint64_t n = 1;
    for (; rc != 0; n++) {
        fake_io_fail_looks_from(n, -EIO);
        rc = snapshots_read(&world, INDEX, reads_max);
        cr_assert(rc == 0 || rc == -EIO, "%d at look %llu", rc, (unsigned long long)n);
        cr_assert(rc == 0 || strstr(snapshots_why, path), "%s", snapshots_why);
        cr_assert_eq(fake_io_pending_count(), 0u);
    }
    cr_assert_gt(n, 8u);
    fake_io_fail_looks_from(0, 0);
}

Test(snapshot_reader, a_disk_that_cannot_be_read_is_no_damaged_snapshot)
{
    world_begin(100 * WAL_SNAPSHOT_CHUNK_SIZE);
    read_with_failures(0);
    read_with_failures(4);
    snapshots_close(&world);
}

Test(snapshot_reader, without_direct_io_it_reads_all_the_same)
{
    world_begin(SMALL);
    fake_io_refuse_direct(true);
    cr_assert_eq(snapshots_read(&world, INDEX, 4), 0);
    fake_io_refuse_direct(false);
    snapshots_close(&world);
}
