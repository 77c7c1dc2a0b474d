#include "engine/engine.h"

#include "engine/layout.h"
#include "engine/leasing.h"
#include "engine/mutation.h"
#include "engine/query.h"
#include "engine/sweep.h"

#include <string.h>

/* ---- Birth --------------------------------------------------------------------------------------------------------- */

struct block {
    uint8_t *memory;
    struct layout layout;
};

static void *block_section(const struct block *block, enum section section)
{
    return block->memory + block->layout.offset[section];
}

static void init_inventory(struct engine *engine, const struct block *block)
{
    struct inventory *inventory = &engine->inventory;
    const struct engine_limits *limits = &engine->limits;
    pool_init(&inventory->properties.pool, block_section(block, SECTION_PROPERTIES), sizeof(struct property),
              limits->properties_max);
    hash_index_init(&inventory->properties.index, block_section(block, SECTION_PROPERTY_INDEX),
                    hash_index_capacity(limits->properties_max));
    pool_init(&inventory->types, block_section(block, SECTION_ROOM_TYPES), sizeof(struct room_type),
              limits->room_types_max);
    hash_index_init(&inventory->type_index, block_section(block, SECTION_ROOM_TYPE_INDEX),
                    hash_index_capacity(limits->room_types_max));
    inventory->properties.hash_seed = engine->hash_seed;
    inventory->hash_seed = engine->hash_seed;
    inventory->nights = block_section(block, SECTION_NIGHTS);
    inventory->horizon_nights = limits->horizon_nights;
    inventory->ring_nights = inventory_ring_nights(limits->horizon_nights);
}

static void init_bookings(struct engine *engine, const struct block *block)
{
    const struct engine_limits *limits = &engine->limits;
    pool_init(&engine->reservations, block_section(block, SECTION_RESERVATIONS), sizeof(struct reservation),
              limits->reservations_max);
    pool_init(&engine->outcomes, block_section(block, SECTION_OUTCOMES), sizeof(struct outcome), limits->outcomes_max);
    hash_index_init(&engine->keys, block_section(block, SECTION_KEY_INDEX),
                    hash_index_capacity(layout_keys_max(limits)));
}

static void init_leases(struct engine *engine, const struct block *block)
{
    const struct engine_limits *limits = &engine->limits;
    pool_init(&engine->leases.pool, block_section(block, SECTION_LEASES), sizeof(struct lease), limits->leases_max);
    hash_index_init(&engine->leases.index, block_section(block, SECTION_LEASE_INDEX),
                    hash_index_capacity(limits->leases_max));
    engine->leases.hash_seed = engine->hash_seed;
    deadline_heap_init(&engine->ttls, block_section(block, SECTION_TTLS), 1,
                       block_section(block, SECTION_TTL_POSITIONS));
}

static void init_deadlines(struct engine *engine, const struct block *block)
{
    struct deadline *first = block_section(block, SECTION_DEADLINES);
    uint32_t *positions = block_section(block, SECTION_DEADLINE_POSITIONS);
    deadline_heap_init(&engine->due, first, 1, positions);
    deadline_heap_init(&engine->ended, first + (layout_deadlines_max(&engine->limits) - 1), -1, positions);
}

struct engine *engine_init(void *memory, size_t memory_size, const struct engine_limits *limits, uint64_t hash_seed)
{
    REQUIRE(memory != NULL);
    REQUIRE((uintptr_t)memory % ENGINE_MEMORY_ALIGNMENT == 0);
    struct block block = { .memory = memory, .layout = layout_of(limits) };
    REQUIRE(memory_size >= block.layout.total);
    struct engine *engine = block_section(&block, SECTION_ENGINE);
    engine->limits = *limits;
    engine->hash_seed = hash_seed;
    init_inventory(engine, &block);
    init_bookings(engine, &block);
    init_leases(engine, &block);
    init_deadlines(engine, &block);
    capture_init(&engine->capture, memory, block.layout.offset[SECTION_CAPTURE],
                 block_section(&block, SECTION_CAPTURE));
    return engine;
}

/* ---- Frames and records -------------------------------------------------------------------------------------------- */

void engine_frame_begin(struct engine *engine, uint64_t time_ns, const struct record_header *first)
{
    REQUIRE(time_ns >= engine->log_time_ns);
    REQUIRE(time_ns < NEVER_NS);
    uint64_t last_time_ns = engine->log_time_ns;
    engine->log_time_ns = time_ns;
    engine->level = engine->log_level;
    if (first != NULL && first->kind == OPERATION_RECOVERED)
        leasing_renew_all(engine, last_time_ns, time_ns);
    sweep_run(engine);
}

static void result_begin(struct result_header *header, const struct engine *engine, uint64_t lsn, size_t size)
{
    memset(header, 0, size);
    header->size = (uint32_t)size;
    header->lsn = lsn;
    header->log_time_ns = engine->log_time_ns;
}

/* A level that is known already: whoever lets commands in sees to that, and so does whoever drives a replay. */
static enum status engine_raise_level(struct engine *engine, const struct raise_level *raise,
                                      struct level_result *result)
{
    bool raises = raise->level > engine->log_level;
    if (raises)
        engine->log_level = raise->level;
    result->level = engine->log_level;
    return raises ? STATUS_OK : STATUS_ALREADY_AT_LEVEL;
}

static void engine_apply_tick(struct engine *engine, const struct record_header *record, uint64_t lsn,
                              union apply_result *result)
{
    if (record->kind == OPERATION_BARRIER) {
        result_begin(&result->header, engine, lsn, sizeof(result->barrier));
        return;
    }
    REQUIRE(record->kind == OPERATION_RAISE_LEVEL);
    result_begin(&result->header, engine, lsn, sizeof(result->level));
    const struct raise_level *raise = (const struct raise_level *)(const void *)record;
    result->header.status = (uint16_t)engine_raise_level(engine, raise, &result->level);
}

/* What the server logs about itself. RECOVERED was handled when its frame began. */
static void engine_apply_system(struct engine *engine, const struct record_header *record)
{
    const void *item = record;
    if (record->kind == OPERATION_CONFIG) {
        const struct config_record *config = item;
        REQUIRE(memcmp(&config->limits, &engine->limits, sizeof(config->limits)) == 0);
    } else if (record->kind == OPERATION_COMMIT_LATENCY) {
        const struct commit_latency_record *latency = item;
        engine->commit_p99_ns = latency->p99_ns;
        engine->commit_ttl_factor = latency->ttl_factor;
    }
}

void engine_apply(struct engine *engine, const struct record_header *record, uint64_t lsn, union apply_result *result)
{
    REQUIRE(lsn > engine->last_lsn);
    engine->last_lsn = lsn;
    switch (operation_class(record->kind)) {
    case OPERATION_CLASS_MUTATION:
        result_begin(&result->header, engine, lsn, sizeof(result->mutation));
        mutation_apply(engine, (const struct mutation *)(const void *)record, lsn, &result->mutation);
        break;
    case OPERATION_CLASS_LEASE:
        result_begin(&result->header, engine, lsn, sizeof(result->lease));
        leasing_apply(engine, record, lsn, &result->lease);
        break;
    case OPERATION_CLASS_TICK:
        engine_apply_tick(engine, record, lsn, result);
        break;
    case OPERATION_CLASS_SYSTEM:
        result_begin(&result->header, engine, lsn, sizeof(result->barrier));
        engine_apply_system(engine, record);
        break;
    case OPERATION_CLASS_UNKNOWN:
    case OPERATION_CLASS_QUERY:
    case OPERATION_CLASS_SESSION:
    default:
        contract_broken("REQUIRE", "a record that is logged", __FILE__, __LINE__, __func__);
    }
}

static void prefetch_key(const struct engine *engine, uint64_t property_number, struct key key)
{
    struct key_name name = { .property_number = property_number, .key = key };
    hash_index_prefetch(&engine->keys, key_name_hash(name, engine->hash_seed));
}

void engine_prefetch(const struct engine *engine, const struct record_header *record, enum engine_prefetch_stage stage)
{
    if (operation_class(record->kind) != OPERATION_CLASS_MUTATION)
        return;
    const void *item = record;
    const struct reserve *reserve = item;
    const struct reservation_change *change = item;
    bool is_reserve = record->kind == OPERATION_RESERVE;
    if (is_reserve && stage == ENGINE_PREFETCH_OBJECTS)
        inventory_prefetch_type(&engine->inventory, record->property, reserve->lines[0].room_type);
    if (is_reserve && stage == ENGINE_PREFETCH_NIGHTS)
        inventory_prefetch_nights(&engine->inventory, record->property, reserve);
    if (stage != ENGINE_PREFETCH_INDEXES)
        return;
    prefetch_key(engine, record->property, record->key);
    if (is_reserve)
        inventory_prefetch_index(&engine->inventory, record->property, reserve->lines[0].room_type);
    else if (record->kind > OPERATION_RESERVE)
        prefetch_key(engine, record->property, change->reservation);
}

/* ---- Questions ----------------------------------------------------------------------------------------------------- */

uint32_t engine_query(const struct engine *engine, const struct record_header *item, struct result_header *result)
{
    REQUIRE(operation_class(item->kind) == OPERATION_CLASS_QUERY);
    const void *query = item;
    void *body = result;
    uint32_t size;
    if (item->kind == OPERATION_CALENDAR) {
        result_begin(result, engine, engine->last_lsn, sizeof(struct calendar_result));
        size = query_calendar(engine, query, body);
    } else if (item->kind == OPERATION_LOOKUP) {
        result_begin(result, engine, engine->last_lsn, sizeof(struct lookup_result));
        size = query_lookup(engine, query, body);
    } else {
        result_begin(result, engine, engine->last_lsn, sizeof(struct lease_result));
        size = query_lease(engine, query, body);
    }
    ENSURE(size <= result_size_max(item));
    result->size = size;
    return size;
}

uint64_t engine_next_deadline(const struct engine *engine)
{
    const struct deadline *next = sweep_next(engine);
    return next != NULL ? next->due_ns : NEVER_NS;
}

uint32_t engine_log_level(const struct engine *engine)
{
    return engine->log_level;
}

void engine_begin_level(struct engine *engine, uint32_t level)
{
    REQUIRE(engine->log_level == 0 && level > 0);
    engine->level = level;
    engine->log_level = level;
}

uint64_t engine_log_time(const struct engine *engine)
{
    return engine->log_time_ns;
}

uint64_t engine_last_lsn(const struct engine *engine)
{
    return engine->last_lsn;
}

const struct engine_limits *engine_limits_of(const struct engine *engine)
{
    return &engine->limits;
}

struct engine_counts engine_counts(const struct engine *engine)
{
    const struct deadline *shortest = deadline_heap_first(&engine->ttls);
    return (struct engine_counts){
        .properties = pool_count(&engine->inventory.properties.pool),
        .room_types = pool_count(&engine->inventory.types),
        .reservations_held = engine->held_count,
        .reservations_confirmed = engine->confirmed_count,
        .reservations_ended = engine->ended.count,
        .outcomes = pool_count(&engine->outcomes),
        .leases_live = engine->ttls.count,
        .leases_ended = pool_count(&engine->leases.pool) - engine->ttls.count,
        .shortest_ttl_ns = shortest != NULL ? shortest->due_ns : 0,
    };
}
