/* Everything about a demand replay that is known before the server is asked: events, hotels, names. */
#ifndef BENCH_DEMAND_PLAN_H
#define BENCH_DEMAND_PLAN_H

#include "bench/event_order.h"
#include "bench/failure.h"

#include <innkeep/innkeep.h>

struct demand_plan {
    struct bookings bookings;
    struct events events;
    struct capacity capacity;
    bool room_type_used[HOTELS_COUNT][ROOM_TYPE_LETTERS + 1]; /* named by the capacity file or asked for */
    int32_t business_date;                                    /* the earliest arrival */
    int32_t nights;                                           /* from there to the last departure */
    uint64_t property_base;
    uint64_t seed; /* of all keys */
};

/* Reads both files. False with *failure filled in; in either case demand_plan_free releases what was allocated. */
MUST_USE bool demand_plan_read(struct demand_plan *plan, const char *bookings_path, const char *capacity_path,
                               struct failure *failure);
void demand_plan_free(struct demand_plan *plan);

/* The property number a hotel has at the server. */
static inline uint64_t demand_plan_property(const struct demand_plan *plan, enum hotel hotel)
{
    return plan->property_base + hotel_property(hotel);
}

/* What a key is for. */
enum demand_key {
    DEMAND_KEY_RESERVE = EVENT_REQUEST,
    DEMAND_KEY_CANCEL = EVENT_CANCELLATION,
    DEMAND_KEY_PROPERTY,  /* index: the hotel */
    DEMAND_KEY_ROOM_TYPE, /* index: hotel x 256 + room type */
};

/* A function of the plan's seed, so that a second run with the same seed sends the same keys: what took effect before is
 * answered again and not done again. */
struct inn_key demand_plan_key(const struct demand_plan *plan, enum demand_key purpose, uint32_t index);

#endif
