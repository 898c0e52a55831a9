/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wait.h - what `run` and `exec` do while their process runs: signals that come for us go to it, and between
 * its terminal and ours the bytes are carried.
 */
#ifndef WHARF_RUNTIME_OCI_WAIT_H
#define WHARF_RUNTIME_OCI_WAIT_H

#include <sys/types.h>

#include "base/err.h"

struct oci_wait {
    int signal_fd;
};

#define OCI_WAIT_INIT                                                                                        \
    {                                                                                                        \
        .signal_fd = -1                                                                                      \
    }

/* Before the process exists: from here on no signal is missed. */
int oci_wait_begin(struct oci_wait *ret, struct err *err);

/* Waits for our child `pid` to end; `master_fd` is its terminal's, or -1. The exit code, or 128 + the signal
 * that ended it; -1 with an error. Our own terminal is raw meanwhile. */
int oci_wait_end(struct oci_wait *wait, pid_t pid, int master_fd, struct err *err);

void oci_wait_close(struct oci_wait *wait);

#endif
