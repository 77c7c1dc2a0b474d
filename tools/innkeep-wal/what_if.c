/* innkeep-wal what-if: the same commands under another supply. Refused demand is in the log in full, so it can be asked again.
 *
 * A second engine gets every frame and record that the first one gets, except that each ROOM_TYPE_CREATE and ROOMS_SET of a room type that was
 * named carries as many rooms more. What it answers otherwise than the first is the report. Nothing else differs: time, tokens and
 * keys are the same. What guests would have done differently afterwards is not in any log.
 *
 * Where the log begins behind a snapshot, the second engine begins with the same one, in which those room types then have as many rooms more
 * on each night, as if they had always had them; what was refused before is not known. */
#include "tools/innkeep-wal/printer.h"
#include "tools/innkeep-wal/shard_replay.h"
#include "tools/innkeep-wal/shard_snapshots.h"
#include "tools/innkeep-wal/table.h"

#include "engine/objects.h"
#include "net/warm_start.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* For one room type, or summed over all. */
struct gain {
    uint64_t refused;        /* reserves that found no room, each key once */
    uint64_t refused_nights; /* the room nights they asked for */
    uint64_t gained;         /* of them, those that would have found room */
    uint64_t gained_nights;
    uint64_t gained_holds; /* of the gained ones: holds, which nobody was there to confirm */
    uint64_t lost;         /* reserves that found room and would not have */
    uint64_t lost_nights;
};

struct what_if {
    const struct tool *tool;
    uint32_t shard;
    struct state_machine other;
    int error;
    json_t *begins;     /* where reading began, by shard */
    uint64_t begin_lsn; /* the largest LSN in a snapshot that a shard began with; 0: none did */
    uint64_t
        clamped; /* supply records whose rooms would have left 0..ROOMS_MAX; a snapshot's supply of a room type is one */
    uint64_t otherwise;                        /* commands other than reserves that were answered otherwise */
    struct gain gains[WHAT_IF_DELTAS_MAX + 1]; /* in the order of the deltas; the last: all other room types */
};

static size_t gain_place(const struct tool *tool, uint64_t property, uint32_t room_type)
{
    for (size_t i = 0; i < tool->deltas_count; i++)
        if (tool->deltas[i].property == property && tool->deltas[i].room_type == room_type)
            return i;
    return tool->deltas_count;
}

/* ---- The other supply ----------------------------------------------------------------------------------------------------------- */

static uint16_t rooms_moved(struct what_if *what_if, uint16_t rooms, int32_t delta)
{
    int32_t moved = (int32_t)rooms + delta;
    what_if->clamped += moved < 0 || moved > ROOMS_MAX;
    if (moved < 0)
        return 0;
    return (uint16_t)(moved > ROOMS_MAX ? ROOMS_MAX : moved);
}

union supply {
    struct record_header header;
    struct room_type_create create;
    struct rooms_set set;
};

/* The record as the other engine is to get it: itself, or a copy in *supply. */
static const struct record_header *record_moved(struct what_if *what_if, const struct record_header *record,
                                                union supply *supply)
{
    bool sets = record->kind == OPERATION_ROOMS_SET;
    if (!sets && record->kind != OPERATION_ROOM_TYPE_CREATE)
        return record;
    memcpy(supply, record, sets ? sizeof supply->set : sizeof supply->create);
    size_t place = gain_place(what_if->tool, record->property, sets ? supply->set.room_type : supply->create.room_type);
    if (place == what_if->tool->deltas_count)
        return record;
    uint16_t *rooms = sets ? &supply->set.rooms : &supply->create.rooms;
    *rooms = rooms_moved(what_if, *rooms, what_if->tool->deltas[place].rooms);
    return &supply->header;
}

/* ---- Comparing ------------------------------------------------------------------------------------------------------------------ */

/* A reserve that was answered again says nothing new: each key counts once. */
static bool is_first(const struct result_header *result)
{
    return (result->flags & RESULT_REPLAYED) == 0;
}

static void reserve_compare(struct what_if *what_if, const struct reserve *reserve, const struct result_header *before,
                            const struct result_header *after)
{
    const struct reserve_line *line = &reserve->lines[0];
    struct gain *gain = &what_if->gains[gain_place(what_if->tool, reserve->mutation.header.property, line->room_type)];
    uint64_t nights = (uint64_t)reserve->nights * line->rooms;
    if (before->status == STATUS_SOLD_OUT && is_first(before)) {
        gain->refused++;
        gain->refused_nights += nights;
    }
    if (before->status != STATUS_OK && after->status == STATUS_OK && is_first(after)) {
        gain->gained++;
        gain->gained_nights += nights;
        gain->gained_holds += reserve->hold_ns != 0;
    }
    if (before->status == STATUS_OK && after->status != STATUS_OK && is_first(before)) {
        gain->lost++;
        gain->lost_nights += nights;
    }
}

static void record_compare(void *context, const struct wal_frame_header *frame, const struct record_header *record,
                           uint64_t lsn, const union apply_result *result)
{
    struct what_if *what_if = context;
    union supply supply;
    union apply_result answer;
    (void)frame;
    if (result == NULL || what_if->error != 0)
        return;
    what_if->error = state_machine_step(&what_if->other, record_moved(what_if, record, &supply), lsn, &answer);
    if (what_if->error != 0)
        return;
    if (record->kind == OPERATION_RESERVE)
        reserve_compare(what_if, (const struct reserve *)(const void *)record, &result->header, &answer.header);
    else
        what_if->otherwise += answer.header.status != result->header.status;
}

static void other_shift(struct what_if *what_if, uint32_t shard)
{
    const struct tool *tool = what_if->tool;
    for (size_t i = 0; i < tool->deltas_count; i++) {
        const struct tool_delta *delta = &tool->deltas[i];
        if (shard_of_property(delta->property, tool->directory.header.shards_count) != shard)
            continue;
        uint64_t clamped = 0;
        engine_rooms_shift(what_if->other.engine, delta->property, delta->room_type, delta->rooms, &clamped);
        what_if->clamped += clamped > 0;
    }
}

/* The second engine is filled from the same snapshot as the first. */
static void begin_other(void *context, const struct shard_replay *replay)
{
    struct what_if *what_if = context;
    char path[WAL_PATH_SIZE];
    char why[WAL_SNAPSHOT_WHY_SIZE];
    struct warm_start warm;
    struct warm_start_options options = { .io = what_if->tool->io,
                                          .place = shard_snapshot_place(what_if->tool, replay->shard, path),
                                          .lsn_max = NEVER_NS,
                                          .time_max_ns = NEVER_NS,
                                          .only_index = replay->beginning.index };
    what_if->error = warm_start_run(&what_if->other, &options, &warm, why);
    if (what_if->error == 0 && warm.index == 0)
        what_if->error = -EIO; /* it was whole when the first engine was filled */
    if (what_if->error != 0)
        return;
    other_shift(what_if, replay->shard);
    uint64_t lsn = replay->beginning.start.position.next_lsn - 1;
    if (lsn > what_if->begin_lsn)
        what_if->begin_lsn = lsn;
}

static bool frame_begin_other(void *context, const struct wal_frame_header *frame)
{
    struct what_if *what_if = context;
    if (what_if->error == 0)
        what_if->error = state_machine_begin(&what_if->other, frame);
    return what_if->error == 0;
}

static enum tool_exit shard_ask(struct what_if *what_if, uint32_t shard)
{
    struct shard_replay replay = { .tool = what_if->tool,
                                   .shard = shard,
                                   .apply = true,
                                   .to_lsn = NEVER_NS,
                                   .to_ns = NEVER_NS,
                                   .visit = record_compare,
                                   .visit_frame = frame_begin_other,
                                   .visit_beginning = begin_other,
                                   .visit_context = what_if };
    state_machine_init(&what_if->other, what_if->tool->directory.header.uuid);
    what_if->other.other_outcomes = true;
    shard_replay_run(&replay);
    shard_replay_explain(&replay, stderr);
    enum tool_exit verdict = shard_replay_exit(&replay);
    /* What stops the other engine and not the first one is a lack of memory, or a snapshot that went meanwhile; what stops both was explained. */
    if (what_if->error != 0 && replay.error == 0 && replay.broken == NULL) {
        fprintf(stderr, "innkeep-wal: shard %u: the second engine cannot go on: %s\n", shard,
                what_if->other.error != NULL ? what_if->other.error : strerror(-what_if->error));
        verdict = TOOL_UNREADABLE;
    }
    json_array_append_new(what_if->begins, beginning_json(&replay.beginning));
    state_machine_free(&what_if->other);
    shard_replay_free(&replay);
    return verdict;
}

/* ---- The report ----------------------------------------------------------------------------------------------------------------- */

static void gain_text(struct table *table, const char *name, const char *delta, const struct gain *gain)
{
    const uint64_t numbers[] = { gain->refused,      gain->refused_nights, gain->gained,     gain->gained_nights,
                                 gain->gained_holds, gain->lost,           gain->lost_nights };
    char texts[ARRAY_COUNT(numbers)][24];
    const char *cells[TABLE_COLUMNS_MAX] = { name, delta };
    static_assert(ARRAY_COUNT(numbers) + 2 <= TABLE_COLUMNS_MAX, "all have a column");
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
        snprintf(texts[i], sizeof texts[i], "%" PRIu64, numbers[i]);
        cells[2 + i] = texts[i];
    }
    table_add(table, cells);
}

static const char caveats[] = "What this does not know is what guests would have done otherwise. One who was refused "
                              "may have booked another night or type\n"
                              "instead, or come back under another key, and then counts as gained besides. A hold that "
                              "was refused was never confirmed: here\n"
                              "it runs out and gives its rooms back, though its guest might have confirmed it. What is "
                              "gained stays, unless the log cancels it.\n";

static void report_text(const struct what_if *what_if)
{
    const struct tool *tool = what_if->tool;
    struct table *table = calloc(1, sizeof *table);
    ENSURE(table != NULL);
    *table = (struct table){ .out = stdout, .columns_count = 9 };
    static const char *const headings[] = { "room type",   "rooms",        "refused", "room nights", "gained",
                                            "room nights", "of them held", "lost",    "room nights" };
    for (size_t i = 0; i < ARRAY_COUNT(headings); i++)
        table->columns[i] = (struct table_column){ .heading = headings[i], .to_the_right = i > 0 };
    for (size_t i = 0; i <= tool->deltas_count; i++) {
        char name[64] = "all others";
        char delta[16] = "as it was";
        if (i < tool->deltas_count) {
            snprintf(name, sizeof name, "%" PRIu64 ":%u", tool->deltas[i].property, tool->deltas[i].room_type);
            snprintf(delta, sizeof delta, "%+d", tool->deltas[i].rooms);
        }
        gain_text(table, name, delta, &what_if->gains[i]);
    }
    table_finish(table);
    free(table);
    if (what_if->clamped > 0)
        printf("In %" PRIu64 " supply records, the rooms would have left 0 to %d and were kept inside.\n",
               what_if->clamped, ROOMS_MAX);
    if (what_if->otherwise > 0)
        printf("%" PRIu64 " commands other than reserves would have been answered otherwise.\n", what_if->otherwise);
    if (what_if->begin_lsn > 0)
        printf("Counted from LSN %" PRIu64 " on: what was asked for up to there is in segments that were recycled. The "
               "rooms count as if\nthey had been there before.\n",
               what_if->begin_lsn + 1);
    printf("\n%s", caveats);
}

static json_t *gain_json(const struct gain *gain)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "refused", printer_json_number(gain->refused),
                     "refused_room_nights", printer_json_number(gain->refused_nights), "gained",
                     printer_json_number(gain->gained), "gained_room_nights", printer_json_number(gain->gained_nights),
                     "gained_holds", printer_json_number(gain->gained_holds), "lost", printer_json_number(gain->lost),
                     "lost_room_nights", printer_json_number(gain->lost_nights));
}

static void report_json(const struct what_if *what_if)
{
    const struct tool *tool = what_if->tool;
    json_t *types = json_array();
    for (size_t i = 0; i < tool->deltas_count; i++) {
        json_t *type = gain_json(&what_if->gains[i]);
        json_object_set_new(type, "property", printer_json_number(tool->deltas[i].property));
        json_object_set_new(type, "room_type", json_integer(tool->deltas[i].room_type));
        json_object_set_new(type, "rooms", json_integer(tool->deltas[i].rooms));
        json_array_append_new(types, type);
    }
    json_t *all = json_pack("{s:o, s:o, s:o, s:o, s:O, s:s}", "room_types", types, "others",
                            gain_json(&what_if->gains[tool->deltas_count]), "clamped",
                            printer_json_number(what_if->clamped), "answered_otherwise",
                            printer_json_number(what_if->otherwise), "begins", what_if->begins, "caveats", caveats);
    ENSURE(all != NULL);
    json_dumpf(all, stdout, JSON_COMPACT);
    json_decref(all);
    putchar('\n');
}

/* Only shards that a named property lives in can come out otherwise. */
static bool shard_is_concerned(const struct tool *tool, uint32_t shard)
{
    for (size_t i = 0; i < tool->deltas_count; i++)
        if (shard_of_property(tool->deltas[i].property, tool->directory.header.shards_count) == shard)
            return true;
    return false;
}

enum tool_exit what_if_command(struct tool *tool)
{
    struct what_if *what_if = calloc(1, sizeof *what_if);
    enum tool_exit worst = TOOL_CLEAN;
    ENSURE(what_if != NULL);
    what_if->tool = tool;
    what_if->begins = json_array();
    for (uint32_t shard = 0; shard < tool->directory.header.shards_count; shard++)
        if (shard_is_concerned(tool, shard))
            worst = tool_worse(worst, shard_ask(what_if, shard));
    if (tool->json)
        report_json(what_if);
    else
        report_text(what_if);
    json_decref(what_if->begins);
    free(what_if);
    return worst;
}
