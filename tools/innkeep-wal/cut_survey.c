#include "tools/innkeep-wal/cut_survey.h"

#include "wal/reader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- Where the cut lies --------------------------------------------------------------------------------------------------------- */

static uint64_t last_lsn_of(const struct wal_frame_header *frame)
{
    return frame->first_lsn + frame->records_count - 1;
}

/* The records of a frame up to the cut. */
static void partial_take(struct cut_survey *survey, const struct wal_frame_header *frame)
{
    uint32_t size = 0;
    const struct record_header *record = wal_record_first(frame);
    for (uint64_t lsn = frame->first_lsn; lsn <= survey->lsn; lsn++, record = wal_record_next(frame, record))
        size += record->size;
    survey->partial = malloc(size);
    if (survey->partial == NULL) {
        survey->wrong = "there is too little memory for the frame that is cut inside";
        return;
    }
    memcpy(survey->partial, frame + 1, size);
    survey->cut.partial_size_bytes = size;
    survey->cut.partial_time_ns = frame->time_ns;
    survey->cut.partial_config = frame->type == WAL_FRAME_CONFIG;
    survey->cut.engine_level = frame->engine_level;
    survey->time_ns = frame->time_ns;
}

/* The first frame that does not stay as it is. */
static void frame_cut(struct cut_survey *survey, const struct wal_frame_header *frame)
{
    survey->beyond = true;
    survey->cut.next_index = frame->index;
    survey->cut.previous_hash = frame->previous_hash;
    survey->cut.next_lsn = survey->before_lsn + 1;
    if (survey->cut.segment_sequence == 0) { /* nothing was read before it */
        survey->cut.segment_sequence = frame->segment_sequence;
        survey->cut.offset = (uint64_t)frame->block_number * WAL_BLOCK_SIZE;
    }
    bool inside = frame->first_lsn <= survey->lsn;
    if (inside && (frame->flags & WAL_FRAME_EPOCH) != 0)
        survey->wrong = "a frame that begins an epoch cannot be cut inside; name the LSN before it or its last one";
    else if (inside)
        partial_take(survey, frame);
    else if (survey->before_lsn != survey->lsn)
        survey->gap_lsn = frame->first_lsn;
}

static void frame_keep(struct cut_survey *survey, const struct wal_frame_header *frame)
{
    survey->cut.segment_sequence = frame->segment_sequence;
    survey->cut.offset = (uint64_t)frame->block_number * WAL_BLOCK_SIZE + frame->frame_size;
    survey->cut.last_time_ns = frame->time_ns;
    survey->cut.engine_level = frame->engine_level;
    if (frame->records_count == 0)
        return;
    survey->time_ns = frame->time_ns;
    survey->before_lsn = last_lsn_of(frame);
}

/* What the snapshot holds stays: it is what was read before the first frame. */
static void beginning_survey(void *context, const struct shard_replay *replay)
{
    struct cut_survey *survey = context;
    const struct wal_start *start = &replay->beginning.start;
    survey->begin_lsn = survey->before_lsn = start->position.next_lsn - 1;
    survey->time_ns = survey->cut.last_time_ns = start->position.last_time_ns;
    survey->cut.segment_sequence = start->place.segment_sequence;
    survey->cut.offset = start->place.offset;
    survey->cut.engine_level = replay->machine.engine == NULL ? 0 : engine_log_level(replay->machine.engine);
    if (start->position.last_time_ns <= survey->moment_ns)
        survey->moment_lsn = survey->before_lsn;
    survey->last_index = start->position.next_index - 1;
    survey->last_hash = start->position.previous_hash;
}

static bool frame_survey(void *context, const struct wal_frame_header *frame)
{
    struct cut_survey *survey = context;
    bool records = frame->records_count > 0;
    if (!survey->beyond && records && last_lsn_of(frame) > survey->lsn)
        frame_cut(survey, frame);
    else if (!survey->beyond)
        frame_keep(survey, frame);
    if (records && frame->time_ns <= survey->moment_ns)
        survey->moment_lsn = last_lsn_of(frame);
    survey->last_index = frame->index;
    survey->last_hash = frame->hash;
    return survey->wrong == NULL && survey->gap_lsn == 0;
}

/* ---- What lies behind it -------------------------------------------------------------------------------------------------------- */

/* What took effect, and only once: a retry answered again made nothing. */
static void effect_count(struct cut_losses *losses, const struct record_header *record, uint64_t lsn,
                         const union apply_result *result)
{
    if (result->header.status != STATUS_OK || (result->header.flags & RESULT_REPLAYED) != 0)
        return;
    switch (record->kind) {
    case OPERATION_RESERVE:
        losses->reserved++;
        break;
    case OPERATION_CONFIRM:
        losses->confirmed++;
        break;
    case OPERATION_RELEASE:
    case OPERATION_CANCEL:
        losses->ended++;
        break;
    case OPERATION_PROPERTY_CREATE:
    case OPERATION_ROOM_TYPE_CREATE:
    case OPERATION_ROOMS_SET:
        losses->supplied++;
        break;
    case OPERATION_LEASE_ACQUIRE:
        losses->leased += result->lease.token == lsn;
        break;
    default:
        break;
    }
}

static void record_survey(void *context, const struct wal_frame_header *frame, const struct record_header *record,
                          uint64_t lsn, const union apply_result *result)
{
    struct cut_survey *survey = context;
    struct cut_losses *losses = &survey->losses;
    if (lsn <= survey->lsn)
        return;
    if (losses->records++ == 0) {
        losses->first_lsn = lsn;
        losses->first_time_ns = frame->time_ns;
    }
    losses->last_lsn = lsn;
    losses->last_time_ns = frame->time_ns;
    losses->kinds[record->kind]++;
    if (result != NULL)
        effect_count(losses, record, lsn, result);
}

/* ---- The verdict ---------------------------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static const char *say(struct cut_survey *survey, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(survey->why, sizeof survey->why, format, arguments);
    va_end(arguments);
    return survey->why;
}

static const char *lsn_judge(struct cut_survey *survey, const struct shard_replay *replay)
{
    if (survey->wrong != NULL)
        return survey->wrong;
    if (survey->lsn == 0)
        return "at LSN 0 nothing would stay; a log keeps at least its first record";
    if (survey->lsn < survey->begin_lsn)
        return say(survey,
                   "LSN %" PRIu64 " lies in segments that were recycled: what is left begins with a snapshot at "
                   "LSN %" PRIu64,
                   survey->lsn, survey->begin_lsn);
    if (survey->gap_lsn != 0 && survey->before_lsn == 0)
        return say(survey, "LSN %" PRIu64 " is not in the log, which begins at %" PRIu64, survey->lsn, survey->gap_lsn);
    if (survey->gap_lsn != 0)
        return say(survey, "LSN %" PRIu64 " is not in the log, which goes on at %" PRIu64 " behind %" PRIu64,
                   survey->lsn, survey->gap_lsn, survey->before_lsn);
    if (replay->error != 0)
        return say(survey, "the log cannot be read: %s: %s", replay->report.stop_path, strerror(-replay->error));
    bool named = survey->lsn != NEVER_NS;
    if (named && survey->lsn > replay->report.last_lsn)
        return say(survey, "LSN %" PRIu64 " is not in the log, which can be read up to %" PRIu64, survey->lsn,
                   replay->report.last_lsn);
    if (replay->broken != NULL && (!named || replay->broken_lsn <= survey->lsn))
        return say(survey, "the log is damaged at LSN %" PRIu64 " (%s), so it has to be cut before that",
                   replay->broken_lsn, replay->broken);
    if (!named && survey->damaged)
        return say(survey, "the log is damaged behind LSN %" PRIu64 "; name it too", replay->report.last_lsn);
    return NULL;
}

/* Where the damage begins, nothing that could be read lies behind the last LSN, and yet the log cannot go on there. */
static void damage_cut(struct cut_survey *survey, const struct wal_report *report)
{
    survey->cut.segment_sequence = report->tail_segment_sequence;
    survey->cut.offset = report->tail_offset;
    survey->cut.next_index = report->position.next_index;
    survey->cut.next_lsn = report->position.next_lsn;
    survey->cut.previous_hash = report->position.previous_hash;
}

const char *cut_survey_run(struct cut_survey *survey, const struct tool *tool, uint32_t shard)
{
    struct shard_replay replay = { .tool = tool,
                                   .shard = shard,
                                   .apply = survey->lsn != NEVER_NS,
                                   .to_lsn = NEVER_NS,
                                   .to_ns = NEVER_NS,
                                   .visit = record_survey,
                                   .visit_frame = frame_survey,
                                   .visit_beginning = beginning_survey,
                                   .visit_context = survey };
    shard_replay_run(&replay);
    const struct wal_report *report = &replay.report;
    survey->damaged = replay.error == 0 && !replay.stopped && report->verdict == WAL_DAMAGED;
    const char *wrong = lsn_judge(survey, &replay);
    survey->last_lsn = report->last_lsn;
    survey->tail_sequence = report->tail_segment_sequence;
    survey->tail_offset = report->tail_offset;
    survey->loses = survey->lsn != NEVER_NS && (survey->beyond || survey->damaged);
    if (survey->loses && !survey->beyond)
        damage_cut(survey, report);
    survey->cut.shard = shard;
    survey->cut.lsn = survey->lsn;
    survey->cut.next_segment_sequence = report->position.next_segment_sequence;
    survey->cut.granted_lsn = report->last_lsn > report->stop_last_lsn ? report->last_lsn : report->stop_last_lsn;
    shard_replay_free(&replay);
    return wrong;
}

/* ---- The copy ------------------------------------------------------------------------------------------------------------------- */

struct copy {
    const struct cut_survey *survey;
    bool found; /* the original's last good frame */
};

static bool frame_compare(void *context, const struct wal_frame_header *frame)
{
    struct copy *copy = context;
    copy->found = copy->found ||
                  (frame->index == copy->survey->last_index && hash128_equal(frame->hash, copy->survey->last_hash));
    return true;
}

struct pair {
    struct wal_reader readers[2]; /* the original's, the copy's */
    char paths[2][WAL_PATH_SIZE]; /* of the shards' directories */
};

/* The same bytes under two names are no copy: what the cut takes away would be gone from both. */
static const char *segment_compare(struct pair *pair, uint64_t sequence, uint64_t offset, bool bytes)
{
    struct stat stats[2];
    for (int i = 0; i < 2; i++)
        if (wal_reader_open(&pair->readers[i], sequence) != 0 || stat(pair->readers[i].path, &stats[i]) != 0)
            return "a segment is missing, or cannot be read";
    if (stats[0].st_ino == stats[1].st_ino && stats[0].st_dev == stats[1].st_dev)
        return "a segment is the same file under another name (a hard link), which the cut would change too";
    if (!bytes)
        return NULL;
    for (; offset < pair->readers[0].size_bytes; offset += WAL_BLOCK_SIZE) {
        const uint8_t *blocks[2];
        ssize_t got[2];
        for (int i = 0; i < 2; i++)
            got[i] = wal_reader_window(&pair->readers[i], offset, WAL_BLOCK_SIZE, &blocks[i]);
        if (got[0] < 0 || got[0] != got[1] || memcmp(blocks[0], blocks[1], (size_t)got[0]) != 0)
            return "what lies behind the damage is not the same there";
    }
    return NULL;
}

static const char *segments_compare(struct pair *pair, const struct cut_survey *survey, struct io *io)
{
    struct wal_segments segments = { .sequences = NULL };
    const char *wrong = wal_segments_list(io, pair->paths[0], &segments) != 0 ? "the log cannot be listed" : NULL;
    for (size_t i = 0; i < segments.count && wrong == NULL; i++) {
        uint64_t sequence = segments.sequences[i];
        uint64_t offset = sequence == survey->tail_sequence ? survey->tail_offset : 0;
        bool bytes = survey->damaged && sequence >= survey->tail_sequence;
        if (bytes || (survey->loses && sequence >= survey->cut.segment_sequence))
            wrong = segment_compare(pair, sequence, offset, bytes);
    }
    wal_segments_free(&segments);
    return wrong;
}

static const char *files_compare(const struct cut_survey *survey, const struct tool *tools[2], uint32_t shard)
{
    struct pair pair = { .paths = { "", "" } };
    const char *wrong = NULL;
    for (int i = 0; i < 2; i++)
        if (wal_reader_init(&pair.readers[i], tools[i]->io, wal_shard_path(&tools[i]->directory, shard, pair.paths[i]),
                            tools[i]->directory.header.uuid, shard) != 0)
            wrong = "there is too little memory to compare them";
    if (wrong == NULL)
        wrong = segments_compare(&pair, survey, tools[0]->io);
    for (int i = 0; i < 2; i++)
        wal_reader_free(&pair.readers[i]);
    return wrong;
}

const char *cut_backup_check(const struct cut_survey *survey, const struct tool *original, const struct tool *copy,
                             uint32_t shard, char *why, size_t why_size)
{
    struct copy found = { .survey = survey, .found = survey->last_index == 0 };
    struct shard_replay replay = { .tool = copy,
                                   .shard = shard,
                                   .to_lsn = NEVER_NS,
                                   .to_ns = NEVER_NS,
                                   .visit_frame = frame_compare,
                                   .visit_context = &found };
    shard_replay_run(&replay);
    const struct wal_report *report = &replay.report;
    const char *wrong = NULL;
    if (replay.error != 0)
        snprintf(why, why_size, "it cannot be read: %s", report->stop_path);
    else if (!found.found)
        snprintf(why, why_size,
                 "it reads up to LSN %" PRIu64 ", and lacks frame %" PRIu64 " as it is here (LSN %" PRIu64 ")",
                 report->last_lsn, survey->last_index, survey->last_lsn);
    else if (report->verdict == WAL_DAMAGED && !survey->damaged)
        snprintf(why, why_size, "it is damaged: %s", report->stop_reason);
    else
        wrong = "";
    shard_replay_free(&replay);
    if (wrong == NULL)
        return why;
    const struct tool *tools[] = { original, copy };
    return files_compare(survey, tools, shard);
}
