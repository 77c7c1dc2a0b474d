/* What a timeline remembers: tokens, grants as long as they are needed, holds in the order in which they run out. */
#include "tools/innkeep-wal/race.h"

#include <criterion/criterion.h>

Test(race, a_token_set_holds_each_token_once_and_never_zero)
{
    struct token_set set = { .tokens = NULL };
    static const uint64_t tokens[] = { 50, 7, 0, 7, 900, 1, 50, 8 };
    for (size_t i = 0; i < ARRAY_COUNT(tokens); i++)
        token_set_add(&set, tokens[i]);
    cr_assert_eq(set.count, 5);
    for (size_t i = 0; i < ARRAY_COUNT(tokens); i++)
        cr_assert_eq(token_set_has(&set, tokens[i]), tokens[i] != 0);
    cr_assert_not(token_set_has(&set, 6));
    cr_assert_not(token_set_has(&set, 901));
    token_set_free(&set);
}

Test(race, ended_grants_are_forgotten_unless_their_tokens_are_needed)
{
    struct token_set needed = { .tokens = NULL };
    struct grants grants = { .needed = &needed };
    token_set_add(&needed, 30);
    for (uint64_t token = 1; token <= 100000; token++) {
        struct grant grant = { .resource = 5, .token = token, .deadline_ns = token };
        grants_add(&grants, &grant);
        if (token % 1000 != 0)
            grants_end(&grants, grants_find(&grants, 5, token), token + 1);
    }
    cr_assert_lt(grants.capacity, 1000);
    cr_assert_not_null(grants_find(&grants, 5, 30));
    cr_assert_eq(grants_find(&grants, 5, 30)->ended_ns, 31);
    cr_assert_null(grants_find(&grants, 6, 30));
    cr_assert_null(grants_find(&grants, 5, 31));
    for (uint64_t token = 1000; token <= 100000; token += 1000)
        cr_assert_not_null(grants_find(&grants, 5, token));
    grants_free(&grants);
    token_set_free(&needed);
}

Test(race, holds_come_out_by_deadline_then_lsn)
{
    struct holds holds = { .items = NULL };
    uint64_t dice = 12345;
    for (uint64_t lsn = 1; lsn <= 1000; lsn++) {
        dice = dice * UINT64_C(6364136223846793005) + 1442695040888963407u;
        holds_push(&holds, &(struct hold){ .deadline_ns = dice >> 56, .lsn = lsn });
    }
    struct hold last = { .deadline_ns = 0 };
    for (int i = 0; i < 1000; i++) {
        const struct hold *first = holds_first(&holds);
        bool in_order =
            first->deadline_ns > last.deadline_ns || (first->deadline_ns == last.deadline_ns && first->lsn > last.lsn);
        cr_assert(in_order);
        last = *first;
        holds_pop(&holds);
    }
    cr_assert_null(holds_first(&holds));
    holds_free(&holds);
}
