/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tests/sim/log.h"
#include "tests/sim/log_parts.h"

#define GAP_PERCENT 4

struct store *store_new(const struct setting *setting, uint64_t seed)
{
    struct store *store = sim_alloc(sizeof(*store));
    store->n_partitions = setting->partitions;
    store->rng = rng_make(seed, RNG_LOG, 0);
    return store;
}

void store_free(struct store *store)
{
    late_free(store);
    for (size_t t = 0; t < LOG_TOPICS; t++) {
        for (size_t p = 0; p < STORE_PARTITIONS_MAX; p++) {
            struct store_partition *partition = &store->topics[t][p];
            for (size_t i = 0; i < partition->n; i++) {
                free(partition->records[i].key);
                free(partition->records[i].value);
            }
            free(partition->records);
        }
    }
    free(store);
}

static struct stored *new_record(struct store_partition *partition)
{
    if (partition->n == partition->capacity) {
        partition->capacity = partition->capacity == 0 ? 64 : partition->capacity * 2;
        partition->records = realloc(partition->records, partition->capacity * sizeof(struct stored));
        if (partition->records == NULL)
            abort();
    }
    return &partition->records[partition->n++];
}

/* Kafka's offsets may have gaps (control records of others' transactions, compaction). */
int64_t store_put(enum log_topic topic, uint32_t number, const struct log_entry *entry, int pid)
{
    struct store_partition *partition = &sim->store->topics[topic][number];
    struct stored *record = new_record(partition);
    if (sim->plan->setting.kafka && rng_chance(&sim->store->rng, GAP_PERCENT))
        partition->end += 1 + (int64_t)rng_below(&sim->store->rng, 2);
    *record = (struct stored){.offset = partition->end++,
                              .time_ms = clock_realtime_ns() / MS_NS,
                              .key = entry->key != NULL ? sim_strdup(entry->key) : NULL,
                              .value = sim_alloc(entry->value_size + 1),
                              .size = entry->value_size,
                              .pid = pid};
    memcpy(record->value, entry->value, entry->value_size);
    sim_note("stored %s/%u@%lld by %d: %.400s", log_topic_name(topic), number, (long long)record->offset, pid,
             record->value);
    sim_logs_wake();
    return record->offset;
}

void store_set_away(bool away)
{
    if (sim->store->away == away)
        return;
    sim->store->away = away;
    sim_note("the log is %s", away ? "away" : "back");
    sim_logs_reachable();
}
