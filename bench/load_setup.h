/* Before a load: makes the properties and room types it asks for, and learns what the server is. */
#ifndef BENCH_LOAD_SETUP_H
#define BENCH_LOAD_SETUP_H

#include "bench/failure.h"
#include "bench/load_targets.h"

#include <innkeep/innkeep.h>

struct load_setup_options {
    const char *server;
    struct load_shape shape;
    uint32_t nights; /* arrivals and stays lie within so many nights of the business date */
    uint16_t rooms;  /* of each room type, every night */
};

struct load_setup {
    struct inn_hello_result hello;
    int32_t *business_dates; /* owned, by property */
    uint64_t properties_made;
    uint64_t room_types_made;
    uint64_t server_time_offset_ns; /* server's log time - local monotonic clock, wrapping */
};

/* Makes what is missing, pipelined; what exists is used as it is (ALREADY_EXISTS). Making a room type writes the cell of each of its
 * nights, so the inventory's memory has been touched before anything is measured. False with *failure filled in. In either
 * case load_setup_free releases what was allocated. */
MUST_USE bool load_setup_run(struct load_setup *setup, const struct load_setup_options *options,
                             struct failure *failure);
void load_setup_free(struct load_setup *setup);

/* Reads the status of each of `shards` shards into statuses[]. */
MUST_USE bool load_setup_statuses(const char *server, uint32_t shards, struct inn_status_result *statuses,
                                  struct failure *failure);

#endif
