/* What the commands of innkeep-wal share: their arguments, their exit codes, the directory they read. */
#ifndef TOOLS_INNKEEP_WAL_TOOL_H
#define TOOLS_INNKEEP_WAL_TOOL_H

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

struct tool {
    const char *path;
    bool json;
    bool with_outcomes;              /* dump: replay as it goes */
    uint32_t shard;                  /* dump: this one, or SHARD_ALL */
    uint64_t from_lsn;               /* dump */
    uint64_t to_lsn[WAL_SHARDS_MAX]; /* replay; NEVER_NS: to the end */
    const char *calendar_path;       /* replay; NULL: none */
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

/* One command each, in its own file. The directory is open. */
MUST_USE enum tool_exit verify_command(struct tool *tool);
MUST_USE enum tool_exit dump_command(struct tool *tool);
MUST_USE enum tool_exit replay_command(struct tool *tool);

#endif
