/* The engine's host: where its memory comes from, how it grows, and what it refuses before the engine sees it. */
#include "net/state_machine.h"

#include "tests/net/frames.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#define TIME_NS UINT64_C(1790000000000000000)
#define DATE 20780

static const uint8_t uuid[16] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };

/* A machine with a frame to fill; LSNs and time go on from frame to frame. */
struct world {
    struct state_machine machine;
    struct frame frame;
    uint64_t lsn; /* the last one taken */
    uint64_t time_ns;
};

static struct world the_world;

static void world_init(struct world *world)
{
    memset(world, 0, sizeof *world);
    world->time_ns = TIME_NS;
    state_machine_init(&world->machine, uuid);
    frame_begin(&world->frame, 0, TIME_NS);
}

/* Applies what was appended and begins the next frame a millisecond later. */
static int world_apply(struct world *world)
{
    int error = state_machine_apply(&world->machine, &world->frame.header, NULL, NULL);
    world->lsn += world->frame.header.records_count;
    world->time_ns += NS_PER_MS;
    frame_begin(&world->frame, world->lsn, world->time_ns);
    return error;
}

#define APPEND(world, record)                                   \
    do {                                                        \
        __typeof__(record) appended = (record);                 \
        frame_append(&(world)->frame, (const void *)&appended); \
    } while (0)

static void world_start(struct world *world)
{
    world_init(world);
    APPEND(world, record_config(small_limits()));
    cr_assert_eq(world_apply(world), 0);
}

/* A property with a type of two rooms, a booking, a live hold, a hold that will expire, a lease. */
static void world_fill(struct world *world)
{
    APPEND(world, record_property(1, DATE, 1, TIME_NS));
    APPEND(world, record_room_type(1, 1, 2, 2, TIME_NS));
    APPEND(world, record_reserve(1, 1, DATE, 3, 0, 3, TIME_NS));
    APPEND(world, record_reserve(1, 1, DATE + 5, 2, NS_PER_HOUR, 4, TIME_NS));
    APPEND(world, record_reserve(1, 1, DATE + 9, 2, 2 * NS_PER_MS, 5, TIME_NS));
    APPEND(world, record_acquire(1, 7, 99, NS_PER_MINUTE));
    cr_assert_eq(world_apply(world), 0);
}

static void expect_refused(struct world *world, const char *text)
{
    uint64_t first_lsn = world->frame.header.first_lsn;
    cr_assert_eq(world_apply(world), -EBADMSG);
    cr_assert_not_null(strstr(world->machine.error, text), "found \"%s\"", world->machine.error);
    cr_assert_geq(world->machine.error_lsn, first_lsn);
    state_machine_free(&world->machine);
}

Test(state_machine, the_first_frame_says_under_which_limits_the_engine_is_born)
{
    struct engine_limits limits = small_limits();
    world_init(&the_world);
    cr_assert_null(the_world.machine.engine);
    APPEND(&the_world, record_config(limits));
    cr_assert_eq(world_apply(&the_world), 0);
    cr_assert_arr_eq(engine_limits_of(the_world.machine.engine), &limits, sizeof limits);
    cr_assert_eq(the_world.machine.memory_size, engine_memory_size(&limits));
    cr_assert_eq(engine_last_lsn(the_world.machine.engine), 1);
    cr_assert_eq(engine_log_time(the_world.machine.engine), TIME_NS);
    state_machine_free(&the_world.machine);
    cr_assert_null(the_world.machine.engine);
}

Test(state_machine, a_log_that_does_not_begin_with_CONFIG_is_refused)
{
    world_init(&the_world);
    APPEND(&the_world, record_property(1, DATE, 1, TIME_NS));
    expect_refused(&the_world, "does not begin with a CONFIG");
    world_init(&the_world);
    expect_refused(&the_world, "does not begin with a CONFIG"); /* no record at all */
}

Test(state_machine, limits_that_no_engine_runs_under_are_refused)
{
    struct engine_limits limits = small_limits();
    limits.horizon_nights = NIGHTS_MAX + 1;
    world_init(&the_world);
    APPEND(&the_world, record_config(limits));
    expect_refused(&the_world, "limits that no engine");
}

Test(state_machine, larger_limits_move_the_whole_state_into_a_larger_block)
{
    struct engine_limits larger = small_limits();
    larger.reservations_max *= 4;
    larger.leases_max *= 2;
    world_start(&the_world);
    world_fill(&the_world);
    struct hash128 before = engine_state_hash(the_world.machine.engine);
    size_t size_before = the_world.machine.memory_size;
    the_world.frame.header.time_ns =
        engine_log_time(the_world.machine.engine); /* so that nothing comes due in between */
    APPEND(&the_world, record_config(larger));
    cr_assert_eq(world_apply(&the_world), 0);
    struct hash128 after = engine_state_hash(the_world.machine.engine);
    cr_assert(hash128_equal(before, after));
    cr_assert_gt(the_world.machine.memory_size, size_before);
    cr_assert_arr_eq(engine_limits_of(the_world.machine.engine), &larger, sizeof larger);
    cr_assert_null(engine_check(the_world.machine.engine), "%s", engine_check(the_world.machine.engine));
    cr_assert_eq(engine_last_lsn(the_world.machine.engine), the_world.lsn);
    state_machine_free(&the_world.machine);
}

Test(state_machine, a_longer_horizon_opens_nights)
{
    struct engine_limits larger = small_limits();
    larger.horizon_nights *= 2;
    int32_t beyond = DATE + (int32_t)small_limits().horizon_nights;
    world_start(&the_world);
    world_fill(&the_world);
    APPEND(&the_world, record_reserve(1, 1, beyond, 1, 0, 20, TIME_NS));
    APPEND(&the_world, record_config(larger));
    APPEND(&the_world, record_reserve(1, 1, beyond, 1, 0, 21, TIME_NS));
    cr_assert_eq(world_apply(&the_world), 0);
    cr_assert_eq(engine_counts(the_world.machine.engine).reservations_confirmed, 2);
    cr_assert_null(engine_check(the_world.machine.engine), "%s", engine_check(the_world.machine.engine));
    state_machine_free(&the_world.machine);
}

Test(state_machine, a_moved_state_goes_on_like_one_that_was_born_large)
{
    static struct world born_large;
    struct engine_limits larger = small_limits();
    larger.outcomes_max *= 2;
    world_start(&the_world);
    world_init(&born_large);
    APPEND(&born_large, record_config(larger));
    cr_assert_eq(world_apply(&born_large), 0);
    world_fill(&the_world);
    world_fill(&born_large);
    APPEND(&the_world, record_config(larger));
    APPEND(&born_large, record_config(larger));
    cr_assert_eq(world_apply(&the_world), 0);
    cr_assert_eq(world_apply(&born_large), 0);
    for (uint64_t number = 10; number < 40; number++) {
        APPEND(&the_world, record_reserve(1, 1, DATE, (uint16_t)(1 + number % 4), NS_PER_MS, number, TIME_NS));
        APPEND(&born_large, record_reserve(1, 1, DATE, (uint16_t)(1 + number % 4), NS_PER_MS, number, TIME_NS));
        cr_assert_eq(world_apply(&the_world), 0);
        cr_assert_eq(world_apply(&born_large), 0);
        cr_assert(
            hash128_equal(engine_state_hash(the_world.machine.engine), engine_state_hash(born_large.machine.engine)),
            "after reserve %u", (unsigned)number);
    }
    state_machine_free(&the_world.machine);
    state_machine_free(&born_large.machine);
}

Test(state_machine, each_limit_that_shrinks_is_refused)
{
    for (int limit = 0; limit < 8; limit++) {
        struct engine_limits limits = small_limits();
        limits.properties_max -= limit == 0;
        limits.room_types_max -= limit == 1;
        limits.horizon_nights -= limit == 2;
        limits.reservations_max -= limit == 3;
        limits.outcomes_max -= limit == 4;
        limits.leases_max -= limit == 5;
        limits.deadline_ahead_max_ns -= limit == 6;
        limits.keep_ended_ns -= limit == 7;
        world_start(&the_world);
        APPEND(&the_world, record_config(limits));
        expect_refused(&the_world, "makes a limit smaller");
    }
}

Test(state_machine, the_same_limits_again_change_nothing)
{
    world_start(&the_world);
    const struct engine *engine = the_world.machine.engine;
    APPEND(&the_world, record_config(small_limits()));
    cr_assert_eq(world_apply(&the_world), 0);
    cr_assert_eq(the_world.machine.engine, engine);
    state_machine_free(&the_world.machine);
}

Test(state_machine, log_time_that_goes_back_is_refused)
{
    world_start(&the_world);
    the_world.frame.header.time_ns = TIME_NS - 1;
    expect_refused(&the_world, "log time goes back");
    world_start(&the_world);
    the_world.frame.header.time_ns = NEVER_NS;
    expect_refused(&the_world, "at its end");
}

Test(state_machine, an_LSN_that_was_there_before_is_refused)
{
    world_start(&the_world);
    APPEND(&the_world, record_property(1, DATE, 1, TIME_NS));
    the_world.frame.header.first_lsn = 1;
    expect_refused(&the_world, "comes twice");
}

/* ---- Digests ----------------------------------------------------------------------------------------------------------- */

#define DIGEST_FRAMES_COUNT (2 * OUTCOME_DIGEST_FRAMES + 100)

static void world_begin_numbered(struct world *world, uint64_t index)
{
    frame_begin(&world->frame, world->lsn, world->time_ns);
    world->frame.header.index = index;
}

/* A property with one type of so many rooms, in frame `index`. */
static void world_begin_log(struct world *world, uint64_t index, uint16_t rooms)
{
    world_init(world);
    world_begin_numbered(world, index);
    APPEND(world, record_config(small_limits()));
    APPEND(world, record_property(1, DATE, 1, TIME_NS));
    APPEND(world, record_room_type(1, 1, rooms, 2, TIME_NS));
    cr_assert_eq(world_apply(world), 0);
}

/* Frames behind `index` with a reserve in each that is refused once there is no room left, applied to one machine that logs digests as the server
 * does, `late` frames behind their windows, and to another. Returns the frame at which the other stopped; 0: it did not. */
static uint64_t digests_compare(struct world *live, struct world *other, uint64_t index, uint64_t late)
{
    uint64_t logged = 0;
    for (uint64_t end = index + DIGEST_FRAMES_COUNT; ++index < end;) {
        world_begin_numbered(live, index);
        APPEND(live, record_reserve(1, 1, DATE, 1, 0, 100 + index, live->time_ns));
        const struct digest_window *window = outcome_digest_due(&live->machine.digest, logged, index + 1 == end);
        if (window != NULL && (index >= window->last_index + 1 + late || index + 1 == end)) {
            logged = window->last_index;
            APPEND(live, outcome_digest_record(window));
        }
        other->frame = live->frame;
        cr_assert_eq(world_apply(live), 0, "%s", live->machine.error);
        if (world_apply(other) != 0)
            return index;
    }
    cr_assert_gt(logged, 2 * (uint64_t)OUTCOME_DIGEST_FRAMES);
    return 0;
}

static struct world other_world;

Test(state_machine, a_replay_that_answers_the_same_agrees_with_every_digest)
{
    for (uint64_t late = 0; late < 3; late++) {
        world_begin_log(&the_world, 1, 5);
        world_begin_log(&other_world, 1, 5);
        cr_assert_eq(digests_compare(&the_world, &other_world, 1, late), 0, "%s", other_world.machine.error);
        state_machine_free(&the_world.machine);
        state_machine_free(&other_world.machine);
    }
}

Test(state_machine, a_replay_that_answers_otherwise_is_stopped_by_the_first_digest_that_shows_it)
{
    world_begin_log(&the_world, 1, 5);
    world_begin_log(&other_world, 1, 6); /* one reserve more finds room */
    cr_assert_eq(digests_compare(&the_world, &other_world, 1, 1), OUTCOME_DIGEST_FRAMES + 2);
    cr_assert_not_null(strstr(other_world.machine.error, "replaying frames 1 to 1024 gives other outcomes"), "%s",
                       other_world.machine.error);
    state_machine_free(&the_world.machine);
    state_machine_free(&other_world.machine);
    world_begin_log(&the_world, 1, 5);
    world_begin_log(&other_world, 1, 6);
    other_world.machine.other_outcomes = true; /* it is known and wanted */
    cr_assert_eq(digests_compare(&the_world, &other_world, 1, 1), 0);
    state_machine_free(&the_world.machine);
    state_machine_free(&other_world.machine);
}

Test(state_machine, a_replay_that_begins_inside_a_window_judges_the_next_one)
{
    world_begin_log(&the_world, 1, 5);
    world_begin_log(&other_world, 7, 5); /* as if it began with a snapshot */
    cr_assert_eq(digests_compare(&the_world, &other_world, 7, 0), 0, "%s", other_world.machine.error);
    state_machine_free(&the_world.machine);
    state_machine_free(&other_world.machine);
}

Test(state_machine, a_digest_of_frames_that_are_no_window_is_refused)
{
    static const uint64_t wrongs[][2] = { { 1, 2 }, { 2, 1 }, { 1, 0 }, { 3, 700 } };
    for (size_t i = 0; i < ARRAY_COUNT(wrongs); i++) {
        struct digest_window window = { .first_index = wrongs[i][0], .last_index = wrongs[i][1] };
        world_begin_log(&the_world, 1, 5);
        world_begin_numbered(&the_world, 2);
        APPEND(&the_world, outcome_digest_record(&window));
        expect_refused(&the_world, "no digest covers");
    }
}

/* ---- Epochs ------------------------------------------------------------------------------------------------------------ */

#define EPOCH_LSN (2 * WAL_EPOCH_LSNS)

static void world_begin_epoch(struct world *world, struct epoch_record epoch)
{
    frame_begin_epoch(&world->frame, EPOCH_LSN);
    APPEND(world, epoch);
}

Test(state_machine, an_epoch_goes_on_past_everything_granted)
{
    world_start(&the_world);
    world_fill(&the_world);
    struct hash128 before = engine_state_hash(the_world.machine.engine);
    the_world.frame.header.time_ns = engine_log_time(the_world.machine.engine);
    world_begin_epoch(&the_world, record_epoch(the_world.lsn, EPOCH_LSN - 1, EPOCH_LSN));
    cr_assert_eq(world_apply(&the_world), 0);
    cr_assert_eq(engine_last_lsn(the_world.machine.engine), EPOCH_LSN);
    cr_assert(hash128_equal(before, engine_state_hash(the_world.machine.engine)));
    state_machine_free(&the_world.machine);
}

static uint16_t last_status;
static uint64_t last_token;

static void status_note(void *context, const struct record_header *record, uint64_t lsn,
                        const union apply_result *result)
{
    (void)context;
    (void)record;
    (void)lsn;
    last_status = result->header.status;
    last_token = operation_class(record->kind) == OPERATION_CLASS_LEASE ? result->lease.token : 0;
}

static uint16_t status_of_renewal(struct world *world, uint64_t resource, uint64_t token)
{
    struct lease_renew renew = {
        .header = { .size = sizeof renew, .kind = OPERATION_LEASE_RENEW, .version = 1, .property = 1 },
        .resource = resource,
        .token = token,
        .ttl_ns = NS_PER_MINUTE,
    };
    frame_begin(&world->frame, engine_last_lsn(world->machine.engine), world->time_ns);
    APPEND(world, renew);
    cr_assert_eq(state_machine_apply(&world->machine, &world->frame.header, status_note, NULL), 0);
    return last_status;
}

/* The resource has a lease that survived the cut; tokens up to EPOCH_LSN - 1 were given out behind it and are cut away. */
Test(state_machine, a_token_that_was_cut_away_is_worth_nothing_and_is_never_granted_again)
{
    world_start(&the_world);
    world_fill(&the_world); /* the lease of resource 7 is the last record */
    uint64_t kept = the_world.lsn;
    world_begin_epoch(&the_world, record_epoch(the_world.lsn, EPOCH_LSN - 5, EPOCH_LSN));
    cr_assert_eq(world_apply(&the_world), 0);
    cr_assert_eq(status_of_renewal(&the_world, 7, kept), STATUS_OK);
    cr_assert_eq(status_of_renewal(&the_world, 7, kept + 1), STATUS_TOKEN_INVALID);
    cr_assert_eq(status_of_renewal(&the_world, 7, EPOCH_LSN - 5), STATUS_TOKEN_INVALID);
    cr_assert_eq(status_of_renewal(&the_world, 8, EPOCH_LSN - 5), STATUS_NO_SUCH_LEASE);
    cr_assert_eq(status_of_renewal(&the_world, 7, EPOCH_LSN + WAL_EPOCH_LSNS), STATUS_TOKEN_UNKNOWN);
    frame_begin(&the_world.frame, engine_last_lsn(the_world.machine.engine), the_world.time_ns);
    APPEND(&the_world, record_acquire(1, 8, 98, NS_PER_MINUTE));
    cr_assert_eq(state_machine_apply(&the_world.machine, &the_world.frame.header, status_note, NULL), 0);
    cr_assert_eq(last_status, STATUS_OK);
    cr_assert_gt(last_token, EPOCH_LSN);
    cr_assert_eq(status_of_renewal(&the_world, 8, EPOCH_LSN - 5), STATUS_FENCED);
    state_machine_free(&the_world.machine);
}

Test(state_machine, only_a_frame_that_jumps_has_an_EPOCH_record_and_in_front)
{
    struct epoch_record epoch = record_epoch(1, 1, EPOCH_LSN);
    world_start(&the_world);
    APPEND(&the_world, epoch);
    expect_refused(&the_world, "where no LSN jumps");
    world_start(&the_world);
    world_begin_epoch(&the_world, epoch);
    APPEND(&the_world, epoch);
    expect_refused(&the_world, "where no LSN jumps");
    world_start(&the_world);
    frame_begin_epoch(&the_world.frame, EPOCH_LSN);
    APPEND(&the_world, record_recovered());
    APPEND(&the_world, epoch);
    expect_refused(&the_world, "does not begin with an EPOCH");
}

Test(state_machine, an_EPOCH_record_that_contradicts_its_log_is_refused)
{
    static const struct {
        uint64_t last_lsn, granted_lsn, number, reserved, reason;
        const char *text;
    } wrongs[] = {
        { 2, 2, 2, 0, EPOCH_CUT, "another last LSN" },
        { 0, 2, 2, 0, EPOCH_CUT, "another last LSN" },
        { 1, 0, 2, 0, EPOCH_CUT, "does not lie behind" },
        { 1, EPOCH_LSN, 2, 0, EPOCH_CUT, "does not lie behind" },
        { 1, 1, 1, 0, EPOCH_CUT, "number or reason" },
        { 1, 1, 2, 1, EPOCH_CUT, "number or reason" },
        { 1, 1, 2, 0, 0, "number or reason" },
        { 1, 1, 2, 0, EPOCH_RESHARD + 1, "number or reason" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(wrongs); i++) {
        struct epoch_record epoch = record_epoch(wrongs[i].last_lsn, wrongs[i].granted_lsn, EPOCH_LSN);
        epoch.number = wrongs[i].number;
        epoch.reserved = (uint32_t)wrongs[i].reserved;
        epoch.reason = (uint32_t)wrongs[i].reason;
        world_start(&the_world);
        world_begin_epoch(&the_world, epoch);
        expect_refused(&the_world, wrongs[i].text);
    }
}

Test(state_machine, an_unknown_engine_level_is_refused)
{
    static const uint32_t levels[] = { 0, ENGINE_LEVEL + 1, UINT32_MAX };
    for (size_t i = 0; i < ARRAY_COUNT(levels); i++) {
        world_start(&the_world);
        the_world.frame.header.engine_level = levels[i];
        expect_refused(&the_world, "knows levels 1 to 1: use the version that it was raised with");
    }
}

static struct raise_level record_raise(uint32_t level)
{
    return (struct raise_level){
        .header = { .size = sizeof(struct raise_level),
                    .kind = OPERATION_RAISE_LEVEL,
                    .version = 1,
                    .flags = RECORD_BY_SHARD },
        .level = level,
    };
}

/* A log at level 1, in a program that knows three. */
static void world_start_levels(struct world *world)
{
    world_init(world);
    world->machine.level_max = 3;
    APPEND(world, record_config(small_limits()));
    cr_assert_eq(world_apply(world), 0);
}

static int world_apply_at(struct world *world, uint32_t level)
{
    world->frame.header.engine_level = level;
    return world_apply(world);
}

Test(state_machine, a_raised_level_is_that_of_the_frames_behind)
{
    world_start_levels(&the_world);
    APPEND(&the_world, record_raise(2));
    APPEND(&the_world, record_property(1, DATE, 1, TIME_NS)); /* of the old level still */
    cr_assert_eq(world_apply_at(&the_world, 1), 0);
    cr_assert_eq(engine_log_level(the_world.machine.engine), 2);
    cr_assert_eq(world_apply_at(&the_world, 2), 0);
    APPEND(&the_world, record_raise(2)); /* and a second time */
    APPEND(&the_world, record_raise(1));
    cr_assert_eq(world_apply_at(&the_world, 2), 0);
    cr_assert_eq(world_apply_at(&the_world, 2), 0);
    struct engine_limits larger = small_limits();
    larger.leases_max *= 2;
    APPEND(&the_world, record_raise(3));
    APPEND(&the_world, record_config(larger)); /* moves the engine, and its level with it */
    cr_assert_eq(world_apply_at(&the_world, 2), 0);
    cr_assert_eq(world_apply_at(&the_world, 3), 0);
    state_machine_free(&the_world.machine);
}

Test(state_machine, a_frame_of_another_level_than_the_logs_is_refused)
{
    world_start_levels(&the_world);
    the_world.frame.header.engine_level = 2;
    expect_refused(&the_world, "not the one that the log was raised to");
    world_start_levels(&the_world);
    APPEND(&the_world, record_raise(2));
    cr_assert_eq(world_apply_at(&the_world, 1), 0);
    the_world.frame.header.engine_level = 1;
    expect_refused(&the_world, "not the one that the log was raised to");
}

Test(state_machine, a_level_raised_beyond_what_is_known_is_refused)
{
    world_start_levels(&the_world);
    APPEND(&the_world, record_raise(4));
    expect_refused(&the_world, "raised to engine level 4");
}

Test(state_machine, records_that_no_server_logs_are_refused)
{
    struct reserve no_nights = record_reserve(1, 1, DATE, 0, 0, 9, TIME_NS);
    struct lookup query = {
        .header = { .size = sizeof query, .kind = OPERATION_LOOKUP, .version = 1, .property = 1, .key = { { 1, 1 } } }
    };
    for (int place = 0; place < 2; place++) { /* first in its frame, and behind another record */
        world_start(&the_world);
        if (place == 1)
            APPEND(&the_world, record_property(1, DATE, 1, TIME_NS));
        APPEND(&the_world, no_nights);
        expect_refused(&the_world, status_text(STATUS_ZERO_NIGHTS));
        world_start(&the_world);
        if (place == 1)
            APPEND(&the_world, record_property(1, DATE, 1, TIME_NS));
        APPEND(&the_world, query);
        expect_refused(&the_world, status_text(STATUS_UNKNOWN_OPERATION));
    }
}

Test(state_machine, a_frame_whose_records_do_not_fill_its_payload_is_refused)
{
    world_start(&the_world);
    APPEND(&the_world, record_property(1, DATE, 1, TIME_NS));
    the_world.frame.header.records_count = 2;
    expect_refused(&the_world, "reaches beyond its frame");
    world_start(&the_world);
    APPEND(&the_world, record_property(1, DATE, 1, TIME_NS));
    APPEND(&the_world, record_property(2, DATE, 2, TIME_NS));
    the_world.frame.header.records_count = 1;
    expect_refused(&the_world, "do not fill");
}

struct seen {
    uint64_t count;
    uint64_t lsn[16];
    uint16_t status[16];
};

static void see(void *context, const struct record_header *record, uint64_t lsn, const union apply_result *result)
{
    struct seen *seen = context;
    cr_assert_lt(seen->count, ARRAY_COUNT(seen->lsn));
    cr_assert_eq(result->header.lsn, lsn);
    cr_assert_geq(record->size, sizeof *record);
    seen->lsn[seen->count] = lsn;
    seen->status[seen->count++] = result->header.status;
}

Test(state_machine, the_visitor_sees_every_record_with_its_result_in_order)
{
    struct seen seen = { .count = 0 };
    world_start(&the_world);
    APPEND(&the_world, record_property(1, DATE, 1, TIME_NS));
    APPEND(&the_world, record_room_type(1, 1, 1, 2, TIME_NS));
    APPEND(&the_world, record_reserve(1, 1, DATE, 1, 0, 3, TIME_NS));
    APPEND(&the_world, record_reserve(1, 1, DATE, 1, 0, 4, TIME_NS));
    cr_assert_eq(state_machine_apply(&the_world.machine, &the_world.frame.header, see, &seen), 0);
    static const uint16_t expected[] = { STATUS_OK, STATUS_OK, STATUS_OK, STATUS_SOLD_OUT };
    cr_assert_eq(seen.count, ARRAY_COUNT(expected));
    for (size_t i = 0; i < ARRAY_COUNT(expected); i++) {
        cr_assert_eq(seen.lsn[i], i + 2);
        cr_assert_eq(seen.status[i], expected[i]);
    }
    cr_assert_eq(the_world.machine.records_applied, 5);
    state_machine_free(&the_world.machine);
}

Test(state_machine, steps_and_whole_frames_give_the_same_state)
{
    static struct world stepped;
    world_start(&the_world);
    world_start(&stepped);
    world_fill(&the_world);
    APPEND(&stepped, record_property(1, DATE, 1, TIME_NS));
    APPEND(&stepped, record_room_type(1, 1, 2, 2, TIME_NS));
    APPEND(&stepped, record_reserve(1, 1, DATE, 3, 0, 3, TIME_NS));
    APPEND(&stepped, record_reserve(1, 1, DATE + 5, 2, NS_PER_HOUR, 4, TIME_NS));
    APPEND(&stepped, record_reserve(1, 1, DATE + 9, 2, 2 * NS_PER_MS, 5, TIME_NS));
    APPEND(&stepped, record_acquire(1, 7, 99, NS_PER_MINUTE));
    cr_assert_eq(state_machine_begin(&stepped.machine, &stepped.frame.header), 0);
    const uint8_t *at = stepped.frame.payload;
    for (uint64_t i = 0; i < stepped.frame.header.records_count; i++) {
        const struct record_header *record = (const void *)at;
        union apply_result result;
        cr_assert_eq(state_machine_step(&stepped.machine, record, 2 + i, &result), 0);
        at += record->size;
    }
    cr_assert(hash128_equal(engine_state_hash(the_world.machine.engine), engine_state_hash(stepped.machine.engine)));
    state_machine_free(&the_world.machine);
    state_machine_free(&stepped.machine);
}

Test(state_machine, a_frame_without_records_still_moves_time_and_ends_what_is_due)
{
    world_start(&the_world);
    world_fill(&the_world);
    cr_assert_eq(engine_counts(the_world.machine.engine).reservations_held, 2);
    the_world.frame.header.time_ns = TIME_NS + NS_PER_SECOND;
    cr_assert_eq(world_apply(&the_world), 0);
    cr_assert_eq(engine_counts(the_world.machine.engine).reservations_held, 1);
    cr_assert_eq(engine_counts(the_world.machine.engine).reservations_ended, 1);
    state_machine_free(&the_world.machine);
}

Test(state_machine, the_uuid_spreads_keys_and_changes_no_state)
{
    static struct world other;
    uint8_t other_uuid[16] = { 0xff };
    world_start(&the_world);
    world_init(&other);
    state_machine_init(&other.machine, other_uuid);
    cr_assert_neq(other.machine.hash_seed, the_world.machine.hash_seed);
    cr_assert_eq(the_world.machine.hash_seed, hash64(uuid, sizeof uuid, UINT64_C(0x696e6e6b656570)));
    APPEND(&other, record_config(small_limits()));
    cr_assert_eq(world_apply(&other), 0);
    world_fill(&the_world);
    world_fill(&other);
    cr_assert(hash128_equal(engine_state_hash(the_world.machine.engine), engine_state_hash(other.machine.engine)));
    state_machine_free(&the_world.machine);
    state_machine_free(&other.machine);
}

Test(state_machine, too_little_memory_is_said_and_not_died_of)
{
    struct engine_limits limits = small_limits();
    limits.reservations_max = 1u << 24; /* gigabytes */
    limits.room_types_max = 1u << 20;
    limits.horizon_nights = NIGHTS_MAX;
    world_init(&the_world);
    APPEND(&the_world, record_config(limits));
    struct rlimit before;
    cr_assert_eq(getrlimit(RLIMIT_AS, &before), 0);
    struct rlimit tight = { .rlim_cur = 1 * GIB, .rlim_max = before.rlim_max };
    cr_assert_eq(setrlimit(RLIMIT_AS, &tight), 0);
    int error = state_machine_apply(&the_world.machine, &the_world.frame.header, NULL, NULL);
    cr_assert_eq(setrlimit(RLIMIT_AS, &before), 0);
    cr_assert_eq(error, -ENOMEM);
    cr_assert_not_null(the_world.machine.error);
    cr_assert_null(the_world.machine.engine);
    state_machine_free(&the_world.machine);
}
