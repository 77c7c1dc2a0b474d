/* The pipeline against a real server of several shards: thousands of reserves for too few rooms, twice with the same
 * keys. Every item gets one answer, exactly the rooms there are get sold, and the second time every answer is the first
 * one again.
 *
 *     client_live_pipeline ADDRESS */
#include "net/include/innkeep/innkeep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROPERTIES = 8, ROOMS = 100, REQUESTS = 4000, FIRST_PROPERTY = 5000, FIRST_DAY = 20780 };

static void require(int condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "client_live_pipeline: %s\n", what);
    exit(1);
}
#define REQUIRE_THAT(condition) require(condition, #condition)

/* What a request was answered. */
struct outcome {
    int verdict;
    int replayed;
    uint64_t lsn; /* of the first outcome */
};

static struct inn_pipeline *open_pipeline(const char *address)
{
    struct inn_pipeline_options options;
    struct inn_pipeline *pipeline = NULL;
    struct inn_error error;
    inn_pipeline_options_init(&options);
    options.batch_max = 37;
    options.messages_max = 16;
    if (inn_pipeline_open(&pipeline, address, &options, &error) != INN_OK)
        require(0, error.text);
    return pipeline;
}

/* Takes what is there; outcomes[user] must be empty yet. */
static size_t take(struct inn_pipeline *pipeline, struct outcome *outcomes)
{
    struct inn_completion c;
    size_t taken = 0;
    for (; inn_pipeline_next(pipeline, &c) == 1; taken++) {
        REQUIRE_THAT(c.result != NULL && c.user < REQUESTS);
        REQUIRE_THAT(outcomes[c.user].lsn == 0);
        int replayed = (c.result->flags & INN_REPLAYED) != 0;
        outcomes[c.user] = (struct outcome){ .verdict = c.verdict,
                                             .replayed = replayed,
                                             .lsn = replayed ? c.result->original_lsn : c.result->lsn };
    }
    return taken;
}

static void set_up(struct inn_pipeline *pipeline, struct outcome *outcomes)
{
    memset(outcomes, 0, REQUESTS * sizeof *outcomes);
    for (uint64_t i = 0; i < PROPERTIES; i++) {
        struct inn_property_create_request property = {
            .mutation = { .property = FIRST_PROPERTY + i, .key = inn_key_random() }, .business_date = FIRST_DAY
        };
        struct inn_room_type_create_request type = {
            .mutation = { .property = FIRST_PROPERTY + i, .key = inn_key_random() }, .room_type = 1, .rooms = ROOMS
        };
        REQUIRE_THAT(inn_pipeline_property_create(pipeline, &property, 2 * i) == INN_OK);
        REQUIRE_THAT(inn_pipeline_room_type_create(pipeline, &type, 2 * i + 1) == INN_OK);
        inn_pipeline_seal(pipeline);
    }
    for (size_t taken = 0; taken < 2 * PROPERTIES; taken += take(pipeline, outcomes))
        REQUIRE_THAT(inn_pump(pipeline, 10000) == INN_OK);
    for (size_t i = 0; i < 2 * PROPERTIES; i++)
        REQUIRE_THAT(outcomes[i].verdict == INN_OK);
}

static void reserve_all(struct inn_pipeline *pipeline, const struct inn_key *keys, struct outcome *outcomes)
{
    uint64_t submitted = 0;
    memset(outcomes, 0, REQUESTS * sizeof *outcomes);
    for (size_t taken = 0; taken < REQUESTS; taken += take(pipeline, outcomes)) {
        int verdict = INN_OK;
        while (submitted < REQUESTS && verdict == INN_OK) {
            struct inn_reserve_request request = {
                .mutation = { .property = FIRST_PROPERTY + submitted % PROPERTIES, .key = keys[submitted] },
                .arrival = FIRST_DAY + 1,
                .nights = 3,
                .rooms = 1,
                .room_type = 1,
            };
            verdict = inn_pipeline_reserve(pipeline, &request, submitted);
            submitted += verdict == INN_OK;
            REQUIRE_THAT(verdict == INN_OK || verdict == INN_FULL);
        }
        REQUIRE_THAT(inn_pump(pipeline, 10000) == INN_OK);
    }
}

int main(int argc, char **argv)
{
    static struct inn_key keys[REQUESTS];
    static struct outcome first[REQUESTS];
    static struct outcome second[REQUESTS];
    size_t accepted = 0;
    REQUIRE_THAT(argc == 2);
    struct inn_pipeline *pipeline = open_pipeline(argv[1]);
    for (size_t i = 0; i < REQUESTS; i++)
        keys[i] = inn_key_random();
    set_up(pipeline, first);
    reserve_all(pipeline, keys, first);
    reserve_all(pipeline, keys, second);
    for (size_t i = 0; i < REQUESTS; i++) {
        REQUIRE_THAT(first[i].verdict == INN_OK || first[i].verdict == INN_SOLD_OUT);
        REQUIRE_THAT(!first[i].replayed && second[i].replayed);
        REQUIRE_THAT(first[i].verdict == second[i].verdict && first[i].lsn == second[i].lsn);
        accepted += first[i].verdict == INN_OK;
    }
    REQUIRE_THAT(accepted == (size_t)PROPERTIES * ROOMS);
    REQUIRE_THAT(inn_pipeline_pending(pipeline) == 0);
    inn_pipeline_close(pipeline);
    printf("%zu of %d accepted, every answer replayed\n", accepted, REQUESTS);
    return 0;
}
