/* See promises.h. Lists that only grow, searched from the newest to the oldest. */
#include "tests/model/promises.h"

#include <stdlib.h>
#include <string.h>

/* A mutation that was executed: its first answer. */
struct answered {
    uint64_t property;
    struct key key;
    struct hash128 fingerprint;
    uint64_t not_after_ns;
    uint8_t kind;
    struct mutation_result result;
};

/* A reservation that was granted. */
struct booking {
    struct reserve request;
    bool confirmed;
    bool ended;                /* released or cancelled */
    uint64_t hold_deadline_ns; /* while not confirmed */
};

/* Rooms of a type from the night on which they were set. */
struct supply {
    uint64_t property;
    uint32_t room_type;
    int32_t first_night;
    int32_t last_night;
    uint8_t weekdays;
    uint16_t rooms;
};

struct granted {
    uint64_t property;
    uint64_t resource;
    uint64_t token;
    uint64_t deadline_ns; /* NEVER_NS: a restart has moved it, nobody outside knows how far */
    bool released;
};

struct list {
    void *items;
    size_t count;
    size_t room;
};

struct promises {
    struct list answers;
    struct list bookings;
    struct list supplies;
    struct list grants;
    uint64_t token_max;
};

struct promises *promises_new(void)
{
    struct promises *promises = calloc(1, sizeof *promises);
    REQUIRE(promises != NULL);
    return promises;
}

void promises_free(struct promises *promises)
{
    free(promises->answers.items);
    free(promises->bookings.items);
    free(promises->supplies.items);
    free(promises->grants.items);
    free(promises);
}

static void list_add(struct list *list, const void *item, size_t item_size)
{
    if (list->count == list->room) {
        list->room = list->room == 0 ? 64 : 2 * list->room;
        list->items = realloc(list->items, list->room * item_size);
        REQUIRE(list->items != NULL);
    }
    memcpy((char *)list->items + list->count++ * item_size, item, item_size);
}

/* ---- Keys ---------------------------------------------------------------------------------------------------------- */

static const struct answered *find_answer(const struct promises *promises, const struct mutation *mutation,
                                          uint64_t lsn)
{
    const struct answered *answers = promises->answers.items;
    for (size_t i = promises->answers.count; i-- > 0;) {
        const struct answered *answer = &answers[i];
        bool same_key = answer->property == mutation->header.property && key_equal(answer->key, mutation->header.key);
        if (same_key && answer->result.header.lsn == lsn) {
            return answer;
        }
    }
    return NULL;
}

static const char *check_replay(const struct promises *promises, const struct mutation *mutation,
                                const struct mutation_result *result)
{
    const struct answered *first = find_answer(promises, mutation, result->header.original_lsn);
    if (first == NULL) {
        return "a replayed answer has no first one";
    }
    if (!hash128_equal(first->fingerprint, mutation_fingerprint(mutation))) {
        return "another request's answer was replayed";
    }
    struct mutation_result expected = first->result;
    expected.header.lsn = result->header.lsn;
    expected.header.original_lsn = result->header.original_lsn;
    expected.header.log_time_ns = result->header.log_time_ns;
    expected.header.flags = RESULT_REPLAYED;
    return memcmp(&expected, result, sizeof expected) == 0 ? NULL : "a replayed answer differs from the first one";
}

/* The one exception: a confirm's outcome may be dropped for want of a place, and then its key is only known by what it
 * changed; used for something else, it is not recognised. */
static const char *check_once(const struct promises *promises, const struct mutation *mutation)
{
    const struct answered *answers = promises->answers.items;
    struct hash128 fingerprint = mutation_fingerprint(mutation);
    for (size_t i = promises->answers.count; i-- > 0;) {
        const struct answered *answer = &answers[i];
        bool had_effect = answer->property == mutation->header.property &&
                          key_equal(answer->key, mutation->header.key) && answer->result.header.status == STATUS_OK &&
                          answer->not_after_ns >= mutation->not_after_ns;
        bool known = answer->kind != OPERATION_CONFIRM || hash128_equal(answer->fingerprint, fingerprint);
        if (had_effect && known) {
            return "a key took effect twice";
        }
    }
    return NULL;
}

/* ---- Fences -------------------------------------------------------------------------------------------------------- */

static struct granted *find_grant(const struct promises *promises, uint64_t property, uint64_t resource)
{
    struct granted *grants = promises->grants.items;
    for (size_t i = promises->grants.count; i-- > 0;) {
        if (grants[i].property == property && grants[i].resource == resource) {
            return &grants[i];
        }
    }
    return NULL;
}

static const char *check_fence(const struct promises *promises, const struct mutation *mutation, uint64_t log_time_ns)
{
    if (mutation->fence_token == 0) {
        return NULL;
    }
    const struct granted *grant = find_grant(promises, mutation->header.property, mutation->fence_resource);
    if (grant == NULL || grant->token != mutation->fence_token) {
        return "a command was executed under a token that is not its resource's newest";
    }
    if (grant->released || grant->deadline_ns <= log_time_ns) {
        return "a command was executed under a lease that had ended";
    }
    return NULL;
}

static void note_grant(struct promises *promises, uint64_t property, uint64_t resource,
                       const struct lease_result *result)
{
    struct granted *grant = find_grant(promises, property, resource);
    struct granted now = { property, resource, result->token, result->deadline_ns, result->state == LEASE_RELEASED };
    if (grant != NULL) {
        *grant = now;
    } else {
        list_add(&promises->grants, &now, sizeof now);
    }
}

static const char *note_lease(struct promises *promises, const struct record_header *record,
                              const struct lease_result *result)
{
    if (result->header.status != STATUS_OK) {
        return NULL;
    }
    const struct lease_renew *lease = (const void *)record; /* the resource lies at the same place in all three */
    const struct granted *before = find_grant(promises, record->property, lease->resource);
    bool new_grant = before == NULL || before->token != result->token;
    bool had_ended = before != NULL && (before->released || before->deadline_ns <= result->header.log_time_ns);
    if (!new_grant && had_ended) {
        return "a lease that had ended went on under its old token";
    }
    if (new_grant && (record->kind != OPERATION_LEASE_ACQUIRE || result->token <= promises->token_max)) {
        return "a token did not grow";
    }
    promises->token_max = new_grant ? result->token : promises->token_max;
    note_grant(promises, record->property, lease->resource, result);
    return NULL;
}

static void note_restart(struct promises *promises)
{
    struct granted *grants = promises->grants.items;
    for (size_t i = 0; i < promises->grants.count; i++) {
        grants[i].deadline_ns = NEVER_NS;
    }
}

/* ---- Rooms --------------------------------------------------------------------------------------------------------- */

static int32_t supply_on(const struct promises *promises, const struct reserve *request, int32_t night)
{
    const struct supply *supplies = promises->supplies.items;
    uint8_t weekday = (uint8_t)(1u << (((night % 7) + 10) % 7));
    for (size_t i = promises->supplies.count; i-- > 0;) {
        const struct supply *supply = &supplies[i];
        if (supply->property == request->mutation.header.property && supply->room_type == request->lines[0].room_type &&
            supply->first_night <= night && night <= supply->last_night && (supply->weekdays & weekday) != 0) {
            return supply->rooms;
        }
    }
    return 0;
}

static int32_t taken_on(const struct promises *promises, const struct reserve *request, int32_t night,
                        uint64_t log_time_ns)
{
    const struct booking *bookings = promises->bookings.items;
    int32_t taken = 0;
    for (size_t i = 0; i < promises->bookings.count; i++) {
        const struct booking *booking = &bookings[i];
        const struct reserve *other = &booking->request;
        bool there = !booking->ended && (booking->confirmed || booking->hold_deadline_ns > log_time_ns);
        bool same = other->mutation.header.property == request->mutation.header.property &&
                    other->lines[0].room_type == request->lines[0].room_type;
        if (there && same && other->arrival <= night && night < other->arrival + other->nights) {
            taken += other->lines[0].rooms;
        }
    }
    return taken;
}

static const char *note_booking(struct promises *promises, const struct reserve *request,
                                const struct mutation_result *result)
{
    struct booking booking = { .request = *request,
                               .confirmed = result->state == RESERVATION_CONFIRMED,
                               .hold_deadline_ns = result->hold_deadline_ns };
    list_add(&promises->bookings, &booking, sizeof booking);
    for (int32_t night = request->arrival; night < request->arrival + request->nights; night++) {
        if (taken_on(promises, request, night, result->header.log_time_ns) > supply_on(promises, request, night)) {
            return "a night was oversold";
        }
    }
    return NULL;
}

static const char *note_change(struct promises *promises, const struct reservation_change *command)
{
    struct booking *bookings = promises->bookings.items;
    for (size_t i = promises->bookings.count; i-- > 0;) {
        struct booking *booking = &bookings[i];
        if (booking->request.mutation.header.property == command->mutation.header.property &&
            key_equal(booking->request.mutation.header.key, command->reservation)) {
            booking->confirmed = command->mutation.header.kind == OPERATION_CONFIRM;
            booking->ended = !booking->confirmed;
            return NULL;
        }
    }
    return "a reservation changed that was never made";
}

static void note_room_type(struct promises *promises, const struct room_type_create *command)
{
    struct supply supply = { .property = command->mutation.header.property,
                             .room_type = command->room_type,
                             .first_night = INT32_MIN,
                             .last_night = INT32_MAX,
                             .weekdays = WEEKDAYS_ALL,
                             .rooms = command->rooms };
    list_add(&promises->supplies, &supply, sizeof supply);
}

static void note_rooms_set(struct promises *promises, const struct rooms_set *command)
{
    struct supply supply = { .property = command->mutation.header.property,
                             .room_type = command->room_type,
                             .first_night = command->first_night,
                             .last_night = command->last_night,
                             .weekdays = command->weekdays,
                             .rooms = command->rooms };
    list_add(&promises->supplies, &supply, sizeof supply);
}

static const char *note_effect(struct promises *promises, const struct mutation *mutation,
                               const struct mutation_result *result)
{
    switch (mutation->header.kind) {
    case OPERATION_PROPERTY_CREATE:
        return NULL;
    case OPERATION_ROOM_TYPE_CREATE:
        note_room_type(promises, (const void *)mutation);
        return NULL;
    case OPERATION_ROOMS_SET:
        note_rooms_set(promises, (const void *)mutation);
        return NULL;
    case OPERATION_RESERVE:
        return note_booking(promises, (const void *)mutation, result);
    default:
        return note_change(promises, (const void *)mutation);
    }
}

/* ---- Answers ------------------------------------------------------------------------------------------------------- */

static void note_answer(struct promises *promises, const struct mutation *mutation,
                        const struct mutation_result *result)
{
    struct answered answer = { .property = mutation->header.property,
                               .key = mutation->header.key,
                               .fingerprint = mutation_fingerprint(mutation),
                               .not_after_ns = mutation->not_after_ns,
                               .kind = mutation->header.kind,
                               .result = *result };
    list_add(&promises->answers, &answer, sizeof answer);
}

static const char *note_mutation(struct promises *promises, const struct mutation *mutation,
                                 const struct mutation_result *result)
{
    if ((result->header.flags & RESULT_REPLAYED) != 0) {
        return check_replay(promises, mutation, result);
    }
    if (status_class(result->header.status) == STATUS_CLASS_UNTOUCHED) {
        return NULL;
    }
    const char *broken = check_fence(promises, mutation, result->header.log_time_ns);
    if (broken == NULL && result->header.log_time_ns > mutation->not_after_ns) {
        broken = "a command was executed past its deadline";
    }
    if (broken == NULL && result->header.status == STATUS_OK) {
        broken = check_once(promises, mutation);
    }
    if (broken == NULL && result->header.status == STATUS_OK) {
        broken = note_effect(promises, mutation, result);
    }
    note_answer(promises, mutation, result);
    return broken;
}

const char *promises_note(struct promises *promises, const struct record_header *record,
                          const union apply_result *result)
{
    switch (operation_class(record->kind)) {
    case OPERATION_CLASS_MUTATION:
        return note_mutation(promises, (const void *)record, &result->mutation);
    case OPERATION_CLASS_LEASE:
        return note_lease(promises, record, &result->lease);
    case OPERATION_CLASS_SYSTEM:
        if (record->kind == OPERATION_RECOVERED) {
            note_restart(promises);
        }
        return NULL;
    case OPERATION_CLASS_UNKNOWN:
    case OPERATION_CLASS_TICK:
    case OPERATION_CLASS_QUERY:
    case OPERATION_CLASS_SESSION:
    default:
        return NULL;
    }
}
