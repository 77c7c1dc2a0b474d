#include "bench/wal_lanes.h"

#include "bench/clock.h"
#include "wal/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define RING_ENTRIES 64
#define FILL_SIZE (1 * MIB)
#define ENGINE_LEVEL_NONE 1
#define RECORD_KIND 10
#define SPARE_MAX 2
#define SETTLE_TURN_NS (10 * NS_PER_MS)

/* ---- The log ------------------------------------------------------------------------------------------------------------- */

struct log_lane {
    char path[WAL_PATH_SIZE];
    char shard_path[WAL_PATH_SIZE];
    struct lane_shape shape;
    struct io *io;
    struct wal_directory directory;
    struct wal *wal;
    uint64_t frames; /* released */
    _Alignas(RECORD_ALIGNMENT) uint8_t record[RECORD_SIZE_MAX];
};

static bool log_directory_make(struct log_lane *lane, struct failure *failure)
{
    char why[512] = "";
    int rc =
        wal_directory_open(lane->io, lane->path, 1, 1, lane->shape.segment_size, &lane->directory, why, sizeof why);
    if (rc != 0)
        return failure_set(failure, EXIT_USAGE, "%s", why);
    if (!lane->directory.created)
        return failure_set(failure, EXIT_USAGE, "%s is there already", lane->path);
    wal_shard_path(&lane->directory, 0, lane->shard_path);
    return true;
}

static bool log_io_make(struct log_lane *lane, const struct wal_options *options, struct failure *failure)
{
    struct io_options io_options = { .ring_entries = RING_ENTRIES,
                                     .fixed_buffers_count = wal_buffers_count(options),
                                     .fixed_files_max = lane->shape.plain_files ? 0 : WAL_FILES_MAX };
    const char *why = NULL;
    int rc = io_create(&io_options, &lane->io, &why);
    if (rc == 0)
        rc = io_adopt(lane->io);
    return rc == 0 || failure_set(failure, EXIT_REFUSED, "%s", why ? why : strerror(-rc));
}

static bool log_make(struct log_lane *lane, struct failure *failure)
{
    struct wal_options options = {
        .directory = lane->shard_path,
        .shards_count = 1,
        .segment_size = lane->shape.segment_size,
        .frame_size_max = lane->shape.frame_size,
        .depth_max = lane->shape.depth,
        .ready_min = lane->shape.ready_min,
        .spare_max = SPARE_MAX,
    };
    if (!log_io_make(lane, &options, failure) || !log_directory_make(lane, failure))
        return false;
    memcpy(options.uuid, lane->directory.header.uuid, sizeof options.uuid);
    struct wal_position begin = { .next_index = 1, .next_lsn = 1, .next_segment_sequence = 1 };
    const char *why = NULL;
    int rc = wal_open(lane->io, &options, &begin, &lane->wal, &why);
    return rc == 0 || failure_set(failure, EXIT_REFUSED, "%s: %s", why, strerror(-rc));
}

bool log_lane_open(struct log_lane **lane, const char *directory, const struct lane_shape *shape,
                   struct failure *failure)
{
    struct log_lane *made = calloc(1, sizeof *made);
    if (made == NULL)
        return failure_set(failure, EXIT_REFUSED, "no memory");
    *lane = made;
    made->shape = *shape;
    made->directory.lock_file = -1;
    if (snprintf(made->path, sizeof made->path, "%s", directory) >= (int)sizeof made->path)
        return failure_set(failure, EXIT_USAGE, "%s: the path is too long", directory);
    for (size_t i = 0; i < sizeof made->record; i++)
        made->record[i] = (uint8_t)(i * 131 + 7);
    return log_make(made, failure);
}

static bool log_check(const struct log_lane *lane, int rc, struct failure *failure)
{
    if (rc == 0)
        rc = wal_error(lane->wal);
    return rc == 0 || failure_set(failure, EXIT_REFUSED, "the log failed: %s", strerror(-rc));
}

static bool log_settle(struct log_lane *lane, struct failure *failure)
{
    bool busy = true;
    while (busy) {
        wal_tend(lane->wal);
        int rc = io_run(lane->io, io_now_ns(lane->io) + SETTLE_TURN_NS);
        if (!log_check(lane, rc, failure))
            return false;
        if (wal_space(lane->wal) != WAL_SPACE_AMPLE)
            return failure_set(failure, EXIT_REFUSED, "the disk of %s is full", lane->path);
        busy = wal_is_busy(lane->wal);
    }
    return true;
}

/* A frame's payload in records; the last one takes what is left, so that the frame has exactly its size. */
static void log_fill(struct log_lane *lane, uint32_t *payload)
{
    uint32_t full = lane->shape.frame_size - (uint32_t)sizeof(struct wal_frame_header);
    while (*payload < full) {
        uint32_t left = full - *payload;
        bool last = left < lane->shape.record_size + (uint32_t)sizeof(struct record_header);
        struct record_header *record = (struct record_header *)(void *)lane->record;
        *record = (struct record_header){
            .size = (uint16_t)(last ? left : lane->shape.record_size),
            .kind = RECORD_KIND,
            .version = 1,
            .property = *payload,
        };
        if (!wal_has_room(lane->wal, record->size))
            return;
        (void)wal_append(lane->wal, record);
        *payload += record->size;
    }
}

static void log_release(struct log_lane *lane)
{
    uint64_t sequence = 0;
    for (const struct wal_frame_header *frame; (frame = wal_durable(lane->wal)) != NULL; wal_release(lane->wal)) {
        ENSURE(frame->frame_size == lane->shape.frame_size);
        sequence = frame->segment_sequence;
        lane->frames++;
    }
    if (sequence != 0)
        wal_retire_below(lane->wal, sequence); /* nobody reads this log: its segments come back */
}

/* Seals what is full as long as the log allows. The only frame under way goes to the kernel before the next one is filled, so that the disk
 * does not wait for that; others go with it. */
static int log_seal(struct log_lane *lane, uint32_t *payload, bool more)
{
    uint32_t full = lane->shape.frame_size - (uint32_t)sizeof(struct wal_frame_header);
    int rc = 0;
    while (rc == 0 && *payload == full && wal_may_seal(lane->wal)) {
        wal_seal(lane->wal, io_wall_ns(lane->io), ENGINE_LEVEL_NONE, false);
        *payload = 0;
        if (wal_state_of(lane->wal).in_flight == 1)
            rc = io_run(lane->io, 0);
        if (more)
            log_fill(lane, payload);
    }
    return rc;
}

bool log_lane_run(struct log_lane *lane, uint64_t duration_ns, struct lane_round *round, struct failure *failure)
{
    if (!log_settle(lane, failure))
        return false;
    uint32_t payload = 0;
    uint64_t frames_before = lane->frames;
    uint64_t begin_ns = clock_now_ns();
    bool over = false;
    while (!over || wal_state_of(lane->wal).in_flight > 0 || payload > 0) {
        over = clock_now_ns() - begin_ns >= duration_ns;
        wal_tend(lane->wal);
        if (!over || payload > 0)
            log_fill(lane, &payload); /* where there was no room before */
        int rc = log_seal(lane, &payload, !over);
        if (rc == 0 && wal_durable(lane->wal) == NULL)
            rc = io_run(lane->io, wal_tend_due_ns(lane->wal));
        if (!log_check(lane, rc, failure))
            return false;
        log_release(lane);
    }
    *round = (struct lane_round){ .frames = lane->frames - frames_before, .duration_ns = clock_now_ns() - begin_ns };
    return true;
}

struct wal_state log_lane_state(const struct log_lane *lane)
{
    return wal_state_of(lane->wal);
}

const struct histogram *log_lane_latency(const struct log_lane *lane)
{
    return wal_write_latency(lane->wal);
}

static int entry_delete(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

void log_lane_close(struct log_lane *lane)
{
    if (lane == NULL)
        return;
    if (lane->wal != NULL)
        wal_close(lane->wal);
    if (lane->io != NULL)
        wal_directory_close(lane->io, &lane->directory);
    io_destroy(lane->io);
    if (lane->directory.created)
        (void)nftw(lane->path, entry_delete, 8, FTW_DEPTH | FTW_PHYS);
    free(lane);
}

/* ---- The bare writes --------------------------------------------------------------------------------------------------------- */

struct raw_lane {
    struct io_uring ring;
    bool ring_made;
    int file;
    uint64_t file_size;
    uint64_t offset;
    uint8_t *buffers; /* one a slot, one behind the other */
    size_t buffers_size;
    struct lane_shape shape;
    uint64_t submitted_ns[WAL_DEPTH_MAX];
    struct histogram latency;
};

static bool raw_file_make(struct raw_lane *lane, const char *directory, struct failure *failure)
{
    char path[WAL_PATH_SIZE];
    if (snprintf(path, sizeof path, "%s/innkeep-wal-bench-raw-%d", directory, (int)getpid()) >= (int)sizeof path)
        return failure_set(failure, EXIT_USAGE, "%s: the path is too long", directory);
    lane->file = open(path, O_RDWR | O_CREAT | O_EXCL | O_DIRECT | O_CLOEXEC, 0600);
    if (lane->file < 0)
        return failure_set(failure, EXIT_USAGE, "%s: %s (a file system with O_DIRECT is needed)", path,
                           strerror(errno));
    (void)unlink(path);
    void *zeros = aligned_alloc(WAL_BLOCK_SIZE, FILL_SIZE);
    if (zeros == NULL)
        return failure_set(failure, EXIT_REFUSED, "no memory");
    memset(zeros, 0, FILL_SIZE);
    bool whole = true;
    for (uint64_t at = 0; whole && at < lane->file_size; at += FILL_SIZE)
        whole = pwrite(lane->file, zeros, FILL_SIZE, (off_t)at) == (ssize_t)FILL_SIZE;
    whole = whole && fsync(lane->file) == 0;
    free(zeros);
    return whole || failure_set(failure, EXIT_REFUSED, "filling %s with zeros: %s", path, strerror(errno));
}

/* The flags of wal/io_uring.c. */
static bool raw_ring_make(struct raw_lane *lane, struct failure *failure)
{
    struct io_uring_params parameters = { .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                                                   IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL };
    int rc = io_uring_queue_init_params(RING_ENTRIES, &lane->ring, &parameters);
    if (rc < 0)
        return failure_set(failure, EXIT_REFUSED, "making a ring: %s", strerror(-rc));
    lane->ring_made = true;
    (void)!io_uring_register_ring_fd(&lane->ring);
    rc = io_uring_register_files(&lane->ring, &lane->file, 1);
    return rc == 0 || failure_set(failure, EXIT_REFUSED, "registering a file: %s", strerror(-rc));
}

bool raw_lane_open(struct raw_lane **lane, const char *directory, uint64_t file_size, struct failure *failure)
{
    struct raw_lane *made = calloc(1, sizeof *made);
    if (made == NULL)
        return failure_set(failure, EXIT_REFUSED, "no memory");
    *lane = made;
    made->file = -1;
    made->file_size = file_size / FILL_SIZE * FILL_SIZE;
    return raw_file_make(made, directory, failure) && raw_ring_make(made, failure);
}

bool raw_lane_shape(struct raw_lane *lane, const struct lane_shape *shape, struct failure *failure)
{
    if (lane->buffers != NULL)
        (void)io_uring_unregister_buffers(&lane->ring);
    free(lane->buffers);
    lane->shape = *shape;
    lane->buffers_size = (size_t)shape->depth * shape->frame_size;
    lane->buffers = aligned_alloc(WAL_BLOCK_SIZE, lane->buffers_size);
    if (lane->buffers == NULL)
        return failure_set(failure, EXIT_REFUSED, "no memory");
    for (size_t i = 0; i < lane->buffers_size; i++)
        lane->buffers[i] = (uint8_t)(i * 131 + 7);
    memset(&lane->latency, 0, sizeof lane->latency);
    struct iovec whole = { .iov_base = lane->buffers, .iov_len = lane->buffers_size };
    int rc = io_uring_register_buffers(&lane->ring, &whole, 1);
    return rc == 0 || failure_set(failure, EXIT_REFUSED, "%s", io_buffers_explain(rc));
}

static void raw_submit(struct raw_lane *lane, uint32_t slot)
{
    if (lane->offset + lane->shape.frame_size > lane->file_size)
        lane->offset = 0;
    struct io_uring_sqe *entry = io_uring_get_sqe(&lane->ring);
    ENSURE(entry != NULL);
    io_uring_prep_write_fixed(entry, 0, lane->buffers + (size_t)slot * lane->shape.frame_size, lane->shape.frame_size,
                              lane->offset, 0);
    entry->rw_flags = RWF_DSYNC;
    entry->flags |= IOSQE_FIXED_FILE;
    io_uring_sqe_set_data64(entry, slot);
    lane->offset += lane->shape.frame_size;
    lane->submitted_ns[slot] = clock_now_ns();
}

/* Takes what is complete; each slot writes on unless the time is over. Returns how many there were, or a negated errno. */
static int raw_reap(struct raw_lane *lane, bool over)
{
    struct io_uring_cqe *entry;
    unsigned head;
    int count = 0;
    int error = 0;
    uint64_t now_ns = clock_now_ns();
    io_uring_for_each_cqe(&lane->ring, head, entry)
    {
        uint32_t slot = (uint32_t)entry->user_data;
        if (entry->res != (int)lane->shape.frame_size)
            error = entry->res < 0 ? entry->res : -EIO;
        histogram_add(&lane->latency, now_ns - lane->submitted_ns[slot]);
        if (!over)
            raw_submit(lane, slot);
        count++;
    }
    io_uring_cq_advance(&lane->ring, (unsigned)count);
    return error != 0 ? error : count;
}

bool raw_lane_run(struct raw_lane *lane, uint64_t duration_ns, struct lane_round *round, struct failure *failure)
{
    uint64_t frames = 0;
    uint32_t under_way = lane->shape.depth;
    uint64_t begin_ns = clock_now_ns();
    for (uint32_t slot = 0; slot < lane->shape.depth; slot++)
        raw_submit(lane, slot);
    while (under_way > 0) {
        int rc = io_uring_submit_and_wait(&lane->ring, 1);
        bool over = clock_now_ns() - begin_ns >= duration_ns;
        if (rc >= 0)
            rc = raw_reap(lane, over);
        if (rc < 0 && rc != -EINTR)
            return failure_set(failure, EXIT_REFUSED, "a bare write failed: %s", strerror(-rc));
        if (rc > 0) {
            frames += (uint64_t)rc;
            under_way -= over ? (uint32_t)rc : 0;
        }
    }
    *round = (struct lane_round){ .frames = frames, .duration_ns = clock_now_ns() - begin_ns };
    return true;
}

const struct histogram *raw_lane_latency(const struct raw_lane *lane)
{
    return &lane->latency;
}

void raw_lane_close(struct raw_lane *lane)
{
    if (lane == NULL)
        return;
    if (lane->ring_made)
        io_uring_queue_exit(&lane->ring);
    if (lane->file >= 0)
        close(lane->file);
    free(lane->buffers);
    free(lane);
}
