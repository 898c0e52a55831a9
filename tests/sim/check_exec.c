/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands executed in containers, but for health checks, which leave nothing when their container has ended:
 * each start has one end, unless it still runs; what was executed is on the
 * log, and what the log says was executed, was; nothing else is there. (Exit codes are check_host.c's, as
 * those of containers; that none is executed twice, shim.c's.)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "tests/sim/check.h"
#include "tests/sim/host_parts.h"
#include "tests/sim/roles.h"

static bool is_about(const struct fact *fact, const char *type, const char *exec_id)
{
    return fact->counts && fact_is(fact, type) && strcmp(fact_text(fact, "exec"), exec_id) == 0;
}

static const struct fact *find(const struct facts *facts, const char *type, const char *exec_id)
{
    for (size_t i = 0; i < facts->n; i++)
        if (is_about(&facts->items[i], type, exec_id))
            return &facts->items[i];
    return NULL;
}

bool facts_exec_runs(const struct facts *facts, const char *exec_id)
{
    return find(facts, "container.exec_started", exec_id) != NULL &&
           find(facts, "container.exec_exited", exec_id) == NULL;
}

bool facts_may_check_health(const struct facts *facts, const struct sim_dir *dir)
{
    const struct sim_file *intent = &dir->now[FILE_LAUNCH];
    const struct fact *last;
    if (!intent->present || intent->exec_of[0] == '\0' || intent->command_offset >= 0)
        return false;
    const char *state = facts_state(facts, intent->exec_of, &last);
    return strcmp(state, "running") == 0 || strcmp(state, "paused") == 0;
}

static int count_until(const struct facts *facts, const struct fact *end, const char *type,
                       const char *exec_id)
{
    int n = 0;
    for (const struct fact *fact = facts->items; fact < end; fact++)
        n += is_about(fact, type, exec_id);
    return n;
}

/* The id follows from the command; the end follows the start, and the container's removal follows the end. */
static void check_started(const struct facts *facts, const struct fact *started)
{
    const char *id = fact_text(started, "exec");
    char expected[CONTAINER_ID_SIZE];
    container_id_from_command(expected, started->cause);
    if (strcmp(id, expected) != 0)
        sim_fail("the exec %.12s is not named by its command", id);
    if (count_until(facts, facts->items + facts->n, "container.exec_started", id) != 1)
        sim_fail("the exec %.12s is started twice on the log", id);
    if (count_until(facts, started, "container.exec_exited", id) != 0)
        sim_fail("the exec %.12s ends before it starts", id);
    for (const struct fact *fact = started; fact < facts->items + facts->n; fact++)
        if (fact->counts && fact_is(fact, "container.removed") &&
            strcmp(fact->subject, started->subject) == 0 &&
            count_until(facts, fact, "container.exec_exited", id) != 1)
            sim_fail("%.12s is removed, and its exec %.12s has not ended", started->subject, id);
}

static void check_exited(const struct facts *facts, const struct fact *exited)
{
    const char *id = fact_text(exited, "exec");
    const struct fact *started = find(facts, "container.exec_started", id);
    if (started == NULL || strcmp(started->subject, exited->subject) != 0)
        sim_fail("the exec %.12s ends in %.12s, where it was not started", id, exited->subject);
    else if (fact_number(started, "incarnation") != fact_number(exited, "incarnation"))
        sim_fail("the exec %.12s was started in another incarnation than it ends in", id);
    if (count_until(facts, facts->items + facts->n, "container.exec_exited", id) != 1)
        sim_fail("the end of the exec %.12s is recorded twice", id);
}

/* What settled the command that the exec is named by. */
static const struct fact *find_outcome(const struct facts *facts, const char *exec_id)
{
    for (size_t i = 0; i < facts->n; i++) {
        char id[CONTAINER_ID_SIZE];
        if (!facts->items[i].counts || facts->items[i].outcome == NULL)
            continue;
        container_id_from_command(id, facts->items[i].cause);
        if (strcmp(id, exec_id) == 0)
            return &facts->items[i];
    }
    return NULL;
}

/* Its container was made for a command that was decided otherwise after a crash, and went with all it had. */
static bool was_an_orphans(const struct facts *facts, const struct truth *truth)
{
    for (size_t i = 0; i < facts->n; i++)
        if (facts->items[i].counts && fact_is(&facts->items[i], "node.orphan_destroyed") &&
            strcmp(facts->items[i].subject, truth->exec_of) == 0)
            return true;
    return false;
}

/* Nothing is executed that the log does not tell of, unless its command was settled on another machine: the
 * evidence stays on this one. */
static void check_executed(const struct facts *facts, const struct machine *machine)
{
    for (const struct truth *truth = machine->truths; truth != NULL && !sim_failed(); truth = truth->next) {
        const struct fact *outcome = truth->exec_of[0] != '\0' ? find_outcome(facts, truth->id) : NULL;
        if (outcome == NULL || outcome->machine != machine->number)
            continue;
        bool started = fact_is(outcome, "container.exec_started");
        if (!started && !truth->forgotten && !was_an_orphans(facts, truth))
            sim_fail("the exec %.12s was executed in %.12s, but the log says: %s", truth->id, truth->exec_of,
                     outcome->stored->value);
        else if (started && !truth->forgotten && fact_number(outcome, "incarnation") != truth->incarnation)
            sim_fail("the exec %.12s was executed in incarnation %lld, but the log says: %s", truth->id,
                     (long long)truth->incarnation, outcome->stored->value);
    }
}

static void check_there(const struct facts *facts, const struct machine *machine)
{
    for (const struct shim *shim = machine->shims; shim != NULL; shim = shim->next)
        if (shim->exec_of[0] != '\0' && !facts_exec_runs(facts, shim->id) &&
            !facts_may_check_health(facts, shim->dir))
            sim_fail("the exec %.12s runs as %lld, but not by the log", shim->id, (long long)shim->pid);
    for (size_t i = 0; i < facts->n; i++) {
        const struct fact *fact = &facts->items[i];
        if (!fact->counts || !fact_is(fact, "container.exec_started"))
            continue;
        const char *id = fact_text(fact, "exec");
        bool runs = facts_exec_runs(facts, id);
        if (runs && (shim_of(machine, id) == NULL || machine_dir(machine, id, false) == NULL))
            sim_fail("the exec %.12s is said to run, but is not there", id);
    }
}

/* Each change is one, from what the container's start or the change before has left. */
static void check_health_changed(const struct facts *facts, const struct fact *changed)
{
    const char *before = NULL;
    for (const struct fact *fact = facts->items; fact < changed; fact++) {
        if (!fact->counts || strcmp(fact->subject, changed->subject) != 0)
            continue;
        if (fact_is(fact, "container.started"))
            before = "starting";
        else if (fact_is(fact, "container.health_changed"))
            before = fact_text(fact, "health");
    }
    if (before == NULL || strcmp(before, fact_text(changed, "health")) == 0)
        sim_fail("%.12s is said to become %s, but was %s before", changed->subject,
                 fact_text(changed, "health"), before != NULL ? before : "never started");
}

void check_execs(void)
{
    struct facts facts;
    const struct process *runtime = role_find(ROLE_RUNTIME, NULL);
    facts_read(&facts);
    for (size_t i = 0; i < facts.n && !sim_failed(); i++) {
        const struct fact *fact = &facts.items[i];
        if (fact->counts && fact_is(fact, "container.exec_started"))
            check_started(&facts, fact);
        else if (fact->counts && fact_is(fact, "container.exec_exited"))
            check_exited(&facts, fact);
        else if (fact->counts && fact_is(fact, "container.health_changed"))
            check_health_changed(&facts, fact);
    }
    for (int i = 0; i < 2 && !sim_failed(); i++)
        check_executed(&facts, sim->machines[i]);
    check_there(&facts, runtime->machine);
    facts_release(&facts);
}
