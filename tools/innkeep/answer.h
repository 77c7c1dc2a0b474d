/* Answers, printed: for people (answer_text.c) or as one JSON object each (answer_json.c). */
#ifndef TOOLS_INNKEEP_ANSWER_H
#define TOOLS_INNKEEP_ANSWER_H

#include "tools/innkeep/arguments.h"

/* What every answer has. */
struct answer {
    const struct arguments *arguments;
    unsigned operation; /* enum inn_operation */
    int verdict;
    const struct inn_key *key; /* the mutation's key, or the key looked up; NULL: the operation has none */
    uint64_t not_after_ns;     /* a mutation's deadline; else 0 */
    const char *error;         /* what went wrong where verdict < 0 */
};

/* A page of a calendar, or all of them. The nights of a type lie behind it. */
struct calendar_row {
    uint32_t room_type;
    int32_t night;
    struct inn_calendar_night cell;
};
struct calendar_pages {
    struct inn_calendar_result last; /* header and window of the last page */
    unsigned pages;
    struct calendar_row *rows; /* types in order, each with all its nights */
    size_t rows_count;
};

/* Where verdict < 0: on stderr, and with --json as an object, too. */
void answer_print_failure(const struct answer *answer);

/* The others require verdict >= 0. */
void answer_print_mutation(const struct answer *answer, const struct inn_mutation_result *result);
void answer_print_lookup(const struct answer *answer, const struct inn_lookup_result *result);
void answer_print_barrier(const struct answer *answer, const struct inn_barrier_result *result);
/* `failed`: the server gave it up. */
void answer_print_snapshot(const struct answer *answer, const struct inn_snapshot_result *result, bool failed);
void answer_json_snapshot(const struct answer *answer, const struct inn_snapshot_result *result, bool failed);
void answer_print_level(const struct answer *answer, const struct inn_level_result *result);
void answer_print_calendar(const struct answer *answer, const struct calendar_pages *pages);
void answer_print_lease(const struct answer *answer, const struct inn_lease_result *result, struct inn_key session);
void answer_print_status(const struct answer *answer, const struct inn_status_result *result);

/* Behind the last shard's status with --hash: the sum of the state hashes modulo 2^128. */
void answer_print_hash_sum(const struct answer *answer, uint32_t shards, const uint64_t sum[2]);

/* The reserve's key, before anything is sent: on stdout, with --json on stderr. */
void answer_print_key_early(const struct arguments *arguments, struct inn_key key);

#define HASH_TEXT_SIZE 33
/* 32 hexadecimal digits, the most significant first. Returns text. */
char *hash_text(const uint64_t hash[2], char text[HASH_TEXT_SIZE]);

/* An owner as a terminated text. Returns text. */
char *owner_text(const char owner[INN_OWNER_SIZE], char text[INN_OWNER_SIZE + 1]);

/* The JSON side of each of the above. */
void answer_json_failure(const struct answer *answer);
void answer_json_mutation(const struct answer *answer, const struct inn_mutation_result *result);
void answer_json_lookup(const struct answer *answer, const struct inn_lookup_result *result);
void answer_json_barrier(const struct answer *answer, const struct inn_barrier_result *result);
void answer_json_level(const struct answer *answer, const struct inn_level_result *result);
void answer_json_calendar(const struct answer *answer, const struct calendar_pages *pages);
void answer_json_lease(const struct answer *answer, const struct inn_lease_result *result, struct inn_key session);
void answer_json_status(const struct answer *answer, const struct inn_status_result *result);
void answer_json_hash_sum(const struct answer *answer, uint32_t shards, const uint64_t sum[2]);

#endif
