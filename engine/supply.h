/* The commands that say what there is to sell: properties, room types, rooms. */
#ifndef ENGINE_SUPPLY_H
#define ENGINE_SUPPLY_H

#include "engine/state.h"

/* Each fills in the result's body and returns its status; LIMIT_REACHED and refusals change nothing. */
enum status supply_create_property(struct engine *engine, const struct property_create *create,
                                   struct mutation_result *result);
enum status supply_create_room_type(struct engine *engine, const struct room_type_create *create,
                                    struct mutation_result *result);
enum status supply_set_rooms(struct engine *engine, const struct rooms_set *set, struct mutation_result *result);

#endif
