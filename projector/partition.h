/* SPDX-License-Identifier: Apache-2.0 */
/*
 * partition.h - projects one partition of wharf.events into Redis: the shell around project().
 *
 * It loads the stored view, reads the log from there, and sends batches. Whatever goes wrong with Redis
 * (away, flushed, restarted with older data, another projector was faster) ends in the same place: forget
 * what is in memory, load what Redis has, go on from its offset. Loop thread.
 */
#ifndef WHARF_PROJECTOR_PARTITION_H
#define WHARF_PROJECTOR_PARTITION_H

#include "base/redis.h"
#include "events/log/log.h"
#include "projector/sink.h"
#include "projector/view.h"

struct partition;

struct partition_events {
    /* Redis has everything up to the log's end, as of now. Told each time it becomes true again. */
    void (*on_caught_up)(struct partition *partition, int64_t log_end, void *data);
};

struct partition_options {
    struct log *log;
    struct redis *redis;
    uv_loop_t *loop;
    uint32_t number;
    const char *base;       /* SINK_LIVE, SINK_REBUILD or SINK_VERIFY */
    bool fresh;             /* delete what is stored under `base` first */
    bool park;              /* put records that are no events into wharf.deadletters */
    int64_t parked_through; /* up to this offset such records have been parked already; -1 for none */
    struct partition_events events;
    void *data;
};

/* Starts when told that Redis is up. -1 when memory runs out. */
int partition_open(struct partition **ret, const struct partition_options *options, struct err *err);

/* Redis came, or went. */
void partition_redis_up(struct partition *partition);
void partition_redis_down(struct partition *partition);

/* Writes the position again if nothing is under way: keeps updated_at fresh, and finds out if the view was
 * lost. */
void partition_touch(struct partition *partition);

/* Sends nothing more, whatever comes; what is under way may still be applied. For a side whose work is done.
 */
void partition_halt(struct partition *partition);

uint32_t partition_number(const struct partition *partition);
const char *partition_prefix(const struct partition *partition);
/* The newest offset that Redis is known to contain; -1 for none. */
int64_t partition_applied(const struct partition *partition);
const struct view *partition_view(const struct partition *partition);

/* Stops, then calls on_closed (may be NULL). The log and Redis must outlive that. */
void partition_close(struct partition *partition, void (*on_closed)(void *data), void *data);

#endif
