/* What a connection has to say: reply messages built in place in chunks from one pool a shard, sent together.
 *
 * The result of a command is written straight into the chunk it will be sent from. Results of the same request that come one after
 * another share a message; the message is sealed (size, checksum) when another one begins or the output is taken for sending.
 *
 * The pool cannot run dry. A connection has at most two partly filled chunks: the last one in flight and the one being filled; all
 * others are full but for less than one result. A third may be needed for the last word of a connection that is refused. So three chunks a
 * connection are set aside (`base`), and admission lets a result in only when output_pool_affords it beside every result admitted
 * before it and not yet written. */
#ifndef NET_SERVER_OUTPUT_H
#define NET_SERVER_OUTPUT_H

#include "net/protocol.h"

#include <sys/uio.h>

#define OUTPUT_CHUNK_SIZE (32 * KIB)
#define OUTPUT_PARTS_MAX 16 /* chunks in one send */

static_assert(sizeof(struct message_header) + RESULT_SIZE_MAX + 64 <= OUTPUT_CHUNK_SIZE, "any result fits a chunk");

struct output_chunk {
    struct output_chunk *next;
    uint32_t used; /* bytes of `bytes` that are filled */
    uint32_t sent; /* bytes that went out */
    uint8_t padding[48];
    uint8_t bytes[OUTPUT_CHUNK_SIZE - 64];
};
static_assert(sizeof(struct output_chunk) == OUTPUT_CHUNK_SIZE, "no waste");

struct output_pool {
    struct output_chunk *free;
    uint32_t free_count;
    uint32_t chunks_count;
    uint32_t base_used; /* of all connections: chunks held, but at most OUTPUT_BASE_CHUNKS each */
    uint64_t promised;  /* bytes that results admitted and not yet written may take (output_cost) */
};

#define OUTPUT_BASE_CHUNKS 3

/* What a result of at most size_max bytes may take of the pool: a large one may leave the rest of its own chunk empty, and before that the
 * rest of the chunk it did not fit into. */
static inline uint64_t output_cost(uint32_t size_max)
{
    return size_max > OUTPUT_CHUNK_SIZE / 8 ? 2 * OUTPUT_CHUNK_SIZE
                                            : size_max + size_max / 4 + sizeof(struct message_header);
}

/* True if one more result of this cost can be promised beside all promised before. `connections_max`: as many as there may ever be, for one
 * that opens later finds its base set aside, too. */
static inline bool output_pool_affords(const struct output_pool *pool, uint64_t cost, uint32_t connections_max)
{
    uint64_t base_unused = (uint64_t)connections_max * OUTPUT_BASE_CHUNKS - pool->base_used;
    return pool->promised + cost + base_unused * OUTPUT_CHUNK_SIZE <= (uint64_t)pool->free_count * OUTPUT_CHUNK_SIZE;
}

/* `memory`: chunks_count x OUTPUT_CHUNK_SIZE bytes, 64-byte aligned, borrowed. Touches only each chunk's first line. */
void output_pool_init(struct output_pool *pool, void *memory, uint32_t chunks_count);

struct output {
    struct output_chunk *head; /* oldest chunk; those in flight come first */
    struct output_chunk *tail;
    uint32_t chunks_count;
    uint32_t in_flight;          /* chunks given to the send that is under way */
    uint64_t bytes;              /* filled and not yet sent */
    struct message_header *open; /* in the tail chunk; NULL: none */
    uint32_t open_offset;        /* of the next result, from `open` */
    struct iovec parts[OUTPUT_PARTS_MAX];
};

/* Room for one result of at most size_max bytes that answers request (operation, correlation); to be filled before the next call. */
MUST_USE struct result_header *output_result_begin(struct output *output, struct output_pool *pool, uint8_t operation,
                                                   uint64_t correlation, uint32_t size_max);
/* The result is filled: its header says how big it became. */
void output_result_end(struct output *output, const struct result_header *result);

/* Seals what is open and gathers everything unsent into output->parts; returns the number of parts, 0 if there is nothing to send. Requires that no
 * send is under way. */
uint32_t output_take(struct output *output);
/* The send went out with sent_bytes, possibly fewer than taken: chunks that are through go back; the rest is taken again. */
void output_sent(struct output *output, struct output_pool *pool, size_t sent_bytes);
/* Gives everything back. Requires that no send is under way. */
void output_drop(struct output *output, struct output_pool *pool);

static inline bool output_is_sending(const struct output *output)
{
    return output->in_flight > 0;
}

#endif
