/* wal/io.h in memory, for tests that decide when an io completes, in which order, and with what result. Linked instead of innkeep_io.
 *
 * Left alone, everything succeeds and io_run completes what was submitted, oldest first. A write by completion reaches its file when it
 * completes, and only as many bytes as its result says. Time stands still but for waiting and fake_io_advance. One world a process. */
#ifndef TESTS_WAL_FAKE_IO_H
#define TESTS_WAL_FAKE_IO_H

#include "wal/io.h"

enum fake_operation { FAKE_WRITE, FAKE_SYNC, FAKE_READ, FAKE_UNLINK };

struct fake_pending {
    enum fake_operation operation;
    char path[256]; /* of the file when it was opened */
    uint64_t offset;
    uint32_t size;
    bool durable;
};

/* While held, io_run completes only what fake_io_complete named. */
void fake_io_hold(bool held);
size_t fake_io_pending_count(void);
/* The i-th oldest submitted request that has not completed. */
struct fake_pending fake_io_pending(size_t i);
/* Completes it: `result` as the kernel would give it; FAKE_ALL: as it should be. `done` is called by the next io_run. */
#define FAKE_ALL INT32_MAX
void fake_io_complete(size_t i, int32_t result);

/* Every submitted write whose file's path holds `path_part` gets `error` when it completes, until called with NULL. */
void fake_io_fail_writes(const char *path_part, int32_t error);
/* The same for syncs by completion. */
void fake_io_fail_syncs(const char *path_part, int32_t error);
/* Files may hold this many bytes in all; beyond it, writes come back short, and then with -ENOSPC. */
void fake_io_limit_space(uint64_t bytes);

/* A file system without O_DIRECT. */
void fake_io_refuse_direct(bool refused);
/* The n-th next call that changes files or directories fails with `error`, and so does every one after it: the process has in effect
 * ended there. 0: none does. Returns how many such calls there were since the last call of this. */
uint64_t fake_io_fail_from(uint64_t n, int error);

/* The same, but only the n-th fails: a fault that the process survives. */
void fake_io_fail_once(uint64_t n, int error);
/* From now on, requests by completion count among those calls, when they complete: writes, and syncs. */
void fake_io_count_requests(bool counted);

/* The same for calls that look: opening what is there, reading, asking for a size, listing. */
void fake_io_fail_looks_from(uint64_t n, int error);

void fake_io_advance(uint64_t ns);

/* Bytes of a file, for looking and for damaging; NULL if it is not there. Good until the file grows. */
uint8_t *fake_io_file(const char *path, size_t *size_bytes);
/* True if the file holds bytes, or the directory has entries made, renamed or deleted, that no sync has made durable. */
bool fake_io_is_dirty(const char *path);
/* Cuts a file short. */
void fake_io_cut(const char *path, size_t size_bytes);
/* How many files there are whose path ends so. */
size_t fake_io_count(const char *suffix);

enum fake_crash {
    FAKE_CRASH_PROCESS, /* the process ends: everything that was written is there */
    FAKE_CRASH_DATA, /* the machine loses what no sync made durable of files' bytes, while their names are as they were last */
    FAKE_CRASH_ALL,   /* and names are those of their directory's last sync */
    FAKE_CRASH_ORDER, /* the same, but for the last name that was given: it is there, whatever came before it is not */
};
/* Ends the world and begins it anew with what a crash leaves: nothing open, nothing in flight, no failure ordered. */
void fake_io_crash(enum fake_crash crash);
/* Begins an empty world. */
void fake_io_reset(void);

#endif
