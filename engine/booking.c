#include "engine/booking.h"

/* ---- Outcomes ------------------------------------------------------------------------------------------------------ */

void booking_keep_outcome(struct engine *engine, const struct request *request, const struct mutation_result *result)
{
    uint32_t index = pool_take(&engine->outcomes);
    struct outcome *outcome = engine_outcome_edit(engine, index);
    outcome_store(outcome, request->mutation, request->fingerprint, request->lsn, result);
    uint32_t reference = key_reference(KEY_OUTCOME, index);
    engine_key_add(engine, engine_key_name(engine, reference), reference);
    deadline_heap_push(&engine->due, (struct deadline){ .due_ns = time_past(outcome->not_after_ns),
                                                        .lsn = outcome->lsn,
                                                        .handle = engine_outcome_handle(engine, index) });
}

void booking_forget_outcome(struct engine *engine, uint32_t index)
{
    uint32_t reference = key_reference(KEY_OUTCOME, index);
    deadline_heap_remove(&engine->due, engine_outcome_handle(engine, index));
    engine_key_remove(engine, engine_key_name(engine, reference), reference);
    pool_give(&engine->outcomes, index);
}

/* ---- Ends ---------------------------------------------------------------------------------------------------------- */

void booking_end(struct engine *engine, uint32_t index, enum reservation_state state, uint64_t end_ns)
{
    REQUIRE(reservation_state_is_ended(state));
    struct reservation *reservation = engine_reservation_edit(engine, index);
    inventory_give_back(&engine->inventory, reservation_stay(reservation), reservation->rooms,
                        reservation_night_count(reservation));
    if (reservation->state == RESERVATION_HELD) {
        deadline_heap_remove(&engine->due, engine_reservation_handle(engine, index));
        engine->held_count--;
    } else {
        engine->confirmed_count--;
    }
    reservation_move(reservation, state);
    uint64_t lingered_ns = time_after(end_ns, engine->limits.keep_ended_ns);
    uint64_t keys_past_ns = time_past(reservation_keys_not_after(reservation));
    deadline_heap_push(&engine->ended,
                       (struct deadline){ .due_ns = lingered_ns > keys_past_ns ? lingered_ns : keys_past_ns,
                                          .lsn = reservation->lsn,
                                          .handle = engine_reservation_handle(engine, index) });
}

void booking_forget(struct engine *engine, uint32_t index)
{
    const struct reservation *reservation = engine_reservation(engine, index);
    REQUIRE(reservation_state_is_ended((enum reservation_state)reservation->state));
    deadline_heap_remove(&engine->ended, engine_reservation_handle(engine, index));
    uint32_t name = key_reference(KEY_RESERVATION, index);
    engine_key_remove(engine, engine_key_name(engine, name), name);
    if (reservation->latest_operation != OPERATION_NONE) {
        uint32_t latest = key_reference(KEY_LATEST_MUTATION, index);
        engine_key_remove(engine, engine_key_name(engine, latest), latest);
    }
    pool_give(&engine->reservations, index);
}

bool booking_make_room(struct engine *engine)
{
    if (!pool_is_full(&engine->reservations))
        return true;
    const struct deadline *next = deadline_heap_first(&engine->ended);
    if (next == NULL)
        return false;
    if (reservation_keys_not_after(engine_reservation(engine, next->handle)) >= engine->log_time_ns)
        return false;
    booking_forget(engine, next->handle);
    return true;
}

/* ---- Reserve ------------------------------------------------------------------------------------------------------- */

void booking_describe(const struct engine *engine, const struct reservation *reservation, enum reservation_state state,
                      struct mutation_result *result)
{
    result->room_type = engine_type_of(engine, reservation)->number;
    result->version = reservation->version;
    result->state = (uint8_t)state;
    result->hold_deadline_ns = reservation->hold_deadline_ns;
}

/* Finds the stay and judges it against window and inventory. */
static enum status booking_find_stay(const struct engine *engine, const struct reserve *reserve, struct stay *stay,
                                     struct mutation_result *result)
{
    uint64_t property_number = reserve->mutation.header.property;
    const struct reserve_line *line = &reserve->lines[0];
    uint32_t type = room_type_find(&engine->inventory, property_number, line->room_type);
    if (type == 0 && property_find(&engine->inventory.properties, property_number) == 0)
        return STATUS_NO_SUCH_PROPERTY;
    result->room_type = line->room_type;
    if (type == 0)
        return STATUS_NO_SUCH_ROOM_TYPE;
    int32_t window_first = room_type_at(&engine->inventory, type)->business_date;
    int32_t window_end = window_first + (int32_t)engine->limits.horizon_nights;
    *stay = (struct stay){ .type = type, .arrival = reserve->arrival, .departure = reserve->arrival + reserve->nights };
    if (stay->arrival < window_first) {
        result->night = stay->arrival;
        return STATUS_BEFORE_BUSINESS_DATE;
    }
    if (stay->departure > window_end) {
        result->night = stay->arrival > window_end ? stay->arrival : window_end;
        return STATUS_BEYOND_HORIZON;
    }
    int32_t night = inventory_first_short(&engine->inventory, *stay, line->rooms);
    if (night == stay->departure)
        return STATUS_OK;
    int32_t available = night_available(inventory_night(&engine->inventory, type, night));
    result->night = night;
    result->available = available > 0 ? available : 0;
    result->limit = LIMIT_TYPE;
    return STATUS_SOLD_OUT;
}

static uint32_t booking_add(struct engine *engine, const struct request *request, struct stay stay)
{
    const struct reserve *reserve = (const struct reserve *)(const void *)request->mutation;
    uint32_t index = pool_take(&engine->reservations);
    struct reservation *reservation = engine_reservation_edit(engine, index);
    reservation->key = reserve->mutation.header.key;
    reservation->fingerprint = request->fingerprint;
    reservation->lsn = request->lsn;
    reservation->hold_deadline_ns = reserve->hold_ns == 0 ? 0 : time_after(engine->log_time_ns, reserve->hold_ns);
    reservation->type = stay.type;
    reservation_set_arrival(reservation, stay.arrival);
    reservation->nights = reserve->nights;
    reservation->rooms = reserve->lines[0].rooms;
    reservation->version = 1;
    reservation->not_after_ns = reserve->mutation.not_after_ns;
    reservation->external_reference = reserve->external_reference;
    reservation_move(reservation, reserve->hold_ns == 0 ? RESERVATION_CONFIRMED : RESERVATION_HELD);
    return index;
}

/* A hold waits for its deadline; what is confirmed waits for nothing. */
static void booking_start(struct engine *engine, uint32_t index)
{
    const struct reservation *reservation = engine_reservation(engine, index);
    if (reservation->state == RESERVATION_CONFIRMED) {
        engine->confirmed_count++;
        return;
    }
    engine->held_count++;
    deadline_heap_push(&engine->due, (struct deadline){ .due_ns = reservation->hold_deadline_ns,
                                                        .lsn = reservation->lsn,
                                                        .handle = engine_reservation_handle(engine, index) });
}

enum status booking_reserve(struct engine *engine, const struct request *request, struct mutation_result *result)
{
    const struct reserve *reserve = (const struct reserve *)(const void *)request->mutation;
    struct stay stay;
    enum status status = booking_find_stay(engine, reserve, &stay, result);
    if (status != STATUS_OK)
        return status;
    uint32_t index = booking_add(engine, request, stay);
    const struct reservation *reservation = engine_reservation(engine, index);
    inventory_take(&engine->inventory, stay, reservation->rooms, reservation_night_count(reservation));
    booking_start(engine, index);
    struct key_name name = { .property_number = reserve->mutation.header.property, .key = reservation->key };
    engine_key_add(engine, name, key_reference(KEY_RESERVATION, index));
    booking_describe(engine, reservation, (enum reservation_state)reservation->state, result);
    return STATUS_OK;
}

/* ---- Confirm, release, cancel -------------------------------------------------------------------------------------- */

static const struct reservation_change *request_change(const struct request *request)
{
    return (const struct reservation_change *)(const void *)request->mutation;
}

/* The reservation that a change names, or 0 with the reason in *status. */
static uint32_t booking_find(const struct engine *engine, const struct reservation_change *change, enum status *status)
{
    struct key_name name = { .property_number = change->mutation.header.property, .key = change->reservation };
    uint32_t reference = engine_key_find(engine, name, key_name_hash(name, engine->hash_seed));
    if (reference != 0 && key_reference_use(reference) == KEY_RESERVATION)
        return key_reference_target(reference);
    bool known = property_find(&engine->inventory.properties, name.property_number) != 0;
    *status = known ? STATUS_NO_SUCH_RESERVATION : STATUS_NO_SUCH_PROPERTY;
    return 0;
}

static enum status booking_judge_state(uint8_t operation, enum reservation_state state)
{
    enum reservation_state wanted = operation == OPERATION_CANCEL ? RESERVATION_CONFIRMED : RESERVATION_HELD;
    if (state == wanted)
        return STATUS_OK;
    if (operation != OPERATION_CANCEL && state == RESERVATION_EXPIRED)
        return STATUS_HOLD_EXPIRED;
    return STATUS_STATE_CONFLICT;
}

/* Only a cancel displaces a mutation, and what it displaces is a confirm: so a confirm may be the retry of one that took effect and whose
 * outcome found no place. Nothing that is judged by the present state would be a true answer to it. */
static bool booking_may_be_dropped(const struct engine *engine, const struct reservation *reservation,
                                   uint8_t operation)
{
    return operation == OPERATION_CONFIRM && reservation->dropped_not_after_ns != 0 &&
           reservation->dropped_not_after_ns >= engine->log_time_ns;
}

/* Whether a change may go ahead on a reservation that log time sees in `state`. */
static enum status booking_judge(const struct engine *engine, const struct reservation *reservation,
                                 const struct reservation_change *change, enum reservation_state state)
{
    uint8_t operation = change->mutation.header.kind;
    if (booking_may_be_dropped(engine, reservation, operation))
        return STATUS_SUPERSEDED;
    if (change->expected_version != 0 && change->expected_version != reservation->version)
        return STATUS_VERSION_CONFLICT;
    return booking_judge_state(operation, state);
}

/* Moves the latest mutation's outcome out of the reservation, which is about to remember a newer one. */
static void booking_displace_latest(struct engine *engine, uint32_t index)
{
    struct reservation *reservation = engine_reservation_edit(engine, index);
    if (reservation->latest_operation == OPERATION_NONE)
        return;
    uint32_t reference = key_reference(KEY_LATEST_MUTATION, index);
    struct key_name name = engine_key_name(engine, reference);
    engine_key_remove(engine, name, reference);
    if (reservation->latest_not_after_ns < engine->log_time_ns)
        return; /* its retry is too late */
    if (pool_is_full(&engine->outcomes)) {
        if (reservation->dropped_not_after_ns < reservation->latest_not_after_ns)
            reservation->dropped_not_after_ns = reservation->latest_not_after_ns;
        return;
    }
    struct mutation mutation = {
        .header = { .kind = (uint8_t)reservation->latest_operation, .property = name.property_number, .key = name.key },
        .not_after_ns = reservation->latest_not_after_ns,
    };
    struct request request = { .mutation = &mutation,
                               .lsn = reservation->latest_lsn,
                               .fingerprint = reservation_latest_fingerprint(reservation, name.property_number) };
    struct mutation_result result = { .header = { .status = STATUS_OK } };
    booking_describe(engine, reservation, (enum reservation_state)reservation->state, &result);
    booking_keep_outcome(engine, &request, &result);
}

static void booking_confirm(struct engine *engine, uint32_t index)
{
    struct reservation *reservation = engine_reservation_edit(engine, index);
    struct stay stay = reservation_stay(reservation);
    inventory_give_back(&engine->inventory, stay, reservation->rooms, NIGHT_HELD);
    inventory_take(&engine->inventory, stay, reservation->rooms, NIGHT_SOLD);
    deadline_heap_remove(&engine->due, engine_reservation_handle(engine, index));
    reservation_move(reservation, RESERVATION_CONFIRMED);
    engine->held_count--;
    engine->confirmed_count++;
}

/* Carries out a change that was judged possible. */
static void booking_carry_out(struct engine *engine, uint32_t index, const struct request *request)
{
    const struct reservation_change *change = request_change(request);
    struct reservation *reservation = engine_reservation_edit(engine, index);
    booking_displace_latest(engine, index);
    reservation->version++;
    reservation_remember(reservation, change, request->lsn);
    uint32_t reference = key_reference(KEY_LATEST_MUTATION, index);
    engine_key_add(engine, engine_key_name(engine, reference), reference);
    if (change->mutation.header.kind == OPERATION_CONFIRM)
        booking_confirm(engine, index);
    else if (change->mutation.header.kind == OPERATION_RELEASE)
        booking_end(engine, index, RESERVATION_RELEASED, engine->log_time_ns);
    else
        booking_end(engine, index, RESERVATION_CANCELLED, engine->log_time_ns);
}

enum status booking_change(struct engine *engine, const struct request *request, struct mutation_result *result)
{
    const struct reservation_change *change = request_change(request);
    enum status status = STATUS_OK;
    uint32_t index = booking_find(engine, change, &status);
    if (index == 0)
        return status;
    const struct reservation *reservation = engine_reservation(engine, index);
    enum reservation_state state = reservation_state_at(reservation, engine->log_time_ns);
    status = booking_judge(engine, reservation, change, state);
    if (status == STATUS_OK) {
        booking_carry_out(engine, index, request);
        state = (enum reservation_state)reservation->state;
    }
    booking_describe(engine, reservation, state, result);
    return status;
}
