/* SPDX-License-Identifier: Apache-2.0 */
/*
 * world.h - the simulated world: time, what is going to happen, and the processes that live in it.
 *
 * Everything that will happen is a task in one queue by simulated time; what is due at the same time goes in
 * an order drawn from the seed. A process is one production role with its own simulated loop. Each call that
 * a role makes into a seam (log, host, Redis, HTTP) passes process_point before and after its effect: there
 * the process may be killed. From then on its calls do nothing, and when control is back in world_run it is
 * buried: closed through the production close paths, so that nothing leaks, with every answer a failure.
 *
 * There is one world at a time, `sim`, because the seams that are replaced (clock.h) have no argument that
 * could carry one.
 */
#ifndef WHARF_TESTS_SIM_WORLD_H
#define WHARF_TESTS_SIM_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/err.h"
#include "tests/sim/plan.h"
#include "tests/sim/rng.h"

#define MS_NS INT64_C(1000000)
#define SECOND_NS INT64_C(1000000000)
#define US_NS INT64_C(1000)

struct process;

/* Embedded in whatever it concerns; zero-initialise. */
struct task {
    int64_t due_ns;
    uint64_t tie;
    size_t index; /* in the queue, from 1; 0 when it is not in it */
    void (*run)(void *data);
    void *data;
    struct process *process; /* dead ones run no tasks; NULL: the world's own */
};

enum role { ROLE_WRITER, ROLE_RUNTIME, ROLE_PROJECTOR, ROLES };

struct machine;
struct sim_log;
struct host;
struct redis;
struct http_server;
struct worker;
struct writer;
struct projector;

struct process {
    enum role role;
    int pid; /* unlike any other's */
    struct machine *machine;
    bool rival;      /* a second runtime of the node, or a rebuild: not started again */
    bool why_fenced; /* another runtime took the node over */
    bool dead;
    bool closing; /* its production close function has been called */
    bool gone;    /* and has finished */
    bool buried;  /* and its supervisor knows */
    bool ready;
    int64_t crash_in;           /* seam points until it is killed; -1: none is planned */
    char why[ERR_MESSAGE_SIZE]; /* it ended by itself; "" if not */
    struct rng rng;
    uv_loop_t loop; /* its data is this process */
    uv_handle_t *closing_handles;
    struct task close_handles;
    struct sim_log *log; /* its parts in the simulated seams; NULL if it has none */
    struct host *host;
    struct redis *redis;
    struct http_server *http;
    struct worker *worker;
    struct writer *writer;
    struct projector *projector;
    struct process *next;
};

struct store;
struct redis_server;
struct clients;

struct world {
    const struct plan *plan;
    int64_t now_ns; /* monotonic */
    int64_t realtime_offset_ns;
    struct task **queue; /* a heap */
    size_t n_queue, queue_capacity;
    struct rng ties;
    struct process *processes; /* all there ever were, newest first */
    struct process *current;   /* whose code runs; NULL between tasks */
    int next_pid;
    bool calm;      /* the plan is over: nothing new goes wrong */
    bool stopping;  /* the world ends: nobody is started again */
    uint64_t trace; /* a hash of all that happened */
    bool verbose;
    char failure[2048]; /* "" while all is well */
    struct store *store;
    struct redis_server *redis;
    struct machine *machines[2];
    struct clients *clients;
    struct roles *roles;
};

extern struct world *sim;

/* --- tasks --- */

void task_schedule(struct task *task, struct process *process, int64_t delay_ns, void (*run)(void *data),
                   void *data);
/* Not scheduled is fine. */
void task_cancel(struct task *task);

/* Runs what is due until `until_ns`, or until something failed. */
void world_run(int64_t until_ns);

/* --- processes --- */

struct process *process_new(enum role role, struct machine *machine);

/* A moment at which it may be killed. True if it lives. */
bool process_point(struct process *process);

/* SIGKILL, now. */
void process_kill(struct process *process);

/* Ended by itself. */
void process_ended(struct process *process, const char *why);

/* A short time, as a call into the kernel or a hop on a network takes; sometimes a long one. */
int64_t process_latency_ns(struct process *process);

/* Frees all of them. */
void processes_free(void);

/* Runs the close callbacks that are due. */
void loop_run_closing(struct process *process);

/* Fires one timer before its time: nobody waits for a dead process. False if it has none. */
bool loop_fire_timer(struct process *process);

/* --- what happened --- */

/* The first one stands. */
void sim_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
bool sim_failed(void);

/* Adds to the trace's hash, and prints when asked to. */
void sim_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Allocation that cannot fail: a simulation without memory is no simulation. */
void *sim_alloc(size_t size);
char *sim_strdup(const char *text);

#endif
