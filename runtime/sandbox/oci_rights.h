/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oci_rights.h - what a container_spec says of capabilities, limits and devices, as parts of a config.json.
 *
 * Pure. Each function returns a new reference, or NULL when memory runs out.
 */
#ifndef WHARF_RUNTIME_SANDBOX_OCI_RIGHTS_H
#define WHARF_RUNTIME_SANDBOX_OCI_RIGHTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "events/message.h"

/* A device node of the host that the container gets. */
struct oci_device {
    char *source; /* on the host; owned */
    char *path;   /* in the container; owned */
    char type;    /* 'c' or 'b' */
    unsigned major, minor;
    uint32_t mode; /* permission bits */
    uint32_t uid, gid;
    char access[4]; /* of r, w and m */
};

/* The bounding set, a bit each: docker's default with what was added and dropped. "ALL" is what the node
 * can give: `available`. */
uint64_t oci_capability_mask(const struct container_spec *spec, uint64_t available);

json_t *oci_capability_names(uint64_t mask);
json_t *oci_rlimits(const struct container_spec *spec);
/* True if the spec has no limit of open files: the default is then as much as the node allows. */
bool oci_open_files_are_default(const struct container_spec *spec);
json_t *oci_sysctls(const struct container_spec *spec);
json_t *oci_devices(const struct oci_device *devices, size_t n);

/* In a user namespace nobody may make a device: those of the host are mounted, which leaves them their
 * owners. Appends to the config's mounts; -1 when memory runs out. */
int oci_add_device_mounts(json_t *mounts, const struct oci_device *devices, size_t n);

/* The rules that let the devices be used; any device at all for a privileged container. */
json_t *oci_device_rules(const struct container_spec *spec, const struct oci_device *devices, size_t n);

#endif
