/* innkeep-wal replay: the state at the end of the log, or at any LSN before it: its hash, its calendar, and a data directory made of it. */
#include "tools/innkeep-wal/calendar_csv.h"
#include "tools/innkeep-wal/made_directory.h"
#include "tools/innkeep-wal/printer.h"
#include "tools/innkeep-wal/shard_replay.h"

#include <inttypes.h>
#include <string.h>

struct replay {
    struct tool *tool;
    struct calendar_csv calendar;
    json_t *shards;
    struct hash128 hash; /* over all shards so far */
    enum tool_exit worst;
    struct made_directory made;
    uint64_t next_lsn; /* of the shard that was made last; 0: none was */
};

/* On stderr: what a replay finds is the same each time, how fast it went is not. */
static void speed_tell(const struct shard_replay *shard)
{
    double seconds = (double)(shard->elapsed_ns == 0 ? 1 : shard->elapsed_ns) / 1e9;
    uint64_t records = shard->machine.records_applied;
    fprintf(stderr, "shard %u: %" PRIu64 " records replayed in %.3f s, %.2f million a second\n", shard->shard, records,
            seconds, (double)records / 1e6 / seconds);
}

static json_t *shard_json(const struct shard_replay *shard, enum tool_exit verdict, const char *time, const char *hash)
{
    return json_pack("{s:i, s:o, s:s, s:s, s:s, s:o, s:f}", "shard", (int)shard->shard, "lsn",
                     printer_json_number(shard_replay_lsn(shard)), "log_time", time, "verdict",
                     tool_verdict_name(verdict), "state_hash", hash, "records",
                     printer_json_number(shard->machine.records_applied), "seconds", (double)shard->elapsed_ns / 1e9);
}

static void shard_report(struct replay *replay, const struct shard_replay *shard, enum tool_exit verdict)
{
    char text[PRINTER_HASH_SIZE];
    struct hash128 hash = shard_replay_hash(shard);
    uint64_t lsn = shard_replay_lsn(shard);
    uint64_t time_ns = shard->machine.engine == NULL ? 0 : engine_log_time(shard->machine.engine);
    char time[PRINTER_TIME_SIZE];
    replay->hash = hash128_add(replay->hash, hash);
    printer_hash(hash, text);
    printer_time(time_ns, time);
    if (replay->tool->json) {
        json_t *object = shard_json(shard, verdict, time, text);
        json_object_set_new(object, "begins", beginning_json(&shard->beginning));
        if (replay->tool->snapshot_path != NULL)
            json_object_set_new(object, "made_lsn", printer_json_number(replay->next_lsn));
        json_array_append_new(replay->shards, object);
    } else {
        printf("shard=%u lsn=%" PRIu64 " log_time=%s state_hash=%s\n", shard->shard, lsn, time, text);
        fflush(stdout);
        speed_tell(shard);
    }
}

/* ---- A directory made of it ----------------------------------------------------------------------------------------------------- */

/* The last LSN that the shard ever gave out, as far as its log knows, however early the replay stopped. */
static uint64_t granted_lsn(const struct shard_replay *shard)
{
    struct shard_replay rest = {
        .tool = shard->tool, .shard = shard->shard, .to_lsn = NEVER_NS, .to_ns = NEVER_NS, .quiet = true
    };
    shard_replay_run(&rest);
    uint64_t granted =
        rest.report.last_lsn > rest.report.stop_last_lsn ? rest.report.last_lsn : rest.report.stop_last_lsn;
    shard_replay_free(&rest);
    return granted > shard_replay_lsn(shard) ? granted : shard_replay_lsn(shard);
}

/* As a server will read it, and whether that gives the state again. */
static enum tool_exit made_check(struct replay *replay, const struct shard_replay *shard)
{
    struct tool made = *replay->tool;
    made.path = replay->made.directory.path;
    made.directory = replay->made.directory;
    struct shard_replay again = { .tool = &made,
                                  .shard = shard->shard,
                                  .apply = true,
                                  .check = true,
                                  .to_lsn = NEVER_NS,
                                  .to_ns = NEVER_NS,
                                  .quiet = true };
    shard_replay_run(&again);
    shard_replay_explain(&again, stderr);
    bool good =
        shard_replay_exit(&again) == TOOL_CLEAN && hash128_equal(shard_replay_hash(&again), shard_replay_hash(shard));
    replay->next_lsn = shard_replay_lsn(&again);
    shard_replay_free(&again);
    if (good)
        return TOOL_CLEAN;
    fprintf(stderr,
            "innkeep-wal: shard %u does not read in %s as it was written: this is a bug, and nothing was made\n",
            shard->shard, made.path);
    return TOOL_UNREADABLE;
}

static enum tool_exit shard_make(struct replay *replay, struct shard_replay *shard, enum tool_exit verdict)
{
    const struct wal_directory_header *header = &replay->tool->directory.header;
    if (verdict > TOOL_TORN_TAIL || shard->machine.engine == NULL) {
        fprintf(stderr, "innkeep-wal: shard %u has no such state, so no directory was made\n", shard->shard);
        return TOOL_UNREADABLE;
    }
    enum tool_exit made = replay->made.begun
                              ? TOOL_CLEAN
                              : made_directory_begin(&replay->made, header->shards_count, header->segment_size);
    if (made == TOOL_CLEAN)
        made = made_shard_write(&replay->made, shard->shard, shard->machine.engine, EPOCH_RESTORE, granted_lsn(shard));
    return made == TOOL_CLEAN ? made_check(replay, shard) : made;
}

static void made_finish(struct replay *replay)
{
    bool good = replay->worst <= TOOL_TORN_TAIL;
    enum tool_exit made = good ? made_directory_appear(&replay->made) : replay->worst;
    made_directory_close(&replay->made, good && made == TOOL_CLEAN);
    replay->worst = tool_worse(replay->worst, made);
    if (replay->worst <= TOOL_TORN_TAIL && !replay->tool->json)
        printf("%s: a data directory of this state, for a server to start on\n", replay->made.target);
}

/* ---- One shard after the other -------------------------------------------------------------------------------------------------- */

static void shard_run(struct replay *replay, uint32_t index)
{
    struct shard_replay shard = { .tool = replay->tool,
                                  .shard = index,
                                  .apply = true,
                                  .to_lsn = replay->tool->to.lsn[index],
                                  .to_ns = replay->tool->to_ns,
                                  .begin = BEGIN_NEAREST };
    shard_replay_run(&shard);
    shard_replay_explain(&shard, stderr);
    enum tool_exit verdict = shard_replay_reach(&shard);
    if (replay->tool->snapshot_path != NULL && replay->worst <= TOOL_TORN_TAIL)
        verdict = tool_worse(verdict, shard_make(replay, &shard, verdict));
    shard_report(replay, &shard, verdict);
    if (shard.machine.engine != NULL && replay->tool->calendar_path != NULL)
        calendar_csv_collect(&replay->calendar, shard.machine.engine);
    replay->worst = tool_worse(replay->worst, verdict);
    shard_replay_free(&shard);
}

static void total_report(const struct replay *replay)
{
    char text[PRINTER_HASH_SIZE];
    printer_hash(replay->hash, text);
    if (!replay->tool->json) {
        printf("all state_hash=%s\n", text);
        return;
    }
    json_t *all = json_pack("{s:s, s:s, s:O}", "verdict", tool_verdict_name(replay->worst), "state_hash", text,
                            "shards", replay->shards);
    json_dumpf(all, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(all);
}

static void calendar_finish(struct replay *replay)
{
    int error = calendar_csv_write(&replay->calendar, replay->tool->calendar_path);
    if (error == 0)
        return;
    fprintf(stderr, "innkeep-wal: cannot write %s: %s\n", replay->tool->calendar_path, strerror(-error));
    replay->worst = TOOL_UNREADABLE;
}

enum tool_exit replay_command(struct tool *tool)
{
    struct replay replay = { .tool = tool, .shards = json_array(), .worst = TOOL_CLEAN };
    if (tool->snapshot_path != NULL &&
        made_directory_check(&replay.made, tool->io, tool->snapshot_path, "making") != TOOL_CLEAN) {
        json_decref(replay.shards);
        return TOOL_UNREADABLE;
    }
    for (uint32_t shard = 0; shard < tool->directory.header.shards_count; shard++)
        shard_run(&replay, shard);
    if (tool->snapshot_path != NULL)
        made_finish(&replay);
    total_report(&replay);
    if (tool->calendar_path != NULL)
        calendar_finish(&replay);
    json_decref(replay.shards);
    calendar_csv_free(&replay.calendar);
    return replay.worst;
}
