/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots of the state: read at start in place of most of the log, written every so many events and at an
 * orderly end.
 *
 * What may be in one: only what the log has for good. The core's state runs ahead of that, since the events
 * of a decision are applied first and become durable later, and under constant load there may never be a
 * moment when nothing is on its way. So the state is taken down at once, as it is, and kept in memory until
 * our own reader of the partition has seen the last event that had been decided by then. Only then is its
 * place in the log known, and only then is it written. Nothing waits for it, and a crash in between loses
 * nothing but this snapshot. What the state knows beside events, command offsets that were passed over, comes
 * from records that were durable when they were read.
 *
 * What makes one fit a log: the record before its offset is the very event whose bytes it carries. That
 * record is read first, and if it is another one (the log was exchanged, or lost its end) the snapshot is put
 * aside and the log is read from the beginning.
 */
#include <string.h>

#include "base/cleanup.h"
#include "base/say.h"
#include "runtime/worker_impl.h"

/* How long an orderly end waits for its own events to come back from the log. */
#define CLOSE_PATIENCE_MS 1000

static bool all_seen(const struct worker *worker)
{
    return worker->snapshot.events_seen == worker->snapshot.events_decided;
}

/* --- writing --- */

static void note_written(struct worker *worker, const struct err *err)
{
    worker->snapshot.writing = false;
    worker->effects_under_way--;
    if (err == NULL) {
        worker->counts.snapshots_written++;
    } else {
        worker->counts.snapshots_failed++;
        say_warning("cannot write a snapshot of node '%s', so its next start takes longer: %s",
                    worker->core.state.name, err->message);
    }
}

static void on_written(const struct err *err, void *data)
{
    struct worker *worker = data;
    note_written(worker, err);
    worker_maybe_closed(worker);
}

/* The newest event of what was taken is at newest_offset. */
static void write_taken(struct worker *worker)
{
    struct worker_snapshot *snapshot = &worker->snapshot;
    auto_buf struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    snapshot->writing = true;
    snapshot->taken = false;
    worker->effects_under_way++;
    int rc =
        snapshot_seal(&snapshot->state, snapshot->newest_offset + 1, snapshot->events_fenced, &text, &err);
    snapshot_release(&snapshot->state);
    if (rc == 0)
        rc = host_snapshot_write(worker->options.host, text.data, text.size, on_written, worker, &err);
    if (rc < 0)
        note_written(worker, &err);
}

static void take(struct worker *worker)
{
    struct worker_snapshot *snapshot = &worker->snapshot;
    struct err err = ERR_INIT;
    snapshot->events_since = 0;
    if (snapshot_take(&snapshot->state, &worker->core.state, &err) < 0) {
        say_warning("cannot take a snapshot of node '%s': %s", worker->core.state.name, err.message);
        return;
    }
    snapshot->taken = true;
    snapshot->taken_at = snapshot->events_decided;
    if (all_seen(worker))
        write_taken(worker);
}

void worker_snapshot_if_due(struct worker *worker)
{
    const struct worker_snapshot *snapshot = &worker->snapshot;
    int64_t every = worker->options.snapshot_every;
    if (worker->phase == WORKER_SERVING && every > 0 && snapshot->events_since >= every && !snapshot->taken &&
        !snapshot->writing && !worker->core.failed)
        take(worker);
}

void worker_snapshot_decided(struct worker *worker, size_t n_events)
{
    worker->snapshot.events_decided += (int64_t)n_events;
}

void worker_snapshot_replayed(struct worker *worker, int64_t offset)
{
    worker->snapshot.newest_offset = offset;
    worker->snapshot.events_fenced = worker->core.state.events_fenced;
    worker->snapshot.events_since++;
    worker->counts.events_replayed++;
}

void worker_snapshot_seen(struct worker *worker, int64_t offset)
{
    struct worker_snapshot *snapshot = &worker->snapshot;
    snapshot->newest_offset = offset;
    snapshot->events_fenced = worker->core.state.events_fenced;
    snapshot->events_since++;
    snapshot->events_seen++;
    if (snapshot->taken && snapshot->events_seen == snapshot->taken_at)
        write_taken(worker);
}

/* --- at the end --- */

static void on_patience_over(uv_timer_t *timer)
{
    struct worker *worker = timer->data;
    worker->snapshot.at_end = false;
    worker_maybe_closed(worker);
}

void worker_snapshot_close(struct worker *worker, bool was_serving)
{
    struct worker_snapshot *snapshot = &worker->snapshot;
    snapshot_release(&snapshot->state);
    snapshot->taken = false;
    snapshot->at_end = was_serving && worker->options.snapshot_every > 0 &&
                       (snapshot->events_since > 0 || !all_seen(worker)) && !worker->core.failed;
    if (snapshot->at_end)
        uv_timer_start(&worker->ask_again, on_patience_over, CLOSE_PATIENCE_MS, 0);
}

void worker_snapshot_drop(struct worker *worker)
{
    snapshot_release(&worker->snapshot.state);
    worker->snapshot.taken = false;
    worker->snapshot.at_end = false;
}

bool worker_snapshot_finished(struct worker *worker)
{
    struct worker_snapshot *snapshot = &worker->snapshot;
    if (snapshot->at_end && all_seen(worker)) {
        snapshot->at_end = false;
        take(worker);
    }
    return !snapshot->at_end && !snapshot->writing;
}

/* --- reading --- */

static void put_aside(struct worker *worker, const char *why)
{
    struct err err = ERR_INIT;
    if (worker->options.on_folded != NULL)
        return; /* that is for the runtime to do */
    worker->counts.snapshots_put_aside++;
    if (host_snapshot_put_aside(worker->options.host, &err) == 0)
        say_warning("the snapshot of node '%s' %s; it was put aside and the log is read from its beginning",
                    worker->core.state.name, why);
    else
        say_warning("the snapshot of node '%s' %s; the log is read from its beginning; %s",
                    worker->core.state.name, why, err.message);
}

bool worker_snapshot_load(struct worker *worker)
{
    struct worker_snapshot *snapshot = &worker->snapshot;
    auto_buf struct buf text = BUF_INIT;
    struct node_state state;
    struct err err = ERR_INIT;
    int64_t next_offset;
    if (host_snapshot_read(worker->options.host, &text, &err) < 0) {
        if (err.code != ERR_NOT_FOUND)
            say_warning("cannot read the snapshot of node '%s', so the log is read from its beginning: %s",
                        worker->core.state.name, err.message);
        return false;
    }
    if (snapshot_decode(&state, &next_offset, worker->core.state.name, text.data, text.size, &err) < 0) {
        put_aside(worker, err.message);
        return false;
    }
    if (state.partition >= worker->n_partitions) {
        put_aside(worker, "names a partition that the log does not have");
        node_state_release(&state);
        return false;
    }
    node_state_release(&worker->core.state);
    worker->core.state = state;
    snapshot->newest_offset = next_offset - 1;
    snapshot->events_fenced = state.events_fenced;
    snapshot->unchecked = true;
    worker->counts.snapshot_offset = next_offset;
    return true;
}

bool worker_snapshot_fits(struct worker *worker, const struct log_record *record)
{
    const struct worker_snapshot *snapshot = &worker->snapshot;
    const struct buf *newest = &worker->core.state.newest;
    worker->snapshot.unchecked = false;
    return record->offset == snapshot->newest_offset && record->value_size == newest->size &&
           memcmp(record->value, newest->data, newest->size) == 0;
}

int worker_snapshot_forget(struct worker *worker, struct err *err)
{
    auto_free char *name = steal_ptr(worker->core.state.name);
    worker->snapshot = (struct worker_snapshot){.unchecked = false};
    worker->counts.snapshot_offset = -1;
    node_state_release(&worker->core.state);
    if (name == NULL || node_state_init(&worker->core.state, name) < 0)
        return err_nomem(err, "starting to replay");
    put_aside(worker, "does not fit the log, which has other events or fewer");
    return 0;
}
