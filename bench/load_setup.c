#include "bench/load_setup.h"

#include "bench/clock.h"

#include <inttypes.h>
#include <stdlib.h>

#define SECONDS_PER_DAY 86400
#define PUMP_MS 1000
#define SILENCE_MAX 60 /* pumps without an answer */

/* Work of one kind, numbered 0..count-1, with one answer each. */
struct phase {
    const char *what;
    size_t count;
    int (*submit)(struct inn_pipeline *pipeline, const struct load_setup_options *options, size_t number);
    bool (*take)(struct load_setup *setup, const struct load_setup_options *options,
                 const struct inn_completion *completion);
};

static uint64_t property_at(const struct load_setup_options *options, size_t index)
{
    return options->shape.property_base + 1 + index;
}

static int32_t today(void)
{
    return (int32_t)(time(NULL) / (time_t)SECONDS_PER_DAY);
}

static int submit_property(struct inn_pipeline *pipeline, const struct load_setup_options *options, size_t number)
{
    struct inn_property_create_request request = { .business_date = today() };
    request.mutation.property = property_at(options, number);
    request.mutation.key = inn_key_random();
    return inn_pipeline_property_create(pipeline, &request, number);
}

static bool take_property(struct load_setup *setup, const struct load_setup_options *options,
                          const struct inn_completion *completion)
{
    (void)options;
    setup->properties_made += completion->verdict == INN_OK;
    return completion->verdict == INN_OK || completion->verdict == INN_ALREADY_EXISTS;
}

static int submit_room_type(struct inn_pipeline *pipeline, const struct load_setup_options *options, size_t number)
{
    struct inn_room_type_create_request request = { .rooms = options->rooms };
    request.mutation.property = property_at(options, number / options->shape.room_types);
    request.mutation.key = inn_key_random();
    request.room_type = (uint32_t)(number % options->shape.room_types) + 1;
    return inn_pipeline_room_type_create(pipeline, &request, number);
}

static bool take_room_type(struct load_setup *setup, const struct load_setup_options *options,
                           const struct inn_completion *completion)
{
    (void)options;
    setup->room_types_made += completion->verdict == INN_OK;
    return completion->verdict == INN_OK || completion->verdict == INN_ALREADY_EXISTS;
}

/* One night is enough: it is the business date in the answer that is wanted. */
static int submit_calendar(struct inn_pipeline *pipeline, const struct load_setup_options *options, size_t number)
{
    struct inn_calendar_request request = { .room_type = 1, .first_night = today(), .nights = 1 };
    request.property = property_at(options, number);
    return inn_pipeline_calendar(pipeline, &request, number);
}

static bool take_calendar(struct load_setup *setup, const struct load_setup_options *options,
                          const struct inn_completion *completion)
{
    (void)options;
    if (completion->verdict != INN_OK || completion->result->size < sizeof(struct inn_calendar_result))
        return false;
    const void *result = completion->result;
    setup->business_dates[completion->user] = ((const struct inn_calendar_result *)result)->business_date;
    return true;
}

static bool phase_failed(const struct phase *phase, int verdict, const struct inn_pipeline *pipeline,
                         struct failure *failure)
{
    if (verdict > 0)
        return failure_set(failure, EXIT_REFUSED, "%s: %s: %s", phase->what, inn_verdict_name(verdict),
                           inn_verdict_text(verdict));
    return failure_set(failure, EXIT_NO_ANSWER, "%s: %s", phase->what, inn_pipeline_error(pipeline));
}

/* What moves along in a phase. */
struct phase_progress {
    size_t sent;
    size_t answered;
    int silent_pumps;
};

static void phase_submit(const struct phase *phase, struct phase_progress *progress, struct inn_pipeline *pipeline,
                         const struct load_setup_options *options)
{
    while (progress->sent < phase->count && phase->submit(pipeline, options, progress->sent) == 0)
        progress->sent++;
}

static bool phase_take(const struct phase *phase, struct phase_progress *progress, struct inn_pipeline *pipeline,
                       struct load_setup *setup, const struct load_setup_options *options, struct failure *failure)
{
    struct inn_completion completion;
    progress->silent_pumps++;
    while (inn_pipeline_next(pipeline, &completion) == 1) {
        if (!phase->take(setup, options, &completion))
            return phase_failed(phase, completion.verdict, pipeline, failure);
        progress->answered++;
        progress->silent_pumps = 0;
    }
    if (progress->silent_pumps > SILENCE_MAX)
        return failure_set(failure, EXIT_NO_ANSWER, "%s: the server does not answer", phase->what);
    return true;
}

static bool run_phase(const struct phase *phase, struct inn_pipeline *pipeline, struct load_setup *setup,
                      const struct load_setup_options *options, struct failure *failure)
{
    struct phase_progress progress = { 0 };
    while (progress.answered < phase->count) {
        phase_submit(phase, &progress, pipeline, options);
        int verdict = inn_pump(pipeline, PUMP_MS);
        if (!phase_take(phase, &progress, pipeline, setup, options, failure))
            return false;
        if (verdict != 0)
            return phase_failed(phase, verdict, pipeline, failure);
    }
    return true;
}

static bool run_phases(struct inn_pipeline *pipeline, struct load_setup *setup,
                       const struct load_setup_options *options, struct failure *failure)
{
    size_t properties = options->shape.properties;
    const struct phase phases[] = {
        { "making properties", properties, submit_property, take_property },
        { "making room types", properties * options->shape.room_types, submit_room_type, take_room_type },
        { "reading business dates", properties, submit_calendar, take_calendar },
    };
    for (size_t i = 0; i < ARRAY_COUNT(phases); i++)
        if (!run_phase(&phases[i], pipeline, setup, options, failure))
            return false;
    return true;
}

static bool check_hello(const struct load_setup *setup, const struct load_setup_options *options,
                        struct failure *failure)
{
    if (setup->hello.horizon_nights >= options->nights)
        return true;
    return failure_set(failure, EXIT_REFUSED, "the server sells %u nights ahead, fewer than --nights %u",
                       setup->hello.horizon_nights, options->nights);
}

bool load_setup_run(struct load_setup *setup, const struct load_setup_options *options, struct failure *failure)
{
    *setup = (struct load_setup){ 0 };
    setup->business_dates = calloc(options->shape.properties, sizeof *setup->business_dates);
    if (setup->business_dates == NULL)
        return failure_set(failure, EXIT_REFUSED, "out of memory");
    struct inn_pipeline *pipeline = NULL;
    struct inn_pipeline_options pipeline_options;
    struct inn_error error;
    inn_pipeline_options_init(&pipeline_options);
    pipeline_options.batch_max = 64;
    pipeline_options.client = "innkeep-bench reserve";
    int verdict = inn_pipeline_open(&pipeline, options->server, &pipeline_options, &error);
    if (verdict != INN_OK)
        return failure_set(failure, verdict == INN_BAD_ARGUMENT ? EXIT_USAGE : EXIT_NO_ANSWER, "%s: %s",
                           inn_verdict_name(verdict), error.text);
    setup->hello = *inn_pipeline_hello(pipeline);
    bool done = check_hello(setup, options, failure) && run_phases(pipeline, setup, options, failure);
    setup->server_time_offset_ns = inn_pipeline_time(pipeline) - clock_now_ns();
    inn_pipeline_close(pipeline);
    return done;
}

void load_setup_free(struct load_setup *setup)
{
    free(setup->business_dates);
    *setup = (struct load_setup){ 0 };
}

bool load_setup_statuses(const char *server, uint32_t shards, struct inn_status_result *statuses,
                         struct failure *failure)
{
    struct inn_connection *connection = NULL;
    struct inn_error error;
    int verdict = inn_connect(&connection, server, NULL, &error);
    if (verdict != INN_OK)
        return failure_set(failure, EXIT_NO_ANSWER, "%s: %s", inn_verdict_name(verdict), error.text);
    for (uint32_t shard = 0; shard < shards && verdict == INN_OK; shard++)
        verdict = inn_status(connection, shard, 0, &statuses[shard]);
    if (verdict != INN_OK)
        failure_set(failure, verdict > 0 ? EXIT_REFUSED : EXIT_NO_ANSWER, "status: %s", inn_verdict_name(verdict));
    inn_close(connection);
    return verdict == INN_OK;
}
