#include "engine/sweep.h"

#include "engine/booking.h"
#include "engine/leasing.h"

const struct deadline *sweep_next(const struct engine *engine)
{
    const struct deadline *due = deadline_heap_first(&engine->due);
    const struct deadline *ended = deadline_heap_first(&engine->ended);
    if (due == NULL || ended == NULL)
        return due != NULL ? due : ended;
    return deadline_before(due, ended) ? due : ended;
}

static void sweep_reservation(struct engine *engine, uint32_t index)
{
    const struct reservation *reservation = engine_reservation(engine, index);
    if (reservation->state == RESERVATION_HELD)
        booking_end(engine, index, RESERVATION_EXPIRED, reservation->hold_deadline_ns);
    else
        booking_forget(engine, index);
}

static void sweep_lease(struct engine *engine, uint32_t index)
{
    const struct lease *lease = lease_at(&engine->leases, index);
    if (lease->state == LEASE_LIVE)
        leasing_end(engine, index, LEASE_EXPIRED, lease->deadline_ns);
    else
        leasing_reclaim(engine, index);
}

static void sweep_handle(struct engine *engine, uint32_t handle)
{
    uint32_t outcomes = engine_outcome_handle(engine, 0);
    uint32_t leases = engine_lease_handle(engine, 0);
    if (handle <= outcomes)
        sweep_reservation(engine, handle);
    else if (handle <= leases)
        booking_forget_outcome(engine, handle - outcomes);
    else
        sweep_lease(engine, handle - leases);
}

void sweep_run(struct engine *engine)
{
    for (int swept = 0; swept < ENGINE_SWEEP_MAX; swept++) {
        const struct deadline *next = sweep_next(engine);
        if (next == NULL || next->due_ns > engine->log_time_ns)
            return;
        sweep_handle(engine, next->handle);
    }
}
