/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pausing, renaming and updating. What the kernel has to do first is done first, and becomes an event when it
 * is done; a crash in between is seen by the next start, and the command is decided again.
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/decide/core.h"

void update_free(struct container_updated_event *update)
{
    if (update != NULL)
        schema_release(event_types[EVENT_CONTAINER_UPDATED].schema(), update);
    free(update);
}

static struct container_updated_event *update_copy(struct core *core,
                                                   const struct container_updated_event *from)
{
    struct container_updated_event *copy = calloc(1, sizeof(*copy));
    if (copy != NULL && schema_copy(event_types[EVENT_CONTAINER_UPDATED].schema(), copy, from) == 0)
        return copy;
    free(copy);
    core->failed = true;
    return NULL;
}

void emit_paused(struct core *core, struct decision *ret, const char *container_id, bool paused,
                 const struct cause *cause, enum outcome outcome, int64_t now_ns)
{
    struct event event;
    event_init(&event, paused ? EVENT_CONTAINER_PAUSED : EVENT_CONTAINER_UNPAUSED);
    emit_take(core, ret, &event, container_id, cause, outcome, now_ns);
    if (!paused)
        health_unpaused(core, container_id, now_ns, ret);
}

/* The operation owns a copy of the update of its own. */
static void begin_adjust(struct core *core, const struct container *container, enum host_adjustment kind,
                         const struct container_updated_event *update, struct cause *cause_take,
                         struct decision *ret)
{
    struct effect *effect = add_effect(core, ret, EFFECT_ADJUST, container->id);
    if (effect == NULL)
        return;
    effect->incarnation = container->incarnation;
    effect->adjustment = kind;
    effect->update = update != NULL ? update_copy(core, update) : NULL;
    struct operation *operation = operation_begin(core, container->id, OPERATION_ADJUST, cause_take);
    if (operation == NULL)
        return;
    operation->incarnation = container->incarnation;
    operation->update = update != NULL ? update_copy(core, update) : NULL;
}

void decide_pause(struct core *core, const struct container *container, bool pause, struct cause *cause,
                  int64_t now_ns, struct decision *ret)
{
    bool is_paused = container->state == CONTAINER_PAUSED;
    if (!container_state_is_running(container->state))
        emit_refused(core, ret, container->id, cause, now_ns, "not-running", "container '%s' is not running",
                     container->name);
    else if (container->state == CONTAINER_STOPPING)
        emit_refused(core, ret, container->id, cause, now_ns, "stopping", "container '%s' is being stopped",
                     container->name);
    else if (is_paused == pause)
        emit_done(core, ret, container->id, cause, now_ns,
                  pause ? "the container was paused already" : "the container was not paused");
    else
        begin_adjust(core, container, pause ? HOST_PAUSE : HOST_UNPAUSE, NULL, cause, ret);
}

void decide_rename(struct core *core, const struct container *container, const char *name,
                   const struct cause *cause, int64_t now_ns, struct decision *ret)
{
    const struct container *other = node_state_by_name(&core->state, name);
    if (other == container) {
        emit_done(core, ret, container->id, cause, now_ns, "the container had that name already");
        return;
    }
    if (other != NULL) {
        emit_refused(core, ret, container->id, cause, now_ns, "duplicate-name",
                     "the name '%s' is taken by container '%.12s': remove it or choose another name", name,
                     other->id);
        return;
    }
    struct event event;
    event_init(&event, EVENT_CONTAINER_RENAMED);
    event.data.container_renamed.name = core_strdup(core, name);
    event.data.container_renamed.before = core_strdup(core, container->name);
    emit_take(core, ret, &event, container->id, cause, OUTCOME_OK, now_ns);
}

static void emit_updated(struct core *core, struct decision *ret, const char *container_id,
                         const struct container_updated_event *update, const struct cause *cause,
                         int64_t now_ns)
{
    struct event event;
    event_init(&event, EVENT_CONTAINER_UPDATED);
    schema_release(event_types[EVENT_CONTAINER_UPDATED].schema(), &event.data.container_updated);
    if (schema_copy(event_types[EVENT_CONTAINER_UPDATED].schema(), &event.data.container_updated, update) < 0)
        core->failed = true;
    emit_take(core, ret, &event, container_id, cause, OUTCOME_OK, now_ns);
}

/* The same fields from the command to the event; the text is borrowed. */
static struct container_updated_event asked_update(const struct container_update_command *asked)
{
    return (struct container_updated_event){
        .memory = asked->memory,
        .memory_swap = asked->memory_swap,
        .memory_reservation = asked->memory_reservation,
        .cpu_millis = asked->cpu_millis,
        .cpu_shares = asked->cpu_shares,
        .pids_limit = asked->pids_limit,
        .restart = asked->restart,
        .restart_max = asked->restart_max,
    };
}

static bool changes_limits(const struct container_updated_event *update)
{
    return update->memory != SCHEMA_ABSENT || update->memory_swap != SCHEMA_ABSENT ||
           update->memory_reservation != SCHEMA_ABSENT || update->cpu_millis != SCHEMA_ABSENT ||
           update->cpu_shares != SCHEMA_ABSENT || update->pids_limit != SCHEMA_ABSENT;
}

/* Why the container cannot become what the update makes of it; NULL if it can. */
static const char *find_conflict(struct core *core, const struct container *container,
                                 const struct container_updated_event *update)
{
    struct container_spec spec;
    const char *conflict = NULL;
    if (schema_copy(&container_spec_schema, &spec, &container->spec) < 0) {
        core->failed = true;
        return NULL;
    }
    if (container_spec_update(&spec, update) < 0)
        core->failed = true;
    else if (spec.auto_remove && update->restart != NULL && strcmp(update->restart, "no") != 0)
        conflict = "a container that is removed when it has exited cannot be restarted";
    else
        conflict = container_spec_conflict(&spec);
    schema_release(&container_spec_schema, &spec);
    return conflict;
}

void decide_update(struct core *core, const struct container *container,
                   const struct container_update_command *asked, struct cause *cause, int64_t now_ns,
                   struct decision *ret)
{
    const struct container_updated_event update = asked_update(asked);
    bool nothing = !changes_limits(&update) && update.restart == NULL && update.restart_max == SCHEMA_ABSENT;
    const char *conflict = find_conflict(core, container, &update);
    if (nothing)
        emit_refused(core, ret, container->id, cause, now_ns, "nothing-to-update",
                     "the command says nothing that is to change of container '%s'", container->name);
    else if (conflict != NULL)
        emit_refused(core, ret, container->id, cause, now_ns, "bad-limits", "container '%s': %s",
                     container->name, conflict);
    else if (container_state_is_running(container->state) && changes_limits(&update))
        begin_adjust(core, container, HOST_LIMIT, &update, cause, ret);
    else
        emit_updated(core, ret, container->id, &update, cause, now_ns);
}

/* A container that has ended meanwhile was not paused; but limits hold for its next start. */
static void settle(struct core *core, const struct container *container, const struct operation *operation,
                   const struct input *input, bool ended, struct decision *ret)
{
    const struct err *err = input->adjusted.err;
    const struct cause *cause = &operation->cause;
    ended = ended || (err != NULL && err->code == ERR_NOT_FOUND);
    if (operation->update != NULL && (err == NULL || ended))
        emit_updated(core, ret, container->id, operation->update, cause, input->now_ns);
    else if (ended)
        emit_refused(core, ret, container->id, cause, input->now_ns, "not-running",
                     "container '%s' is not running", container->name);
    else if (err != NULL)
        emit_failed(core, ret, container->id, cause, input->now_ns, "not-adjusted", err->message);
    else
        emit_paused(core, ret, container->id, container->state != CONTAINER_PAUSED, cause, OUTCOME_OK,
                    input->now_ns);
}

void decide_adjusted(struct core *core, const struct input *input, struct decision *ret)
{
    char id[CONTAINER_ID_SIZE];
    struct operation *operation = operation_find(core, input->adjusted.container_id);
    const struct container *container = node_state_container(&core->state, input->adjusted.container_id);
    if (operation == NULL || operation->kind != OPERATION_ADJUST || container == NULL)
        return;
    memcpy(id, container->id, sizeof(id));
    bool exited = operation->has_early_exit;
    struct host_exit early_exit = operation->early_exit;
    settle(core, container, operation, input, exited, ret);
    struct waiting_command *waiting = operation_end(core, operation);
    if (exited) {
        struct input exit_input = {.kind = INPUT_EXITED, .now_ns = input->now_ns, .exited = &early_exit};
        step_exited(core, &exit_input, ret);
    }
    operation_resume_waiting(core, id, waiting, input->now_ns, ret);
}
