/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP server's socket, its place on the loop, and libmicrohttpd's callbacks.
 *
 * The happy path: the listening socket or a connection becomes readable -> libmicrohttpd's epoll descriptor
 * does, and on_mhd_ready runs MHD_run -> on_request is called for the head, for each piece of the body, and
 * once more at its end, when the request is routed and its handler runs. A handler that has answered is done;
 * else the connection is suspended until http_reply, which resumes it, and on_request is called again to
 * queue the answer.
 *
 * What goes wrong: a client that hangs up while its request waits shows in hangup_fd and its request is
 * cancelled; a client that does not get a whole request across in idle_timeout_s is cut off by the deadline
 * timer (libmicrohttpd's own timeout starts anew with every byte and stays in charge of clients that do not
 * take their answer); a body beyond the limit is read and dropped, so that the client sees the 413 rather
 * than a broken pipe.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "base/cleanup.h"
#include "base/http_internal.h"
#include "base/http_socket.h"

#define BODY_LIMIT_DEFAULT_BYTES (1024 * 1024)
#define BODY_DROP_LIMIT_BYTES (64ull * 1024 * 1024)
#define CONNECTION_LIMIT_DEFAULT 4096
#define IDLE_TIMEOUT_DEFAULT_S 30
#define CLOSE_GRACE_MS 1000
#define RUNS_A_TURN_MAX 16

static void arm_deadlines(struct http_server *server);
static void on_mhd_timer(uv_timer_t *timer);

/* ---- connections ---- */

static void receive_begin(struct http_conn *conn)
{
    struct http_server *server = conn->server;
    conn->deadline_ms = uv_now(server->loop) + (uint64_t)server->idle_timeout_s * 1000;
    conn->is_receiving = true;
    DL_APPEND2(server->receiving, conn, prev_receiving, next_receiving);
    arm_deadlines(server);
}

static void receive_end(struct http_conn *conn)
{
    if (!conn->is_receiving)
        return;
    conn->is_receiving = false;
    DL_DELETE2(conn->server->receiving, conn, prev_receiving, next_receiving);
}

void http_conn_abort(struct http_conn *conn)
{
    shutdown(conn->fd, SHUT_RDWR); /* fails only where the connection is down already */
}

static void on_deadline(uv_timer_t *timer)
{
    struct http_server *server = timer->data;
    while (server->receiving != NULL && server->receiving->deadline_ms <= uv_now(server->loop)) {
        http_conn_abort(server->receiving);
        receive_end(server->receiving);
    }
    arm_deadlines(server);
}

/* The list is in order of deadlines, so the timer need only ever know the first. */
static void arm_deadlines(struct http_server *server)
{
    uv_handle_t *handle = (uv_handle_t *)&server->deadline_timer;
    if (server->receiving == NULL || server->daemon == NULL || uv_is_active(handle) || uv_is_closing(handle))
        return;
    uint64_t now_ms = uv_now(server->loop);
    uint64_t due_ms = server->receiving->deadline_ms;
    uv_timer_start(&server->deadline_timer, on_deadline, due_ms > now_ms ? due_ms - now_ms : 0, 0);
}

void http_conn_suspend(struct http_conn *conn)
{
    struct epoll_event event = {.events = EPOLLRDHUP, .data.ptr = conn};
    if (epoll_ctl(conn->server->hangup_fd, EPOLL_CTL_ADD, conn->fd, &event) < 0)
        return; /* ENOMEM, ENOSPC: not suspended, so libmicrohttpd asks again on its next run */
    MHD_suspend_connection(conn->mhd);
    conn->suspended = true;
}

void http_conn_resume(struct http_conn *conn)
{
    if (!conn->suspended)
        return;
    conn->suspended = false;
    epoll_ctl(conn->server->hangup_fd, EPOLL_CTL_DEL, conn->fd, NULL);
    MHD_resume_connection(conn->mhd);
    /* Without a thread of its own libmicrohttpd wakes nobody: it wants to be run (MHD_resume_connection). */
    conn->server->resumed = true;
    if (conn->server->daemon != NULL)
        uv_timer_start(&conn->server->mhd_timer, on_mhd_timer, 0, 0);
}

/* The client of a suspended connection is gone. */
static void conn_hung_up(struct http_conn *conn)
{
    struct http_request *request = conn->request;
    if (request != NULL && request->state == HTTP_OPEN)
        http_request_cancel(request);
    else if (request != NULL && request->stream != NULL)
        http_stream_break(request->stream);
    http_conn_resume(conn);
}

static void on_hangup(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct http_server *server = poll->data;
    /* One at a time: the callbacks that a hang-up runs may answer, and so resume, others of the same batch.
     */
    struct epoll_event event;
    while (epoll_wait(server->hangup_fd, &event, 1, 0) == 1)
        conn_hung_up(event.data.ptr);
}

static void conn_open(struct http_server *server, struct MHD_Connection *mhd, void **socket_context)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct http_conn *conn = calloc(1, sizeof(*conn));
    *socket_context = conn;
    if (conn == NULL)
        return; /* on_request refuses a connection without */
    *conn = (struct http_conn){.server = server, .mhd = mhd, .fd = info->connect_fd};
    conn->number = ++server->n_accepted;
    conn->peer = http_socket_peer(conn->fd);
    DL_APPEND(server->conns, conn);
    receive_begin(conn);
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http_server *server = cls;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        conn_open(server, mhd, socket_context);
        return;
    }
    struct http_conn *conn = *socket_context;
    if (conn == NULL)
        return;
    receive_end(conn);
    DL_DELETE(server->conns, conn);
    free(conn);
}

/* ---- requests ---- */

/* A client that asks before it sends (curl does for large bodies) is told at once; others are read out. */
static bool is_refused_unread(struct http_request *request)
{
    const char *length = http_request_header(request, MHD_HTTP_HEADER_CONTENT_LENGTH);
    unsigned long long size = length != NULL ? strtoull(length, NULL, 10) : 0;
    if (size <= request->conn->server->body_limit_bytes)
        return false;
    return size > BODY_DROP_LIMIT_BYTES || http_request_header(request, MHD_HTTP_HEADER_EXPECT) != NULL;
}

static void reply_too_large(struct http_request *request)
{
    http_reply_problem(request, MHD_HTTP_CONTENT_TOO_LARGE, "too-large", NULL,
                       "the request's body is larger than the limit of %zu bytes",
                       request->conn->server->body_limit_bytes);
}

/* Keeps the bytes while they are within the limit. False when the client is to be cut off. */
static bool take_body(struct http_request *request, const char *data, size_t size)
{
    request->body_received += size;
    if (request->body_received <= request->conn->server->body_limit_bytes)
        buf_add(&request->body, data, size);
    else
        buf_release(&request->body);
    return !request->body.failed && request->body_received <= BODY_DROP_LIMIT_BYTES;
}

static void reply_unknown_key(struct http_request *request, const char *key)
{
    auto_buf struct buf known = BUF_INIT;
    for (const char *at = strchr(request->match.route->pattern, '?') + 1; *at != '\0'; at++)
        buf_add(&known, at, *at != '*');
    http_reply_problem(request, MHD_HTTP_BAD_REQUEST, "unknown-parameter", NULL,
                       "'%s' does not know the parameter '%s'%s%s", request->path, key,
                       known.size > 0 ? ", only " : "", known.data != NULL ? known.data : "");
}

/* A filter that is misspelt, or given a second time, must not look like one that lets everything pass. */
static bool refuse_keys(struct http_request *request)
{
    for (size_t i = 0; i < request->n_query; i++) {
        const char *key = request->query[i].name;
        size_t before = 0, takes = http_route_takes(request->match.route, key);
        for (size_t j = 0; j < i; j++)
            before += strcmp(request->query[j].name, key) == 0;
        if (before < takes)
            continue;
        if (takes == 0)
            reply_unknown_key(request, key);
        else
            http_reply_problem(request, MHD_HTTP_BAD_REQUEST, "parameter-twice", NULL,
                               "'%s' takes the parameter '%s' once", request->path, key);
        return true;
    }
    return false;
}

static void dispatch(struct http_request *request)
{
    struct http_server *server = request->conn->server;
    char allow[HTTP_ALLOW_SIZE];
    request->state = HTTP_OPEN;
    if (server->closing) {
        http_reply_problem(request, MHD_HTTP_SERVICE_UNAVAILABLE, "stopping", NULL, "the server is stopping");
        return;
    }
    if (request->body_received > server->body_limit_bytes) {
        reply_too_large(request);
        return;
    }
    switch (http_match(server->routes, request->method, request->path, &request->match, allow)) {
    case HTTP_MATCHED:
        if (request->query_is_bad)
            break;
        if (!refuse_keys(request))
            request->match.route->handle(request, server->data);
        return;
    case HTTP_NO_PATH:
        http_reply_problem(request, MHD_HTTP_NOT_FOUND, "unknown-path", NULL, "there is nothing at '%s'",
                           request->path);
        return;
    case HTTP_NO_METHOD:
        http_reply_header(request, MHD_HTTP_HEADER_ALLOW, allow);
        http_reply_problem(request, MHD_HTTP_METHOD_NOT_ALLOWED, "method-not-allowed", NULL,
                           "'%s' does not take %s, only %s", request->path, request->method, allow);
        return;
    case HTTP_MATCH_NOMEM:
        http_reply(request, MHD_HTTP_INTERNAL_SERVER_ERROR, NULL, NULL, 0);
        return;
    case HTTP_BAD_ESCAPE:
        break;
    }
    http_reply_problem(request, MHD_HTTP_BAD_REQUEST, "bad-escape", NULL,
                       "the address has a '%%' that is not followed by two hexadecimal digits, or '%%00'");
}

/* Queues the answer if there is one, ends the connection if the request is gone, waits otherwise. */
static enum MHD_Result settle(struct http_request *request)
{
    if (request->state == HTTP_OPEN) {
        http_conn_suspend(request->conn);
        return MHD_YES;
    }
    if (request->response == NULL)
        return MHD_NO;
    return MHD_queue_response(request->conn->mhd, request->status, request->response);
}

static enum MHD_Result begin_request(struct http_conn *conn, const char *path, const char *method,
                                     void **request_context)
{
    struct http_request *request = http_request_new(conn, method, path);
    if (request == NULL)
        return MHD_NO;
    *request_context = request;
    if (http_request_parse_query(request) < 0)
        return MHD_NO;
    if (!is_refused_unread(request))
        return MHD_YES;
    receive_end(conn);
    request->state = HTTP_OPEN;
    reply_too_large(request);
    return settle(request);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *mhd, const char *path, const char *method,
                                  const char *version, const char *upload, size_t *upload_size,
                                  void **request_context)
{
    (void)cls;
    (void)version;
    struct http_request *request = *request_context;
    if (request == NULL) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
        return info->socket_context == NULL
                   ? MHD_NO
                   : begin_request(info->socket_context, path, method, request_context);
    }
    if (*upload_size > 0) {
        bool go_on = take_body(request, upload, *upload_size);
        *upload_size = 0;
        return go_on ? MHD_YES : MHD_NO;
    }
    if (request->state == HTTP_RECEIVING) {
        receive_end(request->conn);
        dispatch(request);
    }
    return settle(request);
}

static void on_close_timer(uv_timer_t *timer);

/* libmicrohttpd is done with the request: answered, or its connection ended. */
static void on_completed(void *cls, struct MHD_Connection *mhd, void **request_context,
                         enum MHD_RequestTerminationCode code)
{
    struct http_server *server = cls;
    struct http_request *request = *request_context;
    if (request == NULL)
        return;
    *request_context = NULL;
    struct http_conn *conn = request->conn;
    if (request->state == HTTP_OPEN)
        http_request_cancel(request);
    if (request->state == HTTP_REPLIED)
        server->n_replying--;
    if (request->stream != NULL) {
        http_stream_finish(request->stream);
        MHD_set_connection_option(mhd, MHD_CONNECTION_OPTION_TIMEOUT, server->idle_timeout_s);
    }
    conn->request = NULL;
    http_request_free(request);
    receive_end(conn);
    if (code == MHD_REQUEST_TERMINATED_COMPLETED_OK)
        receive_begin(conn);
    if (server->closing && server->daemon != NULL && server->n_replying == 0)
        uv_timer_start(&server->close_timer, on_close_timer, 0, 0);
}

/* Paths and queries are decoded by http_match and http_request_parse_query, after they were taken apart. */
static size_t keep_encoded(void *cls, struct MHD_Connection *mhd, char *text)
{
    (void)cls;
    (void)mhd;
    return strlen(text);
}

/* ---- the loop ---- */

/* Lets libmicrohttpd work off what is ready, and asks when it wants to be called without being woken. */
static void run(struct http_server *server)
{
    MHD_UNSIGNED_LONG_LONG timeout_ms = 0;
    bool waits = false;
    for (int i = 0; i < RUNS_A_TURN_MAX && !waits; i++) {
        server->resumed = false;
        MHD_run(server->daemon);
        if (MHD_get_timeout(server->daemon, &timeout_ms) != MHD_YES)
            timeout_ms = UINT64_MAX;
        waits = timeout_ms > 0 && !server->resumed;
    }
    if (waits && timeout_ms == UINT64_MAX)
        uv_timer_stop(&server->mhd_timer);
    else
        uv_timer_start(&server->mhd_timer, on_mhd_timer, waits ? timeout_ms : 0, 0);
}

static void on_mhd_timer(uv_timer_t *timer)
{
    run(timer->data);
}

static void on_mhd_ready(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    run(poll->data);
}

static int start_daemon(struct http_server *server, const struct http_server_options *options,
                        struct err *err)
{
    unsigned connection_limit =
        options->connection_limit > 0 ? options->connection_limit : CONNECTION_LIMIT_DEFAULT;
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_UPGRADE | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_TURBO, 0, NULL, NULL,
        on_request, server, MHD_OPTION_LISTEN_SOCKET, server->listen_fd, MHD_OPTION_CONNECTION_LIMIT,
        connection_limit, MHD_OPTION_CONNECTION_TIMEOUT, server->idle_timeout_s, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, server, MHD_OPTION_NOTIFY_COMPLETED, on_completed, server,
        MHD_OPTION_UNESCAPE_CALLBACK, keep_encoded, NULL, MHD_OPTION_END);
    if (server->daemon == NULL)
        return err_set(err, ERR_SYSTEM, "cannot start the HTTP server on '%s': %s", server->socket_path,
                       errno != 0 ? strerror(errno) : "out of memory");
    return 0;
}

static void start_handles(struct http_server *server)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    uv_timer_init(server->loop, &server->mhd_timer);
    uv_timer_init(server->loop, &server->deadline_timer);
    uv_timer_init(server->loop, &server->close_timer);
    uv_poll_init(server->loop, &server->mhd_poll, info->epoll_fd);
    uv_poll_init(server->loop, &server->hangup_poll, server->hangup_fd);
    server->mhd_timer.data = server->deadline_timer.data = server->close_timer.data = server;
    server->mhd_poll.data = server->hangup_poll.data = server;
    server->handles_open = HTTP_LOOP_HANDLES;
    uv_poll_start(&server->mhd_poll, UV_READABLE, on_mhd_ready);
    uv_poll_start(&server->hangup_poll, UV_READABLE, on_hangup);
}

static void server_free(struct http_server *server)
{
    if (server->bound)
        unlink(server->socket_path);
    if (server->listen_fd >= 0)
        close(server->listen_fd);
    if (server->hangup_fd >= 0)
        close(server->hangup_fd);
    free(server->socket_path);
    free(server);
}

static int server_start(struct http_server *server, const struct http_server_options *options,
                        struct err *err)
{
    server->socket_path = strdup(options->socket_path);
    if (server->socket_path == NULL)
        return err_nomem(err, "opening the HTTP server");
    http_socket_raise_limit();
    server->hangup_fd = epoll_create1(EPOLL_CLOEXEC);
    if (server->hangup_fd < 0)
        return err_sys(err, errno, "cannot make an epoll descriptor");
    server->listen_fd =
        http_socket_listen(options->socket_path, options->socket_mode, options->socket_gid, err);
    if (server->listen_fd < 0)
        return -1;
    server->bound = true;
    if (start_daemon(server, options, err) < 0)
        return -1;
    start_handles(server);
    return 0;
}

int http_server_open(struct http_server **ret, uv_loop_t *loop, const struct http_server_options *options,
                     struct err *err)
{
    struct http_server *server = calloc(1, sizeof(*server));
    if (server == NULL)
        return err_nomem(err, "opening the HTTP server");
    server->loop = loop;
    server->routes = options->routes;
    server->data = options->data;
    server->body_limit_bytes =
        options->body_limit_bytes > 0 ? options->body_limit_bytes : BODY_LIMIT_DEFAULT_BYTES;
    server->idle_timeout_s = options->idle_timeout_s > 0 ? options->idle_timeout_s : IDLE_TIMEOUT_DEFAULT_S;
    server->listen_fd = server->hangup_fd = -1;
    if (server_start(server, options, err) < 0) {
        server_free(server);
        return -1;
    }
    *ret = server;
    return 0;
}

/* ---- the end ---- */

static void on_handle_closed(uv_handle_t *handle)
{
    struct http_server *server = handle->data;
    if (--server->handles_open > 0)
        return;
    void (*on_closed)(void *data) = server->on_closed;
    void *data = server->on_closed_data;
    server_free(server);
    if (on_closed != NULL)
        on_closed(data);
}

/* libmicrohttpd closes its epoll descriptor and all connections, so the loop must have let go of the former
 * first. */
static void close_finish(struct http_server *server)
{
    uv_poll_stop(&server->mhd_poll);
    uv_poll_stop(&server->hangup_poll);
    struct http_conn *conn;
    DL_FOREACH(server->conns, conn)
    http_conn_resume(conn);
    struct MHD_Daemon *daemon = steal_ptr(server->daemon);
    MHD_stop_daemon(daemon);
    uv_handle_t *const handles[HTTP_LOOP_HANDLES] = {
        (uv_handle_t *)&server->mhd_poll, (uv_handle_t *)&server->hangup_poll,
        (uv_handle_t *)&server->mhd_timer, (uv_handle_t *)&server->deadline_timer,
        (uv_handle_t *)&server->close_timer};
    for (size_t i = 0; i < HTTP_LOOP_HANDLES; i++)
        uv_close(handles[i], on_handle_closed);
}

/* Nobody new gets in, and who waits is cancelled. */
static void close_begin(struct http_server *server)
{
    MHD_quiesce_daemon(server->daemon);
    close(steal_fd(&server->listen_fd));
    unlink(server->socket_path);
    server->bound = false;
    struct http_conn *conn;
    DL_FOREACH(server->conns, conn)
    {
        if (conn->request != NULL && (conn->request->state == HTTP_OPEN || conn->request->stream != NULL))
            conn_hung_up(conn);
    }
}

/* First call: stop listening. Later: all answers are out, or the grace for those who do not take theirs is
 * over. */
static void on_close_timer(uv_timer_t *timer)
{
    struct http_server *server = timer->data;
    if (server->bound) {
        close_begin(server);
        if (server->n_replying > 0) {
            uv_timer_start(&server->close_timer, on_close_timer, CLOSE_GRACE_MS, 0);
            return;
        }
    }
    close_finish(server);
}

void http_server_close(struct http_server *server, void (*on_closed)(void *data), void *data)
{
    if (server == NULL) {
        if (on_closed != NULL)
            on_closed(data);
        return;
    }
    if (server->closing)
        return;
    server->closing = true;
    server->on_closed = on_closed;
    server->on_closed_data = data;
    /* Not here: the caller may be a handler, with libmicrohttpd above it on the stack. */
    uv_timer_start(&server->close_timer, on_close_timer, 0, 0);
}
