/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading from Kafka. A reader begins with a control job that asks where its partition begins and ends: that
 * decides at once whether the position exists, whether the reader has caught up already, and what "from the
 * end" means. Then a consumer without a group fetches from the position into the reader's own queue.
 *
 * A topic that does not exist yet is empty, and is looked for again every second. A topic that goes away
 * under a reader makes it start again at its position, which then exists or is lost.
 */
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "events/log/log_kafka.h"

#define MISSING_RETRY_MS 1000
#define MISSING_LIMIT 5 /* a broker that has just started may not know a topic for a moment */

static void lose(struct kafka_log *log, struct kafka_reader *reader, enum err_code code, const char *why)
{
    struct err err = ERR_INIT;
    err_set(&err, code, "topic '%s' partition %u of '%s' cannot be read from offset %lld: %s",
            log->topics[reader->reader.topic].name, reader->reader.partition, log->log.url,
            (long long)reader->position, why);
    reader->lost = true;
    if (reader->reader.ops->on_lost != NULL)
        reader->reader.ops->on_lost(&reader->reader, &err, reader->reader.data);
}

static void caught_up(struct kafka_reader *reader)
{
    if (reader->announced)
        return;
    reader->announced = true;
    if (reader->reader.ops->on_caught_up != NULL)
        reader->reader.ops->on_caught_up(&reader->reader, reader->position, reader->reader.data);
}

static bool uses(const struct kafka_log *log, const struct kafka_consumer *consumer,
                 const struct kafka_reader *like)
{
    const struct kafka_reader *other;
    DL_FOREACH(log->readers, other)
    if (other->consumer == consumer && other->reader.topic == like->reader.topic &&
        other->reader.partition == like->reader.partition)
        return true;
    return false;
}

/* One that is idle, or a new one, or, when there are many, the one with the fewest readers. A client can read
 * a partition only once at a time. */
static struct kafka_consumer *consumer_for(struct kafka_log *log, const struct kafka_reader *reader,
                                           struct err *err)
{
    struct kafka_consumer *consumer, *best = NULL;
    DL_FOREACH(log->consumers, consumer)
    if (!uses(log, consumer, reader) && (best == NULL || consumer->n_readers < best->n_readers))
        best = consumer;
    if (best != NULL && (best->n_readers == 0 || log->n_consumers >= KAFKA_MAX_CONSUMERS))
        return best;
    consumer = calloc(1, sizeof(*consumer));
    if (consumer == NULL) {
        err_nomem(err, "opening a reader");
        return NULL;
    }
    consumer->rk = kafka_client_new(log, KAFKA_CLIENT_CONSUMER, err);
    if (consumer->rk == NULL) {
        free(consumer);
        return NULL;
    }
    DL_APPEND(log->consumers, consumer);
    log->n_consumers++;
    return consumer;
}

static void stop_fetching(struct kafka_reader *reader)
{
    if (reader->rkt != NULL) {
        rd_kafka_consume_stop(reader->rkt, (int32_t)reader->reader.partition);
        rd_kafka_topic_destroy(reader->rkt);
    }
    if (reader->queue != NULL)
        rd_kafka_queue_destroy(reader->queue);
    if (reader->consumer != NULL)
        reader->consumer->n_readers--;
    reader->rkt = NULL;
    reader->queue = NULL;
    reader->consumer = NULL;
}

static int start_fetching(struct kafka_log *log, struct kafka_reader *reader, struct err *err)
{
    const char *name = log->topics[reader->reader.topic].name;
    struct kafka_consumer *consumer = consumer_for(log, reader, err);
    if (consumer == NULL)
        return -1;
    reader->consumer = consumer;
    consumer->n_readers++;
    reader->rkt = rd_kafka_topic_new(consumer->rk, name, NULL);
    if (reader->rkt == NULL)
        return err_set(err, kafka_err_code(rd_kafka_last_error()), "%s",
                       rd_kafka_err2str(rd_kafka_last_error()));
    reader->queue = rd_kafka_queue_new(consumer->rk);
    kafka_watch_queue(log, reader->queue);
    if (rd_kafka_consume_start_queue(reader->rkt, (int32_t)reader->reader.partition, reader->position,
                                     reader->queue) < 0)
        return err_set(err, kafka_err_code(rd_kafka_last_error()), "%s",
                       rd_kafka_err2str(rd_kafka_last_error()));
    return 0;
}

static void ask_where(struct kafka_log *log, struct kafka_reader *reader)
{
    if (reader->job != NULL)
        return;
    reader->job = kafka_job_new(log, KAFKA_JOB_START, reader->reader.topic, reader->reader.partition);
    if (reader->job == NULL) {
        lose(log, reader, ERR_NOMEM, "out of memory");
        return;
    }
    reader->waiting = false;
    reader->job->reader = reader;
    kafka_control_start(log, false);
}

static void retry_later(struct kafka_log *log, struct kafka_reader *reader)
{
    reader->waiting = true;
    if (!uv_is_active((uv_handle_t *)&log->retry))
        uv_timer_start(&log->retry, kafka_on_retry, MISSING_RETRY_MS, 0);
}

/* The check of the brokers tells the owner if they are away. */
static void retry_after_trouble(struct kafka_log *log, struct kafka_reader *reader)
{
    retry_later(log, reader);
    kafka_control_start(log, true);
}

static void on_missing(struct kafka_log *log, struct kafka_reader *reader)
{
    if (reader->position == LOG_FROM_END)
        reader->position = 0;
    if (reader->position > 0 && ++reader->n_missing >= MISSING_LIMIT) {
        lose(log, reader, ERR_NOT_FOUND, "there is no such topic");
        return;
    }
    if (reader->position == 0 && !reader->paused)
        caught_up(reader);
    if (!reader->closed && !log->log.closing)
        retry_later(log, reader);
}

static void start_at(struct kafka_log *log, struct kafka_reader *reader, int64_t low, int64_t high)
{
    struct err err = ERR_INIT;
    reader->n_missing = 0;
    if (reader->position == LOG_FROM_END)
        reader->position = high;
    if (reader->position < low && low > 0)
        lose(log, reader, ERR_NOT_FOUND, "older records have been removed by retention");
    else if (reader->position > high)
        lose(log, reader, ERR_CORRUPT,
             "the partition ends before that: records were lost, or the topic was created anew");
    else if (start_fetching(log, reader, &err) < 0)
        lose(log, reader, err.code, err.message);
    else if (reader->position == high && !reader->paused)
        caught_up(reader);
}

static void free_if_closed(struct kafka_reader *reader)
{
    reader->busy = false;
    if (reader->closed)
        free(reader);
}

void kafka_reader_started(struct kafka_log *log, struct kafka_reader *reader, const struct kafka_job *job)
{
    reader->job = NULL;
    if (reader->lost || log->log.closing)
        return;
    reader->busy = true;
    if (job->missing)
        on_missing(log, reader);
    else if (job->err.code == ERR_NOT_FOUND)
        lose(log, reader, ERR_NOT_FOUND, job->err.message);
    else if (job->err.code != ERR_NONE)
        retry_after_trouble(log, reader);
    else
        start_at(log, reader, job->low, job->high);
    free_if_closed(reader);
}

void kafka_readers_retry(struct kafka_log *log)
{
    struct kafka_reader *reader;
    DL_FOREACH(log->readers, reader)
    if (reader->waiting && !reader->lost)
        ask_where(log, reader);
}

void kafka_readers_mark(struct kafka_log *log)
{
    struct kafka_reader *reader;
    DL_FOREACH(log->readers, reader)
    reader->ready = true;
}

/* Kafka's keys have no NUL at their end: the batch's scratch gives them one. */
static int reserve_keys(struct kafka_log *log, rd_kafka_message_t *const *messages, size_t n)
{
    size_t size = 0;
    for (size_t i = 0; i < n; i++)
        size += messages[i]->key_len + 1;
    if (size <= log->keys_size)
        return 0;
    char *keys = realloc(log->keys, size);
    if (keys == NULL)
        return -1;
    log->keys = keys;
    log->keys_size = size;
    return 0;
}

static size_t take_headers(const rd_kafka_message_t *message, struct log_header *headers, size_t room)
{
    rd_kafka_headers_t *from = NULL;
    size_t n = 0;
    if (rd_kafka_message_headers(message, &from) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0;
    for (; n < room; n++) {
        const void *value = NULL;
        size_t size = 0;
        /* librdkafka puts a NUL after each value (rd_kafka_header_get_all). */
        if (rd_kafka_header_get_all(from, n, &headers[n].name, &value, &size) != RD_KAFKA_RESP_ERR_NO_ERROR)
            break;
        headers[n].value = value != NULL ? value : "";
    }
    return n;
}

static size_t count_headers(const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *headers = NULL;
    return rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR
               ? rd_kafka_header_cnt(headers)
               : 0;
}

static void take_record(const struct kafka_reader *reader, const rd_kafka_message_t *message, char **key,
                        struct log_record *record)
{
    *record = (struct log_record){
        .topic = reader->reader.topic,
        .partition = reader->reader.partition,
        .offset = message->offset,
        .time_ms = rd_kafka_message_timestamp(message, NULL),
    };
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        record->damage = "the stored bytes do not match their checksum";
        record->value = "";
        return;
    }
    record->value = message->payload != NULL ? message->payload : "";
    record->value_size = message->payload != NULL ? message->len : 0;
    if (message->key != NULL) {
        record->key = *key;
        memcpy(*key, message->key, message->key_len);
        (*key)[message->key_len] = '\0';
        *key += message->key_len + 1;
    }
}

/* Up to where the leading messages can be delivered together. */
static size_t leading_records(rd_kafka_message_t *const *messages, size_t n)
{
    size_t i = 0;
    while (i < n &&
           (messages[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR || messages[i]->err == RD_KAFKA_RESP_ERR__BAD_MSG))
        i++;
    return i;
}

static void deliver(struct kafka_log *log, struct kafka_reader *reader, rd_kafka_message_t *const *messages,
                    size_t n)
{
    struct log_record records[LOG_BATCH_RECORDS];
    size_t n_headers = 0, at = 0;
    for (size_t i = 0; i < n; i++)
        n_headers += count_headers(messages[i]);
    struct log_header *headers = calloc(n_headers + 1, sizeof(*headers));
    if (headers == NULL || reserve_keys(log, messages, n) < 0) {
        free(headers);
        lose(log, reader, ERR_NOMEM, "out of memory");
        return;
    }
    char *key = log->keys;
    for (size_t i = 0; i < n; i++) {
        take_record(reader, messages[i], &key, &records[i]);
        records[i].headers = headers + at;
        records[i].n_headers =
            records[i].damage == NULL ? take_headers(messages[i], headers + at, n_headers - at) : 0;
        at += records[i].n_headers;
    }
    reader->position = records[n - 1].offset + 1;
    reader->announced = false;
    reader->reader.ops->on_records(&reader->reader, records, n, reader->reader.data);
    free(headers);
}

/* The end as the last fetch saw it: known here without asking anybody. */
static void announce_end(struct kafka_log *log, struct kafka_reader *reader)
{
    int64_t low = -1, high = -1;
    rd_kafka_get_watermark_offsets(reader->consumer->rk, log->topics[reader->reader.topic].name,
                                   (int32_t)reader->reader.partition, &low, &high);
    if (high >= 0 && reader->position >= high)
        caught_up(reader);
}

static void on_condition(struct kafka_log *log, struct kafka_reader *reader,
                         const rd_kafka_message_t *message)
{
    switch ((int)message->err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
        if (message->offset > reader->position)
            reader->position =
                message->offset; /* what is between are no records (transaction markers, compaction) */
        caught_up(reader);
        break;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
        /* Where it begins and ends now decides. */
        stop_fetching(reader);
        retry_later(log, reader);
        break;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
        lose(log, reader, ERR_INVALID, "this user may not read it; grant READ on the topic");
        break;
    default:
        break; /* librdkafka tries again */
    }
}

/* One batch at most. True when its queue may have more. */
static bool run_reader(struct kafka_log *log, struct kafka_reader *reader)
{
    rd_kafka_message_t *messages[LOG_BATCH_RECORDS];
    ssize_t got = rd_kafka_consume_batch_queue(reader->queue, 0, messages, LOG_BATCH_RECORDS);
    size_t n = got > 0 ? (size_t)got : 0;
    for (size_t at = 0; at < n && !reader->closed && !reader->lost && reader->consumer != NULL;) {
        size_t together = leading_records(messages + at, n - at);
        if (together > 0)
            deliver(log, reader, messages + at, together);
        else
            on_condition(log, reader, messages[at]);
        at += together > 0 ? together : 1;
    }
    if (n > 0 && n < LOG_BATCH_RECORDS && !reader->closed && !reader->lost && !reader->paused &&
        reader->consumer != NULL)
        announce_end(log, reader);
    for (size_t i = 0; i < n; i++)
        rd_kafka_message_destroy(messages[i]);
    return n == LOG_BATCH_RECORDS;
}

bool kafka_readers_run(struct kafka_log *log)
{
    struct kafka_reader *reader;
    size_t n = 0;
    bool more = false;
    DL_COUNT(log->readers, reader, n);
    for (; n > 0 && log->readers != NULL && !log->log.closing; n--) {
        reader = log->readers;
        DL_DELETE(log->readers, reader);
        DL_APPEND(log->readers, reader);
        if (!reader->ready || reader->paused || reader->lost || reader->queue == NULL)
            continue;
        reader->busy = true;
        reader->ready = run_reader(log, reader);
        more = more || reader->ready;
        free_if_closed(reader);
    }
    return more;
}

int kafka_reader_open(struct log_reader **ret, struct log *base, int64_t from_offset, struct err *err)
{
    struct kafka_log *log = (struct kafka_log *)base;
    const struct kafka_topic *topic = &log->topics[(*ret)->topic];
    if (topic->n_partitions != 0 && (*ret)->partition >= topic->n_partitions)
        return err_set(err, ERR_NOT_FOUND, "topic '%s' has no partition %u", topic->name, (*ret)->partition);
    struct kafka_reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL)
        return err_nomem(err, "opening a reader");
    reader->reader = **ret;
    reader->position = from_offset;
    DL_APPEND(log->readers, reader);
    *ret = &reader->reader;
    if (log->ready)
        ask_where(log, reader);
    else
        reader->waiting = true;
    return 0;
}

void kafka_reader_pause(struct log_reader *base)
{
    ((struct kafka_reader *)base)->paused = true;
}

void kafka_reader_resume(struct log_reader *base)
{
    struct kafka_reader *reader = (struct kafka_reader *)base;
    reader->paused = false;
    reader->ready = true;
    kafka_wake((struct kafka_log *)base->log);
}

void kafka_reader_free(struct kafka_log *log, struct kafka_reader *reader)
{
    DL_DELETE(log->readers, reader);
    if (reader->job != NULL)
        reader->job->reader = NULL;
    stop_fetching(reader);
    reader->closed = true;
    if (!reader->busy)
        free(reader);
}

void kafka_reader_close(struct log_reader *base)
{
    kafka_reader_free((struct kafka_log *)base->log, (struct kafka_reader *)base);
}
