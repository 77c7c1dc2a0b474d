/* What the demand replay's files say: the two hotels, their room types, and how many rooms each type has. */
#ifndef BENCH_HOTELS_H
#define BENCH_HOTELS_H

#include "bench/table_reader.h"

#include <stdint.h>

enum hotel { HOTEL_CITY = 0, HOTEL_RESORT = 1, HOTELS_COUNT = 2 };

#define ROOM_TYPE_LETTERS 26

/* "City Hotel" or "Resort Hotel"; false for any other text. */
MUST_USE bool hotel_parse(const char *text, enum hotel *hotel);

/* The number in the definition of the replay, 1 or 2. */
uint32_t hotel_property(enum hotel hotel);

/* A letter from A to Z to a number from 1 to 26; false for any other text. */
MUST_USE bool room_type_parse(const char *text, uint8_t *room_type);

/* A decimal number of 1 to 9 digits without a sign; false for any other text. */
MUST_USE bool count_parse(const char *text, uint32_t *count);

struct capacity {
    bool named[HOTELS_COUNT][ROOM_TYPE_LETTERS + 1]; /* by room type number */
    uint16_t rooms[HOTELS_COUNT][ROOM_TYPE_LETTERS + 1];
};

/* Reads a CSV with the columns hotel, room_type and rooms. Pairs it does not name have 0 rooms. False with *error filled in for a
 * file that is not that, a pair named twice (which line would count?), or more rooms than a room type can have. */
MUST_USE bool capacity_read(const char *path, struct capacity *capacity, struct table_error *error);

#endif
