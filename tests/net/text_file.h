/* Reads a text file of the source tree whole; a test that cannot find its file fails at once. The caller frees the string. */
#ifndef TESTS_NET_TEXT_FILE_H
#define TESTS_NET_TEXT_FILE_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static inline char *text_file_read(const char *path)
{
    char *text = NULL;
    size_t capacity = 0;
    FILE *in = fopen(path, "r");
    cr_assert_not_null(in, "cannot open %s", path);
    ssize_t size = getdelim(&text, &capacity, '\0', in);
    fclose(in);
    cr_assert_gt(size, 0, "cannot read %s", path);
    return text;
}

#endif
