/* Which items are let in, where they go, and in what order they are answered.
 *
 * An item is judged by what can be seen in it (command_check), then by the state of the house (shutting down, disk space, room), and only
 * then taken: a command into the open frame, anything else answered now or queued behind its connection's waiting commands. An item that
 * belongs to another shard crosses with its judgement, so that the refusal of a bad item keeps its place in the order too. */
#include "net/server/shard.h"

#include <string.h>

/* What crosses between shards: the ticket, then the item's bytes. */
struct forwarded {
    struct ticket ticket;
    uint8_t item[];
};

static bool is_logged(uint8_t operation)
{
    enum operation_class category = operation_class(operation);
    return category == OPERATION_CLASS_MUTATION || category == OPERATION_CLASS_LEASE ||
           category == OPERATION_CLASS_TICK;
}

static uint32_t owner_of(const struct shard *shard, const struct record_header *item)
{
    if ((item->flags & RECORD_BY_SHARD) == 0)
        return shard_of_property(item->property, shard->shards_count);
    return item->property < shard->shards_count ? (uint32_t)item->property : shard->index;
}

static enum status item_judge(const struct shard *shard, const struct record_header *item, size_t available_bytes)
{
    enum status status = command_check(item, available_bytes);
    if (status != STATUS_OK)
        return status;
    if ((item->flags & RECORD_BY_SHARD) != 0 && item->property >= shard->shards_count)
        return STATUS_NO_SUCH_SHARD;
    const struct raise_level *raise = (const struct raise_level *)(const void *)item;
    if (item->kind == OPERATION_RAISE_LEVEL && raise->level > shard->machine.level_max)
        return STATUS_UNKNOWN_LEVEL;
    return shard->draining && is_logged(item->kind) ? STATUS_SHUTTING_DOWN : STATUS_OK;
}

/* With little space left only what finishes or frees something goes on, then only ticks (DESIGN: disk full). */
static enum status space_judge(const struct shard *shard, uint8_t operation)
{
    enum wal_space space = wal_space(shard->wal);
    if (space == WAL_SPACE_AMPLE)
        return STATUS_OK;
    bool tick = operation == OPERATION_BARRIER;
    bool finishes = operation == OPERATION_CONFIRM || operation == OPERATION_RELEASE || operation == OPERATION_CANCEL ||
                    operation == OPERATION_LEASE_RENEW || operation == OPERATION_LEASE_RELEASE;
    bool goes_on = (space == WAL_SPACE_LOW && (tick || finishes)) || (space == WAL_SPACE_CRITICAL && tick);
    return goes_on ? STATUS_OK : STATUS_DISK_FULL;
}

/* ---- The waiting line ------------------------------------------------------------------------------------------------ */

static uint64_t *last_ticket_of(struct shard *shard, const struct ticket *ticket)
{
    REQUIRE(ticket->shard < shard->shards_count);
    REQUIRE(ticket->connection < shard->options->connections_max);
    return &shard->line
                .last_of_connection[(size_t)ticket->shard * shard->options->connections_max + ticket->connection];
}

static bool line_has_room(const struct waiting_line *line)
{
    return line->next - line->first < SHARD_TICKETS_MAX;
}

static void line_push(struct shard *shard, const struct ticket *ticket)
{
    struct waiting_line *line = &shard->line;
    REQUIRE(line_has_room(line));
    line->tickets[line->next % SHARD_TICKETS_MAX] = *ticket;
    line->next++;
    *last_ticket_of(shard, ticket) = line->next;
}

static bool connection_waits(struct shard *shard, const struct ticket *ticket)
{
    return *last_ticket_of(shard, ticket) > shard->line.first;
}

static bool line_push_query(struct shard *shard, const struct ticket *ticket, const struct record_header *item)
{
    struct waiting_line *line = &shard->line;
    if (!line_has_room(line) || line->queries_next - line->queries_first == SHARD_QUERIES_MAX)
        return false;
    union query_item *slot = &line->queries[line->queries_next % SHARD_QUERIES_MAX];
    if (ticket->status == STATUS_OK) {
        REQUIRE(item->size <= sizeof *slot);
        memcpy(slot, item, item->size);
    }
    line->queries_next++;
    line_push(shard, ticket);
    return true;
}

/* Frames behind the one with a RAISE_LEVEL are sealed under its level, long before it is applied; by the rule it is applied by. */
static void level_note(struct shard *shard, const struct record_header *item)
{
    const struct raise_level *raise = (const struct raise_level *)(const void *)item;
    if (item->kind == OPERATION_RAISE_LEVEL && raise->level > shard->log_level_next)
        shard->log_level_next = raise->level;
}

/* Takes an item that belongs to this shard, whoever owns its connection; false if there is no room now. */
static bool item_take(struct shard *shard, struct ticket *ticket, const struct record_header *item)
{
    bool logged = is_logged(ticket->operation);
    if (ticket->status == STATUS_OK && logged)
        ticket->status = (uint16_t)space_judge(shard, ticket->operation);
    if (ticket->status != STATUS_OK || !logged) {
        if (connection_waits(shard, ticket))
            return line_push_query(shard, ticket, item);
        return shard_answer_now(shard, ticket, item);
    }
    if (!line_has_room(&shard->line) || !wal_has_room(shard->wal, item->size))
        return false;
    wal_append(shard->wal, item);
    level_note(shard, item);
    line_push(shard, ticket);
    return true;
}

/* ---- From our own connections ---------------------------------------------------------------------------------------- */

static bool reply_fits(const struct shard *shard, const struct connection *connection, uint64_t cost)
{
    return connection->unanswered < SHARD_REQUESTS_MAX &&
           connection->output.bytes + cost <= SHARD_CONNECTION_OUTPUT_MAX &&
           output_pool_affords(&shard->pool, cost, shard->options->connections_max);
}

static bool item_forward(struct shard *shard, uint32_t owner, const struct ticket *ticket,
                         const struct record_header *item)
{
    uint32_t item_size = ticket->status == STATUS_OK ? item->size : 0;
    uint32_t size = (uint32_t)sizeof(struct forwarded) + item_size;
    struct forwarded *entry = spsc_ring_reserve(shard->requests_out[owner], size);
    if (entry == NULL) {
        shard->ring_full = true;
        return false;
    }
    entry->ticket = *ticket;
    memcpy(entry->item, item, item_size);
    spsc_ring_commit(shard->requests_out[owner], size);
    return true;
}

static bool item_route(struct shard *shard, struct ticket *ticket, const struct record_header *item)
{
    uint32_t owner = owner_of(shard, item);
    return owner == shard->index ? item_take(shard, ticket, item) : item_forward(shard, owner, ticket, item);
}

static bool waited_too_long(const struct shard *shard, const struct connection *connection)
{
    return connection->held_up_since_ns != 0 &&
           shard->now_ns - connection->held_up_since_ns >= shard->options->overload_after_ns;
}

bool shard_admit(struct shard *shard, struct connection *connection, const struct message_header *message,
                 const struct record_header *item, size_t available_bytes)
{
    uint64_t cost = output_cost(shard_result_max(message->operation));
    if (!reply_fits(shard, connection, cost)) {
        if (connection->held_up_since_ns != 0)
            connection->held_up_since_ns = shard->now_ns; /* waiting for its own client is no overload */
        return false;
    }
    struct ticket ticket = {
        .correlation = message->correlation,
        .arrived_ns = shard->now_ns,
        .connection = connection->index,
        .generation = connection->generation,
        .shard = (uint16_t)shard->index,
        .item = (uint16_t)connection->items_taken,
        .status = (uint16_t)item_judge(shard, item, available_bytes),
        .operation = message->operation,
    };
    /* Promised before it is routed: an answer at once takes the promise back. */
    shard->pool.promised += cost;
    connection->unanswered++;
    bool taken = item_route(shard, &ticket, item);
    if (!taken && ticket.status == STATUS_OK && waited_too_long(shard, connection)) {
        ticket.status = STATUS_OVERLOADED;
        taken = item_route(shard, &ticket, item);
        shard->refused_overload_count += taken;
    }
    if (!taken) {
        shard->pool.promised -= cost;
        connection->unanswered--;
        return false;
    }
    if (ticket.status == STATUS_OK)
        connection->held_up_since_ns = 0; /* the next item waits for itself */
    shard->requests_count++;
    return true;
}

/* ---- From other shards ----------------------------------------------------------------------------------------------- */

/* A socket on its way to its shard travels as a HELLO: no request of that kind is ever forwarded. */
struct handed_over {
    struct ticket ticket;
    int32_t socket;
    uint32_t early_size;
    uint8_t early[];
};

bool shard_hand_over(struct shard *shard, uint32_t to, int socket, uint64_t correlation, const uint8_t *early,
                     uint32_t early_size)
{
    if (to == shard->index) {
        shard_adopt_socket(shard, socket, correlation, early, early_size);
        return true;
    }
    uint32_t size = (uint32_t)sizeof(struct handed_over) + early_size;
    struct handed_over *entry = spsc_ring_reserve(shard->requests_out[to], size);
    if (entry == NULL) {
        shard->ring_full = true;
        return false;
    }
    entry->ticket = (struct ticket){ .operation = OPERATION_HELLO, .correlation = correlation };
    entry->socket = socket;
    entry->early_size = early_size;
    memcpy(entry->early, early, early_size);
    spsc_ring_commit(shard->requests_out[to], size);
    return true;
}

/* False if the oldest finds no room: its own shard sees the ring fill up and holds its connections up. */
static bool requests_take(struct shard *shard, struct spsc_ring *ring)
{
    uint32_t size;
    const struct forwarded *entry;
    while ((entry = spsc_ring_peek(ring, &size)) != NULL) {
        struct ticket ticket = entry->ticket;
        const struct record_header *item = (const struct record_header *)(const void *)entry->item;
        if (ticket.operation == OPERATION_HELLO) {
            const struct handed_over *socket = (const struct handed_over *)(const void *)entry;
            shard_adopt_socket(shard, socket->socket, ticket.correlation, socket->early, socket->early_size);
        } else if (!item_take(shard, &ticket, item)) {
            return false;
        }
        spsc_ring_pop(ring);
    }
    return true;
}

void shard_take_forwarded(struct shard *shard)
{
    for (uint32_t other = 0; other < shard->shards_count; other++)
        if (other != shard->index)
            shard->blocked[other] = !requests_take(shard, shard->requests_in[other]);
}
