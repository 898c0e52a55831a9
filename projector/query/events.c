/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /v1/events: the log itself as a stream, one reader a partition, merged as the records come. When the
 * client does not keep up, all readers of its stream pause until what waits for it has been taken.
 *
 * A stream ends when the client leaves, or, without follow, when every reader has reached the end of its
 * partition.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/timestamp.h"
#include "projector/query/call.h"
#include "projector/query/render.h"

#define WAITING_MAX_BYTES (1u << 20)
#define TYPES_MAX 16
#define CLOCK_SET_BACK_MS (10 * 60 * 1000)

struct stream;

struct stream_reader {
    struct stream *stream;
    uint32_t partition;
    struct log_reader *reader; /* NULL once it is at its end */
};

struct stream {
    struct query *query;
    struct http_stream *http; /* NULL once closed */
    bool follow;
    bool paused;
    bool ended;
    int64_t since_ns; /* INT64_MIN: any time */
    char *container;
    char *types[TYPES_MAX];
    size_t n_types;
    struct buf lines;
    struct stream_reader *readers;
    size_t n_readers, n_reading;
};

static void stream_free(struct stream *stream)
{
    for (size_t i = 0; i < stream->n_readers; i++)
        log_reader_close(stream->readers[i].reader);
    for (size_t i = 0; i < stream->n_types; i++)
        free(stream->types[i]);
    free(stream->readers);
    free(stream->container);
    buf_release(&stream->lines);
    free(stream);
}

/* --- which events --- */

/* "container.exited", or the whole "wharf.container.exited.v1". */
static bool is_type(const struct stream *stream, const char *type)
{
    for (size_t i = 0; i < stream->n_types; i++) {
        const char *wanted = stream->types[i];
        size_t size = strlen(wanted);
        if (strcmp(type, wanted) == 0 ||
            (strncmp(type, "wharf.", 6) == 0 && strncmp(type + 6, wanted, size) == 0 &&
             strncmp(type + 6 + size, ".v", 2) == 0))
            return true;
    }
    return stream->n_types == 0;
}

static const char *text_member(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

static bool is_wanted(const struct stream *stream, const json_t *envelope)
{
    int64_t time_ns;
    if (stream->container != NULL &&
        strncmp(text_member(envelope, "subject"), stream->container, strlen(stream->container)) != 0)
        return false;
    if (!is_type(stream, text_member(envelope, "type")))
        return false;
    return stream->since_ns == INT64_MIN ||
           (timestamp_parse(text_member(envelope, "time"), &time_ns, NULL) == 0 &&
            time_ns >= stream->since_ns);
}

/* Without parsing: a container's events have its id as their key, and are appended after they were stamped,
 * by a clock that was perhaps set back in between. What passes is looked at closely. */
static bool may_be_wanted(const struct stream *stream, const struct log_record *record)
{
    if (stream->since_ns != INT64_MIN && record->time_ms < stream->since_ns / 1000000 - CLOCK_SET_BACK_MS)
        return false;
    if (stream->container != NULL && record->key != NULL &&
        strncmp(record->key, stream->container, strlen(stream->container)) != 0)
        return false;
    for (size_t i = 0; i < stream->n_types; i++)
        if (memmem(record->value, record->value_size, stream->types[i], strlen(stream->types[i])) != NULL)
            return true;
    return stream->n_types == 0;
}

/* What is no JSON object cannot be a line of this answer: it is in wharf.deadletters. */
static void add_line(struct stream *stream, const struct log_record *record)
{
    if (record->damage != NULL || !may_be_wanted(stream, record))
        return;
    json_auto_t *envelope = json_loadb(record->value, record->value_size, 0, NULL);
    if (json_is_object(envelope) && json_object_size(envelope) > 0 && is_wanted(stream, envelope))
        render_event_line(&stream->lines, record->value, record->value_size, record->partition,
                          record->offset);
}

/* --- the flow --- */

static void pace(struct stream *stream, bool pause)
{
    stream->paused = pause;
    for (size_t i = 0; i < stream->n_readers; i++) {
        if (stream->readers[i].reader == NULL)
            continue;
        if (pause)
            log_reader_pause(stream->readers[i].reader);
        else
            log_reader_resume(stream->readers[i].reader);
    }
}

static void reader_done(struct stream_reader *reader)
{
    struct stream *stream = reader->stream;
    log_reader_close(reader->reader);
    reader->reader = NULL;
    if (--stream->n_reading == 0 && !stream->ended) {
        stream->ended = true;
        http_stream_end(stream->http);
    }
}

static void on_records(struct log_reader *log_reader, const struct log_record *records, size_t n, void *data)
{
    (void)log_reader;
    struct stream_reader *reader = data;
    struct stream *stream = reader->stream;
    buf_reset(&stream->lines);
    for (size_t i = 0; i < n; i++)
        add_line(stream, &records[i]);
    if (stream->lines.failed) {
        reader_done(reader); /* an answer that ends early; there is no other way to tell once it has begun */
        return;
    }
    if (stream->lines.size > 0 &&
        http_stream_write(stream->http, stream->lines.data, stream->lines.size) > WAITING_MAX_BYTES &&
        !stream->paused)
        pace(stream, true);
}

static void on_caught_up(struct log_reader *log_reader, int64_t end_offset, void *data)
{
    (void)log_reader;
    (void)end_offset;
    struct stream_reader *reader = data;
    if (!reader->stream->follow)
        reader_done(reader);
}

/* From an offset that is not there (any more, or yet): nothing to tell from this partition. */
static void on_lost(struct log_reader *log_reader, const struct err *err, void *data)
{
    (void)log_reader;
    (void)err;
    reader_done(data);
}

static void on_drained(struct http_stream *http, void *data)
{
    (void)http;
    struct stream *stream = data;
    if (stream->paused && !stream->ended)
        pace(stream, false);
}

static void on_closed(struct http_stream *http, void *data)
{
    (void)http;
    struct stream *stream = data;
    stream->query->n_streams--;
    stream_free(stream);
}

/* --- the question --- */

struct range {
    int64_t from;      /* 0: from the beginning */
    int64_t partition; /* -1: all */
    const char *after; /* what an answer's Wharf-Offset said: "P:O,P:O"; NULL: from `from` on */
};

/* Where a partition is read from: behind what `after` says of it. -1 when that is no list of positions. */
static int64_t first_offset(const struct range *range, uint32_t partition)
{
    int64_t ret = range->from;
    for (const char *at = range->after; at != NULL;) {
        char item[48];
        uint32_t named;
        int64_t offset;
        size_t size = strcspn(at, ",");
        if (size >= sizeof(item))
            return -1;
        memcpy(item, at, size);
        item[size] = '\0';
        if (position_parse(item, &named, &offset) < 0 || offset == INT64_MAX)
            return -1;
        if (named == partition)
            ret = offset + 1;
        at = at[size] == ',' ? at + size + 1 : NULL;
    }
    return ret;
}

/* NULL, or what is wrong. */
static const char *read_range(struct range *range, struct http_request *request, const struct query *query)
{
    const char *from = http_request_query(request, "from_offset");
    const char *partition = http_request_query(request, "partition");
    *range = (struct range){.partition = -1, .after = http_request_query(request, "after")};
    if (from != NULL && number_parse(from, 0, INT64_MAX - 1, &range->from) < 0)
        return "'from_offset' must be a number from 0";
    if (partition != NULL &&
        number_parse(partition, 0, (int64_t)query->n_partitions - 1, &range->partition) < 0)
        return "'partition' must be the number of a partition that exists";
    if (first_offset(range, 0) < 0)
        return "'after' must be PARTITION:OFFSET[,PARTITION:OFFSET], as Wharf-Offset says";
    return from != NULL && range->after != NULL ? "'after' and 'from_offset' contradict each other" : NULL;
}

static const char *read_filters(struct stream *stream, struct http_request *request)
{
    const char *since = http_request_query(request, "since"), *type;
    const char *container = http_request_query(request, "container"),
               *follow = http_request_query(request, "follow");
    stream->follow = follow != NULL && strcmp(follow, "0") != 0;
    stream->since_ns = INT64_MIN;
    if (since != NULL && timestamp_parse_user(since, clock_realtime_ns(), &stream->since_ns, NULL) < 0)
        return "'since' must be a time (RFC 3339 or Unix seconds) or a duration such as 10m";
    if (container != NULL && strspn(container, "0123456789abcdef") != strlen(container))
        return "'container' must be a container's id or the beginning of one";
    stream->container = container != NULL ? strdup(container) : NULL;
    while ((type = http_request_query_at(request, "type", stream->n_types)) != NULL) {
        if (stream->n_types == TYPES_MAX)
            return "too many filters";
        stream->types[stream->n_types] = strdup(type);
        if (stream->types[stream->n_types++] == NULL)
            return "out of memory";
    }
    return NULL;
}

static int open_readers(struct stream *stream, const struct range *range, struct err *err)
{
    static const struct log_reader_ops ops = {
        .on_records = on_records, .on_caught_up = on_caught_up, .on_lost = on_lost};
    size_t n = range->partition >= 0 ? 1 : stream->query->n_partitions;
    stream->readers = calloc(n, sizeof(*stream->readers));
    if (stream->readers == NULL)
        return err_nomem(err, "reading events");
    for (; stream->n_readers < n; stream->n_readers++) {
        struct stream_reader *reader = &stream->readers[stream->n_readers];
        reader->stream = stream;
        reader->partition = range->partition >= 0 ? (uint32_t)range->partition : (uint32_t)stream->n_readers;
        if (log_reader_open(&reader->reader, stream->query->log, LOG_EVENTS, reader->partition,
                            first_offset(range, reader->partition), &ops, reader, err) < 0)
            return -1;
    }
    stream->n_reading = n;
    return 0;
}

static void begin(struct stream *stream, struct http_request *request, const struct range *range)
{
    static const struct http_stream_ops ops = {.on_drained = on_drained, .on_closed = on_closed};
    struct err err = ERR_INIT;
    if (open_readers(stream, range, &err) < 0) {
        stream_free(stream);
        http_reply_problem(request, 503, "log-unavailable", NULL, "%s", err.message);
        return;
    }
    stream->http = http_stream_begin(request, 200, "application/x-ndjson", &ops, stream);
    if (stream->http == NULL)
        stream_free(stream);
    else
        stream->query->n_streams++;
}

void handle_events(struct http_request *request, void *data)
{
    struct query *query = data;
    struct range range;
    query->n_requests++;
    if (query->n_partitions == 0) {
        http_reply_header(request, "Retry-After", "1");
        http_reply_problem(request, 503, "log-unavailable", NULL, "the log has not been reached yet");
        return;
    }
    struct stream *stream = calloc(1, sizeof(*stream));
    if (stream == NULL) {
        http_reply_problem(request, 500, "out-of-memory", NULL, "out of memory");
        return;
    }
    stream->query = query;
    const char *wrong = read_range(&range, request, query);
    if (wrong == NULL)
        wrong = read_filters(stream, request);
    if (wrong == NULL) {
        begin(stream, request, &range);
        return;
    }
    stream_free(stream);
    http_reply_problem(request, 400, "bad-value", NULL, "%s", wrong);
}
