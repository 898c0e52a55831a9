/* SPDX-License-Identifier: Apache-2.0 */
/* Readers: woken some time after a record was stored, handed batches that are cut anywhere. */
#include <stdlib.h>

#include "tests/sim/log_parts.h"

static void on_turn(void *data);

static struct store_partition *partition_of(const struct sim_reader *reader)
{
    return &sim->store->topics[reader->reader.topic][reader->reader.partition];
}

void sim_reader_wake(struct sim_reader *reader)
{
    if (reader->task.index == 0 && !reader->closed && !reader->lost)
        task_schedule(&reader->task, reader->log->process, process_latency_ns(reader->log->process), on_turn,
                      reader);
}

/* The first record at or after the offset. */
static size_t find_record(const struct store_partition *partition, int64_t offset)
{
    size_t low = 0, high = partition->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (partition->records[middle].offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void deliver(struct sim_reader *reader, const struct store_partition *partition, size_t first)
{
    struct log_record records[LOG_BATCH_RECORDS];
    struct rng *rng = &reader->log->process->rng;
    size_t n = partition->n - first;
    if (rng_chance(rng, 15))
        n = 1 + rng_below(rng, n);
    if (n > LOG_BATCH_RECORDS)
        n = LOG_BATCH_RECORDS;
    for (size_t i = 0; i < n; i++) {
        const struct stored *stored = &partition->records[first + i];
        records[i] = (struct log_record){.topic = reader->reader.topic,
                                         .partition = reader->reader.partition,
                                         .offset = stored->offset,
                                         .time_ms = stored->time_ms,
                                         .key = stored->key,
                                         .value = stored->value,
                                         .value_size = stored->size};
    }
    reader->position = records[n - 1].offset + 1;
    reader->announced = false;
    sim_note("%s/%u@%lld to %d (%zu)", log_topic_name(reader->reader.topic), reader->reader.partition,
             (long long)records[0].offset, reader->log->process->pid, n);
    reader->reader.ops->on_records(&reader->reader, records, n, reader->reader.data);
}

static void lose(struct sim_reader *reader, int64_t end)
{
    struct err err = ERR_INIT;
    reader->lost = true;
    err_set(&err, ERR_NOT_FOUND, "the log ends at %lld, before the position %lld", (long long)end,
            (long long)reader->position);
    reader->reader.ops->on_lost(&reader->reader, &err, reader->reader.data);
}

static void turn(struct sim_reader *reader)
{
    const struct store_partition *partition = partition_of(reader);
    if (reader->position == LOG_FROM_END)
        reader->position = partition->end;
    if (reader->position > partition->end) {
        lose(reader, partition->end);
        return;
    }
    size_t first = find_record(partition, reader->position);
    if (first < partition->n)
        deliver(reader, partition, first);
    if (reader->closed || reader->paused || reader->announced)
        return;
    if (find_record(partition, reader->position) < partition->n) {
        sim_reader_wake(reader);
        return;
    }
    reader->announced = true;
    if (reader->reader.ops->on_caught_up != NULL)
        reader->reader.ops->on_caught_up(&reader->reader, partition->end, reader->reader.data);
}

static void on_turn(void *data)
{
    struct sim_reader *reader = data;
    if (reader->paused || !sim_log_reaches(reader->log) || !process_point(reader->log->process))
        return;
    reader->busy = true;
    turn(reader);
    reader->busy = false;
    if (reader->closed)
        free(reader);
}

int sim_reader_open(struct log_reader **ret, struct log *base, int64_t from_offset, struct err *err)
{
    struct sim_log *log = (struct sim_log *)base;
    if (!process_point(log->process))
        return err_set(err, ERR_UNAVAILABLE, "the process is dead");
    if ((*ret)->partition >= sim->store->n_partitions)
        return err_set(err, ERR_NOT_FOUND, "no partition %u", (*ret)->partition);
    struct sim_reader *reader = sim_alloc(sizeof(*reader));
    reader->reader = **ret;
    reader->log = log;
    reader->position = from_offset;
    reader->next = log->readers;
    log->readers = reader;
    sim_reader_wake(reader);
    *ret = &reader->reader;
    return 0;
}

void sim_reader_pause(struct log_reader *base)
{
    ((struct sim_reader *)base)->paused = true;
}

void sim_reader_resume(struct log_reader *base)
{
    struct sim_reader *reader = (struct sim_reader *)base;
    reader->paused = false;
    sim_reader_wake(reader);
}

void sim_reader_close(struct log_reader *base)
{
    struct sim_reader *reader = (struct sim_reader *)base;
    struct sim_reader **at = &reader->log->readers;
    while (*at != reader)
        at = &(*at)->next;
    *at = reader->next;
    task_cancel(&reader->task);
    reader->closed = true;
    if (!reader->busy)
        free(reader);
}
