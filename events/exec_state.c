/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that were executed in containers besides the containers' own, as part of the node's fold. */
#define HASH_NONFATAL_OOM 1
#include <stdlib.h>
#include <string.h>

#include "events/node_state.h"

struct exec *node_state_exec(const struct node_state *state, const char *id)
{
    struct exec *found = NULL;
    HASH_FIND_STR(state->execs, id, found);
    return found;
}

int node_state_add_exec_take(struct node_state *state, struct exec *exec)
{
    struct container *container = node_state_container(state, exec->container_id);
    HASH_ADD_STR(state->execs, id, exec);
    if (exec->hh.tbl == NULL) {
        free(exec);
        return -1;
    }
    container->n_execs++;
    return 0;
}

static void exec_drop(struct node_state *state, struct exec *exec)
{
    HASH_DEL(state->execs, exec);
    free(exec);
}

void execs_release(struct node_state *state, const struct container *container)
{
    struct exec *exec, *next;
    if (container != NULL && container->n_execs == 0)
        return;
    HASH_ITER(hh, state->execs, exec, next)
    if (container == NULL || strcmp(exec->container_id, container->id) == 0)
        exec_drop(state, exec);
}

/* One that is known keeps its start, and the end of one that is not known, since the record of its start is
 * damaged, is the end of nothing. Both are legal all the same, for the read model, which knows no execs,
 * counts them as events of the container. */
enum apply_result apply_exec_started(struct node_state *state, struct container *container,
                                     const struct event *event)
{
    const struct container_exec_started_event *data = &event->data.container_exec_started;
    if (node_state_exec(state, data->exec) != NULL)
        return APPLY_DONE;
    struct exec *exec = calloc(1, sizeof(*exec));
    if (exec == NULL)
        return APPLY_NOMEM;
    memcpy(exec->id, data->exec, sizeof(exec->id)); /* check_sha256 has seen it */
    memcpy(exec->container_id, container->id, sizeof(exec->container_id));
    exec->incarnation = data->incarnation;
    exec->boot = state->boots;
    exec->pid = data->pid != SCHEMA_ABSENT ? data->pid : 0;
    exec->shim_pid = data->shim_pid != SCHEMA_ABSENT ? data->shim_pid : 0;
    exec->attach = data->attach;
    exec->interactive = data->interactive;
    exec->tty = data->tty;
    memcpy(exec->started_event_id, event->envelope.id, sizeof(exec->started_event_id));
    memcpy(exec->correlationid, event->envelope.correlationid, sizeof(exec->correlationid));
    return node_state_add_exec_take(state, exec) < 0 ? APPLY_NOMEM : APPLY_DONE;
}

enum apply_result apply_exec_exited(struct node_state *state, struct container *container,
                                    const struct event *event)
{
    struct exec *exec = node_state_exec(state, event->data.container_exec_exited.exec);
    if (exec != NULL && strcmp(exec->container_id, container->id) == 0) {
        exec_drop(state, exec);
        container->n_execs--;
    }
    return APPLY_DONE;
}
