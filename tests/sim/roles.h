/* SPDX-License-Identifier: Apache-2.0 */
/*
 * roles.h - the production roles as processes of the world: wired as their mains wire them, started again by
 * a supervisor some time after they ended.
 */
#ifndef WHARF_TESTS_SIM_ROLES_H
#define WHARF_TESTS_SIM_ROLES_H

#include "tests/sim/world.h"

#define SIM_NODE "n1"

void role_start(enum role role, struct machine *machine, bool rival);

/* The living process of a role, or NULL. For the runtime that of the machine, if one is given. */
struct process *role_find(enum role role, const struct machine *machine);

/* SIGTERM. */
void role_stop(struct process *process);

/* The process is dead: closes everything it had, and lets the supervisor know. */
void role_bury(struct process *process);

/* A projector that writes into a Redis of its own. */
struct process *role_start_rebuild(void);

#endif
