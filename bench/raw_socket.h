/* A connection to the server without the client library: the load's hot path, which builds its messages in place and reads results
 * where they arrive. */
#ifndef BENCH_RAW_SOCKET_H
#define BENCH_RAW_SOCKET_H

#include "bench/failure.h"
#include "net/protocol.h"

/* Connects to "HOST:PORT", "[ADDRESS]:PORT" or "unix:/path", says hello for `shard` (SHARD_ANY: no matter), waits for the answer, and makes the
 * socket non-blocking. Returns the descriptor, which the caller closes, with *hello filled in; or -1 with *failure. */
MUST_USE int raw_socket_open(const char *server, uint32_t shard, struct hello_result *hello, struct failure *failure);

#endif
