/* A whole load: connections spread over threads, a warm-up, the measurement, a line of progress each second. */
#ifndef BENCH_LOAD_RUN_H
#define BENCH_LOAD_RUN_H

#include "bench/load_setup.h"
#include "bench/load_worker.h"

struct load_run_options {
    const char *server;
    struct load_options load;
    struct load_shape shape;
    uint32_t connections;
    uint32_t threads; /* at most `connections` */
    bool affinity;    /* each connection asks for a shard in turn, and only for what lives there */
    uint64_t warmup_ns;
    uint64_t duration_ns;
    uint64_t seed;
};

struct load_run_result {
    struct load_counts warmup;
    struct load_counts measured;
    struct histogram latency_ns;
    uint64_t duration_ns; /* from the end of the warm-up to the last answer */
    uint64_t cpu_ns;      /* of the generator's threads over that time */
    uint64_t unknown;
    uint64_t unsent;
};

/* Runs against what load_setup_run prepared. False with *failure filled in; *result then holds what was answered until there. */
MUST_USE bool load_run(const struct load_run_options *options, const struct load_setup *setup,
                       struct load_run_result *result, struct failure *failure);

#endif
