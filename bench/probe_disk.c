#include "bench/probes.h"
#include "bench/raw_lane.h"
#include "engine/base/units.h"

#define BLOCK_SIZE (4 * KIB)
#define FILE_SIZE (16 * MIB)

bool probe_disk(const char *directory, uint64_t duration_ns, struct histogram *latency_ns, struct failure *failure)
{
    struct raw_lane *lane = NULL;
    struct lane_round round;
    bool fine = raw_lane_open(&lane, directory, FILE_SIZE, failure) &&
                raw_lane_shape(lane, (uint32_t)BLOCK_SIZE, 1, failure) &&
                raw_lane_run(lane, duration_ns, &round, failure);
    if (fine)
        histogram_merge(latency_ns, raw_lane_latency(lane));
    raw_lane_close(lane);
    return fine;
}
