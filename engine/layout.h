/* Where each table lies in the engine's one block of memory, as a pure function of the limits. */
#ifndef ENGINE_LAYOUT_H
#define ENGINE_LAYOUT_H

#include "engine/engine.h"

enum section {
    SECTION_ENGINE,
    SECTION_PROPERTIES,
    SECTION_PROPERTY_INDEX,
    SECTION_ROOM_TYPES,
    SECTION_ROOM_TYPE_INDEX,
    SECTION_NIGHTS,
    SECTION_RESERVATIONS,
    SECTION_OUTCOMES,
    SECTION_KEY_INDEX,
    SECTION_LEASES,
    SECTION_LEASE_INDEX,
    SECTION_DEADLINES,
    SECTION_DEADLINE_POSITIONS,
    SECTION_TTLS,
    SECTION_TTL_POSITIONS,
    SECTION_CAPTURE, /* the last, for its size depends on the others' */
    SECTION_COUNT,
};

#define SECTION_ALIGNMENT CAPTURE_PAGE_SIZE /* so that no page of a snapshot belongs to two sections */

struct layout {
    size_t offset[SECTION_COUNT];
    size_t size[SECTION_COUNT]; /* a multiple of SECTION_ALIGNMENT */
    size_t total;
};

/* Requires valid limits. */
struct layout layout_of(const struct engine_limits *limits);

/* Entries that the key index must hold at most: two keys a reservation, one an outcome. */
static inline uint64_t layout_keys_max(const struct engine_limits *limits)
{
    return (uint64_t)2 * limits->reservations_max + limits->outcomes_max;
}

/* Objects that can come due at some time. */
static inline uint64_t layout_deadlines_max(const struct engine_limits *limits)
{
    return (uint64_t)limits->reservations_max + limits->outcomes_max + limits->leases_max;
}

#endif
