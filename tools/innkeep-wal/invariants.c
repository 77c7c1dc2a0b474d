#include "tools/innkeep-wal/invariants.h"

#include "engine/base/civil_date.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The nights that a record may change, and by what. */
struct change {
    uint32_t room_type;
    int32_t first_night;
    int32_t end_night;
    uint8_t weekdays;
    bool sets_supply;
    int rooms; /* the supply, if it is set */
    int sold;  /* added to each night */
    int held;
};

int invariants_init(struct invariants *invariants)
{
    *invariants = (struct invariants){ .before = malloc(RESULT_SIZE_MAX), .after = malloc(RESULT_SIZE_MAX) };
    return invariants->before == NULL || invariants->after == NULL ? -ENOMEM : 0;
}

void invariants_free(struct invariants *invariants)
{
    free(invariants->before);
    free(invariants->after);
    invariants->before = invariants->after = NULL;
}

__attribute__((format(printf, 2, 3))) static const char *broken(struct invariants *invariants, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(invariants->broken, sizeof invariants->broken, format, arguments);
    va_end(arguments);
    return invariants->broken;
}

/* ---- Queries -------------------------------------------------------------------------------------------------------------------- */

static struct record_header query_header(enum operation operation, size_t size, uint64_t property)
{
    return (
        struct record_header){ .size = (uint16_t)size, .kind = (uint8_t)operation, .version = 1, .property = property };
}

/* True with the nights from `first` on, as far as the room type has any. */
static bool nights_ask(const struct engine *engine, uint64_t property, const struct change *change,
                       struct calendar_result *result)
{
    struct calendar query = { .header = query_header(OPERATION_CALENDAR, sizeof query, property),
                              .room_type = change->room_type,
                              .first_night = change->first_night };
    if (change->room_type == 0)
        return false;
    bool is_long = change->end_night - change->first_night > NIGHTS_MAX;
    query.nights = (uint16_t)(is_long ? 1 : change->end_night - change->first_night);
    (void)engine_query(engine, &query.header, &result->header);
    if (is_long && result->header.status == STATUS_OK) { /* then the window is shorter than what is asked for */
        query.first_night = result->business_date;
        query.nights = (uint16_t)engine_limits_of(engine)->horizon_nights;
        (void)engine_query(engine, &query.header, &result->header);
    }
    return result->header.status == STATUS_OK && result->nights > 0;
}

static const struct calendar_night *nights_of(const struct calendar_result *result)
{
    return (const void *)((const uint8_t *)(result + 1) + sizeof(struct calendar_type));
}

static bool is_change(const struct record_header *record)
{
    return record->kind == OPERATION_CONFIRM || record->kind == OPERATION_RELEASE || record->kind == OPERATION_CANCEL;
}

/* ---- What a record does to nights ----------------------------------------------------------------------------------------------- */

static struct change change_of_reserve(const struct reserve *reserve)
{
    int rooms = reserve->lines[0].rooms;
    return (struct change){ .room_type = reserve->lines[0].room_type,
                            .first_night = reserve->arrival,
                            .end_night = reserve->arrival + reserve->nights,
                            .weekdays = WEEKDAYS_ALL,
                            .sold = reserve->hold_ns == 0 ? rooms : 0,
                            .held = reserve->hold_ns == 0 ? 0 : rooms };
}

static struct change change_of_booking(const struct record_header *record, const struct lookup_result *booking)
{
    if (booking->what != LOOKUP_RESERVATION)
        return (struct change){ .room_type = 0 };
    int rooms = booking->rooms;
    return (struct change){ .room_type = booking->room_type,
                            .first_night = booking->arrival,
                            .end_night = booking->arrival + booking->nights,
                            .weekdays = WEEKDAYS_ALL,
                            .sold = record->kind == OPERATION_CONFIRM  ? rooms
                                    : record->kind == OPERATION_CANCEL ? -rooms
                                                                       : 0,
                            .held = record->kind == OPERATION_CANCEL ? 0 : -rooms };
}

/* If it takes effect; else its nights stay as they are. */
static struct change change_of(const struct record_header *record, const struct lookup_result *booking)
{
    const void *bytes = record;
    const struct rooms_set *set = bytes;
    if (record->kind == OPERATION_RESERVE)
        return change_of_reserve(bytes);
    if (is_change(record))
        return change_of_booking(record, booking);
    if (record->kind != OPERATION_ROOMS_SET)
        return (struct change){ .room_type = 0 };
    return (struct change){ .room_type = set->room_type,
                            .first_night = set->first_night,
                            .end_night = set->last_night + 1,
                            .weekdays = set->weekdays,
                            .sets_supply = true,
                            .rooms = set->rooms };
}

static bool night_is_in(const struct change *change, int32_t night)
{
    return night >= change->first_night && night < change->end_night &&
           (change->weekdays >> weekday_of(night) & 1) != 0;
}

static const char *night_judge(struct invariants *invariants, const struct change *change, int32_t night,
                               const struct calendar_night *before, const struct calendar_night *after)
{
    char date[CIVIL_DATE_TEXT_SIZE];
    bool concerned = change != NULL && night_is_in(change, night);
    int sellable = concerned && change->sets_supply ? change->rooms : before->sellable;
    int sold = before->sold + (concerned ? change->sold : 0);
    int held = before->held + (concerned ? change->held : 0);
    bool takes_rooms = concerned && !change->sets_supply && change->sold + change->held > 0;
    if (takes_rooms && after->sold + after->held > after->sellable)
        return broken(invariants, "oversold: %s has %d rooms and %d taken", civil_date_format(night, date),
                      after->sellable, after->sold + after->held);
    if (after->sellable != sellable || after->sold != sold || after->held != held)
        return broken(invariants, "rooms do not add up: %s has sellable %d, sold %d, held %d instead of %d, %d, %d",
                      civil_date_format(night, date), after->sellable, after->sold, after->held, sellable, sold, held);
    return NULL;
}

static const char *nights_judge(struct invariants *invariants, const struct engine *engine,
                                const struct record_header *record, bool took_effect)
{
    const struct calendar_result *before = invariants->before;
    const struct calendar_result *after = invariants->after;
    struct change change = change_of(record, &invariants->booking);
    if (!invariants->has_nights)
        return NULL;
    if (!nights_ask(engine, record->property, &change, invariants->after) || after->nights != before->nights ||
        after->first_night != before->first_night)
        return broken(invariants, "the nights that a record concerns are others behind it than before it");
    const char *wrong = NULL;
    for (int32_t i = 0; i < before->nights && wrong == NULL; i++)
        wrong = night_judge(invariants, took_effect ? &change : NULL, before->first_night + i, &nights_of(before)[i],
                            &nights_of(after)[i]);
    return wrong;
}

/* ---- Leases and deadlines ------------------------------------------------------------------------------------------------------- */

static uint64_t resource_of(const struct record_header *record)
{
    enum operation_class class = operation_class(record->kind);
    if (class == OPERATION_CLASS_LEASE)
        return ((const struct lease_release *)(const void *)record)->resource;
    return class == OPERATION_CLASS_MUTATION ? ((const struct mutation *)(const void *)record)->fence_resource : 0;
}

static const char *lease_judge_result(struct invariants *invariants, const struct record_header *record, uint64_t lsn,
                                      const struct lease_result *result)
{
    const struct lease_result *before = &invariants->lease;
    bool lived = before->state == LEASE_LIVE;
    if (record->kind != OPERATION_LEASE_ACQUIRE) {
        uint64_t token = ((const struct lease_release *)(const void *)record)->token;
        if (!lived || before->token != token || result->token != token)
            return broken(invariants, "token %" PRIu64 " renewed or released a lease that it is not the live one of",
                          token);
        return NULL;
    }
    if (lived && result->token != before->token)
        return broken(invariants, "token %" PRIu64 " was granted while token %" PRIu64 " lived", result->token,
                      before->token);
    if (!lived && (result->token != lsn || result->token <= before->token))
        return broken(invariants, "token %" PRIu64 " was granted at LSN %" PRIu64 " behind token %" PRIu64,
                      result->token, lsn, before->token);
    return NULL;
}

static const char *mutation_judge(struct invariants *invariants, const struct engine *engine,
                                  const struct mutation *mutation)
{
    if (mutation->not_after_ns < engine_log_time(engine))
        return broken(invariants, "a write took effect after its deadline");
    if (mutation->fence_token == 0)
        return NULL;
    if (invariants->lease.state != LEASE_LIVE || invariants->lease.token != mutation->fence_token)
        return broken(invariants,
                      "a write took effect under token %" PRIu64 ", which is not the live one of its resource",
                      mutation->fence_token);
    return NULL;
}

/* ---- The two calls -------------------------------------------------------------------------------------------------------------- */

void invariants_before(struct invariants *invariants, const struct engine *engine, const struct record_header *record)
{
    invariants->has_nights = false;
    invariants->booking = (struct lookup_result){ .what = LOOKUP_NOTHING };
    invariants->lease = (struct lease_result){ .state = LEASE_NONE };
    if (engine == NULL)
        return;
    if (is_change(record)) {
        struct lookup query = { .header = query_header(OPERATION_LOOKUP, sizeof query, record->property) };
        query.header.key = ((const struct reservation_change *)(const void *)record)->reservation;
        (void)engine_query(engine, &query.header, &invariants->booking.header);
    }
    if (resource_of(record) != 0) {
        struct lease_show query = { .header = query_header(OPERATION_LEASE_SHOW, sizeof query, record->property),
                                    .resource = resource_of(record) };
        (void)engine_query(engine, &query.header, &invariants->lease.header);
    }
    struct change change = change_of(record, &invariants->booking);
    invariants->has_nights = nights_ask(engine, record->property, &change, invariants->before);
}

const char *invariants_after(struct invariants *invariants, const struct engine *engine,
                             const struct record_header *record, uint64_t lsn, const union apply_result *result)
{
    bool took_effect = result->header.status == STATUS_OK && (result->header.flags & RESULT_REPLAYED) == 0;
    enum operation_class class = operation_class(record->kind);
    const char *wrong = NULL;
    if (took_effect && class == OPERATION_CLASS_LEASE)
        wrong = lease_judge_result(invariants, record, lsn, &result->lease);
    if (took_effect && class == OPERATION_CLASS_MUTATION)
        wrong = mutation_judge(invariants, engine, (const struct mutation *)(const void *)record);
    return wrong != NULL ? wrong : nights_judge(invariants, engine, record, took_effect);
}
