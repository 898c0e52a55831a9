/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load.h - clients that take containers through the plan's stories, as a user's scripts would: a command with
 * an idempotency key, repeated until its outcome is known. What they were told and what must come of it is
 * kept for the checks.
 *
 * Threads of its own, one a client. `told` and `expected` are for others once load_stop has returned.
 */
#ifndef WHARF_TESTS_CHAOS_LOAD_H
#define WHARF_TESTS_CHAOS_LOAD_H

#include <stdatomic.h>

#include "base/id.h"
#include "tests/chaos/plan.h"
#include "tests/chaos/watch.h"

#define LOAD_CLIENTS 6

/* A command's outcome as the writer told it. */
struct told {
    char id[UUID_TEXT_SIZE];
    char type[24];
    char container[CONTAINER_ID_SIZE]; /* of those that make one */
    char outcome[12];
    char code[48]; /* of a refusal or failure, else "" */
    char event_id[UUID_TEXT_SIZE];
    int64_t incarnation; /* of the event that settled it; 0 if it has none */
};

enum ending {
    ENDS_BY_ITSELF, /* with the story's exit_code, after its lines */
    ENDS_STOPPED,   /* with its term_code, after its lines, "ready" and "bye" */
    ENDS_KILLED,    /* by SIGKILL, after its lines and "ready" */
};

/* What must come of a container. */
struct expected {
    char id[CONTAINER_ID_SIZE];
    struct story story;
    enum ending endings[WATCH_INCARNATIONS];
    char *log; /* its whole log before it was removed, NULL if nobody looked; owned */
    UT_hash_handle hh;
};

struct client_thread {
    struct load *load;
    pthread_t thread;
};

struct load {
    struct report *report;
    struct watch *watch;
    const char *dir;
    uint64_t seed;
    atomic_uint_fast64_t next;  /* story */
    atomic_uint_fast64_t limit; /* no story from this number on is begun */
    struct client_thread clients[LOAD_CLIENTS];
    pthread_mutex_t mutex;
    struct told *told;
    size_t n_told;
    struct expected *expected;
    size_t n_stories;
    size_t n_imports_failed;
};

void load_init(struct load *load, struct report *report, struct watch *watch, const char *dir, uint64_t seed);
/* Imports the image that the stories run, DIR/rootfs, under this reference. */
bool load_import(struct load *load, const char *reference);
/* Begins, or goes on where it was stopped, through story `limit` - 1. */
void load_start(struct load *load, uint64_t limit);
/* Stories under way are finished. */
void load_stop(struct load *load);
/* Waits until all stories are finished. */
void load_join(struct load *load);
void load_release(struct load *load);

#endif
