/* The pipeline against a scripted server. */
#include "engine/base/units.h"
#include "net/include/innkeep/innkeep.h"
#include "tests/client/fake_server.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <string.h>

static struct fake_server server;
static unsigned messages_seen;
static unsigned items_seen;

#define SCRIPT(...) ((fake_serve *const[]){ __VA_ARGS__, NULL })

static void answer_ok(struct fake_server *s, int fd)
{
    (void)fd;
    fake_hello(s);
    for (const struct message_header *request; (request = fake_read(s)) != NULL;) {
        messages_seen++;
        items_seen += request->items_count;
        fake_answer(s, request, STATUS_OK);
    }
}

/* Answers one message, reads a byte of what follows, and is gone. */
static void answer_one_and_go(struct fake_server *s, int fd)
{
    (void)fd;
    fake_hello(s);
    const struct message_header *request = fake_read(s);
    fake_answer(s, request, STATUS_OK);
    (void)fake_read(s);
}

static struct inn_pipeline *open_pipeline(fake_serve *const *script, uint32_t batch_max, uint32_t messages_max)
{
    struct inn_pipeline_options options;
    struct inn_pipeline *pipeline = NULL;
    struct inn_error error;
    server.log_time_ns = UINT64_C(1790000000) * NS_PER_SECOND;
    server.uuid_byte = 1;
    fake_server_start(&server, script);
    inn_pipeline_options_init(&options);
    options.batch_max = batch_max;
    options.messages_max = messages_max;
    options.receive_bytes = 64 * KIB;
    cr_assert_eq(inn_pipeline_open(&pipeline, server.address, &options, &error), INN_OK, "%s", error.text);
    cr_assert_eq(inn_pipeline_hello(pipeline)->shards, 2);
    return pipeline;
}

static void close_pipeline(struct inn_pipeline *pipeline)
{
    inn_pipeline_close(pipeline);
    fake_server_stop(&server);
}

static int submit(struct inn_pipeline *pipeline, uint64_t user)
{
    struct inn_reserve_request request = {
        .mutation = { .property = 1, .key = { { 1 } } }, .nights = 1, .rooms = 1, .room_type = 1
    };
    return inn_pipeline_reserve(pipeline, &request, user);
}

Test(pipeline, thousands_of_requests_are_answered_in_batches)
{
    struct inn_pipeline *p = open_pipeline(SCRIPT(answer_ok), 50, 100);
    uint64_t submitted = 0;
    uint64_t next_user = 0;
    struct inn_completion completion;
    while (next_user < 20000) {
        while (submitted < 20000 && submit(p, submitted) == INN_OK)
            submitted++;
        cr_assert_eq(inn_pump(p, 5000), INN_OK, "%s", inn_pipeline_error(p));
        while (inn_pipeline_next(p, &completion) == 1) {
            cr_assert_eq(completion.user, next_user++, "one shard answers in order");
            cr_assert_eq(completion.verdict, INN_OK);
            cr_assert_eq(completion.operation, INN_RESERVE);
            cr_assert_eq(completion.result->size, sizeof(struct inn_mutation_result));
        }
    }
    cr_assert_eq(inn_pipeline_pending(p), 0);
    close_pipeline(p);
    cr_assert_eq(items_seen, 20000);
    cr_assert_geq(messages_seen, 400);
    cr_assert_leq(messages_seen, 2000, "fuller than 10 on average: %u", messages_seen);
}

static uint64_t not_after_seen_ns;

static void idle_remember_deadline(struct fake_server *s, int fd)
{
    (void)fd;
    s->clock_ahead_ns = NS_PER_HOUR;
    fake_hello(s);
    for (const struct message_header *request; (request = fake_read(s)) != NULL; fake_answer(s, request, STATUS_OK)) {
        messages_seen++;
        not_after_seen_ns = ((const struct mutation *)(const void *)message_item_first(request))->not_after_ns;
    }
}

Test(pipeline, deadlines_are_reckoned_from_hellos_clock_and_opening_asks_for_nothing_else)
{
    struct inn_pipeline *p = open_pipeline(SCRIPT(idle_remember_deadline), 1, 1);
    uint64_t clock_ns = server.log_time_ns + NS_PER_HOUR;
    struct inn_completion completion;
    cr_assert_geq(inn_pipeline_time(p), clock_ns);
    cr_assert_lt(inn_pipeline_time(p), clock_ns + 10 * NS_PER_SECOND);
    cr_assert_eq(submit(p, 1), INN_OK);
    while (inn_pipeline_next(p, &completion) == 0)
        cr_assert_eq(inn_pump(p, 5000), INN_OK);
    close_pipeline(p);
    cr_assert_eq(messages_seen, 1);
    cr_assert_geq(not_after_seen_ns, clock_ns + 60 * NS_PER_SECOND);
    cr_assert_lt(not_after_seen_ns, clock_ns + 70 * NS_PER_SECOND);
}

Test(pipeline, a_pipeline_of_one_message_takes_one_and_says_full)
{
    struct inn_pipeline *p = open_pipeline(SCRIPT(answer_ok), 1, 1);
    struct inn_completion completion;
    cr_assert_eq(submit(p, 1), INN_OK);
    cr_assert_eq(submit(p, 2), INN_FULL);
    cr_assert_eq(inn_pipeline_pending(p), 1);
    while (inn_pipeline_next(p, &completion) == 0)
        cr_assert_eq(inn_pump(p, 5000), INN_OK);
    cr_assert_eq(completion.user, 1);
    cr_assert_eq(submit(p, 2), INN_OK);
    close_pipeline(p);
}

struct delivered {
    struct inn_pipeline *pipeline;
    unsigned count;
};

static void on_completion(void *context, const struct inn_completion *completion)
{
    struct delivered *delivered = context;
    cr_assert_eq(completion->user, delivered->count++);
    if (delivered->count < 100)
        cr_assert_eq(submit(delivered->pipeline, delivered->count), INN_OK);
}

Test(pipeline, a_callback_may_submit)
{
    struct inn_pipeline *p = open_pipeline(SCRIPT(answer_ok), 1, 1);
    struct delivered delivered = { .pipeline = p };
    cr_assert_eq(submit(p, 0), INN_OK);
    while (delivered.count < 100) {
        cr_assert_eq(inn_pump(p, 5000), INN_OK);
        (void)inn_pipeline_deliver(p, on_completion, &delivered);
    }
    close_pipeline(p);
    cr_assert_eq(messages_seen, 100);
}

Test(pipeline, an_event_loop_of_ones_own_needs_only_poll)
{
    struct inn_pipeline *p = open_pipeline(SCRIPT(answer_ok), 10, 10);
    struct inn_completion completion;
    unsigned answered = 0;
    for (uint64_t user = 0; user < 30; user++)
        cr_assert_eq(submit(p, user), INN_OK);
    cr_assert_eq(inn_pipeline_flush(p), INN_OK);
    while (answered < 30) {
        struct pollfd fd = { .fd = inn_fd(p), .events = (short)(POLLIN | (inn_want_write(p) ? POLLOUT : 0)) };
        cr_assert_gt(poll(&fd, 1, 5000), 0);
        cr_assert_eq(inn_on_writable(p), INN_OK);
        cr_assert_eq(inn_on_readable(p), INN_OK);
        while (inn_pipeline_next(p, &completion) == 1)
            answered++;
    }
    close_pipeline(p);
}

Test(pipeline, a_lost_connection_completes_everything_that_was_under_way)
{
    struct inn_pipeline *p = open_pipeline(SCRIPT(answer_one_and_go), 1, 100);
    struct inn_completion completion;
    int verdicts[6] = { 1, 1, 1, 1, 1, 1 };
    cr_assert_eq(submit(p, 0), INN_OK);
    cr_assert_eq(submit(p, 1), INN_OK);
    cr_assert_eq(submit(p, 2), INN_OK);
    cr_assert_eq(inn_pipeline_lookup(p, 1, (struct inn_key){ { 1 } }, 3), INN_OK);
    for (unsigned taken = 0; taken < 4;) {
        int state = inn_pump(p, 5000);
        cr_assert(state == INN_OK || state == INN_CLOSED);
        for (; inn_pipeline_next(p, &completion) == 1; taken++)
            verdicts[completion.user] = completion.verdict;
    }
    cr_assert_eq(verdicts[0], INN_OK);
    cr_assert_eq(verdicts[1], INN_UNKNOWN);
    cr_assert_eq(verdicts[2], INN_UNKNOWN);
    cr_assert_eq(verdicts[3], INN_NO_ANSWER, "a question changes nothing");
    cr_assert_eq(inn_pipeline_pending(p), 0);
    cr_assert_eq(submit(p, 4), INN_CLOSED);
    cr_assert_eq(inn_pump(p, 0), INN_CLOSED);
    cr_assert_eq(inn_fd(p), -1);
    cr_assert_gt(strlen(inn_pipeline_error(p)), 0);
    close_pipeline(p);
}

Test(pipeline, options_beyond_their_bounds_are_refused)
{
    struct inn_pipeline *p = NULL;
    struct inn_pipeline_options options;
    struct inn_error error;
    for (int which = 0; which < 5; which++) {
        inn_pipeline_options_init(&options);
        if (which == 0)
            options.batch_max = 0;
        else if (which == 1)
            options.batch_max = 4097;
        else if (which == 2)
            options.messages_max = 65537;
        else if (which == 3)
            options.receive_bytes = 100;
        else
            options.client = "a name of more than thirty-two bytes";
        cr_assert_eq(inn_pipeline_open(&p, "127.0.0.1:1", &options, &error), INN_BAD_ARGUMENT);
        cr_assert_null(p);
    }
}
