#include "tests/wal/fake_io.h"

#include "engine/base/units.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#define FILES_MAX 1024
#define OPEN_MAX 64
#define PENDING_MAX 64
#define FIXED_FILES_MAX 3 /* so few that the log has to do without for some */
#define PATH_MAX_BYTES 256

struct file {
    char path[PATH_MAX_BYTES]; /* "": none, or unlinked */
    uint8_t *bytes;
    size_t size;
    size_t capacity;
    bool directory;
    bool dirty;
    /* What a crash leaves. */
    char durable_path[PATH_MAX_BYTES];
    uint8_t *durable_bytes;
    size_t durable_size;
    uint64_t named; /* the number of its last naming */
};

struct pending {
    struct fake_pending view;
    struct io_request *request;
    struct file *file;
    const void *bytes;
    void *into; /* FAKE_READ */
    bool named; /* by fake_io_complete */
    int32_t result;
};

struct io {
    bool adopted;
};

static struct {
    struct io io;
    uint64_t now_ns;
    struct file files[FILES_MAX];
    struct file *open[OPEN_MAX];
    struct pending pending[PENDING_MAX];
    size_t pending_count;
    struct iovec buffers[16];
    uint32_t buffers_count;
    bool held;
    char failing_writes[PATH_MAX_BYTES];
    int32_t failing_writes_error;
    char failing_syncs[PATH_MAX_BYTES];
    int32_t failing_syncs_error;
    uint64_t space_max;
    bool direct_refused;
    uint64_t changes; /* calls that change something */
    uint64_t fail_from;
    int fail_error;
    bool fails_once;
    bool requests_counted;
    uint64_t namings;
    uint64_t looks;
    uint64_t fail_looks_from;
    int fail_looks_error;
} world = { .now_ns = NS_PER_SECOND, .space_max = UINT64_MAX };

static bool registered[OPEN_MAX];

/* ---- Files ------------------------------------------------------------------------------------------------------------- */

static struct file *file_find(const char *path)
{
    for (size_t i = 0; i < FILES_MAX; i++)
        if (world.files[i].path[0] != '\0' && strcmp(world.files[i].path, path) == 0)
            return &world.files[i];
    return NULL;
}

static bool file_is_open(const struct file *file)
{
    for (size_t i = 0; i < OPEN_MAX; i++)
        if (world.open[i] == file)
            return true;
    return false;
}

static struct file *file_add(const char *path, bool directory)
{
    for (size_t i = 0; i < FILES_MAX; i++) {
        struct file *file = &world.files[i];
        if (file->path[0] != '\0' || file->durable_path[0] != '\0' || file_is_open(file))
            continue;
        free(file->bytes);
        free(file->durable_bytes);
        *file = (struct file){ .directory = directory };
        cr_assert_lt(strlen(path), sizeof(file->path));
        memcpy(file->path, path, strlen(path) + 1);
        return file;
    }
    cr_assert_fail("the fake disk has too many files");
    return NULL;
}

static uint64_t space_used(void)
{
    uint64_t used = 0;
    for (size_t i = 0; i < FILES_MAX; i++)
        if (world.files[i].path[0] != '\0')
            used += world.files[i].size;
    return used;
}

/* How much of a write there is space for, as a disk that runs full has it: whole blocks. */
static size_t space_for(const struct file *file, uint64_t offset, size_t size_bytes)
{
    uint64_t end = offset + size_bytes;
    if (end <= file->size)
        return size_bytes;
    uint64_t growth = end - file->size;
    uint64_t left = world.space_max - (space_used() < world.space_max ? space_used() : world.space_max);
    if (growth <= left)
        return size_bytes;
    uint64_t short_end = file->size + left / 4096 * 4096;
    return short_end > offset ? (size_t)(short_end - offset) : 0;
}

/* The directory that holds `path` has a change to make durable. */
static void parent_dirty(const char *path)
{
    char parent[PATH_MAX_BYTES];
    snprintf(parent, sizeof(parent), "%s", path);
    char *slash = strrchr(parent, '/');
    if (!slash)
        return;
    *slash = '\0';
    struct file *directory = file_find(parent);
    if (directory)
        directory->dirty = true;
}

static void file_put(struct file *file, uint64_t offset, const void *bytes, size_t size_bytes)
{
    size_t end = (size_t)offset + size_bytes;
    if (end > file->size) {
        if (end > file->capacity) {
            file->capacity = 2 * end;
            file->bytes = realloc(file->bytes, file->capacity);
            cr_assert_not_null(file->bytes);
        }
        memset(file->bytes + file->size, 0, end - file->size);
        file->size = end;
    }
    memcpy(file->bytes + offset, bytes, size_bytes);
}

/* ---- What a crash leaves ------------------------------------------------------------------------------------------------ */

static void file_make_durable(struct file *file)
{
    file->dirty = false;
    file->durable_bytes = realloc(file->durable_bytes, file->size + 1);
    cr_assert_not_null(file->durable_bytes);
    if (file->size > 0)
        memcpy(file->durable_bytes, file->bytes, file->size);
    file->durable_size = file->size;
}

/* A write that is durable by itself, whatever became of the bytes around it. */
static void range_make_durable(struct file *file, uint64_t offset, const void *bytes, size_t size_bytes)
{
    struct file durable = {
        .bytes = file->durable_bytes,
        .size = file->durable_size,
        .capacity = file->durable_size,
    };
    file_put(&durable, offset, bytes, size_bytes);
    file->durable_bytes = durable.bytes;
    file->durable_size = durable.size;
}

static bool lies_in(const char *path, const char *directory)
{
    size_t length = strlen(directory);
    return strncmp(path, directory, length) == 0 && path[length] == '/' && !strchr(path + length + 1, '/');
}

static void directory_make_durable(struct file *directory)
{
    directory->dirty = false;
    for (size_t i = 0; i < FILES_MAX; i++) {
        struct file *file = &world.files[i];
        if (lies_in(file->durable_path, directory->path) || lies_in(file->path, directory->path))
            memcpy(file->durable_path, file->path, sizeof(file->path));
    }
}

static void make_durable(struct file *file)
{
    if (file->directory)
        directory_make_durable(file);
    else
        file_make_durable(file);
}

static int change_fails(void)
{
    world.changes++;
    if (world.fails_once && world.changes > world.fail_from)
        return 0;
    return world.fail_from != 0 && world.changes >= world.fail_from ? world.fail_error : 0;
}

static int look_fails(void)
{
    world.looks++;
    return world.fail_looks_from != 0 && world.looks >= world.fail_looks_from ? world.fail_looks_error : 0;
}

static struct file *file_of(int number)
{
    cr_assert(number >= 0 && number < OPEN_MAX && world.open[number] != NULL, "a file that is not open: %d", number);
    return world.open[number];
}

int io_open(struct io *io, const char *path, unsigned flags)
{
    (void)io;
    struct file *file = file_find(path);
    if (file && (flags & IO_OPEN_CREATE))
        return -EEXIST;
    if (!file && !(flags & IO_OPEN_CREATE))
        return -ENOENT;
    if ((flags & IO_OPEN_DIRECT) && world.direct_refused)
        return -EINVAL;
    int failed = file ? look_fails() : change_fails();
    if (failed != 0)
        return failed;
    if (!file && space_used() >= world.space_max)
        return -ENOSPC;
    if (!file) {
        file = file_add(path, false);
        parent_dirty(path);
    }
    for (int i = 0; i < OPEN_MAX; i++)
        if (!world.open[i]) {
            world.open[i] = file;
            return i;
        }
    return -EMFILE;
}

void io_close(struct io *io, int file)
{
    (void)io;
    cr_assert_not(registered[file], "a file is closed while it is registered");
    for (size_t i = 0; i < world.pending_count; i++)
        cr_assert_neq(world.pending[i].file, file_of(file), "a file is closed while an io on it is in flight");
    world.open[file] = NULL;
}

ssize_t io_read_at(struct io *io, int file, void *bytes, size_t size_bytes, uint64_t offset)
{
    (void)io;
    const struct file *from = file_of(file);
    int failed = look_fails();
    if (failed != 0)
        return failed;
    if (offset >= from->size)
        return 0;
    size_t left = from->size - (size_t)offset;
    size_t size = left < size_bytes ? left : size_bytes;
    memcpy(bytes, from->bytes + offset, size);
    return (ssize_t)size;
}

int io_write_at(struct io *io, int file, const void *bytes, size_t size_bytes, uint64_t offset)
{
    (void)io;
    struct file *to = file_of(file);
    int failed = change_fails();
    if (failed != 0)
        return failed;
    if (space_for(to, offset, size_bytes) < size_bytes)
        return -ENOSPC;
    file_put(to, offset, bytes, size_bytes);
    to->dirty = true;
    return 0;
}

int io_sync_file(struct io *io, int file)
{
    (void)io;
    int failed = change_fails();
    if (failed == 0)
        make_durable(file_of(file));
    return failed;
}

int64_t io_size_of(struct io *io, int file)
{
    (void)io;
    int failed = look_fails();
    return failed != 0 ? failed : (int64_t)file_of(file)->size;
}

int io_make_directory(struct io *io, const char *path)
{
    (void)io;
    if (file_find(path))
        return -EEXIST;
    int failed = change_fails();
    if (failed != 0)
        return failed;
    file_add(path, true);
    parent_dirty(path);
    return 0;
}

int io_sync_directory(struct io *io, const char *path)
{
    (void)io;
    struct file *directory = file_find(path);
    int failed = change_fails();
    if (failed == 0 && directory)
        make_durable(directory);
    return failed;
}

int io_rename(struct io *io, const char *from, const char *to)
{
    (void)io;
    struct file *file = file_find(from);
    if (!file)
        return -ENOENT;
    int failed = change_fails();
    if (failed != 0)
        return failed;
    struct file *replaced = file_find(to);
    if (replaced)
        replaced->path[0] = '\0';
    cr_assert_lt(strlen(to), sizeof(file->path));
    memcpy(file->path, to, strlen(to) + 1);
    file->named = ++world.namings;
    parent_dirty(to);
    return 0;
}

static void file_unlink(struct file *file)
{
    parent_dirty(file->path);
    file->path[0] = '\0';
}

int io_unlink(struct io *io, const char *path)
{
    (void)io;
    struct file *file = file_find(path);
    if (!file)
        return -ENOENT;
    int failed = change_fails();
    if (failed == 0)
        file_unlink(file);
    return failed;
}

/* A visitor may unlink what it is shown. */
int io_list(struct io *io, const char *path, int (*visit)(void *context, const char *name), void *context)
{
    (void)io;
    if (!file_find(path))
        return -ENOENT;
    int failed = look_fails();
    if (failed != 0)
        return failed;
    size_t length = strlen(path);
    for (size_t i = 0; i < FILES_MAX; i++) {
        const char *found = world.files[i].path;
        if (strncmp(found, path, length) != 0 || found[length] != '/' || strchr(found + length + 1, '/'))
            continue;
        char name[PATH_MAX_BYTES];
        snprintf(name, sizeof(name), "%s", found + length + 1);
        int rc = visit(context, name);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int io_lock(struct io *io, int file)
{
    (void)io;
    (void)file_of(file);
    return 0;
}

/* ---- Time, randomness, the ring ------------------------------------------------------------------------------------------- */

int io_create(const struct io_options *options, struct io **io, const char **why)
{
    (void)options;
    *why = NULL;
    *io = &world.io;
    return 0;
}

void io_destroy(struct io *io)
{
    (void)io;
    cr_assert_eq(world.pending_count, 0u, "an io is in flight while its world ends");
    for (size_t i = 0; i < OPEN_MAX; i++)
        cr_assert_null(world.open[i], "%s stays open", world.open[i] ? world.open[i]->path : "");
    world.buffers_count = 0;
}

int io_adopt(struct io *io)
{
    io->adopted = true;
    return 0;
}

uint64_t io_now_ns(struct io *io)
{
    (void)io;
    return world.now_ns;
}

uint64_t io_wall_ns(struct io *io)
{
    (void)io;
    return world.now_ns;
}

int io_kernel_workers(struct io *io)
{
    (void)io;
    return 0;
}

int io_entropy(struct io *io, void *bytes, size_t size_bytes)
{
    (void)io;
    for (size_t i = 0; i < size_bytes; i++)
        ((uint8_t *)bytes)[i] = (uint8_t)(i * 37 + 11);
    return 0;
}

int io_buffers_register(struct io *io, const struct iovec *buffers, uint32_t count)
{
    cr_assert(io->adopted && world.buffers_count == 0 && count <= ARRAY_COUNT(world.buffers));
    memcpy(world.buffers, buffers, count * sizeof(buffers[0]));
    world.buffers_count = count;
    return 0;
}

int io_file_register(struct io *io, int file)
{
    cr_assert(io->adopted && file_of(file) != NULL && !registered[file]);
    size_t count = 0;
    for (size_t i = 0; i < OPEN_MAX; i++)
        count += registered[i];
    if (count >= FIXED_FILES_MAX)
        return -ENOSPC;
    registered[file] = true;
    return 0;
}

void io_file_unregister(struct io *io, int file)
{
    (void)io;
    cr_assert_not_null(file_of(file));
    registered[file] = false;
}

static struct pending *pending_add_for(struct io_request *request, struct file *file, enum fake_operation operation)
{
    cr_assert_lt(world.pending_count, (size_t)PENDING_MAX);
    struct pending *pending = &world.pending[world.pending_count++];
    *pending = (struct pending){ .request = request, .file = file, .result = FAKE_ALL };
    pending->view.operation = operation;
    if (file)
        memcpy(pending->view.path, file->path, sizeof(pending->view.path));
    return pending;
}

static struct pending *pending_add(struct io_request *request, int file, enum fake_operation operation)
{
    return pending_add_for(request, file_of(file), operation);
}

void io_write_fixed(struct io *io, struct io_request *request, int file, uint32_t buffer, const void *bytes,
                    uint32_t size_bytes, uint64_t offset, bool durable)
{
    (void)io;
    cr_assert_lt(buffer, world.buffers_count);
    const uint8_t *begin = world.buffers[buffer].iov_base;
    const uint8_t *from = bytes;
    cr_assert(from >= begin && from + size_bytes <= begin + world.buffers[buffer].iov_len, "outside its buffer");
    cr_assert(size_bytes % 4096 == 0 && offset % 4096 == 0 && (uintptr_t)bytes % 4096 == 0, "not aligned");
    struct pending *pending = pending_add(request, file, FAKE_WRITE);
    pending->bytes = bytes;
    pending->view.offset = offset;
    pending->view.size = size_bytes;
    pending->view.durable = durable;
}

void io_read(struct io *io, struct io_request *request, int file, void *bytes, uint32_t size_bytes, uint64_t offset)
{
    (void)io;
    struct pending *pending = pending_add(request, file, FAKE_READ);
    pending->into = bytes;
    pending->view.offset = offset;
    pending->view.size = size_bytes;
}

void io_sync(struct io *io, struct io_request *request, int file)
{
    (void)io;
    cr_assert_not(file_of(file)->directory, "fdatasync of a directory makes no names durable");
    pending_add(request, file, FAKE_SYNC);
}

void io_unlink_later(struct io *io, struct io_request *request, const char *path)
{
    (void)io;
    struct file *file = file_find(path);
    cr_assert_not(file && file_is_open(file), "what is open keeps its blocks, and its close would take the time");
    pending_add_for(request, file, FAKE_UNLINK);
}

void io_sync_entries(struct io *io, struct io_request *request, int directory)
{
    (void)io;
    cr_assert(file_of(directory)->directory);
    pending_add(request, directory, FAKE_SYNC);
}

static int32_t read_result(const struct pending *pending)
{
    int failed = look_fails();
    if (failed != 0 || pending->view.offset >= pending->file->size)
        return failed;
    size_t left = pending->file->size - (size_t)pending->view.offset;
    return (int32_t)(left < pending->view.size ? left : pending->view.size);
}

static int32_t pending_result(const struct pending *pending)
{
    if (pending->result != FAKE_ALL)
        return pending->result;
    const char *path = pending->view.path;
    if (pending->view.operation == FAKE_READ)
        return read_result(pending);
    if (pending->view.operation == FAKE_UNLINK && !pending->file)
        return -ENOENT;
    int failed = world.requests_counted ? change_fails() : 0;
    if (failed != 0)
        return failed;
    if (pending->view.operation == FAKE_UNLINK)
        return 0;
    if (pending->view.operation == FAKE_SYNC)
        return world.failing_syncs[0] != '\0' && strstr(path, world.failing_syncs) ? world.failing_syncs_error : 0;
    if (world.failing_writes[0] != '\0' && strstr(path, world.failing_writes))
        return world.failing_writes_error;
    size_t room = space_for(pending->file, pending->view.offset, pending->view.size);
    return room > 0 ? (int32_t)room : -ENOSPC;
}

static void pending_finish(size_t i)
{
    struct pending pending = world.pending[i];
    memmove(&world.pending[i], &world.pending[i + 1], (world.pending_count - i - 1) * sizeof(pending));
    world.pending_count--;
    struct io_completion completion = { .result = pending_result(&pending) };
    if (pending.view.operation == FAKE_WRITE && completion.result > 0) {
        file_put(pending.file, pending.view.offset, pending.bytes, (size_t)completion.result);
        pending.file->dirty = pending.file->dirty || !pending.view.durable;
        if (pending.view.durable)
            range_make_durable(pending.file, pending.view.offset, pending.bytes, (size_t)completion.result);
    }
    if (pending.view.operation == FAKE_SYNC && completion.result == 0)
        make_durable(pending.file);
    if (pending.view.operation == FAKE_UNLINK && completion.result == 0)
        file_unlink(pending.file);
    if (pending.view.operation == FAKE_READ && completion.result > 0)
        memcpy(pending.into, pending.file->bytes + pending.view.offset, (size_t)completion.result);
    pending.request->done(pending.request, &completion);
}

/* What a completion submits waits for the next run, as on the real ring. */
int io_run(struct io *io, uint64_t wait_until_ns)
{
    (void)io;
    size_t finished = 0;
    for (size_t i = 0, left = world.pending_count; left > 0; left--) {
        if (world.held && !world.pending[i].named) {
            i++;
            continue;
        }
        pending_finish(i);
        finished++;
    }
    cr_assert(finished > 0 || wait_until_ns != NEVER_NS, "waits for ever");
    if (finished == 0 && wait_until_ns > world.now_ns)
        world.now_ns = wait_until_ns;
    return 0;
}

/* ---- The test's hand ------------------------------------------------------------------------------------------------------- */

void fake_io_hold(bool held)
{
    world.held = held;
}

size_t fake_io_pending_count(void)
{
    return world.pending_count;
}

struct fake_pending fake_io_pending(size_t i)
{
    cr_assert_lt(i, world.pending_count);
    return world.pending[i].view;
}

void fake_io_complete(size_t i, int32_t result)
{
    cr_assert_lt(i, world.pending_count);
    world.pending[i].named = true;
    world.pending[i].result = result;
}

void fake_io_fail_writes(const char *path_part, int32_t error)
{
    snprintf(world.failing_writes, sizeof(world.failing_writes), "%s", path_part ? path_part : "");
    world.failing_writes_error = error;
}

void fake_io_fail_syncs(const char *path_part, int32_t error)
{
    snprintf(world.failing_syncs, sizeof(world.failing_syncs), "%s", path_part ? path_part : "");
    world.failing_syncs_error = error;
}

void fake_io_limit_space(uint64_t bytes)
{
    world.space_max = bytes;
}

void fake_io_refuse_direct(bool refused)
{
    world.direct_refused = refused;
}

uint64_t fake_io_fail_from(uint64_t n, int error)
{
    uint64_t before = world.changes;
    world.changes = 0;
    world.fail_from = n;
    world.fail_error = error;
    world.fails_once = false;
    return before;
}

void fake_io_fail_once(uint64_t n, int error)
{
    (void)fake_io_fail_from(n, error);
    world.fails_once = true;
}

void fake_io_count_requests(bool counted)
{
    world.requests_counted = counted;
}

void fake_io_fail_looks_from(uint64_t n, int error)
{
    world.looks = 0;
    world.fail_looks_from = n;
    world.fail_looks_error = error;
}

void fake_io_advance(uint64_t ns)
{
    world.now_ns += ns;
}

uint8_t *fake_io_file(const char *path, size_t *size_bytes)
{
    struct file *file = file_find(path);
    if (!file)
        return NULL;
    *size_bytes = file->size;
    return file->bytes;
}

bool fake_io_is_dirty(const char *path)
{
    const struct file *file = file_find(path);
    cr_assert_not_null(file, "%s", path);
    return file->dirty;
}

void fake_io_cut(const char *path, size_t size_bytes)
{
    struct file *file = file_find(path);
    cr_assert(file && file->size >= size_bytes);
    file->size = size_bytes;
}

size_t fake_io_count(const char *suffix)
{
    size_t count = 0;
    for (size_t i = 0; i < FILES_MAX; i++) {
        size_t length = strlen(world.files[i].path);
        size_t tail = strlen(suffix);
        count += length >= tail && length > 0 && strcmp(world.files[i].path + length - tail, suffix) == 0;
    }
    return count;
}

/* Whatever else had that name is replaced. */
static void last_name_make_durable(void)
{
    struct file *last = NULL;
    for (size_t i = 0; i < FILES_MAX; i++)
        if (world.files[i].named > 0 && (!last || world.files[i].named > last->named))
            last = &world.files[i];
    if (!last || last->path[0] == '\0')
        return;
    for (size_t i = 0; i < FILES_MAX; i++)
        if (strcmp(world.files[i].durable_path, last->path) == 0)
            world.files[i].durable_path[0] = '\0';
    memcpy(last->durable_path, last->path, sizeof(last->path));
}

static void file_crash(struct file *file, enum fake_crash crash)
{
    if (crash == FAKE_CRASH_ALL || crash == FAKE_CRASH_ORDER)
        memcpy(file->path, file->durable_path, sizeof(file->path));
    else
        memcpy(file->durable_path, file->path, sizeof(file->path));
    if (crash == FAKE_CRASH_PROCESS || file->directory) {
        file_make_durable(file);
        return;
    }
    file->size = 0;
    if (file->durable_size > 0)
        file_put(file, 0, file->durable_bytes, file->durable_size);
    file->dirty = false;
}

void fake_io_crash(enum fake_crash crash)
{
    if (crash == FAKE_CRASH_ORDER)
        last_name_make_durable();
    for (size_t i = 0; i < FILES_MAX; i++)
        file_crash(&world.files[i], crash);
    memset(world.open, 0, sizeof(world.open));
    world.pending_count = 0;
    world.io.adopted = false;
    world.buffers_count = 0;
    world.held = false;
    world.failing_writes[0] = '\0';
    world.failing_syncs[0] = '\0';
    world.space_max = UINT64_MAX;
    world.changes = 0;
    world.fail_from = 0;
    world.requests_counted = false;
    world.looks = 0;
    world.fail_looks_from = 0;
}

void fake_io_reset(void)
{
    for (size_t i = 0; i < FILES_MAX; i++) {
        free(world.files[i].bytes);
        free(world.files[i].durable_bytes);
        world.files[i] = (struct file){ .directory = false };
    }
    fake_io_crash(FAKE_CRASH_PROCESS);
}
