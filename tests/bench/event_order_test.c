/* The order of the demand replay's events, rule by rule. */
#include "bench/event_order.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct booking request(int32_t requested, int32_t cancelled)
{
    return (
        struct booking){ .requested = requested, .cancelled = cancelled, .arrival = 100, .nights = 1, .room_type = 1 };
}

/* "r0 c0 r1": what happens, with the index of its booking. */
static const char *order_of(struct booking *items, size_t count)
{
    static char text[256];
    struct bookings bookings = { .items = items, .count = count };
    struct events events;
    cr_assert_eq(events_order(&bookings, &events), 0);
    text[0] = '\0';
    for (size_t i = 0; i < events.count; i++) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%c%u", i == 0 ? "" : " ",
                 events.items[i].kind == EVENT_REQUEST ? 'r' : 'c', events.items[i].booking);
    }
    events_free(&events);
    return text;
}

Test(event_order, days_come_in_order_whatever_the_order_of_the_file)
{
    struct booking items[] = { request(30, NOT_CANCELLED), request(10, NOT_CANCELLED), request(-5, NOT_CANCELLED) };
    cr_expect_str_eq(order_of(items, 3), "r2 r1 r0");
}

Test(event_order, requests_of_a_day_keep_the_order_of_the_file)
{
    struct booking items[] = { request(10, NOT_CANCELLED), request(10, NOT_CANCELLED), request(10, NOT_CANCELLED) };
    cr_expect_str_eq(order_of(items, 3), "r0 r1 r2");
}

Test(event_order, cancellations_of_a_day_come_before_its_requests_in_the_order_of_the_file)
{
    struct booking items[] = { request(20, NOT_CANCELLED), request(11, 20), request(10, 20),
                               request(20, NOT_CANCELLED) };
    cr_expect_str_eq(order_of(items, 4), "r2 r1 c1 c2 r0 r3");
}

Test(event_order, a_cancellation_on_the_day_of_its_request_comes_directly_after_it)
{
    struct booking items[] = { request(20, NOT_CANCELLED), request(20, 20), request(20, NOT_CANCELLED),
                               request(20, 20) };
    cr_expect_str_eq(order_of(items, 4), "r0 r1 c1 r2 r3 c3");
}

Test(event_order, both_kinds_of_cancellation_may_meet_on_one_day)
{
    struct booking items[] = { request(20, 20), request(15, 20), request(20, 21) };
    cr_expect_str_eq(order_of(items, 3), "r1 c1 r0 c0 r2 c2");
}

Test(event_order, every_request_and_every_cancellation_appears_once)
{
    enum { COUNT = 5000 };
    static struct booking items[COUNT];
    for (int i = 0; i < COUNT; i++) {
        int32_t day = i * 7919 % 97;
        items[i] = request(day, i % 3 == 0 ? day + i % 11 : NOT_CANCELLED);
    }
    struct bookings bookings = { .items = items, .count = COUNT };
    struct events events;
    cr_assert_eq(events_order(&bookings, &events), 0);
    static uint8_t requested[COUNT];
    static uint8_t cancelled[COUNT];
    for (size_t i = 0; i < events.count; i++) {
        const struct event *event = &events.items[i];
        cr_assert(event->kind == EVENT_REQUEST || requested[event->booking] == 1, "cancelled before it was requested");
        (event->kind == EVENT_REQUEST ? requested : cancelled)[event->booking]++;
    }
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(requested[i], 1);
        cr_assert_eq(cancelled[i], i % 3 == 0);
    }
    events_free(&events);
}
