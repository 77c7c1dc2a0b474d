/* Flips the bits of files one by one and asks somebody to open and judge what is there then: detected, or provably harmless. Knows
 * nothing of what the files are; log and snapshot each bring their own judge.
 *
 *   INNKEEP_FLIPS=N         so many flips, drawn from INNKEEP_SEED: half of them anywhere, half in the first bytes of a block, where
 *                           headers are (default 4000)
 *   INNKEEP_FLIPS=whole     every bit there is
 *   INNKEEP_FLIPS_PART=I/N  of these, the I-th of N shares (I from 1), so that a whole run can be spread over processors */
#ifndef TESTS_WAL_FLIPS_H
#define TESTS_WAL_FLIPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLIP_WHY_SIZE 512

enum flip_verdict {
    FLIP_DETECTED, /* whoever opens the files is told, and what was acknowledged is either all there or missed aloud */
    FLIP_HARMLESS, /* nothing depends on this bit: what is read is the same to the last byte */
    FLIP_WRONG,    /* neither; why[] says what happened */
};

struct flip_place {
    size_t file;     /* which of the subject's */
    uint64_t offset; /* of the byte */
    uint8_t bits;    /* that are flipped in it: one */
};

struct flip_file {
    const char *name;
    uint8_t *bytes; /* where they lie; flipped in place and back */
    size_t size_bytes;
};

struct flip_subject {
    const char *name;
    const struct flip_file *files;
    size_t files_count;
    /* Opens everything as it is now, with one bit flipped, and judges it; changes nothing. */
    enum flip_verdict (*judge)(void *context, struct flip_place place, char why[FLIP_WHY_SIZE]);
    void *context;
};

struct flip_count {
    uint64_t flips;
    uint64_t detected;
    uint64_t harmless;
    uint64_t wrong; /* the first few were printed, each with the place that makes it again */
};

/* Says on stderr what it does, how far it is, and what came of it. */
struct flip_count flips_run(const struct flip_subject *subject);

/* True if every bit is to be flipped: then a judge may spare itself what it proves another way. */
bool flips_are_whole(void);

#endif
