/* SPDX-License-Identifier: Apache-2.0 */
/* The log's facts against the kernel's books, and what there is on the machine against what there should be.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/timestamp.h"
#include "events/message.h"
#include "tests/sim/check.h"
#include "tests/sim/host_parts.h"
#include "tests/sim/roles.h"

/* Of an execution, by the id of the container or exec and the incarnation, the newest on the machine. */
static const struct truth *find_truth(int machine, const char *id, int64_t incarnation)
{
    for (const struct truth *truth = sim->machines[machine]->truths; truth != NULL; truth = truth->next)
        if (truth->incarnation == incarnation && strcmp(truth->id, id) == 0)
            return truth;
    return NULL;
}

static void check_known(const struct fact *fact, const struct truth *truth)
{
    const char *signal = fact_text(fact, "signal"), *finished = fact_text(fact, "finished_at");
    char expected_signal[16] = "", expected_time[TIMESTAMP_SIZE];
    if (truth->signal > 0)
        signal_format(expected_signal, truth->signal);
    timestamp_format(expected_time, truth->finished_at_ns);
    const char *reason = truth->signal == 0                              ? "exited"
                         : truth->oom_killed && truth->signal == SIGKILL ? "oom-killed"
                                                                         : "signaled";
    if (fact_number(fact, "exit_code") != truth->exit_code ||
        strcmp(signal != NULL ? signal : "", expected_signal) != 0 || finished == NULL ||
        strcmp(finished, expected_time) != 0 || strcmp(fact_text(fact, "reason"), reason) != 0 ||
        json_is_true(json_object_get(fact->data, "oom_killed")) != truth->oom_killed)
        sim_fail("the exit of %.12s/%lld was code %d, %s at %s, but the log says: %s", fact->subject,
                 (long long)truth->incarnation, truth->exit_code, reason, expected_time, fact->stored->value);
}

/* The reason is what ended it, or "unknown" where not even a record is left to tell it by. What nobody saw
 * before the next boot looks like the end of the host. */
static void check_unknown(const struct fact *fact, const struct truth *truth)
{
    const char *reason = fact_text(fact, "reason");
    bool rebooted = truth != NULL && truth->boot != truth->machine->boot;
    if (fact_number(fact, "exit_code") >= 0 || fact_text(fact, "signal") != NULL ||
        fact_text(fact, "finished_at") != NULL)
        sim_fail("nobody saw the end of %.12s, but the log says: %s", fact->subject, fact->stored->value);
    else if (truth != NULL && truth->lost_by != NULL && strcmp(reason, truth->lost_by) != 0 &&
             strcmp(reason, "unknown") != 0 && !(rebooted && strcmp(reason, "host-restart") == 0))
        sim_fail("%.12s ended by %s, but the log says: %s", fact->subject, truth->lost_by,
                 fact->stored->value);
}

/* Where what has now ended was started, by the container's id, or by the exec's if it is one. */
static int started_on_machine(const struct facts *facts, const struct fact *exited)
{
    const char *exec = fact_text(exited, "exec");
    int machine = 0;
    for (const struct fact *fact = facts->items; fact < exited; fact++) {
        const char *other = fact_text(fact, "exec");
        if (!fact->counts || strcmp(fact->subject, exited->subject) != 0)
            continue;
        if (exec == NULL ? fact_is(fact, "container.started")
                         : fact_is(fact, "container.exec_started") && strcmp(other, exec) == 0)
            machine = fact->machine;
    }
    return machine;
}

static void check_exits(const struct facts *facts)
{
    for (size_t i = 0; i < facts->n && !sim_failed(); i++) {
        const struct fact *fact = &facts->items[i];
        bool of_exec = fact_is(fact, "container.exec_exited");
        if (!fact->counts || (!fact_is(fact, "container.exited") && !of_exec))
            continue;
        int64_t incarnation = fact_number(fact, "incarnation");
        int started_on = started_on_machine(facts, fact);
        const struct truth *truth =
            find_truth(started_on, of_exec ? fact_text(fact, "exec") : fact->subject, incarnation);
        if (truth == NULL) /* the shim's record was all there was: nobody knows if the command was executed */
            check_unknown(fact, NULL);
        else if (fact->machine != started_on)
            check_unknown(fact, NULL); /* the other machine's evidence stays there */
        else if (!truth->ended)
            sim_fail("%.12s/%lld runs, but the log says that it exited", fact->subject,
                     (long long)incarnation);
        else if (truth->recorded)
            check_known(fact, truth);
        else
            check_unknown(fact, truth);
    }
}

/* --- what there is --- */

/* The newest that was said of it; SCHEMA_ABSENT if nothing was. */
static int64_t memory_of(const struct facts *facts, const char *id)
{
    int64_t memory = SCHEMA_ABSENT;
    for (size_t i = 0; i < facts->n; i++) {
        const struct fact *fact = &facts->items[i];
        if (fact->counts && strcmp(fact->subject, id) == 0 && fact_is(fact, "container.updated") &&
            fact_number(fact, "memory") >= 0)
            memory = fact_number(fact, "memory");
    }
    return memory;
}

static void check_container(const struct facts *facts, const struct machine *machine, const char *id)
{
    const struct fact *last;
    const char *state = facts_state(facts, id, &last);
    const struct shim *shim = shim_of(machine, id);
    bool paused = strcmp(state, "paused") == 0, runs = paused || strcmp(state, "running") == 0;
    if (runs && shim != NULL && shim->frozen != paused)
        sim_fail("%.12s is %s, but its processes are %s", id, state, shim->frozen ? "frozen" : "not frozen");
    if (runs && shim != NULL && shim->memory != memory_of(facts, id))
        sim_fail("%.12s has a memory limit of %lld, but the log says %lld", id, (long long)shim->memory,
                 (long long)memory_of(facts, id));
    if (runs && shim == NULL)
        sim_fail("%.12s is said to run, but no process of it is there", id);
    if (!runs && shim != NULL)
        sim_fail("%.12s is %s, but runs as %lld", id, state, (long long)shim->pid);
    if (!runs && machine_has_cgroup(machine, id))
        sim_fail("%.12s is %s, but has a cgroup", id, state);
    if (runs && !machine_has_cgroup(machine, id))
        sim_fail("%.12s runs without a cgroup", id);
    if (strcmp(state, "absent") == 0 && machine_dir(machine, id, false) != NULL)
        sim_fail("%.12s is no more, but its directory is there", id);
    if (machine_dir(machine, id, true) != NULL)
        sim_fail("%.12s was removed, but not deleted", id);
}

static void check_resources(const struct facts *facts, const struct machine *machine)
{
    for (size_t i = 0; i < facts->n && !sim_failed(); i++)
        if (facts->items[i].counts && fact_is(&facts->items[i], "container.created"))
            check_container(facts, machine, facts->items[i].subject);
    for (const struct sim_dir *dir = machine->dirs; dir != NULL && !sim_failed(); dir = dir->next)
        if (!facts_exec_runs(facts, dir->id) && !facts_may_check_health(facts, dir))
            check_container(facts, machine, dir->id);
    for (const struct cgroup *cgroup = machine->cgroups; cgroup != NULL && !sim_failed();
         cgroup = cgroup->next)
        check_container(facts, machine, cgroup->id);
    for (const struct shim *shim = machine->shims; shim != NULL && !sim_failed(); shim = shim->next)
        if (shim->exec_of[0] == '\0')
            check_container(facts, machine, shim->id);
}

/* --- images --- */

/* The newest reference that was made to the digest, or NULL; whether it still stands. */
static const struct fact *newest_import(const struct facts *facts, const char *digest, bool *ret_stands)
{
    const struct fact *newest = NULL;
    *ret_stands = false;
    for (size_t i = 0; i < facts->n; i++) {
        const struct fact *fact = &facts->items[i];
        if (!fact->counts || !fact_is(fact, "image.imported") ||
            strcmp(fact_text(fact, "digest"), digest) != 0)
            continue;
        newest = fact;
        bool stands = true;
        for (size_t j = i + 1; j < facts->n; j++)
            if (facts->items[j].counts && strncmp(facts->items[j].type, "image.", 6) == 0 &&
                strcmp(fact_text(&facts->items[j], "reference"), fact_text(fact, "reference")) == 0)
                stands = false; /* replaced or removed; if replaced by itself, a later one says so */
        *ret_stands = *ret_stands || stands;
    }
    return newest;
}

static bool has_container(const struct facts *facts, const char *digest)
{
    for (size_t i = 0; i < facts->n; i++) {
        const struct fact *fact = &facts->items[i], *last;
        if (fact->counts && fact_is(fact, "container.created") &&
            strcmp(fact_text(fact, "image_digest"), digest) == 0 &&
            strcmp(facts_state(facts, fact->subject, &last), "absent") != 0)
            return true;
    }
    return false;
}

static void check_images(const struct facts *facts, const struct machine *machine)
{
    bool stands;
    for (const struct stored_image *image = machine->images; image != NULL && !sim_failed();
         image = image->next) {
        newest_import(facts, image->digest, &stands);
        if (!stands && !has_container(facts, image->digest))
            sim_fail("the contents of image %.20s are there, but nothing needs them", image->digest);
    }
    for (size_t i = 0; i < facts->n && !sim_failed(); i++) {
        const struct fact *fact = &facts->items[i];
        if (!fact->counts || !fact_is(fact, "image.imported") || fact->machine != machine->number)
            continue;
        const char *digest = fact_text(fact, "digest");
        const struct fact *newest = newest_import(facts, digest, &stands);
        if (newest == fact && (stands || has_container(facts, digest)) && !machine_has_image(machine, digest))
            sim_fail("the contents of image %.20s are needed and gone", digest);
    }
}

/* --- restart policies --- */

static const json_t *spec_of(const struct facts *facts, const char *id)
{
    for (size_t i = 0; i < facts->n; i++)
        if (facts->items[i].counts && fact_is(&facts->items[i], "container.created") &&
            strcmp(facts->items[i].subject, id) == 0)
            return json_object_get(facts->items[i].data, "spec");
    return NULL;
}

/* Asked to end since it was last started. */
static bool was_stopped(const struct facts *facts, const char *id)
{
    bool stopped = false;
    for (size_t i = 0; i < facts->n; i++) {
        const struct fact *fact = &facts->items[i];
        if (!fact->counts || strcmp(fact->subject, id) != 0)
            continue;
        const char *signal = fact_text(fact, "signal");
        if (fact_is(fact, "container.started"))
            stopped = false;
        else if (fact_is(fact, "container.stopping") || fact_is(fact, "container.restart_canceled"))
            stopped = true;
        else if (fact_is(fact, "container.signaled") &&
                 (strcmp(signal, "SIGKILL") == 0 || strcmp(signal, "SIGTERM") == 0))
            stopped = true;
    }
    return stopped;
}

static void check_policy(const struct facts *facts, const char *id, int boot_change)
{
    const struct fact *last;
    const json_t *spec = spec_of(facts, id);
    const char *state = facts_state(facts, id, &last);
    const char *policy = json_string_value(json_object_get(spec, "restart"));
    if (last == NULL || strcmp(state, "absent") == 0)
        return;
    bool failed_start = fact_is(last, "container.start_failed"), exited = fact_is(last, "container.exited");
    if (json_is_true(json_object_get(spec, "auto_remove")) && (failed_start || exited))
        sim_fail("%.12s is %s and should have been removed at its end", id, state);
    if (!exited || policy == NULL)
        return;
    bool stopped = was_stopped(facts, id);
    if ((strcmp(policy, "always") == 0 || strcmp(policy, "unless-stopped") == 0) && !stopped)
        sim_fail("%.12s has exited, and its policy '%s' does not start it again", id, policy);
    if (strcmp(policy, "always") == 0 && stopped && last->boot_change != boot_change)
        sim_fail("%.12s has the policy 'always', and the restart of the host does not start it", id);
}

static void check_policies(const struct facts *facts, const struct machine *machine)
{
    (void)machine;
    for (size_t i = 0; i < facts->n && !sim_failed(); i++)
        if (facts->items[i].counts && fact_is(&facts->items[i], "container.created"))
            check_policy(facts, facts->items[i].subject, facts->items[facts->n - 1].boot_change);
}

void check_host(void)
{
    struct facts facts;
    const struct process *runtime = role_find(ROLE_RUNTIME, NULL);
    void (*const checks[])(const struct facts *, const struct machine *) = {check_resources, check_images,
                                                                            check_policies};
    facts_read(&facts);
    check_exits(&facts);
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]) && !sim_failed(); i++)
        checks[i](&facts, runtime->machine);
    facts_release(&facts);
}
