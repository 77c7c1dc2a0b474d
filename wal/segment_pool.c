#include "wal/segment_pool.h"

#include <errno.h>
#include <string.h>

bool segment_pool_is_no_space(int error)
{
    return error == -ENOSPC || error == -EDQUOT;
}

/* No space: wait a second. Anything else ends the log. */
static void pool_note_failure(struct segment_pool *pool, int error)
{
    REQUIRE(error < 0);
    if (segment_pool_is_no_space(error))
        pool->retry_ns = io_now_ns(pool->io) + WAL_SPACE_RETRY_NS;
    else if (pool->error == 0)
        pool->error = error;
}

/* ---- What earlier runs left ------------------------------------------------------------------------------------------ */

static int ready_file_check(struct segment_pool *pool, uint64_t sequence)
{
    char path[WAL_FILE_PATH_SIZE];
    int rc = wal_file_path(path, pool->directory, sequence, WAL_SUFFIX_READY);
    if (rc != 0)
        return rc;
    int file = io_open(pool->io, path, IO_OPEN_READ);
    if (file < 0)
        return file;
    int64_t size = io_size_of(pool->io, file);
    io_close(pool->io, file);
    return size >= 0 && (uint64_t)size == pool->segment_size ? 0 : -EINVAL;
}

static void ready_insert(struct segment_pool *pool, uint64_t sequence)
{
    REQUIRE(pool->ready_count < WAL_READY_MAX);
    uint32_t i = pool->ready_count++;
    for (; i > 0 && pool->ready[i - 1] > sequence; i--)
        pool->ready[i] = pool->ready[i - 1];
    pool->ready[i] = sequence;
}

struct leftovers {
    struct segment_pool *pool;
    uint64_t first_sequence;
};

static int leftover_drop(struct segment_pool *pool, uint64_t sequence, const char *suffix)
{
    char path[WAL_FILE_PATH_SIZE];
    int rc = wal_file_path(path, pool->directory, sequence, suffix);
    return rc != 0 ? rc : io_unlink(pool->io, path);
}

static int leftover_visit(void *context, const char *name)
{
    struct leftovers *leftovers = context;
    struct segment_pool *pool = leftovers->pool;
    uint64_t sequence = 0;
    if (wal_file_parse(name, WAL_SUFFIX_FILLING, &sequence))
        return leftover_drop(pool, sequence, WAL_SUFFIX_FILLING);
    if (!wal_file_parse(name, WAL_SUFFIX_READY, &sequence))
        return 0;
    bool usable = sequence >= leftovers->first_sequence && pool->ready_count < WAL_READY_MAX &&
                  ready_file_check(pool, sequence) == 0;
    if (!usable)
        return leftover_drop(pool, sequence, WAL_SUFFIX_READY);
    ready_insert(pool, sequence);
    return 0;
}

int segment_pool_open(struct segment_pool *pool, uint64_t first_sequence)
{
    REQUIRE(first_sequence > 0 && pool->ready_min <= WAL_READY_MAX);
    pool->state = SEGMENT_POOL_IDLE;
    pool->file = -1;
    struct leftovers leftovers = { .pool = pool, .first_sequence = first_sequence };
    int rc = io_list(pool->io, pool->directory, leftover_visit, &leftovers);
    if (rc != 0)
        return rc;
    pool->next_sequence = first_sequence;
    if (pool->ready_count > 0)
        pool->next_sequence = pool->ready[pool->ready_count - 1] + 1;
    return 0;
}

void segment_pool_close(struct segment_pool *pool)
{
    REQUIRE(!segment_pool_is_busy(pool));
    if (pool->file >= 0)
        io_close(pool->io, pool->file);
    pool->file = -1;
    pool->state = SEGMENT_POOL_IDLE;
}

/* ---- Making one, step by step ---------------------------------------------------------------------------------------- */

bool segment_pool_is_busy(const struct segment_pool *pool)
{
    return pool->state == SEGMENT_POOL_WRITING || pool->state == SEGMENT_POOL_SYNCING;
}

static void pool_create(struct segment_pool *pool)
{
    int file = wal_file_create_filling(pool->io, pool->directory, pool->next_sequence);
    if (file < 0) {
        pool_note_failure(pool, file);
        return;
    }
    pool->file = file;
    pool->sequence = pool->next_sequence++;
    pool->filled_size = 0;
    pool->state = SEGMENT_POOL_WRITE_DUE;
}

static struct segment_pool *pool_of(struct io_request *request)
{
    struct segment_pool *pool = request->context;
    REQUIRE(&pool->request == request);
    return pool;
}

/* A short write of zeros is a disk that runs full: the next one says so. */
static void pool_write_done(struct io_request *request, const struct io_completion *completion)
{
    struct segment_pool *pool = pool_of(request);
    REQUIRE(pool->state == SEGMENT_POOL_WRITING);
    pool->state = SEGMENT_POOL_WRITE_DUE;
    if (completion->result < 0) {
        pool_note_failure(pool, completion->result);
        return;
    }
    uint64_t written = (uint64_t)completion->result / WAL_BLOCK_SIZE * WAL_BLOCK_SIZE;
    if (written == 0) {
        pool_note_failure(pool, -ENOSPC);
        return;
    }
    pool->filled_size += written;
    ENSURE(pool->filled_size <= pool->segment_size);
    if (pool->filled_size == pool->segment_size)
        pool->state = SEGMENT_POOL_SYNC_DUE;
}

static void pool_write(struct segment_pool *pool)
{
    uint64_t left = pool->segment_size - pool->filled_size;
    uint32_t size = (uint32_t)(left < WAL_FILL_SIZE ? left : WAL_FILL_SIZE);
    pool->state = SEGMENT_POOL_WRITING;
    pool->request = (struct io_request){ .done = pool_write_done, .context = pool };
    io_write_fixed(pool->io, &pool->request, pool->file, pool->buffer, pool->zeros, size, pool->filled_size, false);
}

/* A failed sync says nothing of what reached the disk, so it is never tried again: for lack of space this file is given up and
 * another one made later, under a new number. */
static void pool_sync_done(struct io_request *request, const struct io_completion *completion)
{
    struct segment_pool *pool = pool_of(request);
    REQUIRE(pool->state == SEGMENT_POOL_SYNCING);
    io_close(pool->io, pool->file);
    pool->file = -1;
    if (completion->result >= 0) {
        pool->state = SEGMENT_POOL_RENAME_DUE;
        return;
    }
    pool->state = SEGMENT_POOL_IDLE;
    wal_file_drop_filling(pool->io, pool->directory, pool->sequence);
    pool_note_failure(pool, completion->result);
}

static void pool_sync(struct segment_pool *pool)
{
    pool->state = SEGMENT_POOL_SYNCING;
    pool->request = (struct io_request){ .done = pool_sync_done, .context = pool };
    io_sync(pool->io, &pool->request, pool->file);
}

static void pool_rename(struct segment_pool *pool)
{
    int rc = wal_file_rename(pool->io, pool->directory, pool->sequence, WAL_SUFFIX_FILLING, WAL_SUFFIX_READY);
    if (rc != 0) {
        pool_note_failure(pool, rc);
        return;
    }
    ready_insert(pool, pool->sequence);
    pool->state = SEGMENT_POOL_IDLE;
    pool->retry_ns = 0;
}

uint64_t segment_pool_due_ns(const struct segment_pool *pool)
{
    bool idle = pool->state == SEGMENT_POOL_IDLE && segment_pool_ready_count(pool) >= pool->ready_min;
    return pool->error != 0 || segment_pool_is_busy(pool) || idle ? NEVER_NS : pool->retry_ns;
}

bool segment_pool_lacks_space(const struct segment_pool *pool)
{
    return pool->retry_ns != 0;
}

uint32_t segment_pool_ready_count(const struct segment_pool *pool)
{
    return pool->blocked ? 0 : pool->ready_count;
}

void segment_pool_tend(struct segment_pool *pool)
{
    if (pool->error != 0 || segment_pool_is_busy(pool))
        return;
    if (pool->retry_ns != 0 && io_now_ns(pool->io) < pool->retry_ns)
        return;
    pool->blocked = false;
    if (pool->state == SEGMENT_POOL_IDLE && pool->ready_count < pool->ready_min)
        pool_create(pool);
    else if (pool->state == SEGMENT_POOL_RENAME_DUE)
        pool_rename(pool);
    if (pool->state == SEGMENT_POOL_WRITE_DUE)
        pool_write(pool);
    else if (pool->state == SEGMENT_POOL_SYNC_DUE)
        pool_sync(pool);
}

/* ---- Using one -------------------------------------------------------------------------------------------------------- */

static int pool_open_segment(struct segment_pool *pool, uint64_t sequence)
{
    char path[WAL_FILE_PATH_SIZE];
    int rc = wal_file_path(path, pool->directory, sequence, WAL_SUFFIX_SEGMENT);
    return rc != 0 ? rc : io_open(pool->io, path, IO_OPEN_WRITE | IO_OPEN_DIRECT);
}

static int pool_make_now(struct segment_pool *pool)
{
    int file = wal_file_make_filled(pool->io, pool->directory, pool->next_sequence, pool->segment_size, pool->zeros);
    if (file < 0)
        return file;
    io_close(pool->io, file);
    int rc = wal_file_rename(pool->io, pool->directory, pool->next_sequence, WAL_SUFFIX_FILLING, WAL_SUFFIX_READY);
    if (rc == 0)
        ready_insert(pool, pool->next_sequence++);
    return rc;
}

int segment_pool_take(struct segment_pool *pool, bool may_make, uint64_t *sequence)
{
    REQUIRE(IMPLIES(may_make, pool->state == SEGMENT_POOL_IDLE));
    int rc = pool->ready_count == 0 && may_make ? pool_make_now(pool) : 0;
    if (rc != 0)
        return rc;
    if (segment_pool_ready_count(pool) == 0)
        return -ENOENT;
    *sequence = pool->ready[0];
    rc = wal_file_rename(pool->io, pool->directory, *sequence, WAL_SUFFIX_READY, WAL_SUFFIX_SEGMENT);
    if (segment_pool_is_no_space(rc)) {
        pool_note_failure(pool, rc);
        pool->blocked = true;
    }
    if (rc != 0)
        return rc;
    pool->ready_count--;
    memmove(pool->ready, pool->ready + 1, pool->ready_count * sizeof(pool->ready[0]));
    return pool_open_segment(pool, *sequence);
}
