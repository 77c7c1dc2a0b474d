/* innkeep-wal diff: what differs between two states, in a hotel's terms.
 *
 * An engine knows its objects by name only. So both logs are replayed to where they are to end, the names of all that either engine then holds are
 * taken together, and both are asked about each. Where both directories have as many shards, a property is in the same shard of
 * both and one pair of shards is compared at a time; else all are held at once. */
#include "tools/innkeep-wal/arguments.h"
#include "tools/innkeep-wal/moment.h"
#include "tools/innkeep-wal/printer.h"
#include "tools/innkeep-wal/shard_replay.h"
#include "tools/innkeep-wal/story.h"

#include "engine/base/civil_date.h"
#include "engine/objects.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- Names ---------------------------------------------------------------------------------------------------------------------- */

enum name_kind { NAME_PROPERTY, NAME_RESERVATION, NAME_LEASE }; /* in the order they are told */

struct name {
    uint64_t property;
    enum name_kind kind;
    struct key key; /* NAME_LEASE: the resource in word 0 */
};

struct roster {
    struct name *names;
    size_t count;
    size_t capacity;
};

static int name_compare(const void *left, const void *right)
{
    const struct name *a = left;
    const struct name *b = right;
    if (a->property != b->property)
        return a->property < b->property ? -1 : 1;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->kind == NAME_LEASE)
        return (a->key.word[0] > b->key.word[0]) - (a->key.word[0] < b->key.word[0]);
    return memcmp(&a->key, &b->key, sizeof a->key);
}

static void roster_sort(struct roster *roster)
{
    size_t kept = 0;
    if (roster->count == 0)
        return;
    qsort(roster->names, roster->count, sizeof *roster->names, name_compare);
    for (size_t i = 1; i < roster->count; i++)
        if (name_compare(&roster->names[kept], &roster->names[i]) != 0)
            roster->names[++kept] = roster->names[i];
    roster->count = kept + 1;
}

/* Names that come twice give their places back before more are taken. */
static void roster_add(struct roster *roster, struct name name)
{
    if (roster->count == roster->capacity) {
        roster_sort(roster);
        if (roster->count >= roster->capacity / 2) {
            roster->capacity = roster->capacity == 0 ? 1024 : 2 * roster->capacity;
            roster->names = reallocarray(roster->names, roster->capacity, sizeof *roster->names);
            ENSURE(roster->names != NULL);
        }
    }
    roster->names[roster->count++] = name;
}

static const enum name_kind kinds_of_objects[] = { [ENGINE_OBJECT_PROPERTY] = NAME_PROPERTY,
                                                   [ENGINE_OBJECT_RESERVATION] = NAME_RESERVATION,
                                                   [ENGINE_OBJECT_LEASE] = NAME_LEASE };

static void engine_note(struct roster *roster, const struct engine *engine)
{
    struct engine_object object;
    for (uint64_t place = 0; engine != NULL && engine_object_next(engine, &place, &object);) {
        struct name name = { .property = object.property, .kind = kinds_of_objects[object.kind], .key = object.key };
        if (name.kind == NAME_LEASE)
            name.key.word[0] = object.resource;
        roster_add(roster, name);
    }
}

/* ---- Two sides ------------------------------------------------------------------------------------------------------------------ */

struct side {
    struct tool tool; /* a directory of its own, and where its log is to end */
    struct shard_replay replays[WAL_SHARDS_MAX];
};

struct diff {
    const struct tool *tool;
    struct side sides[2];
    struct roster roster;
    enum tool_exit worst;
    uint64_t differences;
    struct hash128 hashes[2];
    void *calendars[2]; /* RESULT_SIZE_MAX bytes each */
    /* Nights in a row that differ alike. */
    struct name run_name;
    uint32_t run_type;
    int32_t run_first;
    int32_t run_end; /* run_first: there is none */
    struct calendar_night run_nights[2];
};

static const struct engine *engine_of(const struct side *side, uint64_t property)
{
    return side->replays[shard_of_property(property, side->tool.directory.header.shards_count)].machine.engine;
}

static void side_replay(struct diff *diff, struct side *side, uint32_t shard)
{
    struct shard_replay *replay = &side->replays[shard];
    *replay = (struct shard_replay){ .tool = &side->tool,
                                     .shard = shard,
                                     .apply = true,
                                     .to_lsn = side->tool.to.lsn[shard],
                                     .to_ns = side->tool.to_ns,
                                     .begin = BEGIN_NEAREST };
    shard_replay_run(replay);
    engine_note(&diff->roster, replay->machine.engine);
    enum tool_exit verdict = shard_replay_reach(replay);
    if (verdict != TOOL_CLEAN)
        fprintf(stderr, "innkeep-wal: %s:\n", side->tool.path);
    shard_replay_explain(replay, stderr);
    diff->worst = tool_worse(diff->worst, verdict);
    struct hash128 *hash = &diff->hashes[side == &diff->sides[1]];
    *hash = hash128_add(*hash, shard_replay_hash(replay));
}

/* ---- Words ---------------------------------------------------------------------------------------------------------------------- */

static const char *const names_of_kinds[] = { "property", "reservation", "lease" };

/* `what` tells what differs; before and after, how. NULL: it is not there. */
static void difference_tell(struct diff *diff, const struct name *name, const char *what, const char *before,
                            const char *after)
{
    char key[PRINTER_KEY_SIZE] = "";
    diff->differences++;
    if (name->kind == NAME_RESERVATION)
        printer_key(&name->key, key);
    else if (name->kind == NAME_LEASE)
        snprintf(key, sizeof key, "%" PRIu64, name->key.word[0]);
    if (diff->tool->json) {
        json_t *object =
            json_pack("{s:s, s:o, s:s, s:s, s:s?, s:s?}", "kind", names_of_kinds[name->kind], "property",
                      printer_json_number(name->property), "name", key, "what", what, "before", before, "after", after);
        ENSURE(object != NULL);
        json_dumpf(object, stdout, JSON_COMPACT);
        json_decref(object);
        putchar('\n');
        return;
    }
    printf("property %" PRIu64 "%s%s%s%s%s%s: %s -> %s\n", name->property, name->kind == NAME_PROPERTY ? "" : ", ",
           name->kind == NAME_PROPERTY ? "" : names_of_kinds[name->kind], key[0] != '\0' ? " " : "", key,
           what[0] != '\0' ? ", " : "", what, before != NULL ? before : "none", after != NULL ? after : "none");
}

#define WORDS_SIZE 256

static void difference_tell_if_any(struct diff *diff, const struct name *name, char words[2][WORDS_SIZE])
{
    if (strcmp(words[0], words[1]) != 0)
        difference_tell(diff, name, "", words[0][0] == '\0' ? NULL : words[0], words[1][0] == '\0' ? NULL : words[1]);
}

static void reservation_words(const struct engine *engine, const struct name *name, char words[WORDS_SIZE])
{
    struct lookup query = { .header = { .size = sizeof query,
                                        .kind = OPERATION_LOOKUP,
                                        .version = 1,
                                        .property = name->property,
                                        .key = name->key } };
    static const char *const states[] = { "none", "held", "confirmed", "released", "expired", "cancelled" };
    struct lookup_result found = { .what = LOOKUP_NOTHING };
    char date[CIVIL_DATE_TEXT_SIZE];
    words[0] = '\0';
    if (engine != NULL)
        (void)engine_query(engine, &query.header, &found.header);
    if (found.what != LOOKUP_RESERVATION || found.state >= ARRAY_COUNT(states))
        return;
    char nights[STORY_SIZE];
    char rooms[STORY_SIZE] = "";
    if (found.rooms != 1)
        story_count(found.rooms, "room", rooms);
    snprintf(words, WORDS_SIZE, "%s, type %u, %s for %.20s%s%.20s, version %u", states[found.state], found.room_type,
             civil_date_format(found.arrival, date), story_count(found.nights, "night", nights),
             rooms[0] != '\0' ? ", " : "", rooms, found.version);
}

static void lease_words(const struct engine *engine, const struct name *name, char words[WORDS_SIZE])
{
    struct lease_show query = {
        .header = { .size = sizeof query, .kind = OPERATION_LEASE_SHOW, .version = 1, .property = name->property },
        .resource = name->key.word[0],
    };
    static const char *const states[] = { "none", "live", "expired", "released" };
    struct lease_result found = { .state = LEASE_NONE };
    char owner[PRINTER_TEXT_SIZE];
    char deadline[PRINTER_TIME_SIZE];
    words[0] = '\0';
    if (engine != NULL)
        (void)engine_query(engine, &query.header, &found.header);
    if (found.state == LEASE_NONE || found.state >= ARRAY_COUNT(states))
        return;
    snprintf(words, WORDS_SIZE, "%s's, %s, token %" PRIu64 ", until %s", printer_text(found.owner, OWNER_SIZE, owner),
             states[found.state], found.token, printer_time(found.deadline_ns, deadline));
}

/* ---- Nights --------------------------------------------------------------------------------------------------------------------- */

/* A page of a property's calendar into `result`: one room type, or all behind after_type. */
static void calendar_ask(const struct engine *engine, uint64_t property, uint32_t room_type, uint32_t after_type,
                         struct calendar_result *result)
{
    memset(result, 0, sizeof *result);
    result->header.status = STATUS_NO_SUCH_PROPERTY;
    if (engine == NULL)
        return;
    struct calendar query = {
        .header = { .size = sizeof query, .kind = OPERATION_CALENDAR, .version = 1, .property = property },
        .room_type = room_type,
        .after_type = after_type,
        .first_night = DAY_NUMBER_MIN,
        .nights = 1,
    };
    (void)engine_query(engine, &query.header, &result->header); /* for the business date: the window begins there */
    query.first_night = result->business_date;
    query.nights = (uint16_t)engine_limits_of(engine)->horizon_nights;
    if (result->header.status == STATUS_OK)
        (void)engine_query(engine, &query.header, &result->header);
}

static void run_flush(struct diff *diff)
{
    static const char *const words[] = { "sellable", "sold", "held" };
    char first[CIVIL_DATE_TEXT_SIZE];
    char last[CIVIL_DATE_TEXT_SIZE];
    char what[WORDS_SIZE];
    char values[2][WORDS_SIZE] = { "", "" };
    if (diff->run_end == diff->run_first)
        return;
    bool one = diff->run_end == diff->run_first + 1;
    snprintf(what, sizeof what, "type %u, %s%s%s", diff->run_type, civil_date_format(diff->run_first, first),
             one ? "" : " to ", one ? "" : civil_date_format(diff->run_end - 1, last));
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        int numbers[2];
        for (size_t s = 0; s < 2; s++) {
            const struct calendar_night *night = &diff->run_nights[s];
            numbers[s] = i == 0 ? night->sellable : i == 1 ? night->sold : night->held;
        }
        for (size_t s = 0; s < 2 && numbers[0] != numbers[1]; s++)
            snprintf(values[s] + strlen(values[s]), WORDS_SIZE - strlen(values[s]), "%s%s %d",
                     values[s][0] == '\0' ? "" : ", ", words[i], numbers[s]);
    }
    difference_tell(diff, &diff->run_name, what, values[0], values[1]);
    diff->run_end = diff->run_first;
}

static bool night_equal(const struct calendar_night *a, const struct calendar_night *b)
{
    return a->sellable == b->sellable && a->sold == b->sold && a->held == b->held;
}

static void night_compare(struct diff *diff, int32_t night, const struct calendar_night *before,
                          const struct calendar_night *after)
{
    bool goes_on = diff->run_end > diff->run_first && diff->run_end == night &&
                   night_equal(before, &diff->run_nights[0]) && night_equal(after, &diff->run_nights[1]);
    if (!goes_on)
        run_flush(diff);
    if (night_equal(before, after))
        return;
    if (!goes_on)
        diff->run_first = night;
    diff->run_end = night + 1;
    diff->run_nights[0] = *before;
    diff->run_nights[1] = *after;
}

/* One room type that both sides have; only nights that are open on both. */
static void type_compare(struct diff *diff, const struct name *name, uint32_t room_type)
{
    const struct calendar_result *results[2] = { diff->calendars[0], diff->calendars[1] };
    const struct calendar_night *nights[2];
    for (size_t s = 0; s < 2; s++) {
        calendar_ask(engine_of(&diff->sides[s], name->property), name->property, room_type, 0, diff->calendars[s]);
        ENSURE(results[s]->header.status == STATUS_OK && results[s]->types_count == 1);
        nights[s] = (const void *)((const uint8_t *)(results[s] + 1) + sizeof(struct calendar_type));
    }
    int32_t first =
        results[0]->first_night > results[1]->first_night ? results[0]->first_night : results[1]->first_night;
    int32_t ends[2] = { results[0]->first_night + results[0]->nights, results[1]->first_night + results[1]->nights };
    int32_t end = ends[0] < ends[1] ? ends[0] : ends[1];
    diff->run_name = *name;
    diff->run_type = room_type;
    diff->run_first = diff->run_end = first;
    for (int32_t night = first; night < end; night++)
        night_compare(diff, night, &nights[0][night - results[0]->first_night],
                      &nights[1][night - results[1]->first_night]);
    run_flush(diff);
}

static bool type_exists(struct diff *diff, size_t side, uint64_t property, uint32_t room_type)
{
    struct calendar_result *result = diff->calendars[side];
    calendar_ask(engine_of(&diff->sides[side], property), property, room_type, 0, result);
    return result->header.status == STATUS_OK;
}

/* The room type behind `after` in a side's order; 0: none. */
static uint32_t type_next(struct diff *diff, size_t side, uint64_t property, uint32_t after)
{
    struct calendar_result *result = diff->calendars[side];
    calendar_ask(engine_of(&diff->sides[side], property), property, ROOM_TYPE_ALL, after, result);
    if (result->header.status != STATUS_OK || result->types_count == 0)
        return 0;
    return ((const struct calendar_type *)(const void *)(result + 1))->room_type;
}

static void types_compare(struct diff *diff, const struct name *name)
{
    char what[WORDS_SIZE];
    for (size_t side = 0; side < 2; side++)
        for (uint32_t type = 0; (type = type_next(diff, side, name->property, type)) != 0;) {
            snprintf(what, sizeof what, "type %u", type);
            if (!type_exists(diff, 1 - side, name->property, type))
                difference_tell(diff, name, what, side == 0 ? "there" : NULL, side == 0 ? NULL : "there");
            else if (side == 0)
                type_compare(diff, name, type);
        }
}

static void property_words(struct diff *diff, size_t side, uint64_t property, char words[WORDS_SIZE])
{
    const struct engine *engine = engine_of(&diff->sides[side], property);
    struct calendar_result *result = diff->calendars[side];
    char date[CIVIL_DATE_TEXT_SIZE];
    words[0] = '\0';
    calendar_ask(engine, property, ROOM_TYPE_ALL, 0, result);
    if (result->header.status == STATUS_OK)
        snprintf(words, WORDS_SIZE, "open from %s for %u nights", civil_date_format(result->business_date, date),
                 engine_limits_of(engine)->horizon_nights);
}

/* ---- One name after the other --------------------------------------------------------------------------------------------------- */

static void name_judge(struct diff *diff, const struct name *name)
{
    char words[2][WORDS_SIZE];
    for (size_t side = 0; side < 2; side++) {
        const struct engine *engine = engine_of(&diff->sides[side], name->property);
        if (name->kind == NAME_PROPERTY)
            property_words(diff, side, name->property, words[side]);
        else if (name->kind == NAME_RESERVATION)
            reservation_words(engine, name, words[side]);
        else
            lease_words(engine, name, words[side]);
    }
    difference_tell_if_any(diff, name, words);
    if (name->kind == NAME_PROPERTY)
        types_compare(diff, name);
}

/* Compares the shards from `first` on, so many of each side. */
static void shards_compare(struct diff *diff, uint32_t first, const uint32_t counts[2])
{
    for (size_t s = 0; s < 2; s++)
        for (uint32_t shard = first; shard < first + counts[s]; shard++)
            side_replay(diff, &diff->sides[s], shard);
    roster_sort(&diff->roster);
    for (size_t i = 0; i < diff->roster.count && diff->worst < TOOL_DAMAGED; i++)
        name_judge(diff, &diff->roster.names[i]);
    diff->roster.count = 0;
    for (size_t s = 0; s < 2; s++)
        for (uint32_t shard = first; shard < first + counts[s]; shard++) {
            shard_replay_free(&diff->sides[s].replays[shard]);
            diff->sides[s].replays[shard].machine.engine = NULL;
        }
}

/* Queries do not show everything that the state hash covers. */
static void total_tell(const struct diff *diff)
{
    bool equal = hash128_equal(diff->hashes[0], diff->hashes[1]);
    if (diff->worst >= TOOL_DAMAGED) {
        fprintf(stderr, "innkeep-wal: a side cannot be read to where it was to end: the comparison is not complete\n");
        return;
    }
    if (diff->tool->json)
        return;
    const char *more = "";
    if (equal)
        more = "; the state hashes are equal";
    else if (diff->differences == 0)
        more = " that a guest would notice; the state hashes differ, so kept outcomes, references or LSNs do";
    printf("%" PRIu64 " difference%s%s\n", diff->differences, diff->differences == 1 ? "" : "s", more);
}

static void diff_run(struct diff *diff)
{
    uint32_t counts[2];
    for (size_t s = 0; s < 2; s++)
        counts[s] = diff->sides[s].tool.directory.header.shards_count;
    if (counts[0] != counts[1]) {
        shards_compare(diff, 0, counts);
    } else {
        const uint32_t one[2] = { 1, 1 };
        for (uint32_t shard = 0; shard < counts[0] && diff->worst < TOOL_DAMAGED; shard++)
            shards_compare(diff, shard, one);
    }
    total_tell(diff);
}

/* The second side is another directory, or the same with another end. False with the reason on stderr. */
static bool side_open(const struct tool *tool, struct side *side)
{
    char why[512];
    side->tool = *tool;
    side->tool.to = tool->other_to;
    side->tool.to_ns = tool->other_to_ns;
    side->tool.other_path = NULL;
    if (tool->other_path == NULL)
        return true;
    side->tool.path = tool->other_path;
    if (wal_directory_inspect(tool->io, side->tool.path, &side->tool.directory, why, sizeof why) == 0)
        return true;
    fprintf(stderr, "innkeep-wal: %s\n", why);
    return false;
}

enum tool_exit diff_command(struct tool *tool)
{
    struct diff *diff = calloc(1, sizeof *diff);
    ENSURE(diff != NULL);
    diff->tool = tool;
    diff->sides[0].tool = *tool;
    if (!side_open(tool, &diff->sides[1])) {
        free(diff);
        return TOOL_UNREADABLE;
    }
    for (size_t s = 0; s < 2; s++) {
        diff->calendars[s] = malloc(RESULT_SIZE_MAX);
        ENSURE(diff->calendars[s] != NULL);
    }
    if (tool->other_path == NULL || arguments_fit(&diff->sides[1].tool))
        diff_run(diff);
    else
        diff->worst = TOOL_USAGE;
    if (tool->other_path != NULL)
        wal_directory_close(tool->io, &diff->sides[1].tool.directory);
    enum tool_exit worst = diff->worst;
    for (size_t s = 0; s < 2; s++)
        free(diff->calendars[s]);
    free(diff->roster.names);
    free(diff);
    return worst;
}
