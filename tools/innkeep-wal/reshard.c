/* innkeep-wal reshard: another data directory with the same state over another number of shards.
 *
 * Each old shard is replayed into an engine of its own. Each new one begins its log with a CONFIG frame, takes its share out of all old
 * engines, keeps that as a snapshot behind the CONFIG frame, and goes on with an EPOCH frame, whose LSN lies past everything that any old
 * shard gave out. OUT is made as OUT.resharding, whose meta has another name until the rename, so that no server starts on half of it. The
 * old directory is only read. Memory: all old engines, and one new one at a time. */
#include "tools/innkeep-wal/epoch.h"
#include "tools/innkeep-wal/printer.h"
#include "tools/innkeep-wal/shard_replay.h"

#include "net/warm_start.h"
#include "wal/snapshot_writer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SUFFIX ".resharding"
#define RING_ENTRIES 32
#define META_ASIDE "meta.resharding"

struct reshard {
    struct tool *tool;          /* looks at the old directory */
    struct wal_directory made;  /* OUT.resharding */
    char target[WAL_PATH_SIZE]; /* OUT */
    struct shard_replay olds[WAL_SHARDS_MAX];
    uint32_t olds_count;
    struct engine_limits limits; /* of each new shard */
    uint32_t engine_level;
    uint64_t time_ns;     /* the latest log time of the old */
    uint64_t granted_lsn; /* the last LSN of any */
    struct hash128 hash;  /* over all old shards */
};

__attribute__((format(printf, 1, 2))) static enum tool_exit refuse(const char *format, ...)
{
    va_list arguments;
    fputs("innkeep-wal: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return TOOL_UNREADABLE;
}

/* ---- The old shards ------------------------------------------------------------------------------------------------------------- */

static const struct engine *old_engine(const struct reshard *reshard, uint32_t shard)
{
    return reshard->olds[shard].machine.engine;
}

static enum tool_exit old_read(struct reshard *reshard, uint32_t shard)
{
    struct shard_replay *old = &reshard->olds[shard];
    *old = (struct shard_replay){
        .tool = reshard->tool, .shard = shard, .apply = true, .to_lsn = NEVER_NS, .to_ns = NEVER_NS
    };
    reshard->olds_count = shard + 1;
    shard_replay_run(old);
    shard_replay_explain(old, stderr);
    enum tool_exit verdict = shard_replay_exit(old);
    if (verdict > TOOL_TORN_TAIL)
        return refuse("shard %u is not whole, so nothing was made.", shard);
    if (old->machine.engine == NULL)
        return refuse("shard %u is empty: no server ever ran on this directory; start one with --shards instead.",
                      shard);
    uint32_t level = engine_log_level(old->machine.engine);
    if (reshard->engine_level != 0 && reshard->engine_level != level)
        return refuse("the shards are at different engine levels (%u and %u); raise them first: innkeep raise-level.",
                      reshard->engine_level, level);
    reshard->engine_level = level;
    uint64_t last_lsn =
        old->report.last_lsn > old->report.stop_last_lsn ? old->report.last_lsn : old->report.stop_last_lsn;
    if (last_lsn > reshard->granted_lsn)
        reshard->granted_lsn = last_lsn;
    if (engine_log_time(old->machine.engine) > reshard->time_ns)
        reshard->time_ns = engine_log_time(old->machine.engine);
    return TOOL_CLEAN;
}

/* All are brought to one log time, as if each had ticked; what came due meanwhile ends where it is. */
static void olds_settle(struct reshard *reshard)
{
    for (uint32_t shard = 0; shard < reshard->olds_count; shard++) {
        struct engine *engine = reshard->olds[shard].machine.engine;
        do {
            engine_frame_begin(engine, reshard->time_ns, NULL);
        } while (engine_next_deadline(engine) <= reshard->time_ns);
        reshard->hash = hash128_add(reshard->hash, engine_state_hash(engine));
    }
}

/* ---- Limits --------------------------------------------------------------------------------------------------------------------- */

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static uint32_t part_of(uint64_t sum, uint32_t shards)
{
    return (uint32_t)((sum + shards - 1) / shards);
}

/* As many places in all as there were. */
static void limits_sum(struct reshard *reshard, uint32_t shards)
{
    uint64_t sums[5] = { 0 };
    struct engine_limits *limits = &reshard->limits;
    *limits = *engine_limits_of(old_engine(reshard, 0));
    for (uint32_t shard = 0; shard < reshard->olds_count; shard++) {
        const struct engine_limits *old = engine_limits_of(old_engine(reshard, shard));
        sums[0] += old->properties_max;
        sums[1] += old->room_types_max;
        sums[2] += old->reservations_max;
        sums[3] += old->outcomes_max;
        sums[4] += old->leases_max;
        limits->horizon_nights = larger(limits->horizon_nights, old->horizon_nights);
        if (old->deadline_ahead_max_ns > limits->deadline_ahead_max_ns)
            limits->deadline_ahead_max_ns = old->deadline_ahead_max_ns;
        if (old->keep_ended_ns > limits->keep_ended_ns)
            limits->keep_ended_ns = old->keep_ended_ns;
    }
    limits->properties_max = part_of(sums[0], shards);
    limits->room_types_max = part_of(sums[1], shards);
    limits->reservations_max = part_of(sums[2], shards);
    limits->outcomes_max = part_of(sums[3], shards);
    limits->leases_max = part_of(sums[4], shards);
}

/* And for each shard at least as many as its share needs: shares are not equal. */
static void limits_fit(struct reshard *reshard, struct engine_share share)
{
    struct engine_counts need = { .properties = 0 };
    for (uint32_t shard = 0; shard < reshard->olds_count; shard++) {
        struct engine_counts part = engine_share_counts(old_engine(reshard, shard), share);
        need.properties += part.properties;
        need.room_types += part.room_types;
        need.reservations_held += part.reservations_held + part.reservations_confirmed + part.reservations_ended;
        need.outcomes += part.outcomes;
        need.leases_live += part.leases_live + part.leases_ended;
    }
    struct engine_limits *limits = &reshard->limits;
    limits->properties_max = larger(limits->properties_max, need.properties);
    limits->room_types_max = larger(limits->room_types_max, need.room_types);
    limits->reservations_max = larger(limits->reservations_max, need.reservations_held);
    limits->outcomes_max = larger(limits->outcomes_max, need.outcomes);
    limits->leases_max = larger(limits->leases_max, need.leases_live);
}

/* ---- A new shard ---------------------------------------------------------------------------------------------------------------- */

struct fresh {
    struct reshard *reshard;
    uint32_t shard;
    struct state_machine machine;
    struct wal_start start; /* behind the CONFIG frame */
};

static struct wal_options log_options(const struct fresh *fresh, char path[WAL_PATH_SIZE])
{
    const struct wal_directory_header *header = &fresh->reshard->made.header;
    struct wal_options options = { .directory = wal_shard_path(&fresh->reshard->made, fresh->shard, path),
                                   .shard = fresh->shard,
                                   .shards_count = header->shards_count,
                                   .segment_size = header->segment_size,
                                   .frame_size_max = WAL_BLOCK_SIZE,
                                   .depth_max = 1,
                                   .ready_min = 2 };
    memcpy(options.uuid, header->uuid, sizeof options.uuid);
    return options;
}

/* Frame 1, and the engine that it makes. */
static int config_write(struct fresh *fresh, struct io *io, struct wal *wal)
{
    struct config_record config = {
        .header = { .size = sizeof config, .kind = OPERATION_CONFIG, .version = 1 },
        .limits = fresh->reshard->limits,
    };
    const struct wal_frame_header *frame = NULL;
    wal_append(wal, &config.header);
    wal_seal(wal, fresh->reshard->time_ns, fresh->reshard->engine_level, true);
    while ((frame = wal_durable(wal)) == NULL) {
        int error = wal_error(wal);
        if (error == 0)
            error = io_run(io, NEVER_NS);
        if (error != 0)
            return error;
    }
    fresh->start = (struct wal_start){
        .position = { .next_index = frame->index + 1,
                      .next_lsn = frame->first_lsn + 1,
                      .last_time_ns = frame->time_ns,
                      .next_segment_sequence = frame->segment_sequence + 1,
                      .previous_hash = frame->hash },
        .place = { .segment_sequence = frame->segment_sequence,
                   .offset = (uint64_t)frame->block_number * WAL_BLOCK_SIZE + frame->frame_size },
    };
    int error = state_machine_apply(&fresh->machine, frame, NULL, NULL);
    wal_release(wal);
    return error;
}

static int log_begin(struct fresh *fresh, const char **why)
{
    const struct io_options io_options = { .ring_entries = RING_ENTRIES, .fixed_buffers_count = 3 };
    char path[WAL_PATH_SIZE];
    struct wal_options options = log_options(fresh, path);
    struct wal_position position = { .next_index = 1, .next_lsn = 1, .next_segment_sequence = 1 };
    struct io *io = NULL;
    struct wal *wal = NULL;
    int error = io_create(&io_options, &io, why);
    if (error != 0)
        return error;
    error = io_adopt(io);
    if (error == 0)
        error = wal_open(io, &options, &position, &wal, why);
    if (error == 0) {
        *why = "the new log's first frame could not be written";
        error = config_write(fresh, io, wal);
        wal_close(wal);
    }
    io_destroy(io);
    return error;
}

static bool chunk_next(void *context, uint64_t *chunk)
{
    return capture_next(context, chunk);
}

static void chunk_fill(void *context, uint64_t chunk, void *bytes, size_t size_bytes)
{
    capture_fill(context, chunk, bytes, size_bytes);
}

static int snapshot_run(struct fresh *fresh, struct io *io, struct wal_snapshot_writer *writer)
{
    struct engine *engine = fresh->machine.engine;
    struct snapshot_head head;
    snapshot_begin(engine, &head);
    fresh->start.position.next_lsn = engine_last_lsn(engine) + 1;
    struct wal_snapshot_header what = { .index = fresh->start.position.next_index - 1,
                                        .next_lsn = fresh->start.position.next_lsn,
                                        .time_ns = fresh->start.position.last_time_ns,
                                        .previous_hash = fresh->start.position.previous_hash,
                                        .segment_sequence = fresh->start.place.segment_sequence,
                                        .segment_offset = fresh->start.place.offset,
                                        .engine_level = head.engine_level,
                                        .data_size = snapshot_data_size(&head) };
    struct wal_snapshot_source source = { .context = snapshot_capture(engine), .next = chunk_next, .fill = chunk_fill };
    wal_snapshot_begin(writer, &what, &head, sizeof head, &source);
    int error = 0;
    while (error == 0 && wal_snapshot_state_of(writer).status == WAL_SNAPSHOT_RUNNING) {
        wal_snapshot_tend(writer, io_now_ns(io));
        if (wal_snapshot_state_of(writer).status == WAL_SNAPSHOT_RUNNING)
            error = io_run(io, wal_snapshot_due_ns(writer));
    }
    snapshot_end(engine);
    struct wal_snapshot_state state = wal_snapshot_state_of(writer);
    return error == 0 && state.status != WAL_SNAPSHOT_DONE ? state.error : error;
}

static int snapshot_make(struct fresh *fresh, struct io *io, uint8_t *bytes)
{
    char path[WAL_PATH_SIZE];
    const struct wal_directory_header *header = &fresh->reshard->made.header;
    struct wal_snapshot_writer_options options = {
        .place = { .directory = wal_shard_path(&fresh->reshard->made, fresh->shard, path),
                   .shard = fresh->shard,
                   .shards_count = header->shards_count },
        .data_size_max = align_up(fresh->machine.memory_size, WAL_BLOCK_SIZE),
        .bytes = bytes,
    };
    memcpy(options.place.uuid, header->uuid, sizeof options.place.uuid);
    struct iovec buffer = { .iov_base = bytes, .iov_len = WAL_SNAPSHOT_BUFFER_SIZE };
    struct wal_snapshot_writer *writer = NULL;
    int error = io_buffers_register(io, &buffer, 1);
    if (error == 0)
        error = wal_snapshot_writer_init(io, &options, &writer);
    if (error == 0)
        error = snapshot_run(fresh, io, writer);
    wal_snapshot_writer_free(writer);
    return error;
}

/* What the share is, as a file. Where there is nothing, there is nothing to keep; an outcome may be kept of a property that is none. */
static int snapshot_take(struct fresh *fresh, const char **why)
{
    struct engine_counts counts = engine_counts(fresh->machine.engine);
    if (counts.properties == 0 && counts.outcomes == 0)
        return 0;
    const struct io_options io_options = { .ring_entries = RING_ENTRIES, .fixed_buffers_count = 1 };
    struct io *io = NULL;
    uint8_t *bytes = aligned_alloc(WAL_BLOCK_SIZE, WAL_SNAPSHOT_BUFFER_SIZE);
    if (bytes == NULL)
        return -ENOMEM;
    int error = io_create(&io_options, &io, why);
    if (error == 0) {
        *why = "the new shard's snapshot could not be written";
        error = io_adopt(io);
        if (error == 0)
            error = snapshot_make(fresh, io, bytes);
        io_destroy(io);
    }
    free(bytes);
    return error;
}

static int shard_fill(struct fresh *fresh, const char **why)
{
    struct reshard *reshard = fresh->reshard;
    struct engine_share share = { .shard = fresh->shard, .shards = reshard->made.header.shards_count };
    int error = log_begin(fresh, why);
    if (error != 0)
        return error;
    for (uint32_t shard = 0; shard < reshard->olds_count; shard++)
        engine_copy_share(fresh->machine.engine, old_engine(reshard, shard), share);
    error = snapshot_take(fresh, why);
    struct epoch_order order = { .directory = &reshard->made,
                                 .shard = fresh->shard,
                                 .position = fresh->start.position,
                                 .reason = EPOCH_RESHARD,
                                 .granted_lsn = reshard->granted_lsn,
                                 .engine_level = reshard->engine_level };
    return error == 0 ? epoch_write(&order, why) : error;
}

static enum tool_exit shard_make(struct reshard *reshard, uint32_t shard)
{
    struct fresh fresh = { .reshard = reshard, .shard = shard };
    const char *why = "there is too little memory";
    state_machine_init(&fresh.machine, reshard->made.header.uuid);
    int error = shard_fill(&fresh, &why);
    if (error == 0 && !reshard->tool->json) {
        struct engine_counts counts = engine_counts(fresh.machine.engine);
        printf("shard %u: %u properties, %u reservations; goes on at LSN %" PRIu64 "\n", shard, counts.properties,
               counts.reservations_held + counts.reservations_confirmed + counts.reservations_ended,
               wal_epoch_behind(reshard->granted_lsn));
        fflush(stdout);
    }
    state_machine_free(&fresh.machine);
    return error == 0 ? TOOL_CLEAN : refuse("shard %u: %s: %s.", shard, why, strerror(-error));
}

/* ---- Reading it back ------------------------------------------------------------------------------------------------------------ */

static int frame_apply(void *context, const struct wal_frame_header *frame)
{
    return state_machine_apply(context, frame, NULL, NULL);
}

/* As a server will: the snapshot, and the log behind it. */
static int shard_hash(struct reshard *reshard, uint32_t shard, struct hash128 *hash, char why[WAL_SNAPSHOT_WHY_SIZE])
{
    char path[WAL_PATH_SIZE];
    const struct wal_directory_header *header = &reshard->made.header;
    struct state_machine machine;
    struct warm_start warm;
    struct warm_start_options options = { .io = reshard->tool->io,
                                          .place = { .directory = wal_shard_path(&reshard->made, shard, path),
                                                     .shard = shard,
                                                     .shards_count = header->shards_count },
                                          .lsn_max = NEVER_NS,
                                          .time_max_ns = NEVER_NS };
    memcpy(options.place.uuid, header->uuid, sizeof options.place.uuid);
    state_machine_init(&machine, header->uuid);
    int error = warm_start_run(&machine, &options, &warm, why);
    struct wal_source source = { .directory = path,
                                 .start = warm.index != 0 ? &warm.start : NULL,
                                 .shard = shard,
                                 .shards_count = header->shards_count,
                                 .segment_size = header->segment_size };
    memcpy(source.uuid, header->uuid, sizeof source.uuid);
    struct wal_report report = { .verdict = WAL_DAMAGED };
    if (error == 0)
        error = wal_read(reshard->tool->io, &source, frame_apply, &machine, &report);
    if (error != 0 && machine.error != NULL)
        snprintf(why, WAL_SNAPSHOT_WHY_SIZE, "%s", machine.error);
    if (error == 0 && report.verdict != WAL_CLEAN)
        error = -EBADMSG;
    if (error == 0)
        *hash = hash128_add(*hash, engine_state_hash(machine.engine));
    state_machine_free(&machine);
    return error;
}

static enum tool_exit directory_check(struct reshard *reshard)
{
    struct hash128 hash = { .low = 0 };
    char text[PRINTER_HASH_SIZE];
    for (uint32_t shard = 0; shard < reshard->made.header.shards_count; shard++) {
        char why[WAL_SNAPSHOT_WHY_SIZE] = "";
        int error = shard_hash(reshard, shard, &hash, why);
        if (error != 0)
            return refuse("shard %u does not read as it was written: %s %s.", shard, why, strerror(-error));
    }
    if (!hash128_equal(hash, reshard->hash))
        return refuse(
            "the new shards together hold another state than the old ones: this is a bug, and nothing was made.");
    if (!reshard->tool->json)
        printf("all state_hash=%s, as before\n", printer_hash(hash, text));
    return TOOL_CLEAN;
}

/* ---- The directory -------------------------------------------------------------------------------------------------------------- */

static int entry_visit(void *context, const char *name)
{
    (void)context;
    (void)name;
    return 1;
}

static enum tool_exit target_check(struct reshard *reshard)
{
    struct io *io = reshard->tool->io;
    size_t length = strlen(reshard->tool->other_path);
    while (length > 1 && reshard->tool->other_path[length - 1] == '/')
        length--;
    if (length + sizeof SUFFIX + 64 > WAL_PATH_SIZE)
        return refuse("the path of the new directory is too long.");
    memcpy(reshard->target, reshard->tool->other_path, length);
    memcpy(reshard->made.path, reshard->target, length);
    memcpy(reshard->made.path + length, SUFFIX, sizeof SUFFIX);
    int found = io_list(io, reshard->target, entry_visit, NULL);
    if (found == 1)
        return refuse("%s is there already and not empty; name a new directory.", reshard->target);
    found = found == 0 || found == -ENOENT ? io_list(io, reshard->made.path, entry_visit, NULL) : found;
    if (found == 0 || found == 1)
        return refuse("%s is there: a reshard was interrupted, or is under way. Remove it and run this again.",
                      reshard->made.path);
    return found == -ENOENT ? TOOL_CLEAN : refuse("%s cannot be looked at: %s.", reshard->target, strerror(-found));
}

/* Meta aside, or back in its place. */
static int meta_move(struct reshard *reshard, const char *from_name, const char *to_name)
{
    char from[WAL_PATH_SIZE + 32];
    char to[WAL_PATH_SIZE + 32];
    snprintf(from, sizeof from, "%s/%s", reshard->made.path, from_name);
    snprintf(to, sizeof to, "%s/%s", reshard->made.path, to_name);
    int error = io_rename(reshard->tool->io, from, to);
    return error == 0 ? io_sync_directory(reshard->tool->io, reshard->made.path) : error;
}

static enum tool_exit directory_begin(struct reshard *reshard)
{
    char why[512];
    char path[WAL_PATH_SIZE];
    memcpy(path, reshard->made.path, sizeof path);
    const struct tool *tool = reshard->tool;
    if (wal_directory_open(tool->io, path, tool->shards, tool->shards, tool->directory.header.segment_size,
                           &reshard->made, why, sizeof why) != 0)
        return refuse("%s", why);
    int error = meta_move(reshard, "meta", META_ASIDE);
    return error == 0 ? TOOL_CLEAN : refuse("%s cannot be made: %s.", path, strerror(-error));
}

static enum tool_exit directory_appear(struct reshard *reshard)
{
    char above[WAL_PATH_SIZE];
    int error = meta_move(reshard, META_ASIDE, "meta");
    if (error == 0)
        error = io_rename(reshard->tool->io, reshard->made.path, reshard->target);
    memcpy(above, reshard->target, sizeof above);
    char *slash = strrchr(above, '/');
    if (slash == NULL)
        memcpy(above, ".", 2);
    else
        slash[slash == above] = '\0';
    if (error == 0)
        error = io_sync_directory(reshard->tool->io, above);
    return error == 0 ? TOOL_CLEAN : refuse("%s could not be made: %s.", reshard->target, strerror(-error));
}

/* ---- The command ---------------------------------------------------------------------------------------------------------------- */

static enum tool_exit directory_fill(struct reshard *reshard)
{
    uint32_t shards = reshard->tool->shards;
    olds_settle(reshard);
    limits_sum(reshard, shards);
    for (uint32_t shard = 0; shard < shards; shard++)
        limits_fit(reshard, (struct engine_share){ .shard = shard, .shards = shards });
    if (!engine_limits_valid(&reshard->limits))
        return refuse("%u shards are too few: their tables would be larger than an engine's can be.", shards);
    enum tool_exit verdict = directory_begin(reshard);
    for (uint32_t shard = 0; shard < shards && verdict == TOOL_CLEAN; shard++)
        verdict = shard_make(reshard, shard);
    if (verdict == TOOL_CLEAN)
        verdict = directory_check(reshard);
    if (verdict == TOOL_CLEAN)
        verdict = directory_appear(reshard);
    if (verdict != TOOL_CLEAN)
        fprintf(stderr, "innkeep-wal: %s was made only in part; remove it before the next try.\n", reshard->made.path);
    wal_directory_close(reshard->tool->io, &reshard->made);
    return verdict;
}

static enum tool_exit reshard_run(struct reshard *reshard)
{
    char why[512];
    struct tool *tool = reshard->tool;
    char hash[PRINTER_HASH_SIZE];
    if (tool->directory.cutting)
        return refuse("%s is in the middle of a cut; finish that first.", tool->path);
    if (wal_directory_lock(tool->io, &tool->directory, why, sizeof why) != 0)
        return refuse("%s", why);
    enum tool_exit verdict = target_check(reshard);
    for (uint32_t shard = 0; shard < tool->directory.header.shards_count && verdict == TOOL_CLEAN; shard++)
        verdict = old_read(reshard, shard);
    if (verdict == TOOL_CLEAN)
        verdict = directory_fill(reshard);
    if (verdict == TOOL_CLEAN && tool->json)
        printf("{\"resharded\":true,\"shards\":%u,\"state_hash\":\"%s\",\"next_lsn\":%" PRIu64 "}\n", tool->shards,
               printer_hash(reshard->hash, hash), wal_epoch_behind(reshard->granted_lsn));
    else if (verdict == TOOL_CLEAN)
        printf("%s: %u shards, made from the %u of %s\n", reshard->target, tool->shards, reshard->olds_count,
               tool->path);
    return verdict;
}

enum tool_exit reshard_command(struct tool *tool)
{
    struct reshard *reshard = calloc(1, sizeof *reshard);
    if (reshard == NULL)
        return refuse("there is too little memory.");
    reshard->tool = tool;
    enum tool_exit verdict = reshard_run(reshard);
    for (uint32_t shard = 0; shard < reshard->olds_count; shard++)
        shard_replay_free(&reshard->olds[shard]);
    free(reshard);
    return verdict;
}
