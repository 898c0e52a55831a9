/* SPDX-License-Identifier: Apache-2.0 */
/*
 * changes.h - what a container has changed of its image: its overlay's upper layer
 * (Documentation/filesystems/overlayfs.rst) read beside the image.
 *
 * What is in the layers is the container's word: every step is by the descriptor of a directory and follows
 * no link. Blocking; for pool threads.
 */
#ifndef WHARF_RUNTIME_OUTPUT_CHANGES_H
#define WHARF_RUNTIME_OUTPUT_CHANGES_H

#include <jansson.h>

#include "base/err.h"

/* A sorted list of {"kind": "added" | "changed" | "deleted", "path": P}. The container's directory is
 * `dir_fd`; a container without an upper layer has changed nothing. The files of /etc that wharf writes are
 * left out. */
json_t *changes_list(int dir_fd, const char *image_digest, struct err *err);

#endif
