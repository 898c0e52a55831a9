/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shim.h - what the shim's files share. main.c is the parent's side, container.c and mounts.c run in the
 * container's first process before it becomes the command, cri_log.c keeps the log.
 *
 * One thread. Nothing here allocates after the plan was decoded.
 */
#ifndef WHARF_RUNTIME_SHIM_SHIM_H
#define WHARF_RUNTIME_SHIM_SHIM_H

#include <stdint.h>

#include "runtime/sandbox/plan.h"

/* What the container's process inherits from the shim. */
struct container_fds {
    int out;    /* write end of the stdout pipe */
    int err;    /* write end of the stderr pipe */
    int report; /* pipe to the shim: a struct plan_failure if something fails, end of file once the command
                   runs */
    int go;     /* pipe from the shim: one byte lets the command go; end of file means give up */
};

/* Becomes the container's first process: mounts, joins, drops, executes. Never returns. */
_Noreturn void container_main(const struct plan *plan, const struct container_fds *fds);

/* Carries out all file system steps and leaves the process in its new root. On failure *ret_failure is filled
 * and -1 returned. Expects a private mount namespace and the container's directory as working directory. */
int mounts_apply(const struct plan *plan, struct plan_failure *ret_failure);

/* Fills *ret from errno; returns -1. */
int fail(struct plan_failure *ret, enum plan_stage stage, const char *subject);

/* openat2(2) confined to `root_fd`: neither links nor ".." nor /proc's magic links lead out of it. */
int open_in_root(int root_fd, const char *path, uint64_t flags);

#endif
