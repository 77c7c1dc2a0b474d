/* What PROTOCOL.md says, held against a real server over real sockets: handshake, bad input, batches, order, and the life of a
 * booking. */
#include "tests/net/wire.h"

#include "tests/net/frames.h"
#include "tests/net/golden_messages.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DATE 20780
#define CORRELATION UINT64_C(0xabcdef)

TestSuite(wire, .init = wire_server_start, .fini = wire_server_stop, .timeout = 60);

static union wire_message request;
static struct wire_answer answer;

static union wire_message *barriers(uint32_t count)
{
    wire_begin(&request, OPERATION_BARRIER, CORRELATION);
    for (uint32_t i = 0; i < count; i++) {
        struct barrier barrier = wire_barrier(1 + i);
        wire_append(&request, &barrier);
    }
    return &request;
}

static uint64_t log_time(int socket, uint64_t property)
{
    struct barrier barrier = wire_barrier(property);
    return wire_ask_one(socket, &barrier)->log_time_ns;
}

/* ---- The handshake ----------------------------------------------------------------------------------------------------- */

Test(wire, the_golden_hello_is_welcome)
{
    static union wire_message reply;
    union golden_bytes hello;
    int socket = wire_connect_raw();
    golden_build(&golden_messages[0], &hello);
    cr_assert_eq(hello.header.operation, OPERATION_HELLO);
    wire_send(socket, hello.bytes, hello.header.size);
    wire_receive(socket, &reply);
    const struct hello_result *result = (const struct hello_result *)(const void *)(&reply.header + 1);
    cr_assert_eq(reply.header.correlation, hello.header.correlation);
    cr_assert_eq(reply.header.operation, OPERATION_HELLO);
    cr_assert_eq(result->header.status, STATUS_OK);
    cr_assert_eq(result->header.size, sizeof *result);
    cr_assert_eq(result->version, 1);
    cr_assert_eq(result->shards, 2);
    cr_assert_lt(result->shard, 2);
    cr_assert_eq(result->hash_rule, 1);
    cr_assert_eq(result->message_size_max, 131072);
    cr_assert_eq(result->items_max, 4096);
    cr_assert_geq(result->requests_max, 1);
    cr_assert_eq(result->horizon_nights, 1000);
    cr_assert_eq(result->deadline_ahead_max_ns, 600 * NS_PER_SECOND);
    close(socket);
}

Test(wire, a_hello_for_a_shard_gets_that_shard)
{
    for (uint32_t shard = 0; shard < 2; shard++) {
        int socket = wire_connect_raw();
        struct hello hello = wire_hello();
        hello.shard = shard;
        const struct hello_result *result = (const struct hello_result *)(const void *)wire_ask_one(socket, &hello);
        cr_assert_eq(result->header.status, STATUS_OK);
        cr_assert_eq(result->shard, shard);
        close(socket);
    }
}

static struct hello_result say_hello(uint32_t shard)
{
    int socket = wire_connect_raw();
    struct hello hello = wire_hello();
    hello.shard = shard;
    struct hello_result result = *(const struct hello_result *)(const void *)wire_ask_one(socket, &hello);
    cr_assert_eq(result.header.size, sizeof result);
    close(socket);
    return result;
}

Test(wire, hello_tells_the_clock_that_goes_on_while_nothing_is_logged)
{
    const struct timespec pause = { .tv_nsec = 50 * (long)NS_PER_MS };
    for (uint32_t shard = 0; shard < 2; shard++) {
        uint64_t before_ns = say_hello(shard).server_time_ns;
        nanosleep(&pause, NULL);
        struct hello_result result = say_hello(shard);
        cr_assert_geq(result.server_time_ns, before_ns + 40 * NS_PER_MS);
        cr_assert_geq(result.server_time_ns, result.header.log_time_ns);
    }
}

Test(wire, a_frame_written_after_hello_is_stamped_with_hellos_clock_or_later)
{
    int socket = wire_connect();
    for (uint32_t shard = 0; shard < 2; shard++) {
        uint64_t told_ns = say_hello(shard).server_time_ns;
        uint64_t property = 1 + shard; /* is of that shard */
        uint64_t stamped_ns = log_time(socket, property);
        cr_assert_eq(shard_of_property(property, 2), shard);
        cr_assert_geq(stamped_ns, told_ns);
        cr_assert_lt(stamped_ns - told_ns, 10 * NS_PER_SECOND);
    }
    close(socket);
}

static void expect_hello_refused(struct hello hello, uint32_t count, enum status status)
{
    int socket = wire_connect_raw();
    wire_begin(&request, OPERATION_HELLO, CORRELATION);
    for (uint32_t i = 0; i < count; i++)
        wire_append(&request, &hello);
    wire_send_message(socket, &request);
    wire_expect_refusal(socket, status, CORRELATION);
}

Test(wire, a_hello_that_will_not_do_is_told_why)
{
    struct hello hello = wire_hello();
    expect_hello_refused(hello, 2, STATUS_HELLO_EXPECTED);
    hello.version_min = 2;
    hello.version_max = 9;
    expect_hello_refused(hello, 1, STATUS_BAD_PROTOCOL_VERSION);
    hello.version_max = 1;
    expect_hello_refused(hello, 1, STATUS_BAD_PROTOCOL_VERSION);
    hello = wire_hello();
    hello.shard = 2;
    expect_hello_refused(hello, 1, STATUS_NO_SUCH_SHARD);
    hello = wire_hello();
    hello.reserved = 1;
    expect_hello_refused(hello, 1, STATUS_RESERVED_NOT_ZERO);
    hello = wire_hello();
    hello.client[5] = 'x';
    expect_hello_refused(hello, 1, STATUS_BAD_OWNER);
}

Test(wire, a_connection_that_does_not_begin_with_hello_is_closed)
{
    int socket = wire_connect_raw();
    wire_send_message(socket, barriers(1));
    wire_expect_refusal(socket, STATUS_HELLO_EXPECTED, CORRELATION);
}

Test(wire, a_second_hello_is_one_too_many)
{
    int socket = wire_connect();
    struct hello hello = wire_hello();
    wire_begin(&request, OPERATION_HELLO, CORRELATION);
    wire_append(&request, &hello);
    wire_send_message(socket, &request);
    wire_expect_refusal(socket, STATUS_HELLO_EXPECTED, CORRELATION);
}

Test(wire, requests_may_follow_the_hello_without_waiting)
{
    static union wire_message reply;
    int socket = wire_connect_raw();
    struct hello hello = wire_hello();
    wire_begin(&request, OPERATION_HELLO, 1);
    wire_append(&request, &hello);
    wire_send_message(socket, &request);
    wire_send_message(socket, barriers(1));
    wire_receive(socket, &reply);
    cr_assert_eq(reply.header.operation, OPERATION_HELLO);
    wire_receive(socket, &reply);
    cr_assert_eq(reply.header.operation, OPERATION_BARRIER);
    cr_assert_eq(reply.header.correlation, CORRELATION);
    close(socket);
}

/* ---- Bad messages ------------------------------------------------------------------------------------------------------ */

enum spoiling {
    SPOIL_MAGIC,
    SPOIL_VERSION,
    SPOIL_SIZE_0,
    SPOIL_SIZE_31,
    SPOIL_SIZE_33,
    SPOIL_SIZE_ABOVE_MAX,
    SPOIL_SIZE_HUGE,
    SPOIL_CHECKSUM,
    SPOIL_BODY,
    SPOIL_FLAGS,
    SPOIL_REPLY,
    SPOIL_NO_ITEMS,
    SPOIL_TOO_MANY_ITEMS,
    SPOIL_ITEM_SIZE,
    SPOIL_ITEM_KIND,
    SPOIL_COUNT,
};

static const enum status spoiled_status[SPOIL_COUNT] = {
    [SPOIL_MAGIC] = STATUS_BAD_MAGIC,
    [SPOIL_VERSION] = STATUS_BAD_PROTOCOL_VERSION,
    [SPOIL_SIZE_0] = STATUS_BAD_MESSAGE_SIZE,
    [SPOIL_SIZE_31] = STATUS_BAD_MESSAGE_SIZE,
    [SPOIL_SIZE_33] = STATUS_BAD_MESSAGE_SIZE,
    [SPOIL_SIZE_ABOVE_MAX] = STATUS_BAD_MESSAGE_SIZE,
    [SPOIL_SIZE_HUGE] = STATUS_BAD_MESSAGE_SIZE,
    [SPOIL_CHECKSUM] = STATUS_BAD_CHECKSUM,
    [SPOIL_BODY] = STATUS_BAD_CHECKSUM,
    [SPOIL_FLAGS] = STATUS_BAD_MESSAGE,
    [SPOIL_REPLY] = STATUS_BAD_MESSAGE,
    [SPOIL_NO_ITEMS] = STATUS_BAD_MESSAGE,
    [SPOIL_TOO_MANY_ITEMS] = STATUS_BAD_MESSAGE,
    [SPOIL_ITEM_SIZE] = STATUS_BAD_MESSAGE,
    [SPOIL_ITEM_KIND] = STATUS_BAD_MESSAGE,
};

/* What is spoiled before the message is sealed, so that its checksum is right. */
static void spoil_inside(union wire_message *message, enum spoiling how)
{
    struct record_header *item = (struct record_header *)(void *)(&message->header + 1);
    if (how == SPOIL_FLAGS)
        message->header.flags = 2;
    if (how == SPOIL_REPLY)
        message->header.flags = MESSAGE_REPLY;
    if (how == SPOIL_NO_ITEMS)
        message->header.items_count = 0;
    if (how == SPOIL_TOO_MANY_ITEMS)
        message->header.items_count = 4097;
    if (how == SPOIL_ITEM_SIZE)
        item->size = 64;
    if (how == SPOIL_ITEM_KIND)
        item->kind = OPERATION_LOOKUP;
}

static void spoil_outside(union wire_message *message, enum spoiling how)
{
    static const uint32_t sizes[SPOIL_COUNT] = { [SPOIL_SIZE_31] = 31,
                                                 [SPOIL_SIZE_33] = 33,
                                                 [SPOIL_SIZE_ABOVE_MAX] = MESSAGE_SIZE_MAX + 8,
                                                 [SPOIL_SIZE_HUGE] = UINT32_MAX };
    if (how == SPOIL_MAGIC)
        message->header.magic++;
    if (how == SPOIL_VERSION)
        message->header.version = 2;
    if (how >= SPOIL_SIZE_0 && how <= SPOIL_SIZE_HUGE)
        message->header.size = sizes[how];
    if (how == SPOIL_CHECKSUM)
        message->header.checksum++;
    if (how == SPOIL_BODY)
        message->bytes[40]++;
}

Test(wire, a_message_that_makes_no_sense_is_answered_once_and_the_connection_closed)
{
    for (enum spoiling how = 0; how < SPOIL_COUNT; how++) {
        int socket = wire_connect();
        union wire_message *message = barriers(1);
        uint32_t size = message->header.size;
        spoil_inside(message, how);
        message_seal(&message->header);
        spoil_outside(message, how);
        wire_send(socket, message->bytes, size);
        wire_expect_refusal(socket, spoiled_status[how], how == SPOIL_MAGIC ? 0 : CORRELATION);
    }
    close(wire_connect()); /* and the server is none the worse for it */
}

Test(wire, half_a_message_and_then_silence_is_too_long)
{
    int greeted = wire_connect();
    int fresh = wire_connect_raw();
    message_seal(&barriers(1)->header);
    wire_send(greeted, request.bytes, request.header.size - 1);
    wire_send(fresh, request.bytes, 7);
    wire_expect_refusal(fresh, STATUS_IDLE_TOO_LONG, 0);
    wire_expect_refusal(greeted, STATUS_IDLE_TOO_LONG, 0);
}

/* ---- Bad items --------------------------------------------------------------------------------------------------------- */

static void expect_item_refused(int socket, const void *item, enum status status)
{
    const struct result_header *result = wire_ask_one(socket, item);
    cr_assert_eq(result->status, status, "%s, expected %s", status_name(result->status), status_name((uint16_t)status));
    cr_assert_eq(result->size, sizeof *result);
    cr_assert_eq(result->lsn, 0);
}

Test(wire, a_bad_item_is_refused_by_itself)
{
    int socket = wire_connect();
    struct reserve reserve = record_reserve(1, 1, DATE, 0, 0, 1, log_time(socket, 1));
    expect_item_refused(socket, &reserve, STATUS_ZERO_NIGHTS);
    reserve.nights = 1;
    reserve.lines[0].rooms = 0;
    expect_item_refused(socket, &reserve, STATUS_ZERO_ROOMS);
    reserve.lines[0].rooms = 32768;
    expect_item_refused(socket, &reserve, STATUS_TOO_MANY_ROOMS);
    reserve.lines[0].rooms = 1;
    reserve.mutation.not_after_ns = 0;
    expect_item_refused(socket, &reserve, STATUS_ZERO_DEADLINE);
    reserve.mutation.not_after_ns = 1;
    reserve.mutation.fence_token = 1;
    expect_item_refused(socket, &reserve, STATUS_BAD_FENCE);
    reserve.mutation.fence_token = 0;
    reserve.mutation.header.key = (struct key){ { 0, 0 } };
    expect_item_refused(socket, &reserve, STATUS_ZERO_KEY);
    struct barrier barrier = wire_barrier(0);
    expect_item_refused(socket, &barrier, STATUS_ZERO_PROPERTY);
    barrier.header.flags = RECORD_BY_SHARD;
    barrier.header.property = 2;
    expect_item_refused(socket, &barrier, STATUS_NO_SUCH_SHARD);
    barrier.header.kind = 200;
    expect_item_refused(socket, &barrier, STATUS_UNKNOWN_OPERATION);
    struct config_record config = record_config(small_limits());
    expect_item_refused(socket, &config, STATUS_UNKNOWN_OPERATION);
    cr_assert_gt(log_time(socket, 1), 0);
    close(socket);
}

Test(wire, a_bad_item_does_not_stop_its_neighbours)
{
    int socket = wire_connect();
    union wire_message *message = barriers(64);
    struct record_header *item = (struct record_header *)(void *)(&message->header + 1);
    for (uint32_t i = 0; i < 64; i += 3)
        item[i].key.word[0] = 1; /* a barrier is as long as its header */
    wire_ask(socket, message, &answer);
    for (uint32_t i = 0; i < 64; i++)
        cr_assert_eq(answer.results[i]->status, i % 3 == 0 ? STATUS_UNEXPECTED_KEY : STATUS_OK, "item %u", i);
    close(socket);
}

/* ---- Many items, many messages ----------------------------------------------------------------------------------------- */

Test(wire, a_request_over_both_shards_is_answered_by_both_each_in_its_order)
{
    int socket = wire_connect();
    wire_ask(socket, barriers(WIRE_ITEMS_MAX), &answer);
    uint64_t last_lsn[2] = { 0, 0 };
    for (uint32_t i = 0; i < WIRE_ITEMS_MAX; i++) {
        const struct result_header *result = answer.results[i];
        cr_assert_eq(result->shard, shard_of_property(1 + i, 2));
        cr_assert_gt(result->lsn, last_lsn[result->shard]);
        last_lsn[result->shard] = result->lsn;
    }
    cr_assert(last_lsn[0] > 0 && last_lsn[1] > 0);
    close(socket);
}

Test(wire, results_of_one_shard_come_in_the_order_of_its_items_refusals_included)
{
    enum { MESSAGES = 200 };
    static union wire_message reply;
    int socket = wire_connect();
    for (uint32_t i = 0; i < MESSAGES; i++) {
        struct barrier barrier = wire_barrier(1);
        barrier.header.key.word[0] = i % 5 == 0; /* every fifth is refused */
        wire_begin(&request, OPERATION_BARRIER, i);
        wire_append(&request, &barrier);
        wire_send_message(socket, &request);
    }
    for (uint32_t i = 0; i < MESSAGES; i++) {
        wire_receive(socket, &reply);
        const struct result_header *result = (const struct result_header *)(const void *)(&reply.header + 1);
        cr_assert_eq(reply.header.correlation, i);
        cr_assert_eq(result->status, i % 5 == 0 ? STATUS_UNEXPECTED_KEY : STATUS_OK);
    }
    close(socket);
}

Test(wire, a_message_may_come_byte_by_byte)
{
    static union wire_message reply;
    int socket = wire_connect();
    message_seal(&barriers(2)->header);
    for (uint32_t i = 0; i < request.header.size; i++)
        wire_send(socket, request.bytes + i, 1);
    uint32_t answered = 0;
    for (; answered < 2; answered += reply.header.items_count)
        wire_receive(socket, &reply);
    cr_assert_eq(answered, 2);
    close(socket);
}

Test(wire, the_largest_message_is_taken_and_answered_whole)
{
    static union wire_message reply;
    uint32_t count = (MESSAGE_SIZE_MAX - sizeof(struct message_header)) / sizeof(struct barrier);
    int socket = wire_connect();
    wire_send_message(socket, barriers(count));
    cr_assert_eq(request.header.size, MESSAGE_SIZE_MAX);
    uint32_t answered = 0;
    for (; answered < count; answered += reply.header.items_count)
        wire_receive(socket, &reply); /* which bounds a reply's size, too */
    cr_assert_eq(answered, count);
    close(socket);
}

Test(wire, what_was_sent_before_the_writing_half_closed_is_answered)
{
    static union wire_message reply;
    int socket = wire_connect();
    for (uint32_t i = 0; i < 50; i++) {
        barriers(1)->header.correlation = i; /* alike, they would share replies */
        wire_send_message(socket, &request);
    }
    cr_assert_eq(shutdown(socket, SHUT_WR), 0);
    for (uint32_t i = 0; i < 50; i++) {
        wire_receive(socket, &reply);
        cr_assert_eq(reply.header.correlation, i);
    }
    wire_expect_end(socket);
}

/* ---- Semantics, as the document tells them ------------------------------------------------------------------------------- */

static const struct mutation_result *ask_mutation(int socket, const void *item)
{
    return (const struct mutation_result *)(const void *)wire_ask_one(socket, item);
}

static uint64_t property_open(int socket, uint64_t property)
{
    uint64_t now_ns = log_time(socket, property);
    struct property_create create = record_property(property, DATE, 1, now_ns);
    struct room_type_create type = record_room_type(property, 2, 1, 2, now_ns);
    cr_assert_eq(ask_mutation(socket, &create)->header.status, STATUS_OK);
    cr_assert_eq(ask_mutation(socket, &type)->header.status, STATUS_OK);
    return now_ns;
}

Test(wire, the_booking_of_the_document_goes_as_the_document_says)
{
    int socket = wire_connect();
    uint64_t now_ns = property_open(socket, 42);
    struct reserve hold = record_reserve(42, 2, DATE, 3, 15 * NS_PER_MINUTE, 101, now_ns);
    struct mutation_result held = *ask_mutation(socket, &hold);
    cr_assert_eq(held.header.status, STATUS_OK);
    cr_assert_eq(held.header.shard, shard_of_property(42, 2));
    cr_assert_eq(held.state, RESERVATION_HELD);
    cr_assert_eq(held.version, 1);
    cr_assert_eq(held.hold_deadline_ns, held.header.log_time_ns + 15 * NS_PER_MINUTE);
    struct reservation_change confirm = record_change(OPERATION_CONFIRM, 42, 101, 102, now_ns);
    confirm.expected_version = 1;
    struct mutation_result confirmed = *ask_mutation(socket, &confirm);
    cr_assert_eq(confirmed.header.status, STATUS_OK);
    cr_assert_eq(confirmed.state, RESERVATION_CONFIRMED);
    cr_assert_eq(confirmed.version, 2);
    struct lookup lookup = { .header = { .size = sizeof lookup,
                                         .kind = OPERATION_LOOKUP,
                                         .version = 1,
                                         .property = 42,
                                         .key = { { 101, 101 } } } };
    struct lookup_result found = *(const struct lookup_result *)(const void *)wire_ask_one(socket, &lookup);
    cr_assert_eq(found.what, LOOKUP_RESERVATION);
    cr_assert_eq(found.state, RESERVATION_CONFIRMED);
    cr_assert_eq(found.header.original_lsn, held.header.lsn);
    struct reservation_change cancel = record_change(OPERATION_CANCEL, 42, 101, 103, now_ns);
    cancel.expected_version = 2;
    cr_assert_eq(ask_mutation(socket, &cancel)->state, RESERVATION_CANCELLED);
    close(socket);
}

static void expect_replay(int socket, const void *item, const struct mutation_result *first)
{
    struct mutation_result again = *ask_mutation(socket, item);
    cr_assert_eq(again.header.status, first->header.status);
    cr_assert_eq(again.header.flags, RESULT_REPLAYED);
    cr_assert_eq(again.header.original_lsn, first->header.lsn);
    cr_assert_gt(again.header.lsn, first->header.lsn);
    cr_assert_arr_eq((const uint8_t *)&again + sizeof again.header, (const uint8_t *)first + sizeof first->header,
                     sizeof again - sizeof again.header);
}

Test(wire, a_retry_gets_the_first_outcome_and_other_content_is_told_apart)
{
    int socket = wire_connect();
    uint64_t now_ns = property_open(socket, 42);
    struct reserve first = record_reserve(42, 2, DATE, 3, 0, 101, now_ns);
    struct reserve second = record_reserve(42, 2, DATE + 2, 3, 0, 102, now_ns);
    struct mutation_result booked = *ask_mutation(socket, &first);
    struct mutation_result refused = *ask_mutation(socket, &second);
    cr_assert_eq(booked.header.status, STATUS_OK);
    cr_assert_eq(refused.header.status, STATUS_SOLD_OUT);
    cr_assert_eq(refused.night, DATE + 2);
    cr_assert_eq(refused.available, 0);
    cr_assert_eq(refused.limit, LIMIT_TYPE);
    int other = wire_connect();
    expect_replay(other, &first, &booked);
    second.mutation.not_after_ns += 5; /* not part of the content */
    expect_replay(other, &second, &refused);
    first.nights = 4;
    struct mutation_result reused = *ask_mutation(socket, &first);
    cr_assert_eq(reused.header.status, STATUS_KEY_REUSED);
    cr_assert_eq(reused.header.original_lsn, booked.header.lsn);
    cr_assert_eq(reused.operation, OPERATION_RESERVE);
    close(other);
    close(socket);
}

Test(wire, deadlines_are_judged_by_log_time)
{
    int socket = wire_connect();
    uint64_t now_ns = property_open(socket, 42);
    struct reserve reserve = record_reserve(42, 2, DATE, 1, 0, 101, now_ns);
    reserve.mutation.not_after_ns = now_ns - 1;
    cr_assert_eq(ask_mutation(socket, &reserve)->header.status, STATUS_TOO_LATE);
    reserve.mutation.not_after_ns = now_ns + NS_PER_HOUR;
    cr_assert_eq(ask_mutation(socket, &reserve)->header.status, STATUS_DEADLINE_TOO_FAR);
    reserve.mutation.not_after_ns = now_ns + NS_PER_MINUTE;
    cr_assert_eq(ask_mutation(socket, &reserve)->header.status, STATUS_OK); /* neither had used the key */
    close(socket);
}

Test(wire, a_stale_token_is_fenced_off_and_told_the_newest)
{
    int socket = wire_connect();
    uint64_t now_ns = property_open(socket, 42);
    struct lease_acquire acquire = record_acquire(42, 7, 1, NS_PER_MS);
    struct lease_result first = *(const struct lease_result *)(const void *)wire_ask_one(socket, &acquire);
    cr_assert_eq(first.header.status, STATUS_OK);
    cr_assert_eq(first.token, first.header.lsn);
    while (log_time(socket, 42) < first.deadline_ns)
        usleep(1000);
    acquire.header.key.word[0] = 2;
    acquire.ttl_ns = NS_PER_MINUTE;
    struct lease_result next = *(const struct lease_result *)(const void *)wire_ask_one(socket, &acquire);
    cr_assert_gt(next.token, first.token);
    struct reserve reserve = record_reserve(42, 2, DATE, 1, 0, 101, now_ns);
    reserve.mutation.fence_resource = 7;
    reserve.mutation.fence_token = first.token;
    struct mutation_result fenced = *ask_mutation(socket, &reserve);
    cr_assert_eq(fenced.header.status, STATUS_FENCED);
    cr_assert_eq(fenced.token, next.token);
    reserve.mutation.fence_token = next.token;
    cr_assert_eq(ask_mutation(socket, &reserve)->header.status, STATUS_OK);
    close(socket);
}

Test(wire, an_unknown_key_is_settled_by_a_barrier_past_the_deadline)
{
    int socket = wire_connect();
    uint64_t now_ns = property_open(socket, 42);
    struct reserve reserve = record_reserve(42, 2, DATE, 1, 0, 101, now_ns);
    reserve.mutation.not_after_ns = log_time(socket, 42) + 20 * NS_PER_MS;
    while (log_time(socket, 42) <= reserve.mutation.not_after_ns)
        usleep(1000);
    struct lookup lookup = { .header = { .size = sizeof lookup,
                                         .kind = OPERATION_LOOKUP,
                                         .version = 1,
                                         .property = 42,
                                         .key = { { 101, 101 } } } };
    const struct result_header *found = wire_ask_one(socket, &lookup);
    cr_assert_eq(found->status, STATUS_NO_SUCH_KEY);
    cr_assert_eq(found->size, sizeof(struct lookup_result));
    cr_assert_eq(ask_mutation(socket, &reserve)->header.status, STATUS_TOO_LATE); /* the late duplicate */
    close(socket);
}

Test(wire, a_calendar_is_cut_to_the_nights_that_are_open)
{
    int socket = wire_connect();
    property_open(socket, 42);
    struct calendar query = {
        .header = { .size = sizeof query, .kind = OPERATION_CALENDAR, .version = 1, .property = 42 },
        .first_night = DATE - 3,
        .nights = 5,
    };
    const struct calendar_result *result = (const struct calendar_result *)(const void *)wire_ask_one(socket, &query);
    cr_assert_eq(result->header.status, STATUS_OK);
    cr_assert_eq(result->first_night, DATE);
    cr_assert_eq(result->nights, 2);
    cr_assert_eq(result->types_count, 1);
    cr_assert_eq(result->business_date, DATE);
    cr_assert_eq(result->header.size,
                 sizeof *result + sizeof(struct calendar_type) + 2 * sizeof(struct calendar_night));
    query.first_night = DATE + 1000;
    result = (const struct calendar_result *)(const void *)wire_ask_one(socket, &query);
    cr_assert_eq(result->header.status, STATUS_OK);
    cr_assert_eq(result->nights, 0);
    cr_assert_eq(result->types_count, 0);
    cr_assert_eq(result->first_night, 0);
    close(socket);
}

Test(wire, status_tells_of_each_shard_and_hashes_on_request)
{
    int socket = wire_connect();
    property_open(socket, 42);
    struct status_query query = { .header = { .size = sizeof query,
                                              .kind = OPERATION_STATUS,
                                              .version = 1,
                                              .flags = RECORD_BY_SHARD,
                                              .property = shard_of_property(42, 2) } };
    struct status_result plain = *(const struct status_result *)(const void *)wire_ask_one(socket, &query);
    cr_assert_eq(plain.header.status, STATUS_OK);
    cr_assert_eq(plain.properties, 1);
    cr_assert_eq(plain.shards, 2);
    cr_assert(plain.state_hash.low == 0 && plain.state_hash.high == 0);
    query.with_hash = 1;
    struct status_result hashed = *(const struct status_result *)(const void *)wire_ask_one(socket, &query);
    cr_assert(hashed.state_hash.low != 0 || hashed.state_hash.high != 0);
    close(socket);
}
