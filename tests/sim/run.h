/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run.h - one run: the world is made, the plan happens in it, everything that was broken is mended, the world
 * comes to rest, and the checkers look at what is left.
 */
#ifndef WHARF_TESTS_SIM_RUN_H
#define WHARF_TESTS_SIM_RUN_H

#include "tests/sim/plan.h"

struct run_result {
    char failure[2048]; /* "" if all is well */
    uint64_t trace;
    size_t n_events;
};

void run_plan(const struct plan *plan, bool verbose, struct run_result *ret);

/* --- check*.c: each says with sim_fail what does not hold --- */

/* The events as they are stored: chain, one outcome a command, legal paths, order; and what clients were
 * told. */
void check_log(void);
/* Exits against the kernel's books, resources against what the log says there should be. */
void check_host(void);
/* Execs: on the log, in the kernel's books, and what there is of them. */
void check_execs(void);
/* The runtime's state against the fold of the log from its beginning. */
void check_state(void);
/* Redis against a rebuild into an empty one, and against the log itself. */
void check_view(void);

#endif
