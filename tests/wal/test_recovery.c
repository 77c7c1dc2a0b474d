/* What a reader makes of a log: every way it can end, be torn, be damaged or be somebody else's. */
#include "tests/wal/forge.h"
#include "tests/wal/scratch.h"
#include "tests/wal/world.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct world world;
static struct forge forge;

/* Makes the data directory, whose segment 1 is blank but for its header. */
static void setup(void)
{
    char path[SCRATCH_PATH_SIZE];
    world_init(&world, scratch_path("recovery", path));
    world_start(&world);
    world_stop(&world);
    forge_begin(&forge, &world);
}

static void teardown(void)
{
    scratch_remove(world.path);
}

TestSuite(recovery, .init = setup, .fini = teardown, .timeout = 120);

/* ---- A small log of three segments ------------------------------------------------------------------------------------- */

#define LOG_FRAMES 14

static struct world_frame frames[LOG_FRAMES + 1]; /* by index */

/* durable_index lags behind, as with up to three frames in flight; the last frame is a noop that tells of all before it. */
static void make_log(void)
{
    for (uint64_t k = 1; k <= LOG_FRAMES; k++) {
        if (k == 7 || k == 11)
            forge_segment(&forge, forge.sequence + 1);
        bool last = k == LOG_FRAMES;
        uint64_t lag = k % 3 < k - 1 ? k % 3 : k - 1;
        struct forge_frame wanted = { .durable_index = last ? k - 1 : k - 1 - lag };
        if (!last) {
            wanted.records = (uint32_t)(1 + k % 4);
            wanted.record_size = k == 9 ? 4000 : 96;
        }
        frames[k] = forge_frame(&forge, wanted);
        world.frames[k - 1] = frames[k];
    }
    world.frames_count = LOG_FRAMES;
}

static const char *segment_path(uint64_t sequence)
{
    static char path[WAL_PATH_SIZE];
    world_segment_path(&world, sequence, path);
    return path;
}

/* A reader that stays open, because the sweeps read tens of thousands of times. */
static void keep_io(void)
{
    const char *why = NULL;
    cr_assert_eq(io_create(&(struct io_options){ .ring_entries = 0 }, &world.io, &why), 0, "%s", why);
}

static void drop_io(void)
{
    io_destroy(world.io);
    world.io = NULL;
}

static void expect(enum wal_verdict verdict, uint64_t frames_count, const char *what)
{
    struct wal_report report = world_read(&world);
    cr_assert_eq(report.verdict, verdict, "%s: verdict %d (%s at %llu:%llu)", what, (int)report.verdict,
                 report.stop_reason, (unsigned long long)report.stop_segment_sequence,
                 (unsigned long long)report.stop_offset);
    cr_assert_eq(report.frames, frames_count, "%s: %llu frames", what, (unsigned long long)report.frames);
}

static void expect_damage(const char *reason_part, uint64_t stop_index)
{
    struct wal_report report = world_read(&world);
    cr_assert_eq(report.verdict, WAL_DAMAGED, "verdict %d: %s", (int)report.verdict, report.stop_reason);
    cr_assert_not_null(strstr(report.stop_reason, reason_part), "%s", report.stop_reason);
    cr_assert_eq(report.stop_index, stop_index, "%llu", (unsigned long long)report.stop_index);
}

/* ---- Clean logs ----------------------------------------------------------------------------------------------------------- */

Test(recovery, a_new_shard_is_clean_and_goes_on_in_segment_one)
{
    struct wal_report report = world_read(&world);
    cr_assert_eq(report.verdict, WAL_CLEAN);
    cr_assert_eq(report.frames, 0u);
    cr_assert_eq(report.segments, 1u);
    cr_assert_eq(report.position.next_index, 1u);
    cr_assert_eq(report.position.next_lsn, 1u);
    cr_assert_eq(report.position.next_segment_sequence, 1u);
    cr_assert_eq(report.first_lsn, 0u);
    cr_assert_eq(report.last_lsn, 0u);
    cr_assert_null(report.stop_reason);
}

static int count_frames(void *context, const struct wal_frame_header *frame)
{
    uint64_t *count = context;
    ++*count;
    cr_assert_eq(frame->index, *count);
    cr_assert(hash128_equal(frame->hash, frames[*count].hash));
    uint32_t records = 0;
    for (const struct record_header *record = wal_record_first(frame); record; record = wal_record_next(frame, record))
        records++;
    cr_assert_eq(records, frame->records_count);
    return *count == 5 ? 42 : 0;
}

Test(recovery, a_whole_log_is_reported_exactly)
{
    make_log();
    struct wal_report report = world_read(&world);
    cr_assert_eq(report.verdict, WAL_CLEAN, "%s", report.stop_reason);
    cr_assert_eq(report.frames, (uint64_t)LOG_FRAMES);
    cr_assert_eq(report.records, forge.next_lsn - 1);
    cr_assert_eq(report.first_lsn, 1u);
    cr_assert_eq(report.last_lsn, forge.next_lsn - 1);
    cr_assert_eq(report.first_time_ns, frames[1].time_ns);
    cr_assert_eq(report.last_time_ns, frames[LOG_FRAMES].time_ns);
    cr_assert_eq(report.segments, 3u);
    cr_assert_eq(report.bad_header_copies, 0u);
    cr_assert_eq(report.position.next_index, LOG_FRAMES + 1u);
    cr_assert_eq(report.position.next_lsn, forge.next_lsn);
    cr_assert_eq(report.position.last_time_ns, frames[LOG_FRAMES].time_ns);
    cr_assert_eq(report.position.next_segment_sequence, 4u);
    cr_assert(hash128_equal(report.position.previous_hash, frames[LOG_FRAMES].hash));
    cr_assert_eq(report.tail_segment_sequence, 3u);
    cr_assert_eq(report.tail_offset, frames[LOG_FRAMES].offset + frames[LOG_FRAMES].size);
}

Test(recovery, a_visitor_sees_each_frame_in_order_and_can_stop_the_reading)
{
    make_log();
    keep_io();
    struct wal_report report;
    uint64_t count = 0;
    cr_assert_eq(wal_read(world.io, &world.source, count_frames, &count, &report), 42);
    cr_assert_eq(count, 5u);
    drop_io();
}

Test(recovery, blank_segments_are_passed_over_but_their_numbers_are_not_used_again)
{
    forge_frame(&forge, (struct forge_frame){ .records = 1, .record_size = 96 });
    forge_blank(&world, 2);
    forge_segment(&forge, 5);
    forge_frame(&forge, (struct forge_frame){ .durable_index = 1 });
    forge_blank(&world, 8);
    expect(WAL_CLEAN, 2, "blank 2 and 8");
    cr_assert_eq(world_read(&world).position.next_segment_sequence, 9u);
}

Test(recovery, a_segment_that_was_begun_and_never_written_is_no_torn_tail)
{
    make_log();
    forge_segment(&forge, 4);
    forge_segment(&forge, 5);
    expect(WAL_CLEAN, LOG_FRAMES, "two starts without a frame");
    forge_frame(&forge, (struct forge_frame){ .durable_index = LOG_FRAMES });
    expect(WAL_CLEAN, LOG_FRAMES + 1, "and one with");
}

Test(recovery, a_directory_that_cannot_be_read_is_an_error_that_says_which)
{
    keep_io();
    char missing[SCRATCH_PATH_SIZE];
    scratch_path("recovery-missing", missing);
    struct wal_source source = world.source;
    source.directory = missing;
    struct wal_report report;
    cr_assert_eq(wal_read(world.io, &source, NULL, NULL, &report), -ENOENT);
    cr_assert_str_eq(report.stop_path, missing);
    cr_assert_not_null(report.stop_reason);
    drop_io();
}

/* ---- Sweeps --------------------------------------------------------------------------------------------------------------- */

/* The highest durable_index that any frame but `lost` tells of. */
static uint64_t evidence_without(uint64_t lost)
{
    uint64_t evidence = 0;
    for (uint64_t k = 1; k <= LOG_FRAMES; k++)
        if (k != lost && frames[k].durable_index > evidence)
            evidence = frames[k].durable_index;
    return evidence;
}

enum place { PLACE_HEADERS, PLACE_FRAME, PLACE_PADDING, PLACE_REST, PLACE_END };

static enum place place_of(uint64_t sequence, uint64_t offset, uint64_t *index)
{
    *index = 0;
    if (offset < WAL_SEGMENT_DATA_OFFSET)
        return PLACE_HEADERS;
    for (uint64_t k = 1; k <= LOG_FRAMES; k++) {
        const struct world_frame *frame = &frames[k];
        if (frame->segment_sequence != sequence || offset < frame->offset || offset >= frame->offset + frame->size)
            continue;
        uint32_t record_size = k == 9 ? 4000 : 96;
        *index = k;
        return offset - frame->offset < sizeof(struct wal_frame_header) + (size_t)frame->records * record_size
                   ? PLACE_FRAME
                   : PLACE_PADDING;
    }
    return sequence == 3 ? PLACE_END : PLACE_REST;
}

/* What one flipped byte must lead to, reckoned from the frames that are left. */
static void flip_and_judge(uint64_t sequence, uint64_t offset, uint8_t bits)
{
    uint64_t index = 0;
    enum place place = place_of(sequence, offset, &index);
    scratch_flip(segment_path(sequence), offset, bits);
    struct wal_report report = world_read(&world);
    scratch_flip(segment_path(sequence), offset, bits);
    enum wal_verdict verdict = WAL_CLEAN;
    uint64_t read = LOG_FRAMES;
    if (place == PLACE_FRAME) {
        verdict = evidence_without(index) >= index ? WAL_DAMAGED : WAL_TORN_TAIL;
        read = index - 1;
    } else if (place == PLACE_END) {
        verdict = WAL_TORN_TAIL;
    }
    cr_assert_eq(report.verdict, verdict, "segment %llu offset %llu bits %x: verdict %d (%s)",
                 (unsigned long long)sequence, (unsigned long long)offset, bits, (int)report.verdict,
                 report.stop_reason);
    cr_assert_eq(report.frames, read, "segment %llu offset %llu: %llu frames", (unsigned long long)sequence,
                 (unsigned long long)offset, (unsigned long long)report.frames);
    if (verdict == WAL_DAMAGED)
        cr_assert(report.stop_index == index && report.stop_segment_sequence == sequence &&
                  report.stop_offset == frames[index].offset && report.evidence_durable_index >= index);
}

Test(recovery, no_flipped_byte_passes_for_a_clean_log_that_lacks_something)
{
    make_log();
    keep_io();
    uint64_t flips = 0;
    for (uint64_t sequence = 1; sequence <= 3; sequence++)
        for (uint64_t offset = 0; offset < WORLD_SEGMENT_SIZE;) {
            uint64_t index = 0;
            enum place place = place_of(sequence, offset, &index);
            flip_and_judge(sequence, offset, (uint8_t)(1u << (offset % 8)));
            flips++;
            bool frame_header = place == PLACE_FRAME && offset - frames[index].offset < sizeof(struct wal_frame_header);
            offset += frame_header                                    ? 1
                      : place == PLACE_FRAME                          ? 7
                      : place == PLACE_HEADERS && offset % 4096 < 128 ? 1
                                                                      : 331;
        }
    cr_assert_gt(flips, 2500u);
    drop_io();
}

/* All writes from a place on were lost, in every segment: what is left is a shorter log. */
Test(recovery, a_log_whose_end_never_reached_the_disk_is_read_up_to_there)
{
    make_log();
    keep_io();
    static uint8_t saved[4][WORLD_SEGMENT_SIZE];
    for (uint64_t sequence = 1; sequence <= 3; sequence++)
        scratch_read(segment_path(sequence), 0, saved[sequence], WORLD_SEGMENT_SIZE);
    for (uint64_t sequence = 3; sequence >= 1; sequence--)
        for (uint64_t offset = WORLD_SEGMENT_SIZE; offset > 0;) {
            offset -= WAL_BLOCK_SIZE;
            if (sequence == 1 && offset < WAL_SEGMENT_DATA_OFFSET)
                break; /* segment 1's header was durable before everything */
            scratch_zero(segment_path(sequence), offset, WAL_BLOCK_SIZE);
            uint64_t whole = 0;
            bool cut = false; /* in the middle of a frame */
            for (uint64_t k = 1; k <= LOG_FRAMES; k++) {
                const struct world_frame *frame = &frames[k];
                bool before = frame->segment_sequence < sequence ||
                              (frame->segment_sequence == sequence && frame->offset + frame->size <= offset);
                whole += before;
                cut = cut || (frame->segment_sequence == sequence && frame->offset < offset && !before);
            }
            expect(cut ? WAL_TORN_TAIL : WAL_CLEAN, whole, "lost end");
        }
    drop_io();
}

Test(recovery, a_segment_cut_short_is_damage_unless_the_log_goes_on_behind_it)
{
    make_log();
    keep_io();
    for (uint64_t sequence = 1; sequence <= 3; sequence++) {
        static uint8_t saved[WORLD_SEGMENT_SIZE];
        scratch_read(segment_path(sequence), 0, saved, sizeof(saved));
        for (uint64_t size = 0; size < WORLD_SEGMENT_SIZE; size += WAL_BLOCK_SIZE) {
            scratch_truncate(segment_path(sequence), size);
            uint64_t whole = 0; /* frames that can still be read */
            for (uint64_t k = 1; k <= LOG_FRAMES; k++) {
                bool lost = frames[k].segment_sequence == sequence && frames[k].offset + frames[k].size > size;
                if (lost)
                    break;
                whole = k;
            }
            bool goes_on = whole == LOG_FRAMES && sequence < 3;
            expect(goes_on ? WAL_CLEAN : WAL_DAMAGED, whole, "cut short");
            scratch_write(segment_path(sequence), 0, saved, sizeof(saved));
        }
    }
    scratch_truncate(segment_path(3), WORLD_SEGMENT_SIZE - WAL_BLOCK_SIZE);
    expect_damage("shorter", LOG_FRAMES + 1);
    drop_io();
}

/* ---- Torn tails -------------------------------------------------------------------------------------------------------------- */

/* Frames 1..14, then, none of them acknowledged: 15 lost, 16 whole in segment 3; 17 whole and 18 torn in segment 4. */
static struct world_frame torn[4];

static void make_torn_log(void)
{
    make_log();
    for (uint64_t i = 0; i < 4; i++) {
        if (i == 2)
            forge_segment(&forge, 4);
        torn[i] =
            forge_frame(&forge, (struct forge_frame){ .records = 3, .record_size = 2000, .durable_index = LOG_FRAMES });
    }
    scratch_zero(segment_path(3), torn[0].offset, torn[0].size);
    scratch_zero(segment_path(4), torn[3].offset + WAL_BLOCK_SIZE, WAL_BLOCK_SIZE);
}

static void discard(void)
{
    struct wal_report report = world_read(&world);
    cr_assert_eq(report.verdict, WAL_TORN_TAIL);
    keep_io();
    cr_assert_eq(wal_discard_tail(world.io, &world.source, &report), 0);
    drop_io();
}

Test(recovery, a_torn_tail_is_reported_with_what_it_drops)
{
    make_torn_log();
    struct wal_report report = world_read(&world);
    cr_assert_eq(report.verdict, WAL_TORN_TAIL);
    cr_assert_eq(report.frames, (uint64_t)LOG_FRAMES);
    cr_assert_eq(report.stop_index, LOG_FRAMES + 1u);
    cr_assert_eq(report.stop_segment_sequence, 3u);
    cr_assert_eq(report.stop_offset, torn[0].offset);
    cr_assert_str_eq(report.stop_path, segment_path(3));
    cr_assert_eq(report.stop_last_index, LOG_FRAMES + 4u); /* frame 18's header is there */
    cr_assert_eq(report.stop_last_lsn, torn[3].first_lsn + 2);
    cr_assert_eq(report.dropped_bytes, torn[1].size + WAL_SEGMENT_DATA_OFFSET + torn[2].size + WAL_BLOCK_SIZE);
    cr_assert_eq(report.evidence_index, 0u);
    cr_assert_eq(report.position.next_segment_sequence, 5u);
}

Test(recovery, a_torn_segment_header_is_a_torn_tail)
{
    make_log();
    forge_blank(&world, 4);
    scratch_write(segment_path(4), 0, "IKEEPSEG and then the power went", 32);
    expect(WAL_TORN_TAIL, LOG_FRAMES, "half a header");
    cr_assert_eq(world_read(&world).dropped_bytes, (uint64_t)WAL_SEGMENT_DATA_OFFSET);
    discard();
    expect(WAL_CLEAN, LOG_FRAMES, "discarded");
    struct wal_segment_header header = forge_header(&forge, 4);
    scratch_write(segment_path(4), 0, &header, sizeof(header));
    expect(WAL_CLEAN, LOG_FRAMES, "one whole copy is a header");
}

Test(recovery, a_discarded_tail_is_saved_and_a_second_start_reads_a_clean_log)
{
    make_torn_log();
    static uint8_t before[2 * WAL_BLOCK_SIZE];
    static uint8_t saved[2 * WAL_BLOCK_SIZE];
    scratch_read(segment_path(3), torn[1].offset, before, sizeof(before));
    discard();
    expect(WAL_CLEAN, LOG_FRAMES, "discarded");
    char path[WAL_PATH_SIZE];
    uint64_t tail = torn[0].offset;
    cr_assert_lt(
        snprintf(path, sizeof(path), "%s/torn-%016x-%08llx.bin", world.shard_path, 3, (unsigned long long)tail),
        (int)sizeof(path));
    cr_assert_eq(scratch_read(path, torn[1].offset - tail, saved, sizeof(saved)), sizeof(saved));
    cr_assert_eq(memcmp(saved, before, sizeof(saved)), 0);
    cr_assert_lt(snprintf(path, sizeof(path), "%s/torn-%016x-%08x.bin", world.shard_path, 4, 0), (int)sizeof(path));
    struct wal_segment_header header;
    cr_assert_eq(scratch_read(path, 0, &header, sizeof(header)), sizeof(header));
    cr_assert_eq(header.first_frame_index, torn[2].index);
    cr_assert_eq(scratch_read(path, torn[3].offset, saved, sizeof(saved)), (size_t)WAL_BLOCK_SIZE);

    world_start(&world);
    cr_assert_eq(wal_state_of(world.wal).segment_sequence, 5u);
    cr_assert_eq(world_commit(&world, 96), forge.next_lsn - 12);
    world_stop(&world);
    expect(WAL_CLEAN, LOG_FRAMES + 1, "went on");
}

/* Blocks of the tail that hold something: the crash may come after any of them is cleared, in any order. */
Test(recovery, a_crash_while_a_tail_is_discarded_leaves_a_torn_tail_or_none)
{
    make_torn_log();
    static uint8_t third[WORLD_SEGMENT_SIZE];
    static uint8_t fourth[WORLD_SEGMENT_SIZE];
    scratch_read(segment_path(3), 0, third, sizeof(third));
    scratch_read(segment_path(4), 0, fourth, sizeof(fourth));
    uint64_t places[16][2];
    unsigned count = 0;
    for (uint64_t offset = torn[1].offset; offset < torn[1].offset + torn[1].size; offset += WAL_BLOCK_SIZE)
        memcpy(places[count++], (uint64_t[]){ 3, offset }, sizeof(places[0]));
    for (uint64_t offset = 0; offset <= torn[3].offset; offset += WAL_BLOCK_SIZE)
        memcpy(places[count++], (uint64_t[]){ 4, offset }, sizeof(places[0]));
    cr_assert_eq(count, 7u);
    keep_io();
    for (unsigned cleared = 0; cleared < 1u << count; cleared++) {
        for (unsigned i = 0; i < count; i++)
            if (cleared & 1u << i)
                scratch_zero(segment_path(places[i][0]), places[i][1], WAL_BLOCK_SIZE);
        struct wal_report report = world_read(&world);
        cr_assert_eq(report.verdict, cleared == (1u << count) - 1 ? WAL_CLEAN : WAL_TORN_TAIL, "%x: %s", cleared,
                     report.stop_reason);
        cr_assert_eq(report.frames, (uint64_t)LOG_FRAMES);
        if (report.verdict == WAL_TORN_TAIL)
            cr_assert_eq(wal_discard_tail(world.io, &world.source, &report), 0);
        expect(WAL_CLEAN, LOG_FRAMES, "discarded in the second go");
        scratch_write(segment_path(3), 0, third, sizeof(third));
        scratch_write(segment_path(4), 0, fourth, sizeof(fourth));
    }
    drop_io();
}

Test(recovery, an_interrupted_discard_keeps_what_was_saved_first)
{
    make_torn_log();
    char path[WAL_PATH_SIZE];
    char tmp[WAL_PATH_SIZE];
    cr_assert_lt(snprintf(path, sizeof(path), "%s/torn-%016x-%08x.bin", world.shard_path, 4, 0), (int)sizeof(path));
    cr_assert_lt(snprintf(tmp, sizeof(tmp), "%s/torn-%016x-%08llx.bin.tmp", world.shard_path, 3,
                          (unsigned long long)torn[0].offset),
                 (int)sizeof(tmp));
    scratch_copy_file(segment_path(4), path);
    scratch_copy_file(segment_path(4), tmp); /* half written: to be made anew */
    scratch_zero(segment_path(4), 0, (size_t)3 * WAL_BLOCK_SIZE);
    discard();
    expect(WAL_CLEAN, LOG_FRAMES, "discarded");
    struct wal_segment_header header;
    scratch_read(path, 0, &header, sizeof(header));
    cr_assert_eq(header.first_frame_index, torn[2].index);
    cr_assert_not(scratch_is_there(tmp));
}

Test(recovery, a_torn_first_frame_of_a_new_shard_is_discarded_and_segment_one_not_gone_on_in)
{
    torn[0] = forge_frame(&forge, (struct forge_frame){ .records = 3, .record_size = 2000 });
    scratch_zero(segment_path(1), torn[0].offset, WAL_BLOCK_SIZE);
    struct wal_report report = world_read(&world);
    cr_assert_eq(report.verdict, WAL_TORN_TAIL);
    cr_assert_eq(report.stop_index, 1u);
    cr_assert_eq(report.stop_last_index, 0u);
    cr_assert_eq(report.position.next_segment_sequence, 2u);
    discard();
    expect(WAL_CLEAN, 0, "discarded");
}

/* ---- Damage ------------------------------------------------------------------------------------------------------------------- */

Test(recovery, damage_to_an_acknowledged_frame_is_reported_with_its_proof)
{
    make_log();
    scratch_flip(segment_path(2), frames[8].offset + 200, 1);
    struct wal_report report = world_read(&world);
    cr_assert_eq(report.verdict, WAL_DAMAGED);
    cr_assert_eq(report.frames, 7u);
    cr_assert_eq(report.stop_index, 8u);
    cr_assert_eq(report.stop_segment_sequence, 2u);
    cr_assert_eq(report.stop_offset, frames[8].offset);
    cr_assert_str_eq(report.stop_path, segment_path(2));
    cr_assert_str_eq(report.stop_reason, "the frame's checksum does not match");
    cr_assert_eq(report.stop_last_index, (uint64_t)LOG_FRAMES);
    cr_assert_eq(report.stop_last_lsn, forge.next_lsn - 1);
    cr_assert_eq(report.evidence_index, (uint64_t)LOG_FRAMES); /* the strongest there is */
    cr_assert_eq(report.evidence_durable_index, LOG_FRAMES - 1u);
    cr_assert_eq(report.evidence_segment_sequence, 3u);
    cr_assert_eq(report.evidence_offset, frames[LOG_FRAMES].offset);
    cr_assert_eq(report.evidence_time_ns, frames[LOG_FRAMES].time_ns);
}

Test(recovery, a_frame_whose_own_payload_is_torn_still_proves_what_its_header_says)
{
    make_log();
    struct world_frame proof =
        forge_frame(&forge, (struct forge_frame){ .records = 2, .record_size = 4000, .durable_index = LOG_FRAMES });
    scratch_zero(segment_path(3), proof.offset + WAL_BLOCK_SIZE, WAL_BLOCK_SIZE);
    expect(WAL_TORN_TAIL, LOG_FRAMES, "a torn last frame");
    scratch_zero(segment_path(3), frames[LOG_FRAMES].offset, WAL_BLOCK_SIZE);
    struct wal_report report = world_read(&world);
    cr_assert_eq(report.verdict, WAL_DAMAGED);
    cr_assert_eq(report.stop_index, (uint64_t)LOG_FRAMES);
    cr_assert_eq(report.evidence_index, LOG_FRAMES + 1u);
    cr_assert_eq(report.evidence_offset, proof.offset);
    cr_assert_str_eq(report.stop_reason, "nothing was written where the frame should be");
}

Test(recovery, a_hole_that_nothing_behind_it_proves_is_a_torn_tail)
{
    for (uint64_t k = 1; k <= 5; k++)
        frames[k] = forge_frame(&forge, (struct forge_frame){ .records = 1, .record_size = 96, .durable_index = 0 });
    scratch_zero(segment_path(1), frames[2].offset, WAL_BLOCK_SIZE);
    expect(WAL_TORN_TAIL, 1, "no frame tells of frame 2");
}

Test(recovery, frames_verify_without_their_segments_headers)
{
    make_log();
    for (uint64_t sequence = 1; sequence <= 3; sequence++) {
        scratch_zero(segment_path(sequence), 0, WAL_BLOCK_SIZE);
        scratch_flip(segment_path(sequence), WAL_BLOCK_SIZE + 20, 0x80);
    }
    expect(WAL_CLEAN, LOG_FRAMES, "all headers lost");
    cr_assert_eq(world_read(&world).bad_header_copies, 6u);
}

Test(recovery, one_lost_header_copy_is_counted_and_does_no_harm)
{
    make_log();
    scratch_flip(segment_path(2), 30, 1);
    expect(WAL_CLEAN, LOG_FRAMES, "first copy");
    cr_assert_eq(world_read(&world).bad_header_copies, 1u);
}

Test(recovery, segment_one_without_header_and_frames_is_damage_though_nothing_proves_it)
{
    scratch_zero(segment_path(1), 0, WAL_SEGMENT_DATA_OFFSET);
    expect_damage("both copies of segment 1's header are lost", 1);
}

Test(recovery, a_missing_segment_is_named)
{
    make_log();
    cr_assert_eq(unlink(segment_path(2)), 0);
    struct wal_report report = world_read(&world);
    cr_assert_eq(report.verdict, WAL_DAMAGED);
    cr_assert_eq(report.frames, 6u);
    cr_assert_eq(report.stop_index, 7u);
    cr_assert_str_eq(report.stop_reason, "the segment that begins with this frame is missing");
    cr_assert_str_eq(report.stop_path, segment_path(1));
    cr_assert_eq(report.evidence_durable_index, LOG_FRAMES - 1u);
}

Test(recovery, a_missing_first_segment_is_damage_even_where_it_is_the_only_one)
{
    make_log();
    cr_assert_eq(unlink(segment_path(1)), 0);
    expect_damage("segment 1, with which the log begins, is missing", 1);
    cr_assert_eq(unlink(segment_path(2)), 0);
    cr_assert_eq(unlink(segment_path(3)), 0);
    expect_damage("the shard has no segment", 1);
}

Test(recovery, a_bad_first_frame_of_a_segment_is_found_there)
{
    make_log();
    scratch_flip(segment_path(3), frames[11].offset + 130, 4);
    struct wal_report report = world_read(&world);
    cr_assert_eq(report.verdict, WAL_DAMAGED);
    cr_assert_eq(report.stop_segment_sequence, 3u);
    cr_assert_eq(report.stop_offset, (uint64_t)WAL_SEGMENT_DATA_OFFSET);
    cr_assert_eq(report.stop_index, 11u);
}

Test(recovery, swapped_segments_are_damage)
{
    make_log();
    char second[WAL_PATH_SIZE];
    char third[WAL_PATH_SIZE];
    char between[WAL_PATH_SIZE];
    world_segment_path(&world, 2, second);
    world_segment_path(&world, 3, third);
    world_segment_path(&world, 99, between);
    cr_assert(rename(second, between) == 0 && rename(third, second) == 0 && rename(between, third) == 0);
    expect_damage("name and header disagree", 7);
    cr_assert_neq(world_read(&world).evidence_index, 0u);
}

Test(recovery, a_renamed_segment_is_damage_even_where_nothing_else_proves_it)
{
    make_log();
    char fourth[WAL_PATH_SIZE];
    world_segment_path(&world, 4, fourth);
    cr_assert_eq(rename(segment_path(3), fourth), 0);
    expect_damage("name and header disagree", 11);
    scratch_zero(fourth, WAL_SEGMENT_DATA_OFFSET, WORLD_SEGMENT_SIZE - WAL_SEGMENT_DATA_OFFSET);
    expect_damage("name and header disagree", 11);
}

static void append_foreign(struct wal_segment_header header)
{
    wal_segment_header_seal(&header);
    forge_blank(&world, 4);
    forge_header_write(&world, 4, &header);
}

Test(recovery, a_segment_of_another_data_directory_is_refused)
{
    make_log();
    struct wal_segment_header header = forge_header(&forge, 4);
    header.uuid[3] ^= 1;
    append_foreign(header);
    expect_damage("belongs to another data directory", LOG_FRAMES + 1);
}

Test(recovery, a_segment_of_another_shard_is_refused)
{
    make_log();
    struct wal_segment_header header = forge_header(&forge, 4);
    header.shard = 1;
    header.shards_count = 2;
    append_foreign(header);
    expect_damage("belongs to another shard", LOG_FRAMES + 1);
}

Test(recovery, a_segment_written_under_another_shard_count_is_refused)
{
    make_log();
    struct wal_segment_header header = forge_header(&forge, 4);
    header.shards_count = 2;
    append_foreign(header);
    expect_damage("another shard count", LOG_FRAMES + 1);
}

Test(recovery, a_segment_of_another_history_is_refused_and_not_discarded)
{
    make_log();
    struct forge other = forge;
    other.next_index = LOG_FRAMES - 1; /* a copy taken before the last two frames went on by itself */
    append_foreign(forge_header(&other, 4));
    expect_damage("two histories", LOG_FRAMES + 1);
}

Test(recovery, a_segment_of_a_newer_version_is_refused_and_not_discarded)
{
    make_log();
    struct wal_segment_header header = forge_header(&forge, 4);
    header.version = 2;
    append_foreign(header);
    expect_damage("newer", LOG_FRAMES + 1);
}

Test(recovery, a_frame_of_a_newer_version_is_refused_and_not_discarded)
{
    make_log();
    forge_frame(&forge, (struct forge_frame){ .records = 1, .record_size = 96, .version = 3 });
    expect_damage("newer", LOG_FRAMES + 1);
}

/* ---- Epochs --------------------------------------------------------------------------------------------------------------- */

static const struct forge_frame epoch_frame = {
    .records = 2, .record_size = 96, .flags = WAL_FRAME_EPOCH, .first_lsn = WAL_EPOCH_LSNS
};

Test(recovery, an_epoch_begins_where_its_frame_says_and_LSNs_go_on_from_there)
{
    make_log();
    forge_frame(&forge, epoch_frame);
    forge_frame(&forge, (struct forge_frame){ .records = 1, .record_size = 96 });
    struct forge_frame later = epoch_frame;
    later.first_lsn = 7 * WAL_EPOCH_LSNS; /* those between were cut away */
    forge_frame(&forge, later);
    struct wal_report report = world_read(&world);
    cr_assert_eq(report.verdict, WAL_CLEAN, "%s", report.stop_reason);
    cr_assert_eq(report.frames, (uint64_t)LOG_FRAMES + 3);
    cr_assert_eq(report.last_lsn, 7 * WAL_EPOCH_LSNS + 1);
    cr_assert_eq(report.position.next_lsn, 7 * WAL_EPOCH_LSNS + 2);
}

Test(recovery, LSNs_that_jump_without_the_flag_are_damage)
{
    make_log();
    struct forge_frame jump = epoch_frame;
    jump.flags = 0;
    forge_frame(&forge, jump);
    expect_damage("LSN or time", LOG_FRAMES + 1);
}

Test(recovery, an_epoch_that_lies_before_the_log_is_damage)
{
    make_log();
    forge_frame(&forge, epoch_frame);
    forge_frame(&forge, epoch_frame); /* the same LSNs a second time */
    expect_damage("LSN or time", LOG_FRAMES + 2);
}

Test(recovery, a_flag_without_a_jump_is_damage)
{
    make_log();
    struct forge_frame flat = epoch_frame;
    flat.first_lsn = forge.next_lsn;
    forge_frame(&forge, flat);
    expect_damage("LSN or time", LOG_FRAMES + 1);
}

Test(recovery, a_chained_frame_that_contradicts_its_predecessor_is_no_torn_write)
{
    make_log();
    struct forge before = forge;
    forge_frame(&forge, (struct forge_frame){ .records = 1, .record_size = 96, .first_lsn = 1000 });
    expect_damage("LSN or time", LOG_FRAMES + 1);
    forge = before;
    forge_frame(&forge, (struct forge_frame){ .records = 1, .record_size = 96, .time_ns = 5 });
    expect_damage("LSN or time", LOG_FRAMES + 1);
}

Test(recovery, a_misdirected_or_unchained_frame_is_not_read)
{
    make_log();
    struct forge before = forge;
    static const struct forge_frame wrong[] = {
        { .records = 1, .record_size = 96, .block_number = 9 },
        { .records = 1, .record_size = 96, .index = LOG_FRAMES + 2 },
        { .records = 1, .record_size = 96, .other_history = true },
        { .records = 1, .record_size = 96, .salt_sequence = 7 },
        { .records = 1, .record_size = 96, .salt_sequence = 2 }, /* of an earlier segment, but not of its time */
    };
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        forge = before;
        forge_frame(&forge, wrong[i]);
        expect(WAL_TORN_TAIL, LOG_FRAMES, "a frame that is not the next");
    }
}

/* ---- Recycled segments --------------------------------------------------------------------------------------------------------- */

/* A file whose every block held small frames of segment 2's life; renamed to 5. */
static void make_recycled(bool header_written)
{
    char path[WAL_PATH_SIZE];
    make_log();
    struct forge old = forge;
    old.next_index = 7;
    old.sequence = 5;
    forge_blank(&world, 5);
    struct wal_segment_header stale = forge_header(&old, 2);
    forge_header_write(&world, 5, &stale);
    for (old.offset = WAL_SEGMENT_DATA_OFFSET; old.offset < WORLD_SEGMENT_SIZE;) {
        old.next_index = 7; /* however many there were, they are old */
        forge_frame(&old,
                    (struct forge_frame){ .records = 1, .record_size = 96, .salt_sequence = 2, .durable_index = 6 });
    }
    if (!header_written)
        return;
    world_segment_path(&world, 5, path);
    struct wal_segment_header header = forge_header(&forge, 5);
    forge_header_write(&world, 5, &header);
    forge.sequence = 5;
    forge.offset = WAL_SEGMENT_DATA_OFFSET;
}

Test(recovery, the_old_frames_of_a_recycled_segment_are_ignored)
{
    make_recycled(true);
    expect(WAL_CLEAN, LOG_FRAMES, "begun");
    forge_frame(&forge, (struct forge_frame){ .records = 1, .record_size = 96, .durable_index = LOG_FRAMES });
    forge_frame(&forge, (struct forge_frame){ .durable_index = LOG_FRAMES + 1 });
    expect(WAL_CLEAN, LOG_FRAMES + 2, "written over in part");
}

Test(recovery, a_recycled_segment_that_was_renamed_and_not_yet_begun_is_ignored)
{
    make_recycled(false);
    expect(WAL_CLEAN, LOG_FRAMES, "not begun");
    cr_assert_eq(world_read(&world).position.next_segment_sequence, 6u);
}

Test(recovery, the_rest_of_an_old_frame_that_was_written_over_is_at_most_a_torn_tail)
{
    make_recycled(true);
    struct world_frame frame =
        forge_frame(&forge, (struct forge_frame){ .records = 1, .record_size = 96, .durable_index = LOG_FRAMES });
    scratch_flip(segment_path(5), frame.offset + frame.size + 300, 0);
    scratch_zero(segment_path(5), frame.offset + frame.size, 256); /* an old frame whose beginning is gone */
    scratch_write(segment_path(5), frame.offset + frame.size + 1000, "rest", 4);
    expect(WAL_TORN_TAIL, LOG_FRAMES + 1, "rest");
}

/* ---- A log that is being written -------------------------------------------------------------------------------------------------- */

Test(recovery, a_log_can_be_read_while_it_is_written)
{
    world.options.depth_max = 4;
    pid_t writer = fork();
    cr_assert_geq(writer, 0);
    if (writer == 0) {
        alarm(60);
        world_start(&world);
        for (int i = 0; i < 600; i++) {
            for (int j = 0; j < 6; j++)
                (void)world_append(&world, 2000);
            while (!wal_may_seal(world.wal)) /* without draining: several frames are in flight */
                world_turn(&world);
            wal_seal(world.wal, world.time_ns++, 1, false);
        }
        world_drain(&world);
        world_stop(&world);
        _exit(0);
    }
    keep_io();
    uint64_t seen = 0;
    int status = 0;
    pid_t ended = 0;
    for (int i = 0; ended == 0 && i < 1000000; i++) {
        struct wal_report report = world_read(&world);
        cr_assert_neq(report.verdict, WAL_DAMAGED, "%s at %llu", report.stop_reason,
                      (unsigned long long)report.stop_index);
        cr_assert_geq(report.frames, seen);
        seen = report.frames;
        ended = waitpid(writer, &status, WNOHANG);
    }
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the writer: %x", (unsigned)status);
    expect(WAL_CLEAN, 600, "at the end");
    drop_io();
}

/* ---- Reading on behind a snapshot ------------------------------------------------------------------------------------------- */

static struct wal_start start_behind(const struct world_frame *frame)
{
    return (struct wal_start){
        .position = { .next_index = frame->index + 1,
                      .next_lsn = frame->first_lsn + frame->records,
                      .last_time_ns = frame->time_ns,
                      .previous_hash = frame->hash },
        .place = { .segment_sequence = frame->segment_sequence, .offset = frame->offset + frame->size },
    };
}

Test(recovery, behind_any_frame_the_rest_is_read_whether_older_segments_are_there_or_not)
{
    make_log();
    struct wal_report whole = world_read(&world);
    for (int round = 0; round < 2; round++) {
        for (uint64_t k = LOG_FRAMES; k >= (round == 0 ? 1u : 11u); k--) {
            struct wal_start start = start_behind(&frames[k]);
            world.source.start = &start;
            expect(WAL_CLEAN, LOG_FRAMES - k, "behind a frame");
            struct wal_report report = world_read(&world);
            cr_assert_eq(report.last_lsn, whole.last_lsn);
            cr_assert_eq(report.position.next_index, LOG_FRAMES + 1);
            cr_assert_eq(report.position.next_segment_sequence, whole.position.next_segment_sequence);
            cr_assert(hash128_equal(report.position.previous_hash, whole.position.previous_hash));
        }
        cr_assert_eq(unlink(segment_path(1)), round == 0 ? 0 : -1);
        cr_assert_eq(unlink(segment_path(2)), round == 0 ? 0 : -1);
    }
    world.source.start = NULL;
    expect_damage("segment 1", 1);
}

Test(recovery, damage_in_front_of_the_start_is_not_looked_at_and_behind_it_is_found)
{
    make_log();
    struct wal_start start = start_behind(&frames[8]);
    world.source.start = &start;
    scratch_flip(segment_path(1), frames[3].offset + 200, 1);
    scratch_flip(segment_path(2), frames[8].offset + 200, 1);
    expect(WAL_CLEAN, LOG_FRAMES - 8, "damage in front");
    scratch_flip(segment_path(2), frames[9].offset + 200, 1);
    expect_damage("", 9);
}

Test(recovery, the_segment_of_the_start_has_to_be_there)
{
    make_log();
    struct wal_start start = start_behind(&frames[8]);
    world.source.start = &start;
    cr_assert_eq(unlink(segment_path(2)), 0);
    expect_damage("is missing in which the log goes on behind the snapshot", 9);
}

Test(recovery, a_start_of_another_history_reads_nothing)
{
    make_log();
    struct wal_start start = start_behind(&frames[8]);
    start.position.previous_hash.low ^= 1;
    world.source.start = &start;
    expect_damage("another history", 9);
}
