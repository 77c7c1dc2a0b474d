/* What comes due when: a binary heap over (deadline, LSN), whose members can be taken out from the middle.
 *
 * A member is a handle, a small number below the length of `positions`; the heap keeps there where each member stands, so that an
 * object needs no field for it. Two heaps may share one array of entries, one growing up from its beginning and one down from its end,
 * and one array of positions, where a handle is in at most one of them.
 *
 * Invariant: no member is due before its parent; positions[handle] is the member's place + 1, and 0 for a handle in no heap.
 * Source: Williams, "Algorithm 232: Heapsort", CACM 1964. */
#ifndef ENGINE_DEADLINE_HEAP_H
#define ENGINE_DEADLINE_HEAP_H

#include "engine/capture.h"

struct deadline {
    uint64_t due_ns;
    uint64_t lsn; /* decides between equal times; with it the order is total, as LSNs are unique */
    uint32_t handle;
    uint32_t reserved;
};

static_assert(sizeof(struct deadline) == 24, "memory is counted with this");

struct deadline_heap {
    struct deadline *first; /* the root */
    ptrdiff_t step;         /* +1 or -1: where the next entry lies */
    uint32_t *positions;
    uint32_t count;
    struct capture *capture; /* that wants to know of writes into the entries; NULL: none is running */
};

static inline struct deadline *deadline_heap_at(const struct deadline_heap *heap, uint32_t place)
{
    return heap->first + heap->step * (ptrdiff_t)place;
}

/* True if a comes due before b. */
static inline bool deadline_before(const struct deadline *a, const struct deadline *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->lsn < b->lsn;
}

/* What comes due first; NULL if nothing does. Valid until the heap changes. */
static inline const struct deadline *deadline_heap_first(const struct deadline_heap *heap)
{
    return heap->count == 0 ? NULL : heap->first;
}

/* An empty heap. `positions` is zeroed; there is room for all handles. */
void deadline_heap_init(struct deadline_heap *heap, struct deadline *first, ptrdiff_t step, uint32_t *positions);

/* Adds a handle that is in no heap of these positions. */
void deadline_heap_push(struct deadline_heap *heap, struct deadline deadline);

/* Takes out a handle that is in this heap. */
void deadline_heap_remove(struct deadline_heap *heap, uint32_t handle);

/* The member of that handle, or NULL if it is not in this heap. */
const struct deadline *deadline_heap_find(const struct deadline_heap *heap, uint32_t handle);

/* NULL if the invariant holds, else what is wrong (static storage). */
const char *deadline_heap_check(const struct deadline_heap *heap);

#endif
