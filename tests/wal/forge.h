/* Log bytes made by hand, so that a test says exactly what lies on the disk. Nothing here uses the writer. */
#ifndef TESTS_WAL_FORGE_H
#define TESTS_WAL_FORGE_H

#include "tests/wal/world.h"

/* Where forging goes on. */
struct forge {
    struct world *world;
    uint64_t sequence; /* of the segment being written */
    uint64_t offset;
    uint64_t next_index;
    uint64_t next_lsn;
    uint64_t time_ns;
    struct hash128 previous_hash;
};

/* The frame to forge; zeros ask for the natural value. */
struct forge_frame {
    uint32_t records;
    uint16_t record_size;
    uint64_t durable_index;
    /* What a test may want wrong. */
    uint64_t index;
    uint64_t first_lsn;
    uint64_t time_ns;
    uint64_t salt_sequence; /* seal under another segment's salt, and say so */
    uint32_t block_number;
    uint8_t version;
    uint16_t flags; /* raise the version, unless the test names one */
    bool other_history;
};

/* Begins a log in segment 1 of a data directory that was just made. */
void forge_begin(struct forge *forge, struct world *world);
/* Goes on in a new file of that sequence, header written. */
void forge_segment(struct forge *forge, uint64_t sequence);
/* The header that forge_segment writes, for tests that want another one. */
struct wal_segment_header forge_header(const struct forge *forge, uint64_t sequence);
/* Makes a zero-filled file of that sequence without a header. */
void forge_blank(const struct world *world, uint64_t sequence);
void forge_header_write(const struct world *world, uint64_t sequence, const struct wal_segment_header *header);
/* Writes a frame and goes on behind it; says where it lies. */
struct world_frame forge_frame(struct forge *forge, struct forge_frame wanted);

#endif
