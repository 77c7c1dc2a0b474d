#include "tools/innkeep-wal/beginning.h"

#include "tools/innkeep-wal/log_start.h"
#include "tools/innkeep-wal/printer.h"
#include "tools/innkeep-wal/shard_snapshots.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PEEKED 1 /* what the visitor returns that has seen enough */
#define PROGRESS_STEP (256 * MIB)

/* ---- The log's own beginning ---------------------------------------------------------------------------------------------------- */

struct peek {
    uint64_t last_lsn; /* of frame 1 */
    bool is_taken_over;
};

/* A directory that was made of a state begins with a CONFIG frame, and goes on with an EPOCH whose last LSN is the state's, not that frame's. */
static int frame_peek(void *context, const struct wal_frame_header *frame)
{
    struct peek *peek = context;
    const struct record_header *first = wal_record_first(frame);
    if (frame->index == 1) {
        peek->last_lsn = frame->first_lsn + frame->records_count - 1;
        return 0;
    }
    if (first != NULL && first->kind == OPERATION_EPOCH && first->size == sizeof(struct epoch_record))
        peek->is_taken_over = ((const struct epoch_record *)(const void *)first)->last_lsn != peek->last_lsn;
    return PEEKED;
}

/* True if replaying from the first frame gives the state. */
static bool log_is_whole(struct beginning *beginning)
{
    const struct wal_directory *directory = &beginning->tool->directory;
    char path[WAL_PATH_SIZE];
    struct wal_source source = { .directory = wal_shard_path(directory, beginning->shard, path),
                                 .shard = beginning->shard,
                                 .shards_count = directory->header.shards_count,
                                 .segment_size = directory->header.segment_size };
    memcpy(source.uuid, directory->header.uuid, sizeof source.uuid);
    if (log_segment_first(beginning->tool->io, path, &beginning->segment_first) != 0 || beginning->segment_first != 1)
        return false; /* a directory that cannot be listed is said to be so when its log is read */
    struct peek peek = { .last_lsn = 0 };
    struct wal_report report;
    int result = wal_read(beginning->tool->io, &source, frame_peek, &peek, &report);
    beginning->is_taken_over = result >= 0 && peek.is_taken_over;
    return !beginning->is_taken_over;
}

/* ---- A snapshot ----------------------------------------------------------------------------------------------------------------- */

static void passed_over_note(void *context, const char *sentence)
{
    struct beginning *beginning = context;
    uint32_t i = beginning->passed_over_count++;
    if (i >= BEGINNING_PASSED_OVER_MAX)
        return;
    beginning->passed_over[i] = strdup(sentence);
    size_t length = beginning->passed_over[i] == NULL ? 0 : strlen(beginning->passed_over[i]);
    if (length > 0 && beginning->passed_over[i][length - 1] == '.')
        beginning->passed_over[i][length - 1] = '\0';
}

/* For people only, one line that rewrites itself. */
static void progress_show(void *context, uint64_t loaded_bytes, uint64_t bytes)
{
    const struct beginning *beginning = context;
    if (bytes < PROGRESS_STEP || !isatty(STDERR_FILENO))
        return;
    fprintf(stderr, "\rshard %u: snapshot: %" PRIu64 " of %" PRIu64 " MiB ", beginning->shard, loaded_bytes / MIB,
            bytes / MIB);
    if (loaded_bytes == bytes)
        fputs("\r\033[K", stderr);
}

/* A snapshot that a newer one made superfluous may outlive the segments behind it for a moment, or over a crash. One that the manifest counts on
 * may not, so where its segment is missing, that is to be said. */
static uint64_t segment_min(const struct beginning *beginning)
{
    char path[WAL_PATH_SIZE];
    char why[WAL_SNAPSHOT_WHY_SIZE];
    struct wal_manifest manifest;
    struct wal_snapshot_place place = shard_snapshot_place(beginning->tool, beginning->shard, path);
    bool known = wal_manifest_read(beginning->tool->io, &place, &manifest, why) == 0;
    return known && manifest.oldest_segment < beginning->segment_first ? manifest.oldest_segment
                                                                       : beginning->segment_first;
}

/* With the nearest: none behind what is asked for. With the oldest: that one, and then it shows whether it is behind. */
static int machine_fill(struct beginning *beginning, bool oldest)
{
    char path[WAL_PATH_SIZE];
    struct warm_start warm;
    struct warm_start_options options = {
        .io = beginning->tool->io,
        .place = shard_snapshot_place(beginning->tool, beginning->shard, path),
        .lsn_max = oldest ? NEVER_NS : beginning->to_lsn,
        .time_max_ns = oldest ? NEVER_NS : beginning->to_ns,
        .oldest = oldest,
        .segment_min = oldest ? segment_min(beginning) : 0,
        .say = passed_over_note,
        .progress = progress_show,
        .context = beginning,
    };
    int error = warm_start_run(beginning->machine, &options, &warm, beginning->why);
    if (error != 0)
        return error;
    beginning->oldest_segment = warm.oldest_segment;
    beginning->index = warm.index;
    beginning->start = warm.start;
    return 0;
}

/* The same without a machine: a snapshot whose checksums all verify says where to begin. */
static int place_find(struct beginning *beginning)
{
    char path[WAL_PATH_SIZE];
    struct shard_snapshots snapshots;
    wal_shard_path(&beginning->tool->directory, beginning->shard, path);
    uint64_t least = segment_min(beginning);
    int error = shard_snapshots_survey(beginning->tool, beginning->shard, SHARD_SNAPSHOTS_PAGES, &snapshots);
    if (error != 0)
        snprintf(beginning->why, sizeof beginning->why, "%.500s cannot be listed: %s", path, strerror(-error));
    if (error == 0 && snapshots.has_manifest)
        beginning->oldest_segment = snapshots.manifest.oldest_segment;
    for (size_t i = snapshots.count; error == 0 && i-- > 0 && beginning->index == 0;) {
        const struct shard_snapshot *snapshot = &snapshots.items[i];
        if (snapshot->verdict != TOOL_CLEAN)
            passed_over_note(beginning, snapshot->wrong);
        if (snapshot->verdict != TOOL_CLEAN || snapshot->header.segment_sequence < least)
            continue;
        beginning->index = snapshot->index;
        beginning->start = wal_start_behind_snapshot(&snapshot->header);
    }
    shard_snapshots_free(&snapshots);
    return error;
}

static void passed_over_forget(struct beginning *beginning)
{
    for (size_t i = 0; i < BEGINNING_PASSED_OVER_MAX; i++) {
        free(beginning->passed_over[i]);
        beginning->passed_over[i] = NULL;
    }
    beginning->passed_over_count = 0;
}

/* A state in front of the oldest snapshot is in no file any more. */
static void beyond_look(struct beginning *beginning)
{
    const struct wal_position *position = &beginning->start.position;
    beginning->is_beyond = beginning->index != 0 &&
                           (position->next_lsn - 1 > beginning->to_lsn || position->last_time_ns > beginning->to_ns);
    if (beginning->is_beyond && beginning->machine != NULL)
        state_machine_reset(beginning->machine);
}

int beginning_find(struct beginning *beginning)
{
    int error = 0;
    if (beginning->wish == BEGIN_NEAREST && beginning->machine != NULL)
        error = machine_fill(beginning, false);
    if (error != 0 || beginning->index != 0 || log_is_whole(beginning))
        return error;
    passed_over_forget(beginning);
    error = beginning->machine != NULL ? machine_fill(beginning, true) : place_find(beginning);
    if (error == 0)
        beyond_look(beginning);
    return error;
}

void beginning_free(struct beginning *beginning)
{
    passed_over_forget(beginning);
}

/* ---- Telling -------------------------------------------------------------------------------------------------------------------- */

static void place_tell(const struct beginning *beginning, FILE *out)
{
    char time[PRINTER_TIME_SIZE];
    const struct wal_position *position = &beginning->start.position;
    fprintf(out, "shard %u: begins at the snapshot of frame %" PRIu64 ", LSN %" PRIu64 ", %s", beginning->shard,
            beginning->index, position->next_lsn - 1, printer_time(position->last_time_ns, time));
    if (beginning->wish == BEGIN_NEAREST)
        fputs(", the newest that will do\n", out);
    else if (beginning->is_taken_over)
        fputs(", the state that this directory was made of\n", out);
    else
        fputs(": events before it are in segments that were recycled\n", out);
}

void beginning_tell(const struct beginning *beginning, FILE *out)
{
    for (uint32_t i = 0; i < beginning->passed_over_count && i < BEGINNING_PASSED_OVER_MAX; i++)
        fprintf(out, "shard %u: passed over: %s\n", beginning->shard,
                beginning->passed_over[i] != NULL ? beginning->passed_over[i] : "a snapshot");
    if (beginning->passed_over_count > BEGINNING_PASSED_OVER_MAX)
        fprintf(out, "shard %u: passed over: %u snapshots more\n", beginning->shard,
                beginning->passed_over_count - BEGINNING_PASSED_OVER_MAX);
    if (beginning->index != 0 && !beginning->is_beyond)
        place_tell(beginning, out);
}

json_t *beginning_json(const struct beginning *beginning)
{
    char text[PRINTER_TIME_SIZE];
    json_t *sentences = json_array();
    const struct wal_position *position = &beginning->start.position;
    for (uint32_t i = 0; i < beginning->passed_over_count && i < BEGINNING_PASSED_OVER_MAX; i++) {
        const char *sentence = beginning->passed_over[i] != NULL ? beginning->passed_over[i] : "";
        json_t *string = json_string(sentence);
        json_array_append_new(sentences,
                              string != NULL ? string : json_string("a snapshot, in a path that is no UTF-8"));
    }
    if (beginning->index == 0)
        return json_pack("{s:s, s:o}", "at", "log", "passed_over", sentences);
    return json_pack("{s:s, s:o, s:o, s:s, s:o}", "at", "snapshot", "frame", printer_json_number(beginning->index),
                     "lsn", printer_json_number(position->next_lsn - 1), "time",
                     printer_time(position->last_time_ns, text), "passed_over", sentences);
}
