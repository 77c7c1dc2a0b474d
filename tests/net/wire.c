#include "tests/net/wire.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_MS 10000

static struct {
    pid_t process;
    int output;
    uint16_t port;
    char path[512];
    char log_path[520]; /* its stderr, shown if it ends badly */
} server;

static int remove_visit(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info;
    (void)kind;
    (void)where;
    return remove(path);
}

static void path_remove(void)
{
    (void)nftw(server.path, remove_visit, 8, FTW_DEPTH | FTW_PHYS);
    (void)unlink(server.log_path);
}

static void log_show(void)
{
    char line[512];
    FILE *log = fopen(server.log_path, "r");
    while (log != NULL && fgets(line, sizeof line, log) != NULL)
        fputs(line, stderr);
    if (log != NULL)
        fclose(log);
}

static void server_become(int output)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(output, STDOUT_FILENO);
    if (freopen(server.log_path, "w", stderr) == NULL)
        _exit(126);
    execl(INNKEEPD, "innkeepd", "--data", server.path, "--listen", "127.0.0.1:0", "--shards", "2", "--memory", "32M",
          "--segment-size", "1M", "--partial-timeout", "1s", "--handshake-timeout", "1s", NULL);
    _exit(127);
}

static void readable_wait(int file)
{
    struct pollfd poll_one = { .fd = file, .events = POLLIN };
    cr_assert_eq(poll(&poll_one, 1, WAIT_MS), 1, "nothing came for ten seconds");
}

/* "innkeepd ready listen=127.0.0.1:PORT shards=2 lsn=..." */
static void ready_read(void)
{
    char line[256] = "";
    for (size_t used = 0; used + 1 < sizeof line && strchr(line, '\n') == NULL; used++) {
        readable_wait(server.output);
        cr_assert_eq(read(server.output, line + used, 1), 1, "innkeepd ended before it was ready");
    }
    const char *at = strstr(line, "listen=127.0.0.1:");
    cr_assert_not_null(at, "%s", line);
    server.port = (uint16_t)strtoul(at + 17, NULL, 10);
}

void wire_server_start(void)
{
    int ends[2];
    snprintf(server.path, sizeof server.path, "%s/wire-%d", INNKEEP_TEST_SCRATCH, (int)getpid());
    snprintf(server.log_path, sizeof server.log_path, "%s.log", server.path);
    path_remove();
    cr_assert_eq(pipe(ends), 0);
    server.process = fork();
    if (server.process == 0)
        server_become(ends[1]);
    close(ends[1]);
    server.output = ends[0];
    ready_read();
}

void wire_server_stop(void)
{
    int status = 0;
    kill(server.process, SIGTERM);
    cr_assert_eq(waitpid(server.process, &status, 0), server.process);
    if (status != 0)
        log_show();
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "innkeepd ended with status %d", status);
    close(server.output);
    path_remove();
}

int wire_connect_raw(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(server.port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int connected = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(connected, 0);
    cr_assert_eq(connect(connected, (struct sockaddr *)&address, sizeof address), 0);
    return connected;
}

int wire_connect(void)
{
    int connected = wire_connect_raw();
    struct hello hello = wire_hello();
    cr_assert_eq(wire_ask_one(connected, &hello)->status, STATUS_OK);
    return connected;
}

void wire_begin(union wire_message *message, enum operation operation, uint64_t correlation)
{
    memset(&message->header, 0, sizeof message->header);
    message->header.operation = (uint8_t)operation;
    message->header.correlation = correlation;
    message->header.size = sizeof message->header;
}

void wire_append(union wire_message *message, const void *item)
{
    uint16_t size = ((const struct record_header *)item)->size;
    cr_assert_leq(message->header.size + size, sizeof message->bytes);
    memcpy(message->bytes + message->header.size, item, size);
    message->header.size += size;
    message->header.items_count++;
}

struct barrier wire_barrier(uint64_t property)
{
    return (struct barrier){
        .header = { .size = sizeof(struct barrier), .kind = OPERATION_BARRIER, .version = 1, .property = property }
    };
}

struct hello wire_hello(void)
{
    return (struct hello){ .header = { .size = sizeof(struct hello), .kind = OPERATION_HELLO, .version = 1 },
                           .version_min = 1,
                           .version_max = 1,
                           .shard = SHARD_ANY };
}

void wire_send(int socket, const void *bytes, size_t size_bytes)
{
    const uint8_t *at = bytes;
    while (size_bytes > 0) {
        ssize_t sent = send(socket, at, size_bytes, MSG_NOSIGNAL);
        cr_assert_gt(sent, 0, "the server has closed");
        at += sent;
        size_bytes -= (size_t)sent;
    }
}

void wire_send_message(int socket, union wire_message *message)
{
    message_seal(&message->header);
    wire_send(socket, message->bytes, message->header.size);
}

static void bytes_receive(int socket, uint8_t *bytes, size_t size_bytes)
{
    while (size_bytes > 0) {
        readable_wait(socket);
        ssize_t got = recv(socket, bytes, size_bytes, 0);
        cr_assert_gt(got, 0, "the server has closed in the middle of a message, or before it");
        bytes += got;
        size_bytes -= (size_t)got;
    }
}

void wire_receive(int socket, union wire_message *message)
{
    bytes_receive(socket, message->bytes, sizeof message->header);
    cr_assert_eq(message_header_check(&message->header, MESSAGE_SIZE_MAX), STATUS_OK);
    cr_assert_eq(message->header.flags, MESSAGE_REPLY);
    bytes_receive(socket, message->bytes + sizeof message->header, message->header.size - sizeof message->header);
    cr_assert_eq(message_check(&message->header), STATUS_OK);
}

void wire_expect_end(int socket)
{
    uint8_t byte;
    readable_wait(socket);
    cr_assert_leq(recv(socket, &byte, 1, 0), 0, "something came where nothing should");
    close(socket);
}

void wire_expect_refusal(int socket, enum status status, uint64_t correlation)
{
    static union wire_message reply;
    wire_receive(socket, &reply);
    const struct result_header *result = (const struct result_header *)(const void *)(&reply.header + 1);
    cr_assert_eq(reply.header.operation, OPERATION_NONE);
    cr_assert_eq(reply.header.items_count, 1);
    cr_assert_eq(reply.header.size, 72);
    cr_assert_eq(result->status, status, "%s, expected %s", status_name(result->status), status_name((uint16_t)status));
    cr_assert_eq(reply.header.correlation, correlation);
    cr_assert_eq(result->item, 0);
    cr_assert_eq(result->lsn, 0);
    wire_expect_end(socket);
}

static void reply_take(const union wire_message *reply, const union wire_message *request, struct wire_answer *answer)
{
    const uint8_t *at = (const uint8_t *)(&reply->header + 1);
    cr_assert_eq(reply->header.correlation, request->header.correlation);
    cr_assert_eq(reply->header.operation, request->header.operation);
    for (uint32_t i = 0; i < reply->header.items_count; i++) {
        const struct result_header *result = (const struct result_header *)(const void *)at;
        cr_assert_lt(result->item, request->header.items_count);
        cr_assert_null(answer->results[result->item], "item %u is answered twice", result->item);
        cr_assert_leq(answer->used + result->size, sizeof answer->store);
        memcpy(answer->store + answer->used, result, result->size);
        answer->results[result->item] = (const struct result_header *)(const void *)(answer->store + answer->used);
        answer->used += result->size;
        at += result->size;
    }
}

void wire_ask(int socket, union wire_message *message, struct wire_answer *answer)
{
    static union wire_message reply;
    uint32_t answered = 0;
    cr_assert_leq(message->header.items_count, WIRE_ITEMS_MAX);
    memset(answer, 0, sizeof *answer);
    wire_send_message(socket, message);
    while (answered < message->header.items_count) {
        wire_receive(socket, &reply);
        reply_take(&reply, message, answer);
        answered += reply.header.items_count;
    }
}

const struct result_header *wire_ask_one(int socket, const void *item)
{
    static union wire_message request;
    static struct wire_answer answer;
    static uint64_t correlation;
    wire_begin(&request, ((const struct record_header *)item)->kind, ++correlation);
    wire_append(&request, item);
    wire_ask(socket, &request, &answer);
    return answer.results[0];
}
