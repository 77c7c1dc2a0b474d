#include "net/server/spsc_ring.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#define CAPACITY 1024
#define ENTRIES 200000

static _Alignas(8) uint8_t bytes[CAPACITY];

static bool push(struct spsc_ring *ring, uint64_t number, uint32_t size)
{
    uint8_t *entry = spsc_ring_reserve(ring, size);
    if (entry == NULL)
        return false;
    memset(entry, (int)(number & 0xff), size);
    spsc_ring_commit(ring, size);
    return true;
}

Test(spsc_ring, an_entry_is_seen_only_once_it_is_published)
{
    struct spsc_ring ring;
    uint32_t size;
    spsc_ring_init(&ring, bytes, CAPACITY);
    cr_assert(push(&ring, 1, 40));
    cr_assert(spsc_ring_peek(&ring, &size) == NULL);
    cr_assert(!spsc_ring_drained(&ring));
    cr_assert(spsc_ring_publish(&ring));
    cr_assert(!spsc_ring_publish(&ring), "there was nothing new");
    cr_assert(spsc_ring_peek(&ring, &size) != NULL);
    cr_assert_eq(size, 40);
    spsc_ring_pop(&ring);
    cr_assert(spsc_ring_empty(&ring));
    cr_assert(spsc_ring_drained(&ring));
}

Test(spsc_ring, a_full_ring_takes_more_only_after_a_pop)
{
    struct spsc_ring ring;
    uint32_t size;
    spsc_ring_init(&ring, bytes, CAPACITY);
    uint64_t pushed = 0;
    while (push(&ring, pushed, 120))
        pushed++;
    cr_assert_eq(pushed, CAPACITY / 128);
    spsc_ring_publish(&ring);
    cr_assert(spsc_ring_peek(&ring, &size) != NULL);
    cr_assert(!push(&ring, pushed, 120));
    spsc_ring_pop(&ring);
    cr_assert(push(&ring, pushed, 120));
}

Test(spsc_ring, a_reservation_may_be_committed_smaller)
{
    struct spsc_ring ring;
    uint32_t size;
    spsc_ring_init(&ring, bytes, CAPACITY);
    cr_assert(spsc_ring_reserve(&ring, 400) != NULL);
    spsc_ring_commit(&ring, 8);
    cr_assert(push(&ring, 7, 16));
    spsc_ring_publish(&ring);
    cr_assert(spsc_ring_peek(&ring, &size) != NULL);
    cr_assert_eq(size, 8);
    spsc_ring_pop(&ring);
    const uint8_t *second = spsc_ring_peek(&ring, &size);
    cr_assert_eq(size, 16);
    cr_assert_eq(second[15], 7);
}

static void *produce(void *context)
{
    struct spsc_ring *ring = context;
    for (uint64_t i = 0; i < ENTRIES;) {
        if (push(ring, i, (uint32_t)(1 + i * 7 % 300)))
            i++;
        else
            sched_yield();
        spsc_ring_publish(ring);
    }
    return NULL;
}

static bool entry_is(const uint8_t *entry, uint32_t size, uint64_t number)
{
    for (uint32_t i = 0; i < size; i++)
        if (entry[i] != (uint8_t)number)
            return false;
    return size == 1 + number * 7 % 300;
}

Test(spsc_ring, entries_of_all_sizes_cross_between_threads_whole_and_in_order)
{
    struct spsc_ring ring;
    spsc_ring_init(&ring, bytes, CAPACITY);
    pthread_t producer;
    cr_assert_eq(pthread_create(&producer, NULL, produce, &ring), 0);
    for (uint64_t i = 0; i < ENTRIES;) {
        uint32_t size;
        const uint8_t *entry = spsc_ring_peek(&ring, &size);
        if (entry == NULL) {
            sched_yield();
            continue;
        }
        cr_assert(entry_is(entry, size, i), "entry %lu", (unsigned long)i);
        spsc_ring_pop(&ring);
        i++;
    }
    pthread_join(producer, NULL);
    cr_assert(spsc_ring_empty(&ring));
}
