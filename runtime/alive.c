/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Happy path: connected and begun -> SET with a TTL, every SAY_MS -> closing: DEL, its answer, closed.
 * Trouble: Redis away: the next SAY_MS tries again; away while closing: the timer ends the waiting.
 */
#include "runtime/alive.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/redis.h"

#define SAY_MS 5000
/* Two may be lost before somebody concludes anything. */
#define TTL_MS (3 * SAY_MS)
#define GOODBYE_MS 500

struct alive {
    struct redis *redis;
    const char *node;
    uv_timer_t timer;
    int64_t epoch; /* 0 until the runtime serves */
    void (*on_closed)(void *data);
    void *closed_data;
};

/* Failing is no trouble: on_up and the timer say it again. */
static void say(struct alive *alive)
{
    if (alive->epoch > 0)
        redis_commandf(alive->redis, NULL, NULL, NULL, "SET wharf:v1:alive:%s %" PRId64 " PX %d", alive->node,
                       alive->epoch, TTL_MS);
}

static void on_up(void *data)
{
    say(data);
}

static void on_time(uv_timer_t *timer)
{
    say(timer->data);
}

int alive_open(struct alive **ret, uv_loop_t *loop, const char *url, const char *node, struct err *err)
{
    static const struct redis_events events = {.on_up = on_up};
    struct alive *alive = calloc(1, sizeof(*alive));
    if (alive == NULL)
        return err_nomem(err, "connecting to Redis");
    alive->node = node;
    if (redis_open(&alive->redis, loop, url, &events, alive, err) < 0) {
        free(alive);
        return -1;
    }
    uv_timer_init(loop, &alive->timer);
    alive->timer.data = alive;
    *ret = alive;
    return 0;
}

void alive_begin(struct alive *alive, int64_t epoch)
{
    alive->epoch = epoch;
    say(alive);
    uv_timer_start(&alive->timer, on_time, SAY_MS, SAY_MS);
}

static void on_redis_closed(void *data)
{
    struct alive *alive = data;
    void (*on_closed)(void *) = alive->on_closed;
    void *closed_data = alive->closed_data;
    free(alive);
    on_closed(closed_data);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct alive *alive = handle->data;
    redis_close(alive->redis, on_redis_closed, alive);
}

/* Whatever comes first: the answer, the loss of the connection, or the timer. */
static void leave(struct alive *alive)
{
    if (!uv_is_closing((uv_handle_t *)&alive->timer))
        uv_close((uv_handle_t *)&alive->timer, on_timer_closed);
}

static void on_deleted(const redisReply *reply, const struct err *err, void *data)
{
    (void)reply;
    (void)err;
    leave(data);
}

static void on_goodbye_over(uv_timer_t *timer)
{
    leave(timer->data);
}

void alive_close(struct alive *alive, void (*on_closed)(void *data), void *data)
{
    alive->on_closed = on_closed;
    alive->closed_data = data;
    if (alive->epoch == 0 ||
        redis_commandf(alive->redis, on_deleted, alive, NULL, "DEL wharf:v1:alive:%s", alive->node) < 0)
        leave(alive);
    else
        uv_timer_start(&alive->timer, on_goodbye_over, GOODBYE_MS, 0);
}
