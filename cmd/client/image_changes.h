/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_changes.h - changes to an image's configuration as docker writes them, a line of a Dockerfile each:
 * CMD, ENTRYPOINT, ENV, HEALTHCHECK, LABEL, STOPSIGNAL, USER and WORKDIR.
 *
 * Pure apart from memory.
 */
#ifndef WHARF_CMD_CLIENT_IMAGE_CHANGES_H
#define WHARF_CMD_CLIENT_IMAGE_CHANGES_H

#include <jansson.h>

#include "base/err.h"

/* Puts the change into the data of container.commit or image.import (events/commands.def); a later one
 * replaces an earlier one, but for variables and labels of other names. ERR_INVALID says what is wrong with
 * it. */
int image_change(json_t *data, const char *text, struct err *err);

#endif
