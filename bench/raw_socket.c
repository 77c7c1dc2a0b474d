#include "bench/raw_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define HELLO_WAIT_SECONDS 10

struct hello_message {
    struct message_header header;
    struct hello item;
};

struct hello_reply {
    struct message_header header;
    struct hello_result result;
};

/* Splits at the last colon and takes brackets off an IPv6 address. */
static bool split_address(const char *server, char host[256], const char **port)
{
    const char *colon = strrchr(server, ':');
    if (colon == NULL || colon == server || colon[1] == '\0')
        return false;
    size_t size = (size_t)(colon - server);
    if (server[0] == '[' && server[size - 1] == ']') {
        server++;
        size -= 2;
    }
    if (size == 0 || size >= 256)
        return false;
    memcpy(host, server, size);
    host[size] = '\0';
    *port = colon + 1;
    return true;
}

static int connect_to_any(const struct addrinfo *addresses)
{
    for (const struct addrinfo *address = addresses; address != NULL; address = address->ai_next) {
        int fd = socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC, address->ai_protocol);
        if (fd < 0)
            continue;
        if (connect(fd, address->ai_addr, address->ai_addrlen) == 0)
            return fd;
        int error = errno;
        close(fd);
        errno = error;
    }
    return -1;
}

static int connect_to_path(const char *path, struct failure *failure)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (path[0] == '\0' || strlen(path) >= sizeof address.sun_path) {
        failure_set(failure, EXIT_USAGE, "unix:%s: the path is empty or too long", path);
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    failure_set(failure, EXIT_NO_ANSWER, "unix:%s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

static int connect_to_server(const char *server, struct failure *failure)
{
    if (strncmp(server, "unix:", 5) == 0)
        return connect_to_path(server + 5, failure);
    char host[256];
    const char *port;
    struct addrinfo *addresses = NULL;
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    if (!split_address(server, host, &port)) {
        failure_set(failure, EXIT_USAGE, "'%s' is not HOST:PORT", server);
        return -1;
    }
    int error = getaddrinfo(host, port, &hints, &addresses);
    if (error != 0) {
        failure_set(failure, EXIT_USAGE, "%s: %s", server, gai_strerror(error));
        return -1;
    }
    int fd = connect_to_any(addresses);
    if (fd < 0)
        failure_set(failure, EXIT_NO_ANSWER, "%s: %s", server, strerror(errno));
    freeaddrinfo(addresses);
    return fd;
}

static bool send_hello(int fd, uint32_t shard)
{
    struct hello_message message = { 0 };
    message.header.size = sizeof message;
    message.header.operation = OPERATION_HELLO;
    message.header.items_count = 1;
    message.item.header.size = sizeof message.item;
    message.item.header.kind = OPERATION_HELLO;
    message.item.header.version = 1;
    message.item.version_min = PROTOCOL_VERSION;
    message.item.version_max = PROTOCOL_VERSION;
    message.item.shard = shard;
    snprintf(message.item.client, sizeof message.item.client, "innkeep-bench reserve");
    message_seal(&message.header);
    return send(fd, &message, sizeof message, MSG_NOSIGNAL) == (ssize_t)sizeof message;
}

/* Receives one whole message of at most `size` bytes. */
static bool receive_message(int fd, struct message_header *message, uint32_t size)
{
    if (recv(fd, message, sizeof *message, MSG_WAITALL) != (ssize_t)sizeof *message)
        return false;
    if (message_header_check(message, size) != STATUS_OK)
        return false;
    ssize_t rest = (ssize_t)(message->size - sizeof *message);
    return recv(fd, message + 1, (size_t)rest, MSG_WAITALL) == rest && message_check(message) == STATUS_OK;
}

static bool exchange_hello(int fd, uint32_t shard, struct hello_result *hello, struct failure *failure)
{
    union {
        struct message_header header;
        struct hello_reply reply;
        uint8_t bytes[1024];
    } answer = { 0 };
    if (!send_hello(fd, shard) || !receive_message(fd, &answer.header, sizeof answer))
        return failure_set(failure, EXIT_NO_ANSWER, "the server did not answer hello");
    uint16_t status = answer.reply.result.header.status;
    if (status != STATUS_OK)
        return failure_set(failure, EXIT_NO_ANSWER, "hello: %s: %s", status_name(status), status_text(status));
    if (answer.header.operation != OPERATION_HELLO || answer.header.size < sizeof answer.reply)
        return failure_set(failure, EXIT_NO_ANSWER, "the answer to hello is not one");
    *hello = answer.reply.result;
    return true;
}

int raw_socket_open(const char *server, uint32_t shard, struct hello_result *hello, struct failure *failure)
{
    int fd = connect_to_server(server, failure);
    if (fd < 0)
        return -1;
    int on = 1;
    struct timeval wait = { .tv_sec = HELLO_WAIT_SECONDS };
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    if (exchange_hello(fd, shard, hello, failure) && fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
        return fd;
    failure_set(failure, EXIT_NO_ANSWER, "%s: %s", server, strerror(errno));
    close(fd);
    return -1;
}
