/* The engine against its model and its promises, on random commands: every result, query, count, deadline and state hash
 * is the same, byte for byte, or the run stops with the seed and the command that shows it.
 *
 *   engine_against_model [--seeds N] [--first-seed S] [--commands M] [--trace]
 *
 * INNKEEP_SEED in the environment (digits; CI passes those of the commit) shifts the first seed. A run of at least
 * COVERAGE_SEEDS_MIN seeds also fails if an answer or a turn of events that the rules allow never came up: a generator that never
 * gets somewhere tests nothing there. */
#include "tests/model/model.h"
#include "tests/model/model_hash.h"
#include "tests/model/print_fields.h"
#include "tests/model/promises.h"
#include "tests/model/random_commands.h"
#include "tests/model/snapshot_trial.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define COVERAGE_SEEDS_MIN 300
#define STATUSES_COUNT 128

struct options {
    uint64_t seeds;
    uint64_t first_seed;
    uint64_t commands;
    bool trace;
};

/* What has happened over all seeds. */
struct tally {
    uint64_t commands;
    uint64_t queries;
    uint64_t nonsense_passed;
    uint64_t nonsense_refused;
    uint64_t answers[256][STATUSES_COUNT];
    uint64_t replayed[256];
    uint64_t not_kept[256];
    uint64_t refused_as[STATUSES_COUNT]; /* by command_check */
    uint64_t limits[256];
    uint64_t events[MODEL_EVENTS_COUNT];
    uint64_t snapshots; /* taken while records were applied */
    uint64_t restarts;  /* from a snapshot */
};

struct run {
    const struct options *options;
    struct tally *tally;
    uint64_t seed;
    struct random_commands random;
    struct engine *engine;
    void *memory;
    struct model *model;
    struct promises *promises;
    struct snapshot_trial trial;
};

/* ---- Mismatches ---------------------------------------------------------------------------------------------------- */

static void print_place(const struct run *run)
{
    printf("MISMATCH at seed %" PRIu64 ", command %" PRIu64 ", LSN %" PRIu64 ", log time %" PRIu64 "\n", run->seed,
           run->random.commands_count, run->random.last_lsn, run->random.log_time_ns);
    printf("rerun: %s --seeds 1 --first-seed %" PRIu64 " --commands %" PRIu64 " --trace\n", program_invocation_name,
           run->seed, run->options->commands);
}

_Noreturn static void stop_at_values(const struct run *run, const char *what, uint64_t engine, uint64_t model)
{
    print_place(run);
    printf("%s: engine %" PRIu64 ", model %" PRIu64 "\n", what, engine, model);
    exit(EXIT_FAILURE);
}

_Noreturn static void stop_at_result(const struct run *run, const struct record_header *item,
                                     const struct result_header *engine, const struct result_header *model)
{
    print_place(run);
    print_record(stdout, item);
    printf("engine: ");
    print_result(stdout, item->kind, engine);
    printf("model:  ");
    print_result(stdout, item->kind, model);
    print_result_difference(stdout, item->kind, engine, model);
    exit(EXIT_FAILURE);
}

static void expect_equal(const struct run *run, const char *what, uint64_t engine, uint64_t model)
{
    if (engine != model) {
        stop_at_values(run, what, engine, model);
    }
}

static void expect_same_result(const struct run *run, const struct record_header *item,
                               const struct result_header *engine, const struct result_header *model)
{
    if (engine->size != model->size || memcmp(engine, model, model->size) != 0) {
        stop_at_result(run, item, engine, model);
    }
}

/* ---- One command, one query, one piece of nonsense ------------------------------------------------------------------ */

static void count_answer(struct tally *tally, const struct record_header *item, const struct result_header *result)
{
    REQUIRE(result->status < STATUSES_COUNT);
    tally->answers[item->kind][result->status]++;
    tally->replayed[item->kind] += (result->flags & RESULT_REPLAYED) != 0;
    tally->not_kept[item->kind] += (result->flags & RESULT_NOT_KEPT) != 0;
    if (result->status == STATUS_LIMIT_REACHED && result->size == sizeof(struct mutation_result)) {
        const struct mutation_result *refusal = (const void *)result;
        tally->limits[refusal->limit]++;
    }
}

static void trace(const struct run *run, const struct record_header *item, const struct result_header *result)
{
    if (run->options->trace) {
        printf("#%" PRIu64 " ", run->random.commands_count);
        print_record(stdout, item);
        printf("    ");
        print_result(stdout, item->kind, result);
    }
}

static void expect_same_fingerprint(const struct run *run, const struct record_header *record)
{
    if (operation_class(record->kind) == OPERATION_CLASS_MUTATION) {
        const struct mutation *mutation = (const void *)record;
        struct hash128 engine = mutation_fingerprint(mutation);
        struct hash128 model = model_fingerprint(mutation);
        expect_equal(run, "fingerprint, low half", engine.low, model.low);
        expect_equal(run, "fingerprint, high half", engine.high, model.high);
    }
}

static void expect_promises_kept(const struct run *run, const struct record_header *record,
                                 const union apply_result *result)
{
    const char *broken = promises_note(run->promises, record, result);
    if (broken != NULL) {
        print_place(run);
        print_record(stdout, record);
        print_result(stdout, record->kind, &result->header);
        printf("PROMISE BROKEN: %s\n", broken);
        exit(EXIT_FAILURE);
    }
}

/* The engine's result lies in old bytes, so that one it forgets to write shows. */
static void apply_to_both(struct run *run, const struct record_header *record, uint64_t lsn)
{
    union apply_result by_engine;
    union apply_result by_model;
    memset(&by_engine, 0xa5, sizeof by_engine);
    engine_apply(run->engine, record, lsn, &by_engine);
    model_apply(run->model, record, lsn, &by_model);
    trace(run, record, &by_model.header);
    expect_same_result(run, record, &by_engine.header, &by_model.header);
    expect_same_fingerprint(run, record);
    expect_promises_kept(run, record, &by_engine);
    count_answer(run->tally, record, &by_model.header);
    random_note(&run->random, record, &by_model);
    run->tally->commands++;
}

/* The engine gets exactly the room that it asks for; a byte more is for the address sanitizer to find. */
static void query_both(struct run *run, const struct record_header *item)
{
    static union {
        struct result_header header;
        uint8_t bytes[RESULT_SIZE_MAX];
    } by_model;
    uint32_t room = result_size_max(item);
    struct result_header *by_engine = malloc(room);
    REQUIRE(by_engine != NULL);
    memset(by_engine, 0xa5, room);
    uint32_t size = engine_query(run->engine, item, by_engine);
    uint32_t size_expected = model_query(run->model, item, &by_model.header);
    trace(run, item, &by_model.header);
    expect_equal(run, "size a query's result may have", size_expected <= room, true);
    expect_equal(run, "size a query returns", size, by_engine->size);
    expect_same_result(run, item, by_engine, &by_model.header);
    count_answer(run->tally, item, &by_model.header);
    free(by_engine);
    run->tally->queries++;
}

static void use_nonsense(struct run *run, const struct record_header *item)
{
    enum operation_class class = operation_class(item->kind);
    if (class == OPERATION_CLASS_QUERY) {
        query_both(run, item);
    } else if (class != OPERATION_CLASS_SESSION) {
        expect_equal(run, "record_check of what passed command_check", record_check(item, item->size), STATUS_OK);
        run->random.commands_count++;
        apply_to_both(run, item, random_next_lsn(&run->random));
    }
}

/* An item comes in memory of exactly its size, so that reading beyond it is found. */
static void try_nonsense(struct run *run)
{
    union random_item item;
    size_t available = random_nonsense(&run->random, &item);
    void *copy = malloc(available > 0 ? available : 1);
    REQUIRE(copy != NULL);
    memcpy(copy, &item, available);
    enum status status = command_check(copy, available);
    enum verdict verdict = random_judge(&item, available);
    if (verdict != VERDICT_EITHER && (status == STATUS_OK) != (verdict == VERDICT_RIGHT)) {
        print_record(stdout, &item.header);
        printf("available bytes %zu\n", available);
        stop_at_values(run, "command_check (status; 0 where it should pass)", status, verdict == VERDICT_WRONG);
    }
    if (status == STATUS_OK) {
        run->tally->nonsense_passed++;
        use_nonsense(run, copy);
    } else {
        run->tally->nonsense_refused++;
        run->tally->refused_as[status < STATUSES_COUNT ? status : 0]++;
    }
    free(copy);
}

/* ---- State --------------------------------------------------------------------------------------------------------- */

static void expect_same_counts(const struct run *run)
{
    struct engine_counts engine = engine_counts(run->engine);
    struct engine_counts model = model_counts(run->model);
    expect_equal(run, "properties", engine.properties, model.properties);
    expect_equal(run, "room types", engine.room_types, model.room_types);
    expect_equal(run, "held reservations", engine.reservations_held, model.reservations_held);
    expect_equal(run, "confirmed reservations", engine.reservations_confirmed, model.reservations_confirmed);
    expect_equal(run, "ended reservations", engine.reservations_ended, model.reservations_ended);
    expect_equal(run, "kept outcomes", engine.outcomes, model.outcomes);
    expect_equal(run, "live leases", engine.leases_live, model.leases_live);
    expect_equal(run, "ended leases", engine.leases_ended, model.leases_ended);
    expect_equal(run, "shortest ttl", engine.shortest_ttl_ns, model.shortest_ttl_ns);
    expect_equal(run, "next deadline", engine_next_deadline(run->engine), model_next_deadline(run->model));
    expect_equal(run, "log time", engine_log_time(run->engine), run->model->log_time_ns);
    expect_equal(run, "last LSN", engine_last_lsn(run->engine), run->model->last_lsn);
}

static void expect_sound(const struct run *run)
{
    const char *wrong = engine_check(run->engine);
    if (wrong != NULL) {
        print_place(run);
        printf("engine_check: %s\n", wrong);
        exit(EXIT_FAILURE);
    }
    struct hash128 engine = engine_state_hash(run->engine);
    struct hash128 model = model_state_hash(run->model);
    expect_equal(run, "state hash, low half", engine.low, model.low);
    expect_equal(run, "state hash, high half", engine.high, model.high);
}

/* ---- A seed -------------------------------------------------------------------------------------------------------- */

static void engine_make(struct run *run, uint64_t hash_seed)
{
    expect_equal(run, "limits are valid", engine_limits_valid(&run->random.limits), true);
    size_t size = engine_memory_size(&run->random.limits);
    REQUIRE(posix_memalign(&run->memory, ENGINE_MEMORY_ALIGNMENT, size) == 0);
    memset(run->memory, 0, size);
    run->engine = engine_init(run->memory, size, &run->random.limits, hash_seed);
}

/* As a start with larger limits does: the state moves into a larger engine, whose indexes hash with another seed. */
static void grow_both(struct run *run)
{
    struct engine *from = run->engine;
    void *memory = run->memory;
    random_grow(&run->random);
    engine_make(run, random_below(&run->random, UINT64_MAX));
    engine_copy(run->engine, from);
    model_grow(run->model, &run->random.limits);
    free(memory);
    expect_sound(run);
}

static void expect_loaded(const struct run *run, const struct engine *loaded, const char *wrong)
{
    if (loaded != NULL)
        return;
    print_place(run);
    printf("snapshot: %s\n", wrong);
    exit(EXIT_FAILURE);
}

/* As a restart does: the engine goes, one that is loaded from its snapshot goes on, under another hash seed. */
static void restart_from_snapshot(struct run *run)
{
    struct snapshot_trial trial = { .taking = false };
    snapshot_trial_begin(&trial, run->engine);
    while (!snapshot_trial_step(&trial, run->engine, UINT64_MAX))
        ;
    void *memory = NULL;
    const char *wrong = NULL;
    struct engine *loaded =
        snapshot_trial_load(&trial, run->engine, random_below(&run->random, UINT64_MAX), &memory, &wrong);
    expect_loaded(run, loaded, wrong);
    free(run->memory);
    run->memory = memory;
    run->engine = loaded;
    run->tally->restarts++;
}

/* A snapshot that is taken bit by bit while records are applied holds what there was when it began. */
static void snapshot_go_on(struct run *run)
{
    struct snapshot_trial *trial = &run->trial;
    if (!trial->taking || !snapshot_trial_step(trial, run->engine, random_below(&run->random, 3)))
        return;
    void *memory = NULL;
    const char *wrong = NULL;
    const struct engine *loaded = snapshot_trial_load(trial, run->engine, run->seed, &memory, &wrong);
    expect_loaded(run, loaded, wrong);
    free(memory);
    run->tally->snapshots++;
}

static void maybe_snapshot(struct run *run)
{
    if (!run->trial.taking && random_chance(&run->random, 5))
        snapshot_trial_begin(&run->trial, run->engine);
    if (!run->trial.taking && random_chance(&run->random, 2))
        restart_from_snapshot(run);
    if (run->trial.taking && random_chance(&run->random, 1))
        snapshot_trial_abandon(&run->trial, run->engine);
}

static void maybe_ask(struct run *run)
{
    union random_item item;
    if (random_chance(&run->random, 30)) {
        random_query(&run->random, &item);
        expect_equal(run, "command_check of a query", command_check(&item.header, item.header.size), STATUS_OK);
        query_both(run, &item.header);
    }
    if (random_chance(&run->random, 15)) {
        try_nonsense(run);
    }
    if (random_chance(&run->random, 10)) {
        expect_same_counts(run);
    }
}

static void run_record(struct run *run, const union random_item *record, uint64_t lsn)
{
    enum status status = record_check(&record->header, record->header.size);
    if (status != STATUS_OK) {
        print_record(stdout, &record->header);
        stop_at_values(run, "record_check", status, STATUS_OK);
    }
    for (int stage = 0; stage < ENGINE_PREFETCH_STAGES; stage++)
        engine_prefetch(run->engine, &record->header, (enum engine_prefetch_stage)stage);
    apply_to_both(run, &record->header, lsn);
    if (run->options->trace) {
        expect_same_counts(run);
        expect_sound(run);
    }
    maybe_ask(run);
}

static void run_frame(struct run *run)
{
    if (!run->trial.taking && !run->random.flood && random_chance(&run->random, 1)) {
        grow_both(run);
    }
    maybe_snapshot(run);
    uint64_t time_ns = random_frame_time(&run->random);
    uint32_t records = random_frame_records(&run->random);
    union random_item record;
    uint64_t lsn = records > 0 ? random_record(&run->random, true, &record) : 0;
    const struct record_header *first = records > 0 ? &record.header : NULL;
    engine_frame_begin(run->engine, time_ns, first);
    model_frame_begin(run->model, time_ns, first);
    if (run->options->trace) {
        printf("frame at %" PRIu64 ", %" PRIu32 " records\n", time_ns, records);
    }
    expect_same_counts(run);
    for (uint32_t i = 0; i < records; i++) {
        lsn = i > 0 ? random_record(&run->random, false, &record) : lsn;
        run_record(run, &record, lsn);
        snapshot_go_on(run);
    }
    if (random_chance(&run->random, 20)) {
        expect_same_counts(run);
        expect_sound(run);
    }
}

static uint64_t commands_of(const struct run *run)
{
    uint64_t flood_min = 6800;
    return run->random.flood && run->options->commands < flood_min ? flood_min : run->options->commands;
}

static void run_seed(const struct options *options, struct tally *tally, uint64_t seed)
{
    struct run run = { .options = options, .tally = tally, .seed = seed };
    random_commands_init(&run.random, seed);
    engine_make(&run, seed);
    run.model = model_new(&run.random.limits);
    run.promises = promises_new();
    while (run.random.commands_count < commands_of(&run)) {
        run_frame(&run);
    }
    expect_same_counts(&run);
    expect_sound(&run);
    for (size_t i = 0; i < MODEL_EVENTS_COUNT; i++) {
        tally->events[i] += run.model->events[i];
    }
    if (run.trial.taking)
        snapshot_trial_abandon(&run.trial, run.engine);
    promises_free(run.promises);
    model_free(run.model);
    free(run.memory);
}

/* ---- What must have happened --------------------------------------------------------------------------------------- */

#define EVERY_MUTATION(kind)                                                                                         \
    { OPERATION_##kind, STATUS_OK }, { OPERATION_##kind, STATUS_KEY_REUSED }, { OPERATION_##kind, STATUS_TOO_LATE }, \
        { OPERATION_##kind, STATUS_DEADLINE_TOO_FAR }, { OPERATION_##kind, STATUS_FENCED },                          \
        { OPERATION_##kind, STATUS_LEASE_EXPIRED }, { OPERATION_##kind, STATUS_LEASE_RELEASED },                     \
        { OPERATION_##kind, STATUS_TOKEN_INVALID },                                                                  \
    {                                                                                                                \
        OPERATION_##kind, STATUS_TOKEN_UNKNOWN                                                                       \
    }
#define EVERY_CHANGE(kind)                                                                               \
    EVERY_MUTATION(kind), { OPERATION_##kind, STATUS_NO_SUCH_PROPERTY },                                 \
        { OPERATION_##kind, STATUS_NO_SUCH_RESERVATION }, { OPERATION_##kind, STATUS_VERSION_CONFLICT }, \
    {                                                                                                    \
        OPERATION_##kind, STATUS_STATE_CONFLICT                                                          \
    }
#define EVERY_LEASE_USE(kind)                                                                                         \
    { OPERATION_##kind, STATUS_OK }, { OPERATION_##kind, STATUS_NO_SUCH_LEASE }, { OPERATION_##kind, STATUS_FENCED }, \
        { OPERATION_##kind, STATUS_LEASE_EXPIRED }, { OPERATION_##kind, STATUS_LEASE_RELEASED },                      \
        { OPERATION_##kind, STATUS_TOKEN_INVALID },                                                                   \
    {                                                                                                                 \
        OPERATION_##kind, STATUS_TOKEN_UNKNOWN                                                                        \
    }

static const struct {
    uint8_t kind;
    uint16_t status;
} must_appear[] = {
    EVERY_MUTATION(PROPERTY_CREATE),
    { OPERATION_PROPERTY_CREATE, STATUS_ALREADY_EXISTS },
    { OPERATION_PROPERTY_CREATE, STATUS_LIMIT_REACHED },
    EVERY_MUTATION(ROOM_TYPE_CREATE),
    { OPERATION_ROOM_TYPE_CREATE, STATUS_NO_SUCH_PROPERTY },
    { OPERATION_ROOM_TYPE_CREATE, STATUS_ALREADY_EXISTS },
    { OPERATION_ROOM_TYPE_CREATE, STATUS_LIMIT_REACHED },
    EVERY_MUTATION(ROOMS_SET),
    { OPERATION_ROOMS_SET, STATUS_NO_SUCH_PROPERTY },
    { OPERATION_ROOMS_SET, STATUS_NO_SUCH_ROOM_TYPE },
    { OPERATION_ROOMS_SET, STATUS_BEFORE_BUSINESS_DATE },
    { OPERATION_ROOMS_SET, STATUS_BEYOND_HORIZON },
    { OPERATION_ROOMS_SET, STATUS_LIMIT_REACHED },
    EVERY_MUTATION(RESERVE),
    { OPERATION_RESERVE, STATUS_SOLD_OUT },
    { OPERATION_RESERVE, STATUS_NO_SUCH_PROPERTY },
    { OPERATION_RESERVE, STATUS_NO_SUCH_ROOM_TYPE },
    { OPERATION_RESERVE, STATUS_BEFORE_BUSINESS_DATE },
    { OPERATION_RESERVE, STATUS_BEYOND_HORIZON },
    { OPERATION_RESERVE, STATUS_LIMIT_REACHED },
    EVERY_CHANGE(CONFIRM),
    { OPERATION_CONFIRM, STATUS_HOLD_EXPIRED },
    { OPERATION_CONFIRM, STATUS_SUPERSEDED },
    EVERY_CHANGE(RELEASE),
    { OPERATION_RELEASE, STATUS_HOLD_EXPIRED },
    EVERY_CHANGE(CANCEL),
    { OPERATION_LEASE_ACQUIRE, STATUS_OK },
    { OPERATION_LEASE_ACQUIRE, STATUS_NO_SUCH_PROPERTY },
    { OPERATION_LEASE_ACQUIRE, STATUS_LEASE_HELD },
    { OPERATION_LEASE_ACQUIRE, STATUS_LIMIT_REACHED },
    EVERY_LEASE_USE(LEASE_RENEW),
    EVERY_LEASE_USE(LEASE_RELEASE),
    { OPERATION_BARRIER, STATUS_OK },
    { OPERATION_RAISE_LEVEL, STATUS_OK },
    { OPERATION_RAISE_LEVEL, STATUS_ALREADY_AT_LEVEL },
    { OPERATION_RECOVERED, STATUS_OK },
    { OPERATION_CONFIG, STATUS_OK },
    { OPERATION_COMMIT_LATENCY, STATUS_OK },
    { OPERATION_LOOKUP, STATUS_OK },
    { OPERATION_LOOKUP, STATUS_NO_SUCH_KEY },
    { OPERATION_CALENDAR, STATUS_OK },
    { OPERATION_CALENDAR, STATUS_NO_SUCH_PROPERTY },
    { OPERATION_CALENDAR, STATUS_NO_SUCH_ROOM_TYPE },
    { OPERATION_LEASE_SHOW, STATUS_OK },
    { OPERATION_LEASE_SHOW, STATUS_NO_SUCH_LEASE },
};

static const uint8_t must_replay[] = { OPERATION_PROPERTY_CREATE, OPERATION_ROOM_TYPE_CREATE, OPERATION_ROOMS_SET,
                                       OPERATION_RESERVE,         OPERATION_CONFIRM,          OPERATION_RELEASE,
                                       OPERATION_CANCEL };
static const uint8_t must_not_keep[] = { OPERATION_CONFIRM, OPERATION_RELEASE, OPERATION_CANCEL };
static const uint8_t must_be_full[] = { LIMIT_PROPERTIES, LIMIT_ROOM_TYPES, LIMIT_RESERVATIONS, LIMIT_OUTCOMES };

/* Of command_check; those of SESSION operations have their own tests. */
static const uint16_t must_refuse[] = {
    STATUS_UNKNOWN_OPERATION, STATUS_BAD_ITEM_SIZE,   STATUS_BAD_ITEM_VERSION, STATUS_BAD_ITEM_FLAGS,
    STATUS_RESERVED_NOT_ZERO, STATUS_ZERO_PROPERTY,   STATUS_ZERO_ROOM_TYPE,   STATUS_UNEXPECTED_KEY,
    STATUS_ZERO_NIGHTS,       STATUS_TOO_MANY_NIGHTS, STATUS_ZERO_ROOMS,       STATUS_TOO_MANY_ROOMS,
    STATUS_BAD_LINES,         STATUS_BAD_DATE,        STATUS_REVERSED_RANGE,   STATUS_BAD_WEEKDAYS,
    STATUS_ZERO_DEADLINE,     STATUS_ZERO_TTL,        STATUS_TTL_TOO_LONG,     STATUS_BAD_FENCE,
    STATUS_ZERO_RESOURCE,     STATUS_BAD_OWNER,       STATUS_ZERO_TOKEN,
};

static int missing(bool is_missing, const char *what, const char *of)
{
    if (is_missing) {
        printf("NEVER SEEN: %s %s\n", what, of);
    }
    return is_missing;
}

static int missing_events(const struct tally *tally)
{
    static const char *const texts[] = {
#define EVENT_TEXT(name, text) [MODEL_EVENT_##name] = (text),
        MODEL_EVENT_MAP(EVENT_TEXT)
#undef EVENT_TEXT
    };
    int count = 0;
    for (size_t i = 0; i < MODEL_EVENTS_COUNT; i++) {
        printf("%12" PRIu64 "  %s\n", tally->events[i], texts[i]);
        count += missing(tally->events[i] == 0, "event:", texts[i]);
    }
    return count;
}

static int missing_answers(const struct tally *tally)
{
    int count = 0;
    for (size_t i = 0; i < ARRAY_COUNT(must_appear); i++) {
        uint64_t seen = tally->answers[must_appear[i].kind][must_appear[i].status];
        count += missing(seen == 0, operation_name(must_appear[i].kind), status_name(must_appear[i].status));
    }
    for (size_t i = 0; i < ARRAY_COUNT(must_replay); i++) {
        count += missing(tally->replayed[must_replay[i]] == 0, "replayed", operation_name(must_replay[i]));
    }
    for (size_t i = 0; i < ARRAY_COUNT(must_not_keep); i++) {
        count += missing(tally->not_kept[must_not_keep[i]] == 0, "not kept", operation_name(must_not_keep[i]));
    }
    for (size_t i = 0; i < ARRAY_COUNT(must_be_full); i++) {
        char number[16];
        snprintf(number, sizeof number, "%u", (unsigned)must_be_full[i]);
        count += missing(tally->limits[must_be_full[i]] == 0, "LIMIT_REACHED with limit", number);
    }
    for (size_t i = 0; i < ARRAY_COUNT(must_refuse); i++) {
        count += missing(tally->refused_as[must_refuse[i]] == 0, "command_check", status_name(must_refuse[i]));
    }
    return count;
}

static void print_answers(const struct tally *tally)
{
    for (int kind = 0; kind < 256; kind++) {
        for (int status = 0; status < STATUSES_COUNT; status++) {
            if (tally->answers[kind][status] > 0) {
                printf("%12" PRIu64 "  %s %s\n", tally->answers[kind][status], operation_name((uint8_t)kind),
                       status_name((uint16_t)status));
            }
        }
        if (tally->replayed[kind] + tally->not_kept[kind] > 0) {
            printf("%12" PRIu64 "  %s replayed, %" PRIu64 " not kept\n", tally->replayed[kind],
                   operation_name((uint8_t)kind), tally->not_kept[kind]);
        }
    }
}

/* ---- Command line -------------------------------------------------------------------------------------------------- */

static uint64_t number_of(const char *text, struct argp_state *state)
{
    char *end = NULL;
    unsigned long long number = strtoull(text, &end, 10);
    if (end == text || *end != '\0') {
        argp_error(state, "not a number: %s", text);
    }
    return number;
}

static int parse_option(int key, char *text, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case 'n':
        options->seeds = number_of(text, state);
        return 0;
    case 's':
        options->first_seed = number_of(text, state);
        return 0;
    case 'c':
        options->commands = number_of(text, state);
        return 0;
    case 't':
        options->trace = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Digits of any length, as a commit hash stripped of its letters gives them. */
static uint64_t seed_of_environment(void)
{
    const char *digits = getenv("INNKEEP_SEED");
    uint64_t seed = 0;
    for (; digits != NULL && *digits >= '0' && *digits <= '9'; digits++) {
        seed = (seed * 10 + (uint64_t)(*digits - '0')) % UINT64_C(1000000000000);
    }
    return seed;
}

int main(int argc, char **argv)
{
    static const struct argp_option known[] = {
        { "seeds", 'n', "N", 0, "how many seeds to run", 0 },
        { "first-seed", 's', "S", 0, "the first of them; default 1, or from INNKEEP_SEED", 0 },
        { "commands", 'c', "M", 0, "commands of a seed", 0 },
        { "trace", 't', NULL, 0, "print every command and answer, and compare the whole state after each", 0 },
        { 0 },
    };
    static const struct argp parser = {
        known, parse_option, NULL, "Runs the engine against its model on random commands.", NULL, NULL, NULL
    };
    static struct tally tally;
    struct options options = { .seeds = 1000, .first_seed = 1 + seed_of_environment(), .commands = 1000 };
    (void)argp_parse(&parser, argc, argv, 0, NULL, &options);
    printf("engine_against_model --seeds %" PRIu64 " --first-seed %" PRIu64 " --commands %" PRIu64 "\n", options.seeds,
           options.first_seed, options.commands);
    for (uint64_t i = 0; i < options.seeds; i++) {
        run_seed(&options, &tally, options.first_seed + i);
    }
    print_answers(&tally);
    int never_seen = missing_events(&tally) + missing_answers(&tally);
    printf("%12" PRIu64 "  snapshots taken while records were applied\n%12" PRIu64 "  restarts from a snapshot\n",
           tally.snapshots, tally.restarts);
    never_seen += missing(tally.snapshots == 0 || tally.restarts == 0, "snapshots", "");
    printf("%" PRIu64 " seeds, %" PRIu64 " commands, %" PRIu64 " queries, %" PRIu64
           " nonsense items passed and %" PRIu64 " refused: engine and model agree\n",
           options.seeds, tally.commands, tally.queries, tally.nonsense_passed, tally.nonsense_refused);
    return never_seen > 0 && options.seeds >= COVERAGE_SEEDS_MIN ? EXIT_FAILURE : EXIT_SUCCESS;
}
