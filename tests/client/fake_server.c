#include "tests/client/fake_server.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void *serve_script(void *argument)
{
    struct fake_server *server = argument;
    for (fake_serve *const *step = server->script; *step != NULL;) {
        server->fd = accept(server->listener, NULL, NULL);
        if (server->fd < 0)
            break;
        server->connections++;
        (*step)(server, server->fd);
        close(server->fd);
        if (step[1] != NULL || !server->repeat_last)
            step++;
    }
    close(server->listener);
    return NULL;
}

void fake_server_start(struct fake_server *server, fake_serve *const *script)
{
    struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof name;
    server->script = script;
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(server->listener, 0);
    cr_assert_eq(bind(server->listener, (const struct sockaddr *)&name, size), 0);
    cr_assert_eq(listen(server->listener, 16), 0);
    cr_assert_eq(getsockname(server->listener, (struct sockaddr *)&name, &size), 0);
    snprintf(server->address, sizeof server->address, "127.0.0.1:%u", ntohs(name.sin_port));
    cr_assert_eq(pthread_create(&server->thread, NULL, serve_script, server), 0);
}

void fake_server_stop(struct fake_server *server)
{
    if (server->repeat_last)
        shutdown(server->listener, SHUT_RDWR);
    pthread_join(server->thread, NULL);
}

static bool read_exactly(int fd, uint8_t *bytes, size_t size)
{
    while (size > 0) {
        ssize_t got = recv(fd, bytes, size, 0);
        if (got <= 0)
            return false;
        bytes += got;
        size -= (size_t)got;
    }
    return true;
}

const struct message_header *fake_read(struct fake_server *server)
{
    struct message_header *message = (struct message_header *)(void *)server->request;
    if (!read_exactly(server->fd, server->request, sizeof *message))
        return NULL;
    if (message_header_check(message, MESSAGE_SIZE_MAX) != STATUS_OK ||
        !read_exactly(server->fd, server->request + sizeof *message, message->size - sizeof *message) ||
        message_check(message) != STATUS_OK)
        return NULL;
    return message;
}

void fake_send(struct fake_server *server)
{
    const uint8_t *at = server->replies.bytes;
    for (size_t left = server->replies.size; left > 0;) {
        ssize_t sent = send(server->fd, at, left, MSG_NOSIGNAL);
        if (sent <= 0)
            break;
        at += sent;
        left -= (size_t)sent;
    }
    replies_clear(&server->replies);
}

void fake_hello(struct fake_server *server)
{
    const struct message_header *hello = fake_read(server);
    if (hello == NULL || hello->operation != OPERATION_HELLO)
        return;
    replies_hello(&server->replies, server->log_time_ns, server->log_time_ns + server->clock_ahead_ns,
                  server->uuid_byte);
    fake_send(server);
}

static bool is_mutation(uint8_t operation)
{
    return operation < OPERATION_LEASE_ACQUIRE;
}

void fake_answer(struct fake_server *server, const struct message_header *request, enum status status)
{
    replies_begin(&server->replies, request->operation, request->correlation);
    for (uint16_t item = 0; item < request->items_count; item++) {
        struct mutation_result mutation = result_mutation(status, item, 5, server->log_time_ns);
        struct result_header bare = result_bare(status, item, server->log_time_ns);
        if (is_mutation(request->operation))
            replies_add(&server->replies, &mutation);
        else
            replies_add(&server->replies, &bare);
    }
    replies_seal(&server->replies);
    fake_send(server);
}
