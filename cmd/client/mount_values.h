/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mount_values.h - mounts in docker's notations to elements of a container spec's `mounts`
 * (events/mount.def).
 *
 * Each gives a new reference in *ret, or an error that quotes the value and says what would do.
 */
#ifndef WHARF_CMD_CLIENT_MOUNT_VALUES_H
#define WHARF_CMD_CLIENT_MOUNT_VALUES_H

#include <jansson.h>

#include "base/err.h"

/* -v: "/HOST:/PATH[:OPTIONS]", "NAME:/PATH[:OPTIONS]", "/PATH"; a path that begins with a dot is the
 * client's. */
int mount_from_volume(const char *text, json_t **ret, struct err *err);

/* --mount: "type=bind,source=/HOST,target=/PATH,readonly". */
int mount_from_words(const char *text, json_t **ret, struct err *err);

/* --tmpfs: "/PATH[:OPTIONS]". */
int mount_from_tmpfs(const char *text, json_t **ret, struct err *err);

#endif
