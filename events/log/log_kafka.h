/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_kafka.h - what the files of the Kafka log share.
 *
 * - log_kafka.c: opening, closing, dispatch, the loop's side of everything
 * - log_kafka_append.c: the producer: appends, delivery reports, who is away
 * - log_kafka_read.c: readers and their consumers
 * - log_kafka_control.c: jobs on the thread pool: metadata, creating and checking topics, where partitions
 * end
 * - log_kafka_client.c: URL and librdkafka configuration
 *
 * librdkafka's threads never call us: each of its queues writes to one eventfd, which wakes the loop, which
 * drains the queues. Three kinds of client: the producer; one consumer per reader (shared beyond
 * KAFKA_MAX_CONSUMERS), since a connection that holds a long fetch answers nothing else; and the control
 * client for everything that is not the hot path. The control client is of consumer type because a producer's
 * metadata requests would make brokers create topics by themselves, with whatever retention is their default.
 *
 * Private to events/log.
 */
#ifndef WHARF_EVENTS_LOG_LOG_KAFKA_H
#define WHARF_EVENTS_LOG_LOG_KAFKA_H

#include <librdkafka/rdkafka.h>

#include "base/buf.h"
#include "events/log/log_impl.h"

#define KAFKA_MAX_CONSUMERS 8
#define KAFKA_STALLED_MS 5000 /* an append that takes longer is trouble */

/* log_append.implementation */
struct kafka_pending {
    struct log_append *append;
    uint64_t since_ms; /* by uv_now */
    int64_t time_ms;
    size_t n_left; /* delivery reports to come */
    int64_t first_offset;
    bool done;
    struct err err;            /* code ERR_NONE unless it failed */
    struct log_entry *entries; /* copies while the topic is not known yet; in the same allocation */
    struct kafka_pending *prev, *next;
};

/* Appends of one partition, in order. */
struct kafka_partition {
    struct kafka_pending *pending;
    int64_t last_offset; /* the highest acknowledged, -1 */
};

struct kafka_topic {
    char *name;            /* with the prefix */
    uint32_t n_partitions; /* 0 while unknown or missing */
    rd_kafka_topic_t *rkt; /* the control client's, so that its metadata requests ask for it */
    rd_kafka_topic_t
        *producer_rkt; /* made by the first check that finds the topic; NULL unless appended to */
    struct kafka_partition *partitions; /* grows with the highest partition appended to */
    uint32_t partitions_size;
};

struct kafka_consumer {
    rd_kafka_t *rk;
    unsigned n_readers;
    struct kafka_consumer *prev, *next;
};

enum kafka_job_kind {
    KAFKA_JOB_PARTITIONS, /* a query */
    KAFKA_JOB_END,        /* a query */
    KAFKA_JOB_START,      /* where a reader can start */
};

/* What the control worker is asked about one partition. */
struct kafka_job {
    enum kafka_job_kind kind;
    enum log_topic topic;
    uint32_t partition;
    struct log_query *query;     /* PARTITIONS, END */
    struct kafka_reader *reader; /* START; NULL once that was closed */
    bool missing;                /* the topic does not exist */
    int64_t low, high;
    struct err err;
    struct kafka_job *prev, *next;
};

struct kafka_reader {
    struct log_reader reader;
    int64_t position;                /* LOG_FROM_END until known */
    struct kafka_consumer *consumer; /* NULL while not started */
    rd_kafka_topic_t *rkt;
    rd_kafka_queue_t *queue;
    struct kafka_job *job; /* under way */
    unsigned n_missing;    /* how often in a row the topic was missing */
    bool waiting;          /* start it when the control timer fires */
    bool ready;            /* its queue may have something */
    bool paused;
    bool announced;
    bool lost;
    bool busy;
    bool closed;
    struct kafka_reader *prev, *next;
};

struct kafka_log {
    struct log log;
    char *brokers;
    char **properties; /* name, value, ..., NULL */
    struct kafka_topic topics[LOG_TOPICS];
    int event_fd;
    uv_poll_t events;
    uv_idle_t turn;
    uv_timer_t watchdog; /* runs while appends are pending */
    uv_timer_t retry;    /* of the control work */
    uint64_t backoff_ms;
    unsigned open_handles; /* what close waits for */
    bool clients_closed;

    rd_kafka_t *control;
    rd_kafka_queue_t *control_queue;
    uv_work_t work;
    bool working;
    bool ready;                 /* the topics appended to are known to exist */
    bool check;                 /* the next piece of work looks at the brokers */
    bool check_wanted;          /* and so does the one after it */
    bool check_ok;              /* the worker's answer */
    uint32_t found[LOG_TOPICS]; /* the worker's: partitions of each topic */
    struct err check_err;
    struct buf unsafe; /* the worker's: NUL-terminated warnings, each after a byte that tells the topic */
    struct kafka_job *jobs, *worker_jobs;
    _Atomic bool stop; /* the worker should come to an end */

    rd_kafka_t *producer; /* NULL unless this log appends */
    rd_kafka_queue_t *producer_queue;
    size_t n_pending;
    bool away;
    bool refusing; /* for good, with `refusal` */
    struct err refusal;

    struct kafka_consumer *consumers;
    struct kafka_reader *readers;
    unsigned n_consumers;
    char *keys; /* scratch of a batch: NUL-terminated keys */
    size_t keys_size;
};

/* log_kafka_client.c */
int kafka_parse_address(struct kafka_log *log, const char *address, struct err *err);
/* Wires the client's queue to the loop's eventfd. */
void kafka_watch_queue(struct kafka_log *log, rd_kafka_queue_t *queue);
enum kafka_client_kind { KAFKA_CLIENT_CONTROL, KAFKA_CLIENT_PRODUCER, KAFKA_CLIENT_CONSUMER };
rd_kafka_t *kafka_client_new(struct kafka_log *log, enum kafka_client_kind kind, struct err *err);
enum err_code kafka_err_code(rd_kafka_resp_err_t code);

/* log_kafka.c */
void kafka_wake(struct kafka_log *log);
void kafka_set_away(struct kafka_log *log, const char *message);
void kafka_set_back(struct kafka_log *log);

/* log_kafka_control.c */
/* Asks the worker about the brokers and all topics (`check`) and about every job that is queued. */
void kafka_control_start(struct kafka_log *log, bool check);
struct kafka_job *kafka_job_new(struct kafka_log *log, enum kafka_job_kind kind, enum log_topic topic,
                                uint32_t partition);
void kafka_on_retry(uv_timer_t *timer);
/* The log's own part when a piece of control work is done (log_kafka.c). */
void kafka_checked(struct kafka_log *log);
void kafka_job_done(struct kafka_log *log, struct kafka_job *job);
void kafka_handle_closed(struct kafka_log *log);

/* log_kafka_append.c */
int kafka_append(struct log *log, struct log_append *append, const struct log_entry *entries,
                 struct err *err);
void kafka_append_flush(struct kafka_log *log);
void kafka_serve_producer(struct kafka_log *log);
void kafka_on_watchdog(uv_timer_t *timer);
/* Fails everything that is pending. */
void kafka_append_fail_all(struct kafka_log *log, const struct err *err);
/* The oldest pending append is older than KAFKA_STALLED_MS. */
bool kafka_append_stalled(struct kafka_log *log);

/* log_kafka_read.c */
int kafka_reader_open(struct log_reader **ret, struct log *log, int64_t from_offset, struct err *err);
void kafka_reader_pause(struct log_reader *reader);
void kafka_reader_resume(struct log_reader *reader);
void kafka_reader_close(struct log_reader *reader);
void kafka_reader_started(struct kafka_log *log, struct kafka_reader *reader, const struct kafka_job *job);
/* Starts those that wait for the brokers or for a topic. */
void kafka_readers_retry(struct kafka_log *log);
void kafka_readers_mark(struct kafka_log *log);
/* True when there is more. */
bool kafka_readers_run(struct kafka_log *log);
void kafka_reader_free(struct kafka_log *log, struct kafka_reader *reader);

#endif
