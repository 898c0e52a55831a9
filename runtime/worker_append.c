/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Durability: the events of a decision become one append; what depends on it (timers, clients that wait) is
 * let go when it is acknowledged. A batch stays in the list until our own reader of the partition has seen it
 * too, which tells our events from those of a runtime that took the node over; only then are exit records
 * forgotten.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/id.h"
#include "events/deadletter.h"
#include "runtime/effect/effect.h"
#include "runtime/worker_impl.h"

static const struct log_header content_type[] = {{"content-type", MESSAGE_CONTENT_TYPE}};

static void batch_free(struct append_batch *batch)
{
    decision_release(&batch->decision);
    free(batch);
}

/* Both conditions for letting go, in order from the oldest. */
static void drop_finished(struct worker *worker)
{
    while (worker->batches != NULL && worker->batches->durable &&
           worker->batches->n_recognised == worker->batches->decision.n_events) {
        struct append_batch *batch = worker->batches;
        worker->batches = batch->next;
        batch_free(batch);
    }
    if (worker->batches == NULL)
        worker->batches_end = &worker->batches;
}

static void tell_durable(struct worker *worker, const struct append_batch *batch)
{
    for (size_t i = 0; i < batch->decision.n_events; i++) {
        const struct decided_event *event = &batch->decision.events[i];
        worker->options.on_event(event, node_state_container(&worker->core.state, event->subject),
                                 worker->options.data);
    }
}

static void on_appended(struct log_append *append, int64_t first_offset, const struct err *err)
{
    struct append_batch *batch = append->data;
    struct worker *worker = batch->worker;
    (void)first_offset;
    FAULT_POINT(RUNTIME_AFTER_APPEND);
    batch->durable = true;
    worker->counts.events_pending -= (int64_t)batch->decision.n_events;
    worker->durable_batches++;
    if (err != NULL) {
        batch->n_recognised = batch->decision.n_events;
        struct err failure = *err;
        err_wrap(&failure, "cannot append events of node '%s'", worker->core.state.name);
        worker_give_up(worker, &failure);
    } else {
        worker->counts.events += (int64_t)batch->decision.n_events;
        tell_durable(worker, batch);
        FAULT_POINT(RUNTIME_ACKNOWLEDGED);
        worker_begun_if_due(worker);
        worker_claim_if_due(worker);
        effects_on_durable(worker);
        worker_access_durable(worker);
    }
    drop_finished(worker);
    worker_maybe_closed(worker);
}

void worker_append(struct worker *worker, struct decision *decision)
{
    if (decision->n_events == 0)
        return;
    struct append_batch *batch = calloc(1, sizeof(*batch));
    struct log_entry *entries = calloc(decision->n_events, sizeof(*entries));
    struct err err = ERR_INIT;
    if (batch == NULL || entries == NULL) {
        free(batch);
        free(entries);
        worker->core.failed = true;
        return;
    }
    for (size_t i = 0; i < decision->n_events; i++)
        entries[i] = (struct log_entry){.key = decision->events[i].subject,
                                        .value = decision->events[i].bytes,
                                        .value_size = decision->events[i].size,
                                        .headers = content_type,
                                        .n_headers = 1};
    batch->worker = worker;
    batch->append.data = batch;
    FAULT_POINT(RUNTIME_BEFORE_APPEND);
    if (log_append(worker->options.log, &batch->append, LOG_EVENTS, (uint32_t)worker->core.state.partition,
                   entries, decision->n_events, on_appended, &err) < 0) {
        free(batch);
        worker_give_up(worker, &err);
    } else {
        batch->decision.events = steal_ptr(decision->events);
        batch->decision.n_events = decision->n_events;
        decision->n_events = 0;
        worker->counts.events_pending += (int64_t)batch->decision.n_events;
        worker->decided_batches++;
        worker_snapshot_decided(worker, batch->decision.n_events);
        if (worker->batches == NULL)
            worker->batches_end = &worker->batches;
        *worker->batches_end = batch;
        worker->batches_end = &batch->next;
    }
    FAULT_POINT(RUNTIME_APPENDING);
    free(entries);
}

bool worker_recognise_own(struct worker *worker, const struct log_record *record)
{
    struct append_batch *batch = worker->batches;
    while (batch != NULL && batch->n_recognised == batch->decision.n_events)
        batch = batch->next;
    if (batch == NULL)
        return false;
    const struct decided_event *expected = &batch->decision.events[batch->n_recognised];
    if (expected->size != record->value_size || memcmp(expected->bytes, record->value, expected->size) != 0)
        return false;
    batch->n_recognised++;
    /* Being durable is not enough: behind another runtime's epoch it would count for nobody, and the record
     * is all the evidence that there is. */
    const char *exited = decided_event_exit(expected);
    if (exited != NULL)
        host_forget_exit(worker->options.host, exited, expected->incarnation);
    drop_finished(worker);
    worker_snapshot_seen(worker, record->offset);
    return true;
}

static void on_parked(struct log_append *append, int64_t first_offset, const struct err *err)
{
    struct parking *parking = append->data;
    struct worker *worker = parking->worker;
    (void)first_offset;
    worker->parkings--;
    if (err != NULL) {
        worker_give_up(worker, err);
    } else {
        worker->counts.commands_parked++;
        struct input input = {.kind = INPUT_PARKED,
                              .parked = {.offset = parking->offset, .reason = parking->reason}};
        worker_step(worker, &input);
    }
    free(parking);
    worker_maybe_closed(worker);
}

void worker_park(struct worker *worker, const struct log_record *record, const char *reason)
{
    struct parking *parking = calloc(1, sizeof(*parking));
    struct err err = ERR_INIT;
    auto_free char *letter = NULL;
    size_t size = 0;
    char key[128];
    if (parking == NULL || deadletter_format(record, reason, key, sizeof(key), &letter, &size) < 0) {
        free(parking);
        worker->core.failed = true;
        return;
    }
    parking->worker = worker;
    parking->offset = record->offset;
    snprintf(parking->reason, sizeof(parking->reason), "%s", reason);
    parking->append.data = parking;
    struct log_entry entry = {.key = key, .value = letter, .value_size = size};
    if (log_append(worker->options.log, &parking->append, LOG_DEADLETTERS, 0, &entry, 1, on_parked, &err) <
        0) {
        free(parking);
        worker_give_up(worker, &err);
        return;
    }
    worker->parkings++;
}

uint32_t worker_name_hash(const char *name)
{
    /* FNV-1a (32 bits): part of the log's layout, so it must never change. */
    uint32_t hash = 2166136261u;
    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char)*name) * 16777619u;
    return hash;
}

static void free_readers(struct worker *worker)
{
    log_reader_close(worker->commands_reader);
    for (uint32_t i = 0; i < worker->n_partitions; i++)
        log_reader_close(worker->replays[i].reader);
    free(worker->replays);
    worker->commands_reader = NULL;
    worker->replays = NULL;
    worker->n_partitions = 0;
}

void worker_maybe_closed(struct worker *worker)
{
    if (worker->phase != WORKER_CLOSING || worker->counts.events_pending > 0 || worker->parkings > 0 ||
        worker->effects_under_way > 0 || worker->asking || worker->timers != NULL ||
        !worker_snapshot_finished(worker))
        return;
    free_readers(worker);
    worker_stop_asking(worker);
    if (!worker->ask_again_closed)
        return;
    while (worker->batches != NULL) {
        struct append_batch *batch = worker->batches;
        worker->batches = batch->next;
        batch_free(batch);
    }
    void (*on_closed)(void *) = worker->on_closed;
    void *data = worker->closed_data;
    worker_access_close(worker);
    core_release(&worker->core);
    free(worker);
    if (on_closed != NULL)
        on_closed(data);
}

void worker_close(struct worker *worker, void (*on_closed)(void *data), void *data)
{
    bool was_serving = worker->phase == WORKER_SERVING;
    worker->phase = WORKER_CLOSING;
    worker->on_closed = on_closed;
    worker->closed_data = data;
    log_reader_close(worker->commands_reader);
    worker->commands_reader = NULL;
    worker_snapshot_close(worker, was_serving);
    effects_close(worker);
    worker_maybe_closed(worker);
}
