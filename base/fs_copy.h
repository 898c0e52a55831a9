/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs_copy.h - a directory tree copied by descriptors, with owners, modes, times and extended attributes.
 *
 * No link is followed and no name looked up twice; a file that has several names becomes several files.
 * Blocking; any thread.
 */
#ifndef WHARF_BASE_FS_COPY_H
#define WHARF_BASE_FS_COPY_H

#include "base/err.h"

/* Copies what is in the directory `from_fd`, and the directory's own attributes, to the empty directory
 * `to_fd`. Both stay the caller's. On failure what was copied so far is left. */
int fs_copy_tree(int from_fd, int to_fd, struct err *err);

#endif
