/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stack.h - what `wharf up`, `wharf down` and `wharf status` know of the local stack: the lock that the one
 * supervisor of a run directory holds for its life, and the state file it keeps there.
 *
 * RUN_DIR/up.lock holds the supervisor's pid, and its flock(2) says whether that is still true.
 * RUN_DIR/up.json lists the parts with their pids and start times, so that a pid that was used again is never
 * mistaken for one of ours.
 */
#ifndef WHARF_CMD_CLIENT_STACK_H
#define WHARF_CMD_CLIENT_STACK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/config.h"
#include "base/err.h"

/* Takes the lock: 0, or 1 with the holder's pid (0 if it has not written it yet). `create`: the directory
 * must exist; without it ERR_NOT_FOUND says that there never was a stack. */
int stack_lock(const char *run_dir, bool create, int *ret_fd, pid_t *ret_holder, struct err *err);

/* Writes our pid into the lock file. */
int stack_lock_sign(int lock_fd, struct err *err);

int stack_write_state(const char *run_dir, const json_t *state, struct err *err);

/* NULL when there is none. */
json_t *stack_read_state(const char *run_dir);

void stack_remove_state(const char *run_dir);

/* Where the stack of config->run_dir has its log, Redis and state, and its node: what it was started with
 * counts, not what this process was told. Changes nothing when there is no stack. -1 when memory runs out. */
int stack_take_settings(struct config *config, struct err *err);

/* Field 22 of /proc/PID/stat (proc(5)); 0 when there is no such process. */
uint64_t process_start_ticks(pid_t pid);

/* True if the process is alive (not a zombie) and the one that started then. */
bool process_is_alive(pid_t pid, uint64_t start_ticks);

/* Ends what a supervisor that was killed has left behind, as its state file lists it. Returns how many there
 * were. */
int stack_end_leftovers(const char *run_dir);

/* Sends `signal` and waits until the process is gone: true, or false after timeout_ms. */
bool process_end(pid_t pid, int signal, int timeout_ms);

#endif
