/* innkeep-wal follow: keeps a copy of a data directory that is being served, seconds behind.
 *
 * A pass reads on in every shard (tools/log_copy.h) and then takes over what snapshots there are; between two passes it sleeps. While a large
 * snapshot is copied, the log is followed as well. Every so often a pass looks behind the end, too, so that damage in the source is told.
 * The source is only read, and not asked: it need not even be served. */
#include "tools/innkeep-wal/printer.h"
#include "tools/innkeep-wal/tool.h"
#include "tools/log_copy.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_EVERY_NS NS_PER_SECOND
#define LINE_SELDOM_NS (60 * NS_PER_SECOND)
#define LOOK_BEHIND_NS (60 * NS_PER_SECOND)
#define BEGIN_AGAIN_MAX 3 /* times that a source may give up what is just being copied */

struct follow {
    struct tool *tool;
    struct log_copy_target target; /* path, and made: the copy, under its lock */
    struct log_copy_pace pace;
    struct log_copy copies[WAL_SHARDS_MAX];
    uint32_t copies_count;
    bool making;      /* the first copy: not under its name yet */
    bool in_snapshot; /* passes go on meanwhile */
    bool in_pass;
    uint64_t pass_due_ns;
    uint64_t pass_began_ns; /* the last one that came to its end; 0: none yet */
    uint64_t look_due_ns;
    uint64_t line_due_ns;
    uint64_t behind_ns;      /* at most, since the last line */
    uint64_t behind_records; /* the most that one pass brought, since the last line */
    int nested;              /* what came of a pass within a snapshot */
};

static volatile sig_atomic_t stop_asked;

static void stop_note(int number)
{
    (void)number;
    stop_asked = 1;
}

static void signals_catch(void)
{
    struct sigaction action = { .sa_handler = stop_note };
    sigemptyset(&action.sa_mask);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
}

static bool is_terminal(const struct follow *follow)
{
    return !follow->tool->json && isatty(STDOUT_FILENO) != 0;
}

static void line_clear(const struct follow *follow)
{
    if (is_terminal(follow))
        fputs("\r\033[K", stdout);
    fflush(stdout);
}

static void sentence_say(void *context, const char *sentence)
{
    line_clear(context);
    fprintf(stderr, "innkeep-wal: %s\n", sentence);
}

/* ---- What is shown ------------------------------------------------------------------------------------------------------ */

static void line_json(const struct follow *follow)
{
    json_t *shards = json_array();
    for (uint32_t i = 0; i < follow->copies_count; i++) {
        const struct log_copy *copy = &follow->copies[i];
        json_array_append_new(shards, json_pack("{s:i, s:o, s:o, s:o}", "shard", (int)i, "lsn",
                                                printer_json_number(copy->last_lsn), "frame",
                                                printer_json_number(copy->last_index), "bytes",
                                                printer_json_number(copy->bytes)));
    }
    json_t *line = json_pack("{s:s, s:o, s:f, s:o}", "copy", follow->target.path, "behind_records",
                             printer_json_number(follow->behind_records), "behind_seconds",
                             (double)follow->behind_ns / 1e9, "shards", shards);
    if (line == NULL) { /* a path that is no UTF-8 */
        json_decref(shards);
        return;
    }
    json_dumpf(line, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(line);
}

static void line_text(const struct follow *follow)
{
    fputs("copied up to LSN", stdout);
    for (uint32_t i = 0; i < follow->copies_count; i++)
        printf("%s%" PRIu32 ":%" PRIu64, i == 0 ? " " : ", ", i, follow->copies[i].last_lsn);
    printf("; was behind by at most %" PRIu64 " records and %.1f s%s", follow->behind_records,
           (double)follow->behind_ns / 1e9, is_terminal(follow) ? " " : "\n");
}

static void line_show(struct follow *follow)
{
    uint64_t now_ns = io_now_ns(follow->tool->io);
    line_clear(follow);
    if (follow->tool->json)
        line_json(follow);
    else
        line_text(follow);
    fflush(stdout);
    follow->line_due_ns = now_ns + (is_terminal(follow) ? LINE_EVERY_NS : LINE_SELDOM_NS);
    follow->behind_ns = follow->behind_records = 0;
}

static void making_show(struct follow *follow)
{
    uint64_t now_ns = io_now_ns(follow->tool->io);
    if (!is_terminal(follow) || now_ns < follow->line_due_ns)
        return;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < follow->copies_count; i++)
        bytes += follow->copies[i].bytes;
    printf("\rshard %" PRIu32 ": %" PRIu64 " MiB copied ", follow->copies_count - 1, bytes / MIB);
    fflush(stdout);
    follow->line_due_ns = now_ns + LINE_EVERY_NS / 4;
}

/* ---- A pass ------------------------------------------------------------------------------------------------------------- */

/* A shard that the source left behind is copied anew, in place of what there is. */
static int shard_replace(struct follow *follow, struct log_copy *copy)
{
    int result = LOG_COPY_GONE;
    for (int i = 0; i < BEGIN_AGAIN_MAX && result == LOG_COPY_GONE; i++) {
        sentence_say(follow, copy->why);
        sentence_say(follow, "so that shard is copied anew, from the newest snapshots.");
        result = log_copy_replace(copy);
    }
    return result;
}

static int shard_pass(struct follow *follow, struct log_copy *copy, bool whole)
{
    uint64_t before = copy->last_lsn;
    int result = log_copy_read_on(copy, whole);
    if (result == LOG_COPY_GONE && !follow->in_snapshot)
        result = shard_replace(follow, copy);
    if (copy->last_lsn - before > follow->behind_records)
        follow->behind_records = copy->last_lsn - before;
    return result;
}

static int pass(struct follow *follow)
{
    uint64_t began_ns = io_now_ns(follow->tool->io);
    bool whole = began_ns >= follow->look_due_ns;
    int result = 0;
    follow->in_pass = true;
    for (uint32_t i = 0; i < follow->copies_count && result == 0; i++)
        result = shard_pass(follow, &follow->copies[i], whole);
    follow->in_pass = false;
    if (result != 0)
        return result;
    uint64_t ended_ns = io_now_ns(follow->tool->io);
    if (whole)
        follow->look_due_ns = ended_ns + LOOK_BEHIND_NS;
    if (follow->pass_began_ns != 0 && ended_ns - follow->pass_began_ns > follow->behind_ns)
        follow->behind_ns = ended_ns - follow->pass_began_ns;
    follow->pass_began_ns = began_ns;
    follow->pass_due_ns = began_ns + follow->tool->interval_ns;
    if (ended_ns >= follow->line_due_ns && !follow->tool->once)
        line_show(follow);
    return 0;
}

/* Called while something is copied, a pass of its own included. */
static int tend(void *context)
{
    struct follow *follow = context;
    if (stop_asked)
        return LOG_COPY_STOPPED;
    if (follow->making)
        making_show(follow);
    if (!follow->in_snapshot || follow->in_pass || io_now_ns(follow->tool->io) < follow->pass_due_ns)
        return 0;
    follow->nested = pass(follow);
    return follow->nested == 0 ? 0 : LOG_COPY_STOPPED;
}

/* Which shard's `why` tells of an error in a pass within a snapshot is found by who has one. */
static int refresh(struct follow *follow)
{
    int result = 0;
    follow->in_snapshot = true;
    follow->nested = 0;
    for (uint32_t i = 0; i < follow->copies_count && result == 0; i++)
        result = log_copy_refresh(&follow->copies[i]);
    follow->in_snapshot = false;
    if (follow->nested == LOG_COPY_GONE) /* the next pass finds out once more, and begins anew */
        return 0;
    return follow->nested != 0 ? follow->nested : result;
}

static void sleep_until_due(const struct follow *follow)
{
    uint64_t now_ns = io_now_ns(follow->tool->io);
    if (now_ns >= follow->pass_due_ns || stop_asked)
        return;
    uint64_t left_ns = follow->pass_due_ns - now_ns;
    if (left_ns > NS_PER_SECOND / 4) /* a signal between the look and the sleep waits no longer than that */
        left_ns = NS_PER_SECOND / 4;
    struct timespec pause = { .tv_nsec = (long)left_ns };
    (void)nanosleep(&pause, NULL);
}

static int follow_on(struct follow *follow)
{
    int result = 0;
    while (result == 0 && !stop_asked) {
        if (io_now_ns(follow->tool->io) < follow->pass_due_ns) {
            sleep_until_due(follow);
            continue;
        }
        result = pass(follow);
        if (result == 0)
            result = refresh(follow);
        if (result == 0 && follow->tool->once)
            break;
    }
    return result;
}

/* ---- Beginning ---------------------------------------------------------------------------------------------------------- */

static int copy_prepare(struct follow *follow, uint32_t shard)
{
    struct log_copy *copy = &follow->copies[shard];
    *copy = (struct log_copy){ .io = follow->tool->io,
                               .source = &follow->tool->directory,
                               .pace = &follow->pace,
                               .shard = shard,
                               .tend = tend,
                               .say = sentence_say,
                               .context = follow };
    follow->copies_count = shard + 1;
    return log_copy_init(copy, follow->target.made.path);
}

static int shard_make(struct follow *follow, uint32_t shard)
{
    struct log_copy *copy = &follow->copies[shard];
    int result = copy_prepare(follow, shard);
    if (result == 0)
        result = log_copy_begin(copy);
    if (result == 0)
        result = log_copy_read_on(copy, true);
    return result == LOG_COPY_GONE ? shard_replace(follow, copy) : result;
}

static int copy_make(struct follow *follow)
{
    uint32_t shards = follow->tool->directory.header.shards_count;
    follow->making = true;
    int result = 0;
    for (uint32_t shard = 0; shard < shards && result == 0; shard++)
        result = shard_make(follow, shard);
    line_clear(follow);
    follow->line_due_ns = 0;
    if (result != 0)
        return result;
    result = log_copy_target_appear(&follow->target);
    for (uint32_t shard = 0; shard < shards; shard++)
        wal_shard_path(&follow->target.made, shard, follow->copies[shard].to);
    follow->making = false;
    return result;
}

static int copy_resume(struct follow *follow)
{
    int result = 0;
    for (uint32_t shard = 0; shard < follow->tool->directory.header.shards_count && result == 0; shard++) {
        struct log_copy *copy = &follow->copies[shard];
        result = copy_prepare(follow, shard);
        if (result == 0)
            result = log_copy_resume(copy);
        if (result == LOG_COPY_GONE)
            result = shard_replace(follow, copy);
    }
    return result;
}

static bool is_same_house(const struct wal_directory_header *a, const struct wal_directory_header *b)
{
    return memcmp(a->uuid, b->uuid, sizeof a->uuid) == 0 && a->shards_count == b->shards_count &&
           a->segment_size == b->segment_size;
}

/* A copy that is there already, or 1 where one is to be made. */
static int copy_open(struct follow *follow)
{
    const struct tool *tool = follow->tool;
    char why[512];
    struct wal_directory *made = &follow->target.made;
    int error = wal_directory_inspect(tool->io, tool->other_path, made, why, sizeof why);
    made->lock_file = -1;
    if (error == -ENOENT)
        return 1;
    snprintf(follow->target.path, sizeof follow->target.path, "%s", tool->other_path);
    if (error == 0 && !is_same_house(&made->header, &tool->directory.header)) {
        snprintf(why, sizeof why, "%s is no copy of %s but another data directory; name a new one, or that one's copy.",
                 tool->other_path, tool->path);
        error = -EXDEV;
    }
    if (error == 0)
        error = wal_directory_lock(tool->io, made, why, sizeof why);
    if (error != 0)
        snprintf(follow->target.why, sizeof follow->target.why, "%s", why);
    return error;
}

static bool is_inside(const struct tool *tool)
{
    char source[4096];
    char copy[4096];
    if (realpath(tool->path, source) == NULL || realpath(tool->other_path, copy) == NULL)
        return false;
    return strcmp(source, copy) == 0;
}

static int begin(struct follow *follow)
{
    struct tool *tool = follow->tool;
    follow->target.io = tool->io;
    if (tool->directory.cutting || is_inside(tool)) {
        snprintf(follow->target.why, sizeof follow->target.why,
                 tool->directory.cutting ? "%s is in the middle of a cut; finish that first."
                                         : "%s cannot be its own copy; name another directory.",
                 tool->path);
        return -EINVAL;
    }
    int result = copy_open(follow);
    if (result == 0)
        return copy_resume(follow);
    if (result == 1)
        result = log_copy_target_begin(&follow->target, tool->io, tool->other_path, &tool->directory.header);
    return result == 0 ? copy_make(follow) : result;
}

/* ---- The command -------------------------------------------------------------------------------------------------------- */

static const char *why_of(const struct follow *follow, int result)
{
    for (uint32_t i = 0; i < follow->copies_count; i++)
        if (follow->copies[i].why[0] != '\0')
            return follow->copies[i].why;
    return follow->target.why[0] != '\0' ? follow->target.why : strerror(-result);
}

static enum tool_exit conclude(struct follow *follow, int result)
{
    if (result == 0 || result == LOG_COPY_STOPPED) {
        if (!follow->making)
            line_show(follow);
        if (is_terminal(follow))
            putchar('\n');
        return TOOL_CLEAN;
    }
    line_clear(follow);
    fprintf(stderr, "innkeep-wal: %s\n", why_of(follow, result));
    return result == LOG_COPY_SOURCE_DAMAGED || result == LOG_COPY_COPY_DAMAGED ? TOOL_DAMAGED : TOOL_UNREADABLE;
}

enum tool_exit follow_command(struct tool *tool)
{
    struct follow *follow = calloc(1, sizeof *follow);
    if (follow == NULL) {
        fputs("innkeep-wal: there is too little memory.\n", stderr);
        return TOOL_UNREADABLE;
    }
    follow->tool = tool;
    follow->target.made.lock_file = -1;
    follow->pace.rate = tool->rate;
    signals_catch();
    int result = begin(follow);
    if (result == 0)
        result = follow_on(follow);
    for (uint32_t i = 0; i < follow->copies_count; i++)
        log_copy_free(&follow->copies[i]);
    enum tool_exit verdict = conclude(follow, result);
    log_copy_target_drop(&follow->target);
    free(follow);
    return verdict;
}
