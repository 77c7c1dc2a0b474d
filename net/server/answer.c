/* How a result finds its way: straight into the output of a connection of ours, or through the reply ring to the shard that owns it. */
#include "net/server/shard.h"

#include <string.h>

#define LATENCY_P50 500
#define LATENCY_P99 990

/* What crosses back: the ticket, then the result's bytes. */
struct returned {
    struct ticket ticket;
    uint8_t result[];
};

uint32_t shard_result_max(uint8_t operation)
{
    switch (operation_class(operation)) {
    case OPERATION_CLASS_MUTATION:
    case OPERATION_CLASS_LEASE:
    case OPERATION_CLASS_TICK:
        return sizeof(union apply_result);
    case OPERATION_CLASS_QUERY:
        return operation == OPERATION_CALENDAR ? RESULT_SIZE_MAX : sizeof(struct lease_result);
    case OPERATION_CLASS_SESSION:
        return operation == OPERATION_SNAPSHOT ? sizeof(struct snapshot_result) : sizeof(struct status_result);
    case OPERATION_CLASS_SYSTEM:
    case OPERATION_CLASS_UNKNOWN:
        break;
    }
    return sizeof(struct result_header);
}

static_assert(sizeof(struct lookup_result) <= sizeof(struct lease_result), "shard_result_max: queries");
static_assert(sizeof(struct hello_result) <= sizeof(struct status_result), "shard_result_max: session");

/* ---- Our own connections --------------------------------------------------------------------------------------------- */

/* The connection a ticket of ours speaks of, or NULL if it is gone. */
static struct connection *connection_of(struct shard *shard, const struct ticket *ticket)
{
    struct connection *connection = &shard->connections[ticket->connection];
    bool same = connection->generation == ticket->generation && connection->state == CONNECTION_OPEN;
    return same ? connection : NULL;
}

static struct result_header *local_begin(struct shard *shard, const struct ticket *ticket, uint32_t size_max)
{
    struct connection *connection = connection_of(shard, ticket);
    if (connection == NULL)
        return (struct result_header *)(void *)shard->scratch;
    return output_result_begin(&connection->output, &shard->pool, ticket->operation, ticket->correlation, size_max);
}

static void local_end(struct shard *shard, const struct ticket *ticket, const struct result_header *result)
{
    uint64_t cost = output_cost(shard_result_max(ticket->operation));
    ENSURE(shard->pool.promised >= cost);
    shard->pool.promised -= cost;
    struct connection *connection = connection_of(shard, ticket);
    if (connection == NULL)
        return;
    output_result_end(&connection->output, result);
    ENSURE(connection->unanswered > 0);
    connection->unanswered--;
    shard_queue_dirty(connection);
}

/* ---- Begin and end --------------------------------------------------------------------------------------------------- */

struct result_header *shard_answer_begin(struct shard *shard, const struct ticket *ticket, uint32_t size_max)
{
    if (ticket->shard == shard->index)
        return local_begin(shard, ticket, size_max);
    if (shard->finishing)
        return (struct result_header *)(void *)shard->scratch;
    struct returned *entry =
        spsc_ring_reserve(shard->replies_out[ticket->shard], (uint32_t)sizeof(struct returned) + size_max);
    if (entry == NULL) {
        shard->ring_full = true;
        return NULL;
    }
    entry->ticket = *ticket;
    return (struct result_header *)(void *)entry->result;
}

void shard_answer_end(struct shard *shard, const struct ticket *ticket, struct result_header *result)
{
    result->item = ticket->item;
    result->shard = (uint16_t)shard->index;
    if (ticket->shard == shard->index)
        local_end(shard, ticket, result);
    else if (!shard->finishing)
        spsc_ring_commit(shard->replies_out[ticket->shard], (uint32_t)sizeof(struct returned) + result->size);
}

void shard_take_replies(struct shard *shard)
{
    for (uint32_t other = 0; other < shard->shards_count; other++) {
        uint32_t size;
        const struct returned *entry;
        while (other != shard->index && (entry = spsc_ring_peek(shard->replies_in[other], &size)) != NULL) {
            uint32_t result_size = size - (uint32_t)sizeof *entry;
            struct result_header *result = local_begin(shard, &entry->ticket, result_size);
            memcpy(result, entry->result, result_size);
            local_end(shard, &entry->ticket, result);
            spsc_ring_pop(shard->replies_in[other]);
        }
    }
}

/* ---- Answers that need no log ---------------------------------------------------------------------------------------- */

static void status_answer(struct shard *shard, const struct status_query *query, struct status_result *result)
{
    struct engine *engine = shard->machine.engine;
    struct engine_counts counts = engine_counts(engine);
    struct wal_state wal = wal_state_of(shard->wal);
    const struct histogram *latency = wal_write_latency(shard->wal);
    int workers = io_kernel_workers(shard->io);
    *result = (struct status_result){
        .header = { .size = sizeof *result, .lsn = engine_last_lsn(engine), .log_time_ns = engine_log_time(engine) },
        .uptime_ns = shard->now_ns - shard->started_ns,
        .memory_bytes = shard->memory_bytes,
        .shards = shard->shards_count,
        .engine_level = engine_log_level(engine),
        .limits = *engine_limits_of(engine),
        .properties = counts.properties,
        .room_types = counts.room_types,
        .reservations_held = counts.reservations_held,
        .reservations_confirmed = counts.reservations_confirmed,
        .reservations_ended = counts.reservations_ended,
        .outcomes = counts.outcomes,
        .leases_live = counts.leases_live,
        .leases_ended = counts.leases_ended,
        .shortest_ttl_ns = counts.shortest_ttl_ns,
        .commit_p50_ns = commit_latency_percentile(&shard->latency, LATENCY_P50),
        .commit_p99_ns = commit_latency_percentile(&shard->latency, LATENCY_P99),
        .alarm = shard->alarm,
        .alarm_factor = shard->options->alarm_factor,
        .frames = wal.frames,
        .records = wal.records,
        .log_bytes = wal.bytes,
        .frame_index = wal.durable_index,
        .segment_sequence = wal.segment_sequence,
        .connections = shard->connections_open,
        .connections_max = shard->options->connections_max,
        .requests = shard->requests_count,
        .refused_overload = shard->refused_overload_count,
        .log_padding_bytes = wal.padding_bytes,
        .log_stalls = wal.stalls,
        .log_depth = wal.depth,
        .log_depth_highest = wal.depth_highest,
        .log_depth_max = shard->options->depth_max,
        .log_kernel_workers = workers < 0 ? UINT32_MAX : (uint32_t)workers,
        .frame_p50_ns = histogram_percentile(latency, 0.5),
        .frame_p99_ns = histogram_percentile(latency, 0.99),
        .frame_p999_ns = histogram_percentile(latency, 0.999),
        .frame_max_ns = latency->max,
        .segments_recycled = wal.segments_recycled,
        .segments_deleted = wal.segments_deleted,
    };
    memcpy(result->uuid, shard->directory->header.uuid, sizeof result->uuid);
    snapshots_status(shard, result);
    if (query->with_hash)
        result->state_hash = engine_state_hash(engine);
}

bool shard_answer_now(struct shard *shard, const struct ticket *ticket, const struct record_header *item)
{
    struct result_header *result = shard_answer_begin(shard, ticket, shard_result_max(ticket->operation));
    if (result == NULL)
        return false;
    if (ticket->status != STATUS_OK)
        *result = (struct result_header){ .size = sizeof *result, .status = ticket->status };
    else if (ticket->operation == OPERATION_STATUS)
        status_answer(shard, (const struct status_query *)(const void *)item, (struct status_result *)(void *)result);
    else if (ticket->operation == OPERATION_SNAPSHOT)
        snapshots_answer(shard, (const struct snapshot_request *)(const void *)item,
                         (struct snapshot_result *)(void *)result);
    else
        engine_query(shard->machine.engine, item, result);
    shard_answer_end(shard, ticket, result);
    return true;
}
