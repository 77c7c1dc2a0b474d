#include "tools/innkeep-wal/race.h"

#include <stdlib.h>
#include <string.h>

/* A tool that has run out of memory for what it tells has nothing sensible left to do. */
static void *array_grow(void *array, size_t count, size_t *capacity, size_t item_size)
{
    if (count < *capacity)
        return array;
    *capacity = *capacity == 0 ? 64 : 2 * *capacity;
    void *larger = reallocarray(array, *capacity, item_size);
    ENSURE(larger != NULL);
    return larger;
}

/* ---- Tokens that matter ---------------------------------------------------------------------------------------------------------- */

/* The place of the first token that is not below this one. */
static size_t token_set_place(const struct token_set *set, uint64_t token)
{
    size_t low = 0;
    size_t high = set->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (set->tokens[middle] < token)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool token_set_has(const struct token_set *set, uint64_t token)
{
    size_t place = token_set_place(set, token);
    return place < set->count && set->tokens[place] == token;
}

void token_set_add(struct token_set *set, uint64_t token)
{
    if (token == 0 || token_set_has(set, token))
        return;
    size_t place = token_set_place(set, token);
    set->tokens = array_grow(set->tokens, set->count, &set->capacity, sizeof *set->tokens);
    memmove(set->tokens + place + 1, set->tokens + place, (set->count - place) * sizeof *set->tokens);
    set->tokens[place] = token;
    set->count++;
}

void token_set_free(struct token_set *set)
{
    free(set->tokens);
    *set = (struct token_set){ .tokens = NULL };
}

/* ---- Grants ---------------------------------------------------------------------------------------------------------------------- */

struct grant *grants_find(const struct grants *grants, uint64_t resource, uint64_t token)
{
    size_t low = 0;
    size_t high = grants->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (grants->items[middle].token < token)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == grants->count || grants->items[low].token != token || grants->items[low].resource != resource)
        return NULL;
    return &grants->items[low];
}

/* Forgets ended grants that nobody will ask about. */
static void grants_compact(struct grants *grants)
{
    size_t kept = 0;
    grants->ended = 0;
    for (size_t i = 0; i < grants->count; i++) {
        const struct grant *grant = &grants->items[i];
        if (grant->ended_ns != 0 && !token_set_has(grants->needed, grant->token))
            continue;
        grants->ended += grant->ended_ns != 0;
        grants->items[kept++] = *grant;
    }
    grants->count = kept;
}

void grants_add(struct grants *grants, const struct grant *grant)
{
    REQUIRE(grants->count == 0 || grants->items[grants->count - 1].token < grant->token);
    if (grants->count == grants->capacity && grants->ended > grants->count / 2)
        grants_compact(grants);
    grants->items = array_grow(grants->items, grants->count, &grants->capacity, sizeof *grants->items);
    grants->items[grants->count++] = *grant;
}

static int grant_compare(const void *left, const void *right)
{
    const struct grant *a = left;
    const struct grant *b = right;
    return (a->token > b->token) - (a->token < b->token);
}

void grants_fill(struct grants *grants, const struct grant *items, size_t count)
{
    REQUIRE(grants->count == 0);
    if (count == 0)
        return;
    grants->items = reallocarray(grants->items, count, sizeof *grants->items);
    ENSURE(grants->items != NULL);
    memcpy(grants->items, items, count * sizeof *items);
    qsort(grants->items, count, sizeof *grants->items, grant_compare);
    grants->count = grants->capacity = count;
    for (size_t i = 0; i < count; i++)
        grants->ended += items[i].ended_ns != 0;
}

void grants_end(struct grants *grants, struct grant *grant, uint64_t ended_ns)
{
    REQUIRE(grant->ended_ns == 0);
    grant->ended_ns = ended_ns;
    grants->ended++;
}

void grants_free(struct grants *grants)
{
    free(grants->items);
    *grants = (struct grants){ .items = NULL };
}

/* ---- Holds ----------------------------------------------------------------------------------------------------------------------- */

static bool hold_before(const struct hold *a, const struct hold *b)
{
    return a->deadline_ns != b->deadline_ns ? a->deadline_ns < b->deadline_ns : a->lsn < b->lsn;
}

static void holds_swap(struct holds *holds, size_t a, size_t b)
{
    struct hold kept = holds->items[a];
    holds->items[a] = holds->items[b];
    holds->items[b] = kept;
}

void holds_push(struct holds *holds, const struct hold *hold)
{
    holds->items = array_grow(holds->items, holds->count, &holds->capacity, sizeof *holds->items);
    size_t at = holds->count++;
    holds->items[at] = *hold;
    for (; at > 0 && hold_before(&holds->items[at], &holds->items[(at - 1) / 2]); at = (at - 1) / 2)
        holds_swap(holds, at, (at - 1) / 2);
}

const struct hold *holds_first(const struct holds *holds)
{
    return holds->count == 0 ? NULL : &holds->items[0];
}

void holds_pop(struct holds *holds)
{
    REQUIRE(holds->count > 0);
    holds->items[0] = holds->items[--holds->count];
    for (size_t at = 0;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < holds->count; child++)
            if (hold_before(&holds->items[child], &holds->items[least]))
                least = child;
        if (least == at)
            return;
        holds_swap(holds, at, least);
        at = least;
    }
}

void holds_free(struct holds *holds)
{
    free(holds->items);
    *holds = (struct holds){ .items = NULL };
}
