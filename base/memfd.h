/* SPDX-License-Identifier: Apache-2.0 */
/* memfd.h - bytes behind a descriptor that nobody can change any more. */
#ifndef WHARF_BASE_MEMFD_H
#define WHARF_BASE_MEMFD_H

#include <stddef.h>

#include "base/err.h"

/* A file in memory (memfd_create(2)) with the bytes, sealed against writing and resizing: close-on-exec, for
 * execveat(2) or as a message to another process. `name` shows in /proc/PID/fd and, executed, in
 * /proc/PID/exe. The caller's to close. Any thread. */
int memfd_sealed(const char *name, const void *data, size_t size, struct err *err);

#endif
