/* What a cut would do to one shard, and whether a copy holds what it takes away. Reads only. */
#ifndef TOOLS_INNKEEP_WAL_CUT_SURVEY_H
#define TOOLS_INNKEEP_WAL_CUT_SURVEY_H

#include "tools/innkeep-wal/cut_plan.h"
#include "tools/innkeep-wal/shard_replay.h"

/* What lies behind the cut. The hotel's terms count what took effect. */
struct cut_losses {
    uint64_t records;
    uint64_t first_lsn;
    uint64_t last_lsn;
    uint64_t first_time_ns;
    uint64_t last_time_ns;
    uint64_t kinds[UINT8_MAX + 1];
    uint64_t reserved;  /* reservations made, holds included */
    uint64_t confirmed; /* holds confirmed */
    uint64_t ended;     /* reservations released or cancelled */
    uint64_t supplied;  /* properties, room types, numbers of rooms */
    uint64_t leased;    /* leases granted */
};

struct cut_survey {
    /* To be set. */
    uint64_t lsn;       /* the last that is to stay; NEVER_NS: all */
    uint64_t moment_ns; /* 0: none is asked about */

    /* Found. */
    bool loses;           /* something lies behind lsn */
    bool damaged;         /* the log is, behind what could be read */
    uint64_t last_lsn;    /* of the whole log, as far as it could be read */
    uint64_t time_ns;     /* of the frame with the last record that stays */
    uint64_t moment_lsn;  /* the last LSN at moment_ns; 0: none */
    struct cut_shard cut; /* with `loses` */
    uint8_t *partial;     /* its records, or NULL; the caller frees them */
    struct cut_losses losses;
    uint64_t last_index; /* the last good frame, by which a copy is known */
    struct hash128 last_hash;
    uint64_t tail_sequence; /* behind it */
    uint64_t tail_offset;

    /* Its own. */
    uint64_t begin_lsn;  /* of the snapshot that reading began at; 0: the log's first frame */
    bool beyond;         /* the first frame that does not stay whole was met */
    uint64_t before_lsn; /* the last LSN in front of the frame being read */
    uint64_t gap_lsn;    /* not in the log: the first behind it that is; 0: it is in the log */
    const char *wrong;
    char why[256];
};

/* Reads the shard's whole log. NULL if it can be cut there, else what is wrong: an LSN that is not in the log, damage where the shard stays
 * whole (static storage, or the survey's). */
MUST_USE const char *cut_survey_run(struct cut_survey *survey, const struct tool *tool, uint32_t shard);

/* NULL if the copy's shard holds every frame of the original's, and every byte behind the last good one where that is damaged; and shares no
 * file with it that the cut would change. Else what is missing, in why[] or static. Each tool looks at its own directory. */
MUST_USE const char *cut_backup_check(const struct cut_survey *survey, const struct tool *original,
                                      const struct tool *copy, uint32_t shard, char *why, size_t why_size);

#endif
