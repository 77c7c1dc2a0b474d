/* Copies one shard of a data directory, snapshots and log, while a server may write it.
 *
 * Bytes of a segment that is being written are never copied as they are: frames on their way would look like damage in the copy. The source
 * is read as recovery reads it, and each frame that follows goes to its own place: a segment file of the same name and size (with holes
 * where nothing is), the same offset. So a copy holds whole frames only, in an unbroken chain from where it begins, and its end is clean.
 *
 *   begin     the two newest snapshots that are whole, verified on the way; the log begins behind the older one, or at frame 1
 *             where there are not two and the source's log still begins there
 *   read on   what came behind the last frame copied; the reading starts at that frame, so that a source which has gone on otherwise
 *             (cut, restored, a disk that lost power) is noticed each time
 *   refresh   snapshots that the source has taken since; older ones and the log before them go, as they do there
 *
 * A crash at any moment leaves a clean log or a torn tail. A segment that is new to the copy gets its name when what is in it is durable.
 * In one that has its name already, a frame is written only when the frames that it proves durable (its durable_index) are so in the copy,
 * (or the whole segment is written anew and takes the place of the old one), which is the order that the server itself keeps; FORMAT.md, "Reading a log", says why that is enough. A snapshot, and a manifest, gets its
 * name when it is durable, and nothing goes before that.
 *
 * Memory: some 3 MiB while reading. Nothing is written in the source, and no lock is taken there. */
#ifndef TOOLS_LOG_COPY_H
#define TOOLS_LOG_COPY_H

#include "wal/directory.h"
#include "wal/recovery.h"
#include "wal/snapshot_reader.h"

/* What may come of it besides 0 and the negated errno of a disk; copy->why has a sentence for each of them, errno included. */
#define LOG_COPY_STOPPED 1              /* tend said so; all that was copied stays good */
#define LOG_COPY_GONE (-ESTALE)         /* the source has given up segments that the copy has not read: begin anew */
#define LOG_COPY_OTHER_HISTORY (-EXDEV) /* the source goes on otherwise behind some frame of the copy */
#define LOG_COPY_SOURCE_DAMAGED (-EBADMSG)
#define LOG_COPY_COPY_DAMAGED (-EUCLEAN)

/* How fast, over all shards together. */
struct log_copy_pace {
    uint64_t rate; /* bytes a second; 0: as fast as it goes */
    uint64_t due_ns;
};

struct log_copy {
    /* The caller's, before log_copy_init; borrowed. */
    struct io *io;
    const struct wal_directory *source; /* inspected */
    struct log_copy_pace *pace;
    uint32_t shard;
    /* Called every MiB or more often; LOG_COPY_STOPPED ends what is under way. */
    int (*tend)(void *context);
    void (*say)(void *context, const char *sentence); /* what does no harm, but should be known */
    void *context;

    /* Found. */
    uint64_t last_index;   /* of the last frame in the copy */
    uint64_t last_lsn;     /* 0: no record yet */
    uint64_t last_time_ns; /* of that frame */
    uint64_t frames;       /* copied */
    uint64_t bytes;        /* copied, snapshots included */
    uint32_t kept_count;   /* snapshots in the copy, newest first */
    struct wal_manifest_entry kept[WAL_SNAPSHOTS_KEPT];
    char why[WAL_SNAPSHOT_WHY_SIZE + 512];

    /* Its own. */
    char from[WAL_PATH_SIZE]; /* the shard's directory in the source */
    char to[WAL_PATH_SIZE];   /* and in the copy */
    bool from_beginning;      /* nothing was read, and frame 1 is the first to be */
    bool at_frame;            /* start is at the last frame copied, not behind it */
    struct wal_start start;
    struct hash128 last_hash;
    bool joined;       /* the last frame copied was found in the source, or there is none yet */
    int file;          /* the segment that is being written; -1: none */
    uint64_t sequence; /* its number */
    bool is_new;       /* it does not have its name yet */
    uint32_t syncs;    /* between frames, in this reading */
    uint32_t
        syncs_max; /* beyond it, the segment is written anew with what comes, and takes its place with a single sync */
    uint64_t unsynced_index; /* the first frame in it that may not be durable; NEVER_NS: all are */
    uint8_t *block;          /* WAL_SEGMENT_DATA_OFFSET bytes */
};

/* 0 or -ENOMEM. `root` is the copy's data directory, finished or being made. log_copy_free may be called either way. */
MUST_USE int log_copy_init(struct log_copy *copy, const char *root);
void log_copy_free(struct log_copy *copy);

/* Makes the shard's directory in the copy, copies the snapshots and gets ready to read; its log appears with what is read first. */
MUST_USE int log_copy_begin(struct log_copy *copy);

/* Finds out what a copy holds that is there already, as recovery would, and makes its end clean: what a crash left goes, and so does what lies
 * behind a bad frame, if the source still has that frame; then it is read again from there. LOG_COPY_GONE if it has not. */
MUST_USE int log_copy_resume(struct log_copy *copy);

/* Copies what came since. When it returns, whatever it returns, all frames copied so far are durable, but for a disk that fails. `whole`: also look
 * behind the last frame, so that damage in the source is told from its end; costs reading the rest of its segment. */
MUST_USE int log_copy_read_on(struct log_copy *copy, bool whole);

/* Copies the snapshots that are new in the source and whose frame the copy has, writes the manifest, and gives up what the source has given up
 * and the older of the two newest does not need. */
MUST_USE int log_copy_refresh(struct log_copy *copy);

/* Begins anew beside what there is, which goes once the new copy of the shard is complete. What log_copy_begin and log_copy_read_on return. */
MUST_USE int log_copy_replace(struct log_copy *copy);

/* A directory in the making: PATH.copying becomes PATH in one rename, with meta last, so nothing takes half a copy for a whole one. */
struct log_copy_target {
    struct io *io;
    struct wal_directory made; /* PATH.copying, locked */
    char path[WAL_PATH_SIZE];
    bool begun;
    char why[WAL_SNAPSHOT_WHY_SIZE];
};

/* Refuses a PATH that is there and not empty (-EEXIST). What is left of an interrupted try goes first; -EWOULDBLOCK if one is under way. 0 or a
 * negated errno, with why[] set. */
MUST_USE int log_copy_target_begin(struct log_copy_target *target, struct io *io, const char *path,
                                   const struct wal_directory_header *header);
/* All shards are complete and durable. On 0, target->made is PATH, still locked: wal_directory_close it. */
MUST_USE int log_copy_target_appear(struct log_copy_target *target);
/* Removes what was made, if it did not appear. */
void log_copy_target_drop(struct log_copy_target *target);

#endif
