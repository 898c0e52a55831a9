/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attachment.h - what is known of a container's output, and the sessions that stream it. See output.h.
 *
 * Loop thread only.
 */
#ifndef WHARF_RUNTIME_OUTPUT_ATTACHMENT_H
#define WHARF_RUNTIME_OUTPUT_ATTACHMENT_H

#include <uthash.h>

#include "base/actor.h"
#include "base/http_server.h"
#include "base/id.h"
#include "runtime/output/log_tail.h"
#include "runtime/output/output.h"

/* One client's stream. */
struct session {
    struct output *output;
    struct attachment *attachment; /* NULL for `logs` */
    struct http_stream *stream;
    struct log_tail *tail; /* NULL until the log can be read */
    char container_id[CONTAINER_ID_SIZE];
    uint64_t skip[3]; /* by stream: bytes the client has had already */
    int64_t since_ns;
    bool blocked;                    /* the client does not keep up */
    enum cri_stream gathered_stream; /* of attachments: records of one stream that go as one frame */
    int64_t gathered_ns;             /* when the first of them was written */
    size_t n_gathered;
    char gathered[65536];
    struct session *next;
};

/* Of a container or of an exec. */
struct attachment {
    char container_id[CONTAINER_ID_SIZE]; /* key; or the exec's */
    struct output *output;
    bool launched; /* there is a log to read */
    bool kept;     /* `files` holds the log, since the container is removed */
    struct log_files files;
    char *result; /* JSON of the exit, until the end may be told */
    char *end;    /* JSON of the end frame */
    bool served;  /* a client has been told the end */
    struct session *sessions;
    uv_timer_t expiry;
    bool closing;
    UT_hash_handle hh;
};

struct output {
    uv_loop_t *loop;
    struct host *host;
    struct worker *worker;
    struct http_server *server;
    struct attachment *attachments;
    struct session *log_sessions;
    struct actor_cache actors;
    bool ready;
    bool closing;
    size_t n_attachments; /* whose timers are not closed yet */
    size_t n_works;       /* on the thread pool, or otherwise still to be answered */
    bool server_closed;
    void (*on_closed)(void *data);
    void *closed_data;
};

/* An answer that is still to be given, once a thread or the log is done. */
struct output_work {
    struct output *output;
    struct http_request *request; /* NULL once the client is gone */
};

/* The output stays until the work's end; ending it may free the output. */
void output_work_begin(struct output_work *work, struct output *output, struct http_request *request);
void output_work_end(const struct output_work *work);

/* Finds or makes. NULL when memory runs out. */
struct attachment *attachment_get(struct output *output, const char *container_id);
struct attachment *attachment_find(const struct output *output, const char *container_id);

/* The log can be read from now on. */
void attachment_launched(struct attachment *attachment);

/* Keeps the log's descriptors: its files are about to be unlinked. */
void attachment_keep_log(struct attachment *attachment);

/* Nothing follows: sessions are told `json` once they have read everything. Takes the string. */
void attachment_end(struct attachment *attachment, char *json_take);

/* Ends it after the time, unless a client comes. */
void attachment_expire_later(struct attachment *attachment, uint64_t timeout_ms);

/* From where a client wants the output. */
struct attach_from {
    int64_t since_ns;                 /* nothing older */
    int64_t skip_stdout, skip_stderr; /* so many bytes of the rest it has had already */
    bool next_start;                  /* of the start that is to come, if the container does not run */
};

/* Adds a session for a request, which is answered with a stream. */
void attachment_add_session(struct attachment *attachment, struct http_request *request,
                            const struct attach_from *from);

/* Waits for the start that is to come: what is known of an end before does not count. */
void attachment_rearm(struct attachment *attachment);

/* A session of `logs`: what is there and, with follow, what comes. tail_lines < 0 means all. */
void logs_session_open(struct output *output, struct http_request *request, const char *container_id,
                       int dir_fd, bool follow, int64_t since_ns, int64_t tail_lines);

/* The log's files are about to be unlinked: sessions of `logs` keep those that they have not read. */
void logs_sessions_complete(struct output *output, const char *container_id);

/* The container has ended: `logs` that follow it end too. */
void logs_sessions_finish(struct output *output, const char *container_id);

/* input.c: GET /v1/containers/{id}/input and /v1/execs/{id}/input, a descriptor of the shim's socket
 * (runtime/shim/streams.h). */
void handle_input(struct http_request *request, void *data);
/* archive_answer.c: GET and PUT /v1/containers/{id}/archive, GET /v1/containers/{id}/export */
void handle_copy_out(struct http_request *request, void *data);
void handle_copy_in(struct http_request *request, void *data);
void handle_export(struct http_request *request, void *data);
/* changes_answer.c */
void handle_changes(struct http_request *request, void *data);
/* sizes_answer.c */
void handle_sizes(struct http_request *request, void *data);

/* output.c: the container of that id, NULL if the node has none; and whether the text is an id, which is
 * answered if not. */
const struct container *output_container(const struct output *output, const char *id);
bool output_check_id(struct http_request *request, const char *id);
/* That there is no such thing; or, before all of the log has been read, that this is not known yet. */
void output_reply_unknown(const struct output *output, struct http_request *request, const char *what,
                          const char *id);

/* What a client that wants more than to read has to know of a container's first process, or of an exec. */
struct output_process {
    char name[80]; /* for people: "container 'web'" */
    bool runs;
    bool attach; /* a client is going to read the output */
    bool interactive;
    bool tty;
};

/* By the id of a container or an exec. False if the node has none; an exec that has ended is none. */
bool output_process(const struct output *output, const char *id, struct output_process *ret);

/* Frees everything that is not streaming; used at the end. */
void attachments_close(struct output *output);

/* Calls on_closed once the server and all attachments are gone. */
void output_maybe_closed(struct output *output);

#endif
