/* Frames of records in memory, as the log hands them to a state machine, and the records that tests put into them. */
#ifndef TESTS_NET_FRAMES_H
#define TESTS_NET_FRAMES_H

#include "engine/engine.h"
#include "wal/format.h"

#define FRAME_PAYLOAD_MAX (64 * KIB)

struct frame {
    struct wal_frame_header header;
    _Alignas(RECORD_ALIGNMENT) uint8_t payload[FRAME_PAYLOAD_MAX];
};

/* An empty frame behind `lsn`, the last LSN before it. */
void frame_begin(struct frame *frame, uint64_t lsn, uint64_t time_ns);
void frame_append(struct frame *frame, const struct record_header *record);
/* Makes an empty frame one that begins an epoch at `lsn`. */
void frame_begin_epoch(struct frame *frame, uint64_t lsn);

/* Limits that cost about a megabyte. */
struct engine_limits small_limits(void);

/* Records. Keys are `number` in both halves; deadlines lie a minute behind `time_ns`. */
struct config_record record_config(struct engine_limits limits);
struct recovered_record record_recovered(void);
struct epoch_record record_epoch(uint64_t last_lsn, uint64_t granted_lsn, uint64_t first_lsn);
struct property_create record_property(uint64_t property, int32_t business_date, uint64_t number, uint64_t time_ns);
struct room_type_create record_room_type(uint64_t property, uint32_t room_type, uint16_t rooms, uint64_t number,
                                         uint64_t time_ns);
struct reserve record_reserve(uint64_t property, uint32_t room_type, int32_t arrival, uint16_t nights, uint64_t hold_ns,
                              uint64_t number, uint64_t time_ns);
struct reservation_change record_change(enum operation operation, uint64_t property, uint64_t reservation,
                                        uint64_t number, uint64_t time_ns);
struct lease_acquire record_acquire(uint64_t property, uint64_t resource, uint64_t session, uint64_t ttl_ns);

#endif
