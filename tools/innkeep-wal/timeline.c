/* innkeep-wal timeline: the reconstruction of a race from the log.
 *
 * The log is read up to three times, so that nothing of it has to be kept:
 *   1. (with --key) without replaying, for the reservation that the key's change is about;
 *   2. replayed, for the tokens that the selected attempts carried or were fenced off by: only their leases belong to the story;
 *   3. replayed, to tell it. An event waits until a later frame's header shows that its own frame was on disk; at most a pipeline's
 *      depth of frames can be between the two. */
#include "tools/innkeep-wal/moment.h"
#include "tools/innkeep-wal/printer.h"
#include "tools/innkeep-wal/shard_replay.h"
#include "tools/innkeep-wal/story.h"
#include "tools/innkeep-wal/table.h"

#include "engine/base/civil_date.h"
#include "engine/objects.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    COLUMN_TIME,
    COLUMN_LSN,
    COLUMN_WHO,
    COLUMN_TOKEN,
    COLUMN_BOOKING,
    COLUMN_DOING,
    COLUMN_DURABLE,
    COLUMN_OUTCOME,
    COLUMNS
};

struct event {
    const char *name; /* in JSON */
    uint64_t time_ns;
    uint64_t lsn;   /* 0: no record says so */
    uint64_t frame; /* 0: likewise */
    uint64_t token; /* 0: none */
    uint64_t resource;
    struct key booking; /* the reservation concerned, or zero */
    char owner[OWNER_SIZE];
    char doing[STORY_SIZE];
    char outcome[STORY_SIZE];
    json_t *json;         /* the record's own fields, or NULL */
    uint64_t shown_frame; /* the first later frame that says it is on disk; 0: none so far */
    uint64_t shown_ns;
};

struct timeline {
    const struct tool *tool;
    struct selection selection; /* without the range */
    bool all_leases;            /* whatever tokens the attempts carry */
    uint32_t shard;
    const struct shard_replay *replay;
    struct token_set tokens;
    uint64_t last_lsn; /* found by the second reading; the third ends there, though the log may have grown */
    struct grants grants;
    uint64_t next_end_ns; /* no grant runs out before */
    struct holds holds;
    struct event *waiting; /* a queue from waiting_first on */
    size_t waiting_first;
    size_t waiting_count;
    size_t waiting_capacity;
    int32_t day; /* of the newest line */
    struct table table;
};

/* ---- One line an event ---------------------------------------------------------------------------------------------------------- */

static json_t *durable_json(const struct event *event)
{
    char time[PRINTER_TIME_SIZE];
    if (event->shown_frame == 0)
        return json_null();
    return json_pack("{s:o, s:s, s:o}", "frame", printer_json_number(event->shown_frame), "time",
                     printer_time(event->shown_ns, time), "time_ns", printer_json_number(event->shown_ns));
}

static void event_print_json(const struct timeline *timeline, const struct event *event)
{
    char time[PRINTER_TIME_SIZE];
    char text[PRINTER_TEXT_SIZE];
    json_t *object = json_pack("{s:s, s:i, s:s, s:o, s:o, s:o, s:s, s:o, s:o, s:s, s:s, s:o}", "event", event->name,
                               "shard", (int)timeline->shard, "time", printer_time(event->time_ns, time), "time_ns",
                               printer_json_number(event->time_ns), "lsn",
                               event->lsn == 0 ? json_null() : printer_json_number(event->lsn), "frame",
                               event->frame == 0 ? json_null() : printer_json_number(event->frame), "who",
                               printer_text(event->owner, OWNER_SIZE, text), "token", printer_json_number(event->token),
                               "on_resource", printer_json_number(event->resource), "what", event->doing, "said",
                               event->outcome, "durable_by", durable_json(event));
    ENSURE(object != NULL);
    if (!key_is_zero(event->booking))
        json_object_set_new(object, "booking", json_string(printer_key(&event->booking, text)));
    if (event->json != NULL)
        json_object_set(object, "record", event->json);
    json_dumpf(object, stdout, JSON_COMPACT);
    json_decref(object);
    putchar('\n');
}

/* A day of its own line, so that the lines need only say the time. */
static void day_print(struct timeline *timeline, uint64_t time_ns)
{
    char date[CIVIL_DATE_TEXT_SIZE];
    if (timeline->day == moment_day(time_ns))
        return;
    timeline->day = moment_day(time_ns);
    table_add_banner(&timeline->table, civil_date_format(timeline->day, date));
}

static void durable_text(const struct event *event, char *text, size_t text_size)
{
    char span[MOMENT_SPAN_SIZE];
    text[0] = '\0';
    if (event->frame != 0 && event->shown_frame == 0)
        snprintf(text, text_size, "not shown");
    else if (event->frame != 0)
        snprintf(text, text_size, "%" PRIu64 " +%s", event->shown_frame,
                 moment_span(event->shown_ns - event->time_ns, 2, span));
}

/* The first and the last four digits tell keys apart, be they random or counted. */
static void booking_text(const struct timeline *timeline, struct key key, char text[PRINTER_KEY_SIZE])
{
    text[0] = '\0';
    if (key_is_zero(key))
        return;
    printer_key(&key, text);
    if (timeline->tool->full_keys)
        return;
    memcpy(text + 4, "..", 2);
    memmove(text + 6, text + PRINTER_KEY_SIZE - 5, 5);
}

static void event_print_text(struct timeline *timeline, const struct event *event)
{
    char clock[MOMENT_CLOCK_SIZE];
    char lsn[24] = "";
    char token[24] = "";
    char owner[PRINTER_TEXT_SIZE];
    char durable[64];
    char booking[PRINTER_KEY_SIZE];
    day_print(timeline, event->time_ns);
    if (event->lsn != 0)
        snprintf(lsn, sizeof lsn, "%" PRIu64, event->lsn);
    if (event->token != 0)
        snprintf(token, sizeof token, "%" PRIu64, event->token);
    durable_text(event, durable, sizeof durable);
    booking_text(timeline, event->booking, booking);
    const char *cells[TABLE_COLUMNS_MAX] = {
        [COLUMN_TIME] = moment_clock(event->time_ns, timeline->day, clock),
        [COLUMN_LSN] = lsn,
        [COLUMN_WHO] = printer_text(event->owner, OWNER_SIZE, owner),
        [COLUMN_TOKEN] = token,
        [COLUMN_BOOKING] = booking,
        [COLUMN_DOING] = event->doing,
        [COLUMN_DURABLE] = durable,
        [COLUMN_OUTCOME] = event->outcome,
    };
    table_add(&timeline->table, cells);
}

/* ---- Waiting for evidence ------------------------------------------------------------------------------------------------------- */

/* Prints from the front what waits no longer; `all`: whether it waits or not. */
static void waiting_flush(struct timeline *timeline, bool all)
{
    for (; timeline->waiting_count > 0; timeline->waiting_first++, timeline->waiting_count--) {
        struct event *event = &timeline->waiting[timeline->waiting_first];
        if (!all && event->frame != 0 && event->shown_frame == 0)
            return;
        if (timeline->tool->json)
            event_print_json(timeline, event);
        else
            event_print_text(timeline, event);
        json_decref(event->json);
    }
    timeline->waiting_first = 0;
}

static void waiting_add(struct timeline *timeline, const struct event *event)
{
    size_t end = timeline->waiting_first + timeline->waiting_count;
    if (end == timeline->waiting_capacity && timeline->waiting_first > 0) {
        memmove(timeline->waiting, timeline->waiting + timeline->waiting_first,
                timeline->waiting_count * sizeof *timeline->waiting);
        timeline->waiting_first = 0;
        end = timeline->waiting_count;
    }
    if (end == timeline->waiting_capacity) {
        timeline->waiting_capacity = timeline->waiting_capacity == 0 ? 64 : 2 * timeline->waiting_capacity;
        timeline->waiting = reallocarray(timeline->waiting, timeline->waiting_capacity, sizeof *timeline->waiting);
        ENSURE(timeline->waiting != NULL);
    }
    timeline->waiting[end] = *event;
    timeline->waiting_count++;
}

static void waiting_show(struct timeline *timeline, const struct wal_frame_header *frame)
{
    for (size_t i = 0; i < timeline->waiting_count; i++) {
        struct event *event = &timeline->waiting[timeline->waiting_first + i];
        if (event->frame == 0 || event->shown_frame != 0 || event->frame > frame->durable_index)
            continue;
        event->shown_frame = frame->index;
        event->shown_ns = frame->time_ns;
    }
    waiting_flush(timeline, false);
}

/* ---- What belongs to the story -------------------------------------------------------------------------------------------------- */

static bool is_lease(const struct record_header *record)
{
    return operation_class(record->kind) == OPERATION_CLASS_LEASE;
}

/* Whatever the range that is asked for: what came before decides what is said later. */
static bool is_told(const struct timeline *timeline, const struct placed_record *placed)
{
    const struct record_header *record = placed->record;
    if (selection_matches(&timeline->selection, placed))
        return true;
    if (!is_lease(record) || record->property != timeline->selection.property)
        return false;
    uint64_t named =
        record->kind == OPERATION_LEASE_ACQUIRE ? 0 : ((const struct lease_renew *)(const void *)record)->token;
    return token_set_has(&timeline->tokens, placed->result->lease.token) || token_set_has(&timeline->tokens, named);
}

static bool is_in_range(const struct timeline *timeline, uint64_t lsn, uint64_t time_ns)
{
    const struct selection *asked = &timeline->tool->selection;
    return lsn >= asked->from_lsn && lsn <= asked->to_lsn && time_ns >= asked->from_ns && time_ns <= asked->to_ns;
}

/* ---- What no record says -------------------------------------------------------------------------------------------------------- */

static void event_add_if_asked(struct timeline *timeline, const struct event *event, uint64_t lsn)
{
    if (is_in_range(timeline, lsn, event->time_ns))
        waiting_add(timeline, event);
    else
        json_decref(event->json);
}

static struct event event_of_grant(const struct grant *grant)
{
    struct event event = { .token = grant->token, .resource = grant->resource };
    memcpy(event.owner, grant->owner, OWNER_SIZE);
    return event;
}

static void lease_end(struct timeline *timeline, struct grant *grant, uint64_t lsn)
{
    struct event event = event_of_grant(grant);
    event.name = "lease_ran_out";
    event.time_ns = grant->deadline_ns;
    snprintf(event.doing, sizeof event.doing, "LEASE %" PRIu64 " RUNS OUT", grant->resource);
    event_add_if_asked(timeline, &event, lsn);
    grants_end(&timeline->grants, grant, grant->deadline_ns);
}

static struct lookup_result booking_look_up(const struct timeline *timeline, struct key key)
{
    struct lookup query = { .header = { .size = sizeof query,
                                        .kind = OPERATION_LOOKUP,
                                        .version = 1,
                                        .property = timeline->selection.property,
                                        .key = key } };
    struct lookup_result found = { .what = LOOKUP_NOTHING };
    (void)engine_query(timeline->replay->machine.engine, &query.header, &found.header);
    return found;
}

/* A hold that is still held in front of the frame that reaches its deadline runs out; one that was confirmed or released does not. */
static void hold_end(struct timeline *timeline, const struct hold *hold, uint64_t lsn)
{
    char date[CIVIL_DATE_TEXT_SIZE];
    char count[STORY_SIZE];
    struct lookup_result found = booking_look_up(timeline, hold->key);
    if (found.what != LOOKUP_RESERVATION || found.state != RESERVATION_HELD || found.header.original_lsn != hold->lsn)
        return;
    struct event event = { .name = "hold_ran_out", .time_ns = hold->deadline_ns, .booking = hold->key };
    snprintf(event.doing, sizeof event.doing, "HOLD RUNS OUT");
    snprintf(event.outcome, sizeof event.outcome, "%s from %s free again", story_count(found.nights, "night", count),
             civil_date_format(found.arrival, date));
    event_add_if_asked(timeline, &event, lsn);
}

/* The live grant that runs out first, if it does so by then. */
static struct grant *grant_due(struct timeline *timeline, uint64_t time_ns)
{
    struct grant *first = NULL;
    if (timeline->next_end_ns > time_ns)
        return NULL;
    for (size_t i = 0; i < timeline->grants.count; i++) {
        struct grant *grant = &timeline->grants.items[i];
        if (grant->ended_ns == 0 && (first == NULL || grant->deadline_ns < first->deadline_ns))
            first = grant;
    }
    timeline->next_end_ns = first == NULL ? NEVER_NS : first->deadline_ns;
    return timeline->next_end_ns <= time_ns ? first : NULL;
}

/* Everything due by the frame's time, in the order in which it came due. A restart's first frame renews leases before any runs out. */
static void ends_tell(struct timeline *timeline, const struct wal_frame_header *frame)
{
    const struct record_header *first = wal_record_first(frame);
    bool renews = first != NULL && first->kind == OPERATION_RECOVERED;
    for (;;) {
        struct grant *grant = renews ? NULL : grant_due(timeline, frame->time_ns);
        const struct hold *hold = holds_first(&timeline->holds);
        if (hold != NULL && hold->deadline_ns > frame->time_ns)
            hold = NULL;
        if (grant == NULL && hold == NULL)
            return;
        bool hold_first =
            grant == NULL || (hold != NULL && (hold->deadline_ns < grant->deadline_ns ||
                                               (hold->deadline_ns == grant->deadline_ns && hold->lsn < grant->token)));
        if (!hold_first) {
            lease_end(timeline, grant, frame->first_lsn);
            continue;
        }
        hold_end(timeline, hold, frame->first_lsn);
        holds_pop(&timeline->holds);
    }
}

/* A restart gives every lease that was live a full new time to live. */
static void leases_extend(struct timeline *timeline, const struct wal_frame_header *frame, uint64_t lsn)
{
    char clock[MOMENT_CLOCK_SIZE];
    for (size_t i = 0; i < timeline->grants.count; i++) {
        struct grant *grant = &timeline->grants.items[i];
        struct lease_show query = { .header = { .size = sizeof query,
                                                .kind = OPERATION_LEASE_SHOW,
                                                .version = 1,
                                                .property = timeline->selection.property },
                                    .resource = grant->resource };
        struct lease_result found = { .token = 0 };
        if (grant->ended_ns != 0)
            continue;
        (void)engine_query(timeline->replay->machine.engine, &query.header, &found.header);
        if (found.token != grant->token || found.state != LEASE_LIVE)
            continue;
        grant->deadline_ns = found.deadline_ns;
        struct event event = event_of_grant(grant);
        event.name = "lease_extended";
        event.time_ns = frame->time_ns;
        event.lsn = lsn;
        event.frame = frame->index;
        snprintf(event.doing, sizeof event.doing, "restart renews lease %" PRIu64, grant->resource);
        snprintf(event.outcome, sizeof event.outcome, "until %s",
                 moment_clock(grant->deadline_ns, moment_day(frame->time_ns), clock));
        event_add_if_asked(timeline, &event, lsn);
    }
}

static void restart_tell(struct timeline *timeline, const struct wal_frame_header *frame, uint64_t lsn)
{
    struct event event = { .name = "server_started", .time_ns = frame->time_ns, .lsn = lsn, .frame = frame->index };
    snprintf(event.doing, sizeof event.doing, "the server starts");
    event_add_if_asked(timeline, &event, lsn);
    leases_extend(timeline, frame, lsn);
}

/* Where the log was cut, restored or resharded: what follows may contradict what somebody was told before. */
static void epoch_tell(struct timeline *timeline, const struct wal_frame_header *frame, uint64_t lsn)
{
    static const char *const done[] = { [EPOCH_CUT] = "the log is cut",
                                        [EPOCH_RESTORE] = "the log is restored from a copy",
                                        [EPOCH_RESHARD] = "the log goes on from resharded state" };
    const struct epoch_record *epoch = (const void *)wal_record_first(frame);
    struct event event = { .name = "epoch", .time_ns = frame->time_ns, .lsn = lsn, .frame = frame->index };
    snprintf(event.doing, sizeof event.doing, "%s behind LSN %" PRIu64, done[epoch->reason], epoch->last_lsn);
    if (epoch->reason == EPOCH_CUT)
        snprintf(event.outcome, sizeof event.outcome, "LSNs to %" PRIu64 " were given out and are void",
                 epoch->granted_lsn);
    event_add_if_asked(timeline, &event, lsn);
}

/* ---- What records say ----------------------------------------------------------------------------------------------------------- */

static void lease_follow(struct timeline *timeline, const struct placed_record *placed)
{
    const struct lease_result *result = &placed->result->lease;
    uint64_t resource = ((const struct lease_renew *)(const void *)placed->record)->resource;
    if (result->header.status != STATUS_OK)
        return;
    struct grant *grant = grants_find(&timeline->grants, resource, result->token);
    if (grant == NULL && placed->record->kind == OPERATION_LEASE_ACQUIRE && result->token == placed->lsn) {
        struct grant fresh = { .resource = resource,
                               .token = result->token,
                               .granted_ns = placed->time_ns,
                               .deadline_ns = result->deadline_ns };
        memcpy(fresh.owner, result->owner, OWNER_SIZE);
        grants_add(&timeline->grants, &fresh);
    } else if (grant != NULL && placed->record->kind == OPERATION_LEASE_RELEASE) {
        grants_end(&timeline->grants, grant, placed->time_ns);
    } else if (grant != NULL) {
        grant->deadline_ns = result->deadline_ns;
        memcpy(grant->owner, result->owner, OWNER_SIZE);
    }
    if (result->deadline_ns < timeline->next_end_ns)
        timeline->next_end_ns = result->deadline_ns;
}

static void hold_follow(struct timeline *timeline, const struct placed_record *placed)
{
    const struct mutation_result *result = &placed->result->mutation;
    if (result->header.status != STATUS_OK || (result->header.flags & RESULT_REPLAYED) != 0 ||
        result->state != RESERVATION_HELD)
        return;
    struct hold hold = { .deadline_ns = result->hold_deadline_ns, .lsn = placed->lsn, .key = placed->record->key };
    holds_push(&timeline->holds, &hold);
}

/* Who did it, as far as the log knows: a mutation says so by the token it carries, a lease operation by its owner. */
static void event_name_author(const struct timeline *timeline, const struct placed_record *placed, struct event *event)
{
    const void *record = placed->record;
    const struct mutation *mutation = record;
    const struct lease_renew *lease = record;
    if (placed->record->kind == OPERATION_LEASE_ACQUIRE) {
        event->resource = lease->resource;
        event->token = placed->result->header.status == STATUS_OK ? placed->result->lease.token : 0;
        memcpy(event->owner, ((const struct lease_acquire *)record)->owner, OWNER_SIZE);
        return;
    }
    event->resource = is_lease(record) ? lease->resource : mutation->fence_resource;
    event->token = is_lease(record) ? lease->token : mutation->fence_token;
    const struct grant *grant = grants_find(&timeline->grants, event->resource, event->token);
    if (grant != NULL)
        memcpy(event->owner, grant->owner, OWNER_SIZE);
}

static struct key booking_of(const struct record_header *record)
{
    switch (record->kind) {
    case OPERATION_RESERVE:
        return record->key;
    case OPERATION_CONFIRM:
    case OPERATION_RELEASE:
    case OPERATION_CANCEL:
        return ((const struct reservation_change *)(const void *)record)->reservation;
    default:
        return (struct key){ .word = { 0, 0 } };
    }
}

static json_t *record_json(const struct placed_record *placed)
{
    json_t *object = json_object();
    ENSURE(object != NULL);
    printer_record_json(object, placed->record);
    json_object_set_new(object, "outcome", printer_result_json(placed->record->kind, &placed->result->header));
    return object;
}

static void record_event(struct timeline *timeline, const struct wal_frame_header *frame,
                         const struct placed_record *placed)
{
    const struct story story = { .placed = placed,
                                 .grants = &timeline->grants,
                                 .names_type = timeline->selection.room_type == 0 };
    struct event event = { .name = operation_name(placed->record->kind),
                           .time_ns = placed->time_ns,
                           .lsn = placed->lsn,
                           .frame = frame->index,
                           .booking = booking_of(placed->record) };
    enum operation_class class = operation_class(placed->record->kind);
    if (class == OPERATION_CLASS_LEASE || class == OPERATION_CLASS_MUTATION)
        event_name_author(timeline, placed, &event);
    story_doing(&story, event.doing);
    story_outcome(&story, event.outcome);
    if (timeline->tool->json)
        event.json = record_json(placed);
    event_add_if_asked(timeline, &event, placed->lsn);
}

/* ---- What a snapshot says ------------------------------------------------------------------------------------------------------- */

/* As lease records are told about that carry its token, or name its resource. */
static bool lease_is_told(const struct timeline *timeline, uint64_t resource, uint64_t token)
{
    const struct selection *selection = &timeline->selection;
    bool asked = timeline->all_leases && (selection->resource == 0 || selection->resource == resource);
    return asked || token_set_has(&timeline->tokens, token);
}

/* When a lease that was released came to its end is not known any more, so it is as if it had never been. */
static bool lease_take(const struct timeline *timeline, uint64_t resource, struct grant *grant)
{
    struct lease_show query = { .header = { .size = sizeof query,
                                            .kind = OPERATION_LEASE_SHOW,
                                            .version = 1,
                                            .property = timeline->selection.property },
                                .resource = resource };
    struct lease_result found = { .token = 0 };
    (void)engine_query(timeline->replay->machine.engine, &query.header, &found.header);
    bool expired = found.state == LEASE_EXPIRED;
    if ((found.state != LEASE_LIVE && !expired) || !lease_is_told(timeline, resource, found.token))
        return false;
    *grant = (struct grant){ .resource = resource,
                             .token = found.token,
                             .deadline_ns = found.deadline_ns,
                             .ended_ns = expired ? found.deadline_ns : 0 };
    memcpy(grant->owner, found.owner, OWNER_SIZE);
    return true;
}

static void leases_take(struct timeline *timeline)
{
    const struct engine *engine = timeline->replay->machine.engine;
    struct engine_counts counts = engine_counts(engine);
    size_t count = 0;
    struct grant *grants = calloc((size_t)counts.leases_live + counts.leases_ended + 1, sizeof *grants);
    struct engine_object object;
    ENSURE(grants != NULL);
    for (uint64_t place = 0; engine_object_next(engine, &place, &object);)
        if (object.kind == ENGINE_OBJECT_LEASE && object.property == timeline->selection.property)
            count += lease_take(timeline, object.resource, &grants[count]);
    grants_fill(&timeline->grants, grants, count);
    timeline->next_end_ns = 0; /* that is looked for in front of the first frame */
    free(grants);
}

/* By what a reservation shows of itself: under which fence it was made is not kept. */
static bool booking_is_told(const struct timeline *timeline, struct key key, const struct lookup_result *booking)
{
    const struct selection *selection = &timeline->selection;
    bool by_key = !key_is_zero(selection->key);
    if (by_key && !key_equal(key, selection->key) && !key_equal(key, selection->also))
        return false;
    if (selection->resource != 0 || (selection->room_type != 0 && selection->room_type != booking->room_type))
        return false;
    return !selection->by_night ||
           (selection->night >= booking->arrival && selection->night < booking->arrival + (int32_t)booking->nights);
}

static void hold_take(struct timeline *timeline, struct key key)
{
    struct lookup_result found = booking_look_up(timeline, key);
    if (found.what != LOOKUP_RESERVATION || found.state != RESERVATION_HELD || !booking_is_told(timeline, key, &found))
        return;
    struct hold hold = { .deadline_ns = found.hold_deadline_ns, .lsn = found.header.original_lsn, .key = key };
    holds_push(&timeline->holds, &hold);
}

static void beginning_event(struct timeline *timeline, const struct beginning *beginning)
{
    const struct wal_position *position = &beginning->start.position;
    struct event event = { .name = "log_begins", .time_ns = position->last_time_ns };
    snprintf(event.doing, sizeof event.doing, "the log begins here");
    snprintf(event.outcome, sizeof event.outcome, "events up to LSN %" PRIu64 " are in %s", position->next_lsn - 1,
             beginning->is_taken_over ? "the log this was made from" : "segments that were recycled");
    event_add_if_asked(timeline, &event, position->next_lsn - 1);
}

/* What is still to come due, and who holds what, goes into the story as if it had been told. */
static void beginning_follow(void *context, const struct shard_replay *replay)
{
    struct timeline *timeline = context;
    struct engine_object object;
    beginning_event(timeline, &replay->beginning);
    leases_take(timeline);
    for (uint64_t place = 0; engine_object_next(replay->machine.engine, &place, &object);)
        if (object.kind == ENGINE_OBJECT_RESERVATION && object.property == timeline->selection.property)
            hold_take(timeline, object.key);
}

/* The key of a change whose record is gone may be the latest that its reservation remembers. */
static void beginning_survey(void *context, const struct shard_replay *replay)
{
    struct timeline *timeline = context;
    struct selection *selection = &timeline->selection;
    struct engine_object object;
    timeline->last_lsn = replay->beginning.start.position.next_lsn - 1;
    if (key_is_zero(selection->key) || !key_is_zero(selection->also))
        return;
    for (uint64_t place = 0; engine_object_next(replay->machine.engine, &place, &object);)
        if (object.kind == ENGINE_OBJECT_RESERVATION && object.property == selection->property &&
            key_equal(object.latest_key, selection->key))
            selection->also = object.key;
}

/* ---- The readings --------------------------------------------------------------------------------------------------------------- */

static void record_tell(void *context, const struct wal_frame_header *frame, const struct record_header *record,
                        uint64_t lsn, const union apply_result *result)
{
    struct timeline *timeline = context;
    struct placed_record placed = { .record = record,
                                    .result = result,
                                    .engine = timeline->replay->machine.engine,
                                    .lsn = lsn,
                                    .time_ns = frame->time_ns };
    if (result == NULL || lsn > timeline->last_lsn)
        return;
    if (record->kind == OPERATION_RECOVERED)
        restart_tell(timeline, frame, lsn);
    if (record->kind == OPERATION_EPOCH)
        epoch_tell(timeline, frame, lsn);
    if (!is_told(timeline, &placed))
        return;
    if (is_lease(record))
        lease_follow(timeline, &placed);
    else if (record->kind == OPERATION_RESERVE)
        hold_follow(timeline, &placed);
    record_event(timeline, frame, &placed);
}

/* Past the range, only evidence is still waited for. */
static bool frame_tell(void *context, const struct wal_frame_header *frame)
{
    struct timeline *timeline = context;
    if (frame->first_lsn <= timeline->last_lsn + 1)
        ends_tell(timeline, frame);
    waiting_show(timeline, frame);
    const struct selection *asked = &timeline->tool->selection;
    bool past =
        frame->time_ns > asked->to_ns || frame->first_lsn > asked->to_lsn || frame->first_lsn > timeline->last_lsn + 1;
    return !past || timeline->waiting_count > 0;
}

static void record_survey(void *context, const struct wal_frame_header *frame, const struct record_header *record,
                          uint64_t lsn, const union apply_result *result)
{
    struct timeline *timeline = context;
    struct placed_record placed = { .record = record,
                                    .result = result,
                                    .engine = timeline->replay->machine.engine,
                                    .lsn = lsn,
                                    .time_ns = frame->time_ns };
    if (result == NULL)
        return;
    timeline->last_lsn = lsn;
    if (!selection_matches(&timeline->selection, &placed))
        return;
    if (operation_class(record->kind) == OPERATION_CLASS_MUTATION) {
        token_set_add(&timeline->tokens, ((const struct mutation *)(const void *)record)->fence_token);
        token_set_add(&timeline->tokens, result->mutation.token);
    } else if (is_lease(record) && !timeline->all_leases) {
        token_set_add(&timeline->tokens, result->lease.token);
    }
}

static void record_find_booking(void *context, const struct wal_frame_header *frame, const struct record_header *record,
                                uint64_t lsn, const union apply_result *result)
{
    struct timeline *timeline = context;
    struct placed_record placed = { .record = record, .lsn = lsn, .time_ns = frame->time_ns };
    (void)result;
    if (record->kind != OPERATION_RESERVE && key_equal(record->key, timeline->selection.key) &&
        selection_matches(&timeline->selection, &placed))
        timeline->selection.also = booking_of(record);
}

static enum tool_exit timeline_read(struct timeline *timeline, struct shard_replay *replay)
{
    replay->tool = timeline->tool;
    replay->shard = timeline->shard;
    replay->to_ns = NEVER_NS;
    replay->visit_context = timeline;
    timeline->replay = replay;
    shard_replay_run(replay);
    return shard_replay_exit(replay);
}

/* The first two readings. The verdict is that of the whole range, which the third reading may not see to its end. */
static enum tool_exit timeline_survey(struct timeline *timeline)
{
    const struct selection *asked = &timeline->tool->selection;
    if (!key_is_zero(asked->key)) {
        struct selection keyed = {
            .property = asked->property, .key = asked->key, .to_lsn = NEVER_NS, .to_ns = NEVER_NS
        };
        struct selection kept = timeline->selection;
        struct shard_replay seek = { .to_lsn = NEVER_NS, .visit = record_find_booking, .quiet = true };
        timeline->selection = keyed;
        (void)timeline_read(timeline, &seek);
        kept.also = timeline->selection.also;
        timeline->selection = kept;
        shard_replay_free(&seek);
    }
    struct shard_replay survey = {
        .apply = true, .to_lsn = NEVER_NS, .visit = record_survey, .visit_beginning = beginning_survey
    };
    enum tool_exit verdict = timeline_read(timeline, &survey);
    shard_replay_explain(&survey, stderr);
    shard_replay_free(&survey);
    return verdict;
}

/* ---- The end -------------------------------------------------------------------------------------------------------------------- */

static void leases_left_print(const struct timeline *timeline)
{
    char clock[MOMENT_CLOCK_SIZE];
    char owner[PRINTER_TEXT_SIZE];
    for (size_t i = 0; i < timeline->grants.count; i++) {
        const struct grant *grant = &timeline->grants.items[i];
        if (grant->ended_ns == 0)
            printf("  lease %" PRIu64 ": %s's, token %" PRIu64 ", until %s\n", grant->resource,
                   printer_text(grant->owner, OWNER_SIZE, owner), grant->token,
                   moment_clock(grant->deadline_ns, timeline->day, clock));
    }
}

/* How the log leaves what the story is about. */
static void end_print(const struct timeline *timeline, const struct shard_replay *replay)
{
    const struct selection *selection = &timeline->selection;
    struct calendar_night night;
    char clock[MOMENT_CLOCK_SIZE];
    char date[CIVIL_DATE_TEXT_SIZE];
    const struct engine *engine = replay->machine.engine;
    printf("\nThe log ends at LSN %" PRIu64 ", %s.\n", engine_last_lsn(engine),
           moment_clock(engine_log_time(engine), timeline->day, clock));
    leases_left_print(timeline);
    if (selection->by_night && selection->room_type != 0 && selection_night_show(engine, selection, &night))
        printf("  room type %u on %s: %d sellable, %u sold, %u held, %d available\n", selection->room_type,
               civil_date_format(selection->night, date), night.sellable, night.sold, night.held, night.available);
}

static void title_print(const struct timeline *timeline)
{
    const struct selection *selection = &timeline->tool->selection;
    char text[PRINTER_KEY_SIZE];
    printf("Property %" PRIu64, selection->property);
    if (selection->room_type != 0)
        printf(", room type %u", selection->room_type);
    if (selection->by_night)
        printf(", night of %s", civil_date_format(selection->night, text));
    if (!key_is_zero(selection->key))
        printf(", key %s", printer_key(&selection->key, text));
    if (selection->resource != 0)
        printf(", resource %" PRIu64, selection->resource);
    printf(" (shard %u; times are log time, UTC)\n\n", timeline->shard);
}

static bool is_whole_log(const struct selection *asked)
{
    return asked->to_lsn == NEVER_NS && asked->to_ns == NEVER_NS;
}

static void timeline_tell(struct timeline *timeline)
{
    struct shard_replay replay = { .apply = true,
                                   .to_lsn = NEVER_NS,
                                   .visit = record_tell,
                                   .visit_frame = frame_tell,
                                   .visit_beginning = beginning_follow,
                                   .quiet = true };
    if (!timeline->tool->json)
        title_print(timeline);
    (void)timeline_read(timeline, &replay);
    waiting_flush(timeline, true);
    table_finish(&timeline->table);
    if (!timeline->tool->json && replay.machine.engine != NULL && is_whole_log(&timeline->tool->selection))
        end_print(timeline, &replay);
    fflush(stdout);
    shard_replay_free(&replay);
}

static const struct table_column columns[COLUMNS] = {
    [COLUMN_TIME] = { .heading = "time" },       [COLUMN_LSN] = { .heading = "LSN", .to_the_right = true },
    [COLUMN_WHO] = { .heading = "who" },         [COLUMN_TOKEN] = { .heading = "token", .to_the_right = true },
    [COLUMN_BOOKING] = { .heading = "booking" }, [COLUMN_DOING] = { .heading = "what" },
    [COLUMN_DURABLE] = { .heading = "durable" }, [COLUMN_OUTCOME] = { .heading = "outcome" },
};

enum tool_exit timeline_command(struct tool *tool)
{
    struct timeline *timeline = calloc(1, sizeof *timeline);
    ENSURE(timeline != NULL);
    timeline->tool = tool;
    timeline->selection = tool->selection;
    timeline->selection.from_lsn = timeline->selection.from_ns = 0;
    timeline->selection.to_lsn = timeline->selection.to_ns = NEVER_NS;
    timeline->all_leases =
        !tool->selection.by_night && tool->selection.room_type == 0 && key_is_zero(tool->selection.key);
    timeline->shard = shard_of_property(tool->selection.property, tool->directory.header.shards_count);
    timeline->grants.needed = &timeline->tokens;
    timeline->next_end_ns = NEVER_NS;
    timeline->day = INT32_MIN;
    timeline->table = (struct table){ .out = stdout, .columns_count = COLUMNS };
    memcpy(timeline->table.columns, columns, sizeof columns);
    enum tool_exit verdict = timeline_survey(timeline);
    timeline_tell(timeline);
    token_set_free(&timeline->tokens);
    grants_free(&timeline->grants);
    holds_free(&timeline->holds);
    free(timeline->waiting);
    free(timeline);
    return verdict;
}
