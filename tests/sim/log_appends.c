/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of an append: given, stored (visible to readers), acknowledged. Each log keeps its appends to one
 * partition in order at both steps.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/log_parts.h"

/* Appends of one dead process to one partition that arrive after its death. */
struct late {
    enum log_topic topic;
    uint32_t partition;
    int pid;
    struct log_entry *entries;
    size_t n;
    struct task task;
    struct late *next;
};

static struct log_entry *entries_copy(const struct log_entry *entries, size_t n)
{
    struct log_entry *copies = sim_alloc(n * sizeof(*copies));
    for (size_t i = 0; i < n; i++) {
        char *value = sim_alloc(entries[i].value_size + 1);
        memcpy(value, entries[i].value, entries[i].value_size);
        copies[i] = (struct log_entry){.key = entries[i].key != NULL ? sim_strdup(entries[i].key) : NULL,
                                       .value = value,
                                       .value_size = entries[i].value_size};
    }
    return copies;
}

static void entries_free(struct log_entry *entries, size_t n)
{
    for (size_t i = 0; entries != NULL && i < n; i++) {
        free((char *)(uintptr_t)entries[i].key);
        free((char *)(uintptr_t)entries[i].value);
    }
    free(entries);
}

static void append_unlink(struct sim_append *append)
{
    struct sim_append **at = &append->log->appends;
    while (*at != append)
        at = &(*at)->next;
    *at = append->next;
    task_cancel(&append->task);
    task_cancel(&append->timeout);
}

/* The callback may free the log_append, close the log, or end the process. */
static void append_done(struct sim_append *append, int64_t offset, const struct err *err)
{
    struct log_append *base = append->append;
    append_unlink(append);
    entries_free(append->entries, base->n_entries);
    free(append);
    log_append_done(base, offset, err);
}

static int64_t *last_of(int64_t last[LOG_TOPICS][STORE_PARTITIONS_MAX], const struct sim_append *append)
{
    return &last[append->append->topic][append->append->partition];
}

static void schedule_in_order(struct sim_append *append, int64_t *last_ns, void (*run)(void *))
{
    struct process *process = append->log->process;
    int64_t due_ns = sim->now_ns + process_latency_ns(process);
    if (due_ns <= *last_ns)
        due_ns = *last_ns + 1;
    *last_ns = due_ns;
    task_schedule(&append->task, process, due_ns - sim->now_ns, run, append);
}

static void on_acknowledged(void *data)
{
    struct sim_append *append = data;
    if (!sim_log_reaches(append->log) || !process_point(append->log->process))
        return;
    struct process *process = append->log->process;
    sim_note("acknowledged to %d: %s@%lld", process->pid, log_topic_name(append->append->topic),
             (long long)append->append->first_offset);
    append_done(append, append->append->first_offset, NULL);
    process_point(process);
}

static void on_stored(void *data)
{
    struct sim_append *append = data;
    struct log_append *base = append->append;
    if (!sim_log_reaches(append->log))
        return;
    for (size_t i = 0; i < base->n_entries; i++) {
        int64_t offset =
            store_put(base->topic, base->partition, &append->entries[i], append->log->process->pid);
        if (i == 0)
            base->first_offset = offset;
    }
    append->stored = true;
    schedule_in_order(append, last_of(append->log->last_ack_ns, append), on_acknowledged);
}

/* What has gone wrong on its way waits here until the log can be reached again. */
void sim_appends_resume(struct sim_log *log)
{
    memset(log->last_store_ns, 0, sizeof(log->last_store_ns));
    memset(log->last_ack_ns, 0, sizeof(log->last_ack_ns));
    for (struct sim_append *append = log->appends; append != NULL; append = append->next) {
        if (append->stored)
            schedule_in_order(append, last_of(log->last_ack_ns, append), on_acknowledged);
        else
            schedule_in_order(append, last_of(log->last_store_ns, append), on_stored);
    }
}

/* --- late arrivals --- */

static void late_unlink(struct late *late)
{
    struct late **at = &sim->store->late;
    while (*at != late)
        at = &(*at)->next;
    *at = late->next;
    task_cancel(&late->task);
    entries_free(late->entries, late->n);
    free(late);
}

static void on_late(void *data)
{
    struct late *late = data;
    if (sim->store->away) {
        task_schedule(&late->task, NULL, 50 * MS_NS, on_late, late);
        return;
    }
    for (size_t i = 0; i < late->n; i++)
        store_put(late->topic, late->partition, &late->entries[i], late->pid);
    late_unlink(late);
}

/* Takes the entries. They keep their order: the delay is never less than that of the ones before. */
static void late_begin(struct sim_append *append, int64_t delay_ns)
{
    struct late *late = sim_alloc(sizeof(*late));
    *late = (struct late){.topic = append->append->topic,
                          .partition = append->append->partition,
                          .pid = append->log->process->pid,
                          .entries = append->entries,
                          .n = append->append->n_entries,
                          .next = sim->store->late};
    append->entries = NULL;
    sim->store->late = late;
    task_schedule(&late->task, NULL, delay_ns, on_late, late);
}

void late_free(struct store *store)
{
    (void)store;
    while (sim->store->late != NULL)
        late_unlink(sim->store->late);
}

static void store_prefix(struct sim_append *append, size_t n)
{
    for (size_t i = 0; i < n; i++)
        store_put(append->append->topic, append->append->partition, &append->entries[i],
                  append->log->process->pid);
}

/* From the first append on that is not stored as a whole, nothing of that process is stored before it. */
void sim_appends_settle(struct sim_log *log)
{
    struct rng *rng = &log->process->rng;
    bool reaches = sim_log_reaches(log), late = sim->plan->setting.kafka && rng_chance(rng, 40);
    int64_t delay_ns = rng_between(rng, 0, rng_chance(rng, 50) ? 30 : 3000) * MS_NS;
    bool cut_off = false;
    for (struct sim_append *append = log->appends; append != NULL; append = append->next) {
        task_cancel(&append->task);
        task_cancel(&append->timeout);
        bool is_open = !append->stored && !append->ending && !cut_off;
        append->stored = true;
        if (!is_open)
            continue;
        size_t n = append->append->n_entries;
        if (late) {
            late_begin(append, delay_ns++);
        } else if (!reaches || rng_chance(rng, 50)) {
            cut_off = true;
        } else {
            size_t some = rng_chance(rng, 50) ? n : rng_below(rng, n + 1);
            store_prefix(append, some);
            cut_off = some < n;
        }
    }
}

bool sim_appends_fail_one(struct sim_log *log)
{
    if (log->appends == NULL)
        return false;
    struct err err = ERR_INIT;
    err_set(&err, ERR_UNAVAILABLE, "the log was closed");
    append_done(log->appends, -1, &err);
    return true;
}

/* --- appends that may not wait for ever --- */

static void on_timeout(void *data)
{
    struct sim_append *append = data;
    struct process *process = append->log->process;
    struct err err = ERR_INIT;
    bool may_be_stored = append->stored || (sim->plan->setting.kafka && rng_chance(&process->rng, 50));
    if (!process_point(process))
        return;
    err_set(&err, may_be_stored ? ERR_TIMEOUT : ERR_UNAVAILABLE, "the log did not answer in time");
    if (may_be_stored && !append->stored && rng_chance(&process->rng, 50)) {
        append->ending = true;
        late_begin(append, rng_between(&process->rng, 0, 3000) * MS_NS);
    }
    append_done(append, -1, &err);
}

int sim_append_begin(struct log *base, struct log_append *append, const struct log_entry *entries,
                     struct err *err)
{
    struct sim_log *log = (struct sim_log *)base;
    if (!process_point(log->process))
        return err_set(err, ERR_UNAVAILABLE, "the process is dead");
    if (append->partition >= sim->store->n_partitions)
        return err_set(err, ERR_NOT_FOUND, "no partition %u", append->partition);
    struct sim_append *mine = sim_alloc(sizeof(*mine));
    *mine = (struct sim_append){
        .append = append, .log = log, .entries = entries_copy(entries, append->n_entries)};
    struct sim_append **end = &log->appends;
    while (*end != NULL)
        end = &(*end)->next;
    *end = mine;
    schedule_in_order(mine, last_of(log->last_store_ns, mine), on_stored);
    if (log->log.options.append_timeout_ms > 0)
        task_schedule(&mine->timeout, log->process, (int64_t)log->log.options.append_timeout_ms * MS_NS,
                      on_timeout, mine);
    process_point(log->process);
    return 0;
}
