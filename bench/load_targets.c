#include "bench/load_targets.h"

#include "engine/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const distribution_names[] = {
    [DISTRIBUTION_UNIFORM] = "uniform",
    [DISTRIBUTION_ZIPF] = "zipf",
    [DISTRIBUTION_HOT] = "hot",
};

bool distribution_parse(const char *text, enum distribution *distribution)
{
    for (size_t i = 0; i < ARRAY_COUNT(distribution_names); i++) {
        if (strcmp(text, distribution_names[i]) == 0) {
            *distribution = (enum distribution)i;
            return true;
        }
    }
    return false;
}

const char *distribution_name(enum distribution distribution)
{
    return distribution_names[distribution];
}

/* Room type by room type over all properties, so that the ranks of Zipf's law go round the properties. */
static void collect(struct load_targets *targets, const struct load_shape *shape, const int32_t *business_dates,
                    uint32_t shard, uint32_t shards)
{
    uint32_t properties = shape->distribution == DISTRIBUTION_HOT ? 1 : shape->properties;
    for (uint32_t room_type = 1; room_type <= shape->room_types; room_type++) {
        for (uint32_t i = 0; i < properties; i++) {
            uint64_t property = shape->property_base + 1 + i;
            if (shard != LOAD_SHARD_ALL && shard_of_property(property, shards) != shard)
                continue;
            targets->items[targets->count++] = (struct load_target){ .property = property,
                                                                     .room_type = room_type,
                                                                     .business_date = business_dates[i] };
        }
    }
}

int load_targets_init(struct load_targets *targets, const struct load_shape *shape, const int32_t *business_dates,
                      uint32_t shard, uint32_t shards)
{
    REQUIRE(shape->properties >= 1);
    REQUIRE(shape->room_types >= 1);
    *targets = (struct load_targets){ 0 };
    targets->items = calloc((size_t)shape->properties * shape->room_types, sizeof *targets->items);
    if (targets->items == NULL)
        return -ENOMEM;
    collect(targets, shape, business_dates, shard, shards);
    int error = -ENOENT;
    if (targets->count > 0 && shape->distribution == DISTRIBUTION_ZIPF)
        error = sampler_init_zipf(&targets->sampler, targets->count);
    else if (targets->count > 0)
        error = sampler_init_uniform(&targets->sampler, targets->count);
    if (error != 0)
        load_targets_free(targets);
    return error;
}

void load_targets_free(struct load_targets *targets)
{
    free(targets->items);
    sampler_free(&targets->sampler);
    *targets = (struct load_targets){ 0 };
}
