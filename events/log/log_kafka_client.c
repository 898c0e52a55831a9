/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "events/log/log_kafka.h"

#define PREFIX_LIMIT 200 /* a topic's name has at most 249 characters */

static bool is_prefix(const char *text)
{
    size_t size = strlen(text);
    for (size_t i = 0; i < size; i++)
        if (!isalnum((unsigned char)text[i]) && strchr("._-", text[i]) == NULL)
            return false;
    return size > 0 && size <= PREFIX_LIMIT;
}

static bool is_broker(const char *text, size_t size)
{
    const char *colon = memrchr(text, ':', size);
    if (colon == NULL || colon == text)
        return false;
    size_t digits = size - (size_t)(colon + 1 - text);
    for (const char *at = text; at < colon; at++)
        if (!isalnum((unsigned char)*at) && strchr(".-_[]:", *at) == NULL)
            return false;
    for (size_t i = 1; i <= digits; i++)
        if (!isdigit((unsigned char)colon[i]))
            return false;
    return digits > 0 && digits <= 5;
}

/* "host:port,host:port": what bootstrap.servers takes; a missing port is an error here rather than a silent
 * 9092. */
static bool are_brokers(const char *text)
{
    for (;;) {
        size_t size = strcspn(text, ",");
        if (!is_broker(text, size))
            return false;
        if (text[size] == '\0')
            return true;
        text += size + 1;
    }
}

int kafka_parse_address(struct kafka_log *log, const char *address, struct err *err)
{
    const char *slash = strchrnul(address, '/');
    const char *prefix = *slash == '/' ? slash + 1 : "";
    log->brokers = strndup(address, (size_t)(slash - address));
    if (log->brokers == NULL)
        return err_nomem(err, "opening a log");
    if (!are_brokers(log->brokers))
        return err_set(err, ERR_INVALID,
                       "log URL 'kafka://%s' names no brokers; use kafka://HOST:PORT[,HOST:PORT][/PREFIX]",
                       address);
    if (*prefix != '\0' && !is_prefix(prefix))
        return err_set(err, ERR_INVALID,
                       "log URL 'kafka://%s' has a prefix that is no part of a topic's name; use at most %d "
                       "letters, digits, '.', '_' and '-'",
                       address, PREFIX_LIMIT);
    for (enum log_topic topic = 0; topic < LOG_TOPICS; topic++) {
        char **name = &log->topics[topic].name;
        if (asprintf(name, "%s%s%s", prefix, *prefix != '\0' ? "." : "", log_topic_name(topic)) < 0) {
            *name = NULL;
            return err_nomem(err, "opening a log");
        }
    }
    return 0;
}

void kafka_watch_queue(struct kafka_log *log, rd_kafka_queue_t *queue)
{
    static const uint64_t one = 1;
    rd_kafka_queue_io_event_enable(queue, log->event_fd, &one, sizeof(one));
}

/* What librdkafka would print: what matters comes as an event or an error of a call. */
static void drop_line(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk;
    (void)level;
    (void)facility;
    (void)text;
}

static int set(rd_kafka_conf_t *conf, const char *name, const char *value, struct err *err)
{
    char why[256];
    if (rd_kafka_conf_set(conf, name, value, why, sizeof(why)) != RD_KAFKA_CONF_OK)
        return err_set(err, ERR_INVALID, "cannot set 'kafka.%s' to '%s': %s", name, value, why);
    return 0;
}

static int set_all(rd_kafka_conf_t *conf, const char *const (*properties)[2], struct err *err)
{
    for (; (*properties)[0] != NULL; properties++)
        if (set(conf, (*properties)[0], (*properties)[1], err) < 0)
            return -1;
    return 0;
}

/* https://github.com/confluentinc/librdkafka/blob/v2.0.2/CONFIGURATION.md */
static const char *const common[][2] = {
    {"client.id", "wharf"},
    {"log_level", "0"},
    {"socket.nagle.disable", "true"},
    {"socket.keepalive.enable", "true"},
    {"socket.timeout.ms", "10000"},
    {"reconnect.backoff.ms", "50"},
    {"reconnect.backoff.max.ms", "1000"},
    {NULL, NULL},
};

static const char *const producer[][2] = {
    {"enable.idempotence", "true"},
    {"acks", "all"},
    {"linger.ms", "0"},
    {"retry.backoff.ms", "50"},
    {"message.max.bytes", "1048588"}, /* the broker's own default: see LOG_ENTRY_LIMIT */
    {"queue.buffering.max.messages", "1000000"},
    {NULL, NULL},
};

static const char *const consumer[][2] = {
    {"enable.auto.commit", "false"},
    {"enable.auto.offset.store", "false"},
    {"auto.offset.reset", "error"},
    {"enable.partition.eof", "true"},
    {"check.crcs", "true"},
    {"fetch.min.bytes", "1"},
    {"fetch.wait.max.ms", "500"},
    {"fetch.error.backoff.ms", "50"},
    {"queued.max.messages.kbytes", "16384"},
    {"allow.auto.create.topics", "false"},
    {NULL, NULL},
};

static int configure(struct kafka_log *log, rd_kafka_conf_t *conf, enum kafka_client_kind kind,
                     struct err *err)
{
    char timeout[24];
    rd_kafka_conf_set_log_cb(conf, drop_line);
    if (set_all(conf, common, err) < 0 || set(conf, "bootstrap.servers", log->brokers, err) < 0)
        return -1;
    uint64_t timeout_ms = log->log.options.append_timeout_ms;
    snprintf(timeout, sizeof(timeout), "%llu",
             (unsigned long long)(timeout_ms < INT32_MAX ? timeout_ms : INT32_MAX));
    switch (kind) {
    case KAFKA_CLIENT_PRODUCER:
        if (set_all(conf, producer, err) < 0 || set(conf, "message.timeout.ms", timeout, err) < 0)
            return -1;
        rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
        break;
    case KAFKA_CLIENT_CONTROL:
        rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_ERROR);
        if (set_all(conf, consumer, err) < 0)
            return -1;
        break;
    case KAFKA_CLIENT_CONSUMER:
        if (set_all(conf, consumer, err) < 0)
            return -1;
        break;
    }
    for (char **at = log->properties; at != NULL && *at != NULL; at += 2)
        if (set(conf, at[0], at[1], err) < 0)
            return -1;
    return 0;
}

rd_kafka_t *kafka_client_new(struct kafka_log *log, enum kafka_client_kind kind, struct err *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (configure(log, conf, kind, err) < 0) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    char why[256];
    rd_kafka_t *rk = rd_kafka_new(kind == KAFKA_CLIENT_PRODUCER ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER, conf,
                                  why, sizeof(why));
    if (rk == NULL) {
        rd_kafka_conf_destroy(conf);
        err_set(err, ERR_INVALID, "cannot start a Kafka client for '%s': %s", log->log.url, why);
    }
    return rk;
}

enum err_code kafka_err_code(rd_kafka_resp_err_t code)
{
    if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        return ERR_TOO_LARGE;
    if (code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
        code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
        return ERR_NOT_FOUND;
    return ERR_UNAVAILABLE;
}
