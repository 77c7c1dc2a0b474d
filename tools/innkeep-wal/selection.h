/* Which records are asked for: by property, room type, night, key, resource, operation, place in the log, and what came of them. */
#ifndef TOOLS_INNKEEP_WAL_SELECTION_H
#define TOOLS_INNKEEP_WAL_SELECTION_H

#include "engine/engine.h"

/* Everything zero selects everything, but for the upper ends, which are NEVER_NS. Conditions add up: all have to hold. */
struct selection {
    uint64_t property;  /* 0: any */
    uint32_t room_type; /* 0: any */
    uint64_t resource;  /* 0: any; of lease operations, and of fences */
    struct key key;     /* zero: any; a record's own, or the reservation's that it changes */
    struct key also;    /* zero: none; a second key that will do */
    int32_t night;      /* with by_night: reserves, changes and supply that concern it */
    bool by_night;
    bool by_kind;
    bool refused; /* only what was not answered with OK */
    bool kinds[UINT8_MAX + 1];
    uint64_t from_lsn;
    uint64_t to_lsn; /* included */
    uint64_t from_ns;
    uint64_t to_ns; /* included */
};

/* A record where it lies in the log, and what came of it. */
struct placed_record {
    const struct record_header *record;
    const union apply_result *result; /* NULL where nothing is replayed */
    const struct engine *engine;      /* right behind the record; NULL likewise */
    uint64_t lsn;
    uint64_t time_ns;
};

/* The nights that a record concerns. */
struct reach {
    uint32_t room_type; /* 0: none, or not known any more */
    int32_t first_night;
    int32_t end_night;
    uint8_t weekdays;
};

/* What a reserve asks for, a supply command sets, or the reservation has that a change names: that one is looked up in the engine. */
struct reach selection_reach(const struct record_header *record, const struct engine *engine);

/* True if only a replay can tell what is selected: a change names its reservation by key alone, and refusals are not in the log. */
bool selection_needs_replay(const struct selection *selection);

bool selection_matches(const struct selection *selection, const struct placed_record *placed);

/* What a night of a property looks like; false if there is no such property, room type or night. */
MUST_USE bool selection_night_show(const struct engine *engine, const struct selection *selection,
                                   struct calendar_night *night);

#endif
