/* net/server/log_history.c: which snapshots and segments it takes to replay to any point of the last while. */
#include "net/server/log_history.h"

#include <criterion/criterion.h>

#define SEGMENT (64 * KIB)

/* A snapshot a segment: number i lies at the beginning of segment i, at log time i seconds. */
static struct log_history_entry entry_at(uint64_t i)
{
    return (struct log_history_entry){ .index = i,
                                       .time_ns = i * NS_PER_SECOND,
                                       .place = { .segment_sequence = i, .offset = WAL_SEGMENT_DATA_OFFSET } };
}

static void add_and_prune(struct log_history *history, uint64_t i)
{
    struct log_history_entry entry = entry_at(i);
    log_history_add(history, &entry);
    log_history_prune(history, entry.place, entry.time_ns);
}

Test(log_history, nothing_is_kept_beyond_recovery_unless_asked_for)
{
    struct log_history history = { .segment_size = SEGMENT, .whole = true };
    for (uint64_t i = 2; i < 50; i++) {
        add_and_prune(&history, i);
        cr_assert_not(log_history_keeps(&history, i));
        cr_assert_eq(log_history_oldest_segment(&history, i - 1), i - 1);
    }
}

Test(log_history, the_whole_log_stays_until_a_snapshot_lies_before_the_span)
{
    struct log_history history = { .segment_size = SEGMENT, .keep_bytes = 10 * SEGMENT, .whole = true };
    for (uint64_t i = 2; i < 12; i++) {
        add_and_prune(&history, i);
        cr_assert_eq(log_history_oldest_segment(&history, i - 1), 0);
    }
    add_and_prune(&history, 12); /* the first snapshot, in segment 2, is ten segments back */
    cr_assert_eq(log_history_oldest_segment(&history, 11), 2);
    cr_assert(log_history_keeps(&history, 2));
}

/* The base is at least the span back, and no further than it need be: the next one is within the span. */
static void judge(const struct log_history *history, uint64_t now, uint64_t span)
{
    uint64_t base = history->entries[0].index;
    cr_assert_leq(base + span, now, "base %d at %d", (int)base, (int)now);
    cr_assert_gt(history->entries[1].index + span, now);
    cr_assert_eq(log_history_oldest_segment(history, now - 1), base);
    cr_assert_leq(history->count, 8 + 4u);
    cr_assert(log_history_keeps(history, now) && log_history_keeps(history, now - 1));
}

Test(log_history, a_span_of_bytes_has_a_base_in_front_and_few_in_between)
{
    struct log_history history = { .segment_size = SEGMENT, .keep_bytes = 100 * SEGMENT };
    for (uint64_t i = 2; i < 2000; i++) {
        add_and_prune(&history, i);
        if (i > 110)
            judge(&history, i, 100);
    }
}

Test(log_history, a_span_of_time_has_too)
{
    struct log_history history = { .segment_size = SEGMENT, .keep_ns = 100 * NS_PER_SECOND };
    for (uint64_t i = 2; i < 2000; i++) {
        add_and_prune(&history, i);
        if (i > 110)
            judge(&history, i, 100);
    }
}

Test(log_history, where_no_more_can_be_remembered_the_oldest_but_one_is_forgotten)
{
    struct log_history history = { .segment_size = SEGMENT, .keep_bytes = UINT64_MAX };
    for (uint64_t i = 2; i < 2 + 2 * LOG_HISTORY_MAX; i++) {
        struct log_history_entry entry = entry_at(i);
        log_history_add(&history, &entry);
    }
    cr_assert_eq(history.count, LOG_HISTORY_MAX);
    cr_assert_eq(history.entries[0].index, 2);
    cr_assert_eq(history.entries[LOG_HISTORY_MAX - 1].index, 1 + 2 * LOG_HISTORY_MAX);
}
