#include "bench/load_message.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define BATCH 50
#define BUSINESS_DATE 20000

static struct message_header *message;
static struct load_targets targets;
static struct random_source source;
static const struct load_fill fill = { .correlation = 77, .not_after_ns = 123456789, .arrivals_count = 10 };

static void make(void)
{
    static int32_t business_dates[3] = { BUSINESS_DATE, BUSINESS_DATE, BUSINESS_DATE };
    struct load_shape shape = { .property_base = 500, .properties = 3, .room_types = 4 };
    cr_assert_eq(load_targets_init(&targets, &shape, business_dates, LOAD_SHARD_ALL, 2), 0);
    random_init(&source, 1, 0);
    message = calloc(1, load_message_size(BATCH));
    load_message_init(message, BATCH, 3);
    load_message_fill(message, &fill, &targets, &source);
}

static const struct reserve *reserve_at(uint32_t index)
{
    return (const struct reserve *)(const void *)(message + 1) + index;
}

Test(load_message, is_a_message_whose_every_item_the_server_takes, .init = make)
{
    cr_assert_eq(message_header_check(message, MESSAGE_SIZE_MAX), STATUS_OK);
    cr_assert_eq(message_check(message), STATUS_OK);
    cr_expect_eq(message->items_count, BATCH);
    cr_expect_eq(message->correlation, 77);
    const struct record_header *item = message_item_first(message);
    for (int i = 0; i < BATCH; i++, item = message_item_next(item))
        cr_expect_eq(command_check(item, item->size), STATUS_OK, "item %d", i);
}

Test(load_message, asks_for_existing_room_types_and_nights_within_the_window, .init = make)
{
    bool property_seen[4] = { false };
    bool last_arrival_seen = false;
    for (uint32_t i = 0; i < BATCH; i++) {
        const struct reserve *reserve = reserve_at(i);
        uint64_t property = reserve->mutation.header.property;
        cr_assert(property >= 501 && property <= 503);
        property_seen[property - 500] = true;
        cr_expect(reserve->lines[0].room_type >= 1 && reserve->lines[0].room_type <= 4);
        cr_expect_eq(reserve->lines[0].rooms, 1);
        cr_expect_eq(reserve->nights, 3);
        cr_expect(reserve->arrival >= BUSINESS_DATE && reserve->arrival < BUSINESS_DATE + 10);
        cr_expect_eq(reserve->mutation.not_after_ns, 123456789);
        last_arrival_seen = last_arrival_seen || reserve->arrival == BUSINESS_DATE + 9;
    }
    cr_expect(property_seen[1] && property_seen[2] && property_seen[3]);
    cr_expect(last_arrival_seen);
}

Test(load_message, has_new_keys_each_time_it_is_filled, .init = make)
{
    enum { FILLS = 100 };
    static struct key keys[FILLS * BATCH];
    for (int f = 0; f < FILLS; f++) {
        load_message_fill(message, &fill, &targets, &source);
        cr_assert_eq(message_check(message), STATUS_OK);
        for (uint32_t i = 0; i < BATCH; i++)
            keys[(uint32_t)f * BATCH + i] = reserve_at(i)->mutation.header.key;
    }
    for (int i = 0; i < FILLS * BATCH; i++) {
        cr_assert_not(key_is_zero(keys[i]));
        for (int j = 0; j < i; j++)
            cr_assert_not(key_equal(keys[i], keys[j]));
    }
}

Test(load_message, with_affinity_only_targets_of_the_shard_are_asked_for)
{
    static int32_t business_dates[40];
    struct load_shape shape = { .property_base = 0, .properties = 40, .room_types = 2 };
    uint32_t count = 0;
    for (uint32_t shard = 0; shard < 3; shard++) {
        cr_assert_eq(load_targets_init(&targets, &shape, business_dates, shard, 3), 0);
        for (uint32_t i = 0; i < targets.count; i++)
            cr_expect_eq(shard_of_property(targets.items[i].property, 3), shard);
        count += targets.count;
        load_targets_free(&targets);
    }
    cr_expect_eq(count, 80);
    shape.distribution = DISTRIBUTION_HOT;
    uint32_t elsewhere = (shard_of_property(1, 3) + 1) % 3;
    cr_expect_neq(load_targets_init(&targets, &shape, business_dates, elsewhere, 3), 0,
                  "the hot property lives elsewhere");
}
