/* The state hash, computed from the model by the document alone (FORMAT.md, "State hash"; the comment at the top of
 * engine/state_hash.h). */
#ifndef TESTS_MODEL_MODEL_HASH_H
#define TESTS_MODEL_MODEL_HASH_H

#include "tests/model/model.h"

struct hash128 model_state_hash(const struct model *model);

#endif
