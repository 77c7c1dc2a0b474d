/* innkeep-wal reshard: another data directory with the same state over another number of shards.
 *
 * Each old shard is replayed into an engine of its own. Each new one begins its log with a CONFIG frame, takes its share out of all old
 * engines, keeps that as a snapshot behind the CONFIG frame, and goes on with an EPOCH frame, whose LSN lies past everything that any old
 * shard gave out. OUT is made as OUT.resharding, whose meta has another name until the rename, so that no server starts on half of it. The
 * old directory is only read. Memory: all old engines, and one new one at a time. */
#include "tools/innkeep-wal/made_directory.h"
#include "tools/innkeep-wal/printer.h"
#include "tools/innkeep-wal/shard_replay.h"

#include "net/warm_start.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct reshard {
    struct tool *tool;          /* looks at the old directory */
    struct made_directory made; /* OUT.resharding */
    struct shard_replay olds[WAL_SHARDS_MAX];
    uint32_t olds_count;
    struct engine_limits limits; /* of each new shard */
    uint32_t engine_level;
    uint64_t time_ns;     /* the latest log time of the old */
    uint64_t granted_lsn; /* the last LSN of any */
    struct hash128 hash;  /* over all old shards */
};

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
        return tool_refuse("shard %u is not whole, so nothing was made.", shard);
    if (old->machine.engine == NULL)
        return tool_refuse("shard %u is empty: no server ever ran on this directory; start one with --shards instead.",
                           shard);
    uint32_t level = engine_log_level(old->machine.engine);
    if (reshard->engine_level != 0 && reshard->engine_level != level)
        return tool_refuse(
            "the shards are at different engine levels (%u and %u); raise them first: innkeep raise-level.",
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

static enum tool_exit shard_fill(struct reshard *reshard, uint32_t shard, struct state_machine *machine)
{
    struct engine_share share = { .shard = shard, .shards = reshard->made.directory.header.shards_count };
    if (state_machine_make(machine, &reshard->limits) != 0)
        return tool_refuse("shard %u: there is too little memory.", shard);
    for (uint32_t old = 0; old < reshard->olds_count; old++)
        engine_copy_share(machine->engine, old_engine(reshard, old), share);
    return made_shard_write(&reshard->made, shard, machine->engine, EPOCH_RESHARD, reshard->granted_lsn);
}

static enum tool_exit shard_make(struct reshard *reshard, uint32_t shard)
{
    struct state_machine machine;
    state_machine_init(&machine, reshard->made.directory.header.uuid);
    enum tool_exit verdict = shard_fill(reshard, shard, &machine);
    if (verdict == TOOL_CLEAN && !reshard->tool->json) {
        struct engine_counts counts = engine_counts(machine.engine);
        printf("shard %u: %u properties, %u reservations; goes on at LSN %" PRIu64 "\n", shard, counts.properties,
               counts.reservations_held + counts.reservations_confirmed + counts.reservations_ended,
               wal_epoch_behind(reshard->granted_lsn));
        fflush(stdout);
    }
    state_machine_free(&machine);
    return verdict;
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
    const struct wal_directory_header *header = &reshard->made.directory.header;
    struct state_machine machine;
    struct warm_start warm;
    struct warm_start_options options = { .io = reshard->tool->io,
                                          .place = { .directory = wal_shard_path(&reshard->made.directory, shard, path),
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
    for (uint32_t shard = 0; shard < reshard->made.directory.header.shards_count; shard++) {
        char why[WAL_SNAPSHOT_WHY_SIZE] = "";
        int error = shard_hash(reshard, shard, &hash, why);
        if (error != 0)
            return tool_refuse("shard %u does not read as it was written: %s %s.", shard, why, strerror(-error));
    }
    if (!hash128_equal(hash, reshard->hash))
        return tool_refuse(
            "the new shards together hold another state than the old ones: this is a bug, and nothing was made.");
    if (!reshard->tool->json)
        printf("all state_hash=%s, as before\n", printer_hash(hash, text));
    return TOOL_CLEAN;
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
        return tool_refuse("%u shards are too few: their tables would be larger than an engine's can be.", shards);
    enum tool_exit verdict = made_directory_begin(&reshard->made, shards, reshard->tool->directory.header.segment_size);
    for (uint32_t shard = 0; shard < shards && verdict == TOOL_CLEAN; shard++)
        verdict = shard_make(reshard, shard);
    if (verdict == TOOL_CLEAN)
        verdict = directory_check(reshard);
    if (verdict == TOOL_CLEAN)
        verdict = made_directory_appear(&reshard->made);
    made_directory_close(&reshard->made, verdict == TOOL_CLEAN);
    return verdict;
}

static enum tool_exit reshard_run(struct reshard *reshard)
{
    char why[512];
    struct tool *tool = reshard->tool;
    char hash[PRINTER_HASH_SIZE];
    if (tool->directory.cutting)
        return tool_refuse("%s is in the middle of a cut; finish that first.", tool->path);
    if (wal_directory_lock(tool->io, &tool->directory, why, sizeof why) != 0)
        return tool_refuse("%s", why);
    enum tool_exit verdict = made_directory_check(&reshard->made, tool->io, tool->other_path, "resharding");
    for (uint32_t shard = 0; shard < tool->directory.header.shards_count && verdict == TOOL_CLEAN; shard++)
        verdict = old_read(reshard, shard);
    if (verdict == TOOL_CLEAN)
        verdict = directory_fill(reshard);
    if (verdict == TOOL_CLEAN && tool->json)
        printf("{\"resharded\":true,\"shards\":%u,\"state_hash\":\"%s\",\"next_lsn\":%" PRIu64 "}\n", tool->shards,
               printer_hash(reshard->hash, hash), wal_epoch_behind(reshard->granted_lsn));
    else if (verdict == TOOL_CLEAN)
        printf("%s: %u shards, made from the %u of %s\n", reshard->made.target, tool->shards, reshard->olds_count,
               tool->path);
    return verdict;
}

enum tool_exit reshard_command(struct tool *tool)
{
    struct reshard *reshard = calloc(1, sizeof *reshard);
    if (reshard == NULL)
        return tool_refuse("there is too little memory.");
    reshard->tool = tool;
    enum tool_exit verdict = reshard_run(reshard);
    for (uint32_t shard = 0; shard < reshard->olds_count; shard++)
        shard_replay_free(&reshard->olds[shard]);
    free(reshard);
    return verdict;
}
