/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alive.h - says in Redis that this node's runtime serves: the key wharf:v1:alive:NODE, whose value is the
 * epoch, and which goes by itself when nobody says it any more. It is the only thing about a node that is not
 * on the log, since the log cannot tell a dead runtime from a silent one; and the only key that a runtime
 * writes.
 *
 * A Redis that is away changes nothing but that. Everything runs on the loop thread.
 */
#ifndef WHARF_RUNTIME_ALIVE_H
#define WHARF_RUNTIME_ALIVE_H

#include <stdint.h>
#include <uv.h>

#include "base/err.h"

struct alive;

/* Connects, and says nothing yet. `url` as for redis_open; `node` is borrowed. */
int alive_open(struct alive **ret, uv_loop_t *loop, const char *url, const char *node, struct err *err);

/* The runtime serves, with this epoch. */
void alive_begin(struct alive *alive, int64_t epoch);

/* Takes the key away if Redis answers within half a second, frees everything, then calls on_closed. */
void alive_close(struct alive *alive, void (*on_closed)(void *data), void *data);

#endif
