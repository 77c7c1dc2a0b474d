/* The header that every logged record and every request item begins with.
 *
 * A request item arrives on the wire in exactly the bytes that the log keeps, so logging a command is one copy. The
 * log (wal/) knows this header and nothing of what follows it. Layout: FORMAT.md, "Records"; PROTOCOL.md, "Items". */
#ifndef ENGINE_BASE_RECORD_H
#define ENGINE_BASE_RECORD_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define RECORD_ALIGNMENT 8
#define RECORD_SIZE_MAX 65528 /* the largest multiple of RECORD_ALIGNMENT that a u16 holds */

/* A client-chosen 128-bit name for one mutation; all zero means none. Compared as bits, never interpreted. */
struct key {
    uint64_t word[2];
};

struct record_header {
    uint16_t size;     /* bytes of the whole record, header included; a multiple of RECORD_ALIGNMENT */
    uint8_t kind;      /* enum operation (engine/command.h) */
    uint8_t version;   /* of this kind's layout; 1 */
    uint32_t flags;    /* enum record_flag; unknown bits are refused */
    uint64_t property; /* whose shard handles it; a shard's number where RECORD_BY_SHARD is set */
    struct key key;
};

static_assert(sizeof(struct record_header) == 32, "FORMAT.md: record header");
static_assert(offsetof(struct record_header, kind) == 2, "FORMAT.md: record header");
static_assert(offsetof(struct record_header, version) == 3, "FORMAT.md: record header");
static_assert(offsetof(struct record_header, flags) == 4, "FORMAT.md: record header");
static_assert(offsetof(struct record_header, property) == 8, "FORMAT.md: record header");
static_assert(offsetof(struct record_header, key) == 16, "FORMAT.md: record header");

static inline int key_equal(struct key a, struct key b)
{
    return a.word[0] == b.word[0] && a.word[1] == b.word[1];
}

static inline int key_is_zero(struct key k)
{
    return (k.word[0] | k.word[1]) == 0;
}

#endif
