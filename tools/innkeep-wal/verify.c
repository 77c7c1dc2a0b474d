/* innkeep-wal verify: every checksum and chain, then a full replay with the engine's own consistency checked now and then. */
#include "tools/innkeep-wal/printer.h"
#include "tools/innkeep-wal/shard_replay.h"

#include <inttypes.h>

static void verdict_text(const struct shard_replay *replay)
{
    const struct wal_report *report = &replay->report;
    char first[PRINTER_TIME_SIZE];
    char last[PRINTER_TIME_SIZE];
    char hash[PRINTER_HASH_SIZE];
    shard_replay_explain(replay, stdout);
    printf("shard %u: %s: %" PRIu64 " frames, %" PRIu64 " records, %" PRIu64 " segments", replay->shard,
           tool_verdict_name(shard_replay_exit(replay)), report->frames, report->records, report->segments);
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

static json_t *verdict_json(const struct shard_replay *replay)
{
    const struct wal_report *report = &replay->report;
    char first[PRINTER_TIME_SIZE];
    char last[PRINTER_TIME_SIZE];
    char hash[PRINTER_HASH_SIZE];
    bool none = report->frames == 0;
    json_t *object = json_pack(
        "{s:i, s:s, s:o, s:o, s:o, s:o, s:o, s:s?, s:s?, s:o, s:s, s:s?, s:o}", "shard", (int)replay->shard, "verdict",
        tool_verdict_name(shard_replay_exit(replay)), "frames", printer_json_number(report->frames), "records",
        printer_json_number(report->records), "segments", printer_json_number(report->segments), "first_lsn",
        printer_json_number(report->first_lsn), "last_lsn", printer_json_number(report->last_lsn), "first_time",
        none ? NULL : printer_time(report->first_time_ns, first), "last_time",
        none ? NULL : printer_time(report->last_time_ns, last), "bad_header_copies",
        printer_json_number(report->bad_header_copies), "state_hash", printer_hash(shard_replay_hash(replay), hash),
        "broken", replay->broken, "broken_lsn", printer_json_number(replay->broken_lsn));
    if (replay->error == 0 && replay->broken == NULL && report->verdict != WAL_CLEAN)
        stop_json(object, report);
    if (replay->error != 0)
        json_object_set_new(object, "error",
                            json_string(replay->machine.error != NULL ? replay->machine.error : report->stop_reason));
    return object;
}

static enum tool_exit shard_verify(const struct tool *tool, uint32_t shard, json_t *shards)
{
    struct shard_replay replay = { .tool = tool,
                                   .shard = shard,
                                   .apply = true,
                                   .check = true,
                                   .check_every_frame = tool->every_frame,
                                   .check_every_record = tool->every_record,
                                   .to_lsn = NEVER_NS,
                                   .to_ns = NEVER_NS };
    shard_replay_run(&replay);
    enum tool_exit verdict = shard_replay_exit(&replay);
    if (tool->json)
        json_array_append_new(shards, verdict_json(&replay));
    else
        verdict_text(&replay);
    if (tool->json && verdict == TOOL_UNREADABLE)
        shard_replay_explain(&replay, stderr);
    fflush(stdout);
    shard_replay_free(&replay);
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
