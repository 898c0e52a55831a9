/* SPDX-License-Identifier: Apache-2.0 */
/* Emitting: from a struct event with its data filled in to stamped, encoded and applied bytes in the
 * decision. */
#define HASH_NONFATAL_OOM 1
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "runtime/decide/core.h"

char *core_strdup(struct core *core, const char *text)
{
    if (text == NULL)
        return NULL;
    char *copy = strdup(text);
    if (copy == NULL)
        core->failed = true;
    return copy;
}

char *core_signal_name(struct core *core, int signal)
{
    char name[16];
    signal_format(name, signal);
    return core_strdup(core, name);
}

char *core_time(struct core *core, int64_t time_ns)
{
    char time[TIMESTAMP_SIZE];
    timestamp_format(time, time_ns);
    return core_strdup(core, time);
}

struct cause cause_of_command(struct core *core, const struct command *command, int64_t offset)
{
    struct cause cause = {.command_offset = offset, .command_type = command->type};
    memcpy(cause.causationid, command->envelope.id, sizeof(cause.causationid));
    memcpy(cause.correlationid, command->envelope.correlationid, sizeof(cause.correlationid));
    cause.actor = core_strdup(core, command->envelope.actor);
    cause.traceparent = core_strdup(core, command->envelope.traceparent);
    return cause;
}

struct cause cause_of_container(struct core *core, const struct container *container, const char *actor)
{
    struct cause cause = {.command_offset = -1};
    memcpy(cause.causationid, container->last_event_id, sizeof(cause.causationid));
    memcpy(cause.correlationid, container->correlationid, sizeof(cause.correlationid));
    cause.actor = core_strdup(core, actor);
    return cause;
}

void cause_release(struct cause *cause)
{
    free(cause->actor);
    free(cause->traceparent);
    *cause = (struct cause){.command_offset = -1};
}

enum outcome outcome_for(const struct cause *cause, enum outcome outcome)
{
    return cause->command_offset >= 0 ? outcome : OUTCOME_NONE;
}

/* The id of the event with this number: of the time and the seed, so that a replay gives the same. */
static void make_event_id(const struct core *core, int64_t now_ns, char ret[UUID_TEXT_SIZE])
{
    char text[DECIDE_SEED_SIZE + 64];
    memcpy(text, core->seed, DECIDE_SEED_SIZE);
    int size = snprintf(text + DECIDE_SEED_SIZE, sizeof(text) - DECIDE_SEED_SIZE, "%" PRId64 "/%" PRId64,
                        core->epoch, core->state.nodeseq + 1);
    char hex[SHA256_HEX_SIZE];
    sha256_hex(hex, text, DECIDE_SEED_SIZE + (size_t)size);
    uint8_t random[UUID_RANDOM_BYTES];
    for (size_t i = 0; i < sizeof(random); i++) {
        char digits[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        random[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    uuid_v7(ret, now_ns, random);
}

static void stamp(struct core *core, struct event *event, const char *subject, const struct cause *cause,
                  enum outcome outcome, int64_t now_ns)
{
    struct envelope *envelope = &event->envelope;
    const struct container *container = node_state_container(&core->state, subject);
    char source[512];
    snprintf(source, sizeof(source), "/wharf/node/%s", core->state.name);
    make_event_id(core, now_ns, envelope->id);
    envelope->source = core_strdup(core, source);
    envelope->subject = core_strdup(core, subject);
    envelope->node = core_strdup(core, core->state.name);
    envelope->actor = core_strdup(core, cause->actor != NULL ? cause->actor : ACTOR_RUNTIME);
    envelope->traceparent = core_strdup(core, cause->traceparent);
    envelope->time_ns = now_ns;
    memcpy(envelope->causationid, cause->causationid, sizeof(envelope->causationid));
    /* what wharf does of its own accord begins a story of its own */
    memcpy(envelope->correlationid, cause->correlationid[0] != '\0' ? cause->correlationid : envelope->id,
           sizeof(envelope->correlationid));
    envelope->streamversion = container != NULL ? container->version + 1 : 1;
    envelope->nodeseq = core->state.nodeseq + 1;
    envelope->epoch = core->epoch;
    node_state_prevhash(&core->state, envelope->prevhash);
    envelope->outcome = outcome;
    if (outcome != OUTCOME_NONE)
        envelope->commandoffset = cause->command_offset;
}

/* The exec that an event is about, or that its command would have made. */
static void note_exec(struct decided_event *decided, const struct event *event)
{
    const char *id = event->type == EVENT_CONTAINER_EXEC_STARTED  ? event->data.container_exec_started.exec
                     : event->type == EVENT_CONTAINER_EXEC_FAILED ? event->data.container_exec_failed.exec
                     : event->type == EVENT_CONTAINER_EXEC_EXITED ? event->data.container_exec_exited.exec
                                                                  : "";
    const char *command = event->type == EVENT_COMMAND_REFUSED  ? event->data.command_refused.command
                          : event->type == EVENT_COMMAND_FAILED ? event->data.command_failed.command
                                                                : "";
    snprintf(decided->exec_id, sizeof(decided->exec_id), "%s", id);
    if (strcmp(command, command_types[COMMAND_CONTAINER_EXEC].api_name) == 0)
        container_id_from_command(decided->exec_id, event->envelope.causationid);
    if (event->type == EVENT_CONTAINER_EXEC_EXITED)
        decided->incarnation = event->data.container_exec_exited.incarnation;
}

const char *decided_event_exit(const struct decided_event *event)
{
    return event->type == EVENT_CONTAINER_EXITED        ? event->subject
           : event->type == EVENT_CONTAINER_EXEC_EXITED ? event->exec_id
                                                        : NULL;
}

static void collect(struct core *core, struct decision *ret, const struct event *event, char *bytes_take,
                    size_t size)
{
    struct decided_event *grown = realloc(ret->events, (ret->n_events + 1) * sizeof(*grown));
    if (grown == NULL) {
        free(bytes_take);
        core->failed = true;
        return;
    }
    ret->events = grown;
    struct decided_event *decided = &grown[ret->n_events++];
    *decided = (struct decided_event){
        .type = event->type, .outcome = event->envelope.outcome, .bytes = bytes_take, .size = size};
    snprintf(decided->subject, sizeof(decided->subject), "%s", event->envelope.subject);
    if (event->envelope.outcome != OUTCOME_NONE)
        memcpy(decided->command_id, event->envelope.causationid, sizeof(decided->command_id));
    note_exec(decided, event);
    if (event->type == EVENT_CONTAINER_EXITED)
        decided->incarnation = event->data.container_exited.incarnation;
}

void emit_take(struct core *core, struct decision *ret, struct event *event, const char *subject,
               const struct cause *cause, enum outcome outcome, int64_t now_ns)
{
    stamp(core, event, subject, cause, outcome, now_ns);
    size_t size = 0;
    char *bytes = core->failed ? NULL : event_encode(event, &size, NULL);
    /* What the state machine does not allow must never be decided: that is a fault of ours, and going on
     * would write an illegal history. */
    if (bytes == NULL || node_state_apply(&core->state, event, bytes, size) != APPLY_DONE) {
        free(bytes);
        core->failed = true;
    } else {
        collect(core, ret, event, bytes, size);
    }
    event_release(event);
}

static void format_message(struct core *core, char **ret, const char *fmt, va_list args)
{
    char text[ERR_MESSAGE_SIZE];
    vsnprintf(text, sizeof(text), fmt, args);
    *ret = core_strdup(core, text);
}

void emit_refused(struct core *core, struct decision *ret, const char *subject, const struct cause *cause,
                  int64_t now_ns, const char *code, const char *fmt, ...)
{
    struct event event;
    event_init(&event, EVENT_COMMAND_REFUSED);
    struct command_refused_event *data = &event.data.command_refused;
    data->command = core_strdup(core, command_types[cause->command_type].api_name);
    data->code = core_strdup(core, code);
    va_list args;
    va_start(args, fmt);
    format_message(core, &data->message, fmt, args);
    va_end(args);
    emit_take(core, ret, &event, subject, cause, OUTCOME_REFUSED, now_ns);
}

void emit_failed(struct core *core, struct decision *ret, const char *subject, const struct cause *cause,
                 int64_t now_ns, const char *code, const char *message)
{
    struct event event;
    event_init(&event, EVENT_COMMAND_FAILED);
    struct command_failed_event *data = &event.data.command_failed;
    data->command = core_strdup(core, command_types[cause->command_type].api_name);
    data->code = core_strdup(core, code);
    data->message = core_strdup(core, message);
    emit_take(core, ret, &event, subject, cause, OUTCOME_FAILED, now_ns);
}

void emit_done(struct core *core, struct decision *ret, const char *subject, const struct cause *cause,
               int64_t now_ns, const char *message)
{
    struct event event;
    event_init(&event, EVENT_COMMAND_DONE);
    event.data.command_done.message = core_strdup(core, message);
    emit_take(core, ret, &event, subject, cause, OUTCOME_OK, now_ns);
}

void emit_signaled(struct core *core, struct decision *ret, const char *container_id, int signal,
                   const struct cause *cause, enum outcome outcome, int64_t now_ns)
{
    struct event event;
    event_init(&event, EVENT_CONTAINER_SIGNALED);
    event.data.container_signaled.signal = core_signal_name(core, signal);
    emit_take(core, ret, &event, container_id, cause, outcome, now_ns);
}

void emit_exited(struct core *core, struct decision *ret, const struct host_exit *exit,
                 const struct cause *cause, enum outcome outcome, int64_t now_ns)
{
    struct event event;
    event_init(&event, EVENT_CONTAINER_EXITED);
    struct container_exited_event *data = &event.data.container_exited;
    data->incarnation = exit->incarnation;
    data->reason = core_strdup(core, exit->reason);
    data->exit_code = exit->exit_code >= 0 ? exit->exit_code : SCHEMA_ABSENT;
    data->oom_killed = exit->oom_killed;
    if (exit->signal > 0)
        data->signal = core_signal_name(core, exit->signal);
    if (exit->finished_at_ns > 0)
        data->finished_at = core_time(core, exit->finished_at_ns);
    if (exit->observed[0] != '\0')
        data->observed = core_strdup(core, exit->observed);
    emit_take(core, ret, &event, exit->container_id, cause, outcome, now_ns);
}

struct effect *add_effect(struct core *core, struct decision *ret, enum effect_kind kind,
                          const char *container_id)
{
    struct effect *grown = realloc(ret->effects, (ret->n_effects + 1) * sizeof(*grown));
    if (grown == NULL) {
        core->failed = true;
        return NULL;
    }
    ret->effects = grown;
    struct effect *effect = &grown[ret->n_effects++];
    *effect = (struct effect){.kind = kind, .command_offset = -1};
    snprintf(effect->container_id, sizeof(effect->container_id), "%s", container_id);
    return effect;
}

void decision_release(struct decision *decision)
{
    for (size_t i = 0; i < decision->n_events; i++)
        free(decision->events[i].bytes);
    for (size_t i = 0; i < decision->n_effects; i++) {
        update_free(decision->effects[i].update);
        exec_command_free(decision->effects[i].exec);
        free(decision->effects[i].source);
        free(decision->effects[i].digest);
        free(decision->effects[i].volume);
        if (decision->effects[i].cause != NULL)
            cause_release(decision->effects[i].cause);
        free(decision->effects[i].cause);
    }
    free(decision->events);
    free(decision->effects);
    *decision = (struct decision){0};
}
