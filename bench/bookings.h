/* The bookings of the demand data set, one a row of its CSV.
 *
 * Source of the data: N. Antonio, A. de Almeida, L. Nunes, "Hotel booking demand datasets", Data in Brief 22 (2019) 41-49. */
#ifndef BENCH_BOOKINGS_H
#define BENCH_BOOKINGS_H

#include "bench/hotels.h"

#define NOT_CANCELLED INT32_MAX

struct booking {
    int32_t requested; /* the day it was made: lead_time days before arrival */
    int32_t cancelled; /* the day it was cancelled, at least `requested`; or NOT_CANCELLED */
    int32_t arrival;
    uint16_t nights;
    uint8_t hotel;     /* enum hotel */
    uint8_t room_type; /* 1..26 */
};

/* Rows with at least one night, in file order; the others are only counted. */
struct bookings {
    struct booking *items; /* owned */
    size_t count;
    size_t count_max;
    size_t skipped;
};

/* Reads the data set's CSV, gzipped or not. False with *error filled in where it is not readable as such. In either case bookings_free
 * releases what was allocated. */
MUST_USE bool bookings_read(const char *path, struct bookings *bookings, struct table_error *error);
void bookings_free(struct bookings *bookings);

#endif
