/* One connection's state machine, without the connection: requests go in, bytes come out; bytes go in, answers come
 * out.
 *
 * No socket, no clock, no allocation after init: the same object runs under the blocking calls, the pipeline and the
 * simulator. Bytes may arrive in any pieces.
 *
 *     GREETING --hello answered--> READY --session_close--> CLOSED
 *        |                           |                         ^
 *        +------ refused, or bytes that are not the protocol --+
 *
 * Invariant: every item submitted is completed exactly once: by its result, or when the session is closed.
 *
 * A message under way occupies a slot; its correlation id is the slot's number and generation, so an answer finds its
 * message without a search, and an answer to anything else is noticed. One answered bit per item notices an item
 * answered twice. */
#ifndef NET_CLIENT_SESSION_H
#define NET_CLIENT_SESSION_H

#include "net/include/innkeep/innkeep.h"
#include "net/protocol.h"

#define SESSION_ERROR_SIZE 160

enum session_state { SESSION_GREETING, SESSION_READY, SESSION_CLOSED };

struct session_options {
    uint32_t messages_max; /* 1..65536 under way */
    uint32_t batch_max;    /* 1..MESSAGE_ITEMS_MAX items of a message */
    size_t send_bytes;     /* at least SESSION_SEND_BYTES_MIN; both multiples of 8 */
    size_t receive_bytes;  /* at least SESSION_RECEIVE_BYTES_MIN; also bounds a reply message */
};

#define SESSION_SEND_BYTES_MIN ((size_t)1024)
#define SESSION_RECEIVE_BYTES_MIN (64 * KIB)
static_assert(SESSION_RECEIVE_BYTES_MIN >= sizeof(struct message_header) + RESULT_SIZE_MAX, "a result fits the buffer");

/* A message under way, or a link of the list of free slots. */
struct session_message {
    uint64_t position; /* of its first byte in the stream of bytes sent; UINT64_MAX while it is being gathered */
    uint32_t generation;
    uint32_t next_free;
    uint16_t items_count; /* 0: free */
    uint16_t unanswered;
    uint8_t operation;
};

struct session {
    enum session_state state;
    int verdict; /* why it is closed: 0 while it is not, INN_CLOSED, INN_PROTOCOL_ERROR or the server's refusal */
    char error[SESSION_ERROR_SIZE];
    struct session_options options;
    struct hello_result hello;
    uint64_t log_time_ns; /* the newest seen in any result */

    /* Bytes to send: [send_begin, send_sealed) are ready, [send_sealed, send_end) is the message being gathered. */
    uint8_t *send;
    size_t send_begin;
    size_t send_sealed;
    size_t send_end;
    uint64_t sent_bytes; /* taken by the transport since the start */
    uint32_t open_slot;  /* of the message being gathered; SESSION_NONE: there is none */

    /* Bytes received: [receive_begin, receive_end). */
    uint8_t *receive;
    size_t receive_begin;
    size_t receive_end;
    uint32_t results_left; /* of the message being read out */
    uint32_t reading_slot;
    const struct result_header *result;

    struct session_message *messages;
    uint64_t *users;    /* batch_max for each slot */
    uint64_t *answered; /* answered_words for each slot */
    uint32_t answered_words;
    uint32_t free_slot;
    uint32_t drain_slot; /* where completing the rest has got to, once closed */
    uint32_t drain_item;
    size_t pending; /* items submitted and not completed */
};

#define SESSION_NONE UINT32_MAX

/* Allocates, once, all that a session needs. 0 or -ENOMEM. Requires options within their bounds. */
MUST_USE int session_init(struct session *session, const struct session_options *options);
void session_free(struct session *session);

/* Forgets the last connection and queues the hello of the next. `client` is zero padded. Requires nothing pending. */
void session_start(struct session *session, uint32_t shard, const char client[OWNER_SIZE]);

/* Room for one item of `operation` and `size` bytes (a multiple of 8) in the send buffer, all of which the caller
 * overwrites; NULL where every slot is taken or the buffer is full. `user` comes back with the answer. Requires
 * SESSION_READY. */
void *session_submit(struct session *session, uint8_t operation, uint32_t size, uint64_t user);

/* Ends the message being gathered, if there is one, so that session_output shows it. */
void session_seal(struct session *session);

/* The bytes to send next; 0 if none. */
size_t session_output(const struct session *session, const uint8_t **bytes);
/* The transport took the first `size` of them. */
void session_output_taken(struct session *session, size_t size);

/* Where to put bytes received, and how many fit. 0 while answers at hand are not yet taken, since results lie in this
 * buffer. Ends the life of every result given so far. */
size_t session_input(struct session *session, uint8_t **bytes);
/* The first `size` of them are filled. */
void session_input_filled(struct session *session, size_t size);

/* Takes the next answer: 1 with *completion, or 0. Reads the answer to hello on the way, and everything the server says
 * of the connection. Once closed, first what had arrived whole, then every item without an answer. */
int session_next(struct session *session, struct inn_completion *completion);

/* True if session_next would give something without further input. */
bool session_has_next(struct session *session);

/* No further byte will come or go. `error` says why, for people. Nothing happens where it is closed already. */
void session_close(struct session *session, int verdict, const char *error);

/* True if an item of this operation may have changed something when its answer does not come. */
bool session_operation_changes(uint8_t operation);

#endif
