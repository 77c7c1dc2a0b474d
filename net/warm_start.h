/* A state machine that need not begin at the log's beginning: it is filled from the newest snapshot that is whole, and says where
 * the log goes on behind it.
 *
 * A snapshot that is damaged, of somebody else or missing is passed over, with a sentence about it: the one before it and a longer stretch of
 * log give the same state. Where none is left, the log is read from its first frame, and whether that is there is for recovery to
 * judge. Only a snapshot of a newer version stops the start: an older program must not take up what a newer one left. */
#ifndef NET_WARM_START_H
#define NET_WARM_START_H

#include "net/state_machine.h"
#include "wal/recovery.h"
#include "wal/snapshot_reader.h"

struct warm_start_options {
    struct io *io;
    struct wal_snapshot_place place;
    uint32_t reads_max; /* reads in flight through the io's ring; 0: at once */
    uint64_t lsn_max;   /* no snapshot with a later last LSN will do; NEVER_NS: any will */
    uint64_t time_max_ns;
    bool oldest;          /* the oldest one that is whole, for whoever wants to see as much of the log as there is */
    uint64_t only_index;  /* this snapshot or none; 0: any */
    uint64_t segment_min; /* none behind which the log goes on in a segment below this one; 0: any */
    /* Either may be NULL. */
    void (*say)(void *context, const char *sentence);
    void (*progress)(void *context, uint64_t loaded_bytes, uint64_t bytes);
    void *context;
};

struct warm_start {
    uint64_t index; /* of the snapshot's last frame; 0: there is none, begin with an empty machine */
    struct wal_start start;
    uint64_t bytes;          /* of pages */
    uint64_t took_ns;        /* to read, verify and index them; not to get the memory */
    uint32_t passed_over;    /* snapshots that would have been better */
    uint64_t oldest_segment; /* that any kept snapshot needs, as the manifest says; 0: there is no manifest */
};

/* Fills the initialised, empty machine. 0; -ENOMEM; WAL_SNAPSHOT_NEWER; or a negated errno where the directory cannot be read; then why[] says
 * more, and the machine is empty. */
MUST_USE int warm_start_run(struct state_machine *machine, const struct warm_start_options *options,
                            struct warm_start *result, char why[WAL_SNAPSHOT_WHY_SIZE]);

#endif
