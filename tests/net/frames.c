#include "tests/net/frames.h"

#include <string.h>

void frame_begin(struct frame *frame, uint64_t lsn, uint64_t time_ns)
{
    memset(&frame->header, 0, sizeof frame->header);
    frame->header.type = WAL_FRAME_NOOP;
    frame->header.engine_level = ENGINE_LEVEL;
    frame->header.first_lsn = lsn + 1;
    frame->header.time_ns = time_ns;
}

void frame_append(struct frame *frame, const struct record_header *record)
{
    REQUIRE(frame->header.payload_size + record->size <= FRAME_PAYLOAD_MAX);
    memcpy(frame->payload + frame->header.payload_size, record, record->size);
    frame->header.payload_size += record->size;
    frame->header.records_count++;
    frame->header.type = WAL_FRAME_DATA;
}

void frame_begin_epoch(struct frame *frame, uint64_t lsn)
{
    frame->header.version = WAL_FRAME_VERSION_FLAGS;
    frame->header.flags = WAL_FRAME_EPOCH;
    frame->header.first_lsn = lsn;
}

struct engine_limits small_limits(void)
{
    return (struct engine_limits){ .properties_max = 8,
                                   .room_types_max = 16,
                                   .horizon_nights = 100,
                                   .reservations_max = 64,
                                   .outcomes_max = 64,
                                   .leases_max = 8,
                                   .deadline_ahead_max_ns = 10 * NS_PER_MINUTE,
                                   .keep_ended_ns = 24 * NS_PER_HOUR };
}

static struct record_header header_of(enum operation operation, size_t size, uint64_t property, uint64_t number)
{
    return (struct record_header){ .size = (uint16_t)size,
                                   .kind = (uint8_t)operation,
                                   .version = 1,
                                   .property = property,
                                   .key = { { number, number } } };
}

static struct mutation mutation_of(enum operation operation, size_t size, uint64_t property, uint64_t number,
                                   uint64_t time_ns)
{
    return (struct mutation){ .header = header_of(operation, size, property, number),
                              .not_after_ns = time_ns + NS_PER_MINUTE };
}

struct config_record record_config(struct engine_limits limits)
{
    struct config_record record = { .limits = limits };
    record.header = header_of(OPERATION_CONFIG, sizeof record, 0, 0);
    return record;
}

struct recovered_record record_recovered(void)
{
    struct recovered_record record = { .header = header_of(OPERATION_RECOVERED, sizeof record, 0, 0) };
    return record;
}

struct epoch_record record_epoch(uint64_t last_lsn, uint64_t granted_lsn, uint64_t first_lsn)
{
    struct epoch_record record = { .number = first_lsn / WAL_EPOCH_LSNS,
                                   .last_lsn = last_lsn,
                                   .granted_lsn = granted_lsn,
                                   .wall_ns = 1,
                                   .reason = EPOCH_CUT };
    record.header = header_of(OPERATION_EPOCH, sizeof record, 0, 0);
    return record;
}

struct property_create record_property(uint64_t property, int32_t business_date, uint64_t number, uint64_t time_ns)
{
    struct property_create record = { .business_date = business_date };
    record.mutation = mutation_of(OPERATION_PROPERTY_CREATE, sizeof record, property, number, time_ns);
    return record;
}

struct room_type_create record_room_type(uint64_t property, uint32_t room_type, uint16_t rooms, uint64_t number,
                                         uint64_t time_ns)
{
    struct room_type_create record = { .room_type = room_type, .rooms = rooms };
    record.mutation = mutation_of(OPERATION_ROOM_TYPE_CREATE, sizeof record, property, number, time_ns);
    return record;
}

struct reserve record_reserve(uint64_t property, uint32_t room_type, int32_t arrival, uint16_t nights, uint64_t hold_ns,
                              uint64_t number, uint64_t time_ns)
{
    struct reserve record = { .hold_ns = hold_ns, .arrival = arrival, .nights = nights, .lines_count = 1 };
    record.mutation = mutation_of(OPERATION_RESERVE, sizeof record, property, number, time_ns);
    record.lines[0] = (struct reserve_line){ .room_type = room_type, .rooms = 1 };
    return record;
}

struct reservation_change record_change(enum operation operation, uint64_t property, uint64_t reservation,
                                        uint64_t number, uint64_t time_ns)
{
    struct reservation_change record = { .reservation = { { reservation, reservation } } };
    record.mutation = mutation_of(operation, sizeof record, property, number, time_ns);
    return record;
}

struct lease_acquire record_acquire(uint64_t property, uint64_t resource, uint64_t session, uint64_t ttl_ns)
{
    struct lease_acquire record = { .resource = resource, .ttl_ns = ttl_ns, .owner = "desk" };
    record.header = header_of(OPERATION_LEASE_ACQUIRE, sizeof record, property, session);
    return record;
}
