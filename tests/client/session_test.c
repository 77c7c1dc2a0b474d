/* The client's state machine against scripted bytes: no socket anywhere. */
#include "net/client/item.h"
#include "net/client/session.h"
#include "tests/client/replies.h"
#include "tests/net/golden_text.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static struct replies replies; /* large: one for all, tests run in processes of their own */

/* ---- Helpers ----------------------------------------------------------------------------------------------------- */

static const struct session_options options_small = {
    .messages_max = 4, .batch_max = 4, .send_bytes = 4 * KIB, .receive_bytes = SESSION_RECEIVE_BYTES_MIN
};

static void start(struct session *session, const struct session_options *options)
{
    static const char client[OWNER_SIZE] = "golden 1.0";
    cr_assert_eq(session_init(session, options), 0);
    session_start(session, SHARD_ANY, client);
}

/* Gives the session bytes in pieces of `piece` bytes, without taking answers unless there is no room. */
static void feed(struct session *session, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        uint8_t *room = NULL;
        size_t fits = session_input(session, &room);
        cr_assert_gt(fits, 0);
        size_t piece = size < fits ? size : fits;
        memcpy(room, bytes, piece);
        session_input_filled(session, piece);
        bytes += piece;
        size -= piece;
    }
}

static void feed_replies(struct session *session)
{
    feed(session, replies.bytes, replies.size);
}

/* Takes the bytes to send into `out`; how many. */
static size_t drain(struct session *session, uint8_t *out, size_t out_size)
{
    const uint8_t *bytes = NULL;
    size_t size = session_output(session, &bytes);
    cr_assert_leq(size, out_size);
    memcpy(out, bytes, size);
    session_output_taken(session, size);
    return size;
}

static _Alignas(8) uint8_t sent[256 * 1024];

static void greet(struct session *session)
{
    struct inn_completion none;
    (void)drain(session, sent, sizeof sent);
    replies_clear(&replies);
    replies_hello(&replies, 1000, 1000, 1);
    feed_replies(session);
    cr_assert_eq(session_next(session, &none), 0);
    cr_assert_eq(session->state, SESSION_READY);
    replies_clear(&replies);
}

/* Submits a reserve of room type 1 whose external reference is `user`. */
static bool submit(struct session *session, uint64_t user)
{
    struct reserve *item = session_submit(session, OPERATION_RESERVE, sizeof *item, user);
    if (item == NULL)
        return false;
    struct inn_reserve_request request = { .room_type = 1, .rooms = 1, .nights = 1, .external_reference = user };
    item_reserve(item, &request, 77);
    return true;
}

static const struct message_header *sent_message(size_t offset)
{
    return (const struct message_header *)(const void *)(sent + offset);
}

static void answer(uint64_t correlation, enum status status, uint16_t item)
{
    struct mutation_result result = result_mutation(status, item, 5, 2000);
    replies_begin(&replies, OPERATION_RESERVE, correlation);
    replies_add(&replies, &result);
    replies_seal(&replies);
}

/* ---- Requests ---------------------------------------------------------------------------------------------------- */

/* The golden message `name`, which other tests hold against PROTOCOL.md. */
static const struct message_header *golden(const char *name)
{
    static _Alignas(8) uint8_t bytes[GOLDEN_SIZE_MAX];
    char path[512];
    char text[32768];
    snprintf(path, sizeof path, INNKEEP_SOURCE_DIR "/tests/net/golden/%s.hex", name);
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "%s", path);
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = '\0';
    cr_assert_neq(golden_parse(text, bytes, sizeof bytes), SIZE_MAX, "%s", path);
    return (const struct message_header *)(const void *)bytes;
}

/* The message sent must be the golden one but for its correlation, which is the session's own choice. */
static void expect_golden(const char *name, size_t offset)
{
    const struct message_header *expected = golden(name);
    struct message_header *got = (struct message_header *)(void *)(sent + offset);
    cr_assert_eq(message_check(got), STATUS_OK, "%s", name);
    got->correlation = expected->correlation;
    message_seal(got);
    cr_assert_eq(got->size, expected->size, "%s: %u bytes", name, got->size);
    cr_assert_arr_eq(got, expected, expected->size, "%s", name);
}

static const struct record_header *golden_item(const char *name)
{
    return message_item_first(golden(name));
}

static struct inn_key key_from(const struct key *key)
{
    struct inn_key k;
    memcpy(k.bytes, key, sizeof k.bytes);
    return k;
}

static struct inn_mutation golden_mutation(const char *name)
{
    return (struct inn_mutation){ .property = 42, .key = key_from(&golden_item(name)->key) };
}

#define GOLDEN_NOT_AFTER UINT64_C(1790000060000000000)

Test(session, the_first_bytes_are_the_golden_hello)
{
    struct session session;
    start(&session, &options_small);
    cr_assert_eq(drain(&session, sent, sizeof sent), sizeof(struct message_header) + sizeof(struct hello));
    expect_golden("hello", 0);
    session_free(&session);
}

static void send_golden_inventory(struct session *s)
{
    struct property_create *p = session_submit(s, OPERATION_PROPERTY_CREATE, sizeof *p, 0);
    item_property_create(
        p,
        &(struct inn_property_create_request){ .mutation = golden_mutation("property_create"), .business_date = 20770 },
        GOLDEN_NOT_AFTER);
    struct room_type_create *t = session_submit(s, OPERATION_ROOM_TYPE_CREATE, sizeof *t, 0);
    item_room_type_create(t,
                          &(struct inn_room_type_create_request){
                              .mutation = golden_mutation("room_type_create"), .room_type = 2, .rooms = 25 },
                          GOLDEN_NOT_AFTER);
    struct rooms_set *r = session_submit(s, OPERATION_ROOMS_SET, sizeof *r, 0);
    item_rooms_set(r,
                   &(struct inn_rooms_set_request){ .mutation = golden_mutation("rooms_set"),
                                                    .room_type = 2,
                                                    .first_night = 20780,
                                                    .last_night = 20810,
                                                    .weekdays = 0x60,
                                                    .rooms = 20 },
                   GOLDEN_NOT_AFTER);
}

Test(session, inventory_requests_are_the_golden_bytes)
{
    struct session session;
    start(&session, &options_small);
    greet(&session);
    send_golden_inventory(&session);
    session_seal(&session);
    (void)drain(&session, sent, sizeof sent);
    expect_golden("property_create", 0);
    expect_golden("room_type_create", 96);
    expect_golden("rooms_set", 192);
    session_free(&session);
}

Test(session, reservation_requests_are_the_golden_bytes)
{
    static const struct {
        const char *name;
        enum operation operation;
    } changes[] = { { "confirm", OPERATION_CONFIRM },
                    { "release", OPERATION_RELEASE },
                    { "cancel", OPERATION_CANCEL } };
    struct session session;
    start(&session, &options_small);
    greet(&session);
    struct reserve *r = session_submit(&session, OPERATION_RESERVE, sizeof *r, 0);
    item_reserve(r,
                 &(struct inn_reserve_request){ .mutation = golden_mutation("reserve"),
                                                .external_reference = UINT64_C(0x0102030405060708),
                                                .arrival = 20780,
                                                .nights = 3,
                                                .rooms = 1,
                                                .room_type = 2 },
                 GOLDEN_NOT_AFTER);
    session_seal(&session);
    (void)drain(&session, sent, sizeof sent);
    expect_golden("reserve", 0);
    for (size_t i = 0; i < ARRAY_COUNT(changes); i++) {
        const struct reservation_change *expected = (const void *)golden_item(changes[i].name);
        struct inn_change_request request = { .mutation = golden_mutation(changes[i].name),
                                              .reservation = key_from(&expected->reservation),
                                              .expected_version = expected->expected_version };
        struct reservation_change *c = session_submit(&session, (uint8_t)changes[i].operation, sizeof *c, 0);
        item_change(c, changes[i].operation, &request, GOLDEN_NOT_AFTER);
        session_seal(&session);
        (void)drain(&session, sent, sizeof sent);
        expect_golden(changes[i].name, 0);
    }
    session_free(&session);
}

Test(session, a_batch_is_one_golden_message)
{
    struct session session;
    start(&session, &options_small);
    greet(&session);
    const struct record_header *first = golden_item("reserve_batch");
    struct inn_reserve_request request = { .mutation = { .property = 42, .key = key_from(&first->key) },
                                           .hold_ns = 900 * NS_PER_SECOND,
                                           .external_reference = UINT64_C(0x0102030405060708),
                                           .arrival = 20780,
                                           .nights = 3,
                                           .rooms = 2,
                                           .room_type = 2 };
    item_reserve(session_submit(&session, OPERATION_RESERVE, sizeof(struct reserve), 0), &request, GOLDEN_NOT_AFTER);
    request.mutation = (struct inn_mutation){ .property = 7,
                                              .key = key_from(&message_item_next(first)->key),
                                              .not_after_ns = GOLDEN_NOT_AFTER,
                                              .fence_resource = 7,
                                              .fence_token = 1001 };
    request.hold_ns = 0;
    request.rooms = 1;
    item_reserve(session_submit(&session, OPERATION_RESERVE, sizeof(struct reserve), 0), &request, 1);
    session_seal(&session);
    (void)drain(&session, sent, sizeof sent);
    expect_golden("reserve_batch", 0);
    session_free(&session);
}

Test(session, lease_requests_are_the_golden_bytes)
{
    struct session session;
    start(&session, &options_small);
    greet(&session);
    struct inn_lease_request lease = { .property = 42, .resource = 7, .token = 1001, .ttl_ns = 5 * NS_PER_SECOND };
    struct inn_lease_acquire_request acquire = {
        .property = 42, .resource = 7, .ttl_ns = 5 * NS_PER_SECOND, .owner = "night audit, desk 3"
    };
    struct inn_key own = key_from(&golden_item("lease_acquire")->key);
    cr_assert(item_lease_acquire(session_submit(&session, OPERATION_LEASE_ACQUIRE, sizeof(struct lease_acquire), 0),
                                 &acquire, own));
    item_lease_renew(session_submit(&session, OPERATION_LEASE_RENEW, sizeof(struct lease_renew), 0), &lease);
    item_lease_release(session_submit(&session, OPERATION_LEASE_RELEASE, sizeof(struct lease_release), 0), &lease);
    item_lease_show(session_submit(&session, OPERATION_LEASE_SHOW, sizeof(struct lease_show), 0), &lease);
    session_seal(&session);
    (void)drain(&session, sent, sizeof sent);
    expect_golden("lease_acquire", 0);
    expect_golden("lease_renew", 112);
    expect_golden("lease_release", 112 + 88);
    expect_golden("lease_show", 112 + 88 + 80);
    session_free(&session);
}

Test(session, questions_are_the_golden_bytes)
{
    struct session session;
    start(&session, &options_small);
    greet(&session);
    item_lookup(session_submit(&session, OPERATION_LOOKUP, sizeof(struct lookup), 0), 42,
                key_from(&golden_item("lookup")->key));
    struct inn_calendar_request calendar = { .property = 42, .after_type = 1, .first_night = 20780, .nights = 2 };
    item_calendar(session_submit(&session, OPERATION_CALENDAR, sizeof(struct calendar), 0), &calendar);
    item_status(session_submit(&session, OPERATION_STATUS, sizeof(struct status_query), 0), 1, true);
    item_barrier(session_submit(&session, OPERATION_BARRIER, sizeof(struct barrier), 0), 1, true);
    session_seal(&session);
    (void)drain(&session, sent, sizeof sent);
    expect_golden("lookup", 0);
    expect_golden("calendar", 64);
    expect_golden("status", 64 + 80);
    expect_golden("barrier_by_shard", 64 + 80 + 72);
    session_free(&session);
}

Test(session, another_operation_ends_the_message_and_so_does_a_full_batch)
{
    struct session session;
    start(&session, &options_small);
    greet(&session);
    for (uint64_t user = 0; user < 5; user++)
        cr_assert(submit(&session, user));
    item_lookup(session_submit(&session, OPERATION_LOOKUP, sizeof(struct lookup), 5), 1, (struct inn_key){ { 1 } });
    session_seal(&session);
    (void)drain(&session, sent, sizeof sent);
    size_t second = sent_message(0)->size;
    size_t third = second + sent_message(second)->size;
    cr_assert_eq(sent_message(0)->items_count, 4);
    cr_assert_eq(sent_message(second)->items_count, 1);
    cr_assert_eq(sent_message(third)->operation, OPERATION_LOOKUP);
    cr_assert_neq(sent_message(0)->correlation, sent_message(second)->correlation);
    session_free(&session);
}

Test(session, nothing_can_be_submitted_before_hello_is_answered, .signal = SIGABRT)
{
    struct session session;
    start(&session, &options_small);
    (void)submit(&session, 1);
}

Test(session, a_message_being_gathered_is_not_sent)
{
    struct session session;
    const uint8_t *bytes = NULL;
    start(&session, &options_small);
    greet(&session);
    cr_assert(submit(&session, 1));
    cr_assert_eq(session_output(&session, &bytes), 0);
    session_seal(&session);
    cr_assert_eq(session_output(&session, &bytes), 120);
    session_free(&session);
}

Test(session, when_every_slot_is_taken_nothing_fits_until_an_answer_comes)
{
    struct session session;
    start(&session, &options_small);
    greet(&session);
    for (uint64_t user = 0; user < 16; user++)
        cr_assert(submit(&session, user));
    cr_assert_not(submit(&session, 16));
    session_seal(&session);
    (void)drain(&session, sent, sizeof sent);
    cr_assert_not(submit(&session, 16));
    cr_assert_eq(session.pending, 16);
    for (uint16_t item = 0; item < 4; item++)
        answer(sent_message(0)->correlation, STATUS_OK, item);
    feed_replies(&session);
    struct inn_completion completion;
    for (uint64_t user = 0; user < 4; user++)
        cr_assert_eq(session_next(&session, &completion), 1);
    cr_assert(submit(&session, 16));
    session_free(&session);
}

Test(session, a_full_send_buffer_takes_nothing_until_the_transport_has)
{
    struct session_options options = options_small;
    options.messages_max = 64;
    options.batch_max = 1;
    options.send_bytes = 1024;
    struct session session;
    start(&session, &options);
    greet(&session);
    uint64_t user = 0;
    while (submit(&session, user))
        user++;
    cr_assert_eq(user, 8); /* 8 x 120 bytes */
    session_seal(&session);
    const uint8_t *bytes = NULL;
    cr_assert_eq(session_output(&session, &bytes), 960);
    session_output_taken(&session, 600);
    cr_assert(submit(&session, user++));
    session_seal(&session);
    size_t size = drain(&session, sent, sizeof sent);
    cr_assert_eq(size, (size_t)4 * 120);
    for (size_t offset = 0; offset < size; offset += 120)
        cr_assert_eq(message_check(sent_message(offset)), STATUS_OK);
    session_free(&session);
}

/* ---- Answers ----------------------------------------------------------------------------------------------------- */

struct script_end {
    uint64_t users[8];
    int verdicts[8];
    size_t count;
};

/* One request of three reserves and one of one; three replies, the first request's in two parts, out of order. */
static void script_prepare(struct session *session)
{
    start(session, &options_small);
    (void)drain(session, sent, sizeof sent);
    replies_clear(&replies);
    replies_hello(&replies, 1000, 1000, 1);
}

static void script_submit(struct session *session)
{
    for (uint64_t user = 10; user < 13; user++)
        cr_assert(submit(session, user));
    session_seal(session);
    cr_assert(submit(session, 20));
    session_seal(session);
    (void)drain(session, sent, sizeof sent);
}

static void script_answers(void)
{
    uint64_t first = sent_message(0)->correlation;
    uint64_t second = sent_message(sent_message(0)->size)->correlation;
    answer(first, STATUS_SOLD_OUT, 2);
    answer(second, STATUS_OK, 0);
    struct mutation_result one = result_mutation(STATUS_OK, 0, 6, 3000);
    struct result_header two = result_bare(STATUS_OVERLOADED, 1, 0);
    replies_begin(&replies, OPERATION_RESERVE, first);
    replies_add(&replies, &one);
    replies_add(&replies, &two);
    replies_seal(&replies);
}

static void take_all(struct session *session, struct script_end *end)
{
    struct inn_completion completion;
    while (session_next(session, &completion) == 1) {
        cr_assert_lt(end->count, ARRAY_COUNT(end->users));
        end->users[end->count] = completion.user;
        end->verdicts[end->count++] = completion.verdict;
    }
}

static void expect_script_end(const struct session *session, const struct script_end *end)
{
    static const uint64_t users[] = { 12, 20, 10, 11 };
    static const int verdicts[] = { INN_SOLD_OUT, INN_OK, INN_OK, INN_OVERLOADED };
    cr_assert_eq(end->count, 4);
    cr_assert_arr_eq(end->users, users, sizeof users);
    cr_assert_arr_eq(end->verdicts, verdicts, sizeof verdicts);
    cr_assert_eq(session->pending, 0);
    cr_assert_eq(session->log_time_ns, 3000);
}

Test(session, answers_may_be_split_at_every_byte)
{
    size_t size = SIZE_MAX;
    for (size_t split = 0; split <= size; split++) {
        struct session session;
        struct script_end end = { .count = 0 };
        script_prepare(&session);
        size_t hello_size = replies.size;
        size_t first = split < hello_size ? split : hello_size;
        feed(&session, replies.bytes, first);
        take_all(&session, &end);
        feed(&session, replies.bytes + first, hello_size - first);
        take_all(&session, &end);
        script_submit(&session);
        script_answers();
        size = replies.size;
        size_t second = split > hello_size ? split : hello_size;
        feed(&session, replies.bytes + hello_size, second - hello_size);
        take_all(&session, &end);
        feed(&session, replies.bytes + second, size - second);
        take_all(&session, &end);
        expect_script_end(&session, &end);
        session_free(&session);
    }
}

Test(session, answers_may_come_byte_by_byte)
{
    struct session session;
    struct script_end end = { .count = 0 };
    script_prepare(&session);
    feed_replies(&session);
    take_all(&session, &end);
    script_submit(&session);
    size_t hello_size = replies.size;
    script_answers();
    for (size_t at = hello_size; at < replies.size; at++) {
        feed(&session, replies.bytes + at, 1);
        take_all(&session, &end);
    }
    expect_script_end(&session, &end);
    session_free(&session);
}

Test(session, results_hold_still_until_they_are_taken)
{
    struct session session;
    start(&session, &options_small);
    greet(&session);
    script_submit(&session);
    script_answers();
    feed_replies(&session);
    struct inn_completion completion;
    /* A message with two results is half read: no input may move it. */
    for (int taken = 0; taken < 3; taken++)
        cr_assert_eq(session_next(&session, &completion), 1);
    uint8_t *room = NULL;
    cr_assert_eq(session_input(&session, &room), 0);
    cr_assert_eq(completion.result->lsn, 6);
    cr_assert_eq(session_next(&session, &completion), 1);
    cr_assert_gt(session_input(&session, &room), 0);
    session_free(&session);
}

/* ---- What a broken peer gets ------------------------------------------------------------------------------------- */

static void expect_protocol_error(struct session *session, size_t unknown)
{
    struct script_end end = { .count = 0 };
    take_all(session, &end);
    cr_assert_eq(session->state, SESSION_CLOSED);
    cr_assert_eq(session->verdict, INN_PROTOCOL_ERROR);
    cr_assert_gt(strlen(session->error), 0);
    cr_assert_eq(end.count, unknown);
    for (size_t i = 0; i < end.count; i++)
        cr_assert_eq(end.verdicts[i], INN_UNKNOWN);
    cr_assert_eq(session->pending, 0);
    session_free(session);
}

Test(session, any_flipped_bit_of_a_reply_is_noticed)
{
    for (size_t bit = 0; bit < 8 * (sizeof(struct message_header) + sizeof(struct mutation_result)); bit++) {
        struct session session;
        start(&session, &options_small);
        greet(&session);
        cr_assert(submit(&session, 1));
        session_seal(&session);
        (void)drain(&session, sent, sizeof sent);
        answer(sent_message(0)->correlation, STATUS_OK, 0);
        replies.bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        feed_replies(&session);
        struct inn_completion completion;
        int taken = session_next(&session, &completion);
        /* A size that grew leaves the message unfinished; nothing else may pass, and nothing be taken for an answer. */
        if (taken == 0)
            session_close(&session, INN_CLOSED, "the end");
        cr_assert(taken == 1 || session_next(&session, &completion) == 1);
        cr_assert_eq(completion.verdict, INN_UNKNOWN, "bit %zu", bit);
        session_free(&session);
    }
}

Test(session, an_item_answered_twice_is_an_error)
{
    struct session session;
    start(&session, &options_small);
    greet(&session);
    cr_assert(submit(&session, 1) && submit(&session, 2));
    session_seal(&session);
    (void)drain(&session, sent, sizeof sent);
    answer(sent_message(0)->correlation, STATUS_OK, 0);
    answer(sent_message(0)->correlation, STATUS_OK, 0);
    feed_replies(&session);
    struct inn_completion completion;
    cr_assert_eq(session_next(&session, &completion), 1);
    cr_assert_eq(completion.verdict, INN_OK);
    expect_protocol_error(&session, 1);
}

Test(session, more_results_than_items_are_an_error)
{
    struct session session;
    start(&session, &options_small);
    greet(&session);
    cr_assert(submit(&session, 1));
    session_seal(&session);
    (void)drain(&session, sent, sizeof sent);
    struct mutation_result result = result_mutation(STATUS_OK, 0, 5, 2000);
    replies_begin(&replies, OPERATION_RESERVE, sent_message(0)->correlation);
    replies_add(&replies, &result);
    replies_add(&replies, &result);
    replies_seal(&replies);
    feed_replies(&session);
    expect_protocol_error(&session, 1);
}

Test(session, an_answer_to_nothing_is_an_error)
{
    for (int which = 0; which < 4; which++) {
        struct session session;
        start(&session, &options_small);
        greet(&session);
        cr_assert(submit(&session, 1));
        session_seal(&session);
        (void)drain(&session, sent, sizeof sent);
        uint64_t correlation = sent_message(0)->correlation;
        uint64_t wrong[] = { correlation + 1, correlation + (UINT64_C(1) << 32), correlation | 0xffffffffu,
                             correlation };
        struct result_header result = result_bare(STATUS_OK, 0, 0);
        replies_begin(&replies, which == 3 ? OPERATION_BARRIER : OPERATION_RESERVE, wrong[which]);
        replies_add(&replies, &result);
        replies_seal(&replies);
        feed_replies(&session);
        expect_protocol_error(&session, 1);
    }
}

Test(session, a_request_from_the_server_is_an_error)
{
    struct session session;
    start(&session, &options_small);
    greet(&session);
    struct lookup item;
    item_lookup(&item, 1, (struct inn_key){ { 1 } });
    struct message_header *message = (struct message_header *)(void *)replies.bytes;
    *message = (struct message_header){ .size = 64, .operation = OPERATION_LOOKUP, .items_count = 1 };
    memcpy(message + 1, &item, sizeof item);
    message_seal(message);
    replies.size = 64;
    feed_replies(&session);
    expect_protocol_error(&session, 0);
}

Test(session, half_a_result_that_says_ok_is_an_error)
{
    struct session session;
    start(&session, &options_small);
    greet(&session);
    cr_assert(submit(&session, 1));
    session_seal(&session);
    (void)drain(&session, sent, sizeof sent);
    struct result_header result = result_bare(STATUS_OK, 0, 0);
    replies_begin(&replies, OPERATION_RESERVE, sent_message(0)->correlation);
    replies_add(&replies, &result);
    replies_seal(&replies);
    feed_replies(&session);
    expect_protocol_error(&session, 1);
}

Test(session, a_calendar_whose_counts_exceed_its_bytes_is_an_error)
{
    struct session session;
    start(&session, &options_small);
    greet(&session);
    struct inn_calendar_request request = { .property = 1, .nights = 3 };
    item_calendar(session_submit(&session, OPERATION_CALENDAR, sizeof(struct calendar), 1), &request);
    session_seal(&session);
    (void)drain(&session, sent, sizeof sent);
    struct calendar_result result = { .header = { .size = sizeof result }, .nights = 3, .types_count = 1 };
    replies_begin(&replies, OPERATION_CALENDAR, sent_message(0)->correlation);
    replies_add(&replies, &result);
    replies_seal(&replies);
    feed_replies(&session);
    struct inn_completion completion;
    cr_assert_eq(session_next(&session, &completion), 1);
    cr_assert_eq(completion.verdict, INN_NO_ANSWER);
    cr_assert_eq(session.verdict, INN_PROTOCOL_ERROR);
    session_free(&session);
}

Test(session, a_reply_larger_than_the_buffer_is_an_error)
{
    struct session session;
    start(&session, &options_small);
    greet(&session);
    struct message_header *message = (struct message_header *)(void *)replies.bytes;
    *message = (struct message_header){
        .magic = MESSAGE_MAGIC, .size = UINT32_MAX - 7, .version = 1, .flags = MESSAGE_REPLY, .items_count = 1
    };
    replies.size = sizeof *message;
    feed_replies(&session);
    expect_protocol_error(&session, 0);
}

Test(session, another_service_is_recognised_as_such)
{
    struct session session;
    struct inn_completion completion;
    start(&session, &options_small);
    (void)drain(&session, sent, sizeof sent);
    feed(&session, (const uint8_t *)"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", 48);
    cr_assert_eq(session_next(&session, &completion), 0);
    cr_assert_eq(session.verdict, INN_PROTOCOL_ERROR);
    cr_assert_not_null(strstr(session.error, "BAD_MAGIC"), "%s", session.error);
    session_free(&session);
}

/* ---- Ends -------------------------------------------------------------------------------------------------------- */

Test(session, a_refused_hello_says_why_even_if_the_stream_ended_already)
{
    for (int closed_first = 0; closed_first < 2; closed_first++) {
        struct session session;
        struct inn_completion completion;
        start(&session, &options_small);
        (void)drain(&session, sent, sizeof sent);
        replies_clear(&replies);
        replies_farewell(&replies, STATUS_TOO_MANY_CONNECTIONS);
        feed_replies(&session);
        if (closed_first)
            session_close(&session, INN_CLOSED, "the end");
        cr_assert_eq(session_next(&session, &completion), 0);
        cr_assert_eq(session.state, SESSION_CLOSED);
        cr_assert_eq(session.verdict, INN_TOO_MANY_CONNECTIONS);
        cr_assert_not_null(strstr(session.error, "TOO_MANY_CONNECTIONS"));
        session_free(&session);
    }
}

Test(session, a_farewell_completes_the_rest_and_says_why)
{
    for (int closed_first = 0; closed_first < 2; closed_first++) {
        struct session session;
        struct script_end end = { .count = 0 };
        start(&session, &options_small);
        greet(&session);
        script_submit(&session);
        answer(sent_message(0)->correlation, STATUS_OK, 1);
        replies_farewell(&replies, STATUS_IDLE_TOO_LONG);
        feed_replies(&session);
        if (closed_first)
            session_close(&session, INN_CLOSED, "the end");
        take_all(&session, &end);
        cr_assert_eq(session.verdict, INN_IDLE_TOO_LONG);
        cr_assert_eq(end.count, 4);
        cr_assert_eq(end.verdicts[0], INN_OK);
        for (size_t i = 1; i < end.count; i++)
            cr_assert_eq(end.verdicts[i], INN_UNKNOWN);
        session_free(&session);
    }
}

Test(session, only_what_may_have_been_sent_and_changes_something_is_unknown)
{
    struct session session;
    const uint8_t *bytes = NULL;
    struct inn_completion c;
    start(&session, &options_small);
    greet(&session);
    item_lookup(session_submit(&session, OPERATION_LOOKUP, sizeof(struct lookup), 1), 1, (struct inn_key){ { 1 } });
    cr_assert(submit(&session, 2));
    session_seal(&session);
    cr_assert(submit(&session, 3));
    session_seal(&session);
    cr_assert(submit(&session, 4));
    cr_assert_eq(session_output(&session, &bytes), 64 + 120 + 120);
    session_output_taken(&session, 64 + 1); /* one byte of the second message */
    session_close(&session, INN_CLOSED, "the end");
    static const int verdicts[] = { INN_NO_ANSWER, INN_UNKNOWN, INN_NO_ANSWER, INN_NO_ANSWER };
    for (uint64_t user = 1; user <= 4; user++) {
        cr_assert_eq(session_next(&session, &c), 1);
        cr_assert_eq(c.user, user);
        cr_assert_eq(c.verdict, verdicts[user - 1], "user %u", (unsigned)user);
        cr_assert_null(c.result);
    }
    cr_assert_eq(session_next(&session, &c), 0);
    session_free(&session);
}

Test(session, after_a_new_start_old_answers_mean_nothing)
{
    static const char client[OWNER_SIZE] = "";
    struct session session;
    struct script_end end = { .count = 0 };
    start(&session, &options_small);
    greet(&session);
    cr_assert(submit(&session, 1));
    session_seal(&session);
    (void)drain(&session, sent, sizeof sent);
    uint64_t old = sent_message(0)->correlation;
    session_close(&session, INN_CLOSED, "the end");
    take_all(&session, &end);
    session_start(&session, 0, client);
    greet(&session);
    cr_assert(submit(&session, 2));
    session_seal(&session);
    (void)drain(&session, sent, sizeof sent);
    answer(old, STATUS_OK, 0);
    feed_replies(&session);
    expect_protocol_error(&session, 1);
}

/* ---- Everything at once ------------------------------------------------------------------------------------------ */

struct random {
    uint64_t state;
};

/* splitmix64 */
static uint64_t random_next(struct random *random)
{
    uint64_t x = random->state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static uint64_t random_below(struct random *random, uint64_t bound)
{
    return random_next(random) % bound;
}

#define USERS_MAX 4096

/* What the pretended server owes: items received and not answered. */
struct owed {
    uint64_t correlation;
    uint64_t user;
    uint16_t item;
};

struct world {
    struct random random;
    struct session session;
    struct owed owed[USERS_MAX];
    size_t owed_count;
    uint8_t completed[USERS_MAX];
    uint64_t submitted;
    size_t fed; /* of replies */
};

/* Moves what was sent to what is owed. */
static void world_serve(struct world *w)
{
    size_t size = drain(&w->session, sent, sizeof sent);
    for (size_t offset = 0; offset < size; offset += sent_message(offset)->size) {
        const struct message_header *message = sent_message(offset);
        cr_assert_eq(message_check(message), STATUS_OK);
        const struct record_header *item = message_item_first(message);
        for (uint16_t i = 0; i < message->items_count; i++, item = message_item_next(item))
            w->owed[w->owed_count++] = (struct owed){
                .correlation = message->correlation,
                .user = ((const struct reserve *)(const void *)item)->external_reference,
                .item = i,
            };
    }
}

/* Answers some item owed, with a status that names its user, and with it others of its message that are drawn. */
static void world_answer(struct world *w)
{
    if (w->owed_count == 0 || replies.size > REPLIES_SIZE_MAX - 8 * KIB)
        return;
    uint64_t correlation = w->owed[random_below(&w->random, w->owed_count)].correlation;
    bool begun = false;
    for (size_t i = w->owed_count; i-- > 0;) {
        if (w->owed[i].correlation != correlation || (begun && random_below(&w->random, 3) == 0))
            continue;
        struct mutation_result result = result_mutation(w->owed[i].user % 2 ? STATUS_OK : STATUS_SOLD_OUT,
                                                        w->owed[i].item, w->owed[i].user + 1, w->owed[i].user);
        if (!begun)
            replies_begin(&replies, OPERATION_RESERVE, correlation);
        begun = true;
        replies_add(&replies, &result);
        w->owed[i] = w->owed[--w->owed_count];
    }
    replies_seal(&replies);
}

static void world_feed(struct world *w)
{
    uint8_t *room = NULL;
    size_t fits = session_input(&w->session, &room);
    size_t left = replies.size - w->fed;
    size_t most = left < fits ? left : fits;
    if (most == 0)
        return;
    size_t size = 1 + random_below(&w->random, most);
    memcpy(room, replies.bytes + w->fed, size);
    session_input_filled(&w->session, size);
    w->fed += size;
    if (w->fed == replies.size) {
        replies_clear(&replies);
        w->fed = 0;
    }
}

static void world_take(struct world *w, bool closed)
{
    struct inn_completion c;
    for (uint64_t limit = random_below(&w->random, 8); (closed || limit-- > 0) && session_next(&w->session, &c) == 1;) {
        cr_assert_lt(c.user, w->submitted);
        cr_assert_eq(w->completed[c.user]++, 0, "user %u twice", (unsigned)c.user);
        if (c.result == NULL) {
            cr_assert(closed);
            continue;
        }
        cr_assert_eq(c.verdict, c.user % 2 ? INN_OK : INN_SOLD_OUT);
        cr_assert_eq(c.result->lsn, c.user + 1);
    }
}

static void world_run(uint64_t seed)
{
    static struct world w;
    memset(&w, 0, sizeof w);
    w.random.state = seed;
    struct session_options options = {
        .messages_max = 1 + (uint32_t)random_below(&w.random, 20),
        .batch_max = 1 + (uint32_t)random_below(&w.random, 100),
        .send_bytes = SESSION_SEND_BYTES_MIN + 8 * random_below(&w.random, 2000),
        .receive_bytes = SESSION_RECEIVE_BYTES_MIN,
    };
    start(&w.session, &options);
    greet(&w.session);
    for (int step = 0; step < 3000; step++) {
        switch (random_below(&w.random, 6)) {
        case 0:
            for (uint64_t n = random_below(&w.random, 40); n > 0 && w.submitted < USERS_MAX; n--)
                w.submitted += submit(&w.session, w.submitted);
            break;
        case 1:
            session_seal(&w.session);
            break;
        case 2:
            world_serve(&w);
            break;
        case 3:
            world_answer(&w);
            break;
        case 4:
            world_feed(&w);
            break;
        default:
            world_take(&w, false);
            break;
        }
        cr_assert_neq(w.session.state, SESSION_CLOSED, "%s", w.session.error);
    }
    session_close(&w.session, INN_CLOSED, "the end");
    world_take(&w, true);
    for (uint64_t user = 0; user < w.submitted; user++)
        cr_assert_eq(w.completed[user], 1, "user %u", (unsigned)user);
    cr_assert_gt(w.submitted, 0);
    cr_assert_eq(w.session.pending, 0);
    session_free(&w.session);
}

Test(session, every_item_is_completed_once_whatever_the_order_and_the_pieces)
{
    const char *given = getenv("INNKEEP_SEED");
    uint64_t first = given != NULL ? strtoull(given, NULL, 0) : 1;
    uint64_t runs = given != NULL ? 1 : 60;
    for (uint64_t seed = first; seed < first + runs; seed++) {
        fprintf(stderr, "seed %llu; again: INNKEEP_SEED=%llu client_session_test --filter 'session/every*'\n",
                (unsigned long long)seed, (unsigned long long)seed);
        world_run(seed);
    }
}
