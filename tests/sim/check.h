/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check.h - what the checkers share: the stored events, read with jansson alone and none of Wharf's own
 * decoding or folding.
 */
#ifndef WHARF_TESTS_SIM_CHECK_H
#define WHARF_TESTS_SIM_CHECK_H

#include <jansson.h>

#include "tests/sim/log.h"
#include "tests/sim/run.h"

/* One stored event. */
struct fact {
    const struct stored *stored;
    json_t *document; /* owned; the rest is borrowed from it */
    const char *type; /* "container.started": without "wharf." and ".v1" */
    char type_text[64];
    const char *subject;
    const char *outcome; /* NULL if none */
    const char *cause;   /* or "" */
    const json_t *data;
    int64_t epoch;
    int64_t nodeseq;
    int64_t streamversion;
    int64_t commandoffset;
    bool counts;     /* not fenced, and not one that came too late */
    int machine;     /* whose runtime wrote it */
    int boot_change; /* how many times the node had another boot id by then */
};

struct facts {
    struct fact *items;
    size_t n;
    uint32_t partition;
};

void facts_read(struct facts *ret);
void facts_release(struct facts *facts);

/* The state a container is left in by its events; "absent" too. `ret_last` is the fact that led there. */
const char *facts_state(const struct facts *facts, const char *id, const struct fact **ret_last);

/* Whether the exec was started and has not ended, by the log. */
/* True for the directory of a health check whose container runs: it may be there. */
struct sim_dir;
bool facts_may_check_health(const struct facts *facts, const struct sim_dir *dir);
bool facts_exec_runs(const struct facts *facts, const char *exec_id);

/* A member of the event's data. */
int64_t fact_number(const struct fact *fact, const char *name);
const char *fact_text(const struct fact *fact, const char *name);

/* True when the fact is `type`. */
bool fact_is(const struct fact *fact, const char *type);

/* NULL if the move does not exist. */
const char *legal_move(const char *state, const char *type);

#endif
