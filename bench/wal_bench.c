/* innkeep-wal-bench: how near the log comes to what the disk can do.
 *
 * For each frame size and depth the log and the bare writes take turns, round by round, in one process and one folder, so that both meet the
 * same moods of the disk. Rates are the medians of the rounds; the ratio is the median of each round's own. */
#include "bench/arguments.h"
#include "bench/clock.h"
#include "bench/failure.h"
#include "bench/log_lane.h"
#include "bench/raw_lane.h"
#include "wal/directory.h"

#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROUNDS_MAX 101
#define SEGMENTS_BESIDE 3 /* about so many of the log's segments are not ready: in use, next, spare */

static const uint32_t frame_sizes[] = { 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB };
static const uint32_t depths[] = { 1, 2, 4 };

struct arguments {
    const char *directory;
    uint64_t rounds;
    uint64_t round_ns;
    uint64_t segment_size;
    uint64_t ready;
    uint64_t record_size;
    uint64_t only_size;  /* 0: all */
    uint64_t only_depth; /* 0: all */
    bool plain_files;
    bool json;
};

/* One frame size at one depth. */
struct cell {
    struct lane_shape shape;
    double raw_rates[ROUNDS_MAX]; /* frames a second, each round's */
    double log_rates[ROUNDS_MAX];
    struct histogram raw_latency;
    struct histogram log_latency;
    struct wal_state state;
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

/* ---- Measuring ------------------------------------------------------------------------------------------------------------- */

static double rate(const struct lane_round *round)
{
    return (double)round->frames / clock_seconds(round->duration_ns);
}

static bool rounds_run(struct cell *cell, const struct arguments *arguments, struct log_lane *log, struct raw_lane *raw,
                       struct failure *failure)
{
    for (uint64_t i = 0; i < arguments->rounds; i++) {
        struct lane_round of_log;
        struct lane_round of_raw;
        bool log_first = i % 2 == 1;
        if (interrupted)
            return failure_set(failure, EXIT_REFUSED, "interrupted");
        if (log_first && !log_lane_run(log, arguments->round_ns, &of_log, failure))
            return false;
        if (!raw_lane_run(raw, arguments->round_ns, &of_raw, failure))
            return false;
        if (!log_first && !log_lane_run(log, arguments->round_ns, &of_log, failure))
            return false;
        cell->log_rates[i] = rate(&of_log);
        cell->raw_rates[i] = rate(&of_raw);
    }
    return true;
}

static bool cell_run(struct cell *cell, const struct arguments *arguments, struct raw_lane *raw,
                     struct failure *failure)
{
    char path[WAL_PATH_SIZE];
    struct log_lane *log = NULL;
    if (snprintf(path, sizeof path, "%s/innkeep-wal-bench-%d", arguments->directory, (int)getpid()) >= (int)sizeof path)
        return failure_set(failure, EXIT_USAGE, "%s: the path is too long", arguments->directory);
    bool fine = log_lane_open(&log, path, &cell->shape, failure) &&
                raw_lane_shape(raw, cell->shape.frame_size, cell->shape.depth, failure) &&
                rounds_run(cell, arguments, log, raw, failure);
    if (fine) {
        cell->state = log_lane_state(log);
        cell->log_latency = *log_lane_latency(log);
        cell->raw_latency = *raw_lane_latency(raw);
    }
    log_lane_close(log);
    return fine;
}

static int rate_order(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const double *rates, uint64_t count)
{
    double sorted[ROUNDS_MAX];
    memcpy(sorted, rates, count * sizeof rates[0]);
    qsort(sorted, count, sizeof sorted[0], rate_order);
    return count % 2 == 1 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

/* Of the rounds' own ratios. */
static double median_ratio(const struct cell *cell, uint64_t rounds)
{
    double ratios[ROUNDS_MAX];
    for (uint64_t i = 0; i < rounds; i++)
        ratios[i] = cell->log_rates[i] / cell->raw_rates[i];
    return median(ratios, rounds);
}

/* ---- Reporting ------------------------------------------------------------------------------------------------------------- */

static double megabytes(const struct cell *cell, double frames)
{
    return frames * cell->shape.frame_size / 1e6;
}

static double percentile_us(const struct histogram *histogram, double share)
{
    return (double)histogram_percentile(histogram, share) / (double)NS_PER_US;
}

static void print_head(void)
{
    printf(
        "  size depth |  raw MB/s frames/s   p50   p99 us |  log MB/s frames/s   p50   p99 us | log/raw  segments\n");
}

static void print_cell(const struct cell *cell, uint64_t rounds)
{
    double raw = median(cell->raw_rates, rounds);
    double log = median(cell->log_rates, rounds);
    printf("%4u K %5u | %9.1f %8.0f %5.0f %8.0f | %9.1f %8.0f %5.0f %8.0f | %6.1f %%  %" PRIu64 "\n",
           cell->shape.frame_size / (uint32_t)KIB, cell->shape.depth, megabytes(cell, raw), raw,
           percentile_us(&cell->raw_latency, 0.5), percentile_us(&cell->raw_latency, 0.99), megabytes(cell, log), log,
           percentile_us(&cell->log_latency, 0.5), percentile_us(&cell->log_latency, 0.99),
           100 * median_ratio(cell, rounds), cell->state.segment_sequence);
    if (cell->state.stalls > 0)
        printf("             the log stood still %" PRIu64 " times for want of a ready segment\n", cell->state.stalls);
    fflush(stdout);
}

static json_t *lane_json(const struct cell *cell, const double *rates, const struct histogram *latency, uint64_t rounds)
{
    double middle = median(rates, rounds);
    json_t *all = json_array();
    for (uint64_t i = 0; i < rounds; i++)
        ENSURE(json_array_append_new(all, json_real(rates[i])) == 0);
    return json_pack("{s:f,s:f,s:o,s:f,s:f,s:f,s:f}", "frames_per_second", middle, "bytes_per_second",
                     middle * cell->shape.frame_size, "rounds_frames_per_second", all, "p50_us",
                     percentile_us(latency, 0.5), "p99_us", percentile_us(latency, 0.99), "p999_us",
                     percentile_us(latency, 0.999), "max_us", (double)latency->max / (double)NS_PER_US);
}

static json_t *cell_json(const struct cell *cell, uint64_t rounds)
{
    return json_pack("{s:I,s:I,s:o,s:o,s:f,s:I,s:I,s:I,s:I}", "frame_size", (json_int_t)cell->shape.frame_size, "depth",
                     (json_int_t)cell->shape.depth, "raw", lane_json(cell, cell->raw_rates, &cell->raw_latency, rounds),
                     "log", lane_json(cell, cell->log_rates, &cell->log_latency, rounds), "log_to_raw",
                     median_ratio(cell, rounds), "segments", (json_int_t)cell->state.segment_sequence,
                     "segments_recycled", (json_int_t)cell->state.segments_recycled, "stalls",
                     (json_int_t)cell->state.stalls, "depth_highest", (json_int_t)cell->state.depth_highest);
}

static void print_json(json_t *cells, const struct arguments *arguments, double lowest)
{
    json_t *report =
        json_pack("{s:s,s:I,s:f,s:I,s:I,s:I,s:f,s:o}", "directory", arguments->directory, "rounds",
                  (json_int_t)arguments->rounds, "round_seconds", clock_seconds(arguments->round_ns), "segment_size",
                  (json_int_t)arguments->segment_size, "ready", (json_int_t)arguments->ready, "record_size",
                  (json_int_t)arguments->record_size, "lowest_log_to_raw", lowest, "cells", cells);
    ENSURE(report != NULL);
    json_dumpf(report, stdout, JSON_REAL_PRECISION(8));
    printf("\n");
    json_decref(report);
}

/* ---- The run ------------------------------------------------------------------------------------------------------------------ */

static bool cell_is_wanted(const struct arguments *arguments, uint32_t size, uint32_t depth)
{
    return (arguments->only_size == 0 || arguments->only_size == size / KIB) &&
           (arguments->only_depth == 0 || arguments->only_depth == depth);
}

static bool cell_do(struct cell *cell, const struct arguments *arguments, struct raw_lane *raw, json_t *cells,
                    double *lowest, struct failure *failure)
{
    if (!cell_run(cell, arguments, raw, failure))
        return false;
    double ratio = median_ratio(cell, arguments->rounds);
    *lowest = ratio < *lowest ? ratio : *lowest;
    if (arguments->json)
        ENSURE(json_array_append_new(cells, cell_json(cell, arguments->rounds)) == 0);
    else
        print_cell(cell, arguments->rounds);
    return true;
}

static bool cells_run(const struct arguments *arguments, struct raw_lane *raw, json_t *cells, double *lowest,
                      struct failure *failure)
{
    static struct cell cell; /* large */
    for (size_t i = 0; i < sizeof frame_sizes / sizeof frame_sizes[0]; i++) {
        for (size_t j = 0; j < sizeof depths / sizeof depths[0]; j++) {
            if (!cell_is_wanted(arguments, frame_sizes[i], depths[j]))
                continue;
            memset(&cell, 0, sizeof cell);
            cell.shape = (struct lane_shape){
                .frame_size = frame_sizes[i],
                .depth = depths[j],
                .record_size = (uint32_t)arguments->record_size,
                .segment_size = arguments->segment_size,
                .ready_min = (uint32_t)arguments->ready,
                .plain_files = arguments->plain_files,
            };
            if (arguments->json)
                fprintf(stderr, "%u KiB at depth %u\n", frame_sizes[i] / (uint32_t)KIB, depths[j]);
            if (!cell_do(&cell, arguments, raw, cells, lowest, failure))
                return false;
        }
    }
    return true;
}

/* The bare writes go round as much of the disk as the log does: what is under the disk may have a cache, too. */
static uint64_t raw_file_size(const struct arguments *arguments)
{
    return (arguments->ready + SEGMENTS_BESIDE) * arguments->segment_size;
}

static int run(const struct arguments *arguments)
{
    struct failure failure = { .exit_code = EXIT_DONE };
    struct raw_lane *raw = NULL;
    json_t *cells = json_array();
    double lowest = 1e9;
    if (!arguments->json)
        print_head();
    bool fine = raw_lane_open(&raw, arguments->directory, raw_file_size(arguments), &failure) &&
                cells_run(arguments, raw, cells, &lowest, &failure);
    raw_lane_close(raw);
    if (!fine) {
        json_decref(cells);
        fprintf(stderr, "innkeep-wal-bench: %s\n", failure.text);
        return failure.exit_code;
    }
    if (arguments->json) {
        print_json(cells, arguments, lowest);
        return EXIT_DONE;
    }
    json_decref(cells);
    printf("lowest: %.1f %%\n", 100 * lowest);
    return EXIT_DONE;
}

/* ---- Arguments ---------------------------------------------------------------------------------------------------------------- */

enum option_key {
    OPTION_SEGMENT = 256,
    OPTION_READY,
    OPTION_RECORD,
    OPTION_SIZE,
    OPTION_DEPTH,
    OPTION_PLAIN_FILES,
};

static const struct argp_option options[] = {
    { "directory", 'd', "DIR", 0, "Where to write; on the disk to be measured (default: here)", 1 },
    { "rounds", 'r', "N", 0, "Rounds of each lane at each size and depth (default 15)", 1 },
    { "seconds", 't', "S", 0, "How long a round writes (default 0.2)", 1 },
    { "json", 'j', NULL, 0, "Print one JSON object", 1 },
    { "size", OPTION_SIZE, "KIB", 0, "Only frames of 4, 16, 64 or 256 KiB", 2 },
    { "depth", OPTION_DEPTH, "N", 0, "Only depth 1, 2 or 4", 2 },
    { "segment", OPTION_SEGMENT, "MIB", 0, "Size of the log's segments (default 64)", 2 },
    { "ready", OPTION_READY, "N", 0, "Segments that the log keeps ready, 2 to 16 (default 8); innkeepd keeps 2", 2 },
    { "record", OPTION_RECORD, "BYTES", 0, "Size of the records, a multiple of 8 (default 96, about a reserve's)", 2 },
    { "plain-files", OPTION_PLAIN_FILES, NULL, 0, "Do not register the log's segments with the ring", 2 },
    { 0 },
};

static bool size_is_known(uint64_t kib)
{
    for (size_t i = 0; i < sizeof frame_sizes / sizeof frame_sizes[0]; i++)
        if (frame_sizes[i] == kib * KIB)
            return true;
    return false;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case 'd':
        arguments->directory = text;
        return 0;
    case 'r':
        arguments->rounds = argument_number(state, "rounds", text, (struct bounds){ 1, ROUNDS_MAX });
        return 0;
    case 't':
        arguments->round_ns = argument_seconds(state, "seconds", text, (struct bounds){ 0, 60 });
        return 0;
    case 'j':
        arguments->json = true;
        return 0;
    case OPTION_SIZE:
        arguments->only_size = argument_number(state, "size", text, (struct bounds){ 4, 256 });
        if (!size_is_known(arguments->only_size))
            argp_error(state, "--size: %s is none of 4, 16, 64 and 256", text);
        return 0;
    case OPTION_DEPTH:
        arguments->only_depth = argument_number(state, "depth", text, (struct bounds){ 1, 4 });
        if (arguments->only_depth == 3)
            argp_error(state, "--depth: %s is none of 1, 2 and 4", text);
        return 0;
    case OPTION_SEGMENT:
        arguments->segment_size = argument_number(state, "segment", text, (struct bounds){ 1, 512 }) * MIB;
        return 0;
    case OPTION_READY:
        arguments->ready = argument_number(state, "ready", text, (struct bounds){ 2, 16 });
        return 0;
    case OPTION_RECORD:
        arguments->record_size = argument_number(state, "record", text, (struct bounds){ 32, 32768 });
        if (arguments->record_size % RECORD_ALIGNMENT != 0)
            argp_error(state, "--record: %s is not a multiple of 8", text);
        return 0;
    case OPTION_PLAIN_FILES:
        arguments->plain_files = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "there is no argument '%s'", text);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int main(int argc, char **argv)
{
    argp_err_exit_status = EXIT_USAGE;
    argp_program_version = "innkeep-wal-bench " INNKEEP_VERSION;
    struct arguments arguments = {
        .directory = ".",
        .rounds = 15,
        .round_ns = 200 * NS_PER_MS,
        .segment_size = 64 * MIB,
        .ready = 8,
        .record_size = 96,
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .doc =
            "Compares the write-ahead log with bare O_DIRECT writes with RWF_DSYNC of the same size and depth into a "
            "file filled with zeros, in turns, and prints the medians. Needs about 1.5 GiB of free space; leaves "
            "nothing behind.\v"
            "Example: innkeep-wal-bench --directory /var/lib/innkeep --rounds 7\n\n"
            "Exit status: 0 done, 1 the disk or the kernel refused, 2 usage.",
    };
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    signal(SIGINT, on_interrupt);
    signal(SIGTERM, on_interrupt);
    return run(&arguments);
}
