/* What comes due is ended at the beginning of a frame, in the order in which it came due. */
#ifndef ENGINE_SWEEP_H
#define ENGINE_SWEEP_H

#include "engine/state.h"

/* Ends everything due by log time in (due time, LSN) order over all kinds, at most ENGINE_SWEEP_MAX. What one end makes due in
 * turn, such as a hold that expired so long ago that it is to be forgotten, takes its place in the same order. */
void sweep_run(struct engine *engine);

/* What comes due first; NULL if nothing ever does. */
const struct deadline *sweep_next(const struct engine *engine);

#endif
