/* engine/check.c: engine_check sees every kind of damage that is done here on purpose. */
#include "tests/engine/fixture.h"

#include "engine/state.h"

#include <criterion/criterion.h>

static struct world *world;
static struct engine *engine;

static void begin(void)
{
    struct engine_limits limits = small_limits();
    world = world_with_rooms(&limits, 6);
    engine = world->engine;
    struct reserve hold = make_hold(world, 1, NIGHT_0, 3, NS_PER_MINUTE);
    struct reserve other = make_hold(world, 2, NIGHT_0, 2, NS_PER_SECOND);
    struct reserve reserve = make_reserve(world, 3, NIGHT_0, 1);
    struct reserve refused = make_reserve(world, 4, NIGHT_0 - 1, 1);
    world_mutate(world, &hold);
    world_mutate(world, &other);
    world_mutate(world, &reserve);
    world_mutate(world, &refused);
    struct reservation_change release = make_change(world, OPERATION_RELEASE, 5, 2);
    world_mutate(world, &release);
    struct lease_acquire acquire = make_acquire(1, 1, NS_PER_MINUTE);
    world_lease(world, &acquire);
    cr_assert_null(engine_check(engine));
}

static void end(void)
{
    world_free(world);
}

TestSuite(check, .init = begin, .fini = end);

/* Damages a field, expects the check to see it, and repairs it. */
#define EXPECT_SEEN(field, damage)                                       \
    do {                                                                 \
        __typeof__(field) saved_ = (field);                              \
        damage;                                                          \
        cr_assert_not_null(engine_check(engine), "unseen: %s", #damage); \
        (field) = saved_;                                                \
        cr_assert_null(engine_check(engine));                            \
    } while (0)

Test(check, a_night_that_counts_wrongly)
{
    struct night *night = inventory_night_edit(&engine->inventory, 1, NIGHT_0);
    EXPECT_SEEN(night->sold, night->sold++);
    EXPECT_SEEN(night->held, night->held--);
    EXPECT_SEEN(*night, (night->sold++, night->held--));
    EXPECT_SEEN(night->sold, night->sold = ROOMS_MAX + 1);
    EXPECT_SEEN(night->sellable, night->sellable = -1);
    EXPECT_SEEN(night->restrictions, night->restrictions = 1);
    struct night *next = inventory_night_edit(&engine->inventory, 1, NIGHT_0 + 1);
    struct night saved = *next;
    next->held++;
    night->held--;
    cr_assert_not_null(engine_check(engine), "two errors that cancel out");
    night->held++;
    *next = saved;
}

Test(check, a_reservation_that_does_not_fit_the_rest)
{
    struct reservation *held = engine_reservation_edit(engine, 1);
    struct reservation *ended = engine_reservation_edit(engine, 2);
    EXPECT_SEEN(held->rooms, held->rooms++);
    EXPECT_SEEN(held->nights, held->nights--);
    EXPECT_SEEN(held->key, held->key.word[0]++);
    EXPECT_SEEN(held->hold_deadline_ns, held->hold_deadline_ns++);
    EXPECT_SEEN(held->lsn, held->lsn++);
    EXPECT_SEEN(*held, held->arrival_days++);
    EXPECT_SEEN(*held, held->state = RESERVATION_CONFIRMED);
    EXPECT_SEEN(*held, held->state = RESERVATION_CANCELLED);
    EXPECT_SEEN(*held, held->latest_operation = OPERATION_CONFIRM);
    EXPECT_SEEN(ended->latest_key, ended->latest_key.word[1]++);
    EXPECT_SEEN(ended->latest_not_after_ns, ended->latest_not_after_ns = NEVER_NS - 2);
    EXPECT_SEEN(*ended, ended->state = RESERVATION_HELD);
}

Test(check, counters_that_are_off)
{
    EXPECT_SEEN(engine->held_count, engine->held_count++);
    EXPECT_SEEN(engine->confirmed_count, engine->confirmed_count--);
    EXPECT_SEEN(engine->keys.count, engine->keys.count++);
    EXPECT_SEEN(engine->due.count, engine->due.count--);
    EXPECT_SEEN(engine->reservations.free_count, engine->reservations.free_count++);
}

Test(check, indexes_that_lead_astray)
{
    struct hash_index *indexes[] = { &engine->keys, &engine->leases.index, &engine->inventory.type_index,
                                     &engine->inventory.properties.index };
    for (size_t i = 0; i < ARRAY_COUNT(indexes); i++)
        for (uint64_t slot = 0; slot < indexes[i]->capacity; slot++)
            if (indexes[i]->entries[slot] != 0)
                EXPECT_SEEN(indexes[i]->entries[slot], indexes[i]->entries[slot] = 0);
}

Test(check, properties_and_room_types_that_disagree)
{
    struct property *property = property_edit(&engine->inventory.properties, 1);
    struct room_type *type = room_type_edit(&engine->inventory, 1);
    EXPECT_SEEN(property->number, property->number++);
    EXPECT_SEEN(property->business_date, property->business_date++);
    EXPECT_SEEN(property->types_count, property->types_count++);
    EXPECT_SEEN(property->first_type, property->first_type = 0);
    EXPECT_SEEN(type->number, type->number++);
    EXPECT_SEEN(type->property_number, type->property_number++);
    EXPECT_SEEN(type->property, type->property = 0);
    EXPECT_SEEN(type->ordinal, type->ordinal++);
}

Test(check, outcomes_and_leases_that_wait_wrongly)
{
    struct outcome *outcome = engine_outcome_edit(engine, 1);
    struct lease *lease = lease_edit(&engine->leases, 1);
    EXPECT_SEEN(outcome->not_after_ns, outcome->not_after_ns++);
    EXPECT_SEEN(outcome->key, outcome->key.word[0]++);
    EXPECT_SEEN(lease->deadline_ns, lease->deadline_ns++);
    EXPECT_SEEN(lease->ttl_ns, lease->ttl_ns++);
    EXPECT_SEEN(lease->resource, lease->resource++);
    EXPECT_SEEN(lease->state, lease->state = LEASE_RELEASED);
}
