/* A log whose end was torn: the last two frames cut at every byte, and four frames in flight at a crash with every pattern of their
 * sectors. After each the verdict has to be the right one, what was dropped has to be saved, and the next start has to find a clean log.
 *
 * Four frames of 4 KiB are 32 sectors, so 2^32 patterns. They are taken in full where they can matter and by a representative where
 * they cannot. The reader stops at the first frame that is not whole; frames in front of it are whole, which is one pattern each. Frames
 * behind it are looked at block by block, each by itself, and only four things can be seen in a block: nothing but zeros; a
 * header that verifies (its 128 bytes lie in the first sector) before records that do not; bytes without such a header; a whole frame. So for
 * each frame that can be the first broken one, all 255 patterns of its sectors are combined with all of these four for each frame
 * behind it: 255 x (64 + 16 + 4 + 1) patterns, and the whole pipeline. That nothing else matters is what the drawn patterns of all 32
 * sectors are for.
 *
 * A tail that is being discarded is cleared sector by sector, so a crash in the middle of that leaves a pattern with fewer sectors
 * of the same tail: another member of the same set. */
#include "tests/engine/random.h"
#include "tests/wal/fake_io.h"
#include "tests/wal/world.h"
#include "wal/reader.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#define SECTOR 512
#define DEPTH 4
#define SECTORS 8   /* of a frame of one block */
#define WHOLE 0xffu /* all of them */
#define SEGMENTS 2  /* the pipeline may lie across their boundary */
#define RECORD_FULL 3968
/* A build that is slowed down by instruments takes every so-manieth pattern and length; the release build takes them all. */
#if defined(__SANITIZE_ADDRESS__) || !defined(__OPTIMIZE__)
#define MASK_STEP 17
#define LENGTH_STEP 37
#define DRAWN 300 /* patterns of all 32 sectors */
#define START_EVERY 64
#else
#define MASK_STEP 1
#define LENGTH_STEP 1
#define DRAWN 3000
#define START_EVERY 512 /* of the patterns, so many are followed by a start that writes */
#endif

static struct world world;

/* The log as it was written, and where the frames in flight are in it. */
static struct {
    uint8_t bytes[SEGMENTS][WORLD_SEGMENT_SIZE];
    uint8_t torn[SEGMENTS][WORLD_SEGMENT_SIZE]; /* what the crash left */
    uint8_t *files[SEGMENTS];
    uint64_t segments; /* that the log has */
    struct world_frame frames[DEPTH];
    uint64_t acknowledged; /* frames before them */
    uint64_t patterns;
} disk;

static void setup(void)
{
    /* Readers come and go by the ten thousand; their windows need not be given back to the kernel each time. */
    (void)mallopt(M_MMAP_THRESHOLD, 32 << 20);
    (void)mallopt(M_TRIM_THRESHOLD, 128 << 20);
    world_init(&world, "/data");
    world.options.frame_size_max = WAL_BLOCK_SIZE;
    world_start(&world);
}

TestSuite(torn, .init = setup);

/* ---- The disk -------------------------------------------------------------------------------------------------------------- */

static uint8_t *segment_bytes(uint64_t sequence)
{
    char path[WAL_PATH_SIZE];
    size_t size = 0;
    world_segment_path(&world, sequence, path);
    uint8_t *bytes = fake_io_file(path, &size);
    cr_assert(bytes == NULL || size == WORLD_SEGMENT_SIZE);
    return bytes;
}

/* As the writer stamps it when nothing behind `durable_index` is complete yet. */
static void frame_reseal(struct world_frame *frame, uint64_t durable_index, struct hash128 previous_hash)
{
    struct wal_frame_header *header = (void *)(segment_bytes(frame->segment_sequence) + frame->offset);
    header->durable_index = durable_index;
    header->commit_index = durable_index;
    header->previous_hash = previous_hash;
    wal_frame_seal(header, wal_salt(world.source.uuid, 0, frame->segment_sequence));
    frame->hash = header->hash;
}

/* A segment that the log goes on in says what it follows. */
static void header_reseal(uint64_t sequence, struct hash128 previous_hash)
{
    for (size_t i = 0; i < WAL_SEGMENT_HEADER_BLOCKS; i++) {
        struct wal_segment_header *header = (void *)(segment_bytes(sequence) + i * WAL_BLOCK_SIZE);
        header->previous_hash = previous_hash;
        wal_segment_header_seal(header);
    }
}

static void disk_note(void)
{
    for (disk.segments = 0; disk.segments < SEGMENTS; disk.segments++) {
        disk.files[disk.segments] = segment_bytes(disk.segments + 1);
        if (disk.files[disk.segments] == NULL)
            break;
        memcpy(disk.bytes[disk.segments], disk.files[disk.segments], WORLD_SEGMENT_SIZE);
    }
    cr_assert_gt(disk.segments, 0u);
}

/* A log of `acknowledged` full frames of a block, and four more in flight, of which no later frame tells. */
static void pipeline_make(uint64_t acknowledged)
{
    for (uint64_t i = 0; i < acknowledged + DEPTH; i++)
        (void)world_commit(&world, RECORD_FULL);
    cr_assert_eq(world.frames_count, acknowledged + DEPTH);
    world_stop(&world);
    struct hash128 previous = world.frames[acknowledged - 1].hash;
    for (uint64_t i = 0; i < DEPTH; i++) {
        disk.frames[i] = world.frames[acknowledged + i];
        cr_assert_eq(disk.frames[i].size, (uint32_t)WAL_BLOCK_SIZE);
        if (disk.frames[i].offset == WAL_SEGMENT_DATA_OFFSET)
            header_reseal(disk.frames[i].segment_sequence, previous);
        frame_reseal(&disk.frames[i], acknowledged, previous);
        previous = disk.frames[i].hash;
    }
    disk.acknowledged = acknowledged;
    disk_note();
    const char *why = NULL;
    cr_assert_eq(io_create(&(struct io_options){ .ring_entries = 0 }, &world.io, &why), 0);
    struct wal_report report = world_read(&world);
    cr_assert(report.verdict == WAL_CLEAN && report.frames == acknowledged + DEPTH, "%s", report.stop_reason);
}

/* `masks`: which sectors of each frame reached the disk; the others hold what was there before. */
static void disk_tear(const uint32_t masks[DEPTH], uint8_t before)
{
    memcpy(disk.torn, disk.bytes, sizeof(disk.torn));
    for (size_t i = 0; i < DEPTH; i++)
        for (size_t sector = 0; sector < SECTORS; sector++)
            if ((masks[i] >> sector & 1u) == 0)
                memset(disk.torn[disk.frames[i].segment_sequence - 1] + disk.frames[i].offset + sector * SECTOR, before,
                       SECTOR);
}

static void disk_lay(void)
{
    for (size_t i = 0; i < disk.segments; i++)
        memcpy(disk.files[i], disk.torn[i], WORLD_SEGMENT_SIZE);
}

/* ---- What has to come of it ------------------------------------------------------------------------------------------------ */

struct expected {
    enum wal_verdict verdict;
    uint64_t frames;
    const struct world_frame *stop; /* the first that is not whole; NULL: all are */
};

static struct expected expected_of(const uint32_t masks[DEPTH], uint8_t before)
{
    struct expected expected = { .verdict = WAL_CLEAN, .frames = disk.acknowledged };
    size_t whole = 0;
    while (whole < DEPTH && masks[whole] == WHOLE)
        whole++;
    expected.frames += whole;
    if (whole < DEPTH)
        expected.stop = &disk.frames[whole];
    for (size_t i = whole; i < DEPTH; i++) {
        /* A segment's header that does not continue where reading stopped is a left-over as well. */
        bool begun = disk.frames[i].offset == WAL_SEGMENT_DATA_OFFSET && i > whole;
        if (masks[i] != 0 || before != 0 || begun)
            expected.verdict = WAL_TORN_TAIL;
    }
    return expected;
}

static void expect(const struct expected *expected, const uint32_t masks[DEPTH])
{
    struct wal_report report = world_read(&world);
    cr_assert_eq(report.verdict, expected->verdict, "%02x %02x %02x %02x: verdict %d (%s)", masks[0], masks[1],
                 masks[2], masks[3], (int)report.verdict, report.stop_reason);
    cr_assert_eq(report.frames, expected->frames, "%02x %02x %02x %02x: %" PRIu64 " frames", masks[0], masks[1],
                 masks[2], masks[3], report.frames);
    if (report.verdict == WAL_CLEAN)
        return;
    cr_assert_eq(report.stop_index, expected->stop->index);
    cr_assert_eq(report.evidence_index, 0u);
}

/* What was dropped lies in the files beside the log, byte for byte; away with them. */
static void saved_check(const struct wal_report *report)
{
    for (uint64_t i = report->tail_segment_sequence; i <= disk.segments; i++) {
        uint64_t begin = i == report->tail_segment_sequence ? report->tail_offset : 0;
        const uint8_t *dropped = disk.torn[i - 1] + begin;
        char path[WAL_PATH_SIZE + 64];
        size_t size = 0;
        snprintf(path, sizeof(path), "%s/torn-%016" PRIx64 "-%08" PRIx64 ".bin", world.shard_path, i, begin);
        const uint8_t *saved = fake_io_file(path, &size);
        if (saved == NULL)
            cr_assert(wal_bytes_are_zero(dropped, WORLD_SEGMENT_SIZE - begin), "%s is missing", path);
        else
            cr_assert_eq(memcmp(saved, dropped, size), 0, "%s", path);
        cr_assert(wal_bytes_are_zero(dropped + size, WORLD_SEGMENT_SIZE - begin - size), "%s is too short", path);
        cr_assert(saved == NULL || io_unlink(world.io, path) == 0);
    }
}

/* The next start but for writing: after discarding, what is read is the same frames, and clean. */
static void discard_and_expect(const struct expected *expected, const uint32_t masks[DEPTH])
{
    struct wal_report report = world_read(&world);
    if (report.verdict == WAL_TORN_TAIL) {
        cr_assert_eq(wal_discard_tail(world.io, &world.source, &report), 0);
        saved_check(&report);
    }
    struct expected again = { .verdict = WAL_CLEAN, .frames = expected->frames };
    expect(&again, masks);
}

static void files_of_the_start_remove(void)
{
    static const char *const suffixes[] = { WAL_SUFFIX_SEGMENT, WAL_SUFFIX_READY, WAL_SUFFIX_FILLING };
    for (uint64_t sequence = disk.segments + 1; sequence < 12; sequence++)
        for (size_t i = 0; i < ARRAY_COUNT(suffixes); i++) {
            char path[WAL_FILE_PATH_SIZE];
            cr_assert_eq(wal_file_path(path, world.shard_path, sequence, suffixes[i]), 0);
            int rc = io_unlink(world.io, path);
            cr_assert(rc == 0 || rc == -ENOENT);
        }
}

/* Two starts: the first goes on behind what was left and the second reads that. */
static void start_and_expect(const struct expected *expected)
{
    world.io = NULL;
    world.frames_count = 0;
    world_start(&world);
    (void)world_commit(&world, RECORD_FULL);
    world_noop(&world);
    world_stop(&world);
    const char *why = NULL;
    cr_assert_eq(io_create(&(struct io_options){ .ring_entries = 0 }, &world.io, &why), 0);
    struct wal_report report = world_read(&world);
    cr_assert_eq(report.verdict, WAL_CLEAN, "%s", report.stop_reason);
    cr_assert_eq(report.frames, expected->frames + 2);
    files_of_the_start_remove();
}

static void pattern_try(const uint32_t masks[DEPTH], uint8_t before)
{
    struct expected expected = expected_of(masks, before);
    disk_tear(masks, before);
    disk_lay();
    expect(&expected, masks);
    discard_and_expect(&expected, masks);
    if (disk.patterns++ % START_EVERY == 0)
        start_and_expect(&expected);
}

/* ---- The patterns ---------------------------------------------------------------------------------------------------------- */

/* What can be seen in a block behind the place where reading stops. */
static const uint32_t representatives[] = { 0x00, 0x2d /* header, torn */, 0xb2 /* no header */, WHOLE };

static void patterns_behind(uint32_t masks[DEPTH], size_t i, uint8_t before)
{
    if (i == DEPTH) {
        pattern_try(masks, before);
        return;
    }
    for (size_t kind = 0; kind < ARRAY_COUNT(representatives); kind++) {
        masks[i] = representatives[kind];
        patterns_behind(masks, i + 1, before);
    }
}

static void patterns_all(uint8_t before)
{
    uint32_t masks[DEPTH] = { WHOLE, WHOLE, WHOLE, WHOLE };
    pattern_try(masks, before);
    for (size_t broken = 0; broken < DEPTH; broken++) {
        for (uint32_t mask = 0; mask < WHOLE; mask += MASK_STEP) {
            masks[broken] = mask;
            patterns_behind(masks, broken + 1, before);
        }
        masks[broken] = WHOLE;
    }
}

static void patterns_drawn(uint8_t before)
{
    struct random random = random_start("wal.torn");
    for (int i = 0; i < DRAWN; i++) {
        uint32_t masks[DEPTH];
        for (size_t frame = 0; frame < DEPTH; frame++) /* whole ones often enough to be in front */
            masks[frame] = random_below(&random, 3) == 0 ? WHOLE : (uint32_t)random_below(&random, WHOLE + 1);
        pattern_try(masks, before);
    }
}

Test(torn, every_pattern_of_four_frames_in_flight_is_a_torn_tail_or_a_shorter_log, .timeout = 280)
{
    pipeline_make(4);
    patterns_all(0);
}

Test(torn, every_pattern_over_sectors_that_held_something_else_is_a_torn_tail, .timeout = 280)
{
    pipeline_make(4);
    patterns_drawn(0);
    patterns_drawn(0xa5);
}

/* Two of the frames end a segment, two begin the next. */
Test(torn, every_pattern_across_the_end_of_a_segment_is_a_torn_tail_or_a_shorter_log, .timeout = 280)
{
    pipeline_make(12);
    cr_assert(disk.frames[1].segment_sequence == 1 && disk.frames[2].segment_sequence == 2);
    patterns_all(0);
}

/* ---- Segment headers in flight --------------------------------------------------------------------------------------------- */

enum copy_state { COPY_LOST, COPY_TORN, COPY_WHOLE };

static void header_tear(const enum copy_state copies[WAL_SEGMENT_HEADER_BLOCKS])
{
    static const size_t kept[] = {
        [COPY_LOST] = 0, [COPY_TORN] = 40, [COPY_WHOLE] = sizeof(struct wal_segment_header)
    };
    for (size_t i = 0; i < WAL_SEGMENT_HEADER_BLOCKS; i++)
        memset(disk.torn[1] + i * WAL_BLOCK_SIZE + kept[copies[i]], 0,
               sizeof(struct wal_segment_header) - kept[copies[i]]);
}

/* `masks` of the two frames in the old segment; nothing of the new one but its header. */
static void header_try(const uint32_t masks[DEPTH], const enum copy_state copies[WAL_SEGMENT_HEADER_BLOCKS])
{
    uint64_t whole = masks[0] != WHOLE ? 0 : masks[1] != WHOLE ? 1 : 2;
    bool frames_left = whole < 2 && (masks[1] != 0 || (whole == 0 && masks[0] != 0));
    bool continues = whole == 2 && (copies[0] == COPY_WHOLE || copies[1] == COPY_WHOLE);
    bool header_left = !continues && (copies[0] != COPY_LOST || copies[1] != COPY_LOST);
    struct expected expected = { .verdict = frames_left || header_left ? WAL_TORN_TAIL : WAL_CLEAN,
                                 .frames = disk.acknowledged + whole,
                                 .stop = &disk.frames[whole] };
    disk_tear(masks, 0);
    header_tear(copies);
    disk_lay();
    expect(&expected, masks);
    discard_and_expect(&expected, masks);
    if (disk.patterns++ % START_EVERY == 0)
        start_and_expect(&expected);
}

/* A crash while the log moves on: both copies of the new segment's header are durable before its first frame is submitted, so they may
 * be there or torn while frames of the old segment are still in flight, and no frame of the new one is. */
Test(torn, every_pattern_of_a_new_segments_header_beside_frames_in_flight, .timeout = 280)
{
    pipeline_make(12);
    for (uint32_t mask = 0; mask <= WHOLE; mask += MASK_STEP)
        for (size_t kind = 0; kind < ARRAY_COUNT(representatives); kind++)
            for (int copies = 0; copies < 9; copies++)
                header_try((uint32_t[DEPTH]){ mask, representatives[kind] },
                           (enum copy_state[]){ (enum copy_state)(copies % 3), (enum copy_state)(copies / 3) });
}

/* ---- Truncations ------------------------------------------------------------------------------------------------------------ */

/* A log whose last two frames lie in segment 1; both are one block. */
static void log_make(bool noop_last)
{
    for (int i = 0; i < 4; i++)
        (void)world_commit(&world, 96);
    (void)world_commit(&world, noop_last ? 96 : RECORD_FULL);
    if (noop_last)
        world_noop(&world);
    else
        (void)world_commit(&world, 1000);
    world_stop(&world);
    disk_note();
    const char *why = NULL;
    cr_assert_eq(io_create(&(struct io_options){ .ring_entries = 0 }, &world.io, &why), 0);
}

/* The frames that are still what was written, in order, if nothing is there behind `length`. */
static uint64_t frames_whole(uint64_t length, bool padding_counts)
{
    for (uint64_t i = 0; i < world.frames_count; i++) {
        const struct world_frame *frame = &world.frames[i];
        const uint8_t *bytes = disk.bytes[0] + frame->offset;
        const struct wal_frame_header *header = (const void *)bytes;
        uint64_t end = padding_counts ? frame->size : sizeof(*header) + header->payload_size;
        uint64_t there = length > frame->offset ? length - frame->offset : 0;
        bool lost = there < end && (padding_counts || !wal_bytes_are_zero(bytes + there, end - there));
        if (lost)
            return i;
    }
    return world.frames_count;
}

static uint64_t end_of(uint64_t frames)
{
    return world.frames[frames - 1].offset + world.frames[frames - 1].size;
}

/* What was written last never reached the disk, from any byte on: zeros are there, as before. */
static void lost_ends_try(void)
{
    uint64_t first = world.frames[world.frames_count - 2].offset;
    for (uint64_t length = first; length <= end_of(world.frames_count); length += LENGTH_STEP) {
        memcpy(disk.torn, disk.bytes, sizeof(disk.torn));
        memset(disk.torn[0] + length, 0, WORLD_SEGMENT_SIZE - length);
        disk_lay();
        struct expected expected = { .verdict = WAL_CLEAN, .frames = frames_whole(length, false) };
        uint64_t tail = end_of(expected.frames);
        if (!wal_bytes_are_zero(disk.torn[0] + tail, WORLD_SEGMENT_SIZE - tail))
            expected.verdict = WAL_TORN_TAIL;
        uint32_t masks[DEPTH] = { (uint32_t)length };
        struct world_frame stop = { .index = expected.frames + 1 };
        expected.stop = &stop;
        expect(&expected, masks);
        discard_and_expect(&expected, masks);
    }
}

/* No crash makes a segment shorter: the file was cut, and whatever was in it may have been acknowledged. */
static void cuts_try(void)
{
    char path[WAL_PATH_SIZE];
    world_segment_path(&world, 1, path);
    memcpy(disk.torn, disk.bytes, sizeof(disk.torn));
    disk_lay();
    for (uint64_t length = end_of(world.frames_count) + WAL_BLOCK_SIZE - 1;
         length >= world.frames[world.frames_count - 2].offset; length -= LENGTH_STEP) {
        fake_io_cut(path, length);
        struct wal_report report = world_read(&world);
        cr_assert_eq(report.verdict, WAL_DAMAGED, "cut to %" PRIu64 ": verdict %d", length, (int)report.verdict);
        cr_assert_eq(report.frames, frames_whole(length, true), "cut to %" PRIu64, length);
        cr_assert_not_null(strstr(report.stop_reason, "shorter"), "%s", report.stop_reason);
    }
}

Test(torn, the_last_two_frames_lost_from_any_byte_on, .timeout = 280)
{
    log_make(false);
    lost_ends_try();
}

Test(torn, the_last_frame_and_its_noop_lost_from_any_byte_on, .timeout = 280)
{
    log_make(true);
    lost_ends_try();
}

Test(torn, a_file_cut_at_any_byte_of_the_last_two_frames_is_damage, .timeout = 280)
{
    log_make(true);
    cuts_try();
}

Test(torn, a_file_cut_at_any_byte_of_two_frames_of_data_is_damage, .timeout = 280)
{
    log_make(false);
    cuts_try();
}
