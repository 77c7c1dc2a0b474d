/* engine/command.c: an item from outside is judged before anything else sees it. */
#include "tests/engine/fixture.h"

#include "engine/base/civil_date.h"

#include <criterion/criterion.h>
#include <string.h>

/* One item of each kind that passes; a test spoils one field of it. */
union item {
    struct record_header header;
    struct mutation mutation;
    struct property_create property_create;
    struct room_type_create room_type_create;
    struct rooms_set rooms_set;
    struct reserve reserve;
    struct reservation_change change;
    struct lease_acquire acquire;
    struct lease_renew renew;
    struct lease_release release;
    struct barrier barrier;
    struct raise_level raise;
    struct snapshot_request snapshot;
    struct lookup lookup;
    struct calendar calendar;
    struct lease_show show;
    struct status_query status;
    struct hello hello;
    struct config_record config;
    struct recovered_record recovered;
    struct commit_latency_record latency;
    struct epoch_record epoch;
    struct digest_record digest;
    uint8_t bytes[RECORD_SIZE_MAX];
};

static union item item;

static const uint8_t kinds[] = {
#define KIND(name, number, item, class) number,
    OPERATION_MAP(KIND)
#undef KIND
};

static void fill_header(uint8_t kind, size_t size)
{
    memset(&item, 0, sizeof(item));
    item.header = (struct record_header){ .size = (uint16_t)size, .kind = kind, .version = 1, .property = 1 };
}

static void fill_by_shard(uint8_t kind, size_t size)
{
    fill_header(kind, size);
    item.header.flags = RECORD_BY_SHARD;
}

static void fill_by_kind(uint8_t kind)
{
    static const struct world world = { .time_ns = START_NS };
    static const struct key none;
    fill_header(kind, sizeof(struct record_header));
    switch (kind) {
    case OPERATION_PROPERTY_CREATE:
        item.property_create = make_property(&world, 1, PROPERTY);
        break;
    case OPERATION_ROOM_TYPE_CREATE:
        item.room_type_create = make_room_type(&world, 1, ROOM_TYPE, 1);
        break;
    case OPERATION_ROOMS_SET:
        item.rooms_set = make_rooms_set(&world, 1, NIGHT_0, NIGHT_0, 1);
        break;
    case OPERATION_RESERVE:
        item.reserve = make_reserve(&world, 1, NIGHT_0, 1);
        break;
    case OPERATION_CONFIRM:
    case OPERATION_RELEASE:
    case OPERATION_CANCEL:
        item.change = make_change(&world, kind, 1, 2);
        break;
    case OPERATION_LEASE_ACQUIRE:
        item.acquire = make_acquire(1, 1, 1);
        break;
    case OPERATION_LEASE_RENEW:
        item.renew = make_renew(1, 1, 1);
        break;
    case OPERATION_LEASE_RELEASE:
        item.release = make_release(1, 1);
        break;
    case OPERATION_SNAPSHOT:
        fill_by_shard(kind, sizeof(item.snapshot));
        item.snapshot.take = 1;
        break;
    case OPERATION_RAISE_LEVEL:
        fill_by_shard(kind, sizeof(item.raise));
        item.raise.level = 1;
        break;
    case OPERATION_LOOKUP:
        item.lookup = make_lookup(1);
        break;
    case OPERATION_CALENDAR:
        item.calendar = make_calendar(ROOM_TYPE, NIGHT_0, 1);
        break;
    case OPERATION_LEASE_SHOW:
        item.show = make_show(1);
        break;
    case OPERATION_STATUS:
        fill_by_shard(kind, sizeof(item.status));
        break;
    case OPERATION_HELLO:
        fill_header(kind, sizeof(item.hello));
        item.header.property = 0;
        break;
    case OPERATION_CONFIG:
        fill_header(kind, sizeof(item.config));
        break;
    case OPERATION_COMMIT_LATENCY:
        fill_header(kind, sizeof(item.latency));
        break;
    case OPERATION_EPOCH:
        fill_header(kind, sizeof(item.epoch));
        break;
    case OPERATION_DIGEST:
        fill_header(kind, sizeof(item.digest));
        break;
    default:
        item.header.key = none; /* BARRIER and RECOVERED are all header */
        break;
    }
}

static enum status judge(void)
{
    return command_check(&item.header, sizeof(item));
}

/* Expects a verdict on the item as it is, then makes it whole again. */
#define EXPECT(verdict, kind, spoil)                                                                        \
    do {                                                                                                    \
        fill_by_kind(kind);                                                                                 \
        cr_assert_eq(judge(), STATUS_OK, "%s passes unspoiled", operation_name(kind));                      \
        spoil;                                                                                              \
        cr_assert_eq(judge(), (verdict), "%s; %s: %s", operation_name(kind), #spoil, status_name(judge())); \
    } while (0)

Test(command, what_the_wire_may_carry_passes_and_system_records_never_do)
{
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        fill_by_kind(kinds[i]);
        bool system = operation_class(kinds[i]) == OPERATION_CLASS_SYSTEM;
        cr_assert_eq(judge(), system ? STATUS_UNKNOWN_OPERATION : STATUS_OK, "%s", operation_name(kinds[i]));
    }
}

Test(command, what_the_log_may_carry_passes_and_questions_never_do)
{
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        fill_by_kind(kinds[i]);
        enum operation_class class = operation_class(kinds[i]);
        bool logged = class == OPERATION_CLASS_MUTATION || class == OPERATION_CLASS_LEASE ||
                      class == OPERATION_CLASS_TICK || class == OPERATION_CLASS_SYSTEM;
        cr_assert_eq(record_check(&item.header, sizeof(item)), logged ? STATUS_OK : STATUS_UNKNOWN_OPERATION);
    }
}

Test(command, an_operation_that_is_none_is_unknown)
{
    for (unsigned kind = 0; kind <= UINT8_MAX; kind++) {
        if (operation_class((uint8_t)kind) != OPERATION_CLASS_UNKNOWN)
            continue;
        fill_header((uint8_t)kind, sizeof(struct record_header));
        cr_assert_eq(judge(), STATUS_UNKNOWN_OPERATION);
        cr_assert_eq(record_check(&item.header, sizeof(item)), STATUS_UNKNOWN_OPERATION);
        cr_assert_str_eq(operation_name((uint8_t)kind), "unknown");
    }
    cr_assert_str_eq(operation_name(OPERATION_RESERVE), "reserve");
    cr_assert_str_eq(operation_name(OPERATION_LEASE_RENEW), "lease_renew");
}

Test(command, a_size_fits_operation_and_message_exactly)
{
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        fill_by_kind(kinds[i]);
        uint16_t size = item.header.size;
        cr_assert_eq(record_check(&item.header, 31), STATUS_BAD_ITEM_SIZE, "half a header");
        if (operation_class(kinds[i]) == OPERATION_CLASS_SYSTEM) {
            item.header.size = (uint16_t)(size + 8);
            cr_assert_eq(record_check(&item.header, sizeof(item)), STATUS_BAD_ITEM_SIZE);
            continue;
        }
        cr_assert_eq(command_check(&item.header, size), STATUS_OK);
        cr_assert_eq(command_check(&item.header, size - 1u), STATUS_BAD_ITEM_SIZE);
        cr_assert_eq(command_check(&item.header, 31), STATUS_BAD_ITEM_SIZE);
        const uint16_t wrong[] = { 0, 8, 24, (uint16_t)(size - 8), (uint16_t)(size + 8), (uint16_t)(size + 1), 65528 };
        for (size_t j = 0; j < ARRAY_COUNT(wrong); j++) {
            item.header.size = wrong[j];
            cr_assert_eq(judge(), STATUS_BAD_ITEM_SIZE, "%s of %u bytes", operation_name(kinds[i]), wrong[j]);
        }
    }
}

Test(command, no_byte_beyond_what_is_there_is_read)
{
    /* The address sanitizer watches the end of an exact allocation. */
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        fill_by_kind(kinds[i]);
        for (size_t available = 0; available <= item.header.size; available += 8) {
            uint64_t *exact = malloc(available == 0 ? 1 : available);
            memcpy(exact, &item, available);
            enum status status = command_check((const struct record_header *)exact, available);
            bool system = operation_class(kinds[i]) == OPERATION_CLASS_SYSTEM;
            if (available < sizeof(struct record_header))
                cr_assert_eq(status, STATUS_BAD_ITEM_SIZE);
            else if (!system)
                cr_assert_eq(status, available == item.header.size ? STATUS_OK : STATUS_BAD_ITEM_SIZE);
            free(exact);
        }
    }
}

Test(command, version_flags_property_and_key_are_judged_for_every_kind)
{
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        uint8_t kind = kinds[i];
        enum operation_class class = operation_class(kind);
        if (class == OPERATION_CLASS_SYSTEM)
            continue;
        EXPECT(STATUS_BAD_ITEM_VERSION, kind, item.header.version = 2);
        EXPECT(STATUS_BAD_ITEM_VERSION, kind, item.header.version = 0);
        EXPECT(STATUS_BAD_ITEM_FLAGS, kind, item.header.flags |= 2);
        EXPECT(STATUS_BAD_ITEM_FLAGS, kind, item.header.flags |= 1u << 31);
        bool keyed = class == OPERATION_CLASS_MUTATION || kind == OPERATION_LEASE_ACQUIRE || kind == OPERATION_LOOKUP;
        if (keyed)
            EXPECT(STATUS_ZERO_KEY, kind, memset(&item.header.key, 0, sizeof(struct key)));
        else
            EXPECT(STATUS_UNEXPECTED_KEY, kind, item.header.key.word[1] = 1);
        if (kind == OPERATION_HELLO)
            EXPECT(STATUS_RESERVED_NOT_ZERO, kind, item.header.property = 1);
        else if (kind != OPERATION_STATUS && kind != OPERATION_RAISE_LEVEL && kind != OPERATION_SNAPSHOT)
            EXPECT(STATUS_ZERO_PROPERTY, kind, item.header.property = 0);
        if (kind != OPERATION_STATUS && kind != OPERATION_BARRIER && kind != OPERATION_RAISE_LEVEL &&
            kind != OPERATION_SNAPSHOT)
            EXPECT(STATUS_BAD_ITEM_FLAGS, kind, item.header.flags = RECORD_BY_SHARD);
    }
}

Test(command, a_shard_is_named_by_barrier_status_raise_level_and_snapshot_only)
{
    EXPECT(STATUS_OK, OPERATION_BARRIER, (item.header.flags = RECORD_BY_SHARD, item.header.property = 0));
    EXPECT(STATUS_OK, OPERATION_STATUS, item.header.property = UINT16_MAX);
    EXPECT(STATUS_NO_SUCH_SHARD, OPERATION_STATUS, item.header.property = UINT16_MAX + 1);
    EXPECT(STATUS_BAD_ITEM_FLAGS, OPERATION_STATUS, item.header.flags = 0);
    EXPECT(STATUS_OK, OPERATION_RAISE_LEVEL, item.header.property = UINT16_MAX);
    EXPECT(STATUS_NO_SUCH_SHARD, OPERATION_RAISE_LEVEL, item.header.property = UINT16_MAX + 1);
}

Test(command, what_every_mutation_begins_with_is_judged)
{
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        if (operation_class(kinds[i]) != OPERATION_CLASS_MUTATION)
            continue;
        EXPECT(STATUS_ZERO_DEADLINE, kinds[i], item.mutation.not_after_ns = 0);
        EXPECT(STATUS_OK, kinds[i], item.mutation.not_after_ns = 1);
        EXPECT(STATUS_BAD_FENCE, kinds[i], item.mutation.fence_token = 1);
        EXPECT(STATUS_BAD_FENCE, kinds[i], item.mutation.fence_resource = 1);
        EXPECT(STATUS_OK, kinds[i], fence(&item.mutation, 1, 1));
    }
}

Test(command, supply_commands_are_judged_field_by_field)
{
    uint8_t kind = OPERATION_PROPERTY_CREATE;
    EXPECT(STATUS_OK, kind, item.property_create.business_date = DAY_NUMBER_MIN);
    EXPECT(STATUS_BAD_DATE, kind, item.property_create.business_date = DAY_NUMBER_MIN - 1);
    EXPECT(STATUS_OK, kind, item.property_create.business_date = DAY_NUMBER_MAX);
    EXPECT(STATUS_BAD_DATE, kind, item.property_create.business_date = DAY_NUMBER_MAX + 1);
    EXPECT(STATUS_RESERVED_NOT_ZERO, kind, item.property_create.reserved = 1);
    kind = OPERATION_ROOM_TYPE_CREATE;
    EXPECT(STATUS_ZERO_ROOM_TYPE, kind, item.room_type_create.room_type = 0);
    EXPECT(STATUS_OK, kind, item.room_type_create.rooms = 0);
    EXPECT(STATUS_OK, kind, item.room_type_create.rooms = ROOMS_MAX);
    EXPECT(STATUS_TOO_MANY_ROOMS, kind, item.room_type_create.rooms = ROOMS_MAX + 1);
    EXPECT(STATUS_RESERVED_NOT_ZERO, kind, item.room_type_create.reserved = 1);
    kind = OPERATION_ROOMS_SET;
    EXPECT(STATUS_ZERO_ROOM_TYPE, kind, item.rooms_set.room_type = 0);
    EXPECT(STATUS_BAD_DATE, kind, item.rooms_set.first_night = DAY_NUMBER_MIN - 1);
    EXPECT(STATUS_BAD_DATE, kind, item.rooms_set.last_night = DAY_NUMBER_MAX + 1);
    EXPECT(STATUS_OK, kind, item.rooms_set.last_night = DAY_NUMBER_MAX);
    EXPECT(STATUS_REVERSED_RANGE, kind, item.rooms_set.last_night = NIGHT_0 - 1);
    EXPECT(STATUS_BAD_WEEKDAYS, kind, item.rooms_set.weekdays = 0);
    EXPECT(STATUS_OK, kind, item.rooms_set.weekdays = 1);
    EXPECT(STATUS_BAD_WEEKDAYS, kind, item.rooms_set.weekdays = 0x80);
    EXPECT(STATUS_OK, kind, item.rooms_set.rooms = 0);
    EXPECT(STATUS_OK, kind, item.rooms_set.rooms = ROOMS_MAX);
    EXPECT(STATUS_TOO_MANY_ROOMS, kind, item.rooms_set.rooms = ROOMS_MAX + 1);
    EXPECT(STATUS_RESERVED_NOT_ZERO, kind, item.rooms_set.reserved = 1);
}

Test(command, a_reserve_is_judged_field_by_field)
{
    uint8_t kind = OPERATION_RESERVE;
    EXPECT(STATUS_ZERO_NIGHTS, kind, item.reserve.nights = 0);
    EXPECT(STATUS_OK, kind, item.reserve.nights = NIGHTS_MAX);
    EXPECT(STATUS_TOO_MANY_NIGHTS, kind, item.reserve.nights = NIGHTS_MAX + 1);
    EXPECT(STATUS_BAD_DATE, kind, item.reserve.arrival = DAY_NUMBER_MIN - 1);
    EXPECT(STATUS_OK, kind, item.reserve.arrival = DAY_NUMBER_MIN);
    EXPECT(STATUS_OK, kind, item.reserve.arrival = DAY_NUMBER_MAX);
    EXPECT(STATUS_BAD_DATE, kind, (item.reserve.arrival = DAY_NUMBER_MAX, item.reserve.nights = 2));
    EXPECT(STATUS_BAD_DATE, kind, item.reserve.arrival = INT32_MIN);
    EXPECT(STATUS_BAD_DATE, kind, item.reserve.arrival = INT32_MAX);
    EXPECT(STATUS_OK, kind, item.reserve.hold_ns = TTL_NS_MAX);
    EXPECT(STATUS_TTL_TOO_LONG, kind, item.reserve.hold_ns = TTL_NS_MAX + 1);
    EXPECT(STATUS_BAD_LINES, kind, item.reserve.lines_count = 0);
    EXPECT(STATUS_BAD_LINES, kind, item.reserve.lines_count = 2);
    EXPECT(STATUS_BAD_LINES, kind, (item.reserve.lines_count = 2, item.header.size = 96));
    EXPECT(STATUS_BAD_ITEM_SIZE, kind, item.header.size = 80);
    EXPECT(STATUS_ZERO_ROOM_TYPE, kind, item.reserve.lines[0].room_type = 0);
    EXPECT(STATUS_ZERO_ROOMS, kind, item.reserve.lines[0].rooms = 0);
    EXPECT(STATUS_OK, kind, item.reserve.lines[0].rooms = ROOMS_MAX);
    EXPECT(STATUS_TOO_MANY_ROOMS, kind, item.reserve.lines[0].rooms = ROOMS_MAX + 1);
    EXPECT(STATUS_RESERVED_NOT_ZERO, kind, item.reserve.lines[0].reserved = 1);
}

Test(command, a_change_names_its_reservation)
{
    for (uint8_t kind = OPERATION_CONFIRM; kind <= OPERATION_CANCEL; kind++) {
        EXPECT(STATUS_ZERO_KEY, kind, memset(&item.change.reservation, 0, sizeof(struct key)));
        EXPECT(STATUS_RESERVED_NOT_ZERO, kind, item.change.reserved = 1);
        EXPECT(STATUS_OK, kind, item.change.expected_version = UINT32_MAX);
    }
}

Test(command, lease_commands_are_judged_field_by_field)
{
    uint8_t kind = OPERATION_LEASE_ACQUIRE;
    EXPECT(STATUS_ZERO_RESOURCE, kind, item.acquire.resource = 0);
    EXPECT(STATUS_ZERO_TTL, kind, item.acquire.ttl_ns = 0);
    EXPECT(STATUS_OK, kind, item.acquire.ttl_ns = TTL_NS_MAX);
    EXPECT(STATUS_TTL_TOO_LONG, kind, item.acquire.ttl_ns = TTL_NS_MAX + 1);
    EXPECT(STATUS_BAD_OWNER, kind, item.acquire.owner[0] = '\0');
    EXPECT(STATUS_BAD_OWNER, kind, item.acquire.owner[OWNER_SIZE - 1] = 'x');
    EXPECT(STATUS_OK, kind, memset(item.acquire.owner, 'x', OWNER_SIZE));
    kind = OPERATION_LEASE_RENEW;
    EXPECT(STATUS_ZERO_RESOURCE, kind, item.renew.resource = 0);
    EXPECT(STATUS_ZERO_TOKEN, kind, item.renew.token = 0);
    EXPECT(STATUS_ZERO_TTL, kind, item.renew.ttl_ns = 0);
    EXPECT(STATUS_TTL_TOO_LONG, kind, item.renew.ttl_ns = UINT64_MAX);
    kind = OPERATION_LEASE_RELEASE;
    EXPECT(STATUS_ZERO_RESOURCE, kind, item.release.resource = 0);
    EXPECT(STATUS_ZERO_TOKEN, kind, item.release.token = 0);
    EXPECT(STATUS_ZERO_RESOURCE, OPERATION_LEASE_SHOW, item.show.resource = 0);
}

Test(command, questions_are_judged_field_by_field)
{
    uint8_t kind = OPERATION_CALENDAR;
    EXPECT(STATUS_ZERO_NIGHTS, kind, item.calendar.nights = 0);
    EXPECT(STATUS_OK, kind, item.calendar.nights = NIGHTS_MAX);
    EXPECT(STATUS_TOO_MANY_NIGHTS, kind, item.calendar.nights = NIGHTS_MAX + 1);
    EXPECT(STATUS_BAD_DATE, kind, item.calendar.first_night = DAY_NUMBER_MIN - 1);
    EXPECT(STATUS_BAD_DATE, kind, item.calendar.first_night = DAY_NUMBER_MAX + 1);
    EXPECT(STATUS_OK, kind, item.calendar.room_type = ROOM_TYPE_ALL);
    EXPECT(STATUS_OK, kind, (item.calendar.room_type = ROOM_TYPE_ALL, item.calendar.after_type = 1));
    EXPECT(STATUS_RESERVED_NOT_ZERO, kind, item.calendar.after_type = 1);
    EXPECT(STATUS_RESERVED_NOT_ZERO, kind, item.calendar.reserved = 1);
    kind = OPERATION_SNAPSHOT;
    EXPECT(STATUS_OK, kind, item.snapshot.take = 0);
    EXPECT(STATUS_OK, kind, item.snapshot.keep_ns = SNAPSHOT_KEEP_NS_MAX);
    EXPECT(STATUS_TTL_TOO_LONG, kind, item.snapshot.keep_ns = SNAPSHOT_KEEP_NS_MAX + 1);
    EXPECT(STATUS_RESERVED_NOT_ZERO, kind, item.snapshot.take = 2);
    EXPECT(STATUS_RESERVED_NOT_ZERO, kind, item.snapshot.reserved = 1);
    EXPECT(STATUS_BAD_ITEM_FLAGS, kind, item.header.flags = 0);
    kind = OPERATION_RAISE_LEVEL;
    EXPECT(STATUS_OK, kind, item.raise.level = UINT32_MAX);
    EXPECT(STATUS_UNKNOWN_LEVEL, kind, item.raise.level = 0);
    EXPECT(STATUS_RESERVED_NOT_ZERO, kind, item.raise.reserved = 1);
    EXPECT(STATUS_BAD_ITEM_FLAGS, kind, item.header.flags = 0);
    kind = OPERATION_STATUS;
    EXPECT(STATUS_OK, kind, item.status.with_hash = 1);
    EXPECT(STATUS_RESERVED_NOT_ZERO, kind, item.status.with_hash = 2);
    EXPECT(STATUS_RESERVED_NOT_ZERO, kind, item.status.reserved = 1);
    kind = OPERATION_HELLO;
    EXPECT(STATUS_OK, kind, item.hello.client[0] = 'x');
    EXPECT(STATUS_BAD_OWNER, kind, item.hello.client[1] = 'x');
    EXPECT(STATUS_RESERVED_NOT_ZERO, kind, item.hello.reserved = 1);
}

Test(command, a_system_record_is_judged_by_its_header)
{
    for (uint8_t kind = OPERATION_CONFIG; kind <= OPERATION_DIGEST; kind++) {
        fill_by_kind(kind);
        item.header.flags = RECORD_BY_SHARD;
        item.header.property = 0;
        cr_assert_eq(record_check(&item.header, sizeof(item)), STATUS_OK);
        item.header.flags = 2;
        cr_assert_eq(record_check(&item.header, sizeof(item)), STATUS_BAD_ITEM_FLAGS);
        item.header.flags = 0;
        item.header.key.word[0] = 1;
        cr_assert_eq(record_check(&item.header, sizeof(item)), STATUS_UNEXPECTED_KEY);
        item.header.key.word[0] = 0;
        item.header.version = 2;
        cr_assert_eq(record_check(&item.header, sizeof(item)), STATUS_BAD_ITEM_VERSION);
    }
}

Test(command, a_fingerprint_covers_everything_but_key_deadline_and_token)
{
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        if (operation_class(kinds[i]) != OPERATION_CLASS_MUTATION)
            continue;
        fill_by_kind(kinds[i]);
        struct hash128 before = mutation_fingerprint(&item.mutation);
        /* Size and kind say how many bytes there are; the rest is flipped bit by bit. */
        for (size_t byte = 3; byte < item.header.size; byte++) {
            item.bytes[byte] ^= 0x10;
            bool same = hash128_equal(before, mutation_fingerprint(&item.mutation));
            cr_assert_eq(same, byte >= 16 && byte < 48, "byte %zu", byte);
            item.bytes[byte] ^= 0x10;
        }
    }
}

Test(command, a_fingerprint_is_the_documented_hash)
{
    fill_by_kind(OPERATION_RESERVE);
    uint8_t covered[16 + 40];
    memcpy(covered, item.bytes, 16);
    memcpy(covered + 16, item.bytes + 48, 40);
    cr_assert(hash128_equal(hash128(covered, sizeof(covered), 0), mutation_fingerprint(&item.mutation)));
}

Test(command, room_for_a_result_is_known_beforehand)
{
    static const struct {
        uint8_t kind;
        uint32_t size;
    } sizes[] = {
        { OPERATION_RESERVE, sizeof(struct mutation_result) },
        { OPERATION_LEASE_RENEW, sizeof(struct lease_result) },
        { OPERATION_BARRIER, sizeof(struct barrier_result) },
        { OPERATION_RAISE_LEVEL, sizeof(struct level_result) },
        { OPERATION_SNAPSHOT, sizeof(struct snapshot_result) },
        { OPERATION_LOOKUP, sizeof(struct lookup_result) },
        { OPERATION_LEASE_SHOW, sizeof(struct lease_result) },
        { OPERATION_STATUS, sizeof(struct status_result) },
        { OPERATION_HELLO, sizeof(struct hello_result) },
        { OPERATION_CONFIG, sizeof(struct result_header) },
        { OPERATION_CALENDAR, sizeof(struct calendar_result) + 8 + 8 },
    };
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        fill_by_kind(sizes[i].kind);
        cr_assert_eq(result_size_max(&item.header), sizes[i].size);
    }
    fill_by_kind(OPERATION_CALENDAR);
    item.calendar.room_type = ROOM_TYPE_ALL;
    cr_assert_eq(result_size_max(&item.header), RESULT_SIZE_MAX);
    item.calendar.room_type = ROOM_TYPE;
    item.calendar.nights = NIGHTS_MAX;
    cr_assert_eq(result_size_max(&item.header), RESULT_SIZE_MAX);
}

Test(command, properties_spread_over_shards_by_the_documented_rule)
{
    cr_assert_eq(shard_of_property(1, 1), 0);
    uint32_t counts[4] = { 0, 0, 0, 0 };
    for (uint64_t property = 1; property <= 4000; property++) {
        uint32_t shard = shard_of_property(property, 4);
        cr_assert_lt(shard, 4);
        counts[shard]++;
    }
    for (size_t i = 0; i < ARRAY_COUNT(counts); i++)
        cr_assert(counts[i] > 900 && counts[i] < 1100, "shard %zu has %u", i, counts[i]);
}
