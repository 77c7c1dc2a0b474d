/* The order in which the demand replay's requests and cancellations happen.
 *
 * By day; on one day cancellations first, in file order, then requests, in file order; a cancellation that falls on the day its
 * request is made comes directly after that request. */
#ifndef BENCH_EVENT_ORDER_H
#define BENCH_EVENT_ORDER_H

#include "bench/bookings.h"

enum event_kind { EVENT_REQUEST = 0, EVENT_CANCELLATION = 1 };

struct event {
    uint32_t booking; /* index into bookings->items */
    uint32_t kind;    /* enum event_kind */
};

struct events {
    struct event *items; /* owned */
    size_t count;
};

/* All events of all bookings (fewer than 2^31), in order. 0 or -ENOMEM; events_free releases what it gave. */
MUST_USE int events_order(const struct bookings *bookings, struct events *events);
void events_free(struct events *events);

#endif
