/* The server: a data directory, its shards on a thread each, a listener.
 *
 *   1. open the directory (and its lock), bind the listener, make each shard's ring;
 *   2. each thread replays its log; damage anywhere stops the start before anything was written anywhere;
 *   3. log time goes on from the latest of the wall clock and all shards' last frames;
 *   4. each thread opens its log behind what was recovered; when all have, the server is ready;
 *   5. the threads turn until server_stop; then no more work is taken, what was accepted is completed, and they end.
 *
 * A shard that cannot go on (log error, ring lost) ends the process at once, with a message and exit status 1: nobody is told anything
 * that is not durable, and a restart recovers. */
#ifndef NET_SERVER_SERVER_H
#define NET_SERVER_SERVER_H

#include "net/server/shard.h"

struct server;

/* Sane values for everything but data_path. */
struct server_options server_options_default(void);

/* Steps 1 to 4. The calling thread has SIGINT and SIGTERM blocked, so that the shards' threads have, too. 0, or a negated errno with a whole
 * sentence in why[] that says what is wrong and what to do. */
MUST_USE int server_start(const struct server_options *options, struct server **server, char *why, size_t why_size);

/* What it bound: "127.0.0.1:7433", "[::1]:7433" or "unix:PATH". Borrowed. */
const char *server_address(const struct server *server);
uint32_t server_shards(const struct server *server);
uint64_t server_lsn(const struct server *server, uint32_t shard); /* at the moment it became ready */
const struct engine_limits *server_limits(const struct server *server);
size_t server_memory_bytes(const struct server *server); /* the bound, of all shards */

/* Step 5, and frees the server. */
void server_stop(struct server *server);

#endif
