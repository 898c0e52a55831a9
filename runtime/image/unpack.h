/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unpack.h - a tar stream as files below a destination, by the rules of copy_rule.h.
 *
 * Where the process has entered a container's root, that root is the wall: links lead where they lead within
 * it, as for the container's own programs, and nothing leads out. Where it has not, on the side of the user
 * who copies something out, the archive is as hostile as a container can make it: nothing is written through
 * a link, no path or hard link leads out of the destination, and without `keep_owner` neither devices nor
 * set-user-id bits nor capabilities of files come along.
 *
 * Blocking; one thread; for a short-lived process: the working directory is changed.
 */
#ifndef WHARF_RUNTIME_IMAGE_UNPACK_H
#define WHARF_RUNTIME_IMAGE_UNPACK_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "runtime/image/copy_rule.h"

struct unpack_place {
    struct copy_target target;
    int dir_fd;     /* the destination, if it is a directory */
    int parent_fd;  /* else what it is or will be in, */
    char name[256]; /* under this name */
    char path[PATH_MAX];
};

struct unpack_options {
    bool any_archive; /* not one of pack's: the destination is a directory, the entries go below it as they
                         are, and it may be compressed */
    bool keep_owner;  /* else all becomes the process's user's */
    bool inside;      /* a container's root has been entered */
};

/* Finds where a path leads, links included, and whether it can be a destination: ERR_NOT_FOUND without the
 * directory that it is to be in. */
int unpack_find(const char *path, struct unpack_place *ret, struct err *err);
void unpack_place_close(struct unpack_place *place);

/* Reads the descriptor to its end. ret_bytes counts the files' bytes. On failure what was unpacked so far
 * stays. ERR_INVALID for an archive that is cut off, none, or hostile. */
int unpack(const struct unpack_place *place, const struct unpack_options *options, int from_fd,
           int64_t *ret_bytes, struct err *err);

#endif
