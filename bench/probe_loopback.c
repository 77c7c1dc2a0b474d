#include "bench/clock.h"
#include "bench/probes.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MESSAGE_SIZE 120

/* One end of the connection and the epoll it is waited for on. */
struct end {
    int fd;
    int epoll_fd;
};

/* Waits for one whole message and takes it; false when the other end has closed. */
static bool end_receive(const struct end *end, uint8_t message[MESSAGE_SIZE])
{
    size_t used = 0;
    while (used < MESSAGE_SIZE) {
        struct epoll_event event;
        if (epoll_wait(end->epoll_fd, &event, 1, 5000) < 0 && errno != EINTR)
            return false;
        ssize_t size = recv(end->fd, message + used, MESSAGE_SIZE - used, MSG_DONTWAIT);
        if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR))
            return false;
        used += size > 0 ? (size_t)size : 0;
    }
    return true;
}

static bool end_send(const struct end *end, const uint8_t message[MESSAGE_SIZE])
{
    return send(end->fd, message, MESSAGE_SIZE, MSG_NOSIGNAL) == MESSAGE_SIZE;
}

static void *echo(void *context)
{
    const struct end *end = context;
    uint8_t message[MESSAGE_SIZE];
    while (end_receive(end, message) && end_send(end, message))
        ;
    return NULL;
}

static bool end_prepare(struct end *end)
{
    int on = 1;
    struct epoll_event event = { .events = EPOLLIN | EPOLLET };
    if (end->fd < 0 || setsockopt(end->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        return false;
    end->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    return end->epoll_fd >= 0 && epoll_ctl(end->epoll_fd, EPOLL_CTL_ADD, end->fd, &event) == 0;
}

static void end_close(const struct end *end)
{
    if (end->epoll_fd >= 0)
        close(end->epoll_fd);
    if (end->fd >= 0)
        close(end->fd);
}

/* Connects ends[0] to ends[1] over loopback, through a listener that lives only for that. */
static bool connect_ends(struct end ends[2])
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ends[0].fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool connected = listener >= 0 && ends[0].fd >= 0 &&
                     bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 1) == 0 &&
                     getsockname(listener, (struct sockaddr *)&address, &size) == 0 &&
                     connect(ends[0].fd, (struct sockaddr *)&address, sizeof address) == 0;
    if (connected)
        ends[1].fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (listener >= 0)
        close(listener);
    return connected && end_prepare(&ends[0]) && end_prepare(&ends[1]);
}

static bool round_trips(const struct end *end, uint64_t duration_ns, struct histogram *latency_ns)
{
    uint8_t message[MESSAGE_SIZE] = { 0 };
    uint64_t before_ns = clock_now_ns();
    uint64_t end_ns = before_ns + duration_ns;
    while (before_ns < end_ns) {
        if (!end_send(end, message) || !end_receive(end, message))
            return false;
        uint64_t after_ns = clock_now_ns();
        histogram_add(latency_ns, after_ns - before_ns);
        before_ns = after_ns;
    }
    return true;
}

bool probe_loopback(uint64_t duration_ns, struct histogram *latency_ns, struct failure *failure)
{
    struct end ends[2] = { { -1, -1 }, { -1, -1 } };
    pthread_t thread;
    bool done = false;
    if (connect_ends(ends) && pthread_create(&thread, NULL, echo, &ends[1]) == 0) {
        done = round_trips(&ends[0], duration_ns, latency_ns);
        shutdown(ends[0].fd, SHUT_RDWR);
        pthread_join(thread, NULL);
    }
    int error = errno;
    end_close(&ends[0]);
    end_close(&ends[1]);
    return done || failure_set(failure, EXIT_REFUSED, "probing loopback: %s", strerror(error));
}
