/* The command line as a table: each command names its arguments, the options it takes and those it cannot do without.
 * argp reads it and writes the help. */
#include "tools/innkeep/commands.h"
#include "tools/quantity.h"

#include "engine/base/units.h"

#include <argp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *argp_program_version = "innkeep " INNKEEP_VERSION;

enum option_key {
    OPTION_SERVER = 256,
    OPTION_JSON,
    OPTION_TIMEOUT,
    OPTION_NO_RETRY,
    OPTION_FIRST_OF_COMMANDS,
    OPTION_BUSINESS_DATE = OPTION_FIRST_OF_COMMANDS,
    OPTION_ROOMS,
    OPTION_FROM,
    OPTION_TO,
    OPTION_WEEKDAYS,
    OPTION_ARRIVAL,
    OPTION_NIGHTS,
    OPTION_HOLD,
    OPTION_KEY,
    OPTION_WITHIN,
    OPTION_NOT_AFTER,
    OPTION_FENCE,
    OPTION_REFERENCE,
    OPTION_VERSION_EXPECTED,
    OPTION_OWNER,
    OPTION_TTL,
    OPTION_SESSION,
    OPTION_HASH,
    OPTION_RATE,
    OPTION_LAST,
};

#define BIT(option) (1u << ((option)-OPTION_FIRST_OF_COMMANDS))
static_assert(OPTION_LAST - OPTION_FIRST_OF_COMMANDS <= 32, "options seen are kept as bits");

enum positional {
    POSITIONAL_NONE,
    POSITIONAL_PROPERTY,
    POSITIONAL_TYPE,
    POSITIONAL_KEY,
    POSITIONAL_RESOURCE,
    POSITIONAL_TOKEN,
    POSITIONAL_LEVEL,
    POSITIONAL_DIRECTORY
};

#define BACKUP_RATE (128 * MIB)
#define POSITIONALS_MAX 3

struct command {
    const char *name;
    command_run *run;
    enum positional positionals[POSITIONALS_MAX];
    unsigned positionals_min;
    unsigned required;                 /* BIT of options */
    const struct argp_option *options; /* NULL: none */
    const char *arguments_text;
    const char *help; /* what it does; behind \v an example */
};

/* ---- Options ----------------------------------------------------------------------------------------------------- */

#define OPTION(text, key, value, help) \
    {                                  \
        text, key, value, 0, help, 0   \
    }
#define OPTIONS_END \
    {               \
        0           \
    }
#define OPTIONS_MUTATION                                                                                 \
    OPTION("key", OPTION_KEY, "UUID",                                                                    \
           "the mutation's own key; the same key and content again changes nothing twice "               \
           "(default: random)"),                                                                         \
        OPTION("within", OPTION_WITHIN, "DURATION", "not at all if not within this time (default 60s)"), \
        OPTION("not-after", OPTION_NOT_AFTER, "NANOSECONDS",                                             \
               "instead of --within, for an exact retry: the not_after that --json printed"),            \
        OPTION("fence", OPTION_FENCE, "RESOURCE:TOKEN", "only under this lease")

static const struct argp_option options_general[] = {
    OPTION("server", OPTION_SERVER, "ADDRESS",
           "HOST:PORT or unix:/path (default: environment INNKEEP_SERVER, else " INN_ADDRESS_DEFAULT ")"),
    OPTION("json", OPTION_JSON, NULL, "print one JSON object a reply"),
    OPTION("timeout", OPTION_TIMEOUT, "DURATION",
           "give up after this time (default: a mutation 2s past its deadline, others 10s)"),
    OPTION("no-retry", OPTION_NO_RETRY, NULL, "send once; do not connect again"),
    OPTIONS_END,
};

static const struct argp_option options_property_create[] = {
    OPTION("business-date", OPTION_BUSINESS_DATE, "DATE", "the first night that can be sold (default: today)"),
    OPTIONS_MUTATION,
    OPTIONS_END,
};
static const struct argp_option options_room_type_create[] = {
    OPTION("rooms", OPTION_ROOMS, "N", "rooms on every night"),
    OPTIONS_MUTATION,
    OPTIONS_END,
};
static const struct argp_option options_rooms_set[] = {
    OPTION("from", OPTION_FROM, "DATE", "first night"),
    OPTION("to", OPTION_TO, "DATE", "last night, included"),
    OPTION("weekdays", OPTION_WEEKDAYS, "mon,tue,...", "only nights that begin on these days (default: all)"),
    OPTION("rooms", OPTION_ROOMS, "N", "rooms on these nights"),
    OPTIONS_MUTATION,
    OPTIONS_END,
};
static const struct argp_option options_reserve[] = {
    OPTION("arrival", OPTION_ARRIVAL, "DATE", "first night"),
    OPTION("nights", OPTION_NIGHTS, "N", "nights of the stay"),
    OPTION("rooms", OPTION_ROOMS, "N", "rooms (default 1)"),
    OPTION("hold", OPTION_HOLD, "DURATION", "hold for this long, to be confirmed; else confirmed at once"),
    OPTION("reference", OPTION_REFERENCE, "NUMBER", "your own number, given back by lookup"),
    OPTIONS_MUTATION,
    OPTIONS_END,
};
static const struct argp_option options_change[] = {
    OPTION("expected-version", OPTION_VERSION_EXPECTED, "N", "only if the reservation is at this version"),
    OPTIONS_MUTATION,
    OPTIONS_END,
};
static const struct argp_option options_calendar[] = {
    OPTION("from", OPTION_FROM, "DATE", "first night"),
    OPTION("nights", OPTION_NIGHTS, "N", "how many nights"),
    OPTIONS_END,
};
static const struct argp_option options_lease_acquire[] = {
    OPTION("owner", OPTION_OWNER, "NAME", "who holds it, for people; at most 32 bytes"),
    OPTION("ttl", OPTION_TTL, "DURATION", "time to live"),
    OPTION("session", OPTION_SESSION, "UUID", "acquiring again from the same session renews (default: random)"),
    OPTIONS_END,
};
static const struct argp_option options_lease_renew[] = {
    OPTION("ttl", OPTION_TTL, "DURATION", "time to live from now on"),
    OPTIONS_END,
};
static const struct argp_option options_backup[] = {
    OPTION("rate", OPTION_RATE, "SIZE", "copy at most so much a second; 0: as fast as it goes (default 128M)"),
    OPTIONS_END,
};
static const struct argp_option options_status[] = {
    OPTION("hash", OPTION_HASH, NULL, "also the state hash, which reads all of the server's memory"),
    OPTIONS_END,
};

/* ---- Commands ---------------------------------------------------------------------------------------------------- */

#define RESERVATION_EXAMPLE_KEY "3f0c7a52-9f3e-4d1b-8a64-5f0c1d2e3a4b"
#define LEASE_NOTE "A booking needs no lease to be correct; never build anything that relies on one.\v"

static const struct command commands[] = {
    { "property create",
      command_property_create,
      { POSITIONAL_PROPERTY },
      1,
      0,
      options_property_create,
      "PROPERTY",
      "Create a property.\vExample: innkeep property create 1 --business-date 2026-12-01" },
    { "room-type create",
      command_room_type_create,
      { POSITIONAL_PROPERTY, POSITIONAL_TYPE },
      2,
      BIT(OPTION_ROOMS),
      options_room_type_create,
      "PROPERTY TYPE",
      "Create a room type of a property.\vExample: innkeep room-type create 1 3 --rooms 20" },
    { "rooms set",
      command_rooms_set,
      { POSITIONAL_PROPERTY, POSITIONAL_TYPE },
      2,
      BIT(OPTION_FROM) | BIT(OPTION_TO) | BIT(OPTION_ROOMS),
      options_rooms_set,
      "PROPERTY TYPE",
      "Set the rooms of the nights from one date to another, both included.\vExample: innkeep rooms set 1 3 --from "
      "2026-12-24 --to 2027-01-01 --weekdays fri,sat --rooms 18" },
    { "reserve",
      command_reserve,
      { POSITIONAL_PROPERTY, POSITIONAL_TYPE },
      2,
      BIT(OPTION_ARRIVAL) | BIT(OPTION_NIGHTS),
      options_reserve,
      "PROPERTY TYPE",
      "Reserve rooms if every night has them. Prints the key before it sends: with it the same command can be given "
      "again "
      "without booking twice, and the reservation looked up, confirmed, released or cancelled.\vExample: innkeep "
      "reserve 1 "
      "3 --arrival 2026-12-24 --nights 2 --hold 15m" },
    { "confirm",
      command_confirm,
      { POSITIONAL_PROPERTY, POSITIONAL_KEY },
      2,
      0,
      options_change,
      "PROPERTY KEY",
      "Confirm a held reservation.\vExample: innkeep confirm 1 " RESERVATION_EXAMPLE_KEY },
    { "release",
      command_release,
      { POSITIONAL_PROPERTY, POSITIONAL_KEY },
      2,
      0,
      options_change,
      "PROPERTY KEY",
      "Give back a held reservation.\vExample: innkeep release 1 " RESERVATION_EXAMPLE_KEY },
    { "cancel",
      command_cancel,
      { POSITIONAL_PROPERTY, POSITIONAL_KEY },
      2,
      0,
      options_change,
      "PROPERTY KEY",
      "Cancel a confirmed reservation.\vExample: innkeep cancel 1 " RESERVATION_EXAMPLE_KEY },
    { "lookup",
      command_lookup,
      { POSITIONAL_PROPERTY, POSITIONAL_KEY },
      2,
      0,
      NULL,
      "PROPERTY KEY",
      "Say what became of a key.\vExample: innkeep lookup 1 " RESERVATION_EXAMPLE_KEY },
    { "barrier",
      command_barrier,
      { POSITIONAL_PROPERTY },
      0,
      0,
      NULL,
      "[PROPERTY]",
      "Move log time to the server's clock, in the property's shard or in all: what was to happen before, and is "
      "unknown "
      "afterwards, never will.\vExample: innkeep barrier 1" },
    { "raise-level",
      command_raise_level,
      { POSITIONAL_LEVEL },
      0,
      0,
      NULL,
      "[LEVEL]",
      "Raise the engine level of every shard's log, to LEVEL or to the highest that this version knows. From then on "
      "commands are acted upon "
      "as that level does, and versions that do not know it refuse to start on the log: there is no way back. A shard "
      "that is there "
      "already is left alone.\vExample: innkeep raise-level" },
    { "snapshot",
      command_snapshot,
      { POSITIONAL_NONE },
      0,
      0,
      NULL,
      "",
      "Take a snapshot of every shard while it goes on serving, and wait until it is on disk: a restart then has "
      "nothing before it to "
      "replay.\vExample: innkeep snapshot" },
    { "backup",
      command_backup,
      { POSITIONAL_DIRECTORY },
      1,
      0,
      options_backup,
      "DIR",
      "Make DIR, a copy of the server's data while it goes on serving: a fresh snapshot of every shard and the log "
      "behind the one "
      "before it, all verified on the way. DIR holds at least all that was acknowledged when this began; it must not "
      "be there, or be "
      "empty, and appears when it is complete. To be run on the server's machine, by a user who may read its files. "
      "`innkeep-wal verify DIR' checks it, `innkeep-wal restore DIR NEW' makes a directory to serve on out of "
      "it.\vExample: innkeep backup "
      "/mnt/backup/innkeep-2026-12-24" },
    { "calendar",
      command_calendar,
      { POSITIONAL_PROPERTY, POSITIONAL_TYPE },
      1,
      BIT(OPTION_FROM) | BIT(OPTION_NIGHTS),
      options_calendar,
      "PROPERTY [TYPE]",
      "Show rooms, sold, held and available by night.\vExample: innkeep calendar 1 --from 2026-12-24 --nights 7" },
    { "lease acquire",
      command_lease_acquire,
      { POSITIONAL_PROPERTY, POSITIONAL_RESOURCE },
      2,
      BIT(OPTION_OWNER) | BIT(OPTION_TTL),
      options_lease_acquire,
      "PROPERTY RESOURCE",
      "Take a lease on a resource and get its fencing token. RESOURCE is a number, or any text, which becomes its "
      "XXH3-64 "
      "hash. " LEASE_NOTE "Example: innkeep lease acquire 1 desk --owner alice --ttl 5s" },
    { "lease renew",
      command_lease_renew,
      { POSITIONAL_PROPERTY, POSITIONAL_RESOURCE, POSITIONAL_TOKEN },
      3,
      BIT(OPTION_TTL),
      options_lease_renew,
      "PROPERTY RESOURCE TOKEN",
      "Renew a live lease. " LEASE_NOTE "Example: innkeep lease renew 1 desk 17 --ttl 5s" },
    { "lease release",
      command_lease_release,
      { POSITIONAL_PROPERTY, POSITIONAL_RESOURCE, POSITIONAL_TOKEN },
      3,
      0,
      NULL,
      "PROPERTY RESOURCE TOKEN",
      "End a lease. " LEASE_NOTE "Example: innkeep lease release 1 desk 17" },
    { "lease show",
      command_lease_show,
      { POSITIONAL_PROPERTY, POSITIONAL_RESOURCE },
      2,
      0,
      NULL,
      "PROPERTY RESOURCE",
      "Show a resource's newest lease. " LEASE_NOTE "Example: innkeep lease show 1 desk" },
    { "status",
      command_status,
      { POSITIONAL_NONE },
      0,
      0,
      options_status,
      "",
      "Show each shard: log position, counts, memory, commit latency, the lease alarm.\vExample: innkeep status "
      "--hash" },
};

/* ---- One option, one argument ------------------------------------------------------------------------------------ */

static void bad_value(const struct argp_state *state, const char *what, const char *text, const char *form)
{
    argp_error(state, "%s \"%s\": %s", what, text, form);
}

static uint64_t read_number(const struct argp_state *state, const char *what, const char *text, uint64_t max)
{
    uint64_t value = 0;
    if (!quantity_parse_number(text, 0, max, &value))
        argp_error(state, "%s \"%s\": a number from 0 to %llu is expected", what, text, (unsigned long long)max);
    return value;
}

static uint64_t read_duration(const struct argp_state *state, const char *what, const char *text)
{
    uint64_t value = 0;
    if (!quantity_parse_duration(text, &value))
        bad_value(state, what, text, "a duration such as 90, 500ms, 5s, 15m or 1h30m is expected");
    return value;
}

static int32_t read_date(const struct argp_state *state, const char *what, const char *text)
{
    int32_t value = 0;
    if (inn_date_parse(text, &value) != INN_OK)
        bad_value(state, what, text, "a date that exists, as YYYY-MM-DD, is expected");
    return value;
}

static struct inn_key read_key(const struct argp_state *state, const char *what, const char *text)
{
    struct inn_key value = { { 0 } };
    if (inn_key_parse(text, &value) != INN_OK)
        bad_value(state, what, text, "a UUID such as " RESERVATION_EXAMPLE_KEY " is expected");
    return value;
}

static error_t read_general_option(int key, char *text, struct argp_state *state)
{
    struct arguments *a = state->input;
    switch (key) {
    case OPTION_SERVER:
        a->server = text;
        return 0;
    case OPTION_JSON:
        a->json = true;
        return 0;
    case OPTION_TIMEOUT:
        a->timeout_ns = read_duration(state, "--timeout", text);
        if (a->timeout_ns == 0)
            argp_error(state, "--timeout: more than nothing is needed");
        return 0;
    case OPTION_NO_RETRY:
        a->retry = false;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t read_date_option(int key, const char *text, struct argp_state *state, struct arguments *a)
{
    switch (key) {
    case OPTION_BUSINESS_DATE:
        a->business_date = read_date(state, "--business-date", text);
        return 0;
    case OPTION_FROM:
        a->from = read_date(state, "--from", text);
        return 0;
    case OPTION_TO:
        a->to = read_date(state, "--to", text);
        return 0;
    case OPTION_ARRIVAL:
        a->arrival = read_date(state, "--arrival", text);
        return 0;
    case OPTION_HOLD:
        a->hold_ns = read_duration(state, "--hold", text);
        return 0;
    case OPTION_WITHIN:
        a->within_ns = read_duration(state, "--within", text);
        return 0;
    case OPTION_TTL:
        a->ttl_ns = read_duration(state, "--ttl", text);
        return 0;
    case OPTION_NOT_AFTER:
        a->not_after_ns = read_number(state, "--not-after", text, UINT64_MAX);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t read_other_option(int key, char *text, struct argp_state *state, struct arguments *a)
{
    switch (key) {
    case OPTION_ROOMS:
        a->rooms = (uint16_t)read_number(state, "--rooms", text, UINT16_MAX);
        return 0;
    case OPTION_NIGHTS:
        a->nights = (uint16_t)read_number(state, "--nights", text, UINT16_MAX);
        return 0;
    case OPTION_REFERENCE:
        a->external_reference = read_number(state, "--reference", text, UINT64_MAX);
        return 0;
    case OPTION_VERSION_EXPECTED:
        a->expected_version = (uint32_t)read_number(state, "--expected-version", text, UINT32_MAX);
        return 0;
    case OPTION_WEEKDAYS:
        if (!value_weekdays(text, &a->weekdays))
            bad_value(state, "--weekdays", text, "days such as mon,tue,sun are expected");
        return 0;
    case OPTION_FENCE:
        if (!value_fence(text, &a->fence))
            bad_value(state, "--fence", text, "RESOURCE:TOKEN is expected");
        return 0;
    case OPTION_KEY:
        a->key = read_key(state, "--key", text);
        a->has_key = true;
        return 0;
    case OPTION_SESSION:
        a->session = read_key(state, "--session", text);
        return 0;
    case OPTION_OWNER:
        a->owner = text;
        if (text[0] == '\0' || strlen(text) > INN_OWNER_SIZE)
            bad_value(state, "--owner", text, "a name of 1 to 32 bytes is expected");
        return 0;
    case OPTION_HASH:
        a->with_hash = true;
        return 0;
    case OPTION_RATE:
        if (!quantity_parse_size(text, &a->rate))
            bad_value(state, "--rate", text, "a size such as 64M or 1G is expected");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void read_positional(enum positional positional, char *text, struct argp_state *state, struct arguments *a)
{
    switch (positional) {
    case POSITIONAL_PROPERTY:
        a->property = read_number(state, "PROPERTY", text, UINT64_MAX);
        a->has_property = true;
        return;
    case POSITIONAL_TYPE:
        a->room_type = (uint32_t)read_number(state, "TYPE", text, UINT32_MAX);
        return;
    case POSITIONAL_KEY:
        a->reservation = read_key(state, "KEY", text);
        return;
    case POSITIONAL_RESOURCE:
        a->resource_text = text;
        if (!value_resource(text, &a->resource))
            bad_value(state, "RESOURCE", text, "a number of 64 bits, or a text, is expected");
        return;
    case POSITIONAL_TOKEN:
        a->token = read_number(state, "TOKEN", text, UINT64_MAX);
        return;
    case POSITIONAL_LEVEL:
        a->level = (uint32_t)read_number(state, "LEVEL", text, UINT32_MAX);
        return;
    case POSITIONAL_DIRECTORY:
        a->directory = text;
        return;
    case POSITIONAL_NONE:
        argp_error(state, "\"%s\" is one argument too many", text);
        return;
    }
}

/* ---- A command's words ------------------------------------------------------------------------------------------- */

struct reading {
    const struct command *command;
    struct arguments *arguments;
    unsigned seen; /* BIT of options */
};

static void check_complete(const struct reading *reading, struct argp_state *state)
{
    const struct command *command = reading->command;
    if (state->arg_num < command->positionals_min)
        argp_error(state, "%s expects: %s", command->name, command->arguments_text);
    for (const struct argp_option *o = command->options; o != NULL && o->name != NULL; o++)
        if ((command->required & ~reading->seen & BIT(o->key)) != 0)
            argp_error(state, "--%s is missing", o->name);
}

static error_t read_command_word(int key, char *text, struct argp_state *state)
{
    struct reading *reading = state->input;
    if (key == ARGP_KEY_INIT) {
        state->child_inputs[0] = reading->arguments;
        return 0;
    }
    if (key == ARGP_KEY_ARG) {
        bool surplus = state->arg_num >= POSITIONALS_MAX;
        read_positional(surplus ? POSITIONAL_NONE : reading->command->positionals[state->arg_num], text, state,
                        reading->arguments);
        return 0;
    }
    if (key == ARGP_KEY_END) {
        check_complete(reading, state);
        return 0;
    }
    if (key < OPTION_FIRST_OF_COMMANDS || key >= OPTION_LAST)
        return ARGP_ERR_UNKNOWN;
    reading->seen |= BIT(key);
    error_t done = read_date_option(key, text, state, reading->arguments);
    return done == ARGP_ERR_UNKNOWN ? read_other_option(key, text, state, reading->arguments) : done;
}

/* The words before the command: where it begins is where the first of them that is no option stands. */
static error_t read_front_word(int key, char *text, struct argp_state *state)
{
    if (key == ARGP_KEY_ARG || key == ARGP_KEY_ARGS)
        return ARGP_ERR_UNKNOWN; /* ends the parse here, with the word not taken */
    if (key == ARGP_KEY_NO_ARGS)
        argp_error(state, "a COMMAND is missing");
    return read_general_option(key, text, state);
}

static const char front_help[] = "Ask an Innkeep server, from the command line.\v"
                                 "Commands:\n"
                                 "  property create PROPERTY               room-type create PROPERTY TYPE\n"
                                 "  rooms set PROPERTY TYPE                reserve PROPERTY TYPE\n"
                                 "  confirm | release | cancel | lookup PROPERTY KEY\n"
                                 "  barrier [PROPERTY]                     calendar PROPERTY [TYPE]\n"
                                 "  lease acquire | renew | release | show PROPERTY RESOURCE [TOKEN]\n"
                                 "  status                                 raise-level [LEVEL]\n"
                                 "  snapshot                               backup DIR\n"
                                 "`innkeep COMMAND --help' says more of each.\n\n"
                                 "Exit status: 0 done, 1 refused, 2 usage, 3 no answer or outcome unknown.\n\n"
                                 "Example: innkeep --server 127.0.0.1:7433 calendar 1 --from 2026-12-24 --nights 7";

static const struct argp argp_general = { .options = options_general, .parser = read_general_option };

/* The command that the words at argv[0..argc-1] begin with, and how many words its name has. */
static const struct command *find_command(int argc, char **argv, int *words)
{
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
        const char *name = commands[i].name;
        const char *space = strchr(name, ' ');
        size_t first = space != NULL ? (size_t)(space - name) : strlen(name);
        if (strlen(argv[0]) != first || strncmp(argv[0], name, first) != 0)
            continue;
        if (space == NULL || (argc > 1 && strcmp(argv[1], space + 1) == 0)) {
            *words = space != NULL ? 2 : 1;
            return &commands[i];
        }
    }
    return NULL;
}

static void arguments_init(struct arguments *a)
{
    const char *server = getenv("INNKEEP_SERVER");
    time_t now = time(NULL);
    struct tm today;
    localtime_r(&now, &today);
    char date[INN_DATE_TEXT_SIZE];
    strftime(date, sizeof date, "%Y-%m-%d", &today);
    *a = (struct arguments){
        .server = server != NULL && server[0] != '\0' ? server : INN_ADDRESS_DEFAULT,
        .retry = true,
        .level = INN_ENGINE_LEVEL,
        .rate = BACKUP_RATE,
        .rooms = 1,
        .weekdays = INN_WEEKDAYS_ALL,
        .within_ns = 60 * NS_PER_SECOND,
    };
    REQUIRE(inn_date_parse(date, &a->business_date) == INN_OK);
}

static int read_front(int argc, char **argv, struct arguments *arguments)
{
    const struct argp front = {
        .options = options_general, .parser = read_front_word, .args_doc = "COMMAND ...", .doc = front_help
    };
    int index = argc;
    (void)argp_parse(&front, argc, argv, ARGP_IN_ORDER, &index, arguments);
    return index;
}

static void read_command(const struct command *command, int argc, char **argv, struct arguments *arguments)
{
    const struct argp_child children[] = { { &argp_general, 0, "For every command:", 0 }, { 0 } };
    const struct argp argp = {
        .options = command->options,
        .parser = read_command_word,
        .args_doc = command->arguments_text,
        .doc = command->help,
        .children = children,
    };
    struct reading reading = { .command = command, .arguments = arguments };
    if (argp_parse(&argp, argc, argv, 0, NULL, &reading) != 0)
        exit(EXIT_USAGE);
}

static _Noreturn void no_such_command(int argc, char **argv)
{
    const char *groups[] = { "property", "room-type", "rooms", "lease" };
    bool two_words = false;
    for (size_t i = 0; i < ARRAY_COUNT(groups) && argc > 0; i++)
        two_words = two_words || strcmp(argv[0], groups[i]) == 0;
    fprintf(stderr, "innkeep: \"%s%s%s\" is no command; try `innkeep --help'\n", argc > 0 ? argv[0] : "",
            two_words && argc > 1 ? " " : "", two_words && argc > 1 ? argv[1] : "");
    exit(EXIT_USAGE);
}

command_run *arguments_read(int argc, char **argv, struct arguments *arguments)
{
    argp_err_exit_status = EXIT_USAGE;
    arguments_init(arguments);
    int first = read_front(argc, argv, arguments);
    int words = 0;
    const struct command *command = first < argc ? find_command(argc - first, argv + first, &words) : NULL;
    if (command == NULL)
        no_such_command(argc - first, argv + first);
    /* argp takes the word before the arguments for the program's name in messages and help. */
    char name[64];
    snprintf(name, sizeof name, "innkeep %s", command->name);
    char **rest = argv + first + words - 1;
    rest[0] = name;
    read_command(command, argc - first - words + 1, rest, arguments);
    return command->run;
}
