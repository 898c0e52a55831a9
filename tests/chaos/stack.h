/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stack.h - the processes of a chaos run: the roles, a Redis and, for a Kafka log, a broker, each started
 * directly so that their pids are known. This program is process 1 of its pid namespace, so every orphan
 * becomes its child.
 *
 * The main thread's only.
 */
#ifndef WHARF_TESTS_CHAOS_STACK_H
#define WHARF_TESTS_CHAOS_STACK_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/fault.h"
#include "tests/chaos/report.h"

enum part {
    PART_BROKER, /* with Kafka only */
    PART_REDIS,
    PART_RUNTIME,
    PART_WRITER,
    PART_PROJECTOR,
    PART_QUERY,
    PART_REBUILD, /* a rebuild of the view: now and then */
    PARTS,
};
const char *part_name(enum part part);

/* Who dies at a crash point. */
enum fault_role { WRITER, RUNTIME, SHIM, IMAGE, PROJECTOR, REBUILD };
const char *fault_name(enum fault fault);
enum fault_role fault_role(enum fault fault);
/* The part whose environment arms it. */
enum part fault_part(enum fault fault);

struct armed {
    bool on;
    enum fault fault;
    int nth;
    char mark[128]; /* the file that fault.h writes to */
};

struct running {
    pid_t pid;  /* 0 while there is none */
    bool ended; /* it is our wish that it ends */
    int64_t ended_ns;
    bool has_ended;  /* set by stack_reap, cleared by stack_start */
    int wait_status; /* if it has */
    int64_t since_ns;
    struct armed armed;
};

/* A shim that was killed on purpose. Pids come again, but not within a minute. */
struct struck {
    pid_t pid;
    int64_t at_ns;
};

/* An arming that shims and imports have inherited: they may die of it long after the runtime that was armed.
 */
struct inherited {
    struct armed armed;
    bool reached;
};

struct stack {
    struct report *report;
    char dir[64];
    char build[PATH_MAX];
    char node[16];
    char cgroup_parent[64];
    char log_url[128];
    char redis_socket[108];
    bool kafka;
    unsigned n_marks;
    struct running parts[PARTS];
    pid_t broker_starter; /* 0 if none */
    struct struck *struck;
    size_t n_struck;
    struct inherited *inherited;
    size_t n_inherited;
    size_t n_images_struck;
};

/* `dir` exists and is empty. With kafka, the broker is started. */
int stack_open(struct stack *stack, struct report *report, const char *dir, const char *build, bool kafka,
               struct err *err);
void stack_release(struct stack *stack);

/* Starts a part that does not run; `armed` may be NULL. The broker is started in the background. */
int stack_start(struct stack *stack, enum part part, const struct armed *armed, struct err *err);
/* Sends a signal to a part; nothing if it does not run. */
void stack_end(struct stack *stack, enum part part, int signal);
/* The next version of `armed`, with a mark file of its own. */
int stack_arm(struct stack *stack, enum fault fault, int nth, struct armed *ret, struct err *err);
/* Collects every child that has ended, parts and orphans alike. A part that ended without anybody's wish is a
 * failure. */
void stack_reap(struct stack *stack);
/* True once the armed point was passed for the last time; `ret_pid` is who passed it. */
bool stack_reached(const struct armed *armed, pid_t *ret_pid);
/* Notes the shims and imports that have died of what they inherited. */
void stack_look_at_inherited(struct stack *stack);
void stack_note_struck(struct stack *stack, pid_t shim_pid);
/* True if this shim, which began at `started_ns`, was killed on purpose. */
bool stack_was_struck(const struct stack *stack, int64_t shim_pid, int64_t started_ns);
/* Runs `wharf-projector --rebuild`, with --verify if asked, to its end; its exit status, or -1. */
int stack_rebuild(struct stack *stack, bool verify, struct err *err);
/* SIGTERM to every role and then Redis and the broker; waits until all have ended. */
int stack_down(struct stack *stack, struct err *err);
/* Deletes what Redis keeps; it must not run. */
void stack_empty_redis(struct stack *stack);
/* Waits until the part's /readyz (or Redis) answers; reaps meanwhile. */
int stack_await_ready(struct stack *stack, enum part part, struct err *err);

#endif
