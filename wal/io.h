/* The one door to the kernel: files, sockets, time, randomness. Everything in wal/ and net/server goes through it, so
 * that all of it runs unchanged on the simulator's world. A link-time seam: io_uring.c implements these functions over
 * one ring; the simulator implements the same ones over virtual time. No table of pointers, so the seam costs nothing.
 *
 * Two kinds of function:
 *   - at once: for start, rotation and tools. They block, and return 0 (or what they say) or a negated errno.
 *   - by completion: the caller embeds a `struct io_request`, sets `done`, and gets it back on entry to `done`, which
 *     io_run calls and nothing else. Nothing calls back from inside a submit. A completion handler only marks work
 *     done; the caller's loop decides what runs next.
 *
 * One thread owns a `struct io`; only io_doorbell may name another thread's.
 * Source of the shape: TigerBeetle's src/io, cowsql/raft's raft_io. */
#ifndef WAL_IO_H
#define WAL_IO_H

#include "engine/base/contract.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

struct io;
struct io_request;

struct io_completion {
    int32_t result;      /* as the system call would return it, or a negated errno */
    bool more;           /* multishot: the request stays armed and `done` will be called again */
    uint16_t buffer_id;  /* io_recv: which buffer `data` lies in; give it back with io_buffer_return */
    const uint8_t *data; /* io_recv with result > 0: the bytes received; NULL otherwise */
};

/* All zero before its first use. From a submit until the completion with more == false it stays where it is and belongs
 * to the io; within that completion's `done` it is the caller's again, to be used for anything, freed included. */
struct io_request {
    void (*done)(struct io_request *request, const struct io_completion *completion);
    void *context; /* the caller's */
    struct {       /* the implementation's */
        struct msghdr message;
        uint32_t armed;
        uint32_t size_bytes;
    } backend;
};

struct io_options {
    uint32_t ring_entries;        /* submission queue size, a power of two; 0: no ring, only functions at once */
    uint32_t fixed_buffers_count; /* how many buffers io_buffers_register will name */
    uint32_t fixed_files_max;     /* how many files io_file_register keeps at a time */
    uint32_t recv_buffers_count;  /* provided receive buffers, a power of two; 0: none */
    uint32_t recv_buffer_size;
};

/* Makes the world for the calling thread. 0, or a negated errno with *why (static storage) saying what is missing and
 * what to do about it: -ENOSYS or -EPERM where the kernel has io_uring off, -EINVAL where it is too old, -ENOMEM. */
MUST_USE int io_create(const struct io_options *options, struct io **io, const char **why);
/* Requires that nothing is in flight, or that the process is about to end. */
void io_destroy(struct io *io);
/* To be called by the thread that will run it, once, before the first submit (a ring belongs to one thread). 0 or a
 * negated errno. */
MUST_USE int io_adopt(struct io *io);

/* ---- At once: time and randomness -------------------------------------------------------------------------------- */

uint64_t io_now_ns(struct io *io);  /* CLOCK_BOOTTIME: never jumps, counts suspended time */
uint64_t io_wall_ns(struct io *io); /* CLOCK_REALTIME */
MUST_USE int io_entropy(struct io *io, void *bytes, size_t size_bytes);

/* How many kernel threads work for the calling thread's rings now ("iou-wrk-"), or a negated errno. The kernel hands them what it cannot begin
 * without waiting, syncs always and writes that ought not to; an idle one ends after 5 s. The kernel counts no such requests for
 * an ordinary user, so this is what can be seen of them. Reads /proc: for reports, not for every turn. */
MUST_USE int io_kernel_workers(struct io *io);

/* ---- At once: files ---------------------------------------------------------------------------------------------- */

enum io_open_flag {
    IO_OPEN_READ = 1u << 0,
    IO_OPEN_WRITE = 1u << 1,
    IO_OPEN_CREATE = 1u << 2, /* fails with -EEXIST if it is there */
    IO_OPEN_DIRECT = 1u << 3, /* bypasses the page cache; -EINVAL, and no file made, where the file system cannot */
};

/* Returns a file number >= 0, which programs started by this one do not inherit. Requires READ, WRITE or both. */
MUST_USE int io_open(struct io *io, const char *path, unsigned flags);
void io_close(struct io *io, int file);
/* Reads until size_bytes or the end of the file; returns the bytes read. */
MUST_USE ssize_t io_read_at(struct io *io, int file, void *bytes, size_t size_bytes, uint64_t offset);
/* Writes all or fails; not durable until io_sync_file. */
MUST_USE int io_write_at(struct io *io, int file, const void *bytes, size_t size_bytes, uint64_t offset);
MUST_USE int io_sync_file(struct io *io, int file);
MUST_USE int64_t io_size_of(struct io *io, int file);
MUST_USE int io_make_directory(struct io *io, const char *path); /* -EEXIST if it is there */
MUST_USE int io_sync_directory(struct io *io, const char *path);
MUST_USE int io_rename(struct io *io, const char *from, const char *to);
MUST_USE int io_unlink(struct io *io, const char *path);
/* Calls visit for each entry but "." and "..", in no particular order, until it returns non-zero; returns that, 0, or a
 * negated errno. */
MUST_USE int io_list(struct io *io, const char *path, int (*visit)(void *context, const char *name), void *context);
/* An exclusive lock on an open file that goes when it is closed or the process ends; -EWOULDBLOCK if another process
 * has it. */
MUST_USE int io_lock(struct io *io, int file);

/* ---- At once: sockets -------------------------------------------------------------------------------------------- */

struct io_address {
    char host[256]; /* numeric address, or the path of a Unix socket */
    uint16_t port;  /* 0 picks one; *bound tells which */
    bool local;     /* a Unix socket */
};
/* Returns a listening socket and the address it got, or a negated errno. */
MUST_USE int io_listen(struct io *io, const struct io_address *address, uint32_t backlog, struct io_address *bound);
/* No further sends or receives; what is in flight completes. */
void io_shutdown(struct io *io, int socket);
/* No further sends: the peer reads what was sent and then the end of the stream. Receives go on. */
void io_shutdown_send(struct io *io, int socket);

/* ---- By completion ----------------------------------------------------------------------------------------------- */

/* Pins buffers that io_write_fixed may name; io_options.fixed_buffers_count of them, once, after io_adopt. The array is
 * copied; what it names stays mapped until io_destroy. -ENOMEM: RLIMIT_MEMLOCK is too low. */
MUST_USE int io_buffers_register(struct io *io, const struct iovec *buffers, uint32_t count);
/* What an error of io_buffers_register means and what to do about it: a whole sentence, static storage. */
const char *io_buffers_explain(int error);

/* Lets the kernel keep an open file at hand, which spares a look-up in each io_write_fixed, io_read and io_sync of it. After io_adopt. 0;
 * -ENOSPC where io_options.fixed_files_max files are at hand already, or another negated errno: all works as well without. */
MUST_USE int io_file_register(struct io *io, int file);
/* Required before io_close of a file that was registered, or its number would one day stand for another file. What is in flight goes on.
 * Nothing happens to a file that is not registered. */
void io_file_unregister(struct io *io, int file);
bool io_file_is_registered(const struct io *io, int file);

/* Writes from registered buffer `buffer`, inside which the bytes must lie; durable when it completes if `durable`
 * (RWF_DSYNC). Bytes, size and offset are multiples of the block size for a file opened DIRECT, and always of
 * IO_SECTOR_SIZE if `durable`. */
#define IO_SECTOR_SIZE 512u
void io_write_fixed(struct io *io, struct io_request *request, int file, uint32_t buffer, const void *bytes,
                    uint32_t size_bytes, uint64_t offset, bool durable);
void io_read(struct io *io, struct io_request *request, int file, void *bytes, uint32_t size_bytes, uint64_t offset);
void io_sync(struct io *io, struct io_request *request, int file);
/* The entries of a directory that was opened to read: what io_sync_directory does at once. */
void io_sync_entries(struct io *io, struct io_request *request, int directory);
/* What io_unlink does at once, for large files: giving back the blocks of gigabytes can take seconds. The path stays until done. */
void io_unlink_later(struct io *io, struct io_request *request, const char *path);

/* Multishot: result is a connected socket each time, with TCP_NODELAY if it is TCP. Ends with more == false, which may
 * come with a socket as well as with an error or -ECANCELED: unless it was cancelled, arm it again. */
void io_accept(struct io *io, struct io_request *request, int listening_socket);
/* Multishot: result > 0 bytes at data, 0 at the end of the stream, -ENOBUFS when all receive buffers are out (arm it
 * again once some are back), -ECANCELED, or another error. Every result but those > 0 comes with more == false; so may
 * one > 0: arm it again. While armed it keeps the connection open whatever happens to the file number: cancel it, or
 * io_shutdown, before io_close. */
void io_recv(struct io *io, struct io_request *request, int socket);
/* One receive into the caller's bytes. */
void io_recv_once(struct io *io, struct io_request *request, int socket, void *bytes, uint32_t size_bytes);
/* Each buffer exactly once, in any order; within `done` or later. Requires that it is out. */
void io_buffer_return(struct io *io, uint16_t buffer_id);
/* Gathers `parts`, which with their bytes stay untouched until done. Completes when all is sent, however slowly the
 * peer reads; short only where an error, a shutdown or io_cancel came in between. No SIGPIPE: -EPIPE. Requires at least
 * a byte. */
void io_send(struct io *io, struct io_request *request, int socket, const struct iovec *parts, uint32_t parts_count);
/* Asks for a request to end; its own `done` tells, with more == false: -ECANCELED, or what it came to if it was too
 * late. Nothing happens to a request that is not armed. */
void io_cancel(struct io *io, struct io_request *request);
void io_close_later(struct io *io, int file); /* through the ring; nobody is told */

/* Wakes the thread that is in io_run(to), or makes its next io_run not wait. May be called by the owner of `from` only;
 * it goes out with the next io_run(from). Once a turn is enough. A bell rung before io_adopt(to) is lost, so look for
 * work before waiting for it. Both exist until both threads have stopped. */
void io_doorbell(struct io *from, struct io *to);

/* Submits what was asked for, waits for at least one completion or until io_now_ns() >= wait_until_ns (0: do not wait;
 * NEVER_NS: for ever), and calls `done` for each completion there is. May return early without any: a doorbell, a
 * signal, a kernel short of memory. Time that the machine sleeps through is not counted while waiting. Not to be called
 * from within `done`. Returns 0, or a negated errno that means the ring is unusable, then and ever after. */
MUST_USE int io_run(struct io *io, uint64_t wait_until_ns);

#endif
