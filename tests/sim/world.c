/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/roles.h"

struct world *sim;

void *sim_alloc(size_t size)
{
    void *memory = calloc(1, size);
    if (memory == NULL) {
        fputs("sim: out of memory\n", stderr);
        abort();
    }
    return memory;
}

char *sim_strdup(const char *text)
{
    char *copy = sim_alloc(strlen(text) + 1);
    strcpy(copy, text);
    return copy;
}

/* --- the queue: a binary heap whose tasks know their place --- */

static bool is_before(const struct task *a, const struct task *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->tie < b->tie;
}

static void put(size_t index, struct task *task)
{
    sim->queue[index] = task;
    task->index = index;
}

static void sift_up(size_t index)
{
    struct task *task = sim->queue[index];
    for (; index > 1 && is_before(task, sim->queue[index / 2]); index /= 2)
        put(index, sim->queue[index / 2]);
    put(index, task);
}

static void sift_down(size_t index)
{
    struct task *task = sim->queue[index];
    for (size_t child; (child = index * 2) <= sim->n_queue; index = child) {
        if (child < sim->n_queue && is_before(sim->queue[child + 1], sim->queue[child]))
            child++;
        if (!is_before(sim->queue[child], task))
            break;
        put(index, sim->queue[child]);
    }
    put(index, task);
}

void task_cancel(struct task *task)
{
    size_t index = task->index;
    if (index == 0)
        return;
    task->index = 0;
    struct task *last = sim->queue[sim->n_queue--];
    if (last == task)
        return;
    put(index, last);
    sift_up(index);
    sift_down(last->index);
}

void task_schedule(struct task *task, struct process *process, int64_t delay_ns, void (*run)(void *data),
                   void *data)
{
    task_cancel(task);
    if (sim->n_queue + 1 >= sim->queue_capacity) {
        sim->queue_capacity = sim->queue_capacity == 0 ? 256 : sim->queue_capacity * 2;
        sim->queue = realloc(sim->queue, sim->queue_capacity * sizeof(struct task *));
        if (sim->queue == NULL)
            abort();
    }
    task->due_ns = sim->now_ns + (delay_ns > 0 ? delay_ns : 0);
    task->tie = rng_next(&sim->ties);
    task->run = run;
    task->data = data;
    task->process = process;
    sim->queue[++sim->n_queue] = task;
    sift_up(sim->n_queue);
}

static void bury_the_dead(void)
{
    for (struct process *process = sim->processes; process != NULL; process = process->next)
        if (process->dead && !process->buried)
            role_bury(process);
}

void world_run(int64_t until_ns)
{
    bury_the_dead();
    while (sim->n_queue > 0 && !sim_failed() && sim->queue[1]->due_ns <= until_ns) {
        struct task *task = sim->queue[1];
        sim->now_ns = task->due_ns;
        task_cancel(task);
        sim->current = task->process;
        if (task->process == NULL || !task->process->dead)
            task->run(task->data);
        sim->current = NULL;
        bury_the_dead();
    }
    if (sim->now_ns < until_ns)
        sim->now_ns = until_ns;
}

/* --- processes --- */

struct process *process_new(enum role role, struct machine *machine)
{
    struct process *process = sim_alloc(sizeof(*process));
    process->role = role;
    process->machine = machine;
    process->pid = ++sim->next_pid;
    process->crash_in = -1;
    process->rng = rng_make(sim->plan->seed, RNG_PROCESS, (uint64_t)process->pid);
    process->loop.data = process;
    process->next = sim->processes;
    sim->processes = process;
    return process;
}

bool process_point(struct process *process)
{
    if (process->dead)
        return false;
    if (process->crash_in < 0 || process->crash_in-- > 0)
        return true;
    process_kill(process);
    return false;
}

void process_kill(struct process *process)
{
    if (process->dead)
        return;
    process->dead = true;
    sim_note("process %d is killed", process->pid);
}

void process_ended(struct process *process, const char *why)
{
    if (process->dead)
        return;
    process->dead = true;
    snprintf(process->why, sizeof(process->why), "%s", why);
    sim_note("process %d ends: %s", process->pid, why);
}

int64_t process_latency_ns(struct process *process)
{
    uint64_t draw = rng_below(&process->rng, 100);
    if (draw < 20)
        return 0;
    if (draw < 85)
        return rng_between(&process->rng, 20, 900) * US_NS;
    if (draw < 98)
        return rng_between(&process->rng, 1, 20) * MS_NS;
    return rng_between(&process->rng, 50, 400) * MS_NS;
}

void processes_free(void)
{
    while (sim->processes != NULL) {
        struct process *process = sim->processes;
        sim->processes = process->next;
        free(process);
    }
}

/* --- what happened --- */

bool sim_failed(void)
{
    return sim->failure[0] != '\0';
}

void sim_fail(const char *fmt, ...)
{
    if (sim_failed())
        return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(sim->failure, sizeof(sim->failure), fmt, args);
    va_end(args);
}

void sim_note(const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    for (const char *at = text; *at != '\0'; at++)
        sim->trace = (sim->trace ^ (unsigned char)*at) * 0x100000001b3u;
    sim->trace ^= (uint64_t)sim->now_ns;
    if (sim->verbose)
        fprintf(stderr, "%12.6f  %s\n", (double)sim->now_ns / 1e9, text);
}
