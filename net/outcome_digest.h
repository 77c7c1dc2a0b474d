/* A running digest of everything the engine answered, so that a replay that comes to other answers is caught, and says where.
 *
 * Frames are taken in windows of OUTCOME_DIGEST_FRAMES by their index. A window's digest is the sum modulo 2^128 of XXH3-128 (seed 0) over the
 * result of each of its commands, as the engine writes it (item and shard zero); a result holds its LSN, so the order is in it. The server
 * logs the digest of a window, or of the window so far, as a DIGEST record (FORMAT.md); whoever replays that record compares. */
#ifndef NET_OUTCOME_DIGEST_H
#define NET_OUTCOME_DIGEST_H

#include "engine/command.h"

#define OUTCOME_DIGEST_FRAMES 1024

struct digest_window {
    uint64_t first_index; /* 0: none */
    uint64_t last_index;
    struct hash128 sum;
    bool whole; /* begun with the window's first frame: a replay that begins behind that cannot judge it */
};

/* All zero at first. */
struct outcome_digest {
    struct digest_window open;      /* up to the frame being applied */
    struct hash128 sum_before;      /* of it without that frame */
    struct digest_window closed[2]; /* the last one, and the one before: a record may be a frame late */
};

/* A frame begins, in the order of their indexes. */
void outcome_digest_begin(struct outcome_digest *digest, uint64_t index);
void outcome_digest_add(struct outcome_digest *digest, const struct result_header *result);

enum digest_verdict {
    DIGEST_AGREES,
    DIGEST_DIFFERS,
    DIGEST_NOT_JUDGED, /* what it covers was not seen from its beginning */
    DIGEST_MALFORMED,  /* it covers what no window does */
};

/* Judges a DIGEST record in the frame being applied; *found is what it should have said, with DIFFERS. */
enum digest_verdict outcome_digest_judge(const struct outcome_digest *digest, const struct digest_record *record,
                                         struct hash128 *found);

/* What there is to log: a window that was closed behind `logged_index` (the last_index of what was logged last), or NULL. With `to_the_end`, where
 * everything logged has been applied, the open window so far. Windows without outcomes are left out. */
const struct digest_window *outcome_digest_due(const struct outcome_digest *digest, uint64_t logged_index,
                                               bool to_the_end);
struct digest_record outcome_digest_record(const struct digest_window *window);

#endif
