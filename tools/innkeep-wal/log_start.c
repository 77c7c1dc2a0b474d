#include "tools/innkeep-wal/log_start.h"

#include "wal/reader.h"

#include <string.h>

int log_segment_first(struct io *io, const char *directory, uint64_t *sequence)
{
    struct wal_segments segments = { .sequences = NULL };
    int error = wal_segments_list(io, directory, &segments);
    *sequence = error == 0 && segments.count > 0 ? segments.sequences[0] : 0;
    wal_segments_free(&segments);
    return error;
}

static void header_try(struct io *io, const struct wal_snapshot_place *place, uint64_t index, uint64_t segment_first,
                       struct log_start *start)
{
    struct wal_snapshot_reader reader;
    bool good = wal_snapshot_open(&reader, io, place, index) == 0;
    if (good && reader.block->header.segment_sequence >= segment_first) {
        const struct wal_snapshot_header *header = &reader.block->header;
        start->found = true;
        start->engine_level = header->engine_level;
        start->start = wal_start_behind_snapshot(header);
    }
    wal_snapshot_close(&reader);
}

int log_start_find(struct io *io, const struct wal_source *source, struct log_start *start)
{
    struct wal_snapshot_place place = { .directory = source->directory,
                                        .shard = source->shard,
                                        .shards_count = source->shards_count };
    struct wal_snapshots snapshots = { .indexes = NULL };
    uint64_t first = 0;
    memcpy(place.uuid, source->uuid, sizeof place.uuid);
    *start = (struct log_start){ .found = false };
    int error = log_segment_first(io, source->directory, &first);
    if (error != 0 || first == 1)
        return error;
    error = wal_snapshots_list(io, source->directory, &snapshots);
    for (size_t i = snapshots.count; error == 0 && i-- > 0 && !start->found;)
        header_try(io, &place, snapshots.indexes[i], first, start);
    wal_snapshots_free(&snapshots);
    return error;
}
