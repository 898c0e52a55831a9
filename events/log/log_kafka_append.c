/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Appending to Kafka: the idempotent producer keeps order and writes each message once; a delivery report
 * says that all in-sync replicas have it. An append is acknowledged when the reports of all its entries are
 * in and those before it in its partition have been acknowledged.
 *
 * Until the topics are known to exist, appends wait here as copies; librdkafka would fail them after a while.
 *
 * Trouble: appends that are not acknowledged for KAFKA_STALLED_MS, or the loss of every broker connection,
 * start a check of the brokers (log_kafka_control.c); a check that fails, or a stall that lasts, is LOG_AWAY,
 * until an acknowledgement or a check succeeds. A fatal error of the producer, or an offset that goes
 * backwards (the topic was created anew), refuses appends for good.
 */
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "events/log/log_kafka.h"

static struct kafka_partition *partition_at(struct kafka_topic *topic, uint32_t partition)
{
    if (partition >= topic->partitions_size) {
        uint32_t size = partition + 1;
        struct kafka_partition *grown = reallocarray(topic->partitions, size, sizeof(*grown));
        if (grown == NULL)
            return NULL;
        for (uint32_t i = topic->partitions_size; i < size; i++)
            grown[i] = (struct kafka_partition){.last_offset = -1};
        topic->partitions = grown;
        topic->partitions_size = size;
    }
    return &topic->partitions[partition];
}

static rd_kafka_headers_t *make_headers(const struct log_entry *entry)
{
    if (entry->n_headers == 0)
        return NULL;
    rd_kafka_headers_t *headers = rd_kafka_headers_new(entry->n_headers);
    for (size_t i = 0; i < entry->n_headers; i++)
        rd_kafka_header_add(headers, entry->headers[i].name, -1, entry->headers[i].value, -1);
    return headers;
}

static rd_kafka_resp_err_t produce(struct kafka_log *log, struct kafka_pending *pending,
                                   const struct log_entry *entry)
{
    rd_kafka_headers_t *headers = make_headers(entry);
    const char *key = entry->key;
    rd_kafka_vu_t args[] = {
        {.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = log->topics[pending->append->topic].producer_rkt},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = (int32_t)pending->append->partition},
        {.vtype = RD_KAFKA_VTYPE_VALUE,
         .u.mem = {.ptr = (void *)(uintptr_t)entry->value, .size = entry->value_size}},
        {.vtype = RD_KAFKA_VTYPE_KEY,
         .u.mem = {.ptr = (void *)(uintptr_t)key, .size = key != NULL ? strlen(key) : 0}},
        {.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = pending->time_ms},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = pending},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers},
    };
    size_t n = sizeof(args) / sizeof(args[0]);
    rd_kafka_error_t *error = rd_kafka_produceva(log->producer, args, headers != NULL ? n : n - 1);
    if (error == NULL)
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    rd_kafka_error_destroy(error);
    if (headers != NULL)
        rd_kafka_headers_destroy(headers);
    return code;
}

static void set_failure(struct kafka_log *log, struct kafka_pending *pending, enum err_code code,
                        const char *why)
{
    if (pending->err.code == ERR_NONE)
        err_set(&pending->err, code, "cannot append to topic '%s' partition %u of '%s': %s",
                log->topics[pending->append->topic].name, pending->append->partition, log->log.url, why);
}

/* Hands the entries over. What cannot be handed over fails, and with it the append, once the rest is
 * reported. */
static void produce_all(struct kafka_log *log, struct kafka_pending *pending, const struct log_entry *entries)
{
    pending->n_left = pending->append->n_entries;
    for (size_t i = 0; i < pending->append->n_entries; i++) {
        rd_kafka_resp_err_t rc = produce(log, pending, &entries[i]);
        if (rc == RD_KAFKA_RESP_ERR_NO_ERROR)
            continue;
        set_failure(log, pending, kafka_err_code(rc), rd_kafka_err2str(rc));
        pending->n_left -= pending->append->n_entries - i;
        break;
    }
    if (pending->n_left == 0) {
        pending->done = true;
        kafka_wake(log);
    }
}

static void finish(struct kafka_log *log, struct kafka_pending *pending)
{
    struct log_append *append = pending->append;
    append->implementation = NULL;
    log->n_pending--;
    if (pending->err.code == ERR_NONE)
        log_append_done(append, pending->first_offset, NULL);
    else
        log_append_done(append, -1, &pending->err);
    free(pending);
}

/* Acknowledges what is done, in order. */
static void settle(struct kafka_log *log)
{
    for (size_t t = 0; t < LOG_TOPICS; t++) {
        for (uint32_t p = 0; p < log->topics[t].partitions_size; p++) {
            struct kafka_pending *head;
            while ((head = log->topics[t].partitions[p].pending) != NULL && head->done) {
                DL_DELETE(log->topics[t].partitions[p].pending, head);
                finish(log, head);
            }
        }
    }
    if (log->n_pending == 0)
        uv_timer_stop(&log->watchdog);
}

static void refuse(struct kafka_log *log, enum log_topic topic, uint32_t partition, const char *why)
{
    if (log->refusing)
        return;
    log->refusing = true;
    err_set(&log->refusal, ERR_CORRUPT,
            "appends to '%s' are refused: %s; look at what happened to the log, then restart", log->log.url,
            why);
    log_report(&log->log, LOG_LOSS, topic, partition, "%s", log->refusal.message);
}

static void take_offset(struct kafka_log *log, struct kafka_pending *pending, int64_t offset)
{
    struct kafka_partition *partition =
        &log->topics[pending->append->topic].partitions[pending->append->partition];
    if (offset < 0) {
        set_failure(log, pending, ERR_TIMEOUT, "it was stored, but the broker did not say where");
        return;
    }
    if (offset <= partition->last_offset)
        refuse(log, pending->append->topic, pending->append->partition,
               "an append came to lie before one that had been acknowledged, so the topic was created anew");
    partition->last_offset = offset;
    if (pending->first_offset < 0 || offset < pending->first_offset)
        pending->first_offset = offset;
}

static void on_report(struct kafka_log *log, const rd_kafka_message_t *message)
{
    struct kafka_pending *pending = message->_private;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        take_offset(log, pending, message->offset);
        kafka_set_back(log);
    } else {
        bool unsent = rd_kafka_message_status(message) == RD_KAFKA_MSG_STATUS_NOT_PERSISTED;
        set_failure(log, pending, unsent ? kafka_err_code(message->err) : ERR_TIMEOUT,
                    rd_kafka_err2str(message->err));
    }
    if (--pending->n_left == 0)
        pending->done = true;
}

static void on_error(struct kafka_log *log, rd_kafka_event_t *event)
{
    char why[512];
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        rd_kafka_resp_err_t cause = rd_kafka_fatal_error(log->producer, why, sizeof(why));
        refuse(log, LOG_EVENTS, 0,
               cause != RD_KAFKA_RESP_ERR_NO_ERROR ? why : rd_kafka_event_error_string(event));
    } else if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        kafka_control_start(log, true);
    }
}

void kafka_serve_producer(struct kafka_log *log)
{
    rd_kafka_event_t *event;
    while (log->producer_queue != NULL && (event = rd_kafka_queue_poll(log->producer_queue, 0)) != NULL) {
        const rd_kafka_message_t *message;
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR)
            while ((message = rd_kafka_event_message_next(event)) != NULL)
                on_report(log, message);
        else if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR)
            on_error(log, event);
        rd_kafka_event_destroy(event);
    }
    settle(log);
}

static uint64_t oldest_ms(struct kafka_log *log)
{
    uint64_t oldest = UINT64_MAX;
    for (size_t t = 0; t < LOG_TOPICS; t++) {
        for (uint32_t p = 0; p < log->topics[t].partitions_size; p++) {
            const struct kafka_pending *head = log->topics[t].partitions[p].pending;
            if (head != NULL && head->since_ms < oldest)
                oldest = head->since_ms;
        }
    }
    return oldest;
}

bool kafka_append_stalled(struct kafka_log *log)
{
    return log->n_pending > 0 && oldest_ms(log) + KAFKA_STALLED_MS <= uv_now(log->log.loop);
}

/* Those that still wait here; librdkafka times its own (message.timeout.ms). */
static void expire(struct kafka_log *log)
{
    uint64_t timeout_ms = log->log.options.append_timeout_ms;
    if (timeout_ms == 0 || log->ready)
        return;
    uint64_t now = uv_now(log->log.loop);
    for (size_t t = 0; t < LOG_TOPICS; t++) {
        for (uint32_t p = 0; p < log->topics[t].partitions_size; p++) {
            struct kafka_pending *pending;
            DL_FOREACH(log->topics[t].partitions[p].pending, pending)
            {
                if (pending->since_ms + timeout_ms > now)
                    break;
                set_failure(log, pending, ERR_UNAVAILABLE, "the brokers cannot be reached");
                pending->done = true;
            }
        }
    }
    settle(log);
}

static void arm_watchdog(struct kafka_log *log)
{
    uint64_t timeout_ms = log->log.options.append_timeout_ms;
    uint64_t wait_ms =
        timeout_ms != 0 && timeout_ms < KAFKA_STALLED_MS && !log->ready ? timeout_ms : KAFKA_STALLED_MS;
    uint64_t due_ms = oldest_ms(log) + wait_ms, now = uv_now(log->log.loop);
    /* Cannot fail: it is not closing and has a callback. At least a millisecond, so that a stall does not
     * spin. */
    uv_timer_start(&log->watchdog, kafka_on_watchdog, due_ms > now ? due_ms - now : log->away ? 1000 : 1, 0);
}

void kafka_on_watchdog(uv_timer_t *timer)
{
    struct kafka_log *log = timer->data;
    expire(log);
    if (log->log.closing || log->n_pending == 0)
        return;
    if (kafka_append_stalled(log)) {
        kafka_set_away(log, "appends are not acknowledged");
        kafka_control_start(log, true);
    }
    arm_watchdog(log);
}

void kafka_append_fail_all(struct kafka_log *log, const struct err *err)
{
    for (size_t t = 0; t < LOG_TOPICS; t++) {
        for (uint32_t p = 0; p < log->topics[t].partitions_size; p++) {
            struct kafka_pending *head;
            while ((head = log->topics[t].partitions[p].pending) != NULL) {
                DL_DELETE(log->topics[t].partitions[p].pending, head);
                if (!head->done)
                    head->err = *err;
                finish(log, head);
            }
        }
    }
}

void kafka_append_flush(struct kafka_log *log)
{
    for (size_t t = 0; t < LOG_TOPICS; t++) {
        for (uint32_t p = 0; p < log->topics[t].partitions_size; p++) {
            struct kafka_pending *pending;
            DL_FOREACH(log->topics[t].partitions[p].pending, pending)
            {
                if (pending->entries == NULL || pending->done)
                    continue;
                produce_all(log, pending, pending->entries);
                pending->entries =
                    NULL; /* librdkafka has its own copy now; the memory goes with the pending */
            }
        }
    }
}

static size_t copied_size(const struct log_entry *entries, size_t n)
{
    size_t size = 0;
    for (size_t i = 0; i < n; i++) {
        size += sizeof(struct log_entry) + entries[i].n_headers * sizeof(struct log_header) +
                entries[i].value_size;
        size += entries[i].key != NULL ? strlen(entries[i].key) + 1 : 0;
        for (size_t h = 0; h < entries[i].n_headers; h++)
            size += strlen(entries[i].headers[h].name) + strlen(entries[i].headers[h].value) + 2;
    }
    return size;
}

/* Fixed-size parts first, for their alignment. */
static void copy_entries(struct log_entry *to, const struct log_entry *entries, size_t n)
{
    size_t n_headers = 0;
    for (size_t i = 0; i < n; i++)
        n_headers += entries[i].n_headers;
    struct log_header *header = (struct log_header *)(to + n);
    char *at = (char *)(header + n_headers);
    for (size_t i = 0; i < n; i++) {
        to[i] = (struct log_entry){.headers = header, .n_headers = entries[i].n_headers};
        for (size_t h = 0; h < entries[i].n_headers; h++, header++) {
            header->name = at;
            at = stpcpy(at, entries[i].headers[h].name) + 1;
            header->value = at;
            at = stpcpy(at, entries[i].headers[h].value) + 1;
        }
        if (entries[i].key != NULL) {
            to[i].key = at;
            at = stpcpy(at, entries[i].key) + 1;
        }
        to[i].value = at;
        to[i].value_size = entries[i].value_size;
        at = entries[i].value_size > 0 ? mempcpy(at, entries[i].value, entries[i].value_size) : at;
    }
}

int kafka_append(struct log *base, struct log_append *append, const struct log_entry *entries,
                 struct err *err)
{
    struct kafka_log *log = (struct kafka_log *)base;
    struct kafka_topic *topic = &log->topics[append->topic];
    if (log->refusing) {
        if (err != NULL)
            *err = log->refusal;
        return -1;
    }
    if (append->partition > INT32_MAX - 1 ||
        (topic->n_partitions != 0 && append->partition >= topic->n_partitions))
        return err_set(err, ERR_NOT_FOUND, "topic '%s' has no partition %u", topic->name, append->partition);
    size_t size = log->ready ? 0 : copied_size(entries, append->n_entries);
    struct kafka_partition *partition = partition_at(topic, append->partition);
    struct kafka_pending *pending = malloc(sizeof(*pending) + size);
    if (partition == NULL || pending == NULL) {
        free(pending);
        return err_nomem(err, "appending to a log");
    }
    uv_update_time(base->loop);
    *pending = (struct kafka_pending){.append = append,
                                      .since_ms = uv_now(base->loop),
                                      .time_ms = clock_realtime_ns() / 1000000,
                                      .first_offset = -1};
    append->implementation = pending;
    DL_APPEND(partition->pending, pending);
    log->n_pending++;
    if (log->ready) {
        produce_all(log, pending, entries);
    } else {
        pending->entries = (struct log_entry *)(pending + 1);
        copy_entries(pending->entries, entries, append->n_entries);
    }
    if (log->n_pending == 1)
        arm_watchdog(log);
    return 0;
}
