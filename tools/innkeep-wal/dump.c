/* innkeep-wal dump: one line a record, with what came of it. */
#include "tools/innkeep-wal/printer.h"
#include "tools/innkeep-wal/shard_replay.h"

#include <inttypes.h>

struct dump {
    const struct tool *tool;
    const struct shard_replay *replay;
    uint32_t shard;
};

static void line_text(const struct dump *dump, const struct wal_frame_header *frame, const struct record_header *record,
                      uint64_t lsn, const union apply_result *result)
{
    char time[PRINTER_TIME_SIZE];
    printf("shard=%u lsn=%" PRIu64 " time=%s frame=%" PRIu64 " %s", dump->shard, lsn,
           printer_time(frame->time_ns, time), frame->index, operation_name(record->kind));
    printer_record_text(stdout, record);
    if (result != NULL) {
        fputs(" -> ", stdout);
        printer_result_text(stdout, record->kind, &result->header);
    }
    putchar('\n');
}

static void line_json(const struct dump *dump, const struct wal_frame_header *frame, const struct record_header *record,
                      uint64_t lsn, const union apply_result *result)
{
    char time[PRINTER_TIME_SIZE];
    json_t *object =
        json_pack("{s:i, s:o, s:s, s:o, s:o, s:s}", "shard", (int)dump->shard, "lsn", printer_json_number(lsn), "time",
                  printer_time(frame->time_ns, time), "time_ns", printer_json_number(frame->time_ns), "frame",
                  printer_json_number(frame->index), "operation", operation_name(record->kind));
    printer_record_json(object, record);
    if (result != NULL)
        json_object_set_new(object, "outcome", printer_result_json(record->kind, &result->header));
    json_dumpf(object, stdout, JSON_COMPACT);
    json_decref(object);
    putchar('\n');
}

static void record_show(void *context, const struct wal_frame_header *frame, const struct record_header *record,
                        uint64_t lsn, const union apply_result *result)
{
    const struct dump *dump = context;
    struct placed_record placed = { .record = record,
                                    .result = result,
                                    .engine = result == NULL ? NULL : dump->replay->machine.engine,
                                    .lsn = lsn,
                                    .time_ns = frame->time_ns };
    if (!selection_matches(&dump->tool->selection, &placed))
        return;
    if (dump->tool->json)
        line_json(dump, frame, record, lsn, result);
    else
        line_text(dump, frame, record, lsn, result);
}

static enum tool_exit shard_dump(struct tool *tool, uint32_t shard)
{
    struct dump dump = { .tool = tool, .shard = shard };
    struct shard_replay replay = { .tool = tool,
                                   .shard = shard,
                                   .apply = tool->with_outcomes,
                                   .to_lsn = tool->selection.to_lsn,
                                   .to_ns = tool->selection.to_ns,
                                   .visit = record_show,
                                   .visit_context = &dump };
    dump.replay = &replay;
    shard_replay_run(&replay);
    fflush(stdout);
    shard_replay_explain(&replay, stderr);
    enum tool_exit verdict = shard_replay_exit(&replay);
    shard_replay_free(&replay);
    return verdict;
}

/* A property lives in one shard, so no other needs to be read for it. */
static bool shard_is_wanted(const struct tool *tool, uint32_t shard)
{
    uint64_t property = tool->selection.property;
    if (tool->shard != SHARD_ALL && tool->shard != shard)
        return false;
    return property == 0 || shard_of_property(property, tool->directory.header.shards_count) == shard;
}

enum tool_exit dump_command(struct tool *tool)
{
    enum tool_exit worst = TOOL_CLEAN;
    for (uint32_t shard = 0; shard < tool->directory.header.shards_count; shard++)
        if (shard_is_wanted(tool, shard))
            worst = tool_worse(worst, shard_dump(tool, shard));
    return worst;
}
