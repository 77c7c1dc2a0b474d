#include "net/outcome_digest.h"

/* Counted from 1; of index 0, which no frame has, 0. */
static uint64_t window_of(uint64_t index)
{
    return (index + OUTCOME_DIGEST_FRAMES - 1) / OUTCOME_DIGEST_FRAMES;
}

void outcome_digest_begin(struct outcome_digest *digest, uint64_t index)
{
    struct digest_window *open = &digest->open;
    if (open->first_index == 0 || window_of(index) != window_of(open->first_index)) {
        digest->closed[1] = digest->closed[0];
        digest->closed[0] = *open;
        *open = (struct digest_window){ .first_index = index, .whole = index % OUTCOME_DIGEST_FRAMES == 1 };
    }
    open->last_index = index;
    digest->sum_before = open->sum;
}

void outcome_digest_add(struct outcome_digest *digest, const struct result_header *result)
{
    digest->open.sum = hash128_add(digest->open.sum, hash128(result, result->size, 0));
}

/* The first frame of all that is known from its beginning; NEVER_NS: there is none. */
static uint64_t first_whole(const struct outcome_digest *digest)
{
    const struct digest_window *windows[] = { &digest->closed[1], &digest->closed[0], &digest->open };
    for (size_t i = 0; i < ARRAY_COUNT(windows); i++)
        if (windows[i]->whole)
            return windows[i]->first_index;
    return NEVER_NS;
}

enum digest_verdict outcome_digest_judge(const struct outcome_digest *digest, const struct digest_record *record,
                                         struct hash128 *found)
{
    struct digest_window so_far = digest->open;
    so_far.last_index--;
    so_far.sum = digest->sum_before;
    const struct digest_window *windows[] = { &so_far, &digest->closed[0], &digest->closed[1] };
    for (size_t i = 0; i < ARRAY_COUNT(windows); i++) {
        if (windows[i]->last_index != record->last_index || windows[i]->first_index == 0)
            continue;
        if (!windows[i]->whole)
            return DIGEST_NOT_JUDGED;
        *found = windows[i]->sum;
        if (windows[i]->first_index != record->first_index)
            return DIGEST_MALFORMED;
        return hash128_equal(*found, record->digest) ? DIGEST_AGREES : DIGEST_DIFFERS;
    }
    /* It may speak of what was before the first frame seen, and of nothing else. */
    bool before = record->first_index < first_whole(digest) && record->last_index < digest->open.last_index;
    return before ? DIGEST_NOT_JUDGED : DIGEST_MALFORMED;
}

static bool window_says_something(const struct digest_window *window, uint64_t logged_index)
{
    return window->whole && window->last_index > logged_index && (window->sum.low != 0 || window->sum.high != 0);
}

const struct digest_window *outcome_digest_due(const struct outcome_digest *digest, uint64_t logged_index,
                                               bool to_the_end)
{
    if (window_says_something(&digest->closed[0], logged_index))
        return &digest->closed[0];
    return to_the_end && window_says_something(&digest->open, logged_index) ? &digest->open : NULL;
}

struct digest_record outcome_digest_record(const struct digest_window *window)
{
    return (struct digest_record){
        .header = { .size = sizeof(struct digest_record), .kind = OPERATION_DIGEST, .version = 1 },
        .first_index = window->first_index,
        .last_index = window->last_index,
        .digest = window->sum,
    };
}
