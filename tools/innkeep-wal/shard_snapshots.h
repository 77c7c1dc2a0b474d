/* The snapshots of a shard and its manifest, each looked at by itself: what there is, whether it is whole, and whether the two agree. Reads
 * only. Works on a live directory too: what a server replaces meanwhile is looked at again. */
#ifndef TOOLS_INNKEEP_WAL_SHARD_SNAPSHOTS_H
#define TOOLS_INNKEEP_WAL_SHARD_SNAPSHOTS_H

#include "engine/engine.h"
#include "tools/innkeep-wal/tool.h"
#include "wal/snapshot_reader.h"

enum shard_snapshots_depth {
    SHARD_SNAPSHOTS_PAGES,  /* every checksum, in constant memory */
    SHARD_SNAPSHOTS_ENGINE, /* and each loaded into an engine of its own, one at a time, and that one checked */
};

struct shard_snapshot {
    uint64_t index;                    /* of the last frame contained */
    bool there;                        /* false: only the manifest speaks of it */
    bool named;                        /* by the manifest */
    bool opened;                       /* header, head and chunk table verify: then those below are good */
    struct wal_snapshot_header header; /* opened */
    struct hash128 block_check;        /* opened */
    struct engine_limits limits;       /* opened */
    uint64_t file_size;
    enum tool_exit verdict;            /* TOOL_CLEAN, _DAMAGED or _UNREADABLE */
    char wrong[WAL_SNAPSHOT_WHY_SIZE]; /* not TOOL_CLEAN: what, in a sentence without its period */
    struct hash128 state_hash;         /* SHARD_SNAPSHOTS_ENGINE, and TOOL_CLEAN */
    bool is_believed;                  /* a server would load it, whatever the verdict */
    bool compared;                     /* the caller's: the log comes to the same state */
};

struct shard_snapshots {
    struct shard_snapshot *items; /* newest first */
    size_t count;
    bool has_manifest; /* one that verifies */
    struct wal_manifest manifest;
    enum tool_exit manifest_verdict; /* as above; _CLEAN where there is none */
    char manifest_wrong[WAL_SNAPSHOT_WHY_SIZE];
};

/* 0 with all of it filled in, whatever the verdicts; -ENOMEM, or another negated errno where the directory cannot be listed.
 * shard_snapshots_free may be called either way. */
MUST_USE int shard_snapshots_survey(const struct tool *tool, uint32_t shard, enum shard_snapshots_depth depth,
                                    struct shard_snapshots *snapshots);
void shard_snapshots_free(struct shard_snapshots *snapshots);

/* The worst of all verdicts. */
enum tool_exit shard_snapshots_worst(const struct shard_snapshots *snapshots);

/* Whose snapshots: for warm_start and the reader. `path` holds the directory's and is to live as long. */
struct wal_snapshot_place shard_snapshot_place(const struct tool *tool, uint32_t shard, char path[WAL_PATH_SIZE]);

#endif
