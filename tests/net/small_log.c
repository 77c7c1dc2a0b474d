/* Writes a small data directory through the real log, for the tests of innkeep-wal:
 *
 *     small_log DIR SHARDS          every kind of record, and most kinds of outcome
 *     small_log DIR SHARDS race     few records: who got the last room, and why the others did not
 *     small_log DIR SHARDS after    few records: what a restart, a confirmation and a retry leave behind
 *
 * What was durable was applied as it would be in a server; the state that came of it is printed in innkeep-wal replay's own words, so that both can be compared. Time is made up, so each run writes the same records. */
#include "net/state_machine.h"
#include "tests/net/frames.h"
#include "tools/innkeep-wal/printer.h"
#include "wal/directory.h"
#include "wal/log.h"
#include "wal/recovery.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TIME_NS UINT64_C(1790000000000000000)
#define DATE 20780
#define SEGMENT_SIZE (64 * KIB)
#define RESERVES_MANY 300 /* enough for several segments */
#define TURNS_MAX 100000

struct writer {
    struct io *io;
    struct wal *wal;
    struct state_machine machine;
    uint64_t time_ns;
    uint64_t property;
};

static void must(int result, const char *what, const char *why)
{
    if (result == 0)
        return;
    fprintf(stderr, "small_log: %s: %s (%s)\n", what, why != NULL ? why : "", strerror(-result));
    exit(1);
}

static void durable_take(struct writer *writer)
{
    const struct wal_frame_header *frame;
    for (; (frame = wal_durable(writer->wal)) != NULL; wal_release(writer->wal))
        must(state_machine_apply(&writer->machine, frame, NULL, NULL), "apply", writer->machine.error);
}

static void turn(struct writer *writer)
{
    wal_tend(writer->wal);
    must(io_run(writer->io, io_now_ns(writer->io) + NS_PER_SECOND), "run", NULL);
    must(wal_error(writer->wal), "log", NULL);
    durable_take(writer);
}

static void frame_seal(struct writer *writer, bool config)
{
    for (int turns = 0; !wal_may_seal(writer->wal); turns++) {
        must(turns < TURNS_MAX ? 0 : -1, "seal", "the log never has a slot");
        turn(writer);
    }
    wal_seal(writer->wal, writer->time_ns, ENGINE_LEVEL, config);
    writer->time_ns += NS_PER_MS;
    for (int turns = 0; wal_state_of(writer->wal).in_flight > 0; turns++) {
        must(turns < TURNS_MAX ? 0 : -1, "seal", "the frame never becomes durable");
        turn(writer);
    }
}

/* Room may be missing until the next segment is ready. */
static void record_append(struct writer *writer, const struct record_header *record)
{
    for (int turns = 0; !wal_has_room(writer->wal, record->size); turns++) {
        must(turns < TURNS_MAX ? 0 : -1, "append", "the log never has room");
        turn(writer);
    }
    (void)wal_append(writer->wal, record);
}

#define APPEND(writer, record)                          \
    do {                                                \
        __typeof__(record) appended = (record);         \
        record_append(writer, (const void *)&appended); \
    } while (0)

static struct reserve fenced(struct reserve record, uint64_t token)
{
    record.mutation.fence_token = token;
    record.mutation.fence_resource = 7;
    return record;
}

static void write_beginning(struct writer *writer)
{
    struct recovered_record recovered = record_recovered();
    struct commit_latency_record latency = { .header = recovered.header, .p99_ns = NS_PER_MS, .ttl_factor = 10 };
    latency.header.kind = OPERATION_COMMIT_LATENCY;
    latency.header.size = sizeof latency;
    APPEND(writer, record_config(small_limits()));
    frame_seal(writer, true);
    APPEND(writer, recovered);
    APPEND(writer, latency);
    APPEND(writer, record_property(writer->property, DATE, 1, TIME_NS));
    APPEND(writer, record_room_type(writer->property, 7, 1, 2, TIME_NS));
    APPEND(writer, record_room_type(writer->property, 1, 2, 3, TIME_NS));
    frame_seal(writer, false);
}

static void write_story(struct writer *writer)
{
    uint64_t property = writer->property;
    struct rooms_set more = { .mutation = record_property(property, 0, 4, TIME_NS).mutation,
                              .room_type = 7,
                              .first_night = DATE + 20,
                              .last_night = DATE + 30,
                              .weekdays = WEEKDAYS_ALL,
                              .rooms = 3 };
    more.mutation.header.kind = OPERATION_ROOMS_SET;
    more.mutation.header.size = sizeof more;
    APPEND(writer, more);
    APPEND(writer, record_reserve(property, 7, DATE, 3, 0, 10, TIME_NS));           /* OK */
    APPEND(writer, record_reserve(property, 7, DATE + 2, 2, 0, 11, TIME_NS));       /* SOLD_OUT */
    APPEND(writer, record_reserve(property, 7, DATE, 3, 0, 10, TIME_NS));           /* the first again */
    APPEND(writer, record_reserve(property, 7, DATE, 4, 0, 10, TIME_NS));           /* KEY_REUSED */
    APPEND(writer, record_reserve(property, 1, DATE, 2, NS_PER_HOUR, 12, TIME_NS)); /* held */
    APPEND(writer, record_change(OPERATION_CONFIRM, property, 12, 13, TIME_NS));
    APPEND(writer, record_reserve(property, 1, DATE, 2, NS_PER_HOUR, 14, TIME_NS));
    APPEND(writer, record_change(OPERATION_RELEASE, property, 14, 15, TIME_NS));
    APPEND(writer, record_reserve(property, 1, DATE + 9, 2, NS_PER_MS, 16, TIME_NS)); /* will expire */
    APPEND(writer, record_reserve(property, 1, DATE + 4, 2, 0, 17, TIME_NS));
    APPEND(writer, record_change(OPERATION_CANCEL, property, 17, 18, TIME_NS));
    APPEND(writer, record_reserve(property + 1, 1, DATE, 1, 0, 19, TIME_NS)); /* NO_SUCH_PROPERTY */
    APPEND(writer, record_acquire(property, 7, UINT64_MAX, NS_PER_MINUTE));
    frame_seal(writer, false);
    APPEND(writer, record_change(OPERATION_CONFIRM, property, 16, 20, TIME_NS));            /* HOLD_EXPIRED */
    APPEND(writer, fenced(record_reserve(property, 7, DATE + 5, 1, 0, 21, TIME_NS), 1));    /* FENCED */
    APPEND(writer, record_reserve(property, 7, DATE + 5, 1, 0, 22, TIME_NS - NS_PER_HOUR)); /* TOO_LATE */
    frame_seal(writer, false);
}

/* Nearly every record a frame of its own, so that damage to one block is damage to few records. */
static void write_many(struct writer *writer)
{
    uint64_t first_ns = writer->time_ns;
    for (uint64_t i = 0; i < RESERVES_MANY; i++) {
        int32_t arrival = DATE + 20 + (int32_t)(i % 12);
        APPEND(writer, record_reserve(writer->property, 7, arrival, 1, 0, 1000 + i, first_ns));
        if (i % 7 == 0)
            APPEND(writer, record_change(OPERATION_CANCEL, writer->property, 1000 + i, 5000 + i, first_ns));
        frame_seal(writer, false);
    }
    struct barrier barrier = { .header = { .size = sizeof barrier, .kind = OPERATION_BARRIER, .version = 1 } };
    barrier.header.property = writer->property;
    APPEND(writer, barrier);
    frame_seal(writer, false);
    frame_seal(writer, false); /* evidence */
}

/* ---- The race --------------------------------------------------------------------------------------------------------------------- */

static struct lease_acquire acquire_by(uint64_t property, const char *owner, uint64_t session, uint64_t ttl_ns)
{
    struct lease_acquire record = record_acquire(property, 101, session, ttl_ns);
    memset(record.owner, 0, sizeof record.owner);
    memcpy(record.owner, owner, strlen(owner));
    return record;
}

/* Renews, or releases where ttl_ns is 0. */
static void lease_go_on(struct writer *writer, uint64_t token, uint64_t ttl_ns)
{
    struct lease_renew renew = { .header = { .kind = OPERATION_LEASE_RENEW, .size = sizeof renew, .version = 1 } };
    renew.header.property = writer->property;
    renew.resource = 101;
    renew.token = token;
    renew.ttl_ns = ttl_ns;
    struct lease_release release = { .header = renew.header, .resource = 101, .token = token };
    release.header.kind = OPERATION_LEASE_RELEASE;
    release.header.size = sizeof release;
    if (ttl_ns == 0)
        APPEND(writer, release);
    else
        APPEND(writer, renew);
}

static void time_pass(struct writer *writer, uint64_t span_ns)
{
    frame_seal(writer, false);
    frame_seal(writer, false); /* evidence */
    writer->time_ns += span_ns;
}

static struct reserve under(struct reserve record, uint64_t token)
{
    record.mutation.fence_token = token;
    record.mutation.fence_resource = 101;
    return record;
}

/* A takes the lock, renews it once and is slow. B takes it after A and holds the room; then A writes. */
static void write_race_won(struct writer *writer)
{
    uint64_t property = writer->property;
    APPEND(writer, acquire_by(property, "client-A", 1, 2 * NS_PER_SECOND)); /* LSN 8 */
    time_pass(writer, NS_PER_SECOND);
    lease_go_on(writer, 8, 2 * NS_PER_SECOND);
    APPEND(writer, acquire_by(property, "client-B", 2, NS_PER_MINUTE)); /* LEASE_HELD */
    time_pass(writer, 3 * NS_PER_SECOND);
    APPEND(writer, acquire_by(property, "client-B", 2, NS_PER_MINUTE)); /* LSN 11 */
    APPEND(writer, under(record_reserve(property, 101, DATE + 5, 2, 2 * NS_PER_SECOND, 50, writer->time_ns), 11));
    time_pass(writer, 100 * NS_PER_MS);
    APPEND(writer, under(record_reserve(property, 101, DATE + 5, 2, 0, 51, writer->time_ns), 8)); /* FENCED */
    APPEND(writer, record_reserve(property, 101, DATE + 6, 1, 0, 52, writer->time_ns));           /* SOLD_OUT */
    APPEND(writer, record_reserve(property, 101, DATE + 8, 1, 0, 53, writer->time_ns));           /* another night */
    APPEND(writer, record_reserve(property, 7, DATE + 5, 1, 0, 54, writer->time_ns));             /* another type */
    time_pass(writer, 0);
}

/* B lets the hold run out, books again, and gives the lock back; the server starts anew in between. */
static void write_race_end(struct writer *writer)
{
    uint64_t property = writer->property;
    writer->time_ns += 3 * NS_PER_SECOND;
    APPEND(writer, record_recovered());
    frame_seal(writer, false);
    APPEND(writer, record_change(OPERATION_CONFIRM, property, 50, 55, writer->time_ns)); /* HOLD_EXPIRED */
    struct reserve again = under(record_reserve(property, 101, DATE + 5, 2, 0, 56, writer->time_ns), 11);
    APPEND(writer, again);
    frame_seal(writer, false);
    APPEND(writer, again); /* replayed */
    lease_go_on(writer, 11, 0);
    time_pass(writer, NS_PER_SECOND);
    APPEND(writer, under(record_reserve(property, 101, DATE + 5, 1, 0, 57, writer->time_ns), 11)); /* LEASE_RELEASED */
    APPEND(writer, record_change(OPERATION_CANCEL, property, 56, 58, writer->time_ns));
    frame_seal(writer, false);
}

static void write_race(struct writer *writer)
{
    APPEND(writer, record_room_type(writer->property, 101, 1, 5, TIME_NS));
    time_pass(writer, 10 * NS_PER_MS);
    REQUIRE(engine_last_lsn(writer->machine.engine) == 7); /* what follows names LSNs */
    write_race_won(writer);
    write_race_end(writer);
}

/* ---- What comes after ------------------------------------------------------------------------------------------------------------- */

/* A lease whose deadline passes while the server is down lives on; a hold that was confirmed does not run out. */
static void write_after(struct writer *writer)
{
    uint64_t property = writer->property;
    struct rooms_set weekends = { .mutation = record_property(property, 0, 70, TIME_NS).mutation,
                                  .room_type = 7,
                                  .first_night = DATE,
                                  .last_night = DATE + 13,
                                  .weekdays = 0x60,
                                  .rooms = 3 };
    weekends.mutation.header.kind = OPERATION_ROOMS_SET;
    weekends.mutation.header.size = sizeof weekends;
    APPEND(writer, weekends);                                                                 /* LSN 7 */
    APPEND(writer, record_reserve(property, 7, DATE + 5, 1, 0, 71, TIME_NS));                 /* a Saturday */
    APPEND(writer, record_reserve(property, 7, DATE + 2, 1, 2 * NS_PER_SECOND, 72, TIME_NS)); /* a Wednesday */
    APPEND(writer, record_reserve(property, 7, DATE + 2, 1, 2 * NS_PER_SECOND, 73, TIME_NS)); /* SOLD_OUT */
    APPEND(writer, record_acquire(property, 101, 1, 2 * NS_PER_SECOND));                      /* LSN 11 */
    frame_seal(writer, false);
    APPEND(writer, record_change(OPERATION_CONFIRM, property, 72, 74, TIME_NS));
    APPEND(writer, record_reserve(property, 7, DATE + 2, 1, 2 * NS_PER_SECOND, 73, TIME_NS)); /* replayed */
    time_pass(writer, 5 * NS_PER_SECOND);
    APPEND(writer, record_recovered()); /* LSN 14 */
    time_pass(writer, 5 * NS_PER_SECOND);
    frame_seal(writer, false);
}

/* ---- Shard by shard --------------------------------------------------------------------------------------------------------------- */

static uint64_t property_of_shard(uint32_t shard, uint32_t shards)
{
    uint64_t property = 1;
    while (shard_of_property(property, shards) != shard)
        property++;
    return property;
}

static void shard_log_open(struct writer *writer, const struct wal_directory *directory, uint32_t shard)
{
    char path[WAL_PATH_SIZE];
    const char *why = NULL;
    uint32_t shards = directory->header.shards_count;
    struct wal_source source = { .directory = wal_shard_path(directory, shard, path),
                                 .shard = shard,
                                 .shards_count = shards,
                                 .segment_size = SEGMENT_SIZE };
    struct wal_options options = { .directory = path,
                                   .shard = shard,
                                   .shards_count = shards,
                                   .segment_size = SEGMENT_SIZE,
                                   .frame_size_max = 32 * KIB,
                                   .depth_max = 2,
                                   .ready_min = 2 };
    struct wal_report report;
    memcpy(source.uuid, directory->header.uuid, sizeof source.uuid);
    memcpy(options.uuid, directory->header.uuid, sizeof options.uuid);
    must(wal_read(writer->io, &source, NULL, NULL, &report), "read", report.stop_reason);
    must(wal_open(writer->io, &options, &report.position, &writer->wal, &why), "open the log", why);
}

static struct hash128 shard_write(const struct wal_directory *directory, uint32_t shard, const char *story)
{
    struct io_options io_options = { .ring_entries = 64, .fixed_buffers_count = WAL_DEPTH_MAX + 2 };
    uint32_t shards = directory->header.shards_count;
    struct writer writer = { .time_ns = TIME_NS, .property = property_of_shard(shard, shards) };
    const char *why = NULL;
    must(io_create(&io_options, &writer.io, &why), "ring", why);
    must(io_adopt(writer.io), "adopt", NULL);
    shard_log_open(&writer, directory, shard);
    state_machine_init(&writer.machine, directory->header.uuid);
    write_beginning(&writer);
    if (strcmp(story, "race") == 0) {
        write_race(&writer);
    } else if (strcmp(story, "after") == 0) {
        write_after(&writer);
    } else {
        write_story(&writer);
        write_many(&writer);
    }
    char text[PRINTER_HASH_SIZE];
    char time[PRINTER_TIME_SIZE];
    struct hash128 hash = engine_state_hash(writer.machine.engine);
    printf("shard=%u lsn=%" PRIu64 " log_time=%s state_hash=%s\n", shard, engine_last_lsn(writer.machine.engine),
           printer_time(engine_log_time(writer.machine.engine), time), printer_hash(hash, text));
    state_machine_free(&writer.machine);
    wal_close(writer.wal);
    io_destroy(writer.io);
    return hash;
}

int main(int argc, char **argv)
{
    struct io_options io_options = { .ring_entries = 0 };
    struct wal_directory directory;
    struct io *io = NULL;
    const char *reason = NULL;
    char why[512] = "";
    char text[PRINTER_HASH_SIZE];
    if (argc != 3 && argc != 4) {
        fprintf(stderr, "usage: small_log DIR SHARDS [race|after]\n");
        return 2;
    }
    uint32_t shards = (uint32_t)strtoul(argv[2], NULL, 10);
    must(io_create(&io_options, &io, &reason), "io", reason);
    must(wal_directory_open(io, argv[1], shards, shards, SEGMENT_SIZE, &directory, why, sizeof why), "directory", why);
    struct hash128 hash = { .low = 0 };
    for (uint32_t shard = 0; shard < shards; shard++)
        hash = hash128_add(hash, shard_write(&directory, shard, argc == 4 ? argv[3] : ""));
    printf("all state_hash=%s\n", printer_hash(hash, text));
    wal_directory_close(io, &directory);
    io_destroy(io);
    return 0;
}
