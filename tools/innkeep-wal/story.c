#include "tools/innkeep-wal/story.h"

#include "engine/base/civil_date.h"
#include "tools/innkeep-wal/moment.h"
#include "tools/innkeep-wal/printer.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

/* Text that grows in a buffer of STORY_SIZE; what does not fit is cut. */
__attribute__((format(printf, 2, 3))) static void text_append(char *text, const char *format, ...)
{
    size_t length = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + length, STORY_SIZE - length, format, arguments);
    va_end(arguments);
}

char *story_count(uint64_t count, const char *one, char text[STORY_SIZE])
{
    snprintf(text, STORY_SIZE, "%" PRIu64 " %s%s", count, one, count == 1 ? "" : "s");
    return text;
}

/* ---- What was asked for --------------------------------------------------------------------------------------------------------- */

static void doing_reserve(const struct story *story, const struct reserve *reserve, char *text)
{
    char date[CIVIL_DATE_TEXT_SIZE];
    char count[STORY_SIZE];
    char span[MOMENT_SPAN_SIZE];
    text_append(text, "%s %s %s", reserve->hold_ns == 0 ? "reserve" : "hold", civil_date_format(reserve->arrival, date),
                story_count(reserve->nights, "night", count));
    if (reserve->lines[0].rooms != 1)
        text_append(text, ", %s", story_count(reserve->lines[0].rooms, "room", count));
    if (story->names_type)
        text_append(text, ", type %u", reserve->lines[0].room_type);
    if (reserve->hold_ns != 0)
        text_append(text, " for %s", moment_span(reserve->hold_ns, 9, span));
}

static void doing_rooms_set(const struct rooms_set *set, char *text)
{
    static const char *const names[] = { "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun" };
    char first[CIVIL_DATE_TEXT_SIZE];
    char last[CIVIL_DATE_TEXT_SIZE];
    char count[STORY_SIZE];
    text_append(text, "set %s of type %u, %s to %s", story_count(set->rooms, "room", count), set->room_type,
                civil_date_format(set->first_night, first), civil_date_format(set->last_night, last));
    for (unsigned day = 0; day < ARRAY_COUNT(names) && set->weekdays != WEEKDAYS_ALL; day++)
        if ((set->weekdays >> day & 1u) != 0)
            text_append(text, " %s", names[day]);
}

static void doing_supply(const struct record_header *record, char *text)
{
    const void *bytes = record;
    const struct room_type_create *type = bytes;
    const struct property_create *property = bytes;
    char date[CIVIL_DATE_TEXT_SIZE];
    char count[STORY_SIZE];
    if (record->kind == OPERATION_PROPERTY_CREATE)
        text_append(text, "create property, from %s on", civil_date_format(property->business_date, date));
    else if (record->kind == OPERATION_ROOM_TYPE_CREATE)
        text_append(text, "create type %u, %s", type->room_type, story_count(type->rooms, "room", count));
    else
        doing_rooms_set(bytes, text);
}

static void doing_lease(const struct record_header *record, char *text)
{
    const void *bytes = record;
    const struct lease_acquire *acquire = bytes;
    const struct lease_renew *renew = bytes;
    char span[MOMENT_SPAN_SIZE];
    if (record->kind == OPERATION_LEASE_ACQUIRE)
        text_append(text, "acquire lease %" PRIu64 " for %s", acquire->resource, moment_span(acquire->ttl_ns, 9, span));
    else if (record->kind == OPERATION_LEASE_RENEW)
        text_append(text, "renew lease %" PRIu64 " for %s", renew->resource, moment_span(renew->ttl_ns, 9, span));
    else
        text_append(text, "release lease %" PRIu64, renew->resource);
}

char *story_doing(const struct story *story, char text[STORY_SIZE])
{
    const struct record_header *record = story->placed->record;
    text[0] = '\0';
    if (record->kind == OPERATION_RESERVE)
        doing_reserve(story, (const struct reserve *)(const void *)record, text);
    else if (record->kind < OPERATION_RESERVE)
        doing_supply(record, text);
    else if (operation_class(record->kind) == OPERATION_CLASS_LEASE)
        doing_lease(record, text);
    else
        text_append(text, "%s", operation_name(record->kind));
    return text;
}

/* ---- What came of it ------------------------------------------------------------------------------------------------------------ */

static const char *state_word(uint8_t state)
{
    static const char *const words[] = {
        [RESERVATION_NONE] = "done",         [RESERVATION_HELD] = "held",       [RESERVATION_CONFIRMED] = "confirmed",
        [RESERVATION_RELEASED] = "released", [RESERVATION_EXPIRED] = "expired", [RESERVATION_CANCELLED] = "cancelled",
    };
    return state < ARRAY_COUNT(words) ? words[state] : "?";
}

static void append_clock(const struct story *story, uint64_t time_ns, char *text)
{
    char clock[MOMENT_CLOCK_SIZE];
    text_append(text, "%s", moment_clock(time_ns, moment_day(story->placed->time_ns), clock));
}

/* To the millisecond: for what has a line of its own. */
static void append_clock_short(const struct story *story, uint64_t time_ns, char *text)
{
    append_clock(story, time_ns, text);
    if (time_ns != NEVER_NS)
        text[strlen(text) - 3] = '\0';
}

static void outcome_done(const struct story *story, const struct mutation_result *result, char *text)
{
    const struct record_header *record = story->placed->record;
    if (record->kind < OPERATION_RESERVE)
        return;
    text_append(text, ": %s", state_word(result->state));
    if (result->state == RESERVATION_HELD) {
        text_append(text, " until ");
        append_clock(story, result->hold_deadline_ns, text);
    }
}

/* Why a token did not do. The grants of all tokens that matter are known where the log is told from the beginning. */
static void outcome_fence(const struct story *story, const struct mutation_result *result, char *text)
{
    const struct mutation *mutation = (const struct mutation *)(const void *)story->placed->record;
    char owner[PRINTER_TEXT_SIZE];
    const struct grant *newest = grants_find(story->grants, mutation->fence_resource, result->token);
    if (result->header.status == STATUS_FENCED && newest == NULL) {
        text_append(text, ": token %" PRIu64 " is newer", result->token);
    } else if (result->header.status == STATUS_FENCED) {
        text_append(text, ": %s took token %" PRIu64, printer_text(newest->owner, OWNER_SIZE, owner), result->token);
        text_append(text, newest->granted_ns != 0 ? " at " : " before the log begins");
        if (newest->granted_ns != 0)
            append_clock_short(story, newest->granted_ns, text);
    } else if (newest != NULL) {
        text_append(text, result->header.status == STATUS_LEASE_EXPIRED ? ": it ran out at " : ": at ");
        append_clock(story, newest->ended_ns != 0 ? newest->ended_ns : newest->deadline_ns, text);
    }
}

static const char *limit_word(uint8_t limit)
{
    switch (limit) {
    case LIMIT_RESERVATIONS:
        return "reservations";
    case LIMIT_OUTCOMES:
        return "kept outcomes";
    case LIMIT_PROPERTIES:
        return "properties";
    case LIMIT_ROOM_TYPES:
        return "room types";
    default:
        return "leases";
    }
}

static void outcome_refused(const struct story *story, const struct mutation_result *result, char *text)
{
    const struct mutation *mutation = (const struct mutation *)(const void *)story->placed->record;
    char date[CIVIL_DATE_TEXT_SIZE];
    char count[STORY_SIZE];
    switch (result->header.status) {
    case STATUS_SOLD_OUT:
        text_append(text, ": %s left on %s", story_count((uint64_t)result->available, "room", count),
                    civil_date_format(result->night, date));
        break;
    case STATUS_FENCED:
    case STATUS_LEASE_EXPIRED:
    case STATUS_LEASE_RELEASED:
        outcome_fence(story, result, text);
        break;
    case STATUS_TOO_LATE:
        text_append(text, ": not to be done after ");
        append_clock(story, mutation->not_after_ns, text);
        break;
    case STATUS_HOLD_EXPIRED:
        text_append(text, ": at ");
        append_clock(story, result->hold_deadline_ns, text);
        break;
    case STATUS_STATE_CONFLICT:
        text_append(text, ": the reservation is %s", state_word(result->state));
        break;
    case STATUS_VERSION_CONFLICT:
        text_append(text, ": the reservation is at version %u", result->version);
        break;
    case STATUS_KEY_REUSED:
        text_append(text, ": first used for %s, LSN %" PRIu64, operation_name(result->operation),
                    result->header.original_lsn);
        break;
    case STATUS_LIMIT_REACHED:
        text_append(text, ": too many %s", limit_word(result->limit));
        break;
    default:
        text_append(text, ": %s", status_text(result->header.status));
    }
}

static void outcome_lease(const struct story *story, const struct lease_result *result, char *text)
{
    char owner[PRINTER_TEXT_SIZE];
    uint16_t status = result->header.status;
    bool is_release = story->placed->record->kind == OPERATION_LEASE_RELEASE;
    if (status == STATUS_OK && !is_release) {
        text_append(text, ": until ");
        append_clock(story, result->deadline_ns, text);
        if ((result->flags & LEASE_TTL_TOO_SHORT) != 0)
            text_append(text, " (short, for what a write takes here)");
    } else if (status == STATUS_LEASE_HELD) {
        text_append(text, ": by %s until ", printer_text(result->owner, OWNER_SIZE, owner));
        append_clock_short(story, result->deadline_ns, text);
    } else if (status == STATUS_FENCED) {
        text_append(text, ": token %" PRIu64 " of %s is newer", result->token,
                    printer_text(result->owner, OWNER_SIZE, owner));
    } else if (status != STATUS_OK) {
        text_append(text, ": %s", status_text(status));
    }
}

char *story_outcome(const struct story *story, char text[STORY_SIZE])
{
    const union apply_result *result = story->placed->result;
    uint16_t status = result->header.status;
    text[0] = '\0';
    text_append(text, "%s", status_name(status));
    enum operation_class class = operation_class(story->placed->record->kind);
    if (class == OPERATION_CLASS_LEASE)
        outcome_lease(story, &result->lease, text);
    else if (class == OPERATION_CLASS_MUTATION && status == STATUS_OK)
        outcome_done(story, &result->mutation, text);
    else if (class == OPERATION_CLASS_MUTATION)
        outcome_refused(story, &result->mutation, text);
    if ((result->header.flags & RESULT_REPLAYED) != 0)
        text_append(text, ", replayed from LSN %" PRIu64, result->header.original_lsn);
    return text;
}
