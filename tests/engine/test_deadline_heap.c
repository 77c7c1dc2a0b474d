/* engine/deadline_heap.c against an obvious list. */
#include "engine/deadline_heap.h"

#include "tests/engine/random.h"

#include <criterion/criterion.h>
#include <string.h>

#define HANDLES 40

static struct deadline entries[HANDLES];
static uint32_t positions[HANDLES + 1];
static struct deadline_heap up;
static struct deadline_heap down;

static void begin(void)
{
    memset(positions, 0, sizeof(positions));
    deadline_heap_init(&up, entries, 1, positions);
    deadline_heap_init(&down, entries + HANDLES - 1, -1, positions);
}

TestSuite(deadline_heap, .init = begin);

static void push(struct deadline_heap *heap, uint64_t due_ns, uint64_t lsn, uint32_t handle)
{
    deadline_heap_push(heap, (struct deadline){ .due_ns = due_ns, .lsn = lsn, .handle = handle });
}

Test(deadline_heap, the_earliest_comes_first_and_the_older_of_equals)
{
    cr_assert_null(deadline_heap_first(&up));
    push(&up, 20, 1, 1);
    push(&up, 10, 3, 2);
    push(&up, 10, 2, 3);
    push(&up, 30, 4, 4);
    const uint32_t order[] = { 3, 2, 1, 4 };
    for (size_t i = 0; i < 4; i++) {
        const struct deadline *first = deadline_heap_first(&up);
        cr_assert(first != NULL && first->handle == order[i]);
        deadline_heap_remove(&up, order[i]);
    }
    cr_assert_null(deadline_heap_first(&up));
}

/* 0 for a handle that is not in the heap. */
static uint64_t lsn_of(const struct deadline_heap *heap, uint32_t handle)
{
    const struct deadline *found = deadline_heap_find(heap, handle);
    return found != NULL ? found->lsn : 0;
}

Test(deadline_heap, a_handle_is_found_in_its_heap_only)
{
    push(&up, 1, 1, 1);
    push(&down, 1, 2, 2);
    cr_assert_eq(lsn_of(&up, 1), 1);
    cr_assert_null(deadline_heap_find(&up, 2));
    cr_assert_eq(lsn_of(&down, 2), 2);
    cr_assert_null(deadline_heap_find(&down, 1));
    cr_assert_null(deadline_heap_find(&up, 3));
}

/* Where each handle is, and when it is due. */
static struct deadline known[HANDLES + 1];
static struct deadline_heap *where[HANDLES + 1];

static const struct deadline *earliest(const struct deadline_heap *heap)
{
    const struct deadline *best = NULL;
    for (uint32_t handle = 1; handle <= HANDLES; handle++)
        if (where[handle] == heap && (best == NULL || deadline_before(&known[handle], best)))
            best = &known[handle];
    return best;
}

static void expect_first(const struct deadline_heap *heap)
{
    const struct deadline *expected = earliest(heap);
    const struct deadline *first = deadline_heap_first(heap);
    cr_assert_eq(expected == NULL, first == NULL);
    if (expected != NULL && first != NULL)
        cr_assert_eq(first->handle, expected->handle);
    cr_assert_null(deadline_heap_check(heap));
}

Test(deadline_heap, two_heaps_in_one_array_agree_with_a_list_whatever_is_pushed_and_removed)
{
    struct random random = random_start("engine.deadline_heap");
    uint64_t lsn = 0;
    memset(where, 0, sizeof(where));
    for (int step = 0; step < 20000; step++) {
        uint32_t handle = 1 + (uint32_t)random_below(&random, HANDLES);
        if (where[handle] != NULL) {
            deadline_heap_remove(where[handle], handle);
            where[handle] = NULL;
        } else {
            where[handle] = random_below(&random, 3) == 0 ? &up : &down;
            known[handle] = (struct deadline){ .due_ns = random_below(&random, 10), .lsn = ++lsn, .handle = handle };
            deadline_heap_push(where[handle], known[handle]);
        }
        expect_first(&up);
        expect_first(&down);
    }
}

Test(deadline_heap, the_check_sees_a_wrong_order_and_a_wrong_position)
{
    push(&up, 1, 1, 1);
    push(&up, 2, 2, 2);
    cr_assert_null(deadline_heap_check(&up));
    entries[0].due_ns = 3;
    cr_assert_not_null(deadline_heap_check(&up));
    entries[0].due_ns = 1;
    positions[2] = 1;
    cr_assert_not_null(deadline_heap_check(&up));
}
