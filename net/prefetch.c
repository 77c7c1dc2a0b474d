#include "net/prefetch.h"

static void stages_step(struct prefetch *prefetch, const struct engine *engine, uint32_t stages)
{
    for (uint32_t stage = 0; stage < stages; stage++) {
        const struct record_header *record = prefetch->ahead[stage];
        if (record == NULL)
            continue;
        engine_prefetch(engine, record, (enum engine_prefetch_stage)stage);
        prefetch->ahead[stage] = wal_record_next(prefetch->frame, record);
    }
}

void prefetch_begin(struct prefetch *prefetch, const struct engine *engine, const struct wal_frame_header *frame)
{
    const struct record_header *first = wal_record_first(frame);
    *prefetch = (struct prefetch){ .frame = frame, .ahead = { first, first, first } };
    for (uint32_t stages = 1; stages <= ENGINE_PREFETCH_STAGES; stages++)
        for (int i = 0; i < PREFETCH_DISTANCE; i++)
            stages_step(prefetch, engine, stages);
}

void prefetch_step(struct prefetch *prefetch, const struct engine *engine)
{
    stages_step(prefetch, engine, ENGINE_PREFETCH_STAGES);
}
