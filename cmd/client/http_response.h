/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_response.h - an incremental parser of one HTTP/1.1 response (RFC 9112).
 *
 * Bytes go in as they come, in pieces of any size; the decoded body collects in `body`, where a reader of a
 * stream may consume it at any time. How the bytes are cut into pieces never changes the result. Everything
 * is bounded: the header section by HTTP_HEADER_LIMIT, what waits in `body` by body_limit.
 *
 * Pure apart from memory.
 */
#ifndef WHARF_CMD_CLIENT_HTTP_RESPONSE_H
#define WHARF_CMD_CLIENT_HTTP_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define HTTP_HEADER_LIMIT ((size_t)64 * 1024)

enum http_part {
    HTTP_STATUS_LINE,
    HTTP_HEADERS,
    HTTP_BODY,             /* `left` bytes to come */
    HTTP_BODY_UNTIL_CLOSE, /* neither length nor chunks: the body ends with the connection */
    HTTP_CHUNK_SIZE,
    HTTP_CHUNK_DATA, /* `left` bytes to come */
    HTTP_CHUNK_END,  /* the line end after a chunk */
    HTTP_TRAILERS,
    HTTP_DONE,
};

struct http_response {
    enum http_part part;
    int status; /* 0 until the status line was read */
    uint64_t left;
    bool chunked;
    int64_t content_length; /* -1 when not given */
    size_t header_bytes;
    size_t body_limit;
    struct buf line;    /* the line being read */
    struct buf headers; /* lower-case name NUL value NUL ... */
    struct buf body;
};

void http_response_init(struct http_response *response, size_t body_limit);
void http_response_release(struct http_response *response);

/* Takes all bytes. ERR_PROTOCOL when they are no response (also for bytes after its end), ERR_TOO_LARGE above
 * a limit, ERR_NOMEM. After an error the response is useless. */
int http_response_feed(struct http_response *response, const char *data, size_t size, struct err *err);

/* The connection has ended: fine when the response is complete, which it then is, else ERR_PROTOCOL. */
int http_response_end(struct http_response *response, struct err *err);

/* True once status and headers are known. */
bool http_response_has_headers(const struct http_response *response);

/* A header's value by lower-case name, or NULL. */
const char *http_response_header(const struct http_response *response, const char *name);

#endif
