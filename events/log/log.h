/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h - the seam between Wharf and whatever keeps its records: Kafka, SQLite files, or memory.
 *
 * A log holds topics; a topic holds partitions; a partition is an append-only sequence of records with rising
 * offsets (contiguous on SQLite and memory; on Kafka gaps are possible). What every implementation promises,
 * and tests/unit/events/log/test_log_contract.c checks of each:
 *   - an append is acknowledged only when it is durable (SQLite: synchronous=FULL commit; Kafka: acks=all),
 * all entries of one append or, after a crash, a prefix of them, in order;
 *   - appends to one partition become visible in the order they were given, and the k-th acknowledgement is
 * of the k-th append;
 *   - readers see a partition's records in offset order, each once, without polling, and do not disturb each
 * other;
 *   - nothing is skipped in silence: a record whose stored bytes do not match its checksum is delivered with
 * `damage` set, and a log that ends before what was acknowledged is reported through on_trouble and refuses
 * appends.
 *
 * Everything is called on, and calls back on, the thread of the libuv loop given to log_open. No callback
 * runs before the call that caused it has returned.
 */
#ifndef WHARF_EVENTS_LOG_LOG_H
#define WHARF_EVENTS_LOG_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/err.h"

struct log;
struct log_reader;

enum log_topic {
    LOG_COMMANDS,    /* wharf.commands */
    LOG_EVENTS,      /* wharf.events */
    LOG_DEADLETTERS, /* wharf.deadletters */
    LOG_TOPICS,      /* how many */
};

/* "wharf.commands" and so on, before any prefix. */
const char *log_topic_name(enum log_topic topic);

/* What the owner of the process should tell its operator: once when it begins, once when it is over. */
enum log_trouble_kind {
    LOG_AWAY,   /* the store cannot be reached or written (broker down, disk full); retried until it works */
    LOG_BACK,   /* it works again */
    LOG_LOSS,   /* records that had been acknowledged are gone: a torn or truncated tail, a recreated topic */
    LOG_UNSAFE, /* settings that can lose history: finite retention, too few replicas */
    LOG_DAMAGED, /* the store itself is damaged */
};

struct log_trouble {
    enum log_trouble_kind kind;
    enum log_topic topic;
    uint32_t partition;
    const char *message; /* one sentence; borrowed for the call */
};

struct log_options {
    /* Called whenever trouble begins or ends; may be NULL. */
    void (*on_trouble)(const struct log_trouble *trouble, void *data);
    void *data;
    /* How long an append may wait for an absent store before it fails with ERR_UNAVAILABLE (ERR_TIMEOUT if it
     * may have been stored all the same). 0: for ever, in order, which is what a runtime wants for its facts.
     */
    uint64_t append_timeout_ms;
    /* For topics that have to be created. 0 means 1 (partitions) and as many as there are brokers up to 3
     * (replicas). */
    uint32_t partitions;
    uint32_t replication;
    /* Pass-through to librdkafka: NULL-terminated name, value, name, value, ... without the "kafka." prefix;
     * may be NULL. */
    const char *const *kafka_properties;
    /* Which topics this process appends to: a bit mask of 1u << enum log_topic. Others are opened for reading
     * only. */
    unsigned append_topics;
};

/*
 * Opens the log at `url` ("sqlite:DIR", "kafka://host:port,host:port/prefix", "memory:" or "memory:NAME" for
 * one shared within the thread by name, until the last log of that name is closed). Creates missing topics it
 * appends to. SQLite and memory are ready when this returns; Kafka connects in the background and an absent
 * broker is trouble (LOG_AWAY), not an error: appends and readers wait for it. Errors: ERR_INVALID (bad URL),
 * ERR_SYSTEM (directory not writable, with what to do), ERR_CORRUPT (file is no log).
 */
int log_open(struct log **ret, uv_loop_t *loop, const char *url, const struct log_options *options,
             struct err *err);

/* Outstanding appends fail with ERR_UNAVAILABLE, readers stop, then on_closed (may be NULL) runs and the log
 * is gone. */
void log_close(struct log *log, void (*on_closed)(void *data), void *data);

/* A printable form of the URL for messages, without credentials. Lives as long as the log. */
const char *log_url(const struct log *log);

struct log_header {
    const char *name;
    const char *value;
};

struct log_entry {
    const char *key; /* may be NULL */
    const void *value;
    size_t value_size;
    const struct log_header *headers; /* n_headers of them */
    size_t n_headers;
};

/* Key, value and headers of one entry together. It is below what a Kafka broker takes by default
 * (message.max.bytes). */
#define LOG_ENTRY_LIMIT 1000000

struct log_append;

/* `first_offset` is that of the first entry; on failure err is set and first_offset is -1. */
typedef void (*log_append_cb)(struct log_append *append, int64_t first_offset, const struct err *err);

/* Owned by the caller, unmoved until the callback; `data` is the caller's, the rest the log's. */
struct log_append {
    void *data;
    log_append_cb cb;
    struct log *log;
    enum log_topic topic;
    uint32_t partition;
    int64_t first_offset;
    size_t n_entries;
    size_t n_pending;
    void *implementation;
    struct log_append *next;
};

/* Copies the entries, so they may go as soon as this returns. Returns -1 without calling back when the log is
 * not open for appending to `topic`, the partition is known not to exist, memory runs out, or an entry cannot
 * be stored: longer than LOG_ENTRY_LIMIT (ERR_TOO_LARGE), a key or header that is not UTF-8, or header names
 * that are empty, not distinct or "blake2b" (ERR_INVALID). */
int log_append(struct log *log, struct log_append *append, enum log_topic topic, uint32_t partition,
               const struct log_entry *entries, size_t n_entries, log_append_cb cb, struct err *err);

struct log_record {
    enum log_topic topic;
    uint32_t partition;
    int64_t offset;
    int64_t time_ms; /* when it was appended, Unix milliseconds, by the appender's clock */
    const char *key; /* may be NULL */
    const void *value;
    size_t value_size;
    const struct log_header *headers;
    size_t n_headers;
    const char *damage; /* NULL, or why the stored bytes cannot be trusted */
};

struct log_reader_ops {
    /* n >= 1 records in offset order, borrowed for the call. */
    void (*on_records)(struct log_reader *reader, const struct log_record *records, size_t n, void *data);
    /* Everything up to `end_offset`, the partition's end when the reader looked, has been delivered; called
     * after the first catching up and whenever the reader catches up again. May be NULL. */
    void (*on_caught_up)(struct log_reader *reader, int64_t end_offset, void *data);
    /* The position asked for is not in the log any more (before the first or after the end): the reader has
     * stopped. */
    void (*on_lost)(struct log_reader *reader, const struct err *err, void *data);
};

/* Only what is appended from now on. On Kafka "now" is when the brokers have answered: whoever must not miss
 * a record appends it after the first on_caught_up. */
#define LOG_FROM_END INT64_MAX

/* Delivers the partition's records from `from_offset` (0 is the beginning) on, and then follows it. */
int log_reader_open(struct log_reader **ret, struct log *log, enum log_topic topic, uint32_t partition,
                    int64_t from_offset, const struct log_reader_ops *ops, void *data, struct err *err);

/* Back-pressure: no on_records until resumed. What is under way in the same loop turn may still be delivered.
 */
void log_reader_pause(struct log_reader *reader);
void log_reader_resume(struct log_reader *reader);

/* No callback after this returns. NULL is allowed. */
void log_reader_close(struct log_reader *reader);

struct log_query;

/* `value`: the end offset (one past the last record; 0 when empty), or the number of partitions. */
typedef void (*log_query_cb)(struct log_query *query, int64_t value, const struct err *err);

/* Owned by the caller, unmoved until the callback. */
struct log_query {
    void *data;
    log_query_cb cb;
    struct log *log;
    enum log_topic topic;
    uint32_t partition;
    int64_t value;
    struct err err;
    void *implementation;
};

/* Where the partition ends now. */
int log_end(struct log *log, struct log_query *query, enum log_topic topic, uint32_t partition,
            log_query_cb cb, struct err *err);

/* How many partitions the topic has. */
int log_partitions(struct log *log, struct log_query *query, enum log_topic topic, log_query_cb cb,
                   struct err *err);

#endif
