/* Making a data directory out of states, one a shard, for a server to start on and for this tool to read.
 *
 * Each shard's log begins with a CONFIG frame; the state is a snapshot behind it; and an EPOCH frame, whose LSN lies past everything that the
 * original gave out, goes on from there (FORMAT.md, "Directories made of a state"). The directory is made under a name of its
 * own (OUT.making, OUT.resharding), with meta under another name until all is there, and becomes OUT in one rename: no server starts on half of
 * it. It has a uuid of its own. */
#ifndef TOOLS_INNKEEP_WAL_MADE_DIRECTORY_H
#define TOOLS_INNKEEP_WAL_MADE_DIRECTORY_H

#include "engine/engine.h"
#include "tools/innkeep-wal/tool.h"

struct made_directory {
    struct io *io;
    const char *suffix;             /* "making" */
    struct wal_directory directory; /* OUT.making */
    char target[WAL_PATH_SIZE];     /* OUT */
    bool begun;
};

/* Each gives TOOL_CLEAN, or TOOL_UNREADABLE with the reason on stderr. */

/* Refuses a target that is there and not empty, and one whose making was interrupted. Makes nothing. */
MUST_USE enum tool_exit made_directory_check(struct made_directory *made, struct io *io, const char *target,
                                             const char *suffix);
/* Makes OUT.making and locks it. */
MUST_USE enum tool_exit made_directory_begin(struct made_directory *made, uint32_t shards, uint64_t segment_size);
/* The shard's whole log and snapshot. The EPOCH record gives the reason; granted_lsn: the last LSN that the original is known to have given out. */
MUST_USE enum tool_exit made_shard_write(const struct made_directory *made, uint32_t shard, struct engine *engine,
                                         enum epoch_reason reason, uint64_t granted_lsn);
/* The last step alone, where meta is in its place: the rename, and the sync of the directory above. 0 or a negated errno. */
MUST_USE int made_directory_rename(const struct made_directory *made);
/* OUT.making becomes OUT. */
MUST_USE enum tool_exit made_directory_appear(struct made_directory *made);
/* Says on stderr what is left over, if it did not. */
void made_directory_close(struct made_directory *made, bool appeared);

#endif
