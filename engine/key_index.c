#include "engine/key_index.h"

#include "engine/state.h"

struct key_name engine_key_name(const struct engine *engine, uint32_t reference)
{
    uint32_t target = key_reference_target(reference);
    enum key_use use = key_reference_use(reference);
    REQUIRE(use != KEY_UNUSED);
    if (use == KEY_OUTCOME) {
        const struct outcome *outcome = engine_outcome(engine, target);
        return (struct key_name){ .property_number = outcome->property_number, .key = outcome->key };
    }
    const struct reservation *reservation = engine_reservation(engine, target);
    return (struct key_name){
        .property_number = engine_type_of(engine, reservation)->property_number,
        .key = use == KEY_RESERVATION ? reservation->key : reservation->latest_key,
    };
}

uint32_t engine_key_find(const struct engine *engine, struct key_name name, uint64_t hash)
{
    struct hash_probe probe = hash_index_probe(&engine->keys, hash);
    for (;;) {
        uint32_t reference = hash_index_next(&engine->keys, &probe);
        if (reference == 0)
            return 0;
        struct key_name found = engine_key_name(engine, reference);
        if (key_equal(found.key, name.key) && found.property_number == name.property_number)
            return reference;
    }
}

void engine_key_add(struct engine *engine, struct key_name name, uint32_t reference)
{
    REQUIRE(!key_is_zero(name.key));
    hash_index_insert(&engine->keys, key_name_hash(name, engine->hash_seed), reference);
}

void engine_key_remove(struct engine *engine, struct key_name name, uint32_t reference)
{
    hash_index_remove(&engine->keys, key_name_hash(name, engine->hash_seed), reference);
}
