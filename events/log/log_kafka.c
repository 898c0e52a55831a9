/* SPDX-License-Identifier: Apache-2.0 */
#include "events/log/log_kafka.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utlist.h>

#include "base/cleanup.h"

static void serve(struct kafka_log *log);

static void on_turn(uv_idle_t *turn)
{
    uv_idle_stop(turn);
    serve(turn->data);
}

void kafka_wake(struct kafka_log *log)
{
    if (!log->log.closing)
        uv_idle_start(&log->turn, on_turn); /* cannot fail: the callback is given (uv_idle_start) */
}

void kafka_set_away(struct kafka_log *log, const char *message)
{
    if (log->away)
        return;
    log->away = true;
    log_report(&log->log, LOG_AWAY, LOG_EVENTS, 0, "'%s' is away: %s", log->log.url, message);
}

void kafka_set_back(struct kafka_log *log)
{
    if (!log->away)
        return;
    log->away = false;
    log_report(&log->log, LOG_BACK, LOG_EVENTS, 0, "'%s' works again", log->log.url);
}

/* Losing a connection is trouble only if the brokers cannot be reached anew: a check finds out. */
static void serve_control(struct kafka_log *log)
{
    rd_kafka_event_t *event;
    while ((event = rd_kafka_queue_poll(log->control_queue, 0)) != NULL) {
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR &&
            rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && !log->away && log->ready)
            kafka_control_start(log, true);
        rd_kafka_event_destroy(event);
    }
}

static void serve(struct kafka_log *log)
{
    if (log->producer != NULL)
        kafka_serve_producer(log);
    if (!log->log.closing)
        serve_control(log);
    if (!log->log.closing && kafka_readers_run(log))
        kafka_wake(log);
}

static void on_events(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct kafka_log *log = poll->data;
    uint64_t count;
    ssize_t got = read(log->event_fd, &count, sizeof(count)); /* only resets the counter */
    (void)got;
    kafka_readers_mark(log);
    serve(log);
}

void kafka_job_done(struct kafka_log *log, struct kafka_job *job)
{
    bool failed = job->err.code != ERR_NONE;
    switch (job->kind) {
    case KAFKA_JOB_PARTITIONS:
        log_query_done(job->query,
                       failed         ? -1
                       : job->missing ? (int64_t)log->log.options.partitions
                                      : (int64_t)log->topics[job->topic].n_partitions,
                       failed ? &job->err : NULL);
        break;
    case KAFKA_JOB_END:
        log_query_done(job->query, failed ? -1 : job->high, failed ? &job->err : NULL);
        break;
    case KAFKA_JOB_START:
        if (job->reader != NULL)
            kafka_reader_started(log, job->reader, job);
        break;
    }
}

static int queue_query(struct kafka_log *log, struct log_query *query, enum kafka_job_kind kind,
                       struct err *err)
{
    struct kafka_job *job = kafka_job_new(log, kind, query->topic, query->partition);
    if (job == NULL)
        return err_nomem(err, "asking a log");
    job->query = query;
    kafka_control_start(log, false);
    return 0;
}

static int kafka_end(struct log *base, struct log_query *query, struct err *err)
{
    return queue_query((struct kafka_log *)base, query, KAFKA_JOB_END, err);
}

static int kafka_partitions(struct log *base, struct log_query *query, struct err *err)
{
    return queue_query((struct kafka_log *)base, query, KAFKA_JOB_PARTITIONS, err);
}

/* Closing: the control work under way ends; outstanding work fails; the clients are destroyed on the thread
 * pool, since that waits for their threads; handles close; then the rest is freed. Each of these counts in
 * open_handles. */

static void release(struct kafka_log *log)
{
    for (size_t i = 0; i < LOG_TOPICS; i++) {
        free(log->topics[i].name);
        free(log->topics[i].partitions);
    }
    for (char **at = log->properties; at != NULL && *at != NULL; at++)
        free(*at);
    free(log->properties);
    free(log->brokers);
    free(log->keys);
    buf_release(&log->unsafe);
    if (log->event_fd >= 0)
        close(log->event_fd);
}

static void destroy_clients(struct kafka_log *log)
{
    for (size_t i = 0; i < LOG_TOPICS; i++) {
        if (log->topics[i].rkt != NULL)
            rd_kafka_topic_destroy(log->topics[i].rkt);
        if (log->topics[i].producer_rkt != NULL)
            rd_kafka_topic_destroy(log->topics[i].producer_rkt);
    }
    if (log->producer_queue != NULL)
        rd_kafka_queue_destroy(log->producer_queue);
    if (log->control_queue != NULL)
        rd_kafka_queue_destroy(log->control_queue);
    while (log->consumers != NULL) {
        struct kafka_consumer *consumer = log->consumers;
        DL_DELETE(log->consumers, consumer);
        rd_kafka_destroy(consumer->rk);
        free(consumer);
    }
    if (log->producer != NULL) {
        rd_kafka_purge(log->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_destroy(log->producer);
    }
    if (log->control != NULL)
        rd_kafka_destroy(log->control);
}

static void on_last_work(uv_work_t *work)
{
    destroy_clients(work->data);
}

static void on_last_work_done(uv_work_t *work, int status)
{
    (void)status;
    kafka_handle_closed(work->data);
}

static void fail_outstanding(struct kafka_log *log)
{
    struct err err = ERR_INIT;
    err_set(&err, ERR_UNAVAILABLE, "log '%s' was closed", log->log.url);
    if (log->producer != NULL)
        kafka_serve_producer(log); /* what is known by now */
    kafka_append_fail_all(log, &err);
    while (log->jobs != NULL) {
        struct kafka_job *job = log->jobs;
        DL_DELETE(log->jobs, job);
        if (job->query != NULL)
            log_query_done(job->query, -1, &err);
        if (job->reader != NULL)
            job->reader->job = NULL;
        free(job);
    }
    while (log->readers != NULL)
        kafka_reader_free(log, log->readers);
}

void kafka_handle_closed(struct kafka_log *log)
{
    if (--log->open_handles > 0)
        return;
    if (!log->clients_closed) {
        log->clients_closed = true;
        log->open_handles = 1;
        fail_outstanding(log);
        log->work.data = log;
        uv_queue_work(log->log.loop, &log->work, on_last_work, on_last_work_done);
        return;
    }
    release(log);
    log_closed(&log->log);
}

static void on_handle_closed(uv_handle_t *handle)
{
    kafka_handle_closed(handle->data);
}

static void kafka_close(struct log *base)
{
    struct kafka_log *log = (struct kafka_log *)base;
    log->stop = true;
    log->open_handles = 4 + (log->working ? 1u : 0u);
    uv_close((uv_handle_t *)&log->events, on_handle_closed);
    uv_close((uv_handle_t *)&log->turn, on_handle_closed);
    uv_close((uv_handle_t *)&log->watchdog, on_handle_closed);
    uv_close((uv_handle_t *)&log->retry, on_handle_closed);
}

static const struct log_ops kafka_ops = {
    .close = kafka_close,
    .append = kafka_append,
    .reader_open = kafka_reader_open,
    .reader_pause = kafka_reader_pause,
    .reader_resume = kafka_reader_resume,
    .reader_close = kafka_reader_close,
    .end = kafka_end,
    .partitions = kafka_partitions,
};

static int copy_properties(struct kafka_log *log, const char *const *properties, struct err *err)
{
    size_t n = 0;
    while (properties != NULL && properties[n] != NULL)
        n++;
    log->properties = calloc(n + 1, sizeof(*log->properties));
    if (log->properties == NULL)
        return err_nomem(err, "opening a log");
    for (size_t i = 0; i < n; i++)
        if ((log->properties[i] = strdup(properties[i])) == NULL)
            return err_nomem(err, "opening a log");
    if (n % 2 != 0)
        return err_set(err, ERR_INVALID, "kafka property '%s' has no value", properties[n - 1]);
    return 0;
}

static int create_clients(struct kafka_log *log, struct err *err)
{
    log->control = kafka_client_new(log, KAFKA_CLIENT_CONTROL, err);
    if (log->control == NULL)
        return -1;
    log->control_queue = rd_kafka_queue_get_main(log->control);
    kafka_watch_queue(log, log->control_queue);
    for (size_t i = 0; i < LOG_TOPICS; i++) {
        log->topics[i].rkt = rd_kafka_topic_new(log->control, log->topics[i].name, NULL);
        if (log->topics[i].rkt == NULL)
            return err_set(err, ERR_INVALID, "cannot use topic '%s': %s", log->topics[i].name,
                           rd_kafka_err2str(rd_kafka_last_error()));
    }
    if (log->log.options.append_topics == 0)
        return 0;
    log->producer = kafka_client_new(log, KAFKA_CLIENT_PRODUCER, err);
    if (log->producer == NULL)
        return -1;
    log->producer_queue = rd_kafka_queue_get_main(log->producer);
    kafka_watch_queue(log, log->producer_queue);
    return 0;
}

static int init_handles(struct kafka_log *log, struct err *err)
{
    int rc = uv_poll_init(log->log.loop, &log->events, log->event_fd);
    if (rc < 0)
        return err_sys(err, -rc, "cannot watch the Kafka clients of '%s'", log->log.url);
    /* None of the rest can fail. */
    uv_idle_init(log->log.loop, &log->turn);
    uv_timer_init(log->log.loop, &log->watchdog);
    uv_timer_init(log->log.loop, &log->retry);
    log->events.data = log->turn.data = log->watchdog.data = log->retry.data = log;
    uv_poll_start(&log->events, UV_READABLE, on_events);
    return 0;
}

static int open_parts(struct kafka_log *log, const char *address, const struct log_options *options,
                      struct err *err)
{
    if (kafka_parse_address(log, address, err) < 0 ||
        copy_properties(log, options->kafka_properties, err) < 0)
        return -1;
    log->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (log->event_fd < 0)
        return err_sys(err, errno, "cannot open log '%s'", log->log.url);
    return create_clients(log, err) < 0 ? -1 : init_handles(log, err);
}

int log_kafka_open(struct log **ret, uv_loop_t *loop, const char *address, const struct log_options *options,
                   struct err *err)
{
    struct kafka_log *log = calloc(1, sizeof(*log));
    if (log == NULL)
        return err_nomem(err, "opening a log");
    char *url = NULL;
    if (asprintf(&url, "kafka://%s", address) < 0)
        url = NULL;
    log->event_fd = -1;
    int rc = log_init_take(&log->log, &kafka_ops, loop, url, options, err);
    if (rc == 0)
        rc = open_parts(log, address, options, err);
    if (rc < 0) {
        destroy_clients(log);
        release(log);
        free(log->log.url);
        free(log);
        return -1;
    }
    kafka_control_start(log, true);
    *ret = &log->log;
    return 0;
}
