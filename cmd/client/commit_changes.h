/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commit_changes.h - changes to an image's configuration as docker writes them, a line of a Dockerfile each:
 * CMD, ENTRYPOINT, ENV, USER and WORKDIR.
 *
 * Pure apart from memory.
 */
#ifndef WHARF_CMD_CLIENT_COMMIT_CHANGES_H
#define WHARF_CMD_CLIENT_COMMIT_CHANGES_H

#include <jansson.h>

#include "base/err.h"

/* Puts the change into the data of container.commit (events/commands.def); a later one replaces an earlier
 * one, but for variables of other names. ERR_INVALID says what is wrong with it. */
int commit_change(json_t *data, const char *text, struct err *err);

#endif
