#include "bench/event_order.h"

#include <errno.h>
#include <stdlib.h>

/* Where an event stands: every rule of the order as one number to compare, so that any sort gives the same result. */
struct placed_event {
    int32_t day;
    uint64_t
        rank; /* on its day: cancellations of earlier requests, then requests, each with its own cancellation behind it */
    struct event event;
};

static uint64_t rank_of(uint32_t booking, enum event_kind kind, bool on_day_of_request)
{
    bool first_part = kind == EVENT_CANCELLATION && !on_day_of_request;
    return (uint64_t)!first_part << 63 | (uint64_t)booking << 1 | (uint64_t)kind;
}

static struct placed_event place(const struct booking *booking, uint32_t index, enum event_kind kind)
{
    return (struct placed_event){
        .day = kind == EVENT_REQUEST ? booking->requested : booking->cancelled,
        .rank = rank_of(index, kind, booking->cancelled == booking->requested),
        .event = { .booking = index, .kind = kind },
    };
}

static int compare(const void *left, const void *right)
{
    const struct placed_event *a = left;
    const struct placed_event *b = right;
    if (a->day != b->day)
        return a->day < b->day ? -1 : 1;
    return (a->rank > b->rank) - (a->rank < b->rank);
}

static size_t place_all(const struct bookings *bookings, struct placed_event *placed)
{
    size_t count = 0;
    for (uint32_t i = 0; i < bookings->count; i++) {
        const struct booking *booking = &bookings->items[i];
        placed[count++] = place(booking, i, EVENT_REQUEST);
        if (booking->cancelled != NOT_CANCELLED)
            placed[count++] = place(booking, i, EVENT_CANCELLATION);
    }
    return count;
}

int events_order(const struct bookings *bookings, struct events *events)
{
    REQUIRE(bookings->count < UINT32_MAX / 2);
    *events = (struct events){ 0 };
    size_t count_max = 2 * bookings->count + 1;
    struct placed_event *placed = calloc(count_max, sizeof *placed);
    events->items = calloc(count_max, sizeof *events->items);
    if (placed == NULL || events->items == NULL) {
        free(placed);
        events_free(events);
        return -ENOMEM;
    }
    events->count = place_all(bookings, placed);
    qsort(placed, events->count, sizeof *placed, compare);
    for (size_t i = 0; i < events->count; i++)
        events->items[i] = placed[i].event;
    free(placed);
    return 0;
}

void events_free(struct events *events)
{
    free(events->items);
    *events = (struct events){ 0 };
}
