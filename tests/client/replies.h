/* Replies as a server would write them, for tests of the client. */
#ifndef TESTS_CLIENT_REPLIES_H
#define TESTS_CLIENT_REPLIES_H

#include "net/protocol.h"

#define REPLIES_SIZE_MAX (256 * KIB)

/* Bytes that grow message by message. */
struct replies {
    _Alignas(8) uint8_t bytes[REPLIES_SIZE_MAX];
    size_t size;
    size_t open; /* where the message being written begins */
};

void replies_clear(struct replies *replies);

/* Begins a reply to `correlation`, gets results added, is sealed. */
void replies_begin(struct replies *replies, uint8_t operation, uint64_t correlation);
/* Adds a whole result (result->size bytes). */
void replies_add(struct replies *replies, const void *result);
void replies_seal(struct replies *replies);

/* One message: the answer to hello from a server with `uuid_byte` for a data directory, whose newest frame is of
 * log_time_ns. */
void replies_hello(struct replies *replies, uint64_t log_time_ns, uint64_t server_time_ns, uint8_t uuid_byte);
/* One message: what a server says before it closes. */
void replies_farewell(struct replies *replies, enum status status);

/* Results: `status` and `item` filled in, all else zero but size and, where lsn is not 0, an LSN and a log time. */
struct mutation_result result_mutation(enum status status, uint16_t item, uint64_t lsn, uint64_t log_time_ns);
struct result_header result_bare(enum status status, uint16_t item, uint64_t log_time_ns);

#endif
