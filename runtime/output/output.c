/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The happy path of a foreground run: the client asks to attach (attachment with a session), the container is
 * launched (the session reads its log), exits, is removed (descriptors kept), and both are durable: the end
 * frame follows the last output.
 *
 * Failure modes: a start that is refused or fails ends the attachment with the reason; a client that leaves
 * frees its session; a client that never comes lets the attachment expire.
 */
#include "runtime/output/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/http_server.h"
#include "runtime/archive.h"
#include "runtime/output/attachment.h"
#include "runtime/output/usage_answer.h"

/* How long a client may wait for a container that nobody has heard of: the command may still be on its way to
 * us. */
#define UNKNOWN_CONTAINER_MS 30000
#define ATTACHMENTS_LIMIT 10000 /* beyond it, refusals are not kept for clients that may come */

const struct container *output_container(const struct output *output, const char *id)
{
    return output->worker != NULL ? node_state_container(&worker_core(output->worker)->state, id) : NULL;
}

bool output_process(const struct output *output, const char *id, struct output_process *ret)
{
    const struct container *container = output_container(output, id);
    const struct exec *exec =
        output->worker != NULL ? node_state_exec(&worker_core(output->worker)->state, id) : NULL;
    if (container != NULL) {
        *ret = (struct output_process){.runs = container_state_is_running(container->state),
                                       .attach = container->spec.attach,
                                       .interactive = container->spec.interactive,
                                       .tty = container->spec.tty};
        snprintf(ret->name, sizeof(ret->name), "container '%.60s'", container->name);
    } else if (exec != NULL) {
        *ret = (struct output_process){
            .runs = true, .attach = exec->attach, .interactive = exec->interactive, .tty = exec->tty};
        snprintf(ret->name, sizeof(ret->name), "exec '%.12s'", exec->id);
    }
    return container != NULL || exec != NULL;
}

static bool parse_number(const char *text, int64_t *ret)
{
    char *end;
    if (text == NULL)
        return true;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || value < 0)
        return false;
    *ret = value;
    return true;
}

/* --- what the worker tells --- */

static const struct {
    const char *from; /* member of the event's data */
    const char *to;
} exit_members[] = {
    {"exit_code", "exit_code"}, {"signal", "signal"},   {"oom_killed", "oom_killed"},
    {"code", "code"},           {"message", "message"},
};

/* The end frame's JSON from an event's bytes; NULL when memory runs out. */
static char *format_end(const struct decided_event *event, const char *outcome, int default_exit_code)
{
    json_auto_t *document = json_loadb(event->bytes, event->size, 0, NULL);
    json_auto_t *end = json_pack("{s:s, s:n}", "outcome", outcome, "exit_code");
    const json_t *data = json_object_get(document, "data");
    if (end == NULL || data == NULL)
        return NULL;
    if (default_exit_code >= 0 && json_object_set_new(end, "exit_code", json_integer(default_exit_code)) < 0)
        return NULL;
    for (size_t i = 0; i < sizeof(exit_members) / sizeof(exit_members[0]); i++) {
        json_t *value = json_object_get(data, exit_members[i].from);
        if (value != NULL && json_object_set(end, exit_members[i].to, value) < 0)
            return NULL;
    }
    return json_dumps(end, JSON_COMPACT);
}

static void on_exited(struct output *output, struct attachment *attachment, const struct decided_event *event,
                      const struct container *container)
{
    logs_sessions_finish(output, event->subject);
    if (attachment == NULL)
        return;
    char *json = format_end(event, "ok", -1);
    bool removal_follows = container == NULL || container->spec.auto_remove;
    if (removal_follows) {
        free(attachment->result);
        attachment->result = json;
    } else {
        attachment_end(attachment, json);
    }
}

static void on_removed(struct attachment *attachment)
{
    if (attachment != NULL && attachment->end == NULL && attachment->result != NULL)
        attachment_end(attachment, steal_ptr(attachment->result));
}

/* A container that a client is going to attach to, or has asked for already. */
static void on_created(struct output *output, const struct container *container, const char *id)
{
    struct attachment *attachment = attachment_find(output, id);
    if (attachment == NULL && (container == NULL || !container->spec.attach))
        return;
    if (attachment == NULL)
        attachment = attachment_get(output, id);
    if (attachment != NULL)
        uv_timer_stop(&attachment->expiry);
}

/* A command came to nothing. The client that wants to attach to the container or exec it would have made may
 * not have asked yet, since it asks only when it knows the id: the reason waits for it a while. */
static void end_badly(struct output *output, const char *id, bool may_come, const struct decided_event *event)
{
    const char *outcome = event->type == EVENT_COMMAND_REFUSED ? "refused" : "failed";
    struct attachment *attachment = attachment_find(output, id);
    if (attachment == NULL && may_come && output->n_attachments < ATTACHMENTS_LIMIT)
        attachment = attachment_get(output, id);
    if (attachment != NULL && !attachment->launched)
        attachment_end(attachment, format_end(event, outcome, 125));
}

/* Of an exec, or of a command that was to be one. */
static void on_exec_event(struct output *output, const struct decided_event *event)
{
    struct attachment *attachment = attachment_find(output, event->exec_id);
    if (event->type == EVENT_CONTAINER_EXEC_EXITED && attachment != NULL)
        attachment_end(attachment, format_end(event, "ok", -1));
    else if (event->type != EVENT_CONTAINER_EXEC_STARTED && event->type != EVENT_CONTAINER_EXEC_EXITED)
        end_badly(output, event->exec_id, true, event);
}

void output_on_event(struct output *output, const struct decided_event *event,
                     const struct container *container)
{
    if (event->exec_id[0] != '\0') {
        on_exec_event(output, event);
        return;
    }
    struct attachment *attachment = attachment_find(output, event->subject);
    if (event->type == EVENT_CONTAINER_EXITED)
        on_exited(output, attachment, event, container);
    else if (event->type == EVENT_CONTAINER_REMOVED)
        on_removed(attachment);
    else if (event->type == EVENT_CONTAINER_CREATED)
        on_created(output, container, event->subject);
    else if (event->type == EVENT_CONTAINER_START_FAILED && attachment != NULL && !attachment->launched)
        attachment_end(attachment, format_end(event, "failed", 125));
    else if (event->type == EVENT_COMMAND_REFUSED || event->type == EVENT_COMMAND_FAILED)
        end_badly(output, event->subject, container == NULL && container_id_is_valid(event->subject), event);
}

void output_on_launched(struct output *output, const char *container_id)
{
    struct output_process process;
    struct attachment *attachment = attachment_find(output, container_id);
    if (attachment == NULL && output_process(output, container_id, &process) && process.attach)
        attachment = attachment_get(output, container_id);
    if (attachment != NULL)
        attachment_launched(attachment);
}

void output_on_remove(struct output *output, const char *container_id)
{
    logs_sessions_complete(output, container_id);
    struct attachment *attachment = attachment_find(output, container_id);
    if (attachment != NULL)
        attachment_keep_log(attachment);
}

void output_set_worker(struct output *output, struct worker *worker)
{
    output->worker = worker;
}

void output_on_ready(struct output *output)
{
    output->ready = true;
}

void output_on_recovering(struct output *output)
{
    const struct node_state *state = &worker_core(output->worker)->state;
    for (const struct container *each = state->containers; each != NULL; each = each->hh.next)
        if (each->spec.attach && container_state_is_running(each->state))
            output_on_launched(output, each->id);
    for (const struct exec *each = state->execs; each != NULL; each = each->hh.next)
        if (each->attach)
            output_on_launched(output, each->id);
}

/* --- requests --- */

bool output_check_id(struct http_request *request, const char *id)
{
    if (container_id_is_valid(id))
        return true;
    http_reply_problem(request, 400, "bad-container-id", NULL,
                       "'%.100s' is not a container id of 64 hex digits", id);
    return false;
}

void output_reply_unknown(const struct output *output, struct http_request *request, const char *what,
                          const char *id)
{
    if (output->ready)
        http_reply_problem(request, 404, "unknown-container", NULL, "no %s '%.12s' on this node", what, id);
    else
        http_reply_problem(request, 503, "not-ready", NULL, "the runtime is still reading its log");
}

/* An attachment for a container that came to its end before anybody asked, from the state. */
static void attach_to_ended(struct attachment *attachment, const struct container *container)
{
    json_auto_t *end = json_pack("{s:s, s:n}", "outcome", "ok", "exit_code");
    attachment->launched = container->started_at_ns != 0;
    if (end == NULL)
        return;
    if (container->exit_code != SCHEMA_ABSENT)
        json_object_set_new(end, "exit_code", json_integer(container->exit_code));
    attachment_end(attachment, json_dumps(end, JSON_COMPACT));
}

static bool read_attach_from(struct http_request *request, struct attach_from *ret)
{
    struct err err = ERR_INIT;
    const char *since = http_request_query(request, "since");
    const char *start = http_request_query(request, "start");
    ret->next_start = start != NULL && strcmp(start, "1") == 0;
    if (!parse_number(http_request_query(request, "skip_stdout"), &ret->skip_stdout) ||
        !parse_number(http_request_query(request, "skip_stderr"), &ret->skip_stderr)) {
        http_reply_problem(request, 400, "bad-value", NULL, "the skips must be numbers of bytes");
        return false;
    }
    if (since != NULL && timestamp_parse_user(since, clock_realtime_ns(), &ret->since_ns, &err) < 0) {
        http_reply_problem(request, 400, "bad-value", NULL, "%s", err.message);
        return false;
    }
    return true;
}

static void handle_attach(struct http_request *request, void *data)
{
    struct output *output = data;
    const char *id = http_request_param(request, "id");
    struct attach_from from = {0};
    if (!output_check_id(request, id))
        return;
    if (!read_attach_from(request, &from))
        return;
    bool known = attachment_find(output, id) != NULL;
    struct attachment *attachment = attachment_get(output, id);
    if (attachment == NULL) {
        http_reply_problem(request, 500, "out-of-memory", NULL, "out of memory while attaching");
        return;
    }
    const struct container *container = output_container(output, id);
    struct output_process process;
    bool runs = output_process(output, id, &process) && process.runs;
    if (from.next_start && !runs && attachment->sessions == NULL) {
        attachment_rearm(attachment);
        attachment_add_session(attachment, request, &from);
        if (container == NULL) /* otherwise who is about to start it hears of a refusal, and leaves */
            attachment_expire_later(attachment, UNKNOWN_CONTAINER_MS);
        return;
    }
    attachment_add_session(attachment, request, &from);
    if (known)
        return;
    if (runs)
        attachment_launched(attachment);
    else if (container == NULL)
        attachment_expire_later(attachment, UNKNOWN_CONTAINER_MS);
    else if (container->state == CONTAINER_EXITED && !container->spec.auto_remove)
        attach_to_ended(attachment, container);
}

/* True for a container that ran when its host, or the disk, was another one. */
static bool output_is_elsewhere(const struct container *container, int dir_fd)
{
    return container->started_at_ns > 0 && !container_state_is_running(container->state) &&
           (dir_fd < 0 || (faccessat(dir_fd, "log", F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT));
}

static void handle_logs(struct http_request *request, void *data)
{
    struct output *output = data;
    const char *id = http_request_param(request, "id");
    const char *since = http_request_query(request, "since");
    const char *follow = http_request_query(request, "follow");
    int64_t tail_lines = -1, since_ns = 0;
    struct err err = ERR_INIT;
    if (!output_check_id(request, id))
        return;
    if (!parse_number(http_request_query(request, "tail"), &tail_lines)) {
        http_reply_problem(request, 400, "bad-value", NULL, "tail must be a number of lines");
        return;
    }
    if (since != NULL && timestamp_parse_user(since, clock_realtime_ns(), &since_ns, &err) < 0) {
        http_reply_problem(request, 400, "bad-value", NULL, "%s", err.message);
        return;
    }
    const struct container *container = output_container(output, id);
    int dir_fd = host_container_dir(output->host, id, &err);
    if (container == NULL) {
        output_reply_unknown(output, request, "container", id);
    } else if (output_is_elsewhere(container, dir_fd)) {
        http_reply_problem(request, 404, "no-output", NULL,
                           "container '%s' ran, but no output of it is on this host: it was lost with the "
                           "state directory that it ran in",
                           container->name);
    } else if (dir_fd < 0) { /* never started: no output, and that is no error */
        http_reply(request, 200, "application/vnd.wharf.frames", "\3\0\0\0\0\0\0\2\0\0\0\0\0\0\0\0{}", 18);
    } else {
        bool running = container_state_is_running(container->state);
        bool follows = follow != NULL && strcmp(follow, "1") == 0 && running;
        logs_session_open(output, request, id, dir_fd, follows, since_ns, tail_lines);
    }
    if (dir_fd >= 0)
        close(dir_fd);
}

static void handle_usage(struct http_request *request, void *data)
{
    const struct output *output = data;
    if (!output->ready) {
        http_reply_problem(request, 503, "not-ready", NULL, "the runtime is still reading its log");
        return;
    }
    http_reply_json_take(request, 200, usage_answer(output->host, &worker_core(output->worker)->state));
}

static void handle_processes(struct http_request *request, void *data)
{
    const struct output *output = data;
    const char *id = http_request_param(request, "id");
    struct err err = ERR_INIT;
    if (!output_check_id(request, id))
        return;
    const struct container *container = output_container(output, id);
    if (container == NULL) {
        output_reply_unknown(output, request, "container", id);
        return;
    }
    bool running = container_state_is_running(container->state);
    json_t *answer = running ? processes_answer(output->host, id, &err) : NULL;
    if (answer != NULL)
        http_reply_json_take(request, 200, answer);
    else if (!running || err.code == ERR_NOT_FOUND)
        http_reply_problem(request, 409, "not-running", NULL, "container '%s' is not running",
                           container->name);
    else
        http_reply_problem(request, 500, "out-of-memory", NULL, "%s", err.message);
}

static void handle_healthz(struct http_request *request, void *data)
{
    (void)data;
    http_reply(request, 200, "text/plain", "ok\n", 3);
}

static void handle_readyz(struct http_request *request, void *data)
{
    const struct output *output = data;
    if (output->ready)
        http_reply(request, 200, "text/plain", "ok\n", 3);
    else
        http_reply_problem(request, 503, "not-ready", NULL, "the runtime is still reading its log");
}

static void add_snapshot_metrics(struct buf *text, const struct worker_counts *counts)
{
    buf_printf(text, "wharf_runtime_events_replayed %lld\n", (long long)counts->events_replayed);
    if (counts->snapshot_offset >= 0) /* none was used otherwise */
        buf_printf(text, "wharf_runtime_snapshot_offset %lld\n", (long long)counts->snapshot_offset);
    buf_printf(text, "wharf_runtime_snapshots_written_total %lld\n", (long long)counts->snapshots_written);
    buf_printf(text, "wharf_runtime_snapshots_failed_total %lld\n", (long long)counts->snapshots_failed);
    buf_printf(text, "wharf_runtime_snapshots_put_aside_total %lld\n",
               (long long)counts->snapshots_put_aside);
}

static void handle_metrics(struct http_request *request, void *data)
{
    const struct output *output = data;
    auto_buf struct buf text = BUF_INIT;
    if (output->worker != NULL) {
        struct worker_counts counts = worker_counts(output->worker);
        const struct core *core = worker_core(output->worker);
        buf_printf(&text, "wharf_runtime_commands_total %lld\n", (long long)counts.commands);
        buf_printf(&text, "wharf_runtime_commands_repeated_total %lld\n", (long long)core->commands_repeated);
        buf_printf(&text, "wharf_runtime_commands_parked_total %lld\n", (long long)counts.commands_parked);
        buf_printf(&text, "wharf_runtime_events_total %lld\n", (long long)counts.events);
        buf_printf(&text, "wharf_runtime_events_pending %lld\n", (long long)counts.events_pending);
        buf_printf(&text, "wharf_runtime_events_fenced_total %lld\n", (long long)core->state.events_fenced);
        buf_printf(&text, "wharf_runtime_events_illegal_total %lld\n", (long long)core->state.events_illegal);
        buf_printf(&text, "wharf_runtime_launches_under_way %lld\n", (long long)counts.launches_under_way);
        buf_printf(&text, "wharf_runtime_containers %u\n", HASH_COUNT(core->state.containers));
        buf_printf(&text, "wharf_runtime_epoch %lld\n", (long long)core->epoch);
        add_snapshot_metrics(&text, &counts);
    }
    http_reply(request, 200, "text/plain; version=0.0.4", text.data != NULL ? text.data : "", text.size);
}

#define ATTACH_KEYS "skip_stdout&skip_stderr&since&start"

static const struct http_route routes[] = {
    {"GET", "/v1/containers/{id}/archive?path&follow", handle_copy_out},
    {"PUT", "/v1/containers/{id}/archive?path&owner&any", handle_copy_in},
    {"GET", "/v1/containers/{id}/attach?" ATTACH_KEYS, handle_attach},
    {"GET", "/v1/containers/{id}/changes?", handle_changes},
    {"GET", "/v1/containers/{id}/export?", handle_export},
    {"GET", "/v1/containers/{id}/input?", handle_input},
    {"GET", "/v1/containers/{id}/logs?follow&since&tail", handle_logs},
    {"GET", "/v1/containers/{id}/processes?", handle_processes},
    {"GET", "/v1/execs/{id}/attach?" ATTACH_KEYS, handle_attach},
    {"GET", "/v1/execs/{id}/input?", handle_input},
    {"GET", "/v1/sizes?", handle_sizes},
    {"GET", "/v1/usage?", handle_usage},
    {"GET", "/healthz?", handle_healthz},
    {"GET", "/readyz?", handle_readyz},
    {"GET", "/metrics?", handle_metrics},
    {NULL, NULL, NULL},
};

int output_open(struct output **ret, uv_loop_t *loop, const struct output_options *options, struct err *err)
{
    struct output *output = calloc(1, sizeof(*output));
    if (output == NULL)
        return err_nomem(err, "starting the runtime");
    output->loop = loop;
    output->host = options->host;
    struct http_server_options server = {.socket_path = options->socket_path,
                                         .socket_mode = 0660,
                                         .socket_gid = options->socket_gid,
                                         .routes = routes,
                                         .data = output};
    if (http_server_open(&output->server, loop, &server, err) < 0) {
        free(output);
        return -1;
    }
    *ret = output;
    return 0;
}

void output_maybe_closed(struct output *output)
{
    if (!output->closing || !output->server_closed || output->n_attachments > 0 || output->n_works > 0)
        return;
    void (*on_closed)(void *) = output->on_closed;
    void *data = output->closed_data;
    free(output);
    if (on_closed != NULL)
        on_closed(data);
}

static void on_cancel(struct http_request *request, void *data)
{
    struct output_work *work = data;
    (void)request;
    work->request = NULL;
}

void output_work_begin(struct output_work *work, struct output *output, struct http_request *request)
{
    *work = (struct output_work){.output = output, .request = request};
    http_request_set_data(request, work, on_cancel);
    output->n_works++;
}

void output_work_end(const struct output_work *work)
{
    struct output *output = work->output;
    output->n_works--;
    output_maybe_closed(output);
}

static void on_server_closed(void *data)
{
    struct output *output = data;
    output->server_closed = true;
    attachments_close(output);
    output_maybe_closed(output);
}

void output_close(struct output *output, void (*on_closed)(void *data), void *data)
{
    output->closing = true;
    output->on_closed = on_closed;
    output->closed_data = data;
    archives_end(output->host, NULL);
    http_server_close(output->server, on_server_closed, output);
}
