/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading from SQLite, on the loop thread: a batch is a bounded query, nearly always answered from the page
 * cache.
 *
 * Readers sleep until inotify tells of a write to the sidecar, which an appender writes after each commit.
 * The WAL is watched too, for whoever appends without knowing of sidecars (the sqlite3 shell). Such a write
 * comes before its commit is visible, so the WAL's watch fires once, and then the readers look 20 ms, 200 ms
 * and 2 s later. A watch on the directory tells when files come and go. The order is always: first watch,
 * then look.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>
#include <utlist.h>

#include "base/cleanup.h"
#include "events/log/log_sqlite.h"

#define RETRY_MS 100
#define CHUNK_SIZE (64 * 1024)

static const uint64_t recheck_after_ms[] = {20, 200, 2000};
#define RECHECK_STAGES (sizeof(recheck_after_ms) / sizeof(recheck_after_ms[0]))

/* Memory of one batch: chunks that are kept from batch to batch. */
struct chunk {
    struct chunk *next;
    size_t used;
    size_t size;
    char bytes[];
};

struct sqlite_scratch {
    struct chunk *chunks;
    struct log_record records[LOG_BATCH_RECORDS];
    struct log_headers headers;
};

static void *scratch_alloc(struct sqlite_scratch *scratch, size_t size)
{
    size = (size + 15) & ~(size_t)15;
    struct chunk *chunk = scratch->chunks;
    if (chunk == NULL || chunk->size - chunk->used < size) {
        size_t room = size > CHUNK_SIZE ? size : CHUNK_SIZE;
        chunk = malloc(sizeof(*chunk) + room);
        if (chunk == NULL)
            return NULL;
        *chunk = (struct chunk){.next = scratch->chunks, .size = room};
        scratch->chunks = chunk;
    }
    void *ret = chunk->bytes + chunk->used;
    chunk->used += size;
    return ret;
}

/* Keeps one chunk. */
static void scratch_reset(struct sqlite_scratch *scratch)
{
    while (scratch->chunks != NULL && (scratch->chunks->next != NULL || scratch->chunks->size > CHUNK_SIZE)) {
        struct chunk *next = scratch->chunks->next;
        free(scratch->chunks);
        scratch->chunks = next;
    }
    if (scratch->chunks != NULL)
        scratch->chunks->used = 0;
}

void sqlite_scratch_free(struct sqlite_scratch *scratch)
{
    if (scratch == NULL)
        return;
    scratch_reset(scratch);
    free(scratch->chunks);
    log_headers_release(&scratch->headers);
    free(scratch);
}

static char *keep(struct sqlite_scratch *scratch, const void *bytes, size_t size)
{
    char *copy = scratch_alloc(scratch, size + 1);
    if (copy == NULL)
        return NULL;
    if (size > 0)
        memcpy(copy, bytes, size);
    copy[size] = '\0';
    return copy;
}

static int keep_headers(struct sqlite_scratch *scratch, struct log_record *record)
{
    const struct log_headers *from = &scratch->headers;
    struct log_header *items = scratch_alloc(scratch, (from->n + 1) * sizeof(*items));
    if (items == NULL)
        return -1;
    for (size_t i = 0; i < from->n; i++) {
        items[i].name = keep(scratch, from->items[i].name, strlen(from->items[i].name));
        items[i].value = keep(scratch, from->items[i].value, strlen(from->items[i].value));
        if (items[i].name == NULL || items[i].value == NULL)
            return -1;
    }
    record->headers = items;
    record->n_headers = from->n;
    return 0;
}

/* Compares the value with the checksum among the headers. A record that a person inserted has neither. */
static int check_record(struct sqlite_scratch *scratch, struct log_record *record, const char *headers,
                        size_t size)
{
    if (headers == NULL)
        return 0;
    if (log_headers_decode(&scratch->headers, headers, size) < 0) {
        record->damage = "the stored headers are not a JSON object of strings";
        return 0;
    }
    char checksum[LOG_CHECKSUM_SIZE];
    if (scratch->headers.checksum != NULL) {
        log_checksum(checksum, record->value, record->value_size);
        if (strcmp(checksum, scratch->headers.checksum) != 0)
            record->damage = "the stored value does not match its checksum";
    }
    return keep_headers(scratch, record);
}

static int take_row(struct sqlite_scratch *scratch, sqlite3_stmt *select, const struct sqlite_reader *reader,
                    struct log_record *record)
{
    *record = (struct log_record){
        .topic = reader->reader.topic,
        .partition = reader->reader.partition,
        .offset = sqlite3_column_int64(select, 0),
        .time_ms = sqlite3_column_int64(select, 1),
    };
    const char *key = (const char *)sqlite3_column_text(select, 2);
    if (key != NULL && (record->key = keep(scratch, key, strlen(key))) == NULL)
        return -1;
    const void *value = sqlite3_column_blob(select, 4); /* before its size (sqlite3_column_blob) */
    record->value_size = (size_t)sqlite3_column_bytes(select, 4);
    record->value = keep(scratch, value, record->value_size);
    if (record->value == NULL)
        return -1;
    const char *headers = (const char *)sqlite3_column_text(select, 3);
    return check_record(scratch, record, headers, (size_t)sqlite3_column_bytes(select, 3));
}

/* Up to a batch from the reader's position on. Stops at a gap: *ret_gap is then the offset found instead. */
static int select_batch(struct sqlite_topic *topic, struct sqlite_reader *reader, size_t *ret_n,
                        int64_t *ret_gap, bool *ret_full)
{
    struct sqlite_scratch *scratch = topic->log->scratch;
    scratch_reset(scratch);
    sqlite3_bind_int64(topic->select, 1, reader->reader.partition);
    sqlite3_bind_int64(topic->select, 2, reader->position);
    size_t n = 0, bytes = 0;
    int rc = SQLITE_OK;
    while (n < LOG_BATCH_RECORDS && bytes < LOG_BATCH_BYTES &&
           (rc = sqlite3_step(topic->select)) == SQLITE_ROW) {
        struct log_record *record = &scratch->records[n];
        if (sqlite3_column_int64(topic->select, 0) != reader->position + (int64_t)n) {
            *ret_gap = sqlite3_column_int64(topic->select, 0);
            break;
        }
        if (take_row(scratch, topic->select, reader, record) < 0) {
            rc = SQLITE_NOMEM;
            break;
        }
        bytes += record->value_size;
        n++;
    }
    int reset = sqlite3_reset(topic->select);
    *ret_n = n;
    *ret_full = rc == SQLITE_ROW && *ret_gap < 0;
    return rc == SQLITE_ROW || rc == SQLITE_DONE || rc == SQLITE_OK ? SQLITE_OK
           : reset != SQLITE_OK                                     ? reset
                                                                    : rc;
}

static void reader_lose(struct sqlite_reader *reader, const struct err *err)
{
    reader->lost = true;
    if (reader->reader.ops->on_lost != NULL)
        reader->reader.ops->on_lost(&reader->reader, err, reader->reader.data);
}

static void reader_lose_at(struct sqlite_topic *topic, struct sqlite_reader *reader, int64_t end, int64_t gap)
{
    struct err err = ERR_INIT;
    if (gap >= 0)
        err_set(&err, ERR_CORRUPT, "'%s' partition %u has no record %lld: the next one is %lld", topic->path,
                reader->reader.partition, (long long)reader->position, (long long)gap);
    else
        err_set(&err, ERR_CORRUPT,
                "'%s' partition %u ends at offset %lld, before the position %lld asked for", topic->path,
                reader->reader.partition, (long long)end, (long long)reader->position);
    reader_lose(reader, &err);
}

static void caught_up(struct sqlite_reader *reader)
{
    if (reader->announced)
        return;
    reader->announced = true;
    if (reader->reader.ops->on_caught_up != NULL)
        reader->reader.ops->on_caught_up(&reader->reader, reader->position, reader->reader.data);
}

/* Nothing at or after the position: is it the end? */
static int look_at_end(struct sqlite_topic *topic, struct sqlite_reader *reader)
{
    int64_t end = 0;
    int rc = sqlite_partition_end(topic->last, reader->reader.partition, &end);
    if (rc != SQLITE_OK)
        return rc;
    if (reader->position == LOG_FROM_END)
        reader->position = end;
    if (end < reader->position)
        reader_lose_at(topic, reader, end, -1);
    else if (end == reader->position)
        caught_up(reader);
    else
        topic->wanted = true; /* appended between the two queries */
    return SQLITE_OK;
}

/* One batch at most. Returns an SQLite code. */
static int reader_run(struct sqlite_topic *topic, struct sqlite_reader *reader)
{
    size_t n = 0;
    int64_t gap = -1;
    bool full = false;
    if (reader->position == LOG_FROM_END)
        return look_at_end(topic, reader);
    int rc = select_batch(topic, reader, &n, &gap, &full);
    if (rc != SQLITE_OK)
        return rc;
    if (n == 0 && gap < 0)
        return look_at_end(topic, reader);
    if (n == 0) {
        reader_lose_at(topic, reader, -1, gap);
        return SQLITE_OK;
    }
    reader->position += (int64_t)n;
    reader->announced = false;
    reader->reader.ops->on_records(&reader->reader, topic->log->scratch->records, n, reader->reader.data);
    if (full || gap >= 0 || reader->closed || reader->paused)
        topic->wanted = true; /* the next turn goes on */
    else
        caught_up(reader);
    return SQLITE_OK;
}

/* A topic that does not exist yet is empty. */
static void reader_run_empty(struct sqlite_topic *topic, struct sqlite_reader *reader)
{
    if (reader->position == LOG_FROM_END)
        reader->position = 0;
    if (reader->position > 0)
        reader_lose_at(topic, reader, 0, -1);
    else
        caught_up(reader);
}

static void read_failed(struct sqlite_topic *topic, enum sqlite_outcome outcome, const struct err *err)
{
    bool news = !topic->read_away;
    topic->read_away = true;
    uv_timer_start(&topic->recheck, sqlite_on_recheck, RETRY_MS,
                   0); /* cannot fail: not closing, callback given */
    if (outcome == SQLITE_OUTCOME_AWAY && !topic->appender.away && news)
        log_report(&topic->log->log, LOG_AWAY, topic->topic, 0, "%s", err->message);
}

/* Serves each reader once. A callback may close any reader: the list is walked from its head, and each reader
 * that was served moves to the tail. */
static void run_readers(struct sqlite_topic *topic, bool exists, struct err *err,
                        enum sqlite_outcome *outcome)
{
    struct sqlite_reader *reader;
    size_t n = 0;
    DL_COUNT(topic->readers, reader, n);
    for (; n > 0 && topic->readers != NULL && !topic->log->log.closing; n--) {
        reader = topic->readers;
        DL_DELETE(topic->readers, reader);
        DL_APPEND(topic->readers, reader);
        if (reader->paused || reader->lost)
            continue;
        reader->busy = true;
        int rc = SQLITE_OK;
        if (exists)
            rc = reader_run(topic, reader);
        else
            reader_run_empty(topic, reader);
        if (rc != SQLITE_OK) {
            *outcome = sqlite_outcome_of(rc);
            sqlite_err(err, topic->read_db, rc, "read log", topic->path);
            if (*outcome != SQLITE_OUTCOME_AWAY)
                reader_lose(reader, err);
        }
        reader->busy = false;
        if (reader->closed)
            free(reader);
    }
}

static void lose_all(struct sqlite_topic *topic, const struct err *err)
{
    struct sqlite_reader *reader;
    size_t n = 0;
    DL_COUNT(topic->readers, reader, n);
    for (; n > 0 && topic->readers != NULL && !topic->log->log.closing; n--) {
        reader = topic->readers;
        DL_DELETE(topic->readers, reader);
        DL_APPEND(topic->readers, reader);
        if (reader->lost)
            continue;
        reader->busy = true;
        reader_lose(reader, err);
        reader->busy = false;
        if (reader->closed)
            free(reader);
    }
}

/* Watches what can be watched. Adding a watch that is there already changes nothing. */
static void watch(struct sqlite_topic *topic)
{
    int fd = topic->log->inotify_fd;
    topic->end_watch = inotify_add_watch(fd, topic->end_path, IN_MODIFY);
    topic->wal_watch = inotify_add_watch(fd, topic->wal_path, IN_MODIFY | IN_ONESHOT);
}

void sqlite_read_turn(struct sqlite_topic *topic)
{
    if (!topic->wanted || topic->readers == NULL || topic->log->inotify_fd < 0)
        return;
    topic->wanted = false;
    struct err err = ERR_INIT;
    enum sqlite_outcome outcome = SQLITE_OUTCOME_OK;
    if (topic->check_file && topic->read_db != NULL && sqlite_file_is_gone(topic->read_db))
        sqlite_read_close(topic);
    topic->check_file = false;
    bool was_open = topic->read_db != NULL;
    int open = sqlite_read_open(topic, &outcome, &err);
    if (open >= 0) {
        outcome = SQLITE_OUTCOME_OK;
        if (open > 0 && !was_open)
            watch(topic); /* the WAL is made when the first connection reads */
        run_readers(topic, open > 0, &err, &outcome);
    } else if (outcome != SQLITE_OUTCOME_AWAY) {
        lose_all(topic, &err);
    }
    if (topic->log->log.closing)
        return;
    if (outcome != SQLITE_OUTCOME_OK) {
        read_failed(topic, outcome, &err);
    } else if (topic->read_away) {
        topic->read_away = false;
        log_report(&topic->log->log, LOG_BACK, topic->topic, 0, "'%s' can be read again", topic->path);
    }
    if (topic->wanted)
        sqlite_wake(topic->log);
}

void sqlite_on_recheck(uv_timer_t *timer)
{
    struct sqlite_topic *topic = timer->data;
    if (++topic->recheck_stage < RECHECK_STAGES)
        uv_timer_start(timer, sqlite_on_recheck, recheck_after_ms[topic->recheck_stage], 0);
    watch(topic);
    topic->wanted = true;
    sqlite_read_turn(topic);
}

static void on_event(struct sqlite_log *log, const struct inotify_event *event)
{
    bool all = (event->mask & IN_Q_OVERFLOW) != 0 || event->wd == log->dir_watch;
    for (size_t i = 0; i < LOG_TOPICS; i++) {
        struct sqlite_topic *topic = &log->topics[i];
        if (topic->readers == NULL)
            continue;
        if (all) {
            watch(topic);
            topic->check_file = true;
        }
        if (all || event->wd == topic->end_watch) {
            topic->wanted = true;
        } else if (event->wd == topic->wal_watch && (event->mask & IN_MODIFY) != 0) {
            topic->recheck_stage = 0;
            uv_timer_start(&topic->recheck, sqlite_on_recheck, recheck_after_ms[0], 0);
        }
    }
}

void sqlite_on_inotify(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct sqlite_log *log = poll->data;
    _Alignas(struct inotify_event) char bytes[4096];
    ssize_t size = read(log->inotify_fd, bytes, sizeof(bytes));
    for (ssize_t at = 0; at < size;) {
        const struct inotify_event *event = (const struct inotify_event *)(bytes + at);
        on_event(log, event);
        at += (ssize_t)(sizeof(*event) + event->len);
    }
    for (size_t i = 0; i < LOG_TOPICS && !log->log.closing; i++)
        sqlite_read_turn(&log->topics[i]);
}

static int start_watching(struct sqlite_log *log, struct err *err)
{
    if (log->inotify_fd >= 0)
        return 0;
    auto_fd int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0)
        return err_sys(err, errno, "cannot watch log directory '%s'", log->dir);
    log->dir_watch = inotify_add_watch(fd, log->dir, IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_ONLYDIR);
    if (log->dir_watch < 0)
        return err_sys(err, errno, "cannot watch log directory '%s'", log->dir);
    int rc = uv_poll_init(log->log.loop, &log->inotify, fd);
    if (rc < 0)
        return err_sys(err, -rc, "cannot watch log directory '%s'", log->dir);
    log->inotify.data = log;
    log->open_handles++;
    log->inotify_fd = steal_fd(&fd);
    uv_poll_start(&log->inotify, UV_READABLE, sqlite_on_inotify); /* fails only on a closing handle */
    return 0;
}

int sqlite_reader_open(struct log_reader **ret, struct log *base, int64_t from_offset, struct err *err)
{
    struct sqlite_log *log = (struct sqlite_log *)base;
    struct sqlite_topic *topic = &log->topics[(*ret)->topic];
    if (topic->n_partitions != 0 && (*ret)->partition >= topic->n_partitions)
        return err_set(err, ERR_NOT_FOUND, "'%s' has no partition %u", topic->path, (*ret)->partition);
    if (start_watching(log, err) < 0)
        return -1;
    if (log->scratch == NULL)
        log->scratch = calloc(1, sizeof(*log->scratch));
    struct sqlite_reader *reader = calloc(1, sizeof(*reader));
    if (log->scratch == NULL || reader == NULL) {
        free(reader);
        return err_nomem(err, "opening a reader");
    }
    reader->reader = **ret;
    reader->position = from_offset;
    watch(topic);
    /* The end is what it is now, not at the next turn. If it cannot be told now, the first look decides. */
    enum sqlite_outcome outcome;
    if (from_offset == LOG_FROM_END && sqlite_read_open(topic, &outcome, NULL) > 0)
        sqlite_partition_end(topic->last, reader->reader.partition, &reader->position);
    DL_APPEND(topic->readers, reader);
    topic->wanted = true;
    sqlite_wake(log);
    *ret = &reader->reader;
    return 0;
}

void sqlite_reader_pause(struct log_reader *base)
{
    ((struct sqlite_reader *)base)->paused = true;
}

void sqlite_reader_resume(struct log_reader *base)
{
    struct sqlite_log *log = (struct sqlite_log *)base->log;
    ((struct sqlite_reader *)base)->paused = false;
    log->topics[base->topic].wanted = true;
    sqlite_wake(log);
}

void sqlite_reader_close(struct log_reader *base)
{
    struct sqlite_reader *reader = (struct sqlite_reader *)base;
    DL_DELETE(((struct sqlite_log *)base->log)->topics[base->topic].readers, reader);
    reader->closed = true;
    if (!reader->busy)
        free(reader);
}
