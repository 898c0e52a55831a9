/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Projected events per second, beside what the same Redis takes in raw pipelined HSETs from the same client
 * library in the same run; where the time goes; and how long a listing of what is live takes. The roles are
 * taken from $BUILD.
 *
 *     bench_project [EVENTS]      (default 200000)
 */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "cmd/client/http.h"
#include "events/message.h"
#include "projector/project.h"
#include "tests/support/event_writer.h"
#include "tests/support/log_feed.h"
#include "tests/support/redis_server.h"

#define LIVE_CONTAINERS 10000
#define FEED_BATCH 2000
#define LISTINGS 51

struct bench {
    size_t n;
    char **texts;
    size_t *sizes;
    struct redis_server redis;
    char dir[64];
    char log_url[96];
};

/* Of this process: other load on the machine does not count. */
static double processor_s(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double seconds_since(int64_t start_ns)
{
    return (double)(clock_monotonic_ns() - start_ns) / 1e9;
}

static void generate(struct bench *bench)
{
    struct event_writer writer;
    event_writer_init(&writer, "n1", 1, LIVE_CONTAINERS);
    bench->texts = calloc(bench->n, sizeof(*bench->texts));
    bench->sizes = calloc(bench->n, sizeof(*bench->sizes));
    if (bench->texts == NULL || bench->sizes == NULL)
        abort();
    size_t bytes = 0;
    for (size_t i = 0; i < bench->n; i++) {
        bench->texts[i] = event_writer_next(&writer, &bench->sizes[i]);
        bytes += bench->sizes[i];
    }
    event_writer_release(&writer);
    printf("%zu events of %zu bytes on average, up to %d containers at a time\n", bench->n, bytes / bench->n,
           LIVE_CONTAINERS);
}

/* Decoding and projecting alone, in this process: what one core spends before Redis. */
static void bench_core(const struct bench *bench)
{
    struct view view;
    struct ops ops = {0};
    size_t n_ops = 0;
    view_init(&view);
    double start_s = processor_s();
    for (size_t i = 0; i < bench->n; i++) {
        struct event event;
        if (event_decode(&event, bench->texts[i], bench->sizes[i], NULL) < 0)
            abort();
        event_release(&event);
    }
    double decode_s = processor_s() - start_s;
    start_s = processor_s();
    for (size_t i = 0; i < bench->n; i++) {
        struct event event;
        event_decode(&event, bench->texts[i], bench->sizes[i], NULL);
        project_event(&view, &event, (int64_t)i, &ops);
        event_release(&event);
        n_ops += ops.n_ops;
        ops_reset(&ops);
    }
    double both_s = processor_s() - start_s;
    printf("decode alone:        %9.0f events per processor second\n", (double)bench->n / decode_s);
    printf("decode and project:  %9.0f events per processor second, %.1f operations an event\n",
           (double)bench->n / both_s, (double)n_ops / (double)bench->n);
    ops_release(&ops);
    view_release(&view);
}

/* What redis-benchmark would do: one HSET after the other, 1000 at a time. */
static double bench_raw(const struct bench *bench)
{
    redisContext *redis = redis_server_connect(&bench->redis);
    size_t n = bench->n * 4;
    int64_t start_ns = clock_monotonic_ns();
    for (size_t i = 0; i < n; i += 1000) {
        for (size_t k = 0; k < 1000; k++)
            redisAppendCommand(redis, "HSET bench:%d field value-of-some-length",
                               (int)((i + k) % LIVE_CONTAINERS));
        for (size_t k = 0; k < 1000; k++) {
            redisReply *reply = NULL;
            if (redisGetReply(redis, (void **)&reply) != REDIS_OK)
                abort();
            freeReplyObject(reply);
        }
    }
    double rate = (double)n / seconds_since(start_ns);
    freeReplyObject(redisCommand(redis, "FLUSHALL"));
    redisFree(redis);
    return rate;
}

static void feed(const struct bench *bench)
{
    struct log_feed log;
    log_feed_open(&log, bench->log_url);
    for (size_t i = 0; i < bench->n; i += FEED_BATCH) {
        size_t n = bench->n - i < FEED_BATCH ? bench->n - i : FEED_BATCH;
        log_feed_append(&log, bench->texts + i, bench->sizes + i, n);
    }
    log_feed_close(&log);
}

static pid_t spawn(const struct bench *bench, const char *role, bool rebuild)
{
    const char *build = getenv("BUILD");
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", build != NULL ? build : "build", role);
    pid_t pid = fork();
    if (pid == 0)
        execl(path, path, "--log", bench->log_url, "--redis", bench->redis.url, "--run-dir", bench->dir,
              "--state-dir", bench->dir, "--user", "root", rebuild ? "--rebuild" : NULL, (char *)NULL);
    return pid;
}

/* The projector's and Redis' processor seconds, from the moment it starts until the last offset is stored. */
static void bench_projector(const struct bench *bench, double raw)
{
    redisContext *redis = redis_server_connect(&bench->redis);
    freeReplyObject(redisCommand(redis, "SUBSCRIBE wharf:v1:{0}:applied"));
    int64_t start_ns = clock_monotonic_ns();
    pid_t pid = spawn(bench, "wharf-projector", false);
    for (int64_t seen = 0; seen < (int64_t)bench->n - 1;) {
        redisReply *reply = NULL;
        if (redisGetReply(redis, (void **)&reply) != REDIS_OK)
            abort();
        seen = strtoll(reply->element[2]->str, NULL, 10);
        freeReplyObject(reply);
    }
    double elapsed_s = seconds_since(start_ns);
    struct rusage usage;
    kill(pid, SIGTERM);
    wait4(pid, NULL, 0, &usage);
    double cpu_s = (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
                   (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    double rate = (double)bench->n / elapsed_s;
    printf("projector:           %9.0f events/s into Redis (goal 100000), %.2f processor seconds in %.2f\n",
           rate, cpu_s, elapsed_s);
    printf("raw pipelined HSET:  %9.0f commands/s; ratio %.2f\n", raw, rate / raw);
    redisFree(redis);
}

static void bench_rebuild(const struct bench *bench)
{
    int64_t start_ns = clock_monotonic_ns();
    fflush(stdout);
    waitpid(spawn(bench, "wharf-projector", true), NULL, 0);
    double elapsed_s = seconds_since(start_ns);
    printf("rebuild:             %9.0f events/s; one million would take %.1f s (goal 10)\n",
           (double)bench->n / elapsed_s, 1e6 / (double)bench->n * elapsed_s);
}

/* The status, or 0 when nobody answers. */
static int get(const char *socket_path, const char *target, size_t *ret_size)
{
    struct http_call call = HTTP_CALL_INIT;
    const struct http_request request = {.method = "GET", .target = target};
    int status = 0;
    if (http_connect(&call, "query service", socket_path, NULL) == 0 &&
        http_send(&call, &request, NULL) == 0 && http_receive_all(&call, 10000, NULL) == 0) {
        status = call.response.status;
        *ret_size = call.response.body.size;
    }
    http_release(&call);
    return status;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* All containers that are live at the log's end, as `wharf ps --all` asks for them. */
static void bench_listing(const struct bench *bench)
{
    char socket_path[96];
    double ms[LISTINGS];
    size_t size = 0;
    pid_t pid = spawn(bench, "wharf-query", false);
    snprintf(socket_path, sizeof(socket_path), "%s/query.sock", bench->dir);
    while (get(socket_path, "/readyz", &size) != 200)
        if (waitpid(pid, NULL, WNOHANG) != 0)
            abort();
    for (size_t i = 0; i < LISTINGS; i++) {
        int64_t start_ns = clock_monotonic_ns();
        if (get(socket_path, "/v1/containers", &size) != 200)
            abort();
        ms[i] = seconds_since(start_ns) * 1000;
    }
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
    qsort(ms, LISTINGS, sizeof(ms[0]), by_size);
    printf("listing:             %9.1f ms p50 for %.1f MB of up to %d containers (goal 25)\n",
           ms[LISTINGS / 2], (double)size / 1e6, LIVE_CONTAINERS);
}

int main(int argc, char **argv)
{
    struct bench bench = {.n = argc > 1 ? strtoul(argv[1], NULL, 10) : 200000};
    snprintf(bench.dir, sizeof(bench.dir), "/tmp/wharf-bench-XXXXXX");
    if (bench.n < 1000 || mkdtemp(bench.dir) == NULL)
        return 2;
    snprintf(bench.log_url, sizeof(bench.log_url), "sqlite:%s/log", bench.dir);
    redis_server_start(&bench.redis);
    generate(&bench);
    bench_core(&bench);
    feed(&bench);
    double raw = bench_raw(&bench);
    bench_projector(&bench, raw);
    bench_rebuild(&bench);
    bench_listing(&bench);
    redis_server_stop(&bench.redis);
    fs_remove_tree(AT_FDCWD, bench.dir, NULL);
    for (size_t i = 0; i < bench.n; i++)
        free(bench.texts[i]);
    free(bench.texts);
    free(bench.sizes);
    return 0;
}
