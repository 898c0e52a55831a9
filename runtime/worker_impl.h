/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker_impl.h - what worker.c (the phases), worker_append.c (durability) and effect/effect.c (effects)
 * share.
 *
 * Loop thread only.
 */
#ifndef WHARF_RUNTIME_WORKER_IMPL_H
#define WHARF_RUNTIME_WORKER_IMPL_H

#include "events/snapshot.h"
#include "runtime/worker.h"

enum worker_phase {
    WORKER_REPLAYING, /* reading the events to their end */
    WORKER_BEGINNING, /* node.started is being made durable */
    WORKER_SERVING,
    WORKER_STOPPED, /* given up, to be closed */
    WORKER_CLOSING,
};

/* One partition of the events being read. */
struct replay {
    struct worker *worker;
    struct log_reader *reader;
    bool caught_up;
};

/* The events of one decision on their way to the log. */
struct append_batch {
    struct log_append append;
    struct worker *worker;
    struct decision decision; /* the events only */
    size_t n_recognised;      /* how many of them our own reader has seen */
    bool durable;
    struct append_batch *next;
};

/* A dead letter on its way. */
struct parking {
    struct log_append append;
    struct worker *worker;
    int64_t offset;
    char reason[ERR_MESSAGE_SIZE];
};

/* The snapshot that is being read, taken or written, and what has happened since. Counts are of our own
 * node's events. */
struct worker_snapshot {
    bool unchecked; /* replaying: the state is from a snapshot that may not fit the log */
    bool taken;     /* `state` waits until everything up to `taken_at` has been seen */
    bool writing;   /* the host is at it */
    bool at_end;    /* closing: one more is to be written */
    struct snapshot state;
    int64_t taken_at;       /* events_decided at that moment */
    int64_t events_decided; /* since the start */
    int64_t events_seen;    /* of them, by our own reader */
    int64_t newest_offset;  /* of the event replayed or seen last */
    int64_t events_fenced;  /* records up to there that were */
    int64_t events_since;   /* replayed or seen since the newest snapshot */
};

struct launch_waiting;
struct effect_timer;
struct access_waiting;

struct worker {
    uv_loop_t *loop;
    struct worker_options options;
    struct core core;
    enum worker_phase phase;
    enum continuity continuity;
    enum host_identity identity;
    bool claim_due;        /* the state directory is to become ours, */
    int64_t claim_batches; /* once so many batches are durable */
    struct log_query query;
    bool asking;          /* the query is out */
    uv_timer_t ask_again; /* the log could not be asked: once more in a while */
    bool ask_again_closed;
    struct replay *replays;
    uint32_t n_partitions;
    uint32_t n_replaying; /* how many of them are read */
    uint32_t n_caught_up;
    struct worker_snapshot snapshot;
    int64_t events_unreadable;
    struct log_reader *commands_reader;
    int64_t next_command;         /* the offset expected next */
    struct append_batch *batches; /* oldest first: not durable, or not yet seen by our own reader */
    struct append_batch **batches_end;
    int64_t decided_batches; /* counts them */
    int64_t durable_batches;
    int64_t parkings;
    struct effect_timer *timers;
    struct launch_waiting *launches; /* beyond the limit, oldest first */
    struct access_waiting *accesses; /* oldest first */
    int64_t effects_under_way;       /* host calls whose answer is to come */
    struct worker_counts counts;
    void (*on_closed)(void *data);
    void *closed_data;
};

/* Feeds one input to the core and carries out what it decides. Stamps the time. */
void worker_step(struct worker *worker, struct input *input);

/* Appends the decision's events, runs its effects and releases it. */
void worker_carry_out(struct worker *worker, struct decision *decision);

/* Takes the decision's events and appends them. */
void worker_append(struct worker *worker, struct decision *decision);

/* True if the record is the next event that we appended ourselves. */
bool worker_recognise_own(struct worker *worker, const struct log_record *record);

/* Puts a record that cannot be read into wharf.deadletters, and then tells the core. */
void worker_park(struct worker *worker, const struct log_record *record, const char *reason);

/* Claims the state directory once what recovery found is durable. */
void worker_claim_if_due(struct worker *worker);

/* Goes on to recover once node.started is durable and our own reader has seen it. */
void worker_begun_if_due(struct worker *worker);

/* Closes the timer that asks a log that was away. */
void worker_stop_asking(struct worker *worker);

/* Ends the worker with an error; it remains to be closed. */
void worker_give_up(struct worker *worker, const struct err *err);

/* Frees a closing worker once nothing is under way. */
void worker_maybe_closed(struct worker *worker);

/* worker_access.c: tells who waits for what is durable by now; forgets all. */
void worker_access_durable(struct worker *worker);
void worker_access_close(struct worker *worker);

/* worker_snapshot.c */

/* True if the state has been read from a snapshot, which is unchecked yet; a warning says what was wrong with
 * one that is of no use. */
bool worker_snapshot_load(struct worker *worker);
/* Whether the first record read is the newest event of the snapshot. */
bool worker_snapshot_fits(struct worker *worker, const struct log_record *record);
/* It does not fit: the state is empty again. -1 when memory runs out. */
int worker_snapshot_forget(struct worker *worker, struct err *err);

/* What becomes of the node's events: replayed; decided; seen by our own reader. */
void worker_snapshot_replayed(struct worker *worker, int64_t offset);
void worker_snapshot_decided(struct worker *worker, size_t n_events);
void worker_snapshot_seen(struct worker *worker, int64_t offset);

/* Takes one if it is time. */
void worker_snapshot_if_due(struct worker *worker);

/* Another runtime has taken the node over: our state is not the log's any more, and no snapshot is to be
 * written. */
void worker_snapshot_drop(struct worker *worker);

/* The worker is closing: one more snapshot if there is anything new, as soon as the log has it all. */
void worker_snapshot_close(struct worker *worker, bool was_serving);
/* Whether that is done or given up. */
bool worker_snapshot_finished(struct worker *worker);

/* A stable hash of the node's name, to choose its first partition by. */
uint32_t worker_name_hash(const char *name);

#endif
