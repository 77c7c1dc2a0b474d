/* What a timeline has to remember while it reads: who was granted which token, and which leases and holds have yet to run out.
 *
 * Neither running out is a record in the log. It happens at the first frame whose time has reached the deadline, and it counts from the
 * deadline on; so both are found by asking, in front of every frame, what is still alive and due by its time.
 *
 * Memory: the tokens that attempts were made under, the leases that live at one time, the holds whose deadlines are ahead. */
#ifndef TOOLS_INNKEEP_WAL_RACE_H
#define TOOLS_INNKEEP_WAL_RACE_H

#include "engine/engine.h"

/* ---- Tokens that matter ---------------------------------------------------------------------------------------------------------- */

struct token_set {
    uint64_t *tokens; /* ascending */
    size_t count;
    size_t capacity;
};

/* 0 is never a member. */
void token_set_add(struct token_set *set, uint64_t token);
bool token_set_has(const struct token_set *set, uint64_t token);
void token_set_free(struct token_set *set);

/* ---- Grants ---------------------------------------------------------------------------------------------------------------------- */

struct grant {
    uint64_t resource;
    uint64_t token;
    uint64_t granted_ns; /* 0: before the log that is left begins */
    uint64_t deadline_ns;
    uint64_t ended_ns; /* 0 while live */
    char owner[OWNER_SIZE];
};

struct grants {
    struct grant *items; /* tokens ascending, for a token is the LSN of its grant */
    size_t count;
    size_t capacity;
    size_t ended;                   /* of them are not live any more */
    const struct token_set *needed; /* ended grants that are still asked about */
};

/* NULL if it is not, or no longer, known. The pointer is good until the next grants_add. */
struct grant *grants_find(const struct grants *grants, uint64_t resource, uint64_t token);
void grants_add(struct grants *grants, const struct grant *grant);
/* All at once and in any order, into a set that is empty: what is known at the beginning. */
void grants_fill(struct grants *grants, const struct grant *items, size_t count);
void grants_end(struct grants *grants, struct grant *grant, uint64_t ended_ns);
void grants_free(struct grants *grants);

/* ---- Holds ----------------------------------------------------------------------------------------------------------------------- */

struct hold {
    uint64_t deadline_ns;
    uint64_t lsn; /* of its reserve */
    struct key key;
};

/* A binary heap; the first item is the next to run out, ties by LSN. */
struct holds {
    struct hold *items;
    size_t count;
    size_t capacity;
};

void holds_push(struct holds *holds, const struct hold *hold);
/* NULL if there is none. */
const struct hold *holds_first(const struct holds *holds);
void holds_pop(struct holds *holds);
void holds_free(struct holds *holds);

#endif
