/* A reserve message that is made once and sent many times, with new keys each time. */
#ifndef BENCH_LOAD_MESSAGE_H
#define BENCH_LOAD_MESSAGE_H

#include "bench/load_targets.h"
#include "net/protocol.h"

/* What changes from one use to the next. */
struct load_fill {
    uint64_t correlation;
    uint64_t not_after_ns;
    uint32_t arrivals_count; /* arrivals are business date + 0 .. arrivals_count - 1 */
};

static inline uint32_t load_message_size(uint32_t batch)
{
    return (uint32_t)(sizeof(struct message_header) + batch * sizeof(struct reserve));
}

/* Writes everything that stays: `batch` reserves of one room for `stay` nights. `message` has load_message_size bytes, all zero. */
void load_message_init(struct message_header *message, uint32_t batch, uint16_t stay);

/* Writes new keys, targets and arrivals, the deadline and the correlation, and seals the message. */
void load_message_fill(struct message_header *message, const struct load_fill *fill, const struct load_targets *targets,
                       struct random_source *random);

#endif
