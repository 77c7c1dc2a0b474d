#include "engine/capture.h"

#include "engine/base/units.h"

#include <string.h>

enum chunk_state { CHUNK_WAITING, CHUNK_QUEUED, CHUNK_OUT };

#define COPIES_PART 16  /* of the block */
#define COPIES_MIN 1024 /* unless the block itself is smaller */
#define COPIES_MAX (UINT32_C(1) << 20)

static_assert(COPIES_MIN > CAPTURE_RECORD_PAGES, "a record finds room once the copies were given back");

/* ---- Memory -------------------------------------------------------------------------------------------------------- */

static uint64_t block_pages(size_t block_size)
{
    return align_up(block_size, CAPTURE_PAGE_SIZE) / CAPTURE_PAGE_SIZE;
}

/* A chunk may hold a part of each range's end, so there can be a few more than pages / 16. */
static uint64_t chunks_max(size_t block_size)
{
    return block_pages(block_size) / CAPTURE_CHUNK_PAGES + 1;
}

static uint32_t copies_max(size_t block_size)
{
    uint64_t pages = block_pages(block_size);
    uint64_t copies = pages / COPIES_PART > COPIES_MIN ? pages / COPIES_PART : COPIES_MIN;
    if (copies > COPIES_MAX)
        copies = COPIES_MAX;
    return (uint32_t)(copies < pages ? copies : pages);
}

size_t capture_copies_size(size_t block_size)
{
    return (size_t)copies_max(block_size) * CAPTURE_PAGE_SIZE;
}

/* The tables in front of the copies. */
static size_t tables_size(size_t block_size)
{
    size_t numbers = block_pages(block_size) + chunks_max(block_size) + copies_max(block_size);
    return align_up(numbers * sizeof(uint32_t) + chunks_max(block_size), CAPTURE_PAGE_SIZE);
}

size_t capture_memory_size(size_t block_size)
{
    return tables_size(block_size) + capture_copies_size(block_size);
}

void capture_init(struct capture *capture, void *memory, size_t block_size, void *own)
{
    REQUIRE(memory != NULL);
    REQUIRE((uintptr_t)own % CAPTURE_PAGE_SIZE == 0);
    uint32_t *numbers = own;
    uint64_t pages = block_pages(block_size);
    uint64_t chunks = chunks_max(block_size);
    *capture = (struct capture){
        .memory = memory,
        .copy_of_page = numbers,
        .copied_chunks = numbers + pages,
        .free_copies = numbers + pages + chunks,
        .chunk_states = (uint8_t *)(numbers + pages + chunks + copies_max(block_size)),
        .copies = (uint8_t *)own + tables_size(block_size),
        .block_pages = pages,
        .copies_max = copies_max(block_size),
    };
}

/* ---- Beginning and ending ------------------------------------------------------------------------------------------ */

void capture_begin(struct capture *capture, const struct page_range *ranges, uint32_t ranges_count)
{
    REQUIRE(!capture->running);
    REQUIRE(ranges_count <= CAPTURE_RANGES_MAX);
    capture->pages_count = 0;
    for (uint32_t i = 0; i < ranges_count; i++) {
        REQUIRE(ranges[i].first_page + ranges[i].pages_count <= capture->block_pages);
        capture->ranges[i] = ranges[i];
        capture->pages_count += ranges[i].pages_count;
    }
    capture->ranges_count = ranges_count;
    uint64_t chunks = (capture->pages_count + CAPTURE_CHUNK_PAGES - 1) / CAPTURE_CHUNK_PAGES;
    REQUIRE(chunks <= UINT32_MAX);
    capture->chunks_count = (uint32_t)chunks;
    memset(capture->chunk_states, CHUNK_WAITING, capture->chunks_count);
    for (uint32_t i = 0; i < capture->copies_max; i++)
        capture->free_copies[i] = capture->copies_max - 1 - i;
    capture->free_count = capture->copies_max;
    capture->queue_first = 0;
    capture->queue_next = 0;
    capture->cursor = 0;
    capture->broken = false;
    capture->running = true;
}

void capture_end(struct capture *capture)
{
    if (!capture->running)
        return;
    if (capture->free_count < capture->copies_max)
        memset(capture->copy_of_page, 0, capture->block_pages * sizeof(uint32_t));
    capture->running = false;
}

/* ---- Writing into what is captured --------------------------------------------------------------------------------- */

/* Where a page of the block stands in the stream; false if it is not captured. */
static bool page_in_stream(const struct capture *capture, uint64_t page, uint64_t *place)
{
    uint64_t before = 0;
    for (uint32_t i = 0; i < capture->ranges_count; i++) {
        const struct page_range *range = &capture->ranges[i];
        if (page - range->first_page < range->pages_count) {
            *place = before + (page - range->first_page);
            return true;
        }
        before += range->pages_count;
    }
    return false;
}

static void page_copy(struct capture *capture, uint64_t page, uint64_t place)
{
    uint32_t chunk = (uint32_t)(place / CAPTURE_CHUNK_PAGES);
    if (capture->chunk_states[chunk] == CHUNK_OUT)
        return;
    if (capture->free_count == 0) {
        capture->broken = true;
        return;
    }
    uint32_t copy = capture->free_copies[--capture->free_count];
    memcpy(capture->copies + (size_t)copy * CAPTURE_PAGE_SIZE, capture->memory + page * CAPTURE_PAGE_SIZE,
           CAPTURE_PAGE_SIZE);
    capture->copy_of_page[page] = copy + 1;
    if (capture->chunk_states[chunk] == CHUNK_QUEUED)
        return;
    capture->chunk_states[chunk] = CHUNK_QUEUED;
    capture->copied_chunks[capture->queue_next++] = chunk;
}

void capture_copy(struct capture *capture, const void *bytes, size_t size)
{
    REQUIRE(capture->running);
    REQUIRE(size > 0);
    if (capture->broken)
        return;
    uint64_t offset = (uint64_t)((const uint8_t *)bytes - capture->memory);
    uint64_t last = (offset + size - 1) / CAPTURE_PAGE_SIZE;
    ENSURE(last < capture->block_pages);
    for (uint64_t page = offset / CAPTURE_PAGE_SIZE; page <= last; page++) {
        uint64_t place;
        if (capture->copy_of_page[page] == 0 && page_in_stream(capture, page, &place))
            page_copy(capture, page, place);
    }
}

bool capture_has_room(const struct capture *capture)
{
    return !capture->running || capture->broken || capture->free_count >= CAPTURE_RECORD_PAGES ||
           capture->copies_max == capture->block_pages;
}

bool capture_is_pressed(const struct capture *capture)
{
    return capture->running && capture->free_count < capture->copies_max / 2;
}

/* ---- Handing out --------------------------------------------------------------------------------------------------- */

bool capture_next(struct capture *capture, uint64_t *chunk)
{
    REQUIRE(capture->running);
    if (capture->broken)
        return false;
    if (capture->queue_first < capture->queue_next) {
        *chunk = capture->copied_chunks[capture->queue_first++];
        return true;
    }
    while (capture->cursor < capture->chunks_count && capture->chunk_states[capture->cursor] != CHUNK_WAITING)
        capture->cursor++;
    if (capture->cursor == capture->chunks_count)
        return false;
    /* Named once, it must not be queued when one of its pages is written before it is filled. */
    capture->chunk_states[capture->cursor] = CHUNK_QUEUED;
    *chunk = capture->cursor++;
    return true;
}

uint8_t *capture_place(void *memory, const struct page_range *ranges, uint32_t ranges_count, uint64_t offset,
                       size_t *size)
{
    uint64_t before = 0;
    for (uint32_t i = 0; i < ranges_count; i++) {
        uint64_t bytes = ranges[i].pages_count * CAPTURE_PAGE_SIZE;
        if (offset - before < bytes) {
            *size = (size_t)(before + bytes - offset);
            return (uint8_t *)memory + ranges[i].first_page * CAPTURE_PAGE_SIZE + (offset - before);
        }
        before += bytes;
    }
    contract_broken("REQUIRE", "an offset within the stream", __FILE__, __LINE__, __func__);
}

static void page_fill(struct capture *capture, uint64_t place, uint8_t *bytes)
{
    size_t left;
    const uint8_t *in_place =
        capture_place(capture->memory, capture->ranges, capture->ranges_count, place * CAPTURE_PAGE_SIZE, &left);
    uint64_t page = (uint64_t)(in_place - capture->memory) / CAPTURE_PAGE_SIZE;
    uint32_t copy = capture->copy_of_page[page];
    if (copy == 0) {
        memcpy(bytes, in_place, CAPTURE_PAGE_SIZE);
        return;
    }
    memcpy(bytes, capture->copies + (size_t)(copy - 1) * CAPTURE_PAGE_SIZE, CAPTURE_PAGE_SIZE);
    capture->copy_of_page[page] = 0;
    capture->free_copies[capture->free_count++] = copy - 1;
}

void capture_fill(struct capture *capture, uint64_t chunk, void *bytes, size_t size)
{
    REQUIRE(capture->running);
    REQUIRE(!capture->broken);
    REQUIRE(chunk < capture->chunks_count);
    REQUIRE(capture->chunk_states[chunk] == CHUNK_QUEUED);
    uint64_t first = chunk * CAPTURE_CHUNK_PAGES;
    uint64_t pages = size / CAPTURE_PAGE_SIZE;
    REQUIRE(size % CAPTURE_PAGE_SIZE == 0);
    REQUIRE(first + pages == capture->pages_count || pages == CAPTURE_CHUNK_PAGES);
    for (uint64_t i = 0; i < pages; i++)
        page_fill(capture, first + i, (uint8_t *)bytes + i * CAPTURE_PAGE_SIZE);
    capture->chunk_states[chunk] = CHUNK_OUT;
}
