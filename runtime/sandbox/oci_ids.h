/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oci_ids.h - mappings of user and group ids (config-linux.md, "User namespace mappings") as the kernel takes
 * them (user_namespaces(7), "uid_map").
 *
 * Pure.
 */
#ifndef WHARF_RUNTIME_SANDBOX_OCI_IDS_H
#define WHARF_RUNTIME_SANDBOX_OCI_IDS_H

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"

/* Appends one line "INSIDE OUTSIDE SIZE" for each mapping, and a NUL that is not counted. ERR_INVALID names
 * the member `where` when a number is missing or out of range. */
int oci_ids(const json_t *mappings, const char *where, struct buf *ret, struct err *err);

#endif
