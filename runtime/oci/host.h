/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host.h - what a container needs of the host beside cgroups and a process: maps of ids, security modules,
 * and the mounts of a container without a mount namespace.
 */
#ifndef WHARF_RUNTIME_OCI_HOST_H
#define WHARF_RUNTIME_OCI_HOST_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/* Those that a container with this config can be given: in a user namespace of its own all that there are
 * (user_namespaces(7)), and otherwise what this process has not lost itself. */
uint64_t oci_host_capabilities(const json_t *config);

bool oci_host_has_selinux(void);
bool oci_host_has_apparmor(void);

/* ERR_UNAVAILABLE when `process` of the config wants a label that this kernel cannot give. */
int oci_host_check_process(const json_t *process, struct err *err);
/* The same of the config's. Told to `warn` are hard limits that this process may not raise (setrlimit(2)),
 * which podman asks for by default and which stay as they are; and 'linux.mountLabel' where there is no
 * SELinux, since nothing has labels then. */
int oci_host_check(const json_t *config, void (*warn)(const char *message), struct err *err);

/* Maps the ids of a new user namespace that the process is in (user_namespaces(7)); without one there is
 * nothing to do. */
int oci_host_map_ids(const json_t *config, pid_t pid, struct err *err);

/* Without a mount namespace: notes in state.json which mount the root is on before anything is mounted, so
 * that oci_host_release_root can take away what was mounted on it since, and nothing else. */
int oci_host_note_root(json_t *document, const json_t *config, struct err *err);
int oci_host_release_root(const json_t *document, struct err *err);

#endif
