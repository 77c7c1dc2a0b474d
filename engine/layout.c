#include "engine/layout.h"

#include "engine/state.h"

bool engine_limits_valid(const struct engine_limits *limits)
{
    const uint32_t tables[] = { limits->properties_max, limits->room_types_max, limits->reservations_max,
                                limits->outcomes_max, limits->leases_max };
    for (size_t i = 0; i < ARRAY_COUNT(tables); i++)
        if (tables[i] < 1 || tables[i] > KEY_TARGETS_MAX)
            return false;
    return limits->horizon_nights >= 1 && limits->horizon_nights <= NIGHTS_MAX && limits->deadline_ahead_max_ns >= 1 &&
           limits->keep_ended_ns >= 1;
}

static size_t index_size(uint64_t entries_max)
{
    return (size_t)hash_index_capacity(entries_max) * sizeof(uint64_t);
}

static size_t nights_size(const struct engine_limits *limits)
{
    return ((size_t)limits->room_types_max + 1) * inventory_ring_nights(limits->horizon_nights) * sizeof(struct night);
}

struct layout layout_of(const struct engine_limits *limits)
{
    REQUIRE(engine_limits_valid(limits));
    size_t deadlines_max = (size_t)layout_deadlines_max(limits);
    size_t leases_max = limits->leases_max;
    struct layout layout = { .size = {
                                 [SECTION_ENGINE] = sizeof(struct engine),
                                 [SECTION_PROPERTIES] = pool_size(sizeof(struct property), limits->properties_max),
                                 [SECTION_PROPERTY_INDEX] = index_size(limits->properties_max),
                                 [SECTION_ROOM_TYPES] = pool_size(sizeof(struct room_type), limits->room_types_max),
                                 [SECTION_ROOM_TYPE_INDEX] = index_size(limits->room_types_max),
                                 [SECTION_NIGHTS] = nights_size(limits),
                                 [SECTION_RESERVATIONS] =
                                     pool_size(sizeof(struct reservation), limits->reservations_max),
                                 [SECTION_OUTCOMES] = pool_size(sizeof(struct outcome), limits->outcomes_max),
                                 [SECTION_KEY_INDEX] = index_size(layout_keys_max(limits)),
                                 [SECTION_LEASES] = pool_size(sizeof(struct lease), limits->leases_max),
                                 [SECTION_LEASE_INDEX] = index_size(limits->leases_max),
                                 [SECTION_DEADLINES] = deadlines_max * sizeof(struct deadline),
                                 [SECTION_DEADLINE_POSITIONS] = (deadlines_max + 1) * sizeof(uint32_t),
                                 [SECTION_TTLS] = leases_max * sizeof(struct deadline),
                                 [SECTION_TTL_POSITIONS] = (leases_max + 1) * sizeof(uint32_t),
                             } };
    for (int i = 0; i < SECTION_COUNT; i++) {
        if (i == SECTION_CAPTURE)
            layout.size[i] = capture_memory_size(layout.total);
        layout.size[i] = align_up(layout.size[i], SECTION_ALIGNMENT);
        layout.offset[i] = layout.total;
        layout.total += layout.size[i];
    }
    return layout;
}

size_t engine_memory_size(const struct engine_limits *limits)
{
    return layout_of(limits).total;
}

struct engine_memory engine_memory_of(const struct engine_limits *limits)
{
    struct layout layout = layout_of(limits);
    struct engine_memory memory = {
        .nights_bytes = layout.size[SECTION_NIGHTS],
        .reservations_bytes = layout.size[SECTION_RESERVATIONS],
        .keys_bytes = layout.size[SECTION_OUTCOMES] + layout.size[SECTION_KEY_INDEX],
        .capture_bytes = layout.size[SECTION_CAPTURE],
    };
    memory.other_bytes =
        layout.total - memory.nights_bytes - memory.reservations_bytes - memory.keys_bytes - memory.capture_bytes;
    return memory;
}
