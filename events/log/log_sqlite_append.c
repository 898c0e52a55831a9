/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Appending to SQLite: group commit.
 *
 * log_append copies the entries, computes their checksums and queues them. When no commit is under way the
 * whole queue becomes one batch and goes to the thread pool: BEGIN IMMEDIATE, inserts, COMMIT (one fsync), a
 * word to the sidecar. What is queued meanwhile is the next batch. Back on the loop the next batch starts
 * before the callbacks of this one run.
 *
 * When it fails: a store that may work later (disk full, file locked, no access) is tried again with a
 * back-off until the appends' time is up, in order. Damage is for good: everything fails from then on.
 *
 * Checkpoints run on the thread pool too, beside the appends; only when the WAL outruns them does a commit
 * wait for one.
 */
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "events/log/log_sqlite.h"

#define BATCH_MAX_BYTES (4 * 1024 * 1024)
#define BACKOFF_MIN_MS 10
#define BACKOFF_MAX_MS 1000
#define CHECKPOINT_FRAMES 1000      /* 4 MB of pages: a checkpoint is worth it */
#define CHECKPOINT_HARD_FRAMES 8000 /* 32 MB: appends wait for one */

static struct sqlite_pending *pending_of(const struct log_append *append)
{
    return append->implementation;
}

/* Worker thread from here ... */

static int insert_entry(struct sqlite_appender *appender, uint32_t partition, int64_t offset, int64_t time_ms,
                        const struct sqlite_entry *entry)
{
    sqlite3_stmt *insert = appender->insert;
    sqlite3_bind_int64(insert, 1, partition);
    sqlite3_bind_int64(insert, 2, offset);
    sqlite3_bind_int64(insert, 3, time_ms);
    if (entry->key != NULL)
        sqlite3_bind_text(insert, 4, entry->key, (int)entry->key_size, SQLITE_STATIC);
    else
        sqlite3_bind_null(insert, 4);
    sqlite3_bind_text(insert, 5, entry->headers, (int)entry->headers_size, SQLITE_STATIC);
    if (entry->text)
        sqlite3_bind_text(insert, 6, entry->value, (int)entry->value_size, SQLITE_STATIC);
    else
        sqlite3_bind_blob(insert, 6, entry->value, (int)entry->value_size, SQLITE_STATIC);
    int rc = sqlite3_step(insert);
    int reset = sqlite3_reset(insert);
    return rc == SQLITE_DONE ? SQLITE_OK : reset;
}

static int insert_append(struct sqlite_appender *appender, struct log_append *append)
{
    const struct sqlite_pending *pending = pending_of(append);
    int64_t *next = &appender->next[append->partition];
    if (*next < 0) {
        int rc = sqlite_partition_end(appender->last, append->partition, next);
        if (rc != SQLITE_OK)
            return rc;
    }
    append->first_offset = *next;
    for (size_t i = 0; i < append->n_entries; i++) {
        int rc = insert_entry(appender, append->partition, *next, pending->time_ms, &pending->entries[i]);
        if (rc != SQLITE_OK)
            return rc;
        (*next)++;
    }
    return SQLITE_OK;
}

static int run(sqlite3_stmt *stmt)
{
    int rc = sqlite3_step(stmt);
    int reset = sqlite3_reset(stmt);
    return rc == SQLITE_DONE ? SQLITE_OK : reset;
}

static int commit_batch(struct sqlite_appender *appender)
{
    struct log_append *append;
    LL_FOREACH(appender->batch, append)
    appender->next[append->partition] = -1;
    int rc = run(appender->begin);
    if (rc != SQLITE_OK)
        return rc;
    LL_FOREACH(appender->batch, append)
    {
        rc = insert_append(appender, append);
        if (rc != SQLITE_OK)
            return rc;
    }
    if (appender->batch == NULL) /* only a try whether it can be written again: rewrite what is there */
        rc = run(appender->probe);
    if (rc == SQLITE_OK)
        rc = run(appender->commit);
    /* A commit that failed to sync may turn up after a crash of the machine, unless it is tried again (which
     * writes the same place of the WAL). */
    if ((rc & 0xff) == SQLITE_IOERR)
        appender->uncertain = true;
    return rc;
}

static void on_work(uv_work_t *work)
{
    struct sqlite_topic *topic = work->data;
    struct sqlite_appender *appender = &topic->appender;
    appender->outcome = SQLITE_OUTCOME_OK;
    if (appender->db == NULL && sqlite_appender_open(topic, &appender->err) < 0)
        return;
    if (sqlite_file_is_gone(appender->db)) {
        appender->outcome = SQLITE_OUTCOME_LOST;
        err_set(&appender->err, ERR_CORRUPT,
                "'%s' was removed or replaced while it was in use: restart, and restore it "
                "from a copy if there is one",
                topic->path);
        return;
    }
    if (appender->wal_frames > CHECKPOINT_HARD_FRAMES)
        sqlite3_wal_checkpoint_v2(appender->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    int rc = commit_batch(appender);
    if (rc != SQLITE_OK) {
        appender->outcome = sqlite_outcome_of(rc);
        sqlite_err(&appender->err, appender->db, rc, "append to", topic->path);
        if (!sqlite3_get_autocommit(appender->db))
            run(appender->rollback);
        return;
    }
    struct log_append *append;
    LL_FOREACH(appender->batch, append)
    {
        int64_t *end = &appender->next[append->partition];
        if (*end >= 0)
            sqlite_end_write(appender->end_fd, append->partition, *end);
        *end = -1;
    }
}

static void on_checkpoint_work(uv_work_t *work)
{
    struct sqlite_topic *topic = work->data;
    struct sqlite_appender *appender = &topic->appender;
    if (appender->checkpoint_db == NULL &&
        sqlite3_open_v2(topic->path, &appender->checkpoint_db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK) {
        sqlite3_close(appender->checkpoint_db);
        appender->checkpoint_db = NULL;
        return;
    }
    sqlite3_db_config(appender->checkpoint_db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    /* Failing is no trouble yet: it is tried again when the WAL has grown further, and a disk that is full or
     * damaged shows in the appends. */
    sqlite3_wal_checkpoint_v2(appender->checkpoint_db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

/* ... to here; the loop thread again. */

static void start_batch(struct sqlite_topic *topic);

static void on_checkpoint_done(uv_work_t *work, int status)
{
    (void)status;
    struct sqlite_topic *topic = work->data;
    topic->appender.checkpointing = false;
    if (topic->log->log.closing)
        sqlite_handle_closed(topic->log);
}

static void start_checkpoint(struct sqlite_topic *topic)
{
    struct sqlite_appender *appender = &topic->appender;
    if (appender->wal_frames < appender->checkpointed_frames)
        appender->checkpointed_frames = 0; /* the WAL has started over */
    if (appender->checkpointing || appender->wal_frames - appender->checkpointed_frames < CHECKPOINT_FRAMES)
        return;
    appender->checkpointed_frames = appender->wal_frames;
    appender->checkpoint.data = topic;
    if (uv_queue_work(topic->log->log.loop, &appender->checkpoint, on_checkpoint_work, on_checkpoint_done) ==
        0)
        appender->checkpointing = true;
}

static void complete(struct log_append *append, const struct err *err)
{
    free(append->implementation);
    append->implementation = NULL;
    log_append_done(append, err == NULL ? append->first_offset : -1, err);
}

void sqlite_append_fail_all(struct sqlite_topic *topic, struct log_append *list, const struct err *err)
{
    (void)topic;
    while (list != NULL) {
        struct log_append *next = list->next;
        complete(list, err);
        list = next;
    }
}

/* Puts the batch back in front of what is waiting. */
static void requeue_batch(struct sqlite_appender *appender)
{
    struct log_append *tail = appender->batch;
    while (tail != NULL && tail->next != NULL)
        tail = tail->next;
    if (tail == NULL)
        return;
    tail->next = appender->first;
    appender->first = appender->batch;
    if (appender->last_append == NULL)
        appender->last_append = tail;
    appender->batch = NULL;
}

static struct log_append *take_queue(struct sqlite_appender *appender)
{
    struct log_append *list = appender->first;
    appender->first = appender->last_append = NULL;
    return list;
}

/* Fails those whose time is up: the oldest, so the order of acknowledgements holds. */
static void expire(struct sqlite_topic *topic)
{
    struct sqlite_appender *appender = &topic->appender;
    uint64_t now = uv_now(topic->log->log.loop);
    struct log_append *head;
    while ((head = appender->first) != NULL && pending_of(head)->deadline_ms != 0 &&
           pending_of(head)->deadline_ms <= now) {
        appender->first = head->next;
        if (appender->first == NULL)
            appender->last_append = NULL;
        struct err err = appender->err;
        if (appender->uncertain)
            err.code = ERR_TIMEOUT;
        else if (err.code != ERR_CORRUPT)
            err.code = ERR_UNAVAILABLE;
        err_wrap(&err, "gave up after %llu ms",
                 (unsigned long long)topic->log->log.options.append_timeout_ms);
        complete(head, &err);
    }
}

static void arm_retry(struct sqlite_topic *topic)
{
    struct sqlite_appender *appender = &topic->appender;
    appender->backoff_ms = appender->backoff_ms == 0 ? BACKOFF_MIN_MS : appender->backoff_ms * 2;
    if (appender->backoff_ms > BACKOFF_MAX_MS)
        appender->backoff_ms = BACKOFF_MAX_MS;
    uint64_t wait = appender->backoff_ms;
    uint64_t now = uv_now(topic->log->log.loop);
    if (appender->first != NULL && pending_of(appender->first)->deadline_ms != 0) {
        uint64_t deadline = pending_of(appender->first)->deadline_ms;
        uint64_t left = deadline > now ? deadline - now : 0;
        if (left < wait)
            wait = left;
    }
    uv_timer_start(&appender->retry, sqlite_on_retry, wait, 0); /* cannot fail: not closing, callback given */
}

static void on_away(struct sqlite_topic *topic)
{
    struct sqlite_appender *appender = &topic->appender;
    requeue_batch(appender);
    bool news = !appender->away;
    appender->away = true;
    if (news)
        log_report(&topic->log->log, LOG_AWAY, topic->topic, 0, "%s", appender->err.message);
    if (topic->log->log.closing)
        return;
    uv_update_time(topic->log->log.loop);
    expire(topic);
    if (!topic->log->log.closing)
        arm_retry(topic);
}

static void on_refused(struct sqlite_topic *topic)
{
    struct sqlite_appender *appender = &topic->appender;
    requeue_batch(appender);
    appender->refusing = true;
    log_report(&topic->log->log, appender->outcome == SQLITE_OUTCOME_LOST ? LOG_LOSS : LOG_DAMAGED,
               topic->topic, 0, "%s", appender->err.message);
    sqlite_append_fail_all(topic, take_queue(appender), &appender->err);
}

static void on_stored(struct sqlite_topic *topic)
{
    struct sqlite_appender *appender = &topic->appender;
    struct log_append *done = appender->batch;
    appender->batch = NULL;
    appender->backoff_ms = 0;
    appender->uncertain = false;
    bool back = appender->away;
    appender->away = false;
    if (!topic->log->log.closing) {
        start_checkpoint(topic); /* first: it reads what the next batch counts on another thread */
        start_batch(topic);
    }
    if (back)
        log_report(&topic->log->log, LOG_BACK, topic->topic, 0, "'%s' can be written again", topic->path);
    sqlite_append_fail_all(topic, done, NULL);
}

static void on_work_done(uv_work_t *work, int status)
{
    (void)status;
    struct sqlite_topic *topic = work->data;
    struct sqlite_appender *appender = &topic->appender;
    bool counted = topic->log->log.closing; /* by log_close, which the callbacks below may call too */
    appender->working = false;
    switch (appender->outcome) {
    case SQLITE_OUTCOME_OK:
        on_stored(topic);
        break;
    case SQLITE_OUTCOME_AWAY:
        on_away(topic);
        break;
    case SQLITE_OUTCOME_DAMAGED:
    case SQLITE_OUTCOME_LOST:
        on_refused(topic);
        break;
    }
    if (counted)
        sqlite_handle_closed(topic->log);
}

static void start_batch(struct sqlite_topic *topic)
{
    struct sqlite_appender *appender = &topic->appender;
    if (appender->working || appender->first == NULL || topic->log->log.closing)
        return;
    size_t size = 0;
    struct log_append *tail = appender->first;
    for (size = pending_of(tail)->size_bytes; tail->next != NULL && size < BATCH_MAX_BYTES; tail = tail->next)
        size += pending_of(tail->next)->size_bytes;
    appender->batch = appender->first;
    appender->first = tail->next;
    tail->next = NULL;
    if (appender->first == NULL)
        appender->last_append = NULL;
    appender->work.data = topic;
    appender->working = true;
    /* Fails only without a callback (uv_queue_work). */
    uv_queue_work(topic->log->log.loop, &appender->work, on_work, on_work_done);
}

void sqlite_on_retry(uv_timer_t *timer)
{
    struct sqlite_topic *topic = timer->data;
    expire(topic);
    if (topic->appender.first != NULL)
        start_batch(topic);
    else if (topic->appender.away && !topic->log->log.closing)
        sqlite_append_start(topic);
}

void sqlite_append_start(struct sqlite_topic *topic)
{
    struct sqlite_appender *appender = &topic->appender;
    if (appender->working || topic->log->log.closing)
        return;
    appender->batch = NULL;
    appender->work.data = topic;
    appender->working = true;
    uv_queue_work(topic->log->log.loop, &appender->work, on_work, on_work_done);
}

void sqlite_append_turn(struct sqlite_topic *topic)
{
    struct sqlite_appender *appender = &topic->appender;
    if (!appender->tell_refusal)
        return;
    appender->tell_refusal = false;
    if (appender->outcome == SQLITE_OUTCOME_AWAY)
        on_away(topic);
    else
        on_refused(topic);
}

/* One allocation: the pending, the entries, then all bytes. */
static struct sqlite_pending *pending_new(const struct log_entry *entries, size_t n)
{
    auto_buf struct buf headers = BUF_INIT;
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        log_headers_encode(&headers, &entries[i]);
        buf_add(&headers, "", 1);
        bytes += entries[i].value_size + (entries[i].key != NULL ? strlen(entries[i].key) : 0);
    }
    if (headers.failed || headers.data == NULL) /* no entries, no append */
        return NULL;
    struct sqlite_pending *pending =
        malloc(sizeof(*pending) + n * sizeof(struct sqlite_entry) + headers.size + bytes);
    if (pending == NULL)
        return NULL;
    pending->entries = (struct sqlite_entry *)(pending + 1);
    pending->size_bytes = headers.size + bytes;
    char *at = (char *)&pending->entries[n];
    const char *header = memcpy(at, headers.data, headers.size);
    at += headers.size;
    for (size_t i = 0; i < n; i++) {
        struct sqlite_entry *entry = &pending->entries[i];
        *entry = (struct sqlite_entry){.headers = header, .headers_size = strlen(header)};
        header += entry->headers_size + 1;
        entry->value = at;
        entry->value_size = entries[i].value_size;
        entry->text = log_is_text(entries[i].value, entries[i].value_size);
        at = entry->value_size > 0 ? mempcpy(at, entries[i].value, entry->value_size) : at;
        if (entries[i].key != NULL) {
            entry->key = at;
            entry->key_size = strlen(entries[i].key);
            at = mempcpy(at, entries[i].key, entry->key_size);
        }
    }
    return pending;
}

int sqlite_append(struct log *base, struct log_append *append, const struct log_entry *entries,
                  struct err *err)
{
    struct sqlite_topic *topic = &((struct sqlite_log *)base)->topics[append->topic];
    struct sqlite_appender *appender = &topic->appender;
    if (appender->refusing) {
        if (err != NULL)
            *err = appender->err;
        return -1;
    }
    uint32_t n_partitions = topic->n_partitions != 0 ? topic->n_partitions : base->options.partitions;
    if (append->partition >= n_partitions)
        return err_set(err, ERR_NOT_FOUND, "'%s' has no partition %u", topic->path, append->partition);
    struct sqlite_pending *pending = pending_new(entries, append->n_entries);
    if (pending == NULL)
        return err_nomem(err, "appending to a log");
    pending->time_ms = clock_realtime_ns() / 1000000;
    pending->deadline_ms = 0;
    if (base->options.append_timeout_ms != 0) {
        uv_update_time(base->loop);
        pending->deadline_ms = uv_now(base->loop) + base->options.append_timeout_ms;
    }
    append->implementation = pending;
    log_append_enqueue(&appender->first, &appender->last_append, append);
    if (!appender->away && !appender->tell_refusal)
        start_batch(topic);
    else if (pending->deadline_ms != 0 && appender->first == append && !appender->working)
        arm_retry(topic);
    return 0;
}
