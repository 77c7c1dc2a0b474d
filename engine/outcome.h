/* Kept outcomes: what was answered to a mutation whose answer no reservation remembers, until its deadline has passed.
 *
 * That is every inventory mutation, every refused mutation, and the latest-but-one mutation of a reservation. After the deadline a
 * late duplicate is TOO_LATE, so nothing has to be remembered any longer. */
#ifndef ENGINE_OUTCOME_H
#define ENGINE_OUTCOME_H

#include "engine/command.h"
#include "engine/key_index.h"

struct outcome {
    struct key key;
    uint64_t property_number;
    struct hash128 fingerprint;
    uint64_t lsn;
    uint64_t not_after_ns;
    uint16_t status;   /* enum status */
    uint8_t operation; /* enum operation; NONE: this place is free */
    uint8_t state;     /* enum reservation_state */
    uint32_t room_type;
    union {
        struct { /* confirm, release, cancel */
            uint64_t hold_deadline_ns;
            uint32_t version;
            uint32_t reserved;
        } change;
        struct { /* all others */
            int32_t night;
            int32_t available;
            uint32_t limit; /* enum limit */
            uint32_t reserved;
        } inventory;
    };
};

static_assert(sizeof(struct outcome) == 80, "memory is counted with this");

/* Fills a fresh outcome from the mutation it answers and its result, and the other way round: the body of the result and
 * its status exactly as first answered. */
void outcome_store(struct outcome *outcome, const struct mutation *mutation, struct hash128 fingerprint, uint64_t lsn,
                   const struct mutation_result *result);
void outcome_restore(const struct outcome *outcome, struct mutation_result *result);

#endif
