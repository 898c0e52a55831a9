/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /healthz, /readyz and /metrics. Readiness and metrics ask the log where it ends and every partition of
 * the view how far it is; metrics also answer when one of the two does not.
 *
 * The lag in seconds is the age of the oldest record that the view does not contain: it is read from the log,
 * one record a partition, and only where there is a lag.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "events/container_state.h"
#include "projector/query/call.h"
#include "projector/query/scripts.h"

void handle_health(struct http_request *request, void *data)
{
    ((struct query *)data)->n_requests++;
    http_reply(request, 200, "application/json", "{\"status\":\"ok\"}\n", 16);
}

struct partition_status {
    int64_t offset, parked, fenced, ignored, events;
    int64_t oldest_ms; /* when the first record after `offset` was appended; 0 when not known */
};

struct status {
    struct partition_status *partitions; /* NULL until the first part */
    size_t n_partitions;
    size_t n_parts;
    int64_t containers[CONTAINER_STATES];
    uint32_t reading; /* the partition whose oldest record is being read */
};

static void status_free(void *state)
{
    struct status *status = state;
    free(status->partitions);
    free(status);
}

static void restart_status(void *state)
{
    struct status *status = state;
    memset(status->containers, 0, sizeof(status->containers));
    status->n_parts = 0;
}

static int ask_status(struct call *call, uint32_t partition, struct err *err)
{
    const char *states[CONTAINER_STATES];
    for (int i = CONTAINER_CREATED; i < CONTAINER_STATES; i++)
        states[i - CONTAINER_CREATED] = container_state_name((enum container_state)i);
    return call_eval(call, partition, query_script_status, states, CONTAINER_STATES - CONTAINER_CREATED, err);
}

static int64_t number_at(const redisReply *reply, size_t i)
{
    const redisReply *element = reply->element[i];
    return element->type == REDIS_REPLY_STRING ? strtoll(element->str, NULL, 10) : 0;
}

static int on_status_part(struct call *call, uint32_t partition, const redisReply *reply, struct err *err)
{
    struct status *status = call->state;
    if (reply->elements < 5 + 2 * (CONTAINER_STATES - CONTAINER_CREATED))
        return err_set(err, ERR_PROTOCOL, "unexpected reply of Redis");
    if (status->partitions == NULL) {
        status->n_partitions = call->query->n_partitions;
        status->partitions = calloc(status->n_partitions, sizeof(*status->partitions));
        if (status->partitions == NULL)
            return err_nomem(err, "asking for the status");
    }
    status->partitions[partition] = (struct partition_status){.offset = number_at(reply, 0),
                                                              .parked = number_at(reply, 1),
                                                              .fenced = number_at(reply, 2),
                                                              .ignored = number_at(reply, 3),
                                                              .events = number_at(reply, 4)};
    for (size_t i = 5; i + 1 < reply->elements; i += 2) {
        int state = container_state_by_name(reply->element[i]->str);
        if (state >= 0)
            status->containers[state] += number_at(reply, i + 1);
    }
    status->n_parts++;
    return 0;
}

static void on_ready_complete(struct call *call)
{
    call_reply(call, 200, "application/json", "{\"status\":\"ready\"}\n", 19);
}

static const struct call_kind ready_kind = {.ask = ask_status,
                                            .on_part = on_status_part,
                                            .on_complete = on_ready_complete,
                                            .restart = restart_status,
                                            .release = status_free,
                                            .wants_ends = true};

/* --- metrics --- */

static int64_t lag_events(const struct call *call, size_t i)
{
    const struct status *status = call->state;
    int64_t lag = call->ends[i].value - 1 - status->partitions[i].offset;
    return lag > 0 ? lag : 0;
}

static void metric_head(struct buf *ret, const char *name, const char *type, const char *help)
{
    buf_printf(ret, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void render_lag(struct buf *ret, const struct call *call)
{
    const struct status *status = call->state;
    int64_t now_ms = clock_realtime_ns() / 1000000;
    metric_head(ret, "wharf_projection_lag_events", "gauge",
                "Records on the log that the view does not contain.");
    for (size_t i = 0; i < status->n_partitions; i++)
        buf_printf(ret, "wharf_projection_lag_events{partition=\"%zu\"} %" PRId64 "\n", i,
                   lag_events(call, i));
    metric_head(ret, "wharf_projection_lag_seconds", "gauge",
                "Age of the oldest such record; 0 without lag.");
    for (size_t i = 0; i < status->n_partitions; i++) {
        int64_t oldest_ms = status->partitions[i].oldest_ms;
        double seconds = oldest_ms > 0 && now_ms > oldest_ms ? (double)(now_ms - oldest_ms) / 1e3 : 0;
        buf_printf(ret, "wharf_projection_lag_seconds{partition=\"%zu\"} %.3f\n", i, seconds);
    }
}

static void render_counters(struct buf *ret, const struct status *status)
{
    static const struct {
        const char *name, *type, *help;
        size_t member;
    } rows[] = {
        {"wharf_projection_offset", "gauge", "Newest offset the view contains.",
         offsetof(struct partition_status, offset)},
        {"wharf_projection_events_total", "counter", "Events projected.",
         offsetof(struct partition_status, events)},
        {"wharf_projection_parked_total", "counter", "Records that were no events.",
         offsetof(struct partition_status, parked)},
        {"wharf_projection_fenced_total", "counter", "Events of an epoch that is over.",
         offsetof(struct partition_status, fenced)},
        {"wharf_projection_ignored_total", "counter", "Events seen before, and illegal ones.",
         offsetof(struct partition_status, ignored)},
    };
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        metric_head(ret, rows[r].name, rows[r].type, rows[r].help);
        for (size_t i = 0; i < status->n_partitions; i++) {
            int64_t value;
            memcpy(&value, (const char *)&status->partitions[i] + rows[r].member, sizeof(value));
            buf_printf(ret, "%s{partition=\"%zu\"} %" PRId64 "\n", rows[r].name, i, value);
        }
    }
    metric_head(ret, "wharf_containers", "gauge", "Containers by state.");
    for (int i = CONTAINER_CREATED; i < CONTAINER_STATES; i++)
        buf_printf(ret, "wharf_containers{state=\"%s\"} %" PRId64 "\n",
                   container_state_name((enum container_state)i), status->containers[i]);
}

static void render_metrics(struct call *call)
{
    const struct status *status = call->state;
    const struct query *query = call->query;
    struct buf body = BUF_INIT;
    bool complete = status->partitions != NULL && status->n_parts == status->n_partitions;
    bool ends_known = call->n_ends == 0;
    for (size_t i = 0; i < query->n_partitions; i++)
        ends_known = ends_known && call->ends[i].value >= 0;
    if (complete && ends_known)
        render_lag(&body, call);
    if (complete)
        render_counters(&body, status);
    metric_head(&body, "wharf_redis_up", "gauge", "1 while Redis answers.");
    buf_printf(&body, "wharf_redis_up %d\n", redis_is_up(query->redis) ? 1 : 0);
    metric_head(&body, "wharf_log_up", "gauge", "1 while the log answers.");
    buf_printf(&body, "wharf_log_up %d\n", query->n_partitions > 0 && !query->log_away ? 1 : 0);
    metric_head(&body, "wharf_query_requests_total", "counter", "Requests.");
    buf_printf(&body, "wharf_query_requests_total %" PRIu64 "\n", query->n_requests);
    metric_head(&body, "wharf_query_unavailable_total", "counter", "Requests answered 503.");
    buf_printf(&body, "wharf_query_unavailable_total %" PRIu64 "\n", query->n_unavailable);
    metric_head(&body, "wharf_query_event_streams", "gauge", "Event streams open.");
    buf_printf(&body, "wharf_query_event_streams %" PRIu64 "\n", query->n_streams);
    if (body.failed)
        call_reply_problem(call, 500, "out-of-memory", "out of memory");
    else
        call_reply(call, 200, "text/plain; version=0.0.4", body.data, body.size);
    buf_release(&body);
}

static void read_next_oldest(struct call *call);

static void on_oldest(const struct log_record *record, void *data)
{
    struct call *call = data;
    struct status *status = call->state;
    status->partitions[status->reading].oldest_ms = record->time_ms;
}

static void on_oldest_read(const struct err *err, void *data)
{
    (void)err; /* then the age is not known */
    struct call *call = data;
    struct status *status = call->state;
    fetch_close(call->fetch);
    call->fetch = NULL;
    status->reading++;
    read_next_oldest(call);
}

/* Partition by partition, those with a lag; then answers. */
static void read_next_oldest(struct call *call)
{
    struct status *status = call->state;
    while (status->reading < status->n_partitions && lag_events(call, status->reading) == 0)
        status->reading++;
    if (status->reading == status->n_partitions) {
        render_metrics(call);
        return;
    }
    int64_t *offset = malloc(sizeof(*offset));
    if (offset != NULL) {
        *offset = status->partitions[status->reading].offset + 1;
        if (fetch_open(&call->fetch, call->query->log, status->reading, offset, 1, on_oldest, on_oldest_read,
                       call, NULL) == 0)
            return;
    }
    render_metrics(call);
}

static void on_metrics_complete(struct call *call)
{
    if (call->unavailable)
        render_metrics(call);
    else
        read_next_oldest(call);
}

static const struct call_kind metrics_kind = {.ask = ask_status,
                                              .on_part = on_status_part,
                                              .on_complete = on_metrics_complete,
                                              .restart = restart_status,
                                              .release = status_free,
                                              .wants_ends = true,
                                              .answers_without_view = true};

static void begin_status(struct http_request *request, struct query *query, const struct call_kind *kind)
{
    struct status *status = calloc(1, sizeof(*status));
    if (status == NULL)
        http_reply_problem(request, 500, "out-of-memory", NULL, "out of memory");
    else
        call_begin(query, request, kind, status);
}

void handle_ready(struct http_request *request, void *data)
{
    begin_status(request, data, &ready_kind);
}

void handle_metrics(struct http_request *request, void *data)
{
    begin_status(request, data, &metrics_kind);
}
