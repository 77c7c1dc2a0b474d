/* The model's state, its clock and its sweep; see model.h. */
#include "tests/model/model.h"

#include <stdlib.h>
#include <string.h>

struct model *model_new(const struct engine_limits *limits)
{
    struct model *model = calloc(1, sizeof *model);
    REQUIRE(model != NULL);
    model_grow(model, limits);
    return model;
}

void model_free(struct model *model)
{
    free(model);
}

/* Nights that a longer horizon opens have their type's default rooms from the start, so there is nothing to fill in. */
void model_grow(struct model *model, const struct engine_limits *limits)
{
    REQUIRE(limits->properties_max <= MODEL_PROPERTIES_MAX);
    REQUIRE(limits->room_types_max <= MODEL_ROOM_TYPES_MAX);
    REQUIRE(limits->reservations_max <= MODEL_OBJECTS_MAX);
    REQUIRE(limits->outcomes_max <= MODEL_OBJECTS_MAX);
    REQUIRE(limits->leases_max <= MODEL_OBJECTS_MAX);
    REQUIRE(limits->horizon_nights <= NIGHTS_MAX);
    model->limits = *limits;
}

uint64_t model_add_saturating(uint64_t a, uint64_t b)
{
    return a >= NEVER_NS - 1 - b || b >= NEVER_NS - 1 ? NEVER_NS - 1 : a + b;
}

/* ---- Finding ------------------------------------------------------------------------------------------------------- */

struct model_property *model_find_property(struct model *model, uint64_t number)
{
    for (size_t i = 0; i < model->properties_count; i++) {
        if (model->properties[i].number == number) {
            return &model->properties[i];
        }
    }
    return NULL;
}

struct model_room_type *model_find_room_type(struct model *model, uint64_t property, uint32_t number)
{
    for (size_t i = 0; i < model->room_types_count; i++) {
        if (model->room_types[i].property == property && model->room_types[i].number == number) {
            return &model->room_types[i];
        }
    }
    return NULL;
}

struct model_lease *model_find_lease(struct model *model, uint64_t property, uint64_t resource)
{
    for (size_t i = 0; i < model->leases_count; i++) {
        if (model->leases[i].property == property && model->leases[i].resource == resource) {
            return &model->leases[i];
        }
    }
    return NULL;
}

static bool outcome_is_of(const struct model_outcome *outcome, uint64_t property, struct key key)
{
    return outcome->lsn != 0 && outcome->property == property && key_equal(outcome->key, key);
}

struct model_key_use model_find_key(const struct model *model, uint64_t property, struct key key)
{
    for (size_t i = 0; i < model->reservations_count; i++) {
        const struct model_reservation *reservation = &model->reservations[i];
        if (outcome_is_of(&reservation->first, property, key)) {
            return (struct model_key_use){ &reservation->first, reservation };
        }
        if (outcome_is_of(&reservation->latest, property, key)) {
            return (struct model_key_use){ &reservation->latest, NULL };
        }
    }
    for (size_t i = 0; i < model->outcomes_count; i++) {
        if (outcome_is_of(&model->outcomes[i], property, key)) {
            return (struct model_key_use){ &model->outcomes[i], NULL };
        }
    }
    return (struct model_key_use){ NULL, NULL };
}

/* ---- Recomputing --------------------------------------------------------------------------------------------------- */

uint8_t model_state_now(struct model *model, const struct model_reservation *reservation)
{
    if (reservation->state == RESERVATION_HELD && reservation->hold_deadline_ns <= model->log_time_ns) {
        model->events[MODEL_EVENT_UNSWEPT_HOLD]++;
        return RESERVATION_EXPIRED;
    }
    return reservation->state;
}

uint32_t model_lease_state_now(struct model *model, const struct model_lease *lease)
{
    if (lease->state == LEASE_LIVE && lease->deadline_ns <= model->log_time_ns) {
        model->events[MODEL_EVENT_UNSWEPT_LEASE]++;
        return LEASE_EXPIRED;
    }
    return lease->state;
}

int32_t model_rooms_in_state(const struct model *model, const struct model_room_type *type, int32_t night,
                             uint8_t state)
{
    int32_t rooms = 0;
    for (size_t i = 0; i < model->reservations_count; i++) {
        const struct model_reservation *reservation = &model->reservations[i];
        const struct reserve *request = &reservation->request;
        bool takes = reservation->state == state && request->mutation.header.property == type->property &&
                     request->lines[0].room_type == type->number && request->arrival <= night &&
                     night < request->arrival + request->nights;
        rooms += takes ? request->lines[0].rooms : 0;
    }
    return rooms;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

uint64_t model_key_deadline_ns(const struct model_reservation *reservation)
{
    uint64_t newest = later(reservation->first.not_after_ns, reservation->dropped_deadline_ns);
    return reservation->latest.lsn == 0 ? newest : later(newest, reservation->latest.not_after_ns);
}

uint64_t model_forget_ns(const struct model_reservation *reservation)
{
    return later(reservation->lingers_until_ns, model_add_saturating(model_key_deadline_ns(reservation), 1));
}

struct engine_counts model_counts(const struct model *model)
{
    struct engine_counts counts = { .properties = (uint32_t)model->properties_count,
                                    .room_types = (uint32_t)model->room_types_count,
                                    .outcomes = (uint32_t)model->outcomes_count };
    for (size_t i = 0; i < model->reservations_count; i++) {
        uint8_t state = model->reservations[i].state;
        counts.reservations_held += state == RESERVATION_HELD;
        counts.reservations_confirmed += state == RESERVATION_CONFIRMED;
        counts.reservations_ended += state != RESERVATION_HELD && state != RESERVATION_CONFIRMED;
    }
    for (size_t i = 0; i < model->leases_count; i++) {
        const struct model_lease *lease = &model->leases[i];
        bool live = lease->state == LEASE_LIVE;
        counts.leases_live += live;
        counts.leases_ended += !live;
        if (live && (counts.shortest_ttl_ns == 0 || lease->ttl_ns < counts.shortest_ttl_ns)) {
            counts.shortest_ttl_ns = lease->ttl_ns;
        }
    }
    return counts;
}

/* ---- The sweep ----------------------------------------------------------------------------------------------------- */

enum due_kind { DUE_NOTHING, DUE_RESERVATION, DUE_OUTCOME, DUE_LEASE };

struct due {
    enum due_kind kind;
    size_t index;
    uint64_t at_ns;
    uint64_t lsn;
};

static uint64_t reservation_due_ns(const struct model_reservation *reservation)
{
    switch (reservation->state) {
    case RESERVATION_HELD:
        return reservation->hold_deadline_ns;
    case RESERVATION_CONFIRMED:
        return NEVER_NS;
    default:
        return model_forget_ns(reservation);
    }
}

static uint64_t lease_due_ns(const struct model_lease *lease)
{
    return lease->state == LEASE_LIVE ? lease->deadline_ns
                                      : model_add_saturating(lease->end_ns, ENGINE_LEASE_LINGER_NS);
}

static void due_offer(struct due *best, struct due candidate)
{
    if (candidate.at_ns == NEVER_NS) {
        return;
    }
    if (best->kind == DUE_NOTHING || candidate.at_ns < best->at_ns ||
        (candidate.at_ns == best->at_ns && candidate.lsn < best->lsn)) {
        *best = candidate;
    }
}

/* The next object to end, of any kind, in (deadline, LSN) order. */
static struct due due_earliest(const struct model *model)
{
    struct due best = { .kind = DUE_NOTHING, .at_ns = NEVER_NS };
    for (size_t i = 0; i < model->reservations_count; i++) {
        const struct model_reservation *reservation = &model->reservations[i];
        due_offer(&best, (struct due){ DUE_RESERVATION, i, reservation_due_ns(reservation), reservation->first.lsn });
    }
    for (size_t i = 0; i < model->outcomes_count; i++) {
        const struct model_outcome *outcome = &model->outcomes[i];
        due_offer(&best, (struct due){ DUE_OUTCOME, i, model_add_saturating(outcome->not_after_ns, 1), outcome->lsn });
    }
    for (size_t i = 0; i < model->leases_count; i++) {
        const struct model_lease *lease = &model->leases[i];
        due_offer(&best, (struct due){ DUE_LEASE, i, lease_due_ns(lease), lease->token });
    }
    return best;
}

uint64_t model_next_deadline(const struct model *model)
{
    return due_earliest(model).at_ns;
}

static void list_remove(void *items, size_t item_size, size_t *count, size_t index)
{
    char *hole = (char *)items + index * item_size;
    memmove(hole, hole + item_size, (*count - index - 1) * item_size);
    (*count)--;
}

void model_reservation_remove(struct model *model, size_t index)
{
    list_remove(model->reservations, sizeof model->reservations[0], &model->reservations_count, index);
}

static void reservation_fall_due(struct model *model, size_t index)
{
    struct model_reservation *reservation = &model->reservations[index];
    if (reservation->state == RESERVATION_HELD) {
        model->events[MODEL_EVENT_HOLD_EXPIRED]++;
        reservation->state = RESERVATION_EXPIRED;
        reservation->lingers_until_ns =
            model_add_saturating(reservation->hold_deadline_ns, model->limits.keep_ended_ns);
        model->events[MODEL_EVENT_CHAIN_SWEEP] += model_forget_ns(reservation) <= model->log_time_ns;
        return;
    }
    model->events[MODEL_EVENT_ENDED_FORGOTTEN]++;
    model_reservation_remove(model, index);
}

static void lease_fall_due(struct model *model, size_t index)
{
    struct model_lease *lease = &model->leases[index];
    if (lease->state == LEASE_LIVE) {
        model->events[MODEL_EVENT_LEASE_ENDED]++;
        lease->state = LEASE_EXPIRED;
        lease->end_ns = lease->deadline_ns;
        return;
    }
    model->events[MODEL_EVENT_SLOT_RECLAIMED]++;
    model->reclaimed_token_max = later(model->reclaimed_token_max, lease->token);
    list_remove(model->leases, sizeof model->leases[0], &model->leases_count, index);
}

static void fall_due(struct model *model, struct due due)
{
    if (due.kind == DUE_RESERVATION) {
        reservation_fall_due(model, due.index);
    } else if (due.kind == DUE_LEASE) {
        lease_fall_due(model, due.index);
    } else {
        model->events[MODEL_EVENT_OUTCOME_FORGOTTEN]++;
        list_remove(model->outcomes, sizeof model->outcomes[0], &model->outcomes_count, due.index);
    }
}

/* ---- Frames and records -------------------------------------------------------------------------------------------- */

static void leases_recover(struct model *model, uint64_t time_ns)
{
    for (size_t i = 0; i < model->leases_count; i++) {
        struct model_lease *lease = &model->leases[i];
        if (lease->state == LEASE_LIVE && lease->deadline_ns > model->log_time_ns) {
            model->events[MODEL_EVENT_LEASE_RECOVERED]++;
            lease->deadline_ns = model_add_saturating(time_ns, lease->ttl_ns);
        }
    }
}

void model_frame_begin(struct model *model, uint64_t time_ns, const struct record_header *first)
{
    REQUIRE(time_ns >= model->log_time_ns);
    if (first != NULL && first->kind == OPERATION_RECOVERED) {
        leases_recover(model, time_ns);
    }
    model->log_time_ns = time_ns;
    for (int swept = 0;; swept++) {
        struct due due = due_earliest(model);
        if (due.kind == DUE_NOTHING || due.at_ns > time_ns) {
            return;
        }
        if (swept == ENGINE_SWEEP_MAX) {
            model->events[MODEL_EVENT_SWEEP_CAPPED]++;
            return;
        }
        fall_due(model, due);
    }
}

static void model_apply_system(struct model *model, const struct record_header *record)
{
    if (record->kind == OPERATION_COMMIT_LATENCY) {
        const struct commit_latency_record *latency = (const void *)record;
        model->commit_p99_ns = latency->p99_ns;
        model->ttl_factor = latency->ttl_factor;
    }
}

/* A level only rises; where it does not, the one there is is told. */
static void model_raise_level(struct model *model, const struct raise_level *record, struct level_result *result)
{
    if (record->level > model->level) {
        model->level = record->level;
    } else {
        result->header.status = STATUS_ALREADY_AT_LEVEL;
    }
    result->level = model->level;
}

void model_apply(struct model *model, const struct record_header *record, uint64_t lsn, union apply_result *result)
{
    REQUIRE(lsn > model->last_lsn);
    memset(result, 0, sizeof *result);
    model->last_lsn = lsn;
    result->header.lsn = lsn;
    result->header.log_time_ns = model->log_time_ns;
    result->header.size = sizeof(struct result_header);
    switch (record->kind) {
    case OPERATION_PROPERTY_CREATE:
    case OPERATION_ROOM_TYPE_CREATE:
    case OPERATION_ROOMS_SET:
    case OPERATION_RESERVE:
    case OPERATION_CONFIRM:
    case OPERATION_RELEASE:
    case OPERATION_CANCEL:
        result->header.size = sizeof(struct mutation_result);
        model_apply_mutation(model, (const void *)record, lsn, &result->mutation);
        break;
    case OPERATION_LEASE_ACQUIRE:
    case OPERATION_LEASE_RENEW:
    case OPERATION_LEASE_RELEASE:
        result->header.size = sizeof(struct lease_result);
        model_apply_lease(model, record, lsn, &result->lease);
        break;
    case OPERATION_RAISE_LEVEL:
        result->header.size = sizeof(struct level_result);
        model_raise_level(model, (const void *)record, &result->level);
        break;
    default:
        model_apply_system(model, record);
        break;
    }
}
