/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the writer reads. Events, all of them (or what follow_file.c leaves of them) and from then on: which
 * nodes there are, and the outcomes.
 * Commands, the newest at start: with what content an idempotency key was used, so that its repetition is
 * told from its abuse.
 *
 * Damaged or unknown records are counted and passed over; parking them is the business of runtime and
 * projector.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "writer/writer_internal.h"

#define RETRY_MS 500

static void ask_partitions(struct follow *follow);

static void settle(struct follow_partition *partition, const struct event *event,
                   const struct log_record *record)
{
    struct writer *writer = partition->writer;
    struct err err = ERR_INIT;
    struct pending_command *settled = pending_settle(&writer->pending, event, record->partition,
                                                     record->offset, record->value, record->value_size, &err);
    if (settled != NULL)
        commands_settled(writer, settled);
    else if (err.code != ERR_NONE)
        writer_fail(writer, &err);
}

/* What the placement's file knows already is read for its outcomes only. */
static void apply_event(struct follow_partition *partition, const struct log_record *record)
{
    struct writer *writer = partition->writer;
    struct event event;
    struct err err = ERR_INIT;
    bool counts = true;
    if (record->damage != NULL || event_decode(&event, record->value, record->value_size, &err) < 0) {
        writer->metrics.records_skipped++;
        return;
    }
    bool known = record->offset < partition->mark.next_offset;
    if (!known && placement_apply(&writer->placement, &event, &counts, &err) < 0)
        writer_fail(writer, &err);
    else if (counts)
        settle(partition, &event, record);
    else
        writer->metrics.events_fenced++;
    event_release(&event);
}

static void apply_command(struct writer *writer, const struct log_record *record)
{
    struct command command;
    struct err err = ERR_INIT;
    if (record->damage != NULL || command_decode(&command, record->value, record->value_size, &err) < 0) {
        writer->metrics.records_skipped++;
        return;
    }
    struct pending_command *entry = pending_note(&writer->pending, command.envelope.id);
    int rc = entry != NULL ? pending_fill(entry, &command, record->partition, record->offset, &err)
                           : err_nomem(&err, "reading commands");
    command_release(&command);
    if (rc < 0)
        writer_fail(writer, &err);
}

static void read_from_start(struct writer *writer);

static void on_events(struct log_reader *reader, const struct log_record *records, size_t n, void *data)
{
    (void)reader;
    struct follow_partition *partition = data;
    for (size_t i = 0; i < n; i++) {
        if (!follow_file_fits(partition, &records[i])) {
            read_from_start(partition->writer);
            return;
        }
        apply_event(partition, &records[i]);
    }
    follow_file_note(partition, records, n);
    follow_file_write(partition->writer, partition->writer->options.snapshot_every);
}

static void on_commands(struct log_reader *reader, const struct log_record *records, size_t n, void *data)
{
    (void)reader;
    struct follow_partition *partition = data;
    for (size_t i = 0; i < n; i++)
        apply_command(partition->writer, &records[i]);
}

static void check_caught_up(struct follow *follow)
{
    for (size_t i = 0; i < follow->n; i++)
        if (!follow->partitions[i].caught_up)
            return;
    follow->caught_up = true;
    struct writer *writer = follow->writer;
    if (writer->events.caught_up && writer->commands.caught_up)
        writer_caught_up(writer);
}

static void on_events_caught_up(struct log_reader *reader, int64_t end_offset, void *data)
{
    (void)reader;
    (void)end_offset;
    struct follow_partition *partition = data;
    if (follow_file_is_unchecked(partition)) { /* the log ends before the mark */
        read_from_start(partition->writer);
        return;
    }
    partition->caught_up = true;
    if (!partition->writer->events.caught_up)
        check_caught_up(&partition->writer->events);
}

/* From here on this process knows what it appends. */
static void on_commands_caught_up(struct log_reader *reader, int64_t end_offset, void *data)
{
    (void)end_offset;
    struct follow_partition *partition = data;
    log_reader_pause(reader);
    partition->caught_up = true;
    if (!partition->writer->commands.caught_up)
        check_caught_up(&partition->writer->commands);
}

static void on_lost(struct log_reader *reader, const struct err *err, void *data)
{
    (void)reader;
    struct follow_partition *partition = data;
    if (follow_file_is_unchecked(partition))
        read_from_start(partition->writer);
    else
        writer_fail(partition->writer, err);
}

static const struct log_reader_ops events_ops = {on_events, on_events_caught_up, on_lost};
static const struct log_reader_ops commands_ops = {on_commands, on_commands_caught_up, on_lost};

static void open_reader(struct follow *follow, struct follow_partition *partition, int64_t from)
{
    struct err err = ERR_INIT;
    if (log_reader_open(&partition->reader, follow->writer->log, follow->topic, partition->partition, from,
                        follow->ops, partition, &err) < 0)
        writer_fail(follow->writer, &err);
}

static void on_commands_end(struct log_query *query, int64_t end, const struct err *err)
{
    struct follow_partition *partition = query->data;
    struct writer *writer = partition->writer;
    if (writer->stopping)
        return;
    if (err != NULL && err->code != ERR_NONE)
        writer_fail(writer, err);
    else
        open_reader(&writer->commands, partition,
                    end > WRITER_COMMANDS_TAIL ? end - WRITER_COMMANDS_TAIL : 0);
}

static void open_partition(struct follow *follow, struct follow_partition *partition)
{
    struct err err = ERR_INIT;
    if (follow->topic == LOG_EVENTS) {
        open_reader(follow, partition, follow_file_from(partition));
        return;
    }
    partition->end.data = partition;
    if (log_end(follow->writer->log, &partition->end, follow->topic, partition->partition, on_commands_end,
                &err) < 0)
        writer_fail(follow->writer, &err);
}

/* What the file said is of another log. */
static void read_from_start(struct writer *writer)
{
    follow_file_forget(writer);
    for (size_t i = 0; i < writer->events.n; i++) {
        struct follow_partition *partition = &writer->events.partitions[i];
        log_reader_close(steal_ptr(partition->reader));
        partition->caught_up = false;
        partition->next_offset = 0;
        open_reader(&writer->events, partition, 0);
    }
}

static void on_retry(uv_timer_t *timer)
{
    ask_partitions(timer->data);
}

static void on_partitions(struct log_query *query, int64_t n, const struct err *err)
{
    struct follow *follow = query->data;
    struct writer *writer = follow->writer;
    if (writer->stopping)
        return;
    if ((err != NULL && err->code != ERR_NONE) || n <= 0) {
        uv_timer_start(&follow->retry, on_retry, RETRY_MS, 0); /* away, or the topic is yet to be made */
        return;
    }
    follow->partitions = calloc((size_t)n, sizeof(*follow->partitions));
    if (follow->partitions == NULL) {
        struct err nomem = ERR_INIT;
        err_nomem(&nomem, "reading the log");
        writer_fail(writer, &nomem);
        return;
    }
    follow->n = (size_t)n;
    for (size_t i = 0; i < follow->n; i++)
        follow->partitions[i] = (struct follow_partition){.writer = writer, .partition = (uint32_t)i};
    if (follow->topic == LOG_EVENTS)
        follow_file_load(writer);
    for (size_t i = 0; i < follow->n; i++)
        open_partition(follow, &follow->partitions[i]);
}

static void ask_partitions(struct follow *follow)
{
    struct err err = ERR_INIT;
    follow->count.data = follow;
    if (log_partitions(follow->writer->log, &follow->count, follow->topic, on_partitions, &err) < 0)
        uv_timer_start(&follow->retry, on_retry, RETRY_MS, 0);
}

void follow_init(struct writer *writer)
{
    writer->events = (struct follow){.writer = writer, .topic = LOG_EVENTS, .ops = &events_ops};
    writer->commands = (struct follow){.writer = writer, .topic = LOG_COMMANDS, .ops = &commands_ops};
    uv_timer_init(writer->loop, &writer->events.retry);
    uv_timer_init(writer->loop, &writer->commands.retry);
    writer->events.retry.data = &writer->events;
    writer->commands.retry.data = &writer->commands;
}

void follow_start(struct writer *writer)
{
    ask_partitions(&writer->events);
    ask_partitions(&writer->commands);
}

static void stop_topic(struct follow *follow)
{
    uv_timer_stop(&follow->retry);
    for (size_t i = 0; i < follow->n; i++)
        log_reader_close(steal_ptr(follow->partitions[i].reader));
}

void follow_stop(struct writer *writer)
{
    stop_topic(&writer->events);
    stop_topic(&writer->commands);
}
