/* Checksums and validity of the log's bytes. Everything here works on memory; FORMAT.md has the same rules in prose, and each
 * check below is one line of its "valid if and only if" lists.
 *
 * Source of the layout's ideas: the salted checksums of SQLite's wal.c, the hash-chained log headers of TigerBeetle. */
#include "wal/format.h"

#include <stdbool.h>
#include <string.h>

#define FRAME_CHECKED_SIZE offsetof(struct wal_frame_header, header_check)
#define FRAME_HASHED_SIZE offsetof(struct wal_frame_header, hash)

uint64_t wal_salt(const uint8_t uuid[16], uint32_t shard, uint64_t segment_sequence)
{
    struct {
        uint8_t uuid[16];
        uint64_t shard;
        uint64_t segment_sequence;
    } seed = { .shard = shard, .segment_sequence = segment_sequence };
    memcpy(seed.uuid, uuid, sizeof(seed.uuid));
    return hash64(&seed, sizeof(seed), 0);
}

void wal_segment_header_seal(struct wal_segment_header *header)
{
    header->check = hash128(header, offsetof(struct wal_segment_header, check), 0);
}

void wal_directory_header_seal(struct wal_directory_header *header)
{
    header->check = hash128(header, offsetof(struct wal_directory_header, check), 0);
}

/* The hash covers bytes 0..111 and the payload, with the hash's own 16 bytes between them. Moving the header 16 bytes up for a
 * moment makes the two one run of bytes: one call instead of a streaming state, whose set-up costs more than a small frame. */
void wal_frame_seal(struct wal_frame_header *frame, uint64_t salt)
{
    REQUIRE(frame->payload_size <= WAL_FRAME_SIZE_MAX - sizeof(*frame));
    frame->header_check = hash64(frame, FRAME_CHECKED_SIZE, salt);
    struct wal_frame_header header = *frame;
    uint8_t *shifted = (uint8_t *)frame + sizeof(header.hash);
    memcpy(shifted, &header, FRAME_HASHED_SIZE);
    header.hash = hash128(shifted, FRAME_HASHED_SIZE + header.payload_size, salt);
    *frame = header;
}

static bool segment_header_is_whole(const struct wal_segment_header *header)
{
    return header->magic == WAL_SEGMENT_MAGIC &&
           hash128_equal(header->check, hash128(header, offsetof(struct wal_segment_header, check), 0));
}

bool wal_segment_header_is_newer(const struct wal_segment_header *header)
{
    return segment_header_is_whole(header) && header->version > WAL_FORMAT_VERSION;
}

const char *wal_segment_header_check(const struct wal_segment_header *header)
{
    if (header->magic != WAL_SEGMENT_MAGIC)
        return "no segment header here";
    if (!segment_header_is_whole(header))
        return "the segment header's checksum does not match";
    if (header->version > WAL_FORMAT_VERSION)
        return "the segment was written by a newer Innkeep";
    if (header->version != WAL_FORMAT_VERSION || header->header_size != sizeof(*header))
        return "the segment header's version or size is none that was ever written";
    if (header->segment_size < WAL_SEGMENT_SIZE_MIN || header->segment_size % WAL_BLOCK_SIZE != 0)
        return "the segment header's segment size is impossible";
    if (header->shard >= header->shards_count || header->segment_sequence == 0)
        return "the segment header's shard or sequence is impossible";
    if (header->first_frame_index == 0 || header->first_lsn == 0)
        return "the segment header's first index or LSN is zero";
    static const uint8_t zero[sizeof(header->reserved)];
    if (memcmp(header->reserved, zero, sizeof(zero)) != 0)
        return "the segment header's reserved bytes are not zero";
    return NULL;
}

const char *wal_directory_header_check(const struct wal_directory_header *header)
{
    if (header->magic != WAL_DIRECTORY_MAGIC)
        return "it does not begin with Innkeep's mark";
    if (!hash128_equal(header->check, hash128(header, offsetof(struct wal_directory_header, check), 0)))
        return "its checksum does not match";
    if (header->version != WAL_FORMAT_VERSION)
        return "its format version is not this one's";
    if (header->shards_count == 0)
        return "its shard count is zero";
    if (header->segment_size < WAL_SEGMENT_SIZE_MIN || header->segment_size % WAL_BLOCK_SIZE != 0)
        return "its segment size is impossible";
    return NULL;
}

const char *wal_frame_header_check(const struct wal_frame_header *frame, uint64_t salt)
{
    if (frame->magic != WAL_FRAME_MAGIC)
        return "no frame begins here";
    if (frame->header_check != hash64(frame, FRAME_CHECKED_SIZE, salt))
        return "the frame header's checksum does not match";
    return NULL;
}

bool wal_frame_is_newer(const struct wal_frame_header *frame, uint64_t salt)
{
    return !wal_frame_header_check(frame, salt) && frame->version > WAL_FRAME_VERSION_FLAGS;
}

static bool frame_type_is_known(uint8_t type)
{
    return type >= WAL_FRAME_DATA && type <= WAL_FRAME_SEAL;
}

static bool frame_sizes_fit(const struct wal_frame_header *frame)
{
    if (frame->frame_size > WAL_FRAME_SIZE_MAX || frame->payload_size > WAL_FRAME_SIZE_MAX)
        return false;
    return frame->frame_size == wal_frame_padded_size(frame->payload_size);
}

/* A flag raises the version, so that a reader from before it stops there, and does not take the frame for a torn one. */
static bool frame_flags_are_known(const struct wal_frame_header *frame)
{
    if (frame->flags == 0)
        return frame->version == WAL_FORMAT_VERSION;
    return frame->version == WAL_FRAME_VERSION_FLAGS && (frame->flags & ~(unsigned)WAL_FRAME_EPOCH) == 0;
}

/* What the header says must make sense before its sizes are believed. */
static const char *frame_fields_check(const struct wal_frame_header *frame)
{
    if (frame->version > WAL_FRAME_VERSION_FLAGS)
        return "the frame was written by a newer Innkeep";
    if (!frame_flags_are_known(frame))
        return "the frame's version or flags are none that were ever written";
    if (!frame_type_is_known(frame->type))
        return "the frame's type is unknown";
    if (!frame_sizes_fit(frame))
        return "the frame's sizes contradict each other";
    if (frame->index == 0 || frame->first_lsn == 0 || frame->durable_index >= frame->index)
        return "the frame's index, LSN or durable index is impossible";
    bool carries_records = frame->type == WAL_FRAME_DATA || frame->type == WAL_FRAME_CONFIG;
    if (carries_records != (frame->records_count > 0))
        return "the frame's type contradicts its number of records";
    bool begins_epoch = (frame->flags & WAL_FRAME_EPOCH) != 0;
    if (begins_epoch && frame->type != WAL_FRAME_DATA)
        return "the frame's type contradicts its flags";
    return NULL;
}

static bool frame_hash_matches(const struct wal_frame_header *frame, uint64_t salt)
{
    XXH3_state_t state;
    XXH3_INITSTATE(&state); /* reset_withSeed looks at the seed that is there */
    if (XXH3_128bits_reset_withSeed(&state, salt) != XXH_OK ||
        XXH3_128bits_update(&state, frame, FRAME_HASHED_SIZE) != XXH_OK ||
        XXH3_128bits_update(&state, frame + 1, frame->payload_size) != XXH_OK)
        return false;
    XXH128_hash_t hash = XXH3_128bits_digest(&state);
    return hash.low64 == frame->hash.low && hash.high64 == frame->hash.high;
}

/* Whoever walks the records trusts their sizes; so they must tile the payload exactly. */
static bool frame_records_tile(const struct wal_frame_header *frame)
{
    const uint8_t *payload = (const uint8_t *)(frame + 1);
    uint32_t offset = 0;
    for (uint32_t i = 0; i < frame->records_count; i++) {
        struct record_header record;
        if (frame->payload_size - offset < sizeof(record))
            return false;
        memcpy(&record, payload + offset, sizeof(record));
        if (record.size < sizeof(record) || record.size % RECORD_ALIGNMENT != 0 ||
            record.size > frame->payload_size - offset)
            return false;
        offset += record.size;
    }
    return offset == frame->payload_size;
}

const char *wal_frame_check(const struct wal_frame_header *frame, uint64_t salt, size_t available_bytes)
{
    if (available_bytes < sizeof(*frame))
        return "fewer bytes than a frame header has are left";
    const char *wrong = wal_frame_header_check(frame, salt);
    if (!wrong)
        wrong = frame_fields_check(frame);
    if (wrong)
        return wrong;
    if (frame->frame_size > available_bytes)
        return "the frame runs past the end of its segment";
    if (!frame_hash_matches(frame, salt))
        return "the frame's checksum does not match";
    if (!frame_records_tile(frame))
        return "the frame's records do not fill its payload exactly";
    return NULL;
}

const struct record_header *wal_record_first(const struct wal_frame_header *frame)
{
    return frame->records_count == 0 ? NULL : (const struct record_header *)(frame + 1);
}

const struct record_header *wal_record_next(const struct wal_frame_header *frame, const struct record_header *record)
{
    const uint8_t *end = (const uint8_t *)(frame + 1) + frame->payload_size;
    const uint8_t *next = (const uint8_t *)record + record->size;
    REQUIRE(record->size >= sizeof(*record));
    ENSURE(next <= end);
    return next == end ? NULL : (const struct record_header *)next;
}
