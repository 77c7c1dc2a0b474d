#include "net/warm_start.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct loading {
    const struct warm_start_options *options;
    struct snapshot_load load;
    uint64_t bytes;
    uint64_t began_ns; /* the memory is there, the first page is asked for */
    const char *wrong; /* what the engine says about the pages */
};

static void say(const struct warm_start_options *options, const char *sentence)
{
    if (options->say != NULL)
        options->say(options->context, sentence);
}

/* ---- One snapshot ----------------------------------------------------------------------------------------------------- */

static void *loading_place(void *context, uint64_t offset, size_t *size_bytes)
{
    const struct loading *loading = context;
    size_t room = 0;
    if (offset >= loading->bytes)
        return NULL;
    void *place = snapshot_load_place(&loading->load, offset, &room);
    if (*size_bytes > room)
        *size_bytes = room;
    return place;
}

static int loading_reached(void *context, uint64_t upto)
{
    struct loading *loading = context;
    loading->wrong = snapshot_load_reached(&loading->load, upto);
    if (loading->options->progress != NULL)
        loading->options->progress(loading->options->context, upto, loading->bytes);
    return loading->wrong == NULL ? 0 : WAL_SNAPSHOT_DAMAGED;
}

/* What the log's side knows of the head: its size and its level. */
static const char *head_look(const struct wal_snapshot_block *block, struct snapshot_head *head)
{
    if (block->header.head_size != sizeof *head)
        return "its head has another size than this version's";
    memcpy(head, block->head, sizeof *head);
    const char *wrong = snapshot_head_check(head);
    if (wrong != NULL)
        return wrong;
    if (snapshot_data_size(head) != block->header.data_size)
        return "it has more or fewer pages than its head asks for";
    bool agree = head->last_lsn < block->header.next_lsn && head->log_time_ns == block->header.time_ns &&
                 head->engine_level == block->header.engine_level;
    return agree ? NULL : "head and header disagree about LSN, log time or engine level";
}

/* The head of a version above this one's: whole, and nothing this program may judge. Its first four bytes say so in all versions to come. */
static bool head_is_newer(const struct wal_snapshot_block *block)
{
    uint32_t version;
    memcpy(&version, block->head, sizeof version);
    return block->header.head_size >= sizeof version && version > SNAPSHOT_VERSION;
}

static int pages_load(struct state_machine *machine, struct wal_snapshot_reader *reader, struct loading *loading)
{
    struct snapshot_head head;
    if (head_is_newer(reader->block)) {
        loading->wrong = "it was written by a newer Innkeep: use that version, or a later one";
        return WAL_SNAPSHOT_NEWER;
    }
    loading->wrong = head_look(reader->block, &head);
    if (loading->wrong != NULL)
        return WAL_SNAPSHOT_DAMAGED;
    int error = state_machine_load(machine, &head, &loading->load);
    if (error == -EBADMSG) {
        loading->wrong = machine->error;
        return WAL_SNAPSHOT_NEWER;
    }
    if (error != 0)
        return error;
    loading->bytes = reader->block->header.data_size;
    loading->began_ns = io_now_ns(loading->options->io);
    struct wal_snapshot_sink sink = { .context = loading, .place = loading_place, .loaded = loading_reached };
    error = wal_snapshot_read(reader, &sink, loading->options->reads_max);
    if (error != 0)
        return error;
    loading->wrong = snapshot_load_finish(&loading->load);
    return loading->wrong == NULL ? 0 : WAL_SNAPSHOT_DAMAGED;
}

static bool is_unasked(const struct warm_start_options *options, const struct wal_snapshot_header *header)
{
    return header->next_lsn - 1 > options->lsn_max || header->time_ns > options->time_max_ns ||
           header->segment_sequence < options->segment_min;
}

/* 1: not this one, for it lies behind what is asked for, or too far before it. */
static int snapshot_try(struct state_machine *machine, const struct warm_start_options *options, uint64_t index,
                        struct warm_start *result, char why[WAL_SNAPSHOT_WHY_SIZE])
{
    struct wal_snapshot_reader reader;
    struct loading loading = { .options = options };
    int error = wal_snapshot_open(&reader, options->io, &options->place, index);
    bool unasked = error == 0 && is_unasked(options, &reader.block->header);
    if (error == 0 && !unasked)
        error = pages_load(machine, &reader, &loading);
    if (error == 0 && !unasked) {
        result->index = index;
        result->bytes = loading.bytes;
        result->took_ns = io_now_ns(options->io) - loading.began_ns;
        result->start = wal_start_behind_snapshot(&reader.block->header);
    }
    if (loading.wrong != NULL)
        snprintf(why, WAL_SNAPSHOT_WHY_SIZE, "the snapshot %.500s cannot be used: %s", reader.path, loading.wrong);
    else if (error == -ENOMEM)
        snprintf(why, WAL_SNAPSHOT_WHY_SIZE,
                 "this machine has too little memory for the limits the snapshot %.500s was taken under", reader.path);
    else if (error != 0)
        snprintf(why, WAL_SNAPSHOT_WHY_SIZE, "%s", reader.why);
    wal_snapshot_close(&reader);
    return unasked ? 1 : error;
}

/* ---- All of them ------------------------------------------------------------------------------------------------------ */

/* What ought to be there and is not. */
static void manifest_compare(const struct warm_start_options *options, const struct wal_snapshots *snapshots,
                             struct warm_start *result)
{
    struct wal_manifest manifest;
    char why[WAL_SNAPSHOT_WHY_SIZE] = "";
    int error = wal_manifest_read(options->io, &options->place, &manifest, why);
    if (error != 0 && error != -ENOENT)
        say(options, why);
    if (error != 0)
        return;
    result->oldest_segment = manifest.oldest_segment;
    for (uint32_t i = 0; i < manifest.count; i++) {
        bool there = false;
        for (size_t k = 0; k < snapshots->count; k++)
            there = there || snapshots->indexes[k] == manifest.entries[i].index;
        if (there)
            continue;
        snprintf(why, sizeof why,
                 "the snapshot of frame %" PRIu64 " (up to LSN %" PRIu64 ") is missing in %.500s, though its manifest "
                 "names it",
                 manifest.entries[i].index, manifest.entries[i].next_lsn - 1, options->place.directory);
        result->passed_over++;
        say(options, why);
    }
}

static int snapshots_try(struct state_machine *machine, const struct warm_start_options *options,
                         const struct wal_snapshots *snapshots, struct warm_start *result,
                         char why[WAL_SNAPSHOT_WHY_SIZE])
{
    for (size_t i = 0; i < snapshots->count; i++) {
        size_t k = options->oldest ? snapshots->count - 1 - i : i;
        if (options->only_index != 0 && snapshots->indexes[k] != options->only_index)
            continue;
        int error = snapshot_try(machine, options, snapshots->indexes[k], result, why);
        if (error == 0)
            return 0;
        state_machine_reset(machine);
        if (error == -ENOMEM || error == WAL_SNAPSHOT_NEWER)
            return error;
        if (error == 1)
            continue;
        result->passed_over++;
        say(options, why);
    }
    return 0;
}

int warm_start_run(struct state_machine *machine, const struct warm_start_options *options, struct warm_start *result,
                   char why[WAL_SNAPSHOT_WHY_SIZE])
{
    REQUIRE(machine->engine == NULL);
    *result = (struct warm_start){ .index = 0 };
    why[0] = '\0';
    struct wal_snapshots snapshots = { .count = 0 };
    int error = wal_snapshots_list(options->io, options->place.directory, &snapshots);
    if (error != 0)
        snprintf(why, WAL_SNAPSHOT_WHY_SIZE, "%.500s cannot be listed: %s", options->place.directory, strerror(-error));
    else if (options->only_index == 0)
        manifest_compare(options, &snapshots, result);
    if (error == 0)
        error = snapshots_try(machine, options, &snapshots, result, why);
    wal_snapshots_free(&snapshots);
    return error;
}
