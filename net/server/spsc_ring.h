/* A ring of variable-sized entries from one thread to one other: how requests and replies cross between shards.
 *
 * The producer reserves, fills and commits entries, and publishes them together at the end of its turn; the consumer peeks and pops. Each
 * side writes one cache line of its own. Two rings join each ordered pair of shards, one for requests and one for replies: replies are
 * always drained, so a shard that waits for room towards another never waits in a circle.
 *
 * Invariant: popped <= published <= committed <= popped + capacity; entries are 8-byte aligned and never wrap.
 * Source: Lamport's single-producer queue; the cached far index follows Lê, Guatto, Cohen, Pop, "Correct and Efficient Bounded FIFO
 * Queues", SBAC-PAD 2013. */
#ifndef NET_SERVER_SPSC_RING_H
#define NET_SERVER_SPSC_RING_H

#include "engine/base/contract.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPSC_CACHE_LINE 64

struct spsc_ring {
    uint8_t *bytes;
    uint64_t capacity; /* a power of two */

    _Alignas(SPSC_CACHE_LINE) _Atomic uint64_t published; /* written by the producer */
    uint64_t committed;
    uint64_t popped_seen; /* the producer's copy of `popped` */

    _Alignas(SPSC_CACHE_LINE) _Atomic uint64_t popped; /* written by the consumer */
    uint64_t published_seen;
};

/* `bytes`: capacity of them, 8-byte aligned, borrowed for the ring's life. */
void spsc_ring_init(struct spsc_ring *ring, uint8_t *bytes, uint64_t capacity);

/* Producer: room for an entry of size_bytes, 8-byte aligned, or NULL if there is none now. Reserving again before the commit gives the same
 * room back. */
MUST_USE void *spsc_ring_reserve(struct spsc_ring *ring, uint32_t size_bytes);
/* Producer: the entry last reserved is filled; size_bytes at most what was reserved. */
void spsc_ring_commit(struct spsc_ring *ring, uint32_t size_bytes);
/* Producer: lets the consumer see all that is committed; true if there was anything new. */
bool spsc_ring_publish(struct spsc_ring *ring);

/* Producer: true if the consumer has popped all that was ever committed. */
bool spsc_ring_drained(const struct spsc_ring *ring);

/* Consumer: the oldest entry and its size, or NULL. It stays until popped. */
MUST_USE const void *spsc_ring_peek(struct spsc_ring *ring, uint32_t *size_bytes);
void spsc_ring_pop(struct spsc_ring *ring);
/* Consumer: true if there is nothing to peek. */
bool spsc_ring_empty(struct spsc_ring *ring);

#endif
