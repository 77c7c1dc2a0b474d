/* A snapshot of the engine under test: taken bit by bit while it goes on, and loaded into another engine. */
#ifndef TESTS_MODEL_SNAPSHOT_TRIAL_H
#define TESTS_MODEL_SNAPSHOT_TRIAL_H

#include "engine/snapshot.h"

struct snapshot_trial {
    bool taking;
    struct snapshot_head head;
    struct hash128 state_hash; /* of the engine when it began */
    uint8_t *stream;
};

void snapshot_trial_begin(struct snapshot_trial *trial, struct engine *engine);

/* Takes up to `chunks` more. True once all are there. */
bool snapshot_trial_step(struct snapshot_trial *trial, struct engine *engine, uint64_t chunks);

/* Ends it, and makes an engine of what was taken, in *memory, which is the caller's to free. NULL with *wrong set where that does not
 * give what there was when it began. Requires that all was taken. */
struct engine *snapshot_trial_load(struct snapshot_trial *trial, struct engine *engine, uint64_t hash_seed,
                                   void **memory, const char **wrong);

void snapshot_trial_abandon(struct snapshot_trial *trial, struct engine *engine);

#endif
