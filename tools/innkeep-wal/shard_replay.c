#include "tools/innkeep-wal/shard_replay.h"

#include "net/prefetch.h"
#include "tools/innkeep-wal/printer.h"
#include "tools/innkeep-wal/shard_snapshots.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define STOP 1 /* what the visitor returns at to_lsn, or where memory is too small */
#define PROGRESS_EVERY_NS (250 * NS_PER_MS)
#define FIRST_CHECK_AFTER 1024 /* records; the next after twice as many, so that checking does not outweigh replaying */

/* ---- Progress: one line on stderr that rewrites itself, for people only ------------------------------------------------------ */

static void progress_show(struct shard_replay *replay, const struct wal_frame_header *frame)
{
    uint64_t now_ns = io_now_ns(replay->tool->io);
    char time[PRINTER_TIME_SIZE];
    if (replay->next_progress_ns == 0)
        replay->next_progress_ns = isatty(STDERR_FILENO) ? now_ns + PROGRESS_EVERY_NS : NEVER_NS;
    if (now_ns < replay->next_progress_ns)
        return;
    replay->next_progress_ns = now_ns + PROGRESS_EVERY_NS;
    fprintf(stderr, "\rshard %u: frame %" PRIu64 ", LSN %" PRIu64 ", %s ", replay->shard, frame->index,
            frame->first_lsn, printer_time(frame->time_ns, time));
}

static void progress_clear(const struct shard_replay *replay)
{
    if (replay->next_progress_ns != 0 && replay->next_progress_ns != NEVER_NS)
        fputs("\r\033[K", stderr);
}

/* ---- Frame by frame ---------------------------------------------------------------------------------------------------------- */

static bool is_applying(const struct shard_replay *replay)
{
    return replay->apply && replay->broken == NULL && replay->error == 0;
}

/* A log that cannot be applied any further is still read on, so that the reader's verdict is complete. */
static void machine_failed(struct shard_replay *replay, int error)
{
    if (error == -EBADMSG)
        replay->broken = replay->machine.error;
    else
        replay->error = error;
    replay->broken_lsn = replay->machine.error_lsn;
}

static void broken_note(struct shard_replay *replay, const char *wrong, uint64_t lsn)
{
    if (wrong == NULL)
        return;
    replay->broken = wrong;
    replay->broken_lsn = lsn;
}

/* Everything, whatever it costs. */
static void engine_check_whole(struct shard_replay *replay)
{
    if (replay->machine.engine != NULL)
        broken_note(replay, engine_check(replay->machine.engine), engine_last_lsn(replay->machine.engine));
}

static void engine_check_when_due(struct shard_replay *replay)
{
    bool due = replay->check_every_frame || replay->machine.records_applied >= replay->next_check;
    if (!replay->check || !is_applying(replay) || !due)
        return;
    replay->next_check = 2 * replay->machine.records_applied + FIRST_CHECK_AFTER;
    engine_check_whole(replay);
}

static void record_apply(struct shard_replay *replay, const struct record_header *record, uint64_t lsn,
                         union apply_result *result)
{
    /* What has not been checked yet may not be looked at. The machine says what is wrong with it. */
    bool fit = replay->frame_is_fit || record_check(record, record->size) == STATUS_OK;
    bool check = replay->check && fit;
    if (check)
        invariants_before(&replay->invariants, replay->machine.engine, record);
    int error = fit ? state_machine_step_checked(&replay->machine, record, lsn, result)
                    : state_machine_step(&replay->machine, record, lsn, result);
    if (error != 0) {
        machine_failed(replay, error);
        return;
    }
    if (check)
        broken_note(replay, invariants_after(&replay->invariants, replay->machine.engine, record, lsn, result), lsn);
    if (replay->check_every_record && is_applying(replay))
        engine_check_whole(replay);
}

static void record_take(struct shard_replay *replay, const struct wal_frame_header *frame,
                        const struct record_header *record, uint64_t lsn)
{
    union apply_result result;
    if (is_applying(replay))
        record_apply(replay, record, lsn, &result);
    if (replay->visit != NULL)
        replay->visit(replay->visit_context, frame, record, lsn, is_applying(replay) ? &result : NULL);
}

/* Whether every record has passed its check, so that one may look ahead. */
static bool frame_is_fit(const struct shard_replay *replay, const struct wal_frame_header *frame)
{
    if (!is_applying(replay) || frame->records_count == 0)
        return false;
    for (const struct record_header *record = wal_record_first(frame); record != NULL;
         record = wal_record_next(frame, record))
        if (record_check(record, record->size) != STATUS_OK)
            return false;
    return true;
}

static bool frame_is_beyond(const struct shard_replay *replay, const struct wal_frame_header *frame)
{
    if (replay->visit_frame != NULL && !replay->visit_frame(replay->visit_context, frame))
        return true;
    bool late = frame->time_ns > replay->to_ns;
    return late || (frame->records_count > 0 && frame->first_lsn > replay->to_lsn);
}

static void records_take(struct shard_replay *replay, const struct wal_frame_header *frame)
{
    struct prefetch prefetch;
    replay->frame_is_fit = frame_is_fit(replay, frame);
    bool ahead = replay->frame_is_fit; /* the cache is warmed ahead of what is applied, as a server does it */
    if (ahead)
        prefetch_begin(&prefetch, replay->machine.engine, frame);
    const struct record_header *record = wal_record_first(frame);
    for (uint64_t lsn = frame->first_lsn; record != NULL; lsn++, record = wal_record_next(frame, record)) {
        replay->stopped = lsn > replay->to_lsn;
        if (replay->stopped)
            return;
        if (ahead)
            prefetch_step(&prefetch, replay->machine.engine);
        record_take(replay, frame, record, lsn);
    }
}

/* Frames without records behind to_lsn are still taken: so replaying to the last LSN is the same as replaying everything. */
static int frame_take(void *context, const struct wal_frame_header *frame)
{
    struct shard_replay *replay = context;
    progress_show(replay, frame);
    if (frame_is_beyond(replay, frame)) {
        replay->stopped = true;
        return STOP;
    }
    int error = is_applying(replay) ? state_machine_begin(&replay->machine, frame) : 0;
    if (error != 0)
        machine_failed(replay, error);
    records_take(replay, frame);
    if (replay->stopped)
        return STOP;
    engine_check_when_due(replay);
    return replay->error != 0 ? STOP : 0;
}

/* ---- Where it begins ---------------------------------------------------------------------------------------------------------- */

static int beginning_take(struct shard_replay *replay)
{
    struct beginning *beginning = &replay->beginning;
    *beginning = (struct beginning){ .tool = replay->tool,
                                     .shard = replay->shard,
                                     .wish = replay->begin,
                                     .to_lsn = replay->to_lsn,
                                     .to_ns = replay->to_ns,
                                     .machine = replay->apply ? &replay->machine : NULL };
    int error = beginning_find(beginning);
    if (error != 0)
        return error;
    if (!replay->quiet)
        beginning_tell(beginning, stderr);
    if (beginning->index != 0 && !beginning->is_beyond && replay->visit_beginning != NULL)
        replay->visit_beginning(replay->visit_context, replay);
    return 0;
}

static uint64_t oldest_segment(const struct shard_replay *replay)
{
    char path[WAL_PATH_SIZE];
    char why[WAL_SNAPSHOT_WHY_SIZE];
    struct wal_manifest manifest;
    struct wal_snapshot_place place = shard_snapshot_place(replay->tool, replay->shard, path);
    return wal_manifest_read(replay->tool->io, &place, &manifest, why) == 0 ? manifest.oldest_segment : 0;
}

/* A server that runs takes segments that it needs no more for new ones, and a reader that is slower finds them gone or overwritten. */
static bool is_recycled(const struct shard_replay *replay, uint64_t oldest_before)
{
    bool bad = replay->error != 0 || (!replay->stopped && replay->report.verdict == WAL_DAMAGED);
    return bad && oldest_segment(replay) != oldest_before;
}

static void log_read(struct shard_replay *replay)
{
    const struct wal_directory *directory = &replay->tool->directory;
    char path[WAL_PATH_SIZE];
    struct wal_source source = { .directory = wal_shard_path(directory, replay->shard, path),
                                 .start = replay->beginning.index != 0 ? &replay->beginning.start : NULL,
                                 .shard = replay->shard,
                                 .shards_count = directory->header.shards_count,
                                 .segment_size = directory->header.segment_size };
    memcpy(source.uuid, directory->header.uuid, sizeof source.uuid);
    uint64_t started_ns = io_now_ns(replay->tool->io);
    int result = wal_read(replay->tool->io, &source, frame_take, replay, &replay->report);
    replay->elapsed_ns = io_now_ns(replay->tool->io) - started_ns;
    progress_clear(replay);
    if (result < 0)
        replay->error = result;
}

void shard_replay_run(struct shard_replay *replay)
{
    state_machine_init(&replay->machine, replay->tool->directory.header.uuid);
    replay->next_check = FIRST_CHECK_AFTER;
    uint64_t oldest_before = oldest_segment(replay);
    replay->error = replay->check ? invariants_init(&replay->invariants) : 0;
    if (replay->error == 0)
        replay->error = beginning_take(replay);
    if (replay->error != 0 || replay->beginning.is_beyond)
        return;
    log_read(replay);
    replay->recycled = is_recycled(replay, oldest_before);
    if (replay->check && is_applying(replay))
        engine_check_whole(replay);
}

void shard_replay_free(struct shard_replay *replay)
{
    state_machine_free(&replay->machine);
    beginning_free(&replay->beginning);
    invariants_free(&replay->invariants);
}

/* ---- What came of it ----------------------------------------------------------------------------------------------------------- */

enum tool_exit shard_replay_exit(const struct shard_replay *replay)
{
    if (replay->error != 0 || replay->beginning.is_beyond || replay->recycled)
        return TOOL_UNREADABLE;
    if (replay->broken != NULL)
        return TOOL_DAMAGED;
    if (replay->stopped || replay->report.verdict == WAL_CLEAN)
        return TOOL_CLEAN;
    return replay->report.verdict == WAL_TORN_TAIL ? TOOL_TORN_TAIL : TOOL_DAMAGED;
}

enum tool_exit shard_replay_reach(const struct shard_replay *replay)
{
    enum tool_exit verdict = shard_replay_exit(replay);
    uint64_t lsn = shard_replay_lsn(replay);
    if (replay->to_lsn == NEVER_NS || lsn >= replay->to_lsn || verdict >= TOOL_DAMAGED)
        return verdict;
    fprintf(stderr, "innkeep-wal: shard %u: LSN %" PRIu64 " was asked for, but the log ends at LSN %" PRIu64 "\n",
            replay->shard, replay->to_lsn, lsn);
    return TOOL_UNREADABLE;
}

uint64_t shard_replay_lsn(const struct shard_replay *replay)
{
    return replay->machine.engine == NULL ? 0 : engine_last_lsn(replay->machine.engine);
}

struct hash128 shard_replay_hash(const struct shard_replay *replay)
{
    if (replay->machine.engine == NULL)
        return (struct hash128){ .low = 0 };
    return engine_state_hash(replay->machine.engine);
}

static void explain_stop(const struct wal_report *report, const char *kind, FILE *out)
{
    char last[PRINTER_TIME_SIZE];
    fprintf(out, "shard %u: %s: frame %" PRIu64 " is missing or bad: %s\n", report->shard, kind, report->stop_index,
            report->stop_reason);
    fprintf(out, "  where     segment %" PRIu64 ", offset %" PRIu64 ", %s\n", report->stop_segment_sequence,
            report->stop_offset, report->stop_path);
    fprintf(out, "  behind    LSN %" PRIu64 ", frame %" PRIu64 ", %s: everything up to there is good\n",
            report->last_lsn, report->stop_index - 1,
            report->stop_index == 1 ? "the beginning" : printer_time(report->position.last_time_ns, last));
    if (report->stop_last_index >= report->stop_index)
        fprintf(out, "  concerns  frames %" PRIu64 " to %" PRIu64 ", LSNs %" PRIu64 " to %" PRIu64 "\n",
                report->stop_index, report->stop_last_index, report->last_lsn + 1, report->stop_last_lsn);
}

static void explain_evidence(const struct wal_report *report, FILE *out)
{
    char time[PRINTER_TIME_SIZE];
    if (report->evidence_index == 0) {
        fprintf(out, "  evidence  the damage shows by itself: no crash leaves a log like this\n");
        return;
    }
    fprintf(out,
            "  evidence  frame %" PRIu64 " of %s (segment %" PRIu64 ", offset %" PRIu64
            ") says that all frames up to %" PRIu64 " were on disk, so they were acknowledged\n",
            report->evidence_index, printer_time(report->evidence_time_ns, time), report->evidence_segment_sequence,
            report->evidence_offset, report->evidence_durable_index);
}

static void explain_error(const struct shard_replay *replay, FILE *out)
{
    const struct wal_report *report = &replay->report;
    if (replay->beginning.why[0] != '\0')
        fprintf(out, "shard %u: cannot be read: %s\n", replay->shard, replay->beginning.why);
    else if (replay->machine.error != NULL)
        fprintf(out, "shard %u: cannot be replayed: at LSN %" PRIu64 ": %s\n", replay->shard, replay->broken_lsn,
                replay->machine.error);
    else
        fprintf(out, "shard %u: cannot be read: %s: %s: %s\n", replay->shard, report->stop_path,
                report->stop_reason != NULL ? report->stop_reason : "reading failed", strerror(-replay->error));
}

/* What is asked for lies in front of everything that is left. */
static void explain_beyond(const struct beginning *beginning, FILE *out)
{
    char asked[PRINTER_TIME_SIZE];
    char time[PRINTER_TIME_SIZE];
    const struct wal_position *position = &beginning->start.position;
    fprintf(out, "shard %u: ", beginning->shard);
    if (position->next_lsn - 1 > beginning->to_lsn)
        fprintf(out, "LSN %" PRIu64 " was asked for", beginning->to_lsn);
    else
        fprintf(out, "%s was asked for", printer_time(beginning->to_ns, asked));
    fprintf(out,
            ", but the log before LSN %" PRIu64 ", %s, was recycled: the oldest state there is left is that of the "
            "snapshot of frame %" PRIu64 "\n",
            position->next_lsn - 1, printer_time(position->last_time_ns, time), beginning->index);
}

/* Segment 1 goes once two snapshots make up for it. */
static void explain_no_beginning(const struct shard_replay *replay, FILE *out)
{
    const struct beginning *beginning = &replay->beginning;
    if (beginning->is_taken_over && beginning->index == 0)
        fprintf(out, "  so        the state cannot be had: this directory was made of a state that only a snapshot "
                     "holds, and none is whole; make it again, or use a backup\n");
    else if (beginning->index == 0 && replay->report.frames == 0 &&
             (beginning->oldest_segment > 1 || beginning->passed_over_count > 0))
        fprintf(out, "  so        the state cannot be had: it takes the log from its first frame, or a snapshot that "
                     "is whole, and there is neither; use a backup\n");
}

void shard_replay_explain(const struct shard_replay *replay, FILE *out)
{
    const struct wal_report *report = &replay->report;
    if (replay->beginning.is_beyond) {
        explain_beyond(&replay->beginning, out);
    } else if (replay->recycled) {
        fprintf(out,
                "shard %u: cannot be read: the server recycled segments while they were read; run it again, or on a "
                "copy\n",
                replay->shard);
    } else if (replay->error != 0) {
        explain_error(replay, out);
    } else if (replay->broken != NULL) {
        fprintf(out, "shard %u: DAMAGED: the frames are whole, but at LSN %" PRIu64 ": %s\n", replay->shard,
                replay->broken_lsn, replay->broken);
        explain_no_beginning(replay, out);
    } else if (!replay->stopped && report->verdict == WAL_TORN_TAIL) {
        explain_stop(report, "torn tail", out);
        fprintf(out,
                "  so        %" PRIu64
                " bytes were never acknowledged as far as the log can tell; a server sets them aside\n",
                report->dropped_bytes);
    } else if (!replay->stopped && report->verdict == WAL_DAMAGED) {
        explain_stop(report, "DAMAGED", out);
        explain_evidence(report, out);
        explain_no_beginning(replay, out);
    }
}
