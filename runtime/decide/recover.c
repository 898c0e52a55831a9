/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking a node over: a new epoch, and then what the log expects against what the host shows.
 *
 * A container that the log has running is adopted, or its exit is recorded with what evidence there is.
 * Resources of a container that the log does not know are an orphan, unless the command that made them is not
 * settled yet: then it will be decided again and finds its work done. Commands that were being carried out
 * need nothing here for the same reason.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "runtime/decide/core.h"

static struct cause cause_of_recovery(struct core *core)
{
    return (struct cause){.command_offset = -1, .actor = core_strdup(core, ACTOR_RECOVERY)};
}

enum continuity core_continuity(const struct core *core, const char *boot_id, bool state_is_new)
{
    const char *before = core->state.boot_id;
    if (before == NULL)
        return SAME_BOOT; /* the node's first runtime */
    if (state_is_new)
        return STATE_LOST;
    return strcmp(before, boot_id) != 0 ? HOST_RESTARTED : SAME_BOOT;
}

void core_begin(struct core *core, int64_t now_ns, const struct core_identity *identity, struct decision *ret)
{
    struct cause cause = cause_of_recovery(core);
    core->epoch = core->state.epoch + 1;
    if (core->state.partition < 0) {
        struct event joined;
        event_init(&joined, EVENT_NODE_JOINED);
        joined.data.node_joined.partition = identity->partition;
        emit_take(core, ret, &joined, core->state.name, &cause, OUTCOME_NONE, now_ns);
    }
    struct event started;
    event_init(&started, EVENT_NODE_STARTED);
    struct node_started_event *data = &started.data.node_started;
    data->boot_id = core_strdup(core, identity->boot_id);
    data->kernel = core_strdup(core, identity->kernel);
    data->version = core_strdup(core, identity->version);
    data->pid = identity->pid;
    emit_take(core, ret, &started, core->state.name, &cause, OUTCOME_NONE, now_ns);
    cause_release(&cause);
}

static const struct host_observation *find_observation(const struct host_observation *observed, size_t n,
                                                       const char *container_id)
{
    for (size_t i = 0; i < n; i++)
        if (observed[i].exec_id[0] == '\0' && strcmp(observed[i].container_id, container_id) == 0)
            return &observed[i];
    return NULL;
}

static void adopt(struct core *core, const struct container *container, const struct host_observation *seen,
                  int64_t now_ns, struct decision *ret)
{
    struct cause cause = cause_of_container(core, container, ACTOR_RECOVERY);
    struct event event;
    event_init(&event, EVENT_CONTAINER_ADOPTED);
    event.data.container_adopted.incarnation = seen->incarnation;
    event.data.container_adopted.pid = seen->pid;
    event.data.container_adopted.shim_pid = seen->shim_pid;
    emit_take(core, ret, &event, container->id, &cause, OUTCOME_NONE, now_ns);
    /* The adjustment that a crash kept off the log; who asked for it is told that nothing was left to do. */
    bool paused = container->state == CONTAINER_PAUSED;
    if (container->state != CONTAINER_STOPPING && seen->paused >= 0 && (seen->paused != 0) != paused)
        emit_paused(core, ret, container->id, !paused, &cause, OUTCOME_NONE, now_ns);
    cause_release(&cause);
    health_begin(core, container->id, now_ns, ret);
}

/* By its directory's name alone: a power cut may have taken the intent that says in which container it is. */
static const struct host_observation *find_exec_observation(const struct host_observation *observed, size_t n,
                                                            const char *exec_id)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(observed[i].exec_id[0] != '\0' ? observed[i].exec_id : observed[i].container_id,
                   exec_id) == 0)
            return &observed[i];
    return NULL;
}

/* The exit as recorded or observed; where not even a trace is left, that is said. */
static struct host_exit exit_by_evidence(const char *container_id, int64_t incarnation,
                                         const struct host_observation *seen, enum continuity continuity)
{
    static const char *const reasons[] = {
        [SAME_BOOT] = "unknown", [HOST_RESTARTED] = "host-restart", [STATE_LOST] = "state-lost"};
    const char *what = continuity == STATE_LOST ? "the state directory is new, with nothing of this container"
                                                : "no process and no exit record on the host";
    if (seen != NULL && seen->incarnation == incarnation && seen->found != HOST_INTERRUPTED)
        return seen->exit;
    struct host_exit exit = {.incarnation = incarnation, .reason = reasons[continuity], .exit_code = -1};
    memcpy(exit.container_id, container_id, sizeof(exit.container_id));
    snprintf(exit.observed, sizeof(exit.observed), "%s%s%.180s", what, seen != NULL ? ", only " : "",
             seen != NULL ? seen->what : "");
    return exit;
}

static void record_exit(struct core *core, const struct container *container, const struct host_exit *exit,
                        bool host_restarted, int64_t now_ns, struct decision *ret)
{
    struct cause cause = cause_of_container(core, container, ACTOR_RECOVERY);
    emit_exited(core, ret, exit, &cause, OUTCOME_NONE, now_ns);
    cause_release(&cause);
    follow_exit(core, exit->container_id, host_restarted, now_ns, ret);
}

static void recover_running(struct core *core, const struct container *container,
                            const struct host_observation *seen, enum continuity continuity, int64_t now_ns,
                            struct decision *ret)
{
    if (seen != NULL && seen->found == HOST_RUNNING && seen->incarnation == container->incarnation) {
        adopt(core, container, seen, now_ns, ret);
        return;
    }
    struct host_exit exit = exit_by_evidence(container->id, container->incarnation, seen, continuity);
    /* what outlived its records, such as processes in its cgroup, is nobody's any more */
    if (continuity == STATE_LOST && seen != NULL)
        add_effect(core, ret, EFFECT_REMOVE, container->id);
    record_exit(core, container, &exit, continuity != SAME_BOOT, now_ns, ret);
}

/* A restart that was carried out, but is not on the log, is asked for again and finds itself done: before any
 * command can cancel what has happened. */
static void recover_restarting(struct core *core, const struct container *container,
                               const struct host_observation *seen, int64_t now_ns, struct decision *ret)
{
    if (seen != NULL && seen->incarnation == container->incarnation + 1 && seen->found != HOST_INTERRUPTED) {
        struct cause cause = cause_of_container(core, container, ACTOR_RESTART_POLICY);
        begin_launch(core, container, &cause, ret);
        return;
    }
    struct effect *timer = add_effect(core, ret, EFFECT_TIMER, container->id);
    if (timer == NULL)
        return;
    timer->timer = TIMER_RESTART_DUE;
    timer->incarnation = container->incarnation;
    /* a wall clock that was set back makes nobody wait for longer than ever */
    int64_t latest_ns = now_ns + RESTART_DELAY_MAX_MS * 1000000LL;
    timer->due_ns = container->restart_due_ns < latest_ns ? container->restart_due_ns : latest_ns;
}

/* Its end is on the log, recorded by a runtime on another host that could not see it: now it comes true. */
static void kill_forgotten(struct core *core, const struct host_observation *seen, struct decision *ret)
{
    struct effect *effect = add_effect(core, ret, EFFECT_SIGNAL, seen->container_id);
    if (effect == NULL)
        return;
    effect->incarnation = seen->incarnation;
    effect->signal = SIGKILL;
    effect->thaws = true; /* paused it would not end, where cgroups are v1 */
}

/* What is of an earlier boot than the newest had its host restarted, also if the runtime that was to record
 * it was cut off in between: the boot ids alone do not tell then. */
static enum continuity since_boot(const struct core *core, int64_t boot, enum continuity continuity)
{
    return continuity == SAME_BOOT && boot < core->state.boots ? HOST_RESTARTED : continuity;
}

static void recover_container(struct core *core, const struct container *container,
                              const struct host_observation *seen, enum continuity node_continuity,
                              int64_t now_ns, struct decision *ret)
{
    enum continuity continuity = since_boot(core, container->boot, node_continuity);
    bool host_restarted = continuity != SAME_BOOT; /* a host that is gone is restarted elsewhere */
    if (!container_state_is_running(container->state) && seen != NULL && seen->found == HOST_RUNNING &&
        seen->incarnation <= container->incarnation)
        kill_forgotten(core, seen, ret);
    switch (container->state) {
    case CONTAINER_RUNNING:
    case CONTAINER_PAUSED:
    case CONTAINER_STOPPING:
        recover_running(core, container, seen, continuity, now_ns, ret);
        break;
    case CONTAINER_EXITED:
        /* the removal or the restart that should have followed its exit, or the start that a host restart
         * brings: a log may keep the first events of a decision only */
        if (container->spec.auto_remove || container->just_exited || host_restarted)
            follow_exit(core, container->id, host_restarted, now_ns, ret);
        break;
    case CONTAINER_RESTARTING:
        recover_restarting(core, container, seen, now_ns, ret);
        break;
    case CONTAINER_CREATED:
        /* its start failed, and the removal that should have followed was cut off */
        if (container->spec.auto_remove && container->incarnation > 0) {
            struct cause cause = cause_of_container(core, container, ACTOR_RECOVERY);
            begin_remove(core, container->id, &cause, ret);
        }
        break;
    case CONTAINER_ABSENT:
    case CONTAINER_STATES:
        break;
    }
}

/* One that runs goes on: its container's adoption says so for both. */
static void recover_exec(struct core *core, const struct exec *exec, const struct host_observation *seen,
                         enum continuity continuity, int64_t now_ns, struct decision *ret)
{
    if (seen != NULL && seen->found == HOST_RUNNING)
        return;
    struct host_exit exit = exit_by_evidence(exec->container_id, exec->incarnation, seen,
                                             since_boot(core, exec->boot, continuity));
    memcpy(exit.container_id, exec->container_id, sizeof(exit.container_id));
    memcpy(exit.exec_id, exec->id, sizeof(exit.exec_id));
    emit_exec_exited(core, ret, exec, &exit, ACTOR_RECOVERY, now_ns);
}

static void emit_orphan_destroyed(struct core *core, const struct unclaimed *orphan, int64_t now_ns,
                                  struct decision *ret)
{
    struct cause cause = cause_of_recovery(core);
    struct event event;
    event_init(&event, EVENT_NODE_ORPHAN_DESTROYED);
    event.data.node_orphan_destroyed.container = core_strdup(core, orphan->container_id);
    bool is_exec = orphan->exec_id[0] != '\0';
    char found[sizeof(orphan->what) + 32];
    snprintf(found, sizeof(found), "%s%.12s%s%s", is_exec ? "exec " : "", orphan->exec_id,
             is_exec ? ": " : "", orphan->what);
    event.data.node_orphan_destroyed.found = core_strdup(core, found);
    emit_take(core, ret, &event, orphan->container_id, &cause, OUTCOME_NONE, now_ns);
    cause_release(&cause);
}

static void destroy(struct core *core, const struct unclaimed *orphan, int64_t now_ns, struct decision *ret)
{
    /* files alone of an exec are most likely of one whose end is on the log, and one without a command is a
     * health check: nothing to tell of */
    if (orphan->exec_id[0] == '\0' || (orphan->runs && orphan->command_offset >= 0))
        emit_orphan_destroyed(core, orphan, now_ns, ret);
    struct effect *effect = add_effect(core, ret, EFFECT_REMOVE, orphan->container_id);
    if (effect == NULL)
        return;
    memcpy(effect->exec_id, orphan->exec_id, sizeof(effect->exec_id));
    effect->orphan = orphan->exec_id[0] != '\0';
}

static bool is_settled(const struct core *core, int64_t command_offset)
{
    return command_offset < core_commands_from(core) ||
           node_state_is_answered(&core->state, command_offset, "");
}

static bool is_known(const struct core *core, const char *container_id, const char *exec_id)
{
    const char *id = exec_id[0] != '\0' ? exec_id : container_id;
    return node_state_exec(&core->state, id) != NULL || node_state_container(&core->state, id) != NULL;
}

void destroy_unclaimed(struct core *core, int64_t now_ns, struct decision *ret)
{
    for (struct unclaimed **at = &core->unclaimed; *at != NULL;) {
        struct unclaimed *unclaimed = *at;
        bool known = is_known(core, unclaimed->container_id, unclaimed->exec_id);
        if (!known && !is_settled(core, unclaimed->command_offset)) {
            at = &unclaimed->next;
            continue;
        }
        *at = unclaimed->next;
        if (!known)
            destroy(core, unclaimed, now_ns, ret);
        if (unclaimed->started && unclaimed->exec_id[0] != '\0')
            remove_at_end(core, unclaimed->container_id, ret);
        free(unclaimed);
    }
}

bool exec_was_started(const struct core *core, const struct command *command)
{
    char exec_id[CONTAINER_ID_SIZE];
    if (command->type != COMMAND_CONTAINER_EXEC)
        return false;
    container_id_from_command(exec_id, command->envelope.id);
    for (const struct unclaimed *each = core->unclaimed; each != NULL; each = each->next)
        if (each->started && strcmp(each->exec_id, exec_id) == 0)
            return true;
    return false;
}

bool container_awaits_exec(const struct core *core, const char *container_id)
{
    for (const struct unclaimed *each = core->unclaimed; each != NULL; each = each->next)
        if (each->started && each->exec_id[0] != '\0' && strcmp(each->container_id, container_id) == 0)
            return true;
    return false;
}

void unclaimed_release(struct core *core)
{
    while (core->unclaimed != NULL) {
        struct unclaimed *unclaimed = core->unclaimed;
        core->unclaimed = unclaimed->next;
        free(unclaimed);
    }
}

static void keep_unclaimed(struct core *core, const struct host_observation *seen)
{
    struct unclaimed *unclaimed = calloc(1, sizeof(*unclaimed));
    if (unclaimed == NULL) {
        core->failed = true;
        return;
    }
    memcpy(unclaimed->container_id, seen->container_id, sizeof(unclaimed->container_id));
    memcpy(unclaimed->exec_id, seen->exec_id, sizeof(unclaimed->exec_id));
    memcpy(unclaimed->what, seen->what, sizeof(unclaimed->what));
    unclaimed->runs = seen->found == HOST_RUNNING;
    unclaimed->started = seen->found != HOST_INTERRUPTED;
    unclaimed->command_offset = seen->command_offset;
    unclaimed->next = core->unclaimed;
    core->unclaimed = unclaimed;
}

void core_recover(struct core *core, int64_t now_ns, enum continuity continuity,
                  const struct host_observation *observed, size_t n_observed, struct decision *ret)
{
    for (size_t i = 0; i < n_observed; i++) {
        const struct host_observation *seen = &observed[i];
        if (!is_known(core, seen->container_id, seen->exec_id))
            keep_unclaimed(core, seen);
    }
    struct container *container, *next;
    HASH_ITER(hh, core->state.containers, container, next)
    recover_container(core, container, find_observation(observed, n_observed, container->id), continuity,
                      now_ns, ret);
    struct exec *exec, *next_exec;
    HASH_ITER(hh, core->state.execs, exec, next_exec)
    recover_exec(core, exec, find_exec_observation(observed, n_observed, exec->id), continuity, now_ns, ret);
    destroy_unclaimed(core, now_ns, ret);
}
