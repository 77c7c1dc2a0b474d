/* innkeep-wal cut: ends the log of some shards at an LSN, for good. The only command that changes a log; so it says first what is lost, and
 * goes on only where a copy holds all of it. How it is done: cut_plan.h. */
#include "tools/innkeep-wal/cut_survey.h"
#include "tools/innkeep-wal/printer.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct cut {
    struct tool *tool;
    struct tool backup; /* the same, looking at the copy */
    struct cut_survey surveys[WAL_SHARDS_MAX];
    struct cut_plan plan;
    uint64_t time_ns; /* the latest of the moments that the named shards are cut at; 0: none */
};

static enum tool_exit refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));
static enum tool_exit refuse(const char *format, ...)
{
    va_list arguments;
    fputs("innkeep-wal: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputs(" Nothing was changed.\n", stderr);
    return TOOL_UNREADABLE;
}

/* ---- What there is, and what goes ----------------------------------------------------------------------------------------------- */

static bool is_named(const struct cut *cut, uint32_t shard)
{
    return cut->tool->to.lsn[shard] != NEVER_NS;
}

/* The named shards first: the others are then asked where they stood at that moment. */
static enum tool_exit directory_survey(struct cut *cut)
{
    uint32_t shards = cut->tool->directory.header.shards_count;
    for (int round = 0; round < 2; round++)
        for (uint32_t shard = 0; shard < shards; shard++) {
            struct cut_survey *survey = &cut->surveys[shard];
            if (is_named(cut, shard) != (round == 0))
                continue;
            survey->lsn = cut->tool->to.lsn[shard];
            survey->moment_ns = cut->time_ns;
            const char *wrong = cut_survey_run(survey, cut->tool, shard);
            if (wrong != NULL)
                return refuse("shard %u: %s.", shard, wrong);
            if (round == 0 && survey->time_ns > cut->time_ns)
                cut->time_ns = survey->time_ns;
        }
    return TOOL_CLEAN;
}

static void plan_make(struct cut *cut)
{
    struct cut_plan *plan = &cut->plan;
    for (uint32_t shard = 0; shard < cut->tool->directory.header.shards_count; shard++) {
        struct cut_survey *survey = &cut->surveys[shard];
        if (!survey->loses)
            continue;
        plan->shards[plan->shards_count] = survey->cut;
        plan->records[plan->shards_count++] = survey->partial;
        survey->partial = NULL; /* the plan's now */
    }
}

/* ---- The copy ------------------------------------------------------------------------------------------------------------------- */

static enum tool_exit backup_check(struct cut *cut)
{
    char why[1024];
    const struct wal_directory_header *here = &cut->tool->directory.header;
    cut->backup = *cut->tool;
    cut->backup.path = cut->tool->other_path;
    if (wal_directory_inspect(cut->tool->io, cut->backup.path, &cut->backup.directory, why, sizeof why) != 0)
        return refuse("the backup cannot be used: %s", why);
    const struct wal_directory_header *there = &cut->backup.directory.header;
    if (memcmp(here->uuid, there->uuid, sizeof here->uuid) != 0 || here->shards_count != there->shards_count ||
        here->segment_size != there->segment_size)
        return refuse("%s is no copy of %s: their meta files differ.", cut->backup.path, cut->tool->path);
    if (cut->backup.directory.cutting)
        return refuse("%s is itself in the middle of a cut.", cut->backup.path);
    for (uint32_t shard = 0; shard < here->shards_count; shard++) {
        const char *wrong = cut_backup_check(&cut->surveys[shard], cut->tool, &cut->backup, shard, why, sizeof why);
        if (wrong != NULL)
            return refuse("shard %u: the backup does not hold all that is here: %s. Make a complete copy first.", shard,
                          wrong);
    }
    return TOOL_CLEAN;
}

/* ---- Telling -------------------------------------------------------------------------------------------------------------------- */

static void kinds_text(const struct cut_losses *losses)
{
    const char *between = "";
    printf("           by operation: ");
    for (unsigned kind = 0; kind < ARRAY_COUNT(losses->kinds); kind++) {
        if (losses->kinds[kind] == 0)
            continue;
        printf("%s%" PRIu64 " %s", between, losses->kinds[kind], operation_name((uint8_t)kind));
        between = ", ";
    }
    putchar('\n');
}

static void losses_text(const struct cut_survey *survey, uint32_t shard, const char *backup)
{
    const struct cut_losses *losses = &survey->losses;
    char first[PRINTER_TIME_SIZE];
    char last[PRINTER_TIME_SIZE];
    printf("shard %u: cut behind LSN %" PRIu64 ", %s\n", shard, survey->cut.lsn, printer_time(survey->time_ns, first));
    if (losses->records > 0) {
        printf("  lost     %" PRIu64 " records, LSN %" PRIu64 " to %" PRIu64 ", %s to %s\n", losses->records,
               losses->first_lsn, losses->last_lsn, printer_time(losses->first_time_ns, first),
               printer_time(losses->last_time_ns, last));
        kinds_text(losses);
        printf("           that is: %" PRIu64 " reservations made, %" PRIu64 " confirmed, %" PRIu64
               " released or cancelled; %" PRIu64 " changes of supply; %" PRIu64 " leases granted\n",
               losses->reserved, losses->confirmed, losses->ended, losses->supplied, losses->leased);
        printf("           innkeep-wal dump %s --shard %u --from-lsn %" PRIu64 " lists them\n", backup, shard,
               losses->first_lsn);
    }
    if (survey->damaged)
        printf("  and      all that lies behind the damage, up to LSN %" PRIu64 " at least\n", survey->cut.granted_lsn);
    printf("  goes on  at LSN %" PRIu64 "\n", wal_epoch_behind(survey->cut.granted_lsn));
}

static void stays_text(const struct cut *cut, uint32_t shard)
{
    const struct cut_survey *survey = &cut->surveys[shard];
    char time[PRINTER_TIME_SIZE];
    printf("shard %u: stays whole, up to LSN %" PRIu64 "\n", shard, survey->last_lsn);
    if (survey->moment_lsn != 0 && survey->moment_lsn < survey->last_lsn)
        printf("  mind     the shards then stand at different times; at %s this one stood at %u:%" PRIu64 "\n",
               printer_time(cut->time_ns, time), shard, survey->moment_lsn);
}

static void cut_tell(const struct cut *cut)
{
    for (uint32_t shard = 0; shard < cut->tool->directory.header.shards_count; shard++) {
        if (cut->surveys[shard].loses)
            losses_text(&cut->surveys[shard], shard, cut->backup.path);
        else
            stays_text(cut, shard);
    }
    fflush(stdout);
}

static json_t *shard_json(const struct cut *cut, uint32_t shard)
{
    const struct cut_survey *survey = &cut->surveys[shard];
    const struct cut_losses *losses = &survey->losses;
    bool loses = survey->loses;
    json_t *kinds = json_object();
    for (unsigned kind = 0; kind < ARRAY_COUNT(losses->kinds); kind++)
        if (losses->kinds[kind] != 0)
            json_object_set_new(kinds, operation_name((uint8_t)kind), printer_json_number(losses->kinds[kind]));
    return json_pack("{s:i, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "shard", (int)shard, "cut",
                     loses, "lsn", printer_json_number(loses ? survey->cut.lsn : survey->last_lsn), "lost_records",
                     printer_json_number(losses->records), "lost_first_lsn", printer_json_number(losses->first_lsn),
                     "lost_last_lsn", printer_json_number(losses->last_lsn), "lost_by_operation", kinds,
                     "lost_reservations", printer_json_number(losses->reserved), "lost_confirmations",
                     printer_json_number(losses->confirmed), "lost_ends", printer_json_number(losses->ended),
                     "lost_supply", printer_json_number(losses->supplied), "lost_leases",
                     printer_json_number(losses->leased), "next_lsn",
                     printer_json_number(loses ? wal_epoch_behind(survey->cut.granted_lsn) : survey->last_lsn + 1));
}

static void cut_json(const struct cut *cut)
{
    json_t *shards = json_array();
    for (uint32_t shard = 0; shard < cut->tool->directory.header.shards_count; shard++)
        json_array_append_new(shards, shard_json(cut, shard));
    json_t *all = json_pack("{s:b, s:o}", "cut", cut->plan.shards_count > 0, "shards", shards);
    json_dumpf(all, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(all);
}

static bool is_confirmed(const struct tool *tool)
{
    char answer[16] = "";
    if (tool->yes)
        return true;
    if (!isatty(STDIN_FILENO) || tool->json)
        return false;
    fputs("This cannot be undone. Type \"cut\" to go on: ", stderr);
    return fgets(answer, sizeof answer, stdin) != NULL && strcmp(answer, "cut\n") == 0;
}

/* ---- The command ---------------------------------------------------------------------------------------------------------------- */

/* A cut that was interrupted is finished as it was planned, and only as it was planned. */
static enum tool_exit cut_resume(struct cut *cut, char *why, size_t why_size)
{
    const struct tool *tool = cut->tool;
    if (cut_plan_read(tool->io, &tool->directory, &cut->plan, why, why_size) != 0)
        return refuse("%s.", why);
    for (uint32_t i = 0; i < cut->plan.shards_count; i++) {
        const struct cut_shard *shard = &cut->plan.shards[i];
        if (tool->to.lsn[shard->shard] != shard->lsn)
            return refuse("a cut at %u:%" PRIu64 " was interrupted here; finish that one first.", shard->shard,
                          shard->lsn);
    }
    fprintf(stderr, "innkeep-wal: going on with the cut that was interrupted\n");
    return TOOL_CLEAN;
}

static enum tool_exit cut_prepare(struct cut *cut, char *why, size_t why_size)
{
    if (cut->tool->directory.cutting)
        return cut_resume(cut, why, why_size);
    enum tool_exit verdict = directory_survey(cut);
    if (verdict == TOOL_CLEAN)
        verdict = backup_check(cut);
    if (verdict != TOOL_CLEAN)
        return verdict;
    plan_make(cut);
    if (!cut->tool->json)
        cut_tell(cut);
    if (cut->plan.shards_count == 0)
        return TOOL_CLEAN;
    if (!is_confirmed(cut->tool))
        return refuse("the cut was not confirmed; say --yes, or type \"cut\" when asked.");
    if (cut_plan_write(cut->tool->io, &cut->tool->directory, &cut->plan, why, why_size) != 0)
        return refuse("%s.", why);
    return TOOL_CLEAN;
}

static enum tool_exit cut_do(struct cut *cut)
{
    char why[1024];
    struct tool *tool = cut->tool;
    if (wal_directory_lock(tool->io, &tool->directory, why, sizeof why) != 0)
        return refuse("%s", why);
    enum tool_exit verdict = cut_prepare(cut, why, sizeof why);
    if (verdict != TOOL_CLEAN)
        return verdict;
    bool any = cut->plan.shards_count > 0;
    if (any && cut_plan_run(tool->io, &tool->directory, &cut->plan, why, sizeof why) != 0) {
        fprintf(stderr, "innkeep-wal: %s\n", why);
        return TOOL_UNREADABLE;
    }
    if (tool->json)
        cut_json(cut);
    else
        printf("%s: %s\n", tool->path, any ? "cut" : "nothing to cut: the log ends there");
    return TOOL_CLEAN;
}

enum tool_exit cut_command(struct tool *tool)
{
    struct cut *cut = calloc(1, sizeof *cut);
    if (cut == NULL)
        return refuse("there is too little memory.");
    cut->tool = tool;
    enum tool_exit verdict = cut_do(cut);
    for (uint32_t shard = 0; shard < WAL_SHARDS_MAX; shard++)
        free(cut->surveys[shard].partial);
    cut_plan_free(&cut->plan);
    free(cut);
    return verdict;
}
