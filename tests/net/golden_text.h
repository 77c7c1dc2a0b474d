/* Golden messages as text: bytes in hexadecimal, field by field, each with its name and value behind a '#'. */
#ifndef TESTS_NET_GOLDEN_TEXT_H
#define TESTS_NET_GOLDEN_TEXT_H

#include "tests/net/golden_messages.h"

#include <stdio.h>

/* The text of one golden file. */
void golden_text_write(FILE *out, const struct golden *golden);

/* The same as a string that the caller frees; so is golden_appendix's, which is what PROTOCOL.md has between its markers. */
char *golden_text(const struct golden *golden);
char *golden_appendix(void);

#define GOLDEN_BEGIN "<!-- golden begin -->\n"
#define GOLDEN_END "<!-- golden end -->\n"

/* The worked exchange of PROTOCOL.md: some of the same messages as plain dumps, the way they pass over the wire. */
char *golden_exchange(void);
#define EXCHANGE_BEGIN "<!-- exchange begin -->\n"
#define EXCHANGE_END "<!-- exchange end -->\n"

/* Reads hexadecimal bytes from `text`, from '#' to the end of a line being comment, into bytes[size_max]. Returns how many, or SIZE_MAX for anything
 * that is neither. */
size_t golden_parse(const char *text, uint8_t *bytes, size_t size_max);

#endif
