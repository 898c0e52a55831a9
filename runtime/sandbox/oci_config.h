/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oci_config.h - a container_spec and its image as an OCI runtime-spec 1.2 config.json.
 *
 * The only place where Wharf's own vocabulary meets the runtime-spec: oci_plan.c sees the config and nothing
 * else. What the runtime-spec has no word for goes into annotations: io.wharf.container, io.wharf.incarnation
 * whose it is; io.wharf.overlay, mount options of the overlayfs that makes the root; io.wharf.seccomp,
 * "default" for the built-in filter; io.wharf.init, "true" for a first process that only reaps and forwards;
 * io.wharf.open-files, "default" for a limit of open files that is lower where the node does not allow so
 * many.
 *
 * Pure.
 */
#ifndef WHARF_RUNTIME_SANDBOX_OCI_CONFIG_H
#define WHARF_RUNTIME_SANDBOX_OCI_CONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "events/message.h"
#include "events/node_state.h"
#include "runtime/sandbox/oci_rights.h"
#include "runtime/sandbox/users.h"

struct oci_config_input {
    const char *container_id;
    int64_t incarnation;
    const struct container_spec *spec;
    const struct image *image;
    const struct user *user;
    const char *cgroup_parent;
    const char *cgroup_name;
    const char *overlay_options;
    bool cgroup2;
    const char *volumes_dir;                /* absolute; has a directory for each volume of the spec */
    int64_t shared_pids[SHARED_NAMESPACES]; /* first processes of containers whose namespaces are joined */
    const struct oci_device *devices;       /* of the host */
    size_t n_devices;
    uint64_t capabilities; /* that the node can give, a bit each */
    const char *kernel;    /* its release, for system call filters that depend on it */
};

/* A new reference, or NULL: ERR_INVALID when neither spec nor image names a command, or the node cannot
 * give what is asked for, or ERR_NOMEM. */
json_t *oci_config(const struct oci_config_input *input, struct err *err);

/* linux.resources of the config: its limits and devices. A new reference, or NULL when memory runs out. */
json_t *oci_config_resources(const struct container_spec *spec, const struct oci_device *devices,
                             size_t n_devices);

/* The host name the container gets: `ret` holds 256 bytes. NULL spec->hostname is the short id, or the host's
 * own with network=host or a shared uts namespace (then false is returned). */
bool oci_hostname(const struct container_spec *spec, const char *container_id, char ret[256]);

#endif
