/* Snapshots on the real kernel: direct I/O, a ring, a directory that is synced through it. */
#include "tests/wal/snapshots.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static struct snapshots world;

static void world_begin(const char *name)
{
    char path[SCRATCH_PATH_SIZE];
    cr_assert_eq(mkdir(scratch_path(name, path), 0755), 0);
    snapshots_init(&world, path);
    snapshots_open(&world, 0);
}

static void world_end(void)
{
    snapshots_close(&world);
    scratch_remove(world.directory);
}

Test(snapshot_disk, snapshots_come_back_through_a_ring_and_without_one)
{
    world_begin("snapshots");
    snapshots_make(&world, 10, 37 * WAL_SNAPSHOT_CHUNK_SIZE + WAL_BLOCK_SIZE);
    snapshots_make(&world, 25, 300 * WAL_SNAPSHOT_CHUNK_SIZE);
    wal_snapshot_rate_set(world.writer, 64 * MIB);
    snapshots_make(&world, 47, 80 * WAL_SNAPSHOT_CHUNK_SIZE);
    for (uint32_t reads_max = 0; reads_max <= WAL_SNAPSHOT_READS_MAX; reads_max += 8) {
        cr_assert_eq(snapshots_read(&world, 47, reads_max), 0, "%s", snapshots_why);
        cr_assert_eq(snapshots_read(&world, 25, reads_max), 0, "%s", snapshots_why);
    }
    char path[SCRATCH_PATH_SIZE];
    cr_assert_not(scratch_is_there(snapshots_path(&world, 10, path)));
    world_end();
}

Test(snapshot_disk, a_restart_finds_what_is_there)
{
    world_begin("snapshots-restart");
    snapshots_make(&world, 10, 4 * WAL_SNAPSHOT_CHUNK_SIZE);
    snapshots_make(&world, 25, 4 * WAL_SNAPSHOT_CHUNK_SIZE);
    snapshots_close(&world);
    snapshots_open(&world, 25);
    cr_assert_eq(wal_snapshot_state_of(world.writer).kept, 2u);
    char path[SCRATCH_PATH_SIZE];
    snapshots_path(&world, 25, path);
    scratch_flip(path, WAL_BLOCK_SIZE + 1, 1);
    cr_assert_eq(snapshots_read(&world, 25, 4), WAL_SNAPSHOT_DAMAGED);
    cr_assert_eq(snapshots_read(&world, 10, 4), 0, "%s", snapshots_why);
    world_end();
}

Test(snapshot_disk, one_that_is_given_up_leaves_nothing)
{
    world_begin("snapshots-abandoned");
    snapshots_begin(&world, 10, 300 * WAL_SNAPSHOT_CHUNK_SIZE);
    for (int turn = 0; turn < 20; turn++)
        snapshots_turn(&world);
    wal_snapshot_abandon(world.writer);
    cr_assert_eq(snapshots_run(&world).status, WAL_SNAPSHOT_FAILED);
    struct wal_snapshots list = { .indexes = NULL };
    cr_assert_eq(wal_snapshots_list(world.io, world.directory, &list), 0);
    cr_assert_eq(list.count, 0u);
    wal_snapshots_free(&list);
    snapshots_close(&world);
    cr_assert_eq(rmdir(world.directory), 0);
}
