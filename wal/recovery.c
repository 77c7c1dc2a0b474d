/* The reader's algorithm; FORMAT.md, "Reading a log", has it in prose with the reason why it is right. In short:
 *
 *   read on     frame by frame, segment by segment, while the successor is found by its index and its predecessor's hash
 *   examine     where it ends: every block behind, for what proves that something acknowledged is missing, and for any
 *               byte that a crash may have left
 *   conclude    DAMAGED with proof, TORN_TAIL with bytes but without proof, CLEAN with neither
 *
 * A log may be read while it is written. Then a frame can land between the look at its place and the look at its successors, and
 * the successors would prove it missing. So proof is believed only after one more look at the place. */
#include "wal/recovery.h"

#include "wal/reader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A log that grows faster than it is read must not keep its reader for ever. */
#define ROUNDS_MAX 1000

enum header_state {
    HEADER_BLANK,   /* zeros: the segment was never begun, or its tail was discarded */
    HEADER_LOST,    /* both copies bad */
    HEADER_OWN,     /* of this shard and this file */
    HEADER_STALE,   /* of the file's earlier life */
    HEADER_FOREIGN, /* no crash explains it */
};

struct header_view {
    enum header_state state;
    struct wal_segment_header header; /* OWN, STALE, FOREIGN: from whichever copy is good */
    uint32_t bad_copies;              /* that are not as they were written */
    const char *foreign;              /* FOREIGN: what it is */
};

/* What lies behind the last good frame. */
struct findings {
    uint64_t tail_bytes; /* the extent, summed over segments, of what is neither zero nor of a file's earlier life */
    uint64_t last_index;
    uint64_t last_lsn;
    struct wal_frame_header evidence; /* index 0: none */
    uint64_t evidence_sequence;
    uint64_t evidence_offset;
    const char *damage; /* what shows by itself that the log is damaged */
    uint64_t damage_sequence;
    uint64_t damage_offset;
    uint64_t continuing_sequence; /* the segment whose header says that the missing frame is its first; 0: none */
    uint64_t following_sequence;  /* the next segment that begins behind the missing frame; 0: none */
};

struct recovery {
    struct wal_reader reader;
    const struct wal_source *source;
    wal_visit *visit;
    void *visit_context;
    struct wal_report *report;
    struct wal_segments segments; /* that there are */
    size_t tail_segment;          /* which of them holds the last good frame, or is to hold the first */
    uint64_t tail_offset;
    struct wal_position position;
    uint64_t segment_size; /* what every segment's should be; 0: not known yet */
    struct findings findings;
};

/* ---- Where the reader is ------------------------------------------------------------------------------------------------- */

static uint64_t tail_sequence(const struct recovery *recovery)
{
    return recovery->segments.count == 0 ? 0 : recovery->segments.sequences[recovery->tail_segment];
}

static int segment_open(struct recovery *recovery, size_t i)
{
    REQUIRE(i < recovery->segments.count);
    return wal_reader_open(&recovery->reader, recovery->segments.sequences[i]);
}

static void damage_note(struct recovery *recovery, const char *damage, uint64_t offset)
{
    if (recovery->findings.damage)
        return;
    recovery->findings.damage = damage;
    recovery->findings.damage_sequence = recovery->reader.sequence;
    recovery->findings.damage_offset = offset;
}

/* ---- Segment headers -------------------------------------------------------------------------------------------------------- */

static const char *header_foreign(const struct recovery *recovery, const struct wal_segment_header *header)
{
    if (memcmp(header->uuid, recovery->source->uuid, sizeof(header->uuid)) != 0)
        return "the segment belongs to another data directory";
    if (header->shard != recovery->source->shard)
        return "the segment belongs to another shard";
    if (header->shards_count != recovery->source->shards_count)
        return "the segment was written under another shard count";
    bool stale = header->segment_sequence < recovery->reader.sequence &&
                 header->first_frame_index < recovery->position.next_index;
    if (header->segment_sequence != recovery->reader.sequence && !stale)
        return "the segment's name and header disagree: the file was renamed or swapped";
    return NULL;
}

static void header_judge(const struct recovery *recovery, struct header_view *view)
{
    view->foreign = header_foreign(recovery, &view->header);
    if (view->foreign)
        view->state = HEADER_FOREIGN;
    else
        view->state = view->header.segment_sequence == recovery->reader.sequence ? HEADER_OWN : HEADER_STALE;
}

/* Looks at both copies of the open segment's header. */
static int header_look(struct recovery *recovery, struct header_view *view)
{
    *view = (struct header_view){ .state = HEADER_BLANK };
    bool good = false;
    bool newer = false;
    for (size_t i = 0; i < WAL_SEGMENT_HEADER_BLOCKS; i++) {
        const uint8_t *block = NULL;
        ssize_t got = wal_reader_window(&recovery->reader, i * WAL_BLOCK_SIZE, WAL_BLOCK_SIZE, &block);
        if (got < 0)
            return (int)got;
        struct wal_segment_header copy = { 0 };
        if (got == WAL_BLOCK_SIZE)
            memcpy(&copy, block, sizeof(copy));
        if (got < WAL_BLOCK_SIZE || !wal_bytes_are_zero(block, WAL_BLOCK_SIZE))
            view->state = HEADER_LOST;
        bool fine = wal_segment_header_check(&copy) == NULL;
        if (fine && !good)
            view->header = copy;
        good = good || fine;
        newer = newer || wal_segment_header_is_newer(&copy);
        view->bad_copies += !fine;
    }
    if (good) {
        header_judge(recovery, view);
    } else if (newer) {
        view->state = HEADER_FOREIGN;
        view->foreign = "the segment was written by a newer Innkeep";
    }
    return 0;
}

/* Of a segment that the log runs through: what the header adds to the report. Frames verify without it. */
static int header_note(struct recovery *recovery)
{
    struct header_view view;
    int rc = header_look(recovery, &view);
    if (rc != 0)
        return rc;
    recovery->report->bad_header_copies += view.bad_copies;
    if (view.state == HEADER_OWN && recovery->segment_size == 0)
        recovery->segment_size = view.header.segment_size;
    return 0;
}

/* ---- Reading on ---------------------------------------------------------------------------------------------------------- */

static const char *chain_check(const struct recovery *recovery, const struct wal_frame_header *frame, uint64_t offset)
{
    if (frame->segment_sequence != recovery->reader.sequence || frame->shard != recovery->source->shard ||
        frame->block_number != offset / WAL_BLOCK_SIZE)
        return "the frame belongs to another place (a misdirected write)";
    if (frame->index != recovery->position.next_index)
        return "the frame has another index than the next";
    if (!hash128_equal(frame->previous_hash, recovery->position.previous_hash))
        return "the frame does not follow from the frame before it (another history)";
    return NULL;
}

/* The frame at offset, if it is the successor: *frame is good until the reader moves. Otherwise *wrong says why it is not. */
static int successor_at(struct recovery *recovery, uint64_t offset, const struct wal_frame_header **frame,
                        const char **wrong)
{
    int rc = wal_reader_frame(&recovery->reader, offset, recovery->reader.salt, frame, wrong);
    if (rc == 0 && !*wrong)
        *wrong = chain_check(recovery, *frame, offset);
    return rc;
}

/* LSNs have no gaps, but where a frame begins an epoch. */
static bool lsn_follows(const struct recovery *recovery, const struct wal_frame_header *frame)
{
    uint64_t next_lsn = recovery->position.next_lsn;
    if ((frame->flags & WAL_FRAME_EPOCH) == 0)
        return frame->first_lsn == next_lsn;
    return frame->first_lsn >= next_lsn && frame->first_lsn % WAL_EPOCH_LSNS == 0;
}

/* A frame that is chained to its predecessor and yet contradicts it was written so: that is no torn write. */
static bool frame_contradicts(const struct recovery *recovery, const struct wal_frame_header *frame)
{
    return !lsn_follows(recovery, frame) || frame->time_ns < recovery->position.last_time_ns;
}

static void frame_take(struct recovery *recovery, const struct wal_frame_header *frame)
{
    struct wal_report *report = recovery->report;
    if (report->frames++ == 0)
        report->first_time_ns = frame->time_ns;
    if (report->records == 0 && frame->records_count > 0)
        report->first_lsn = frame->first_lsn;
    report->records += frame->records_count;
    report->last_time_ns = frame->time_ns;
    struct wal_position *position = &recovery->position;
    position->next_index++;
    position->next_lsn = frame->first_lsn + frame->records_count;
    position->last_time_ns = frame->time_ns;
    position->previous_hash = frame->hash;
    recovery->tail_offset += frame->frame_size;
}

/* From the tail on, in the segment that is open, as far as the chain goes. */
static int run_read(struct recovery *recovery)
{
    for (;;) {
        const struct wal_frame_header *frame = NULL;
        const char *wrong = NULL;
        int rc = successor_at(recovery, recovery->tail_offset, &frame, &wrong);
        if (rc != 0 || wrong)
            return rc;
        if (frame_contradicts(recovery, frame)) {
            damage_note(recovery, "the frame's LSN or time contradicts the frame before it", recovery->tail_offset);
            return 0;
        }
        rc = recovery->visit ? recovery->visit(recovery->visit_context, frame) : 0;
        if (rc != 0)
            return rc;
        frame_take(recovery, frame);
    }
}

/* Moves the tail to the next segment that begins with the successor. False if there is none. */
static int next_segment_find(struct recovery *recovery, bool *found)
{
    *found = false;
    for (size_t i = recovery->tail_segment + 1; i < recovery->segments.count; i++) {
        int rc = segment_open(recovery, i);
        const struct wal_frame_header *frame = NULL;
        const char *wrong = NULL;
        if (rc == 0)
            rc = successor_at(recovery, WAL_SEGMENT_DATA_OFFSET, &frame, &wrong);
        if (rc != 0)
            return rc;
        if (wrong)
            continue;
        recovery->tail_segment = i;
        recovery->tail_offset = WAL_SEGMENT_DATA_OFFSET;
        *found = true;
        return header_note(recovery);
    }
    return 0;
}

static int read_on(struct recovery *recovery)
{
    int rc = segment_open(recovery, recovery->tail_segment);
    bool more = true;
    while (rc == 0 && more && !recovery->findings.damage) {
        rc = run_read(recovery);
        if (rc == 0 && !recovery->findings.damage)
            rc = next_segment_find(recovery, &more);
    }
    return rc;
}

/* ---- Examining what lies behind -------------------------------------------------------------------------------------------- */

/* A header that verifies is what the writer wrote, whatever became of its frame: its durable_index is proof. */
static void evidence_note(struct recovery *recovery, const struct wal_frame_header *header, uint64_t offset)
{
    struct findings *findings = &recovery->findings;
    if (header->index > findings->last_index) {
        findings->last_index = header->index;
        findings->last_lsn = header->first_lsn + header->records_count - 1;
    }
    if (header->durable_index < recovery->position.next_index ||
        header->durable_index <= findings->evidence.durable_index)
        return;
    findings->evidence = *header;
    findings->evidence_offset = offset;
    findings->evidence_sequence = recovery->reader.sequence;
}

/* How far the scan may step: over a frame that is whole, else by a block. *stale: an intact frame of the file's earlier life. */
static int place_examine(struct recovery *recovery, uint64_t offset, const uint8_t *block, uint64_t *step, bool *stale)
{
    *step = WAL_BLOCK_SIZE;
    *stale = false;
    struct wal_frame_header header;
    memcpy(&header, block, sizeof(header));
    uint64_t salt = wal_salt(recovery->source->uuid, recovery->source->shard, header.segment_sequence);
    if (wal_frame_header_check(&header, salt))
        return 0;
    if (wal_frame_is_newer(&header, salt))
        damage_note(recovery, "the frame was written by a newer Innkeep", offset);
    evidence_note(recovery, &header, offset);
    const struct wal_frame_header *frame = NULL;
    const char *wrong = NULL;
    int rc = wal_reader_frame(&recovery->reader, offset, salt, &frame, &wrong);
    if (rc != 0 || wrong)
        return rc;
    *step = frame->frame_size;
    *stale = frame->segment_sequence < recovery->reader.sequence && frame->index < recovery->position.next_index;
    return 0;
}

/* Marks [begin, end) of the open segment as left behind by a crash. */
struct extent {
    uint64_t begin;
    uint64_t end;
};

static void extent_cover(struct extent *extent, uint64_t begin, uint64_t end)
{
    if (extent->end == 0)
        extent->begin = begin;
    extent->end = end;
}

static int blocks_examine(struct recovery *recovery, uint64_t offset, struct extent *left)
{
    uint64_t step = WAL_BLOCK_SIZE;
    for (; offset < recovery->reader.size_bytes; offset += step) {
        const uint8_t *block = NULL;
        ssize_t got = wal_reader_window(&recovery->reader, offset, WAL_BLOCK_SIZE, &block);
        if (got < 0)
            return (int)got;
        step = WAL_BLOCK_SIZE;
        if (wal_bytes_are_zero(block, (size_t)got))
            continue;
        bool stale = false;
        int rc = got < WAL_BLOCK_SIZE ? 0 : place_examine(recovery, offset, block, &step, &stale);
        if (rc != 0)
            return rc;
        if (!stale)
            extent_cover(left, offset, offset + step);
    }
    return 0;
}

/* What the header of a segment behind the last good frame says. */
static void header_examine(struct recovery *recovery, const struct header_view *view, struct extent *left)
{
    struct findings *findings = &recovery->findings;
    const struct wal_segment_header *header = &view->header;
    bool own = view->state == HEADER_OWN;
    if (view->state == HEADER_FOREIGN)
        damage_note(recovery, view->foreign, 0);
    if (own && header->first_frame_index < recovery->position.next_index)
        damage_note(recovery, "the segment begins at a frame that an earlier segment holds: two histories are mixed",
                    0);
    if (own && header->first_frame_index > recovery->position.next_index && findings->following_sequence == 0)
        findings->following_sequence = recovery->reader.sequence;
    bool continues = own && header->first_frame_index == recovery->position.next_index &&
                     hash128_equal(header->previous_hash, recovery->position.previous_hash);
    if (continues && findings->continuing_sequence == 0)
        findings->continuing_sequence = recovery->reader.sequence;
    if ((own && !continues) || view->state == HEADER_LOST)
        extent_cover(left, 0, WAL_SEGMENT_DATA_OFFSET);
}

/* Segment 1 is durable, header and all, before the directory is complete: no crash explains that it lacks. */
static void beginning_examine(struct recovery *recovery, const struct header_view *view)
{
    if (recovery->reader.sequence != 1)
        damage_note(recovery, "segment 1, with which the log begins, is missing", 0);
    else if (view->state == HEADER_FOREIGN)
        damage_note(recovery, view->foreign, 0);
    else if (view->state != HEADER_OWN)
        damage_note(recovery, "both copies of segment 1's header are lost, and no frame follows", 0);
}

static void size_examine(struct recovery *recovery, const struct header_view *view)
{
    uint64_t expected = recovery->segment_size;
    if (expected == 0 && view->state == HEADER_OWN)
        expected = view->header.segment_size;
    if (recovery->reader.size_bytes < expected)
        damage_note(recovery, "the segment's file is shorter than it was made", recovery->reader.size_bytes);
}

static int segment_examine(struct recovery *recovery, size_t i)
{
    bool is_tail = i == recovery->tail_segment;
    struct header_view view;
    struct extent left = { 0, 0 };
    int rc = segment_open(recovery, i);
    if (rc == 0)
        rc = header_look(recovery, &view);
    if (rc != 0)
        return rc;
    if (!is_tail)
        header_examine(recovery, &view, &left);
    else if (recovery->report->frames == 0 && recovery->source->start == NULL)
        beginning_examine(recovery, &view);
    else if (recovery->report->frames == 0 && view.state == HEADER_FOREIGN)
        damage_note(recovery, view.foreign, 0);
    size_examine(recovery, &view);
    rc = blocks_examine(recovery, is_tail ? recovery->tail_offset : WAL_SEGMENT_DATA_OFFSET, &left);
    recovery->findings.tail_bytes += left.end - left.begin;
    return rc;
}

static int examine(struct recovery *recovery)
{
    recovery->findings = (struct findings){
        .damage = recovery->findings.damage,
        .damage_sequence = recovery->findings.damage_sequence,
        .damage_offset = recovery->findings.damage_offset,
    };
    int rc = 0;
    for (size_t i = recovery->tail_segment; rc == 0 && i < recovery->segments.count; i++)
        rc = segment_examine(recovery, i);
    return rc;
}

/* ---- Concluding ------------------------------------------------------------------------------------------------------------ */

static void stop_set(struct recovery *recovery, uint64_t sequence, uint64_t offset, const char *reason)
{
    struct wal_report *report = recovery->report;
    report->stop_index = recovery->position.next_index;
    report->stop_segment_sequence = sequence;
    report->stop_offset = offset;
    report->stop_reason = reason;
    int rc = wal_file_path(report->stop_path, recovery->source->directory, sequence, WAL_SUFFIX_SEGMENT);
    if (rc != 0)
        report->stop_path[0] = '\0';
    report->stop_last_index = recovery->findings.last_index;
    report->stop_last_lsn = recovery->findings.last_lsn;
    if (report->stop_last_index < report->stop_index)
        report->stop_last_index = report->stop_index - 1;
}

/* The place where the missing frame should be, and what is there instead. */
static int stop_find(struct recovery *recovery)
{
    const struct findings *findings = &recovery->findings;
    const struct wal_frame_header *frame = NULL;
    const char *wrong = NULL;
    const uint8_t *block = NULL;
    int rc = segment_open(recovery, recovery->tail_segment);
    ssize_t got = rc != 0 ? rc : wal_reader_window(&recovery->reader, recovery->tail_offset, WAL_BLOCK_SIZE, &block);
    if (got < 0)
        return (int)got;
    uint64_t offset = recovery->tail_offset;
    bool blank = wal_bytes_are_zero(block, (size_t)got);
    if (blank && findings->continuing_sequence != 0) {
        rc = wal_reader_open(&recovery->reader, findings->continuing_sequence);
        offset = WAL_SEGMENT_DATA_OFFSET;
    }
    if (rc == 0)
        rc = successor_at(recovery, offset, &frame, &wrong);
    if (rc != 0)
        return rc;
    uint64_t sequence = recovery->reader.sequence;
    if (blank && findings->continuing_sequence == 0)
        wrong = findings->following_sequence > sequence + 1 ? "the segment that begins with this frame is missing"
                                                            : "nothing was written where the frame should be";
    stop_set(recovery, sequence, offset, wrong ? wrong : "the frame was written while the log was read");
    return 0;
}

static void evidence_set(struct recovery *recovery)
{
    struct wal_report *report = recovery->report;
    const struct findings *findings = &recovery->findings;
    if (findings->evidence.index == 0)
        return;
    report->evidence_index = findings->evidence.index;
    report->evidence_durable_index = findings->evidence.durable_index;
    report->evidence_time_ns = findings->evidence.time_ns;
    report->evidence_segment_sequence = findings->evidence_sequence;
    report->evidence_offset = findings->evidence_offset;
}

static uint64_t next_sequence(const struct recovery *recovery)
{
    const struct wal_segments *segments = &recovery->segments;
    bool brand_new = recovery->source->start == NULL && segments->count == 1 && segments->sequences[0] == 1 &&
                     recovery->report->frames == 0 && recovery->report->verdict == WAL_CLEAN;
    if (brand_new || segments->count == 0)
        return 1;
    return segments->sequences[segments->count - 1] + 1;
}

static int conclude(struct recovery *recovery)
{
    struct wal_report *report = recovery->report;
    const struct findings *findings = &recovery->findings;
    report->verdict = findings->tail_bytes > 0 ? WAL_TORN_TAIL : WAL_CLEAN;
    if (findings->damage || findings->evidence.index != 0)
        report->verdict = WAL_DAMAGED;
    report->segments = recovery->segments.count;
    report->last_lsn = report->records == 0 && recovery->source->start == NULL ? 0 : recovery->position.next_lsn - 1;
    report->tail_segment_sequence = tail_sequence(recovery);
    report->tail_offset = recovery->tail_offset;
    report->position = recovery->position;
    report->position.next_segment_sequence = next_sequence(recovery);
    if (report->verdict == WAL_CLEAN)
        return 0;
    evidence_set(recovery);
    if (report->verdict == WAL_TORN_TAIL)
        report->dropped_bytes = findings->tail_bytes;
    if (!findings->damage)
        return stop_find(recovery);
    stop_set(recovery, findings->damage_sequence, findings->damage_offset, findings->damage);
    return 0;
}

/* Finds a segment in the list; false if it is not there. */
static bool segment_find(const struct recovery *recovery, uint64_t sequence, size_t *place)
{
    for (size_t i = 0; i < recovery->segments.count; i++) {
        if (recovery->segments.sequences[i] != sequence)
            continue;
        *place = i;
        return true;
    }
    return false;
}

/* Opens the segment that reading begins in. */
static int start_open(struct recovery *recovery)
{
    const struct wal_start *start = recovery->source->start;
    if (start != NULL && !segment_find(recovery, start->place.segment_sequence, &recovery->tail_segment)) {
        recovery->reader.sequence = start->place.segment_sequence;
        damage_note(recovery, "the segment is missing in which the log goes on behind the snapshot",
                    start->place.offset);
        return 0;
    }
    int rc = segment_open(recovery, recovery->tail_segment);
    return rc != 0 ? rc : header_note(recovery);
}

/* Lists the segments that there are now: new ones may have come, and old ones gone, which moves the place of the tail's. */
static int segments_look(struct recovery *recovery)
{
    uint64_t sequence = tail_sequence(recovery);
    int rc = wal_segments_list(recovery->reader.io, recovery->source->directory, &recovery->segments);
    if (rc == 0 && sequence != 0 && !segment_find(recovery, sequence, &recovery->tail_segment))
        return -ENOENT;
    return rc;
}

/* A round reads on as far as the chain goes and examines what lies behind. Proof of damage calls for one more round, in case the log
 * is being written; if that one reads nothing new, the proof stands. */
static int rounds_run(struct recovery *recovery)
{
    for (int round = 0; round < ROUNDS_MAX; round++) {
        uint64_t before = recovery->position.next_index;
        int rc = segments_look(recovery);
        if (rc != 0)
            return rc;
        if (recovery->segments.count == 0) {
            recovery->reader.sequence = 1;
            damage_note(recovery, "the shard has no segment", 0);
            return 0;
        }
        rc = round > 0 ? 0 : start_open(recovery);
        if (rc != 0 || recovery->findings.damage != NULL)
            return rc;
        rc = read_on(recovery);
        if (rc != 0 || recovery->source->glance || (round > 0 && recovery->position.next_index == before))
            return rc;
        rc = examine(recovery);
        if (rc != 0 || recovery->findings.evidence.index == 0)
            return rc;
    }
    return 0;
}

/* What could not be read, for whoever has to look after the disk. */
static void failure_note(const struct recovery *recovery)
{
    struct wal_report *report = recovery->report;
    const char *path = recovery->reader.path[0] != '\0' ? recovery->reader.path : recovery->source->directory;
    snprintf(report->stop_path, sizeof(report->stop_path), "%s", path);
    report->stop_index = recovery->position.next_index;
    report->stop_reason = "it cannot be read";
}

int wal_read(struct io *io, const struct wal_source *source, wal_visit *visit, void *context, struct wal_report *report)
{
    *report = (struct wal_report){ .shard = source->shard };
    struct recovery recovery = {
        .source = source,
        .visit = visit,
        .visit_context = context,
        .report = report,
        .tail_offset = WAL_SEGMENT_DATA_OFFSET,
        .position = { .next_index = 1, .next_lsn = 1 },
        .segment_size = source->segment_size,
    };
    if (source->start != NULL) {
        REQUIRE(source->start->place.offset >= WAL_SEGMENT_DATA_OFFSET);
        recovery.position = source->start->position;
        recovery.tail_offset = source->start->place.offset;
    }
    int rc = wal_reader_init(&recovery.reader, io, source->directory, source->uuid, source->shard);
    if (rc == 0)
        rc = rounds_run(&recovery);
    if (rc == 0)
        rc = conclude(&recovery);
    if (rc < 0)
        failure_note(&recovery);
    wal_reader_free(&recovery.reader);
    wal_segments_free(&recovery.segments);
    return rc;
}
