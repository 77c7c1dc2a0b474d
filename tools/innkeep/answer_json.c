#include "tools/innkeep/answer.h"
#include "tools/innkeep/json_object.h"

/* What every object begins with. `result` NULL: there is no answer. */
static json_t *object_begin(const struct answer *answer, const struct inn_result *result)
{
    json_t *object = json_object();
    json_put_text(object, "command", inn_operation_name(answer->operation));
    json_put_text(object, "status", inn_verdict_name(answer->verdict));
    json_put_i64(object, "status_code", answer->verdict);
    if (answer->verdict != INN_OK)
        json_put_text(object, "explanation", inn_verdict_text(answer->verdict));
    if (answer->arguments->has_property)
        json_put_u64(object, "property", answer->arguments->property);
    if (answer->key != NULL)
        json_put_key(object, "key", *answer->key);
    else
        json_put_null(object, "key");
    if (answer->not_after_ns != 0)
        json_put_time(object, "not_after", answer->not_after_ns);
    if (result == NULL)
        return object;
    json_put_u64(object, "shard", result->shard);
    json_put_u64(object, "lsn", result->lsn);
    json_put_u64(object, "original_lsn", result->original_lsn);
    json_put_bool(object, "replayed", (result->flags & INN_REPLAYED) != 0);
    json_put_bool(object, "not_kept", (result->flags & INN_NOT_KEPT) != 0);
    json_put_time(object, "log_time", result->log_time_ns);
    return object;
}

static void put_name_or_null(json_t *object, const char *name, unsigned number, const char *text)
{
    if (number != 0)
        json_put_text(object, name, text);
    else
        json_put_null(object, name);
}

void answer_json_failure(const struct answer *answer)
{
    static const char *const unanswered[] = { "shard", "lsn", "original_lsn", "replayed", "log_time" };
    json_t *object = object_begin(answer, NULL);
    for (size_t i = 0; i < sizeof unanswered / sizeof unanswered[0]; i++)
        json_put_null(object, unanswered[i]);
    json_put_text(object, "error", answer->error);
    json_print(object);
}

static bool night_means_something(int verdict)
{
    return verdict == INN_SOLD_OUT || verdict == INN_BEFORE_BUSINESS_DATE || verdict == INN_BEYOND_HORIZON;
}

void answer_json_mutation(const struct answer *answer, const struct inn_mutation_result *result)
{
    json_t *object = object_begin(answer, &result->header);
    if (answer->operation >= INN_CONFIRM)
        json_put_key(object, "reservation", answer->arguments->reservation);
    if (night_means_something(answer->verdict))
        json_put_date(object, "night", result->night);
    else
        json_put_null(object, "night");
    json_put_u64(object, "room_type", result->room_type);
    if (answer->verdict == INN_SOLD_OUT)
        json_put_i64(object, "available", result->available);
    else
        json_put_null(object, "available");
    json_put_u64(object, "version", result->version);
    put_name_or_null(object, "state", result->state, inn_reservation_state_name(result->state));
    put_name_or_null(object, "limit", result->limit, inn_limit_name(result->limit));
    put_name_or_null(object, "operation", result->operation, inn_operation_name(result->operation));
    json_put_time(object, "hold_deadline_ns", result->hold_deadline_ns);
    json_put_u64(object, "token", result->token);
    json_print(object);
}

void answer_json_lookup(const struct answer *answer, const struct inn_lookup_result *result)
{
    static const char *const whats[] = { "nothing", "reservation", "outcome" };
    json_t *object = object_begin(answer, &result->header);
    json_put_text(object, "what", result->what < 3 ? whats[result->what] : "unknown");
    put_name_or_null(object, "state", result->state, inn_reservation_state_name(result->state));
    put_name_or_null(object, "outcome_operation", result->outcome_operation,
                     inn_operation_name(result->outcome_operation));
    put_name_or_null(object, "outcome_status", result->what, inn_verdict_name(result->outcome_status));
    if (result->what == INN_LOOKUP_RESERVATION)
        json_put_date(object, "arrival", result->arrival);
    else
        json_put_null(object, "arrival");
    json_put_u64(object, "nights", result->nights);
    json_put_u64(object, "version", result->version);
    json_put_time(object, "hold_deadline_ns", result->hold_deadline_ns);
    json_put_u64(object, "external_reference", result->external_reference);
    json_put_u64(object, "room_type", result->room_type);
    json_put_u64(object, "rooms", result->rooms);
    json_put_u64(object, "lines_count", result->lines_count);
    json_print(object);
}

void answer_json_barrier(const struct answer *answer, const struct inn_barrier_result *result)
{
    json_print(object_begin(answer, &result->header));
}

void answer_json_snapshot(const struct answer *answer, const struct inn_snapshot_result *result, bool failed)
{
    json_t *object = object_begin(answer, &result->header);
    json_put_u64(object, "newest_lsn", result->newest_lsn);
    json_put_u64(object, "newest_index", result->newest_index);
    json_put_u64(object, "bytes", result->total_bytes);
    json_put_text(object, "directory", result->directory);
    json_put_bool(object, "failed", failed);
    json_print(object);
}

void answer_json_level(const struct answer *answer, const struct inn_level_result *result)
{
    json_t *object = object_begin(answer, &result->header);
    json_put_u64(object, "level", result->level);
    json_print(object);
}

static json_t *calendar_night_object(const struct calendar_row *row)
{
    json_t *night = json_object();
    json_put_date(night, "night", row->night);
    json_put_i64(night, "sellable", row->cell.sellable);
    json_put_u64(night, "sold", row->cell.sold);
    json_put_u64(night, "held", row->cell.held);
    json_put_i64(night, "available", row->cell.available);
    return night;
}

static json_t *calendar_types_array(const struct calendar_pages *pages)
{
    json_t *types = json_array();
    json_t *nights = NULL;
    for (size_t i = 0; i < pages->rows_count; i++) {
        if (i == 0 || pages->rows[i].room_type != pages->rows[i - 1].room_type) {
            json_t *type = json_object();
            json_put_u64(type, "room_type", pages->rows[i].room_type);
            nights = json_array();
            json_put(type, "nights", nights);
            json_array_append_new(types, type);
        }
        json_array_append_new(nights, calendar_night_object(&pages->rows[i]));
    }
    return types;
}

void answer_json_calendar(const struct answer *answer, const struct calendar_pages *pages)
{
    json_t *object = object_begin(answer, &pages->last.header);
    if (answer->verdict == INN_OK) {
        json_put_date(object, "business_date", pages->last.business_date);
        json_put_date(object, "first_night", pages->last.first_night);
        json_put_u64(object, "nights", pages->last.nights);
        json_put_u64(object, "pages", pages->pages);
        json_put(object, "types", calendar_types_array(pages));
    }
    json_print(object);
}

void answer_json_lease(const struct answer *answer, const struct inn_lease_result *result, struct inn_key session)
{
    char owner[INN_OWNER_SIZE + 1];
    json_t *object = object_begin(answer, &result->header);
    json_put_u64(object, "resource", answer->arguments->resource);
    json_put_text(object, "resource_text", answer->arguments->resource_text);
    if (answer->operation == INN_LEASE_ACQUIRE)
        json_put_key(object, "session", session);
    json_put_u64(object, "token", result->token);
    json_put_time(object, "deadline_ns", result->deadline_ns);
    json_put_u64(object, "ttl_ns", result->ttl_ns);
    json_put_u64(object, "commit_p99_ns", result->commit_p99_ns);
    json_put_bool(object, "ttl_too_short", (result->flags & INN_LEASE_TTL_TOO_SHORT) != 0);
    put_name_or_null(object, "state", result->state, inn_lease_state_name(result->state));
    json_put_text(object, "owner", owner_text(result->owner, owner));
    json_print(object);
}

static json_t *limits_object(const struct inn_engine_limits *limits)
{
    json_t *object = json_object();
    json_put_u64(object, "properties_max", limits->properties_max);
    json_put_u64(object, "room_types_max", limits->room_types_max);
    json_put_u64(object, "horizon_nights", limits->horizon_nights);
    json_put_u64(object, "reservations_max", limits->reservations_max);
    json_put_u64(object, "outcomes_max", limits->outcomes_max);
    json_put_u64(object, "leases_max", limits->leases_max);
    json_put_u64(object, "deadline_ahead_max_ns", limits->deadline_ahead_max_ns);
    json_put_u64(object, "keep_ended_ns", limits->keep_ended_ns);
    return object;
}

static void put_counts(json_t *object, const struct inn_status_result *r)
{
    json_put_u64(object, "properties", r->properties);
    json_put_u64(object, "room_types", r->room_types);
    json_put_u64(object, "reservations_held", r->reservations_held);
    json_put_u64(object, "reservations_confirmed", r->reservations_confirmed);
    json_put_u64(object, "reservations_ended", r->reservations_ended);
    json_put_u64(object, "outcomes", r->outcomes);
    json_put_u64(object, "leases_live", r->leases_live);
    json_put_u64(object, "leases_ended", r->leases_ended);
    json_put_u64(object, "shortest_ttl_ns", r->shortest_ttl_ns);
}

static void put_log(json_t *object, const struct inn_status_result *r)
{
    json_put_u64(object, "commit_p50_ns", r->commit_p50_ns);
    json_put_u64(object, "commit_p99_ns", r->commit_p99_ns);
    json_put_u64(object, "alarm", r->alarm);
    json_put_u64(object, "alarm_factor", r->alarm_factor);
    json_put_u64(object, "frames", r->frames);
    json_put_u64(object, "records", r->records);
    json_put_u64(object, "log_bytes", r->log_bytes);
    json_put_u64(object, "frame_index", r->frame_index);
    json_put_u64(object, "segment_sequence", r->segment_sequence);
    json_put_u64(object, "connections", r->connections);
    json_put_u64(object, "connections_max", r->connections_max);
    json_put_u64(object, "requests", r->requests);
    json_put_u64(object, "refused_overload", r->refused_overload);
    json_put_u64(object, "log_padding_bytes", r->log_padding_bytes);
    json_put_u64(object, "log_stalls", r->log_stalls);
    json_put_u64(object, "log_depth", r->log_depth);
    json_put_u64(object, "log_depth_highest", r->log_depth_highest);
    json_put_u64(object, "log_depth_max", r->log_depth_max);
    json_put_u64(object, "log_kernel_workers", r->log_kernel_workers);
    json_put_u64(object, "frame_p50_ns", r->frame_p50_ns);
    json_put_u64(object, "frame_p99_ns", r->frame_p99_ns);
    json_put_u64(object, "frame_p999_ns", r->frame_p999_ns);
    json_put_u64(object, "frame_max_ns", r->frame_max_ns);
    json_put_u64(object, "segments_recycled", r->segments_recycled);
    json_put_u64(object, "segments_deleted", r->segments_deleted);
    json_put_u64(object, "snapshot_lsn", r->snapshot_lsn);
    json_put_u64(object, "snapshot_wall_ns", r->snapshot_wall_ns);
    json_put_u64(object, "snapshot_bytes", r->snapshot_bytes);
    json_put_u64(object, "snapshot_log_bytes", r->snapshot_log_bytes);
    json_put_u64(object, "snapshots_taken", r->snapshots_taken);
    json_put_u64(object, "snapshots_failed", r->snapshots_failed);
    json_put_u64(object, "snapshots_kept", r->snapshots_kept);
    json_put_u64(object, "snapshot_running", r->snapshot_running);
    json_put_u64(object, "snapshot_written_bytes", r->snapshot_written_bytes);
    json_put_u64(object, "snapshot_total_bytes", r->snapshot_total_bytes);
}

void answer_json_status(const struct answer *answer, const struct inn_status_result *result)
{
    char hash[HASH_TEXT_SIZE];
    struct inn_key uuid;
    json_t *object = object_begin(answer, &result->header);
    json_put_u64(object, "uptime_ns", result->uptime_ns);
    json_put_u64(object, "memory_bytes", result->memory_bytes);
    json_put_u64(object, "shards", result->shards);
    json_put_u64(object, "engine_level", result->engine_level);
    json_put(object, "limits", limits_object(&result->limits));
    put_counts(object, result);
    put_log(object, result);
    if (answer->arguments->with_hash)
        json_put_text(object, "state_hash", hash_text(result->state_hash, hash));
    else
        json_put_null(object, "state_hash");
    for (size_t i = 0; i < sizeof uuid.bytes; i++)
        uuid.bytes[i] = result->uuid[i];
    json_put_key(object, "uuid", uuid);
    json_print(object);
}

void answer_json_hash_sum(const struct answer *answer, uint32_t shards, const uint64_t sum[2])
{
    char hash[HASH_TEXT_SIZE];
    json_t *object = json_object();
    json_put_text(object, "command", inn_operation_name(answer->operation));
    json_put_text(object, "status", inn_verdict_name(answer->verdict));
    json_put_null(object, "shard");
    json_put_u64(object, "shards", shards);
    json_put_text(object, "state_hash", hash_text(sum, hash));
    json_print(object);
}
