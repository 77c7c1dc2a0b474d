#include "net/server/shard.h"

#include "net/server/acceptor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define TICK_INTERVAL_NS (10 * NS_PER_MS)
#define HELD_UP_RETRY_NS (10 * NS_PER_MS)
#define DRAIN_CHECK_NS (20 * NS_PER_MS)
#define FINISH_STEP_NS (10 * NS_PER_MS)
#define LATENCY_CHANGE_PARTS 16 /* a p99 that moved by less than 1/16 is not logged again */
#define LATENCY_P99 990

/* ---- Memory ---------------------------------------------------------------------------------------------------------- */

/* Anonymous, zero, page-aligned; pages cost memory only once they are touched. */
static void *memory_take(struct shard *shard, size_t size_bytes, int *error)
{
    void *memory = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        *error = -ENOMEM;
        return NULL;
    }
    shard->memory_bytes += size_bytes;
    return memory;
}

/* One block for all tables of a kind, freed with the process: a shard lives as long as its server. */
static int tables_init(struct shard *shard)
{
    const struct server_options *options = shard->options;
    size_t connections = options->connections_max;
    int error = 0;
    shard->connections = memory_take(shard, connections * sizeof *shard->connections, &error);
    shard->free_connections = memory_take(shard, connections * sizeof *shard->free_connections, &error);
    shard->work.indexes = memory_take(shard, connections * sizeof *shard->work.indexes, &error);
    shard->dirty.indexes = memory_take(shard, connections * sizeof *shard->dirty.indexes, &error);
    shard->held = memory_take(shard, options->recv_buffers_count * sizeof *shard->held, &error);
    shard->line.tickets = memory_take(shard, SHARD_TICKETS_MAX * sizeof *shard->line.tickets, &error);
    shard->line.queries = memory_take(shard, SHARD_QUERIES_MAX * sizeof *shard->line.queries, &error);
    shard->line.last_of_connection =
        memory_take(shard, shard->shards_count * connections * sizeof *shard->line.last_of_connection, &error);
    return error;
}

static int connections_init(struct shard *shard)
{
    uint32_t connections = shard->options->connections_max;
    int error = 0;
    uint8_t *assemblies = memory_take(shard, (size_t)connections * MESSAGE_SIZE_MAX, &error);
    uint32_t chunks = connections * OUTPUT_BASE_CHUNKS + (uint32_t)(32 * MIB / OUTPUT_CHUNK_SIZE);
    void *pool = memory_take(shard, (size_t)chunks * OUTPUT_CHUNK_SIZE, &error);
    if (error != 0)
        return error;
    output_pool_init(&shard->pool, pool, chunks);
    for (uint32_t i = 0; i < connections; i++) {
        struct connection *connection = &shard->connections[i];
        connection->shard = shard;
        connection->index = i;
        connection->assembly = assemblies + (size_t)i * MESSAGE_SIZE_MAX;
        shard->free_connections[connections - 1 - i] = i;
    }
    shard->free_connections_count = connections;
    return 0;
}

int shard_init(struct shard *shard, const struct server_options *options, struct wal_directory *directory,
               uint32_t index, struct shard **neighbours)
{
    memset(shard, 0, sizeof *shard);
    shard->options = options;
    shard->directory = directory;
    shard->index = index;
    shard->shards_count = directory->header.shards_count;
    shard->neighbours = neighbours;
    state_machine_init(&shard->machine, directory->header.uuid);
    shard->machine.prefault = true;
    shard->machine.level_max = options->level_max;
    int error = tables_init(shard);
    return error != 0 ? error : connections_init(shard);
}

void shard_free(struct shard *shard)
{
    state_machine_free(&shard->machine);
}

/* ---- Queues of connections ------------------------------------------------------------------------------------------- */

static void queue_push(struct shard *shard, struct connection_queue *queue, uint32_t index)
{
    uint32_t capacity = shard->options->connections_max;
    REQUIRE(queue->count < capacity);
    queue->indexes[(queue->first + queue->count) % capacity] = index;
    queue->count++;
}

static struct connection *queue_pop(struct shard *shard, struct connection_queue *queue)
{
    REQUIRE(queue->count > 0);
    struct connection *connection = &shard->connections[queue->indexes[queue->first]];
    queue->first = (queue->first + 1) % shard->options->connections_max;
    queue->count--;
    return connection;
}

void shard_queue_work(struct connection *connection)
{
    if (connection->in_work)
        return;
    connection->in_work = true;
    queue_push(connection->shard, &connection->shard->work, connection->index);
}

void shard_queue_dirty(struct connection *connection)
{
    if (connection->in_dirty)
        return;
    connection->in_dirty = true;
    queue_push(connection->shard, &connection->shard->dirty, connection->index);
}

/* Each connection that is in the queue now, once; those that queue themselves again wait for the next turn. */
static void work_run(struct shard *shard)
{
    shard->held_up = false;
    for (uint32_t left = shard->work.count; left > 0; left--) {
        struct connection *connection = queue_pop(shard, &shard->work);
        connection->in_work = false;
        connection_work(connection);
    }
}

static void dirty_run(struct shard *shard)
{
    for (uint32_t left = shard->dirty.count; left > 0; left--) {
        struct connection *connection = queue_pop(shard, &shard->dirty);
        connection->in_dirty = false;
        connection_flush(connection);
    }
}

/* ---- Sockets from the acceptor --------------------------------------------------------------------------------------- */

void shard_adopt_socket(struct shard *shard, int socket, uint64_t correlation, const uint8_t *early,
                        uint32_t early_size)
{
    REQUIRE(shard->free_connections_count > 0);
    atomic_store(&shard->quiet, false);
    struct connection *connection = &shard->connections[shard->free_connections[--shard->free_connections_count]];
    shard->connections_open++;
    connection_open(connection, socket, early, early_size);
    const struct engine_limits *limits = engine_limits_of(shard->machine.engine);
    uint64_t log_time_ns = engine_log_time(shard->machine.engine);
    uint64_t clock_ns = shard_log_clock(shard);
    struct result_header *header = output_result_begin(&connection->output, &shard->pool, OPERATION_HELLO, correlation,
                                                       sizeof(struct hello_result));
    struct hello_result *result = (struct hello_result *)(void *)header;
    *result = (struct hello_result){
        .header = { .size = sizeof *result,
                    .shard = (uint16_t)shard->index,
                    .lsn = engine_last_lsn(shard->machine.engine),
                    .log_time_ns = log_time_ns },
        .version = PROTOCOL_VERSION,
        .shards = shard->shards_count,
        .shard = shard->index,
        .hash_rule = 1,
        .message_size_max = MESSAGE_SIZE_MAX,
        .items_max = MESSAGE_ITEMS_MAX,
        .requests_max = SHARD_REQUESTS_MAX,
        .horizon_nights = limits->horizon_nights,
        .deadline_ahead_max_ns = limits->deadline_ahead_max_ns,
        .server_time_ns = clock_ns > log_time_ns ? clock_ns : log_time_ns,
    };
    memcpy(result->uuid, shard->directory->header.uuid, sizeof result->uuid);
    output_result_end(&connection->output, header);
}

/* ---- The log's clock and its frames ---------------------------------------------------------------------------------- */

uint64_t shard_log_clock(const struct shard *shard)
{
    return shard->clock_base_ns + (shard->now_ns - shard->clock_start_ns);
}

/* The p99 as the engine shall know it: told when it moved, at most once a second, and only along with commands. */
static void latency_log(struct shard *shard)
{
    struct commit_latency_logged *logged = &shard->latency_logged;
    if (shard->now_ns - logged->logged_ns < NS_PER_SECOND)
        return;
    logged->logged_ns = shard->now_ns;
    uint64_t p99_ns = commit_latency_percentile(&shard->latency, LATENCY_P99);
    uint64_t moved_ns = p99_ns > logged->p99_ns ? p99_ns - logged->p99_ns : logged->p99_ns - p99_ns;
    struct commit_latency_record record = {
        .header = { .size = sizeof record, .kind = OPERATION_COMMIT_LATENCY, .version = 1 },
        .p99_ns = p99_ns,
        .ttl_factor = shard->options->alarm_factor,
    };
    if (moved_ns <= logged->p99_ns / LATENCY_CHANGE_PARTS || !wal_has_room(shard->wal, sizeof record))
        return;
    logged->p99_ns = p99_ns;
    wal_append(shard->wal, &record.header);
}

/* What was answered, for whoever replays it: a window's digest once the window is past, along with commands; at the end what there is. */
static bool digest_log(struct shard *shard, bool to_the_end)
{
    const struct digest_window *window =
        outcome_digest_due(&shard->machine.digest, shard->digest_logged_index, to_the_end);
    if (window == NULL || shard->digest_ended || !wal_has_room(shard->wal, sizeof(struct digest_record)))
        return false;
    struct digest_record record = outcome_digest_record(window);
    shard->digest_logged_index = window->last_index;
    shard->digest_ended = window == &shard->machine.digest.open;
    wal_append(shard->wal, &record.header);
    return true;
}

/* A frame without records is due: as evidence that the last data frame was acknowledged, or to let deadlines pass. */
static bool tick_due(const struct shard *shard, const struct wal_state *wal)
{
    if (wal->in_flight > 0)
        return false;
    if (wal->evidence_missing && shard->now_ns - shard->idle_since_ns >= SHARD_NOOP_AFTER_NS)
        return true;
    return shard->now_ns >= shard->next_tick_ns &&
           engine_next_deadline(shard->machine.engine) <= shard_log_clock(shard);
}

void shard_seal(struct shard *shard, bool config)
{
    uint64_t clock = shard_log_clock(shard);
    uint64_t last = wal_state_of(shard->wal).last_time_ns;
    wal_seal(shard->wal, clock > last ? clock : last, shard->log_level, config);
    shard->log_level = shard->log_level_next;
}

static void log_seal(struct shard *shard)
{
    struct wal_state wal = wal_state_of(shard->wal);
    bool commands = wal.open_records > 0;
    if (!wal_may_seal(shard->wal) || (!commands && !tick_due(shard, &wal)))
        return;
    if (commands) {
        latency_log(shard);
        (void)digest_log(shard, false);
    } else {
        shard->next_tick_ns = shard->now_ns + TICK_INTERVAL_NS;
    }
    if (!wal_may_seal(shard->wal))
        return; /* with that record the frame does not fit this segment any more: it goes into the next one, a turn later */
    shard_seal(shard, false);
    shard->sealed = true;
}

/* ---- The alarm ------------------------------------------------------------------------------------------------------- */

/* A commit that may outlast a lease is the design smell Innkeep exists for, so it is said aloud, when it begins and when it ends. */
static void alarm_check(struct shard *shard)
{
    uint64_t p99_ns = commit_latency_percentile(&shard->latency, LATENCY_P99);
    uint64_t ttl_ns = engine_counts(shard->machine.engine).shortest_ttl_ns;
    bool alarm = commit_latency_endangers(p99_ns, ttl_ns, shard->options->alarm_factor);
    if (alarm == shard->alarm)
        return;
    shard->alarm = alarm;
    if (alarm)
        fprintf(stderr,
                "innkeepd: ALARM: shard %u: p99 commit latency %.3f ms is within 1/%u of the shortest live lease TTL, "
                "%.3f ms: expect holders to be fenced; lengthen the TTL or find what slows the disk\n",
                shard->index, (double)p99_ns / 1e6, shard->options->alarm_factor, (double)ttl_ns / 1e6);
    else
        fprintf(stderr, "innkeepd: shard %u: the commit latency alarm is over (p99 %.3f ms)\n", shard->index,
                (double)p99_ns / 1e6);
}

static const char *space_text(enum wal_space space)
{
    switch (space) {
    case WAL_SPACE_AMPLE:
        return "there is space on the disk again: everything is taken";
    case WAL_SPACE_LOW:
        return "the disk is full: new commands get DISK_FULL; confirm, release, cancel, lease renew and release go on; "
               "free "
               "some space";
    case WAL_SPACE_CRITICAL:
        return "the disk is full and the log's reserve nearly used up: all commands get DISK_FULL but barriers; free "
               "some "
               "space";
    case WAL_SPACE_NONE:
        return "the disk is full and the log's reserve used up: all commands get DISK_FULL, only queries are answered; "
               "free "
               "some space";
    }
    return "";
}

/* Each step of admission's policy for a full disk, when it begins; at most one line a second. */
static void space_tell(struct shard *shard)
{
    enum wal_space space = wal_space(shard->wal);
    if (space == shard->space_told || shard->now_ns < shard->space_tell_ns)
        return;
    shard->space_told = space;
    shard->space_tell_ns = shard->now_ns + NS_PER_SECOND;
    fprintf(stderr, "innkeepd: shard %u: %s\n", shard->index, space_text(space));
}

static void second_run(struct shard *shard)
{
    if (shard->now_ns < shard->next_second_ns)
        return;
    shard->next_second_ns = shard->now_ns + (shard->draining ? DRAIN_CHECK_NS : NS_PER_SECOND);
    commit_latency_tend(&shard->latency, shard->now_ns);
    alarm_check(shard);
    for (uint32_t i = 0; i < shard->options->connections_max && shard->connections_open > 0; i++) {
        connection_check_deadlines(&shard->connections[i], shard->now_ns);
        if (shard->draining)
            connection_drain(&shard->connections[i], shard->now_ns >= shard->drain_until_ns);
    }
}

/* ---- Neighbours ------------------------------------------------------------------------------------------------------ */

/* Lets the others see what was written for them, and wakes those that sleep: publishing first, then looking at the flag, and the other side
 * the other way round, all of it sequentially consistent, so that one of the two always sees the other. */
static void rings_publish(struct shard *shard)
{
    for (uint32_t other = 0; other < shard->shards_count; other++) {
        if (other == shard->index)
            continue;
        bool requests = spsc_ring_publish(shard->requests_out[other]);
        bool replies = spsc_ring_publish(shard->replies_out[other]);
        if (!requests && !replies)
            continue;
        struct shard *neighbour = shard->neighbours[other];
        if (atomic_load(&neighbour->asleep) && atomic_exchange(&neighbour->asleep, false))
            io_doorbell(shard->io, neighbour->io);
    }
}

/* Requests that found no room this turn do not count unless a frame was sealed since: going on at once would find none either. */
static bool rings_empty(struct shard *shard)
{
    for (uint32_t other = 0; other < shard->shards_count; other++) {
        if (other == shard->index)
            continue;
        bool takes = !shard->blocked[other] || shard->sealed;
        if ((takes && !spsc_ring_empty(shard->requests_in[other])) || !spsc_ring_empty(shard->replies_in[other]))
            return false;
    }
    return true;
}

/* Looked at once a turn while draining. A socket on its way to a neighbour makes that one loud before it leaves our ring, so never
 * are all quiet while something is under way. */
static void quiet_look(struct shard *shard)
{
    bool quiet = shard->connections_open == 0 && (shard->acceptor == NULL || acceptor_idle(shard->acceptor));
    for (uint32_t other = 0; other < shard->shards_count && quiet; other++)
        quiet = other == shard->index ||
                (spsc_ring_drained(shard->requests_out[other]) && spsc_ring_drained(shard->replies_out[other]));
    atomic_store(&shard->quiet, quiet);
}

/* ---- One turn -------------------------------------------------------------------------------------------------------- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The boot time at which log time reaches `log_time_ns`. */
static uint64_t boot_time_of(const struct shard *shard, uint64_t log_time_ns)
{
    uint64_t clock = shard_log_clock(shard);
    if (log_time_ns == NEVER_NS)
        return NEVER_NS;
    return log_time_ns <= clock ? shard->now_ns : shard->now_ns + (log_time_ns - clock);
}

/* Until when there is nothing to do unless something completes. */
static uint64_t wait_until(struct shard *shard)
{
    struct wal_state wal = wal_state_of(shard->wal);
    uint64_t until = earlier(shard->next_second_ns, wal_tend_due_ns(shard->wal));
    until = earlier(until, snapshots_due_ns(shard));
    /* Where no frame can be sealed, on a full disk say, a tick that is due would only spin; wal_tend_due_ns tells when to try again. */
    if (wal.in_flight == 0 && wal_may_seal(shard->wal)) {
        uint64_t tick_ns = boot_time_of(shard, engine_next_deadline(shard->machine.engine));
        until = earlier(until, tick_ns > shard->next_tick_ns ? tick_ns : shard->next_tick_ns);
        if (wal.evidence_missing)
            until = earlier(until, shard->idle_since_ns + SHARD_NOOP_AFTER_NS);
    }
    if (shard->held_up)
        until = earlier(until, shard->sealed ? shard->now_ns : shard->now_ns + HELD_UP_RETRY_NS);
    if (shard->ring_full)
        until = earlier(until, shard->now_ns + SHARD_RING_RETRY_NS);
    return until;
}

static int sleep_or_go_on(struct shard *shard)
{
    uint64_t until = wait_until(shard);
    atomic_store(&shard->asleep, true);
    if (!rings_empty(shard))
        until = 0;
    int error = io_run(shard->io, until);
    atomic_store_explicit(&shard->asleep, false, memory_order_relaxed);
    return error;
}

int shard_turn(struct shard *shard)
{
    shard->now_ns = io_now_ns(shard->io);
    shard->ring_full = false;
    shard->sealed = false;
    shard_take_replies(shard);
    int error = shard_apply(shard);
    if (error != 0)
        return error;
    shard_take_forwarded(shard);
    work_run(shard);
    if (shard->acceptor != NULL)
        acceptor_tend(shard->acceptor, shard->now_ns);
    log_seal(shard);
    wal_tend(shard->wal);
    snapshots_tend(shard);
    space_tell(shard);
    second_run(shard);
    dirty_run(shard);
    rings_publish(shard);
    if (shard->draining)
        quiet_look(shard);
    error = wal_error(shard->wal);
    return error != 0 ? error : sleep_or_go_on(shard);
}

/* ---- Stopping -------------------------------------------------------------------------------------------------------- */

void shard_drain(struct shard *shard)
{
    shard->draining = true;
    shard->now_ns = io_now_ns(shard->io);
    shard->drain_until_ns = shard->now_ns + shard->options->drain_timeout_ns;
    shard->next_second_ns = shard->now_ns;
    if (shard->acceptor != NULL)
        acceptor_stop(shard->acceptor);
}

/* One step of the last act: applies what became durable, seals what is left to be sealed. True if nothing is left. */
static bool finish_step(struct shard *shard)
{
    struct wal_state wal = wal_state_of(shard->wal);
    bool records = wal.open_records > 0;
    if (wal.in_flight == 0 && !records && !wal.evidence_missing)
        return wal_space(shard->wal) != WAL_SPACE_AMPLE || !digest_log(shard, true);
    bool due = records || wal.in_flight == 0;
    if (due && wal_may_seal(shard->wal)) {
        shard_seal(shard, false);
        return false;
    }
    /* Without space there is no evidence for the last acknowledgement; and what was never logged has not happened. Nothing else is lost. */
    bool given_up = !records || shard->now_ns >= shard->drain_until_ns;
    return wal.in_flight == 0 && given_up && wal_space(shard->wal) != WAL_SPACE_AMPLE;
}

int shard_finish(struct shard *shard)
{
    REQUIRE(shard->quiet);
    shard->finishing = true;
    snapshots_give_up(shard); /* nobody tends it from here on, and frames must not wait for its copies */
    for (;;) {
        shard->now_ns = io_now_ns(shard->io);
        int error = shard_apply(shard);
        if (error == 0)
            error = wal_error(shard->wal);
        if (error != 0)
            return error;
        if (finish_step(shard))
            return snapshots_finish(shard);
        wal_tend(shard->wal);
        error = io_run(shard->io, shard->now_ns + FINISH_STEP_NS);
        if (error != 0)
            return error;
    }
}
