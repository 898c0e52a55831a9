/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Happy path: the runtime's socket is connected while the writer appends the command; then one GET, frames
 * until the end frame. When the stream breaks (the runtime was restarted), it is asked for again with the
 * number of bytes we have had already, for RECONNECT_NS. It waits in poll(2) only, for the stream and for
 * signals together.
 */
#include "cmd/client/attaching.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/say.h"
#include "base/timestamp.h"
#include "cmd/client/frames.h"

#define RECONNECT_NS (60LL * 1000000000LL)
#define RECONNECT_PAUSE_MS 100

static const struct {
    int number;
    const char *name;
} forwarded[] = {{SIGINT, "SIGINT"},   {SIGTERM, "SIGTERM"}, {SIGHUP, "SIGHUP"},
                 {SIGQUIT, "SIGQUIT"}, {SIGUSR1, "SIGUSR1"}, {SIGUSR2, "SIGUSR2"}};
#define N_FORWARDED (sizeof(forwarded) / sizeof(forwarded[0]))
#define OWN_FAILURE 125

int attach_init(struct attach *attach, const struct client *client, const struct attach_options *options,
                struct err *err)
{
    *attach = (struct attach){
        .client = client, .options = *options, .call = HTTP_CALL_INIT, .input = {.fd = -1}, .signals_fd = -1};
    const char *keys = options->detach_keys != NULL ? options->detach_keys : DETACH_KEYS_DEFAULT;
    struct detach_keys checked;
    if (detach_keys_parse(&checked, keys, err) < 0)
        return -1;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGWINCH);
    sigaddset(&set, SIGCONT);
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
    terminal_restore(&attach->terminal);
    input_release(&attach->input);
    http_release(&attach->call);
    if (attach->signals_fd >= 0)
        close(attach->signals_fd);
    free(attach->path);
    free(attach->node);
    json_decref(attach->end);
    *attach = (struct attach){.call = HTTP_CALL_INIT, .input = {.fd = -1}, .signals_fd = -1};
}

static const char *kind_of(const struct attach *attach)
{
    return attach->options.exec ? "execs" : "containers";
}

static int request(struct attach *attach, struct err *err)
{
    if (attach->call.fd < 0 &&
        api_connect(attach->client, API_RUNTIME, &attach->call, &attach->path, err) < 0)
        return -1;
    char target[256], since[TIMESTAMP_SIZE];
    timestamp_format(since, attach->since_ns);
    snprintf(target, sizeof(target), "/v1/%s/%s/attach?skip_stdout=%llu&skip_stderr=%llu%s%s%s",
             kind_of(attach), attach->container, (unsigned long long)attach->stdout_bytes,
             (unsigned long long)attach->stderr_bytes, attach->since_ns != 0 ? "&since=" : "",
             attach->since_ns != 0 ? since : "", attach->next_start ? "&start=1" : "");
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
    while (read(attach->signals_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        int number = (int)info.ssi_signo;
        if (number == SIGWINCH || number == SIGCONT) {
            if (attach->terminal.raw) /* who stopped us may have changed it */
                terminal_make_raw(&attach->terminal, NULL);
            input_resize(&attach->input);
        } else if (attach->options.signals) {
            forward(attach, number);
        } else {
            attach->signal = number;
        }
    }
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

/* The container runs: now there is something to be typed into. One that has ended meanwhile, and may be
 * removed, says so by its end frame. */
static int take_started(struct attach *attach, const struct frame *frame, struct err *err)
{
    json_auto_t *started = json_loadb(frame->payload, frame->size, 0, NULL);
    bool tty = json_is_true(json_object_get(started, "tty"));
    bool interactive = json_is_true(json_object_get(started, "interactive"));
    bool types = attach->options.input && interactive;
    struct err why = ERR_INIT;
    attach->next_start = false;
    /* As docker has it: what ends this client, such as a terminal that is closed, is its own affair. */
    if (tty)
        attach->options.signals = false;
    if (attach->input.fd >= 0 || !(types || tty))
        return 0;
    if (types && tty && !isatty(STDIN_FILENO))
        return err_set(
            err, ERR_INVALID,
            "the container has a terminal, and standard input is none: leave the input out, or run "
            "it from a terminal");
    if (input_connect(&attach->input, attach->client, kind_of(attach), attach->container, &why) < 0)
        return why.code == ERR_CONFLICT || why.code == ERR_NOT_FOUND
                   ? 0
                   : err_set(err, why.code, "%s", why.message);
    attach->input.reads = types;
    attach->input.ends = attach->options.input_ends;
    const char *keys = attach->options.detach_keys;
    if (tty && detach_keys_parse(&attach->input.keys, keys != NULL ? keys : DETACH_KEYS_DEFAULT, err) < 0)
        return -1;
    if (types && tty && terminal_make_raw(&attach->terminal, err) < 0)
        return -1;
    if (tty)
        input_resize(&attach->input);
    return 0;
}

static int show(struct attach *attach, int fd, const struct frame *frame, struct err *err)
{
    return attach->options.output ? write_all(fd, frame->payload, frame->size, err) : 0;
}

static int take_frame(struct attach *attach, const struct frame *frame, struct err *err)
{
    switch (frame->kind) {
    case FRAME_STDOUT:
        attach->stdout_bytes += frame->size;
        return show(attach, STDOUT_FILENO, frame, err);
    case FRAME_STDERR:
        attach->stderr_bytes += frame->size;
        return show(attach, STDERR_FILENO, frame, err);
    case FRAME_END:
        attach->end = json_loadb(frame->payload, frame->size, 0, NULL);
        return attach->end != NULL ? 0 : err_set(err, ERR_PROTOCOL, "the runtime's end frame is no JSON");
    case FRAME_STARTED:
        return take_started(attach, frame, err);
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

int attach_request(struct attach *attach, const char *container, struct err *err)
{
    snprintf(attach->container, sizeof(attach->container), "%s", container);
    attach->next_start = true;
    attach->requested = request(attach, err) == 0;
    return attach->requested ? 0 : -1;
}

static bool is_over(const struct attach *attach)
{
    return attach->end != NULL || attach->input.detached || attach->signal != 0;
}

static int follow(struct attach *attach, struct err *err)
{
    while (!is_over(attach)) {
        struct err why = ERR_INIT;
        if (!attach->requested || attach->call.fd < 0)
            attach->requested = request(attach, &why) == 0;
        if (!attach->requested) {
            if (!is_temporary(&why))
                return err_set(err, why.code, "%s", why.message);
            if (stream_broke(attach, &why, err) < 0)
                return -1;
            continue;
        }
        struct pollfd wait[2 + INPUT_POLL] = {{.fd = attach->signals_fd, .events = POLLIN},
                                              {.fd = attach->call.fd, .events = POLLIN}};
        input_prepare(&attach->input, wait + 2);
        if (poll(wait, 2 + INPUT_POLL, -1) < 0 && errno != EINTR)
            return err_sys(err, errno, "cannot wait for the container");
        if (wait[0].revents != 0)
            take_signals(attach);
        if (wait[1].revents != 0 && advance(attach, err) < 0)
            return -1;
        input_react(&attach->input, wait + 2);
    }
    return 0;
}

int attach_follow(struct attach *attach, const char *container, struct err *err)
{
    snprintf(attach->container, sizeof(attach->container), "%s", container);
    int rc = follow(attach, err);
    terminal_restore(&attach->terminal); /* before anything is said */
    return rc;
}

int attach_code(const struct attach *attach)
{
    const json_t *end = attach->end;
    const char *message = json_text(end, "message", NULL);
    const json_t *code = json_object_get(end, "exit_code");
    if (end == NULL) {
        if (attach->input.detached)
            fputs("\n", stderr); /* the container's cursor is anywhere */
        return attach->signal != 0 ? 128 + attach->signal : 0;
    }
    bool ok = strcmp(json_text(end, "outcome", "failed"), "ok") == 0;
    if (!ok)
        say_error("%s", message != NULL        ? message
                        : attach->options.exec ? "the command could not be executed"
                                               : "the container could not be run");
    if (json_is_integer(code))
        return (int)json_integer_value(code);
    if (ok)
        say_error("nobody knows the %s's exit code%s%s; 'wharf history' shows what was observed",
                  attach->options.exec ? "command" : "container", message != NULL ? ": " : "",
                  message != NULL ? message : "");
    return OWN_FAILURE;
}

int attach_follow_command(struct attach *attach, struct api_command *command, const char *id, int *ret_code,
                          struct err *err)
{
    struct api_result result;
    if (attach_follow(attach, id, err) < 0)
        return -1;
    if (attach->end == NULL || strcmp(json_text(attach->end, "code", ""), "unknown-container") != 0) {
        *ret_code = attach_code(attach);
        return 0;
    }
    if (api_command_ask_outcome(command, &result, err) < 0)
        return -1;
    if (result.ok && attach->options.exec)
        return err_set(err, ERR_UNAVAILABLE,
                       "the command ended while nobody was there to read what it wrote: 'wharf history' has "
                       "its exit code");
    if (result.ok)
        return err_set(err, ERR_UNAVAILABLE,
                       "the output of container %.12s is not on this node; see 'wharf logs'", id);
    say_error("%s", result.message);
    *ret_code = result.exit_code > 0 ? result.exit_code : OWN_FAILURE;
    return 0;
}
