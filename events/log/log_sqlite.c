/* SPDX-License-Identifier: Apache-2.0 */
#include "events/log/log_sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utlist.h>

#include "base/cleanup.h"
#include "base/fs.h"

static void on_turn(uv_idle_t *turn);

void sqlite_wake(struct sqlite_log *log)
{
    if (!log->log.closing)
        uv_idle_start(&log->turn, on_turn); /* cannot fail: the callback is given (uv_idle_start) */
}

static void answer(struct sqlite_log *log, struct log_query *query)
{
    struct sqlite_topic *topic = &log->topics[query->topic];
    struct err err = ERR_INIT;
    enum sqlite_outcome outcome;
    int open = sqlite_read_open(topic, &outcome, &err);
    if (open < 0) {
        log_query_done(query, -1, &err);
        return;
    }
    bool counts = query->value < 0;
    int64_t value = counts ? (int64_t)log->log.options.partitions : 0;
    if (open > 0 && counts) {
        value = topic->n_partitions;
    } else if (open > 0) {
        int rc = sqlite_partition_end(topic->last, query->partition, &value);
        if (rc != SQLITE_OK) {
            sqlite_err(&err, topic->read_db, rc, "read log", topic->path);
            log_query_done(query, -1, &err);
            return;
        }
    }
    log_query_done(query, value, NULL);
}

static void on_turn(uv_idle_t *turn)
{
    struct sqlite_log *log = turn->data;
    uv_idle_stop(turn);
    struct log_query *query = log->first_query;
    log->first_query = log->last_query = NULL;
    while (query != NULL) {
        struct log_query *next = query->implementation;
        answer(log, query);
        query = next;
    }
    for (size_t i = 0; i < LOG_TOPICS && !log->log.closing; i++)
        sqlite_append_turn(&log->topics[i]);
    for (size_t i = 0; i < LOG_TOPICS && !log->log.closing; i++)
        sqlite_read_turn(&log->topics[i]);
}

/* query->value tells the kinds of query apart until it is answered: -1 counts partitions. */
static int queue_query(struct sqlite_log *log, struct log_query *query, int64_t kind)
{
    query->value = kind;
    log_query_enqueue(&log->first_query, &log->last_query, query);
    sqlite_wake(log);
    return 0;
}

static int sqlite_end(struct log *base, struct log_query *query, struct err *err)
{
    struct sqlite_log *log = (struct sqlite_log *)base;
    const struct sqlite_topic *topic = &log->topics[query->topic];
    if (topic->n_partitions != 0 && query->partition >= topic->n_partitions)
        return err_set(err, ERR_NOT_FOUND, "'%s' has no partition %u", topic->path, query->partition);
    return queue_query(log, query, 0);
}

static int sqlite_partitions(struct log *base, struct log_query *query, struct err *err)
{
    (void)err;
    return queue_query((struct sqlite_log *)base, query, -1);
}

/* Closing: no new work; what is under way ends; the appender's last checkpoint and the closing of its
 * connections go to the thread pool; handles close; then the rest is freed. Each of these counts in
 * open_handles. */

static void release_topic(struct sqlite_topic *topic)
{
    while (topic->readers != NULL) {
        struct sqlite_reader *reader = topic->readers;
        DL_DELETE(topic->readers, reader);
        free(reader);
    }
    sqlite_read_close(topic);
    free(topic->path);
    free(topic->wal_path);
    free(topic->end_path);
}

static void finish(struct sqlite_log *log)
{
    for (size_t i = 0; i < LOG_TOPICS; i++)
        release_topic(&log->topics[i]);
    if (log->inotify_fd >= 0)
        close(log->inotify_fd);
    sqlite_scratch_free(log->scratch);
    free(log->dir);
    log_closed(&log->log);
}

static void fail_outstanding(struct sqlite_log *log)
{
    struct err err = ERR_INIT;
    err_set(&err, ERR_UNAVAILABLE, "log '%s' was closed", log->log.url);
    for (size_t i = 0; i < LOG_TOPICS; i++) {
        struct log_append *list = log->topics[i].appender.first;
        log->topics[i].appender.first = log->topics[i].appender.last_append = NULL;
        sqlite_append_fail_all(&log->topics[i], list, &err);
    }
    struct log_query *query = log->first_query;
    log->first_query = log->last_query = NULL;
    while (query != NULL) {
        struct log_query *next = query->implementation;
        log_query_done(query, -1, &err);
        query = next;
    }
}

static void on_last_work(uv_work_t *work)
{
    struct sqlite_topic *topic = work->data;
    if (topic->appender.db != NULL) {
        /* After an orderly end the database file is whole by itself, and the next start has no WAL to go
         * through. A reader in another process may keep it from being emptied: nobody waits for that. */
        sqlite3_busy_timeout(topic->appender.db, 0);
        sqlite3_wal_checkpoint_v2(topic->appender.db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    }
    sqlite_appender_release(topic);
}

static void on_last_work_done(uv_work_t *work, int status)
{
    (void)status;
    sqlite_handle_closed(((struct sqlite_topic *)work->data)->log);
}

static void close_appenders(struct sqlite_log *log)
{
    fail_outstanding(log);
    for (size_t i = 0; i < LOG_TOPICS; i++) {
        struct sqlite_topic *topic = &log->topics[i];
        if (topic->appender.db == NULL)
            continue;
        topic->appender.work.data = topic;
        if (uv_queue_work(log->log.loop, &topic->appender.work, on_last_work, on_last_work_done) == 0)
            log->open_handles++;
    }
}

void sqlite_handle_closed(struct sqlite_log *log)
{
    if (--log->open_handles > 0)
        return;
    if (!log->appenders_closed) {
        log->appenders_closed = true;
        log->open_handles = 1; /* this call's own */
        close_appenders(log);
        sqlite_handle_closed(log);
        return;
    }
    finish(log);
}

static void on_closed(uv_handle_t *handle)
{
    sqlite_handle_closed(handle->data);
}

static void on_timer_closed(uv_handle_t *handle)
{
    sqlite_handle_closed(((struct sqlite_topic *)handle->data)->log);
}

static void sqlite_log_close(struct log *base)
{
    struct sqlite_log *log = (struct sqlite_log *)base;
    for (size_t i = 0; i < LOG_TOPICS; i++) {
        struct sqlite_topic *topic = &log->topics[i];
        log->open_handles += (topic->appender.working ? 1u : 0u) + (topic->appender.checkpointing ? 1u : 0u);
        uv_close((uv_handle_t *)&topic->appender.retry, on_timer_closed);
        uv_close((uv_handle_t *)&topic->recheck, on_timer_closed);
    }
    uv_close((uv_handle_t *)&log->turn, on_closed);
    if (log->inotify_fd >= 0)
        uv_close((uv_handle_t *)&log->inotify, on_closed);
}

static const struct log_ops sqlite_ops = {
    .close = sqlite_log_close,
    .append = sqlite_append,
    .reader_open = sqlite_reader_open,
    .reader_pause = sqlite_reader_pause,
    .reader_resume = sqlite_reader_resume,
    .reader_close = sqlite_reader_close,
    .end = sqlite_end,
    .partitions = sqlite_partitions,
};

/* Group members may come in and make files: writer, runtime and projector need not be one user. */
static int ensure_dir(const char *dir, bool appends, struct err *err)
{
    struct stat st;
    if (stat(dir, &st) < 0) {
        if (errno != ENOENT)
            return err_sys(err, errno, "cannot use log directory '%s'", dir);
        if (fs_mkdirs(AT_FDCWD, dir, 0755, err) < 0)
            return err_wrap(err, "cannot create log directory '%s'; create it, or choose another with --log",
                            dir);
        if (chmod(dir, 02770) < 0)
            return err_sys(err, errno, "cannot set the mode of log directory '%s'", dir);
    } else if (!S_ISDIR(st.st_mode)) {
        return err_sys(err, ENOTDIR, "cannot use log directory '%s'", dir);
    }
    if (faccessat(AT_FDCWD, dir, R_OK | X_OK | (appends ? W_OK : 0), AT_EACCESS) < 0) {
        int saved = errno;
        err_sys(err, saved, "cannot %s log directory '%s'", appends ? "write to" : "read", dir);
        size_t used = err != NULL ? strlen(err->message) : 0;
        if (err != NULL)
            snprintf(err->message + used, sizeof(err->message) - used,
                     "; run as a user or group that owns it, or choose another with --log");
        return -1;
    }
    return 0;
}

static int init_topic(struct sqlite_log *log, enum log_topic id, struct err *err)
{
    struct sqlite_topic *topic = &log->topics[id];
    const char *name = log_topic_name(id);
    if (asprintf(&topic->path, "%s/%s.db", log->dir, name) < 0)
        topic->path = NULL;
    if (asprintf(&topic->wal_path, "%s/%s.db-wal", log->dir, name) < 0)
        topic->wal_path = NULL;
    if (asprintf(&topic->end_path, "%s/%s.end", log->dir, name) < 0)
        topic->end_path = NULL;
    if (topic->path == NULL || topic->wal_path == NULL || topic->end_path == NULL)
        return err_nomem(err, "opening a log");
    topic->log = log;
    topic->topic = id;
    topic->appender.end_fd = -1;
    topic->end_watch = topic->wal_watch = -1;
    topic->appends = log_appends_to(&log->log, id);
    if (!topic->appends || sqlite_appender_open(topic, &topic->appender.err) == 0)
        return 0;
    if (topic->appender.outcome == SQLITE_OUTCOME_DAMAGED) {
        if (err != NULL)
            *err = topic->appender.err;
        return -1;
    }
    topic->appender.tell_refusal = true;
    return 0;
}

static void init_handles(struct sqlite_log *log)
{
    /* None of these can fail. */
    uv_idle_init(log->log.loop, &log->turn);
    log->turn.data = log;
    for (size_t i = 0; i < LOG_TOPICS; i++) {
        struct sqlite_topic *topic = &log->topics[i];
        uv_timer_init(log->log.loop, &topic->appender.retry);
        uv_timer_init(log->log.loop, &topic->recheck);
        topic->appender.retry.data = topic->recheck.data = topic;
    }
    log->open_handles = 1 + 2 * LOG_TOPICS;
}

static void free_unopened(struct sqlite_log *log)
{
    for (size_t i = 0; i < LOG_TOPICS; i++) {
        if (log->topics[i].log != NULL)
            sqlite_appender_release(&log->topics[i]);
        release_topic(&log->topics[i]);
    }
    free(log->dir);
    free(log->log.url);
    free(log);
}

int log_sqlite_open(struct log **ret, uv_loop_t *loop, const char *dir, const struct log_options *options,
                    struct err *err)
{
    if (dir[0] == '\0')
        return err_set(err, ERR_INVALID, "log URL 'sqlite:' names no directory; use sqlite:DIR");
    if (options->partitions > SQLITE_LOG_MAX_PARTITIONS)
        return err_set(err, ERR_INVALID, "%u partitions are too many; the limit is %d", options->partitions,
                       SQLITE_LOG_MAX_PARTITIONS);
    if (ensure_dir(dir, options->append_topics != 0, err) < 0)
        return -1;
    struct sqlite_log *log = calloc(1, sizeof(*log));
    if (log == NULL)
        return err_nomem(err, "opening a log");
    char *url = NULL;
    if (asprintf(&url, "sqlite:%s", dir) < 0)
        url = NULL;
    log->inotify_fd = log->dir_watch = -1;
    log->dir = strdup(dir);
    int rc = log_init_take(&log->log, &sqlite_ops, loop, url, options, err);
    if (rc == 0 && log->dir == NULL)
        rc = err_nomem(err, "opening a log");
    bool trouble = false;
    for (enum log_topic topic = 0; rc == 0 && topic < LOG_TOPICS; topic++) {
        rc = init_topic(log, topic, err);
        log->topics[topic].appender.refusing = log->topics[topic].appender.outcome == SQLITE_OUTCOME_LOST;
        trouble = trouble || log->topics[topic].appender.tell_refusal;
    }
    if (rc < 0) {
        free_unopened(log);
        return -1;
    }
    init_handles(log);
    if (trouble)
        sqlite_wake(log);
    *ret = &log->log;
    return 0;
}
