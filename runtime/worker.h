/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker.h - the shell around the core: reads the node's commands, lets the core decide, appends the events,
 * and carries out the effects through host.h.
 *
 * The life of a worker: replay (read the events to their end, from the newest snapshot on), begin (a new
 * epoch, made durable), recover (look at the host), serve. It stops by itself when a newer epoch of its node
 * appears, and gives up (on_stopped with an error) when the log refuses its events or memory runs out: what
 * it knows is in the log, so starting again is always right.
 *
 * Loop thread only.
 */
#ifndef WHARF_RUNTIME_WORKER_H
#define WHARF_RUNTIME_WORKER_H

#include <uv.h>

#include "base/err.h"
#include "events/log/log.h"
#include "runtime/decide/decide.h"
#include "runtime/host.h"

struct worker;

struct worker_options {
    struct log *log;   /* open for appending events and deadletters */
    struct host *host; /* open; its on_exit must call worker_on_exit */
    const char *node;
    const char *version;
    struct id_pool id_pool;
    int64_t snapshot_every; /* events from one snapshot to the next; 0: none are written */
    /* If set, the worker only folds: it tells of the state at the log's end and does nothing more, neither to
     * the log nor to the host, which may be open for a look only. It is still to be closed. */
    void (*on_folded)(struct core *core, enum host_identity identity, void *data);
    /* Unless NULL: recovery is about to say what has become of what ran by the log, and to remove what has
     * ended. */
    void (*on_recovering)(void *data);
    /* The worker serves: everything that happened before has been dealt with. */
    void (*on_ready)(void *data);
    /* An event has become durable. `container` is its state after all events decided so far, NULL if it has
     * none. */
    void (*on_event)(const struct decided_event *event, const struct container *container, void *data);
    /* A container's first process runs, though the event may not be durable yet. */
    void (*on_launched)(const char *container_id, void *data);
    /* A container's files are about to be removed: the last moment to open them. */
    void (*on_remove)(const char *container_id, void *data);
    /* Events that could not be read were passed over while replaying; the projector parks them. */
    void (*on_unreadable)(int64_t n, void *data);
    /* The worker has stopped by itself: fenced or broken. It is still to be closed. */
    void (*on_stopped)(const struct err *err, void *data);
    void *data;
};

/* Starts replaying. Fails on lack of memory, or if the state directory is another node's. */
int worker_open(struct worker **ret, uv_loop_t *loop, const struct worker_options *options, struct err *err);

/* To be called by the host. */
void worker_on_exit(struct worker *worker, const struct host_exit *exit);

/* A client is about to do something with a container's files or its input: it goes into the container's
 * history, and on_durable is called, later, once it is on the log. A worker that ends before forgets it.
 * ERR_UNAVAILABLE while it does not serve, ERR_NOT_FOUND for a container that there is not. */
int worker_access(struct worker *worker, const struct access *access, void (*on_durable)(void *data),
                  void *data, struct err *err);

/* The node's state; borrowed. Before on_ready it is incomplete. */
const struct core *worker_core(const struct worker *worker);

struct worker_counts {
    int64_t commands;
    int64_t commands_parked;
    int64_t events;
    int64_t events_pending; /* decided and not durable yet */
    int64_t launches_under_way;
    int64_t events_replayed; /* of the node, at start, after the snapshot or from the beginning */
    int64_t snapshot_offset; /* from where the events were replayed after a snapshot; -1: none was used */
    int64_t snapshots_written;
    int64_t snapshots_failed;
    int64_t snapshots_put_aside;
};
struct worker_counts worker_counts(const struct worker *worker);

/* Stops taking commands, waits for the events that were decided to become durable (or the log to be closed),
 * then frees the worker and calls on_closed. Containers go on. */
void worker_close(struct worker *worker, void (*on_closed)(void *data), void *data);

#endif
