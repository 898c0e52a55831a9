/* SPDX-License-Identifier: Apache-2.0 */
/*
 * create.h - `create`, as `run` needs it too: the container's first process stays the caller's child.
 */
#ifndef WHARF_RUNTIME_OCI_CREATE_H
#define WHARF_RUNTIME_OCI_CREATE_H

#include <sys/types.h>

#include "runtime/oci/oci.h"

/* On failure nothing is left. */
int oci_make_container(const struct oci_options *options, const char *id, pid_t *ret_pid, struct err *err);

/* Kills what is left of a container and removes its cgroups and its directory. The caller has the lock. */
struct oci_container;
int oci_unmake_container(struct oci_container *container, struct err *err);

#endif
