/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http.h - HTTP/1.1 requests to the roles over their Unix sockets: blocking, one request a connection.
 *
 * A call is connected, then sent, then received piece by piece; nothing here raises SIGPIPE. Errors name the
 * service and its socket: ERR_UNAVAILABLE when it cannot be reached or went away, ERR_TIMEOUT when it does
 * not answer in time, ERR_PROTOCOL when it speaks something else.
 */
#ifndef WHARF_CMD_CLIENT_HTTP_H
#define WHARF_CMD_CLIENT_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "cmd/client/http_response.h"

struct http_call {
    int fd;              /* -1 when not connected; pollable */
    const char *service; /* "writer", for messages; borrowed */
    const char *path;    /* of the socket; borrowed */
    struct http_response response;
};

#define HTTP_CALL_INIT                                                                                       \
    {                                                                                                        \
        .fd = -1                                                                                             \
    }

/* Paths longer than sockaddr_un allows are fine. */
int http_connect(struct http_call *call, const char *service, const char *path, struct err *err);

struct http_request {
    const char *method;
    const char *target;  /* path and query, encoded */
    const char *upgrade; /* the protocol to switch to, or NULL */
    const char *headers; /* further complete header lines, each with CR LF, or NULL */
    const char *body;    /* JSON, or NULL */
    size_t body_size;
};

int http_send(struct http_call *call, const struct http_request *request, struct err *err);

/* Reads once. Waits at most timeout_ms (-1: for ever). Returns 1 when more was read, 0 when the response is
 * complete. */
int http_receive(struct http_call *call, int timeout_ms, struct err *err);

/* The same for an answer that may be a descriptor: with 101, *ret_fd gets what was handed over. Returns when
 * either is complete. */
int http_receive_descriptor(struct http_call *call, int timeout_ms, int *ret_fd, struct err *err);

/* Reads until the response is complete, at most timeout_ms in all. */
int http_receive_all(struct http_call *call, int timeout_ms, struct err *err);

/* Closes and frees; the call can be connected again. */
void http_release(struct http_call *call);

/* Adds `text` with everything but unreserved characters percent-encoded (RFC 3986, section 2). */
void http_add_encoded(struct buf *target, const char *text);

#endif
