/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.h - what a chaos run does, as a function of its seed: the stories that containers go through, and the
 * strikes.
 *
 * Pure. When things happen depends on the machine; what happens, in which order, does not.
 */
#ifndef WHARF_TESTS_CHAOS_PLAN_H
#define WHARF_TESTS_CHAOS_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fault.h"

enum story_kind {
    STORY_ONCE,    /* run, end, be removed by hand */
    STORY_AUTO,    /* run --rm */
    STORY_STOP,    /* run, stop, start, restart, kill, rm */
    STORY_FORCE,   /* run, rm --force while it runs */
    STORY_RETRY,   /* run --restart on-failure:N, and fail each time */
    STORY_ALWAYS,  /* run --restart always, stopped after some restarts */
    STORY_REFUSED, /* what must be refused or fail */
    STORY_EXEC,    /* run, execute more commands in it, stop, rm */
    STORY_IMAGE,   /* import an image, run from it, remove it */
    STORY_COMMIT,  /* run, make an image of it, run from that, remove both */
    STORY_KINDS,
};

struct story {
    uint64_t number;
    enum story_kind kind;
    int lines;       /* that the payload prints */
    int exit_code;   /* of the payload by itself; never 0 */
    int term_code;   /* of the payload when asked to stop; never exit_code */
    int restart_max; /* STORY_RETRY */
    bool repeat;     /* ask for an outcome again at the end */
};
void plan_story(struct story *ret, uint64_t seed, uint64_t number);

enum strike_kind {
    STRIKE_WRITER,
    STRIKE_RUNTIME,
    STRIKE_PROJECTOR,
    STRIKE_QUERY,
    STRIKE_REDIS,       /* its data kept */
    STRIKE_REDIS_EMPTY, /* its data gone */
    STRIKE_SHIM,
    STRIKE_REBUILD, /* a rebuild of the view is started beside the projector */
    STRIKE_BROKER,  /* with Kafka only */
    STRIKE_KINDS,
};

struct strike {
    enum strike_kind kind;
    int pause_ms;  /* since the strike before */
    int absent_ms; /* until what was killed is started again */
    bool graceful; /* SIGTERM instead of SIGKILL, where that is a difference */
    uint64_t pick; /* which one, where there are several */
};
void plan_strike(struct strike *ret, uint64_t seed, uint64_t number, bool kafka);

/* The order in which the crash points of a round are armed. */
void plan_faults(enum fault ret[FAULTS], uint64_t seed, uint64_t round);
/* The how manieth passing is the last: the first in round 0, so that rare points are reached. */
int plan_fault_nth(uint64_t seed, uint64_t round, enum fault fault);

#endif
