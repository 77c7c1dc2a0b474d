/* Seeded commands, queries and nonsense for the engine and its model.
 *
 * A swarm: every seed draws its own limits, its own mix of operations and its own habits (how often a key is used again,
 * how far deadlines lie, how time moves), mostly tiny, so that collisions, full tables and coincidences of deadlines are
 * the rule. Some seeds are floods: thousands of objects that all fall due at once.
 *
 * The same seed gives the same commands as long as the engine gives the same tokens.
 * Source: Groce et al., "Swarm Testing", ISSTA 2012. */
#ifndef TESTS_MODEL_RANDOM_COMMANDS_H
#define TESTS_MODEL_RANDOM_COMMANDS_H

#include "engine/command.h"
#include "engine/engine.h"

/* Any item or record, with room to damage its size. */
union random_item {
    struct record_header header;
    struct mutation mutation;
    struct property_create property_create;
    struct room_type_create room_type_create;
    struct rooms_set rooms_set;
    struct reserve reserve;
    struct reservation_change reservation_change;
    struct lease_acquire lease_acquire;
    struct lease_renew lease_renew;
    struct lease_release lease_release;
    struct calendar calendar;
    struct lease_show lease_show;
    struct config_record config;
    struct commit_latency_record commit_latency;
    struct raise_level raise_level;
    uint8_t bytes[128];
};

#define RANDOM_HISTORY_MAX 256
#define RANDOM_TOKENS_MAX 64
#define RANDOM_MADE_MAX 64

struct random_grant {
    uint64_t property;
    uint64_t resource;
    uint64_t token;
};

/* A reservation that was made. */
struct random_made {
    uint64_t property;
    struct key key;
};

struct random_commands {
    uint64_t prng;
    bool flood;
    struct engine_limits limits;

    /* the habits of this seed */
    uint32_t weights[256]; /* of each logged operation */
    uint32_t properties;   /* numbers are drawn from 1.. */
    uint32_t room_types;
    uint32_t resources;
    uint32_t keys;
    uint32_t sessions;
    uint32_t rooms;
    uint32_t nights;
    uint32_t retry_percent;
    uint32_t fresh_key_percent;
    uint32_t fence_percent;
    uint32_t hold_percent;
    uint32_t still_percent;
    uint32_t jump_percent;
    uint32_t step_units;
    uint32_t wait_units; /* deadlines, holds and leases lie up to this far ahead */
    uint32_t frame_records;
    int32_t base_date;

    /* what has been */
    uint64_t log_time_ns;
    uint64_t last_lsn;
    uint64_t commands_count;
    uint64_t fresh_key;
    uint64_t fresh_resource;
    union random_item history[RANDOM_HISTORY_MAX];
    size_t history_count;
    struct random_grant grants[RANDOM_TOKENS_MAX];
    size_t grants_count;
    struct random_made made[RANDOM_MADE_MAX];
    size_t made_count;
    uint32_t frames_since_jump;
};

/* Draws the habits and limits (random->limits) of a seed. */
void random_commands_init(struct random_commands *random, uint64_t seed);

/* Uniform below `bound`, which is not 0; true in `percent` of cases. */
uint64_t random_below(struct random_commands *random, uint64_t bound);
bool random_chance(struct random_commands *random, uint32_t percent);

/* The next frame: its time, never before the last one's, and how many records it has. */
uint64_t random_frame_time(struct random_commands *random);
uint32_t random_frame_records(struct random_commands *random);

/* Limits at least as large as the present ones; they are the present ones from now on. */
void random_grow(struct random_commands *random);

/* The next record and its LSN; it passes record_check. */
uint64_t random_record(struct random_commands *random, bool first_of_frame, union random_item *record);

/* A query that passes command_check. */
void random_query(struct random_commands *random, union random_item *query);

/* An item as an attacker or a broken client would send it: usually one field at or beyond its bounds, or a bit flipped. It
 * may happen to be right. Returns how many of its bytes are there. */
size_t random_nonsense(struct random_commands *random, union random_item *item);

/* The LSN for a nonsense item that turned out right and is applied after all. */
uint64_t random_next_lsn(struct random_commands *random);

/* Tells what came of a record, so that later ones can carry real tokens. */
void random_note(struct random_commands *random, const struct record_header *record, const union apply_result *result);

enum verdict { VERDICT_WRONG, VERDICT_RIGHT, VERDICT_EITHER };

/* Whether an item from outside should pass command_check, judged from engine/command.h alone. EITHER where the header
 * leaves it open, and for operations that never reach the engine. */
enum verdict random_judge(const union random_item *item, size_t available_bytes);

#endif
