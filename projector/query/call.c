/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Happy path: call_begin -> ask_ends (if consistent) -> wait_or_ask -> ask -> on_part for each partition ->
 * on_complete
 * -> call_reply. A call that waits is woken by call_note_applied, which the subscription drives.
 *
 * A call that was answered or cancelled early stays in memory until nothing of it is under way: `request` is
 * NULL then.
 */
#include "projector/query/call.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "projector/query/render.h"

static void wait_or_ask(struct call *call);

static void call_free(struct call *call)
{
    struct query *query = call->query;
    if (call->prev != NULL)
        call->prev->next = call->next;
    else
        query->calls = call->next;
    if (call->next != NULL)
        call->next->prev = call->prev;
    fetch_close(call->fetch);
    if (call->kind->release != NULL)
        call->kind->release(call->state);
    free(call->needed);
    free(call->offsets);
    free(call->ends);
    free(call);
}

static void free_if_done(struct call *call)
{
    if (call->request == NULL && call->n_ends == 0 && call->n_parts == 0)
        call_free(call);
}

static void on_cancel(struct http_request *request, void *data)
{
    (void)request;
    struct call *call = data;
    call->request = NULL;
    call->waiting = false;
    fetch_close(call->fetch);
    call->fetch = NULL;
    free_if_done(call);
}

/* --- answers --- */

/* Detaches the request, which the caller is about to answer. */
static struct http_request *take_request(struct call *call)
{
    struct http_request *request = call->request;
    call->request = NULL;
    call->waiting = false;
    http_request_set_data(request, NULL, NULL);
    return request;
}

static void add_offset_header(struct call *call, struct http_request *request)
{
    auto_buf struct buf text = BUF_INIT;
    for (size_t i = 0; i < call->query->n_partitions; i++)
        if (call->offsets[i] >= 0)
            buf_printf(&text, "%s%zu:%" PRId64, text.size > 0 ? "," : "", i, call->offsets[i]);
    if (text.size > 0 && !text.failed)
        http_reply_header(request, "Wharf-Offset", text.data);
}

void call_reply(struct call *call, unsigned status, const char *content_type, const void *body, size_t size)
{
    struct http_request *request = take_request(call);
    add_offset_header(call, request);
    http_reply(request, status, content_type, body, size);
    free_if_done(call);
}

void call_reply_json_take(struct call *call, unsigned status, json_t *document)
{
    struct http_request *request = take_request(call);
    add_offset_header(call, request);
    http_reply_json_take(request, status, document);
    free_if_done(call);
}

void call_reply_problem(struct call *call, unsigned status, const char *code, const char *fmt, ...)
{
    char detail[ERR_MESSAGE_SIZE];
    va_list args;
    va_start(args, fmt);
    vsnprintf(detail, sizeof(detail), fmt, args);
    va_end(args);
    struct http_request *request = take_request(call);
    if (status == 503) {
        call->query->n_unavailable++;
        http_reply_header(request, "Retry-After", "1");
    }
    http_reply_problem(request, status, code, NULL, "%s", detail);
    free_if_done(call);
}

void call_reply_unavailable(struct call *call, const char *why)
{
    call_reply_problem(call, 503, "view-unavailable", "the view cannot be read now: %s", why);
}

/* Something did not answer: some kinds can say something even so. May free the call. */
static void fail(struct call *call, const char *why)
{
    if (!call->kind->answers_without_view) {
        call_reply_unavailable(call, why);
        return;
    }
    fetch_close(call->fetch);
    call->fetch = NULL;
    call->unavailable = true;
    call->completing = true;
    call->kind->on_complete(call);
}

/* --- asking the view --- */

struct part {
    struct call *call;
    uint32_t partition;
};

static bool is_behind(const struct call *call, const int64_t *have, size_t i)
{
    return have[i] < call->needed[i];
}

static void complete(struct call *call)
{
    for (size_t i = 0; i < call->query->n_partitions; i++) {
        call->query->partitions[i].applied = call->offsets[i];
        /* the view was thrown away and is being filled again: what we knew of it is not true any more */
        if (is_behind(call, call->offsets, i)) {
            call->kind->restart(call->state);
            wait_or_ask(call);
            return;
        }
    }
    call->completing = true;
    call->kind->on_complete(call);
}

static int take_part(struct call *call, uint32_t partition, const redisReply *reply, struct err *err)
{
    if (reply->type == REDIS_REPLY_ERROR)
        return err_set(err, ERR_UNAVAILABLE, "%s", reply->str);
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0)
        return err_set(err, ERR_PROTOCOL, "unexpected reply of Redis");
    if (reply->element[0]->type != REDIS_REPLY_STRING)
        return err_set(err, ERR_UNAVAILABLE, "there is none for partition %" PRIu32 " yet", partition);
    call->offsets[partition] = strtoll(reply->element[0]->str, NULL, 10);
    return call->kind->on_part(call, partition, reply, err);
}

static void on_part(const redisReply *reply, const struct err *err, void *data)
{
    struct part part = *(struct part *)data;
    struct call *call = part.call;
    struct err why = ERR_INIT;
    free(data);
    call->n_parts--;
    if (call->request == NULL || call->completing)
        free_if_done(call);
    else if (reply == NULL)
        fail(call, err->message);
    else if (take_part(call, part.partition, reply, &why) < 0)
        fail(call, why.message);
    else if (call->n_parts == 0)
        complete(call);
}

int call_eval(struct call *call, uint32_t partition, const char *script, const char *const *argv,
              size_t n_args, struct err *err)
{
    const char *prefix = call->query->partitions[partition].prefix;
    char meta[SINK_PREFIX_SIZE + 8];
    snprintf(meta, sizeof(meta), "%smeta", prefix);
    auto_free const char **all = calloc(n_args + 5, sizeof(*all));
    struct part *part = malloc(sizeof(*part));
    if (all == NULL || part == NULL) {
        free(part);
        return err_nomem(err, "asking the view");
    }
    *part = (struct part){call, partition};
    const char *head[] = {"EVAL", script, "1", meta, prefix};
    memcpy(all, head, sizeof(head));
    if (n_args > 0)
        memcpy(all + 5, argv, n_args * sizeof(*argv));
    if (redis_command(call->query->redis, on_part, part, err, (int)(n_args + 5), all, NULL) < 0) {
        free(part);
        return -1;
    }
    call->n_parts++;
    return 0;
}

int call_values(struct call *call, uint32_t partition, const char *name, struct err *err)
{
    struct redis *redis = call->query->redis;
    const char *prefix = call->query->partitions[partition].prefix;
    struct part *part = malloc(sizeof(*part));
    if (part == NULL)
        return err_nomem(err, "asking the view");
    *part = (struct part){call, partition};
    if (redis_commandf(redis, NULL, NULL, err, "MULTI") < 0 ||
        redis_commandf(redis, NULL, NULL, err, "HGET %smeta offset", prefix) < 0 ||
        redis_commandf(redis, NULL, NULL, err, "HVALS %s%s", prefix, name) < 0 ||
        redis_commandf(redis, on_part, part, err, "EXEC") < 0) {
        free(part);
        return -1;
    }
    call->n_parts++;
    return 0;
}

static void ask(struct call *call)
{
    struct err err = ERR_INIT;
    for (uint32_t i = 0; i < call->query->n_partitions; i++) {
        if (call->kind->ask(call, i, &err) < 0) {
            fail(call, err.message);
            return;
        }
    }
}

/* --- waiting for the view --- */

static void wait_or_ask(struct call *call)
{
    struct query *query = call->query;
    for (size_t i = 0; i < query->n_partitions; i++) {
        if (query->partitions[i].applied < call->needed[i]) {
            call->waiting = true;
            return; /* calls_expire ends it if nothing else does */
        }
    }
    call->waiting = false;
    ask(call);
}

void call_note_applied(struct query *query, uint32_t partition, int64_t offset)
{
    if (partition >= query->n_partitions)
        return;
    query->partitions[partition].applied = offset;
    struct call *next;
    for (struct call *call = query->calls; call != NULL; call = next) {
        next = call->next;
        if (call->waiting)
            wait_or_ask(call);
    }
}

void calls_fail_waiting(struct query *query)
{
    struct call *next;
    for (struct call *call = query->calls; call != NULL; call = next) {
        next = call->next;
        if (call->waiting)
            call_reply_unavailable(call, "Redis is away");
    }
}

static void on_end(struct log_query *end, int64_t value, const struct err *err)
{
    struct call *call = end->data;
    call->n_ends--;
    if (call->request == NULL || call->completing) {
        free_if_done(call);
        return;
    }
    if (err != NULL) {
        fail(call, err->message);
        return;
    }
    end->value = value;
    if (call->consistent)
        call->needed[end->partition] = value - 1;
    if (call->n_ends == 0)
        wait_or_ask(call);
}

static int ask_ends(struct call *call, struct err *err)
{
    for (uint32_t i = 0; i < call->query->n_partitions; i++) {
        call->ends[i].data = call;
        call->ends[i].value = -1;
        if (log_end(call->query->log, &call->ends[i], LOG_EVENTS, i, on_end, err) < 0)
            return -1;
        call->n_ends++;
    }
    return 0;
}

static void expire(struct call *call)
{
    if (call->kind->answers_without_view)
        fail(call, "no answer in time");
    else if (call->waiting)
        call_reply_problem(call, 504, "view-behind", "the view does not yet contain what was asked for");
    else if (call->n_ends > 0 || call->fetch != NULL)
        call_reply_problem(call, 503, "log-unavailable", "the log does not answer");
    else
        call_reply_unavailable(call, "Redis does not answer");
}

void calls_expire(struct query *query)
{
    int64_t now_ns = clock_monotonic_ns();
    struct call *next;
    for (struct call *call = query->calls; call != NULL; call = next) {
        next = call->next;
        if (call->request != NULL && call->deadline_ns <= now_ns)
            expire(call);
    }
    calls_arm_timer(query);
}

static void on_timer(uv_timer_t *timer)
{
    calls_expire(timer->data);
}

/* The oldest call is the last in the list, and its deadline the next, since all have the same time. */
void calls_arm_timer(struct query *query)
{
    const struct call *oldest = NULL;
    for (const struct call *call = query->calls; call != NULL; call = call->next)
        if (call->request != NULL)
            oldest = call;
    if (oldest == NULL)
        return;
    int64_t left_ms = (oldest->deadline_ns - clock_monotonic_ns()) / 1000000 + 1;
    uv_timer_start(&query->timer, on_timer, left_ms > 0 ? (uint64_t)left_ms : 0, 0);
}

/* --- beginning --- */

/* min_offset=PARTITION:OFFSET, which may be repeated. */
static int read_needed(struct call *call)
{
    const char *text;
    for (size_t i = 0; (text = http_request_query_at(call->request, "min_offset", i)) != NULL; i++) {
        uint32_t partition;
        int64_t offset;
        if (position_parse(text, &partition, &offset) < 0 || partition >= call->query->n_partitions)
            return -1;
        if (offset > call->needed[partition])
            call->needed[partition] = offset;
    }
    const char *consistent = http_request_query(call->request, "consistent");
    call->consistent = consistent != NULL && strcmp(consistent, "0") != 0;
    return 0;
}

static struct call *call_new(struct query *query, struct http_request *request, const struct call_kind *kind,
                             void *state)
{
    struct call *call = calloc(1, sizeof(*call));
    size_t n = query->n_partitions;
    if (call == NULL)
        return NULL;
    call->needed = calloc(n + 1, sizeof(*call->needed));
    call->offsets = calloc(n + 1, sizeof(*call->offsets));
    call->ends = calloc(n + 1, sizeof(*call->ends));
    if (call->needed == NULL || call->offsets == NULL || call->ends == NULL) {
        free(call->needed);
        free(call->offsets);
        free(call->ends);
        free(call);
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        call->needed[i] = call->offsets[i] = -1;
        call->ends[i].value = -1;
    }
    call->query = query;
    call->request = request;
    call->kind = kind;
    call->state = state;
    call->deadline_ns = clock_monotonic_ns() + CALL_TIMEOUT_MS * 1000000LL;
    call->next = query->calls;
    if (call->next != NULL)
        call->next->prev = call;
    query->calls = call;
    return call;
}

void call_begin(struct query *query, struct http_request *request, const struct call_kind *kind, void *state)
{
    struct err err = ERR_INIT;
    struct call *call = call_new(query, request, kind, state);
    query->n_requests++;
    if (call == NULL) {
        if (kind->release != NULL)
            kind->release(state);
        http_reply_problem(request, 500, "out-of-memory", NULL, "out of memory");
        return;
    }
    http_request_set_data(request, call, on_cancel);
    if (!uv_is_active((uv_handle_t *)&query->timer))
        calls_arm_timer(query);
    if (read_needed(call) < 0) {
        call_reply_problem(call, 400, "bad-value",
                           "'min_offset' must be PARTITION:OFFSET with a partition that exists");
    } else if (query->n_partitions == 0 || !redis_is_up(query->redis)) {
        fail(call, query->n_partitions == 0 ? "the log has not been reached yet" : "Redis is away");
    } else if (!call->consistent && !kind->wants_ends) {
        wait_or_ask(call);
    } else if (ask_ends(call, &err) < 0) {
        fail(call, err.message);
    }
}
