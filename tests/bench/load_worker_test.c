/* The load's loop against servers that behave, and that do not, at the other end of a socket pair. */
#include "bench/load_worker.h"

#include "bench/clock.h"
#include "bench/load_message.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH 6
#define PIPELINE 24
#define REPLY_MAX 8

enum conduct {
    CONDUCT_HONEST,
    CONDUCT_SPLIT,    /* each message answered in two, the second half first, in small pieces */
    CONDUCT_SOLD_OUT, /* every third item refused */
    CONDUCT_TWICE,    /* one item answered twice in place of another */
    CONDUCT_MORE,     /* more results than items */
    CONDUCT_STRANGER, /* a correlation nobody used */
    CONDUCT_CHECKSUM,
    CONDUCT_GARBAGE,
    CONDUCT_SHUT_OFF, /* a word about the connection, then its end */
    CONDUCT_CLOSE,    /* nothing more */
};

struct reply {
    struct message_header header;
    struct mutation_result results[REPLY_MAX];
};

struct fake_server {
    int fd;
    enum conduct conduct;
    uint64_t messages_honest; /* how many are answered well before the conduct shows */
    uint64_t items_answered;
};

/* ---- The server ---------------------------------------------------------------------------------------------------- */

static void send_all(int fd, const void *bytes, size_t size, size_t piece)
{
    for (size_t at = 0; at < size;) {
        size_t wanted = size - at < piece ? size - at : piece;
        ssize_t sent = send(fd, (const uint8_t *)bytes + at, wanted, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        at += (size_t)sent;
    }
}

static void make_reply(struct reply *reply, uint64_t correlation, uint16_t first, uint16_t count)
{
    memset(reply, 0, sizeof *reply);
    reply->header.operation = OPERATION_RESERVE;
    reply->header.flags = MESSAGE_REPLY;
    reply->header.items_count = count;
    reply->header.correlation = correlation;
    for (uint16_t i = 0; i < count; i++) {
        reply->results[i].header.size = sizeof reply->results[i];
        reply->results[i].header.item = (uint16_t)(first + i);
    }
}

static void send_reply(int fd, struct reply *reply, size_t piece)
{
    reply->header.size = (uint32_t)(sizeof reply->header + reply->header.items_count * sizeof reply->results[0]);
    message_seal(&reply->header);
    send_all(fd, reply, reply->header.size, piece);
}

static void answer_in_two(int fd, uint64_t correlation)
{
    struct reply reply;
    make_reply(&reply, correlation, BATCH / 2, BATCH / 2);
    send_reply(fd, &reply, 7);
    make_reply(&reply, correlation, 0, BATCH / 2);
    send_reply(fd, &reply, 33);
}

static void spoil(const struct fake_server *server, struct reply *reply)
{
    if (server->conduct == CONDUCT_TWICE)
        reply->results[1].header.item = 0;
    if (server->conduct == CONDUCT_STRANGER)
        reply->header.correlation += 12345;
    if (server->conduct == CONDUCT_SHUT_OFF) {
        reply->header.operation = OPERATION_NONE;
        reply->header.items_count = 1;
        reply->results[0].header.status = STATUS_IDLE_TOO_LONG;
    }
    for (uint16_t i = 0; server->conduct == CONDUCT_SOLD_OUT && i < BATCH; i += 3)
        reply->results[i].header.status = STATUS_SOLD_OUT;
    if (server->conduct == CONDUCT_MORE) {
        reply->header.items_count = BATCH + 1;
        reply->results[BATCH].header.size = sizeof reply->results[0];
    }
}

/* False ends the connection. */
static bool answer(struct fake_server *server, const struct message_header *request)
{
    struct reply reply;
    make_reply(&reply, request->correlation, 0, BATCH);
    server->items_answered += BATCH;
    if (server->messages_honest > 0) {
        server->messages_honest--;
        send_reply(server->fd, &reply, SIZE_MAX);
        return true;
    }
    spoil(server, &reply);
    if (server->conduct == CONDUCT_SPLIT)
        answer_in_two(server->fd, request->correlation);
    else if (server->conduct == CONDUCT_GARBAGE)
        send_all(server->fd, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", 45, SIZE_MAX);
    else if (server->conduct != CONDUCT_CLOSE && server->conduct != CONDUCT_CHECKSUM)
        send_reply(server->fd, &reply, SIZE_MAX);
    if (server->conduct == CONDUCT_CHECKSUM) {
        reply.header.size = (uint32_t)(sizeof reply.header + BATCH * sizeof reply.results[0]);
        message_seal(&reply.header);
        reply.results[2].version ^= 1;
        send_all(server->fd, &reply, reply.header.size, SIZE_MAX);
    }
    return server->conduct <= CONDUCT_SOLD_OUT;
}

static void *serve(void *context)
{
    struct fake_server *server = context;
    static _Alignas(8) uint8_t bytes[sizeof(struct message_header) + BATCH * sizeof(struct reserve)];
    struct message_header *request = (struct message_header *)(void *)bytes;
    bool go_on = true;
    while (go_on && recv(server->fd, bytes, sizeof bytes, MSG_WAITALL) == (ssize_t)sizeof bytes) {
        if (message_check(request) != STATUS_OK)
            abort();
        go_on = answer(server, request);
    }
    shutdown(server->fd, SHUT_RDWR);
    return NULL;
}

/* ---- A run --------------------------------------------------------------------------------------------------------- */

static struct load_worker worker;
static struct fake_server server;

static void run(enum conduct conduct, uint64_t messages_honest, uint64_t warmup_ns, uint64_t duration_ns)
{
    static struct load_options options = { .pipeline = PIPELINE, .batch = BATCH, .nights = 30, .stay = 2 };
    static struct load_clock load_clock;
    static int32_t business_dates[2];
    static struct load_targets targets;
    struct load_shape shape = { .properties = 2, .room_types = 2 };
    struct random_source random;
    int fds[2];
    pthread_t thread;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    cr_assert_eq(load_targets_init(&targets, &shape, business_dates, LOAD_SHARD_ALL, 1), 0);
    random_init(&random, random_seed(), 0);
    load_clock.measure_from_ns = clock_now_ns() + warmup_ns;
    atomic_store(&load_clock.stop_ns, load_clock.measure_from_ns + duration_ns);
    cr_assert_eq(load_worker_init(&worker, &options, &load_clock, 1, random), 0);
    cr_assert_eq(load_worker_add(&worker, fds[0], &targets), 0);
    server = (struct fake_server){ .fd = fds[1], .conduct = conduct, .messages_honest = messages_honest };
    cr_assert_eq(pthread_create(&thread, NULL, serve, &server), 0);
    load_worker_run(&worker);
    load_worker_free(&worker);
    pthread_join(thread, NULL);
    close(fds[1]);
    load_targets_free(&targets);
}

static uint64_t answered(void)
{
    return worker.warmup.answered + worker.measured.answered;
}

static void expect_failure(int exit_code, const char *text)
{
    cr_expect_eq(worker.failure.exit_code, exit_code);
    cr_expect(strstr(worker.failure.text, text) != NULL, "it says: %s", worker.failure.text);
}

Test(load_worker, counts_what_the_server_answered)
{
    run(CONDUCT_HONEST, 0, 0, 50 * NS_PER_MS);
    cr_expect_not(failure_is_set(&worker.failure), "%s", worker.failure.text);
    cr_expect_gt(answered(), PIPELINE);
    cr_expect_eq(answered(), server.items_answered);
    cr_expect_eq(worker.measured.status[STATUS_OK], answered());
    cr_expect_eq(worker.latency_ns.count, answered() / BATCH);
    cr_expect_eq(worker.unknown + worker.unsent, 0);
}

Test(load_worker, takes_answers_in_any_order_and_in_pieces)
{
    run(CONDUCT_SPLIT, 0, 0, 50 * NS_PER_MS);
    cr_expect_not(failure_is_set(&worker.failure), "%s", worker.failure.text);
    cr_expect_eq(answered(), server.items_answered);
    cr_expect_eq(worker.latency_ns.count, answered() / BATCH);
}

Test(load_worker, keeps_the_warm_up_out_of_the_measurement)
{
    run(CONDUCT_HONEST, 0, 40 * NS_PER_MS, 20 * NS_PER_MS);
    cr_expect_gt(worker.warmup.answered, 0);
    cr_expect_gt(worker.measured.answered, 0);
    cr_expect_eq(answered(), server.items_answered);
    cr_expect_eq(worker.latency_ns.count, worker.measured.answered / BATCH);
}

Test(load_worker, counts_refusals_by_their_status)
{
    run(CONDUCT_SOLD_OUT, 0, 0, 20 * NS_PER_MS);
    cr_expect_not(failure_is_set(&worker.failure), "%s", worker.failure.text);
    cr_expect_eq(worker.measured.status[STATUS_SOLD_OUT], answered() / 3);
    cr_expect_eq(worker.measured.status[STATUS_OK], answered() / 3 * 2);
}

Test(load_worker, counts_what_is_not_answered_as_unknown_when_the_server_goes)
{
    run(CONDUCT_CLOSE, 100, 0, 60 * NS_PER_SECOND);
    cr_expect_eq(worker.failure.exit_code, EXIT_NO_ANSWER);
    cr_expect_eq(answered(), (uint64_t)100 * BATCH);
    cr_expect_eq(worker.unknown + worker.unsent, PIPELINE);
    cr_expect_gt(worker.unknown, 0);
}

Test(load_worker, repeats_what_the_server_says_of_the_connection)
{
    run(CONDUCT_SHUT_OFF, 10, 0, 60 * NS_PER_SECOND);
    expect_failure(EXIT_REFUSED, status_text(STATUS_IDLE_TOO_LONG));
    cr_expect_eq(answered(), (uint64_t)10 * BATCH);
}

Test(load_worker, notices_an_item_answered_twice)
{
    run(CONDUCT_TWICE, 10, 0, 60 * NS_PER_SECOND);
    expect_failure(EXIT_REFUSED, "twice");
}

Test(load_worker, notices_more_answers_than_items)
{
    run(CONDUCT_MORE, 10, 0, 60 * NS_PER_SECOND);
    expect_failure(EXIT_REFUSED, "more answers");
}

Test(load_worker, notices_an_answer_to_nothing_it_asked)
{
    run(CONDUCT_STRANGER, 10, 0, 60 * NS_PER_SECOND);
    expect_failure(EXIT_REFUSED, "not asked");
}

Test(load_worker, notices_damaged_and_foreign_bytes)
{
    run(CONDUCT_CHECKSUM, 10, 0, 60 * NS_PER_SECOND);
    expect_failure(EXIT_REFUSED, "checksum");
    run(CONDUCT_GARBAGE, 10, 0, 60 * NS_PER_SECOND);
    expect_failure(EXIT_REFUSED, "not the protocol");
}
