/* The promises that each record has to keep, checked from outside: from what queries answer right before and right behind it.
 *
 *   no oversell     a reserve leaves no night of its stay with fewer than no rooms
 *   conservation    sellable, sold and held of the nights it concerns change exactly as its outcome says, and not at all otherwise
 *   fencing         what takes effect under a token does so under the resource's newest grant while that lives; tokens grow; a lease that
 *                   lives gets no other token
 *   deadlines       nothing takes effect after its not_after
 *
 * What is not concerned is left to engine_check, which looks at everything and costs as much. */
#ifndef TOOLS_INNKEEP_WAL_INVARIANTS_H
#define TOOLS_INNKEEP_WAL_INVARIANTS_H

#include "engine/engine.h"

struct invariants {
    void *before;                 /* a calendar_result of RESULT_SIZE_MAX bytes: the nights concerned */
    void *after;                  /* scratch of that size */
    struct lookup_result booking; /* of the reservation that a change names */
    struct lease_result lease;    /* of the resource that a token is for, or a lease operation about */
    bool has_nights;
    char broken[256]; /* what was found, in a sentence */
};

/* 0 or -ENOMEM; invariants_free may be called either way. */
MUST_USE int invariants_init(struct invariants *invariants);
void invariants_free(struct invariants *invariants);

/* To be called right before a record is applied. */
void invariants_before(struct invariants *invariants, const struct engine *engine, const struct record_header *record);

/* And right behind it. NULL if all promises were kept, else which was not; good until the next call. */
const char *invariants_after(struct invariants *invariants, const struct engine *engine,
                             const struct record_header *record, uint64_t lsn, const union apply_result *result);

#endif
