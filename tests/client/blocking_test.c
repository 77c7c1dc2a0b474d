/* The blocking calls against a scripted server: what is sent again, what is believed, and what stays unknown. */
#include "engine/base/units.h"
#include "net/include/innkeep/innkeep.h"
#include "tests/client/fake_server.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define START_NS (UINT64_C(1790000000) * NS_PER_SECOND)

static struct fake_server server; /* large; each test is a process of its own */

/* What the script saw. */
static uint8_t items_seen[8][96];
static unsigned items_count;

static void remember_item(const struct message_header *request)
{
    if (items_count < ARRAY_COUNT(items_seen))
        memcpy(items_seen[items_count++], request + 1, message_item_first(request)->size);
}

/* ---- Scripts ----------------------------------------------------------------------------------------------------- */

static void hello_then_lose_one(struct fake_server *s, int fd)
{
    (void)fd;
    fake_hello(s);
    const struct message_header *request = fake_read(s);
    if (request != NULL)
        remember_item(request);
}

static void answer_all(struct fake_server *s, enum status status)
{
    fake_hello(s);
    for (const struct message_header *request; (request = fake_read(s)) != NULL;) {
        remember_item(request);
        fake_answer(s, request, status);
    }
}

static void answer_ok(struct fake_server *s, int fd)
{
    (void)fd;
    answer_all(s, STATUS_OK);
}

static void answer_overloaded(struct fake_server *s, int fd)
{
    (void)fd;
    answer_all(s, STATUS_OVERLOADED);
}

static void answer_superseded(struct fake_server *s, int fd)
{
    (void)fd;
    answer_all(s, STATUS_SUPERSEDED);
}

static void answer_sold_out(struct fake_server *s, int fd)
{
    (void)fd;
    answer_all(s, STATUS_SOLD_OUT);
}

static void answer_no_such_key(struct fake_server *s, int fd)
{
    (void)fd;
    answer_all(s, STATUS_NO_SUCH_KEY);
}

static void answer_too_late(struct fake_server *s, int fd)
{
    (void)fd;
    answer_all(s, STATUS_TOO_LATE);
}

static void other_directory(struct fake_server *s, int fd)
{
    s->uuid_byte = 99;
    answer_ok(s, fd);
}

static void hello_then_hang_up(struct fake_server *s, int fd)
{
    (void)fd;
    fake_hello(s);
}

static void hello_then_silence(struct fake_server *s, int fd)
{
    (void)fd;
    fake_hello(s);
    while (fake_read(s) != NULL)
        continue;
}

static void silence(struct fake_server *s, int fd)
{
    (void)fd;
    while (fake_read(s) != NULL)
        continue;
}

static void turn_away(struct fake_server *s, int fd)
{
    (void)fd;
    (void)fake_read(s);
    replies_farewell(&s->replies, STATUS_TOO_MANY_CONNECTIONS);
    fake_send(s);
}

static void not_innkeep(struct fake_server *s, int fd)
{
    static const char text[] = "220 mail.example ESMTP ready, how may I help you today?\r\n";
    (void)s;
    (void)!send(fd, text, sizeof text - 1, MSG_NOSIGNAL);
    (void)fake_read(s);
}

/* ---- Helpers ----------------------------------------------------------------------------------------------------- */

static struct inn_connection *connect_to_script(fake_serve *const *script, uint64_t timeout_ns, bool retry)
{
    struct inn_options options;
    struct inn_connection *connection = NULL;
    struct inn_error error;
    server.log_time_ns = START_NS;
    server.uuid_byte = 1;
    fake_server_start(&server, script);
    inn_options_init(&options);
    options.timeout_ns = timeout_ns;
    options.retry = retry;
    cr_assert_eq(inn_connect(&connection, server.address, &options, &error), INN_OK, "%s", error.text);
    return connection;
}

static void end(struct inn_connection *connection)
{
    inn_close(connection);
    fake_server_stop(&server);
}

static const struct inn_reserve_request reserve_request = {
    .mutation = { .property = 1, .key = { { 1, 2, 3 } } }, .arrival = 20780, .nights = 1, .rooms = 1, .room_type = 2
};

static const struct inn_change_request change_request = { .mutation = { .property = 1, .key = { { 4, 5, 6 } } },
                                                          .reservation = { { 1, 2, 3 } } };

#define SCRIPT(...) ((fake_serve *const[]){ __VA_ARGS__, NULL })

/* ---- Retries ----------------------------------------------------------------------------------------------------- */

Test(blocking, a_lost_answer_is_asked_for_again_with_the_same_bytes)
{
    struct inn_mutation_result result;
    fake_serve *const *script = SCRIPT(hello_then_lose_one, hello_then_lose_one, answer_ok);
    struct inn_connection *c = connect_to_script(script, 5 * NS_PER_SECOND, true);
    cr_assert_eq(inn_reserve(c, &reserve_request, &result), INN_OK, "%s", inn_last_error(c));
    cr_assert_eq(result.header.lsn, 5);
    cr_assert_str_eq(inn_last_error(c), "");
    end(c);
    cr_assert_eq(items_count, 3);
    cr_assert_arr_eq(items_seen[0], items_seen[1], sizeof(struct reserve));
    cr_assert_arr_eq(items_seen[0], items_seen[2], sizeof(struct reserve));
    const struct reserve *item = (const void *)items_seen[0];
    cr_assert_eq(memcmp(&item->mutation.header.key, &reserve_request.mutation.key, 16), 0);
}

Test(blocking, an_unanswered_mutation_is_unknown_without_retries)
{
    struct inn_mutation_result result;
    struct inn_connection *c = connect_to_script(SCRIPT(hello_then_lose_one), 5 * NS_PER_SECOND, false);
    cr_assert_eq(inn_reserve(c, &reserve_request, &result), INN_UNKNOWN);
    cr_assert_eq(result.header.lsn, 0);
    cr_assert_gt(strlen(inn_last_error(c)), 0);
    end(c);
}

Test(blocking, an_unanswered_question_is_no_answer_without_retries)
{
    struct inn_lookup_result result;
    struct inn_connection *c = connect_to_script(SCRIPT(hello_then_lose_one), 5 * NS_PER_SECOND, false);
    cr_assert_eq(inn_lookup(c, 1, reserve_request.mutation.key, &result), INN_NO_ANSWER);
    end(c);
}

Test(blocking, overload_says_nothing_of_an_earlier_transmission)
{
    struct inn_connection *c = connect_to_script(SCRIPT(hello_then_lose_one, answer_overloaded), 300 * NS_PER_MS, true);
    cr_assert_eq(inn_reserve(c, &reserve_request, NULL), INN_UNKNOWN);
    cr_assert_not_null(strstr(inn_last_error(c), "OVERLOADED"), "%s", inn_last_error(c));
    end(c);
    cr_assert_gt(items_count, 2, "it was sent again and again: %u", items_count);
}

Test(blocking, overload_answers_the_only_transmission)
{
    struct inn_connection *c = connect_to_script(SCRIPT(answer_overloaded), 5 * NS_PER_SECOND, true);
    cr_assert_eq(inn_reserve(c, &reserve_request, NULL), INN_OVERLOADED);
    end(c);
    cr_assert_eq(items_count, 1);
}

Test(blocking, a_refusal_by_the_engine_settles_an_earlier_transmission)
{
    struct inn_connection *c = connect_to_script(SCRIPT(hello_then_lose_one, answer_sold_out), 5 * NS_PER_SECOND, true);
    cr_assert_eq(inn_reserve(c, &reserve_request, NULL), INN_SOLD_OUT);
    end(c);
}

Test(blocking, too_late_settles_a_lost_reserve)
{
    struct inn_connection *c = connect_to_script(SCRIPT(hello_then_lose_one, answer_too_late), 5 * NS_PER_SECOND, true);
    cr_assert_eq(inn_reserve(c, &reserve_request, NULL), INN_TOO_LATE);
    end(c);
}

Test(blocking, too_late_does_not_settle_a_lost_confirm)
{
    struct inn_connection *c = connect_to_script(SCRIPT(hello_then_lose_one, answer_too_late), 5 * NS_PER_SECOND, true);
    cr_assert_eq(inn_confirm(c, &change_request, NULL), INN_UNKNOWN);
    end(c);
    cr_assert_eq(items_count, 2, "no transmission can tell more");
}

Test(blocking, superseded_leaves_a_lost_change_unknown)
{
    struct inn_connection *c =
        connect_to_script(SCRIPT(hello_then_lose_one, answer_superseded), 5 * NS_PER_SECOND, true);
    cr_assert_eq(inn_cancel(c, &change_request, NULL), INN_UNKNOWN);
    end(c);
}

Test(blocking, what_was_never_sent_is_no_answer)
{
    struct inn_connection *c = connect_to_script(SCRIPT(hello_then_hang_up), 200 * NS_PER_MS, true);
    fake_server_stop(&server); /* from now on connections are refused */
    cr_assert_eq(inn_reserve(c, &reserve_request, NULL), INN_NO_ANSWER);
    cr_assert_not_null(strstr(inn_last_error(c), "is innkeepd running?"), "%s", inn_last_error(c));
    inn_close(c);
}

Test(blocking, a_connection_closed_while_idle_is_made_anew_unseen)
{
    struct inn_connection *c =
        connect_to_script(SCRIPT(hello_then_hang_up, answer_no_such_key), 5 * NS_PER_SECOND, false);
    usleep(50000); /* until the end of the stream has arrived */
    cr_assert_eq(inn_lookup(c, 1, reserve_request.mutation.key, NULL), INN_NO_SUCH_KEY, "%s", inn_last_error(c));
    end(c);
}

Test(blocking, another_data_directory_is_not_believed)
{
    struct inn_connection *c = connect_to_script(SCRIPT(hello_then_lose_one, other_directory), 5 * NS_PER_SECOND, true);
    cr_assert_eq(inn_reserve(c, &reserve_request, NULL), INN_UNKNOWN);
    cr_assert_not_null(strstr(inn_last_error(c), "another data directory"), "%s", inn_last_error(c));
    end(c);
    cr_assert_eq(items_count, 1);
}

Test(blocking, silence_ends_with_the_timeout)
{
    struct inn_connection *c = connect_to_script(SCRIPT(hello_then_silence), 100 * NS_PER_MS, false);
    struct inn_mutation_result result;
    struct inn_reserve_request request = reserve_request;
    request.mutation.not_after_ns = START_NS + NS_PER_SECOND;
    cr_assert_eq(inn_reserve(c, &request, &result), INN_UNKNOWN);
    end(c);
}

/* ---- Deadlines --------------------------------------------------------------------------------------------------- */

/* Log time is an hour further on when it answers than it was when it said hello. */
static void clock_jumps(struct fake_server *s, int fd)
{
    (void)fd;
    fake_hello(s);
    s->log_time_ns += NS_PER_HOUR;
    for (const struct message_header *request; (request = fake_read(s)) != NULL;) {
        remember_item(request);
        const struct mutation *mutation = (const void *)message_item_first(request);
        fake_answer(s, request, mutation->not_after_ns < s->log_time_ns ? STATUS_TOO_LATE : STATUS_OK);
    }
}

/* Its hello's clock is an hour ahead of its log, as on an idle server, and it goes away after that. */
static void idle_hello_then_hang_up(struct fake_server *s, int fd)
{
    s->clock_ahead_ns = NS_PER_HOUR;
    hello_then_hang_up(s, fd);
    s->clock_ahead_ns = 0;
}

static void idle_answer_ok(struct fake_server *s, int fd)
{
    s->clock_ahead_ns = NS_PER_HOUR;
    answer_ok(s, fd);
}

/* Its answers' log time is an hour ahead of its clock. */
static void answer_one_from_the_future(struct fake_server *s, int fd)
{
    (void)fd;
    fake_hello(s);
    s->log_time_ns += NS_PER_HOUR;
    const struct message_header *request = fake_read(s);
    remember_item(request);
    fake_answer(s, request, STATUS_OK);
    s->log_time_ns -= NS_PER_HOUR;
}

static uint64_t not_after_seen(unsigned index)
{
    return ((const struct mutation *)(const void *)items_seen[index])->not_after_ns;
}

/* The deadline is one of the library's, chosen when the server's clock showed `server_ns` or a little later. */
static void expect_reckoned_from(uint64_t server_ns, uint64_t not_after_ns)
{
    cr_assert_geq(not_after_ns, server_ns + 60 * NS_PER_SECOND);
    cr_assert_lt(not_after_ns, server_ns + 70 * NS_PER_SECOND);
}

Test(blocking, the_first_deadline_is_reckoned_from_hellos_clock_and_asks_for_nothing_before)
{
    struct inn_connection *c = connect_to_script(SCRIPT(idle_answer_ok), 5 * NS_PER_SECOND, true);
    cr_assert_eq(inn_hello(c)->header.log_time_ns, START_NS);
    cr_assert_eq(inn_hello(c)->server_time_ns, START_NS + NS_PER_HOUR);
    cr_assert_eq(inn_reserve(c, &reserve_request, NULL), INN_OK);
    cr_assert_eq(inn_last_not_after(c), not_after_seen(0));
    end(c);
    cr_assert_eq(items_count, 1);
    expect_reckoned_from(START_NS + NS_PER_HOUR, not_after_seen(0));
}

Test(blocking, a_new_connection_begins_with_the_clock_of_its_own_hello)
{
    struct inn_connection *c = connect_to_script(SCRIPT(idle_hello_then_hang_up, answer_ok), 5 * NS_PER_SECOND, true);
    cr_assert_geq(inn_server_time(c), START_NS + NS_PER_HOUR);
    cr_assert_eq(inn_barrier(c, 1, NULL), INN_OK);
    cr_assert_lt(inn_server_time(c), START_NS + 10 * NS_PER_SECOND, "the clock was set back over the restart");
    cr_assert_eq(inn_reserve(c, &reserve_request, NULL), INN_OK);
    end(c);
    expect_reckoned_from(START_NS, not_after_seen(1));
}

Test(blocking, a_hellos_clock_below_the_log_time_seen_is_not_taken)
{
    server.clock_ahead_ns = -NS_PER_HOUR;
    struct inn_connection *c = connect_to_script(SCRIPT(answer_ok), 5 * NS_PER_SECOND, true);
    cr_assert_eq(inn_hello(c)->server_time_ns, START_NS - NS_PER_HOUR);
    cr_assert_geq(inn_server_time(c), START_NS);
    end(c);
}

Test(blocking, a_new_hellos_clock_does_not_undo_the_log_time_seen)
{
    struct inn_connection *c =
        connect_to_script(SCRIPT(answer_one_from_the_future, answer_ok), 5 * NS_PER_SECOND, true);
    cr_assert_eq(inn_reserve(c, &reserve_request, NULL), INN_OK);
    expect_reckoned_from(START_NS, not_after_seen(0));
    cr_assert_eq(inn_barrier(c, 1, NULL), INN_OK);
    cr_assert_eq(inn_hello(c)->server_time_ns, START_NS, "this is the second connection");
    cr_assert_eq(inn_reserve(c, &reserve_request, NULL), INN_OK);
    end(c);
    cr_assert_eq(items_count, 3);
    expect_reckoned_from(START_NS + NS_PER_HOUR, not_after_seen(2));
}

Test(blocking, a_deadline_of_ours_is_moved_once_when_the_servers_clock_has_jumped)
{
    struct inn_connection *c = connect_to_script(SCRIPT(clock_jumps), 5 * NS_PER_SECOND, true);
    cr_assert_eq(inn_reserve(c, &reserve_request, NULL), INN_OK);
    cr_assert_eq(inn_last_not_after(c), not_after_seen(1));
    end(c);
    cr_assert_eq(items_count, 2);
    expect_reckoned_from(START_NS, not_after_seen(0));
    expect_reckoned_from(START_NS + NS_PER_HOUR, not_after_seen(1));
}

Test(blocking, a_deadline_of_ours_is_not_moved_twice)
{
    struct inn_connection *c = connect_to_script(SCRIPT(answer_too_late), 5 * NS_PER_SECOND, true);
    cr_assert_eq(inn_reserve(c, &reserve_request, NULL), INN_TOO_LATE);
    end(c);
    cr_assert_eq(items_count, 2);
}

Test(blocking, a_deadline_of_the_callers_is_never_moved)
{
    struct inn_reserve_request request = reserve_request;
    request.mutation.not_after_ns = START_NS + NS_PER_SECOND;
    struct inn_connection *c = connect_to_script(SCRIPT(clock_jumps), 5 * NS_PER_SECOND, true);
    cr_assert_eq(inn_reserve(c, &request, NULL), INN_TOO_LATE);
    end(c);
    cr_assert_eq(items_count, 1);
    cr_assert_eq(not_after_seen(0), START_NS + NS_PER_SECOND);
}

/* ---- Resolving --------------------------------------------------------------------------------------------------- */

struct found {
    uint64_t barrier_time_ns;
    struct lookup_result lookup;
};

static void answer_barrier_and_lookup(struct fake_server *s, int fd)
{
    const struct found *found = s->context;
    (void)fd;
    fake_hello(s);
    s->log_time_ns = found->barrier_time_ns;
    const struct message_header *request = fake_read(s);
    if (request == NULL || request->operation != OPERATION_BARRIER)
        return;
    fake_answer(s, request, STATUS_OK);
    request = fake_read(s);
    replies_begin(&s->replies, OPERATION_LOOKUP, request->correlation);
    replies_add(&s->replies, &found->lookup);
    replies_seal(&s->replies);
    fake_send(s);
    (void)fake_read(s);
}

static struct inn_resolution resolve(const struct found *found, unsigned operation)
{
    struct found copy = *found;
    struct inn_resolution resolution;
    copy.lookup.header.size = sizeof copy.lookup;
    server.context = &copy;
    struct inn_connection *c = connect_to_script(SCRIPT(answer_barrier_and_lookup), 5 * NS_PER_SECOND, true);
    cr_assert_eq(inn_resolve(c, 1, reserve_request.mutation.key, operation, START_NS + 100, &resolution), INN_OK);
    cr_assert_eq(resolution.log_time_ns, found->barrier_time_ns);
    end(c);
    return resolution;
}

#define UNKNOWN_KEY_AT(time) ((struct found){ (time), { .header = { .status = STATUS_NO_SUCH_KEY } } })

Test(blocking, an_unknown_key_is_open_until_log_time_is_past_its_deadline)
{
    struct found at_deadline = UNKNOWN_KEY_AT(START_NS + 100);
    cr_assert_eq(resolve(&at_deadline, INN_RESERVE).state, INN_RESOLUTION_OPEN);
}

Test(blocking, an_unknown_key_past_its_deadline_never_booked)
{
    struct found past = UNKNOWN_KEY_AT(START_NS + 101);
    cr_assert_eq(resolve(&past, INN_RESERVE).state, INN_RESOLUTION_NEVER);
}

Test(blocking, an_unknown_key_past_its_deadline_says_nothing_of_other_operations)
{
    struct found past = UNKNOWN_KEY_AT(START_NS + 101);
    cr_assert_eq(resolve(&past, INN_ROOMS_SET).state, INN_RESOLUTION_FORGOTTEN);
}

Test(blocking, a_reservation_found_took_effect)
{
    struct found found = { START_NS, { .what = LOOKUP_RESERVATION, .state = RESERVATION_CANCELLED, .version = 2 } };
    struct inn_resolution resolution = resolve(&found, INN_RESERVE);
    cr_assert_eq(resolution.state, INN_RESOLUTION_EFFECTIVE);
    cr_assert_eq(resolution.lookup.version, 2);
}

Test(blocking, a_refusal_found_is_a_refusal)
{
    struct found found = { START_NS + 101, { .what = LOOKUP_OUTCOME, .outcome_status = STATUS_SOLD_OUT } };
    struct inn_resolution resolution = resolve(&found, INN_RESERVE);
    cr_assert_eq(resolution.state, INN_RESOLUTION_REFUSED);
    cr_assert_eq(resolution.status, INN_SOLD_OUT);
}

/* ---- Connecting -------------------------------------------------------------------------------------------------- */

static int connect_verdict(const char *address, struct inn_error *error)
{
    struct inn_options options;
    struct inn_connection *connection = (void *)error;
    inn_options_init(&options);
    options.connect_timeout_ns = 200 * NS_PER_MS;
    int verdict = inn_connect(&connection, address, &options, error);
    cr_assert_null(connection);
    cr_assert_eq(error->verdict, verdict);
    return verdict;
}

Test(blocking, nobody_there_is_said_so)
{
    struct inn_error error;
    cr_assert_eq(connect_verdict("127.0.0.1:1", &error), INN_NO_ANSWER);
    cr_assert_str_eq(error.text, "no server at 127.0.0.1:1: Connection refused; is innkeepd running?");
    cr_assert_eq(connect_verdict("unix:/nonexistent/innkeep", &error), INN_NO_ANSWER);
    cr_assert_not_null(strstr(error.text, "is innkeepd running?"));
}

Test(blocking, what_is_no_address_is_refused)
{
    static const char *const wrong[] = { "",        "localhost", ":7433", "localhost:", "localhost:0", "::1:7433",
                                         "a:65536", "a:1000000", "a:12x", "unix:",      "[]:7433" };
    struct inn_error error;
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        cr_assert_eq(connect_verdict(wrong[i], &error), INN_BAD_ARGUMENT, "%s", wrong[i]);
}

Test(blocking, a_server_that_turns_us_away_is_quoted)
{
    struct inn_error error;
    fake_server_start(&server, SCRIPT(turn_away));
    cr_assert_eq(connect_verdict(server.address, &error), INN_TOO_MANY_CONNECTIONS);
    cr_assert_not_null(strstr(error.text, "TOO_MANY_CONNECTIONS"), "%s", error.text);
    fake_server_stop(&server);
}

Test(blocking, another_service_is_recognised)
{
    struct inn_error error;
    fake_server_start(&server, SCRIPT(not_innkeep));
    cr_assert_eq(connect_verdict(server.address, &error), INN_PROTOCOL_ERROR);
    fake_server_stop(&server);
}

Test(blocking, a_server_that_says_nothing_is_given_up)
{
    struct inn_error error;
    fake_server_start(&server, SCRIPT(silence));
    cr_assert_eq(connect_verdict(server.address, &error), INN_NO_ANSWER);
    cr_assert_not_null(strstr(error.text, "in time"), "%s", error.text);
    fake_server_stop(&server);
}

/* ---- Answers of other versions ----------------------------------------------------------------------------------------- */

static void answer_status_of(struct fake_server *s, int fd)
{
    const uint32_t *size = s->context;
    struct status_result status = { .header = { .size = *size }, .uptime_ns = 7, .refused_overload = 8 };
    memset(&status.log_padding_bytes, 0xff, sizeof(status) - offsetof(struct status_result, log_padding_bytes));
    (void)fd;
    fake_hello(s);
    const struct message_header *request = fake_read(s);
    if (request == NULL)
        return;
    replies_begin(&s->replies, OPERATION_STATUS, request->correlation);
    replies_add(&s->replies, &status);
    replies_seal(&s->replies);
    fake_send(s);
    (void)fake_read(s);
}

static int ask_status_of(uint32_t size, struct inn_status_result *result)
{
    server.context = &size;
    struct inn_connection *c = connect_to_script(SCRIPT(answer_status_of), NS_PER_SECOND, false);
    int verdict = inn_status(c, 0, 0, result);
    end(c);
    return verdict;
}

Test(blocking, what_an_earlier_server_does_not_say_is_zero)
{
    struct inn_status_result result;
    memset(&result, 0x55, sizeof result);
    cr_assert_eq(ask_status_of(offsetof(struct status_result, log_padding_bytes), &result), INN_OK);
    cr_assert_eq(result.uptime_ns, 7u);
    cr_assert_eq(result.refused_overload, 8u);
    cr_assert_eq(result.log_padding_bytes, 0u);
    cr_assert_eq(result.segments_deleted, 0u);
}

Test(blocking, less_than_the_first_servers_said_is_no_answer)
{
    struct inn_status_result result;
    cr_assert_lt(ask_status_of(offsetof(struct status_result, log_padding_bytes) - 8, &result), 0);
}
