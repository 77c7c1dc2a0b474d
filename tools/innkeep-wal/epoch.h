/* Writing the frame with which a log goes on that lost something, or that comes from elsewhere: an EPOCH record, behind a jump of LSNs past
 * everything ever granted (FORMAT.md, "Epochs"). It goes through the server's own writer, into a fresh segment. */
#ifndef TOOLS_INNKEEP_WAL_EPOCH_H
#define TOOLS_INNKEEP_WAL_EPOCH_H

#include "engine/command.h"
#include "wal/directory.h"
#include "wal/log.h"

/* The beginning of a frame that was cut inside: its records up to the cut, as one frame of their own. */
struct epoch_partial {
    const uint8_t *records; /* size_bytes of whole records; borrowed */
    uint32_t size_bytes;
    uint32_t engine_level;
    uint64_t time_ns;
    bool config;
};

struct epoch_order {
    const struct wal_directory *directory; /* locked, and no cut in the way */
    uint32_t shard;
    struct wal_position position;        /* where the log goes on */
    const struct epoch_partial *partial; /* NULL: none */
    enum epoch_reason reason;
    uint64_t granted_lsn; /* the last LSN known to have been given out, anywhere */
    uint32_t engine_level;
};

/* Writes the partial frame, the EPOCH frame at the next multiple of 2^40 above granted_lsn, and a noop as evidence that both are durable. Log
 * time stays that of the last frame. 0, or a negated errno with *why (static storage) saying what was being done. */
MUST_USE int epoch_write(const struct epoch_order *order, const char **why);

#endif
