#include "net/server/log_history.h"

#include <string.h>

#define NEWEST_KEPT 2 /* recovery's own, which are never thinned out */
#define SPAN_PARTS 8

static bool history_is_on(const struct log_history *history)
{
    return history->keep_bytes != 0 || history->keep_ns != 0;
}

static uint64_t bytes_between(const struct log_history *history, struct wal_place from, struct wal_place to)
{
    return (to.segment_sequence - from.segment_sequence) * history->segment_size + to.offset - from.offset;
}

/* What one place lies in front of another, in the unit that is kept, against a part of what is kept. */
static bool is_apart(const struct log_history *history, const struct log_history_entry *from, struct wal_place to,
                     uint64_t to_ns, uint64_t parts)
{
    if (history->keep_bytes != 0)
        return bytes_between(history, from->place, to) >= history->keep_bytes / parts;
    return to_ns - from->time_ns >= history->keep_ns / parts;
}

static void entry_drop(struct log_history *history, uint32_t i)
{
    REQUIRE(i < history->count);
    memmove(&history->entries[i], &history->entries[i + 1], (history->count - i - 1) * sizeof(history->entries[0]));
    history->count--;
}

void log_history_add(struct log_history *history, const struct log_history_entry *entry)
{
    REQUIRE(history->count == 0 || history->entries[history->count - 1].index < entry->index);
    if (history->count == LOG_HISTORY_MAX)
        entry_drop(history, 1);
    history->entries[history->count++] = *entry;
}

void log_history_prune(struct log_history *history, struct wal_place end, uint64_t time_ns)
{
    if (!history_is_on(history)) {
        history->count = 0;
        history->whole = false;
        return;
    }
    /* The newest one from before the span is the base. */
    while (history->count > NEWEST_KEPT && is_apart(history, &history->entries[1], end, time_ns, 1)) {
        entry_drop(history, 0);
        history->whole = false;
    }
    if (history->count > 0 && is_apart(history, &history->entries[0], end, time_ns, 1))
        history->whole = false;
    for (uint32_t i = 1; i + NEWEST_KEPT < history->count;) {
        const struct log_history_entry *entry = &history->entries[i];
        if (is_apart(history, &history->entries[i - 1], entry->place, entry->time_ns, SPAN_PARTS))
            i++;
        else
            entry_drop(history, i);
    }
}

bool log_history_keeps(const struct log_history *history, uint64_t index)
{
    for (uint32_t i = 0; i < history->count; i++)
        if (history->entries[i].index == index)
            return true;
    return false;
}

uint64_t log_history_oldest_segment(const struct log_history *history, uint64_t recovery_segment)
{
    if (history->whole || recovery_segment == 0)
        return 0;
    if (history->count == 0)
        return recovery_segment;
    uint64_t base_segment = history->entries[0].place.segment_sequence;
    return base_segment < recovery_segment ? base_segment : recovery_segment;
}
