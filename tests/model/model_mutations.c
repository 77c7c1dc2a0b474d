/* Keys, deadlines, fences, limits and the execution of mutations; see model.h. */
#include "tests/model/model.h"

#include <string.h>

struct hash128 model_fingerprint(const struct mutation *mutation)
{
    uint8_t content[256];
    size_t size = mutation->header.size;
    REQUIRE(size >= 48 && size <= sizeof content);
    const uint8_t *bytes = (const uint8_t *)mutation;
    memcpy(content, bytes, 16);
    memcpy(content + 16, bytes + 48, size - 48);
    return hash128(content, size - 32, 0);
}

/* ---- Before execution ---------------------------------------------------------------------------------------------- */

static void answer_known_key(const struct model_outcome *known, const struct mutation *mutation,
                             struct mutation_result *result)
{
    struct result_header now = result->header;
    if (hash128_equal(known->fingerprint, model_fingerprint(mutation))) {
        *result = known->result;
        result->header.flags = RESULT_REPLAYED;
    } else {
        result->header.status = STATUS_KEY_REUSED;
        result->operation = known->kind;
    }
    result->header.lsn = now.lsn;
    result->header.log_time_ns = now.log_time_ns;
    result->header.original_lsn = known->lsn;
}

static enum status check_deadline(const struct model *model, uint64_t not_after_ns)
{
    if (not_after_ns < model->log_time_ns) {
        return STATUS_TOO_LATE;
    }
    if (not_after_ns > model_add_saturating(model->log_time_ns, model->limits.deadline_ahead_max_ns)) {
        return STATUS_DEADLINE_TOO_FAR;
    }
    return STATUS_OK;
}

enum status model_judge_token(struct model *model, const struct model_lease *lease, uint64_t token, uint64_t lsn)
{
    if (token >= lsn) {
        return STATUS_TOKEN_UNKNOWN;
    }
    if (lease == NULL) {
        model->events[MODEL_EVENT_RECLAIMED_TOKEN] += token <= model->reclaimed_token_max;
        return token <= model->reclaimed_token_max ? STATUS_LEASE_EXPIRED : STATUS_TOKEN_INVALID;
    }
    if (token != lease->token) {
        return token < lease->token ? STATUS_FENCED : STATUS_TOKEN_INVALID;
    }
    switch (model_lease_state_now(model, lease)) {
    case LEASE_LIVE:
        return STATUS_OK;
    case LEASE_RELEASED:
        return STATUS_LEASE_RELEASED;
    default:
        return STATUS_LEASE_EXPIRED;
    }
}

static enum status check_fence(struct model *model, const struct mutation *mutation, uint64_t lsn,
                               struct mutation_result *result)
{
    if (mutation->fence_token == 0) {
        return STATUS_OK;
    }
    const struct model_lease *lease = model_find_lease(model, mutation->header.property, mutation->fence_resource);
    enum status status = model_judge_token(model, lease, mutation->fence_token, lsn);
    bool tells_token = status == STATUS_FENCED || status == STATUS_LEASE_EXPIRED || status == STATUS_LEASE_RELEASED;
    if (lease != NULL && tells_token) {
        result->token = lease->token;
    }
    return status;
}

static bool reservation_ended(const struct model_reservation *reservation)
{
    return reservation->state != RESERVATION_HELD && reservation->state != RESERVATION_CONFIRMED;
}

/* The ended reservation that would be forgotten first gives way early, if nobody can still ask for its keys in time. */
static void make_room_for_reservation(struct model *model)
{
    const struct model_reservation *oldest = NULL;
    for (size_t i = 0; i < model->reservations_count; i++) {
        const struct model_reservation *reservation = &model->reservations[i];
        if (!reservation_ended(reservation)) {
            continue;
        }
        uint64_t forget_ns = model_forget_ns(reservation);
        if (oldest == NULL || forget_ns < model_forget_ns(oldest) ||
            (forget_ns == model_forget_ns(oldest) && reservation->first.lsn < oldest->first.lsn)) {
            oldest = reservation;
        }
    }
    if (oldest == NULL) {
        return;
    }
    if (model_key_deadline_ns(oldest) >= model->log_time_ns) {
        model->events[MODEL_EVENT_ENDED_STAYED]++;
        return;
    }
    model->events[MODEL_EVENT_ENDED_GAVE_WAY]++;
    model_reservation_remove(model, (size_t)(oldest - model->reservations));
}

static enum limit check_limits(struct model *model, uint8_t kind)
{
    if (kind == OPERATION_CONFIRM || kind == OPERATION_RELEASE || kind == OPERATION_CANCEL) {
        return LIMIT_NONE;
    }
    if (model->outcomes_count >= model->limits.outcomes_max) {
        return LIMIT_OUTCOMES;
    }
    if (kind != OPERATION_RESERVE) {
        return LIMIT_NONE;
    }
    if (model->reservations_count >= model->limits.reservations_max) {
        make_room_for_reservation(model);
    }
    return model->reservations_count >= model->limits.reservations_max ? LIMIT_RESERVATIONS : LIMIT_NONE;
}

/* ---- Inventory ----------------------------------------------------------------------------------------------------- */

static enum status limit_reached(enum limit limit, struct mutation_result *result)
{
    result->limit = (uint8_t)limit;
    return STATUS_LIMIT_REACHED;
}

static enum status property_create(struct model *model, const struct property_create *command,
                                   struct mutation_result *result)
{
    uint64_t number = command->mutation.header.property;
    if (model_find_property(model, number) != NULL) {
        return STATUS_ALREADY_EXISTS;
    }
    if (model->properties_count >= model->limits.properties_max) {
        return limit_reached(LIMIT_PROPERTIES, result);
    }
    model->properties[model->properties_count++] =
        (struct model_property){ .number = number, .business_date = command->business_date };
    return STATUS_OK;
}

static enum status room_type_create(struct model *model, const struct room_type_create *command,
                                    struct mutation_result *result)
{
    uint64_t property = command->mutation.header.property;
    if (model_find_property(model, property) == NULL) {
        return STATUS_NO_SUCH_PROPERTY;
    }
    if (model_find_room_type(model, property, command->room_type) != NULL) {
        result->room_type = command->room_type;
        return STATUS_ALREADY_EXISTS;
    }
    if (model->room_types_count >= model->limits.room_types_max) {
        return limit_reached(LIMIT_ROOM_TYPES, result);
    }
    struct model_room_type *type = &model->room_types[model->room_types_count++];
    type->property = property;
    type->number = command->room_type;
    type->rooms = command->rooms;
    for (size_t night = 0; night < NIGHTS_MAX; night++) {
        type->sellable[night] = command->rooms;
    }
    result->room_type = command->room_type;
    return STATUS_OK;
}

/* first_night..last_night, both included, against the property's window. */
static enum status check_window(const struct model *model, const struct model_property *property, int32_t first_night,
                                int32_t last_night, struct mutation_result *result)
{
    int32_t window_end = property->business_date + (int32_t)model->limits.horizon_nights;
    for (int32_t night = first_night; night <= last_night; night++) {
        if (night < property->business_date) {
            result->night = night;
            return STATUS_BEFORE_BUSINESS_DATE;
        }
        if (night >= window_end) {
            result->night = night;
            return STATUS_BEYOND_HORIZON;
        }
    }
    return STATUS_OK;
}

/* 1970-01-01 was a Thursday, bit 3. */
static bool weekday_in_mask(int32_t night, uint8_t weekdays)
{
    int32_t weekday = ((night % 7) + 7 + 3) % 7;
    return ((weekdays >> weekday) & 1) != 0;
}

static enum status rooms_set(struct model *model, const struct rooms_set *command, struct mutation_result *result)
{
    const struct model_property *property = model_find_property(model, command->mutation.header.property);
    if (property == NULL) {
        return STATUS_NO_SUCH_PROPERTY;
    }
    result->room_type = command->room_type;
    struct model_room_type *type = model_find_room_type(model, property->number, command->room_type);
    if (type == NULL) {
        return STATUS_NO_SUCH_ROOM_TYPE;
    }
    enum status status = check_window(model, property, command->first_night, command->last_night, result);
    if (status != STATUS_OK) {
        return status;
    }
    for (int32_t night = command->first_night; night <= command->last_night; night++) {
        if (weekday_in_mask(night, command->weekdays)) {
            type->sellable[night - property->business_date] = command->rooms;
        }
    }
    return STATUS_OK;
}

/* ---- Reservations -------------------------------------------------------------------------------------------------- */

static enum status check_rooms(const struct model *model, const struct model_room_type *type,
                               const struct model_property *property, const struct reserve *command,
                               struct mutation_result *result)
{
    for (int32_t night = command->arrival; night < command->arrival + command->nights; night++) {
        int32_t left = type->sellable[night - property->business_date] -
                       model_rooms_in_state(model, type, night, RESERVATION_CONFIRMED) -
                       model_rooms_in_state(model, type, night, RESERVATION_HELD);
        if (left < command->lines[0].rooms) {
            result->night = night;
            result->available = left > 0 ? left : 0;
            result->limit = LIMIT_TYPE;
            return STATUS_SOLD_OUT;
        }
    }
    return STATUS_OK;
}

static void describe_reservation(struct model *model, const struct model_reservation *reservation,
                                 struct mutation_result *result)
{
    result->room_type = reservation->request.lines[0].room_type;
    result->state = model_state_now(model, reservation);
    result->version = reservation->version;
    result->hold_deadline_ns = reservation->hold_deadline_ns;
}

static void take_rooms(struct model *model, const struct reserve *command, struct mutation_result *result)
{
    struct model_reservation *reservation = &model->reservations[model->reservations_count++];
    memset(reservation, 0, sizeof *reservation);
    reservation->request = *command;
    reservation->version = 1;
    reservation->state = RESERVATION_CONFIRMED;
    result->state = RESERVATION_CONFIRMED;
    if (command->hold_ns > 0) {
        reservation->state = RESERVATION_HELD;
        reservation->hold_deadline_ns = model_add_saturating(model->log_time_ns, command->hold_ns);
    }
    result->room_type = command->lines[0].room_type;
    result->state = reservation->state;
    result->version = 1;
    result->hold_deadline_ns = reservation->hold_deadline_ns;
}

static enum status reserve(struct model *model, const struct reserve *command, struct mutation_result *result)
{
    const struct model_property *property = model_find_property(model, command->mutation.header.property);
    if (property == NULL) {
        return STATUS_NO_SUCH_PROPERTY;
    }
    result->room_type = command->lines[0].room_type;
    const struct model_room_type *type = model_find_room_type(model, property->number, result->room_type);
    if (type == NULL) {
        return STATUS_NO_SUCH_ROOM_TYPE;
    }
    int32_t last_night = command->arrival + command->nights - 1;
    enum status status = check_window(model, property, command->arrival, last_night, result);
    if (status != STATUS_OK) {
        return status;
    }
    status = check_rooms(model, type, property, command, result);
    if (status == STATUS_OK) {
        take_rooms(model, command, result);
    }
    return status;
}

static struct model_reservation *find_reservation(struct model *model, const struct reservation_change *command)
{
    for (size_t i = 0; i < model->reservations_count; i++) {
        struct model_reservation *reservation = &model->reservations[i];
        if (reservation->first.property == command->mutation.header.property &&
            key_equal(reservation->first.key, command->reservation)) {
            return reservation;
        }
    }
    return NULL;
}

static enum status check_state(struct model *model, const struct model_reservation *reservation, uint8_t kind)
{
    uint8_t state = model_state_now(model, reservation);
    uint8_t needed = kind == OPERATION_CANCEL ? RESERVATION_CONFIRMED : RESERVATION_HELD;
    if (state == needed) {
        return STATUS_OK;
    }
    return state == RESERVATION_EXPIRED && kind != OPERATION_CANCEL ? STATUS_HOLD_EXPIRED : STATUS_STATE_CONFLICT;
}

/* Only a confirm can have been displaced, by the cancel behind it; this may be that confirm's retry. */
static bool may_be_dropped(const struct model *model, const struct model_reservation *reservation, uint8_t kind)
{
    return kind == OPERATION_CONFIRM && reservation->dropped_deadline_ns != 0 &&
           reservation->dropped_deadline_ns >= model->log_time_ns;
}

static enum status change_judge(struct model *model, const struct model_reservation *reservation,
                                const struct reservation_change *command)
{
    uint8_t kind = command->mutation.header.kind;
    if (may_be_dropped(model, reservation, kind)) {
        return STATUS_SUPERSEDED;
    }
    if (command->expected_version != 0 && command->expected_version != reservation->version) {
        return STATUS_VERSION_CONFLICT;
    }
    return check_state(model, reservation, kind);
}

static enum status reservation_change(struct model *model, const struct reservation_change *command,
                                      struct mutation_result *result)
{
    if (model_find_property(model, command->mutation.header.property) == NULL) {
        return STATUS_NO_SUCH_PROPERTY;
    }
    struct model_reservation *reservation = find_reservation(model, command);
    if (reservation == NULL) {
        return STATUS_NO_SUCH_RESERVATION;
    }
    enum status status = change_judge(model, reservation, command);
    if (status == STATUS_OK) {
        static const uint8_t state_after[] = { [OPERATION_CONFIRM] = RESERVATION_CONFIRMED,
                                               [OPERATION_RELEASE] = RESERVATION_RELEASED,
                                               [OPERATION_CANCEL] = RESERVATION_CANCELLED };
        reservation->state = state_after[command->mutation.header.kind];
        reservation->version++;
        reservation->lingers_until_ns = model_add_saturating(model->log_time_ns, model->limits.keep_ended_ns);
    }
    describe_reservation(model, reservation, result);
    return status;
}

/* ---- After execution ----------------------------------------------------------------------------------------------- */

static void displace(struct model *model, struct model_reservation *reservation)
{
    const struct model_outcome *displaced = &reservation->latest;
    if (displaced->lsn == 0) {
        return;
    }
    if (displaced->not_after_ns < model->log_time_ns) {
        model->events[MODEL_EVENT_OUTCOME_OUTLIVED]++;
    } else if (model->outcomes_count < model->limits.outcomes_max) {
        model->events[MODEL_EVENT_OUTCOME_DISPLACED]++;
        model->outcomes[model->outcomes_count++] = *displaced;
    } else {
        model->events[MODEL_EVENT_OUTCOME_DROPPED]++;
        if (displaced->not_after_ns > reservation->dropped_deadline_ns) {
            reservation->dropped_deadline_ns = displaced->not_after_ns;
        }
    }
}

static void keep(struct model *model, const struct mutation *mutation, struct mutation_result *result)
{
    struct model_outcome outcome = { .property = mutation->header.property,
                                     .key = mutation->header.key,
                                     .fingerprint = model_fingerprint(mutation),
                                     .lsn = result->header.lsn,
                                     .not_after_ns = mutation->not_after_ns,
                                     .fence_resource = mutation->fence_resource,
                                     .result = *result,
                                     .kind = mutation->header.kind };
    bool changes =
        outcome.kind == OPERATION_CONFIRM || outcome.kind == OPERATION_RELEASE || outcome.kind == OPERATION_CANCEL;
    if (outcome.kind == OPERATION_RESERVE && result->header.status == STATUS_OK) {
        model->reservations[model->reservations_count - 1].first = outcome;
    } else if (changes && result->header.status == STATUS_OK) {
        struct model_reservation *reservation = find_reservation(model, (const void *)mutation);
        ENSURE(reservation != NULL);
        displace(model, reservation);
        reservation->latest = outcome;
    } else if (model->outcomes_count < model->limits.outcomes_max) {
        model->outcomes[model->outcomes_count++] = outcome;
    } else {
        result->header.flags = RESULT_NOT_KEPT;
    }
}

static enum status execute(struct model *model, const struct mutation *mutation, struct mutation_result *result)
{
    switch (mutation->header.kind) {
    case OPERATION_PROPERTY_CREATE:
        return property_create(model, (const void *)mutation, result);
    case OPERATION_ROOM_TYPE_CREATE:
        return room_type_create(model, (const void *)mutation, result);
    case OPERATION_ROOMS_SET:
        return rooms_set(model, (const void *)mutation, result);
    case OPERATION_RESERVE:
        return reserve(model, (const void *)mutation, result);
    default:
        return reservation_change(model, (const void *)mutation, result);
    }
}

void model_apply_mutation(struct model *model, const struct mutation *mutation, uint64_t lsn,
                          struct mutation_result *result)
{
    const struct model_outcome *known = model_find_key(model, mutation->header.property, mutation->header.key).outcome;
    if (known != NULL) {
        answer_known_key(known, mutation, result);
        return;
    }
    enum status status = check_deadline(model, mutation->not_after_ns);
    if (status == STATUS_OK) {
        status = check_fence(model, mutation, lsn, result);
    }
    if (status == STATUS_OK) {
        result->limit = (uint8_t)check_limits(model, mutation->header.kind);
        status = result->limit != LIMIT_NONE ? STATUS_LIMIT_REACHED : STATUS_OK;
    }
    if (status == STATUS_OK) {
        status = execute(model, mutation, result);
        result->header.status = (uint16_t)status;
        if (status != STATUS_LIMIT_REACHED) {
            keep(model, mutation, result);
        }
    }
    result->header.status = (uint16_t)status;
}
