/* Civil dates as day numbers. Night d is the night that begins on civil date d; day 0 is 1970-01-01. A night is never an
 * instant, so no time zone appears anywhere below the command line. */
#ifndef ENGINE_BASE_CIVIL_DATE_H
#define ENGINE_BASE_CIVIL_DATE_H

#include "engine/base/contract.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct civil_date {
    int32_t year;  /* 1..9999 */
    int32_t month; /* 1..12 */
    int32_t day;   /* 1..31 */
};

#define DAY_NUMBER_MIN (-719162) /* 0001-01-01 */
#define DAY_NUMBER_MAX 2932896   /* 9999-12-31 */
#define CIVIL_DATE_TEXT_SIZE 11  /* "YYYY-MM-DD" and its terminator */

/* The day number of a date that exists. Proleptic Gregorian calendar.
 * Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms" (days_from_civil). */
int32_t day_number_of(struct civil_date date);

/* The inverse of day_number_of, for DAY_NUMBER_MIN..DAY_NUMBER_MAX. */
struct civil_date civil_date_of(int32_t day_number);

/* 0 = Monday .. 6 = Sunday, as in the weekday masks of inventory updates (bit 0 = Monday). */
int32_t weekday_of(int32_t day_number);

/* Reads exactly "YYYY-MM-DD". False, and *day_number untouched, for anything else or a date that does not exist. */
MUST_USE bool civil_date_parse(const char *text, int32_t *day_number);

/* Writes "YYYY-MM-DD" and a terminator into text[CIVIL_DATE_TEXT_SIZE]; returns text. */
char *civil_date_format(int32_t day_number, char text[CIVIL_DATE_TEXT_SIZE]);

#endif
