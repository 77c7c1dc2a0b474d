/* The engine and the memory it lives in, driven by frames from the log: the one piece that recovery, the live shard and the replay
 * tools share, so that all three do the same.
 *
 * The first frame of a log carries a CONFIG record, which says under what limits the engine runs; a later one may raise
 * them, and then the engine moves to a larger block before the record is applied. Nothing else here allocates. */
#ifndef NET_STATE_MACHINE_H
#define NET_STATE_MACHINE_H

#include "engine/engine.h"
#include "engine/snapshot.h"
#include "net/outcome_digest.h"
#include "wal/format.h"

#define STATE_MACHINE_ERROR_SIZE 320

struct state_machine {
    struct engine *engine; /* NULL before the first CONFIG record */
    void *memory;          /* the engine's block */
    size_t memory_size;
    uint64_t hash_seed;
    bool prefault;      /* a server's: touch all memory now, so that none is missing and no page is waited for later */
    uint32_t level_max; /* the highest engine level known: ENGINE_LEVEL, unless a test says otherwise */
    uint64_t records_applied;
    uint64_t epoch_lsn;  /* of the frame begun: where its EPOCH record stands; 0: it has none */
    bool other_outcomes; /* set by whoever changes records on their way here: DIGEST records are then not judged */
    struct outcome_digest digest;
    char error_text[STATE_MACHINE_ERROR_SIZE];
    const char *error; /* after a failed apply: what is wrong (static storage, or error_text) */
    uint64_t error_lsn;
};

/* `uuid` is the data directory's; only how keys spread over the index depends on it (seed: XXH3-64 of the uuid with seed
 * 0x696e6e6b656570). */
void state_machine_init(struct state_machine *machine, const uint8_t uuid[16]);
/* Gives the memory back, whatever happened before. */
void state_machine_free(struct state_machine *machine);

/* Empties a machine that was filled halfway, so that it is as after state_machine_init. */
void state_machine_reset(struct state_machine *machine);

/* Makes an empty engine under these limits, for whoever fills it himself. Requires an empty machine. 0, -ENOMEM, or -EBADMSG with error set for
 * limits that are none. */
MUST_USE int state_machine_make(struct state_machine *machine, const struct engine_limits *limits);

/* Makes the engine that a snapshot with this head is to be loaded into: *load is ready for its pages. Requires an
 * empty machine and a head that passes snapshot_head_check. 0, -ENOMEM, or -EBADMSG with error set for an engine
 * level that is not known here. */
MUST_USE int state_machine_load(struct state_machine *machine, const struct snapshot_head *head,
                                struct snapshot_load *load);

/* Called for each record after it was applied; record and result are the visitor's until it returns. */
typedef void state_machine_visit(void *context, const struct record_header *record, uint64_t lsn,
                                 const union apply_result *result);

/* Applies a frame that wal_frame_check has passed: sweep, then record by record. `visit` may be NULL. 0, -ENOMEM, or -EBADMSG with
 * error and error_lsn set: a record that no version of this server would have written, an engine level it does not know, a
 * first frame without CONFIG, a DIGEST record that says that other outcomes were answered, or an EPOCH record in another place than in front of a frame whose LSNs jump. After an error the machine is not to be used any more. */
MUST_USE int state_machine_apply(struct state_machine *machine, const struct wal_frame_header *frame,
                                 state_machine_visit *visit, void *context);

/* The same in steps, for the live shard, which answers between records: begin once a frame, then each record in order. Results as
 * above; state_machine_step takes record->size on trust, so whoever walks a frame sees to it that each record lies within. The
 * whole of *result is written. machine->engine may be another after a CONFIG record: keep no copy of the pointer. */
MUST_USE int state_machine_begin(struct state_machine *machine, const struct wal_frame_header *frame);
MUST_USE int state_machine_step(struct state_machine *machine, const struct record_header *record, uint64_t lsn,
                                union apply_result *result);
/* The same for a record that has passed record_check, for whoever checked all of a frame to look ahead in it. */
MUST_USE int state_machine_step_checked(struct state_machine *machine, const struct record_header *record, uint64_t lsn,
                                        union apply_result *result);

#endif
