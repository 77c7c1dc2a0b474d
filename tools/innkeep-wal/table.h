/* Text in aligned columns, for lists of unknown length: the first rows are kept back until they tell how wide each column has to be, the
 * others follow in those widths. Constant memory. */
#ifndef TOOLS_INNKEEP_WAL_TABLE_H
#define TOOLS_INNKEEP_WAL_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define TABLE_COLUMNS_MAX 10
#define TABLE_ROWS_KEPT 500 /* rows that decide on the widths */

struct table_column {
    const char *heading;
    bool to_the_right;
    size_t width; /* the table's */
};

struct table_row {
    char *cells[TABLE_COLUMNS_MAX]; /* NULL: empty */
    bool is_banner;                 /* one cell over all columns */
};

/* Set out, columns_count and the columns' headings; everything else zero. */
struct table {
    FILE *out;
    size_t columns_count;
    struct table_column columns[TABLE_COLUMNS_MAX];
    struct table_row rows[TABLE_ROWS_KEPT];
    size_t rows_count;
    bool is_begun; /* headings are out */
};

/* Adds a row; the cells are copied. NULL or "" is an empty one. */
void table_add(struct table *table, const char *const cells[TABLE_COLUMNS_MAX]);

/* A line of its own between the rows. */
void table_add_banner(struct table *table, const char *text);

/* Prints what is kept back, and gives its memory back. Without any row, nothing is printed. */
void table_finish(struct table *table);

#endif
