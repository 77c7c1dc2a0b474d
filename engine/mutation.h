/* Once, and definitely not: the order in which every mutation is judged.
 *
 *   1 key       known with the same content: the first outcome again; with other content: KEY_REUSED
 *   2 deadline  past: TOO_LATE; further ahead than allowed: DEADLINE_TOO_FAR
 *   3 fence     a token that is not its resource's live lease: the fence's verdict
 *   4 room      no place to keep the outcome: LIMIT_REACHED
 *   5 execution
 *
 * What 5 answers is kept under the key, a refusal like a success; what 1 to 4 answer is not, as nothing was executed. The key comes
 * first so that a retry gets its first outcome even after the deadline or the lease has run out in between. A refused
 * confirm, release or cancel that finds no place is answered all the same, and flagged RESULT_NOT_KEPT: these commands free or
 * finish something and are never refused for want of memory.
 *
 * Results carry room_type wherever the command or its reservation names one and the property exists. */
#ifndef ENGINE_MUTATION_H
#define ENGINE_MUTATION_H

#include "engine/state.h"

/* Applies a mutation and fills in a result that is zero but for size, lsn and log time. */
void mutation_apply(struct engine *engine, const struct mutation *mutation, uint64_t lsn,
                    struct mutation_result *result);

#endif
