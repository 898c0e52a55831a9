/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oci_user_mounts.h - the mounts that a container_spec asks for, as mounts of a config.json.
 *
 * Pure.
 */
#ifndef WHARF_RUNTIME_SANDBOX_OCI_USER_MOUNTS_H
#define WHARF_RUNTIME_SANDBOX_OCI_USER_MOUNTS_H

#include <jansson.h>
#include <stdbool.h>

#include "events/message.h"

/* True if one of them takes the place of what would be mounted there by default. */
bool oci_mounts_replace(const struct container_spec *spec, const char *destination);

/* Appends them, outer ones before those within; volumes are directories of `volumes_dir`. -1 when memory runs
 * out. */
int oci_add_user_mounts(json_t *mounts, const struct container_spec *spec, const char *volumes_dir);

/* What the root's own propagation has to be for theirs to be possible: "slave", "shared"; NULL if they are
 * all private. */
const char *oci_mounts_propagation(const struct container_spec *spec);

#endif
