/* Lease commands in the engine: granted, renewed, released, ended, forgotten, with their deadlines kept in step. */
#ifndef ENGINE_LEASING_H
#define ENGINE_LEASING_H

#include "engine/state.h"

/* Applies a command of the LEASE class and fills in a result that is zero but for size, lsn and log time. */
void leasing_apply(struct engine *engine, const struct record_header *record, uint64_t lsn,
                   struct lease_result *result);

/* Says of the resource's newest lease what there is to say; nothing where slot is 0. */
void leasing_describe(const struct engine *engine, uint32_t slot, struct lease_result *result);

/* After a restart: every lease live at the last frame's time gets a full time to live from now_ns on. */
void leasing_renew_all(struct engine *engine, uint64_t last_time_ns, uint64_t now_ns);

/* Ends a live lease; its slot stays for ENGINE_LEASE_LINGER_NS from end_ns on. */
void leasing_end(struct engine *engine, uint32_t index, enum lease_state state, uint64_t end_ns);

/* Forgets an ended lease. */
void leasing_reclaim(struct engine *engine, uint32_t index);

#endif
