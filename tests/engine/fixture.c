#include "tests/engine/fixture.h"

#include "engine/state.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

struct engine_limits small_limits(void)
{
    return (struct engine_limits){
        .properties_max = 2,
        .room_types_max = 4,
        .horizon_nights = 30,
        .reservations_max = 8,
        .outcomes_max = 8,
        .leases_max = 3,
        .deadline_ahead_max_ns = 10 * NS_PER_MINUTE,
        .keep_ended_ns = 24 * NS_PER_HOUR,
    };
}

static struct engine *engine_new(const struct engine_limits *limits, uint64_t seed, void **memory)
{
    size_t size = engine_memory_size(limits);
    cr_assert_eq(posix_memalign(memory, ENGINE_MEMORY_ALIGNMENT, size), 0);
    memset(*memory, 0, size);
    return engine_init(*memory, size, limits, seed);
}

struct world *world_new(const struct engine_limits *limits)
{
    struct world *world = calloc(1, sizeof(*world));
    cr_assert_not_null(world);
    world->limits = *limits;
    world->engine = engine_new(limits, 1, &world->memory);
    world->twin = engine_new(limits, UINT64_C(0x9e3779b97f4a7c15), &world->twin_memory);
    world_at(world, START_NS);
    return world;
}

void world_free(struct world *world)
{
    free(world->memory);
    free(world->twin_memory);
    free(world);
}

struct world *world_with_rooms(const struct engine_limits *limits, uint16_t rooms)
{
    struct world *world = world_new(limits);
    struct property_create property = make_property(world, UINT64_MAX, PROPERTY);
    struct room_type_create type = make_room_type(world, UINT64_MAX - 1, ROOM_TYPE, rooms);
    cr_assert_eq(world_mutate(world, &property).header.status, STATUS_OK);
    cr_assert_eq(world_mutate(world, &type).header.status, STATUS_OK);
    world_later(world, WITHIN_NS + 1);
    cr_assert_eq(world_counts(world).outcomes, 0);
    return world;
}

void world_check(struct world *world)
{
    const char *wrong = engine_check(world->engine);
    cr_assert_null(wrong, "%s", wrong);
    wrong = engine_check(world->twin);
    cr_assert_null(wrong, "twin: %s", wrong);
    cr_assert(hash128_equal(engine_state_hash(world->engine), engine_state_hash(world->twin)));
    cr_assert_eq(engine_next_deadline(world->engine), engine_next_deadline(world->twin));
}

void world_at(struct world *world, uint64_t time_ns)
{
    world->time_ns = time_ns;
    engine_frame_begin(world->engine, time_ns, NULL);
    engine_frame_begin(world->twin, time_ns, NULL);
    cr_assert_eq(engine_log_time(world->engine), time_ns);
    world_check(world);
}

void world_later(struct world *world, uint64_t span_ns)
{
    world_at(world, world->time_ns + span_ns);
}

void world_restart_at(struct world *world, uint64_t time_ns)
{
    struct recovered_record record = { { .size = sizeof(record), .kind = OPERATION_RECOVERED, .version = 1 } };
    world->time_ns = time_ns;
    engine_frame_begin(world->engine, time_ns, &record.header);
    engine_frame_begin(world->twin, time_ns, &record.header);
    cr_assert_eq(world_apply(world, &record).header.status, STATUS_OK);
}

union apply_result world_apply(struct world *world, const void *record)
{
    const struct record_header *header = record;
    cr_assert_eq(record_check(header, header->size), STATUS_OK, "%s", status_name(record_check(header, header->size)));
    union apply_result result;
    union apply_result twin;
    memset(&result, 0xaa, sizeof(result));
    memset(&twin, 0xaa, sizeof(twin));
    world->lsn++;
    prefetch_all(world->engine, header);
    engine_apply(world->engine, header, world->lsn, &result);
    engine_apply(world->twin, header, world->lsn, &twin);
    cr_assert_eq(memcmp(&result, &twin, sizeof(result)), 0, "two engines answer differently");
    cr_assert_leq(result.header.size, result_size_max(header));
    cr_assert_eq(result.header.lsn, world->lsn);
    cr_assert_eq(result.header.log_time_ns, world->time_ns);
    cr_assert_eq(engine_last_lsn(world->engine), world->lsn);
    world_check(world);
    return result;
}

struct mutation_result world_mutate(struct world *world, const void *mutation)
{
    union apply_result result = world_apply(world, mutation);
    cr_assert_eq(result.header.size, sizeof(result.mutation));
    return result.mutation;
}

struct lease_result world_lease(struct world *world, const void *command)
{
    union apply_result result = world_apply(world, command);
    cr_assert_eq(result.header.size, sizeof(result.lease));
    return result.lease;
}

uint32_t world_query(struct world *world, const void *query, void *result)
{
    static union {
        struct result_header header;
        uint8_t bytes[RESULT_SIZE_MAX];
    } twin;
    const struct record_header *header = query;
    cr_assert_eq(command_check(header, header->size), STATUS_OK);
    uint32_t size = engine_query(world->engine, header, result);
    cr_assert_eq(engine_query(world->twin, header, &twin.header), size);
    cr_assert_eq(memcmp(result, &twin, size), 0, "two engines answer differently");
    cr_assert_eq(((struct result_header *)result)->size, size);
    cr_assert_eq(((struct result_header *)result)->lsn, world->lsn);
    cr_assert_eq(((struct result_header *)result)->log_time_ns, world->time_ns);
    return size;
}

struct key key_of(uint64_t number)
{
    return (struct key){ { number, ~number } };
}

struct engine_counts world_counts(const struct world *world)
{
    return engine_counts(world->engine);
}

struct calendar_night world_night(struct world *world, int32_t night)
{
    struct {
        struct calendar_result head;
        struct calendar_type type;
        struct calendar_night night;
    } result;
    struct calendar query = make_calendar(ROOM_TYPE, night, 1);
    cr_assert_eq(world_query(world, &query, &result), sizeof(result));
    cr_assert_eq(result.head.header.status, STATUS_OK);
    return result.night;
}

/* ---- Builders ------------------------------------------------------------------------------------------------------ */

static struct record_header make_header(enum operation operation, size_t size, struct key key)
{
    return (struct record_header){
        .size = (uint16_t)size, .kind = (uint8_t)operation, .version = 1, .property = PROPERTY, .key = key
    };
}

static struct mutation make_mutation(const struct world *world, enum operation operation, size_t size, uint64_t key)
{
    return (struct mutation){ .header = make_header(operation, size, key_of(key)),
                              .not_after_ns = world->time_ns + WITHIN_NS };
}

struct property_create make_property(const struct world *world, uint64_t key, uint64_t property)
{
    struct property_create create = { .business_date = NIGHT_0 };
    create.mutation = make_mutation(world, OPERATION_PROPERTY_CREATE, sizeof(create), key);
    create.mutation.header.property = property;
    return create;
}

struct room_type_create make_room_type(const struct world *world, uint64_t key, uint32_t type, uint16_t rooms)
{
    struct room_type_create create = { .room_type = type, .rooms = rooms };
    create.mutation = make_mutation(world, OPERATION_ROOM_TYPE_CREATE, sizeof(create), key);
    return create;
}

struct rooms_set make_rooms_set(const struct world *world, uint64_t key, int32_t first, int32_t last, uint16_t rooms)
{
    struct rooms_set set = {
        .room_type = ROOM_TYPE, .first_night = first, .last_night = last, .weekdays = WEEKDAYS_ALL, .rooms = rooms
    };
    set.mutation = make_mutation(world, OPERATION_ROOMS_SET, sizeof(set), key);
    return set;
}

struct reserve make_reserve(const struct world *world, uint64_t key, int32_t arrival, uint16_t nights)
{
    struct reserve reserve = { .arrival = arrival, .nights = nights, .lines_count = 1 };
    reserve.mutation = make_mutation(world, OPERATION_RESERVE, sizeof(reserve), key);
    reserve.lines[0] = (struct reserve_line){ .room_type = ROOM_TYPE, .rooms = 1 };
    return reserve;
}

struct reserve make_hold(const struct world *world, uint64_t key, int32_t arrival, uint16_t nights, uint64_t hold_ns)
{
    struct reserve reserve = make_reserve(world, key, arrival, nights);
    reserve.hold_ns = hold_ns;
    return reserve;
}

struct reservation_change make_change(const struct world *world, enum operation operation, uint64_t key,
                                      uint64_t reservation)
{
    struct reservation_change change = { .reservation = key_of(reservation) };
    change.mutation = make_mutation(world, operation, sizeof(change), key);
    return change;
}

struct lease_acquire make_acquire(uint64_t session, uint64_t resource, uint64_t ttl_ns)
{
    struct lease_acquire acquire = { .resource = resource, .ttl_ns = ttl_ns, .owner = "someone" };
    acquire.header = make_header(OPERATION_LEASE_ACQUIRE, sizeof(acquire), key_of(session));
    return acquire;
}

struct lease_renew make_renew(uint64_t resource, uint64_t token, uint64_t ttl_ns)
{
    struct lease_renew renew = { .resource = resource, .token = token, .ttl_ns = ttl_ns };
    renew.header = make_header(OPERATION_LEASE_RENEW, sizeof(renew), (struct key){ { 0, 0 } });
    return renew;
}

struct lease_release make_release(uint64_t resource, uint64_t token)
{
    struct lease_release release = { .resource = resource, .token = token };
    release.header = make_header(OPERATION_LEASE_RELEASE, sizeof(release), (struct key){ { 0, 0 } });
    return release;
}

struct lookup make_lookup(uint64_t key)
{
    return (struct lookup){ make_header(OPERATION_LOOKUP, sizeof(struct lookup), key_of(key)) };
}

struct calendar make_calendar(uint32_t type, int32_t first_night, uint16_t nights)
{
    struct calendar calendar = { .room_type = type, .first_night = first_night, .nights = nights };
    calendar.header = make_header(OPERATION_CALENDAR, sizeof(calendar), (struct key){ { 0, 0 } });
    return calendar;
}

struct lease_show make_show(uint64_t resource)
{
    struct lease_show show = { .resource = resource };
    show.header = make_header(OPERATION_LEASE_SHOW, sizeof(show), (struct key){ { 0, 0 } });
    return show;
}
