#include "net/server/snapshots.h"

#include "net/engine_snapshot.h"
#include "net/server/shard.h"
#include "wal/reader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define RETRY_AFTER_NS (10 * NS_PER_SECOND)
#define PROGRESS_EVERY_NS (2 * NS_PER_SECOND)

/* ---- Opening --------------------------------------------------------------------------------------------------------- */

/* A client that wants to copy the files is told where they are, whatever folder it works in itself. */
static int directory_resolve(const char *directory, char absolute[SNAPSHOT_DIRECTORY_SIZE])
{
    char *resolved = realpath(directory, NULL);
    if (resolved == NULL)
        return -errno;
    snprintf(absolute, SNAPSHOT_DIRECTORY_SIZE, "%s", resolved);
    free(resolved);
    return 0;
}

/* While somebody copies the files, all of them. */
static bool snapshot_stays(void *context, uint64_t index)
{
    const struct shard *shard = context;
    return shard->now_ns < shard->snapshots.keep_until_ns || log_history_keeps(&shard->snapshots.history, index);
}

static int first_segment_look(struct io *io, const char *directory, bool *there)
{
    struct wal_segments segments = { .count = 0 };
    int error = wal_segments_list(io, directory, &segments);
    *there = segments.count > 0 && segments.sequences[0] == 1;
    wal_segments_free(&segments);
    return error;
}

/* The snapshots that there are, as far as they are whole and part of this history. */
static int history_load(struct shard *shard, const struct wal_snapshot_place *place)
{
    struct log_history *history = &shard->snapshots.history;
    *history = (struct log_history){ .keep_bytes = shard->options->keep_log_bytes,
                                     .keep_ns = shard->options->keep_log_ns,
                                     .segment_size = shard->directory->header.segment_size };
    struct wal_snapshots snapshots = { .count = 0 };
    int error = first_segment_look(shard->io, place->directory, &history->whole);
    if (error == 0)
        error = wal_snapshots_list(shard->io, place->directory, &snapshots);
    for (size_t i = snapshots.count; error == 0 && i > 0; i--) {
        struct wal_snapshot_reader reader;
        bool usable = snapshots.indexes[i - 1] <= shard->warm.index &&
                      wal_snapshot_open(&reader, shard->io, place, snapshots.indexes[i - 1]) == 0;
        if (usable)
            log_history_add(history, &(struct log_history_entry){
                                         .index = reader.block->header.index,
                                         .time_ns = reader.block->header.time_ns,
                                         .place = { .segment_sequence = reader.block->header.segment_sequence,
                                                    .offset = reader.block->header.segment_offset } });
        if (snapshots.indexes[i - 1] <= shard->warm.index)
            wal_snapshot_close(&reader);
    }
    wal_snapshots_free(&snapshots);
    const struct wal_report *report = &shard->report;
    log_history_prune(
        history, (struct wal_place){ .segment_sequence = report->tail_segment_sequence, .offset = report->tail_offset },
        report->position.last_time_ns);
    return error;
}

int snapshots_open(struct shard *shard, const struct engine_limits *limits, const char *directory, struct iovec *guest)
{
    struct shard_snapshots *snapshots = &shard->snapshots;
    void *buffer =
        mmap(NULL, WAL_SNAPSHOT_BUFFER_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (buffer == MAP_FAILED)
        return -errno;
    *guest = (struct iovec){ .iov_base = buffer, .iov_len = WAL_SNAPSHOT_BUFFER_SIZE };
    snapshots->buffer = buffer;
    struct wal_options wal = shard_wal_options(shard->options, shard->directory, shard->index);
    struct wal_snapshot_writer_options options = {
        .place = { .directory = directory, .shard = shard->index, .shards_count = shard->shards_count },
        .data_size_max = align_up(engine_memory_size(limits), WAL_BLOCK_SIZE),
        .buffer = wal_guest_buffer(&wal),
        .bytes = buffer,
        .trusted_index = shard->warm.index,
        .keeps = snapshot_stays,
        .keeps_context = shard,
    };
    memcpy(options.place.uuid, shard->directory->header.uuid, sizeof options.place.uuid);
    int error = directory_resolve(directory, snapshots->directory);
    if (error == 0)
        error = wal_snapshot_writer_init(shard->io, &options, &snapshots->writer);
    if (error != 0)
        return error;
    shard->memory_bytes += WAL_SNAPSHOT_BUFFER_SIZE + wal_snapshot_writer_memory_size(options.data_size_max);
    error = history_load(shard, &options.place);
    if (error != 0)
        return error;
    uint64_t recovery_segment = wal_snapshot_state_of(snapshots->writer).oldest_segment;
    shard->report.position.retired_below = log_history_oldest_segment(&snapshots->history, recovery_segment);
    snapshots->newest = shard->warm.index != 0
                            ? shard->warm.start.place
                            : (struct wal_place){ .segment_sequence = 1, .offset = WAL_SEGMENT_DATA_OFFSET };
    return 0;
}

void snapshots_close(struct shard *shard)
{
    struct shard_snapshots *snapshots = &shard->snapshots;
    wal_snapshot_writer_free(snapshots->writer);
    snapshots->writer = NULL;
}

/* ---- When ------------------------------------------------------------------------------------------------------------ */

void snapshots_note(struct shard *shard, const struct wal_frame_header *frame)
{
    struct shard_snapshots *snapshots = &shard->snapshots;
    snapshots->applied = wal_start_behind_frame(frame);
}

/* Bytes of log from one place to another, gaps at the ends of segments included. */
static uint64_t log_between(const struct shard *shard, struct wal_place from, struct wal_place to)
{
    uint64_t segments = to.segment_sequence - from.segment_sequence;
    return segments * shard->directory->header.segment_size + to.offset - from.offset;
}

/* A state much larger than the log behind it is not worth writing again: the log may grow to its size. */
static bool log_is_long(const struct shard *shard)
{
    const struct shard_snapshots *snapshots = &shard->snapshots;
    uint64_t every = shard->options->snapshot_every;
    uint64_t bytes = log_between(shard, snapshots->newest, snapshots->applied.place);
    return every != 0 && bytes >= every && bytes >= wal_snapshot_state_of(snapshots->writer).newest_file_size;
}

static bool is_due(const struct shard *shard)
{
    const struct shard_snapshots *snapshots = &shard->snapshots;
    if (shard->apply.frame != NULL || snapshots->applied.position.next_index == 0 ||
        shard->now_ns < snapshots->not_before_ns)
        return false;
    bool asked = snapshots->wanted && engine_last_lsn(shard->machine.engine) >= snapshots->wanted_lsn;
    /* What space is left on a disk that fills is the log's, unless somebody wants it otherwise. */
    if (!asked && (shard->now_ns < snapshots->keep_until_ns || wal_space(shard->wal) != WAL_SPACE_AMPLE))
        return false;
    return (asked || log_is_long(shard)) &&
           snapshots->applied.position.next_index - 1 > wal_snapshot_state_of(snapshots->writer).kept_indexes[0];
}

/* ---- Taking one ------------------------------------------------------------------------------------------------------ */

static void snapshot_start(struct shard *shard)
{
    struct shard_snapshots *snapshots = &shard->snapshots;
    engine_snapshot_begin(snapshots->writer, shard->machine.engine, &snapshots->applied);
    snapshots->taking = snapshots->applied.place;
    snapshots->taking_time_ns = snapshots->applied.position.last_time_ns;
    snapshots->running = true;
}

static void snapshot_report(const struct shard *shard, const struct wal_snapshot_state *state)
{
    if (state->status == WAL_SNAPSHOT_DONE) {
        double seconds = (double)(state->ended_ns - state->began_ns) / 1e9;
        fprintf(stderr, "innkeepd: shard %u: snapshot up to lsn %" PRIu64 ": %.1f MiB in %.2f s\n", shard->index,
                state->newest_lsn, (double)state->newest_file_size / (double)MIB, seconds);
        return;
    }
    bool no_room = state->error == -ECANCELED;
    fprintf(stderr,
            "innkeepd: shard %u: WARNING: the snapshot failed%s%s: %s; the log and older snapshots have all of it, and "
            "it is tried again later\n",
            shard->index, no_room ? "" : " while ", no_room ? "" : state->doing,
            no_room ? "more was changed at once than there is room for copies of" : strerror(-state->error));
}

static void snapshot_done(struct shard *shard, const struct wal_snapshot_state *state)
{
    struct shard_snapshots *snapshots = &shard->snapshots;
    snapshots->newest = snapshots->taking;
    if (state->newest_lsn >= snapshots->wanted_lsn)
        snapshots->wanted = false;
    log_history_add(&snapshots->history, &(struct log_history_entry){ .index = state->index,
                                                                      .time_ns = snapshots->taking_time_ns,
                                                                      .place = snapshots->newest });
    log_history_prune(&snapshots->history, snapshots->applied.place, snapshots->applied.position.last_time_ns);
    snapshots->oldest_segment = log_history_oldest_segment(&snapshots->history, state->oldest_segment);
}

static void snapshot_end_look(struct shard *shard)
{
    struct shard_snapshots *snapshots = &shard->snapshots;
    struct wal_snapshot_state state = wal_snapshot_state_of(snapshots->writer);
    if (state.chunks_taken)
        snapshot_end(shard->machine.engine);
    if (state.status == WAL_SNAPSHOT_RUNNING)
        return;
    snapshots->running = false;
    if (!snapshots->given_up || state.status == WAL_SNAPSHOT_DONE)
        snapshot_report(shard, &state);
    snapshots->given_up = false;
    if (state.status == WAL_SNAPSHOT_DONE)
        snapshot_done(shard, &state);
    else
        snapshots->not_before_ns = shard->now_ns + RETRY_AFTER_NS;
}

static void snapshot_go_on(struct shard *shard, uint64_t rate)
{
    struct shard_snapshots *snapshots = &shard->snapshots;
    const struct capture *capture = snapshot_capture(shard->machine.engine);
    if (capture->running && capture->broken) {
        wal_snapshot_abandon(snapshots->writer);
        snapshot_end(shard->machine.engine);
    }
    wal_snapshot_rate_set(snapshots->writer, capture_is_pressed(capture) ? 0 : rate);
    wal_snapshot_tend(snapshots->writer, shard->now_ns);
    if (snapshots->running)
        snapshot_end_look(shard);
}

void snapshots_tend(struct shard *shard)
{
    if (!shard->snapshots.running && is_due(shard))
        snapshot_start(shard);
    snapshot_go_on(shard, shard->options->snapshot_rate);
    if (shard->snapshots.oldest_segment != 0 && shard->now_ns >= shard->snapshots.keep_until_ns) {
        wal_retire_below(shard->wal, shard->snapshots.oldest_segment);
        shard->snapshots.oldest_segment = 0;
    }
}

uint64_t snapshots_due_ns(const struct shard *shard)
{
    return wal_snapshot_due_ns(shard->snapshots.writer);
}

/* ---- Who asks -------------------------------------------------------------------------------------------------------- */

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void snapshots_answer(struct shard *shard, const struct snapshot_request *request, struct snapshot_result *result)
{
    struct shard_snapshots *snapshots = &shard->snapshots;
    struct wal_snapshot_state state = wal_snapshot_state_of(snapshots->writer);
    uint64_t last_lsn = engine_last_lsn(shard->machine.engine);
    bool all_there = state.kept > 0 && state.newest_lsn >= last_lsn;
    if (request->keep_ns != 0)
        snapshots->keep_until_ns = later(snapshots->keep_until_ns, shard->now_ns + request->keep_ns);
    if (request->take != 0 && !all_there && !shard->draining) {
        snapshots->wanted = true;
        snapshots->wanted_lsn = last_lsn;
        snapshots->not_before_ns = 0;
    }
    *result = (struct snapshot_result){
        .header = { .size = sizeof *result, .lsn = last_lsn, .log_time_ns = engine_log_time(shard->machine.engine) },
        .newest_lsn = state.newest_lsn,
        .newest_index = state.kept_indexes[0],
        .written_bytes = state.bytes_written,
        .total_bytes = state.bytes_total,
        .running = snapshots->running || snapshots->wanted,
        .failed = (uint32_t)state.failed_count,
    };
    memcpy(result->directory, snapshots->directory, sizeof result->directory);
}

void snapshots_status(const struct shard *shard, struct status_result *result)
{
    const struct shard_snapshots *snapshots = &shard->snapshots;
    struct wal_snapshot_state state = wal_snapshot_state_of(snapshots->writer);
    result->snapshot_lsn = state.newest_lsn;
    result->snapshot_wall_ns = state.newest_created_wall_ns;
    result->snapshot_bytes = state.newest_file_size;
    result->snapshot_log_bytes = log_between(shard, snapshots->newest, snapshots->applied.place);
    result->snapshots_taken = state.done_count;
    result->snapshots_failed = state.failed_count;
    result->snapshots_kept = state.kept;
    result->snapshot_running = snapshots->running;
    result->snapshot_written_bytes = state.bytes_written;
    result->snapshot_total_bytes = state.bytes_total;
}

/* ---- The last one ---------------------------------------------------------------------------------------------------- */

static void progress_tell(struct shard *shard)
{
    struct shard_snapshots *snapshots = &shard->snapshots;
    if (shard->now_ns < snapshots->next_progress_ns)
        return;
    if (snapshots->next_progress_ns != 0) {
        struct wal_snapshot_state state = wal_snapshot_state_of(snapshots->writer);
        fprintf(stderr, "innkeepd: shard %u: last snapshot: %.1f of %.1f MiB\n", shard->index,
                (double)state.bytes_written / (double)MIB, (double)state.bytes_total / (double)MIB);
    }
    snapshots->next_progress_ns = shard->now_ns + PROGRESS_EVERY_NS;
}

/* Runs what is running to its end. */
static int run_out(struct shard *shard)
{
    while (shard->snapshots.running) {
        shard->now_ns = io_now_ns(shard->io);
        snapshot_go_on(shard, 0);
        progress_tell(shard);
        if (!shard->snapshots.running)
            return 0;
        int error = io_run(shard->io, snapshots_due_ns(shard));
        if (error != 0)
            return error;
    }
    return 0;
}

void snapshots_give_up(struct shard *shard)
{
    struct shard_snapshots *snapshots = &shard->snapshots;
    if (!snapshots->running)
        return;
    wal_snapshot_abandon(snapshots->writer);
    snapshot_end(shard->machine.engine);
    snapshots->given_up = true;
}

int snapshots_finish(struct shard *shard)
{
    struct shard_snapshots *snapshots = &shard->snapshots;
    int error = run_out(shard);
    if (error != 0 || shard->options->snapshot_every == 0)
        return error;
    snapshots->wanted = true;
    snapshots->not_before_ns = 0;
    if (!is_due(shard))
        return 0;
    snapshot_start(shard);
    return run_out(shard);
}
