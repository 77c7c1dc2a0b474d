#include "bench/raw_lane.h"

#include "bench/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define RING_ENTRIES 64
#define RAW_BLOCK_SIZE 4096
#define FILL_SIZE (1 * MIB)
#define PATH_SIZE 4096

struct raw_lane {
    struct io_uring ring;
    bool ring_made;
    int file;
    uint64_t file_size;
    uint64_t offset;
    uint8_t *buffers; /* one a slot, one behind the other */
    size_t buffers_size;
    uint32_t size_bytes;
    uint32_t depth;
    uint64_t submitted_ns[RAW_DEPTH_MAX];
    struct histogram latency;
};

static bool raw_file_make(struct raw_lane *lane, const char *directory, struct failure *failure)
{
    char path[PATH_SIZE];
    if (snprintf(path, sizeof path, "%s/innkeep-wal-bench-raw-%d", directory, (int)getpid()) >= (int)sizeof path)
        return failure_set(failure, EXIT_USAGE, "%s: the path is too long", directory);
    lane->file = open(path, O_RDWR | O_CREAT | O_EXCL | O_DIRECT | O_CLOEXEC, 0600);
    if (lane->file < 0)
        return failure_set(failure, EXIT_USAGE, "%s: %s (a file system with O_DIRECT is needed)", path,
                           strerror(errno));
    (void)unlink(path);
    void *zeros = aligned_alloc(RAW_BLOCK_SIZE, FILL_SIZE);
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

bool raw_lane_shape(struct raw_lane *lane, uint32_t size_bytes, uint32_t depth, struct failure *failure)
{
    if (lane->buffers != NULL)
        (void)io_uring_unregister_buffers(&lane->ring);
    free(lane->buffers);
    REQUIRE(size_bytes > 0 && size_bytes % RAW_BLOCK_SIZE == 0 && depth >= 1 && depth <= RAW_DEPTH_MAX);
    lane->size_bytes = size_bytes;
    lane->depth = depth;
    lane->buffers_size = (size_t)depth * size_bytes;
    lane->buffers = aligned_alloc(RAW_BLOCK_SIZE, lane->buffers_size);
    if (lane->buffers == NULL)
        return failure_set(failure, EXIT_REFUSED, "no memory");
    for (size_t i = 0; i < lane->buffers_size; i++)
        lane->buffers[i] = (uint8_t)(i * 131 + 7);
    memset(&lane->latency, 0, sizeof lane->latency);
    struct iovec whole = { .iov_base = lane->buffers, .iov_len = lane->buffers_size };
    int rc = io_uring_register_buffers(&lane->ring, &whole, 1);
    return rc == 0 || failure_set(failure, EXIT_REFUSED, "pinning buffers: %s (ulimit -l limits them)", strerror(-rc));
}

static void raw_submit(struct raw_lane *lane, uint32_t slot)
{
    if (lane->offset + lane->size_bytes > lane->file_size)
        lane->offset = 0;
    struct io_uring_sqe *entry = io_uring_get_sqe(&lane->ring);
    ENSURE(entry != NULL);
    io_uring_prep_write_fixed(entry, 0, lane->buffers + (size_t)slot * lane->size_bytes, lane->size_bytes, lane->offset,
                              0);
    entry->rw_flags = RWF_DSYNC;
    entry->flags |= IOSQE_FIXED_FILE;
    io_uring_sqe_set_data64(entry, slot);
    lane->offset += lane->size_bytes;
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
        if (entry->res != (int)lane->size_bytes)
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
    uint32_t under_way = lane->depth;
    uint64_t begin_ns = clock_now_ns();
    for (uint32_t slot = 0; slot < lane->depth; slot++)
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
