#include "engine/snapshot.h"

#include "engine/layout.h"
#include "engine/state.h"

#include <string.h>

/* The order of the stream. An object is only understood with those before it. */
enum snapshot_range {
    RANGE_PROPERTIES,
    RANGE_ROOM_TYPES,
    RANGE_NIGHTS,
    RANGE_RESERVATIONS,
    RANGE_OUTCOMES,
    RANGE_LEASES,
    RANGE_DUE,
    RANGE_ENDED,
    RANGE_COUNT,
};

static_assert(RANGE_COUNT <= CAPTURE_RANGES_MAX, "a capture holds them all");

/* ---- The stream ---------------------------------------------------------------------------------------------------- */

static bool table_fits(const struct snapshot_table *table, uint32_t objects_max)
{
    return table->used <= objects_max && table->free_count <= table->used && table->free_first <= table->used &&
           (table->free_first == 0) == (table->free_count == 0);
}

const char *snapshot_head_check(const struct snapshot_head *head)
{
    if (head->version != SNAPSHOT_VERSION)
        return "the snapshot's head has a version unknown here";
    if (head->reserved_end != 0)
        return "the snapshot's head has reserved bytes set";
    const struct engine_limits *limits = &head->limits;
    if (!engine_limits_valid(limits))
        return "the snapshot names limits that no engine runs under";
    if (!table_fits(&head->properties, limits->properties_max) ||
        !table_fits(&head->room_types, limits->room_types_max) ||
        !table_fits(&head->reservations, limits->reservations_max) ||
        !table_fits(&head->outcomes, limits->outcomes_max) || !table_fits(&head->leases, limits->leases_max))
        return "the snapshot counts more objects than its limits allow";
    if ((uint64_t)head->due_count + head->ended_count > layout_deadlines_max(limits))
        return "the snapshot counts more deadlines than its limits allow";
    if (head->log_time_ns >= NEVER_NS)
        return "the snapshot's log time is at its end";
    return NULL;
}

static struct page_range range_of(const struct layout *layout, enum section section, uint64_t begin, uint64_t end)
{
    uint64_t first = (layout->offset[section] + begin) / CAPTURE_PAGE_SIZE;
    uint64_t last = align_up(layout->offset[section] + end, CAPTURE_PAGE_SIZE) / CAPTURE_PAGE_SIZE;
    return (struct page_range){ .first_page = first, .pages_count = begin == end ? 0 : last - first };
}

static struct page_range table_range(const struct layout *layout, enum section section,
                                     const struct snapshot_table *table, size_t object_size)
{
    return range_of(layout, section, 0, table->used == 0 ? 0 : ((uint64_t)table->used + 1) * object_size);
}

/* The two heaps grow towards each other in one section; where they meet, the page belongs to the first. */
static void heap_ranges(const struct layout *layout, const struct snapshot_head *head, struct page_range *ranges)
{
    uint64_t section_end = layout_deadlines_max(&head->limits) * sizeof(struct deadline);
    ranges[RANGE_DUE] = range_of(layout, SECTION_DEADLINES, 0, head->due_count * sizeof(struct deadline));
    ranges[RANGE_ENDED] =
        range_of(layout, SECTION_DEADLINES, section_end - head->ended_count * sizeof(struct deadline), section_end);
    uint64_t due_end = ranges[RANGE_DUE].first_page + ranges[RANGE_DUE].pages_count;
    struct page_range *ended = &ranges[RANGE_ENDED];
    if (ended->pages_count > 0 && ended->first_page < due_end) {
        uint64_t shared = due_end - ended->first_page;
        shared = shared < ended->pages_count ? shared : ended->pages_count;
        ended->first_page += shared;
        ended->pages_count -= shared;
    }
}

static void ranges_lay(const struct snapshot_head *head, struct page_range *ranges)
{
    struct layout layout = layout_of(&head->limits);
    uint64_t rings = head->room_types.used == 0 ? 0 : (uint64_t)head->room_types.used + 1;
    uint64_t ring_size = inventory_ring_nights(head->limits.horizon_nights) * sizeof(struct night);
    ranges[RANGE_PROPERTIES] = table_range(&layout, SECTION_PROPERTIES, &head->properties, sizeof(struct property));
    if (ranges[RANGE_PROPERTIES].pages_count ==
        0) /* so that no snapshot is without a page, not that of an empty engine either */
        ranges[RANGE_PROPERTIES] = range_of(&layout, SECTION_PROPERTIES, 0, CAPTURE_PAGE_SIZE);
    ranges[RANGE_ROOM_TYPES] = table_range(&layout, SECTION_ROOM_TYPES, &head->room_types, sizeof(struct room_type));
    ranges[RANGE_NIGHTS] = range_of(&layout, SECTION_NIGHTS, 0, rings * ring_size);
    ranges[RANGE_RESERVATIONS] =
        table_range(&layout, SECTION_RESERVATIONS, &head->reservations, sizeof(struct reservation));
    ranges[RANGE_OUTCOMES] = table_range(&layout, SECTION_OUTCOMES, &head->outcomes, sizeof(struct outcome));
    ranges[RANGE_LEASES] = table_range(&layout, SECTION_LEASES, &head->leases, sizeof(struct lease));
    heap_ranges(&layout, head, ranges);
}

uint64_t snapshot_data_size(const struct snapshot_head *head)
{
    struct page_range ranges[RANGE_COUNT];
    ranges_lay(head, ranges);
    uint64_t pages = 0;
    for (int i = 0; i < RANGE_COUNT; i++)
        pages += ranges[i].pages_count;
    return pages * CAPTURE_PAGE_SIZE;
}

/* ---- Taking one ---------------------------------------------------------------------------------------------------- */

static struct snapshot_table table_of(const struct pool *pool)
{
    return (
        struct snapshot_table){ .used = pool->used, .free_first = pool->free_first, .free_count = pool->free_count };
}

static void head_fill(const struct engine *engine, struct snapshot_head *head)
{
    memset(head, 0, sizeof(*head));
    head->version = SNAPSHOT_VERSION;
    head->engine_level = engine->log_level;
    head->limits = engine->limits;
    head->log_time_ns = engine->log_time_ns;
    head->last_lsn = engine->last_lsn;
    head->commit_p99_ns = engine->commit_p99_ns;
    head->commit_ttl_factor = engine->commit_ttl_factor;
    head->reclaimed_token_max = engine->leases.reclaimed_token_max;
    head->held_count = engine->held_count;
    head->confirmed_count = engine->confirmed_count;
    head->due_count = engine->due.count;
    head->ended_count = engine->ended.count;
    head->properties = table_of(&engine->inventory.properties.pool);
    head->room_types = table_of(&engine->inventory.types);
    head->reservations = table_of(&engine->reservations);
    head->outcomes = table_of(&engine->outcomes);
    head->leases = table_of(&engine->leases.pool);
}

/* Everybody who writes into what is captured. */
static void capture_tell(struct engine *engine, struct capture *capture)
{
    engine->inventory.properties.pool.capture = capture;
    engine->inventory.types.capture = capture;
    engine->inventory.capture = capture;
    engine->reservations.capture = capture;
    engine->outcomes.capture = capture;
    engine->leases.pool.capture = capture;
    engine->due.capture = capture;
    engine->ended.capture = capture;
}

void snapshot_begin(struct engine *engine, struct snapshot_head *head)
{
    head_fill(engine, head);
    ENSURE(snapshot_head_check(head) == NULL);
    struct page_range ranges[RANGE_COUNT];
    ranges_lay(head, ranges);
    capture_begin(&engine->capture, ranges, RANGE_COUNT);
    capture_tell(engine, &engine->capture);
}

void snapshot_end(struct engine *engine)
{
    capture_tell(engine, NULL);
    capture_end(&engine->capture);
}

struct capture *snapshot_capture(struct engine *engine)
{
    return &engine->capture;
}

/* ---- Loading one: pages -------------------------------------------------------------------------------------------- */

static void table_set(struct pool *pool, const struct snapshot_table *table)
{
    REQUIRE(pool->used == 0);
    pool->used = table->used;
    pool->free_first = table->free_first;
    pool->free_count = table->free_count;
}

void snapshot_load_begin(struct snapshot_load *load, struct engine *engine, const struct snapshot_head *head)
{
    REQUIRE(snapshot_head_check(head) == NULL);
    REQUIRE(engine->last_lsn == 0);
    REQUIRE(memcmp(&engine->limits, &head->limits, sizeof(head->limits)) == 0);
    *load = (struct snapshot_load){ .engine = engine, .head = *head, .ranges_count = RANGE_COUNT };
    ranges_lay(head, load->ranges);
    engine->log_time_ns = head->log_time_ns;
    engine->last_lsn = head->last_lsn;
    engine->level = head->engine_level;
    engine->log_level = head->engine_level;
    engine->commit_p99_ns = head->commit_p99_ns;
    engine->commit_ttl_factor = head->commit_ttl_factor;
    engine->leases.reclaimed_token_max = head->reclaimed_token_max;
    engine->held_count = head->held_count;
    engine->confirmed_count = head->confirmed_count;
    table_set(&engine->inventory.properties.pool, &head->properties);
    table_set(&engine->inventory.types, &head->room_types);
    table_set(&engine->reservations, &head->reservations);
    table_set(&engine->outcomes, &head->outcomes);
    table_set(&engine->leases.pool, &head->leases);
}

void *snapshot_load_place(const struct snapshot_load *load, uint64_t offset, size_t *size)
{
    return capture_place(load->engine->capture.memory, load->ranges, load->ranges_count, offset, size);
}

/* ---- Loading one: objects ------------------------------------------------------------------------------------------ */

static const char *property_load(struct snapshot_load *load, uint32_t index)
{
    struct inventory *inventory = &load->engine->inventory;
    const struct property *property = property_at(&inventory->properties, index);
    if (property->number == 0) {
        load->free[RANGE_PROPERTIES]++;
        return NULL;
    }
    if (property->first_type > inventory->types.used || property->last_type > inventory->types.used)
        return "a property of the snapshot names a room type that is not there";
    property_index(&inventory->properties, index);
    return NULL;
}

static const char *room_type_load(struct snapshot_load *load, uint32_t index)
{
    struct inventory *inventory = &load->engine->inventory;
    const struct room_type *type = room_type_at(inventory, index);
    if (type->property == 0) {
        load->free[RANGE_ROOM_TYPES]++;
        return NULL;
    }
    if (type->property > inventory->properties.pool.used || type->next_type > inventory->types.used)
        return "a room type of the snapshot names a property or room type that is not there";
    room_type_index(inventory, index);
    return NULL;
}

static void key_load(struct engine *engine, enum key_use use, uint32_t target)
{
    uint32_t reference = key_reference(use, target);
    engine_key_add(engine, engine_key_name(engine, reference), reference);
}

static const char *reservation_load(struct snapshot_load *load, uint32_t index)
{
    struct engine *engine = load->engine;
    const struct reservation *reservation = engine_reservation(engine, index);
    if (reservation->state == RESERVATION_NONE) {
        load->free[RANGE_RESERVATIONS]++;
        return NULL;
    }
    bool latest = reservation->latest_operation != OPERATION_NONE;
    if (reservation->type == 0 || reservation->type > engine->inventory.types.used ||
        reservation->state > RESERVATION_CANCELLED || key_is_zero(reservation->key) ||
        (latest && key_is_zero(reservation->latest_key)))
        return "a reservation of the snapshot is none that could have been made";
    load->held += reservation->state == RESERVATION_HELD;
    load->confirmed += reservation->state == RESERVATION_CONFIRMED;
    load->ended += reservation_state_is_ended((enum reservation_state)reservation->state);
    key_load(engine, KEY_RESERVATION, index);
    if (latest)
        key_load(engine, KEY_LATEST_MUTATION, index);
    return NULL;
}

static const char *outcome_load(struct snapshot_load *load, uint32_t index)
{
    const struct outcome *outcome = engine_outcome(load->engine, index);
    if (outcome->operation == OPERATION_NONE) {
        load->free[RANGE_OUTCOMES]++;
        return NULL;
    }
    if (key_is_zero(outcome->key))
        return "an outcome of the snapshot has no key";
    key_load(load->engine, KEY_OUTCOME, index);
    return NULL;
}

static const char *lease_load(struct snapshot_load *load, uint32_t index)
{
    struct engine *engine = load->engine;
    const struct lease *lease = lease_at(&engine->leases, index);
    if (lease->state == LEASE_NONE) {
        load->free[RANGE_LEASES]++;
        return NULL;
    }
    lease_index(&engine->leases, index);
    if (lease->state == LEASE_LIVE)
        deadline_heap_push(&engine->ttls,
                           (struct deadline){ .due_ns = lease->ttl_ns, .lsn = lease->token, .handle = index });
    return NULL;
}

/* ---- Loading one: as the pages come in ----------------------------------------------------------------------------- */

typedef const char *object_load(struct snapshot_load *load, uint32_t index);

#define LOAD_AHEAD 16 /* objects between asking the cache for where a key goes and entering it */

/* The index's place of a reservation's own key: each is somewhere else in a table that no cache holds. */
static void reservation_prefetch(const struct engine *engine, uint32_t index)
{
    const struct reservation *reservation = engine_reservation(engine, index);
    if (reservation->state == RESERVATION_NONE || reservation->type > engine->inventory.types.used)
        return;
    struct key_name name = { .property_number = engine_type_of(engine, reservation)->property_number,
                             .key = reservation->key };
    hash_index_prefetch(&engine->keys, key_name_hash(name, engine->hash_seed));
}

/* How many objects of a table lie within the first `upto` bytes of the stream. */
static uint32_t objects_reached(const struct snapshot_load *load, enum snapshot_range range, const struct pool *pool,
                                uint64_t upto)
{
    uint64_t begin = 0;
    for (int i = 0; i < (int)range; i++)
        begin += load->ranges[i].pages_count * CAPTURE_PAGE_SIZE;
    uint64_t places = upto <= begin ? 0 : (upto - begin) / pool->object_size; /* place 0 is nobody's */
    uint64_t objects = places == 0 ? 0 : places - 1;
    return objects < pool->used ? (uint32_t)objects : pool->used;
}

static const char *table_load(struct snapshot_load *load, uint32_t *done, uint32_t reached, object_load *load_one)
{
    const char *wrong = NULL;
    while (*done < reached && wrong == NULL) {
        (*done)++;
        if (load_one == reservation_load && *done + LOAD_AHEAD <= reached)
            reservation_prefetch(load->engine, *done + LOAD_AHEAD);
        wrong = load_one(load, *done);
    }
    return wrong;
}

const char *snapshot_load_reached(struct snapshot_load *load, uint64_t upto)
{
    struct engine *engine = load->engine;
    struct {
        enum snapshot_range range;
        const struct pool *pool;
        uint32_t *done;
        object_load *load_one;
    } tables[] = {
        { RANGE_PROPERTIES, &engine->inventory.properties.pool, &load->properties_done, property_load },
        { RANGE_ROOM_TYPES, &engine->inventory.types, &load->room_types_done, room_type_load },
        { RANGE_RESERVATIONS, &engine->reservations, &load->reservations_done, reservation_load },
        { RANGE_OUTCOMES, &engine->outcomes, &load->outcomes_done, outcome_load },
        { RANGE_LEASES, &engine->leases.pool, &load->leases_done, lease_load },
    };
    const char *wrong = NULL;
    for (size_t i = 0; i < ARRAY_COUNT(tables) && wrong == NULL; i++)
        wrong = table_load(load, tables[i].done, objects_reached(load, tables[i].range, tables[i].pool, upto),
                           tables[i].load_one);
    return wrong;
}

/* What stands in a heap's entries, entered into the positions. */
static const char *heap_load(const struct engine *engine, struct deadline_heap *heap, uint32_t count)
{
    for (uint32_t place = 0; place < count; place++) {
        const struct deadline *member = deadline_heap_at(heap, place);
        if (member->handle == 0 || member->handle > layout_deadlines_max(&engine->limits) ||
            heap->positions[member->handle] != 0)
            return "a deadline of the snapshot belongs to nothing";
        if (place > 0 && deadline_before(member, deadline_heap_at(heap, (place - 1) / 2)))
            return "a deadline of the snapshot comes before its parent";
        heap->positions[member->handle] = place + 1;
    }
    heap->count = count;
    return NULL;
}

const char *snapshot_load_finish(struct snapshot_load *load)
{
    const struct snapshot_head *head = &load->head;
    const char *wrong = snapshot_load_reached(load, snapshot_data_size(head));
    if (wrong == NULL)
        wrong = heap_load(load->engine, &load->engine->due, head->due_count);
    if (wrong == NULL)
        wrong = heap_load(load->engine, &load->engine->ended, head->ended_count);
    if (wrong != NULL)
        return wrong;
    if (load->held != head->held_count || load->confirmed != head->confirmed_count || load->ended != head->ended_count)
        return "the snapshot counts its reservations wrongly";
    if (load->free[RANGE_PROPERTIES] != head->properties.free_count ||
        load->free[RANGE_ROOM_TYPES] != head->room_types.free_count ||
        load->free[RANGE_RESERVATIONS] != head->reservations.free_count ||
        load->free[RANGE_OUTCOMES] != head->outcomes.free_count || load->free[RANGE_LEASES] != head->leases.free_count)
        return "the snapshot counts its free places wrongly";
    return NULL;
}
