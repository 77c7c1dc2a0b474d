/* One record in words: what was asked for, what came of it, and why. For people who reconstruct a race from the log. */
#ifndef TOOLS_INNKEEP_WAL_STORY_H
#define TOOLS_INNKEEP_WAL_STORY_H

#include "tools/innkeep-wal/race.h"
#include "tools/innkeep-wal/selection.h"

#define STORY_SIZE 256

struct story {
    const struct placed_record *placed; /* with a result */
    const struct grants *grants;        /* who holds which token */
    bool names_type;                    /* say the room type of reserves */
};

/* "reserve 2026-12-23 2 nights", "acquire lease 101 for 2 s". Returns text. */
char *story_doing(const struct story *story, char text[STORY_SIZE]);

/* "OK: confirmed", "FENCED: client-B took token 7 at 07:21:17.882". Returns text. */
char *story_outcome(const struct story *story, char text[STORY_SIZE]);

/* "1 room", "2 nights". Returns text. */
char *story_count(uint64_t count, const char *one, char text[STORY_SIZE]);

#endif
