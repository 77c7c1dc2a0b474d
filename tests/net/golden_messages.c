#include "tests/net/golden_messages.h"

#include <stdio.h>
#include <string.h>

#define PROPERTY 42
#define ROOM_TYPE 2
#define ARRIVAL 20780 /* 2026-11-23, a Monday */
#define LOG_TIME_NS UINT64_C(1790000000000000000)
#define NOT_AFTER_NS (LOG_TIME_NS + 60 * NS_PER_SECOND)
#define HOLD_NS (15 * NS_PER_MINUTE)
#define RESOURCE 7
#define TOKEN 1001
#define SHARD 1

static const uint8_t key_reserve[16] = { 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                                         0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff };
static const uint8_t uuid[16] = { 0x49, 0x6e, 0x6e, 0x6b, 0x65, 0x65, 0x70, 0x40,
                                  0x80, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07 };

/* A key that differs from every other golden key in its last byte. */
static struct key key_numbered(uint8_t number)
{
    struct key key;
    uint8_t bytes[16];
    memcpy(bytes, key_reserve, sizeof bytes);
    bytes[15] = number;
    memcpy(&key, bytes, sizeof key);
    return key;
}

static struct key key_of_reservation(void)
{
    return key_numbered(0xff);
}

/* The next part of `message`, all zero. */
static void *part_append(struct message_header *message, uint32_t size)
{
    void *part = (uint8_t *)message + message->size;
    REQUIRE(message->size + size <= GOLDEN_SIZE_MAX);
    message->size += size;
    message->items_count++;
    return part;
}

static struct record_header record_header(const struct message_header *message, size_t size)
{
    return (
        struct record_header){ .size = (uint16_t)size, .kind = message->operation, .version = 1, .property = PROPERTY };
}

static struct mutation mutation(const struct message_header *message, size_t size, struct key key)
{
    struct mutation begin = { .header = record_header(message, size), .not_after_ns = NOT_AFTER_NS };
    begin.header.key = key;
    return begin;
}

static struct result_header result_header(const struct message_header *message, size_t size, enum status status)
{
    return (struct result_header){ .size = (uint32_t)size,
                                   .status = (uint16_t)status,
                                   .item = (uint16_t)(message->items_count - 1),
                                   .shard = SHARD,
                                   .lsn = 1000,
                                   .log_time_ns = LOG_TIME_NS };
}

/* ---- Requests -------------------------------------------------------------------------------------------------------- */

static void build_hello(struct message_header *message)
{
    struct hello *item = part_append(message, sizeof *item);
    item->header = record_header(message, sizeof *item);
    item->header.property = 0;
    item->version_min = 1;
    item->version_max = 1;
    item->shard = SHARD_ANY;
    memcpy(item->client, "golden 1.0", 10);
}

static void build_property_create(struct message_header *message)
{
    struct property_create *item = part_append(message, sizeof *item);
    item->mutation = mutation(message, sizeof *item, key_numbered(1));
    item->business_date = ARRIVAL - 10;
}

static void build_room_type_create(struct message_header *message)
{
    struct room_type_create *item = part_append(message, sizeof *item);
    item->mutation = mutation(message, sizeof *item, key_numbered(2));
    item->room_type = ROOM_TYPE;
    item->rooms = 25;
}

static void build_rooms_set(struct message_header *message)
{
    struct rooms_set *item = part_append(message, sizeof *item);
    item->mutation = mutation(message, sizeof *item, key_numbered(3));
    item->room_type = ROOM_TYPE;
    item->first_night = ARRIVAL;
    item->last_night = ARRIVAL + 30;
    item->weekdays = 0x60; /* Saturday and Sunday */
    item->rooms = 20;
}

static struct reserve *reserve_append(struct message_header *message, struct key key, uint16_t rooms)
{
    struct reserve *item = part_append(message, sizeof *item);
    item->mutation = mutation(message, sizeof *item, key);
    item->external_reference = UINT64_C(0x0102030405060708);
    item->arrival = ARRIVAL;
    item->nights = 3;
    item->lines_count = 1;
    item->lines[0] = (struct reserve_line){ .room_type = ROOM_TYPE, .rooms = rooms };
    return item;
}

static void build_reserve(struct message_header *message)
{
    (void)reserve_append(message, key_of_reservation(), 1);
}

static void build_reserve_batch(struct message_header *message)
{
    struct reserve *held = reserve_append(message, key_numbered(4), 2);
    held->hold_ns = HOLD_NS;
    struct reserve *fenced = reserve_append(message, key_numbered(5), 1);
    fenced->mutation.header.property = 7;
    fenced->mutation.fence_token = TOKEN;
    fenced->mutation.fence_resource = RESOURCE;
}

static void build_change(struct message_header *message)
{
    struct reservation_change *item = part_append(message, sizeof *item);
    item->mutation = mutation(message, sizeof *item, key_numbered(message->operation));
    item->reservation = key_of_reservation();
    item->expected_version = 1;
}

static void build_lease_acquire(struct message_header *message)
{
    struct lease_acquire *item = part_append(message, sizeof *item);
    item->header = record_header(message, sizeof *item);
    item->header.key = key_numbered(0xaa);
    item->resource = RESOURCE;
    item->ttl_ns = 5 * NS_PER_SECOND;
    memcpy(item->owner, "night audit, desk 3", 19);
}

static void build_lease_renew(struct message_header *message)
{
    struct lease_renew *item = part_append(message, sizeof *item);
    item->header = record_header(message, sizeof *item);
    item->resource = RESOURCE;
    item->token = TOKEN;
    item->ttl_ns = 5 * NS_PER_SECOND;
}

static void build_lease_release(struct message_header *message)
{
    struct lease_release *item = part_append(message, sizeof *item);
    item->header = record_header(message, sizeof *item);
    item->resource = RESOURCE;
    item->token = TOKEN;
}

static void build_barrier(struct message_header *message)
{
    struct barrier *item = part_append(message, sizeof *item);
    item->header = record_header(message, sizeof *item);
}

static void build_barrier_by_shard(struct message_header *message)
{
    struct barrier *item = part_append(message, sizeof *item);
    item->header = record_header(message, sizeof *item);
    item->header.flags = RECORD_BY_SHARD;
    item->header.property = SHARD;
}

static void build_lookup(struct message_header *message)
{
    struct lookup *item = part_append(message, sizeof *item);
    item->header = record_header(message, sizeof *item);
    item->header.key = key_of_reservation();
}

static void build_calendar(struct message_header *message)
{
    struct calendar *item = part_append(message, sizeof *item);
    item->header = record_header(message, sizeof *item);
    item->room_type = ROOM_TYPE_ALL;
    item->after_type = 1;
    item->first_night = ARRIVAL;
    item->nights = 2;
}

static void build_lease_show(struct message_header *message)
{
    struct lease_show *item = part_append(message, sizeof *item);
    item->header = record_header(message, sizeof *item);
    item->resource = RESOURCE;
}

static void build_status(struct message_header *message)
{
    struct status_query *item = part_append(message, sizeof *item);
    item->header = record_header(message, sizeof *item);
    item->header.flags = RECORD_BY_SHARD;
    item->header.property = SHARD;
    item->with_hash = 1;
}

/* ---- Replies --------------------------------------------------------------------------------------------------------- */

static void build_hello_reply(struct message_header *message)
{
    struct hello_result *result = part_append(message, sizeof *result);
    *result = (struct hello_result){ .header = result_header(message, sizeof *result, STATUS_OK),
                                     .version = 1,
                                     .shards = 2,
                                     .shard = SHARD,
                                     .hash_rule = 1,
                                     .message_size_max = MESSAGE_SIZE_MAX,
                                     .items_max = MESSAGE_ITEMS_MAX,
                                     .requests_max = 4096,
                                     .horizon_nights = 1000,
                                     .deadline_ahead_max_ns = 10 * NS_PER_MINUTE,
                                     .server_time_ns = LOG_TIME_NS + NS_PER_HOUR };
    memcpy(result->uuid, uuid, sizeof uuid);
}

static struct mutation_result *mutation_result_append(struct message_header *message, enum status status)
{
    struct mutation_result *result = part_append(message, sizeof *result);
    result->header = result_header(message, sizeof *result, status);
    return result;
}

static void build_property_create_reply(struct message_header *message)
{
    (void)mutation_result_append(message, STATUS_OK);
}

static void build_room_type_create_reply(struct message_header *message)
{
    mutation_result_append(message, STATUS_OK)->room_type = ROOM_TYPE;
}

static void build_rooms_set_reply(struct message_header *message)
{
    struct mutation_result *result = mutation_result_append(message, STATUS_BEYOND_HORIZON);
    result->night = ARRIVAL + 30;
    result->room_type = ROOM_TYPE;
}

static void build_reserve_reply(struct message_header *message)
{
    struct mutation_result *result = mutation_result_append(message, STATUS_OK);
    result->room_type = ROOM_TYPE;
    result->version = 1;
    result->state = RESERVATION_CONFIRMED;
}

static void build_reserve_replayed_reply(struct message_header *message)
{
    build_reserve_reply(message);
    struct result_header *header = (struct result_header *)(void *)(message + 1);
    header->flags = RESULT_REPLAYED;
    header->lsn = 1003;
    header->original_lsn = 1000;
    header->log_time_ns = LOG_TIME_NS + 250 * NS_PER_MS;
}

static void build_reserve_refused_reply(struct message_header *message)
{
    struct mutation_result *sold_out = mutation_result_append(message, STATUS_SOLD_OUT);
    sold_out->night = ARRIVAL + 1;
    sold_out->room_type = ROOM_TYPE;
    sold_out->available = 1;
    sold_out->limit = LIMIT_TYPE;
    struct mutation_result *fenced = mutation_result_append(message, STATUS_FENCED);
    fenced->header.lsn = 1001;
    fenced->token = TOKEN - 1;
    struct mutation_result *reused = mutation_result_append(message, STATUS_KEY_REUSED);
    reused->header.lsn = 1002;
    reused->header.original_lsn = 900;
    reused->operation = OPERATION_CANCEL;
    struct mutation_result *full = mutation_result_append(message, STATUS_LIMIT_REACHED);
    full->header.lsn = 1003;
    full->limit = LIMIT_RESERVATIONS;
}

/* One result for each of confirm, release, cancel. */
static void build_change_reply(struct message_header *message)
{
    struct mutation_result *result = mutation_result_append(message, STATUS_OK);
    result->room_type = ROOM_TYPE;
    result->version = 2;
    if (message->operation != OPERATION_CANCEL)
        result->hold_deadline_ns = LOG_TIME_NS + HOLD_NS;
    result->state = message->operation == OPERATION_CONFIRM   ? RESERVATION_CONFIRMED
                    : message->operation == OPERATION_RELEASE ? RESERVATION_RELEASED
                                                              : RESERVATION_CANCELLED;
}

static void build_lease_reply(struct message_header *message)
{
    struct lease_result *result = part_append(message, sizeof *result);
    bool held = message->operation == OPERATION_LEASE_ACQUIRE;
    *result = (struct lease_result){ .header = result_header(message, sizeof *result, STATUS_OK),
                                     .token = TOKEN,
                                     .deadline_ns = LOG_TIME_NS + 5 * NS_PER_SECOND,
                                     .ttl_ns = 5 * NS_PER_SECOND,
                                     .commit_p99_ns = 600 * NS_PER_MS,
                                     .flags = LEASE_TTL_TOO_SHORT,
                                     .state = LEASE_LIVE };
    if (held)
        result->header.lsn = TOKEN; /* a grant's token is its LSN */
    if (message->operation == OPERATION_LEASE_RELEASE)
        result->state = LEASE_RELEASED;
    memcpy(result->owner, "night audit, desk 3", 19);
}

static void build_snapshot(struct message_header *message)
{
    struct snapshot_request *item = part_append(message, sizeof *item);
    item->header = record_header(message, sizeof *item);
    item->header.flags = RECORD_BY_SHARD;
    item->header.property = SHARD;
    item->keep_ns = NS_PER_MINUTE;
    item->take = 1;
}

static void build_snapshot_reply(struct message_header *message)
{
    struct snapshot_result *result = part_append(message, sizeof *result);
    result->header = result_header(message, sizeof *result, STATUS_OK);
    result->newest_lsn = 900;
    result->newest_index = 850;
    result->written_bytes = 5 * MIB;
    result->total_bytes = 26 * MIB;
    result->running = 1;
    result->failed = 1;
    snprintf(result->directory, sizeof result->directory, "/var/lib/innkeep/shard-001");
}

static void build_raise_level(struct message_header *message)
{
    struct raise_level *item = part_append(message, sizeof *item);
    item->header = record_header(message, sizeof *item);
    item->header.flags = RECORD_BY_SHARD;
    item->header.property = SHARD;
    item->level = 2;
}

static void build_raise_level_reply(struct message_header *message)
{
    struct level_result *result = part_append(message, sizeof *result);
    result->header = result_header(message, sizeof *result, STATUS_OK);
    result->level = 2;
}

static void build_barrier_reply(struct message_header *message)
{
    struct barrier_result *result = part_append(message, sizeof *result);
    result->header = result_header(message, sizeof *result, STATUS_OK);
}

static void build_lookup_reply(struct message_header *message)
{
    struct lookup_result *result = part_append(message, sizeof *result);
    *result = (struct lookup_result){ .header = result_header(message, sizeof *result, STATUS_OK),
                                      .what = LOOKUP_RESERVATION,
                                      .state = RESERVATION_HELD,
                                      .outcome_operation = OPERATION_RESERVE,
                                      .outcome_status = STATUS_OK,
                                      .nights = 3,
                                      .arrival = ARRIVAL,
                                      .version = 1,
                                      .hold_deadline_ns = LOG_TIME_NS + HOLD_NS,
                                      .external_reference = UINT64_C(0x0102030405060708),
                                      .room_type = ROOM_TYPE,
                                      .rooms = 1,
                                      .lines_count = 1 };
    result->header.original_lsn = 990;
}

static void build_calendar_reply(struct message_header *message)
{
    uint32_t size =
        sizeof(struct calendar_result) + 2 * (sizeof(struct calendar_type) + 2 * sizeof(struct calendar_night));
    struct calendar_result *result = part_append(message, size);
    *result = (struct calendar_result){ .header = result_header(message, size, STATUS_OK),
                                        .first_night = ARRIVAL,
                                        .nights = 2,
                                        .types_count = 2,
                                        .next_after_type = 3,
                                        .business_date = ARRIVAL - 10 };
    struct calendar_type *type = (struct calendar_type *)(void *)(result + 1);
    struct calendar_night *night = (struct calendar_night *)(void *)(type + 1);
    type->room_type = ROOM_TYPE;
    night[0] = (struct calendar_night){ .sellable = 25, .sold = 20, .held = 2, .available = 3 };
    night[1] = (struct calendar_night){ .sellable = 18, .sold = 20, .held = 0, .available = -2 };
    type = (struct calendar_type *)(void *)(night + 2);
    night = (struct calendar_night *)(void *)(type + 1);
    type->room_type = 3;
    night[0] = (struct calendar_night){ .sellable = 1, .sold = 0, .held = 1, .available = 0 };
    night[1] = (struct calendar_night){ .sellable = 1, .sold = 0, .held = 0, .available = 1 };
}

static void build_status_reply(struct message_header *message)
{
    struct status_result *result = part_append(message, sizeof *result);
    *result = (struct status_result){
        .header = result_header(message, sizeof *result, STATUS_OK),
        .uptime_ns = NS_PER_HOUR,
        .memory_bytes = 256 * MIB,
        .shards = 2,
        .engine_level = 1,
        .limits = { .properties_max = 1000,
                    .room_types_max = 10000,
                    .horizon_nights = 1000,
                    .reservations_max = 1000000,
                    .outcomes_max = 500000,
                    .leases_max = 4096,
                    .deadline_ahead_max_ns = 10 * NS_PER_MINUTE,
                    .keep_ended_ns = 24 * NS_PER_HOUR },
        .properties = 1,
        .room_types = 2,
        .reservations_held = 3,
        .reservations_confirmed = 4,
        .reservations_ended = 5,
        .outcomes = 6,
        .leases_live = 7,
        .leases_ended = 8,
        .shortest_ttl_ns = 5 * NS_PER_SECOND,
        .commit_p50_ns = 120 * NS_PER_US,
        .commit_p99_ns = 600 * NS_PER_MS,
        .alarm = 1,
        .alarm_factor = 10,
        .frames = 9,
        .records = 10,
        .log_bytes = 45056,
        .frame_index = 12,
        .segment_sequence = 13,
        .connections = 14,
        .connections_max = 1024,
        .requests = 15,
        .refused_overload = 16,
        .state_hash = { .low = UINT64_C(0x1122334455667788), .high = UINT64_C(0x99aabbccddeeff00) },
        .log_padding_bytes = 17,
        .log_stalls = 18,
        .log_depth = 2,
        .log_depth_highest = 3,
        .log_depth_max = 4,
        .log_kernel_workers = 1,
        .frame_p50_ns = 95000,
        .frame_p99_ns = 210000,
        .frame_p999_ns = 4000000,
        .frame_max_ns = 12000000,
        .segments_recycled = 21,
        .segments_deleted = 22,
        .snapshot_lsn = 900,
        .snapshot_wall_ns = LOG_TIME_NS - NS_PER_MINUTE,
        .snapshot_bytes = 23 * MIB,
        .snapshot_log_bytes = 24 * KIB,
        .snapshots_taken = 25,
        .snapshots_failed = 1,
        .snapshots_kept = 2,
        .snapshot_running = 1,
        .snapshot_written_bytes = 5 * MIB,
        .snapshot_total_bytes = 26 * MIB,
    };
    memcpy(result->uuid, uuid, sizeof uuid);
}

static void build_bad_item_reply(struct message_header *message)
{
    struct result_header *result = part_append(message, sizeof *result);
    *result = (struct result_header){ .size = sizeof *result, .status = STATUS_ZERO_NIGHTS, .shard = SHARD };
}

static void build_connection_error(struct message_header *message)
{
    struct result_header *result = part_append(message, sizeof *result);
    *result = (struct result_header){ .size = sizeof *result, .status = STATUS_BAD_CHECKSUM };
}

const struct golden golden_messages[] = {
    { "hello", "The first message on a connection.", OPERATION_HELLO, false, build_hello },
    { "hello_reply", "The server speaks version 1 too, has two shards, and shard 1 owns the connection.",
      OPERATION_HELLO, true, build_hello_reply },
    { "property_create", "Property 42 opens on 2026-11-13.", OPERATION_PROPERTY_CREATE, false, build_property_create },
    { "property_create_reply", "Done.", OPERATION_PROPERTY_CREATE, true, build_property_create_reply },
    { "room_type_create", "Room type 2 with 25 rooms.", OPERATION_ROOM_TYPE_CREATE, false, build_room_type_create },
    { "room_type_create_reply", "Done.", OPERATION_ROOM_TYPE_CREATE, true, build_room_type_create_reply },
    { "rooms_set", "20 rooms on the weekend nights from 2026-11-23 to 2026-12-23.", OPERATION_ROOMS_SET, false,
      build_rooms_set },
    { "rooms_set_reply", "Refused: the last night lies beyond the horizon.", OPERATION_ROOMS_SET, true,
      build_rooms_set_reply },
    { "reserve", "One room of type 2 for three nights from 2026-11-23, confirmed at once.", OPERATION_RESERVE, false,
      build_reserve },
    { "reserve_reply", "Confirmed.", OPERATION_RESERVE, true, build_reserve_reply },
    { "reserve_replayed_reply", "The same request again, a quarter of a second later: its first outcome.",
      OPERATION_RESERVE, true, build_reserve_replayed_reply },
    { "reserve_batch", "Two items: a hold of 15 minutes, and a reserve in another property under a lease's token.",
      OPERATION_RESERVE, false, build_reserve_batch },
    { "reserve_refused_reply", "Four ways to say no: sold out, fenced, key reused, table full.", OPERATION_RESERVE,
      true, build_reserve_refused_reply },
    { "confirm", "Confirms the hold of key ...eeff if it is still at version 1.", OPERATION_CONFIRM, false,
      build_change },
    { "confirm_reply", "Confirmed, now at version 2.", OPERATION_CONFIRM, true, build_change_reply },
    { "release", "Gives a hold back.", OPERATION_RELEASE, false, build_change },
    { "release_reply", "Released.", OPERATION_RELEASE, true, build_change_reply },
    { "cancel", "Cancels a confirmed reservation.", OPERATION_CANCEL, false, build_change },
    { "cancel_reply", "Cancelled.", OPERATION_CANCEL, true, build_change_reply },
    { "lease_acquire", "A lease of 5 s on resource 7.", OPERATION_LEASE_ACQUIRE, false, build_lease_acquire },
    { "lease_acquire_reply", "Granted, with the warning that 5 s are short for this server.", OPERATION_LEASE_ACQUIRE,
      true, build_lease_reply },
    { "lease_renew", "Five more seconds.", OPERATION_LEASE_RENEW, false, build_lease_renew },
    { "lease_renew_reply", "Renewed under the same token.", OPERATION_LEASE_RENEW, true, build_lease_reply },
    { "lease_release", "Gives the lease back.", OPERATION_LEASE_RELEASE, false, build_lease_release },
    { "lease_release_reply", "Released.", OPERATION_LEASE_RELEASE, true, build_lease_reply },
    { "barrier", "Moves the log time of the shard that property 42 belongs to.", OPERATION_BARRIER, false,
      build_barrier },
    { "barrier_by_shard", "The same for shard 1, named by number.", OPERATION_BARRIER, false, build_barrier_by_shard },
    { "barrier_reply", "Log time has moved.", OPERATION_BARRIER, true, build_barrier_reply },
    { "raise_level", "Raises the engine level of shard 1's log to 2.", OPERATION_RAISE_LEVEL, false,
      build_raise_level },
    { "snapshot", "Takes a snapshot of shard 1, and gives up no file for a minute.", OPERATION_SNAPSHOT, false,
      build_snapshot },
    { "snapshot_reply", "It is being taken; the one before goes up to LSN 900.", OPERATION_SNAPSHOT, true,
      build_snapshot_reply },
    { "raise_level_reply", "It is at that level from now on.", OPERATION_RAISE_LEVEL, true, build_raise_level_reply },
    { "lookup", "What became of key ...eeff?", OPERATION_LOOKUP, false, build_lookup },
    { "lookup_reply", "It names a reservation, held until the deadline.", OPERATION_LOOKUP, true, build_lookup_reply },
    { "calendar", "Two nights of all room types behind type 1.", OPERATION_CALENDAR, false, build_calendar },
    { "calendar_reply", "Types 2 and 3, and more behind type 3. Type 2 is two rooms short on the second night.",
      OPERATION_CALENDAR, true, build_calendar_reply },
    { "lease_show", "Who holds resource 7?", OPERATION_LEASE_SHOW, false, build_lease_show },
    { "lease_show_reply", "Desk 3 does.", OPERATION_LEASE_SHOW, true, build_lease_reply },
    { "status", "How is shard 1, and what is its state hash?", OPERATION_STATUS, false, build_status },
    { "status_reply", "So it is.", OPERATION_STATUS, true, build_status_reply },
    { "bad_item_reply", "A reserve of no nights: this item is refused, the connection goes on.", OPERATION_RESERVE,
      true, build_bad_item_reply },
    { "connection_error", "A message came with a wrong checksum: the server says so and closes the connection.",
      OPERATION_NONE, true, build_connection_error },
};
const uint32_t golden_messages_count = ARRAY_COUNT(golden_messages);

void golden_build(const struct golden *golden, union golden_bytes *out)
{
    memset(out, 0, sizeof *out);
    struct message_header *message = &out->header;
    message->operation = golden->operation;
    message->flags = golden->reply ? MESSAGE_REPLY : 0;
    message->size = sizeof *message;
    message->correlation = UINT64_C(0xc0ffee);
    golden->build(message);
    message_seal(message);
}
