/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_driver.h - drives a log from a test: a loop with a deadline, a collector for records, and appends that
 * are waited for. Everything fails the running cmocka test when it goes wrong.
 */
#ifndef WHARF_TESTS_SUPPORT_LOG_DRIVER_H
#define WHARF_TESTS_SUPPORT_LOG_DRIVER_H

#include "events/log/log.h"

/* One loop with what the logs on it reported. */
struct driver {
    uv_loop_t loop;
    unsigned troubles[LOG_DAMAGED + 1];
    char last_trouble[1024];
};

void driver_init(struct driver *driver);
/* Fails when a handle was left open. */
void driver_release(struct driver *driver);

/* Runs the loop until `done` says so; fails after `timeout_ms`. */
void driver_run_until(struct driver *driver, bool (*done)(void *data), void *data, uint64_t timeout_ms);

/* Runs the loop for a while and returns how many times it woke up, the end itself not counted. */
unsigned driver_count_wakeups(struct driver *driver, uint64_t duration_ms);

/* Opens for appending to all topics. on_trouble and data in `options` (may be NULL) are the driver's. */
struct log *driver_open(struct driver *driver, const char *url, const struct log_options *options);
int driver_try_open(struct driver *driver, struct log **ret, const char *url,
                    const struct log_options *options, struct err *err);
void driver_close(struct driver *driver, struct log *log);

/* Waits until `kind` has been reported `n` times in all. */
void driver_await_trouble(struct driver *driver, enum log_trouble_kind kind, unsigned n);

/* Appends and waits; returns the first offset or -1 with *ret_err filled (NULL: must succeed). */
int64_t driver_append(struct driver *driver, struct log *log, enum log_topic topic,
                      const struct log_entry *entries, size_t n, struct err *ret_err);
int64_t driver_append_text(struct driver *driver, struct log *log, enum log_topic topic, const char *text);

int64_t driver_end(struct driver *driver, struct log *log, enum log_topic topic);

/* A reader that keeps what it got. */
struct collected {
    int64_t offset;
    int64_t time_ms;
    char *key; /* NULL if there was none */
    char *value;
    size_t value_size;
    char *headers; /* "name=value;name=value;" */
    char *damage;
};

struct collector {
    struct driver *driver;
    struct log_reader *reader;
    struct collected *items;
    size_t n;
    size_t capacity;
    unsigned n_caught_up;
    int64_t caught_up_at;
    bool lost;
    struct err lost_err;
    size_t pause_after; /* pauses itself once this many have come; 0: never */
};

void collector_open(struct collector *collector, struct driver *driver, struct log *log, enum log_topic topic,
                    int64_t from_offset);
void collector_await(struct collector *collector, size_t n);
void collector_await_caught_up(struct collector *collector, int64_t end);
void collector_await_lost(struct collector *collector);
/* Closes the reader unless the log is gone already (`close` false). */
void collector_release(struct collector *collector, bool close);

#endif
