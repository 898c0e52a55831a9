/* SPDX-License-Identifier: Apache-2.0 */
/*
 * project.h - project(view, event, position) -> operations: how one event moves the read model.
 *
 * Pure: no I/O, no clock. The same events in the same order give the same operations, whoever runs them, so a
 * rebuilt view equals the one that grew (the stream's entry ids are the events' offsets for that reason).
 */
#ifndef WHARF_PROJECTOR_PROJECT_H
#define WHARF_PROJECTOR_PROJECT_H

#include "events/message.h"
#include "projector/ops.h"
#include "projector/view.h"

enum project_result {
    PROJECT_DONE,
    PROJECT_STALE,   /* seen before, by offset, nodeseq or streamversion: changes nothing */
    PROJECT_FENCED,  /* of a lower epoch of its node: changes nothing */
    PROJECT_ILLEGAL, /* a move that the state machine does not have: changes nothing */
    PROJECT_NOMEM,   /* the view is not to be used any further: load it again */
};

/* Moves `view` on by one event at `offset` and adds the operations that do the same to Redis. */
enum project_result project_event(struct view *view, const struct event *event, int64_t offset,
                                  struct ops *ret);

/* Moves the position over a record that is no event and was parked. */
void project_parked(struct view *view, int64_t offset);

/* The operations that end a batch: nodes that moved, position and counters. `now_ns` becomes updated_at. -1
 * when memory runs out. */
int project_flush(struct view *view, int64_t now_ns, struct ops *ret);

#endif
