/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/say.h"
#include "base/timestamp.h"
#include "cmd/client/frames.h"
#include "cmd/client/reading.h"
#include "cmd/client/values.h"

struct logs_options {
    bool follow;
    bool timestamps;
    const char *since;
    const char *until;
    const char *tail;
};

static const struct option_row rows[] = {
    OPTION_ROW(logs_options, follow, 'f', "follow", NULL, OPTION_FLAG,
               "go on with what is written from now on"),
    OPTION_ROW(logs_options, since, 0, "since", "TIME", OPTION_STRING,
               "only output since a time, such as 10m or 2026-01-02T03:04:05Z"),
    OPTION_ROW(logs_options, until, 0, "until", "TIME", OPTION_STRING,
               "only output until a time that has passed"),
    OPTION_ROW(logs_options, tail, 'n', "tail", "N", OPTION_STRING, "only the last N lines, or all"),
    OPTION_ROW(logs_options, timestamps, 't', "timestamps", NULL, OPTION_FLAG,
               "begin each line with its time"),
    {.name = "details",
     .kind = OPTION_UNSUPPORTED,
     .help = "output has no attributes; 'wharf inspect' shows the container's"},
    OPTION_END};

/* What is known between frames: whether each stream is at the beginning of a line. */
struct printer {
    bool timestamps;
    int64_t until_ns; /* nothing later is printed */
    bool in_line[FRAME_STDERR + 1];
    bool ended;
};

static void print_frame(struct printer *printer, const struct frame *frame)
{
    FILE *out = frame->kind == FRAME_STDERR ? stderr : stdout;
    const char *at = frame->payload;
    const char *end = at + frame->size;
    char time[TIMESTAMP_SIZE];
    if (out == stderr)
        fflush(stdout); /* both may be the same file, and its order is the log's */
    if (!printer->timestamps) {
        fwrite(at, 1, frame->size, out);
        return;
    }
    timestamp_format(time, frame->time_ns);
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t size = (size_t)((newline != NULL ? newline + 1 : end) - at);
        if (!printer->in_line[frame->kind])
            fprintf(out, "%s ", time);
        fwrite(at, 1, size, out);
        printer->in_line[frame->kind] = newline == NULL;
        at += size;
    }
}

static int take_frames(struct printer *printer, struct buf *body, struct err *err)
{
    struct frame frame;
    size_t at = 0;
    int rc = 0;
    while (!printer->ended && (rc = frame_next(body->data, body->size, &at, &frame, err)) > 0) {
        bool output = frame.kind == FRAME_STDOUT || frame.kind == FRAME_STDERR;
        if (frame.kind == FRAME_END || (output && frame.time_ns > printer->until_ns))
            printer->ended = true;
        else if (frame.kind != FRAME_STARTED)
            print_frame(printer, &frame);
    }
    buf_consume(body, at);
    if (rc < 0)
        return -1;
    return fflush(stdout) != 0 ? err_sys(err, errno, "cannot write") : 0;
}

static int copy(struct http_call *call, struct printer *printer, struct err *err)
{
    while (!printer->ended) {
        int rc = http_receive(call, -1, err);
        if (rc < 0)
            return -1;
        if (!http_response_has_headers(&call->response))
            continue;
        if (call->response.status != 200) {
            if (rc > 0 && http_receive_all(call, 5000, err) < 0)
                return -1;
            return api_problem(call, err);
        }
        if (take_frames(printer, &call->response.body, err) < 0)
            return -1;
        if (rc == 0 && !printer->ended)
            return err_set(err, ERR_UNAVAILABLE,
                           "the runtime ended the stream; the output may go on: ask again");
    }
    return 0;
}

static int make_target(struct buf *target, const char *id, const struct logs_options *options,
                       struct err *err)
{
    int64_t value = 0;
    buf_printf(target, "/v1/containers/%s/logs?follow=%d", id, options->follow ? 1 : 0);
    if (options->since != NULL) {
        char time[TIMESTAMP_SIZE];
        if (value_time(options->since, clock_realtime_ns(), &value, err) < 0)
            return -1;
        timestamp_format(time, value);
        buf_add_string(target, "&since=");
        http_add_encoded(target, time);
    }
    if (options->tail != NULL && strcmp(options->tail, "all") != 0) {
        if (value_int(options->tail, "number of lines", -1, INT32_MAX, &value, err) < 0)
            return -1;
        if (value >= 0) /* docker's -1 is all of them */
            buf_printf(target, "&tail=%lld", (long long)value);
    }
    return target->failed ? err_nomem(err, "making a request") : 0;
}

/* What is to come is for --follow, and the last lines are counted from the log's end. */
static int read_until(const struct logs_options *options, int64_t *ret_ns, struct err *err)
{
    int64_t now_ns = clock_realtime_ns();
    if (options->until == NULL)
        return 0;
    if (options->tail != NULL && strcmp(options->tail, "all") != 0)
        return err_set(err, ERR_INVALID, "options '--until' and '--tail' cannot be together: leave one out");
    if (value_time(options->until, now_ns, ret_ns, err) < 0)
        return -1;
    if (options->follow || *ret_ns > now_ns)
        return err_set(err, ERR_INVALID,
                       "'--until' takes a time that has passed, and no '--follow' beside it");
    return 0;
}

static int show(struct client *client, const struct logs_options *options, const char *ref, struct err *err)
{
    char id[CONTAINER_ID_SIZE];
    int64_t until_ns = INT64_MAX;
    auto_buf struct buf target = BUF_INIT;
    if (read_until(options, &until_ns, err) < 0)
        return -1;
    if (reading_resolve(client, ref, id, err) < 0 || make_target(&target, id, options, err) < 0)
        return -1;
    struct http_call call = HTTP_CALL_INIT;
    auto_free char *path = NULL;
    struct printer printer = {.timestamps = options->timestamps, .until_ns = until_ns};
    const struct http_request request = {.method = "GET", .target = target.data};
    int rc = api_connect(client, API_RUNTIME, &call, &path, err);
    if (rc == 0)
        rc = http_send(&call, &request, err);
    if (rc == 0)
        rc = copy(&call, &printer, err);
    http_release(&call);
    return rc;
}

static int logs(struct client *client, const void *options, int argc, char **argv)
{
    (void)argc;
    struct err err = ERR_INIT;
    if (show(client, options, argv[0], &err) == 0)
        return 0;
    say_error("%s", err.message);
    return 1;
}

const struct verb verb_logs = {
    .name = "logs",
    .group = VERB_CONTAINERS,
    .synopsis = "CONTAINER",
    .summary = "show what a container wrote",
    .description = "Its standard output goes to standard output, its standard error to standard error.",
    .operands = "container",
    .options = rows,
    .options_size = sizeof(struct logs_options),
    .min_operands = 1,
    .max_operands = 1,
    .execute = logs,
};
