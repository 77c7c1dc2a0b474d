/* Questions: answered from the state as the last frame left it, changing nothing. What is due but not yet swept is answered as
 * if it had been. */
#ifndef ENGINE_QUERY_H
#define ENGINE_QUERY_H

#include "engine/state.h"

/* Each fills in a result that is zero but for lsn and log time, and returns its size. */
uint32_t query_lookup(const struct engine *engine, const struct lookup *query, struct lookup_result *result);
uint32_t query_calendar(const struct engine *engine, const struct calendar *query, struct calendar_result *result);
uint32_t query_lease(const struct engine *engine, const struct lease_show *query, struct lease_result *result);

#endif
