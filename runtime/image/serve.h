/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve.h - one copy into or out of a container, or its export, in a process of its own (wharf-image serve).
 *
 * The runtime gives it, as descriptors:
 * - 0: the request, one JSON object (runtime/archive.h): "access" (in, out, export), "path", "follow",
 *   "keep_owner", "any_archive", and either "running" (true) and "own_users", or "image" (hex) and "mounts"
 * - 1: for one line of JSON: {"ready":true} once the path is known to be good, or {"error", "status"}
 * - SERVE_FD_CONTROL: one end of a SOCK_SEQPACKET connection, whose other end the client is going to have
 * - SERVE_FD_CONTAINER: a pidfd of the container's first process, or its directory
 *
 * The client is told two things: a zero byte with the end of a pipe beside it (SCM_RIGHTS), which the archive
 * goes through, and when all is over {"bytes":N}, or {"error":"...", "unread":BOOL}, which is true where it
 * failed only because nobody read the pipe. A client that goes away takes the pipe with it, and so ends the
 * work.
 */
#ifndef WHARF_RUNTIME_IMAGE_SERVE_H
#define WHARF_RUNTIME_IMAGE_SERVE_H

#include "base/err.h"

#define SERVE_FD_CONTROL 3
#define SERVE_FD_CONTAINER 4

/* Returns the exit status. */
int serve(void);

/* What `serve` does, but that the archive is written to a descriptor, and nobody is told. */
int serve_to(int to_fd, struct err *err);

#endif
