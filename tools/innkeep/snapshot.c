/* innkeep snapshot: asks every shard for a snapshot and waits until each has one that holds all that was applied when it was asked. */
#include "tools/innkeep/answer.h"
#include "tools/innkeep/commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define LOOK_EVERY_NS 50000000 /* between two looks at how far it is */

static void look_again_later(void)
{
    struct timespec pause = { .tv_nsec = LOOK_EVERY_NS };
    (void)nanosleep(&pause, NULL);
}

static void progress_show(uint32_t shard, const struct inn_snapshot_result *result)
{
    if (isatty(STDERR_FILENO) && result->total_bytes > 0)
        fprintf(stderr, "\rshard %" PRIu32 ": %.1f of %.1f MiB ", shard, (double)result->written_bytes / 1048576.0,
                (double)result->total_bytes / 1048576.0);
}

static void progress_clear(void)
{
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
}

/* INN_OK with *failed set where the server could not take it: its log says why. */
static int snapshot_wait(struct inn_connection *connection, uint32_t shard, struct inn_snapshot_result *result,
                         bool *failed)
{
    int verdict = inn_snapshot(connection, shard, 1, 0, result);
    uint64_t wanted_lsn = result->header.lsn;
    uint32_t failed_before = result->failed;
    *failed = false;
    while (verdict == INN_OK && result->newest_lsn < wanted_lsn && !*failed) {
        progress_show(shard, result);
        look_again_later();
        verdict = inn_snapshot(connection, shard, 0, 0, result);
        *failed = verdict == INN_OK &&
                  (result->failed != failed_before || (result->running == 0 && result->newest_lsn < wanted_lsn));
    }
    progress_clear();
    return verdict;
}

enum exit_code command_snapshot(struct inn_connection *connection, const struct arguments *a)
{
    uint32_t shards = inn_hello(connection)->shards;
    for (uint32_t shard = 0; shard < shards; shard++) {
        struct inn_snapshot_result result = { .newest_lsn = 0 };
        bool failed = false;
        int verdict = snapshot_wait(connection, shard, &result, &failed);
        struct answer answer = answer_of(connection, a, INN_SNAPSHOT, verdict);
        if (verdict < 0)
            answer_print_failure(&answer);
        else
            answer_print_snapshot(&answer, &result, failed);
        if (verdict != INN_OK)
            return exit_code_of(verdict);
        if (failed)
            return EXIT_REFUSED;
    }
    return EXIT_DONE;
}
