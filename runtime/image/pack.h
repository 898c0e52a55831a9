/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pack.h - a file or a tree as a tar stream (pax), for copies and exports.
 *
 * The tree is walked by descriptors, without following links, since somebody may be changing it: what is gone
 * when its turn comes is left out, a file that shrinks is filled up with zeros, one that grows is cut off.
 * Numeric owners, modes, times, hard links, extended attributes (user.* and security.capability) and devices
 * are kept; sockets are left out, and so is what is on file systems of the kernel's own (proc, sysfs and the
 * like).
 *
 * Blocking; one thread; for a short-lived process. Paths are resolved against the process's own root: whoever
 * packs a container's files has entered it before (enter.h).
 */
#ifndef WHARF_RUNTIME_IMAGE_PACK_H
#define WHARF_RUNTIME_IMAGE_PACK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* What is to be packed. */
struct pack_source {
    int dir_fd;     /* of the directory it is in, or it itself */
    char name[256]; /* in that directory; "." for itself */
    char root[256]; /* what the archive calls it */
    bool follow;    /* if it is a link, what it leads to */
};

/* Finds a path. One that ends with "/." stands for a directory's contents, whose name is ".". ERR_NOT_FOUND
 * if it is not there. */
int pack_find(const char *path, bool follow, struct pack_source *ret, struct err *err);
void pack_source_close(struct pack_source *source);

/* Writes the archive to the descriptor. ret_bytes counts the files' bytes. ERR_UNAVAILABLE when nobody reads
 * any more. SIGPIPE must be ignored. */
int pack(const struct pack_source *source, int to_fd, int64_t *ret_bytes, struct err *err);

#endif
