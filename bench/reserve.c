/* innkeep-bench reserve: as many reserves as the server takes, with their latencies.
 *
 * Honest by default: rooms enough that nearly all are accepted, keys that are new and random while it runs, every cell of the
 * inventory written before the measurement begins, a warm-up that does not count. */
#include "bench/arguments.h"
#include "bench/commands.h"
#include "bench/load_message.h"
#include "bench/probes.h"
#include "bench/reserve_report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define HONEST_PERCENT 99.0

struct arguments {
    bool json;
    bool rooms_given;
    const char *disk_directory;
    bool loopback;
    uint64_t probe_ns;
    struct load_run_options run;
    struct load_setup_options setup;
};

enum option_key {
    OPTION_PROPERTIES = 256,
    OPTION_ROOM_TYPES,
    OPTION_NIGHTS,
    OPTION_ROOMS,
    OPTION_STAY,
    OPTION_DISTRIBUTION,
    OPTION_THREADS,
    OPTION_AFFINITY,
    OPTION_WARMUP,
    OPTION_WITHIN,
    OPTION_SEED,
    OPTION_PROPERTY_BASE,
    OPTION_PROBE_DISK,
    OPTION_PROBE_LOOPBACK,
    OPTION_PROBE_SECONDS,
};

static const struct argp_option options[] = {
    { "server", 's', "HOST:PORT", 0, "The server (default " INN_ADDRESS_DEFAULT ")", 1 },
    { "connections", 'c', "C", 0, "Connections (default 64)", 1 },
    { "pipeline", 'p', "P", 0, "Reserves of a connection under way (default 1); made a multiple of the batch", 1 },
    { "batch", 'b', "B", 0, "Reserves of a message (default 1)", 1 },
    { "seconds", 't', "S", 0, "How long to measure (default 10)", 1 },
    { "warmup", OPTION_WARMUP, "S", 0, "How long to run before (default 1)", 1 },
    { "threads", OPTION_THREADS, "N", 0, "Threads of this generator (default 1)", 1 },
    { "json", 'j', NULL, 0, "Print one JSON object", 1 },
    { "properties", OPTION_PROPERTIES, "N", 0, "Properties (default 64)", 2 },
    { "room-types", OPTION_ROOM_TYPES, "M", 0, "Room types of each property (default 16)", 2 },
    { "nights", OPTION_NIGHTS, "N", 0, "Stays lie within so many nights (default 365)", 2 },
    { "rooms", OPTION_ROOMS, "R", 0, "Rooms of a room type made here (default 32767, the most there can be)", 2 },
    { "stay", OPTION_STAY, "N", 0, "Nights of a reserve (default 3)", 2 },
    { "distribution", OPTION_DISTRIBUTION, "KIND", 0,
      "uniform: every room type alike (default). zipf: Zipf's law with exponent 0.99 over all room types. hot: all to "
      "one property",
      2 },
    { "property-base", OPTION_PROPERTY_BASE, "N", 0, "Properties are N + 1 and on (default 1000)", 2 },
    { "affinity", OPTION_AFFINITY, NULL, 0, "Each connection belongs to a shard and asks only for what lives there",
      2 },
    { "within", OPTION_WITHIN, "SECONDS", 0, "Deadline of each reserve (default 60)", 2 },
    { "seed", OPTION_SEED, "N", 0, "Repeatable choices and keys (default: random)", 2 },
    { "probe-disk", OPTION_PROBE_DISK, "DIR", 0,
      "Measure durable 4 KiB writes in DIR, too, half before the load and half after", 3 },
    { "probe-loopback", OPTION_PROBE_LOOPBACK, NULL, 0, "Measure bare round trips over loopback, too", 3 },
    { "probe-seconds", OPTION_PROBE_SECONDS, "S", 0, "How long each probe takes (default 1)", 3 },
    { 0 },
};

static error_t parse_load_option(int key, const char *text, const struct argp_state *state, struct arguments *arguments)
{
    struct load_run_options *run = &arguments->run;
    switch (key) {
    case 's':
        run->server = text;
        return 0;
    case 'c':
        run->connections = (uint32_t)argument_number(state, "connections", text, (struct bounds){ 1, 100000 });
        return 0;
    case 'p':
        run->load.pipeline = (uint32_t)argument_number(state, "pipeline", text, (struct bounds){ 1, 1000000 });
        return 0;
    case 'b':
        run->load.batch = (uint32_t)argument_number(state, "batch", text, (struct bounds){ 1, MESSAGE_ITEMS_MAX });
        return 0;
    case 't':
        run->duration_ns = argument_seconds(state, "seconds", text, (struct bounds){ 0, 86400 });
        return 0;
    case OPTION_WARMUP:
        run->warmup_ns = argument_seconds(state, "warmup", text, (struct bounds){ 0, 3600 });
        return 0;
    case OPTION_THREADS:
        run->threads = (uint32_t)argument_number(state, "threads", text, (struct bounds){ 1, 256 });
        return 0;
    case OPTION_WITHIN:
        run->load.within_ns = argument_seconds(state, "within", text, (struct bounds){ 1, 86400 });
        return 0;
    case OPTION_SEED:
        run->seed = argument_number(state, "seed", text, (struct bounds){ 0, INT64_MAX });
        return 0;
    case OPTION_AFFINITY:
        run->affinity = true;
        return 0;
    case 'j':
        arguments->json = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_shape_option(int key, const char *text, const struct argp_state *state,
                                  struct arguments *arguments)
{
    struct load_shape *shape = &arguments->run.shape;
    switch (key) {
    case OPTION_PROPERTIES:
        shape->properties = (uint32_t)argument_number(state, "properties", text, (struct bounds){ 1, 10000000 });
        return 0;
    case OPTION_ROOM_TYPES:
        shape->room_types = (uint32_t)argument_number(state, "room-types", text, (struct bounds){ 1, 100000 });
        return 0;
    case OPTION_NIGHTS:
        arguments->run.load.nights = (uint32_t)argument_number(state, "nights", text, (struct bounds){ 1, NIGHTS_MAX });
        return 0;
    case OPTION_ROOMS:
        arguments->setup.rooms = (uint16_t)argument_number(state, "rooms", text, (struct bounds){ 0, ROOMS_MAX });
        arguments->rooms_given = true;
        return 0;
    case OPTION_STAY:
        arguments->run.load.stay = (uint16_t)argument_number(state, "stay", text, (struct bounds){ 1, NIGHTS_MAX });
        return 0;
    case OPTION_PROPERTY_BASE:
        shape->property_base = argument_number(state, "property-base", text, (struct bounds){ 0, INT64_MAX });
        return 0;
    case OPTION_DISTRIBUTION:
        if (!distribution_parse(text, &shape->distribution))
            argp_error(state, "--distribution: '%s' is not uniform, zipf or hot", text);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_probe_option(int key, const char *text, const struct argp_state *state,
                                  struct arguments *arguments)
{
    switch (key) {
    case OPTION_PROBE_DISK:
        arguments->disk_directory = text;
        return 0;
    case OPTION_PROBE_LOOPBACK:
        arguments->loopback = true;
        return 0;
    case OPTION_PROBE_SECONDS:
        arguments->probe_ns = argument_seconds(state, "probe-seconds", text, (struct bounds){ 0, 60 });
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* A pipeline is counted in reserves and moves in whole messages. */
static void fit_options(const struct argp_state *state, struct arguments *arguments)
{
    struct load_run_options *run = &arguments->run;
    uint32_t batch = run->load.batch;
    if (load_message_size(batch) > MESSAGE_SIZE_MAX)
        argp_error(state, "--batch: %u reserves do not fit a message of %zu bytes", batch, MESSAGE_SIZE_MAX);
    if (run->load.stay > run->load.nights)
        argp_error(state, "--stay %u is longer than --nights %u", run->load.stay, run->load.nights);
    if (run->threads > run->connections)
        argp_error(state, "--threads %u is more than --connections %u", run->threads, run->connections);
    run->load.pipeline = (run->load.pipeline + batch - 1) / batch * batch;
    arguments->setup.server = run->server;
    arguments->setup.shape = run->shape;
    arguments->setup.nights = run->load.nights;
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    error_t error = parse_load_option(key, text, state, arguments);
    if (error == ARGP_ERR_UNKNOWN)
        error = parse_shape_option(key, text, state, arguments);
    if (error == ARGP_ERR_UNKNOWN)
        error = parse_probe_option(key, text, state, arguments);
    if (key != ARGP_KEY_END)
        return error;
    fit_options(state, arguments);
    return 0;
}

static const struct argp parser = {
    .options = options,
    .parser = parse_option,
    .doc = "Keeps reserves under way on many connections and measures how many are answered, and how fast.\v"
           "Exit status: 0 done, 1 unexpected answers, 2 usage, 3 the server is gone or answers are missing.",
};

/* ---- The run ------------------------------------------------------------------------------------------------------- */

/* Before the load and after it: the machine may be of another mood by then. */
static bool run_probes(const struct arguments *arguments, struct reserve_report *report, struct failure *failure)
{
    if (arguments->disk_directory != NULL) {
        report->disk.done =
            probe_disk(arguments->disk_directory, arguments->probe_ns / 2, &report->disk.latency_ns, failure);
        if (!report->disk.done)
            return false;
    }
    if (arguments->loopback)
        report->loopback.done = probe_loopback(arguments->probe_ns / 2, &report->loopback.latency_ns, failure);
    return !failure_is_set(failure);
}

/* The hello says what the server takes; the rest follows. */
static bool fit_to_server(struct load_run_options *run, const struct inn_hello_result *hello, struct failure *failure)
{
    if (run->load.within_ns > hello->deadline_ahead_max_ns / 2)
        run->load.within_ns = hello->deadline_ahead_max_ns / 2;
    if (run->load.batch > hello->items_max || load_message_size(run->load.batch) > hello->message_size_max)
        return failure_set(failure, EXIT_USAGE, "--batch %u is more than the server takes in a message",
                           run->load.batch);
    if (run->load.pipeline > hello->requests_max)
        fprintf(
            stderr,
            "innkeep-bench reserve: the server reads at most %u requests of a connection ahead; with --pipeline %u the "
            "rest waits in the socket\n",
            hello->requests_max, run->load.pipeline);
    return true;
}

static void warn_if_not_honest(const struct arguments *arguments, const struct load_counts *measured)
{
    double percent = reserve_accepted_percent(measured);
    if (percent >= HONEST_PERCENT || arguments->rooms_given)
        return;
    fprintf(stderr,
            "innkeep-bench reserve: only %.1f %% were accepted, so this figure is not one of reserves done. Is the "
            "server's "
            "table of reservations full (LIMIT_REACHED: give it more --memory), or did the room types exist with fewer "
            "rooms?\n",
            percent);
}

static void measure(struct arguments *arguments, struct load_setup *setup, struct reserve_report *report,
                    struct load_run_result *result, struct failure *failure)
{
    static struct inn_status_result before[SHARDS_MAX];
    static struct inn_status_result after[SHARDS_MAX];
    uint32_t shards = setup->hello.shards;
    if (shards > SHARDS_MAX) {
        failure_set(failure, EXIT_REFUSED, "the server has %u shards, more than this generator can report", shards);
        return;
    }
    if (!load_setup_statuses(arguments->run.server, shards, before, failure))
        return;
    report->before = before;
    if (!load_run(&arguments->run, setup, result, failure))
        return;
    if (load_setup_statuses(arguments->run.server, shards, after, failure))
        report->after = after;
    warn_if_not_honest(arguments, &result->measured);
    if (reserve_verdicts_of(&result->measured).errors + reserve_verdicts_of(&result->warmup).errors > 0)
        failure_set(failure, EXIT_REFUSED,
                    "some answers were none that a reserve of this load can get; see the statuses");
}

static void run_all(struct arguments *arguments, struct failure *failure)
{
    struct load_run_result result = { 0 };
    struct load_setup setup = { 0 };
    struct reserve_report report = { .options = &arguments->run, .setup_options = &arguments->setup };
    report.setup = &setup;
    report.result = &result;
    report.failure = failure;
    bool ready = run_probes(arguments, &report, failure) && load_setup_run(&setup, &arguments->setup, failure) &&
                 fit_to_server(&arguments->run, &setup.hello, failure);
    if (ready)
        measure(arguments, &setup, &report, &result, failure);
    if (ready && !failure_is_set(failure))
        (void)run_probes(arguments, &report, failure);
    (arguments->json ? reserve_report_json : reserve_report_text)(&report, stdout);
    load_setup_free(&setup);
}

int command_reserve(int argc, char **argv)
{
    struct arguments arguments = { .probe_ns = NS_PER_SECOND };
    arguments.run = (struct load_run_options){
        .server = INN_ADDRESS_DEFAULT,
        .load = { .pipeline = 1, .batch = 1, .nights = 365, .stay = 3, .within_ns = 60 * NS_PER_SECOND },
        .shape = { .property_base = 1000, .properties = 64, .room_types = 16 },
        .connections = 64,
        .threads = 1,
        .warmup_ns = NS_PER_SECOND,
        .duration_ns = 10 * NS_PER_SECOND,
        .seed = random_seed() >> 1,
    };
    arguments.setup.rooms = ROOMS_MAX;
    argp_parse(&parser, argc, argv, 0, NULL, &arguments);
    struct failure failure = { 0 };
    run_all(&arguments, &failure);
    if (failure_is_set(&failure))
        fprintf(stderr, "innkeep-bench reserve: %s\n", failure.text);
    return failure.exit_code;
}
