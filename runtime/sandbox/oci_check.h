/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oci_check.h - whether a config.json has the shape that the OCI runtime-spec 1.2 gives it, and asks for
 * nothing that is not supported.
 *
 * Members that the spec does not know are ignored, as it demands (config.md, "Extensibility"); those it knows
 * and we do not give are refused by name, unless they are empty.
 *
 * Pure.
 */
#ifndef WHARF_RUNTIME_SANDBOX_OCI_CHECK_H
#define WHARF_RUNTIME_SANDBOX_OCI_CHECK_H

#include <jansson.h>

#include "base/err.h"

/* ERR_INVALID names the member. */
int oci_check(const json_t *config, struct err *err);

#endif
