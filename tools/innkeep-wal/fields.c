#include "tools/innkeep-wal/fields.h"

#include <string.h>

#define FIELD(type, member, how)                                                                              \
    {                                                                                                         \
        .name = #member, .offset = offsetof(struct type, member), .size = sizeof(((struct type *)0)->member), \
        .kind = FIELD_##how,                                                                                  \
    }
#define NESTED(type, member, other)                                                                           \
    {                                                                                                         \
        .name = #member, .offset = offsetof(struct type, member), .size = sizeof(((struct type *)0)->member), \
        .kind = FIELD_NESTED, .nested = &table_##other,                                                       \
    }
#define TABLE(type)                                  \
    static const struct field_table table_##type = { \
        .name = #type,                               \
        .size = sizeof(struct type),                 \
        .fields_count = ARRAY_COUNT(fields_##type),  \
        .fields = fields_##type,                     \
    }

static const struct field fields_message_header[] = {
    FIELD(message_header, checksum, BITS),        FIELD(message_header, magic, BITS),
    FIELD(message_header, size, UNSIGNED),        FIELD(message_header, operation, OPERATION),
    FIELD(message_header, version, UNSIGNED),     FIELD(message_header, flags, BITS),
    FIELD(message_header, items_count, UNSIGNED), FIELD(message_header, correlation, UNSIGNED),
};
TABLE(message_header);

static const struct field fields_record_header[] = {
    FIELD(record_header, size, UNSIGNED),     FIELD(record_header, kind, OPERATION),
    FIELD(record_header, version, UNSIGNED),  FIELD(record_header, flags, BITS),
    FIELD(record_header, property, UNSIGNED), FIELD(record_header, key, KEY),
};
TABLE(record_header);

static const struct field fields_mutation[] = {
    NESTED(mutation, header, record_header),
    FIELD(mutation, not_after_ns, TIME),
    FIELD(mutation, fence_token, UNSIGNED),
    FIELD(mutation, fence_resource, UNSIGNED),
};
TABLE(mutation);

static const struct field fields_property_create[] = {
    NESTED(property_create, mutation, mutation),
    FIELD(property_create, business_date, DATE),
    FIELD(property_create, reserved, RESERVED),
};
TABLE(property_create);

static const struct field fields_room_type_create[] = {
    NESTED(room_type_create, mutation, mutation),
    FIELD(room_type_create, room_type, UNSIGNED),
    FIELD(room_type_create, rooms, UNSIGNED),
    FIELD(room_type_create, reserved, RESERVED),
};
TABLE(room_type_create);

static const struct field fields_rooms_set[] = {
    NESTED(rooms_set, mutation, mutation), FIELD(rooms_set, room_type, UNSIGNED), FIELD(rooms_set, first_night, DATE),
    FIELD(rooms_set, last_night, DATE),    FIELD(rooms_set, weekdays, BITS),      FIELD(rooms_set, reserved, RESERVED),
    FIELD(rooms_set, rooms, UNSIGNED),
};
TABLE(rooms_set);

static const struct field fields_reserve_line[] = {
    FIELD(reserve_line, room_type, UNSIGNED),
    FIELD(reserve_line, rooms, UNSIGNED),
    FIELD(reserve_line, reserved, RESERVED),
};
TABLE(reserve_line);

static const struct field fields_reserve[] = {
    NESTED(reserve, mutation, mutation),
    FIELD(reserve, hold_ns, INTERVAL),
    FIELD(reserve, external_reference, UNSIGNED),
    FIELD(reserve, arrival, DATE),
    FIELD(reserve, nights, UNSIGNED),
    FIELD(reserve, lines_count, UNSIGNED),
    NESTED(reserve, lines, reserve_line),
};
TABLE(reserve);

static const struct field fields_reservation_change[] = {
    NESTED(reservation_change, mutation, mutation),
    FIELD(reservation_change, reservation, KEY),
    FIELD(reservation_change, expected_version, UNSIGNED),
    FIELD(reservation_change, reserved, RESERVED),
};
TABLE(reservation_change);

static const struct field fields_lease_acquire[] = {
    NESTED(lease_acquire, header, record_header),
    FIELD(lease_acquire, resource, UNSIGNED),
    FIELD(lease_acquire, ttl_ns, INTERVAL),
    FIELD(lease_acquire, owner, TEXT),
};
TABLE(lease_acquire);

static const struct field fields_lease_renew[] = {
    NESTED(lease_renew, header, record_header),
    FIELD(lease_renew, resource, UNSIGNED),
    FIELD(lease_renew, token, UNSIGNED),
    FIELD(lease_renew, ttl_ns, INTERVAL),
};
TABLE(lease_renew);

static const struct field fields_lease_release[] = {
    NESTED(lease_release, header, record_header),
    FIELD(lease_release, resource, UNSIGNED),
    FIELD(lease_release, token, UNSIGNED),
};
TABLE(lease_release);

static const struct field fields_barrier[] = { NESTED(barrier, header, record_header) };
TABLE(barrier);

static const struct field fields_raise_level[] = {
    NESTED(raise_level, header, record_header),
    FIELD(raise_level, level, UNSIGNED),
    FIELD(raise_level, reserved, RESERVED),
};
TABLE(raise_level);

static const struct field fields_snapshot_request[] = {
    NESTED(snapshot_request, header, record_header),
    FIELD(snapshot_request, keep_ns, INTERVAL),
    FIELD(snapshot_request, take, UNSIGNED),
    FIELD(snapshot_request, reserved, RESERVED),
};
TABLE(snapshot_request);

static const struct field fields_lookup[] = { NESTED(lookup, header, record_header) };
TABLE(lookup);

static const struct field fields_calendar[] = {
    NESTED(calendar, header, record_header), FIELD(calendar, room_type, UNSIGNED),
    FIELD(calendar, after_type, UNSIGNED),   FIELD(calendar, first_night, DATE),
    FIELD(calendar, nights, UNSIGNED),       FIELD(calendar, reserved, RESERVED),
};
TABLE(calendar);

static const struct field fields_lease_show[] = {
    NESTED(lease_show, header, record_header),
    FIELD(lease_show, resource, UNSIGNED),
};
TABLE(lease_show);

static const struct field fields_status_query[] = {
    NESTED(status_query, header, record_header),
    FIELD(status_query, with_hash, UNSIGNED),
    FIELD(status_query, reserved, RESERVED),
};
TABLE(status_query);

static const struct field fields_hello[] = {
    NESTED(hello, header, record_header), FIELD(hello, version_min, UNSIGNED), FIELD(hello, version_max, UNSIGNED),
    FIELD(hello, shard, UNSIGNED),        FIELD(hello, reserved, RESERVED),    FIELD(hello, client, TEXT),
};
TABLE(hello);

static const struct field fields_engine_limits[] = {
    FIELD(engine_limits, properties_max, UNSIGNED),        FIELD(engine_limits, room_types_max, UNSIGNED),
    FIELD(engine_limits, horizon_nights, UNSIGNED),        FIELD(engine_limits, reservations_max, UNSIGNED),
    FIELD(engine_limits, outcomes_max, UNSIGNED),          FIELD(engine_limits, leases_max, UNSIGNED),
    FIELD(engine_limits, deadline_ahead_max_ns, INTERVAL), FIELD(engine_limits, keep_ended_ns, INTERVAL),
};
TABLE(engine_limits);

static const struct field fields_config_record[] = {
    NESTED(config_record, header, record_header),
    NESTED(config_record, limits, engine_limits),
};
TABLE(config_record);

static const struct field fields_recovered_record[] = { NESTED(recovered_record, header, record_header) };
TABLE(recovered_record);

static const struct field fields_commit_latency_record[] = {
    NESTED(commit_latency_record, header, record_header),
    FIELD(commit_latency_record, p99_ns, INTERVAL),
    FIELD(commit_latency_record, ttl_factor, UNSIGNED),
};
TABLE(commit_latency_record);

static const struct field fields_epoch_record[] = {
    NESTED(epoch_record, header, record_header), FIELD(epoch_record, number, UNSIGNED),
    FIELD(epoch_record, last_lsn, UNSIGNED),     FIELD(epoch_record, granted_lsn, UNSIGNED),
    FIELD(epoch_record, wall_ns, TIME),          FIELD(epoch_record, reason, EPOCH_REASON),
    FIELD(epoch_record, reserved, RESERVED),
};
TABLE(epoch_record);

static const struct field fields_digest_record[] = {
    NESTED(digest_record, header, record_header),
    FIELD(digest_record, first_index, UNSIGNED),
    FIELD(digest_record, last_index, UNSIGNED),
    FIELD(digest_record, digest, HASH),
};
TABLE(digest_record);

static const struct field fields_result_header[] = {
    FIELD(result_header, size, UNSIGNED),    FIELD(result_header, status, STATUS),
    FIELD(result_header, flags, BITS),       FIELD(result_header, item, UNSIGNED),
    FIELD(result_header, shard, UNSIGNED),   FIELD(result_header, reserved, RESERVED),
    FIELD(result_header, lsn, UNSIGNED),     FIELD(result_header, original_lsn, UNSIGNED),
    FIELD(result_header, log_time_ns, TIME),
};
TABLE(result_header);

static const struct field fields_mutation_result[] = {
    NESTED(mutation_result, header, result_header), FIELD(mutation_result, night, DATE),
    FIELD(mutation_result, room_type, UNSIGNED),    FIELD(mutation_result, available, SIGNED),
    FIELD(mutation_result, version, UNSIGNED),      FIELD(mutation_result, state, STATE),
    FIELD(mutation_result, limit, LIMIT),           FIELD(mutation_result, operation, OPERATION),
    FIELD(mutation_result, reserved, RESERVED),     FIELD(mutation_result, hold_deadline_ns, TIME),
    FIELD(mutation_result, token, UNSIGNED),
};
TABLE(mutation_result);

static const struct field fields_lease_result[] = {
    NESTED(lease_result, header, result_header),  FIELD(lease_result, token, UNSIGNED),
    FIELD(lease_result, deadline_ns, TIME),       FIELD(lease_result, ttl_ns, INTERVAL),
    FIELD(lease_result, commit_p99_ns, INTERVAL), FIELD(lease_result, flags, BITS),
    FIELD(lease_result, state, LEASE_STATE),      FIELD(lease_result, owner, TEXT),
};
TABLE(lease_result);

static const struct field fields_barrier_result[] = { NESTED(barrier_result, header, result_header) };
TABLE(barrier_result);

static const struct field fields_level_result[] = {
    NESTED(level_result, header, result_header),
    FIELD(level_result, level, UNSIGNED),
    FIELD(level_result, reserved, RESERVED),
};
TABLE(level_result);

static const struct field fields_snapshot_result[] = {
    NESTED(snapshot_result, header, result_header), FIELD(snapshot_result, newest_lsn, UNSIGNED),
    FIELD(snapshot_result, newest_index, UNSIGNED), FIELD(snapshot_result, written_bytes, UNSIGNED),
    FIELD(snapshot_result, total_bytes, UNSIGNED),  FIELD(snapshot_result, running, UNSIGNED),
    FIELD(snapshot_result, failed, UNSIGNED),       FIELD(snapshot_result, directory, TEXT),
};
TABLE(snapshot_result);

static const struct field fields_lookup_result[] = {
    NESTED(lookup_result, header, result_header),
    FIELD(lookup_result, what, WHAT),
    FIELD(lookup_result, state, STATE),
    FIELD(lookup_result, outcome_operation, OPERATION),
    FIELD(lookup_result, reserved0, RESERVED),
    FIELD(lookup_result, outcome_status, STATUS),
    FIELD(lookup_result, nights, UNSIGNED),
    FIELD(lookup_result, arrival, DATE),
    FIELD(lookup_result, version, UNSIGNED),
    FIELD(lookup_result, hold_deadline_ns, TIME),
    FIELD(lookup_result, external_reference, UNSIGNED),
    FIELD(lookup_result, room_type, UNSIGNED),
    FIELD(lookup_result, rooms, UNSIGNED),
    FIELD(lookup_result, lines_count, UNSIGNED),
};
TABLE(lookup_result);

static const struct field fields_calendar_result[] = {
    NESTED(calendar_result, header, result_header),    FIELD(calendar_result, first_night, DATE),
    FIELD(calendar_result, nights, UNSIGNED),          FIELD(calendar_result, types_count, UNSIGNED),
    FIELD(calendar_result, next_after_type, UNSIGNED), FIELD(calendar_result, business_date, DATE),
};
TABLE(calendar_result);

static const struct field fields_calendar_type[] = {
    FIELD(calendar_type, room_type, UNSIGNED),
    FIELD(calendar_type, reserved, RESERVED),
};
TABLE(calendar_type);

static const struct field fields_calendar_night[] = {
    FIELD(calendar_night, sellable, SIGNED),
    FIELD(calendar_night, sold, UNSIGNED),
    FIELD(calendar_night, held, UNSIGNED),
    FIELD(calendar_night, available, SIGNED),
};
TABLE(calendar_night);

static const struct field fields_status_result[] = {
    NESTED(status_result, header, result_header),
    FIELD(status_result, uptime_ns, INTERVAL),
    FIELD(status_result, memory_bytes, UNSIGNED),
    FIELD(status_result, shards, UNSIGNED),
    FIELD(status_result, engine_level, UNSIGNED),
    NESTED(status_result, limits, engine_limits),
    FIELD(status_result, properties, UNSIGNED),
    FIELD(status_result, room_types, UNSIGNED),
    FIELD(status_result, reservations_held, UNSIGNED),
    FIELD(status_result, reservations_confirmed, UNSIGNED),
    FIELD(status_result, reservations_ended, UNSIGNED),
    FIELD(status_result, outcomes, UNSIGNED),
    FIELD(status_result, leases_live, UNSIGNED),
    FIELD(status_result, leases_ended, UNSIGNED),
    FIELD(status_result, shortest_ttl_ns, INTERVAL),
    FIELD(status_result, commit_p50_ns, INTERVAL),
    FIELD(status_result, commit_p99_ns, INTERVAL),
    FIELD(status_result, alarm, UNSIGNED),
    FIELD(status_result, alarm_factor, UNSIGNED),
    FIELD(status_result, frames, UNSIGNED),
    FIELD(status_result, records, UNSIGNED),
    FIELD(status_result, log_bytes, UNSIGNED),
    FIELD(status_result, frame_index, UNSIGNED),
    FIELD(status_result, segment_sequence, UNSIGNED),
    FIELD(status_result, connections, UNSIGNED),
    FIELD(status_result, connections_max, UNSIGNED),
    FIELD(status_result, requests, UNSIGNED),
    FIELD(status_result, refused_overload, UNSIGNED),
    FIELD(status_result, state_hash, HASH),
    FIELD(status_result, uuid, KEY),
    FIELD(status_result, log_padding_bytes, UNSIGNED),
    FIELD(status_result, log_stalls, UNSIGNED),
    FIELD(status_result, log_depth, UNSIGNED),
    FIELD(status_result, log_depth_highest, UNSIGNED),
    FIELD(status_result, log_depth_max, UNSIGNED),
    FIELD(status_result, log_kernel_workers, UNSIGNED),
    FIELD(status_result, frame_p50_ns, INTERVAL),
    FIELD(status_result, frame_p99_ns, INTERVAL),
    FIELD(status_result, frame_p999_ns, INTERVAL),
    FIELD(status_result, frame_max_ns, INTERVAL),
    FIELD(status_result, segments_recycled, UNSIGNED),
    FIELD(status_result, segments_deleted, UNSIGNED),
    FIELD(status_result, snapshot_lsn, UNSIGNED),
    FIELD(status_result, snapshot_wall_ns, UNSIGNED),
    FIELD(status_result, snapshot_bytes, UNSIGNED),
    FIELD(status_result, snapshot_log_bytes, UNSIGNED),
    FIELD(status_result, snapshots_taken, UNSIGNED),
    FIELD(status_result, snapshots_failed, UNSIGNED),
    FIELD(status_result, snapshots_kept, UNSIGNED),
    FIELD(status_result, snapshot_running, UNSIGNED),
    FIELD(status_result, snapshot_written_bytes, UNSIGNED),
    FIELD(status_result, snapshot_total_bytes, UNSIGNED),
};
TABLE(status_result);

static const struct field fields_hello_result[] = {
    NESTED(hello_result, header, result_header),
    FIELD(hello_result, version, UNSIGNED),
    FIELD(hello_result, shards, UNSIGNED),
    FIELD(hello_result, shard, UNSIGNED),
    FIELD(hello_result, hash_rule, UNSIGNED),
    FIELD(hello_result, message_size_max, UNSIGNED),
    FIELD(hello_result, items_max, UNSIGNED),
    FIELD(hello_result, requests_max, UNSIGNED),
    FIELD(hello_result, horizon_nights, UNSIGNED),
    FIELD(hello_result, deadline_ahead_max_ns, INTERVAL),
    FIELD(hello_result, uuid, KEY),
    FIELD(hello_result, server_time_ns, TIME),
};
TABLE(hello_result);

static const struct field_table *const tables[] = {
    &table_message_header,  &table_record_header,    &table_mutation,
    &table_property_create, &table_room_type_create, &table_rooms_set,
    &table_reserve_line,    &table_reserve,          &table_reservation_change,
    &table_lease_acquire,   &table_lease_renew,      &table_lease_release,
    &table_barrier,         &table_raise_level,      &table_lookup,
    &table_calendar,        &table_lease_show,       &table_status_query,
    &table_hello,           &table_snapshot_request, &table_engine_limits,
    &table_config_record,   &table_recovered_record, &table_commit_latency_record,
    &table_epoch_record,    &table_digest_record,    &table_result_header,
    &table_mutation_result, &table_lease_result,     &table_barrier_result,
    &table_level_result,    &table_lookup_result,    &table_calendar_result,
    &table_calendar_type,   &table_calendar_night,   &table_status_result,
    &table_hello_result,    &table_snapshot_result,
};

const struct field_table *field_table_at(uint32_t index)
{
    return index < ARRAY_COUNT(tables) ? tables[index] : NULL;
}

const struct field_table *field_table_find(const char *name)
{
    for (uint32_t i = 0; i < ARRAY_COUNT(tables); i++)
        if (strcmp(tables[i]->name, name) == 0)
            return tables[i];
    return NULL;
}

const struct field_table *field_table_of_item(uint8_t operation)
{
    switch (operation) {
#define ITEM_CASE(name, number, item, class) \
    case number:                             \
        return &table_##item;
        OPERATION_MAP(ITEM_CASE)
#undef ITEM_CASE
    default:
        return NULL;
    }
}

const struct field_table *field_table_of_result(uint8_t operation)
{
    switch (operation) {
    case OPERATION_PROPERTY_CREATE:
    case OPERATION_ROOM_TYPE_CREATE:
    case OPERATION_ROOMS_SET:
    case OPERATION_RESERVE:
    case OPERATION_CONFIRM:
    case OPERATION_RELEASE:
    case OPERATION_CANCEL:
        return &table_mutation_result;
    case OPERATION_LEASE_ACQUIRE:
    case OPERATION_LEASE_RENEW:
    case OPERATION_LEASE_RELEASE:
    case OPERATION_LEASE_SHOW:
        return &table_lease_result;
    case OPERATION_BARRIER:
        return &table_barrier_result;
    case OPERATION_RAISE_LEVEL:
        return &table_level_result;
    case OPERATION_LOOKUP:
        return &table_lookup_result;
    case OPERATION_CALENDAR:
        return &table_calendar_result;
    case OPERATION_STATUS:
        return &table_status_result;
    case OPERATION_HELLO:
        return &table_hello_result;
    case OPERATION_SNAPSHOT:
        return &table_snapshot_result;
    default:
        return NULL;
    }
}

static const char *const state_names[] = { "NONE", "HELD", "CONFIRMED", "RELEASED", "EXPIRED", "CANCELLED" };
static const char *const lease_state_names[] = { "NONE", "LIVE", "EXPIRED", "RELEASED" };
static const char *const what_names[] = { "NOTHING", "RESERVATION", "OUTCOME" };
static const char *const epoch_reason_names[] = { "NONE", "CUT", "RESTORE", "RESHARD" };
static const struct {
    uint64_t number;
    const char *name;
} limit_names[] = {
    { LIMIT_NONE, "NONE" },
    { LIMIT_TYPE, "TYPE" },
    { LIMIT_HOUSE, "HOUSE" },
    { LIMIT_PROPERTIES, "PROPERTIES" },
    { LIMIT_ROOM_TYPES, "ROOM_TYPES" },
    { LIMIT_RESERVATIONS, "RESERVATIONS" },
    { LIMIT_OUTCOMES, "OUTCOMES" },
    { LIMIT_LEASES, "LEASES" },
};

static const char *limit_name(uint64_t value)
{
    for (uint32_t i = 0; i < ARRAY_COUNT(limit_names); i++)
        if (limit_names[i].number == value)
            return limit_names[i].name;
    return NULL;
}

static const char *operation_name_upper(uint64_t value)
{
    switch (value) {
    case OPERATION_NONE:
        return "NONE";
#define NAME_CASE(name, number, item, class) \
    case number:                             \
        return #name;
        OPERATION_MAP(NAME_CASE)
#undef NAME_CASE
    default:
        return NULL;
    }
}

const char *field_value_name(enum field_kind kind, uint64_t value)
{
    if (kind == FIELD_STATUS)
        return value <= UINT16_MAX ? status_name((uint16_t)value) : NULL;
    if (kind == FIELD_OPERATION)
        return operation_name_upper(value);
    if (kind == FIELD_STATE)
        return value < ARRAY_COUNT(state_names) ? state_names[value] : NULL;
    if (kind == FIELD_LEASE_STATE)
        return value < ARRAY_COUNT(lease_state_names) ? lease_state_names[value] : NULL;
    if (kind == FIELD_WHAT)
        return value < ARRAY_COUNT(what_names) ? what_names[value] : NULL;
    if (kind == FIELD_EPOCH_REASON)
        return value < ARRAY_COUNT(epoch_reason_names) ? epoch_reason_names[value] : NULL;
    return kind == FIELD_LIMIT ? limit_name(value) : NULL;
}

static uint64_t sign_extend(uint64_t value, uint32_t size)
{
    uint64_t sign = UINT64_C(1) << (size * 8 - 1);
    return (value ^ sign) - sign;
}

uint64_t field_number(const struct field *field, const void *bytes)
{
    REQUIRE(field->size == 1 || field->size == 2 || field->size == 4 || field->size == 8);
    uint64_t value = 0;
    memcpy(&value, (const uint8_t *)bytes + field->offset, field->size);
    if (field->kind == FIELD_SIGNED || field->kind == FIELD_DATE)
        return sign_extend(value, field->size);
    return value;
}
