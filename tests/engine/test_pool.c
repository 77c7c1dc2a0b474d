/* engine/pool.c: objects are handed out zeroed, each to one owner. */
#include "engine/pool.h"

#include "tests/engine/random.h"

#include <criterion/criterion.h>
#include <string.h>

#define OBJECTS 10

struct thing {
    uint64_t word[3];
};

static struct thing things[OBJECTS + 1];
static struct pool pool;

static void begin(void)
{
    memset(things, 0, sizeof(things));
    pool_init(&pool, things, sizeof(struct thing), OBJECTS);
}

TestSuite(pool, .init = begin);

Test(pool, as_many_as_there_are_can_be_taken)
{
    for (uint32_t i = 1; i <= OBJECTS; i++) {
        cr_assert_not(pool_is_full(&pool));
        cr_assert_eq(pool_next(&pool), i);
        cr_assert_eq(pool_take(&pool), i);
    }
    cr_assert(pool_is_full(&pool));
    cr_assert_eq(pool_next(&pool), 0);
    cr_assert_eq(pool_count(&pool), OBJECTS);
    cr_assert_eq(pool_size(sizeof(struct thing), OBJECTS), sizeof(things));
}

Test(pool, an_object_given_back_comes_again_as_zero)
{
    uint32_t first = pool_take(&pool);
    uint32_t second = pool_take(&pool);
    memset(pool_edit(&pool, first), 0xff, sizeof(struct thing));
    memset(pool_edit(&pool, second), 0xff, sizeof(struct thing));
    pool_give(&pool, first);
    pool_give(&pool, second);
    cr_assert_null(pool_check(&pool));
    static const struct thing zero;
    cr_assert_eq(pool_take(&pool), second, "the one given back last is still in the cache");
    cr_assert_eq(memcmp(pool_at(&pool, second), &zero, sizeof(zero)), 0);
    cr_assert_eq(pool_take(&pool), first);
    cr_assert_eq(memcmp(pool_at(&pool, first), &zero, sizeof(zero)), 0);
}

Test(pool, no_object_is_handed_out_twice)
{
    struct random random = random_start("engine.pool");
    bool taken[OBJECTS + 1] = { false };
    for (int step = 0; step < 5000; step++) {
        uint32_t index = 1 + (uint32_t)random_below(&random, OBJECTS);
        if (taken[index]) {
            pool_give(&pool, index);
            taken[index] = false;
        } else if (!pool_is_full(&pool)) {
            index = pool_take(&pool);
            cr_assert_not(taken[index]);
            taken[index] = true;
            memset(pool_edit(&pool, index), 0x55, sizeof(struct thing));
        }
        cr_assert_null(pool_check(&pool));
    }
}

Test(pool, a_copy_has_the_same_objects_and_hands_out_the_same_next)
{
    struct thing more[2 * OBJECTS + 1];
    struct pool copy;
    memset(more, 0, sizeof(more));
    pool_init(&copy, more, sizeof(struct thing), 2 * OBJECTS);
    for (int i = 0; i < 5; i++)
        memset(pool_edit(&pool, pool_take(&pool)), 0x11, sizeof(struct thing));
    pool_give(&pool, 2);
    pool_copy(&copy, &pool);
    cr_assert_null(pool_check(&copy));
    cr_assert_eq(pool_count(&copy), 4);
    cr_assert_eq(memcmp(pool_at(&copy, 5), pool_at(&pool, 5), sizeof(struct thing)), 0);
    cr_assert_eq(pool_take(&copy), pool_take(&pool));
}

Test(pool, the_check_sees_a_spoiled_free_object_and_a_broken_list)
{
    for (int i = 0; i < 3; i++)
        cr_assert_eq(pool_take(&pool), (uint32_t)i + 1);
    pool_give(&pool, 1);
    pool_give(&pool, 2);
    cr_assert_null(pool_check(&pool));
    things[1].word[2] = 1;
    cr_assert_not_null(pool_check(&pool));
    things[1].word[2] = 0;
    pool.free_count = 1;
    cr_assert_not_null(pool_check(&pool), "longer than its count");
    pool.free_count = 3;
    cr_assert_not_null(pool_check(&pool), "shorter than its count");
    pool.free_count = 2;
    things[2].word[0] = 9;
    cr_assert_not_null(pool_check(&pool), "leaves the pool");
    pool.free_count = 4;
    cr_assert_not_null(pool_check(&pool), "more free than used");
}
