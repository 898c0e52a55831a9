/* SPDX-License-Identifier: Apache-2.0 */
/* Starting an incarnation, step by step as host_linux_launch.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/host_parts.h"

enum launch_stage {
    LAUNCH_DIRECTORY,
    LAUNCH_KILL, /* what an interrupted start, or the incarnation before, left */
    LAUNCH_CLEAR,
    LAUNCH_INTENT,
    LAUNCH_IMAGE,
    LAUNCH_CGROUP2,
    LAUNCH_FORK,
    LAUNCH_LAYERS,
    LAUNCH_CGROUP1,
    LAUNCH_GO,
};

struct sim_dir *launch_dir(const struct launch_op *launch)
{
    return machine_dir(launch->op.host->machine, launch->op.entry->id, false);
}

bool launch_fail(struct launch_op *launch, int exit_code, const char *code, const char *message)
{
    launch->failed = true;
    launch->result.ok = false;
    launch->result.exit_code = exit_code;
    launch->result.code = code;
    snprintf(launch->result.message, sizeof(launch->result.message), "%s", message);
    return true;
}

static bool was_started_before(struct launch_op *launch, const struct sim_dir *dir)
{
    const struct sim_file *shim = &dir->now[FILE_SHIM], *exit = &dir->now[FILE_EXIT];
    if (!file_is_whole(shim) || shim->incarnation != launch->incarnation ||
        shim->boot != launch->op.host->machine->boot)
        return false;
    if (record_is_alive(launch->op.host, shim))
        shim_hurry(shim_find(launch->op.host->machine, shim->shim_pid));
    if (!file_is_whole(shim))
        return false;
    launch->record = *shim;
    launch->ended = file_is_whole(exit) && exit->incarnation == launch->incarnation;
    if (launch->ended)
        launch->exit = *exit;
    if (record_is_alive(launch->op.host, shim))
        launch->ended = false; /* it is known once the shim has ended */
    return launch->ended || record_is_alive(launch->op.host, shim);
}

static bool step_directory(struct launch_op *launch)
{
    struct sim_dir *dir = launch_dir(launch);
    launch->op.stage = LAUNCH_KILL;
    if (dir == NULL) {
        machine_make_dir(launch->op.host->machine, launch->op.entry->id);
        launch->op.stage = LAUNCH_INTENT;
    } else if (was_started_before(launch, dir)) {
        launch->already = true;
        return true;
    }
    return false;
}

static void clear(struct launch_op *launch)
{
    struct sim_dir *dir = launch_dir(launch);
    machine_remove_cgroup(launch->op.host->machine, launch->op.entry->id);
    file_unlink(&dir->now[FILE_SHIM]);
    file_unlink(&dir->now[FILE_EXIT]);
    dir->marked = false;
}

static void write_intent(struct launch_op *launch)
{
    launch_dir(launch)->now[FILE_LAUNCH] = (struct sim_file){.present = true,
                                                             .incarnation = launch->incarnation,
                                                             .command_offset = launch->command_offset,
                                                             .boot = launch->op.host->machine->boot};
}

static bool step_shim(struct launch_op *launch)
{
    struct machine *machine = launch->op.host->machine;
    const char *id = launch->op.entry->id;
    switch ((enum launch_stage)launch->op.stage++) {
    case LAUNCH_FORK:
        launch->shim = shim_fork(machine, launch_dir(launch), id, launch->incarnation);
        launch->shim->op = launch;
        launch->shim->memory = launch->memory;
        if (launch->shim->behaviour.kind == CANNOT_SET_UP)
            return launch_fail(launch, 125, "setup-failed", "the container's layers cannot be made");
        return false;
    case LAUNCH_LAYERS:
        if (launch->shim != NULL)
            shim_layers_ready(launch->shim);
        return false;
    case LAUNCH_CGROUP1:
        if (!sim->plan->setting.cgroup2)
            machine_make_cgroup(machine, id);
        return false;
    case LAUNCH_GO:
        if (launch->shim != NULL)
            shim_go(launch->shim);
        return true;
    case LAUNCH_DIRECTORY:
    case LAUNCH_KILL:
    case LAUNCH_CLEAR:
    case LAUNCH_INTENT:
    case LAUNCH_IMAGE:
    case LAUNCH_CGROUP2:
        break;
    }
    return true;
}

static bool step_launch(struct host_op *op)
{
    struct launch_op *launch = (struct launch_op *)op;
    switch ((enum launch_stage)op->stage) {
    case LAUNCH_DIRECTORY:
        return step_directory(launch);
    case LAUNCH_KILL:
        if (kill_by_record(op->host, op->entry->id))
            op->stage++;
        return false;
    case LAUNCH_CLEAR:
        clear(launch);
        break;
    case LAUNCH_INTENT:
        write_intent(launch);
        break;
    case LAUNCH_IMAGE:
        if (!machine_has_image(op->host->machine, launch->digest))
            return launch_fail(launch, 125, "image-missing",
                               "the contents of the image are not in the store");
        break;
    case LAUNCH_CGROUP2:
        if (sim->plan->setting.cgroup2)
            machine_make_cgroup(op->host->machine, op->entry->id);
        break;
    case LAUNCH_FORK:
    case LAUNCH_LAYERS:
    case LAUNCH_CGROUP1:
    case LAUNCH_GO:
        return step_shim(launch);
    }
    op->stage++;
    return false;
}

/* --- the answer --- */

static void finish_launch(struct launch_op *launch)
{
    struct entry *entry = launch->op.entry;
    struct host *host = launch->op.host;
    if (entry->state == ENTRY_LAUNCHING)
        entry->state = ENTRY_IDLE;
    bool tell_exit = launch->already && entry->state == ENTRY_EXITED;
    entry->owed |= tell_exit;
    struct host_exit exit = entry->exit;
    host->n_busy++;
    op_finish(&launch->op);
    task_cancel(&launch->answer);
    launch->cb(&launch->result, launch->data);
    if (tell_exit && !host->closing && !host->process->dead)
        host->on_exit(&exit, host->data);
    host_unbusy(host);
    free(launch);
}

/* The shim is waited for, then the cgroup goes; an exec has a directory that nobody needs instead. */
static bool step_undo(struct host_op *op)
{
    struct launch_op *launch = (struct launch_op *)op;
    struct sim_dir *dir = launch_dir(launch);
    if (launch->shim != NULL)
        return false;
    if (launch->result.exec_id[0] == '\0')
        machine_remove_cgroup(op->host->machine, op->entry->id);
    else if (dir != NULL)
        machine_remove_dir(op->host->machine, dir);
    return true;
}

static void done_undo(struct host_op *op)
{
    finish_launch((struct launch_op *)op);
}

static void undo(struct launch_op *launch)
{
    if (launch->shim != NULL && !launch->shim->go)
        shim_hang_up(launch->shim), launch->shim->op = launch;
    launch->op.step = step_undo;
    launch->op.done = done_undo;
    op_continue(&launch->op);
}

static void succeed(struct launch_op *launch)
{
    struct entry *entry = launch->op.entry;
    launch->result.ok = true;
    launch->result.incarnation = launch->record.incarnation;
    launch->result.pid = launch->record.pid;
    launch->result.shim_pid = launch->record.shim_pid;
    launch->result.started_at_ns = launch->record.started_at_ns;
    if (launch->known) {
        finish_launch(launch);
        return;
    }
    entry->record = launch->record;
    entry->owed = false;
    if (launch->ended) {
        entry->state = ENTRY_EXITED;
        if (launch->exit.present)
            exit_from_record(&entry->exit, entry, &launch->exit);
        else
            exit_unseen(&entry->exit, entry, launch->record.incarnation,
                        launch->record.boot == launch->op.host->machine->boot ? "shim-lost" : "host-restart");
    } else if (!launch->op.host->closing && entry->shim == NULL) {
        entry_watch(entry, shim_find(launch->op.host->machine, launch->record.shim_pid));
    }
    finish_launch(launch);
}

/* The status pipe has said its word, or was closed without one. */
static void on_answer(void *data)
{
    struct launch_op *launch = data;
    if (!process_point(launch->op.host->process))
        return;
    if (launch->ok) {
        if (launch->shim != NULL)
            launch->shim->op = NULL;
        succeed(launch);
        return;
    }
    if (launch->shim != NULL && launch->shim->behaviour.kind == NOT_EXECUTABLE)
        launch_fail(launch, 126, "not-executable", "it is not an executable file");
    else if (launch->result.code == NULL)
        launch_fail(launch, 127, "command-not-found", "not found in the image's PATH");
    undo(launch);
}

static void hear(struct launch_op *launch)
{
    if (launch->waiting && launch->answered && !launch->op.host->process->dead)
        task_schedule(&launch->answer, launch->op.host->process, process_latency_ns(launch->op.host->process),
                      on_answer, launch);
}

void launch_answered(struct launch_op *launch, bool ok)
{
    if (launch->answered)
        return;
    const struct shim *shim = launch->shim;
    launch->answered = true;
    launch->ok = ok;
    if (ok)
        launch->record = shim->dir->now[FILE_SHIM];
    hear(launch);
}

void launch_shim_gone(struct launch_op *launch)
{
    if (!launch->answered) {
        launch_fail(launch, 125, "setup-failed", "the shim ended before the container ran");
        launch->answered = true;
        hear(launch);
    }
    launch->shim = NULL;
}

static void done_launch(struct host_op *op)
{
    struct launch_op *launch = (struct launch_op *)op;
    launch->waiting = true;
    if (launch->already)
        succeed(launch);
    else if (launch->failed && !launch->answered)
        undo(launch);
    else
        hear(launch);
}

/* The runtime is dead: its pipes are closed, the shim goes on or gives up. */
static void fail_launch(struct host_op *op)
{
    struct launch_op *launch = (struct launch_op *)op;
    if (launch->shim != NULL)
        shim_hang_up(launch->shim);
    launch->shim = NULL;
    launch->already = false;
    launch_fail(launch, 125, "setup-failed", "the process is dead");
    finish_launch(launch);
}

struct launch_op *launch_new(host_launched_cb cb, void *data, const char *container_id, const char *exec_id,
                             int64_t incarnation)
{
    struct launch_op *launch = sim_alloc(sizeof(*launch));
    launch->cb = cb;
    launch->data = data;
    launch->incarnation = launch->result.incarnation = incarnation;
    snprintf(launch->result.container_id, sizeof(launch->result.container_id), "%s", container_id);
    snprintf(launch->result.exec_id, sizeof(launch->result.exec_id), "%s", exec_id);
    launch->op.done = done_launch;
    launch->op.fail = fail_launch;
    return launch;
}

static bool is_known(const struct entry *entry, int64_t incarnation)
{
    return (entry->state == ENTRY_RUNNING || entry->state == ENTRY_EXITED) &&
           entry->record.incarnation == incarnation;
}

int host_launch(struct host *host, const struct host_launch *request, host_launched_cb cb, void *data,
                struct err *err)
{
    if (!process_point(host->process))
        return err_set(err, ERR_UNAVAILABLE, "the process is dead");
    struct entry *entry = entry_get(host, request->container_id);
    struct launch_op *launch = launch_new(cb, data, request->container_id, "", request->incarnation);
    launch->command_offset = request->command_offset;
    launch->memory = request->spec->memory;
    snprintf(launch->digest, sizeof(launch->digest), "%s", request->image->digest);
    launch->op.step = step_launch;
    if (is_known(entry, request->incarnation)) {
        launch->op.step = NULL;
        launch->already = launch->known = true;
        launch->record = entry->record;
    } else if (entry->owed && entry->held == NULL) {
        launch->op.host = host;
        launch->op.entry = entry;
        entry->held = &launch->op; /* it would destroy the only evidence of the exit before */
        return 0;
    } else {
        entry_unwatch(entry);
        entry->state = ENTRY_LAUNCHING;
    }
    op_begin(host, entry, &launch->op);
    return 0;
}
