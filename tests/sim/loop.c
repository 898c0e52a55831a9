/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions of libuv that the roles use, over simulated time. Each handle belongs to the loop of one
 * process; what libuv keeps for itself in its structures is ours here: `u.reserved[0]` of a timer is its
 * task, `next_closing` the list of those to be closed.
 */
#include <stdlib.h>

#include "tests/sim/world.h"

enum { FLAG_CLOSING = 1 };

static struct process *process_of(const uv_loop_t *loop)
{
    return loop->data;
}

static struct task *task_of(uv_timer_t *timer)
{
    return timer->u.reserved[0];
}

int uv_timer_init(uv_loop_t *loop, uv_timer_t *timer)
{
    timer->loop = loop;
    timer->type = UV_TIMER;
    timer->flags = 0;
    timer->u.reserved[0] = sim_alloc(sizeof(struct task));
    return 0;
}

static void on_timer(void *data)
{
    uv_timer_t *timer = data;
    if (timer->repeat > 0)
        uv_timer_start(timer, timer->timer_cb, timer->repeat, timer->repeat);
    timer->timer_cb(timer);
}

/* Timers are late now and then, as on a busy machine. */
int uv_timer_start(uv_timer_t *timer, uv_timer_cb cb, uint64_t timeout_ms, uint64_t repeat_ms)
{
    struct process *process = process_of(timer->loop);
    if (timer->flags & FLAG_CLOSING)
        return UV_EINVAL;
    timer->timer_cb = cb;
    timer->repeat = repeat_ms;
    int64_t late_ns = rng_chance(&process->rng, 10) ? rng_between(&process->rng, 0, 30) * MS_NS : 0;
    task_schedule(task_of(timer), process, (int64_t)timeout_ms * MS_NS + late_ns, on_timer, timer);
    return 0;
}

int uv_timer_stop(uv_timer_t *timer)
{
    task_cancel(task_of(timer));
    return 0;
}

int uv_is_closing(const uv_handle_t *handle)
{
    return (handle->flags & FLAG_CLOSING) != 0;
}

void uv_update_time(uv_loop_t *loop)
{
    (void)loop;
}

void loop_run_closing(struct process *process)
{
    while (process->closing_handles != NULL) {
        uv_handle_t *handle = process->closing_handles;
        process->closing_handles = handle->next_closing;
        uv_close_cb cb = handle->close_cb;
        free(((uv_timer_t *)handle)->u.reserved[0]);
        if (cb != NULL)
            cb(handle);
    }
}

bool loop_fire_timer(struct process *process)
{
    for (size_t i = 1; i <= sim->n_queue; i++) {
        struct task *task = sim->queue[i];
        if (task->process != process || task->run != on_timer)
            continue;
        uv_timer_t *timer = task->data;
        task_cancel(task);
        timer->timer_cb(timer);
        return true;
    }
    return false;
}

static void on_closing(void *data)
{
    loop_run_closing(data);
}

void uv_close(uv_handle_t *handle, uv_close_cb cb)
{
    struct process *process = process_of(handle->loop);
    if (uv_is_closing(handle)) {
        sim_fail("a handle is closed twice");
        return;
    }
    uv_timer_stop((uv_timer_t *)handle);
    handle->flags |= FLAG_CLOSING;
    handle->close_cb = cb;
    handle->next_closing = process->closing_handles;
    process->closing_handles = handle;
    task_schedule(&process->close_handles, process, 0, on_closing, process);
}
