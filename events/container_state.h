/* SPDX-License-Identifier: Apache-2.0 */
/*
 * container_state.h - the container's life as a table: which event may come in which state, and what state
 * follows.
 *
 * Pure. `container_state_dot` prints the table as a graph, which is where the picture in ARCHITECTURE.md
 * comes from.
 */
#ifndef WHARF_EVENTS_CONTAINER_STATE_H
#define WHARF_EVENTS_CONTAINER_STATE_H

#include <stdbool.h>

#include "base/buf.h"
#include "events/message.h"

enum container_state {
    CONTAINER_ABSENT, /* before created and after removed */
    CONTAINER_CREATED,
    CONTAINER_RUNNING,
    CONTAINER_PAUSED,     /* running, and suspended */
    CONTAINER_STOPPING,   /* running, asked to end */
    CONTAINER_EXITED,     /* not running, nothing under way */
    CONTAINER_RESTARTING, /* not running, its restart policy will start it */
    CONTAINER_STATES,
};

/* "created", "running", ...; "absent" for CONTAINER_ABSENT. */
const char *container_state_name(enum container_state state);

/* By name; -1 if there is none. */
int container_state_by_name(const char *name);

/* True and the following state if `event` may happen in `state`; false if it is not legal there, or not about
 * containers. */
bool container_state_next(enum container_state state, enum event_type event, enum container_state *ret_next);

/* True while its first process may be alive. */
bool container_state_is_running(enum container_state state);

/* The table in graphviz's language. */
void container_state_dot(struct buf *ret);

/* What the checks of a running container's health have shown; the names are docker's. */
enum container_health {
    HEALTH_NONE, /* it is not checked, or does not run; named "" */
    HEALTH_STARTING,
    HEALTH_HEALTHY,
    HEALTH_UNHEALTHY,
    CONTAINER_HEALTHS
};
const char *container_health_name(enum container_health health);
/* -1 if there is none of that name. */
int container_health_by_name(const char *name);

#endif
