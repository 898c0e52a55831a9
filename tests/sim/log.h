/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h - the simulated log: what is stored, and events/log/log_impl.h over it, so that the front (log.c) is
 * the production one.
 *
 * Like Kafka or like SQLite by the plan's setting. An append is stored a while after it was given and
 * acknowledged a while after that; in between the log may go away, the appender may be cut off from it, or
 * die. What a process that died had not stored yet is dropped, or a prefix of it is stored, or (Kafka) it
 * comes late, after others.
 */
#ifndef WHARF_TESTS_SIM_LOG_H
#define WHARF_TESTS_SIM_LOG_H

#include "events/log/log_impl.h"
#include "tests/sim/world.h"

#define STORE_PARTITIONS_MAX 4

struct stored {
    int64_t offset;
    int64_t time_ms;
    char *key; /* may be NULL */
    char *value;
    size_t size;
    int pid; /* of the process that appended it; 0 for nobody of ours */
};

struct store_partition {
    struct stored *records;
    size_t n, capacity;
    int64_t end; /* one past the newest offset */
};

struct late;

struct store {
    uint32_t n_partitions;
    bool away;
    struct store_partition topics[LOG_TOPICS][STORE_PARTITIONS_MAX];
    struct rng rng;
    struct late *late; /* appends of dead processes that are still on their way */
};

struct store *store_new(const struct setting *setting, uint64_t seed);
void store_free(struct store *store);

/* Stores a record and wakes the readers. Returns its offset. */
int64_t store_put(enum log_topic topic, uint32_t partition, const struct log_entry *entry, int pid);

/* The whole log, for all. */
void store_set_away(bool away);

/* One process, for ever or until set again. */
void sim_log_set_cut(struct process *process, bool cut);

/* The process is dead: settles what it had under way, and fails what still waits for an answer. True if there
 * was anything. */
bool sim_log_bury(struct process *process);

#endif
