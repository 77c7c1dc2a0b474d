/* A server that follows a script: a thread on a loopback port. Each connection is one call of the script, in order;
 * when the script is at its end the port is closed, so that whoever connects again is refused. */
#ifndef TESTS_CLIENT_FAKE_SERVER_H
#define TESTS_CLIENT_FAKE_SERVER_H

#include "tests/client/replies.h"

#include <pthread.h>

struct fake_server;

/* Serves one connection; returning closes it. */
typedef void fake_serve(struct fake_server *server, int fd);

struct fake_server {
    char address[32];
    fake_serve *const *script; /* ends with NULL */
    int listener;
    int fd; /* of the connection being served */
    pthread_t thread;
    uint64_t log_time_ns;    /* what answers carry */
    uint64_t clock_ahead_ns; /* of hello's clock, ahead of log_time_ns */
    uint8_t uuid_byte;       /* of hello */
    unsigned connections;    /* served so far */
    unsigned repeat_last;    /* serve the last entry for ever */
    void *context;
    struct replies replies;
    _Alignas(8) uint8_t request[MESSAGE_SIZE_MAX]; /* the last one read */
};

void fake_server_start(struct fake_server *server, fake_serve *const *script);
/* Waits for the script's end and joins. */
void fake_server_stop(struct fake_server *server);

/* For scripts: the next request, or NULL at the end of the stream. */
const struct message_header *fake_read(struct fake_server *server);
/* Sends server->replies and clears them. */
void fake_send(struct fake_server *server);
/* Reads hello and answers it. */
void fake_hello(struct fake_server *server);
/* Answers every item of a request with `status` (mutations with whole results, others with a bare header) at
 * server->log_time_ns. */
void fake_answer(struct fake_server *server, const struct message_header *request, enum status status);

#endif
