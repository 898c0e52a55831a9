/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Happy path: the runtime's socket is connected while the writer appends the command; then one GET, frames
 * until the end frame. When the stream breaks (the runtime was restarted), it is asked for again with the
 * number of bytes we have had already, for RECONNECT_NS. It waits in poll(2) only, for the stream and for
 * signals together.
 */
#include "cmd/client/attach.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/say.h"
#include "cmd/client/frames.h"

#define RECONNECT_NS (60LL * 1000000000LL)
#define RECONNECT_PAUSE_MS 100

static const struct {
    int number;
    const char *name;
} forwarded[] = {{SIGINT, "SIGINT"},   {SIGTERM, "SIGTERM"}, {SIGHUP, "SIGHUP"},
                 {SIGQUIT, "SIGQUIT"}, {SIGUSR1, "SIGUSR1"}, {SIGUSR2, "SIGUSR2"}};
#define N_FORWARDED (sizeof(forwarded) / sizeof(forwarded[0]))

int attach_init(struct attach *attach, const struct client *client, struct err *err)
{
    *attach = (struct attach){.client = client, .call = HTTP_CALL_INIT, .signals_fd = -1};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < N_FORWARDED; i++)
        sigaddset(&set, forwarded[i].number);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return err_sys(err, errno, "cannot block signals");
    attach->signals_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (attach->signals_fd < 0)
        return err_sys(err, errno, "cannot receive signals");
    api_connect(client, API_RUNTIME, &attach->call, &attach->path, NULL);
    return 0;
}

void attach_release(struct attach *attach)
{
    http_release(&attach->call);
    if (attach->signals_fd >= 0)
        close(attach->signals_fd);
    free(attach->path);
    free(attach->node);
    json_decref(attach->end);
    *attach = (struct attach){.call = HTTP_CALL_INIT, .signals_fd = -1};
}

static int request(struct attach *attach, struct err *err)
{
    if (attach->call.fd < 0 &&
        api_connect(attach->client, API_RUNTIME, &attach->call, &attach->path, err) < 0)
        return -1;
    char target[256];
    snprintf(target, sizeof(target), "/v1/containers/%s/attach?skip_stdout=%llu&skip_stderr=%llu",
             attach->container, (unsigned long long)attach->stdout_bytes,
             (unsigned long long)attach->stderr_bytes);
    const struct http_request get = {.method = "GET", .target = target};
    return http_send(&attach->call, &get, err);
}

static void forward(struct attach *attach, int number)
{
    const char *name = NULL;
    for (size_t i = 0; i < N_FORWARDED; i++)
        if (forwarded[i].number == number)
            name = forwarded[i].name;
    struct err err = ERR_INIT;
    struct api_command command = {.call = HTTP_CALL_INIT};
    struct api_result result;
    json_t *data = json_pack("{s:s, s:s}", "container", attach->container, "signal", name);
    int rc = data == NULL ? err_nomem(&err, "making a command")
                          : api_command_begin(&command, attach->client, "container.kill", attach->node, data,
                                              false, &err);
    if (rc == 0)
        rc = api_command_finish(&command, &result, &err);
    api_command_release(&command);
    if (rc < 0)
        say_error("cannot forward %s to the container: %s", name, err.message);
}

static void take_signals(struct attach *attach)
{
    struct signalfd_siginfo info;
    while (read(attach->signals_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        forward(attach, (int)info.ssi_signo);
}

static int write_all(int fd, const char *data, size_t size, struct err *err)
{
    while (size > 0) {
        ssize_t n = write(fd, data, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            struct pollfd wait = {.fd = fd, .events = POLLOUT};
            poll(&wait, 1, -1);
            continue;
        }
        if (n < 0)
            return err_sys(err, errno, "cannot write the container's output");
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

static int take_frame(struct attach *attach, const struct frame *frame, struct err *err)
{
    switch (frame->kind) {
    case FRAME_STDOUT:
        attach->stdout_bytes += frame->size;
        return write_all(STDOUT_FILENO, frame->payload, frame->size, err);
    case FRAME_STDERR:
        attach->stderr_bytes += frame->size;
        return write_all(STDERR_FILENO, frame->payload, frame->size, err);
    case FRAME_END:
        attach->end = json_loadb(frame->payload, frame->size, 0, NULL);
        return attach->end != NULL ? 0 : err_set(err, ERR_PROTOCOL, "the runtime's end frame is no JSON");
    }
    return err_set(err, ERR_INTERNAL, "unknown frame");
}

/* Output that came is written even when the connection broke right after it. */
static int take_frames(struct attach *attach, struct err *err)
{
    struct buf *body = &attach->call.response.body;
    struct frame frame;
    size_t at = 0;
    int rc = 0;
    while (attach->end == NULL && (rc = frame_next(body->data, body->size, &at, &frame, err)) > 0)
        if (take_frame(attach, &frame, err) < 0)
            return -1;
    buf_consume(body, at);
    return rc < 0 ? -1 : 0;
}

/* The stream is gone: 0 to try again, -1 when the time for that is over. */
static int stream_broke(struct attach *attach, const struct err *why, struct err *err)
{
    int64_t now_ns = clock_monotonic_ns();
    http_release(&attach->call);
    if (attach->broken_ns == 0)
        attach->broken_ns = now_ns;
    if (now_ns - attach->broken_ns > RECONNECT_NS)
        return err_set(err, ERR_UNAVAILABLE,
                       "lost the output of container %.12s: %s; 'wharf logs' and 'wharf wait' go on",
                       attach->container, why->message);
    if (!attach->said)
        say_warning("%s; trying to reconnect for 60 seconds", why->message);
    attach->said = true;
    struct pollfd wait = {.fd = attach->signals_fd, .events = POLLIN};
    if (poll(&wait, 1, RECONNECT_PAUSE_MS) > 0)
        take_signals(attach);
    return 0;
}

static bool is_temporary(const struct err *err)
{
    return err->code == ERR_UNAVAILABLE;
}

/* Reads once what the stream has. */
static int advance(struct attach *attach, struct err *err)
{
    struct err why = ERR_INIT;
    int rc = http_receive(&attach->call, -1, &why);
    const struct http_response *response = &attach->call.response;
    if (rc >= 0 && http_response_has_headers(response) && response->status != 200) {
        rc = rc > 0 ? http_receive_all(&attach->call, 5000, &why) : 0;
        if (rc == 0)
            rc = api_problem(&attach->call, &why);
    } else if (http_response_has_headers(response) && response->status == 200) {
        if (rc >= 0 && attach->broken_ns != 0)
            attach->broken_ns = 0;
        if (take_frames(attach, err) < 0)
            return -1;
    }
    if (attach->end != NULL || rc > 0)
        return 0;
    if (rc == 0)
        err_set(&why, ERR_UNAVAILABLE, "the runtime ended the stream");
    return is_temporary(&why) ? stream_broke(attach, &why, err) : err_set(err, why.code, "%s", why.message);
}

int attach_follow(struct attach *attach, const char *container, struct err *err)
{
    snprintf(attach->container, sizeof(attach->container), "%s", container);
    bool requested = false;
    while (attach->end == NULL) {
        struct err why = ERR_INIT;
        if (!requested || attach->call.fd < 0)
            requested = request(attach, &why) == 0;
        if (!requested) {
            if (!is_temporary(&why))
                return err_set(err, why.code, "%s", why.message);
            if (stream_broke(attach, &why, err) < 0)
                return -1;
            continue;
        }
        struct pollfd wait[2] = {{.fd = attach->signals_fd, .events = POLLIN},
                                 {.fd = attach->call.fd, .events = POLLIN}};
        if (poll(wait, 2, -1) < 0 && errno != EINTR)
            return err_sys(err, errno, "cannot wait for the container");
        if (wait[0].revents != 0)
            take_signals(attach);
        if (wait[1].revents != 0 && advance(attach, err) < 0)
            return -1;
    }
    return 0;
}
