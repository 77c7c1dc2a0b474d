/* One thread of the load: many connections on one epoll, each keeping a fixed number of reserves under way (a closed loop).
 *
 * Built to cost less than the server it measures. A connection's messages are made once and lie side by side; for each use only key,
 * property, room type, arrival and deadline of each item are written, and the checksum. Neighbours that are ready together leave in
 * one system call. Results are read where they arrive.
 *
 * A latency is the time from the call that first tries to send a message to the moment the last of its results has been received; so it
 * includes the wait in the socket when the server does not keep up. The loop is closed: a server that stalls is asked less
 * meanwhile, which percentiles over messages do not show in full; the maximum does. */
#ifndef BENCH_LOAD_WORKER_H
#define BENCH_LOAD_WORKER_H

#include "bench/failure.h"
#include "bench/load_targets.h"
#include "engine/base/histogram.h"

#include <stdatomic.h>

#define STATUS_SLOTS 128 /* every status of the protocol is below it */

struct load_options {
    uint32_t pipeline; /* reserves of a connection under way; a multiple of batch */
    uint32_t batch;    /* reserves of a message */
    uint32_t nights;   /* arrivals and stays lie within so many nights of the business date */
    uint16_t stay;     /* nights of a reserve */
    uint64_t within_ns;
};

/* What came of the items of one part of the run. */
struct load_counts {
    uint64_t answered;
    uint64_t status[STATUS_SLOTS]; /* the last one for any number beyond */
};

/* Shared by all workers; times on the local monotonic clock. */
struct load_clock {
    uint64_t measure_from_ns; /* messages made before it belong to the warm-up */
    _Atomic uint64_t stop_ns; /* no message is made from here on; what is under way is waited for */
    uint64_t server_time_offset_ns;
};

struct load_connection;

struct load_worker {
    const struct load_options *options;
    struct load_clock *clock;
    struct load_connection *connections; /* owned */
    uint32_t connections_count;
    int epoll_fd;
    struct random_source random;
    struct failure failure;
    /* results */
    struct load_counts warmup;
    struct load_counts measured;
    struct histogram latency_ns; /* of measured messages */
    uint64_t last_answer_ns;
    uint64_t cpu_ns;  /* of this thread since measure_from_ns */
    uint64_t unknown; /* items sent and not answered */
    uint64_t unsent;  /* items that never reached the server */
    /* read by others while it runs */
    _Atomic uint64_t answered_now;
    _Atomic uint64_t accepted_now;
    _Atomic int running;
};

/* Makes a worker without connections yet, for at most connections_max. 0 or a negative errno; in either case load_worker_free
 * releases what it holds. */
MUST_USE int load_worker_init(struct load_worker *worker, const struct load_options *options, struct load_clock *clock,
                              uint32_t connections_max, struct random_source random);

/* Takes over an open connection, which draws from `targets` (borrowed). 0 or a negative errno; the descriptor belongs to the worker from
 * here on in any case. */
MUST_USE int load_worker_add(struct load_worker *worker, int fd, const struct load_targets *targets);

/* Runs until clock->stop_ns and until all answers have come, or the server is gone (then worker->failure says so, and stop_ns is
 * brought forward for all), or answers have been missing for too long. */
void load_worker_run(struct load_worker *worker);

void load_worker_free(struct load_worker *worker);

#endif
