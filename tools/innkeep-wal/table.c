#include "tools/innkeep-wal/table.h"

#include "engine/base/contract.h"

#include <stdlib.h>
#include <string.h>

#define GAP 2 /* spaces between columns */

/* Columns on a screen, as far as UTF-8 without double width goes. */
static size_t text_width(const char *text)
{
    size_t width = 0;
    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0u) != 0x80u;
    return width;
}

static void spaces_print(FILE *out, size_t count)
{
    fprintf(out, "%*s", (int)count, "");
}

/* Spaces are owed until something follows them, so that no line ends in any. */
static void cells_print(const struct table *table, char *const cells[])
{
    size_t owed = 0;
    for (size_t i = 0; i < table->columns_count; i++) {
        const struct table_column *column = &table->columns[i];
        const char *text = cells[i] != NULL ? cells[i] : "";
        size_t width = text_width(text);
        size_t padding = width < column->width ? column->width - width : 0;
        if (width > 0) {
            spaces_print(table->out, owed + (column->to_the_right ? padding : 0));
            fputs(text, table->out);
            owed = (column->to_the_right ? 0 : padding) + GAP;
        } else {
            owed += column->width + GAP;
        }
    }
    putc('\n', table->out);
}

static void row_print(const struct table *table, const struct table_row *row)
{
    if (row->is_banner)
        fprintf(table->out, "%s\n", row->cells[0]);
    else
        cells_print(table, row->cells);
}

static void row_free(struct table_row *row)
{
    for (size_t i = 0; i < TABLE_COLUMNS_MAX; i++)
        free(row->cells[i]);
}

static void row_widen(struct table *table, const struct table_row *row)
{
    for (size_t i = 0; i < table->columns_count && !row->is_banner; i++) {
        size_t width = row->cells[i] == NULL ? 0 : text_width(row->cells[i]);
        if (width > table->columns[i].width)
            table->columns[i].width = width;
    }
}

static void table_begin(struct table *table)
{
    struct table_row headings = { .is_banner = false };
    for (size_t i = 0; i < table->columns_count; i++)
        headings.cells[i] = strdup(table->columns[i].heading);
    row_widen(table, &headings);
    row_print(table, &headings);
    row_free(&headings);
    for (size_t i = 0; i < table->rows_count; i++) {
        row_print(table, &table->rows[i]);
        row_free(&table->rows[i]);
    }
    table->rows_count = 0;
    table->is_begun = true;
}

static void row_take(struct table *table, struct table_row *row)
{
    row_widen(table, row);
    if (!table->is_begun && table->rows_count == TABLE_ROWS_KEPT)
        table_begin(table);
    if (table->is_begun) {
        row_print(table, row);
        row_free(row);
    } else {
        table->rows[table->rows_count++] = *row;
    }
}

void table_add(struct table *table, const char *const cells[TABLE_COLUMNS_MAX])
{
    struct table_row row = { .is_banner = false };
    REQUIRE(table->columns_count <= TABLE_COLUMNS_MAX);
    for (size_t i = 0; i < table->columns_count; i++) {
        row.cells[i] = cells[i] == NULL ? NULL : strdup(cells[i]);
        ENSURE(cells[i] == NULL || row.cells[i] != NULL);
    }
    row_take(table, &row);
}

void table_add_banner(struct table *table, const char *text)
{
    struct table_row row = { .is_banner = true };
    row.cells[0] = strdup(text);
    ENSURE(row.cells[0] != NULL);
    row_take(table, &row);
}

void table_finish(struct table *table)
{
    if (!table->is_begun && table->rows_count > 0)
        table_begin(table);
}
