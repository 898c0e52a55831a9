/* SPDX-License-Identifier: Apache-2.0 */
/*
 * past.h - the containers that are no more and whose histories the view still answers: the newest
 * VIEW_PAST_KEPT of a partition. Those before them are forgotten, so that Redis does not grow with every
 * container there ever was; the log keeps them, and whoever asks for one is sent there.
 *
 * A part of the view (view.h), so a fold of the log like the rest of it. Pure; one thread at a time.
 */
#ifndef WHARF_PROJECTOR_PAST_H
#define WHARF_PROJECTOR_PAST_H

#include "base/err.h"
#include "projector/ops.h"
#include "projector/view.h"

struct view_past {
    char id[CONTAINER_ID_SIZE]; /* key */
    char *qualified_name;       /* node/name; "" for one that never came to be */
    UT_hash_handle hh;          /* by id */
    UT_hash_handle hh_name;     /* by qualified name, of the last that had it */
};

bool past_has(const struct view *view, const char *id);

/* The container is no more: remembers it, and forgets the oldest beyond the limit with its history. Out of
 * memory marks `ret` failed. */
void past_add(struct view *view, const char *id, const char *qualified_name, struct ops *ret);

/* One line of `past` as past_add wrote it, when the view is read back. ERR_CORRUPT, ERR_NOMEM. */
int past_load(struct view *view, const char *line, struct err *err);

void past_release(struct view *view);

#endif
