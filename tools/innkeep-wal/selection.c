#include "tools/innkeep-wal/selection.h"

#include "engine/base/civil_date.h"

static struct reach reach_of_change(const struct reservation_change *change, const struct engine *engine)
{
    if (engine == NULL)
        return (struct reach){ .room_type = 0 };
    struct lookup query = { .header = { .size = sizeof query,
                                        .kind = OPERATION_LOOKUP,
                                        .version = 1,
                                        .property = change->mutation.header.property,
                                        .key = change->reservation } };
    struct lookup_result found = { .what = LOOKUP_NOTHING };
    (void)engine_query(engine, &query.header, &found.header);
    if (found.what != LOOKUP_RESERVATION)
        return (struct reach){ .room_type = 0 };
    return (struct reach){ .room_type = found.room_type,
                           .first_night = found.arrival,
                           .end_night = found.arrival + found.nights,
                           .weekdays = WEEKDAYS_ALL };
}

struct reach selection_reach(const struct record_header *record, const struct engine *engine)
{
    const void *bytes = record;
    const struct reserve *reserve = bytes;
    const struct rooms_set *set = bytes;
    const struct room_type_create *create = bytes;
    switch (record->kind) {
    case OPERATION_RESERVE:
        return (struct reach){ .room_type = reserve->lines[0].room_type,
                               .first_night = reserve->arrival,
                               .end_night = reserve->arrival + reserve->nights,
                               .weekdays = WEEKDAYS_ALL };
    case OPERATION_ROOMS_SET:
        return (struct reach){ .room_type = set->room_type,
                               .first_night = set->first_night,
                               .end_night = set->last_night + 1,
                               .weekdays = set->weekdays };
    case OPERATION_ROOM_TYPE_CREATE:
        return (struct reach){ .room_type = create->room_type,
                               .first_night = DAY_NUMBER_MIN,
                               .end_night = DAY_NUMBER_MAX + 1,
                               .weekdays = WEEKDAYS_ALL };
    case OPERATION_CONFIRM:
    case OPERATION_RELEASE:
    case OPERATION_CANCEL:
        return reach_of_change(bytes, engine);
    default:
        return (struct reach){ .room_type = 0 };
    }
}

bool selection_needs_replay(const struct selection *selection)
{
    return selection->by_night || selection->room_type != 0 || selection->refused;
}

static bool key_matches(const struct selection *selection, const struct record_header *record)
{
    if (key_is_zero(selection->key))
        return true;
    bool is_change =
        record->kind == OPERATION_CONFIRM || record->kind == OPERATION_RELEASE || record->kind == OPERATION_CANCEL;
    struct key named = record->key;
    if (is_change)
        named = ((const struct reservation_change *)(const void *)record)->reservation;
    bool own = key_equal(record->key, selection->key) || key_equal(named, selection->key);
    return own || (!key_is_zero(selection->also) &&
                   (key_equal(record->key, selection->also) || key_equal(named, selection->also)));
}

static bool resource_matches(const struct selection *selection, const struct record_header *record)
{
    if (selection->resource == 0)
        return true;
    enum operation_class class = operation_class(record->kind);
    if (class == OPERATION_CLASS_LEASE) /* all three have it at the same place */
        return ((const struct lease_release *)(const void *)record)->resource == selection->resource;
    return class == OPERATION_CLASS_MUTATION &&
           ((const struct mutation *)(const void *)record)->fence_resource == selection->resource;
}

static bool reach_matches(const struct selection *selection, const struct placed_record *placed)
{
    if (!selection->by_night && selection->room_type == 0)
        return true;
    struct reach reach = selection_reach(placed->record, placed->engine);
    if (reach.room_type == 0 || (selection->room_type != 0 && reach.room_type != selection->room_type))
        return false;
    if (!selection->by_night)
        return true;
    return reach.first_night <= selection->night && selection->night < reach.end_night &&
           (reach.weekdays >> weekday_of(selection->night) & 1) != 0;
}

bool selection_matches(const struct selection *selection, const struct placed_record *placed)
{
    const struct record_header *record = placed->record;
    if (placed->lsn < selection->from_lsn || placed->lsn > selection->to_lsn || placed->time_ns < selection->from_ns ||
        placed->time_ns > selection->to_ns)
        return false;
    if (selection->by_kind && !selection->kinds[record->kind])
        return false;
    if (selection->property != 0 && (record->property != selection->property || (record->flags & RECORD_BY_SHARD) != 0))
        return false;
    if (selection->refused && (placed->result == NULL || placed->result->header.status == STATUS_OK))
        return false;
    return key_matches(selection, record) && resource_matches(selection, record) && reach_matches(selection, placed);
}

bool selection_night_show(const struct engine *engine, const struct selection *selection, struct calendar_night *night)
{
    struct calendar query = {
        .header = { .size = sizeof query, .kind = OPERATION_CALENDAR, .version = 1, .property = selection->property },
        .room_type = selection->room_type,
        .first_night = selection->night,
        .nights = 1,
    };
    struct {
        struct calendar_result result;
        struct calendar_type type;
        struct calendar_night night;
    } answer = { .result = { .nights = 0 } };
    REQUIRE(selection->room_type != ROOM_TYPE_ALL);
    (void)engine_query(engine, &query.header, &answer.result.header);
    if (answer.result.header.status != STATUS_OK || answer.result.nights != 1 || answer.result.types_count != 1)
        return false;
    *night = answer.night;
    return true;
}
