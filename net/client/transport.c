#include "net/client/transport.h"
#include "net/client/clock.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int error_set(struct inn_error *error, int verdict, const char *format, ...)
{
    if (error == NULL)
        return verdict;
    error->verdict = verdict;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    return verdict;
}

void transport_wait(int fd, bool for_write, uint64_t timeout_ns)
{
    struct pollfd p = { .fd = fd, .events = (short)(for_write ? POLLIN | POLLOUT : POLLIN) };
    struct timespec t = { .tv_sec = (time_t)(timeout_ns / NS_PER_SECOND),
                          .tv_nsec = (long)(timeout_ns % NS_PER_SECOND) };
    /* An early return, also by a signal, only makes the caller look again. */
    (void)ppoll(&p, 1, timeout_ns == UINT64_MAX ? NULL : &t, NULL);
}

/* ---- Connecting -------------------------------------------------------------------------------------------------- */

/* Waits for a connect under way. 0 or the errno that ended it. */
static int await_connect(int fd, uint64_t until_ns)
{
    for (;;) {
        uint64_t now = clock_now();
        if (now >= until_ns)
            return ETIMEDOUT;
        struct pollfd p = { .fd = fd, .events = POLLOUT };
        struct timespec t = { .tv_sec = (time_t)((until_ns - now) / NS_PER_SECOND),
                              .tv_nsec = (long)((until_ns - now) % NS_PER_SECOND) };
        if (ppoll(&p, 1, &t, NULL) <= 0)
            continue;
        int error = 0;
        socklen_t size = sizeof error;
        return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
    }
}

/* A connected socket, or minus an errno. */
static int connect_one(int family, const struct sockaddr *address, socklen_t size, uint64_t until_ns)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int error = connect(fd, address, size) == 0 ? 0 : errno;
    if (error == EINPROGRESS || error == EINTR)
        error = await_connect(fd, until_ns);
    if (error != 0) {
        close(fd);
        return -error;
    }
    int one = 1;
    if (family != AF_UNIX)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static int connect_failed(const char *address, int errno_value, struct inn_error *error)
{
    const char *hint = "";
    if (errno_value == ECONNREFUSED || errno_value == ENOENT)
        hint = "; is innkeepd running?";
    else if (errno_value == ETIMEDOUT)
        hint = "; is the address right, and the host reachable?";
    return error_set(error, INN_NO_ANSWER, "no server at %.120s: %s%s", address, strerrordesc_np(errno_value), hint);
}

static int connect_unix(const char *address, const char *path, uint64_t until_ns, int *fd, struct inn_error *error)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof name.sun_path)
        return error_set(error, INN_BAD_ARGUMENT, "\"%.120s\": a socket's path has 1 to %zu bytes", address,
                         sizeof name.sun_path - 1);
    memcpy(name.sun_path, path, length);
    *fd = connect_one(AF_UNIX, (const struct sockaddr *)&name, sizeof name, until_ns);
    return *fd >= 0 ? INN_OK : connect_failed(address, -*fd, error);
}

struct host_port {
    char host[256];
    char port[8];
};

/* Splits "HOST:PORT" or "[ADDRESS]:PORT". */
static bool host_port_parse(const char *address, struct host_port *parts)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL)
        return false;
    const char *host = address;
    size_t host_length = (size_t)(colon - address);
    if (host_length >= 2 && host[0] == '[' && host[host_length - 1] == ']') {
        host++;
        host_length -= 2;
    } else if (memchr(host, ':', host_length) != NULL) {
        return false;
    }
    size_t port_length = strlen(colon + 1);
    if (host_length == 0 || host_length >= sizeof parts->host || port_length == 0 || port_length > 5 ||
        strspn(colon + 1, "0123456789") != port_length)
        return false;
    memcpy(parts->host, host, host_length);
    parts->host[host_length] = '\0';
    memcpy(parts->port, colon + 1, port_length + 1);
    int number = 0;
    for (const char *digit = parts->port; *digit != '\0'; digit++)
        number = number * 10 + (*digit - '0');
    return number >= 1 && number <= 65535;
}

static int connect_tcp(const char *address, uint64_t until_ns, int *fd, struct inn_error *error)
{
    struct host_port parts;
    if (!host_port_parse(address, &parts))
        return error_set(error, INN_BAD_ARGUMENT, "\"%.120s\" is no address: HOST:PORT, [ADDRESS]:PORT or unix:/path",
                         address);
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
    struct addrinfo *found = NULL;
    int problem = getaddrinfo(parts.host, parts.port, &hints, &found);
    if (problem != 0)
        return error_set(error, INN_NO_ANSWER, "no server at %.120s: %s", address, gai_strerror(problem));
    *fd = -EADDRNOTAVAIL;
    for (const struct addrinfo *a = found; a != NULL && *fd < 0; a = a->ai_next)
        *fd = connect_one(a->ai_family, a->ai_addr, a->ai_addrlen, until_ns);
    freeaddrinfo(found);
    return *fd >= 0 ? INN_OK : connect_failed(address, -*fd, error);
}

int transport_connect(const char *address, uint64_t until_ns, int *fd, struct inn_error *error)
{
    *fd = -1;
    if (strncmp(address, "unix:", 5) == 0)
        return connect_unix(address, address + 5, until_ns, fd, error);
    return connect_tcp(address, until_ns, fd, error);
}

/* ---- Bytes ------------------------------------------------------------------------------------------------------- */

static void transport_fail(struct session *session, int errno_value)
{
    char text[SESSION_ERROR_SIZE];
    snprintf(text, sizeof text, "the connection was lost: %s", strerrordesc_np(errno_value));
    session_close(session, INN_CLOSED, text);
}

void transport_send(int fd, struct session *session)
{
    const uint8_t *bytes = NULL;
    for (;;) {
        size_t size = session_output(session, &bytes);
        if (size == 0)
            return;
        ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) {
            session_output_taken(session, (size_t)sent);
            if ((size_t)sent < size)
                return;
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR) {
            /* The peer is gone, but what it said before it went may still lie in the socket: reading finds both. */
            transport_receive(fd, session);
            transport_fail(session, EPIPE);
            return;
        }
    }
}

void transport_receive(int fd, struct session *session)
{
    uint8_t *bytes = NULL;
    size_t room = session_input(session, &bytes);
    if (room == 0)
        return;
    ssize_t got = recv(fd, bytes, room, MSG_DONTWAIT);
    if (got > 0)
        session_input_filled(session, (size_t)got);
    else if (got == 0)
        session_close(session, INN_CLOSED, "the server closed the connection");
    else if (errno != EAGAIN && errno != EINTR)
        transport_fail(session, errno);
}
