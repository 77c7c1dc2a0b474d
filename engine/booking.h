/* Reservations in the engine: made, changed, ended, forgotten, with their rooms, keys and deadlines kept in step. */
#ifndef ENGINE_BOOKING_H
#define ENGINE_BOOKING_H

#include "engine/state.h"

/* A mutation on its way through the engine. */
struct request {
    const struct mutation *mutation;
    uint64_t lsn;
    struct hash128 fingerprint;
};

/* True if there is a place for one more reservation. A full table first gives up the reservation that is to be forgotten next, if the
 * deadlines of its keys are past. */
MUST_USE bool booking_make_room(struct engine *engine);

/* Takes the rooms and makes the reservation, or says why not. Fills in the result's body; returns its status. Requires a free
 * place and an unused key. */
enum status booking_reserve(struct engine *engine, const struct request *request, struct mutation_result *result);

/* Confirms, releases or cancels, or says why not. Fills in the result's body; returns its status. Requires an unused key. */
enum status booking_change(struct engine *engine, const struct request *request, struct mutation_result *result);

/* What a mutation of the reservation answers about it. `state` is given because a due hold counts as expired. */
void booking_describe(const struct engine *engine, const struct reservation *reservation, enum reservation_state state,
                      struct mutation_result *result);

/* Returns the rooms of a HELD or CONFIRMED reservation, which ends in `state` at end_ns. */
void booking_end(struct engine *engine, uint32_t index, enum reservation_state state, uint64_t end_ns);

/* Forgets an ended reservation with its keys. */
void booking_forget(struct engine *engine, uint32_t index);

/* Keeps a mutation's result until its deadline has passed. Requires a free place among the outcomes and an unused key. */
void booking_keep_outcome(struct engine *engine, const struct request *request, const struct mutation_result *result);

/* Forgets a kept outcome. */
void booking_forget_outcome(struct engine *engine, uint32_t index);

#endif
