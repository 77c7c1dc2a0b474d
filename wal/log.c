/* Writing the log. log.h tells the happy path; what is kept here:
 *
 *   frames    a ring of depth_max slots, oldest first: submitted, complete, handed out, released, always in index order
 *   buffers   depth_max + 1 of them, used in turn: one per slot and the one that is open
 *   segment   the file that frames go to; when the open frame does not fit behind the last one, the rest of it stays zero and
 *             the log changes to the next segment: its header is written durably, and only then may the frame be sealed
 *
 * Failures: any error or short write of a frame or a header sets wal->error, once and for good. What completes afterwards is
 * not handed out: its neighbours on the disk are in doubt, and recovery will judge them.
 *
 * The group commit without a timer is an old idea (DeWitt et al., "Implementation Techniques for Main Memory Database
 * Systems", SIGMOD 1984; its modern form: seal when a slot is free, otherwise accumulate). */
#include "wal/log.h"

#include "wal/segment_pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

/* An open frame of half of this, met by a completion, says that the next one fills while the disk is busy. */
#define FRAME_TARGET_SIZE (64 * KIB)

/* The next segment is brought in when less than this part of the current one is left. */
#define STAGE_PART 4

enum change_state {
    CHANGE_NONE,    /* frames go to wal->segment */
    CHANGE_WRITING, /* the next segment's header is in flight; no frame may be sealed */
};

struct wal_segment {
    int file; /* -1: none */
    uint64_t sequence;
    uint64_t salt;
    uint64_t offset; /* where the next frame goes */
};

struct wal_slot {
    struct io_request request;
    struct wal *wal;
    struct wal_frame_header *frame; /* in its buffer */
    uint64_t submitted_ns;
    int closes_file; /* the segment that ended with this frame, to be closed once it is durable; -1: none */
    bool complete;
};

struct wal {
    struct io *io;
    char directory[WAL_FILE_PATH_SIZE];
    struct wal_options options;
    int error;

    uint8_t *memory; /* one mapping: the frame buffers, then zeros, then the header blocks */
    size_t memory_size;
    uint32_t open_buffer;
    uint32_t open_payload; /* bytes of records in the open frame */
    uint32_t open_records;
    bool open_begins_epoch;

    struct wal_slot slots[WAL_DEPTH_MAX];
    uint32_t slots_head;  /* of the oldest frame not released */
    uint32_t slots_count; /* submitted and not released */
    uint32_t slots_done;  /* of those, how many from the head on are complete */
    uint32_t depth;

    struct wal_segment segment;
    struct wal_segment next; /* renamed into place, its header not yet written; file -1: none */
    enum change_state change;
    struct io_request header_request;
    struct segment_pool pool;
    bool stalled;           /* this stall is counted */
    uint64_t retired_below; /* asked for; the pool is told of it as frames in older segments become durable */

    uint64_t next_lsn;
    uint64_t next_index;
    uint64_t durable_index;
    uint64_t last_time_ns;
    uint64_t newest_data_index;
    uint64_t recorded_durable_index; /* the newest submitted frame's durable_index */
    struct hash128 previous_hash;
    uint64_t frames;
    uint64_t records;
    uint64_t bytes;
    uint64_t padding_bytes;
    uint64_t stalls;
    uint32_t depth_highest;
    uint64_t frame_ns; /* when the newest frame was submitted; 0: there is none */
    struct histogram write_latency;
};

/* ---- Memory ---------------------------------------------------------------------------------------------------------- */

static size_t frames_memory_size(const struct wal_options *options)
{
    return (size_t)(options->depth_max + 1) * options->frame_size_max;
}

size_t wal_memory_size(const struct wal_options *options)
{
    return frames_memory_size(options) + WAL_FILL_SIZE + WAL_SEGMENT_DATA_OFFSET + sizeof(struct wal);
}

uint32_t wal_buffers_count(const struct wal_options *options)
{
    return wal_guest_buffer(options) + (options->guest.iov_len > 0);
}

uint32_t wal_guest_buffer(const struct wal_options *options)
{
    return options->depth_max + 2;
}

static struct wal_frame_header *buffer_frame(const struct wal *wal, uint32_t buffer)
{
    REQUIRE(buffer <= wal->options.depth_max);
    return (struct wal_frame_header *)(void *)(wal->memory + (size_t)buffer * wal->options.frame_size_max);
}

static uint8_t *zeros_of(const struct wal *wal)
{
    return wal->memory + frames_memory_size(&wal->options);
}

static uint8_t *header_blocks_of(const struct wal *wal)
{
    return zeros_of(wal) + WAL_FILL_SIZE;
}

static uint32_t spare_buffer(const struct wal *wal)
{
    return wal->options.depth_max + 1;
}

static int memory_map(struct wal *wal)
{
    wal->memory_size = frames_memory_size(&wal->options) + WAL_FILL_SIZE + WAL_SEGMENT_DATA_OFFSET;
    void *memory =
        mmap(NULL, wal->memory_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED)
        return -errno;
    wal->memory = memory;
    return 0;
}

static int memory_register(struct wal *wal)
{
    struct iovec buffers[WAL_DEPTH_MAX + 3];
    for (uint32_t i = 0; i <= wal->options.depth_max; i++)
        buffers[i] = (struct iovec){ .iov_base = buffer_frame(wal, i), .iov_len = wal->options.frame_size_max };
    buffers[spare_buffer(wal)] =
        (struct iovec){ .iov_base = zeros_of(wal), .iov_len = WAL_FILL_SIZE + WAL_SEGMENT_DATA_OFFSET };
    buffers[wal_guest_buffer(&wal->options)] = wal->options.guest;
    return io_buffers_register(wal->io, buffers, wal_buffers_count(&wal->options));
}

/* ---- The change of segments ------------------------------------------------------------------------------------------- */

static size_t open_frame_size(const struct wal *wal)
{
    return wal_frame_padded_size(wal->open_payload);
}

static bool open_frame_fits(const struct wal *wal)
{
    return open_frame_size(wal) <= wal->options.segment_size - wal->segment.offset;
}

static void note_error(struct wal *wal, int error)
{
    REQUIRE(error < 0);
    if (wal->error == 0)
        wal->error = error;
}

static struct wal_segment_header next_header(const struct wal *wal)
{
    struct wal_segment_header header = {
        .magic = WAL_SEGMENT_MAGIC,
        .version = WAL_FORMAT_VERSION,
        .header_size = sizeof(header),
        .shard = wal->options.shard,
        .shards_count = wal->options.shards_count,
        .segment_sequence = wal->next.sequence,
        .segment_size = wal->options.segment_size,
        .first_frame_index = wal->next_index,
        .first_lsn = wal->next_lsn - wal->open_records,
        .time_ns = wal->last_time_ns,
        .previous_hash = wal->previous_hash,
    };
    memcpy(header.uuid, wal->options.uuid, sizeof(header.uuid));
    wal_segment_header_seal(&header);
    return header;
}

/* Segments are written to many thousand times, so the kernel keeps them at hand, if it will. */
static void segment_register(struct wal *wal, int file)
{
    int rc = io_file_register(wal->io, file);
    (void)rc; /* it works as well without */
}

static void segment_close(struct wal *wal, int file)
{
    io_file_unregister(wal->io, file);
    io_close(wal->io, file);
}

static int next_segment_stage(struct wal *wal, bool may_make)
{
    REQUIRE(wal->next.file < 0);
    uint64_t sequence = 0;
    int file = segment_pool_take(&wal->pool, may_make, &sequence);
    if (file < 0)
        return file;
    segment_register(wal, file);
    wal->next = (struct wal_segment){
        .file = file,
        .sequence = sequence,
        .salt = wal_salt(wal->options.uuid, wal->options.shard, sequence),
        .offset = WAL_SEGMENT_DATA_OFFSET,
    };
    return 0;
}

/* Frames in the old segment may still be in flight: the newest one closes the file when its turn has come. */
static void current_segment_retire(struct wal *wal)
{
    bool in_flight = wal->slots_count > wal->slots_done;
    if (in_flight) {
        uint32_t newest = (wal->slots_head + wal->slots_count - 1) % wal->options.depth_max;
        ENSURE(wal->slots[newest].closes_file < 0);
        wal->slots[newest].closes_file = wal->segment.file;
    } else if (wal->segment.file >= 0) {
        segment_close(wal, wal->segment.file);
    }
}

static void segment_change_finish(struct wal *wal)
{
    ENSURE(wal->next.file >= 0 && wal->next.offset == WAL_SEGMENT_DATA_OFFSET);
    current_segment_retire(wal);
    wal->segment = wal->next;
    wal->next = (struct wal_segment){ .file = -1 };
    wal->change = CHANGE_NONE;
}

static void header_write_done(struct io_request *request, const struct io_completion *completion)
{
    struct wal *wal = request->context;
    REQUIRE(wal->change == CHANGE_WRITING && request == &wal->header_request);
    if (completion->result == WAL_SEGMENT_DATA_OFFSET) {
        segment_change_finish(wal);
        return;
    }
    wal->change = CHANGE_NONE;
    note_error(wal, completion->result < 0 ? completion->result : -EIO);
}

static void segment_change_begin(struct wal *wal)
{
    struct wal_segment_header header = next_header(wal);
    wal_segment_header_lay(header_blocks_of(wal), &header);
    wal->change = CHANGE_WRITING;
    wal->header_request = (struct io_request){ .done = header_write_done, .context = wal };
    io_write_fixed(wal->io, &wal->header_request, wal->next.file, spare_buffer(wal), header_blocks_of(wal),
                   WAL_SEGMENT_DATA_OFFSET, 0, true);
}

static bool another_segment_is_ready(const struct wal *wal)
{
    return wal->next.file >= 0 || segment_pool_ready_count(&wal->pool) > 0;
}

/* For lack of space it is tried again when the pool unblocks the segment. */
static void next_segment_try(struct wal *wal)
{
    int rc = next_segment_stage(wal, false);
    if (rc != 0 && !segment_pool_is_no_space(rc))
        note_error(wal, rc);
}

/* The open frame only grows until it is sealed, so one that does not fit now never will: the change may begin at once. */
static void segment_change_if_due(struct wal *wal)
{
    if (wal->error != 0 || wal->change != CHANGE_NONE || open_frame_fits(wal))
        return;
    if (!another_segment_is_ready(wal)) {
        wal->stalls += !wal->stalled;
        wal->stalled = true;
        return;
    }
    if (wal->next.file < 0)
        next_segment_try(wal);
    if (wal->next.file < 0)
        return;
    wal->stalled = false;
    segment_change_begin(wal);
}

/* Early, and outside the path of a frame, because it blocks for a directory sync. On a disk without space at once: so it shows whether the
 * segment can be had before any record counts on it. */
static void next_segment_stage_if_due(struct wal *wal)
{
    bool late = wal->options.segment_size - wal->segment.offset < wal->options.segment_size / STAGE_PART;
    bool due = late || segment_pool_lacks_space(&wal->pool);
    if (due && wal->next.file < 0 && segment_pool_ready_count(&wal->pool) > 0)
        next_segment_try(wal);
}

/* The oldest segment with a frame that is not durable yet: its file is in use. */
static uint64_t oldest_segment_in_use(const struct wal *wal)
{
    if (wal->slots_done == wal->slots_count)
        return wal->segment.sequence;
    return wal->slots[(wal->slots_head + wal->slots_done) % wal->options.depth_max].frame->segment_sequence;
}

void wal_retire_below(struct wal *wal, uint64_t sequence)
{
    REQUIRE(sequence <= wal->segment.sequence);
    if (sequence > wal->retired_below)
        wal->retired_below = sequence;
    uint64_t in_use = oldest_segment_in_use(wal);
    segment_pool_retire_below(&wal->pool, wal->retired_below < in_use ? wal->retired_below : in_use);
}

void wal_tend(struct wal *wal)
{
    if (wal->error != 0)
        return;
    if (wal->pool.retired_below < wal->retired_below)
        wal_retire_below(wal, wal->retired_below);
    struct segment_pool_need need = {
        .left_bytes = wal->options.segment_size - wal->segment.offset +
                      (wal->next.file >= 0 ? wal->options.segment_size - WAL_SEGMENT_DATA_OFFSET : 0),
        .frame_ns = wal->frame_ns,
    };
    segment_pool_tend(&wal->pool, &need);
    if (wal->pool.error != 0)
        note_error(wal, wal->pool.error);
    if (wal->error == 0)
        next_segment_stage_if_due(wal);
    segment_change_if_due(wal);
}

uint64_t wal_tend_due_ns(const struct wal *wal)
{
    return wal->error != 0 ? NEVER_NS : segment_pool_due_ns(&wal->pool);
}

/* ---- The open frame --------------------------------------------------------------------------------------------------- */

/* While no other segment is ready, the open frame must not outgrow what is left of this one: if the disk turns out to be
 * full, a record that was taken would wait for space, and nobody can say how long. */
bool wal_has_room(const struct wal *wal, uint32_t size_bytes)
{
    if (sizeof(struct wal_frame_header) + wal->open_payload + size_bytes > wal->options.frame_size_max)
        return false;
    uint64_t left = wal->options.segment_size - wal->segment.offset;
    return another_segment_is_ready(wal) || wal_frame_padded_size(wal->open_payload + size_bytes) <= left;
}

uint64_t wal_append(struct wal *wal, const struct record_header *record)
{
    REQUIRE(record->size >= sizeof(*record) && record->size % RECORD_ALIGNMENT == 0);
    REQUIRE(wal_has_room(wal, record->size));
    uint8_t *payload = (uint8_t *)(buffer_frame(wal, wal->open_buffer) + 1);
    memcpy(payload + wal->open_payload, record, record->size);
    wal->open_payload += record->size;
    wal->open_records++;
    uint64_t lsn = wal->next_lsn++;
    segment_change_if_due(wal);
    return lsn;
}

void wal_begin_epoch(struct wal *wal, uint64_t lsn)
{
    REQUIRE(wal->open_records == 0 && !wal->open_begins_epoch);
    REQUIRE(lsn >= wal->next_lsn && lsn % WAL_EPOCH_LSNS == 0);
    wal->next_lsn = lsn;
    wal->open_begins_epoch = true;
}

bool wal_may_seal(const struct wal *wal)
{
    return wal->error == 0 && wal->slots_count < wal->depth && wal->change == CHANGE_NONE && open_frame_fits(wal);
}

static enum wal_frame_type open_frame_type(const struct wal *wal, bool config)
{
    if (config)
        return WAL_FRAME_CONFIG;
    return wal->open_records > 0 ? WAL_FRAME_DATA : WAL_FRAME_NOOP;
}

static struct wal_frame_header open_frame_header(const struct wal *wal, uint32_t engine_level, bool config)
{
    return (struct wal_frame_header){
        .magic = WAL_FRAME_MAGIC,
        .version = wal->open_begins_epoch ? WAL_FRAME_VERSION_FLAGS : WAL_FORMAT_VERSION,
        .type = (uint8_t)open_frame_type(wal, config),
        .flags = wal->open_begins_epoch ? WAL_FRAME_EPOCH : 0,
        .frame_size = (uint32_t)open_frame_size(wal),
        .payload_size = wal->open_payload,
        .records_count = wal->open_records,
        .engine_level = engine_level,
        .segment_sequence = wal->segment.sequence,
        .block_number = (uint32_t)(wal->segment.offset / WAL_BLOCK_SIZE),
        .shard = wal->options.shard,
        .index = wal->next_index,
        .first_lsn = wal->next_lsn - wal->open_records,
        .time_ns = wal->last_time_ns,
        .durable_index = wal->durable_index,
        .commit_index = wal->durable_index,
        .previous_hash = wal->previous_hash,
    };
}

static void count_frame(struct wal *wal, const struct wal_frame_header *frame)
{
    wal->frames++;
    wal->records += frame->records_count;
    wal->bytes += frame->frame_size;
    wal->padding_bytes += frame->frame_size - sizeof(*frame) - frame->payload_size;
    wal->recorded_durable_index = frame->durable_index;
    if (frame->records_count > 0)
        wal->newest_data_index = frame->index;
}

/* ---- Completion ------------------------------------------------------------------------------------------------------- */

/* Grow while the next frame fills before a completion comes; shrink when there is nothing to do. */
static void depth_adapt(struct wal *wal)
{
    uint32_t half = (uint32_t)(FRAME_TARGET_SIZE / 2);
    if (wal->options.frame_size_max < FRAME_TARGET_SIZE)
        half = wal->options.frame_size_max / 2;
    if (wal->open_payload >= half && wal->depth < wal->options.depth_max)
        wal->depth++;
    else if (wal->open_records == 0 && wal->depth > 1)
        wal->depth--;
}

static void durable_advance(struct wal *wal)
{
    while (wal->slots_done < wal->slots_count) {
        struct wal_slot *slot = &wal->slots[(wal->slots_head + wal->slots_done) % wal->options.depth_max];
        if (!slot->complete)
            break;
        ENSURE(slot->frame->index == wal->durable_index + 1);
        wal->durable_index++;
        wal->slots_done++;
        if (slot->closes_file >= 0)
            segment_close(wal, slot->closes_file);
        slot->closes_file = -1;
    }
}

static void frame_write_done(struct io_request *request, const struct io_completion *completion)
{
    struct wal_slot *slot = request->context;
    struct wal *wal = slot->wal;
    REQUIRE(!slot->complete && request == &slot->request);
    slot->complete = true;
    if (completion->result != (int32_t)slot->frame->frame_size)
        note_error(wal, completion->result < 0 ? completion->result : -EIO);
    if (wal->error != 0)
        return;
    histogram_add(&wal->write_latency, io_now_ns(wal->io) - slot->submitted_ns);
    durable_advance(wal);
    depth_adapt(wal);
}

static void frame_submit(struct wal *wal, struct wal_frame_header *frame)
{
    struct wal_slot *slot = &wal->slots[(wal->slots_head + wal->slots_count) % wal->options.depth_max];
    *slot = (struct wal_slot){
        .request = { .done = frame_write_done, .context = slot },
        .wal = wal,
        .frame = frame,
        .submitted_ns = io_now_ns(wal->io),
        .closes_file = -1,
    };
    wal->frame_ns = slot->submitted_ns;
    wal->slots_count++;
    if (wal->slots_count - wal->slots_done > wal->depth_highest)
        wal->depth_highest = wal->slots_count - wal->slots_done;
    ENSURE(wal->slots_count <= wal->options.depth_max);
    io_write_fixed(wal->io, &slot->request, wal->segment.file, wal->open_buffer, frame, frame->frame_size,
                   wal->segment.offset, true);
}

void wal_seal(struct wal *wal, uint64_t time_ns, uint32_t engine_level, bool config)
{
    REQUIRE(wal_may_seal(wal));
    REQUIRE(IMPLIES(config, wal->open_records > 0));
    REQUIRE(IMPLIES(wal->open_begins_epoch, wal->open_records > 0 && !config));
    if (time_ns > wal->last_time_ns)
        wal->last_time_ns = time_ns;
    struct wal_frame_header *frame = buffer_frame(wal, wal->open_buffer);
    *frame = open_frame_header(wal, engine_level, config);
    uint8_t *end = (uint8_t *)(frame + 1) + frame->payload_size;
    memset(end, 0, frame->frame_size - sizeof(*frame) - frame->payload_size);
    wal_frame_seal(frame, wal->segment.salt);

    frame_submit(wal, frame);
    count_frame(wal, frame);
    wal->previous_hash = frame->hash;
    wal->next_index++;
    wal->segment.offset += frame->frame_size;
    ENSURE(wal->segment.offset <= wal->options.segment_size);
    wal->open_buffer = (wal->open_buffer + 1) % (wal->options.depth_max + 1);
    wal->open_payload = 0;
    wal->open_records = 0;
    wal->open_begins_epoch = false;
    segment_change_if_due(wal);
}

const struct wal_frame_header *wal_durable(struct wal *wal)
{
    if (wal->error != 0 || wal->slots_done == 0)
        return NULL;
    return wal->slots[wal->slots_head].frame;
}

void wal_release(struct wal *wal)
{
    REQUIRE(wal->slots_done > 0);
    wal->slots_head = (wal->slots_head + 1) % wal->options.depth_max;
    wal->slots_count--;
    wal->slots_done--;
}

/* ---- What can be asked ------------------------------------------------------------------------------------------------- */

int wal_error(const struct wal *wal)
{
    return wal->error;
}

enum wal_space wal_space(const struct wal *wal)
{
    uint32_t ready = segment_pool_ready_count(&wal->pool) + (wal->next.file >= 0);
    if (ready >= 2 || !segment_pool_lacks_space(&wal->pool))
        return WAL_SPACE_AMPLE;
    uint64_t left = wal->options.segment_size - wal->segment.offset;
    if (ready > 0)
        return WAL_SPACE_LOW;
    if (!open_frame_fits(wal))
        return WAL_SPACE_NONE;
    return left < wal->options.segment_size / 4 ? WAL_SPACE_CRITICAL : WAL_SPACE_LOW;
}

struct wal_state wal_state_of(const struct wal *wal)
{
    return (struct wal_state){
        .next_lsn = wal->next_lsn,
        .next_index = wal->next_index,
        .durable_index = wal->durable_index,
        .last_time_ns = wal->last_time_ns,
        .segment_sequence = wal->segment.sequence,
        .open_records = wal->open_records,
        .in_flight = wal->slots_count,
        .depth = wal->depth,
        .depth_highest = wal->depth_highest,
        .evidence_missing = wal->recorded_durable_index < wal->newest_data_index,
        .frames = wal->frames,
        .records = wal->records,
        .bytes = wal->bytes,
        .padding_bytes = wal->padding_bytes,
        .stalls = wal->stalls,
        .segments_recycled = wal->pool.recycled_count,
        .segments_deleted = wal->pool.deleted_count,
    };
}

const struct histogram *wal_write_latency(const struct wal *wal)
{
    return &wal->write_latency;
}

/* ---- Opening and closing ------------------------------------------------------------------------------------------------ */

static bool options_are_valid(const struct wal_options *options)
{
    return options->depth_max >= 1 && options->depth_max <= WAL_DEPTH_MAX && options->ready_min >= 2 &&
           options->ready_min <= WAL_READY_MAX && options->spare_max <= WAL_SPARE_MAX &&
           options->frame_size_max >= WAL_BLOCK_SIZE && options->frame_size_max <= WAL_FRAME_SIZE_MAX &&
           options->frame_size_max % WAL_BLOCK_SIZE == 0 && options->segment_size >= WAL_SEGMENT_SIZE_MIN &&
           options->segment_size % WAL_BLOCK_SIZE == 0 && options->shard < options->shards_count;
}

static void wal_init(struct wal *wal, struct io *io, const struct wal_options *options,
                     const struct wal_position *position)
{
    wal->io = io;
    wal->options = *options;
    if (wal->options.frame_size_max > options->segment_size - WAL_SEGMENT_DATA_OFFSET)
        wal->options.frame_size_max = (uint32_t)(options->segment_size - WAL_SEGMENT_DATA_OFFSET);
    wal->options.directory = wal->directory;
    wal->depth = 1;
    wal->segment.file = -1;
    wal->next.file = -1;
    wal->pool.file = -1;
    wal->next_lsn = position->next_lsn;
    wal->next_index = position->next_index;
    wal->durable_index = position->next_index - 1;
    wal->newest_data_index = wal->durable_index;
    wal->last_time_ns = position->last_time_ns;
    wal->previous_hash = position->previous_hash;
}

static bool first_header_is_ours(const struct wal *wal, const struct wal_segment_header *header)
{
    return wal_segment_header_check(header) == NULL && header->segment_sequence == 1 &&
           header->first_frame_index == 1 && header->shard == wal->options.shard &&
           header->segment_size == wal->options.segment_size &&
           memcmp(header->uuid, wal->options.uuid, sizeof(header->uuid)) == 0;
}

/* Segment 1 of a new shard was made with the directory, header and all. */
static int first_segment_open(struct wal *wal, const char **why)
{
    *why = "segment 1 of a new shard is missing or is not this shard's";
    char path[WAL_FILE_PATH_SIZE];
    int rc = wal_file_path(path, wal->directory, 1, WAL_SUFFIX_SEGMENT);
    if (rc != 0)
        return rc;
    int file = io_open(wal->io, path, IO_OPEN_READ | IO_OPEN_WRITE | IO_OPEN_DIRECT);
    if (file < 0)
        return file;
    uint8_t *blocks = header_blocks_of(wal);
    ssize_t got = io_read_at(wal->io, file, blocks, WAL_SEGMENT_DATA_OFFSET, 0);
    const struct wal_segment_header *copies[] = {
        (const void *)blocks,
        (const void *)(blocks + WAL_BLOCK_SIZE),
    };
    bool ours = got == WAL_SEGMENT_DATA_OFFSET &&
                (first_header_is_ours(wal, copies[0]) || first_header_is_ours(wal, copies[1]));
    if (!ours) {
        io_close(wal->io, file);
        return got < 0 ? (int)got : -EBADMSG;
    }
    segment_register(wal, file);
    wal->segment = (struct wal_segment){
        .file = file,
        .sequence = 1,
        .salt = wal_salt(wal->options.uuid, wal->options.shard, 1),
        .offset = WAL_SEGMENT_DATA_OFFSET,
    };
    return 0;
}

static int fresh_segment_open(struct wal *wal, const char **why)
{
    *why = "the log's next segment could not be made";
    int rc = next_segment_stage(wal, true);
    if (rc != 0)
        return rc;
    struct wal_segment_header header = next_header(wal);
    rc = wal_segment_header_write(wal->io, wal->next.file, header_blocks_of(wal), &header);
    if (rc != 0)
        return rc;
    segment_change_finish(wal);
    return 0;
}

static int segments_open(struct wal *wal, const struct wal_position *position, const char **why)
{
    wal->pool.io = wal->io;
    wal->pool.directory = wal->directory;
    wal->pool.segment_size = wal->options.segment_size;
    wal->pool.ready_min = wal->options.ready_min;
    wal->pool.spare_max = wal->options.spare_max;
    wal->pool.zeros = zeros_of(wal);
    wal->pool.buffer = spare_buffer(wal);
    bool brand_new = position->next_segment_sequence == 1;
    *why = "the shard's directory could not be read, or its left-over files not be removed";
    int rc = segment_pool_open(&wal->pool, brand_new ? 2 : position->next_segment_sequence);
    if (rc != 0)
        return rc;
    wal->retired_below = position->retired_below;
    segment_pool_retire_below(&wal->pool, position->retired_below);
    return brand_new ? first_segment_open(wal, why) : fresh_segment_open(wal, why);
}

static void wal_free(struct wal *wal)
{
    segment_pool_close(&wal->pool);
    for (uint32_t i = 0; i < wal->options.depth_max; i++)
        if (wal->slots[i].wal && wal->slots[i].closes_file >= 0)
            segment_close(wal, wal->slots[i].closes_file);
    if (wal->segment.file >= 0)
        segment_close(wal, wal->segment.file);
    if (wal->next.file >= 0)
        segment_close(wal, wal->next.file);
    if (wal->memory)
        munmap(wal->memory, wal->memory_size);
    free(wal);
}

int wal_open(struct io *io, const struct wal_options *options, const struct wal_position *position, struct wal **wal,
             const char **why)
{
    REQUIRE(position->next_index >= 1 && position->next_lsn >= 1 && position->next_segment_sequence >= 1);
    REQUIRE(position->retired_below <= position->next_segment_sequence);
    *why = "the log's options are outside their bounds, or its path is too long";
    if (!options_are_valid(options) || strlen(options->directory) >= WAL_FILE_PATH_SIZE)
        return -EINVAL;
    struct wal *made = calloc(1, sizeof(*made));
    *why = "no memory for the log's buffers";
    if (!made)
        return -ENOMEM;
    wal_init(made, io, options, position);
    memcpy(made->directory, options->directory, strlen(options->directory) + 1);
    int rc = memory_map(made);
    if (rc == 0) {
        *why = "the log's buffers could not be pinned: raise the limit on locked memory (ulimit -l)";
        rc = memory_register(made);
    }
    if (rc == 0)
        rc = segments_open(made, position, why);
    if (rc != 0) {
        wal_free(made);
        return rc;
    }
    *why = NULL;
    *wal = made;
    return 0;
}

static bool writes_are_in_flight(const struct wal *wal)
{
    if (wal->change == CHANGE_WRITING || segment_pool_is_busy(&wal->pool))
        return true;
    for (uint32_t i = 0; i < wal->slots_count; i++)
        if (!wal->slots[(wal->slots_head + i) % wal->options.depth_max].complete)
            return true;
    return false;
}

bool wal_is_busy(const struct wal *wal)
{
    return writes_are_in_flight(wal) || wal_tend_due_ns(wal) != NEVER_NS;
}

void wal_close(struct wal *wal)
{
    while (writes_are_in_flight(wal))
        if (io_run(wal->io, NEVER_NS) < 0)
            return; /* the ring is gone, and the kernel may still read the buffers: they stay until the process ends */
    wal_free(wal);
}
