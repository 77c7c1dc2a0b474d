/* engine/hash_index.c against an obvious table. */
#include "engine/hash_index.h"

#include "tests/engine/random.h"

#include <criterion/criterion.h>
#include <string.h>

#define CAPACITY 40
#define REFERENCES 30

static uint64_t entries[CAPACITY];
static struct hash_index hash_index_under_test;

static struct hash_index *fresh(void)
{
    memset(entries, 0, sizeof(entries));
    hash_index_init(&hash_index_under_test, entries, CAPACITY);
    return &hash_index_under_test;
}

static bool found(const struct hash_index *index, uint64_t hash, uint32_t reference)
{
    struct hash_probe probe = hash_index_probe(index, hash);
    for (uint32_t next = hash_index_next(index, &probe); next != 0; next = hash_index_next(index, &probe))
        if (next == reference)
            return true;
    return false;
}

Test(hash_index, an_entry_is_found_until_it_is_removed)
{
    struct hash_index *index = fresh();
    cr_assert_not(found(index, 5, 1));
    hash_index_insert(index, 5, 1);
    cr_assert(found(index, 5, 1));
    cr_assert(hash_index_contains(index, 5, 1));
    cr_assert_not(hash_index_contains(index, 5, 2));
    hash_index_remove(index, 5, 1);
    cr_assert_not(found(index, 5, 1));
    cr_assert_eq(index->count, 0);
}

Test(hash_index, entries_of_one_home_go_round_the_end_and_come_back)
{
    struct hash_index *index = fresh();
    for (uint32_t reference = 1; reference <= 5; reference++)
        hash_index_insert(index, UINT64_MAX, reference); /* the last home there is */
    hash_index_insert(index, 0, 6);
    for (uint32_t reference = 1; reference <= 5; reference++) {
        cr_assert_null(hash_index_check(index));
        cr_assert(found(index, 0, 6));
        hash_index_remove(index, UINT64_MAX, reference);
        cr_assert_not(found(index, UINT64_MAX, reference));
    }
    cr_assert(found(index, 0, 6));
}

/* Hashes of few homes, so that clusters form, collide and wrap. */
static uint64_t hash_of(uint32_t reference, uint64_t salt)
{
    uint64_t home = (reference * 7 + salt) % 6 * 8;
    return home << 58 | (uint64_t)(reference % 3) << 32;
}

Test(hash_index, any_order_of_inserts_and_removals_finds_what_is_there)
{
    struct random random = random_start("engine.hash_index");
    for (int round = 0; round < 200; round++) {
        struct hash_index *index = fresh();
        bool present[REFERENCES + 1] = { false };
        uint64_t salt = random_below(&random, 6);
        for (int step = 0; step < 200; step++) {
            uint32_t reference = 1 + (uint32_t)random_below(&random, REFERENCES);
            if (present[reference])
                hash_index_remove(index, hash_of(reference, salt), reference);
            else if (index->count < 28)
                hash_index_insert(index, hash_of(reference, salt), reference);
            else
                continue;
            present[reference] = !present[reference];
            cr_assert_null(hash_index_check(index));
            for (uint32_t r = 1; r <= REFERENCES; r++)
                cr_assert_eq(found(index, hash_of(r, salt), r), present[r]);
        }
    }
}

Test(hash_index, the_check_sees_a_gap_before_an_entry_and_a_wrong_count)
{
    struct hash_index *index = fresh();
    hash_index_insert(index, 0, 1);
    hash_index_insert(index, 0, 2);
    cr_assert_null(hash_index_check(index));
    index->count = 3;
    cr_assert_not_null(hash_index_check(index));
    index->count = 1;
    entries[0] = 0;
    cr_assert_not_null(hash_index_check(index));
}

Test(hash_index, capacity_keeps_the_load_at_seven_tenths)
{
    for (uint64_t entries_max = 1; entries_max < 1000; entries_max++) {
        uint64_t capacity = hash_index_capacity(entries_max);
        cr_assert_gt(capacity, entries_max);
        cr_assert_leq(entries_max * 10, capacity * 7);
        cr_assert_eq(capacity % 8, 0);
    }
    cr_assert_gt(hash_index_capacity(UINT64_C(3) << 30), UINT64_C(3) << 30);
}
