/* A real server and raw sockets to it, for tests that hold PROTOCOL.md against what comes over the line. Everything fails the test by
 * itself; nothing waits longer than ten seconds. */
#ifndef TESTS_NET_WIRE_H
#define TESTS_NET_WIRE_H

#include "net/protocol.h"

/* Starts innkeepd with two shards on a fresh data directory, and stops it (SIGTERM, exit code 0) again. For fixtures. */
void wire_server_start(void);
void wire_server_stop(void);

/* A connected socket; wire_connect has exchanged HELLO already. */
int wire_connect_raw(void);
int wire_connect(void);

/* A message with room for many items. */
union wire_message {
    struct message_header header;
    uint8_t bytes[MESSAGE_SIZE_MAX + 64];
};

/* An empty request, and one more item in it. wire_seal fills in the rest. */
void wire_begin(union wire_message *message, enum operation operation, uint64_t correlation);
void wire_append(union wire_message *message, const void *item);

/* The item most tests need least of: a barrier. */
struct barrier wire_barrier(uint64_t property);
struct hello wire_hello(void);

void wire_send(int socket, const void *bytes, size_t size_bytes);
/* Seals and sends. */
void wire_send_message(int socket, union wire_message *message);

/* The next whole message, which passes the protocol's checks and is a reply. */
void wire_receive(int socket, union wire_message *message);
/* Nothing more comes: the server has closed. */
void wire_expect_end(int socket);

/* The last word of a server that closes: one message of operation 0 with this status and correlation, and the end. */
void wire_expect_refusal(int socket, enum status status, uint64_t correlation);

/* Sends a request and gathers its results, however many replies they come in: results[item] points into `store`. Every item is
 * answered once. */
#define WIRE_ITEMS_MAX 256
struct wire_answer {
    const struct result_header *results[WIRE_ITEMS_MAX];
    uint32_t used;
    _Alignas(8) uint8_t store[WIRE_ITEMS_MAX * 512];
};
void wire_ask(int socket, union wire_message *message, struct wire_answer *answer);

/* The result of a request of one item. */
const struct result_header *wire_ask_one(int socket, const void *item);

#endif
