/* The blocking calls: one request at a time, which reconnect and send again by themselves.
 *
 * The happy path: make sure of a connection, send the item, wait for its result. Then the failures:
 *   - the connection is gone before anything was sent: connect again and send; nothing is in doubt;
 *   - it is lost, or says nothing until the time is up, after the item was sent: the item is *unresolved*. The same
 *     bytes go out again (with a mutation's key the server answers what came of the first), after a pause that doubles;
 *   - an answer comes to a later transmission while an earlier one is unresolved: it counts only if it settles the key
 *     (see answer_meaning); else the item stays unresolved and the next transmission follows;
 *   - the time is up: INN_UNKNOWN if unresolved, else INN_NO_ANSWER.
 * After a lost connection the server met must be the same (uuid of its data directory): another one's word on a key is
 * worth nothing. */
#include "net/client/clock.h"
#include "net/client/item.h"
#include "net/client/transport.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WITHIN_DEFAULT_NS ((uint64_t)60 * NS_PER_SECOND)
#define CONNECT_TIMEOUT_DEFAULT_NS ((uint64_t)5 * NS_PER_SECOND)
#define TIMEOUT_DEFAULT_NS ((uint64_t)10 * NS_PER_SECOND)
#define DEADLINE_GRACE_NS ((uint64_t)2 * NS_PER_SECOND) /* to settle a mutation once its deadline is past */
#define PAUSE_FIRST_NS ((uint64_t)10 * NS_PER_MS)
#define PAUSE_MAX_NS NS_PER_SECOND

struct inn_connection {
    struct session session;
    struct server_clock clock;
    struct inn_options options;
    char client[OWNER_SIZE];
    char *address;
    int fd;
    bool uuid_known;
    uint8_t uuid[16];
    struct inn_key lease_session;
    uint64_t last_not_after_ns;
    struct inn_error error;
};

/* One call under way. */
struct call {
    _Alignas(8) uint8_t item[96];
    uint32_t size;
    uint8_t operation;
    bool unresolved;    /* a transmission was sent and not answered */
    bool deadline_ours; /* the library chose not_after_ns, and may choose again */
    uint64_t until_ns;  /* local time */
    uint64_t pause_ns;  /* before the next transmission */
};

/* What one transmission came to. */
enum transmission {
    TRANSMISSION_ANSWERED,
    TRANSMISSION_UNSENT, /* no byte of it left */
    TRANSMISSION_LOST,   /* sent, at least in part, and not answered */
    TRANSMISSION_WRONG,  /* the server cannot be talked to: trying again is of no use */
};

void inn_options_init(struct inn_options *options)
{
    *options = (struct inn_options){
        .within_ns = WITHIN_DEFAULT_NS,
        .connect_timeout_ns = CONNECT_TIMEOUT_DEFAULT_NS,
        .shard = INN_SHARD_ANY,
        .retry = 1,
        .client = "",
    };
}

/* ---- The connection ---------------------------------------------------------------------------------------------- */

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void connection_drop(struct inn_connection *c, const char *why)
{
    session_close(&c->session, INN_CLOSED, why);
    struct inn_completion rest;
    while (session_next(&c->session, &rest) == 1)
        continue;
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

static void observe_log_time(struct inn_connection *c)
{
    server_clock_observe(&c->clock, c->session.log_time_ns, clock_now());
}

/* Sends and receives once. */
static void exchange(struct inn_connection *c, uint64_t until_ns)
{
    const uint8_t *bytes = NULL;
    transport_send(c->fd, &c->session);
    uint64_t now = clock_now();
    if (c->session.state == SESSION_CLOSED || now >= until_ns)
        return;
    transport_wait(c->fd, session_output(&c->session, &bytes) > 0, until_ns - now);
    transport_receive(c->fd, &c->session);
}

static int await_hello(struct inn_connection *c, uint64_t until_ns)
{
    struct session *session = &c->session;
    struct inn_completion none;
    while (session->state == SESSION_GREETING && clock_now() < until_ns) {
        exchange(c, until_ns);
        (void)session_next(session, &none);
    }
    if (session->state == SESSION_GREETING)
        return error_set(&c->error, INN_NO_ANSWER,
                         "no answer from %.120s in time; is that an innkeepd, and is it running?", c->address);
    if (session->state == SESSION_READY)
        return INN_OK;
    int verdict = session->verdict == INN_CLOSED ? INN_NO_ANSWER : session->verdict;
    return error_set(&c->error, verdict, "%.120s: %.110s", c->address, session->error);
}

/* INN_OK if the server is the one this connection was opened to. */
static int check_uuid(struct inn_connection *c)
{
    if (c->uuid_known && memcmp(c->uuid, c->session.hello.uuid, sizeof c->uuid) != 0)
        return error_set(
            &c->error, INN_PROTOCOL_ERROR,
            "the server now at %.120s serves another data directory: its word on earlier requests is worth "
            "nothing",
            c->address);
    memcpy(c->uuid, c->session.hello.uuid, sizeof c->uuid);
    c->uuid_known = true;
    return INN_OK;
}

static int connection_open(struct inn_connection *c, uint64_t until_ns)
{
    connection_drop(c, "");
    until_ns = min_u64(until_ns, clock_now() + c->options.connect_timeout_ns);
    int verdict = transport_connect(c->address, until_ns, &c->fd, &c->error);
    if (verdict != INN_OK)
        return verdict;
    session_start(&c->session, c->options.shard, c->client);
    verdict = await_hello(c, until_ns);
    if (verdict == INN_OK)
        verdict = check_uuid(c);
    if (verdict == INN_OK)
        server_clock_start(&c->clock, c->session.hello.server_time_ns, c->session.log_time_ns, clock_now());
    else
        connection_drop(c, "");
    return verdict;
}

static int connection_init(struct inn_connection *c, const char *address, const struct inn_options *options)
{
    struct session_options session_options = {
        .messages_max = 4,
        .batch_max = 1,
        .send_bytes = 4 * KIB,
        .receive_bytes = SESSION_RECEIVE_BYTES_MIN,
    };
    c->fd = -1;
    c->options = *options;
    memcpy(c->client, options->client, strlen(options->client));
    c->options.client = NULL;
    c->lease_session = inn_key_random();
    c->address = strdup(address);
    if (c->address == NULL || session_init(&c->session, &session_options) != 0)
        return error_set(&c->error, INN_NO_MEMORY, "out of memory");
    return INN_OK;
}

int inn_connect(struct inn_connection **connection, const char *address, const struct inn_options *options,
                struct inn_error *error)
{
    *connection = NULL;
    struct inn_options defaults;
    inn_options_init(&defaults);
    if (options == NULL)
        options = &defaults;
    if (options->client == NULL || strlen(options->client) > OWNER_SIZE)
        return error_set(error, INN_BAD_ARGUMENT, "the client's name has more than %d bytes", OWNER_SIZE);
    struct inn_connection *c = calloc(1, sizeof *c);
    if (c == NULL)
        return error_set(error, INN_NO_MEMORY, "out of memory");
    int verdict = connection_init(c, address, options);
    if (verdict == INN_OK)
        verdict = connection_open(c, UINT64_MAX);
    if (verdict == INN_OK) {
        *connection = c;
        return INN_OK;
    }
    if (error != NULL)
        *error = c->error;
    inn_close(c);
    return verdict;
}

void inn_close(struct inn_connection *connection)
{
    if (connection == NULL)
        return;
    if (connection->fd >= 0)
        close(connection->fd);
    session_free(&connection->session);
    free(connection->address);
    free(connection);
}

const char *inn_last_error(const struct inn_connection *connection)
{
    return connection->error.text;
}

const struct inn_hello_result *inn_hello(const struct inn_connection *connection)
{
    return (const struct inn_hello_result *)(const void *)&connection->session.hello;
}

struct inn_key inn_session(const struct inn_connection *connection)
{
    return connection->lease_session;
}

uint64_t inn_server_time(const struct inn_connection *connection)
{
    return server_clock_at(&connection->clock, clock_now());
}

uint64_t inn_last_not_after(const struct inn_connection *connection)
{
    return connection->last_not_after_ns;
}

/* ---- One transmission -------------------------------------------------------------------------------------------- */

static enum transmission transmission_of_failure(int verdict)
{
    bool may_pass = verdict == INN_NO_ANSWER || verdict == INN_OVERLOADED || verdict == INN_SHUTTING_DOWN ||
                    verdict == INN_TOO_MANY_CONNECTIONS || verdict == INN_IDLE_TOO_LONG;
    return may_pass ? TRANSMISSION_UNSENT : TRANSMISSION_WRONG;
}

/* A connection left alone for a while may have been closed by the server: better known before anything is sent. */
static enum transmission ensure_connection(struct inn_connection *c, uint64_t until_ns)
{
    if (c->session.state == SESSION_READY) {
        struct inn_completion none;
        transport_receive(c->fd, &c->session);
        (void)session_next(&c->session, &none);
    }
    if (c->session.state == SESSION_READY)
        return TRANSMISSION_ANSWERED;
    int verdict = connection_open(c, until_ns);
    return verdict == INN_OK ? TRANSMISSION_ANSWERED : transmission_of_failure(verdict);
}

static enum transmission await_answer(struct inn_connection *c, const struct call *call, struct inn_completion *answer)
{
    struct session *session = &c->session;
    while (session_next(session, answer) == 0) {
        if (clock_now() >= call->until_ns)
            session_close(session, INN_CLOSED, "no answer in time");
        else
            exchange(c, call->until_ns);
    }
    observe_log_time(c);
    if (answer->result != NULL)
        return TRANSMISSION_ANSWERED;
    (void)error_set(&c->error, session->verdict == INN_PROTOCOL_ERROR ? INN_PROTOCOL_ERROR : INN_NO_ANSWER,
                    "%.120s: %.110s", c->address, session->error);
    return TRANSMISSION_LOST;
}

static enum transmission transmit(struct inn_connection *c, const struct call *call, struct inn_completion *answer)
{
    enum transmission state = ensure_connection(c, call->until_ns);
    if (state != TRANSMISSION_ANSWERED)
        return state;
    void *item = session_submit(&c->session, call->operation, call->size, 0);
    ENSURE(item != NULL);
    memcpy(item, call->item, call->size);
    session_seal(&c->session);
    uint64_t sent_before = c->session.sent_bytes;
    state = await_answer(c, call, answer);
    if (state == TRANSMISSION_ANSWERED)
        return state;
    bool sent = c->session.sent_bytes > sent_before;
    connection_drop(c, "");
    return sent ? TRANSMISSION_LOST : TRANSMISSION_UNSENT;
}

/* ---- Until it is answered ---------------------------------------------------------------------------------------- */

/* What an answer to one transmission says of a key that was sent before and not answered. */
enum meaning {
    MEANING_SETTLED, /* it holds for the key */
    MEANING_PASSING, /* it speaks of this transmission; another one may be let in */
    MEANING_NOTHING, /* what came of the key is not kept any more: no transmission will tell */
};

/* A key is looked up before anything else, so whatever the engine decided holds: nothing had come of the key by then,
 * and the same would be decided later. Not so where the request was turned away for reasons that pass. */
static enum meaning answer_meaning(uint8_t operation, int status)
{
    switch (status) {
    case INN_OVERLOADED:
    case INN_DISK_FULL:
    case INN_SHUTTING_DOWN:
    case INN_LIMIT_REACHED:
    case INN_DEADLINE_TOO_FAR:
    case INN_TOKEN_UNKNOWN:
        return MEANING_PASSING;
    case INN_SUPERSEDED:
        return MEANING_NOTHING;
    case INN_TOO_LATE:
        /* A reservation outlives its deadline. Other outcomes need not: they may have been kept until then. */
        return operation == OPERATION_RESERVE ? MEANING_SETTLED : MEANING_NOTHING;
    default:
        return MEANING_SETTLED;
    }
}

static bool operation_is_mutation(uint8_t operation)
{
    return operation < OPERATION_LEASE_ACQUIRE;
}

static struct mutation *call_mutation(struct call *call)
{
    REQUIRE(operation_is_mutation(call->operation));
    return (struct mutation *)(void *)call->item;
}

/* The server's clock has jumped ahead of what was known of it, so the deadline was past before the item came: with the
 * log time that the answer carries there is another try. */
static bool call_moves_deadline(struct inn_connection *c, struct call *call, int status)
{
    if (status != INN_TOO_LATE || !call->deadline_ours || call->unresolved)
        return false;
    call->deadline_ours = false;
    c->last_not_after_ns = inn_server_time(c) + c->options.within_ns;
    call_mutation(call)->not_after_ns = c->last_not_after_ns;
    return true;
}

/* False once the time is up. */
static bool pause_before_next(struct call *call)
{
    uint64_t now = clock_now();
    if (now >= call->until_ns)
        return false;
    uint64_t pause_ns = min_u64(call->pause_ns, call->until_ns - now);
    struct timespec t = { .tv_sec = (time_t)(pause_ns / NS_PER_SECOND), .tv_nsec = (long)(pause_ns % NS_PER_SECOND) };
    (void)nanosleep(&t, NULL);
    call->pause_ns = min_u64(call->pause_ns * 2, PAUSE_MAX_NS);
    return clock_now() < call->until_ns;
}

static int call_gave_up(struct inn_connection *c, const struct call *call, enum transmission last)
{
    if (call->unresolved)
        return c->error.verdict = INN_UNKNOWN;
    if (last == TRANSMISSION_WRONG || c->error.verdict == INN_PROTOCOL_ERROR)
        return c->error.verdict;
    return c->error.verdict = INN_NO_ANSWER;
}

/* True if the answer ends the call, with *verdict. */
static bool call_is_answered(struct inn_connection *c, const struct call *call, const struct inn_completion *answer,
                             int *verdict)
{
    *verdict = answer->verdict;
    if (!call->unresolved)
        return true;
    enum meaning meaning = answer_meaning(call->operation, answer->verdict);
    if (meaning == MEANING_SETTLED)
        return true;
    *verdict = error_set(&c->error, INN_UNKNOWN, "an earlier transmission was not answered, and the last one got %s",
                         inn_verdict_name(answer->verdict));
    return meaning == MEANING_NOTHING;
}

/* Runs the call to its end; the verdict, with *answer where that is INN_OK or a refusal. */
static int call_run(struct inn_connection *c, struct call *call, struct inn_completion *answer)
{
    int verdict;
    call->pause_ns = PAUSE_FIRST_NS;
    for (;;) {
        c->error = (struct inn_error){ .verdict = INN_OK };
        enum transmission state = transmit(c, call, answer);
        if (state == TRANSMISSION_ANSWERED && call_moves_deadline(c, call, answer->verdict))
            continue;
        if (state == TRANSMISSION_ANSWERED && call_is_answered(c, call, answer, &verdict))
            return verdict;
        if (state == TRANSMISSION_LOST && session_operation_changes(call->operation))
            call->unresolved = true;
        if (c->options.retry == 0 || state == TRANSMISSION_WRONG || !pause_before_next(call))
            return call_gave_up(c, call, state);
    }
}

static void call_begin(struct inn_connection *c, struct call *call, uint8_t operation, size_t size)
{
    REQUIRE(size <= sizeof call->item);
    call->size = (uint32_t)size;
    call->operation = operation;
    call->unresolved = false;
    call->deadline_ours = false;
    uint64_t timeout_ns = c->options.timeout_ns != 0 ? c->options.timeout_ns : TIMEOUT_DEFAULT_NS;
    call->until_ns = clock_now() + timeout_ns;
}

/* Copies as much of the result as there is, zeroes the rest. */
static void result_copy(void *to, size_t size, const struct inn_completion *answer, int verdict)
{
    if (to == NULL)
        return;
    memset(to, 0, size);
    if (verdict >= 0 && answer->result != NULL)
        memcpy(to, answer->result, answer->result->size < size ? answer->result->size : size);
}

static int call_finish(struct inn_connection *c, struct call *call, void *result, size_t result_size)
{
    struct inn_completion answer = { .result = NULL };
    int verdict = call_run(c, call, &answer);
    result_copy(result, result_size, &answer, verdict);
    return verdict;
}

/* ---- Mutations --------------------------------------------------------------------------------------------------- */

/* The deadline for a mutation that begins now. */
static uint64_t deadline_of(const struct inn_connection *c, const struct inn_mutation *asked)
{
    return asked->not_after_ns != 0 ? asked->not_after_ns : inn_server_time(c) + c->options.within_ns;
}

static int call_mutation_finish(struct inn_connection *c, struct call *call, const struct inn_mutation *asked,
                                struct inn_mutation_result *result)
{
    const struct mutation *mutation = call_mutation(call);
    call_begin(c, call, mutation->header.kind, mutation->header.size);
    call->deadline_ours = asked->not_after_ns == 0;
    c->last_not_after_ns = mutation->not_after_ns;
    if (c->options.timeout_ns == 0) {
        uint64_t now = inn_server_time(c);
        uint64_t left_ns = mutation->not_after_ns > now ? mutation->not_after_ns - now : 0;
        uint64_t within_ns = min_u64(left_ns, (uint64_t)24 * NS_PER_HOUR) + DEADLINE_GRACE_NS;
        call->until_ns = clock_now() + within_ns;
    }
    return call_finish(c, call, result, sizeof *result);
}

int inn_property_create(struct inn_connection *connection, const struct inn_property_create_request *request,
                        struct inn_mutation_result *result)
{
    struct call call = { .operation = OPERATION_PROPERTY_CREATE };
    item_property_create((struct property_create *)(void *)call.item, request,
                         deadline_of(connection, &request->mutation));
    return call_mutation_finish(connection, &call, &request->mutation, result);
}

int inn_room_type_create(struct inn_connection *connection, const struct inn_room_type_create_request *request,
                         struct inn_mutation_result *result)
{
    struct call call = { .operation = OPERATION_ROOM_TYPE_CREATE };
    item_room_type_create((struct room_type_create *)(void *)call.item, request,
                          deadline_of(connection, &request->mutation));
    return call_mutation_finish(connection, &call, &request->mutation, result);
}

int inn_rooms_set(struct inn_connection *connection, const struct inn_rooms_set_request *request,
                  struct inn_mutation_result *result)
{
    struct call call = { .operation = OPERATION_ROOMS_SET };
    item_rooms_set((struct rooms_set *)(void *)call.item, request, deadline_of(connection, &request->mutation));
    return call_mutation_finish(connection, &call, &request->mutation, result);
}

int inn_reserve(struct inn_connection *connection, const struct inn_reserve_request *request,
                struct inn_mutation_result *result)
{
    struct call call = { .operation = OPERATION_RESERVE };
    item_reserve((struct reserve *)(void *)call.item, request, deadline_of(connection, &request->mutation));
    return call_mutation_finish(connection, &call, &request->mutation, result);
}

static int change(struct inn_connection *c, enum operation operation, const struct inn_change_request *request,
                  struct inn_mutation_result *result)
{
    struct call call = { .operation = (uint8_t)operation };
    item_change((struct reservation_change *)(void *)call.item, operation, request, deadline_of(c, &request->mutation));
    return call_mutation_finish(c, &call, &request->mutation, result);
}

int inn_confirm(struct inn_connection *connection, const struct inn_change_request *request,
                struct inn_mutation_result *result)
{
    return change(connection, OPERATION_CONFIRM, request, result);
}

int inn_release(struct inn_connection *connection, const struct inn_change_request *request,
                struct inn_mutation_result *result)
{
    return change(connection, OPERATION_RELEASE, request, result);
}

int inn_cancel(struct inn_connection *connection, const struct inn_change_request *request,
               struct inn_mutation_result *result)
{
    return change(connection, OPERATION_CANCEL, request, result);
}

/* ---- Leases ------------------------------------------------------------------------------------------------------ */

int inn_lease_acquire(struct inn_connection *connection, const struct inn_lease_acquire_request *request,
                      struct inn_lease_result *result)
{
    struct call call;
    struct lease_acquire item;
    call_begin(connection, &call, OPERATION_LEASE_ACQUIRE, sizeof item);
    if (!item_lease_acquire(&item, request, connection->lease_session))
        return error_set(&connection->error, INN_BAD_ARGUMENT, "an owner has at most %d bytes", OWNER_SIZE);
    memcpy(call.item, &item, sizeof item);
    return call_finish(connection, &call, result, sizeof *result);
}

int inn_lease_renew(struct inn_connection *connection, const struct inn_lease_request *request,
                    struct inn_lease_result *result)
{
    struct call call;
    call_begin(connection, &call, OPERATION_LEASE_RENEW, sizeof(struct lease_renew));
    item_lease_renew((struct lease_renew *)(void *)call.item, request);
    return call_finish(connection, &call, result, sizeof *result);
}

int inn_lease_release(struct inn_connection *connection, const struct inn_lease_request *request,
                      struct inn_lease_result *result)
{
    struct call call;
    call_begin(connection, &call, OPERATION_LEASE_RELEASE, sizeof(struct lease_release));
    item_lease_release((struct lease_release *)(void *)call.item, request);
    return call_finish(connection, &call, result, sizeof *result);
}

int inn_lease_show(struct inn_connection *connection, const struct inn_lease_request *request,
                   struct inn_lease_result *result)
{
    struct call call;
    call_begin(connection, &call, OPERATION_LEASE_SHOW, sizeof(struct lease_show));
    item_lease_show((struct lease_show *)(void *)call.item, request);
    return call_finish(connection, &call, result, sizeof *result);
}

/* ---- Questions --------------------------------------------------------------------------------------------------- */

int inn_lookup(struct inn_connection *connection, uint64_t property, struct inn_key key,
               struct inn_lookup_result *result)
{
    struct call call;
    call_begin(connection, &call, OPERATION_LOOKUP, sizeof(struct lookup));
    item_lookup((struct lookup *)(void *)call.item, property, key);
    return call_finish(connection, &call, result, sizeof *result);
}

int inn_calendar(struct inn_connection *connection, const struct inn_calendar_request *request,
                 const struct inn_calendar_result **result)
{
    struct call call;
    call_begin(connection, &call, OPERATION_CALENDAR, sizeof(struct calendar));
    item_calendar((struct calendar *)(void *)call.item, request);
    struct inn_completion answer = { .result = NULL };
    int verdict = call_run(connection, &call, &answer);
    *result = verdict >= 0 ? (const struct inn_calendar_result *)(const void *)answer.result : NULL;
    return verdict;
}

static int barrier(struct inn_connection *c, uint64_t property, bool by_shard, struct inn_barrier_result *result)
{
    struct call call;
    call_begin(c, &call, OPERATION_BARRIER, sizeof(struct barrier));
    item_barrier((struct barrier *)(void *)call.item, property, by_shard);
    return call_finish(c, &call, result, sizeof *result);
}

int inn_barrier(struct inn_connection *connection, uint64_t property, struct inn_barrier_result *result)
{
    return barrier(connection, property, false, result);
}

int inn_barrier_shard(struct inn_connection *connection, uint32_t shard, struct inn_barrier_result *result)
{
    return barrier(connection, shard, true, result);
}

int inn_raise_level(struct inn_connection *connection, uint32_t shard, uint32_t level, struct inn_level_result *result)
{
    struct call call;
    call_begin(connection, &call, OPERATION_RAISE_LEVEL, sizeof(struct raise_level));
    item_raise_level((struct raise_level *)(void *)call.item, shard, level);
    return call_finish(connection, &call, result, sizeof *result);
}

int inn_status(struct inn_connection *connection, uint32_t shard, int with_hash, struct inn_status_result *result)
{
    struct call call;
    call_begin(connection, &call, OPERATION_STATUS, sizeof(struct status_query));
    item_status((struct status_query *)(void *)call.item, shard, with_hash != 0);
    return call_finish(connection, &call, result, sizeof *result);
}

int inn_snapshot(struct inn_connection *connection, uint32_t shard, int take, uint64_t keep_ns,
                 struct inn_snapshot_result *result)
{
    struct call call;
    call_begin(connection, &call, OPERATION_SNAPSHOT, sizeof(struct snapshot_request));
    item_snapshot((struct snapshot_request *)(void *)call.item, shard, take != 0, keep_ns);
    return call_finish(connection, &call, result, sizeof *result);
}

/* ---- What came of it --------------------------------------------------------------------------------------------- */

static int resolution_of_unknown_key(unsigned operation, bool deadline_past)
{
    if (!deadline_past)
        return INN_RESOLUTION_OPEN;
    return operation == INN_RESERVE ? INN_RESOLUTION_NEVER : INN_RESOLUTION_FORGOTTEN;
}

int inn_resolve(struct inn_connection *connection, uint64_t property, struct inn_key key, unsigned operation,
                uint64_t not_after_ns, struct inn_resolution *resolution)
{
    memset(resolution, 0, sizeof *resolution);
    struct inn_barrier_result tick;
    int verdict = inn_barrier(connection, property, &tick);
    if (verdict != INN_OK)
        return verdict;
    struct inn_lookup_result found;
    verdict = inn_lookup(connection, property, key, &found);
    if (verdict != INN_OK && verdict != INN_NO_SUCH_KEY)
        return verdict;
    /* The look-up came after the barrier: nothing that the barrier found to be too late can have come between. */
    resolution->log_time_ns = tick.header.log_time_ns;
    if (verdict == INN_NO_SUCH_KEY) {
        resolution->state = resolution_of_unknown_key(operation, tick.header.log_time_ns > not_after_ns);
        return INN_OK;
    }
    resolution->lookup = found;
    bool effective = found.what == INN_LOOKUP_RESERVATION || found.outcome_status == INN_OK;
    resolution->state = effective ? INN_RESOLUTION_EFFECTIVE : INN_RESOLUTION_REFUSED;
    resolution->status = effective ? INN_OK : found.outcome_status;
    return INN_OK;
}
