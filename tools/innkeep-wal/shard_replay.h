/* Reads one shard's log, from its first frame or a snapshot on (beginning.h), through the same state machine that a server recovers with, and
 * tells what came of it.
 *
 * Constant memory besides the engine's. Nothing is written. */
#ifndef TOOLS_INNKEEP_WAL_SHARD_REPLAY_H
#define TOOLS_INNKEEP_WAL_SHARD_REPLAY_H

#include "net/state_machine.h"
#include "tools/innkeep-wal/beginning.h"
#include "tools/innkeep-wal/invariants.h"
#include "tools/innkeep-wal/tool.h"

#include <stdio.h>

/* Called for each record in order; `result` is NULL where nothing is replayed. All pointers are the visitor's until it returns. */
typedef void shard_visit(void *context, const struct wal_frame_header *frame, const struct record_header *record,
                         uint64_t lsn, const union apply_result *result);

/* Called for each good frame before it is begun: the engine is as the frame before left it. False stops the reading in front of it. */
typedef bool shard_visit_frame(void *context, const struct wal_frame_header *frame);

struct shard_replay;

/* Called once before any frame, where reading begins behind a snapshot: replay->beginning says which. With `apply`, the engine holds its state. */
typedef void shard_visit_beginning(void *context, const struct shard_replay *replay);

struct shard_replay {
    /* To be set before shard_replay_run; all others zero. */
    const struct tool *tool;
    uint32_t shard;
    bool apply;              /* false: only read */
    bool check;              /* the promises of each record (invariants.h); engine_check now and then, and at the end */
    bool check_every_frame;  /* with check: engine_check behind each frame */
    bool check_every_record; /* with check: and behind each record */
    uint64_t to_lsn;         /* nothing behind it is applied; NEVER_NS: everything is */
    uint64_t to_ns;          /* no frame of a later log time is applied; NEVER_NS: every one is */
    shard_visit *visit;      /* or NULL */
    shard_visit_frame *visit_frame;         /* or NULL */
    shard_visit_beginning *visit_beginning; /* or NULL */
    enum beginning_wish begin;
    bool quiet; /* where it begins was told before: not again on stderr */
    void *visit_context;

    /* Found. */
    struct beginning beginning;
    struct state_machine machine;
    struct wal_report report; /* not filled in if `stopped` */
    bool stopped;             /* at to_lsn or to_ns or by a visitor, before the log's end */
    int error;                /* a negated errno: the disk could not be read, or there is too little memory */
    const char
        *broken; /* the log reads well, but no server wrote this, or a promise was broken; the replay's own storage */
    uint64_t broken_lsn;
    uint64_t elapsed_ns; /* what reading, checking and applying took */
    bool recycled;       /* a server gave up segments while they were read: what was found is nothing to go by */

    /* Its own. */
    struct invariants invariants;
    bool frame_is_fit; /* every record of the frame being applied has passed record_check */
    uint64_t next_check;
    uint64_t next_progress_ns;
};

/* Reads and applies. The verdict over all of it is shard_replay_exit. To be followed by shard_replay_free. */
void shard_replay_run(struct shard_replay *replay);
void shard_replay_free(struct shard_replay *replay);

/* TOOL_CLEAN, _TORN_TAIL, _DAMAGED or _UNREADABLE. */
enum tool_exit shard_replay_exit(const struct shard_replay *replay);

/* The same, but an LSN that was asked for and that the log does not reach is said on stderr and TOOL_UNREADABLE: what there is may be shown, but
 * not pass for what was asked. */
enum tool_exit shard_replay_reach(const struct shard_replay *replay);

/* The newest LSN applied, and the state's hash; both zero for a shard where nothing was applied. */
uint64_t shard_replay_lsn(const struct shard_replay *replay);
struct hash128 shard_replay_hash(const struct shard_replay *replay);

/* Says on `out` in whole lines what is wrong, and where; nothing if all is well. */
void shard_replay_explain(const struct shard_replay *replay, FILE *out);

#endif
