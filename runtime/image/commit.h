/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commit.h - an image of a container's root file system: one process packs it, as for an export (serve.h),
 * another imports the stream (import.h), so that who is in the container's root cannot touch the store, and
 * who is in the store trusts nothing that comes.
 *
 * For a short-lived process, which has descriptors 0 and SERVE_FD_CONTAINER as `serve` does.
 */
#ifndef WHARF_RUNTIME_IMAGE_COMMIT_H
#define WHARF_RUNTIME_IMAGE_COMMIT_H

#include "runtime/image/import.h"

/* As image_import. */
int image_commit(const char *store, struct imported *ret, struct err *err);

#endif
