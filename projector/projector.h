/* SPDX-License-Identifier: Apache-2.0 */
/*
 * projector.h - the projector as a whole: a log, a Redis connection, and a struct partition for each
 * partition of wharf.events. Used by the role's main and by the one-shot rebuild. Loop thread; tells trouble
 * with say.h.
 */
#ifndef WHARF_PROJECTOR_PROJECTOR_H
#define WHARF_PROJECTOR_PROJECTOR_H

#include "projector/partition.h"

struct projector;

struct projector_options {
    const char *log_url;
    const char *redis_url;
    struct log_options log; /* on_trouble, data and append_topics are the projector's own */
    const char *base;       /* SINK_LIVE ... */
    bool fresh;             /* begin with deleting what is under `base` */
    bool park;              /* open wharf.deadletters for appending, and park what is no event */
    bool touch;             /* keep updated_at fresh */
    /* All partitions have caught up with the log for the first time. May be NULL. */
    void (*on_ready)(void *data);
    /* One partition has caught up, each time. May be NULL. */
    void (*on_caught_up)(struct partition *partition, int64_t log_end, void *data);
    /* Cannot go on: the log cannot be read at all. May be NULL. */
    void (*on_failed)(const struct err *err, void *data);
    void *data;
};

/* Opens log and Redis and begins as soon as both answer. Errors: a bad URL, a log that cannot be opened. */
int projector_open(struct projector **ret, uv_loop_t *loop, const struct projector_options *options,
                   struct err *err);

size_t projector_partitions(const struct projector *projector);
struct redis *projector_redis(const struct projector *projector);

void projector_close(struct projector *projector, void (*on_closed)(void *data), void *data);

#endif
