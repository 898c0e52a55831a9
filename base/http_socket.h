/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_socket.h - the Unix socket under the HTTP server. Blocking only as bind(2) and connect(2) on a local
 * socket are.
 */
#ifndef WHARF_BASE_HTTP_SOCKET_H
#define WHARF_BASE_HTTP_SOCKET_H

#include <sys/types.h>

#include "base/err.h"
#include "base/http_server.h"

/* Binds and listens; returns the descriptor (non-blocking, close-on-exec), the caller's to close, or -1. A
 * socket file that nobody listens on is replaced; ERR_EXISTS where somebody does. The file has its group and
 * mode before the first client can connect. */
int http_socket_listen(const char *path, mode_t mode, gid_t gid, struct err *err);

/* SO_PEERCRED (unix(7)): the process that called connect(2); all -1 where the kernel does not say. */
struct http_peer http_socket_peer(int fd);

/* Raises the soft limit of open files to the hard one: a server's clients are its descriptors. */
void http_socket_raise_limit(void);

#endif
