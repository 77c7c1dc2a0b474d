/* The engine's host: one anonymous mapping holds the engine, frames from the log drive it. See state_machine.h.
 *
 * Whatever a frame says is judged before the engine sees it, for the engine's own contracts would stop the process, and a log that
 * comes from elsewhere deserves a sentence instead. */
#include "net/state_machine.h"

#include "net/prefetch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define HASH_SEED_SEED UINT64_C(0x696e6e6b656570) /* "innkeep": keeps this use of the uuid apart from the log's salts */

static int fail(struct state_machine *machine, int error, uint64_t lsn, const char *text)
{
    REQUIRE(error < 0);
    machine->error = text;
    machine->error_lsn = lsn;
    return error;
}

void state_machine_init(struct state_machine *machine, const uint8_t uuid[16])
{
    memset(machine, 0, sizeof *machine);
    machine->level_max = ENGINE_LEVEL;
    machine->hash_seed = hash64(uuid, 16, HASH_SEED_SEED);
}

static void memory_unmap(void *memory, size_t size_bytes)
{
    int result = munmap(memory, size_bytes);
    ENSURE(result == 0);
}

/* Huge pages are asked for, not required: without them the engine is only slower. Nothing is mapped with MAP_NORESERVE, so a machine
 * that cannot hold the limits says so now and not in the middle of a night. */
static void *memory_map(size_t size_bytes, bool prefault)
{
    void *memory = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    (void)madvise(memory, size_bytes, MADV_HUGEPAGE);
    if (prefault && madvise(memory, size_bytes, MADV_POPULATE_WRITE) != 0 && errno == ENOMEM) {
        memory_unmap(memory, size_bytes);
        return NULL;
    }
    return memory;
}

void state_machine_free(struct state_machine *machine)
{
    if (machine->engine != NULL)
        memory_unmap(machine->memory, machine->memory_size);
    machine->engine = NULL;
    machine->memory = NULL;
    machine->memory_size = 0;
}

static bool limits_cover(const struct engine_limits *wide, const struct engine_limits *narrow)
{
    return wide->properties_max >= narrow->properties_max && wide->room_types_max >= narrow->room_types_max &&
           wide->horizon_nights >= narrow->horizon_nights && wide->reservations_max >= narrow->reservations_max &&
           wide->outcomes_max >= narrow->outcomes_max && wide->leases_max >= narrow->leases_max &&
           wide->deadline_ahead_max_ns >= narrow->deadline_ahead_max_ns && wide->keep_ended_ns >= narrow->keep_ended_ns;
}

/* Makes the engine, or moves it into a larger block: a new one, a copy, and then the old one goes. */
static int engine_settle(struct state_machine *machine, const struct engine_limits *limits, uint64_t lsn)
{
    if (!engine_limits_valid(limits))
        return fail(machine, -EBADMSG, lsn, "a CONFIG record names limits that no engine runs under");
    size_t size = engine_memory_size(limits);
    void *memory = memory_map(size, machine->prefault);
    if (memory == NULL)
        return fail(machine, -ENOMEM, lsn,
                    "this machine has too little memory for the limits the log was written under");
    struct engine *engine = engine_init(memory, size, limits, machine->hash_seed);
    if (machine->engine != NULL) {
        engine_copy(engine, machine->engine);
        memory_unmap(machine->memory, machine->memory_size);
    }
    machine->engine = engine;
    machine->memory = memory;
    machine->memory_size = size;
    return 0;
}

static int config_follow(struct state_machine *machine, const struct config_record *config, uint64_t lsn)
{
    const struct engine_limits *current = engine_limits_of(machine->engine);
    if (memcmp(current, &config->limits, sizeof *current) == 0)
        return 0;
    if (!limits_cover(&config->limits, current))
        return fail(machine, -EBADMSG, lsn, "a CONFIG record makes a limit smaller");
    return engine_settle(machine, &config->limits, lsn);
}

/* Levels are raised on purpose, by whoever had the program that knows them. */
static int level_fail(struct state_machine *machine, uint32_t level, uint64_t lsn)
{
    snprintf(machine->error_text, sizeof machine->error_text,
             "the log was raised to engine level %u, and this program (version " INNKEEP_VERSION
             ") knows levels 1 to %u: "
             "use the version that it was raised with (innkeep raise-level), or a later one",
             level, machine->level_max);
    return fail(machine, -EBADMSG, lsn, machine->error_text);
}

void state_machine_reset(struct state_machine *machine)
{
    state_machine_free(machine);
    *machine = (struct state_machine){ .hash_seed = machine->hash_seed,
                                       .prefault = machine->prefault,
                                       .level_max = machine->level_max,
                                       .other_outcomes = machine->other_outcomes };
}

int state_machine_make(struct state_machine *machine, const struct engine_limits *limits)
{
    REQUIRE(machine->engine == NULL);
    return engine_settle(machine, limits, 0);
}

int state_machine_load(struct state_machine *machine, const struct snapshot_head *head, struct snapshot_load *load)
{
    REQUIRE(machine->engine == NULL);
    if (head->engine_level > machine->level_max)
        return level_fail(machine, head->engine_level, head->last_lsn);
    int error = engine_settle(machine, &head->limits, head->last_lsn);
    if (error != 0)
        return error;
    snapshot_load_begin(load, machine->engine, head);
    return 0;
}

static const struct record_header *first_record(const struct wal_frame_header *frame)
{
    return frame->records_count == 0 ? NULL : (const struct record_header *)(const void *)(frame + 1);
}

/* The first frame of a log says under what limits the engine is born. */
static int engine_born(struct state_machine *machine, const struct wal_frame_header *frame)
{
    const struct record_header *first = first_record(frame);
    if (first == NULL || first->kind != OPERATION_CONFIG)
        return fail(machine, -EBADMSG, frame->first_lsn, "the log does not begin with a CONFIG record");
    return engine_settle(machine, &((const struct config_record *)(const void *)first)->limits, frame->first_lsn);
}

/* A frame whose LSNs jump says why in its first record. */
static int epoch_begin(struct state_machine *machine, const struct wal_frame_header *frame)
{
    bool jumps = (frame->flags & WAL_FRAME_EPOCH) != 0;
    const struct record_header *first = first_record(frame);
    machine->epoch_lsn = jumps ? frame->first_lsn : 0;
    if (jumps && (first == NULL || first->kind != OPERATION_EPOCH))
        return fail(machine, -EBADMSG, frame->first_lsn,
                    "a frame's LSNs jump, but it does not begin with an EPOCH record");
    return 0;
}

static int epoch_check(struct state_machine *machine, const struct epoch_record *epoch, uint64_t lsn)
{
    if (lsn != machine->epoch_lsn)
        return fail(machine, -EBADMSG, lsn, "an EPOCH record stands where no LSN jumps");
    bool reason_known = epoch->reason >= EPOCH_CUT && epoch->reason <= EPOCH_RESHARD;
    if (!reason_known || epoch->reserved != 0 || epoch->number != lsn / WAL_EPOCH_LSNS)
        return fail(machine, -EBADMSG, lsn, "an EPOCH record has a number or reason that is none");
    if (epoch->last_lsn != engine_last_lsn(machine->engine))
        return fail(machine, -EBADMSG, lsn, "an EPOCH record names another last LSN than the log's");
    if (epoch->granted_lsn < epoch->last_lsn || epoch->granted_lsn >= lsn)
        return fail(machine, -EBADMSG, lsn, "an EPOCH record does not lie behind everything it says was granted");
    return 0;
}

/* The first digest that differs is the one to tell of: later ones may agree again, and the state does not. */
static int digest_check(struct state_machine *machine, const struct digest_record *record, uint64_t lsn)
{
    struct hash128 found = { .low = 0 };
    enum digest_verdict verdict = outcome_digest_judge(&machine->digest, record, &found);
    if (verdict == DIGEST_MALFORMED)
        return fail(machine, -EBADMSG, lsn, "a DIGEST record covers frames that no digest covers");
    if (verdict != DIGEST_DIFFERS)
        return 0;
    snprintf(machine->error_text, sizeof machine->error_text,
             "replaying frames %" PRIu64 " to %" PRIu64 " gives other outcomes than were answered when they were "
             "written (digest %016" PRIx64 "%016" PRIx64 ", logged %016" PRIx64 "%016" PRIx64
             "): this program does not behave as the one that wrote the log; use that one",
             record->first_index, record->last_index, found.high, found.low, record->digest.high, record->digest.low);
    return fail(machine, -EBADMSG, lsn, machine->error_text);
}

/* What has to be judged of a system record before the engine sees it, CONFIG apart. */
static int system_check(struct state_machine *machine, const struct record_header *record, uint64_t lsn)
{
    const void *item = record;
    if (record->kind == OPERATION_EPOCH)
        return epoch_check(machine, item, lsn);
    if (record->kind == OPERATION_DIGEST && !machine->other_outcomes)
        return digest_check(machine, item, lsn);
    return 0;
}

int state_machine_begin(struct state_machine *machine, const struct wal_frame_header *frame)
{
    REQUIRE(machine->error == NULL);
    const struct record_header *first = first_record(frame);
    if (frame->engine_level == 0 || frame->engine_level > machine->level_max)
        return level_fail(machine, frame->engine_level, frame->first_lsn);
    if (first != NULL && record_check(first, frame->payload_size) != STATUS_OK)
        return fail(machine, -EBADMSG, frame->first_lsn, status_text(record_check(first, frame->payload_size)));
    int error = epoch_begin(machine, frame);
    if (error != 0)
        return error;
    if (machine->engine == NULL) {
        int result = engine_born(machine, frame);
        if (result != 0)
            return result;
    }
    if (engine_log_level(machine->engine) == 0)
        engine_begin_level(machine->engine, frame->engine_level);
    if (frame->engine_level != engine_log_level(machine->engine))
        return fail(machine, -EBADMSG, frame->first_lsn,
                    "a frame's engine level is not the one that the log was raised to");
    if (frame->time_ns < engine_log_time(machine->engine) || frame->time_ns == NEVER_NS)
        return fail(machine, -EBADMSG, frame->first_lsn, "log time goes back, or is at its end");
    outcome_digest_begin(&machine->digest, frame->index);
    engine_frame_begin(machine->engine, frame->time_ns, first);
    return 0;
}

int state_machine_step(struct state_machine *machine, const struct record_header *record, uint64_t lsn,
                       union apply_result *result)
{
    REQUIRE(machine->error == NULL);
    enum status verdict = record_check(record, record->size);
    if (verdict != STATUS_OK)
        return fail(machine, -EBADMSG, lsn, status_text(verdict));
    return state_machine_step_checked(machine, record, lsn, result);
}

int state_machine_step_checked(struct state_machine *machine, const struct record_header *record, uint64_t lsn,
                               union apply_result *result)
{
    REQUIRE(machine->error == NULL);
    REQUIRE(machine->engine != NULL);
    if (lsn <= engine_last_lsn(machine->engine))
        return fail(machine, -EBADMSG, lsn, "an LSN comes twice or goes back");
    if (record->kind == OPERATION_CONFIG) {
        int moved = config_follow(machine, (const struct config_record *)(const void *)record, lsn);
        if (moved != 0)
            return moved;
    }
    const struct raise_level *raise = (const struct raise_level *)(const void *)record;
    if (record->kind == OPERATION_RAISE_LEVEL && raise->level > machine->level_max)
        return level_fail(machine, raise->level, lsn);
    bool system = operation_class(record->kind) == OPERATION_CLASS_SYSTEM;
    int checked = system ? system_check(machine, record, lsn) : 0;
    if (checked != 0)
        return checked;
    engine_apply(machine->engine, record, lsn, result);
    if (!system)
        outcome_digest_add(&machine->digest, &result->header);
    machine->records_applied++;
    return 0;
}

/* All of a frame's records are judged before the first is applied, so that nobody looks ahead at one that is bad. */
static int records_check(struct state_machine *machine, const struct wal_frame_header *frame)
{
    size_t left = frame->payload_size;
    const uint8_t *at = (const uint8_t *)(frame + 1);
    for (uint64_t i = 0; i < frame->records_count; i++) {
        const struct record_header *record = (const struct record_header *)(const void *)at;
        if (left < sizeof *record || record->size < sizeof *record || record->size > left)
            return fail(machine, -EBADMSG, frame->first_lsn + i, "a record reaches beyond its frame");
        enum status verdict = record_check(record, left);
        if (verdict != STATUS_OK)
            return fail(machine, -EBADMSG, frame->first_lsn + i, status_text(verdict));
        at += record->size;
        left -= record->size;
    }
    if (left != 0)
        return fail(machine, -EBADMSG, frame->first_lsn, "a frame's records do not fill its payload");
    return 0;
}

int state_machine_apply(struct state_machine *machine, const struct wal_frame_header *frame, state_machine_visit *visit,
                        void *context)
{
    int error = records_check(machine, frame);
    if (error == 0)
        error = state_machine_begin(machine, frame);
    if (error != 0)
        return error;
    struct prefetch prefetch;
    prefetch_begin(&prefetch, machine->engine, frame);
    const struct record_header *record = wal_record_first(frame);
    for (uint64_t lsn = frame->first_lsn; record != NULL; lsn++) {
        union apply_result result;
        prefetch_step(&prefetch, machine->engine);
        error = state_machine_step_checked(machine, record, lsn, &result);
        if (error != 0)
            return error;
        if (visit != NULL)
            visit(context, record, lsn, &result);
        record = wal_record_next(frame, record);
    }
    return 0;
}
