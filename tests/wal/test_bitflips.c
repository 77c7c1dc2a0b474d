/* Every bit of a log of 1 MiB, flipped in turn: whoever reads it is told, or nothing depends on the bit. See flips.h for how many bits a
 * run takes and which; tools/bitflips takes them all.
 *
 * What is read is judged by bytes: the reader's visitor is shown frames, and each has to be the very frame that was written at its place, in order. What
 * a state machine makes of the same frames is then the same, for it looks at nothing else; it is nevertheless run on some of the
 * flips, and its state hash compared. */
#include "net/state_machine.h"
#include "tests/net/frames.h"
#include "tests/wal/fake_io.h"
#include "tests/wal/flips.h"
#include "tests/wal/world.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEGMENT_SIZE (512 * KIB)
#define SEGMENTS 2
#define DATE 20780
#define TIME_NS UINT64_C(1790000000000000000)
#define HASH_EVERY 64 /* of the flips that leave all frames as they were, so many go through a state machine */

static struct world world;

/* The log as it was written. */
static struct {
    uint8_t bytes[SEGMENTS][SEGMENT_SIZE];
    struct flip_file files[SEGMENTS + 1];
    uint64_t last_lsn;
    struct hash128 state_hash;
    uint64_t state_hashes; /* compared so far */
} written;

/* ---- The log ----------------------------------------------------------------------------------------------------------- */

static void append(const void *record)
{
    const struct record_header *header = record;
    for (int turn = 0; !wal_has_room(world.wal, header->size); turn++) {
        cr_assert_lt(turn, 1000);
        if (wal_may_seal(world.wal))
            world_seal(&world);
        else
            world_turn(&world);
    }
    (void)wal_append(world.wal, record);
}

static void write_beginning(void)
{
    struct engine_limits limits = small_limits();
    limits.reservations_max = 20000;
    limits.outcomes_max = 2000;
    struct config_record config = record_config(limits);
    struct property_create property = record_property(1, DATE, 1, TIME_NS);
    struct room_type_create type = record_room_type(1, 1, 30000, 2, TIME_NS);
    append(&config);
    wal_seal(world.wal, world.time_ns++, ENGINE_LEVEL, true);
    world_drain(&world);
    append(&property);
    append(&type);
    world_seal(&world);
}

/* Frames of one record up to many, several of them in flight at once, so that their durable indexes lag by different lengths. */
static void write_reserves(void)
{
    uint64_t number = 100;
    for (uint64_t frame = 0;; frame++) {
        const struct world_frame *last = &world.frames[world.frames_count - 1];
        if (last->segment_sequence == SEGMENTS && last->offset + last->size + 80 * KIB > SEGMENT_SIZE)
            return;
        uint64_t records = 1 + frame * 37 % 180;
        for (uint64_t i = 0; i < records; i++, number++) {
            struct reserve reserve = record_reserve(1, 1, DATE + (int32_t)(number % 90), 3,
                                                    number % 5 == 0 ? NS_PER_HOUR : 0, number, TIME_NS);
            append(&reserve);
        }
        world_seal(&world);
        if (frame % 5 == 4)
            world_drain(&world);
    }
}

static int apply_frame(void *context, const struct wal_frame_header *frame)
{
    return state_machine_apply(context, frame, NULL, NULL);
}

static struct hash128 state_hash_now(void)
{
    struct state_machine machine;
    struct wal_report report;
    state_machine_init(&machine, world.source.uuid);
    int rc = wal_read(world.io, &world.source, apply_frame, &machine, &report);
    cr_assert_eq(rc, 0, "%s", machine.error);
    struct hash128 hash = engine_state_hash(machine.engine);
    state_machine_free(&machine);
    return hash;
}

static void files_note(void)
{
    static char names[SEGMENTS][WAL_PATH_SIZE];
    for (size_t i = 0; i < SEGMENTS; i++) {
        size_t size = 0;
        world_segment_path(&world, i + 1, names[i]);
        uint8_t *bytes = fake_io_file(names[i], &size);
        cr_assert(bytes != NULL && size == SEGMENT_SIZE);
        memcpy(written.bytes[i], bytes, SEGMENT_SIZE);
        written.files[i] = (struct flip_file){ .name = names[i], .bytes = bytes, .size_bytes = size };
    }
    struct flip_file *meta = &written.files[SEGMENTS];
    meta->name = "/data/meta";
    meta->bytes = fake_io_file(meta->name, &meta->size_bytes);
    cr_assert_not_null(meta->bytes);
}

static void setup(void)
{
    /* Millions of readers come and go; their windows need not be given back to the kernel each time. */
    (void)mallopt(M_MMAP_THRESHOLD, 32 << 20);
    (void)mallopt(M_TRIM_THRESHOLD, 128 << 20);
    world_init(&world, "/data");
    world.options.segment_size = SEGMENT_SIZE;
    world.time_ns = TIME_NS;
    world_start(&world);
    write_beginning();
    write_reserves();
    world_drain(&world);
    world_noop(&world);
    world_stop(&world);
    const char *why = NULL;
    cr_assert_eq(io_create(&(struct io_options){ .ring_entries = 0 }, &world.io, &why), 0);
    struct wal_report report = world_read(&world);
    cr_assert(report.verdict == WAL_CLEAN && report.frames == world.frames_count, "%s", report.stop_reason);
    cr_assert_gt(report.frames, 60u);
    written.last_lsn = report.last_lsn;
    written.state_hash = state_hash_now();
    files_note();
}

TestSuite(bitflips, .init = setup);

/* ---- Where a bit lies ------------------------------------------------------------------------------------------------------ */

enum place_kind {
    PLACE_HEADERS, /* of a segment: one of two copies, and the zeros behind them */
    PLACE_FRAME,   /* header or records */
    PLACE_PADDING,
    PLACE_BETWEEN, /* zeros behind the last frame of a segment from which the log went on */
    PLACE_END,     /* zeros behind the last frame of all */
};

struct place {
    enum place_kind kind;
    const struct world_frame *frame;
};

static uint64_t frame_end(const struct world_frame *frame)
{
    const struct wal_frame_header *header = (const void *)(written.bytes[frame->segment_sequence - 1] + frame->offset);
    return frame->offset + sizeof(*header) + header->payload_size;
}

static struct place place_find(struct flip_place flip)
{
    if (flip.offset < WAL_SEGMENT_DATA_OFFSET)
        return (struct place){ .kind = PLACE_HEADERS };
    for (size_t i = 0; i < world.frames_count; i++) {
        const struct world_frame *frame = &world.frames[i];
        if (frame->segment_sequence != flip.file + 1 || flip.offset < frame->offset ||
            flip.offset >= frame->offset + frame->size)
            continue;
        return (struct place){ .kind = flip.offset < frame_end(frame) ? PLACE_FRAME : PLACE_PADDING, .frame = frame };
    }
    return (struct place){ .kind = flip.file + 1 == SEGMENTS ? PLACE_END : PLACE_BETWEEN };
}

/* ---- Judging --------------------------------------------------------------------------------------------------------------- */

/* Holds each frame that is read against what was written at its place. */
static int compare_frame(void *context, const struct wal_frame_header *frame)
{
    uint64_t *count = context;
    const struct world_frame *expected = &world.frames[*count];
    const uint8_t *bytes = written.bytes[expected->segment_sequence - 1] + expected->offset;
    if (frame->index != expected->index || memcmp(frame, bytes, frame_end(expected) - expected->offset) != 0)
        return 1;
    ++*count;
    return 0;
}

static enum flip_verdict wrong(char why[FLIP_WHY_SIZE], const char *what, const struct wal_report *report)
{
    snprintf(why, FLIP_WHY_SIZE, "%s: verdict %d, %" PRIu64 " frames, stopped at %" PRIu64 " (%s)", what,
             (int)report->verdict, report->frames, report->stop_index,
             report->stop_reason != NULL ? report->stop_reason : "");
    return FLIP_WRONG;
}

static enum flip_verdict judge_whole(const struct wal_report *report, char why[FLIP_WHY_SIZE])
{
    if (report->frames != world.frames_count || report->last_lsn != written.last_lsn)
        return wrong(why, "not every frame was read, though nothing that matters was hit", report);
    if (written.state_hashes++ % HASH_EVERY == 0 && !hash128_equal(state_hash_now(), written.state_hash))
        return wrong(why, "the state is another", report);
    return FLIP_HARMLESS;
}

/* A frame that was hit is missing from there on: it was acknowledged if a later one says so, and all but the last noop were. */
static enum flip_verdict judge_frame(const struct wal_report *report, const struct world_frame *frame,
                                     char why[FLIP_WHY_SIZE])
{
    bool last = frame->index == world.frames_count;
    if (report->frames != frame->index - 1)
        return wrong(why, "reading did not stop in front of the frame that was hit", report);
    if (report->verdict != (last ? WAL_TORN_TAIL : WAL_DAMAGED))
        return wrong(why, "another verdict than the frames that are left call for", report);
    if (report->stop_index != frame->index || report->stop_segment_sequence != frame->segment_sequence ||
        report->stop_offset != frame->offset)
        return wrong(why, "the report names another place", report);
    if (last ? report->last_lsn != written.last_lsn : report->evidence_durable_index < frame->index)
        return wrong(why, last ? "records are missing" : "there is no evidence", report);
    return FLIP_DETECTED;
}

static enum flip_verdict judge_segment(struct flip_place flip, char why[FLIP_WHY_SIZE])
{
    struct wal_report report;
    uint64_t count = 0;
    int rc = wal_read(world.io, &world.source, compare_frame, &count, &report);
    if (rc != 0)
        return wrong(why, "a frame was read that was never written, or reading failed", &report);
    struct place place = place_find(flip);
    if (place.kind == PLACE_FRAME)
        return judge_frame(&report, place.frame, why);
    bool end = place.kind == PLACE_END;
    if (report.verdict != (end ? WAL_TORN_TAIL : WAL_CLEAN))
        return wrong(why, "another verdict than that of a whole log", &report);
    bool copy = place.kind == PLACE_HEADERS && flip.offset % WAL_BLOCK_SIZE < sizeof(struct wal_segment_header);
    if (report.bad_header_copies != copy)
        return wrong(why, "a bad copy of a header is not counted, or a good one is", &report);
    enum flip_verdict verdict = judge_whole(&report, why);
    return verdict == FLIP_HARMLESS && (end || copy) ? FLIP_DETECTED : verdict;
}

static enum flip_verdict judge_meta(char why[FLIP_WHY_SIZE])
{
    struct wal_directory directory;
    int rc = wal_directory_inspect(world.io, world.path, &directory, why, FLIP_WHY_SIZE);
    if (rc == 0)
        wal_directory_close(world.io, &directory);
    return rc != 0 && why[0] != '\0' ? FLIP_DETECTED : FLIP_WRONG;
}

static enum flip_verdict judge(void *context, struct flip_place place, char why[FLIP_WHY_SIZE])
{
    (void)context;
    return place.file < SEGMENTS ? judge_segment(place, why) : judge_meta(why);
}

Test(bitflips, every_flipped_bit_of_a_log_is_detected_or_harmless)
{
    struct flip_subject log = { .name = "log", .files = written.files, .files_count = SEGMENTS + 1, .judge = judge };
    struct flip_count count = flips_run(&log);
    cr_assert_eq(count.wrong, 0u);
    cr_assert_gt(count.detected, count.harmless);
    cr_assert_gt(count.harmless, 0u);
    cr_assert(hash128_equal(state_hash_now(), written.state_hash), "a bit was not flipped back");
}
