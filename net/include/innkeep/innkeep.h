/* libinnkeep: the C client of Innkeep, an inventory engine for room nights. Also for C++17.
 *
 * Two ways to ask, over the same protocol (PROTOCOL.md):
 *   inn_connection  blocking calls, one at a time, which reconnect and send again by themselves;
 *   inn_pipeline    non-blocking, many requests under way at once, several to a message; nothing is sent again.
 *
 * What an answer means. Every call gives a verdict:
 *   INN_OK (0)      it took effect, or the question is answered; the answer is durable on the server's disk
 *   above 0         the server's refusal (INN_SOLD_OUT, ...): it did not take effect. INN_SUPERSEDED alone leaves it
 *                   open, and in a key's second life so does INN_TOO_LATE for anything but a reserve
 *   INN_UNKNOWN     the request was sent and not answered: it may have taken effect, or still may, until the server's
 *                   log time has passed its deadline. inn_resolve finds out
 *   others below 0  no answer, and nothing of the request has reached the server
 *
 * Keys. A mutation carries a key of 128 bits that its sender chose (inn_key_random) and a deadline, not_after_ns. Sent
 * again with the same key and content it never takes effect twice: the first answer comes again, with INN_REPLAYED.
 * Past its deadline it never takes effect at all. A reserve's key is also its reservation's name. Whoever may have to
 * ask again after a crash writes the key (and the deadline) down before sending.
 *
 * Leases. A booking needs no lease to be correct: rooms are counted where they are stored. Never build anything whose
 * correctness rests on holding a lease; use one to save work, and send its token with each write (fence_resource,
 * fence_token), so that a write of a holder who came too late is refused.
 *
 * Times are nanoseconds since 1970-01-01 UTC by the server's log; dates are day numbers (0 = 1970-01-01) of the
 * property's own calendar: night d is the night that begins on date d. All integers are in the byte order of the
 * machine, which has to be little-endian.
 *
 * Threads. Nothing here is locked. Different connections and pipelines are independent; each one belongs to one thread
 * at a time. Functions without either argument may be called from anywhere. The library starts no thread, installs no
 * signal handler and raises no SIGPIPE. */
#ifndef INNKEEP_INNKEEP_H
#define INNKEEP_INNKEEP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define INN_API __attribute__((visibility("default")))
#define INN_MUST_USE __attribute__((warn_unused_result))
#else
#define INN_API
#define INN_MUST_USE
#endif

#define INN_VERSION_TEXT "0.1.0"
#define INN_ADDRESS_DEFAULT "127.0.0.1:7433"

/* ---- Verdicts ---------------------------------------------------------------------------------------------------- */

enum inn_verdict {
    /* From the server; numbers as in PROTOCOL.md. A newer server may answer others. */
    INN_OK = 0,
    INN_SOLD_OUT = 1, /* night, room_type, available and limit of the result say which */
    INN_NO_SUCH_PROPERTY = 2,
    INN_NO_SUCH_ROOM_TYPE = 3,
    INN_NO_SUCH_RESERVATION = 4,
    INN_ALREADY_EXISTS = 5,
    INN_BEFORE_BUSINESS_DATE = 6, /* night says which */
    INN_BEYOND_HORIZON = 7,       /* night says which */
    INN_HOLD_EXPIRED = 8,
    INN_STATE_CONFLICT = 9, /* state says which it is */
    INN_VERSION_CONFLICT = 10,
    INN_SUPERSEDED = 11, /* this key may have taken effect before; a later change replaced what was kept of it */
    INN_KEY_REUSED = 20, /* the key was used for other content; operation and original_lsn say for what */
    INN_TOO_LATE = 21,
    INN_DEADLINE_TOO_FAR = 22,
    INN_FENCED = 30, /* token is the newest */
    INN_LEASE_EXPIRED = 31,
    INN_LEASE_RELEASED = 32,
    INN_LEASE_HELD = 33, /* owner and deadline_ns say who and until when */
    INN_TOKEN_INVALID = 34,
    INN_TOKEN_UNKNOWN = 35,
    INN_NO_SUCH_LEASE = 36,
    INN_NO_SUCH_KEY = 37,
    INN_LIMIT_REACHED = 40,    /* limit says which table is full */
    INN_ALREADY_AT_LEVEL = 41, /* level says at which */
    INN_OVERLOADED = 64,       /* this one and the next two speak of this transmission only */
    INN_DISK_FULL = 65,
    INN_SHUTTING_DOWN = 66,
    INN_UNKNOWN_OPERATION = 80, /* 80..105: the request itself is wrong */
    INN_BAD_ITEM_SIZE = 81,
    INN_BAD_ITEM_VERSION = 82,
    INN_BAD_ITEM_FLAGS = 83,
    INN_RESERVED_NOT_ZERO = 84,
    INN_ZERO_PROPERTY = 85,
    INN_ZERO_ROOM_TYPE = 86,
    INN_ZERO_KEY = 87,
    INN_UNEXPECTED_KEY = 88,
    INN_ZERO_NIGHTS = 89,
    INN_TOO_MANY_NIGHTS = 90,
    INN_ZERO_ROOMS = 91,
    INN_TOO_MANY_ROOMS = 92,
    INN_BAD_LINES = 93,
    INN_BAD_DATE = 94,
    INN_REVERSED_RANGE = 95,
    INN_BAD_WEEKDAYS = 96,
    INN_ZERO_DEADLINE = 97,
    INN_ZERO_TTL = 98,
    INN_TTL_TOO_LONG = 99,
    INN_BAD_FENCE = 100,
    INN_ZERO_RESOURCE = 101,
    INN_BAD_OWNER = 102,
    INN_ZERO_TOKEN = 103,
    INN_NO_SUCH_SHARD = 104,
    INN_UNKNOWN_LEVEL = 105, /* of that server's version */
    INN_BAD_MAGIC = 120,     /* 120..127: the server closes the connection */
    INN_BAD_PROTOCOL_VERSION = 121,
    INN_BAD_MESSAGE_SIZE = 122,
    INN_BAD_CHECKSUM = 123,
    INN_BAD_MESSAGE = 124,
    INN_HELLO_EXPECTED = 125,
    INN_TOO_MANY_CONNECTIONS = 126,
    INN_IDLE_TOO_LONG = 127,

    /* From this library. */
    INN_UNKNOWN = -1,      /* sent, not answered: see above */
    INN_NO_ANSWER = -2,    /* not sent, or a question that changes nothing was not answered; the error text says why */
    INN_BAD_ARGUMENT = -3, /* an address that cannot be read, a text too long; nothing was sent */
    INN_PROTOCOL_ERROR = -4, /* what came is not the protocol; the connection is closed */
    INN_FULL = -5,           /* pipeline: as many requests are under way as it was opened for; pump, then try again */
    INN_CLOSED = -6,         /* the pipeline's connection is gone */
    INN_NO_MEMORY = -7
};

/* "SOLD_OUT", "UNKNOWN"; "UNKNOWN_STATUS" for a number this library does not know. Static storage. */
INN_API const char *inn_verdict_name(int verdict);

/* A sentence that explains it, for people. Static storage. */
INN_API const char *inn_verdict_text(int verdict);

/* ---- Keys, names, dates ------------------------------------------------------------------------------------------ */

/* 128 bits, compared as bytes. As text: a UUID, whose hexadecimal digits are the bytes in the order written (RFC 4122).
 * */
struct inn_key {
    uint8_t bytes[16];
};

#define INN_KEY_TEXT_SIZE 37
#define INN_DATE_TEXT_SIZE 11
#define INN_OWNER_SIZE 32

/* 122 random bits from getrandom(2), marked as a version 4 UUID. Never all zero. Aborts if the kernel gives none. */
INN_API struct inn_key inn_key_random(void);

/* Reads "01234567-89ab-cdef-0123-456789abcdef", upper or lower case. 0, or INN_BAD_ARGUMENT with *key untouched. */
INN_API INN_MUST_USE int inn_key_parse(const char *text, struct inn_key *key);

/* Writes the lower-case text and a terminator; returns text. */
INN_API char *inn_key_format(struct inn_key key, char text[INN_KEY_TEXT_SIZE]);

/* Reads exactly "YYYY-MM-DD". 0, or INN_BAD_ARGUMENT, *day_number untouched, for anything else or a date that does not
 * exist. */
INN_API INN_MUST_USE int inn_date_parse(const char *text, int32_t *day_number);

/* Writes "YYYY-MM-DD" and a terminator; returns text. "?" for a day outside the years 1 to 9999. */
INN_API char *inn_date_format(int32_t day_number, char text[INN_DATE_TEXT_SIZE]);

/* The resource number for a name: XXH3-64, seed 0, of its bytes. Never 0. */
INN_API uint64_t inn_resource_of_name(const char *name);

/* Which of `shards` owns a property (PROTOCOL.md, "Which shard", rule 1). */
INN_API uint32_t inn_shard_of_property(uint64_t property, uint32_t shards);

/* ---- Results: the bytes of the wire ------------------------------------------------------------------------------ */

enum inn_operation {
    INN_PROPERTY_CREATE = 1,
    INN_ROOM_TYPE_CREATE = 2,
    INN_ROOMS_SET = 3,
    INN_RESERVE = 10,
    INN_CONFIRM = 11,
    INN_RELEASE = 12,
    INN_CANCEL = 13,
    INN_LEASE_ACQUIRE = 30,
    INN_LEASE_RENEW = 31,
    INN_LEASE_RELEASE = 32,
    INN_BARRIER = 40,
    INN_RAISE_LEVEL = 41,
    INN_LOOKUP = 64,
    INN_CALENDAR = 65,
    INN_LEASE_SHOW = 66,
    INN_STATUS = 80,
    INN_SNAPSHOT = 82,
    INN_HELLO = 81
};

/* "reserve", "room_type_create"; "unknown". Static storage. */
INN_API const char *inn_operation_name(unsigned operation);

enum inn_result_flag {
    INN_REPLAYED = 1, /* the first outcome of this key again; original_lsn says when it came about */
    INN_NOT_KEPT = 2  /* a refusal that will not be replayed: the table of kept outcomes was full */
};

/* What every result begins with. */
struct inn_result {
    uint32_t size;   /* bytes of the whole result */
    uint16_t status; /* enum inn_verdict, INN_OK or above */
    uint16_t flags;  /* enum inn_result_flag */
    uint16_t item;   /* place in its message, from 0 */
    uint16_t shard;  /* which shard answered */
    uint32_t reserved;
    uint64_t lsn;          /* of this command; for questions the last applied; 0 where nothing was logged or read */
    uint64_t original_lsn; /* with INN_REPLAYED or INN_KEY_REUSED, of the first use of the key; else 0 */
    uint64_t log_time_ns;  /* the log's time at this command; for questions at the last command applied */
};

enum inn_reservation_state {
    INN_RESERVATION_NONE = 0,
    INN_RESERVATION_HELD = 1,
    INN_RESERVATION_CONFIRMED = 2,
    INN_RESERVATION_RELEASED = 3,
    INN_RESERVATION_EXPIRED = 4,
    INN_RESERVATION_CANCELLED = 5
};

/* "held"; "none" for INN_RESERVATION_NONE; "unknown". Static storage. */
INN_API const char *inn_reservation_state_name(unsigned state);

enum inn_limit {
    INN_LIMIT_NONE = 0,
    INN_LIMIT_TYPE = 1,        /* rooms of the room type on that night */
    INN_LIMIT_HOUSE = 2,       /* rooms of the whole property on that night */
    INN_LIMIT_PROPERTIES = 16, /* INN_LIMIT_REACHED: which table is full */
    INN_LIMIT_ROOM_TYPES = 17,
    INN_LIMIT_RESERVATIONS = 18,
    INN_LIMIT_OUTCOMES = 19,
    INN_LIMIT_LEASES = 20
};

/* "room type", "house", "reservations", ...; "none"; "unknown". Static storage. */
INN_API const char *inn_limit_name(unsigned limit);

/* Answers every mutation. Fields that do not apply are zero. */
struct inn_mutation_result {
    struct inn_result header;
    int32_t night; /* INN_SOLD_OUT, INN_BEFORE_BUSINESS_DATE, INN_BEYOND_HORIZON */
    uint32_t room_type;
    int32_t available; /* INN_SOLD_OUT: rooms left on that night */
    uint32_t version;  /* of the reservation after this command */
    uint8_t state;     /* enum inn_reservation_state, after this command */
    uint8_t limit;     /* enum inn_limit */
    uint8_t operation; /* INN_KEY_REUSED: what the key was first used for */
    uint8_t reserved[5];
    uint64_t hold_deadline_ns; /* of a held reservation; 0 for others */
    uint64_t token;            /* INN_FENCED, INN_LEASE_EXPIRED, INN_LEASE_RELEASED: the resource's newest */
};

enum inn_lease_state {
    INN_LEASE_STATE_NONE = 0,
    INN_LEASE_STATE_LIVE = 1,
    INN_LEASE_STATE_EXPIRED = 2,
    INN_LEASE_STATE_RELEASED = 3
};

/* "live"; "none"; "unknown". Static storage. */
INN_API const char *inn_lease_state_name(unsigned state);

enum inn_lease_flag { INN_LEASE_TTL_TOO_SHORT = 1 /* the time to live is too close to the shard's commit latency */ };

/* Answers every lease operation: the resource's newest lease. All zero behind the header where there is none. */
struct inn_lease_result {
    struct inn_result header;
    uint64_t token;
    uint64_t deadline_ns;
    uint64_t ttl_ns;
    uint64_t commit_p99_ns;     /* the shard's, as last logged; 0: not known yet */
    uint32_t flags;             /* enum inn_lease_flag */
    uint32_t state;             /* enum inn_lease_state */
    char owner[INN_OWNER_SIZE]; /* UTF-8, zero padded; not terminated if 32 bytes long */
};

struct inn_barrier_result {
    struct inn_result header;
};

struct inn_level_result {
    struct inn_result header;
    uint32_t level; /* of the shard's log, from behind this command on */
    uint32_t reserved;
};

enum inn_lookup_what {
    INN_LOOKUP_NOTHING = 0,     /* with INN_NO_SUCH_KEY */
    INN_LOOKUP_RESERVATION = 1, /* the key names a reservation */
    INN_LOOKUP_OUTCOME = 2      /* the key named another mutation, or a refused reserve */
};

struct inn_lookup_result {
    struct inn_result header;  /* original_lsn: the LSN of the key's command */
    uint8_t what;              /* enum inn_lookup_what */
    uint8_t state;             /* enum inn_reservation_state, now */
    uint8_t outcome_operation; /* enum inn_operation: what the key was used for */
    uint8_t reserved0;
    uint16_t outcome_status; /* enum inn_verdict: what was answered */
    uint16_t nights;
    int32_t arrival;
    uint32_t version;
    uint64_t hold_deadline_ns;
    uint64_t external_reference;
    uint32_t room_type;
    uint16_t rooms;
    uint16_t lines_count;
};

struct inn_calendar_night {
    int16_t sellable;
    uint16_t sold;
    uint16_t held;
    int16_t available; /* below zero where supply was cut under what is booked */
};

/* Followed by `nights` inn_calendar_night. */
struct inn_calendar_type {
    uint32_t room_type;
    uint32_t reserved;
};

/* Followed by types_count times (inn_calendar_type, nights x inn_calendar_night); inn_calendar_at finds them. */
struct inn_calendar_result {
    struct inn_result header;
    int32_t first_night; /* nights outside the property's window are left out */
    uint16_t nights;
    uint16_t types_count;
    uint32_t next_after_type; /* not 0: more types follow; ask again with it as after_type */
    int32_t business_date;
};

/* The room type at `index` of a calendar, and its nights[result->nights]. Requires index < types_count. */
static inline const struct inn_calendar_type *inn_calendar_at(const struct inn_calendar_result *result, unsigned index,
                                                              const struct inn_calendar_night **nights)
{
    size_t stride = sizeof(struct inn_calendar_type) + result->nights * sizeof(struct inn_calendar_night);
    const void *at = (const char *)(const void *)(result + 1) + index * stride;
    const struct inn_calendar_type *type = (const struct inn_calendar_type *)at;
    *nights = (const struct inn_calendar_night *)(const void *)(type + 1);
    return type;
}

struct inn_engine_limits {
    uint32_t properties_max;
    uint32_t room_types_max;
    uint32_t horizon_nights;
    uint32_t reservations_max;
    uint32_t outcomes_max;
    uint32_t leases_max;
    uint64_t deadline_ahead_max_ns; /* how far ahead of log time a not_after_ns may lie */
    uint64_t keep_ended_ns;
};

/* Answers inn_status: one shard. */
struct inn_status_result {
    struct inn_result header;
    uint64_t uptime_ns;
    uint64_t memory_bytes;
    uint32_t shards;
    uint32_t engine_level;
    struct inn_engine_limits limits;
    uint32_t properties;
    uint32_t room_types;
    uint32_t reservations_held;
    uint32_t reservations_confirmed;
    uint32_t reservations_ended;
    uint32_t outcomes;
    uint32_t leases_live;
    uint32_t leases_ended;
    uint64_t shortest_ttl_ns; /* of the live leases; 0: none */
    uint64_t commit_p50_ns;
    uint64_t commit_p99_ns;
    uint32_t alarm; /* 1: commit_p99_ns x alarm_factor >= shortest_ttl_ns */
    uint32_t alarm_factor;
    uint64_t frames;
    uint64_t records;
    uint64_t log_bytes;
    uint64_t frame_index;
    uint64_t segment_sequence;
    uint32_t connections;
    uint32_t connections_max;
    uint64_t requests;
    uint64_t refused_overload;
    uint64_t state_hash[2]; /* low half first; zero unless asked for */
    uint8_t uuid[16];       /* of the data directory */
    /* An earlier server's answer ends here; inn_status then gives zeros. */
    uint64_t log_padding_bytes; /* of log_bytes, what is neither frame header nor record */
    uint64_t log_stalls;        /* times a segment was full and no other was ready */
    uint32_t log_depth;         /* frames that may be on their way to the disk at once, now */
    uint32_t log_depth_highest; /* the most that were at once, since start */
    uint32_t log_depth_max;     /* the most that ever may be */
    uint32_t log_kernel_workers;
    uint64_t frame_p50_ns;
    uint64_t frame_p99_ns;
    uint64_t frame_p999_ns;
    uint64_t frame_max_ns;
    uint64_t segments_recycled;  /* old segments made new ones, since start */
    uint64_t segments_deleted;   /* old segments deleted, since start */
    uint64_t snapshot_lsn;       /* the newest snapshot holds everything up to it; 0: there is none */
    uint64_t snapshot_wall_ns;   /* when it was begun, by the server's wall clock */
    uint64_t snapshot_bytes;     /* of its file */
    uint64_t snapshot_log_bytes; /* of log behind it, which a restart would replay */
    uint64_t snapshots_taken;    /* since start */
    uint64_t snapshots_failed;   /* since start */
    uint32_t snapshots_kept;
    uint32_t snapshot_running;       /* 1: one is being taken */
    uint64_t snapshot_written_bytes; /* of it, or of the last */
    uint64_t snapshot_total_bytes;
};

/* Answers inn_snapshot: one shard. */
struct inn_snapshot_result {
    struct inn_result header; /* its lsn: what a snapshot that was asked for now will hold at least */
    uint64_t newest_lsn;      /* the newest snapshot holds everything up to it; 0: there is none */
    uint64_t newest_index;    /* the last frame that it holds, which its file is named after */
    uint64_t written_bytes;   /* of the one being taken, or of the last */
    uint64_t total_bytes;
    uint32_t running;    /* 1: one is being taken, or is about to be */
    uint32_t failed;     /* how many failed since start */
    char directory[512]; /* the shard's own, absolute, as the server sees it; zero padded */
};

/* What the server said of itself when the connection began. */
struct inn_hello_result {
    struct inn_result header;
    uint32_t version;
    uint32_t shards;
    uint32_t shard;
    uint32_t hash_rule;
    uint32_t message_size_max;
    uint32_t items_max;
    uint32_t requests_max; /* items a connection may have unanswered before the server stops reading from it */
    uint32_t horizon_nights;
    uint64_t deadline_ahead_max_ns;
    uint8_t uuid[16];
    uint64_t server_time_ns; /* the server's log clock when it said hello; header.log_time_ns may be far older */
};

/* ---- Requests ---------------------------------------------------------------------------------------------------- */

#define INN_WEEKDAYS_ALL 0x7fu /* bit 0 = Monday .. bit 6 = Sunday */
#define INN_ROOM_TYPE_ALL 0u
#define INN_SHARD_ANY UINT32_MAX

/* What every mutation names. Zero the request, then fill in what applies. */
struct inn_mutation {
    uint64_t property;
    struct inn_key key;
    uint64_t not_after_ns;   /* log time after which it must not take effect; 0: now + the within_ns of the options */
    uint64_t fence_resource; /* with fence_token: the lease under which it is sent; both 0: none */
    uint64_t fence_token;
};

struct inn_property_create_request {
    struct inn_mutation mutation;
    int32_t business_date; /* the first night that can be sold */
};

struct inn_room_type_create_request {
    struct inn_mutation mutation;
    uint32_t room_type;
    uint16_t rooms; /* on every night */
};

/* Sets the rooms of the nights from first_night to last_night, both included, whose weekday is in the mask. */
struct inn_rooms_set_request {
    struct inn_mutation mutation;
    uint32_t room_type;
    int32_t first_night;
    int32_t last_night;
    uint8_t weekdays;
    uint16_t rooms;
};

/* The mutation's key becomes the reservation's name. */
struct inn_reserve_request {
    struct inn_mutation mutation;
    uint64_t hold_ns;            /* 0: confirmed at once; else held for this long */
    uint64_t external_reference; /* opaque; given back by lookup */
    int32_t arrival;
    uint16_t nights;
    uint16_t rooms;
    uint32_t room_type;
};

/* Confirm, release or cancel. The mutation's key is new; it differs from the reservation's. */
struct inn_change_request {
    struct inn_mutation mutation;
    struct inn_key reservation;
    uint32_t expected_version; /* 0: any */
};

struct inn_lease_acquire_request {
    uint64_t property;
    struct inn_key session; /* who asks, unique to a process; all zero: the session of this connection or pipeline */
    uint64_t resource;
    uint64_t ttl_ns;
    const char *owner; /* for people; 1..INN_OWNER_SIZE bytes */
};

struct inn_lease_request {
    uint64_t property;
    uint64_t resource;
    uint64_t token;  /* show: not used */
    uint64_t ttl_ns; /* renew only */
};

struct inn_calendar_request {
    uint64_t property;
    uint32_t room_type;  /* INN_ROOM_TYPE_ALL: every type, in order of creation */
    uint32_t after_type; /* with INN_ROOM_TYPE_ALL: start behind this type; 0: from the first */
    int32_t first_night;
    uint16_t nights;
};

/* ---- Blocking calls ---------------------------------------------------------------------------------------------- */

struct inn_connection;

struct inn_options {
    uint64_t within_ns; /* deadline of a mutation that names none; default 60 s */
    uint64_t
        timeout_ns; /* how long one call may take; 0 (default): a mutation until 2 s past its deadline, others 10 s */
    uint64_t connect_timeout_ns; /* of one attempt; default 5 s */
    uint32_t shard;              /* the shard that should own the connection; default INN_SHARD_ANY */
    uint32_t retry;              /* 1 (default): after a lost connection connect and send again; 0: one transmission */
    const char *client;          /* for the server's log, at most INN_OWNER_SIZE bytes; default "" */
};

/* Fills in the defaults. */
INN_API void inn_options_init(struct inn_options *options);

#define INN_ERROR_TEXT_SIZE 256
struct inn_error {
    int verdict;
    char text[INN_ERROR_TEXT_SIZE]; /* what went wrong, and what to do about it */
};

/* Connects to "HOST:PORT", "[ADDRESS]:PORT" or "unix:/path" and says hello. `options` NULL: defaults. INN_OK with
 * *connection to be closed by the caller; or INN_NO_ANSWER, INN_BAD_ARGUMENT, INN_PROTOCOL_ERROR, INN_NO_MEMORY or the
 * server's refusal (INN_TOO_MANY_CONNECTIONS, ...), with *connection NULL and *error (may be NULL) filled in. Tries
 * once. */
INN_API INN_MUST_USE int inn_connect(struct inn_connection **connection, const char *address,
                                     const struct inn_options *options, struct inn_error *error);

/* Closes and frees; NULL is allowed. */
INN_API void inn_close(struct inn_connection *connection);

/* What went wrong with the last call whose verdict was below 0; "" if nothing did. Valid until the next call. */
INN_API const char *inn_last_error(const struct inn_connection *connection);

/* The server's answer to hello; valid until the connection is closed, and rewritten when it is made anew. */
INN_API const struct inn_hello_result *inn_hello(const struct inn_connection *connection);

/* The session this connection acquires leases with: random, made when it was opened. */
INN_API struct inn_key inn_session(const struct inn_connection *connection);

/* What the server's clock shows now, or a little less: the time of its answer to hello, or of a newer result, advanced
 * by the local monotonic clock. Reckoned anew when the connection is made anew. A clock to choose deadlines by: log
 * time catches up with it only when something is logged, so it proves nothing about a deadline (see inn_resolve). */
INN_API uint64_t inn_server_time(const struct inn_connection *connection);

/* The deadline that the last mutation was sent with. Needed for inn_resolve where the request left it to the library.
 * */
INN_API uint64_t inn_last_not_after(const struct inn_connection *connection);

/* The mutations. Each sends its request, waits for the answer and copies it to *result (may be NULL; zeroed where there
 * is none). After a lost connection the same bytes are sent again until the deadline (options.retry); sent twice, it
 * still takes effect at most once. Verdicts: INN_OK, a refusal, INN_UNKNOWN, INN_NO_ANSWER, INN_BAD_ARGUMENT. While an
 * earlier transmission is unresolved, an answer that speaks of one transmission only (INN_OVERLOADED, INN_DISK_FULL,
 * INN_SHUTTING_DOWN, INN_LIMIT_REACHED) does not end the call, and INN_UNKNOWN is given in the end. A deadline that is
 * left to the library is inn_server_time + within_ns; where INN_TOO_LATE shows that the server's clock has jumped ahead
 * of that, a first transmission is made once more with a new one. */
INN_API INN_MUST_USE int inn_property_create(struct inn_connection *connection,
                                             const struct inn_property_create_request *request,
                                             struct inn_mutation_result *result);
INN_API INN_MUST_USE int inn_room_type_create(struct inn_connection *connection,
                                              const struct inn_room_type_create_request *request,
                                              struct inn_mutation_result *result);
INN_API INN_MUST_USE int inn_rooms_set(struct inn_connection *connection, const struct inn_rooms_set_request *request,
                                       struct inn_mutation_result *result);
INN_API INN_MUST_USE int inn_reserve(struct inn_connection *connection, const struct inn_reserve_request *request,
                                     struct inn_mutation_result *result);
INN_API INN_MUST_USE int inn_confirm(struct inn_connection *connection, const struct inn_change_request *request,
                                     struct inn_mutation_result *result);
INN_API INN_MUST_USE int inn_release(struct inn_connection *connection, const struct inn_change_request *request,
                                     struct inn_mutation_result *result);
INN_API INN_MUST_USE int inn_cancel(struct inn_connection *connection, const struct inn_change_request *request,
                                    struct inn_mutation_result *result);

/* Leases; see above for what they are not. Acquiring again from the same session renews, so a lost answer is asked for
 * again; INN_UNKNOWN if none came: the lease may have been granted. */
INN_API INN_MUST_USE int inn_lease_acquire(struct inn_connection *connection,
                                           const struct inn_lease_acquire_request *request,
                                           struct inn_lease_result *result);
INN_API INN_MUST_USE int inn_lease_renew(struct inn_connection *connection, const struct inn_lease_request *request,
                                         struct inn_lease_result *result);
INN_API INN_MUST_USE int inn_lease_release(struct inn_connection *connection, const struct inn_lease_request *request,
                                           struct inn_lease_result *result);
INN_API INN_MUST_USE int inn_lease_show(struct inn_connection *connection, const struct inn_lease_request *request,
                                        struct inn_lease_result *result);

/* What is known of a key: INN_OK or INN_NO_SUCH_KEY. Answered even under overload. */
INN_API INN_MUST_USE int inn_lookup(struct inn_connection *connection, uint64_t property, struct inn_key key,
                                    struct inn_lookup_result *result);

/* *result is borrowed until the next call on this connection; of a refusal only the header may be read; NULL where the
 * verdict is below 0. One page: see next_after_type. */
INN_API INN_MUST_USE int inn_calendar(struct inn_connection *connection, const struct inn_calendar_request *request,
                                      const struct inn_calendar_result **result);

/* Moves the log time of a property's shard, or of a shard, to the server's clock and answers with it. */
INN_API INN_MUST_USE int inn_barrier(struct inn_connection *connection, uint64_t property,
                                     struct inn_barrier_result *result);
INN_API INN_MUST_USE int inn_barrier_shard(struct inn_connection *connection, uint32_t shard,
                                           struct inn_barrier_result *result);

/* Raises the engine level of a shard's log: INN_OK, or INN_ALREADY_AT_LEVEL, both with result->level; INN_UNKNOWN_LEVEL where the server does not
 * know that level. There is no way back, and older servers do not start on that log any more. */
INN_API INN_MUST_USE int inn_raise_level(struct inn_connection *connection, uint32_t shard, uint32_t level,
                                         struct inn_level_result *result);

/* The highest engine level of this version of Innkeep. */
#define INN_ENGINE_LEVEL 1

/* Asks a shard for a snapshot (take 1), or how far one is (take 0). It is complete once newest_lsn has reached the header's lsn of the first
 * answer. keep_ns, at most an hour: for so long the shard gives up no snapshot and no segment, so that its files can be copied; 0 leaves
 * that as it was. */
INN_API INN_MUST_USE int inn_snapshot(struct inn_connection *connection, uint32_t shard, int take, uint64_t keep_ns,
                                      struct inn_snapshot_result *result);

/* with_hash 1 also computes the shard's state hash, which reads all of its memory. */
INN_API INN_MUST_USE int inn_status(struct inn_connection *connection, uint32_t shard, int with_hash,
                                    struct inn_status_result *result);

enum inn_resolution_state {
    INN_RESOLUTION_OPEN = 0,      /* the key is unknown and its deadline not past: it may yet take effect */
    INN_RESOLUTION_EFFECTIVE = 1, /* it took effect; `lookup` tells more */
    INN_RESOLUTION_REFUSED = 2,   /* it was executed and refused with `status` */
    INN_RESOLUTION_NEVER = 3,     /* it did not take effect and never will */
    INN_RESOLUTION_FORGOTTEN =
        4 /* past the deadline, and what came of such an operation is not kept that long: read back what
                                     it would have changed */
};

struct inn_resolution {
    int state;                       /* enum inn_resolution_state */
    int status;                      /* INN_RESOLUTION_REFUSED: enum inn_verdict */
    uint64_t log_time_ns;            /* at which this was established */
    struct inn_lookup_result lookup; /* zero unless the key is known */
};

/* Finds out what came of a mutation whose verdict was INN_UNKNOWN: a barrier, then a lookup. `operation` is what was
 * asked, `not_after_ns` its deadline. Does not wait for the deadline: ask again while INN_RESOLUTION_OPEN. INN_OK with
 * *resolution, or the verdict of what failed.
 *
 * What an unknown key means past the deadline: for a reserve INN_RESOLUTION_NEVER, since a reservation is kept longer
 * than its deadline. For a change of a reservation too, unless a later change has replaced it, and for inventory
 * nothing is kept: INN_RESOLUTION_FORGOTTEN. */
INN_API INN_MUST_USE int inn_resolve(struct inn_connection *connection, uint64_t property, struct inn_key key,
                                     unsigned operation, uint64_t not_after_ns, struct inn_resolution *resolution);

/* ---- Pipeline -------------------------------------------------------------------------------------------------------
 *
 * Requests are gathered into messages of up to batch_max items of one operation, sent together, and answered in any
 * order (one shard's in the order they were submitted). After inn_pipeline_open nothing allocates and nothing blocks
 * but inn_pump.
 *
 *     inn_pipeline_reserve(p, &request, user) ... until INN_FULL or as many as are wanted
 *     inn_pump(p, timeout_ms)                 sends, waits for answers, receives
 *     while (inn_pipeline_next(p, &c) == 1)   takes each answer; c.user says whose it is
 *
 * With an event loop of one's own: wait for inn_fd to be readable, and writable while inn_want_write; then call
 * inn_on_readable and inn_on_writable, and take the answers.
 *
 * When the connection is lost, every request under way gets its completion: INN_UNKNOWN for what changes something and
 * may have been sent, INN_NO_ANSWER for the rest. A pipeline does not connect again: open another, and send again with
 * the same keys. */

struct inn_pipeline;

struct inn_pipeline_options {
    uint32_t batch_max;    /* items of a message, 1..4096; default 1 */
    uint32_t messages_max; /* messages under way; default 1024 */
    uint32_t shard;        /* the shard that should own the connection; default INN_SHARD_ANY */
    uint32_t reserved;
    size_t send_bytes; /* buffers; default 256 KiB and 1 MiB */
    size_t receive_bytes;
    uint64_t within_ns;          /* deadline of a mutation that names none; default 60 s */
    uint64_t connect_timeout_ns; /* connection and hello; default 5 s */
    const char *client;          /* as in inn_options */
};

INN_API void inn_pipeline_options_init(struct inn_pipeline_options *options);

/* Connects and says hello; blocks at most connect_timeout_ns. Results and *error as for inn_connect. */
INN_API INN_MUST_USE int inn_pipeline_open(struct inn_pipeline **pipeline, const char *address,
                                           const struct inn_pipeline_options *options, struct inn_error *error);

/* Closes and frees, without completing what is under way; NULL is allowed. */
INN_API void inn_pipeline_close(struct inn_pipeline *pipeline);

INN_API const struct inn_hello_result *inn_pipeline_hello(const struct inn_pipeline *pipeline);

/* As inn_server_time, as of the last pump, flush or read: it costs no look at the clock. */
INN_API uint64_t inn_pipeline_time(const struct inn_pipeline *pipeline);

/* Why the connection was lost; "" while it is not. */
INN_API const char *inn_pipeline_error(const struct inn_pipeline *pipeline);

/* Adds one item. The request is copied; `user` comes back with its answer. 0, INN_FULL or INN_CLOSED; INN_BAD_ARGUMENT
 * for an owner that is too long. After INN_FULL nothing was added. An item goes into the message being gathered if its
 * operation is the same; else that message is ended and another begun. */
INN_API INN_MUST_USE int inn_pipeline_property_create(struct inn_pipeline *pipeline,
                                                      const struct inn_property_create_request *request, uint64_t user);
INN_API INN_MUST_USE int inn_pipeline_room_type_create(struct inn_pipeline *pipeline,
                                                       const struct inn_room_type_create_request *request,
                                                       uint64_t user);
INN_API INN_MUST_USE int inn_pipeline_rooms_set(struct inn_pipeline *pipeline,
                                                const struct inn_rooms_set_request *request, uint64_t user);
INN_API INN_MUST_USE int inn_pipeline_reserve(struct inn_pipeline *pipeline, const struct inn_reserve_request *request,
                                              uint64_t user);
INN_API INN_MUST_USE int inn_pipeline_confirm(struct inn_pipeline *pipeline, const struct inn_change_request *request,
                                              uint64_t user);
INN_API INN_MUST_USE int inn_pipeline_release(struct inn_pipeline *pipeline, const struct inn_change_request *request,
                                              uint64_t user);
INN_API INN_MUST_USE int inn_pipeline_cancel(struct inn_pipeline *pipeline, const struct inn_change_request *request,
                                             uint64_t user);
INN_API INN_MUST_USE int inn_pipeline_lease_acquire(struct inn_pipeline *pipeline,
                                                    const struct inn_lease_acquire_request *request, uint64_t user);
INN_API INN_MUST_USE int inn_pipeline_lease_renew(struct inn_pipeline *pipeline,
                                                  const struct inn_lease_request *request, uint64_t user);
INN_API INN_MUST_USE int inn_pipeline_lease_release(struct inn_pipeline *pipeline,
                                                    const struct inn_lease_request *request, uint64_t user);
INN_API INN_MUST_USE int inn_pipeline_lease_show(struct inn_pipeline *pipeline, const struct inn_lease_request *request,
                                                 uint64_t user);
INN_API INN_MUST_USE int inn_pipeline_lookup(struct inn_pipeline *pipeline, uint64_t property, struct inn_key key,
                                             uint64_t user);
INN_API INN_MUST_USE int inn_pipeline_calendar(struct inn_pipeline *pipeline,
                                               const struct inn_calendar_request *request, uint64_t user);
INN_API INN_MUST_USE int inn_pipeline_barrier(struct inn_pipeline *pipeline, uint64_t property, uint64_t user);
INN_API INN_MUST_USE int inn_pipeline_barrier_shard(struct inn_pipeline *pipeline, uint32_t shard, uint64_t user);
INN_API INN_MUST_USE int inn_pipeline_raise_level(struct inn_pipeline *pipeline, uint32_t shard, uint32_t level,
                                                  uint64_t user);
INN_API INN_MUST_USE int inn_pipeline_snapshot(struct inn_pipeline *pipeline, uint32_t shard, int take,
                                               uint64_t keep_ns, uint64_t user);
INN_API INN_MUST_USE int inn_pipeline_status(struct inn_pipeline *pipeline, uint32_t shard, int with_hash,
                                             uint64_t user);

/* Ends the message being gathered, however few items it has. */
INN_API void inn_pipeline_seal(struct inn_pipeline *pipeline);

/* Seals, and sends as much as the socket takes. 0, or INN_CLOSED. */
INN_API INN_MUST_USE int inn_pipeline_flush(struct inn_pipeline *pipeline);

/* For an event loop of one's own. The descriptor belongs to the pipeline; -1 once the connection is gone. */
INN_API int inn_fd(const struct inn_pipeline *pipeline);
/* 1 while sealed messages wait for the socket. */
INN_API int inn_want_write(const struct inn_pipeline *pipeline);
/* Receives once, without waiting. 0, or INN_CLOSED. Take all answers before the next call: results lie in the receive
 * buffer. */
INN_API INN_MUST_USE int inn_on_readable(struct inn_pipeline *pipeline);
INN_API INN_MUST_USE int inn_on_writable(struct inn_pipeline *pipeline);

/* Flushes, waits up to timeout_ms (-1: for ever; 0: not at all) until something can be received or, while messages
 * wait, sent, and does it. 0, or INN_CLOSED. Returns at once where answers already received are not yet taken. */
INN_API INN_MUST_USE int inn_pump(struct inn_pipeline *pipeline, int timeout_ms);

struct inn_completion {
    uint64_t user;
    int verdict;                     /* INN_OK, a refusal, INN_UNKNOWN or INN_NO_ANSWER */
    unsigned operation;              /* enum inn_operation */
    const struct inn_result *result; /* whole result of that operation, in the receive buffer; NULL where verdict < 0 */
};

/* Takes the next answer: 1 with *completion, or 0 if there is none yet. The result is valid until the next
 * inn_on_readable or inn_pump. After the connection is lost this still delivers what had arrived, then the completions
 * of the rest. A result of a refused request may be no longer than its header (check result->size). */
INN_API int inn_pipeline_next(struct inn_pipeline *pipeline, struct inn_completion *completion);

typedef void inn_on_completion(void *context, const struct inn_completion *completion);

/* Calls `on_completion` for each answer at hand; returns how many. The callback may submit, but not pump or close. */
INN_API size_t inn_pipeline_deliver(struct inn_pipeline *pipeline, inn_on_completion *on_completion, void *context);

/* Requests submitted whose completion has not been taken. */
INN_API size_t inn_pipeline_pending(const struct inn_pipeline *pipeline);

#ifdef __cplusplus
}
#endif

#endif
