/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/roles.h"

#include <stdlib.h>

#include "projector/projector.h"
#include "runtime/worker.h"
#include "tests/sim/client.h"
#include "tests/sim/host_parts.h"
#include "tests/sim/log.h"
#include "tests/sim/redis.h"
#include "writer/writer.h"

#define LOG_URL "memory:sim"
#define SNAPSHOT_EVERY 7

/* --- the supervisor --- */

struct restart {
    struct task task;
    enum role role;
    struct machine *machine;
};

static void on_restart(void *data)
{
    struct restart *restart = data;
    enum role role = restart->role;
    struct machine *machine = restart->machine;
    free(restart);
    if (machine->up && !sim->stopping && role_find(role, machine) == NULL)
        role_start(role, machine, false);
}

/* A runtime that was taken over stays down, as an operator would see to; a machine that comes up starts its
 * own. */
static void restart_later(const struct process *process)
{
    if (sim->stopping || process->rival || process->why_fenced)
        return;
    struct restart *restart = sim_alloc(sizeof(*restart));
    struct rng rng = process->rng;
    restart->role = process->role;
    restart->machine = process->machine;
    task_schedule(&restart->task, NULL, rng_between(&rng, 0, rng_chance(&rng, 70) ? 60 : 4000) * MS_NS,
                  on_restart, restart);
}

struct process *role_find(enum role role, const struct machine *machine)
{
    for (struct process *process = sim->processes; process != NULL; process = process->next)
        if (process->role == role && !process->dead && (machine == NULL || process->machine == machine))
            return process;
    return NULL;
}

/* --- the end --- */

static void on_gone(void *data)
{
    struct process *process = data;
    process->gone = true;
    if (!process->dead)
        process_ended(process, "stopped");
}

static void on_projector_gone(void *data)
{
    ((struct process *)data)->projector = NULL;
    on_gone(data);
}

static void on_writer_gone(void *data)
{
    ((struct process *)data)->writer = NULL;
    on_gone(data);
}

static void on_host_closed(void *data)
{
    struct process *process = data;
    if (process->log != NULL)
        log_close((struct log *)process->log, on_gone, process);
    else
        on_gone(process);
}

static void on_worker_closed(void *data)
{
    struct process *process = data;
    process->worker = NULL;
    if (process->host != NULL)
        host_close(process->host, on_host_closed, process);
    else
        on_host_closed(process);
}

/* The same calls end a process in good order and clear up after a dead one. */
static void begin_closing(struct process *process)
{
    if (process->closing)
        return;
    process->closing = true;
    if (process->worker != NULL)
        worker_close(process->worker, on_worker_closed, process);
    else if (process->role == ROLE_RUNTIME)
        on_worker_closed(process);
    else if (process->writer != NULL)
        writer_stop(process->writer, on_writer_gone, process);
    else if (process->projector != NULL)
        projector_close(process->projector, on_projector_gone, process);
    else
        on_gone(process);
}

void role_stop(struct process *process)
{
    sim_note("process %d gets SIGTERM", process->pid);
    sim->current = process;
    begin_closing(process);
    sim->current = NULL;
}

void role_bury(struct process *process)
{
    sim->current = process;
    begin_closing(process);
    for (int idle = 0; !process->gone && idle < 2;) {
        bool some = sim_log_bury(process) || host_bury(process) || sim_redis_bury(process) ||
                    sim_http_bury(process) || process->closing_handles != NULL;
        loop_run_closing(process);
        some = some || loop_fire_timer(process);
        idle = some ? 0 : idle + 1;
    }
    sim->current = NULL;
    task_cancel(&process->close_handles);
    if (!process->gone)
        sim_fail("process %d (role %d) does not close", process->pid, (int)process->role);
    process->gone = process->buried = true;
    restart_later(process);
}

/* --- the runtime --- */

static void on_exit_seen(const struct host_exit *exit, void *data)
{
    struct process *process = data;
    if (process->worker != NULL)
        worker_on_exit(process->worker, exit);
}

static void on_runtime_ready(void *data)
{
    struct process *process = data;
    process->ready = true;
    sim_note("runtime %d serves", process->pid);
}

static void on_event(const struct decided_event *event, const struct container *container, void *data)
{
    (void)event;
    (void)container;
    (void)data;
}

static void on_container(const char *container_id, void *data)
{
    (void)container_id;
    (void)data;
}

static void on_unreadable(int64_t n, void *data)
{
    (void)data;
    sim_fail("%lld events cannot be read", (long long)n);
}

/* The main exits. A worker that finds its core broken has met a fault of ours. */
static void on_stopped(const struct err *err, void *data)
{
    struct process *process = data;
    if (err->code == ERR_INTERNAL && !process->dead)
        sim_fail("runtime %d: %s", process->pid, err->message);
    process->why_fenced = err->code == ERR_FENCED;
    process_ended(process, err->message);
}

static int open_runtime(struct process *process, struct err *err)
{
    struct host_options host = {.state_dir = "/", .run_dir = "/", .on_exit = on_exit_seen, .data = process};
    struct log_options log = {.append_topics = 1u << LOG_EVENTS | 1u << LOG_DEADLETTERS};
    struct log *opened = NULL;
    if (host_open(&process->host, &process->loop, &host, err) < 0 ||
        log_open(&opened, &process->loop, LOG_URL, &log, err) < 0)
        return -1;
    struct worker_options options = {.log = opened,
                                     .host = process->host,
                                     .node = SIM_NODE,
                                     .version = "sim",
                                     .id_pool = {100000, 4 * ID_RANGE_SIZE}, /* they run short at times */
                                     .snapshot_every = SNAPSHOT_EVERY,
                                     .on_ready = on_runtime_ready,
                                     .on_event = on_event,
                                     .on_launched = on_container,
                                     .on_remove = on_container,
                                     .on_unreadable = on_unreadable,
                                     .on_stopped = on_stopped,
                                     .data = process};
    return worker_open(&process->worker, &process->loop, &options, err);
}

/* --- the writer and the projector --- */

static void on_failed(const struct err *err, void *data)
{
    process_ended(data, err->message);
}

static int open_writer(struct process *process, struct err *err)
{
    const struct writer_options options = {.socket_path = "/",
                                           .state_dir = "/",
                                           .snapshot_every = SNAPSHOT_EVERY,
                                           .on_failed = on_failed,
                                           .data = process};
    const struct log_options log = {.partitions = sim->store->n_partitions};
    if (writer_open(&process->writer, &process->loop, &options, err) < 0)
        return -1;
    return writer_start(process->writer, LOG_URL, &log, err);
}

static int open_projector(struct process *process, struct err *err)
{
    const struct projector_options options = {.log_url = LOG_URL,
                                              .redis_url = "unix:/",
                                              .base = SINK_LIVE,
                                              .park = true,
                                              .touch = sim->plan->setting.touch,
                                              .on_failed = on_failed,
                                              .data = process};
    return projector_open(&process->projector, &process->loop, &options, err);
}

/* --- the start --- */

static struct process *start(enum role role, struct machine *machine, bool rival)
{
    static int (*const openers[ROLES])(struct process *, struct err *) = {
        [ROLE_WRITER] = open_writer, [ROLE_RUNTIME] = open_runtime, [ROLE_PROJECTOR] = open_projector};
    struct process *process = process_new(role, machine);
    struct err err = ERR_INIT;
    process->rival = rival;
    sim_note("process %d starts: role %d on machine %d", process->pid, (int)role, machine->number);
    sim->current = process;
    if (openers[role](process, &err) < 0)
        process_ended(process, err.message);
    sim->current = NULL;
    return process;
}

void role_start(enum role role, struct machine *machine, bool rival)
{
    start(role, machine, rival);
}

struct process *role_start_rebuild(void)
{
    return start(ROLE_PROJECTOR, sim->machines[1], true);
}
