/* Writes the golden files, and what PROTOCOL.md shows of them, anew, after a deliberate change of the protocol:
 *
 *     build/dev/bin/golden_write tests/net/golden net/PROTOCOL.md
 *
 * The diff is what has to be looked at: a change of existing bytes breaks every client there is. */
#include "tests/net/golden_text.h"

#include <stdlib.h>
#include <string.h>

static void die(const char *what, const char *path)
{
    fprintf(stderr, "golden_write: %s %s\n", what, path);
    exit(1);
}

static void file_write(const char *path, const char *text)
{
    FILE *out = fopen(path, "w");
    if (out == NULL || fputs(text, out) < 0 || fclose(out) != 0)
        die("cannot write", path);
}

static void files_write(const char *folder)
{
    for (uint32_t i = 0; i < golden_messages_count; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s.hex", folder, golden_messages[i].name);
        char *text = golden_text(&golden_messages[i]);
        file_write(path, text);
        free(text);
    }
}

static char *file_read(const char *path)
{
    char *text = NULL;
    size_t capacity = 0;
    FILE *in = fopen(path, "r");
    if (in == NULL || getdelim(&text, &capacity, '\0', in) < 0)
        die("cannot read", path);
    fclose(in);
    return text;
}

/* Puts `middle`, which it frees, between two markers of the document; returns the new document and frees the old. */
static char *section_replace(char *document, const char *begin_marker, const char *end_marker, char *middle)
{
    char *begin = strstr(document, begin_marker);
    char *end = strstr(document, end_marker);
    char *text = NULL;
    if (begin == NULL || end == NULL || end < begin)
        die("PROTOCOL.md lacks the marker", begin_marker);
    int head = (int)(begin - document + (ptrdiff_t)strlen(begin_marker));
    if (asprintf(&text, "%.*s%s%s", head, document, middle, end) < 0)
        die("no memory for", begin_marker);
    free(middle);
    free(document);
    return text;
}

static void document_write(const char *path)
{
    char *document = file_read(path);
    document = section_replace(document, EXCHANGE_BEGIN, EXCHANGE_END, golden_exchange());
    document = section_replace(document, GOLDEN_BEGIN, GOLDEN_END, golden_appendix());
    file_write(path, document);
    free(document);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: golden_write GOLDEN_FOLDER PROTOCOL.md\n");
        return 2;
    }
    files_write(argv[1]);
    document_write(argv[2]);
    return 0;
}
