/* innkeep-wal: looks at a data directory without changing it. It takes no lock, so it works on a live directory and on a copy alike. */
#include "tools/innkeep-wal/tool.h"

#include <argp.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *argp_program_version = "innkeep-wal " INNKEEP_VERSION;

static const char documentation[] =
    "Looks at an Innkeep data directory and changes nothing, be the server running or not."
    "\v"
    "verify  checks every checksum and the chain of frames, then replays the whole log and checks the engine's "
    "own books; prints a verdict for each shard.\n"
    "dump    prints one line for each record: LSN, log time, frame, operation, fields by name, and what came of it.\n"
    "replay  prints for each shard the LSN reached and the state hash, and the hash over all shards, which is the sum "
    "of theirs modulo 2^128.\n"
    "\n"
    "Exit codes:\n"
    "  0  clean\n"
    "  1  a torn tail: bytes behind the last good frame that were never acknowledged as far as the log can tell; a "
    "server sets them aside at its next start. On a live directory, this may be a frame on its way.\n"
    "  2  usage\n"
    "  3  damaged: something acknowledged is missing or bad, or the log holds what no server wrote\n"
    "  4  cannot be read (or, with --to-lsn, does not reach that far; or --calendar cannot be written)\n"
    "\n"
    "Examples:\n"
    "  innkeep-wal verify ./data\n"
    "  innkeep-wal dump ./data --shard 0 --from-lsn 1000\n"
    "  innkeep-wal dump ./data --json | jq 'select(.outcome.status == \"SOLD_OUT\")'\n"
    "  innkeep-wal replay ./data --calendar out.csv\n"
    "  innkeep-wal replay ./data --to-lsn 0:5000,1:4200\n"
    "  innkeep-wal replay ./data --to-lsn 5000          (a directory of one shard)\n"
    "\n"
    "Records without outcomes (--no-replay) are printed faster and with less memory: a replay needs as much as the "
    "server's engine did. In JSON, numbers beyond 2^63-1 are strings.";

enum {
    KEY_JSON = 0x100,
    KEY_FROM_LSN,
    KEY_SHARD,
    KEY_NO_REPLAY,
    KEY_TO_LSN,
    KEY_CALENDAR,
};

static const struct argp_option argp_options[] = {
    { "json", KEY_JSON, NULL, 0, "Print JSON: one object, or with dump one object a line", 0 },
    { "from-lsn", KEY_FROM_LSN, "N", 0, "dump: begin with this LSN", 0 },
    { "shard", KEY_SHARD, "S", 0, "dump: only this shard", 0 },
    { "no-replay", KEY_NO_REPLAY, NULL, 0, "dump: leave the outcomes out", 0 },
    { "to-lsn", KEY_TO_LSN, "SHARD:LSN,...", 0,
      "replay: apply nothing behind this LSN; a bare LSN means shard 0 of one", 0 },
    { "calendar", KEY_CALENDAR, "OUT.csv", 0, "replay: write property,room_type,night,sold", 0 },
    { NULL, 0, NULL, 0, NULL, 0 },
};

typedef enum tool_exit tool_command(struct tool *tool);

static const struct {
    const char *name;
    tool_command *run;
    int keys[4]; /* the options it takes beside --json */
} commands[] = {
    { "verify", verify_command, { 0 } },
    { "dump", dump_command, { KEY_FROM_LSN, KEY_SHARD, KEY_NO_REPLAY } },
    { "replay", replay_command, { KEY_TO_LSN, KEY_CALENDAR } },
};

struct arguments {
    struct tool tool;
    int command; /* -1: none yet */
    bool bare_lsn;
    int keys[8]; /* options seen, to be held against the command's */
    size_t keys_count;
};

/* The decimal number that `text` begins with; *end is what follows it. False, and both untouched or useless, where there is none. */
static bool number_parse(const char *text, const char **end, uint64_t *value)
{
    char *stop;
    if (!isdigit((unsigned char)*text))
        return false;
    errno = 0;
    unsigned long long parsed = strtoull(text, &stop, 10);
    *value = parsed;
    *end = stop;
    return errno == 0;
}

static uint64_t number_argument(struct argp_state *state, const char *text, uint64_t max, const char *option)
{
    const char *end = text;
    uint64_t value = 0;
    if (!number_parse(text, &end, &value) || *end != '\0' || value > max)
        argp_error(state, "%s: \"%s\" is no number that fits", option, text);
    return value;
}

static void to_lsn_argument(struct argp_state *state, struct arguments *arguments, const char *text)
{
    const char *at = text;
    uint64_t first = 0;
    uint64_t lsn = 0;
    arguments->bare_lsn = strchr(text, ':') == NULL;
    if (arguments->bare_lsn) {
        arguments->tool.to_lsn[0] = number_argument(state, text, NEVER_NS - 1, "--to-lsn");
        return;
    }
    for (bool more = true; more; at++) {
        bool good = number_parse(at, &at, &first) && *at == ':' && number_parse(at + 1, &at, &lsn) &&
                    (*at == ',' || *at == '\0');
        if (!good || first >= WAL_SHARDS_MAX)
            argp_error(state, "--to-lsn: \"%s\" is not SHARD:LSN,...", text);
        arguments->tool.to_lsn[first] = lsn;
        more = *at == ',';
    }
}

static void word_argument(struct argp_state *state, struct arguments *arguments, const char *word)
{
    if (arguments->command >= 0) {
        if (arguments->tool.path != NULL)
            argp_error(state, "one directory at a time, not \"%s\" as well", word);
        arguments->tool.path = word;
        return;
    }
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
        if (strcmp(word, commands[i].name) == 0)
            arguments->command = (int)i;
    if (arguments->command < 0)
        argp_error(state, "\"%s\" is none of verify, dump, replay", word);
}

static void options_check(struct argp_state *state, const struct arguments *arguments)
{
    for (size_t i = 0; i < arguments->keys_count; i++) {
        bool taken = false;
        for (size_t k = 0; k < ARRAY_COUNT(commands[0].keys); k++)
            taken |= commands[arguments->command].keys[k] == arguments->keys[i];
        if (!taken)
            argp_error(state, "%s does not take --%s", commands[arguments->command].name,
                       argp_options[arguments->keys[i] - KEY_JSON].name);
    }
}

static error_t option_parse(int key, char *text, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    struct tool *tool = &arguments->tool;
    if (key > KEY_JSON && key <= KEY_CALENDAR && arguments->keys_count < ARRAY_COUNT(arguments->keys))
        arguments->keys[arguments->keys_count++] = key;
    switch (key) {
    case KEY_JSON:
        tool->json = true;
        return 0;
    case KEY_FROM_LSN:
        tool->from_lsn = number_argument(state, text, UINT64_MAX, "--from-lsn");
        return 0;
    case KEY_SHARD:
        tool->shard = (uint32_t)number_argument(state, text, WAL_SHARDS_MAX - 1, "--shard");
        return 0;
    case KEY_NO_REPLAY:
        tool->with_outcomes = false;
        return 0;
    case KEY_TO_LSN:
        to_lsn_argument(state, arguments, text);
        return 0;
    case KEY_CALENDAR:
        tool->calendar_path = text;
        return 0;
    case ARGP_KEY_ARG:
        word_argument(state, arguments, text);
        return 0;
    case ARGP_KEY_END:
        if (arguments->command < 0 || tool->path == NULL)
            argp_usage(state);
        options_check(state, arguments);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* What can only be judged once the directory is open. */
static bool arguments_fit(const struct arguments *arguments)
{
    const struct tool *tool = &arguments->tool;
    uint32_t shards = tool->directory.header.shards_count;
    if (arguments->bare_lsn && shards != 1) {
        fprintf(stderr, "innkeep-wal: --to-lsn: %s has %u shards, so name them: --to-lsn 0:LSN,1:LSN,...\n", tool->path,
                shards);
        return false;
    }
    for (uint32_t shard = shards; shard < WAL_SHARDS_MAX; shard++)
        if (tool->to_lsn[shard] != NEVER_NS || tool->shard == shard) {
            fprintf(stderr, "innkeep-wal: %s has %u shards, counted from 0; there is no shard %u\n", tool->path, shards,
                    shard);
            return false;
        }
    return true;
}

static enum tool_exit command_run(struct arguments *arguments)
{
    struct tool *tool = &arguments->tool;
    char why[512];
    if (wal_directory_inspect(tool->io, tool->path, &tool->directory, why, sizeof why) != 0) {
        fprintf(stderr, "innkeep-wal: %s\n", why);
        return TOOL_UNREADABLE;
    }
    enum tool_exit verdict = arguments_fit(arguments) ? commands[arguments->command].run(tool) : TOOL_USAGE;
    wal_directory_close(tool->io, &tool->directory);
    return verdict;
}

/* Output that did not arrive is no success, whatever the log is like. */
static enum tool_exit output_check(enum tool_exit verdict)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return verdict;
    fprintf(stderr, "innkeep-wal: cannot write the output: %s\n", strerror(errno));
    return TOOL_UNREADABLE;
}

int main(int argc, char **argv)
{
    struct arguments arguments = { .tool = { .with_outcomes = true, .shard = SHARD_ALL }, .command = -1 };
    for (size_t i = 0; i < ARRAY_COUNT(arguments.tool.to_lsn); i++)
        arguments.tool.to_lsn[i] = NEVER_NS;
    argp_err_exit_status = TOOL_USAGE;
    const struct argp argp = { argp_options, option_parse, "verify|dump|replay DIR", documentation, NULL, NULL, NULL };
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    const struct io_options io_options = { .ring_entries = 0 };
    const char *why = NULL;
    int error = io_create(&io_options, &arguments.tool.io, &why);
    if (error != 0) {
        fprintf(stderr, "innkeep-wal: %s\n", why != NULL ? why : strerror(-error));
        return TOOL_UNREADABLE;
    }
    enum tool_exit verdict = command_run(&arguments);
    io_destroy(arguments.tool.io);
    return (int)output_check(verdict);
}
