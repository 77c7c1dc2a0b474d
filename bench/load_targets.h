/* What a load of reserves asks for: which room types of which properties, how often each, and from which dates. */
#ifndef BENCH_LOAD_TARGETS_H
#define BENCH_LOAD_TARGETS_H

#include "bench/sampler.h"

struct load_target {
    uint64_t property;
    uint32_t room_type;
    int32_t business_date; /* the property's */
};

/* The targets that one connection draws from. */
struct load_targets {
    struct load_target *items; /* owned */
    struct sampler sampler;    /* over items; owned */
    uint32_t count;
};

enum distribution {
    DISTRIBUTION_UNIFORM, /* every room type alike */
    DISTRIBUTION_ZIPF,    /* Zipf's law over all room types, the popular ones spread over the properties */
    DISTRIBUTION_HOT,     /* every request goes to the first property, so to one shard; its room types alike */
};

/* False for text that is not "uniform", "zipf" or "hot". */
MUST_USE bool distribution_parse(const char *text, enum distribution *distribution);
const char *distribution_name(enum distribution distribution);

struct load_shape {
    uint64_t property_base; /* properties are base + 1 .. base + properties */
    uint32_t properties;
    uint32_t room_types; /* of each property: 1 .. room_types */
    enum distribution distribution;
};

#define LOAD_SHARD_ALL UINT32_MAX

/* The targets that live on one of `shards` shards, or on all (LOAD_SHARD_ALL); `business_dates` by property. 0 or -ENOMEM; or
 * -ENOENT if no target lives there. */
MUST_USE int load_targets_init(struct load_targets *targets, const struct load_shape *shape,
                               const int32_t *business_dates, uint32_t shard, uint32_t shards);
void load_targets_free(struct load_targets *targets);

#endif
