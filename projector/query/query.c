/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening: HTTP serves at once -> the log says how many partitions there are -> Redis, two connections: one
 * for questions, one that hears how far the view is. Closing goes backwards.
 */
#include "projector/query/query.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/say.h"
#include "projector/query/call.h"

#define APPLIED_PATTERN SINK_LIVE "{*}:applied"
#define ASK_INTERVAL_MS 2000
#define ASK_FIRST_MS 100

/* What every question of the view may ask for beside its own. */
#define FRESH "consistent&min_offset*"

static const struct http_route routes[] = {
    {"GET", "/v1/containers?state*&label*&image*&name&node&limit&cursor&" FRESH, handle_containers},
    {"GET", "/v1/containers/{ref}?" FRESH, handle_container},
    {"GET", "/v1/containers/{ref}/history?" FRESH, handle_history},
    {"GET", "/v1/images?" FRESH, handle_images},
    {"GET", "/v1/volumes?" FRESH, handle_volumes},
    {"GET", "/v1/nodes?" FRESH, handle_nodes},
    {"GET", "/v1/events?from_offset&after&partition&since&follow&container&type*", handle_events},
    {"GET", "/healthz?", handle_health},
    {"GET", "/readyz?", handle_ready},
    {"GET", "/metrics?", handle_metrics},
    {NULL, NULL, NULL},
};

/* --- how far the view is --- */

struct position {
    struct query *query;
    uint32_t partition;
};

static void tell_ready(struct query *query)
{
    if (query->ready_told || query->closing)
        return;
    for (size_t i = 0; i < query->n_partitions; i++)
        if (!query->partitions[i].seen)
            return;
    query->ready_told = true;
    if (query->options.on_ready != NULL)
        query->options.on_ready(query->options.data);
}

static void note(struct query *query, uint32_t partition, int64_t offset)
{
    if (partition >= query->n_partitions)
        return;
    query->partitions[partition].seen = true;
    call_note_applied(query, partition, offset);
    tell_ready(query);
}

static void on_position(const redisReply *reply, const struct err *err, void *data)
{
    (void)err;
    struct position position = *(struct position *)data;
    free(data);
    if (reply != NULL && reply->type == REDIS_REPLY_STRING && !position.query->closing)
        note(position.query, position.partition, strtoll(reply->str, NULL, 10));
}

/* Asked once the subscription holds, so that no move in between is missed. */
static void ask_positions(struct query *query)
{
    if (!redis_is_up(query->redis) || !redis_is_up(query->messages))
        return;
    for (uint32_t i = 0; i < query->n_partitions; i++) {
        struct position *position = malloc(sizeof(*position));
        if (position == NULL)
            return;
        *position = (struct position){query, i};
        if (redis_commandf(query->redis, on_position, position, NULL, "HGET %smeta offset",
                           query->partitions[i].prefix) < 0)
            free(position);
    }
}

static void on_applied(const char *channel, const char *payload, void *data)
{
    struct query *query = data;
    if (channel == NULL)
        ask_positions(query);
    else /* the pattern vouches for what stands before the number */
        note(query, (uint32_t)strtoul(channel + strlen(SINK_LIVE "{"), NULL, 10), strtoll(payload, NULL, 10));
}

/* --- Redis --- */

static void on_messages_up(void *data)
{
    struct query *query = data;
    redis_psubscribe(query->messages, APPLIED_PATTERN, on_applied, query, NULL);
}

static void on_redis_up(void *data)
{
    struct query *query = data;
    if (query->redis_told)
        say_info("Redis is back");
    query->redis_told = false;
    ask_positions(query);
}

static void on_redis_down(const struct err *err, void *data)
{
    struct query *query = data;
    if (!query->redis_told && !query->closing)
        say_warning("%s; questions are answered 503 until it is back", err->message);
    query->redis_told = true;
    calls_fail_waiting(query);
}

static int open_redis(struct query *query, struct err *err)
{
    static const struct redis_events commands = {.on_up = on_redis_up, .on_down = on_redis_down};
    static const struct redis_events messages = {.on_up = on_messages_up};
    if (redis_open(&query->redis, query->loop, query->options.redis_url, &commands, query, err) < 0)
        return -1;
    return redis_open(&query->messages, query->loop, query->options.redis_url, &messages, query, err);
}

/* --- the log --- */

static void on_trouble(const struct log_trouble *trouble, void *data)
{
    struct query *query = data;
    if (trouble->kind == LOG_BACK) {
        query->log_away = false;
        say_info("%s", trouble->message);
        return;
    }
    query->log_away = query->log_away || trouble->kind == LOG_AWAY;
    say_warning("%s", trouble->message);
}

static void close_now(struct query *query);
static void ask_partitions(struct query *query);

static void on_ask_again(uv_timer_t *timer)
{
    ask_partitions(timer->data);
}

/* Calls under way have arrays of the old size, so it grows only while there are none. */
static void grow(struct query *query, size_t n)
{
    struct query_partition *grown = reallocarray(query->partitions, n, sizeof(*grown));
    if (grown == NULL)
        return; /* the next time, perhaps */
    query->partitions = grown;
    for (size_t i = query->n_partitions; i < n; i++) {
        grown[i] = (struct query_partition){.applied = -1};
        sink_prefix(grown[i].prefix, SINK_LIVE, (uint32_t)i);
    }
    query->n_partitions = n;
    ask_positions(query);
}

static void on_partitions(struct log_query *log_query, int64_t n, const struct err *err)
{
    struct query *query = log_query->data;
    query->partitions_query_under_way = false;
    if (query->closing) {
        close_now(query);
        return;
    }
    if (err == NULL && n > (int64_t)query->n_partitions && query->calls == NULL)
        grow(query, (size_t)n);
    uv_timer_start(&query->ask_timer, on_ask_again, query->n_partitions > 0 ? ASK_INTERVAL_MS : ASK_FIRST_MS,
                   0);
}

static void ask_partitions(struct query *query)
{
    struct err err = ERR_INIT;
    query->partitions_query.data = query;
    if (log_partitions(query->log, &query->partitions_query, LOG_EVENTS, on_partitions, &err) == 0)
        query->partitions_query_under_way = true;
    else
        uv_timer_start(&query->ask_timer, on_ask_again, ASK_INTERVAL_MS, 0);
}

/* --- opening and closing --- */

static int open_server(struct query *query, struct err *err)
{
    struct http_server_options options = {.socket_path = query->options.socket_path,
                                          .socket_mode = 0660,
                                          .socket_gid = query->options.socket_gid,
                                          .routes = routes,
                                          .data = query};
    return http_server_open(&query->server, query->loop, &options, err);
}

int query_open(struct query **ret, uv_loop_t *loop, const struct query_options *options, struct err *err)
{
    struct query *query = calloc(1, sizeof(*query));
    if (query == NULL)
        return err_nomem(err, "starting the query role");
    query->options = *options;
    query->loop = loop;
    uv_timer_init(loop, &query->timer);
    query->timer.data = query;
    uv_timer_init(loop, &query->ask_timer);
    query->ask_timer.data = query;
    if (open_server(query, err) < 0) {
        query_close(query, NULL, NULL);
        return -1;
    }
    *ret = query;
    return 0;
}

int query_start(struct query *query, struct err *err)
{
    struct log_options log = query->options.log;
    log.on_trouble = on_trouble;
    log.data = query;
    log.append_topics = 0;
    if (log_open(&query->log, query->loop, query->options.log_url, &log, err) < 0 ||
        open_redis(query, err) < 0)
        return -1;
    ask_partitions(query);
    return 0;
}

static void on_part_closed(void *data)
{
    struct query *query = data;
    if (--query->n_closing > 0)
        return;
    void (*on_closed)(void *) = query->on_closed;
    void *closed_data = query->closed_data;
    free(query->partitions);
    free(query);
    if (on_closed != NULL)
        on_closed(closed_data);
}

static void on_timer_closed(uv_handle_t *handle)
{
    on_part_closed(handle->data);
}

/* The log fails what calls still ask of it, so it goes last but for the timer; a call without its request
 * frees itself. */
static void close_log(void *data)
{
    struct query *query = data;
    if (query->log != NULL)
        log_close(query->log, on_part_closed, query);
    else
        on_part_closed(query);
}

static void close_messages(void *data)
{
    struct query *query = data;
    redis_close(query->messages, close_log, query);
}

static void close_redis(void *data)
{
    struct query *query = data;
    redis_close(query->redis, close_messages, query);
}

static void close_now(struct query *query)
{
    query->n_closing = 3;
    uv_close((uv_handle_t *)&query->timer, on_timer_closed);
    uv_close((uv_handle_t *)&query->ask_timer, on_timer_closed);
    http_server_close(query->server, close_redis, query); /* cancels every call and closes every stream */
}

void query_close(struct query *query, void (*on_closed)(void *data), void *data)
{
    query->closing = true;
    query->on_closed = on_closed;
    query->closed_data = data;
    uv_timer_stop(&query->timer);
    uv_timer_stop(&query->ask_timer);
    if (!query->partitions_query_under_way)
        close_now(query);
}
