/* How a shard starts: its log into its engine, then the log open again behind it, then the first frames durable. */
#include "net/server/shard.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PROGRESS_EVERY_NS (2 * NS_PER_SECOND)
#define SNAPSHOT_READS 8       /* of a MiB each, in flight while a snapshot is loaded */
#define STATE_MACHINE_FAILED 1 /* what the visitor returns: the machine knows why */

struct recovery_progress {
    struct shard *shard;
    uint64_t next_ns;
    uint64_t started_ns;
};

static void progress_start(struct recovery_progress *progress)
{
    progress->started_ns = io_now_ns(progress->shard->io);
    progress->next_ns = progress->started_ns + PROGRESS_EVERY_NS;
}

static void progress_print(const struct recovery_progress *progress, const char *so_far, uint64_t lsn, uint64_t now_ns)
{
    uint64_t elapsed_ns = now_ns - progress->started_ns;
    double seconds = (double)(elapsed_ns == 0 ? 1 : elapsed_ns) / 1e9;
    uint64_t records = progress->shard->machine.records_applied;
    fprintf(stderr,
            "innkeepd: shard %u: replayed %" PRIu64 " records%s, up to lsn %" PRIu64
            ", in %.2f s: %.2f million a second\n",
            progress->shard->index, records, so_far, lsn, seconds, (double)records / 1e6 / seconds);
}

/* A replay that takes long says how far it is. */
static void progress_tell(struct recovery_progress *progress, const struct wal_frame_header *frame)
{
    uint64_t now_ns = io_now_ns(progress->shard->io);
    if (now_ns < progress->next_ns)
        return;
    progress->next_ns = now_ns + PROGRESS_EVERY_NS;
    progress_print(progress, " so far", frame->first_lsn + frame->records_count - 1, now_ns);
}

static int recovery_visit(void *context, const struct wal_frame_header *frame)
{
    struct recovery_progress *progress = context;
    bool first = progress->shard->machine.engine == NULL;
    if (state_machine_apply(&progress->shard->machine, frame, NULL, NULL) != 0)
        return STATE_MACHINE_FAILED;
    if (first) /* it made the engine and touched all of its memory, which is not replaying */
        progress_start(progress);
    else
        progress_tell(progress, frame);
    return 0;
}

/* What shows that more than a torn tail is missing. */
static void explain_evidence(const struct wal_report *r, char *text, size_t size)
{
    if (r->evidence_index == 0)
        snprintf(text, size, "no crash leaves a log like this, so what is missing may have been acknowledged");
    else
        snprintf(text, size,
                 "evidence: frame %" PRIu64 " (segment %" PRIu64 ", offset %" PRIu64 ", log time %" PRIu64
                 ") was written when all frames up to %" PRIu64 " were durable",
                 r->evidence_index, r->evidence_segment_sequence, r->evidence_offset, r->evidence_time_ns,
                 r->evidence_durable_index);
}

static int explain_damage(const struct shard *shard, char *why, size_t why_size)
{
    const struct wal_report *r = &shard->report;
    char concerned[128];
    char evidence[256];
    if (r->stop_last_index >= r->stop_index && r->stop_last_lsn >= r->position.next_lsn)
        snprintf(concerned, sizeof concerned,
                 "frame %" PRIu64 " to at least %" PRIu64 ", LSN %" PRIu64 " to at least %" PRIu64, r->stop_index,
                 r->stop_last_index, r->position.next_lsn, r->stop_last_lsn);
    else
        snprintf(concerned, sizeof concerned, "from frame %" PRIu64 " and LSN %" PRIu64 " on", r->stop_index,
                 r->position.next_lsn);
    explain_evidence(r, evidence, sizeof evidence);
    snprintf(why, why_size,
             "shard %u: acknowledged data is damaged: %s; %s at offset %" PRIu64 " (segment %" PRIu64
             "), %s; %s. Nothing was changed. Copy the directory, look at it with innkeep-wal verify, and restore a "
             "backup.",
             shard->index, r->stop_reason, r->stop_path, r->stop_offset, r->stop_segment_sequence, concerned, evidence);
    return -EUCLEAN;
}

static struct wal_source source_of(const struct shard *shard, const char *path)
{
    struct wal_source source = {
        .directory = path,
        .shard = shard->index,
        .shards_count = shard->shards_count,
        .segment_size = shard->directory->header.segment_size,
    };
    memcpy(source.uuid, shard->directory->header.uuid, sizeof source.uuid);
    return source;
}

static int tail_discard(struct shard *shard, const struct wal_source *source, char *why, size_t why_size)
{
    const struct wal_report *r = &shard->report;
    char frames[96] = "no whole frame among them";
    if (r->stop_last_index >= r->stop_index)
        snprintf(frames, sizeof frames, "among them frames %" PRIu64 " to %" PRIu64, r->stop_index, r->stop_last_index);
    fprintf(stderr,
            "innkeepd: shard %u: torn tail: %s at offset %" PRIu64 " of %s; %" PRIu64
            " bytes that nobody was told of, %s, are saved beside the log and dropped\n",
            shard->index, r->stop_reason, r->stop_offset, r->stop_path, r->dropped_bytes, frames);
    int error = wal_discard_tail(shard->io, source, r);
    if (error != 0)
        snprintf(why, why_size, "shard %u: cannot save and drop the torn tail of %s: %s", shard->index,
                 source->directory, strerror(-error));
    return error;
}

/* ---- From a snapshot ------------------------------------------------------------------------------------------------- */

static void snapshot_say(void *context, const char *sentence)
{
    const struct recovery_progress *progress = context;
    fprintf(stderr, "innkeepd: shard %u: WARNING: %s; going on with an older one, or with the whole log\n",
            progress->shard->index, sentence);
}

static void snapshot_progress(void *context, uint64_t loaded_bytes, uint64_t bytes)
{
    struct recovery_progress *progress = context;
    uint64_t now_ns = io_now_ns(progress->shard->io);
    if (now_ns < progress->next_ns)
        return;
    progress->next_ns = now_ns + PROGRESS_EVERY_NS;
    fprintf(stderr, "innkeepd: shard %u: loaded %.1f of %.1f MiB of the snapshot\n", progress->shard->index,
            (double)loaded_bytes / (double)MIB, (double)bytes / (double)MIB);
}

static int snapshot_load_newest(struct shard *shard, const struct wal_source *source, char *why, size_t why_size)
{
    struct recovery_progress progress = { .shard = shard, .next_ns = io_now_ns(shard->io) + PROGRESS_EVERY_NS };
    struct warm_start_options options = {
        .io = shard->io,
        .place = { .directory = source->directory, .shard = shard->index, .shards_count = shard->shards_count },
        .reads_max = SNAPSHOT_READS,
        .lsn_max = NEVER_NS,
        .time_max_ns = NEVER_NS,
        .say = snapshot_say,
        .progress = snapshot_progress,
        .context = &progress,
    };
    memcpy(options.place.uuid, source->uuid, sizeof options.place.uuid);
    char sentence[WAL_SNAPSHOT_WHY_SIZE];
    struct warm_start *warm = &shard->warm;
    int error = warm_start_run(&shard->machine, &options, warm, sentence);
    if (error != 0)
        snprintf(why, why_size, "shard %u: %.900s", shard->index, sentence);
    if (error != 0 || warm->index == 0)
        return error;
    double seconds = (double)warm->took_ns / 1e9;
    fprintf(stderr, "innkeepd: shard %u: loaded the snapshot up to lsn %" PRIu64 ": %.1f MiB in %.2f s, %.0f MiB/s\n",
            shard->index, warm->start.position.next_lsn - 1, (double)warm->bytes / (double)MIB, seconds,
            (double)warm->bytes / (double)MIB / seconds);
    return 0;
}

int shard_recover(struct shard *shard, char *why, size_t why_size)
{
    char path[WAL_PATH_SIZE];
    struct wal_source source = source_of(shard, wal_shard_path(shard->directory, shard->index, path));
    int error = snapshot_load_newest(shard, &source, why, why_size);
    if (error != 0)
        return error;
    if (shard->warm.index != 0)
        source.start = &shard->warm.start;
    struct recovery_progress progress = { .shard = shard };
    progress_start(&progress);
    error = wal_read(shard->io, &source, recovery_visit, &progress, &shard->report);
    if (error == STATE_MACHINE_FAILED) {
        snprintf(why, why_size, "shard %u: the log cannot be replayed: %s (lsn %" PRIu64 ")", shard->index,
                 shard->machine.error, shard->machine.error_lsn);
        return -EBADMSG;
    }
    if (error != 0) {
        snprintf(why, why_size, "shard %u: the log cannot be read: %s: %s", shard->index, shard->report.stop_path,
                 shard->report.stop_reason != NULL ? shard->report.stop_reason : strerror(-error));
        return error;
    }
    if (shard->machine.records_applied > 0)
        progress_print(&progress, "", shard->report.last_lsn, io_now_ns(shard->io));
    if (shard->report.verdict == WAL_DAMAGED)
        return explain_damage(shard, why, why_size);
    return shard->report.verdict == WAL_TORN_TAIL ? tail_discard(shard, &source, why, why_size) : 0;
}

/* ---- Opening the log ------------------------------------------------------------------------------------------------- */

static int frame_write(struct shard *shard, const struct record_header *record, bool config)
{
    shard->now_ns = io_now_ns(shard->io);
    while (!wal_may_seal(shard->wal) || !wal_has_room(shard->wal, record->size)) {
        wal_tend(shard->wal);
        int error = io_run(shard->io, io_now_ns(shard->io) + NS_PER_MS);
        if (error != 0)
            return error;
    }
    wal_append(shard->wal, record);
    shard_seal(shard, config);
    const struct wal_frame_header *frame = NULL;
    while ((frame = wal_durable(shard->wal)) == NULL) {
        int error = wal_error(shard->wal);
        if (error == 0)
            error = io_run(shard->io, NEVER_NS);
        if (error != 0)
            return error;
    }
    int error = state_machine_apply(&shard->machine, frame, NULL, NULL);
    snapshots_note(shard, frame);
    wal_release(shard->wal);
    return error;
}

/* A log that was used before goes on with RECOVERED, in front of everything else, so that leases are renewed before any deadline is
 * swept; a new one begins with CONFIG, and so does a start under larger limits. */
static int first_frames_write(struct shard *shard, const struct engine_limits *limits)
{
    struct recovered_record recovered = {
        .header = { .size = sizeof recovered, .kind = OPERATION_RECOVERED, .version = 1 },
    };
    struct config_record config = {
        .header = { .size = sizeof config, .kind = OPERATION_CONFIG, .version = 1 },
        .limits = *limits,
    };
    bool used = shard->machine.engine != NULL;
    int error = used ? frame_write(shard, &recovered.header, false) : 0;
    if (error != 0)
        return error;
    bool same = used && memcmp(engine_limits_of(shard->machine.engine), limits, sizeof *limits) == 0;
    return same ? 0 : frame_write(shard, &config.header, true);
}

int shard_open_log(struct shard *shard, const struct engine_limits *limits, uint64_t clock_base_ns,
                   uint64_t clock_start_ns, char *why, size_t why_size)
{
    char path[WAL_PATH_SIZE];
    struct wal_options options = shard_wal_options(shard->options, shard->directory, shard->index);
    options.directory = wal_shard_path(shard->directory, shard->index, path);
    const char *reason = NULL;
    int error = snapshots_open(shard, limits, options.directory, &options.guest);
    if (error != 0) {
        snprintf(why, why_size, "shard %u: the snapshots in %s cannot be looked at: %s", shard->index,
                 options.directory, strerror(-error));
        return error;
    }
    error = wal_open(shard->io, &options, &shard->report.position, &shard->wal, &reason);
    if (error != 0) {
        snprintf(why, why_size, "shard %u: the log cannot be opened for writing: %s (%s)", shard->index,
                 reason != NULL ? reason : "see the error", strerror(-error));
        return error;
    }
    bool used = shard->machine.engine != NULL;
    shard->log_level = used ? engine_log_level(shard->machine.engine) : shard->machine.level_max;
    shard->log_level_next = shard->log_level;
    shard->digest_logged_index = shard->report.position.next_index - 1; /* what was replayed was not answered now */
    shard->clock_base_ns = clock_base_ns;
    shard->clock_start_ns = clock_start_ns;
    error = first_frames_write(shard, limits);
    if (error != 0) {
        snprintf(why, why_size, "shard %u: the first frame could not be made durable: %s", shard->index,
                 shard->machine.error != NULL ? shard->machine.error : strerror(-error));
        return error;
    }
    shard->memory_bytes += shard->machine.memory_size + wal_memory_size(&options) +
                           (size_t)shard->options->recv_buffers_count * shard->options->recv_buffer_size;
    shard->started_ns = io_now_ns(shard->io);
    shard->now_ns = shard->started_ns;
    return 0;
}

struct wal_options shard_wal_options(const struct server_options *options, const struct wal_directory *directory,
                                     uint32_t index)
{
    struct wal_options wal = {
        .shard = index,
        .shards_count = directory->header.shards_count,
        .segment_size = directory->header.segment_size,
        .frame_size_max = options->frame_size_max,
        .depth_max = options->depth_max,
        .ready_min = 2,
        .spare_max = 4,
    };
    memcpy(wal.uuid, directory->header.uuid, sizeof wal.uuid);
    return wal;
}
