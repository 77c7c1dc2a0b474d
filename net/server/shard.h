/* A shard: one thread's share of everything, and the loop that turns it.
 *
 * One turn, in order (shard_turn):
 *   1. replies that other shards sent for our connections go into outputs;
 *   2. frames that became durable are applied record by record, each answered at once, queries in between where they were queued;
 *   3. requests from other shards and from our own connections are taken: commands into the open frame, queries answered or queued
 *      behind the commands of their connection;
 *   4. the open frame is sealed and submitted if the log has a slot free;
 *   5. outputs are flushed, rings published, sleeping neighbours woken;
 *   6. one system call submits all of it and waits for what comes next.
 *
 * Order. Each accepted item that must wait gets a ticket in one queue, in the order of acceptance. Commands leave it in LSN order, which is
 * the same order; a query leaves it right behind the command in front of it. An item is answered at once only if its connection has no
 * ticket waiting here. Hence the results of one shard reach a connection in the order of its items.
 *
 * Promise 2 of ARCHITECTURE.md (a reply depends on durable records only) holds because the engine is only ever fed durable frames. */
#ifndef NET_SERVER_SHARD_H
#define NET_SERVER_SHARD_H

#include "net/prefetch.h"
#include "net/server/commit_latency.h"
#include "net/server/connection.h"
#include "net/server/snapshots.h"
#include "net/server/spsc_ring.h"
#include "net/warm_start.h"
#include "wal/directory.h"
#include "wal/log.h"
#include "wal/recovery.h"

#define SHARD_TICKETS_MAX (1u << 16)
#define SHARD_QUERIES_MAX (1u << 12)
#define SHARD_RING_CAPACITY (1 * MIB)
#define SHARD_REQUESTS_MAX 4096 /* items of a connection unanswered */
#define SHARD_CONNECTION_OUTPUT_MAX (1 * MIB)
#define SHARD_NOOP_AFTER_NS (5 * NS_PER_MS)
#define SHARD_RING_RETRY_NS (100 * NS_PER_US)

/* What the operator chose; the same for all shards, constant while serving. */
struct server_options {
    const char *data_path;
    struct io_address listen;
    uint32_t shards; /* 0: what the directory has, or shards_default for a new one */
    uint32_t shards_default;
    struct engine_limits limits; /* a shard's; a zero field: not given */
    uint64_t memory_bytes;       /* of all engines; 0: not given */
    uint64_t segment_size;
    uint64_t snapshot_every; /* bytes of log after which a snapshot is taken; 0: none is, at the end neither */
    uint64_t snapshot_rate;  /* bytes a second, while there is no hurry; 0: as fast as it goes */
    uint64_t keep_log_bytes; /* of log that can be replayed to any point in; 0: what recovery needs */
    uint64_t keep_log_ns;    /* or so much log time; at most one of the two is set */
    uint32_t frame_size_max;
    uint32_t depth_max;
    uint32_t connections_max;    /* a shard */
    uint32_t recv_buffers_count; /* a shard, a power of two */
    uint32_t recv_buffer_size;
    uint32_t alarm_factor; /* p99 x factor >= TTL raises the alarm */
    uint64_t overload_after_ns;
    uint64_t handshake_timeout_ns;
    uint64_t partial_timeout_ns; /* half a message, then silence */
    uint64_t stuck_timeout_ns;   /* a client that does not read */
    uint64_t idle_timeout_ns;    /* 0: never */
    uint64_t drain_timeout_ns;   /* at shutdown, for clients that do not read */
    uint64_t clock_jump_max_ns;
    bool clock_accepted;
    uint32_t level_max; /* the highest engine level known; ENGINE_LEVEL but for tests */
};

/* Who waits for an answer. */
struct ticket {
    uint64_t correlation;
    uint64_t arrived_ns;
    uint32_t connection; /* its place in the table of `shard` */
    uint32_t generation;
    uint16_t shard;
    uint16_t item;
    uint16_t status; /* not STATUS_OK: refused before the log, answered in turn */
    uint8_t operation;
    uint8_t reserved;
};
static_assert(sizeof(struct ticket) == 32, "two a cache line");

/* Items that are queued without being logged keep their bytes here. */
union query_item {
    struct record_header header;
    struct lookup lookup;
    struct calendar calendar;
    struct lease_show lease_show;
    struct status_query status;
    struct snapshot_request snapshot;
};

struct waiting_line {
    struct ticket *tickets; /* SHARD_TICKETS_MAX */
    uint64_t first;         /* numbers never repeat; the slot is number % SHARD_TICKETS_MAX */
    uint64_t next;
    union query_item *queries; /* SHARD_QUERIES_MAX, in the order of their tickets */
    uint64_t queries_first;
    uint64_t queries_next;
    uint64_t *last_of_connection; /* [shard][connection]: one past its newest ticket here */
};

struct connection_queue {
    uint32_t *indexes; /* a ring of connections_max */
    uint32_t first;
    uint32_t count;
};

/* The frame being applied, across turns if a neighbour's reply ring is full. */
struct apply_cursor {
    const struct wal_frame_header *frame; /* NULL: none */
    const struct record_header *record;
    struct prefetch prefetch;
    uint64_t lsn;
};

struct acceptor;

struct shard {
    /* What other threads look at; on lines of its own. */
    _Alignas(SPSC_CACHE_LINE) _Atomic bool asleep;
    _Atomic bool quiet; /* while draining: our connections are closed, and others have taken all we sent them */
    _Atomic uint32_t places_taken; /* connections here or on their way; the acceptor adds, this shard takes away */

    _Alignas(SPSC_CACHE_LINE) struct shard **neighbours; /* all shards, by index; ourselves too */
    struct acceptor *acceptor;                           /* shard 0 has it; NULL elsewhere */
    const struct server_options *options;
    uint32_t index;
    uint32_t shards_count;
    struct io *io;
    struct wal *wal;
    struct state_machine machine;
    struct wal_directory *directory;
    struct warm_start warm;   /* the snapshot that recovery began with */
    struct wal_report report; /* what recovery found behind it */
    struct shard_snapshots snapshots;

    /* Log time = clock_base_ns + (io_now_ns - clock_start_ns). */
    uint64_t clock_base_ns;
    uint64_t clock_start_ns;
    uint64_t now_ns; /* io_now_ns at the start of this turn */
    uint64_t started_ns;

    struct connection *connections;
    uint32_t connections_open;
    uint32_t *free_connections; /* a stack */
    uint32_t free_connections_count;
    struct held_buffer *held;      /* by buffer id */
    uint32_t buffers_out;          /* received and not yet returned */
    struct connection_queue work;  /* something to parse or to try again */
    struct connection_queue dirty; /* something to send, to arm or to close */
    struct output_pool pool;

    struct waiting_line line;
    struct apply_cursor apply;
    bool held_up;                 /* some connection is: until when to wait at most depends on it */
    bool sealed;                  /* this turn: an empty frame is there for what found no room before */
    bool blocked[WAL_SHARDS_MAX]; /* by the other shard: its oldest request found no room here */
    bool ring_full;               /* something waits for room in a ring: look again soon, nobody rings for that */

    struct spsc_ring *requests_in[WAL_SHARDS_MAX]; /* by the other shard; NULL for ourselves */
    struct spsc_ring *requests_out[WAL_SHARDS_MAX];
    struct spsc_ring *replies_in[WAL_SHARDS_MAX];
    struct spsc_ring *replies_out[WAL_SHARDS_MAX];

    struct commit_latency latency;
    struct commit_latency_logged latency_logged;
    uint32_t log_level;           /* that the next frame is sealed under */
    uint32_t log_level_next;      /* and the one behind it: a RAISE_LEVEL stands in the open frame where they differ */
    uint64_t digest_logged_index; /* the last frame that a DIGEST record covers */
    bool digest_ended;            /* the one for all that is left was logged: there is no other behind it */
    bool alarm;
    enum wal_space space_told; /* the step of a full disk that stderr was last told of */
    uint64_t space_tell_ns;    /* no other is told before */
    uint64_t unknown_tokens_count;
    uint64_t next_token_alarm_ns;
    uint64_t next_second_ns;
    uint64_t next_tick_ns;  /* ticks are coalesced: none before */
    uint64_t idle_since_ns; /* last data frame applied */
    uint64_t requests_count;
    uint64_t refused_overload_count;
    size_t memory_bytes;

    bool draining;  /* takes no more work */
    bool finishing; /* the last act: nobody waits for an answer, and nobody empties our reply rings */
    uint64_t drain_until_ns;
    int error; /* 0, or what stopped this shard */

    uint64_t scratch[RESULT_SIZE_MAX / 8 + 1]; /* where answers go that nobody waits for any more */
};

/* Allocates what a shard needs but its engine and its log. 0 or -ENOMEM. */
MUST_USE int shard_init(struct shard *shard, const struct server_options *options, struct wal_directory *directory,
                        uint32_t index, struct shard **neighbours);
void shard_free(struct shard *shard);

/* Replays the log into the engine. 0, or a negated errno with a whole sentence in why[]. On the shard's own thread, as all that follows. */
MUST_USE int shard_recover(struct shard *shard, char *why, size_t why_size);

/* How the shard's log is to be written; the directory's path is left out. */
struct wal_options shard_wal_options(const struct server_options *options, const struct wal_directory *directory,
                                     uint32_t index);

/* Opens the log behind what was recovered and makes the first frames durable: RECOVERED, and CONFIG where limits are new. Log time goes on
 * from `clock_base_ns` at `clock_start_ns`. */
MUST_USE int shard_open_log(struct shard *shard, const struct engine_limits *limits, uint64_t clock_base_ns,
                            uint64_t clock_start_ns, char *why, size_t why_size);

/* One turn of the loop; may sleep at its end. 0, or a negated errno that means this shard cannot go on. */
MUST_USE int shard_turn(struct shard *shard);

/* Takes no more work from now on; what was accepted is completed and answered in the turns that follow, until `quiet`. A shard that is quiet
 * goes on turning for its neighbours' sake until all are. */
void shard_drain(struct shard *shard);

/* The last act: one NOOP frame as evidence for the last acknowledgement, then the log is closed. 0 or a negated
 * errno: all that was acknowledged is durable anyway. */
MUST_USE int shard_finish(struct shard *shard);

/* Makes a socket whose HELLO was accepted a connection of this shard and answers the HELLO. `early` is what the client sent behind it. Requires
 * that a place was taken for it (places_taken). */
void shard_adopt_socket(struct shard *shard, int socket, uint64_t correlation, const uint8_t *early,
                        uint32_t early_size);

/* Sends such a socket to the shard that shall own it; false if the way there is full now. */
MUST_USE bool shard_hand_over(struct shard *shard, uint32_t to, int socket, uint64_t correlation, const uint8_t *early,
                              uint32_t early_size);

/* ---- Between the files of net/server ----------------------------------------------------------------------------- */

/* admission.c: takes one item of a connection; false if there is no room now. */
MUST_USE bool shard_admit(struct shard *shard, struct connection *connection, const struct message_header *message,
                          const struct record_header *item, size_t available_bytes);
/* admission.c: takes requests that other shards forwarded, as far as there is room. */
void shard_take_forwarded(struct shard *shard);

/* answer.c: where to write the result for a ticket (at most size_max bytes), or NULL if the way there is full. */
MUST_USE struct result_header *shard_answer_begin(struct shard *shard, const struct ticket *ticket, uint32_t size_max);
void shard_answer_end(struct shard *shard, const struct ticket *ticket, struct result_header *result);
/* answer.c: answers what needs no log: a refusal, a query, STATUS. False if the way there is full. */
MUST_USE bool shard_answer_now(struct shard *shard, const struct ticket *ticket, const struct record_header *item);
/* answer.c: replies from other shards into our outputs. */
void shard_take_replies(struct shard *shard);
/* answer.c: the most a result of this operation takes. */
uint32_t shard_result_max(uint8_t operation);

/* apply.c: applies durable frames and answers them, until none is left or a ring is full. */
MUST_USE int shard_apply(struct shard *shard);

/* shard.c */
void shard_queue_work(struct connection *connection);
void shard_queue_dirty(struct connection *connection);
uint64_t shard_log_clock(const struct shard *shard);
/* shard.c: seals and submits the open frame, at the log's clock and level. Requires wal_may_seal. */
void shard_seal(struct shard *shard, bool config);

#endif
