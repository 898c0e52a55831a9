/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_internal.h - what the files of the HTTP server share: http_server.c (socket, loop, libmicrohttpd's
 * callbacks), http_request.c (what a handler reads and answers), http_stream.c (answers of unknown length),
 * http_upgrade.c (answers that are a descriptor).
 *
 * The life of a request:
 *
 *     RECEIVING -> OPEN -> REPLIED -> gone      handler answered, at once or later
 *                       -> GONE    -> gone      the client left first, or the server closes
 *
 * OPEN and waiting means: libmicrohttpd's connection is suspended and its descriptor stands in `hangup_fd`,
 * an epoll of our own for EPOLLRDHUP, since libmicrohttpd does not look at suspended connections. A client
 * that has only finished sending (shutdown(2) of one direction) counts as gone too: libmicrohttpd ends such a
 * connection as soon as it is resumed. The descriptor is taken out before the connection is resumed, so it is
 * never watched when libmicrohttpd closes it.
 */
#ifndef WHARF_BASE_HTTP_INTERNAL_H
#define WHARF_BASE_HTTP_INTERNAL_H

#include <microhttpd.h>

#include "base/buf.h"
#include "base/http_route.h"
#include "base/http_server.h"

#define HTTP_LOOP_HANDLES 5

struct http_conn {
    struct http_server *server;
    struct MHD_Connection *mhd;
    int fd; /* libmicrohttpd's; valid until its notification that the connection is closed */
    uint64_t number;
    struct http_peer peer;
    bool suspended;                /* by us, and watched for hang-up */
    bool is_receiving;             /* stands in server->receiving */
    uint64_t deadline_ms;          /* loop time by which the next request must have come in whole */
    struct http_request *request;  /* the one under way, or NULL */
    struct http_conn *prev, *next; /* server->conns */
    struct http_conn *prev_receiving, *next_receiving; /* server->receiving, by rising deadline */
};

struct http_server {
    uv_loop_t *loop;
    const struct http_route *routes;
    void *data;
    size_t body_limit_bytes;
    unsigned idle_timeout_s;
    char *socket_path;
    bool bound; /* the socket file is ours to unlink */
    int listen_fd;
    int hangup_fd;
    struct MHD_Daemon *daemon;
    uv_poll_t mhd_poll;
    uv_timer_t mhd_timer;
    uv_poll_t hangup_poll;
    uv_timer_t deadline_timer;
    uv_timer_t close_timer;
    uint64_t n_accepted;
    struct http_conn *conns;
    struct http_conn *receiving;
    size_t n_replying; /* requests answered whose bytes are still going out */
    bool resumed;      /* a connection was, since libmicrohttpd ran last */
    bool closing;
    unsigned handles_open;
    void (*on_closed)(void *data);
    void *on_closed_data;
};

enum http_request_state {
    HTTP_RECEIVING,
    HTTP_OPEN,
    HTTP_REPLIED,
    HTTP_GONE,
};

struct http_query_value {
    char *name;
    char *value;
};

struct http_request {
    struct http_conn *conn;
    enum http_request_state state;
    const char *method; /* libmicrohttpd's, for the life of the request */
    const char *path;   /* the same, still encoded */
    struct http_match match;
    struct http_query_value *query;
    size_t n_query;
    bool query_is_bad; /* a name or value does not decode */
    struct buf body;
    size_t body_received; /* also of what was dropped for being too much */
    void *data;
    void (*on_cancel)(struct http_request *request, void *data);
    struct buf headers; /* of the reply: name NUL value NUL ... */
    struct MHD_Response *response;
    unsigned status;
    struct http_stream *stream;
    int descriptor; /* to hand over; -1 if none */
};

/* Stops libmicrohttpd's work on the connection until http_conn_resume, and watches for hang-up. Only from
 * within libmicrohttpd's request handler or content reader. */
void http_conn_suspend(struct http_conn *conn);

/* Lets libmicrohttpd go on with the connection; nothing if it is not suspended. */
void http_conn_resume(struct http_conn *conn);

/* Makes libmicrohttpd see an end of the connection. */
void http_conn_abort(struct http_conn *conn);

/* A request whose first line and headers have come in. NULL when memory runs out. */
struct http_request *http_request_new(struct http_conn *conn, const char *method, const char *path);

/* Reads the query into the request. -1 when memory runs out. */
int http_request_parse_query(struct http_request *request);

/* OPEN -> GONE: tells the handler's owner. */
void http_request_cancel(struct http_request *request);

void http_request_free(struct http_request *request);

/* Hands the response over (the request owns it) and lets it go out. */
void http_request_answer_take(struct http_request *request, unsigned status, struct MHD_Response *response);

/* The connection is of no more use: the reader ends it. Runs no callback. */
void http_stream_break(struct http_stream *stream);

/* Last step of a stream, when libmicrohttpd is done with it: runs on_closed and frees. NULL is allowed. */
void http_stream_finish(struct http_stream *stream);

#endif
