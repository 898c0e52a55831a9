/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control work: librdkafka's blocking calls, on the thread pool, one piece at a time, each with a bounded
 * time.
 *
 * A check asks for metadata, creates the topics that this log appends to and that are missing, and looks at
 * the settings of those that exist. Jobs ask where a partition begins and ends. A check that fails means that
 * the brokers are away: it is repeated with a back-off until it succeeds.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "events/log/log_kafka.h"

#define METADATA_TIMEOUT_MS 2000
#define ADMIN_TIMEOUT_MS 5000
#define OFFSETS_TIMEOUT_MS 5000
#define LEADER_PAUSE_MS 50
#define LEADER_ATTEMPTS 50 /* a new topic has its leaders within a few requests */
#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 1000
#define REPLICATION_MAX 3

/* Worker thread from here ... */

static const rd_kafka_metadata_topic_t *find_topic(const rd_kafka_metadata_t *metadata, const char *name)
{
    for (int i = 0; i < metadata->topic_cnt; i++)
        if (strcmp(metadata->topics[i].topic, name) == 0)
            return &metadata->topics[i];
    return NULL;
}

static uint32_t count_partitions(const rd_kafka_metadata_t *metadata, const char *name)
{
    const rd_kafka_metadata_topic_t *topic = find_topic(metadata, name);
    return topic != NULL && topic->err == RD_KAFKA_RESP_ERR_NO_ERROR ? (uint32_t)topic->partition_cnt : 0;
}

static bool has_leaders(const rd_kafka_metadata_t *metadata, const char *name)
{
    const rd_kafka_metadata_topic_t *topic = find_topic(metadata, name);
    for (int i = 0; topic != NULL && i < topic->partition_cnt; i++)
        if (topic->partitions[i].leader < 0)
            return false;
    return count_partitions(metadata, name) > 0;
}

static int fetch_metadata(struct kafka_log *log, const struct rd_kafka_metadata **ret)
{
    rd_kafka_resp_err_t rc = rd_kafka_metadata(log->control, 0, NULL, ret, METADATA_TIMEOUT_MS);
    if (rc != RD_KAFKA_RESP_ERR_NO_ERROR)
        return err_set(&log->check_err, ERR_UNAVAILABLE, "cannot reach the brokers of '%s': %s", log->log.url,
                       rd_kafka_err2str(rc));
    for (size_t i = 0; i < LOG_TOPICS; i++)
        log->found[i] = count_partitions(*ret, log->topics[i].name);
    return 0;
}

static void warn(struct kafka_log *log, enum log_topic topic, const char *what)
{
    char id = (char)('0' + (int)topic);
    buf_add(&log->unsafe, &id, 1);
    buf_printf(&log->unsafe, "topic '%s' %s", log->topics[topic].name, what);
    buf_add(&log->unsafe, "", 1);
}

static rd_kafka_NewTopic_t *new_topic(struct kafka_log *log, enum log_topic topic, int n_brokers,
                                      struct err *err)
{
    const struct log_options *options = &log->log.options;
    int replication = options->replication != 0     ? (int)options->replication
                      : n_brokers < REPLICATION_MAX ? n_brokers
                                                    : REPLICATION_MAX;
    char why[256];
    rd_kafka_NewTopic_t *ret = rd_kafka_NewTopic_new(log->topics[topic].name, (int)options->partitions,
                                                     replication, why, sizeof(why));
    if (ret == NULL) {
        err_set(err, ERR_INVALID, "cannot create topic '%s': %s", log->topics[topic].name, why);
        return NULL;
    }
    rd_kafka_NewTopic_set_config(ret, "cleanup.policy", "delete");
    rd_kafka_NewTopic_set_config(ret, "retention.ms", "-1");
    rd_kafka_NewTopic_set_config(ret, "retention.bytes", "-1");
    rd_kafka_NewTopic_set_config(ret, "min.insync.replicas", replication > 2 ? "2" : "1");
    return ret;
}

static int check_created(struct kafka_log *log, rd_kafka_event_t *event)
{
    size_t n = 0;
    if (event == NULL || rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return err_set(&log->check_err, ERR_UNAVAILABLE, "cannot create topics on '%s': %s", log->log.url,
                       event != NULL ? rd_kafka_event_error_string(event) : "no answer");
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n);
    for (size_t i = 0; i < n; i++) {
        rd_kafka_resp_err_t rc = rd_kafka_topic_result_error(results[i]);
        if (rc != RD_KAFKA_RESP_ERR_NO_ERROR && rc != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
            return err_set(&log->check_err, ERR_UNAVAILABLE, "cannot create topic '%s' on '%s': %s",
                           rd_kafka_topic_result_name(results[i]), log->log.url,
                           rd_kafka_topic_result_error_string(results[i]));
    }
    return 0;
}

static int create_missing(struct kafka_log *log, int n_brokers, bool *ret_created)
{
    rd_kafka_NewTopic_t *topics[LOG_TOPICS];
    size_t n = 0;
    int rc = 0;
    for (enum log_topic topic = 0; rc == 0 && topic < LOG_TOPICS; topic++) {
        if (!log_appends_to(&log->log, topic) || log->found[topic] > 0)
            continue;
        topics[n] = new_topic(log, topic, n_brokers, &log->check_err);
        if (topics[n] == NULL)
            rc = -1;
        else
            n++;
    }
    if (rc == 0 && n > 0) {
        rd_kafka_queue_t *queue = rd_kafka_queue_new(log->control);
        rd_kafka_AdminOptions_t *options =
            rd_kafka_AdminOptions_new(log->control, RD_KAFKA_ADMIN_OP_CREATETOPICS);
        rd_kafka_AdminOptions_set_request_timeout(options, ADMIN_TIMEOUT_MS, NULL, 0);
        rd_kafka_AdminOptions_set_operation_timeout(options, ADMIN_TIMEOUT_MS, NULL, 0);
        rd_kafka_CreateTopics(log->control, topics, n, options, queue);
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, ADMIN_TIMEOUT_MS);
        rc = check_created(log, event);
        if (event != NULL)
            rd_kafka_event_destroy(event);
        rd_kafka_AdminOptions_destroy(options);
        rd_kafka_queue_destroy(queue);
        *ret_created = true;
    }
    rd_kafka_NewTopic_destroy_array(topics, n);
    return rc;
}

static void check_setting(struct kafka_log *log, enum log_topic topic, const char *name, const char *value)
{
    char what[256];
    if ((strcmp(name, "retention.ms") == 0 || strcmp(name, "retention.bytes") == 0) &&
        strcmp(value, "-1") != 0) {
        snprintf(what, sizeof(what),
                 "loses its history: %s is %s; set it to -1 with kafka-configs.sh --alter", name, value);
        warn(log, topic, what);
    }
    if (strcmp(name, "cleanup.policy") == 0 && strstr(value, "compact") != NULL) {
        snprintf(what, sizeof(what),
                 "loses its history: cleanup.policy is %s; set it to delete, with retention.ms=-1", value);
        warn(log, topic, what);
    }
}

static void check_settings(struct kafka_log *log, enum log_topic topic)
{
    rd_kafka_ConfigResource_t *resource =
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, log->topics[topic].name);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(log->control);
    rd_kafka_DescribeConfigs(log->control, &resource, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, ADMIN_TIMEOUT_MS);
    size_t n = 0, n_entries = 0;
    const rd_kafka_ConfigResource_t **results = NULL;
    /* Not being allowed to look is no reason not to work. */
    if (event != NULL && rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR)
        results = rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &n);
    if (n > 0 && rd_kafka_ConfigResource_error(results[0]) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(results[0], &n_entries);
        for (size_t i = 0; i < n_entries; i++)
            if (rd_kafka_ConfigEntry_value(entries[i]) != NULL)
                check_setting(log, topic, rd_kafka_ConfigEntry_name(entries[i]),
                              rd_kafka_ConfigEntry_value(entries[i]));
    }
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_ConfigResource_destroy(resource);
}

/* Topics that were there before us may have settings that lose records. Who takes commands vouches for all of
 * the log; others look at what they append to. */
static void check_existing(struct kafka_log *log, const rd_kafka_metadata_t *metadata)
{
    for (enum log_topic topic = 0; topic < LOG_TOPICS && !log->stop; topic++) {
        const rd_kafka_metadata_topic_t *found = find_topic(metadata, log->topics[topic].name);
        bool ours = log_appends_to(&log->log, topic) || log_appends_to(&log->log, LOG_COMMANDS);
        if (!ours || log->found[topic] == 0)
            continue;
        if (metadata->broker_cnt > 1 && found->partitions[0].replica_cnt == 1)
            warn(log, topic,
                 "has one replica although there are more brokers: the loss of one disk loses records");
        check_settings(log, topic);
    }
}

static int await_leaders(struct kafka_log *log)
{
    for (int attempt = 0; attempt < LEADER_ATTEMPTS && !log->stop; attempt++) {
        const struct rd_kafka_metadata *metadata = NULL;
        if (fetch_metadata(log, &metadata) < 0)
            return -1;
        bool complete = true;
        for (enum log_topic topic = 0; topic < LOG_TOPICS; topic++)
            complete = complete &&
                       (!log_appends_to(&log->log, topic) || has_leaders(metadata, log->topics[topic].name));
        rd_kafka_metadata_destroy(metadata);
        if (complete)
            return 0;
    }
    return err_set(&log->check_err, ERR_UNAVAILABLE, "the topics of '%s' have no leaders", log->log.url);
}

/* Left alone, the producer would look for a topic's leaders only when its timer comes round, a second after
 * the first append. */
static int acquaint_producer(struct kafka_log *log)
{
    for (enum log_topic topic = 0; topic < LOG_TOPICS; topic++) {
        rd_kafka_topic_t **rkt = &log->topics[topic].producer_rkt;
        if (!log_appends_to(&log->log, topic) || *rkt != NULL)
            continue;
        *rkt = rd_kafka_topic_new(log->producer, log->topics[topic].name, NULL);
        if (*rkt == NULL)
            return err_set(&log->check_err, ERR_UNAVAILABLE, "cannot use topic '%s': %s",
                           log->topics[topic].name, rd_kafka_err2str(rd_kafka_last_error()));
    }
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t rc = rd_kafka_metadata(log->producer, 0, NULL, &metadata, METADATA_TIMEOUT_MS);
    if (rc != RD_KAFKA_RESP_ERR_NO_ERROR)
        return err_set(&log->check_err, ERR_UNAVAILABLE, "cannot reach the brokers of '%s': %s", log->log.url,
                       rd_kafka_err2str(rc));
    rd_kafka_metadata_destroy(metadata);
    return 0;
}

static int check(struct kafka_log *log)
{
    const struct rd_kafka_metadata *metadata = NULL;
    if (fetch_metadata(log, &metadata) < 0)
        return -1;
    bool created = false;
    if (!log->ready)
        check_existing(log, metadata);
    int rc = create_missing(log, metadata->broker_cnt, &created);
    rd_kafka_metadata_destroy(metadata);
    if (rc < 0 || (created && await_leaders(log) < 0))
        return -1;
    return log->producer != NULL && !log->ready ? acquaint_producer(log) : 0;
}

static bool is_election(rd_kafka_resp_err_t rc)
{
    return rc == RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION || rc == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
}

/* A partition that is new, or whose broker has just come back, is without a leader for a moment: asked again.
 */
static rd_kafka_resp_err_t query_offsets(struct kafka_log *log, const char *name, struct kafka_job *job)
{
    rd_kafka_resp_err_t rc;
    for (int attempt = 0;; attempt++) {
        rc = rd_kafka_query_watermark_offsets(log->control, name, (int32_t)job->partition, &job->low,
                                              &job->high, OFFSETS_TIMEOUT_MS);
        if (!is_election(rc) || attempt == LEADER_ATTEMPTS || log->stop)
            return rc;
        uv_sleep(LEADER_PAUSE_MS);
        const struct rd_kafka_metadata *fresh = NULL;
        if (rd_kafka_metadata(log->control, 0, log->topics[job->topic].rkt, &fresh, METADATA_TIMEOUT_MS) ==
            RD_KAFKA_RESP_ERR_NO_ERROR)
            rd_kafka_metadata_destroy(fresh);
    }
}

static void run_job(struct kafka_log *log, struct kafka_job *job)
{
    const char *name = log->topics[job->topic].name;
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t rc = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (log->found[job->topic] == 0 || job->kind == KAFKA_JOB_PARTITIONS) {
        rc = rd_kafka_metadata(log->control, 0, log->topics[job->topic].rkt, &metadata, METADATA_TIMEOUT_MS);
        if (rc == RD_KAFKA_RESP_ERR_NO_ERROR) {
            log->found[job->topic] = count_partitions(metadata, name);
            rd_kafka_metadata_destroy(metadata);
        }
    }
    job->missing = rc == RD_KAFKA_RESP_ERR_NO_ERROR && log->found[job->topic] == 0;
    if (rc == RD_KAFKA_RESP_ERR_NO_ERROR && !job->missing && job->kind != KAFKA_JOB_PARTITIONS) {
        if (job->partition >= log->found[job->topic])
            rc = RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
        else
            rc = query_offsets(log, name, job);
    }
    if (rc == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || rc == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC) {
        log->found[job->topic] = 0; /* it has gone: the next job looks again */
        job->missing = true;
        return;
    }
    if (rc != RD_KAFKA_RESP_ERR_NO_ERROR)
        err_set(&job->err, kafka_err_code(rc), "cannot look up '%s' partition %u of '%s': %s", name,
                job->partition, log->log.url, rd_kafka_err2str(rc));
}

static void on_work(uv_work_t *work)
{
    struct kafka_log *log = work->data;
    log->check_ok = true;
    if (log->check)
        log->check_ok = check(log) == 0;
    struct kafka_job *job;
    DL_FOREACH(log->worker_jobs, job)
    {
        if (log->stop)
            err_set(&job->err, ERR_UNAVAILABLE, "log '%s' was closed", log->log.url);
        else if (!log->check_ok)
            job->err = log->check_err;
        else
            run_job(log, job);
    }
}

/* ... to here; the loop thread again. */

static void report_unsafe(struct kafka_log *log)
{
    for (size_t at = 0; at < log->unsafe.size && !log->unsafe.failed;) {
        const char *text = log->unsafe.data + at;
        enum log_topic topic = (enum log_topic)(text[0] - '0');
        log_report(&log->log, LOG_UNSAFE, topic, 0, "%s", text + 1);
        at += strlen(text) + 1;
    }
    buf_reset(&log->unsafe);
}

static void on_work_done(uv_work_t *work, int status)
{
    (void)status;
    struct kafka_log *log = work->data;
    bool counted = log->log.closing;
    bool checked = log->check;
    struct kafka_job *done = log->worker_jobs; /* what follows may start the next piece */
    log->worker_jobs = NULL;
    log->working = false;
    log->check = false;
    for (size_t i = 0; i < LOG_TOPICS; i++)
        log->topics[i].n_partitions = log->found[i];
    if (checked && log->check_ok)
        report_unsafe(log);
    if (checked)
        kafka_checked(log);
    while (done != NULL) {
        struct kafka_job *job = done;
        DL_DELETE(done, job);
        kafka_job_done(log, job);
        free(job);
    }
    if (log->jobs != NULL || log->check_wanted) {
        bool wanted = log->check_wanted;
        log->check_wanted = false;
        kafka_control_start(log, wanted);
    }
    if (counted)
        kafka_handle_closed(log);
}

struct kafka_job *kafka_job_new(struct kafka_log *log, enum kafka_job_kind kind, enum log_topic topic,
                                uint32_t partition)
{
    struct kafka_job *job = calloc(1, sizeof(*job));
    if (job == NULL)
        return NULL;
    job->kind = kind;
    job->topic = topic;
    job->partition = partition;
    DL_APPEND(log->jobs, job);
    return job;
}

void kafka_on_retry(uv_timer_t *timer)
{
    struct kafka_log *log = timer->data;
    bool check_brokers = log->away || !log->ready;
    if (!check_brokers)
        kafka_readers_retry(log);
    kafka_control_start(log, check_brokers);
}

void kafka_control_start(struct kafka_log *log, bool check_brokers)
{
    if (log->log.closing)
        return;
    if (log->working) {
        /* What is asked for now is seen to when the present piece is done; a check then needs its own start.
         */
        log->check_wanted = log->check_wanted || (check_brokers && !log->check);
        return;
    }
    if (!check_brokers && log->jobs == NULL)
        return;
    log->check = check_brokers;
    log->worker_jobs = log->jobs;
    log->jobs = NULL;
    err_clear(&log->check_err);
    log->work.data = log;
    log->working = true;
    /* Fails only without a callback (uv_queue_work). */
    uv_queue_work(log->log.loop, &log->work, on_work, on_work_done);
}

void kafka_checked(struct kafka_log *log)
{
    if (!log->check_ok) {
        kafka_set_away(log, log->check_err.message);
        log->backoff_ms = log->backoff_ms == 0 ? BACKOFF_MIN_MS : log->backoff_ms * 2;
        if (log->backoff_ms > BACKOFF_MAX_MS)
            log->backoff_ms = BACKOFF_MAX_MS;
        if (!log->log.closing)
            uv_timer_start(&log->retry, kafka_on_retry, log->backoff_ms, 0);
        return;
    }
    log->backoff_ms = 0;
    log->ready = true;
    if (log->log.closing)
        return;
    /* With appends under way, their acknowledgement is the proof: brokers that answer may still not store.
     * Should they fail instead, the next check finds nothing under way. */
    if (log->n_pending == 0)
        kafka_set_back(log);
    else if (log->away)
        uv_timer_start(&log->retry, kafka_on_retry, BACKOFF_MAX_MS, 0);
    kafka_append_flush(log);
    kafka_readers_retry(log);
}
