/* Sockets from the listener through the handshake to the shard that will own them. Lives on shard 0's thread.
 *
 *     accept -> read until a whole HELLO is there -> judge -> choose a shard -> hand the socket over
 *                                              \-> one last message that says why not -> close
 *
 * A handshake reads with one receive at a time, so that nothing is under way on the socket when it changes threads; what the client sent
 * behind its HELLO travels along. There are HANDSHAKES_MAX at once: when all are taken, accepting pauses and the kernel's backlog waits, as do
 * up to ACCEPT_WAITING_MAX sockets that were accepted before the pause. */
#ifndef NET_SERVER_ACCEPTOR_H
#define NET_SERVER_ACCEPTOR_H

#include "net/protocol.h"
#include "wal/io.h"

struct shard;
struct acceptor;

#define HANDSHAKES_MAX 512
#define ACCEPT_WAITING_MAX 4096
#define HANDSHAKE_BUFFER_SIZE 4096

/* Memory for it, part of the server's bound. */
size_t acceptor_memory_size(void);

/* `listening_socket` is the acceptor's from now on. NULL if memory is missing. */
struct acceptor *acceptor_create(struct shard *shard, int listening_socket);
void acceptor_free(struct acceptor *acceptor);

/* Arms what is to be armed, ends handshakes that take too long; once a turn. */
void acceptor_tend(struct acceptor *acceptor, uint64_t now_ns);

/* True if no handshake is under way. */
bool acceptor_idle(const struct acceptor *acceptor);

/* Accepts no more and lets the handshakes go. */
void acceptor_stop(struct acceptor *acceptor);

#endif
