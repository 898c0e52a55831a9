/* SPDX-License-Identifier: Apache-2.0 */
#include "events/container_state.h"

#include <string.h>

static const char *const state_names[CONTAINER_STATES] = {
    [CONTAINER_ABSENT] = "absent",         [CONTAINER_CREATED] = "created",   [CONTAINER_RUNNING] = "running",
    [CONTAINER_PAUSED] = "paused",         [CONTAINER_STOPPING] = "stopping", [CONTAINER_EXITED] = "exited",
    [CONTAINER_RESTARTING] = "restarting",
};

/* What follows when an event comes in a state; 0 (absent) where it may not come, but for `removed`, whose
 * successor is absent: ALLOWED tells the two apart. */
#define ALLOWED 0x80
#define TO(state) (ALLOWED | CONTAINER_##state)
#define ANY_STAYS                                                                                            \
    {                                                                                                        \
        [CONTAINER_CREATED] = TO(CREATED), [CONTAINER_RUNNING] = TO(RUNNING),                                \
        [CONTAINER_PAUSED] = TO(PAUSED), [CONTAINER_STOPPING] = TO(STOPPING),                                \
        [CONTAINER_EXITED] = TO(EXITED), [CONTAINER_RESTARTING] = TO(RESTARTING),                            \
    }

static const unsigned char moves[EVENT_TYPES][CONTAINER_STATES] = {
    [EVENT_CONTAINER_CREATED] = {[CONTAINER_ABSENT] = TO(CREATED)},
    [EVENT_CONTAINER_STARTED] = {[CONTAINER_CREATED] = TO(RUNNING),
                                 [CONTAINER_EXITED] = TO(RUNNING),
                                 [CONTAINER_RESTARTING] = TO(RUNNING)},
    [EVENT_CONTAINER_START_FAILED] = {[CONTAINER_CREATED] = TO(CREATED),
                                      [CONTAINER_EXITED] = TO(EXITED),
                                      [CONTAINER_RESTARTING] = TO(EXITED)},
    [EVENT_CONTAINER_PAUSED] = {[CONTAINER_RUNNING] = TO(PAUSED)},
    [EVENT_CONTAINER_UNPAUSED] = {[CONTAINER_PAUSED] = TO(RUNNING)},
    [EVENT_CONTAINER_RENAMED] = ANY_STAYS,
    [EVENT_CONTAINER_EXEC_STARTED] = ANY_STAYS, /* also told late, after a crash and the container's end */
    [EVENT_CONTAINER_EXEC_FAILED] = ANY_STAYS,
    [EVENT_CONTAINER_EXEC_EXITED] = ANY_STAYS,
    [EVENT_CONTAINER_UPDATED] = ANY_STAYS,
    [EVENT_CONTAINER_HEALTH_CHANGED] = {[CONTAINER_RUNNING] = TO(RUNNING),
                                        [CONTAINER_PAUSED] = TO(PAUSED),
                                        [CONTAINER_STOPPING] = TO(STOPPING)},
    [EVENT_CONTAINER_COPIED] = ANY_STAYS,
    [EVENT_CONTAINER_EXPORTED] = ANY_STAYS,
    [EVENT_CONTAINER_ATTACHED] = ANY_STAYS,
    [EVENT_CONTAINER_COMMITTED] = ANY_STAYS,
    [EVENT_CONTAINER_ADOPTED] = {[CONTAINER_PAUSED] = TO(PAUSED),
                                 [CONTAINER_RUNNING] = TO(RUNNING),
                                 [CONTAINER_STOPPING] = TO(STOPPING)},
    [EVENT_CONTAINER_SIGNALED] = {[CONTAINER_PAUSED] = TO(PAUSED),
                                  [CONTAINER_RUNNING] = TO(RUNNING),
                                  [CONTAINER_STOPPING] = TO(STOPPING)},
    [EVENT_CONTAINER_STOPPING] = {[CONTAINER_PAUSED] = TO(STOPPING),
                                  [CONTAINER_RUNNING] = TO(STOPPING),
                                  [CONTAINER_STOPPING] = TO(STOPPING)},
    [EVENT_CONTAINER_EXITED] = {[CONTAINER_PAUSED] = TO(EXITED),
                                [CONTAINER_RUNNING] = TO(EXITED),
                                [CONTAINER_STOPPING] = TO(EXITED)},
    [EVENT_CONTAINER_RESTARTING] = {[CONTAINER_EXITED] = TO(RESTARTING)},
    [EVENT_CONTAINER_RESTART_CANCELED] = {[CONTAINER_RESTARTING] = TO(EXITED)},
    [EVENT_CONTAINER_REMOVED] = {[CONTAINER_CREATED] = TO(ABSENT), [CONTAINER_EXITED] = TO(ABSENT)},
};

const char *container_state_name(enum container_state state)
{
    return state_names[state];
}

int container_state_by_name(const char *name)
{
    for (int i = 0; i < CONTAINER_STATES; i++)
        if (strcmp(state_names[i], name) == 0)
            return i;
    return -1;
}

static const char *const health_names[CONTAINER_HEALTHS] = {[HEALTH_NONE] = "",
                                                            [HEALTH_STARTING] = "starting",
                                                            [HEALTH_HEALTHY] = "healthy",
                                                            [HEALTH_UNHEALTHY] = "unhealthy"};

const char *container_health_name(enum container_health health)
{
    return health_names[health];
}

int container_health_by_name(const char *name)
{
    for (int i = 0; i < CONTAINER_HEALTHS; i++)
        if (strcmp(health_names[i], name) == 0)
            return i;
    return -1;
}

bool container_state_next(enum container_state state, enum event_type event, enum container_state *ret_next)
{
    unsigned char move = moves[event][state];
    if ((move & ALLOWED) == 0)
        return false;
    *ret_next = (enum container_state)(move & ~ALLOWED);
    return true;
}

bool container_state_is_running(enum container_state state)
{
    return state == CONTAINER_RUNNING || state == CONTAINER_PAUSED || state == CONTAINER_STOPPING;
}

void container_state_dot(struct buf *ret)
{
    buf_add_string(ret, "digraph container {\n    rankdir=LR;\n");
    for (int event = 0; event < EVENT_TYPES; event++) {
        for (int from = 0; from < CONTAINER_STATES; from++) {
            enum container_state to;
            if (!container_state_next((enum container_state)from, (enum event_type)event, &to))
                continue;
            buf_printf(ret, "    %s -> %s [label=\"%s\"];\n", state_names[from], state_names[to],
                       event_types[event].api_name + strlen("container."));
        }
    }
    buf_add_string(ret, "}\n");
}
