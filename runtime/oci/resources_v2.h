/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resources_v2.h - the values of linux.resources for cgroup v2, from those for v1 (config-linux.md is written
 * for v1; the conversions are those that OCI runtimes agree on).
 *
 * Pure.
 */
#ifndef WHARF_RUNTIME_OCI_RESOURCES_V2_H
#define WHARF_RUNTIME_OCI_RESOURCES_V2_H

#include <jansson.h>

#include "base/err.h"

/* `values`: what oci_resources works out for v1. Adds to `out` in the same form; ERR_INVALID names what v2
 * does not have. */
int oci_resources_v2(const json_t *values, const json_t *resources, json_t *out, struct err *err);

#endif
