/* SPDX-License-Identifier: Apache-2.0 */
/*
 * launch.h - wharf-init: started from its sealed copy in memory, spoken to, and its failures as sentences.
 */
#ifndef WHARF_RUNTIME_OCI_LAUNCH_H
#define WHARF_RUNTIME_OCI_LAUNCH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "runtime/oci/cgroups.h"
#include "runtime/sandbox/plan.h"

struct oci_launch {
    int sync_fd;
    pid_t launcher; /* our child; -1 once it was waited for */
    pid_t pid;      /* the container's first process, our child too; 0 before it exists */
};

#define OCI_LAUNCH_INIT                                                                                      \
    {                                                                                                        \
        .sync_fd = -1, .launcher = -1                                                                        \
    }

/* Starts wharf-init. It waits for oci_launch_answer. `start_fd` is the socket that it is started by, or, for
 * a process that joins a container, the pidfd of that container's first process; `waiting_fd` and
 * `console_fd` may be -1. */
int oci_launch_begin(struct oci_launch *ret, const struct buf *plan, int start_fd, int waiting_fd,
                     int console_fd, const struct oci_cgroups *cgroups, int preserve_fds, struct err *err);

/* Waits for the event; what else comes is the failure in `err`. */
int oci_launch_expect(struct oci_launch *launch, enum init_event event, struct err *err);

/* Lets it go on; `state` is what hooks are told. */
int oci_launch_answer(const struct oci_launch *launch, const char *state, struct err *err);

/* Fills err from a failure that wharf-init reported. Returns -1. */
int oci_launch_explain(const struct plan_failure *failure, struct err *err);

/* Closes the connection; a process that was not confirmed to the end ends itself then, and is waited for. */
void oci_launch_abandon(struct oci_launch *launch);
void oci_launch_close(struct oci_launch *launch);

#endif
