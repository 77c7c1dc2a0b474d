/* Reading a shard's log: for recovery, and for the tools that look at a log without changing it.
 *
 * Recovery's algorithm and why it is right: FORMAT.md, "Reading a log". The successor of frame k-1 is the next frame in its segment or
 * the first frame of a later segment that continues at index k with the same hash. Where neither exists, every later block is
 * searched for frames that verify by themselves: one whose durable_index >= k proves that k was acknowledged, so the log is damaged
 * and nothing may start on it; without such evidence the rest is a torn tail that nobody was told about. */
#ifndef WAL_RECOVERY_H
#define WAL_RECOVERY_H

#include "wal/log.h"
#include "wal/snapshot_format.h"

enum wal_verdict {
    WAL_CLEAN,     /* every frame there is was read */
    WAL_TORN_TAIL, /* bytes behind the last good frame that no evidence shows to have been acknowledged */
    WAL_DAMAGED,   /* acknowledged data is missing or bad */
};

struct wal_report {
    enum wal_verdict verdict;
    uint32_t shard;
    uint64_t frames; /* read */
    uint64_t records;
    uint64_t first_lsn; /* 0 where there is none */
    uint64_t last_lsn;
    uint64_t first_time_ns;
    uint64_t last_time_ns;
    uint64_t segments;
    uint64_t bad_header_copies;   /* segment header copies that are lost; harmless as long as frames verify */
    struct wal_position position; /* where a writer may go on; meaningless when DAMAGED */
    /* Behind the last good frame; segment 0 where not even segment 1 is there. */
    uint64_t tail_segment_sequence;
    uint64_t tail_offset;
    /* Where reading stopped; set unless CLEAN. */
    uint64_t stop_index; /* the frame that is missing or bad */
    uint64_t stop_segment_sequence;
    uint64_t stop_offset;
    char stop_path[512];
    const char *stop_reason;  /* static storage */
    uint64_t stop_last_index; /* the highest index among frames found behind; stop_index - 1 if none */
    uint64_t stop_last_lsn;
    uint64_t dropped_bytes; /* TORN_TAIL: non-zero bytes' extent behind the last good frame */
    /* DAMAGED: the frame whose durable_index proves the acknowledgement. All zero where the damage shows by itself: a segment that
     * no crash can have made so (missing segment 1, cut short, of another shard or a newer version). */
    uint64_t evidence_index;
    uint64_t evidence_durable_index;
    uint64_t evidence_segment_sequence;
    uint64_t evidence_offset;
    uint64_t evidence_time_ns;
};

/* Called for each good frame in order; non-zero stops the reading and is returned. The frame is the visitor's until it returns. */
typedef int wal_visit(void *context, const struct wal_frame_header *frame);

/* Where a log is to end, or to be read from: behind the frame that ends there. */
struct wal_place {
    uint64_t segment_sequence;
    uint64_t offset; /* at least WAL_SEGMENT_DATA_OFFSET */
};

/* Behind which frame reading begins, where everything up to it is known from a snapshot. */
struct wal_start {
    struct wal_position position; /* behind that frame; next_segment_sequence and retired_below are not looked at */
    struct wal_place place;
};

static inline struct wal_start wal_start_behind_frame(const struct wal_frame_header *frame)
{
    return (struct wal_start){
        .position = { .next_index = frame->index + 1,
                      .next_lsn = frame->first_lsn + frame->records_count,
                      .last_time_ns = frame->time_ns,
                      .next_segment_sequence = frame->segment_sequence + 1,
                      .previous_hash = frame->hash },
        .place = { .segment_sequence = frame->segment_sequence,
                   .offset = (uint64_t)frame->block_number * WAL_BLOCK_SIZE + frame->frame_size },
    };
}

/* Of the header of a snapshot that verifies. */
static inline struct wal_start wal_start_behind_snapshot(const struct wal_snapshot_header *header)
{
    return (struct wal_start){
        .position = { .next_index = header->index + 1,
                      .next_lsn = header->next_lsn,
                      .last_time_ns = header->time_ns,
                      .previous_hash = header->previous_hash },
        .place = { .segment_sequence = header->segment_sequence, .offset = header->segment_offset },
    };
}

struct wal_source {
    const char *directory;         /* the shard's own */
    const struct wal_start *start; /* NULL: the log's beginning */
    uint8_t uuid[16];
    uint32_t shard;
    uint32_t shards_count;
    uint64_t segment_size; /* from DIR/meta; 0: as the segments' own headers say */
    /* Only read on as far as the chain goes, for whoever comes back soon: what lies behind is not looked at, so neither a torn tail nor a frame
     * that is missing is told from the end. */
    bool glance;
};

/* Reads the whole log, or what lies behind source->start, for which older segments need not be there; changes nothing. Constant memory (2 MiB, and 8 bytes a segment). The log may be written meanwhile: what is
 * complete when it is come to is read, and a frame on its way is a torn tail. 0 with the report filled in (whatever the verdict), the visitor's
 * non-zero value, or a negated errno where the disk cannot be read (then report->stop_path and stop_reason say which file). */
MUST_USE int wal_read(struct io *io, const struct wal_source *source, wal_visit *visit, void *context,
                      struct wal_report *report);

/* After wal_read said TORN_TAIL: saves the dropped bytes to DIRECTORY/torn-<sequence>-<offset>.bin (both in hexadecimal; one file for
 * each segment that has any) and then clears them durably, so that a second start reads a clean log. A crash at any moment leaves
 * the torn tail or part of it, and saved files that are complete. 0 or a negated errno. */
MUST_USE int wal_discard_tail(struct io *io, const struct wal_source *source, const struct wal_report *report);

/* Ends a log at a place, whatever lies behind: later segments go, the last one first, and then the rest of the segment is cleared, all of it
 * durably. Nothing is saved. A crash at any moment leaves something in between, and calling it again finishes it. The caller sees to it that
 * nobody starts on the log meanwhile. 0 or a negated errno. */
MUST_USE int wal_end_at(struct io *io, const struct wal_source *source, struct wal_place place);

#endif
