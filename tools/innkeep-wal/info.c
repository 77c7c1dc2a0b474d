/* innkeep-wal info: what a data directory holds: files, ranges, limits, counts, snapshots. Every checksum is read; nothing is replayed. */
#include "tools/innkeep-wal/moment.h"
#include "tools/innkeep-wal/printer.h"
#include "tools/innkeep-wal/shard_files.h"
#include "tools/innkeep-wal/shard_replay.h"
#include "tools/innkeep-wal/shard_snapshots.h"
#include "tools/innkeep-wal/table.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What the frames of one segment span. */
struct span {
    uint64_t sequence;
    uint64_t frames;
    uint64_t records;
    uint64_t bytes;
    uint64_t first_index;
    uint64_t last_index;
    uint64_t first_lsn;
    uint64_t last_lsn;
    uint64_t first_ns;
    uint64_t last_ns;
};

struct info {
    struct tool *tool;
    uint32_t shard;
    struct shard_files files;
    struct shard_snapshots snapshots;
    struct span *spans; /* one for each file, in the files' order; only segments have any */
    size_t span;        /* where reading is */
    uint64_t counts[UINT8_MAX + 1];
    struct engine_limits limits; /* as the last CONFIG record says; horizon 0: none was found */
    uint64_t bytes;
    uint64_t first_index; /* of the frames that were read */
};

/* ---- Reading -------------------------------------------------------------------------------------------------------------------- */

/* Segments are listed and read in ascending order. A segment that was begun after the listing is not told about. */
static struct span *span_of(struct info *info, uint64_t sequence)
{
    for (; info->span < info->files.count && info->files.files[info->span].kind == SHARD_FILE_SEGMENT; info->span++)
        if (info->files.files[info->span].sequence == sequence)
            return &info->spans[info->span];
    return NULL;
}

static bool frame_note(void *context, const struct wal_frame_header *frame)
{
    struct info *info = context;
    struct span *span = span_of(info, frame->segment_sequence);
    info->bytes += frame->frame_size;
    if (span == NULL)
        return true;
    if (span->frames++ == 0) {
        span->first_index = frame->index;
        span->first_ns = frame->time_ns;
    }
    if (frame->records_count > 0) {
        span->first_lsn = span->records == 0 ? frame->first_lsn : span->first_lsn;
        span->last_lsn = frame->first_lsn + frame->records_count - 1;
    }
    span->records += frame->records_count;
    span->bytes += frame->frame_size;
    span->last_index = frame->index;
    span->last_ns = frame->time_ns;
    return true;
}

static void record_note(void *context, const struct wal_frame_header *frame, const struct record_header *record,
                        uint64_t lsn, const union apply_result *result)
{
    struct info *info = context;
    (void)frame;
    (void)lsn;
    (void)result;
    info->counts[record->kind]++;
    if (record->kind == OPERATION_CONFIG && record->size == sizeof(struct config_record))
        info->limits = ((const struct config_record *)(const void *)record)->limits;
}

/* The limits are in the snapshot too, where no CONFIG record follows it. */
static void beginning_note(void *context, const struct shard_replay *replay)
{
    struct info *info = context;
    info->first_index = replay->beginning.start.position.next_index;
    for (size_t i = 0; i < info->snapshots.count; i++)
        if (info->snapshots.items[i].index == replay->beginning.index)
            info->limits = info->snapshots.items[i].limits;
}

/* ---- Snapshots ------------------------------------------------------------------------------------------------------------------ */

/* Whether reading on behind a snapshot needs a segment. */
static bool is_needed_by(const struct shard_snapshot *snapshot, const struct shard_file *file)
{
    return snapshot->verdict == TOOL_CLEAN && file->kind == SHARD_FILE_SEGMENT &&
           file->sequence >= snapshot->header.segment_sequence;
}

/* A segment that the manifest gives up: it is there until a new one is made of it. */
static bool is_retired(const struct info *info, const struct shard_file *file)
{
    return info->snapshots.has_manifest && file->sequence < info->snapshots.manifest.oldest_segment;
}

/* ---- Words ---------------------------------------------------------------------------------------------------------------------- */

static const char *state_word(const struct info *info, size_t place)
{
    const struct shard_file *file = &info->files.files[place];
    bool newest = place + 1 == info->files.count || info->files.files[place + 1].kind != SHARD_FILE_SEGMENT;
    switch (file->kind) {
    case SHARD_FILE_SEGMENT:
        if (is_retired(info, file))
            return "retired";
        return newest ? "in use" : "closed";
    case SHARD_FILE_READY:
        return "ready";
    case SHARD_FILE_FILLING:
        return "being made";
    case SHARD_FILE_TORN:
        return "torn tail, set aside";
    case SHARD_FILE_SNAPSHOT:
        return "snapshot";
    case SHARD_FILE_SNAPSHOT_TMP:
        return "snapshot being written";
    case SHARD_FILE_MANIFEST:
        return "names the snapshots";
    case SHARD_FILE_OTHER:
    default:
        return "not Innkeep's";
    }
}

static char *size_text(uint64_t bytes, char text[32])
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    size_t unit = 0;
    double value = (double)bytes;
    for (; value >= 1024 && unit + 1 < ARRAY_COUNT(units); unit++)
        value /= 1024;
    snprintf(text, 32, "%.4g %s", value, units[unit]);
    return text;
}

static char *range_text(uint64_t first, uint64_t last, char text[48])
{
    if (first == last)
        snprintf(text, 48, "%" PRIu64, first);
    else
        snprintf(text, 48, "%" PRIu64 " to %" PRIu64, first, last);
    return text;
}

/* ---- Text ----------------------------------------------------------------------------------------------------------------------- */

static void directory_text(const struct tool *tool)
{
    const struct wal_directory_header *header = &tool->directory.header;
    char uuid[PRINTER_KEY_SIZE];
    char time[PRINTER_TIME_SIZE];
    char size[32];
    printf("%s\n  format     %u, uuid %s, made %s\n  shards     %u, with segments of %s\n", tool->path, header->version,
           printer_key(header->uuid, uuid), printer_time(header->created_ns, time), header->shards_count,
           size_text(header->segment_size, size));
}

static void ranges_text(const struct info *info, const struct wal_report *report)
{
    char first[PRINTER_TIME_SIZE];
    char last[PRINTER_TIME_SIZE];
    char range[48];
    char size[32];
    if (report->frames == 0)
        return;
    printf("  frames     %s (%s)\n", range_text(info->first_index, info->first_index + report->frames - 1, range),
           size_text(info->bytes, size));
    if (report->records > 0)
        printf("  LSN        %s\n", range_text(report->first_lsn, report->last_lsn, range));
    printf("  log time   %s to %s\n", printer_time(report->first_time_ns, first),
           printer_time(report->last_time_ns, last));
}

static void limits_text(const struct engine_limits *limits)
{
    char ahead[MOMENT_SPAN_SIZE];
    char keep[MOMENT_SPAN_SIZE];
    if (limits->horizon_nights == 0)
        return;
    printf("  limits     properties %u, room types %u, nights %u, reservations %u, kept outcomes %u, leases %u\n"
           "             deadlines %s ahead, ended reservations kept %s\n",
           limits->properties_max, limits->room_types_max, limits->horizon_nights, limits->reservations_max,
           limits->outcomes_max, limits->leases_max, moment_span(limits->deadline_ahead_max_ns, 4, ahead),
           moment_span(limits->keep_ended_ns, 4, keep));
}

static void counts_text(const struct info *info)
{
    const char *before = "  records    ";
    for (unsigned kind = 0; kind < ARRAY_COUNT(info->counts); kind++) {
        if (info->counts[kind] == 0)
            continue;
        printf("%s%s %" PRIu64, before, operation_name((uint8_t)kind), info->counts[kind]);
        before = ", ";
    }
    if (before[0] == ',')
        putchar('\n');
}

static void snapshot_text(const struct shard_snapshot *snapshot)
{
    char time[PRINTER_TIME_SIZE];
    char size[32];
    const struct wal_snapshot_header *header = &snapshot->header;
    printf("  snapshot   of frame %" PRIu64, snapshot->index);
    if (snapshot->opened)
        printf(", LSN %" PRIu64 ", %s, %s, needs segments from %" PRIu64 " on", header->next_lsn - 1,
               printer_time(header->time_ns, time), size_text(snapshot->file_size, size), header->segment_sequence);
    if (snapshot->verdict == TOOL_CLEAN)
        printf(": whole%s\n", snapshot->named ? "" : ", not in the manifest");
    else
        printf(": NOT TO BE USED: %s\n", snapshot->wrong);
}

static void snapshots_text(const struct shard_snapshots *snapshots)
{
    for (size_t i = 0; i < snapshots->count; i++)
        snapshot_text(&snapshots->items[i]);
    if (snapshots->manifest_verdict != TOOL_CLEAN)
        printf("  manifest   NOT TO BE USED: %s\n", snapshots->manifest_wrong);
    else if (snapshots->has_manifest)
        printf("  manifest   names %u snapshot%s; segments from %" PRIu64 " on are needed\n", snapshots->manifest.count,
               snapshots->manifest.count == 1 ? "" : "s", snapshots->manifest.oldest_segment);
    else if (snapshots->count > 0)
        printf("  manifest   none\n");
}

enum {
    COLUMN_INDENT,
    COLUMN_FILE,
    COLUMN_STATE,
    COLUMN_SIZE,
    COLUMN_USED,
    COLUMN_FRAMES,
    COLUMN_LSNS,
    COLUMN_BEGIN,
    COLUMNS
};

static void file_text(const struct info *info, size_t place, struct table *table)
{
    const struct shard_file *file = &info->files.files[place];
    const struct span *span = &info->spans[place];
    char name[PRINTER_TEXT_SIZE];
    char size[32];
    char used[32] = "";
    char frames[48] = "";
    char lsns[48] = "";
    char begin[PRINTER_TIME_SIZE] = "";
    if (span->frames > 0) {
        size_text(span->bytes, used);
        range_text(span->first_index, span->last_index, frames);
        printer_time(span->first_ns, begin);
    }
    if (span->records > 0)
        range_text(span->first_lsn, span->last_lsn, lsns);
    bool ours = file->kind != SHARD_FILE_OTHER;
    const char *cells[TABLE_COLUMNS_MAX] = {
        [COLUMN_FILE] = ours ? file->name : printer_text(file->name, strnlen(file->name, OWNER_SIZE), name),
        [COLUMN_STATE] = state_word(info, place),
        [COLUMN_SIZE] = size_text(file->size_bytes, size),
        [COLUMN_USED] = used,
        [COLUMN_FRAMES] = frames,
        [COLUMN_LSNS] = lsns,
        [COLUMN_BEGIN] = begin,
    };
    table_add(table, cells);
}

static void shard_text(const struct info *info, const struct shard_replay *replay, enum tool_exit verdict)
{
    printf("\nshard %u: %s\n", info->shard, tool_verdict_name(verdict));
    ranges_text(info, &replay->report);
    limits_text(&info->limits);
    snapshots_text(&info->snapshots);
    counts_text(info);
    struct table *table = calloc(1, sizeof *table);
    ENSURE(table != NULL);
    *table = (struct table){ .out = stdout,
                             .columns_count = COLUMNS,
                             .columns = { [COLUMN_INDENT] = { .heading = "" },
                                          [COLUMN_FILE] = { .heading = "file" },
                                          [COLUMN_STATE] = { .heading = "state" },
                                          [COLUMN_SIZE] = { .heading = "size", .to_the_right = true },
                                          [COLUMN_USED] = { .heading = "used", .to_the_right = true },
                                          [COLUMN_FRAMES] = { .heading = "frames" },
                                          [COLUMN_LSNS] = { .heading = "LSN" },
                                          [COLUMN_BEGIN] = { .heading = "from" } } };
    for (size_t i = 0; i < info->files.count; i++)
        file_text(info, i, table);
    table_finish(table);
    free(table);
}

/* ---- JSON ----------------------------------------------------------------------------------------------------------------------- */

static json_t *needed_by_json(const struct info *info, const struct shard_file *file)
{
    json_t *indexes = json_array();
    for (size_t i = 0; i < info->snapshots.count; i++)
        if (is_needed_by(&info->snapshots.items[i], file))
            json_array_append_new(indexes, printer_json_number(info->snapshots.items[i].index));
    return indexes;
}

static json_t *snapshot_json(const struct shard_snapshot *snapshot)
{
    char time[PRINTER_TIME_SIZE];
    const struct wal_snapshot_header *header = &snapshot->header;
    json_t *object =
        json_pack("{s:o, s:s, s:s, s:b}", "frame", printer_json_number(snapshot->index), "verdict",
                  tool_verdict_name(snapshot->verdict), "wrong", snapshot->wrong, "in_manifest", snapshot->named);
    if (object == NULL) /* a path that is no UTF-8 */
        object = json_pack("{s:o, s:s, s:b}", "frame", printer_json_number(snapshot->index), "verdict",
                           tool_verdict_name(snapshot->verdict), "in_manifest", snapshot->named);
    if (!snapshot->opened)
        return object;
    json_object_set_new(object, "lsn", printer_json_number(header->next_lsn - 1));
    json_object_set_new(object, "time", json_string(printer_time(header->time_ns, time)));
    json_object_set_new(object, "size", printer_json_number(snapshot->file_size));
    json_object_set_new(object, "segment", printer_json_number(header->segment_sequence));
    json_object_set_new(object, "offset", printer_json_number(header->segment_offset));
    return object;
}

static json_t *manifest_json(const struct shard_snapshots *snapshots)
{
    if (!snapshots->has_manifest && snapshots->manifest_verdict == TOOL_CLEAN)
        return json_null();
    json_t *indexes = json_array();
    for (uint32_t i = 0; snapshots->has_manifest && i < snapshots->manifest.count; i++)
        json_array_append_new(indexes, printer_json_number(snapshots->manifest.entries[i].index));
    uint64_t oldest = snapshots->has_manifest ? snapshots->manifest.oldest_segment : 0;
    json_t *wrong = json_string(snapshots->manifest_wrong);
    return json_pack("{s:s, s:o, s:o, s:o}", "verdict", tool_verdict_name(snapshots->manifest_verdict), "wrong",
                     wrong != NULL ? wrong : json_null(), "snapshots", indexes, "oldest_segment",
                     printer_json_number(oldest));
}

static json_t *file_json(const struct info *info, size_t place)
{
    const struct shard_file *file = &info->files.files[place];
    const struct span *span = &info->spans[place];
    char text[PRINTER_TEXT_SIZE];
    char first[PRINTER_TIME_SIZE];
    char last[PRINTER_TIME_SIZE];
    bool ours = file->kind != SHARD_FILE_OTHER;
    json_t *object = json_pack("{s:s, s:s, s:o, s:o, s:o, s:o}", "file",
                               ours ? file->name : printer_text(file->name, strnlen(file->name, OWNER_SIZE), text),
                               "state", state_word(info, place), "sequence", printer_json_number(file->sequence),
                               "size", printer_json_number(file->size_bytes), "used", printer_json_number(span->bytes),
                               "frames", printer_json_number(span->frames));
    ENSURE(object != NULL);
    if (file->kind == SHARD_FILE_SEGMENT)
        json_object_set_new(object, "needed_by", needed_by_json(info, file));
    if (span->frames == 0)
        return object;
    json_t *more =
        json_pack("{s:o, s:o, s:o, s:s, s:s}", "first_frame", printer_json_number(span->first_index), "last_frame",
                  printer_json_number(span->last_index), "records", printer_json_number(span->records), "first_time",
                  printer_time(span->first_ns, first), "last_time", printer_time(span->last_ns, last));
    json_object_update(object, more);
    json_decref(more);
    if (span->records > 0) {
        json_object_set_new(object, "first_lsn", printer_json_number(span->first_lsn));
        json_object_set_new(object, "last_lsn", printer_json_number(span->last_lsn));
    }
    return object;
}

static json_t *limits_json(const struct engine_limits *limits)
{
    if (limits->horizon_nights == 0)
        return json_null();
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "properties_max", (json_int_t)limits->properties_max,
                     "room_types_max", (json_int_t)limits->room_types_max, "horizon_nights",
                     (json_int_t)limits->horizon_nights, "reservations_max", (json_int_t)limits->reservations_max,
                     "outcomes_max", (json_int_t)limits->outcomes_max, "leases_max", (json_int_t)limits->leases_max,
                     "deadline_ahead_max_ns", printer_json_number(limits->deadline_ahead_max_ns), "keep_ended_ns",
                     printer_json_number(limits->keep_ended_ns));
}

static json_t *shard_json(const struct info *info, const struct shard_replay *replay, enum tool_exit verdict)
{
    const struct wal_report *report = &replay->report;
    json_t *counts = json_object();
    json_t *files = json_array();
    char first[PRINTER_TIME_SIZE];
    char last[PRINTER_TIME_SIZE];
    bool none = report->frames == 0;
    for (unsigned kind = 0; kind < ARRAY_COUNT(info->counts); kind++)
        if (info->counts[kind] > 0)
            json_object_set_new(counts, operation_name((uint8_t)kind), printer_json_number(info->counts[kind]));
    for (size_t i = 0; i < info->files.count; i++)
        json_array_append_new(files, file_json(info, i));
    json_t *object =
        json_pack("{s:i, s:s, s:o, s:o, s:o, s:o, s:o, s:s?, s:s?, s:o, s:o, s:o}", "shard", (int)info->shard,
                  "verdict", tool_verdict_name(verdict), "frames", printer_json_number(report->frames), "bytes",
                  printer_json_number(info->bytes), "records", printer_json_number(report->records), "first_lsn",
                  printer_json_number(report->first_lsn), "last_lsn", printer_json_number(report->last_lsn),
                  "first_time", none ? NULL : printer_time(report->first_time_ns, first), "last_time",
                  none ? NULL : printer_time(report->last_time_ns, last), "limits", limits_json(&info->limits),
                  "operations", counts, "files", files);
    ENSURE(object != NULL);
    json_t *snapshots = json_array();
    for (size_t i = 0; i < info->snapshots.count; i++)
        json_array_append_new(snapshots, snapshot_json(&info->snapshots.items[i]));
    json_object_set_new(object, "first_frame", printer_json_number(none ? 0 : info->first_index));
    json_object_set_new(object, "snapshots", snapshots);
    json_object_set_new(object, "manifest", manifest_json(&info->snapshots));
    json_object_set_new(object, "begins", beginning_json(&replay->beginning));
    return object;
}

static void all_json(const struct tool *tool, enum tool_exit worst, json_t *shards)
{
    const struct wal_directory_header *header = &tool->directory.header;
    char uuid[PRINTER_KEY_SIZE];
    char time[PRINTER_TIME_SIZE];
    json_t *all =
        json_pack("{s:s, s:s, s:i, s:s, s:i, s:o, s:s, s:O}", "directory", tool->path, "verdict",
                  tool_verdict_name(worst), "format", (int)header->version, "uuid", printer_key(header->uuid, uuid),
                  "shards_count", (int)header->shards_count, "segment_size", printer_json_number(header->segment_size),
                  "created", printer_time(header->created_ns, time), "shards", shards);
    if (all == NULL) { /* a path that is no UTF-8 cannot be named in JSON */
        fprintf(stderr, "innkeep-wal: %s cannot be written in JSON\n", tool->path);
        return;
    }
    json_dumpf(all, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(all);
}

/* ---- The command ---------------------------------------------------------------------------------------------------------------- */

static int info_look(struct info *info)
{
    char path[WAL_PATH_SIZE];
    struct tool *tool = info->tool;
    int error = shard_files_list(tool->io, wal_shard_path(&tool->directory, info->shard, path), &info->files);
    if (error == 0)
        error = shard_snapshots_survey(tool, info->shard, SHARD_SNAPSHOTS_PAGES, &info->snapshots);
    if (error != 0)
        fprintf(stderr, "innkeep-wal: cannot list %s: %s\n", path, strerror(-error));
    info->spans = calloc(info->files.count + 1, sizeof *info->spans);
    ENSURE(info->spans != NULL);
    return error;
}

static void snapshots_explain(const struct info *info)
{
    for (size_t i = 0; i < info->snapshots.count; i++)
        if (info->snapshots.items[i].verdict != TOOL_CLEAN)
            fprintf(stderr, "shard %u: %s\n", info->shard, info->snapshots.items[i].wrong);
    if (info->snapshots.manifest_verdict != TOOL_CLEAN)
        fprintf(stderr, "shard %u: %s\n", info->shard, info->snapshots.manifest_wrong);
}

static enum tool_exit shard_info(struct tool *tool, uint32_t shard, json_t *shards)
{
    struct info info = { .tool = tool, .shard = shard, .first_index = 1 };
    int error = info_look(&info);
    struct shard_replay replay = { .tool = tool,
                                   .shard = shard,
                                   .to_lsn = NEVER_NS,
                                   .to_ns = NEVER_NS,
                                   .visit = record_note,
                                   .visit_frame = frame_note,
                                   .visit_beginning = beginning_note,
                                   .visit_context = &info };
    shard_replay_run(&replay);
    enum tool_exit verdict = error != 0 ? TOOL_UNREADABLE : shard_replay_exit(&replay);
    verdict = tool_worse(verdict, shard_snapshots_worst(&info.snapshots));
    if (tool->json)
        json_array_append_new(shards, shard_json(&info, &replay, verdict));
    else
        shard_text(&info, &replay, verdict);
    fflush(stdout);
    shard_replay_explain(&replay, stderr);
    if (tool->json)
        snapshots_explain(&info);
    shard_replay_free(&replay);
    shard_files_free(&info.files);
    shard_snapshots_free(&info.snapshots);
    free(info.spans);
    return verdict;
}

enum tool_exit info_command(struct tool *tool)
{
    enum tool_exit worst = TOOL_CLEAN;
    json_t *shards = json_array();
    if (!tool->json)
        directory_text(tool);
    for (uint32_t shard = 0; shard < tool->directory.header.shards_count; shard++)
        worst = tool_worse(worst, shard_info(tool, shard, shards));
    if (tool->json)
        all_json(tool, worst, shards);
    json_decref(shards);
    return worst;
}
