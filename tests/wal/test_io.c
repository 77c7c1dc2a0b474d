/* The ring of wal/io.h on the real kernel: requests, completions, and what happens at the edges of the queues. */
#include "engine/base/units.h"
#include "tests/wal/forbid.h"
#include "wal/io_internal.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE_BYTES 4096u
#define COMPLETIONS_MAX 64
#define PATIENCE_NS (10 * NS_PER_SECOND)

/* ---- What the tests share ---------------------------------------------------------------------------------------- */

/* A request that keeps what its completions said. */
struct probe {
    struct io_request request;
    bool more;
    int completions;
    int32_t result; /* of the last one */
    int32_t results[COMPLETIONS_MAX];
    uint16_t buffers[COMPLETIONS_MAX]; /* out, in the order they came */
    int buffers_count;
    char text[4096]; /* what io_recv brought, one after the other */
    size_t text_size;
};

static void probe_done(struct io_request *request, const struct io_completion *completion)
{
    struct probe *probe = request->context;
    cr_assert_lt(probe->completions, COMPLETIONS_MAX);
    probe->results[probe->completions++] = completion->result;
    probe->result = completion->result;
    probe->more = completion->more;
    if (completion->data == NULL) {
        return;
    }
    cr_assert_leq(probe->text_size + (size_t)completion->result, sizeof(probe->text));
    memcpy(probe->text + probe->text_size, completion->data, (size_t)completion->result);
    probe->text_size += (size_t)completion->result;
    probe->buffers[probe->buffers_count++] = completion->buffer_id;
}

static struct io_request *probe_start(struct probe *probe)
{
    *probe = (struct probe){ .more = true };
    probe->request.done = probe_done;
    probe->request.context = probe;
    return &probe->request;
}

static void probe_return_buffers(struct io *io, struct probe *probe)
{
    for (int i = 0; i < probe->buffers_count; i++) {
        io_buffer_return(io, probe->buffers[i]);
    }
    probe->buffers_count = 0;
}

static struct io *world_made(const struct io_options *options)
{
    struct io *io = NULL;
    const char *why = NULL;
    int result = io_create(options, &io, &why);
    cr_assert_eq(result, 0, "io_create: %d: %s", result, why != NULL ? why : "");
    return io;
}

static struct io *world_of(const struct io_options *options)
{
    struct io *io = world_made(options);
    cr_assert_eq(io_adopt(io), 0);
    return io;
}

static struct io *world(void)
{
    return world_of(&(struct io_options){
        .ring_entries = 8, .fixed_buffers_count = 2, .recv_buffers_count = 4, .recv_buffer_size = 16 });
}

static void run_until(struct io *io, const struct probe *probe, int completions)
{
    uint64_t give_up_ns = io_now_ns(io) + PATIENCE_NS;
    while (probe->completions < completions) {
        cr_assert_lt(io_now_ns(io), give_up_ns, "%d of %d completions", probe->completions, completions);
        cr_assert_eq(io_run(io, give_up_ns), 0);
    }
}

/* Runs until the request is the caller's again. */
static void run_until_done(struct io *io, const struct probe *probe)
{
    uint64_t give_up_ns = io_now_ns(io) + PATIENCE_NS;
    while (probe->more) {
        cr_assert_lt(io_now_ns(io), give_up_ns, "still armed after %d completions", probe->completions);
        cr_assert_eq(io_run(io, give_up_ns), 0);
    }
}

/* Runs what there is to run now; DEFER_TASKRUN may need a second turn for what the first one started. */
static void run_briefly(struct io *io)
{
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(io_run(io, io_now_ns(io) + NS_PER_MS), 0);
    }
}

/* Nothing that nobody asked for ends a wait. */
static void assert_undisturbed(struct io *io)
{
    uint64_t until_ns = io_now_ns(io) + 30 * NS_PER_MS;
    cr_assert_eq(io_run(io, until_ns), 0);
    cr_assert_geq(io_now_ns(io) + NS_PER_MS, until_ns, "woken for nothing");
}

static void socket_pair(int pair[2])
{
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
}

static void send_all(int socket, const void *bytes, size_t size_bytes)
{
    cr_assert_eq(send(socket, bytes, size_bytes, MSG_NOSIGNAL), (ssize_t)size_bytes);
}

/* An open file without a name, for direct I/O. */
static int scratch_file(void)
{
    const char *directory = getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp";
    int file = open(directory, O_TMPFILE | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
    if (file < 0) {
        cr_skip_test("no direct I/O in TMPDIR");
    }
    return file;
}

static uint8_t *blocks_make(size_t count, uint8_t fill)
{
    uint8_t *blocks = aligned_alloc(PAGE_BYTES, count * PAGE_BYTES);
    cr_assert_not_null(blocks);
    memset(blocks, fill, count * PAGE_BYTES);
    return blocks;
}

static void register_blocks(struct io *io, uint8_t *blocks, size_t count)
{
    cr_assert_eq(io_buffers_register(io, &(struct iovec){ .iov_base = blocks, .iov_len = count * PAGE_BYTES }, 1), 0);
}

/* ---- Making ------------------------------------------------------------------------------------------------------ */

static void assert_refused(int error, const char *advice)
{
    struct io *io = NULL;
    const char *why = NULL;
    const struct io_options options = { .ring_entries = 8, .recv_buffers_count = 4, .recv_buffer_size = 16 };
    cr_assert_eq(io_create(&options, &io, &why), error);
    cr_assert_null(io);
    cr_assert_not_null(why);
    cr_assert_not_null(strstr(why, advice), "%s", why);
}

Test(io, a_kernel_that_is_too_old_is_told_which_one_is_needed)
{
    forbid(__NR_io_uring_setup, EINVAL);
    assert_refused(-EINVAL, "Linux 6.1 or later");
}

Test(io, a_kernel_without_io_uring_is_told_so)
{
    forbid(__NR_io_uring_setup, ENOSYS);
    assert_refused(-ENOSYS, "has no io_uring");
}

Test(io, a_container_that_forbids_io_uring_is_told_what_to_allow)
{
    forbid(__NR_io_uring_setup, EPERM);
    assert_refused(-EPERM, "seccomp");
}

Test(io, a_kernel_that_refuses_receive_buffers_leaves_nothing_behind)
{
    forbid(__NR_io_uring_register, EINVAL);
    assert_refused(-EINVAL, "Linux 6.1 or later");
}

Test(io, no_file_number_left_is_told_with_the_limit_to_raise)
{
    forbid(__NR_io_uring_setup, EMFILE);
    assert_refused(-EMFILE, "RLIMIT_NOFILE");
}

Test(io, no_memory_for_a_ring_is_told_with_the_limits_to_raise)
{
    forbid(__NR_io_uring_setup, ENOMEM);
    assert_refused(-ENOMEM, "RLIMIT_MEMLOCK");
}

Test(io, a_ring_that_cannot_be_adopted_says_why)
{
    struct io *io = world_made(&(struct io_options){ .ring_entries = 8 });
    forbid(__NR_io_uring_register, EACCES);
    cr_assert_eq(io_adopt(io), -EACCES);
    io_destroy(io);
    io_destroy(NULL);
}

/* Lets this process alone see `value` as the machine's setting. */
static void pretend_sysctl(const char *value)
{
    char path[] = "/tmp/innkeep-sysctl-XXXXXX";
    int file = mkstemp(path);
    cr_assert_geq(file, 0);
    cr_assert_eq(write(file, value, strlen(value)), (ssize_t)strlen(value));
    cr_assert_eq(close(file), 0);
    bool pretended = unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
                     mount(path, "/proc/sys/kernel/io_uring_disabled", NULL, MS_BIND, NULL) == 0;
    cr_assert_eq(unlink(path), 0);
    if (!pretended) {
        cr_skip_test("needs root and a kernel with io_uring_disabled");
    }
}

Test(io, an_administrator_who_switched_io_uring_off_is_named_as_the_reason)
{
    pretend_sysctl("2\n");
    forbid(__NR_io_uring_setup, EPERM);
    assert_refused(-EPERM, "switched off on this machine; set kernel.io_uring_disabled=0");
}

Test(io, a_group_that_alone_may_use_io_uring_is_named_as_the_way)
{
    pretend_sysctl("1\n");
    forbid(__NR_io_uring_setup, EPERM);
    assert_refused(-EPERM, "kernel.io_uring_group");
}

/* The kernel decides when it makes the ring whether its memory counts. */
Test(io, buffers_beyond_the_memory_lock_limit_are_refused_with_advice)
{
    const struct rlimit limit = { .rlim_cur = 64 * KIB, .rlim_max = 64 * KIB };
    cr_assert_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
    cr_assert(getuid() != 0 || setresuid(65534, 65534, 65534) == 0);
    struct io *io = world();
    uint8_t *blocks = blocks_make(256, 0);
    int result = io_buffers_register(io, &(struct iovec){ .iov_base = blocks, .iov_len = 256 * PAGE_BYTES }, 1);
    cr_assert_eq(result, -ENOMEM, "%d", result);
    cr_assert_not_null(strstr(io_buffers_explain(result), "RLIMIT_MEMLOCK"));
    io_destroy(io);
    free(blocks);
}

Test(io, an_error_that_nobody_foresaw_is_still_explained)
{
    cr_assert_not_null(strstr(io_buffers_explain(-EFAULT), "cannot be pinned"));
    cr_assert_not_null(strstr(io_buffers_explain(-EBUSY), "refused"));
    forbid(__NR_io_uring_setup, EXDEV);
    assert_refused(-EXDEV, "refused to make an io_uring ring");
}

Test(io, a_submit_before_io_adopt_breaks_the_contract, .signal = SIGABRT)
{
    struct io *io = world_made(&(struct io_options){ .ring_entries = 8 });
    struct probe probe;
    io_sync(io, probe_start(&probe), 0);
}

static size_t mapped_pages(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    cr_assert_not_null(file);
    size_t pages = 0;
    cr_assert_eq(fscanf(file, "%zu", &pages), 1);
    cr_assert_eq(fclose(file), 0);
    return pages;
}

Test(io, a_world_destroyed_leaves_no_memory_and_no_file_behind)
{
    const struct io_options options = { .ring_entries = 8, .recv_buffers_count = 8, .recv_buffer_size = MIB };
    io_destroy(world_of(&options));
    size_t pages = mapped_pages();
    int next_file = dup(0);
    for (int i = 0; i < 50; i++) {
        io_destroy(world_of(&options));
    }
    cr_assert_lt(mapped_pages(), pages + 50 * 8 * MIB / PAGE_BYTES / 2);
    cr_assert_eq(dup(0), next_file + 1);
}

static void *adopt_and_sync(void *context)
{
    struct io *io = context;
    cr_assert_eq(io_adopt(io), 0);
    struct probe probe;
    int file = scratch_file();
    io_sync(io, probe_start(&probe), file);
    run_until_done(io, &probe);
    cr_assert_eq(probe.result, 0);
    io_close(io, file);
    return NULL;
}

Test(io, a_directory_is_synced_and_a_file_is_deleted_through_the_ring)
{
    struct io *io = world();
    char directory[] = "/tmp/innkeep-test-io-XXXXXX";
    char path[sizeof(directory) + 8];
    cr_assert_not_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/file", directory);
    io_close(io, io_open(io, path, IO_OPEN_WRITE | IO_OPEN_CREATE));
    int number = io_open(io, directory, IO_OPEN_READ);
    cr_assert_geq(number, 0);
    struct probe probe;
    io_sync_entries(io, probe_start(&probe), number);
    run_until_done(io, &probe);
    cr_assert_eq(probe.result, 0);
    io_unlink_later(io, probe_start(&probe), path);
    run_until_done(io, &probe);
    cr_assert_eq(probe.result, 0);
    cr_assert_eq(io_open(io, path, IO_OPEN_READ), -ENOENT);
    io_unlink_later(io, probe_start(&probe), path);
    run_until_done(io, &probe);
    cr_assert_eq(probe.result, -ENOENT);
    io_close(io, number);
    cr_assert_eq(rmdir(directory), 0);
    io_destroy(io);
}

Test(io, what_the_kernel_leaves_to_a_worker_shows_as_one)
{
    struct io *io = world();
    cr_assert_eq(io_kernel_workers(io), 0);
    struct probe probe;
    int file = scratch_file();
    io_sync(io, probe_start(&probe), file); /* which no kernel begins without waiting */
    run_until_done(io, &probe);
    cr_assert_geq(io_kernel_workers(io), 1);
    io_close(io, file);
    io_destroy(io);
}

Test(io, a_ring_made_by_one_thread_runs_in_the_one_that_adopts_it)
{
    struct io *io = world_made(&(struct io_options){ .ring_entries = 8 });
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, adopt_and_sync, io), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    io_destroy(io);
}

/* ---- Files ------------------------------------------------------------------------------------------------------- */

Test(io, a_durable_write_reads_back_at_its_place)
{
    struct io *io = world();
    int file = scratch_file();
    uint8_t *blocks = blocks_make(4, 'b');
    register_blocks(io, blocks, 4);
    memset(blocks + PAGE_BYTES, 'w', 2 * PAGE_BYTES);
    struct probe probe;
    io_write_fixed(io, probe_start(&probe), file, 0, blocks + PAGE_BYTES, 2 * PAGE_BYTES, 3 * PAGE_BYTES, true);
    cr_assert_eq(probe.completions, 0, "nothing calls back from inside a submit");
    run_until_done(io, &probe);
    cr_assert_eq(probe.result, 2 * PAGE_BYTES);
    cr_assert_eq(io_size_of(io, file), 5 * PAGE_BYTES);

    uint8_t *read = blocks_make(5, 'r');
    io_read(io, probe_start(&probe), file, read, 5 * PAGE_BYTES, 0);
    run_until_done(io, &probe);
    cr_assert_eq(probe.result, 5 * PAGE_BYTES);
    cr_assert_eq(read[3 * PAGE_BYTES - 1], 0);
    cr_assert_eq(memcmp(read + 3 * PAGE_BYTES, blocks + PAGE_BYTES, 2 * PAGE_BYTES), 0);
    io_close(io, file);
    io_destroy(io);
    free(blocks);
    free(read);
}

/* A file system that forgets is for the crash tests; here, that the kernel is asked at all. */
Test(io, a_durable_write_and_no_other_asks_the_kernel_for_durability)
{
    struct io *io = world();
    uint8_t *blocks = blocks_make(1, 'd');
    register_blocks(io, blocks, 1);
    for (int durable = 0; durable <= 1; durable++) {
        struct probe probe;
        const struct io_uring_sqe *entry = &io->ring.sq.sqes[io->ring.sq.sqe_tail & io->ring.sq.ring_mask];
        io_write_fixed(io, probe_start(&probe), -1, 0, blocks, PAGE_BYTES, 0, durable);
        cr_assert_eq(entry->opcode, IORING_OP_WRITE_FIXED);
        cr_assert_eq(entry->rw_flags, durable ? RWF_DSYNC : 0);
        run_until_done(io, &probe);
        cr_assert_eq(probe.result, -EBADF);
    }
    io_destroy(io);
    free(blocks);
}

/* ---- Registered files ------------------------------------------------------------------------------------------------- */

static struct io *world_of_files(uint32_t files_max)
{
    return world_of(&(struct io_options){ .ring_entries = 8, .fixed_buffers_count = 1, .fixed_files_max = files_max });
}

static void write_and_look(struct io *io, int file, const uint8_t *blocks)
{
    struct probe probe;
    uint8_t back[PAGE_BYTES];
    io_write_fixed(io, probe_start(&probe), file, 0, blocks, PAGE_BYTES, 0, true);
    run_until_done(io, &probe);
    cr_assert_eq(probe.result, (int32_t)PAGE_BYTES);
    cr_assert_eq(fcntl(file, F_SETFL, 0), 0);
    cr_assert_eq(io_read_at(io, file, back, sizeof(back), 0), (ssize_t)sizeof(back));
    cr_assert_arr_eq(back, blocks, sizeof(back));
}

Test(io, a_registered_file_is_written_read_and_synced_like_any_other)
{
    struct io *io = world_of_files(2);
    uint8_t *blocks = blocks_make(1, 'r');
    register_blocks(io, blocks, 1);
    int first = scratch_file();
    int second = scratch_file();
    cr_assert_eq(io_file_register(io, first), 0);
    cr_assert_eq(io_file_register(io, second), 0);
    cr_assert(io_file_is_registered(io, second));
    write_and_look(io, second, blocks);
    struct probe probe;
    uint8_t back[PAGE_BYTES] = { 0 };
    io_read(io, probe_start(&probe), second, back, sizeof(back), 0);
    run_until_done(io, &probe);
    cr_assert_eq(probe.result, (int32_t)sizeof(back));
    cr_assert_eq(back[17], 'r');
    io_sync(io, probe_start(&probe), second);
    run_until_done(io, &probe);
    cr_assert_eq(probe.result, 0);
    cr_assert_eq(io_size_of(io, first), 0); /* nothing went to the other one */
    io_file_unregister(io, first);
    io_file_unregister(io, second);
    io_close(io, first);
    io_close(io, second);
    io_destroy(io);
}

Test(io, a_file_that_finds_no_slot_works_as_well)
{
    struct io *io = world_of_files(1);
    uint8_t *blocks = blocks_make(1, 's');
    register_blocks(io, blocks, 1);
    int first = scratch_file();
    int second = scratch_file();
    cr_assert_eq(io_file_register(io, first), 0);
    cr_assert_eq(io_file_register(io, second), -ENOSPC);
    write_and_look(io, second, blocks);
    io_file_unregister(io, first);
    cr_assert_eq(io_file_register(io, second), 0); /* the slot is free again */
    write_and_look(io, second, blocks);
    io_file_unregister(io, second);
    io_close(io, first);
    io_close(io, second);
    io_destroy(io);
}

Test(io, a_number_that_comes_again_does_not_stand_for_the_file_that_had_it)
{
    struct io *io = world_of_files(1);
    uint8_t *blocks = blocks_make(1, 't');
    register_blocks(io, blocks, 1);
    int first = scratch_file();
    cr_assert_eq(io_file_register(io, first), 0);
    io_file_unregister(io, first);
    io_close(io, first);
    int second = scratch_file();
    cr_assert_eq(second, first);
    write_and_look(io, second, blocks);
    io_close(io, second);
    io_destroy(io);
}

Test(io, closing_a_registered_file_breaks_the_contract, .signal = SIGABRT)
{
    struct io *io = world_of_files(1);
    int file = scratch_file();
    cr_assert_eq(io_file_register(io, file), 0);
    io_close(io, file);
}

Test(io, a_write_that_is_not_durable_may_be_of_any_size_and_is_made_so_by_a_sync)
{
    struct io *io = world();
    int file = scratch_file();
    cr_assert_eq(fcntl(file, F_SETFL, 0), 0); /* through the page cache */
    uint8_t *blocks = blocks_make(1, 'n');
    register_blocks(io, blocks, 1);
    struct probe written;
    struct probe synced;
    io_write_fixed(io, probe_start(&written), file, 0, blocks + 1, 77, 5, false);
    run_until_done(io, &written);
    io_sync(io, probe_start(&synced), file);
    run_until_done(io, &synced);
    cr_assert_eq(written.result, 77);
    cr_assert_eq(synced.result, 0);
    cr_assert_eq(io_size_of(io, file), 82);
    io_close(io, file);
    io_destroy(io);
    free(blocks);
}

Test(io, an_error_of_a_write_is_its_result)
{
    struct io *io = world();
    int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    uint8_t *blocks = blocks_make(1, 'e');
    register_blocks(io, blocks, 1);
    struct probe probe;
    io_write_fixed(io, probe_start(&probe), file, 0, blocks, PAGE_BYTES, 0, true);
    run_until_done(io, &probe);
    cr_assert_eq(probe.result, -EBADF);
    io_close(io, file);
    io_destroy(io);
    free(blocks);
}

Test(io, a_write_that_the_file_size_limit_cuts_completes_short)
{
    struct io *io = world();
    int file = scratch_file();
    uint8_t *blocks = blocks_make(2, 's');
    register_blocks(io, blocks, 2);
    (void)signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ .rlim_cur = PAGE_BYTES, .rlim_max = RLIM_INFINITY }), 0);
    struct probe probe;
    io_write_fixed(io, probe_start(&probe), file, 0, blocks, 2 * PAGE_BYTES, 0, true);
    run_until_done(io, &probe);
    cr_assert_eq(probe.result, PAGE_BYTES);
    io_close(io, file);
    io_destroy(io);
    free(blocks);
}

static void write_outside(size_t begin, uint32_t size_bytes, uint64_t offset)
{
    struct io *io = world();
    uint8_t *blocks = blocks_make(4, 'o');
    register_blocks(io, blocks, 2); /* the other two are nobody's business */
    struct probe probe;
    io_write_fixed(io, probe_start(&probe), 0, 0, blocks + begin, size_bytes, offset, true);
}

Test(io, a_write_beyond_its_buffer_breaks_the_contract, .signal = SIGABRT)
{
    write_outside(PAGE_BYTES, PAGE_BYTES + IO_SECTOR_SIZE, 0);
}

Test(io, a_write_behind_its_buffer_breaks_the_contract, .signal = SIGABRT)
{
    write_outside(3 * PAGE_BYTES, IO_SECTOR_SIZE, 0);
}

Test(io, a_durable_write_of_half_a_sector_breaks_the_contract, .signal = SIGABRT)
{
    write_outside(0, IO_SECTOR_SIZE / 2, 0);
}

Test(io, a_durable_write_between_two_sectors_breaks_the_contract, .signal = SIGABRT)
{
    write_outside(0, IO_SECTOR_SIZE, IO_SECTOR_SIZE / 2);
}

Test(io, a_request_armed_twice_breaks_the_contract, .signal = SIGABRT)
{
    struct io *io = world();
    struct probe probe;
    io_sync(io, probe_start(&probe), 0);
    io_sync(io, &probe.request, 0);
}

/* ---- Receiving --------------------------------------------------------------------------------------------------- */

Test(io, one_arming_receives_again_and_again_until_the_end_of_the_stream)
{
    struct io *io = world();
    int pair[2];
    socket_pair(pair);
    struct probe probe;
    io_recv(io, probe_start(&probe), pair[0]);
    for (int i = 1; i <= 20; i++) { /* five times as often as there are buffers */
        char letter = (char)('a' + i - 1);
        send_all(pair[1], &letter, 1);
        run_until(io, &probe, i);
        cr_assert_eq(probe.result, 1);
        cr_assert(probe.more);
        probe_return_buffers(io, &probe);
    }
    cr_assert_eq(close(pair[1]), 0);
    run_until_done(io, &probe);
    cr_assert_eq(probe.result, 0);
    cr_assert_eq(memcmp(probe.text, "abcdefghijklmnopqrst", 20), 0);
    io_close(io, pair[0]);
    io_destroy(io);
}

Test(io, a_receive_without_buffers_ends_and_goes_on_once_some_are_back)
{
    struct io *io = world();
    int pair[2];
    char sent[100];
    for (size_t i = 0; i < sizeof(sent); i++) {
        sent[i] = (char)i;
    }
    socket_pair(pair);
    struct probe first;
    io_recv(io, probe_start(&first), pair[0]);
    send_all(pair[1], sent, sizeof(sent));
    run_until_done(io, &first);
    cr_assert_eq(first.result, -ENOBUFS);
    cr_assert_eq(first.buffers_count, 4);
    cr_assert_eq(first.text_size, 4 * 16);

    probe_return_buffers(io, &first);
    struct probe second;
    io_recv(io, probe_start(&second), pair[0]);
    run_until(io, &second, 3);
    cr_assert_eq(first.text_size + second.text_size, sizeof(sent));
    cr_assert_eq(memcmp(first.text, sent, first.text_size), 0);
    cr_assert_eq(memcmp(second.text, sent + first.text_size, second.text_size), 0);
    io_cancel(io, &second.request);
    run_until_done(io, &second);
    io_close(io, pair[0]);
    io_close(io, pair[1]);
    io_destroy(io);
}

Test(io, a_buffer_returned_twice_breaks_the_contract, .signal = SIGABRT)
{
    struct io *io = world();
    int pair[2];
    socket_pair(pair);
    struct probe probe;
    io_recv(io, probe_start(&probe), pair[0]);
    send_all(pair[1], "x", 1);
    run_until(io, &probe, 1);
    io_buffer_return(io, probe.buffers[0]);
    io_buffer_return(io, probe.buffers[0]);
}

Test(io, one_receive_brings_what_is_there)
{
    struct io *io = world();
    int pair[2];
    socket_pair(pair);
    char bytes[8] = { 0 };
    struct probe probe;
    io_recv_once(io, probe_start(&probe), pair[0], bytes, sizeof(bytes));
    send_all(pair[1], "abc", 3);
    run_until_done(io, &probe);
    cr_assert_eq(probe.result, 3);
    cr_assert_str_eq(bytes, "abc");
    cr_assert_eq(probe.buffers_count, 0);
    io_close(io, pair[0]);
    io_close(io, pair[1]);
    io_destroy(io);
}

/* ---- Sending ----------------------------------------------------------------------------------------------------- */

Test(io, parts_arrive_one_after_the_other)
{
    struct io *io = world();
    int pair[2];
    socket_pair(pair);
    struct iovec parts[] = { { "to", 2 }, { NULL, 0 }, { "ge", 2 }, { "ther", 4 } };
    struct probe probe;
    io_send(io, probe_start(&probe), pair[0], parts, ARRAY_COUNT(parts));
    run_until_done(io, &probe);
    cr_assert_eq(probe.result, 8);
    io_send(io, probe_start(&probe), pair[0], &(struct iovec){ .iov_base = "!", .iov_len = 1 }, 1);
    run_until_done(io, &probe);
    char read[16] = { 0 };
    cr_assert_eq(recv(pair[1], read, sizeof(read), MSG_DONTWAIT), 9);
    cr_assert_str_eq(read, "together!");
    io_close(io, pair[0]);
    io_close(io, pair[1]);
    io_destroy(io);
}

/* What a socket buffer surely does not hold. */
#define LARGE_SIZE (4 * MIB)

static void send_to_a_slow_reader(uint32_t parts_count)
{
    struct io *io = world();
    int pair[2];
    socket_pair(pair);
    uint8_t *sent = blocks_make(LARGE_SIZE / PAGE_BYTES, 'l');
    uint8_t *got = blocks_make(LARGE_SIZE / PAGE_BYTES, 0);
    size_t part_size = LARGE_SIZE / parts_count;
    struct iovec parts[2] = { { sent, part_size }, { sent + part_size, part_size } };
    sent[LARGE_SIZE - 1] = 'e';
    struct probe probe;
    io_send(io, probe_start(&probe), pair[0], parts, parts_count);
    run_briefly(io);
    cr_assert_eq(probe.completions, 0, "it cannot have sent it all yet");
    size_t received = 0;
    for (int turn = 0; received < LARGE_SIZE && turn < 100000; turn++) {
        ssize_t now = recv(pair[1], got + received, LARGE_SIZE - received, MSG_DONTWAIT);
        received += now > 0 ? (size_t)now : 0;
        cr_assert_eq(io_run(io, 0), 0);
    }
    run_until_done(io, &probe);
    cr_assert_eq(probe.completions, 1);
    cr_assert_eq(probe.result, LARGE_SIZE);
    cr_assert_eq(received, LARGE_SIZE);
    cr_assert_eq(memcmp(sent, got, LARGE_SIZE), 0);
    io_close(io, pair[0]);
    io_close(io, pair[1]);
    io_destroy(io);
    free(sent);
    free(got);
}

Test(io, a_slow_reader_gets_all_of_one_part_with_one_completion)
{
    send_to_a_slow_reader(1);
}

Test(io, a_slow_reader_gets_all_of_two_parts_with_one_completion)
{
    send_to_a_slow_reader(2);
}

Test(io, a_send_cancelled_half_way_completes_short)
{
    struct io *io = world();
    int pair[2];
    socket_pair(pair);
    uint8_t *sent = blocks_make(LARGE_SIZE / PAGE_BYTES, 'l');
    struct probe probe;
    io_send(io, probe_start(&probe), pair[0], &(struct iovec){ .iov_base = sent, .iov_len = LARGE_SIZE }, 1);
    run_briefly(io);
    io_cancel(io, &probe.request);
    run_until_done(io, &probe);
    cr_assert_gt(probe.result, 0);
    cr_assert_lt(probe.result, (int32_t)LARGE_SIZE);
    io_close(io, pair[0]);
    io_close(io, pair[1]);
    io_destroy(io);
    free(sent);
}

Test(io, a_send_to_nobody_answers_broken_pipe_and_raises_no_signal)
{
    struct io *io = world();
    int pair[2];
    socket_pair(pair);
    cr_assert_eq(close(pair[1]), 0);
    struct iovec parts[] = { { "a", 1 }, { "b", 1 } };
    for (uint32_t count = 1; count <= 2; count++) {
        struct probe probe;
        io_send(io, probe_start(&probe), pair[0], parts, count);
        run_until_done(io, &probe);
        cr_assert_eq(probe.result, -EPIPE);
    }
    io_close(io, pair[0]);
    io_destroy(io);
}

/* ---- Accepting --------------------------------------------------------------------------------------------------- */

static int listen_on_loopback(struct io *io, struct io_address *bound)
{
    int listening = io_listen(io, &(struct io_address){ .host = "127.0.0.1" }, 16, bound);
    cr_assert_geq(listening, 0, "io_listen: %d", listening);
    return listening;
}

static int connect_to(const struct io_address *address)
{
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in where = {
        .sin_family = AF_INET,
        .sin_port = htons(address->port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    cr_assert_eq(connect(client, (struct sockaddr *)&where, sizeof(where)), 0, "connect: %s", strerror(errno));
    return client;
}

Test(io, one_arming_accepts_every_connection_without_delay_and_without_heirs)
{
    struct io *io = world();
    struct io_address bound;
    int listening = listen_on_loopback(io, &bound);
    struct probe probe;
    io_accept(io, probe_start(&probe), listening);
    for (int i = 1; i <= 3; i++) {
        int client = connect_to(&bound);
        run_until(io, &probe, i);
        cr_assert_geq(probe.result, 0, "accept: %d", probe.result);
        cr_assert(probe.more);
        int no_delay = 0;
        socklen_t size = sizeof(no_delay);
        cr_assert_eq(getsockopt(probe.result, IPPROTO_TCP, TCP_NODELAY, &no_delay, &size), 0);
        cr_assert_neq(no_delay, 0);
        cr_assert_eq(fcntl(probe.result, F_GETFD), FD_CLOEXEC);
        io_close(io, probe.result);
        io_close(io, client);
    }
    io_cancel(io, &probe.request);
    run_until_done(io, &probe);
    cr_assert_eq(probe.result, -ECANCELED);
    io_close(io, listening);
    io_destroy(io);
}

Test(io, an_accept_without_file_numbers_left_ends_with_the_error)
{
    struct io *io = world();
    struct io_address bound;
    int listening = listen_on_loopback(io, &bound);
    int client = connect_to(&bound);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ .rlim_cur = 3, .rlim_max = 1024 }), 0);
    struct probe probe;
    io_accept(io, probe_start(&probe), listening);
    run_until_done(io, &probe);
    cr_assert_eq(probe.result, -EMFILE);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ .rlim_cur = 1024, .rlim_max = 1024 }), 0);
    io_accept(io, probe_start(&probe), listening);
    run_until(io, &probe, 1);
    cr_assert_geq(probe.result, 0);
    io_close(io, probe.result);
    io_close(io, client);
    io_close(io, listening);
    io_destroy(io);
}

Test(io, a_socket_that_is_shut_down_ends_its_receive)
{
    struct io *io = world();
    struct io_address bound;
    int listening = listen_on_loopback(io, &bound);
    int client = connect_to(&bound);
    struct probe accepted;
    struct probe received;
    io_accept(io, probe_start(&accepted), listening);
    run_until(io, &accepted, 1);
    io_recv(io, probe_start(&received), accepted.result);
    run_briefly(io);
    cr_assert(received.more);
    io_shutdown(io, accepted.result);
    run_until_done(io, &received);
    cr_assert_eq(received.result, 0);
    io_close(io, accepted.result);
    io_close(io, client);
    io_close(io, listening);
    io_destroy(io);
}

Test(io, a_socket_that_will_send_no_more_still_receives)
{
    struct io *io = world();
    int pair[2];
    socket_pair(pair);
    struct probe probe;
    io_recv(io, probe_start(&probe), pair[0]);
    io_shutdown_send(io, pair[0]);
    char byte;
    cr_assert_eq(recv(pair[1], &byte, 1, 0), 0);
    send_all(pair[1], "x", 1);
    run_until(io, &probe, 1);
    cr_assert_eq(probe.result, 1);
    io_cancel(io, &probe.request);
    run_until_done(io, &probe);
    io_close(io, pair[0]);
    io_close(io, pair[1]);
    io_destroy(io);
}

/* ---- Cancelling and closing -------------------------------------------------------------------------------------- */

Test(io, a_cancelled_request_says_so_and_nothing_else_does)
{
    struct io *io = world();
    int pair[2];
    socket_pair(pair);
    char byte;
    struct probe many;
    struct probe once;
    struct probe other;
    io_recv(io, probe_start(&many), pair[0]);
    io_recv_once(io, probe_start(&once), pair[1], &byte, 1);
    io_recv_once(io, probe_start(&other), pair[1], &byte, 1);
    run_briefly(io);
    io_cancel(io, &many.request);
    io_cancel(io, &once.request);
    run_until_done(io, &many);
    run_until_done(io, &once);
    cr_assert_eq(many.result, -ECANCELED);
    cr_assert_eq(once.result, -ECANCELED);
    cr_assert_eq(other.completions, 0);
    io_cancel(io, &other.request);
    run_until_done(io, &other);
    io_close(io, pair[0]);
    io_close(io, pair[1]);
    io_destroy(io);
}

Test(io, a_request_cancelled_before_it_was_submitted_is_cancelled)
{
    struct io *io = world();
    int pair[2];
    socket_pair(pair);
    struct probe probe;
    io_recv(io, probe_start(&probe), pair[0]);
    io_cancel(io, &probe.request);
    run_until_done(io, &probe);
    cr_assert_eq(probe.result, -ECANCELED);
    io_close(io, pair[0]);
    io_close(io, pair[1]);
    io_destroy(io);
}

Test(io, a_cancel_that_comes_too_late_does_not_hit_the_next_use_of_the_request)
{
    struct io *io = world();
    int pair[2];
    socket_pair(pair);
    char bytes[2] = { 0 };
    struct probe probe;
    for (int i = 0; i < 20; i++) {
        io_recv_once(io, probe_start(&probe), pair[0], bytes, 1);
        cr_assert_eq(io_run(io, 0), 0);
        send_all(pair[1], "1", 1);
        io_cancel(io, &probe.request); /* the kernel has seen the byte by now, the caller not yet */
        run_until_done(io, &probe);
        bool missed = probe.result == -ECANCELED;
        io_recv_once(io, probe_start(&probe), pair[0], bytes, 1);
        cr_assert_eq(io_run(io, 0), 0);
        if (!missed) {
            send_all(pair[1], "2", 1);
        }
        run_until_done(io, &probe);
        cr_assert_eq(probe.result, 1);
        cr_assert_eq(bytes[0], missed ? '1' : '2');
    }
    io_close(io, pair[0]);
    io_close(io, pair[1]);
    io_destroy(io);
}

Test(io, a_cancel_of_an_idle_request_does_nothing)
{
    struct io *io = world();
    struct probe probe;
    (void)probe_start(&probe);
    io_cancel(io, &probe.request);
    assert_undisturbed(io);
    cr_assert_eq(probe.completions, 0);
    io_destroy(io);
}

Test(io, a_file_closed_later_is_closed_by_the_next_turn)
{
    struct io *io = world();
    int pair[2];
    socket_pair(pair);
    io_close_later(io, pair[0]);
    cr_assert_neq(fcntl(pair[0], F_GETFD), -1);
    assert_undisturbed(io);
    cr_assert_eq(fcntl(pair[0], F_GETFD), -1);
    io_close(io, pair[1]);
    io_destroy(io);
}

Test(io, closing_a_closed_file_later_breaks_the_contract, .signal = SIGABRT)
{
    struct io *io = world();
    io_close_later(io, 1000);
    run_briefly(io);
}

/* ---- The turn ---------------------------------------------------------------------------------------------------- */

Test(io, a_turn_without_waiting_returns_at_once)
{
    struct io *io = world();
    uint64_t begin_ns = io_now_ns(io);
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(io_run(io, 0), 0);
        cr_assert_eq(io_run(io, begin_ns), 0); /* long past */
    }
    cr_assert_lt(io_now_ns(io) - begin_ns, NS_PER_SECOND);
    io_destroy(io);
}

Test(io, a_turn_waits_until_its_time_and_not_much_longer)
{
    struct io *io = world();
    int pair[2];
    socket_pair(pair);
    struct probe probe;
    io_recv(io, probe_start(&probe), pair[0]);
    for (int i = 0; i < 3; i++) { /* the first one also submits */
        uint64_t until_ns = io_now_ns(io) + 30 * NS_PER_MS;
        cr_assert_eq(io_run(io, until_ns), 0);
        cr_assert_geq(io_now_ns(io) + NS_PER_MS, until_ns);
        cr_assert_lt(io_now_ns(io), until_ns + NS_PER_SECOND);
    }
    cr_assert_eq(probe.completions, 0);
    io_close(io, pair[0]);
    io_close(io, pair[1]);
    io_destroy(io);
}

static void on_alarm(int number)
{
    (void)number;
}

Test(io, a_signal_ends_the_wait_without_an_error)
{
    struct io *io = world();
    const struct sigaction action = { .sa_handler = on_alarm };
    cr_assert_eq(sigaction(SIGALRM, &action, NULL), 0);
    const struct itimerval soon = { .it_value.tv_usec = 20000 };
    cr_assert_eq(setitimer(ITIMER_REAL, &soon, NULL), 0);
    cr_assert_eq(io_run(io, NEVER_NS), 0);
    cr_assert_eq(setitimer(ITIMER_REAL, &soon, NULL), 0);
    uint64_t begin_ns = io_now_ns(io);
    cr_assert_eq(io_run(io, begin_ns + PATIENCE_NS), 0);
    cr_assert_lt(io_now_ns(io) - begin_ns, PATIENCE_NS / 2);
    io_destroy(io);
}

#define CROWD 200

/* Far more requests than the ring of 8 has submission entries (8) or completion entries (32). */
Test(io, more_requests_than_the_queues_hold_all_complete_once)
{
    struct io *io = world();
    int file = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    static struct probe probes[CROWD];
    static uint8_t bytes[CROWD];
    memset(bytes, 1, sizeof(bytes));
    for (int i = 0; i < CROWD; i++) {
        io_read(io, probe_start(&probes[i]), file, &bytes[i], 1, 0);
    }
    for (int i = 0; i < CROWD; i++) {
        run_until_done(io, &probes[i]);
    }
    run_briefly(io);
    for (int i = 0; i < CROWD; i++) {
        cr_assert_eq(probes[i].completions, 1);
        cr_assert_eq(probes[i].result, 1);
        cr_assert_eq(bytes[i], 0);
    }
    io_close(io, file);
    io_destroy(io);
}

struct relay {
    struct io_request request;
    struct io *io;
    int file;
    int left;
    char byte;
};

static void relay_done(struct io_request *request, const struct io_completion *completion)
{
    struct relay *relay = request->context;
    cr_assert_eq(completion->result, 1);
    cr_assert(!completion->more);
    if (--relay->left > 0) {
        io_read(relay->io, request, relay->file, &relay->byte, 1, 0);
    }
}

Test(io, a_request_can_be_armed_again_from_its_own_completion)
{
    struct io *io = world();
    int file = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    static struct relay relays[20]; /* more than fit the submission queue, so it is submitted from within `done` */
    int left = 0;
    for (size_t i = 0; i < ARRAY_COUNT(relays); i++) {
        relays[i] = (struct relay){ .io = io, .file = file, .left = 50, .byte = 1 };
        relays[i].request = (struct io_request){ .done = relay_done, .context = &relays[i] };
        io_read(io, &relays[i].request, file, &relays[i].byte, 1, 0);
        left += relays[i].left;
    }
    for (int turn = 0; left > 0 && turn < 10000; turn++) {
        cr_assert_eq(io_run(io, io_now_ns(io) + NS_PER_SECOND), 0);
        left = 0;
        for (size_t i = 0; i < ARRAY_COUNT(relays); i++) {
            left += relays[i].left;
        }
    }
    cr_assert_eq(left, 0);
    io_close(io, file);
    io_destroy(io);
}

static void run_within(struct io_request *request, const struct io_completion *completion)
{
    (void)completion;
    (void)!io_run(request->context, 0);
}

Test(io, a_turn_within_a_turn_breaks_the_contract, .signal = SIGABRT)
{
    struct io *io = world();
    struct io_request request = { .done = run_within, .context = io };
    io_sync(io, &request, 0);
    (void)!io_run(io, NEVER_NS);
}

static void sync_often(struct io *io)
{
    static struct probe probes[CROWD];
    for (int i = 0; i < CROWD; i++) {
        io_sync(io, probe_start(&probes[i]), 0);
    }
}

Test(io, a_ring_that_the_kernel_refuses_is_unusable_for_good)
{
    struct io *io = world();
    forbid(__NR_io_uring_enter, EOPNOTSUPP);
    struct probe probe;
    io_sync(io, probe_start(&probe), 0);
    cr_assert_eq(io_run(io, 0), -EOPNOTSUPP);
    sync_often(io); /* goes nowhere, but harms nobody */
    cr_assert_eq(io_run(io, NEVER_NS), -EOPNOTSUPP);
    io_destroy(io);
}

Test(io, a_full_queue_that_the_kernel_refuses_makes_the_ring_unusable)
{
    struct io *io = world();
    forbid(__NR_io_uring_enter, EOPNOTSUPP);
    sync_often(io);
    cr_assert_eq(io_run(io, 0), -EOPNOTSUPP);
    io_destroy(io);
}

Test(io, a_kernel_short_of_memory_gets_a_second_to_recover)
{
    struct io *io = world();
    forbid(__NR_io_uring_enter, EAGAIN);
    struct probe probe;
    io_sync(io, probe_start(&probe), 0);
    cr_assert_eq(io_run(io, 0), 0);
    cr_assert_eq(io_run(io, NEVER_NS), 0);
    uint64_t begin_ns = io_now_ns(io);
    sync_often(io);
    cr_assert_geq(io_now_ns(io) - begin_ns, NS_PER_SECOND);
    cr_assert_eq(io_run(io, 0), -EAGAIN);
    io_destroy(io);
}

/* ---- The doorbell ------------------------------------------------------------------------------------------------ */

static struct io *other_world(void)
{
    return world_of(&(struct io_options){ .ring_entries = 8 });
}

Test(io, a_bell_rung_beforehand_keeps_the_next_turn_from_waiting)
{
    struct io *from = world();
    struct io *to = other_world();
    io_doorbell(from, to);
    io_doorbell(from, to);
    cr_assert_eq(io_run(from, 0), 0);
    uint64_t begin_ns = io_now_ns(to);
    cr_assert_eq(io_run(to, begin_ns + PATIENCE_NS), 0);
    cr_assert_lt(io_now_ns(to) - begin_ns, PATIENCE_NS / 2);

    assert_undisturbed(from);
    io_destroy(from);
    io_destroy(to);
}

Test(io, a_bell_for_a_world_that_nobody_has_adopted_is_lost_without_harm)
{
    struct io *from = world();
    struct io *to = world_made(&(struct io_options){ .ring_entries = 8 });
    io_doorbell(from, to);
    run_briefly(from);
    assert_undisturbed(from); /* it does not go on ringing */
    cr_assert_eq(io_adopt(to), 0);
    cr_assert_eq(io_run(to, 0), 0);
    io_doorbell(from, to);
    cr_assert_eq(io_run(from, 0), 0);
    uint64_t begin_ns = io_now_ns(to);
    cr_assert_eq(io_run(to, begin_ns + PATIENCE_NS), 0);
    cr_assert_lt(io_now_ns(to) - begin_ns, PATIENCE_NS / 2);
    io_destroy(from);
    io_destroy(to);
}

#define ROUNDS 2000

/* Two threads that pass a number back and forth; each waits for its turn with nothing but the bell to wake it. */
struct table {
    struct io *players[2];
    atomic_int rounds; /* even: the first player's move */
    atomic_int late;   /* waits that only the patience ended */
};

struct player {
    struct table *table;
    int seat;
};

static void *play(void *context)
{
    const struct player *player = context;
    struct table *table = player->table;
    struct io *own = table->players[player->seat];
    struct io *other = table->players[1 - player->seat];
    cr_assert_eq(io_adopt(own), 0);
    for (int turn = 0; atomic_load(&table->rounds) < ROUNDS && atomic_load(&table->late) == 0; turn++) {
        uint64_t until_ns = io_now_ns(own) + PATIENCE_NS;
        bool mine = atomic_load(&table->rounds) % 2 == player->seat;
        if (mine) {
            atomic_fetch_add(&table->rounds, 1);
            io_doorbell(own, other);
        }
        if (io_run(own, mine ? 0 : until_ns) != 0 || io_now_ns(own) >= until_ns) {
            atomic_fetch_add(&table->late, 1);
        }
    }
    io_doorbell(own, other);
    (void)!io_run(own, 0);
    return NULL;
}

Test(io, a_bell_from_another_thread_wakes_the_one_that_waits, .timeout = 120)
{
    struct table table = { .players = { world_made(&(struct io_options){ .ring_entries = 8 }),
                                        world_made(&(struct io_options){ .ring_entries = 8 }) } };
    struct player players[2] = { { &table, 0 }, { &table, 1 } };
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, play, &players[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    }
    /* A bell rung before the other thread had adopted its world is lost, but then that one looks before it waits. */
    cr_assert_eq(atomic_load(&table.late), 0);
    cr_assert_geq(atomic_load(&table.rounds), ROUNDS);
    io_destroy(table.players[0]);
    io_destroy(table.players[1]);
}
