#include "tools/innkeep/answer.h"

#include "engine/base/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

char *hash_text(const uint64_t hash[2], char text[HASH_TEXT_SIZE])
{
    snprintf(text, HASH_TEXT_SIZE, "%016" PRIx64 "%016" PRIx64, hash[1], hash[0]);
    return text;
}

char *owner_text(const char owner[INN_OWNER_SIZE], char text[INN_OWNER_SIZE + 1])
{
    memcpy(text, owner, INN_OWNER_SIZE);
    text[INN_OWNER_SIZE] = '\0';
    return text;
}

void answer_print_key_early(const struct arguments *arguments, struct inn_key key)
{
    char text[INN_KEY_TEXT_SIZE];
    FILE *out = arguments->json ? stderr : stdout;
    fprintf(out, "key %s\n", inn_key_format(key, text));
    fflush(out);
}

void answer_print_failure(const struct answer *answer)
{
    char key[INN_KEY_TEXT_SIZE];
    char time[VALUE_TIME_TEXT_SIZE];
    const char *error = answer->error[0] != '\0' ? answer->error : inn_verdict_text(answer->verdict);
    if (answer->arguments->json)
        answer_json_failure(answer);
    fprintf(stderr, "innkeep: %s%s\n", answer->verdict == INN_UNKNOWN ? "outcome unknown: " : "", error);
    if (answer->verdict != INN_UNKNOWN || answer->key == NULL || answer->not_after_ns == 0)
        return;
    fprintf(stderr,
            "It may have taken effect, or may until %s of the server's log. To find out: `innkeep barrier %" PRIu64
            "', then `innkeep lookup %" PRIu64 " %s'.\n",
            value_time_text(answer->not_after_ns, time), answer->arguments->property, answer->arguments->property,
            inn_key_format(*answer->key, key));
}

/* ---- Mutations --------------------------------------------------------------------------------------------------- */

static void print_trailer(const struct inn_result *header)
{
    printf(" (lsn %" PRIu64, header->lsn);
    if ((header->flags & INN_REPLAYED) != 0)
        printf(", replayed from lsn %" PRIu64, header->original_lsn);
    puts(")");
}

static bool operation_names_type(unsigned operation)
{
    return operation == INN_ROOM_TYPE_CREATE || operation == INN_ROOMS_SET || operation == INN_RESERVE;
}

/* "property 1, room type 3" */
static void print_subject(const struct answer *answer)
{
    const struct arguments *a = answer->arguments;
    char key[INN_KEY_TEXT_SIZE];
    printf("property %" PRIu64, a->property);
    if (operation_names_type(answer->operation) || (answer->operation == INN_CALENDAR && a->room_type != 0))
        printf(", room type %" PRIu32, a->room_type);
    if (answer->operation >= INN_CONFIRM && answer->operation <= INN_CANCEL)
        printf(", reservation %s", inn_key_format(a->reservation, key));
    if (answer->operation == INN_LOOKUP && answer->key != NULL)
        printf(", key %s", inn_key_format(*answer->key, key));
    if (a->resource_text != NULL)
        printf(", resource %" PRIu64 " (%s)", a->resource, a->resource_text);
}

static void print_refused_fence(const struct answer *answer, const struct inn_mutation_result *result)
{
    const struct fence *fence = &answer->arguments->fence;
    printf(", resource %" PRIu64 ": token %" PRIu64, fence->resource, fence->token);
    if (answer->verdict == INN_FENCED)
        printf(" is older than the newest, %" PRIu64, result->token);
    else
        printf(": %s", inn_verdict_text(answer->verdict));
    if (answer->verdict != INN_FENCED && result->token != 0)
        printf(" (newest token %" PRIu64 ")", result->token);
}

static void print_refused_mutation(const struct answer *answer, const struct inn_mutation_result *result)
{
    const struct arguments *a = answer->arguments;
    char date[INN_DATE_TEXT_SIZE];
    printf("refused: %s: ", inn_verdict_name(answer->verdict));
    print_subject(answer);
    if (answer->verdict == INN_SOLD_OUT)
        printf(", night %s: %" PRId32 " of %u room%s left (limit: %s)", inn_date_format(result->night, date),
               result->available, a->rooms, a->rooms == 1 ? "" : "s", inn_limit_name(result->limit));
    else if (answer->verdict == INN_BEFORE_BUSINESS_DATE || answer->verdict == INN_BEYOND_HORIZON)
        printf(", night %s: %s", inn_date_format(result->night, date), inn_verdict_text(answer->verdict));
    else if (answer->verdict == INN_STATE_CONFLICT || answer->verdict == INN_VERSION_CONFLICT)
        printf(": it is %s, version %" PRIu32, inn_reservation_state_name(result->state), result->version);
    else if (answer->verdict == INN_KEY_REUSED)
        printf(": the key was used for another %s at lsn %" PRIu64, inn_operation_name(result->operation),
               result->header.original_lsn);
    else if (answer->verdict >= INN_FENCED && answer->verdict <= INN_TOKEN_UNKNOWN)
        print_refused_fence(answer, result);
    else if (answer->verdict == INN_LIMIT_REACHED)
        printf(": the server's table is full (limit: %s)", inn_limit_name(result->limit));
    else
        printf(": %s", inn_verdict_text(answer->verdict));
    print_trailer(&result->header);
}

static void print_done_reserve(const struct answer *answer, const struct inn_mutation_result *result)
{
    const struct arguments *a = answer->arguments;
    char date[INN_DATE_TEXT_SIZE];
    char time[VALUE_TIME_TEXT_SIZE];
    printf("%s: ", inn_reservation_state_name(result->state));
    print_subject(answer);
    printf(", %s for %u night%s, %u room%s", inn_date_format(a->arrival, date), a->nights, a->nights == 1 ? "" : "s",
           a->rooms, a->rooms == 1 ? "" : "s");
    if (result->state == INN_RESERVATION_HELD)
        printf(", until %s", value_time_text(result->hold_deadline_ns, time));
    printf(", version %" PRIu32, result->version);
    print_trailer(&result->header);
}

void answer_print_mutation(const struct answer *answer, const struct inn_mutation_result *result)
{
    if (answer->arguments->json) {
        answer_json_mutation(answer, result);
    } else if (answer->verdict != INN_OK) {
        print_refused_mutation(answer, result);
    } else if (answer->operation == INN_RESERVE) {
        print_done_reserve(answer, result);
    } else {
        printf("%s: ", answer->operation >= INN_CONFIRM ? inn_reservation_state_name(result->state) : "done");
        print_subject(answer);
        if (answer->operation >= INN_CONFIRM)
            printf(", version %" PRIu32, result->version);
        print_trailer(&result->header);
    }
}

/* ---- Leases ------------------------------------------------------------------------------------------------------ */

static void print_refused_lease(const struct answer *answer, const struct inn_lease_result *result)
{
    char owner[INN_OWNER_SIZE + 1];
    char left[VALUE_DURATION_TEXT_SIZE];
    printf("refused: %s: ", inn_verdict_name(answer->verdict));
    print_subject(answer);
    uint64_t now = result->header.log_time_ns;
    if (answer->verdict == INN_LEASE_HELD && result->deadline_ns > now)
        printf(": held by %s for another %s", owner_text(result->owner, owner),
               value_duration_text(result->deadline_ns - now, left));
    else
        printf(": %s", inn_verdict_text(answer->verdict));
    if (result->token != 0)
        printf(" (newest token %" PRIu64 ")", result->token);
    print_trailer(&result->header);
}

static void print_lease_warning(const struct inn_lease_result *result)
{
    char ttl[VALUE_DURATION_TEXT_SIZE];
    char p99[VALUE_DURATION_TEXT_SIZE];
    if ((result->flags & INN_LEASE_TTL_TOO_SHORT) != 0)
        printf(
            "warning: a time to live of %s is too close to this shard's commit latency (p99 %s): writes will come too "
            "late and be fenced off\n",
            value_duration_text(result->ttl_ns, ttl), value_duration_text(result->commit_p99_ns, p99));
}

void answer_print_lease(const struct answer *answer, const struct inn_lease_result *result, struct inn_key session)
{
    char owner[INN_OWNER_SIZE + 1];
    char time[VALUE_TIME_TEXT_SIZE];
    char key[INN_KEY_TEXT_SIZE];
    if (answer->arguments->json) {
        answer_json_lease(answer, result, session);
        return;
    }
    if (answer->verdict != INN_OK) {
        print_refused_lease(answer, result);
        return;
    }
    printf("%s: ", inn_lease_state_name(result->state));
    print_subject(answer);
    printf(", token %" PRIu64 ", owner %s, until %s", result->token, owner_text(result->owner, owner),
           value_time_text(result->deadline_ns, time));
    if (answer->operation == INN_LEASE_ACQUIRE)
        printf(", session %s", inn_key_format(session, key));
    print_trailer(&result->header);
    print_lease_warning(result);
}

/* ---- Questions --------------------------------------------------------------------------------------------------- */

static void print_refused(const struct answer *answer, const struct inn_result *header)
{
    printf("refused: %s: ", inn_verdict_name(answer->verdict));
    if (answer->arguments->has_property) {
        print_subject(answer);
        printf(": ");
    }
    printf("%s", inn_verdict_text(answer->verdict));
    print_trailer(header);
}

void answer_print_lookup(const struct answer *answer, const struct inn_lookup_result *result)
{
    char date[INN_DATE_TEXT_SIZE];
    char time[VALUE_TIME_TEXT_SIZE];
    if (answer->arguments->json) {
        answer_json_lookup(answer, result);
        return;
    }
    if (answer->verdict != INN_OK) {
        print_refused(answer, &result->header);
        return;
    }
    if (result->what == INN_LOOKUP_OUTCOME) {
        printf("%s: %s", inn_operation_name(result->outcome_operation), inn_verdict_name(result->outcome_status));
        printf(" at lsn %" PRIu64 "\n", result->header.original_lsn);
        return;
    }
    printf("%s: ", inn_reservation_state_name(result->state));
    print_subject(answer);
    printf(", room type %" PRIu32 ", %s for %u night%s, %u room%s, version %" PRIu32, result->room_type,
           inn_date_format(result->arrival, date), result->nights, result->nights == 1 ? "" : "s", result->rooms,
           result->rooms == 1 ? "" : "s", result->version);
    if (result->state == INN_RESERVATION_HELD)
        printf(", until %s", value_time_text(result->hold_deadline_ns, time));
    if (result->external_reference != 0)
        printf(", reference %" PRIu64, result->external_reference);
    printf(", made at lsn %" PRIu64 "\n", result->header.original_lsn);
}

void answer_print_barrier(const struct answer *answer, const struct inn_barrier_result *result)
{
    char time[VALUE_TIME_TEXT_SIZE];
    if (answer->arguments->json)
        answer_json_barrier(answer, result);
    else if (answer->verdict != INN_OK)
        print_refused(answer, &result->header);
    else
        printf("shard %u: log time %s, lsn %" PRIu64 "\n", result->header.shard,
               value_time_text(result->header.log_time_ns, time), result->header.lsn);
}

void answer_print_snapshot(const struct answer *answer, const struct inn_snapshot_result *result, bool failed)
{
    if (answer->arguments->json)
        answer_json_snapshot(answer, result, failed);
    else if (answer->verdict != INN_OK)
        print_refused(answer, &result->header);
    else if (failed)
        printf("shard %u: the snapshot failed; the server's own log says why. Nothing is lost by it\n",
               result->header.shard);
    else
        printf("shard %u: snapshot up to lsn %" PRIu64 ", %.1f MiB in %s\n", result->header.shard, result->newest_lsn,
               (double)result->total_bytes / 1048576.0, result->directory);
}

void answer_print_level(const struct answer *answer, const struct inn_level_result *result)
{
    if (answer->arguments->json)
        answer_json_level(answer, result);
    else if (answer->verdict == INN_ALREADY_AT_LEVEL)
        printf("shard %u: the log is at engine level %u already\n", result->header.shard, result->level);
    else if (answer->verdict != INN_OK)
        print_refused(answer, &result->header);
    else
        printf("shard %u: the log is at engine level %u from now on, lsn %" PRIu64 "\n", result->header.shard,
               result->level, result->header.lsn);
}

void answer_print_calendar(const struct answer *answer, const struct calendar_pages *pages)
{
    char date[INN_DATE_TEXT_SIZE];
    if (answer->arguments->json) {
        answer_json_calendar(answer, pages);
        return;
    }
    if (answer->verdict != INN_OK) {
        print_refused(answer, &pages->last.header);
        return;
    }
    printf("%9s  %-10s %8s %6s %6s %9s\n", "room type", "night", "sellable", "sold", "held", "available");
    for (size_t i = 0; i < pages->rows_count; i++) {
        const struct calendar_row *row = &pages->rows[i];
        printf("%9" PRIu32 "  %-10s %8d %6u %6u %9d\n", row->room_type, inn_date_format(row->night, date),
               row->cell.sellable, row->cell.sold, row->cell.held, row->cell.available);
    }
}

/* How the log writes: what one frame carries, how long it takes, how many are under way. */
static void print_status_frames(const struct inn_status_result *r)
{
    char p50[VALUE_DURATION_TEXT_SIZE];
    char p99[VALUE_DURATION_TEXT_SIZE];
    char p999[VALUE_DURATION_TEXT_SIZE];
    char max[VALUE_DURATION_TEXT_SIZE];
    double frames = r->frames == 0 ? 1 : (double)r->frames;
    double bytes = r->log_bytes == 0 ? 1 : (double)r->log_bytes;
    printf("  frames          %.1f records and %.0f bytes each, %.0f %% padding; depth %" PRIu32 ", highest %" PRIu32
           " of %" PRIu32 "\n",
           (double)r->records / frames, (double)r->log_bytes / frames, 100 * (double)r->log_padding_bytes / bytes,
           r->log_depth, r->log_depth_highest, r->log_depth_max);
    printf("  frame latency   p50 %s, p99 %s, p99.9 %s, max %s since start\n",
           value_duration_text(r->frame_p50_ns, p50), value_duration_text(r->frame_p99_ns, p99),
           value_duration_text(r->frame_p999_ns, p999), value_duration_text(r->frame_max_ns, max));
    printf("  segments        %" PRIu64 " recycled, %" PRIu64 " deleted; %" PRIu64 " stalls", r->segments_recycled,
           r->segments_deleted, r->log_stalls);
    if (r->log_kernel_workers != UINT32_MAX)
        printf("; %" PRIu32 " kernel workers now", r->log_kernel_workers);
    printf("\n");
}

static void print_status_snapshots(const struct inn_status_result *r)
{
    char time[VALUE_TIME_TEXT_SIZE];
    const double mib = 1048576.0;
    if (r->snapshot_lsn == 0)
        printf("  snapshot        none yet");
    else
        printf("  snapshot        up to lsn %" PRIu64 ", %.1f MiB, begun %s; %" PRIu32 " kept", r->snapshot_lsn,
               (double)r->snapshot_bytes / mib, value_time_text(r->snapshot_wall_ns, time), r->snapshots_kept);
    printf("; %.1f MiB of log behind it", (double)r->snapshot_log_bytes / mib);
    if (r->snapshots_failed != 0)
        printf("; %" PRIu64 " FAILED since start", r->snapshots_failed);
    if (r->snapshot_running != 0)
        printf("; another at %.1f of %.1f MiB", (double)r->snapshot_written_bytes / mib,
               (double)r->snapshot_total_bytes / mib);
    printf("\n");
}

static void print_status_log(const struct inn_status_result *r)
{
    char p50[VALUE_DURATION_TEXT_SIZE];
    char p99[VALUE_DURATION_TEXT_SIZE];
    char ttl[VALUE_DURATION_TEXT_SIZE];
    printf("  commit latency  p50 %s, p99 %s\n", value_duration_text(r->commit_p50_ns, p50),
           value_duration_text(r->commit_p99_ns, p99));
    printf("  log             %" PRIu64 " records in %" PRIu64 " frames since start, %" PRIu64 " bytes; frame %" PRIu64
           ", segment %" PRIu64 "\n",
           r->records, r->frames, r->log_bytes, r->frame_index, r->segment_sequence);
    print_status_frames(r);
    print_status_snapshots(r);
    if (r->shortest_ttl_ns == 0)
        printf("  lease alarm     off: no live lease\n");
    else
        printf("  lease alarm     %s: shortest time to live %s, p99 %s (alarm below %" PRIu32 " times)\n",
               r->alarm != 0 ? "ON" : "off", value_duration_text(r->shortest_ttl_ns, ttl), p99, r->alarm_factor);
}

void answer_print_status(const struct answer *answer, const struct inn_status_result *result)
{
    char time[VALUE_TIME_TEXT_SIZE];
    char up[VALUE_DURATION_TEXT_SIZE];
    char hash[HASH_TEXT_SIZE];
    const struct inn_status_result *r = result;
    if (answer->arguments->json) {
        answer_json_status(answer, result);
        return;
    }
    if (answer->verdict != INN_OK) {
        print_refused(answer, &result->header);
        return;
    }
    printf("shard %u of %" PRIu32 "\n", r->header.shard, r->shards);
    printf("  lsn             %" PRIu64 ", log time %s, up %s\n", r->header.lsn,
           value_time_text(r->header.log_time_ns, time), value_duration_text(r->uptime_ns, up));
    printf("  properties      %" PRIu32 " of %" PRIu32 ", room types %" PRIu32 " of %" PRIu32 "\n", r->properties,
           r->limits.properties_max, r->room_types, r->limits.room_types_max);
    printf("  reservations    %" PRIu32 " held, %" PRIu32 " confirmed, %" PRIu32 " ended, of %" PRIu32 "\n",
           r->reservations_held, r->reservations_confirmed, r->reservations_ended, r->limits.reservations_max);
    printf("  kept outcomes   %" PRIu32 " of %" PRIu32 "\n", r->outcomes, r->limits.outcomes_max);
    printf("  leases          %" PRIu32 " live, %" PRIu32 " ended, of %" PRIu32 "\n", r->leases_live, r->leases_ended,
           r->limits.leases_max);
    printf("  memory          %" PRIu64 " MiB, fixed\n", r->memory_bytes / MIB);
    print_status_log(r);
    printf("  connections     %" PRIu32 " of %" PRIu32 "; %" PRIu64 " requests since start, %" PRIu64
           " refused under overload\n",
           r->connections, r->connections_max, r->requests, r->refused_overload);
    if (answer->arguments->with_hash)
        printf("  state hash      %s\n", hash_text(r->state_hash, hash));
}

void answer_print_hash_sum(const struct answer *answer, uint32_t shards, const uint64_t sum[2])
{
    char hash[HASH_TEXT_SIZE];
    if (answer->arguments->json)
        answer_json_hash_sum(answer, shards, sum);
    else
        printf("state hash over all %" PRIu32 " shards  %s\n", shards, hash_text(sum, hash));
}
