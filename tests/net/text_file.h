/* Reads a text file of the source tree whole; a test that cannot find its file fails at once. The caller frees the string. */
#ifndef TESTS_NET_TEXT_FILE_H
#define TESTS_NET_TEXT_FILE_H

char *text_file_read(const char *path);

#endif
