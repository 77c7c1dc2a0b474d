/* Commands, queries and their results: what can be asked of a shard and what it answers, as bytes.
 *
 * These structs are at once the log's records (FORMAT.md), the wire's items and results (PROTOCOL.md) and the engine's
 * arguments: little-endian, naturally aligned, every reserved byte zero. One change to them touches the struct, its
 * assertions, both documents, the golden bytes and the printers.
 *
 * Terms follow the trade: a stay is [arrival, departure); inventory updates take inclusive date ranges with a weekday mask
 * (OpenTravel's ARI messages do the same). */
#ifndef ENGINE_COMMAND_H
#define ENGINE_COMMAND_H

#include "engine/base/contract.h"
#include "engine/base/hash.h"
#include "engine/base/record.h"
#include "engine/base/units.h"
#include "engine/status.h"

#include <stdbool.h>

/* X(name, number, item struct, class). Classes: MUTATION (logged, keyed), LEASE (logged, no key), TICK (logged, no
 * effect), QUERY (read, never logged), SESSION (about the connection), SYSTEM (written by the server into its own log;
 * refused from the wire). */
#define OPERATION_MAP(X)                                  \
    X(PROPERTY_CREATE, 1, property_create, MUTATION)      \
    X(ROOM_TYPE_CREATE, 2, room_type_create, MUTATION)    \
    X(ROOMS_SET, 3, rooms_set, MUTATION)                  \
    X(RESERVE, 10, reserve, MUTATION)                     \
    X(CONFIRM, 11, reservation_change, MUTATION)          \
    X(RELEASE, 12, reservation_change, MUTATION)          \
    X(CANCEL, 13, reservation_change, MUTATION)           \
    X(LEASE_ACQUIRE, 30, lease_acquire, LEASE)            \
    X(LEASE_RENEW, 31, lease_renew, LEASE)                \
    X(LEASE_RELEASE, 32, lease_release, LEASE)            \
    X(BARRIER, 40, barrier, TICK)                         \
    X(RAISE_LEVEL, 41, raise_level, TICK)                 \
    X(LOOKUP, 64, lookup, QUERY)                          \
    X(CALENDAR, 65, calendar, QUERY)                      \
    X(LEASE_SHOW, 66, lease_show, QUERY)                  \
    X(STATUS, 80, status_query, SESSION)                  \
    X(HELLO, 81, hello, SESSION)                          \
    X(SNAPSHOT, 82, snapshot_request, SESSION)            \
    X(CONFIG, 128, config_record, SYSTEM)                 \
    X(RECOVERED, 129, recovered_record, SYSTEM)           \
    X(COMMIT_LATENCY, 130, commit_latency_record, SYSTEM) \
    X(EPOCH, 131, epoch_record, SYSTEM)                   \
    X(DIGEST, 132, digest_record, SYSTEM)

enum operation {
    OPERATION_NONE = 0, /* in a reply's header: the connection itself is answered */
#define OPERATION_ENUM(name, number, item, class) OPERATION_##name = (number),
    OPERATION_MAP(OPERATION_ENUM)
#undef OPERATION_ENUM
};

enum operation_class {
    OPERATION_CLASS_UNKNOWN,
    OPERATION_CLASS_MUTATION,
    OPERATION_CLASS_LEASE,
    OPERATION_CLASS_TICK,
    OPERATION_CLASS_QUERY,
    OPERATION_CLASS_SESSION,
    OPERATION_CLASS_SYSTEM,
};

/* The property field holds a shard's number (BARRIER, RAISE_LEVEL, STATUS and SNAPSHOT take it; all but the first require it). */
enum record_flag { RECORD_BY_SHARD = 1u << 0 };

#define ROOMS_MAX 32767 /* rooms of a type on a night, and rooms of a line */
#define NIGHTS_MAX 3650 /* nights of a stay, and the longest horizon */
#define TTL_NS_MAX (NS_PER_HOUR * 24 * 3650)
#define WEEKDAYS_ALL 0x7fu /* bit 0 = Monday .. bit 6 = Sunday */
#define LINES_MAX 1        /* lines of a reservation in this version */
#define OWNER_SIZE 32      /* a lease's owner: UTF-8, zero padded */
#define ROOM_TYPE_ALL 0u   /* in a calendar query */

/* ---- Commands ------------------------------------------------------------------------------------------------------ */

/* What every mutation begins with. The fingerprint of a mutation (FORMAT.md) covers bytes 0..15 and everything from
 * byte 48 on: not the key, the deadline or the token. */
struct mutation {
    struct record_header header;
    uint64_t not_after_ns;   /* log time after which it must not take effect */
    uint64_t fence_token;    /* token under which it is sent; 0 with fence_resource 0: none */
    uint64_t fence_resource; /* the resource the token was granted for */
};

struct property_create {
    struct mutation mutation;
    int32_t business_date; /* day number; the first night that can be sold */
    uint32_t reserved;
};

struct room_type_create {
    struct mutation mutation;
    uint32_t room_type; /* 1.. ; named by the client, unique in its property */
    uint16_t rooms;     /* rooms on every night of the horizon, and on nights that open later */
    uint16_t reserved;
};

/* Sets the physical rooms of the nights from first_night to last_night, both included, whose weekday is in the mask. */
struct rooms_set {
    struct mutation mutation;
    uint32_t room_type;
    int32_t first_night;
    int32_t last_night;
    uint8_t weekdays;
    uint8_t reserved;
    uint16_t rooms;
};

struct reserve_line {
    uint32_t room_type;
    uint16_t rooms;
    uint16_t reserved;
};

/* The mutation's key becomes the reservation's name. */
struct reserve {
    struct mutation mutation;
    uint64_t hold_ns;            /* 0: confirmed at once; else held for this long from the frame's time */
    uint64_t external_reference; /* opaque; given back by lookup */
    int32_t arrival;
    uint16_t nights;
    uint16_t lines_count; /* 1..LINES_MAX */
    struct reserve_line lines[LINES_MAX];
};

/* Confirm, release or cancel. The mutation's own key differs from the reservation's. */
struct reservation_change {
    struct mutation mutation;
    struct key reservation;
    uint32_t expected_version; /* 0: any */
    uint32_t reserved;
};

/* The header's key is the session: 128 random bits per client process. */
struct lease_acquire {
    struct record_header header;
    uint64_t resource; /* 1.. ; what is leased, named by the client, scoped to its property */
    uint64_t ttl_ns;
    char owner[OWNER_SIZE]; /* for people: who holds it */
};

struct lease_renew {
    struct record_header header;
    uint64_t resource;
    uint64_t token;
    uint64_t ttl_ns;
};

struct lease_release {
    struct record_header header;
    uint64_t resource;
    uint64_t token;
};

/* Forces a frame, so that log time moves to the server's clock; answers with the frame's time. */
struct barrier {
    struct record_header header;
};

/* Raises the engine level of a shard's log: how every record behind its frame is acted upon (ARCHITECTURE.md, "Levels"). */
struct raise_level {
    struct record_header header; /* with RECORD_BY_SHARD */
    uint32_t level;              /* from 1 */
    uint32_t reserved;
};

/* ---- Queries ------------------------------------------------------------------------------------------------------- */

/* The header's key is the key looked up. */
struct lookup {
    struct record_header header;
};

struct calendar {
    struct record_header header;
    uint32_t room_type;  /* ROOM_TYPE_ALL: every type, in order of creation */
    uint32_t after_type; /* with ROOM_TYPE_ALL: start behind this type; 0: from the first */
    int32_t first_night;
    uint16_t nights;
    uint16_t reserved;
};

struct lease_show {
    struct record_header header;
    uint64_t resource;
};

struct status_query {
    struct record_header header; /* with RECORD_BY_SHARD */
    uint32_t with_hash;          /* 1: compute the state hash, which reads all of the shard's memory; else 0 */
    uint32_t reserved;
};

/* Asks for a snapshot of a shard, or how far one is. */
struct snapshot_request {
    struct record_header header; /* with RECORD_BY_SHARD */
    uint64_t keep_ns;            /* no snapshot and no segment is given up for so long; 0: as it was */
    uint32_t take;               /* 1: take one that holds all that is applied now; 0: only tell */
    uint32_t reserved;
};

#define SNAPSHOT_KEEP_NS_MAX NS_PER_HOUR
#define SHARD_ANY UINT32_MAX

struct hello {
    struct record_header header;
    uint32_t version_min; /* protocol versions the client speaks */
    uint32_t version_max;
    uint32_t shard; /* the shard that should own this connection; SHARD_ANY: no matter */
    uint32_t reserved;
    char client[OWNER_SIZE]; /* for the server's log; may be empty */
};

/* ---- System records ------------------------------------------------------------------------------------------------ */

/* The limits an engine runs under from this record on. Only ever grow. */
struct engine_limits {
    uint32_t properties_max;
    uint32_t room_types_max;
    uint32_t horizon_nights; /* 1..NIGHTS_MAX */
    uint32_t reservations_max;
    uint32_t outcomes_max;
    uint32_t leases_max;
    uint64_t deadline_ahead_max_ns; /* how far ahead of log time a not_after may lie */
    uint64_t keep_ended_ns;         /* how long an ended reservation lingers */
};

struct config_record {
    struct record_header header;
    struct engine_limits limits;
};

/* The first record after a start: every lease live at the previous frame's time gets a full new time to live. */
struct recovered_record {
    struct record_header header;
};

/* The shard's recent 99th percentile of commit latency, as it is told to those who take a lease. */
struct commit_latency_record {
    struct record_header header;
    uint64_t p99_ns;
    uint64_t ttl_factor; /* a TTL below ttl_factor x p99 is flagged */
};

enum epoch_reason {
    EPOCH_CUT = 1,     /* records behind last_lsn were cut away */
    EPOCH_RESTORE = 2, /* the log goes on from a copy; what was logged behind the copy is not in it */
    EPOCH_RESHARD = 3, /* the log goes on from the state of other shards */
};

/* The first record of a frame whose LSNs jump to a multiple of 2^40, past everything ever granted, so that no token comes twice. */
struct epoch_record {
    struct record_header header;
    uint64_t number;      /* of the epoch: its first LSN divided by 2^40 */
    uint64_t last_lsn;    /* the last one in this log before the jump; 0: there is none */
    uint64_t granted_lsn; /* the last one known to have been given out, in whatever came to its end here */
    uint64_t wall_ns;     /* when it was done; log time does not move with it */
    uint32_t reason;      /* enum epoch_reason */
    uint32_t reserved;
};

/* What was answered in the frames first_index..last_index (net/outcome_digest.h), so that a replay that answers otherwise is caught. */
struct digest_record {
    struct record_header header;
    uint64_t first_index;
    uint64_t last_index;
    struct hash128 digest;
};

#define COMMAND_SIZE(type, size) static_assert(sizeof(struct type) == (size), "PROTOCOL.md: " #type)
#define COMMAND_FIELD(type, field, offset) \
    static_assert(offsetof(struct type, field) == (offset), "PROTOCOL.md: " #field)
COMMAND_SIZE(mutation, 56);
COMMAND_FIELD(mutation, not_after_ns, 32);
COMMAND_FIELD(mutation, fence_token, 40);
COMMAND_FIELD(mutation, fence_resource, 48);
COMMAND_SIZE(property_create, 64);
COMMAND_FIELD(property_create, business_date, 56);
COMMAND_SIZE(room_type_create, 64);
COMMAND_FIELD(room_type_create, room_type, 56);
COMMAND_FIELD(room_type_create, rooms, 60);
COMMAND_SIZE(rooms_set, 72);
COMMAND_FIELD(rooms_set, room_type, 56);
COMMAND_FIELD(rooms_set, first_night, 60);
COMMAND_FIELD(rooms_set, last_night, 64);
COMMAND_FIELD(rooms_set, weekdays, 68);
COMMAND_FIELD(rooms_set, rooms, 70);
COMMAND_SIZE(reserve_line, 8);
COMMAND_SIZE(reserve, 88);
COMMAND_FIELD(reserve, hold_ns, 56);
COMMAND_FIELD(reserve, external_reference, 64);
COMMAND_FIELD(reserve, arrival, 72);
COMMAND_FIELD(reserve, nights, 76);
COMMAND_FIELD(reserve, lines_count, 78);
COMMAND_FIELD(reserve, lines, 80);
COMMAND_SIZE(reservation_change, 80);
COMMAND_FIELD(reservation_change, reservation, 56);
COMMAND_FIELD(reservation_change, expected_version, 72);
COMMAND_SIZE(lease_acquire, 80);
COMMAND_FIELD(lease_acquire, resource, 32);
COMMAND_FIELD(lease_acquire, ttl_ns, 40);
COMMAND_FIELD(lease_acquire, owner, 48);
COMMAND_SIZE(lease_renew, 56);
COMMAND_FIELD(lease_renew, token, 40);
COMMAND_FIELD(lease_renew, ttl_ns, 48);
COMMAND_SIZE(lease_release, 48);
COMMAND_FIELD(lease_release, token, 40);
COMMAND_SIZE(barrier, 32);
COMMAND_SIZE(snapshot_request, 48);
COMMAND_FIELD(snapshot_request, take, 40);
COMMAND_SIZE(raise_level, 40);
COMMAND_FIELD(raise_level, level, 32);
COMMAND_SIZE(lookup, 32);
COMMAND_SIZE(calendar, 48);
COMMAND_FIELD(calendar, room_type, 32);
COMMAND_FIELD(calendar, after_type, 36);
COMMAND_FIELD(calendar, first_night, 40);
COMMAND_FIELD(calendar, nights, 44);
COMMAND_SIZE(lease_show, 40);
COMMAND_SIZE(status_query, 40);
COMMAND_SIZE(hello, 80);
COMMAND_FIELD(hello, shard, 40);
COMMAND_FIELD(hello, client, 48);
COMMAND_SIZE(engine_limits, 40);
COMMAND_SIZE(config_record, 72);
COMMAND_SIZE(recovered_record, 32);
COMMAND_SIZE(commit_latency_record, 48);
COMMAND_SIZE(epoch_record, 72);
COMMAND_FIELD(epoch_record, granted_lsn, 48);
COMMAND_FIELD(epoch_record, reason, 64);
COMMAND_SIZE(digest_record, 64);
COMMAND_FIELD(digest_record, digest, 48);

/* ---- Results ------------------------------------------------------------------------------------------------------- */

enum result_flag {
    RESULT_REPLAYED = 1u << 0, /* the first outcome of this key again; original_lsn says when it came about */
    RESULT_NOT_KEPT = 1u << 1, /* a refusal of confirm, release or cancel that found the outcome table full */
};

struct result_header {
    uint32_t size;   /* bytes of the whole result, header included; a multiple of 8 */
    uint16_t status; /* enum status */
    uint16_t flags;  /* enum result_flag */
    uint16_t item;   /* which item of the request this answers, from 0 */
    uint16_t shard;  /* which shard answers */
    uint32_t reserved;
    uint64_t lsn;          /* of this command; for queries the last applied; 0 where nothing was logged or read */
    uint64_t original_lsn; /* with RESULT_REPLAYED or KEY_REUSED, of the first use of the key; else 0 */
    uint64_t log_time_ns;  /* the frame's time; for queries that of the last frame applied */
};

enum reservation_state {
    RESERVATION_NONE = 0,
    RESERVATION_HELD = 1,
    RESERVATION_CONFIRMED = 2,
    RESERVATION_RELEASED = 3,
    RESERVATION_EXPIRED = 4,
    RESERVATION_CANCELLED = 5,
};

/* Which limit a refusal met. */
enum limit {
    LIMIT_NONE = 0,
    LIMIT_TYPE = 1,        /* rooms of the room type on that night */
    LIMIT_HOUSE = 2,       /* rooms of the whole property on that night (no command sets one yet) */
    LIMIT_PROPERTIES = 16, /* LIMIT_REACHED: which table is full */
    LIMIT_ROOM_TYPES = 17,
    LIMIT_RESERVATIONS = 18,
    LIMIT_OUTCOMES = 19,
    LIMIT_LEASES = 20,
};

/* Answers every MUTATION. Fields that do not apply are zero; `night` means something where `limit` or the status says
 * so (SOLD_OUT, BEFORE_BUSINESS_DATE, BEYOND_HORIZON). */
struct mutation_result {
    struct result_header header;
    int32_t night;
    uint32_t room_type;
    int32_t available; /* SOLD_OUT: rooms left on that night */
    uint32_t version;  /* of the reservation after this command: 1 when made, one more with each change */
    uint8_t state;     /* enum reservation_state, after this command */
    uint8_t limit;     /* enum limit */
    uint8_t operation; /* KEY_REUSED: what the key was first used for (enum operation) */
    uint8_t reserved[5];
    uint64_t hold_deadline_ns; /* a held reservation's; 0 for others */
    uint64_t token;            /* FENCED, LEASE_EXPIRED, LEASE_RELEASED: the resource's newest token */
};

enum lease_state { LEASE_NONE = 0, LEASE_LIVE = 1, LEASE_EXPIRED = 2, LEASE_RELEASED = 3 };
enum lease_flag {
    LEASE_TTL_TOO_SHORT = 1u << 0 /* ttl_ns < ttl_factor x commit_p99_ns: fencing is likely to be needed */
};

/* Answers every LEASE operation and LEASE_SHOW; describes the resource's newest lease, so it is also what LEASE_HELD and FENCED
 * tell. All zero behind the header where there is none. */
struct lease_result {
    struct result_header header;
    uint64_t token;
    uint64_t deadline_ns;
    uint64_t ttl_ns;
    uint64_t commit_p99_ns; /* the shard's, as last logged; 0: not known yet */
    uint32_t flags;         /* enum lease_flag */
    uint32_t state;         /* enum lease_state */
    char owner[OWNER_SIZE];
};

/* Answers BARRIER: the header says it all. */
struct barrier_result {
    struct result_header header;
};

/* Answers RAISE_LEVEL. */
struct level_result {
    struct result_header header;
    uint32_t level; /* of the log behind this frame */
    uint32_t reserved;
};

enum lookup_what {
    LOOKUP_NOTHING = 0,     /* with NO_SUCH_KEY */
    LOOKUP_RESERVATION = 1, /* the key names a reservation */
    LOOKUP_OUTCOME = 2,     /* the key named another mutation, or a refused reserve; outcome_* say what came of it */
};

struct lookup_result {
    struct result_header header; /* original_lsn: the LSN of the key's command */
    uint8_t what;                /* enum lookup_what */
    uint8_t state;               /* enum reservation_state, now */
    uint8_t outcome_operation;   /* enum operation: what the key was used for */
    uint8_t reserved0;
    uint16_t outcome_status; /* enum status: what was answered */
    uint16_t nights;
    int32_t arrival;
    uint32_t version;
    uint64_t hold_deadline_ns; /* a reservation that is or was held */
    uint64_t external_reference;
    uint32_t room_type;
    uint16_t rooms;
    uint16_t lines_count;
};

struct calendar_night {
    int16_t sellable;
    uint16_t sold;
    uint16_t held;
    int16_t available; /* sellable - sold - held; below zero where supply was cut under what is booked */
};

/* Followed by `nights` calendar_night. */
struct calendar_type {
    uint32_t room_type;
    uint32_t reserved;
};

/* Followed by types_count times (calendar_type, nights x calendar_night). Nights outside the property's window are left
 * out: first_night and nights say what came. */
struct calendar_result {
    struct result_header header;
    int32_t first_night;
    uint16_t nights;
    uint16_t types_count;
    uint32_t next_after_type; /* not 0: more types follow; ask again with it as after_type */
    int32_t business_date;
};

/* Answers STATUS: one shard. */
struct status_result {
    struct result_header header;
    uint64_t uptime_ns;
    uint64_t memory_bytes; /* fixed at start: engine, log buffers, connections */
    uint32_t shards;
    uint32_t engine_level;
    struct engine_limits limits;
    uint32_t properties;
    uint32_t room_types;
    uint32_t reservations_held;
    uint32_t reservations_confirmed;
    uint32_t reservations_ended;
    uint32_t outcomes;
    uint32_t leases_live;
    uint32_t leases_ended;
    uint64_t shortest_ttl_ns; /* of the live leases; 0: none */
    uint64_t commit_p50_ns;   /* from the arrival of a command to the moment it is durable; recent */
    uint64_t commit_p99_ns;
    uint32_t alarm; /* 1: commit_p99_ns x alarm_factor >= shortest_ttl_ns */
    uint32_t alarm_factor;
    uint64_t frames; /* written since start */
    uint64_t records;
    uint64_t log_bytes;   /* frames' bytes, padding included */
    uint64_t frame_index; /* the newest durable one */
    uint64_t segment_sequence;
    uint32_t connections;
    uint32_t connections_max;
    uint64_t requests; /* items taken since start */
    uint64_t refused_overload;
    struct hash128 state_hash;  /* zero unless asked for */
    uint8_t uuid[16];           /* of the data directory */
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
    uint64_t snapshot_wall_ns;   /* when it was begun, by the wall clock */
    uint64_t snapshot_bytes;     /* of its file */
    uint64_t snapshot_log_bytes; /* of log behind it, which a restart would replay */
    uint64_t snapshots_taken;    /* since start */
    uint64_t snapshots_failed;   /* since start */
    uint32_t snapshots_kept;
    uint32_t snapshot_running;       /* 1: one is being taken */
    uint64_t snapshot_written_bytes; /* of it, or of the last */
    uint64_t snapshot_total_bytes;
};

#define SNAPSHOT_DIRECTORY_SIZE 512

/* Answers SNAPSHOT. */
struct snapshot_result {
    struct result_header header;
    uint64_t newest_lsn;    /* the newest snapshot holds everything up to it; 0: there is none */
    uint64_t newest_index;  /* the last frame that it holds, which its file is named after */
    uint64_t written_bytes; /* of the one being taken, or of the last */
    uint64_t total_bytes;
    uint32_t running;                        /* 1: one is being taken, or is about to be */
    uint32_t failed;                         /* how many failed since start */
    char directory[SNAPSHOT_DIRECTORY_SIZE]; /* the shard's own, absolute, as the server sees it; zero padded */
};

/* Answers HELLO. */
struct hello_result {
    struct result_header header;
    uint32_t version; /* the protocol version both speak */
    uint32_t shards;
    uint32_t shard;            /* owns this connection */
    uint32_t hash_rule;        /* 1: PROTOCOL.md, "Which shard" */
    uint32_t message_size_max; /* bytes of a request message */
    uint32_t items_max;        /* items of a request message */
    uint32_t requests_max;     /* items a connection may have unanswered before the server stops reading from it */
    uint32_t horizon_nights;
    uint64_t deadline_ahead_max_ns;
    uint8_t uuid[16];
    uint64_t server_time_ns; /* the shard's log clock now: a frame written now would be stamped with it, or later */
};

COMMAND_SIZE(result_header, 40);
COMMAND_FIELD(result_header, status, 4);
COMMAND_FIELD(result_header, item, 8);
COMMAND_FIELD(result_header, shard, 10);
COMMAND_FIELD(result_header, lsn, 16);
COMMAND_FIELD(result_header, original_lsn, 24);
COMMAND_FIELD(result_header, log_time_ns, 32);
COMMAND_SIZE(mutation_result, 80);
COMMAND_FIELD(mutation_result, state, 56);
COMMAND_FIELD(mutation_result, hold_deadline_ns, 64);
COMMAND_FIELD(mutation_result, token, 72);
COMMAND_SIZE(lease_result, 112);
COMMAND_FIELD(lease_result, flags, 72);
COMMAND_FIELD(lease_result, owner, 80);
COMMAND_SIZE(barrier_result, 40);
COMMAND_SIZE(snapshot_result, 592);
COMMAND_FIELD(snapshot_result, running, 72);
COMMAND_FIELD(snapshot_result, directory, 80);
COMMAND_SIZE(level_result, 48);
COMMAND_FIELD(level_result, level, 40);
COMMAND_SIZE(lookup_result, 80);
COMMAND_FIELD(lookup_result, arrival, 48);
COMMAND_FIELD(lookup_result, hold_deadline_ns, 56);
COMMAND_FIELD(lookup_result, room_type, 72);
COMMAND_SIZE(calendar_night, 8);
COMMAND_SIZE(calendar_type, 8);
COMMAND_SIZE(calendar_result, 56);
COMMAND_SIZE(status_result, 416);
COMMAND_FIELD(status_result, log_padding_bytes, 264);
COMMAND_SIZE(hello_result, 104);
COMMAND_FIELD(hello_result, version, 40);
COMMAND_FIELD(hello_result, deadline_ahead_max_ns, 72);
COMMAND_FIELD(hello_result, server_time_ns, 96);

/* The largest result any operation gives: a calendar of one type over the longest horizon. */
#define RESULT_SIZE_MAX \
    (sizeof(struct calendar_result) + sizeof(struct calendar_type) + NIGHTS_MAX * sizeof(struct calendar_night))

/* ---- What can be known of an item without any state ----------------------------------------------------------------- */

extern const uint8_t operation_classes[UINT8_MAX + 1]; /* enum operation_class by kind */

/* Asked several times for each record that is applied, so a load instead of a call. */
static inline enum operation_class operation_class(uint8_t kind)
{
    return (enum operation_class)operation_classes[kind];
}

/* "reserve"; "unknown". Static storage. */
const char *operation_name(uint8_t kind);

/* Judges an item as it came from outside. `available_bytes` counts from `item`, which is 8-byte aligned; reads no byte
 * beyond item->size or available_bytes. STATUS_OK, or the precise reason among those numbered 80..105. An item that
 * passes may be given to the engine; a SYSTEM operation never passes. */
MUST_USE enum status command_check(const struct record_header *item, size_t available_bytes);

/* The same for a record from the log, where SYSTEM operations are at home and HELLO, STATUS and queries are not. */
MUST_USE enum status record_check(const struct record_header *record, size_t available_bytes);

/* What makes two mutations the same request: XXH3-128 (seed 0) over bytes 0..15 and 48..size-1 of the item. Requires a MUTATION. */
struct hash128 mutation_fingerprint(const struct mutation *mutation);

/* The largest result `item` can get, for those who must keep room for it. */
uint32_t result_size_max(const struct record_header *item);

/* Which of `shards` owns a property: the high half of (mix(property) x shards), mix being the finaliser of splitmix64.
 * Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014; Lemire's multiply-shift. */
static inline uint32_t shard_of_property(uint64_t property, uint32_t shards)
{
    uint64_t x = property;
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    x ^= x >> 31;
    __extension__ unsigned __int128 product = (unsigned __int128)x * shards;
    return (uint32_t)(product >> 64);
}

#endif
