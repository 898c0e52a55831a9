/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resources.h - linux.resources of a config.json as values for cgroup files, in the order in which the kernel
 * takes them.
 *
 * Pure.
 */
#ifndef WHARF_RUNTIME_OCI_RESOURCES_H
#define WHARF_RUNTIME_OCI_RESOURCES_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

/* `resources` may be NULL. A new array of [controller, file, value, member] with, maybe, another file and its
 * value for when the first is not there; or NULL: ERR_INVALID names the
 * member that is wrong or not supported. Devices are denied by default, but for those that every container
 * has (config-linux.md, "Default Devices"). */
json_t *oci_resources(const json_t *resources, bool v2, struct err *err);

#endif
