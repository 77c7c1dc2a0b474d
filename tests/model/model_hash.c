/* See model_hash.h. Bytes are appended one field after the other, in the order of the document. */
#include "tests/model/model_hash.h"

#include <string.h>

struct canonical {
    uint8_t bytes[64 + 8 * NIGHTS_MAX];
    size_t size;
};

static void put(struct canonical *canonical, const void *bytes, size_t size)
{
    REQUIRE(canonical->size + size <= sizeof canonical->bytes);
    memcpy(canonical->bytes + canonical->size, bytes, size);
    canonical->size += size;
}

/* The `size` lowest bytes of a number, lowest first. */
static void put_number(struct canonical *canonical, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = (uint8_t)(value >> (8 * i));
        put(canonical, &byte, 1);
    }
}

static void put_fingerprint(struct canonical *canonical, struct hash128 fingerprint)
{
    put_number(canonical, fingerprint.low, 8);
    put_number(canonical, fingerprint.high, 8);
}

static void add_object(struct hash128 *sum, struct canonical *canonical, size_t size_expected)
{
    ENSURE(canonical->size == size_expected);
    struct hash128 hash = hash128(canonical->bytes, canonical->size, 0);
    uint64_t low = sum->low + hash.low;
    sum->high += hash.high + (low < hash.low);
    sum->low = low;
    canonical->size = 0;
}

static void add_property(struct hash128 *sum, struct canonical *canonical, const struct model_property *property)
{
    put_number(canonical, 1, 4);
    put_number(canonical, (uint32_t)property->business_date, 4);
    put_number(canonical, property->number, 8);
    add_object(sum, canonical, 16);
}

static uint32_t ordinal_of(const struct model *model, size_t index)
{
    uint32_t ordinal = 0;
    for (size_t i = 0; i <= index; i++) {
        ordinal += model->room_types[i].property == model->room_types[index].property;
    }
    return ordinal;
}

static int32_t business_date_of(const struct model *model, uint64_t property)
{
    size_t i = 0;
    while (model->properties[i].number != property) {
        i++;
        REQUIRE(i < model->properties_count);
    }
    return model->properties[i].business_date;
}

static void add_room_type(struct hash128 *sum, struct canonical *canonical, const struct model *model, size_t index)
{
    const struct model_room_type *type = &model->room_types[index];
    int32_t first_night = business_date_of(model, type->property);
    put_number(canonical, 2, 4);
    put_number(canonical, type->number, 4);
    put_number(canonical, type->property, 8);
    put_number(canonical, ordinal_of(model, index), 4);
    put_number(canonical, type->rooms, 2);
    put_number(canonical, 0, 2);
    put_number(canonical, (uint32_t)first_night, 4);
    put_number(canonical, model->limits.horizon_nights, 4);
    for (uint32_t night = 0; night < model->limits.horizon_nights; night++) {
        int32_t date = first_night + (int32_t)night;
        put_number(canonical, type->sellable[night], 2);
        put_number(canonical, (uint32_t)model_rooms_in_state(model, type, date, RESERVATION_CONFIRMED), 2);
        put_number(canonical, (uint32_t)model_rooms_in_state(model, type, date, RESERVATION_HELD), 2);
        put_number(canonical, 0, 2);
    }
    add_object(sum, canonical, 32 + 8 * (size_t)model->limits.horizon_nights);
}

static void add_reservation(struct hash128 *sum, struct canonical *canonical,
                            const struct model_reservation *reservation)
{
    const struct reserve *request = &reservation->request;
    const struct model_outcome *latest = &reservation->latest;
    bool ended = reservation->state != RESERVATION_HELD && reservation->state != RESERVATION_CONFIRMED;
    put_number(canonical, 3, 4);
    put_number(canonical, request->lines[0].room_type, 4);
    put_number(canonical, reservation->first.property, 8);
    put(canonical, &reservation->first.key, 16);
    put_fingerprint(canonical, reservation->first.fingerprint);
    put_number(canonical, reservation->first.lsn, 8);
    put_number(canonical, reservation->first.not_after_ns, 8);
    put_number(canonical, reservation->hold_deadline_ns, 8);
    put_number(canonical, request->external_reference, 8);
    put_number(canonical, ended ? model_forget_ns(reservation) : 0, 8);
    put_number(canonical, (uint32_t)request->arrival, 4);
    put_number(canonical, request->nights, 2);
    put_number(canonical, request->lines[0].rooms, 2);
    put_number(canonical, reservation->version, 4);
    put_number(canonical, reservation->state, 1);
    put_number(canonical, latest->kind, 1);
    put_number(canonical, 0, 2);
    put(canonical, &latest->key, 16);
    put_fingerprint(canonical, latest->fingerprint);
    put_number(canonical, latest->lsn, 8);
    put_number(canonical, latest->not_after_ns, 8);
    put_number(canonical, latest->fence_resource, 8);
    put_number(canonical, reservation->dropped_deadline_ns, 8);
    add_object(sum, canonical, 168);
}

static void add_outcome(struct hash128 *sum, struct canonical *canonical, const struct model_outcome *outcome)
{
    const struct mutation_result *result = &outcome->result;
    put_number(canonical, 4, 4);
    put_number(canonical, result->header.status, 2);
    put_number(canonical, outcome->kind, 1);
    put_number(canonical, result->state, 1);
    put_number(canonical, outcome->property, 8);
    put(canonical, &outcome->key, 16);
    put_fingerprint(canonical, outcome->fingerprint);
    put_number(canonical, outcome->lsn, 8);
    put_number(canonical, outcome->not_after_ns, 8);
    put_number(canonical, (uint32_t)result->night, 4);
    put_number(canonical, result->room_type, 4);
    put_number(canonical, (uint32_t)result->available, 4);
    put_number(canonical, result->version, 4);
    put_number(canonical, result->limit, 4);
    put_number(canonical, 0, 4);
    put_number(canonical, result->hold_deadline_ns, 8);
    add_object(sum, canonical, 96);
}

static void add_lease(struct hash128 *sum, struct canonical *canonical, const struct model_lease *lease)
{
    bool live = lease->state == LEASE_LIVE;
    put_number(canonical, 5, 4);
    put_number(canonical, lease->state, 4);
    put_number(canonical, lease->property, 8);
    put_number(canonical, lease->resource, 8);
    put_number(canonical, lease->token, 8);
    put_number(canonical, lease->deadline_ns, 8);
    put_number(canonical, lease->ttl_ns, 8);
    put_number(canonical, live ? 0 : model_add_saturating(lease->end_ns, ENGINE_LEASE_LINGER_NS), 8);
    put(canonical, &lease->session, 16);
    put(canonical, lease->owner, OWNER_SIZE);
    add_object(sum, canonical, 104);
}

struct hash128 model_state_hash(const struct model *model)
{
    static struct canonical canonical;
    struct hash128 sum = { 0, 0 };
    for (size_t i = 0; i < model->properties_count; i++) {
        add_property(&sum, &canonical, &model->properties[i]);
    }
    for (size_t i = 0; i < model->room_types_count; i++) {
        add_room_type(&sum, &canonical, model, i);
    }
    for (size_t i = 0; i < model->reservations_count; i++) {
        add_reservation(&sum, &canonical, &model->reservations[i]);
    }
    for (size_t i = 0; i < model->outcomes_count; i++) {
        add_outcome(&sum, &canonical, &model->outcomes[i]);
    }
    for (size_t i = 0; i < model->leases_count; i++) {
        add_lease(&sum, &canonical, &model->leases[i]);
    }
    return sum;
}
