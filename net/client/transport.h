/* Sockets for the client: an address becomes a connected, non-blocking stream. */
#ifndef NET_CLIENT_TRANSPORT_H
#define NET_CLIENT_TRANSPORT_H

#include "net/client/session.h"

/* Connects to "HOST:PORT", "[ADDRESS]:PORT" or "unix:/path" by `until_ns` (clock_now). INN_OK with *fd, or
 * INN_BAD_ARGUMENT or INN_NO_ANSWER with *error saying what went wrong and what to do. A name is looked up by the
 * system's resolver, whose own time limits apply. */
MUST_USE int transport_connect(const char *address, uint64_t until_ns, int *fd, struct inn_error *error);

/* Sends what the session has, as far as the socket takes it; closes the session where the socket fails. */
void transport_send(int fd, struct session *session);

/* Receives once, as much as fits; closes the session at the end of the stream or where the socket fails. */
void transport_receive(int fd, struct session *session);

/* Waits until the socket is readable or, if `for_write`, writable; at most timeout_ns (UINT64_MAX: for ever). */
void transport_wait(int fd, bool for_write, uint64_t timeout_ns);

/* Fills in *error (may be NULL); returns verdict. */
__attribute__((format(printf, 3, 4))) int error_set(struct inn_error *error, int verdict, const char *format, ...);

#endif
