/* innkeepd: the server's command line, its ready line, its signals. */
#include "engine/engine.h"
#include "net/server/server.h"
#include "tools/quantity.h"

#include <argp.h>
#include <arpa/inet.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define EXIT_USAGE 2

const char *argp_program_version = "innkeepd " INNKEEP_VERSION;

static const char description[] =
    "Innkeep's server: keeps room-night inventory in memory, logs every command, and answers only when the answer is "
    "on "
    "disk.\v"
    "On a new data directory the limits follow from --memory (of all shards; default 1G) unless they are named; they "
    "are "
    "kept in the log, and a later start may raise them. Sizes take K, M, G; durations ms, s, m, h, d.\n"
    "\n"
    "Example:\n"
    "  innkeepd --data /var/lib/innkeep --shards 2 --memory 4G\n"
    "\n"
    "When it is ready it prints one line on stdout:\n"
    "  innkeepd ready listen=127.0.0.1:7433 shards=2 lsn=1,1\n"
    "SIGTERM and SIGINT: takes no more work, completes what it accepted, takes a last snapshot, exits 0. A second one "
    "ends it at once; nothing acknowledged is lost by that, the next start only takes longer.\n"
    "Exit status: 0 stopped by a signal, 1 could not start or go on (stderr says why), 2 wrong usage.";

enum option_key {
    KEY_DATA = 'd',
    KEY_LISTEN = 'l',
    KEY_SHARDS = 's',
    KEY_MEMORY = 'm',
    KEY_PROPERTIES = 256,
    KEY_ROOM_TYPES,
    KEY_HORIZON,
    KEY_RESERVATIONS,
    KEY_OUTCOMES,
    KEY_LEASES,
    KEY_MAX_DEADLINE,
    KEY_KEEP_ENDED,
    KEY_SEGMENT_SIZE,
    KEY_FRAME_SIZE,
    KEY_DEPTH,
    KEY_SNAPSHOT_EVERY,
    KEY_SNAPSHOT_RATE,
    KEY_KEEP_LOG,
    KEY_CONNECTIONS,
    KEY_RECV_BUFFERS,
    KEY_ALARM_FACTOR,
    KEY_OVERLOAD_AFTER,
    KEY_HANDSHAKE_TIMEOUT,
    KEY_PARTIAL_TIMEOUT,
    KEY_STUCK_TIMEOUT,
    KEY_IDLE_TIMEOUT,
    KEY_DRAIN_TIMEOUT,
    KEY_MAX_CLOCK_JUMP,
    KEY_ACCEPT_CLOCK,
    KEY_UNSAFE,
    KEY_TEST_LEVEL,
};

static const struct argp_option options[] = {
    { "data", KEY_DATA, "DIR", 0, "Data directory; made if it is missing (required)", 0 },
    { "listen", KEY_LISTEN, "HOST:PORT", 0, "Address, or unix:PATH; port 0 picks one (127.0.0.1:7433)", 0 },
    { "shards", KEY_SHARDS, "N", 0, "Shards, fixed when the directory is made (one a core)", 0 },
    { "memory", KEY_MEMORY, "SIZE", 0, "Memory for the inventory of all shards (1G for a new directory)", 0 },
    { NULL, 0, NULL, 0, "Limits of each shard (derived from --memory):", 1 },
    { "properties", KEY_PROPERTIES, "N", 0, "Properties", 1 },
    { "room-types", KEY_ROOM_TYPES, "N", 0, "Room types of all its properties", 1 },
    { "horizon", KEY_HORIZON, "NIGHTS", 0, "Nights that can be sold, from the business date on (1000)", 1 },
    { "reservations", KEY_RESERVATIONS, "N", 0, "Reservations, ended ones that linger included", 1 },
    { "outcomes", KEY_OUTCOMES, "N", 0, "Outcomes kept under their keys until their deadlines", 1 },
    { "leases", KEY_LEASES, "N", 0, "Leased resources", 1 },
    { "max-deadline", KEY_MAX_DEADLINE, "TIME", 0, "How far ahead a command's deadline may lie (10m)", 1 },
    { "keep-ended", KEY_KEEP_ENDED, "TIME", 0, "How long ended reservations can be looked up (24h)", 1 },
    { NULL, 0, NULL, 0, "The log:", 2 },
    { "segment-size", KEY_SEGMENT_SIZE, "SIZE", 0, "Segment files, fixed when the directory is made (64M)", 2 },
    { "frame-size", KEY_FRAME_SIZE, "SIZE", 0, "The largest group commit (1M, or what may be pinned: ulimit -l)", 2 },
    { "depth", KEY_DEPTH, "N", 0, "Group commits on their way to the disk at once, 1 to 8 (4)", 2 },
    { "snapshot-every", KEY_SNAPSHOT_EVERY, "SIZE", 0,
      "Take a snapshot after so much log, but not before it has grown to the last one's size; and at the end. 0: never "
      "(512M)",
      2 },
    { "keep-log", KEY_KEEP_LOG, "SIZE|TIME", 0,
      "Keep the log, and a snapshot in front of it, for so many bytes (10G) or so much log time (7d), so that "
      "innkeep-wal can replay to any "
      "point in it (what a restart needs)",
      2 },
    { "snapshot-rate", KEY_SNAPSHOT_RATE, "SIZE", 0,
      "Write it at this speed a second while there is no hurry; 0: as fast as it goes (32M)", 2 },
    { "max-clock-jump", KEY_MAX_CLOCK_JUMP, "TIME", 0, "Refuse to start if the clock is further ahead of the log (24h)",
      2 },
    { "accept-clock", KEY_ACCEPT_CLOCK, NULL, 0, "Start although it is", 2 },
    { NULL, 0, NULL, 0, "Connections:", 3 },
    { "connections", KEY_CONNECTIONS, "N", 0, "Connections a shard (1024)", 3 },
    { "recv-buffers", KEY_RECV_BUFFERS, "N", 0, "Receive buffers of 32 KiB a shard, a power of two (512)", 3 },
    { "handshake-timeout", KEY_HANDSHAKE_TIMEOUT, "TIME", 0, "For a whole HELLO (5s)", 3 },
    { "partial-timeout", KEY_PARTIAL_TIMEOUT, "TIME", 0, "For the rest of half a message (10s)", 3 },
    { "stuck-timeout", KEY_STUCK_TIMEOUT, "TIME", 0, "For a client that does not read its answers (30s)", 3 },
    { "idle-timeout", KEY_IDLE_TIMEOUT, "TIME", 0, "For a client that asks nothing (0: none)", 3 },
    { "overload-after", KEY_OVERLOAD_AFTER, "TIME", 0, "A command that found no room this long is OVERLOADED (1s)", 3 },
    { "drain-timeout", KEY_DRAIN_TIMEOUT, "TIME", 0, "At shutdown, for clients that do not read (5s)", 3 },
    { "unsafe-listen-beyond-loopback", KEY_UNSAFE, NULL, 0,
      "Allow an address that others can reach, although there is no authentication yet", 3 },
    { "test-engine-level", KEY_TEST_LEVEL, "N", OPTION_HIDDEN,
      "Pretend to know engine levels up to N, which behave like the highest there is: for tests alone", 3 },
    { NULL, 0, NULL, 0, "The alarm:", 4 },
    { "alarm-factor", KEY_ALARM_FACTOR, "N", 0,
      "Alarm when p99 commit latency x N reaches the shortest live lease TTL (10)", 4 },
    { 0 },
};

struct arguments {
    struct server_options server;
    bool unsafe;
};

static void parse_number(struct argp_state *state, const char *name, const char *text, uint64_t least, uint64_t most,
                         uint32_t *number)
{
    uint64_t value;
    if (!quantity_parse_number(text, least, most, &value))
        argp_error(state, "--%s takes a whole number from %" PRIu64 " to %" PRIu64 ", not '%s'", name, least, most,
                   text);
    else
        *number = (uint32_t)value;
}

static void parse_duration(struct argp_state *state, const char *name, const char *text, uint64_t *ns)
{
    if (!quantity_parse_duration(text, ns))
        argp_error(state, "--%s takes a duration such as 500ms, 30s, 15m or 24h, not '%s'", name, text);
}

static void parse_size(struct argp_state *state, const char *name, const char *text, uint64_t least, uint64_t multiple,
                       uint64_t *bytes)
{
    uint64_t value;
    if (!quantity_parse_size(text, &value) || value < least || value % multiple != 0)
        argp_error(state,
                   "--%s takes a size such as 64M: at least %" PRIu64 " bytes, a multiple of %" PRIu64 ", not '%s'",
                   name, least, multiple, text);
    else
        *bytes = value;
}

/* A duration or a size; 10m is ten minutes, 10M are ten mebibytes. */
static void parse_keep_log(struct argp_state *state, const char *text, struct server_options *server)
{
    uint64_t value;
    server->keep_log_bytes = 0;
    server->keep_log_ns = 0;
    if (quantity_parse_duration(text, &value))
        server->keep_log_ns = value;
    else if (quantity_parse_size(text, &value))
        server->keep_log_bytes = value;
    else
        argp_error(state, "--keep-log takes a size such as 10G or a duration such as 7d, not '%s'", text);
}

/* HOST:PORT, [V6]:PORT or unix:PATH. */
static bool parse_address(const char *text, struct io_address *address)
{
    memset(address, 0, sizeof *address);
    if (strncmp(text, "unix:", 5) == 0) {
        address->local = true;
        size_t length = strlen(text + 5);
        if (length == 0 || length >= sizeof address->host)
            return false;
        memcpy(address->host, text + 5, length);
        return true;
    }
    const char *colon = strrchr(text, ':');
    uint64_t port;
    if (colon == NULL || !quantity_parse_number(colon + 1, 0, UINT16_MAX, &port))
        return false;
    const char *host = text;
    size_t length = (size_t)(colon - text);
    if (length >= 2 && host[0] == '[' && host[length - 1] == ']') {
        host++;
        length -= 2;
    }
    if (length == strlen("localhost") && strncmp(host, "localhost", length) == 0) {
        host = "127.0.0.1";
        length = strlen(host);
    }
    if (length == 0 || length >= sizeof address->host)
        return false;
    memcpy(address->host, host, length);
    address->port = (uint16_t)port;
    struct in6_addr any;
    return inet_pton(AF_INET, address->host, &any) == 1 || inet_pton(AF_INET6, address->host, &any) == 1;
}

static bool is_loopback(const struct io_address *address)
{
    struct in_addr four;
    struct in6_addr six;
    if (address->local)
        return true;
    if (inet_pton(AF_INET, address->host, &four) == 1)
        return ntohl(four.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, address->host, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

static bool parse_limit(int key, char *text, struct argp_state *state, struct engine_limits *limits)
{
    const uint64_t most = (1u << 30) - 1;
    switch (key) {
    case KEY_PROPERTIES:
        parse_number(state, "properties", text, 1, most, &limits->properties_max);
        return true;
    case KEY_ROOM_TYPES:
        parse_number(state, "room-types", text, 1, most, &limits->room_types_max);
        return true;
    case KEY_HORIZON:
        parse_number(state, "horizon", text, 1, NIGHTS_MAX, &limits->horizon_nights);
        return true;
    case KEY_RESERVATIONS:
        parse_number(state, "reservations", text, 1, most, &limits->reservations_max);
        return true;
    case KEY_OUTCOMES:
        parse_number(state, "outcomes", text, 1, most, &limits->outcomes_max);
        return true;
    case KEY_LEASES:
        parse_number(state, "leases", text, 1, most, &limits->leases_max);
        return true;
    case KEY_MAX_DEADLINE:
        parse_duration(state, "max-deadline", text, &limits->deadline_ahead_max_ns);
        return true;
    case KEY_KEEP_ENDED:
        parse_duration(state, "keep-ended", text, &limits->keep_ended_ns);
        return true;
    default:
        return false;
    }
}

static bool parse_timeout(int key, char *text, struct argp_state *state, struct server_options *server)
{
    switch (key) {
    case KEY_OVERLOAD_AFTER:
        parse_duration(state, "overload-after", text, &server->overload_after_ns);
        return true;
    case KEY_HANDSHAKE_TIMEOUT:
        parse_duration(state, "handshake-timeout", text, &server->handshake_timeout_ns);
        return true;
    case KEY_PARTIAL_TIMEOUT:
        parse_duration(state, "partial-timeout", text, &server->partial_timeout_ns);
        return true;
    case KEY_STUCK_TIMEOUT:
        parse_duration(state, "stuck-timeout", text, &server->stuck_timeout_ns);
        return true;
    case KEY_IDLE_TIMEOUT:
        parse_duration(state, "idle-timeout", text, &server->idle_timeout_ns);
        return true;
    case KEY_DRAIN_TIMEOUT:
        parse_duration(state, "drain-timeout", text, &server->drain_timeout_ns);
        return true;
    case KEY_MAX_CLOCK_JUMP:
        parse_duration(state, "max-clock-jump", text, &server->clock_jump_max_ns);
        return true;
    default:
        return false;
    }
}

static bool parse_log_and_network(int key, char *text, struct argp_state *state, struct server_options *server)
{
    uint64_t size;
    switch (key) {
    case KEY_SEGMENT_SIZE:
        parse_size(state, "segment-size", text, WAL_SEGMENT_SIZE_MIN, WAL_BLOCK_SIZE, &server->segment_size);
        return true;
    case KEY_FRAME_SIZE:
        size = server->frame_size_max;
        parse_size(state, "frame-size", text, WAL_BLOCK_SIZE, WAL_BLOCK_SIZE, &size);
        if (size < MESSAGE_SIZE_MAX || size > WAL_FRAME_SIZE_MAX)
            argp_error(state, "--frame-size lies between 128K and 1M");
        server->frame_size_max = (uint32_t)size;
        return true;
    case KEY_SNAPSHOT_EVERY:
        parse_size(state, "snapshot-every", text, 0, 1, &server->snapshot_every);
        return true;
    case KEY_KEEP_LOG:
        parse_keep_log(state, text, server);
        return true;
    case KEY_SNAPSHOT_RATE:
        parse_size(state, "snapshot-rate", text, 0, 1, &server->snapshot_rate);
        return true;
    case KEY_DEPTH:
        parse_number(state, "depth", text, 1, WAL_DEPTH_MAX, &server->depth_max);
        return true;
    case KEY_CONNECTIONS:
        parse_number(state, "connections", text, 1, 65536, &server->connections_max);
        return true;
    case KEY_RECV_BUFFERS:
        parse_number(state, "recv-buffers", text, 8, 32768, &server->recv_buffers_count);
        if ((server->recv_buffers_count & (server->recv_buffers_count - 1)) != 0)
            argp_error(state, "--recv-buffers is a power of two");
        return true;
    case KEY_TEST_LEVEL:
        parse_number(state, "test-engine-level", text, ENGINE_LEVEL, 1000, &server->level_max);
        return true;
    case KEY_ALARM_FACTOR:
        parse_number(state, "alarm-factor", text, 1, 1000000, &server->alarm_factor);
        return true;
    default:
        return false;
    }
}

static void check_whole(struct argp_state *state, const struct arguments *arguments)
{
    if (arguments->server.data_path == NULL)
        argp_error(state, "--data DIR is missing: where shall the log live?");
    if (!arguments->unsafe && !is_loopback(&arguments->server.listen))
        argp_error(
            state,
            "--listen %s can be reached by others, and there is no authentication yet: use a loopback address or "
            "unix:PATH, or add --unsafe-listen-beyond-loopback if everyone who can reach it may book",
            arguments->server.listen.host);
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    struct server_options *server = &arguments->server;
    switch (key) {
    case KEY_DATA:
        server->data_path = text;
        return 0;
    case KEY_LISTEN:
        if (!parse_address(text, &server->listen))
            argp_error(state, "--listen takes HOST:PORT with a numeric host, or unix:PATH, not '%s'", text);
        return 0;
    case KEY_SHARDS:
        parse_number(state, "shards", text, 1, WAL_SHARDS_MAX, &server->shards);
        return 0;
    case KEY_MEMORY:
        parse_size(state, "memory", text, 1, 1, &server->memory_bytes);
        return 0;
    case KEY_ACCEPT_CLOCK:
        server->clock_accepted = true;
        return 0;
    case KEY_UNSAFE:
        arguments->unsafe = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "what is '%s'? All arguments are options", text);
        return 0;
    case ARGP_KEY_END:
        check_whole(state, arguments);
        return 0;
    default:
        break;
    }
    bool known = parse_limit(key, text, state, &server->limits) || parse_timeout(key, text, state, server) ||
                 parse_log_and_network(key, text, state, server);
    return known ? 0 : ARGP_ERR_UNKNOWN;
}

/* What the memory buys, so that an operator sees it before the first guest does. */
static void print_memory(const struct server *server)
{
    const struct engine_limits *limits = server_limits(server);
    struct engine_memory memory = engine_memory_of(limits);
    fprintf(stderr,
            "innkeepd: memory bound %.1f MiB: each of %u shards takes %.1f MiB for %" PRIu32 " room types x %" PRIu32
            " nights, %.1f MiB for %" PRIu32 " reservations, %.1f MiB for keys and %" PRIu32
            " kept outcomes, %.1f MiB for %" PRIu32 " properties, %" PRIu32
            " leases and indexes, %.1f MiB for copies of pages while a snapshot is taken; the rest is log buffers and "
            "connections\n",
            (double)server_memory_bytes(server) / (double)MIB, server_shards(server),
            (double)memory.nights_bytes / (double)MIB, limits->room_types_max, limits->horizon_nights,
            (double)memory.reservations_bytes / (double)MIB, limits->reservations_max,
            (double)memory.keys_bytes / (double)MIB, limits->outcomes_max, (double)memory.other_bytes / (double)MIB,
            limits->properties_max, limits->leases_max, (double)memory.capture_bytes / (double)MIB);
}

static void print_ready(const struct server *server)
{
    printf("innkeepd ready listen=%s shards=%u lsn=", server_address(server), server_shards(server));
    for (uint32_t i = 0; i < server_shards(server); i++)
        printf("%s%" PRIu64, i == 0 ? "" : ",", server_lsn(server, i));
    printf("\n");
    fflush(stdout);
}

/* Blocks the signals that stop the server in this thread and all it starts; they are waited for instead. */
static sigset_t signals_block(void)
{
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &stop, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a write beyond ulimit -f is an error with a message, not the end without one */
    return stop;
}

static uint32_t cores_count(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores < 1 ? 1 : cores > WAL_SHARDS_MAX ? WAL_SHARDS_MAX : (uint32_t)cores;
}

/* What a shard pins beside its frames: zeros for new segments, header blocks, what snapshots are written from. */
#define PINNED_BESIDE_FRAMES (300 * KIB + WAL_SNAPSHOT_BUFFER_SIZE)

/* The largest group commit whose buffers the user may pin: 1 MiB for root, less for others under a usual limit of 8 MiB. */
static uint32_t frame_size_affordable(const struct server_options *server)
{
    struct rlimit limit;
    if (geteuid() == 0 || getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return WAL_FRAME_SIZE_MAX;
    uint64_t shards = server->shards != 0 ? server->shards : server->shards_default;
    uint64_t usable = limit.rlim_cur - limit.rlim_cur / 8;
    uint32_t size = WAL_FRAME_SIZE_MAX;
    while (size > MESSAGE_SIZE_MAX &&
           shards * ((server->depth_max + 1) * (uint64_t)size + PINNED_BESIDE_FRAMES) > usable)
        size /= 2;
    return size;
}

int main(int argc, char **argv)
{
    struct arguments arguments = { .server = server_options_default() };
    arguments.server.shards_default = cores_count();
    const struct argp argp = { .options = options, .parser = parse_option, .doc = description };
    argp_err_exit_status = EXIT_USAGE;
    arguments.server.frame_size_max = 0;
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    if (arguments.server.frame_size_max == 0)
        arguments.server.frame_size_max = frame_size_affordable(&arguments.server);

    sigset_t stop = signals_block();
    struct server *server = NULL;
    char why[1024] = "";
    if (server_start(&arguments.server, &server, why, sizeof why) != 0) {
        fprintf(stderr, "innkeepd: %s\n", why);
        return EXIT_FAILURE;
    }
    print_memory(server);
    print_ready(server);
    int signal_number = 0;
    sigwait(&stop, &signal_number);
    fprintf(stderr, "innkeepd: %s: taking no more work, completing what was accepted\n", strsignal(signal_number));
    pthread_sigmask(SIG_UNBLOCK, &stop, NULL); /* whoever cannot wait for the last snapshot asks again */
    server_stop(server);
    return EXIT_SUCCESS;
}
