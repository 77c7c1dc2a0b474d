/* What the files of the io_uring implementation of wal/io.h share. Nobody else includes it. */
#ifndef WAL_IO_INTERNAL_H
#define WAL_IO_INTERNAL_H

#include "wal/io.h"

#include <liburing.h>

/* The provided buffers of io_recv: the kernel takes one from the ring for each arrival, io_buffer_return puts it
 * back. */
struct io_receive {
    struct io_uring_buf_ring *ring; /* shared with the kernel; NULL: none */
    uint8_t *bytes;                 /* count buffers of size_bytes each */
    bool *out;                      /* [count] in the caller's hands */
    uint32_t count;
    uint32_t size_bytes;
    uint32_t returned; /* put back since the kernel was last told */
};

struct io {
    struct io_uring ring;
    bool ring_made;
    bool adopted;
    bool running; /* within io_run's calls of `done` */
    int error;    /* the negated errno that made the ring unusable, for good */
    struct io_receive receive;
    struct iovec *fixed_buffers;
    uint32_t fixed_buffers_max;
    uint32_t fixed_buffers_count;
    int *fixed_files; /* [fixed_files_max] by slot of the kernel's table; -1: a free one */
    uint32_t fixed_files_max;
    struct io_uring_sqe discarded; /* takes what is asked of an unusable ring */
};

/* The low bits of a completion's user_data; the rest is an address, all of which are multiples of 8. */
enum io_tag {
    IO_TAG_REQUEST = 0,     /* a struct io_request: its `done` is called */
    IO_TAG_CANCEL = 1,      /* an io_cancel that found nothing to cancel */
    IO_TAG_CLOSE = 2,       /* an io_close_later that failed */
    IO_TAG_BELL = 3,        /* somebody rang: has served its purpose by ending the wait */
    IO_TAG_BELL_FAILED = 4, /* a struct io that could not be rung */
};
#define IO_TAG_MASK UINT64_C(7)
static_assert(IO_TAG_BELL_FAILED <= IO_TAG_MASK, "tags fit the bits that addresses leave");

/* Marks a request that the kernel has; an odd value, so that memory which was never zeroed does not look armed by
 * chance. */
#define IO_ARMED UINT32_C(0xa53a17c5)

/* A submission entry to fill in; where the queue is full, what it holds is submitted first. Never NULL. */
struct io_uring_sqe *io_submission(struct io *io);

/* A sparse table of the ring's files, as large as fixed_files_max. 0 or a negated errno. */
MUST_USE int io_files_make(struct io *io, uint32_t files_max);

/* Makes, gives back to the kernel, takes from the kernel and frees the receive buffers. `completion` gets its data. */
MUST_USE int io_receive_make(struct io *io, uint32_t count, uint32_t size_bytes);
void io_receive_publish(struct io *io);
void io_receive_take(struct io *io, uint16_t buffer_id, struct io_completion *completion);
void io_receive_free(struct io *io);

/* Why a ring could not be made, as a whole sentence; static storage. */
const char *io_setup_explain(int error);

#endif
