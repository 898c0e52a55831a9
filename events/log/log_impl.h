/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_impl.h - what log.c and the three implementations (log_memory.c, log_sqlite*.c, log_kafka*.c) share:
 * the table of operations, the heads of the structures they embed, and the helpers around trouble and
 * deferred work.
 *
 * Private to events/log. Loop thread, unless a comment says otherwise.
 */
#ifndef WHARF_EVENTS_LOG_LOG_IMPL_H
#define WHARF_EVENTS_LOG_LOG_IMPL_H

#include "events/log/log.h"

/* How much one on_records call carries at most: enough to amortise a wake-up, little enough to keep a loop
 * turn short. */
#define LOG_BATCH_RECORDS 256
#define LOG_BATCH_BYTES (512 * 1024)

struct log_ops {
    void (*close)(struct log *log); /* ends with log_closed() */
    /* append is filled in and the entries have been checked. */
    int (*append)(struct log *log, struct log_append *append, const struct log_entry *entries,
                  struct err *err);
    int (*reader_open)(struct log_reader **ret, struct log *log, int64_t from_offset, struct err *err);
    void (*reader_pause)(struct log_reader *reader);
    void (*reader_resume)(struct log_reader *reader);
    void (*reader_close)(struct log_reader *reader);
    int (*end)(struct log *log, struct log_query *query, struct err *err);
    int (*partitions)(struct log *log, struct log_query *query, struct err *err);
};

/* The head of every implementation's log. */
struct log {
    const struct log_ops *ops;
    uv_loop_t *loop;
    char *url;                  /* printable, owned */
    struct log_options options; /* kafka_properties is NULL here: whoever needs them copies them */
    bool closing;
    void (*on_closed)(void *data);
    void *on_closed_data;
};

/* The head of every implementation's reader; log.c fills it in once reader_open has succeeded. */
struct log_reader {
    struct log *log;
    enum log_topic topic;
    uint32_t partition;
    const struct log_reader_ops *ops;
    void *data;
};

int log_memory_open(struct log **ret, uv_loop_t *loop, const char *name, const struct log_options *options,
                    struct err *err);
int log_sqlite_open(struct log **ret, uv_loop_t *loop, const char *dir, const struct log_options *options,
                    struct err *err);
int log_kafka_open(struct log **ret, uv_loop_t *loop, const char *address, const struct log_options *options,
                   struct err *err);

/* Fills the head. Takes `url` (may be NULL when it could not be allocated: fails with ERR_NOMEM). */
int log_init_take(struct log *log, const struct log_ops *ops, uv_loop_t *loop, char *url,
                  const struct log_options *options, struct err *err);

/* The last act of an implementation's close: frees the head's members and `log` itself, then tells the owner.
 */
void log_closed(struct log *log);

bool log_appends_to(const struct log *log, enum log_topic topic);

/* Tells the owner. Only from a loop callback, never from inside a call of the owner's. */
void log_report(struct log *log, enum log_trouble_kind kind, enum log_topic topic, uint32_t partition,
                const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* Completes an append or a query; the caller's structure may be gone when this returns. */
void log_append_done(struct log_append *append, int64_t first_offset, const struct err *err);
void log_query_done(struct log_query *query, int64_t value, const struct err *err);

/* A queue of appends through their `next`. */
static inline void log_append_enqueue(struct log_append **first, struct log_append **last,
                                      struct log_append *append)
{
    append->next = NULL;
    if (*first == NULL)
        *first = append;
    else
        (*last)->next = append;
    *last = append;
}

/* A queue of queries through their `implementation`. */
static inline void log_query_enqueue(struct log_query **first, struct log_query **last,
                                     struct log_query *query)
{
    query->implementation = NULL;
    if (*first == NULL)
        *first = query;
    else
        (*last)->implementation = query;
    *last = query;
}

#endif
