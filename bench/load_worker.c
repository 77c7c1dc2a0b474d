#include "bench/load_worker.h"

#include "bench/clock.h"
#include "bench/load_message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define EVENTS_MAX 256
#define IOVECS_MAX 64
#define WAIT_MS 100
#define DRAIN_MAX_NS (10 * NS_PER_SECOND)
#define INPUT_SIZE (256 * KIB) /* above the largest reply message */

/* One message of a connection: free, waiting to be sent, or under way. */
struct slot {
    uint64_t correlation;
    uint64_t sent_ns; /* 0 until the first attempt to send it */
    uint32_t answers_left;
    uint32_t items_sum; /* of the numbers of answered items, against an answer given twice */
    bool measured;
};

struct load_connection {
    int fd; /* -1 when it is gone */
    const struct load_targets *targets;
    struct slot *slots;
    uint8_t *messages; /* slots_count messages side by side */
    uint32_t *queue;   /* ring of slots that wait to be sent, in order */
    uint32_t slots_count;
    uint32_t queue_begin;
    uint32_t queue_count;
    uint32_t queue_sent_bytes; /* of the first message in the queue */
    uint32_t input_used;
    uint8_t *input;
};

/* ---- Making messages ----------------------------------------------------------------------------------------------- */

static struct message_header *message_at(const struct load_worker *worker, const struct load_connection *connection,
                                         uint32_t slot)
{
    size_t size = load_message_size(worker->options->batch);
    return (struct message_header *)(void *)(connection->messages + slot * size);
}

/* The place in the ring of the queue that lies `distance` behind its beginning; distance <= slots_count. */
static uint32_t queue_place(const struct load_connection *connection, uint32_t distance)
{
    uint32_t place = connection->queue_begin + distance;
    return place < connection->slots_count ? place : place - connection->slots_count;
}

/* Gives a free slot new content and queues it. The correlation carries the slot below and how often it was used above. */
static void slot_renew(struct load_worker *worker, struct load_connection *connection, uint32_t number, uint64_t now_ns)
{
    struct slot *slot = &connection->slots[number];
    REQUIRE(slot->answers_left == 0);
    slot->correlation += UINT64_C(1) << 32;
    slot->sent_ns = 0;
    slot->answers_left = worker->options->batch;
    slot->items_sum = 0;
    slot->measured = now_ns >= worker->clock->measure_from_ns;
    struct load_fill fill = {
        .correlation = slot->correlation,
        .not_after_ns = now_ns + worker->clock->server_time_offset_ns + worker->options->within_ns,
        .arrivals_count = worker->options->nights - worker->options->stay + 1,
    };
    load_message_fill(message_at(worker, connection, number), &fill, connection->targets, &worker->random);
    connection->queue[queue_place(connection, connection->queue_count)] = number;
    connection->queue_count++;
}

/* ---- Loss ---------------------------------------------------------------------------------------------------------- */

/* What of a message had not left completely cannot have been executed: its checksum is missing a part. */
static void connection_count_loss(struct load_worker *worker, struct load_connection *connection)
{
    uint64_t under_way = 0;
    uint64_t queued = 0;
    for (uint32_t i = 0; i < connection->slots_count; i++)
        under_way += connection->slots[i].answers_left;
    for (uint32_t i = 0; i < connection->queue_count; i++) {
        uint32_t number = connection->queue[queue_place(connection, i)];
        queued += connection->slots[number].answers_left;
    }
    worker->unsent += queued;
    worker->unknown += under_way - queued;
}

static void connection_lose(struct load_worker *worker, struct load_connection *connection, int exit_code,
                            const char *why)
{
    failure_set(&worker->failure, exit_code, "%s", why);
    connection_count_loss(worker, connection);
    close(connection->fd);
    connection->fd = -1;
    atomic_store(&worker->clock->stop_ns, 0);
}

/* ---- Sending ------------------------------------------------------------------------------------------------------- */

/* The queue's beginning as at most IOVECS_MAX pieces; slots that are neighbours make one piece. */
static int gather(const struct load_worker *worker, const struct load_connection *connection,
                  struct iovec iovecs[IOVECS_MAX], uint64_t now_ns)
{
    size_t size = load_message_size(worker->options->batch);
    int count = 0;
    for (uint32_t i = 0; i < connection->queue_count; i++) {
        uint32_t number = connection->queue[queue_place(connection, i)];
        uint8_t *message = connection->messages + number * size;
        if (count > 0 && (uint8_t *)iovecs[count - 1].iov_base + iovecs[count - 1].iov_len == message)
            iovecs[count - 1].iov_len += size;
        else if (count == IOVECS_MAX)
            break;
        else
            iovecs[count++] = (struct iovec){ .iov_base = message, .iov_len = size };
        struct slot *slot = &connection->slots[number];
        slot->sent_ns = slot->sent_ns == 0 ? now_ns : slot->sent_ns;
    }
    iovecs[0].iov_base = (uint8_t *)iovecs[0].iov_base + connection->queue_sent_bytes;
    iovecs[0].iov_len -= connection->queue_sent_bytes;
    return count;
}

static void queue_advance(const struct load_worker *worker, struct load_connection *connection, size_t sent)
{
    size_t size = load_message_size(worker->options->batch);
    size_t bytes = connection->queue_sent_bytes + sent;
    uint32_t messages = (uint32_t)(bytes / size);
    ENSURE(messages <= connection->queue_count);
    connection->queue_sent_bytes = (uint32_t)(bytes % size);
    connection->queue_begin = queue_place(connection, messages);
    connection->queue_count -= messages;
}

static void connection_send(struct load_worker *worker, struct load_connection *connection)
{
    while (connection->fd >= 0 && connection->queue_count > 0) {
        struct iovec iovecs[IOVECS_MAX];
        int count = gather(worker, connection, iovecs, clock_now_ns());
        struct msghdr message = { .msg_iov = iovecs, .msg_iovlen = (size_t)count };
        ssize_t sent = sendmsg(connection->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0)
            queue_advance(worker, connection, (size_t)sent);
        else if (errno == EAGAIN)
            return; /* epoll tells when there is room */
        else if (errno == EPIPE || errno == ECONNRESET)
            return; /* the server has ended the connection: what it said last is still to be read, and then the end */
        else if (errno != EINTR)
            connection_lose(worker, connection, EXIT_NO_ANSWER, strerror(errno));
    }
}

/* ---- Receiving ----------------------------------------------------------------------------------------------------- */

static void count_status(struct load_counts *counts, uint16_t status)
{
    counts->answered++;
    counts->status[status < STATUS_SLOTS ? status : STATUS_SLOTS - 1]++;
}

/* Counts the results of one reply. False if they cannot be answers to the slot's items. */
static bool take_results(struct load_worker *worker, struct slot *slot, const struct message_header *reply)
{
    struct load_counts *counts = slot->measured ? &worker->measured : &worker->warmup;
    const uint8_t *at = (const uint8_t *)(reply + 1);
    if (reply->items_count > slot->answers_left)
        return false;
    for (uint32_t i = 0; i < reply->items_count; i++) {
        const struct result_header *result = (const struct result_header *)(const void *)at;
        if (result->item >= worker->options->batch)
            return false;
        slot->items_sum += result->item;
        count_status(counts, result->status);
        at += result->size;
    }
    slot->answers_left -= reply->items_count;
    return true;
}

static bool slot_finish(struct load_worker *worker, struct load_connection *connection, uint32_t number,
                        uint64_t now_ns)
{
    struct slot *slot = &connection->slots[number];
    uint32_t batch = worker->options->batch;
    if (slot->items_sum != batch * (batch - 1) / 2)
        return false;
    if (slot->measured)
        histogram_add(&worker->latency_ns, now_ns - slot->sent_ns);
    worker->last_answer_ns = now_ns;
    if (now_ns < atomic_load_explicit(&worker->clock->stop_ns, memory_order_relaxed))
        slot_renew(worker, connection, number, now_ns);
    return true;
}

/* NULL, or why the connection cannot go on. */
static const char *take_reply(struct load_worker *worker, struct load_connection *connection,
                              const struct message_header *reply, uint64_t now_ns)
{
    uint32_t number = (uint32_t)reply->correlation;
    if (reply->operation == OPERATION_NONE)
        return status_text(((const struct result_header *)(const void *)(reply + 1))->status);
    if (reply->operation != OPERATION_RESERVE || (reply->flags & MESSAGE_REPLY) == 0 ||
        number >= connection->slots_count || connection->slots[number].correlation != reply->correlation)
        return "the server answered something that was not asked";
    struct slot *slot = &connection->slots[number];
    if (!take_results(worker, slot, reply))
        return "the server gave more answers than it was asked for";
    if (slot->answers_left == 0 && !slot_finish(worker, connection, number, now_ns))
        return "the server answered one item twice";
    return NULL;
}

/* Takes every whole message of the input and moves the rest to its front. */
static void take_input(struct load_worker *worker, struct load_connection *connection, uint64_t now_ns)
{
    const char *trouble = NULL;
    uint32_t at = 0;
    while (trouble == NULL && connection->input_used - at >= sizeof(struct message_header)) {
        const struct message_header *reply = (const struct message_header *)(void *)(connection->input + at);
        if (message_header_check(reply, MESSAGE_SIZE_MAX) != STATUS_OK)
            trouble = "the server sent something that is not the protocol";
        else if (reply->size > connection->input_used - at)
            break;
        else if (message_check(reply) != STATUS_OK)
            trouble = "the server sent a message with a wrong checksum";
        else
            trouble = take_reply(worker, connection, reply, now_ns);
        at += reply->size;
    }
    if (trouble != NULL) {
        connection_lose(worker, connection, EXIT_REFUSED, trouble);
        return;
    }
    connection->input_used -= at;
    if (at > 0 && connection->input_used > 0)
        memmove(connection->input, connection->input + at, connection->input_used);
}

/* Reads until the socket has no more: a short read says so, since the events are edge-triggered; but not when the server has
 * ended the stream, for its end is still to be read then. */
static void connection_receive(struct load_worker *worker, struct load_connection *connection, bool ended)
{
    bool more = true;
    while (more && connection->fd >= 0) {
        size_t room = INPUT_SIZE - connection->input_used;
        ssize_t size = recv(connection->fd, connection->input + connection->input_used, room, MSG_DONTWAIT);
        if (size > 0) {
            more = ended || (size_t)size == room;
            connection->input_used += (uint32_t)size;
            take_input(worker, connection, clock_now_ns());
        } else if (size == 0) {
            connection_lose(worker, connection, EXIT_NO_ANSWER, "the server closed the connection");
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR) {
            connection_lose(worker, connection, EXIT_NO_ANSWER, strerror(errno));
        }
    }
}

/* ---- The loop ------------------------------------------------------------------------------------------------------ */

static void serve_events(struct load_worker *worker)
{
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(worker->epoll_fd, events, EVENTS_MAX, WAIT_MS);
    for (int i = 0; i < count; i++) {
        struct load_connection *connection = events[i].data.ptr;
        if (connection->fd >= 0 && (events[i].events & ~(uint32_t)EPOLLOUT) != 0)
            connection_receive(worker, connection, (events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
        connection_send(worker, connection);
    }
}

static void publish_counts(struct load_worker *worker)
{
    atomic_store_explicit(&worker->answered_now, worker->warmup.answered + worker->measured.answered,
                          memory_order_relaxed);
    atomic_store_explicit(&worker->accepted_now, worker->warmup.status[STATUS_OK] + worker->measured.status[STATUS_OK],
                          memory_order_relaxed);
}

static bool answers_missing(const struct load_worker *worker)
{
    for (uint32_t i = 0; i < worker->connections_count; i++) {
        const struct load_connection *connection = &worker->connections[i];
        for (uint32_t slot = 0; connection->fd >= 0 && slot < connection->slots_count; slot++)
            if (connection->slots[slot].answers_left > 0)
                return true;
    }
    return false;
}

static void begin_all(struct load_worker *worker)
{
    for (uint32_t i = 0; i < worker->connections_count; i++) {
        struct load_connection *connection = &worker->connections[i];
        for (uint32_t slot = 0; slot < connection->slots_count; slot++)
            slot_renew(worker, connection, slot, clock_now_ns());
        connection_send(worker, connection);
    }
}

static void give_up_rest(struct load_worker *worker)
{
    for (uint32_t i = 0; i < worker->connections_count; i++)
        if (worker->connections[i].fd >= 0)
            connection_lose(worker, &worker->connections[i], EXIT_NO_ANSWER, "answers are missing");
}

/* Until stop_ns; returns the processor time at the beginning of the measurement. */
static uint64_t run_until_stop(struct load_worker *worker)
{
    uint64_t cpu_begin_ns = clock_thread_cpu_ns();
    bool warm = false;
    for (;;) {
        uint64_t now_ns = clock_now_ns();
        if (!warm && now_ns >= worker->clock->measure_from_ns) {
            cpu_begin_ns = clock_thread_cpu_ns();
            warm = true;
        }
        if (now_ns >= atomic_load_explicit(&worker->clock->stop_ns, memory_order_relaxed))
            return cpu_begin_ns;
        serve_events(worker);
        publish_counts(worker);
    }
}

void load_worker_run(struct load_worker *worker)
{
    begin_all(worker);
    uint64_t cpu_begin_ns = run_until_stop(worker);
    uint64_t drain_until_ns = clock_now_ns() + DRAIN_MAX_NS;
    while (answers_missing(worker) && clock_now_ns() < drain_until_ns)
        serve_events(worker);
    if (answers_missing(worker))
        give_up_rest(worker);
    publish_counts(worker);
    worker->cpu_ns = clock_thread_cpu_ns() - cpu_begin_ns;
    atomic_store(&worker->running, 0);
}

/* ---- Beginning and end --------------------------------------------------------------------------------------------- */

int load_worker_init(struct load_worker *worker, const struct load_options *options, struct load_clock *clock,
                     uint32_t connections_max, struct random_source random)
{
    REQUIRE(options->batch >= 1);
    REQUIRE(options->pipeline % options->batch == 0);
    REQUIRE(options->nights >= options->stay);
    memset(worker, 0, sizeof *worker);
    worker->options = options;
    worker->clock = clock;
    worker->random = random;
    worker->connections = calloc(connections_max, sizeof *worker->connections);
    worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (worker->epoll_fd < 0)
        return -errno;
    return worker->connections == NULL ? -ENOMEM : 0;
}

static int connection_allocate(struct load_worker *worker, struct load_connection *connection)
{
    uint32_t batch = worker->options->batch;
    connection->slots_count = worker->options->pipeline / batch;
    connection->slots = calloc(connection->slots_count, sizeof *connection->slots);
    connection->queue = calloc(connection->slots_count, sizeof *connection->queue);
    connection->messages = calloc(connection->slots_count, load_message_size(batch));
    connection->input = malloc(INPUT_SIZE);
    if (connection->slots == NULL || connection->queue == NULL || connection->messages == NULL ||
        connection->input == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < connection->slots_count; i++) {
        connection->slots[i].correlation = i;
        load_message_init(message_at(worker, connection, i), batch, worker->options->stay);
    }
    return 0;
}

int load_worker_add(struct load_worker *worker, int fd, const struct load_targets *targets)
{
    struct load_connection *connection = &worker->connections[worker->connections_count++];
    connection->fd = fd;
    connection->targets = targets;
    int error = connection_allocate(worker, connection);
    if (error != 0)
        return error;
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = connection };
    return epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

void load_worker_free(struct load_worker *worker)
{
    for (uint32_t i = 0; i < worker->connections_count; i++) {
        struct load_connection *connection = &worker->connections[i];
        if (connection->fd >= 0)
            close(connection->fd);
        free(connection->slots);
        free(connection->queue);
        free(connection->messages);
        free(connection->input);
    }
    free(worker->connections);
    if (worker->epoll_fd >= 0)
        close(worker->epoll_fd);
    worker->connections = NULL;
    worker->connections_count = 0;
    worker->epoll_fd = -1;
}
