/* Each promise that verify checks, broken by telling the checker of another record than the one that was applied: the engine itself keeps them. */
#include "tools/innkeep-wal/invariants.h"

#include "net/state_machine.h"
#include "tests/net/frames.h"

#include <criterion/criterion.h>
#include <string.h>

#define TIME_NS UINT64_C(1790000000000000000)
#define DATE 20780
#define PROPERTY 1
#define TYPE 7
#define ROOMS 2

static struct state_machine machine;
static struct invariants invariants;
static uint64_t last_lsn;
static uint64_t now_ns = TIME_NS;

/* Applies `applied` and has the checker judge `told`. */
static const char *judge(const void *told, const void *applied)
{
    static struct frame frame;
    union apply_result result;
    frame_begin(&frame, last_lsn, now_ns);
    frame_append(&frame, applied);
    cr_assert_eq(state_machine_begin(&machine, &frame.header), 0);
    invariants_before(&invariants, machine.engine, told);
    cr_assert_eq(state_machine_step(&machine, applied, ++last_lsn, &result), 0);
    return invariants_after(&invariants, machine.engine, told, last_lsn, &result);
}

static void keep(const void *record)
{
    const char *wrong = judge(record, record);
    cr_assert_null(wrong, "%s", wrong);
}

#define KEEP(record)                               \
    do {                                           \
        __typeof__(record) kept_record = (record); \
        keep(&kept_record);                        \
    } while (0)

#define EXPECT_BROKEN(told, applied, words)                                      \
    do {                                                                         \
        __typeof__(told) told_record = (told);                                   \
        __typeof__(applied) applied_record = (applied);                          \
        const char *wrong = judge(&told_record, &applied_record);                \
        cr_assert_not_null(wrong);                                               \
        cr_assert_not_null(strstr(wrong, words), "%s not in: %s", words, wrong); \
    } while (0)

static void setup(void)
{
    static const uint8_t uuid[16] = { 1 };
    state_machine_init(&machine, uuid);
    cr_assert_eq(invariants_init(&invariants), 0);
    KEEP(record_config(small_limits()));
    KEEP(record_property(PROPERTY, DATE, 1, now_ns));
    KEEP(record_room_type(PROPERTY, TYPE, ROOMS, 2, now_ns));
}

static void teardown(void)
{
    invariants_free(&invariants);
    state_machine_free(&machine);
}

TestSuite(invariants, .init = setup, .fini = teardown);

static struct reserve reserve(uint64_t number, uint16_t rooms, uint64_t hold_ns)
{
    struct reserve record = record_reserve(PROPERTY, TYPE, DATE + 3, 2, hold_ns, number, now_ns);
    record.lines[0].rooms = rooms;
    return record;
}

static struct rooms_set rooms_set(uint16_t rooms, uint8_t weekdays, uint64_t number)
{
    struct rooms_set record = { .mutation = record_property(PROPERTY, 0, number, now_ns).mutation,
                                .room_type = TYPE,
                                .first_night = DATE,
                                .last_night = DATE + 6,
                                .weekdays = weekdays,
                                .rooms = rooms };
    record.mutation.header.kind = OPERATION_ROOMS_SET;
    record.mutation.header.size = sizeof record;
    return record;
}

static struct lease_release release(uint64_t token)
{
    struct lease_release record = { .resource = 5, .token = token };
    record.header = record_acquire(PROPERTY, 5, 0, 0).header;
    record.header.kind = OPERATION_LEASE_RELEASE;
    record.header.size = sizeof record;
    return record;
}

static struct reserve under(struct reserve record, uint64_t token)
{
    record.mutation.fence_token = token;
    record.mutation.fence_resource = 5;
    return record;
}

Test(invariants, are_kept_by_the_whole_life_of_reservations)
{
    KEEP(reserve(10, 1, 0));
    KEEP(reserve(11, 1, NS_PER_HOUR));
    KEEP(reserve(12, 1, 0)); /* SOLD_OUT */
    KEEP(reserve(10, 1, 0)); /* replayed */
    KEEP(record_change(OPERATION_CONFIRM, PROPERTY, 11, 13, now_ns));
    KEEP(record_change(OPERATION_CANCEL, PROPERTY, 11, 14, now_ns));
    KEEP(reserve(15, 1, NS_PER_MS));
    KEEP(record_change(OPERATION_RELEASE, PROPERTY, 15, 16, now_ns));
    KEEP(reserve(17, 1, NS_PER_MS));
    now_ns += NS_PER_SECOND;
    KEEP(record_change(OPERATION_CONFIRM, PROPERTY, 17, 18, now_ns)); /* HOLD_EXPIRED */
    KEEP(rooms_set(0, 0x15, 19)); /* a cut of supply may leave more taken than there is */
    KEEP(record_change(OPERATION_CANCEL, PROPERTY, 10, 20, now_ns));
    struct rooms_set whole = rooms_set(3, WEEKDAYS_ALL, 21);
    whole.last_night = DATE + 99;
    KEEP(whole);
}

Test(invariants, are_kept_by_leases_and_what_is_written_under_them)
{
    KEEP(record_acquire(PROPERTY, 5, 1, NS_PER_SECOND));
    uint64_t first = last_lsn;
    KEEP(record_acquire(PROPERTY, 5, 2, NS_PER_SECOND)); /* LEASE_HELD */
    KEEP(record_acquire(PROPERTY, 5, 1, NS_PER_SECOND)); /* the same again */
    KEEP(under(reserve(10, 1, 0), first));
    now_ns += 2 * NS_PER_SECOND;
    KEEP(record_acquire(PROPERTY, 5, 2, NS_PER_SECOND));
    uint64_t second = last_lsn;
    KEEP(under(reserve(11, 1, 0), first)); /* FENCED */
    KEEP(under(reserve(12, 1, 0), second));
    KEEP(release(first)); /* FENCED */
    KEEP(release(second));
    KEEP(record_acquire(PROPERTY, 5, 3, NS_PER_SECOND));
}

Test(invariants, rooms_that_were_taken_and_not_counted_are_noticed)
{
    EXPECT_BROKEN(reserve(10, 2, 0), reserve(10, 1, 0), "rooms do not add up: 2026-11-26");
    EXPECT_BROKEN(reserve(11, 1, 0), reserve(11, 1, NS_PER_HOUR), "rooms do not add up");
}

Test(invariants, a_change_that_moves_other_rooms_than_it_says_is_noticed)
{
    KEEP(reserve(10, 1, NS_PER_HOUR));
    KEEP(reserve(11, 1, NS_PER_HOUR));
    EXPECT_BROKEN(record_change(OPERATION_RELEASE, PROPERTY, 10, 12, now_ns),
                  record_change(OPERATION_CONFIRM, PROPERTY, 10, 12, now_ns), "rooms do not add up");
    EXPECT_BROKEN(record_change(OPERATION_CONFIRM, PROPERTY, 11, 13, now_ns),
                  record_change(OPERATION_RELEASE, PROPERTY, 11, 13, now_ns), "rooms do not add up");
}

Test(invariants, supply_on_other_weekdays_than_were_asked_for_is_noticed)
{
    EXPECT_BROKEN(rooms_set(5, 0x01, 10), rooms_set(5, WEEKDAYS_ALL, 10), "rooms do not add up");
    EXPECT_BROKEN(rooms_set(6, WEEKDAYS_ALL, 11), rooms_set(6, 0x7e, 11), "rooms do not add up");
}

/* The checker is told of a reserve, but what is applied cuts the supply of nights that are taken. */
Test(invariants, an_oversold_night_is_noticed)
{
    KEEP(reserve(10, 1, 0));
    EXPECT_BROKEN(reserve(11, 1, 0), rooms_set(0, WEEKDAYS_ALL, 11), "oversold: 2026-11-26 has 0 rooms and 1 taken");
}

Test(invariants, a_write_under_a_dead_or_foreign_token_is_noticed)
{
    EXPECT_BROKEN(under(reserve(10, 1, 0), 1), reserve(10, 1, 0), "under token 1");
    KEEP(record_acquire(PROPERTY, 5, 1, NS_PER_SECOND));
    uint64_t token = last_lsn;
    EXPECT_BROKEN(under(reserve(11, 1, 0), token - 1), reserve(11, 1, 0), "which is not the live one");
    now_ns += NS_PER_SECOND;
    KEEP(rooms_set(9, WEEKDAYS_ALL, 12));
    EXPECT_BROKEN(under(reserve(13, 1, 0), token), reserve(13, 1, 0), "which is not the live one");
}

Test(invariants, a_write_after_its_deadline_is_noticed)
{
    struct reserve late = reserve(10, 1, 0);
    late.mutation.not_after_ns = now_ns - 1;
    EXPECT_BROKEN(late, reserve(10, 1, 0), "after its deadline");
}

Test(invariants, a_second_holder_is_noticed)
{
    KEEP(record_acquire(PROPERTY, 5, 1, NS_PER_SECOND));
    EXPECT_BROKEN(record_acquire(PROPERTY, 5, 2, NS_PER_SECOND), record_acquire(PROPERTY, 6, 2, NS_PER_SECOND),
                  "was granted while token");
    EXPECT_BROKEN(release(1), record_acquire(PROPERTY, 8, 2, NS_PER_SECOND), "renewed or released a lease");
}
