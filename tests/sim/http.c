/* SPDX-License-Identifier: Apache-2.0 */
/* base/http_server.h without sockets: requests of clients go to the production routes after a while. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/http_route.h"
#include "tests/sim/client.h"

struct http_request {
    struct http_server *server;
    struct client *client; /* NULL once it went away */
    struct http_match match;
    char wait[16];
    bool delivered;
    bool answered;
    unsigned status;
    char *body; /* of the answer */
    void *data;
    void (*on_cancel)(struct http_request *request, void *data);
    struct task task; /* on its way to the server, or its answer to the client */
    struct http_request *next;
};

struct http_server {
    struct process *process;
    struct http_server_options options;
    struct http_request *requests;
    bool closing;
    struct task close;
    void (*on_closed)(void *data);
    void *on_closed_data;
};

static void request_free(struct http_request *request)
{
    struct http_request **at = &request->server->requests;
    while (*at != request)
        at = &(*at)->next;
    *at = request->next;
    task_cancel(&request->task);
    http_match_release(&request->match);
    free(request->body);
    free(request);
}

/* The connection is gone: the handler hears it unless it has answered. */
static void request_drop(struct http_request *request)
{
    struct client *client = request->client;
    bool told = request->delivered && !request->answered && request->on_cancel != NULL;
    if (told)
        request->on_cancel(request, request->data);
    request_free(request);
    if (client != NULL)
        client_lost(client);
}

void http_cancel(struct http_request *request)
{
    request->client = NULL;
    if (request->answered || !request->delivered) {
        request_free(request);
        return;
    }
    struct process *before = sim->current;
    sim->current = request->server->process;
    request_drop(request);
    sim->current = before;
}

static void on_delivered(void *data)
{
    struct http_request *request = data;
    struct http_server *server = request->server;
    char allow[HTTP_ALLOW_SIZE];
    if (!process_point(server->process))
        return;
    request->delivered = true;
    if (http_match(server->options.routes, "POST", "/v1/commands", &request->match, allow) != HTTP_MATCHED)
        sim_fail("the writer has no route for commands");
    else
        request->match.route->handle(request, server->options.data);
}

struct http_request *http_post(struct client *client)
{
    struct process *process = sim->processes;
    while (process != NULL && (process->role != ROLE_WRITER || process->dead || process->http == NULL))
        process = process->next;
    if (process == NULL || process->http->closing)
        return NULL;
    struct http_request *request = sim_alloc(sizeof(*request));
    request->server = process->http;
    request->client = client;
    if (client->wait_s > 0)
        snprintf(request->wait, sizeof(request->wait), "%u", client->wait_s);
    request->next = process->http->requests;
    process->http->requests = request;
    task_schedule(&request->task, process, process_latency_ns(process), on_delivered, request);
    return request;
}

/* --- what handlers call --- */

const char *http_request_query(const struct http_request *request, const char *name)
{
    return strcmp(name, "wait") == 0 && request->wait[0] != '\0' ? request->wait : NULL;
}

const char *http_request_param(const struct http_request *request, const char *name)
{
    (void)request;
    (void)name;
    return "";
}

const char *http_request_header(const struct http_request *request, const char *name)
{
    return strcmp(name, "Idempotency-Key") == 0 ? request->client->key : NULL;
}

const void *http_request_body(const struct http_request *request, size_t *ret_size)
{
    *ret_size = strlen(request->client->body);
    return request->client->body;
}

struct http_peer http_request_peer(const struct http_request *request)
{
    (void)request;
    return (struct http_peer){.pid = 1, .uid = 1000, .gid = 1000};
}

uint64_t http_request_connection(const struct http_request *request)
{
    return (uint64_t)request->client->item->number + 1;
}

void http_request_set_data(struct http_request *request, void *data,
                           void (*on_cancel)(struct http_request *, void *data))
{
    request->data = data;
    request->on_cancel = on_cancel;
}

void http_reply_header(struct http_request *request, const char *name, const char *value)
{
    (void)request;
    (void)name;
    (void)value;
}

static void on_answer(void *data)
{
    struct http_request *request = data;
    struct client *client = request->client;
    char *body = request->body;
    unsigned status = request->status;
    request->body = NULL;
    request_free(request);
    if (client != NULL)
        client_answered(client, status, body);
    free(body);
}

void http_reply(struct http_request *request, unsigned status, const char *content_type, const void *body,
                size_t size)
{
    (void)content_type;
    if (request->answered)
        sim_fail("a request is answered twice");
    request->answered = true;
    if (!process_point(request->server->process))
        return;
    request->status = status;
    request->body = sim_alloc(size + 1);
    if (size > 0)
        memcpy(request->body, body, size);
    task_schedule(&request->task, request->server->process, process_latency_ns(request->server->process),
                  on_answer, request);
    process_point(request->server->process);
}

void http_reply_json_take(struct http_request *request, unsigned status, json_t *document)
{
    char *text = document != NULL ? json_dumps(document, JSON_COMPACT) : NULL;
    json_decref(document);
    http_reply(request, text != NULL ? status : 500, "application/json", text,
               text != NULL ? strlen(text) : 0);
    free(text);
}

void http_reply_problem(struct http_request *request, unsigned status, const char *code, const char *pointer,
                        const char *detail_fmt, ...)
{
    char detail[1024];
    va_list args;
    va_start(args, detail_fmt);
    vsnprintf(detail, sizeof(detail), detail_fmt, args);
    va_end(args);
    (void)pointer;
    http_reply_json_take(request, status, json_pack("{s:s*, s:s}", "code", code, "detail", detail));
}

/* --- opening and closing --- */

int http_server_open(struct http_server **ret, uv_loop_t *loop, const struct http_server_options *options,
                     struct err *err)
{
    struct process *process = loop->data;
    if (!process_point(process))
        return err_set(err, ERR_UNAVAILABLE, "the process is dead");
    struct http_server *server = sim_alloc(sizeof(*server));
    server->process = process;
    server->options = *options;
    process->http = server;
    *ret = server;
    return 0;
}

static void finish_close(void *data)
{
    struct http_server *server = data;
    while (server->requests != NULL)
        request_drop(server->requests);
    task_cancel(&server->close);
    server->process->http = NULL;
    void (*on_closed)(void *) = server->on_closed;
    void *closed_data = server->on_closed_data;
    free(server);
    if (on_closed != NULL)
        on_closed(closed_data);
}

void http_server_close(struct http_server *server, void (*on_closed)(void *data), void *data)
{
    server->closing = true;
    server->on_closed = on_closed;
    server->on_closed_data = data;
    task_schedule(&server->close, server->process, 0, finish_close, server);
}

bool sim_http_bury(struct process *process)
{
    struct http_server *server = process->http;
    if (server == NULL)
        return false;
    if (server->requests != NULL) {
        request_drop(server->requests);
        return true;
    }
    if (!server->closing)
        return false;
    finish_close(server);
    return true;
}
