#include "net/server/server.h"

#include "net/server/acceptor.h"
#include "net/server/limits.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define RING_ENTRIES 1024
#define CONTROL_RING_ENTRIES 8
#define LISTEN_BACKLOG 4096
#define FILES_A_SHARD 32 /* ring, segments in use, ready and being made */
#define FILES_BESIDES 64

struct shard_thread {
    pthread_t thread;
    bool started;
    struct server *server;
    struct shard shard;
    int error;
    char why[1024];
};

/* What the threads may do next. */
enum phase { PHASE_RECOVER, PHASE_OPEN, PHASE_SERVE, PHASE_GIVE_UP };

struct server {
    struct server_options options;
    struct wal_directory directory;
    struct io *io; /* of the thread that starts and stops the server: files, and the bell */
    struct shard_thread *threads;
    struct shard *shards[WAL_SHARDS_MAX];
    struct spsc_ring *rings; /* [requests, replies][from][to] */
    uint8_t *ring_bytes;
    size_t ring_bytes_size;
    uint32_t shards_count;
    char address[300];
    struct engine_limits limits;
    uint64_t clock_base_ns;
    uint64_t clock_start_ns;
    uint64_t ready_lsn[WAL_SHARDS_MAX];

    pthread_mutex_t mutex;
    pthread_cond_t changed;
    enum phase phase;
    uint32_t waiting; /* threads that are through with the phase */
    _Atomic bool stopping;
};

struct server_options server_options_default(void)
{
    return (struct server_options){
        .shards_default = 1,
        .listen = { .host = "127.0.0.1", .port = PROTOCOL_PORT_DEFAULT },
        .segment_size = WAL_SEGMENT_SIZE_DEFAULT,
        .snapshot_every = 512 * MIB,
        .snapshot_rate = 32 * MIB,
        .frame_size_max = WAL_FRAME_SIZE_MAX,
        .depth_max = 4,
        .connections_max = 1024,
        .recv_buffers_count = 512,
        .recv_buffer_size = 32 * 1024,
        .alarm_factor = 10,
        .overload_after_ns = NS_PER_SECOND,
        .handshake_timeout_ns = 5 * NS_PER_SECOND,
        .partial_timeout_ns = 10 * NS_PER_SECOND,
        .stuck_timeout_ns = 30 * NS_PER_SECOND,
        .idle_timeout_ns = 0,
        .drain_timeout_ns = 5 * NS_PER_SECOND,
        .clock_jump_max_ns = 24 * NS_PER_HOUR,
        .level_max = ENGINE_LEVEL,
    };
}

/* ---- The threads ----------------------------------------------------------------------------------------------------- */

/* Says that this thread is through with its phase, and waits for the next. */
static enum phase phase_wait(struct server *server, enum phase done)
{
    pthread_mutex_lock(&server->mutex);
    server->waiting++;
    pthread_cond_broadcast(&server->changed);
    while (server->phase == done)
        pthread_cond_wait(&server->changed, &server->mutex);
    enum phase next = server->phase;
    pthread_mutex_unlock(&server->mutex);
    return next;
}

/* Waits until all threads are through with the phase; the first error among them, or 0. */
static int phase_finish(struct server *server, char *why, size_t why_size)
{
    pthread_mutex_lock(&server->mutex);
    while (server->waiting < server->shards_count)
        pthread_cond_wait(&server->changed, &server->mutex);
    server->waiting = 0;
    pthread_mutex_unlock(&server->mutex);
    for (uint32_t i = 0; i < server->shards_count; i++) {
        if (server->threads[i].error == 0)
            continue;
        snprintf(why, why_size, "%s", server->threads[i].why);
        return server->threads[i].error;
    }
    return 0;
}

static void phase_set(struct server *server, enum phase phase)
{
    pthread_mutex_lock(&server->mutex);
    server->phase = phase;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->mutex);
}

/* The log is the truth, and this process can no longer write it: end before anybody is told anything else. */
static _Noreturn void shard_die(const struct shard *shard, int error)
{
    fprintf(
        stderr,
        "innkeepd: shard %u cannot go on: %s%s%s. The server stops without acknowledging anything further; what was "
        "acknowledged is on disk. Mend the cause and start again.\n",
        shard->index, strerror(-error), shard->machine.error != NULL ? ": " : "",
        shard->machine.error != NULL ? shard->machine.error : "");
    _Exit(EXIT_FAILURE);
}

static bool all_quiet(const struct server *server)
{
    for (uint32_t i = 0; i < server->shards_count; i++)
        if (!atomic_load(&server->shards[i]->quiet))
            return false;
    return true;
}

static void serve(struct server *server, struct shard *shard)
{
    while (!shard->draining || !all_quiet(server)) {
        if (!shard->draining && atomic_load_explicit(&server->stopping, memory_order_relaxed))
            shard_drain(shard);
        int error = shard_turn(shard);
        if (error != 0)
            shard_die(shard, error);
    }
    int error = shard_finish(shard);
    if (error != 0)
        shard_die(shard, error);
}

static void *shard_main(void *context)
{
    struct shard_thread *thread = context;
    struct server *server = thread->server;
    struct shard *shard = &thread->shard;
    thread->error = io_adopt(shard->io);
    if (thread->error != 0)
        snprintf(thread->why, sizeof thread->why, "shard %u: its ring cannot be started: %s", shard->index,
                 strerror(-thread->error));
    else
        thread->error = shard_recover(shard, thread->why, sizeof thread->why);
    enum phase phase = phase_wait(server, PHASE_RECOVER);
    if (phase == PHASE_OPEN) {
        thread->error = shard_open_log(shard, &server->limits, server->clock_base_ns, server->clock_start_ns,
                                       thread->why, sizeof thread->why);
        phase = phase_wait(server, PHASE_OPEN);
    }
    if (phase == PHASE_SERVE)
        serve(server, shard);
    snapshots_close(shard);
    if (shard->wal != NULL)
        wal_close(shard->wal);
    return NULL;
}

/* ---- Making ---------------------------------------------------------------------------------------------------------- */

static int rings_make(struct server *server)
{
    size_t count = (size_t)server->shards_count * server->shards_count * 2;
    server->rings = aligned_alloc(SPSC_CACHE_LINE, count * sizeof *server->rings);
    server->ring_bytes_size = count * SHARD_RING_CAPACITY;
    server->ring_bytes =
        mmap(NULL, server->ring_bytes_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (server->rings == NULL || server->ring_bytes == MAP_FAILED)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        spsc_ring_init(&server->rings[i], server->ring_bytes + i * SHARD_RING_CAPACITY, SHARD_RING_CAPACITY);
    return 0;
}

static void rings_join(struct server *server, uint32_t from, uint32_t to)
{
    struct spsc_ring *requests = &server->rings[(size_t)from * server->shards_count + to];
    struct spsc_ring *replies = requests + (size_t)server->shards_count * server->shards_count;
    server->shards[from]->requests_out[to] = requests;
    server->shards[to]->requests_in[from] = requests;
    server->shards[from]->replies_out[to] = replies;
    server->shards[to]->replies_in[from] = replies;
}

static int shard_make(struct server *server, uint32_t index, char *why, size_t why_size)
{
    struct shard_thread *thread = &server->threads[index];
    thread->server = server;
    server->shards[index] = &thread->shard;
    int error = shard_init(&thread->shard, &server->options, &server->directory, index, server->shards);
    if (error != 0) {
        snprintf(why, why_size, "shard %u: no memory for its connections; lower --connections", index);
        return error;
    }
    struct wal_options wal = shard_wal_options(&server->options, &server->directory, index);
    wal.guest = (struct iovec){ .iov_len = WAL_SNAPSHOT_BUFFER_SIZE };
    struct io_options io = {
        .ring_entries = RING_ENTRIES,
        .fixed_buffers_count = wal_buffers_count(&wal),
        .fixed_files_max = WAL_FILES_MAX,
        .recv_buffers_count = server->options.recv_buffers_count,
        .recv_buffer_size = server->options.recv_buffer_size,
    };
    const char *reason = "";
    error = io_create(&io, &thread->shard.io, &reason);
    if (error != 0)
        snprintf(why, why_size, "io_uring is not available: %s", reason);
    return error;
}

static int shards_make(struct server *server, char *why, size_t why_size)
{
    server->threads = aligned_alloc(SPSC_CACHE_LINE, server->shards_count * sizeof *server->threads);
    if (server->threads != NULL)
        memset(server->threads, 0, server->shards_count * sizeof *server->threads);
    if (server->threads == NULL || rings_make(server) != 0) {
        snprintf(why, why_size, "no memory for %u shards", server->shards_count);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < server->shards_count; i++) {
        int error = shard_make(server, i, why, why_size);
        if (error != 0)
            return error;
    }
    for (uint32_t from = 0; from < server->shards_count; from++)
        for (uint32_t to = 0; to < server->shards_count; to++)
            if (from != to)
                rings_join(server, from, to);
    return 0;
}

static void address_format(struct server *server, const struct io_address *bound)
{
    bool version_six = strchr(bound->host, ':') != NULL;
    if (bound->local)
        snprintf(server->address, sizeof server->address, "unix:%s", bound->host);
    else if (version_six)
        snprintf(server->address, sizeof server->address, "[%s]:%u", bound->host, bound->port);
    else
        snprintf(server->address, sizeof server->address, "%s:%u", bound->host, bound->port);
}

static int listen_start(struct server *server, char *why, size_t why_size)
{
    struct io_address bound;
    const struct io_address *wanted = &server->options.listen;
    int socket = io_listen(server->io, wanted, LISTEN_BACKLOG, &bound);
    if (socket < 0) {
        snprintf(why, why_size, "cannot listen on %s%s port %u: %s%s", wanted->local ? "unix:" : "", wanted->host,
                 wanted->port, strerror(-socket),
                 socket == -EADDRINUSE ? "; is another innkeepd running? --listen HOST:0 picks a free port" : "");
        return socket;
    }
    address_format(server, &bound);
    server->shards[0]->acceptor = acceptor_create(server->shards[0], socket);
    if (server->shards[0]->acceptor == NULL) {
        io_close(server->io, socket);
        snprintf(why, why_size, "no memory for the listener");
        return -ENOMEM;
    }
    server->shards[0]->memory_bytes += acceptor_memory_size();
    return 0;
}

/* A file that cannot be opened ends the log, so clients must not be able to take them all: as many as the limits allow them come on top. */
static void files_allow(const struct server *server)
{
    uint64_t a_shard = (uint64_t)server->options.connections_max + FILES_A_SHARD;
    uint64_t wanted = FILES_BESIDES + HANDSHAKES_MAX + ACCEPT_WAITING_MAX + server->shards_count * a_shard;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    bool raised = setrlimit(RLIMIT_NOFILE, &limit) == 0;
    if (!raised || limit.rlim_cur < wanted)
        fprintf(stderr,
                "innkeepd: WARNING: so many connections can take %" PRIu64 " open files, and only %" PRIu64
                " are allowed; without one for its log a shard ends. Raise RLIMIT_NOFILE (ulimit -Hn, LimitNOFILE=), "
                "or lower --connections.\n",
                wanted, (uint64_t)limit.rlim_cur);
}

static int threads_start(struct server *server, char *why, size_t why_size)
{
    for (uint32_t i = 0; i < server->shards_count; i++) {
        int error = pthread_create(&server->threads[i].thread, NULL, shard_main, &server->threads[i]);
        if (error != 0) {
            /* Those that did start wait for a phase that never comes; the process is about to end. */
            snprintf(why, why_size, "cannot start the thread of shard %u: %s", i, strerror(error));
            return -error;
        }
        server->threads[i].started = true;
    }
    return 0;
}

/* ---- Between recovery and serving ------------------------------------------------------------------------------------ */

static int clock_settle(struct server *server, char *why, size_t why_size)
{
    uint64_t last_ns = 0;
    for (uint32_t i = 0; i < server->shards_count; i++)
        if (server->shards[i]->report.position.last_time_ns > last_ns)
            last_ns = server->shards[i]->report.position.last_time_ns;
    uint64_t wall_ns = io_wall_ns(server->io);
    uint64_t jump_max_ns = server->options.clock_jump_max_ns;
    if (last_ns != 0 && wall_ns > last_ns && wall_ns - last_ns > jump_max_ns && !server->options.clock_accepted) {
        snprintf(why, why_size,
                 "the wall clock is %.1f hours ahead of the log's last frame, more than --max-clock-jump allows; holds "
                 "and leases would end by it. If the clock is right, start with --accept-clock.",
                 (double)(wall_ns - last_ns) / (double)NS_PER_HOUR);
        return -ERANGE;
    }
    server->clock_base_ns = wall_ns > last_ns ? wall_ns : last_ns;
    server->clock_start_ns = io_now_ns(server->io);
    return 0;
}

/* The widest limits that any shard was used under: a start that was interrupted may have raised only some. */
static const struct engine_limits *limits_logged(const struct server *server)
{
    const struct engine_limits *widest = NULL;
    for (uint32_t i = 0; i < server->shards_count; i++) {
        const struct engine *engine = server->shards[i]->machine.engine;
        if (engine == NULL)
            continue;
        const struct engine_limits *limits = engine_limits_of(engine);
        if (widest == NULL || engine_memory_size(limits) > engine_memory_size(widest))
            widest = limits;
    }
    return widest;
}

static int limits_choose(struct server *server, char *why, size_t why_size)
{
    const struct engine_limits *logged = limits_logged(server);
    uint64_t memory = server->options.memory_bytes;
    if (memory == 0 && logged == NULL)
        memory = LIMITS_MEMORY_DEFAULT;
    return limits_settle(&server->options.limits, memory / server->shards_count, logged, &server->limits, why,
                         why_size);
}

static int recovered_settle(struct server *server, char *why, size_t why_size)
{
    int error = phase_finish(server, why, why_size);
    if (error == 0)
        error = clock_settle(server, why, why_size);
    if (error == 0)
        error = limits_choose(server, why, why_size);
    return error;
}

static int logs_open(struct server *server, char *why, size_t why_size)
{
    phase_set(server, PHASE_OPEN);
    int error = phase_finish(server, why, why_size);
    for (uint32_t i = 0; i < server->shards_count && error == 0; i++)
        server->ready_lsn[i] = engine_last_lsn(server->shards[i]->machine.engine);
    return error;
}

/* ---- Start and stop -------------------------------------------------------------------------------------------------- */

static void server_free(struct server *server)
{
    for (uint32_t i = 0; i < server->shards_count && server->threads != NULL; i++) {
        struct shard *shard = &server->threads[i].shard;
        acceptor_free(shard->acceptor);
        shard_free(shard);
        if (shard->io != NULL)
            io_destroy(shard->io);
    }
    if (server->ring_bytes != NULL && server->ring_bytes != MAP_FAILED)
        (void)munmap(server->ring_bytes, server->ring_bytes_size);
    free(server->rings);
    free(server->threads);
    if (server->directory.path[0] != '\0')
        wal_directory_close(server->io, &server->directory);
    if (server->io != NULL)
        io_destroy(server->io);
    pthread_mutex_destroy(&server->mutex);
    pthread_cond_destroy(&server->changed);
    free(server);
}

static void threads_join(struct server *server)
{
    for (uint32_t i = 0; i < server->shards_count && server->threads != NULL; i++)
        if (server->threads[i].started)
            pthread_join(server->threads[i].thread, NULL);
}

static int directory_open(struct server *server, char *why, size_t why_size)
{
    const struct server_options *options = &server->options;
    int error = wal_directory_open(server->io, options->data_path, options->shards, options->shards_default,
                                   options->segment_size, &server->directory, why, why_size);
    if (error != 0)
        server->directory.path[0] = '\0';
    else
        server->shards_count = server->directory.header.shards_count;
    return error;
}

static int control_ring_make(struct server *server, char *why, size_t why_size)
{
    struct io_options options = { .ring_entries = CONTROL_RING_ENTRIES };
    const char *reason = "";
    int error = io_create(&options, &server->io, &reason);
    if (error == 0)
        error = io_adopt(server->io);
    if (error != 0)
        snprintf(why, why_size, "io_uring is not available: %s", reason);
    return error;
}

static int start_steps(struct server *server, char *why, size_t why_size)
{
    int error = control_ring_make(server, why, why_size);
    if (error == 0)
        error = directory_open(server, why, why_size);
    if (error == 0) {
        files_allow(server);
        error = shards_make(server, why, why_size);
    }
    if (error == 0)
        error = listen_start(server, why, why_size);
    if (error == 0)
        error = threads_start(server, why, why_size);
    if (error == 0)
        error = recovered_settle(server, why, why_size);
    if (error == 0)
        error = logs_open(server, why, why_size);
    return error;
}

int server_start(const struct server_options *options, struct server **result, char *why, size_t why_size)
{
    struct server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return -ENOMEM;
    server->options = *options;
    pthread_mutex_init(&server->mutex, NULL);
    pthread_cond_init(&server->changed, NULL);
    int error = start_steps(server, why, why_size);
    if (error != 0) {
        phase_set(server, PHASE_GIVE_UP);
        threads_join(server);
        server_free(server);
        return error;
    }
    phase_set(server, PHASE_SERVE);
    *result = server;
    return 0;
}

const char *server_address(const struct server *server)
{
    return server->address;
}

uint32_t server_shards(const struct server *server)
{
    return server->shards_count;
}

uint64_t server_lsn(const struct server *server, uint32_t shard)
{
    REQUIRE(shard < server->shards_count);
    return server->ready_lsn[shard];
}

const struct engine_limits *server_limits(const struct server *server)
{
    return &server->limits;
}

size_t server_memory_bytes(const struct server *server)
{
    size_t bytes = server->ring_bytes_size;
    for (uint32_t i = 0; i < server->shards_count; i++)
        bytes += server->shards[i]->memory_bytes;
    return bytes;
}

void server_stop(struct server *server)
{
    atomic_store(&server->stopping, true);
    for (uint32_t i = 0; i < server->shards_count; i++) {
        io_doorbell(server->io, server->shards[i]->io);
        (void)!io_run(server->io, 0); /* a bell that does not ring is heard a second later */
    }
    threads_join(server);
    server_free(server);
}
