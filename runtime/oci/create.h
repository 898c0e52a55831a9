/* SPDX-License-Identifier: Apache-2.0 */
/*
 * create.h - `create`, as `run` needs it too: the container's first process stays the caller's child.
 */
#ifndef WHARF_RUNTIME_OCI_CREATE_H
#define WHARF_RUNTIME_OCI_CREATE_H

#include <sys/types.h>

#include "runtime/oci/oci.h"

struct oci_made {
    pid_t pid;
    int master_fd; /* of the terminal if it is ours to serve, else -1 */
};

/* `stays`: the caller serves a terminal that has no console socket. On failure nothing is left. */
int oci_make_container(const struct oci_options *options, const char *id, bool stays, struct oci_made *ret,
                       struct err *err);

/* Writes the pid to `path`, if it is not NULL, in one step. */
int oci_pid_file(const char *path, pid_t pid, struct err *err);

/* Kills what is left of a container and removes its cgroups and its directory. The caller has the lock. */
struct oci_container;
int oci_unmake_container(struct oci_container *container, struct err *err);

#endif
