/* Requests of the public header as items of the wire. `not_after_ns` stands for a deadline that the request leaves
 * open. */
#ifndef NET_CLIENT_ITEM_H
#define NET_CLIENT_ITEM_H

#include "net/include/innkeep/innkeep.h"
#include "net/protocol.h"

#include <string.h>

static inline struct key key_of(struct inn_key key)
{
    struct key k;
    memcpy(&k, key.bytes, sizeof k);
    return k;
}

static inline struct record_header item_header(size_t size, enum operation kind, uint64_t property, struct key key)
{
    return (struct record_header){
        .size = (uint16_t)size, .kind = (uint8_t)kind, .version = 1, .property = property, .key = key
    };
}

static inline struct mutation item_mutation(size_t size, enum operation kind, const struct inn_mutation *m,
                                            uint64_t not_after_ns)
{
    return (struct mutation){
        .header = item_header(size, kind, m->property, key_of(m->key)),
        .not_after_ns = m->not_after_ns != 0 ? m->not_after_ns : not_after_ns,
        .fence_token = m->fence_token,
        .fence_resource = m->fence_resource,
    };
}

static inline void item_property_create(struct property_create *item, const struct inn_property_create_request *r,
                                        uint64_t not_after_ns)
{
    *item = (struct property_create){
        .mutation = item_mutation(sizeof *item, OPERATION_PROPERTY_CREATE, &r->mutation, not_after_ns),
        .business_date = r->business_date,
    };
}

static inline void item_room_type_create(struct room_type_create *item, const struct inn_room_type_create_request *r,
                                         uint64_t not_after_ns)
{
    *item = (struct room_type_create){
        .mutation = item_mutation(sizeof *item, OPERATION_ROOM_TYPE_CREATE, &r->mutation, not_after_ns),
        .room_type = r->room_type,
        .rooms = r->rooms,
    };
}

static inline void item_rooms_set(struct rooms_set *item, const struct inn_rooms_set_request *r, uint64_t not_after_ns)
{
    *item = (struct rooms_set){
        .mutation = item_mutation(sizeof *item, OPERATION_ROOMS_SET, &r->mutation, not_after_ns),
        .room_type = r->room_type,
        .first_night = r->first_night,
        .last_night = r->last_night,
        .weekdays = r->weekdays,
        .rooms = r->rooms,
    };
}

static inline void item_reserve(struct reserve *item, const struct inn_reserve_request *r, uint64_t not_after_ns)
{
    *item = (struct reserve){
        .mutation = item_mutation(sizeof *item, OPERATION_RESERVE, &r->mutation, not_after_ns),
        .hold_ns = r->hold_ns,
        .external_reference = r->external_reference,
        .arrival = r->arrival,
        .nights = r->nights,
        .lines_count = 1,
        .lines = { { .room_type = r->room_type, .rooms = r->rooms } },
    };
}

static inline void item_change(struct reservation_change *item, enum operation kind, const struct inn_change_request *r,
                               uint64_t not_after_ns)
{
    *item = (struct reservation_change){
        .mutation = item_mutation(sizeof *item, kind, &r->mutation, not_after_ns),
        .reservation = key_of(r->reservation),
        .expected_version = r->expected_version,
    };
}

/* False for an owner longer than OWNER_SIZE; an empty one is for the server to refuse. */
static inline bool item_lease_acquire(struct lease_acquire *item, const struct inn_lease_acquire_request *r,
                                      struct inn_key session)
{
    struct key asked = key_of(r->session);
    *item = (struct lease_acquire){
        .header = item_header(sizeof *item, OPERATION_LEASE_ACQUIRE, r->property,
                              key_is_zero(asked) ? key_of(session) : asked),
        .resource = r->resource,
        .ttl_ns = r->ttl_ns,
    };
    const char *owner = r->owner != NULL ? r->owner : "";
    size_t length = strnlen(owner, OWNER_SIZE + 1);
    if (length > OWNER_SIZE)
        return false;
    memcpy(item->owner, owner, length);
    return true;
}

static inline void item_lease_renew(struct lease_renew *item, const struct inn_lease_request *r)
{
    *item = (struct lease_renew){
        .header = item_header(sizeof *item, OPERATION_LEASE_RENEW, r->property, (struct key){ { 0, 0 } }),
        .resource = r->resource,
        .token = r->token,
        .ttl_ns = r->ttl_ns,
    };
}

static inline void item_lease_release(struct lease_release *item, const struct inn_lease_request *r)
{
    *item = (struct lease_release){
        .header = item_header(sizeof *item, OPERATION_LEASE_RELEASE, r->property, (struct key){ { 0, 0 } }),
        .resource = r->resource,
        .token = r->token,
    };
}

static inline void item_lease_show(struct lease_show *item, const struct inn_lease_request *r)
{
    *item = (struct lease_show){
        .header = item_header(sizeof *item, OPERATION_LEASE_SHOW, r->property, (struct key){ { 0, 0 } }),
        .resource = r->resource,
    };
}

static inline void item_lookup(struct lookup *item, uint64_t property, struct inn_key key)
{
    *item = (struct lookup){ .header = item_header(sizeof *item, OPERATION_LOOKUP, property, key_of(key)) };
}

static inline void item_calendar(struct calendar *item, const struct inn_calendar_request *r)
{
    *item = (struct calendar){
        .header = item_header(sizeof *item, OPERATION_CALENDAR, r->property, (struct key){ { 0, 0 } }),
        .room_type = r->room_type,
        .after_type = r->after_type,
        .first_night = r->first_night,
        .nights = r->nights,
    };
}

static inline void item_barrier(struct barrier *item, uint64_t property, bool by_shard)
{
    *item = (struct barrier){
        .header = item_header(sizeof *item, OPERATION_BARRIER, property, (struct key){ { 0, 0 } }),
    };
    item->header.flags = by_shard ? RECORD_BY_SHARD : 0;
}

static inline void item_raise_level(struct raise_level *item, uint32_t shard, uint32_t level)
{
    *item = (struct raise_level){
        .header = item_header(sizeof *item, OPERATION_RAISE_LEVEL, shard, (struct key){ { 0, 0 } }),
        .level = level,
    };
    item->header.flags = RECORD_BY_SHARD;
}

static inline void item_snapshot(struct snapshot_request *item, uint32_t shard, bool take, uint64_t keep_ns)
{
    *item = (struct snapshot_request){
        .header = item_header(sizeof *item, OPERATION_SNAPSHOT, shard, (struct key){ { 0, 0 } }),
        .keep_ns = keep_ns,
        .take = take,
    };
    item->header.flags = RECORD_BY_SHARD;
}

static inline void item_status(struct status_query *item, uint32_t shard, bool with_hash)
{
    *item = (struct status_query){
        .header = item_header(sizeof *item, OPERATION_STATUS, shard, (struct key){ { 0, 0 } }),
        .with_hash = with_hash,
    };
    item->header.flags = RECORD_BY_SHARD;
}

#endif
