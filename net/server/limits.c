#include "net/server/limits.h"

#include <errno.h>
#include <stdio.h>

#define ROOM_TYPES_MAX (1u << 24)
#define ROOM_TYPES_A_PROPERTY 8
#define RESERVATIONS_A_ROOM_TYPE 40
#define OUTCOMES_A_ROOM_TYPE 16

static struct engine_limits proportioned(uint32_t room_types, uint32_t horizon_nights)
{
    return (struct engine_limits){
        .properties_max = (room_types + ROOM_TYPES_A_PROPERTY - 1) / ROOM_TYPES_A_PROPERTY,
        .room_types_max = room_types,
        .horizon_nights = horizon_nights,
        .reservations_max = room_types * RESERVATIONS_A_ROOM_TYPE,
        .outcomes_max = room_types * OUTCOMES_A_ROOM_TYPE,
        .leases_max = room_types,
        .deadline_ahead_max_ns = LIMITS_DEADLINE_AHEAD_DEFAULT_NS,
        .keep_ended_ns = LIMITS_KEEP_ENDED_DEFAULT_NS,
    };
}

bool limits_derive(uint64_t memory_bytes, uint32_t horizon_nights, struct engine_limits *limits)
{
    uint32_t fits = 0;
    for (uint32_t step = ROOM_TYPES_MAX; step > 0; step /= 2) {
        struct engine_limits wider = proportioned(fits + step, horizon_nights);
        if (fits + step <= ROOM_TYPES_MAX && engine_limits_valid(&wider) && engine_memory_size(&wider) <= memory_bytes)
            fits += step;
    }
    *limits = proportioned(fits, horizon_nights);
    return fits > 0;
}

/* The fields of engine_limits, for what is said of each alike. */
#define LIMITS_MAP(X)                                        \
    X(properties_max, "--properties")                        \
    X(room_types_max, "--room-types")                        \
    X(horizon_nights, "--horizon")                           \
    X(reservations_max, "--reservations")                    \
    X(outcomes_max, "--outcomes")                            \
    X(leases_max, "--leases")                                \
    X(deadline_ahead_max_ns, "--max-deadline (nanoseconds)") \
    X(keep_ended_ns, "--keep-ended (nanoseconds)")

static int refuse_smaller(const char *option, uint64_t wanted, uint64_t logged, char *why, size_t why_size)
{
    snprintf(
        why, why_size,
        "these options give %s %llu, less than the %llu that the data directory was used with; limits can only grow. "
        "Leave --memory and the limits out to keep what there is, or name at least %llu.",
        option, (unsigned long long)wanted, (unsigned long long)logged, (unsigned long long)logged);
    return -EINVAL;
}

static void override(struct engine_limits *limits, const struct engine_limits *given)
{
#define LIMITS_OVERRIDE(field, option) \
    if (given->field != 0)             \
        limits->field = given->field;
    LIMITS_MAP(LIMITS_OVERRIDE)
#undef LIMITS_OVERRIDE
}

static int check_grown(const struct engine_limits *wanted, const struct engine_limits *logged, char *why,
                       size_t why_size)
{
#define LIMITS_CHECK(field, option)    \
    if (wanted->field < logged->field) \
        return refuse_smaller(option, wanted->field, logged->field, why, why_size);
    LIMITS_MAP(LIMITS_CHECK)
#undef LIMITS_CHECK
    return 0;
}

/* What holds for the fields that the operator did not name. */
static int base_limits(const struct engine_limits *given, uint64_t memory_bytes, const struct engine_limits *logged,
                       struct engine_limits *limits, char *why, size_t why_size)
{
    if (logged != NULL && memory_bytes == 0) {
        *limits = *logged;
        return 0;
    }
    uint32_t horizon = given->horizon_nights != 0 ? given->horizon_nights
                       : logged != NULL           ? logged->horizon_nights
                                                  : LIMITS_HORIZON_DEFAULT;
    if (horizon <= NIGHTS_MAX && limits_derive(memory_bytes, horizon, limits))
        return 0;
    snprintf(why, why_size,
             "--memory %llu bytes a shard is too little for even one room type of %u nights; give more memory, fewer "
             "shards or a shorter --horizon (at most %u).",
             (unsigned long long)memory_bytes, horizon, NIGHTS_MAX);
    return -EINVAL;
}

int limits_settle(const struct engine_limits *given, uint64_t memory_bytes, const struct engine_limits *logged,
                  struct engine_limits *limits, char *why, size_t why_size)
{
    int error = base_limits(given, memory_bytes, logged, limits, why, why_size);
    if (error != 0)
        return error;
    override(limits, given);
    if (!engine_limits_valid(limits)) {
        snprintf(
            why, why_size,
            "a limit is out of bounds: every table holds from 1 to %u entries, and the horizon is from 1 to %u nights.",
            (1u << 30) - 1, NIGHTS_MAX);
        return -EINVAL;
    }
    return logged != NULL ? check_grown(limits, logged, why, why_size) : 0;
}
