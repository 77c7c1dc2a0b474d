/* Copy on update: the pages of an engine as they were at one moment, handed out while the engine goes on.
 *
 * The block's memory is seen as pages of 4 KiB. Whoever is about to write into a captured table says so first (capture_touch, which
 * pool_edit and its like call, so that the compiler sees to it: what pool_at gives is const). The first write into a page that has not been handed out yet copies
 * the page aside. What is handed out are chunks of 16 pages, in any order: a chunk with copied pages comes before the others, because handing it out
 * gives the copies back.
 *
 * Invariant while running: every page of a chunk that was not handed out is, in its copy if it has one and else in place, what it was at
 * capture_begin. Where no place for a copy is left the capture is broken: the moment is lost, the engine goes on unharmed.
 * Source: Elhardt and Bayer, "A Database Cache for High Performance and Fast Restart", TODS 1984 (copies of pages before the
 * update); the fuzzy-free variant of memory-resident snapshots that Redis and Tarantool leave to fork and to their read views. */
#ifndef ENGINE_CAPTURE_H
#define ENGINE_CAPTURE_H

#include "engine/base/contract.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CAPTURE_PAGE_SIZE 4096
#define CAPTURE_CHUNK_PAGES 16
#define CAPTURE_CHUNK_SIZE ((size_t)CAPTURE_CHUNK_PAGES * CAPTURE_PAGE_SIZE)
#define CAPTURE_RANGES_MAX 8
/* More pages than one record can write into: its nights, its objects, and the deadlines on the way through the heaps. */
#define CAPTURE_RECORD_PAGES 512

/* Pages of the block that belong together; the stream is all ranges, one behind the other. */
struct page_range {
    uint64_t first_page; /* in the block */
    uint64_t pages_count;
};

struct capture {
    uint8_t *memory;         /* the block; NULL: there is no capture in this engine (a pool's own in a test) */
    uint32_t *copy_of_page;  /* by page of the block: the number of its copy + 1; 0: none */
    uint32_t *copied_chunks; /* a queue of chunks with copies, each at most once, so it never wraps */
    uint32_t *free_copies;   /* a stack */
    uint8_t *chunk_states;   /* enum chunk_state, by chunk of the stream */
    uint8_t *copies;         /* copies_max pages */
    uint64_t block_pages;    /* that may be captured */
    uint32_t copies_max;
    uint32_t free_count;

    bool running;
    bool broken; /* while running: a page could not be copied */
    uint32_t ranges_count;
    struct page_range ranges[CAPTURE_RANGES_MAX];
    uint64_t pages_count; /* of the stream */
    uint32_t chunks_count;
    uint32_t queue_first;
    uint32_t queue_next;
    uint32_t cursor; /* chunks before it were handed out, or are in the queue */
};

/* Bytes that the capture of a block of block_size bytes needs, a multiple of the page size: room for copies of a sixteenth of the block, of
 * all of it where that is little, and what tells where they are. */
size_t capture_memory_size(size_t block_size);

/* Bytes of that which are for copies. */
size_t capture_copies_size(size_t block_size);

/* Prepares a capture over `memory`; `own` is capture_memory_size zeroed bytes, page-aligned. Touches no page of it. */
void capture_init(struct capture *capture, void *memory, size_t block_size, void *own);

/* Begins. The ranges do not overlap and lie in the block, their order is the stream's. Requires that none is running. */
void capture_begin(struct capture *capture, const struct page_range *ranges, uint32_t ranges_count);

/* Ends, whether everything was handed out or not; all copies are given back. Nothing happens where none is running. */
void capture_end(struct capture *capture);

/* The next chunk to be handed out; false if there is none, or if the capture is broken. */
MUST_USE bool capture_next(struct capture *capture, uint64_t *chunk);

/* Hands out a chunk that capture_next named: its bytes at the moment of capture_begin, `size` of them (CAPTURE_CHUNK_SIZE but for the stream's last
 * chunk). Requires a capture that is not broken since. */
void capture_fill(struct capture *capture, uint64_t chunk, void *bytes, size_t size);

/* The place in the block of a byte of the stream, and how many bytes follow there in one piece. */
uint8_t *capture_place(void *memory, const struct page_range *ranges, uint32_t ranges_count, uint64_t offset,
                       size_t *size);

/* True if one more record may be applied without breaking the capture. */
bool capture_has_room(const struct capture *capture);

/* True if more than half of the places for copies are taken: the chunks should go out faster. */
bool capture_is_pressed(const struct capture *capture);

/* The slow half of capture_touch. */
void capture_copy(struct capture *capture, const void *bytes, size_t size);

/* To be called before bytes of the block are written; `capture` may be NULL: nothing is being captured. */
static inline void capture_touch(struct capture *capture, const void *bytes, size_t size)
{
    if (__builtin_expect(capture != NULL, 0))
        capture_copy(capture, bytes, size);
}

#endif
