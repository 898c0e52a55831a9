/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server.h - HTTP/1.1 on a Unix socket for the roles, on the role's libuv loop (libmicrohttpd inside,
 * driven by its external epoll; no thread of its own).
 *
 * A handler gets a request whose body has been read completely (bodies above the limit are answered 413
 * before any handler runs). It may reply at once, or keep the request and reply later; until then the
 * connection is suspended and costs nothing. Exactly one http_reply*() or http_stream_begin() ends a request.
 * When the client goes away first, the on_cancel callback runs and the request must not be used again.
 *
 * Everything runs on the loop thread.
 */
#ifndef WHARF_BASE_HTTP_SERVER_H
#define WHARF_BASE_HTTP_SERVER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "base/err.h"

struct http_server;
struct http_request;
struct http_stream;

/* Who is at the other end of the Unix socket, from SO_PEERCRED (unix(7)), never from what the client says. */
struct http_peer {
    pid_t pid;
    uid_t uid;
    gid_t gid;
};

struct http_route {
    const char *method; /* "GET", "POST", ... */
    /* "/v1/containers/{ref}/history": a {segment} matches one non-empty path segment. "/v1/things?name&limit"
     * also says which query keys there are: others, and one that comes twice, are answered 400; "name*" may
     * come often. Without a '?' any will do. */
    const char *pattern;
    void (*handle)(struct http_request *request, void *data);
};

struct http_server_options {
    const char *socket_path; /* where to listen; a stale socket file is replaced */
    mode_t socket_mode;      /* permission bits of the socket file, e.g. 0660 */
    gid_t socket_gid;        /* group of the socket file; (gid_t)-1 leaves it */
    const struct http_route
        *routes;               /* ends with a row whose method is NULL; borrowed for the server's life */
    void *data;                /* handed to every handler */
    size_t body_limit_bytes;   /* larger request bodies are refused with 413; 0 means 1 MiB */
    unsigned connection_limit; /* further clients wait in the backlog; 0 means 4096 */
    unsigned idle_timeout_s;   /* a connection that sends nothing for so long is closed; 0 means 30 */
};

/* Starts listening. On error nothing is left behind. The server's handles live on `loop`. */
int http_server_open(struct http_server **ret, uv_loop_t *loop, const struct http_server_options *options,
                     struct err *err);

/* Stops listening, cancels open requests and streams (their callbacks run), unlinks the socket, frees the
 * server, then calls on_closed (may be NULL). NULL server is allowed: on_closed is called at once. */
void http_server_close(struct http_server *server, void (*on_closed)(void *data), void *data);

/* What the request carries. Pointers live until it is answered or cancelled. */
const char *http_request_method(const struct http_request *request);
const char *http_request_path(const struct http_request *request);
const char *http_request_param(const struct http_request *request,
                               const char *name); /* {name} in the pattern, decoded */
const char *http_request_query(const struct http_request *request,
                               const char *name); /* ?name=value, decoded, or NULL */
/* The i-th value of a query key that may be repeated, or NULL. */
const char *http_request_query_at(const struct http_request *request, const char *name, size_t i);
const char *http_request_header(const struct http_request *request, const char *name); /* or NULL */
const void *http_request_body(const struct http_request *request, size_t *ret_size);
struct http_peer http_request_peer(const struct http_request *request);
/* A number, from 1, that no other connection of this server has had: what is known of the peer can be kept by
 * it. */
uint64_t http_request_connection(const struct http_request *request);

/* Remembers a pointer of the handler's; on_cancel runs if the client goes away before the reply. */
void http_request_set_data(struct http_request *request, void *data,
                           void (*on_cancel)(struct http_request *, void *data));
void *http_request_data(const struct http_request *request);

/* Adds a header to the reply that follows; name and value are copied. */
void http_reply_header(struct http_request *request, const char *name, const char *value);

/* Answers with a body that is copied. */
void http_reply(struct http_request *request, unsigned status, const char *content_type, const void *body,
                size_t size);

/* Answers with a JSON document; takes the reference (a NULL document, i.e. out of memory, is answered 500).
 */
void http_reply_json_take(struct http_request *request, unsigned status, json_t *document);

/* Answers with application/problem+json (RFC 9457): {type, title, status, detail[, code][, pointer]}. `code`
 * is a stable lower-case word ("unknown-field"); `pointer` a JSON pointer (RFC 6901) to the offending member,
 * or NULL. */
void http_reply_problem(struct http_request *request, unsigned status, const char *code, const char *pointer,
                        const char *detail_fmt, ...) __attribute__((format(printf, 5, 6)));

/* Answers 101 (switching to `protocol`, which the request asked for) and hands the client the descriptor,
 * which is taken over: one byte 0 follows the answer with the descriptor beside it (SCM_RIGHTS, unix(7)), and
 * then the connection ends. */
void http_reply_descriptor_take(struct http_request *request, const char *protocol, int fd);

/* Callbacks of a streamed reply. */
struct http_stream_ops {
    void (*on_drained)(struct http_stream *stream,
                       void *data); /* all that was written has been taken: write more */
    void (*on_closed)(struct http_stream *stream,
                      void *data); /* last call: the client left or the stream ended */
};

/* Answers with a body of unknown length. The stream lives until on_closed. NULL on out of memory (then the
 * request has been answered 500). */
struct http_stream *http_stream_begin(struct http_request *request, unsigned status, const char *content_type,
                                      const struct http_stream_ops *ops, void *data);

/* Queues bytes (copied). Returns the number of bytes now waiting for the client: a writer of much stops above
 * its own limit until on_drained. */
size_t http_stream_write(struct http_stream *stream, const void *data, size_t size);

/* The reply is complete once what is queued has been sent; on_closed follows. */
void http_stream_end(struct http_stream *stream);

#endif
