/* The promises of ARCHITECTURE.md as somebody sees them who only reads answers: no model of the engine, no knowledge of its tables,
 * just what was asked and what was answered. Engine and model could agree on a wrong rule; this would tell.
 *
 *   no oversell     a reserve that is granted fits under the supply last set, with all that is confirmed or held by then
 *   once            a key has one effect, as long as it is not sent again under a later deadline
 *   the same answer a replayed result is the first one, byte for byte
 *   definite        nothing takes effect past its not_after
 *   fenced          nothing is executed under a token that is not the newest of its resource, or not live
 *   tokens grow     a new grant's token is above every token before it */
#ifndef TESTS_MODEL_PROMISES_H
#define TESTS_MODEL_PROMISES_H

#include "engine/command.h"
#include "engine/engine.h"

struct promises;

struct promises *promises_new(void);
void promises_free(struct promises *promises);

/* Takes note of one logged record and its answer, in log order. NULL, or the promise that this answer breaks (static
 * storage). */
MUST_USE const char *promises_note(struct promises *promises, const struct record_header *record,
                                   const union apply_result *result);

#endif
