/* SPDX-License-Identifier: Apache-2.0 */
/* What each command leads to: a refusal, an event at once, or an operation with its effects. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/decide/core.h"

#define DEFAULT_STOP_TIMEOUT_S 10 /* docker's */

/* The command at hand. */
struct deciding {
    struct core *core;
    const struct command *command;
    struct cause cause;
    int64_t offset;
    int64_t now_ns;
    struct decision *ret;
};

#define REFUSE(d, subject, code, ...)                                                                        \
    emit_refused((d)->core, (d)->ret, subject, &(d)->cause, (d)->now_ns, code, __VA_ARGS__)

static int stop_signal_of(const struct container *container, const char *asked)
{
    if (asked != NULL)
        return signal_by_name(asked);
    return container->spec.stop_signal != NULL ? signal_by_name(container->spec.stop_signal) : SIGTERM;
}

static void emit_created(struct deciding *d, const char *name, const struct image *image,
                         enum outcome outcome)
{
    struct event event;
    event_init(&event, EVENT_CONTAINER_CREATED);
    struct container_created_event *data = &event.data.container_created;
    data->name = core_strdup(d->core, name);
    data->image_digest = core_strdup(d->core, image->digest);
    if (resolve_spec(&data->spec, &d->command->data.spec, image) < 0)
        d->core->failed = true;
    volumes_name(d->core, &data->spec, d->command->envelope.subject);
    sharing_resolve(d->core, &data->spec);
    id_range_give(d->core, &data->spec);
    if (!d->core->failed)
        volumes_make(d->core, &data->spec, &d->cause, d->now_ns, d->ret);
    emit_take(d->core, d->ret, &event, d->command->envelope.subject, &d->cause, outcome, d->now_ns);
}

/* By the same rules as resolve_spec: an entrypoint given drops the image's command, and one empty string
 * clears it. */
static bool says_what_to_run(const struct container_spec *spec, const struct image *image)
{
    if (spec->command.n > 0)
        return true;
    if (spec->entrypoint.n > 0)
        return !strings_say_none(&spec->entrypoint);
    return image->config.command.n > 0 || image->config.entrypoint.n > 0;
}

/* How its health is checked is said, but neither it nor the image says by what. */
static bool lacks_health_command(const struct container_spec *spec, const struct image *image)
{
    bool detailed = spec->health_interval_ms != SCHEMA_ABSENT || spec->health_timeout_ms != SCHEMA_ABSENT ||
                    spec->health_start_period_ms != SCHEMA_ABSENT ||
                    spec->health_start_interval_ms != SCHEMA_ABSENT || spec->health_retries != SCHEMA_ABSENT;
    return detailed && spec->health_command.n == 0 && image->config.health_command.n == 0;
}

/* What is asked for and what the image adds to it do not fit into an event. */
static bool is_too_large(const struct container_spec *spec, const struct image *image)
{
    struct container_spec whole;
    if (schema_fits(&container_spec_schema, spec, MESSAGE_DATA_LIMIT / 2) &&
        schema_fits(&image_config_schema, &image->config, MESSAGE_DATA_LIMIT / 2))
        return false;
    if (resolve_spec(&whole, spec, image) < 0)
        return true;
    bool fits = schema_fits(&container_spec_schema, &whole, MESSAGE_DATA_LIMIT);
    schema_release(&container_spec_schema, &whole);
    return !fits;
}

/* Everything that can be wrong with a new container before it exists. True if it was refused. */
static bool refuse_create(struct deciding *d, const struct image *image, const char *name)
{
    struct err why = ERR_INIT;
    const char *code;
    const struct container_spec *spec = &d->command->data.spec;
    const char *id = d->command->envelope.subject;
    if (id == NULL || !container_id_is_valid(id))
        REFUSE(d, id != NULL ? id : "", "bad-container-id",
               "the command names no container id of 64 hex digits");
    else if (node_state_container(&d->core->state, id) != NULL)
        REFUSE(d, id, "duplicate-id", "a container with the id '%s' exists already", id);
    else if (image == NULL)
        REFUSE(d, id, "unknown-image", "no image '%s' on node '%s': import it with 'wharf import'",
               spec->image, d->core->state.name);
    else if (node_state_by_name(&d->core->state, name) != NULL)
        REFUSE(d, id, "duplicate-name",
               "the name '%s' is taken by container '%.12s': remove it or choose another name", name,
               node_state_by_name(&d->core->state, name)->id);
    else if (container_spec_conflict(spec) != NULL)
        REFUSE(d, id, "bad-spec", "%s", container_spec_conflict(spec));
    else if (lacks_health_command(spec, image))
        REFUSE(d, id, "bad-spec", "how its health is checked is said, but not by what command");
    else if (is_too_large(spec, image))
        REFUSE(d, id, "spec-too-large",
               "what is asked for and what the image '%s' adds to it are more than %d bytes", spec->image,
               MESSAGE_DATA_LIMIT);
    else if (volume_that_goes(d->core, spec) != NULL)
        REFUSE(d, id, "volume-going", "the volume '%s' is being removed: try again when it is gone",
               volume_that_goes(d->core, spec));
    else if ((code = id_range_refusal(d->core, spec, &why)) != NULL ||
             (code = sharing_refusal(d->core, spec, d->command->type == COMMAND_CONTAINER_RUN, &why)) != NULL)
        REFUSE(d, id, code, "%s", why.message);
    else if (!says_what_to_run(spec, image))
        REFUSE(d, id, "no-command", "neither the command line nor the image '%s' says what to run",
               spec->image);
    else
        return false;
    return true;
}

/* True when this very command has created the container already, before a crash: it goes on from there. */
static bool is_own_creation(const struct deciding *d)
{
    const char *id = d->command->envelope.subject;
    const struct container *container = id != NULL ? node_state_container(&d->core->state, id) : NULL;
    return container != NULL && strcmp(container->created_by, d->command->envelope.id) == 0;
}

static void decide_create(struct deciding *d)
{
    const struct container_spec *spec = &d->command->data.spec;
    const char *id = d->command->envelope.subject;
    const struct image *image = node_state_image(&d->core->state, spec->image);
    char made[160] = "";
    if (spec->name == NULL && id != NULL)
        container_name_make(&d->core->state, id, made, sizeof(made));
    const char *name = spec->name != NULL ? spec->name : made;
    bool run = d->command->type == COMMAND_CONTAINER_RUN;
    if (!is_own_creation(d) && refuse_create(d, image, name))
        return;
    if (!is_own_creation(d))
        emit_created(d, name, image, run ? OUTCOME_NONE : OUTCOME_OK);
    const struct container *container = node_state_container(&d->core->state, id);
    if (run && container != NULL)
        begin_launch(d->core, container, &d->cause, d->ret);
}

static void cancel_restart(struct deciding *d, const char *container_id, enum outcome outcome)
{
    struct event event;
    event_init(&event, EVENT_CONTAINER_RESTART_CANCELED);
    emit_take(d->core, d->ret, &event, container_id, &d->cause, outcome, d->now_ns);
}

/* Starts a container that is not running; one that waits for its restart policy waits no longer. */
static void launch_now(struct deciding *d, const struct container *container)
{
    struct err why = ERR_INIT;
    const char *code = sharing_refusal(d->core, &container->spec, true, &why);
    if (code != NULL) {
        REFUSE(d, container->id, code, "%s", why.message);
        return;
    }
    if (container->state == CONTAINER_RESTARTING)
        cancel_restart(d, container->id, OUTCOME_NONE);
    begin_launch(d->core, container, &d->cause, d->ret);
}

static void decide_start(struct deciding *d, const struct container *container)
{
    if (container->state == CONTAINER_PAUSED)
        REFUSE(d, container->id, "paused", "container '%s' is paused: unpause it", container->name);
    else if (container_state_is_running(container->state))
        emit_done(d->core, d->ret, container->id, &d->cause, d->now_ns, "the container was running");
    else
        launch_now(d, container);
}

static void add_signal(struct deciding *d, const char *container_id, int64_t incarnation, int signal)
{
    struct effect *effect = add_effect(d->core, d->ret, EFFECT_SIGNAL, container_id);
    if (effect == NULL)
        return;
    effect->incarnation = incarnation;
    effect->signal = signal;
    effect->thaws = true;
}

static void add_deadline(struct deciding *d, const char *container_id, int64_t incarnation, int64_t timeout_s)
{
    struct effect *effect = add_effect(d->core, d->ret, EFFECT_TIMER, container_id);
    if (effect == NULL)
        return;
    effect->timer = TIMER_STOP_DEADLINE;
    effect->incarnation = incarnation;
    effect->due_ns = d->now_ns + timeout_s * 1000000000LL;
}

/* Asks a running container to end and waits for its exit. */
static void begin_stop(struct deciding *d, const struct container *container, int signal, int64_t timeout_s,
                       enum operation_then then)
{
    struct event event;
    event_init(&event, EVENT_CONTAINER_STOPPING);
    event.data.container_stopping.signal = core_signal_name(d->core, signal);
    event.data.container_stopping.timeout_s = timeout_s;
    emit_take(d->core, d->ret, &event, container->id, &d->cause, OUTCOME_NONE, d->now_ns);
    add_signal(d, container->id, container->incarnation, signal);
    if (signal != SIGKILL)
        add_deadline(d, container->id, container->incarnation, timeout_s);
    struct operation *operation = operation_begin(d->core, container->id, OPERATION_STOP, &d->cause);
    if (operation != NULL) {
        operation->then = then;
        operation->incarnation = container->incarnation;
    }
}

static int64_t stop_timeout_of(const struct container *container, int64_t asked_s)
{
    if (asked_s != SCHEMA_ABSENT)
        return asked_s;
    return container->spec.stop_timeout_s != SCHEMA_ABSENT ? container->spec.stop_timeout_s
                                                           : DEFAULT_STOP_TIMEOUT_S;
}

static void decide_stop(struct deciding *d, const struct container *container)
{
    const struct container_stop_command *asked = &d->command->data.container_stop;
    if (container_state_is_running(container->state))
        begin_stop(d, container, stop_signal_of(container, asked->signal),
                   stop_timeout_of(container, asked->timeout_s), THEN_NOTHING);
    else if (container->state == CONTAINER_RESTARTING)
        cancel_restart(d, container->id, OUTCOME_OK);
    else
        emit_done(d->core, d->ret, container->id, &d->cause, d->now_ns, "the container was not running");
}

static void decide_restart(struct deciding *d, const struct container *container)
{
    const struct container_restart_command *asked = &d->command->data.container_restart;
    if (container_state_is_running(container->state))
        begin_stop(d, container, stop_signal_of(container, asked->signal),
                   stop_timeout_of(container, asked->timeout_s), THEN_LAUNCH);
    else
        launch_now(d, container);
}

static void decide_kill(struct deciding *d, const struct container *container)
{
    const char *name = d->command->data.container_kill.signal;
    if (!container_state_is_running(container->state)) {
        REFUSE(d, container->id, "not-running", "container '%s' is not running", container->name);
        return;
    }
    struct cause *cause = malloc(sizeof(*cause));
    struct effect *effect = add_effect(d->core, d->ret, EFFECT_SIGNAL, container->id);
    if (cause == NULL || effect == NULL) {
        d->core->failed = true;
        free(cause);
        return;
    }
    effect->incarnation = container->incarnation;
    effect->signal = name != NULL ? signal_by_name(name) : SIGKILL;
    effect->thaws = effect->signal == SIGKILL || effect->signal == stop_signal_of(container, NULL);
    effect->cause = cause;
    *cause = d->cause;
    d->cause = (struct cause){.command_offset = -1};
}

static void decide_remove(struct deciding *d, const struct container *container)
{
    bool force = d->command->data.container_remove.force;
    d->cause.with_volumes = d->command->data.container_remove.volumes;
    bool running = container_state_is_running(container->state);
    if (!force && (running || container->state == CONTAINER_RESTARTING)) {
        REFUSE(d, container->id, "container-running",
               "container '%s' is %s: stop it first, or remove it with force", container->name,
               container_state_name(container->state));
        return;
    }
    if (running) {
        begin_stop(d, container, SIGKILL, 0, THEN_REMOVE);
        return;
    }
    if (container->state == CONTAINER_RESTARTING)
        cancel_restart(d, container->id, OUTCOME_NONE);
    begin_remove(d->core, container->id, &d->cause, d->ret);
}

static void decide_for(struct deciding *d, const struct container *container)
{
    switch (d->command->type) {
    case COMMAND_CONTAINER_START:
        decide_start(d, container);
        break;
    case COMMAND_CONTAINER_STOP:
        decide_stop(d, container);
        break;
    case COMMAND_CONTAINER_KILL:
        decide_kill(d, container);
        break;
    case COMMAND_CONTAINER_RESTART:
        decide_restart(d, container);
        break;
    case COMMAND_CONTAINER_REMOVE:
        decide_remove(d, container);
        break;
    case COMMAND_CONTAINER_PAUSE:
    case COMMAND_CONTAINER_UNPAUSE:
        decide_pause(d->core, container, d->command->type == COMMAND_CONTAINER_PAUSE, &d->cause, d->now_ns,
                     d->ret);
        break;
    case COMMAND_CONTAINER_RENAME:
        decide_rename(d->core, container, d->command->data.container_rename.name, &d->cause, d->now_ns,
                      d->ret);
        break;
    case COMMAND_CONTAINER_UPDATE:
        decide_update(d->core, container, &d->command->data.container_update, &d->cause, d->now_ns, d->ret);
        break;
    case COMMAND_CONTAINER_EXEC:
        decide_exec(d->core, container, d->command, &d->cause, d->now_ns, d->ret);
        break;
    case COMMAND_CONTAINER_COMMIT:
        decide_commit(d->core, container, d->command, &d->cause, d->now_ns, d->ret);
        break;
    case COMMAND_CONTAINER_RUN:
    case COMMAND_CONTAINER_CREATE:
    case COMMAND_IMAGE_IMPORT:
    case COMMAND_IMAGE_REMOVE:
    case COMMAND_VOLUME_CREATE:
    case COMMAND_VOLUME_REMOVE:
    case COMMAND_OCI_REPORT:
    case COMMAND_TYPES:
        break; /* not about a container that there is */
    }
}

/* How long a container that is being stopped may still take, for this command: -1 when that is not for it to
 * say. */
static int64_t patience_s(const struct deciding *d, const struct container *container)
{
    const struct container_stop_command *stop = &d->command->data.container_stop;
    const struct container_restart_command *restart = &d->command->data.container_restart;
    enum command_type type = d->command->type;
    bool stops = type == COMMAND_CONTAINER_STOP;
    if (d->command->envelope.ifversion != SCHEMA_ABSENT) /* it may be refused when its turn comes */
        return -1;
    if (type == COMMAND_CONTAINER_REMOVE)
        return d->command->data.container_remove.force ? 0 : -1;
    if (!stops && type != COMMAND_CONTAINER_RESTART)
        return -1;
    if (stop_signal_of(container, stops ? stop->signal : restart->signal) == SIGKILL)
        return 0;
    return stop_timeout_of(container, stops ? stop->timeout_s : restart->timeout_s);
}

/* Who is less patient than those who have the container stopped need not wait as long as they would. */
static void hasten_stop(struct deciding *d, const struct container *container,
                        const struct operation *operation)
{
    int64_t seconds = patience_s(d, container);
    if (seconds < 0 || operation->then == THEN_REMOVE) /* that was SIGKILL */
        return;
    if (seconds > 0) {
        add_deadline(d, container->id, operation->incarnation, seconds);
        return;
    }
    emit_signaled(d->core, d->ret, container->id, SIGKILL, &d->cause, OUTCOME_NONE, d->now_ns);
    add_signal(d, container->id, operation->incarnation, SIGKILL);
}

/* After the stop, or by a command that waits for its end. */
static bool comes_back(const struct operation *operation)
{
    const struct waiting_command *each = operation->waiting;
    while (each != NULL && each->command.type != COMMAND_CONTAINER_START &&
           each->command.type != COMMAND_CONTAINER_RESTART)
        each = each->next;
    return operation->then == THEN_LAUNCH || each != NULL;
}

/* A kill is what a stop may need; and what will be refused, since the container does not come back, need not
 * wait for its end. */
static bool overtakes(const struct deciding *d, const struct operation *operation)
{
    enum command_type type = d->command->type;
    bool stops = operation->kind == OPERATION_STOP;
    if (type == COMMAND_CONTAINER_KILL)
        return stops || operation->kind == OPERATION_EXEC;
    if (!stops || comes_back(operation) || d->command->envelope.ifversion != SCHEMA_ABSENT)
        return false;
    if (type == COMMAND_CONTAINER_EXEC)
        return !exec_was_started(d->core, d->command);
    return type == COMMAND_CONTAINER_PAUSE || type == COMMAND_CONTAINER_UNPAUSE;
}

static void decide_about_container(struct deciding *d, const char *ref)
{
    struct err err = ERR_INIT;
    const struct container *container = node_state_resolve(&d->core->state, ref, &err);
    if (container == NULL) {
        const char *code = err.code == ERR_CONFLICT ? "ambiguous-reference" : "unknown-container";
        REFUSE(d, ref, code, "%s", err.message);
        return;
    }
    struct operation *operation = operation_find(d->core, container->id);
    if (operation != NULL && !overtakes(d, operation)) {
        if (operation->kind == OPERATION_STOP)
            hasten_stop(d, container, operation);
        operation_enqueue(d->core, operation, d->command, d->offset);
        return;
    }
    int64_t wanted = d->command->envelope.ifversion;
    if (wanted != SCHEMA_ABSENT && wanted != container->version && !exec_was_started(d->core, d->command)) {
        REFUSE(d, container->id, "version-mismatch", "container '%s' is at version %lld, not %lld",
               container->name, (long long)container->version, (long long)wanted);
        return;
    }
    decide_for(d, container);
}

void decide_command(struct core *core, const struct command *command, int64_t offset, int64_t now_ns,
                    struct decision *ret)
{
    struct deciding d = {.core = core,
                         .command = command,
                         .cause = cause_of_command(core, command, offset),
                         .offset = offset,
                         .now_ns = now_ns,
                         .ret = ret};
    const char *reference = command_reference(command);
    if (command->type == COMMAND_IMAGE_IMPORT)
        decide_image_import(core, command, &d.cause, ret);
    else if (command->type == COMMAND_IMAGE_REMOVE)
        decide_image_remove(core, command, &d.cause, now_ns, ret);
    else if (command->type == COMMAND_VOLUME_CREATE)
        decide_volume_create(core, command, &d.cause, now_ns, ret);
    else if (command->type == COMMAND_VOLUME_REMOVE)
        decide_volume_remove(core, command, &d.cause, now_ns, ret);
    else if (command->type == COMMAND_OCI_REPORT)
        decide_oci_report(core, command, &d.cause, now_ns, ret);
    else if (reference != NULL)
        decide_about_container(&d, reference);
    else
        decide_create(&d);
    cause_release(&d.cause);
}
