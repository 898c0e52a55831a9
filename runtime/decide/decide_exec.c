/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One more command in a running container. Executing it is an operation of the container, so that it is
 * ordered with starts, stops and pauses; running is not, so any number of them run side by side. Each ends by
 * itself or with its container, and the container's removal waits for the ends, so that none is lost.
 */
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "runtime/decide/core.h"

static const struct schema *exec_schema(void)
{
    return command_types[COMMAND_CONTAINER_EXEC].schema();
}

void exec_command_free(struct container_exec_command *exec)
{
    if (exec != NULL)
        schema_release(exec_schema(), exec);
    free(exec);
}

static struct container_exec_command *exec_command_copy(struct core *core,
                                                        const struct container_exec_command *from)
{
    struct container_exec_command *copy = calloc(1, sizeof(*copy));
    if (copy != NULL && schema_copy(exec_schema(), copy, from) == 0)
        return copy;
    free(copy);
    core->failed = true;
    return NULL;
}

static void begin_exec(struct core *core, const struct container *container, const char *exec_id,
                       const struct container_exec_command *asked, struct cause *cause_take,
                       struct decision *ret)
{
    struct effect *effect = add_effect(core, ret, EFFECT_EXEC, container->id);
    if (effect == NULL)
        return;
    effect->incarnation = container->incarnation;
    effect->command_offset = cause_take->command_offset;
    effect->exec = exec_command_copy(core, asked);
    memcpy(effect->exec_id, exec_id, sizeof(effect->exec_id));
    struct operation *operation = operation_begin(core, container->id, OPERATION_EXEC, cause_take);
    if (operation == NULL)
        return;
    operation->incarnation = container->incarnation;
    operation->exec = exec_command_copy(core, asked);
    memcpy(operation->exec_id, exec_id, sizeof(operation->exec_id));
}

/* True if it was refused. */
static bool refuse_exec(struct core *core, const struct container *container, const struct cause *cause,
                        int64_t now_ns, struct decision *ret)
{
    const char *id = container->id, *name = container->name;
    if (!container_state_is_running(container->state))
        emit_refused(core, ret, id, cause, now_ns, "not-running", "container '%s' is not running", name);
    else if (container->state == CONTAINER_STOPPING)
        emit_refused(core, ret, id, cause, now_ns, "stopping", "container '%s' is being stopped", name);
    else if (container->state == CONTAINER_PAUSED)
        emit_refused(core, ret, id, cause, now_ns, "paused", "container '%s' is paused: unpause it", name);
    else
        return false;
    return true;
}

void decide_exec(struct core *core, const struct container *container, const struct command *command,
                 struct cause *cause, int64_t now_ns, struct decision *ret)
{
    const struct container_exec_command *asked = &command->data.container_exec;
    char exec_id[CONTAINER_ID_SIZE];
    container_id_from_command(exec_id, command->envelope.id);
    /* what was started has happened, whatever has become of the container */
    if (exec_was_started(core, command) || !refuse_exec(core, container, cause, now_ns, ret))
        begin_exec(core, container, exec_id, asked, cause, ret);
}

static void emit_exec_started(struct core *core, const struct operation *operation,
                              const struct host_launched *launched, int64_t now_ns, struct decision *ret)
{
    const struct container_exec_command *asked = operation->exec;
    struct event event;
    event_init(&event, EVENT_CONTAINER_EXEC_STARTED);
    struct container_exec_started_event *data = &event.data.container_exec_started;
    data->exec = core_strdup(core, operation->exec_id);
    data->incarnation = launched->incarnation; /* an earlier one's, if its answer was lost in a crash */
    if (launched->pid > 0) {                   /* else its exit record is all that a power cut has left */
        data->pid = launched->pid;
        data->shim_pid = launched->shim_pid;
        data->started_at = core_time(core, launched->started_at_ns);
    }
    data->user = core_strdup(core, asked->user);
    data->workdir = core_strdup(core, asked->workdir);
    data->privileged = asked->privileged;
    data->attach = asked->attach;
    data->interactive = asked->interactive;
    data->tty = asked->tty;
    if (strings_copy(&data->command, &asked->command) < 0)
        core->failed = true;
    emit_take(core, ret, &event, operation->container_id, &operation->cause, OUTCOME_OK, now_ns);
}

static void emit_exec_failed(struct core *core, const struct operation *operation,
                             const struct host_launched *launched, int64_t now_ns, struct decision *ret)
{
    struct event event;
    event_init(&event, EVENT_CONTAINER_EXEC_FAILED);
    struct container_exec_failed_event *data = &event.data.container_exec_failed;
    data->exec = core_strdup(core, operation->exec_id);
    data->exit_code = launched->exit_code;
    data->code = core_strdup(core, launched->code);
    data->message = core_strdup(core, launched->message);
    if (strings_copy(&data->command, &operation->exec->command) < 0)
        core->failed = true;
    emit_take(core, ret, &event, operation->container_id, &operation->cause, OUTCOME_FAILED, now_ns);
}

void decide_executed(struct core *core, const struct input *input, struct decision *ret)
{
    const struct host_launched *launched = input->launched;
    char id[CONTAINER_ID_SIZE];
    struct operation *operation = operation_find(core, launched->container_id);
    if (operation == NULL || operation->kind != OPERATION_EXEC || operation->exec == NULL ||
        strcmp(operation->exec_id, launched->exec_id) != 0)
        return; /* the answer to something that recovery has settled otherwise */
    memcpy(id, operation->container_id, sizeof(id));
    if (launched->ok)
        emit_exec_started(core, operation, launched, input->now_ns, ret);
    else
        emit_exec_failed(core, operation, launched, input->now_ns, ret);
    bool exited = operation->has_early_exit;
    struct host_exit early_exit = operation->early_exit;
    struct waiting_command *waiting = operation_end(core, operation);
    if (exited) {
        struct input exit_input = {.kind = INPUT_EXITED, .now_ns = input->now_ns, .exited = &early_exit};
        step_exited(core, &exit_input, ret);
    }
    operation_resume_waiting(core, id, waiting, input->now_ns, ret);
}

/* It was started by the event that its end names, and its story goes on. */
static struct cause cause_of_exec(struct core *core, const struct exec *exec, const char *actor)
{
    struct cause cause = {.command_offset = -1, .actor = core_strdup(core, actor)};
    memcpy(cause.causationid, exec->started_event_id, sizeof(cause.causationid));
    memcpy(cause.correlationid, exec->correlationid, sizeof(cause.correlationid));
    return cause;
}

static void fill_exited(struct core *core, struct container_exec_exited_event *data, const struct exec *exec,
                        const struct host_exit *exit)
{
    data->exec = core_strdup(core, exec->id);
    data->incarnation = exec->incarnation;
    data->reason = core_strdup(core, exit->reason);
    data->exit_code = exit->exit_code >= 0 ? exit->exit_code : SCHEMA_ABSENT;
    data->oom_killed = exit->oom_killed;
    if (exit->signal > 0)
        data->signal = core_signal_name(core, exit->signal);
    if (exit->finished_at_ns > 0)
        data->finished_at = core_time(core, exit->finished_at_ns);
    if (exit->observed[0] != '\0')
        data->observed = core_strdup(core, exit->observed);
}

/* The removal that waited for the last of them. */
static void resume_removal(struct core *core, const char *container_id, struct decision *ret)
{
    const struct container *container = node_state_container(&core->state, container_id);
    struct operation *operation = operation_find(core, container_id);
    if (operation == NULL || !operation->awaits_execs || (container != NULL && container->n_execs > 0))
        return;
    operation->awaits_execs = false;
    add_effect(core, ret, EFFECT_REMOVE, container_id);
}

void emit_exec_exited(struct core *core, struct decision *ret, const struct exec *exec,
                      const struct host_exit *exit, const char *actor, int64_t now_ns)
{
    char id[CONTAINER_ID_SIZE], exec_id[CONTAINER_ID_SIZE];
    struct event event;
    event_init(&event, EVENT_CONTAINER_EXEC_EXITED);
    memcpy(id, exec->container_id, sizeof(id));
    memcpy(exec_id, exec->id, sizeof(exec_id));
    struct cause cause = cause_of_exec(core, exec, actor);
    fill_exited(core, &event.data.container_exec_exited, exec, exit);
    emit_take(core, ret, &event, id, &cause, OUTCOME_NONE, now_ns);
    cause_release(&cause);
    struct effect *effect = add_effect(core, ret, EFFECT_REMOVE, id);
    if (effect != NULL)
        memcpy(effect->exec_id, exec_id, sizeof(effect->exec_id));
    resume_removal(core, id, ret);
}

void decide_exec_exited(struct core *core, const struct input *input, struct decision *ret)
{
    const struct exec *exec = node_state_exec(&core->state, input->exited->exec_id);
    if (exec == NULL)
        return; /* recorded before */
    emit_exec_exited(core, ret, exec, input->exited, ACTOR_RUNTIME, input->now_ns);
}
