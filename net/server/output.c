#include "net/server/output.h"

#include <string.h>

void output_pool_init(struct output_pool *pool, void *memory, uint32_t chunks_count)
{
    struct output_chunk *chunks = memory;
    *pool = (struct output_pool){ .chunks_count = chunks_count };
    for (uint32_t i = chunks_count; i > 0; i--) {
        chunks[i - 1].next = pool->free;
        pool->free = &chunks[i - 1];
    }
    pool->free_count = chunks_count;
}

static struct output_chunk *chunk_take(struct output *output, struct output_pool *pool)
{
    ENSURE(pool->free != NULL);
    struct output_chunk *chunk = pool->free;
    pool->free = chunk->next;
    pool->free_count--;
    pool->base_used += output->chunks_count < OUTPUT_BASE_CHUNKS;
    output->chunks_count++;
    chunk->next = NULL;
    chunk->used = 0;
    chunk->sent = 0;
    return chunk;
}

/* Takes the oldest chunk out of `output` and gives it back. */
static void chunk_return(struct output *output, struct output_pool *pool)
{
    struct output_chunk *chunk = output->head;
    output->head = chunk->next;
    if (output->head == NULL)
        output->tail = NULL;
    output->chunks_count--;
    pool->base_used -= output->chunks_count < OUTPUT_BASE_CHUNKS;
    chunk->next = pool->free;
    pool->free = chunk;
    pool->free_count++;
}

static void message_close(struct output *output)
{
    if (output->open == NULL)
        return;
    REQUIRE(output->open->items_count > 0);
    output->open->size = output->open_offset;
    message_seal(output->open);
    output->open = NULL;
}

static void chunk_append(struct output *output, struct output_pool *pool)
{
    struct output_chunk *chunk = chunk_take(output, pool);
    if (output->tail == NULL)
        output->head = chunk;
    else
        output->tail->next = chunk;
    output->tail = chunk;
}

/* The tail chunk may be written to unless it is in flight: the kernel reads it then. */
static bool tail_is_writable(const struct output *output)
{
    if (output->tail == NULL)
        return false;
    if (output->in_flight == 0)
        return true;
    const struct output_chunk *last_in_flight = output->head;
    for (uint32_t i = 1; i < output->in_flight; i++)
        last_in_flight = last_in_flight->next;
    return last_in_flight != output->tail;
}

static uint32_t tail_room(const struct output *output)
{
    return tail_is_writable(output) ? (uint32_t)sizeof output->tail->bytes - output->tail->used : 0;
}

static void message_open(struct output *output, struct output_pool *pool, uint8_t operation, uint64_t correlation,
                         uint32_t size_max)
{
    message_close(output);
    if (tail_room(output) < sizeof(struct message_header) + size_max)
        chunk_append(output, pool);
    struct message_header *message = (struct message_header *)(void *)(output->tail->bytes + output->tail->used);
    *message = (struct message_header){ .operation = operation, .flags = MESSAGE_REPLY, .correlation = correlation };
    output->open = message;
    output->open_offset = sizeof *message;
    output->tail->used += (uint32_t)sizeof *message;
    output->bytes += sizeof *message;
}

struct result_header *output_result_begin(struct output *output, struct output_pool *pool, uint8_t operation,
                                          uint64_t correlation, uint32_t size_max)
{
    REQUIRE(size_max <= RESULT_SIZE_MAX);
    bool same = output->open != NULL && output->open->correlation == correlation &&
                output->open->operation == operation && tail_room(output) >= size_max;
    if (!same)
        message_open(output, pool, operation, correlation, size_max);
    return (struct result_header *)(void *)((uint8_t *)output->open + output->open_offset);
}

void output_result_end(struct output *output, const struct result_header *result)
{
    REQUIRE(output->open != NULL);
    REQUIRE(result->size >= sizeof *result);
    REQUIRE(result->size % 8 == 0);
    output->open->items_count++;
    output->open_offset += result->size;
    output->tail->used += result->size;
    output->bytes += result->size;
    ENSURE(output->tail->used <= sizeof output->tail->bytes);
}

uint32_t output_take(struct output *output)
{
    REQUIRE(output->in_flight == 0);
    message_close(output);
    struct output_chunk *chunk = output->head;
    uint32_t count = 0;
    for (; chunk != NULL && count < OUTPUT_PARTS_MAX; chunk = chunk->next, count++)
        output->parts[count] =
            (struct iovec){ .iov_base = chunk->bytes + chunk->sent, .iov_len = chunk->used - chunk->sent };
    output->in_flight = count;
    return count;
}

void output_sent(struct output *output, struct output_pool *pool, size_t sent_bytes)
{
    REQUIRE(sent_bytes <= output->bytes);
    output->bytes -= sent_bytes;
    for (; output->in_flight > 0; output->in_flight--) {
        struct output_chunk *chunk = output->head;
        uint32_t left = chunk->used - chunk->sent;
        if (sent_bytes < left) {
            chunk->sent += (uint32_t)sent_bytes;
            break;
        }
        sent_bytes -= left;
        chunk_return(output, pool);
    }
    output->in_flight = 0;
    ENSURE(IMPLIES(output->head == NULL, output->bytes == 0));
}

void output_drop(struct output *output, struct output_pool *pool)
{
    REQUIRE(output->in_flight == 0);
    while (output->head != NULL)
        chunk_return(output, pool);
    *output = (struct output){ 0 };
}
