/* Every bit of a snapshot and of its manifest, flipped in turn: a start that would begin with the snapshot either passes it over, aloud,
 * and reads the whole log, or is as it would have been. The state is the same either way. See flips.h for how many bits a run takes. */
#include "engine/snapshot.h"
#include "net/warm_start.h"
#include "tests/net/frames.h"
#include "tests/wal/fake_io.h"
#include "tests/wal/flips.h"
#include "tests/wal/world.h"
#include "wal/snapshot_writer.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#define DATE 20780
#define TIME_NS UINT64_C(1790000000000000000)
#define RESERVES 600
#define SNAPSHOT_AT 300 /* records from the last */
#define HASH_EVERY 16   /* of the flips of a whole run, so many are followed by a replay */

static struct world world;

static struct {
    struct flip_file files[2];
    char names[2][WAL_PATH_SIZE];
    struct hash128 state_hash;
    struct wal_start start; /* right behind the frame of the snapshot */
    uint64_t judged;
} written;

/* ---- A log, and a snapshot in the middle of it ------------------------------------------------------------------------------- */

static void append(const void *record)
{
    const struct record_header *header = record;
    for (int turn = 0; !wal_has_room(world.wal, header->size); turn++) {
        cr_assert_lt(turn, 1000);
        world_seal(&world);
    }
    (void)wal_append(world.wal, record);
}

static void log_write(void)
{
    struct engine_limits limits = small_limits();
    limits.reservations_max = 2000;
    limits.outcomes_max = 2000;
    struct config_record config = record_config(limits);
    struct property_create property = record_property(1, DATE, 1, TIME_NS);
    struct room_type_create type = record_room_type(1, 1, 400, 2, TIME_NS);
    struct lease_acquire lease = record_acquire(1, 7, 5, NS_PER_HOUR);
    append(&config);
    wal_seal(world.wal, world.time_ns++, ENGINE_LEVEL, true);
    world_drain(&world);
    append(&property);
    append(&type);
    append(&lease);
    for (uint64_t i = 0; i < RESERVES; i++) {
        uint64_t hold_ns = i % 5 == 0 ? NS_PER_HOUR : 0;
        struct reserve reserve =
            record_reserve(1, 1, DATE + (int32_t)(i % 95), i % 9 == 0 ? 30 : 3, hold_ns, 100 + i, TIME_NS);
        append(&reserve);
        if (i % 60 == 59)
            world_seal(&world);
    }
    world_drain(&world);
    world_noop(&world);
}

static int apply_until(void *context, const struct wal_frame_header *frame)
{
    int rc = state_machine_apply(context, frame, NULL, NULL);
    cr_assert_eq(rc, 0);
    written.start = (struct wal_start){
        .position = { .next_index = frame->index + 1,
                      .next_lsn = frame->first_lsn + frame->records_count,
                      .last_time_ns = frame->time_ns,
                      .previous_hash = frame->hash },
        .place = { .segment_sequence = frame->segment_sequence,
                   .offset = (uint64_t)frame->block_number * WAL_BLOCK_SIZE + frame->frame_size },
    };
    return written.start.position.next_lsn > SNAPSHOT_AT;
}

static bool chunk_next(void *context, uint64_t *chunk)
{
    return capture_next(context, chunk);
}

static void chunk_fill(void *context, uint64_t chunk, void *bytes, size_t size_bytes)
{
    capture_fill(context, chunk, bytes, size_bytes);
}

static struct wal_snapshot_place snapshot_place(void)
{
    struct wal_snapshot_place place = { .directory = world.shard_path, .shards_count = 1 };
    memcpy(place.uuid, world.source.uuid, sizeof(place.uuid));
    return place;
}

static void snapshot_run(struct state_machine *machine, uint8_t *buffer)
{
    struct wal_snapshot_writer_options options = { .place = snapshot_place(),
                                                   .data_size_max = 64 * MIB,
                                                   .bytes = buffer };
    struct wal_snapshot_writer *writer = NULL;
    struct snapshot_head head;
    cr_assert_eq(wal_snapshot_writer_init(world.io, &options, &writer), 0);
    snapshot_begin(machine->engine, &head);
    struct wal_snapshot_header what = {
        .index = written.start.position.next_index - 1,
        .next_lsn = written.start.position.next_lsn,
        .time_ns = written.start.position.last_time_ns,
        .previous_hash = written.start.position.previous_hash,
        .segment_sequence = written.start.place.segment_sequence,
        .segment_offset = written.start.place.offset,
        .engine_level = head.engine_level,
        .data_size = snapshot_data_size(&head),
    };
    struct wal_snapshot_source source = { .context = snapshot_capture(machine->engine),
                                          .next = chunk_next,
                                          .fill = chunk_fill };
    wal_snapshot_begin(writer, &what, &head, sizeof(head), &source);
    while (wal_snapshot_state_of(writer).status == WAL_SNAPSHOT_RUNNING) {
        wal_snapshot_tend(writer, io_now_ns(world.io));
        cr_assert_eq(io_run(world.io, 0), 0);
    }
    cr_assert_eq(wal_snapshot_state_of(writer).status, WAL_SNAPSHOT_DONE);
    snapshot_end(machine->engine);
    wal_snapshot_writer_free(writer);
}

static void snapshot_write(void)
{
    static _Alignas(WAL_BLOCK_SIZE) uint8_t buffer[WAL_SNAPSHOT_BUFFER_SIZE];
    struct iovec registered = { .iov_base = buffer, .iov_len = sizeof(buffer) };
    struct state_machine machine;
    struct wal_report report;
    state_machine_init(&machine, world.source.uuid);
    cr_assert_eq(io_adopt(world.io), 0);
    cr_assert_eq(io_buffers_register(world.io, &registered, 1), 0);
    cr_assert_eq(wal_read(world.io, &world.source, apply_until, &machine, &report), 1);
    snapshot_run(&machine, buffer);
    state_machine_free(&machine);
}

static void file_note(size_t i, const char *name)
{
    cr_assert_lt(snprintf(written.names[i], WAL_PATH_SIZE, "%s/%s", world.shard_path, name), WAL_PATH_SIZE);
    written.files[i].name = written.names[i];
    written.files[i].bytes = fake_io_file(written.names[i], &written.files[i].size_bytes);
    cr_assert_not_null(written.files[i].bytes, "%s", written.names[i]);
}

/* ---- A start ----------------------------------------------------------------------------------------------------------------- */

static int apply_frame(void *context, const struct wal_frame_header *frame)
{
    return state_machine_apply(context, frame, NULL, NULL);
}

static void sentence_note(void *context, const char *sentence)
{
    char *said = context;
    snprintf(said, FLIP_WHY_SIZE, "%.400s", sentence);
}

/* What a start finds: the snapshot it begins with, what it says, and the state in the end. */
struct start {
    struct warm_start warm;
    char said[FLIP_WHY_SIZE];
    int error;
    struct hash128 state_hash; /* zero unless asked for */
};

static void log_follow(struct start *start, struct state_machine *machine)
{
    struct wal_source source = world.source;
    struct wal_report report;
    if (start->warm.index != 0)
        source.start = &start->warm.start;
    int rc = wal_read(world.io, &source, apply_frame, machine, &report);
    cr_assert(rc == 0 && report.verdict == WAL_CLEAN, "%s", report.stop_reason);
    start->state_hash = engine_state_hash(machine->engine);
}

static void start_run(struct start *start, bool to_the_end)
{
    struct state_machine machine;
    char why[WAL_SNAPSHOT_WHY_SIZE];
    *start = (struct start){ .error = 0 };
    struct warm_start_options options = {
        .io = world.io,
        .place = snapshot_place(),
        .lsn_max = NEVER_NS,
        .time_max_ns = NEVER_NS,
        .say = sentence_note,
        .context = start->said,
    };
    state_machine_init(&machine, world.source.uuid);
    start->error = warm_start_run(&machine, &options, &start->warm, why);
    if (start->error == 0 && to_the_end)
        log_follow(start, &machine);
    state_machine_free(&machine);
}

static void setup(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, 32 << 20);
    (void)mallopt(M_TRIM_THRESHOLD, 128 << 20);
    world_init(&world, "/data");
    world.time_ns = TIME_NS;
    world_start(&world);
    log_write();
    world_stop(&world);
    const char *why = NULL;
    cr_assert_eq(io_create(&(struct io_options){ .ring_entries = 0 }, &world.io, &why), 0);
    struct start start;
    start_run(&start, true);
    cr_assert_eq(start.warm.index, 0u);
    written.state_hash = start.state_hash;
    snapshot_write();
    char name[64];
    snprintf(name, sizeof(name), "%016" PRIx64 ".snapshot", written.start.position.next_index - 1);
    file_note(0, name);
    file_note(1, WAL_MANIFEST_NAME);
    start_run(&start, true);
    cr_assert_eq(start.warm.index, written.start.position.next_index - 1, "%s", start.said);
    cr_assert(hash128_equal(start.state_hash, written.state_hash),
              "a snapshot and the log behind it give another state");
}

TestSuite(snapshot_flips, .init = setup);

static enum flip_verdict judge(void *context, struct flip_place place, char why[FLIP_WHY_SIZE])
{
    (void)context;
    struct start start;
    bool replayed = !flips_are_whole() || written.judged++ % HASH_EVERY == 0;
    start_run(&start, replayed);
    bool in_snapshot = place.file == 0;
    uint64_t index = in_snapshot ? 0 : written.start.position.next_index - 1;
    if (start.error != 0 || start.warm.index != index || start.said[0] == '\0' ||
        (replayed && !hash128_equal(start.state_hash, written.state_hash))) {
        snprintf(why, FLIP_WHY_SIZE, "error %d, begun with snapshot %" PRIu64 ", said: %.300s", start.error,
                 start.warm.index, start.said);
        return FLIP_WRONG;
    }
    return FLIP_DETECTED;
}

Test(snapshot_flips, every_flipped_bit_of_a_snapshot_is_detected_and_the_state_is_the_same)
{
    struct flip_subject snapshot = { .name = "snapshot", .files = written.files, .files_count = 2, .judge = judge };
    struct flip_count count = flips_run(&snapshot);
    cr_assert_eq(count.wrong, 0u);
    cr_assert_eq(count.detected, count.flips); /* no bit of either file is without a check */
}
