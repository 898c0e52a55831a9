/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Happy path: connect_now -> on_connect -> PING -> on_ping -> up. Commands go straight to hiredis, which
 * queues and pipelines them.
 *
 * Trouble: a failed attempt or a lost connection ends in link_lost, which tells the owner and arms the retry
 * timer. The hiredis context and its poll handle live in a struct link of their own: a lost link may still be
 * closing while the next one connects, and its memory goes only in the poll handle's close callback.
 */
#include "base/redis.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/async.h>

#include "base/cleanup.h"

#define RETRY_FIRST_MS 10
#define RETRY_MAX_MS 1000
/* How long connecting and the first PING may take together. */
#define CONNECT_TIMEOUT_MS 5000
/* A Redis that is loading its data file says so; it is asked again soon. */
#define LOADING_RETRY_MS 50

struct link {
    struct redis *redis;   /* NULL once this link is not the redis' current one */
    redisAsyncContext *ac; /* NULL once hiredis has let go of it */
    uv_poll_t poll;
    int watched; /* UV_READABLE | UV_WRITABLE as asked for by hiredis */
};

struct redis {
    uv_loop_t *loop;
    char *url;
    char *host; /* path of the socket when port is 0 */
    int port;
    struct redis_events events;
    void *data;
    struct link *link; /* the current one or NULL */
    bool up;
    bool closing;
    unsigned retry_ms;
    uv_timer_t timer; /* retry, or the deadline of connecting */
    unsigned n_open;  /* handles not yet closed: the timer and the links' */
    redis_message_cb on_message;
    void *message_data;
    void (*on_closed)(void *data);
    void *closed_data;
};

/* A command under way. */
struct pending {
    struct redis *redis;
    redis_reply_cb cb;
    void *data;
};

static void redis_free(struct redis *redis)
{
    free(redis->url);
    free(redis->host);
    free(redis);
}

static void handle_gone(struct redis *redis)
{
    if (--redis->n_open > 0 || !redis->closing)
        return;
    void (*on_closed)(void *) = redis->on_closed;
    void *data = redis->closed_data;
    redis_free(redis);
    if (on_closed != NULL)
        on_closed(data);
}

/* --- the adapter: hiredis asks for events, libuv delivers them --- */

static void on_poll_closed(uv_handle_t *handle)
{
    struct link *link = handle->data;
    struct redis *redis = link->redis;
    free(link);
    handle_gone(redis);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct link *link = poll->data;
    /* libuv has stopped watching after an error. hiredis learns of it by reading, and if reading shows
     * nothing the link is given up, since nobody would ever hear of it again. */
    if (status < 0) {
        redisAsyncHandleRead(link->ac);
        if (link->ac != NULL)
            redisAsyncFree(link->ac);
        return;
    }
    if ((events & UV_READABLE) != 0)
        redisAsyncHandleRead(link->ac);
    if ((events & UV_WRITABLE) != 0 && link->ac != NULL)
        redisAsyncHandleWrite(link->ac);
}

static void watch(struct link *link, int events)
{
    if (link->ac == NULL || events == link->watched)
        return;
    link->watched = events;
    if (events == 0)
        uv_poll_stop(&link->poll);
    else
        uv_poll_start(&link->poll, events, on_poll);
}

static void add_read(void *data)
{
    struct link *link = data;
    watch(link, link->watched | UV_READABLE);
}

static void del_read(void *data)
{
    struct link *link = data;
    watch(link, link->watched & ~UV_READABLE);
}

static void add_write(void *data)
{
    struct link *link = data;
    watch(link, link->watched | UV_WRITABLE);
}

static void del_write(void *data)
{
    struct link *link = data;
    watch(link, link->watched & ~UV_WRITABLE);
}

/* hiredis is about to close the descriptor and free the context. */
static void on_cleanup(void *data)
{
    struct link *link = data;
    link->ac = NULL;
    if (!uv_is_closing((uv_handle_t *)&link->poll))
        uv_close((uv_handle_t *)&link->poll, on_poll_closed);
}

/* --- connecting --- */

static void connect_now(struct redis *redis);

static void on_retry(uv_timer_t *timer)
{
    connect_now(timer->data);
}

static void retry_later(struct redis *redis)
{
    uv_timer_start(&redis->timer, on_retry, redis->retry_ms, 0);
    redis->retry_ms = redis->retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : redis->retry_ms * 2;
}

/* The current link is no more, or never came to be. */
static void link_lost(struct redis *redis, const char *why)
{
    redis->link = NULL;
    redis->up = false;
    if (redis->closing)
        return;
    struct err err = ERR_INIT;
    err_set(&err, ERR_UNAVAILABLE, "cannot reach Redis at '%s': %s", redis->url, why);
    retry_later(redis);
    if (redis->events.on_down != NULL)
        redis->events.on_down(&err, redis->data);
}

static const char *why_lost(const redisAsyncContext *ac)
{
    return ac->errstr != NULL && ac->errstr[0] != '\0' ? ac->errstr : "connection lost";
}

/* Runs when the connection ends after it was established. */
static void on_disconnect(const redisAsyncContext *ac, int status)
{
    (void)status;
    struct link *link = ac->data;
    if (link->redis->link == link)
        link_lost(link->redis, why_lost(ac));
}

static void send_ping(struct redis *redis);

static void on_ping_again(uv_timer_t *timer)
{
    struct redis *redis = timer->data;
    if (redis->link != NULL && redis->link->ac != NULL)
        send_ping(redis);
}

static void on_ping(redisAsyncContext *ac, void *reply_data, void *unused)
{
    (void)unused;
    const redisReply *reply = reply_data;
    struct link *link = ac->data;
    struct redis *redis = link->redis;
    if (reply == NULL || redis->link != link || redis->closing)
        return; /* on_disconnect tells */
    if (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "LOADING", 7) == 0) {
        uv_timer_start(&redis->timer, on_ping_again, LOADING_RETRY_MS, 0);
        return;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        redisAsyncFree(ac); /* deferred by hiredis until this callback has returned */
        link_lost(redis, reply->str);
        return;
    }
    uv_timer_stop(&redis->timer);
    redis->retry_ms = RETRY_FIRST_MS;
    redis->up = true;
    if (redis->events.on_up != NULL)
        redis->events.on_up(redis->data);
}

static void on_connect_timeout(uv_timer_t *timer)
{
    struct redis *redis = timer->data;
    struct link *link = redis->link;
    if (link == NULL || link->ac == NULL)
        return;
    redisAsyncContext *ac = link->ac;
    link_lost(redis, "no answer");
    redisAsyncFree(ac);
}

static void send_ping(struct redis *redis)
{
    redisAsyncContext *ac = redis->link->ac;
    uv_timer_start(&redis->timer, on_connect_timeout, CONNECT_TIMEOUT_MS, 0);
    if (redisAsyncCommand(ac, on_ping, NULL, "PING") != REDIS_OK) {
        link_lost(redis, "out of memory");
        redisAsyncFree(ac);
    }
}

static void on_connect(const redisAsyncContext *ac, int status)
{
    struct link *link = ac->data;
    struct redis *redis = link->redis;
    if (redis->link != link || redis->closing)
        return;
    if (status != REDIS_OK) {
        link_lost(redis, why_lost(ac));
        return;
    }
    send_ping(redis);
}

/* Hands the context to the adapter. After this its end is told through on_connect or on_disconnect. */
static int link_attach(struct redis *redis, redisAsyncContext *ac)
{
    struct link *link = calloc(1, sizeof(*link));
    if (link == NULL)
        return -1;
    if (uv_poll_init(redis->loop, &link->poll, ac->c.fd) != 0) {
        free(link);
        return -1;
    }
    redis->n_open++;
    link->poll.data = link;
    link->redis = redis;
    link->ac = ac;
    redis->link = link;
    ac->data = link;
    ac->ev.data = link;
    ac->ev.addRead = add_read;
    ac->ev.delRead = del_read;
    ac->ev.addWrite = add_write;
    ac->ev.delWrite = del_write;
    ac->ev.cleanup = on_cleanup;
    redisAsyncSetDisconnectCallback(ac, on_disconnect);
    redisAsyncSetConnectCallback(ac, on_connect); /* asks for the write event that ends connecting */
    return 0;
}

static void connect_now(struct redis *redis)
{
    redisAsyncContext *ac =
        redis->port == 0 ? redisAsyncConnectUnix(redis->host) : redisAsyncConnect(redis->host, redis->port);
    if (ac == NULL) {
        link_lost(redis, "out of memory");
        return;
    }
    if (ac->err != 0) {
        char why[sizeof(ac->c.errstr)];
        snprintf(why, sizeof(why), "%s", ac->errstr);
        redisAsyncFree(ac);
        link_lost(redis, why);
        return;
    }
    if (redis->port != 0)
        redisEnableKeepAlive(&ac->c);
    if (link_attach(redis, ac) < 0) {
        redisAsyncFree(ac);
        link_lost(redis, "out of memory");
        return;
    }
    uv_timer_start(&redis->timer, on_connect_timeout, CONNECT_TIMEOUT_MS, 0);
}

/* --- opening and closing --- */

static int parse_url(struct redis *redis, const char *url, struct err *err)
{
    static const char unix_scheme[] = "unix:", tcp_scheme[] = "redis://";
    redis->url = strdup(url);
    if (redis->url == NULL)
        return err_nomem(err, "opening Redis");
    if (strncmp(url, unix_scheme, sizeof(unix_scheme) - 1) == 0 && url[sizeof(unix_scheme) - 1] != '\0') {
        redis->host = strdup(url + sizeof(unix_scheme) - 1);
        return redis->host != NULL ? 0 : err_nomem(err, "opening Redis");
    }
    if (strncmp(url, tcp_scheme, sizeof(tcp_scheme) - 1) == 0) {
        const char *host = url + sizeof(tcp_scheme) - 1;
        const char *colon = strrchr(host, ':');
        char *end = NULL;
        long port = colon != NULL ? strtol(colon + 1, &end, 10) : 0;
        if (colon != NULL && colon != host && end != colon + 1 && *end == '\0' && port > 0 && port < 65536) {
            redis->host = strndup(host, (size_t)(colon - host));
            redis->port = (int)port;
            return redis->host != NULL ? 0 : err_nomem(err, "opening Redis");
        }
    }
    return err_set(err, ERR_INVALID, "bad Redis URL '%s': use unix:/path/to/redis.sock or redis://host:port",
                   url);
}

static void on_first_attempt(uv_timer_t *timer)
{
    connect_now(timer->data);
}

int redis_open(struct redis **ret, uv_loop_t *loop, const char *url, const struct redis_events *events,
               void *data, struct err *err)
{
    struct redis *redis = calloc(1, sizeof(*redis));
    if (redis == NULL)
        return err_nomem(err, "opening Redis");
    redis->loop = loop;
    redis->data = data;
    redis->retry_ms = RETRY_FIRST_MS;
    if (events != NULL)
        redis->events = *events;
    if (parse_url(redis, url, err) < 0) {
        redis_free(redis);
        return -1;
    }
    uv_timer_init(loop,
                  &redis->timer); /* both calls cannot fail: uv_timer_init and _start check arguments only */
    redis->timer.data = redis;
    redis->n_open = 1;
    /* From the loop, so that no callback runs before the owner has its pointer. */
    uv_timer_start(&redis->timer, on_first_attempt, 0, 0);
    *ret = redis;
    return 0;
}

bool redis_is_up(const struct redis *redis)
{
    return redis->up && !redis->closing;
}

static void on_timer_closed(uv_handle_t *handle)
{
    handle_gone(handle->data);
}

void redis_close(struct redis *redis, void (*on_closed)(void *data), void *data)
{
    if (redis == NULL) {
        if (on_closed != NULL)
            on_closed(data);
        return;
    }
    redis->closing = true;
    redis->up = false;
    redis->on_closed = on_closed;
    redis->closed_data = data;
    uv_close((uv_handle_t *)&redis->timer, on_timer_closed);
    if (redis->link != NULL && redis->link->ac != NULL)
        redisAsyncFree(redis->link->ac);
}

/* --- commands --- */

static void on_reply(redisAsyncContext *ac, void *reply, void *data)
{
    struct pending *pending = data;
    struct redis *redis = pending->redis;
    struct err err = ERR_INIT;
    if (reply == NULL) {
        redis->up = false;
        err_set(&err, ERR_UNAVAILABLE, "lost the connection to Redis at '%s': %s", redis->url, why_lost(ac));
    }
    redis_reply_cb cb = pending->cb;
    void *cb_data = pending->data;
    free(pending);
    cb(reply, reply == NULL ? &err : NULL, cb_data);
}

static int check_up(const struct redis *redis, struct err *err)
{
    if (redis_is_up(redis) && redis->link != NULL && redis->link->ac != NULL)
        return 0;
    return err_set(err, ERR_UNAVAILABLE, "Redis at '%s' is away", redis->url);
}

/* Notes whom to tell; NULL data and no function for commands whose replies nobody wants. */
static int pending_new(struct redis *redis, redis_reply_cb cb, void *data, struct pending **ret,
                       struct err *err)
{
    *ret = NULL;
    if (check_up(redis, err) < 0)
        return -1;
    if (cb == NULL)
        return 0;
    struct pending *pending = malloc(sizeof(*pending));
    if (pending == NULL)
        return err_nomem(err, "sending a command to Redis");
    *pending = (struct pending){redis, cb, data};
    *ret = pending;
    return 0;
}

static int sent(struct redis *redis, int status, struct pending *pending, struct err *err)
{
    if (status == REDIS_OK)
        return 0;
    free(pending);
    return err_set(err, ERR_UNAVAILABLE, "cannot send to Redis at '%s': it is going away", redis->url);
}

int redis_command(struct redis *redis, redis_reply_cb cb, void *data, struct err *err, int argc,
                  const char *const *argv, const size_t *argv_size_bytes)
{
    struct pending *pending;
    if (pending_new(redis, cb, data, &pending, err) < 0)
        return -1;
    int status = redisAsyncCommandArgv(redis->link->ac, pending != NULL ? on_reply : NULL, pending, argc,
                                       (const char **)argv, argv_size_bytes);
    return sent(redis, status, pending, err);
}

int redis_commandf(struct redis *redis, redis_reply_cb cb, void *data, struct err *err, const char *fmt, ...)
{
    struct pending *pending;
    if (pending_new(redis, cb, data, &pending, err) < 0)
        return -1;
    va_list args;
    va_start(args, fmt);
    int status = redisvAsyncCommand(redis->link->ac, pending != NULL ? on_reply : NULL, pending, fmt, args);
    va_end(args);
    return sent(redis, status, pending, err);
}

int redis_command_formatted(struct redis *redis, redis_reply_cb cb, void *data, struct err *err,
                            const char *bytes, size_t size)
{
    struct pending *pending;
    if (pending_new(redis, cb, data, &pending, err) < 0)
        return -1;
    int status =
        redisAsyncFormattedCommand(redis->link->ac, pending != NULL ? on_reply : NULL, pending, bytes, size);
    return sent(redis, status, pending, err);
}

static void on_push(redisAsyncContext *ac, void *reply_data, void *data)
{
    (void)ac;
    struct redis *redis = data;
    const redisReply *reply = reply_data;
    if (reply == NULL || redis->closing || reply->type != REDIS_REPLY_ARRAY || reply->elements < 3)
        return;
    if (strcmp(reply->element[0]->str, "psubscribe") == 0)
        redis->on_message(NULL, NULL, redis->message_data);
    else if (reply->elements == 4 && strcmp(reply->element[0]->str, "pmessage") == 0)
        redis->on_message(reply->element[2]->str, reply->element[3]->str, redis->message_data);
}

int redis_psubscribe(struct redis *redis, const char *pattern, redis_message_cb cb, void *data,
                     struct err *err)
{
    if (check_up(redis, err) < 0)
        return -1;
    redis->on_message = cb;
    redis->message_data = data;
    int status = redisAsyncCommand(redis->link->ac, on_push, redis, "PSUBSCRIBE %s", pattern);
    return sent(redis, status, NULL, err);
}
