/* What `innkeep-bench reserve` tells at its end, as text or JSON. */
#ifndef BENCH_RESERVE_REPORT_H
#define BENCH_RESERVE_REPORT_H

#include "bench/load_run.h"

#include <stdio.h>

#define SHARDS_MAX 1024 /* whose positions are reported */

struct reserve_probe {
    bool done;
    struct histogram latency_ns;
};

struct reserve_report {
    const struct load_run_options *options;
    const struct load_setup_options *setup_options;
    const struct load_setup *setup;
    const struct load_run_result *result;
    const struct failure *failure;
    const struct inn_status_result *before; /* by shard; NULL if not known */
    const struct inn_status_result *after;
    struct reserve_probe disk;
    struct reserve_probe loopback;
};

/* How the items of a part of the run went. Accepted: OK. Refused: the engine said no, or the server had no room for it just then
 * (LIMIT_REACHED, OVERLOADED, DISK_FULL, SHUTTING_DOWN). Errors: everything else, which an honest load never gets. */
struct reserve_verdicts {
    uint64_t accepted;
    uint64_t refused;
    uint64_t errors;
};
struct reserve_verdicts reserve_verdicts_of(const struct load_counts *counts);

/* With one reserve under way at a time and both probes: the median latency as a multiple of what it cannot be less than, the medians of a round trip
 * and a durable write together. 0 otherwise. */
double reserve_to_raw(const struct reserve_report *report);

/* Accepted items in a hundred answered ones; 100 if none were. */
double reserve_accepted_percent(const struct load_counts *counts);

void reserve_report_json(const struct reserve_report *report, FILE *out);
void reserve_report_text(const struct reserve_report *report, FILE *out);

#endif
