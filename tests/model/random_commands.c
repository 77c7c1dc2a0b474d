/* See random_commands.h. Times are multiples of a minute, so that an hour's linger is within reach and deadlines meet;
 * now and then one nanosecond off, for the comparisons at the edge. */
#include "tests/model/random_commands.h"

#include "engine/base/civil_date.h"

#include <string.h>

#define UNIT_NS NS_PER_MINUTE
#define FLOOD_OBJECTS 6000
#define FLOOD_WAIT_UNITS 10

/* ---- Chance -------------------------------------------------------------------------------------------------------- */

/* Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014. */
static uint64_t random_bits(struct random_commands *random)
{
    uint64_t z = (random->prng += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t random_below(struct random_commands *random, uint64_t bound)
{
    REQUIRE(bound > 0);
    return random_bits(random) % bound;
}

bool random_chance(struct random_commands *random, uint32_t percent)
{
    return random_below(random, 100) < percent;
}

/* Uniform in first..last, both included. */
static uint32_t random_between(struct random_commands *random, uint32_t first, uint32_t last)
{
    return first + (uint32_t)random_below(random, (uint64_t)last - first + 1);
}

/* Mostly small, sometimes up to `largest`: 1..largest. */
static uint32_t random_small(struct random_commands *random, uint32_t largest)
{
    uint32_t bound = random_between(random, 1, largest);
    bound = random_chance(random, 60) ? random_between(random, 1, bound) : bound;
    return random_between(random, 1, bound);
}

static uint64_t add_saturating(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* `units` minutes, one time in eight a nanosecond more or less; never 0. */
static uint64_t random_span_ns(struct random_commands *random, uint64_t units)
{
    uint64_t span_ns = units * UNIT_NS;
    if (random_chance(random, 12)) {
        span_ns = random_chance(random, 50) ? span_ns + 1 : span_ns - (span_ns > 1);
    }
    return span_ns == 0 ? 1 : span_ns;
}

/* ---- A seed's habits ----------------------------------------------------------------------------------------------- */

static const uint8_t logged_kinds[] = {
    OPERATION_PROPERTY_CREATE, OPERATION_ROOM_TYPE_CREATE, OPERATION_ROOMS_SET,   OPERATION_RESERVE,
    OPERATION_CONFIRM,         OPERATION_RELEASE,          OPERATION_CANCEL,      OPERATION_LEASE_ACQUIRE,
    OPERATION_LEASE_RENEW,     OPERATION_LEASE_RELEASE,    OPERATION_BARRIER,     OPERATION_RECOVERED,
    OPERATION_CONFIG,          OPERATION_COMMIT_LATENCY,   OPERATION_RAISE_LEVEL,
};

static void draw_weights(struct random_commands *random)
{
    for (size_t i = 0; i < ARRAY_COUNT(logged_kinds); i++) {
        random->weights[logged_kinds[i]] = random_chance(random, 15) ? 0 : random_between(random, 1, 10);
    }
    random->weights[OPERATION_PROPERTY_CREATE] = random_between(random, 0, 2);
    random->weights[OPERATION_ROOM_TYPE_CREATE] =
        random->limits.room_types_max > 40 ? 20 : random_between(random, 0, 3);
    random->weights[OPERATION_RESERVE] += random_between(random, 5, 30);
    random->weights[OPERATION_CONFIRM] += random_between(random, 0, 10);
    random->weights[OPERATION_CANCEL] += random_between(random, 0, 10);
    random->weights[OPERATION_BARRIER] = 1;
    random->weights[OPERATION_RAISE_LEVEL] = 1;
    random->weights[OPERATION_CONFIG] = 1;
    random->weights[OPERATION_RECOVERED] = 1;
    random->weights[OPERATION_COMMIT_LATENCY] = 1;
}

static void draw_limits(struct random_commands *random)
{
    bool large = random_chance(random, 10);
    random->limits = (struct engine_limits){
        .properties_max = random_small(random, 6),
        .room_types_max = large ? random_between(random, 50, 150) : random_small(random, 10),
        .horizon_nights = large ? random_between(random, 30, 400) : random_between(random, 1, 60),
        .reservations_max = large ? random_between(random, 50, 300) : random_small(random, 50),
        .outcomes_max = large                       ? random_between(random, 50, 300)
                        : random_chance(random, 50) ? random_small(random, 50)
                                                    : random_between(random, 20, 60),
        .leases_max = random_small(random, 12),
        .deadline_ahead_max_ns = random_span_ns(random, random_between(random, 1, 30)),
        .keep_ended_ns = random_span_ns(random, random_between(random, 0, 30)),
    };
}

/* For a few seeds, spans that reach the end of what is counted. */
static void draw_endless_limits(struct random_commands *random)
{
    if (random_chance(random, 4)) {
        random->limits.deadline_ahead_max_ns = UINT64_MAX - random_below(random, 2);
    }
    if (random_chance(random, 4)) {
        random->limits.keep_ended_ns = UINT64_MAX - random_below(random, 2);
    }
}

static void draw_habits(struct random_commands *random)
{
    random->properties = random_small(random, random->limits.properties_max < 4 ? random->limits.properties_max : 4);
    random->properties += random_chance(random, 20);
    random->room_types =
        random->limits.room_types_max > 40
            ? random_between(random, 40, 120)
            : random_small(random, random->limits.room_types_max < 6 ? random->limits.room_types_max : 6);
    random->resources = random_small(random, 8);
    random->keys = random_between(random, 3, 60);
    random->sessions = random_between(random, 1, 3);
    random->rooms = random_chance(random, 10) ? ROOMS_MAX : random_small(random, 20);
    random->nights = random_small(random, random->limits.horizon_nights);
    random->retry_percent = random_between(random, 0, 40);
    random->fresh_key_percent = random_between(random, 20, 100);
    random->fence_percent = random_chance(random, 50) ? random_between(random, 0, 15) : random_between(random, 0, 60);
    random->hold_percent = random_between(random, 20, 100);
    random->still_percent = random_between(random, 0, 90);
    random->jump_percent = random_chance(random, 50) ? 0 : random_between(random, 0, 10);
    random->step_units = random_between(random, 1, 10);
    random->wait_units = random_between(random, 1, 40);
    random->frame_records = random_between(random, 1, 20);
}

/* Days at both ends of the calendar are as good as today's. */
static int32_t draw_base_date(struct random_commands *random)
{
    switch (random_below(random, 8)) {
    case 0:
        return DAY_NUMBER_MIN;
    case 1:
        return DAY_NUMBER_MAX - 3;
    case 2:
        return -3;
    default:
        return 20000 + (int32_t)random_below(random, 7);
    }
}

/* Time begins anywhere; for some seeds so late that deadlines meet the end of what is counted. */
static uint64_t draw_start_ns(struct random_commands *random)
{
    if (random_chance(random, 4)) {
        return UINT64_MAX - 2 - random_below(random, 60 * UNIT_NS);
    }
    return random_chance(random, 30) ? 0 : random_below(random, UINT64_C(1) << 62);
}

static void draw_flood(struct random_commands *random)
{
    random->flood = true;
    random->limits.properties_max = 2;
    random->limits.room_types_max = 4;
    random->limits.reservations_max = FLOOD_OBJECTS;
    random->limits.outcomes_max = FLOOD_OBJECTS;
    random->limits.leases_max = FLOOD_OBJECTS;
    random->limits.deadline_ahead_max_ns = 2 * FLOOD_WAIT_UNITS * UNIT_NS;
    random->limits.keep_ended_ns = FLOOD_WAIT_UNITS * UNIT_NS;
    random->limits.horizon_nights = 3;
    memset(random->weights, 0, sizeof random->weights);
    random->weights[OPERATION_RESERVE] = 60;
    random->weights[OPERATION_LEASE_ACQUIRE] = 40;
    random->properties = 1;
    random->room_types = 2;
    random->sessions = 2;
    random->rooms = ROOMS_MAX;
    random->nights = 2;
    random->retry_percent = 2;
    random->fresh_key_percent = 100;
    random->fence_percent = 0;
    random->hold_percent = 100;
    random->still_percent = 100;
    random->jump_percent = 0;
    random->wait_units = FLOOD_WAIT_UNITS;
    random->frame_records = 200;
    random->log_time_ns %= UINT64_C(1) << 62;
}

void random_commands_init(struct random_commands *random, uint64_t seed)
{
    memset(random, 0, sizeof *random);
    random->prng = seed * UINT64_C(0xd1342543de82ef95) + 1;
    draw_limits(random);
    draw_endless_limits(random);
    draw_weights(random);
    draw_habits(random);
    random->base_date = draw_base_date(random);
    random->log_time_ns = draw_start_ns(random);
    random->last_lsn = random_chance(random, 70) ? 0 : random_below(random, UINT64_C(1) << 60);
    random->fresh_key = 1000;
    random->fresh_resource = 1000;
    if (seed % 40 == 7) {
        draw_flood(random);
    }
}

/* ---- Frames -------------------------------------------------------------------------------------------------------- */

/* A flood fills its tables while time stands still, then everything is due at once, then stragglers meet what is due and not
 * yet swept. */
static uint64_t flood_units(struct random_commands *random)
{
    random->frames_since_jump++;
    if (random->commands_count < FLOOD_OBJECTS) {
        random->frames_since_jump = 0;
        return 0;
    }
    random->retry_percent = 20;
    random->fence_percent = 30;
    random->frame_records = random->frames_since_jump == 1 ? 600 : 40;
    random->weights[OPERATION_CONFIRM] = 60;
    random->weights[OPERATION_RELEASE] = 20;
    random->weights[OPERATION_CANCEL] = 20;
    random->weights[OPERATION_LEASE_RENEW] = 60;
    random->weights[OPERATION_LEASE_RELEASE] = 20;
    if (random->frames_since_jump == 1) {
        return random_chance(random, 50) ? FLOOD_WAIT_UNITS : FLOOD_WAIT_UNITS + 5;
    }
    return random->frames_since_jump % 8 == 7 ? 61 : 0;
}

static uint64_t frame_units(struct random_commands *random)
{
    if (random->flood) {
        return flood_units(random);
    }
    if (random_chance(random, random->jump_percent)) {
        return random_between(random, 1, 130);
    }
    return random_chance(random, random->still_percent) ? 0 : random_between(random, 1, random->step_units);
}

uint64_t random_frame_time(struct random_commands *random)
{
    uint64_t units = frame_units(random);
    if (units > 0) {
        random->log_time_ns = add_saturating(random->log_time_ns, random_span_ns(random, units));
    }
    if (random->log_time_ns >= NEVER_NS - 1) {
        random->log_time_ns = NEVER_NS - 2;
    }
    return random->log_time_ns;
}

uint32_t random_frame_records(struct random_commands *random)
{
    return random_between(random, 0, random->frame_records);
}

static uint32_t grown(struct random_commands *random, uint32_t limit)
{
    return random_chance(random, 50) ? limit : limit + random_between(random, 0, 5);
}

void random_grow(struct random_commands *random)
{
    struct engine_limits *limits = &random->limits;
    limits->properties_max = grown(random, limits->properties_max);
    limits->room_types_max = grown(random, limits->room_types_max);
    limits->horizon_nights = grown(random, limits->horizon_nights);
    limits->reservations_max = grown(random, limits->reservations_max);
    limits->outcomes_max = grown(random, limits->outcomes_max);
    limits->leases_max = grown(random, limits->leases_max);
    uint64_t further_ns = random_chance(random, 50) ? 0 : random_span_ns(random, 2);
    uint64_t longer_ns = random_chance(random, 50) ? 0 : random_span_ns(random, 2);
    limits->deadline_ahead_max_ns = add_saturating(limits->deadline_ahead_max_ns, further_ns);
    limits->keep_ended_ns = add_saturating(limits->keep_ended_ns, longer_ns);
}

uint64_t random_next_lsn(struct random_commands *random)
{
    uint64_t step = random_chance(random, 99) ? 1 : random_between(random, 1, 1000);
    random->last_lsn += step;
    return random->last_lsn;
}

/* ---- Fields -------------------------------------------------------------------------------------------------------- */

static struct key key_of(uint64_t number)
{
    return (struct key){ { number, number % 3 == 0 ? 0 : number * UINT64_C(0x9e3779b97f4a7c15) } };
}

static struct key draw_key(struct random_commands *random)
{
    if (random_chance(random, random->fresh_key_percent)) {
        return key_of(++random->fresh_key);
    }
    return key_of(random_between(random, 1, random->keys));
}

static uint64_t draw_property(struct random_commands *random)
{
    uint64_t number = random_between(random, 1, random->properties);
    return random_chance(random, 2) ? number + 1 : number;
}

static uint32_t draw_room_type(struct random_commands *random)
{
    uint32_t number = random_between(random, 1, random->room_types);
    return random_chance(random, 2) ? number + 1 : number;
}

static uint64_t draw_resource(struct random_commands *random)
{
    return random->flood ? ++random->fresh_resource : random_between(random, 1, random->resources);
}

/* Around the window of a property: mostly inside, often at its two edges. */
static int32_t draw_night(struct random_commands *random)
{
    int32_t horizon = (int32_t)random->limits.horizon_nights;
    int32_t night = random->base_date + (int32_t)random_below(random, (uint64_t)horizon + 2);
    if (random_chance(random, 5)) {
        night = random->base_date + (random_chance(random, 50) ? -2 : horizon - 1);
    }
    night = night < DAY_NUMBER_MIN ? DAY_NUMBER_MIN : night;
    return night > DAY_NUMBER_MAX ? DAY_NUMBER_MAX : night;
}

static uint64_t draw_not_after_ns(struct random_commands *random)
{
    if (random_chance(random, 4)) {
        uint64_t back_ns = random_span_ns(random, random_below(random, 3));
        return random->log_time_ns > back_ns ? random->log_time_ns - back_ns : 1;
    }
    if (random_chance(random, 4)) {
        uint64_t edge = add_saturating(random->log_time_ns, random->limits.deadline_ahead_max_ns);
        return random_chance(random, 50) ? edge : add_saturating(edge, 1);
    }
    uint64_t ahead_max_ns = random->limits.deadline_ahead_max_ns;
    ahead_max_ns -= ahead_max_ns == UINT64_MAX;
    uint64_t ahead_ns = random_span_ns(random, random_below(random, (uint64_t)random->wait_units + 1));
    return add_saturating(random->log_time_ns, ahead_ns % (ahead_max_ns + 1) + (random->log_time_ns == 0));
}

/* A grant on the property if one comes up soon, else any. */
static const struct random_grant *draw_grant(struct random_commands *random, uint64_t property)
{
    const struct random_grant *grant = NULL;
    for (int tries = 0; tries < 6 && random->grants_count > 0; tries++) {
        size_t stored = random->grants_count < RANDOM_TOKENS_MAX ? random->grants_count : RANDOM_TOKENS_MAX;
        size_t back =
            random_chance(random, 60) ? random_below(random, stored < 4 ? stored : 4) : random_below(random, stored);
        grant = &random->grants[(random->grants_count - 1 - back) % RANDOM_TOKENS_MAX];
        if (property == 0 || grant->property == property) {
            break;
        }
    }
    return grant;
}

static uint64_t made_up_token(struct random_commands *random)
{
    switch (random_below(random, 5)) {
    case 0:
        return random_between(random, 1, 10);
    case 1:
        return random->last_lsn + random_between(random, 0, 3) + (random->last_lsn == 0);
    case 2:
        return random->last_lsn / 2 + 1;
    case 3:
        return random->last_lsn > 5 ? random->last_lsn - 3 : 1;
    default:
        return UINT64_MAX - random_below(random, 2);
    }
}

/* A resource of `property` and a token for it: mostly one that was granted, present or past. */
static struct random_grant draw_token(struct random_commands *random, uint64_t property)
{
    const struct random_grant *known = random_chance(random, 85) ? draw_grant(random, property) : NULL;
    struct random_grant grant = { property, draw_resource(random), 0 };
    if (known == NULL) {
        grant.token = made_up_token(random);
        return grant;
    }
    grant.token = known->token;
    grant.resource = random_chance(random, 95) ? known->resource : grant.resource;
    if (random_chance(random, 5)) {
        grant.token += random_chance(random, 50) ? 1 : UINT64_MAX;
        grant.token += grant.token == 0;
    }
    return grant;
}

/* ---- Records ------------------------------------------------------------------------------------------------------- */

static void draw_mutation(struct random_commands *random, struct mutation *mutation)
{
    mutation->header.property = draw_property(random);
    mutation->header.key = draw_key(random);
    mutation->not_after_ns = draw_not_after_ns(random);
    if (random_chance(random, random->fence_percent)) {
        struct random_grant grant = draw_token(random, mutation->header.property);
        mutation->fence_token = grant.token;
        mutation->fence_resource = grant.resource;
    }
}

static void draw_property_create(struct random_commands *random, struct property_create *command)
{
    draw_mutation(random, &command->mutation);
    int32_t date = random->base_date + (int32_t)random_below(random, 3) - 1;
    date = date < DAY_NUMBER_MIN ? DAY_NUMBER_MIN : date;
    command->business_date = date > DAY_NUMBER_MAX ? DAY_NUMBER_MAX : date;
}

static uint16_t draw_supply(struct random_commands *random)
{
    return (uint16_t)(random_chance(random, 10) ? 0 : random_between(random, 0, random->rooms));
}

static void draw_room_type_create(struct random_commands *random, struct room_type_create *command)
{
    draw_mutation(random, &command->mutation);
    command->room_type = draw_room_type(random);
    command->rooms = random->flood ? ROOMS_MAX : draw_supply(random);
}

static void draw_rooms_set(struct random_commands *random, struct rooms_set *command)
{
    draw_mutation(random, &command->mutation);
    int32_t a = draw_night(random);
    int32_t b = random_chance(random, 30) ? a : draw_night(random);
    command->room_type = draw_room_type(random);
    command->first_night = a < b ? a : b;
    command->last_night = a < b ? b : a;
    command->weekdays = (uint8_t)(random_chance(random, 30) ? WEEKDAYS_ALL : random_between(random, 1, WEEKDAYS_ALL));
    command->rooms = draw_supply(random);
}

static void draw_reserve(struct random_commands *random, struct reserve *command)
{
    draw_mutation(random, &command->mutation);
    command->hold_ns = random_chance(random, random->hold_percent)
                           ? random_span_ns(random, random_between(random, 0, random->wait_units))
                           : 0;
    command->external_reference = random_below(random, 3);
    command->arrival = draw_night(random);
    command->arrival -= command->arrival == DAY_NUMBER_MAX;
    int32_t nights_max = DAY_NUMBER_MAX - command->arrival;
    int32_t nights = (int32_t)random_small(random, random->nights);
    command->nights = (uint16_t)(nights > nights_max ? nights_max : nights);
    command->lines_count = 1;
    command->lines[0].room_type = draw_room_type(random);
    command->lines[0].rooms = (uint16_t)random_small(random, random->rooms);
    if (random->flood) {
        command->lines[0].rooms = 1;
        command->arrival = random->base_date + 1;
    }
}

/* A past mutation, the newest ones more often. NULL before the first. */
static const union random_item *draw_past(struct random_commands *random)
{
    if (random->history_count == 0) {
        return NULL;
    }
    size_t stored = random->history_count < RANDOM_HISTORY_MAX ? random->history_count : RANDOM_HISTORY_MAX;
    size_t back =
        random_chance(random, 50) ? random_below(random, stored < 8 ? stored : 8) : random_below(random, stored);
    return &random->history[(random->history_count - 1 - back) % RANDOM_HISTORY_MAX];
}

/* One of the newest reservations that were made. NULL before the first. */
static const struct random_made *draw_made(struct random_commands *random)
{
    if (random->made_count == 0) {
        return NULL;
    }
    size_t stored = random->made_count < RANDOM_MADE_MAX ? random->made_count : RANDOM_MADE_MAX;
    size_t newest = random->flood || stored < 16 ? stored : 16;
    size_t back = random_below(random, !random->flood && newest > 2 && random_chance(random, 75) ? 2 : newest);
    return &random->made[(random->made_count - 1 - back) % RANDOM_MADE_MAX];
}

static void draw_change(struct random_commands *random, struct reservation_change *command)
{
    draw_mutation(random, &command->mutation);
    command->reservation = draw_key(random);
    const struct random_made *made = draw_made(random);
    if (made != NULL && random_chance(random, 95)) {
        command->mutation.header.property = made->property;
        command->reservation = made->key;
    }
    if (key_equal(command->reservation, command->mutation.header.key)) {
        command->mutation.header.key = key_of(++random->fresh_key);
    }
    command->expected_version = random_chance(random, 60) ? 0 : random_between(random, 1, 3);
}

static uint64_t draw_ttl_ns(struct random_commands *random)
{
    return random_span_ns(random, random_between(random, 0, random->wait_units));
}

static void draw_lease_acquire(struct random_commands *random, struct lease_acquire *command)
{
    command->header.property = draw_property(random);
    command->header.key = key_of(random_between(random, 1, random->sessions));
    command->resource = draw_resource(random);
    command->ttl_ns = draw_ttl_ns(random);
    size_t length = random_chance(random, 90) ? random_between(random, 1, 4) : OWNER_SIZE;
    for (size_t i = 0; i < length; i++) {
        command->owner[i] = (char)('a' + (int)random_below(random, 26));
    }
}

static void draw_lease_renew(struct random_commands *random, struct lease_renew *command)
{
    struct random_grant grant = draw_token(random, draw_property(random));
    command->header.property = grant.property;
    command->resource = grant.resource;
    command->token = grant.token;
    command->ttl_ns = draw_ttl_ns(random);
}

static void draw_lease_release(struct random_commands *random, struct lease_release *command)
{
    struct random_grant grant = draw_token(random, draw_property(random));
    command->header.property = grant.property;
    command->resource = grant.resource;
    command->token = grant.token;
}

static void draw_commit_latency(struct random_commands *random, struct commit_latency_record *record)
{
    static const uint64_t factors[] = { 0, 1, 10, 10, 10, UINT64_MAX };
    record->p99_ns = random_chance(random, 30) ? 0 : random_span_ns(random, random_below(random, 5));
    record->ttl_factor = factors[random_below(random, ARRAY_COUNT(factors))];
}

static size_t item_size(uint8_t kind)
{
    switch (kind) {
#define ITEM_SIZE(name, number, item, class) \
    case OPERATION_##name:                   \
        return sizeof(struct item);
        OPERATION_MAP(ITEM_SIZE)
#undef ITEM_SIZE
    default:
        return sizeof(struct record_header);
    }
}

static void begin_item(union random_item *item, uint8_t kind)
{
    memset(item, 0, sizeof *item);
    item->header.kind = kind;
    item->header.size = (uint16_t)item_size(kind);
    item->header.version = 1;
}

static void draw_barrier(struct random_commands *random, struct record_header *header)
{
    bool by_shard = random_chance(random, 50);
    header->flags = by_shard ? RECORD_BY_SHARD : 0;
    header->property = by_shard ? 0 : draw_property(random);
}

static void draw_logged(struct random_commands *random, uint8_t kind, union random_item *record)
{
    begin_item(record, kind);
    switch (kind) {
    case OPERATION_PROPERTY_CREATE:
        draw_property_create(random, &record->property_create);
        break;
    case OPERATION_ROOM_TYPE_CREATE:
        draw_room_type_create(random, &record->room_type_create);
        break;
    case OPERATION_ROOMS_SET:
        draw_rooms_set(random, &record->rooms_set);
        break;
    case OPERATION_RESERVE:
        draw_reserve(random, &record->reserve);
        break;
    case OPERATION_CONFIRM:
    case OPERATION_RELEASE:
    case OPERATION_CANCEL:
        draw_change(random, &record->reservation_change);
        break;
    case OPERATION_LEASE_ACQUIRE:
        draw_lease_acquire(random, &record->lease_acquire);
        break;
    case OPERATION_LEASE_RENEW:
        draw_lease_renew(random, &record->lease_renew);
        break;
    case OPERATION_LEASE_RELEASE:
        draw_lease_release(random, &record->lease_release);
        break;
    case OPERATION_BARRIER:
        draw_barrier(random, &record->header);
        break;
    case OPERATION_RAISE_LEVEL:
        record->header.flags = RECORD_BY_SHARD;
        record->raise_level.level = random_between(random, 1, 9);
        break;
    default:
        record->header.flags = RECORD_BY_SHARD;
        if (kind == OPERATION_CONFIG) {
            record->config.limits = random->limits;
        } else if (kind == OPERATION_COMMIT_LATENCY) {
            draw_commit_latency(random, &record->commit_latency);
        }
        break;
    }
}

/* A seed begins with properties and room types, so that there is something to fight for. */
#define SETUP_COMMANDS 8

static bool draw_setup(struct random_commands *random, union random_item *record)
{
    if (random->commands_count >= SETUP_COMMANDS || (!random->flood && random_chance(random, 5))) {
        return false;
    }
    uint32_t number = (uint32_t)random->commands_count / 2 + 1;
    bool property = random->commands_count % 2 == 0 && number <= random->properties;
    draw_logged(random, property ? OPERATION_PROPERTY_CREATE : OPERATION_ROOM_TYPE_CREATE, record);
    record->mutation.fence_token = 0;
    record->mutation.fence_resource = 0;
    record->mutation.not_after_ns = add_saturating(random->log_time_ns, 1);
    record->header.key = key_of(++random->fresh_key);
    if (property) {
        record->header.property = number;
    }
    return true;
}

static uint8_t draw_kind(struct random_commands *random)
{
    uint64_t total = 0;
    for (size_t i = 0; i < ARRAY_COUNT(logged_kinds); i++) {
        total += random->weights[logged_kinds[i]];
    }
    uint64_t pick = random_below(random, total);
    size_t i = 0;
    while (pick >= random->weights[logged_kinds[i]]) {
        pick -= random->weights[logged_kinds[i++]];
    }
    return logged_kinds[i];
}

/* Something of the content becomes other than it was, and stays right. */
static void change_content(struct random_commands *random, union random_item *record)
{
    switch (record->header.kind) {
    case OPERATION_RESERVE:
        record->reserve.external_reference++;
        break;
    case OPERATION_PROPERTY_CREATE:
        record->property_create.business_date = random->base_date;
        break;
    case OPERATION_ROOM_TYPE_CREATE:
    case OPERATION_ROOMS_SET:
        record->room_type_create.room_type ^= 2;
        record->room_type_create.room_type |= record->room_type_create.room_type == 0;
        break;
    default:
        record->reservation_change.expected_version++;
        break;
    }
}

/* A past mutation once more: as it was, with another deadline or token (the same request still), with other content, or
 * its key under another operation. */
static bool draw_retry(struct random_commands *random, union random_item *record)
{
    const union random_item *past = draw_past(random);
    if (past == NULL) {
        return false;
    }
    *record = *past;
    uint64_t way = random_below(random, 10);
    if (way == 7) {
        record->mutation.not_after_ns = draw_not_after_ns(random);
    } else if (way == 8) {
        change_content(random, record);
    } else if (way == 9) {
        draw_logged(random, logged_kinds[random_below(random, 7)], record);
        record->header.property = past->header.property;
        record->header.key = past->header.key;
    } else if (way == 6) {
        struct random_grant grant = draw_token(random, record->header.property);
        record->mutation.fence_token = grant.token;
        record->mutation.fence_resource =
            past->mutation.fence_token == 0 ? grant.resource : past->mutation.fence_resource;
    }
    bool names_itself = record->header.kind >= OPERATION_CONFIRM && record->header.kind <= OPERATION_CANCEL &&
                        key_equal(record->reservation_change.reservation, record->header.key);
    return !names_itself;
}

uint64_t random_record(struct random_commands *random, bool first_of_frame, union random_item *record)
{
    bool drawn = draw_setup(random, record);
    drawn = drawn || (random_chance(random, random->retry_percent) && draw_retry(random, record));
    if (!drawn) {
        draw_logged(random, draw_kind(random), record);
    }
    if (first_of_frame && random_chance(random, random->flood && random->frames_since_jump > 1 ? 40 : 5)) {
        draw_logged(random, OPERATION_RECOVERED, record);
    }
    random->commands_count++;
    return random_next_lsn(random);
}

static bool is_mutation(uint8_t kind)
{
    return (kind >= OPERATION_PROPERTY_CREATE && kind <= OPERATION_ROOMS_SET) ||
           (kind >= OPERATION_RESERVE && kind <= OPERATION_CANCEL);
}

void random_note(struct random_commands *random, const struct record_header *record, const union apply_result *result)
{
    if (is_mutation(record->kind)) {
        union random_item *slot = &random->history[random->history_count++ % RANDOM_HISTORY_MAX];
        memset(slot, 0, sizeof *slot);
        memcpy(slot, record, record->size);
    }
    if (record->kind == OPERATION_RESERVE && result->header.status == STATUS_OK) {
        random->made[random->made_count++ % RANDOM_MADE_MAX] = (struct random_made){ record->property, record->key };
    }
    if (record->kind == OPERATION_LEASE_ACQUIRE && result->header.status == STATUS_OK) {
        const struct lease_acquire *acquire = (const void *)record;
        random->grants[random->grants_count++ % RANDOM_TOKENS_MAX] =
            (struct random_grant){ record->property, acquire->resource, result->lease.token };
    }
}

/* ---- Queries ------------------------------------------------------------------------------------------------------- */

static void draw_lookup(struct random_commands *random, struct record_header *header)
{
    const union random_item *past = draw_past(random);
    bool known = past != NULL && random_chance(random, 90);
    header->property = known ? past->header.property : draw_property(random);
    header->key = known ? past->header.key : key_of(random_between(random, 1, random->keys));
}

static void draw_calendar(struct random_commands *random, struct calendar *query)
{
    query->header.property = draw_property(random);
    bool all = random_chance(random, 60);
    query->room_type = all ? ROOM_TYPE_ALL : draw_room_type(random);
    query->after_type = all && random_chance(random, 40) ? draw_room_type(random) : 0;
    query->first_night = draw_night(random);
    query->nights = (uint16_t)random_between(random, 1, random->limits.horizon_nights + 2);
    query->nights = query->nights > NIGHTS_MAX ? NIGHTS_MAX : query->nights;
    query->first_night -= query->first_night == DAY_NUMBER_MAX;
    int32_t nights_max = DAY_NUMBER_MAX - query->first_night;
    query->nights = query->nights > nights_max ? (uint16_t)nights_max : query->nights;
}

void random_query(struct random_commands *random, union random_item *query)
{
    static const uint8_t kinds[] = { OPERATION_LOOKUP, OPERATION_LOOKUP, OPERATION_CALENDAR, OPERATION_LEASE_SHOW };
    begin_item(query, kinds[random_below(random, ARRAY_COUNT(kinds))]);
    if (query->header.kind == OPERATION_LOOKUP) {
        draw_lookup(random, &query->header);
    } else if (query->header.kind == OPERATION_CALENDAR) {
        draw_calendar(random, &query->calendar);
    } else {
        const struct random_grant *grant = draw_grant(random, 0);
        bool known = grant != NULL && random_chance(random, 70);
        query->header.property = known ? grant->property : draw_property(random);
        query->lease_show.resource = known ? grant->resource : draw_resource(random);
    }
}
