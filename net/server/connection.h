/* One client's socket: bytes in, messages checked, items handed to admission, replies out.
 *
 *     FREE -> OPEN -> CLOSING -> FREE
 *
 * OPEN: a multishot receive is armed unless the connection is held up. Received buffers wait in a queue (`held`) and are parsed where they
 * lie; a message that spans two of them, or does not lie 8-byte aligned, is put together in the connection's assembly buffer. While all
 * buffers are out, a connection receives into its assembly buffer alone.
 * CLOSING: nothing more is read; what is queued goes out, the receive and the send come home, then the socket is closed and the place is
 * free under a new generation, so that a reply which still comes for the old one finds nobody.
 *
 * An item that finds no room (log, queues, reply budget) leaves the connection *held up* at that item; it is tried again at later
 * turns, and answered OVERLOADED once it has waited for overload_after_ns. */
#ifndef NET_SERVER_CONNECTION_H
#define NET_SERVER_CONNECTION_H

#include "net/protocol.h"
#include "net/server/output.h"
#include "wal/io.h"

struct shard;

enum connection_state { CONNECTION_FREE, CONNECTION_OPEN, CONNECTION_CLOSING };

/* A received buffer that is not yet parsed to its end. */
struct held_buffer {
    const uint8_t *data;
    uint32_t size;
    uint32_t used;
    uint16_t buffer_id;
    uint16_t next; /* in the shard's array of held buffers, by buffer id */
};
#define HELD_NONE UINT16_MAX

struct connection {
    struct io_request recv;
    struct io_request send;
    struct shard *shard;
    uint32_t index;
    uint32_t generation;
    enum connection_state state;
    int socket;

    bool recv_armed;
    bool recv_cancelled;
    bool send_busy;
    bool end_of_stream; /* the client sends no more; what it sent is answered first */
    bool in_work;       /* in the shard's work queue */
    bool in_dirty;      /* in the shard's queue of outputs to flush */

    uint16_t held_first;
    uint16_t held_last;
    uint32_t held_count;

    uint8_t *assembly; /* MESSAGE_SIZE_MAX bytes */
    uint32_t assembly_used;

    const struct message_header *message; /* whole and checked, being taken item by item; NULL: none */
    bool message_in_assembly;
    uint32_t items_taken;
    uint32_t item_offset;

    uint32_t unanswered; /* items taken and not yet answered */
    struct output output;

    uint64_t held_up_since_ns; /* 0: not held up */
    uint64_t partial_since_ns; /* since when half a message waits for its rest; 0: none does */
    uint64_t linger_until_ns;  /* 0: our side is not ended yet */
    uint64_t sending_since_ns; /* when the send that is under way began */
    uint64_t progress_ns;      /* last byte in or out */
};

/* Takes over a connected socket whose HELLO was accepted; `early` are bytes the client sent behind it (at most MESSAGE_SIZE_MAX).
 * Requires a FREE connection. */
void connection_open(struct connection *connection, int socket, const uint8_t *early, uint32_t early_size);

/* Parses what is there until it is through or held up. */
void connection_work(struct connection *connection);

/* Sends what is queued if no send is under way, and finishes closing where that is due. */
void connection_flush(struct connection *connection);

/* Says `status` for the connection itself (OPERATION_NONE, this correlation) and closes behind it. */
void connection_refuse(struct connection *connection, enum status status, uint64_t correlation);

/* Reads no more; closes once what is queued is out. */
void connection_close(struct connection *connection);

/* While the server stops: closes a connection that has nothing left to be answered or sent; with `now` even then. */
void connection_drain(struct connection *connection, bool now);

/* Once a second: deadlines for half a message, for a reader that does not read, and for idleness. */
void connection_check_deadlines(struct connection *connection, uint64_t now_ns);

#endif
