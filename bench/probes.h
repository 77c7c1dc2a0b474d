/* What the machine itself can do, measured in the same run as the server, so that figures from different or noisy machines can be
 * compared: one durable 4 KiB write after the other, and one small message there and back over loopback. */
#ifndef BENCH_PROBES_H
#define BENCH_PROBES_H

#include "bench/failure.h"
#include "engine/base/histogram.h"

#include <stdint.h>

/* Writes 4 KiB blocks with O_DIRECT and RWF_DSYNC, one at a time on a ring like the log's, round and round a zero-filled file in `directory`
 * (16 MiB, gone afterwards), for duration_ns, and adds how long each took to *latency_ns. False with *failure filled in. */
MUST_USE bool probe_disk(const char *directory, uint64_t duration_ns, struct histogram *latency_ns,
                         struct failure *failure);

/* Sends 120 bytes, a reserve's size, to a second thread over a TCP connection on loopback and waits until they are back, both
 * sides with epoll, for duration_ns. */
MUST_USE bool probe_loopback(uint64_t duration_ns, struct histogram *latency_ns, struct failure *failure);

#endif
