/* The functions at once of wal/io.h that know sockets. */
#include "wal/io.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int option_set(int socket, int level, int name)
{
    const int on = 1;
    return setsockopt(socket, level, name, &on, sizeof(on)) < 0 ? -errno : 0;
}

/* ---- TCP --------------------------------------------------------------------------------------------------------- */

/* Numeric hosts only, so nothing is looked up anywhere and the answer is one address. */
static int tcp_resolve(const struct io_address *address, struct addrinfo **found)
{
    char port[8];
    (void)snprintf(port, sizeof(port), "%u", (unsigned)address->port);
    const struct addrinfo hints = {
        .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
        .ai_socktype = SOCK_STREAM,
    };
    switch (getaddrinfo(address->host, port, &hints, found)) {
    case 0:
        return 0;
    case EAI_MEMORY:
        return -ENOMEM;
    case EAI_SYSTEM:
        return -errno;
    default:
        return -EINVAL;
    }
}

/* TCP_NODELAY is set here because sockets inherit it from the one that accepted them. An IPv6 address means IPv6 only,
 * so that "::" and "0.0.0.0" can be listened on side by side. */
static int tcp_prepare(int socket, const struct addrinfo *where)
{
    int result = option_set(socket, SOL_SOCKET, SO_REUSEADDR);
    if (result == 0) {
        result = option_set(socket, IPPROTO_TCP, TCP_NODELAY);
    }
    if (result == 0 && where->ai_family == AF_INET6) {
        result = option_set(socket, IPPROTO_IPV6, IPV6_V6ONLY);
    }
    if (result == 0 && bind(socket, where->ai_addr, where->ai_addrlen) < 0) {
        result = -errno;
    }
    return result;
}

static int tcp_bind(const struct io_address *address)
{
    struct addrinfo *where = NULL;
    int result = tcp_resolve(address, &where);
    if (result < 0) {
        return result;
    }
    int listening = socket(where->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    result = listening < 0 ? -errno : tcp_prepare(listening, where);
    freeaddrinfo(where);
    if (result < 0 && listening >= 0) {
        (void)close(listening);
    }
    return result < 0 ? result : listening;
}

static int tcp_bound(int socket, struct io_address *bound)
{
    struct sockaddr_storage name = { 0 };
    socklen_t size = sizeof(name);
    if (getsockname(socket, (struct sockaddr *)&name, &size) < 0) {
        return -errno;
    }
    *bound = (struct io_address){ 0 };
    if (getnameinfo((struct sockaddr *)&name, size, bound->host, sizeof(bound->host), NULL, 0, NI_NUMERICHOST) != 0) {
        return -EINVAL;
    }
    /* The port lies at the same place in both families' addresses. */
    static_assert(offsetof(struct sockaddr_in, sin_port) == offsetof(struct sockaddr_in6, sin6_port), "sockaddr_in*");
    in_port_t port;
    memcpy(&port, (const char *)&name + offsetof(struct sockaddr_in, sin_port), sizeof(port));
    bound->port = ntohs(port);
    return 0;
}

/* ---- Unix sockets ------------------------------------------------------------------------------------------------ */

/* True if `where` is a socket file that nobody listens on any more: what a killed server leaves behind. */
static bool local_is_left_over(const struct sockaddr_un *where)
{
    struct stat status;
    if (lstat(where->sun_path, &status) < 0 || !S_ISSOCK(status.st_mode)) {
        return false;
    }
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (probe < 0) {
        return false;
    }
    bool refused = connect(probe, (const struct sockaddr *)where, sizeof(*where)) < 0 && errno == ECONNREFUSED;
    (void)close(probe);
    return refused;
}

static int local_bind_to(int socket, const struct sockaddr_un *where)
{
    const struct sockaddr *name = (const struct sockaddr *)where;
    if (bind(socket, name, sizeof(*where)) == 0) {
        return 0;
    }
    if (errno != EADDRINUSE) {
        return -errno;
    }
    if (!local_is_left_over(where)) {
        return -EADDRINUSE;
    }
    return unlink(where->sun_path) < 0 || bind(socket, name, sizeof(*where)) < 0 ? -errno : 0;
}

static int local_bind(const struct io_address *address)
{
    struct sockaddr_un where = { .sun_family = AF_UNIX };
    size_t length = strnlen(address->host, sizeof(address->host));
    if (length == 0 || length >= sizeof(where.sun_path)) {
        return length == 0 ? -EINVAL : -ENAMETOOLONG;
    }
    memcpy(where.sun_path, address->host, length);
    int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listening < 0) {
        return -errno;
    }
    int result = local_bind_to(listening, &where);
    if (result < 0) {
        (void)close(listening);
        return result;
    }
    return listening;
}

/* ---- Both -------------------------------------------------------------------------------------------------------- */

static int listening_start(int socket, const struct io_address *address, uint32_t backlog, struct io_address *bound)
{
    if (listen(socket, (int)backlog) < 0) {
        return -errno;
    }
    if (address->local) {
        *bound = *address;
        return 0;
    }
    return tcp_bound(socket, bound);
}

int io_listen(struct io *io, const struct io_address *address, uint32_t backlog, struct io_address *bound)
{
    (void)io;
    REQUIRE(backlog > 0);
    REQUIRE(backlog <= INT32_MAX);
    REQUIRE(memchr(address->host, 0, sizeof(address->host)) != NULL);
    int listening = address->local ? local_bind(address) : tcp_bind(address);
    if (listening < 0) {
        return listening;
    }
    int result = listening_start(listening, address, backlog, bound);
    if (result < 0) {
        (void)close(listening);
        return result;
    }
    return listening;
}

void io_shutdown(struct io *io, int socket)
{
    (void)io;
    (void)shutdown(socket, SHUT_RDWR); /* -ENOTCONN: the peer was faster */
}

void io_shutdown_send(struct io *io, int socket)
{
    (void)io;
    (void)shutdown(socket, SHUT_WR);
}
