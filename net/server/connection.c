#include "net/server/connection.h"

#include "net/server/shard.h"

#include <errno.h>
#include <string.h>

/* A connection that is held up stops its receive once this many buffers wait, so that it cannot take them all. */
#define HELD_MAX 4

/* The most that is read at once past the shared buffers: what is parsed there is moved down message by message. */
#define RECEIVE_ALONE_MAX (16 * KIB)

/* How long a closing connection waits for the client to close its side. */
#define LINGER_NS NS_PER_SECOND

/* How long a client that does not read is borne while others have to wait for the room that its replies take. */
#define STUCK_UNDER_PRESSURE_NS NS_PER_SECOND

/* ---- Received buffers ------------------------------------------------------------------------------------------------ */

static void held_push(struct connection *connection, const struct io_completion *completion)
{
    struct shard *shard = connection->shard;
    shard->held[completion->buffer_id] = (struct held_buffer){
        .data = completion->data,
        .size = (uint32_t)completion->result,
        .buffer_id = completion->buffer_id,
        .next = HELD_NONE,
    };
    if (connection->held_first == HELD_NONE)
        connection->held_first = completion->buffer_id;
    else
        shard->held[connection->held_last].next = completion->buffer_id;
    connection->held_last = completion->buffer_id;
    connection->held_count++;
    shard->buffers_out++;
}

static struct held_buffer *held_peek(struct connection *connection)
{
    return connection->held_first == HELD_NONE ? NULL : &connection->shard->held[connection->held_first];
}

static void held_pop(struct connection *connection)
{
    struct shard *shard = connection->shard;
    struct held_buffer *buffer = held_peek(connection);
    REQUIRE(buffer != NULL);
    connection->held_first = buffer->next;
    connection->held_count--;
    shard->buffers_out--;
    io_buffer_return(shard->io, buffer->buffer_id);
}

static void held_drop(struct connection *connection)
{
    while (connection->held_first != HELD_NONE)
        held_pop(connection);
}

/* ---- Completions: they only mark ------------------------------------------------------------------------------------- */

static void recv_done(struct io_request *request, const struct io_completion *completion)
{
    struct connection *connection = request->context;
    if (!completion->more) {
        connection->recv_armed = false;
        connection->recv_cancelled = false;
    }
    if (completion->result > 0 && completion->data == NULL)
        connection->assembly_used += (uint32_t)completion->result; /* see receive_alone */
    else if (completion->result > 0)
        held_push(connection, completion);
    else if (completion->result != -ENOBUFS && completion->result != -ECANCELED)
        connection->end_of_stream = true; /* 0: the client is through; anything else: the line is dead */
    if (completion->result >= 0)
        connection->progress_ns = connection->shard->now_ns;
    shard_queue_work(connection);
    shard_queue_dirty(connection);
}

static void send_done(struct io_request *request, const struct io_completion *completion)
{
    struct connection *connection = request->context;
    connection->send_busy = false;
    if (completion->result < 0) {
        /* Nobody reads any more: what is queued has no reader, and answers still to come have none either. */
        output_sent(&connection->output, &connection->shard->pool, 0);
        output_drop(&connection->output, &connection->shard->pool);
        connection->end_of_stream = true;
        connection_close(connection);
    } else {
        output_sent(&connection->output, &connection->shard->pool, (size_t)completion->result);
        connection->progress_ns = connection->shard->now_ns;
    }
    shard_queue_dirty(connection);
}

/* ---- Opening and closing --------------------------------------------------------------------------------------------- */

void connection_open(struct connection *connection, int socket, const uint8_t *early, uint32_t early_size)
{
    REQUIRE(connection->state == CONNECTION_FREE);
    REQUIRE(early_size <= MESSAGE_SIZE_MAX);
    struct shard *shard = connection->shard;
    *connection = (struct connection){
        .recv = { .done = recv_done, .context = connection },
        .send = { .done = send_done, .context = connection },
        .shard = shard,
        .index = connection->index,
        .generation = connection->generation,
        .in_work = connection->in_work, /* the last owner of the place may have left it in a queue */
        .in_dirty = connection->in_dirty,
        .assembly = connection->assembly,
        .state = CONNECTION_OPEN,
        .socket = socket,
        .held_first = HELD_NONE,
        .held_last = HELD_NONE,
        .progress_ns = shard->now_ns,
    };
    memcpy(connection->assembly, early, early_size);
    connection->assembly_used = early_size;
    shard_queue_work(connection);
    shard_queue_dirty(connection);
}

void connection_close(struct connection *connection)
{
    if (connection->state != CONNECTION_OPEN)
        return;
    connection->state = CONNECTION_CLOSING;
    connection->message = NULL;
    connection->assembly_used = 0;
    connection->held_up_since_ns = 0;
    connection->partial_since_ns = 0;
    shard_queue_dirty(connection);
}

/* The place is free once nothing in flight refers to it. Tickets still waiting carry the old generation. */
static void connection_free(struct connection *connection)
{
    struct shard *shard = connection->shard;
    REQUIRE(!connection->recv_armed);
    REQUIRE(!connection->send_busy);
    output_drop(&connection->output, &shard->pool);
    held_drop(connection);
    io_close_later(shard->io, connection->socket);
    connection->state = CONNECTION_FREE;
    connection->generation++;
    shard->free_connections[shard->free_connections_count++] = connection->index;
    shard->connections_open--;
    atomic_fetch_sub(&shard->places_taken, 1);
}

void connection_refuse(struct connection *connection, enum status status, uint64_t correlation)
{
    struct shard *shard = connection->shard;
    struct result_header *result =
        output_result_begin(&connection->output, &shard->pool, OPERATION_NONE, correlation, sizeof *result);
    *result =
        (struct result_header){ .size = sizeof *result, .status = (uint16_t)status, .shard = (uint16_t)shard->index };
    output_result_end(&connection->output, result);
    connection_close(connection);
}

/* ---- Bytes to messages ----------------------------------------------------------------------------------------------- */

static void message_begin(struct connection *connection, const struct message_header *message, bool in_assembly)
{
    connection->message = message;
    connection->message_in_assembly = in_assembly;
    connection->items_taken = 0;
    connection->item_offset = sizeof *message;
}

/* Copies from the held buffers until the assembly holds `wanted` bytes; false if they run out. */
static bool assembly_fill(struct connection *connection, uint32_t wanted)
{
    while (connection->assembly_used < wanted) {
        struct held_buffer *buffer = held_peek(connection);
        if (buffer == NULL)
            return false;
        uint32_t missing = wanted - connection->assembly_used;
        uint32_t left = buffer->size - buffer->used;
        uint32_t taken = missing < left ? missing : left;
        memcpy(connection->assembly + connection->assembly_used, buffer->data + buffer->used, taken);
        connection->assembly_used += taken;
        buffer->used += taken;
        if (buffer->used == buffer->size)
            held_pop(connection);
    }
    return true;
}

enum parse_result { PARSE_MESSAGE, PARSE_MORE, PARSE_REFUSED };

static enum parse_result header_judge(struct connection *connection, const struct message_header *header)
{
    enum status status = message_header_check(header, MESSAGE_SIZE_MAX);
    bool ours = (header->flags & MESSAGE_REPLY) == 0 && header->operation != OPERATION_NONE;
    if (status == STATUS_OK && (!ours || header->items_count > MESSAGE_ITEMS_MAX))
        status = STATUS_BAD_MESSAGE;
    if (status == STATUS_OK)
        return PARSE_MESSAGE;
    connection_refuse(connection, status, status == STATUS_BAD_MAGIC ? 0 : header->correlation);
    return PARSE_REFUSED;
}

static enum parse_result assembly_parse(struct connection *connection)
{
    const struct message_header *header = (const struct message_header *)(const void *)connection->assembly;
    if (!assembly_fill(connection, sizeof *header))
        return PARSE_MORE;
    if (header_judge(connection, header) == PARSE_REFUSED)
        return PARSE_REFUSED;
    if (!assembly_fill(connection, header->size))
        return PARSE_MORE;
    message_begin(connection, header, true);
    return PARSE_MESSAGE;
}

/* The fast path: a whole, aligned message is taken where the kernel put it. */
static enum parse_result buffer_parse(struct connection *connection, struct held_buffer *buffer)
{
    const uint8_t *at = buffer->data + buffer->used;
    uint32_t left = buffer->size - buffer->used;
    if (left < sizeof(struct message_header) || (uintptr_t)at % MESSAGE_ALIGNMENT != 0)
        return assembly_parse(connection);
    const struct message_header *header = (const struct message_header *)(const void *)at;
    if (header_judge(connection, header) == PARSE_REFUSED)
        return PARSE_REFUSED;
    if (left < header->size)
        return assembly_parse(connection);
    message_begin(connection, header, false);
    return PARSE_MESSAGE;
}

static bool kinds_agree(const struct message_header *message)
{
    const struct record_header *item = message_item_first(message);
    for (uint32_t i = 0; i < message->items_count; i++, item = message_item_next(item))
        if (item->kind != message->operation)
            return false;
    return true;
}

/* Finds the next whole message and judges it. */
static enum parse_result message_next(struct connection *connection)
{
    enum parse_result parsed = PARSE_MORE;
    struct held_buffer *buffer = held_peek(connection);
    if (connection->assembly_used > 0)
        parsed = assembly_parse(connection);
    else if (buffer != NULL)
        parsed = buffer_parse(connection, buffer);
    if (parsed != PARSE_MESSAGE)
        return parsed;
    enum status status = message_check(connection->message);
    if (status == STATUS_OK && !kinds_agree(connection->message))
        status = STATUS_BAD_MESSAGE;
    if (status == STATUS_OK && connection->message->operation == OPERATION_HELLO)
        status = STATUS_HELLO_EXPECTED; /* it has had its one */
    if (status == STATUS_OK)
        return PARSE_MESSAGE;
    connection_refuse(connection, status, connection->message->correlation);
    return PARSE_REFUSED;
}

static void message_end(struct connection *connection)
{
    uint32_t size = connection->message->size;
    connection->message = NULL;
    if (connection->message_in_assembly) {
        /* More than one message can lie here: what a client sent right behind its HELLO. */
        connection->assembly_used -= size;
        memmove(connection->assembly, connection->assembly + size, connection->assembly_used);
        return;
    }
    struct held_buffer *buffer = held_peek(connection);
    REQUIRE(buffer != NULL);
    buffer->used += size;
    if (buffer->used == buffer->size)
        held_pop(connection);
}

/* ---- Work ------------------------------------------------------------------------------------------------------------ */

/* Takes the current message's items; false if one finds no room. */
static bool items_take(struct connection *connection)
{
    const struct message_header *message = connection->message;
    while (connection->items_taken < message->items_count) {
        const uint8_t *at = (const uint8_t *)message + connection->item_offset;
        const struct record_header *item = (const struct record_header *)(const void *)at;
        if (!shard_admit(connection->shard, connection, message, item, message->size - connection->item_offset))
            return false;
        connection->item_offset += item->size;
        connection->items_taken++;
    }
    return true;
}

static void hold_up(struct connection *connection)
{
    if (connection->held_up_since_ns == 0)
        connection->held_up_since_ns = connection->shard->now_ns;
    connection->shard->held_up = true;
    shard_queue_work(connection);
}

/* Nothing more can be taken now: is a message half here, and is the client through? */
static void work_pause(struct connection *connection)
{
    bool partial = connection->assembly_used > 0 || connection->held_first != HELD_NONE;
    if (!partial)
        connection->partial_since_ns = 0;
    else if (connection->partial_since_ns == 0)
        connection->partial_since_ns = connection->shard->now_ns;
    if (connection->end_of_stream && connection->unanswered == 0)
        connection_close(connection);
    shard_queue_dirty(connection);
}

void connection_work(struct connection *connection)
{
    while (connection->state == CONNECTION_OPEN) {
        if (connection->message == NULL) {
            if (message_next(connection) != PARSE_MESSAGE)
                break;
            connection->partial_since_ns = 0;
        }
        if (!items_take(connection)) {
            hold_up(connection);
            return;
        }
        connection->held_up_since_ns = 0;
        message_end(connection);
    }
    if (connection->state == CONNECTION_OPEN) {
        work_pause(connection);
        return;
    }
    connection->assembly_used = 0;
    held_drop(connection);
}

/* ---- Output and arming ----------------------------------------------------------------------------------------------- */

/* The shared buffers are all out, perhaps for as long as clients that do not read keep theirs from being parsed: nobody else shall starve
 * by it, so this one reads into its own assembly buffer. Nothing touches that before the receive is through, for nothing is left to be parsed. */
static void receive_alone(struct connection *connection)
{
    uint32_t room = MESSAGE_SIZE_MAX - connection->assembly_used;
    if (connection->in_work || connection->held_first != HELD_NONE || room == 0) {
        shard_queue_dirty(connection); /* look again at the next turn */
        return;
    }
    connection->recv_armed = true;
    io_recv_once(connection->shard->io, &connection->recv, connection->socket,
                 connection->assembly + connection->assembly_used, room < RECEIVE_ALONE_MAX ? room : RECEIVE_ALONE_MAX);
}

static void receive_arm(struct connection *connection)
{
    struct shard *shard = connection->shard;
    bool held_up = connection->held_up_since_ns != 0;
    if (connection->recv_armed) {
        if (held_up && connection->held_count >= HELD_MAX && !connection->recv_cancelled) {
            connection->recv_cancelled = true;
            io_cancel(shard->io, &connection->recv);
        }
        return;
    }
    if (connection->end_of_stream || held_up)
        return;
    if (shard->buffers_out == shard->options->recv_buffers_count) {
        receive_alone(connection);
        return;
    }
    connection->recv_armed = true;
    io_recv(shard->io, &connection->recv, connection->socket);
}

/* Ends our side first and waits for the client's: closing on bytes unread would reset the line and could cost the client answers that
 * are still under way to it. */
static void closing_step(struct connection *connection)
{
    struct shard *shard = connection->shard;
    if (connection->send_busy || connection->output.bytes > 0)
        return;
    if (connection->linger_until_ns == 0) {
        io_shutdown_send(shard->io, connection->socket);
        connection->linger_until_ns = shard->now_ns + LINGER_NS;
    }
    bool over = connection->end_of_stream || shard->now_ns >= connection->linger_until_ns;
    if (!over && !connection->recv_armed)
        receive_arm(connection);
    if (!over)
        return;
    if (!connection->recv_armed) {
        connection_free(connection);
    } else if (!connection->recv_cancelled) {
        connection->recv_cancelled = true;
        io_cancel(shard->io, &connection->recv);
    }
}

void connection_flush(struct connection *connection)
{
    struct shard *shard = connection->shard;
    if (connection->state == CONNECTION_FREE)
        return;
    if (!connection->send_busy) {
        uint32_t parts = output_take(&connection->output);
        if (parts > 0) {
            connection->send_busy = true;
            connection->sending_since_ns = shard->now_ns;
            io_send(shard->io, &connection->send, connection->socket, connection->output.parts, parts);
        }
    }
    if (connection->end_of_stream && connection->unanswered == 0 && !connection->in_work)
        connection_close(connection); /* it asked, was answered, and says no more */
    if (connection->state == CONNECTION_OPEN)
        receive_arm(connection);
    else
        closing_step(connection);
}

void connection_drain(struct connection *connection, bool now)
{
    if (connection->state == CONNECTION_FREE)
        return;
    bool through = connection->unanswered == 0 && connection->output.bytes == 0 && connection->message == NULL &&
                   connection->held_first == HELD_NONE;
    if (now)
        io_shutdown(connection->shard->io, connection->socket); /* ends what is under way */
    if (now || through)
        connection_close(connection);
}

/* Room for replies runs out, so that clients that do read have to wait. */
static bool under_pressure(const struct shard *shard)
{
    return !output_pool_affords(&shard->pool, output_cost(RESULT_SIZE_MAX), shard->options->connections_max);
}

/* The client reads nothing of what is being sent; that it goes on asking is no excuse. */
static bool is_stuck(const struct connection *connection, uint64_t now_ns)
{
    uint64_t timeout_ns = connection->shard->options->stuck_timeout_ns;
    if (timeout_ns > STUCK_UNDER_PRESSURE_NS && under_pressure(connection->shard))
        timeout_ns = STUCK_UNDER_PRESSURE_NS;
    return connection->send_busy && now_ns - connection->sending_since_ns >= timeout_ns;
}

void connection_check_deadlines(struct connection *connection, uint64_t now_ns)
{
    const struct server_options *options = connection->shard->options;
    if (connection->state == CONNECTION_FREE)
        return;
    uint64_t still_ns = now_ns - connection->progress_ns;
    if (is_stuck(connection, now_ns)) {
        io_shutdown(connection->shard->io, connection->socket); /* ends the send, whose completion closes */
        connection->sending_since_ns = now_ns;
        connection_close(connection);
        return;
    }
    if (connection->state == CONNECTION_CLOSING)
        shard_queue_dirty(connection); /* it may have lingered long enough */
    if (connection->state != CONNECTION_OPEN)
        return;
    if (connection->partial_since_ns != 0 && now_ns - connection->partial_since_ns >= options->partial_timeout_ns)
        connection_refuse(connection, STATUS_IDLE_TOO_LONG, 0);
    else if (options->idle_timeout_ns != 0 && connection->unanswered == 0 && still_ns >= options->idle_timeout_ns)
        connection_close(connection);
}
