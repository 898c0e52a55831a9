/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sink.h - carries lists of operations out in Redis, one transaction a list, and reads a view back.
 *
 * A batch is WATCH, guard, MULTI, operations, PUBLISH, EXEC in one piece: it is applied completely, and only
 * if the stored offset is the one it starts from. Loop thread.
 */
#ifndef WHARF_PROJECTOR_SINK_H
#define WHARF_PROJECTOR_SINK_H

#include "base/redis.h"
#include "projector/ops.h"
#include "projector/view.h"

#define SINK_LIVE "wharf:v1:"
#define SINK_REBUILD "wharf:v1-rebuild:"
#define SINK_VERIFY "wharf:v1-verify:"

#define SINK_PREFIX_SIZE 64

/* "wharf:v1:{7}:" from "wharf:v1:" and 7. */
void sink_prefix(char ret[SINK_PREFIX_SIZE], const char *base, uint32_t partition);

enum sink_result {
    SINK_APPLIED,
    SINK_REFUSED, /* the stored offset is another one, or there is no view: load it again */
    SINK_FAILED,  /* err says why; the batch may or may not have been applied: load it again */
};

/* Owned by the caller, unmoved until the callback. */
struct sink_batch {
    void (*cb)(struct sink_batch *batch, enum sink_result result, const struct err *err);
    void *data;
    /* From here on the sink's own. */
    struct err err;
};

/* Sends the operations. `from_offset` is what must be stored, `to_offset` what is told to subscribers of
 * PREFIXapplied, -1 for nobody. `scratch` is emptied and used for formatting. -1 without calling back when
 * Redis is away or memory runs out. */
int sink_send(struct redis *redis, const char *prefix, const struct ops *ops, int64_t from_offset,
              int64_t to_offset, struct buf *scratch, struct sink_batch *batch, struct err *err);

/* Fills the view from Redis, or begins an empty one (always with `fresh`). cb gets NULL err when `view`,
 * released first, is filled. -1 without calling back when Redis is away. */
struct sink_load {
    void (*cb)(struct sink_load *load, const struct err *err);
    void *data;
    struct view *view;
};
int sink_load(struct redis *redis, const char *prefix, bool fresh, struct sink_load *load, struct err *err);

/* Writes nodes into wharf:v1:nodes, which has no hash tag and so cannot be part of the transaction. */
int sink_publish_nodes(struct redis *redis, const struct view *view, struct err *err);

#endif
