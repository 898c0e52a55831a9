/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot.h - a node's state as a file: the fold of its events up to an offset, so that a start need not
 * read the log from its beginning.
 *
 * A snapshot is a cache and never the truth: whoever finds one that is damaged, of another version or not of
 * this log folds the log again. So decoding is strict and never repairs.
 *
 * The text is lines of JSON: a header (snapshot.def), the newest event's bytes, one object a container and
 * one an image, arrays of answered commands (id, offset, id, offset ...) and of answered offsets, a thousand
 * a line, and the seal (base/seal.h).
 *
 * Pure; any thread.
 */
#ifndef WHARF_EVENTS_SNAPSHOT_H
#define WHARF_EVENTS_SNAPSHOT_H

#include "base/buf.h"
#include "events/node_state.h"

/* Of the format and of the fold: to be raised when either changes, since a state that an older evolve
 * computed is not what this one would (test_snapshot.c notices). */
#define SNAPSHOT_VERSION 9

struct snapshot_header;

/* A state that has been taken down, and whose place in the log is not known yet. */
struct snapshot {
    struct snapshot_header *header;
    struct buf body;
};
#define SNAPSHOT_INIT                                                                                        \
    {                                                                                                        \
        .header = NULL                                                                                       \
    }

/* Takes the state down. -1 when memory runs out, or ERR_INVALID when the node has not joined yet. */
int snapshot_take(struct snapshot *ret, const struct node_state *state, struct err *err);

/* The text: `next_offset` is one past the newest event that the state was taken after, `events_fenced` how
 * many records before that were fenced. -1 when memory runs out. */
int snapshot_seal(struct snapshot *snapshot, int64_t next_offset, int64_t events_fenced, struct buf *ret,
                  struct err *err);

void snapshot_release(struct snapshot *snapshot);

/* Both in one, for a state whose newest event is at `next_offset` - 1. */
int snapshot_encode(const struct node_state *state, int64_t next_offset, struct buf *ret, struct err *err);

/*
 * The other way. `ret` is to be released; on failure nothing is left allocated. Errors, each a sentence that
 * goes on from "the snapshot ...":
 *   ERR_PROTOCOL  it is of another version of wharf
 *   ERR_CONFLICT  it is another node's
 *   ERR_CORRUPT   anything else: cut off, changed, or with members that cannot be
 *   ERR_NOMEM
 */
int snapshot_decode(struct node_state *ret, int64_t *ret_next_offset, const char *node, const void *bytes,
                    size_t size, struct err *err);

#endif
