#include "tools/innkeep-wal/arguments.h"

#include "engine/base/civil_date.h"
#include "net/include/innkeep/innkeep.h"
#include "tools/innkeep-wal/moment.h"
#include "tools/quantity.h"

#include <argp.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *argp_program_version = "innkeep-wal " INNKEEP_VERSION;

/* ---- The commands --------------------------------------------------------------------------------------------------------------- */

enum {
    DIFF = 1u << 0,
    DUMP = 1u << 1,
    INFO = 1u << 2,
    REPLAY = 1u << 3,
    TIMELINE = 1u << 4,
    VERIFY = 1u << 5,
    WHAT_IF = 1u << 6,
    CUT = 1u << 7,
    RESTORE = 1u << 8,
    RESHARD = 1u << 9,
    FOLLOW = 1u << 10,
};

#define FOLLOW_INTERVAL_NS NS_PER_SECOND
#define FOLLOW_RATE (128 * MIB)

static const char general_documentation[] =
    "Looks at an Innkeep data directory and, but for cut, changes nothing in it, be the server running or not. COMMAND "
    "is "
    "one of:"
    "\v"
    "info      lists what is there: segments, snapshots and other files, LSN and time ranges, limits, records by "
    "operation.\n"
    "verify    checks every checksum and the chain of frames, then replays the whole log and checks the "
    "promises it has to keep, record by record; does the same with the snapshots, and holds them against the replay; "
    "prints a verdict for each shard.\n"
    "timeline  tells who did what to a room, a reservation or a lease, in order: attempts with their outcomes and the "
    "reason, leases taken and run out, and from when on each was durable.\n"
    "dump      prints one line for each record: LSN, log time, frame, operation, fields by name, and what came of it.\n"
    "replay    prints for each shard the LSN reached and the state hash, and the hash over all shards, which is the "
    "sum "
    "of theirs modulo 2^128; makes a data directory of that state with --snapshot.\n"
    "diff      says what differs between two directories, or between two moments of one, in a hotel's terms.\n"
    "what-if   replays the log with more or fewer rooms, and says how much of the refused demand would have found "
    "some.\n"
    "follow    keeps a copy of a directory that is being served, seconds behind.\n"
    "restore   makes a directory that a server can start on out of a copy of one.\n"
    "reshard   makes another directory with the same state over another number of shards.\n"
    "cut       ends the log at an LSN, for good: the only command that changes a log. It wants a backup and a yes.\n"
    "\n"
    "Each has a --help of its own.\n"
    "\n"
    "A server gives up segments that two snapshots make up for. Where segment 1 is gone, reading begins with the "
    "oldest "
    "snapshot that is whole, and what lies before it cannot be told any more; replay and diff begin with the newest "
    "snapshot "
    "that is not behind the moment asked for, because that is quicker. Where it began, and each snapshot that was "
    "passed "
    "over, is said on stderr, and in \"begins\" with --json.\n"
    "\n"
    "Exit codes:\n"
    "  0  clean\n"
    "  1  a torn tail: bytes behind the last good frame that were never acknowledged as far as the log can tell; a "
    "server sets them aside at its next start. On a live directory, this may be a frame on its way.\n"
    "  2  usage\n"
    "  3  damaged: something acknowledged is missing or bad, or the log holds what no server wrote. From info and "
    "verify also if only a snapshot or the manifest is, though the log still gives the state; the other commands then "
    "say so and go on.\n"
    "  4  cannot be read (or, with --to-lsn, does not reach that far, or not back that far; or what was to be written "
    "cannot be)\n"
    "\n"
    "Examples:\n"
    "  innkeep-wal verify ./data\n"
    "  innkeep-wal timeline ./data --property 1 --room-type 101 --night 2026-12-24\n"
    "  innkeep-wal dump ./data --shard 0 --from-lsn 1000\n"
    "  innkeep-wal replay ./data --calendar out.csv\n"
    "\n"
    "In JSON, numbers beyond 2^63-1 are strings. A replay, which all but info and dump --no-replay need, takes as much "
    "memory "
    "as the "
    "server's engine did.";

static const char info_documentation[] =
    "Lists what a data directory holds: its format and uuid, and for each shard the verdict, LSN and time ranges, the "
    "limits in force, "
    "records by operation, its snapshots and its manifest, and every file with what it spans."
    "\v"
    "Every checksum is read, but nothing is replayed: that is verify's. A segment is \"in use\" if it is the newest, "
    "\"closed\" if a "
    "newer one follows, \"retired\" if no snapshot that the manifest names needs it, \"ready\" if it was made ahead, "
    "\"being made\" if it is being filled with zeros. Of each snapshot all checksums are read; it needs the segments "
    "from "
    "the one on that it names. Frames in front of the snapshot that reading begins with are not counted.\n"
    "\n"
    "Examples:\n"
    "  innkeep-wal info ./data\n"
    "  innkeep-wal info ./data --json | jq '.shards[].last_lsn'";

static const char verify_documentation[] =
    "Checks every checksum and the chain of frames, then replays the whole log "
    "and checks the promises that it has to keep."
    "\v"
    "Behind each record: no night of a reserve is oversold; sellable, sold and "
    "held of the nights concerned changed exactly as the "
    "outcome says; what took effect under a token did so under the resource's "
    "newest, live lease; nothing took effect after its "
    "deadline. Now and then, ever more rarely as the log goes on, and at its "
    "end: all counters are recomputed from the reservations, and all "
    "indexes are held against their tables (--every-frame and --every-record do "
    "it more often). The first violation is named with its LSN.\n"
    "\n"
    "Each snapshot is read, loaded into an engine of its own, and that one checked; "
    "where the replay comes by its frame, it has to have come to the same state "
    "there. The manifest has to agree with what is there. One that is damaged, "
    "missing or somebody else's is damage (3), even if the log gives the state "
    "without it, and the report says which of the two it is.\n"
    "\n"
    "Examples:\n"
    "  innkeep-wal verify ./data && echo good\n"
    "  innkeep-wal verify ./data --every-record --json";

static const char timeline_documentation[] =
    "Tells who did what, in order, one event a line: leases taken, renewed, released and run out, each attempt with "
    "its token, key, "
    "log time, LSN and outcome, holds that ran out, and by which frame each was known to be durable."
    "\v"
    "What is told about is narrowed down by a room type and a night (the reserves, changes and supply that concern "
    "it), by a key "
    "(of a reservation, or of one of its changes) or by a resource (its leases, and what was written under them). "
    "Leases whose "
    "tokens those attempts carried, or were fenced off by, are shown along with them.\n"
    "\n"
    "Leases and holds run out without a record in the log; those lines stand at their deadlines and have no LSN. "
    "\"durable\" names the first later frame whose header says that the event's own frame was on disk, and how much "
    "later it was "
    "written; \"not shown\" means that the log ends before any frame says so. \"the log begins here\" stands where "
    "events "
    "before it are in segments that were recycled: leases and holds from then are known by what they were at that "
    "moment.\n"
    "\n"
    "Examples:\n"
    "  innkeep-wal timeline ./data --property 1 --room-type 101 --night 2026-12-24\n"
    "  innkeep-wal timeline ./data --property 1 --key $KEY --full-keys\n"
    "  innkeep-wal timeline ./data --property 1 --resource 101 --json";

static const char dump_documentation[] =
    "Prints one line for each record: LSN, log time, frame, operation, fields by name, and what came of it."
    "\v"
    "Conditions add up; without any, everything is printed. A record is selected by --room-type and --night if it "
    "reserves that night, "
    "changes a reservation of it, or sets its supply.\n"
    "\n"
    "Examples:\n"
    "  innkeep-wal dump ./data --shard 0 --from-lsn 1000 --no-replay\n"
    "  innkeep-wal dump ./data --property 1 --night 2026-12-24 --refused\n"
    "  innkeep-wal dump ./data --kind reserve,cancel --property 1\n"
    "  innkeep-wal dump ./data --from-time 2026-11-23T07:00:00Z\n"
    "  innkeep-wal dump ./data --json | jq 'select(.outcome.status == \"SOLD_OUT\")'";

static const char replay_documentation[] =
    "Prints for each shard the LSN reached, the log time and the state hash, and the hash over all shards."
    "\v"
    "--snapshot makes OUT, a data directory of that state which a server can start on and this tool can read: a new "
    "one, "
    "with "
    "a uuid of its own and without the log that led to the state. It goes on at the next multiple of 2^40 above every "
    "LSN in DIR, so that no fencing token comes twice. OUT appears in one step at the end; it must not be there, or be "
    "empty. OUT.making is what it is made in.\n"
    "\n"
    "Examples:\n"
    "  innkeep-wal replay ./data --to-lsn 5000 --snapshot ./data-5000\n"
    "  innkeep-wal replay ./data --calendar out.csv\n"
    "  innkeep-wal replay ./data --to-lsn 0:5000,1:4200\n"
    "  innkeep-wal replay ./data --to-lsn 5000          (a directory of one shard)\n"
    "  innkeep-wal replay ./data --to-time 2026-11-23T07:21:17Z";

static const char diff_documentation[] =
    "Says what differs between two directories, or between two moments of one: properties, room types, nights whose "
    "rooms sellable, sold or held differ, reservations and leases. One line a difference; nights in a row that differ "
    "alike share one."
    "\v"
    "The first --lsn (or --time) is where the first side's log is taken to end, the second where the second's; "
    "without, it is the log's end.\n"
    "\n"
    "Memory: the engines of both sides (one shard of each at a time where the shard counts agree), and 32 bytes for "
    "each "
    "property, reservation and leased resource that either side holds.\n"
    "\n"
    "Examples:\n"
    "  innkeep-wal diff ./data ./copy\n"
    "  innkeep-wal diff ./data --lsn 0:5000,1:4200 --lsn 0:6000,1:5100\n"
    "  innkeep-wal diff ./data --time 2026-11-23T07:21:17Z";

static const char what_if_documentation[] =
    "Replays the log with more or fewer rooms of some types, and says how much of the demand that was refused would "
    "have found one."
    "\v"
    "Every ROOM_TYPE_CREATE and ROOMS_SET of a room type that is named counts as many rooms more (or, with a minus, "
    "fewer); everything "
    "else is as it was. Where the log begins with a snapshot, its rooms count so too, and what was refused before is "
    "not "
    "counted. What it cannot know is said with the result. Memory: twice the engine's.\n"
    "\n"
    "Examples:\n"
    "  innkeep-wal what-if ./data --rooms 1:101=+2\n"
    "  innkeep-wal what-if ./data --rooms 1:101=+2 --rooms 1:102=-1 --json";

static const char restore_documentation[] =
    "Makes DIR, a directory that a server can start on, out of BACKUP, a copy of one, which is only read."
    "\v"
    "BACKUP is verified as by verify, copied, read once more, and each shard goes on at the next multiple of 2^40 "
    "above every LSN in it, so that "
    "tokens which the original gave out after the copy was made are never given out again; an EPOCH record says so. "
    "DIR appears in one step at the end; it must "
    "not be there, or be empty. DIR.restoring is what it is made in.\n"
    "\n"
    "The restored directory keeps the uuid: it is the same house, gone on from an earlier moment. Let the original "
    "never serve again; if it was itself cut or "
    "restored since the copy, name the last LSNs that it gave out with --granted-lsn.\n"
    "\n"
    "Examples:\n"
    "  innkeep-wal restore ./copy ./data\n"
    "  innkeep-wal restore ./copy ./data --granted-lsn 0:1099511630000,1:1099511629000";

static const char follow_documentation[] =
    "Keeps COPY, on another disk say, a copy of the data directory SOURCE while that is being served, seconds behind."
    "\v"
    "The first time COPY is made, from the newest snapshots that are whole: COPY.copying, until it is complete. From "
    "then on, "
    "once an interval, what came since is read as recovery reads it, and each frame that verifies is added; snapshots "
    "are verified, copied, and "
    "given up with the log before them as the source does it. COPY ends clean, verifies at any time, and becomes a "
    "directory to serve on with innkeep-wal restore.\n"
    "\n"
    "Started again, it goes on from what COPY holds. SIGTERM and SIGINT end it, with all it has copied durable. "
    "Where the source has given up what was not copied yet, the shard is copied anew from its newest snapshots. A "
    "source that went on otherwise "
    "than the copy (cut, restored) is refused, and the copy left as it is.\n"
    "\n"
    "What it says, once a second on a terminal and else once a minute: up to where the copy is, and how far it was "
    "behind at most since the line before, in "
    "records and in time.\n"
    "\n"
    "Examples:\n"
    "  innkeep-wal follow /var/lib/innkeep /mnt/other/innkeep\n"
    "  innkeep-wal follow ./data ./copy --once && innkeep-wal verify ./copy\n"
    "  innkeep-wal restore ./copy ./data-again";

static const char reshard_documentation[] =
    "Makes OUT, a data directory with the state of DIR over N shards. DIR is only read, and no server may run on it."
    "\v"
    "The state hash over all shards is the same before and after, and is checked. The log of each new shard begins "
    "with its share of the state as a snapshot, and "
    "goes on at the next multiple of 2^40 above every LSN that any old shard gave out, so that no fencing token comes "
    "twice. What was in the old "
    "logs stays there: keep DIR for as long as somebody may ask how a state came about. Limits are divided over the "
    "new shards, with at least as many places as "
    "each one needs.\n"
    "\n"
    "OUT appears in one step at the end; it must not be there, or be empty. OUT.resharding is what it is made in. "
    "Memory: the engines of all old "
    "shards, and of one new one.\n"
    "\n"
    "Example:\n"
    "  innkeep-wal reshard ./data ./data-8 --shards 8";

static const char cut_documentation[] =
    "Ends the log of the named shards behind an LSN, for good. The only command that changes a log."
    "\v"
    "For a log that is damaged, or that went wrong and is to go on from before that. No server may run on DIR. "
    "--backup names a complete copy of DIR, on "
    "files of its own, which is read through and held against DIR first: what is cut away is then nowhere else. What "
    "will be lost is "
    "said, by operation and in a hotel's terms; then --yes, or the word cut typed at the terminal, goes on.\n"
    "\n"
    "A shard that is not named stays whole. Shards have clocks of their own but one wall: name them all if they shall "
    "stand at the same "
    "moment; for those that stay, the LSN at that moment is printed.\n"
    "\n"
    "The log goes on at the next multiple of 2^40 above every LSN it ever gave out, so that no fencing token comes "
    "twice; an EPOCH record says so. "
    "Interrupted anywhere, the same command finishes it; until then no server starts on DIR.\n"
    "\n"
    "Examples:\n"
    "  cp -a ./data ./copy && innkeep-wal cut ./data --at-lsn 0:5000,1:4200 --backup ./copy\n"
    "  innkeep-wal cut ./data --at-lsn 5000 --backup ./copy --yes     (a directory of one shard)";

struct command {
    const char *name;
    unsigned bit;
    tool_command *run;
    const char *documentation;
};

static const struct command commands[] = {
    { "info", INFO, info_command, info_documentation },
    { "verify", VERIFY, verify_command, verify_documentation },
    { "timeline", TIMELINE, timeline_command, timeline_documentation },
    { "dump", DUMP, dump_command, dump_documentation },
    { "replay", REPLAY, replay_command, replay_documentation },
    { "diff", DIFF, diff_command, diff_documentation },
    { "what-if", WHAT_IF, what_if_command, what_if_documentation },
    { "follow", FOLLOW, follow_command, follow_documentation },
    { "restore", RESTORE, restore_command, restore_documentation },
    { "reshard", RESHARD, reshard_command, reshard_documentation },
    { "cut", CUT, cut_command, cut_documentation },
};

#define COMMANDS_TEXT "info, verify, timeline, dump, replay, diff, what-if, follow, restore, reshard, cut"

/* ---- The options ---------------------------------------------------------------------------------------------------------------- */

enum {
    KEY_JSON = 0x100,
    KEY_PROPERTY,
    KEY_ROOM_TYPE,
    KEY_NIGHT,
    KEY_KEY,
    KEY_RESOURCE,
    KEY_KIND,
    KEY_REFUSED,
    KEY_FROM_LSN,
    KEY_TO_LSN,
    KEY_FROM_TIME,
    KEY_TO_TIME,
    KEY_SHARD,
    KEY_NO_REPLAY,
    KEY_FULL_KEYS,
    KEY_TO_POINT,
    KEY_CALENDAR,
    KEY_SNAPSHOT,
    KEY_EVERY_FRAME,
    KEY_EVERY_RECORD,
    KEY_ROOMS,
    KEY_LSN,
    KEY_TIME,
    KEY_AT_LSN,
    KEY_BACKUP,
    KEY_YES,
    KEY_GRANTED_LSN,
    KEY_SHARDS,
    KEY_INTERVAL,
    KEY_ONCE,
    KEY_RATE,
};

/* Option groups of argp keep this order in --help. */
static const struct {
    struct argp_option option;
    unsigned commands;
} options[] = {
    { { "property", KEY_PROPERTY, "P", 0, "Only this property", 1 }, DUMP | TIMELINE },
    { { "room-type", KEY_ROOM_TYPE, "T", 0, "Only what concerns this room type", 1 }, DUMP | TIMELINE },
    { { "night", KEY_NIGHT, "YYYY-MM-DD", 0, "Only what concerns the night that begins on this date", 1 },
      DUMP | TIMELINE },
    { { "key", KEY_KEY, "UUID", 0, "Only this key: a mutation's, a reservation's, or the session of a lease's taker",
        1 },
      DUMP | TIMELINE },
    { { "resource", KEY_RESOURCE, "R", 0,
        "Only leases of this resource (a number, or a name), and what was written under them", 1 },
      DUMP | TIMELINE },
    { { "kind", KEY_KIND, "NAME,...", 0, "Only these operations: reserve, lease_acquire, ...", 1 }, DUMP },
    { { "refused", KEY_REFUSED, NULL, 0, "Only what was not answered with OK", 1 }, DUMP },
    { { "from-lsn", KEY_FROM_LSN, "N", 0, "Begin with this LSN", 2 }, DUMP | TIMELINE },
    { { "to-lsn", KEY_TO_LSN, "N", 0, "End with this LSN", 2 }, DUMP | TIMELINE },
    { { "to-lsn", KEY_TO_POINT, "SHARD:LSN,...", 0, "Apply nothing behind this LSN; a bare LSN means shard 0 of one",
        2 },
      REPLAY },
    { { "from-time", KEY_FROM_TIME, "TIME", 0, "Begin with this log time: RFC 3339, or nanoseconds since 1970", 2 },
      DUMP | TIMELINE },
    { { "to-time", KEY_TO_TIME, "TIME", 0, "End with this log time", 2 }, DUMP | TIMELINE | REPLAY },
    { { "lsn", KEY_LSN, "SHARD:LSN,...", 0, "End a side's log behind this LSN; a bare LSN means shard 0 of one", 2 },
      DIFF },
    { { "time", KEY_TIME, "TIME", 0, "End a side's log behind this log time", 2 }, DIFF },
    { { "rooms", KEY_ROOMS, "P:T=+N", 0, "So many rooms of property P's type T more, or fewer; may be repeated", 1 },
      WHAT_IF },
    { { "shard", KEY_SHARD, "S", 0, "Only this shard", 2 }, DUMP },
    { { "every-frame", KEY_EVERY_FRAME, NULL, 0, "Check the whole of the engine's books behind each frame: slow", 3 },
      VERIFY },
    { { "every-record", KEY_EVERY_RECORD, NULL, 0, "The same behind each record: slower still", 3 }, VERIFY },
    { { "no-replay", KEY_NO_REPLAY, NULL, 0, "Leave the outcomes out: faster, and in little memory", 3 }, DUMP },
    { { "full-keys", KEY_FULL_KEYS, NULL, 0, "Print keys in all their digits", 3 }, TIMELINE },
    { { "calendar", KEY_CALENDAR, "OUT.csv", 0, "Write property,room_type,night,sold", 3 }, REPLAY },
    { { "snapshot", KEY_SNAPSHOT, "OUT", 0, "Make OUT, a data directory of this state that a server can start on", 3 },
      REPLAY },
    { { "at-lsn", KEY_AT_LSN, "SHARD:LSN,...", 0, "The last LSN that stays, of each shard that is cut", 3 }, CUT },
    { { "shards", KEY_SHARDS, "N", 0, "How many shards there are to be", 3 }, RESHARD },
    { { "granted-lsn", KEY_GRANTED_LSN, "SHARD:LSN,...", 0,
        "The last LSNs that the original is known to have given out since", 3 },
      RESTORE },
    { { "backup", KEY_BACKUP, "DIR2", 0, "A complete copy of DIR", 3 }, CUT },
    { { "interval", KEY_INTERVAL, "TIME", 0, "How often to look for what came since (default 1s)", 3 }, FOLLOW },
    { { "once", KEY_ONCE, NULL, 0, "End when the copy is where the source was", 3 }, FOLLOW },
    { { "rate", KEY_RATE, "SIZE", 0, "Copy at most so much a second; 0: as fast as it goes (default 128M)", 3 },
      FOLLOW },
    { { "yes", KEY_YES, NULL, 0, "Do not ask", 3 }, CUT },
    { { "json", KEY_JSON, NULL, 0, "Print JSON: one object, or one a line with dump, timeline and follow", 3 }, ~0u },
};

struct arguments {
    struct tool *tool;
    const struct command *command;
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

static uint64_t number_argument(struct argp_state *state, const char *option, const char *text, uint64_t least,
                                uint64_t most)
{
    const char *end = text;
    uint64_t value = 0;
    if (!number_parse(text, &end, &value) || *end != '\0' || value > most)
        argp_error(state, "%s: \"%s\" is no number that fits", option, text);
    if (value < least)
        argp_error(state, "%s: numbers start at %" PRIu64, option, least);
    return value;
}

static uint64_t time_argument(struct argp_state *state, const char *option, const char *text)
{
    uint64_t value = 0;
    if (!moment_parse(text, &value))
        argp_error(state, "%s: \"%s\" is neither RFC 3339 (2026-11-23T07:21:14.5Z) nor nanoseconds since 1970", option,
                   text);
    return value;
}

static void point_argument(struct argp_state *state, struct tool_point *point, const char *option, const char *text)
{
    const char *at = text;
    uint64_t shard = 0;
    uint64_t lsn = 0;
    point->is_bare = strchr(text, ':') == NULL;
    if (point->is_bare) {
        point->lsn[0] = number_argument(state, option, text, 0, NEVER_NS - 1);
        return;
    }
    for (bool more = true; more; at++) {
        bool good = number_parse(at, &at, &shard) && *at == ':' && number_parse(at + 1, &at, &lsn) &&
                    (*at == ',' || *at == '\0');
        if (!good || shard >= WAL_SHARDS_MAX)
            argp_error(state, "%s: \"%s\" is not SHARD:LSN,...", option, text);
        point->lsn[shard] = lsn;
        more = *at == ',';
    }
}

/* "1:101=+2" */
static void rooms_argument(struct argp_state *state, struct tool *tool, const char *text)
{
    struct tool_delta delta = { .property = 0 };
    const char *at = text;
    uint64_t type = 0;
    uint64_t rooms = 0;
    bool good = number_parse(at, &at, &delta.property) && *at == ':' && number_parse(at + 1, &at, &type) &&
                *at == '=' && (at[1] == '+' || at[1] == '-');
    bool more = good && at[1] == '+';
    good = good && number_parse(at + 2, &at, &rooms) && *at == '\0';
    if (!good || delta.property == 0 || type == 0 || type > UINT32_MAX || rooms == 0 || rooms > ROOMS_MAX)
        argp_error(state, "--rooms: \"%s\" is not PROPERTY:TYPE=+ROOMS or -ROOMS, with 1 to %d rooms", text, ROOMS_MAX);
    if (tool->deltas_count == WHAT_IF_DELTAS_MAX)
        argp_error(state, "--rooms: at most %d at a time", WHAT_IF_DELTAS_MAX);
    delta.room_type = (uint32_t)type;
    delta.rooms = more ? (int32_t)rooms : -(int32_t)rooms;
    for (size_t i = 0; i < tool->deltas_count; i++)
        if (tool->deltas[i].property == delta.property && tool->deltas[i].room_type == delta.room_type)
            argp_error(state, "--rooms: %" PRIu64 ":%u comes twice", delta.property, delta.room_type);
    tool->deltas[tool->deltas_count++] = delta;
}

static void night_argument(struct argp_state *state, struct selection *selection, const char *text)
{
    if (!civil_date_parse(text, &selection->night))
        argp_error(state, "--night: \"%s\" is no date; write YYYY-MM-DD", text);
    selection->by_night = true;
}

static void key_argument(struct argp_state *state, struct selection *selection, const char *text)
{
    struct inn_key key;
    if (inn_key_parse(text, &key) != INN_OK)
        argp_error(state, "--key: \"%s\" is no key; write it as a UUID", text);
    memcpy(&selection->key, &key, sizeof selection->key);
    if (key_is_zero(selection->key))
        argp_error(state, "--key: the zero key names nothing");
}

/* As `innkeep` reads it: a number, or a name that stands for one. */
static void resource_argument(struct argp_state *state, struct selection *selection, const char *text)
{
    if (*text != '\0' && text[strspn(text, "0123456789")] != '\0')
        selection->resource = inn_resource_of_name(text);
    else
        selection->resource = number_argument(state, "--resource", text, 1, UINT64_MAX);
}

static void kind_argument(struct argp_state *state, struct selection *selection, const char *text)
{
    selection->by_kind = true;
    for (;; text++) {
        size_t length = strcspn(text, ",");
        bool known = false;
        for (unsigned kind = 1; kind <= UINT8_MAX; kind++) {
            const char *name = operation_name((uint8_t)kind);
            if (operation_class((uint8_t)kind) == OPERATION_CLASS_UNKNOWN || strlen(name) != length ||
                strncmp(name, text, length) != 0)
                continue;
            selection->kinds[kind] = known = true;
        }
        if (!known)
            argp_error(
                state,
                "--kind: \"%.*s\" is no operation; they are called as in the output: reserve, lease_acquire, ...",
                (int)length, text);
        text += length;
        if (*text == '\0')
            return;
    }
}

static error_t selection_option(int key, char *text, struct argp_state *state, struct selection *selection)
{
    switch (key) {
    case KEY_PROPERTY:
        selection->property = number_argument(state, "--property", text, 1, UINT64_MAX);
        return 0;
    case KEY_ROOM_TYPE:
        selection->room_type = (uint32_t)number_argument(state, "--room-type", text, 1, UINT32_MAX);
        return 0;
    case KEY_NIGHT:
        night_argument(state, selection, text);
        return 0;
    case KEY_KEY:
        key_argument(state, selection, text);
        return 0;
    case KEY_RESOURCE:
        resource_argument(state, selection, text);
        return 0;
    case KEY_KIND:
        kind_argument(state, selection, text);
        return 0;
    case KEY_REFUSED:
        selection->refused = true;
        return 0;
    case KEY_FROM_LSN:
        selection->from_lsn = number_argument(state, "--from-lsn", text, 0, UINT64_MAX);
        return 0;
    case KEY_TO_LSN:
        selection->to_lsn = number_argument(state, "--to-lsn", text, 0, UINT64_MAX);
        return 0;
    case KEY_FROM_TIME:
        selection->from_ns = time_argument(state, "--from-time", text);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void word_argument(struct argp_state *state, const struct arguments *arguments, const char *word)
{
    struct tool *tool = arguments->tool;
    bool takes_two = (arguments->command->bit & (DIFF | FOLLOW | RESTORE | RESHARD)) != 0;
    bool is_second = tool->path != NULL && tool->other_path == NULL && takes_two;
    if (is_second)
        tool->other_path = word;
    else if (tool->path != NULL)
        argp_error(state, "one directory at a time, not \"%s\" as well", word);
    else
        tool->path = word;
}

/* The first of its kind speaks of the first side, the second of the second. */
static void side_argument(struct argp_state *state, struct tool *tool, int key, const char *text)
{
    uint32_t *count = key == KEY_LSN ? &tool->points_count : &tool->times_count;
    if (*count == 2)
        argp_error(state, "there are two sides, so --lsn and --time come twice at most");
    bool first = (*count)++ == 0;
    if (key == KEY_LSN)
        point_argument(state, first ? &tool->to : &tool->other_to, "--lsn", text);
    else
        *(first ? &tool->to_ns : &tool->other_to_ns) = time_argument(state, "--time", text);
}

static error_t follow_option(int key, const char *text, struct argp_state *state, struct tool *tool)
{
    switch (key) {
    case KEY_INTERVAL:
        if (!quantity_parse_duration(text, &tool->interval_ns) || tool->interval_ns == 0)
            argp_error(state, "--interval: \"%s\" is no duration such as 500ms, 1s or 5m", text);
        return 0;
    case KEY_RATE:
        if (!quantity_parse_size(text, &tool->rate))
            argp_error(state, "--rate: \"%s\" is no size such as 64M or 1G", text);
        return 0;
    case KEY_ONCE:
        tool->once = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* What does not go together. */
static void arguments_check(struct argp_state *state, const struct arguments *arguments)
{
    const struct tool *tool = arguments->tool;
    const struct selection *selection = &tool->selection;
    if (tool->path == NULL)
        argp_error(state, "name a data directory");
    if (arguments->command->bit == DIFF && tool->other_path == NULL && tool->points_count + tool->times_count == 0)
        argp_error(state, "name a second directory, or a moment with --lsn or --time");
    if (arguments->command->bit == FOLLOW && tool->other_path == NULL)
        argp_error(state, "name the directory to follow, and the copy");
    if (arguments->command->bit == RESTORE && tool->other_path == NULL)
        argp_error(state, "name the backup, and the directory to be made");
    if (arguments->command->bit == RESHARD && (tool->other_path == NULL || tool->shards == 0))
        argp_error(state, "name the directory to be made, and say how many shards: --shards N");
    if (arguments->command->bit == CUT && tool->points_count == 0)
        argp_error(state, "say where: --at-lsn SHARD:LSN,...");
    if (arguments->command->bit == CUT && tool->other_path == NULL)
        argp_error(state, "a cut wants a complete copy of the directory: --backup DIR2");
    if (arguments->command->bit == WHAT_IF && tool->deltas_count == 0)
        argp_error(state, "say what is to be different: --rooms P:T=+N");
    if (arguments->command->bit == TIMELINE && selection->property == 0)
        argp_error(state, "a timeline is of one property: --property P");
    if (!tool->with_outcomes && selection_needs_replay(selection))
        argp_error(state, "--room-type, --night and --refused need the replay: not with --no-replay");
    if (selection->from_lsn > selection->to_lsn || selection->from_ns > selection->to_ns)
        argp_error(state, "the range ends before it begins");
}

static error_t option_parse(int key, char *text, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    struct tool *tool = arguments->tool;
    switch (key) {
    case KEY_JSON:
        tool->json = true;
        return 0;
    case KEY_TO_TIME:
        tool->to_ns = tool->selection.to_ns = time_argument(state, "--to-time", text);
        return 0;
    case KEY_SHARD:
        tool->shard = (uint32_t)number_argument(state, "--shard", text, 0, WAL_SHARDS_MAX - 1);
        return 0;
    case KEY_NO_REPLAY:
        tool->with_outcomes = false;
        return 0;
    case KEY_ROOMS:
        rooms_argument(state, tool, text);
        return 0;
    case KEY_EVERY_FRAME:
        tool->every_frame = true;
        return 0;
    case KEY_EVERY_RECORD:
        tool->every_record = true;
        return 0;
    case KEY_FULL_KEYS:
        tool->full_keys = true;
        return 0;
    case KEY_TO_POINT:
        point_argument(state, &tool->to, "--to-lsn", text);
        return 0;
    case KEY_AT_LSN:
        tool->points_count++;
        point_argument(state, &tool->to, "--at-lsn", text);
        return 0;
    case KEY_SHARDS:
        tool->shards = (uint32_t)number_argument(state, "--shards", text, 1, WAL_SHARDS_MAX);
        return 0;
    case KEY_GRANTED_LSN:
        point_argument(state, &tool->to, "--granted-lsn", text);
        return 0;
    case KEY_BACKUP:
        tool->other_path = text;
        return 0;
    case KEY_YES:
        tool->yes = true;
        return 0;
    case KEY_CALENDAR:
        tool->calendar_path = text;
        return 0;
    case KEY_SNAPSHOT:
        tool->snapshot_path = text;
        return 0;
    case KEY_LSN:
    case KEY_TIME:
        side_argument(state, tool, key, text);
        return 0;
    case ARGP_KEY_ARG:
        word_argument(state, arguments, text);
        return 0;
    case ARGP_KEY_END:
        arguments_check(state, arguments);
        return 0;
    case KEY_INTERVAL:
    case KEY_RATE:
    case KEY_ONCE:
        return follow_option(key, text, state, tool);
    default:
        return selection_option(key, text, state, &tool->selection);
    }
}

/* ---- Which command -------------------------------------------------------------------------------------------------------------- */

static error_t general_parse(int key, char *text, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case ARGP_KEY_ARG:
        for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
            if (strcmp(text, commands[i].name) == 0)
                arguments->command = &commands[i];
        if (arguments->command == NULL)
            argp_error(state, "\"%s\" is none of " COMMANDS_TEXT, text);
        state->next = state->argc; /* the rest is the command's */
        return 0;
    case ARGP_KEY_END:
        if (arguments->command == NULL)
            argp_usage(state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void command_parse(struct arguments *arguments, int argc, char **argv)
{
    struct argp_option taken[ARRAY_COUNT(options) + 1] = { 0 };
    char name[64];
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_COUNT(options); i++)
        if ((options[i].commands & arguments->command->bit) != 0)
            taken[count++] = options[i].option;
    snprintf(name, sizeof name, "innkeep-wal %s", arguments->command->name);
    argv[0] = name;
    const char *words = arguments->command->bit == DIFF ? "DIR [DIR]" : "DIR";
    if (arguments->command->bit == RESTORE)
        words = "BACKUP DIR";
    else if (arguments->command->bit == FOLLOW)
        words = "SOURCE COPY";
    else if (arguments->command->bit == RESHARD)
        words = "DIR OUT";
    const struct argp argp = { taken, option_parse, words, arguments->command->documentation, NULL, NULL, NULL };
    argp_parse(&argp, argc, argv, 0, NULL, arguments);
}

static struct tool tool_defaults(void)
{
    struct tool tool = { .with_outcomes = true, .shard = SHARD_ALL, .to_ns = NEVER_NS, .other_to_ns = NEVER_NS };
    tool.interval_ns = FOLLOW_INTERVAL_NS;
    tool.rate = FOLLOW_RATE;
    tool.selection.to_lsn = NEVER_NS;
    tool.selection.to_ns = NEVER_NS;
    for (size_t i = 0; i < ARRAY_COUNT(tool.to.lsn); i++)
        tool.to.lsn[i] = tool.other_to.lsn[i] = NEVER_NS;
    return tool;
}

tool_command *arguments_parse(int argc, char **argv, struct tool *tool)
{
    *tool = tool_defaults();
    struct arguments arguments = { .tool = tool };
    argp_err_exit_status = TOOL_USAGE;
    const struct argp general = { NULL, general_parse, "COMMAND DIR", general_documentation, NULL, NULL, NULL };
    argp_parse(&general, argc, argv, ARGP_IN_ORDER, NULL, &arguments);
    int first = 1;
    while (strcmp(argv[first], arguments.command->name) != 0)
        first++;
    command_parse(&arguments, argc - first, argv + first);
    return arguments.command->run;
}

/* ---- Against the directory ------------------------------------------------------------------------------------------------------ */

static bool point_fits(const struct tool *tool, const struct tool_point *point)
{
    uint32_t shards = tool->directory.header.shards_count;
    if (point->is_bare && shards != 1) {
        fprintf(stderr, "innkeep-wal: %s has %u shards, so name them: 0:LSN,1:LSN,...\n", tool->path, shards);
        return false;
    }
    for (uint32_t shard = shards; shard < WAL_SHARDS_MAX; shard++)
        if (point->lsn[shard] != NEVER_NS || tool->shard == shard) {
            fprintf(stderr, "innkeep-wal: %s has %u shards, counted from 0; there is no shard %u\n", tool->path, shards,
                    shard);
            return false;
        }
    return true;
}

bool arguments_fit(const struct tool *tool)
{
    return point_fits(tool, &tool->to) && (tool->other_path != NULL || point_fits(tool, &tool->other_to));
}
