#include "bench/demand_replay.h"

#include "bench/clock.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SILENCE_MAX_NS (60 * NS_PER_SECOND)
#define SETTLE_MAX_NS (1 * NS_PER_SECOND)

enum outcome { OUTCOME_OPEN = 0, OUTCOME_ACCEPTED, OUTCOME_REFUSED };

/* One hotel's events on their way. */
struct lane {
    struct inn_pipeline *pipeline;
    uint32_t *events; /* owned: indexes into plan->events, in order */
    size_t count;
    size_t sent;
    size_t answered;
    uint64_t last_lsn;
    bool fresh_answer_seen; /* one that was not replayed: from here on all have to be */
};

struct replay {
    const struct demand_plan *plan;
    const struct demand_options *options;
    struct demand_counts *counts;
    struct failure *failure;
    struct lane lanes[HOTELS_COUNT];
    uint8_t *outcomes; /* owned: enum outcome by booking */
    uint64_t begun_ns;
    uint64_t progress_ns;
    uint64_t heard_ns;
    size_t progress_answered;
};

static const struct event *event_at(const struct replay *replay, uint64_t index)
{
    return &replay->plan->events.items[index];
}

/* ---- Sending ------------------------------------------------------------------------------------------------------- */

static struct inn_mutation mutation_of(const struct replay *replay, const struct lane *lane, const struct event *event)
{
    const struct booking *booking = &replay->plan->bookings.items[event->booking];
    return (struct inn_mutation){
        .property = demand_plan_property(replay->plan, (enum hotel)booking->hotel),
        .key = demand_plan_key(replay->plan, (enum demand_key)event->kind, event->booking),
        .not_after_ns = inn_pipeline_time(lane->pipeline) + replay->options->within_ns,
    };
}

static int submit_event(const struct replay *replay, const struct lane *lane, uint32_t index)
{
    const struct event *event = event_at(replay, index);
    const struct booking *booking = &replay->plan->bookings.items[event->booking];
    struct inn_mutation mutation = mutation_of(replay, lane, event);
    if (event->kind == EVENT_REQUEST) {
        struct inn_reserve_request request = { .mutation = mutation, .arrival = booking->arrival, .rooms = 1 };
        request.external_reference = event->booking;
        request.nights = booking->nights;
        request.room_type = booking->room_type;
        return inn_pipeline_reserve(lane->pipeline, &request, index);
    }
    struct inn_change_request request = { .mutation = mutation };
    request.reservation = demand_plan_key(replay->plan, DEMAND_KEY_RESERVE, event->booking);
    return inn_pipeline_cancel(lane->pipeline, &request, index);
}

/* Fills the lane's window. What the pipeline does not take now, it takes in a later round. */
static void lane_submit(const struct replay *replay, struct lane *lane)
{
    while (lane->sent < lane->count && lane->sent - lane->answered < replay->options->window) {
        if (submit_event(replay, lane, lane->events[lane->sent]) != 0)
            return;
        lane->sent++;
    }
}

/* ---- Receiving ----------------------------------------------------------------------------------------------------- */

static bool unexpected(struct replay *replay, uint64_t index, int verdict)
{
    const struct event *event = event_at(replay, index);
    return failure_set(replay->failure, EXIT_REFUSED, "booking %u: its %s was answered %s, which cannot be: %s",
                       event->booking, event->kind == EVENT_REQUEST ? "request" : "cancellation",
                       inn_verdict_name(verdict), inn_verdict_text(verdict));
}

static bool take_request(struct replay *replay, uint64_t index, int verdict)
{
    uint8_t *outcome = &replay->outcomes[event_at(replay, index)->booking];
    if (verdict != INN_OK && verdict != INN_SOLD_OUT)
        return unexpected(replay, index, verdict);
    bool accepted = verdict == INN_OK;
    *outcome = accepted ? OUTCOME_ACCEPTED : OUTCOME_REFUSED;
    replay->counts->requests++;
    replay->counts->accepted += accepted;
    replay->counts->sold_out += !accepted;
    return true;
}

static bool take_cancellation(struct replay *replay, uint64_t index, int verdict)
{
    uint8_t outcome = replay->outcomes[event_at(replay, index)->booking];
    if (outcome == OUTCOME_OPEN || verdict != (outcome == OUTCOME_ACCEPTED ? INN_OK : INN_NO_SUCH_RESERVATION))
        return unexpected(replay, index, verdict);
    replay->counts->cancelled += verdict == INN_OK;
    replay->counts->cancellations_of_refused += verdict != INN_OK;
    return true;
}

/* A hotel's answers have to come in the order of its events, at growing positions of the log; and what an earlier run left is a
 * beginning without holes. */
static void check_order(struct replay *replay, struct lane *lane, const struct inn_completion *completion)
{
    const struct inn_result *result = completion->result;
    if (lane->events[lane->answered] != completion->user || result->lsn <= lane->last_lsn)
        failure_set(replay->failure, EXIT_REFUSED, "LSN %" PRIu64 " was answered out of order, after LSN %" PRIu64,
                    result->lsn, lane->last_lsn);
    bool replayed = (result->flags & INN_REPLAYED) != 0;
    if (replayed && lane->fresh_answer_seen)
        failure_set(replay->failure, EXIT_REFUSED,
                    "LSN %" PRIu64 " of an earlier run is there and something before it is not: the server lost it, or "
                    "that run lies too far back for its keys to be remembered",
                    result->original_lsn);
    lane->last_lsn = result->lsn;
    lane->fresh_answer_seen = !replayed;
    replay->counts->replayed += replayed;
}

static void take_loss(struct replay *replay, const struct lane *lane, const struct inn_completion *completion)
{
    replay->counts->unknown += completion->verdict == INN_UNKNOWN;
    replay->counts->unsent += completion->verdict != INN_UNKNOWN;
    failure_set(replay->failure, EXIT_NO_ANSWER, "the connection was lost: %s", inn_pipeline_error(lane->pipeline));
}

static void take_answer(struct replay *replay, struct lane *lane, const struct inn_completion *completion)
{
    if (completion->verdict < 0) {
        take_loss(replay, lane, completion);
    } else if (replay->failure->exit_code != EXIT_REFUSED) {
        bool request = event_at(replay, completion->user)->kind == EVENT_REQUEST;
        if ((request ? take_request : take_cancellation)(replay, completion->user, completion->verdict))
            check_order(replay, lane, completion);
    }
    lane->answered++;
}

static void lane_receive(struct replay *replay, struct lane *lane)
{
    struct inn_completion completion;
    while (lane->answered < lane->sent && inn_pipeline_next(lane->pipeline, &completion) == 1) {
        take_answer(replay, lane, &completion);
        replay->heard_ns = clock_now_ns();
    }
}

/* ---- The loop ------------------------------------------------------------------------------------------------------ */

static size_t answered_in_all(const struct replay *replay)
{
    size_t answered = 0;
    for (int i = 0; i < HOTELS_COUNT; i++)
        answered += replay->lanes[i].answered;
    return answered;
}

static void show_progress(struct replay *replay, uint64_t now_ns)
{
    size_t answered = answered_in_all(replay);
    fprintf(stderr, "demand %.0f s: %zu of %zu events, %zu a second; accepted %" PRIu64 ", sold out %" PRIu64 "\n",
            clock_seconds(now_ns - replay->begun_ns), answered, replay->plan->events.count,
            answered - replay->progress_answered, replay->counts->accepted, replay->counts->sold_out);
    replay->progress_ns = now_ns + NS_PER_SECOND;
    replay->progress_answered = answered;
}

static void watch_time(struct replay *replay)
{
    uint64_t now_ns = clock_now_ns();
    if (now_ns >= replay->progress_ns)
        show_progress(replay, now_ns);
    if (now_ns - replay->heard_ns > SILENCE_MAX_NS)
        failure_set(replay->failure, EXIT_NO_ANSWER, "the server has not answered for %d seconds",
                    (int)(SILENCE_MAX_NS / NS_PER_SECOND));
}

static void lane_move_bytes(struct lane *lane, short ready)
{
    /* What a lost connection means is told by the completions that follow. */
    if ((ready & (POLLIN | POLLHUP | POLLERR)) != 0 && inn_on_readable(lane->pipeline) != 0)
        return;
    if ((ready & POLLOUT) != 0 && inn_on_writable(lane->pipeline) != 0)
        return;
}

/* Waits at most until the next line of progress is due; a lane whose connection is gone has only completions left. */
static void wait_for_server(struct replay *replay)
{
    struct pollfd polled[HOTELS_COUNT];
    for (int i = 0; i < HOTELS_COUNT; i++) {
        const struct inn_pipeline *pipeline = replay->lanes[i].pipeline;
        polled[i] = (struct pollfd){ .fd = inn_fd(pipeline), .events = POLLIN };
        if (inn_want_write(pipeline))
            polled[i].events = POLLIN | POLLOUT;
    }
    if (poll(polled, HOTELS_COUNT, 200) <= 0)
        return;
    for (int i = 0; i < HOTELS_COUNT; i++)
        lane_move_bytes(&replay->lanes[i], polled[i].revents);
}

static bool lanes_done(const struct replay *replay)
{
    for (int i = 0; i < HOTELS_COUNT; i++)
        if (replay->lanes[i].answered < replay->lanes[i].count)
            return false;
    return true;
}

static void run_lanes(struct replay *replay)
{
    while (!lanes_done(replay) && !failure_is_set(replay->failure)) {
        for (int i = 0; i < HOTELS_COUNT; i++) {
            lane_submit(replay, &replay->lanes[i]);
            if (inn_pipeline_flush(replay->lanes[i].pipeline) != 0)
                failure_set(replay->failure, EXIT_NO_ANSWER, "the connection was lost: %s",
                            inn_pipeline_error(replay->lanes[i].pipeline));
        }
        wait_for_server(replay);
        for (int i = 0; i < HOTELS_COUNT; i++)
            lane_receive(replay, &replay->lanes[i]);
        watch_time(replay);
    }
}

/* After a failure what has arrived still counts, what has not is unknown. A server that is gone has closed both connections, so
 * this does not take long. */
static void lane_settle(struct replay *replay, struct lane *lane)
{
    uint64_t until_ns = clock_now_ns() + SETTLE_MAX_NS;
    bool open = true;
    do {
        open = inn_pump(lane->pipeline, 100) == 0;
        lane_receive(replay, lane);
    } while (open && lane->answered < lane->sent && clock_now_ns() < until_ns);
    replay->counts->unknown += lane->sent - lane->answered;
    replay->counts->unsent += lane->count - lane->sent;
}

static void settle_rest(struct replay *replay)
{
    for (int i = 0; i < HOTELS_COUNT && failure_is_set(replay->failure); i++)
        lane_settle(replay, &replay->lanes[i]);
}

/* ---- Beginning and end --------------------------------------------------------------------------------------------- */

static bool lane_open(struct replay *replay, struct lane *lane)
{
    struct inn_pipeline_options options;
    struct inn_error error;
    inn_pipeline_options_init(&options);
    options.batch_max = replay->options->batch;
    options.messages_max = replay->options->window;
    options.client = "innkeep-bench demand";
    int verdict = inn_pipeline_open(&lane->pipeline, replay->options->server, &options, &error);
    if (verdict == INN_OK)
        return true;
    return failure_set(replay->failure, verdict == INN_BAD_ARGUMENT ? EXIT_USAGE : EXIT_NO_ANSWER, "%s: %s",
                       inn_verdict_name(verdict), error.text);
}

/* Deals the events out to their hotels, which keeps the order within each. */
static bool deal_events(struct replay *replay)
{
    const struct demand_plan *plan = replay->plan;
    replay->outcomes = calloc(plan->bookings.count, sizeof *replay->outcomes);
    if (replay->outcomes == NULL)
        return failure_set(replay->failure, EXIT_REFUSED, "out of memory");
    for (int i = 0; i < HOTELS_COUNT; i++) {
        replay->lanes[i].events = calloc(plan->events.count, sizeof *replay->lanes[i].events);
        if (replay->lanes[i].events == NULL)
            return failure_set(replay->failure, EXIT_REFUSED, "out of memory");
    }
    for (uint32_t i = 0; i < plan->events.count; i++) {
        struct lane *lane = &replay->lanes[plan->bookings.items[plan->events.items[i].booking].hotel];
        REQUIRE(lane->events != NULL);
        lane->events[lane->count++] = i;
    }
    return true;
}

static void replay_free(struct replay *replay)
{
    for (int i = 0; i < HOTELS_COUNT; i++) {
        inn_pipeline_close(replay->lanes[i].pipeline);
        free(replay->lanes[i].events);
    }
    free(replay->outcomes);
}

bool demand_replay(const struct demand_plan *plan, const struct demand_options *options, struct demand_counts *counts,
                   struct failure *failure)
{
    REQUIRE(options->window >= 1);
    REQUIRE(options->batch >= 1);
    struct replay replay = { .plan = plan, .options = options, .counts = counts, .failure = failure };
    bool ready = deal_events(&replay);
    for (int i = 0; ready && i < HOTELS_COUNT; i++)
        ready = lane_open(&replay, &replay.lanes[i]);
    if (ready) {
        replay.begun_ns = replay.heard_ns = clock_now_ns();
        replay.progress_ns = replay.begun_ns + NS_PER_SECOND;
        run_lanes(&replay);
        settle_rest(&replay);
    }
    replay_free(&replay);
    return !failure_is_set(failure);
}
