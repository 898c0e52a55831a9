/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/chaos/strike.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"

#define MS 1000000LL
#define ARMED_LIMIT_NS (4000 * MS)    /* until another crash point has its turn */
#define REBUILD_LIMIT_NS (15000 * MS) /* a rebuild whose Redis was killed waits for it */
#define END_LIMIT_NS (30000 * MS)
#define TURN_PAUSE_US 3000

/* The points of one part in the order of the plan, those of its round that are left. */
static void fill_queue(struct strikes *strikes, enum part part)
{
    struct fault_queue *queue = &strikes->queues[part];
    enum fault order[FAULTS];
    plan_faults(order, strikes->seed, queue->round);
    queue->n = 0;
    for (int i = 0; i < FAULTS; i++) {
        if (fault_part(order[i]) == part)
            queue->faults[queue->n++] = order[i];
    }
}

static void drop_first(struct fault_queue *queue)
{
    queue->n--;
    memmove(&queue->faults[0], &queue->faults[1], queue->n * sizeof(queue->faults[0]));
}

/* A point that was not reached in its turn gets another one. */
static void rotate(struct fault_queue *queue)
{
    enum fault first = queue->faults[0];
    drop_first(queue);
    queue->faults[queue->n++] = first;
}

static int start_part(struct strikes *strikes, enum part part, struct err *err)
{
    struct fault_queue *queue = &strikes->queues[part];
    struct armed armed = {.on = false};
    strikes->due_ns[part] = 0;
    if (!strikes->calm && queue->n > 0 &&
        stack_arm(strikes->stack, queue->faults[0],
                  plan_fault_nth(strikes->seed, queue->round, queue->faults[0]), &armed, err) < 0)
        return -1;
    return stack_start(strikes->stack, part, &armed, err);
}

void strikes_init(struct strikes *strikes, struct stack *stack, struct watch *watch, uint64_t seed)
{
    *strikes = (struct strikes){.stack = stack, .watch = watch, .seed = seed};
    plan_strike(&strikes->next, seed, 0, stack->kafka);
    strikes->next_ns = clock_monotonic_ns() + strikes->next.pause_ms * MS;
    for (int i = 0; i < PARTS; i++)
        fill_queue(strikes, (enum part)i);
}

int strikes_start_all(struct strikes *strikes, struct err *err)
{
    static const enum part order[] = {PART_REDIS, PART_RUNTIME, PART_WRITER, PART_PROJECTOR, PART_QUERY};
    size_t n = sizeof(order) / sizeof(order[0]);
    for (size_t i = 0; i < n; i++) {
        if (start_part(strikes, order[i], err) < 0)
            return -1;
    }
    for (size_t i = 0; i < n && strikes->calm; i++) {
        if (stack_await_ready(strikes->stack, order[i], err) < 0)
            return -1;
    }
    return 0;
}

/* --- crash points --- */

/* Notes that the first point of the queue was reached. */
static void note_reached(struct strikes *strikes, enum part part, pid_t pid)
{
    struct stack *stack = strikes->stack;
    struct running *running = &stack->parts[part];
    enum fault fault = running->armed.fault;
    report_note(stack->report, "reached %s in %d", fault_name(fault), pid);
    strikes->n_reached[fault]++;
    running->armed.on = false;
    if (pid == running->pid) {
        running->ended = true;
        running->ended_ns = clock_monotonic_ns();
    }
    drop_first(&strikes->queues[part]);
    if (strikes->queues[part].n == 0) {
        strikes->queues[part].round++;
        fill_queue(strikes, part);
    }
}

static bool outlives_its_point(enum part part, enum fault fault)
{
    return part == PART_RUNTIME && fault_role(fault) != RUNTIME;
}

static void look_at_point(struct strikes *strikes, enum part part, int64_t now_ns)
{
    struct running *running = &strikes->stack->parts[part];
    pid_t pid;
    if (!running->armed.on)
        return;
    enum fault fault = running->armed.fault;
    if (stack_reached(&running->armed, &pid)) {
        note_reached(strikes, part, pid);
        /* the part runs on, and has to be started anew to be armed with the next point */
        if (outlives_its_point(part, fault))
            stack_end(strikes->stack, part, strikes->next.graceful ? SIGTERM : SIGKILL);
    } else if (now_ns - running->since_ns > ARMED_LIMIT_NS && !running->ended) {
        report_note(strikes->stack->report, "%s was not reached", fault_name(fault));
        running->armed.on = false;
        rotate(&strikes->queues[part]);
        stack_end(strikes->stack, part, SIGKILL);
    }
}

bool strikes_all_reached(const struct strikes *strikes)
{
    for (int i = 0; i < FAULTS; i++) {
        if (strikes->n_reached[i] == 0)
            return false;
    }
    return true;
}

/* --- strikes --- */

static void strike_shim(struct strikes *strikes)
{
    struct watched container;
    char path[64];
    char *name = NULL;
    if (!watch_pick_running(strikes->watch, strikes->next.pick, &container) ||
        container.newest >= WATCH_INCARNATIONS)
        return;
    pid_t pid = (pid_t)container.incarnations[container.newest].shim_pid;
    snprintf(path, sizeof(path), "/proc/%d/comm", pid);
    if (pid > 0 && fs_read_file(AT_FDCWD, path, 64, &name, NULL, NULL) == 0 &&
        strcmp(name, "wharf-shim\n") == 0) {
        report_note(strikes->stack->report, "kill shim %d of container %.12s", pid, container.id);
        stack_note_struck(strikes->stack, pid);
        kill(pid, SIGKILL);
    }
    free(name);
}

static void end_part(struct strikes *strikes, enum part part, int signal, int64_t now_ns)
{
    struct running *running = &strikes->stack->parts[part];
    if (running->pid <= 0 || running->has_ended || running->ended)
        return;
    stack_end(strikes->stack, part, signal);
    strikes->due_ns[part] = now_ns + strikes->next.absent_ms * MS;
}

static int strike(struct strikes *strikes, int64_t now_ns, struct err *err)
{
    static const enum part parts[STRIKE_KINDS] = {
        [STRIKE_WRITER] = PART_WRITER, [STRIKE_RUNTIME] = PART_RUNTIME, [STRIKE_PROJECTOR] = PART_PROJECTOR,
        [STRIKE_QUERY] = PART_QUERY,   [STRIKE_REDIS] = PART_REDIS,     [STRIKE_REDIS_EMPTY] = PART_REDIS,
        [STRIKE_BROKER] = PART_BROKER,
    };
    const struct running *rebuild = &strikes->stack->parts[PART_REBUILD];
    int signal = strikes->next.graceful ? SIGTERM : SIGKILL;
    switch (strikes->next.kind) {
    case STRIKE_SHIM:
        strike_shim(strikes);
        return 0;
    case STRIKE_REBUILD:
        return rebuild->pid == 0 || rebuild->has_ended ? start_part(strikes, PART_REBUILD, err) : 0;
    case STRIKE_REDIS:
    case STRIKE_REDIS_EMPTY:
        strikes->empty_redis = strikes->next.kind == STRIKE_REDIS_EMPTY;
        signal = SIGKILL;
        break;
    case STRIKE_BROKER:
        signal = SIGKILL;
        break;
    case STRIKE_WRITER:
    case STRIKE_RUNTIME:
    case STRIKE_PROJECTOR:
    case STRIKE_QUERY:
    case STRIKE_KINDS:
        break;
    }
    end_part(strikes, parts[strikes->next.kind], signal, now_ns);
    return 0;
}

/* --- the loop --- */

/* What has ended is started again, at once unless the strike that ended it said when. */
static int restart_ended(struct strikes *strikes, enum part part, int64_t now_ns, struct err *err)
{
    struct running *running = &strikes->stack->parts[part];
    if (!running->has_ended || now_ns < strikes->due_ns[part] || part == PART_REBUILD)
        return 0;
    if (part == PART_REDIS && strikes->empty_redis) {
        report_note(strikes->stack->report, "empty redis");
        stack_empty_redis(strikes->stack);
    }
    return start_part(strikes, part, err);
}

static void end_slow_rebuild(struct strikes *strikes, int64_t now_ns)
{
    const struct running *rebuild = &strikes->stack->parts[PART_REBUILD];
    if (rebuild->pid > 0 && !rebuild->has_ended && !rebuild->ended &&
        now_ns - rebuild->since_ns > REBUILD_LIMIT_NS)
        stack_end(strikes->stack, PART_REBUILD, SIGKILL);
}

/* Told to end and still there: that must not be, but the run goes on. */
static void end_hanging(struct strikes *strikes, enum part part, int64_t now_ns)
{
    struct running *running = &strikes->stack->parts[part];
    if (running->pid <= 0 || !running->ended || running->has_ended ||
        now_ns - running->ended_ns < END_LIMIT_NS)
        return;
    report_fail(strikes->stack->report, "roles", "the %s (%d) does not end when it is told to",
                part_name(part), running->pid);
    stack_end(strikes->stack, part, SIGKILL);
}

int strikes_turn(struct strikes *strikes, struct err *err)
{
    usleep(TURN_PAUSE_US);
    stack_reap(strikes->stack);
    int64_t now_ns = clock_monotonic_ns();
    stack_look_at_inherited(strikes->stack);
    for (int i = 0; i < PARTS; i++)
        look_at_point(strikes, (enum part)i, now_ns);
    end_slow_rebuild(strikes, now_ns);
    for (int i = 0; i < PARTS; i++)
        end_hanging(strikes, (enum part)i, now_ns);
    for (int i = 0; i < PARTS; i++) {
        if (restart_ended(strikes, (enum part)i, now_ns, err) < 0)
            return -1;
    }
    if (strikes->calm || now_ns < strikes->next_ns)
        return 0;
    if (strike(strikes, now_ns, err) < 0)
        return -1;
    plan_strike(&strikes->next, strikes->seed, ++strikes->n_strikes, strikes->stack->kafka);
    strikes->next_ns = now_ns + strikes->next.pause_ms * MS;
    return 0;
}

static bool all_run(const struct strikes *strikes)
{
    const struct stack *stack = strikes->stack;
    for (int i = 0; i < PARTS; i++) {
        bool wanted = i != PART_REBUILD && (i != PART_BROKER || stack->kafka);
        const struct running *running = &stack->parts[i];
        bool runs = running->pid > 0 && !running->has_ended;
        if (runs != wanted || (runs && (running->ended || running->armed.on)))
            return false;
    }
    return stack->broker_starter == 0;
}

int strikes_calm(struct strikes *strikes, struct err *err)
{
    static const enum part order[] = {PART_REDIS, PART_RUNTIME, PART_WRITER, PART_PROJECTOR, PART_QUERY};
    strikes->calm = true;
    for (int i = 0; i < PARTS; i++) {
        if (i == PART_REBUILD || strikes->stack->parts[i].armed.on)
            stack_end(strikes->stack, (enum part)i, SIGKILL);
    }
    while (!all_run(strikes)) {
        if (strikes_turn(strikes, err) < 0)
            return -1;
    }
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        if (stack_await_ready(strikes->stack, order[i], err) < 0)
            return -1;
    }
    return 0;
}
