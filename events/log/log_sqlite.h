/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_sqlite.h - what the files of the SQLite log share.
 *
 *   log_sqlite.c         opening, closing, dispatch, the loop turn
 *   log_sqlite_schema.c  database files: creating, checking, statements (blocking; any thread)
 *   log_sqlite_append.c  the queue of appends, group commit on the thread pool, retries, checkpoints
 *   log_sqlite_read.c    readers and what wakes them
 *   log_sqlite_end.c     the sidecar that witnesses what was acknowledged
 *
 * Each topic is a database file. It has up to three connections, each used by one thread at a time: the
 * appender's and the checkpointer's on the thread pool, the readers' on the loop thread.
 *
 * Private to events/log.
 */
#ifndef WHARF_EVENTS_LOG_LOG_SQLITE_H
#define WHARF_EVENTS_LOG_LOG_SQLITE_H

#include <sqlite3.h>

#include "events/log/log_codec.h"
#include "events/log/log_impl.h"

#define SQLITE_LOG_APPLICATION_ID 0x77687266 /* "whrf", in the database header (file(1) shows it) */
#define SQLITE_LOG_MAX_PARTITIONS 65536

/* One entry of a queued append; the bytes follow the array in the same allocation. */
struct sqlite_entry {
    const char *key; /* may be NULL */
    const char *headers;
    const char *value;
    size_t key_size;
    size_t headers_size;
    size_t value_size;
    bool text; /* the value is stored as TEXT, so that a shell shows it */
};

/* log_append.implementation */
struct sqlite_pending {
    int64_t time_ms;
    uint64_t deadline_ms; /* by uv_now; 0: none */
    size_t size_bytes;
    struct sqlite_entry *entries;
};

enum sqlite_outcome {
    SQLITE_OUTCOME_OK,
    SQLITE_OUTCOME_AWAY,    /* may work later */
    SQLITE_OUTCOME_DAMAGED, /* will not */
    SQLITE_OUTCOME_LOST,    /* acknowledged records are gone */
};

struct sqlite_appender {
    sqlite3 *db; /* NULL until it could be opened */
    sqlite3_stmt *begin, *commit, *rollback, *insert, *last, *probe;
    int end_fd;     /* the sidecar */
    int64_t *next;  /* next offset of each partition within the transaction, -1 unknown */
    int wal_frames; /* after the last commit */

    uv_work_t work;
    bool working;
    struct log_append *batch; /* the worker's while `working` */
    enum sqlite_outcome outcome;
    bool uncertain; /* the batch may have been stored although it failed */
    struct err err; /* why, unless OK */

    struct log_append *first, *last_append; /* waiting for the next commit */
    uv_timer_t retry;
    uint64_t backoff_ms;
    bool away;
    bool refusing;     /* for good, with `err` */
    bool tell_refusal; /* trouble found while opening, to be told on the first turn */

    sqlite3 *checkpoint_db;
    uv_work_t checkpoint;
    bool checkpointing;
    int checkpointed_frames;
};

struct sqlite_reader {
    struct log_reader reader;
    int64_t position; /* LOG_FROM_END until it could be resolved */
    bool paused;
    bool announced; /* on_caught_up has been called for this position */
    bool lost;
    bool busy;   /* in a callback */
    bool closed; /* closed in that callback */
    struct sqlite_reader *prev, *next;
};

struct sqlite_topic {
    struct sqlite_log *log;
    enum log_topic topic;
    char *path;            /* DIR/wharf.events.db */
    char *wal_path;        /* DIR/wharf.events.db-wal */
    char *end_path;        /* DIR/wharf.events.end */
    uint32_t n_partitions; /* 0 while unknown */
    bool appends;
    struct sqlite_appender appender;

    sqlite3 *read_db; /* NULL while there is nothing to read */
    sqlite3_stmt *select, *last;
    struct sqlite_reader *readers;
    bool wanted; /* run the readers on the next turn */
    bool read_away;
    bool check_file;          /* something in the directory came or went */
    int end_watch, wal_watch; /* inotify, -1 while there is none */
    uv_timer_t recheck;
    unsigned recheck_stage;
};

struct sqlite_log {
    struct log log;
    char *dir;
    struct sqlite_topic topics[LOG_TOPICS];
    uv_idle_t turn; /* active while something is to be done on the next turn */
    struct log_query *first_query, *last_query;
    int inotify_fd; /* -1 until the first reader */
    int dir_watch;
    uv_poll_t inotify;
    unsigned open_handles; /* what close waits for */
    bool appenders_closed;
    struct sqlite_scratch *scratch; /* the readers' */
};

/* log_sqlite.c: runs the turn soon. */
void sqlite_wake(struct sqlite_log *log);
/* One handle or piece of work that close has been waiting for is done. */
void sqlite_handle_closed(struct sqlite_log *log);

/* log_sqlite_schema.c */
enum sqlite_outcome sqlite_outcome_of(int rc);
/* Fills err from the connection: "cannot WHAT 'PATH': REASON". Returns -1. */
int sqlite_err(struct err *err, sqlite3 *db, int rc, const char *what, const char *path);
/* The file was removed or replaced under the connection. */
bool sqlite_file_is_gone(sqlite3 *db);
/* Creates the file where missing, checks it, compares it with the sidecar, prepares the statements. On
 * failure appender.outcome says whether it may work later. */
int sqlite_appender_open(struct sqlite_topic *topic, struct err *err);
void sqlite_appender_release(struct sqlite_topic *topic);
/* 1: open, 0: there is nothing to read yet, -1: err; `ret_outcome` is set then. */
int sqlite_read_open(struct sqlite_topic *topic, enum sqlite_outcome *ret_outcome, struct err *err);
void sqlite_read_close(struct sqlite_topic *topic);
/* The end of a partition through either connection's `last` statement: 0 and *ret_end, or an SQLite code. */
int sqlite_partition_end(sqlite3_stmt *last, uint32_t partition, int64_t *ret_end);

/* log_sqlite_append.c */
int sqlite_append(struct log *log, struct log_append *append, const struct log_entry *entries,
                  struct err *err);
/* Reports what opening found. */
void sqlite_append_turn(struct sqlite_topic *topic);
void sqlite_append_fail_all(struct sqlite_topic *topic, struct log_append *list, const struct err *err);
void sqlite_on_retry(uv_timer_t *timer);
/* The first commit attempt of a topic whose file could not be opened yet. */
void sqlite_append_start(struct sqlite_topic *topic);

/* log_sqlite_read.c */
int sqlite_reader_open(struct log_reader **ret, struct log *log, int64_t from_offset, struct err *err);
void sqlite_reader_pause(struct log_reader *reader);
void sqlite_reader_resume(struct log_reader *reader);
void sqlite_reader_close(struct log_reader *reader);
void sqlite_read_turn(struct sqlite_topic *topic);
void sqlite_on_recheck(uv_timer_t *timer);
void sqlite_on_inotify(uv_poll_t *poll, int status, int events);
void sqlite_scratch_free(struct sqlite_scratch *scratch);

/* log_sqlite_end.c: the sidecar is a line of SQLITE_END_SLOT bytes per partition, "PARTITION END\n". */
#define SQLITE_END_SLOT 32
void sqlite_end_format(char slot[SQLITE_END_SLOT + 1], uint32_t partition, int64_t end);
/* ret_ends[i] is what the text says of partition i, or -1 where it says nothing that can be understood. */
void sqlite_end_parse(const char *text, size_t size, int64_t *ret_ends, size_t n);
/* Opens or creates the sidecar. */
int sqlite_end_open(const char *path, struct err *err);
int sqlite_end_read(int fd, const char *path, int64_t *ret_ends, size_t n, struct err *err);
/* Best effort: the sidecar is a witness and an alarm bell, not the truth. */
void sqlite_end_write(int fd, uint32_t partition, int64_t end);

#endif
