/* SPDX-License-Identifier: Apache-2.0 */
/* One more command in a container, step by step as host_linux_exec.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/host_parts.h"

enum exec_stage {
    EXEC_DIRECTORY,
    EXEC_CLAIM, /* what an interrupted start left */
    EXEC_RENEW,
    EXEC_INTENT,
    EXEC_PLAN,
    EXEC_FORK,
    EXEC_GO,
};

/* In whatever boot that was: it is never started again. */
static bool was_started_before(struct launch_op *launch, const struct sim_dir *dir)
{
    const struct sim_file *shim = &dir->now[FILE_SHIM], *exit = &dir->now[FILE_EXIT];
    if (file_is_whole(shim) && record_is_alive(launch->op.host, shim))
        shim_hurry(shim_find(launch->op.host->machine, shim->shim_pid));
    if (!file_is_whole(shim))
        return false;
    launch->record = *shim;
    launch->ended = !record_is_alive(launch->op.host, shim);
    if (launch->ended && file_is_whole(exit) && exit->incarnation == shim->incarnation)
        launch->exit = *exit;
    return true;
}

bool claim_exec(struct host *host, const char *exec_id)
{
    struct sim_dir *dir = machine_dir(host->machine, exec_id, false);
    if (dir == NULL)
        return true;
    if (dir->now[FILE_SHIM].present)
        return false;
    dir->now[FILE_SHIM] = (struct sim_file){.present = true, .torn = true};
    return true;
}

static bool step_directory(struct launch_op *launch)
{
    const struct sim_dir *dir = launch_dir(launch);
    if (dir == NULL) {
        machine_make_dir(launch->op.host->machine, launch->op.entry->id);
        launch->op.stage = EXEC_INTENT;
    }
    launch->already = dir != NULL && was_started_before(launch, dir);
    return launch->already;
}

static bool step_claim(struct launch_op *launch)
{
    launch->already =
        !claim_exec(launch->op.host, launch->op.entry->id) && was_started_before(launch, launch_dir(launch));
    return launch->already;
}

static void write_intent(struct launch_op *launch)
{
    struct sim_file *intent = &launch_dir(launch)->now[FILE_LAUNCH];
    *intent = (struct sim_file){.present = true,
                                .incarnation = launch->incarnation,
                                .command_offset = launch->command_offset,
                                .boot = launch->op.host->machine->boot};
    memcpy(intent->exec_of, launch->result.container_id, sizeof(intent->exec_of));
}

static bool fork_shim(struct launch_op *launch)
{
    struct machine *machine = launch->op.host->machine;
    const char *container_id = launch->result.container_id;
    const struct shim *container = shim_of(machine, container_id);
    if (!machine_has_cgroup(machine, container_id))
        return launch_fail(launch, 125, "setup-failed", "cannot open the cgroup of the container");
    launch->shim = shim_fork_exec(machine, launch_dir(launch), launch->op.entry->id, container_id,
                                  launch->incarnation, launch->target_pid);
    launch->shim->op = launch;
    if (container == NULL || container->pid != launch->target_pid || !container->pid_alive)
        shim_kill_container(launch->shim, false); /* there is nothing to join */
    return launch->shim->behaviour.kind == CANNOT_SET_UP &&
           launch_fail(launch, 125, "setup-failed", "the user cannot be found");
}

static bool step_exec(struct host_op *op)
{
    struct launch_op *launch = (struct launch_op *)op;
    switch ((enum exec_stage)op->stage++) {
    case EXEC_DIRECTORY:
        return step_directory(launch);
    case EXEC_CLAIM:
        return step_claim(launch);
    case EXEC_RENEW:
        machine_remove_dir(op->host->machine, launch_dir(launch));
        machine_make_dir(op->host->machine, op->entry->id);
        return false;
    case EXEC_INTENT:
        write_intent(launch);
        return false;
    case EXEC_PLAN:
        return launch->target_pid == 0 &&
               launch_fail(launch, 125, "not-running", "the container has just ended");
    case EXEC_FORK:
        return fork_shim(launch);
    case EXEC_GO:
        break;
    }
    if (launch->shim != NULL) {
        shim_go(launch->shim);
        shim_layers_ready(launch->shim);
    }
    return true;
}

/* The first process of that incarnation, if it still runs. */
static int64_t find_target(const struct host *host, const char *container_id, int64_t incarnation)
{
    const struct entry *container = entry_find(host, container_id);
    if (container == NULL || container->state != ENTRY_RUNNING ||
        container->record.incarnation != incarnation)
        return 0;
    const struct shim *shim = shim_find(host->machine, container->record.shim_pid);
    return shim != NULL && shim->pid_alive ? shim->pid : 0;
}

void host_output_begins(const struct host *host, const char *id, char *ret, size_t size)
{
    (void)host;
    snprintf(ret, size, "what %.12s wrote", id);
}

int host_exec(struct host *host, const struct host_exec *request, host_launched_cb cb, void *data,
              struct err *err)
{
    if (!process_point(host->process))
        return err_set(err, ERR_UNAVAILABLE, "the process is dead");
    struct entry *entry = entry_get(host, request->exec_id);
    struct launch_op *launch =
        launch_new(cb, data, request->container_id, request->exec_id, request->incarnation);
    snprintf(entry->exec_of, sizeof(entry->exec_of), "%s", request->container_id);
    launch->command_offset = request->command_offset;
    launch->op.step = step_exec;
    if (entry->state == ENTRY_RUNNING || entry->state == ENTRY_EXITED) {
        launch->op.step = NULL;
        launch->already = launch->known = true;
        launch->record = entry->record;
    } else {
        launch->target_pid = find_target(host, request->container_id, request->incarnation);
        entry->state = ENTRY_LAUNCHING;
    }
    op_begin(host, entry, &launch->op);
    return 0;
}
