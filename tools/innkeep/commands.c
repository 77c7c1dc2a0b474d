#include "tools/innkeep/commands.h"
#include "tools/innkeep/answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum exit_code exit_code_of(int verdict)
{
    if (verdict == INN_OK)
        return EXIT_DONE;
    if (verdict == INN_BAD_ARGUMENT)
        return EXIT_USAGE;
    /* SUPERSEDED leaves open whether the key took effect. */
    return verdict < 0 || verdict == INN_SUPERSEDED ? EXIT_NO_ANSWER : EXIT_REFUSED;
}

/* ---- Mutations --------------------------------------------------------------------------------------------------- */

static struct inn_mutation mutation_of(const struct arguments *a)
{
    return (struct inn_mutation){
        .property = a->property,
        .key = a->has_key ? a->key : inn_key_random(),
        .not_after_ns = a->not_after_ns,
        .fence_resource = a->fence.resource,
        .fence_token = a->fence.token,
    };
}

static enum exit_code finish_mutation(struct inn_connection *connection, const struct arguments *a, unsigned operation,
                                      int verdict, const struct inn_key *key, const struct inn_mutation_result *result)
{
    struct answer answer = {
        .arguments = a,
        .operation = operation,
        .verdict = verdict,
        .key = key,
        .not_after_ns = inn_last_not_after(connection),
        .error = inn_last_error(connection),
    };
    if (verdict < 0)
        answer_print_failure(&answer);
    else
        answer_print_mutation(&answer, result);
    return exit_code_of(verdict);
}

enum exit_code command_property_create(struct inn_connection *connection, const struct arguments *a)
{
    struct inn_property_create_request request = { .mutation = mutation_of(a), .business_date = a->business_date };
    struct inn_mutation_result result;
    int verdict = inn_property_create(connection, &request, &result);
    return finish_mutation(connection, a, INN_PROPERTY_CREATE, verdict, &request.mutation.key, &result);
}

enum exit_code command_room_type_create(struct inn_connection *connection, const struct arguments *a)
{
    struct inn_room_type_create_request request = {
        .mutation = mutation_of(a),
        .room_type = a->room_type,
        .rooms = a->rooms,
    };
    struct inn_mutation_result result;
    int verdict = inn_room_type_create(connection, &request, &result);
    return finish_mutation(connection, a, INN_ROOM_TYPE_CREATE, verdict, &request.mutation.key, &result);
}

enum exit_code command_rooms_set(struct inn_connection *connection, const struct arguments *a)
{
    struct inn_rooms_set_request request = {
        .mutation = mutation_of(a),
        .room_type = a->room_type,
        .first_night = a->from,
        .last_night = a->to,
        .weekdays = a->weekdays,
        .rooms = a->rooms,
    };
    struct inn_mutation_result result;
    int verdict = inn_rooms_set(connection, &request, &result);
    return finish_mutation(connection, a, INN_ROOMS_SET, verdict, &request.mutation.key, &result);
}

enum exit_code command_reserve(struct inn_connection *connection, const struct arguments *a)
{
    struct inn_reserve_request request = {
        .mutation = mutation_of(a),
        .hold_ns = a->hold_ns,
        .external_reference = a->external_reference,
        .arrival = a->arrival,
        .nights = a->nights,
        .rooms = a->rooms,
        .room_type = a->room_type,
    };
    answer_print_key_early(a, request.mutation.key);
    struct inn_mutation_result result;
    int verdict = inn_reserve(connection, &request, &result);
    return finish_mutation(connection, a, INN_RESERVE, verdict, &request.mutation.key, &result);
}

static struct inn_change_request change_of(const struct arguments *a)
{
    return (struct inn_change_request){
        .mutation = mutation_of(a),
        .reservation = a->reservation,
        .expected_version = a->expected_version,
    };
}

enum exit_code command_confirm(struct inn_connection *connection, const struct arguments *a)
{
    struct inn_change_request request = change_of(a);
    struct inn_mutation_result result;
    int verdict = inn_confirm(connection, &request, &result);
    return finish_mutation(connection, a, INN_CONFIRM, verdict, &request.mutation.key, &result);
}

enum exit_code command_release(struct inn_connection *connection, const struct arguments *a)
{
    struct inn_change_request request = change_of(a);
    struct inn_mutation_result result;
    int verdict = inn_release(connection, &request, &result);
    return finish_mutation(connection, a, INN_RELEASE, verdict, &request.mutation.key, &result);
}

enum exit_code command_cancel(struct inn_connection *connection, const struct arguments *a)
{
    struct inn_change_request request = change_of(a);
    struct inn_mutation_result result;
    int verdict = inn_cancel(connection, &request, &result);
    return finish_mutation(connection, a, INN_CANCEL, verdict, &request.mutation.key, &result);
}

/* ---- Leases ------------------------------------------------------------------------------------------------------ */

struct answer answer_of(struct inn_connection *connection, const struct arguments *a, unsigned operation, int verdict)
{
    return (struct answer){
        .arguments = a, .operation = operation, .verdict = verdict, .error = inn_last_error(connection)
    };
}

static bool key_given(struct inn_key key)
{
    static const struct inn_key none;
    return memcmp(&key, &none, sizeof none) != 0;
}

static enum exit_code finish_lease(struct inn_connection *connection, const struct arguments *a, unsigned operation,
                                   int verdict, const struct inn_lease_result *result)
{
    struct answer answer = answer_of(connection, a, operation, verdict);
    if (verdict < 0)
        answer_print_failure(&answer);
    else
        answer_print_lease(&answer, result, key_given(a->session) ? a->session : inn_session(connection));
    return exit_code_of(verdict);
}

enum exit_code command_lease_acquire(struct inn_connection *connection, const struct arguments *a)
{
    struct inn_lease_acquire_request request = {
        .property = a->property,
        .session = a->session,
        .resource = a->resource,
        .ttl_ns = a->ttl_ns,
        .owner = a->owner,
    };
    struct inn_lease_result result;
    int verdict = inn_lease_acquire(connection, &request, &result);
    return finish_lease(connection, a, INN_LEASE_ACQUIRE, verdict, &result);
}

static struct inn_lease_request lease_of(const struct arguments *a)
{
    return (struct inn_lease_request){
        .property = a->property, .resource = a->resource, .token = a->token, .ttl_ns = a->ttl_ns
    };
}

enum exit_code command_lease_renew(struct inn_connection *connection, const struct arguments *a)
{
    struct inn_lease_request request = lease_of(a);
    struct inn_lease_result result;
    int verdict = inn_lease_renew(connection, &request, &result);
    return finish_lease(connection, a, INN_LEASE_RENEW, verdict, &result);
}

enum exit_code command_lease_release(struct inn_connection *connection, const struct arguments *a)
{
    struct inn_lease_request request = lease_of(a);
    struct inn_lease_result result;
    int verdict = inn_lease_release(connection, &request, &result);
    return finish_lease(connection, a, INN_LEASE_RELEASE, verdict, &result);
}

enum exit_code command_lease_show(struct inn_connection *connection, const struct arguments *a)
{
    struct inn_lease_request request = lease_of(a);
    struct inn_lease_result result;
    int verdict = inn_lease_show(connection, &request, &result);
    return finish_lease(connection, a, INN_LEASE_SHOW, verdict, &result);
}

/* ---- Questions --------------------------------------------------------------------------------------------------- */

enum exit_code command_lookup(struct inn_connection *connection, const struct arguments *a)
{
    struct inn_lookup_result result;
    int verdict = inn_lookup(connection, a->property, a->reservation, &result);
    struct answer answer = answer_of(connection, a, INN_LOOKUP, verdict);
    answer.key = &a->reservation;
    if (verdict < 0)
        answer_print_failure(&answer);
    else
        answer_print_lookup(&answer, &result);
    return exit_code_of(verdict);
}

static int barrier_once(struct inn_connection *connection, const struct arguments *a, uint32_t shard)
{
    struct inn_barrier_result result;
    int verdict =
        a->has_property ? inn_barrier(connection, a->property, &result) : inn_barrier_shard(connection, shard, &result);
    struct answer answer = answer_of(connection, a, INN_BARRIER, verdict);
    if (verdict < 0)
        answer_print_failure(&answer);
    else
        answer_print_barrier(&answer, &result);
    return verdict;
}

enum exit_code command_barrier(struct inn_connection *connection, const struct arguments *a)
{
    uint32_t shards = a->has_property ? 1 : inn_hello(connection)->shards;
    for (uint32_t shard = 0; shard < shards; shard++) {
        int verdict = barrier_once(connection, a, shard);
        if (verdict != INN_OK)
            return exit_code_of(verdict);
    }
    return EXIT_DONE;
}

/* A shard that is there already is no failure: so that the same command can finish what was interrupted. */
enum exit_code command_raise_level(struct inn_connection *connection, const struct arguments *a)
{
    uint32_t shards = inn_hello(connection)->shards;
    for (uint32_t shard = 0; shard < shards; shard++) {
        struct inn_level_result result = { .level = 0 };
        int verdict = inn_raise_level(connection, shard, a->level, &result);
        struct answer answer = answer_of(connection, a, INN_RAISE_LEVEL, verdict);
        if (verdict < 0)
            answer_print_failure(&answer);
        else
            answer_print_level(&answer, &result);
        if (verdict != INN_OK && verdict != INN_ALREADY_AT_LEVEL)
            return exit_code_of(verdict);
    }
    return EXIT_DONE;
}

/* Adds a page's nights to what came before. False without memory. */
static bool pages_add(struct calendar_pages *pages, const struct inn_calendar_result *page)
{
    size_t added = (size_t)page->types_count * page->nights;
    struct calendar_row *rows = realloc(pages->rows, (pages->rows_count + added + 1) * sizeof *rows);
    if (rows == NULL)
        return false;
    pages->rows = rows;
    pages->pages++;
    pages->last = *page;
    for (unsigned t = 0; t < page->types_count; t++) {
        const struct inn_calendar_night *nights;
        const struct inn_calendar_type *type = inn_calendar_at(page, t, &nights);
        for (unsigned n = 0; n < page->nights; n++)
            rows[pages->rows_count++] = (struct calendar_row){ .room_type = type->room_type,
                                                               .night = page->first_night + (int32_t)n,
                                                               .cell = nights[n] };
    }
    return true;
}

static int calendar_all(struct inn_connection *connection, const struct arguments *a, struct calendar_pages *pages)
{
    struct inn_calendar_request request = {
        .property = a->property,
        .room_type = a->room_type,
        .first_night = a->from,
        .nights = a->nights,
    };
    do {
        const struct inn_calendar_result *page = NULL;
        int verdict = inn_calendar(connection, &request, &page);
        if (verdict > INN_OK)
            pages->last.header = page->header;
        if (verdict != INN_OK)
            return verdict;
        if (!pages_add(pages, page))
            return INN_NO_MEMORY;
        request.after_type = page->next_after_type;
    } while (request.after_type != 0);
    return INN_OK;
}

enum exit_code command_calendar(struct inn_connection *connection, const struct arguments *a)
{
    struct calendar_pages pages = { .rows = NULL };
    int verdict = calendar_all(connection, a, &pages);
    struct answer answer = answer_of(connection, a, INN_CALENDAR, verdict);
    if (verdict < 0)
        answer_print_failure(&answer);
    else
        answer_print_calendar(&answer, &pages);
    free(pages.rows);
    return exit_code_of(verdict);
}

enum exit_code command_status(struct inn_connection *connection, const struct arguments *a)
{
    uint32_t shards = inn_hello(connection)->shards;
    uint64_t sum[2] = { 0, 0 };
    for (uint32_t shard = 0; shard < shards; shard++) {
        struct inn_status_result result;
        int verdict = inn_status(connection, shard, a->with_hash, &result);
        struct answer answer = answer_of(connection, a, INN_STATUS, verdict);
        if (verdict < 0)
            answer_print_failure(&answer);
        else
            answer_print_status(&answer, &result);
        if (verdict != INN_OK)
            return exit_code_of(verdict);
        sum[0] += result.state_hash[0];
        sum[1] += result.state_hash[1] + (sum[0] < result.state_hash[0]);
    }
    struct answer answer = answer_of(connection, a, INN_STATUS, INN_OK);
    if (a->with_hash)
        answer_print_hash_sum(&answer, shards, sum);
    return EXIT_DONE;
}
