/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/decide/core.h"
#include "runtime/worker.h"
#include "tests/sim/client.h"
#include "tests/sim/host_parts.h"
#include "tests/sim/log.h"
#include "tests/sim/machine.h"
#include "tests/sim/redis.h"
#include "tests/sim/roles.h"

#define SETTLE_STEP_NS (500 * MS_NS)
#define SETTLE_STEPS_MAX 1000

/* --- faults --- */

/* What an outage began ends by itself: one task each. */
struct undo {
    struct task task;
    enum item_kind kind;
    struct process *process;
    struct rng rng;
    enum redis_return how;
};

static void on_undo(void *data)
{
    struct undo *undo = data;
    if (undo->kind == ITEM_LOG_AWAY)
        store_set_away(false);
    else if (undo->kind == ITEM_REDIS_AWAY && !redis_server_is_up(sim->redis))
        redis_server_up(sim->redis, undo->how, &undo->rng);
    else if (undo->kind == ITEM_LOG_CUT && !undo->process->dead)
        sim_log_set_cut(undo->process, false);
    free(undo);
}

static void undo_later(const struct item *item, struct process *process, struct rng *rng)
{
    struct undo *undo = sim_alloc(sizeof(*undo));
    undo->kind = item->kind;
    undo->process = process;
    undo->rng = *rng;
    undo->how = (enum redis_return)(item->b % 3);
    int64_t longest_ms = rng_chance(rng, 70) ? 300 : 9000;
    task_schedule(&undo->task, NULL, rng_between(rng, 1, longest_ms) * MS_NS, on_undo, undo);
}

static void on_power_on(void *data)
{
    struct machine *machine = data;
    machine_up(machine);
    for (int role = 0; role < ROLES; role++)
        role_start((enum role)role, machine, false);
}

static void reboot(const struct item *item)
{
    struct machine *machine = sim->machines[0];
    if (!machine->up)
        return;
    machine_down(machine, item->b % 2 == 0);
    task_schedule(&machine->start, NULL, (int64_t)(item->c % 3000) * MS_NS, on_power_on, machine);
}

static struct shim *pick_shim(const struct item *item)
{
    size_t n = 0;
    for (const struct shim *shim = sim->machines[0]->shims; shim != NULL; shim = shim->next)
        n++;
    struct shim *shim = sim->machines[0]->shims;
    for (size_t i = n > 0 ? item->b % n : 0; i > 0; i--)
        shim = shim->next;
    return shim;
}

static void crash(enum role role, const struct item *item)
{
    struct process *process = role_find(role, NULL);
    if (process != NULL && process->crash_in < 0)
        process->crash_in = (int64_t)(item->b % (item->a % 2 == 0 ? 6 : 60));
}

static void duplicate(const struct item *item)
{
    const struct store_partition *partition =
        &sim->store->topics[LOG_COMMANDS][item->a % sim->store->n_partitions];
    if (partition->n == 0)
        return;
    const struct stored *record = &partition->records[partition->n - 1 - item->b % partition->n];
    struct log_entry entry = {.key = record->key, .value = record->value, .value_size = record->size};
    store_put(LOG_COMMANDS, (uint32_t)(item->a % sim->store->n_partitions), &entry, 0);
}

static void cut_off(const struct item *item, struct rng *rng)
{
    struct process *process = sim->plan->setting.kafka ? role_find((enum role)(item->a % ROLES), NULL) : NULL;
    if (process == NULL)
        return;
    sim_log_set_cut(process, true);
    undo_later(item, process, rng);
}

static void jump(const struct item *item, struct rng *rng)
{
    sim->realtime_offset_ns += rng_between(rng, -20, 20) * (item->b % 3 == 0 ? 60 : 1) * SECOND_NS;
    sim_note("the wall clock jumps to %+lld ns", (long long)sim->realtime_offset_ns);
}

/* What befalls a role or the log. False if the item is none of these. */
static bool befall_stack(const struct item *item, struct rng *rng)
{
    struct process *runtime = role_find(ROLE_RUNTIME, NULL);
    if (item->kind == ITEM_CRASH_RUNTIME)
        crash(ROLE_RUNTIME, item);
    else if (item->kind == ITEM_CRASH_WRITER)
        crash(ROLE_WRITER, item);
    else if (item->kind == ITEM_CRASH_PROJECTOR)
        crash(ROLE_PROJECTOR, item);
    else if (item->kind == ITEM_STOP_RUNTIME && runtime != NULL)
        role_stop(runtime);
    else if (item->kind == ITEM_LOG_CUT)
        cut_off(item, rng);
    else if (item->kind == ITEM_RIVAL && sim->plan->setting.kafka &&
             role_find(ROLE_RUNTIME, sim->machines[1]) == NULL)
        role_start(ROLE_RUNTIME, sim->machines[1], true);
    else if (item->kind == ITEM_LOG_AWAY)
        store_set_away(true);
    else if (item->kind == ITEM_REDIS_AWAY && redis_server_is_up(sim->redis))
        redis_server_down(sim->redis);
    else if (item->kind == ITEM_DUPLICATE)
        duplicate(item);
    else
        return false;
    if (item->kind == ITEM_LOG_AWAY || item->kind == ITEM_REDIS_AWAY)
        undo_later(item, NULL, rng);
    return true;
}

static void befall_machine(const struct item *item, struct rng *rng)
{
    struct log_entry garbage = {.value = "{\"no\":\"command\"}", .value_size = 16};
    struct shim *shim = pick_shim(item);
    if (item->kind == ITEM_KILL_SHIM && shim != NULL)
        shim_kill(shim);
    else if (item->kind == ITEM_KILL_CONTAINER && shim != NULL)
        shim_kill_container(shim, item->c % 2 == 0);
    else if (item->kind == ITEM_REBOOT)
        reboot(item);
    else if (item->kind == ITEM_CLOCK)
        jump(item, rng);
    else if (item->kind == ITEM_GARBAGE)
        store_put(LOG_COMMANDS, (uint32_t)(item->a % sim->store->n_partitions), &garbage, 0);
}

static void begin_item(const struct item *item)
{
    struct rng rng = rng_make(item->a, RNG_ITEM, item->c);
    if (item->kind <= ITEM_IMAGE_REMOVE)
        client_begin(item);
    else if (!befall_stack(item, &rng))
        befall_machine(item, &rng);
}

static void play(const struct plan *plan)
{
    for (size_t i = 0; i < plan->n && !sim_failed(); i++) {
        world_run(plan->items[i].at_ns);
        if (!sim_failed())
            begin_item(&plan->items[i]);
    }
}

/* --- coming to rest --- */

static bool view_is_behind(void)
{
    for (uint32_t p = 0; p < sim->store->n_partitions; p++) {
        const struct store_partition *partition = &sim->store->topics[LOG_EVENTS][p];
        char key[64];
        snprintf(key, sizeof(key), "wharf:v1:{%u}:meta", p);
        const char *offset = redis_server_hget(sim->redis, key, "offset");
        if (offset == NULL || strtoll(offset, NULL, 10) != partition->end - 1)
            return true;
    }
    return false;
}

static bool node_is_busy(void)
{
    const struct process *process = role_find(ROLE_RUNTIME, NULL);
    if (process == NULL || !process->ready || process->host == NULL)
        return true;
    const struct core *core = worker_core(process->worker);
    struct worker_counts counts = worker_counts(process->worker);
    if (counts.events_pending > 0 || core->operations != NULL || core->image_operations != NULL ||
        process->host->n_busy > 0 || sim->store->late != NULL ||
        core_commands_from(core) != sim->store->topics[LOG_COMMANDS][core->state.partition].end)
        return true;
    for (const struct entry *entry = process->host->entries; entry != NULL; entry = entry->next)
        if (entry->owed) /* the runtime has yet to see its own event */
            return true;
    for (const struct container *c = core->state.containers; c != NULL; c = c->hh.next)
        if (c->state == CONTAINER_RESTARTING || c->state == CONTAINER_STOPPING)
            return true;
    for (const struct shim *shim = process->machine->shims; shim != NULL; shim = shim->next)
        if (shim->stage != SHIM_RUNNING)
            return true;
    for (const struct entry *entry = process->host->entries; entry != NULL; entry = entry->next)
        if (entry->gone.index != 0)
            return true;
    return false;
}

/* A runtime that was taken over stays down unless nobody is left. */
static void start_who_is_missing(void)
{
    if (!sim->machines[0]->up)
        return;
    for (int role = 0; role < ROLES; role++)
        if (role_find((enum role)role, NULL) == NULL)
            role_start((enum role)role, sim->machines[0], false);
}

static void mend(void)
{
    sim->calm = true;
    sim_note("the plan is over");
    store_set_away(false);
    struct rng rng = rng_make(sim->plan->seed, RNG_ITEM, PLAN_ITEMS_MAX);
    if (!redis_server_is_up(sim->redis))
        redis_server_up(sim->redis, REDIS_AS_IT_WAS, &rng);
    for (struct process *process = sim->processes; process != NULL; process = process->next) {
        process->crash_in = -1;
        if (!process->dead)
            sim_log_set_cut(process, false);
    }
}

/* NULL when nothing is left to happen by itself. */
static const char *what_is_awaited(void)
{
    if (!sim->machines[0]->up)
        return "the machine is not up";
    if (!clients_are_done(sim->clients))
        return "a client is not answered";
    if (node_is_busy())
        return "the node is busy";
    return view_is_behind() ? "the view is behind" : NULL;
}

static void settle(void)
{
    world_run(sim->now_ns + SECOND_NS); /* what is about to come back comes back */
    mend();
    const char *awaited = "the plan has just ended";
    for (int i = 0; i < SETTLE_STEPS_MAX && awaited != NULL && !sim_failed(); i++) {
        world_run(sim->now_ns + SETTLE_STEP_NS);
        if (i % 20 == 19)
            start_who_is_missing();
        awaited = what_is_awaited();
    }
    if (awaited != NULL)
        sim_fail("the world does not come to rest: %s", awaited);
}

/* --- the world --- */

static void begin_world(struct world *world, const struct plan *plan, bool verbose)
{
    *world = (struct world){.plan = plan, .verbose = verbose, .next_pid = 1000};
    sim = world;
    world->trace = 0xcbf29ce484222325u;
    world->ties = rng_make(plan->seed, RNG_TIES, 0);
    world->store = store_new(&plan->setting, plan->seed);
    world->redis = redis_server_new();
    world->clients = clients_new();
    for (int i = 0; i < 2; i++)
        world->machines[i] = machine_new(i, plan->seed);
    for (int role = ROLES - 1; role >= 0; role--)
        role_start((enum role)role, world->machines[0], false);
}

static void end_world(void)
{
    sim->stopping = true;
    for (struct process *process = sim->processes; process != NULL; process = process->next)
        if (!process->buried) {
            process->dead = true;
            role_bury(process);
        }
    clients_free(sim->clients);
    for (int i = 0; i < 2; i++)
        machine_free(sim->machines[i]);
    store_free(sim->store);
    redis_server_free(sim->redis);
    processes_free();
    /* restarts and ends of outages that are still to come own themselves */
    while (sim->n_queue > 0) {
        struct task *task = sim->queue[1];
        task_cancel(task);
        free(task->data);
    }
    free(sim->queue);
}

void run_plan(const struct plan *plan, bool verbose, struct run_result *ret)
{
    struct world world;
    begin_world(&world, plan, verbose);
    play(plan);
    settle();
    void (*const checks[])(void) = {check_log, check_host, check_execs, check_state, check_view};
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]) && !sim_failed(); i++)
        checks[i]();
    memcpy(ret->failure, world.failure, sizeof(ret->failure));
    ret->trace = world.trace;
    ret->n_events = world.store->topics[LOG_EVENTS][0].n;
    end_world();
    sim = NULL;
}
