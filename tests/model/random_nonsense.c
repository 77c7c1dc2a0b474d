/* Items as nobody should send them, and an independent judgement of what is right; see random_commands.h. */
#include "tests/model/random_commands.h"

#include "engine/base/civil_date.h"

#include <string.h>

/* ---- Damage -------------------------------------------------------------------------------------------------------- */

/* Values at and beyond the bounds of one field or another. */
static uint64_t edge_value(struct random_commands *random)
{
    static const uint64_t edges[] = {
        0,
        1,
        2,
        31,
        32,
        33,
        127,
        128,
        255,
        256,
        ROOMS_MAX,
        ROOMS_MAX + 1,
        NIGHTS_MAX,
        NIGHTS_MAX + 1,
        UINT16_MAX,
        INT32_MAX,
        (uint64_t)INT32_MAX + 1,
        UINT32_MAX,
        TTL_NS_MAX,
        TTL_NS_MAX + 1,
        INT64_MAX,
        (uint64_t)INT64_MAX + 1,
        UINT64_MAX,
        (uint32_t)DAY_NUMBER_MIN,
        (uint32_t)DAY_NUMBER_MIN - 1,
        DAY_NUMBER_MAX,
        DAY_NUMBER_MAX + 1,
    };
    return random_chance(random, 30) ? 0 : edges[random_below(random, ARRAY_COUNT(edges))];
}

/* Overwrites one aligned field of 1, 2, 4 or 8 bytes. */
static void damage_field(struct random_commands *random, union random_item *item, size_t whole)
{
    size_t width = (size_t)1 << random_below(random, 4);
    size_t offset = random_below(random, whole / width) * width;
    uint64_t value = edge_value(random);
    memcpy(item->bytes + offset, &value, width);
}

static void damage_bit(struct random_commands *random, union random_item *item, size_t whole)
{
    uint64_t bit = random_below(random, (uint64_t)whole * 8);
    item->bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
}

static void damage_once(struct random_commands *random, union random_item *item, size_t whole)
{
    switch (random_below(random, 8)) {
    case 0:
        item->header.size = (uint16_t)(random_chance(random, 50) ? edge_value(random) : item->header.size + 8u);
        break;
    case 1:
        item->header.kind = (uint8_t)random_below(random, 256);
        break;
    case 2:
    case 3:
        damage_bit(random, item, whole);
        break;
    default:
        damage_field(random, item, whole);
        break;
    }
}

size_t random_nonsense(struct random_commands *random, union random_item *item)
{
    struct random_commands aside = *random;
    if (random_chance(&aside, 25)) {
        random_query(&aside, item);
    } else {
        do {
            (void)random_record(&aside, false, item);
        } while (item->header.kind >= OPERATION_CONFIG && random_chance(&aside, 90));
    }
    size_t whole = item->header.size;
    for (uint64_t times = random_below(&aside, 3); times > 0; times--) {
        damage_once(&aside, item, whole);
    }
    random->prng = aside.prng;
    return random_chance(random, 90) ? whole : random_below(random, whole + 1);
}

/* ---- Judgement ----------------------------------------------------------------------------------------------------- */

static enum verdict wrong_if(bool wrong)
{
    return wrong ? VERDICT_WRONG : VERDICT_RIGHT;
}

static bool date_wrong(int32_t night)
{
    return night < DAY_NUMBER_MIN || night > DAY_NUMBER_MAX;
}

static bool mutation_wrong(const struct mutation *mutation)
{
    return key_is_zero(mutation->header.key) || mutation->not_after_ns == 0 ||
           (mutation->fence_token == 0) != (mutation->fence_resource == 0);
}

static enum verdict judge_reserve(const struct reserve *command)
{
    const struct reserve_line *line = &command->lines[0];
    if (mutation_wrong(&command->mutation) || command->hold_ns > TTL_NS_MAX || date_wrong(command->arrival) ||
        command->nights == 0 || command->nights > NIGHTS_MAX || command->lines_count != 1 || line->room_type == 0 ||
        line->rooms == 0 || line->rooms > ROOMS_MAX || line->reserved != 0) {
        return VERDICT_WRONG;
    }
    bool leaves_calendar = command->arrival + command->nights > DAY_NUMBER_MAX;
    return leaves_calendar ? VERDICT_EITHER : VERDICT_RIGHT;
}

static enum verdict judge_rooms_set(const struct rooms_set *command)
{
    if (mutation_wrong(&command->mutation) || command->room_type == 0 || date_wrong(command->first_night) ||
        date_wrong(command->last_night) || command->first_night > command->last_night || command->weekdays == 0 ||
        command->weekdays > WEEKDAYS_ALL || command->reserved != 0 || command->rooms > ROOMS_MAX) {
        return VERDICT_WRONG;
    }
    bool longer_than_any = command->last_night - command->first_night >= NIGHTS_MAX;
    return longer_than_any ? VERDICT_EITHER : VERDICT_RIGHT;
}

static enum verdict judge_change(const struct reservation_change *command)
{
    if (mutation_wrong(&command->mutation) || key_is_zero(command->reservation) || command->reserved != 0) {
        return VERDICT_WRONG;
    }
    bool names_itself = key_equal(command->reservation, command->mutation.header.key);
    return names_itself ? VERDICT_EITHER : VERDICT_RIGHT;
}

static bool owner_wrong(const char owner[OWNER_SIZE])
{
    bool ended = false;
    for (size_t i = 0; i < OWNER_SIZE; i++) {
        if (ended && owner[i] != 0) {
            return true;
        }
        ended = ended || owner[i] == 0;
    }
    return owner[0] == 0;
}

static bool ttl_wrong(uint64_t ttl_ns)
{
    return ttl_ns == 0 || ttl_ns > TTL_NS_MAX;
}

static enum verdict judge_lease(const union random_item *item)
{
    bool keyed = !key_is_zero(item->header.key);
    const struct lease_acquire *acquire = &item->lease_acquire;
    const struct lease_renew *renew = &item->lease_renew;
    const struct lease_release *release = &item->lease_release;
    switch (item->header.kind) {
    case OPERATION_LEASE_ACQUIRE:
        return wrong_if(!keyed || acquire->resource == 0 || ttl_wrong(acquire->ttl_ns) || owner_wrong(acquire->owner));
    case OPERATION_LEASE_RENEW:
        return wrong_if(keyed || renew->resource == 0 || renew->token == 0 || ttl_wrong(renew->ttl_ns));
    default:
        return wrong_if(keyed || release->resource == 0 || release->token == 0);
    }
}

static enum verdict judge_calendar(const struct calendar *query)
{
    if (!key_is_zero(query->header.key) || query->reserved != 0 || date_wrong(query->first_night)) {
        return VERDICT_WRONG;
    }
    bool leaves_calendar = query->first_night + query->nights > DAY_NUMBER_MAX;
    bool open = leaves_calendar || query->nights == 0 || query->nights > NIGHTS_MAX ||
                (query->room_type != 0 && query->after_type != 0);
    return open ? VERDICT_EITHER : VERDICT_RIGHT;
}

/* How many shards there are is not known here, so any number of one but the first may be refused. */
static enum verdict judge_barrier(const struct record_header *header)
{
    bool open = (header->flags & RECORD_BY_SHARD) != 0 && header->property != 0;
    return open && key_is_zero(header->key) ? VERDICT_EITHER : wrong_if(!key_is_zero(header->key));
}

static enum verdict judge_body(const union random_item *item)
{
    const struct record_header *header = &item->header;
    switch (header->kind) {
    case OPERATION_PROPERTY_CREATE:
        return wrong_if(mutation_wrong(&item->mutation) || date_wrong(item->property_create.business_date) ||
                        item->property_create.reserved != 0);
    case OPERATION_ROOM_TYPE_CREATE:
        return wrong_if(mutation_wrong(&item->mutation) || item->room_type_create.room_type == 0 ||
                        item->room_type_create.rooms > ROOMS_MAX || item->room_type_create.reserved != 0);
    case OPERATION_ROOMS_SET:
        return judge_rooms_set(&item->rooms_set);
    case OPERATION_RESERVE:
        return judge_reserve(&item->reserve);
    case OPERATION_CONFIRM:
    case OPERATION_RELEASE:
    case OPERATION_CANCEL:
        return judge_change(&item->reservation_change);
    case OPERATION_BARRIER:
        return judge_barrier(header);
    case OPERATION_RAISE_LEVEL:
        return wrong_if(!key_is_zero(header->key) || item->raise_level.level == 0 || item->raise_level.reserved != 0);
    case OPERATION_LOOKUP:
        return wrong_if(key_is_zero(header->key));
    case OPERATION_CALENDAR:
        return judge_calendar(&item->calendar);
    case OPERATION_LEASE_SHOW:
        return wrong_if(!key_is_zero(header->key) || item->lease_show.resource == 0);
    default:
        return judge_lease(item);
    }
}

/* The size an operation's item must have; 0 for what must not come from outside, or does not exist. */
static size_t right_size(uint8_t kind)
{
    switch (kind) {
#define RIGHT_SIZE(name, number, item, class) \
    case OPERATION_##name:                    \
        return sizeof(struct item);
        OPERATION_MAP(RIGHT_SIZE)
#undef RIGHT_SIZE
    default:
        return 0;
    }
}

enum verdict random_judge(const union random_item *item, size_t available_bytes)
{
    if (available_bytes < sizeof item->header) {
        return VERDICT_WRONG;
    }
    const struct record_header *header = &item->header;
    size_t size = header->kind >= OPERATION_CONFIG ? 0 : right_size(header->kind);
    if (size == 0 || header->size != size || size > available_bytes || header->version != 1) {
        return VERDICT_WRONG;
    }
    if (header->kind == OPERATION_STATUS || header->kind == OPERATION_HELLO || header->kind == OPERATION_SNAPSHOT) {
        return VERDICT_EITHER;
    }
    if (header->kind == OPERATION_RAISE_LEVEL && header->flags != RECORD_BY_SHARD) {
        return VERDICT_WRONG;
    }
    if (header->kind == OPERATION_RAISE_LEVEL && header->property > UINT16_MAX) {
        return VERDICT_WRONG;
    }
    bool by_shard = header->kind == OPERATION_BARRIER || header->kind == OPERATION_RAISE_LEVEL;
    uint32_t flags_known = by_shard ? RECORD_BY_SHARD : 0;
    if ((header->flags & ~flags_known) != 0 || (header->property == 0 && (header->flags & RECORD_BY_SHARD) == 0)) {
        return VERDICT_WRONG;
    }
    return judge_body(item);
}
