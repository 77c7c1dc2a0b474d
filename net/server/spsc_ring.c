#include "net/server/spsc_ring.h"

#include "engine/base/units.h"

/* Before each entry: its size, or a mark that the rest of the ring up to its end is skipped. */
struct entry_header {
    uint32_t size;
    uint32_t skip; /* 1: no entry here, go on at the ring's start */
};
static_assert(sizeof(struct entry_header) == 8, "entries stay 8-byte aligned");

void spsc_ring_init(struct spsc_ring *ring, uint8_t *bytes, uint64_t capacity)
{
    REQUIRE(capacity >= SPSC_CACHE_LINE);
    REQUIRE((capacity & (capacity - 1)) == 0);
    *ring = (struct spsc_ring){ .bytes = bytes, .capacity = capacity };
}

static struct entry_header *header_at(const struct spsc_ring *ring, uint64_t position)
{
    return (struct entry_header *)(void *)(ring->bytes + (position & (ring->capacity - 1)));
}

static uint64_t footprint(uint32_t size_bytes)
{
    return sizeof(struct entry_header) + align_up(size_bytes, 8);
}

static uint64_t left_to_end(const struct spsc_ring *ring, uint64_t position)
{
    return ring->capacity - (position & (ring->capacity - 1));
}

static bool has_room(struct spsc_ring *ring, uint64_t bytes_wanted)
{
    if (ring->committed + bytes_wanted - ring->popped_seen <= ring->capacity)
        return true;
    ring->popped_seen = atomic_load_explicit(&ring->popped, memory_order_acquire);
    return ring->committed + bytes_wanted - ring->popped_seen <= ring->capacity;
}

void *spsc_ring_reserve(struct spsc_ring *ring, uint32_t size_bytes)
{
    uint64_t wanted = footprint(size_bytes);
    REQUIRE(wanted <= ring->capacity / 2);
    uint64_t tail_room = left_to_end(ring, ring->committed);
    uint64_t skipped = wanted > tail_room ? tail_room : 0;
    if (!has_room(ring, skipped + wanted))
        return NULL;
    if (skipped > 0) {
        *header_at(ring, ring->committed) = (struct entry_header){ .skip = 1 };
        ring->committed += skipped;
    }
    return header_at(ring, ring->committed) + 1;
}

void spsc_ring_commit(struct spsc_ring *ring, uint32_t size_bytes)
{
    REQUIRE(footprint(size_bytes) <= left_to_end(ring, ring->committed));
    *header_at(ring, ring->committed) = (struct entry_header){ .size = size_bytes };
    ring->committed += footprint(size_bytes);
}

bool spsc_ring_publish(struct spsc_ring *ring)
{
    uint64_t published = atomic_load_explicit(&ring->published, memory_order_relaxed);
    if (published == ring->committed)
        return false;
    atomic_store(&ring->published, ring->committed); /* and before the producer looks whether the consumer sleeps */
    return true;
}

bool spsc_ring_drained(const struct spsc_ring *ring)
{
    return atomic_load_explicit(&ring->popped, memory_order_acquire) == ring->committed;
}

const void *spsc_ring_peek(struct spsc_ring *ring, uint32_t *size_bytes)
{
    uint64_t position = atomic_load_explicit(&ring->popped, memory_order_relaxed);
    while (position != ring->published_seen || !spsc_ring_empty(ring)) {
        const struct entry_header *header = header_at(ring, position);
        if (!header->skip) {
            *size_bytes = header->size;
            return header + 1;
        }
        position += left_to_end(ring, position);
        atomic_store_explicit(&ring->popped, position, memory_order_release);
    }
    return NULL;
}

void spsc_ring_pop(struct spsc_ring *ring)
{
    uint64_t position = atomic_load_explicit(&ring->popped, memory_order_relaxed);
    REQUIRE(position != ring->published_seen);
    const struct entry_header *header = header_at(ring, position);
    REQUIRE(!header->skip);
    atomic_store_explicit(&ring->popped, position + footprint(header->size), memory_order_release);
}

bool spsc_ring_empty(struct spsc_ring *ring)
{
    uint64_t position = atomic_load_explicit(&ring->popped, memory_order_relaxed);
    if (position != ring->published_seen)
        return false;
    ring->published_seen = atomic_load(&ring->published); /* and after the consumer said that it goes to sleep */
    return position == ring->published_seen;
}
