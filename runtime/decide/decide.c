/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inputs one by one. The happy path of `container.run`: INPUT_COMMAND emits container.created and asks
 * for a launch; INPUT_LAUNCHED emits container.started, which settles the command; INPUT_EXITED emits
 * container.exited and, with auto_remove, asks for the removal; INPUT_REMOVED emits container.removed.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/decide/core.h"

#define RESTART_DELAY_FIRST_MS 100 /* docker's, as the longest; doubled each time */

void begin_launch(struct core *core, const struct container *container, struct cause *cause_take,
                  struct decision *ret)
{
    struct effect *effect = add_effect(core, ret, EFFECT_LAUNCH, container->id);
    if (effect == NULL)
        return;
    effect->incarnation = container->incarnation + 1;
    effect->command_offset = cause_take->command_offset;
    struct operation *operation = operation_begin(core, container->id, OPERATION_LAUNCH, cause_take);
    if (operation != NULL)
        operation->incarnation = container->incarnation + 1;
}

void begin_remove(struct core *core, const char *container_id, struct cause *cause_take, struct decision *ret)
{
    const struct container *container = node_state_container(&core->state, container_id);
    struct operation *operation = operation_begin(core, container_id, OPERATION_REMOVE, cause_take);
    if (operation == NULL)
        return;
    operation->awaits_execs = container != NULL && container->n_execs > 0;
    if (!operation->awaits_execs)
        add_effect(core, ret, EFFECT_REMOVE, container_id);
}

static bool policy_wants_restart(const struct container *container, bool host_restarted)
{
    const char *policy = container->spec.restart;
    if (policy == NULL || strcmp(policy, "no") == 0)
        return false;
    if (container->stopped_by_user)
        return host_restarted && strcmp(policy, "always") == 0;
    if (strcmp(policy, "on-failure") != 0)
        return true;
    /* an exit code that nobody knows is not a success */
    int64_t max = container->spec.restart_max;
    return container->exit_code != 0 &&
           (max == SCHEMA_ABSENT || max == 0 || container->restart_attempt < max);
}

static int64_t restart_delay_ms(int64_t attempt)
{
    int64_t delay = RESTART_DELAY_FIRST_MS;
    for (int64_t i = 1; i < attempt && delay < RESTART_DELAY_MAX_MS; i++)
        delay *= 2;
    return delay < RESTART_DELAY_MAX_MS ? delay : RESTART_DELAY_MAX_MS;
}

void wait_for_restart(struct core *core, const struct container *container, struct decision *ret)
{
    struct effect *timer = add_effect(core, ret, EFFECT_TIMER, container->id);
    if (timer == NULL)
        return;
    timer->timer = TIMER_RESTART_DUE;
    timer->incarnation = container->incarnation;
    timer->due_ns = container->restart_due_ns;
}

static void begin_restart_wait(struct core *core, const struct container *container, int64_t now_ns,
                               struct decision *ret)
{
    struct event event;
    event_init(&event, EVENT_CONTAINER_RESTARTING);
    struct container_restarting_event *data = &event.data.container_restarting;
    data->attempt = container->restart_attempt + 1;
    data->delay_ms = restart_delay_ms(data->attempt);
    data->due_at = core_time(core, now_ns + data->delay_ms * 1000000);
    struct cause cause = cause_of_container(core, container, ACTOR_RESTART_POLICY);
    emit_take(core, ret, &event, container->id, &cause, OUTCOME_NONE, now_ns);
    cause_release(&cause);
    wait_for_restart(core, container, ret);
}

void remove_at_end(struct core *core, const char *container_id, struct decision *ret)
{
    const struct container *container = node_state_container(&core->state, container_id);
    if (container == NULL || container->state != CONTAINER_EXITED || !container->spec.auto_remove ||
        operation_find(core, container_id) != NULL || container_awaits_exec(core, container_id))
        return;
    struct cause cause = cause_of_container(core, container, ACTOR_RUNTIME);
    begin_remove(core, container_id, &cause, ret);
}

void follow_exit(struct core *core, const char *container_id, bool host_restarted, int64_t now_ns,
                 struct decision *ret)
{
    const struct container *container = node_state_container(&core->state, container_id);
    if (container == NULL || container->state != CONTAINER_EXITED)
        return;
    if (container->spec.auto_remove) {
        remove_at_end(core, container_id, ret);
    } else if (policy_wants_restart(container, host_restarted)) {
        begin_restart_wait(core, container, now_ns, ret);
    }
}

static void step_command(struct core *core, const struct input *input, struct decision *ret)
{
    const struct command *command = input->command.command;
    int64_t offset = input->command.offset;
    if (strcmp(command->envelope.node, core->state.name) != 0) {
        core->failed = core->failed || node_state_skip_offset(&core->state, offset) < 0;
        return;
    }
    int64_t first = command_under_way(core, command->envelope.id);
    if (first >= 0 || node_state_is_answered(&core->state, offset, command->envelope.id)) {
        core->commands_repeated++;
        /* a copy at another offset needs no outcome of its own */
        if (first != offset && node_state_skip_offset(&core->state, offset) < 0)
            core->failed = true;
        return;
    }
    decide_command(core, command, offset, input->now_ns, ret);
}

static void emit_started(struct core *core, const struct host_launched *launched, const struct cause *cause,
                         int64_t now_ns, struct decision *ret)
{
    struct event event;
    event_init(&event, EVENT_CONTAINER_STARTED);
    struct container_started_event *data = &event.data.container_started;
    const struct container *container = node_state_container(&core->state, launched->container_id);
    data->incarnation = launched->incarnation;
    data->health_checked = container != NULL && container->spec.health_command.n > 0;
    if (launched->pid > 0) { /* else its exit record is all that a power cut has left */
        data->pid = launched->pid;
        data->shim_pid = launched->shim_pid;
        data->started_at = core_time(core, launched->started_at_ns);
    }
    emit_take(core, ret, &event, launched->container_id, cause, outcome_for(cause, OUTCOME_OK), now_ns);
}

static void emit_start_failed(struct core *core, const struct host_launched *launched,
                              const struct cause *cause, int64_t now_ns, struct decision *ret)
{
    struct event event;
    event_init(&event, EVENT_CONTAINER_START_FAILED);
    struct container_start_failed_event *data = &event.data.container_start_failed;
    data->incarnation = launched->incarnation;
    data->exit_code = launched->exit_code;
    data->code = core_strdup(core, launched->code);
    data->message = core_strdup(core, launched->message);
    emit_take(core, ret, &event, launched->container_id, cause, outcome_for(cause, OUTCOME_FAILED), now_ns);
}

/* A container that nobody is going to start by hand, because it was to be removed at its end anyway. */
static void remove_if_automatic(struct core *core, const char *container_id, struct decision *ret)
{
    const struct container *container = node_state_container(&core->state, container_id);
    if (container == NULL || !container->spec.auto_remove)
        return;
    struct cause cause = cause_of_container(core, container, ACTOR_RUNTIME);
    begin_remove(core, container_id, &cause, ret);
}

static void step_launched(struct core *core, const struct input *input, struct decision *ret)
{
    const struct host_launched *launched = input->launched;
    struct operation *operation = operation_find(core, launched->container_id);
    if (launched->exec_id[0] != '\0') {
        if (!health_launched(core, input, ret))
            decide_executed(core, input, ret);
        return;
    }
    if (operation == NULL || operation->kind != OPERATION_LAUNCH ||
        operation->incarnation != launched->incarnation)
        return; /* the answer to something that recovery has settled otherwise */
    if (launched->ok) {
        emit_started(core, launched, &operation->cause, input->now_ns, ret);
        health_begin(core, launched->container_id, input->now_ns, ret);
    } else {
        emit_start_failed(core, launched, &operation->cause, input->now_ns, ret);
    }
    bool exited = operation->has_early_exit;
    struct host_exit early_exit = operation->early_exit;
    struct waiting_command *waiting = operation_end(core, operation);
    if (!launched->ok)
        remove_if_automatic(core, launched->container_id, ret);
    if (exited) {
        struct input exit_input = {.kind = INPUT_EXITED, .now_ns = input->now_ns, .exited = &early_exit};
        step_exited(core, &exit_input, ret);
    }
    operation_resume_waiting(core, launched->container_id, waiting, input->now_ns, ret);
}

/* The stop that was asked for is complete: what comes next is of the same command. */
static void finish_stop(struct core *core, struct operation *operation, const struct input *input,
                        struct decision *ret)
{
    const struct host_exit *exit = input->exited;
    enum operation_then then = operation->then;
    struct cause cause = operation->cause;
    operation->cause = (struct cause){.command_offset = -1};
    enum outcome outcome = then == THEN_NOTHING ? outcome_for(&cause, OUTCOME_OK) : OUTCOME_NONE;
    struct waiting_command *waiting = operation_end(core, operation);
    emit_exited(core, ret, exit, &cause, outcome, input->now_ns);
    const struct container *container = node_state_container(&core->state, exit->container_id);
    if (container == NULL)
        core->failed = true;
    else if (then == THEN_LAUNCH)
        begin_launch(core, container, &cause, ret);
    else if (then == THEN_REMOVE)
        begin_remove(core, container->id, &cause, ret);
    else
        follow_exit(core, container->id, false, input->now_ns, ret);
    cause_release(&cause);
    operation_resume_waiting(core, exit->container_id, waiting, input->now_ns, ret);
}

/* The exit is told behind the answer: it came to something that the log does not have yet. */
static bool waits_for_answer(const struct operation *operation)
{
    return operation->kind == OPERATION_LAUNCH || operation->kind == OPERATION_ADJUST ||
           operation->kind == OPERATION_EXEC;
}

void step_exited(struct core *core, const struct input *input, struct decision *ret)
{
    const struct host_exit *exit = input->exited;
    const struct container *container = node_state_container(&core->state, exit->container_id);
    struct operation *operation = operation_find(core, exit->container_id);
    if (exit->exec_id[0] != '\0') {
        if (!health_exited(core, input, ret))
            decide_exec_exited(core, input, ret);
        return;
    }
    if (operation != NULL && waits_for_answer(operation) && operation->incarnation == exit->incarnation) {
        operation->has_early_exit = true;
        operation->early_exit = *exit;
        return;
    }
    if (container == NULL || !container_state_is_running(container->state) ||
        container->incarnation != exit->incarnation)
        return; /* recorded before */
    health_end(core, exit->container_id);
    if (operation != NULL && operation->kind == OPERATION_STOP) {
        finish_stop(core, operation, input, ret);
        return;
    }
    struct cause cause = cause_of_container(core, container, ACTOR_RUNTIME);
    emit_exited(core, ret, exit, &cause, OUTCOME_NONE, input->now_ns);
    cause_release(&cause);
    follow_exit(core, exit->container_id, false, input->now_ns, ret);
}

static void step_signaled(struct core *core, const struct input *input, struct decision *ret)
{
    const struct effect *effect = input->signaled.effect;
    const struct container *container = node_state_container(&core->state, effect->container_id);
    if (effect->cause == NULL)
        return; /* a stop's signal, or a late check's: the exit is what counts */
    bool sent = input->signaled.ok && container != NULL && container_state_is_running(container->state);
    if (sent && effect->thaws && container->state == CONTAINER_PAUSED)
        emit_paused(core, ret, container->id, false, effect->cause, OUTCOME_NONE, input->now_ns);
    if (sent)
        emit_signaled(core, ret, effect->container_id, effect->signal, effect->cause, OUTCOME_OK,
                      input->now_ns);
    else
        emit_refused(core, ret, effect->container_id, effect->cause, input->now_ns, "not-running",
                     "container '%s' is not running",
                     container != NULL ? container->name : effect->container_id);
}

static void step_removed(struct core *core, const struct input *input, struct decision *ret)
{
    const char *id = input->removed.container_id;
    struct operation *operation = operation_find(core, id);
    const struct container *container = node_state_container(&core->state, id);
    if (operation == NULL || operation->kind != OPERATION_REMOVE || container == NULL)
        return; /* an orphan's removal */
    if (input->removed.err != NULL && operation->cause.command_offset >= 0) {
        emit_failed(core, ret, id, &operation->cause, input->now_ns, "remove-failed",
                    input->removed.err->message);
    } else if (input->removed.err == NULL) {
        struct event event;
        event_init(&event, EVENT_CONTAINER_REMOVED);
        event.data.container_removed.name = core_strdup(core, container->name);
        event.data.container_removed.volumes =
            (container->spec.auto_remove || operation->cause.with_volumes) && volumes_are_owned(container);
        char *digest = core_strdup(core, container->image_digest);
        emit_take(core, ret, &event, id, &operation->cause, outcome_for(&operation->cause, OUTCOME_OK),
                  input->now_ns);
        if (digest != NULL)
            collect_image(core, digest, ret);
        free(digest);
        volumes_remove_doomed(core, &operation->cause, ret);
    }
    struct waiting_command *waiting = operation_end(core, operation);
    operation_resume_waiting(core, id, waiting, input->now_ns, ret);
}

static void step_timer(struct core *core, const struct input *input, struct decision *ret)
{
    const char *id = input->timer.container_id;
    if (input->timer.kind == TIMER_COLLECT) {
        collect_due(core, ret);
        return;
    }
    if (input->timer.kind == TIMER_HEALTH || input->timer.kind == TIMER_HEALTH_LATE) {
        health_timer(core, input, ret);
        return;
    }
    const struct container *container = node_state_container(&core->state, id);
    struct operation *operation = operation_find(core, id);
    if (container == NULL || container->incarnation != input->timer.incarnation)
        return;
    if (input->timer.kind == TIMER_RESTART_DUE) {
        if (container->state != CONTAINER_RESTARTING || operation != NULL)
            return;
        struct cause cause = cause_of_container(core, container, ACTOR_RESTART_POLICY);
        begin_launch(core, container, &cause, ret);
    } else if (operation != NULL && operation->kind == OPERATION_STOP) {
        emit_signaled(core, ret, id, SIGKILL, &operation->cause, OUTCOME_NONE, input->now_ns);
        struct effect *effect = add_effect(core, ret, EFFECT_SIGNAL, id);
        if (effect != NULL) {
            effect->incarnation = container->incarnation;
            effect->signal = SIGKILL;
            effect->thaws = true;
        }
    }
}

static void step_parked(struct core *core, const struct input *input, struct decision *ret)
{
    if (node_state_is_answered(&core->state, input->parked.offset, ""))
        return;
    struct event event;
    event_init(&event, EVENT_NODE_RECORD_PARKED);
    struct node_record_parked_event *data = &event.data.node_record_parked;
    data->topic = core_strdup(core, "wharf.commands");
    data->partition = core->state.partition;
    data->offset = input->parked.offset;
    data->reason = core_strdup(core, input->parked.reason);
    struct cause cause = {.command_offset = -1};
    emit_take(core, ret, &event, core->state.name, &cause, OUTCOME_NONE, input->now_ns);
}

void core_step(struct core *core, const struct input *input, struct decision *ret)
{
    switch (input->kind) {
    case INPUT_COMMAND:
        step_command(core, input, ret);
        break;
    case INPUT_PARKED:
        step_parked(core, input, ret);
        break;
    case INPUT_SKIPPED:
        core->failed = core->failed || node_state_skip_offset(&core->state, input->skipped.offset) < 0;
        break;
    case INPUT_LAUNCHED:
        step_launched(core, input, ret);
        break;
    case INPUT_SIGNALED:
        step_signaled(core, input, ret);
        break;
    case INPUT_EXITED:
        step_exited(core, input, ret);
        break;
    case INPUT_REMOVED:
        step_removed(core, input, ret);
        break;
    case INPUT_ADJUSTED:
        decide_adjusted(core, input, ret);
        break;
    case INPUT_TIMER:
        step_timer(core, input, ret);
        break;
    case INPUT_IMPORTED:
        decide_imported(core, input, ret);
        break;
    case INPUT_VOLUME_REMOVED:
        decide_volume_removed(core, input, ret);
        break;
    case INPUT_ACCESSED:
        decide_accessed(core, input, ret);
        break;
    case INPUT_IMAGE_DELETED:
        collect_deleted(core, ret);
        break;
    }
    destroy_unclaimed(core, input->now_ns, ret);
}

int64_t core_commands_from(const struct core *core)
{
    return core->state.answered_through + 1;
}
