/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The database files. Opening for appending goes: sidecar, lock, file, settings, table, comparison with the
 * sidecar. The lock (flock on the sidecar) keeps two processes from creating the same file at the same
 * moment.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "events/log/log_sqlite.h"

#define BUSY_TIMEOUT_MS                                                                                      \
    2000 /* an appender on the thread pool waits this long for another process's transaction */
#define READ_BUSY_TIMEOUT_MS 20 /* a reader is on the loop thread; it tries again later */
#define WAL_LIMIT_TEXT "67108864"

enum sqlite_outcome sqlite_outcome_of(int rc)
{
    if (rc == SQLITE_IOERR_SHORT_READ)
        return SQLITE_OUTCOME_DAMAGED;
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return SQLITE_OUTCOME_OK;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_NOMEM:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_IOERR:
    case SQLITE_FULL:
    case SQLITE_CANTOPEN:
    case SQLITE_PROTOCOL:
        return SQLITE_OUTCOME_AWAY;
    default:
        return SQLITE_OUTCOME_DAMAGED;
    }
}

int sqlite_err(struct err *err, sqlite3 *db, int rc, const char *what, const char *path)
{
    if (sqlite_outcome_of(rc) == SQLITE_OUTCOME_DAMAGED)
        return err_set(
            err, ERR_CORRUPT, "cannot %s '%s': %s; restore the file from a copy, or move it away", what, path,
            db != NULL && sqlite3_extended_errcode(db) == rc ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
    int primary = rc & 0xff;
    const char *hint = primary == SQLITE_FULL ? "; make room, it is tried again"
                       : primary == SQLITE_READONLY
                           ? "; give this process write access to the file and its directory"
                           : "";
    int saved =
        db != NULL && (primary == SQLITE_CANTOPEN || primary == SQLITE_IOERR) ? sqlite3_system_errno(db) : 0;
    err_set(err, saved != 0 ? ERR_SYSTEM : ERR_UNAVAILABLE, "cannot %s '%s': %s%s%s%s", what, path,
            sqlite3_errstr(rc), saved != 0 ? ": " : "", saved != 0 ? strerrordesc_np(saved) : "", hint);
    if (err != NULL)
        err->sys_errno = saved;
    return -1;
}

int sqlite_partition_end(sqlite3_stmt *last, uint32_t partition, int64_t *ret_end)
{
    sqlite3_bind_int64(last, 1, partition);
    int rc = sqlite3_step(last);
    if (rc == SQLITE_ROW)
        *ret_end = sqlite3_column_type(last, 0) == SQLITE_NULL ? 0 : sqlite3_column_int64(last, 0) + 1;
    int reset = sqlite3_reset(last);
    return rc == SQLITE_ROW ? SQLITE_OK : reset != SQLITE_OK ? reset : SQLITE_INTERNAL;
}

bool sqlite_file_is_gone(sqlite3 *db)
{
    int moved = 0;
    return sqlite3_file_control(db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved != 0;
}

static int pragma_int(sqlite3 *db, const char *sql, int *ret)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        *ret = sqlite3_column_int(stmt, 0);
        rc = SQLITE_OK;
    }
    sqlite3_finalize(stmt);
    return rc;
}

/* The file is made here and not by SQLite, for its mode. One that exists is not opened: closing any
 * descriptor of it would drop the locks that other connections of this process hold (fcntl(2), "advisory
 * record locking"). */
static int create_file(const char *path, struct err *err)
{
    auto_fd int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0660);
    if (fd < 0 && errno != EEXIST)
        return err_sys(err, errno, "cannot create '%s'", path);
    if (fd >= 0 && fchmod(fd, 0660) < 0)
        return err_sys(err, errno, "cannot set the mode of '%s'", path);
    return 0;
}

static int open_database(const char *path, int busy_timeout_ms, sqlite3 **ret, struct err *err)
{
    int rc = sqlite3_open_v2(path, ret, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (*ret == NULL)
        return err_nomem(err, "opening a database");
    if (rc != SQLITE_OK)
        return sqlite_err(err, *ret, rc, "open", path);
    sqlite3_extended_result_codes(*ret, 1);
    sqlite3_busy_timeout(*ret, busy_timeout_ms);
    /* The WAL stays when the last connection goes: a file that is written over syncs faster than one that
     * grows. */
    sqlite3_db_config(*ret, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    return 0;
}

/* Creates the table in an empty database; says whether the file is ours. */
static int ensure_schema(struct sqlite_topic *topic, sqlite3 *db, struct err *err)
{
    int application = 0, partitions = 0, tables = 0;
    int rc = sqlite3_exec(db,
                          "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0;"
                          "PRAGMA journal_size_limit=" WAL_LIMIT_TEXT "; BEGIN IMMEDIATE",
                          NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = pragma_int(db, "PRAGMA application_id", &application);
    if (rc == SQLITE_OK)
        rc = pragma_int(db, "PRAGMA user_version", &partitions);
    if (rc == SQLITE_OK)
        rc = pragma_int(db, "SELECT count(*) FROM sqlite_schema", &tables);
    if (rc != SQLITE_OK)
        return sqlite_err(err, db, rc, "open log", topic->path);
    if (application == 0 && tables == 0) {
        partitions = (int)topic->log->log.options.partitions;
        char sql[512];
        snprintf(
            sql, sizeof(sql),
            "CREATE TABLE records(partition INTEGER NOT NULL, offset INTEGER NOT NULL, time INTEGER NOT NULL,"
            " key TEXT, headers TEXT, value BLOB, PRIMARY KEY(partition, offset));"
            "CREATE INDEX records_by_key ON records(key, offset);"
            "PRAGMA application_id=%d; PRAGMA user_version=%d",
            SQLITE_LOG_APPLICATION_ID, partitions);
        rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
        application = SQLITE_LOG_APPLICATION_ID;
    }
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        return sqlite_err(err, db, rc, "create log", topic->path);
    if (application != SQLITE_LOG_APPLICATION_ID || partitions < 1 || partitions > SQLITE_LOG_MAX_PARTITIONS)
        return err_set(err, ERR_CORRUPT,
                       "'%s' is not a log of wharf: move it away, or choose another directory", topic->path);
    topic->n_partitions = (uint32_t)partitions;
    return 0;
}

#define SQL_LAST "SELECT max(offset) FROM records WHERE partition=?1"

static int prepare_appender(struct sqlite_topic *topic, struct err *err)
{
    struct sqlite_appender *appender = &topic->appender;
    char probe[64];
    snprintf(probe, sizeof(probe), "PRAGMA user_version=%u", topic->n_partitions);
    const struct {
        const char *sql;
        sqlite3_stmt **stmt;
    } statements[] = {
        {"BEGIN IMMEDIATE", &appender->begin},
        {"COMMIT", &appender->commit},
        {"ROLLBACK", &appender->rollback},
        {SQL_LAST, &appender->last},
        {probe, &appender->probe},
        {"INSERT INTO records(partition, offset, time, key, headers, value) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
         &appender->insert},
    };
    for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
        int rc = sqlite3_prepare_v3(appender->db, statements[i].sql, -1, SQLITE_PREPARE_PERSISTENT,
                                    statements[i].stmt, NULL);
        if (rc != SQLITE_OK)
            return sqlite_err(err, appender->db, rc, "use log", topic->path);
    }
    return 0;
}

/* The sidecar was read before the database, so an appender in another process cannot make it look ahead. */
static int compare_ends(struct sqlite_topic *topic, const int64_t *witness, struct err *err)
{
    struct sqlite_appender *appender = &topic->appender;
    for (uint32_t i = 0; i < topic->n_partitions; i++) {
        int64_t end = 0;
        int rc = sqlite_partition_end(appender->last, i, &end);
        if (rc != SQLITE_OK)
            return sqlite_err(err, appender->db, rc, "read log", topic->path);
        if (witness[i] > end) {
            appender->outcome = SQLITE_OUTCOME_LOST;
            return err_set(err, ERR_CORRUPT,
                           "'%s' partition %u ends at offset %lld, but appends up to %lld had been "
                           "acknowledged: records "
                           "are lost; restore the file from a copy, or accept the loss by removing '%s'",
                           topic->path, i, (long long)end, (long long)witness[i], topic->end_path);
        }
        sqlite_end_write(appender->end_fd, i, end);
    }
    return 0;
}

static int on_wal(void *data, sqlite3 *db, const char *name, int frames)
{
    (void)db;
    (void)name;
    ((struct sqlite_appender *)data)->wal_frames = frames;
    return SQLITE_OK;
}

static int open_locked(struct sqlite_topic *topic, struct err *err)
{
    struct sqlite_appender *appender = &topic->appender;
    if (create_file(topic->path, err) < 0 ||
        open_database(topic->path, BUSY_TIMEOUT_MS, &appender->db, err) < 0)
        return -1;
    auto_free int64_t *witness = malloc(SQLITE_LOG_MAX_PARTITIONS * sizeof(*witness));
    if (witness == NULL)
        return err_nomem(err, "opening a log");
    if (sqlite_end_read(appender->end_fd, topic->end_path, witness, SQLITE_LOG_MAX_PARTITIONS, err) < 0 ||
        ensure_schema(topic, appender->db, err) < 0 || prepare_appender(topic, err) < 0)
        return -1;
    free(appender->next);
    appender->next = calloc(topic->n_partitions, sizeof(*appender->next));
    if (appender->next == NULL)
        return err_nomem(err, "opening a log");
    sqlite3_wal_hook(appender->db, on_wal, appender);
    return compare_ends(topic, witness, err);
}

int sqlite_appender_open(struct sqlite_topic *topic, struct err *err)
{
    struct sqlite_appender *appender = &topic->appender;
    struct err why = ERR_INIT;
    appender->outcome = SQLITE_OUTCOME_OK;
    int rc = -1;
    appender->end_fd = sqlite_end_open(topic->end_path, &why);
    if (appender->end_fd >= 0 && flock(appender->end_fd, LOCK_EX) < 0)
        err_sys(&why, errno, "cannot lock '%s'", topic->end_path);
    else if (appender->end_fd >= 0)
        rc = open_locked(topic, &why);
    if (appender->end_fd >= 0)
        flock(appender->end_fd, LOCK_UN);
    if (rc == 0)
        return 0;
    if (appender->outcome == SQLITE_OUTCOME_OK)
        appender->outcome = why.code == ERR_CORRUPT ? SQLITE_OUTCOME_DAMAGED : SQLITE_OUTCOME_AWAY;
    sqlite_appender_release(topic);
    if (err != NULL)
        *err = why;
    return -1;
}

void sqlite_appender_release(struct sqlite_topic *topic)
{
    struct sqlite_appender *appender = &topic->appender;
    sqlite3_stmt **statements[] = {&appender->begin,  &appender->commit, &appender->rollback,
                                   &appender->insert, &appender->last,   &appender->probe};
    for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
        sqlite3_finalize(*statements[i]);
        *statements[i] = NULL;
    }
    sqlite3_close(appender->checkpoint_db);
    sqlite3_close(appender->db);
    appender->checkpoint_db = appender->db = NULL;
    free(appender->next);
    appender->next = NULL;
    cleanup_fd(&appender->end_fd);
    appender->end_fd = -1;
}

void sqlite_read_close(struct sqlite_topic *topic)
{
    sqlite3_finalize(topic->select);
    sqlite3_finalize(topic->last);
    topic->select = topic->last = NULL;
    sqlite3_close(topic->read_db);
    topic->read_db = NULL;
}

/* SQLITE_OK with *ret_ours false: the appender has not got as far as creating the table. */
static int check_readable(struct sqlite_topic *topic, bool *ret_ours)
{
    int application = 0, partitions = 0, tables = 0;
    int rc = pragma_int(topic->read_db, "SELECT count(*) FROM sqlite_schema", &tables);
    if (rc == SQLITE_OK)
        rc = pragma_int(topic->read_db, "PRAGMA application_id", &application);
    if (rc == SQLITE_OK)
        rc = pragma_int(topic->read_db, "PRAGMA user_version", &partitions);
    if (rc != SQLITE_OK)
        return rc;
    *ret_ours = tables > 0;
    if (tables == 0)
        return SQLITE_OK;
    if (application != SQLITE_LOG_APPLICATION_ID || partitions < 1)
        return SQLITE_NOTADB;
    topic->n_partitions = (uint32_t)partitions;
    return SQLITE_OK;
}

int sqlite_read_open(struct sqlite_topic *topic, enum sqlite_outcome *ret_outcome, struct err *err)
{
    if (topic->read_db != NULL)
        return 1;
    struct stat st;
    *ret_outcome = SQLITE_OUTCOME_AWAY;
    if (stat(topic->path, &st) < 0)
        return errno == ENOENT ? 0 : err_sys(err, errno, "cannot open '%s'", topic->path);
    if (open_database(topic->path, READ_BUSY_TIMEOUT_MS, &topic->read_db, err) < 0) {
        sqlite_read_close(topic);
        return -1;
    }
    bool ours = false;
    int rc = check_readable(topic, &ours);
    if (rc == SQLITE_OK && !ours) {
        sqlite_read_close(topic);
        return 0;
    }
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v3(topic->read_db,
                                "SELECT offset, time, key, headers, value FROM records"
                                " WHERE partition=?1 AND offset>=?2 ORDER BY offset",
                                -1, SQLITE_PREPARE_PERSISTENT, &topic->select, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v3(topic->read_db, SQL_LAST, -1, SQLITE_PREPARE_PERSISTENT, &topic->last, NULL);
    if (rc == SQLITE_OK)
        return 1;
    *ret_outcome = sqlite_outcome_of(rc);
    sqlite_err(err, topic->read_db, rc, "read log", topic->path);
    sqlite_read_close(topic);
    return -1;
}
