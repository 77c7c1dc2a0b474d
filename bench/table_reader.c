#include "bench/table_reader.h"

#include <csv.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#define NOT_WANTED TABLE_COLUMNS_MAX
#define CHUNK_SIZE 65536

struct reader {
    const char *path;
    const char *const *columns;
    size_t columns_count;
    table_row *row;
    void *context;
    struct table_error *error;
    bool failed;
    bool header_read;
    bool field_in_row;
    size_t line;
    size_t field;                       /* of the present row */
    size_t fields_in_header;            /* a row has as many */
    size_t place_of[TABLE_COLUMNS_MAX]; /* file column -> place in `fields`, or NOT_WANTED */
    const char *fields[TABLE_COLUMNS_MAX];
    char text[TABLE_COLUMNS_MAX][TABLE_FIELD_SIZE_MAX];
};

__attribute__((format(printf, 2, 3))) static void fail(struct reader *reader, const char *format, ...)
{
    if (reader->failed)
        return;
    reader->failed = true;
    int used = snprintf(reader->error->text, TABLE_ERROR_SIZE, "%s: ", reader->path);
    if (used < 0 || used >= TABLE_ERROR_SIZE)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reader->error->text + used, (size_t)(TABLE_ERROR_SIZE - used), format, arguments);
    va_end(arguments);
}

static size_t place_of_column(const struct reader *reader, const char *name, size_t size)
{
    for (size_t i = 0; i < reader->columns_count; i++)
        if (strlen(reader->columns[i]) == size && memcmp(reader->columns[i], name, size) == 0)
            return i;
    return NOT_WANTED;
}

static void take_header_field(struct reader *reader, const char *name, size_t size)
{
    static const char byte_order_mark[] = "\xef\xbb\xbf";
    if (reader->field == 0 && size >= 3 && memcmp(name, byte_order_mark, 3) == 0) {
        name += 3;
        size -= 3;
    }
    size_t place = place_of_column(reader, name, size);
    reader->place_of[reader->field] = place;
    if (place == NOT_WANTED)
        return;
    if (reader->fields[place] != NULL)
        fail(reader, "the column %s appears twice", reader->columns[place]);
    reader->fields[place] = reader->text[place];
}

static void take_row_field(struct reader *reader, const char *text, size_t size)
{
    size_t place = reader->place_of[reader->field];
    if (place == NOT_WANTED)
        return;
    if (size >= TABLE_FIELD_SIZE_MAX || memchr(text, '\0', size) != NULL) {
        fail(reader, "line %zu: the field %s is longer than it can be", reader->line, reader->columns[place]);
        return;
    }
    memcpy(reader->text[place], text, size);
    reader->text[place][size] = '\0';
}

static void on_field(void *data, size_t size, void *context)
{
    struct reader *reader = context;
    const char *text = data == NULL ? "" : data;
    if (reader->failed)
        return;
    if (reader->field >= TABLE_COLUMNS_MAX) {
        fail(reader, "line %zu has more than %d columns", reader->line, TABLE_COLUMNS_MAX);
        return;
    }
    if (reader->header_read)
        take_row_field(reader, text, size);
    else
        take_header_field(reader, text, size);
    reader->field++;
}

static void check_header(struct reader *reader)
{
    for (size_t i = 0; i < reader->columns_count; i++)
        if (reader->fields[i] == NULL)
            fail(reader, "the first line has no column %s", reader->columns[i]);
    reader->header_read = true;
    reader->fields_in_header = reader->field;
}

static void take_row(struct reader *reader)
{
    if (reader->field != reader->fields_in_header) {
        fail(reader, "line %zu has %zu columns where the first line has %zu", reader->line, reader->field,
             reader->fields_in_header);
        return;
    }
    const char *complaint = reader->row(reader->context, reader->fields, reader->line);
    if (complaint != NULL)
        fail(reader, "line %zu: %s", reader->line, complaint);
}

static void on_row_end(int terminator, void *context)
{
    struct reader *reader = context;
    (void)terminator;
    if (reader->failed)
        return;
    if (reader->header_read)
        take_row(reader);
    else
        check_header(reader);
    reader->field = 0;
    reader->line++;
}

static void parse_chunk(struct reader *reader, struct csv_parser *parser, const char *chunk, size_t size)
{
    if (csv_parse(parser, chunk, size, on_field, on_row_end, reader) != size)
        fail(reader, "line %zu: %s", reader->line, csv_strerror(csv_error(parser)));
}

static void parse_all(struct reader *reader, struct csv_parser *parser, gzFile file)
{
    static char chunk[CHUNK_SIZE];
    int size = 0;
    while (!reader->failed && (size = gzread(file, chunk, sizeof chunk)) > 0)
        parse_chunk(reader, parser, chunk, (size_t)size);
    int code = Z_OK;
    const char *message = gzerror(file, &code);
    if (size < 0 || (code != Z_OK && code != Z_STREAM_END))
        fail(reader, "%s", code == Z_ERRNO ? strerror(errno) : message);
    if (csv_fini(parser, on_field, on_row_end, reader) != 0)
        fail(reader, "line %zu: %s", reader->line, csv_strerror(csv_error(parser)));
    if (!reader->header_read)
        fail(reader, "the file is empty");
}

bool table_read(const char *path, const char *const *columns, size_t columns_count, table_row *row, void *context,
                struct table_error *error)
{
    REQUIRE(columns_count > 0);
    REQUIRE(columns_count < TABLE_COLUMNS_MAX);
    static struct reader reader;
    reader = (struct reader){ .path = path, .columns = columns, .columns_count = columns_count, .row = row };
    reader.context = context;
    reader.error = error;
    reader.line = 1;
    struct csv_parser parser;
    if (csv_init(&parser, CSV_STRICT | CSV_STRICT_FINI) != 0) {
        fail(&reader, "out of memory");
        return false;
    }
    gzFile file = gzopen(path, "rb");
    if (file != NULL)
        parse_all(&reader, &parser, file);
    else
        fail(&reader, "%s", errno != 0 ? strerror(errno) : "out of memory");
    if (file != NULL && gzclose(file) != Z_OK)
        fail(&reader, "the file ends in the middle of its compressed data");
    csv_free(&parser);
    return !reader.failed;
}
