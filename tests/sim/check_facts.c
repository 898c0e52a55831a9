/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/check.h"
#include "tests/sim/machine.h"

static int64_t number_of(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_integer(value) ? json_integer_value(value) : -1;
}

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

int64_t fact_number(const struct fact *fact, const char *name)
{
    return number_of(fact->data, name);
}

const char *fact_text(const struct fact *fact, const char *name)
{
    return text_of(fact->data, name);
}

bool fact_is(const struct fact *fact, const char *type)
{
    return strcmp(fact->type, type) == 0;
}

static int machine_of(int pid)
{
    for (const struct process *process = sim->processes; process != NULL; process = process->next)
        if (process->pid == pid)
            return process->machine->number;
    return -1;
}

static void read_fact(struct fact *ret, const struct stored *stored)
{
    *ret = (struct fact){.stored = stored, .document = json_loadb(stored->value, stored->size, 0, NULL)};
    const char *type = text_of(ret->document, "type");
    if (type == NULL || sscanf(type, "wharf.%60s", ret->type_text) != 1) {
        sim_fail("event %lld is none: %.200s", (long long)stored->offset, stored->value);
        return;
    }
    char *version = strrchr(ret->type_text, '.');
    if (version != NULL)
        *version = '\0';
    ret->subject = text_of(ret->document, "subject");
    ret->outcome = text_of(ret->document, "outcome");
    ret->cause = text_of(ret->document, "causationid") != NULL ? text_of(ret->document, "causationid") : "";
    ret->data = json_object_get(ret->document, "data");
    ret->epoch = number_of(ret->document, "epoch");
    ret->nodeseq = number_of(ret->document, "nodeseq");
    ret->streamversion = number_of(ret->document, "streamversion");
    ret->commandoffset = number_of(ret->document, "commandoffset");
    ret->machine = machine_of(stored->pid);
}

/* The rule that every reader follows: an epoch never goes back, and within the node each number comes once.
 */
static void mark_those_that_count(struct facts *facts)
{
    int64_t epoch = 0, nodeseq = 0;
    int boot_changes = 0;
    const char *boot = NULL;
    for (size_t i = 0; i < facts->n; i++) {
        struct fact *fact = &facts->items[i];
        fact->counts = fact->epoch >= epoch && fact->nodeseq > nodeseq;
        if (fact->counts) {
            epoch = fact->epoch;
            nodeseq = fact->nodeseq;
        }
        if (fact->counts && fact_is(fact, "node.started")) {
            const char *now = fact_text(fact, "boot_id");
            boot_changes += boot != NULL && now != NULL && strcmp(boot, now) != 0;
            boot = now;
        }
        fact->boot_change = boot_changes;
    }
}

void facts_read(struct facts *ret)
{
    *ret = (struct facts){.n = 0};
    for (uint32_t p = 0; p < sim->store->n_partitions; p++) {
        const struct store_partition *partition = &sim->store->topics[LOG_EVENTS][p];
        if (partition->n > 0 && ret->n > 0)
            sim_fail("the node's events are in two partitions");
        if (partition->n == 0 || ret->n > 0)
            continue;
        ret->partition = p;
        ret->items = sim_alloc(partition->n * sizeof(*ret->items));
        ret->n = partition->n;
        for (size_t i = 0; i < partition->n; i++) {
            read_fact(&ret->items[i], &partition->records[i]);
            ret->items[i].type = ret->items[i].type_text;
        }
    }
    mark_those_that_count(ret);
}

void facts_release(struct facts *facts)
{
    for (size_t i = 0; i < facts->n; i++)
        json_decref(facts->items[i].document);
    free(facts->items);
}

/* What may happen in every state, and is not what brought the container there. */
static bool moves_nothing(const char *type)
{
    static const char *const types[] = {"renamed",  "updated",      "committed",   "copied",     "exported",
                                        "attached", "exec_started", "exec_failed", "exec_exited"};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (strcmp(type, types[i]) == 0)
            return true;
    return false;
}

/* The container's life as docs/container-states.dot draws it, written down once more. */
const char *legal_move(const char *state, const char *type)
{
    static const struct {
        const char *from, *type, *to;
    } moves[] = {
        {"absent", "created", "created"},
        {"created", "started", "running"},
        {"exited", "started", "running"},
        {"restarting", "started", "running"},
        {"created", "start_failed", "created"},
        {"exited", "start_failed", "exited"},
        {"restarting", "start_failed", "exited"},
        {"running", "paused", "paused"},
        {"paused", "unpaused", "running"},
        {"paused", "adopted", "paused"},
        {"paused", "signaled", "paused"},
        {"paused", "stopping", "stopping"},
        {"paused", "exited", "exited"},
        {"running", "adopted", "running"},
        {"stopping", "adopted", "stopping"},
        {"running", "signaled", "running"},
        {"stopping", "signaled", "stopping"},
        {"running", "stopping", "stopping"},
        {"stopping", "stopping", "stopping"},
        {"running", "exited", "exited"},
        {"stopping", "exited", "exited"},
        {"exited", "restarting", "restarting"},
        {"restarting", "restart_canceled", "exited"},
        {"created", "removed", "absent"},
        {"exited", "removed", "absent"},
    };
    if (strcmp(type, "health_changed") == 0)
        return strcmp(state, "running") == 0 || strcmp(state, "paused") == 0 || strcmp(state, "stopping") == 0
                   ? state
                   : NULL;
    if (moves_nothing(type))
        return strcmp(state, "absent") != 0 ? state : NULL;
    for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++)
        if (strcmp(moves[i].from, state) == 0 && strcmp(moves[i].type, type) == 0)
            return moves[i].to;
    return NULL;
}

const char *facts_state(const struct facts *facts, const char *id, const struct fact **ret_last)
{
    const char *state = "absent";
    *ret_last = NULL;
    for (size_t i = 0; i < facts->n; i++) {
        const struct fact *fact = &facts->items[i];
        if (!fact->counts || strncmp(fact->type, "container.", 10) != 0 || strcmp(fact->subject, id) != 0)
            continue;
        const char *next = legal_move(state, fact->type + 10);
        if (next == NULL)
            continue;
        state = next;
        if (!moves_nothing(fact->type + 10))
            *ret_last = fact;
    }
    return state;
}
