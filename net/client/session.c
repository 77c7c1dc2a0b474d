#include "net/client/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

static bool options_valid(const struct session_options *o)
{
    return o->messages_max >= 1 && o->messages_max <= 65536 && o->batch_max >= 1 && o->batch_max <= MESSAGE_ITEMS_MAX &&
           o->send_bytes >= SESSION_SEND_BYTES_MIN && o->send_bytes % MESSAGE_ALIGNMENT == 0 &&
           o->receive_bytes >= SESSION_RECEIVE_BYTES_MIN && o->receive_bytes % MESSAGE_ALIGNMENT == 0;
}

int session_init(struct session *session, const struct session_options *options)
{
    REQUIRE(options_valid(options));
    memset(session, 0, sizeof *session);
    session->state = SESSION_CLOSED;
    session->verdict = INN_CLOSED;
    session->options = *options;
    session->answered_words = (options->batch_max + 63) / 64;
    size_t slots = options->messages_max;
    session->send = calloc(1, options->send_bytes);
    session->receive = calloc(1, options->receive_bytes);
    session->messages = calloc(slots, sizeof *session->messages);
    session->users = calloc(slots * options->batch_max, sizeof *session->users);
    session->answered = calloc(slots * session->answered_words, sizeof *session->answered);
    if (!session->send || !session->receive || !session->messages || !session->users || !session->answered) {
        session_free(session);
        return -ENOMEM;
    }
    return 0;
}

void session_free(struct session *session)
{
    free(session->send);
    free(session->receive);
    free(session->messages);
    free(session->users);
    free(session->answered);
    memset(session, 0, sizeof *session);
}

/* ---- Requests ---------------------------------------------------------------------------------------------------- */

static struct message_header *message_at(const struct session *session, size_t offset)
{
    return (struct message_header *)(void *)(session->send + offset);
}

/* Fills in a message that lies in the send buffer up to send_end, and hands it to the transport. */
static void send_buffer_seal(struct session *session, uint8_t operation, uint32_t items, uint64_t correlation)
{
    struct message_header *message = message_at(session, session->send_sealed);
    message->size = (uint32_t)(session->send_end - session->send_sealed);
    message->operation = operation;
    message->flags = 0;
    message->items_count = items;
    message->correlation = correlation;
    message_seal(message);
    session->send_sealed = session->send_end;
}

static void queue_hello(struct session *session, uint32_t shard, const char client[OWNER_SIZE])
{
    struct hello hello = {
        .header = { .size = sizeof hello, .kind = OPERATION_HELLO, .version = 1 },
        .version_min = PROTOCOL_VERSION,
        .version_max = PROTOCOL_VERSION,
        .shard = shard,
    };
    memcpy(hello.client, client, OWNER_SIZE);
    memcpy(session->send + sizeof(struct message_header), &hello, sizeof hello);
    session->send_end = sizeof(struct message_header) + sizeof hello;
    send_buffer_seal(session, OPERATION_HELLO, 1, 0);
}

void session_start(struct session *session, uint32_t shard, const char client[OWNER_SIZE])
{
    REQUIRE(session->pending == 0);
    session->state = SESSION_GREETING;
    session->verdict = 0;
    session->error[0] = '\0';
    session->send_begin = session->send_sealed = session->send_end = 0;
    session->sent_bytes = 0;
    session->open_slot = SESSION_NONE;
    session->receive_begin = session->receive_end = 0;
    session->results_left = 0;
    session->drain_slot = session->drain_item = 0;
    for (uint32_t slot = 0; slot < session->options.messages_max; slot++) {
        session->messages[slot].items_count = 0;
        session->messages[slot].next_free = slot + 1 < session->options.messages_max ? slot + 1 : SESSION_NONE;
    }
    session->free_slot = 0;
    queue_hello(session, shard, client);
}

/* True once `size` more bytes fit behind send_end. What is unsent moves to the front only where that frees half of the
 * buffer, so that a slow socket does not make every request pay for a move. */
static bool send_buffer_make_room(struct session *session, size_t size)
{
    if (session->send_end + size <= session->options.send_bytes)
        return true;
    if (session->send_begin < session->options.send_bytes / 2)
        return false;
    size_t unsent = session->send_end - session->send_begin;
    memmove(session->send, session->send + session->send_begin, unsent);
    session->send_sealed -= session->send_begin;
    session->send_end = unsent;
    session->send_begin = 0;
    return session->send_end + size <= session->options.send_bytes;
}

static bool message_open(struct session *session, uint8_t operation, uint32_t item_size)
{
    if (session->free_slot == SESSION_NONE ||
        !send_buffer_make_room(session, sizeof(struct message_header) + item_size))
        return false;
    uint32_t slot = session->free_slot;
    struct session_message *message = &session->messages[slot];
    session->free_slot = message->next_free;
    message->position = UINT64_MAX;
    message->generation++;
    message->unanswered = 0;
    message->operation = operation;
    uint64_t *answered = session->answered + (size_t)slot * session->answered_words;
    for (uint32_t word = 0; word < session->answered_words; word++)
        answered[word] = 0;
    session->open_slot = slot;
    session->send_end += sizeof(struct message_header);
    return true;
}

/* True if the message being gathered takes another item of this kind and size. */
static bool message_takes(const struct session *session, uint8_t operation, uint32_t size)
{
    const struct session_message *message = &session->messages[session->open_slot];
    size_t gathered = session->send_end - session->send_sealed;
    return message->operation == operation && message->items_count < session->options.batch_max &&
           message->items_count < session->hello.items_max && gathered + size <= session->hello.message_size_max;
}

void *session_submit(struct session *session, uint8_t operation, uint32_t size, uint64_t user)
{
    REQUIRE(session->state == SESSION_READY);
    REQUIRE(size % RECORD_ALIGNMENT == 0);
    if (session->open_slot != SESSION_NONE && !message_takes(session, operation, size))
        session_seal(session);
    if (session->open_slot == SESSION_NONE) {
        if (!message_open(session, operation, size))
            return NULL;
    } else if (!send_buffer_make_room(session, size)) {
        return NULL;
    }
    struct session_message *message = &session->messages[session->open_slot];
    session->users[(size_t)session->open_slot * session->options.batch_max + message->items_count] = user;
    message->items_count++;
    message->unanswered++;
    session->pending++;
    void *item = session->send + session->send_end;
    session->send_end += size;
    return item;
}

void session_seal(struct session *session)
{
    if (session->open_slot == SESSION_NONE)
        return;
    struct session_message *message = &session->messages[session->open_slot];
    message->position = session->sent_bytes + (session->send_sealed - session->send_begin);
    uint64_t correlation = (uint64_t)message->generation << 32 | session->open_slot;
    send_buffer_seal(session, message->operation, message->items_count, correlation);
    session->open_slot = SESSION_NONE;
}

size_t session_output(const struct session *session, const uint8_t **bytes)
{
    *bytes = session->send + session->send_begin;
    return session->state == SESSION_CLOSED ? 0 : session->send_sealed - session->send_begin;
}

void session_output_taken(struct session *session, size_t size)
{
    REQUIRE(size <= session->send_sealed - session->send_begin);
    session->send_begin += size;
    session->sent_bytes += size;
    if (session->send_begin == session->send_end)
        session->send_begin = session->send_sealed = session->send_end = 0;
}

/* ---- Answers ----------------------------------------------------------------------------------------------------- */

static const struct message_header *received_message(const struct session *session)
{
    return (const struct message_header *)(const void *)(session->receive + session->receive_begin);
}

static bool message_is_whole(const struct session *session)
{
    size_t available = session->receive_end - session->receive_begin;
    return available >= sizeof(struct message_header) && available >= received_message(session)->size;
}

size_t session_input(struct session *session, uint8_t **bytes)
{
    if (session->results_left > 0 || session->state == SESSION_CLOSED)
        return 0;
    size_t held = session->receive_end - session->receive_begin;
    bool at_end = session->receive_end == session->options.receive_bytes;
    if (held == 0 || at_end || session->receive_begin > session->options.receive_bytes / 2) {
        memmove(session->receive, session->receive + session->receive_begin, held);
        session->receive_begin = 0;
        session->receive_end = held;
    }
    *bytes = session->receive + session->receive_end;
    return session->options.receive_bytes - session->receive_end;
}

void session_input_filled(struct session *session, size_t size)
{
    REQUIRE(size <= session->options.receive_bytes - session->receive_end);
    session->receive_end += size;
}

static bool open_reply(struct session *session);

void session_close(struct session *session, int verdict, const char *error)
{
    REQUIRE(verdict != 0);
    /* A refusal in place of the answer to hello may have come just before the end. */
    while (session->state == SESSION_GREETING && verdict == INN_CLOSED && open_reply(session))
        continue;
    if (session->state == SESSION_CLOSED)
        return;
    /* What was being gathered is completed as unsent: its position stays UINT64_MAX. */
    session->state = SESSION_CLOSED;
    session->verdict = verdict;
    session->open_slot = SESSION_NONE;
    snprintf(session->error, sizeof session->error, "%s", error);
}

/* What the server sent is not the protocol: nothing behind it can be trusted. */
static void protocol_error(struct session *session, const char *error)
{
    session_close(session, INN_PROTOCOL_ERROR, error);
    session->receive_begin = session->receive_end = 0;
    session->results_left = 0;
}

static uint32_t result_size_expected(uint8_t operation)
{
    switch (operation) {
    case OPERATION_PROPERTY_CREATE:
    case OPERATION_ROOM_TYPE_CREATE:
    case OPERATION_ROOMS_SET:
    case OPERATION_RESERVE:
    case OPERATION_CONFIRM:
    case OPERATION_RELEASE:
    case OPERATION_CANCEL:
        return sizeof(struct mutation_result);
    case OPERATION_LEASE_ACQUIRE:
    case OPERATION_LEASE_RENEW:
    case OPERATION_LEASE_RELEASE:
    case OPERATION_LEASE_SHOW:
        return sizeof(struct lease_result);
    case OPERATION_RAISE_LEVEL:
        return sizeof(struct level_result);
    case OPERATION_LOOKUP:
        return sizeof(struct lookup_result);
    case OPERATION_CALENDAR:
        return sizeof(struct calendar_result);
    case OPERATION_SNAPSHOT:
        return sizeof(struct snapshot_result);
    case OPERATION_STATUS:
        return offsetof(struct status_result, log_padding_bytes); /* what the first servers sent */
    case OPERATION_HELLO:
        return sizeof(struct hello_result);
    default:
        return sizeof(struct result_header);
    }
}

bool session_operation_changes(uint8_t operation)
{
    return operation < OPERATION_BARRIER;
}

/* A result that says OK is whole; a calendar's size is what its counts say. */
static bool result_is_whole(const struct result_header *result, uint8_t operation)
{
    if (result->status != STATUS_OK)
        return true;
    if (result->size < result_size_expected(operation))
        return false;
    if (operation != OPERATION_CALENDAR)
        return true;
    const struct calendar_result *calendar = (const struct calendar_result *)(const void *)result;
    size_t type_size = sizeof(struct calendar_type) + calendar->nights * sizeof(struct calendar_night);
    return result->size >= sizeof *calendar + calendar->types_count * type_size;
}

/* The server speaks of the connection itself: it is about to close it. */
static void take_farewell(struct session *session, const struct result_header *result)
{
    if (result->status == STATUS_OK) {
        protocol_error(session, "the server said OK of the connection, which no version of it does");
        return;
    }
    if (session->state == SESSION_CLOSED && session->verdict != INN_CLOSED)
        return;
    /* The end of the stream may be known already; this says why it came. */
    session->state = SESSION_CLOSED;
    session->verdict = result->status;
    session->open_slot = SESSION_NONE;
    session->receive_begin = session->receive_end = 0;
    snprintf(session->error, sizeof session->error, "the server closed the connection: %s: %s",
             status_name(result->status), status_text(result->status));
}

static void take_hello(struct session *session, const struct message_header *message,
                       const struct result_header *result)
{
    if (message->operation != OPERATION_HELLO || !result_is_whole(result, OPERATION_HELLO)) {
        protocol_error(session, "the server's first message does not answer hello");
        return;
    }
    if (result->status != STATUS_OK) {
        take_farewell(session, result);
        return;
    }
    memcpy(&session->hello, result, sizeof session->hello);
    const struct hello_result *hello = &session->hello;
    if (hello->version != PROTOCOL_VERSION || hello->shards == 0 || hello->items_max == 0 ||
        hello->message_size_max < SESSION_SEND_BYTES_MIN) {
        protocol_error(session, "the server's answer to hello makes no sense");
        return;
    }
    if (result->log_time_ns > session->log_time_ns)
        session->log_time_ns = result->log_time_ns;
    session->state = SESSION_READY;
}

/* Finds the message that a reply answers, and begins to read it out. */
static void begin_reply(struct session *session, const struct message_header *message)
{
    uint32_t slot = (uint32_t)message->correlation;
    uint32_t generation = (uint32_t)(message->correlation >> 32);
    if (slot >= session->options.messages_max || session->messages[slot].items_count == 0 ||
        session->messages[slot].generation != generation || slot == session->open_slot ||
        session->messages[slot].operation != message->operation ||
        message->items_count > session->messages[slot].unanswered) {
        protocol_error(session, "the server answered a message that is not under way");
        return;
    }
    session->reading_slot = slot;
    session->results_left = message->items_count;
    session->result = (const struct result_header *)(const void *)(message + 1);
}

/* Judges the message at receive_begin, header first. False if more bytes are needed or nothing more can be read. */
static bool open_reply(struct session *session)
{
    size_t available = session->receive_end - session->receive_begin;
    if (available < sizeof(struct message_header))
        return false;
    const struct message_header *message = received_message(session);
    enum status status = message_header_check(message, (uint32_t)session->options.receive_bytes);
    if (status == STATUS_OK && (message->flags & MESSAGE_REPLY) == 0)
        status = STATUS_BAD_MESSAGE;
    if (status == STATUS_OK && available < message->size)
        return false;
    if (status == STATUS_OK)
        status = message_check(message);
    if (status != STATUS_OK) {
        char error[SESSION_ERROR_SIZE];
        snprintf(error, sizeof error, "what came is not Innkeep's protocol: %s; is another service listening there?",
                 status_name((uint16_t)status));
        protocol_error(session, error);
        return false;
    }
    session->receive_begin += message->size;
    const struct result_header *first = (const struct result_header *)(const void *)(message + 1);
    if (message->operation == OPERATION_NONE)
        take_farewell(session, first);
    else if (session->state == SESSION_GREETING)
        take_hello(session, message, first);
    else
        begin_reply(session, message);
    return true;
}

static void release_slot(struct session *session, uint32_t slot)
{
    session->messages[slot].items_count = 0;
    session->messages[slot].next_free = session->free_slot;
    session->free_slot = slot;
}

/* Matches one result with its item. False, and the session closed, where that cannot be. */
static bool take_result(struct session *session, struct inn_completion *completion)
{
    const struct result_header *result = session->result;
    struct session_message *message = &session->messages[session->reading_slot];
    uint64_t *answered = session->answered + (size_t)session->reading_slot * session->answered_words;
    uint32_t item = result->item;
    if (item >= message->items_count || (answered[item / 64] >> (item % 64) & 1) != 0 ||
        !result_is_whole(result, message->operation)) {
        protocol_error(session, "the server answered an item twice, one that was not asked, or with half a result");
        return false;
    }
    answered[item / 64] |= UINT64_C(1) << (item % 64);
    completion->user = session->users[(size_t)session->reading_slot * session->options.batch_max + item];
    completion->verdict = result->status;
    completion->operation = message->operation;
    completion->result = (const struct inn_result *)(const void *)result;
    if (result->log_time_ns > session->log_time_ns)
        session->log_time_ns = result->log_time_ns;
    session->result = (const struct result_header *)(const void *)((const uint8_t *)result + result->size);
    session->results_left--;
    session->pending--;
    if (--message->unanswered == 0)
        release_slot(session, session->reading_slot);
    return true;
}

/* The next item that will get no answer, once the session is closed. */
static bool take_unanswered(struct session *session, struct inn_completion *completion)
{
    for (; session->drain_slot < session->options.messages_max; session->drain_slot++, session->drain_item = 0) {
        const struct session_message *message = &session->messages[session->drain_slot];
        const uint64_t *answered = session->answered + (size_t)session->drain_slot * session->answered_words;
        while (session->drain_item < message->items_count) {
            uint32_t item = session->drain_item++;
            if ((answered[item / 64] >> (item % 64) & 1) != 0)
                continue;
            bool sent = message->position < session->sent_bytes;
            completion->user = session->users[(size_t)session->drain_slot * session->options.batch_max + item];
            completion->verdict = sent && session_operation_changes(message->operation) ? INN_UNKNOWN : INN_NO_ANSWER;
            completion->operation = message->operation;
            completion->result = NULL;
            session->pending--;
            return true;
        }
    }
    return false;
}

int session_next(struct session *session, struct inn_completion *completion)
{
    for (;;) {
        if (session->results_left > 0) {
            if (take_result(session, completion))
                return 1;
            continue;
        }
        if (open_reply(session))
            continue;
        return session->state == SESSION_CLOSED && take_unanswered(session, completion) ? 1 : 0;
    }
}

bool session_has_next(struct session *session)
{
    return session->results_left > 0 || message_is_whole(session) ||
           (session->state == SESSION_CLOSED && session->pending > 0);
}
