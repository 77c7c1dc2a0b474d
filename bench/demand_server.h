/* The demand replay's unhurried dealings with the server: making the hotels before, reading the calendar back after. */
#ifndef BENCH_DEMAND_SERVER_H
#define BENCH_DEMAND_SERVER_H

#include "bench/demand_plan.h"

#include <stdio.h>

/* Makes both properties and all their room types, those without rooms included, so that every decision is the server's. False
 * with *failure filled in: they exist already, the horizon is too short, no answer, ... */
MUST_USE bool demand_server_prepare(const struct demand_plan *plan, struct inn_connection *connection,
                                    struct failure *failure);

/* Reads the sold rooms of every night of both hotels and counts the nights with any in *rows. `out` not NULL: writes them
 * there as CSV: property,room_type,night,sold, sorted; properties are 1 and 2, whatever the property base. */
MUST_USE bool demand_server_calendar(const struct demand_plan *plan, struct inn_connection *connection, FILE *out,
                                     size_t *rows, struct failure *failure);

#endif
