#include "net/server/output.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define CHUNKS 16

static struct output_pool pool;
static struct output output;

static void setup(void)
{
    void *memory = aligned_alloc(64, CHUNKS * OUTPUT_CHUNK_SIZE);
    output_pool_init(&pool, memory, CHUNKS);
    output = (struct output){ 0 };
}

static void say(uint64_t correlation, uint16_t item, uint32_t size)
{
    struct result_header *result = output_result_begin(&output, &pool, OPERATION_RESERVE, correlation, size);
    memset(result, 0, size);
    result->size = size;
    result->item = item;
    output_result_end(&output, result);
}

/* Takes everything that is to be sent into `bytes`; returns how much that is. */
static size_t drain(uint8_t *bytes)
{
    size_t total = 0;
    uint32_t parts;
    while ((parts = output_take(&output)) > 0) {
        size_t sent = 0;
        for (uint32_t i = 0; i < parts; i++) {
            memcpy(bytes + total + sent, output.parts[i].iov_base, output.parts[i].iov_len);
            sent += output.parts[i].iov_len;
        }
        output_sent(&output, &pool, sent);
        total += sent;
    }
    return total;
}

TestSuite(output, .init = setup);

Test(output, results_of_one_request_share_a_message_and_others_do_not)
{
    static _Alignas(8) uint8_t bytes[4096];
    say(1, 0, 80);
    say(1, 1, 80);
    say(2, 0, 40);
    size_t size = drain(bytes);
    const struct message_header *first = (const struct message_header *)(const void *)bytes;
    cr_assert_eq(first->items_count, 2);
    cr_assert_eq(first->size, 32 + 160);
    cr_assert_eq(message_check(first), STATUS_OK);
    const struct message_header *second = (const struct message_header *)(const void *)(bytes + first->size);
    cr_assert_eq(second->correlation, 2);
    cr_assert_eq(message_check(second), STATUS_OK);
    cr_assert_eq(size, first->size + second->size);
}

Test(output, what_is_said_during_a_send_waits_for_the_next)
{
    say(1, 0, 80);
    cr_assert_eq(output_take(&output), 1);
    size_t first = output.parts[0].iov_len;
    say(1, 1, 80);
    cr_assert_eq(output.parts[0].iov_len, first, "the kernel reads what it was given");
    output_sent(&output, &pool, first);
    cr_assert_eq(output.bytes, 32 + 80);
    cr_assert_eq(output_take(&output), 1);
    output_sent(&output, &pool, output.parts[0].iov_len);
    cr_assert_eq(output.bytes, 0);
    cr_assert_eq(pool.free_count, CHUNKS);
    cr_assert_eq(pool.base_used, 0);
}

Test(output, a_short_send_goes_on_where_it_stopped)
{
    static _Alignas(8) uint8_t bytes[4096];
    say(3, 0, 80);
    cr_assert_eq(output_take(&output), 1);
    memcpy(bytes, output.parts[0].iov_base, 50);
    output_sent(&output, &pool, 50);
    size_t rest = drain(bytes + 50);
    cr_assert_eq(rest + 50, 32 + 80);
    cr_assert_eq(message_check((const struct message_header *)(const void *)bytes), STATUS_OK);
}

Test(output, the_largest_results_each_find_a_chunk)
{
    static _Alignas(8) uint8_t bytes[CHUNKS * OUTPUT_CHUNK_SIZE];
    for (uint16_t i = 0; i < 8; i++)
        say(5, i, RESULT_SIZE_MAX);
    cr_assert_eq(drain(bytes), 8 * (32 + RESULT_SIZE_MAX));
    cr_assert_eq(pool.free_count, CHUNKS);
}

Test(output, what_the_pool_affords_is_always_there)
{
    /* One connection; results are promised as long as the pool affords them and only then written, while nothing is sent. */
    uint32_t written = 0;
    uint64_t cost = output_cost(112);
    while (output_pool_affords(&pool, cost, 1)) {
        pool.promised += cost;
        written++;
    }
    for (uint32_t i = 0; i < written; i++) {
        pool.promised -= cost;
        say(i, 0, 112); /* each its own message, the most a result can take; an empty pool would abort */
    }
    cr_assert_gt(written, (CHUNKS - OUTPUT_BASE_CHUNKS) * OUTPUT_CHUNK_SIZE / 200);
    cr_assert_geq(pool.free_count, 1, "the base is untouched but for the chunks being filled");
}

Test(output, large_results_among_small_ones_are_always_there_too)
{
    /* The small ones fill the rest of a large one's chunk, and of the next as much as leaves just too little for a large one. */
    enum { SMALL = 112, SMALL_A_ROUND = 2 * ((OUTPUT_CHUNK_SIZE - RESULT_SIZE_MAX) / (SMALL + 32)) };
    uint64_t cost = output_cost(RESULT_SIZE_MAX) + SMALL_A_ROUND * output_cost(SMALL);
    uint64_t rounds = 0;
    while (output_pool_affords(&pool, cost, 1)) {
        pool.promised += cost;
        rounds++;
    }
    cr_assert_gt(rounds, 0);
    for (uint64_t round = 0; round < rounds; round++) {
        for (uint64_t i = 0; i < SMALL_A_ROUND; i++)
            say(round << 32 | i, 0, SMALL);
        say(round << 32 | UINT32_MAX, 0, RESULT_SIZE_MAX);
        pool.promised -= cost;
    }
}

Test(output, the_base_of_connections_that_are_not_open_yet_is_set_aside)
{
    uint64_t cost = output_cost(112);
    while (output_pool_affords(&pool, cost, 2)) {
        pool.promised += cost;
        say(pool.promised, 0, 112);
        pool.promised -= cost;
    }
    struct output second = { 0 };
    struct result_header *hello = output_result_begin(&second, &pool, OPERATION_HELLO, 1, 104);
    *hello = (struct result_header){ .size = 104 };
    output_result_end(&second, hello);
    output_drop(&second, &pool);
}

Test(output, dropping_gives_every_chunk_back)
{
    for (uint16_t i = 0; i < 1000; i++)
        say(i, 0, 112);
    cr_assert_lt(pool.free_count, CHUNKS);
    output_drop(&output, &pool);
    cr_assert_eq(pool.free_count, CHUNKS);
    cr_assert_eq(pool.base_used, 0);
}
