#include "engine/command.h"

#include "engine/base/civil_date.h"

#include <string.h>

const uint8_t operation_classes[UINT8_MAX + 1] = {
#define OPERATION_CLASS(name, number, item, class) [number] = OPERATION_CLASS_##class,
    OPERATION_MAP(OPERATION_CLASS)
#undef OPERATION_CLASS
};
static_assert(OPERATION_CLASS_UNKNOWN == 0, "what the map does not name is unknown");

/* The map's names are in capitals; people and scripts read them in small letters. */
const char *operation_name(uint8_t kind)
{
    static const char *const names[] = {
        [OPERATION_PROPERTY_CREATE] = "property_create",
        [OPERATION_ROOM_TYPE_CREATE] = "room_type_create",
        [OPERATION_ROOMS_SET] = "rooms_set",
        [OPERATION_RESERVE] = "reserve",
        [OPERATION_CONFIRM] = "confirm",
        [OPERATION_RELEASE] = "release",
        [OPERATION_CANCEL] = "cancel",
        [OPERATION_LEASE_ACQUIRE] = "lease_acquire",
        [OPERATION_LEASE_RENEW] = "lease_renew",
        [OPERATION_LEASE_RELEASE] = "lease_release",
        [OPERATION_BARRIER] = "barrier",
        [OPERATION_RAISE_LEVEL] = "raise_level",
        [OPERATION_LOOKUP] = "lookup",
        [OPERATION_CALENDAR] = "calendar",
        [OPERATION_LEASE_SHOW] = "lease_show",
        [OPERATION_STATUS] = "status",
        [OPERATION_SNAPSHOT] = "snapshot",
        [OPERATION_HELLO] = "hello",
        [OPERATION_CONFIG] = "config",
        [OPERATION_RECOVERED] = "recovered",
        [OPERATION_COMMIT_LATENCY] = "commit_latency",
        [OPERATION_EPOCH] = "epoch",
        [OPERATION_DIGEST] = "digest",
    };
    if (kind >= ARRAY_COUNT(names) || names[kind] == NULL)
        return "unknown";
    return names[kind];
}

/* ---- Size, version, flags, names ----------------------------------------------------------------------------------- */

/* A reserve's size follows its lines, so that a wrong number of lines is told from a wrong size. */
static enum status check_reserve_size(const struct reserve *reserve)
{
    if (reserve->mutation.header.size < offsetof(struct reserve, lines))
        return STATUS_BAD_ITEM_SIZE;
    if (reserve->lines_count == 0 || reserve->lines_count > LINES_MAX)
        return STATUS_BAD_LINES;
    if (reserve->mutation.header.size !=
        offsetof(struct reserve, lines) + reserve->lines_count * sizeof(struct reserve_line))
        return STATUS_BAD_ITEM_SIZE;
    return STATUS_OK;
}

static size_t operation_item_size(uint8_t kind)
{
    switch (kind) {
#define OPERATION_SIZE(name, number, item, class) \
    case number:                                  \
        return sizeof(struct item);
        OPERATION_MAP(OPERATION_SIZE)
#undef OPERATION_SIZE
    default:
        return 0;
    }
}

static enum status check_size(const struct record_header *item, size_t available_bytes)
{
    if (item->size < sizeof(*item) || item->size > available_bytes || item->size % RECORD_ALIGNMENT != 0)
        return STATUS_BAD_ITEM_SIZE;
    if (item->kind == OPERATION_RESERVE)
        return check_reserve_size((const struct reserve *)(const void *)item);
    return item->size == operation_item_size(item->kind) ? STATUS_OK : STATUS_BAD_ITEM_SIZE;
}

static enum status check_property(const struct record_header *item)
{
    bool by_shard = (item->flags & RECORD_BY_SHARD) != 0;
    bool must_be_by_shard =
        item->kind == OPERATION_STATUS || item->kind == OPERATION_RAISE_LEVEL || item->kind == OPERATION_SNAPSHOT;
    bool may_be_by_shard = item->kind == OPERATION_BARRIER || must_be_by_shard;
    if ((item->flags & ~(uint32_t)RECORD_BY_SHARD) != 0 || (by_shard && !may_be_by_shard) ||
        (!by_shard && must_be_by_shard))
        return STATUS_BAD_ITEM_FLAGS;
    if (item->kind == OPERATION_HELLO)
        return item->property == 0 ? STATUS_OK : STATUS_RESERVED_NOT_ZERO;
    if (by_shard)
        return item->property <= UINT16_MAX ? STATUS_OK : STATUS_NO_SUCH_SHARD; /* results name shards in 16 bits */
    return item->property != 0 ? STATUS_OK : STATUS_ZERO_PROPERTY;
}

static enum status check_key(const struct record_header *item)
{
    bool takes_key = operation_class(item->kind) == OPERATION_CLASS_MUTATION || item->kind == OPERATION_LEASE_ACQUIRE ||
                     item->kind == OPERATION_LOOKUP;
    if (takes_key)
        return key_is_zero(item->key) ? STATUS_ZERO_KEY : STATUS_OK;
    return key_is_zero(item->key) ? STATUS_OK : STATUS_UNEXPECTED_KEY;
}

/* ---- Fields shared by several operations ---------------------------------------------------------------------------- */

static bool is_date(int32_t day_number)
{
    return day_number >= DAY_NUMBER_MIN && day_number <= DAY_NUMBER_MAX;
}

static enum status check_nights(int32_t first_night, uint32_t nights)
{
    if (nights == 0)
        return STATUS_ZERO_NIGHTS;
    if (nights > NIGHTS_MAX)
        return STATUS_TOO_MANY_NIGHTS;
    if (!is_date(first_night) || !is_date(first_night + (int32_t)nights - 1))
        return STATUS_BAD_DATE;
    return STATUS_OK;
}

static enum status check_ttl(uint64_t ttl_ns)
{
    if (ttl_ns == 0)
        return STATUS_ZERO_TTL;
    return ttl_ns <= TTL_NS_MAX ? STATUS_OK : STATUS_TTL_TOO_LONG;
}

/* A name fills its field from the front; what follows its end is zero. */
static bool is_zero_padded(const char name[OWNER_SIZE])
{
    size_t length = strnlen(name, OWNER_SIZE);
    for (size_t i = length; i < OWNER_SIZE; i++)
        if (name[i] != '\0')
            return false;
    return true;
}

static enum status check_mutation(const struct mutation *mutation)
{
    if (mutation->not_after_ns == 0)
        return STATUS_ZERO_DEADLINE;
    if ((mutation->fence_token == 0) != (mutation->fence_resource == 0))
        return STATUS_BAD_FENCE;
    return STATUS_OK;
}

/* ---- One function an operation's own fields ------------------------------------------------------------------------ */

static enum status check_property_create(const struct property_create *create)
{
    if (!is_date(create->business_date))
        return STATUS_BAD_DATE;
    return create->reserved == 0 ? STATUS_OK : STATUS_RESERVED_NOT_ZERO;
}

static enum status check_room_type_create(const struct room_type_create *create)
{
    if (create->room_type == 0)
        return STATUS_ZERO_ROOM_TYPE;
    if (create->rooms > ROOMS_MAX)
        return STATUS_TOO_MANY_ROOMS;
    return create->reserved == 0 ? STATUS_OK : STATUS_RESERVED_NOT_ZERO;
}

static enum status check_rooms_set(const struct rooms_set *set)
{
    if (set->room_type == 0)
        return STATUS_ZERO_ROOM_TYPE;
    if (!is_date(set->first_night) || !is_date(set->last_night))
        return STATUS_BAD_DATE;
    if (set->first_night > set->last_night)
        return STATUS_REVERSED_RANGE;
    if (set->weekdays == 0 || set->weekdays > WEEKDAYS_ALL)
        return STATUS_BAD_WEEKDAYS;
    if (set->rooms > ROOMS_MAX)
        return STATUS_TOO_MANY_ROOMS;
    return set->reserved == 0 ? STATUS_OK : STATUS_RESERVED_NOT_ZERO;
}

static enum status check_reserve(const struct reserve *reserve)
{
    const struct reserve_line *line = &reserve->lines[0];
    enum status status = check_nights(reserve->arrival, reserve->nights);
    if (status != STATUS_OK)
        return status;
    if (reserve->hold_ns > TTL_NS_MAX)
        return STATUS_TTL_TOO_LONG;
    if (line->room_type == 0)
        return STATUS_ZERO_ROOM_TYPE;
    if (line->rooms == 0)
        return STATUS_ZERO_ROOMS;
    if (line->rooms > ROOMS_MAX)
        return STATUS_TOO_MANY_ROOMS;
    return line->reserved == 0 ? STATUS_OK : STATUS_RESERVED_NOT_ZERO;
}

static enum status check_reservation_change(const struct reservation_change *change)
{
    if (key_is_zero(change->reservation))
        return STATUS_ZERO_KEY;
    return change->reserved == 0 ? STATUS_OK : STATUS_RESERVED_NOT_ZERO;
}

static enum status check_lease_acquire(const struct lease_acquire *acquire)
{
    if (acquire->resource == 0)
        return STATUS_ZERO_RESOURCE;
    if (acquire->owner[0] == '\0' || !is_zero_padded(acquire->owner))
        return STATUS_BAD_OWNER;
    return check_ttl(acquire->ttl_ns);
}

static enum status check_lease_renew(const struct lease_renew *renew)
{
    if (renew->resource == 0)
        return STATUS_ZERO_RESOURCE;
    if (renew->token == 0)
        return STATUS_ZERO_TOKEN;
    return check_ttl(renew->ttl_ns);
}

static enum status check_lease_release(const struct lease_release *release)
{
    if (release->resource == 0)
        return STATUS_ZERO_RESOURCE;
    return release->token != 0 ? STATUS_OK : STATUS_ZERO_TOKEN;
}

static enum status check_snapshot_request(const struct snapshot_request *request)
{
    if (request->keep_ns > SNAPSHOT_KEEP_NS_MAX)
        return STATUS_TTL_TOO_LONG;
    return request->take <= 1 && request->reserved == 0 ? STATUS_OK : STATUS_RESERVED_NOT_ZERO;
}

static enum status check_raise_level(const struct raise_level *raise)
{
    if (raise->level == 0)
        return STATUS_UNKNOWN_LEVEL;
    return raise->reserved == 0 ? STATUS_OK : STATUS_RESERVED_NOT_ZERO;
}

static enum status check_calendar(const struct calendar *calendar)
{
    enum status status = check_nights(calendar->first_night, calendar->nights);
    if (status != STATUS_OK)
        return status;
    /* after_type continues a walk over all types; with a single one there is nothing to continue. */
    if (calendar->room_type != ROOM_TYPE_ALL && calendar->after_type != 0)
        return STATUS_RESERVED_NOT_ZERO;
    return calendar->reserved == 0 ? STATUS_OK : STATUS_RESERVED_NOT_ZERO;
}

static enum status check_hello(const struct hello *hello)
{
    if (!is_zero_padded(hello->client))
        return STATUS_BAD_OWNER;
    return hello->reserved == 0 ? STATUS_OK : STATUS_RESERVED_NOT_ZERO;
}

static enum status check_status_query(const struct status_query *query)
{
    return query->with_hash <= 1 && query->reserved == 0 ? STATUS_OK : STATUS_RESERVED_NOT_ZERO;
}

#define ITEM_AS(type, item) ((const struct type *)(const void *)(item))

static enum status check_mutation_body(const struct record_header *item)
{
    enum status status = check_mutation(ITEM_AS(mutation, item));
    if (status != STATUS_OK)
        return status;
    switch (item->kind) {
    case OPERATION_PROPERTY_CREATE:
        return check_property_create(ITEM_AS(property_create, item));
    case OPERATION_ROOM_TYPE_CREATE:
        return check_room_type_create(ITEM_AS(room_type_create, item));
    case OPERATION_ROOMS_SET:
        return check_rooms_set(ITEM_AS(rooms_set, item));
    case OPERATION_RESERVE:
        return check_reserve(ITEM_AS(reserve, item));
    default:
        return check_reservation_change(ITEM_AS(reservation_change, item));
    }
}

static enum status check_body(const struct record_header *item)
{
    if (operation_class(item->kind) == OPERATION_CLASS_MUTATION)
        return check_mutation_body(item);
    switch (item->kind) {
    case OPERATION_LEASE_ACQUIRE:
        return check_lease_acquire(ITEM_AS(lease_acquire, item));
    case OPERATION_LEASE_RENEW:
        return check_lease_renew(ITEM_AS(lease_renew, item));
    case OPERATION_LEASE_RELEASE:
        return check_lease_release(ITEM_AS(lease_release, item));
    case OPERATION_RAISE_LEVEL:
        return check_raise_level(ITEM_AS(raise_level, item));
    case OPERATION_CALENDAR:
        return check_calendar(ITEM_AS(calendar, item));
    case OPERATION_LEASE_SHOW:
        return ITEM_AS(lease_show, item)->resource != 0 ? STATUS_OK : STATUS_ZERO_RESOURCE;
    case OPERATION_STATUS:
        return check_status_query(ITEM_AS(status_query, item));
    case OPERATION_SNAPSHOT:
        return check_snapshot_request(ITEM_AS(snapshot_request, item));
    case OPERATION_HELLO:
        return check_hello(ITEM_AS(hello, item));
    default:
        return STATUS_OK; /* BARRIER and LOOKUP are all header */
    }
}

static enum status check_shape(const struct record_header *item, size_t available_bytes)
{
    if (item->version != 1)
        return STATUS_BAD_ITEM_VERSION;
    return check_size(item, available_bytes);
}

enum status command_check(const struct record_header *item, size_t available_bytes)
{
    REQUIRE((uintptr_t)item % RECORD_ALIGNMENT == 0);
    if (available_bytes < sizeof(*item))
        return STATUS_BAD_ITEM_SIZE;
    enum operation_class class = operation_class(item->kind);
    if (class == OPERATION_CLASS_UNKNOWN || class == OPERATION_CLASS_SYSTEM)
        return STATUS_UNKNOWN_OPERATION;
    enum status status = check_shape(item, available_bytes);
    if (status == STATUS_OK)
        status = check_property(item);
    if (status == STATUS_OK)
        status = check_key(item);
    return status == STATUS_OK ? check_body(item) : status;
}

/* System records name their shard or nothing; their key is zero. What a CONFIG says is judged where it is applied. */
static enum status check_system(const struct record_header *record, size_t available_bytes)
{
    enum status status = check_shape(record, available_bytes);
    if (status != STATUS_OK)
        return status;
    if ((record->flags & ~(uint32_t)RECORD_BY_SHARD) != 0)
        return STATUS_BAD_ITEM_FLAGS;
    return key_is_zero(record->key) ? STATUS_OK : STATUS_UNEXPECTED_KEY;
}

enum status record_check(const struct record_header *record, size_t available_bytes)
{
    REQUIRE((uintptr_t)record % RECORD_ALIGNMENT == 0);
    if (available_bytes < sizeof(*record))
        return STATUS_BAD_ITEM_SIZE;
    switch (operation_class(record->kind)) {
    case OPERATION_CLASS_MUTATION:
    case OPERATION_CLASS_LEASE:
    case OPERATION_CLASS_TICK:
        return command_check(record, available_bytes);
    case OPERATION_CLASS_SYSTEM:
        return check_system(record, available_bytes);
    case OPERATION_CLASS_UNKNOWN:
    case OPERATION_CLASS_QUERY:
    case OPERATION_CLASS_SESSION:
    default:
        return STATUS_UNKNOWN_OPERATION;
    }
}

/* ---- Fingerprints and sizes ---------------------------------------------------------------------------------------- */

/* The covered bytes lie in two pieces; they are small, so they are put side by side and hashed at once. */
#define FINGERPRINT_HEAD 16
#define FINGERPRINT_TAIL_OFFSET 48
#define FINGERPRINT_SIZE_MAX (FINGERPRINT_HEAD + sizeof(struct reserve) - FINGERPRINT_TAIL_OFFSET)
static_assert(FINGERPRINT_HEAD == offsetof(struct record_header, key), "the key is not covered");
static_assert(FINGERPRINT_TAIL_OFFSET == offsetof(struct mutation, fence_resource), "deadline and token are not");
static_assert(sizeof(struct reserve) >= sizeof(struct rooms_set), "a reserve is the largest mutation");
static_assert(sizeof(struct reserve) >= sizeof(struct reservation_change), "a reserve is the largest mutation");

struct hash128 mutation_fingerprint(const struct mutation *mutation)
{
    REQUIRE(operation_class(mutation->header.kind) == OPERATION_CLASS_MUTATION);
    REQUIRE(mutation->header.size >= sizeof(*mutation));
    REQUIRE(mutation->header.size <= sizeof(struct reserve));
    const uint8_t *bytes = (const uint8_t *)mutation;
    uint8_t covered[FINGERPRINT_SIZE_MAX];
    size_t tail_size = mutation->header.size - (size_t)FINGERPRINT_TAIL_OFFSET;
    memcpy(covered, bytes, FINGERPRINT_HEAD);
    memcpy(covered + FINGERPRINT_HEAD, bytes + FINGERPRINT_TAIL_OFFSET, tail_size);
    return hash128(covered, FINGERPRINT_HEAD + tail_size, 0);
}

static uint32_t calendar_size_max(const struct calendar *calendar)
{
    if (calendar->room_type == ROOM_TYPE_ALL)
        return (uint32_t)RESULT_SIZE_MAX;
    return (uint32_t)(sizeof(struct calendar_result) + sizeof(struct calendar_type) +
                      calendar->nights * sizeof(struct calendar_night));
}

uint32_t result_size_max(const struct record_header *item)
{
    switch (operation_class(item->kind)) {
    case OPERATION_CLASS_MUTATION:
        return sizeof(struct mutation_result);
    case OPERATION_CLASS_LEASE:
        return sizeof(struct lease_result);
    case OPERATION_CLASS_QUERY:
        if (item->kind == OPERATION_CALENDAR)
            return calendar_size_max(ITEM_AS(calendar, item));
        return item->kind == OPERATION_LOOKUP ? sizeof(struct lookup_result) : sizeof(struct lease_result);
    case OPERATION_CLASS_SESSION:
        if (item->kind == OPERATION_SNAPSHOT)
            return sizeof(struct snapshot_result);
        return item->kind == OPERATION_STATUS ? sizeof(struct status_result) : sizeof(struct hello_result);
    case OPERATION_CLASS_TICK:
        return item->kind == OPERATION_RAISE_LEVEL ? sizeof(struct level_result) : sizeof(struct barrier_result);
    case OPERATION_CLASS_SYSTEM:
    case OPERATION_CLASS_UNKNOWN:
    default:
        return sizeof(struct barrier_result);
    }
}
