/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulated shim and the process it watches over; the steps and their order are those of
 * runtime/shim/main.c.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tests/sim/host_parts.h"
#include "tests/sim/machine.h"

static int64_t short_ns(struct machine *machine)
{
    return rng_chance(&machine->rng, 5) ? rng_between(&machine->rng, 1, 40) * MS_NS
                                        : rng_between(&machine->rng, 0, 800) * US_NS;
}

static void next_step(struct shim *shim, void (*run)(void *))
{
    task_schedule(&shim->shim_task, NULL, short_ns(shim->machine), run, shim);
}

/* Drawn from the container and its incarnation alone, so that it does the same whenever it is started. */
static struct behaviour draw_behaviour(const char *id, int64_t incarnation)
{
    uint64_t number =
        strtoull((char[]){id[0], id[1], id[2], id[3], id[4], id[5], id[6], id[7], '\0'}, NULL, 16);
    struct rng rng = rng_make(sim->plan->seed, RNG_CONTAINER, number * 1000 + (uint64_t)incarnation);
    struct behaviour ret = {.kind = RUNS, .stop_ns = rng_between(&rng, 0, 2000) * US_NS};
    uint64_t draw = rng_below(&rng, 100);
    ret.exit_code = rng_chance(&rng, 50) ? 0 : (int)rng_between(&rng, 1, 255);
    ret.handles_stop = rng_chance(&rng, 30);
    ret.ignores_stop = !ret.handles_stop && rng_chance(&rng, 20);
    if (rng_chance(&rng, 10))
        ret.stop_ns = rng_between(&rng, 100, 12000) * MS_NS;
    if (draw < 4)
        ret.kind = NOT_FOUND;
    else if (draw < 6)
        ret.kind = NOT_EXECUTABLE;
    else if (draw < 8)
        ret.kind = CANNOT_SET_UP;
    else if (draw < 20)
        ret.life_ns = rng_between(&rng, 1, 300) * US_NS;
    else if (draw < 45)
        ret.life_ns = rng_between(&rng, 1, 100) * MS_NS;
    else if (draw < 60)
        ret.life_ns = rng_between(&rng, 100, 12000) * MS_NS;
    /* so that the world comes to rest */
    if (sim->calm && ret.kind == RUNS)
        ret.life_ns = 0;
    return ret;
}

struct shim *shim_fork_exec(struct machine *machine, struct sim_dir *dir, const char *id, const char *exec_of,
                            int64_t incarnation, int64_t target_pid)
{
    struct shim *shim = sim_alloc(sizeof(*shim));
    snprintf(shim->exec_of, sizeof(shim->exec_of), "%s", exec_of);
    shim->target_pid = target_pid;
    shim->machine = machine;
    shim->dir = dir;
    snprintf(shim->id, sizeof(shim->id), "%s", id);
    shim->incarnation = incarnation;
    shim->shim_pid = machine->next_pid++;
    shim->pid = machine->next_pid++;
    shim->alive = shim->pid_alive = true;
    shim->behaviour = draw_behaviour(id, incarnation);
    shim->next = machine->shims;
    machine->shims = shim;
    sim_note("machine %d: shim %lld for %.12s/%lld", machine->number, (long long)shim->shim_pid, id,
             (long long)incarnation);
    return shim;
}

struct shim *shim_fork(struct machine *machine, struct sim_dir *dir, const char *id, int64_t incarnation)
{
    return shim_fork_exec(machine, dir, id, "", incarnation, 0);
}

struct shim *shim_find(const struct machine *machine, int64_t shim_pid)
{
    for (struct shim *shim = machine->shims; shim != NULL; shim = shim->next)
        if (shim->shim_pid == shim_pid)
            return shim;
    return NULL;
}

struct shim *shim_of(const struct machine *machine, const char *id)
{
    for (struct shim *shim = machine->shims; shim != NULL; shim = shim->next)
        if (strcmp(shim->id, id) == 0)
            return shim;
    return NULL;
}

static void shim_free(struct shim *shim)
{
    struct shim **at = &shim->machine->shims;
    while (*at != shim)
        at = &(*at)->next;
    *at = shim->next;
    task_cancel(&shim->shim_task);
    task_cancel(&shim->life);
    task_cancel(&shim->stop);
    free(shim);
}

void shims_free(struct machine *machine)
{
    while (machine->shims != NULL) {
        struct shim *shim = machine->shims;
        if (shim->watcher != NULL)
            shim->watcher->shim = NULL;
        if (shim->op != NULL)
            shim->op->shim = NULL;
        shim_free(shim);
    }
}

/* The shim's process has ended: its pidfd and its pipe tell. */
static void shim_gone(struct shim *shim)
{
    shim->alive = false;
    if (shim->op != NULL)
        launch_shim_gone(shim->op);
    if (shim->watcher != NULL)
        host_shim_gone(shim->watcher);
    shim_free(shim);
}

static struct sim_file *file_of(struct shim *shim, int which)
{
    static struct sim_file nowhere;
    return shim->dir != NULL ? &shim->dir->now[which] : &nowhere;
}

/* --- execs, which share their container's fate --- */

static bool is_exec(const struct shim *shim)
{
    return shim->exec_of[0] != '\0';
}

/* Those that end at once take themselves off the list. */
static void for_each_exec(struct machine *machine, const char *container_id, void (*act)(struct shim *shim))
{
    struct shim *next;
    for (struct shim *shim = machine->shims; shim != NULL; shim = next) {
        next = shim->next;
        if (strcmp(shim->exec_of, container_id) == 0)
            act(shim);
    }
}

static void kill_exec(struct shim *shim)
{
    shim_kill_container(shim, false);
}

static void freeze_exec(struct shim *shim)
{
    shim->frozen = true;
}

void execs_kill(struct machine *machine, const char *container_id)
{
    for_each_exec(machine, container_id, kill_exec);
}

void execs_freeze(struct machine *machine, const char *container_id)
{
    for_each_exec(machine, container_id, freeze_exec);
}

void execs_thaw(struct machine *machine, const char *container_id)
{
    for_each_exec(machine, container_id, shim_thaw);
}

/* Whether what it joins is still there. */
static bool has_place(const struct shim *shim)
{
    const struct shim *container = is_exec(shim) ? shim_of(shim->machine, shim->exec_of) : NULL;
    return !is_exec(shim) ||
           (container != NULL && container->pid == shim->target_pid && container->pid_alive);
}

/* --- the start --- */

static void give_up(void *data)
{
    struct shim *shim = data;
    shim->pid_alive = false;
    file_unlink(file_of(shim, FILE_SHIM));
    file_unlink(file_of(shim, FILE_EXIT));
    if (shim->op != NULL)
        launch_answered(shim->op, false);
    shim_gone(shim);
}

static void on_life_over(void *data)
{
    struct shim *shim = data;
    shim->life_is_over = true;
    if (!shim->frozen)
        shim_signal(shim, 0);
}

static void note_execution(struct shim *shim)
{
    struct machine *machine = shim->machine;
    for (struct truth *truth = machine->truths; truth != NULL; truth = truth->next) {
        if (strcmp(truth->id, shim->id) == 0 && is_exec(shim) && !truth->forgotten)
            sim_fail("exec %.12s is executed twice", shim->id);
        if (strcmp(truth->id, shim->id) != 0 || truth->boot != machine->boot)
            continue;
        if (!truth->ended)
            sim_fail("container %.12s runs twice at once", shim->id);
        if (truth->incarnation == shim->incarnation && truth->recorded)
            sim_fail("incarnation %lld of %.12s is executed again, though its exit was recorded",
                     (long long)shim->incarnation, shim->id);
    }
    struct truth *truth = sim_alloc(sizeof(*truth));
    *truth = (struct truth){.machine = machine,
                            .incarnation = shim->incarnation,
                            .boot = machine->boot,
                            .pid = shim->pid,
                            .next = machine->truths};
    memcpy(truth->id, shim->id, sizeof(truth->id));
    memcpy(truth->exec_of, shim->exec_of, sizeof(truth->exec_of));
    machine->truths = shim->truth = truth;
}

static void execute(void *data)
{
    struct shim *shim = data;
    if (shim->behaviour.kind != RUNS || !has_place(shim)) {
        give_up(shim);
        return;
    }
    const struct shim *container = shim_of(shim->machine, shim->exec_of);
    shim->stage = SHIM_RUNNING;
    shim->frozen = container != NULL && container->frozen; /* as a process that is moved into its cgroup is */
    note_execution(shim);
    sim_note("machine %d: %.12s/%lld runs as %lld", shim->machine->number, shim->id,
             (long long)shim->incarnation, (long long)shim->pid);
    if (shim->behaviour.life_ns > 0)
        task_schedule(&shim->life, NULL, shim->behaviour.life_ns, on_life_over, shim);
    if (shim->op != NULL)
        launch_answered(shim->op, true);
}

/* The exit record's space is taken first, then the shim says who it is. */
static void write_records(void *data)
{
    struct shim *shim = data;
    if (is_exec(shim) && (shim->dir == NULL || file_of(shim, FILE_SHIM)->present)) {
        give_up(shim); /* another start of it has claimed the record */
        return;
    }
    *file_of(shim, FILE_EXIT) = (struct sim_file){.present = true, .torn = true};
    *file_of(shim, FILE_SHIM) = (struct sim_file){.present = true,
                                                  .incarnation = shim->incarnation,
                                                  .boot = shim->machine->boot,
                                                  .shim_pid = shim->shim_pid,
                                                  .pid = shim->pid,
                                                  .started_at_ns = clock_realtime_ns()};
    shim->stage = SHIM_READY;
    if (shim->go)
        next_step(shim, execute);
}

void shim_layers_ready(struct shim *shim)
{
    shim->layers_go = true;
    next_step(shim, write_records);
}

void shim_go(struct shim *shim)
{
    shim->go = true;
    if (shim->stage == SHIM_READY)
        next_step(shim, execute);
}

void shim_hang_up(struct shim *shim)
{
    shim->op = NULL;
    if (!shim->go)
        next_step(shim, give_up);
}

void shim_hurry(struct shim *shim)
{
    if (shim->stage == SHIM_RUNNING || shim->stage == SHIM_ENDED)
        return;
    if (shim->go && shim->stage == SHIM_FORKED)
        write_records(shim);
    task_cancel(&shim->shim_task); /* what it was about to do is done now */
    if (shim->go)
        execute(shim);
    else
        give_up(shim);
}

/* --- the end --- */

static void end(void *data)
{
    shim_gone(data);
}

static void sync_record(void *data)
{
    struct shim *shim = data;
    if (shim->dir != NULL)
        shim->dir->disk[FILE_EXIT] = shim->dir->now[FILE_EXIT];
    next_step(shim, end);
}

static void write_exit(void *data)
{
    struct shim *shim = data;
    struct truth *truth = shim->truth;
    *file_of(shim, FILE_EXIT) = (struct sim_file){.present = true,
                                                  .incarnation = shim->incarnation,
                                                  .exit_code = truth->exit_code,
                                                  .signal = truth->signal,
                                                  .oom_killed = truth->oom_killed,
                                                  .finished_at_ns = truth->finished_at_ns};
    truth->recorded = true;
    next_step(shim, sync_record);
}

static void notice_end(void *data)
{
    struct shim *shim = data;
    shim->truth->finished_at_ns = clock_realtime_ns();
    next_step(shim, write_exit);
}

/* With signal 0 it exits by itself. */
static void container_ends(struct shim *shim, int exit_code, int signal, bool oom)
{
    if (!shim->pid_alive || shim->stage != SHIM_RUNNING)
        return;
    struct truth *truth = shim->truth;
    shim->pid_alive = false;
    shim->stage = SHIM_ENDED;
    task_cancel(&shim->life);
    task_cancel(&shim->stop);
    truth->ended = true;
    truth->exit_code = signal != 0 ? 128 + signal : exit_code;
    truth->signal = signal;
    truth->oom_killed = oom;
    sim_note("machine %d: %.12s/%lld ends with %d", shim->machine->number, shim->id,
             (long long)shim->incarnation, truth->exit_code);
    next_step(shim, notice_end);
    if (!is_exec(shim)) /* the pid namespace goes with its first process */
        execs_kill(shim->machine, shim->id);
}

static void on_stopped(void *data)
{
    struct shim *shim = data;
    if (shim->frozen) {
        shim->pending |= UINT64_C(1) << shim->stop_signal;
        return;
    }
    if (shim->behaviour.handles_stop && shim->stop_signal != SIGKILL)
        container_ends(shim, 0, 0, false);
    else
        container_ends(shim, 0, shim->stop_signal, false);
}

/* Before the command is executed the process is the shim's own code, which every signal but SIGKILL passes
 * by. */
void shim_signal(struct shim *shim, int signal)
{
    if (shim->frozen) { /* as v1's freezer has it */
        shim->pending |= UINT64_C(1) << signal;
    } else if (signal == 0) {
        container_ends(shim, shim->behaviour.exit_code, 0, false);
    } else if (signal == SIGKILL) {
        shim_kill_container(shim, false);
    } else if (signal != SIGUSR1 && !shim->behaviour.ignores_stop && shim->stop.index == 0) {
        shim->stop_signal = signal;
        task_schedule(&shim->stop, NULL, shim->behaviour.stop_ns, on_stopped, shim);
    }
}

void shim_thaw(struct shim *shim)
{
    uint64_t pending = shim->pending;
    shim->frozen = false;
    shim->pending = 0;
    if ((pending >> SIGKILL & 1) != 0)
        shim_signal(shim, SIGKILL);
    for (int signal = 1; signal < 64; signal++)
        if ((pending >> signal & 1) != 0)
            shim_signal(shim, signal);
    if (shim->life_is_over)
        shim_signal(shim, 0);
}

/* Killed before it was executed, it reports no failure: the shim finds it dead. */
void shim_kill_container(struct shim *shim, bool oom)
{
    if (shim->stage == SHIM_RUNNING)
        container_ends(shim, 0, SIGKILL, oom);
    else if (shim->stage != SHIM_ENDED && shim->pid_alive)
        next_step(shim, give_up);
}

/* PDEATHSIG takes the process along. */
void shim_kill(struct shim *shim)
{
    sim_note("machine %d: shim %lld is killed", shim->machine->number, (long long)shim->shim_pid);
    if (shim->truth != NULL) {
        shim->truth->ended = true;
        if (!shim->truth->recorded)
            shim->truth->lost_by = "shim-lost";
    }
    shim->pid_alive = false;
    if (!is_exec(shim))
        execs_kill(shim->machine, shim->id);
    shim_gone(shim);
}
