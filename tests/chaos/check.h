/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check.h - what must hold when a chaos run is over. Each check is a function of its own, looks for itself
 * (at the log's records, at /proc, at Redis) and reports in sentences; README.md says which promise each one
 * shows.
 *
 * check_log.c, check_exit.c: the log and what the load knows. check_host.c, check_view.c: the machine, Redis
 * and query.
 */
#ifndef WHARF_TESTS_CHAOS_CHECK_H
#define WHARF_TESTS_CHAOS_CHECK_H

#include <jansson.h>

#include "tests/chaos/load.h"
#include "tests/chaos/stack.h"
#include "tests/chaos/watch.h"

/* The node's events in order, without those of a fenced epoch. */
struct history {
    json_t **events; /* owned references */
    size_t n;
    size_t n_fenced;
};
void history_init(struct history *history, const struct records *events);
void history_release(struct history *history);
/* The event's type without "wharf." and the version: "container.started"; valid until the next call. */
const char *event_name(const json_t *event, char ret[64]);
const char *event_text(const json_t *event, const char *member);
int64_t event_number(const json_t *event, const char *member);
const json_t *event_data(const json_t *event);

void check_parse(struct report *report, const struct records *records, const char *topic);
void check_outcomes(struct report *report, const struct history *history, const struct records *commands,
                    const struct load *load);
void check_failures(struct report *report, const struct history *history, const struct stack *stack,
                    const struct load *load);
void check_paths(struct report *report, const struct history *history);
void check_chain(struct report *report, const struct records *events);
/* The embedded log's files by SQLite's own account. */
void check_sqlite(struct report *report, const struct stack *stack);

void check_exits(struct report *report, const struct history *history, const struct stack *stack,
                 const struct load *load);
/* Each exec is started once and ends once, with its command's code, before its container is removed. */
void check_execs(struct report *report, const struct history *history, const struct stack *stack);
void check_lines(struct report *report, const struct watch *watch, const struct stack *stack,
                 const struct load *load);

/* What a machine looks like from our namespaces. */
struct machine {
    char *mounts;
    char *interfaces;
};
void machine_look(struct machine *ret);
void machine_release(struct machine *machine);

/* At rest, with the stack up and no container: waits until it is so, and reports what is left after a while.
 */
void check_cgroups(struct report *report, const struct stack *stack);
void check_processes(struct report *report, struct stack *stack);
void check_files(struct report *report, const struct stack *stack);
/* With the stack down. */
void check_machine(struct report *report, const struct machine *before);

/* The descriptors that a part has open, a line each, sorted; to be freed. */
char *descriptors_of(const struct stack *stack, enum part part);
/* What a part had open after each round of stories. */
#define CHECK_ROUNDS 3
void check_descriptors(struct report *report, enum part part, char *const census[CHECK_ROUNDS]);

void check_view(struct report *report, struct stack *stack);
void check_query(struct report *report, const struct stack *stack, const struct history *history,
                 const struct load *load);

#endif
