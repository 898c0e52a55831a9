/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits.h - the flags of `update` as linux.resources of a config.json.
 *
 * Pure.
 */
#ifndef WHARF_RUNTIME_OCI_LIMITS_H
#define WHARF_RUNTIME_OCI_LIMITS_H

#include <jansson.h>

#include "base/err.h"
#include "runtime/oci/oci.h"

/* Puts what is given into `resources`, over what is there. ERR_INVALID names the flag. */
int oci_limits(const struct oci_limits *limits, json_t *resources, struct err *err);

/* A new reference to what of `resources` is not as in `before`, its devices left out, or NULL. A running
 * container's devices do not change: ERR_INVALID if they are given and not the same. */
json_t *oci_limits_changed(const json_t *resources, const json_t *before, struct err *err);

#endif
