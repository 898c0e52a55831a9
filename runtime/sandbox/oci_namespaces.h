/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oci_namespaces.h - linux.namespaces of a config.json, with the time offsets that belong to one of them.
 *
 * Pure.
 */
#ifndef WHARF_RUNTIME_SANDBOX_OCI_NAMESPACES_H
#define WHARF_RUNTIME_SANDBOX_OCI_NAMESPACES_H

#include <jansson.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct oci_namespaces {
    uint64_t created; /* CLONE_NEW* */
    uint64_t joined;  /* those by path, which are in the plan */
};

/* Adds those that are joined, and the offsets of a new time namespace. ERR_INVALID for what is unknown, comes
 * twice, or does not fit together. */
int oci_namespaces(const json_t *config, struct buf *plan, struct oci_namespaces *ret, struct err *err);

/* The namespaces that the container does not share with the host: CLONE_NEW*. What is unknown is left out. */
uint64_t oci_namespaces_of(const json_t *config);

/* The name of the namespace at `index`, for lists; NULL at the end. */
const char *oci_namespace_name(size_t index);

#endif
