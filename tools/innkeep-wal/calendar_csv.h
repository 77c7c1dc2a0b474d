/* The calendar of replayed engines as CSV: property,room_type,night,sold, only nights with sold > 0, sorted by all three. */
#ifndef TOOLS_INNKEEP_WAL_CALENDAR_CSV_H
#define TOOLS_INNKEEP_WAL_CALENDAR_CSV_H

#include "engine/engine.h"

struct calendar_row {
    uint64_t property;
    uint32_t room_type;
    int32_t night;
    uint32_t sold;
};

/* All zero to begin with. */
struct calendar_csv {
    struct calendar_row *rows; /* of all shards so far */
    size_t rows_count;
    size_t rows_capacity;
    bool no_memory; /* something is missing for lack of memory */
};

/* Reads the rows of all properties out of their engine. */
void calendar_csv_collect(struct calendar_csv *csv, const struct engine *engine);

/* Sorts and writes. 0 or a negated errno. */
MUST_USE int calendar_csv_write(struct calendar_csv *csv, const char *path);

void calendar_csv_free(struct calendar_csv *csv);

#endif
