/* SPDX-License-Identifier: Apache-2.0 */
#include "writer/writer.h"

#include <stdlib.h>
#include <string.h>

#include "base/say.h"
#include "writer/writer_internal.h"

#define APPEND_TIMEOUT_MS 5000
#define READY_PATIENCE_MS 3000 /* so long for the log before whoever started us is told that we run */
#define WRITER_TIMERS 3        /* ready_timer and the two retry timers */

static void tell_ready(struct writer *writer)
{
    uv_timer_stop(&writer->ready_timer);
    if (writer->told_ready || writer->stopping)
        return;
    writer->told_ready = true;
    if (writer->options.on_ready != NULL)
        writer->options.on_ready(writer->options.data);
}

static void on_patience_over(uv_timer_t *timer)
{
    tell_ready(timer->data);
}

void writer_caught_up(struct writer *writer)
{
    writer->caught_up = true;
    tell_ready(writer);
}

void writer_fail(struct writer *writer, const struct err *err)
{
    if (!writer->stopping)
        writer->options.on_failed(err, writer->options.data);
}

/* ---- trouble ---- */

static void on_trouble(const struct log_trouble *trouble, void *data)
{
    struct writer *writer = data;
    switch (trouble->kind) {
    case LOG_AWAY:
        writer->away |= 1u << trouble->topic;
        say_warning("%s", trouble->message);
        tell_ready(writer);
        return;
    case LOG_BACK:
        writer->away &= ~(1u << trouble->topic);
        say_info("%s", trouble->message);
        return;
    case LOG_UNSAFE:
        if (writer->warnings == NULL)
            writer->warnings = json_array();
        json_array_append_new(writer->warnings, json_string(trouble->message));
        say_warning("%s", trouble->message);
        return;
    case LOG_LOSS:
    case LOG_DAMAGED:
        say_warning("%s", trouble->message);
        return;
    }
}

/* ---- open and start ---- */

int writer_open(struct writer **ret, uv_loop_t *loop, const struct writer_options *options, struct err *err)
{
    struct writer *writer = calloc(1, sizeof(*writer));
    if (writer == NULL)
        return err_nomem(err, "opening the writer");
    writer->loop = loop;
    writer->options = *options;
    const struct http_server_options http = {.socket_path = options->socket_path,
                                             .body_limit_bytes = MESSAGE_DATA_LIMIT,
                                             .socket_mode = options->socket_mode,
                                             .socket_gid = options->socket_gid,
                                             .idle_timeout_s = options->idle_timeout_s,
                                             .routes = writer_routes,
                                             .data = writer};
    if (http_server_open(&writer->http, loop, &http, err) < 0) {
        free(writer);
        return -1;
    }
    pending_init(&writer->pending, PENDING_COMMANDS_MAX, PENDING_EVENT_BYTES_MAX);
    follow_init(writer);
    uv_timer_init(loop, &writer->ready_timer);
    writer->ready_timer.data = writer;
    writer->timers_open = WRITER_TIMERS;
    *ret = writer;
    return 0;
}

int writer_start(struct writer *writer, const char *log_url, const struct log_options *log_options,
                 struct err *err)
{
    struct log_options options = *log_options;
    options.on_trouble = on_trouble;
    options.data = writer;
    options.append_topics = 1u << LOG_COMMANDS;
    if (options.append_timeout_ms == 0)
        options.append_timeout_ms = APPEND_TIMEOUT_MS;
    if (log_open(&writer->log, writer->loop, log_url, &options, err) < 0)
        return -1;
    uv_timer_start(&writer->ready_timer, on_patience_over, READY_PATIENCE_MS, 0);
    follow_start(writer);
    return 0;
}

/* ---- the end: appends finish, then HTTP, then the log, then the timers ---- */

static void writer_free(struct writer *writer)
{
    void (*on_stopped)(void *data) = writer->on_stopped;
    void *data = writer->on_stopped_data;
    pending_release(&writer->pending);
    placement_release(&writer->placement);
    for (size_t i = 0; i < writer->events.n; i++)
        buf_release(&writer->events.partitions[i].newest);
    free(writer->events.partitions);
    free(writer->commands.partitions);
    json_decref(writer->warnings);
    free(writer);
    if (on_stopped != NULL)
        on_stopped(data);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct writer *writer = handle->data;
    writer->timers_open--;
    writer_stop_step(writer);
}

static void on_follow_timer_closed(uv_handle_t *handle)
{
    struct follow *follow = handle->data;
    follow->writer->timers_open--;
    writer_stop_step(follow->writer);
}

static void on_log_closed(void *data)
{
    struct writer *writer = data;
    writer->log = NULL;
    uv_close((uv_handle_t *)&writer->ready_timer, on_timer_closed);
    uv_close((uv_handle_t *)&writer->events.retry, on_follow_timer_closed);
    uv_close((uv_handle_t *)&writer->commands.retry, on_follow_timer_closed);
}

static void on_http_closed(void *data)
{
    struct writer *writer = data;
    writer->http = NULL;
    follow_file_write(writer, 1);
    follow_stop(writer);
    if (writer->log != NULL)
        log_close(writer->log, on_log_closed, writer);
    else
        on_log_closed(writer);
}

void writer_stop_step(struct writer *writer)
{
    if (!writer->stopping || writer->n_appending > 0)
        return;
    if (!writer->http_closing) {
        writer->http_closing = true;
        http_server_close(writer->http, on_http_closed, writer);
    } else if (writer->timers_open == 0) {
        writer_free(writer);
    }
}

void writer_stop(struct writer *writer, void (*on_stopped)(void *data), void *data)
{
    writer->stopping = true;
    writer->on_stopped = on_stopped;
    writer->on_stopped_data = data;
    uv_timer_stop(&writer->ready_timer);
    commands_stop(writer);
    writer_stop_step(writer);
}
