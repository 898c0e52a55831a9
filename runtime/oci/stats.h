/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stats.h - what the files of a container's cgroups say, in the shape of `runc events`, which podman's and
 * containerd's readers know.
 *
 * Reads cgroupfs of either version (Documentation/admin-guide/cgroup-v1, cgroup-v2.rst); what a hierarchy
 * does not have is 0 or left out.
 */
#ifndef WHARF_RUNTIME_OCI_STATS_H
#define WHARF_RUNTIME_OCI_STATS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* `document`: a state.json. A new reference, or NULL. */
json_t *oci_stats(const json_t *document, struct err *err);

/* Watches for processes of the container that are killed for lack of memory. */
struct oci_oom_watch {
    int fd;        /* for poll(2), POLLIN; -1 if the kernel has nothing to watch */
    bool counts;   /* v1: it is an eventfd */
    int64_t known; /* v2: how many there were */
};

void oci_oom_watch(struct oci_oom_watch *ret, const json_t *document);

/* How many there were since the last call. */
int64_t oci_oom_take(struct oci_oom_watch *watch, const json_t *document);

#endif
