#include "tests/net/text_file.h"

#include <criterion/criterion.h>
#include <stdio.h>

char *text_file_read(const char *path)
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
