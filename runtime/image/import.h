/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import.h - brings a directory or a tar archive into the image store (host.h): STORE/HEX/rootfs, named by
 * its digest.
 *
 * Everything happens in a temporary directory of the store; one rename at the end makes the image appear
 * whole. Archives are not trusted: the process gives up every privilege it does not need and, for an archive,
 * everything but the temporary directory (chroot), before it reads the first byte.
 *
 * For a short-lived process of its own (cmd/wharf-image.c): it changes root, capabilities and limits. One
 * thread.
 */
#ifndef WHARF_RUNTIME_IMAGE_IMPORT_H
#define WHARF_RUNTIME_IMAGE_IMPORT_H

#include <stdint.h>

#include "base/err.h"
#include "base/id.h"

struct archive_entry;

struct imported {
    char digest[7 + SHA256_HEX_SIZE]; /* "sha256:HEX" */
    int64_t size_bytes;
};

/* On failure the store is as before. Errors: ERR_NOT_FOUND (no such source), ERR_INVALID (not an archive,
 * hostile), ERR_TOO_LARGE (does not fit), ERR_SYSTEM. */
int image_import(const char *source, const char *store, struct imported *ret, struct err *err);

/* What is asked once the stream has been read, or given up: whether whoever wrote it has written all of it.
 */
typedef int (*import_whole_cb)(void *data, struct err *err);

/* The same of a tar stream, which is called `name` in messages. Takes the descriptor. */
int image_import_stream(int source_fd_take, const char *name, import_whole_cb is_whole, void *data,
                        const char *store, struct imported *ret, struct err *err);

/* The path of an archive's entry made relative and plain in `ret` ("." for the root). ERR_INVALID for one
 * that would lead out of the tree. Pure. */
int image_entry_path(const char *path, char *ret, size_t size, struct err *err);

/* Takes the extended attributes away that are no part of an image (image_keeps_xattr). */
void image_filter_xattrs(struct archive_entry *entry);

#endif
