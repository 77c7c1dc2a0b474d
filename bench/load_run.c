#include "bench/load_run.h"

#include "bench/clock.h"
#include "bench/raw_socket.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define PROGRESS_STEP_NS (20 * NS_PER_MS)

struct run {
    const struct load_run_options *options;
    const struct load_setup *setup;
    struct failure *failure;
    struct load_clock clock;
    struct load_targets *targets; /* owned; one for each shard with affinity, else a single one */
    uint32_t targets_count;
    struct load_worker *workers; /* owned */
    uint32_t workers_count;      /* initialised */
    pthread_t *threads;          /* owned */
    uint32_t threads_count;      /* started */
};

/* ---- Preparing ----------------------------------------------------------------------------------------------------- */

static bool make_targets(struct run *run)
{
    bool affinity = run->options->affinity;
    uint32_t shards = run->setup->hello.shards;
    uint32_t wanted = affinity ? shards : 1;
    run->targets = calloc(wanted, sizeof *run->targets);
    if (run->targets == NULL)
        return failure_set(run->failure, EXIT_REFUSED, "out of memory");
    for (uint32_t shard = 0; shard < wanted; shard++) {
        struct load_targets *targets = &run->targets[run->targets_count];
        int error = load_targets_init(targets, &run->options->shape, run->setup->business_dates,
                                      affinity ? shard : LOAD_SHARD_ALL, shards);
        if (error == 0)
            run->targets_count++;
        else if (error != -ENOENT)
            return failure_set(run->failure, EXIT_REFUSED, "out of memory");
    }
    return true;
}

static bool add_connection(struct run *run, uint32_t number)
{
    struct hello_result hello;
    const struct load_targets *targets = &run->targets[number % run->targets_count];
    uint64_t property = targets->items[0].property;
    uint32_t shard = run->options->affinity ? shard_of_property(property, run->setup->hello.shards) : SHARD_ANY;
    int fd = raw_socket_open(run->options->server, shard, &hello, run->failure);
    if (fd < 0)
        return false;
    /* Neighbours go to one thread, so that with affinity each thread still talks to every shard. */
    uint64_t worker = (uint64_t)number * run->workers_count / run->options->connections;
    int error = load_worker_add(&run->workers[worker], fd, targets);
    return error == 0 || failure_set(run->failure, EXIT_REFUSED, "connection %u: %s", number, strerror(-error));
}

/* As many descriptors as this process may have; if that is too few, opening the connections says so. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static bool make_workers(struct run *run)
{
    uint32_t connections = run->options->connections;
    raise_descriptor_limit();
    run->workers = calloc(run->options->threads, sizeof *run->workers);
    run->threads = calloc(run->options->threads, sizeof *run->threads);
    if (run->workers == NULL || run->threads == NULL)
        return failure_set(run->failure, EXIT_REFUSED, "out of memory");
    for (uint32_t i = 0; i < run->options->threads; i++) {
        struct random_source random;
        random_init(&random, run->options->seed, i);
        struct load_worker *worker = &run->workers[run->workers_count++];
        int error = load_worker_init(worker, &run->options->load, &run->clock, connections, random);
        if (error != 0)
            return failure_set(run->failure, EXIT_REFUSED, "a worker: %s", strerror(-error));
    }
    for (uint32_t i = 0; i < connections; i++)
        if (!add_connection(run, i))
            return false;
    return true;
}

/* ---- Running ------------------------------------------------------------------------------------------------------- */

static void *worker_main(void *context)
{
    load_worker_run(context);
    return NULL;
}

static bool start_threads(struct run *run)
{
    uint64_t now_ns = clock_now_ns();
    run->clock.measure_from_ns = now_ns + run->options->warmup_ns;
    atomic_store(&run->clock.stop_ns, run->clock.measure_from_ns + run->options->duration_ns);
    run->clock.server_time_offset_ns = run->setup->server_time_offset_ns;
    for (uint32_t i = 0; i < run->workers_count; i++) {
        atomic_store(&run->workers[i].running, 1);
        int error = pthread_create(&run->threads[i], NULL, worker_main, &run->workers[i]);
        if (error != 0) {
            atomic_store(&run->clock.stop_ns, 0);
            return failure_set(run->failure, EXIT_REFUSED, "starting a thread: %s", strerror(error));
        }
        run->threads_count++;
    }
    return true;
}

static bool any_running(const struct run *run)
{
    for (uint32_t i = 0; i < run->threads_count; i++)
        if (atomic_load(&run->workers[i].running) != 0)
            return true;
    return false;
}

struct progress {
    uint64_t begun_ns;
    uint64_t shown_ns;
    uint64_t answered;
};

static void show_progress(const struct run *run, struct progress *progress, uint64_t now_ns)
{
    uint64_t answered = 0;
    uint64_t accepted = 0;
    for (uint32_t i = 0; i < run->threads_count; i++) {
        answered += atomic_load_explicit(&run->workers[i].answered_now, memory_order_relaxed);
        accepted += atomic_load_explicit(&run->workers[i].accepted_now, memory_order_relaxed);
    }
    double rate = (double)(answered - progress->answered) / clock_seconds(now_ns - progress->shown_ns);
    uint64_t refused = answered > accepted ? answered - accepted : 0;
    fprintf(stderr, "reserve %.0f s%s: %.0f a second; accepted %" PRIu64 ", not accepted %" PRIu64 "\n",
            clock_seconds(now_ns - progress->begun_ns), now_ns < run->clock.measure_from_ns ? " (warm-up)" : "", rate,
            accepted, refused);
    progress->shown_ns = now_ns;
    progress->answered = answered;
}

static void watch(const struct run *run)
{
    uint64_t now_ns = clock_now_ns();
    struct progress progress = { .begun_ns = now_ns, .shown_ns = now_ns };
    while (any_running(run)) {
        struct timespec step = { .tv_nsec = (long)PROGRESS_STEP_NS };
        nanosleep(&step, NULL);
        now_ns = clock_now_ns();
        if (now_ns - progress.shown_ns >= NS_PER_SECOND)
            show_progress(run, &progress, now_ns);
    }
}

/* ---- Gathering ----------------------------------------------------------------------------------------------------- */

static void add_counts(struct load_counts *to, const struct load_counts *from)
{
    to->answered += from->answered;
    for (int i = 0; i < STATUS_SLOTS; i++)
        to->status[i] += from->status[i];
}

static void gather(const struct run *run, struct load_run_result *result)
{
    uint64_t last_answer_ns = run->clock.measure_from_ns;
    for (uint32_t i = 0; i < run->threads_count; i++) {
        const struct load_worker *worker = &run->workers[i];
        add_counts(&result->warmup, &worker->warmup);
        add_counts(&result->measured, &worker->measured);
        histogram_merge(&result->latency_ns, &worker->latency_ns);
        result->cpu_ns += worker->cpu_ns;
        result->unknown += worker->unknown;
        result->unsent += worker->unsent;
        last_answer_ns = worker->last_answer_ns > last_answer_ns ? worker->last_answer_ns : last_answer_ns;
        if (failure_is_set(&worker->failure))
            failure_set(run->failure, worker->failure.exit_code, "%s", worker->failure.text);
    }
    result->duration_ns = last_answer_ns - run->clock.measure_from_ns;
}

static void run_free(struct run *run)
{
    for (uint32_t i = 0; i < run->workers_count; i++)
        load_worker_free(&run->workers[i]);
    for (uint32_t i = 0; i < run->targets_count; i++)
        load_targets_free(&run->targets[i]);
    free(run->workers);
    free(run->threads);
    free(run->targets);
}

bool load_run(const struct load_run_options *options, const struct load_setup *setup, struct load_run_result *result,
              struct failure *failure)
{
    REQUIRE(options->threads >= 1);
    REQUIRE(options->threads <= options->connections);
    struct run run = { .options = options, .setup = setup, .failure = failure };
    memset(result, 0, sizeof *result);
    if (make_targets(&run) && make_workers(&run)) {
        if (start_threads(&run))
            watch(&run);
        for (uint32_t i = 0; i < run.threads_count; i++)
            pthread_join(run.threads[i], NULL);
        gather(&run, result);
    }
    run_free(&run);
    return !failure_is_set(failure);
}
