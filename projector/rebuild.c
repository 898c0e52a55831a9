/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each partition is projected under a prefix of its own. When it has caught up with the log, one script swaps
 * or compares; should the live projector have got ahead of us in the meantime, the script says so, and the
 * next time the partition catches up it runs again. At the end nothing is left under the side prefix.
 */
#include "projector/rebuild.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/role.h"
#include "projector/scripts.h"

#define DIFFERENCES_SHOWN "100"
#define RETRY_MS 100
#define VERIFY_WAIT_MS 30000
/* A live view that stays ahead of the side is none of this log, or the log is written faster than one process
 * projects: in both cases going back is right, since the live projector goes on from the offset it finds. */
#define SWAP_WAIT_MS 3000

struct rebuild;

/* One partition's script under way. */
struct job {
    struct rebuild *rebuild;
    struct partition *partition;
    int64_t waiting_since_ns; /* when one side was first seen to be behind the other; 0 before */
    bool force;               /* swap even so */
    uv_timer_t timer;
    bool timer_open;
};

struct rebuild {
    bool verify;
    uv_loop_t loop;
    struct projector *projector;
    struct role_signals signals;
    struct job *jobs; /* by partition, made when the first one catches up */
    size_t n_jobs;
    size_t n_done;
    size_t n_differences;
    int64_t started_ns;
    bool failed;
    struct err *err;
};

static void stop(struct rebuild *rebuild)
{
    if (rebuild->projector == NULL)
        return;
    for (size_t i = 0; i < rebuild->n_jobs; i++)
        if (rebuild->jobs[i].timer_open)
            uv_close((uv_handle_t *)&rebuild->jobs[i].timer, NULL);
    role_signals_stop(&rebuild->signals);
    projector_close(rebuild->projector, NULL, NULL);
    rebuild->projector = NULL;
}

static void give_up(struct rebuild *rebuild, const char *why)
{
    if (rebuild->projector == NULL)
        return;
    err_set(rebuild->err, ERR_UNAVAILABLE, "cannot %s the view: %s", rebuild->verify ? "verify" : "rebuild",
            why);
    rebuild->failed = true;
    stop(rebuild);
}

static void on_dropped(const redisReply *reply, const struct err *err, void *data)
{
    (void)reply;
    (void)err;
    struct rebuild *rebuild = data;
    if (rebuild->n_done == rebuild->n_jobs)
        stop(rebuild);
}

/* A swapped side is gone already, but a batch that came after the swap may have left a trace of its refusal.
 */
static void finish(struct job *job)
{
    struct rebuild *rebuild = job->rebuild;
    struct err err = ERR_INIT;
    const char *prefix = partition_prefix(job->partition);
    rebuild->n_done++;
    partition_halt(job->partition);
    if (redis_commandf(projector_redis(rebuild->projector), on_dropped, rebuild, &err, "EVAL %s 1 %smeta %s",
                       script_drop, prefix, prefix) < 0)
        give_up(rebuild, err.message);
}

static void run_script(struct job *job);

static void on_retry(uv_timer_t *timer)
{
    run_script(timer->data);
}

/* One side is behind the other: it is about to catch up. True if that has been so for `limit_ms`. */
static bool wait_longer(struct job *job, int64_t limit_ms)
{
    int64_t now_ns = clock_monotonic_ns();
    if (job->waiting_since_ns == 0)
        job->waiting_since_ns = now_ns;
    if (now_ns - job->waiting_since_ns > limit_ms * 1000000)
        return false;
    uv_timer_start(&job->timer, on_retry, RETRY_MS, 0);
    return true;
}

static void compared(struct job *job, const redisReply *reply)
{
    struct rebuild *rebuild = job->rebuild;
    uint32_t number = partition_number(job->partition);
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 2) {
        give_up(rebuild, reply->type == REDIS_REPLY_ERROR ? reply->str : "unexpected reply of Redis");
        return;
    }
    if (strcmp(reply->element[0]->str, reply->element[1]->str) != 0) {
        if (!wait_longer(job, VERIFY_WAIT_MS))
            give_up(rebuild, "the live view stays behind the log; is the projector running?");
        return;
    }
    for (size_t i = 2; i < reply->elements; i++)
        printf("partition %" PRIu32 ": %s\n", number, reply->element[i]->str);
    rebuild->n_differences += reply->elements - 2;
    printf("partition %" PRIu32 ": compared at offset %s: %zu difference%s\n", number, reply->element[0]->str,
           reply->elements - 2, reply->elements == 3 ? "" : "s");
    finish(job);
}

static void swapped(struct job *job, const redisReply *reply)
{
    struct rebuild *rebuild = job->rebuild;
    struct err err = ERR_INIT;
    if (reply->type == REDIS_REPLY_ERROR) {
        give_up(rebuild, reply->str);
    } else if (strcmp(reply->str, "swapped") == 0) {
        FAULT_POINT(REBUILD_AFTER_SWAP);
        printf("partition %" PRIu32 ": rebuilt through offset %" PRId64 " and swapped in, %.1f s\n",
               partition_number(job->partition), partition_applied(job->partition),
               (double)(clock_monotonic_ns() - rebuild->started_ns) / 1e9);
        if (sink_publish_nodes(projector_redis(rebuild->projector), partition_view(job->partition), &err) < 0)
            give_up(rebuild, err.message);
        else
            finish(job);
    } else {
        uv_timer_start(&job->timer, on_retry, RETRY_MS,
                       0); /* the live view is ahead: we are about to catch up */
    }
}

static void on_script(const redisReply *reply, const struct err *err, void *data)
{
    struct job *job = data;
    if (job->rebuild->projector == NULL)
        return;
    if (reply == NULL)
        give_up(job->rebuild, err->message);
    else if (job->rebuild->verify)
        compared(job, reply);
    else
        swapped(job, reply);
    fflush(stdout);
}

static void run_script(struct job *job)
{
    struct rebuild *rebuild = job->rebuild;
    struct err err = ERR_INIT;
    char live[SINK_PREFIX_SIZE];
    FAULT_POINT(REBUILD_BEFORE_SWAP);
    sink_prefix(live, SINK_LIVE, partition_number(job->partition));
    /* A live view that is ahead of the whole log is none of this log: swapping is right even if it goes back.
     */
    const char *last = rebuild->verify ? DIFFERENCES_SHOWN : "0";
    if (redis_commandf(projector_redis(rebuild->projector), on_script, job, &err, "EVAL %s 1 %smeta %s %s %s",
                       rebuild->verify ? script_compare : script_swap, live, live,
                       partition_prefix(job->partition), last) < 0)
        give_up(rebuild, err.message);
}

static int make_jobs(struct rebuild *rebuild)
{
    size_t n = projector_partitions(rebuild->projector);
    rebuild->jobs = calloc(n, sizeof(*rebuild->jobs));
    if (rebuild->jobs == NULL)
        return -1;
    rebuild->n_jobs = n;
    return 0;
}

static void on_caught_up(struct partition *partition, int64_t log_end, void *data)
{
    (void)log_end;
    struct rebuild *rebuild = data;
    if (rebuild->projector == NULL)
        return;
    if (rebuild->jobs == NULL && make_jobs(rebuild) < 0) {
        give_up(rebuild, "out of memory");
        return;
    }
    struct job *job = &rebuild->jobs[partition_number(partition)];
    if (job->timer_open)
        return; /* its script is under way or will run again */
    job->rebuild = rebuild;
    job->partition = partition;
    uv_timer_init(&rebuild->loop, &job->timer);
    job->timer.data = job;
    job->timer_open = true;
    printf("partition %" PRIu32 ": %" PRId64 " records projected in %.1f s\n", partition_number(partition),
           partition_applied(partition) + 1, (double)(clock_monotonic_ns() - rebuild->started_ns) / 1e9);
    run_script(job);
}

static void on_failed(const struct err *err, void *data)
{
    give_up(data, err->message);
}

static void on_stop(void *data)
{
    give_up(data, "interrupted");
}

int rebuild_run(const struct projector_options *options, bool verify, struct err *err)
{
    struct rebuild rebuild = {.verify = verify, .err = err, .started_ns = clock_monotonic_ns()};
    struct projector_options mine = *options;
    mine.base = verify ? SINK_VERIFY : SINK_REBUILD;
    mine.fresh = true;
    mine.on_caught_up = on_caught_up;
    mine.on_failed = on_failed;
    mine.data = &rebuild;
    if (uv_loop_init(&rebuild.loop) != 0)
        return err_set(err, ERR_SYSTEM, "cannot make an event loop");
    if (projector_open(&rebuild.projector, &rebuild.loop, &mine, err) < 0)
        return -1;
    if (role_signals_start(&rebuild.signals, &rebuild.loop, on_stop, &rebuild, err) < 0)
        return -1;
    uv_run(&rebuild.loop, UV_RUN_DEFAULT);
    uv_loop_close(&rebuild.loop);
    free(rebuild.jobs);
    return rebuild.failed ? -1 : rebuild.n_differences > 0 ? 1 : 0;
}
