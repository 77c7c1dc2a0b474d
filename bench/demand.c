/* innkeep-bench demand: replays two years of real bookings and says what came of them. */
#include "bench/arguments.h"
#include "bench/clock.h"
#include "bench/commands.h"
#include "bench/demand_replay.h"
#include "bench/demand_server.h"
#include "bench/random.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

struct arguments {
    const char *csv;
    const char *capacity;
    const char *calendar;
    bool json;
    uint64_t property_base;
    uint64_t seed;
    struct demand_options options;
};

struct run {
    struct demand_plan plan;
    struct demand_counts counts;
    struct failure failure;
    size_t calendar_rows;
    uint64_t duration_ns; /* of the replay alone */
};

enum option_key { OPTION_PROPERTY_BASE = 256, OPTION_SEED, OPTION_WINDOW, OPTION_BATCH, OPTION_WITHIN };

static const struct argp_option options[] = {
    { "server", 's', "HOST:PORT", 0, "The server (default " INN_ADDRESS_DEFAULT ")", 0 },
    { "csv", 'f', "FILE", 0, "The bookings, as CSV or gzipped CSV", 0 },
    { "capacity", 'c', "FILE", 0, "CSV with the columns hotel, room_type, rooms", 0 },
    { "calendar", 'o', "OUT.csv", 0, "Write the final calendar, read back from the server, there", 0 },
    { "json", 'j', NULL, 0, "Print one JSON object", 0 },
    { "property-base", OPTION_PROPERTY_BASE, "N", 0, "The hotels are properties N + 1 and N + 2 (default 0)", 0 },
    { "seed", OPTION_SEED, "N", 0,
      "Derive all keys from N: a second run with the same seed finishes one that was cut off (default: random)", 0 },
    { "window", OPTION_WINDOW, "N", 0, "Events of a hotel under way (default 2048)", 0 },
    { "batch", OPTION_BATCH, "N", 0, "Items of a message at most (default 128)", 0 },
    { "within", OPTION_WITHIN, "SECONDS", 0,
      "The deadline of each command; also how long a refusal is remembered (default 600, or half of what the server "
      "allows)",
      0 },
    { 0 },
};

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case 's':
        arguments->options.server = text;
        return 0;
    case 'f':
        arguments->csv = text;
        return 0;
    case 'c':
        arguments->capacity = text;
        return 0;
    case 'o':
        arguments->calendar = text;
        return 0;
    case 'j':
        arguments->json = true;
        return 0;
    case OPTION_PROPERTY_BASE:
        arguments->property_base =
            argument_number(state, "property-base", text, (struct bounds){ 0, UINT64_MAX - HOTELS_COUNT });
        return 0;
    case OPTION_SEED:
        arguments->seed = argument_number(state, "seed", text, (struct bounds){ 0, INT64_MAX });
        return 0;
    case OPTION_WINDOW:
        arguments->options.window = (uint32_t)argument_number(state, "window", text, (struct bounds){ 1, 1000000 });
        return 0;
    case OPTION_BATCH:
        arguments->options.batch = (uint32_t)argument_number(state, "batch", text, (struct bounds){ 1, 1024 });
        return 0;
    case OPTION_WITHIN:
        arguments->options.within_ns = argument_seconds(state, "within", text, (struct bounds){ 1, 86400 });
        return 0;
    case ARGP_KEY_END:
        if (arguments->csv == NULL || arguments->capacity == NULL)
            argp_error(state, "--csv and --capacity are needed");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp parser = {
    .options = options,
    .parser = parse_option,
    .doc =
        "Replays real hotel bookings against the server and counts what came of them.\v"
        "Exit status: 0 done, 1 the server answered what it should not have, 2 usage, 3 no answer or outcomes unknown.",
};

/* ---- The run ------------------------------------------------------------------------------------------------------- */

static bool connect_to_server(struct arguments *arguments, struct inn_connection **connection, struct failure *failure)
{
    struct inn_options inn_options;
    struct inn_error error;
    inn_options_init(&inn_options);
    inn_options.client = "innkeep-bench demand";
    inn_options.retry = 0;
    inn_options.within_ns = arguments->options.within_ns;
    int verdict = inn_connect(connection, arguments->options.server, &inn_options, &error);
    if (verdict == INN_OK)
        return true;
    return failure_set(failure, verdict == INN_BAD_ARGUMENT ? EXIT_USAGE : EXIT_NO_ANSWER, "%s: %s",
                       inn_verdict_name(verdict), error.text);
}

/* A deadline further ahead than the server allows would be refused; half of it leaves room for clocks that disagree. */
static void fit_to_server(struct arguments *arguments, const struct inn_hello_result *hello)
{
    struct demand_options *fitted = &arguments->options;
    if (fitted->within_ns > hello->deadline_ahead_max_ns / 2)
        fitted->within_ns = hello->deadline_ahead_max_ns / 2;
    if (fitted->window > hello->requests_max)
        fitted->window = hello->requests_max;
    if (fitted->batch > fitted->window)
        fitted->batch = fitted->window;
}

static bool read_calendar(struct run *run, const char *path, struct inn_connection *connection)
{
    FILE *out = NULL;
    if (path != NULL && (out = fopen(path, "w")) == NULL)
        return failure_set(&run->failure, EXIT_USAGE, "%s: %s", path, strerror(errno));
    bool read = demand_server_calendar(&run->plan, connection, out, &run->calendar_rows, &run->failure);
    bool write_failed = out != NULL && ferror(out) != 0;
    if (out != NULL && (fclose(out) != 0 || write_failed))
        return failure_set(&run->failure, EXIT_REFUSED, "%s: could not be written", path);
    return read;
}

/* The hello of the first connection says what the server takes, so the deadlines of the set-up are those of the user or the
 * library's own. */
static void run_against_server(struct run *run, struct arguments *arguments)
{
    struct inn_connection *connection = NULL;
    if (!connect_to_server(arguments, &connection, &run->failure))
        return;
    fit_to_server(arguments, inn_hello(connection));
    inn_close(connection);
    if (!connect_to_server(arguments, &connection, &run->failure))
        return;
    if (demand_server_prepare(&run->plan, connection, &run->failure)) {
        uint64_t begun_ns = clock_now_ns();
        bool complete = demand_replay(&run->plan, &arguments->options, &run->counts, &run->failure);
        run->duration_ns = clock_now_ns() - begun_ns;
        if (complete)
            (void)read_calendar(run, arguments->calendar, connection);
    }
    inn_close(connection);
}

/* ---- The report ---------------------------------------------------------------------------------------------------- */

static double events_per_second(const struct run *run)
{
    uint64_t events = run->counts.requests + run->counts.cancelled + run->counts.cancellations_of_refused;
    return run->duration_ns == 0 ? 0 : (double)events / clock_seconds(run->duration_ns);
}

static void print_json(const struct run *run)
{
    const struct demand_counts *counts = &run->counts;
    json_t *report =
        json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f}", "complete",
                  !failure_is_set(&run->failure), "requests", (json_int_t)counts->requests, "accepted",
                  (json_int_t)counts->accepted, "sold_out", (json_int_t)counts->sold_out, "cancelled",
                  (json_int_t)counts->cancelled, "skipped", (json_int_t)run->plan.bookings.skipped, "calendar_rows",
                  (json_int_t)run->calendar_rows, "cancellations_of_refused",
                  (json_int_t)counts->cancellations_of_refused, "replayed", (json_int_t)counts->replayed, "unknown",
                  (json_int_t)counts->unknown, "unsent", (json_int_t)counts->unsent, "seed", (json_int_t)run->plan.seed,
                  "seconds", clock_seconds(run->duration_ns), "events_per_second", events_per_second(run));
    ENSURE(report != NULL);
    if (failure_is_set(&run->failure))
        json_object_set_new(report, "error", json_string(run->failure.text));
    json_dumpf(report, stdout, JSON_REAL_PRECISION(8));
    putchar('\n');
    json_decref(report);
}

static void print_text(const struct run *run)
{
    const struct demand_counts *counts = &run->counts;
    printf("requests       %10" PRIu64 "\n", counts->requests);
    printf("accepted       %10" PRIu64 "\n", counts->accepted);
    printf("sold out       %10" PRIu64 "\n", counts->sold_out);
    printf("cancelled      %10" PRIu64 "\n", counts->cancelled);
    printf("skipped        %10zu\n", run->plan.bookings.skipped);
    printf("calendar rows  %10zu\n", run->calendar_rows);
    if (counts->replayed > 0)
        printf("replayed       %10" PRIu64 "   (answers that an earlier run had caused)\n", counts->replayed);
    if (failure_is_set(&run->failure))
        printf("unknown        %10" PRIu64 "   (sent, not answered)\nunsent         %10" PRIu64 "\n", counts->unknown,
               counts->unsent);
    printf("%.2f s, %.0f events a second; seed %" PRIu64 "\n", clock_seconds(run->duration_ns), events_per_second(run),
           run->plan.seed);
}

int command_demand(int argc, char **argv)
{
    struct arguments arguments = { .seed = UINT64_MAX };
    arguments.options = (struct demand_options){
        .server = INN_ADDRESS_DEFAULT, .window = 2048, .batch = 128, .within_ns = 600 * NS_PER_SECOND
    };
    argp_parse(&parser, argc, argv, 0, NULL, &arguments);
    struct run run = { 0 };
    run.plan.property_base = arguments.property_base;
    run.plan.seed = arguments.seed != UINT64_MAX ? arguments.seed : random_seed() >> 1;
    bool readable = demand_plan_read(&run.plan, arguments.csv, arguments.capacity, &run.failure);
    if (readable) {
        run_against_server(&run, &arguments);
        (arguments.json ? print_json : print_text)(&run);
    }
    if (failure_is_set(&run.failure))
        fprintf(stderr, "innkeep-bench demand: %s\n", run.failure.text);
    demand_plan_free(&run.plan);
    return run.failure.exit_code;
}
