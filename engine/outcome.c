#include "engine/outcome.h"

static bool outcome_is_change(uint8_t operation)
{
    return operation == OPERATION_CONFIRM || operation == OPERATION_RELEASE || operation == OPERATION_CANCEL;
}

void outcome_store(struct outcome *outcome, const struct mutation *mutation, struct hash128 fingerprint, uint64_t lsn,
                   const struct mutation_result *result)
{
    REQUIRE(outcome->operation == OPERATION_NONE);
    REQUIRE(status_class(result->header.status) != STATUS_CLASS_UNTOUCHED);
    *outcome = (struct outcome){
        .key = mutation->header.key,
        .property_number = mutation->header.property,
        .fingerprint = fingerprint,
        .lsn = lsn,
        .not_after_ns = mutation->not_after_ns,
        .status = result->header.status,
        .operation = mutation->header.kind,
        .state = result->state,
        .room_type = result->room_type,
    };
    if (outcome_is_change(outcome->operation)) {
        outcome->change.hold_deadline_ns = result->hold_deadline_ns;
        outcome->change.version = result->version;
    } else {
        outcome->inventory.night = result->night;
        outcome->inventory.available = result->available;
        outcome->inventory.limit = result->limit;
    }
}

void outcome_restore(const struct outcome *outcome, struct mutation_result *result)
{
    REQUIRE(outcome->operation != OPERATION_NONE);
    result->header.status = outcome->status;
    result->state = outcome->state;
    result->room_type = outcome->room_type;
    if (outcome_is_change(outcome->operation)) {
        result->hold_deadline_ns = outcome->change.hold_deadline_ns;
        result->version = outcome->change.version;
    } else {
        result->night = outcome->inventory.night;
        result->available = outcome->inventory.available;
        result->limit = (uint8_t)outcome->inventory.limit;
    }
}
