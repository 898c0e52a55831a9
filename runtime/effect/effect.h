/* SPDX-License-Identifier: Apache-2.0 */
/*
 * effect.h - carries out effects through host.h and turns their results into inputs of the core.
 *
 * Loop thread only. Part of the worker.
 */
#ifndef WHARF_RUNTIME_EFFECT_EFFECT_H
#define WHARF_RUNTIME_EFFECT_EFFECT_H

#include "runtime/decide/decide.h"

struct worker;

/* Starts every effect of the decision, in order. At most EFFECT_LAUNCHES_MAX launches are under way at once.
 */
void effects_run(struct worker *worker, const struct decision *decision);

/* An append was acknowledged: timers that waited for it may fire. */
void effects_on_durable(struct worker *worker);

/* Drops timers and launches that have not begun. What is under way is waited for by worker_maybe_closed. */
void effects_close(struct worker *worker);

#define EFFECT_LAUNCHES_MAX 32

#endif
