#include "tools/innkeep-wal/shard_snapshots.h"

#include "engine/snapshot.h"
#include "net/warm_start.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOKS_MAX 10 /* at a directory whose server takes one snapshot after the other */

struct survey {
    const struct tool *tool;
    uint32_t shard;
    enum shard_snapshots_depth depth;
    char path[WAL_PATH_SIZE];
    struct wal_snapshot_place place;
};

struct wal_snapshot_place shard_snapshot_place(const struct tool *tool, uint32_t shard, char path[WAL_PATH_SIZE])
{
    const struct wal_directory *directory = &tool->directory;
    struct wal_snapshot_place place = { .directory = wal_shard_path(directory, shard, path),
                                        .shard = shard,
                                        .shards_count = directory->header.shards_count };
    memcpy(place.uuid, directory->header.uuid, sizeof place.uuid);
    return place;
}

/* ---- Saying what is wrong ------------------------------------------------------------------------------------------------------- */

/* The first thing that is wrong stays. */
__attribute__((format(printf, 3, 4))) static void wrong_note(struct shard_snapshot *snapshot, enum tool_exit verdict,
                                                             const char *format, ...)
{
    va_list arguments;
    if (snapshot->verdict != TOOL_CLEAN)
        return;
    snapshot->verdict = verdict;
    va_start(arguments, format);
    vsnprintf(snapshot->wrong, sizeof snapshot->wrong, format, arguments);
    va_end(arguments);
    size_t length = strlen(snapshot->wrong);
    if (length > 0 && snapshot->wrong[length - 1] == '.')
        snapshot->wrong[length - 1] = '\0';
}

static enum tool_exit verdict_of(int error)
{
    return error == WAL_SNAPSHOT_DAMAGED || error == WAL_SNAPSHOT_FOREIGN ? TOOL_DAMAGED : TOOL_UNREADABLE;
}

/* ---- One snapshot --------------------------------------------------------------------------------------------------------------- */

static void *scratch_place(void *context, uint64_t offset, size_t *size_bytes)
{
    (void)offset;
    (void)size_bytes;
    return context;
}

/* The pages go nowhere; only their checksums are wanted. */
static int pages_verify(struct wal_snapshot_reader *reader)
{
    void *scratch = aligned_alloc(WAL_BLOCK_SIZE, WAL_SNAPSHOT_READ_SIZE);
    if (scratch == NULL)
        return -ENOMEM;
    struct wal_snapshot_sink sink = { .context = scratch, .place = scratch_place };
    int error = wal_snapshot_read(reader, &sink, 0);
    free(scratch);
    return error;
}

/* What is good about it once it is open. */
static void header_take(struct shard_snapshot *snapshot, const struct wal_snapshot_block *block)
{
    struct snapshot_head head;
    snapshot->opened = true;
    snapshot->header = block->header;
    snapshot->block_check = block->check;
    snapshot->file_size = wal_snapshot_file_size(block->header.data_size);
    if (block->header.head_size != sizeof head)
        return;
    memcpy(&head, block->head, sizeof head);
    snapshot->limits = head.limits;
}

static void snapshot_open(const struct survey *survey, struct shard_snapshot *snapshot)
{
    struct wal_snapshot_reader reader;
    int error = wal_snapshot_open(&reader, survey->tool->io, &survey->place, snapshot->index);
    snapshot->there = error != -ENOENT;
    if (error == 0)
        header_take(snapshot, reader.block);
    if (error == 0 && survey->depth == SHARD_SNAPSHOTS_PAGES)
        error = pages_verify(&reader);
    if (error != 0 && error != -ENOENT)
        wrong_note(snapshot, verdict_of(error), "%s", reader.why);
    wal_snapshot_close(&reader);
}

static void sentence_take(void *context, const char *sentence)
{
    wrong_note(context, TOOL_DAMAGED, "%s", sentence);
}

static void engine_judge(struct shard_snapshot *snapshot, const struct engine *engine)
{
    const char *wrong = engine_check(engine);
    snapshot->is_believed = true;
    if (wrong != NULL)
        wrong_note(snapshot, TOOL_DAMAGED, "the state in the snapshot of frame %" PRIu64 " contradicts itself: %s",
                   snapshot->index, wrong);
    snapshot->state_hash = engine_state_hash(engine);
}

/* As a server would load it. */
static void snapshot_load(const struct survey *survey, struct shard_snapshot *snapshot)
{
    struct state_machine machine;
    struct warm_start warm;
    char why[WAL_SNAPSHOT_WHY_SIZE];
    struct warm_start_options options = { .io = survey->tool->io,
                                          .place = survey->place,
                                          .lsn_max = NEVER_NS,
                                          .time_max_ns = NEVER_NS,
                                          .only_index = snapshot->index,
                                          .say = sentence_take,
                                          .context = snapshot };
    state_machine_init(&machine, survey->place.uuid);
    int error = warm_start_run(&machine, &options, &warm, why);
    if (error != 0)
        wrong_note(snapshot, TOOL_UNREADABLE, "%s", why);
    else if (warm.index != 0)
        engine_judge(snapshot, machine.engine);
    state_machine_free(&machine);
}

/* ---- The manifest --------------------------------------------------------------------------------------------------------------- */

static void manifest_look(const struct survey *survey, struct shard_snapshots *snapshots)
{
    struct shard_snapshot note = { .verdict = TOOL_CLEAN };
    char why[WAL_SNAPSHOT_WHY_SIZE];
    int error = wal_manifest_read(survey->tool->io, &survey->place, &snapshots->manifest, why);
    snapshots->has_manifest = error == 0;
    if (error != 0 && error != -ENOENT)
        wrong_note(&note, verdict_of(error), "%s", why);
    snapshots->manifest_verdict = note.verdict;
    memcpy(snapshots->manifest_wrong, note.wrong, sizeof note.wrong);
}

static struct shard_snapshot *snapshot_find(const struct shard_snapshots *snapshots, uint64_t index)
{
    for (size_t i = 0; i < snapshots->count; i++)
        if (snapshots->items[i].index == index)
            return &snapshots->items[i];
    return NULL;
}

/* What it names and what lies there under the name. */
static void entry_compare(struct shard_snapshot *snapshot, const struct wal_manifest_entry *entry)
{
    REQUIRE(snapshot != NULL);
    const struct wal_snapshot_header *header = &snapshot->header;
    snapshot->named = true;
    if (!snapshot->there)
        wrong_note(snapshot, TOOL_DAMAGED,
                   "the snapshot of frame %" PRIu64 " (up to LSN %" PRIu64 ") is missing, though the manifest names it",
                   entry->index, entry->next_lsn - 1);
    if (!snapshot->opened)
        return;
    if (!hash128_equal(entry->block_check, snapshot->block_check))
        wrong_note(snapshot, TOOL_DAMAGED,
                   "the manifest means another file by the snapshot of frame %" PRIu64 " than the one that is there",
                   entry->index);
    if (entry->next_lsn != header->next_lsn || entry->segment_sequence != header->segment_sequence ||
        entry->segment_offset != header->segment_offset || entry->file_size != snapshot->file_size)
        wrong_note(snapshot, TOOL_DAMAGED,
                   "manifest and snapshot of frame %" PRIu64
                   " disagree about its LSN, its place in the log or its size",
                   entry->index);
}

static void manifest_compare(struct shard_snapshots *snapshots)
{
    const struct wal_manifest *manifest = &snapshots->manifest;
    for (uint32_t i = 0; snapshots->has_manifest && i < manifest->count; i++)
        entry_compare(snapshot_find(snapshots, manifest->entries[i].index), &manifest->entries[i]);
}

/* ---- All of them ---------------------------------------------------------------------------------------------------------------- */

static int newest_first(const void *left, const void *right)
{
    const struct shard_snapshot *a = left;
    const struct shard_snapshot *b = right;
    return (a->index < b->index) - (a->index > b->index);
}

static int items_fill(struct shard_snapshots *snapshots, const struct wal_snapshots *found)
{
    uint32_t named = snapshots->has_manifest ? snapshots->manifest.count : 0;
    free(snapshots->items);
    snapshots->count = 0;
    snapshots->items = calloc(found->count + named + 1, sizeof *snapshots->items);
    if (snapshots->items == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < found->count; i++)
        snapshots->items[snapshots->count++].index = found->indexes[i];
    for (uint32_t i = 0; i < named; i++)
        if (snapshot_find(snapshots, snapshots->manifest.entries[i].index) == NULL)
            snapshots->items[snapshots->count++].index = snapshots->manifest.entries[i].index;
    qsort(snapshots->items, snapshots->count, sizeof *snapshots->items, newest_first);
    return 0;
}

static int directory_look(const struct survey *survey, struct shard_snapshots *snapshots)
{
    struct wal_snapshots found = { .indexes = NULL };
    manifest_look(survey, snapshots);
    int error = wal_snapshots_list(survey->tool->io, survey->place.directory, &found);
    if (error == 0)
        error = items_fill(snapshots, &found);
    wal_snapshots_free(&found);
    for (size_t i = 0; error == 0 && i < snapshots->count; i++) {
        struct shard_snapshot *snapshot = &snapshots->items[i];
        snapshot_open(survey, snapshot);
        if (survey->depth == SHARD_SNAPSHOTS_ENGINE && snapshot->opened && snapshot->verdict == TOOL_CLEAN)
            snapshot_load(survey, snapshot);
    }
    return error;
}

/* A server writes the new manifest before it deletes what the old one named; so what lacks is looked for again under the new one. */
static bool manifest_is_another(const struct survey *survey, const struct shard_snapshots *snapshots)
{
    struct shard_snapshots now = { .count = 0 };
    manifest_look(survey, &now);
    return now.has_manifest &&
           (!snapshots->has_manifest || !hash128_equal(now.manifest.check, snapshots->manifest.check));
}

int shard_snapshots_survey(const struct tool *tool, uint32_t shard, enum shard_snapshots_depth depth,
                           struct shard_snapshots *snapshots)
{
    struct survey survey = { .tool = tool, .shard = shard, .depth = depth };
    survey.place = shard_snapshot_place(tool, shard, survey.path);
    *snapshots = (struct shard_snapshots){ .items = NULL };
    int error = 0;
    for (int look = 0; look < LOOKS_MAX; look++) {
        error = directory_look(&survey, snapshots);
        if (error != 0 || !manifest_is_another(&survey, snapshots))
            break;
    }
    if (error != 0)
        return error;
    manifest_compare(snapshots);
    size_t kept = 0;
    for (size_t i = 0; i < snapshots->count; i++)
        if (snapshots->items[i].there || snapshots->items[i].named)
            snapshots->items[kept++] = snapshots->items[i];
    snapshots->count = kept;
    return 0;
}

void shard_snapshots_free(struct shard_snapshots *snapshots)
{
    free(snapshots->items);
    *snapshots = (struct shard_snapshots){ .items = NULL };
}

enum tool_exit shard_snapshots_worst(const struct shard_snapshots *snapshots)
{
    enum tool_exit worst = snapshots->manifest_verdict;
    for (size_t i = 0; i < snapshots->count; i++)
        worst = tool_worse(worst, snapshots->items[i].verdict);
    return worst;
}
