#include "tools/innkeep-wal/epoch.h"

#include <errno.h>
#include <string.h>

#define RING_ENTRIES 8

/* Seals the open frame and waits until it is durable. */
static int frame_commit(struct io *io, struct wal *wal, uint64_t time_ns, uint32_t engine_level, bool config)
{
    REQUIRE(wal_may_seal(wal));
    wal_seal(wal, time_ns, engine_level, config);
    while (wal_durable(wal) == NULL) {
        int error = wal_error(wal);
        if (error == 0)
            error = io_run(io, NEVER_NS);
        if (error != 0)
            return error;
    }
    wal_release(wal);
    return 0;
}

static int partial_write(struct io *io, struct wal *wal, const struct epoch_partial *partial)
{
    for (uint32_t offset = 0; offset < partial->size_bytes;) {
        const struct record_header *record = (const struct record_header *)(const void *)(partial->records + offset);
        if (!wal_has_room(wal, record->size))
            return -EFBIG; /* it filled a frame of a larger segment */
        wal_append(wal, record);
        offset += record->size;
    }
    return frame_commit(io, wal, partial->time_ns, partial->engine_level, partial->config);
}

static int epoch_append(struct io *io, struct wal *wal, const struct epoch_order *order)
{
    uint64_t lsn = wal_epoch_behind(order->granted_lsn);
    struct epoch_record record = {
        .header = { .size = sizeof record, .kind = OPERATION_EPOCH, .version = 1 },
        .number = lsn / WAL_EPOCH_LSNS,
        .last_lsn = wal_state_of(wal).next_lsn - 1,
        .granted_lsn = order->granted_lsn,
        .wall_ns = io_wall_ns(io),
        .reason = order->reason,
    };
    ENSURE(record.last_lsn <= record.granted_lsn);
    wal_begin_epoch(wal, lsn);
    wal_append(wal, &record.header);
    uint64_t time_ns = wal_state_of(wal).last_time_ns;
    int error = frame_commit(io, wal, time_ns, order->engine_level, false);
    return error == 0 ? frame_commit(io, wal, time_ns, order->engine_level, false) : error;
}

static int log_write(struct io *io, const struct epoch_order *order, const char **why)
{
    char path[WAL_PATH_SIZE];
    const struct wal_directory_header *header = &order->directory->header;
    struct wal_options options = {
        .directory = wal_shard_path(order->directory, order->shard, path),
        .shard = order->shard,
        .shards_count = header->shards_count,
        .segment_size = header->segment_size,
        .frame_size_max = WAL_FRAME_SIZE_MAX,
        .depth_max = 1,
        .ready_min = 2,
    };
    memcpy(options.uuid, header->uuid, sizeof options.uuid);
    struct wal *wal = NULL;
    int error = wal_open(io, &options, &order->position, &wal, why);
    if (error != 0)
        return error;
    *why = "the frame with which the log goes on could not be made durable";
    error = order->partial != NULL ? partial_write(io, wal, order->partial) : 0;
    if (error == 0)
        error = epoch_append(io, wal, order);
    wal_close(wal);
    return error;
}

int epoch_write(const struct epoch_order *order, const char **why)
{
    const struct io_options options = { .ring_entries = RING_ENTRIES, .fixed_buffers_count = 3 };
    struct io *io = NULL;
    int error = io_create(&options, &io, why);
    if (error != 0)
        return error;
    *why = "the ring for writing could not be made";
    error = io_adopt(io);
    if (error == 0)
        error = log_write(io, order, why);
    io_destroy(io);
    return error;
}
