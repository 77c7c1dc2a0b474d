#include "tests/model/snapshot_trial.h"

#include <stdlib.h>
#include <string.h>

void snapshot_trial_begin(struct snapshot_trial *trial, struct engine *engine)
{
    REQUIRE(!trial->taking);
    trial->state_hash = engine_state_hash(engine);
    snapshot_begin(engine, &trial->head);
    trial->stream = malloc(snapshot_data_size(&trial->head) + 1);
    REQUIRE(trial->stream != NULL);
    trial->taking = true;
}

bool snapshot_trial_step(struct snapshot_trial *trial, struct engine *engine, uint64_t chunks)
{
    struct capture *capture = snapshot_capture(engine);
    uint64_t chunk;
    REQUIRE(!capture->broken);
    for (uint64_t i = 0; i < chunks; i++) {
        if (!capture_next(capture, &chunk))
            return true;
        uint64_t offset = chunk * CAPTURE_CHUNK_SIZE;
        uint64_t left = snapshot_data_size(&trial->head) - offset;
        capture_fill(capture, chunk, trial->stream + offset, left < CAPTURE_CHUNK_SIZE ? left : CAPTURE_CHUNK_SIZE);
    }
    return false;
}

void snapshot_trial_abandon(struct snapshot_trial *trial, struct engine *engine)
{
    snapshot_end(engine);
    free(trial->stream);
    trial->stream = NULL;
    trial->taking = false;
}

/* In pieces of odd sizes, as far as each was said to be there. */
static const char *stream_load(const struct snapshot_trial *trial, struct snapshot_load *load)
{
    uint64_t size = snapshot_data_size(&trial->head);
    uint64_t piece = 1;
    for (uint64_t offset = 0; offset < size;) {
        size_t room;
        void *place = snapshot_load_place(load, offset, &room);
        uint64_t bytes = piece < room ? piece : room;
        bytes = bytes < size - offset ? bytes : size - offset;
        memcpy(place, trial->stream + offset, bytes);
        offset += bytes;
        piece = piece * 3 % 9001 + 1;
        const char *wrong = snapshot_load_reached(load, offset);
        if (wrong != NULL)
            return wrong;
    }
    return snapshot_load_finish(load);
}

struct engine *snapshot_trial_load(struct snapshot_trial *trial, struct engine *engine, uint64_t hash_seed,
                                   void **memory, const char **wrong)
{
    REQUIRE(trial->taking);
    size_t size = engine_memory_size(&trial->head.limits);
    REQUIRE(posix_memalign(memory, ENGINE_MEMORY_ALIGNMENT, size) == 0);
    memset(*memory, 0, size);
    struct engine *loaded = engine_init(*memory, size, &trial->head.limits, hash_seed);
    struct snapshot_load load;
    *wrong = snapshot_head_check(&trial->head);
    if (*wrong == NULL)
        snapshot_load_begin(&load, loaded, &trial->head);
    if (*wrong == NULL)
        *wrong = stream_load(trial, &load);
    if (*wrong == NULL)
        *wrong = engine_check(loaded);
    if (*wrong == NULL && !hash128_equal(engine_state_hash(loaded), trial->state_hash))
        *wrong = "the loaded engine has another state hash than the one that was taken";
    snapshot_trial_abandon(trial, engine);
    return *wrong == NULL ? loaded : NULL;
}
