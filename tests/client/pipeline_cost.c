/* What a pipelined request costs its client: CPU time of submitting, sending, receiving and taking the answer, with a
 * thread on the other end of a loopback connection that answers from ready-made bytes. Also the state machine alone,
 * without a socket.
 *
 *     client_pipeline_cost [MILLIONS]
 *
 * Not a test: it asserts nothing about time. */
#include "engine/base/units.h"
#include "net/client/clock.h"
#include "net/client/item.h"
#include "net/client/session.h"
#include "tests/client/fake_server.h"

#include <stdio.h>
#include <stdlib.h>

static struct fake_server server;

static uint64_t cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * NS_PER_SECOND + (uint64_t)t.tv_nsec;
}

static struct inn_reserve_request request_of(uint64_t n)
{
    struct inn_reserve_request request = {
        .mutation = { .property = 1 + n % 1000 }, .arrival = 20780, .nights = 2, .rooms = 1, .room_type = 1
    };
    memcpy(request.mutation.key.bytes, &n, sizeof n);
    request.mutation.key.bytes[15] = 1;
    return request;
}

/* ---- The state machine alone ------------------------------------------------------------------------------------- */

/* Answers all that the session has to send, in one message for each of its own. */
static void answer_in_place(struct session *session, struct replies *replies)
{
    const uint8_t *bytes = NULL;
    size_t size = session_output(session, &bytes);
    replies_clear(replies);
    for (size_t at = 0; at < size;) {
        const struct message_header *message = (const void *)(bytes + at);
        replies_begin(replies, message->operation, message->correlation);
        for (uint16_t item = 0; item < message->items_count; item++) {
            struct mutation_result result = result_mutation(STATUS_OK, item, 5, 1000);
            replies_add(replies, &result);
        }
        replies_seal(replies);
        at += message->size;
    }
    session_output_taken(session, size);
}

static uint64_t take_answers(struct session *session, const struct replies *replies)
{
    struct inn_completion completion;
    uint64_t taken = 0;
    uint8_t *room = NULL;
    REQUIRE(session_input(session, &room) >= replies->size);
    memcpy(room, replies->bytes, replies->size);
    session_input_filled(session, replies->size);
    while (session_next(session, &completion) == 1)
        taken++;
    return taken;
}

static void measure_session(uint32_t batch, uint64_t requests)
{
    static const char client[OWNER_SIZE] = "cost";
    static struct replies replies;
    struct session_options options = {
        .messages_max = 1024, .batch_max = batch, .send_bytes = 256 * KIB, .receive_bytes = 256 * KIB
    };
    struct session session;
    struct inn_completion none;
    REQUIRE(session_init(&session, &options) == 0);
    session_start(&session, SHARD_ANY, client);
    session_output_taken(&session, sizeof(struct message_header) + sizeof(struct hello));
    replies_clear(&replies);
    replies_hello(&replies, 1, 1, 1);
    (void)take_answers(&session, &replies);
    REQUIRE(session_next(&session, &none) == 0 && session.state == SESSION_READY);
    uint64_t spent_ns = 0;
    uint64_t answered = 0;
    for (uint64_t submitted = 0; answered < requests;) {
        uint64_t begin = cpu_now();
        for (unsigned i = 0; i < 1000; i++, submitted++) {
            struct inn_reserve_request request = request_of(submitted);
            struct reserve *item = session_submit(&session, OPERATION_RESERVE, sizeof *item, submitted);
            item_reserve(item, &request, 77);
        }
        session_seal(&session);
        spent_ns += cpu_now() - begin;
        answer_in_place(&session, &replies);
        begin = cpu_now();
        answered += take_answers(&session, &replies);
        spent_ns += cpu_now() - begin;
    }
    printf("session alone, batch %4u: %6.1f ns a request\n", batch, (double)spent_ns / (double)answered);
    session_free(&session);
}

/* ---- With a socket ----------------------------------------------------------------------------------------------- */

static void answer_everything(struct fake_server *s, int fd)
{
    (void)fd;
    fake_hello(s);
    const struct message_header *request = NULL;
    while ((request = fake_read(s)) != NULL)
        fake_answer(s, request, STATUS_OK);
}

static void measure_pipeline(uint32_t batch, uint64_t requests)
{
    fake_serve *const script[] = { answer_everything, NULL };
    struct inn_pipeline_options options;
    struct inn_pipeline *pipeline = NULL;
    struct inn_completion completion;
    fake_server_start(&server, script);
    inn_pipeline_options_init(&options);
    options.batch_max = batch;
    options.messages_max = 4096 / batch;
    int verdict = inn_pipeline_open(&pipeline, server.address, &options, NULL);
    REQUIRE(verdict == INN_OK);
    uint64_t answered = 0;
    uint64_t begin_cpu = cpu_now();
    uint64_t begin = clock_now();
    for (uint64_t submitted = 0; answered < requests;) {
        struct inn_reserve_request request = request_of(submitted);
        while (submitted < requests && inn_pipeline_reserve(pipeline, &request, submitted) == INN_OK)
            request = request_of(++submitted);
        verdict = inn_pump(pipeline, 1000);
        REQUIRE(verdict == INN_OK);
        while (inn_pipeline_next(pipeline, &completion) == 1)
            answered++;
    }
    printf("over loopback, batch %4u: %6.1f ns CPU a request, %.2f million a second\n", batch,
           (double)(cpu_now() - begin_cpu) / (double)answered, (double)answered * 1000 / (double)(clock_now() - begin));
    inn_pipeline_close(pipeline);
    fake_server_stop(&server);
}

int main(int argc, char **argv)
{
    uint64_t requests = (argc > 1 ? strtoull(argv[1], NULL, 10) : 2) * 1000000;
    static const uint32_t batches[] = { 1, 8, 64, 512 };
    for (size_t i = 0; i < ARRAY_COUNT(batches); i++)
        measure_session(batches[i], requests);
    for (size_t i = 0; i < ARRAY_COUNT(batches); i++)
        measure_pipeline(batches[i], requests);
    return 0;
}
