/* What an engine holds, one object after the other, for the tools: its queries answer for a name, and whoever begins with a snapshot has not
 * seen the records that brought the names. */
#ifndef ENGINE_OBJECTS_H
#define ENGINE_OBJECTS_H

#include "engine/engine.h"

enum engine_object_kind { ENGINE_OBJECT_PROPERTY, ENGINE_OBJECT_RESERVATION, ENGINE_OBJECT_LEASE };

struct engine_object {
    enum engine_object_kind kind;
    uint64_t property;
    struct key key;        /* a reservation's */
    struct key latest_key; /* of its latest confirm, release or cancel; zero: there was none */
    uint64_t resource;     /* a lease's */
};

/* Fills in the next object; false behind the last one. *place is 0 to begin with and means nothing else. Each property, reservation and
 * lease that has not been forgotten comes once, kind by kind, as long as the engine stays as it is. */
MUST_USE bool engine_object_next(const struct engine *engine, uint64_t *place, struct engine_object *object);

/* As if a room type had been given so many rooms more from its beginning on, or fewer: on each of its nights, and on nights that open; kept
 * within 0 to ROOMS_MAX. Reservations stay. Adds to *clamped the nights that were kept within; without such a room type, nothing happens.
 * Only to ask what would have been: no log says this. */
void engine_rooms_shift(struct engine *engine, uint64_t property, uint32_t room_type, int32_t rooms, uint64_t *clamped);

#endif
