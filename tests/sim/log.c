/* SPDX-License-Identifier: Apache-2.0 */
/* The log of one process: queries, coming and going, closing. */
#include "tests/sim/log.h"

#include <stdlib.h>
#include <string.h>

#include "tests/sim/log_parts.h"

bool sim_log_reaches(const struct sim_log *log)
{
    return !sim->store->away && !log->cut;
}

/* --- queries --- */

static void query_done(struct sim_query *query, int64_t value, const struct err *err)
{
    struct log_query *base = query->query;
    struct sim_query **at = &query->log->queries;
    while (*at != query)
        at = &(*at)->next;
    *at = query->next;
    task_cancel(&query->task);
    free(query);
    log_query_done(base, value, err);
}

static void on_query(void *data)
{
    struct sim_query *query = data;
    const struct log_query *base = query->query;
    if (!process_point(query->log->process))
        return;
    if (!sim_log_reaches(query->log)) {
        struct err err = ERR_INIT;
        err_set(&err, ERR_UNAVAILABLE, "the log is away");
        query_done(query, -1, &err);
        return;
    }
    int64_t end = sim->store->topics[base->topic][base->partition].end;
    query_done(query, query->wants_end ? end : (int64_t)sim->store->n_partitions, NULL);
}

static int begin_query(struct log *base, struct log_query *query, bool wants_end, struct err *err)
{
    struct sim_log *log = (struct sim_log *)base;
    if (!process_point(log->process))
        return err_set(err, ERR_UNAVAILABLE, "the process is dead");
    struct sim_query *mine = sim_alloc(sizeof(*mine));
    *mine = (struct sim_query){.query = query, .log = log, .wants_end = wants_end, .next = log->queries};
    log->queries = mine;
    task_schedule(&mine->task, log->process, process_latency_ns(log->process), on_query, mine);
    return 0;
}

static int sim_end(struct log *base, struct log_query *query, struct err *err)
{
    return begin_query(base, query, true, err);
}

static int sim_partitions(struct log *base, struct log_query *query, struct err *err)
{
    return begin_query(base, query, false, err);
}

/* --- coming and going --- */

static void on_trouble(void *data)
{
    struct sim_log *log = data;
    bool away = !sim_log_reaches(log);
    if (away == log->told_away || log->log.closing || !process_point(log->process))
        return;
    log->told_away = away;
    for (unsigned topic = 0; topic < LOG_TOPICS; topic++)
        if (log_appends_to(&log->log, (enum log_topic)topic))
            log_report(&log->log, away ? LOG_AWAY : LOG_BACK, (enum log_topic)topic, 0, "the log is %s",
                       away ? "away" : "back");
}

static void reachable(struct sim_log *log)
{
    task_schedule(&log->trouble, log->process, process_latency_ns(log->process), on_trouble, log);
    if (!sim_log_reaches(log))
        return;
    sim_appends_resume(log);
    for (struct sim_reader *reader = log->readers; reader != NULL; reader = reader->next)
        sim_reader_wake(reader);
}

void sim_logs_reachable(void)
{
    for (struct process *process = sim->processes; process != NULL; process = process->next)
        if (!process->dead && process->log != NULL)
            reachable(process->log);
}

void sim_logs_wake(void)
{
    for (struct process *process = sim->processes; process != NULL; process = process->next) {
        if (process->dead || process->log == NULL)
            continue;
        for (struct sim_reader *reader = process->log->readers; reader != NULL; reader = reader->next)
            sim_reader_wake(reader);
    }
}

void sim_log_set_cut(struct process *process, bool cut)
{
    if (process->log == NULL || process->log->cut == cut)
        return;
    process->log->cut = cut;
    sim_note("process %d is %s the log", process->pid, cut ? "cut off from" : "with");
    reachable(process->log);
}

/* --- closing --- */

static bool fail_one_query(struct sim_log *log)
{
    if (log->queries == NULL)
        return false;
    struct err err = ERR_INIT;
    err_set(&err, ERR_UNAVAILABLE, "the log was closed");
    query_done(log->queries, -1, &err);
    return true;
}

static void finish_close(void *data)
{
    struct sim_log *log = data;
    sim_appends_settle(log);
    while (sim_appends_fail_one(log) || fail_one_query(log))
        ;
    while (log->readers != NULL)
        sim_reader_close(&log->readers->reader);
    task_cancel(&log->trouble);
    task_cancel(&log->close);
    log->process->log = NULL;
    log_closed(&log->log);
}

static void sim_close(struct log *base)
{
    struct sim_log *log = (struct sim_log *)base;
    task_schedule(&log->close, log->process, 0, finish_close, log);
}

bool sim_log_bury(struct process *process)
{
    struct sim_log *log = process->log;
    if (log == NULL)
        return false;
    sim_appends_settle(log);
    if (sim_appends_fail_one(log) || fail_one_query(log))
        return true;
    if (!log->log.closing)
        return false;
    finish_close(log);
    return true;
}

static const struct log_ops sim_ops = {
    .close = sim_close,
    .append = sim_append_begin,
    .reader_open = sim_reader_open,
    .reader_pause = sim_reader_pause,
    .reader_resume = sim_reader_resume,
    .reader_close = sim_reader_close,
    .end = sim_end,
    .partitions = sim_partitions,
};

static int open_it(struct log **ret, uv_loop_t *loop, const struct log_options *options, struct err *err)
{
    struct process *process = loop->data;
    if (!process_point(process))
        return err_set(err, ERR_UNAVAILABLE, "the process is dead");
    struct sim_log *log = sim_alloc(sizeof(*log));
    log->process = process;
    if (log_init_take(&log->log, &sim_ops, loop, sim_strdup("memory:sim"), options, err) < 0) {
        free(log);
        return -1;
    }
    process->log = log;
    if (!sim_log_reaches(log))
        task_schedule(&log->trouble, process, process_latency_ns(process), on_trouble, log);
    *ret = &log->log;
    return 0;
}

/* What log.c opens "memory:" with; the other kinds are not part of the simulation. */
int log_memory_open(struct log **ret, uv_loop_t *loop, const char *name, const struct log_options *options,
                    struct err *err)
{
    (void)name;
    return open_it(ret, loop, options, err);
}

int log_sqlite_open(struct log **ret, uv_loop_t *loop, const char *dir, const struct log_options *options,
                    struct err *err)
{
    (void)dir;
    return open_it(ret, loop, options, err);
}

int log_kafka_open(struct log **ret, uv_loop_t *loop, const char *address, const struct log_options *options,
                   struct err *err)
{
    (void)address;
    return open_it(ret, loop, options, err);
}
