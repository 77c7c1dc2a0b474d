/* An engine's pages for the writer of snapshot files: where engine/snapshot.h and wal/snapshot_writer.h meet. */
#ifndef NET_ENGINE_SNAPSHOT_H
#define NET_ENGINE_SNAPSHOT_H

#include "engine/snapshot.h"
#include "wal/recovery.h"
#include "wal/snapshot_writer.h"

/* Holds the engine's state fast and begins its snapshot, right behind the frame that `behind` says; what wal_snapshot_begin requires. Once
 * the writer's chunks_taken says so, or to give it up, snapshot_end(engine) lets go again. */
void engine_snapshot_begin(struct wal_snapshot_writer *writer, struct engine *engine, const struct wal_start *behind);

#endif
