#include "engine/deadline_heap.h"

void deadline_heap_init(struct deadline_heap *heap, struct deadline *first, ptrdiff_t step, uint32_t *positions)
{
    REQUIRE(first != NULL);
    REQUIRE(positions != NULL);
    REQUIRE(step == 1 || step == -1);
    *heap = (struct deadline_heap){ .first = first, .step = step, .positions = positions };
}

static void deadline_heap_place(struct deadline_heap *heap, uint32_t place, struct deadline deadline)
{
    struct deadline *entry = deadline_heap_at(heap, place);
    capture_touch(heap->capture, entry, sizeof(*entry));
    *entry = deadline;
    heap->positions[deadline.handle] = place + 1;
}

/* Moves a hole up from `place` until `deadline` may stand in it. */
static void deadline_heap_rise(struct deadline_heap *heap, uint32_t place, struct deadline deadline)
{
    while (place > 0) {
        uint32_t parent = (place - 1) / 2;
        if (!deadline_before(&deadline, deadline_heap_at(heap, parent)))
            break;
        deadline_heap_place(heap, place, *deadline_heap_at(heap, parent));
        place = parent;
    }
    deadline_heap_place(heap, place, deadline);
}

/* Moves a hole down from `place` until `deadline` may stand in it. */
static void deadline_heap_sink(struct deadline_heap *heap, uint32_t place, struct deadline deadline)
{
    for (;;) {
        uint64_t child = (uint64_t)place * 2 + 1;
        if (child >= heap->count)
            break;
        uint32_t earlier = (uint32_t)child;
        if (child + 1 < heap->count &&
            deadline_before(deadline_heap_at(heap, earlier + 1), deadline_heap_at(heap, earlier)))
            earlier++;
        if (!deadline_before(deadline_heap_at(heap, earlier), &deadline))
            break;
        deadline_heap_place(heap, place, *deadline_heap_at(heap, earlier));
        place = earlier;
    }
    deadline_heap_place(heap, place, deadline);
}

void deadline_heap_push(struct deadline_heap *heap, struct deadline deadline)
{
    REQUIRE(heap->positions[deadline.handle] == 0);
    heap->count++;
    deadline_heap_rise(heap, heap->count - 1, deadline);
}

void deadline_heap_remove(struct deadline_heap *heap, uint32_t handle)
{
    REQUIRE(deadline_heap_find(heap, handle) != NULL);
    uint32_t place = heap->positions[handle] - 1;
    struct deadline last = *deadline_heap_at(heap, heap->count - 1);
    heap->positions[handle] = 0;
    heap->count--;
    if (last.handle == handle)
        return;
    if (place > 0 && deadline_before(&last, deadline_heap_at(heap, (place - 1) / 2)))
        deadline_heap_rise(heap, place, last);
    else
        deadline_heap_sink(heap, place, last);
}

const struct deadline *deadline_heap_find(const struct deadline_heap *heap, uint32_t handle)
{
    uint32_t position = heap->positions[handle];
    if (position == 0 || position > heap->count)
        return NULL;
    const struct deadline *member = deadline_heap_at(heap, position - 1);
    return member->handle == handle ? member : NULL;
}

const char *deadline_heap_check(const struct deadline_heap *heap)
{
    for (uint32_t place = 0; place < heap->count; place++) {
        const struct deadline *member = deadline_heap_at(heap, place);
        if (heap->positions[member->handle] != place + 1)
            return "a deadline's position is not where it stands";
        if (place > 0 && deadline_before(member, deadline_heap_at(heap, (place - 1) / 2)))
            return "a deadline comes before its parent";
    }
    return NULL;
}
