/* The state hash: the sum modulo 2^128 of XXH3-128 (seed 0) over the canonical bytes of each live object. It depends neither on
 * layout, nor on order, nor on the shard count, so hashes of shards add up to that of the whole, and an independent model can
 * compute it. Numbers that belong to a shard alone (log time, LSN, limits, commit latency, reclaimed tokens) are not in it.
 *
 * XXH3-128's result is read as the 128-bit number high64 x 2^64 + low64. All numbers are little-endian, nothing is padded; what
 * follows are all the bytes of each object. "State" is the state as swept: an object that is due but not yet swept
 * hashes as what it was.
 *
 * Property, 16 bytes
 *    0 u32 tag = 1
 *    4 i32 business date
 *    8 u64 property
 *
 * Room type, 32 + 8 x horizon bytes
 *    0 u32 tag = 2
 *    4 u32 room type
 *    8 u64 property
 *   16 u32 ordinal: 1 for the property's room type created first, 2 for the second, ...
 *   20 u16 rooms on nights that open (the rooms it was created with)
 *   22 u16 zero
 *   24 i32 first night of the window (the business date)
 *   28 u32 nights of the window (the horizon)
 *   32     for each night of the window in order: i16 sellable, u16 sold, u16 held, u16 zero
 *
 * Reservation, 168 bytes
 *    0 u32 tag = 3
 *    4 u32 room type
 *    8 u64 property
 *   16     key, 16 bytes
 *   32     fingerprint of the reserve, 16 bytes: u64 low, u64 high
 *   48 u64 LSN of the reserve
 *   56 u64 not_after of the reserve
 *   64 u64 hold deadline; 0 for one confirmed at once
 *   72 u64 external reference
 *   80 u64 when it is to be forgotten; 0 unless ended
 *   88 i32 arrival
 *   92 u16 nights
 *   94 u16 rooms
 *   96 u32 version
 *  100 u8  state
 *  101 u8  kind of the latest successful confirm, release or cancel; 0 and zeros from 104 to 159 if there was none
 *  102 u16 zero
 *  104     its key, 16 bytes
 *  120     its fingerprint, 16 bytes
 *  136 u64 its LSN
 *  144 u64 its not_after
 *  152 u64 its fence resource
 *  160 u64 the largest not_after of an earlier mutation whose outcome was dropped for want of a place; 0 if none was
 *
 * Kept outcome, 96 bytes
 *    0 u32 tag = 4
 *    4 u16 status
 *    6 u8  kind of the mutation
 *    7 u8  state in its result
 *    8 u64 property
 *   16     key, 16 bytes
 *   32     fingerprint, 16 bytes
 *   48 u64 LSN
 *   56 u64 not_after
 *   64 i32 night in its result
 *   68 u32 room type in its result
 *   72 i32 available in its result
 *   76 u32 version in its result
 *   80 u32 limit in its result
 *   84 u32 zero
 *   88 u64 hold deadline in its result
 *
 * Lease, live or ended and not yet reclaimed, 104 bytes
 *    0 u32 tag = 5
 *    4 u32 state
 *    8 u64 property
 *   16 u64 resource
 *   24 u64 token
 *   32 u64 deadline: of a released one, what it was when it was released
 *   40 u64 time to live
 *   48 u64 when its slot is reclaimed; 0 while live
 *   56     session, 16 bytes
 *   72     owner, 32 bytes
 */
#ifndef ENGINE_STATE_HASH_H
#define ENGINE_STATE_HASH_H

#include "engine/state.h"

struct canonical_property {
    uint32_t tag;
    int32_t business_date;
    uint64_t property;
};

struct canonical_room_type {
    uint32_t tag;
    uint32_t room_type;
    uint64_t property;
    uint32_t ordinal;
    uint16_t rooms;
    uint16_t reserved;
    int32_t first_night;
    uint32_t nights_count;
};

struct canonical_reservation {
    uint32_t tag;
    uint32_t room_type;
    uint64_t property;
    struct key key;
    struct hash128 fingerprint;
    uint64_t lsn;
    uint64_t not_after_ns;
    uint64_t hold_deadline_ns;
    uint64_t external_reference;
    uint64_t forget_ns;
    int32_t arrival;
    uint16_t nights;
    uint16_t rooms;
    uint32_t version;
    uint8_t state;
    uint8_t latest_operation;
    uint16_t reserved;
    struct key latest_key;
    struct hash128 latest_fingerprint;
    uint64_t latest_lsn;
    uint64_t latest_not_after_ns;
    uint64_t latest_fence_resource;
    uint64_t dropped_not_after_ns;
};

struct canonical_outcome {
    uint32_t tag;
    uint16_t status;
    uint8_t operation;
    uint8_t state;
    uint64_t property;
    struct key key;
    struct hash128 fingerprint;
    uint64_t lsn;
    uint64_t not_after_ns;
    int32_t night;
    uint32_t room_type;
    int32_t available;
    uint32_t version;
    uint32_t limit;
    uint32_t reserved;
    uint64_t hold_deadline_ns;
};

struct canonical_lease {
    uint32_t tag;
    uint32_t state;
    uint64_t property;
    uint64_t resource;
    uint64_t token;
    uint64_t deadline_ns;
    uint64_t ttl_ns;
    uint64_t reclaim_ns;
    struct key session;
    char owner[OWNER_SIZE];
};

#define CANONICAL_FIELD(type, field, offset) \
    static_assert(offsetof(struct type, field) == (offset), "FORMAT.md, State hash: " #field)
static_assert(sizeof(struct canonical_property) == 16, "FORMAT.md, State hash");
static_assert(sizeof(struct canonical_room_type) == 32, "FORMAT.md, State hash");
CANONICAL_FIELD(canonical_room_type, first_night, 24);
static_assert(sizeof(struct canonical_reservation) == 168, "FORMAT.md, State hash");
CANONICAL_FIELD(canonical_reservation, forget_ns, 80);
CANONICAL_FIELD(canonical_reservation, version, 96);
CANONICAL_FIELD(canonical_reservation, latest_key, 104);
CANONICAL_FIELD(canonical_reservation, latest_fence_resource, 152);
CANONICAL_FIELD(canonical_reservation, dropped_not_after_ns, 160);
static_assert(sizeof(struct canonical_outcome) == 96, "FORMAT.md, State hash");
CANONICAL_FIELD(canonical_outcome, night, 64);
CANONICAL_FIELD(canonical_outcome, limit, 80);
CANONICAL_FIELD(canonical_outcome, hold_deadline_ns, 88);
static_assert(sizeof(struct canonical_lease) == 104, "FORMAT.md, State hash");
CANONICAL_FIELD(canonical_lease, reclaim_ns, 48);
CANONICAL_FIELD(canonical_lease, owner, 72);

#endif
