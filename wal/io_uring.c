/* One io_uring ring a thread: making it, and its turn.
 *
 * The happy path of a request:
 *   1. A function of io_requests.c fills in a submission entry; user_data is the request's address. Nothing reaches the
 *      kernel yet.
 *   2. io_run enters the kernel once: it submits all entries, runs the work that the kernel deferred for this thread,
 *      and waits.
 *   3. io_run calls `done` for each completion and gives the whole batch of completion entries back with one store.
 * Failures: a full submission queue is submitted without waiting. A full completion queue makes the kernel keep the
 * rest in a list, which the next turn fetches; nothing is lost (IORING_FEAT_NODROP). A kernel short of memory leaves
 * entries in the queue for the next turn. Anything else makes the ring unusable, for good.
 *
 * DEFER_TASKRUN keeps the kernel from interrupting the thread: completions are made only while it is inside io_run,
 * which is also why requests and receive buffers need no locks. SINGLE_ISSUER belongs to the thread that enables the
 * ring, hence io_adopt.
 * Source: Axboe, "Efficient IO with io_uring"; the io_uring_setup(2) and io_uring_enter(2) manual pages. */
#include "wal/io_internal.h"

#include "engine/base/units.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define RING_ENTRIES_MAX 32768u
#define COMPLETIONS_PER_SUBMISSION 4u /* multishot requests complete many times */
#define SUBMIT_ATTEMPTS_MAX 1000u     /* a millisecond apart */

/* ---- Making ------------------------------------------------------------------------------------------------------ */

/* The value of kernel.io_uring_disabled, or 0 where the kernel does not have it. */
static char sysctl_io_uring_disabled(void)
{
    char value = '0';
    int file = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return value;
    }
    if (read(file, &value, 1) != 1) {
        value = '0';
    }
    (void)close(file);
    return value;
}

static const char *explain_not_permitted(void)
{
    switch (sysctl_io_uring_disabled()) {
    case '1':
        return "io_uring is kept from unprivileged processes; set kernel.io_uring_disabled=0 with sysctl, or add this "
               "user to "
               "the group named by kernel.io_uring_group.";
    case '2':
        return "io_uring is switched off on this machine; set kernel.io_uring_disabled=0 with sysctl.";
    default:
        return "io_uring is not permitted here, most likely by a container's seccomp profile; allow io_uring_setup, "
               "io_uring_enter and io_uring_register in it.";
    }
}

const char *io_setup_explain(int error)
{
    switch (error) {
    case -EPERM:
    case -EACCES:
        return explain_not_permitted();
    case -ENOSYS:
        return "This kernel has no io_uring, or a container's seccomp profile hides it; Innkeep needs Linux 6.1 or "
               "later "
               "with CONFIG_IO_URING, and io_uring_setup, io_uring_enter and io_uring_register allowed.";
    case -EINVAL:
        return "This kernel's io_uring is too old; Innkeep needs Linux 6.1 or later.";
    case -ENOMEM:
        return "The kernel has no memory for an io_uring ring; free some, or raise the memory limit of the process or "
               "its "
               "cgroup and RLIMIT_MEMLOCK (ulimit -l, or LimitMEMLOCK= in a systemd unit).";
    case -EMFILE:
    case -ENFILE:
        return "No file number is left for an io_uring ring; raise RLIMIT_NOFILE (ulimit -n, or LimitNOFILE= in a "
               "systemd "
               "unit).";
    default:
        return "The kernel refused to make an io_uring ring.";
    }
}

/* DEFER_TASKRUN is the newest thing needed (6.1); every operation and multishot form used here is older, so no further
 * probing. */
static int ring_make(struct io *io, uint32_t entries)
{
    struct io_uring_params parameters = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
                 IORING_SETUP_SUBMIT_ALL | IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE,
        .cq_entries = entries * COMPLETIONS_PER_SUBMISSION,
    };
    int result = io_uring_queue_init_params(entries, &io->ring, &parameters);
    if (result < 0) {
        return result;
    }
    io->ring_made = true;
    const uint32_t needed = IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_EXT_ARG | IORING_FEAT_CQE_SKIP;
    return (parameters.features & needed) == needed ? 0 : -EINVAL;
}

static int world_make(struct io *io, const struct io_options *options)
{
    if (options->ring_entries == 0) {
        return 0;
    }
    io->fixed_buffers_max = options->fixed_buffers_count;
    io->fixed_buffers = calloc((size_t)options->fixed_buffers_count + 1, sizeof(struct iovec));
    if (io->fixed_buffers == NULL) {
        return -ENOMEM;
    }
    int result = ring_make(io, options->ring_entries);
    if (result == 0 && options->fixed_files_max > 0) {
        result = io_files_make(io, options->fixed_files_max);
    }
    if (result < 0 || options->recv_buffers_count == 0) {
        return result;
    }
    return io_receive_make(io, options->recv_buffers_count, options->recv_buffer_size);
}

int io_create(const struct io_options *options, struct io **io, const char **why)
{
    REQUIRE(options->ring_entries <= RING_ENTRIES_MAX);
    REQUIRE((options->ring_entries & (options->ring_entries - 1)) == 0 || options->ring_entries == 0);
    REQUIRE(IMPLIES(options->recv_buffers_count > 0, options->recv_buffer_size > 0));
    *io = NULL;
    struct io *made = calloc(1, sizeof(*made));
    int result = made == NULL ? -ENOMEM : world_make(made, options);
    if (result < 0) {
        *why = io_setup_explain(result);
        io_destroy(made);
        return result;
    }
    *why = NULL;
    *io = made;
    return 0;
}

void io_destroy(struct io *io)
{
    if (io == NULL) {
        return;
    }
    REQUIRE(!io->running);
    if (io->ring_made) {
        io_uring_queue_exit(&io->ring);
    }
    io_receive_free(io);
    free(io->fixed_buffers);
    free(io->fixed_files);
    free(io);
}

/* liburing declares io_uring_enable_rings, but up to 2.3 its shared library does not export it. */
static int ring_enable(struct io *io)
{
    long result = syscall(__NR_io_uring_register, io->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    return result < 0 ? -errno : 0;
}

int io_adopt(struct io *io)
{
    REQUIRE(io->ring_made);
    REQUIRE(!io->adopted);
    int result = ring_enable(io);
    if (result < 0) {
        return result;
    }
    /* Spares the kernel a file look-up each turn; a process with 16 rings registered goes on without. */
    (void)!io_uring_register_ring_fd(&io->ring);
    io->adopted = true;
    return 0;
}

/* ---- The turn ---------------------------------------------------------------------------------------------------- */

/* True where the queue's entries are still there and the next turn may find the kernel in a better mood. */
static bool is_passing(int result)
{
    return result == -ETIME || result == -EINTR || result == -EAGAIN || result == -EBUSY;
}

static void pause_briefly(void)
{
    const struct timespec millisecond = { .tv_nsec = (long)NS_PER_MS };
    (void)nanosleep(&millisecond, NULL);
}

struct io_uring_sqe *io_submission(struct io *io)
{
    REQUIRE(io->adopted);
    struct io_uring_sqe *entry = io_uring_get_sqe(&io->ring);
    for (uint32_t attempts = 0; entry == NULL && io->error == 0; attempts++) {
        int result = io_uring_submit(&io->ring);
        if (result < 0 && (!is_passing(result) || attempts == SUBMIT_ATTEMPTS_MAX)) {
            io->error = result;
        } else if (result < 0) {
            pause_briefly();
        }
        entry = io_uring_get_sqe(&io->ring);
    }
    return entry != NULL ? entry : &io->discarded;
}

static int ring_poll(struct io *io)
{
    const unsigned work = IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW;
    if (io_uring_sq_ready(&io->ring) == 0 && (IO_URING_READ_ONCE(*io->ring.sq.kflags) & work) == 0) {
        return 0; /* nothing that the kernel could do for us */
    }
    return io_uring_submit_and_get_events(&io->ring);
}

static int ring_enter(struct io *io, uint64_t wait_until_ns)
{
    if (wait_until_ns == NEVER_NS) {
        return io_uring_submit_and_wait(&io->ring, 1);
    }
    uint64_t now_ns = wait_until_ns == 0 ? 0 : io_now_ns(io);
    if (wait_until_ns <= now_ns) {
        return ring_poll(io);
    }
    uint64_t wait_ns = wait_until_ns - now_ns;
    struct __kernel_timespec wait = {
        .tv_sec = (long long)(wait_ns / NS_PER_SECOND),
        .tv_nsec = (long long)(wait_ns % NS_PER_SECOND),
    };
    struct io_uring_cqe *first;
    return io_uring_submit_and_wait_timeout(&io->ring, &first, 1, &wait, NULL);
}

static void request_complete(struct io *io, const struct io_uring_cqe *entry)
{
    struct io_request *request = (struct io_request *)(uintptr_t)entry->user_data;
    ENSURE(request->backend.armed == IO_ARMED);
    ENSURE(entry->res <= 0 || (uint32_t)entry->res <= request->backend.size_bytes);
    struct io_completion completion = { .result = entry->res, .more = (entry->flags & IORING_CQE_F_MORE) != 0 };
    if ((entry->flags & IORING_CQE_F_BUFFER) != 0) {
        io_receive_take(io, (uint16_t)(entry->flags >> IORING_CQE_BUFFER_SHIFT), &completion);
    }
    if (!completion.more) {
        request->backend.armed = 0;
    }
    request->done(request, &completion);
}

/* Nobody is there to be woken: not adopted yet, its thread has ended, or it is being destroyed. Otherwise the kernel
 * was short of memory, and a lost bell could leave the other thread asleep over its work. */
static void bell_failed(struct io *from, struct io *to, int result)
{
    if (result != -EBADFD && result != -EOWNERDEAD && result != -EBADF) {
        io_doorbell(from, to);
    }
}

static void completion_handle(struct io *io, const struct io_uring_cqe *entry)
{
    switch ((enum io_tag)(entry->user_data & IO_TAG_MASK)) {
    case IO_TAG_REQUEST:
        request_complete(io, entry);
        break;
    case IO_TAG_CLOSE:
        ENSURE(entry->res != -EBADF); /* closing twice would close somebody else's file one day */
        break;
    case IO_TAG_BELL_FAILED:
        bell_failed(io, (struct io *)(uintptr_t)(entry->user_data & ~IO_TAG_MASK), entry->res);
        break;
    case IO_TAG_CANCEL:
    case IO_TAG_BELL:
        break;
    }
}

/* Ends: entries are given back only behind the loop, so there are at most as many as the queue holds. */
static void ring_reap(struct io *io)
{
    struct io_uring_cqe *entry;
    unsigned head;
    unsigned handled = 0;
    io->running = true;
    io_uring_for_each_cqe(&io->ring, head, entry)
    {
        completion_handle(io, entry);
        handled++;
    }
    io->running = false;
    io_uring_cq_advance(&io->ring, handled);
}

int io_run(struct io *io, uint64_t wait_until_ns)
{
    REQUIRE(io->adopted);
    REQUIRE(!io->running);
    if (io->error != 0) {
        return io->error;
    }
    io_receive_publish(io);
    int result = ring_enter(io, wait_until_ns);
    if (result < 0 && !is_passing(result)) {
        io->error = result;
        return result;
    }
    ring_reap(io);
    return io->error;
}
