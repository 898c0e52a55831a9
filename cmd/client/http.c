/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client/http.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/descriptor.h"

#define BODY_LIMIT ((size_t)512 * 1024 * 1024)
#define READ_SIZE ((size_t)64 * 1024)

/* A path too long for sun_path is reached through its directory's descriptor. Returns 0 or an errno. */
static int socket_address(struct sockaddr_un *ret, const char *path, int *ret_dir)
{
    ret->sun_family = AF_UNIX;
    if (strlen(path) < sizeof(ret->sun_path)) {
        strcpy(ret->sun_path, path);
        return 0;
    }
    const char *slash = strrchr(path, '/');
    if (slash == NULL || strlen(slash) > 64)
        return ENAMETOOLONG;
    auto_free char *dir = strndup(path, (size_t)(slash - path));
    if (dir == NULL)
        return ENOMEM;
    *ret_dir = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*ret_dir < 0)
        return errno;
    snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d%s", *ret_dir, slash);
    return 0;
}

static int unreachable(const struct http_call *call, int error, struct err *err)
{
    bool absent = error == ENOENT || error == ECONNREFUSED || error == ENOTDIR;
    err_sys(err, error, "cannot reach the %s at '%s'", call->service, call->path);
    if (err != NULL) {
        size_t used = strlen(err->message);
        const char *hint = absent            ? "; is the stack up? start it with 'wharf up --detach'"
                           : error == EACCES ? "; only root and members of the socket's group may"
                                             : "";
        snprintf(err->message + used, sizeof(err->message) - used, "%s", hint);
        err->code = ERR_UNAVAILABLE;
    }
    return -1;
}

int http_connect(struct http_call *call, const char *service, const char *path, struct err *err)
{
    call->service = service;
    call->path = path;
    struct sockaddr_un address = {0};
    auto_fd int dir = -1;
    int error = socket_address(&address, path, &dir);
    if (error != 0)
        return unreachable(call, error, err);
    auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_sys(err, errno, "cannot make a socket");
    int rc;
    do {
        rc = connect(fd, (const struct sockaddr *)&address, sizeof(address));
    } while (rc < 0 && errno == EINTR);
    if (rc < 0)
        return unreachable(call, errno, err);
    http_response_init(&call->response, BODY_LIMIT);
    call->fd = steal_fd(&fd);
    return 0;
}

int http_send(struct http_call *call, const struct http_request *request, struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    buf_printf(&text, "%s %s HTTP/1.1\r\nHost: wharf\r\n", request->method, request->target);
    if (request->upgrade != NULL)
        buf_printf(&text, "Connection: Upgrade\r\nUpgrade: %s\r\n", request->upgrade);
    else
        buf_add_string(&text, "Connection: close\r\n");
    if (request->headers != NULL)
        buf_add_string(&text, request->headers);
    if (request->body != NULL) {
        buf_printf(&text, "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                   request->body_size);
        buf_add(&text, request->body, request->body_size);
    } else {
        buf_add_string(&text, "\r\n");
    }
    if (text.failed)
        return err_nomem(err, "making a request");
    size_t sent = 0;
    while (sent < text.size) {
        ssize_t n = send(call->fd, text.data + sent, text.size - sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        /* A server that refuses a large body answers and closes early: its answer is still to be read. */
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET) && sent > 0)
            return 0;
        if (n < 0) {
            err_sys(err, errno, "cannot send to the %s at '%s'", call->service, call->path);
            if (err != NULL)
                err->code = ERR_UNAVAILABLE;
            return -1;
        }
        sent += (size_t)n;
    }
    return 0;
}

static int went_away(const struct http_call *call, const char *why, struct err *err)
{
    return err_set(err, ERR_UNAVAILABLE, "the %s at '%s' went away: %s", call->service, call->path, why);
}

int http_receive(struct http_call *call, int timeout_ms, struct err *err)
{
    if (call->response.part == HTTP_DONE)
        return 0;
    struct pollfd wait = {.fd = call->fd, .events = POLLIN};
    int ready = timeout_ms < 0 ? 1 : poll(&wait, 1, timeout_ms);
    if (ready < 0 && errno == EINTR)
        return 1;
    if (ready < 0)
        return err_sys(err, errno, "cannot wait for the %s", call->service);
    if (ready == 0)
        return err_set(err, ERR_TIMEOUT, "the %s at '%s' does not answer", call->service, call->path);
    char data[READ_SIZE];
    ssize_t n = recv(call->fd, data, sizeof(data), 0);
    if (n < 0 && errno == EINTR)
        return 1;
    if (n < 0)
        return went_away(call, strerror(errno), err);
    struct err why = ERR_INIT;
    if (n == 0) {
        if (http_response_end(&call->response, &why) < 0)
            return went_away(call, why.message, err);
        return 0;
    }
    if (http_response_feed(&call->response, data, (size_t)n, &why) < 0)
        return err_set(err, why.code, "the %s at '%s': %s", call->service, call->path, why.message);
    return call->response.part == HTTP_DONE ? 0 : 1;
}

int http_receive_descriptor(struct http_call *call, int timeout_ms, int *ret_fd, struct err *err)
{
    struct err why = ERR_INIT;
    while (*ret_fd < 0 && (call->response.part != HTTP_DONE || call->response.status == 101)) {
        struct pollfd wait = {.fd = call->fd, .events = POLLIN};
        int ready = poll(&wait, 1, timeout_ms);
        if (ready == 0)
            return err_set(err, ERR_TIMEOUT, "the %s at '%s' does not answer", call->service, call->path);
        char data[4096];
        ssize_t n = ready < 0 ? -1 : descriptor_receive(call->fd, data, sizeof(data), ret_fd);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return went_away(call, n < 0 ? strerror(errno) : "it sent no descriptor", err);
        if (*ret_fd < 0 && http_response_feed(&call->response, data, (size_t)n, &why) < 0)
            return err_set(err, why.code, "the %s at '%s': %s", call->service, call->path, why.message);
    }
    return 0;
}

int http_receive_all(struct http_call *call, int timeout_ms, struct err *err)
{
    int64_t deadline_ns = clock_monotonic_ns() + (int64_t)timeout_ms * 1000000;
    int rc = 1;
    while (rc > 0) {
        int64_t left_ms = (deadline_ns - clock_monotonic_ns()) / 1000000;
        rc = http_receive(call, left_ms > 0 ? (int)left_ms : 0, err);
    }
    return rc;
}

void http_release(struct http_call *call)
{
    if (call->fd >= 0) {
        close(call->fd);
        http_response_release(&call->response);
    }
    call->fd = -1;
}

void http_add_encoded(struct buf *target, const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
        if (isalnum(*at) || strchr("-._~", *at) != NULL)
            buf_add(target, at, 1);
        else
            buf_printf(target, "%%%02X", *at);
    }
}
