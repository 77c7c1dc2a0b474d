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
    REQUIRE(first_sequence > 0 && pool->ready_min <= WAL_READY_MAX && pool->spare_max <= WAL_SPARE_MAX);
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

static int pool_open_segment(struct segment_pool *pool, uint64_t sequence)
{
    char path[WAL_FILE_PATH_SIZE];
    int rc = wal_file_path(path, pool->directory, sequence, WAL_SUFFIX_SEGMENT);
    return rc != 0 ? rc : io_open(pool->io, path, IO_OPEN_WRITE | IO_OPEN_DIRECT);
}

/* ---- Making one, step by step ---------------------------------------------------------------------------------------- */

bool segment_pool_is_busy(const struct segment_pool *pool)
{
    return pool->state == SEGMENT_POOL_WRITING || pool->state == SEGMENT_POOL_SYNCING;
}

/* What the log can still write before it has to wait for the pool. */
static uint64_t log_left(const struct segment_pool *pool)
{
    return pool->need.left_bytes + segment_pool_ready_count(pool) * pool->segment_size;
}

static uint64_t rest_begins_ns(const struct segment_pool *pool)
{
    return pool->need.frame_ns == 0 ? 0 : pool->need.frame_ns + WAL_REST_NS;
}

static bool log_rests(const struct segment_pool *pool)
{
    return io_now_ns(pool->io) >= rest_begins_ns(pool);
}

/* Too little left to go slowly; or there was no space, and whether there is now has to show. */
static bool log_is_pressed(const struct segment_pool *pool)
{
    return log_left(pool) <= pool->segment_size || pool->retry_ns != 0;
}

/* True while the log needs no more zeros yet: the share that is filled is ahead of the share that the log has used of what it had when the
 * filling began, but for one segment. */
static bool filling_may_wait(const struct segment_pool *pool)
{
    if (log_is_pressed(pool))
        return false;
    uint64_t left = log_left(pool);
    if (pool->begin_left <= left)
        return true;
    double used = (double)(pool->begin_left - left) / (double)(pool->begin_left - pool->segment_size);
    return (double)pool->filled_size >= used * (double)pool->segment_size;
}

static void filling_begin(struct segment_pool *pool, int file, bool recycled)
{
    pool->file = file;
    pool->sequence = pool->next_sequence++;
    pool->filled_size = 0;
    pool->recycled = recycled;
    pool->begin_left = log_left(pool);
    pool->state = SEGMENT_POOL_WRITE_DUE;
}

static void pool_create(struct segment_pool *pool)
{
    int file = wal_file_create_filling(pool->io, pool->directory, pool->next_sequence);
    if (file < 0) {
        pool_note_failure(pool, file);
        return;
    }
    filling_begin(pool, file, false);
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
    uint64_t most = log_rests(pool) || log_is_pressed(pool) ? WAL_FILL_SIZE : WAL_PACED_FILL_SIZE;
    uint32_t size = (uint32_t)(left < most ? left : most);
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

/* ---- Retired ones ------------------------------------------------------------------------------------------------------ */

/* Lack of space is no reason to wait any longer: there may be material now. */
void segment_pool_retire_below(struct segment_pool *pool, uint64_t sequence)
{
    if (sequence <= pool->retired_below)
        return;
    pool->retired_below = sequence;
    pool->look_due = true;
    if (pool->retry_ns != 0)
        pool->retry_ns = io_now_ns(pool->io);
}

/* Keeps the oldest ones, sorted. */
static int retired_visit(void *context, const char *name)
{
    struct segment_pool *pool = context;
    uint64_t sequence = 0;
    if (!wal_file_parse(name, WAL_SUFFIX_SEGMENT, &sequence) || sequence >= pool->retired_below)
        return 0;
    uint32_t i = pool->retired_count;
    if (i == WAL_RETIRED_MAX) {
        pool->look_due = true;
        if (sequence > pool->retired[--i])
            return 0;
    } else {
        pool->retired_count++;
    }
    for (; i > 0 && pool->retired[i - 1] > sequence; i--)
        pool->retired[i] = pool->retired[i - 1];
    pool->retired[i] = sequence;
    return 0;
}

static int retired_look(struct segment_pool *pool)
{
    pool->look_due = false;
    pool->retired_count = 0;
    return io_list(pool->io, pool->directory, retired_visit, pool);
}

static bool retired_look_is_due(const struct segment_pool *pool)
{
    return pool->look_due && pool->retired_count <= pool->spare_max;
}

static void retired_drop_oldest(struct segment_pool *pool)
{
    REQUIRE(pool->retired_count > 0);
    pool->retired_count--;
    memmove(pool->retired, pool->retired + 1, pool->retired_count * sizeof(pool->retired[0]));
}

/* One that is not there any more is as good as deleted. */
static int retired_delete_oldest(struct segment_pool *pool)
{
    int rc = leftover_drop(pool, pool->retired[0], WAL_SUFFIX_SEGMENT);
    if (rc == 0)
        rc = io_sync_directory(pool->io, pool->directory);
    if (rc != 0 && rc != -ENOENT)
        return rc;
    retired_drop_oldest(pool);
    pool->deleted_count++;
    return 0;
}

static bool deletion_is_wanted(const struct segment_pool *pool)
{
    return pool->retired_count > pool->spare_max;
}

static void pool_delete(struct segment_pool *pool)
{
    pool->delete_ns = io_now_ns(pool->io) + WAL_DELETE_PAUSE_NS;
    int rc = retired_delete_oldest(pool);
    if (rc != 0)
        pool_note_failure(pool, rc);
}

/* The oldest retired segment, opened, if it can be made a ready one: -EINVAL where its size is another. */
static int retired_open_oldest(struct segment_pool *pool)
{
    int file = pool_open_segment(pool, pool->retired[0]);
    if (file < 0)
        return file;
    int64_t size = io_size_of(pool->io, file);
    if (size >= 0 && (uint64_t)size == pool->segment_size)
        return file;
    io_close(pool->io, file);
    return size < 0 ? (int)size : -EINVAL;
}

/* The old name is durably gone before the first zero is written. */
static int retired_rename_oldest(struct segment_pool *pool)
{
    char from[WAL_FILE_PATH_SIZE];
    char to[WAL_FILE_PATH_SIZE];
    int rc = wal_file_path(from, pool->directory, pool->retired[0], WAL_SUFFIX_SEGMENT);
    if (rc == 0)
        rc = wal_file_path(to, pool->directory, pool->next_sequence, WAL_SUFFIX_FILLING);
    if (rc == 0)
        rc = io_rename(pool->io, from, to);
    if (rc != 0)
        return rc;
    retired_drop_oldest(pool);
    return io_sync_directory(pool->io, pool->directory);
}

static void pool_recycle(struct segment_pool *pool)
{
    int file = retired_open_oldest(pool);
    if (file == -EINVAL || file == -ENOENT) {
        pool_delete(pool);
        return;
    }
    if (file < 0) {
        pool_note_failure(pool, file);
        return;
    }
    uint32_t before = pool->retired_count;
    int rc = retired_rename_oldest(pool);
    if (rc == 0) {
        filling_begin(pool, file, true);
        pool->recycled_count++;
        return;
    }
    io_close(pool->io, file);
    if (pool->retired_count < before) /* renamed, but perhaps not durably: the next one gets another number */
        wal_file_drop_filling(pool->io, pool->directory, pool->next_sequence++);
    pool_note_failure(pool, rc);
}

/* A new file that lacks space while there is material which has all its blocks. */
static bool filling_is_hopeless(const struct segment_pool *pool)
{
    return pool->state == SEGMENT_POOL_WRITE_DUE && pool->retry_ns != 0 && !pool->recycled && pool->retired_count > 0;
}

static void filling_give_up(struct segment_pool *pool)
{
    io_close(pool->io, pool->file);
    pool->file = -1;
    pool->state = SEGMENT_POOL_IDLE;
    wal_file_drop_filling(pool->io, pool->directory, pool->sequence);
}

/* ---- The next step -------------------------------------------------------------------------------------------------------- */

uint64_t segment_pool_due_ns(const struct segment_pool *pool)
{
    if (pool->error != 0 || segment_pool_is_busy(pool))
        return NEVER_NS;
    if (pool->state == SEGMENT_POOL_WRITE_DUE && filling_may_wait(pool) && rest_begins_ns(pool) > pool->retry_ns)
        return rest_begins_ns(pool);
    if (pool->state != SEGMENT_POOL_IDLE || segment_pool_ready_count(pool) < pool->ready_min ||
        retired_look_is_due(pool))
        return pool->retry_ns;
    if (!deletion_is_wanted(pool))
        return NEVER_NS;
    return pool->retry_ns > pool->delete_ns ? pool->retry_ns : pool->delete_ns;
}

bool segment_pool_lacks_space(const struct segment_pool *pool)
{
    return pool->retry_ns != 0;
}

uint32_t segment_pool_ready_count(const struct segment_pool *pool)
{
    return pool->blocked ? 0 : pool->ready_count;
}

/* At most one call that changes the directory; filling and deleting take turns. */
static void directory_step(struct segment_pool *pool)
{
    if (retired_look_is_due(pool)) {
        int rc = retired_look(pool);
        if (rc != 0)
            pool_note_failure(pool, rc);
    } else if (filling_is_hopeless(pool)) {
        filling_give_up(pool);
    } else if (pool->state == SEGMENT_POOL_RENAME_DUE) {
        pool_rename(pool);
    } else if (pool->state == SEGMENT_POOL_IDLE && pool->ready_count < pool->ready_min) {
        if (pool->retired_count > 0)
            pool_recycle(pool);
        else
            pool_create(pool);
    } else if (deletion_is_wanted(pool) && io_now_ns(pool->io) >= pool->delete_ns) {
        pool_delete(pool);
    }
}

void segment_pool_tend(struct segment_pool *pool, const struct segment_pool_need *need)
{
    pool->need = *need;
    if (pool->error != 0 || segment_pool_is_busy(pool))
        return;
    if (pool->retry_ns != 0 && io_now_ns(pool->io) < pool->retry_ns)
        return;
    pool->blocked = false;
    directory_step(pool);
    if (pool->error != 0)
        return;
    if (pool->state == SEGMENT_POOL_WRITE_DUE && (!filling_may_wait(pool) || log_rests(pool)))
        pool_write(pool);
    else if (pool->state == SEGMENT_POOL_SYNC_DUE)
        pool_sync(pool);
}

/* ---- Using one -------------------------------------------------------------------------------------------------------- */

/* At start, where time is no object: what is retired gives its space to the new segment. */
static int pool_make_filled(struct segment_pool *pool)
{
    for (;;) {
        int file =
            wal_file_make_filled(pool->io, pool->directory, pool->next_sequence, pool->segment_size, pool->zeros);
        if (!segment_pool_is_no_space(file))
            return file;
        int rc = retired_look_is_due(pool) ? retired_look(pool) : 0;
        if (rc == 0 && pool->retired_count == 0)
            return file;
        if (rc == 0)
            rc = retired_delete_oldest(pool);
        if (rc != 0)
            return rc;
    }
}

static int pool_make_now(struct segment_pool *pool)
{
    int file = pool_make_filled(pool);
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
