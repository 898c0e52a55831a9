/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Health checks, with docker's rules: every now and then a command is executed in the container; the first
 * success makes it healthy, so many failures in a row unhealthy. Only a change becomes an event. What is in
 * between, such as how many have failed so far, is not on the log: a runtime that starts anew counts anew.
 *
 * Executing a check is an operation of the container, so that it is never under way in one that is being
 * paused or stopped; a check that is due meanwhile comes a little later. While it runs it is no operation,
 * and when its container ends first it is a stray, of which only the files have to go. One that is suspended
 * with its container has all of its time again when that goes on: a pause is no failure.
 */
#define HASH_NONFATAL_OOM 1
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "runtime/decide/core.h"

#define INTERVAL_MS 30000 /* docker's, as those that follow */
#define TIMEOUT_MS 30000
#define START_INTERVAL_MS 5000
#define RETRIES 3
#define BUSY_MS 1000 /* until the container is asked again whether it can be checked */

struct health {
    char container_id[CONTAINER_ID_SIZE]; /* key */
    int64_t incarnation;
    int64_t since_ns;                /* when it was started, or taken over */
    int64_t failures;                /* in a row */
    int64_t sequence;                /* of the newest check */
    char exec_id[CONTAINER_ID_SIZE]; /* of the one under way; "" if none is */
    int64_t late_at_ns;              /* when its time is over */
    bool late;                       /* it took too long and is being ended */
    UT_hash_handle hh;
};

static struct health *health_find(const struct core *core, const char *container_id)
{
    struct health *found = NULL;
    HASH_FIND_STR(core->healths, container_id, found);
    return found;
}

static struct health *health_of_check(const struct core *core, const char *exec_id)
{
    for (struct health *each = core->healths; each != NULL; each = each->hh.next)
        if (strcmp(each->exec_id, exec_id) == 0)
            return each;
    return NULL;
}

bool core_is_health_check(const struct core *core, const char *exec_id)
{
    return health_of_check(core, exec_id) != NULL;
}

static void health_free(struct core *core, struct health *health)
{
    HASH_DEL(core->healths, health);
    free(health);
}

void healths_release(struct core *core)
{
    while (core->healths != NULL)
        health_free(core, core->healths);
    strings_release(&core->stray_checks);
}

static int64_t or_default(int64_t value, int64_t otherwise)
{
    return value != SCHEMA_ABSENT ? value : otherwise;
}

static bool is_starting(const struct container *container, const struct health *health, int64_t now_ns)
{
    int64_t period_ms = or_default(container->spec.health_start_period_ms, 0);
    return container->health == HEALTH_STARTING && now_ns - health->since_ns < period_ms * 1000000;
}

static void add_timer(struct core *core, const struct health *health, enum timer_kind kind, int64_t due_ns,
                      struct decision *ret)
{
    struct effect *timer = add_effect(core, ret, EFFECT_TIMER, health->container_id);
    if (timer == NULL)
        return;
    timer->timer = kind;
    timer->incarnation = health->incarnation;
    timer->sequence = health->sequence;
    timer->due_ns = due_ns;
}

static void wait_for_next(struct core *core, const struct container *container, const struct health *health,
                          int64_t now_ns, struct decision *ret)
{
    int64_t interval_ms = is_starting(container, health, now_ns)
                              ? or_default(container->spec.health_start_interval_ms, START_INTERVAL_MS)
                              : or_default(container->spec.health_interval_ms, INTERVAL_MS);
    add_timer(core, health, TIMER_HEALTH, now_ns + interval_ms * 1000000, ret);
}

void health_begin(struct core *core, const char *container_id, int64_t now_ns, struct decision *ret)
{
    const struct container *container = node_state_container(&core->state, container_id);
    if (container == NULL || container->health == HEALTH_NONE || container->spec.health_command.n == 0)
        return;
    health_end(core, container_id);
    struct health *health = calloc(1, sizeof(*health));
    if (health != NULL) {
        memcpy(health->container_id, container->id, sizeof(health->container_id));
        health->incarnation = container->incarnation;
        health->since_ns = now_ns;
        HASH_ADD_STR(core->healths, container_id, health);
    }
    if (health == NULL || health->hh.tbl == NULL) {
        free(health);
        core->failed = true;
        return;
    }
    wait_for_next(core, container, health, now_ns, ret);
}

void health_end(struct core *core, const char *container_id)
{
    struct health *health = health_find(core, container_id);
    if (health == NULL)
        return;
    if (health->exec_id[0] != '\0' && strings_add(&core->stray_checks, health->exec_id) < 0)
        core->failed = true;
    health_free(core, health);
}

static void give_time(struct core *core, const struct container *container, struct health *health,
                      int64_t now_ns, struct decision *ret)
{
    int64_t timeout_ms = or_default(container->spec.health_timeout_ms, TIMEOUT_MS);
    health->late_at_ns = now_ns + timeout_ms * 1000000;
    add_timer(core, health, TIMER_HEALTH_LATE, health->late_at_ns, ret);
}

void health_unpaused(struct core *core, const char *container_id, int64_t now_ns, struct decision *ret)
{
    struct health *health = health_find(core, container_id);
    const struct container *container = node_state_container(&core->state, container_id);
    if (health != NULL && container != NULL && health->exec_id[0] != '\0' && !health->late)
        give_time(core, container, health, now_ns, ret);
}

/* Unlike any other exec's, and another one for each check. */
static void name_check(const struct core *core, struct health *health)
{
    char text[CONTAINER_ID_SIZE + 96];
    int size = snprintf(text, sizeof(text), "health/%s/%" PRId64 "/%" PRId64 "/%" PRId64,
                        health->container_id, health->incarnation, core->epoch, health->sequence);
    sha256_hex(health->exec_id, text, (size_t)size);
}

static struct container_exec_command *make_command(struct core *core, const struct container *container)
{
    struct container_exec_command *command = calloc(1, sizeof(*command));
    if (command == NULL) {
        core->failed = true;
        return NULL;
    }
    schema_init(command_types[COMMAND_CONTAINER_EXEC].schema(), command);
    if (strings_copy(&command->command, &container->spec.health_command) < 0)
        core->failed = true;
    return command;
}

static void begin_check(struct core *core, const struct container *container, struct health *health,
                        int64_t now_ns, struct decision *ret)
{
    struct effect *effect = add_effect(core, ret, EFFECT_EXEC, container->id);
    if (effect == NULL)
        return;
    health->sequence++;
    health->late = false;
    name_check(core, health);
    effect->incarnation = container->incarnation;
    effect->exec = make_command(core, container);
    memcpy(effect->exec_id, health->exec_id, sizeof(effect->exec_id));
    struct cause cause = cause_of_container(core, container, ACTOR_RUNTIME);
    struct operation *operation = operation_begin(core, container->id, OPERATION_EXEC, &cause);
    if (operation == NULL)
        return;
    operation->incarnation = container->incarnation;
    memcpy(operation->exec_id, health->exec_id, sizeof(operation->exec_id));
    give_time(core, container, health, now_ns, ret);
}

static void end_late_check(struct core *core, struct health *health, struct decision *ret)
{
    struct effect *effect = add_effect(core, ret, EFFECT_SIGNAL, health->container_id);
    if (effect == NULL)
        return;
    memcpy(effect->exec_id, health->exec_id, sizeof(effect->exec_id));
    effect->incarnation = health->incarnation;
    effect->signal = SIGKILL;
    health->late = true;
}

/* A timer of before a pause comes too early, and any may by the fraction of a millisecond that the loop's
 * clock has not. */
static void check_is_late(struct core *core, const struct container *container, struct health *health,
                          int64_t now_ns, struct decision *ret)
{
    if (health->exec_id[0] == '\0' || container->state == CONTAINER_PAUSED)
        return;
    if (now_ns >= health->late_at_ns)
        end_late_check(core, health, ret);
    else
        add_timer(core, health, TIMER_HEALTH_LATE, health->late_at_ns, ret);
}

void health_timer(struct core *core, const struct input *input, struct decision *ret)
{
    struct health *health = health_find(core, input->timer.container_id);
    const struct container *container = node_state_container(&core->state, input->timer.container_id);
    if (health == NULL || container == NULL || health->incarnation != input->timer.incarnation ||
        health->sequence != input->timer.sequence)
        return;
    if (input->timer.kind == TIMER_HEALTH_LATE) {
        check_is_late(core, container, health, input->now_ns, ret);
        return;
    }
    bool can_be_checked =
        container->state == CONTAINER_RUNNING && operation_find(core, container->id) == NULL;
    if (can_be_checked)
        begin_check(core, container, health, input->now_ns, ret);
    else
        add_timer(core, health, TIMER_HEALTH, input->now_ns + BUSY_MS * 1000000LL, ret);
}

static void emit_health_changed(struct core *core, const struct container *container,
                                const struct health *health, enum container_health becomes, int64_t exit_code,
                                const char *output, int64_t now_ns, struct decision *ret)
{
    struct event event;
    event_init(&event, EVENT_CONTAINER_HEALTH_CHANGED);
    struct container_health_changed_event *data = &event.data.container_health_changed;
    data->incarnation = health->incarnation;
    data->health = core_strdup(core, container_health_name(becomes));
    data->failures = health->failures;
    data->exit_code = exit_code;
    data->output = output != NULL && output[0] != '\0' ? core_strdup(core, output) : NULL;
    struct cause cause = cause_of_container(core, container, ACTOR_RUNTIME);
    emit_take(core, ret, &event, container->id, &cause, OUTCOME_NONE, now_ns);
    cause_release(&cause);
}

/* A check has come to its end: SCHEMA_ABSENT for one that took too long. */
static void conclude(struct core *core, struct health *health, int64_t exit_code, const char *output,
                     int64_t now_ns, struct decision *ret)
{
    const struct container *container = node_state_container(&core->state, health->container_id);
    health->exec_id[0] = '\0';
    if (container == NULL || !container_state_is_running(container->state))
        return;
    bool excused = exit_code != 0 && is_starting(container, health, now_ns);
    health->failures = exit_code == 0 || excused ? 0 : health->failures + 1;
    enum container_health becomes = container->health;
    if (exit_code == 0)
        becomes = HEALTH_HEALTHY;
    else if (health->failures >= or_default(container->spec.health_retries, RETRIES))
        becomes = HEALTH_UNHEALTHY;
    if (becomes != container->health)
        emit_health_changed(core, container, health, becomes, exit_code, output, now_ns, ret);
    wait_for_next(core, container, health, now_ns, ret);
}

static void remove_files(struct core *core, const char *container_id, const char *exec_id,
                         struct decision *ret)
{
    struct effect *effect = add_effect(core, ret, EFFECT_REMOVE, container_id);
    if (effect == NULL)
        return;
    memcpy(effect->exec_id, exec_id, sizeof(effect->exec_id));
    effect->orphan = true;
}

bool health_launched(struct core *core, const struct input *input, struct decision *ret)
{
    const struct host_launched *launched = input->launched;
    struct operation *operation = operation_find(core, launched->container_id);
    if (operation == NULL || operation->kind != OPERATION_EXEC || operation->exec != NULL ||
        strcmp(operation->exec_id, launched->exec_id) != 0)
        return false;
    char id[CONTAINER_ID_SIZE];
    memcpy(id, operation->container_id, sizeof(id));
    bool exited = operation->has_early_exit;
    struct host_exit early_exit = operation->early_exit;
    struct waiting_command *waiting = operation_end(core, operation);
    struct health *health = health_of_check(core, launched->exec_id);
    if (!launched->ok && health != NULL && !exited)
        conclude(core, health, launched->exit_code, launched->message, input->now_ns, ret);
    else if (!launched->ok && health != NULL)
        health->exec_id[0] = '\0'; /* its container has ended meanwhile: that is no result */
    else if (health != NULL && health->late)
        end_late_check(core, health, ret); /* its time was over before it could be ended */
    if (exited) {
        struct input exit_input = {.kind = INPUT_EXITED, .now_ns = input->now_ns, .exited = &early_exit};
        step_exited(core, &exit_input, ret);
    }
    operation_resume_waiting(core, id, waiting, input->now_ns, ret);
    return true;
}

/* True if it was one; it is none any more. */
static bool take_stray(struct core *core, const char *exec_id)
{
    struct strings *strays = &core->stray_checks;
    for (size_t i = 0; i < strays->n; i++) {
        if (strcmp(strays->items[i], exec_id) != 0)
            continue;
        free(strays->items[i]);
        strays->items[i] = strays->items[--strays->n];
        strays->items[strays->n] = NULL;
        return true;
    }
    return false;
}

bool health_exited(struct core *core, const struct input *input, struct decision *ret)
{
    const struct host_exit *exit = input->exited;
    struct health *health = health_of_check(core, exit->exec_id);
    if (health == NULL && !take_stray(core, exit->exec_id))
        return false;
    remove_files(core, exit->container_id, exit->exec_id, ret);
    if (health != NULL)
        conclude(core, health, health->late || exit->exit_code < 0 ? SCHEMA_ABSENT : exit->exit_code,
                 input->output, input->now_ns, ret);
    return true;
}
