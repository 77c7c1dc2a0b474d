#include "bench/demand_plan.h"

#include "engine/base/hash.h"

#include <string.h>

static void span_of_bookings(struct demand_plan *plan)
{
    int32_t first = INT32_MAX;
    int32_t last = INT32_MIN;
    for (size_t i = 0; i < plan->bookings.count; i++) {
        const struct booking *booking = &plan->bookings.items[i];
        int32_t departure = booking->arrival + booking->nights;
        first = booking->arrival < first ? booking->arrival : first;
        last = departure > last ? departure : last;
    }
    plan->business_date = first;
    plan->nights = last - first;
}

static void mark_room_types(struct demand_plan *plan)
{
    memcpy(plan->room_type_used, plan->capacity.named, sizeof plan->room_type_used);
    for (size_t i = 0; i < plan->bookings.count; i++)
        plan->room_type_used[plan->bookings.items[i].hotel][plan->bookings.items[i].room_type] = true;
}

bool demand_plan_read(struct demand_plan *plan, const char *bookings_path, const char *capacity_path,
                      struct failure *failure)
{
    struct table_error error;
    if (!bookings_read(bookings_path, &plan->bookings, &error))
        return failure_set(failure, EXIT_USAGE, "%s", error.text);
    if (!capacity_read(capacity_path, &plan->capacity, &error))
        return failure_set(failure, EXIT_USAGE, "%s", error.text);
    if (plan->bookings.count == 0)
        return failure_set(failure, EXIT_USAGE, "%s: no booking has a night", bookings_path);
    if (events_order(&plan->bookings, &plan->events) != 0)
        return failure_set(failure, EXIT_REFUSED, "out of memory");
    span_of_bookings(plan);
    mark_room_types(plan);
    return true;
}

void demand_plan_free(struct demand_plan *plan)
{
    events_free(&plan->events);
    bookings_free(&plan->bookings);
}

struct inn_key demand_plan_key(const struct demand_plan *plan, enum demand_key purpose, uint32_t index)
{
    uint32_t name[2] = { (uint32_t)purpose, index };
    struct hash128 hash = hash128(name, sizeof name, plan->seed);
    struct inn_key key;
    memcpy(key.bytes, &hash, sizeof key.bytes);
    return key;
}
