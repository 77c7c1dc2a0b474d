/* innkeep-wal verify: every checksum and chain, then a full replay with the engine's own consistency checked now and then.
 *
 * Each snapshot is first loaded and checked by itself; then, where the replay comes by its frame, the replay has to have come to the
 * same state. */
#include "tools/innkeep-wal/printer.h"
#include "tools/innkeep-wal/shard_replay.h"
#include "tools/innkeep-wal/shard_snapshots.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

struct verifying {
    struct shard_replay replay;
    struct shard_snapshots snapshots;
    int error;               /* the snapshots could not be looked at */
    struct wal_start behind; /* the frame that was read last */
};

/* ---- Snapshots against the log -------------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void snapshot_fail(struct shard_snapshot *snapshot, const char *format,
                                                                ...)
{
    va_list arguments;
    snapshot->verdict = TOOL_DAMAGED;
    snapshot->is_believed = true;
    va_start(arguments, format);
    vsnprintf(snapshot->wrong, sizeof snapshot->wrong, format, arguments);
    va_end(arguments);
}

static bool start_equal(const struct wal_start *a, const struct wal_start *b)
{
    return a->position.next_lsn == b->position.next_lsn && a->position.last_time_ns == b->position.last_time_ns &&
           hash128_equal(a->position.previous_hash, b->position.previous_hash) &&
           a->place.segment_sequence == b->place.segment_sequence && a->place.offset == b->place.offset;
}

static void snapshot_compare(const struct verifying *verifying, struct shard_snapshot *snapshot)
{
    char texts[2][PRINTER_HASH_SIZE];
    struct wal_start start = wal_start_behind_snapshot(&snapshot->header);
    struct hash128 hash = shard_replay_hash(&verifying->replay);
    if (!hash128_equal(hash, snapshot->state_hash))
        snapshot_fail(snapshot,
                      "replaying the log comes to another state at frame %" PRIu64 " (hash %s) than the snapshot of "
                      "that frame holds (%s)",
                      snapshot->index, printer_hash(hash, texts[0]), printer_hash(snapshot->state_hash, texts[1]));
    else if (!start_equal(&start, &verifying->behind))
        snapshot_fail(snapshot,
                      "the snapshot of frame %" PRIu64 " says of that frame's LSN, log time, hash or place what is not "
                      "so in the log",
                      snapshot->index);
    else
        snapshot->compared = true;
}

/* With the engine as frame `index` left it. */
static void snapshots_compare(struct verifying *verifying, uint64_t index)
{
    const struct shard_replay *replay = &verifying->replay;
    for (size_t i = 0; i < verifying->snapshots.count; i++) {
        struct shard_snapshot *snapshot = &verifying->snapshots.items[i];
        bool due = snapshot->index == index && snapshot->verdict == TOOL_CLEAN && index != replay->beginning.index;
        if (due && replay->broken == NULL && replay->error == 0)
            snapshot_compare(verifying, snapshot);
    }
}

static bool frame_verify(void *context, const struct wal_frame_header *frame)
{
    struct verifying *verifying = context;
    snapshots_compare(verifying, frame->index - 1);
    verifying->behind = (struct wal_start){
        .position = { .next_index = frame->index + 1,
                      .next_lsn = frame->first_lsn + frame->records_count,
                      .last_time_ns = frame->time_ns,
                      .previous_hash = frame->hash },
        .place = { .segment_sequence = frame->segment_sequence,
                   .offset = (uint64_t)frame->block_number * WAL_BLOCK_SIZE + frame->frame_size },
    };
    return true;
}

/* The frame of a snapshot was on disk before the snapshot was; so it has to be there. */
static void log_end_judge(struct verifying *verifying)
{
    const struct shard_replay *replay = &verifying->replay;
    uint64_t next_index = replay->report.position.next_index;
    if (shard_replay_exit(replay) >= TOOL_DAMAGED)
        return;
    snapshots_compare(verifying, next_index - 1);
    for (size_t i = 0; i < verifying->snapshots.count; i++) {
        struct shard_snapshot *snapshot = &verifying->snapshots.items[i];
        if (snapshot->verdict == TOOL_CLEAN && snapshot->index >= next_index)
            snapshot_fail(snapshot,
                          "the log ends at frame %" PRIu64 ", in front of frame %" PRIu64
                          ", of which there is a snapshot: the log has lost what was acknowledged",
                          next_index - 1, snapshot->index);
    }
}

static enum tool_exit verdict_of(const struct verifying *verifying)
{
    enum tool_exit verdict = verifying->error != 0 ? TOOL_UNREADABLE : shard_replay_exit(&verifying->replay);
    return tool_worse(verdict, shard_snapshots_worst(&verifying->snapshots));
}

/* ---- Telling -------------------------------------------------------------------------------------------------------------------- */

static const char *snapshot_words(const struct verifying *verifying, const struct shard_snapshot *snapshot)
{
    if (snapshot->verdict == TOOL_DAMAGED)
        return "damaged";
    if (snapshot->verdict != TOOL_CLEAN)
        return "unreadable";
    if (snapshot->index == verifying->replay.beginning.index)
        return "whole; the replay began with it";
    return snapshot->compared ? "whole; the replay comes to the same state" : "whole; the replay did not come by it";
}

static void snapshots_text(const struct verifying *verifying)
{
    char time[PRINTER_TIME_SIZE];
    for (size_t i = verifying->snapshots.count; i-- > 0;) {
        const struct shard_snapshot *snapshot = &verifying->snapshots.items[i];
        printf("shard %u: snapshot of frame %" PRIu64, verifying->replay.shard, snapshot->index);
        if (snapshot->opened)
            printf(", LSN %" PRIu64 ", %s", snapshot->header.next_lsn - 1,
                   printer_time(snapshot->header.time_ns, time));
        printf(": %s\n", snapshot_words(verifying, snapshot));
    }
}

/* A server that loads a snapshot sees its checksums, and not what only checking or replaying everything shows. */
static bool any_would_be_believed(const struct verifying *verifying)
{
    for (size_t i = 0; i < verifying->snapshots.count; i++)
        if (verifying->snapshots.items[i].is_believed && verifying->snapshots.items[i].verdict == TOOL_DAMAGED)
            return true;
    return false;
}

/* Each violation in a line; the first, oldest snapshot first, in front. */
static void snapshots_explain(const struct verifying *verifying, FILE *out)
{
    uint32_t shard = verifying->replay.shard;
    if (verifying->error != 0)
        fprintf(out, "shard %u: cannot be read: its snapshots cannot be listed: %s\n", shard,
                strerror(-verifying->error));
    if (verifying->snapshots.manifest_verdict != TOOL_CLEAN)
        fprintf(out, "shard %u: DAMAGED: %s\n", shard, verifying->snapshots.manifest_wrong);
    for (size_t i = verifying->snapshots.count; i-- > 0;) {
        const struct shard_snapshot *snapshot = &verifying->snapshots.items[i];
        if (snapshot->verdict != TOOL_CLEAN)
            fprintf(out, "shard %u: %s: %s\n", shard, snapshot->verdict == TOOL_DAMAGED ? "DAMAGED" : "cannot be read",
                    snapshot->wrong);
    }
    if (verdict_of(verifying) != TOOL_DAMAGED || shard_replay_exit(&verifying->replay) > TOOL_TORN_TAIL)
        return;
    if (any_would_be_believed(verifying))
        fprintf(out, "  so        a server would begin with what is wrong: start none, and keep a copy of all of it\n");
    else
        fprintf(out,
                "  so        the log gives the state all the same; a server passes over what is damaged and says so\n");
}

static void verdict_text(const struct verifying *verifying)
{
    const struct shard_replay *replay = &verifying->replay;
    const struct wal_report *report = &replay->report;
    char first[PRINTER_TIME_SIZE];
    char last[PRINTER_TIME_SIZE];
    char hash[PRINTER_HASH_SIZE];
    shard_replay_explain(replay, stdout);
    snapshots_explain(verifying, stdout);
    snapshots_text(verifying);
    printf("shard %u: %s: %" PRIu64 " frames, %" PRIu64 " records, %" PRIu64 " segments", replay->shard,
           tool_verdict_name(verdict_of(verifying)), report->frames, report->records, report->segments);
    if (report->records > 0)
        printf(", LSN %" PRIu64 " to %" PRIu64, report->first_lsn, report->last_lsn);
    if (report->frames > 0)
        printf(", %s to %s", printer_time(report->first_time_ns, first), printer_time(report->last_time_ns, last));
    if (report->bad_header_copies > 0)
        printf(", %" PRIu64 " segment header copies lost (harmless)", report->bad_header_copies);
    printf(", state hash %s\n", printer_hash(shard_replay_hash(replay), hash));
}

static void stop_json(json_t *object, const struct wal_report *report)
{
    json_t *stop = json_pack(
        "{s:o, s:o, s:o, s:s, s:s?, s:o, s:o, s:o}", "frame", printer_json_number(report->stop_index), "segment",
        printer_json_number(report->stop_segment_sequence), "offset", printer_json_number(report->stop_offset), "path",
        report->stop_path, "reason", report->stop_reason, "last_frame_behind",
        printer_json_number(report->stop_last_index), "last_lsn_behind", printer_json_number(report->stop_last_lsn),
        "dropped_bytes", printer_json_number(report->dropped_bytes));
    json_object_set_new(object, "stop", stop);
    if (report->evidence_index == 0)
        return;
    char time[PRINTER_TIME_SIZE];
    json_t *evidence =
        json_pack("{s:o, s:o, s:o, s:o, s:s}", "frame", printer_json_number(report->evidence_index), "durable_frame",
                  printer_json_number(report->evidence_durable_index), "segment",
                  printer_json_number(report->evidence_segment_sequence), "offset",
                  printer_json_number(report->evidence_offset), "time", printer_time(report->evidence_time_ns, time));
    json_object_set_new(object, "evidence", evidence);
}

static json_t *snapshot_json(const struct verifying *verifying, const struct shard_snapshot *snapshot)
{
    char time[PRINTER_TIME_SIZE];
    char hash[PRINTER_HASH_SIZE];
    json_t *wrong = json_string(snapshot->wrong);
    bool whole = snapshot->verdict == TOOL_CLEAN;
    return json_pack("{s:o, s:o, s:s?, s:s, s:s, s:o, s:s?, s:b, s:b}", "frame", printer_json_number(snapshot->index),
                     "lsn", printer_json_number(snapshot->opened ? snapshot->header.next_lsn - 1 : 0), "time",
                     snapshot->opened ? printer_time(snapshot->header.time_ns, time) : NULL, "verdict",
                     tool_verdict_name(snapshot->verdict), "words", snapshot_words(verifying, snapshot), "wrong",
                     wrong != NULL ? wrong : json_null(), "state_hash",
                     whole ? printer_hash(snapshot->state_hash, hash) : NULL, "compared", snapshot->compared,
                     "in_manifest", snapshot->named);
}

static void snapshots_json(const struct verifying *verifying, json_t *object)
{
    json_t *array = json_array();
    for (size_t i = verifying->snapshots.count; i-- > 0;)
        json_array_append_new(array, snapshot_json(verifying, &verifying->snapshots.items[i]));
    json_object_set_new(object, "snapshots", array);
    json_object_set_new(object, "manifest", verifying->snapshots.has_manifest ? json_string("clean") : json_null());
    if (verifying->snapshots.manifest_verdict != TOOL_CLEAN)
        json_object_set_new(object, "manifest", json_string(verifying->snapshots.manifest_wrong));
}

static json_t *verdict_json(const struct verifying *verifying)
{
    const struct shard_replay *replay = &verifying->replay;
    const struct wal_report *report = &replay->report;
    char first[PRINTER_TIME_SIZE];
    char last[PRINTER_TIME_SIZE];
    char hash[PRINTER_HASH_SIZE];
    bool none = report->frames == 0;
    json_t *object = json_pack(
        "{s:i, s:s, s:o, s:o, s:o, s:o, s:o, s:s?, s:s?, s:o, s:s, s:s?, s:o}", "shard", (int)replay->shard, "verdict",
        tool_verdict_name(verdict_of(verifying)), "frames", printer_json_number(report->frames), "records",
        printer_json_number(report->records), "segments", printer_json_number(report->segments), "first_lsn",
        printer_json_number(report->first_lsn), "last_lsn", printer_json_number(report->last_lsn), "first_time",
        none ? NULL : printer_time(report->first_time_ns, first), "last_time",
        none ? NULL : printer_time(report->last_time_ns, last), "bad_header_copies",
        printer_json_number(report->bad_header_copies), "state_hash", printer_hash(shard_replay_hash(replay), hash),
        "broken", replay->broken, "broken_lsn", printer_json_number(replay->broken_lsn));
    json_object_set_new(object, "begins", beginning_json(&replay->beginning));
    snapshots_json(verifying, object);
    if (replay->error == 0 && replay->broken == NULL && report->verdict != WAL_CLEAN)
        stop_json(object, report);
    if (replay->error != 0)
        json_object_set_new(object, "error",
                            json_string(replay->machine.error != NULL ? replay->machine.error : report->stop_reason));
    return object;
}

static enum tool_exit shard_verify(const struct tool *tool, uint32_t shard, json_t *shards)
{
    struct verifying verifying = { .replay = { .tool = tool,
                                               .shard = shard,
                                               .apply = true,
                                               .check = true,
                                               .check_every_frame = tool->every_frame,
                                               .check_every_record = tool->every_record,
                                               .to_lsn = NEVER_NS,
                                               .to_ns = NEVER_NS,
                                               .visit_frame = frame_verify,
                                               .visit_context = &verifying } };
    verifying.error = shard_snapshots_survey(tool, shard, SHARD_SNAPSHOTS_ENGINE, &verifying.snapshots);
    shard_replay_run(&verifying.replay);
    log_end_judge(&verifying);
    enum tool_exit verdict = verdict_of(&verifying);
    if (tool->json)
        json_array_append_new(shards, verdict_json(&verifying));
    else
        verdict_text(&verifying);
    if (tool->json && verdict == TOOL_UNREADABLE)
        shard_replay_explain(&verifying.replay, stderr);
    fflush(stdout);
    shard_replay_free(&verifying.replay);
    shard_snapshots_free(&verifying.snapshots);
    return verdict;
}

enum tool_exit verify_command(struct tool *tool)
{
    enum tool_exit worst = TOOL_CLEAN;
    json_t *shards = json_array();
    for (uint32_t shard = 0; shard < tool->directory.header.shards_count; shard++)
        worst = tool_worse(worst, shard_verify(tool, shard, shards));
    if (tool->json) {
        json_t *all = json_pack("{s:s, s:O}", "verdict", tool_verdict_name(worst), "shards", shards);
        json_dumpf(all, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(all);
    } else {
        printf("%s: %s\n", tool->path, tool_verdict_name(worst));
    }
    json_decref(shards);
    return worst;
}
