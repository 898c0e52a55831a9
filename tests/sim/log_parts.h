/* SPDX-License-Identifier: Apache-2.0 */
/* log_parts.h - what the files of the simulated log share. */
#ifndef WHARF_TESTS_SIM_LOG_PARTS_H
#define WHARF_TESTS_SIM_LOG_PARTS_H

#include "tests/sim/log.h"

/* An append under way. */
struct sim_append {
    struct log_append *append;
    struct log_entry *entries; /* copies */
    struct sim_log *log;
    bool stored;
    bool ending; /* its timeout is being told: nothing else comes */
    struct err err;
    struct task task; /* being stored, then acknowledged */
    struct task timeout;
    struct sim_append *next;
};

struct sim_query {
    struct log_query *query;
    struct sim_log *log;
    bool wants_end;
    struct task task;
    struct sim_query *next;
};

struct sim_reader {
    struct log_reader reader;
    struct sim_log *log;
    int64_t position;
    bool paused, lost, announced, busy, closed;
    struct task task;
    struct sim_reader *next;
};

struct sim_log {
    struct log log;
    struct process *process;
    bool cut;
    bool told_away;
    struct sim_append *appends; /* oldest first */
    struct sim_query *queries;
    struct sim_reader *readers;
    int64_t last_store_ns[LOG_TOPICS][STORE_PARTITIONS_MAX]; /* so that appends stay in order */
    int64_t last_ack_ns[LOG_TOPICS][STORE_PARTITIONS_MAX];
    struct task trouble;
    struct task close;
};

bool sim_log_reaches(const struct sim_log *log);

/* All logs of living processes: there may be something to read; the log has gone or come. */
void sim_logs_wake(void);
void sim_logs_reachable(void);

/* log_readers.c */
int sim_reader_open(struct log_reader **ret, struct log *base, int64_t from_offset, struct err *err);
void sim_reader_pause(struct log_reader *base);
void sim_reader_resume(struct log_reader *base);
void sim_reader_close(struct log_reader *base);
void sim_reader_wake(struct sim_reader *reader);

/* log_appends.c */
int sim_append_begin(struct log *base, struct log_append *append, const struct log_entry *entries,
                     struct err *err);
void sim_appends_resume(struct sim_log *log);
/* What a dead process had not stored yet. */
void sim_appends_settle(struct sim_log *log);
/* Tells one append that it failed; false if there is none. */
bool sim_appends_fail_one(struct sim_log *log);
void late_free(struct store *store);

#endif
