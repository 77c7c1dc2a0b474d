/* Records and results in readable form, field by field, for whoever has to find out why engine and model disagree. */
#ifndef TESTS_MODEL_PRINT_FIELDS_H
#define TESTS_MODEL_PRINT_FIELDS_H

#include "engine/command.h"

#include <stdio.h>

/* One line: the operation and every field that is not zero. */
void print_record(FILE *to, const struct record_header *record);

/* One line: status, flags and every field that is not zero, of a result of `kind`. */
void print_result(FILE *to, uint8_t kind, const struct result_header *result);

/* One line a field, engine and model side by side, those that differ marked. */
void print_result_difference(FILE *to, uint8_t kind, const struct result_header *engine,
                             const struct result_header *model);

#endif
