/* The non-blocking interface: a session, a socket, and a clock that is read once a pump rather than once a request.
 *
 * What it costs is one copy of the request into the send buffer, one checksum a message, and one system call for as
 * many messages as are ready; the answers are read where they were received. */
#include "net/client/clock.h"
#include "net/client/item.h"
#include "net/client/transport.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define WITHIN_DEFAULT_NS ((uint64_t)60 * NS_PER_SECOND)
#define CONNECT_TIMEOUT_DEFAULT_NS ((uint64_t)5 * NS_PER_SECOND)
#define ITEMS_UNDER_WAY_MAX ((uint64_t)1 << 24)

struct inn_pipeline {
    struct session session;
    struct server_clock clock;
    uint64_t server_time_ns; /* at the last look at the clock */
    uint64_t within_ns;
    struct inn_key lease_session;
    int fd;
};

void inn_pipeline_options_init(struct inn_pipeline_options *options)
{
    *options = (struct inn_pipeline_options){
        .batch_max = 1,
        .messages_max = 1024,
        .shard = INN_SHARD_ANY,
        .send_bytes = 256 * KIB,
        .receive_bytes = MIB,
        .within_ns = WITHIN_DEFAULT_NS,
        .connect_timeout_ns = CONNECT_TIMEOUT_DEFAULT_NS,
        .client = "",
    };
}

static bool options_valid(const struct inn_pipeline_options *o)
{
    return o->batch_max >= 1 && o->batch_max <= MESSAGE_ITEMS_MAX && o->messages_max >= 1 && o->messages_max <= 65536 &&
           (uint64_t)o->batch_max * o->messages_max <= ITEMS_UNDER_WAY_MAX && o->send_bytes >= SESSION_SEND_BYTES_MIN &&
           o->receive_bytes >= SESSION_RECEIVE_BYTES_MIN && o->receive_bytes <= UINT32_MAX && o->client != NULL &&
           strlen(o->client) <= OWNER_SIZE;
}

/* ---- Time and bytes ---------------------------------------------------------------------------------------------- */

static void look_at_clock(struct inn_pipeline *pipeline)
{
    uint64_t now = clock_now();
    server_clock_observe(&pipeline->clock, pipeline->session.log_time_ns, now);
    pipeline->server_time_ns = server_clock_at(&pipeline->clock, now);
}

static void drop_socket_if_closed(struct inn_pipeline *pipeline)
{
    if (pipeline->session.state != SESSION_CLOSED || pipeline->fd < 0)
        return;
    close(pipeline->fd);
    pipeline->fd = -1;
}

static int state_verdict(struct inn_pipeline *pipeline)
{
    drop_socket_if_closed(pipeline);
    return pipeline->session.state == SESSION_CLOSED ? INN_CLOSED : INN_OK;
}

int inn_pipeline_flush(struct inn_pipeline *pipeline)
{
    if (pipeline->session.state == SESSION_CLOSED)
        return state_verdict(pipeline);
    look_at_clock(pipeline);
    session_seal(&pipeline->session);
    transport_send(pipeline->fd, &pipeline->session);
    return state_verdict(pipeline);
}

int inn_on_writable(struct inn_pipeline *pipeline)
{
    if (pipeline->session.state != SESSION_CLOSED)
        transport_send(pipeline->fd, &pipeline->session);
    return state_verdict(pipeline);
}

int inn_on_readable(struct inn_pipeline *pipeline)
{
    if (pipeline->session.state != SESSION_CLOSED && !session_has_next(&pipeline->session)) {
        transport_receive(pipeline->fd, &pipeline->session);
        look_at_clock(pipeline);
    }
    return state_verdict(pipeline);
}

int inn_pump(struct inn_pipeline *pipeline, int timeout_ms)
{
    if (inn_pipeline_flush(pipeline) != INN_OK)
        return INN_CLOSED;
    if (session_has_next(&pipeline->session))
        return INN_OK;
    /* An answer is often there already: a receive that finds it costs one system call, a wait before it two. */
    if (inn_on_readable(pipeline) != INN_OK)
        return INN_CLOSED;
    if (timeout_ms == 0 || session_has_next(&pipeline->session))
        return INN_OK;
    uint64_t timeout_ns = timeout_ms < 0 ? UINT64_MAX : (uint64_t)timeout_ms * NS_PER_MS;
    transport_wait(pipeline->fd, inn_want_write(pipeline), timeout_ns);
    if (inn_want_write(pipeline) && inn_on_writable(pipeline) != INN_OK)
        return INN_CLOSED;
    return inn_on_readable(pipeline);
}

int inn_fd(const struct inn_pipeline *pipeline)
{
    return pipeline->fd;
}

int inn_want_write(const struct inn_pipeline *pipeline)
{
    const uint8_t *bytes = NULL;
    return session_output(&pipeline->session, &bytes) > 0;
}

/* ---- Opening and closing ----------------------------------------------------------------------------------------- */

static int await_hello(struct inn_pipeline *pipeline, const char *address, uint64_t until_ns, struct inn_error *error)
{
    struct session *session = &pipeline->session;
    struct inn_completion none;
    while (session->state == SESSION_GREETING) {
        uint64_t now = clock_now();
        if (now >= until_ns)
            return error_set(error, INN_NO_ANSWER,
                             "no answer from %.120s in time; is that an innkeepd, and is it running?", address);
        transport_send(pipeline->fd, session);
        transport_wait(pipeline->fd, inn_want_write(pipeline), until_ns - now);
        transport_receive(pipeline->fd, session);
        (void)session_next(session, &none);
    }
    if (session->state == SESSION_READY)
        return INN_OK;
    int verdict = session->verdict == INN_CLOSED ? INN_NO_ANSWER : session->verdict;
    return error_set(error, verdict, "%.120s: %s", address, session->error);
}

static int pipeline_begin(struct inn_pipeline *pipeline, const char *address,
                          const struct inn_pipeline_options *options, struct inn_error *error)
{
    uint64_t until_ns = clock_now() + options->connect_timeout_ns;
    int verdict = transport_connect(address, until_ns, &pipeline->fd, error);
    if (verdict != INN_OK)
        return verdict;
    char client[OWNER_SIZE] = { 0 };
    memcpy(client, options->client, strlen(options->client));
    session_start(&pipeline->session, options->shard, client);
    verdict = await_hello(pipeline, address, until_ns, error);
    if (verdict != INN_OK)
        return verdict;
    const struct session *session = &pipeline->session;
    server_clock_start(&pipeline->clock, session->hello.server_time_ns, session->log_time_ns, clock_now());
    look_at_clock(pipeline);
    return INN_OK;
}

int inn_pipeline_open(struct inn_pipeline **pipeline, const char *address, const struct inn_pipeline_options *options,
                      struct inn_error *error)
{
    *pipeline = NULL;
    struct inn_pipeline_options defaults;
    inn_pipeline_options_init(&defaults);
    if (options == NULL)
        options = &defaults;
    if (!options_valid(options))
        return error_set(error, INN_BAD_ARGUMENT, "a pipeline option lies outside its bounds");
    struct inn_pipeline *made = calloc(1, sizeof *made);
    if (made == NULL)
        return error_set(error, INN_NO_MEMORY, "out of memory");
    made->fd = -1;
    made->within_ns = options->within_ns;
    made->lease_session = inn_key_random();
    struct session_options session_options = {
        .messages_max = options->messages_max,
        .batch_max = options->batch_max,
        .send_bytes = align_up(options->send_bytes, MESSAGE_ALIGNMENT),
        .receive_bytes = align_up(options->receive_bytes, MESSAGE_ALIGNMENT),
    };
    int verdict = session_init(&made->session, &session_options) == 0
                      ? pipeline_begin(made, address, options, error)
                      : error_set(error, INN_NO_MEMORY, "out of memory");
    if (verdict != INN_OK)
        inn_pipeline_close(made);
    else
        *pipeline = made;
    return verdict;
}

void inn_pipeline_close(struct inn_pipeline *pipeline)
{
    if (pipeline == NULL)
        return;
    if (pipeline->fd >= 0)
        close(pipeline->fd);
    session_free(&pipeline->session);
    free(pipeline);
}

const struct inn_hello_result *inn_pipeline_hello(const struct inn_pipeline *pipeline)
{
    return (const struct inn_hello_result *)(const void *)&pipeline->session.hello;
}

uint64_t inn_pipeline_time(const struct inn_pipeline *pipeline)
{
    return pipeline->server_time_ns;
}

const char *inn_pipeline_error(const struct inn_pipeline *pipeline)
{
    return pipeline->session.error;
}

/* ---- Submitting -------------------------------------------------------------------------------------------------- */

static uint64_t deadline_of(const struct inn_pipeline *pipeline)
{
    return pipeline->server_time_ns + pipeline->within_ns;
}

/* Room for the item, or NULL with *verdict set. */
static void *item_begin(struct inn_pipeline *pipeline, uint8_t operation, size_t size, uint64_t user, int *verdict)
{
    *verdict = INN_CLOSED;
    if (pipeline->session.state != SESSION_READY)
        return NULL;
    void *item = session_submit(&pipeline->session, operation, (uint32_t)size, user);
    *verdict = item != NULL ? INN_OK : INN_FULL;
    return item;
}

int inn_pipeline_property_create(struct inn_pipeline *pipeline, const struct inn_property_create_request *request,
                                 uint64_t user)
{
    int verdict;
    struct property_create *item = item_begin(pipeline, OPERATION_PROPERTY_CREATE, sizeof *item, user, &verdict);
    if (item != NULL)
        item_property_create(item, request, deadline_of(pipeline));
    return verdict;
}

int inn_pipeline_room_type_create(struct inn_pipeline *pipeline, const struct inn_room_type_create_request *request,
                                  uint64_t user)
{
    int verdict;
    struct room_type_create *item = item_begin(pipeline, OPERATION_ROOM_TYPE_CREATE, sizeof *item, user, &verdict);
    if (item != NULL)
        item_room_type_create(item, request, deadline_of(pipeline));
    return verdict;
}

int inn_pipeline_rooms_set(struct inn_pipeline *pipeline, const struct inn_rooms_set_request *request, uint64_t user)
{
    int verdict;
    struct rooms_set *item = item_begin(pipeline, OPERATION_ROOMS_SET, sizeof *item, user, &verdict);
    if (item != NULL)
        item_rooms_set(item, request, deadline_of(pipeline));
    return verdict;
}

int inn_pipeline_reserve(struct inn_pipeline *pipeline, const struct inn_reserve_request *request, uint64_t user)
{
    int verdict;
    struct reserve *item = item_begin(pipeline, OPERATION_RESERVE, sizeof *item, user, &verdict);
    if (item != NULL)
        item_reserve(item, request, deadline_of(pipeline));
    return verdict;
}

static int pipeline_change(struct inn_pipeline *pipeline, enum operation operation,
                           const struct inn_change_request *request, uint64_t user)
{
    int verdict;
    struct reservation_change *item = item_begin(pipeline, (uint8_t)operation, sizeof *item, user, &verdict);
    if (item != NULL)
        item_change(item, operation, request, deadline_of(pipeline));
    return verdict;
}

int inn_pipeline_confirm(struct inn_pipeline *pipeline, const struct inn_change_request *request, uint64_t user)
{
    return pipeline_change(pipeline, OPERATION_CONFIRM, request, user);
}

int inn_pipeline_release(struct inn_pipeline *pipeline, const struct inn_change_request *request, uint64_t user)
{
    return pipeline_change(pipeline, OPERATION_RELEASE, request, user);
}

int inn_pipeline_cancel(struct inn_pipeline *pipeline, const struct inn_change_request *request, uint64_t user)
{
    return pipeline_change(pipeline, OPERATION_CANCEL, request, user);
}

int inn_pipeline_lease_acquire(struct inn_pipeline *pipeline, const struct inn_lease_acquire_request *request,
                               uint64_t user)
{
    struct lease_acquire built;
    if (!item_lease_acquire(&built, request, pipeline->lease_session))
        return INN_BAD_ARGUMENT;
    int verdict;
    struct lease_acquire *item = item_begin(pipeline, OPERATION_LEASE_ACQUIRE, sizeof *item, user, &verdict);
    if (item != NULL)
        *item = built;
    return verdict;
}

int inn_pipeline_lease_renew(struct inn_pipeline *pipeline, const struct inn_lease_request *request, uint64_t user)
{
    int verdict;
    struct lease_renew *item = item_begin(pipeline, OPERATION_LEASE_RENEW, sizeof *item, user, &verdict);
    if (item != NULL)
        item_lease_renew(item, request);
    return verdict;
}

int inn_pipeline_lease_release(struct inn_pipeline *pipeline, const struct inn_lease_request *request, uint64_t user)
{
    int verdict;
    struct lease_release *item = item_begin(pipeline, OPERATION_LEASE_RELEASE, sizeof *item, user, &verdict);
    if (item != NULL)
        item_lease_release(item, request);
    return verdict;
}

int inn_pipeline_lease_show(struct inn_pipeline *pipeline, const struct inn_lease_request *request, uint64_t user)
{
    int verdict;
    struct lease_show *item = item_begin(pipeline, OPERATION_LEASE_SHOW, sizeof *item, user, &verdict);
    if (item != NULL)
        item_lease_show(item, request);
    return verdict;
}

int inn_pipeline_lookup(struct inn_pipeline *pipeline, uint64_t property, struct inn_key key, uint64_t user)
{
    int verdict;
    struct lookup *item = item_begin(pipeline, OPERATION_LOOKUP, sizeof *item, user, &verdict);
    if (item != NULL)
        item_lookup(item, property, key);
    return verdict;
}

int inn_pipeline_calendar(struct inn_pipeline *pipeline, const struct inn_calendar_request *request, uint64_t user)
{
    int verdict;
    struct calendar *item = item_begin(pipeline, OPERATION_CALENDAR, sizeof *item, user, &verdict);
    if (item != NULL)
        item_calendar(item, request);
    return verdict;
}

static int pipeline_barrier(struct inn_pipeline *pipeline, uint64_t property, bool by_shard, uint64_t user)
{
    int verdict;
    struct barrier *item = item_begin(pipeline, OPERATION_BARRIER, sizeof *item, user, &verdict);
    if (item != NULL)
        item_barrier(item, property, by_shard);
    return verdict;
}

int inn_pipeline_barrier(struct inn_pipeline *pipeline, uint64_t property, uint64_t user)
{
    return pipeline_barrier(pipeline, property, false, user);
}

int inn_pipeline_barrier_shard(struct inn_pipeline *pipeline, uint32_t shard, uint64_t user)
{
    return pipeline_barrier(pipeline, shard, true, user);
}

int inn_pipeline_raise_level(struct inn_pipeline *pipeline, uint32_t shard, uint32_t level, uint64_t user)
{
    int verdict;
    struct raise_level *item = item_begin(pipeline, OPERATION_RAISE_LEVEL, sizeof *item, user, &verdict);
    if (item != NULL)
        item_raise_level(item, shard, level);
    return verdict;
}

int inn_pipeline_status(struct inn_pipeline *pipeline, uint32_t shard, int with_hash, uint64_t user)
{
    int verdict;
    struct status_query *item = item_begin(pipeline, OPERATION_STATUS, sizeof *item, user, &verdict);
    if (item != NULL)
        item_status(item, shard, with_hash != 0);
    return verdict;
}

int inn_pipeline_snapshot(struct inn_pipeline *pipeline, uint32_t shard, int take, uint64_t keep_ns, uint64_t user)
{
    int verdict;
    struct snapshot_request *item = item_begin(pipeline, OPERATION_SNAPSHOT, sizeof *item, user, &verdict);
    if (item != NULL)
        item_snapshot(item, shard, take != 0, keep_ns);
    return verdict;
}

void inn_pipeline_seal(struct inn_pipeline *pipeline)
{
    session_seal(&pipeline->session);
}

/* ---- Completions ------------------------------------------------------------------------------------------------- */

int inn_pipeline_next(struct inn_pipeline *pipeline, struct inn_completion *completion)
{
    return session_next(&pipeline->session, completion);
}

size_t inn_pipeline_deliver(struct inn_pipeline *pipeline, inn_on_completion *on_completion, void *context)
{
    struct inn_completion completion;
    size_t delivered = 0;
    for (; session_next(&pipeline->session, &completion) == 1; delivered++)
        on_completion(context, &completion);
    return delivered;
}

size_t inn_pipeline_pending(const struct inn_pipeline *pipeline)
{
    return pipeline->session.pending;
}
