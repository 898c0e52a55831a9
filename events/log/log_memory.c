/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_memory.c - the log as lists in memory: the twin that simulations and unit tests run on.
 *
 * A store holds the records; logs of one name share it. Appends take effect at once but are acknowledged, and
 * readers are served, on a later turn of the loop by an idle handle, so nothing here ever calls back from
 * inside a call.
 */
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/cleanup.h"
#include "events/log/log_codec.h"
#include "events/log/log_impl.h"

/* One allocation: the headers' array, then all text, then the value. */
struct memory_record {
    int64_t time_ms;
    const char *key;
    const void *value;
    size_t value_size;
    size_t n_headers;
    struct log_header headers[];
};

struct memory_partition {
    struct memory_record **records;
    size_t n;
    size_t capacity;
};

struct memory_store {
    char *name; /* "" for one that is not shared */
    size_t references;
    uint32_t n_partitions;
    struct memory_partition *partitions[LOG_TOPICS];
    struct memory_log *logs;
    struct memory_store *prev, *next;
};

struct memory_reader {
    struct log_reader reader;
    int64_t position;
    bool paused;
    bool announced; /* on_caught_up has been called for this position */
    bool lost;
    bool busy;   /* in a callback */
    bool closed; /* closed in that callback */
    struct memory_reader *prev, *next;
};

struct memory_log {
    struct log log;
    struct memory_store *store;
    uv_idle_t turn; /* active while something is to be delivered */
    struct log_append *first_append, *last_append;
    struct log_query *first_query, *last_query;
    struct memory_reader *readers;
    struct memory_log *prev, *next; /* in the store */
};

/* Named stores live as long as a log that uses them. A log belongs to one thread, and so does the list. */
static _Thread_local struct memory_store *named_stores;

static void store_release(struct memory_store *store)
{
    if (--store->references > 0)
        return;
    if (store->name[0] != '\0')
        DL_DELETE(named_stores, store);
    for (size_t topic = 0; topic < LOG_TOPICS; topic++) {
        for (uint32_t p = 0; store->partitions[topic] != NULL && p < store->n_partitions; p++) {
            struct memory_partition *partition = &store->partitions[topic][p];
            for (size_t i = 0; i < partition->n; i++)
                free(partition->records[i]);
            free(partition->records);
        }
        free(store->partitions[topic]);
    }
    free(store->name);
    free(store);
}

static struct memory_store *store_open(const char *name, uint32_t n_partitions)
{
    struct memory_store *store;
    DL_FOREACH(named_stores, store)
    {
        if (name[0] != '\0' && strcmp(store->name, name) == 0) {
            store->references++;
            return store;
        }
    }
    store = calloc(1, sizeof(*store));
    if (store == NULL)
        return NULL;
    store->references = 1;
    store->n_partitions = n_partitions;
    store->name = strdup(name);
    bool complete = store->name != NULL;
    for (size_t topic = 0; topic < LOG_TOPICS; topic++) {
        store->partitions[topic] = calloc(n_partitions, sizeof(struct memory_partition));
        complete = complete && store->partitions[topic] != NULL;
    }
    if (!complete) {
        for (size_t topic = 0; topic < LOG_TOPICS; topic++)
            free(store->partitions[topic]);
        free(store->name);
        free(store);
        return NULL;
    }
    if (name[0] != '\0')
        DL_APPEND(named_stores, store);
    return store;
}

static struct memory_partition *partition_of(struct memory_log *log, enum log_topic topic, uint32_t partition)
{
    return partition < log->store->n_partitions ? &log->store->partitions[topic][partition] : NULL;
}

static struct memory_record *record_new(const struct log_entry *entry)
{
    size_t text_size = entry->key != NULL ? strlen(entry->key) + 1 : 0;
    for (size_t i = 0; i < entry->n_headers; i++)
        text_size += strlen(entry->headers[i].name) + strlen(entry->headers[i].value) + 2;
    struct memory_record *record = malloc(sizeof(*record) + entry->n_headers * sizeof(struct log_header) +
                                          text_size + entry->value_size);
    if (record == NULL)
        return NULL;
    char *at = (char *)&record->headers[entry->n_headers];
    record->time_ms = clock_realtime_ns() / 1000000;
    record->n_headers = entry->n_headers;
    for (size_t i = 0; i < entry->n_headers; i++) {
        record->headers[i].name = at;
        at = stpcpy(at, entry->headers[i].name) + 1;
        record->headers[i].value = at;
        at = stpcpy(at, entry->headers[i].value) + 1;
    }
    record->key = entry->key != NULL ? at : NULL;
    if (entry->key != NULL)
        at = stpcpy(at, entry->key) + 1;
    record->value = at;
    record->value_size = entry->value_size;
    if (entry->value_size > 0)
        memcpy(at, entry->value, entry->value_size);
    return record;
}

static int reserve(struct memory_partition *partition, size_t n)
{
    if (partition->n + n <= partition->capacity)
        return 0;
    size_t capacity = partition->capacity == 0 ? 64 : partition->capacity * 2;
    if (capacity < partition->n + n)
        capacity = partition->n + n;
    struct memory_record **records =
        reallocarray(partition->records, capacity, sizeof(struct memory_record *));
    if (records == NULL)
        return -1;
    partition->records = records;
    partition->capacity = capacity;
    return 0;
}

static void on_turn(uv_idle_t *turn);

static void wake(struct memory_log *log)
{
    if (!log->log.closing)
        uv_idle_start(&log->turn, on_turn); /* cannot fail: the callback is given (uv_idle_start) */
}

static int memory_append(struct log *base, struct log_append *append, const struct log_entry *entries,
                         struct err *err)
{
    struct memory_log *log = (struct memory_log *)base;
    struct memory_partition *partition = partition_of(log, append->topic, append->partition);
    if (partition == NULL)
        return err_set(err, ERR_NOT_FOUND, "'%s' has no partition %u", log_topic_name(append->topic),
                       append->partition);
    if (reserve(partition, append->n_entries) < 0)
        return err_nomem(err, "appending to a log");
    for (size_t i = 0; i < append->n_entries; i++) {
        struct memory_record *record = record_new(&entries[i]);
        if (record == NULL) {
            while (i-- > 0)
                free(partition->records[partition->n + i]);
            return err_nomem(err, "appending to a log");
        }
        partition->records[partition->n + i] = record;
    }
    append->first_offset = (int64_t)partition->n;
    partition->n += append->n_entries;
    log_append_enqueue(&log->first_append, &log->last_append, append);
    struct memory_log *other;
    DL_FOREACH(log->store->logs, other)
    wake(other);
    return 0;
}

static void free_if_closed(struct memory_reader *reader)
{
    reader->busy = false;
    if (reader->closed)
        free(reader);
}

static void reader_lose(struct memory_reader *reader, int64_t end)
{
    struct err err = ERR_INIT;
    reader->lost = true;
    err_set(&err, ERR_NOT_FOUND, "'%s' partition %u ends at offset %lld, before the position %lld asked for",
            log_topic_name(reader->reader.topic), reader->reader.partition, (long long)end,
            (long long)reader->position);
    if (reader->reader.ops->on_lost != NULL)
        reader->reader.ops->on_lost(&reader->reader, &err, reader->reader.data);
}

static void deliver(struct memory_reader *reader, const struct memory_partition *partition)
{
    struct log_record records[LOG_BATCH_RECORDS];
    size_t n = 0;
    for (; n < LOG_BATCH_RECORDS && (size_t)reader->position + n < partition->n; n++) {
        const struct memory_record *from = partition->records[(size_t)reader->position + n];
        records[n] = (struct log_record){
            .topic = reader->reader.topic,
            .partition = reader->reader.partition,
            .offset = reader->position + (int64_t)n,
            .time_ms = from->time_ms,
            .key = from->key,
            .value = from->value,
            .value_size = from->value_size,
            .headers = from->headers,
            .n_headers = from->n_headers,
        };
    }
    reader->position += (int64_t)n;
    reader->announced = false;
    reader->reader.ops->on_records(&reader->reader, records, n, reader->reader.data);
}

/* One batch at most. True when there is more to do. */
static bool reader_run(struct memory_log *log, struct memory_reader *reader)
{
    const struct memory_partition *partition =
        partition_of(log, reader->reader.topic, reader->reader.partition);
    if (reader->paused || reader->lost)
        return false;
    if (reader->position == LOG_FROM_END)
        reader->position = (int64_t)partition->n;
    if ((size_t)reader->position > partition->n) {
        reader_lose(reader, (int64_t)partition->n);
        return false;
    }
    if ((size_t)reader->position < partition->n)
        deliver(reader, partition);
    if (reader->closed || reader->paused || (size_t)reader->position < partition->n)
        return true;
    if (!reader->announced) {
        reader->announced = true;
        if (reader->reader.ops->on_caught_up != NULL)
            reader->reader.ops->on_caught_up(&reader->reader, reader->position, reader->reader.data);
    }
    return false;
}

/* Serves every reader once. A callback may close any reader: the list is walked from its head, and each
 * reader that was served moves to the tail. */
static bool run_readers(struct memory_log *log)
{
    struct memory_reader *reader;
    size_t n = 0;
    bool more = false;
    DL_COUNT(log->readers, reader, n);
    for (; n > 0 && log->readers != NULL && !log->log.closing; n--) {
        reader = log->readers;
        DL_DELETE(log->readers, reader);
        DL_APPEND(log->readers, reader);
        reader->busy = true;
        more = reader_run(log, reader) || more;
        free_if_closed(reader);
    }
    return more;
}

static void run_requests(struct memory_log *log, const struct err *failure)
{
    struct log_append *append = log->first_append;
    log->first_append = log->last_append = NULL;
    while (append != NULL) {
        struct log_append *next = append->next;
        log_append_done(append, append->first_offset, NULL);
        append = next;
    }
    struct log_query *query = log->first_query;
    log->first_query = log->last_query = NULL;
    while (query != NULL) {
        struct log_query *next = query->implementation;
        log_query_done(query, failure != NULL ? -1 : query->value, failure);
        query = next;
    }
}

static void on_turn(uv_idle_t *turn)
{
    struct memory_log *log = turn->data;
    uv_idle_stop(turn);
    run_requests(log, NULL);
    if (run_readers(log))
        wake(log);
}

static int memory_reader_open(struct log_reader **ret, struct log *base, int64_t from_offset, struct err *err)
{
    struct memory_log *log = (struct memory_log *)base;
    struct log_reader *head = *ret;
    if (partition_of(log, head->topic, head->partition) == NULL)
        return err_set(err, ERR_NOT_FOUND, "'%s' has no partition %u", log_topic_name(head->topic),
                       head->partition);
    struct memory_reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL)
        return err_nomem(err, "opening a reader");
    reader->reader = *head;
    reader->position = from_offset;
    if (from_offset == LOG_FROM_END)
        reader->position = (int64_t)partition_of(log, head->topic, head->partition)->n;
    DL_APPEND(log->readers, reader);
    wake(log);
    *ret = &reader->reader;
    return 0;
}

static void memory_reader_pause(struct log_reader *base)
{
    ((struct memory_reader *)base)->paused = true;
}

static void memory_reader_resume(struct log_reader *base)
{
    ((struct memory_reader *)base)->paused = false;
    wake((struct memory_log *)base->log);
}

static void memory_reader_close(struct log_reader *base)
{
    struct memory_reader *reader = (struct memory_reader *)base;
    DL_DELETE(((struct memory_log *)base->log)->readers, reader);
    reader->closed = true;
    if (!reader->busy)
        free(reader);
}

static void queue_query(struct memory_log *log, struct log_query *query, int64_t value)
{
    query->value = value;
    log_query_enqueue(&log->first_query, &log->last_query, query);
    wake(log);
}

static int memory_end(struct log *base, struct log_query *query, struct err *err)
{
    struct memory_log *log = (struct memory_log *)base;
    const struct memory_partition *partition = partition_of(log, query->topic, query->partition);
    if (partition == NULL)
        return err_set(err, ERR_NOT_FOUND, "'%s' has no partition %u", log_topic_name(query->topic),
                       query->partition);
    queue_query(log, query, (int64_t)partition->n);
    return 0;
}

static int memory_partitions(struct log *base, struct log_query *query, struct err *err)
{
    (void)err;
    struct memory_log *log = (struct memory_log *)base;
    queue_query(log, query, (int64_t)log->store->n_partitions);
    return 0;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct memory_log *log = handle->data;
    struct err closed = ERR_INIT;
    err_set(&closed, ERR_UNAVAILABLE, "log '%s' was closed", log->log.url);
    run_requests(log, &closed); /* what memory took is as durable as memory gets: appends succeed */
    while (log->readers != NULL) {
        struct memory_reader *reader = log->readers;
        DL_DELETE(log->readers, reader);
        free(reader);
    }
    DL_DELETE(log->store->logs, log);
    store_release(log->store);
    log_closed(&log->log);
}

static void memory_close(struct log *base)
{
    struct memory_log *log = (struct memory_log *)base;
    uv_close((uv_handle_t *)&log->turn, on_handle_closed);
}

static const struct log_ops memory_ops = {
    .close = memory_close,
    .append = memory_append,
    .reader_open = memory_reader_open,
    .reader_pause = memory_reader_pause,
    .reader_resume = memory_reader_resume,
    .reader_close = memory_reader_close,
    .end = memory_end,
    .partitions = memory_partitions,
};

int log_memory_open(struct log **ret, uv_loop_t *loop, const char *name, const struct log_options *options,
                    struct err *err)
{
    auto_free char *url = NULL;
    if (asprintf(&url, "memory:%s", name) < 0)
        url = NULL;
    auto_free struct memory_log *log = calloc(1, sizeof(*log));
    if (log == NULL)
        return err_nomem(err, "opening a log");
    if (log_init_take(&log->log, &memory_ops, loop, url, options, err) < 0)
        return -1;
    log->store = store_open(name, log->log.options.partitions);
    if (log->store == NULL)
        return err_nomem(err, "opening a log");
    uv_idle_init(loop, &log->turn); /* cannot fail */
    log->turn.data = log;
    url = NULL; /* the log's from here on */
    DL_APPEND(log->store->logs, log);
    *ret = &steal_ptr(log)->log;
    return 0;
}
