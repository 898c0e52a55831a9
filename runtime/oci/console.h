/* SPDX-License-Identifier: Apache-2.0 */
/*
 * console.h - where the master of a container's terminal goes: to a socket that the caller named, or to us.
 */
#ifndef WHARF_RUNTIME_OCI_CONSOLE_H
#define WHARF_RUNTIME_OCI_CONSOLE_H

#include <stdbool.h>

#include "base/err.h"
#include "runtime/oci/oci.h"

struct oci_console {
    int socket_fd; /* for wharf-init; -1 without a terminal */
    int own_fd;    /* the other end of it if the terminal is ours to serve; -1 */
};

#define OCI_CONSOLE_INIT                                                                                     \
    {                                                                                                        \
        .socket_fd = -1, .own_fd = -1                                                                        \
    }

/* Connects to the console socket, or makes a pair of our own if the caller `stays` to serve the terminal.
 * ERR_INVALID if one was named and there is no terminal, or the other way round. */
int oci_console_open(struct oci_console *ret, const struct oci_options *options, bool terminal, bool stays,
                     struct err *err);

/* Takes the master that wharf-init has sent, and gives it the size of our own terminal if we have one. */
int oci_console_take(struct oci_console *console, int *ret_master_fd, struct err *err);

void oci_console_close(struct oci_console *console);

#endif
