/* Reads CSV files whose first line names their columns, plain or gzipped, row by row.
 *
 * The fields are libcsv's work (quotes, commas and line breaks inside quotes, CRLF), the gzip zlib's (which reads plain
 * files, too). This file only joins the two and puts the columns a caller asks for in the order it asks for. */
#ifndef BENCH_TABLE_READER_H
#define BENCH_TABLE_READER_H

#include "engine/base/contract.h"

#include <stdbool.h>
#include <stddef.h>

#define TABLE_COLUMNS_MAX 64    /* of the file */
#define TABLE_FIELD_SIZE_MAX 64 /* a field that is asked for, terminator included */
#define TABLE_ERROR_SIZE 256

/* Takes one row: fields[i] is the column named columns[i], NUL-terminated, valid during the call. `line` counts rows from 1, the
 * first behind the header being 2. Returns NULL, or what is wrong with the row, which ends the reading. */
typedef const char *table_row(void *context, const char *const *fields, size_t line);

struct table_error {
    char text[TABLE_ERROR_SIZE]; /* names the file, the line and what is wrong */
};

/* Reads the whole file at `path` and calls `row` for every row behind the header; empty lines are passed over. `columns` are
 * `columns_count` names (at most TABLE_COLUMNS_MAX), all of which the header must have, each once. True if every row was taken;
 * else false and error->text says why: not readable, not CSV, damaged gzip, a column missing, a row too short, or what `row`
 * said. */
MUST_USE bool table_read(const char *path, const char *const *columns, size_t columns_count, table_row *row,
                         void *context, struct table_error *error);

#endif
