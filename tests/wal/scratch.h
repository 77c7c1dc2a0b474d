/* Directories of the real file system for tests, below the build tree. */
#ifndef TESTS_WAL_SCRATCH_H
#define TESTS_WAL_SCRATCH_H

#include <stddef.h>
#include <stdint.h>

#define SCRATCH_PATH_SIZE 512

/* A path for this test and process, at which nothing is; its parent exists. Returns path. */
const char *scratch_path(const char *name, char path[SCRATCH_PATH_SIZE]);
/* Deletes a file or a whole directory; what is not there is fine. */
void scratch_remove(const char *path);
/* Copies a directory with all that is in it; `to` must not be there. */
void scratch_copy(const char *from, const char *to);

void scratch_copy_file(const char *from, const char *to);

/* Files as bytes. Each fails the test if it cannot do its work. */
size_t scratch_read(const char *path, uint64_t offset, void *bytes, size_t size_bytes);
void scratch_write(const char *path, uint64_t offset, const void *bytes, size_t size_bytes);
void scratch_zero(const char *path, uint64_t offset, size_t size_bytes);
void scratch_flip(const char *path, uint64_t offset, uint8_t bits);
void scratch_truncate(const char *path, uint64_t size_bytes);
int scratch_is_there(const char *path);

#endif
