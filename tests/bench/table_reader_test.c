#include "bench/table_reader.h"

#include "tests/bench/temporary_file.h"

#include <stdint.h>
#include <string.h>
#include <zlib.h>

static const char *const columns[] = { "second", "first" };
static char rows[1024];

static const char *remember(void *context, const char *const *fields, size_t line)
{
    (void)context;
    size_t used = strlen(rows);
    snprintf(rows + used, sizeof rows - used, "%zu:[%s][%s]", line, fields[0], fields[1]);
    return strcmp(fields[1], "refuse") == 0 ? "refused" : NULL;
}

/* What the rows were, or what the error was. */
static const char *read_bytes(const void *bytes, size_t size)
{
    static struct table_error error;
    rows[0] = '\0';
    if (table_read(temporary_file(bytes, size), columns, 2, remember, NULL, &error))
        return rows;
    const char *colon = strstr(error.text, ": ");
    return colon == NULL ? error.text : colon + 2;
}

static const char *read_text(const char *text)
{
    return read_bytes(text, strlen(text));
}

Test(table_reader, columns_are_found_by_name)
{
    cr_expect_str_eq(read_text("first,other,second\na,x,b\nc,y,d\n"), "2:[b][a]3:[d][c]");
}

Test(table_reader, the_last_line_needs_no_line_break)
{
    cr_expect_str_eq(read_text("first,second\na,b"), "2:[b][a]");
}

Test(table_reader, quotes_may_hold_commas_quotes_and_line_breaks)
{
    cr_expect_str_eq(read_text("first,second\n\"a,\"\"b\"\"\",\"c\nd\"\n"), "2:[c\nd][a,\"b\"]");
}

Test(table_reader, windows_line_ends_and_a_byte_order_mark_are_taken)
{
    cr_expect_str_eq(read_text("\xef\xbb\xbf"
                               "first,second\r\na,b\r\n"),
                     "2:[b][a]");
}

Test(table_reader, a_missing_column_is_named)
{
    cr_expect_str_eq(read_text("first,other\na,b\n"), "the first line has no column second");
}

Test(table_reader, a_column_that_appears_twice_is_refused)
{
    cr_expect_str_eq(read_text("first,second,first\n"), "the column first appears twice");
}

Test(table_reader, a_row_of_another_width_is_refused)
{
    cr_expect_str_eq(read_text("first,second\na\n"), "line 2 has 1 columns where the first line has 2");
    cr_expect_str_eq(read_text("first,second\na,b\na,b,c\n"), "line 3 has 3 columns where the first line has 2");
}

Test(table_reader, what_the_caller_dislikes_ends_the_reading)
{
    cr_expect_str_eq(read_text("first,second\nok,1\nrefuse,2\nok,3\n"), "line 3: refused");
}

Test(table_reader, an_open_quote_at_the_end_is_refused)
{
    cr_expect_str_neq(read_text("first,second\na,\"b\n"), "");
    cr_expect_null(strstr(read_text("first,second\na,\"b\n"), "[b"));
}

Test(table_reader, an_overlong_field_is_refused_where_it_is_wanted_and_passed_over_elsewhere)
{
    char text[512];
    char longer[128];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    snprintf(text, sizeof text, "first,second,third\na,b,%s\n", longer);
    cr_expect_str_eq(read_text(text), "2:[b][a]");
    snprintf(text, sizeof text, "first,second\n%s,b\n", longer);
    cr_expect_str_eq(read_text(text), "line 2: the field first is longer than it can be");
}

Test(table_reader, an_empty_file_and_a_missing_one_are_refused)
{
    cr_expect_str_eq(read_text(""), "the file is empty");
    struct table_error error;
    cr_expect_not(table_read("/nonexistent/file.csv", columns, 2, remember, NULL, &error));
    cr_expect_str_eq(error.text, "/nonexistent/file.csv: No such file or directory");
}

/* Compresses a text of `lines` rows; returns the size. */
static size_t gzip_rows(uint8_t *bytes, size_t size, int lines)
{
    static char text[1 << 20];
    size_t used = (size_t)snprintf(text, sizeof text, "first,second\n");
    for (int i = 0; i < lines; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%d,%d\n", i, i * 7);
    z_stream stream = { .next_in = (Bytef *)text, .avail_in = (uInt)used, .next_out = bytes, .avail_out = (uInt)size };
    cr_assert_eq(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    cr_assert_eq(deflate(&stream, Z_FINISH), Z_STREAM_END);
    deflateEnd(&stream);
    return stream.total_out;
}

Test(table_reader, gzip_is_read_and_a_truncated_or_damaged_one_is_refused)
{
    static uint8_t bytes[65536];
    size_t size = gzip_rows(bytes, sizeof bytes, 1);
    cr_expect_str_eq(read_bytes(bytes, size), "2:[0][0]");
    size = gzip_rows(bytes, sizeof bytes, 40);
    cr_expect_eq(strncmp(read_bytes(bytes, size), "2:[0][0]3:[7][1]", 16), 0);
    cr_expect_neq(strncmp(read_bytes(bytes, size - 12), "2:", 2), 0, "a truncated file was taken");
    cr_expect_neq(strncmp(read_bytes(bytes, size - 4), "2:", 2), 0, "a file without its length was taken");
    bytes[size - 8] ^= 1;
    cr_expect_neq(strncmp(read_bytes(bytes, size), "2:", 2), 0, "a wrong checksum was taken");
}

static const char *count_row(void *context, const char *const *fields, size_t line)
{
    (void)fields;
    (void)line;
    ++*(size_t *)context;
    return NULL;
}

Test(table_reader, damage_behind_rows_already_taken_is_still_refused)
{
    static uint8_t bytes[1 << 20];
    struct table_error error;
    size_t rows_seen = 0;
    size_t size = gzip_rows(bytes, sizeof bytes, 50000);
    cr_expect(table_read(temporary_file(bytes, size), columns, 2, count_row, &rows_seen, &error));
    cr_expect_eq(rows_seen, 50000);
    rows_seen = 0;
    bytes[size - 8] ^= 1;
    cr_expect_not(table_read(temporary_file(bytes, size), columns, 2, count_row, &rows_seen, &error));
    cr_expect_gt(rows_seen, 0);
}
