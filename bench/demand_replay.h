/* The demand replay itself: all events through one pipeline a hotel, each hotel's in the defined order.
 *
 * Nothing waits for an answer. A property's commands are decided in the order in which one connection sends them, and a
 * cancellation names the reservation by the key of its request; if that request was refused, the cancellation finds no
 * reservation and changes nothing, which is what "skipped" means. So the pipeline is always full and the result is exactly
 * that of doing one event at a time. Every answer is checked against what its event allows; anything else ends the run.
 *
 * A second run with the same seed, soon enough for the server to remember all keys, goes on where the first was cut off:
 * what had taken effect is answered again with the first outcome, what had not takes effect now. */
#ifndef BENCH_DEMAND_REPLAY_H
#define BENCH_DEMAND_REPLAY_H

#include "bench/demand_plan.h"

struct demand_counts {
    uint64_t requests; /* answered */
    uint64_t accepted;
    uint64_t sold_out;
    uint64_t cancelled;
    uint64_t cancellations_of_refused; /* skipped, as the definition wants */
    uint64_t replayed;                 /* of all answers: those that an earlier run had caused */
    uint64_t unknown;                  /* sent, not answered */
    uint64_t unsent;                   /* never reached the server */
};

struct demand_options {
    const char *server;
    uint32_t window; /* events of one hotel under way */
    uint32_t batch;  /* items of a message at most */
    uint64_t within_ns;
};

/* Runs all events, with a line of progress on stderr each second. False with *failure filled in; the counts then hold what was
 * answered until there. */
MUST_USE bool demand_replay(const struct demand_plan *plan, const struct demand_options *options,
                            struct demand_counts *counts, struct failure *failure);

#endif
