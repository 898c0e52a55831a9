/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of unknown length. libmicrohttpd asks for bytes (on_read) whenever the client has taken the last
 * ones; where none are queued the connection is suspended until http_stream_write. So what a slow client
 * leaves waiting is in `queue`, whose size the writer of the stream sees.
 */
#include <stdlib.h>
#include <string.h>

#include "base/http_internal.h"

#define STREAM_BLOCK_BYTES 32768

struct http_stream {
    struct http_request *request;
    struct http_stream_ops ops;
    void *data;
    struct buf queue;
    size_t taken; /* bytes of the queue that went out already */
    bool ended;
    bool broken;
};

static ssize_t on_read(void *cls, uint64_t position, char *to, size_t max)
{
    (void)position;
    struct http_stream *stream = cls;
    if (stream->broken)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t waiting = stream->queue.size - stream->taken;
    if (waiting == 0 && stream->ended)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (waiting == 0) {
        http_conn_suspend(stream->request->conn);
        return 0;
    }
    size_t size = waiting < max ? waiting : max;
    memcpy(to, stream->queue.data + stream->taken, size);
    stream->taken += size;
    if (stream->taken == stream->queue.size) {
        buf_reset(&stream->queue);
        stream->taken = 0;
        if (!stream->ended && stream->ops.on_drained != NULL)
            stream->ops.on_drained(stream, stream->data);
    }
    return (ssize_t)size;
}

struct http_stream *http_stream_begin(struct http_request *request, unsigned status, const char *content_type,
                                      const struct http_stream_ops *ops, void *data)
{
    struct http_stream *stream = calloc(1, sizeof(*stream));
    struct MHD_Response *response =
        stream == NULL
            ? NULL
            : MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK_BYTES, on_read, stream, NULL);
    if (response == NULL) {
        free(stream);
        http_reply(request, MHD_HTTP_INTERNAL_SERVER_ERROR, NULL, NULL, 0);
        return NULL;
    }
    *stream = (struct http_stream){.request = request, .ops = *ops, .data = data};
    request->stream = stream;
    if (content_type != NULL)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    /* A reader who pauses (a terminal that was stopped) is not idle: only its hang-up ends the stream. */
    MHD_set_connection_option(request->conn->mhd, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
    http_request_answer_take(request, status, response);
    return stream;
}

/* Drops what went out once it is the larger part, so that the queue does not grow with all that ever passed
 * it. */
static void compact(struct http_stream *stream)
{
    if (stream->taken > STREAM_BLOCK_BYTES && stream->taken > stream->queue.size / 2) {
        buf_consume(&stream->queue, stream->taken);
        stream->taken = 0;
    }
}

size_t http_stream_write(struct http_stream *stream, const void *data, size_t size)
{
    if (stream->broken || stream->ended)
        return 0;
    compact(stream);
    buf_add(&stream->queue, data, size);
    if (stream->queue.failed)
        http_stream_break(stream); /* a hole in the bytes would be a lie: the client sees an abrupt end */
    http_conn_resume(stream->request->conn);
    return stream->queue.size - stream->taken;
}

void http_stream_end(struct http_stream *stream)
{
    stream->ended = true;
    http_conn_resume(stream->request->conn);
}

void http_stream_break(struct http_stream *stream)
{
    stream->broken = true;
    buf_reset(&stream->queue);
    stream->taken = 0;
}

void http_stream_finish(struct http_stream *stream)
{
    if (stream == NULL)
        return;
    if (stream->ops.on_closed != NULL)
        stream->ops.on_closed(stream, stream->data);
    buf_release(&stream->queue);
    free(stream);
}
