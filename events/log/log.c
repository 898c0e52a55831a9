/* SPDX-License-Identifier: Apache-2.0 */
#include "events/log/log.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "events/log/log_codec.h"
#include "events/log/log_impl.h"

const char *log_topic_name(enum log_topic topic)
{
    switch (topic) {
    case LOG_COMMANDS:
        return "wharf.commands";
    case LOG_EVENTS:
        return "wharf.events";
    case LOG_DEADLETTERS:
        return "wharf.deadletters";
    case LOG_TOPICS:
        break;
    }
    return "unknown";
}

int log_open(struct log **ret, uv_loop_t *loop, const char *url, const struct log_options *options,
             struct err *err)
{
    static const struct {
        const char *scheme;
        int (*open)(struct log **ret, uv_loop_t *loop, const char *rest, const struct log_options *options,
                    struct err *err);
    } kinds[] = {
        {"sqlite:", log_sqlite_open},
        {"kafka://", log_kafka_open},
        {"memory:", log_memory_open},
    };
    static const struct log_options none = {.append_topics = 0};
    if (sodium_init() < 0) /* picks the fastest BLAKE2b; may be called again and again */
        return err_set(err, ERR_INTERNAL, "cannot open log '%s': libsodium does not start", url);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        size_t size = strlen(kinds[i].scheme);
        if (strncmp(url, kinds[i].scheme, size) != 0)
            continue;
        if (kinds[i].open(ret, loop, url + size, options != NULL ? options : &none, err) < 0)
            return err_wrap(err, "cannot open the log");
        return 0;
    }
    return err_set(
        err, ERR_INVALID,
        "log URL '%s' is of no known kind; use sqlite:DIR, kafka://HOST:PORT[,HOST:PORT][/PREFIX] or memory:",
        url);
}

void log_close(struct log *log, void (*on_closed)(void *data), void *data)
{
    if (log == NULL || log->closing)
        return;
    log->closing = true;
    log->on_closed = on_closed;
    log->on_closed_data = data;
    log->ops->close(log);
}

const char *log_url(const struct log *log)
{
    return log->url;
}

bool log_appends_to(const struct log *log, enum log_topic topic)
{
    return (log->options.append_topics & (1u << topic)) != 0;
}

static int check_topic(const struct log *log, enum log_topic topic, struct err *err)
{
    if (log->closing)
        return err_set(err, ERR_UNAVAILABLE, "log '%s' is being closed", log->url);
    if ((unsigned)topic >= LOG_TOPICS)
        return err_set(err, ERR_INVALID, "log '%s' has no topic %d", log->url, (int)topic);
    return 0;
}

int log_append(struct log *log, struct log_append *append, enum log_topic topic, uint32_t partition,
               const struct log_entry *entries, size_t n_entries, log_append_cb cb, struct err *err)
{
    if (check_topic(log, topic, err) < 0)
        return -1;
    if (!log_appends_to(log, topic))
        return err_set(err, ERR_INVALID, "log '%s' is not open for appending to '%s'", log->url,
                       log_topic_name(topic));
    if (n_entries == 0)
        return err_set(err, ERR_INVALID, "an append to '%s' needs at least one entry", log_topic_name(topic));
    for (size_t i = 0; i < n_entries; i++)
        if (log_entry_check(&entries[i], err) < 0)
            return err_wrap(err, "cannot append to '%s'", log_topic_name(topic));
    append->cb = cb;
    append->log = log;
    append->topic = topic;
    append->partition = partition;
    append->first_offset = -1;
    append->n_entries = n_entries;
    append->n_pending = n_entries;
    append->implementation = NULL;
    append->next = NULL;
    return log->ops->append(log, append, entries, err);
}

int log_reader_open(struct log_reader **ret, struct log *log, enum log_topic topic, uint32_t partition,
                    int64_t from_offset, const struct log_reader_ops *ops, void *data, struct err *err)
{
    if (check_topic(log, topic, err) < 0)
        return -1;
    if (from_offset < 0)
        return err_set(err, ERR_INVALID, "cannot read '%s' from offset %lld: offsets begin at 0",
                       log_topic_name(topic), (long long)from_offset);
    struct log_reader head = {.log = log, .topic = topic, .partition = partition, .ops = ops, .data = data};
    struct log_reader *reader = &head;
    if (log->ops->reader_open(&reader, log, from_offset, err) < 0)
        return -1;
    *ret = reader;
    return 0;
}

void log_reader_pause(struct log_reader *reader)
{
    reader->log->ops->reader_pause(reader);
}

void log_reader_resume(struct log_reader *reader)
{
    reader->log->ops->reader_resume(reader);
}

void log_reader_close(struct log_reader *reader)
{
    if (reader != NULL)
        reader->log->ops->reader_close(reader);
}

static int query_begin(struct log *log, struct log_query *query, enum log_topic topic, uint32_t partition,
                       log_query_cb cb, struct err *err)
{
    if (check_topic(log, topic, err) < 0)
        return -1;
    query->cb = cb;
    query->log = log;
    query->topic = topic;
    query->partition = partition;
    query->value = -1;
    query->implementation = NULL;
    err_clear(&query->err);
    return 0;
}

int log_end(struct log *log, struct log_query *query, enum log_topic topic, uint32_t partition,
            log_query_cb cb, struct err *err)
{
    if (query_begin(log, query, topic, partition, cb, err) < 0)
        return -1;
    return log->ops->end(log, query, err);
}

int log_partitions(struct log *log, struct log_query *query, enum log_topic topic, log_query_cb cb,
                   struct err *err)
{
    if (query_begin(log, query, topic, 0, cb, err) < 0)
        return -1;
    return log->ops->partitions(log, query, err);
}

int log_init_take(struct log *log, const struct log_ops *ops, uv_loop_t *loop, char *url,
                  const struct log_options *options, struct err *err)
{
    log->ops = ops;
    log->loop = loop;
    log->url = url;
    log->options = *options;
    log->options.kafka_properties = NULL;
    if (log->options.partitions == 0)
        log->options.partitions = 1;
    if (url == NULL)
        return err_nomem(err, "opening a log");
    return 0;
}

void log_closed(struct log *log)
{
    void (*on_closed)(void *) = log->on_closed;
    void *data = log->on_closed_data;
    free(log->url);
    free(log);
    if (on_closed != NULL)
        on_closed(data);
}

void log_report(struct log *log, enum log_trouble_kind kind, enum log_topic topic, uint32_t partition,
                const char *fmt, ...)
{
    if (log->options.on_trouble == NULL)
        return;
    char message[ERR_MESSAGE_SIZE];
    va_list args;
    va_start(args, fmt);
    vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    struct log_trouble trouble = {.kind = kind, .topic = topic, .partition = partition, .message = message};
    log->options.on_trouble(&trouble, log->options.data);
}

void log_append_done(struct log_append *append, int64_t first_offset, const struct err *err)
{
    append->first_offset = first_offset;
    append->n_pending = 0;
    if (append->cb != NULL)
        append->cb(append, first_offset, err);
}

void log_query_done(struct log_query *query, int64_t value, const struct err *err)
{
    query->value = value;
    if (query->cb != NULL)
        query->cb(query, value, err);
}
