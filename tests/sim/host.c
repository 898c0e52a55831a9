/* SPDX-License-Identifier: Apache-2.0 */
/* Opening, closing, the registry, signals, exits, removal: host_linux.c and host_linux_exit.c. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/host_parts.h"

/* --- the registry and operations --- */

struct entry *entry_find(const struct host *host, const char *id)
{
    for (struct entry *entry = host->entries; entry != NULL; entry = entry->next)
        if (strcmp(entry->id, id) == 0)
            return entry;
    return NULL;
}

struct entry *entry_get(struct host *host, const char *id)
{
    struct entry *entry = entry_find(host, id);
    if (entry != NULL)
        return entry;
    entry = sim_alloc(sizeof(*entry));
    entry->host = host;
    snprintf(entry->id, sizeof(entry->id), "%s", id);
    entry->next = host->entries;
    host->entries = entry;
    return entry;
}

static void entry_free(struct entry *entry)
{
    entry_unwatch(entry);
    task_cancel(&entry->gone);
    struct entry **at = &entry->host->entries;
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    free(entry);
}

void entry_drop_if_done_with(struct entry *entry)
{
    if (entry->queue == NULL && entry->trash == NULL)
        entry_free(entry);
}

static void on_step(void *data)
{
    struct host_op *op = data;
    struct process *process = op->host->process;
    if (!process_point(process))
        return;
    bool finished = op->step == NULL || op->step(op);
    if (!process_point(process))
        return;
    if (!finished)
        op_continue(op);
    else if (op->done != NULL)
        op->done(op);
}

void op_continue(struct host_op *op)
{
    task_schedule(&op->task, op->host->process, process_latency_ns(op->host->process), on_step, op);
}

void op_begin(struct host *host, struct entry *entry, struct host_op *op)
{
    op->host = host;
    op->entry = entry;
    op->next = NULL;
    host->n_busy++;
    struct host_op **last = entry != NULL ? &entry->queue : &host->loose;
    while (*last != NULL)
        last = &(*last)->next;
    *last = op;
    if (entry == NULL || entry->queue == op)
        op_continue(op);
}

void op_finish(struct host_op *op)
{
    task_cancel(&op->task);
    struct host_op **at = op->entry != NULL ? &op->entry->queue : &op->host->loose;
    while (*at != op)
        at = &(*at)->next;
    *at = op->next;
    if (op->entry != NULL && op->entry->queue != NULL && !op->host->process->dead)
        op_continue(op->entry->queue);
    host_unbusy(op->host);
}

/* --- opening and closing --- */

static bool has_evidence(const struct sim_dir *dir)
{
    return dir->now[FILE_SHIM].present || dir->now[FILE_EXIT].present || dir->now[FILE_LAUNCH].present;
}

/* settle_trash and clear_store: a removal whose exit record is still there is done again. */
static void clear_leftovers(struct machine *machine)
{
    struct sim_dir *next;
    for (struct sim_dir *dir = machine->dirs; dir != NULL; dir = next) {
        next = dir->next;
        if (!dir->trash)
            continue;
        if (has_evidence(dir) && machine_dir(machine, dir->id, false) == NULL)
            dir->trash = false;
        else
            machine_remove_dir(machine, dir);
    }
}

int host_open(struct host **ret, uv_loop_t *loop, const struct host_options *options, struct err *err)
{
    struct process *process = loop->data;
    if (!process_point(process))
        return err_set(err, ERR_UNAVAILABLE, "the process is dead");
    struct host *host = sim_alloc(sizeof(*host));
    host->process = process;
    host->machine = process->machine;
    host->on_exit = options->on_exit;
    host->data = options->data;
    snprintf(host->boot_id, sizeof(host->boot_id), "machine-%d-boot-%d", host->machine->number,
             host->machine->boot);
    clear_leftovers(host->machine);
    process->host = host;
    *ret = host;
    return 0;
}

static void free_host(struct host *host)
{
    while (host->entries != NULL)
        entry_free(host->entries);
    task_cancel(&host->close);
    host->process->host = NULL;
    void (*on_closed)(void *) = host->on_closed;
    void *data = host->on_closed_data;
    free(host);
    if (on_closed != NULL)
        on_closed(data);
}

static void on_close(void *data)
{
    host_unbusy(data);
}

void host_unbusy(struct host *host)
{
    if (--host->n_busy == 0 && host->closing)
        free_host(host);
}

void host_close(struct host *host, void (*on_closed)(void *data), void *data)
{
    host->closing = true;
    host->on_closed = on_closed;
    host->on_closed_data = data;
    for (struct entry *entry = host->entries; entry != NULL; entry = entry->next)
        entry_unwatch(entry);
    host->n_busy++;
    task_schedule(&host->close, host->process, 0, on_close, host);
}

static struct host_op *any_op(struct host *host)
{
    for (struct entry *entry = host->entries; entry != NULL; entry = entry->next)
        if (entry->queue != NULL)
            return entry->queue;
    for (struct entry *entry = host->entries; entry != NULL; entry = entry->next) {
        struct host_op *held = entry->held;
        entry->held = NULL;
        if (held == NULL)
            continue;
        op_begin(host, entry, held);
        return held;
    }
    return host->loose;
}

bool host_bury(struct process *process)
{
    struct host *host = process->host;
    struct host_op *op = host != NULL ? any_op(host) : NULL;
    if (op != NULL) {
        op->fail(op);
        return true;
    }
    if (host == NULL || !host->closing)
        return false;
    host_unbusy(host); /* what host_close has counted */
    return true;
}

const char *host_boot_id(const struct host *host)
{
    return host->boot_id;
}

/* --- exits --- */

static void name_exit(struct host_exit *exit, const struct entry *entry)
{
    bool is_exec = entry->exec_of[0] != '\0';
    snprintf(exit->container_id, sizeof(exit->container_id), "%s", is_exec ? entry->exec_of : entry->id);
    snprintf(exit->exec_id, sizeof(exit->exec_id), "%s", is_exec ? entry->id : "");
}

void exit_from_record(struct host_exit *ret, const struct entry *entry, const struct sim_file *record)
{
    *ret = (struct host_exit){.incarnation = record->incarnation,
                              .reason = record->signal == 0                               ? "exited"
                                        : record->oom_killed && record->signal == SIGKILL ? "oom-killed"
                                                                                          : "signaled",
                              .exit_code = record->exit_code,
                              .signal = record->signal,
                              .oom_killed = record->oom_killed,
                              .finished_at_ns = record->finished_at_ns};
    name_exit(ret, entry);
}

void exit_unseen(struct host_exit *ret, const struct entry *entry, int64_t incarnation, const char *reason)
{
    *ret = (struct host_exit){.incarnation = incarnation, .reason = reason, .exit_code = -1};
    name_exit(ret, entry);
    snprintf(ret->observed, sizeof(ret->observed), "the shim is gone");
}

static bool step_cleanup(struct host_op *op)
{
    machine_remove_cgroup(op->host->machine, op->entry->id);
    return true;
}

static void done_cleanup(struct host_op *op)
{
    op_finish(op);
    free(op);
}

/* An exec's cgroup is its container's. */
void host_cleanup_begin(struct entry *entry)
{
    if (entry->exec_of[0] != '\0')
        return;
    struct host_op *op = sim_alloc(sizeof(*op));
    op->step = step_cleanup;
    op->done = op->fail = done_cleanup;
    op_begin(entry->host, entry, op);
}

static void find_exit(struct entry *entry)
{
    const struct sim_dir *dir = machine_dir(entry->host->machine, entry->id, false);
    if (dir != NULL && file_is_whole(&dir->now[FILE_EXIT]) &&
        dir->now[FILE_EXIT].incarnation == entry->record.incarnation)
        exit_from_record(&entry->exit, entry, &dir->now[FILE_EXIT]);
    else
        exit_unseen(&entry->exit, entry, entry->record.incarnation, "shim-lost");
}

static bool clears_cgroup(const struct host_op *queue)
{
    while (queue != NULL && queue->adjusts)
        queue = queue->next;
    return queue != NULL;
}

static void on_gone(void *data)
{
    struct entry *entry = data;
    struct host *host = entry->host;
    if (!process_point(host->process))
        return;
    find_exit(entry);
    sim_note("exit of %.12s/%lld is told", entry->id, (long long)entry->record.incarnation);
    entry->state = ENTRY_EXITED;
    entry->owed = true;
    struct host_exit exit = entry->exit;
    host->n_busy++;
    host->on_exit(&exit, host->data);
    const char *id = exit.exec_id[0] != '\0' ? exit.exec_id : exit.container_id;
    if (!host->process->dead && entry_find(host, id) == entry && !clears_cgroup(entry->queue))
        host_cleanup_begin(entry);
    host_unbusy(host);
}

void host_shim_gone(struct entry *entry)
{
    entry->shim = NULL;
    if (!entry->host->process->dead)
        task_schedule(&entry->gone, entry->host->process, process_latency_ns(entry->host->process), on_gone,
                      entry);
}

void entry_watch(struct entry *entry, struct shim *shim)
{
    entry->state = ENTRY_RUNNING;
    entry->shim = shim;
    if (shim != NULL)
        shim->watcher = entry;
    else
        host_shim_gone(entry);
}

void entry_unwatch(struct entry *entry)
{
    task_cancel(&entry->gone);
    if (entry->shim != NULL)
        entry->shim->watcher = NULL;
    entry->shim = NULL;
}

/* --- signals --- */

bool record_is_alive(const struct host *host, const struct sim_file *record)
{
    return record->boot == host->machine->boot && shim_find(host->machine, record->shim_pid) != NULL;
}

int host_signal(struct host *host, const char *container_id, int64_t incarnation, int signal, struct err *err)
{
    const struct entry *entry = entry_find(host, container_id);
    if (!process_point(host->process))
        return err_set(err, ERR_NOT_FOUND, "the process is dead");
    if (entry == NULL || entry->state != ENTRY_RUNNING || entry->record.incarnation != incarnation)
        return err_set(err, ERR_NOT_FOUND, "the container '%.12s' is not running", container_id);
    struct shim *shim = shim_find(host->machine, entry->record.shim_pid);
    if (shim == NULL || !shim->pid_alive)
        return err_set(err, ERR_NOT_FOUND, "the container '%.12s' has just ended", container_id);
    sim_note("signal %d to %.12s/%lld", signal, container_id, (long long)incarnation);
    shim_signal(shim, signal);
    process_point(host->process);
    return 0;
}

bool kill_by_record(struct host *host, const char *id)
{
    const struct sim_dir *dir = machine_dir(host->machine, id, false);
    if (dir == NULL || !file_is_whole(&dir->now[FILE_SHIM]) ||
        dir->now[FILE_SHIM].boot != host->machine->boot)
        return true;
    struct shim *shim = shim_find(host->machine, dir->now[FILE_SHIM].shim_pid);
    if (shim == NULL)
        return true;
    shim_kill_container(shim, false);
    return false;
}

/* --- removal --- */

struct trash_op {
    struct host_op op;
    struct sim_dir *dir;
};

/* What tells of an incarnation, in the order in which it is deleted. */
static const int evidence[] = {FILE_SHIM, FILE_EXIT, FILE_LAUNCH};

/* The evidence first, then the rest. */
static bool step_trash(struct host_op *op)
{
    struct trash_op *trash = (struct trash_op *)op;
    if (op->stage < DIR_FILES) {
        file_unlink(&trash->dir->now[evidence[op->stage++]]);
        return false;
    }
    machine_remove_dir(op->host->machine, trash->dir);
    return true;
}

static void done_trash(struct host_op *op)
{
    op_finish(op);
    free(op);
}

void trash_begin(struct host *host, struct sim_dir *dir)
{
    struct trash_op *trash = sim_alloc(sizeof(*trash));
    trash->dir = dir;
    trash->op.step = step_trash;
    trash->op.done = trash->op.fail = done_trash;
    op_begin(host, NULL, &trash->op);
}

struct remove_op {
    struct host_op op;
    struct sim_dir *trash; /* what was renamed aside */
    host_done_cb cb;
    void *data;
};

enum remove_stage { REMOVE_CLAIM, REMOVE_KILL, REMOVE_CGROUP, REMOVE_RENAME };

static bool step_remove(struct host_op *op)
{
    struct remove_op *remove = (struct remove_op *)op;
    struct machine *machine = op->host->machine;
    const char *id = op->entry->id;
    switch ((enum remove_stage)op->stage) {
    case REMOVE_CLAIM:
        if (op->entry->exec_of[0] != '\0')
            claim_exec(op->host, id);
        op->stage++;
        return false;
    case REMOVE_KILL:
        if (kill_by_record(op->host, id))
            op->stage++;
        return false;
    case REMOVE_CGROUP:
        machine_remove_cgroup(machine, id);
        op->stage++;
        return false;
    case REMOVE_RENAME:
        break;
    }
    struct sim_dir *dir = machine_dir(machine, id, false);
    if (dir == NULL)
        return true;
    if (machine_dir(machine, id, true) != NULL) {
        machine_remove_dir(machine, dir);
        return true;
    }
    dir->trash = true;
    remove->trash = dir;
    return true;
}

static void done_remove(struct host_op *op)
{
    struct remove_op *remove = (struct remove_op *)op;
    struct entry *entry = op->entry;
    struct host *host = op->host;
    host->n_busy++;
    entry->state = ENTRY_IDLE;
    entry->record = (struct sim_file){.present = false};
    remove->cb(NULL, remove->data);
    op_finish(op);
    sim_note("removed %.12s%s", entry->id, entry->owed ? ", its exit is owed" : "");
    if (remove->trash != NULL && entry->owed && entry->trash == NULL)
        entry->trash = remove->trash;
    else if (remove->trash != NULL)
        trash_begin(host, remove->trash);
    entry_drop_if_done_with(entry);
    free(remove);
    host_unbusy(host);
}

static void fail_remove(struct host_op *op)
{
    struct remove_op *remove = (struct remove_op *)op;
    struct err err = ERR_INIT;
    err_set(&err, ERR_UNAVAILABLE, "the process is dead");
    op->host->n_busy++;
    struct host *host = op->host;
    remove->cb(&err, remove->data);
    op_finish(op);
    free(remove);
    host_unbusy(host);
}

int host_remove(struct host *host, const char *container_id, host_done_cb cb, void *data, struct err *err)
{
    if (!process_point(host->process))
        return err_set(err, ERR_UNAVAILABLE, "the process is dead");
    struct entry *entry = entry_get(host, container_id);
    struct remove_op *remove = sim_alloc(sizeof(*remove));
    entry_unwatch(entry);
    *remove = (struct remove_op){.cb = cb, .data = data};
    remove->op.step = step_remove;
    remove->op.done = done_remove;
    remove->op.fail = fail_remove;
    op_begin(host, entry, &remove->op);
    return 0;
}

void host_forget_exit(struct host *host, const char *container_id, int64_t incarnation)
{
    struct entry *entry = entry_find(host, container_id);
    if (!process_point(host->process))
        return;
    bool any = incarnation == HOST_ANY_INCARNATION;
    if (entry != NULL && entry->trash != NULL && (any || entry->exit.incarnation == incarnation)) {
        trash_begin(host, entry->trash);
        entry->trash = NULL;
        entry->owed = false;
        entry_drop_if_done_with(entry);
        return;
    }
    if (entry == NULL || entry->state != ENTRY_EXITED || (!any && entry->record.incarnation != incarnation))
        return;
    entry->state = ENTRY_IDLE;
    entry->owed = false;
    struct sim_dir *dir = machine_dir(host->machine, container_id, false);
    for (size_t i = 0; dir != NULL && i < DIR_FILES; i++)
        if (process_point(host->process))
            file_unlink(&dir->now[evidence[i]]);
    struct host_op *held = entry->held;
    entry->held = NULL;
    if (held != NULL && !host->process->dead) {
        entry->state = ENTRY_LAUNCHING;
        op_begin(host, entry, held);
    } else {
        entry->held = held;
    }
}

void host_keep_exit(struct host *host, const char *container_id, int64_t incarnation)
{
    struct entry *entry = entry_find(host, container_id);
    if (process_point(host->process) && entry != NULL && entry->state == ENTRY_EXITED &&
        entry->record.incarnation == incarnation)
        entry->owed = true;
}

int host_container_dir(const struct host *host, const char *container_id, struct err *err)
{
    (void)host;
    return err_set(err, ERR_NOT_FOUND, "'%s' has no files here", container_id);
}
