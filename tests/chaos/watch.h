/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.h - follows both topics of the log beside the stack, keeps every record, and lets others wait for
 * what the log says.
 *
 * One thread of its own with a loop; the functions are for any other thread.
 */
#ifndef WHARF_TESTS_CHAOS_WATCH_H
#define WHARF_TESTS_CHAOS_WATCH_H

#include <pthread.h>
#include <stdbool.h>
#include <uthash.h>
#include <uv.h>

#include "base/id.h"
#include "events/log/log.h"
#include "tests/chaos/report.h"

#define WATCH_INCARNATIONS 24

struct watched {
    char id[CONTAINER_ID_SIZE];
    struct {
        int64_t shim_pid; /* 0 if it was never started */
        int64_t started_ns;
        bool failed;
        bool exited;
    } incarnations[WATCH_INCARNATIONS]; /* by number; those beyond are not kept */
    int64_t newest;                     /* incarnation started or failed */
    int64_t execs;                      /* that have not ended */
    bool running;
    bool restarting;
    bool removed;
    UT_hash_handle hh;
};

struct record {
    int64_t offset;
    char *bytes; /* owned, with a NUL behind */
    size_t size;
};

struct records {
    struct record *items; /* owned */
    size_t n;
    size_t capacity;
};

struct watch {
    struct report *report;
    char *url;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uv_loop_t loop;
    uv_async_t stop;
    struct log *log;
    struct log_reader *readers[2];
    struct records commands;
    struct records events;
    struct watched *containers;
};

int watch_start(struct watch *watch, struct report *report, const char *log_url, struct err *err);
/* Ends the thread; the records stay until watch_release. */
void watch_stop(struct watch *watch);
void watch_release(struct watch *watch);

/* Waits until `is` holds of the container, and copies it. False after `timeout_s`. A container that the log
 * does not know yet holds of nothing. */
typedef bool (*watched_is)(const struct watched *container, int64_t arg);
bool watch_wait(struct watch *watch, const char *id, watched_is is, int64_t arg, int timeout_s,
                struct watched *ret);

/* The `pick`th of the containers that run, by the log; false if none does. */
bool watch_pick_running(struct watch *watch, uint64_t pick, struct watched *ret);

#endif
