/* The functions at once of wal/io.h: files, directories, locks, listening sockets. */
#include "engine/base/units.h"
#include "tests/wal/forbid.h"
#include "wal/io.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- What the tests share: a world without a ring, and a directory of their own -------------------------------- */

static struct io *io;
static char directory[256];

static void begin(void)
{
    const char *why = "untouched";
    cr_assert_eq(io_create(&(struct io_options){ 0 }, &io, &why), 0);
    cr_assert_null(why);
    const char *below = getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp";
    (void)snprintf(directory, sizeof(directory), "%s/innkeep-io-XXXXXX", below);
    cr_assert_not_null(mkdtemp(directory));
}

static void end(void)
{
    char command[300];
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", directory);
    cr_assert_eq(system(command), 0);
    io_destroy(io);
}

/* The path of `name` in the test's directory; good until it was called eight times more. */
static const char *at(const char *name)
{
    static char paths[8][512];
    static unsigned next;
    char *path = paths[next++ % 8];
    (void)snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
    return path;
}

static int file_made(const char *name, const char *text)
{
    int file = io_open(io, at(name), IO_OPEN_READ | IO_OPEN_WRITE | IO_OPEN_CREATE);
    cr_assert_geq(file, 0, "io_open: %d", file);
    cr_assert_eq(io_write_at(io, file, text, strlen(text), 0), 0);
    return file;
}

TestSuite(io_files, .init = begin, .fini = end);

/* ---- Time and randomness ----------------------------------------------------------------------------------------- */

Test(io_files, the_clock_never_goes_back_and_counts_nanoseconds)
{
    uint64_t before_ns = io_now_ns(io);
    (void)usleep(20000);
    uint64_t passed_ns = io_now_ns(io) - before_ns;
    cr_assert_geq(passed_ns, 20 * NS_PER_MS);
    cr_assert_lt(passed_ns, 10 * NS_PER_SECOND);
    cr_assert_gt(io_wall_ns(io), UINT64_C(1700000000) * NS_PER_SECOND);
}

#define ENTROPY_SIZE (32 * MIB)

static void on_alarm(int number)
{
    (void)number;
}

/* From here on a signal comes every millisecond: long system calls end early. */
static void interrupt_often(void)
{
    const struct sigaction action = { .sa_handler = on_alarm };
    const struct itimerval often = { .it_value.tv_usec = 1000, .it_interval.tv_usec = 1000 };
    cr_assert_eq(sigaction(SIGALRM, &action, NULL), 0);
    cr_assert_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
}

Test(io_files, entropy_fills_every_byte_despite_signals_and_differs_each_time)
{
    const uint8_t untouched[32] = { 0 };
    uint8_t *bytes = calloc(1, ENTROPY_SIZE);
    cr_assert_not_null(bytes);
    interrupt_often();
    cr_assert_eq(io_entropy(io, bytes, ENTROPY_SIZE), 0);
    cr_assert_neq(memcmp(bytes + ENTROPY_SIZE - 32, untouched, 32), 0);
    cr_assert_neq(memcmp(bytes, untouched, 32), 0);
    uint8_t again[32];
    cr_assert_eq(io_entropy(io, again, sizeof(again)), 0);
    cr_assert_neq(memcmp(bytes, again, sizeof(again)), 0);
    free(bytes);
}

/* ---- Files ------------------------------------------------------------------------------------------------------- */

Test(io_files, what_was_written_reads_back_and_the_end_of_the_file_ends_the_read)
{
    int file = file_made("f", "0123456789");
    char read[20] = { 0 };
    cr_assert_eq(io_write_at(io, file, "abc", 3, 4), 0);
    cr_assert_eq(io_sync_file(io, file), 0);
    cr_assert_eq(io_size_of(io, file), 10);
    cr_assert_eq(io_read_at(io, file, read, 3, 4), 3);
    cr_assert_str_eq(read, "abc");
    cr_assert_eq(io_read_at(io, file, read, sizeof(read), 2), 8);
    cr_assert_eq(memcmp(read, "23abc789", 8), 0);
    cr_assert_eq(io_read_at(io, file, read, sizeof(read), 10), 0);
    io_close(io, file);
}

Test(io_files, create_makes_a_file_only_where_there_is_none)
{
    cr_assert_eq(io_open(io, at("f"), IO_OPEN_READ | IO_OPEN_WRITE), -ENOENT);
    io_close(io, file_made("f", "kept"));
    cr_assert_eq(io_open(io, at("f"), IO_OPEN_WRITE | IO_OPEN_CREATE), -EEXIST);
    int file = io_open(io, at("f"), IO_OPEN_READ);
    cr_assert_eq(io_size_of(io, file), 4);
    io_close(io, file);
}

Test(io_files, a_new_file_is_not_for_everyone_and_not_for_child_programs)
{
    int file = file_made("f", "");
    struct stat status;
    cr_assert_eq(fstat(file, &status), 0);
    cr_assert_eq(status.st_mode & 07, 0u);
    cr_assert_eq(fcntl(file, F_GETFD), FD_CLOEXEC);
    io_close(io, file);
}

Test(io_files, a_file_opened_for_one_direction_refuses_the_other)
{
    io_close(io, file_made("f", "x"));
    char byte = 'y';
    int file = io_open(io, at("f"), IO_OPEN_READ);
    cr_assert_eq(io_write_at(io, file, &byte, 1, 0), -EBADF);
    io_close(io, file);
    file = io_open(io, at("f"), IO_OPEN_WRITE);
    cr_assert_eq(io_read_at(io, file, &byte, 1, 0), -EBADF);
    cr_assert_eq(io_write_at(io, file, &byte, 1, 0), 0);
    io_close(io, file);
}

Test(io_files, an_open_for_neither_direction_breaks_the_contract, .signal = SIGABRT)
{
    (void)!io_open(io, at("f"), IO_OPEN_CREATE);
}

Test(io_files, closing_twice_breaks_the_contract, .signal = SIGABRT)
{
    int file = file_made("f", "");
    io_close(io, file);
    io_close(io, file);
}

Test(io_files, a_full_device_is_reported)
{
    int file = io_open(io, "/dev/full", IO_OPEN_WRITE);
    cr_assert_eq(io_write_at(io, file, "x", 1, 0), -ENOSPC);
    io_close(io, file);
}

Test(io_files, errors_of_the_world_come_back_as_numbers)
{
    int pipes[2];
    cr_assert_eq(pipe(pipes), 0);
    cr_assert_eq(io_sync_file(io, pipes[1]), -EINVAL);
    cr_assert_eq(io_size_of(io, 1000), -EBADF);
    cr_assert_eq(io_sync_directory(io, at("missing")), -ENOENT);
    cr_assert_eq(io_rename(io, at("missing"), at("f")), -ENOENT);
    cr_assert_eq(io_unlink(io, at("missing")), -ENOENT);
    cr_assert_eq(io_lock(io, 1000), -EBADF);
    io_close(io, pipes[0]);
    io_close(io, pipes[1]);
}

Test(io_files, a_write_that_makes_no_progress_is_an_error_and_not_a_loop)
{
    int file = file_made("f", "");
    forbid(__NR_pwrite64, 0);
    cr_assert_eq(io_write_at(io, file, "x", 1, 0), -EIO);
    io_close(io, file);
}

Test(io_files, a_machine_without_entropy_is_reported)
{
    uint8_t bytes[16];
    forbid(__NR_getrandom, ENOSYS);
    cr_assert_eq(io_entropy(io, bytes, sizeof(bytes)), -ENOSYS);
}

Test(io_files, a_sync_that_failed_is_told_and_not_tried_again)
{
    int file = file_made("f", "");
    forbid(__NR_fsync, EIO);
    cr_assert_eq(io_sync_file(io, file), -EIO);
    cr_assert_eq(io_sync_directory(io, directory), -EIO);
    io_close(io, file);
}

/* ---- Direct I/O -------------------------------------------------------------------------------------------------- */

Test(io_files, a_direct_file_reads_what_was_written)
{
    int file = io_open(io, at("f"), IO_OPEN_READ | IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_DIRECT);
    if (file == -EINVAL) {
        cr_skip_test("TMPDIR has no direct I/O");
    }
    cr_assert_neq(fcntl(file, F_GETFL) & O_DIRECT, 0);
    uint8_t *block = aligned_alloc(4096, 4096);
    memset(block, 'd', 4096);
    cr_assert_eq(io_write_at(io, file, block, 4096, 4096), 0);
    memset(block, 0, 4096);
    cr_assert_eq(io_read_at(io, file, block, 4096, 4096), 4096);
    cr_assert_eq(block[4095], 'd');
    cr_assert_eq(io_read_at(io, file, block, 4096, 8192), 0);
    io_close(io, file);
    free(block);
}

/* ramfs has no direct I/O on any kernel; tmpfs has, since Linux 6.6. */
Test(io_files, a_file_system_without_direct_io_refuses_and_keeps_no_empty_file)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("ramfs", directory, "ramfs", 0, NULL) != 0) {
        cr_skip_test("needs root to mount a ramfs");
    }
    cr_assert_eq(io_open(io, at("f"), IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_DIRECT), -EINVAL);
    cr_assert_eq(access(at("f"), F_OK), -1);
    io_close(io, file_made("f", "kept"));
    cr_assert_eq(io_open(io, at("f"), IO_OPEN_WRITE | IO_OPEN_DIRECT), -EINVAL);
    cr_assert_eq(access(at("f"), F_OK), 0);
    cr_assert_eq(umount(directory), 0);
}

/* ---- Directories ------------------------------------------------------------------------------------------------- */

Test(io_files, a_directory_is_made_once)
{
    cr_assert_eq(io_make_directory(io, at("d")), 0);
    cr_assert_eq(io_make_directory(io, at("d")), -EEXIST);
    cr_assert_eq(io_sync_directory(io, at("d")), 0);
    io_close(io, file_made("f", ""));
    cr_assert_eq(io_sync_directory(io, at("f")), -ENOTDIR);
}

Test(io_files, a_rename_replaces_what_was_there)
{
    io_close(io, file_made("new", "new text"));
    io_close(io, file_made("old", "old"));
    cr_assert_eq(io_rename(io, at("new"), at("old")), 0);
    int file = io_open(io, at("old"), IO_OPEN_READ);
    cr_assert_eq(io_size_of(io, file), 8);
    io_close(io, file);
    cr_assert_eq(io_open(io, at("new"), IO_OPEN_READ), -ENOENT);
    cr_assert_eq(io_unlink(io, at("old")), 0);
    cr_assert_eq(io_open(io, at("old"), IO_OPEN_READ), -ENOENT);
}

struct names {
    int count;
    unsigned seen;
    int stop_at;
};

static int names_note(void *context, const char *name)
{
    struct names *names = context;
    cr_assert_eq(strlen(name), 1, "%s", name);
    names->seen |= 1u << (name[0] - 'a');
    return ++names->count == names->stop_at ? 42 : 0;
}

Test(io_files, a_list_names_each_entry_once_until_the_visitor_has_enough)
{
    struct names all = { 0 };
    cr_assert_eq(io_list(io, directory, names_note, &all), 0);
    cr_assert_eq(all.count, 0);
    io_close(io, file_made("a", ""));
    io_close(io, file_made("c", ""));
    cr_assert_eq(io_make_directory(io, at("b")), 0);
    cr_assert_eq(io_list(io, directory, names_note, &all), 0);
    cr_assert_eq(all.count, 3);
    cr_assert_eq(all.seen, 7u);
    struct names some = { .stop_at = 2 };
    cr_assert_eq(io_list(io, directory, names_note, &some), 42);
    cr_assert_eq(some.count, 2);
    cr_assert_eq(io_list(io, at("missing"), names_note, &some), -ENOENT);
}

/* ---- Locks ------------------------------------------------------------------------------------------------------- */

/* What io_lock says to another process; it exits at once, and so gives the lock back. */
static int lock_elsewhere(const char *name)
{
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        int file = io_open(io, at(name), IO_OPEN_WRITE);
        _exit(file < 0 ? 255 : -io_lock(io, file));
    }
    int status = 0;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status));
    return -WEXITSTATUS(status);
}

Test(io_files, a_lock_keeps_another_process_out_until_it_is_closed)
{
    int file = file_made("lock", "");
    cr_assert_eq(lock_elsewhere("lock"), 0);
    cr_assert_eq(io_lock(io, file), 0);
    cr_assert_eq(lock_elsewhere("lock"), -EWOULDBLOCK);
    io_close(io, file);
    cr_assert_eq(lock_elsewhere("lock"), 0);
}

Test(io_files, a_lock_goes_when_its_process_is_killed)
{
    int pipes[2];
    io_close(io, file_made("lock", ""));
    cr_assert_eq(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
        int held = io_open(io, at("lock"), IO_OPEN_WRITE);
        char answer = io_lock(io, held) == 0 ? 'y' : 'n';
        _exit(write(pipes[1], &answer, 1) == 1 ? pause() : 1);
    }
    char answer = 0;
    cr_assert_eq(read(pipes[0], &answer, 1), 1);
    cr_assert_eq(answer, 'y');
    int file = io_open(io, at("lock"), IO_OPEN_WRITE);
    cr_assert_eq(io_lock(io, file), -EWOULDBLOCK);
    cr_assert_eq(kill(child, SIGKILL), 0);
    cr_assert_eq(waitpid(child, NULL, 0), child);
    cr_assert_eq(io_lock(io, file), 0);
    io_close(io, file);
    io_close(io, pipes[0]);
    io_close(io, pipes[1]);
}

/* ---- Listening on TCP -------------------------------------------------------------------------------------------- */

static bool can_connect(const struct io_address *address)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET,
                              .sin_port = htons(address->port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
                               .sin6_port = htons(address->port),
                               .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    struct sockaddr_un local = { .sun_family = AF_UNIX };
    (void)snprintf(local.sun_path, sizeof(local.sun_path), "%.100s", address->host);
    const struct sockaddr *where = (const struct sockaddr *)&v4;
    socklen_t size = sizeof(v4);
    if (address->local) {
        where = (const struct sockaddr *)&local;
        size = sizeof(local);
    } else if (strchr(address->host, ':') != NULL) {
        where = (const struct sockaddr *)&v6;
        size = sizeof(v6);
    }
    int client = socket(where->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool connected = client >= 0 && connect(client, where, size) == 0;
    if (client >= 0) {
        io_close(io, client);
    }
    return connected;
}

Test(io_files, port_zero_picks_one_and_says_which)
{
    struct io_address bound;
    int listening = io_listen(io, &(struct io_address){ .host = "127.0.0.1" }, 4, &bound);
    cr_assert_geq(listening, 0);
    cr_assert_str_eq(bound.host, "127.0.0.1");
    cr_assert_neq(bound.port, 0);
    cr_assert_not(bound.local);
    cr_assert_eq(fcntl(listening, F_GETFD), FD_CLOEXEC);
    cr_assert(can_connect(&bound));

    struct io_address again;
    cr_assert_eq(io_listen(io, &bound, 4, &again), -EADDRINUSE);
    io_close(io, listening);
    cr_assert_not(can_connect(&bound));
}

/* What a restart meets: the old server hung up first, so its side of the connection waits for stragglers. */
Test(io_files, a_connection_that_lingers_does_not_keep_the_port)
{
    struct io_address bound;
    int listening = io_listen(io, &(struct io_address){ .host = "127.0.0.1" }, 4, &bound);
    struct sockaddr_in where = { .sin_family = AF_INET, .sin_port = htons(bound.port) };
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(client, (const struct sockaddr *)&where, sizeof(where)), 0);
    int accepted = accept(listening, NULL, NULL);
    cr_assert_geq(accepted, 0);
    io_close(io, accepted);
    io_close(io, client);
    io_close(io, listening);
    struct io_address again;
    listening = io_listen(io, &bound, 4, &again);
    cr_assert_geq(listening, 0, "io_listen: %d", listening);
    cr_assert_eq(again.port, bound.port);
    io_close(io, listening);
}

Test(io_files, an_ipv6_address_leaves_the_ipv4_port_free)
{
    struct io_address bound6;
    struct io_address bound4;
    int listening6 = io_listen(io, &(struct io_address){ .host = "::" }, 4, &bound6);
    if (listening6 == -EAFNOSUPPORT || listening6 == -EADDRNOTAVAIL) {
        cr_skip_test("no IPv6 here");
    }
    cr_assert_geq(listening6, 0);
    cr_assert_str_eq(bound6.host, "::");
    cr_assert(can_connect(&bound6));
    int listening4 = io_listen(io, &(struct io_address){ .host = "0.0.0.0", .port = bound6.port }, 4, &bound4);
    cr_assert_geq(listening4, 0, "%d", listening4);
    cr_assert_eq(bound4.port, bound6.port);
    io_close(io, listening4);
    io_close(io, listening6);
}

Test(io_files, a_host_that_is_no_address_is_refused_without_asking_anybody)
{
    struct io_address bound;
    cr_assert_eq(io_listen(io, &(struct io_address){ .host = "localhost" }, 4, &bound), -EINVAL);
    cr_assert_eq(io_listen(io, &(struct io_address){ .host = "127.0.0.1.5" }, 4, &bound), -EINVAL);
    cr_assert_eq(io_listen(io, &(struct io_address){ .host = "192.0.2.1" }, 4, &bound), -EADDRNOTAVAIL);
}

/* The error is told, and no file number is lost: the next one to be had is the same as before. */
static void assert_listen_refused(const struct io_address *address, int error)
{
    struct io_address bound;
    int next = dup(0);
    io_close(io, next);
    cr_assert_eq(io_listen(io, address, 4, &bound), error);
    cr_assert_eq(dup(0), next);
    io_close(io, next);
}

Test(io_files, a_machine_without_sockets_left_is_reported)
{
    forbid(__NR_socket, EMFILE);
    assert_listen_refused(&(struct io_address){ .host = "127.0.0.1" }, -EMFILE);
    assert_listen_refused(&(struct io_address){ .host = "innkeep-socket", .local = true }, -EMFILE);
}

Test(io_files, a_socket_that_cannot_listen_is_reported_and_closed)
{
    forbid(__NR_listen, ENOBUFS);
    assert_listen_refused(&(struct io_address){ .host = "127.0.0.1" }, -ENOBUFS);
}

Test(io_files, a_socket_without_a_name_is_reported_and_closed)
{
    forbid(__NR_getsockname, ENOBUFS);
    assert_listen_refused(&(struct io_address){ .host = "127.0.0.1" }, -ENOBUFS);
}

/* ---- Listening on a Unix socket ---------------------------------------------------------------------------------- */

static struct io_address local_at(const char *name)
{
    struct io_address address = { .local = true };
    (void)snprintf(address.host, sizeof(address.host), "%.250s", at(name));
    return address;
}

Test(io_files, a_socket_file_in_use_is_left_alone_and_one_left_over_is_replaced)
{
    struct io_address address = local_at("socket");
    struct io_address bound;
    int listening = io_listen(io, &address, 4, &bound);
    cr_assert_geq(listening, 0);
    cr_assert(bound.local);
    cr_assert_str_eq(bound.host, address.host);
    cr_assert(can_connect(&address));
    cr_assert_eq(io_listen(io, &address, 4, &bound), -EADDRINUSE);
    cr_assert(can_connect(&address));
    io_close(io, listening); /* leaves the file, as a killed server does */
    cr_assert_eq(access(address.host, F_OK), 0);
    cr_assert_not(can_connect(&address));
    listening = io_listen(io, &address, 4, &bound);
    cr_assert_geq(listening, 0);
    cr_assert(can_connect(&address));
    io_close(io, listening);
}

Test(io_files, a_server_too_busy_to_accept_still_counts_as_one)
{
    struct io_address address = local_at("socket");
    struct io_address bound;
    int listening = io_listen(io, &address, 1, &bound);
    int clients[8];
    for (size_t i = 0; i < ARRAY_COUNT(clients); i++) {
        struct sockaddr_un where = { .sun_family = AF_UNIX };
        (void)snprintf(where.sun_path, sizeof(where.sun_path), "%.100s", address.host);
        clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)!connect(clients[i], (const struct sockaddr *)&where, sizeof(where));
    }
    cr_assert_eq(io_listen(io, &address, 4, &bound), -EADDRINUSE);
    cr_assert_eq(access(address.host, F_OK), 0);
    for (size_t i = 0; i < ARRAY_COUNT(clients); i++) {
        io_close(io, clients[i]);
    }
    io_close(io, listening);
}

Test(io_files, a_file_that_is_no_socket_is_never_replaced)
{
    io_close(io, file_made("precious", "data"));
    struct io_address address = local_at("precious");
    struct io_address bound;
    cr_assert_eq(io_listen(io, &address, 4, &bound), -EADDRINUSE);
    int file = io_open(io, at("precious"), IO_OPEN_READ);
    cr_assert_eq(io_size_of(io, file), 4);
    io_close(io, file);
}

Test(io_files, a_socket_path_of_impossible_length_is_refused)
{
    struct io_address address = { .local = true };
    struct io_address bound;
    cr_assert_eq(io_listen(io, &address, 4, &bound), -EINVAL);
    memset(address.host, 'p', 108); /* one more than fits with its terminator */
    cr_assert_eq(io_listen(io, &address, 4, &bound), -ENAMETOOLONG);
    address = local_at("missing/socket");
    cr_assert_eq(io_listen(io, &address, 4, &bound), -ENOENT);
}
