/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/client/http_response.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <sys/types.h>

void http_response_init(struct http_response *response, size_t body_limit)
{
    *response =
        (struct http_response){.part = HTTP_STATUS_LINE, .content_length = -1, .body_limit = body_limit};
}

void http_response_release(struct http_response *response)
{
    buf_release(&response->line);
    buf_release(&response->headers);
    buf_release(&response->body);
}

static int broken(struct err *err, const char *what)
{
    return err_set(err, ERR_PROTOCOL, "the answer is not HTTP as we know it: %s", what);
}

static int read_status_line(struct http_response *response, const char *line, struct err *err)
{
    bool version = strncmp(line, "HTTP/1.1 ", 9) == 0 || strncmp(line, "HTTP/1.0 ", 9) == 0;
    if (!version || !isdigit((unsigned char)line[9]) || !isdigit((unsigned char)line[10]) ||
        !isdigit((unsigned char)line[11]) || (line[12] != '\0' && line[12] != ' '))
        return broken(err, "bad status line");
    response->status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
    if (response->status < 100)
        return broken(err, "bad status");
    response->part = HTTP_HEADERS;
    return 0;
}

/* tchar of RFC 9110, section 5.6.2. */
static bool is_token_char(char c)
{
    return isalnum((unsigned char)c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static int read_length(struct http_response *response, const char *value, struct err *err)
{
    int64_t length = 0;
    size_t digits = strlen(value);
    if (digits == 0 || digits > 18)
        return broken(err, "bad content-length");
    for (const char *at = value; *at != '\0'; at++) {
        if (!isdigit((unsigned char)*at))
            return broken(err, "bad content-length");
        length = length * 10 + (*at - '0');
    }
    if (response->content_length >= 0 && response->content_length != length)
        return broken(err, "two content-lengths");
    response->content_length = length;
    return 0;
}

static int read_header(struct http_response *response, char *line, struct err *err)
{
    char *colon = line;
    for (; is_token_char(*colon); colon++)
        *colon = (char)tolower((unsigned char)*colon);
    if (colon == line || *colon != ':')
        return broken(err, "bad header line");
    *colon = '\0';
    char *value = colon + 1;
    value += strspn(value, " \t");
    size_t size = strlen(value);
    while (size > 0 && (value[size - 1] == ' ' || value[size - 1] == '\t'))
        value[--size] = '\0';
    buf_add(&response->headers, line, strlen(line) + 1);
    buf_add(&response->headers, value, size + 1);
    if (strcmp(line, "content-length") == 0)
        return read_length(response, value, err);
    if (strcmp(line, "transfer-encoding") == 0) {
        if (strcasecmp(value, "chunked") != 0 || response->chunked)
            return broken(err, "unknown transfer-encoding");
        response->chunked = true;
    }
    return 0;
}

/* RFC 9112, section 6.3: how the end of the body is known. Both ways at once is how requests are smuggled. */
static int end_headers(struct http_response *response, struct err *err)
{
    int status = response->status;
    if (response->chunked && response->content_length >= 0)
        return broken(err, "both content-length and transfer-encoding");
    if (status < 200 && status != 101) {
        buf_reset(&response->headers);
        response->chunked = false;
        response->content_length = -1;
        response->status = 0;
        response->part = HTTP_STATUS_LINE;
    } else if (status == 101 || status == 204 || status == 304) {
        response->part = HTTP_DONE;
    } else if (response->chunked) {
        response->part = HTTP_CHUNK_SIZE;
    } else if (response->content_length >= 0) {
        response->left = (uint64_t)response->content_length;
        response->part = response->left > 0 ? HTTP_BODY : HTTP_DONE;
    } else {
        response->part = HTTP_BODY_UNTIL_CLOSE;
    }
    return 0;
}

static int read_chunk_size(struct http_response *response, const char *line, struct err *err)
{
    uint64_t size = 0;
    int digits = 0;
    const char *at = line;
    for (; isxdigit((unsigned char)*at); at++, digits++) {
        int digit = isdigit((unsigned char)*at) ? *at - '0' : tolower((unsigned char)*at) - 'a' + 10;
        size = size * 16 + (uint64_t)digit;
        if (digits >= 15)
            return broken(err, "chunk too large");
    }
    at += strspn(at, " \t");
    if (digits == 0 || (*at != '\0' && *at != ';'))
        return broken(err, "bad chunk size");
    response->left = size;
    response->part = size > 0 ? HTTP_CHUNK_DATA : HTTP_TRAILERS;
    return 0;
}

static int read_line(struct http_response *response, char *line, struct err *err)
{
    switch (response->part) {
    case HTTP_STATUS_LINE:
        return read_status_line(response, line, err);
    case HTTP_HEADERS:
        return line[0] == '\0' ? end_headers(response, err) : read_header(response, line, err);
    case HTTP_CHUNK_SIZE:
        return read_chunk_size(response, line, err);
    case HTTP_CHUNK_END:
        if (line[0] != '\0')
            return broken(err, "chunk without end");
        response->header_bytes = 0;
        response->part = HTTP_CHUNK_SIZE;
        return 0;
    case HTTP_TRAILERS:
        if (line[0] == '\0')
            response->part = HTTP_DONE;
        return 0;
    case HTTP_BODY:
    case HTTP_BODY_UNTIL_CLOSE:
    case HTTP_CHUNK_DATA:
    case HTTP_DONE:
        break;
    }
    return err_set(err, ERR_INTERNAL, "no line expected in this part of a response");
}

/* Collects up to the line's end; returns the bytes taken, -1 on error. */
static ssize_t feed_line(struct http_response *response, const char *data, size_t size, struct err *err)
{
    const char *end = memchr(data, '\n', size);
    size_t taken = end != NULL ? (size_t)(end - data) + 1 : size;
    response->header_bytes += taken;
    if (response->header_bytes > HTTP_HEADER_LIMIT)
        return err_set(err, ERR_TOO_LARGE, "the answer's header is larger than %zu bytes", HTTP_HEADER_LIMIT);
    buf_add(&response->line, data, end != NULL ? taken - 1 : taken);
    if (response->line.failed)
        return err_nomem(err, "reading an answer");
    if (end == NULL)
        return (ssize_t)taken;
    struct buf *line = &response->line;
    if (line->size > 0 && line->data[line->size - 1] == '\r')
        line->data[--line->size] = '\0';
    if (line->size > 0 && memchr(line->data, '\0', line->size) != NULL)
        return broken(err, "NUL in the header");
    char empty[1] = "";
    if (read_line(response, line->size > 0 ? line->data : empty, err) < 0)
        return -1;
    buf_reset(line);
    return response->headers.failed ? err_nomem(err, "reading an answer") : (ssize_t)taken;
}

static ssize_t feed_body(struct http_response *response, const char *data, size_t size, struct err *err)
{
    bool counted = response->part != HTTP_BODY_UNTIL_CLOSE;
    size_t taken = counted && response->left < size ? (size_t)response->left : size;
    if (taken > response->body_limit - response->body.size)
        return err_set(err, ERR_TOO_LARGE, "the answer is larger than %zu bytes", response->body_limit);
    buf_add(&response->body, data, taken);
    if (response->body.failed)
        return err_nomem(err, "reading an answer");
    if (counted) {
        response->left -= taken;
        if (response->left == 0)
            response->part = response->part == HTTP_BODY ? HTTP_DONE : HTTP_CHUNK_END;
    }
    return (ssize_t)taken;
}

int http_response_feed(struct http_response *response, const char *data, size_t size, struct err *err)
{
    while (size > 0) {
        enum http_part part = response->part;
        if (part == HTTP_DONE)
            return broken(err, "bytes after its end");
        bool body = part == HTTP_BODY || part == HTTP_BODY_UNTIL_CLOSE || part == HTTP_CHUNK_DATA;
        ssize_t taken = body ? feed_body(response, data, size, err) : feed_line(response, data, size, err);
        if (taken < 0)
            return -1;
        data += taken;
        size -= (size_t)taken;
    }
    return 0;
}

int http_response_end(struct http_response *response, struct err *err)
{
    if (response->part == HTTP_BODY_UNTIL_CLOSE)
        response->part = HTTP_DONE;
    if (response->part == HTTP_DONE)
        return 0;
    return err_set(err, ERR_PROTOCOL, "the connection ended %s",
                   response->status == 0 ? "before an answer came" : "in the middle of the answer");
}

bool http_response_has_headers(const struct http_response *response)
{
    return response->part > HTTP_HEADERS;
}

const char *http_response_header(const struct http_response *response, const char *name)
{
    const char *at = response->headers.data;
    const char *end = at != NULL ? at + response->headers.size : NULL;
    while (at < end) {
        const char *value = at + strlen(at) + 1;
        if (strcmp(at, name) == 0)
            return value;
        at = value + strlen(value) + 1;
    }
    return NULL;
}
