/* The functions by completion of wal/io.h: each fills in one submission entry. What they share, and when the entries
 * reach the kernel: io_uring.c.
 *
 * Sanitizers and valgrind do not see what the kernel reads and writes through a ring, so what the caller owes about
 * memory is required here: this is the last place that knows both the request and the bounds. */
#include "wal/io_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define FILE_SLOT_LOST (-2)
#define TRANSFER_SIZE_MAX ((uint32_t)INT32_MAX)
#define RECEIVE_GROUP 0
#define RECEIVE_BUFFERS_MAX 32768u /* the kernel's limit for a group */

/* Hands the request to the kernel: `entry` is complete but for its user_data. */
static void request_arm(struct io_request *request, struct io_uring_sqe *entry, uint32_t size_bytes)
{
    REQUIRE(request->done != NULL);
    REQUIRE(request->backend.armed != IO_ARMED);
    REQUIRE(((uintptr_t)request & IO_TAG_MASK) == IO_TAG_REQUEST);
    request->backend.armed = IO_ARMED;
    request->backend.size_bytes = size_bytes;
    io_uring_sqe_set_data64(entry, (uintptr_t)request);
}

/* ---- Files ------------------------------------------------------------------------------------------------------- */

int io_buffers_register(struct io *io, const struct iovec *buffers, uint32_t count)
{
    REQUIRE(io->adopted);
    REQUIRE(io->fixed_buffers_count == 0);
    REQUIRE(count > 0);
    REQUIRE(count <= io->fixed_buffers_max);
    int result = io_uring_register_buffers(&io->ring, buffers, count);
    if (result < 0) {
        return result;
    }
    memcpy(io->fixed_buffers, buffers, count * sizeof(*buffers));
    io->fixed_buffers_count = count;
    return 0;
}

const char *io_buffers_explain(int error)
{
    switch (error) {
    case -ENOMEM:
        return "The write buffers cannot be pinned in memory because RLIMIT_MEMLOCK is too low; raise it (ulimit -l, "
               "or "
               "LimitMEMLOCK= in a systemd unit), or give the process CAP_IPC_LOCK.";
    case -EFAULT:
        return "The write buffers lie in memory that cannot be pinned.";
    default:
        return "The kernel refused to register the write buffers.";
    }
}

int io_files_make(struct io *io, uint32_t files_max)
{
    io->fixed_files = malloc(files_max * sizeof(int));
    if (io->fixed_files == NULL) {
        return -ENOMEM;
    }
    for (uint32_t slot = 0; slot < files_max; slot++) {
        io->fixed_files[slot] = -1;
    }
    io->fixed_files_max = files_max;
    return io_uring_register_files_sparse(&io->ring, files_max);
}

/* The slot that holds `file`, or (file -1) the first free one; -1 if there is none. There are a handful. */
static int file_slot(const struct io *io, int file)
{
    for (uint32_t slot = 0; slot < io->fixed_files_max; slot++) {
        if (io->fixed_files[slot] == file) {
            return (int)slot;
        }
    }
    return -1;
}

/* A table of one change; the kernel says how many it made. */
static int slot_set(struct io *io, int slot, int file)
{
    int result = io_uring_register_files_update(&io->ring, (unsigned)slot, &file, 1);
    if (result < 0) {
        return result;
    }
    io->fixed_files[slot] = file;
    return 0;
}

int io_file_register(struct io *io, int file)
{
    REQUIRE(io->adopted);
    REQUIRE(file >= 0);
    REQUIRE(file_slot(io, file) < 0);
    int slot = file_slot(io, -1);
    return slot < 0 ? -ENOSPC : slot_set(io, slot, file);
}

/* Only a kernel short of memory could fail to empty a slot. Then it stays taken: no number stands for it any more. */
void io_file_unregister(struct io *io, int file)
{
    REQUIRE(file >= 0);
    int slot = file_slot(io, file);
    if (slot >= 0 && slot_set(io, slot, -1) != 0) {
        io->fixed_files[slot] = FILE_SLOT_LOST;
    }
}

bool io_file_is_registered(const struct io *io, int file)
{
    return file_slot(io, file) >= 0;
}

/* Names the file by its slot where it has one. */
static void entry_name_file(const struct io *io, struct io_uring_sqe *entry, int file)
{
    int slot = file_slot(io, file);
    if (slot >= 0) {
        entry->fd = slot;
        entry->flags |= IOSQE_FIXED_FILE;
    }
}

static bool lies_within(const struct iovec *buffer, const void *bytes, uint32_t size_bytes)
{
    uintptr_t begin = (uintptr_t)buffer->iov_base;
    uintptr_t at = (uintptr_t)bytes;
    return at >= begin && at - begin <= buffer->iov_len && size_bytes <= buffer->iov_len - (at - begin);
}

void io_write_fixed(struct io *io, struct io_request *request, int file, uint32_t buffer, const void *bytes,
                    uint32_t size_bytes, uint64_t offset, bool durable)
{
    REQUIRE(size_bytes > 0);
    REQUIRE(size_bytes <= TRANSFER_SIZE_MAX);
    REQUIRE(buffer < io->fixed_buffers_count);
    REQUIRE(lies_within(&io->fixed_buffers[buffer], bytes, size_bytes));
    REQUIRE(IMPLIES(durable, ((uintptr_t)bytes | size_bytes | offset) % IO_SECTOR_SIZE == 0));
    struct io_uring_sqe *entry = io_submission(io);
    io_uring_prep_write_fixed(entry, file, bytes, size_bytes, offset, (int)buffer);
    entry_name_file(io, entry, file);
    entry->rw_flags = durable ? RWF_DSYNC : 0;
    request_arm(request, entry, size_bytes);
}

void io_read(struct io *io, struct io_request *request, int file, void *bytes, uint32_t size_bytes, uint64_t offset)
{
    REQUIRE(bytes != NULL);
    REQUIRE(size_bytes <= TRANSFER_SIZE_MAX);
    struct io_uring_sqe *entry = io_submission(io);
    io_uring_prep_read(entry, file, bytes, size_bytes, offset);
    entry_name_file(io, entry, file);
    request_arm(request, entry, size_bytes);
}

/* The data and what is needed to find it again: a new size, but not times. */
void io_sync(struct io *io, struct io_request *request, int file)
{
    struct io_uring_sqe *entry = io_submission(io);
    io_uring_prep_fsync(entry, file, IORING_FSYNC_DATASYNC);
    entry_name_file(io, entry, file);
    request_arm(request, entry, 0);
}

/* Everything, not the data only: to some file systems (ext4) a directory that kept its size has no new data, whatever was renamed
 * in it. */
void io_sync_entries(struct io *io, struct io_request *request, int directory)
{
    struct io_uring_sqe *entry = io_submission(io);
    io_uring_prep_fsync(entry, directory, 0);
    request_arm(request, entry, 0);
}

void io_unlink_later(struct io *io, struct io_request *request, const char *path)
{
    struct io_uring_sqe *entry = io_submission(io);
    io_uring_prep_unlink(entry, path, 0);
    request_arm(request, entry, 0);
}

/* ---- Sockets ----------------------------------------------------------------------------------------------------- */

/* Accepted sockets inherit TCP_NODELAY from the listening one (io_listen), which spares a system call for each. */
void io_accept(struct io *io, struct io_request *request, int listening_socket)
{
    struct io_uring_sqe *entry = io_submission(io);
    io_uring_prep_multishot_accept(entry, listening_socket, NULL, NULL, SOCK_CLOEXEC);
    request_arm(request, entry, TRANSFER_SIZE_MAX);
}

void io_recv(struct io *io, struct io_request *request, int socket)
{
    REQUIRE(io->receive.count > 0);
    struct io_uring_sqe *entry = io_submission(io);
    io_uring_prep_recv_multishot(entry, socket, NULL, 0, 0);
    entry->flags |= IOSQE_BUFFER_SELECT;
    entry->buf_group = RECEIVE_GROUP;
    request_arm(request, entry, io->receive.size_bytes);
}

void io_recv_once(struct io *io, struct io_request *request, int socket, void *bytes, uint32_t size_bytes)
{
    REQUIRE(bytes != NULL);
    REQUIRE(size_bytes > 0);
    REQUIRE(size_bytes <= TRANSFER_SIZE_MAX);
    struct io_uring_sqe *entry = io_submission(io);
    io_uring_prep_recv(entry, socket, bytes, size_bytes, 0);
    request_arm(request, entry, size_bytes);
}

static uint32_t parts_size(const struct iovec *parts, uint32_t parts_count)
{
    uint64_t size_bytes = 0;
    for (uint32_t i = 0; i < parts_count; i++) {
        REQUIRE(parts[i].iov_len <= TRANSFER_SIZE_MAX);
        size_bytes += parts[i].iov_len;
    }
    REQUIRE(size_bytes > 0);
    REQUIRE(size_bytes <= TRANSFER_SIZE_MAX);
    return (uint32_t)size_bytes;
}

/* MSG_WAITALL: the kernel itself goes on after a short send, so a slow reader costs no further turns. The message
 * header has to live until the entry is submitted, which is why the request carries it. */
void io_send(struct io *io, struct io_request *request, int socket, const struct iovec *parts, uint32_t parts_count)
{
    REQUIRE(parts_count > 0);
    REQUIRE(parts_count <= IOV_MAX);
    uint32_t size_bytes = parts_size(parts, parts_count);
    REQUIRE(request->backend.armed != IO_ARMED);
    const int flags = MSG_NOSIGNAL | MSG_WAITALL;
    struct io_uring_sqe *entry = io_submission(io);
    if (parts_count == 1) {
        io_uring_prep_send(entry, socket, parts[0].iov_base, parts[0].iov_len, flags);
    } else {
        request->backend.message = (struct msghdr){
            .msg_iov = (struct iovec *)(uintptr_t)parts, /* only read */
            .msg_iovlen = parts_count,
        };
        io_uring_prep_sendmsg(entry, socket, &request->backend.message, (unsigned)flags);
    }
    request_arm(request, entry, size_bytes);
}

/* Entries are submitted in order, so the one that armed the request is with the kernel before this one, and this one
 * before any that arms the same request again. */
void io_cancel(struct io *io, struct io_request *request)
{
    if (request->backend.armed != IO_ARMED) {
        return;
    }
    struct io_uring_sqe *entry = io_submission(io);
    io_uring_prep_cancel64(entry, (uintptr_t)request, 0);
    entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(entry, IO_TAG_CANCEL);
}

void io_close_later(struct io *io, int file)
{
    REQUIRE(file >= 0);
    struct io_uring_sqe *entry = io_submission(io);
    io_uring_prep_close(entry, file);
    entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(entry, IO_TAG_CLOSE);
}

void io_doorbell(struct io *from, struct io *to)
{
    REQUIRE(from != to);
    REQUIRE(to->ring_made);
    struct io_uring_sqe *entry = io_submission(from);
    io_uring_prep_msg_ring(entry, to->ring.ring_fd, 0, IO_TAG_BELL, 0);
    entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(entry, (uintptr_t)to | IO_TAG_BELL_FAILED);
}

/* ---- Receive buffers --------------------------------------------------------------------------------------------- */

static void *pages_map(size_t size_bytes)
{
    void *pages = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return pages == MAP_FAILED ? NULL : pages;
}

static size_t receive_ring_size(const struct io_receive *receive)
{
    return receive->count * sizeof(struct io_uring_buf);
}

static size_t receive_bytes_size(const struct io_receive *receive)
{
    return (size_t)receive->count * receive->size_bytes;
}

static void receive_offer(struct io_receive *receive, uint32_t buffer)
{
    uint8_t *bytes = receive->bytes + (size_t)buffer * receive->size_bytes;
    io_uring_buf_ring_add(receive->ring, bytes, receive->size_bytes, (unsigned short)buffer,
                          io_uring_buf_ring_mask(receive->count), (int)receive->returned);
    receive->returned++;
}

int io_receive_make(struct io *io, uint32_t count, uint32_t size_bytes)
{
    REQUIRE(count <= RECEIVE_BUFFERS_MAX);
    REQUIRE((count & (count - 1)) == 0);
    struct io_receive *receive = &io->receive;
    *receive = (struct io_receive){ .count = count, .size_bytes = size_bytes };
    receive->ring = pages_map(receive_ring_size(receive));
    receive->bytes = pages_map(receive_bytes_size(receive));
    receive->out = calloc(count, sizeof(bool));
    if (receive->ring == NULL || receive->bytes == NULL || receive->out == NULL) {
        return -ENOMEM;
    }
    io_uring_buf_ring_init(receive->ring);
    struct io_uring_buf_reg registration = {
        .ring_addr = (uintptr_t)receive->ring,
        .ring_entries = count,
        .bgid = RECEIVE_GROUP,
    };
    for (uint32_t buffer = 0; buffer < count; buffer++) {
        receive_offer(receive, buffer);
    }
    io_receive_publish(io);
    return io_uring_register_buf_ring(&io->ring, &registration, 0);
}

/* The kernel takes buffers only within io_run (DEFER_TASKRUN), so it is early enough to tell it there, once for all. */
void io_receive_publish(struct io *io)
{
    struct io_receive *receive = &io->receive;
    if (receive->returned > 0) {
        io_uring_buf_ring_advance(receive->ring, (int)receive->returned);
        receive->returned = 0;
    }
}

void io_receive_take(struct io *io, uint16_t buffer_id, struct io_completion *completion)
{
    struct io_receive *receive = &io->receive;
    ENSURE(buffer_id < receive->count);
    ENSURE(!receive->out[buffer_id]);
    receive->out[buffer_id] = true;
    if (completion->result <= 0) {
        io_buffer_return(io, buffer_id); /* nothing in it that the caller could want */
        return;
    }
    completion->buffer_id = buffer_id;
    completion->data = receive->bytes + (size_t)buffer_id * receive->size_bytes;
}

void io_buffer_return(struct io *io, uint16_t buffer_id)
{
    struct io_receive *receive = &io->receive;
    REQUIRE(buffer_id < receive->count);
    REQUIRE(receive->out[buffer_id]);
    receive->out[buffer_id] = false;
    receive_offer(receive, buffer_id);
}

void io_receive_free(struct io *io)
{
    struct io_receive *receive = &io->receive;
    if (receive->ring != NULL) {
        (void)munmap(receive->ring, receive_ring_size(receive));
    }
    if (receive->bytes != NULL) {
        (void)munmap(receive->bytes, receive_bytes_size(receive));
    }
    free(receive->out);
    *receive = (struct io_receive){ 0 };
}
