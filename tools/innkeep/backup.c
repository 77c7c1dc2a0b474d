/* innkeep backup: a copy of the server's data directory, made while it serves.
 *
 * Every shard is asked for a snapshot and to give up no file for a minute, which is asked again while it is needed. Then its files, in the
 * folder that the server names, are copied by tools/log_copy.h: so a backup holds all that was acknowledged when it began, and whatever came
 * until its log was read to the end. The server goes back to its ways by itself once the minute is over: letting go at once could pull the files
 * from under another backup. */
#include "tools/innkeep/answer.h"
#include "tools/innkeep/commands.h"
#include "tools/innkeep/json_object.h"
#include "tools/log_copy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define KEEP_NS (60 * NS_PER_SECOND)
#define KEEP_AGAIN_NS (10 * NS_PER_SECOND)
#define PROGRESS_EVERY_NS (250 * NS_PER_MS)
#define LOOK_EVERY_NS (50 * NS_PER_MS)

struct backup_shard {
    uint64_t asked_lsn; /* when the backup began */
    uint32_t failed;    /* snapshots, before it was asked for one */
    uint64_t last_lsn;  /* in the backup */
    uint64_t snapshot_lsn;
    uint64_t bytes;
};

struct backup {
    struct inn_connection *connection;
    const struct arguments *arguments;
    struct io *io;
    struct wal_directory source;
    struct log_copy_target target;
    struct log_copy_pace pace;
    struct log_copy *copy; /* of the shard that is being copied; or NULL */
    uint32_t shards_count;
    struct backup_shard shards[WAL_SHARDS_MAX];
    uint64_t keep_due_ns;
    uint64_t progress_due_ns;
    int verdict; /* of the server, where it is not INN_OK */
};

/* ---- What is said ------------------------------------------------------------------------------------------------------- */

static bool progress_is_due(struct backup *backup)
{
    uint64_t now_ns = io_now_ns(backup->io);
    if (isatty(STDERR_FILENO) == 0 || now_ns < backup->progress_due_ns)
        return false;
    backup->progress_due_ns = now_ns + PROGRESS_EVERY_NS;
    return true;
}

static void progress_clear(void)
{
    if (isatty(STDERR_FILENO) != 0)
        fputs("\r\033[K", stderr);
}

static void sentence_say(void *context, const char *sentence)
{
    (void)context;
    progress_clear();
    fprintf(stderr, "innkeep: %s\n", sentence);
}

/* What went wrong on this side. */
static enum exit_code refuse(const struct backup *backup, const char *sentence)
{
    progress_clear();
    fprintf(stderr, "innkeep: %s\n", sentence);
    if (backup->arguments->json) {
        json_t *object = json_object();
        json_put_bool(object, "complete", 0);
        json_put_text(object, "error", sentence);
        json_print(object);
    }
    return EXIT_REFUSED;
}

static enum exit_code no_answer(const struct backup *backup)
{
    progress_clear();
    struct answer answer = answer_of(backup->connection, backup->arguments, INN_SNAPSHOT, backup->verdict);
    if (backup->verdict < 0)
        answer_print_failure(&answer);
    else
        fprintf(stderr, "innkeep: the server refuses to keep its files for a backup: %s\n",
                inn_verdict_name(backup->verdict));
    return exit_code_of(backup->verdict);
}

/* ---- What the server is asked ------------------------------------------------------------------------------------------- */

static bool ask(struct backup *backup, uint32_t shard, int take, uint64_t keep_ns, struct inn_snapshot_result *result)
{
    backup->verdict = inn_snapshot(backup->connection, shard, take, keep_ns, result);
    return backup->verdict == INN_OK;
}

static bool all_ask(struct backup *backup, int take, uint64_t keep_ns)
{
    bool answered = true;
    for (uint32_t shard = 0; shard < backup->shards_count && answered; shard++) {
        struct inn_snapshot_result result = { .newest_lsn = 0 };
        answered = ask(backup, shard, take, keep_ns, &result);
        if (take == 0)
            continue;
        backup->shards[shard].asked_lsn = result.header.lsn;
        backup->shards[shard].failed = result.failed;
    }
    backup->keep_due_ns = io_now_ns(backup->io) + KEEP_AGAIN_NS;
    return answered;
}

static bool keep_on(struct backup *backup)
{
    return io_now_ns(backup->io) < backup->keep_due_ns || all_ask(backup, 0, KEEP_NS);
}

/* Called while files are copied. */
static int tend(void *context)
{
    struct backup *backup = context;
    if (progress_is_due(backup) && backup->copy != NULL)
        fprintf(stderr, "\rshard %" PRIu32 " of %" PRIu32 ": %" PRIu64 " MiB copied, up to lsn %" PRIu64 " ",
                backup->copy->shard, backup->shards_count, backup->copy->bytes / MIB, backup->copy->last_lsn);
    return keep_on(backup) ? 0 : LOG_COPY_STOPPED;
}

/* A snapshot that the server cannot take is no reason to have no backup: the log holds the same. */
static bool snapshot_wait(struct backup *backup, uint32_t shard)
{
    const struct backup_shard *asked = &backup->shards[shard];
    struct inn_snapshot_result result = { .newest_lsn = 0 };
    while (keep_on(backup) && ask(backup, shard, 0, 0, &result)) {
        if (result.newest_lsn >= asked->asked_lsn)
            return true;
        if (result.failed != asked->failed || result.running == 0) {
            sentence_say(backup, "the server could not take a snapshot (its own log says why); the older ones and "
                                 "the log are copied, which hold as much.");
            return true;
        }
        if (progress_is_due(backup))
            fprintf(stderr, "\rshard %" PRIu32 ": snapshot, %" PRIu64 " of %" PRIu64 " MiB ", shard,
                    result.written_bytes / MIB, result.total_bytes / MIB);
        struct timespec pause = { .tv_nsec = LOOK_EVERY_NS };
        (void)nanosleep(&pause, NULL);
    }
    return false;
}

/* ---- Where its files are ------------------------------------------------------------------------------------------------ */

static enum exit_code source_find(struct backup *backup)
{
    struct inn_snapshot_result result = { .newest_lsn = 0 };
    char sentence[2048];
    char why[512];
    if (!ask(backup, 0, 0, KEEP_NS, &result))
        return no_answer(backup);
    result.directory[sizeof result.directory - 1] = '\0';
    char *slash = strrchr(result.directory, '/');
    if (slash != NULL)
        *slash = '\0';
    int error =
        slash == NULL ? -1 : wal_directory_inspect(backup->io, result.directory, &backup->source, why, sizeof why);
    if (error != 0) {
        snprintf(sentence, sizeof sentence,
                 "the server's data is in %s, as the server sees it, and cannot be read from here: %s Run this on the "
                 "server's machine (in its container), as a user who may read it; or copy the stopped server's "
                 "directory.",
                 result.directory, slash == NULL ? "it has no name." : why);
        return refuse(backup, sentence);
    }
    if (memcmp(backup->source.header.uuid, inn_hello(backup->connection)->uuid, 16) != 0 ||
        backup->source.header.shards_count != backup->shards_count) {
        snprintf(sentence, sizeof sentence,
                 "%s is the server's directory as the server sees it, but here another data directory is under that "
                 "path. Run this on the server's machine (in its container).",
                 result.directory);
        return refuse(backup, sentence);
    }
    return EXIT_DONE;
}

/* ---- Copying ------------------------------------------------------------------------------------------------------------ */

static int shard_copy(struct log_copy *copy, const struct backup *backup)
{
    int result = log_copy_init(copy, backup->target.made.path);
    if (result == 0)
        result = log_copy_begin(copy);
    return result == 0 ? log_copy_read_on(copy, true) : result;
}

static void shard_note(struct backup_shard *shard, const struct log_copy *copy)
{
    shard->last_lsn = copy->last_lsn;
    shard->bytes = copy->bytes;
    shard->snapshot_lsn = copy->kept_count > 0 ? copy->kept[0].next_lsn - 1 : 0;
}

static enum exit_code shard_back_up(struct backup *backup, uint32_t shard)
{
    struct log_copy copy = { .io = backup->io,
                             .source = &backup->source,
                             .pace = &backup->pace,
                             .shard = shard,
                             .tend = tend,
                             .say = sentence_say,
                             .context = backup };
    if (!snapshot_wait(backup, shard))
        return no_answer(backup);
    backup->copy = &copy;
    int result = shard_copy(&copy, backup);
    backup->copy = NULL;
    log_copy_free(&copy);
    shard_note(&backup->shards[shard], &copy);
    if (result == LOG_COPY_STOPPED)
        return no_answer(backup);
    if (result != 0)
        return refuse(backup, copy.why);
    if (copy.last_lsn < backup->shards[shard].asked_lsn)
        return refuse(backup, "the log on the disk ends before what the server has answered; is it the server's disk?");
    return EXIT_DONE;
}

static enum exit_code all_back_up(struct backup *backup)
{
    enum exit_code code = source_find(backup);
    if (code != EXIT_DONE)
        return code;
    if (log_copy_target_begin(&backup->target, backup->io, backup->arguments->directory, &backup->source.header) != 0)
        return refuse(backup, backup->target.why);
    if (!all_ask(backup, 1, KEEP_NS))
        return no_answer(backup);
    for (uint32_t shard = 0; shard < backup->shards_count && code == EXIT_DONE; shard++)
        code = shard_back_up(backup, shard);
    progress_clear();
    if (code == EXIT_DONE && log_copy_target_appear(&backup->target) != 0)
        return refuse(backup, backup->target.why);
    return code;
}

/* ---- What came of it ---------------------------------------------------------------------------------------------------- */

static void report_json(const struct backup *backup, uint64_t bytes, double seconds)
{
    json_t *object = json_object();
    json_t *shards = json_array();
    struct inn_key uuid;
    memcpy(uuid.bytes, backup->source.header.uuid, sizeof uuid.bytes);
    for (uint32_t i = 0; i < backup->shards_count; i++) {
        json_t *shard = json_object();
        json_put_u64(shard, "shard", i);
        json_put_u64(shard, "lsn", backup->shards[i].last_lsn);
        json_put_u64(shard, "asked_lsn", backup->shards[i].asked_lsn);
        json_put_u64(shard, "snapshot_lsn", backup->shards[i].snapshot_lsn);
        json_put_u64(shard, "bytes", backup->shards[i].bytes);
        json_array_append_new(shards, shard);
    }
    json_put_bool(object, "complete", 1);
    json_put_text(object, "directory", backup->target.path);
    json_put_text(object, "source", backup->source.path);
    json_put_key(object, "uuid", uuid);
    json_put_u64(object, "bytes", bytes);
    json_put(object, "seconds", json_real(seconds));
    json_put(object, "shards", shards);
    json_print(object);
}

static void report(const struct backup *backup, uint64_t took_ns)
{
    uint64_t bytes = 0;
    double seconds = (double)took_ns / 1e9;
    for (uint32_t i = 0; i < backup->shards_count; i++)
        bytes += backup->shards[i].bytes;
    if (backup->arguments->json) {
        report_json(backup, bytes, seconds);
        return;
    }
    for (uint32_t i = 0; i < backup->shards_count; i++)
        printf("shard %" PRIu32 ": up to lsn %" PRIu64 ", snapshot up to lsn %" PRIu64 ", %.1f MiB\n", i,
               backup->shards[i].last_lsn, backup->shards[i].snapshot_lsn,
               (double)backup->shards[i].bytes / (double)MIB);
    printf("%s: complete, %.1f MiB in %.1f s\nto serve on it: innkeep-wal restore %s NEW, and innkeepd --data NEW\n",
           backup->target.path, (double)bytes / (double)MIB, seconds, backup->target.path);
}

enum exit_code command_backup(struct inn_connection *connection, const struct arguments *a)
{
    const struct io_options io_options = { .ring_entries = 0 };
    const char *why = NULL;
    struct backup *backup = calloc(1, sizeof *backup);
    if (backup == NULL || io_create(&io_options, &backup->io, &why) != 0) {
        fprintf(stderr, "innkeep: %s\n", why != NULL ? why : "there is too little memory.");
        free(backup);
        return EXIT_REFUSED;
    }
    backup->connection = connection;
    backup->arguments = a;
    backup->shards_count = inn_hello(connection)->shards;
    backup->pace.rate = a->rate;
    backup->source.lock_file = backup->target.made.lock_file = -1;
    backup->target.io = backup->io;
    uint64_t began_ns = io_now_ns(backup->io);
    enum exit_code code =
        backup->shards_count <= WAL_SHARDS_MAX
            ? all_back_up(backup)
            : refuse(backup, "the server has more shards than this version knows; use its own innkeep.");
    if (code == EXIT_DONE)
        report(backup, io_now_ns(backup->io) - began_ns);
    log_copy_target_drop(&backup->target);
    io_destroy(backup->io);
    free(backup);
    return code;
}
