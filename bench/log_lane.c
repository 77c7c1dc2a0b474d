#include "bench/log_lane.h"

#include "bench/clock.h"
#include "wal/directory.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RING_ENTRIES 64
#define ENGINE_LEVEL_NONE 1
#define RECORD_KIND 10
#define SPARE_MAX 2
#define SETTLE_TURN_NS (10 * NS_PER_MS)

struct log_lane {
    char path[WAL_PATH_SIZE];
    char shard_path[WAL_PATH_SIZE];
    struct lane_shape shape;
    struct io *io;
    struct wal_directory directory;
    struct wal *wal;
    uint64_t frames; /* released */
    _Alignas(RECORD_ALIGNMENT) uint8_t record[RECORD_SIZE_MAX];
};

static bool log_directory_make(struct log_lane *lane, struct failure *failure)
{
    char why[512] = "";
    int rc =
        wal_directory_open(lane->io, lane->path, 1, 1, lane->shape.segment_size, &lane->directory, why, sizeof why);
    if (rc != 0)
        return failure_set(failure, EXIT_USAGE, "%s", why);
    if (!lane->directory.created)
        return failure_set(failure, EXIT_USAGE, "%s is there already", lane->path);
    wal_shard_path(&lane->directory, 0, lane->shard_path);
    return true;
}

static bool log_io_make(struct log_lane *lane, const struct wal_options *options, struct failure *failure)
{
    struct io_options io_options = { .ring_entries = RING_ENTRIES,
                                     .fixed_buffers_count = wal_buffers_count(options),
                                     .fixed_files_max = lane->shape.plain_files ? 0 : WAL_FILES_MAX };
    const char *why = NULL;
    int rc = io_create(&io_options, &lane->io, &why);
    if (rc == 0)
        rc = io_adopt(lane->io);
    return rc == 0 || failure_set(failure, EXIT_REFUSED, "%s", why ? why : strerror(-rc));
}

static bool log_make(struct log_lane *lane, struct failure *failure)
{
    struct wal_options options = {
        .directory = lane->shard_path,
        .shards_count = 1,
        .segment_size = lane->shape.segment_size,
        .frame_size_max = lane->shape.frame_size,
        .depth_max = lane->shape.depth,
        .ready_min = lane->shape.ready_min,
        .spare_max = SPARE_MAX,
    };
    if (!log_io_make(lane, &options, failure) || !log_directory_make(lane, failure))
        return false;
    memcpy(options.uuid, lane->directory.header.uuid, sizeof options.uuid);
    struct wal_position begin = { .next_index = 1, .next_lsn = 1, .next_segment_sequence = 1 };
    const char *why = NULL;
    int rc = wal_open(lane->io, &options, &begin, &lane->wal, &why);
    return rc == 0 || failure_set(failure, EXIT_REFUSED, "%s: %s", why, strerror(-rc));
}

bool log_lane_open(struct log_lane **lane, const char *directory, const struct lane_shape *shape,
                   struct failure *failure)
{
    struct log_lane *made = calloc(1, sizeof *made);
    if (made == NULL)
        return failure_set(failure, EXIT_REFUSED, "no memory");
    *lane = made;
    made->shape = *shape;
    made->directory.lock_file = -1;
    if (snprintf(made->path, sizeof made->path, "%s", directory) >= (int)sizeof made->path)
        return failure_set(failure, EXIT_USAGE, "%s: the path is too long", directory);
    for (size_t i = 0; i < sizeof made->record; i++)
        made->record[i] = (uint8_t)(i * 131 + 7);
    return log_make(made, failure);
}

static bool log_check(const struct log_lane *lane, int rc, struct failure *failure)
{
    if (rc == 0)
        rc = wal_error(lane->wal);
    return rc == 0 || failure_set(failure, EXIT_REFUSED, "the log failed: %s", strerror(-rc));
}

static bool log_settle(struct log_lane *lane, struct failure *failure)
{
    bool busy = true;
    while (busy) {
        wal_tend(lane->wal);
        int rc = io_run(lane->io, io_now_ns(lane->io) + SETTLE_TURN_NS);
        if (!log_check(lane, rc, failure))
            return false;
        if (wal_space(lane->wal) != WAL_SPACE_AMPLE)
            return failure_set(failure, EXIT_REFUSED, "the disk of %s is full", lane->path);
        busy = wal_is_busy(lane->wal);
    }
    return true;
}

/* A frame's payload in records; the last one takes what is left, so that the frame has exactly its size. */
static void log_fill(struct log_lane *lane, uint32_t *payload)
{
    uint32_t full = lane->shape.frame_size - (uint32_t)sizeof(struct wal_frame_header);
    while (*payload < full) {
        uint32_t left = full - *payload;
        bool last = left < lane->shape.record_size + (uint32_t)sizeof(struct record_header);
        struct record_header *record = (struct record_header *)(void *)lane->record;
        *record = (struct record_header){
            .size = (uint16_t)(last ? left : lane->shape.record_size),
            .kind = RECORD_KIND,
            .version = 1,
            .property = *payload,
        };
        if (!wal_has_room(lane->wal, record->size))
            return;
        (void)wal_append(lane->wal, record);
        *payload += record->size;
    }
}

static void log_release(struct log_lane *lane)
{
    uint64_t sequence = 0;
    for (const struct wal_frame_header *frame; (frame = wal_durable(lane->wal)) != NULL; wal_release(lane->wal)) {
        ENSURE(frame->frame_size == lane->shape.frame_size);
        sequence = frame->segment_sequence;
        lane->frames++;
    }
    if (sequence != 0)
        wal_retire_below(lane->wal, sequence); /* nobody reads this log: its segments come back */
}

/* Seals what is full as long as the log allows. The only frame under way goes to the kernel before the next one is filled, so that the disk
 * does not wait for that; others go with it. */
static int log_seal(struct log_lane *lane, uint32_t *payload, bool more)
{
    uint32_t full = lane->shape.frame_size - (uint32_t)sizeof(struct wal_frame_header);
    int rc = 0;
    while (rc == 0 && *payload == full && wal_may_seal(lane->wal)) {
        wal_seal(lane->wal, io_wall_ns(lane->io), ENGINE_LEVEL_NONE, false);
        *payload = 0;
        if (wal_state_of(lane->wal).in_flight == 1)
            rc = io_run(lane->io, 0);
        if (more)
            log_fill(lane, payload);
    }
    return rc;
}

bool log_lane_run(struct log_lane *lane, uint64_t duration_ns, struct lane_round *round, struct failure *failure)
{
    if (!log_settle(lane, failure))
        return false;
    uint32_t payload = 0;
    uint64_t frames_before = lane->frames;
    uint64_t begin_ns = clock_now_ns();
    bool over = false;
    while (!over || wal_state_of(lane->wal).in_flight > 0 || payload > 0) {
        over = clock_now_ns() - begin_ns >= duration_ns;
        wal_tend(lane->wal);
        if (!over || payload > 0)
            log_fill(lane, &payload); /* where there was no room before */
        int rc = log_seal(lane, &payload, !over);
        if (rc == 0 && wal_durable(lane->wal) == NULL)
            rc = io_run(lane->io, wal_tend_due_ns(lane->wal));
        if (!log_check(lane, rc, failure))
            return false;
        log_release(lane);
    }
    *round = (struct lane_round){ .frames = lane->frames - frames_before, .duration_ns = clock_now_ns() - begin_ns };
    return true;
}

struct wal_state log_lane_state(const struct log_lane *lane)
{
    return wal_state_of(lane->wal);
}

const struct histogram *log_lane_latency(const struct log_lane *lane)
{
    return wal_write_latency(lane->wal);
}

static int entry_delete(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

void log_lane_close(struct log_lane *lane)
{
    if (lane == NULL)
        return;
    if (lane->wal != NULL)
        wal_close(lane->wal);
    if (lane->io != NULL)
        wal_directory_close(lane->io, &lane->directory);
    io_destroy(lane->io);
    if (lane->directory.created)
        (void)nftw(lane->path, entry_delete, 8, FTW_DEPTH | FTW_PHYS);
    free(lane);
}
