/* Where the reading of a shard's log begins: at its first frame, or behind a snapshot where that one is gone, or where it is quicker. */
#ifndef TOOLS_INNKEEP_WAL_BEGINNING_H
#define TOOLS_INNKEEP_WAL_BEGINNING_H

#include "net/warm_start.h"
#include "tools/innkeep-wal/tool.h"

#include <jansson.h>
#include <stdio.h>

enum beginning_wish {
    BEGIN_WHOLE,   /* as much of the log as there is: its first frame, else the oldest snapshot that is whole */
    BEGIN_NEAREST, /* the state soon: the newest whole snapshot that is not behind what is asked for, else as above */
};

#define BEGINNING_PASSED_OVER_MAX 16 /* that are told one by one */

struct beginning {
    /* To be set before beginning_find; all others zero. */
    const struct tool *tool;
    uint32_t shard;
    enum beginning_wish wish;
    uint64_t to_lsn; /* what is asked for; NEVER_NS: the end */
    uint64_t to_ns;
    struct state_machine *machine; /* initialised and empty; NULL: nothing is replayed */

    /* Found. */
    uint64_t
        index; /* of the last frame in the snapshot that the machine was filled from; 0: the log's first frame is the beginning */
    struct wal_start start; /* behind it */
    bool is_taken_over; /* what the log's first frames go on from is in no log (a directory that was made of a state) */
    bool is_beyond;     /* index != 0, but what is asked for lies in front of it: the machine is empty */
    uint64_t segment_first;                       /* that is there; 0: not looked for, or none */
    uint64_t oldest_segment;                      /* that the manifest knows to be needed, 0: unknown */
    char *passed_over[BEGINNING_PASSED_OVER_MAX]; /* why each snapshot that would have been better was not taken */
    uint32_t passed_over_count;                   /* may be more */
    char why[WAL_SNAPSHOT_WHY_SIZE];              /* with an error */
};

/* 0, or a negated errno with why[] set: a snapshot of a newer Innkeep, too little memory, a directory that cannot be listed. Where there is
 * neither a first segment nor a whole snapshot, the index is 0, and reading the log from there says what is missing. */
MUST_USE int beginning_find(struct beginning *beginning);
void beginning_free(struct beginning *beginning);

/* What was found, in whole lines for people, if it is not simply the log's first frame: where reading begins, and what was passed over. */
void beginning_tell(const struct beginning *beginning, FILE *out);

/* {"at": "log" or "snapshot", "frame": .., "lsn": .., "time": .., "passed_over": [..]}: frame and LSN of the last contained. */
json_t *beginning_json(const struct beginning *beginning);

#endif
