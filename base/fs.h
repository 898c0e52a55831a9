/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs.h - files by descriptor: durable writes, whole reads, recursive removal. `dir_fd` may be AT_FDCWD.
 * Blocking; any thread.
 */
#ifndef WHARF_BASE_FS_H
#define WHARF_BASE_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

/* Reads a whole file of at most `limit` bytes; the text is NUL-terminated and the caller's to free.
 * ERR_NOT_FOUND when there is none, ERR_TOO_LARGE above the limit. */
int fs_read_file(int dir_fd, const char *path, size_t limit, char **ret, size_t *ret_size, struct err *err);

/* Replaces `path` by the bytes in one step: temporary file, fsync, rename, fsync of the directory when
 * `durable`. */
int fs_write_file(int dir_fd, const char *path, mode_t mode, const void *data, size_t size, bool durable,
                  struct err *err);

/* Makes the directory and its missing parents; one that exists is fine. */
int fs_mkdirs(int dir_fd, const char *path, mode_t mode, struct err *err);

/* Removes a file or a whole tree without following links or crossing mounts; a missing path is fine. */
int fs_remove_tree(int dir_fd, const char *path, struct err *err);

#endif
