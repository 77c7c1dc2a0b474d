/* The public header repeats what the server's own headers say, so that it can stand alone. Here the compiler compares
 * the two. */
#include "engine/engine.h"
#include "net/include/innkeep/innkeep.h"
#include "net/protocol.h"

#define SAME_STATUS(name, number, class, text) static_assert((int)INN_##name == (number), "status " #name);
STATUS_MAP(SAME_STATUS)

#define SAME_NUMBER(ours, theirs) static_assert((int)(ours) == (int)(theirs), #ours)
SAME_NUMBER(INN_PROPERTY_CREATE, OPERATION_PROPERTY_CREATE);
SAME_NUMBER(INN_ROOM_TYPE_CREATE, OPERATION_ROOM_TYPE_CREATE);
SAME_NUMBER(INN_ROOMS_SET, OPERATION_ROOMS_SET);
SAME_NUMBER(INN_RESERVE, OPERATION_RESERVE);
SAME_NUMBER(INN_CONFIRM, OPERATION_CONFIRM);
SAME_NUMBER(INN_RELEASE, OPERATION_RELEASE);
SAME_NUMBER(INN_CANCEL, OPERATION_CANCEL);
SAME_NUMBER(INN_LEASE_ACQUIRE, OPERATION_LEASE_ACQUIRE);
SAME_NUMBER(INN_LEASE_RENEW, OPERATION_LEASE_RENEW);
SAME_NUMBER(INN_LEASE_RELEASE, OPERATION_LEASE_RELEASE);
SAME_NUMBER(INN_BARRIER, OPERATION_BARRIER);
SAME_NUMBER(INN_RAISE_LEVEL, OPERATION_RAISE_LEVEL);
SAME_NUMBER(INN_ENGINE_LEVEL, ENGINE_LEVEL);
SAME_NUMBER(INN_LOOKUP, OPERATION_LOOKUP);
SAME_NUMBER(INN_CALENDAR, OPERATION_CALENDAR);
SAME_NUMBER(INN_LEASE_SHOW, OPERATION_LEASE_SHOW);
SAME_NUMBER(INN_STATUS, OPERATION_STATUS);
SAME_NUMBER(INN_SNAPSHOT, OPERATION_SNAPSHOT);
SAME_NUMBER(INN_HELLO, OPERATION_HELLO);
SAME_NUMBER(INN_REPLAYED, RESULT_REPLAYED);
SAME_NUMBER(INN_NOT_KEPT, RESULT_NOT_KEPT);
SAME_NUMBER(INN_RESERVATION_HELD, RESERVATION_HELD);
SAME_NUMBER(INN_RESERVATION_CONFIRMED, RESERVATION_CONFIRMED);
SAME_NUMBER(INN_RESERVATION_RELEASED, RESERVATION_RELEASED);
SAME_NUMBER(INN_RESERVATION_EXPIRED, RESERVATION_EXPIRED);
SAME_NUMBER(INN_RESERVATION_CANCELLED, RESERVATION_CANCELLED);
SAME_NUMBER(INN_LIMIT_TYPE, LIMIT_TYPE);
SAME_NUMBER(INN_LIMIT_HOUSE, LIMIT_HOUSE);
SAME_NUMBER(INN_LIMIT_PROPERTIES, LIMIT_PROPERTIES);
SAME_NUMBER(INN_LIMIT_ROOM_TYPES, LIMIT_ROOM_TYPES);
SAME_NUMBER(INN_LIMIT_RESERVATIONS, LIMIT_RESERVATIONS);
SAME_NUMBER(INN_LIMIT_OUTCOMES, LIMIT_OUTCOMES);
SAME_NUMBER(INN_LIMIT_LEASES, LIMIT_LEASES);
SAME_NUMBER(INN_LEASE_STATE_LIVE, LEASE_LIVE);
SAME_NUMBER(INN_LEASE_STATE_EXPIRED, LEASE_EXPIRED);
SAME_NUMBER(INN_LEASE_STATE_RELEASED, LEASE_RELEASED);
SAME_NUMBER(INN_LEASE_TTL_TOO_SHORT, LEASE_TTL_TOO_SHORT);
SAME_NUMBER(INN_LOOKUP_RESERVATION, LOOKUP_RESERVATION);
SAME_NUMBER(INN_LOOKUP_OUTCOME, LOOKUP_OUTCOME);
SAME_NUMBER(INN_WEEKDAYS_ALL, WEEKDAYS_ALL);
SAME_NUMBER(INN_OWNER_SIZE, OWNER_SIZE);
static_assert(INN_SHARD_ANY == SHARD_ANY && INN_ROOM_TYPE_ALL == ROOM_TYPE_ALL, "special numbers");
static_assert(sizeof(struct inn_key) == sizeof(struct key), "key");

#define SAME_SIZE(ours, theirs) static_assert(sizeof(struct ours) == sizeof(struct theirs), #ours)
#define SAME_FIELD(ours, theirs, field)                                                         \
    static_assert(offsetof(struct ours, field) == offsetof(struct theirs, field) &&             \
                      sizeof(((struct ours *)0)->field) == sizeof(((struct theirs *)0)->field), \
                  #ours "." #field)

SAME_SIZE(inn_result, result_header);
SAME_FIELD(inn_result, result_header, size);
SAME_FIELD(inn_result, result_header, status);
SAME_FIELD(inn_result, result_header, flags);
SAME_FIELD(inn_result, result_header, item);
SAME_FIELD(inn_result, result_header, shard);
SAME_FIELD(inn_result, result_header, reserved);
SAME_FIELD(inn_result, result_header, lsn);
SAME_FIELD(inn_result, result_header, original_lsn);
SAME_FIELD(inn_result, result_header, log_time_ns);

SAME_SIZE(inn_mutation_result, mutation_result);
SAME_FIELD(inn_mutation_result, mutation_result, header);
SAME_FIELD(inn_mutation_result, mutation_result, night);
SAME_FIELD(inn_mutation_result, mutation_result, room_type);
SAME_FIELD(inn_mutation_result, mutation_result, available);
SAME_FIELD(inn_mutation_result, mutation_result, version);
SAME_FIELD(inn_mutation_result, mutation_result, state);
SAME_FIELD(inn_mutation_result, mutation_result, limit);
SAME_FIELD(inn_mutation_result, mutation_result, operation);
SAME_FIELD(inn_mutation_result, mutation_result, reserved);
SAME_FIELD(inn_mutation_result, mutation_result, hold_deadline_ns);
SAME_FIELD(inn_mutation_result, mutation_result, token);

SAME_SIZE(inn_lease_result, lease_result);
SAME_FIELD(inn_lease_result, lease_result, header);
SAME_FIELD(inn_lease_result, lease_result, token);
SAME_FIELD(inn_lease_result, lease_result, deadline_ns);
SAME_FIELD(inn_lease_result, lease_result, ttl_ns);
SAME_FIELD(inn_lease_result, lease_result, commit_p99_ns);
SAME_FIELD(inn_lease_result, lease_result, flags);
SAME_FIELD(inn_lease_result, lease_result, state);
SAME_FIELD(inn_lease_result, lease_result, owner);

SAME_SIZE(inn_lookup_result, lookup_result);
SAME_FIELD(inn_lookup_result, lookup_result, header);
SAME_FIELD(inn_lookup_result, lookup_result, what);
SAME_FIELD(inn_lookup_result, lookup_result, state);
SAME_FIELD(inn_lookup_result, lookup_result, outcome_operation);
SAME_FIELD(inn_lookup_result, lookup_result, reserved0);
SAME_FIELD(inn_lookup_result, lookup_result, outcome_status);
SAME_FIELD(inn_lookup_result, lookup_result, nights);
SAME_FIELD(inn_lookup_result, lookup_result, arrival);
SAME_FIELD(inn_lookup_result, lookup_result, version);
SAME_FIELD(inn_lookup_result, lookup_result, hold_deadline_ns);
SAME_FIELD(inn_lookup_result, lookup_result, external_reference);
SAME_FIELD(inn_lookup_result, lookup_result, room_type);
SAME_FIELD(inn_lookup_result, lookup_result, rooms);
SAME_FIELD(inn_lookup_result, lookup_result, lines_count);

SAME_SIZE(inn_calendar_night, calendar_night);
SAME_FIELD(inn_calendar_night, calendar_night, sellable);
SAME_FIELD(inn_calendar_night, calendar_night, sold);
SAME_FIELD(inn_calendar_night, calendar_night, held);
SAME_FIELD(inn_calendar_night, calendar_night, available);

SAME_SIZE(inn_calendar_type, calendar_type);
SAME_FIELD(inn_calendar_type, calendar_type, room_type);
SAME_FIELD(inn_calendar_type, calendar_type, reserved);

SAME_SIZE(inn_calendar_result, calendar_result);
SAME_FIELD(inn_calendar_result, calendar_result, header);
SAME_FIELD(inn_calendar_result, calendar_result, first_night);
SAME_FIELD(inn_calendar_result, calendar_result, nights);
SAME_FIELD(inn_calendar_result, calendar_result, types_count);
SAME_FIELD(inn_calendar_result, calendar_result, next_after_type);
SAME_FIELD(inn_calendar_result, calendar_result, business_date);

SAME_SIZE(inn_engine_limits, engine_limits);
SAME_FIELD(inn_engine_limits, engine_limits, properties_max);
SAME_FIELD(inn_engine_limits, engine_limits, room_types_max);
SAME_FIELD(inn_engine_limits, engine_limits, horizon_nights);
SAME_FIELD(inn_engine_limits, engine_limits, reservations_max);
SAME_FIELD(inn_engine_limits, engine_limits, outcomes_max);
SAME_FIELD(inn_engine_limits, engine_limits, leases_max);
SAME_FIELD(inn_engine_limits, engine_limits, deadline_ahead_max_ns);
SAME_FIELD(inn_engine_limits, engine_limits, keep_ended_ns);

SAME_SIZE(inn_status_result, status_result);
SAME_FIELD(inn_status_result, status_result, header);
SAME_FIELD(inn_status_result, status_result, uptime_ns);
SAME_FIELD(inn_status_result, status_result, memory_bytes);
SAME_FIELD(inn_status_result, status_result, shards);
SAME_FIELD(inn_status_result, status_result, engine_level);
SAME_FIELD(inn_status_result, status_result, limits);
SAME_FIELD(inn_status_result, status_result, properties);
SAME_FIELD(inn_status_result, status_result, room_types);
SAME_FIELD(inn_status_result, status_result, reservations_held);
SAME_FIELD(inn_status_result, status_result, reservations_confirmed);
SAME_FIELD(inn_status_result, status_result, reservations_ended);
SAME_FIELD(inn_status_result, status_result, outcomes);
SAME_FIELD(inn_status_result, status_result, leases_live);
SAME_FIELD(inn_status_result, status_result, leases_ended);
SAME_FIELD(inn_status_result, status_result, shortest_ttl_ns);
SAME_FIELD(inn_status_result, status_result, commit_p50_ns);
SAME_FIELD(inn_status_result, status_result, commit_p99_ns);
SAME_FIELD(inn_status_result, status_result, alarm);
SAME_FIELD(inn_status_result, status_result, alarm_factor);
SAME_FIELD(inn_status_result, status_result, frames);
SAME_FIELD(inn_status_result, status_result, records);
SAME_FIELD(inn_status_result, status_result, log_bytes);
SAME_FIELD(inn_status_result, status_result, frame_index);
SAME_FIELD(inn_status_result, status_result, segment_sequence);
SAME_FIELD(inn_status_result, status_result, connections);
SAME_FIELD(inn_status_result, status_result, connections_max);
SAME_FIELD(inn_status_result, status_result, requests);
SAME_FIELD(inn_status_result, status_result, refused_overload);
SAME_FIELD(inn_status_result, status_result, state_hash);
SAME_FIELD(inn_status_result, status_result, uuid);
SAME_FIELD(inn_status_result, status_result, log_padding_bytes);
SAME_FIELD(inn_status_result, status_result, log_stalls);
SAME_FIELD(inn_status_result, status_result, log_depth);
SAME_FIELD(inn_status_result, status_result, log_depth_highest);
SAME_FIELD(inn_status_result, status_result, log_depth_max);
SAME_FIELD(inn_status_result, status_result, log_kernel_workers);
SAME_FIELD(inn_status_result, status_result, frame_p50_ns);
SAME_FIELD(inn_status_result, status_result, frame_p99_ns);
SAME_FIELD(inn_status_result, status_result, frame_p999_ns);
SAME_FIELD(inn_status_result, status_result, frame_max_ns);
SAME_FIELD(inn_status_result, status_result, segments_recycled);
SAME_FIELD(inn_status_result, status_result, segments_deleted);
SAME_FIELD(inn_status_result, status_result, snapshot_lsn);
SAME_FIELD(inn_status_result, status_result, snapshot_wall_ns);
SAME_FIELD(inn_status_result, status_result, snapshot_bytes);
SAME_FIELD(inn_status_result, status_result, snapshot_log_bytes);
SAME_FIELD(inn_status_result, status_result, snapshots_taken);
SAME_FIELD(inn_status_result, status_result, snapshots_failed);
SAME_FIELD(inn_status_result, status_result, snapshots_kept);
SAME_FIELD(inn_status_result, status_result, snapshot_running);
SAME_FIELD(inn_status_result, status_result, snapshot_written_bytes);
SAME_FIELD(inn_status_result, status_result, snapshot_total_bytes);

SAME_SIZE(inn_snapshot_result, snapshot_result);
SAME_FIELD(inn_snapshot_result, snapshot_result, newest_lsn);
SAME_FIELD(inn_snapshot_result, snapshot_result, newest_index);
SAME_FIELD(inn_snapshot_result, snapshot_result, written_bytes);
SAME_FIELD(inn_snapshot_result, snapshot_result, total_bytes);
SAME_FIELD(inn_snapshot_result, snapshot_result, running);
SAME_FIELD(inn_snapshot_result, snapshot_result, failed);
SAME_FIELD(inn_snapshot_result, snapshot_result, directory);

SAME_SIZE(inn_hello_result, hello_result);
SAME_FIELD(inn_hello_result, hello_result, header);
SAME_FIELD(inn_hello_result, hello_result, version);
SAME_FIELD(inn_hello_result, hello_result, shards);
SAME_FIELD(inn_hello_result, hello_result, shard);
SAME_FIELD(inn_hello_result, hello_result, hash_rule);
SAME_FIELD(inn_hello_result, hello_result, message_size_max);
SAME_FIELD(inn_hello_result, hello_result, items_max);
SAME_FIELD(inn_hello_result, hello_result, requests_max);
SAME_FIELD(inn_hello_result, hello_result, horizon_nights);
SAME_FIELD(inn_hello_result, hello_result, deadline_ahead_max_ns);
SAME_FIELD(inn_hello_result, hello_result, uuid);
SAME_FIELD(inn_hello_result, hello_result, server_time_ns);

SAME_SIZE(inn_barrier_result, barrier_result);
SAME_FIELD(inn_barrier_result, barrier_result, header);
SAME_SIZE(inn_level_result, level_result);
SAME_FIELD(inn_level_result, level_result, level);
