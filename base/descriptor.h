/* SPDX-License-Identifier: Apache-2.0 */
/*
 * descriptor.h - hands an open descriptor to another process beside bytes on a unix socket (unix(7),
 * SCM_RIGHTS).
 *
 * Needs nothing but libc: the shim and wharf-init, which are static, have it too.
 */
#ifndef WHARF_BASE_DESCRIPTOR_H
#define WHARF_BASE_DESCRIPTOR_H

#include <stddef.h>
#include <sys/types.h>

/* Sends `size` bytes, at least one, and with them the descriptor, which stays open here. `flags` are those of
 * send(2); there is never a SIGPIPE. 0, or -1 with errno. */
int descriptor_send(int to_fd, const void *data, size_t size, int fd, int flags);

/* As recv(2); *ret_fd is the descriptor that came with the data, close-on-exec and the caller's, or -1. */
ssize_t descriptor_receive(int from_fd, void *data, size_t size, int *ret_fd);

#endif
