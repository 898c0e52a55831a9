/* SPDX-License-Identifier: Apache-2.0 */
/* What a handler reads from a request, and how it answers. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/http_internal.h"

#define PROBLEM_DETAIL_SIZE 2048

struct http_request *http_request_new(struct http_conn *conn, const char *method, const char *path)
{
    struct http_request *request = calloc(1, sizeof(*request));
    if (request == NULL)
        return NULL;
    request->conn = conn;
    request->method = method;
    request->path = path;
    request->descriptor = -1;
    conn->request = request;
    return request;
}

static enum MHD_Result on_query_value(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void)kind;
    struct http_request *request = cls;
    struct http_query_value *grown =
        realloc(request->query, (request->n_query + 1) * sizeof(struct http_query_value));
    if (grown == NULL)
        return MHD_NO;
    request->query = grown;
    struct http_query_value *pair = &grown[request->n_query];
    pair->name = strdup(name);
    pair->value = strdup(value != NULL ? value : "");
    request->n_query++;
    if (pair->name == NULL || pair->value == NULL)
        return MHD_NO;
    if (!http_percent_decode(pair->name) || !http_percent_decode(pair->value))
        request->query_is_bad = true;
    return MHD_YES;
}

int http_request_parse_query(struct http_request *request)
{
    int wanted = MHD_get_connection_values(request->conn->mhd, MHD_GET_ARGUMENT_KIND, NULL, NULL);
    if (wanted <= 0)
        return 0;
    int got = MHD_get_connection_values(request->conn->mhd, MHD_GET_ARGUMENT_KIND, on_query_value, request);
    bool complete = got == wanted && request->query[request->n_query - 1].value != NULL &&
                    request->query[request->n_query - 1].name != NULL;
    return complete ? 0 : -1;
}

void http_request_cancel(struct http_request *request)
{
    request->state = HTTP_GONE;
    if (request->on_cancel != NULL)
        request->on_cancel(request, request->data);
}

void http_request_free(struct http_request *request)
{
    for (size_t i = 0; i < request->n_query; i++) {
        free(request->query[i].name);
        free(request->query[i].value);
    }
    free(request->query);
    http_match_release(&request->match);
    buf_release(&request->body);
    buf_release(&request->headers);
    if (request->response != NULL)
        MHD_destroy_response(request->response);
    if (request->descriptor >= 0)
        close(request->descriptor);
    free(request);
}

const char *http_request_method(const struct http_request *request)
{
    return request->method;
}

const char *http_request_path(const struct http_request *request)
{
    return request->path;
}

const char *http_request_param(const struct http_request *request, const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < request->match.n_params; i++) {
        const struct http_param *param = &request->match.params[i];
        if (param->name_size == size && memcmp(param->name, name, size) == 0)
            return param->value;
    }
    return NULL;
}

const char *http_request_query_at(const struct http_request *request, const char *name, size_t i)
{
    for (size_t at = 0; at < request->n_query; at++)
        if (strcmp(request->query[at].name, name) == 0 && i-- == 0)
            return request->query[at].value;
    return NULL;
}

const char *http_request_query(const struct http_request *request, const char *name)
{
    return http_request_query_at(request, name, 0);
}

const char *http_request_header(const struct http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->conn->mhd, MHD_HEADER_KIND, name);
}

const void *http_request_body(const struct http_request *request, size_t *ret_size)
{
    *ret_size = request->body.size;
    return request->body.data != NULL ? request->body.data : "";
}

struct http_peer http_request_peer(const struct http_request *request)
{
    return request->conn->peer;
}

uint64_t http_request_connection(const struct http_request *request)
{
    return request->conn->number;
}

void http_request_set_data(struct http_request *request, void *data,
                           void (*on_cancel)(struct http_request *, void *data))
{
    request->data = data;
    request->on_cancel = on_cancel;
}

void *http_request_data(const struct http_request *request)
{
    return request->data;
}

void http_reply_header(struct http_request *request, const char *name, const char *value)
{
    buf_add(&request->headers, name, strlen(name) + 1);
    buf_add(&request->headers, value, strlen(value) + 1);
}

/* libmicrohttpd refuses a header that cannot be sent (a line break in its value); such a one is left out. */
static void add_headers(struct http_request *request, struct MHD_Response *response)
{
    const struct buf *headers = &request->headers;
    for (size_t at = 0; !headers->failed && at < headers->size;) {
        const char *name = headers->data + at;
        const char *value = name + strlen(name) + 1;
        MHD_add_response_header(response, name, value);
        at = (size_t)(value - headers->data) + strlen(value) + 1;
    }
}

void http_request_answer_take(struct http_request *request, unsigned status, struct MHD_Response *response)
{
    request->state = HTTP_REPLIED;
    request->status = status;
    request->response = response;
    request->conn->server->n_replying++;
    if (response == NULL) {
        http_conn_abort(request->conn); /* out of memory: an end of the connection is all the client gets */
        http_conn_resume(request->conn);
        return;
    }
    add_headers(request, response);
    http_conn_resume(request->conn);
}

void http_reply(struct http_request *request, unsigned status, const char *content_type, const void *body,
                size_t size)
{
    /* MHD_create_response_from_buffer takes a pointer to non-const, but copies under MUST_COPY. */
    struct MHD_Response *response =
        MHD_create_response_from_buffer(size, size > 0 ? (void *)(uintptr_t)body : "", MHD_RESPMEM_MUST_COPY);
    if (response != NULL && content_type != NULL)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    http_request_answer_take(request, status, response);
}

/* Answers with the document as text of the given type; 500 without a body where that cannot be made. */
static void reply_document(struct http_request *request, unsigned status, const char *content_type,
                           const json_t *document)
{
    char *text = document != NULL ? json_dumps(document, JSON_COMPACT) : NULL;
    if (text != NULL)
        http_reply(request, status, content_type, text, strlen(text));
    else
        http_reply(request, MHD_HTTP_INTERNAL_SERVER_ERROR, NULL, NULL, 0);
    free(text);
}

void http_reply_json_take(struct http_request *request, unsigned status, json_t *document)
{
    reply_document(request, status, "application/json", document);
    json_decref(document);
}

void http_reply_problem(struct http_request *request, unsigned status, const char *code, const char *pointer,
                        const char *detail_fmt, ...)
{
    char detail[PROBLEM_DETAIL_SIZE];
    va_list args;
    va_start(args, detail_fmt);
    vsnprintf(detail, sizeof(detail), detail_fmt, args);
    va_end(args);
    http_utf8_repair(detail);
    char where[PROBLEM_DETAIL_SIZE];
    snprintf(where, sizeof(where), "%s", pointer != NULL ? pointer : "");
    http_utf8_repair(where);
    const char *title = MHD_get_reason_phrase_for(status);
    json_t *document =
        json_pack("{s:s, s:s, s:i, s:s, s:s*, s:s*}", "type", "about:blank", "title", title, "status",
                  (int)status, "detail", detail, "code", code, "pointer", pointer != NULL ? where : NULL);
    reply_document(request, status, "application/problem+json", document);
    json_decref(document);
}
