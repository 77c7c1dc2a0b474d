/* engine/capture.c: what is handed out is what was there at the beginning, in whatever order it is written and handed out. */
#include "engine/capture.h"

#include "engine/base/units.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_PAGES 40000u /* so many that there is not room for copies of all of them */
#define BLOCK_SIZE ((size_t)BLOCK_PAGES * CAPTURE_PAGE_SIZE)

static uint8_t *block;
static uint8_t *own;
static struct capture capture;
static const struct page_range ranges[] = { { 3, 100 }, { 200, 0 }, { 1000, 30001 } };
#define STREAM_PAGES 30101u

static void setup(void)
{
    cr_assert_eq(posix_memalign((void **)&block, CAPTURE_PAGE_SIZE, BLOCK_SIZE), 0);
    size_t own_size = capture_memory_size(BLOCK_SIZE);
    cr_assert_eq(posix_memalign((void **)&own, CAPTURE_PAGE_SIZE, own_size), 0);
    memset(own, 0, own_size);
    for (size_t page = 0; page < BLOCK_PAGES; page++)
        memset(block + page * CAPTURE_PAGE_SIZE, (int)(page % 251), CAPTURE_PAGE_SIZE);
    capture_init(&capture, block, BLOCK_SIZE, own);
    capture_begin(&capture, ranges, ARRAY_COUNT(ranges));
}

static void teardown(void)
{
    free(block);
    free(own);
}

TestSuite(capture, .init = setup, .fini = teardown);

static void write_page(size_t page)
{
    capture_touch(&capture, block + page * CAPTURE_PAGE_SIZE + 100, 8);
    memset(block + page * CAPTURE_PAGE_SIZE, 0xee, CAPTURE_PAGE_SIZE);
}

static size_t page_of_stream(size_t place)
{
    return place < 100 ? 3 + place : 1000 + (place - 100);
}

/* Takes the next chunk and compares it with how its pages began. */
static bool take(void)
{
    static uint8_t bytes[CAPTURE_CHUNK_SIZE];
    uint64_t chunk;
    if (!capture_next(&capture, &chunk))
        return false;
    size_t first = chunk * CAPTURE_CHUNK_PAGES;
    size_t pages = STREAM_PAGES - first < CAPTURE_CHUNK_PAGES ? STREAM_PAGES - first : CAPTURE_CHUNK_PAGES;
    capture_fill(&capture, chunk, bytes, pages * CAPTURE_PAGE_SIZE);
    for (size_t i = 0; i < pages; i++) {
        uint8_t expected = (uint8_t)(page_of_stream(first + i) % 251);
        const uint8_t *page = bytes + i * CAPTURE_PAGE_SIZE;
        cr_assert(page[0] == expected && memcmp(page, page + 1, CAPTURE_PAGE_SIZE - 1) == 0, "page %zu", first + i);
    }
    return true;
}

Test(capture, every_chunk_comes_once_and_holds_what_was_there)
{
    size_t chunks = 0;
    for (size_t i = 0; take(); i++, chunks++)
        for (size_t k = 0; k < 5; k++)
            write_page((i * 7919 + k * 104729) % BLOCK_PAGES);
    cr_assert_eq(chunks, (STREAM_PAGES + CAPTURE_CHUNK_PAGES - 1) / CAPTURE_CHUNK_PAGES);
    cr_assert_not(capture.broken);
    cr_assert_eq(capture.free_count, capture.copies_max, "all copies are given back");
}

Test(capture, a_chunk_with_copies_comes_before_the_others)
{
    write_page(20000);
    uint64_t chunk;
    cr_assert(capture_next(&capture, &chunk));
    cr_assert_eq(chunk, (20000u - 1000 + 100) / CAPTURE_CHUNK_PAGES);
}

Test(capture, what_crosses_a_page_is_copied_on_both_sides)
{
    uint8_t *edge = block + 2001 * (size_t)CAPTURE_PAGE_SIZE - 4;
    capture_touch(&capture, edge, 8);
    memset(edge, 0xee, 8);
    cr_assert_eq(capture.free_count, capture.copies_max - 2);
    while (take())
        ;
}

Test(capture, what_is_not_captured_or_was_handed_out_needs_no_copy)
{
    write_page(500);
    write_page(BLOCK_PAGES - 1);
    while (take())
        ;
    write_page(3);
    cr_assert_eq(capture.free_count, capture.copies_max);
}

Test(capture, without_room_it_breaks_and_the_engine_goes_on)
{
    cr_assert_lt(capture.copies_max, STREAM_PAGES);
    size_t page = 1000;
    for (; capture.free_count > 0; page++) {
        cr_assert(capture_has_room(&capture) == (capture.free_count >= CAPTURE_RECORD_PAGES));
        cr_assert(capture_is_pressed(&capture) == (capture.free_count < capture.copies_max / 2));
        write_page(page);
    }
    cr_assert_not(capture.broken);
    write_page(page);
    cr_assert(capture.broken);
    uint64_t chunk;
    cr_assert_not(capture_next(&capture, &chunk));
    cr_assert(capture_has_room(&capture), "nobody waits for a capture that is lost");
    write_page(page + 1);
    capture_end(&capture);
    capture_end(&capture);
}

Test(capture, after_an_end_halfway_the_next_one_begins_afresh)
{
    for (size_t page = 1000; page < 1500; page++)
        write_page(page);
    cr_assert(take());
    capture_end(&capture);
    for (size_t page = 0; page < BLOCK_PAGES; page++)
        memset(block + page * CAPTURE_PAGE_SIZE, (int)(page % 251), CAPTURE_PAGE_SIZE);
    capture_begin(&capture, ranges, ARRAY_COUNT(ranges));
    size_t chunks = 0;
    while (take())
        chunks++;
    cr_assert_eq(chunks, (STREAM_PAGES + CAPTURE_CHUNK_PAGES - 1) / CAPTURE_CHUNK_PAGES);
}
