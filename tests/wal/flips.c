#include "tests/wal/flips.h"

#include "tests/engine/random.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FLIPS_DEFAULT 4000
#define BLOCK_SIZE 4096
#define HEAD_SIZE 256 /* of a block: where headers and the first records lie */
#define WRONG_SHOWN_MAX 10
#define PROGRESS_EVERY_S 10

struct run {
    const struct flip_subject *subject;
    struct flip_count count;
    uint64_t planned;
    uint64_t part;
    uint64_t parts;
    time_t next_progress;
};

bool flips_are_whole(void)
{
    const char *asked = getenv("INNKEEP_FLIPS");
    return asked != NULL && strcmp(asked, "whole") == 0;
}

static void part_read(struct run *run)
{
    const char *asked = getenv("INNKEEP_FLIPS_PART");
    run->part = 1;
    run->parts = 1;
    if (asked == NULL)
        return;
    int fields = sscanf(asked, "%" SCNu64 "/%" SCNu64, &run->part, &run->parts);
    cr_assert(fields == 2 && run->part >= 1 && run->part <= run->parts, "INNKEEP_FLIPS_PART=%s is not I/N", asked);
}

static void progress_tell(struct run *run)
{
    time_t now = time(NULL);
    if (now < run->next_progress)
        return;
    if (run->next_progress != 0)
        fprintf(stderr, "%s, part %" PRIu64 " of %" PRIu64 ": %" PRIu64 " of %" PRIu64 " flips\n", run->subject->name,
                run->part, run->parts, run->count.flips, run->planned);
    run->next_progress = now + PROGRESS_EVERY_S;
}

static void place_flip(struct run *run, struct flip_place place)
{
    const struct flip_file *file = &run->subject->files[place.file];
    char why[FLIP_WHY_SIZE] = "";
    file->bytes[place.offset] ^= place.bits;
    enum flip_verdict verdict = run->subject->judge(run->subject->context, place, why);
    file->bytes[place.offset] ^= place.bits;
    run->count.flips++;
    run->count.detected += verdict == FLIP_DETECTED;
    run->count.harmless += verdict == FLIP_HARMLESS;
    if (verdict == FLIP_WRONG && run->count.wrong++ < WRONG_SHOWN_MAX)
        fprintf(stderr, "%s: %s, offset %" PRIu64 ", bits %02x: %s\n", run->subject->name, file->name, place.offset,
                place.bits, why);
    progress_tell(run);
}

static uint64_t bytes_count(const struct flip_subject *subject)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < subject->files_count; i++)
        bytes += subject->files[i].size_bytes;
    return bytes;
}

static void byte_flip(struct run *run, size_t file, uint64_t offset)
{
    for (unsigned bit = 0; bit < 8; bit++)
        place_flip(run, (struct flip_place){ .file = file, .offset = offset, .bits = (uint8_t)(1u << bit) });
}

/* A part is every parts-th byte, so that all parts take equally long. */
static void run_whole(struct run *run)
{
    run->planned = 8 * bytes_count(run->subject) / run->parts;
    uint64_t byte = 0;
    for (size_t i = 0; i < run->subject->files_count; i++)
        for (uint64_t offset = 0; offset < run->subject->files[i].size_bytes; offset++, byte++)
            if (byte % run->parts == run->part - 1)
                byte_flip(run, i, offset);
}

/* Small files get as many as large ones of the flips near the head of a block; the others go by size. */
static struct flip_place place_draw(const struct flip_subject *subject, struct random *random)
{
    struct flip_place place = { .bits = (uint8_t)(1u << random_below(random, 8)) };
    if (random_below(random, 2) == 0) {
        place.file = random_below(random, subject->files_count);
        uint64_t size = subject->files[place.file].size_bytes;
        uint64_t block = random_below(random, (size + BLOCK_SIZE - 1) / BLOCK_SIZE) * BLOCK_SIZE;
        uint64_t left = size - block;
        place.offset = block + random_below(random, left < HEAD_SIZE ? left : HEAD_SIZE);
        return place;
    }
    place.offset = random_below(random, bytes_count(subject));
    while (place.offset >= subject->files[place.file].size_bytes)
        place.offset -= subject->files[place.file++].size_bytes;
    return place;
}

static void run_sampled(struct run *run)
{
    const char *asked = getenv("INNKEEP_FLIPS");
    run->planned = (asked != NULL ? strtoull(asked, NULL, 10) : FLIPS_DEFAULT) / run->parts;
    cr_assert_gt(run->planned, 0u, "INNKEEP_FLIPS=%s is neither a number nor whole", asked);
    struct random random = random_start("wal.*flips");
    random.state += run->part - 1;
    for (uint64_t i = 0; i < run->planned; i++)
        place_flip(run, place_draw(run->subject, &random));
}

struct flip_count flips_run(const struct flip_subject *subject)
{
    struct run run = { .subject = subject };
    part_read(&run);
    if (flips_are_whole())
        run_whole(&run);
    else
        run_sampled(&run);
    fprintf(stderr,
            "%s, part %" PRIu64 " of %" PRIu64 ": %" PRIu64 " bits flipped: %" PRIu64 " detected, %" PRIu64
            " harmless, %" PRIu64 " neither\n",
            subject->name, run.part, run.parts, run.count.flips, run.count.detected, run.count.harmless,
            run.count.wrong);
    return run.count;
}
