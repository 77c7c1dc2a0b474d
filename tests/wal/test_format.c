/* The log's bytes: what is valid, and that nothing else is. */
#include "wal/format.h"
#include "wal/segment_file.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SALT UINT64_C(0x1234567890abcdef)

static _Alignas(WAL_BLOCK_SIZE) uint8_t bytes[WAL_FRAME_SIZE_MAX];
static struct wal_frame_header *const frame = (void *)bytes;

/* A valid frame of `records` records of `record_size` bytes. */
static void make_frame(uint32_t records, uint16_t record_size)
{
    memset(bytes, 0, sizeof(bytes));
    uint32_t payload_size = records * record_size;
    *frame = (struct wal_frame_header){
        .magic = WAL_FRAME_MAGIC,
        .version = WAL_FORMAT_VERSION,
        .type = records > 0 ? WAL_FRAME_DATA : WAL_FRAME_NOOP,
        .frame_size = (uint32_t)wal_frame_padded_size(payload_size),
        .payload_size = payload_size,
        .records_count = records,
        .engine_level = 1,
        .segment_sequence = 3,
        .block_number = 2,
        .index = 10,
        .first_lsn = 100,
        .time_ns = 5,
        .durable_index = 9,
        .commit_index = 9,
    };
    for (uint32_t i = 0; i < records; i++) {
        struct record_header record = { .size = record_size, .kind = 10, .version = 1, .property = i };
        memcpy(bytes + sizeof(*frame) + (size_t)i * record_size, &record, sizeof(record));
    }
    wal_frame_seal(frame, SALT);
}

static const char *check(void)
{
    return wal_frame_check(frame, SALT, sizeof(bytes));
}

static void expect_wrong(const char *part)
{
    wal_frame_seal(frame, SALT);
    const char *wrong = check();
    cr_assert_not_null(wrong, "expected: %s", part);
    cr_assert_not_null(strstr(wrong, part), "%s", wrong);
}

/* ---- Frames ------------------------------------------------------------------------------------------------------------- */

Test(format, the_frame_hash_is_that_of_bytes_0_to_111_and_the_payload)
{
    static uint8_t together[WAL_FRAME_SIZE_MAX];
    static const uint32_t counts[] = { 0, 1, 2, 3, 7, 100, 10000 };
    for (size_t i = 0; i < ARRAY_COUNT(counts); i++) {
        make_frame(counts[i], 96);
        memcpy(together, bytes, 112);
        memcpy(together + 112, bytes + 128, frame->payload_size);
        struct hash128 expected = hash128(together, (size_t)112 + frame->payload_size, SALT);
        cr_assert(hash128_equal(frame->hash, expected));
        cr_assert_eq(frame->header_check, hash64(bytes, 104, SALT));
        cr_assert_null(check());
    }
}

Test(format, sealing_changes_nothing_but_the_two_checksums)
{
    make_frame(5, 48);
    static uint8_t before[WAL_FRAME_SIZE_MAX];
    memcpy(before, bytes, sizeof(bytes));
    frame->header_check = 1;
    frame->hash = (struct hash128){ 2, 3 };
    wal_frame_seal(frame, SALT);
    cr_assert_eq(memcmp(before, bytes, sizeof(bytes)), 0);
}

Test(format, every_flipped_bit_of_a_frame_is_noticed_and_none_of_its_padding_matters)
{
    make_frame(3, 96);
    size_t end = sizeof(*frame) + frame->payload_size;
    for (size_t bit = 0; bit < (size_t)8 * frame->frame_size; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        const char *wrong = check();
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (bit / 8 < end)
            cr_assert_not_null(wrong, "bit %zu", bit);
        else
            cr_assert_null(wrong, "bit %zu: %s", bit, wrong);
    }
}

Test(format, a_frame_verifies_under_its_own_salt_only)
{
    make_frame(1, 96);
    cr_assert_not_null(wal_frame_check(frame, SALT + 1, sizeof(bytes)));
    uint8_t uuid[16] = { 1, 2, 3 };
    uint64_t salt = wal_salt(uuid, 0, 1);
    cr_assert_neq(salt, wal_salt(uuid, 0, 2));
    cr_assert_neq(salt, wal_salt(uuid, 1, 1));
    uuid[15] = 1;
    cr_assert_neq(salt, wal_salt(uuid, 0, 1));
}

Test(format, the_salt_is_the_hash_of_uuid_shard_and_sequence)
{
    uint8_t seed[32] = {
        0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf
    };
    seed[16] = 5;
    seed[24] = 0x07;
    seed[25] = 0x01;
    cr_assert_eq(wal_salt(seed, 5, 0x107), XXH3_64bits(seed, sizeof(seed)));
}

Test(format, a_frame_that_begins_an_epoch_carries_records_that_are_no_configuration)
{
    make_frame(2, 96);
    frame->version = WAL_FRAME_VERSION_FLAGS;
    frame->flags = WAL_FRAME_EPOCH;
    wal_frame_seal(frame, SALT);
    cr_assert_null(check(), "%s", check());
    frame->type = WAL_FRAME_CONFIG;
    expect_wrong("type contradicts its flags");
    cr_assert_eq(wal_epoch_behind(1), WAL_EPOCH_LSNS);
    cr_assert_eq(wal_epoch_behind(WAL_EPOCH_LSNS - 1), WAL_EPOCH_LSNS);
    cr_assert_eq(wal_epoch_behind(WAL_EPOCH_LSNS), 2 * WAL_EPOCH_LSNS);
}

Test(format, a_frame_that_contradicts_itself_is_not_valid_however_well_it_is_sealed)
{
    make_frame(2, 96);
    frame->version = 3;
    expect_wrong("newer");
    cr_assert(wal_frame_is_newer(frame, SALT));
    frame->version = 2; /* for frames with a flag only */
    expect_wrong("version");
    cr_assert_not(wal_frame_is_newer(frame, SALT));
    frame->version = 0;
    expect_wrong("version");
    cr_assert_not(wal_frame_is_newer(frame, SALT));
    make_frame(2, 96);
    cr_assert_not(wal_frame_is_newer(frame, SALT));
    frame->flags = 1;
    expect_wrong("flags");
    frame->version = 2;
    frame->flags = 2;
    expect_wrong("flags");
    frame->flags = 3;
    expect_wrong("flags");
    make_frame(2, 96);
    frame->type = 0;
    expect_wrong("type is unknown");
    frame->type = WAL_FRAME_SEAL + 1;
    expect_wrong("type is unknown");
    frame->type = WAL_FRAME_NOOP;
    expect_wrong("number of records");
    make_frame(0, 0);
    frame->type = WAL_FRAME_CONFIG;
    expect_wrong("number of records");
    make_frame(2, 96);
    frame->index = 0;
    expect_wrong("index");
    make_frame(2, 96);
    frame->first_lsn = 0;
    expect_wrong("LSN");
    make_frame(2, 96);
    frame->durable_index = frame->index;
    expect_wrong("durable index");
}

Test(format, sizes_that_contradict_each_other_are_not_believed)
{
    static const uint32_t sizes[] = { 0, 1, 4095, 8192, 1u << 20, 1u << 31, UINT32_MAX };
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        make_frame(2, 96);
        frame->frame_size = sizes[i];
        expect_wrong("sizes");
    }
    static const uint32_t payloads[] = { 4096, 1u << 20, (1u << 20) - 127, UINT32_MAX, UINT32_MAX - 127 };
    for (size_t i = 0; i < ARRAY_COUNT(payloads); i++) {
        make_frame(2, 96);
        frame->payload_size = payloads[i];
        frame->header_check = hash64(frame, 104, SALT); /* sealing would read that far */
        const char *wrong = check();
        cr_assert(wrong && strstr(wrong, "sizes"), "%s", wrong);
    }
}

Test(format, records_must_fill_the_payload_exactly)
{
    static const struct {
        uint16_t size;
        uint32_t count;
    } cases[] = { { 0, 2 },   { 8, 2 },   { 31, 2 }, { 100, 2 }, { 88, 2 },
                  { 104, 2 }, { 192, 2 }, { 96, 1 }, { 96, 3 },  { UINT16_MAX, 2 } };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        make_frame(2, 96);
        memcpy(bytes + sizeof(*frame), &cases[i].size, sizeof(cases[i].size));
        frame->records_count = cases[i].count;
        expect_wrong("records");
    }
}

Test(format, records_that_are_not_aligned_are_refused_though_they_fill_the_payload)
{
    make_frame(2, 96);
    memcpy(bytes + sizeof(*frame), &(uint16_t){ 100 }, 2);
    memcpy(bytes + sizeof(*frame) + 100, &(uint16_t){ 92 }, 2);
    expect_wrong("records");
}

Test(format, a_frame_cut_short_is_not_read)
{
    make_frame(50, 96);
    cr_assert_eq(frame->frame_size, 8192u);
    for (size_t available = 0; available < 128; available++)
        cr_assert(strstr(wal_frame_check(frame, SALT, available), "fewer bytes"));
    cr_assert(strstr(wal_frame_check(frame, SALT, 128), "past the end"));
    cr_assert(strstr(wal_frame_check(frame, SALT, 8191), "past the end"));
    cr_assert_null(wal_frame_check(frame, SALT, 8192));
}

Test(format, records_are_walked_from_the_first_to_the_last)
{
    make_frame(0, 0);
    cr_assert_null(wal_record_first(frame));
    make_frame(20, 40);
    uint32_t count = 0;
    for (const struct record_header *record = wal_record_first(frame); record; record = wal_record_next(frame, record))
        cr_assert_eq(record->property, count++);
    cr_assert_eq(count, 20u);
}

/* ---- Segment headers ------------------------------------------------------------------------------------------------------- */

static struct wal_segment_header make_header(void)
{
    struct wal_segment_header header = {
        .magic = WAL_SEGMENT_MAGIC,
        .version = WAL_FORMAT_VERSION,
        .header_size = sizeof(header),
        .shard = 1,
        .shards_count = 2,
        .segment_sequence = 1,
        .segment_size = WAL_SEGMENT_SIZE_DEFAULT,
        .first_frame_index = 1,
        .first_lsn = 1,
    };
    wal_segment_header_seal(&header);
    return header;
}

Test(format, every_flipped_bit_of_a_segment_header_is_noticed)
{
    struct wal_segment_header header = make_header();
    cr_assert_null(wal_segment_header_check(&header));
    for (size_t bit = 0; bit < 8 * sizeof(header); bit++) {
        ((uint8_t *)&header)[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert_not_null(wal_segment_header_check(&header), "bit %zu", bit);
        cr_assert_not(wal_segment_header_is_newer(&header));
        ((uint8_t *)&header)[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

#define EXPECT_HEADER(field, value, part)                             \
    do {                                                              \
        struct wal_segment_header header = make_header();             \
        header.field = (value);                                       \
        wal_segment_header_seal(&header);                             \
        const char *wrong = wal_segment_header_check(&header);        \
        cr_assert(wrong &&strstr(wrong, part), #field ": %s", wrong); \
    } while (0)

Test(format, a_segment_header_with_an_impossible_field_is_not_valid)
{
    EXPECT_HEADER(magic, 1, "no segment header");
    EXPECT_HEADER(version, 2, "newer");
    EXPECT_HEADER(version, 0, "version");
    EXPECT_HEADER(header_size, 64, "size");
    EXPECT_HEADER(segment_size, 4096, "segment size");
    EXPECT_HEADER(segment_size, WAL_SEGMENT_SIZE_MIN + 1, "segment size");
    EXPECT_HEADER(shard, 2, "shard");
    EXPECT_HEADER(segment_sequence, 0, "sequence");
    EXPECT_HEADER(first_frame_index, 0, "first index");
    EXPECT_HEADER(first_lsn, 0, "LSN");
    EXPECT_HEADER(reserved[7], 1, "reserved");
}

/* ---- Names ------------------------------------------------------------------------------------------------------------------ */

Test(format, a_segment_files_name_and_number_are_one_to_one)
{
    static const uint64_t numbers[] = { 1, 9, 10, 0xabcdef, UINT64_MAX };
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
        char path[WAL_FILE_PATH_SIZE];
        uint64_t number = 0;
        cr_assert_eq(wal_file_path(path, "d", numbers[i], WAL_SUFFIX_SEGMENT), 0);
        cr_assert(wal_file_parse(path + 2, WAL_SUFFIX_SEGMENT, &number));
        cr_assert_eq(number, numbers[i]);
        cr_assert_not(wal_file_parse(path + 2, WAL_SUFFIX_READY, &number));
    }
    static const char *const others[] = {
        "",      "0000000000000000.wal",  "000000000000001.wal",  "00000000000000001.wal", "000000000000000A.wal",
        "1.wal", "0000000000000001.wal~", "0000000000000001.wa",  "0000000000000001",      " 000000000000001.wal",
        "meta",  "+000000000000001.wal",  "0x00000000000001.wal",
    };
    for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
        uint64_t number = 0;
        cr_assert_not(wal_file_parse(others[i], WAL_SUFFIX_SEGMENT, &number), "%s", others[i]);
    }
}

Test(format, a_path_that_does_not_fit_is_refused)
{
    char directory[WAL_FILE_PATH_SIZE];
    char path[WAL_FILE_PATH_SIZE];
    memset(directory, 'd', sizeof(directory));
    directory[WAL_FILE_PATH_SIZE - 22] = '\0'; /* '/', 16 digits, ".wal" and the terminator are 22 */
    cr_assert_eq(wal_file_path(path, directory, 1, WAL_SUFFIX_SEGMENT), 0);
    directory[WAL_FILE_PATH_SIZE - 22] = 'd';
    directory[WAL_FILE_PATH_SIZE - 21] = '\0';
    cr_assert_eq(wal_file_path(path, directory, 1, WAL_SUFFIX_SEGMENT), -ENAMETOOLONG);
}
