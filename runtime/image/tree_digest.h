/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree_digest.h - the digest of a file tree in canonical form, which names an image: equal trees have equal
 * digests, wherever they came from.
 *
 * SHA-256 over one record for every file, in the order of their paths' bytes: type, mode, owner, device
 * number, size, SHA-256 of the contents or the link's target, path, and the extended attributes (user.* and
 * security.capability) in order. Times and hard links do not count.
 *
 * Blocking; any thread.
 */
#ifndef WHARF_RUNTIME_IMAGE_TREE_DIGEST_H
#define WHARF_RUNTIME_IMAGE_TREE_DIGEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/id.h"

/* Of the directory `root_fd` (borrowed). `ret_size_bytes` is the sum of the regular files' sizes. */
int tree_digest(int root_fd, char ret_hex[SHA256_HEX_SIZE], int64_t *ret_size_bytes, struct err *err);

/* True for the extended attributes that are part of an image. */
bool image_keeps_xattr(const char *name);

#endif
