/* Durable frames into the engine, and answers out of it.
 *
 * Record by record in LSN order; each command's ticket is the oldest of its kind in the waiting line, and queries that were queued in front of it
 * are run first. If an answer's way is full (another shard's reply ring), the cursor keeps the place until the next turn: replies are
 * always drained, so it goes on. */
#include "net/server/shard.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define TOKEN_ALARM_INTERVAL_NS (10 * NS_PER_SECOND)

static bool is_system(const struct record_header *record)
{
    return operation_class(record->kind) == OPERATION_CLASS_SYSTEM;
}

static struct ticket *line_first(struct waiting_line *line)
{
    return line->first == line->next ? NULL : &line->tickets[line->first % SHARD_TICKETS_MAX];
}

static bool ticket_is_command(const struct ticket *ticket)
{
    enum operation_class category = operation_class(ticket->operation);
    return ticket->status == STATUS_OK && (category == OPERATION_CLASS_MUTATION || category == OPERATION_CLASS_LEASE ||
                                           category == OPERATION_CLASS_TICK);
}

/* Answers what stands in the line in front of the next command; false if an answer's way is full. */
static bool queries_answer(struct shard *shard)
{
    struct waiting_line *line = &shard->line;
    struct ticket *ticket;
    while ((ticket = line_first(line)) != NULL && !ticket_is_command(ticket)) {
        const union query_item *item = &line->queries[line->queries_first % SHARD_QUERIES_MAX];
        if (!shard_answer_now(shard, ticket, &item->header))
            return false;
        line->queries_first++;
        line->first++;
    }
    return true;
}

static int system_apply(struct shard *shard, const struct record_header *record, uint64_t lsn)
{
    union apply_result result;
    return state_machine_step(&shard->machine, record, lsn, &result);
}

/* A token from beyond the log: either a client makes tokens up, or this log has lost something that it granted. Said aloud, but not more often
 * than people read. */
static void token_alarm(struct shard *shard, const struct record_header *record, uint64_t lsn)
{
    shard->unknown_tokens_count++;
    if (shard->now_ns < shard->next_token_alarm_ns)
        return;
    shard->next_token_alarm_ns = shard->now_ns + TOKEN_ALARM_INTERVAL_NS;
    fprintf(stderr,
            "innkeepd: ALARM: shard %u: a %s of property %" PRIu64 " (lsn %" PRIu64
            ") carries a token beyond this log's end: either the client made it up, or this log has lost something; "
            "%" PRIu64 " such since start\n",
            shard->index, operation_name(record->kind), record->property, lsn, shard->unknown_tokens_count);
}

/* 0, -EAGAIN if the answer's way is full, or a negated errno of the state machine. */
static int command_apply(struct shard *shard, const struct record_header *record, uint64_t lsn)
{
    if (!queries_answer(shard))
        return -EAGAIN;
    const struct ticket *ticket = line_first(&shard->line);
    ENSURE(ticket != NULL);
    ENSURE(ticket->operation == record->kind);
    struct result_header *header = shard_answer_begin(shard, ticket, sizeof(union apply_result));
    if (header == NULL)
        return -EAGAIN;
    int error = state_machine_step(&shard->machine, record, lsn, (union apply_result *)(void *)header);
    if (error != 0)
        return error;
    bool clocks_agree = shard->now_ns >= ticket->arrived_ns; /* another shard's turn may have begun later than ours */
    commit_latency_record(&shard->latency, clocks_agree ? shard->now_ns - ticket->arrived_ns : 0);
    if (header->status == STATUS_TOKEN_UNKNOWN)
        token_alarm(shard, record, lsn);
    shard_answer_end(shard, ticket, header);
    shard->line.first++;
    return 0;
}

static int frame_begin(struct shard *shard, const struct wal_frame_header *frame)
{
    int error = state_machine_begin(&shard->machine, frame);
    if (error != 0)
        return error;
    const struct record_header *first = wal_record_first(frame);
    shard->apply = (struct apply_cursor){ .frame = frame, .record = first, .lsn = frame->first_lsn };
    prefetch_begin(&shard->apply.prefetch, shard->machine.engine, frame);
    if (first != NULL)
        shard->idle_since_ns = shard->now_ns;
    return 0;
}

static int records_apply(struct shard *shard)
{
    struct apply_cursor *apply = &shard->apply;
    while (apply->record != NULL) {
        if (!capture_has_room(snapshot_capture(shard->machine.engine)))
            return -EAGAIN; /* until the snapshot has written some more pages, and their copies are given back */
        prefetch_step(&apply->prefetch, shard->machine.engine);
        int error = is_system(apply->record) ? system_apply(shard, apply->record, apply->lsn)
                                             : command_apply(shard, apply->record, apply->lsn);
        if (error != 0)
            return error;
        apply->record = wal_record_next(apply->frame, apply->record);
        apply->lsn++;
    }
    return 0;
}

int shard_apply(struct shard *shard)
{
    for (;;) {
        if (shard->apply.frame == NULL) {
            const struct wal_frame_header *frame = wal_durable(shard->wal);
            if (frame == NULL)
                break;
            int error = frame_begin(shard, frame);
            if (error != 0)
                return error;
        }
        int error = records_apply(shard);
        if (error == -EAGAIN)
            return 0;
        if (error != 0)
            return error;
        snapshots_note(shard, shard->apply.frame);
        shard->apply.frame = NULL;
        wal_release(shard->wal);
    }
    (void)queries_answer(shard); /* those behind the last command; if a ring is full, the next turn tries again */
    return 0;
}
