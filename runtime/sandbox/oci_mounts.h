/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oci_mounts.h - the file system part of a config.json as steps of a plan: root, mounts, devices, masked and
 * read-only paths.
 *
 * Pure.
 */
#ifndef WHARF_RUNTIME_SANDBOX_OCI_MOUNTS_H
#define WHARF_RUNTIME_SANDBOX_OCI_MOUNTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* Where the container's cgroups are on the host, for mounts of the type cgroup. */
struct oci_cgroup_dir {
    const char *name;  /* of its directory in the container: "memory"; "" for a lone v2 hierarchy */
    const char *names; /* controllers that share it, with commas: "cpu,cpuacct" */
    const char *path;  /* NULL: it is mounted from within, once the cgroups are joined */
};

struct oci_mounts_input {
    const json_t *config;
    const char *bundle; /* absolute; what relative sources are relative to. NULL: there are none */
    const struct oci_cgroup_dir *cgroups;
    size_t n_cgroups;
    bool selinux;    /* mounts get linux.mountLabel */
    bool *ret_early; /* set if a mount's source has to be opened before the namespaces are entered */
};

/* Adds the steps in order. ERR_INVALID for what is wrong or not supported. */
int oci_mounts(const struct oci_mounts_input *input, struct buf *plan, struct err *err);

/* The names of the options, for lists; NULL at the end. Some have a form with an "r" before them that is for
 * all that is mounted below, too. */
const char *oci_mount_option(size_t index);
bool oci_mount_option_has_recursive_form(const char *name);

/* MS_* for the names of config.md's linux.rootfsPropagation and of mount options ("rslave"); 0 if it is none.
 */
uint64_t oci_propagation(const char *name);

#endif
