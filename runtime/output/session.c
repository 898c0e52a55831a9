/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: a log tail on one side, an HTTP stream on the other, frames in between (docs/api.md). */
#define HASH_NONFATAL_OOM 1
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "runtime/output/attachment.h"

/* A client may be so far behind before its log is left unread. */
#define STREAM_HIGH_WATER (1024 * 1024)
#define FRAME_HEADER_SIZE 16
#define ABANDONED_MS 30000 /* what a client waited for that left may still come, and so may the client */
#define FRAME_END 3
#define FRAME_STARTED 4
#define FRAMES_CONTENT_TYPE "application/vnd.wharf.frames"

static void write_header(struct http_stream *stream, unsigned char kind, int64_t time_ns, size_t size)
{
    unsigned char header[FRAME_HEADER_SIZE] = {kind};
    uint32_t total = htobe32((uint32_t)size);
    uint64_t time = htobe64((uint64_t)time_ns);
    memcpy(header + 4, &total, sizeof(total));
    memcpy(header + 8, &time, sizeof(time));
    http_stream_write(stream, header, sizeof(header));
}

/* Returns what the client has yet to take, in bytes. */
static size_t write_frame(struct http_stream *stream, unsigned char kind, int64_t time_ns,
                          const void *payload, size_t size, bool newline)
{
    write_header(stream, kind, time_ns, size + (newline ? 1 : 0));
    size_t waiting = http_stream_write(stream, payload, size);
    return newline ? http_stream_write(stream, "\n", 1) : waiting;
}

/* Blocked until the client has taken everything: only that wakes the tail again, so a write that finds less
 * waiting than the one before must not take it back. */
static void note_waiting(struct session *session, size_t waiting)
{
    if (waiting > STREAM_HIGH_WATER)
        session->blocked = true;
}

static void write_gathered(void *data)
{
    struct session *session = data;
    if (session->n_gathered == 0)
        return;
    size_t waiting = write_frame(session->stream, (unsigned char)session->gathered_stream,
                                 session->gathered_ns, session->gathered, session->n_gathered, false);
    session->n_gathered = 0;
    note_waiting(session, waiting);
}

/* Who is attached wants the bytes, and has no use for a frame for each line. */
static bool gather(struct session *session, const struct cri_record *record, const char *text, size_t size,
                   bool newline)
{
    if (session->gathered_stream != record->stream ||
        session->n_gathered + size + (newline ? 1 : 0) > sizeof(session->gathered))
        write_gathered(session);
    if (size + 1 > sizeof(session->gathered)) { /* no entry of ours is so long */
        size_t waiting =
            write_frame(session->stream, (unsigned char)record->stream, record->time_ns, text, size, newline);
        note_waiting(session, waiting);
        return !session->blocked;
    }
    if (session->n_gathered == 0) {
        session->gathered_stream = record->stream;
        session->gathered_ns = record->time_ns;
    }
    memcpy(session->gathered + session->n_gathered, text, size);
    session->n_gathered += size;
    if (newline)
        session->gathered[session->n_gathered++] = '\n';
    return !session->blocked;
}

static bool on_record(const struct cri_record *record, void *data)
{
    struct session *session = data;
    const char *text = record->text;
    size_t size = record->size;
    bool newline = record->complete;
    uint64_t *skip = &session->skip[record->stream];
    if (record->time_ns < session->since_ns)
        return true;
    if (*skip > 0) { /* the client has had these bytes */
        size_t total = size + (newline ? 1 : 0);
        size_t skipped = *skip < total ? (size_t)*skip : total;
        *skip -= skipped;
        if (skipped == total)
            return true;
        text += skipped;
        size -= skipped;
    }
    if (session->attachment != NULL)
        return gather(session, record, text, size, newline);
    size_t waiting =
        write_frame(session->stream, (unsigned char)record->stream, record->time_ns, text, size, newline);
    note_waiting(session, waiting);
    return !session->blocked;
}

static void on_tail_end(void *data)
{
    struct session *session = data;
    const char *end = session->attachment != NULL ? session->attachment->end : "{}";
    if (session->attachment != NULL)
        session->attachment->served = true;
    write_frame(session->stream, FRAME_END, 0, end, strlen(end), false);
    http_stream_end(session->stream);
}

static void on_drained(struct http_stream *stream, void *data)
{
    struct session *session = data;
    (void)stream;
    if (session->blocked && session->tail != NULL) {
        session->blocked = false;
        log_tail_resume(session->tail);
    }
}

static void unlink_session(struct session **list, const struct session *session)
{
    while (*list != NULL && *list != session)
        list = &(*list)->next;
    if (*list != NULL)
        *list = session->next;
}

static void on_closed(struct http_stream *stream, void *data)
{
    struct session *session = data;
    struct attachment *attachment = session->attachment;
    (void)stream;
    log_tail_close(session->tail);
    unlink_session(attachment != NULL ? &attachment->sessions : &session->output->log_sessions, session);
    free(session);
    if (attachment == NULL || attachment->sessions != NULL)
        return;
    if (attachment->end != NULL)
        attachment_expire_later(attachment, attachment->served ? 0 : 10000);
    else if (!attachment->launched)
        attachment_expire_later(attachment, ABANDONED_MS);
}

static struct session *session_new(struct output *output, struct http_request *request,
                                   const char *container_id)
{
    static const struct http_stream_ops ops = {.on_drained = on_drained, .on_closed = on_closed};
    struct session *session = calloc(1, sizeof(*session));
    if (session == NULL) {
        http_reply_problem(request, 500, "out-of-memory", NULL, "out of memory while opening a stream");
        return NULL;
    }
    session->output = output;
    memcpy(session->container_id, container_id, sizeof(session->container_id));
    session->stream = http_stream_begin(request, 200, FRAMES_CONTENT_TYPE, &ops, session);
    if (session->stream == NULL) {
        free(session);
        return NULL;
    }
    return session;
}

static const struct log_tail_ops tail_ops = {
    .on_record = on_record, .on_piece = write_gathered, .on_end = on_tail_end};

/* A stream that cannot go on says so in its end frame. */
static void fail_session(struct session *session, const struct err *err)
{
    json_t *json = json_pack("{s:s, s:s, s:s, s:i}", "outcome", "failed", "code", err_code_name(err->code),
                             "message", err->message, "exit_code", 125);
    char *text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
    const char *end = text != NULL ? text : "{}";
    write_frame(session->stream, FRAME_END, 0, end, strlen(end), false);
    http_stream_end(session->stream);
    free(text);
    json_decref(json);
}

/* Opens the log where it is: in the container's directory, or in the descriptors kept from it. With no file
 * kept there was no output, and the end is all there is to wait for. */
static int open_tail(struct session *session, struct err *err)
{
    struct attachment *attachment = session->attachment;
    bool follow = attachment->end == NULL;
    uv_loop_t *loop = session->output->loop;
    if (!attachment->kept) {
        auto_fd int dir_fd = host_container_dir(session->output->host, attachment->container_id, err);
        if (dir_fd < 0 ||
            log_tail_open(&session->tail, loop, dir_fd, NULL, follow, &tail_ops, session, err) < 0)
            return -1;
        log_tail_hold(session->tail);
        return 0;
    }
    if (attachment->files.n == 0) {
        if (attachment->end != NULL)
            on_tail_end(session);
        return 0;
    }
    struct log_files files;
    if (log_files_dup(&files, &attachment->files, err) < 0)
        return -1;
    int result = log_tail_open(&session->tail, loop, files.fds[0], &files, follow, &tail_ops, session, err);
    log_files_close(&files);
    return result;
}

/* What a client that wants more than to read has to know. */
static void write_started(const struct session *session)
{
    struct output_process process = {.runs = false};
    char text[64];
    output_process(session->output, session->container_id, &process);
    int size = snprintf(text, sizeof(text), "{\"interactive\":%s,\"tty\":%s}",
                        process.interactive ? "true" : "false", process.tty ? "true" : "false");
    write_frame(session->stream, FRAME_STARTED, 0, text, (size_t)size, false);
}

static void session_start(struct session *session)
{
    struct err err = ERR_INIT;
    write_started(session);
    if (open_tail(session, &err) < 0)
        fail_session(session, &err);
}

void attachment_launched(struct attachment *attachment)
{
    attachment->launched = true;
    for (struct session *each = attachment->sessions; each != NULL; each = each->next)
        if (each->tail == NULL)
            session_start(each);
}

void attachment_rearm(struct attachment *attachment)
{
    free(attachment->end);
    free(attachment->result);
    log_files_close(&attachment->files);
    attachment->end = attachment->result = NULL;
    attachment->launched = attachment->kept = attachment->served = false;
    uv_timer_stop(&attachment->expiry);
}

void attachment_add_session(struct attachment *attachment, struct http_request *request,
                            const struct attach_from *from)
{
    struct session *session = session_new(attachment->output, request, attachment->container_id);
    if (session == NULL)
        return;
    session->attachment = attachment;
    session->since_ns = from->since_ns;
    session->skip[CRI_STDOUT] = (uint64_t)from->skip_stdout;
    session->skip[CRI_STDERR] = (uint64_t)from->skip_stderr;
    session->next = attachment->sessions;
    attachment->sessions = session;
    uv_timer_stop(&attachment->expiry);
    if (attachment->launched)
        session_start(session);
    else if (attachment->end != NULL)
        on_tail_end(session);
}

void attachment_end(struct attachment *attachment, char *json_take)
{
    free(attachment->end);
    attachment->end = json_take;
    for (struct session *each = attachment->sessions, *next; each != NULL; each = next) {
        next = each->next;
        if (each->tail != NULL)
            log_tail_finish(each->tail);
        else
            on_tail_end(each);
    }
    if (attachment->sessions == NULL)
        attachment_expire_later(attachment, 10000);
}

void logs_session_open(struct output *output, struct http_request *request, const char *container_id,
                       int dir_fd, bool follow, int64_t since_ns, int64_t tail_lines)
{
    struct err err = ERR_INIT;
    struct session *session = session_new(output, request, container_id);
    if (session == NULL)
        return;
    session->since_ns = since_ns;
    session->next = output->log_sessions;
    output->log_sessions = session;
    if (log_tail_open(&session->tail, output->loop, dir_fd, NULL, follow, &tail_ops, session, &err) < 0 ||
        (tail_lines >= 0 && log_tail_from_last(session->tail, (size_t)tail_lines, &err) < 0))
        fail_session(session, &err);
}

void logs_sessions_complete(struct output *output, const char *container_id)
{
    for (struct session *each = output->log_sessions; each != NULL; each = each->next)
        if (strcmp(each->container_id, container_id) == 0 && each->tail != NULL)
            log_tail_complete(each->tail);
}

void logs_sessions_finish(struct output *output, const char *container_id)
{
    for (struct session *each = output->log_sessions; each != NULL; each = each->next)
        if (strcmp(each->container_id, container_id) == 0 && each->tail != NULL)
            log_tail_finish(each->tail);
}
