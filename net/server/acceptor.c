#include "net/server/acceptor.h"

#include "net/server/shard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* FREE -> READING -> READY -> FREE (handed over), or READING [-> EXPIRED] -> REFUSING -> LINGERING -> DONE -> FREE. Lingering reads on until the
 * client ends too, for closing on bytes unread would reset the line and could cost the client the last message. */
enum handshake_state {
    HANDSHAKE_FREE,
    HANDSHAKE_READING,
    HANDSHAKE_EXPIRED,
    HANDSHAKE_READY,
    HANDSHAKE_REFUSING,
    HANDSHAKE_LINGERING,
    HANDSHAKE_DONE,
};

#define LINGER_NS NS_PER_SECOND

/* How long nothing is accepted once the kernel had no file or memory for a socket: asking again at once would be answered at once. */
#define SHORTAGE_PAUSE_NS (100 * NS_PER_MS)

struct handshake {
    struct io_request request;
    struct acceptor *acceptor;
    enum handshake_state state;
    bool busy;    /* the request is under way */
    bool expired; /* the deadline has passed, the read was asked to end; no further one begins */
    int socket;
    uint32_t used;
    uint32_t target; /* READY: the shard that shall own it, where a place is taken */
    uint64_t deadline_ns;
    struct iovec part;
    uint32_t next_free;
    struct {
        struct message_header header;
        struct result_header result;
    } refusal;
    _Alignas(8) uint8_t bytes[HANDSHAKE_BUFFER_SIZE];
};

struct acceptor {
    struct shard *shard;
    struct io_request accept;
    int listening_socket;
    bool armed;
    bool stopped;
    uint32_t first_free; /* HANDSHAKES_MAX: none */
    uint32_t active;
    uint64_t pause_until_ns;         /* no socket could be made: nothing is accepted before */
    int waiting[ACCEPT_WAITING_MAX]; /* sockets that came while no place was free; a ring */
    uint32_t waiting_first;
    uint32_t waiting_count;
    struct handshake handshakes[HANDSHAKES_MAX];
};

size_t acceptor_memory_size(void)
{
    return sizeof(struct acceptor);
}

/* ---- Completions: they only mark ------------------------------------------------------------------------------------- */

static void handshake_read_done(struct io_request *request, const struct io_completion *completion)
{
    struct handshake *handshake = request->context;
    handshake->busy = false;
    if (completion->result > 0)
        handshake->used += (uint32_t)completion->result;
    else if (handshake->expired && handshake->state == HANDSHAKE_READING)
        handshake->state = HANDSHAKE_EXPIRED;
    else
        handshake->state = HANDSHAKE_DONE;
}

static void handshake_sent(struct io_request *request, const struct io_completion *completion)
{
    (void)completion; /* it was the last word either way */
    struct handshake *handshake = request->context;
    struct shard *shard = handshake->acceptor->shard;
    io_shutdown_send(shard->io, handshake->socket);
    handshake->busy = false;
    handshake->expired = false;
    handshake->deadline_ns = shard->now_ns + LINGER_NS;
    handshake->state = HANDSHAKE_LINGERING;
}

static bool is_shortage(int result)
{
    return result == -EMFILE || result == -ENFILE || result == -ENOBUFS || result == -ENOMEM;
}

/* One batch of completions may bring the kernel's whole backlog. */
static void accept_done(struct io_request *request, const struct io_completion *completion)
{
    struct acceptor *acceptor = request->context;
    acceptor->armed = completion->more;
    if (is_shortage(completion->result))
        acceptor->pause_until_ns = acceptor->shard->now_ns + SHORTAGE_PAUSE_NS;
    if (completion->result < 0)
        return;
    if (acceptor->waiting_count == ACCEPT_WAITING_MAX || acceptor->stopped) {
        io_close_later(acceptor->shard->io, completion->result);
        return;
    }
    uint32_t slot = (acceptor->waiting_first + acceptor->waiting_count) % ACCEPT_WAITING_MAX;
    acceptor->waiting[slot] = completion->result;
    acceptor->waiting_count++;
}

/* ---- Making and ending ----------------------------------------------------------------------------------------------- */

struct acceptor *acceptor_create(struct shard *shard, int listening_socket)
{
    struct acceptor *acceptor = calloc(1, sizeof *acceptor);
    if (acceptor == NULL)
        return NULL;
    acceptor->shard = shard;
    acceptor->listening_socket = listening_socket;
    acceptor->accept = (struct io_request){ .done = accept_done, .context = acceptor };
    for (uint32_t i = 0; i < HANDSHAKES_MAX; i++) {
        acceptor->handshakes[i].acceptor = acceptor;
        acceptor->handshakes[i].next_free = i + 1;
    }
    return acceptor;
}

void acceptor_free(struct acceptor *acceptor)
{
    if (acceptor != NULL)
        io_close(acceptor->shard->io, acceptor->listening_socket);
    free(acceptor);
}

static int waiting_pop(struct acceptor *acceptor)
{
    REQUIRE(acceptor->waiting_count > 0);
    int socket = acceptor->waiting[acceptor->waiting_first];
    acceptor->waiting_first = (acceptor->waiting_first + 1) % ACCEPT_WAITING_MAX;
    acceptor->waiting_count--;
    return socket;
}

static struct handshake *handshake_begin(struct acceptor *acceptor, int socket, uint64_t now_ns)
{
    struct handshake *handshake = &acceptor->handshakes[acceptor->first_free];
    acceptor->first_free = handshake->next_free;
    acceptor->active++;
    handshake->state = HANDSHAKE_READING;
    handshake->socket = socket;
    handshake->used = 0;
    handshake->busy = false;
    handshake->expired = false;
    handshake->deadline_ns = now_ns + acceptor->shard->options->handshake_timeout_ns;
    return handshake;
}

static void handshake_free(struct handshake *handshake)
{
    struct acceptor *acceptor = handshake->acceptor;
    REQUIRE(!handshake->busy);
    handshake->state = HANDSHAKE_FREE;
    handshake->next_free = acceptor->first_free;
    acceptor->first_free = (uint32_t)(handshake - acceptor->handshakes);
    acceptor->active--;
}

static void handshake_refuse(struct handshake *handshake, enum status status, uint64_t correlation)
{
    struct shard *shard = handshake->acceptor->shard;
    memset(&handshake->refusal, 0, sizeof handshake->refusal);
    handshake->refusal.header = (struct message_header){ .size = sizeof handshake->refusal,
                                                         .operation = OPERATION_NONE,
                                                         .flags = MESSAGE_REPLY,
                                                         .items_count = 1,
                                                         .correlation = correlation };
    handshake->refusal.result =
        (struct result_header){ .size = sizeof handshake->refusal.result, .status = (uint16_t)status };
    message_seal(&handshake->refusal.header);
    handshake->part = (struct iovec){ .iov_base = &handshake->refusal, .iov_len = sizeof handshake->refusal };
    handshake->state = HANDSHAKE_REFUSING;
    handshake->busy = true;
    handshake->request = (struct io_request){ .done = handshake_sent, .context = handshake };
    io_send(shard->io, &handshake->request, handshake->socket, &handshake->part, 1);
}

/* ---- Judging --------------------------------------------------------------------------------------------------------- */

/* The emptiest shard, or the one asked for; takes a place there. False if there is none. */
static bool place_take(struct handshake *handshake, uint32_t wanted)
{
    struct shard *own = handshake->acceptor->shard;
    uint32_t best = wanted == SHARD_ANY ? 0 : wanted;
    for (uint32_t i = 0; wanted == SHARD_ANY && i < own->shards_count; i++)
        if (atomic_load(&own->neighbours[i]->places_taken) < atomic_load(&own->neighbours[best]->places_taken))
            best = i;
    struct shard *target = own->neighbours[best];
    if (atomic_load(&target->places_taken) >= own->options->connections_max)
        return false;
    atomic_fetch_add(&target->places_taken, 1);
    handshake->target = best;
    return true;
}

static enum status hello_judge(const struct shard *shard, const struct message_header *message)
{
    enum status status = message_check(message);
    if (status != STATUS_OK)
        return status;
    const struct record_header *item = message_item_first(message);
    if (message->operation != OPERATION_HELLO || message->items_count != 1 || item->kind != OPERATION_HELLO)
        return STATUS_HELLO_EXPECTED;
    status = command_check(item, message->size - sizeof *message);
    if (status != STATUS_OK)
        return status;
    const struct hello *hello = (const struct hello *)(const void *)item;
    if (hello->version_min > PROTOCOL_VERSION || hello->version_max < PROTOCOL_VERSION)
        return STATUS_BAD_PROTOCOL_VERSION;
    if (hello->shard != SHARD_ANY && hello->shard >= shard->shards_count)
        return STATUS_NO_SUCH_SHARD;
    return STATUS_OK;
}

/* A message of another size cannot be a HELLO, so it is not waited for. */
static enum status header_judge(const struct message_header *message)
{
    enum status status = message_header_check(message, MESSAGE_SIZE_MAX);
    if (status == STATUS_OK && (message->flags & MESSAGE_REPLY) != 0)
        return STATUS_BAD_MESSAGE;
    if (status == STATUS_OK && message->operation != OPERATION_HELLO)
        return STATUS_HELLO_EXPECTED;
    if (status == STATUS_OK && message->size > HANDSHAKE_BUFFER_SIZE)
        return STATUS_BAD_MESSAGE_SIZE;
    return status;
}

static void handshake_judge(struct handshake *handshake)
{
    const struct message_header *message = (const struct message_header *)(const void *)handshake->bytes;
    if (handshake->used < sizeof *message)
        return;
    enum status status = header_judge(message);
    if (status == STATUS_OK && handshake->used < message->size)
        return;
    if (status == STATUS_OK)
        status = hello_judge(handshake->acceptor->shard, message);
    uint64_t correlation = status == STATUS_BAD_MAGIC ? 0 : message->correlation;
    if (status == STATUS_OK) {
        const struct hello *hello = (const struct hello *)(const void *)message_item_first(message);
        if (place_take(handshake, hello->shard)) {
            handshake->state = HANDSHAKE_READY;
            return;
        }
        status = STATUS_TOO_MANY_CONNECTIONS;
    }
    handshake_refuse(handshake, status, correlation);
}

static void handshake_read(struct handshake *handshake)
{
    bool lingering = handshake->state == HANDSHAKE_LINGERING;
    if (lingering)
        handshake->used = 0; /* nobody reads it */
    handshake->busy = true;
    handshake->request = (struct io_request){ .done = handshake_read_done, .context = handshake };
    io_recv_once(handshake->acceptor->shard->io, &handshake->request, handshake->socket,
                 handshake->bytes + handshake->used, HANDSHAKE_BUFFER_SIZE - handshake->used);
}

static void handshake_hand_over(struct handshake *handshake)
{
    const struct message_header *hello = (const struct message_header *)(const void *)handshake->bytes;
    if (shard_hand_over(handshake->acceptor->shard, handshake->target, handshake->socket, hello->correlation,
                        handshake->bytes + hello->size, handshake->used - hello->size))
        handshake_free(handshake);
}

static void handshake_step(struct handshake *handshake, uint64_t now_ns)
{
    struct shard *shard = handshake->acceptor->shard;
    if (handshake->state == HANDSHAKE_READING && !handshake->busy)
        handshake_judge(handshake);
    bool reads = handshake->state == HANDSHAKE_READING || handshake->state == HANDSHAKE_LINGERING;
    if (reads && !handshake->busy && handshake->expired)
        /* Bytes came before the read could be ended; those that come for ever would keep the place for ever. */
        handshake->state = handshake->state == HANDSHAKE_READING ? HANDSHAKE_EXPIRED : HANDSHAKE_DONE;
    else if (reads && !handshake->busy)
        handshake_read(handshake);
    if (reads && now_ns >= handshake->deadline_ns && !handshake->expired) {
        handshake->expired = true;
        io_cancel(shard->io, &handshake->request); /* comes back as EXPIRED or DONE */
    }
    if (handshake->state == HANDSHAKE_EXPIRED)
        handshake_refuse(handshake, STATUS_IDLE_TOO_LONG, 0);
    if (handshake->state == HANDSHAKE_READY)
        handshake_hand_over(handshake);
    if (handshake->state == HANDSHAKE_DONE && !handshake->busy) {
        io_close_later(shard->io, handshake->socket);
        handshake_free(handshake);
    }
}

static void accept_arm_or_cancel(struct acceptor *acceptor, uint64_t now_ns)
{
    bool places = acceptor->first_free != HANDSHAKES_MAX;
    if (places && !acceptor->armed && !acceptor->stopped && now_ns >= acceptor->pause_until_ns) {
        acceptor->armed = true;
        io_accept(acceptor->shard->io, &acceptor->accept, acceptor->listening_socket);
    } else if (!places && acceptor->armed) {
        io_cancel(acceptor->shard->io, &acceptor->accept);
    }
}

void acceptor_tend(struct acceptor *acceptor, uint64_t now_ns)
{
    for (uint32_t i = 0; i < HANDSHAKES_MAX && acceptor->active > 0; i++)
        if (acceptor->handshakes[i].state != HANDSHAKE_FREE)
            handshake_step(&acceptor->handshakes[i], now_ns);
    while (acceptor->waiting_count > 0 && acceptor->first_free != HANDSHAKES_MAX)
        handshake_step(handshake_begin(acceptor, waiting_pop(acceptor), now_ns), now_ns);
    accept_arm_or_cancel(acceptor, now_ns);
}

bool acceptor_idle(const struct acceptor *acceptor)
{
    return acceptor->active == 0;
}

void acceptor_stop(struct acceptor *acceptor)
{
    acceptor->stopped = true;
    if (acceptor->armed)
        io_cancel(acceptor->shard->io, &acceptor->accept);
    while (acceptor->waiting_count > 0)
        io_close_later(acceptor->shard->io, waiting_pop(acceptor));
    for (uint32_t i = 0; i < HANDSHAKES_MAX; i++) {
        struct handshake *handshake = &acceptor->handshakes[i];
        if (handshake->state != HANDSHAKE_FREE)
            io_shutdown(acceptor->shard->io, handshake->socket); /* its request ends, and then it is freed */
    }
}
