/* What the commands of innkeep-wal share: their arguments, their exit codes, the directory they read. */
#ifndef TOOLS_INNKEEP_WAL_TOOL_H
#define TOOLS_INNKEEP_WAL_TOOL_H

#include "tools/innkeep-wal/selection.h"
#include "wal/directory.h"
#include "wal/recovery.h"

/* From good to bad; over several shards the worst counts. TOOL_USAGE is never mixed with the others. */
enum tool_exit {
    TOOL_CLEAN = 0,
    TOOL_TORN_TAIL = 1,
    TOOL_USAGE = 2,
    TOOL_DAMAGED = 3,
    TOOL_UNREADABLE = 4,
};

#define SHARD_ALL UINT32_MAX

/* Where to stop in each shard's log. */
struct tool_point {
    uint64_t lsn[WAL_SHARDS_MAX]; /* NEVER_NS: no limit */
    bool is_bare;                 /* lsn[0] was named without its shard */
};

/* what-if: rooms of a room type, more or fewer than the log says. */
struct tool_delta {
    uint64_t property;
    uint32_t room_type;
    int32_t rooms;
};
#define WHAT_IF_DELTAS_MAX 64

struct tool {
    const char *path;
    bool json;
    bool with_outcomes;         /* dump: replay as it goes */
    bool every_frame;           /* verify */
    bool every_record;          /* verify */
    bool full_keys;             /* timeline: keys in all their digits */
    uint32_t shard;             /* dump: this one, or SHARD_ALL */
    struct selection selection; /* dump, timeline */
    struct tool_point to;       /* replay; diff: of the first side */
    uint64_t to_ns;             /* replay, diff: NEVER_NS: no limit */
    const char *
        other_path; /* diff: the second side; NULL: the same directory. cut: the backup. restore, follow: what is made */
    struct tool_point other_to; /* diff: where its log is to end */
    uint64_t other_to_ns;
    uint32_t points_count;     /* diff: how many --lsn there are */
    uint32_t times_count;      /* diff: how many --time */
    const char *calendar_path; /* replay; NULL: none */
    const char *snapshot_path; /* replay: the data directory to be made of the state; NULL: none */
    struct tool_delta deltas[WHAT_IF_DELTAS_MAX];
    size_t deltas_count;
    uint32_t shards;      /* reshard: how many there are to be */
    bool yes;             /* cut: asked and answered on the command line */
    bool once;            /* follow: up to where the source is, and no further */
    uint64_t interval_ns; /* follow */
    uint64_t rate;        /* follow: bytes a second; 0: as fast as it goes */
    struct io *io;
    struct wal_directory directory;
};

static inline enum tool_exit tool_worse(enum tool_exit a, enum tool_exit b)
{
    return a > b ? a : b;
}

/* What a verdict is called in text and in JSON. Not for TOOL_USAGE. */
static inline const char *tool_verdict_name(enum tool_exit verdict)
{
    static const char *const names[] = {
        [TOOL_CLEAN] = "clean",     [TOOL_TORN_TAIL] = "torn tail",   [TOOL_USAGE] = "",
        [TOOL_DAMAGED] = "damaged", [TOOL_UNREADABLE] = "unreadable",
    };
    return names[verdict];
}

/* "innkeep-wal: ...": a sentence on stderr that says why not. Returns TOOL_UNREADABLE. */
enum tool_exit tool_refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One command each, in its own file. The directory is open. */
typedef enum tool_exit tool_command(struct tool *tool);
MUST_USE tool_command cut_command;
MUST_USE tool_command diff_command;
MUST_USE tool_command dump_command;
MUST_USE tool_command follow_command;
MUST_USE tool_command info_command;
MUST_USE tool_command replay_command;
MUST_USE tool_command reshard_command;
MUST_USE tool_command restore_command;
MUST_USE tool_command timeline_command;
MUST_USE tool_command verify_command;
MUST_USE tool_command what_if_command;

#endif
